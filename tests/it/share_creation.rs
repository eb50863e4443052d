//! Telling another server about a share (_Share Creation Notification_), in both roles: what is sent, what is taken, from
//! whom, and what a sender learns by asking.

use std::time::Duration;

use futures_util::future::join_all;
use ocmesh::api::Call;
use ocmesh::config::Config;
use ocmesh::config::Mode;
use ocmesh::error::Reason;
use ocmesh::ocm::jwks::JwkSet;
use ocmesh::ocm::signature;
use ocmesh::ocm::signature::Unverified;
use ocmesh::ocm::signature::Window;
use serde_json::Value;
use serde_json::json;

use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::START;
use crate::harness::TestServer;
use crate::harness::everything;
use crate::harness::http;
use crate::harness::mode;
use crate::harness::post_raw;
use crate::harness::raw_head;

/// A server with Bob, and a peer that may share with him.
async fn acquainted() -> (TestServer, Rogue) {
    let server = TestServer::start().await;
    server.user("bob").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "bob").await;
    (server, rogue)
}

async fn post(rogue: &Rogue, server: &TestServer, share: &Value) -> (u16, Value) {
    let answer = rogue.post(server, "/ocm/shares", share).await;
    let status = answer.status().as_u16();
    (
        status,
        serde_json::from_str(&answer.text().await.unwrap()).unwrap_or_default(),
    )
}

/// Shares Ada's file with the rogue's Eve and delivers that; gives what arrived.
async fn announced(server: &TestServer, rogue: &Rogue) -> Value {
    server
        .share("ada", "/a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    rogue.seen_at("/ocm/shares").pop().unwrap().json()
}

/// A server with Ada and her file, open to everyone.
async fn sender() -> TestServer {
    sender_with(mode(Mode::Open)).await
}

async fn sender_with(change: impl FnOnce(&mut Config)) -> TestServer {
    let server = TestServer::start_with(change).await;
    server.user("ada").await;
    server.put_file("ada", "/a.txt", "hello").await;
    server
}

/// The rogue's discovery document with `change`.
fn says(rogue: &Rogue, change: impl FnOnce(&mut Value)) {
    let mut discovery = rogue.discovery();
    change(&mut discovery);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, discovery));
}

#[actix_web::test]
async fn shr_1_shr_15_a_share_arrives_in_the_inbox_of_the_one_it_is_for() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "/report.txt", "hello").await;
    let to = pair.b.address("bob");
    let sent = pair.a.share("ada", "/report.txt", &to, true).await.unwrap();
    assert!(
        pair.b.received("bob").await.is_empty(),
        "nothing goes out before it is due"
    );
    pair.a.deliver().await;
    let [received] = &pair.b.received("bob").await[..] else {
        panic!("one share");
    };
    assert_eq!(received["provider_id"], sent["provider_id"]);
    assert_eq!(received["name"], "report.txt");
    assert_eq!(received["sender"], pair.a.address("ada"));
    assert_eq!(received["state"], "pending");
    assert_eq!(
        received["permissions"],
        json!({"read": true, "write": true, "share": false})
    );
    // SHR-15: it can't be used before Bob has decided.
    let id = received["id"].as_str().unwrap().to_owned();
    let path = "/".to_owned();
    let refused = pair
        .b
        .call(Call::ShareGet {
            id: id.clone(),
            path: path.clone(),
        })
        .await;
    assert_eq!(refused.unwrap_err().reason(), Reason::NotAllowed);
    let refused = pair.b.call_with(Call::SharePut { id, path }, b"x").await;
    assert_eq!(refused.unwrap_err().reason(), Reason::NotAllowed);
    assert!(pair.a.queue().await.is_empty());
}

