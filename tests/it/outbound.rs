//! Requests that this server makes: whom it never calls, whatever it is told, and how long it waits (T-01 to T-09).

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use actix_web::App;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::web;
use futures_util::future::join_all;
use ocmesh::client::Lookup;
use ocmesh::clock::Timestamp;
use ocmesh::config::Config;
use ocmesh::config::Mode;
use ocmesh::config::PrivateNetwork;
use ocmesh::config::PublicUrl;
use ocmesh::config::Span;
use ocmesh::error::Error;
use ocmesh::error::Reason;
use ocmesh::ocm::address::Provider;
use ocmesh::ocm::invite::InviteString;
use ocmesh::ocm::invite::InviteToken;
use ocmesh::ocm::signature;
use ocmesh::ocm::signature::SigningKey;
use ocmesh::peers::trust::Purpose;
use serde_json::Value;
use serde_json::json;

use crate::harness::Manner;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::START;
use crate::harness::TestServer;
use crate::harness::Trap;
use crate::harness::names;
use crate::harness::post_raw;

/// How long a peer may take in the tests of those who take longer.
const PATIENCE: Duration = Duration::from_millis(250);

/// A server to which of all addresses only 127.0.0.1 is not private, and which deals with anyone.
fn careful(config: &mut Config) {
    config.federation.mode = Mode::Open;
    config.federation.private_network = vec![lab("127.0.0.1/32", true)];
}

fn lab(cidr: &str, plain_http: bool) -> PrivateNetwork {
    PrivateNetwork {
        cidr: cidr.parse().unwrap(),
        ports: Vec::new(),
        plain_http,
    }
}

fn hasty(config: &mut Config) {
    careful(config);
    config.limits.peer_timeout = Span(PATIENCE);
}

/// A lookup that remembers what it was asked.
fn overheard(lookup: Lookup) -> (Lookup, Arc<Mutex<Vec<String>>>) {
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let log = Arc::clone(&asked);
    let listening: Lookup = Arc::new(move |name| {
        log.lock().unwrap().push(name.clone());
        lookup(name)
    });
    (listening, asked)
}

async fn discover(server: &TestServer, host: &Provider) -> Result<(), Error> {
    let found = server.site().peers.discover(host, Purpose::Federate).await;
    found.map(|_| ())
}

/// A request signed in the name of any server, by whoever has the key.
async fn post_as(server: &TestServer, host: &str, path: &str, body: &Value) -> (u16, String) {
    let key = SigningKey::from_seed(&format!("https://{host}/ocm#key"), &[7; 32]).unwrap();
    let body = body.to_string().into_bytes();
    let headers = signature::sign(&key, "POST", &server.url(path), &body, server.clock.now(), true);
    let answer = post_raw(server, path, "application/json", body, &headers).await;
    (answer.status().as_u16(), answer.text().await.unwrap())
}

fn share_from(server: &TestServer, host: &str) -> Value {
    json!({
        "shareWith": server.address("ada"),
        "name": "x",
        "providerId": "1",
        "owner": format!("eve@{host}"),
        "sender": format!("eve@{host}"),
        "shareType": "user",
        "resourceType": "file",
        "protocol": { "name": "multi", "webdav": { "uri": "1", "sharedSecret": "secret", "permissions": ["read"] } }
    })
}

