//! Directory Services followed (DIR-1 to DIR-3, INV-4, T-47): what is fetched, what is kept, and what it is good for.

use std::fs;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ocmesh::api::Call;
use ocmesh::config::Config;
use ocmesh::config::Directory;
use ocmesh::config::DocumentUrl;
use ocmesh::config::Mode;
use ocmesh::config::Span;
use ocmesh::config::Verify;
use ocmesh::directories::Directories;
use ocmesh::error::Error;
use ocmesh::error::Reason;
use ocmesh::ocm::directory::PinnedKey;
use ocmesh::ocm::signature::SigningKey;
use serde_json::Value;
use serde_json::json;

use crate::harness::Manner;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;

const PATH: &str = "/servers.jws";
const HOUR: Duration = Duration::from_secs(3600);

fn url(rogue: &Rogue) -> String {
    format!("http://{}{PATH}", rogue.provider)
}

/// The entry for a directory that is verified with the key of the one who serves it.
fn entry(rogue: &Rogue) -> Directory {
    Directory {
        url: DocumentUrl::parse(&url(rogue)).unwrap(),
        key: Some(PinnedKey::parse(&json!(rogue.key.jwk()).to_string()).unwrap()),
        key_file: None,
        verify: Verify::Required,
        admits: false,
    }
}

async fn following(rogue: &Rogue) -> TestServer {
    TestServer::start_with(|config| config.federation.directory = vec![entry(rogue)]).await
}

fn list(servers: &[(&str, &str)]) -> Value {
    let servers: Vec<_> = servers
        .iter()
        .map(|(url, name)| json!({"url": url, "displayName": name}))
        .collect();
    json!({"federation": "Test Federation", "servers": servers})
}

/// A list of servers that are made up.
fn numbered(count: usize) -> Value {
    let servers: Vec<_> = (0..count)
        .map(|at| (format!("https://s{at}.example"), format!("Server {at}")))
        .collect();
    let servers: Vec<_> = servers
        .iter()
        .map(|(url, name)| (url.as_str(), name.as_str()))
        .collect();
    list(&servers)
}

