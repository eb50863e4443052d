//! Becoming a trusted server of deployed ones, from either side, and what those get who only claim to be one of them.

use std::collections::HashMap;
use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::client::Client;
use ocmesh::client::MAX_ANSWER;
use ocmesh::client::Outbound;
use ocmesh::config::Mode;
use ocmesh::config::Span;
use serde_json::Value;
use serde_json::json;
use url::form_urlencoded;

use crate::harness::Manner;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::Trap;
use crate::harness::everything;
use crate::harness::http;
use crate::harness::mode;
use crate::harness::names;

const PLACE: &str = "/ocs/v2.php/cloud/shared-secret";
const BOOK: &str = "/remote.php/dav/addressbooks/system/system/system";
const SECRET: &str = "abcdefghijklmnopqrstuvwxyz012345";
/// Greater than any token that is drawn, and less.
const GREATEST: &str = "zzzzzzzzzzzzzzzz";
const LEAST: &str = "0000000000000000";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// A server with a list of trusted ones, on which ours is; and ours, where a rule allows it.
async fn trusting() -> (TestServer, Rogue) {
    let server = Box::pin(TestServer::start()).await;
    let rogue = Box::pin(trusting_of(&server)).await;
    (server, rogue)
}

async fn trusting_of(server: &TestServer) -> Rogue {
    let rogue = Rogue::start().await;
    server.rule(&rogue.provider.to_string(), true).await;
    let endpoints = json!({ "share": "/ocs/v2.php/cloud/shares", "shared-secret": PLACE });
    let services = json!({ "services": { "FEDERATED_SHARING": { "version": 1, "endpoints": endpoints } } });
    rogue.reply("GET", "/ocs-provider/", Reply::json(200, services));
    rogue.reply("POST", PLACE, ocs(200, json!([])));
    rogue.reply("GET", PLACE, ocs(200, json!({ "sharedSecret": SECRET })));
    rogue
}

fn ocs(status: u16, data: Value) -> Reply {
    let meta = json!({ "status": "ok", "statuscode": status, "message": "OK" });
    Reply::json(status, json!({ "ocs": { "meta": meta, "data": data } }))
}

async fn start(server: &TestServer, host: &impl ToString) -> Value {
    let call = Call::PeerHandshake { host: host.to_string() };
    Box::pin(server.call(call)).await.unwrap()
}

async fn state(server: &TestServer, host: &impl ToString) -> Value {
    let call = Call::PeerShow { host: host.to_string() };
    Box::pin(server.call(call)).await.unwrap()["handshake"].clone()
}

async fn advance(server: &TestServer) -> usize {
    Box::pin(server.site().handshakes.advance(server.clock.now()))
        .await
        .unwrap()
}

fn fields(form: &[u8]) -> HashMap<String, String> {
    form_urlencoded::parse(form).into_owned().collect()
}

/// What our server sent last to the place where tokens are left.
fn left_at(rogue: &Rogue) -> HashMap<String, String> {
    let seen = rogue.seen_at(PLACE);
    fields(&seen.iter().rfind(|seen| seen.method == "POST").unwrap().body)
}

fn form(url: &str, token: &str) -> String {
    form_urlencoded::Serializer::new(String::new())
        .append_pair("url", url)
        .append_pair("token", token)
        .append_pair("format", "json")
        .finish()
}

async fn leave(server: &TestServer, url: &str, token: &str) -> reqwest::Response {
    http()
        .post(server.url(PLACE))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(form(url, token))
        .send()
        .await
        .unwrap()
}

async fn bring(server: &TestServer, url: &str, token: &str) -> reqwest::Response {
    let address = format!("{}?{}", server.url(PLACE), form(url, token));
    http().get(address).send().await.unwrap()
}

