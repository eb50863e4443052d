//! Numbers and health for programs that look after this server: each moves when the thing is done, none says for whom,
//! and none can be made many from outside (T-85, T-89).

mod contrib;
mod memory;
pub mod panics;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocmesh::api::Call;
use ocmesh::app;
use ocmesh::app::Options;
use ocmesh::config::Config;
use ocmesh::config::Directory;
use ocmesh::config::DocumentUrl;
use ocmesh::config::Every;
use ocmesh::config::Mode;
use ocmesh::config::OwnListener;
use ocmesh::config::PublicUrl;
use ocmesh::config::TlsMode;
use ocmesh::config::Verify;
use ocmesh::error::Reason;
use ocmesh::ocm::signature::SigningKey;
use serde_json::Value;
use serde_json::json;

use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::listener;
use crate::harness::mode;
use crate::harness::raw;

/// Longer than any rest between two readings.
const LATER: Duration = Duration::from_secs(601);

/// What stands in one scrape: samples by name and labels.
pub struct Numbers {
    pub text: String,
    samples: BTreeMap<String, f64>,
}

impl Numbers {
    fn read(text: String) -> Self {
        let samples = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .map(|line| {
                let (name, value) = line.rsplit_once(' ').unwrap();
                (name.to_owned(), value.parse().unwrap())
            })
            .collect();
        Self { text, samples }
    }

    /// Zero for what was never counted.
    #[track_caller]
    fn of(&self, sample: &str) -> f64 {
        self.samples.get(sample).copied().unwrap_or_default()
    }

    /// The sum of all samples of this name, whatever their labels.
    fn all(&self, name: &str) -> f64 {
        let own = |sample: &&String| sample.split('{').next() == Some(name);
        self.samples.keys().filter(own).map(|sample| self.samples[sample]).sum()
    }

    fn has(&self, sample: &str) -> bool {
        self.samples.contains_key(sample)
    }

    /// Names as alerts and panels use them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.samples.keys().map(String::as_str)
    }
}

/// Any free port, for numbers.
pub fn counted(config: &mut Config) {
    config.metrics.listen = OwnListener(Some(SocketAddr::from(([127, 0, 0, 1], 0))));
}

fn at(server: &TestServer) -> String {
    format!("http://{}/metrics", server.running.numbers.unwrap())
}