#[actix_web::test]
async fn shr_4_shr_6_sig_1_what_we_send_is_whole_and_signed_in_the_one_form() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    let share = announced(&server, &rogue).await;
    let id = share["providerId"].as_str().unwrap();
    let number: u64 = id.parse().unwrap();
    assert!(number > 0 && number < 1 << 53 && number.to_string() == id, "{id}");
    let secret = share["protocol"]["webdav"]["sharedSecret"].as_str().unwrap();
    assert!(secret.len() >= 32 && secret.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let ada = server.address("ada");
    assert_eq!(
        share,
        json!({
            "shareWith": rogue.address("eve"),
            "name": "a.txt",
            "description": "",
            "providerId": id,
            "owner": ada,
            "sender": ada,
            "ownerDisplayName": "ADA of the tests",
            "senderDisplayName": "ADA of the tests",
            "shareType": "user",
            "resourceType": "file",
            "protocol": { "name": "multi", "webdav": {
                "uri": id,
                "sharedSecret": secret,
                "permissions": ["read"],
                "requirements": ["must-exchange-token"]
            }}
        })
    );

    // SIG-1: one signature that both profiles take, and that our published key proves.
    let seen = rogue.seen_at("/ocm/shares").pop().unwrap();
    let input = &seen.headers["signature-input"];
    let covered = "ocm=(\"@method\" \"@target-uri\" \"content-digest\" \"content-length\" \"date\");";
    assert!(input.starts_with(covered) && input.contains(";tag=\"ocm\""), "{input}");
    assert!(!seen.headers.contains_key("authorization") && !seen.headers.contains_key("cookie"));
    let headers: Vec<_> = seen
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), value.clone().into_bytes()))
        .collect();
    let target_uri = format!("http://{}/ocm/shares", rogue.provider);
    let request = signature::Request {
        method: "POST",
        target_uri: &target_uri,
        headers: &headers,
        body: &seen.body,
    };
    let keys = http().get(server.url("/.well-known/jwks.json")).send().await.unwrap();
    let keys = JwkSet::parse(&keys.bytes().await.unwrap()).unwrap();
    let unverified = Unverified::read(&request).unwrap().unwrap();
    let key = keys.find_trusted(unverified.keyid()).unwrap().clone();
    let verified = unverified.check(&request, START, &Window::default(), &key).unwrap();
    assert_eq!(&verified.signer, server.provider());
}

#[actix_web::test]
async fn shr_2_a_token_is_required_of_whoever_can_exchange_one_and_of_nobody_else() {
    let requirements = async |change: fn(&mut Value)| {
        let server = sender().await;
        let rogue = Rogue::start().await;
        says(&rogue, change);
        let share = announced(&server, &rogue).await;
        let text = share.to_string();
        let secrets = text.matches("sharedSecret").count();
        (share["protocol"]["webdav"]["requirements"].clone(), secrets)
    };
    let strict = json!(["must-exchange-token"]);
    assert_eq!(requirements(|_| {}).await, (strict.clone(), 1));
    assert_eq!(
        requirements(|says| says["criteria"] = json!(["must-exchange-token"])).await,
        (strict.clone(), 1)
    );
    // Even an old one gets no form in which the secret could be used as it is.
    let old = |says: &mut Value| {
        says["apiVersion"] = json!("1.0-proposal1");
        says["capabilities"] = json!(["http-sig", "exchange-token"]);
    };
    assert_eq!(requirements(old).await, (strict, 1));
    // SHR-3: a receiver without the capability is not asked for what it can't do.
    let unable = |says: &mut Value| says["capabilities"] = json!(["http-sig", "protocol-object"]);
    assert_eq!(requirements(unable).await, (Value::Null, 1));
}

#[actix_web::test]
async fn shr_2_where_this_server_insists_on_tokens_there_is_no_share_without() {
    let server = sender_with(|config| {
        config.federation.mode = Mode::Open;
        config.federation.require_token_exchange = true;
    })
    .await;
    let rogue = Rogue::start().await;
    says(&rogue, |says| {
        says["capabilities"] = json!(["http-sig", "protocol-object"])
    });
    let refused = server.share("ada", "/a.txt", &rogue.address("eve"), false).await;
    assert_eq!(refused.unwrap_err().reason(), Reason::NeedsTokenExchange);
    server.deliver().await;
    assert!(server.sent("ada").await.is_empty());
    assert!(rogue.seen_at("/ocm/shares").is_empty());
}

