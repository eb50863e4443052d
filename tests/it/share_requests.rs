//! Asking for a share (_Request for a Share_), both ways: who may ask whom, what an asker learns, how an owner answers.

use std::time::Duration;

use futures_util::future::join_all;
use ocmesh::api::Call;
use ocmesh::config::Config;
use ocmesh::config::Mode;
use ocmesh::config::Span;
use ocmesh::error::Error;
use ocmesh::error::Reason;
use ocmesh::ocm::address::OcmAddress;
use ocmesh::ocm::share_request::ShareRequest;
use serde_json::Value;
use serde_json::json;

use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::everything;
use crate::harness::mode;
use crate::harness::post_raw;
use crate::web::Browser;

const REQUEST_SHARE: &str = "/ocm/request-share";
const WEEK: Duration = Duration::from_secs(7 * 24 * 3600);

/// What others ask this user for.
async fn inbox(server: &TestServer, user: &str) -> Vec<Value> {
    list(server, user, false).await
}

/// What this user has asked others for.
async fn asked(server: &TestServer, user: &str) -> Vec<Value> {
    list(server, user, true).await
}

async fn list(server: &TestServer, user: &str, sent: bool) -> Vec<Value> {
    let user = Some(user.to_owned());
    let rows = server.call(Call::RequestList { user, sent }).await.unwrap();
    rows.as_array().unwrap().clone()
}

async fn ask(server: &TestServer, user: &str, owner: &str, what: &str) -> Result<Value, Error> {
    let call = Call::RequestSend {
        user: Some(user.to_owned()),
        owner: owner.to_owned(),
        what: what.to_owned(),
    };
    server.call(call).await
}

async fn grant(server: &TestServer, user: Option<&str>, id: &Value, path: &str) -> Result<Value, Error> {
    let call = Call::RequestGrant {
        user: user.map(str::to_owned),
        id: id.as_str().unwrap().to_owned(),
        path: path.to_owned(),
        write: false,
        until: None,
    };
    server.call(call).await
}

async fn decline(server: &TestServer, user: Option<&str>, id: &Value) -> Result<Value, Error> {
    let (user, id) = (user.map(str::to_owned), id.as_str().unwrap().to_owned());
    server.call(Call::RequestDecline { user, id }).await
}

async fn close(server: &TestServer, user: Option<&str>, id: &Value) -> Result<Value, Error> {
    let (user, id) = (user.map(str::to_owned), id.as_str().unwrap().to_owned());
    server.call(Call::RequestClose { user, id }).await
}

/// A server with Ada, and a peer whose Eve is her contact.
async fn acquainted() -> (TestServer, Rogue) {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    (server, rogue)
}

fn request(server: &TestServer, owner: &str, share_with: &str, share: &str) -> Value {
    json!({ "owner": server.address(owner), "shareWith": share_with, "share": share })
}

/// Eve asks Ada for something, a second later than she did last; gives the status.
async fn eve_asks(rogue: &Rogue, server: &TestServer, what: &str) -> u16 {
    server.clock.step(Duration::from_secs(1));
    let request = request(server, "ada", &rogue.address("eve"), what);
    rogue.post(server, REQUEST_SHARE, &request).await.status().as_u16()
}

/// The rogue's discovery document without the capability to sign.
fn signs_nothing(rogue: &Rogue) {
    let mut discovery = rogue.discovery();
    discovery["capabilities"] = json!(["exchange-token", "invites", "notifications", "protocol-object"]);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, discovery));
}

#[actix_web::test]
async fn req_1_what_is_asked_for_is_granted_and_arrives_as_a_share() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "docs/report.txt", "hello").await;
    let sent = ask(&pair.b, "bob", &pair.a.address("ada"), "docs/report.txt")
        .await
        .unwrap();
    assert_eq!(sent["state"], "waiting");
    assert!(
        inbox(&pair.a, "ada").await.is_empty(),
        "nothing goes out before it is due"
    );
    pair.b.deliver().await;
    assert_eq!(asked(&pair.b, "bob").await[0]["state"], "delivered");
    assert!(pair.b.queue().await.is_empty());

    let [request] = &inbox(&pair.a, "ada").await[..] else {
        panic!("one request");
    };
    assert_eq!(
        (&request["state"], &request["what"], &request["path"]),
        (&"open".into(), &"docs/report.txt".into(), &"docs/report.txt".into())
    );
    assert_eq!(request["from"], pair.b.address("bob"));
    assert!(pair.a.sent("ada").await.is_empty(), "asking opens nothing");

    let granted = grant(&pair.a, Some("ada"), &request["id"], "docs/report.txt")
        .await
        .unwrap();
    assert_eq!(granted["state"], "granted");
    assert_eq!(granted["share"], pair.a.sent("ada").await[0]["id"]);
    pair.a.deliver().await;
    let [share] = &pair.b.received("bob").await[..] else {
        panic!("one share");
    };
    assert_eq!(
        (&share["name"], &share["sender"]),
        (&"report.txt".into(), &pair.a.address("ada").into())
    );
    assert_eq!(asked(&pair.b, "bob").await[0]["shares"], json!([share["id"]]));
    // Once.
    let again = grant(&pair.a, Some("ada"), &request["id"], "docs/report.txt").await;
    assert_eq!(again.unwrap_err().reason(), Reason::Conflict);
    let declined = decline(&pair.a, None, &request["id"]).await;
    assert_eq!(declined.unwrap_err().reason(), Reason::Conflict);
    assert_eq!(pair.a.sent("ada").await.len(), 1);
    close(&pair.b, None, &sent["id"]).await.unwrap();
    assert_eq!(asked(&pair.b, "bob").await[0]["state"], "closed");
}

