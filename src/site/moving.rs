//! Files that are moved or removed by their owner, with all that points to them.

use serde::Deserialize;
use serde::Serialize;

use crate::dav;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::TreePath;
use crate::random;
use crate::site::Site;
use crate::store;
use crate::store::Key;
use crate::store::Record;

/// A move that was begun. The disk and the store can't change in one step, so the store says first what the disk is about
/// to do; after a stop between the two, [`Site::finish_moves`] looks which of the places is there.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Moving {
    pub id: String,
    pub user: String,
    pub from: TreePath,
    pub to: TreePath,
}

impl Record for Moving {
    const KIND: &'static str = "moving";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }
}

impl Site {
    /// Moves a file or folder of a user. What is shared of it, or attached to an invite, goes on where it is then, also
    /// if the server is stopped in the middle.
    ///
    /// # Errors
    ///
    /// As `Tree::rename`; [`Reason::UnsafePath`] where something that is shared would lie too deep.
    pub async fn move_file(&self, user: &str, from: &TreePath, to: &TreePath) -> Result<()> {
        let tree = self.homes.of(user).await?;
        for share in self.shares.open_below(user, from, self.clock.now()).await? {
            if let Some(rest) = share.path.below(from) {
                to.descend(&rest)?;
            }
        }
        let moving = Moving {
            id: random::number(),
            user: user.to_owned(),
            from: from.clone(),
            to: to.clone(),
        };
        self.store.run(async |txn| txn.put(&moving).await).await?;
        if let Err(error) = tree.rename(from, to, false).await {
            self.forget_move(&moving).await?;
            return Err(error);
        }
        self.ledger.move_properties(user, from, to).await?;
        self.follow(&moving).await?;
        self.forget_move(&moving).await
    }

    /// Ends what a stop of the server has left half-done.
    pub async fn finish_moves(&self) -> Result<()> {
        let begun = store::every(async |page| {
            self.store
                .read(async |txn| txn.list::<Moving>(Key::ALL, &page).await)
                .await
        });
        for moving in begun.await? {
            let tree = self.homes.of(&moving.user).await?;
            let is_there = async |path: &TreePath| match tree.stat(path).await {
                Ok(_) => Ok(true),
                Err(error) if error.reason() == Reason::NotFound => Ok(false),
                Err(error) => Err(error),
            };
            if is_there(&moving.to).await? && !is_there(&moving.from).await? {
                self.ledger.follow(&moving.user, &moving.from, &moving.to).await?;
                self.follow(&moving).await?;
            }
            self.forget_move(&moving).await?;
        }
        Ok(())
    }

    /// Lets what is shared and attached go where its file is. Doing it again changes nothing.
    async fn follow(&self, Moving { user, from, to, .. }: &Moving) -> Result<()> {
        self.shares.moved(user, from, to).await?;
        self.invites.follow(user, from, Some(to)).await
    }

    async fn forget_move(&self, moving: &Moving) -> Result<()> {
        self.store
            .run(async |txn| txn.delete::<Moving>(moving.key()).await.map(drop))
            .await
    }

    /// Removes a file or folder of a user, and ends first what gives others access to it, so that what comes to stand in
    /// its place later is given to nobody by accident.
    pub async fn remove_file(&self, user: &str, path: &TreePath) -> Result<()> {
        let tree = self.homes.of(user).await?;
        if path.is_root() {
            return Err(Error::invalid("path", "Everything at once can't be removed."));
        }
        tree.stat(path).await?;
        self.shares.stop_below(user, path, self.clock.now()).await?;
        self.invites.follow(user, path, None).await?;
        dav::remove(&tree, &self.ledger, user, path).await
    }
}
