//! What is known of peers: kept, shared, followed, and never waited for by a page (DIS-1, T-01, T-20).

use std::time::Duration;

use futures_util::future::join_all;
use ocmesh::config::Mode;
use ocmesh::config::Span;
use ocmesh::error::Reason;
use ocmesh::ocm::signature::SigningKey;
use ocmesh::peers::trust::Purpose;
use serde_json::json;

use crate::harness::Manner;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::mode;
use crate::harness::post_raw;
use crate::web::browser::Browser;

const DOCUMENT: &str = "/.well-known/ocm";
const KEYS: &str = "/.well-known/jwks.json";
const LEGACY: &str = "/ocm-provider/";

async fn sharer() -> TestServer {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    server
}

#[actix_web::test]
async fn no_page_waits_for_a_peer_that_says_nothing() {
    let server = sharer().await;
    let rogue = Rogue::start().await;
    for path in [DOCUMENT, LEGACY, "/ocm-provider"] {
        rogue.behave("GET", path, Manner::Silent);
    }
    let mut ada = Browser::signed_in(&server, "ada").await;
    let to = rogue.address("eve");
    // Were the page to wait, it would be for the ten seconds that a peer may take.
    let fields = [("path", "a.txt"), ("contact", ""), ("to", &*to)];
    let shared = ada.post("/shares/new", &fields);
    let shared = tokio::time::timeout(Duration::from_secs(5), shared).await.unwrap();
    let page = shared.expect_status(303).location().to_owned();
    for page in [&*page, "/home", "/shares/sent"] {
        tokio::time::timeout(Duration::from_secs(5), ada.get(page))
            .await
            .unwrap()
            .expect_status(200);
    }
}

#[actix_web::test]
async fn what_was_said_last_serves_while_it_is_asked_for_anew() {
    let server = sharer().await;
    let rogue = Rogue::start().await;
    let peers = &server.site().peers;
    assert!(
        peers
            .last_known(&rogue.provider, Purpose::Federate)
            .await
            .unwrap()
            .is_none()
    );
    peers.discover(&rogue.provider, Purpose::Federate).await.unwrap();
    server.clock.step(Duration::from_secs(30 * 86_400));
    rogue.behave("GET", DOCUMENT, Manner::Silent);
    let old = peers.last_known(&rogue.provider, Purpose::Federate).await.unwrap();
    assert_eq!(old.unwrap().name(), Some("Rogue"));
}

#[actix_web::test]
async fn a_folder_is_refused_at_once_where_the_peer_is_known_to_take_none() {
    let server = sharer().await;
    server.put_file("ada", "docs/b.txt", "b").await;
    let rogue = Rogue::start().await;
    let mut document = rogue.discovery();
    document["resourceTypes"].as_array_mut().unwrap().truncate(1);
    rogue.reply("GET", DOCUMENT, Reply::json(200, document));
    let peers = &server.site().peers;
    peers.discover(&rogue.provider, Purpose::Federate).await.unwrap();
    let mut ada = Browser::signed_in(&server, "ada").await;
    let to = rogue.address("eve");
    ada.post("/shares/new", &[("path", "docs"), ("contact", ""), ("to", &to)])
        .await
        .expect("takes no folders from others");
    assert!(server.sent("ada").await.is_empty());
}

#[actix_web::test]
async fn a_peer_that_failed_just_now_is_not_waited_for_again() {
    let server = sharer().await;
    let rogue = Rogue::start().await;
    for path in [DOCUMENT, LEGACY, "/ocm-provider"] {
        rogue.reply("GET", path, Reply::json(404, json!({})));
    }
    let patience = Duration::from_secs(5);
    let look = async || {
        let found = server
            .site()
            .peers
            .discover_within(&rogue.provider, Purpose::Federate, patience);
        found.await.map(|_| ()).map_err(|error| error.reason())
    };
    assert_eq!(look().await, Err(Reason::NotOcm));
    let asked = rogue.seen().len();
    assert_eq!(look().await, Err(Reason::NotOcm));
    assert_eq!(rogue.seen().len(), asked);
    server.clock.step(Duration::from_secs(11));
    rogue.reply("GET", DOCUMENT, Reply::json(200, rogue.discovery()));
    assert_eq!(look().await, Ok(()));
}

