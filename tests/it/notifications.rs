//! What servers tell each other about a share later on (_OCM Notifications_): who may say what, what it changes, and that
//! nobody else can find out anything by asking.

use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::config::Mode;
use ocmesh::error::Reason;
use ocmesh::ocm::signature::SigningKey;
use serde_json::Value;
use serde_json::json;

use crate::harness::Pair;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::everything;
use crate::harness::mode;
use crate::harness::post_raw;

const PATH: &str = "/ocm/notifications";
/// Each type that deployed servers know.
const TYPES: [&str; 7] = [
    "SHARE_ACCEPTED",
    "SHARE_DECLINED",
    "SHARE_UNSHARED",
    "REQUEST_RESHARE",
    "RESHARE_UNDO",
    "RESHARE_CHANGE_PERMISSION",
    "USER_REMOVED",
];

fn about(kind: &str, provider_id: &str) -> Value {
    json!({ "notificationType": kind, "providerId": provider_id, "resourceType": "file", "notification": {} })
}

async fn notify(rogue: &Rogue, server: &TestServer, kind: &str, provider_id: &str) -> u16 {
    let answer = rogue.post(server, PATH, &about(kind, provider_id)).await;
    answer.status().as_u16()
}

/// A server with Ada and a file of hers, open to everyone.
async fn sender() -> TestServer {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    server.put_file("ada", "/a.txt", "hello").await;
    server
}

/// Shares Ada's file with the rogue's Eve; gives the `providerId`.
async fn share_with(server: &TestServer, rogue: &Rogue) -> String {
    let sent = server
        .share("ada", "/a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    sent["provider_id"].as_str().unwrap().to_owned()
}

async fn state_of(server: &TestServer, id: &str) -> String {
    let rows = server.sent("ada").await;
    let row = rows.iter().find(|row| row["provider_id"] == id).unwrap();
    row["state"].as_str().unwrap().to_owned()
}

async fn received_state(server: &TestServer, id: &str) -> String {
    let rows = server.received("bob").await;
    let row = rows.iter().find(|row| row["provider_id"] == id).unwrap();
    row["state"].as_str().unwrap().to_owned()
}

#[actix_web::test]
async fn not_2_the_sender_hears_of_each_decision() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "/a.txt", "hello").await;
    let share = async || {
        let sent = pair
            .a
            .share("ada", "/a.txt", &pair.b.address("bob"), false)
            .await
            .unwrap();
        pair.a.deliver().await;
        let id = sent["provider_id"].as_str().unwrap().to_owned();
        let rows = pair.b.received("bob").await;
        let here = rows.iter().find(|row| row["provider_id"] == id.as_str()).unwrap();
        (id, here["id"].as_str().unwrap().to_owned())
    };
    let (accepted, here) = share().await;
    pair.b
        .call(Call::ShareAccept {
            user: None,
            id: here.clone(),
        })
        .await
        .unwrap();
    assert_eq!(
        state_of(&pair.a, &accepted).await,
        "pending",
        "nobody has said anything yet"
    );
    pair.b.deliver().await;
    assert_eq!(state_of(&pair.a, &accepted).await, "accepted");
    // NOT-3: it is given back.
    pair.b.call(Call::ShareLeave { user: None, id: here }).await.unwrap();
    pair.b.deliver().await;
    assert_eq!(state_of(&pair.a, &accepted).await, "left");

    let (declined, here) = share().await;
    pair.b
        .call(Call::ShareDecline {
            user: None,
            id: here.clone(),
        })
        .await
        .unwrap();
    pair.b.deliver().await;
    assert_eq!(state_of(&pair.a, &declined).await, "declined");
    // The sender may have thrown it away: what is declined can't be accepted, or Bob had a share that opens nothing.
    let late = pair.b.call(Call::ShareAccept { user: None, id: here }).await;
    assert_eq!(late.unwrap_err().reason(), Reason::Conflict);

    // NOT-3, the other way: it is taken back.
    let (stopped, here) = share().await;
    pair.b
        .call(Call::ShareAccept {
            user: None,
            id: here.clone(),
        })
        .await
        .unwrap();
    pair.b.deliver().await;
    pair.a
        .call(Call::ShareStop {
            user: None,
            id: stopped.clone(),
        })
        .await
        .unwrap();
    pair.a.deliver().await;
    assert_eq!(received_state(&pair.b, &stopped).await, "gone");
    let gone = pair
        .b
        .call(Call::ShareGet {
            id: here,
            path: "/".to_owned(),
        })
        .await;
    assert!(gone.is_err());
    assert!(pair.a.queue().await.is_empty() && pair.b.queue().await.is_empty());
}