async fn read_book(server: &TestServer, method: &str, user: &str, secret: &str) -> reqwest::Response {
    http()
        .request(method.parse().unwrap(), server.url(BOOK))
        .basic_auth(user, Some(secret))
        .body("<x1:sync-collection xmlns:x1=\"DAV:\"><x1:sync-token/></x1:sync-collection>")
        .send()
        .await
        .unwrap()
}

fn origin(rogue: &Rogue) -> String {
    format!("http://{}", rogue.provider)
}

#[actix_web::test]
async fn we_begin_they_fetch_the_secret_and_reading_the_empty_book_turns_their_light_green() {
    let (server, rogue) = trusting().await;
    assert_eq!(start(&server, &rogue.provider).await["state"], "asking");
    assert!(rogue.seen().is_empty(), "nothing is sent while somebody waits");
    advance(&server).await;
    let left = left_at(&rogue);
    assert_eq!(left["url"], server.url(""));
    assert_eq!(left["format"], "json");
    assert_eq!(left["token"].len(), 16);
    assert!(left["token"].bytes().all(|byte| byte.is_ascii_alphanumeric()));
    assert_eq!(state(&server, &rogue.provider).await["state"], "asked");

    let answer = bring(&server, &origin(&rogue), &left["token"]).await;
    assert_eq!(answer.status(), 200);
    assert_eq!(answer.headers()["cache-control"], "no-store");
    let given: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(given["ocs"]["meta"]["statuscode"], 200);
    let secret = given["ocs"]["data"]["sharedSecret"].as_str().unwrap().to_owned();
    assert_eq!(secret.len(), 32);
    let done = state(&server, &rogue.provider).await;
    assert_eq!((&done["state"], &done["read"]), (&json!("done"), &Value::Null));

    let book = read_book(&server, "REPORT", "system", &secret).await;
    assert_eq!(book.status(), 207);
    let book = book.text().await.unwrap();
    assert!(
        book.contains("<d:sync-token>") && !book.contains("<d:response>"),
        "{book}"
    );
    assert_eq!(
        state(&server, &rogue.provider).await["read"],
        json!(server.clock.now().to_string())
    );
    let about = read_book(&server, "PROPFIND", "system", &secret).await;
    assert_eq!(about.status(), 207);
    assert!(about.text().await.unwrap().contains("addressbook"));
    for method in ["GET", "PUT", "DELETE", "OPTIONS"] {
        assert_eq!(
            read_book(&server, method, "system", &secret).await.status(),
            405,
            "{method}"
        );
    }
    // Nothing more is sent, and neither the token nor the secret is shown.
    rogue.forget_seen();
    server.clock.step(DAY * 30);
    advance(&server).await;
    assert!(rogue.seen().is_empty());
    let kept = server.site().handshakes.of(&rogue.provider).await.unwrap().unwrap();
    let shown = format!("{kept:?}{}", state(&server, &rogue.provider).await);
    assert!(!shown.contains(&left["token"]) && !shown.contains(&secret));
}

#[actix_web::test]
async fn they_begin_and_we_fetch_the_secret_with_their_token() {
    let (server, rogue) = trusting().await;
    let answer = leave(&server, &origin(&rogue), "TheirTokenOf16ab").await;
    assert_eq!(answer.status(), 200);
    let said: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    assert_eq!(
        said["ocs"]["meta"],
        json!({"status": "ok", "statuscode": 200, "message": "OK"})
    );
    assert!(rogue.seen().is_empty(), "nothing is fetched while a stranger waits");
    assert_eq!(state(&server, &rogue.provider).await["state"], "they-ask");
    advance(&server).await;
    let seen = rogue.seen_at(PLACE);
    assert_eq!((seen.len(), seen[0].method.as_str()), (1, "GET"));
    let brought = fields(seen[0].query.as_bytes());
    assert_eq!(brought["url"], server.url(""));
    assert_eq!(brought["token"], "TheirTokenOf16ab");
    assert_eq!(brought["format"], "json");
    assert_eq!(state(&server, &rogue.provider).await["state"], "done");
    assert_eq!(read_book(&server, "REPORT", "system", SECRET).await.status(), 207);
    assert_eq!(advance(&server).await, 0);
}