#[actix_web::test]
async fn of_many_who_wait_for_a_peer_that_fails_one_asks() {
    let server = sharer().await;
    let rogue = Rogue::start().await;
    rogue.reply("GET", DOCUMENT, Reply::json(503, json!({})));
    let peers = &server.site().peers;
    let found = join_all((0..20).map(|_| peers.discover(&rogue.provider, Purpose::Federate))).await;
    assert!(
        found
            .iter()
            .all(|found| found.as_ref().is_err_and(|error| error.reason() == Reason::PeerBusy))
    );
    assert_eq!(rogue.seen_at(DOCUMENT).len(), 1);
}

#[actix_web::test]
async fn whoever_stops_waiting_leaves_the_answer_to_the_next() {
    let server = sharer().await;
    let rogue = Rogue::start().await;
    let peers = &server.site().peers;
    let none = peers
        .discover_within(&rogue.provider, Purpose::Federate, Duration::ZERO)
        .await;
    assert_eq!(none.err().unwrap().reason(), Reason::NoAnswer);
    peers.discover(&rogue.provider, Purpose::Federate).await.unwrap();
    assert_eq!(rogue.seen_at(DOCUMENT).len(), 1);
}

#[actix_web::test]
async fn what_servers_that_we_have_met_say_survives_a_restart_and_what_strangers_say_does_not() {
    let server = TestServer::start_with(|config| {
        config.federation.mode = Mode::Open;
        config.federation.discovery_cache = Span::seconds(600);
    })
    .await;
    server.user("ada").await;
    let (met, stranger) = (Rogue::start().await, Rogue::start().await);
    met.befriend(&server, "ada").await;
    let peers = &server.site().peers;
    peers.discover(&stranger.provider, Purpose::Federate).await.unwrap();
    let server = server.restart().await;
    met.forget_seen();
    let last = async |rogue: &Rogue| {
        let peers = &server.site().peers;
        peers
            .last_known(&rogue.provider, Purpose::Federate)
            .await
            .unwrap()
            .is_some()
    };
    assert!(last(&met).await);
    assert!(!last(&stranger).await);
    assert!(met.seen_at(DOCUMENT).is_empty());
}

#[actix_web::test]
async fn dis_1_older_places_are_looked_at_where_the_first_has_no_document() {
    let server = sharer().await;
    for (status, body) in [(404, json!({})), (500, json!({})), (200, json!("<html>"))] {
        let rogue = Rogue::start().await;
        rogue.reply("GET", DOCUMENT, Reply::json(status, body));
        rogue.reply("GET", LEGACY, Reply::json(200, rogue.discovery()));
        let peers = &server.site().peers;
        peers.discover(&rogue.provider, Purpose::Federate).await.unwrap();
        assert_eq!(rogue.seen_at(LEGACY).len(), 1);
    }
    // What is only for now is no reason to look elsewhere.
    let rogue = Rogue::start().await;
    rogue.reply("GET", DOCUMENT, Reply::json(503, json!({})));
    rogue.reply("GET", LEGACY, Reply::json(200, rogue.discovery()));
    let found = server.site().peers.discover(&rogue.provider, Purpose::Federate).await;
    assert_eq!(found.err().unwrap().reason(), Reason::PeerBusy);
}

