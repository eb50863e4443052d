//! The engine: sled 0.34.7, and what it takes to lose nothing with it. Nothing outside this module names sled.
//!
//! Four rules, each found by measuring and each with a test:
//!
//! 1. One thread flushes, for all that wait, and then asks the system to sync the file: sled's own flush leaves the data
//!    in the disk's hands (`sync_file_range`), a power cut loses it. `flush_async` from several tasks blocks for good.
//! 2. No value over [`MAX_VALUE`](super::MAX_VALUE): sled moves large pages to files that it never syncs.
//! 3. What belongs together is one batch, on one tree: recovered whole or not at all.
//! 4. sled panics on damaged pages, and can come back empty, or as it was last week, without an error. So everything that
//!    touches it is caught, all is read once at the start, and beside the database stand a marker that says that there
//!    was something and the number of the last change that must be there.

pub(super) mod load;
mod snapshot;
pub(super) mod start;
#[cfg(test)]
pub(super) mod tests;

use std::any::Any;
use std::fs::File;
use std::panic::AssertUnwindSafe;
use std::panic::catch_unwind;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Condvar;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::OnceLock;
use std::sync::PoisonError;
use std::sync::RwLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::thread::JoinHandle;
use std::time::Duration;
use std::time::Instant;

use ::sled::Batch;
use ::sled::Db;
use tokio::sync::oneshot;
use tokio::sync::watch;

use self::snapshot::Capture;
use super::Epoch;
use super::Options;
use super::SCHEMA;
use super::State;
use super::dir;
use super::dir::DataDir;
use super::dir::Ledger;
use super::migrate;
use super::txn::Entry;
use super::txn::Seen;
use super::txn::Writes;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// Changes nobody waits for go to disk after this, or together with the next that somebody waits for.
const EARLY: Duration = Duration::from_millis(100);
/// A disk that takes longer for one flush is not doing its work.
const SLOW: Duration = Duration::from_secs(30);

pub(super) struct Engine {
    shared: Arc<Shared>,
    instance_id: String,
    epoch: Epoch,
    committer: Mutex<Option<JoinHandle<()>>>,
    dir: Mutex<Option<DataDir>>,
}

/// What the committer thread has in common with the others.
struct Shared {
    path: PathBuf,
    /// Nothing once closed.
    db: RwLock<Option<Db>>,
    /// sled's file, opened once more: to sync it is enough to have it.
    file: File,
    /// Held while reads are compared and writes applied; with what a snapshot has still to see.
    gate: Mutex<Option<Capture>>,
    ledger: Ledger,
    /// The number of the last change that sled has been given.
    applied: AtomicU64,
    progress: watch::Sender<Progress>,
    orders: Mutex<Orders>,
    bell: Condvar,
    stopped: OnceLock<Error>,
    flush_began: Mutex<Option<Instant>>,
    #[cfg(test)]
    disk: tests::Disk,
}

#[derive(Clone, Copy)]
struct Progress {
    /// All changes up to this one are on disk.
    durable: u64,
    /// No more will be.
    over: bool,
}

/// What the committer is to do.
#[derive(Default)]
struct Orders {
    /// Work that is to be compared and applied.
    waiting: Vec<Waiting>,
    /// Somebody waits for this change.
    wanted: u64,
    closing: bool,
    /// The committer has gone: nobody would take what is put in line now.
    over: bool,
}

/// One piece of work in line.
struct Waiting {
    seen: Seen,
    writes: Writes,
    /// Whether whoever did it waits until it is on disk.
    durably: bool,
    answer: oneshot::Sender<Result<bool>>,
}

