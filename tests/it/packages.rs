//! What is handed out besides the binary: the unit, the manual, completions, an installation, an image. What needs a
//! clean Debian and a long build is `packaging/make` and `packaging/check`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use serde_json::Value;

use crate::harness::skipped;

/// What `systemd-analyze security` may say at most: 0 is a program that can do nothing, 10 one that may do anything.
const MAX_EXPOSURE: f64 = 2.0;

fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn ocmesh(arguments: &[&str]) -> Output {
    let nowhere = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocmesh"));
    command.args(arguments).current_dir(nowhere.path());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OCM_")) {
        command.env_remove(name);
    }
    command.output().unwrap()
}

fn said(output: &Output) -> String {
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{error}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn is_here(program: &str) -> bool {
    let there = Command::new(program)
        .arg("--version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !there {
        skipped(&format!("{program} is not installed (tests/run does that)."));
    }
    there
}

fn settings_of_unit(unit: &str) -> Vec<(&str, &str)> {
    let lines = unit.lines().filter(|line| !line.starts_with('#'));
    lines.filter_map(|line| line.split_once('=')).collect()
}

#[test]
fn the_unit_leaves_the_server_hardly_any_rights() {
    if !is_here("systemd-analyze") {
        return;
    }
    let output = Command::new("systemd-analyze")
        .args(["security", "--offline=true", "--no-pager"])
        .arg(source("packaging/ocmesh.service"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    let last = told.lines().last().unwrap_or_default();
    let exposure = last
        .split_whitespace()
        .find_map(|word| word.parse::<f64>().ok())
        .unwrap_or_else(|| panic!("{told}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(exposure <= MAX_EXPOSURE, "{told}");
}

#[test]
fn systemd_understands_every_line_of_the_unit() {
    if !is_here("systemd-analyze") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let unit = fs::read_to_string(source("packaging/ocmesh.service")).unwrap();
    let unit = unit.replace("/usr/bin/ocmesh", env!("CARGO_BIN_EXE_ocmesh"));
    let file = dir.path().join("ocmesh.service");
    fs::write(&file, unit).unwrap();
    let output = Command::new("systemd-analyze")
        .args(["verify", "--man=no"])
        .arg(&file)
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    let ours: Vec<_> = complaints
        .lines()
        .filter(|line| line.contains("ocmesh.service"))
        .collect();
    assert!(ours.is_empty(), "{ours:?}");
}

#[test]
fn t84_the_unit_never_hammers_and_does_not_restart_what_cannot_mend_itself() {
    let unit = fs::read_to_string(source("packaging/ocmesh.service")).unwrap();
    let settings = settings_of_unit(&unit);
    let has = |key, value| assert!(settings.contains(&(key, value)), "{key}={value}");
    has("Type", "notify");
    has("ExecReload", "/bin/kill -HUP $MAINPID");
    has("Restart", "on-failure");
    has("RestartPreventExitStatus", "2 78");
    // What mends itself is tried for as long as it takes; tries at an authority are counted on the disk.
    has("StartLimitIntervalSec", "0");
    has("RestartSec", "10");
    has("User", "ocm");
    has("StateDirectoryMode", "0700");
    has("UMask", "0077");
    let stop = settings.iter().find(|(key, _)| *key == "TimeoutStopSec").unwrap().1;
    let grace = ocmesh::config::Config::default().server.shutdown_grace.0.as_secs();
    assert!(stop.parse::<u64>().unwrap() > grace, "killed before it has stopped");
}

#[test]
fn what_is_printed_is_what_is_installed() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let options = ["cloud.example.org", "--tls", "self-signed"];
    let printed = said(&ocmesh(&[&["service", "print"], &options[..]].concat()));
    assert_eq!(
        printed,
        said(&ocmesh(&[&["service", "install", "--print"], &options[..]].concat()))
    );
    let json = said(&ocmesh(&[&["service", "print", "--json"], &options[..]].concat()));
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    for file in json["files"].as_array().unwrap() {
        assert!(printed.contains(file["path"].as_str().unwrap()), "{json}");
    }
    let done = ocmesh(&[&["service", "install", "--root", root], &options[..]].concat());
    let steps = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success(), "{steps}");

    for path in [
        "/etc/systemd/system/ocmesh.service",
        "/etc/sysusers.d/ocmesh.conf",
        "/etc/ocm/ocm.toml",
    ] {
        assert!(steps.contains(path) && printed.contains(path), "{path}: {steps}");
        let text = fs::read_to_string(dir.path().join(path.trim_start_matches('/'))).unwrap();
        for line in text.lines() {
            assert!(
                printed.lines().any(|shown| shown.trim() == line.trim()),
                "{path}: {line}"
            );
        }
    }
    let binary = dir.path().join("usr/local/bin/ocmesh");
    assert_eq!(fs::metadata(&binary).unwrap().permissions().mode() & 0o777, 0o755);
    let own = fs::metadata(env!("CARGO_BIN_EXE_ocmesh")).unwrap().len();
    assert_eq!(fs::metadata(&binary).unwrap().len(), own);

    let unit = fs::read_to_string(dir.path().join("etc/systemd/system/ocmesh.service")).unwrap();
    let packaged = fs::read_to_string(source("packaging/ocmesh.service")).unwrap();
    assert_eq!(unit, packaged.replace("/usr/bin/ocmesh", "/usr/local/bin/ocmesh"));
}

#[test]
fn an_installation_can_be_repeated_and_undone() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let install = |domain| ocmesh(&["service", "install", "--root", root, "--tls", "proxy", domain]);
    assert!(install("cloud.example.org").status.success());
    let again = install("cloud.example.org");
    let steps = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        again.status.success() && steps.contains("unchanged") && steps.contains("kept"),
        "{steps}"
    );
    let other = install("other.example.org");
    assert_eq!(other.status.code(), Some(1));
    let settings = dir.path().join("etc/ocm/ocm.toml");
    assert!(
        fs::read_to_string(&settings)
            .unwrap()
            .contains("https://cloud.example.org")
    );

    let checked = ocmesh(&["config", "check", settings.to_str().unwrap()]);
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));

    assert!(ocmesh(&["service", "uninstall", "--root", root]).status.success());
    assert!(settings.exists() && !dir.path().join("usr/local/bin/ocmesh").exists());
    let asked = ocmesh(&["service", "uninstall", "--purge", "--root", root]);
    assert!(
        !asked.status.success() && settings.exists(),
        "it went without being asked about"
    );
    assert!(
        ocmesh(&["service", "uninstall", "--purge", "--yes", "--root", root])
            .status
            .success()
    );
    assert!(!settings.exists());
    assert_eq!(ocmesh(&["service", "uninstall", "--root", root]).status.code(), Some(3));
}