#[actix_web::test]
async fn req_1_what_we_send_is_three_fields_and_signed() {
    let (server, rogue) = acquainted().await;
    ask(&server, "ada", &rogue.address("eve"), "  the report  ")
        .await
        .unwrap();
    server.deliver().await;
    let [seen] = &rogue.seen_at(REQUEST_SHARE)[..] else {
        panic!("one message");
    };
    let expected = json!({
        "owner": rogue.address("eve"),
        "shareWith": server.address("ada"),
        "share": "the report",
    });
    assert_eq!(seen.json(), expected);
    assert!(seen.headers["signature-input"].contains(";tag=\"ocm\""));
    assert_eq!(seen.headers["content-type"], "application/json");
}

#[actix_web::test]
async fn a_request_is_granted_with_one_share_however_often_that_is_tried_at_once() {
    let (server, rogue) = acquainted().await;
    server.put_file("ada", "a.txt", "a").await;
    assert_eq!(eve_asks(&rogue, &server, "a.txt").await, 201);
    let id = inbox(&server, "ada").await[0]["id"].clone();
    let outcomes = join_all((0..4).map(|_| grant(&server, None, &id, "a.txt"))).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    let sent = server.sent("ada").await;
    assert_eq!(sent.len(), 1);
    assert_eq!(inbox(&server, "ada").await[0]["share"], sent[0]["id"]);
    server.deliver().await;
    assert_eq!(rogue.seen_at("/ocm/shares").len(), 1);
}

#[actix_web::test]
async fn a_grant_that_leads_to_no_share_leaves_the_request_open() {
    let (server, rogue) = acquainted().await;
    server.put_file("ada", "a.txt", "a").await;
    assert_eq!(eve_asks(&rogue, &server, "a.txt").await, 201);
    let id = inbox(&server, "ada").await[0]["id"].clone();
    let refused = grant(&server, None, &id, "nowhere.txt").await;
    assert_eq!(refused.unwrap_err().reason(), Reason::NotFound);
    server.rule(&rogue.provider.to_string(), false).await;
    let refused = grant(&server, None, &id, "a.txt").await;
    assert_eq!(refused.unwrap_err().reason(), Reason::WeRefuseThem);
    assert_eq!(inbox(&server, "ada").await[0]["state"], "open");
    assert!(server.sent("ada").await.is_empty());
}

#[actix_web::test]
async fn req_0_an_unsigned_request_is_refused_where_other_messages_are_taken_unsigned() {
    let server = TestServer::start_with(|config| config.federation.mode = Mode::Open).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    server.rule(&rogue.provider.to_string(), true).await;
    signs_nothing(&rogue);
    let unsigned = async |path: &str, body: Value| {
        let body = body.to_string().into_bytes();
        let answer = post_raw(&server, path, "application/json", body, &[]).await;
        answer.status().as_u16()
    };
    let share = rogue.share_for(&server, "ada", "1");
    assert_eq!(
        unsigned("/ocm/shares", share).await,
        201,
        "that is the operator's choice"
    );
    for owner in ["ada", "nobody"] {
        let request = request(&server, owner, &rogue.address("eve"), "a.txt");
        assert_eq!(unsigned(REQUEST_SHARE, request).await, 401);
    }
    assert_eq!(unsigned(REQUEST_SHARE, json!({})).await, 401);
    assert!(inbox(&server, "ada").await.is_empty());
}

#[actix_web::test]
async fn req_0_a_request_is_never_sent_to_a_server_that_does_not_sign() {
    let (server, rogue) = acquainted().await;
    // It may show only later.
    ask(&server, "ada", &rogue.address("eve"), "a.txt").await.unwrap();
    signs_nothing(&rogue);
    server.site().peers.forget(&rogue.provider);
    server.deliver().await;
    let row = &asked(&server, "ada").await[0];
    assert_eq!(row["state"], "refused");
    assert_eq!(row["last_error"]["code"], "peer-unsupported");
    assert!(
        row["last_error"]["message"]
            .as_str()
            .unwrap()
            .contains("Ask the person")
    );
    // Now it is known.
    let refused = ask(&server, "ada", &rogue.address("eve"), "b.txt").await.unwrap_err();
    assert_eq!(refused.reason(), Reason::TheyCannotTakeThis);
    assert!(refused.message().contains("Ask the person"), "{refused}");
    assert!(rogue.seen_at(REQUEST_SHARE).is_empty());
}