/// What Prometheus would read a while later, over HTTP.
pub async fn scrape(server: &TestServer) -> Numbers {
    server.clock.step(LATER);
    let answer = http().get(at(server)).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert_eq!(
        content_type,
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    let text = answer.text().await.unwrap();
    assert!(text.ends_with("# EOF\n"));
    Numbers::read(text)
}

async fn pair() -> Pair {
    Box::pin(Pair::with(counted)).await
}

async fn both(pair: &Pair) -> (Numbers, Numbers) {
    let a = scrape(&pair.a).await;
    let b = scrape(&pair.b).await;
    (a, b)
}

#[actix_web::test]
async fn requests_are_counted_by_the_pattern_of_their_path_and_never_by_the_path() {
    let server = TestServer::start_with(counted).await;
    let before = scrape(&server).await;
    assert_eq!(before.of("ocm_build_info{version=\"0.1.0\"}"), 1.0);
    for path in [
        "/login",
        "/login?next=/canary-of-a-query",
        "/contacts/canary%40of.a.contact",
        "/canary-of-a-path",
    ] {
        http().get(server.url(path)).send().await.unwrap();
    }
    for method in ["CANARY", "BREW"] {
        raw(
            server.provider(),
            format!("{method} /login HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").as_bytes(),
        )
        .await;
    }
    let after = scrape(&server).await;
    let count = |route: &str, method: &str, code: u16| {
        after.of(&format!(
            "ocm_http_requests_total{{route=\"{route}\",method=\"{method}\",code=\"{code}\"}}"
        ))
    };
    assert_eq!(count("/login", "GET", 200), 2.0, "{}", after.text);
    assert_eq!(count("/contacts/{address}", "GET", 303), 1.0, "{}", after.text);
    assert_eq!(count("other", "GET", 404), 1.0, "{}", after.text);
    assert_eq!(after.all("ocm_http_requests_total"), 6.0, "{}", after.text);
    assert!(!after.text.to_lowercase().contains("canary") && !after.text.contains("BREW"));
    assert_eq!(after.of("ocm_http_request_duration_seconds_count"), 6.0);
    assert!(after.of("ocm_http_request_duration_seconds_bucket{le=\"+Inf\"}") == 6.0);
    assert_eq!(before.of("ocm_http_request_duration_seconds_count"), 0.0);
}

#[actix_web::test]
async fn what_two_servers_do_with_each_other_is_counted_at_both() {
    let pair = pair().await;
    Box::pin(pair.introduce()).await;
    let (a, b) = Box::pin(both(&pair)).await;
    assert_eq!(a.of("ocm_invites_total{event=\"create\"}"), 1.0, "{}", a.text);
    assert_eq!(a.of("ocm_invites_total{event=\"accepted\"}"), 1.0);
    assert_eq!(b.of("ocm_invites_total{event=\"accept\"}"), 1.0);
    assert_eq!(a.of("ocm_signature_verifications_total{outcome=\"valid\"}"), 1.0);
    let exchanged = |numbers: &Numbers, direction: &str, kind: &str| {
        numbers.of(&format!(
            "ocm_peer_requests_total{{direction=\"{direction}\",kind=\"{kind}\",outcome=\"ok\"}}"
        ))
    };
    assert_eq!(exchanged(&a, "in", "invite-accepted"), 1.0, "{}", a.text);
    assert_eq!(exchanged(&b, "out", "invite-accepted"), 1.0);
    assert!(exchanged(&b, "out", "discovery") >= 1.0 && exchanged(&a, "out", "keys") >= 1.0);
    assert_eq!(b.of("ocm_peers{state=\"answering\"}"), 1.0);

    pair.a.put_file("ada", "f.txt", "ten bytes!").await;
    let sent = Box::pin(pair.a.share("ada", "f.txt", &pair.b.address("bob"), true)).await;
    let queued = scrape(&pair.a).await;
    pair.b.clock.step(LATER);
    assert_eq!(queued.of("ocm_delivery_queue{state=\"waiting\"}"), 1.0);
    assert_eq!(queued.of("ocm_delivery_oldest_seconds"), LATER.as_secs_f64());
    assert_eq!(queued.of("ocm_shares{direction=\"sent\",state=\"pending\"}"), 1.0);
    Box::pin(pair.a.deliver()).await;
    let (a, b) = Box::pin(both(&pair)).await;
    assert_eq!(a.of("ocm_delivery_queue{state=\"waiting\"}"), 0.0);
    assert_eq!(a.of("ocm_delivery_oldest_seconds"), 0.0);
    assert_eq!(b.of("ocm_shares{direction=\"received\",state=\"pending\"}"), 1.0);
    assert_eq!(exchanged(&a, "out", "share"), 1.0);
    assert_eq!(exchanged(&b, "in", "share"), 1.0);

    let id = pair.b.received("bob").await[0]["id"].as_str().unwrap().to_owned();
    let accept = Call::ShareAccept {
        user: None,
        id: id.clone(),
    };
    Box::pin(pair.b.call(accept)).await.unwrap();
    Box::pin(pair.b.deliver()).await;
    let get = Call::ShareGet {
        id: id.clone(),
        path: String::new(),
    };
    assert_eq!(Box::pin(pair.b.call(get)).await.unwrap(), "ten bytes!");
    let put = Call::SharePut {
        id,
        path: String::new(),
    };
    Box::pin(pair.b.call_with(put, b"now twelve b")).await.unwrap();
    let (a, b) = Box::pin(both(&pair)).await;
    let bytes = |numbers: &Numbers, direction: &str, side: &str| {
        numbers.of(&format!(
            "ocm_webdav_bytes_total{{direction=\"{direction}\",side=\"{side}\"}}"
        ))
    };
    assert_eq!(
        (bytes(&a, "out", "sender"), bytes(&a, "in", "sender")),
        (10.0, 12.0),
        "{}",
        a.text
    );
    assert_eq!(
        (bytes(&b, "in", "receiver"), bytes(&b, "out", "receiver")),
        (10.0, 12.0),
        "{}",
        b.text
    );
    assert_eq!(a.of("ocm_token_exchanges_total{outcome=\"ok\"}"), 1.0, "{}", a.text);
    assert_eq!(a.of("ocm_shares{direction=\"sent\",state=\"accepted\"}"), 1.0);
    assert_eq!(b.of("ocm_shares{direction=\"received\",state=\"accepted\"}"), 1.0);
    let provider_id = sent.unwrap()["provider_id"].as_str().unwrap().to_owned();
    let stop = Call::ShareStop {
        user: None,
        id: provider_id.clone(),
    };
    Box::pin(pair.a.call(stop)).await.unwrap();
    assert_eq!(
        scrape(&pair.a)
            .await
            .of("ocm_shares{direction=\"sent\",state=\"stopped\"}"),
        1.0
    );
    for numbers in [&a.text, &b.text] {
        for private in ["ada", "bob", "f.txt", &provider_id, "127.0.0.1"] {
            assert!(!numbers.contains(private), "{private} in {numbers}");
        }
    }
}

#[actix_web::test]
async fn what_a_liar_sends_is_counted_by_what_is_wrong_with_it() {
    let server = TestServer::start_with(|config| {
        counted(config);
        mode(Mode::Open)(config);
    })
    .await;
    server.user("ada").await;
    let mut rogue = Rogue::start().await;
    let before = scrape(&server).await;
    let share = rogue.share_for(&server, "ada", "7");
    let answer = rogue.post(&server, "/ocm/shares", &share).await;
    assert_eq!(answer.status(), 201);
    rogue.key = SigningKey::from_seed(rogue.key.kid(), &[7; 32]).unwrap();
    let answer = rogue.post(&server, "/ocm/shares", &share).await;
    assert_eq!(answer.status(), 401);
    http()
        .post(server.url("/ocm/token"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body("grant_type=authorization_code&client_id=x.example&code=x")
        .send()
        .await
        .unwrap();
    let after = scrape(&server).await;
    assert_eq!(before.all("ocm_signature_verifications_total"), 0.0);
    assert_eq!(after.of("ocm_signature_verifications_total{outcome=\"valid\"}"), 1.0);
    assert_eq!(
        after.of("ocm_signature_verifications_total{outcome=\"signature-invalid\"}"),
        1.0
    );
    assert_eq!(
        after.of("ocm_token_exchanges_total{outcome=\"signature-missing\"}"),
        1.0,
        "{}",
        after.text
    );
}

#[actix_web::test]
async fn a_server_that_is_down_fills_the_queue_and_is_seen_to_fail() {
    let pair = pair().await;
    Box::pin(pair.introduce()).await;
    pair.a.put_file("ada", "f.txt", "x").await;
    let Pair { a, b } = pair;
    let bob = b.address("bob");
    Box::pin(b.running.stop()).await;
    Box::pin(a.share("ada", "f.txt", &bob, false)).await.unwrap();
    Box::pin(a.deliver()).await;
    let numbers = scrape(&a).await;
    assert_eq!(numbers.of("ocm_peers{state=\"failing\"}"), 1.0, "{}", numbers.text);
    assert_eq!(
        numbers.of("ocm_peer_requests_total{direction=\"out\",kind=\"share\",outcome=\"no-answer\"}"),
        1.0,
        "{}",
        numbers.text
    );
    for _ in 0..10 {
        a.clock.step(Duration::from_secs(30 * 3600));
        Box::pin(a.deliver()).await;
    }
    let numbers = scrape(&a).await;
    assert_eq!(
        numbers.of("ocm_delivery_queue{state=\"given-up\"}"),
        1.0,
        "{}",
        numbers.text
    );
    assert_eq!(numbers.of("ocm_shares{direction=\"sent\",state=\"failed\"}"), 1.0);
}

#[actix_web::test]
async fn a_directory_that_was_had_and_an_order_for_a_certificate_are_seen() {
    let rogue = Rogue::start().await;
    let list = json!({ "federation": "Test Federation", "servers": [] });
    rogue.reply("GET", "/servers", Reply::json(200, list));
    let url = format!("http://{}/servers", rogue.provider);
    let server = TestServer::start_with(|config| {
        counted(config);
        config.federation.directory = vec![Directory {
            url: DocumentUrl::parse(&url).unwrap(),
            key: None,
            key_file: None,
            verify: Verify::Off,
            admits: false,
        }];
    })
    .await;
    let name = "ocm_directory_last_success_timestamp_seconds";
    assert_eq!(scrape(&server).await.all(name), 0.0);
    let fetched = server.clock.now();
    server.site().directories.refresh_due(fetched).await.unwrap();
    server.site().metrics.acme_order(true);
    server.site().metrics.acme_order(false);
    let numbers = scrape(&server).await;
    assert_eq!(numbers.all(name), fetched.0 as f64, "{}", numbers.text);
    assert!(
        numbers.has(&format!("{name}{{directory=\"127.0.0.1/servers\"}}")),
        "{}",
        numbers.text
    );
    for outcome in ["ok", "failed"] {
        assert_eq!(
            numbers.of(&format!("ocm_acme_orders_total{{outcome=\"{outcome}\"}}")),
            1.0
        );
    }
}

#[actix_web::test]
async fn the_machine_is_seen_and_so_are_certificate_and_backup_where_there_are_any() {
    let server = TestServer::start_with(counted).await;
    let before = scrape(&server).await;
    for name in [
        "ocm_store_size_bytes",
        "ocm_disk_free_bytes",
        "ocm_memory_bytes",
        "ocm_open_files",
    ] {
        assert!(before.of(name) > 0.0, "{name}");
    }
    assert_eq!(before.of("ocm_ready"), 1.0);
    // What is not there has no number, least of all one that says 1970.
    let (certificate, backup) = (
        "ocm_tls_certificate_expiry_timestamp_seconds",
        "ocm_backup_last_success_timestamp_seconds",
    );
    for name in [certificate, backup] {
        assert!(!before.has(name), "{name}");
        assert!(before.text.contains(&format!("# TYPE {name} gauge\n")), "{name}");
    }
    let encrypting = TestServer::start_with(|config| {
        counted(config);
        let port = config.server.public_url.provider().port().unwrap();
        config.server.public_url = PublicUrl::parse(&format!("https://127.0.0.1:{port}")).unwrap();
        config.tls.mode = TlsMode::SelfSigned;
    })
    .await;
    let create = Call::BackupCreate {
        file: None,
        include_files: false,
    };
    Box::pin(encrypting.call(create)).await.unwrap();
    let made = encrypting.site().backups.list().unwrap()[0].at;
    let ends = encrypting.site().certificates.status().certificate.unwrap().not_after;
    let seen = scrape(&encrypting).await;
    assert_eq!(seen.of(certificate), ends.0 as f64);
    assert_eq!(seen.of(backup), made.0 as f64);
    for name in ["ada", "bob", "cy"] {
        server.user(name).await;
    }
    assert!(scrape(&server).await.of("ocm_store_size_bytes") >= before.of("ocm_store_size_bytes"));
    server.site().store.close().unwrap();
    let numbers = http().get(at(&server)).send().await.unwrap();
    assert_eq!(numbers.status(), 200, "what was read a moment ago is good enough");
}

#[actix_web::test]
async fn a_scrape_reads_no_more_often_than_every_few_seconds() {
    let server = TestServer::start_with(counted).await;
    server.user("ada").await;
    server.rule("x.example", true).await;
    scrape(&server).await;
    server.put_file("ada", "f.txt", "x").await;
    Box::pin(server.share("ada", "f.txt", "bob@x.example", false))
        .await
        .unwrap();
    let soon = http().get(at(&server)).send().await.unwrap().text().await.unwrap();
    let shared = "ocm_shares{direction=\"sent\",state=\"pending\"}";
    assert_eq!(Numbers::read(soon).of(shared), 0.0);
    assert_eq!(scrape(&server).await.of(shared), 1.0);
}

#[actix_web::test]
async fn numbers_are_had_at_their_own_address_only_and_with_the_token_where_there_is_one() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("token");
    std::fs::write(&file, "canary-of-the-numbers\n").unwrap();
    let server = TestServer::start_with(|config| {
        counted(config);
        config.metrics.token_file = Some(file.clone());
    })
    .await;
    let check = async |line: Option<&str>, status: u16| {
        let mut request = http().get(at(&server));
        if let Some(line) = line {
            request = request.header("authorization", line);
        }
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), status, "{line:?}");
        let challenged = answer.headers().contains_key("www-authenticate");
        let text = answer.text().await.unwrap();
        assert_eq!(text.contains("ocm_"), status == 200);
        assert!(challenged == (status == 401) && !text.contains("canary"));
    };
    check(None, 401).await;
    check(Some("Bearer wrong"), 401).await;
    check(Some("Bearer"), 401).await;
    check(Some("Bearer "), 401).await;
    let basic = format!("Basic {}", STANDARD.encode(":canary-of-the-numbers"));
    check(Some(&basic), 401).await;
    check(Some("Bearer canary-of-the-numbers"), 200).await;
    check(Some("bearer canary-of-the-numbers"), 200).await;

    assert_eq!(http().get(server.url("/metrics")).send().await.unwrap().status(), 404);
    let own = at(&server);
    for path in ["/", "/login", "/livez", "/ocm/shares", "/.well-known/ocm"] {
        let url = own.replace("/metrics", path);
        assert_eq!(http().get(url).send().await.unwrap().status(), 404, "{path}");
    }
    assert_eq!(http().post(&own).send().await.unwrap().status(), 404);
    // The command line needs no token: it has the admin socket.
    let printed = server.call(Call::Metrics).await.unwrap();
    assert!(printed["text"].as_str().unwrap().contains("\nocm_build_info"));
}