#[actix_web::test]
async fn shr_5_an_old_server_gets_the_spelling_that_it_reads() {
    let spelling = async |version: &str, capabilities: Value| {
        let server = sender().await;
        let rogue = Rogue::start().await;
        server.rule(&rogue.provider.to_string(), true).await;
        says(&rogue, |says| {
            says["apiVersion"] = json!(version);
            says["capabilities"] = capabilities;
        });
        announced(&server, &rogue).await
    };
    for (version, capabilities) in [
        ("1.0-proposal1", json!(["protocol-object"])),
        ("1.1.0", json!([])),
        ("1.2.0", json!(["invites"])),
    ] {
        let share = spelling(version, capabilities.clone()).await;
        assert_eq!(share["protocol"]["name"], "multi", "{version} {capabilities}");
        assert!(share["protocol"].get("options").is_none() && share.get("sharedBy").is_none());
    }
    let share = spelling("1.0-proposal1", json!(["invite-accepted", "notifications", "shares"])).await;
    let protocol = &share["protocol"];
    assert_eq!(protocol["name"], "webdav");
    assert_eq!(protocol["options"]["sharedSecret"], protocol["webdav"]["sharedSecret"]);
    assert_eq!(share["sharedBy"], share["sender"]);
}

#[actix_web::test]
async fn shr_5_all_three_spellings_are_taken() {
    let (server, rogue) = acquainted().await;
    let secret = "s3cretcanaryofthesharethatisneverlogged";
    for (id, protocol) in [
        json!({ "name": "webdav", "options": { "sharedSecret": secret, "permissions": "{x}share-permissions" } }),
        json!({ "name": "webdav", "webdav": { "uri": "x", "sharedSecret": secret, "permissions": ["read"] } }),
        json!({ "name": "multi", "webdav": { "uri": "x", "sharedSecret": secret, "permissions": ["read"] },
            "webapp": { "uri": "https://app.example/", "sharedSecret": secret, "permissions": ["view"], "targets": ["blank"],
                "requirements": ["must-exchange-token"] } }),
    ]
    .into_iter()
    .enumerate()
    {
        let mut share = rogue.share_for(&server, "bob", &id.to_string());
        share["protocol"] = protocol;
        assert_eq!(post(&rogue, &server, &share).await.0, 201, "{share}");
    }
    assert_eq!(server.received("bob").await.len(), 3);
}

#[actix_web::test]
async fn shr_12_each_refusal_has_its_status_and_leaves_nothing() {
    let (server, rogue) = acquainted().await;
    let now = START.0;
    let set = |pointer: &'static str, value: Value| (pointer, Some(value));
    let cases = [
        (set("/name", json!("")), 400),
        (set("/name", json!("../x")), 400),
        (set("/name", json!("..")), 400),
        (set("/providerId", json!("")), 400),
        (set("/providerId", json!(1.5)), 400),
        (set("/shareWith", json!("bob")), 400),
        (set("/shareWith", json!(7)), 400),
        (set("/sender", json!("eve")), 400),
        (set("/expiration", json!(now)), 400),
        (set("/expiration", json!(now - 1)), 400),
        (set("/expiration", json!(-1)), 400),
        (set("/expiration", json!("tomorrow")), 400),
        (set("/protocol", json!("webdav")), 400),
        (set("/protocol/webdav/sharedSecret", json!("")), 400),
        (set("/protocol/webdav/sharedSecret", json!(null)), 400),
        (set("/protocol/webdav/uri", json!("https://evil.example/x")), 400),
        (set("/protocol/webdav/uri", json!("//evil.example/x")), 400),
        (set("/protocol/webdav/uri", json!("../../x")), 400),
        (set("/shareType", json!("group")), 501),
        (set("/shareType", json!("federation")), 501),
        (set("/shareType", json!("planet")), 501),
        (set("/resourceType", json!("talk-room")), 501),
        (
            set(
                "/protocol",
                json!({ "name": "multi", "ssh": { "uri": "eve@h.example:22/x" } }),
            ),
            501,
        ),
        (set("/protocol/webdav/requirements", json!(["must-use-mfa"])), 501),
        (set("/protocol/webdav/requirements", json!(["must-dance"])), 501),
        (("/name", None), 400),
        (("/providerId", None), 400),
        (("/shareWith", None), 400),
        (("/owner", None), 400),
        (("/shareType", None), 400),
        (("/resourceType", None), 400),
        (("/protocol", None), 400),
    ];
    for ((pointer, value), expected) in cases {
        let mut share = rogue.share_for(&server, "bob", "1");
        match &value {
            Some(value) => *share.pointer_mut(pointer).unwrap_or(&mut Value::Null) = value.clone(),
            None => drop(share.as_object_mut().unwrap().remove(&pointer[1..])),
        }
        if pointer == "/expiration" {
            share["expiration"] = value.clone().unwrap();
        }
        let (status, body) = post(&rogue, &server, &share).await;
        assert_eq!(status, expected, "{pointer} {value:?}: {body}");
        assert!(body["message"].is_string(), "{body}");
        if status == 400 {
            assert!(
                body["validationErrors"][0]["name"].is_string(),
                "{pointer} {value:?}: {body}"
            );
        }
        server.clock.step(Duration::from_secs(1));
    }
    assert!(server.received("bob").await.is_empty());

    let (status, body) = post(&rogue, &server, &rogue.share_for(&server, "bob", "1")).await;
    assert_eq!((status, body), (201, json!({ "recipientDisplayName": "bob" })));
    // When nothing can be kept, it is "not now", and never a status on which peers delete what they have.
    server.site().store.close().unwrap();
    let answer = rogue
        .post(&server, "/ocm/shares", &rogue.share_for(&server, "bob", "2"))
        .await;
    assert_eq!(answer.status(), 503);
    assert!(answer.headers().contains_key("retry-after"));
}

