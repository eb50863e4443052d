//! What only the engine's own insides can show: when the disk is asked, and what happens when it refuses.

use std::io;
use std::pin::Pin;
use std::pin::pin;

use futures_util::future::join_all;
use serde::Deserialize;
use serde::Serialize;
use tempfile::TempDir;

use super::*;
use crate::store::Key;
use crate::store::Record;
use crate::store::Store;

/// Stands between the committer and the disk.
#[derive(Default)]
pub(super) struct Disk {
    /// Held by a test, no flush begins.
    pub(super) hold: tokio::sync::Mutex<()>,
    pub(super) fail: Mutex<Option<io::ErrorKind>>,
    pub(super) flushes: AtomicU64,
}

impl Disk {
    pub(super) fn before_flush(&self) -> io::Result<()> {
        let _held = self.hold.blocking_lock();
        match *lock(&self.fail) {
            Some(kind) => Err(kind.into()),
            None => Ok(()),
        }
    }

    pub(super) fn count_flush(&self) {
        self.flushes.fetch_add(1, SeqCst);
    }
}

pub(in crate::store) type Raw = ::sled::Db;
pub(in crate::store) type RawResult<T> = ::sled::Result<T>;

/// Changes a database behind the store's back.
pub(in crate::store) fn raw(db: &Path, change: impl Fn(&Raw) -> RawResult<()>) {
    let db = open_raw(db);
    change(&db).unwrap();
    db.flush().unwrap();
}

