//! Kills the process that writes, again and again on the same store: nothing that was answered is lost (T-79 to T-81).
//!
//! `CRASH_CYCLES` says how often; the default is for every day, 500 for a release.

mod writer;

use std::env;

use ocmesh::error::Reason;
use ocmesh::store::Options;
use ocmesh::store::Store;

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
