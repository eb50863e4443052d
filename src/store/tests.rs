//! The store's promises: what is written is there, all or nothing, and is found by its names.

mod damage;
mod model;
mod moment;
mod rivals;

use std::fs;
use std::future::Future;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;
use tempfile::TempDir;

use super::*;
use crate::clock::Timestamp;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    name: String,
    owner: String,
    mail: Option<String>,
    due: Option<Timestamp>,
    count: u64,
}

impl Record for Item {
    const KIND: &'static str = "item";

    fn key(&self) -> Key {
        Key::from(&self.name)
    }

    fn index(&self) -> Vec<Index> {
        let mut index = vec![Index::new("owner", &self.owner)];
        index.extend(self.mail.as_ref().map(|mail| Index::unique("mail", mail)));
        index.extend(self.due.map(|due| Index::new("due", due)));
        index
    }
}

fn item(name: &str, owner: &str) -> Item {
    Item {
        name: name.to_owned(),
        owner: owner.to_owned(),
        mail: None,
        due: None,
        count: 0,
    }
}

fn open(dir: &Path) -> Store {
    Store::open(dir, Options::default()).unwrap()
}

fn new() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    (dir, store)
}

async fn put(store: &Store, items: &[Item]) -> Result<()> {
    store
        .run(async |txn| {
            for item in items {
                txn.put(item).await?;
            }
            Ok(())
        })
        .await
}

async fn get(store: &Store, name: &str) -> Option<Item> {
    store.read(async |txn| txn.get(name).await).await.unwrap()
}

fn names(items: &[Item]) -> Vec<&str> {
    items.iter().map(|item| item.name.as_str()).collect()
}

fn block_on<F: Future>(work: F) -> F::Output {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().unwrap().block_on(work)
}

// What is written

#[tokio::test]
async fn what_was_put_is_there_after_a_restart() {
    let (dir, store) = new();
    let alice = item("notes", "alice");
    put(&store, std::slice::from_ref(&alice)).await.unwrap();
    let id = store.instance_id().to_owned();
    store.close().unwrap();
    let store = open(dir.path());
    assert_eq!(get(&store, "notes").await, Some(alice));
    assert_eq!(get(&store, "note").await, None);
    assert_eq!(store.instance_id(), id);
    assert!(store.healthy() && store.size_on_disk().unwrap() > 0);
}

#[tokio::test]
async fn work_that_is_refused_writes_nothing() {
    let (_dir, store) = new();
    let refused: Result<()> = store
        .run(async |txn| {
            txn.put(&item("notes", "alice")).await?;
            Err(Error::not_found("no"))
        })
        .await;
    assert_eq!(refused.unwrap_err().reason(), Reason::NotFound);
    assert_eq!(get(&store, "notes").await, None);
}

#[tokio::test]
async fn work_sees_its_own_writes_also_in_lists_and_indexes() {
    let (_dir, store) = new();
    put(
        &store,
        &[
            item("a", "alice"),
            item("b", "alice"),
            item("c", "alice"),
            item("d", "alice"),
        ],
    )
    .await
    .unwrap();
    let seen = store
        .run(async |txn| {
            txn.delete::<Item>("a").await?;
            txn.delete::<Item>("b").await?;
            txn.put(&item("c", "bob")).await?;
            txn.put(&item("aa", "alice")).await?;
            txn.put(&item("e", "alice")).await?;
            assert_eq!(txn.get::<Item>("b").await?, None);
            assert_eq!(txn.get::<Item>("c").await?.unwrap().owner, "bob");
            let listed = txn.list::<Item>(Key::ALL, &Page::first(2)).await?;
            assert_eq!(names(&listed.items), ["aa", "c"]);
            let rest = txn
                .list::<Item>(Key::ALL, &Page::after(listed.next.unwrap(), 2))
                .await?;
            assert_eq!((names(&rest.items), rest.next), (vec!["d", "e"], None));
            txn.find::<Item>("owner", "alice", &Page::first(9)).await
        })
        .await
        .unwrap();
    assert_eq!(names(&seen.items), ["aa", "d", "e"]);
}

#[tokio::test]
async fn a_view_cannot_write() {
    let (_dir, store) = new();
    let refused = store.read(async |txn| txn.put(&item("a", "alice")).await).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::Internal);
    assert_eq!(get(&store, "a").await, None);
}

