//! What a tree promises, tried on a real disk.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use bytes::Bytes;
use tempfile::TempDir;

use super::*;

const START: Timestamp = Timestamp(1_790_000_000);

async fn tree() -> (TempDir, Tree) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let tree = Tree::create(&folder.path().join("tree")).await.expect("a tree");
    (folder, tree)
}

fn path(text: &str) -> TreePath {
    TreePath::parse(text).expect("good paths")
}

async fn put(tree: &Tree, at: &str, content: &str, replace: Replace) -> Result<Entry> {
    let mut upload = tree.write(&path(at)).await?;
    upload.write(Bytes::copy_from_slice(content.as_bytes())).await?;
    upload.finish(replace).await
}

async fn get(tree: &Tree, at: &str) -> Option<String> {
    let (_, file) = tree.read(&path(at)).await.ok()?;
    std::io::read_to_string(file).ok()
}

fn reason<T>(result: Result<T>) -> Option<Reason> {
    result.err().map(|error| error.reason())
}

async fn names(tree: &Tree, at: &str) -> Vec<String> {
    let entries = tree.list(&path(at), 100).await.expect("a folder");
    entries.into_iter().map(|entry| entry.name).collect()
}

/// Everything on the disk beneath a folder, hidden names too.
fn on_disk(folder: &Path) -> Vec<String> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn what_was_written_is_read_listed_and_counted() {
    let (folder, tree) = tree().await;
    tree.make_folder(&path("a")).await.expect("a folder");
    let written = put(&tree, "a/b.txt", "hello", Replace::Never).await.expect("a file");
    assert_eq!(get(&tree, "a/b.txt").await.as_deref(), Some("hello"));
    assert_eq!(tree.stat(&path("a/b.txt")).await.expect("an entry"), written);
    assert_eq!(
        (written.name.as_str(), written.size, written.is_folder()),
        ("b.txt", 5, false)
    );
    assert!(written.etag.starts_with('"') && written.etag.ends_with('"'));
    assert_eq!(tree.usage(&TreePath::root()).await.expect("a number"), 5);
    assert!(tree.free().await.expect("a number") > 0);
    assert_eq!(names(&tree, "").await, ["a"]);
    assert!(tree.stat(&TreePath::root()).await.expect("the top").is_folder());
    let mode = |name: &str| {
        let metadata = fs::metadata(folder.path().join("tree").join(name)).expect("metadata");
        metadata.permissions().mode() & 0o777
    };
    assert_eq!((mode(""), mode("a"), mode("a/b.txt")), (0o700, 0o700, 0o600));
}

#[tokio::test]
async fn a_listing_is_by_name_and_no_longer_than_asked_for() {
    let (folder, tree) = tree().await;
    for name in ["c", "a", "B", "d"] {
        put(&tree, name, "", Replace::Never).await.expect("a file");
    }
    fs::write(folder.path().join("tree/back\\slash"), "").expect("a file");
    fs::write(folder.path().join("tree/.ocmesh-upload-1"), "").expect("a file");
    assert_eq!(names(&tree, "").await, ["B", "a", "c", "d"]);
    let two = tree.list(&TreePath::root(), 2).await.expect("a folder");
    assert_eq!(
        two.iter().map(|entry| entry.name.as_str()).collect::<Vec<_>>(),
        ["B", "a"]
    );
}

#[tokio::test]
async fn what_cannot_be_is_refused_with_its_reason() {
    let (_folder, tree) = tree().await;
    put(&tree, "file", "1", Replace::Never).await.expect("a file");
    tree.make_folder(&path("folder")).await.expect("a folder");
    let root = TreePath::root();
    assert_eq!(reason(tree.stat(&path("nothing")).await), Some(Reason::NotFound));
    assert_eq!(reason(tree.stat(&path("file/below")).await), Some(Reason::NotFound));
    assert_eq!(reason(tree.read(&path("folder")).await), Some(Reason::NotFound));
    assert_eq!(reason(tree.list(&path("file"), 9).await), Some(Reason::NotFound));
    assert_eq!(
        reason(put(&tree, "no/where", "", Replace::Always).await),
        Some(Reason::Conflict)
    );
    assert_eq!(
        reason(put(&tree, "folder", "", Replace::Always).await),
        Some(Reason::AlreadyExists)
    );
    assert_eq!(
        reason(tree.make_folder(&path("file")).await),
        Some(Reason::AlreadyExists)
    );
    assert_eq!(
        reason(tree.make_folder(&path("no/where")).await),
        Some(Reason::Conflict)
    );
    assert_eq!(reason(tree.remove(&root).await), Some(Reason::NotAllowed));
    assert_eq!(reason(tree.write(&root).await), Some(Reason::NotAllowed));
    assert_eq!(
        reason(tree.rename(&path("folder"), &path("folder/in"), true).await),
        Some(Reason::NotAllowed)
    );
    assert_eq!(
        reason(tree.copy(&path("file"), &path("file"), true, true).await),
        Some(Reason::NotAllowed)
    );
    assert_eq!(
        reason(tree.rename(&path("file"), &path("folder"), false).await),
        Some(Reason::AlreadyExists)
    );
    assert_eq!(
        reason(tree.rename(&path("nothing"), &path("x"), false).await),
        Some(Reason::NotFound)
    );
    assert_eq!(
        reason(tree.rename(&path("file"), &path("no/where"), false).await),
        Some(Reason::Conflict)
    );
    assert_eq!(get(&tree, "file").await.as_deref(), Some("1"));
}

