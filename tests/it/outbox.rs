//! What is on its way to other servers: tried, delayed, given up, dropped, and never lost or doubled (T-49, T-79).

use std::time::Duration;

use futures_util::FutureExt;
use ocmesh::api::Call;
use ocmesh::clock::Timestamp;
use ocmesh::config::Config;
use ocmesh::config::Mode;
use ocmesh::config::Span;
use ocmesh::error::Reason;
use serde_json::Value;
use serde_json::json;

use crate::harness::Manner;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::mode;

const SHARES: &str = "/ocm/shares";
const NOTIFICATIONS: &str = "/ocm/notifications";

fn two_waits(config: &mut Config) {
    config.federation.mode = Mode::Open;
    config.shares.delivery_retry = vec![Span::seconds(10), Span::seconds(60)];
}

async fn server_with_files(names: &[&str]) -> TestServer {
    let server = TestServer::start_with(two_waits).await;
    server.user("ada").await;
    for name in names {
        server.put_file("ada", name, "content").await;
    }
    server
}

fn busy(rogue: &Rogue) {
    rogue.reply("POST", SHARES, Reply::json(503, json!({ "message": "full" })));
}

fn well(rogue: &Rogue) {
    rogue.reply("POST", SHARES, Reply::json(201, json!({})));
}

async fn share(server: &TestServer, path: &str, rogue: &Rogue) -> String {
    let row = server.share("ada", path, &rogue.address("eve"), false).await.unwrap();
    row["id"].as_str().unwrap().to_owned()
}

async fn sent(server: &TestServer, id: &str) -> Value {
    let rows = server.sent("ada").await;
    rows.into_iter().find(|row| row["id"] == id).unwrap()
}

