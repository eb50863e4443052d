//! Everything kept: typed records, changed together or not at all, on disk before anyone is told.
//!
//! A piece of work is an async closure over a [`Txn`]. It may be run more than once, so it does nothing but read and
//! write through the [`Txn`]; what it leads to happens after [`Store::run`] has returned, or by [`Txn::afterwards`]:
//!
//! ```
//! # use ocmesh::error::Result;
//! # use ocmesh::store::{Key, Options, Record, Store};
//! #[derive(serde::Serialize, serde::Deserialize)]
//! struct Visits {
//!     page: String,
//!     count: u64,
//! }
//!
//! impl Record for Visits {
//!     const KIND: &'static str = "visits";
//!
//!     fn key(&self) -> Key {
//!         Key::from(&self.page)
//!     }
//! }
//!
//! async fn count(store: &Store, page: &str) -> Result<u64> {
//!     store
//!         .run(async |txn| {
//!             let count = 1 + txn.get::<Visits>(page).await?.map_or(0, |visits| visits.count);
//!             txn.put(&Visits { page: page.to_owned(), count }).await?;
//!             Ok(count)
//!         })
//!         .await
//! }
//! # let dir = tempfile::tempdir().unwrap();
//! # let store = Store::open(dir.path(), Options::default()).unwrap();
//! # let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
//! # assert_eq!(runtime.block_on(count(&store, "home")).unwrap(), 1);
//! ```

mod dir;
mod exchange;
mod key;
mod lines;
mod migrate;
mod record;
mod renewal;
mod sled;
#[cfg(test)]
mod tests;
mod txn;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio::sync::Mutex;

use self::sled::Engine;
use self::txn::Afterwards;
use self::txn::Entry;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

pub use self::dir::has_data;
pub use self::dir::is_root;
pub use self::dir::owner;
pub use self::key::Key;
pub use self::lines::Line;
pub use self::migrate::Saver;
pub use self::record::Index;
pub use self::record::MAX_KEY;
pub use self::record::MAX_VALUE;
pub use self::record::Record;
pub use self::renewal::Present;
pub use self::renewal::Renewal;
pub use self::txn::Txn;

/// The format of the whole store that this program writes, and the latest it reads.
pub const SCHEMA: u32 = 2;
/// The most records in one [`Listing`].
pub const MAX_PAGE: usize = 1000;

/// How often work is tried whose reads keep changing under it.
const TRIES: usize = 64;
/// After how many of these it queues up behind the others it competes with.
const PATIENCE: usize = 3;

/// What may be chosen when a store is opened.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of memory for what was read lately.
    pub cache: u64,
    /// What is done with all that an earlier ocmesh wrote before it is changed.
    pub before_migration: Saver,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cache: 64 * 1024 * 1024,
            before_migration: Saver::default(),
        }
    }
}

/// Which part of a listing is wanted. `after` is what [`Listing::next`] said; any text is safe there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    pub after: Option<String>,
    /// At least one and at most [`MAX_PAGE`] are taken, whatever stands here.
    pub limit: usize,
}

impl Page {
    pub fn first(limit: usize) -> Self {
        Self { after: None, limit }
    }

    /// The page of an index by time that begins with what was at `moment`.
    pub fn since(moment: Timestamp, limit: usize) -> Self {
        Self::after(Key::time(moment).as_str(), limit)
    }

    /// The page behind one whose [`Listing::next`] is `next`.
    pub fn after(next: impl Into<String>, limit: usize) -> Self {
        Self {
            after: Some(next.into()),
            limit,
        }
    }

    fn limit(&self) -> usize {
        self.limit.clamp(1, MAX_PAGE)
    }
}

/// Some records in order, and where to go on, if there are more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listing<R> {
    pub items: Vec<R>,
    pub next: Option<String>,
}

/// All that is listed, page by page.
pub async fn every<T>(list: impl AsyncFn(Page) -> Result<Listing<T>>) -> Result<Vec<T>> {
    let mut all = Vec::new();
    let mut page = Page::first(MAX_PAGE);
    loop {
        let some = list(page).await?;
        all.extend(some.items);
        match some.next {
            Some(next) => page = Page::after(next, MAX_PAGE),
            None => return Ok(all),
        }
    }
}

/// How often the data of this installation was put back from a backup, and when that was last: what was signed before
/// then counts for nothing, because what is known of it may be older (T-86).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Epoch {
    pub number: u64,
    pub since: Timestamp,
}

impl Epoch {
    fn read(text: &str) -> Self {
        let mut words = text.split(' ').map(str::parse);
        Self {
            number: words
                .next()
                .and_then(Result::ok)
                .and_then(|number: i64| number.try_into().ok())
                .unwrap_or(0),
            since: Timestamp(words.next().and_then(Result::ok).unwrap_or(0)),
        }
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.number, self.since.0)
    }
}

/// Whether the store does its work.
#[derive(Clone, Debug)]
pub enum State {
    Ready,
    /// A write to disk has been under way for longer than any disk should take.
    Slow,
    /// The disk is nearly full: no changes until there is room again. All can be read.
    Full,
    /// No more changes until it is closed and opened anew, because of this. [`Store::read`] still reads what it can.
    Stopped(Error),
}

/// All that this server keeps. Clones are the same store.
#[derive(Clone)]
pub struct Store {
    engine: Arc<Engine>,
    /// Held by work that lost too often, one at a time.
    turn: Arc<Mutex<()>>,
}