#[actix_web::test]
async fn t24_a_page_at_an_older_place_never_speaks_for_a_server_that_stumbles() {
    let mut server = sharer().await;
    let rogue = Rogue::start().await;
    server.rule(&rogue.provider.to_string(), true).await;
    let meet = async |server: &TestServer| server.site().peers.meet(&rogue.provider, Purpose::Federate).await;
    let unsigned = async |server: &TestServer| {
        let share = rogue.share_for(server, "ada", "1").to_string().into_bytes();
        let answer = post_raw(server, "/ocm/shares", "application/json", share, &[]).await;
        answer.status().as_u16()
    };
    meet(&server).await.unwrap();
    let mut planted = rogue.discovery();
    planted["capabilities"] = json!([]);
    rogue.reply("GET", LEGACY, Reply::json(200, planted));
    let elsewhere = Reply::json(302, json!({})).header("location", "http://127.0.0.1:1/");
    for (nth, stumbles) in [
        Reply::json(500, json!({})),
        Reply::json(502, json!({})),
        Reply::json(403, json!({})),
        Reply::json(200, json!("<html>")),
        elsewhere,
    ]
    .into_iter()
    .enumerate()
    {
        // What was said before counts after a restart, too.
        if nth == 2 {
            meet(&server).await.unwrap_err();
            server = server.restart().await;
        }
        rogue.reply("GET", DOCUMENT, stumbles);
        server.clock.step(Duration::from_secs(7200));
        meet(&server).await.unwrap_err();
        assert_eq!(unsigned(&server).await, 401);
        assert!(rogue.seen_at(LEGACY).is_empty(), "{nth}");
    }
    // It says itself that there is nothing there any more: then it is an older one now, and still not one to go unsigned.
    rogue.reply("GET", DOCUMENT, Reply::json(404, json!({})));
    server.clock.step(Duration::from_secs(7200));
    meet(&server).await.unwrap();
    assert_eq!(rogue.seen_at(LEGACY).len(), 1);
    assert_eq!(unsigned(&server).await, 401);
    assert!(server.received("ada").await.is_empty());
}

#[actix_web::test]
async fn t10_a_stranger_that_signs_leaves_no_document_on_our_disk_until_we_have_to_do_with_it() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let signs = async |server: &TestServer, id: &str| {
        let share = rogue.share_for(server, "ada", id);
        assert_eq!(rogue.post(server, "/ocm/shares", &share).await.status(), 201);
    };
    let last = async |server: &TestServer| {
        let peers = &server.site().peers;
        peers.last_known(&rogue.provider, Purpose::Federate).await.unwrap()
    };
    signs(&server, "1").await;
    server.clock.step(Duration::from_secs(7200));
    signs(&server, "2").await;
    assert!(rogue.seen_at(DOCUMENT).len() > 1);
    let server = server.restart().await;
    assert!(last(&server).await.is_none());
    let peers = &server.site().peers;
    peers.discover(&rogue.provider, Purpose::Federate).await.unwrap();
    let server = server.restart().await;
    assert!(last(&server).await.is_some());
}

#[actix_web::test]
async fn what_is_kept_of_a_peer_is_still_known_when_a_question_for_its_keys_failed_first() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    let peers = &server.site().peers;
    peers.discover(&rogue.provider, Purpose::Federate).await.unwrap();
    let server = server.restart().await;
    server.clock.step(Duration::from_secs(7200));
    for place in [DOCUMENT, KEYS] {
        rogue.reply("GET", place, Reply::json(503, json!({})));
    }
    let share = rogue.share_for(&server, "ada", "1");
    assert_eq!(rogue.post(&server, "/ocm/shares", &share).await.status(), 401);
    let peers = &server.site().peers;
    let known = peers.last_known(&rogue.provider, Purpose::Federate).await.unwrap();
    assert!(known.is_some());
}

#[actix_web::test]
async fn t20_a_key_that_a_peer_has_taken_back_counts_for_an_hour_at_most_or_until_an_admin_asks_anew() {
    // Longer than a key may be believed in.
    let server = TestServer::start_with(|config| {
        config.federation.mode = Mode::Open;
        config.federation.discovery_cache = Span::seconds(86_400);
    })
    .await;
    server.user("ada").await;
    for asked_anew in [false, true] {
        let rogue = Rogue::start().await;
        let post = async |id: &str| {
            let body = rogue.share_for(&server, "ada", id);
            rogue.post(&server, "/ocm/shares", &body).await.status().as_u16()
        };
        assert_eq!(post("1").await, 201);
        let other = SigningKey::from_seed(&format!("http://{}/ocm#other", rogue.provider), &[9; 32]).unwrap();
        rogue.reply("GET", KEYS, Reply::json(200, json!({ "keys": [other.jwk()] })));
        server.clock.step(Duration::from_secs(1800));
        assert_eq!(post("2").await, 201, "still believed");
        if asked_anew {
            server.site().peers.refresh(&rogue.provider).await.unwrap();
        } else {
            server.clock.step(Duration::from_secs(1800));
        }
        assert_eq!(post("3").await, 401);
    }
}