fn moment(value: &Value) -> Timestamp {
    Timestamp::parse(value.as_str().unwrap()).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

async fn stop(server: &TestServer, id: &str) {
    server
        .call(Call::ShareStop {
            user: None,
            id: id.to_owned(),
        })
        .await
        .unwrap();
}

#[actix_web::test]
async fn t49_a_delivery_is_tried_along_its_schedule_and_then_given_up_and_shown() {
    let server = server_with_files(&["a.txt"]).await;
    let rogue = Rogue::start().await;
    busy(&rogue);
    let id = share(&server, "a.txt", &rogue).await;
    let mut tries = 0;
    for (wait, most) in [(10, 12), (60, 72)] {
        assert_eq!(server.deliver().await, 1);
        tries += 1;
        let queue = server.queue().await;
        assert_eq!(queue[0]["state"], "waiting");
        assert_eq!(queue[0]["tries"], tries);
        assert_eq!(queue[0]["last_error"]["code"], "busy");
        let due = moment(&queue[0]["next_try"]);
        let (earliest, latest) = (
            server.clock.now().plus(seconds(wait)),
            server.clock.now().plus(seconds(most)),
        );
        assert!(
            earliest <= due && due <= latest,
            "{due} is not within {earliest} and {latest}"
        );
        assert_eq!(sent(&server, &id).await["state"], "pending");
        // Not a second early.
        server.clock.step(server.clock.now().until(due) - seconds(1));
        assert_eq!(server.deliver().await, 0);
        server.clock.step(seconds(1));
    }
    assert_eq!(server.deliver().await, 1);
    assert_eq!(server.queue().await[0]["state"], "given-up");
    let row = sent(&server, &id).await;
    assert_eq!(
        (&row["state"], &row["last_error"]["code"]),
        (&json!("failed"), &json!("busy"))
    );
    server.clock.step(seconds(30 * 86_400));
    assert_eq!(server.deliver().await, 0);
    assert_eq!(rogue.seen_at(SHARES).len(), 3);
}

#[actix_web::test]
async fn t49_a_peer_that_names_a_time_is_not_asked_before_it() {
    let server = server_with_files(&["a.txt", "b.txt"]).await;
    let rogue = Rogue::start().await;
    let later = |wait: &str| Reply::json(503, json!({})).header("retry-after", wait);
    rogue.reply("POST", SHARES, later("900"));
    share(&server, "a.txt", &rogue).await;
    share(&server, "b.txt", &rogue).await;
    server.deliver().await;
    assert_eq!(
        rogue.seen_at(SHARES).len(),
        1,
        "the second of them waits as well, untried"
    );
    server.clock.step(seconds(899));
    assert_eq!(server.deliver().await, 0);
    well(&rogue);
    server.clock.step(seconds(1));
    assert_eq!(server.deliver().await, 2);
    assert!(server.queue().await.is_empty());
}

#[actix_web::test]
async fn t49_a_peer_can_not_put_us_off_for_more_than_an_hour_or_confuse_us() {
    let server = server_with_files(&["a.txt"]).await;
    for (wait, at_most) in [
        ("31536000", 3600),
        ("99999999999999999999", 12),
        ("-5", 12),
        ("soon", 12),
        ("0", 12),
    ] {
        let rogue = Rogue::start().await;
        rogue.reply("POST", SHARES, Reply::json(429, json!({})).header("retry-after", wait));
        share(&server, "a.txt", &rogue).await;
        server.deliver().await;
        let queue = server.queue().await;
        let row = queue
            .iter()
            .find(|row| row["to"] == rogue.provider.to_string())
            .unwrap();
        let due = moment(&row["next_try"]);
        assert!(due <= server.clock.now().plus(seconds(at_most)), "{wait}: {due}");
        assert!(due >= server.clock.now().plus(seconds(10)), "{wait}: {due}");
    }
}

#[actix_web::test]
async fn t49_a_queue_for_a_dead_peer_calls_it_rarely_and_is_drained_when_it_is_back() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    busy(&rogue);
    for _ in 0..30 {
        share(&server, "a.txt", &rogue).await;
    }
    let mut minutes = Vec::new();
    for _ in 0..5 {
        for _ in 0..30 {
            server.deliver().await;
            server.clock.step(seconds(2));
        }
        minutes.push(rogue.seen_at(SHARES).len());
        rogue.forget_seen();
    }
    assert!(
        minutes.iter().all(|tries| (1..=20).contains(tries)),
        "{minutes:?} tries a minute"
    );
    well(&rogue);
    server.clock.step(seconds(800));
    server.deliver().await;
    let bodies: Vec<_> = rogue
        .seen_at(SHARES)
        .iter()
        .map(|seen| seen.json()["providerId"].to_string())
        .collect();
    let distinct: std::collections::HashSet<_> = bodies.iter().collect();
    assert_eq!((bodies.len(), distinct.len()), (30, 30), "each is delivered once");
    assert!(server.queue().await.is_empty());
}

#[actix_web::test]
async fn a_message_that_a_peer_chokes_on_does_not_hold_up_the_others() {
    // It is tried for 31 hours with the usual schedule; the others must not wait as long.
    let server = TestServer::start_with(|config| {
        config.federation.mode = Mode::Open;
        config.shares.delivery_retry = vec![Span::seconds(10), Span::seconds(86_400)];
    })
    .await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    let chokes = || Reply::json(500, json!({}));
    let takes = || Reply::json(201, json!({}));
    rogue.replies("POST", SHARES, vec![chokes(), chokes(), takes()]);
    let poison = share(&server, "a.txt", &rogue).await;
    server.deliver().await;
    server.clock.step(seconds(13));
    for _ in 0..5 {
        share(&server, "a.txt", &rogue).await;
    }
    // The oldest goes first, and is put off for a day; the others are not.
    server.deliver().await;
    assert_eq!(server.queue().await.len(), 6);
    server.clock.step(seconds(10));
    server.deliver().await;
    let queue = server.queue().await;
    assert_eq!(queue.len(), 1, "{queue:?}");
    assert_eq!((&queue[0]["share"], &queue[0]["tries"]), (&json!(poison), &json!(2)));
}

