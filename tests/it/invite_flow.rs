//! The Invite Flow between servers: a token brings two people together once, and nobody else (INV-1 to INV-9).

use std::collections::HashSet;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::future::join_all;
use ocmesh::api::Call;
use ocmesh::config::Mode;
use ocmesh::error::Error;
use ocmesh::error::Reason;
use ocmesh::invites::NewInvite;
use ocmesh::ocm::invite::InviteString;
use ocmesh::ocm::invite::InviteToken;
use serde_json::Value;
use serde_json::json;

use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::everything;
use crate::harness::mode;
use crate::harness::post_raw;

const ACCEPTED: &str = "/ocm/invite-accepted";

fn acceptance(rogue: &Rogue, token: &Value, user: &str) -> Value {
    json!({
        "recipientProvider": rogue.provider.to_string(),
        "token": token,
        "userID": user,
        "email": "eve@rogue.example",
        "name": "Eve"
    })
}

/// Status and body of an answer to an Invite Acceptance Request.
async fn accept_as(rogue: &Rogue, server: &TestServer, token: &Value, user: &str) -> (u16, Value) {
    let answer = rogue.post(server, ACCEPTED, &acceptance(rogue, token, user)).await;
    let status = answer.status().as_u16();
    (status, serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap())
}

async fn create(server: &TestServer, uses: Option<u32>, expires: Option<Duration>) -> Result<Value, Error> {
    let new = NewInvite {
        expires,
        uses,
        ..NewInvite::default()
    };
    server.invite_with("ada", new).await
}

/// An Invite String of a rogue, as it would be handed to one of our users.
fn invite_of(rogue: &Rogue) -> String {
    let string = InviteString {
        token: InviteToken::new("rogue-token").unwrap(),
        provider: rogue.provider.clone(),
    };
    string.encode()
}

fn identity() -> Value {
    json!({ "userID": "eve", "email": "eve@rogue.example", "name": "Eve" })
}

#[actix_web::test]
async fn inv_7_an_accepted_invite_makes_two_contacts_and_opens_both_directions() {
    let pair = Pair::acquainted().await;
    let (at_a, at_b) = (pair.a.contacts("ada").await, pair.b.contacts("bob").await);
    assert_eq!(at_a.len(), 1);
    assert_eq!(at_a[0]["address"], pair.b.address("bob"));
    assert_eq!(at_a[0]["name"], "BOB of the tests");
    assert_eq!(at_a[0]["email"], "bob@mail.example");
    assert_eq!(at_b.len(), 1);
    assert_eq!(at_b[0]["address"], pair.a.address("ada"));
    assert_eq!(at_b[0]["name"], "ADA of the tests");
    pair.b.put_file("bob", "b.txt", "b").await;
    pair.b
        .share("bob", "b.txt", &pair.a.address("ada"), false)
        .await
        .unwrap();
    pair.b.deliver().await;
    assert_eq!(pair.a.received("ada").await.len(), 1);
}

#[actix_web::test]
async fn inv_1_inv_2_an_invite_string_is_read_by_every_base64_and_its_tokens_never_repeat() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut tokens = HashSet::new();
    for _ in 0..20 {
        let invite = server.invite("ada").await;
        let (string, token) = (invite["string"].as_str().unwrap(), invite["token"].as_str().unwrap());
        let plain = STANDARD.decode(string).unwrap();
        assert_eq!(plain, URL_SAFE_NO_PAD.decode(string).unwrap());
        assert_eq!(
            String::from_utf8(plain).unwrap(),
            format!("{token}@{}", server.provider())
        );
        assert!(!string.contains('='));
        assert!(
            token.len() >= 22 && token.bytes().all(|byte| byte.is_ascii_alphanumeric()),
            "{token}"
        );
        assert!(tokens.insert(token.to_owned()));
        assert_eq!(invite["link"], server.url(&format!("/wayf?token={token}")));
    }
}

