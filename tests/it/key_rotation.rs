//! New keys for old: when a key is published, when it signs, what peers make of it, and when it is gone (T-20, T-22).

use std::time::Duration;

use futures_util::future::join;
use ocmesh::api::Call;
use ocmesh::clock::Timestamp;
use ocmesh::config::Config;
use ocmesh::config::Every;
use ocmesh::config::Span;
use ocmesh::error::Error;
use ocmesh::error::Reason;
use ocmesh::keys::Rotation;
use ocmesh::ocm::signature;
use ocmesh::ocm::signature::SigningKey;
use ocmesh::site::Site;
use ocmesh::site::World;
use ocmesh::store::Key;
use ocmesh::store::Options;
use ocmesh::store::Record;
use ocmesh::store::Store;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::harness::Pair;
use crate::harness::Passage;
use crate::harness::Rogue;
use crate::harness::START;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::post_raw;

const SET: &str = "GET /.well-known/jwks.json";
const TOKEN: &str = "POST /ocm/token";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);
/// After this long, a peer that meets a key it does not know asks again.
const PATIENCE: Duration = Duration::from_secs(31);

/// Ada's and Bob's servers, acquainted, and the passage that leads to Ada's.
async fn watched(change: impl Fn(&mut Config)) -> (Pair, Passage) {
    let passage = Passage::open().await;
    let a = TestServer::start_with(|config| {
        config.server.public_url = passage.url.clone();
        change(config);
    })
    .await;
    passage.lead_to(a.running.addresses[0]);
    let b = TestServer::start_with(&change).await;
    a.user("ada").await;
    b.user("bob").await;
    let pair = Pair { a, b };
    pair.introduce().await;
    (pair, passage)
}

async fn rotate(server: &TestServer, how: Rotation) -> Result<Value, Error> {
    server.call(Call::KeyRotate { how }).await
}

async fn keys(server: &TestServer) -> Vec<Value> {
    server.call(Call::KeyList).await.unwrap().as_array().unwrap().clone()
}

/// The states of all keys, in order.
async fn states(server: &TestServer) -> Vec<String> {
    let state = |key: &Value| key["state"].as_str().unwrap().to_owned();
    keys(server).await.iter().map(state).collect()
}

fn kid(key: &Value) -> &str {
    key["kid"].as_str().unwrap()
}

/// The kids that anybody can read.
async fn published(server: &TestServer) -> Vec<String> {
    let answer = http().get(server.url("/.well-known/jwks.json")).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "public, max-age=300");
    let set: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    let keys = set["keys"].as_array().unwrap();
    keys.iter().map(|key| kid(key).to_owned()).collect()
}

/// Lets time pass at this server as it would by itself.
async fn pass(server: &TestServer, time: Duration) {
    server.clock.step(time);
    advance(server).await;
}

async fn advance(server: &TestServer) {
    server.site().keys.advance(server.clock.now()).await.unwrap();
}

/// Ada shares one more file with Bob; gives how many shares he has got then.
async fn share_one_more(pair: &Pair) -> usize {
    let name = format!("{}.txt", ocmesh::random::number());
    pair.a.put_file("ada", &name, "hello").await;
    pair.a.share("ada", &name, &pair.b.address("bob"), false).await.unwrap();
    pair.a.deliver().await;
    pair.b.received("bob").await.len()
}