#[test]
fn nobody_agrees_to_terms_by_not_having_read_them() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    for more in [&[][..], &["--yes"]] {
        let install = ["service", "install", "--root", root, "cloud.example.org"];
        let refused = ocmesh(&[&install, more].concat());
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && error.contains("--agree-tos"), "{error}");
        assert_eq!(
            fs::read_dir(dir.path()).unwrap().count(),
            0,
            "something was done all the same"
        );
    }
}

#[test]
fn a_domain_that_is_an_address_is_refused_before_anything_is_done() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap();
    let refused = ocmesh(&[
        "service",
        "install",
        "--root",
        root,
        "--agree-tos",
        "https://cloud.example.org/",
    ]);
    let error = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(error.contains("did you mean cloud.example.org?"), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

fn pages(dir: &Path) -> BTreeSet<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
    names.map(|name| name.into_string().unwrap()).collect()
}

#[test]
fn there_is_a_page_of_the_manual_for_each_command() {
    let dir = tempfile::tempdir().unwrap();
    said(&ocmesh(&["man", dir.path().to_str().unwrap()]));
    let pages = pages(dir.path());
    for page in [
        "ocmesh.1",
        "ocmesh-serve.1",
        "ocmesh-share-create.1",
        "ocmesh-service-install.1",
    ] {
        assert!(pages.contains(page), "{page} is not among {pages:?}");
    }
    let main = fs::read_to_string(dir.path().join("ocmesh.1")).unwrap();
    assert_eq!(main.trim_end(), said(&ocmesh(&["man"])).trim_end());
    assert!(
        main.contains("EXIT STATUS") && main.contains("/etc/ocm/ocm.toml"),
        "{main}"
    );
    assert!(!pages.iter().any(|page| page.contains("help")), "{pages:?}");
    if !is_here("groff") {
        return;
    }
    let output = Command::new("groff")
        .args(["-ww", "-man", "-Tutf8", "-z"])
        .args(pages.iter().map(|page| dir.path().join(page)))
        .output()
        .unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
}

#[test]
fn shells_know_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let text = said(&ocmesh(&["completions", shell]));
        for word in ["service", "setup-link", "agree-tos"] {
            assert!(text.contains(word), "{shell}: {word}");
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let script = dir.path().join("ocmesh.bash");
    fs::write(&script, said(&ocmesh(&["completions", "bash"]))).unwrap();
    let ask = format!(
        "source {}; COMP_WORDS=(ocmesh service ins); COMP_CWORD=2; _ocmesh ocmesh ins service; echo \"${{COMPREPLY[*]}}\"",
        script.display()
    );
    let output = Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
    assert_eq!(said(&output).trim(), "install");
}

#[test]
fn neither_settings_nor_a_server_are_needed_for_the_manual() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ocm.toml"), "this is no TOML").unwrap();
    for arguments in [&["man"][..], &["completions", "bash"], &["service", "print"]] {
        let output = Command::new(env!("CARGO_BIN_EXE_ocmesh"))
            .args(arguments)
            .current_dir(dir.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{arguments:?}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "something was written");
}

/// The words in quotes that look like paths of this repository.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('"').skip(1).step_by(2)
}