fn signed_by(key: &SigningKey, payload: &Value) -> Vec<u8> {
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let signed = format!(
        "{}.{}",
        encode(br#"{"alg":"EdDSA"}"#),
        encode(payload.to_string().as_bytes())
    );
    format!("{signed}.{}", encode(&key.sign(signed.as_bytes()))).into_bytes()
}

fn reply(status: u16, body: impl Into<Vec<u8>>) -> Reply {
    Reply {
        status,
        headers: vec![("content-type".to_owned(), "application/jose".to_owned())],
        body: body.into(),
    }
}

fn publish(rogue: &Rogue, payload: &Value) {
    rogue.reply("GET", PATH, reply(200, signed_by(&rogue.key, payload)));
}

/// Fetches whatever is due, and gives the first directory as `ocmesh directory list` has it.
async fn refreshed(server: &TestServer) -> Value {
    server.site().directories.refresh_due(server.clock.now()).await.unwrap();
    first(server).await
}

/// Fetches it now, due or not.
async fn refresh(server: &TestServer) -> Value {
    server.call(Call::DirectoryRefresh { url: None }).await.unwrap()[0].clone()
}

async fn first(server: &TestServer) -> Value {
    server.call(Call::DirectoryList).await.unwrap()[0].clone()
}

async fn accept(server: &TestServer, rogue: &Rogue) -> Result<Value, Error> {
    server.call(Call::DirectoryAccept { url: url(rogue) }).await
}

/// The hosts that are listed, in the order they are shown.
async fn hosts(server: &TestServer) -> Vec<String> {
    let listed = server.site().directories.servers().await.unwrap();
    listed.iter().map(|server| server.provider.to_string()).collect()
}

async fn explain(server: &TestServer, host: &str) -> Value {
    server.call(Call::PeerExplain { host: host.to_owned() }).await.unwrap()
}

#[actix_web::test]
async fn dir_1_a_list_is_fetched_anonymously_and_kept_across_a_restart() {
    let rogue = Rogue::start().await;
    publish(
        &rogue,
        &list(&[
            ("https://b.example", "Beta"),
            ("https://a.example:8443/", "Alpha"),
            ("https://c.example/x", "No"),
        ]),
    );
    let server = following(&rogue).await;
    assert!(rogue.seen().is_empty(), "a start waits for nobody");
    let row = first(&server).await;
    assert_eq!((&row["fetched"], &row["servers"]), (&Value::Null, &Value::Null));

    let row = refreshed(&server).await;
    assert_eq!(row["federation"], "Test Federation");
    assert_eq!((&row["servers"], &row["dropped"]), (&json!(2), &json!(1)));
    assert_eq!(
        (&row["last_error"], &row["held"], &row["admits"]),
        (&Value::Null, &Value::Null, &json!(false))
    );
    assert_eq!(row["key"], rogue.key.jwk().thumbprint());
    assert_eq!(hosts(&server).await, ["a.example:8443", "b.example"]);
    let asked = rogue.seen();
    assert_eq!(asked.len(), 1);
    for header in ["signature", "signature-input", "authorization", "cookie"] {
        assert!(!asked[0].headers.contains_key(header), "{header}");
    }

    // Not due before its time, and still there without the one who serves it.
    server.clock.step(5 * HOUR);
    refreshed(&server).await;
    assert_eq!(rogue.seen().len(), 1);
    rogue.reply("GET", PATH, reply(500, ""));
    let server = server.restart().await;
    assert_eq!(hosts(&server).await, ["a.example:8443", "b.example"]);
    assert_eq!(first(&server).await["fetched"], row["fetched"]);
    server.clock.step(HOUR);
    refreshed(&server).await;
    assert_eq!(rogue.seen().len(), 2);
    assert_eq!(hosts(&server).await, ["a.example:8443", "b.example"]);
}

#[actix_web::test]
async fn t47_whatever_goes_wrong_the_last_good_list_stays_and_it_is_said_why() {
    let rogue = Rogue::start().await;
    let other = Rogue::start().await;
    publish(&rogue, &numbered(3));
    let server = following(&rogue).await;
    let good = refreshed(&server).await;
    let bare = numbered(9).to_string();
    let object = json!({"payload": numbered(9), "protected": {"alg": "EdDSA"}, "signature": "x"});
    let mut over = numbered(9);
    over["exp"] = json!(server.clock.now().0);
    let long = vec![b' '; (1 << 20) + 1];
    let away = reply(302, "").header("location", &format!("http://{}/list", other.provider));
    other.reply("GET", "/list", reply(200, signed_by(&rogue.key, &numbered(9))));
    for (answer, code, hint) in [
        (
            reply(200, signed_by(&other.key, &numbered(9))),
            "peer-bad-answer",
            "not by the pinned key",
        ),
        (reply(200, bare), "peer-bad-answer", "not signed"),
        (reply(200, object.to_string()), "peer-bad-answer", "base64url"),
        (
            reply(200, signed_by(&rogue.key, &json!({"servers": []}))),
            "peer-bad-answer",
            "federation",
        ),
        (
            reply(200, signed_by(&rogue.key, &over)),
            "peer-bad-answer",
            "it was good until",
        ),
        (reply(200, long), "peer-bad-answer", "more than 1048576 bytes"),
        (reply(200, ""), "peer-bad-answer", "neither"),
        (reply(204, ""), "peer-bad-answer", "204"),
        (reply(404, "{}"), "peer-bad-answer", "404"),
        (reply(503, "{}"), "busy", "503"),
        (away, "peer-bad-answer", "redirects to another server"),
    ] {
        rogue.reply("GET", PATH, answer);
        server.clock.step(Duration::from_secs(60));
        let row = refresh(&server).await;
        assert_eq!(row["last_error"]["code"], code, "{row}");
        assert!(
            row["last_error"]["message"].as_str().unwrap().contains(hint),
            "{row} should mention {hint}"
        );
        for same in ["servers", "fetched", "federation"] {
            assert_eq!(row[same], good[same]);
        }
        let refused = server
            .call(Call::DirectoryRefresh { url: Some(url(&rogue)) })
            .await
            .unwrap_err();
        assert_eq!(refused.reason().code(), code);
        assert_eq!(hosts(&server).await.len(), 3);
    }
    assert!(other.seen().is_empty(), "{:?}", other.seen());
    // After a failure it is tried again sooner, and what comes then is taken.
    publish(&rogue, &numbered(4));
    let before = rogue.seen().len();
    server.clock.step(HOUR - Duration::from_secs(1));
    refreshed(&server).await;
    assert_eq!(rogue.seen().len(), before);
    server.clock.step(Duration::from_secs(1));
    let row = refreshed(&server).await;
    assert_eq!((&row["servers"], &row["last_error"]), (&json!(4), &Value::Null));
}

#[actix_web::test]
async fn a_list_of_one_mebibyte_and_five_thousand_servers_is_read_whole() {
    let rogue = Rogue::start().await;
    let mut body = signed_by(&rogue.key, &numbered(5000));
    assert!(body.len() < 1 << 20);
    body.resize(1 << 20, b'\n');
    rogue.reply("GET", PATH, reply(200, body));
    let server = following(&rogue).await;
    let row = refreshed(&server).await;
    assert_eq!((&row["servers"], &row["last_error"]), (&json!(5000), &Value::Null));
    assert_eq!(hosts(&server).await.len(), 5000);
}

#[actix_web::test]
async fn t08_a_directory_that_never_comes_to_an_end_is_left() {
    let rogue = Rogue::start().await;
    publish(&rogue, &numbered(3));
    let server = TestServer::start_with(|config| {
        config.federation.directory = vec![entry(&rogue)];
        config.limits.peer_timeout = Span::seconds(1);
    })
    .await;
    refreshed(&server).await;
    for (manner, code) in [
        (Manner::Silent, "no-answer"),
        (Manner::Drips, "no-answer"),
        (Manner::Floods, "peer-bad-answer"),
    ] {
        rogue.behave("GET", PATH, manner);
        let row = tokio::time::timeout(Duration::from_secs(5), refresh(&server))
            .await
            .unwrap();
        assert_eq!(row["last_error"]["code"], code, "{manner:?}");
        assert_eq!(hosts(&server).await.len(), 3);
    }
    rogue.behave_well("GET", PATH);
    assert_eq!(refresh(&server).await["last_error"], Value::Null);
}

#[actix_web::test]
async fn t47_a_list_that_lost_more_than_half_waits_for_an_admin() {
    let rogue = Rogue::start().await;
    publish(&rogue, &numbered(10));
    let server = following(&rogue).await;
    refreshed(&server).await;
    assert_eq!(accept(&server, &rogue).await.unwrap_err().reason(), Reason::Conflict);
    publish(&rogue, &numbered(5));
    assert_eq!(refresh(&server).await["servers"], 5);
    for less in [2, 0] {
        publish(&rogue, &numbered(less));
        let row = refresh(&server).await;
        assert_eq!((&row["servers"], &row["last_error"]), (&json!(5), &Value::Null));
        assert_eq!(
            (&row["held"]["objection"], &row["held"]["servers"]),
            (&json!("shrunk"), &json!(less))
        );
        assert_eq!(hosts(&server).await.len(), 5);
    }
    // It goes on waiting, also through a failure and a restart.
    let since = refresh(&server).await["held"]["since"].clone();
    rogue.reply("GET", PATH, reply(500, ""));
    server.clock.step(HOUR);
    assert_eq!(refreshed(&server).await["held"]["since"], since);
    let refused = accept(&server, &rogue).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::PeerBusy);
    let server = server.restart().await;
    assert_eq!(hosts(&server).await.len(), 5);

    // What is accepted is the list that waits, and no other.
    publish(&rogue, &numbered(1));
    assert_eq!(accept(&server, &rogue).await.unwrap_err().reason(), Reason::Conflict);
    assert_eq!(hosts(&server).await.len(), 5);
    let row = accept(&server, &rogue).await.unwrap();
    assert_eq!((&row["servers"], &row["held"]), (&json!(1), &Value::Null));
    assert_eq!(hosts(&server).await, ["s0.example"]);
    let unknown = server
        .call(Call::DirectoryAccept {
            url: "https://other.example".to_owned(),
        })
        .await;
    assert_eq!(unknown.unwrap_err().reason(), Reason::NotFound);
}

