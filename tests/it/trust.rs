//! Which servers this one deals with: rules, modes, and what a server that is not let in can find out (T-48, INV-8).

use std::time::Duration;

use futures_util::future::join_all;
use ocmesh::api::Call;
use ocmesh::config::Mode;
use ocmesh::error::Reason;
use ocmesh::ocm::signature::SigningKey;
use serde_json::Value;
use serde_json::json;

use crate::harness::Pair;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::mode;
use crate::harness::names;
use crate::harness::post_raw;

const TOKEN: &str = "/ocm/token";
const FORM: &str = "application/x-www-form-urlencoded";

/// A server that knows the names that the tests give to rogues, all on this machine.
async fn among_names(mode: Mode) -> TestServer {
    let world = names(&[
        ("rogue.example", &["127.0.0.1"]),
        ("b.uni.example", &["127.0.0.1"]),
        ("xuni.example", &["127.0.0.1"]),
        ("uni.example", &["127.0.0.1"]),
        ("xn--bcher-kva.example", &["127.0.0.1"]),
    ]);
    let server = TestServer::start_in(world, |config| config.federation.mode = mode).await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    server
}

/// The status a rogue gets for a share without fault.
async fn share_status(rogue: &Rogue, server: &TestServer, provider_id: &str) -> u16 {
    let share = rogue.share_for(server, "ada", provider_id);
    rogue.post(server, "/ocm/shares", &share).await.status().as_u16()
}

async fn explain(server: &TestServer, host: &str) -> Value {
    let call = Call::PeerExplain { host: host.to_owned() };
    server.call(call).await.unwrap()
}

async fn remove_rule(server: &TestServer, host: &str) {
    let call = Call::PeerRemove { host: host.to_owned() };
    server.call(call).await.unwrap();
}

#[actix_web::test]
async fn t48_a_denied_server_is_denied_however_it_is_spelled() {
    let server = among_names(Mode::Open).await;
    let rogue = Rogue::start_named("rogue.example", "127.0.0.1").await;
    let port = rogue.provider.port().unwrap();
    for pattern in [
        "rogue.example".to_owned(),
        "ROGUE.Example".to_owned(),
        "rogue.example.".to_owned(),
        "  rogue.example ".to_owned(),
        "https://rogue.example/".to_owned(),
        "rogue.example:443".to_owned(),
        format!("rogue.example:{port}"),
        format!("Rogue.EXAMPLE:{port}"),
    ] {
        server.rule(&pattern, false).await;
        rogue.forget_seen();
        assert_eq!(share_status(&rogue, &server, "1").await, 403, "{pattern}");
        for host in [format!("rogue.example:{port}"), format!("ROGUE.example:{port}")] {
            let refused = server.share("ada", "a.txt", &format!("eve@{host}"), false).await;
            assert_eq!(refused.unwrap_err().reason(), Reason::WeRefuseThem, "{pattern} {host}");
        }
        assert!(rogue.seen().is_empty(), "{pattern}: {:?}", rogue.seen());
        remove_rule(&server, &pattern).await;
    }
    assert_eq!(share_status(&rogue, &server, "1").await, 201, "without a rule");
    assert!(server.sent("ada").await.is_empty());
}

#[actix_web::test]
async fn t48_a_wildcard_is_for_the_names_below_and_for_no_others() {
    let server = among_names(Mode::Open).await;
    server.rule("*.UNI.example", false).await;
    for (name, expected) in [("b.uni.example", 403), ("uni.example", 201), ("xuni.example", 201)] {
        let rogue = Rogue::start_named(name, "127.0.0.1").await;
        assert_eq!(share_status(&rogue, &server, "1").await, expected, "{name}");
    }
    server.rule("bücher.example", false).await;
    let rogue = Rogue::start_named("xn--bcher-kva.example", "127.0.0.1").await;
    assert_eq!(share_status(&rogue, &server, "1").await, 403);
}