#[actix_web::test]
async fn inv_5_an_acceptance_is_signed_and_says_who_accepts() {
    let server = TestServer::start().await;
    server.user("bob").await;
    let rogue = Rogue::start().await;
    rogue.reply("POST", ACCEPTED, Reply::json(200, identity()));
    server.accept_invite("bob", &invite_of(&rogue)).await.unwrap();
    let request = &rogue.seen_at(ACCEPTED)[0];
    assert_eq!(
        request.json(),
        json!({
            "recipientProvider": server.provider().to_string(),
            "token": "rogue-token",
            "userID": "bob",
            "email": "bob@mail.example",
            "name": "BOB of the tests"
        })
    );
    let input = &request.headers["signature-input"];
    for part in [
        "\"@method\"",
        "\"@target-uri\"",
        "\"content-digest\"",
        "tag=\"ocm\"",
        "created=",
    ] {
        assert!(input.contains(part), "{input}");
    }
    assert_eq!(server.contacts("bob").await[0]["address"], rogue.address("eve"));
}

#[actix_web::test]
async fn sig_3b_a_server_without_http_sig_gets_an_unsigned_acceptance() {
    let server = TestServer::start().await;
    server.user("bob").await;
    let rogue = Rogue::start().await;
    let mut document = rogue.discovery();
    document["capabilities"] = json!(["invites"]);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, document));
    rogue.reply("POST", ACCEPTED, Reply::json(200, identity()));
    server.accept_invite("bob", &invite_of(&rogue)).await.unwrap();
    let request = &rogue.seen_at(ACCEPTED)[0];
    for name in ["signature", "signature-input", "content-digest"] {
        assert!(!request.headers.contains_key(name), "{name}");
    }
}

#[actix_web::test]
async fn inv_6_every_answer_of_the_inviter_has_its_reason_and_only_a_good_one_makes_a_contact() {
    let server = TestServer::start().await;
    server.user("bob").await;
    let long = "x".repeat(300);
    for (status, body, expected) in [
        (409, json!({}), Reason::InviteUsedElsewhere),
        (409, json!({ "message": "already" }), Reason::InviteUsedElsewhere),
        (400, json!({}), Reason::InviteUnknown),
        (404, json!({}), Reason::InviteUnknown),
        (400, identity(), Reason::InviteUnknown),
        (403, json!({ "message": "not you" }), Reason::TheyRefuseUs),
        (403, identity(), Reason::TheyRefuseUs),
        (401, json!({}), Reason::SignatureRejected),
        (503, json!({}), Reason::PeerBusy),
        (500, identity(), Reason::PeerBusy),
        (302, identity(), Reason::PeerBadAnswer),
        (204, json!({}), Reason::PeerBadAnswer),
        (200, json!({}), Reason::PeerBadAnswer),
        (200, json!([]), Reason::PeerBadAnswer),
        (
            200,
            json!({ "userID": "", "email": "", "name": "" }),
            Reason::PeerBadAnswer,
        ),
        (
            200,
            json!({ "userID": "e\u{202e}ve", "email": "", "name": "" }),
            Reason::PeerBadAnswer,
        ),
        (
            200,
            json!({ "userID": long, "email": "", "name": "" }),
            Reason::PeerBadAnswer,
        ),
    ] {
        let rogue = Rogue::start().await;
        rogue.reply("POST", ACCEPTED, Reply::json(status, body.clone()));
        let error = server.accept_invite("bob", &invite_of(&rogue)).await.unwrap_err();
        assert_eq!(error.reason(), expected, "{status} {body}: {error}");
        assert_eq!(rogue.seen_at(ACCEPTED).len(), 1);
    }
    assert!(server.contacts("bob").await.is_empty());
}

#[actix_web::test]
async fn inv_7_an_inviter_is_a_contact_at_the_server_of_the_invite_whatever_it_says() {
    let server = TestServer::start().await;
    server.user("bob").await;
    for (user_id, identifier) in [
        ("eve@honest.example", Some("eve@honest.example")),
        ("eve@https://honest.example/", Some("eve@https://honest.example/")),
        ("eve", Some("eve")),
    ] {
        let rogue = Rogue::start().await;
        let body = json!({ "userID": user_id, "email": "", "name": "Eve" });
        rogue.reply("POST", ACCEPTED, Reply::json(200, body));
        let accepted = server.accept_invite("bob", &invite_of(&rogue)).await;
        let accepted = accepted.ok().map(|answer| answer["contact"].clone());
        let address = identifier.map(|identifier| format!("{identifier}@{}", rogue.provider));
        assert_eq!(
            accepted
                .as_ref()
                .map(|contact| contact["address"].as_str().unwrap().to_owned()),
            address
        );
        let contact = accepted.unwrap();
        assert_eq!(contact["provider"], rogue.provider.to_string());
        assert_eq!(contact["name"], "Eve");
    }
}