#[actix_web::test]
async fn t01_no_stranger_makes_this_server_call_into_a_private_network() {
    let trap = Trap::at("127.0.0.2");
    let port = trap.port();
    let world = names(&[
        ("localhost", &["127.0.0.2"]),
        ("metadata.internal", &["::1"]),
        ("several.example", &["127.0.0.3", "127.0.0.2", "::ffff:127.0.0.2"]),
    ]);
    let server = TestServer::start_in(world, careful).await;
    server.user("ada").await;
    let mut answers = Vec::new();
    for host in [
        format!("127.0.0.2:{port}"),
        format!("localhost:{port}"),
        format!("several.example:{port}"),
        "metadata.internal".to_owned(),
        "127.0.0.2".to_owned(),
        format!("[::ffff:127.0.0.2]:{port}"),
        format!("unknown.example:{port}"),
    ] {
        answers.push(post_as(&server, &host, "/ocm/shares", &share_from(&server, &host)).await);
        let accept = json!({
            "recipientProvider": host, "token": "guess", "userID": "eve", "email": "e@example.org", "name": "Eve"
        });
        answers.push(post_as(&server, &host, "/ocm/invite-accepted", &accept).await);
        let form = format!("grant_type=authorization_code&client_id={host}&code=guess");
        let (status, _) = post_as(&server, &host, "/ocm/token", &json!(form)).await;
        assert_eq!(status, 400);
    }
    // And nobody learns from the answer what is in there.
    for answer in &answers {
        assert_eq!(answer, &answers[0]);
        assert_eq!(answer.0, 401);
    }
    assert_eq!(trap.connections(), 0);
    assert!(server.received("ada").await.is_empty());
}

#[actix_web::test]
async fn t01_no_user_makes_this_server_call_into_a_private_network() {
    let trap = Trap::at("127.0.0.2");
    let world = names(&[("inside.example", &["127.0.0.2"])]);
    let server = TestServer::start_in(world, careful).await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    for host in [
        format!("inside.example:{}", trap.port()),
        format!("127.0.0.2:{}", trap.port()),
    ] {
        let shared = server.share("ada", "a.txt", &format!("bob@{host}"), false).await;
        assert_eq!(shared.unwrap_err().reason(), Reason::PrivateAddress, "{host}");
        let invite = InviteString {
            token: InviteToken::new("token").unwrap(),
            provider: Provider::parse(&host).unwrap(),
        };
        let accepted = server.accept_invite("ada", &invite.encode()).await;
        assert_eq!(accepted.unwrap_err().reason(), Reason::PrivateAddress, "{host}");
    }
    assert!(server.sent("ada").await.is_empty());
    assert!(server.contacts("ada").await.is_empty());
    assert_eq!(trap.connections(), 0);
}

#[actix_web::test]
async fn t06_odd_spellings_of_an_address_are_refused_before_any_name_is_looked_up() {
    let (world, asked) = overheard(names(&[]));
    let server = TestServer::start_in(world, |config| {
        config.federation.mode = Mode::Open;
        config.federation.private_network.clear();
    })
    .await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    // Every other range is in the tests of the guard itself: here, a broken guard would let a packet out.
    for host in [
        "0.0.0.0",
        "[::]",
        "[::1]",
        "[::ffff:7f00:2]",
        "[::ffff:127.0.0.2]",
        "[fe80::1%25lo]",
        "0177.0.0.1",
        "0x7f.0.0.1",
        "2130706433",
        "0x7f000001",
        "127.1",
        "127.0.0.1.",
        "127.0.0.1:22",
        "a@127.0.0.2",
        "c.example/x",
        "c.example:0",
        "c.example:99999",
        "c.example:+443",
        "ex%61mple.org",
        "127.0.0.1%00.example",
        "example。org",
        "/\\127.0.0.2",
    ] {
        let refused = server.share("ada", "a.txt", &format!("x@{host}"), false).await;
        let error = refused.err().unwrap_or_else(|| panic!("{host} was called"));
        let reasons = [Reason::Invalid, Reason::PrivateAddress, Reason::OwnServer];
        assert!(reasons.contains(&error.reason()), "{host}: {error}");
    }
    assert!(asked.lock().unwrap().is_empty());
}