#[actix_web::test]
async fn t48_only_what_is_written_in_the_allowlist_is_let_in() {
    let server = among_names(Mode::Allowlist).await;
    let rogue = Rogue::start_named("rogue.example", "127.0.0.1").await;
    let port = rogue.provider.port().unwrap();
    for other in [
        "rogue.example".to_owned(),
        format!("rogue.example:{}", port ^ 1),
        format!("rogue.example.org:{port}"),
        format!("xrogue.example:{port}"),
        "*.rogue.example".to_owned(),
        format!("127.0.0.1:{port}"),
    ] {
        server.rule(&other, true).await;
        assert_eq!(share_status(&rogue, &server, "1").await, 403, "{other}");
    }
    assert!(
        rogue.seen().is_empty(),
        "a server that is not let in is not asked for its keys either"
    );
    server.rule(&format!("Rogue.example:{port}"), true).await;
    assert_eq!(share_status(&rogue, &server, "1").await, 201);
    assert_eq!(server.received("ada").await.len(), 1);
}

#[actix_web::test]
async fn a_denial_wins_over_every_allowance() {
    let server = among_names(Mode::Open).await;
    let rogue = Rogue::start_named("b.uni.example", "127.0.0.1").await;
    server.rule(&rogue.provider.to_string(), true).await;
    server.rule("*.uni.example", false).await;
    assert_eq!(share_status(&rogue, &server, "1").await, 403);
    remove_rule(&server, "*.uni.example").await;
    server.rule("b.uni.example", false).await;
    assert_eq!(share_status(&rogue, &server, "1").await, 403);
}

#[actix_web::test]
async fn a_rule_that_ends_is_over_at_its_second() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let until = server.clock.now().plus(Duration::from_secs(100)).to_string();
    let call = Call::PeerRule {
        host: rogue.provider.to_string(),
        allow: false,
        reason: String::new(),
        note: String::new(),
        until: Some(until),
        by: "a test".to_owned(),
    };
    server.call(call).await.unwrap();
    server.clock.step(Duration::from_secs(99));
    assert_eq!(share_status(&rogue, &server, "1").await, 403);
    server.clock.step(Duration::from_secs(1));
    assert_eq!(share_status(&rogue, &server, "1").await, 201);
}

#[actix_web::test]
async fn rules_are_still_there_after_a_restart() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    server.rule(&rogue.provider.to_string(), false).await;
    let server = server.restart().await;
    assert_eq!(share_status(&rogue, &server, "1").await, 403);
}

/// Status, headers without the date, and body.
async fn whole(answer: reqwest::Response) -> (u16, String, String) {
    let status = answer.status().as_u16();
    let mut headers: Vec<_> = answer
        .headers()
        .iter()
        .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {value:?}"))
        .collect();
    headers.sort();
    (status, headers.join("\n"), answer.text().await.unwrap())
}

async fn exchange(rogue: &Rogue, server: &TestServer, code: &str) -> reqwest::Response {
    let form = format!("grant_type=authorization_code&client_id={}&code={code}", rogue.provider);
    rogue
        .post_bytes(server, TOKEN, FORM, form.into_bytes(), &rogue.key)
        .await
}

