//! One Chromium for all tests of the binary, spoken to over the pipe that it offers: JSON messages that end with NUL, on
//! its file descriptors 3 and 4. It ends when the pipe does, with the tests.

use std::collections::HashMap;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::ChildStdin;
use std::process::Command;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::OnceLock;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::sync::oneshot;

use super::text;

use crate::harness::skipped;

/// What it would otherwise do by itself: ask the world for updates, lists and whether there is one. No name leads
/// anywhere, so whatever a page tried to load from elsewhere would fail, and be seen.
const MANNERS: [&str; 20] = [
    "--headless",
    "--remote-debugging-pipe",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-domain-reliability",
    "--disable-client-side-phishing-detection",
    "--disable-sync",
    "--disable-renderer-backgrounding",
    "--disable-background-timer-throttling",
    "--disable-backgrounding-occluded-windows",
    "--no-first-run",
    "--no-proxy-server",
    "--no-pings",
    "--password-store=basic",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
];

/// The running browser.
pub struct Pipe {
    to: Mutex<ChildStdin>,
    next: AtomicU64,
    ears: Mutex<Ears>,
}

/// Who waits for what it says.
#[derive(Default)]
struct Ears {
    answers: HashMap<u64, oneshot::Sender<Value>>,
    sessions: HashMap<String, mpsc::UnboundedSender<Value>>,
    deaf: bool,
}

/// The browser; none where it is not installed, which is said once.
pub fn chromium() -> Option<&'static Pipe> {
    static SHARED: OnceLock<Option<&'static Pipe>> = OnceLock::new();
    *SHARED.get_or_init(|| {
        let Some(program) = installed() else {
            skipped("Chromium is not installed (tests/run does that).");
            return None;
        };
        Some(Pipe::start(&program))
    })
}

fn installed() -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    ["chromium", "chromium-browser", "google-chrome"]
        .iter()
        .flat_map(|name| folders.iter().map(move |folder| folder.join(name)))
        .find(|program| program.is_file())
}

impl Pipe {
    fn start(program: &Path) -> &'static Self {
        let profile = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("chromium-{}", std::process::id()));
        // A shell lays the pipe where the browser looks for it, and clears up behind it.
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg("\"$@\" 3<&0 4>&1 0</dev/null 1>&2; rm -rf \"$PROFILE\"")
            .arg("sh")
            .arg(program)
            .args(MANNERS)
            .arg(format!("--user-data-dir={}", profile.display()))
            .env("PROFILE", &profile);
        // Its sandbox can't be had by the superuser, in whose name tests run in containers.
        if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
            shell.arg("--no-sandbox");
        }
        let mut process = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let from = process.stdout.take().unwrap();
        let pipe: &'static Self = Box::leak(Box::new(Self {
            to: Mutex::new(process.stdin.take().unwrap()),
            next: AtomicU64::new(1),
            ears: Mutex::default(),
        }));
        std::thread::spawn(move || {
            pipe.listen(from);
            process.wait()
        });
        pipe
    }

    fn listen(&self, from: impl Read) {
        let mut from = BufReader::new(from);
        let mut message = Vec::new();
        while from.read_until(0, &mut message).is_ok_and(|read| read > 0) {
            message.pop();
            if let Ok(said) = serde_json::from_slice::<Value>(&message) {
                self.pass_on(said);
            }
            message.clear();
        }
        let mut ears = self.ears.lock().unwrap();
        *ears = Ears {
            deaf: true,
            ..Ears::default()
        };
    }

    fn pass_on(&self, said: Value) {
        let mut ears = self.ears.lock().unwrap();
        if let Some(session) = said["sessionId"].as_str() {
            if let Some(ear) = ears.sessions.get(session) {
                // A tab that is gone listens no more.
                let _ = ear.send(said);
            }
        } else if let Some(answer) = said["id"].as_u64().and_then(|id| ears.answers.remove(&id)) {
            let _ = answer.send(said);
        } else {
            // Of the browser as a whole, such as downloads: each tab knows its own.
            for ear in ears.sessions.values() {
                let _ = ear.send(said.clone());
            }
        }
    }

    fn write(&self, message: &Value) -> std::io::Result<()> {
        let mut bytes = message.to_string().into_bytes();
        bytes.push(0);
        self.to.lock().unwrap().write_all(&bytes)
    }

    /// Sends a command to a tab; gives its number, which the answer has too.
    pub fn send(&self, session: &str, method: &str, params: Value) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.write(&json!({ "id": id, "sessionId": session, "method": method, "params": params }))
            .expect("the browser still runs");
        id
    }

    /// What the browser as a whole answers.
    pub async fn ask(&self, method: &str, params: Value) -> Value {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (ear, answer) = oneshot::channel();
        {
            let mut ears = self.ears.lock().unwrap();
            assert!(!ears.deaf, "the browser has ended");
            ears.answers.insert(id, ear);
        }
        self.write(&json!({ "id": id, "method": method, "params": params }))
            .expect("the browser still runs");
        let answer = answer.await.expect("the browser still runs");
        assert!(answer.get("error").is_none(), "{method}: {}", answer["error"]);
        answer["result"].clone()
    }

    /// Opens a tab in a context of its own, which has no cookies; gives context, target, session, and what it says.
    pub async fn open(&self) -> (String, String, String, mpsc::UnboundedReceiver<Value>) {
        let context = self.ask("Target.createBrowserContext", json!({})).await;
        let context = text(&context, "/browserContextId").to_owned();
        let page = json!({ "url": "about:blank", "browserContextId": context });
        let target = self.ask("Target.createTarget", page).await;
        let target = text(&target, "/targetId").to_owned();
        let attached = self
            .ask("Target.attachToTarget", json!({ "targetId": target, "flatten": true }))
            .await;
        let session = text(&attached, "/sessionId").to_owned();
        let (ear, said) = mpsc::unbounded_channel();
        self.ears.lock().unwrap().sessions.insert(session.clone(), ear);
        (context, target, session, said)
    }

    /// Closes a tab with all that belongs to it.
    pub fn close(&self, session: &str, context: &str) {
        if let Ok(mut ears) = self.ears.lock() {
            ears.sessions.remove(session);
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let params = json!({ "browserContextId": context });
        // Nobody misses it where the browser has ended.
        let _ = self.write(&json!({ "id": id, "method": "Target.disposeBrowserContext", "params": params }));
    }
}