impl Engine {
    pub(super) fn open(path: &Path, options: &Options) -> Result<Self> {
        let dir = DataDir::take(path)?;
        let ledger = dir.ledger()?;
        let (db, began) = start::open(&dir, options, &ledger)?;
        let (db, began) = match began.schema {
            SCHEMA => (db, began),
            // It is whole, and was written by an earlier ocmesh.
            schema => {
                let made = migrate::make(&dir, &|| Box::new(load::entries(path, &db)), schema, options);
                let _ = caught(|| drop(db));
                made?;
                migrate::put_in_place(&dir)?;
                start::open(&dir, options, &ledger)?
            }
        };
        let file = File::open(dir.db().join("db")).map_err(|cause| dir::unusable(path, cause))?;
        let shared = Arc::new(Shared {
            path: path.to_owned(),
            db: RwLock::new(Some(db)),
            file,
            gate: Mutex::default(),
            ledger,
            applied: AtomicU64::new(began.changes),
            progress: watch::Sender::new(Progress {
                durable: began.changes,
                over: false,
            }),
            orders: Mutex::default(),
            bell: Condvar::new(),
            stopped: OnceLock::new(),
            flush_began: Mutex::default(),
            #[cfg(test)]
            disk: tests::Disk::default(),
        });
        let committer = thread::Builder::new().name("store-commit".to_owned()).spawn({
            let shared = shared.clone();
            move || shared.keep_committing()
        });
        Ok(Self {
            shared,
            instance_id: began.instance_id,
            epoch: began.epoch,
            committer: Mutex::new(Some(committer.map_err(Error::internal)?)),
            dir: Mutex::new(Some(dir)),
        })
    }

    pub(super) fn get(&self, key: &str) -> Result<Option<Vec<u8>>> {
        self.shared.guarded(|db| Ok(db.get(key)?.map(|value| value.to_vec())))
    }

    /// The first `limit` entries of `start..end`.
    pub(super) fn scan(&self, start: &str, end: &str, limit: usize) -> Result<Vec<Entry>> {
        self.shared.guarded(|db| scan(db, start, end, limit))
    }

    /// Applies all of `writes` if all of `seen` is still so, and says whether. Not on disk yet, see [`Engine::durable`];
    /// `durably` says that it will be asked for.
    ///
    /// Those who come together are applied together: sled begins a new write to disk with each batch.
    pub(super) async fn commit(&self, seen: Seen, writes: Writes, durably: bool) -> Result<bool> {
        let shared = &self.shared;
        if writes.is_empty() {
            let _gate = lock(&shared.gate);
            return shared.guarded(|db| still_so(db, &Writes::new(), &seen));
        }
        let (answer, answered) = oneshot::channel();
        {
            let mut orders = lock(&shared.orders);
            if let Some(cause) = shared.stopped.get() {
                return Err(refusal(cause));
            }
            if orders.closing || orders.over {
                return Err(closed());
            }
            orders.waiting.push(Waiting {
                seen,
                writes,
                durably,
                answer,
            });
            shared.bell.notify_one();
        }
        answered.await.unwrap_or_else(|_| Err(shared.refusal()))
    }

    /// Returns once everything that is applied now is on disk.
    pub(super) async fn durable(&self) -> Result<()> {
        let shared = &self.shared;
        // A change that failed may be half there, in memory: what was seen can't be vouched for.
        if let Some(cause) = shared.stopped.get() {
            return Err(refusal(cause));
        }
        let target = shared.applied.load(SeqCst);
        if shared.progress.borrow().durable >= target {
            return Ok(());
        }
        let mut progress = shared.progress.subscribe();
        {
            let mut orders = lock(&shared.orders);
            orders.wanted = orders.wanted.max(target);
            shared.bell.notify_one();
        }
        let reached = progress
            .wait_for(|progress| progress.durable >= target || progress.over)
            .await
            .is_ok_and(|progress| progress.durable >= target);
        if reached { Ok(()) } else { Err(shared.refusal()) }
    }

    pub(super) fn instance_id(&self) -> &str {
        &self.instance_id
    }

    pub(super) fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub(super) fn state(&self) -> State {
        if self.shared.db.read().unwrap_or_else(PoisonError::into_inner).is_none() {
            return State::Stopped(closed());
        }
        if let Some(cause) = self.shared.stopped.get() {
            return State::Stopped(cause.clone());
        }
        match *lock(&self.shared.flush_began) {
            Some(began) if began.elapsed() > SLOW => State::Slow,
            _ if !dir::has_room(&self.shared.path) => State::Full,
            _ => State::Ready,
        }
    }

    pub(super) fn size_on_disk(&self) -> Result<u64> {
        self.shared.guarded(|db| db.size_on_disk())
    }