#[actix_web::test]
async fn t47_an_old_copy_that_was_validly_signed_does_not_come_back() {
    let rogue = Rogue::start().await;
    let server = following(&rogue).await;
    let (old, new) = (numbered(3), numbered(4));
    for payload in [&old, &new] {
        publish(&rogue, payload);
        assert_eq!(refresh(&server).await["held"], Value::Null);
    }
    publish(&rogue, &old);
    let row = refresh(&server).await;
    assert_eq!(
        (&row["held"]["objection"], &row["servers"]),
        (&json!("seen-before"), &json!(4))
    );
    publish(&rogue, &new);
    assert_eq!(refresh(&server).await["held"], Value::Null);

    // Lists that say their age need no memory.
    let aged = |count: usize, version: u64| {
        let mut payload = numbered(count);
        payload["version"] = json!(version);
        payload
    };
    publish(&rogue, &aged(5, 7));
    assert_eq!(refresh(&server).await["servers"], 5);
    for older in [aged(6, 6), numbered(6)] {
        publish(&rogue, &older);
        let row = refresh(&server).await;
        assert_eq!(
            (&row["held"]["objection"], &row["servers"]),
            (&json!("older"), &json!(5))
        );
    }
    let server = server.restart().await;
    publish(&rogue, &aged(4, 6));
    assert_eq!(refresh(&server).await["held"]["objection"], "older");
    publish(&rogue, &aged(6, 8));
    let row = refresh(&server).await;
    assert_eq!((&row["servers"], &row["held"]), (&json!(6), &Value::Null));
    // A directory that began to count anew is a matter for the admin.
    publish(&rogue, &aged(6, 1));
    refresh(&server).await;
    assert_eq!(accept(&server, &rogue).await.unwrap()["held"], Value::Null);
    publish(&rogue, &aged(7, 2));
    assert_eq!(refresh(&server).await["servers"], 7);
}