#[tokio::test]
async fn a_file_is_replaced_only_on_its_condition() {
    let (_folder, tree) = tree().await;
    let first = put(&tree, "f", "first", Replace::Never)
        .await
        .expect("nothing was there");
    assert_eq!(
        reason(put(&tree, "f", "no", Replace::Never).await),
        Some(Reason::AlreadyExists)
    );
    let second = put(&tree, "f", "second", Replace::Only(first.etag.clone()))
        .await
        .expect("the right etag");
    assert_ne!(first.etag, second.etag);
    assert_eq!(
        reason(put(&tree, "f", "no", Replace::Only(first.etag.clone())).await),
        Some(Reason::Conflict)
    );
    assert_eq!(
        reason(put(&tree, "g", "no", Replace::Only(first.etag)).await),
        Some(Reason::Conflict)
    );
    assert_eq!(get(&tree, "f").await.as_deref(), Some("second"));
    put(&tree, "f", "third", Replace::Always).await.expect("no condition");
    assert_eq!(
        (names(&tree, "").await, get(&tree, "f").await.as_deref()),
        (vec!["f".to_owned()], Some("third"))
    );
}

#[tokio::test]
async fn of_many_that_create_the_same_file_at_once_one_succeeds() {
    let (_folder, tree) = tree().await;
    let tasks: Vec<_> = (0..8)
        .map(|number| {
            let tree = tree.clone();
            tokio::spawn(async move { put(&tree, "f", &number.to_string(), Replace::Never).await.is_ok() })
        })
        .collect();
    let mut succeeded = 0;
    for task in tasks {
        succeeded += usize::from(task.await.expect("no panic"));
    }
    assert_eq!(succeeded, 1);
}

#[tokio::test]
async fn t67_an_upload_that_is_dropped_leaves_the_old_file_and_nothing_else() {
    let (folder, tree) = tree().await;
    put(&tree, "f", "old", Replace::Never).await.expect("a file");
    let mut upload = tree.write(&path("f")).await.expect("an upload");
    upload.write(Bytes::from(vec![b'x'; 1_000_000])).await.expect("room");
    assert_eq!(
        on_disk(&folder.path().join("tree")).len(),
        2,
        "the new content is beside the old"
    );
    assert_eq!(upload.size(), 1_000_000);
    drop(upload);
    assert_eq!(on_disk(&folder.path().join("tree")), ["f"]);
    assert_eq!(get(&tree, "f").await.as_deref(), Some("old"));
}

#[tokio::test]
async fn t67_a_reader_keeps_the_file_it_opened_while_it_is_replaced() {
    let (_folder, tree) = tree().await;
    put(&tree, "f", "old", Replace::Never).await.expect("a file");
    let (entry, open) = tree.read(&path("f")).await.expect("a file");
    put(&tree, "f", "newer", Replace::Always).await.expect("a file");
    assert_eq!(
        (entry.size, std::io::read_to_string(open).expect("text").as_str()),
        (3, "old")
    );
}

#[tokio::test]
async fn t67_what_a_crash_left_behind_is_swept_at_start() {
    let (folder, tree) = tree().await;
    tree.make_folder(&path("a")).await.expect("a folder");
    put(&tree, "a/f", "stays", Replace::Never).await.expect("a file");
    let disk = folder.path().join("tree");
    fs::write(disk.join("a/.ocmesh-upload-0123"), "half").expect("a file");
    fs::create_dir_all(disk.join(".ocmesh-upload-4567/deep/er")).expect("a folder");
    fs::write(disk.join(".ocmesh-upload-4567/deep/f"), "half").expect("a file");
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join(".ocmesh-upload-89ab"), "not ours").expect("a file");
    symlink(&outside, disk.join("link")).expect("a link");

    assert_eq!(tree.sweep().await.expect("swept"), 2);
    assert_eq!(on_disk(&disk), ["a", "link"]);
    assert_eq!(on_disk(&disk.join("a")), ["f"]);
    assert_eq!(
        on_disk(&outside),
        [".ocmesh-upload-89ab"],
        "a link is not followed to sweep elsewhere"
    );
    assert_eq!(tree.sweep().await.expect("swept"), 0);
}

