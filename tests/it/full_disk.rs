//! A disk that is full, has no more inodes, or can only be read (T-82): what was answered is kept, what is not kept is not
//! said to be, reading goes on, and nothing falls over. The disk is a small one in memory, in a mount namespace of its own.

use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Write;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use ocmesh::clock::Clock;
use ocmesh::ocm::signature;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::free_port;
use crate::harness::http;
use crate::harness::skipped;

/// Keeps the namespace, and with it the disk, while servers come and go.
struct Disk {
    dir: TempDir,
    holder: Child,
    port: u16,
}

impl Disk {
    /// A disk with these options of tmpfs, larger than the 64 MiB that are kept from people's files; none where a test may not mount anything.
    fn mounted(options: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let disk = dir.path().join("disk");
        fs::create_dir(&disk).unwrap();
        let script = format!(
            "mount -t tmpfs -o {options} tmpfs '{}' && echo mounted && exec sleep 600",
            disk.display()
        );
        let holder = Command::new("unshare")
            .args(["-m", "--propagation", "private", "sh", "-c", &script])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let Ok(mut holder) = holder else {
            skipped("unshare is not here (Debian package util-linux)");
            return None;
        };
        let mut said = String::new();
        let _ = BufReader::new(holder.stdout.take().unwrap()).read_line(&mut said);
        if said.trim() != "mounted" {
            skipped("a disk in memory can't be mounted here; that needs root");
            let _ = holder.kill();
            let _ = holder.wait();
            return None;
        }
        let port = free_port();
        let config = format!(
            "[server]\npublic_url = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\n\
             data_dir = \"disk/data\"\nadmin_socket = \"{}/admin.sock\"\n[federation]\nmode = \"open\"\n\
             [[federation.private_network]]\ncidr = \"127.0.0.0/8\"\nplain_http = true\n\
             [metrics]\nlisten = \"off\"\n[backup]\nevery = \"off\"\n",
            dir.path().display()
        );
        fs::write(dir.path().join("ocm.toml"), config).unwrap();
        Some(Self { dir, holder, port })
    }

    /// The disk, as seen from outside of its namespace.
    fn inside(&self) -> PathBuf {
        let disk = self.dir.path().join("disk");
        PathBuf::from(format!("/proc/{}/root{}", self.holder.id(), disk.display()))
    }

    fn within(&self, program: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new("nsenter");
        command.args(["-t", &self.holder.id().to_string(), "-m", "--", program]);
        command.args(arguments).stdin(Stdio::null());
        command
            .env("OCM_CONFIG", self.dir.path().join("ocm.toml"))
            .env_remove("RUST_LOG");
        command
    }

    fn ocmesh(&self, arguments: &[&str]) -> Output {
        self.within(env!("CARGO_BIN_EXE_ocmesh"), arguments).output().unwrap()
    }