#[actix_web::test]
async fn only_contacts_are_asked_and_nobody_else_is_so_much_as_looked_up() {
    let (server, rogue) = acquainted().await;
    let stranger = Rogue::start().await;
    rogue.forget_seen();
    server.site().peers.forget(&rogue.provider);
    let refused = async |owner: &str| ask(&server, "ada", owner, "a.txt").await.unwrap_err();
    let other = refused(&rogue.address("mallory")).await;
    assert_eq!((other.reason(), other.field()), (Reason::NotAllowed, Some("owner")));
    assert_eq!(refused(&stranger.address("eve")).await.reason(), Reason::WeRefuseThem);
    assert_eq!(refused(&server.address("ada")).await.reason(), Reason::OwnServer);
    assert_eq!(refused("nonsense").await.field(), Some("owner"));
    assert!(rogue.seen().is_empty() && stranger.seen().is_empty());
    // An admin's rule opens the server without an invite.
    server.rule(&stranger.provider.to_string(), true).await;
    ask(&server, "ada", &stranger.address("eve"), "a.txt").await.unwrap();
    server.deliver().await;
    assert_eq!(stranger.seen_at(REQUEST_SHARE).len(), 1);
}

#[actix_web::test]
async fn t13_only_the_server_of_the_one_who_wants_it_may_sign() {
    let (server, rogue) = acquainted().await;
    let other = Rogue::start().await;
    other.befriend(&server, "ada").await;
    let host = rogue.provider.host();
    for share_with in [
        other.address("eve"),
        format!("eve@{host}"),
        format!("eve@{host}:1"),
        "eve@x.example".to_owned(),
        server.address("ada"),
    ] {
        let answer = rogue
            .post(&server, REQUEST_SHARE, &request(&server, "ada", &share_with, "a.txt"))
            .await;
        assert_eq!(answer.status(), 401, "{share_with}");
        assert_eq!(answer.text().await.unwrap(), r#"{"message":"SIGNATURE_INVALID"}"#);
    }
    assert!(inbox(&server, "ada").await.is_empty());
    // INC-32: the function that both entrances share does not rely on the first.
    let forged = ShareRequest::new(
        OcmAddress::parse(&server.address("ada")).unwrap(),
        OcmAddress::parse(&rogue.address("eve")).unwrap(),
        "a.txt",
    )
    .unwrap();
    let now = server.clock.now();
    let refused = server.site().requests.receive(&other.provider, &forged, now).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::SignerMismatch);
    assert_eq!(eve_asks(&rogue, &server, "a.txt").await, 201);
}

#[actix_web::test]
async fn t36_a_stranger_gets_the_same_answer_whoever_is_asked() {
    let (server, rogue) = acquainted().await;
    server.user("bob").await;
    let stranger = Rogue::start().await;
    let answer = async |rogue: &Rogue, asker: &str, owner: &str| {
        let request = request(&server, owner, &rogue.address(asker), "a.txt");
        everything(rogue.post(&server, REQUEST_SHARE, &request).await).await
    };
    // A server that nobody has traded an invite with; and somebody unknown at one that somebody has.
    for (from, asker) in [(&stranger, "eve"), (&rogue, "mallory")] {
        let there = answer(from, asker, "ada").await;
        assert!(there.starts_with("403"), "{there}");
        for owner in ["bob", "nobody", "ADA", "x".repeat(200).as_str()] {
            assert_eq!(answer(from, asker, owner).await, there, "{owner}");
        }
    }
    // Eve is Ada's contact, not Bob's: to her he is no more here than nobody is.
    assert_eq!(
        answer(&rogue, "eve", "bob").await,
        answer(&rogue, "eve", "nobody").await
    );
    let removed = Call::ContactRemove {
        user: Some("ada".to_owned()),
        address: rogue.address("eve"),
        parting: Default::default(),
    };
    server.call(removed).await.unwrap();
    assert!(answer(&rogue, "eve", "ada").await.starts_with("403"));
    assert!(inbox(&server, "ada").await.is_empty() && inbox(&server, "bob").await.is_empty());
}