/// Where the process writes that is killed.
const WRITE_TO: &str = "OCMESH_TEST_WRITE_TO";

/// Each content is of one byte, as long as that byte says.
fn uniform(byte: u8) -> Vec<u8> {
    vec![byte; (usize::from(byte) + 1) * 2000]
}

#[tokio::test]
/// The process of the test below; by itself it does nothing.
async fn a_writer_that_will_be_killed() {
    let Some(folder) = std::env::var_os(WRITE_TO) else {
        return;
    };
    let tree = Tree::open(Path::new(&folder)).await.expect("a tree");
    for byte in (0..=255).cycle() {
        let mut upload = tree.write(&path("f")).await.expect("an upload");
        upload.write(uniform(byte).into()).await.expect("room");
        upload.finish(Replace::Always).await.expect("a file");
    }
}

#[tokio::test]
async fn t67_killed_at_any_moment_a_writer_leaves_the_old_file_or_the_new() {
    let (folder, tree) = tree().await;
    let disk = folder.path().join("tree");
    for round in 0..50 {
        let mut writer = std::process::Command::new(std::env::current_exe().expect("this program"))
            .args(["--exact", "files::tests::a_writer_that_will_be_killed"])
            .env(WRITE_TO, &disk)
            .stdout(std::process::Stdio::null())
            .spawn()
            .expect("a process");
        let before = tree.stat(&path("f")).await.ok();
        while tree.stat(&path("f")).await.ok() == before {
            assert_eq!(writer.try_wait().expect("a status"), None, "the writer ended by itself");
            tokio::task::yield_now().await;
        }
        // The one place where time matters itself: what is tried is to hit another moment each time.
        std::thread::sleep(Duration::from_micros(round * 137));
        writer.kill().expect("a running process");
        writer.wait().expect("an end");
        let content = fs::read(disk.join("f")).expect("a file");
        assert_eq!(content, uniform(content[0]), "round {round}");
        tree.sweep().await.expect("swept");
        assert_eq!(on_disk(&disk), ["f"], "round {round}");
    }
}

#[tokio::test]
async fn folders_are_moved_copied_and_removed_whole() {
    let (folder, tree) = tree().await;
    tree.make_folder(&path("a")).await.expect("a folder");
    tree.make_folder(&path("a/b")).await.expect("a folder");
    put(&tree, "a/b/f", "1", Replace::Never).await.expect("a file");
    put(&tree, "x", "2", Replace::Never).await.expect("a file");

    assert!(!tree.copy(&path("a"), &path("c"), false, true).await.expect("a copy"));
    assert_eq!(get(&tree, "c/b/f").await.as_deref(), Some("1"));
    assert!(
        tree.copy(&path("a"), &path("c"), true, false).await.expect("a copy"),
        "replaced"
    );
    assert_eq!(
        names(&tree, "c").await,
        Vec::<String>::new(),
        "a shallow copy of a folder is empty"
    );

    // A folder over a folder, a file over a folder, a folder over a file.
    assert!(tree.rename(&path("a"), &path("c"), true).await.expect("moved"));
    assert_eq!(
        (names(&tree, "").await, get(&tree, "c/b/f").await.as_deref()),
        (vec!["c".into(), "x".into()], Some("1"))
    );
    assert!(tree.copy(&path("c"), &path("x"), true, true).await.expect("a copy"));
    assert_eq!(get(&tree, "x/b/f").await.as_deref(), Some("1"));
    assert!(tree.rename(&path("x/b/f"), &path("c"), true).await.expect("moved"));
    assert_eq!(get(&tree, "c").await.as_deref(), Some("1"));

    tree.remove(&path("x")).await.expect("removed");
    tree.remove(&path("c")).await.expect("removed");
    assert_eq!(
        on_disk(&folder.path().join("tree")),
        Vec::<String>::new(),
        "nothing is left under a hidden name"
    );
}