#[actix_web::test]
async fn a_server_without_a_document_of_its_services_is_asked_where_the_federation_app_is() {
    let (server, rogue) = trusting().await;
    let fallback = "/ocs/v2.php/apps/federation/api/v1/request-shared-secret";
    rogue.reply("GET", "/ocs-provider/", Reply::json(404, json!({})));
    rogue.reply("POST", fallback, ocs(200, json!([])));
    start(&server, &rogue.provider).await;
    advance(&server).await;
    assert_eq!(rogue.seen_at(fallback).len(), 1);
    assert!(rogue.seen_at(PLACE).is_empty());
    assert_eq!(state(&server, &rogue.provider).await["state"], "asked");
}

#[actix_web::test]
async fn two_of_our_own_servers_are_done_whoever_begins_and_if_both_do() {
    for (a_begins, b_begins) in [(true, false), (false, true), (true, true)] {
        let pair = Pair::strangers().await;
        pair.a.rule(&pair.b.provider().to_string(), true).await;
        pair.b.rule(&pair.a.provider().to_string(), true).await;
        if a_begins {
            start(&pair.a, pair.b.provider()).await;
        }
        if b_begins {
            start(&pair.b, pair.a.provider()).await;
        }
        for _ in 0..4 {
            advance(&pair.a).await;
            advance(&pair.b).await;
            pair.step(Duration::from_secs(60));
        }
        for (here, there) in [(&pair.a, &pair.b), (&pair.b, &pair.a)] {
            let state = state(here, there.provider()).await;
            assert_eq!(state["state"], "done", "{a_begins} {b_begins} {state}");
            assert_eq!(state["last_error"], Value::Null);
        }
    }
}

#[actix_web::test]
async fn where_both_have_begun_the_greater_token_wins() {
    let (server, rogue) = trusting().await;
    rogue.reply("POST", PLACE, ocs(403, json!([])));
    start(&server, &rogue.provider).await;
    let lesser = leave(&server, &origin(&rogue), LEAST).await;
    assert_eq!(lesser.status(), 403);
    advance(&server).await;
    assert!(rogue.seen_at(PLACE).iter().all(|seen| seen.method == "POST"));
    assert_eq!(leave(&server, &origin(&rogue), GREATEST).await.status(), 200);
    advance(&server).await;
    assert_eq!(state(&server, &rogue.provider).await["state"], "done");
    // The other way round: ours is on its way when theirs, the lesser one, comes; they took ours.
    let (server, rogue) = trusting().await;
    start(&server, &rogue.provider).await;
    assert_eq!(leave(&server, &origin(&rogue), LEAST).await.status(), 403);
    advance(&server).await;
    let token = &left_at(&rogue)["token"];
    assert_eq!(bring(&server, &origin(&rogue), token).await.status(), 200);
    assert_eq!(state(&server, &rogue.provider).await["state"], "done");
}