    /// Does what must work, and gives its JSON.
    fn done(&self, arguments: &[&str]) -> Value {
        let output = self.ocmesh(&[arguments, &["--json"]].concat());
        assert!(
            output.status.success(),
            "{arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }

    fn start(&self) -> Server {
        let mut command = self.within(env!("CARGO_BIN_EXE_ocmesh"), &["serve"]);
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let said: Arc<Mutex<String>> = Arc::default();
        let mut before = String::new();
        let up = lines.by_ref().map(Result::unwrap).any(|line| {
            before.push_str(&format!("{line}\n"));
            line.starts_with("Address ")
        });
        assert!(up, "it did not start: {before}");
        let log = Arc::clone(&said);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                log.lock().unwrap().push_str(&format!("{line}\n"));
            }
        });
        Server { child, said }
    }

    /// Takes all the room there is.
    fn fill(&self) {
        let mut filler = File::create(self.inside().join("filler")).unwrap();
        for size in [1 << 20, 1 << 12, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn make_room(&self) {
        fs::remove_file(self.inside().join("filler")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

struct Server {
    child: Child,
    said: Arc<Mutex<String>>,
}

impl Server {
    /// Ends it at once, as a supervisor would in the end; gives what it had said.
    fn kill(mut self) -> String {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        self.said.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server on a small disk with Ada, whose folder a rogue may write into with its secret.
struct Trial {
    disk: Disk,
    rogue: Rogue,
    secret: String,
    share: String,
    number: u32,
}

impl Trial {
    async fn set_up(options: &str) -> Option<(Self, Server)> {
        let disk = Disk::mounted(options)?;
        let server = disk.start();
        fs::write(disk.dir.path().join("password"), "correct horse battery\n").unwrap();
        let password = disk.dir.path().join("password").display().to_string();
        disk.done(&["user", "add", "ada", "--password-file", &password]);
        let file = disk.dir.path().join("a.txt");
        fs::write(&file, "hello").unwrap();
        disk.done(&["file", "put", &file.display().to_string(), "lab/a.txt", "--user", "ada"]);
        // It knows no tokens, so that its secret opens the share.
        let rogue = Rogue::start().await;
        let mut says = rogue.discovery();
        says["capabilities"] = json!(["http-sig", "protocol-object"]);
        says.as_object_mut().unwrap().remove("tokenEndPoint");
        rogue.reply("GET", "/.well-known/ocm", Reply::json(200, says));
        disk.done(&[
            "share",
            "create",
            "lab",
            "--to",
            &rogue.address("eve"),
            "--write",
            "--user",
            "ada",
        ]);
        let mut patience = 400;
        while rogue.seen_at("/ocm/shares").is_empty() && patience > 0 {
            patience -= 1;
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let seen = rogue.seen_at("/ocm/shares");
        let message = seen.first().expect("the share arrives within 20 s").json();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let trial = Self {
            secret: text(&message["protocol"]["webdav"]["sharedSecret"]),
            share: format!("/dav/ocm/{}", text(&message["providerId"])),
            disk,
            rogue,
            number: 0,
        };
        Some((trial, server))
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.disk.port)
    }

    async fn webdav(&self, method: &str, path: &str, body: Vec<u8>) -> reqwest::Response {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let request = http().request(method, self.url(&format!("{}{path}", self.share)));
        request.bearer_auth(&self.secret).body(body).send().await.unwrap()
    }

    /// A share for Ada, each time another one; gives its id and how that was answered.
    async fn share(&mut self) -> (String, reqwest::Response) {
        self.number += 1;
        let id = self.number.to_string();
        let body = json!({
            "shareWith": format!("ada@127.0.0.1:{}", self.disk.port),
            "name": "report.txt",
            "description": "d".repeat(1000),
            "providerId": id,
            "owner": self.rogue.address("eve"),
            "sender": self.rogue.address("eve"),
            "shareType": "user",
            "resourceType": "file",
            "protocol": { "name": "multi", "webdav": {
                "uri": id, "sharedSecret": "s3cretcanaryofthesharethatisneverlogged", "permissions": ["read"]
            }}
        });
        let (url, body) = (self.url("/ocm/shares"), body.to_string().into_bytes());
        let headers = signature::sign(&self.rogue.key, "POST", &url, &body, Clock::system().now(), true);
        let mut request = http().post(&url).header("content-type", "application/json").body(body);
        for (name, value) in headers.iter().filter(|(name, _)| *name != "content-length") {
            request = request.header(*name, value);
        }
        (id, request.send().await.unwrap())
    }

    /// What is there of what was promised.
    fn there(&self) -> BTreeSet<String> {
        let rows = self.disk.done(&["share", "list", "--received", "--user", "ada"]);
        let ids = rows.as_array().unwrap().iter();
        ids.map(|row| row["provider_id"].as_str().unwrap().to_owned()).collect()
    }

    /// Refused for now, so that whoever asks tries again.
    fn expect_later(answer: &reqwest::Response) {
        assert!([503, 507].contains(&answer.status().as_u16()), "{answer:?}");
        if answer.status() == 503 {
            assert!(answer.headers().contains_key("retry-after"), "{answer:?}");
        }
    }

    /// Reading goes on: what this server says of itself, its pages, and what it shares.
    async fn expect_reading(&self) {
        for path in ["/.well-known/ocm", "/.well-known/jwks.json", "/login", "/livez"] {
            let answer = http().get(self.url(path)).send().await.unwrap();
            assert_eq!(answer.status(), 200, "{path}");
        }
        let read = self.webdav("GET", "/a.txt", Vec::new()).await;
        assert_eq!(read.status(), 200);
        assert_eq!(read.text().await.unwrap(), "hello");
    }
}

#[actix_web::test]
async fn t82_with_a_full_disk_nothing_that_was_answered_is_lost_and_reading_goes_on() {
    let Some((mut trial, server)) = Box::pin(Trial::set_up("size=96m")).await else {
        return;
    };
    let mut promised = BTreeSet::new();
    for _ in 0..10 {
        let (id, answer) = trial.share().await;
        assert_eq!(answer.status(), 201);
        promised.insert(id);
    }
    trial.disk.fill();
    // An upload finds no room, says so, and leaves nothing behind.
    let large = trial.webdav("PUT", "/large.bin", vec![b'x'; 4 << 20]).await;
    assert_eq!(large.status(), 507);
    let mut refused = 0;
    for _ in 0..150 {
        let (id, answer) = trial.share().await;
        match answer.status().as_u16() {
            201 => _ = promised.insert(id),
            _ => {
                Trial::expect_later(&answer);
                refused += 1;
            }
        }
        if refused >= 5 {
            break;
        }
    }
    assert!(refused > 0, "the disk was never full");
    Box::pin(trial.expect_reading()).await;
    let readyz = http().get(trial.url("/readyz")).send().await.unwrap();
    assert_eq!(readyz.status(), 503);
    let upload = trial.webdav("PUT", "/b.txt", b"b".to_vec()).await;
    Trial::expect_later(&upload);
    let said = server.kill();
    assert!(!said.contains("panicked"), "{said}");
    assert!(said.contains("disk"), "{said}");

    trial.disk.make_room();
    let server = trial.disk.start();
    let there = trial.there();
    let lost: Vec<_> = promised.difference(&there).collect();
    assert!(lost.is_empty(), "answered with 201, and gone: {lost:?}");
    let missing = trial.webdav("GET", "/large.bin", Vec::new()).await;
    assert_eq!(missing.status(), 404);
    let (_, answer) = trial.share().await;
    assert_eq!(answer.status(), 201, "there is room again");
    server.kill();
}

#[actix_web::test]
async fn t82_without_inodes_nothing_new_is_stored_and_nothing_is_lost() {
    let Some((mut trial, server)) = Box::pin(Trial::set_up("size=96m,nr_inodes=400")).await else {
        return;
    };
    let (before, answer) = trial.share().await;
    assert_eq!(answer.status(), 201);
    let mut files = 0;
    while File::create(trial.disk.inside().join(format!("f{files}"))).is_ok() {
        files += 1;
    }
    let upload = trial.webdav("PUT", "/b.txt", b"b".to_vec()).await;
    Trial::expect_later(&upload);
    let folder = trial.webdav("MKCOL", "/sub", Vec::new()).await;
    Trial::expect_later(&folder);
    // The database needs no new file for a change; if it should, the change is refused.
    let (mut promised, mut refused) = (BTreeSet::from([before]), BTreeSet::new());
    for _ in 0..20 {
        let (id, answer) = trial.share().await;
        match answer.status().as_u16() {
            201 => _ = promised.insert(id),
            _ => {
                Trial::expect_later(&answer);
                refused.insert(id);
            }
        }
    }
    assert_eq!(promised.len() + refused.len(), 21);
    Box::pin(trial.expect_reading()).await;
    let said = server.kill();
    assert!(!said.contains("panicked"), "{said}");
    for number in 0..files {
        fs::remove_file(trial.disk.inside().join(format!("f{number}"))).unwrap();
    }
    let server = trial.disk.start();
    let there = trial.there();
    assert!(promised.is_subset(&there), "{promised:?} {there:?}");
    assert_eq!(trial.webdav("PUT", "/b.txt", b"b".to_vec()).await.status(), 201);
    server.kill();
}

#[actix_web::test]
async fn t82_a_disk_that_can_only_be_read_stops_the_start_by_name_and_is_not_changed() {
    let Some((trial, server)) = Box::pin(Trial::set_up("size=96m")).await else {
        return;
    };
    server.kill();
    let disk = trial.disk.dir.path().join("disk").display().to_string();
    let remounted = trial
        .disk
        .within("mount", &["-o", "remount,ro", &disk])
        .status()
        .unwrap();
    assert!(remounted.success());
    let refused = trial.disk.ocmesh(&["serve"]);
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        matches!(refused.status.code(), Some(1 | 78)),
        "{:?} {said}",
        refused.status
    );
    assert!(said.contains("data") && !said.contains("panicked"), "{said}");
    let remounted = trial
        .disk
        .within("mount", &["-o", "remount,rw", &disk])
        .status()
        .unwrap();
    assert!(remounted.success());
    let server = trial.disk.start();
    Box::pin(trial.expect_reading()).await;
    server.kill();
}
