//! Cuts the power: after the kill only what was synced is left (see `powercut.c`), and nothing that was answered is lost.
//!
//! `POWER_CUT_CYCLES` says how often.

mod writer;

use std::env;
use std::fs;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use ocmesh::files::Replace;
use ocmesh::files::Tree;
use ocmesh::files::TreePath;
use tempfile::TempDir;

#[test]
fn writer() {
    writer::write_until_killed();
}

#[test]
fn t81_nothing_that_was_answered_is_lost_when_the_power_is_cut() {
    let Some(power) = Power::new() else { return };
    let cycles: u64 =
        env::var("POWER_CUT_CYCLES").map_or(6, |cycles| cycles.parse().expect("POWER_CUT_CYCLES is a number"));
    let mut acked = 0;
    let mut dir = power.dir("0");
    for cycle in 1..=cycles {
        let shadow = power.dir(&format!("shadow-{cycle}"));
        let child = writer::start("writer", &dir, &power.cut(&dir, &shadow));
        let promised = writer::kill(child, 50, 900);
        // The next one goes on with what this one left.
        dir = shadow.join("tree");
        let lost = writer::check(&dir, &promised);
        assert!(
            lost.0.is_empty(),
            "cycle {cycle} of {cycles}, {acked} acked before: {lost}"
        );
        acked += promised.count;
    }
    println!("power cut: cycles={cycles} acked={acked} lost=0");
    assert!(acked > 0, "nothing was written at all");
}

/// The engine's own flush is not enough; and a harness that never finds anything would be worth nothing.
#[test]
fn the_power_cut_harness_notices_missing_fsync() {
    let Some(power) = Power::new() else { return };
    for cycle in 1..=6 {
        let (dir, shadow) = (power.dir(&format!("{cycle}")), power.dir(&format!("shadow-{cycle}")));
        let mut environment = power.cut(&dir, &shadow).to_vec();
        environment.push(("POWERCUT_FDATASYNC_LIES", Path::new("1")));
        let child = writer::start("writer", &dir, &environment);
        let promised = writer::kill(child, 500, 900);
        let lost = writer::check(&shadow.join("tree"), &promised);
        if !lost.0.is_empty() {
            println!("without fdatasync, in cycle {cycle}: {lost}");
            return;
        }
    }
    panic!("six power cuts without a single fdatasync lost nothing");
}

/// Writes files in each of these ways and waits to be killed.
#[test]
fn file_writer() {
    let Some(dir) = env::var_os("FILE_WRITER_DIR").map(PathBuf::from) else {
        return;
    };
    for (number, way) in WAYS.iter().enumerate() {
        // Each has a directory of its own that is on disk already, so that one's sync is not the other's.
        let dir = dir.join(number.to_string());
        if way.replaces {
            File::open(dir.join("file")).unwrap();
        }
        let mut file = File::create(dir.join("temporary")).unwrap();
        file.write_all(b"all of it").unwrap();
        if way.syncs_file {
            file.sync_all().unwrap();
        }
        fs::rename(dir.join("temporary"), dir.join("file")).unwrap();
        if way.syncs_directory {
            File::open(dir).unwrap().sync_all().unwrap();
        }
    }
    println!("\ndone");
    std::thread::park();
}

struct Way {
    replaces: bool,
    syncs_file: bool,
    syncs_directory: bool,
    left: Option<&'static str>,
}

const WAYS: &[Way] = &[
    way(false, true, true, Some("all of it")),
    way(true, true, true, Some("all of it")),
    way(true, true, false, Some("old")),
    way(false, true, false, None),
    way(false, false, true, Some("")),
    way(true, false, true, Some("")),
    way(true, false, false, Some("old")),
];

const fn way(replaces: bool, syncs_file: bool, syncs_directory: bool, left: Option<&'static str>) -> Way {
    Way {
        replaces,
        syncs_file,
        syncs_directory,
        left,
    }
}

#[test]
fn of_a_file_only_what_was_synced_is_left_under_the_name_that_was_synced() {
    let Some(power) = Power::new() else { return };
    let (dir, shadow) = (power.dir("files"), power.dir("shadow"));
    for (number, way) in WAYS.iter().enumerate() {
        fs::create_dir(dir.join(number.to_string())).unwrap();
        if way.replaces {
            fs::write(dir.join(number.to_string()).join("file"), "old").unwrap();
        }
    }
    run_until_done("file_writer", "FILE_WRITER_DIR", &dir, &power.cut(&dir, &shadow));
    for (number, way) in WAYS.iter().enumerate() {
        let left = fs::read_to_string(shadow.join("tree").join(number.to_string()).join("file")).ok();
        assert_eq!(left.as_deref(), way.left, "way {number}");
    }
}