#[actix_web::test]
async fn inv_9_an_invite_is_accepted_only_once() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let invite = server.invite("ada").await;
    let (first, second) = (Rogue::start().await, Rogue::start().await);
    let (status, body) = accept_as(&first, &server, &invite["token"], "eve").await;
    assert_eq!(status, 200);
    assert_eq!(
        body,
        json!({ "userID": "ada", "email": "ada@mail.example", "name": "ADA of the tests" })
    );
    let (status, body) = accept_as(&second, &server, &invite["token"], "mallory").await;
    assert_eq!(status, 409);
    assert!(!body.to_string().contains("ada"), "{body}");
    let contacts = server.contacts("ada").await;
    assert_eq!(contacts.len(), 1);
    assert_eq!(contacts[0]["address"], first.address("eve"));
}

#[actix_web::test]
async fn t34_of_sixteen_servers_that_accept_at_once_exactly_one_gets_in() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let rogues = join_all((0..16).map(|_| Rogue::start())).await;
    for round in 0..4 {
        // Three rounds for a token that admits one, and one for a token that admits three.
        let uses = if round == 3 { 3 } else { 1 };
        let invite = create(&server, Some(uses), None).await.unwrap();
        let before = server.contacts("ada").await.len();
        let user = format!("eve-{round}");
        let tries = rogues
            .iter()
            .map(|rogue| accept_as(rogue, &server, &invite["token"], &user));
        let answers = join_all(tries).await;
        let with = |status| answers.iter().filter(|(other, _)| *other == status).count();
        assert_eq!(
            (with(200), with(409)),
            (uses as usize, 16 - uses as usize),
            "{answers:?}"
        );
        let identities = answers.iter().filter(|(_, body)| body.to_string().contains("ada@mail"));
        assert_eq!(identities.count(), uses as usize);
        assert_eq!(server.contacts("ada").await.len(), before + uses as usize);
    }
}

#[actix_web::test]
async fn t34_one_server_that_asks_for_two_people_at_once_gets_one_in() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let invite = server.invite("ada").await;
    let users: Vec<_> = (0..16).map(|n| format!("eve-{n}")).collect();
    let tries = users
        .iter()
        .map(|user| accept_as(&rogue, &server, &invite["token"], user));
    let answers = join_all(tries).await;
    assert_eq!(
        answers.iter().filter(|(status, _)| *status == 200).count(),
        1,
        "{answers:?}"
    );
    assert_eq!(answers.iter().filter(|(status, _)| *status == 409).count(), 15);
    assert_eq!(server.contacts("ada").await.len(), 1);
}

#[actix_web::test]
async fn t35_only_who_accepted_learns_again_who_the_inviter_is() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let invite = server.invite("ada").await;
    let (honest, thief) = (Rogue::start().await, Rogue::start().await);
    let (_, ours) = accept_as(&honest, &server, &invite["token"], "eve").await;
    let server = server.restart().await;
    server.clock.step(Duration::from_secs(3600));
    let again = accept_as(&honest, &server, &invite["token"], "eve").await;
    assert_eq!(again, (409, ours));
    let nothing = accept_as(&thief, &server, &invite["token"], "eve").await;
    assert_eq!(nothing.0, 409);
    assert!(!nothing.1.to_string().contains("ada"), "{nothing:?}");
    let another = accept_as(&honest, &server, &invite["token"], "mallory").await;
    assert_eq!(another, nothing);
    assert_eq!(server.contacts("ada").await.len(), 1);
}