#[actix_web::test]
async fn not_1_what_we_send_has_its_parts_and_our_signature() {
    let server = TestServer::start().await;
    server.user("bob").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "bob").await;
    let share = rogue.share_for(&server, "bob", "a/b 7");
    let mut share = share;
    share["protocol"]["webdav"]["uri"] = json!("7");
    assert_eq!(rogue.post(&server, "/ocm/shares", &share).await.status(), 201);
    let id = server.received("bob").await[0]["id"].as_str().unwrap().to_owned();
    server.call(Call::ShareAccept { user: None, id }).await.unwrap();
    server.deliver().await;
    let seen = rogue.seen_at(PATH);
    assert_eq!(seen.len(), 1);
    assert_eq!(
        seen[0].json(),
        json!({ "notificationType": "SHARE_ACCEPTED", "providerId": "a/b 7", "resourceType": "file", "notification": {} })
    );
    assert!(seen[0].headers["signature-input"].contains("tag=\"ocm\""));
    assert_eq!(seen[0].headers["content-type"], "application/json");
}

#[actix_web::test]
async fn not_1_deployed_ways_to_write_one_are_read() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    for change in [
        |_: &mut Value| {},
        |body: &mut Value| body["providerId"] = json!(body["providerId"].as_str().unwrap().parse::<u64>().unwrap()),
        |body: &mut Value| body["notification"] = json!(null),
        |body: &mut Value| body["notification"] = json!("accepted"),
        |body: &mut Value| drop(body.as_object_mut().unwrap().remove("notification")),
        |body: &mut Value| drop(body.as_object_mut().unwrap().remove("resourceType")),
        |body: &mut Value| body["notification"] = json!({ "sharedSecret": "x", "grantee": "eve", "message": "hi" }),
        |body: &mut Value| body["extra"] = json!([1, 2]),
    ] {
        let id = share_with(&server, &rogue).await;
        let mut body = about("SHARE_ACCEPTED", &id);
        change(&mut body);
        let answer = rogue.post(&server, PATH, &body).await;
        assert_eq!(
            (answer.status().as_u16(), answer.text().await.unwrap().as_str()),
            (201, "{}"),
            "{body}"
        );
        assert_eq!(state_of(&server, &id).await, "accepted", "{body}");
    }
    let id = share_with(&server, &rogue).await;
    for (kind, id, expected) in [
        (json!("SHARE_ACCEPTED"), json!(""), 400),
        (json!("SHARE_ACCEPTED"), json!(null), 400),
        (json!("SHARE_ACCEPTED"), json!([id]), 400),
        (json!(null), json!(id), 400),
        (json!(""), json!(id), 400),
        (json!("share_accepted"), json!(id), 501),
        (json!("ROOM_MODIFIED"), json!(id), 501),
    ] {
        let body = json!({ "notificationType": kind, "providerId": id });
        assert_eq!(rogue.post(&server, PATH, &body).await.status(), expected, "{body}");
    }
    assert_eq!(state_of(&server, &id).await, "pending");
}