#[actix_web::test]
async fn t20_a_planned_key_is_published_a_day_before_it_signs_and_the_old_one_a_week_after() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    let signed_with = async || {
        let name = format!("{}.txt", ocmesh::random::number());
        server.put_file("ada", &name, "hello").await;
        server.share("ada", &name, &rogue.address("eve"), false).await.unwrap();
        server.deliver().await;
        let seen = rogue.seen_at("/ocm/shares").pop().unwrap();
        let input = &seen.headers["signature-input"];
        let (_, rest) = input.split_once("keyid=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let first = signed_with().await;
    assert_eq!(published(&server).await, [first.as_str()]);

    let answer = rotate(&server, Rotation::Planned).await.unwrap();
    let second = kid(&answer).to_owned();
    assert_eq!(answer["until"], START.plus(DAY).to_string());
    assert_eq!(answer["replaces"], first.as_str());
    assert_ne!(first, second);
    assert!(second.starts_with(&server.url("/ocm#")), "{second}");
    assert_eq!(published(&server).await, [first.clone(), second.clone()]);
    assert_eq!(signed_with().await, first);
    pass(&server, DAY - Duration::from_secs(1)).await;
    assert_eq!(signed_with().await, first);
    assert_eq!(states(&server).await, ["active", "pending"]);

    pass(&server, Duration::from_secs(1)).await;
    assert_eq!(signed_with().await, second);
    assert_eq!(published(&server).await, [second.clone(), first.clone()]);
    let rows = keys(&server).await;
    assert_eq!(rows[1]["state"], "retiring");
    assert_eq!(rows[1]["until"], START.plus(8 * DAY).to_string());
    pass(&server, 7 * DAY - Duration::from_secs(1)).await;
    assert_eq!(published(&server).await, [second.clone(), first.clone()]);
    pass(&server, Duration::from_secs(1)).await;
    assert_eq!(published(&server).await, [second.as_str()]);
    assert_eq!(states(&server).await, ["active"]);
    assert_eq!(signed_with().await, second);
}

#[actix_web::test]
async fn t20_a_peer_that_looked_meanwhile_asks_nothing_when_a_planned_key_signs() {
    let (pair, passage) = watched(|_| {}).await;
    assert_eq!(share_one_more(&pair).await, 1);
    assert_eq!(passage.count(SET), 1);
    rotate(&pair.a, Rotation::Planned).await.unwrap();
    pair.step(DAY - HOUR / 2);
    advance(&pair.a).await;
    assert_eq!(share_one_more(&pair).await, 2);
    assert_eq!(passage.count(SET), 2, "what it knew was a day old");
    pair.step(HOUR / 2);
    advance(&pair.a).await;
    assert_eq!(states(&pair.a).await, ["active", "retiring"]);
    assert_eq!(share_one_more(&pair).await, 3);
    assert_eq!(passage.count(SET), 2);
}

#[actix_web::test]
async fn t20_a_peer_that_never_looked_asks_once_when_a_planned_key_signs() {
    let (pair, passage) = watched(|config| config.federation.discovery_cache = Span(30 * DAY)).await;
    assert_eq!(share_one_more(&pair).await, 1);
    rotate(&pair.a, Rotation::Planned).await.unwrap();
    pair.step(DAY);
    advance(&pair.a).await;
    assert_eq!(passage.count(SET), 1);
    assert_eq!(share_one_more(&pair).await, 2);
    assert_eq!(share_one_more(&pair).await, 3);
    assert_eq!(passage.count(SET), 2);
}

#[actix_web::test]
async fn t20_a_key_that_signs_at_once_costs_each_peer_one_question() {
    for how in [Rotation::Now, Rotation::Stolen] {
        let (pair, passage) = watched(|_| {}).await;
        assert_eq!(share_one_more(&pair).await, 1);
        pair.step(PATIENCE);
        let answer = rotate(&pair.a, how).await.unwrap();
        assert_eq!(answer["state"], "active");
        assert!(answer["note"].as_str().unwrap().contains("our keys"), "{answer}");
        assert_eq!(share_one_more(&pair).await, 2);
        assert_eq!(share_one_more(&pair).await, 3);
        assert_eq!(passage.count(SET), 2, "{how:?}");
    }
}

#[actix_web::test]
async fn nothing_is_lost_at_a_peer_that_asked_for_our_keys_a_moment_ago() {
    let (pair, passage) = watched(|_| {}).await;
    assert_eq!(share_one_more(&pair).await, 1);
    rotate(&pair.a, Rotation::Now).await.unwrap();
    assert_eq!(share_one_more(&pair).await, 1);
    assert_eq!(pair.a.queue().await[0]["last_error"]["code"], "signature-rejected");
    pair.step(PATIENCE);
    pair.a.deliver().await;
    assert_eq!(pair.b.received("bob").await.len(), 2);
    assert_eq!(passage.count(SET), 2);
}

/// The status that Bob's server gives to a share of Ada's that is signed with this key.
async fn post_signed_with(pair: &Pair, key: &SigningKey, provider_id: &str) -> u16 {
    let (a, b) = (&pair.a, &pair.b);
    let body = json!({
        "shareWith": b.address("bob"),
        "name": "report.txt",
        "providerId": provider_id,
        "owner": a.address("ada"),
        "sender": a.address("ada"),
        "shareType": "user",
        "resourceType": "file",
        "protocol": { "name": "multi", "webdav": {
            "uri": provider_id, "sharedSecret": "s3cretofasharethatnobodywillread",
            "permissions": ["read"], "requirements": ["must-exchange-token"]
        }}
    });
    let body = body.to_string().into_bytes();
    let headers = signature::sign(key, "POST", &b.url("/ocm/shares"), &body, b.clock.now(), true);
    let answer = post_raw(b, "/ocm/shares", "application/json", body, &headers).await;
    answer.status().as_u16()
}

#[actix_web::test]
async fn t20_what_a_retiring_key_has_signed_is_accepted_until_the_key_is_gone() {
    let pair = Pair::acquainted().await;
    let old = pair.a.site().keys.active();
    rotate(&pair.a, Rotation::Now).await.unwrap();
    assert_eq!(
        post_signed_with(&pair, &old, "1").await,
        201,
        "it looks for the first time"
    );
    pair.step(7 * DAY - Duration::from_secs(1));
    advance(&pair.a).await;
    assert_eq!(post_signed_with(&pair, &old, "2").await, 201);
    pair.step(HOUR);
    advance(&pair.a).await;
    assert_eq!(post_signed_with(&pair, &old, "3").await, 401);
    assert_eq!(
        post_signed_with(&pair, &pair.a.site().keys.active(), "4").await,
        201,
        "what is wrong is the key"
    );
    assert_eq!(pair.b.received("bob").await.len(), 3);
}

#[actix_web::test]
async fn t20_a_stolen_key_is_not_accepted_by_a_peer_that_looks() {
    let pair = Pair::acquainted().await;
    let waiting = rotate(&pair.a, Rotation::Planned).await.unwrap();
    let old = pair.a.site().keys.active();
    let answer = rotate(&pair.a, Rotation::Stolen).await.unwrap();
    // Whoever has read one key has read the pending one, too.
    assert_eq!(published(&pair.a).await, [kid(&answer)]);
    assert_ne!(kid(&answer), kid(&waiting));
    assert_eq!(post_signed_with(&pair, &old, "1").await, 401);
    assert_eq!(pair.b.received("bob").await, [] as [Value; 0]);
}

#[actix_web::test]
async fn a_token_outlives_a_rotation_but_not_a_theft_and_the_peer_gets_a_fresh_one_by_itself() {
    let (pair, passage) = watched(|_| {}).await;
    pair.a.put_file("ada", "a.txt", "hello").await;
    let (_, id) = pair.shared("a.txt", false).await;
    let read = async || {
        let call = Call::ShareGet {
            id: id.clone(),
            path: String::new(),
        };
        pair.b.call(call).await.unwrap()
    };
    assert_eq!(read().await, "hello");
    assert_eq!(passage.count(TOKEN), 1);
    rotate(&pair.a, Rotation::Now).await.unwrap();
    assert_eq!(read().await, "hello");
    assert_eq!(passage.count(TOKEN), 1, "the token from before still opens the share");
    rotate(&pair.a, Rotation::Stolen).await.unwrap();
    assert_eq!(read().await, "hello");
    assert_eq!(passage.count(TOKEN), 2, "the token from before is void");
}

#[actix_web::test]
async fn t20_a_token_that_a_thief_makes_with_a_dropped_key_opens_nothing() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "hello").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    let sent = server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    let id = sent["provider_id"].as_str().unwrap();
    let old = server.site().keys.active();
    let forged = |key: &SigningKey| {
        let claims = ocmesh::ocm::access_token::Claims {
            iss: server.url(""),
            sub: "ada".to_owned(),
            aud: rogue.address("eve"),
            client_id: id.to_owned(),
            iat: server.clock.now(),
            exp: server.clock.now().plus(HOUR),
            jti: ocmesh::random::number(),
        };
        ocmesh::ocm::access_token::issue(key, &claims).expose().to_owned()
    };
    let open = async |key: &SigningKey| {
        let request = http()
            .get(server.url(&format!("/dav/ocm/{id}")))
            .bearer_auth(forged(key));
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(open(&old).await, 200);
    rotate(&server, Rotation::Now).await.unwrap();
    assert_eq!(open(&old).await, 200, "what it signed before must count");
    rotate(&server, Rotation::Stolen).await.unwrap();
    assert_eq!(open(&old).await, 401);
    assert_eq!(open(&server.site().keys.active()).await, 200);
}