    pub(super) fn close(&self) -> Result<()> {
        let Some(committer) = lock(&self.committer).take() else {
            return Ok(());
        };
        let shared = &self.shared;
        {
            // Behind the gate: no change is applied after the committer has looked for the last time.
            let _gate = lock(&shared.gate);
            lock(&shared.orders).closing = true;
            shared.bell.notify_one();
        }
        // It catches what sled throws; and if it had fallen all the same, everyone who waits was told.
        let _ = committer.join();
        let outcome = match shared.stopped.get() {
            Some(cause) => Err(cause.clone()),
            None => Ok(()),
        };
        let db = shared.db.write().unwrap_or_else(PoisonError::into_inner).take();
        // sled flushes once more while it goes.
        let _ = caught(|| drop(db));
        lock(&self.dir).take();
        outcome
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        // Whoever wants to know calls close.
        let _ = self.close();
    }
}

impl Shared {
    fn keep_committing(&self) {
        let mut unsynced_since = None;
        while let Some(waiting) = self.wait_for_orders(&mut unsynced_since) {
            let nobody_waits = !waiting.is_empty() && !waiting.iter().any(|work| work.durably);
            self.apply(waiting);
            let since = *unsynced_since.get_or_insert_with(Instant::now);
            if nobody_waits && since.elapsed() < EARLY {
                continue;
            }
            unsynced_since = None;
            let target = self.applied.load(SeqCst);
            *lock(&self.flush_began) = Some(Instant::now());
            let flushed = self.flush(target);
            *lock(&self.flush_began) = None;
            if flushed.is_err() {
                break;
            }
            self.progress.send_modify(|progress| progress.durable = target);
        }
        {
            let mut orders = lock(&self.orders);
            orders.over = true;
            // Whoever is in line hears that nobody comes.
            orders.waiting.clear();
        }
        self.progress.send_modify(|progress| progress.over = true);
    }

    /// Compares and applies what is in line, in its order and as one batch; each sees those before it.
    fn apply(&self, waiting: Vec<Waiting>) {
        if waiting.is_empty() {
            return;
        }
        let mut gate = lock(&self.gate);
        let mut merged = Writes::new();
        let mut answers = Vec::new();
        for work in waiting {
            let admitted = self.guarded(|db| still_so(db, &merged, &work.seen));
            if let Ok(true) = admitted {
                merged.extend(work.writes);
            }
            answers.push((work.answer, admitted));
        }
        let applied = if merged.is_empty() {
            Ok(())
        } else if dir::has_room(&self.path) {
            self.apply_batch(merged, gate.as_mut())
        } else {
            Err(dir::full())
        };
        // Only now: whoever has to try again must find what it lost to.
        for (answer, admitted) in answers {
            let outcome = match (&applied, admitted) {
                (Err(error), Ok(true)) => Err(error.clone()),
                (_, admitted) => admitted,
            };
            // Whoever has gone away in the meantime needs no answer.
            let _ = answer.send(outcome);
        }
    }

    fn apply_batch(&self, mut writes: Writes, capture: Option<&mut Capture>) -> Result<()> {
        let change = self.applied.load(SeqCst) + 1;
        let mut batch = Batch::default();
        writes.insert(start::CHANGES_KEY.to_owned(), Some(change.to_string().into_bytes()));
        if let Some(capture) = capture {
            self.guarded(|db| capture.spare(db, &writes))?;
        }
        for (key, value) in writes {
            match value {
                Some(value) => batch.insert(key.as_str(), value),
                None => batch.remove(key.as_str()),
            }
        }
        self.guarded(|db| db.apply_batch(batch))?;
        self.applied.store(change, SeqCst);
        Ok(())
    }