impl Store {
    /// Opens the store in `dir`, or creates it there, readable by this user only. Blocks while it reads all that is kept
    /// once, so that damage is found now.
    ///
    /// # Errors
    ///
    /// All for the operator, naming `dir`: [`Reason::DataLocked`] if a process has it open; [`Reason::DataNewer`] if a
    /// later ocmesh wrote it; [`Reason::DataDamaged`] if it can't be read or is not what it was;
    /// [`Reason::DiskFull`]; [`Reason::ConfigInvalid`] if `dir` can't be used.
    pub fn open(dir: &Path, options: Options) -> Result<Self> {
        Ok(Self {
            engine: Arc::new(Engine::open(dir, &options)?),
            turn: Arc::default(),
        })
    }

    /// Does the work and writes what it put and deleted, all or nothing, as if no other work was done meanwhile. When
    /// this returns, on disk is what the work wrote, and all that it may have seen, also if it failed.
    ///
    /// Work that waits for anything but its [`Txn`] makes others try again; work within work may wait forever.
    ///
    /// # Errors
    ///
    /// What the work returned: then nothing is written. [`Reason::Busy`] if what it reads was changed by others
    /// too often; [`Reason::DiskFull`], [`Reason::DataDamaged`], [`Reason::StoreStopped`]: the change may or may not be
    /// there after a restart, and is not where the disk was only nearly full.
    pub async fn run<T>(&self, work: impl AsyncFn(&mut Txn) -> Result<T>) -> Result<T> {
        let outcome = self.apply(work, true).await;
        self.engine.durable().await?;
        let (answer, afterwards) = outcome?;
        afterwards.into_iter().for_each(|done| done());
        Ok(answer)
    }

    /// As [`Store::run`], but returns before the disk has it: for what may be lost as long as nobody was told, such as
    /// marks against replay. Changes reach the disk in order: it is there before any later [`Store::run`] returns.
    ///
    /// # Errors
    ///
    /// As [`Store::run`].
    pub async fn run_early<T>(&self, work: impl AsyncFn(&mut Txn) -> Result<T>) -> Result<T> {
        let (answer, afterwards) = self.apply(work, false).await?;
        afterwards.into_iter().for_each(|done| done());
        Ok(answer)
    }

    /// Reads without waiting for anyone, for pages and lists. What it sees may be half a second older or newer than what
    /// is on disk, and records read one after the other need not fit each other.
    ///
    /// # Errors
    ///
    /// What the work returned; a write inside is our own mistake, [`Reason::Internal`].
    pub async fn read<T>(&self, work: impl AsyncFn(&mut Txn) -> Result<T>) -> Result<T> {
        work(&mut Txn::new(self.engine.clone(), false)).await
    }

    /// Whether both are the same store, opened once.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.engine, &other.engine)
    }

    /// Random, made when the store was: tells one installation from another, and a restored one from an emptied one.
    pub fn instance_id(&self) -> &str {
        self.engine.instance_id()
    }

    pub fn epoch(&self) -> Epoch {
        self.engine.epoch()
    }

    /// All that is kept as it is at this moment, record by record, while work goes on. To read on blocks for a moment.
    ///
    /// # Errors
    ///
    /// [`Reason::Busy`] while another one is read.
    pub fn snapshot(&self) -> Result<Snapshot> {
        self.engine.begin_snapshot()?;
        Ok(Snapshot {
            engine: self.engine.clone(),
            piece: Vec::new().into_iter(),
        })
    }

    pub fn state(&self) -> State {
        self.engine.state()
    }

    pub fn healthy(&self) -> bool {
        matches!(self.state(), State::Ready)
    }

    /// Bytes.
    ///
    /// # Errors
    ///
    /// [`Reason::StoreStopped`] once closed, and as the file system has it.
    pub fn size_on_disk(&self) -> Result<u64> {
        self.engine.size_on_disk()
    }

    /// Brings everything to disk and lets go of the directory; whoever still holds the store gets
    /// [`Reason::StoreStopped`]. Blocks for as long as the disk takes.
    ///
    /// # Errors
    ///
    /// If the last changes could not be written.
    pub fn close(&self) -> Result<()> {
        self.engine.close()
    }

    async fn apply<T>(&self, work: impl AsyncFn(&mut Txn) -> Result<T>, durably: bool) -> Result<(T, Vec<Afterwards>)> {
        let mut _turn = None;
        for tried in 0..TRIES {
            if tried == PATIENCE {
                _turn = Some(self.turn.lock().await);
            }
            let mut txn = Txn::new(self.engine.clone(), true);
            let answer = work(&mut txn).await;
            if answer.is_err() {
                // A refusal is only as good as what it was based on: that must still be so, too.
                txn.writes.clear();
            }
            if self.engine.commit(txn.seen, txn.writes, durably).await? {
                return answer.map(|answer| (answer, txn.afterwards));
            }
            tokio::task::yield_now().await;
        }
        Err(Error::new(
            Reason::Busy,
            "Too many are changing the same thing just now; try again in a moment.",
        ))
    }
}

/// Whether a start would find a database in `dir`, as far as that can be told without changing it.
///
/// # Errors
///
/// [`Reason::DataDamaged`], [`Reason::ConfigInvalid`]: what a start would refuse, too.
pub fn look(dir: &Path) -> Result<bool> {
    dir::look(dir)
}

/// All that was kept at one moment, in the order of its names; see [`Store::snapshot`].
pub struct Snapshot {
    engine: Arc<Engine>,
    piece: std::vec::IntoIter<Entry>,
}

impl Iterator for Snapshot {
    type Item = Result<Line>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(entry) = self.piece.next() {
                return Some(Line::of(&entry));
            }
            match self.engine.read_snapshot() {
                Ok(Some(piece)) => self.piece = piece.into_iter(),
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.engine.end_snapshot();
    }
}