#[actix_web::test]
async fn t36_t48_a_denied_server_learns_nothing_from_any_endpoint() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "the content").await;
    let rogue = Rogue::start().await;
    // Before it was denied it had an open share, a token for it, and an invite to use.
    rogue.befriend(&server, "ada").await;
    let sent = server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    let announced = rogue.seen_at("/ocm/shares")[0].json();
    let secret = announced["protocol"]["webdav"]["sharedSecret"].as_str().unwrap();
    let token: Value = {
        let answer = exchange(&rogue, &server, secret).await;
        assert_eq!(answer.status(), 200);
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    };
    let token = token["access_token"].as_str().unwrap();
    let invite = server.invite("ada").await;
    let id = sent["provider_id"].as_str().unwrap();
    let url = server.url(&format!("/dav/ocm/{id}"));
    let read = async |bearer: &str| whole(http().get(&url).bearer_auth(bearer).send().await.unwrap()).await;
    assert_eq!(read(token).await.2, "the content");

    server.rule(&rogue.provider.to_string(), false).await;
    rogue.forget_seen();
    let mut known = Vec::new();
    let mut unknown = Vec::new();
    // What exists, and what does not: the answers are the same to the byte.
    for (user, invite_token, code, share_id, answers) in [
        ("ada", invite["token"].as_str().unwrap(), secret, id, &mut known),
        ("zoe", "guess", "guess", "12345", &mut unknown),
    ] {
        let share = rogue.share_for(&server, user, "9");
        answers.push(whole(rogue.post(&server, "/ocm/shares", &share).await).await);
        let accept = json!({
            "recipientProvider": rogue.provider.to_string(),
            "token": invite_token, "userID": "eve2", "email": "", "name": ""
        });
        answers.push(whole(rogue.post(&server, "/ocm/invite-accepted", &accept).await).await);
        for kind in ["SHARE_ACCEPTED", "SHARE_UNSHARED", "SOMETHING_ELSE"] {
            let notification = json!({ "notificationType": kind, "providerId": share_id, "resourceType": "file" });
            answers.push(whole(rogue.post(&server, "/ocm/notifications", &notification).await).await);
        }
        answers.push(whole(exchange(&rogue, &server, code).await).await);
        answers.push(whole(rogue.post(&server, "/ocm/shares", &json!({ "nonsense": user })).await).await);
        let form = user.as_bytes().to_vec();
        answers.push(whole(rogue.post_bytes(&server, "/ocm/shares", FORM, form, &rogue.key).await).await);
    }
    assert_eq!(known, unknown);
    for (status, _, body) in &known {
        assert!([400, 403].contains(status), "{status} {body}");
        assert!(!body.contains("ada") && !body.contains("because of the test"), "{body}");
    }
    let refusals: Vec<_> = known.iter().filter(|(status, ..)| *status == 403).collect();
    assert!(refusals.iter().all(|answer| *answer == refusals[0]));
    assert_eq!(
        (refusals.len(), &*known[5].2),
        (6, "{\"error\":\"unauthorized_client\"}")
    );

    let (mine, wrong) = (read(token).await, read("a.b.c").await);
    assert_eq!((mine.0, &mine), (401, &wrong));
    assert!(rogue.seen().is_empty(), "it is not even asked for its keys");
    assert_eq!(server.contacts("ada").await.len(), 1);
    assert_eq!(server.sent("ada").await[0]["state"], "pending");
    assert!(server.received("ada").await.is_empty());
}

#[actix_web::test]
async fn dis_12_nothing_is_sent_to_a_server_that_was_denied_meanwhile() {
    let pair = Pair::acquainted().await;
    let (a, b) = (&pair.a, &pair.b);
    a.put_file("ada", "a.txt", "a").await;
    let (_, received) = pair.shared("a.txt", false).await;
    a.put_file("ada", "later.txt", "a").await;
    let queued = a.share("ada", "later.txt", &b.address("bob"), false).await.unwrap();
    a.rule(&b.provider().to_string(), false).await;
    a.deliver().await;
    let sent = a.sent("ada").await;
    let row = sent.iter().find(|row| row["id"] == queued["id"]).unwrap();
    assert_eq!(
        (&row["state"], &row["last_error"]["code"]),
        (&json!("refused"), &json!("we-refuse-them"))
    );
    assert_eq!(b.received("bob").await.len(), 1);
    // The other direction: Bob's server still trusts, and gets nothing.
    let get = Call::ShareGet {
        id: received.clone(),
        path: String::new(),
    };
    b.call(get).await.unwrap_err();
    // And who denies does not read either.
    b.rule(&a.provider().to_string(), false).await;
    let list = Call::ShareLs {
        id: received,
        path: String::new(),
    };
    assert_eq!(b.call(list).await.unwrap_err().reason(), Reason::WeRefuseThem);
    let invite = a.invite("ada").await;
    let refused = b.accept_invite("bob", invite["string"].as_str().unwrap()).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::WeRefuseThem);
}