#[actix_web::test]
async fn shr_13_whom_policy_refuses_gets_403_and_learns_nothing() {
    let (server, rogue) = acquainted().await;
    server.user("carol").await;
    let stranger = Rogue::start().await;
    let mut answers = Vec::new();
    for name in ["bob", "BOB", "carol", "nobody", "root", "x y"] {
        let answer = stranger
            .post(&server, "/ocm/shares", &stranger.share_for(&server, name, name))
            .await;
        assert_eq!(answer.status(), 403);
        answers.push(everything(answer).await);
    }
    // T-36: a stranger gets the same for who lives here and who does not; and nobody asks it for its keys.
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert!(stranger.seen().is_empty());
    // The friend of one is a stranger to the others.
    let mut answers = Vec::new();
    for name in ["carol", "nobody", "root"] {
        let answer = rogue
            .post(&server, "/ocm/shares", &rogue.share_for(&server, name, name))
            .await;
        assert_eq!(answer.status(), 403);
        answers.push(everything(answer).await);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    // So is another person of the friend's server.
    let mut share = rogue.share_for(&server, "bob", "9");
    share["sender"] = json!(rogue.address("mallory"));
    share["owner"] = json!(rogue.address("mallory"));
    assert_eq!(post(&rogue, &server, &share).await.0, 403);
    // And the friend, once its server is denied.
    server.rule(&rogue.provider.to_string(), false).await;
    let denied = rogue
        .post(&server, "/ocm/shares", &rogue.share_for(&server, "bob", "10"))
        .await;
    assert_eq!(denied.status(), 403);
    for user in ["bob", "carol"] {
        assert!(server.received(user).await.is_empty());
    }
}

#[actix_web::test]
async fn shr_14_owner_and_sender_are_of_the_server_that_signed() {
    let (server, rogue) = acquainted().await;
    let friend = Rogue::start().await;
    friend.befriend(&server, "bob").await;
    for (field, status) in [("owner", 403), ("sender", 401)] {
        let mut share = rogue.share_for(&server, "bob", "1");
        share[field] = json!(friend.address("eve"));
        assert_eq!(post(&rogue, &server, &share).await.0, status, "{field}");
    }
    // Two people of one server may differ.
    let mut share = rogue.share_for(&server, "bob", "2");
    share["owner"] = json!(rogue.address("the owner"));
    assert_eq!(post(&rogue, &server, &share).await.0, 201);
    let rows = server.received("bob").await;
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["owner"], rogue.address("the owner"));
}

