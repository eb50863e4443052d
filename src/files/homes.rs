//! Where each user's files are: one folder for each, below the server's own.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::error::Result;
use crate::files::Arrivals;
use crate::files::Tree;

/// The bytes that are still free on the disk of a folder.
///
/// # Errors
///
/// As the file system has it.
pub fn free_space(folder: &Path) -> Result<u64> {
    let disk = rustix::fs::statvfs(folder).map_err(std::io::Error::from)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// The folders of all users.
#[derive(Clone)]
pub struct Homes {
    top: PathBuf,
    /// One [`Tree`] for each user, since it is what keeps their changes in order.
    open: Arc<Mutex<HashMap<String, Tree>>>,
    arrivals: Arrivals,
}

impl Homes {
    /// # Errors
    ///
    /// If the folder can't be made or opened.
    pub async fn open(top: &Path) -> Result<Self> {
        Tree::create(top).await?;
        Ok(Self {
            top: top.to_owned(),
            open: Arc::default(),
            arrivals: Arrivals::default(),
        })
    }

    /// The files of a user, by a name that `users` has checked.
    pub async fn of(&self, user: &str) -> Result<Tree> {
        let mut open = self.open.lock().await;
        if let Some(tree) = open.get(user) {
            return Ok(tree.clone());
        }
        let tree = Tree::create(&self.top.join(user)).await?;
        open.insert(user.to_owned(), tree.clone());
        Ok(tree)
    }

    /// What is on its way into these files in parts.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// The bytes that are still free on the disk of people's files.
    ///
    /// # Errors
    ///
    /// As the file system has it.
    pub fn free_space(&self) -> Result<u64> {
        free_space(&self.top)
    }

    /// Removes what uploads left that a crash cut off (T-67).
    pub async fn sweep(&self) -> Result<usize> {
        Tree::open(&self.top).await?.sweep().await
    }
}