#[actix_web::test]
async fn t02_no_address_in_a_discovery_document_leads_elsewhere() {
    let server = TestServer::start_with(careful).await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let (trap, other) = (Trap::at("127.0.0.2"), Trap::at("127.0.0.1"));
    let rogue = Rogue::start().await;
    let own = rogue.provider.to_string();
    for field in ["endPoint", "tokenEndPoint", "jwksUri"] {
        for target in [
            format!("http://{}/ocm", trap.provider),
            format!("https://{}/ocm", other.provider),
            format!("http://{own}@{}/ocm", other.provider),
            format!("http://u:p@{own}/ocm"),
            format!("//{}/ocm", other.provider),
            format!("http://{own}.example/ocm"),
            "file:///etc/passwd".to_owned(),
            "gopher://127.0.0.1/".to_owned(),
            "https://127.0.0.3/".to_owned(),
        ] {
            let mut document = rogue.discovery();
            document[field] = json!(target);
            rogue.reply("GET", "/.well-known/ocm", Reply::json(200, document));
            server.site().peers.forget(&rogue.provider);
            let error = discover(&server, &rogue.provider).await.unwrap_err();
            assert_eq!(error.reason(), Reason::NotOcm, "{field}: {target}");
            server.site().peers.forget(&rogue.provider);
            let answer = rogue
                .post(&server, "/ocm/shares", &rogue.share_for(&server, "ada", "1"))
                .await;
            assert_eq!(answer.status(), 401, "{field}: {target}");
            server.clock.step(Duration::from_secs(60));
        }
    }
    assert_eq!((trap.connections(), other.connections()), (0, 0));
    assert!(rogue.seen_at("/ocm/token").is_empty());
    assert!(server.received("ada").await.is_empty());
}

#[actix_web::test]
async fn t03_a_redirect_leads_to_no_other_server() {
    let server = TestServer::start_with(careful).await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let (trap, other) = (Trap::at("127.0.0.2"), Trap::at("127.0.0.1"));
    for status in [301, 302, 303, 307, 308] {
        for target in [
            format!("http://{}/.well-known/ocm", trap.provider),
            format!("http://{}/.well-known/ocm", other.provider),
            format!("//{}/", other.provider),
            "http://127.0.0.1:22/".to_owned(),
        ] {
            let rogue = Rogue::start().await;
            let away = || Reply::json(status, json!({})).header("location", &target);
            rogue.reply("GET", "/.well-known/ocm", away());
            let error = discover(&server, &rogue.provider).await.unwrap_err();
            assert_eq!(error.reason(), Reason::PeerBadAnswer, "{status} {target}");
            let answer = rogue
                .post(&server, "/ocm/shares", &rogue.share_for(&server, "ada", "1"))
                .await;
            assert_eq!(answer.status(), 401);

            let rogue = Rogue::start().await;
            rogue.reply("GET", "/.well-known/jwks.json", away());
            rogue.reply("POST", "/ocm/shares", away());
            let answer = rogue
                .post(&server, "/ocm/shares", &rogue.share_for(&server, "ada", "1"))
                .await;
            assert_eq!(answer.status(), 401);
            let share = server
                .share("ada", "a.txt", &rogue.address("eve"), false)
                .await
                .unwrap();
            server.deliver().await;
            assert_eq!(rogue.seen_at("/ocm/shares").len(), 1, "a signed message is sent once");
            let sent = server.sent("ada").await;
            let row = sent.iter().find(|row| row["id"] == share["id"]).unwrap();
            assert_eq!(row["state"], "refused", "{status} {target}");
        }
    }
    assert_eq!((trap.connections(), other.connections()), (0, 0));
}

#[actix_web::test]
async fn t03_a_document_is_followed_two_redirects_far_within_its_own_server() {
    let server = TestServer::start_with(careful).await;
    let rogue = Rogue::start().await;
    let to = |path: &str| Reply::json(301, json!({})).header("location", path);
    rogue.reply("GET", "/.well-known/ocm", to("/index.php/ocm"));
    rogue.reply("GET", "/index.php/ocm", to("/there"));
    rogue.reply("GET", "/there", Reply::json(200, rogue.discovery()));
    discover(&server, &rogue.provider).await.unwrap();

    let circling = Rogue::start().await;
    circling.reply("GET", "/.well-known/ocm", to("/.well-known/ocm"));
    let error = discover(&server, &circling.provider).await.unwrap_err();
    assert_eq!(error.reason(), Reason::PeerBadAnswer);
    assert_eq!(circling.seen_at("/.well-known/ocm").len(), 3);
}