#[actix_web::test]
async fn a_taken_address_stops_the_start_only_if_somebody_chose_it() {
    let taken = listener();
    let address = taken.local_addr().unwrap();
    let server = TestServer::start_with(|config| config.metrics.listen = OwnListener(Some(address))).await;
    assert_eq!(server.running.numbers, None);
    assert_eq!(http().get(server.url("/livez")).send().await.unwrap().status(), 200);

    let dir = tempfile::tempdir().unwrap();
    let start = async |metrics: &str| {
        let file = dir.path().join("ocm.toml");
        std::fs::write(
            &file,
            format!("[server]\npublic_url = \"http://127.0.0.1:1\"\n[tls]\nmode = \"off\"\n[metrics]\n{metrics}"),
        )
        .unwrap();
        let config = Config::load(Some(&file)).unwrap();
        let options = Options {
            listeners: Some(vec![listener()]),
            threads: 1,
            workers: false,
            ..Options::default()
        };
        match Box::pin(app::start(config, options)).await {
            Ok(_) => panic!("it started"),
            Err(error) => error,
        }
    };
    let refused = start(&format!("listen = \"{address}\"\n")).await;
    assert_eq!(refused.reason(), Reason::AddressTaken);
    for part in ["metrics.listen", &address.to_string(), "another program", "ocm.toml:6"] {
        assert!(refused.to_string().contains(part), "{part}: {refused}");
    }
    for (content, why) in [(None, "No such file"), (Some("\n"), "nothing in it")] {
        if let Some(content) = content {
            std::fs::write(dir.path().join("token"), content).unwrap();
        }
        let refused = start("listen = \"127.0.0.1:0\"\ntoken_file = \"token\"\n").await;
        assert_eq!(refused.reason(), Reason::ConfigInvalid);
        let said = refused.to_string();
        assert!(said.contains("metrics.token_file") && said.contains(why), "{said}");
    }
}

