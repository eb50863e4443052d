//! `ocmesh backup` and `ocmesh restore` as whoever runs an installed service uses them: as root, for the data of another.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::lchown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;

use crate::harness::Process;
use crate::harness::process;
use crate::harness::skipped;

/// Nobody on any machine that runs tests.
const SERVICE: u32 = 54_321;

fn give(path: &Path, to: u32) {
    if fs::symlink_metadata(path).unwrap().is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), to);
        }
    }
    lchown(path, Some(to), Some(to)).unwrap();
}

/// All below a folder, and itself, that is not of this user.
fn not_of(path: &Path, user: u32) -> Vec<PathBuf> {
    let about = fs::symlink_metadata(path).unwrap();
    let mut found = Vec::new();
    if about.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            found.extend(not_of(&entry.unwrap().path(), user));
        }
    }
    if about.uid() != user || about.gid() != user {
        found.push(path.to_owned());
    }
    found
}

fn may_give() -> bool {
    let may = process::is_root();
    if !may {
        skipped("only root can give files to another user");
    }
    may
}

fn add_user(process: &Process, name: &str) {
    fs::write(process.path("password"), "correct horse battery\n").unwrap();
    let (code, said) = process.code(&["user", "add", name, "--password-file", "password", "--admin"]);
    assert_eq!(code, Some(0), "{said}");
}