#[actix_web::test]
async fn t20_one_servers_key_is_never_kept_as_anothers() {
    let server = sharer().await;
    let (honest, rogue) = (Rogue::start().await, Rogue::start().await);
    // It publishes the other's key among its own, under the other's name.
    let keys = json!({ "keys": [rogue.key.jwk(), honest.key.jwk()] });
    rogue.reply("GET", KEYS, Reply::json(200, keys));
    let body = rogue.share_for(&server, "ada", "1");
    assert_eq!(rogue.post(&server, "/ocm/shares", &body).await.status(), 201);
    honest.reply("GET", KEYS, Reply::json(404, json!({})));
    let body = honest.share_for(&server, "ada", "1");
    assert_eq!(honest.post(&server, "/ocm/shares", &body).await.status(), 401);
}

#[actix_web::test]
async fn an_absolute_uri_is_sent_to_whoever_takes_no_other_and_it_is_ours() {
    let server = sharer().await;
    let rogue = Rogue::start().await;
    let mut document = rogue.discovery();
    document["resourceTypes"][0]["protocols"]["webdav-receive"] = json!({ "uri": "absolute" });
    rogue.reply("GET", DOCUMENT, Reply::json(200, document));
    let sent = server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    let message = rogue.seen_at("/ocm/shares")[0].json();
    let id = sent["provider_id"].as_str().unwrap();
    assert_eq!(
        message["protocol"]["webdav"]["uri"],
        server.url(&format!("/dav/ocm/{id}"))
    );
}

#[actix_web::test]
async fn dis_8_a_refusal_tells_what_the_peer_says_it_demands() {
    let server = sharer().await;
    let rogue = Rogue::start().await;
    let mut document = rogue.discovery();
    document["criteria"] = json!(["must-invite", "full-moon"]);
    rogue.reply("GET", DOCUMENT, Reply::json(200, document));
    let refusal = Reply::json(403, json!({ "message": "SENDER_NOT_TRUSTED" }));
    rogue.reply("POST", "/ocm/shares", refusal);
    server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    let sent = server.sent("ada").await;
    let message = sent[0]["last_error"]["message"].as_str().unwrap();
    assert!(message.contains("have traded an invite"), "{message}");
    assert!(message.contains("\"full-moon\""), "{message}");
}

#[actix_web::test]
async fn t42_a_share_that_is_over_is_announced_to_nobody_and_listed_as_such_on_both_sides() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "a.txt", "a").await;
    pair.a.put_file("ada", "late.txt", "b").await;
    let until = pair.a.clock.now().plus(Duration::from_secs(3600));
    let share = async |path: &str| {
        let call = ocmesh::api::Call::ShareCreate {
            user: Some("ada".to_owned()),
            path: path.to_owned(),
            to: pair.b.address("bob"),
            write: false,
            until: Some(until.to_string()),
        };
        pair.a.call(call).await.unwrap();
    };
    share("a.txt").await;
    pair.a.deliver().await;
    share("late.txt").await;
    pair.step(Duration::from_secs(3600));
    pair.a.deliver().await;
    let received = pair.b.received("bob").await;
    assert_eq!(received.len(), 1, "nobody hears of what is over");
    for row in pair.a.sent("ada").await.iter().chain(&received) {
        assert_eq!(row["state"], "expired", "{row}");
    }
    assert!(pair.a.queue().await.is_empty());
    let late = pair
        .a
        .sent("ada")
        .await
        .into_iter()
        .find(|row| row["path"] == "late.txt");
    assert!(late.unwrap()["announced"].is_null());
}
