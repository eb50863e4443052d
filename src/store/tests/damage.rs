//! What is not ours, not whole or not for us is named and never served.

use std::fs;
use std::path::Path;

use super::*;
use crate::store::sled;

fn refused(dir: &Path) -> Error {
    Store::open(dir, Options::default())
        .err()
        .expect("this store must not open")
}

#[tokio::test]
async fn t78_a_second_server_is_refused_with_the_first_ones_number_and_the_first_unhurt() {
    let (dir, store) = new();
    let refused = refused(dir.path());
    assert_eq!(refused.reason(), Reason::DataLocked);
    for part in [dir.path().to_str().unwrap(), &std::process::id().to_string()] {
        assert!(refused.message().contains(part), "{refused}");
    }
    put(&store, &[item("a", "alice")]).await.unwrap();
    drop(store);
    assert!(get(&open(dir.path()), "a").await.is_some());
}

#[test]
fn t87_newer_data_is_refused_with_both_formats_and_stays_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    raw(dir.path(), |db| db.insert("meta/schema", "9").map(drop));
    let error = refused(dir.path());
    assert_eq!(error.reason(), Reason::DataNewer);
    assert!(
        error.message().contains("(format 9)") && error.message().contains("(format 2)"),
        "{error}"
    );
    raw(dir.path(), |db| {
        assert_eq!(db.get("meta/schema")?.as_deref(), Some(&b"9"[..]));
        Ok(())
    });
}

#[tokio::test]
async fn t81_an_emptied_database_is_noticed_by_its_marker() {
    let (dir, store) = new();
    put(&store, &[item("a", "alice")]).await.unwrap();
    drop(store);
    // As sled does after the wrong power cut: empty, without an error.
    raw(dir.path(), |db| db.clear());
    check_damaged(dir.path(), "empty");
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    check_damaged(dir.path(), "gone");
    check_damaged(dir.path(), "gone");
}

#[tokio::test]
async fn t81_a_record_lost_without_an_error_is_betrayed_by_its_index() {
    let (dir, store) = new();
    put(&store, &[item("a", "alice")]).await.unwrap();
    drop(store);
    raw(dir.path(), |db| db.remove("item/a").map(drop));
    check_damaged(dir.path(), "records are gone that its indexes name, 1 of them");
}

#[test]
fn a_database_of_someone_else_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    raw(dir.path(), |db| db.insert("theirs", "1").map(drop));
    check_damaged(dir.path(), "not written by ocmesh");
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    drop((open(one.path()), open(other.path())));
    fs::copy(one.path().join("instance_id"), other.path().join("instance_id")).unwrap();
    check_damaged(other.path(), "another installation");
}

#[test]
fn a_first_start_that_was_cut_short_is_finished_by_the_next() {
    let dir = tempfile::tempdir().unwrap();
    let id = open(dir.path()).instance_id().to_owned();
    fs::remove_file(dir.path().join("instance_id")).unwrap();
    assert_eq!(open(dir.path()).instance_id(), id);
    assert_eq!(fs::read_to_string(dir.path().join("instance_id")).unwrap(), id);
}

#[test]
fn a_directory_that_cannot_be_used_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = refused(&file);
    assert_eq!(error.reason(), Reason::ConfigInvalid);
    assert!(error.message().contains(file.to_str().unwrap()));
}

#[test]
fn the_data_is_for_this_user_only() {
    use std::os::unix::fs::PermissionsExt;
    let parent = tempfile::tempdir().unwrap();
    let dir = parent.path().join("data");
    drop(open(&dir));
    for dir in [&dir, &dir.join("db")] {
        assert_eq!(fs::metadata(dir).unwrap().permissions().mode() & 0o777, 0o700);
    }
}