async fn asked(server: &TestServer, path: &str) -> (u16, Value) {
    let answer = http().get(server.url(path)).send().await.unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|_| text.into()))
}

#[actix_web::test]
async fn programs_learn_whether_a_server_lives_serves_and_is_well() {
    let server = TestServer::start_with(|config| config.backup.every = Every::OFF).await;
    assert_eq!(asked(&server, "/livez").await, (200, "ok\n".into()));
    assert_eq!(asked(&server, "/readyz").await, (200, "ok\n".into()));
    let (status, health) = asked(&server, "/healthz").await;
    assert_eq!((status, &health["version"]), (200, &json!(env!("CARGO_PKG_VERSION"))));
    let words: Vec<_> = health["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| &check["check"])
        .collect();
    assert_eq!(words, ["store", "disk", "certificate", "backup", "queue"]);
    for check in health["checks"].as_array().unwrap() {
        assert!(check["state"] == "ok" || check["check"] == "disk", "{check}");
    }
    server.site().store.close().unwrap();
    assert_eq!(asked(&server, "/livez").await, (200, "ok\n".into()));
    assert_eq!(asked(&server, "/readyz").await, (503, "store-stopped\n".into()));
    let (status, health) = asked(&server, "/healthz").await;
    assert_eq!((status, &health["status"]), (200, &"bad".into()));
    let store = json!({ "check": "store", "state": "bad", "code": "store-stopped" });
    assert_eq!(health["checks"][0], store);
    let text = health.to_string();
    for private in [server.data.to_str().unwrap(), "ada", "127.0.0.1"] {
        assert!(!text.contains(private), "{text}");
    }
}

#[actix_web::test]
async fn a_stuck_queue_and_a_missing_backup_are_no_good_health() {
    let server = TestServer::start_with(|config| config.backup.every = Every(Some(Duration::from_secs(86_400)))).await;
    server.user("ada").await;
    server.rule("x.example", true).await;
    server.put_file("ada", "f.txt", "x").await;
    Box::pin(server.share("ada", "f.txt", "bob@x.example", false))
        .await
        .unwrap();
    let (_, health) = asked(&server, "/healthz").await;
    assert_eq!(health["checks"][4]["state"], "ok", "{health}");
    server.clock.step(Duration::from_secs(90_000));
    let (_, health) = asked(&server, "/healthz").await;
    assert_eq!(health["checks"][4]["code"], "queue-stuck", "{health}");
    assert_eq!(health["checks"][3]["code"], "backup-missing", "{health}");
    assert_eq!(health["status"], "warn", "{health}");
}

#[actix_web::test]
async fn strangers_hear_whether_a_server_is_well_and_no_more() {
    let server = TestServer::start_with(|config| config.tls.mode = ocmesh::config::TlsMode::Proxy).await;
    let ask = async |from: &str| {
        let answer = http().get(server.url("/healthz")).header("x-forwarded-for", from);
        let text = answer.send().await.unwrap().text().await.unwrap();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let far = ask("203.0.113.7").await;
    assert_eq!(far.as_object().unwrap().keys().collect::<Vec<_>>(), ["status"]);
    assert!(ask("192.168.1.2").await["version"].is_string());
    // A proxy that nobody declared: who asks may be anywhere, however near the proxy is.
    let server = TestServer::start().await;
    let near = http().get(server.url("/healthz"));
    assert!(near.send().await.unwrap().text().await.unwrap().contains("version"));
    for name in ["x-forwarded-for", "forwarded"] {
        let handed_on = http().get(server.url("/healthz")).header(name, "192.168.1.2");
        let said = handed_on.send().await.unwrap().text().await.unwrap();
        assert!(!said.contains("version"), "{said}");
    }
}
