//! What is in a share, as ownCloud lists it: one JSON tree, no larger than a listing may be.

use serde_json::Value;
use serde_json::json;

use crate::dav;
use crate::dav::Rights;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Entry;
use crate::files::Tree;
use crate::files::TreePath;
use crate::http::dav::rights;
use crate::http::dav::shared_tree;
use crate::shares::SentShare;
use crate::site::Site;

/// How many entries one answer has. Folders whose own would be too many are told without them, which means: not known.
const MOST_ENTRIES: usize = 10_000;
/// How many times as many are looked at for that, in folders that turn out to have too many.
const IN_VAIN: usize = 4;

struct Node {
    entry: Entry,
    path: TreePath,
    depth: usize,
    /// By their places in the list, all behind this one's own; none for a file or a folder that was not looked into.
    children: Option<std::ops::Range<usize>>,
}

/// What is shared, and what is in it down to a depth.
///
/// # Errors
///
/// As [`shared_tree`], and as the disk has it.
pub(super) async fn of(site: &Site, share: &SentShare, depth: usize) -> Result<Value> {
    let tree = shared_tree(site, share).await?;
    let nodes = walk(&tree, &share.path, depth, MOST_ENTRIES).await?;
    Ok(describe(&nodes, rights(share)))
}

/// Nearest first: if it is too much, what is deep is left out. A tree of folders that are each too large must not keep
/// the disk busy for nothing.
async fn walk(tree: &Tree, top: &TreePath, depth: usize, most: usize) -> Result<Vec<Node>> {
    let mut nodes = vec![Node {
        entry: tree.stat(top).await?,
        path: top.clone(),
        depth: 0,
        children: None,
    }];
    let (mut next, mut looked_at) = (0, 0);
    while let Some(node) = nodes.get(next) {
        if node.entry.is_folder() && node.depth < depth && looked_at < most * IN_VAIN {
            let room = most.saturating_sub(nodes.len());
            let children = match tree.list(&node.path, room + 1).await {
                // Gone since it was listed.
                Err(error) if error.reason() == Reason::NotFound => Vec::new(),
                listed => listed?,
            };
            looked_at += 1 + children.len();
            if children.len() <= room {
                let (path, depth) = (node.path.clone(), node.depth + 1);
                let first = nodes.len();
                nodes.extend(children.into_iter().filter_map(|entry| {
                    let path = path.join(&entry.name).ok()?;
                    Some(Node {
                        entry,
                        path,
                        depth,
                        children: None,
                    })
                }));
                nodes[next].children = Some(first..nodes.len());
            }
        }
        next += 1;
    }
    Ok(nodes)
}

/// From the end, so that what is in a folder is there before the folder.
fn describe(nodes: &[Node], rights: Rights) -> Value {
    let mut described: Vec<Option<(Value, Option<u64>)>> = nodes.iter().map(|_| None).collect();
    for (place, node) in nodes.iter().enumerate().rev() {
        let mut size = (!node.entry.is_folder()).then_some(node.entry.size);
        let mut children = None;
        if let Some(range) = node.children.clone() {
            size = Some(0);
            let mut list = Vec::with_capacity(range.len());
            for (child, bytes) in range.filter_map(|child| described[child].take()) {
                size = size.zip(bytes).map(|(sum, bytes)| sum.saturating_add(bytes));
                list.push(child);
            }
            children = Some(list);
        }
        described[place] = Some((row(node, place == 0, size, children, rights), size));
    }
    let top = described.first_mut().and_then(Option::take);
    top.map_or(Value::Null, |(value, _)| value)
}

fn row(node: &Node, shared_itself: bool, size: Option<u64>, children: Option<Vec<Value>>, rights: Rights) -> Value {
    let Entry {
        name, modified, etag, ..
    } = &node.entry;
    let folder = node.entry.is_folder();
    let kind = if folder {
        "httpd/unix-directory"
    } else {
        dav::media_type(name)
    };
    let mut row = json!({
        "name": name,
        "type": if folder { "dir" } else { "file" },
        "mimetype": kind,
        "mtime": modified.0,
        "permissions": dav::permission_bits(rights, folder, shared_itself),
        // As PROPFIND has it, but for the quotes: they compare the two.
        "etag": etag.trim_matches('"'),
        // -1: not known, look again.
        "size": size.map_or(json!(-1), |size| json!(size)),
    });
    if let Some(children) = children {
        row["children"] = json!(children);
    }
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::parse(text).expect("a good path")
    }

    /// Folders that are each too large, and an empty one behind them.
    async fn fill(tree: &Tree, top: &str, large: usize) {
        tree.make_folder(&path(top)).await.expect("a folder");
        let make = async |below: String| {
            let made = tree.make_folder(&path(&format!("{top}/{below}"))).await;
            made.expect("a folder");
        };
        for number in 0..large {
            make(format!("{number:02}")).await;
            for inner in 0..17 {
                make(format!("{number:02}/{inner}")).await;
            }
        }
        make("zz".to_owned()).await;
    }

    #[tokio::test]
    async fn folders_that_are_too_large_are_not_all_read_through() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let tree = Tree::create(&folder.path().join("tree")).await.expect("a tree");
        fill(&tree, "few", 3).await;
        fill(&tree, "many", 12).await;
        let looked_into = async |top: &str, most: usize| {
            let nodes = walk(&tree, &path(top), usize::MAX, most).await.expect("a tree");
            let told = nodes.iter().filter(|node| node.children.is_some());
            told.map(|node| node.entry.name.clone()).collect::<Vec<_>>()
        };
        assert_eq!(looked_into("few", 20).await, ["few", "zz"]);
        assert_eq!(looked_into("many", 30).await, ["many"]);
        assert_eq!(looked_into("many", 300).await.len(), 14 + 12 * 17);
    }
}