#[actix_web::test]
async fn req_1_the_codes_of_the_answers_d08() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let post = async |owner: &str| {
        let body = json!({ "owner": owner, "shareWith": rogue.address("eve"), "share": "a.txt" });
        let answer = rogue.post(&server, REQUEST_SHARE, &body).await;
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let not_found = (404, r#"{"message":"NOT_FOUND"}"#.to_owned());
    assert_eq!(post(&server.address("nobody")).await, not_found);
    assert_eq!(post("ada@elsewhere.example").await, not_found);
    assert_eq!(post("ada").await.0, 400);
    assert_eq!(post(&server.address("ADA")).await, (201, "{}".to_owned()));
    server.rule(&rogue.provider.to_string(), false).await;
    assert_eq!(post(&server.address("ada")).await.0, 403);
    let get = crate::harness::http()
        .get(server.url(REQUEST_SHARE))
        .send()
        .await
        .unwrap();
    assert!(matches!(get.status().as_u16(), 404 | 405));
}

#[actix_web::test]
async fn what_is_asked_for_makes_no_difference_to_the_answer() {
    let (server, rogue) = acquainted().await;
    server.put_file("ada", "secret-plan.txt", "x").await;
    let answer = async |what: &str| {
        server.clock.step(Duration::from_secs(1));
        let request = request(&server, "ada", &rogue.address("eve"), what);
        everything(rogue.post(&server, REQUEST_SHARE, &request).await).await
    };
    let there = answer("secret-plan.txt").await;
    for what in ["no-such-plan.txt", "../../etc/passwd", "12345", "secret-plan.txt"] {
        assert_eq!(answer(what).await, there, "{what}");
    }
}

#[actix_web::test]
async fn t28_fields_have_limits_and_the_answer_names_the_field() {
    let (server, rogue) = acquainted().await;
    let good = request(&server, "ada", &rogue.address("eve"), "a.txt");
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        body.to_string()
    };
    let long = "x".repeat(1025);
    for (field, body) in [
        ("share", with("share", Value::Null)),
        ("share", with("share", json!(""))),
        ("share", with("share", json!(long))),
        ("share", with("share", json!("a\u{0}b"))),
        ("share", with("share", json!("a\r\nb"))),
        ("share", with("share", json!({}))),
        ("owner", with("owner", Value::Null)),
        ("owner", with("owner", json!("ada"))),
        ("owner", with("owner", json!(format!("{long}@{}", server.provider())))),
        (
            "owner",
            with("owner", json!(format!("a\u{202e}da@{}", server.provider()))),
        ),
        ("shareWith", with("shareWith", json!(7))),
        (
            "shareWith",
            with("shareWith", json!(format!("{long}@{}", rogue.provider))),
        ),
        ("body", good.to_string().replacen('{', "{\"share\":\"x\",", 1)),
        ("body", "[]".to_owned()),
    ] {
        let bytes = body.clone().into_bytes();
        let answer = rogue
            .post_bytes(&server, REQUEST_SHARE, "application/json", bytes, &rogue.key)
            .await;
        assert_eq!(answer.status(), 400, "{body}");
        let said: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(said["validationErrors"][0]["name"], field, "{body}");
    }
    assert!(inbox(&server, "ada").await.is_empty());
    // As long as may be, and each byte twice as long where it is kept.
    assert_eq!(eve_asks(&rogue, &server, &"\"".repeat(1024)).await, 201);
    assert_eq!(inbox(&server, "ada").await.len(), 1);
    let refused = ask(&server, "ada", &rogue.address("eve"), &long).await.unwrap_err();
    assert_eq!((refused.reason(), refused.field()), (Reason::Invalid, Some("what")));
    let refused = ask(&server, "ada", &rogue.address("eve"), " ").await.unwrap_err();
    assert_eq!(
        (refused.reason(), refused.field()),
        (Reason::MissingField, Some("what"))
    );
}

#[actix_web::test]
async fn t37_one_asker_has_room_for_twenty_open_requests() {
    let (server, rogue) = acquainted().await;
    for number in 0..20 {
        assert_eq!(eve_asks(&rogue, &server, &number.to_string()).await, 201);
    }
    let request = request(&server, "ada", &rogue.address("eve"), "one more");
    let answer = rogue.post(&server, REQUEST_SHARE, &request).await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.headers()["retry-after"], "3600");
    assert_eq!(eve_asks(&rogue, &server, "7").await, 201, "this one is there already");
    assert_eq!(inbox(&server, "ada").await.len(), 20);
    let one = inbox(&server, "ada").await[3]["id"].clone();
    decline(&server, None, &one).await.unwrap();
    assert_eq!(
        eve_asks(&rogue, &server, "one more").await,
        201,
        "a decision makes room"
    );
    assert_eq!(eve_asks(&rogue, &server, "another").await, 503);
}