#[actix_web::test]
async fn shr_16_the_same_share_again_is_the_same_and_another_one_is_refused() {
    let (server, rogue) = acquainted().await;
    server.user("carol").await;
    rogue.befriend(&server, "carol").await;
    let share = rogue.share_for(&server, "bob", "1");
    // At once, and again and again: one row.
    let again = async |seconds: i64| {
        let bytes = share.to_string().into_bytes();
        let at = ocmesh::clock::Timestamp(START.0 + seconds);
        let headers = rogue.sign(&server, "/ocm/shares", &bytes, at, &rogue.key);
        let answer = post_raw(&server, "/ocm/shares", "application/json", bytes, &headers).await;
        answer.status().as_u16()
    };
    assert_eq!(join_all((-8..0).map(again)).await, [201; 8]);
    let first = server.received("bob").await;
    assert_eq!(first.len(), 1);

    // T-38: the same id for something else is no overwriting.
    let now = START.0;
    for (pointer, value) in [
        ("/shareWith", json!(server.address("carol"))),
        ("/name", json!("other.txt")),
        ("/resourceType", json!("folder")),
        ("/owner", json!(rogue.address("other"))),
        ("/expiration", json!(now + 86_400)),
        ("/protocol/webdav/uri", json!("2")),
        (
            "/protocol/webdav/sharedSecret",
            json!("another secret than the one before"),
        ),
        ("/protocol/webdav/permissions", json!(["read", "write"])),
        ("/protocol/webdav/requirements", json!([])),
    ] {
        let mut other = share.clone();
        other["expiration"] = Value::Null;
        *other.pointer_mut(pointer).unwrap() = value;
        let (status, body) = post(&rogue, &server, &other).await;
        assert_eq!((status, &body["message"]), (409, &json!("CONFLICT")), "{pointer}");
    }
    // What is for people only may change: nothing depends on it.
    let mut renamed = share.clone();
    renamed["senderDisplayName"] = json!("Eve, married");
    assert_eq!(post(&rogue, &server, &renamed).await.0, 201);
    assert_eq!(server.received("bob").await, first);
    assert!(server.received("carol").await.is_empty());
}

#[actix_web::test]
async fn t38_the_same_id_from_two_servers_is_two_shares() {
    let (server, rogue) = acquainted().await;
    let honest = Rogue::start().await;
    honest.befriend(&server, "bob").await;
    assert_eq!(
        post(&honest, &server, &honest.share_for(&server, "bob", "1")).await.0,
        201
    );
    assert_eq!(
        post(&rogue, &server, &rogue.share_for(&server, "bob", "1")).await.0,
        201
    );
    let unshared = json!({ "notificationType": "SHARE_UNSHARED", "providerId": "1" });
    assert_eq!(rogue.post(&server, "/ocm/notifications", &unshared).await.status(), 201);
    let rows = server.received("bob").await;
    assert_eq!(rows.len(), 2);
    for row in rows {
        let expected = if row["sender"] == honest.address("eve") {
            "pending"
        } else {
            "gone"
        };
        assert_eq!(row["state"], expected, "{row}");
    }
    // Ids that would be another's if they were glued to the name of their server, or taken for a path.
    for (id, expected) in [
        (format!("{}/1", honest.provider), 201),
        ("a/b/../c".to_owned(), 201),
        ("%2e%2e".to_owned(), 201),
        ("ü".to_owned(), 201),
        ("1\u{0}".to_owned(), 400),
        ("1\n".to_owned(), 400),
        ("x".repeat(128), 201),
        ("x".repeat(129), 400),
        ("x".repeat(4096), 400),
    ] {
        let mut share = rogue.share_for(&server, "bob", &id);
        share["protocol"]["webdav"]["uri"] = json!("x");
        assert_eq!(post(&rogue, &server, &share).await.0, expected, "{id:.20}");
        let unshared = json!({ "notificationType": "SHARE_UNSHARED", "providerId": id });
        assert_eq!(
            rogue.post(&server, "/ocm/notifications", &unshared).await.status(),
            expected,
            "{id:.20}"
        );
    }
    let rows = server.received("bob").await;
    let theirs = rows.iter().find(|row| row["sender"] == honest.address("eve")).unwrap();
    assert_eq!(theirs["state"], "pending");
}