fn users(process: &Process) -> Vec<String> {
    let output = process.run(&["user", "list", "--json"]);
    let all: Value = serde_json::from_slice(&output.stdout).unwrap();
    let names = all.as_array().unwrap().iter();
    names.map(|user| user["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_backup_is_written_by_the_command_that_asked_for_it_where_that_one_sees_it() {
    if !process::may_mount() {
        return;
    }
    let mut process = Process::new("");
    process.start();
    add_user(&process, "ada");
    // As with a private /tmp, here the other way round: the server does not see the folder that the command sees.
    fs::create_dir(process.path("own")).unwrap();
    let script = "mount -t tmpfs none own && \"$1\" backup create own/now.zip && \"$1\" backup verify own/now.zip \
                  && stat -c 'mode %a' own/now.zip && ls own && ! \"$1\" backup create own/now.zip";
    let shell = ["sh", "-c", script, "sh", env!("CARGO_BIN_EXE_ocmesh")];
    let output = process
        .around("unshare", &[process::namespace(), &shell].concat())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}{wrong}");
    for part in ["read back and whole", "now.zip is whole", "mode 600", "\nnow.zip\n"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(wrong.contains("is there already"), "{wrong}");
    // Where somebody else puts it, the server has no say, and nothing of it is left with the server.
    assert!(!said.contains("disk"), "{said}");
    assert_eq!(fs::read_dir(process.path("data/backups")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(process.path("own")).unwrap().count(), 0);
    let output = process.run(&["backup", "create", "own/other.zip", "--json"]);
    let made: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(
        made["verified"].is_string() && made["size"].as_u64().unwrap() > 0,
        "{made}"
    );
    assert!(Path::new(made["file"].as_str().unwrap()).is_absolute(), "{made}");
    process.stop();
    // Without a server, the same.
    let (code, said) = process.code(&["backup", "create", "own/third.zip"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("read back and whole") && !said.contains("disk of"),
        "{said}"
    );
}

#[test]
fn root_restores_as_the_user_whose_data_it_is() {
    if !may_give() {
        return;
    }
    let process = Process::new("");
    add_user(&process, "ada");
    let (code, said) = process.code(&["backup", "create", "now.zip"]);
    assert_eq!(code, Some(0), "{said}");
    add_user(&process, "bob");
    let data = process.path("data");
    give(&data, SERVICE);
    // The settings are there for that user to read, and the backup is not.
    fs::set_permissions(process.path("."), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(process.path("ocm.toml"), fs::Permissions::from_mode(0o644)).unwrap();
    // For all else root is refused as before.
    let (code, said) = process.code(&["user", "list"]);
    assert_eq!(code, Some(5), "{said}");
    let (code, said) = process.code(&["restore", "now.zip", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("Nothing was changed"), "{said}");
    assert!(not_of(&data, SERVICE).is_empty(), "{:?}", not_of(&data, SERVICE));
    // It is asked about by the one who knows.
    let (code, said) = process.code(&["restore", "now.zip"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(
        said.contains("--yes") && said.contains("now.zip takes its place"),
        "{said}"
    );
    let (code, said) = process.code(&["restore", "nowhere.zip", "--yes"]);
    assert_eq!(code, Some(3), "{said}");
    let (code, said) = process.code(&["restore", "now.zip", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(not_of(&data, SERVICE).is_empty(), "{:?}", not_of(&data, SERVICE));
    let names = || -> Vec<_> {
        let entries = fs::read_dir(&data).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    };
    assert!(names().iter().any(|name| name.starts_with("before-restore-")));
    assert!(!names().contains(&"restoring".to_owned()), "{:?}", names());
    // A volume of root's, open to a group, and a service that has its files in it.
    lchown(&data, Some(0), Some(SERVICE)).unwrap();
    fs::set_permissions(&data, fs::Permissions::from_mode(0o2775)).unwrap();
    let (code, said) = process.code(&["restore", "now.zip", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let others = not_of(&data, SERVICE);
    assert_eq!(others, [data.as_path()]);
    give(&data, 0);
    assert_eq!(users(&process), ["ada"]);
}

#[test]
fn a_journal_leads_nowhere_but_to_entries_of_the_data_directory() {
    let process = Process::new("");
    add_user(&process, "ada");
    assert_eq!(process.code(&["backup", "create", "now.zip"]).0, Some(0));
    let outside = process.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("precious"), "kept").unwrap();
    for journal in [
        format!("{{\"aside\":{outside:?},\"take_in\":[],\"put_aside\":[],\"keep\":false}}"),
        "{\"aside\":\"../outside\",\"take_in\":[],\"put_aside\":[],\"keep\":false}".to_owned(),
        "{\"aside\":\"before-x/../../outside\",\"take_in\":[],\"put_aside\":[],\"keep\":false}".to_owned(),
        "{\"aside\":\"before-x\",\"take_in\":[\"../outside\"],\"put_aside\":[],\"keep\":false}".to_owned(),
        "{\"aside\":\"before-x\",\"take_in\":[],\"put_aside\":[\"../outside\"],\"keep\":false}".to_owned(),
    ] {
        fs::write(process.path("data/exchange"), &journal).unwrap();
        for arguments in [&["restore", "now.zip", "--yes"][..], &["serve"]] {
            let (code, said) = process.code(arguments);
            assert_eq!(code, Some(78), "{journal}: {said}");
            assert!(said.contains("data/exchange"), "{said}");
        }
        assert_eq!(fs::read(outside.join("precious")).unwrap(), b"kept");
    }
    fs::remove_file(process.path("data/exchange")).unwrap();
    assert_eq!(users(&process), ["ada"]);
}

#[test]
fn a_look_at_a_backup_leaves_nothing_where_there_is_no_data() {
    let process = Process::new("");
    add_user(&process, "ada");
    assert_eq!(process.code(&["backup", "create", "now.zip"]).0, Some(0));
    fs::rename(process.path("data"), process.path("elsewhere")).unwrap();
    // As a disk that is not mounted.
    fs::create_dir(process.path("data")).unwrap();
    let (code, said) = process.code(&["restore", "now.zip", "--dry-run"]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_dir(process.path("data")).unwrap().count(), 0);
    assert_eq!(process.code(&["user", "list"]).0, Some(4));
}

#[test]
fn what_was_decided_in_data_that_is_not_whole_is_doubted_aloud() {
    let process = Process::new("");
    add_user(&process, "ada");
    assert_eq!(process.code(&["backup", "create", "now.zip"]).0, Some(0));
    fs::remove_file(process.path("data/db/db")).unwrap();
    let (code, said) = process.code(&["restore", "now.zip", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("may be let in again") && said.contains("its database is gone"),
        "{said}"
    );
    assert!(!said.contains("ocmesh user set"), "{said}");
    assert_eq!(users(&process), ["ada"]);
}

#[test]
fn a_restore_after_which_no_admin_can_sign_in_says_what_to_do() {
    let process = Process::new("");
    add_user(&process, "ada");
    assert_eq!(process.code(&["backup", "create", "now.zip"]).0, Some(0));
    add_user(&process, "bob");
    let (code, said) = process.code(&["user", "disable", "ada", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    let (code, said) = process.code(&["restore", "now.zip", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("Still disabled, as they were or were deleted: ada"),
        "{said}"
    );
    assert!(said.contains("ocmesh user enable NAME"), "{said}");
    assert_eq!(process.code(&["user", "enable", "ada"]).0, Some(0));
}

#[test]
fn a_backup_of_an_address_that_is_not_set_here_is_not_offered_a_new_name() {
    let process = Process::new("");
    add_user(&process, "ada");
    assert_eq!(process.code(&["backup", "create", "now.zip"]).0, Some(0));
    // As in a container that is started with other words than the server.
    let port = process.port;
    process.reconfigure(&format!("public_url = \"http://127.0.0.1:{port}\"\n"), "");
    let (code, said) = process.code(&["restore", "now.zip", "--yes"]);
    assert_eq!(code, Some(1), "{said}");
    let named = format!("This backup is of http://127.0.0.1:{port}, and server.public_url is not set here");
    assert!(said.contains(&named), "{said}");
}

#[test]
fn a_user_restores_into_a_volume_of_roots_that_is_open_to_their_group() {
    if !may_give() {
        return;
    }
    let process = Process::new("");
    add_user(&process, "ada");
    assert_eq!(process.code(&["backup", "create", "now.zip"]).0, Some(0));
    give(&process.path("."), SERVICE);
    lchown(process.path("data"), Some(0), Some(SERVICE)).unwrap();
    fs::set_permissions(process.path("data"), fs::Permissions::from_mode(0o2770)).unwrap();
    let mut command = process.command(&["restore", "now.zip", "--yes"]);
    let Ok(output) = command.uid(SERVICE).gid(SERVICE).output() else {
        skipped("another user can't run what was built here");
        return;
    };
    let wrong = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{wrong}");
    give(&process.path("."), 0);
    assert_eq!(users(&process), ["ada"]);
}

#[test]
fn what_can_not_be_read_in_the_data_directory_is_named_and_what_the_disk_has_there_is_left_out() {
    if !may_give() {
        return;
    }
    let process = Process::new("");
    add_user(&process, "ada");
    give(&process.path("."), SERVICE);
    for lost in ["data/lost+found", "data/tls/lost+found"] {
        fs::create_dir_all(process.path(lost)).unwrap();
        fs::set_permissions(process.path(lost), fs::Permissions::from_mode(0o700)).unwrap();
    }
    let as_service = |file: &str| {
        let mut command = process.command(&["backup", "create", file]);
        let output = command.uid(SERVICE).gid(SERVICE).output().ok()?;
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        Some((output.status.code(), said))
    };
    let Some((code, said)) = as_service("one.zip") else {
        skipped("another user can't run what was built here");
        return;
    };
    assert_eq!(code, Some(0), "{said}");
    let key = process.path("data/tls/key");
    fs::write(&key, "a key").unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    let (code, said) = as_service("two.zip").unwrap();
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("data/tls/key can't be read: Permission denied"), "{said}");
    assert!(!process.path("two.zip").exists() && !process.path("two.zip.part").exists());
}

#[test]
fn a_restore_that_would_be_refused_says_so_before_it_asks_and_every_other_says_what_comes_next() {
    let mut process = Process::new("");
    process.start();
    add_user(&process, "ada");
    assert_eq!(process.code(&["backup", "create", "now.zip"]).0, Some(0));
    let (code, said) = process.code(&["restore", "now.zip", "--dry-run"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("It would be refused") && said.contains("is in use"),
        "{said}"
    );
    let (code, said) = process.code(&["restore", "now.zip"]);
    assert_eq!(code, Some(4), "{said}");
    process.stop();
    for options in [&["--dry-run"] as &[&str], &[], &["--yes"]] {
        let (code, said) = process.code(&[&["restore", "nowhere.zip"], options].concat());
        assert_eq!(code, Some(3), "{said}");
        assert!(said.contains("nowhere.zip"), "{said}");
    }
    let (code, said) = process.code(&["restore", "now.zip", "--rename", "https://other.example", "--dry-run"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains("set server.public_url"), "{said}");
    let (code, said) = process.code(&["restore", "now.zip"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--yes"), "{said}");
    // What is in the way is told as it is.
    fs::rename(process.path("data"), process.path("kept")).unwrap();
    fs::write(process.path("data"), "").unwrap();
    let (code, said) = process.code(&["restore", "now.zip", "--dry-run"]);
    assert_eq!(code, Some(1), "{said}");
    assert!(
        said.contains("is a file and no folder") && !said.contains("in use"),
        "{said}"
    );
    fs::remove_file(process.path("data")).unwrap();
    fs::rename(process.path("kept"), process.path("data")).unwrap();
    let (code, said) = process.code(&["restore", "now.zip", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(
        said.contains("Accounts, passwords, rules and mode are those of"),
        "{said}"
    );
    let last = said.trim_end().lines().last().unwrap();
    assert!(last.starts_with("Start the server, then "), "{said}");
}

#[test]
fn old_backups_of_the_schedule_go_once_somebody_says_so_and_those_made_by_hand_stay() {
    let process = Process::new("keep = { daily = 1, weekly = 0, monthly = 0 }\n");
    add_user(&process, "ada");
    let (code, said) = process.code(&["backup", "create"]);
    assert_eq!(code, Some(0), "{said}");
    let folder = process.path("data/backups");
    let by_hand = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path());
    let by_hand: Vec<_> = by_hand
        .filter(|path| path.extension().is_some_and(|end| end == "zip"))
        .collect();
    assert_eq!(by_hand.len(), 1, "{by_hand:?}");
    for day in ["01", "02"] {
        let name = format!("ocmesh-backup-2026-10-{day}T000000Z.zip");
        fs::copy(&by_hand[0], folder.join(name)).unwrap();
    }
    let (code, said) = process.code(&["backup", "prune"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("--yes") && said.contains("made by hand"), "{said}");
    assert!(folder.join("ocmesh-backup-2026-10-01T000000Z.zip").exists());
    let (code, said) = process.code(&["backup", "prune", "--yes"]);
    assert_eq!(
        (code, said.trim()),
        (Some(0), "Removed: ocmesh-backup-2026-10-01T000000Z.zip")
    );
    assert!(by_hand[0].exists());
    assert_eq!(
        process.code(&["backup", "prune", "--yes"]).1.trim(),
        "All of them are kept."
    );
}

#[test]
fn a_journal_that_can_not_be_read_is_named_with_what_to_do() {
    let process = Process::new("");
    add_user(&process, "ada");
    assert_eq!(process.code(&["backup", "create", "now.zip"]).0, Some(0));
    fs::write(process.path("data/exchange"), "?").unwrap();
    let (code, said) = process.code(&["restore", "now.zip", "--yes"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("data/exchange") && said.contains("remove"), "{said}");
    let (code, said) = process.code(&["restore", "now.zip", "--dry-run"]);
    assert_eq!(code, Some(1), "{said}");
    fs::remove_file(process.path("data/exchange")).unwrap();
    let (code, said) = process.code(&["restore", "now.zip", "--yes"]);
    assert_eq!(code, Some(0), "{said}");
}