#[actix_web::test]
async fn t36_whoever_no_admin_has_named_is_refused_like_a_stranger_and_never_called() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let (trap, denied, below, known) = (
        Trap::at("127.0.0.1"),
        Trap::at("127.0.0.1"),
        Trap::at("127.0.0.1"),
        trusting_of(&server).await,
    );
    server.rule(&denied.provider.to_string(), false).await;
    server.rule("*.localhost.example", true).await;
    // One that traded an invite, and that the mode lets in.
    let invited = Rogue::start().await;
    invited.befriend(&server, "ada").await;
    invited.forget_seen();
    let stranger = everything(leave(&server, &format!("http://{}", trap.provider), GREATEST).await).await;
    assert!(stranger.starts_with("403"), "{stranger}");
    let known_origin = origin(&known);
    for url in [
        format!("http://{}", denied.provider),
        origin(&invited),
        server.url(""),
        format!("http://a.localhost.example:{}", below.port()),
        // Not exactly the origin of the one that an admin has named.
        format!("{known_origin}/sub"),
        format!("{known_origin}/?x=y"),
        format!("{known_origin}@{}", trap.provider),
        format!("http://{}@{}", known.provider, trap.provider),
        format!("ftp://{}", known.provider),
        known.provider.to_string(),
        String::new(),
        "http://".to_owned(),
        "\u{0}".to_owned(),
    ] {
        for answer in [
            leave(&server, &url, GREATEST).await,
            bring(&server, &url, GREATEST).await,
        ] {
            assert_eq!(everything(answer).await, stranger, "{url}");
        }
    }
    assert_eq!(advance(&server).await, 0);
    assert_eq!(trap.connections() + denied.connections() + below.connections(), 0);
    assert!(invited.seen().is_empty() && known.seen().is_empty());
    assert_eq!(state(&server, &invited.provider).await, Value::Null);
    assert_eq!(state(&server, &known.provider).await, Value::Null);
}

#[actix_web::test]
async fn an_admin_begins_only_with_a_server_that_a_rule_allows() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    let trap = Trap::at("127.0.0.1");
    for host in [trap.provider.to_string(), server.provider().to_string()] {
        let refused = server.call(Call::PeerHandshake { host }).await;
        assert!(matches!(
            refused.unwrap_err().reason().code(),
            "we-refuse-them" | "own-server"
        ));
    }
    assert_eq!((advance(&server).await, trap.connections()), (0, 0));
}

#[actix_web::test]
async fn t01_a_rule_that_ends_ends_the_handshake_before_anything_more_is_sent() {
    let (server, rogue) = trusting().await;
    let host = rogue.provider.to_string();
    start(&server, &host).await;
    leave(&server, &origin(&rogue), GREATEST).await;
    server.call(Call::PeerRemove { host: host.clone() }).await.unwrap();
    advance(&server).await;
    assert!(rogue.seen().is_empty());
    assert_eq!(state(&server, &host).await["state"], "gave-up");

    // And one that was done opens nothing any more.
    server.rule(&host, true).await;
    leave(&server, &origin(&rogue), GREATEST).await;
    advance(&server).await;
    assert_eq!(read_book(&server, "REPORT", "system", SECRET).await.status(), 207);
    server.rule(&host, false).await;
    let denied = everything(read_book(&server, "REPORT", "system", SECRET).await).await;
    let unknown = everything(read_book(&server, "REPORT", "system", "another").await).await;
    assert_eq!(denied, unknown);
    assert!(denied.starts_with("401"), "{denied}");
}

#[actix_web::test]
async fn t46_only_the_secret_opens_the_book_and_nothing_else_is_there() {
    let (server, rogue) = trusting().await;
    leave(&server, &origin(&rogue), GREATEST).await;
    advance(&server).await;
    for (user, secret) in [
        ("system", "wrong"),
        ("system", ""),
        ("", SECRET),
        ("ada", SECRET),
        (SECRET, ""),
        ("system", &SECRET[1..]),
        ("system", GREATEST),
    ] {
        let refused = read_book(&server, "REPORT", user, secret).await;
        assert_eq!(refused.status(), 401, "{user} {secret}");
        assert!(
            refused.headers()["www-authenticate"]
                .to_str()
                .unwrap()
                .starts_with("Basic")
        );
    }
    assert_eq!(state(&server, &rogue.provider).await["read"], Value::Null);
    for path in [
        "/remote.php",
        "/remote.php/dav",
        "/remote.php/webdav/",
        "/remote.php/dav/addressbooks/system",
    ] {
        let nothing = http()
            .get(server.url(path))
            .basic_auth("system", Some(SECRET))
            .send()
            .await
            .unwrap();
        assert_eq!(nothing.status(), 404, "{path}");
    }
}

