//! All that is kept as it was at one moment, and what an earlier ocmesh kept.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use super::*;
use crate::store::sled;

fn texts(lines: impl Iterator<Item = Result<Line>>) -> Vec<String> {
    lines.map(|line| line.unwrap().text).collect()
}

/// Two records that are only ever written together.
async fn put_pair(store: &Store, pair: u64, count: u64) {
    let side = |side: &str| Item {
        count,
        ..item(&format!("{side}-{pair}"), "alice")
    };
    put(store, &[side("first"), side("second")]).await.unwrap();
}

#[tokio::test]
async fn a_snapshot_is_all_of_one_moment_whatever_is_written_while_it_is_read() {
    let (_dir, store) = new();
    for pair in 0..700 {
        put_pair(&store, pair, 0).await;
    }
    let before = texts(store.snapshot().unwrap());
    let mut snapshot = store.snapshot().unwrap();
    let mut seen = Vec::new();
    let mut step = 0;
    for line in snapshot.by_ref() {
        seen.push(line.unwrap().text);
        step += 1;
        if step % 100 != 0 {
            continue;
        }
        // What was read, what is still to be read, both at once; changed, gone, and new at either end.
        put_pair(&store, step % 700, step).await;
        store
            .run(async |txn| {
                txn.delete::<Item>(format!("first-{}", 699 - step / 100)).await?;
                txn.delete::<Item>(format!("second-{}", 699 - step / 100)).await?;
                txn.put(&item(&format!("a-{step}"), "bob")).await?;
                txn.put(&item(&format!("z-{step}"), "bob")).await
            })
            .await
            .unwrap();
    }
    drop(snapshot);
    assert_eq!(seen, before);
    assert_ne!(texts(store.snapshot().unwrap()), before);
}

#[tokio::test]
async fn a_commit_is_in_a_snapshot_wholly_or_not_at_all() {
    let (_dir, store) = new();
    for pair in 0..400 {
        put_pair(&store, pair, 0).await;
    }
    let over = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writer = std::thread::spawn({
        let (store, over) = (store.clone(), Arc::clone(&over));
        let write = async move || {
            let mut count = 0;
            while !over.load(std::sync::atomic::Ordering::SeqCst) {
                count += 1;
                put_pair(&store, count % 400, count).await;
            }
            count
        };
        move || block_on(write())
    });
    for _ in 0..20 {
        let (store, lines) = (store.clone(), store.snapshot().unwrap());
        assert_eq!(store.snapshot().err().unwrap().reason(), Reason::Busy);
        let mut pairs: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for text in texts(lines) {
            let line: serde_json::Value = serde_json::from_str(&text).unwrap();
            if line["kind"] == "item" {
                let pair = line["key"].as_str().unwrap().split('-').nth(1).unwrap().to_owned();
                pairs
                    .entry(pair)
                    .or_default()
                    .push(line["value"]["count"].as_u64().unwrap());
            }
        }
        assert_eq!(pairs.len(), 400);
        for (pair, counts) in pairs {
            assert!(counts.len() == 2 && counts[0] == counts[1], "{pair}: {counts:?}");
        }
    }
    over.store(true, std::sync::atomic::Ordering::SeqCst);
    assert!(writer.join().unwrap() > 0);
}

/// A directory as the format before this one had it: no epoch, no version of who wrote it.
async fn of_format_1() -> TempDir {
    let (dir, store) = new();
    put(&store, &[item("a", "alice"), item("b", "bob")]).await.unwrap();
    store.close().unwrap();
    drop(store);
    sled::tests::raw(&dir.path().join("db"), |db| {
        db.insert("meta/schema", "1")?;
        db.remove("meta/epoch")?;
        db.remove("meta/ocmesh")?;
        Ok(())
    });
    dir
}

fn schema(dir: &Path) -> String {
    let found = Mutex::new(String::new());
    sled::tests::raw(&dir.join("db"), |db| {
        let schema = db.get("meta/schema")?.unwrap_or_default();
        *found.lock().unwrap() = String::from_utf8(schema.to_vec()).unwrap();
        Ok(())
    });
    found.into_inner().unwrap()
}