#[actix_web::test]
async fn t35_an_answer_that_got_lost_is_asked_for_again() {
    let server = TestServer::start().await;
    server.user("bob").await;
    let rogue = Rogue::start().await;
    rogue.replies(
        "POST",
        ACCEPTED,
        vec![Reply::json(500, json!({})), Reply::json(409, identity())],
    );
    server.accept_invite("bob", &invite_of(&rogue)).await.unwrap_err();
    assert!(server.contacts("bob").await.is_empty());
    server.accept_invite("bob", &invite_of(&rogue)).await.unwrap();
    assert_eq!(server.contacts("bob").await.len(), 1);
}

#[actix_web::test]
async fn t33_unknown_revoked_and_expired_tokens_are_one_to_a_stranger() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let expiring = create(&server, None, Some(Duration::from_secs(60))).await.unwrap();
    let revoked = server.invite("ada").await;
    let id = revoked["id"].as_str().unwrap().to_owned();
    server.call(Call::InviteRevoke { id }).await.unwrap();
    // The last second counts, the next does not.
    server.clock.step(Duration::from_secs(60));
    let mut answers = Vec::new();
    for token in [json!("guess"), revoked["token"].clone(), expiring["token"].clone()] {
        let answer = rogue.post(&server, ACCEPTED, &acceptance(&rogue, &token, "eve")).await;
        let own = ["date", "x-request-id"];
        let all = answer.headers().iter();
        let mut headers: Vec<_> = all.filter(|(name, _)| !own.contains(&name.as_str())).collect();
        headers.sort_by_key(|(name, _)| name.as_str());
        let headers = format!("{headers:?}");
        answers.push((answer.status().as_u16(), headers, answer.text().await.unwrap()));
    }
    assert_eq!(answers[0].0, 400);
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0], answers[2]);
    assert!(server.contacts("ada").await.is_empty());
}

#[actix_web::test]
async fn t01_t33_an_unsigned_acceptance_without_a_token_of_ours_has_nobody_asked() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let plain = Rogue::start().await;
    let mut says = plain.discovery();
    says["capabilities"] = json!(["invites"]);
    plain.reply("GET", "/.well-known/ocm", Reply::json(200, says));
    let post = async |host: String, token: &Value| {
        let mut body = acceptance(&plain, token, "eve");
        body["recipientProvider"] = json!(host);
        let body = body.to_string().into_bytes();
        post_raw(&server, ACCEPTED, "application/json", body, &[]).await
    };
    // A server that is there and one that is not are the same to who only guesses.
    let mut answers = Vec::new();
    for host in [plain.provider.to_string(), "127.0.0.9:1025".to_owned()] {
        let answer = post(host, &json!("guess")).await;
        assert_eq!(answer.status(), 401);
        answers.push(everything(answer).await);
    }
    assert_eq!(answers[0], answers[1]);
    assert!(plain.seen().is_empty());

    let revoked = server.invite("ada").await;
    let id = revoked["id"].as_str().unwrap().to_owned();
    server.call(Call::InviteRevoke { id }).await.unwrap();
    let refused = post(plain.provider.to_string(), &revoked["token"]).await;
    assert_eq!(refused.status(), 400);
    assert!(server.contacts("ada").await.is_empty());
    let invite = server.invite("ada").await;
    let taken = post(plain.provider.to_string(), &invite["token"]).await;
    assert_eq!(taken.status(), 200);
    assert_eq!(server.contacts("ada").await.len(), 1);
}

#[actix_web::test]
async fn an_invite_lasts_to_its_last_second() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let invite = create(&server, None, Some(Duration::from_secs(60))).await.unwrap();
    server.clock.step(Duration::from_secs(59));
    assert_eq!(accept_as(&rogue, &server, &invite["token"], "eve").await.0, 200);
}

#[actix_web::test]
async fn an_invite_admits_as_many_people_as_it_says_and_ends_early_when_revoked() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let invite = create(&server, Some(3), None).await.unwrap();
    assert_eq!(accept_as(&rogue, &server, &invite["token"], "one").await.0, 200);
    // The same person again takes no further place.
    server.clock.step(Duration::from_secs(1));
    assert_eq!(accept_as(&rogue, &server, &invite["token"], "one").await.0, 409);
    assert_eq!(accept_as(&rogue, &server, &invite["token"], "two").await.0, 200);
    let id = invite["id"].as_str().unwrap().to_owned();
    server.call(Call::InviteRevoke { id }).await.unwrap();
    assert_eq!(accept_as(&rogue, &server, &invite["token"], "three").await.0, 400);
    assert_eq!(server.contacts("ada").await.len(), 2);
}