// Rule 2 of the engine

#[tokio::test]
async fn a_value_over_six_kib_is_refused_and_leaves_the_store_well() {
    let (_dir, store) = new();
    for (size, kept) in [(MAX_VALUE, true), (MAX_VALUE + 1, false)] {
        let frame = 1 + r#"{"name":"a","text":""}"#.len();
        let long = Long {
            name: "a".to_owned(),
            text: "x".repeat(size - frame),
        };
        let outcome = store.run(async |txn| txn.put(&long).await).await;
        assert_eq!(
            outcome.err().map(|error| error.reason()),
            (!kept).then_some(Reason::TooLarge)
        );
    }
    let name = "n".repeat(MAX_KEY);
    let refused = put(&store, &[item(&name, "alice")]).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::TooLarge);
    assert!(store.healthy());
    put(&store, &[item("b", "bob")]).await.unwrap();
}

#[derive(Serialize, Deserialize)]
struct Long {
    name: String,
    text: String,
}

impl Record for Long {
    const KIND: &'static str = "long";

    fn key(&self) -> Key {
        Key::from(&self.name)
    }
}

#[tokio::test]
async fn even_the_longest_values_never_go_to_files_that_are_not_synced() {
    let (dir, store) = new();
    for round in 0..6 {
        store
            .run_early(async |txn| {
                for number in 0..60 {
                    let name = format!("{:02}{}", (number * 7) % 60, "k".repeat(900));
                    let text = "x".repeat(MAX_VALUE - name.len() - 40 - round);
                    txn.put(&Long { name, text }).await?;
                }
                Ok(())
            })
            .await
            .unwrap();
    }
    store.close().unwrap();
    drop(open(dir.path()));
    assert_eq!(fs::read_dir(dir.path().join("db/blobs")).unwrap().count(), 0);
}

// What is found

#[tokio::test]
async fn a_listing_is_paged_and_no_cursor_leads_out_of_it() {
    let (_dir, store) = new();
    let items: Vec<_> = (0..7).map(|n| item(&format!("n{n}"), "alice")).collect();
    put(&store, &items).await.unwrap();
    store
        .run(async |txn| {
            txn.put(&Long {
                name: "other".into(),
                text: String::new(),
            })
            .await
        })
        .await
        .unwrap();
    let mut page = Page::first(3);
    let mut all = Vec::new();
    let mut pages = 0;
    loop {
        let listing = store
            .read(async |txn| txn.list::<Item>(Key::ALL, &page).await)
            .await
            .unwrap();
        all.extend(listing.items);
        pages += 1;
        match listing.next {
            Some(next) => page = Page::after(next, 3),
            None => break,
        }
    }
    assert_eq!((all, pages), (items, 3));
    for cursor in ["", "/", "../long", "\u{10ffff}", "zzz", "%", "n3\0"] {
        for limit in [0, 1, usize::MAX] {
            let page = Page::after(cursor, limit);
            let found = store
                .read(async |txn| {
                    let found = txn.find::<Item>("owner", "alice", &page).await?;
                    Ok((txn.list::<Item>(Key::ALL, &page).await?, found))
                })
                .await
                .unwrap();
            assert!(found.0.items.len() <= 7 && found.1.items.len() <= 7);
        }
    }
}

