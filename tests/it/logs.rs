//! What is written down about requests, and what never is (T-44): each has a number that stands in its answer, on the page
//! that says why it failed, in the log and in the audit log.

mod story;

use std::collections::BTreeSet;
use std::io;
use std::process::Command;
use std::sync::Arc;
use std::sync::Mutex;

use ocmesh::audit::Filter;
use ocmesh::cli::log;
use ocmesh::config::Mode;
use ocmesh::config::TlsMode;
use serde_json::Value;
use tracing_subscriber::util::SubscriberInitExt;

use crate::harness::Pair;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::mode;
use crate::web::browser::Browser;

/// A log in memory.
#[derive(Clone, Default)]
pub struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Lines {
    /// Takes all that this process writes down from now on: so a test that calls it has a process of its own.
    pub fn of_this_process(level: &str) -> Self {
        let lines = Self::default();
        let writer = lines.clone();
        log::subscriber(level, false, move || writer.clone()).init();
        log::keep_panics_short();
        // Whoever looks into a test that failed wants to know more than a log may tell.
        let told = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panicked| {
            told(panicked);
            eprintln!("{panicked}");
        }));
        lines
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    pub fn all(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}")))
            .collect()
    }

    /// The lines of one request.
    pub fn of(&self, id: &str) -> Vec<Value> {
        let mut lines = self.all();
        lines.retain(|line| line["span"]["id"] == id);
        lines
    }
}

/// Runs an ignored test of this program in a process that has nothing else to do.
pub fn run_alone(test: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env_remove("RUST_LOG")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        said.contains("1 passed"),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

fn number(answer: &reqwest::Response) -> String {
    answer.headers()["x-request-id"].to_str().unwrap().to_owned()
}

#[actix_web::test]
async fn each_answer_has_a_number_and_a_page_that_says_why_tells_it_in_each_language() {
    let server = TestServer::start().await;
    let mut numbers = BTreeSet::new();
    for path in [
        "/login",
        "/livez",
        "/nowhere",
        "/.well-known/ocm",
        "/dav/ocm/",
        "/healthz",
    ] {
        let answer = http().get(server.url(path)).send().await.unwrap();
        let number = number(&answer);
        assert!(
            number.len() > 10 && number.bytes().all(|byte| byte.is_ascii_digit()),
            "{number}"
        );
        let text = answer.text().await.unwrap();
        assert_eq!(text.contains(&number), path == "/nowhere", "{path}: {text}");
        numbers.insert(number);
    }
    assert_eq!(numbers.len(), 6);
    for lang in ["en", "de", "fr"] {
        let request = http().get(server.url("/nowhere")).header("accept-language", lang);
        let answer = request.send().await.unwrap();
        let shown = format!("<code>{}</code>", number(&answer));
        let text = answer.text().await.unwrap();
        assert!(text.contains("id=\"request-id\"") && text.contains(&shown), "{text}");
    }
}

#[actix_web::test]
async fn a_number_is_taken_from_a_proxy_and_from_nobody_else() {
    let direct = TestServer::start().await;
    let proxied = TestServer::start_with(|config| config.tls.mode = TlsMode::Proxy).await;
    let long = "x".repeat(65);
    let ask = async |server: &TestServer, id: &str| {
        let answer = http()
            .get(server.url("/livez"))
            .header("x-request-id", id)
            .send()
            .await
            .unwrap();
        number(&answer)
    };
    assert_eq!(ask(&proxied, "Proxy_1.2-3").await, "Proxy_1.2-3");
    assert_ne!(ask(&direct, "Proxy_1.2-3").await, "Proxy_1.2-3");
    for bad in ["", &long, "a b", "<b>", "a\u{e9}"] {
        let made = ask(&proxied, bad).await;
        assert!(
            made.bytes().all(|byte| byte.is_ascii_digit()) && !made.is_empty(),
            "{bad}: {made}"
        );
    }
}

#[actix_web::test]
async fn the_audit_log_and_commands_have_the_same_number() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let made = ada.post("/new-folder", &[("path", ""), ("name", "docs")]).await;
    let number = made.header("x-request-id").to_owned();
    let found = server.site().audit.list(&Filter::default(), None, 1).await.unwrap();
    assert_eq!(
        (found.entries[0].verb.as_str(), &found.entries[0].request),
        ("file.folder", &number)
    );
}

#[actix_web::test]
async fn an_error_over_the_admin_socket_has_a_number_too() {
    use futures_util::StreamExt;
    let server = TestServer::start().await;
    let socket = server.site().config.server.admin_socket.clone();
    let client = ocmesh::client::admin::AdminClient::connect(&socket).await.unwrap();
    let call = bytes::Bytes::from_static(b"{\"call\": \"queue-drop\", \"id\": \"1\"}\n");
    let body = futures_util::stream::iter([Ok(call)]);
    let (status, _, mut answer) = client.call("/v1/call", Box::pin(body)).await.unwrap();
    let mut text = Vec::new();
    while let Some(chunk) = answer.next().await {
        text.extend_from_slice(&chunk.unwrap());
    }
    let error: Value = serde_json::from_slice(&text).unwrap();
    assert_eq!((status, &error["error"]["code"]), (404, &"not-found".into()));
    assert!(error["error"]["request"].as_str().unwrap().len() > 10, "{error}");
}

