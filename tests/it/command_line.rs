//! The command as people and scripts use it: the real binary, against running servers and without one.

use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use tempfile::TempDir;

use crate::harness::Postbox;
use crate::harness::free_port;

const PASSWORD: &str = "canary-password-of-the-command-line";
/// A log that tells of no more requests than this proves nothing by what it does not tell.
const MOST_QUIET: usize = 3;

/// A configuration of its own, and the server on it while it runs.
struct Installation {
    dir: TempDir,
    port: u16,
    server: Option<Child>,
}

impl Installation {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let port = free_port();
        let config = format!(
            "[server]\npublic_url = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             data_dir = \"data\"\nadmin_socket = \"../admin.sock\"\n\
             [tls]\nmode = \"off\"\n\
             [shares]\ndelivery_retry = [\"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\", \"1s\"]\n\
             [[federation.private_network]]\ncidr = \"127.0.0.0/8\"\nplain_http = true\n"
        );
        fs::write(dir.path().join("ocm.toml"), config).unwrap();
        fs::write(dir.path().join("password"), format!("{PASSWORD}\n")).unwrap();
        Self {
            dir,
            port,
            server: None,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    fn start(&mut self, level: &str) {
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("log"))
            .unwrap();
        let child = Command::new(env!("CARGO_BIN_EXE_ocmesh"))
            .args(["serve", "--config"])
            .arg(self.path("ocm.toml"))
            .env("RUST_LOG", level)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.server = Some(child);
        let began = Instant::now();
        while !self.answers("/readyz") {
            assert!(began.elapsed() < Duration::from_secs(20), "not ready: {}", self.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn answers(&self, path: &str) -> bool {
        let ask = || {
            use std::io::Read;
            use std::io::Write;
            let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port))?;
            write!(
                stream,
                "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\r\n",
                self.port
            )?;
            let mut answer = String::new();
            stream
                .read_to_string(&mut answer)
                .map(|_| answer.starts_with("HTTP/1.1 200"))
        };
        ask().unwrap_or(false)
    }

    /// As a power failure would: no signal is handled, nothing is flushed.
    fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    fn stop(&mut self) -> Option<i32> {
        let mut server = self.server.take()?;
        let pid = server.id().to_string();
        Command::new("kill").args(["-TERM", &pid]).status().unwrap();
        server.wait().unwrap().code()
    }

    fn run(&self, arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_ocmesh"))
            .args(arguments)
            .env("OCM_CONFIG", self.path("ocm.toml"))
            .env_remove("RUST_LOG")
            .stdin(Stdio::null())
            .output()
            .unwrap()
    }

    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn code(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let output = self.run(arguments);
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        )
    }

    fn add_user(&self, name: &str) {
        let password = self.path("password");
        let mail = format!("{name}@mail.example");
        let row = self.json(&[
            "user",
            "add",
            name,
            "--display-name",
            name,
            "--mail",
            &mail,
            "--password-file",
            password.to_str().unwrap(),
            "--admin",
        ]);
        assert_eq!(row["address"], format!("{name}@127.0.0.1:{}", self.port));
    }