#[tokio::test]
async fn the_time_of_a_file_can_be_set_and_changes_its_etag() {
    let (_folder, tree) = tree().await;
    let before = put(&tree, "f", "1", Replace::Never).await.expect("a file");
    tree.touch(&path("f"), Timestamp(1_000_000_000)).await.expect("set");
    let after = tree.stat(&path("f")).await.expect("an entry");
    assert_eq!(after.modified, Timestamp(1_000_000_000));
    assert_ne!(after.etag, before.etag);
}

#[tokio::test]
async fn every_folder_above_a_change_says_that_something_changed_and_none_beside_it() {
    let (_folder, tree) = tree().await;
    for made in ["a/b/c", "beside/x"] {
        tree.make_folders(&path(made)).await.expect("folders");
    }
    put(&tree, "beside/f", "1", Replace::Never).await.expect("a file");
    let etags = async || {
        let mut etags = Vec::new();
        for folder in ["", "a", "a/b", "a/b/c", "beside", "beside/x"] {
            etags.push(tree.stat(&path(folder)).await.expect("a folder").etag);
        }
        etags
    };
    // Faster than the kernel's own stamps, and each time another.
    let mut before = etags().await;
    for step in 0..60 {
        match step % 6 {
            0 => drop(put(&tree, "a/b/c/f", "1", Replace::Always).await.expect("a file")),
            1 => drop(put(&tree, "a/b/c/f", "2", Replace::Always).await.expect("a file")),
            2 => tree.touch(&path("a/b/c/f"), START).await.expect("set"),
            3 => drop(
                tree.rename(&path("a/b/c/f"), &path("a/b/c/g"), true)
                    .await
                    .expect("moved"),
            ),
            4 => drop(
                tree.copy(&path("a/b/c/g"), &path("a/b/c/h"), true, true)
                    .await
                    .expect("copied"),
            ),
            _ => tree.remove(&path("a/b/c/h")).await.expect("removed"),
        }
        let after = etags().await;
        for (number, (before, after)) in before.iter().zip(&after).enumerate() {
            assert_eq!(before != after, number < 4, "step {step}, folder {number}");
        }
        before = after;
    }
    // From one side to the other: both sides.
    tree.rename(&path("a/b/c/g"), &path("beside/x/g"), false)
        .await
        .expect("moved");
    let after = etags().await;
    assert!(before.iter().zip(&after).all(|(before, after)| before != after));
}

#[tokio::test]
async fn a_file_that_arrives_in_a_folder_that_was_moved_meanwhile_is_noticed_where_it_is() {
    let (_folder, tree) = tree().await;
    for made in ["old/in", "new"] {
        tree.make_folders(&path(made)).await.expect("folders");
    }
    let upload = tree.write(&path("old/in/f")).await.expect("an upload");
    tree.rename(&path("old/in"), &path("new/in"), false)
        .await
        .expect("moved");
    let etag = async |at: &str| tree.stat(&path(at)).await.expect("a folder").etag;
    let before = (etag("old").await, etag("new").await, etag("").await);
    upload.finish(Replace::Never).await.expect("a file");
    let after = (etag("old").await, etag("new").await, etag("").await);
    assert!(before.0 == after.0 && before.1 != after.1 && before.2 != after.2);
}

#[tokio::test]
async fn a_subtree_knows_nothing_of_what_is_around_it() {
    let (_folder, tree) = tree().await;
    tree.make_folder(&path("alice")).await.expect("a folder");
    put(&tree, "alice/f", "1", Replace::Never).await.expect("a file");
    put(&tree, "secret", "2", Replace::Never).await.expect("a file");
    let alice = tree.subtree(&path("alice")).await.expect("a folder");
    assert_eq!(names(&alice, "").await, ["f"]);
    assert_eq!(get(&alice, "secret").await, None);
    // It is the folder, not its name: it stays the same when that changes.
    tree.rename(&path("alice"), &path("bob"), false).await.expect("moved");
    assert_eq!(get(&alice, "f").await.as_deref(), Some("1"));
}

/// A tree that someone has put things into that lead elsewhere, or are no files at all.
async fn booby_trapped() -> (TempDir, Tree) {
    let (folder, tree) = tree().await;
    let disk = folder.path().join("tree");
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("secret"), "secret").expect("a file");
    symlink(outside.join("secret"), disk.join("file-link")).expect("a link");
    symlink(&outside, disk.join("folder-link")).expect("a link");
    symlink("/nowhere", disk.join("broken-link")).expect("a link");
    symlink("self", disk.join("self")).expect("a link");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        disk.join("pipe"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .expect("a pipe");
    drop(UnixListener::bind(disk.join("socket")).expect("a socket"));
    (folder, tree)
}

const TRAPS: [&str; 6] = ["file-link", "folder-link", "broken-link", "self", "pipe", "socket"];