#[actix_web::test]
async fn inv_8_in_the_mode_invite_a_stranger_may_trade_an_invite_and_nothing_else() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.user("bob").await;
    server.put_file("ada", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    assert_eq!(share_status(&rogue, &server, "1").await, 403);
    let refused = server.share("ada", "a.txt", &rogue.address("eve"), false).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::WeRefuseThem);
    assert!(rogue.seen().is_empty());

    rogue.befriend(&server, "ada").await;
    assert_eq!(share_status(&rogue, &server, "1").await, 201);
    // Ada's contact is no contact of Bob's, and another person there is no contact of anyone's.
    let mut share = rogue.share_for(&server, "bob", "2");
    assert_eq!(rogue.post(&server, "/ocm/shares", &share).await.status(), 403);
    share = rogue.share_for(&server, "ada", "3");
    share["sender"] = json!(rogue.address("mallory"));
    assert_eq!(rogue.post(&server, "/ocm/shares", &share).await.status(), 403);
    // To Eve, who is no contact of theirs, nobody here can be told from nobody at all.
    let to = async |user: &str| {
        let share = rogue.share_for(&server, user, "4");
        whole(rogue.post(&server, "/ocm/shares", &share).await).await
    };
    assert_eq!(to("bob").await, to("nobody").await);
    assert_eq!(server.received("bob").await.len(), 0);
    assert_eq!(server.received("ada").await.len(), 1);
}

#[actix_web::test]
async fn inv_8_a_contact_that_is_removed_can_share_nothing_new_and_what_is_shared_goes_on() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    let announced = rogue.seen_at("/ocm/shares")[0].json();
    let secret = announced["protocol"]["webdav"]["sharedSecret"].as_str().unwrap();
    assert_eq!(exchange(&rogue, &server, secret).await.status(), 200);
    let call = Call::ContactRemove {
        user: Some("ada".to_owned()),
        address: rogue.address("eve"),
        parting: Default::default(),
    };
    server.call(call).await.unwrap();
    server.clock.step(Duration::from_secs(1));
    assert_eq!(exchange(&rogue, &server, secret).await.status(), 200);
    assert_eq!(share_status(&rogue, &server, "1").await, 403);
    // And the one it is shared with still hears of its end.
    let id = server.sent("ada").await[0]["id"].as_str().unwrap().to_owned();
    server.call(Call::ShareStop { user: None, id }).await.unwrap();
    server.deliver().await;
    assert_eq!(rogue.seen_at("/ocm/notifications").len(), 1);
    server.clock.step(Duration::from_secs(1));
    assert_eq!(exchange(&rogue, &server, secret).await.status(), 400);
}

#[actix_web::test]
async fn an_allowed_server_needs_no_invite_and_a_refused_one_gets_no_trade() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    server.rule(&rogue.provider.to_string(), true).await;
    assert_eq!(share_status(&rogue, &server, "1").await, 201);
    let server = TestServer::start_with(mode(Mode::Allowlist)).await;
    server.user("ada").await;
    let invite = server.invite("ada").await;
    let accept = json!({
        "recipientProvider": rogue.provider.to_string(),
        "token": invite["token"], "userID": "eve", "email": "", "name": ""
    });
    assert_eq!(rogue.post(&server, "/ocm/invite-accepted", &accept).await.status(), 403);
    assert!(server.contacts("ada").await.is_empty());
}

#[actix_web::test]
async fn t36_in_the_mode_open_a_trusted_server_learns_who_is_here_and_an_unsigned_one_does_not() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let unsigned = join_all(["ada", "nobody"].map(|user| {
        let body = rogue.share_for(&server, user, "1").to_string().into_bytes();
        let server = &server;
        async move { whole(post_raw(server, "/ocm/shares", "application/json", body, &[]).await).await }
    }))
    .await;
    assert_eq!(unsigned[0].0, 401);
    assert_eq!(unsigned[0], unsigned[1]);
    assert!(rogue.seen().is_empty());
}

