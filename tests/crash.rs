//! Kills the process that writes, again and again on the same store: nothing that was answered is lost (T-79 to T-81).
//!
//! `CRASH_CYCLES` says how often; the default is for every day, 500 for a release.

mod writer;

use std::env;
use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Command;
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use actix_web::rt::System;
use ocmesh::audit::By;
use ocmesh::backup;
use ocmesh::backup::restore;
use ocmesh::clock::Timestamp;
use ocmesh::config::Config;
use ocmesh::error::Reason;
use ocmesh::site::Site;
use ocmesh::site::World;
use ocmesh::store;
use ocmesh::store::Key;
use ocmesh::store::Options;
use ocmesh::store::Record;
use ocmesh::store::Store;
use serde::Deserialize;
use serde::Serialize;

#[test]
fn writer() {
    writer::write_until_killed();
}

#[test]
fn t79_nothing_that_was_answered_is_lost_when_the_server_is_killed() {
    let cycles: u64 = env::var("CRASH_CYCLES").map_or(20, |cycles| cycles.parse().expect("CRASH_CYCLES is a number"));
    let dir = tempfile::tempdir().unwrap();
    let mut acked = 0;
    for cycle in 1..=cycles {
        let child = writer::start("writer", dir.path(), &[]);
        let promised = writer::kill(child, 100, 600);
        let lost = writer::check(dir.path(), &promised);
        assert!(
            lost.0.is_empty(),
            "cycle {cycle} of {cycles}, {acked} acked before: {lost}"
        );
        acked += promised.count;
    }
    println!("crash: cycles={cycles} acked={acked} lost=0");
    assert!(acked > 0, "nothing was written at all");
}

#[test]
fn t78_a_second_process_is_refused_with_the_first_ones_number_and_the_first_unhurt() {
    let dir = tempfile::tempdir().unwrap();
    let child = writer::start("writer", dir.path(), &[]);
    let pid = child.id().to_string();
    let refused = loop {
        // It has the lock once its number stands there.
        if std::fs::read_to_string(dir.path().join("lock")).is_ok_and(|holder| holder == pid) {
            break Store::open(dir.path(), Options::default()).err();
        }
        std::thread::yield_now();
    };
    let refused = refused.expect("two processes have one store");
    assert_eq!(refused.reason(), Reason::DataLocked);
    assert!(refused.message().contains(&format!("process {pid}")), "{refused}");
    let promised = writer::kill(child, 300, 301);
    assert!(promised.count > 0);
    assert!(writer::check(dir.path(), &promised).0.is_empty());
}

/// What a child of [`t87_a_server_killed_while_a_backup_is_put_back_has_the_old_or_the_new`] does; nothing in any other
/// process.
#[test]
fn restorer() {
    let Some(dir) = env::var_os("RESTORER_DIR") else {
        return;
    };
    let config = config(Path::new(&dir));
    let file = Path::new(&dir).join("the.zip");
    println!("begun");
    let by = By::command_line("root");
    System::new()
        .block_on(Box::pin(restore::restore(
            &config,
            &file,
            None,
            &by,
            Timestamp(1_790_000_000),
        )))
        .unwrap();
    println!("done");
}

fn config(dir: &Path) -> Config {
    let mut config = Config::default();
    config.server.data_dir = dir.join("data");
    config.server.admin_socket = dir.join("admin.sock");
    config.backup.dir = dir.join("backups");
    config
}

/// So many people as are named, and what the store says of restores.
fn people(dir: &Path, add: &[String]) -> (usize, u64) {
    let store = Store::open(&dir.join("data"), Options::default()).unwrap();
    let found = System::new().block_on(async {
        for name in add {
            let note = Named { name: name.clone() };
            store.run(async |txn| txn.put(&note).await).await.unwrap();
        }
        let all = store::every(async |page| store.read(async |txn| txn.list::<Named>(Key::ALL, &page).await).await);
        (all.await.unwrap().len(), store.epoch().number)
    });
    store.close().unwrap();
    found
}

#[derive(Serialize, Deserialize)]
struct Named {
    name: String,
}

impl Record for Named {
    const KIND: &'static str = "named";

    fn key(&self) -> Key {
        Key::from(&self.name)
    }
}

#[test]
fn t87_a_server_killed_while_a_backup_is_put_back_has_the_old_or_the_new() {
    let cycles: u64 = env::var("CRASH_CYCLES").map_or(12, |cycles| cycles.parse().expect("CRASH_CYCLES is a number"));
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path();
    let early: Vec<String> = (0..300).map(|number| format!("early-{number}")).collect();
    people(dir, &early);
    System::new().block_on(async {
        let site = Box::pin(Site::open(config(dir), World::default())).await.unwrap();
        let file = Some(dir.join("the.zip"));
        site.backups.make(file, false, Timestamp(1_789_000_000)).await.unwrap();
        site.store.close().unwrap();
    });
    let (mut old, mut new, mut epoch) = (0, 0, 0);
    for cycle in 0..cycles {
        people(dir, &[format!("late-{cycle}")]);
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["restorer", "--exact", "--nocapture"])
            .env("RESTORER_DIR", dir)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(said.any(|line| line.unwrap().ends_with("begun")));
        // From nothing done to all done, and more often near the end, where things change places.
        thread::sleep(Duration::from_millis(cycle * 150));
        child.kill().unwrap();
        child.wait().unwrap();
        let (found, now) = people(dir, &[]);
        match now {
            same if same == epoch => {
                assert_eq!(found, 300 + 1 + old, "cycle {cycle}");
                old += 1;
            }
            next => {
                assert_eq!((found, next), (300, epoch + 1), "cycle {cycle}");
                (old, new, epoch) = (0, new + 1, next);
            }
        }
        for name in ["exchange", "incoming"] {
            assert!(!dir.join("data").join(name).exists(), "cycle {cycle}: {name}");
        }
    }
    println!("restore: cycles={cycles} finished={new}");
    backup::verify(&dir.join("the.zip")).unwrap();
}