#[actix_web::test]
async fn t26_a_message_that_is_too_large_is_not_read_to_its_end() {
    let (server, rogue) = acquainted().await;
    let limit = 64 * 1024;
    let share = rogue.share_for(&server, "bob", "1").to_string();
    let padded = |length: usize| format!("{share}{}", " ".repeat(length - share.len())).into_bytes();
    let json = "application/json";
    let post = async |body| rogue.post_bytes(&server, "/ocm/shares", json, body, &rogue.key).await;
    assert_eq!(post(padded(limit + 1)).await.status(), 413);
    assert!(server.received("bob").await.is_empty());
    assert_eq!(post(padded(limit)).await.status(), 201);

    let head = |lengths: &str| {
        let host = server.provider();
        format!("POST /ocm/shares HTTP/1.1\r\nhost: {host}\r\ncontent-type: {json}\r\n{lengths}\r\n").into_bytes()
    };
    // Declared: refused before a byte of it came. The answer is there although the body never is.
    for declared in ["65537", "1073741824", "18446744073709551615"] {
        let answer = raw_head(server.provider(), &head(&format!("content-length: {declared}\r\n"))).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{declared}: {answer}");
    }
    let answer = raw_head(server.provider(), &head("content-length: 18446744073709551616\r\n")).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    // Streamed without a length: refused at the first byte too many, though there is no end in sight.
    let chunk = [
        format!("{limit:x}\r\n").as_bytes(),
        &vec![b' '; limit],
        b"\r\n10\r\n0123456789abcdef\r\n",
    ]
    .concat();
    let endless = [head("transfer-encoding: chunked\r\n"), chunk].concat();
    let answer = raw_head(server.provider(), &endless).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    // Others are served all the while, and the same peer too.
    assert_eq!(
        self::post(&rogue, &server, &rogue.share_for(&server, "bob", "2"))
            .await
            .0,
        201
    );
    assert_eq!(server.received("bob").await.len(), 2);
}

#[actix_web::test]
async fn t27_t28_json_that_is_deep_doubtful_or_long_is_refused() {
    let (server, rogue) = acquainted().await;
    let good = rogue.share_for(&server, "bob", "1");
    let text = good.to_string();
    let with = |field: &str, value: &str| {
        let mut share = good.clone();
        share[field] = json!(value);
        share.to_string()
    };
    let sender = rogue.address("eve");
    let long = |length: usize| "x".repeat(length);
    let bodies = [
        "[".repeat(60_000),
        "{\"a\":".repeat(10_000),
        format!("{{\"deep\":{}1{},{}", "[".repeat(40), "]".repeat(40), &text[1..]),
        " ".to_owned(),
        "null".to_owned(),
        format!("[{text}]"),
        format!("{text}{text}"),
        // A key twice: the second would be Bob's own server, a path, another person.
        text.replacen('{', &format!("{{\"sender\":\"{sender}\","), 1),
        text.replacen('{', "{\"name\":\"x\",", 1),
        text.replacen("\"webdav\":{", "\"webdav\":{\"uri\":\"y\",", 1),
        text.replacen('{', "{\"n\\u0061me\":\"x\",", 1),
        with("name", &long(256)),
        with("senderDisplayName", &long(256)),
        with("ownerDisplayName", &long(256)),
        with("description", &long(4097)),
        with("shareWith", &format!("{}@{}", long(256), server.provider())),
        with("shareWith", &format!("{}@{}", long(600), server.provider())),
        with("name", "a\u{0}b"),
        with("name", "a\nb"),
        with("name", "a\u{1b}[31mb"),
        with("senderDisplayName", "a\r\nb"),
        with("description", "a\u{7}b"),
        with("shareWith", &format!("bo\u{202e}b@{}", server.provider())),
        text.replace("s3cretcanaryofthesharethatisneverlogged", &long(1025)),
    ];
    for body in bodies {
        let answer = rogue
            .post_bytes(
                &server,
                "/ocm/shares",
                "application/json",
                body.clone().into_bytes(),
                &rogue.key,
            )
            .await;
        assert_eq!(answer.status(), 400, "{body:.200}");
    }
    let invalid = [
        text.as_bytes()[..20].to_vec(),
        b"\xff\xfe".to_vec(),
        b"{\"name\":\"\xff\"}".to_vec(),
    ];
    for body in invalid {
        let answer = rogue
            .post_bytes(&server, "/ocm/shares", "application/json", body, &rogue.key)
            .await;
        assert_eq!(answer.status(), 400);
    }
    for content_type in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
    ] {
        let body = text.clone().into_bytes();
        let answer = rogue
            .post_bytes(&server, "/ocm/shares", content_type, body, &rogue.key)
            .await;
        assert_eq!(answer.status(), 400, "{content_type}");
    }
    assert!(server.received("bob").await.is_empty());
    let body = text.into_bytes();
    let with_charset = "application/json; charset=utf-8";
    let answer = rogue
        .post_bytes(&server, "/ocm/shares", with_charset, body, &rogue.key)
        .await;
    assert_eq!(answer.status(), 201);
}