    /// Returns when there is something to apply or, with nothing in line, something to flush; none if there never will be.
    fn wait_for_orders(&self, unsynced_since: &mut Option<Instant>) -> Option<Vec<Waiting>> {
        let durable = self.progress.borrow().durable;
        let mut orders = lock(&self.orders);
        loop {
            let pending = self.applied.load(SeqCst) > durable;
            if self.stopped.get().is_some() {
                return None;
            }
            if !orders.waiting.is_empty() {
                return Some(std::mem::take(&mut orders.waiting));
            }
            if pending && (orders.closing || orders.wanted > durable) {
                return Some(Vec::new());
            }
            if orders.closing {
                return None;
            }
            if !pending {
                orders = self.bell.wait(orders).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let waited = unsynced_since.get_or_insert_with(Instant::now).elapsed();
            let Some(left) = EARLY.checked_sub(waited) else {
                return Some(Vec::new());
            };
            orders = self
                .bell
                .wait_timeout(orders, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    fn flush(&self, target: u64) -> Result<()> {
        #[cfg(test)]
        self.disk.before_flush().map_err(|cause| self.stop(cause.into()))?;
        self.guarded(|db| db.flush())?;
        self.file
            .sync_data()
            .and_then(|()| self.ledger.write(target))
            .map_err(|cause| self.stop(cause.into()))?;
        #[cfg(test)]
        self.disk.count_flush();
        Ok(())
    }

    /// Everything that touches sled after the start goes through here.
    fn guarded<T>(&self, work: impl FnOnce(&Db) -> ::sled::Result<T>) -> Result<T> {
        let db = self.db.read().unwrap_or_else(PoisonError::into_inner);
        let Some(db) = db.as_ref() else {
            return Err(closed());
        };
        match caught(|| work(db)) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(cause)) => Err(self.stop(cause)),
            Err(panic) => Err(self.stop(::sled::Error::ReportableBug(panic))),
        }
    }

    /// After any failure, what sled has in memory and what is on disk may differ: no more changes until it is opened anew.
    fn stop(&self, cause: ::sled::Error) -> Error {
        let named = format!("{}: {cause}", self.path.display());
        let error = match cause {
            ::sled::Error::Io(cause) => match Error::from(cause) {
                full if full.reason() == Reason::DiskFull => {
                    let message = "This server's disk is full. It takes no more changes until there is room again.";
                    Error::new(Reason::DiskFull, message).caused_by(named)
                }
                _ => Error::new(Reason::StoreStopped, "This server's disk has failed.").caused_by(named),
            },
            _ => Error::new(Reason::DataDamaged, "This server's data is damaged.").caused_by(named),
        };
        if self.stopped.set(error.clone()).is_ok() {
            tracing::error!(
                reason = error.reason().code(),
                "The store takes no more changes: {}",
                error.causes()
            );
            // The committer must not sleep through this: it tells those who wait.
            let _orders = lock(&self.orders);
            self.bell.notify_one();
        }
        error
    }

    fn refusal(&self) -> Error {
        self.stopped.get().map_or_else(closed, refusal)
    }
}

fn scan(db: &Db, start: &str, end: &str, limit: usize) -> ::sled::Result<Vec<Entry>> {
    // A cursor from outside may stand behind the end.
    if start >= end {
        return Ok(Vec::new());
    }
    db.range(start..end)
        .take(limit)
        .map(|entry| {
            let (key, value) = entry?;
            let key = String::from_utf8(key.to_vec())
                .map_err(|_| ::sled::Error::ReportableBug("a key is not text".to_owned()))?;
            Ok((key, value.to_vec()))
        })
        .collect()
}

/// Whether all that was seen is so, with what is about to be written already there.
fn still_so(db: &Db, coming: &Writes, seen: &Seen) -> ::sled::Result<bool> {
    for (key, value) in &seen.values {
        let same = match coming.get(key) {
            Some(written) => written == value,
            None => db.get(key)?.as_deref() == value.as_deref(),
        };
        if !same {
            return Ok(false);
        }
    }
    for range in &seen.ranges {
        // What is coming into a range changes it, or may do so: whoever saw it looks again.
        let touched = range.start < range.end && coming.range(range.start.clone()..range.end.clone()).next().is_some();
        if touched || scan(db, &range.start, &range.end, range.limit)? != range.entries {
            return Ok(false);
        }
    }
    Ok(true)
}

fn closed() -> Error {
    Error::new(Reason::StoreStopped, "This server is stopping.")
}

fn refusal(cause: &Error) -> Error {
    let message = match cause.reason() {
        Reason::DiskFull => "This server's disk is full: it takes no changes until there is room again.",
        _ => "This server takes no changes until it is restarted; its operator finds out why in its log.",
    };
    Error::new(Reason::StoreStopped, message).caused_by(cause.clone())
}

/// sled asserts on what it reads; the message of a panic is all there is to know then.
fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic: Box<dyn Any + Send>| {
        panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_else(|| "it can't be read".to_owned())
    })
}

/// A lock that a panic poisoned guards nothing half-done here: what may panic is caught inside.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