#[actix_web::test]
async fn a_pending_key_is_cancelled_without_a_trace_or_signs_before_its_time() {
    let server = TestServer::start().await;
    let first = keys(&server).await;
    let refused = server.call(Call::KeyCancel).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Conflict);
    let pending = rotate(&server, Rotation::Planned).await.unwrap();
    assert_eq!(keys(&server).await[0]["until"], pending["until"]);
    let refused = rotate(&server, Rotation::Planned).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Conflict);
    assert!(refused.message().contains(pending["until"].as_str().unwrap()));
    assert_eq!(server.call(Call::KeyCancel).await.unwrap(), json!(first));
    pass(&server, 2 * DAY).await;
    assert_eq!(keys(&server).await, first);

    let pending = rotate(&server, Rotation::Planned).await.unwrap();
    let answer = rotate(&server, Rotation::Now).await.unwrap();
    assert_eq!(kid(&answer), kid(&pending), "it is known to some peers already");
    assert_eq!(states(&server).await, ["active", "retiring"]);
    assert_eq!(
        server.call(Call::KeyCancel).await.unwrap_err().reason(),
        Reason::Conflict
    );
}

#[actix_web::test]
async fn of_two_rotations_at_once_one_wins() {
    for (one, other) in [
        (Rotation::Planned, Rotation::Planned),
        (Rotation::Now, Rotation::Now),
        (Rotation::Now, Rotation::Planned),
        (Rotation::Stolen, Rotation::Stolen),
        (Rotation::Stolen, Rotation::Now),
    ] {
        let server = TestServer::start().await;
        let (a, b) = join(rotate(&server, one), rotate(&server, other)).await;
        let (won, lost) = if a.is_ok() { (a, b) } else { (b, a) };
        assert_eq!(lost.unwrap_err().reason(), Reason::Conflict, "{one:?} {other:?}");
        let rows = keys(&server).await;
        assert!(rows.iter().any(|key| kid(key) == kid(won.as_ref().unwrap())));
        assert!(rows.len() <= 2, "{rows:?}");
        assert_eq!(rows.iter().filter(|key| key["state"] == "active").count(), 1);
    }
}