#[tokio::test]
async fn t58_links_pipes_and_sockets_are_not_there_and_nothing_waits_for_them() {
    let (folder, tree) = booby_trapped().await;
    put(&tree, "good", "good", Replace::Never).await.expect("a file");
    let all = async {
        assert_eq!(names(&tree, "").await, ["good"]);
        assert_eq!(tree.usage(&TreePath::root()).await.expect("a number"), 4);
        for trap in TRAPS {
            let at = path(trap);
            assert_eq!(reason(tree.stat(&at).await), Some(Reason::NotFound), "{trap}");
            assert_eq!(reason(tree.read(&at).await), Some(Reason::NotFound), "{trap}");
            assert_eq!(reason(tree.list(&at, 9).await), Some(Reason::NotFound), "{trap}");
            assert_eq!(reason(tree.subtree(&at).await), Some(Reason::NotFound), "{trap}");
            assert_eq!(reason(tree.remove(&at).await), Some(Reason::NotFound), "{trap}");
            assert_eq!(
                reason(tree.touch(&at, Timestamp(1)).await),
                Some(Reason::NotFound),
                "{trap}"
            );
            assert_eq!(
                reason(tree.copy(&at, &path("copy"), true, true).await),
                Some(Reason::NotFound),
                "{trap}"
            );
            assert_eq!(
                reason(tree.rename(&at, &path("moved"), true).await),
                Some(Reason::NotFound),
                "{trap}"
            );
            assert_eq!(
                reason(put(&tree, trap, "x", Replace::Always).await),
                Some(Reason::UnsafePath),
                "{trap}"
            );
            assert_eq!(
                reason(tree.copy(&path("good"), &at, true, true).await),
                Some(Reason::UnsafePath),
                "{trap}"
            );
            assert_eq!(
                reason(tree.rename(&path("good"), &at, true).await),
                Some(Reason::UnsafePath),
                "{trap}"
            );
            let below = format!("{trap}/secret");
            assert_eq!(get(&tree, &below).await, None, "{trap}");
            assert_eq!(
                reason(put(&tree, &below, "x", Replace::Always).await),
                Some(Reason::Conflict),
                "{trap}"
            );
            assert_eq!(
                reason(tree.make_folder(&path(&below)).await),
                Some(Reason::Conflict),
                "{trap}"
            );
        }
    };
    tokio::time::timeout(Duration::from_secs(20), all)
        .await
        .expect("nothing waits");
    assert_eq!(
        fs::read_to_string(folder.path().join("outside/secret")).expect("a file"),
        "secret"
    );
    assert_eq!(on_disk(&folder.path().join("outside")), ["secret"]);
}

#[tokio::test]
async fn t58_removing_or_copying_a_folder_does_not_follow_the_links_in_it() {
    let (folder, tree) = booby_trapped().await;
    let top = Tree::open(folder.path()).await.expect("a tree");
    top.copy(&path("tree"), &path("copy"), false, true)
        .await
        .expect("a copy");
    assert_eq!(on_disk(&folder.path().join("copy")), Vec::<String>::new());
    top.remove(&path("tree")).await.expect("removed");
    assert_eq!(on_disk(folder.path()), ["copy", "outside"]);
    assert_eq!(on_disk(&folder.path().join("outside")), ["secret"]);
    drop(tree);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn t58_a_folder_swapped_for_a_link_again_and_again_never_leads_outside() {
    let (folder, tree) = tree().await;
    let disk = folder.path().join("tree");
    let outside = folder.path().join("outside");
    fs::create_dir(&outside).expect("a folder");
    fs::write(outside.join("f"), "secret").expect("a file");
    fs::create_dir(disk.join("a")).expect("a folder");
    fs::write(disk.join("a/f"), "good").expect("a file");
    symlink(&outside, disk.join("b")).expect("a link");
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let swapper = std::thread::spawn({
        let stop = stop.clone();
        move || {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                let flags = rustix::fs::RenameFlags::EXCHANGE;
                let (a, b) = (disk.join("a"), disk.join("b"));
                rustix::fs::renameat_with(rustix::fs::CWD, a, rustix::fs::CWD, b, flags).expect("an exchange");
            }
        }
    });
    let mut seen = 0;
    for _ in 0..3000 {
        match get(&tree, "a/f").await {
            Some(content) => {
                assert_eq!(content, "good");
                seen += 1;
            }
            None => tokio::task::yield_now().await,
        }
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    swapper.join().expect("no panic");
    assert!(seen > 0, "the good file was never there: nothing was tried");
}