#[actix_web::test]
async fn t04_of_the_addresses_of_a_name_only_permitted_ones_are_called() {
    let rogue = Rogue::start_named("rogue.example", "127.0.0.1").await;
    let inside = std::net::TcpListener::bind(("127.0.0.2", rogue.provider.port().unwrap())).unwrap();
    inside.set_nonblocking(true).unwrap();
    let world = names(&[("rogue.example", &["127.0.0.2", "127.0.0.3", "127.0.0.1"])]);
    let server = TestServer::start_in(world, careful).await;
    discover(&server, &rogue.provider).await.unwrap();
    assert_eq!(rogue.seen_at("/.well-known/ocm").len(), 1);
    assert!(inside.accept().is_err(), "somebody connected");
}

#[actix_web::test]
async fn t04_a_name_that_turns_to_a_private_address_is_not_followed_there() {
    let rogue = Rogue::start_named("rogue.example", "127.0.0.1").await;
    let inside = std::net::TcpListener::bind(("127.0.0.2", rogue.provider.port().unwrap())).unwrap();
    inside.set_nonblocking(true).unwrap();
    let turned = Arc::new(AtomicUsize::new(0));
    let turn = Arc::clone(&turned);
    let world: Lookup = Arc::new(move |_| {
        let ip: IpAddr = match turn.load(Ordering::SeqCst) {
            0 => "127.0.0.1".parse().unwrap(),
            _ => "127.0.0.2".parse().unwrap(),
        };
        Box::pin(async move { Ok(vec![ip]) })
    });
    let server = TestServer::start_in(world, careful).await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    // It closes each connection, so that the next request has to look up again.
    let document = Reply::json(200, rogue.discovery()).header("connection", "close");
    rogue.reply("GET", "/.well-known/ocm", document);
    server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    turned.store(1, Ordering::SeqCst);
    server.deliver().await;
    let sent = &server.sent("ada").await[0];
    assert_eq!(sent["last_error"]["code"], "private-address");
    assert!(rogue.seen_at("/ocm/shares").is_empty());
    assert!(inside.accept().is_err(), "somebody connected");
}

/// Runs `call` and wants it to fail for one of `reasons`, in bounded time.
async fn soon<T>(what: &str, call: impl Future<Output = Result<T, Error>>, reasons: &[Reason]) {
    let begun = Instant::now();
    let error = call.await.err().unwrap_or_else(|| panic!("{what} succeeded"));
    assert!(
        reasons.contains(&error.reason()),
        "{what}: {:?} {error}",
        error.reason()
    );
    assert!(begun.elapsed() < PATIENCE * 6, "{what} took {:?}", begun.elapsed());
}

