//! People's files, as programs see them.

use futures_util::StreamExt;
use serde_json::Value;
use serde_json::json;
use tokio_util::io::ReaderStream;

use crate::api::the_user;
use crate::client::ByteStream;
use crate::error::Error;
use crate::error::Result;
use crate::files::Entry;
use crate::files::Replace;
use crate::files::TreePath;
use crate::site::Site;

const MAX_ROWS: usize = 10_000;

/// Writes a file; missing folders on the way to it are made.
pub async fn put(site: &Site, user: Option<String>, path: &str, content: ByteStream) -> Result<Value> {
    let user = the_user(site, user).await?;
    let path = TreePath::parse(path)?;
    let tree = site.homes.of(&user.name).await?;
    if let Some(folder) = path.parent() {
        tree.make_folders(&folder).await?;
    }
    let entry = tree
        .store(&path, content, site.config.files.max_upload.0, Replace::Always)
        .await?;
    Ok(row(&path, entry))
}

pub async fn list(site: &Site, user: Option<String>, path: &str) -> Result<Value> {
    let user = the_user(site, user).await?;
    let path = TreePath::parse(path)?;
    let tree = site.homes.of(&user.name).await?;
    let entry = tree.stat(&path).await?;
    if !entry.is_folder() {
        return Ok(Value::Array(vec![row(&path, entry)]));
    }
    let rows = tree.list(&path, MAX_ROWS).await?;
    let rows: Result<Vec<_>> = rows
        .into_iter()
        .map(|entry| Ok(row(&path.join(&entry.name)?, entry)))
        .collect();
    Ok(Value::Array(rows?))
}

fn row(path: &TreePath, entry: Entry) -> Value {
    json!({
        "name": entry.name,
        "path": path.to_string(),
        "kind": if entry.is_folder() { "folder" } else { "file" },
        "size": entry.size,
        "modified": entry.modified.to_string(),
    })
}

pub async fn get(site: &Site, user: Option<String>, path: &str) -> Result<ByteStream> {
    let user = the_user(site, user).await?;
    let path = TreePath::parse(path)?;
    let (_, file) = site.homes.of(&user.name).await?.read(&path).await?;
    let stream = ReaderStream::new(tokio::fs::File::from_std(file)).map(|chunk| chunk.map_err(Error::from));
    Ok(Box::pin(stream))
}

pub async fn make_folder(site: &Site, user: Option<String>, path: &str) -> Result<Value> {
    let user = the_user(site, user).await?;
    let path = TreePath::parse(path)?;
    let tree = site.homes.of(&user.name).await?;
    tree.make_folder(&path).await?;
    Ok(row(&path, tree.stat(&path).await?))
}

/// As `mv` does: into `to` where that is a folder, else to that name.
pub async fn rename(site: &Site, user: Option<String>, from: &str, to: &str) -> Result<Value> {
    let user = the_user(site, user).await?;
    let (from, mut to) = (TreePath::parse(from)?, TreePath::parse(to)?);
    let tree = site.homes.of(&user.name).await?;
    if let (Ok(there), Some(name)) = (tree.stat(&to).await, from.name())
        && there.is_folder()
    {
        to = to.join(name)?;
    }
    site.move_file(&user.name, &from, &to).await?;
    Ok(row(&to, tree.stat(&to).await?))
}

pub async fn remove(site: &Site, user: Option<String>, path: &str) -> Result<Value> {
    let user = the_user(site, user).await?;
    let path = TreePath::parse(path)?;
    let tree = site.homes.of(&user.name).await?;
    let entry = tree.stat(&path).await?;
    site.remove_file(&user.name, &path).await?;
    Ok(row(&path, entry))
}

pub async fn zip(site: &Site, user: Option<String>, path: &str) -> Result<ByteStream> {
    let user = the_user(site, user).await?;
    site.homes.of(&user.name).await?.zip(&TreePath::parse(path)?).await
}
