//! Machines on a bad day: a second server on the same data, no room, no right, no clock. Each start says what is wrong and
//! what to do, and a server that runs gets over what passes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::time::Instant;

use ocmesh::app;
use ocmesh::app::Options;
use ocmesh::client::system_lookup;
use ocmesh::clock::Clock;
use ocmesh::clock::Timestamp;
use ocmesh::config::Config;
use ocmesh::error::Reason;
use ocmesh::site::World;

use crate::harness::Process;
use crate::harness::process::is_root;
use crate::harness::process::may_mount;
use crate::harness::process::namespace;
use crate::harness::process::told;
use crate::harness::skipped;

/// `ocmesh serve` with a file system of its own over its data.
fn on_a_disk(process: &Process, options: &str, before: &str) -> Command {
    fs::create_dir_all(process.path("data")).unwrap();
    let script = format!(
        "mount -t tmpfs -o {options} none data && {before} && exec {} serve",
        env!("CARGO_BIN_EXE_ocmesh")
    );
    let arguments = [namespace(), &["sh", "-c", &script]].concat();
    process.around("unshare", &arguments)
}

#[test]
fn t78_the_same_server_twice_is_refused_by_its_data_and_the_first_goes_on() {
    let mut process = Process::new("");
    process.start();
    let (code, said) = process.code(&["serve"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(
        said.contains("data") && said.contains(&process.id().to_string()),
        "{said}"
    );
    assert_eq!(process.status("/readyz"), Some(200));
    assert_eq!(process.code(&["user", "add", "ada"]).0, Some(0));
    assert_eq!(process.stop(), Some(0));
}

#[test]
fn data_that_can_not_be_written_stops_the_start() {
    let process = Process::new("");
    fs::write(process.path("data"), "a file").unwrap();
    let (code, said) = process.code(&["serve"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("data is a file and no folder"), "{said}");
    if is_root() {
        skipped("root may write everywhere");
        return;
    }
    let process = Process::new("");
    fs::create_dir(process.path("data")).unwrap();
    fs::set_permissions(process.path("data"), fs::Permissions::from_mode(0o500)).unwrap();
    let (code, said) = process.code(&["serve"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("Permission denied"), "{said}");
}

#[test]
fn root_leaves_nothing_in_the_data_of_another_user() {
    if !is_root() {
        skipped("only root could");
        return;
    }
    let process = Process::new("");
    fs::create_dir(process.path("data")).unwrap();
    std::os::unix::fs::chown(process.path("data"), Some(65_534), Some(65_534)).unwrap();
    for command in [&["serve"][..], &["user", "add", "ada"]] {
        let (code, said) = process.code(command);
        assert_eq!(code, Some(5), "{said}");
        assert!(said.contains("sudo -u '#65534'"), "{said}");
        assert_eq!(fs::read_dir(process.path("data")).unwrap().count(), 0);
    }
}

#[test]
fn t82_a_full_disk_or_one_that_is_read_only_stops_the_start() {
    if !may_mount() {
        return;
    }
    for (options, before, code, parts) in [
        (
            "size=64k",
            "head -c 70000 /dev/zero >data/fill; true",
            75,
            &["is full", "data"][..],
        ),
        ("size=8m,nr_inodes=3", "true", 75, &["is full", "one more file"]),
        (
            "size=8m",
            "mount -o remount,ro data",
            78,
            &["Read-only file system", "data"],
        ),
    ] {
        let process = Process::new("");
        let (ended, said) = told(on_a_disk(&process, options, before).output().unwrap());
        assert_eq!(ended, Some(code), "{options}: {said}");
        for part in parts {
            assert!(said.contains(part), "{options}: {said}");
        }
        assert!(!said.contains("panicked"), "{said}");
    }
}

#[actix_web::test]
async fn t83_no_server_starts_in_1970() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.data_dir = dir.path().join("data");
    let options = Options {
        world: World {
            clock: Clock::stopped_at(Timestamp(86_400)),
            lookup: system_lookup(),
        },
        ..Options::default()
    };
    let error = Box::pin(app::start(config, options)).await.err().unwrap();
    assert_eq!(error.reason(), Reason::ClockWrong);
    assert!(
        error.to_string().contains("1970-01-02") && error.to_string().contains("timedatectl"),
        "{error}"
    );
    assert!(!dir.path().join("data").exists());
}

#[test]
fn t82_a_server_whose_disk_was_full_takes_changes_again_without_a_restart() {
    if !may_mount() {
        return;
    }
    let mut process = Process::new("");
    let server = on_a_disk(&process, "size=32m", "true");
    process.start_as(server);
    let id = process.id();
    let disk = PathBuf::from(format!("/proc/{id}/root{}", process.path("data").display()));
    let mut acknowledged = Vec::new();
    let add = |process: &Process, acknowledged: &mut Vec<String>| {
        let name = format!("user{}", acknowledged.len());
        let (code, said) = process.code(&["user", "add", &name]);
        if code == Some(0) {
            acknowledged.push(name);
        }
        (code, said)
    };
    for _ in 0..3 {
        assert_eq!(add(&process, &mut acknowledged).0, Some(0));
    }
    let fill = || {
        let mut length = 1 << 20;
        let mut file = fs::File::create(disk.join("fill")).unwrap();
        let block = vec![0; length];
        while length > 0 {
            match std::io::Write::write(&mut file, &block[..length]) {
                Ok(_) => {}
                Err(_) => length /= 2,
            }
        }
    };
    fill();
    // The engine may have room left in what it holds already.
    let mut refused = String::new();
    for _ in 0..200 {
        let (code, said) = add(&process, &mut acknowledged);
        if code != Some(0) {
            refused = said;
            break;
        }
    }
    assert!(!refused.is_empty(), "the disk never was full");
    // Nothing can be changed, and what can be read is.
    assert_eq!(process.status("/readyz"), Some(503));
    assert_eq!(process.status("/livez"), Some(200));
    assert_eq!(process.status("/.well-known/ocm"), Some(200));
    assert_eq!(process.status("/login"), Some(200));
    let (code, list) = process.code(&["user", "list"]);
    assert_eq!(code, Some(0), "{list}");
    let (code, said) = process.code(&["status", "--ready"]);
    assert!(
        code != Some(0) && (said.contains("disk-full") || said.contains("store-stopped")),
        "{said}"
    );
    // It looks every two seconds, and finds no room each time.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        assert_eq!(process.status("/readyz"), Some(503), "there is no room yet");
        std::thread::sleep(Duration::from_millis(100));
    }
    fs::remove_file(disk.join("fill")).unwrap();
    process.wait_for("it to take changes again", |it| it.status("/readyz") == Some(200));
    assert_eq!(process.id(), id);
    for _ in 0..3 {
        let (code, said) = add(&process, &mut acknowledged);
        assert_eq!(code, Some(0), "{said}");
    }
    let (_, list) = process.code(&["user", "list"]);
    for name in &acknowledged {
        assert!(list.contains(name), "{name} was acknowledged and is lost: {list}");
    }
    assert!(!process.log().contains("panicked"), "{}", process.log());
    assert_eq!(process.stop(), Some(0));
}