#[actix_web::test]
async fn a_refusal_for_good_is_not_repeated_and_says_why() {
    let server = server_with_files(&["a.txt"]).await;
    for (status, body, code) in [
        (400, json!({ "message": "RECIPIENT_NOT_FOUND" }), "peer-bad-answer"),
        (403, json!({ "message": "no\u{7}thanks" }), "they-refuse-us"),
        (404, json!({}), "share-gone"),
        (409, json!({}), "peer-bad-answer"),
        (501, json!({}), "peer-unsupported"),
        (307, json!({}), "peer-bad-answer"),
    ] {
        let rogue = Rogue::start().await;
        rogue.reply("POST", SHARES, Reply::json(status, body));
        let id = share(&server, "a.txt", &rogue).await;
        server.deliver().await;
        server.clock.step(seconds(100_000));
        server.deliver().await;
        assert_eq!(rogue.seen_at(SHARES).len(), 1, "{status}");
        let row = sent(&server, &id).await;
        assert_eq!(
            (&row["state"], &row["last_error"]["code"]),
            (&json!("refused"), &json!(code)),
            "{status}"
        );
        let message = row["last_error"]["message"].as_str().unwrap();
        assert!(
            message.contains(&status.to_string()) && !message.contains('\u{7}'),
            "{message}"
        );
    }
}

/// What stands between may pass: our keys could not be fetched, or a clock was off for a moment.
#[actix_web::test]
async fn a_signature_that_was_not_accepted_is_made_anew_and_tried_again() {
    let server = server_with_files(&["a.txt"]).await;
    let rogue = Rogue::start().await;
    rogue.replies(
        "POST",
        SHARES,
        vec![Reply::json(401, json!({})), Reply::json(201, json!({}))],
    );
    let id = share(&server, "a.txt", &rogue).await;
    server.deliver().await;
    let row = sent(&server, &id).await;
    assert_eq!(
        (&row["state"], &row["last_error"]["code"]),
        (&json!("pending"), &json!("signature-rejected"))
    );
    server.clock.step(seconds(100));
    server.deliver().await;
    assert!(!sent(&server, &id).await["announced"].is_null());
    let seen = rogue.seen_at(SHARES);
    assert_eq!(seen.len(), 2);
    assert_ne!(seen[0].headers["signature"], seen[1].headers["signature"]);
}

#[actix_web::test]
async fn t79_a_peer_that_is_down_at_creation_gets_the_share_later_and_the_user_sees_why_it_waits() {
    let server = server_with_files(&["a.txt"]).await;
    let rogue = Rogue::start().await;
    rogue.reply("GET", "/.well-known/ocm", Reply::json(503, json!({})));
    let row = server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    assert_eq!(
        (&row["state"], &row["last_error"]["code"]),
        (&json!("pending"), &json!("busy"))
    );
    assert_eq!(row["announced"], Value::Null);
    assert!(
        row["last_error"]["message"]
            .as_str()
            .unwrap()
            .contains(&rogue.provider.to_string())
    );
    server.deliver().await;
    assert!(rogue.seen_at(SHARES).is_empty());
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, rogue.discovery()));
    server.clock.step(seconds(13));
    server.deliver().await;
    assert_eq!(rogue.seen_at(SHARES).len(), 1);
    let row = sent(&server, row["id"].as_str().unwrap()).await;
    assert_eq!((&row["state"], &row["last_error"]), (&json!("pending"), &Value::Null));
    assert!(row["announced"].is_string());
}

#[actix_web::test]
async fn t79_a_share_that_can_never_be_delivered_is_not_kept_at_all() {
    let server = server_with_files(&["a.txt"]).await;
    let rogue = Rogue::start().await;
    let away = Reply::json(302, json!({})).header("location", "http://127.0.0.2/");
    rogue.reply("GET", "/.well-known/ocm", away);
    let error = server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::PeerBadAnswer);
    let error = server
        .share("ada", "missing.txt", &rogue.address("eve"), false)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::NotFound);
    assert!(server.sent("ada").await.is_empty());
    assert!(server.queue().await.is_empty());
}

