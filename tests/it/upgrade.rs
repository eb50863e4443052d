//! Data that an earlier release wrote, in the hands of this one (T-87). What is in it: `tests/fixtures/README.md`.

use std::fs;
use std::fs::File;
use std::process::Stdio;
use std::thread;
use std::time::Instant;

use ocmesh::backup;
use serde_json::Value;

use crate::harness::Process;

/// A server of this release, not yet started, on data of format 1.
fn on_earlier_data() -> Process {
    let process = Process::new("");
    let port = process.port;
    process.reconfigure(
        &format!("public_url = \"http://127.0.0.1:{port}\""),
        "public_url = \"http://127.0.0.1:8420\"",
    );
    let earlier = File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/format-1.zip"));
    let mut earlier = zip::ZipArchive::new(earlier.unwrap()).unwrap();
    earlier.extract(process.path("data")).unwrap();
    process
}

/// The backups that were made before the data was changed.
fn saved(process: &Process) -> Vec<std::path::PathBuf> {
    let folder = fs::read_dir(process.path("data/backups"));
    let files = folder.into_iter().flatten().map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.extension().is_some_and(|end| end == "zip"))
        .collect()
}

fn everything_is_there(process: &Process) {
    let rows = |arguments: &[&str]| {
        let output = process.run(&[arguments, &["--json"]].concat());
        let error = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice::<Value>(&output.stdout).unwrap_or_else(|_| panic!("{arguments:?}: {error}"))
    };
    let all = |arguments: &[&str], field: &str| {
        let rows = rows(arguments);
        let values = rows.as_array().unwrap().iter();
        values
            .map(|row| row[field].as_str().unwrap_or_default().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(all(&["user", "list"], "name"), ["ada", "al"]);
    assert_eq!(
        all(&["share", "list", "--sent", "--user", "ada"], "share_with"),
        ["bob@127.0.0.1:8421"]
    );
    assert_eq!(
        all(&["contact", "list", "--user", "ada"], "address"),
        ["bob@127.0.0.1:8421"]
    );
    assert_eq!(all(&["peer", "list"], "host"), ["evil.example"]);
    let kid = "http://127.0.0.1:8420/ocm#ed25519-1795335668-R0oyb6t4";
    assert_eq!(all(&["key", "list"], "kid"), [kid]);
    let answer = process.get("/.well-known/jwks.json").unwrap();
    assert!(
        answer.contains("I62V4vXi3SOE3OAjSxcKxsuNINq2iguxVjwZUFZDvyY"),
        "{answer}"
    );
    let file = process.run(&["file", "get", "notes.txt", "-", "--user", "ada"]);
    assert_eq!(file.stdout, b"engine notes\n");
    // Nothing was put back, so nothing waits to be confirmed.
    assert_eq!(rows(&["backup", "review"]), Value::Array(Vec::new()));
}

#[test]
fn t87_data_of_an_earlier_release_is_saved_and_carried_over() {
    let mut process = on_earlier_data();
    assert!(saved(&process).is_empty());
    process.start();
    everything_is_there(&process);
    let [before] = &saved(&process)[..] else {
        panic!("{:?}", saved(&process));
    };
    assert_eq!(backup::verify(before).unwrap().format, 1);
    assert_eq!(process.stop(), Some(0));
    process.start();
    everything_is_there(&process);
    assert_eq!(saved(&process).len(), 1, "it is done once");
}

#[test]
fn t87_a_server_killed_while_it_brings_data_up_to_date_has_lost_nothing() {
    let cycles: u64 = std::env::var("CRASH_CYCLES").map_or(8, |cycles| cycles.parse().expect("a number"));
    let mut whole = on_earlier_data();
    let began = Instant::now();
    whole.start();
    let takes = began.elapsed();
    drop(whole);
    let (mut before, mut after) = (0, 0);
    for cycle in 0..cycles {
        let mut process = on_earlier_data();
        let mut killed = process.command(&["serve"]);
        let mut killed = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        // From hardly begun to nearly done.
        thread::sleep(takes * u32::try_from(cycle).unwrap() / u32::try_from(cycles).unwrap());
        killed.kill().unwrap();
        killed.wait().unwrap();
        match saved(&process).len() {
            0 => before += 1,
            _ => after += 1,
        }
        process.start();
        everything_is_there(&process);
        assert!(!saved(&process).is_empty());
        for name in ["exchange", "incoming", "before-format-2"] {
            assert!(!process.path("data").join(name).exists(), "cycle {cycle}: {name}");
        }
    }
    println!("killed before it was saved: {before}, later: {after}");
}