#[actix_web::test]
async fn t28_everything_as_long_as_it_may_be_is_refused_or_kept_whole_and_never_an_accident() {
    let (server, rogue) = acquainted().await;
    let mut share = rogue.share_for(&server, "bob", &"p".repeat(128));
    share["name"] = json!("\"".repeat(255));
    share["senderDisplayName"] = json!("\"".repeat(255));
    share["ownerDisplayName"] = json!("\"".repeat(255));
    share["protocol"]["webdav"]["uri"] = json!(format!("{}/\"", "u".repeat(2000)));
    share["protocol"]["webdav"]["sharedSecret"] = json!("\"".repeat(1024));
    for length in [10, 1000, 4096] {
        share["description"] = json!("\n".repeat(length - 1) + "x");
        share["providerId"] = json!(length.to_string());
        let (status, body) = post(&rogue, &server, &share).await;
        assert!(matches!(status, 201 | 400 | 413), "{length}: {status} {body}");
        let rows = server.received("bob").await;
        let kept = rows.iter().find(|row| row["provider_id"] == share["providerId"]);
        assert_eq!(kept.is_some(), status == 201, "{length}: {status}");
        assert!(kept.is_none_or(|row| row["name"] == share["name"]));
    }
}

#[actix_web::test]
async fn t80_what_was_answered_with_201_is_there_after_a_restart() {
    let (server, rogue) = acquainted().await;
    let mut server = server;
    for round in 0..3 {
        let share = rogue.share_for(&server, "bob", &round.to_string());
        assert_eq!(post(&rogue, &server, &share).await.0, 201);
        server = server.restart().await;
        assert_eq!(server.received("bob").await.len(), round + 1);
        // Whoever missed the answer asks again, and gets the same.
        server.clock.step(Duration::from_secs(1));
        assert_eq!(post(&rogue, &server, &share).await.0, 201);
        assert_eq!(server.received("bob").await.len(), round + 1);
    }
}

#[actix_web::test]
async fn t42_a_share_that_has_ended_is_of_no_use_to_its_receiver() {
    let (server, rogue) = acquainted().await;
    let mut share = rogue.share_for(&server, "bob", "1");
    share["expiration"] = json!(START.0 + 60);
    assert_eq!(post(&rogue, &server, &share).await.0, 201);
    let id = server.received("bob").await[0]["id"].as_str().unwrap().to_owned();
    rogue.forget_seen();
    server.clock.step(Duration::from_secs(60));
    let late = server
        .call(Call::ShareAccept {
            user: None,
            id: id.clone(),
        })
        .await;
    assert_eq!(late.unwrap_err().reason(), Reason::Conflict);
    assert_eq!(server.received("bob").await[0]["expired"], true);
    // The sender can't lengthen it by saying it again.
    share["expiration"] = json!(START.0 + 3600);
    assert_eq!(post(&rogue, &server, &share).await.0, 409);
    server.deliver().await;
    assert!(rogue.seen_at("/ocm/notifications").is_empty());
}