#[actix_web::test]
async fn t79_after_a_restart_between_try_and_answer_the_same_share_is_announced_again() {
    let server = server_with_files(&["a.txt"]).await;
    let rogue = Rogue::start().await;
    rogue.behave("POST", SHARES, Manner::Silent);
    let id = share(&server, "a.txt", &rogue).await;
    {
        // The server dies while it waits for the answer: the peer has the share, and nobody here knows.
        let mut under_way = Box::pin(server.deliver()).fuse();
        while rogue.seen_at(SHARES).is_empty() {
            let moment = actix_web::rt::time::sleep(Duration::from_millis(5)).boxed_local();
            futures_util::future::select(&mut under_way, moment).await;
        }
    }
    let server = server.restart().await;
    assert_eq!(server.queue().await.len(), 1);
    rogue.behave_well("POST", SHARES);
    server.clock.step(seconds(1));
    assert_eq!(server.deliver().await, 1);
    let seen = rogue.seen_at(SHARES);
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].json(), seen[1].json(), "providerId and secret are as before");
    assert_eq!(seen[0].json()["providerId"], id);
    assert_eq!(sent(&server, &id).await["state"], "pending");
    assert!(server.queue().await.is_empty());
}

#[actix_web::test]
async fn t79_an_announcement_that_arrives_twice_is_one_share() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "a.txt", "a").await;
    let id = pair
        .a
        .share("ada", "a.txt", &pair.b.address("bob"), false)
        .await
        .unwrap()["id"]
        .clone();
    {
        // Delivered, but the answer is lost with the server.
        let mut under_way = Box::pin(pair.a.deliver()).fuse();
        while pair.b.received("bob").await.is_empty() {
            let moment = actix_web::rt::time::sleep(Duration::from_millis(1)).boxed_local();
            futures_util::future::select(&mut under_way, moment).await;
        }
    }
    let Pair { a, b } = pair;
    let a = a.restart().await;
    a.clock.step(seconds(1));
    a.deliver().await;
    let received = b.received("bob").await;
    assert_eq!(received.len(), 1);
    assert_eq!(received[0]["provider_id"], id);
    assert_eq!(sent(&a, id.as_str().unwrap()).await["state"], "pending");
    assert!(a.queue().await.is_empty());
}

#[actix_web::test]
async fn the_queue_survives_a_restart_with_its_times() {
    let server = server_with_files(&["a.txt"]).await;
    let rogue = Rogue::start().await;
    busy(&rogue);
    share(&server, "a.txt", &rogue).await;
    server.deliver().await;
    let before = server.queue().await;
    let server = server.restart().await;
    assert_eq!(server.queue().await, before);
    assert_eq!(server.deliver().await, 0);
}

#[actix_web::test]
async fn t44_the_queue_shows_no_secret() {
    let server = server_with_files(&["a.txt"]).await;
    let rogue = Rogue::start().await;
    busy(&rogue);
    share(&server, "a.txt", &rogue).await;
    server.deliver().await;
    let secret = rogue.seen_at(SHARES)[0].json()["protocol"]["webdav"]["sharedSecret"].clone();
    let secret = secret.as_str().unwrap();
    assert!(secret.len() >= 32);
    for shown in [json!(server.queue().await), json!(server.sent("ada").await)] {
        assert!(!shown.to_string().contains(secret), "{shown}");
    }
}

#[actix_web::test]
async fn stopping_a_share_before_its_delivery_means_that_the_peer_never_hears_of_it() {
    let server = server_with_files(&["a.txt"]).await;
    let rogue = Rogue::start().await;
    let id = share(&server, "a.txt", &rogue).await;
    stop(&server, &id).await;
    rogue.forget_seen();
    server.clock.step(seconds(1000));
    assert_eq!(server.deliver().await, 0);
    assert!(rogue.seen().is_empty());
    assert_eq!(sent(&server, &id).await["state"], "stopped");
    assert!(server.queue().await.is_empty());
}