/// A server in the mode `allowlist` that follows this directory in this way.
async fn closed(rogue: &Rogue, change: impl FnOnce(&mut Directory)) -> TestServer {
    let mut entry = entry(rogue);
    change(&mut entry);
    let server = TestServer::start_with(|config: &mut Config| {
        config.federation.mode = Mode::Allowlist;
        config.federation.directory = vec![entry];
    })
    .await;
    server.user("ada").await;
    server
}

/// What the server answers to a share of `peer`.
async fn share_status(peer: &Rogue, server: &TestServer, id: &str) -> u16 {
    let share = peer.share_for(server, "ada", id);
    peer.post(server, "/ocm/shares", &share).await.status().as_u16()
}

#[actix_web::test]
async fn t47_being_listed_lets_nobody_in_unless_an_admin_chose_so() {
    let rogue = Rogue::start().await;
    let peer = Rogue::start().await;
    let at = format!("http://{}", peer.provider);
    publish(&rogue, &list(&[(&at, "Peer"), ("https://x.example", "X")]));
    let host = peer.provider.to_string();

    for mode in [Mode::Allowlist, Mode::Invite] {
        let server = TestServer::start_with(|config| {
            config.federation.mode = mode;
            config.federation.directory = vec![entry(&rogue)];
        })
        .await;
        server.user("ada").await;
        refreshed(&server).await;
        assert_eq!(hosts(&server).await.len(), 2);
        assert_eq!(share_status(&peer, &server, "1").await, 403);
        let answer = explain(&server, &host).await;
        assert_eq!(answer["decision"], "denied");
        assert!(!answer["steps"].to_string().contains("directory"), "{answer}");
        assert!(peer.seen().is_empty(), "a server that is only listed is not even asked");
    }

    let server = closed(&rogue, |entry| entry.admits = true).await;
    assert_eq!(share_status(&peer, &server, "1").await, 403, "not fetched yet");
    refreshed(&server).await;
    let answer = explain(&server, &host).await;
    assert_eq!(
        answer["because"],
        "the directory of Test Federation lists it, and an admin lets its servers in"
    );
    assert_eq!(answer["steps"][2]["question"], "in a directory that admits?");
    assert_eq!(share_status(&peer, &server, "1").await, 201);
    // As it is written, and no other.
    for other in [
        rogue.provider.to_string(),
        format!("127.0.0.1:{}", peer.provider.port().unwrap() ^ 1),
    ] {
        assert_eq!(explain(&server, &other).await["decision"], "denied", "{other}");
    }
    server.rule(&host, false).await;
    assert_eq!(share_status(&peer, &server, "2").await, 403, "a denial wins");
    server.call(Call::PeerRemove { host: host.clone() }).await.unwrap();
    assert_eq!(share_status(&peer, &server, "2").await, 201);

    // A list that cannot be fetched is still in force; one without the server ends it.
    rogue.reply("GET", PATH, reply(500, ""));
    refresh(&server).await;
    assert_eq!(explain(&server, &host).await["decision"], "allowed");
    publish(&rogue, &list(&[("https://x.example", "X")]));
    refresh(&server).await;
    assert_eq!(explain(&server, &host).await["decision"], "denied");
    assert_eq!(share_status(&peer, &server, "3").await, 403);
}