#[actix_web::test]
async fn dis_8_each_criterion_that_is_published_is_enforced_and_none_is_beyond() {
    let ask = async |change: fn(&mut Config)| {
        let server = TestServer::start_with(change).await;
        server.user("bob").await;
        let document = http().get(server.url("/.well-known/ocm")).send().await.unwrap();
        let document: Value = serde_json::from_str(&document.text().await.unwrap()).unwrap();
        let criteria: Vec<String> = serde_json::from_value(document["criteria"].clone()).unwrap();
        let stranger = Rogue::start().await;
        says(&stranger, |says| {
            says["capabilities"] = json!(["protocol-object", "exchange-token"])
        });
        let share = |id: &str, requirements: Value| {
            let mut share = stranger.share_for(&server, "bob", id);
            share["protocol"]["webdav"]["requirements"] = requirements;
            share
        };
        // Unsigned, signed without a token required, signed and strict, strict from an allowed one, from a denied one.
        let body = share("1", json!(["must-exchange-token"])).to_string().into_bytes();
        let unsigned = post_raw(&server, "/ocm/shares", "application/json", body, &[]).await;
        let mut answers = vec![unsigned.status().as_u16()];
        answers.push(post(&stranger, &server, &share("2", json!([]))).await.0);
        answers.push(
            post(&stranger, &server, &share("3", json!(["must-exchange-token"])))
                .await
                .0,
        );
        server.rule(&stranger.provider.to_string(), true).await;
        answers.push(
            post(&stranger, &server, &share("4", json!(["must-exchange-token"])))
                .await
                .0,
        );
        server.rule(&stranger.provider.to_string(), false).await;
        answers.push(
            post(&stranger, &server, &share("5", json!(["must-exchange-token"])))
                .await
                .0,
        );
        (criteria.join(" "), answers)
    };
    let check = |found: (String, Vec<u16>), criteria: &str, answers: [u16; 5]| {
        let mut sorted: Vec<_> = found.0.split(' ').collect();
        sorted.sort_unstable();
        assert_eq!(
            (sorted.join(" ").as_str(), found.1.as_slice()),
            (criteria, &answers[..])
        );
    };
    let found = ask(|_| {}).await;
    check(found, "denylist must-invite", [403, 403, 403, 201, 403]);
    let found = ask(|config| config.federation.mode = Mode::Allowlist).await;
    check(found, "allowlist denylist", [403, 403, 403, 201, 403]);
    let found = ask(|config| config.federation.mode = Mode::Open).await;
    // Nobody knows it: it would have to sign, which whoever can must.
    check(found, "denylist", [401, 201, 201, 201, 403]);
    let found = ask(|config| {
        config.federation.mode = Mode::Open;
        config.federation.require_signatures = true;
        config.federation.require_token_exchange = true;
    })
    .await;
    check(
        found,
        "denylist must-exchange-token must-use-http-sig",
        [401, 403, 201, 201, 403],
    );
}

#[actix_web::test]
async fn a_share_for_someone_elsewhere_is_not_taken() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("bob").await;
    let rogue = Rogue::start().await;
    let port = server.provider().port().unwrap();
    for address in [
        "bob@cloud.example.org".to_owned(),
        format!("bob@127.0.0.1:{}", port ^ 1),
        "bob@127.0.0.1".to_owned(),
        rogue.address("bob"),
        "bob@x.evil.example".to_owned(),
    ] {
        let mut share = rogue.share_for(&server, "bob", "1");
        share["shareWith"] = json!(address);
        let (status, body) = post(&rogue, &server, &share).await;
        assert_eq!(
            (status, &body["message"]),
            (400, &json!("RECIPIENT_NOT_FOUND")),
            "{address}"
        );
    }
    assert!(server.received("bob").await.is_empty());
    // Never from itself, whoever signs.
    let mut own = rogue.share_for(&server, "bob", "1");
    for field in ["sender", "owner"] {
        own[field] = json!(server.address("bob"));
    }
    assert_eq!(post(&rogue, &server, &own).await.0, 401);
    let to_itself = server.share("bob", "/x", &server.address("bob"), false).await;
    assert!(to_itself.is_err());
    // Names are taken without regard to case, as the address is that a person reads out.
    let mut shouted = rogue.share_for(&server, "BOB", "2");
    shouted["shareWith"] = json!(format!("BOB@https://{}/", server.provider()));
    assert_eq!(
        post(&rogue, &server, &shouted).await,
        (201, json!({ "recipientDisplayName": "bob" }))
    );
}