#[actix_web::test]
async fn stopping_a_share_whose_announcement_may_have_arrived_takes_it_back() {
    let server = server_with_files(&["a.txt"]).await;
    let rogue = Rogue::start().await;
    busy(&rogue);
    let id = share(&server, "a.txt", &rogue).await;
    server.deliver().await;
    stop(&server, &id).await;
    well(&rogue);
    server.clock.step(seconds(1000));
    server.deliver().await;
    assert_eq!(rogue.seen_at(SHARES).len(), 1, "it is not announced any more");
    let told = rogue.seen_at(NOTIFICATIONS);
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].json()["notificationType"], "SHARE_UNSHARED");
    assert_eq!(told[0].json()["providerId"], id);
}

#[actix_web::test]
async fn a_share_that_is_stopped_while_its_announcement_is_under_way_is_taken_back() {
    let server = server_with_files(&["a.txt"]).await;
    for manner in [None, Some(Manner::Silent)] {
        let rogue = Rogue::start().await;
        rogue.behave("POST", SHARES, Manner::Silent);
        let id = share(&server, "a.txt", &rogue).await;
        {
            let mut under_way = Box::pin(server.deliver()).fuse();
            while rogue.seen_at(SHARES).is_empty() {
                let moment = actix_web::rt::time::sleep(Duration::from_millis(5)).boxed_local();
                futures_util::future::select(&mut under_way, moment).await;
            }
            if manner.is_some() {
                // It is stopped now, and the server dies on top.
                stop(&server, &id).await;
            }
        }
        if manner.is_none() {
            stop(&server, &id).await;
        }
        rogue.behave_well("POST", SHARES);
        server.clock.step(seconds(20));
        server.deliver().await;
        assert_eq!(sent(&server, &id).await["state"], "stopped");
        assert_eq!(rogue.seen_at(SHARES).len(), 1);
        let told = rogue.seen_at(NOTIFICATIONS);
        assert_eq!(told.len(), 1, "the peer has a share that nobody told it is over");
        assert_eq!(told[0].json()["providerId"], id);
    }
}

#[actix_web::test]
async fn a_delivery_can_be_retried_by_hand_with_its_whole_schedule_before_it() {
    let server = server_with_files(&["a.txt"]).await;
    let rogue = Rogue::start().await;
    rogue.reply("POST", SHARES, Reply::json(403, json!({})));
    let id = share(&server, "a.txt", &rogue).await;
    server.deliver().await;
    assert_eq!(sent(&server, &id).await["state"], "refused");
    let delivery = server.queue().await[0]["id"].as_str().unwrap().to_owned();
    busy(&rogue);
    let row = server.call(Call::QueueRetry { id: delivery.clone() }).await.unwrap();
    assert_eq!((&row["state"], &row["tries"]), (&json!("waiting"), &json!(0)));
    server.clock.step(seconds(1));
    assert_eq!(server.deliver().await, 1);
    assert_eq!(server.queue().await[0]["state"], "waiting");
    well(&rogue);
    server.call(Call::QueueRetry { id: delivery.clone() }).await.unwrap();
    server.clock.step(seconds(1));
    assert_eq!(server.deliver().await, 1);
    assert!(server.queue().await.is_empty());
    let row = sent(&server, &id).await;
    assert_eq!((&row["state"], &row["last_error"]), (&json!("pending"), &Value::Null));
    let ids: Vec<_> = rogue
        .seen_at(SHARES)
        .iter()
        .map(|seen| seen.json()["providerId"].clone())
        .collect();
    assert_eq!(ids, vec![json!(id); 3]);
    let gone = server.call(Call::QueueRetry { id: delivery }).await.unwrap_err();
    assert_eq!(gone.reason(), Reason::NotFound);
}