#[actix_web::test]
async fn t47_a_list_past_its_end_lets_nobody_in() {
    let rogue = Rogue::start().await;
    let server = closed(&rogue, |entry| entry.admits = true).await;
    let mut payload = list(&[("https://x.example", "X")]);
    payload["exp"] = json!(server.clock.now().plus(2 * HOUR).0);
    publish(&rogue, &payload);
    refreshed(&server).await;
    assert_eq!(explain(&server, "x.example").await["decision"], "allowed");
    server.clock.step(2 * HOUR);
    assert_eq!(explain(&server, "x.example").await["decision"], "denied");
    assert_eq!(hosts(&server).await, ["x.example"], "it can still be chosen");
}

#[actix_web::test]
async fn t47_what_was_kept_under_another_key_counts_for_nothing() {
    let rogue = Rogue::start().await;
    publish(&rogue, &list(&[("https://x.example", "X")]));
    let mut server = closed(&rogue, |entry| entry.admits = true).await;
    refreshed(&server).await;
    assert_eq!(explain(&server, "x.example").await["decision"], "allowed");
    let fresh = SigningKey::from_seed("new", &[9; 32]).unwrap();
    server.config.federation.directory[0].key = Some(PinnedKey::parse(&json!(fresh.jwk()).to_string()).unwrap());
    let server = server.restart().await;
    assert!(hosts(&server).await.is_empty());
    assert_eq!(explain(&server, "x.example").await["decision"], "denied");
    let row = refreshed(&server).await;
    assert!(
        row["last_error"]["message"]
            .as_str()
            .unwrap()
            .contains("not by the pinned key"),
        "{row}"
    );
    rogue.reply(
        "GET",
        PATH,
        reply(200, signed_by(&fresh, &list(&[("https://y.example", "Y")]))),
    );
    refresh(&server).await;
    assert_eq!(hosts(&server).await, ["y.example"]);
}