#[actix_web::test]
async fn what_an_invite_may_be_like_has_limits() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let day = Duration::from_secs(86_400);
    for (uses, expires, field) in [
        (Some(0), None, "uses"),
        (Some(101), None, "uses"),
        (None, Some(Duration::ZERO), "expires"),
        (None, Some(91 * day), "expires"),
        (None, Some(Duration::MAX), "expires"),
    ] {
        let error = create(&server, uses, expires).await.unwrap_err();
        assert_eq!((error.reason(), error.field()), (Reason::Invalid, Some(field)));
    }
    create(&server, Some(100), Some(90 * day)).await.unwrap();
}

#[actix_web::test]
async fn inc_16_an_acceptor_whose_id_carries_its_server_is_known_by_one_address() {
    // OpenCloud and opencloudmesh-go write `uuid@host` as the id, and `uuid@host@host` as the sender of their shares.
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let invite = server.invite("ada").await;
    let id = format!("eve@{}", rogue.provider);
    assert_eq!(accept_as(&rogue, &server, &invite["token"], &id).await.0, 200);
    assert_eq!(server.contacts("ada").await[0]["address"], rogue.address("eve"));
    // Asking again under the shorter name is the same person.
    assert_eq!(
        accept_as(&rogue, &server, &invite["token"], "eve").await.1["userID"],
        "ada"
    );
    let mut share = rogue.share_for(&server, "ada", "1");
    for field in ["sender", "owner"] {
        share[field] = json!(format!("{id}@{}", rogue.provider));
    }
    assert_eq!(rogue.post(&server, "/ocm/shares", &share).await.status(), 201);
}

#[actix_web::test]
async fn inv_5_nothing_is_sent_for_what_is_no_invite_or_one_of_our_own() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.user("bob").await;
    let own = server.invite("ada").await;
    let error = server
        .accept_invite("bob", own["string"].as_str().unwrap())
        .await
        .unwrap_err();
    assert_eq!(error.reason(), Reason::OwnServer);
    for text in [
        "",
        "   ",
        "hello",
        "dG9rZW4",
        "@",
        "token@",
        "https://example.org/",
        "\u{0}",
    ] {
        let error = server.accept_invite("bob", text).await.unwrap_err();
        assert_eq!(error.reason(), Reason::CodeUnreadable, "{text:?}");
    }
    assert!(server.contacts("bob").await.is_empty());
}

#[actix_web::test]
async fn inv_6_a_bad_acceptance_spends_nothing() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let invite = server.invite("ada").await;
    let good = acceptance(&rogue, &invite["token"], "eve");
    for (field, value) in [
        ("userID", json!("")),
        ("userID", json!("e\nve")),
        ("userID", json!({ "id": "eve" })),
        ("token", json!(" ")),
        ("token", json!(null)),
        ("recipientProvider", json!("")),
        ("name", json!("x".repeat(5000))),
    ] {
        let mut body = good.clone();
        body[field] = value;
        let status = rogue.post(&server, ACCEPTED, &body).await.status();
        assert_eq!(status, 400, "{field}: {}", body[field]);
    }
    // Unsigned: nothing either, and no word about the token.
    let unsigned = post_raw(
        &server,
        ACCEPTED,
        "application/json",
        good.to_string().into_bytes(),
        &[],
    )
    .await;
    assert_eq!(unsigned.status(), 401);
    assert!(server.contacts("ada").await.is_empty());
    assert_eq!(accept_as(&rogue, &server, &invite["token"], "eve").await.0, 200);
}

#[actix_web::test]
async fn inv_7_removing_a_contact_is_local_and_tells_nobody() {
    let pair = Pair::acquainted().await;
    let call = Call::ContactRemove {
        user: Some("ada".to_owned()),
        address: pair.b.address("bob"),
        parting: Default::default(),
    };
    pair.a.call(call).await.unwrap();
    assert!(pair.a.contacts("ada").await.is_empty());
    assert!(pair.a.queue().await.is_empty());
    assert_eq!(pair.b.contacts("bob").await.len(), 1);
}