#[actix_web::test]
async fn t33_a_token_opens_nothing_once_it_was_used_or_is_wrong_or_another_servers() {
    let (server, rogue) = trusting().await;
    let other = trusting_of(&server).await;
    for host in [&rogue.provider, &other.provider] {
        start(&server, host).await;
    }
    advance(&server).await;
    let token = left_at(&rogue)["token"].clone();
    let refused = everything(bring(&server, &origin(&rogue), GREATEST).await).await;
    assert!(refused.starts_with("403"), "{refused}");
    for (url, token) in [(origin(&other), token.as_str()), (origin(&rogue), "")] {
        assert_eq!(everything(bring(&server, &url, token).await).await, refused);
    }
    // The answer may be lost: until the secret is used, the token fetches another one.
    let mut secrets = Vec::new();
    for _ in 0..2 {
        let given = bring(&server, &origin(&rogue), &token).await.text().await.unwrap();
        let given: Value = serde_json::from_str(&given).unwrap();
        secrets.push(given["ocs"]["data"]["sharedSecret"].as_str().unwrap().to_owned());
    }
    assert_eq!(read_book(&server, "REPORT", "system", &secrets[0]).await.status(), 401);
    assert_eq!(read_book(&server, "REPORT", "system", &secrets[1]).await.status(), 207);
    assert_eq!(everything(bring(&server, &origin(&rogue), &token).await).await, refused);
    assert_eq!(read_book(&server, "REPORT", "system", &secrets[1]).await.status(), 207);
    // Or until a day has passed.
    let token = left_at(&other)["token"].clone();
    assert_eq!(bring(&server, &origin(&other), &token).await.status(), 200);
    server.clock.step(DAY);
    assert_eq!(everything(bring(&server, &origin(&other), &token).await).await, refused);
}

#[actix_web::test]
async fn t33_nobody_finds_our_token_out_by_asking_whether_it_is_greater() {
    let (server, rogue) = trusting().await;
    rogue.behave("POST", PLACE, Manner::Silent);
    start(&server, &rogue.provider).await;
    // Three answers tell three bits; after that there is one answer to everything.
    for _ in 0..3 {
        assert_eq!(leave(&server, &origin(&rogue), LEAST).await.status(), 403);
    }
    assert_eq!(leave(&server, &origin(&rogue), GREATEST).await.status(), 403);
    // And one that they hold is compared with none.
    let (server, rogue) = trusting().await;
    start(&server, &rogue.provider).await;
    advance(&server).await;
    assert_eq!(leave(&server, &origin(&rogue), GREATEST).await.status(), 403);
    assert_eq!(state(&server, &rogue.provider).await["state"], "asked");
    // They are told again soon, for it may be them, and they have forgotten: but not at once.
    advance(&server).await;
    assert_eq!(rogue.seen_at(PLACE).len(), 1);
    let token = left_at(&rogue)["token"].clone();
    server.clock.step(Duration::from_secs(300));
    advance(&server).await;
    assert_eq!(rogue.seen_at(PLACE).len(), 2);
    assert_eq!(left_at(&rogue)["token"], token);
}

#[actix_web::test]
async fn t33_too_many_guesses_are_told_to_wait_and_who_has_the_secret_is_not_in_their_way() {
    let (server, rogue) = trusting().await;
    leave(&server, &origin(&rogue), GREATEST).await;
    advance(&server).await;
    for _ in 0..120 {
        assert_eq!(bring(&server, &origin(&rogue), LEAST).await.status(), 403);
    }
    assert_eq!(bring(&server, &origin(&rogue), LEAST).await.status(), 503);
    let busy = read_book(&server, "REPORT", "system", "wrong").await;
    assert_eq!(busy.status(), 503);
    assert!(busy.headers().contains_key("retry-after"));
    assert_eq!(read_book(&server, "REPORT", "system", SECRET).await.status(), 207);
    server.clock.step(Duration::from_secs(60));
    assert_eq!(bring(&server, &origin(&rogue), LEAST).await.status(), 403);
}