/// Flips one bit after the other in a copy of the database: either it is refused, or it gives all that was put.
#[tokio::test]
async fn t81_flipped_bits_are_named_and_never_served() {
    let (dir, store) = new();
    let owner = "owner".repeat(40);
    for batch in 0..20 {
        let items: Vec<_> = (0..10).map(|n| item(&format!("{batch}-{n}"), &owner)).collect();
        put(&store, &items).await.unwrap();
    }
    store.close().unwrap();
    let size = fs::read(dir.path().join("db/db"))
        .unwrap()
        .iter()
        .rposition(|byte| *byte != 0)
        .unwrap();
    let (mut named, mut unhurt) = (0, 0);
    for round in 0..ROUNDS {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(dir.path(), copy.path());
        let file = copy.path().join("db/db");
        let mut bytes = fs::read(&file).unwrap();
        bytes[size * (2 * round + 1) / (2 * ROUNDS)] ^= 0x10;
        fs::write(&file, &bytes).unwrap();
        let store = match Store::open(copy.path(), Options::default()) {
            Ok(store) => store,
            Err(error) => {
                assert_eq!(error.reason(), Reason::DataDamaged, "{error}");
                assert!(error.message().contains(copy.path().to_str().unwrap()));
                named += 1;
                continue;
            }
        };
        let all = store
            .read(async |txn| txn.list::<Item>(Key::ALL, &Page::first(MAX_PAGE)).await)
            .await
            .unwrap();
        assert_eq!(all.items.len(), 200, "lost without a word by a flip in round {round}");
        for found in all.items {
            assert_eq!(found, item(&found.name, &owner));
        }
        unhurt += 1;
    }
    println!("{ROUNDS} flips: {named} named, {unhurt} did no harm");
    assert!(named > 0);
}

/// For what a restore does first: what is there may open and still not be readable.
#[tokio::test]
async fn t81_what_breaks_in_the_middle_of_a_reading_is_named_and_ends_it() {
    let (dir, store) = new();
    let owner = "owner".repeat(40);
    for batch in 0..40 {
        let items: Vec<_> = (0..25).map(|n| item(&format!("{batch}-{n}"), &owner)).collect();
        put(&store, &items).await.unwrap();
    }
    store.close().unwrap();
    let file = fs::read(dir.path().join("db/db")).unwrap();
    let size = file.iter().rposition(|byte| *byte != 0).unwrap();
    let mut named = 0;
    for round in 0..ROUNDS {
        let copy = tempfile::tempdir().unwrap();
        copy_tree(dir.path(), copy.path());
        let mut bytes = file.clone();
        let at = size * (2 * round + 1) / (2 * ROUNDS);
        bytes[at..(at + 2000).min(size)].fill(0x5a);
        fs::write(copy.path().join("db/db"), &bytes).unwrap();
        match Renewal::begin(copy.path()).unwrap().now(&[]) {
            Ok(_) => {}
            Err(error) => {
                assert_eq!(error.reason(), Reason::DataDamaged, "{error}");
                named += 1;
            }
        }
    }
    println!("{named} of {ROUNDS} named");
    assert!(named > 0);
}

const ROUNDS: usize = 24;

#[tokio::test]
async fn t81_a_store_that_is_as_it_was_last_week_is_not_taken_for_whole() {
    let (dir, store) = new();
    put(&store, &[item("a", "alice")]).await.unwrap();
    store.close().unwrap();
    let old = tempfile::tempdir().unwrap();
    copy_tree(dir.path(), old.path());
    let store = open(dir.path());
    put(&store, &[item("b", "alice")]).await.unwrap();
    put(&store, &[item("c", "alice")]).await.unwrap();
    store.close().unwrap();
    fs::remove_dir_all(dir.path().join("db")).unwrap();
    copy_tree(&old.path().join("db"), &dir.path().join("db"));
    check_damaged(dir.path(), "its last changes are gone, 2 of them");
    // All of a directory, as a backup has it, is as good as new.
    assert!(get(&open(old.path()), "a").await.is_some());
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

fn raw(dir: &Path, change: impl Fn(&sled::tests::Raw) -> sled::tests::RawResult<()>) {
    sled::tests::raw(&dir.join("db"), change);
}

fn check_damaged(dir: &Path, what: &str) {
    let error = refused(dir);
    assert_eq!(error.reason(), Reason::DataDamaged, "{error}");
    for part in [dir.to_str().unwrap(), what, "Restore a backup"] {
        assert!(error.message().contains(part), "{error}");
    }
}