#[actix_web::test]
async fn a_delivery_that_is_dropped_is_never_tried_again_and_its_share_has_failed() {
    let server = server_with_files(&["a.txt"]).await;
    let rogue = Rogue::start().await;
    busy(&rogue);
    let id = share(&server, "a.txt", &rogue).await;
    server.deliver().await;
    let secret = rogue.seen_at(SHARES)[0].json()["protocol"]["webdav"]["sharedSecret"].clone();
    let delivery = server.queue().await[0]["id"].as_str().unwrap().to_owned();
    server.call(Call::QueueDrop { id: delivery.clone() }).await.unwrap();
    assert!(server.queue().await.is_empty());
    let row = sent(&server, &id).await;
    assert_eq!(
        (&row["state"], &row["last_error"]["code"]),
        (&json!("failed"), &json!("gave-up"))
    );
    well(&rogue);
    server.clock.step(seconds(1000));
    assert_eq!(server.deliver().await, 0);
    assert_eq!(rogue.seen_at(SHARES).len(), 1);
    // The peer may have got it all the same; it opens nothing.
    let form = format!(
        "grant_type=authorization_code&client_id={}&code={}",
        rogue.provider,
        secret.as_str().unwrap()
    );
    let kind = "application/x-www-form-urlencoded";
    let answer = rogue
        .post_bytes(&server, "/ocm/token", kind, form.into_bytes(), &rogue.key)
        .await;
    assert_eq!(answer.status(), 400);
    let gone = server.call(Call::QueueDrop { id: delivery }).await.unwrap_err();
    assert_eq!(gone.reason(), Reason::NotFound);
}

#[actix_web::test]
async fn a_notification_waits_in_the_queue_like_a_share() {
    let server = TestServer::start_with(two_waits).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let announced = rogue.share_for(&server, "ada", "77");
    assert_eq!(rogue.post(&server, SHARES, &announced).await.status(), 201);
    rogue.replies(
        "POST",
        NOTIFICATIONS,
        vec![Reply::json(503, json!({})), Reply::json(201, json!({}))],
    );
    let id = server.received("ada").await[0]["id"].as_str().unwrap().to_owned();
    server
        .call(Call::ShareAccept {
            user: None,
            id: id.clone(),
        })
        .await
        .unwrap();
    server.deliver().await;
    let queue = server.queue().await;
    assert_eq!(
        (&queue[0]["what"], &queue[0]["state"]),
        (&json!("notification"), &json!("waiting"))
    );
    server.clock.step(seconds(13));
    server.deliver().await;
    let told = rogue.seen_at(NOTIFICATIONS);
    assert_eq!(told.len(), 2);
    assert_eq!(told[0].json(), told[1].json());
    assert_eq!(told[1].json()["notificationType"], "SHARE_ACCEPTED");
    assert_eq!(told[1].json()["providerId"], "77");
    assert!(server.queue().await.is_empty());
    // Accepting it again is no news.
    server.call(Call::ShareAccept { user: None, id }).await.unwrap();
    assert!(server.queue().await.is_empty());
}

#[actix_web::test]
async fn t49_a_peer_that_never_answers_holds_up_no_other() {
    let server = TestServer::start_with(|config| {
        config.federation.mode = Mode::Open;
        config.limits.peer_timeout = Span::seconds(20);
    })
    .await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let (silent, well) = (Rogue::start().await, Rogue::start().await);
    let first = share(&server, "a.txt", &silent).await;
    silent.behave("POST", SHARES, Manner::Silent);
    share(&server, "a.txt", &well).await;
    let arrived = async {
        while well.seen_at(SHARES).is_empty() {
            tokio::task::yield_now().await;
        }
    };
    let courier = server.site().courier.clone();
    let both = async {
        tokio::select! {
            () = courier.work() => {}
            () = arrived => {}
        }
    };
    tokio::time::timeout(seconds(10), both)
        .await
        .expect("the peer that is well waited for the one that is not");
    assert_eq!(sent(&server, &first).await["announced"], Value::Null);
}