#[actix_web::test]
async fn a_request_in_the_name_of_a_server_that_did_not_ask_changes_nothing_that_was_reached() {
    let (server, rogue) = trusting().await;
    leave(&server, &origin(&rogue), "TheirTokenOf16ab").await;
    advance(&server).await;
    let before = state(&server, &rogue.provider).await;
    rogue.reply("GET", PLACE, ocs(403, json!([])));
    rogue.forget_seen();
    assert_eq!(leave(&server, &origin(&rogue), GREATEST).await.status(), 200);
    advance(&server).await;
    assert_eq!(rogue.seen_at(PLACE).len(), 1);
    assert_eq!(state(&server, &rogue.provider).await, before);
    assert_eq!(read_book(&server, "REPORT", "system", SECRET).await.status(), 207);
    server.clock.step(DAY);
    assert_eq!(advance(&server).await, 0, "it is not asked about that again");
    // However many are left, few are asked about.
    let mut statuses = Vec::new();
    for at in 10..16 {
        statuses.push(
            leave(&server, &origin(&rogue), &format!("forged0000000{at}"))
                .await
                .status()
                .as_u16(),
        );
    }
    assert_eq!(statuses, [200, 200, 200, 200, 503, 503]);
    rogue.forget_seen();
    advance(&server).await;
    assert_eq!(rogue.seen_at(PLACE).len(), 4);
}

#[actix_web::test]
async fn t49_a_server_that_refuses_is_asked_less_and_less_with_another_token_and_given_up_after_a_week() {
    let (server, rogue) = trusting().await;
    rogue.reply("POST", PLACE, ocs(403, json!([])));
    start(&server, &rogue.provider).await;
    let mut tokens = Vec::new();
    let mut tries = Vec::new();
    let begun = server.clock.now();
    loop {
        advance(&server).await;
        let state = state(&server, &rogue.provider).await;
        if state["state"] != "asking" {
            assert_eq!(
                (&state["state"], &state["last_error"]["code"]),
                (&json!("gave-up"), &json!("gave-up"))
            );
            break;
        }
        assert_eq!(state["last_error"]["code"], "they-refuse-us");
        if rogue.seen_at(PLACE).len() > tokens.len() {
            tokens.push(left_at(&rogue)["token"].clone());
            tries.push(begun.until(server.clock.now()).as_secs() / 60);
        }
        server.clock.step(Duration::from_secs(60));
        // What is in between is nothing but waiting.
        if tries.len() > 5 {
            server.clock.step(Duration::from_secs(3600));
        }
    }
    assert_eq!(tries[..5], [0, 1, 6, 36, 156]);
    assert!((15..22).contains(&tries.len()), "{tries:?}");
    tokens.sort_unstable();
    tokens.dedup();
    assert_eq!(tokens.len(), tries.len(), "no token is left twice");
    // An old token is worth nothing, and an admin can begin again.
    assert_eq!(bring(&server, &origin(&rogue), &tokens[0]).await.status(), 403);
    rogue.reply("POST", PLACE, ocs(200, json!([])));
    start(&server, &rogue.provider).await;
    advance(&server).await;
    assert_eq!(state(&server, &rogue.provider).await["state"], "asked");
}