#[actix_web::test]
async fn a_restart_in_each_state_keeps_it() {
    let mut server = TestServer::start().await;
    for step in 0..6 {
        let before = (keys(&server).await, published(&server).await);
        let active = server.site().keys.active().kid().to_owned();
        server = server.restart().await;
        assert_eq!((keys(&server).await, published(&server).await), before, "step {step}");
        assert_eq!(server.site().keys.active().kid(), active);
        match step {
            0 | 3 => drop(rotate(&server, Rotation::Planned).await.unwrap()),
            1 => pass(&server, DAY).await,
            2 => drop(rotate(&server, Rotation::Now).await.unwrap()),
            4 => drop(rotate(&server, Rotation::Stolen).await.unwrap()),
            _ => pass(&server, 7 * DAY).await,
        }
    }
}

#[actix_web::test]
async fn what_came_due_while_no_server_ran_is_done_at_once() {
    let server = TestServer::start().await;
    rotate(&server, Rotation::Now).await.unwrap();
    let pending = rotate(&server, Rotation::Planned).await.unwrap();
    server.clock.step(30 * DAY);
    let server = server.restart().await;
    advance(&server).await;
    let rows = keys(&server).await;
    assert_eq!(states(&server).await, ["active", "retiring"]);
    assert_eq!(kid(&rows[0]), kid(&pending));
    // A week from when it really ceased to sign.
    assert_eq!(rows[1]["until"], START.plus(37 * DAY).to_string());
}