#[actix_web::test]
async fn t08_a_peer_that_does_not_come_to_an_end_is_not_waited_for() {
    let server = TestServer::start_with(hasty).await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    for (manner, reason) in [
        (Manner::Silent, Reason::NoAnswer),
        (Manner::Drips, Reason::NoAnswer),
        (Manner::Floods, Reason::PeerBadAnswer),
    ] {
        let rogue = Rogue::start().await;
        rogue.behave("GET", "/.well-known/ocm", manner);
        soon("discovery", discover(&server, &rogue.provider), &[reason]).await;

        let rogue = Rogue::start().await;
        rogue.behave("GET", "/.well-known/jwks.json", manner);
        let begun = Instant::now();
        let answer = rogue
            .post(&server, "/ocm/shares", &rogue.share_for(&server, "ada", "1"))
            .await;
        assert_eq!(answer.status(), 401);
        assert!(begun.elapsed() < PATIENCE * 6, "keys: {:?}", begun.elapsed());

        let rogue = Rogue::start().await;
        rogue.behave("POST", "/ocm/shares", manner);
        rogue.behave("POST", "/ocm/invite-accepted", manner);
        let share = server
            .share("ada", "a.txt", &rogue.address("eve"), false)
            .await
            .unwrap();
        let begun = Instant::now();
        server.deliver().await;
        assert!(begun.elapsed() < PATIENCE * 6, "a delivery: {:?}", begun.elapsed());
        let sent = server.sent("ada").await;
        let row = sent.iter().find(|row| row["id"] == share["id"]).unwrap();
        assert_eq!(row["last_error"]["code"], reason.code());
        let invite = InviteString {
            token: InviteToken::new("token").unwrap(),
            provider: rogue.provider.clone(),
        };
        soon("an invite", server.accept_invite("ada", &invite.encode()), &[reason]).await;
    }
}

#[actix_web::test]
async fn t08_an_answer_of_more_than_64_kib_is_not_read() {
    let server = TestServer::start_with(careful).await;
    let rogue = Rogue::start().await;
    let mut document = rogue.discovery();
    document["padding"] = json!("x".repeat(64 << 10));
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, document));
    let error = discover(&server, &rogue.provider).await.unwrap_err();
    assert_eq!(error.reason(), Reason::PeerBadAnswer);
}

#[actix_web::test]
async fn t08_a_compressed_answer_is_not_unpacked() {
    let server = TestServer::start_with(careful).await;
    let rogue = Rogue::start().await;
    let document = Reply::json(200, rogue.discovery()).header("content-encoding", "gzip");
    rogue.reply("GET", "/.well-known/ocm", document);
    discover(&server, &rogue.provider).await.unwrap();
    let asked = &rogue.seen_at("/.well-known/ocm")[0];
    assert!(!asked.headers.contains_key("accept-encoding"), "{:?}", asked.headers);
}

#[actix_web::test]
async fn t08_a_slow_peer_holds_up_nobody_else() {
    let server = TestServer::start_with(|config| {
        careful(config);
        config.limits.peer_timeout = Span(Duration::from_secs(2));
    })
    .await;
    let (slow, quick) = (Rogue::start().await, Rogue::start().await);
    slow.behave("GET", "/.well-known/ocm", Manner::Silent);
    let waiting = discover(&server, &slow.provider);
    let begun = Instant::now();
    let other = async {
        discover(&server, &quick.provider).await.unwrap();
        begun.elapsed()
    };
    let (failed, took) = futures_util::future::join(waiting, other).await;
    assert_eq!(failed.unwrap_err().reason(), Reason::NoAnswer);
    assert!(took < Duration::from_secs(1), "{took:?}");
}

fn certificate(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tls")
        .join(name)
}

fn over_tls(name: &'static str) -> impl Fn(&mut Config) {
    move |config| {
        careful(config);
        config.federation.private_network = vec![lab("127.0.0.1/32", false)];
        let port = config.server.public_url.provider().port().unwrap();
        config.server.public_url = PublicUrl::parse(&format!("https://127.0.0.1:{port}")).unwrap();
        config.tls.cert_file = Some(certificate(&format!("{name}.pem")));
        config.tls.key_file = Some(certificate(&format!("{name}.key")));
        config.tls.extra_ca_file = Some(certificate("ca.pem"));
    }
}

#[actix_web::test]
async fn t09_two_servers_deal_with_each_other_over_tls() {
    let pair = Pair::with(over_tls("good")).await;
    pair.introduce().await;
    pair.a.put_file("ada", "a.txt", "over tls").await;
    let (_, id) = pair.shared("a.txt", false).await;
    let call = ocmesh::api::Call::ShareGet {
        id,
        path: String::new(),
    };
    assert_eq!(pair.b.call(call).await.unwrap(), "over tls");
}