#[actix_web::test]
async fn t39_a_third_server_changes_nothing_and_learns_nothing() {
    let server = sender().await;
    server.user("bob").await;
    let (friend, third) = (Rogue::start().await, Rogue::start().await);
    // Both roles: a share with the friend, accepted, and one from it.
    let sent = share_with(&server, &friend).await;
    assert_eq!(notify(&friend, &server, "SHARE_ACCEPTED", &sent).await, 201);
    let from_friend = friend.share_for(&server, "bob", "777");
    assert_eq!(friend.post(&server, "/ocm/shares", &from_friend).await.status(), 201);
    let before = (
        server.sent("ada").await,
        server.received("bob").await,
        server.queue().await,
    );

    for kind in TYPES.into_iter().chain(["SHARE_CHANGE_PERMISSION", "NO_SUCH_TYPE"]) {
        let mut answers = Vec::new();
        for id in [sent.as_str(), "777", "4503599627370496", "no-such-share"] {
            let answer = third.post(&server, PATH, &about(kind, id)).await;
            let status = answer.status().as_u16();
            assert_eq!(status, if kind == "NO_SUCH_TYPE" { 501 } else { 404 }, "{kind} {id}");
            answers.push(everything(answer).await);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{kind}: {answers:#?}");
    }
    let after = (
        server.sent("ada").await,
        server.received("bob").await,
        server.queue().await,
    );
    assert_eq!(before, after);
    // The share still opens to the friend's decision, and to nobody else's.
    assert_eq!(notify(&friend, &server, "SHARE_UNSHARED", &sent).await, 201);
    assert_eq!(state_of(&server, &sent).await, "left");
}

#[actix_web::test]
async fn t13_the_other_party_is_the_server_with_that_very_port() {
    let server = sender().await;
    let friend = Rogue::start().await;
    let id = share_with(&server, &friend).await;
    // Same machine, other port; and another address of it.
    for other in [Rogue::start().await, Rogue::start_at("127.0.0.2").await] {
        assert_eq!(notify(&other, &server, "SHARE_DECLINED", &id).await, 404);
        // Nor by naming the friend's key.
        let body = about("SHARE_DECLINED", &id).to_string().into_bytes();
        let stolen = SigningKey::from_seed(friend.key.kid(), &[4; 32]).unwrap();
        let answer = other.post_bytes(&server, PATH, "application/json", body, &stolen).await;
        assert_eq!(answer.status(), 401);
    }
    assert_eq!(state_of(&server, &id).await, "pending");
}

#[actix_web::test]
async fn not_4_without_a_signature_nothing_is_believed_but_the_secret_of_a_server_that_never_signs() {
    for (require, signs) in [(true, true), (false, true), (false, false)] {
        let server = TestServer::start_with(|config| {
            config.federation.mode = Mode::Open;
            config.federation.require_signatures = require;
        })
        .await;
        server.user("ada").await;
        server.put_file("ada", "/a.txt", "hello").await;
        let rogue = Rogue::start().await;
        server.rule(&rogue.provider.to_string(), true).await;
        if !signs {
            let mut says = rogue.discovery();
            says["capabilities"] = json!(["protocol-object", "notifications"]);
            rogue.reply("GET", "/.well-known/ocm", crate::harness::Reply::json(200, says));
        }
        let id = share_with(&server, &rogue).await;
        server.deliver().await;
        let secret = rogue.seen_at("/ocm/shares")[0].json()["protocol"]["webdav"]["sharedSecret"].clone();
        let say = async |kind: &str, secret: Value| {
            let mut body = about(kind, &id);
            body["notification"]["sharedSecret"] = secret;
            let answer = post_raw(&server, PATH, "application/json", body.to_string().into_bytes(), &[]).await;
            answer.status().as_u16()
        };
        for kind in TYPES {
            for wrong in [json!(null), json!(""), json!("x"), json!(7), json!([secret.clone()])] {
                assert_eq!(say(kind, wrong.clone()).await, 401, "{kind} {wrong}");
            }
        }
        let believed = !require && !signs;
        let expected = if believed { 201 } else { 401 };
        assert_eq!(say("SHARE_ACCEPTED", secret.clone()).await, expected);
        let state = if believed { "accepted" } else { "pending" };
        assert_eq!(state_of(&server, &id).await, state);
        // Nor does the secret speak for another share.
        server.put_file("ada", "/b.txt", "hello").await;
        let mut body = about("SHARE_DECLINED", "1234567");
        body["notification"]["sharedSecret"] = secret;
        let answer = post_raw(&server, PATH, "application/json", body.to_string().into_bytes(), &[]).await;
        assert_eq!(answer.status(), 401);
    }
}

/// What becomes of a sent share when its receiver says this.
fn after(state: &'static str, kind: &str) -> &'static str {
    match (state, kind) {
        ("pending", "SHARE_ACCEPTED") => "accepted",
        ("pending" | "accepted", "SHARE_DECLINED") => "declined",
        ("pending", "SHARE_UNSHARED") => "declined",
        ("accepted", "SHARE_UNSHARED") => "left",
        _ => state,
    }
}

#[actix_web::test]
async fn not_3_t40_every_two_notifications_lead_where_their_order_says() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    for first in TYPES {
        for second in TYPES {
            let id = share_with(&server, &rogue).await;
            let mut state = "pending";
            for kind in [first, second] {
                let known = ["SHARE_ACCEPTED", "SHARE_DECLINED", "SHARE_UNSHARED"].contains(&kind);
                // NOT-6: what has no effect here is said to have none. The same twice is no error.
                server.clock.step(Duration::from_secs(1));
                let expected = if known { 201 } else { 501 };
                assert_eq!(notify(&rogue, &server, kind, &id).await, expected, "{first}, {second}");
                state = after(state, kind);
                assert_eq!(state_of(&server, &id).await, state, "{first}, {second}");
            }
        }
    }
}

#[actix_web::test]
async fn t40_what_was_ended_by_its_owner_stays_so_whatever_comes_late() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    let id = share_with(&server, &rogue).await;
    server.deliver().await;
    server
        .call(Call::ShareStop {
            user: None,
            id: id.clone(),
        })
        .await
        .unwrap();
    for kind in ["SHARE_ACCEPTED", "SHARE_DECLINED", "SHARE_UNSHARED", "SHARE_ACCEPTED"] {
        server.clock.step(Duration::from_secs(1));
        assert_eq!(notify(&rogue, &server, kind, &id).await, 201);
        assert_eq!(state_of(&server, &id).await, "stopped");
    }
    server.deliver().await;
    let told: Vec<_> = rogue
        .seen_at(PATH)
        .iter()
        .map(|seen| seen.json()["notificationType"].clone())
        .collect();
    assert_eq!(told, ["SHARE_UNSHARED"]);
}

#[actix_web::test]
async fn t40_what_the_sender_took_back_stays_gone() {
    let server = TestServer::start().await;
    server.user("bob").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "bob").await;
    // Before and after Bob's decision, whatever that is.
    for (id, decision) in [("1", None), ("2", Some(true)), ("3", Some(false))] {
        let share = rogue.share_for(&server, "bob", id);
        assert_eq!(rogue.post(&server, "/ocm/shares", &share).await.status(), 201);
        let rows = server.received("bob").await;
        let row = rows.iter().find(|row| row["provider_id"] == id).unwrap();
        let here = row["id"].as_str().unwrap().to_owned();
        match decision {
            Some(true) => drop(
                server
                    .call(Call::ShareAccept {
                        user: None,
                        id: here.clone(),
                    })
                    .await
                    .unwrap(),
            ),
            Some(false) => drop(
                server
                    .call(Call::ShareDecline {
                        user: None,
                        id: here.clone(),
                    })
                    .await
                    .unwrap(),
            ),
            None => {}
        }
        server.deliver().await;
        assert_eq!(notify(&rogue, &server, "SHARE_UNSHARED", id).await, 201);
        // Everything after that has no effect: other types, the same again, the share announced anew, Bob's own clicks.
        for kind in ["SHARE_ACCEPTED", "SHARE_DECLINED", "RESHARE_UNDO"] {
            assert_eq!(notify(&rogue, &server, kind, id).await, 501, "{kind}");
        }
        server.clock.step(Duration::from_secs(1));
        assert_eq!(notify(&rogue, &server, "SHARE_UNSHARED", id).await, 201);
        assert_eq!(rogue.post(&server, "/ocm/shares", &share).await.status(), 201);
        rogue.forget_seen();
        for call in [
            Call::ShareAccept {
                user: None,
                id: here.clone(),
            },
            Call::ShareDecline {
                user: None,
                id: here.clone(),
            },
            Call::ShareLeave {
                user: None,
                id: here.clone(),
            },
        ] {
            assert_eq!(server.call(call).await.unwrap_err().reason(), Reason::Conflict);
        }
        server.deliver().await;
        assert_eq!(received_state(&server, id).await, "gone");
        assert!(rogue.seen_at(PATH).is_empty());
        let read = server
            .call(Call::ShareGet {
                id: here,
                path: "/".to_owned(),
            })
            .await;
        assert!(read.is_err());
        assert!(rogue.seen().is_empty(), "{:?}", rogue.seen());
    }
}