/// Does to a tree of files what people do, says so, and waits to be killed.
#[test]
fn tree_writer() {
    let Some(dir) = env::var_os("TREE_WRITER_DIR").map(PathBuf::from) else {
        return;
    };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(change_files(&dir));
    println!("\ndone");
    std::thread::park();
}

async fn change_files(dir: &Path) {
    let path = |text: &str| TreePath::parse(text).unwrap();
    let tree = Tree::create(dir).await.unwrap();
    let put = async |name: &str, content: &str| {
        let mut upload = tree.write(&path(name)).await.unwrap();
        upload.write(content.to_owned().into()).await.unwrap();
        upload.finish(Replace::Always).await.unwrap();
    };
    put("new.txt", "new").await;
    put("replaced.txt", "old").await;
    put("replaced.txt", "newer").await;
    tree.make_folders(&path("folder/deeper")).await.unwrap();
    put("folder/deeper/inside.txt", "inside").await;
    put("here.txt", "moved").await;
    tree.rename(&path("here.txt"), &path("folder/there.txt"), false)
        .await
        .unwrap();
    tree.copy(&path("folder/there.txt"), &path("copied.txt"), false, true)
        .await
        .unwrap();
    put("removed.txt", "gone").await;
    tree.remove(&path("removed.txt")).await.unwrap();
    // Never finished, so never promised.
    let mut upload = tree.write(&path("unfinished.txt")).await.unwrap();
    upload.write("half".into()).await.unwrap();
    std::mem::forget(upload);
}

/// Folders that are moved or copied whole are not here: the library follows directories by their names only.
#[test]
fn t67_files_of_people_hold_up_to_a_power_cut() {
    let Some(power) = Power::new() else { return };
    let (dir, shadow) = (power.dir("tree"), power.dir("shadow"));
    run_until_done("tree_writer", "TREE_WRITER_DIR", &dir, &power.cut(&dir, &shadow));
    let left = |name: &str| fs::read_to_string(shadow.join("tree").join(name)).ok();
    for (name, content) in [
        ("new.txt", "new"),
        ("replaced.txt", "newer"),
        ("folder/deeper/inside.txt", "inside"),
        ("folder/there.txt", "moved"),
        ("copied.txt", "moved"),
    ] {
        assert_eq!(left(name).as_deref(), Some(content), "{name}");
    }
    for name in ["here.txt", "removed.txt", "unfinished.txt"] {
        assert_eq!(left(name), None, "{name}");
    }
}

/// Runs one test of this binary as a process of its own until it says that it is done; then kills it.
fn run_until_done(test: &str, variable: &str, dir: &Path, environment: &[(&str, &Path)]) {
    let mut child = Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(variable, dir)
        .envs(environment.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = std::io::BufReader::new(child.stdout.take().unwrap());
    let done = std::io::BufRead::lines(output).any(|line| line.unwrap() == "done");
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(done);
}

/// The preloaded library, built for this run, and room for directories and their shadows.
struct Power {
    room: TempDir,
    library: PathBuf,
}

impl Power {
    /// Nothing on a machine that can't: it says why.
    fn new() -> Option<Self> {
        if !cfg!(target_os = "linux") {
            println!("skipped: a power cut can only be played on Linux");
            return None;
        }
        let room = tempfile::tempdir().unwrap();
        let library = room.path().join("powercut.so");
        let built = Command::new("cc")
            .args(["-shared", "-fPIC", "-O1", "-o"])
            .arg(&library)
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/powercut.c"))
            .args(["-ldl", "-lpthread"])
            .status();
        match built {
            Ok(status) => assert!(status.success(), "powercut.c does not compile"),
            Err(cause) => {
                println!("skipped: no C compiler (cc) to build powercut.c: {cause}");
                return None;
            }
        }
        Some(Self { room, library })
    }

    fn dir(&self, name: &str) -> PathBuf {
        let dir = self.room.path().join(name);
        fs::create_dir(&dir).unwrap();
        dir
    }

    fn cut<'a>(&'a self, dir: &'a Path, shadow: &'a Path) -> [(&'static str, &'a Path); 3] {
        [
            ("LD_PRELOAD", &self.library),
            ("POWERCUT_DIR", dir),
            ("POWERCUT_SHADOW", shadow),
        ]
    }
}
