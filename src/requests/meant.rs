//! Which of the owner's files a request seems to mean: a help for the owner, and nothing that an asker ever learns.

use url::Url;

use crate::error::Result;
use crate::files::TreePath;
use crate::ocm::address::Provider;
use crate::requests::Requests;
use crate::shares::WEBDAV_PATH;

/// Below this the pages show a user's files: what people copy out of their browser when they tell where something is.
const FILES_PATH: &str = "/files/";

/// What a text may be the name of.
#[derive(Debug, PartialEq, Eq)]
enum Named {
    /// A share, and a place in it.
    Share(String, TreePath),
    File(TreePath),
}

impl Requests {
    /// What `what` names among the files of `user`, if it names something: the `providerId` of a share of theirs, a URL
    /// of this server, or a path. It is looked up when the owner looks, never when the request comes: otherwise the
    /// time that the answer takes would tell.
    pub async fn meant(&self, user: &str, what: &str) -> Result<Option<TreePath>> {
        let tree = self.homes.of(user).await?;
        for named in readings(what, self.own()) {
            let path = match named {
                Named::File(path) => path,
                Named::Share(id, below) => {
                    let Ok((share, _)) = self.shares.sent_share(user, &id).await else {
                        continue;
                    };
                    let Ok(path) = share.path.descend(&below) else {
                        continue;
                    };
                    path
                }
            };
            if !path.is_root() && tree.stat(&path).await.is_ok() {
                return Ok(Some(path));
            }
        }
        Ok(None)
    }
}

/// How a text may be read, the likeliest first.
fn readings(what: &str, own: &Provider) -> Vec<Named> {
    if let Some(url) = Url::parse(what).ok().filter(Url::has_host) {
        return if own.same_authority(&url) {
            at_our_own(url.path()).into_iter().collect()
        } else {
            Vec::new()
        };
    }
    let share = if what.starts_with(WEBDAV_PATH) {
        at_our_own(what)
    } else {
        Some(Named::Share(what.to_owned(), TreePath::root()))
    };
    let file = TreePath::parse(what).ok().map(Named::File);
    share.into_iter().chain(file).collect()
}

/// What the path of a URL of this server names.
fn at_our_own(path: &str) -> Option<Named> {
    if let Some(rest) = path.strip_prefix(WEBDAV_PATH) {
        let (id, below) = rest.split_once('/').unwrap_or((rest, ""));
        return Some(Named::Share(id.to_owned(), TreePath::from_url(below).ok()?));
    }
    let below = path.strip_prefix(FILES_PATH)?;
    TreePath::from_url(below).ok().map(Named::File)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_read_as_what_it_can_be_here_and_as_nothing_elsewhere() {
        let own = Provider::parse("a.example:8443").unwrap();
        let file = |path: &str| Named::File(TreePath::parse(path).unwrap());
        let share = |id: &str, below: &str| Named::Share(id.to_owned(), TreePath::parse(below).unwrap());
        let check = |what: &str, expected: &[Named]| assert_eq!(readings(what, &own), expected, "{what}");
        check("12345", &[share("12345", ""), file("12345")]);
        check("the report", &[share("the report", ""), file("the report")]);
        check("/docs/a b.txt", &[share("/docs/a b.txt", ""), file("docs/a b.txt")]);
        check("https://a.example:8443/files/docs/a%20b.txt", &[file("docs/a b.txt")]);
        check(
            "https://a.example:8443/dav/ocm/12345/x/y.txt",
            &[share("12345", "x/y.txt")],
        );
        check("/dav/ocm/12345", &[share("12345", ""), file("dav/ocm/12345")]);
        for nothing in [
            "https://a.example/files/a.txt",
            "https://b.example:8443/files/a.txt",
            "https://a.example:8443/account",
            "https://a.example:8443/files/%2e%2e/x",
            "https://a.example:8443/dav/ocm/1/..%2fx",
        ] {
            check(nothing, &[]);
        }
        check("../../etc/passwd", &[share("../../etc/passwd", "")]);
    }
}