fn open_raw(path: &Path) -> Db {
    loop {
        match ::sled::open(path) {
            Ok(db) => return db,
            Err(cause) => assert!(cause.to_string().contains("lock"), "{cause}"),
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Mark(u64);

impl Record for Mark {
    const KIND: &'static str = "mark";

    fn key(&self) -> Key {
        Key::number(self.0)
    }
}

fn new() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    (dir, store)
}

async fn put(store: &Store, mark: u64) -> Result<()> {
    store.run(async |txn| txn.put(&Mark(mark)).await).await
}

/// Whether the work ends within a time in which any flush would.
async fn ends<F: Future>(work: Pin<&mut F>) -> Option<F::Output> {
    tokio::time::timeout(Duration::from_millis(300), work).await.ok()
}

#[tokio::test]
async fn t80_nothing_is_answered_before_the_disk_has_it() {
    let (_dir, store) = new();
    let shared = &store.engine.shared;
    let held = shared.disk.hold.lock().await;
    let mut writing = pin!(put(&store, 1));
    assert!(ends(writing.as_mut()).await.is_none());
    // Nor is what someone else wrote and may still lose: read, or refused because of it.
    let mut reading = pin!(store.run(async |txn| txn.get::<Mark>(1).await));
    assert!(ends(reading.as_mut()).await.is_none());
    let mut refusing = pin!(store.run(async |txn| match txn.get::<Mark>(1).await? {
        Some(_) => Err(Error::not_found("taken")),
        None => Ok(()),
    }));
    assert!(ends(refusing.as_mut()).await.is_none());
    // A page need not wait.
    assert!(
        store
            .read(async |txn| txn.get::<Mark>(1).await)
            .await
            .unwrap()
            .is_some()
    );
    let before = shared.disk.flushes.load(SeqCst);
    drop(held);
    writing.await.unwrap();
    assert!(reading.await.unwrap().is_some());
    assert_eq!(refusing.await.unwrap_err().reason(), Reason::NotFound);
    assert!(shared.disk.flushes.load(SeqCst) > before);
}

#[tokio::test]
async fn an_early_answer_is_on_disk_before_any_later_one() {
    let (_dir, store) = new();
    let shared = &store.engine.shared;
    let held = shared.disk.hold.lock().await;
    store.run_early(async |txn| txn.put(&Mark(1)).await).await.unwrap();
    let mut later = pin!(store.run(async |_| Ok(())));
    assert!(ends(later.as_mut()).await.is_none());
    drop(held);
    later.await.unwrap();
    let progress = *shared.progress.borrow();
    assert_eq!(progress.durable, shared.applied.load(SeqCst));
}

#[tokio::test]
async fn an_early_change_goes_to_disk_also_if_nobody_asks() {
    let (_dir, store) = new();
    store.run_early(async |txn| txn.put(&Mark(1)).await).await.unwrap();
    let mut progress = store.engine.shared.progress.subscribe();
    let waited = tokio::time::timeout(
        Duration::from_secs(10),
        progress.wait_for(|progress| progress.durable == 1),
    );
    waited.await.unwrap().unwrap();
}

#[tokio::test]
async fn commits_that_arrive_together_share_one_flush() {
    let (_dir, store) = new();
    let disk = &store.engine.shared.disk;
    let before = disk.flushes.load(SeqCst);
    let held = disk.hold.lock().await;
    let all = join_all((0..64).map(|mark| put(&store, mark)));
    let mut all = pin!(all);
    assert!(ends(all.as_mut()).await.is_none());
    drop(held);
    assert!(all.await.into_iter().all(|outcome| outcome.is_ok()));
    // One may have begun before the others came.
    let flushes = disk.flushes.load(SeqCst) - before;
    assert!((1..=2).contains(&flushes), "{flushes}");
}

#[tokio::test]
async fn after_a_full_disk_nothing_is_taken_until_a_restart() {
    let (dir, store) = new();
    put(&store, 1).await.unwrap();
    let disk = &store.engine.shared.disk;
    *lock(&disk.fail) = Some(io::ErrorKind::StorageFull);
    let refused = put(&store, 2).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::StoreStopped);
    assert!(!refused.message().contains(dir.path().to_str().unwrap()));
    // Room again does not help: what memory has, the disk may not.
    *lock(&disk.fail) = None;
    assert_eq!(put(&store, 3).await.unwrap_err().reason(), Reason::StoreStopped);
    assert!(!store.healthy());
    assert!(matches!(store.state(), State::Stopped(cause) if cause.reason() == Reason::DiskFull));
    // What is read is not answered as if it was safe, but shown.
    assert!(store.run(async |txn| txn.get::<Mark>(2).await).await.is_err());
    assert!(
        store
            .read(async |txn| txn.get::<Mark>(1).await)
            .await
            .unwrap()
            .is_some()
    );
    assert_eq!(store.close().unwrap_err().reason(), Reason::DiskFull);
    let store = Store::open(dir.path(), Options::default()).unwrap();
    assert!(store.healthy());
    assert!(
        store
            .read(async |txn| txn.get::<Mark>(1).await)
            .await
            .unwrap()
            .is_some()
    );
    assert!(
        store
            .read(async |txn| txn.get::<Mark>(3).await)
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn t81_a_panic_of_the_engine_stops_changes_and_nothing_else() {
    let (_dir, store) = new();
    put(&store, 1).await.unwrap();
    let shared = &store.engine.shared;
    let damage = shared.guarded::<()>(|_| panic!("page 7 is wrong")).unwrap_err();
    assert_eq!(damage.reason(), Reason::DataDamaged);
    assert!(damage.causes().contains("page 7 is wrong") && !damage.message().contains("page 7"));
    assert_eq!(put(&store, 2).await.unwrap_err().reason(), Reason::StoreStopped);
    // All is on disk here, but after a failed change it need not be: nothing is vouched for.
    let vouched = store.run(async |txn| txn.get::<Mark>(1).await).await;
    assert_eq!(vouched.map(drop).unwrap_err().reason(), Reason::StoreStopped);
    assert!(
        store
            .read(async |txn| txn.get::<Mark>(1).await)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_closed_store_has_written_all_and_answers_everyone() {
    let (dir, store) = new();
    store.run_early(async |txn| txn.put(&Mark(1)).await).await.unwrap();
    let held = store.clone();
    store.close().unwrap();
    assert_eq!(put(&held, 2).await.unwrap_err().reason(), Reason::StoreStopped);
    let read = held.read(async |txn| txn.get::<Mark>(1).await).await;
    assert_eq!(read.map(drop).unwrap_err().reason(), Reason::StoreStopped);
    assert!(!held.healthy() && held.size_on_disk().is_err());
    held.close().unwrap();
    let again = Store::open(dir.path(), Options::default()).unwrap();
    assert!(
        again
            .read(async |txn| txn.get::<Mark>(1).await)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn a_disk_that_hangs_is_seen_from_outside() {
    let (_dir, store) = new();
    assert!(store.healthy());
    *lock(&store.engine.shared.flush_began) = Instant::now().checked_sub(SLOW * 2);
    assert!(matches!(store.state(), State::Slow));
}
