//! Who wins when several want to change one thing.

use std::cell::Cell;
use std::sync::Barrier;
use std::thread;

use super::*;

/// Does `work` on so many threads at once, begun at the same moment, each with a runtime of its own as the server's
/// workers have; what came of it, in order.
fn together<T: Send>(threads: u64, work: impl Sync + AsyncFn(u64) -> T) -> Vec<T> {
    let start = Barrier::new(usize::try_from(threads).unwrap());
    thread::scope(|scope| {
        let at_work: Vec<_> = (0..threads)
            .map(|number| {
                let (start, work) = (&start, &work);
                scope.spawn(move || {
                    start.wait();
                    block_on(work(number))
                })
            })
            .collect();
        at_work.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// Adds one in two steps, with room between them for others.
async fn increment(store: &Store) -> Result<()> {
    store
        .run(async |txn| {
            let mut counter = txn.get("counter").await?.unwrap_or_else(|| item("counter", "all"));
            tokio::task::yield_now().await;
            counter.count += 1;
            txn.put(&counter).await
        })
        .await
}

#[test]
fn sixty_four_increments_at_once_are_sixty_four() {
    let (_dir, store) = new();
    for outcome in together(64, async |_| increment(&store).await) {
        outcome.unwrap();
    }
    assert_eq!(block_on(get(&store, "counter")).unwrap().count, 64);
}

#[test]
fn of_sixteen_who_claim_one_thing_exactly_one_gets_it() {
    let (_dir, store) = new();
    let all_have_looked = Barrier::new(16);
    let outcomes = together(16, async |number| {
        let looked = Cell::new(false);
        store
            .run(async |txn| {
                let taken = txn.get::<Item>("prize").await?.is_some();
                if !looked.replace(true) {
                    all_have_looked.wait();
                }
                if taken {
                    return Err(Error::new(Reason::InviteUsed, "taken"));
                }
                txn.put(&item("prize", &number.to_string())).await?;
                Ok(number.to_string())
            })
            .await
    });
    let winners: Vec<_> = outcomes.iter().flatten().collect();
    assert_eq!(winners, [&block_on(get(&store, "prize")).unwrap().owner]);
    for refused in outcomes.iter().filter_map(|outcome| outcome.as_ref().err()) {
        assert_eq!(refused.reason(), Reason::InviteUsed);
    }
}

#[test]
fn of_sixteen_records_with_one_unique_value_exactly_one_is_kept() {
    let (_dir, store) = new();
    let outcomes = together(16, async |number| {
        let mut mine = item(&format!("n{number}"), "alice");
        mine.mail = Some("m@x".to_owned());
        put(&store, &[mine]).await
    });
    let all = block_on(store.read(async |txn| txn.list::<Item>(Key::ALL, &Page::first(99)).await)).unwrap();
    assert_eq!((outcomes.iter().flatten().count(), all.items.len()), (1, 1));
}

#[tokio::test]
async fn a_list_that_others_add_to_is_read_again() {
    let (_dir, store) = new();
    let interfered = Cell::new(false);
    let seen = store
        .run(async |txn| {
            let seen = txn.find::<Item>("owner", "alice", &Page::first(9)).await?.items.len();
            if !interfered.replace(true) {
                put(&store, &[item("late", "alice")]).await?;
            }
            txn.put(&item("total", &seen.to_string())).await?;
            Ok(seen)
        })
        .await
        .unwrap();
    assert_eq!(seen, 1);
    assert_eq!(get(&store, "total").await.unwrap().owner, "1");
}

#[tokio::test]
async fn a_refusal_that_rests_on_what_is_no_longer_so_is_thought_over() {
    let (_dir, store) = new();
    let interfered = Cell::new(false);
    store
        .run(async |txn| {
            let found = txn.get::<Item>("a").await?;
            if !interfered.replace(true) {
                put(&store, &[item("a", "alice")]).await?;
            }
            found.map(|_| ()).ok_or_else(|| Error::not_found("no"))
        })
        .await
        .unwrap();
}

#[tokio::test]
async fn work_that_never_finds_rest_is_told_to_come_later() {
    let (_dir, store) = new();
    let tries = Cell::new(0_u64);
    let refused = store
        .run(async |txn| {
            txn.get::<Item>("a").await?;
            tries.set(tries.get() + 1);
            // Someone is always faster.
            let mut other = item("a", "other");
            other.count = tries.get();
            store.run_early(async |txn| txn.put(&other).await).await
        })
        .await;
    assert_eq!(refused.unwrap_err().reason(), Reason::Busy);
    assert_eq!(tries.get(), TRIES as u64);
}