#[test]
fn each_request_leaves_one_line_with_its_pattern_and_number() {
    run_alone("logs::a_line_for_each_request");
}

#[actix_web::test]
#[ignore = "it takes the log of its whole process; another test runs it alone"]
async fn a_line_for_each_request() {
    let lines = Lines::of_this_process("info");
    let pair = Pair::with(mode(Mode::Open)).await;
    let server = &pair.a;
    let ask = async |path: &str| number(&http().get(server.url(path)).send().await.unwrap());
    let one = |id: &str| {
        let own = lines.of(id);
        let told: Vec<_> = own.iter().filter(|line| line["route"].is_string()).cloned().collect();
        assert_eq!(told.len(), 1, "{own:?}");
        told[0].clone()
    };

    let wayf = one(&ask("/wayf?token=canary-of-a-code").await);
    assert_eq!(
        (&wayf["route"], &wayf["method"]),
        (&"/wayf".into(), &"GET".into()),
        "{wayf}"
    );
    assert!(
        wayf["ms"].is_u64() && wayf["status"].is_u64() && wayf["level"] == "INFO",
        "{wayf}"
    );
    assert_eq!(wayf["message"], format!("Answered GET /wayf: {}", wayf["status"]));
    assert!(wayf["peer"].is_null() && wayf["person"].is_null(), "{wayf}");
    let nowhere = ask("/canary-of-a-path/x").await;
    assert_eq!(one(&nowhere)["route"], "other");
    // What was refused says so in a line of its own, with the same number.
    assert!(
        lines.of(&nowhere).iter().any(|line| line["code"] == "not-found"),
        "{:?}",
        lines.of(&nowhere)
    );
    let file = ask("/files/canary-of-a-file.txt").await;
    assert_eq!(one(&file)["route"], "/files{path:(/.*)?}");

    let mut ada = Browser::signed_in(server, "ada").await;
    let home = ada.get("/home").await;
    let line = one(home.header("x-request-id"));
    assert!(line["person"] == "ada" && line["peer"].is_null(), "{line}");
    let rogue = Rogue::start().await;
    let share = rogue.share_for(server, "ada", "7");
    let shared = rogue.post(server, "/ocm/shares", &share).await;
    let line = one(&number(&shared));
    assert!(
        line["peer"] == rogue.provider.to_string() && line["person"].is_null(),
        "{line}"
    );

    for quiet in ["/livez", "/readyz", "/healthz", "/static/icon.svg"] {
        let id = ask(quiet).await;
        assert!(lines.of(&id).is_empty(), "{quiet}: {:?}", lines.of(&id));
    }
    let text = lines.text();
    assert!(!text.contains("canary") && !text.contains("127.0.0.1\""), "{text}");
}

#[test]
fn t44_no_setting_lets_libraries_say_what_passes_through_them() {
    run_alone("logs::what_libraries_say");
}

#[actix_web::test]
#[ignore = "it takes the log of its whole process; another test runs it alone"]
async fn what_libraries_say() {
    let wanted = "trace,hyper=trace,hyper_util=trace,reqwest=trace,rustls=trace,actix_http=trace,actix_web=trace,\
                  lettre=trace,h2=trace,sled=trace,rustls_acme=trace,ocmesh=trace";
    let lines = Lines::of_this_process(wanted);
    let pair = Box::pin(Pair::acquainted()).await;
    pair.a.put_file("ada", "f.txt", "x").await;
    Box::pin(pair.shared("f.txt", false)).await;
    // Also those that come by way of the `log` crate, and the spans of others.
    tracing::trace!(target: "hyper::proto", "canary-of-a-body");
    tracing::debug!(target: "lettre::transport", "canary-of-a-body");
    tracing::debug!(target: "ocmesher", "canary-of-a-body");
    tracing::debug_span!(target: "hyper::client", "canary-of-a-body").in_scope(|| tracing::info!("in a span"));
    tracing::info!(target: "rustls_acme", "said");
    tracing::trace!(target: "ocmesh::x", "said of our own");
    let text = lines.text();
    assert!(!text.contains("canary"), "{text}");
    assert!(text.contains("said of our own") && text.contains("\"rustls_acme\""));
    for line in lines.all() {
        let own = line["target"].as_str().unwrap().split("::").next() == Some("ocmesh");
        let low = matches!(line["level"].as_str(), Some("TRACE" | "DEBUG"));
        assert!(own || !low, "{line}");
    }
}