#[test]
fn the_package_names_only_what_is_there() {
    let manifest = fs::read_to_string(source("Cargo.toml")).unwrap();
    let (_, deb) = manifest.split_once("[package.metadata.deb]").unwrap();
    let paths = quoted(deb).filter(|path| path.contains('/') && !path.ends_with('/') && !path.contains(' '));
    let mut seen = 0;
    for path in paths {
        let made = path.starts_with("target/")
            || path.starts_with("usr/")
            || path.starts_with("etc/")
            || path.starts_with("/etc/");
        if made {
            continue;
        }
        seen += 1;
        let folder = path.trim_end_matches("/*.md");
        assert!(source(folder).exists(), "{path}");
    }
    assert!(seen >= 5);
    for script in [
        "make",
        "check",
        "boot",
        "oci",
        "licences",
        "debian/postinst",
        "debian/prerm",
        "debian/postrm",
    ] {
        let mode = fs::metadata(source("packaging").join(script))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o111, 0o111, "{script} cannot be run");
    }
    for script in ["postinst", "prerm", "postrm"] {
        let text = fs::read_to_string(source("packaging/debian").join(script)).unwrap();
        assert!(text.contains("#DEBHELPER#"), "{script} would not know of the service");
    }
}

fn unpack(archive: &Path, into: &Path) {
    let output = Command::new("tar")
        .arg("-xf")
        .arg(archive)
        .arg("-C")
        .arg(into)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn digest(file: &Path) -> String {
    let output = Command::new("sha256sum").arg(file).output().unwrap();
    said(&output).split_whitespace().next().unwrap().to_owned()
}

fn image(dir: &Path, name: &str) -> PathBuf {
    let out = dir.join(name);
    let output = Command::new(source("packaging/oci"))
        .args([source("LICENSE-MIT").as_path(), Path::new("1.2.3"), &out])
        .env("SOURCE_DATE_EPOCH", "1700000000")
        .output()
        .unwrap();
    said(&output);
    out
}

#[test]
fn the_image_is_what_its_digests_say_and_the_same_each_time() {
    if !is_here("python3") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let archive = image(dir.path(), "one.tar");
    assert_eq!(digest(&archive), digest(&image(dir.path(), "two.tar")));
    let layout = dir.path().join("layout");
    fs::create_dir(&layout).unwrap();
    unpack(&archive, &layout);
    let json = |path: PathBuf| serde_json::from_slice::<Value>(&fs::read(path).unwrap()).unwrap();
    let blob = |of: &Value| {
        let named = of["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let path = layout.join("blobs/sha256").join(named);
        assert_eq!(digest(&path), named);
        assert_eq!(of["size"], fs::metadata(&path).unwrap().len());
        path
    };
    let index = json(layout.join("index.json"));
    let manifest = json(blob(&index["manifests"][0]));
    let config = json(blob(&manifest["config"]));
    let layer = blob(&manifest["layers"][0]);
    let plain = dir.path().join("layer.tar");
    let unzipped = Command::new("gzip").arg("-dc").arg(&layer).output().unwrap();
    fs::write(&plain, &unzipped.stdout).unwrap();
    assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", digest(&plain)));

    let listed = Command::new("tar")
        .args(["-tvf"])
        .arg(&plain)
        .arg("--numeric-owner")
        .output()
        .unwrap();
    let listed = said(&listed);
    assert!(
        listed.contains("drwx------ 65532/65532") && listed.contains("-rwxr-xr-x 0/0"),
        "{listed}"
    );
    let docker = json(layout.join("manifest.json"));
    assert!(layout.join(docker[0]["Config"].as_str().unwrap()).exists());
    assert_eq!(docker[0]["RepoTags"][0], "ocmesh:1.2.3");
}

#[test]
fn both_ways_to_make_the_image_make_the_same() {
    let described = fs::read_to_string(source("packaging/Containerfile")).unwrap();
    let written = fs::read_to_string(source("packaging/oci")).unwrap();
    for both in [
        ["USER 65532:65532", "USER = 65532"],
        [
            "ENV OCM_SERVER_DATA_DIR=/var/lib/ocm",
            "\"OCM_SERVER_DATA_DIR=/var/lib/ocm\"",
        ],
        ["VOLUME /var/lib/ocm", "\"Volumes\": {\"/var/lib/ocm\""],
        [
            "CMD [\"/ocmesh\", \"status\", \"--ready\"]",
            "\"CMD\", \"/ocmesh\", \"status\", \"--ready\"",
        ],
        ["ENTRYPOINT [\"/ocmesh\"]", "\"Entrypoint\": [\"/ocmesh\"]"],
        ["CMD [\"serve\"]", "\"Cmd\": [\"serve\"]"],
        ["STOPSIGNAL SIGTERM", "\"StopSignal\": \"SIGTERM\""],
    ] {
        assert!(described.contains(both[0]), "{}", both[0]);
        assert!(written.contains(both[1]), "{}", both[1]);
    }
}
