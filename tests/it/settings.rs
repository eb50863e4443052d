//! What the operator gets to see when a start goes wrong: the file and line, the remedy, and an exit code.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::net::TcpListener;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use tempfile::TempDir;

use crate::harness;

/// A directory with an `ocm.toml` in it.
fn directory(config: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("ocm.toml"), config).unwrap();
    dir
}

fn ocmesh(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ocmesh"));
    command.current_dir(dir).args(arguments).stdin(Stdio::null());
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OCM_") || name == "RUST_LOG") {
        command.env_remove(name);
    }
    command
}

/// Exit code and what was said on stderr.
fn outcome(output: &Output) -> (Option<i32>, String) {
    assert!(output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    (output.status.code(), String::from_utf8(output.stderr.clone()).unwrap())
}

fn serve(dir: &Path) -> (Option<i32>, String) {
    outcome(&ocmesh(dir, &["serve"]).output().unwrap())
}

/// Settings for a port that was free a moment ago.
fn free_port() -> String {
    let port = harness::free_port();
    format!("[server]\npublic_url = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n")
}

/// A server that runs until it is dropped.
struct Serving(Child);

impl Serving {
    fn start(dir: &Path) -> Self {
        let mut child = ocmesh(dir, &["serve"]).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let up = lines.by_ref().any(|line| line.unwrap().starts_with("Address "));
        assert!(up, "the server did not start");
        // Whoever stops reading stops the server.
        std::thread::spawn(move || lines.for_each(drop));
        Self(child)
    }

    /// Asks it to end, and gives its exit code.
    fn terminate(mut self) -> Option<i32> {
        let id = self.0.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().unwrap();
        let patience = Instant::now() + Duration::from_secs(10);
        while Instant::now() < patience {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server does not stop");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_setting_that_can_not_be_stops_the_start_with_file_and_line() {
    for (config, line, hints) in [
        ("[server]\npublic_url = \"cloud\"\n", 2, &["https://"][..]),
        ("[server]\n\nname = 7\n", 3, &["string"]),
        (
            "# mine\n[federation]\nmode = \"closed\"\n",
            3,
            &["closed", "invite", "allowlist", "open"],
        ),
        ("[federation]\nmod = \"open\"\n", 2, &["mod", "mode"]),
        ("[federation]\nrequire_signatures = \"no\"\n", 2, &["boolean"]),
        ("[notify]\nadmin_mail = [\"root\"]\n", 2, &["root", "admin@example.org"]),
        (
            "[notify]\n\nadmin_mail = [\"a@b.example, c@d.example\"]\n",
            3,
            &["mail address"],
        ),
        (
            "[[notify.webhook]]\nurl = \"http://hooks.example\"\nsecret_file = \"s\"\n",
            2,
            &["webhook[1].url", "https://", "plain_http"],
        ),
        (
            "[[notify.webhook]]\nurl = \"https://a.example/h\"\nsecret_file = \"s\"\n\
             [[notify.webhook]]\nurl = \"https://a.example/h\"\nsecret_file = \"s\"\n",
            5,
            &["webhook[2].url", "twice"],
        ),
        (
            "[[notify.webhook]]\nurl = \"https://a.example/h\"\n",
            1,
            &["secret_file"],
        ),
        ("[unheard]\n", 1, &["unheard", "federation"]),
        ("[limits]\npeer_timeout = \"15\"\n", 2, &["15", "30s"]),
        ("[shares]\ndelivery_retry = [\"10s\", \"often\"]\n", 2, &["often"]),
        ("[server]\nlisten = \"localhost\"\n", 2, &["127.0.0.1:8080"]),
        ("[server\n", 1, &[]),
        ("[server]\nname = \"a\"\nname = \"b\"\n", 3, &["duplicate"]),
        ("[[federation.private_network]]\ncidr = \"10.0.0.1/8/9\"\n", 2, &[]),
        ("[[federation.private_network]]\nports = [1]\n", 1, &["cidr"]),
        ("[[federation.directory]]\nadmits = true\n", 1, &["url"]),
        ("[[federation.directory]]\nurl = \"servers.jws\"\n", 2, &["https://"]),
        (
            "[[federation.directory]]\nurl = \"https://a@dir.example/\"\n",
            2,
            &["user name"],
        ),
        (
            "[[federation.directory]]\nurl = \"https://dir.example/\"\nkey = \"canary\"\n",
            3,
            &["JWK", "PEM"],
        ),
        (
            "[[federation.directory]]\nurl = \"https://dir.example/\"\nverify = \"no\"\n",
            3,
            &["off", "required"],
        ),
        (
            "[federation]\n[[federation.directory]]\nurl = \"https://dir.example/\"\n",
            2,
            &["directory[1].key", "https://dir.example/", "key_file"],
        ),
        (
            "[[federation.directory]]\nurl = \"http://dir.example/\"\nverify = \"off\"\n",
            2,
            &["directory[1].url", "https://", "plain_http"],
        ),
        (
            "[[federation.directory]]\nurl = \"https://dir.example/\"\nverify = \"off\"\nadmits = true\n",
            4,
            &["directory[1].admits", "not verified"],
        ),
        (
            "[[federation.directory]]\nurl = \"https://a.example/\"\nkey_file = \"k\"\n\
             [[federation.directory]]\nurl = \"https://b.example/\"\nkey_file = \"k\"\nadmits = true\n",
            7,
            &["directory[2].admits", "allowlist"],
        ),
        (
            "[[federation.directory]]\nurl = \"https://a.example\"\nverify = \"off\"\n\
             [[federation.directory]]\nurl = \"https://a.example/\"\nverify = \"off\"\n",
            5,
            &["directory[2].url", "twice"],
        ),
    ] {
        let dir = directory(config);
        let (code, said) = serve(dir.path());
        assert_eq!(code, Some(78), "{config}: {said}");
        assert!(
            said.starts_with(&format!("ocmesh: ocm.toml:{line}: ")),
            "{config}: {said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        for hint in hints {
            assert!(said.contains(hint), "{said} does not mention {hint}");
        }
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 1, "{config}: something was made in spite of it");
    }
}

#[test]
fn settings_that_contradict_each_other_are_named() {
    for (config, hints) in [
        ("[tls]\nmode = \"files\"\n", &["ocm.toml", "tls.mode", "cert_file"][..]),
        (
            "[server]\npublic_url = \"https://a.example\"\n[tls]\nmode = \"off\"\n",
            &["ocm.toml", "tls.mode", "proxy"],
        ),
        ("[tls]\nmode = \"acme\"\n", &["ocm.toml:2: tls.mode", "DOMAIN"]),
        (
            "[tls]\ncert_file = \"c\"\nkey_file = \"k\"\n",
            &["ocm.toml:2: tls.cert_file"],
        ),
        (
            "[log]\nlevel = \"inof\"\n",
            &["ocm.toml:2: log.level", "Did you mean info?"],
        ),
        (
            "[shares]\ndelivery_retry = []\n",
            &["ocm.toml", "shares.delivery_retry"],
        ),
        ("[server]\nlisten = []\n", &["ocm.toml", "server.listen"]),
        (
            "[server]\nlisten = \"127.0.0.1:18080\"\n",
            &["ocm.toml", "server.public_url"],
        ),
    ] {
        let dir = directory(config);
        let (code, said) = serve(dir.path());
        assert_eq!(code, Some(78), "{said}");
        for hint in hints {
            assert!(said.contains(hint), "{said} does not mention {hint}");
        }
    }
}

#[test]
fn a_file_is_checked_without_a_start_and_a_slip_is_recognised() {
    let check = |config: &str| {
        let dir = directory(config);
        let output = ocmesh(dir.path(), &["config", "check"]).output().unwrap();
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 1, "{config}: something was made by looking");
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let (code, said) = check("[federation]\nmode = \"invites\"\n");
    assert_eq!(code, Some(78));
    assert!(
        said.starts_with("ocmesh: ocm.toml:2: ") && said.contains("Did you mean invite?"),
        "{said}"
    );
    let (code, said) = check("[tls]\nmdoe = \"off\"\n");
    assert_eq!(code, Some(78));
    assert!(
        said.contains("ocm.toml:2:") && said.contains("Did you mean mode?"),
        "{said}"
    );
    assert_eq!(check("[federation]\nmode = \"open\"\n").0, Some(0));
    let named = directory("");
    fs::write(named.path().join("other.toml"), "[log]\nlevel = 7\n").unwrap();
    let output = ocmesh(named.path(), &["config", "check", "other.toml"])
        .output()
        .unwrap();
    let (code, said) = outcome(&output);
    assert!(code == Some(78) && said.contains("other.toml:2:"), "{said}");
}

#[test]
fn what_is_in_force_is_shown_with_who_decides_it() {
    let dir = directory("[federation]\nmode = \"open\"\n[server]\ndata_dir = \"data\"\n");
    fs::create_dir(dir.path().join("data")).unwrap();
    let output = ocmesh(dir.path(), &["config", "show", "--origin"])
        .env("OCM_INVITES_MAX_USES", "7")
        .output()
        .unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let line = |key: &str| said.lines().find(|line| line.starts_with(key)).unwrap().to_owned();
    assert!(line("federation.mode").ends_with("ocm.toml:2"), "{said}");
    assert!(line("invites.max_uses").ends_with("OCM_INVITES_MAX_USES"), "{said}");
    assert!(line("log.level").ends_with("default"), "{said}");
}

#[test]
fn what_is_done_by_command_is_noted_with_the_user_of_this_machine() {
    let dir = directory(&free_port());
    let serving = Serving::start(dir.path());
    let added = |name: &str| {
        let output = ocmesh(dir.path(), &["user", "add", name]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    added("ada");
    assert_eq!(serving.terminate(), Some(0));
    // The same while no server runs.
    added("bob");
    let log = ocmesh(dir.path(), &["audit", "list", "--json"]).output().unwrap();
    let log: serde_json::Value = serde_json::from_slice(&log.stdout).unwrap();
    let who: Vec<_> = log.as_array().unwrap().iter().map(|entry| &entry["who"]).collect();
    assert_eq!(who.len(), 2);
    assert_eq!(who[0], who[1]);
    let who = who[0].as_str().unwrap();
    assert!(who.ends_with(" via command line") && !who.contains("unknown"), "{who}");
    let csv = ocmesh(dir.path(), &["audit", "export", "--kind", "user"])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(csv.stdout).unwrap().lines().count(), 3);
}

#[test]
fn a_file_that_was_named_must_be_there_and_one_that_was_not_need_not() {
    let dir = tempfile::tempdir().unwrap();
    let (code, said) = outcome(
        &ocmesh(dir.path(), &["serve", "--config", "missing.toml"])
            .output()
            .unwrap(),
    );
    assert_eq!(code, Some(78));
    assert!(said.contains("missing.toml"), "{said}");
    fs::create_dir(dir.path().join("ocmesh-data")).unwrap();
    let listed = ocmesh(dir.path(), &["user", "list", "--json"]).output().unwrap();
    assert_eq!(
        listed.status.code(),
        Some(4),
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
}

#[test]
fn no_command_makes_a_new_server_where_the_data_is_missing() {
    // An empty folder, as where a disk is not mounted.
    let dir = directory(&format!("{}data_dir = \"data\"\n", free_port()));
    let data = dir.path().join("data");
    fs::create_dir(&data).unwrap();
    for arguments in [
        &["backup", "create"][..],
        &["backup", "list"],
        &["user", "list"],
        &["key", "list"],
        &["invite", "create"],
        &["support-bundle"],
        &["metrics"],
    ] {
        let (code, said) = outcome(&ocmesh(dir.path(), arguments).output().unwrap());
        assert_eq!(code, Some(4), "{arguments:?}: {said}");
        assert!(
            said.contains("There is no data in ") && said.contains("/data"),
            "{said}"
        );
        assert_eq!(fs::read_dir(&data).unwrap().count(), 0, "{arguments:?} made something");
    }
    // What is in force needs no data, and making a user is a beginning.
    let shown = ocmesh(dir.path(), &["config", "show"]).output().unwrap();
    assert!(shown.status.success() && fs::read_dir(&data).unwrap().count() == 0);
    let added = ocmesh(dir.path(), &["user", "add", "ada"]).output().unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    assert!(ocmesh(dir.path(), &["user", "list"]).output().unwrap().status.success());
}

#[test]
fn what_a_start_would_refuse_a_check_refuses() {
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    let https = "[server]\npublic_url = \"https://cloud.example.org\"\n";
    let webhook = "[[notify.webhook]]\nurl = \"https://a.example/h\"\nsecret_file = \"none\"\n";
    let mail = "[mail]\nsmtp_url = \"smtps://o@m.example\"\nfrom = \"a@b.example\"\npassword_file = \"none\"\n";
    for (settings, part) in [
        (
            format!("{https}[tls]\ncert_file = \"none.pem\"\nkey_file = \"{tls}/good.key\"\n"),
            "tls.cert_file",
        ),
        (
            format!("{https}[tls]\ncert_file = \"{tls}/good.pem\"\nkey_file = \"{tls}/expired.key\"\n"),
            "tls.key_file",
        ),
        (format!("{https}[tls]\nmode = \"acme\"\n"), "acme_agree_tos"),
        ("[tls]\nextra_ca_file = \"none\"\n".to_owned(), "tls.extra_ca_file"),
        ("[metrics]\ntoken_file = \"none\"\n".to_owned(), "metrics.token_file"),
        (mail.to_owned(), "mail.password_file"),
        (webhook.to_owned(), "notify.webhook[1].secret_file"),
        (
            "[[federation.directory]]\nurl = \"https://d.example/\"\nkey_file = \"none\"\n".to_owned(),
            "key_file",
        ),
    ] {
        let dir = directory(&settings);
        let check = ["config", "check"];
        let (code, said) = outcome(&ocmesh(dir.path(), &check).output().unwrap());
        assert!(code == Some(78) && said.contains(part), "{settings}: {said}");
        let json = ocmesh(dir.path(), &[&check[..], &["--json"]].concat())
            .output()
            .unwrap();
        assert_eq!(json.status.code(), Some(78));
        let list: serde_json::Value = serde_json::from_slice(&json.stdout).unwrap();
        assert_eq!((list.as_array().unwrap().len(), &list[0]["state"]), (1, &"bad".into()));
        assert!(list[0]["sentence"].as_str().unwrap().contains(part), "{list}");
        let (code, said) = serve(dir.path());
        assert!(code == Some(78) && said.contains(part), "{settings}: {said}");
    }
}

#[test]
fn what_a_start_bears_with_and_is_likely_a_mistake_is_a_warning() {
    let dir = directory("[tls]\nmode = \"proxy\"\n");
    let check = |more: &[&str]| {
        ocmesh(dir.path(), &[&["config", "check"], more].concat())
            .env("OCM_FOO", "1")
            .output()
            .unwrap()
    };
    let said = check(&[]);
    assert_eq!(said.status.code(), Some(0));
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("OCM_FOO sets nothing"), "{said}");
    assert!(
        said.contains("http://127.0.0.1:8080 is an address without TLS"),
        "{said}"
    );
    assert!(said.ends_with("No problems.\n"), "{said}");
    let list: serde_json::Value = serde_json::from_slice(&check(&["--json"]).stdout).unwrap();
    let list = list.as_array().unwrap();
    assert!(
        list.len() == 2 && list.iter().all(|one| one["state"] == "warn"),
        "{list:?}"
    );
}

#[test]
fn a_server_with_a_certificate_of_its_own_has_an_address_that_fits() {
    let port = harness::free_port();
    let dir = directory(&format!("[server]\nlisten = \"127.0.0.1:{port}\"\n"));
    let mut child = ocmesh(dir.path(), &["serve", "--tls", "self-signed"])
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = lines
        .by_ref()
        .map(Result::unwrap)
        .find(|line| line.starts_with("Address "));
    let _ = child.kill();
    let _ = child.wait();
    let address = address.unwrap_or_default();
    assert!(address.contains(&format!(" https://localhost:{port} ")), "{address}");
}

#[test]
fn data_and_socket_may_be_named_where_a_command_is_said() {
    let dir = directory(&free_port());
    let added = ocmesh(dir.path(), &["--data-dir", "elsewhere", "user", "add", "ada"])
        .output()
        .unwrap();
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    assert!(dir.path().join("elsewhere/db").is_dir() && !dir.path().join("ocmesh-data").exists());
    let shown = ocmesh(
        dir.path(),
        &[
            "config",
            "show",
            "--origin",
            "--data-dir",
            "elsewhere",
            "--socket",
            "a.sock",
        ],
    )
    .output()
    .unwrap();
    let said = String::from_utf8(shown.stdout).unwrap();
    let line = |key: &str| said.lines().find(|line| line.starts_with(key)).unwrap();
    let here = dir.path().display();
    assert!(line("server.data_dir").contains(&format!("{here}/elsewhere")), "{said}");
    assert!(line("server.data_dir").ends_with("--data-dir"), "{said}");
    assert!(
        line("server.admin_socket").contains(&format!("{here}/a.sock")),
        "{said}"
    );
}

#[test]
fn the_last_lines_of_the_log_are_there_for_who_asks() {
    let dir = directory(&free_port());
    let (code, said) = outcome(&ocmesh(dir.path(), &["log"]).output().unwrap());
    assert!(code == Some(4) && said.contains("No server runs"), "{said}");
    let serving = Serving::start(dir.path());
    let log = |more: &[&str]| {
        let output = ocmesh(dir.path(), &[&["log"], more].concat()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let reload = ocmesh(dir.path(), &["config", "reload"]).output().unwrap();
    assert!(reload.status.success(), "{}", String::from_utf8_lossy(&reload.stderr));
    let all = log(&[]);
    assert!(all.contains(" INFO "), "{all}");
    let last = log(&["-n", "1"]);
    assert!(last.lines().count() == 1 && last.contains("INFO"), "{last}");
    let json: serde_json::Value = serde_json::from_str(&log(&["-n", "2", "--json"])).unwrap();
    assert_eq!(json["lines"].as_array().unwrap().len(), 2);
    assert_eq!(serving.terminate(), Some(0));
}

#[test]
fn the_version_is_a_word_and_more_where_more_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let said = |option| String::from_utf8(ocmesh(dir.path(), &[option]).output().unwrap().stdout).unwrap();
    assert_eq!(said("-V"), format!("ocmesh {}\n", env!("CARGO_PKG_VERSION")));
    let long = said("--version");
    for part in [
        env!("CARGO_PKG_VERSION"),
        std::env::consts::ARCH,
        "API 1.4",
        "draft-ietf-ocm",
    ] {
        assert!(long.contains(part), "{long}");
    }
    let help = said("-h");
    assert!(
        help.contains("Examples:") && help.contains("ocmesh serve cloud.example.org"),
        "{help}"
    );
}

#[test]
fn who_may_not_ask_the_server_hears_that_and_not_that_none_runs() {
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::process::CommandExt;
    const NOBODY: u32 = 65_534;
    let dir = directory(&free_port());
    let serving = Serving::start(dir.path());
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let data = dir.path().join("ocmesh-data");
    let is_root = harness::process::is_root();
    let run = |arguments: &[&str]| {
        let mut command = ocmesh(dir.path(), arguments);
        match is_root {
            true => {
                command.uid(NOBODY).gid(NOBODY);
            }
            // What others meet, the owner meets where the owner has taken the right away.
            false => fs::set_permissions(&data, fs::Permissions::from_mode(0o000)).unwrap(),
        }
        let output = command.output();
        fs::set_permissions(&data, fs::Permissions::from_mode(0o700)).unwrap();
        output
    };
    let Ok(output) = run(&["user", "list"]) else {
        harness::skipped("another user may not run what is tested");
        return;
    };
    let (code, said) = outcome(&output);
    assert_eq!(code, Some(5), "{said}");
    assert!(said.contains("Only ") && said.contains("sudo "), "{said}");
    assert!(!said.contains("No server runs"), "{said}");
    let (code, said) = outcome(&run(&["status"]).unwrap());
    assert!(code == Some(5) && said.contains("Only "), "{said}");
    let output = run(&["doctor"]).unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("Only "), "{said}");
    assert!(!said.contains("Another program listens"), "{said}");
    assert_eq!(serving.terminate(), Some(0));
}

#[test]
fn the_environment_wins_and_is_named_when_it_is_wrong() {
    let dir = directory("[federation]\nmode = \"open\"\n");
    let wrong = ocmesh(dir.path(), &["serve"])
        .env("OCM_FEDERATION_MODE", "shut")
        .output()
        .unwrap();
    let (code, said) = outcome(&wrong);
    assert_eq!(code, Some(78));
    assert!(said.contains("OCM_FEDERATION_MODE") && said.contains("shut"), "{said}");
    let unknown = ocmesh(dir.path(), &["serve"])
        .env("OCM_FEDERATION_MOOD", "good")
        .output()
        .unwrap();
    let (code, said) = outcome(&unknown);
    assert_eq!(code, Some(78));
    assert!(said.contains("OCM_FEDERATION_MOOD"), "{said}");
}

#[test]
fn certificates_that_can_not_be_used_are_named() {
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    for (cert, key, hints) in [
        ("missing.pem", "good.key", &["tls.cert_file", "missing.pem"][..]),
        ("good.pem", "missing.key", &["tls.key_file", "missing.key"]),
        ("good.key", "good.key", &["tls.cert_file", "no certificate"]),
        ("good.pem", "expired.key", &["tls.key_file", "does not fit"]),
    ] {
        let settings = format!("[tls]\ncert_file = \"{tls}/{cert}\"\nkey_file = \"{tls}/{key}\"\n");
        let dir = directory(&format!("{}{settings}", free_port().replace("http:", "https:")));
        let (code, said) = serve(dir.path());
        assert_eq!(code, Some(78), "{said}");
        for hint in hints {
            assert!(said.contains(hint), "{said} does not mention {hint}");
        }
        assert!(!said.contains("PRIVATE KEY"), "{said}");
    }
}

#[test]
fn a_port_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let dir = directory(&format!(
        "[server]\npublic_url = \"http://{address}\"\nlisten = \"{address}\"\n"
    ));
    let (code, said) = serve(dir.path());
    assert_eq!(code, Some(75), "{said}");
    assert!(
        said.contains("server.listen") && said.contains(&address.to_string()),
        "{said}"
    );
}

#[test]
fn t78_a_second_server_on_the_same_data_is_refused_and_the_first_goes_on() {
    let dir = directory(&free_port());
    let first = Serving::start(dir.path());
    // The same directory, and another port, so that only the data is in the way.
    let other = dir.path().join("other.toml");
    fs::write(&other, free_port()).unwrap();
    let (code, said) = outcome(
        &ocmesh(dir.path(), &["serve", "--config", "other.toml"])
            .output()
            .unwrap(),
    );
    assert_eq!(code, Some(4), "{said}");
    assert!(
        said.contains("ocmesh-data") && said.contains(&first.0.id().to_string()),
        "{said}"
    );
    // The first is unhurt, and the command line reaches it.
    let listed = ocmesh(dir.path(), &["user", "list", "--json"]).output().unwrap();
    assert_eq!(
        listed.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&listed.stderr)
    );
    assert_eq!(first.terminate(), Some(0));
    // And once it has ended, its place is free.
    assert_eq!(Serving::start(dir.path()).terminate(), Some(0));
}

#[test]
fn a_server_that_was_killed_leaves_nothing_in_the_way_of_the_next() {
    let dir = directory(&free_port());
    drop(Serving::start(dir.path()));
    assert_eq!(Serving::start(dir.path()).terminate(), Some(0));
}

#[test]
fn the_data_and_the_admin_socket_are_for_nobody_else() {
    use std::os::unix::fs::PermissionsExt;
    let dir = directory(&free_port());
    let serving = Serving::start(dir.path());
    let mode = |path: &str| fs::metadata(dir.path().join(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("ocmesh-data"), 0o700);
    assert_eq!(mode("ocmesh-data/admin.sock"), 0o600);
    assert_eq!(serving.terminate(), Some(0));
}

#[test]
fn a_command_beside_a_server_needs_no_address_that_only_the_server_was_told() {
    let dir = directory("[tls]\nmode = \"files\"\ncert_file = \"c.pem\"\nkey_file = \"k.pem\"\n");
    let (code, said) = outcome(&ocmesh(dir.path(), &["status", "--ready"]).output().unwrap());
    assert!(code == Some(4) && said.contains("No server runs"), "{said}");
    let (code, said) = serve(dir.path());
    assert!(code == Some(78) && said.contains("an address without it"), "{said}");
}
