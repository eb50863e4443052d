//! Where each user's files are: one folder for each, below the server's own.

use std::collections::HashMap;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::error::Result;
use crate::files::Arrivals;
use crate::files::Room;
use crate::files::Tree;
use crate::metrics::Fill;

/// How many folders stay open that nobody uses just now: each is a file handle (T-85).
const KEPT_OPEN: usize = 256;

/// The folders of all users.
#[derive(Clone)]
pub struct Homes {
    top: PathBuf,
    /// At most one [`Tree`] for each user, since it is what keeps their changes in order.
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
        if open.len() >= KEPT_OPEN {
            // Nobody can begin to use one meanwhile: that takes this very map.
            open.retain(|_, tree| tree.is_in_use());
        }
        open.insert(user.to_owned(), tree.clone());
        Ok(tree)
    }

    pub async fn fill(&self) -> Fill {
        Fill::new("homes", self.open.lock().await.len(), KEPT_OPEN)
    }

    /// What is on its way into these files in parts.
    pub fn arrivals(&self) -> &Arrivals {
        &self.arrivals
    }

    /// What is left on the disk of people's files.
    ///
    /// # Errors
    ///
    /// As the file system has it.
    pub fn room(&self) -> Result<Room> {
        Ok(Room::at(&self.top)?)
    }

    /// Removes what uploads left that a crash cut off (T-67).
    pub async fn sweep(&self) -> Result<usize> {
        Tree::open(&self.top).await?.sweep().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::TreePath;

    #[tokio::test]
    async fn t85_folders_that_nobody_uses_do_not_stay_open_for_ever() {
        let dir = tempfile::tempdir().unwrap();
        let homes = Homes::open(dir.path()).await.unwrap();
        let used = homes.of("ada").await.unwrap();
        for at in 0..3 * KEPT_OPEN {
            homes.of(&format!("user{at}")).await.unwrap();
        }
        assert!(homes.fill().await.entries <= KEPT_OPEN as u64);
        // Her changes are still kept in one order.
        assert!(homes.open.lock().await.contains_key("ada"));
        used.make_folder(&TreePath::parse("docs").unwrap()).await.unwrap();
        assert!(
            homes
                .of("ada")
                .await
                .unwrap()
                .stat(&TreePath::parse("docs").unwrap())
                .await
                .is_ok()
        );
    }
}