#[actix_web::test]
async fn a_directory_that_is_not_followed_any_more_is_forgotten() {
    let rogue = Rogue::start().await;
    publish(&rogue, &list(&[("https://y.example", "Y")]));
    let mut server = closed(&rogue, |_| {}).await;
    refreshed(&server).await;
    assert_eq!(hosts(&server).await, ["y.example"]);
    let entries = std::mem::take(&mut server.config.federation.directory);
    let server = server.restart().await;
    assert!(hosts(&server).await.is_empty());
    server.site().directories.refresh_due(server.clock.now()).await.unwrap();
    let mut server = server;
    server.config.federation.directory = entries;
    let server = server.restart().await;
    assert!(hosts(&server).await.is_empty());
}

#[actix_web::test]
async fn inc_23_only_where_verification_is_off_a_bare_list_is_taken() {
    let rogue = Rogue::start().await;
    rogue.reply("GET", PATH, reply(200, numbered(2).to_string()));
    let mut entry = entry(&rogue);
    (entry.verify, entry.key) = (Verify::Off, None);
    let server = TestServer::start_with(|config| config.federation.directory = vec![entry]).await;
    let row = refreshed(&server).await;
    assert_eq!(
        (&row["servers"], &row["key"], &row["last_error"]),
        (&json!(2), &Value::Null, &Value::Null)
    );
}

#[actix_web::test]
async fn the_union_of_two_directories_names_each_server_once() {
    let (one, two) = (Rogue::start().await, Rogue::start().await);
    publish(
        &one,
        &list(&[("https://b.example", "beta"), ("https://a.example", "Zeta")]),
    );
    let mut other = list(&[("https://b.example", "Other name"), ("https://c.example", "Alpha")]);
    other["federation"] = json!("Second");
    publish(&two, &other);
    let server = TestServer::start_with(|config| config.federation.directory = vec![entry(&one), entry(&two)]).await;
    refreshed(&server).await;
    let listed = server.site().directories.servers().await.unwrap();
    let rows: Vec<_> = listed
        .iter()
        .map(|server| (server.name.as_str(), server.federations.join("+")))
        .collect();
    let expected = [
        ("Alpha", "Second"),
        ("beta", "Test Federation+Second"),
        ("Zeta", "Test Federation"),
    ];
    assert_eq!(rows, expected.map(|(name, federations)| (name, federations.to_owned())));
}

#[actix_web::test]
async fn a_key_may_stand_in_a_file_and_is_named_when_it_cannot_be_read() {
    let rogue = Rogue::start().await;
    publish(&rogue, &numbered(1));
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("dir.jwk");
    fs::write(&file, json!(rogue.key.jwk()).to_string()).unwrap();
    let with_file = |config: &mut Config| {
        let entry = entry(&rogue);
        config.federation.directory = vec![Directory {
            key: None,
            key_file: Some(file.clone()),
            ..entry
        }];
    };
    let server = TestServer::start_with(with_file).await;
    assert_eq!(refreshed(&server).await["servers"], 1);
    for (content, hint) in [(Some("canary"), "neither a JWK"), (None, "No such file")] {
        match content {
            Some(content) => fs::write(&file, content).unwrap(),
            None => fs::remove_file(&file).unwrap(),
        }
        let client = ocmesh::client::Client::new(&server.config, ocmesh::client::system_lookup()).unwrap();
        let refused = Directories::new(&server.config, server.site().store.clone(), client)
            .err()
            .unwrap();
        assert_eq!(refused.reason(), Reason::ConfigInvalid);
        for part in [hint, "key_file", "dir.jwk", &url(&rogue)] {
            assert!(refused.to_string().contains(part), "{refused} should mention {part}");
        }
        assert!(!refused.to_string().contains("canary"), "{refused}");
    }
}