#[tokio::test]
async fn t87_data_of_the_format_before_is_saved_and_then_brought_up_to_date() {
    let dir = of_format_1().await;
    let saved = Arc::new(Mutex::new(Vec::new()));
    let options = Options {
        before_migration: Saver::new({
            let saved = Arc::clone(&saved);
            move |from, lines| {
                let mut saved = saved.lock().unwrap();
                saved.push(from.to_string());
                saved.extend(texts(lines));
                Ok(())
            }
        }),
        ..Options::default()
    };
    let store = Store::open(dir.path(), options).unwrap();
    assert_eq!(get(&store, "a").await, Some(item("a", "alice")));
    let found: Option<Item> = store
        .read(async |txn| txn.find_one("owner", "bob").await)
        .await
        .unwrap();
    assert_eq!(found, Some(item("b", "bob")));
    assert_eq!(store.epoch(), Epoch::default());
    put(&store, &[item("c", "carol")]).await.unwrap();
    drop(store);
    assert_eq!(schema(dir.path()), SCHEMA.to_string());
    assert!(get(&open(dir.path()), "c").await.is_some());
    let saved = saved.lock().unwrap();
    // As it was: two records, two entries of an index, and what the format before said of the whole.
    assert_eq!(saved.first().unwrap(), "1");
    assert!(
        saved.iter().any(|line| line.contains("\"schema\",\"value\":\"1\"")),
        "{saved:?}"
    );
    assert_eq!(
        saved.iter().filter(|line| line.contains("\"kind\":\"item\"")).count(),
        2
    );
    for gone in ["incoming", "exchange", "before-format-2"] {
        assert!(!dir.path().join(gone).exists(), "{gone}");
    }
}

#[tokio::test]
async fn t87_data_that_could_not_be_saved_is_not_changed() {
    let dir = of_format_1().await;
    let options = Options {
        before_migration: Saver::new(|_, _| Err(Error::new(Reason::DiskFull, "full"))),
        ..Options::default()
    };
    let refused = Store::open(dir.path(), options).err().unwrap();
    assert_eq!(refused.reason(), Reason::DiskFull);
    assert_eq!(schema(dir.path()), "1");
    assert!(get(&open(dir.path()), "b").await.is_some());
    assert_eq!(schema(dir.path()), "2");
}

#[tokio::test]
async fn what_was_made_ready_takes_the_place_of_what_is_there_and_that_stays_aside() {
    let (dir, store) = new();
    put(&store, &[item("old", "alice")]).await.unwrap();
    let lines = texts(store.snapshot().unwrap());
    put(&store, &[item("later", "alice")]).await.unwrap();
    // Nobody gets in the way of a server that runs.
    assert_eq!(Renewal::begin(dir.path()).err().unwrap().reason(), Reason::DataLocked);
    drop(store);
    let epoch = Epoch {
        number: 7,
        since: Timestamp(1_790_000_000),
    };
    let load = |renewal: &Renewal| renewal.load(epoch, &mut |take| lines.iter().cloned().try_for_each(take));
    // Given up before the end, it leaves everything as it was.
    let renewal = Renewal::begin(dir.path()).unwrap();
    assert_eq!(renewal.now(&[]).unwrap().records["item"], 2);
    load(&renewal).unwrap();
    drop(renewal);
    let store = open(dir.path());
    assert!(get(&store, "later").await.is_some());
    assert_eq!(store.epoch().number, 0);
    drop(store);
    let renewal = Renewal::begin(dir.path()).unwrap();
    load(&renewal).unwrap();
    renewal.put_in_place("before-restore-x").unwrap();
    let store = open(dir.path());
    assert!(get(&store, "old").await.is_some() && get(&store, "later").await.is_none());
    assert_eq!(store.epoch(), epoch);
    assert!(dir.path().join("before-restore-x/db/db").exists());
}