#[actix_web::test]
async fn t37_made_up_askers_of_one_server_do_not_fill_an_inbox_and_all_servers_together_have_an_end() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let from = async |host: &str, number: usize| {
        let request = ShareRequest::new(
            OcmAddress::parse(&server.address("ada")).unwrap(),
            OcmAddress::parse(&format!("eve{number}@{host}")).unwrap(),
            "a.txt",
        )
        .unwrap();
        let signer = request.share_with.provider.clone();
        let taken = server.site().requests.receive(&signer, &request, server.clock.now());
        taken.await.map_err(|error| error.reason())
    };
    let taken = async |host: &str, many: usize| {
        let mut taken = 0;
        for number in 0..many {
            match from(host, number).await {
                Ok(_) => taken += 1,
                Err(reason) => assert_eq!(reason, Reason::Busy),
            }
        }
        taken
    };
    assert_eq!(taken("a.example", 205).await, 200);
    assert_eq!(taken("b.example", 205).await, 200);
    assert_eq!(taken("c.example", 105).await, 100);
    assert_eq!(from("d.example", 1).await.unwrap_err(), Reason::Busy);
    assert_eq!(server.site().requests.waiting("ada").await.unwrap(), 500);
}

#[actix_web::test]
async fn t37_we_ask_nobody_for_more_than_they_would_take() {
    let (server, rogue) = acquainted().await;
    let eve = rogue.address("eve");
    for number in 0..20 {
        ask(&server, "ada", &eve, &number.to_string()).await.unwrap();
    }
    let refused = ask(&server, "ada", &eve, "one more").await.unwrap_err();
    assert_eq!(refused.reason(), Reason::Conflict);
    let one = asked(&server, "ada").await[0]["id"].clone();
    close(&server, None, &one).await.unwrap();
    ask(&server, "ada", &eve, "one more").await.unwrap();
    server.deliver().await;
    assert_eq!(rogue.seen_at(REQUEST_SHARE).len(), 20);
}

