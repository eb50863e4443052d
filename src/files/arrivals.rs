//! Files that arrive in parts, so that a connection that breaks costs no more than the part it broke in.
//!
//! Each is an [`Upload`] that outlives the request that began it: nothing is to be seen of it until its last byte is
//! there. They are kept in memory only. When the server stops, the next start sweeps away what was written of them
//! (T-67), and whoever sends begins anew.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::Mutex as Lock;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::StreamExt;
use tokio::sync::Mutex;

use crate::client::ByteStream;
use crate::clock::Timestamp;
use crate::config::Size;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::metrics::Fill;
use crate::random;

use super::Entry;
use super::Replace;
use super::Tree;
use super::TreePath;
use super::Upload;

/// How long one may rest before it is thrown away.
const ABANDONED_AFTER: Duration = Duration::from_secs(24 * 3600);
/// How many one user may have under way.
const MOST_PER_USER: usize = 16;
/// How many there may be in all; each holds a file open and up to 256 KiB of memory.
const MOST: usize = 256;

/// All files that are arriving in parts. Clones are the same.
#[derive(Clone, Default)]
pub struct Arrivals {
    kept: Arc<Lock<HashMap<String, Arc<Arrival>>>>,
}

struct Arrival {
    user: String,
    /// How large the file will be, in bytes.
    size: u64,
    replace: Replace,
    state: Lock<State>,
    /// Held while a part is written, so that parts never mix. None once it is over.
    upload: Mutex<Option<Upload>>,
}

struct State {
    touched: Timestamp,
    here: u64,
}

/// How far a file has come.
#[derive(Clone, Debug)]
pub struct Arrived {
    /// How many bytes are here.
    pub here: u64,
    /// The file in its place, once all of it is here.
    pub done: Option<Entry>,
}

/// A file that is about to arrive.
#[derive(Clone, Debug)]
pub struct Announced {
    pub path: TreePath,
    /// In bytes.
    pub size: u64,
    /// The most that a file may have, in bytes.
    pub most: u64,
    pub replace: Replace,
}

impl Arrivals {
    pub fn fill(&self) -> Fill {
        Fill::new("uploads", self.all().len(), MOST)
    }

    /// Begins to take a file; gives the name under which its parts come. Whatever can be known to fail fails here, before
    /// a byte is sent.
    ///
    /// # Errors
    ///
    /// [`Reason::TooLarge`]; [`Reason::AlreadyExists`]; [`Reason::DiskFull`] where it and all that are under way have no
    /// room (T-66); [`Reason::Busy`] where too many are.
    pub async fn begin(&self, user: &str, tree: &Tree, file: Announced, now: Timestamp) -> Result<String> {
        if file.size > file.most {
            return Err(Error::new(
                Reason::TooLarge,
                format!(
                    "This file has {}; a file has at most {} here.",
                    Size(file.size),
                    Size(file.most)
                ),
            ));
        }
        if file.replace == Replace::Never && tree.stat(&file.path).await.is_ok() {
            return Err(super::disk::already_exists());
        }
        let room = tree.room().await?.saturating_sub(self.promised(user));
        if file.size > room {
            return Err(Error::new(
                Reason::DiskFull,
                format!("This server has no room for this: {} are left.", Size(room)),
            ));
        }
        let upload = tree.write(&file.path).await?;
        self.forget_abandoned(now);
        let mut kept = self.all();
        if kept.len() >= MOST || kept.values().filter(|arrival| arrival.user == user).count() >= MOST_PER_USER {
            return Err(Error::new(
                Reason::Busy,
                "Too many uploads are under way. Finish or cancel some of them first.",
            ));
        }
        let id = random::token(24).expose().to_owned();
        let arrival = Arrival {
            user: user.to_owned(),
            size: file.size,
            replace: file.replace,
            state: Lock::new(State { touched: now, here: 0 }),
            upload: Mutex::new(Some(upload)),
        };
        kept.insert(id.clone(), Arc::new(arrival));
        Ok(id)
    }

    /// Adds a part that begins at `offset`; where that is not where the last one ended, nothing is taken, and the answer
    /// says where to go on. What came of a part before its connection broke is kept.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`] for what is over, or somebody else's; as [`Upload::write`] and [`Upload::finish`], after which
    /// it is over.
    pub async fn add(
        &self,
        user: &str,
        id: &str,
        offset: Option<u64>,
        mut content: ByteStream,
        now: Timestamp,
    ) -> Result<Arrived> {
        let arrival = self.find(user, id)?;
        let mut slot = arrival.upload.lock().await;
        let upload = slot.as_mut().ok_or_else(unknown)?;
        if offset != Some(upload.size()) {
            return Ok(Arrived {
                here: upload.size(),
                done: None,
            });
        }
        while let Some(chunk) = content.next().await {
            let chunk = chunk?;
            if upload.size() + chunk.len() as u64 > arrival.size {
                self.end(id);
                *slot = None;
                return Err(Error::new(
                    Reason::TooLarge,
                    "More of this file came than was announced.",
                ));
            }
            if let Err(error) = upload.write(chunk).await {
                self.end(id);
                *slot = None;
                return Err(error);
            }
            arrival.note(now, upload.size());
        }
        let here = upload.size();
        if here < arrival.size {
            return Ok(Arrived { here, done: None });
        }
        // Cancelled while its last part came: then it is not to appear after all.
        self.find(user, id)?;
        self.end(id);
        let upload = slot.take().ok_or_else(unknown)?;
        let done = upload.finish(arrival.replace.clone()).await?;
        Ok(Arrived { here, done: Some(done) })
    }

    /// Throws away what has come of a file.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`] for what is over, or somebody else's.
    pub fn cancel(&self, user: &str, id: &str) -> Result<()> {
        self.find(user, id)?;
        self.end(id);
        Ok(())
    }

    /// Throws away what nobody goes on with.
    pub fn forget_abandoned(&self, now: Timestamp) {
        self.all()
            .retain(|_, arrival| now < arrival.state().touched.plus(ABANDONED_AFTER));
    }

    /// How many bytes are still to come.
    /// What is still to come of this user's files: nobody's announcements take the room of others.
    fn promised(&self, user: &str) -> u64 {
        self.all()
            .values()
            .filter(|arrival| arrival.user == user)
            .map(|arrival| arrival.size - arrival.state().here)
            .fold(0, u64::saturating_add)
    }

    fn find(&self, user: &str, id: &str) -> Result<Arc<Arrival>> {
        self.all()
            .get(id)
            .filter(|arrival| arrival.user == user)
            .cloned()
            .ok_or_else(unknown)
    }

    fn end(&self, id: &str) {
        self.all().remove(id);
    }

    fn all(&self) -> MutexGuard<'_, HashMap<String, Arc<Arrival>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Arrival {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, now: Timestamp, here: u64) {
        *self.state() = State { touched: now, here };
    }
}

fn unknown() -> Error {
    Error::not_found("This upload is over. Begin it again.")
}