#[actix_web::test]
async fn a_schedule_begins_rotations_by_itself() {
    let server = TestServer::start_with(|config| config.keys.rotate_every = Every(Some(365 * DAY))).await;
    for year in 0..3 {
        pass(&server, 365 * DAY - Duration::from_secs(1)).await;
        assert_eq!(states(&server).await, ["active"], "{year}");
        pass(&server, Duration::from_secs(1)).await;
        assert_eq!(states(&server).await, ["active", "pending"]);
        pass(&server, DAY).await;
        assert_eq!(states(&server).await, ["active", "retiring"]);
    }
    let server = TestServer::start().await;
    pass(&server, 4000 * DAY).await;
    assert_eq!(states(&server).await, ["active"], "it is off unless it is wanted");
}

#[actix_web::test]
async fn never_so_many_keys_are_published_that_peers_read_none() {
    let server = TestServer::start().await;
    let refused = loop {
        server.clock.step(Duration::from_secs(1));
        if let Err(refused) = rotate(&server, Rotation::Now).await {
            break refused;
        }
    };
    assert_eq!(refused.reason(), Reason::Conflict);
    assert_eq!(published(&server).await.len(), 16);
    assert!(
        refused
            .message()
            .contains(&START.plus(7 * DAY).plus(Duration::from_secs(1)).to_string())
    );
    assert_eq!(
        rotate(&server, Rotation::Planned).await.unwrap_err().reason(),
        Reason::Conflict
    );
    pass(&server, 7 * DAY - Duration::from_secs(14)).await;
    rotate(&server, Rotation::Planned).await.unwrap();
    rotate(&server, Rotation::Stolen).await.unwrap();
    assert_eq!(published(&server).await.len(), 1);
}

/// A signing key as it was kept before there were several.
#[derive(Serialize, Deserialize)]
struct OnlyKey {
    slug: String,
    pkcs8: String,
    created: Timestamp,
}

impl Record for OnlyKey {
    const KIND: &'static str = "signing-key";

    fn key(&self) -> Key {
        Key::of(["active"])
    }
}

/// A server on data that has this key in it, which begins with the fixed bytes of PKCS #8.
async fn start_on(key: &OnlyKey) -> Result<(TempDir, Site), Error> {
    let dir = tempfile::tempdir().unwrap();
    let mut config = Config::default();
    config.server.data_dir = dir.path().join("data");
    let store = Store::open(&config.server.data_dir, Options::default()).unwrap();
    store.run(async |txn| txn.put(key).await).await.unwrap();
    store.close().unwrap();
    drop(store);
    Ok((dir, Site::open(config, World::default()).await?))
}

#[actix_web::test]
async fn a_server_from_before_there_were_several_keys_keeps_its_own() {
    let key = OnlyKey {
        slug: "ed25519-1700000000".to_owned(),
        pkcs8: "MC4CAQAwBQYDK2VwBCIEIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f".to_owned(),
        created: Timestamp(1_700_000_000),
    };
    let (_dir, site) = start_on(&key).await.unwrap();
    let listed = site.keys.list();
    assert_eq!(listed.len(), 1);
    assert_eq!(listed[0].jwk.kid(), "http://127.0.0.1:8080/ocm#ed25519-1700000000");
    assert_eq!((listed[0].since, listed[0].until), (Timestamp(1_700_000_000), None));
    let seed: [u8; 32] = std::array::from_fn(|at| at as u8);
    let expected = SigningKey::from_seed(listed[0].jwk.kid(), &seed).unwrap();
    assert_eq!(site.keys.published(), [expected.jwk()]);
    site.store.close().unwrap();
}

#[actix_web::test]
async fn t22_a_server_does_not_start_with_a_key_that_is_printed_in_a_standard() {
    // RFC 8032, section 7.1, TEST 1.
    let key = OnlyKey {
        slug: "ed25519-1".to_owned(),
        pkcs8: "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g".to_owned(),
        created: Timestamp(1),
    };
    let refused = start_on(&key).await.err().unwrap();
    assert_eq!(refused.reason(), Reason::DataDamaged);
    assert!(refused.message().contains("ocm#ed25519-1"), "{refused}");
    assert!(refused.message().contains("public standard"), "{refused}");
    assert!(!format!("{refused} {}", refused.causes()).contains("nWGxne"));
}