    /// What the server writes back.
    fn ask(&self, request: &str) -> String {
        use std::io::Read;
        use std::io::Write;
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn address(&self, user: &str) -> String {
        format!("{user}@127.0.0.1:{}", self.port)
    }
}

impl Drop for Installation {
    fn drop(&mut self) {
        self.kill();
    }
}

fn introduce(a: &Installation, b: &Installation) -> Value {
    let invite = a.json(&[
        "invite",
        "create",
        "--user",
        "ada",
        "--expires",
        "2d",
        "--uses",
        "1",
        "--for",
        "Bob",
    ]);
    let accepted = b.json(&["invite", "accept", invite["string"].as_str().unwrap(), "--user", "bob"]);
    assert_eq!(accepted["contact"]["address"], a.address("ada"));
    invite
}

/// Asks until a list has a row that fits; what happens between servers takes a moment.
fn eventually(installation: &Installation, arguments: &[&str], fits: impl Fn(&Value) -> bool) -> Value {
    let began = Instant::now();
    loop {
        let rows = installation.json(arguments);
        if let Some(row) = rows.as_array().unwrap().iter().find(|row| fits(row)) {
            return row.clone();
        }
        assert!(
            began.elapsed() < Duration::from_secs(30),
            "never seen: {rows} {}",
            installation.log()
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn write(path: &Path, text: &str) -> String {
    fs::write(path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What can be noted of a contact, and that all of it can be undone.
fn contacts_are_kept(a: &Installation, bob: &str) {
    let contact = |verb: &[&str]| a.json(&[&["contact"], verb, &["--user", "ada"]].concat());
    assert_eq!(contact(&["rename", bob, "Bobby"])["shown_name"], "Bobby");
    assert_eq!(contact(&["note", bob, "met in Genf"])["note"], "met in Genf");
    assert!(contact(&["block", bob])["blocked"].is_string());
    let known = contact(&["show", bob]);
    assert_eq!(
        (&known["name"], &known["our_name"]),
        (&Value::from("bob"), &Value::from("Bobby"))
    );
    let shown = a.run(&["contact", "show", bob, "--user", "ada"]);
    let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.contains("Bobby") && shown.contains("Blocked"), "{shown}");
    assert!(contact(&["unblock", bob])["blocked"].is_null());
    let card = a.run(&["contact", "export", bob, "--user", "ada"]);
    let card = String::from_utf8_lossy(&card.stdout).into_owned();
    assert!(
        card.starts_with("BEGIN:VCARD") && card.contains("NICKNAME:bob"),
        "{card}"
    );
    assert_eq!(contact(&["rename", bob])["shown_name"], "bob");
    assert_eq!(contact(&["note", bob])["note"], "");
}

#[test]
fn two_servers_federate_by_commands_alone() {
    let (mut a, mut b) = (Installation::new(), Installation::new());
    a.start("info");
    b.start("info");
    let (code, said) = b.code(&["invite", "accept", "nonsense"]);
    assert!(code == Some(3) && said.contains("no users"), "{said}");
    assert!(a.answers("/livez") && a.log().contains("/setup?code="), "{}", a.log());
    a.add_user("ada");
    b.add_user("bob");
    let (code, said) = b.code(&["invite", "accept", "nonsense"]);
    assert!(code == Some(1) && said.contains("not an invitation"), "{said}");
    let invite = introduce(&a, &b);
    for key in ["id", "token", "string", "link", "expires"] {
        assert!(
            invite[key].as_str().is_some_and(|text| !text.is_empty()),
            "{key} in {invite}"
        );
    }
    let contact = &a.json(&["contact", "list", "--user", "ada"])[0];
    assert_eq!(contact["address"], b.address("bob"));
    assert_eq!(
        (&contact["name"], &contact["email"]),
        (&Value::from("bob"), &Value::from("bob@mail.example"))
    );
    assert_eq!(contact["provider"], format!("127.0.0.1:{}", b.port));
    contacts_are_kept(&a, &b.address("bob"));

    let file = write(&a.path("local.txt"), "the content\n");
    a.json(&["file", "put", &file, "docs/f.txt", "--user", "ada"]);
    assert_eq!(a.json(&["file", "list", "docs", "--user", "ada"])[0]["name"], "f.txt");
    let sent = a.json(&[
        "--json",
        "share",
        "create",
        "docs",
        "--to",
        &b.address("bob"),
        "--user",
        "ada",
        "--write",
    ]);
    assert_eq!(sent["state"], "pending");
    let list = ["share", "list", "--received", "--user", "bob"];
    let received = eventually(&b, &list, |row| row["provider_id"] == sent["provider_id"]);
    assert_eq!(
        (&received["state"], &received["name"]),
        (&Value::from("pending"), &Value::from("docs"))
    );
    assert_eq!(received["sender"], a.address("ada"));
    let id = received["id"].as_str().unwrap();
    b.json(&["share", "accept", id, "--user", "bob"]);
    let list = ["share", "list", "--sent", "--user", "ada"];
    let accepted = eventually(&a, &list, |row| row["state"] == "accepted");
    assert_eq!(accepted["share_with"], b.address("bob"));

    let row = &b.json(&["share", "ls", id])[0];
    assert_eq!(
        (&row["name"], &row["kind"], &row["size"]),
        (&"f.txt".into(), &"file".into(), &12.into())
    );
    let fetched = b.path("fetched.txt");
    let (code, said) = b.code(&["share", "get", &format!("{id}/f.txt"), fetched.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(fs::read_to_string(&fetched).unwrap(), "the content\n");
    b.json(&[
        "share",
        "put",
        &write(&b.path("new.txt"), "from Bob"),
        &format!("{id}/new.txt"),
    ]);
    let there = a.path("there.txt");
    a.run(&["file", "get", "docs/new.txt", there.to_str().unwrap(), "--user", "ada"]);
    assert_eq!(fs::read_to_string(there).unwrap(), "from Bob");

    a.json(&["share", "stop", sent["id"].as_str().unwrap(), "--user", "ada"]);
    let (code, said) = b.code(&["share", "get", &format!("{id}/f.txt"), fetched.to_str().unwrap()]);
    assert_eq!(code, Some(7), "{said}");
    eventually(&b, &["share", "list", "--received", "--user", "bob"], |row| {
        row["state"] == "gone"
    });
    assert_eq!(a.json(&["queue", "list"]), serde_json::json!([]));

    let host = format!("127.0.0.1:{}", b.port);
    assert_eq!(a.json(&["peer", "explain", &host])["decision"], "allowed");
    a.json(&["peer", "deny", &host, "--reason", "a test"]);
    let explained = a.json(&["peer", "explain", &host]);
    assert_eq!(explained["decision"], "denied");
    assert!(explained["because"].as_str().unwrap().contains("a test"), "{explained}");
    let (code, said) = a.code(&["share", "create", "docs", "--to", &b.address("bob"), "--user", "ada"]);
    assert_eq!(code, Some(6), "{said}");
    a.json(&["peer", "remove", &host]);
    let (code, said) = a.code(&["peer", "handshake", &host]);
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains(&format!("ocmesh peer allow {host}")), "{said}");
    a.json(&["peer", "allow", &host]);
    assert_eq!(a.json(&["peer", "handshake", &host])["state"], "asking");
    let shown = String::from_utf8(a.run(&["peer", "show", &host]).stdout).unwrap();
    assert!(shown.contains("\n  handshake      "), "{shown}");
    assert_eq!((a.stop(), b.stop()), (Some(0), Some(0)));
}

#[test]
fn commands_work_on_the_data_while_no_server_runs() {
    let mut a = Installation::new();
    a.add_user("ada");
    let file = write(&a.path("local.txt"), "offline");
    a.json(&["file", "put", &file, "a/b.txt"]);
    let invite = a.json(&["invite", "create", "--for", "someone"]);
    assert_eq!(invite["user"], "ada");
    assert_eq!(a.json(&["invite", "list"])[0]["state"], "open");
    assert_eq!(
        a.json(&["invite", "revoke", invite["id"].as_str().unwrap()])["state"],
        "revoked"
    );
    a.start("info");
    assert_eq!(a.json(&["invite", "list"])[0]["state"], "revoked");
    assert_eq!(a.json(&["file", "list", "a"])[0]["size"], 7);
    assert!(!a.log().contains("/setup?code="), "there is an admin already");
}

#[test]
fn an_invitation_is_made_shown_extended_mailed_and_cancelled_by_commands() {
    let postbox = Postbox::start();
    let mut a = Installation::new();
    a.add_user("ada");
    let config = fs::read_to_string(a.path("ocm.toml")).unwrap();
    let mail = format!(
        "[mail]\nsmtp_url = \"smtp://ocm@127.0.0.1:{}\"\npassword_file = \"smtp\"\nfrom = \"ocm@lab.example\"\n",
        postbox.port
    );
    fs::write(a.path("ocm.toml"), format!("{config}\n{mail}")).unwrap();
    fs::write(a.path("smtp"), "canary-password-of-the-mail-server\n").unwrap();
    let file = write(&a.path("local.txt"), "slides");
    a.json(&["file", "put", &file, "slides.txt"]);
    a.start("trace");
    let made = a.json(&[
        "invite",
        "create",
        "--for",
        "Bob",
        "--uses",
        "2",
        "--for-server",
        "cloud.b.example",
        "--share",
        "slides.txt",
        "--write",
        "--lang",
        "de",
        "--mail",
        "bob@canary-of-a-recipient.example",
    ]);
    let id = made["id"].as_str().unwrap();
    assert_eq!(made["for_server"], "cloud.b.example");
    assert_eq!(
        made["share"],
        serde_json::json!([{ "path": "slides.txt", "write": true }])
    );
    assert_eq!((&made["lang"], &made["uses"]), (&"de".into(), &2.into()));
    assert_eq!(made["mail"]["said"], "250 queued as canary-42");
    assert_eq!(
        a.json(&["invite", "mail", id, "bea@canary-of-a-recipient.example"])["sent"],
        true
    );
    postbox.answers("RCPT", "550 <nobody@canary-of-a-recipient.example> is not here");
    let (code, said) = a.code(&["invite", "mail", id, "nobody@canary-of-a-recipient.example"]);
    assert!(
        code == Some(7) && said.contains("550 <…> is not here"),
        "{code:?} {said}"
    );
    // It is made all the same where it can't be mailed.
    let unsent = a.json(&["invite", "create", "--mail", "nobody@canary-of-a-recipient.example"]);
    assert_eq!(
        (&unsent["state"], &unsent["mail"]["sent"]),
        (&"open".into(), &false.into())
    );

    let text = |arguments: &[&str]| {
        let output = a.run(arguments);
        assert!(output.status.success(), "{arguments:?} {output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let shown = text(&["invite", "show", id, "--qr"]);
    for part in [
        "for Bob",
        "open until",
        "2 uses",
        "\n  link   http://",
        "\n  code   ",
        "█▀",
        "mailed",
        "250 queued",
    ] {
        assert!(shown.contains(part), "no {part} in {shown}");
    }
    let drawn = text(&["invite", "create", "--qr"]);
    assert!(
        drawn.contains("█▀") && drawn.contains("Cancel with: ocmesh invite revoke"),
        "{drawn}"
    );
    assert_eq!(a.json(&["invite", "list", "--open"]).as_array().unwrap().len(), 3);
    let before = made["expires"].as_str().unwrap();
    let longer = a.json(&["invite", "extend", id, "1d"]);
    assert!(longer["expires"].as_str().unwrap() > before, "{longer}");
    assert_eq!(a.json(&["invite", "revoke", id])["state"], "revoked");
    assert_eq!(a.json(&["invite", "list", "--ended"])[0]["id"], id);
    for (arguments, code, part) in [
        (&["invite", "extend", id][..], 1, "cancelled"),
        (&["invite", "mail", id, "bob@uni.example"], 1, "open no longer"),
        (&["invite", "show", "12345"], 3, "no such invitation"),
        (&["invite", "create", "--share", "nowhere"], 3, "share"),
        (&["invite", "create", "--for-server", "no server"], 1, "server"),
        (&["invite", "create", "--lang", "xx"], 2, "en, de, fr"),
    ] {
        let (got, said) = a.code(arguments);
        assert!(
            got == Some(code) && said.contains(part),
            "{arguments:?}: {got:?} {said}"
        );
    }
    a.stop();
    let log = a.log();
    assert!(
        log.matches("Answered").count() > MOST_QUIET,
        "the log says too little to prove anything"
    );
    for canary in [
        "canary-password-of-the-mail-server",
        &STANDARD.encode("\0ocm\0canary-password-of-the-mail-server"),
        "canary-of-a-recipient",
        made["token"].as_str().unwrap(),
        made["string"].as_str().unwrap(),
    ] {
        assert!(!log.contains(canary), "{canary}: {}", line_with(&log, canary));
    }
    assert_eq!(postbox.count("AUTH PLAIN"), 4);
}

#[test]
fn each_way_to_fail_has_its_exit_code_and_says_what_is_wrong() {
    let a = Installation::new();
    a.add_user("ada");
    let check = |arguments: &[&str], code: i32, text: &str| {
        let (got, said) = a.code(arguments);
        assert_eq!(got, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(text), "{arguments:?}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    };
    check(&["share", "stop", "12345"], 3, "no such share");
    check(&["file", "list", "nowhere"], 3, "no such file");
    check(&["file", "list", "../../etc"], 1, "..");
    check(
        &[
            "user",
            "add",
            "Not A Name",
            "--password-file",
            a.path("password").to_str().unwrap(),
        ],
        1,
        "name:",
    );
    check(
        &["user", "add", "x", "--password-file", "/does/not/exist"],
        1,
        "--password-file",
    );
    check(&["invite", "create", "--user", "nobody"], 3, "user:");
    check(&["invite", "create", "--expires", "400d"], 1, "expires");
    check(&["share", "create", "x", "--to", "nobody"], 1, "to:");
    check(
        &[
            "share",
            "create",
            "x",
            "--to",
            "bob@cloud.example",
            "--until",
            "tomorrow",
        ],
        1,
        "until:",
    );
    check(
        &["contact", "remove", "bob@cloud.example"],
        2,
        "Say --yes if that is meant",
    );
    check(&["notify", "test"], 4, "start it first");
    check(&["man", a.path("password").to_str().unwrap()], 1, "password: ");
    check(
        &["contact", "remove", "bob@cloud.example", "--yes"],
        3,
        "no such contact",
    );
    check(&["peer", "deny", "*.org"], 1, "host:");
    check(&["setup-link"], 1, "already");
    let (code, said) = a.code(&["share", "create"]);
    assert_eq!(code, Some(2), "{said}");
}

#[test]
fn what_stands_in_the_way_is_left_alone_and_named() {
    let a = Installation::new();
    a.add_user("ada");
    let file = write(&a.path("local.txt"), "content");
    a.json(&["file", "put", &file, "f.txt"]);
    let folder = a.dir.path().to_str().unwrap().to_owned();
    let (code, said) = a.code(&["file", "put", &folder, "x"]);
    assert!(code == Some(1) && said.contains("is a folder"), "{said}");
    let (code, said) = a.code(&["file", "get", "f.txt", &folder]);
    assert!(code == Some(1) && said.contains("is a folder"), "{said}");
    let (code, said) = a.code(&["invite", "accept", "abcdefgh@cloud.example"]);
    assert!(code == Some(4) && said.contains("start it first"), "{said}");
    // A slip in the configuration must not cost a file.
    let precious = write(&a.path("precious.txt"), "precious");
    let config = fs::read_to_string(a.path("ocm.toml")).unwrap();
    fs::write(a.path("ocm.toml"), config.replace("../admin.sock", "../precious.txt")).unwrap();
    let (code, said) = a.code(&["serve"]);
    assert!(code == Some(78) && said.contains("server.admin_socket"), "{said}");
    assert_eq!(fs::read_to_string(precious).unwrap(), "precious");
    // In a directory without a server, no command makes one.
    let elsewhere = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_ocmesh"))
        .args(["user", "list"])
        .current_dir(elsewhere.path())
        .env_remove("OCM_CONFIG")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 0);
}

#[test]
fn another_users_share_is_not_ended_in_ones_name() {
    let (mut a, mut b) = (Installation::new(), Installation::new());
    a.start("info");
    b.start("info");
    a.add_user("ada");
    a.add_user("mallory");
    b.add_user("bob");
    introduce(&a, &b);
    let file = write(&a.path("local.txt"), "x");
    a.json(&["file", "put", &file, "f.txt", "--user", "ada"]);
    let sent = a.json(&["share", "create", "f.txt", "--to", &b.address("bob"), "--user", "ada"]);
    let id = sent["id"].as_str().unwrap();
    let (code, said) = a.code(&["share", "stop", id, "--user", "mallory"]);
    assert_eq!(code, Some(3), "{said}");
    assert_eq!(a.json(&["share", "stop", id, "--user", "ada"])["state"], "stopped");
}

#[test]
fn what_somebody_asks_for_is_granted_and_closed_by_commands_alone() {
    let (mut a, mut b) = (Installation::new(), Installation::new());
    a.start("info");
    b.start("info");
    a.add_user("ada");
    b.add_user("bob");
    introduce(&a, &b);
    let file = write(&a.path("local.txt"), "x");
    a.json(&["file", "put", &file, "docs/f.txt", "--user", "ada"]);
    let ada = a.address("ada");
    let sent = b.json(&["request", "send", &ada, "docs/f.txt", "--user", "bob"]);
    assert_eq!((&sent["state"], &sent["owner"]), (&"waiting".into(), &ada.into()));
    let asked = eventually(&a, &["request", "list", "--user", "ada"], |row| row["state"] == "open");
    assert_eq!(
        (&asked["from"], &asked["path"]),
        (&b.address("bob").into(), &"docs/f.txt".into())
    );
    let id = asked["id"].as_str().unwrap();
    let grant = ["request", "grant", id, "docs/f.txt", "--write", "--until", "2099-12-31"];
    let granted = a.json(&grant);
    let share = &a.json(&["share", "list", "--sent"])[0];
    assert_eq!(
        (&granted["share"], &granted["state"]),
        (&share["id"], &"granted".into())
    );
    assert_eq!(
        (&share["permissions"]["write"], &share["expires"]),
        (&true.into(), &"2099-12-31T00:00:00Z".into())
    );
    let list = ["request", "list", "--sent", "--user", "bob"];
    let answered = eventually(&b, &list, |row| row["shares"] != serde_json::json!([]));
    assert_eq!(answered["shares"][0], b.json(&["share", "list"])[0]["id"]);
    let closed = b.json(&["request", "close", sent["id"].as_str().unwrap()]);
    assert_eq!(closed["state"], "closed");

    b.json(&["request", "send", &a.address("ada"), "something else"]);
    let list = ["request", "list"];
    let other = eventually(&a, &list, |row| row["what"] == "something else");
    let id = other["id"].as_str().unwrap();
    let said = a.run(&["request", "decline", id, "--user", "ada"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains("is declined"), "{said}");
    let check = |arguments: &[&str], code: i32, text: &str| {
        let (got, said) = b.code(arguments);
        assert!(
            got == Some(code) && said.contains(text),
            "{arguments:?}: {got:?} {said}"
        );
    };
    check(&["request", "decline", "12345"], 3, "no such request");
    check(&["request", "close", "12345"], 3, "no such request");
    check(&["request", "grant", "12345", "x"], 3, "no such request");
    check(&["request", "send", "ada", "x"], 1, "owner:");
    check(&["request", "send", &a.address("ada"), ""], 1, "what:");
    check(
        &["request", "send", &a.address("eve"), "x"],
        5,
        "not one of your contacts",
    );
    check(&["request", "send", "eve@127.0.0.1:9", "x"], 6, "does not accept");
}

#[test]
fn t79_a_server_killed_before_it_could_deliver_delivers_the_same_share_once() {
    let (mut a, mut b) = (Installation::new(), Installation::new());
    a.start("info");
    b.start("info");
    a.add_user("ada");
    b.add_user("bob");
    introduce(&a, &b);
    let file = write(&a.path("local.txt"), "kept");
    a.json(&["file", "put", &file, "f.txt"]);
    b.kill();
    let sent = a.json(&["share", "create", "f.txt", "--to", &b.address("bob")]);
    assert_eq!(sent["state"], "pending");
    a.kill();
    a.start("info");
    let waiting = eventually(&a, &["queue", "list"], |row| !row["last_error"].is_null());
    assert_eq!(
        (&waiting["share"], &waiting["last_error"]["code"]),
        (&sent["id"], &Value::from("no-answer"))
    );
    b.start("info");
    let received = eventually(&b, &["share", "list", "--received"], |row| row["state"] == "pending");
    assert_eq!(received["provider_id"], sent["provider_id"]);
    b.kill();
    b.start("info");
    let rows = b.json(&["share", "list", "--received"]);
    assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
    eventually(&a, &["share", "list", "--sent"], |row| !row["announced"].is_null());
    assert_eq!(a.json(&["queue", "list"]), serde_json::json!([]));
}

#[test]
fn t44_no_secret_is_ever_logged_even_at_trace() {
    let (mut a, mut b) = (Installation::new(), Installation::new());
    a.start("trace");
    b.start("trace");
    a.add_user("ada");
    b.add_user("bob");
    let invite = introduce(&a, &b);
    let file = write(&a.path("local.txt"), "canary-content-of-a-file");
    a.json(&["file", "put", &file, "f.txt"]);
    a.json(&["share", "create", "f.txt", "--to", &b.address("bob")]);
    let received = eventually(&b, &["share", "list", "--received"], |row| row["state"] == "pending");
    let id = received["id"].as_str().unwrap();
    b.json(&["share", "accept", id]);
    let fetched = b.path("fetched.txt");
    assert_eq!(b.code(&["share", "get", id, fetched.to_str().unwrap()]).0, Some(0));
    for target in [
        "/index.php/apps/files_sharing/shareinfo?t=canary-of-the-old-interface",
        "/ocs/v2.php/cloud/shares/1/accept?format=json&token=canary-of-the-old-interface",
        "/ocs/v2.php/cloud/shares/1/nothing?token=canary-of-the-old-interface",
        "/public.php/webdav/?t=canary-of-the-old-interface",
        "/wayf?token=canary-of-the-old-interface",
        "/nowhere?token=canary-of-the-old-interface",
    ] {
        for method in ["GET", "POST", "PROPFIND"] {
            let answer = a.ask(&format!(
                "{method} {target} HTTP/1.1\r\nhost: 127.0.0.1:{}\r\nconnection: close\r\n\
                 authorization: Basic Y2FuYXJ5LW9mLWEtc2VjcmV0Og==\r\n\
                 content-type: application/x-www-form-urlencoded\r\ncontent-length: 33\r\n\r\n\
                 token=canary-of-the-old-interface",
                a.port
            ));
            assert!(answer.starts_with("HTTP/1.1 "), "{method} {target}: {answer}");
        }
    }
    a.stop();
    b.stop();
    let secret = shared_secret(&a);
    assert!(secret.len() > 40);
    for installation in [&a, &b] {
        let log = installation.log();
        assert!(
            log.matches("Answered").count() > MOST_QUIET,
            "the log says too little to prove anything"
        );
        for canary in [
            PASSWORD,
            &secret,
            invite["token"].as_str().unwrap(),
            invite["string"].as_str().unwrap(),
            "canary-content",
            "canary-of-the-old-interface",
            "Y2FuYXJ5LW9mLWEtc2VjcmV0Og",
            "canary-of-a-secret",
            "Bearer ey",
            // The middle of every token of ours: "iss":" in base64url at the three possible places.
            "eyJ0eXAiOiJhdCtqd3Q",
        ] {
            assert!(!log.contains(canary), "{canary}: {}", line_with(&log, canary));
        }
    }
}

#[test]
fn keys_are_rotated_by_commands_and_their_private_halves_stay_where_they_are() {
    let mut a = Installation::new();
    // While no server runs, on its data.
    a.add_user("ada");
    let first = a.json(&["key", "list"])[0].clone();
    assert_eq!(first["fingerprint"].as_str().unwrap().len(), 43);
    a.start("trace");
    assert_eq!(a.json(&["key", "list"]), serde_json::json!([first]));
    let check = |arguments: &[&str], code: i32, text: &str| {
        let (got, said) = a.code(arguments);
        assert_eq!(got, Some(code), "{arguments:?}: {said}");
        assert!(said.contains(text), "{arguments:?}: {said}");
    };
    check(&["key", "cancel"], 1, "no key to cancel");
    let output = a.run(&["key", "rotate"]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(
        said.contains(" signs from ") && said.contains("/ocm#ed25519-"),
        "{said}"
    );
    check(&["key", "rotate"], 1, "published already");
    let listed = String::from_utf8(a.run(&["key", "list"]).stdout).unwrap();
    assert!(
        listed.contains("\nactive ") && listed.contains("\npending "),
        "{listed}"
    );
    assert_eq!(a.json(&["key", "cancel"]), serde_json::json!([first]));
    let second = a.json(&["key", "rotate", "--now"]);
    assert_eq!(
        (&second["replaces"], &second["state"]),
        (&first["kid"], &Value::from("active"))
    );
    check(&["key", "rotate", "--now", "--stolen"], 2, "cannot be used with");
    check(&["key", "rotate", "--stolen"], 2, "All keys of this server are dropped");
    let third = a.json(&["key", "rotate", "--stolen", "--yes"]);
    assert!(
        third["note"]
            .as_str()
            .unwrap()
            .contains("Peers refuse our requests until")
    );
    a.json(&["key", "rotate"]);
    let all = a.json(&["key", "list"]);
    assert_eq!((&all[0]["kid"], all.as_array().unwrap().len()), (&third["kid"], 2));
    a.stop();
    let log = a.log();
    for said in ["A new key signs", "dropped as stolen", third["kid"].as_str().unwrap()] {
        assert!(log.contains(said), "nothing in the log says {said}");
    }
    let private = private_keys(&a);
    assert_eq!(private.len(), 2);
    let shown = format!("{log}{listed}{said}{third}{all}");
    assert!(!shown.contains("pkcs8") && !shown.contains("\"d\""));
    for key in private {
        // The seed stands behind 16 bytes that are the same in each.
        let seed = &STANDARD.decode(&key).unwrap()[16..48];
        let hex: String = seed.iter().map(|byte| format!("{byte:02x}")).collect();
        let debug = format!("{seed:?}");
        for canary in [key, URL_SAFE_NO_PAD.encode(seed), hex, debug] {
            assert!(!shown.contains(&canary), "{}", line_with(&shown, &canary));
        }
    }
}

/// The private keys, read where they are kept.
fn private_keys(installation: &Installation) -> Vec<String> {
    use ocmesh::store::Key;
    use ocmesh::store::Options;
    use ocmesh::store::Page;
    use ocmesh::store::Record;
    use ocmesh::store::Store;
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Kept {
        pkcs8: String,
    }
    impl Record for Kept {
        const KIND: &'static str = "signing-key";
        fn key(&self) -> Key {
            Key::ALL
        }
    }
    let store = Store::open(&installation.path("data"), Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let keys = runtime
        .block_on(store.read(async |txn| txn.list::<Kept>(Key::ALL, &Page::first(9)).await))
        .unwrap();
    keys.items.into_iter().map(|kept| kept.pkcs8).collect()
}

/// The secret of the only share, read where it is kept.
fn shared_secret(installation: &Installation) -> String {
    use ocmesh::shares::SentShare;
    use ocmesh::store::Key;
    use ocmesh::store::Options;
    use ocmesh::store::Page;
    use ocmesh::store::Store;
    let store = Store::open(&installation.path("data"), Options::default()).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let shares = runtime
        .block_on(store.read(async |txn| txn.list::<SentShare>(Key::ALL, &Page::first(1)).await))
        .unwrap();
    shares.items[0].secret.expose().to_owned()
}

fn line_with<'a>(log: &'a str, text: &str) -> &'a str {
    log.lines().find(|line| line.contains(text)).unwrap_or_default()
}

/// As in a container from scratch, or on a new Debian without the package ca-certificates.
#[test]
fn commands_reach_the_server_where_the_system_has_no_certificates() {
    let mut installation = Installation::new();
    installation.start("warn");
    let output = Command::new(env!("CARGO_BIN_EXE_ocmesh"))
        .args(["user", "list"])
        .env("OCM_CONFIG", installation.path("ocm.toml"))
        .env("SSL_CERT_FILE", installation.path("nowhere.pem"))
        .env("SSL_CERT_DIR", installation.path("nowhere"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    installation.stop();
}

#[test]
fn the_demo_tells_its_whole_story() {
    let output = Command::new(env!("CARGO_BIN_EXE_ocmesh"))
        .args(["demo", "--check"])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{told} {}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(told.lines().last().unwrap().contains("steps passed"), "{told}");
}