#[actix_web::test]
async fn t09_a_server_that_can_not_show_who_it_is_gets_nothing() {
    let ours = TestServer::start_with(over_tls("good")).await;
    ours.user("ada").await;
    for name in ["other-name", "expired", "self-signed"] {
        let theirs = TestServer::start_with(over_tls(name)).await;
        let error = discover(&ours, theirs.provider()).await.unwrap_err();
        assert_eq!(error.reason(), Reason::TlsFailed, "{name}");
        assert!(!error.to_string().contains("/tests/"), "{error}");
    }
    // An authority that the operator did not name is none.
    let without = TestServer::start_with(|config| {
        over_tls("good")(config);
        config.tls.extra_ca_file = None;
    })
    .await;
    let error = discover(&without, ours.provider()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TlsFailed);
}

#[actix_web::test]
async fn t09_http_is_not_spoken_where_the_operator_did_not_say_so() {
    let rogue = Rogue::start().await;
    let server = TestServer::start_with(|config| {
        careful(config);
        config.federation.private_network = vec![lab("127.0.0.1/32", false)];
    })
    .await;
    let error = discover(&server, &rogue.provider).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TlsFailed);
    // One network may speak http; that says nothing about the others.
    let server = TestServer::start_with(|config| {
        careful(config);
        config.federation.private_network = vec![lab("127.0.0.1/32", false), lab("10.0.0.0/8", true)];
    })
    .await;
    let error = discover(&server, &rogue.provider).await.unwrap_err();
    assert_eq!(error.reason(), Reason::TlsFailed);
    assert!(rogue.seen().is_empty());
}

#[actix_web::test]
async fn t02_a_server_found_over_https_is_not_spoken_to_over_http_afterwards() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let document = json!({
        "enabled": true,
        "apiVersion": "1.4.0",
        "endPoint": format!("http://{host}/ocm"),
        "resourceTypes": [],
        "capabilities": []
    });
    let files = {
        let mut config = Config::default();
        config.server.public_url = PublicUrl::parse(&format!("https://{host}")).unwrap();
        over_tls("good")(&mut config);
        ocmesh::tls::from_files(&config).unwrap()
    };
    let app = move || {
        let document = document.clone();
        let answer = web::to(move || {
            let document = document.clone();
            async move { HttpResponse::Ok().json(document) }
        });
        App::new().default_service(answer)
    };
    let server = HttpServer::new(app).workers(1).disable_signals();
    actix_web::rt::spawn(server.listen_rustls_0_23(listener, files).unwrap().run());
    let ours = TestServer::start_with(|config| {
        careful(config);
        config.tls.extra_ca_file = Some(certificate("ca.pem"));
    })
    .await;
    let error = discover(&ours, &Provider::parse(&host).unwrap()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::NotOcm);
}

#[actix_web::test]
async fn t01_many_forged_names_of_a_dead_server_call_it_once() {
    // Someone who holds no key at all makes us ask a third server; it must not become a flood.
    let victim = Rogue::start().await;
    victim.reply("GET", "/.well-known/ocm", Reply::json(500, json!({})));
    let server = TestServer::start_with(careful).await;
    let host = victim.provider.to_string();
    let (server, host) = (&server, &host);
    let forged = (0..40).map(|n| async move {
        let mut share = share_from(server, host);
        share["providerId"] = json!(n.to_string());
        post_as(server, host, "/ocm/shares", &share).await
    });
    for (status, _) in join_all(forged).await {
        assert_eq!(status, 401);
    }
    assert_eq!(victim.seen_at("/.well-known/ocm").len(), 1);
    // After a while it is asked again, for it may be well by now.
    server.clock.step(Duration::from_secs(31));
    victim.reply("GET", "/.well-known/ocm", Reply::json(200, victim.discovery()));
    assert!(server.clock.now() > Timestamp(START.0));
    discover(server, &victim.provider).await.unwrap();
}