#[actix_web::test]
async fn an_explanation_walks_the_questions_in_the_order_they_are_asked() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let host = rogue.provider.to_string();
    let questions = |answer: &Value| -> Vec<String> {
        let steps = answer["steps"].as_array().unwrap();
        steps
            .iter()
            .map(|step| step["question"].as_str().unwrap().to_owned())
            .collect()
    };
    let answer = explain(&server, &host).await;
    assert_eq!(answer["decision"], "denied");
    assert_eq!(answer["host"], host);
    assert_eq!(
        questions(&answer),
        [
            "denied by an admin?",
            "allowed by an admin?",
            "an invite with a user?",
            "the mode?"
        ]
    );
    assert_eq!(
        answer["because"],
        "the mode is \"invite\", and no user has traded one with it"
    );

    rogue.befriend(&server, "ada").await;
    let answer = explain(&server, &format!(" {host}")).await;
    assert_eq!(answer["decision"], "allowed");
    assert_eq!(answer["because"], "ada traded an invite with somebody there");

    server.rule(&host, false).await;
    let answer = explain(&server, &host).await;
    assert_eq!(answer["decision"], "denied");
    assert_eq!(questions(&answer), ["denied by an admin?"]);
    assert_eq!(
        answer["because"],
        format!("the rule for {host}, made by a test, denies it: because of the test")
    );
    assert_eq!(answer["steps"][0]["decides"], true);
    assert!(rogue.seen_at("/ocm/shares").is_empty());
}

#[actix_web::test]
async fn a_rule_for_what_is_no_server_is_refused() {
    let server = TestServer::start().await;
    for host in [
        "",
        "*",
        "*.org",
        "a b",
        "x@b.org",
        "b.org/path",
        "*.127.0.0.1",
        "b.org:99999",
    ] {
        let call = Call::PeerRule {
            host: host.to_owned(),
            allow: true,
            reason: String::new(),
            note: String::new(),
            until: None,
            by: "a test".to_owned(),
        };
        let error = server.call(call).await.unwrap_err();
        assert_eq!(
            (error.reason(), error.field()),
            (Reason::Invalid, Some("host")),
            "{host}"
        );
    }
    let call = Call::PeerRemove {
        host: "never.example".to_owned(),
    };
    assert_eq!(server.call(call).await.unwrap_err().reason(), Reason::NotFound);
}

#[actix_web::test]
async fn t01_t10_made_up_servers_are_not_all_called_and_known_ones_are_still_heard() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let (friend, liar) = (Rogue::start().await, Rogue::start().await);
    friend.befriend(&server, "ada").await;
    let share = liar.share_for(&server, "ada", "1");
    let mut busy = 0;
    for number in 0..130 {
        // Another one each time, as a wildcard in the DNS would give; nobody listens there.
        let host = format!(
            "127.0.{}.{}:{}",
            1 + number / 250,
            1 + number % 250,
            liar.provider.port().unwrap()
        );
        let key = SigningKey::from_seed(&format!("http://{host}/ocm#k"), &[9; 32]).unwrap();
        let mut share = share.clone();
        for field in ["sender", "owner"] {
            share[field] = json!(format!("x@{host}"));
        }
        let answer = liar
            .post_bytes(
                &server,
                "/ocm/shares",
                "application/json",
                share.to_string().into_bytes(),
                &key,
            )
            .await;
        match answer.status().as_u16() {
            401 => {}
            503 => busy += 1,
            other => panic!("{other}"),
        }
    }
    assert_eq!(busy, 130 - 119, "the friend was the first stranger of this minute");
    assert_eq!(share_status(&friend, &server, "2").await, 201);
    server.clock.step(Duration::from_secs(61));
    assert_eq!(share_status(&liar, &server, "3").await, 201);
}

#[actix_web::test]
async fn a_list_of_more_than_a_page_is_shown_whole() {
    let server = TestServer::start().await;
    let server = &server;
    let rules = (0..1001).map(|number| async move { server.rule(&format!("s{number}.example"), false).await });
    join_all(rules).await;
    assert_eq!(
        server.call(Call::PeerList).await.unwrap().as_array().unwrap().len(),
        1001
    );
}