#[tokio::test]
async fn a_list_of_one_thing_never_shows_another_with_a_longer_name() {
    #[derive(Serialize, Deserialize)]
    struct Member(String, String);
    impl Record for Member {
        const KIND: &'static str = "member";
        fn key(&self) -> Key {
            Key::of([&self.0, &self.1])
        }
        fn index(&self) -> Vec<Index> {
            vec![Index::new("of", [&self.0])]
        }
    }
    let (_dir, store) = new();
    let members = [("a", "1"), ("a/", "2"), ("a-", "3"), ("ab", "4"), ("", "5"), ("a", "/")];
    store
        .run(async |txn| {
            for (group, name) in members {
                txn.put(&Member(group.into(), name.into())).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
    for (group, expected) in [
        ("a", vec!["%", "1"]),
        ("a/", vec!["2"]),
        ("a-", vec!["3"]),
        ("", vec!["5"]),
        ("b", vec![]),
    ] {
        let (listed, found) = store
            .read(async |txn| {
                let listed = txn.list::<Member>(group, &Page::first(9)).await?;
                Ok((
                    listed.items,
                    txn.find::<Member>("of", group, &Page::first(9)).await?.items,
                ))
            })
            .await
            .unwrap();
        let shown =
            |members: &[Member]| -> Vec<String> { members.iter().map(|member| member.1.replace('/', "%")).collect() };
        assert_eq!(shown(&listed), expected, "{group}");
        assert_eq!(shown(&found), expected, "{group}");
    }
}

#[tokio::test]
async fn a_unique_value_belongs_to_one_record_until_that_lets_go_of_it() {
    let (_dir, store) = new();
    let with_mail = |name: &str, mail: &str| Item {
        mail: Some(mail.to_owned()),
        ..item(name, "alice")
    };
    put(&store, &[with_mail("a", "m@x")]).await.unwrap();
    // Again by itself; another one not.
    put(&store, &[with_mail("a", "m@x")]).await.unwrap();
    let refused = put(&store, &[with_mail("b", "m@x")]).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::AlreadyExists);
    assert!(!refused.to_string().contains("m@x"));
    assert_eq!(get(&store, "b").await, None);
    // Within one piece of work, too, and a longer value is another.
    let both = put(&store, &[with_mail("c", "n@x"), with_mail("d", "n@x")]).await;
    assert_eq!(both.unwrap_err().reason(), Reason::AlreadyExists);
    put(&store, &[with_mail("e", "m@x/")]).await.unwrap();
    // Handed over in one piece of work.
    put(&store, &[with_mail("a", "other"), with_mail("b", "m@x")])
        .await
        .unwrap();
    let found: Option<Item> = store.read(async |txn| txn.find_one("mail", "m@x").await).await.unwrap();
    assert_eq!(found.unwrap().name, "b");
}

#[tokio::test]
async fn what_is_due_comes_in_the_order_of_time_and_no_later_one_with_it() {
    let (_dir, store) = new();
    let due = |name: &str, at: i64| Item {
        due: Some(Timestamp(at)),
        ..item(name, "alice")
    };
    let items = [
        due("c", 9),
        due("a", 10),
        due("b", -5),
        due("d", 100),
        due("e", 11),
        item("never", "x"),
    ];
    put(&store, &items).await.unwrap();
    for (now, limit, expected) in [
        (10, 9, vec!["b", "c", "a"]),
        (10, 2, vec!["b", "c"]),
        (-6, 9, vec![]),
        (i64::MAX, 9, vec!["b", "c", "a", "e", "d"]),
    ] {
        let found: Vec<Item> = store
            .read(async |txn| txn.find_until("due", Timestamp(now), limit).await)
            .await
            .unwrap();
        assert_eq!(names(&found), expected, "{now}");
    }
}

#[tokio::test]
async fn what_is_to_be_done_afterwards_is_done_once_and_never_for_what_was_refused() {
    let (_dir, store) = new();
    let done = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = || done.load(std::sync::atomic::Ordering::SeqCst);
    let afterwards = |txn: &mut Txn| {
        let done = Arc::clone(&done);
        txn.afterwards(move || _ = done.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    };
    let tries = std::sync::atomic::AtomicUsize::new(0);
    let work = async |txn: &mut Txn| {
        let seen = txn.get::<Item>("a").await?;
        afterwards(txn);
        if tries.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 0 {
            // Somebody else is quicker.
            store.run(async |txn| txn.put(&item("a", "bob")).await).await?;
        }
        assert_eq!(count(), 0, "nothing is kept yet");
        txn.put(&Item {
            count: 1,
            ..seen.unwrap_or_else(|| item("a", "ada"))
        })
        .await
    };
    store.run(work).await.unwrap();
    assert_eq!((tries.load(std::sync::atomic::Ordering::SeqCst), count()), (2, 1));
    let refused = store
        .run(async |txn| {
            afterwards(txn);
            txn.put(&item("b", "ada")).await?;
            Err::<(), _>(Error::not_found("no"))
        })
        .await;
    assert!(refused.is_err());
    assert_eq!(count(), 1);
}