#[actix_web::test]
async fn t08_a_server_that_never_answers_holds_up_no_other_and_its_token_stays_the_same() {
    let server = TestServer::start_with(|config| config.limits.peer_timeout = Span::seconds(1)).await;
    let (silent, other) = (trusting_of(&server).await, trusting_of(&server).await);
    silent.behave("GET", "/ocs-provider/", Manner::Silent);
    for host in [&silent.provider, &other.provider] {
        start(&server, host).await;
    }
    advance(&server).await;
    assert_eq!(state(&server, &other.provider).await["state"], "asked");
    let waits = state(&server, &silent.provider).await;
    assert_eq!(
        (&waits["state"], &waits["last_error"]["code"]),
        (&json!("asking"), &json!("no-answer"))
    );
    silent.behave_well("GET", "/ocs-provider/");
    silent.reply("POST", PLACE, Reply::json(500, json!({})));
    server.clock.step(Duration::from_secs(60));
    advance(&server).await;
    let token = left_at(&silent)["token"].clone();
    silent.reply("POST", PLACE, ocs(200, json!([])));
    server.clock.step(Duration::from_secs(300));
    advance(&server).await;
    assert_eq!(
        left_at(&silent)["token"],
        token,
        "they may have kept it, and lost the answer"
    );
    assert_eq!(state(&server, &silent.provider).await["last_error"], Value::Null);
}

#[actix_web::test]
async fn a_restart_in_the_middle_loses_nothing() {
    let (server, rogue) = trusting().await;
    start(&server, &rogue.provider).await;
    let server = Box::pin(server.restart()).await;
    advance(&server).await;
    let token = left_at(&rogue)["token"].clone();
    let server = Box::pin(server.restart()).await;
    let given = bring(&server, &origin(&rogue), &token).await.text().await.unwrap();
    let given: Value = serde_json::from_str(&given).unwrap();
    let secret = given["ocs"]["data"]["sharedSecret"].as_str().unwrap().to_owned();
    let server = Box::pin(server.restart()).await;
    assert_eq!(read_book(&server, "REPORT", "system", &secret).await.status(), 207);
}

#[actix_web::test]
async fn a_restart_after_they_began_loses_nothing() {
    let (server, rogue) = trusting().await;
    leave(&server, &origin(&rogue), GREATEST).await;
    let server = Box::pin(server.restart()).await;
    advance(&server).await;
    let server = Box::pin(server.restart()).await;
    assert_eq!(read_book(&server, "REPORT", "system", SECRET).await.status(), 207);
}

#[actix_web::test]
async fn an_answer_without_a_secret_that_can_be_kept_is_none() {
    for bad in [
        json!({}),
        json!({"sharedSecret": ""}),
        json!({"sharedSecret": 7}),
        json!({"sharedSecret": "a b"}),
    ] {
        let (server, rogue) = trusting().await;
        rogue.reply("GET", PLACE, ocs(200, bad.clone()));
        leave(&server, &origin(&rogue), GREATEST).await;
        advance(&server).await;
        let state = state(&server, &rogue.provider).await;
        assert_eq!(
            (&state["state"], &state["done"]),
            (&json!("they-ask"), &Value::Null),
            "{bad}"
        );
        assert_eq!(state["last_error"]["code"], "peer-bad-answer");
        assert_eq!(read_book(&server, "REPORT", "system", "").await.status(), 401);
    }
}

#[actix_web::test]
async fn t44_no_failure_tells_the_log_the_token_in_the_query() {
    let server = TestServer::start_with(|config| config.limits.peer_timeout = Span::seconds(1)).await;
    let (silent, breaks) = (Rogue::start().await, Rogue::start().await);
    silent.behave("GET", PLACE, Manner::Silent);
    breaks.behave("GET", PLACE, Manner::Floods);
    let client = Client::new(&server.config, names(&[("private.example", &["10.0.0.1"])])).unwrap();
    let nobody = Trap::at("127.0.0.1").provider.clone();
    for place in [
        "https://nobody.example".to_owned(),
        "https://private.example".to_owned(),
        // There is nobody any more, and nobody who speaks TLS.
        format!("http://{nobody}"),
        format!("https://{}", silent.provider),
        origin(&silent),
        origin(&breaks),
    ] {
        let url = format!("{place}{PLACE}?token=canary").parse().unwrap();
        let error = client.send(Outbound::get(url), MAX_ANSWER).await.unwrap_err();
        let logged = format!("{error} {} {error:?}", error.causes());
        assert!(!logged.contains("canary"), "{logged}");
    }
}