#[actix_web::test]
async fn not_6_t41_no_notification_widens_what_a_share_permits() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    let id = share_with(&server, &rogue).await;
    let before = server.sent("ada").await;
    for kind in [
        "RESHARE_CHANGE_PERMISSION",
        "SHARE_CHANGE_PERMISSION",
        "REQUEST_RESHARE",
    ] {
        let mut body = about(kind, &id);
        body["notification"] = json!({ "permissions": ["read", "write", "share"], "permission": 31, "grantee": "eve" });
        assert_eq!(rogue.post(&server, PATH, &body).await.status(), 501, "{kind}");
    }
    assert_eq!(server.sent("ada").await, before);
}

#[actix_web::test]
async fn a_server_that_is_denied_gets_one_answer_for_what_is_its_own_and_what_is_not() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    let id = share_with(&server, &rogue).await;
    server.rule(&rogue.provider.to_string(), false).await;
    let mut answers = Vec::new();
    for id in [id.as_str(), "1"] {
        let answer = rogue.post(&server, PATH, &about("SHARE_ACCEPTED", id)).await;
        assert_eq!(answer.status(), 403);
        answers.push(everything(answer).await);
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(state_of(&server, &id).await, "pending");
}

#[actix_web::test]
async fn t80_a_notification_that_was_answered_holds_after_a_restart_and_may_come_again() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    let id = share_with(&server, &rogue).await;
    assert_eq!(notify(&rogue, &server, "SHARE_ACCEPTED", &id).await, 201);
    let server = server.restart().await;
    assert_eq!(state_of(&server, &id).await, "accepted");
    server.clock.step(Duration::from_secs(1));
    assert_eq!(notify(&rogue, &server, "SHARE_ACCEPTED", &id).await, 201);
    assert_eq!(state_of(&server, &id).await, "accepted");
    // The same bytes once more are a replay, not a repetition.
    let body = about("SHARE_DECLINED", &id).to_string().into_bytes();
    let headers = rogue.sign(&server, PATH, &body, server.clock.now(), &rogue.key);
    for expected in [201, 401] {
        let answer = post_raw(&server, PATH, "application/json", body.clone(), &headers).await;
        assert_eq!(answer.status(), expected);
    }
}
