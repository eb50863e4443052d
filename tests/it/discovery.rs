//! OCM API Discovery, both ways: what this server says of itself, and what it believes of others (DIS-1 to DIS-12).

use std::time::Duration;

use futures_util::future::join_all;
use ocmesh::config::Config;
use ocmesh::config::Mode;
use ocmesh::config::Span;
use ocmesh::error::Error;
use ocmesh::error::Reason;
use ocmesh::ocm::address::Provider;
use ocmesh::ocm::discovery::Discovery;
use ocmesh::ocm::signature::SigningKey;
use ocmesh::peers::trust::Purpose;
use serde_json::Value;
use serde_json::json;

use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::mode;

const DOCUMENT: &str = "/.well-known/ocm";
const KEYS: &str = "/.well-known/jwks.json";

async fn get(server: &TestServer, path: &str) -> Value {
    let answer = http().get(server.url(path)).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{path}");
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

async fn discover(server: &TestServer, rogue: &Rogue) -> Result<(), Error> {
    let found = server.site().peers.discover(&rogue.provider, Purpose::Federate).await;
    found.map(|_| ())
}

/// The status a rogue gets for a fresh share that it signs with `key`.
async fn post_with(rogue: &Rogue, server: &TestServer, key: &SigningKey, provider_id: &str) -> u16 {
    let body = rogue.share_for(server, "ada", provider_id).to_string().into_bytes();
    let answer = rogue
        .post_bytes(server, "/ocm/shares", "application/json", body, key)
        .await;
    answer.status().as_u16()
}

fn key_of(rogue: &Rogue, name: &str, seed: u8) -> SigningKey {
    SigningKey::from_seed(&format!("http://{}/ocm#{name}", rogue.provider), &[seed; 32]).unwrap()
}

fn publish(rogue: &Rogue, keys: &[&SigningKey]) {
    let keys: Vec<_> = keys.iter().map(|key| json!(key.jwk())).collect();
    rogue.reply("GET", KEYS, Reply::json(200, json!({ "keys": keys })));
}

async fn open_server() -> TestServer {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    server
}

#[actix_web::test]
async fn dis_3_dis_4_dis_5_dis_6_adr_3_the_document_says_where_and_what_this_server_is() {
    let server = TestServer::start_with(|config| config.server.name = "Physics \"cloud\"".to_owned()).await;
    let document = get(&server, DOCUMENT).await;
    assert_eq!(document["enabled"], true);
    assert_eq!(document["apiVersion"], "1.4.0");
    assert_eq!(document["endPoint"], server.url("/ocm"));
    assert_eq!(document["provider"], "Physics \"cloud\"");
    let types = document["resourceTypes"].as_array().unwrap();
    let names: Vec<_> = types.iter().map(|entry| entry["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["file", "folder"]);
    for entry in types {
        assert_eq!(entry["shareTypes"], json!(["user"]));
        let root = entry["protocols"]["webdav"].as_str().unwrap();
        assert!(root.starts_with('/') && root.ends_with('/'), "{root}");
        assert!(entry["protocols"]["webdav-receive"].is_object());
    }
}

#[actix_web::test]
async fn dis_11a_what_this_server_says_of_itself_it_understands_itself() {
    let server = TestServer::start().await;
    let body = http()
        .get(server.url(DOCUMENT))
        .send()
        .await
        .unwrap()
        .bytes()
        .await
        .unwrap();
    let read = Discovery::parse(&body, server.provider(), true).unwrap();
    assert!(read.enabled());
    assert_eq!(read.unknown_criteria().count(), 0);
    for (resource, protocol) in [("file", "webdav"), ("folder", "webdav")] {
        assert!(read.supports(resource, "user", protocol));
    }
    for (resource, share_type, protocol) in [
        ("file", "group", "webdav"),
        ("calendar", "user", "webdav"),
        ("folder", "user", "webapp"),
        ("folder", "user", "ssh"),
    ] {
        assert!(
            !read.supports(resource, share_type, protocol),
            "{resource} {share_type} {protocol}"
        );
    }
}

#[actix_web::test]
async fn dis_11a_every_address_that_is_announced_is_served() {
    let server = TestServer::start().await;
    let document = get(&server, DOCUMENT).await;
    let end_point = document["endPoint"].as_str().unwrap();
    let token = document["tokenEndPoint"].as_str().unwrap();
    for url in [
        format!("{end_point}/shares"),
        format!("{end_point}/invite-accepted"),
        format!("{end_point}/notifications"),
        token.to_owned(),
    ] {
        let answer = http().post(&url).send().await.unwrap();
        assert!(
            [400, 401].contains(&answer.status().as_u16()),
            "{url}: {}",
            answer.status()
        );
        assert_ne!(http().get(&url).send().await.unwrap().status(), 200, "{url}");
    }
    let keys = http().get(document["jwksUri"].as_str().unwrap()).send().await.unwrap();
    assert_eq!(keys.status(), 200);
    let root = document["resourceTypes"][0]["protocols"]["webdav"].as_str().unwrap();
    let share = http().get(server.url(&format!("{root}12345"))).send().await.unwrap();
    assert_eq!(share.status(), 401);
    assert!(share.headers().contains_key("www-authenticate"));
}

#[actix_web::test]
async fn dis_8_the_criteria_are_what_is_enforced() {
    async fn check(change: impl Fn(&mut Config), expected: &[&str]) {
        let server = TestServer::start_with(change).await;
        let document = get(&server, DOCUMENT).await;
        let mut criteria: Vec<_> = document["criteria"].as_array().unwrap().clone();
        criteria.sort_by_key(ToString::to_string);
        assert_eq!(json!(criteria), json!(expected));
    }
    check(|_| {}, &["denylist", "must-invite"]).await;
    check(mode(Mode::Open), &["denylist"]).await;
    check(mode(Mode::Allowlist), &["allowlist", "denylist"]).await;
    check(
        |config| {
            config.federation.mode = Mode::Open;
            config.federation.require_signatures = true;
            config.federation.require_token_exchange = true;
        },
        &["denylist", "must-exchange-token", "must-use-http-sig"],
    )
    .await;
}

#[actix_web::test]
async fn dis_7_dis_9_dis_10_capabilities_come_with_their_addresses() {
    let server = TestServer::start().await;
    let document = get(&server, DOCUMENT).await;
    let capabilities: Vec<_> = document["capabilities"].as_array().unwrap().clone();
    for (capability, field) in [
        ("exchange-token", "tokenEndPoint"),
        ("http-sig", "jwksUri"),
        ("invites", "inviteAcceptDialog"),
    ] {
        assert!(capabilities.contains(&json!(capability)), "{capability}");
        let url = document[field].as_str().unwrap();
        assert!(url.starts_with(&server.url("/")), "{url}");
    }
    // Nobody can prove a second factor here yet, so nobody is promised one.
    assert!(!capabilities.contains(&json!("enforce-mfa")));
}

#[actix_web::test]
async fn dis_11_the_keys_are_public_and_say_what_they_are_for() {
    let server = TestServer::start().await;
    let set = get(&server, KEYS).await;
    let keys = set["keys"].as_array().unwrap();
    assert!(!keys.is_empty());
    for key in keys {
        assert_eq!(key["kty"], "OKP");
        assert_eq!(key["crv"], "Ed25519");
        assert!(key["alg"].is_string(), "{key}");
        assert!(key.get("d").is_none(), "a private key was published");
        let kid = key["kid"].as_str().unwrap();
        assert!(kid.contains(&server.provider().to_string()), "{kid}");
    }
    let again = server.restart().await;
    assert_eq!(get(&again, KEYS).await, set, "the key survives a restart");
}

#[actix_web::test]
async fn the_document_and_the_keys_can_be_asked_for_by_anyone_and_written_by_no_one() {
    let server = TestServer::start_with(mode(Mode::Allowlist)).await;
    for path in [DOCUMENT, KEYS] {
        let head = http().head(server.url(path)).send().await.unwrap();
        assert_eq!(head.status(), 200, "{path}");
        assert_eq!(head.headers()["access-control-allow-origin"], "*");
        assert_eq!(head.headers()["x-content-type-options"], "nosniff");
        assert!(head.headers().contains_key("cache-control"));
        for method in ["POST", "PUT", "DELETE", "PROPFIND"] {
            let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
            let answer = http().request(method.clone(), server.url(path)).send().await.unwrap();
            assert!(answer.status().is_client_error(), "{method} {path}");
        }
        // A forged Host changes nothing in it (T-76).
        let forged = http()
            .get(server.url(path))
            .header("host", "evil.example")
            .send()
            .await
            .unwrap();
        assert!(!forged.text().await.unwrap().contains("evil.example"));
    }
}

#[actix_web::test]
async fn dis_1_a_peer_is_asked_once_in_the_time_its_answer_is_kept() {
    let server = TestServer::start_with(|config| {
        config.federation.mode = Mode::Open;
        config.federation.discovery_cache = Span::seconds(600);
    })
    .await;
    let rogue = Rogue::start().await;
    discover(&server, &rogue).await.unwrap();
    server.clock.step(Duration::from_secs(599));
    discover(&server, &rogue).await.unwrap();
    assert_eq!(rogue.seen_at(DOCUMENT).len(), 1);
    server.clock.step(Duration::from_secs(1));
    discover(&server, &rogue).await.unwrap();
    assert_eq!(rogue.seen_at(DOCUMENT).len(), 2);
}

#[actix_web::test]
async fn dis_1_of_twenty_who_want_to_know_the_same_one_asks() {
    let server = open_server().await;
    let rogue = Rogue::start().await;
    let found = join_all((0..20).map(|_| discover(&server, &rogue))).await;
    assert!(found.iter().all(Result::is_ok));
    assert_eq!(rogue.seen_at(DOCUMENT).len(), 1);
}

#[actix_web::test]
async fn dis_3_what_is_no_discovery_document_has_its_reason() {
    let server = open_server().await;
    let good = Rogue::start().await.discovery();
    let without = |field: &str| {
        let mut document = good.clone();
        document.as_object_mut().unwrap().remove(field);
        document
    };
    let with = |field: &str, value: Value| {
        let mut document = good.clone();
        document[field] = value;
        document
    };
    for (status, body, expected) in [
        (404, json!({}), Reason::NotOcm),
        (500, json!({}), Reason::NotOcm),
        (401, good.clone(), Reason::NotOcm),
        (204, json!({}), Reason::NotOcm),
        (503, json!({}), Reason::PeerBusy),
        (429, json!({}), Reason::PeerBusy),
        (200, json!([]), Reason::NotOcm),
        (200, json!("ocm"), Reason::NotOcm),
        (200, without("endPoint"), Reason::NotOcm),
        (200, with("endPoint", json!("/ocm")), Reason::NotOcm),
        (200, with("endPoint", json!(7)), Reason::NotOcm),
        // An honest document of somebody else.
        (200, good.clone(), Reason::NotOcm),
        (200, json!({ "enabled": false }), Reason::OcmDisabled),
    ] {
        let rogue = Rogue::start().await;
        rogue.reply("GET", DOCUMENT, Reply::json(status, body.clone()));
        let error = discover(&server, &rogue).await.unwrap_err();
        assert_eq!(error.reason(), expected, "{status} {body}");
        assert!(error.to_string().contains(&rogue.provider.to_string()), "{error}");
    }
    let rogue = Rogue::start().await;
    let mut page = Reply::json(200, json!({}));
    page.body = b"<!doctype html><title>Welcome".to_vec();
    rogue.reply("GET", DOCUMENT, page);
    assert_eq!(discover(&server, &rogue).await.unwrap_err().reason(), Reason::NotOcm);
}

#[actix_web::test]
async fn dis_6_dis_7_words_that_are_not_known_are_no_refusal() {
    let server = open_server().await;
    server.put_file("ada", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    let mut document = rogue.discovery();
    document["capabilities"] = json!(["quantum", null, 7, "http-sig", ["x"]]);
    document["criteria"] = json!(["full-moon"]);
    document["unheardOf"] = json!({ "a": [1, 2, { "b": null }] });
    document["resourceTypes"] = json!([
        { "name": "hologram", "shareTypes": ["crowd"], "protocols": { "beam": {} } },
        { "name": "file", "shareTypes": ["user"], "protocols": { "webdav": "/dav/" } }
    ]);
    rogue.reply("GET", DOCUMENT, Reply::json(200, document));
    server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    assert_eq!(rogue.seen_at("/ocm/shares").len(), 1);
}

#[actix_web::test]
async fn dis_12_a_server_that_is_refused_is_not_asked_anything() {
    let server = TestServer::start_with(mode(Mode::Allowlist)).await;
    let rogue = Rogue::start().await;
    let error = discover(&server, &rogue).await.unwrap_err();
    assert_eq!(error.reason(), Reason::WeRefuseThem);
    assert!(rogue.seen().is_empty());
    server.rule(&rogue.provider.to_string(), true).await;
    discover(&server, &rogue).await.unwrap();
    // What was learned while it was allowed is of no use once it is denied.
    server.rule(&rogue.provider.to_string(), false).await;
    assert_eq!(
        discover(&server, &rogue).await.unwrap_err().reason(),
        Reason::WeRefuseThem
    );
    assert_eq!(rogue.seen().len(), 1);
}

#[actix_web::test]
async fn this_server_does_not_discover_itself() {
    let server = open_server().await;
    let found = server.site().peers.discover(server.provider(), Purpose::Federate).await;
    assert_eq!(found.err().unwrap().reason(), Reason::OwnServer);
    server.put_file("ada", "a.txt", "a").await;
    let shared = server.share("ada", "a.txt", &server.address("ada"), false).await;
    assert_eq!(shared.unwrap_err().reason(), Reason::OwnServer);
}

#[actix_web::test]
async fn t20_a_new_key_is_found_with_one_more_question() {
    let server = open_server().await;
    let rogue = Rogue::start().await;
    let (old, new) = (key_of(&rogue, "old", 1), key_of(&rogue, "new", 2));
    publish(&rogue, &[&old]);
    assert_eq!(post_with(&rogue, &server, &old, "1").await, 201);
    publish(&rogue, &[&old, &new]);
    server.clock.step(Duration::from_secs(31));
    assert_eq!(post_with(&rogue, &server, &new, "2").await, 201);
    assert_eq!(post_with(&rogue, &server, &old, "3").await, 201);
    assert_eq!(rogue.seen_at(KEYS).len(), 2);
    assert_eq!(rogue.seen_at(DOCUMENT).len(), 1);
}

#[actix_web::test]
async fn t20_a_key_that_was_taken_back_is_refused_within_the_hour() {
    let server = open_server().await;
    let rogue = Rogue::start().await;
    let (stolen, new) = (key_of(&rogue, "stolen", 1), key_of(&rogue, "new", 2));
    publish(&rogue, &[&stolen]);
    assert_eq!(post_with(&rogue, &server, &stolen, "1").await, 201);
    publish(&rogue, &[&new]);
    server.clock.step(Duration::from_secs(3600));
    assert_eq!(post_with(&rogue, &server, &stolen, "2").await, 401);
    assert_eq!(server.received("ada").await.len(), 1);
    // Sooner, where the thief is outrun by the owner's next request.
    let rogue = Rogue::start().await;
    let (stolen, new) = (key_of(&rogue, "stolen", 3), key_of(&rogue, "new", 4));
    publish(&rogue, &[&stolen]);
    assert_eq!(post_with(&rogue, &server, &stolen, "1").await, 201);
    publish(&rogue, &[&new]);
    server.clock.step(Duration::from_secs(31));
    assert_eq!(post_with(&rogue, &server, &new, "2").await, 201);
    assert_eq!(post_with(&rogue, &server, &stolen, "3").await, 401);
}

#[actix_web::test]
async fn t20_a_key_that_somebody_else_publishes_is_nobodys() {
    let server = open_server().await;
    let (honest, thief) = (Rogue::start().await, Rogue::start().await);
    // The thief's set says that the honest server's key id is a key of the thief's.
    let forged = key_of(&honest, "rogue", 9);
    publish(&thief, &[&thief.key, &forged]);
    assert_eq!(post_with(&thief, &server, &thief.key, "1").await, 201);
    assert_eq!(post_with(&honest, &server, &forged, "2").await, 401);
    assert_eq!(post_with(&thief, &server, &forged, "3").await, 401);
    assert_eq!(post_with(&honest, &server, &honest.key, "4").await, 201);
}

#[actix_web::test]
async fn t21_random_key_ids_make_this_server_ask_at_most_twice_a_minute() {
    let server = open_server().await;
    let rogue = Rogue::start().await;
    assert_eq!(post_with(&rogue, &server, &rogue.key, "1").await, 201);
    let (server, rogue) = (&server, &rogue);
    let storm = async |wave: u8| {
        let keys: Vec<_> = (0..40)
            .map(|n| key_of(rogue, &format!("random-{wave}-{n}"), n))
            .collect();
        let posts = keys.iter().map(|key| post_with(rogue, server, key, "2"));
        for status in join_all(posts).await {
            assert_eq!(status, 401);
        }
    };
    storm(0).await;
    assert_eq!(rogue.seen_at(KEYS).len(), 1, "they were fetched a moment ago");
    server.clock.step(Duration::from_secs(30));
    storm(1).await;
    storm(2).await;
    assert_eq!(rogue.seen_at(KEYS).len(), 2);
    // And whoever has a real key is served in the middle of it.
    assert_eq!(post_with(rogue, server, &rogue.key, "3").await, 201);
}

#[actix_web::test]
async fn t21_a_server_whose_keys_can_not_be_had_is_not_asked_at_every_request() {
    let server = open_server().await;
    let rogue = Rogue::start().await;
    rogue.reply("GET", KEYS, Reply::json(500, json!({})));
    let (server, rogue) = (&server, &rogue);
    let ids: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    let posts = ids.iter().map(|id| post_with(rogue, server, &rogue.key, id));
    assert!(join_all(posts).await.iter().all(|status| *status == 401));
    assert_eq!(rogue.seen_at(KEYS).len(), 1);
    publish(rogue, &[&rogue.key]);
    server.clock.step(Duration::from_secs(10));
    assert_eq!(post_with(rogue, server, &rogue.key, "again").await, 201);
}

#[actix_web::test]
async fn t01_an_unsigned_stranger_has_nobody_called_over_and_over() {
    let server = TestServer::start_with(|config| {
        config.federation.mode = Mode::Open;
    })
    .await;
    server.user("ada").await;
    let victim = Rogue::start().await;
    server.rule(&victim.provider.to_string(), true).await;
    victim.reply("GET", DOCUMENT, Reply::json(404, json!({})));
    for n in 0..10 {
        let body = victim
            .share_for(&server, "ada", &n.to_string())
            .to_string()
            .into_bytes();
        let answer = crate::harness::post_raw(&server, "/ocm/shares", "application/json", body, &[]).await;
        assert!(!answer.status().is_success());
    }
    assert_eq!(victim.seen_at(DOCUMENT).len(), 1);
    assert!(server.received("ada").await.is_empty());
}

#[actix_web::test]
async fn dis_11_the_keys_are_looked_for_where_the_document_says_and_else_at_the_well_known_place() {
    let server = open_server().await;
    let rogue = Rogue::start().await;
    let elsewhere = json!({ "keys": [rogue.key.jwk()] });
    rogue.reply("GET", "/keys", Reply::json(200, elsewhere));
    rogue.reply("GET", KEYS, Reply::json(404, json!({})));
    let mut document = rogue.discovery();
    document["jwksUri"] = json!(format!("http://{}/keys", rogue.provider));
    rogue.reply("GET", DOCUMENT, Reply::json(200, document));
    assert_eq!(post_with(&rogue, &server, &rogue.key, "1").await, 201);
    assert!(rogue.seen_at(KEYS).is_empty());

    let older = Rogue::start().await;
    let mut document = older.discovery();
    document.as_object_mut().unwrap().remove("jwksUri");
    older.reply("GET", DOCUMENT, Reply::json(200, document));
    assert_eq!(post_with(&older, &server, &older.key, "1").await, 201);
    assert_eq!(older.seen_at(KEYS).len(), 1);
}

#[actix_web::test]
async fn two_servers_of_this_kind_understand_each_other() {
    let pair = Pair::acquainted().await;
    let known = pair
        .b
        .site()
        .peers
        .discover(pair.a.provider(), Purpose::Federate)
        .await
        .unwrap();
    assert_eq!(known.name(), Some("ocmesh"));
    assert_eq!(Provider::from_url(known.end_point()).unwrap(), *pair.a.provider());
}