#[actix_web::test]
async fn the_same_request_again_is_the_same_request_and_a_decision_stands() {
    let (server, rogue) = acquainted().await;
    server.put_file("ada", "a.txt", "a").await;
    let states = async || {
        let rows = inbox(&server, "ada").await;
        rows.iter()
            .map(|row| row["state"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let again = async || {
        assert_eq!(eve_asks(&rogue, &server, "a.txt").await, 201);
    };
    again().await;
    let first = inbox(&server, "ada").await[0].clone();
    again().await;
    assert_eq!(inbox(&server, "ada").await, std::slice::from_ref(&first));
    decline(&server, None, &first["id"]).await.unwrap();
    assert_eq!(decline(&server, None, &first["id"]).await.unwrap()["state"], "declined");
    again().await;
    assert_eq!(states().await, ["declined"], "a late copy undoes nothing");
    assert!(server.queue().await.is_empty(), "declining tells nobody");
    // Long after, it is a new wish.
    server.clock.step(WEEK);
    again().await;
    assert_eq!(states().await, ["open"]);
    grant(&server, None, &first["id"], "a.txt").await.unwrap();
    again().await;
    assert_eq!(states().await, ["granted"]);
    // What was declined may be granted after all.
    assert_eq!(eve_asks(&rogue, &server, "b").await, 201);
    let second = inbox(&server, "ada").await.pop().unwrap();
    decline(&server, None, &second["id"]).await.unwrap();
    grant(&server, None, &second["id"], "a.txt").await.unwrap();
    assert_eq!(states().await, ["granted", "granted"]);
}

#[actix_web::test]
async fn asking_twice_sends_one_message_and_asking_after_a_refusal_another() {
    let (server, rogue) = acquainted().await;
    let eve = rogue.address("eve");
    let first = ask(&server, "ada", &eve, "a.txt").await.unwrap();
    assert_eq!(ask(&server, "ada", &eve, "a.txt").await.unwrap()["id"], first["id"]);
    server.deliver().await;
    assert_eq!(ask(&server, "ada", &eve, "a.txt").await.unwrap()["state"], "delivered");
    server.deliver().await;
    assert_eq!(rogue.seen_at(REQUEST_SHARE).len(), 1);
    rogue.reply("POST", REQUEST_SHARE, Reply::json(403, json!({ "message": "NO" })));
    close(&server, None, &first["id"]).await.unwrap();
    ask(&server, "ada", &eve, "a.txt").await.unwrap();
    server.deliver().await;
    assert_eq!(asked(&server, "ada").await[0]["state"], "refused");
    assert_eq!(server.queue().await.len(), 1, "it can still be tried again by hand");
    rogue.reply("POST", REQUEST_SHARE, Reply::json(201, json!({})));
    assert_eq!(ask(&server, "ada", &eve, "a.txt").await.unwrap()["id"], first["id"]);
    server.deliver().await;
    assert_eq!(rogue.seen_at(REQUEST_SHARE).len(), 3);
    let rows = asked(&server, "ada").await;
    assert_eq!((rows.len(), &rows[0]["state"]), (1, &"delivered".into()));
    assert!(rows[0]["last_error"].is_null() && server.queue().await.is_empty());
}

#[actix_web::test]
async fn a_request_that_does_not_arrive_is_kept_and_tried_again_until_it_is_given_up() {
    let server = TestServer::start_with(|config: &mut Config| {
        config.shares.delivery_retry = vec![Span::seconds(10), Span::seconds(60)];
    })
    .await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    rogue.reply("POST", REQUEST_SHARE, Reply::json(503, json!({ "message": "FULL" })));
    let id = ask(&server, "ada", &rogue.address("eve"), "a.txt").await.unwrap()["id"].clone();
    assert_eq!(server.deliver().await, 1);
    let row = asked(&server, "ada").await[0].clone();
    assert_eq!(
        (&row["state"], &row["last_error"]["code"]),
        (&"waiting".into(), &"busy".into())
    );
    let server = server.restart().await;
    assert_eq!(server.deliver().await, 0, "not before its time");
    server.clock.step(Duration::from_secs(30));
    assert_eq!(server.deliver().await, 1);
    server.clock.step(Duration::from_secs(120));
    assert_eq!(server.deliver().await, 1);
    assert_eq!(asked(&server, "ada").await[0]["state"], "failed");
    server.clock.step(Duration::from_secs(3600));
    assert_eq!(server.deliver().await, 0);

    rogue.reply("POST", REQUEST_SHARE, Reply::json(201, json!({})));
    let delivery = server.queue().await[0].clone();
    assert_eq!((&delivery["what"], &delivery["share"]), (&"request".into(), &id));
    let retry = Call::QueueRetry {
        id: delivery["id"].as_str().unwrap().to_owned(),
    };
    server.call(retry).await.unwrap();
    server.deliver().await;
    let row = asked(&server, "ada").await[0].clone();
    assert_eq!((&row["state"], &row["last_error"]), (&"delivered".into(), &Value::Null));
    assert!(server.queue().await.is_empty());
    assert_eq!(rogue.seen_at(REQUEST_SHARE).len(), 4);
}

#[actix_web::test]
async fn a_server_that_knows_nothing_of_requests_is_not_asked_again() {
    for status in [404, 405, 501] {
        let (server, rogue) = acquainted().await;
        rogue.reply("POST", REQUEST_SHARE, Reply::json(status, json!({})));
        ask(&server, "ada", &rogue.address("eve"), "a.txt").await.unwrap();
        server.deliver().await;
        server.clock.step(Duration::from_secs(24 * 3600));
        server.deliver().await;
        assert_eq!(rogue.seen_at(REQUEST_SHARE).len(), 1, "{status}");
        let row = &asked(&server, "ada").await[0];
        assert_eq!(
            (&row["state"], &row["last_error"]["code"]),
            (&"refused".into(), &"peer-unsupported".into())
        );
        assert!(
            row["last_error"]["message"]
                .as_str()
                .unwrap()
                .contains("Ask the person")
        );
    }
}

#[actix_web::test]
async fn a_closed_or_dropped_request_is_not_sent() {
    let (server, rogue) = acquainted().await;
    let closed = ask(&server, "ada", &rogue.address("eve"), "a").await.unwrap();
    close(&server, Some("ada"), &closed["id"]).await.unwrap();
    server.clock.step(Duration::from_secs(1));
    ask(&server, "ada", &rogue.address("eve"), "b").await.unwrap();
    let id = server.queue().await[0]["id"].as_str().unwrap().to_owned();
    server.call(Call::QueueDrop { id }).await.unwrap();
    assert_eq!(server.deliver().await, 0);
    assert!(rogue.seen_at(REQUEST_SHARE).is_empty() && server.queue().await.is_empty());
    let rows = asked(&server, "ada").await;
    let states: Vec<_> = rows.iter().map(|row| row["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["closed", "failed"]);
}

#[actix_web::test]
async fn another_users_requests_can_be_neither_seen_nor_decided_upon() {
    let (server, rogue) = acquainted().await;
    server.user("mallory").await;
    server.put_file("mallory", "a.txt", "m").await;
    assert_eq!(eve_asks(&rogue, &server, "a.txt").await, 201);
    let received = inbox(&server, "ada").await[0]["id"].clone();
    let sent = ask(&server, "ada", &rogue.address("eve"), "b.txt").await.unwrap()["id"].clone();
    assert!(inbox(&server, "mallory").await.is_empty() && asked(&server, "mallory").await.is_empty());
    let mallory = Some("mallory");
    for outcome in [
        grant(&server, mallory, &received, "a.txt").await,
        decline(&server, mallory, &received).await,
        close(&server, mallory, &sent).await,
        grant(&server, mallory, &json!("1"), "a.txt").await,
    ] {
        let refused = outcome.unwrap_err();
        assert_eq!(
            (refused.reason(), refused.message()),
            (Reason::NotFound, "There is no such request.")
        );
    }
    let (received, sent) = (received.as_str().unwrap(), sent.as_str().unwrap());
    let mut browser = Browser::signed_in(&server, "mallory").await;
    assert!(!browser.get("/requests").await.has("a.txt"));
    assert!(!browser.get("/requests/sent").await.has("b.txt"));
    let form = format!("/shares/new?request={received}");
    assert!(!browser.get(&form).await.expect_status(404).has("a.txt"));
    let (eve, path) = (rogue.address("eve"), ("path", "a.txt"));
    let fields = [path, ("contact", &*eve), ("request", received)];
    browser.post("/shares/new", &fields).await.expect_status(404);
    for path in [
        format!("/requests/{received}/decline"),
        format!("/requests/sent/{sent}/close"),
        format!("/requests/sent/{sent}/retry"),
    ] {
        browser.post(&path, &[]).await.expect_status(404);
    }
    assert_eq!(inbox(&server, "ada").await[0]["state"], "open");
    assert_eq!(asked(&server, "ada").await[0]["state"], "waiting");
    assert!(server.sent("mallory").await.is_empty());
}

#[actix_web::test]
async fn what_is_meant_is_found_for_the_owner_among_the_owners_files_only() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "docs/a b.txt", "hello").await;
    pair.a.user("carl").await;
    pair.a.put_file("carl", "secret.txt", "hello").await;
    let own = pair
        .a
        .share("ada", "docs", &pair.b.address("bob"), false)
        .await
        .unwrap();
    let carls = pair
        .a
        .share("carl", "secret.txt", &pair.b.address("bob"), false)
        .await
        .unwrap();
    let (own, carls) = (own["id"].as_str().unwrap(), carls["id"].as_str().unwrap());
    let meant = async |what: String| {
        let meant = pair.a.site().requests.meant("ada", &what).await.unwrap();
        meant.map(|path| path.to_string())
    };
    let file = Some("docs/a b.txt".to_owned());
    assert_eq!(meant(own.to_owned()).await.as_deref(), Some("docs"));
    assert_eq!(meant("docs/a b.txt".to_owned()).await, file);
    assert_eq!(meant("/docs/a b.txt".to_owned()).await, file);
    assert_eq!(meant(pair.a.url("/files/docs/a%20b.txt")).await, file);
    assert_eq!(meant(pair.a.url(&format!("/dav/ocm/{own}/a%20b.txt"))).await, file);
    assert_eq!(meant(format!("/dav/ocm/{own}")).await.as_deref(), Some("docs"));
    for nothing in [
        carls.to_owned(),
        pair.a.url(&format!("/dav/ocm/{carls}")),
        "secret.txt".to_owned(),
        "docs/../docs".to_owned(),
        "../carl/secret.txt".to_owned(),
        "nowhere.txt".to_owned(),
        "/".to_owned(),
        pair.b.url("/files/docs/a%20b.txt"),
        pair.a.url("/files/nowhere"),
        "https://".to_owned(),
    ] {
        assert_eq!(meant(nothing.clone()).await, None, "{nothing}");
    }
}

#[actix_web::test]
async fn a_request_is_sent_answered_and_closed_by_pages_alone() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "docs/report.txt", "hello").await;
    let mut bob = Browser::signed_in(&pair.b, "bob").await;
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let ada_address = pair.a.address("ada");
    let contact = format!("/contacts/{}", ada_address.replace('@', "%40").replace(':', "%3A"));
    let to_form = bob.get(&contact).await.between("href=\"/requests/new", "\"");
    bob.get(&format!("/requests/new{to_form}"))
        .await
        .expect(&format!("value=\"{ada_address}\" checked"));
    let wish = [("contact", &*ada_address), ("owner", ""), ("what", "")];
    bob.post("/requests/new", &wish)
        .await
        .expect_status(400)
        .expect("href=\"#what\"");
    let wish = [("contact", &*ada_address), ("what", "docs/report.txt")];
    assert_eq!(bob.post("/requests/new", &wish).await.location(), "/requests/sent");
    bob.get("/requests/sent").await.expect("On its way");
    assert!(!ada.get("/home").await.has("/requests\">One"));
    pair.b.deliver().await;
    bob.get("/requests/sent").await.expect("Delivered");

    ada.get("/home")
        .await
        .expect("<a href=\"/requests\">1 request for your files</a>");
    let seen = ada.get("/requests").await;
    seen.expect("docs/report.txt")
        .expect("BOB of the tests")
        .expect("To decide");
    let id = seen.between("/shares/new?request=", "\"");
    let form = ada.get(&format!("/shares/new?request={id}")).await;
    assert_eq!(form.between("name=\"contact\" value=\"", "\""), pair.b.address("bob"));
    assert_eq!(form.between("name=\"path\" value=\"", "\""), "docs/report.txt");
    // The form answers whom it says that it answers, and says what is wrong with a path.
    let (bob_address, request) = (pair.b.address("bob"), ("request", id.as_str()));
    let other = format!("carol@{}", pair.b.provider());
    let fields = [("path", "docs/report.txt"), ("contact", &*other), request];
    ada.post("/shares/new", &fields).await.expect_status(400);
    for bad in ["../x", "nowhere"] {
        let fields = [("path", bad), ("contact", &*bob_address), request];
        let again = ada.post("/shares/new", &fields).await;
        assert!(matches!(again.status, 400 | 404), "{}", again.status);
        assert_eq!(again.between("name=\"path\" value=\"", "\""), bad);
    }
    assert!(pair.a.sent("ada").await.is_empty());
    let fields = [("path", "docs/report.txt"), ("contact", &*bob_address), request];
    let share = ada.post("/shares/new", &fields).await.location().to_owned();
    assert_eq!(inbox(&pair.a, "ada").await[0]["state"], "granted");
    ada.get("/requests").await.expect(&format!("href=\"{share}\""));
    assert!(!ada.get("/home").await.has("request for your files"));
    ada.post("/shares/new", &fields).await.expect_status(409);
    ada.post(&format!("/requests/{id}/decline"), &[])
        .await
        .expect_status(409);

    pair.a.deliver().await;
    let received = pair.b.received("bob").await[0]["id"].as_str().unwrap().to_owned();
    let seen = bob.get("/requests/sent").await;
    seen.expect(&format!("<a href=\"/shares/received/{received}\"><bdi>report.txt"));
    let mine = asked(&pair.b, "bob").await[0]["id"].as_str().unwrap().to_owned();
    bob.post(&format!("/requests/sent/{mine}/close"), &[])
        .await
        .expect_status(303);
    bob.get("/requests/sent").await.expect("Closed");
}

#[actix_web::test]
async fn a_request_is_declined_and_tried_again_by_pages() {
    let (server, rogue) = acquainted().await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    for what in ["a", "b"] {
        assert_eq!(eve_asks(&rogue, &server, what).await, 201);
    }
    ada.get("/home").await.expect("2 requests for your files</a>");
    let id = inbox(&server, "ada").await[0]["id"].as_str().unwrap().to_owned();
    ada.post(&format!("/requests/{id}/decline"), &[])
        .await
        .expect_status(303);
    let seen = ada.get("/requests").await;
    seen.expect("Declined").expect("Share…");
    assert!(server.queue().await.is_empty() && rogue.seen_at(REQUEST_SHARE).is_empty());

    rogue.reply(
        "POST",
        REQUEST_SHARE,
        Reply::json(403, json!({ "message": "<b>no</b>" })),
    );
    ask(&server, "ada", &rogue.address("eve"), "c").await.unwrap();
    server.deliver().await;
    let seen = ada.get("/requests/sent").await;
    seen.expect("Refused")
        .expect("they-refuse-us")
        .expect("&#60;b&#62;no&#60;/b&#62;");
    rogue.reply("POST", REQUEST_SHARE, Reply::json(201, json!({})));
    let id = asked(&server, "ada").await[0]["id"].as_str().unwrap().to_owned();
    ada.post(&format!("/requests/sent/{id}/retry"), &[])
        .await
        .expect_status(303);
    server.deliver().await;
    ada.get("/requests/sent").await.expect("Delivered");
}

#[actix_web::test]
async fn t68_whatever_is_asked_for_is_shown_as_text() {
    let (server, rogue) = acquainted().await;
    let payloads = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'><svg/onload=alert(1)>",
        "javascript:alert(1)",
        "{{7*7}}</title><b>",
        "a\u{202e}txt.exe",
    ];
    for payload in payloads {
        assert_eq!(eve_asks(&rogue, &server, payload).await, 201);
        ask(&server, "ada", &rogue.address("eve"), payload).await.unwrap();
    }
    let mut ada = Browser::signed_in(&server, "ada").await;
    let mut pages = vec!["/home".to_owned(), "/requests".to_owned(), "/requests/sent".to_owned()];
    for row in inbox(&server, "ada").await {
        pages.push(format!("/shares/new?request={}", row["id"].as_str().unwrap()));
    }
    for path in &pages {
        let seen = ada.get(path).await;
        seen.expect_status(200);
        for raw in [
            "<script>",
            "<img",
            "<svg/",
            "onerror=alert(1)>",
            "href=\"javascript:",
            "</title><b>",
        ] {
            assert!(!seen.has(raw), "{path} has {raw}");
        }
    }
    for path in ["/requests", "/requests/sent"] {
        let seen = ada.get(path).await;
        seen.expect("&#60;script&#62;alert(1)")
            .expect("<bdi>a\u{202e}txt.exe</bdi>");
    }
}
