//! Exchanging a shared secret for a token (_Code Flow_), in both roles, and what a token opens: its share, for its time.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use ocmesh::api::Call;
use ocmesh::config::Config;
use ocmesh::config::Mode;
use ocmesh::error::Reason;
use serde_json::Value;
use serde_json::json;

use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::everything;
use crate::harness::http;
use crate::harness::mode;
use crate::harness::post_raw;

const FORM: &str = "application/x-www-form-urlencoded";
const TOKEN: &str = "/ocm/token";

/// What a receiving server knows of a share.
struct Known {
    id: String,
    secret: String,
}

impl Known {
    fn path(&self) -> String {
        format!("/dav/ocm/{}", self.id)
    }
}

/// A server with Ada, a file and a folder, open to everyone.
async fn sender() -> TestServer {
    sender_with(mode(Mode::Open)).await
}

async fn sender_with(change: impl FnOnce(&mut Config)) -> TestServer {
    let server = TestServer::start_with(change).await;
    server.user("ada").await;
    server.put_file("ada", "/a.txt", "hello").await;
    server
}

/// A rogue that takes shares but can't exchange anything.
async fn old_rogue() -> Rogue {
    let rogue = Rogue::start().await;
    let mut says = rogue.discovery();
    says["capabilities"] = json!(["http-sig", "protocol-object"]);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, says));
    rogue
}

async fn shared(server: &TestServer, rogue: &Rogue, path: &str, until: Option<&str>) -> Known {
    let call = Call::ShareCreate {
        user: Some("ada".to_owned()),
        path: path.to_owned(),
        to: rogue.address("eve"),
        write: false,
        until: until.map(str::to_owned),
    };
    let sent = server.call(call).await.unwrap();
    server.deliver().await;
    let id = sent["provider_id"].as_str().unwrap().to_owned();
    let seen = rogue.seen_at("/ocm/shares").pop().unwrap().json();
    assert_eq!(seen["providerId"], id.as_str());
    let secret = seen["protocol"]["webdav"]["sharedSecret"].as_str().unwrap().to_owned();
    Known { id, secret }
}

fn form(rogue: &Rogue, code: &str) -> String {
    format!("grant_type=authorization_code&client_id={}&code={code}", rogue.provider)
}

async fn ask(rogue: &Rogue, server: &TestServer, form: &str) -> reqwest::Response {
    // A second of its own: the same request in the same second would be a replay.
    server.clock.step(Duration::from_secs(1));
    rogue
        .post_bytes(server, TOKEN, FORM, form.as_bytes().to_vec(), &rogue.key)
        .await
}

async fn body_of(answer: reqwest::Response) -> Value {
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

async fn token(rogue: &Rogue, server: &TestServer, share: &Known) -> String {
    let answer = ask(rogue, server, &form(rogue, &share.secret)).await;
    assert_eq!(answer.status(), 200);
    body_of(answer).await["access_token"].as_str().unwrap().to_owned()
}

async fn get(server: &TestServer, path: &str, authorization: &str) -> u16 {
    let request = http().get(server.url(path)).header("authorization", authorization);
    request.send().await.unwrap().status().as_u16()
}

async fn opens(server: &TestServer, share: &Known, token: &str) -> bool {
    match get(server, &share.path(), &format!("Bearer {token}")).await {
        200 => true,
        // With a credential of another share it is a path in that.
        401 | 404 => false,
        other => panic!("{other}"),
    }
}

#[actix_web::test]
async fn tok_1_a_share_is_read_with_a_token_that_was_asked_for_with_a_signature() {
    let server = TestServer::start().await;
    server.user("bob").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "bob").await;
    assert_eq!(
        rogue
            .post(&server, "/ocm/shares", &rogue.share_for(&server, "bob", "42"))
            .await
            .status(),
        201
    );
    let id = server.received("bob").await[0]["id"].as_str().unwrap().to_owned();
    server
        .call(Call::ShareAccept {
            user: None,
            id: id.clone(),
        })
        .await
        .unwrap();
    rogue.forget_seen();
    let given = json!({ "access_token": "t0ken", "token_type": "bearer", "expires_in": 120 });
    rogue.reply("POST", "/ocm/token", Reply::json(200, given));
    let content = Reply {
        status: 200,
        headers: Vec::new(),
        body: b"content".to_vec(),
    };
    rogue.reply("GET", "/dav/42", content);

    let read = async || {
        server
            .call(Call::ShareGet {
                id: id.clone(),
                path: "/".to_owned(),
            })
            .await
    };
    assert_eq!(read().await.unwrap(), "content");
    let asked = rogue.seen_at("/ocm/token");
    assert_eq!(asked.len(), 1);
    let secret = "s3cretcanaryofthesharethatisneverlogged";
    let client = server.provider().to_string().replace(':', "%3A");
    let expected = format!("grant_type=authorization_code&client_id={client}&code={secret}");
    assert_eq!(String::from_utf8(asked[0].body.clone()).unwrap(), expected);
    assert_eq!(asked[0].headers["content-type"], FORM);
    assert!(asked[0].headers["signature-input"].contains("tag=\"ocm\""));
    assert_eq!(rogue.seen_at("/dav/42")[0].headers["authorization"], "Bearer t0ken");

    // TOK-5: in use while it lasts, and asked for anew before it ends; never kept over a restart.
    read().await.unwrap();
    assert_eq!(rogue.seen_at("/ocm/token").len(), 1);
    server.clock.step(Duration::from_secs(119));
    read().await.unwrap();
    assert_eq!(rogue.seen_at("/ocm/token").len(), 2);
    // The secret itself went to the token endpoint, and nowhere else.
    for seen in rogue.seen().iter().filter(|seen| seen.path != "/ocm/token") {
        assert!(!format!("{seen:?}").contains(secret), "{seen:?}");
        assert!(!String::from_utf8_lossy(&seen.body).contains(secret));
    }
    let server = server.restart().await;
    server
        .call(Call::ShareGet {
            id: id.clone(),
            path: "/".to_owned(),
        })
        .await
        .unwrap();
    assert_eq!(rogue.seen_at("/ocm/token").len(), 3);
}

#[actix_web::test]
async fn tok_2_a_token_is_given_as_often_as_it_is_asked_for() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    let share = shared(&server, &rogue, "/a.txt", None).await;
    let plain = form(&rogue, &share.secret);
    let mut tokens = Vec::new();
    for form in [
        plain.clone(),
        plain.clone(),
        // What else RFC 6749 knows is ignored, and what a server used to call the grant is understood.
        format!("{plain}&redirect_uri=https%3A%2F%2Fx.example%2F&scope=everything&state=x&client_secret=y"),
        plain.replace("authorization_code", "ocm_share"),
    ] {
        let answer = ask(&rogue, &server, &form).await;
        assert_eq!(answer.status(), 200, "{form}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(answer.headers()["content-type"], "application/json");
        let body = body_of(answer).await;
        let names: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["access_token", "expires_in", "token_type"]);
        assert_eq!(
            (&body["token_type"], &body["expires_in"]),
            (&json!("Bearer"), &json!(300))
        );
        tokens.push(body["access_token"].as_str().unwrap().to_owned());
    }
    let mut different = tokens.clone();
    different.sort();
    different.dedup();
    assert_eq!(different.len(), tokens.len(), "each is a fresh one");
    for token in &tokens {
        assert!(!token.contains(&share.secret));
        assert!(opens(&server, &share, token).await);
    }
}

#[actix_web::test]
async fn tok_3_each_refusal_is_400_with_a_word_of_rfc_6749() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    let share = shared(&server, &rogue, "/a.txt", None).await;
    let (client, code) = (&rogue.provider, &share.secret);
    let long = "x".repeat(9000);
    for (form, expected) in [
        (String::new() + "x", "invalid_request"),
        (
            format!("grant_type=authorization_code&client_id={client}"),
            "invalid_request",
        ),
        (format!("grant_type=authorization_code&code={code}"), "invalid_request"),
        (format!("client_id={client}&code={code}"), "invalid_request"),
        (
            format!("grant_type=authorization_code&client_id={client}&code="),
            "invalid_request",
        ),
        (
            format!("grant_type=authorization_code&client_id={client}&code={code}&code={code}"),
            "invalid_request",
        ),
        (form(&rogue, &long), "invalid_request"),
        (
            json!({ "grant_type": "authorization_code", "code": code }).to_string(),
            "invalid_request",
        ),
        (
            form(&rogue, code).replace("authorization_code", "client_credentials"),
            "unsupported_grant_type",
        ),
        (
            form(&rogue, code).replace("authorization_code", "refresh_token"),
            "unsupported_grant_type",
        ),
        (
            format!("grant_type=authorization_code&client_id=a/b&code={code}"),
            "invalid_client",
        ),
        (
            format!("grant_type=authorization_code&client_id=other.example&code={code}"),
            "invalid_client",
        ),
        (form(&rogue, "nosuchcode"), "invalid_grant"),
        (form(&rogue, &code[1..]), "invalid_grant"),
        (form(&rogue, &code.to_uppercase()), "invalid_grant"),
        (form(&rogue, &format!("{code}+")), "invalid_grant"),
        (form(&rogue, "%00"), "invalid_grant"),
    ] {
        let answer = ask(&rogue, &server, &form).await;
        assert_eq!(answer.status(), 400, "{form:.120}");
        assert_eq!(answer.headers()["cache-control"], "no-store");
        assert_eq!(body_of(answer).await, json!({ "error": expected }), "{form:.120}");
    }
    let good = form(&rogue, code).into_bytes();
    let json = rogue
        .post_bytes(&server, TOKEN, "application/json", good.clone(), &rogue.key)
        .await;
    assert_eq!(
        (json.status().as_u16(), body_of(json).await),
        (400, json!({ "error": "invalid_request" }))
    );
    let unsigned = post_raw(&server, TOKEN, FORM, good, &[]).await;
    assert_eq!(
        (unsigned.status().as_u16(), body_of(unsigned).await),
        (400, json!({ "error": "invalid_client" }))
    );
    let huge = rogue
        .post_bytes(&server, TOKEN, FORM, vec![b'x'; 65 * 1024], &rogue.key)
        .await;
    assert_eq!(
        (huge.status().as_u16(), body_of(huge).await),
        (400, json!({ "error": "invalid_request" }))
    );
    server.rule(&client.to_string(), false).await;
    for code in [code.as_str(), "nosuchcode"] {
        let denied = ask(&rogue, &server, &form(&rogue, code)).await;
        assert_eq!(
            (denied.status().as_u16(), body_of(denied).await),
            (400, json!({ "error": "unauthorized_client" }))
        );
    }
    // "Not now" is no refusal: a peer must not take the share for ended.
    server.rule(&client.to_string(), true).await;
    server.site().store.close().unwrap();
    assert_eq!(ask(&rogue, &server, &form(&rogue, code)).await.status(), 503);
}

#[actix_web::test]
async fn t43_the_code_of_another_client_is_as_unknown_as_any() {
    let server = sender().await;
    let (friend, thief) = (Rogue::start().await, Rogue::start().await);
    let share = shared(&server, &friend, "/a.txt", None).await;
    let expired = shared(&server, &friend, "/a.txt", Some("2026-09-21T14:30:00Z")).await;
    let stopped = shared(&server, &friend, "/a.txt", None).await;
    server
        .call(Call::ShareStop {
            user: None,
            id: stopped.id.clone(),
        })
        .await
        .unwrap();
    let declined = shared(&server, &friend, "/a.txt", None).await;
    let no = json!({ "notificationType": "SHARE_DECLINED", "providerId": declined.id });
    assert_eq!(friend.post(&server, "/ocm/notifications", &no).await.status(), 201);
    server.clock.step(Duration::from_secs(86_400 * 365));

    let mut answers = Vec::new();
    let random = "kq3".repeat(14) + "x";
    for (who, code) in [
        (&thief, share.secret.as_str()),
        (&thief, random.as_str()),
        (&friend, random.as_str()),
        (&friend, expired.secret.as_str()),
        (&friend, stopped.secret.as_str()),
        (&friend, declined.secret.as_str()),
        (&friend, share.id.as_str()),
    ] {
        let answer = ask(who, &server, &form(who, code)).await;
        assert_eq!(answer.status(), 400);
        answers.push(everything(answer).await);
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:#?}");
    assert!(answers[0].contains("invalid_grant"));
    // In the friend's name the thief does not even get that far.
    let answer = ask(&thief, &server, &form(&friend, &share.secret)).await;
    assert_eq!(body_of(answer).await, json!({ "error": "invalid_client" }));
    let found = token(&friend, &server, &share).await;
    assert!(opens(&server, &share, &found).await);
}

#[actix_web::test]
async fn tok_4_a_token_opens_its_share_and_nothing_else() {
    let server = sender().await;
    server.put_file("ada", "/b.txt", "other").await;
    server.put_file("ada", "/folder/in/c.txt", "deep").await;
    let rogue = Rogue::start().await;
    let one = shared(&server, &rogue, "/a.txt", None).await;
    let two = shared(&server, &rogue, "/folder", None).await;
    let (first, second) = (token(&rogue, &server, &one).await, token(&rogue, &server, &two).await);
    assert!(opens(&server, &one, &first).await);
    assert!(!opens(&server, &two, &first).await);
    assert!(!opens(&server, &one, &second).await);
    let bearer = |token: &str| format!("Bearer {token}");
    for path in [
        "/dav/ocm/1".to_owned(),
        format!("{}0", one.path()),
        format!("/dav/ocm/{}", &one.id[1..]),
        format!("/dav/ocm/0{}", one.id),
    ] {
        assert!(
            matches!(get(&server, &path, &bearer(&first)).await, 401 | 404),
            "{path}"
        );
    }
    // Read means read: no method that writes gets through.
    for method in [
        "PUT",
        "DELETE",
        "MKCOL",
        "MOVE",
        "COPY",
        "PROPPATCH",
        "LOCK",
        "POST",
        "PATCH",
    ] {
        let method: reqwest::Method = method.parse().unwrap();
        let request = http()
            .request(method.clone(), server.url(&format!("{}/in/c.txt", two.path())))
            .header("authorization", bearer(&second))
            .header("destination", server.url(&format!("{}/x", two.path())))
            .body("x");
        let status = request.send().await.unwrap().status().as_u16();
        assert!(matches!(status, 403 | 405), "{method}: {status}");
    }
    let listed = server
        .call(Call::FileList {
            user: Some("ada".to_owned()),
            path: "/folder/in".to_owned(),
        })
        .await;
    assert_eq!(listed.unwrap().as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn acc_6_paths_below_a_shared_folder_work_and_none_leads_out() {
    let server = sender().await;
    server.put_file("ada", "/folder/in/c d.txt", "deep").await;
    server.put_file("ada", "/folder2/secret.txt", "secret").await;
    let rogue = Rogue::start().await;
    let share = shared(&server, &rogue, "/folder", None).await;
    let bearer = format!("Bearer {}", token(&rogue, &server, &share).await);
    let found = http()
        .get(server.url(&format!("{}/in/c%20d.txt", share.path())))
        .header("authorization", &bearer)
        .send()
        .await
        .unwrap();
    assert_eq!(
        (found.status().as_u16(), found.text().await.unwrap().as_str()),
        (200, "deep")
    );
    let listing = http()
        .request(
            "PROPFIND".parse().unwrap(),
            server.url(&format!("{}/in/", share.path())),
        )
        .header("authorization", &bearer)
        .header("depth", "1")
        .send()
        .await
        .unwrap();
    assert_eq!(listing.status(), 207);
    let listing = listing.text().await.unwrap();
    assert!(listing.contains(&format!("{}/in/c%20d.txt", share.path())), "{listing}");
    assert!(!listing.contains("folder"), "{listing}");
    // Written out byte for byte: a client library would tidy these up before they are sent.
    for out in [
        "/../folder2/secret.txt",
        "/%2e%2e/a.txt",
        "/..%2fa.txt",
        "2/secret.txt",
        "//a.txt",
        "/in/../../a.txt",
    ] {
        let host = server.provider();
        let path = format!("{}{out}", share.path());
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nauthorization: {bearer}\r\nconnection: close\r\n\r\n");
        let answer = crate::harness::raw(host, request.as_bytes()).await;
        let status = answer.get(9..12).unwrap_or_default();
        assert!(matches!(status, "400" | "401" | "403" | "404"), "{out}: {answer}");
        assert!(
            !answer.contains("secret") && !answer.contains("hello"),
            "{out}: {answer}"
        );
    }
}

#[actix_web::test]
async fn t42_an_expired_share_is_closed_and_no_token_outlives_it() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    let end = ocmesh::clock::Timestamp(server.clock.now().0 + 100);
    let share = shared(&server, &rogue, "/a.txt", Some(&end.to_string())).await;
    let answer = body_of(ask(&rogue, &server, &form(&rogue, &share.secret)).await).await;
    assert_eq!(answer["expires_in"], 99);
    let token = answer["access_token"].as_str().unwrap();
    server.clock.step(Duration::from_secs(98));
    assert!(opens(&server, &share, token).await);
    server.clock.step(Duration::from_secs(1));
    assert_eq!(server.clock.now(), end);
    assert!(!opens(&server, &share, token).await);
    let late = ask(&rogue, &server, &form(&rogue, &share.secret)).await;
    assert_eq!(body_of(late).await, json!({ "error": "invalid_grant" }));

    // The same for a secret that opens by itself.
    let old = old_rogue().await;
    let end = ocmesh::clock::Timestamp(server.clock.now().0 + 100);
    let share = shared(&server, &old, "/a.txt", Some(&end.to_string())).await;
    assert!(opens(&server, &share, &share.secret).await);
    server.clock.step(Duration::from_secs(100));
    assert!(!opens(&server, &share, &share.secret).await);
}

#[actix_web::test]
async fn tok_4_a_token_ends_with_its_lifetime() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    let share = shared(&server, &rogue, "/a.txt", None).await;
    let found = token(&rogue, &server, &share).await;
    server.clock.step(Duration::from_secs(299));
    assert!(opens(&server, &share, &found).await);
    server.clock.step(Duration::from_secs(1));
    assert!(!opens(&server, &share, &found).await);
    // It holds over a restart until then: nothing of it is kept here.
    let found = token(&rogue, &server, &share).await;
    let server = server.restart().await;
    assert!(opens(&server, &share, &found).await);
}

#[actix_web::test]
async fn not_5_stopping_declining_or_denying_closes_a_share_at_once() {
    let server = sender().await;
    let (rogue, old) = (Rogue::start().await, old_rogue().await);
    for strict in [true, false] {
        let peer = if strict { &rogue } else { &old };
        let key = async |share: &Known| {
            if strict {
                token(peer, &server, share).await
            } else {
                share.secret.clone()
            }
        };

        let stopped = shared(&server, peer, "/a.txt", None).await;
        let opener = key(&stopped).await;
        assert!(opens(&server, &stopped, &opener).await);
        server
            .call(Call::ShareStop {
                user: None,
                id: stopped.id.clone(),
            })
            .await
            .unwrap();
        assert!(!opens(&server, &stopped, &opener).await, "before anybody was told");

        let declined = shared(&server, peer, "/a.txt", None).await;
        let opener = key(&declined).await;
        let no = json!({ "notificationType": "SHARE_DECLINED", "providerId": declined.id });
        assert_eq!(peer.post(&server, "/ocm/notifications", &no).await.status(), 201);
        assert!(!opens(&server, &declined, &opener).await);

        let denied = shared(&server, peer, "/a.txt", None).await;
        let opener = key(&denied).await;
        server.rule(&peer.provider.to_string(), false).await;
        assert!(!opens(&server, &denied, &opener).await);
        server.rule(&peer.provider.to_string(), true).await;
        assert!(opens(&server, &denied, &opener).await);
    }
}

#[actix_web::test]
async fn t45_no_credential_does_for_another() {
    let server = sender().await;
    let rogue = Rogue::start().await;
    let strict = shared(&server, &rogue, "/a.txt", None).await;
    let found = token(&rogue, &server, &strict).await;
    let user = server.site().users.get("ada").await.unwrap();
    let session = server
        .site()
        .users
        .open_session(&user.name, server.clock.now())
        .await
        .unwrap();
    let session = session.expose();
    let basic = |user: &str, password: &str| format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
    let (_, signature) = found.rsplit_once('.').unwrap();
    let path = strict.path();
    for authorization in [
        // The secret where tokens are required, in each way to say it.
        format!("Bearer {}", strict.secret),
        basic(&strict.secret, ""),
        basic("ada", &strict.secret),
        basic(&strict.id, &strict.secret),
        // A token in the wrong place.
        basic(&found, ""),
        basic("", &found),
        // A person's own means.
        basic("ada", PASSWORD),
        format!("Bearer {PASSWORD}"),
        format!("Bearer {session}"),
        basic(session, ""),
        // T-46: nothing at all, in each way to say that.
        String::new(),
        "Bearer".to_owned(),
        "Bearer ".to_owned(),
        "Bearer  ".to_owned(),
        "Bearer null".to_owned(),
        "Bearer undefined".to_owned(),
        "Bearer .".to_owned(),
        "Bearer ..".to_owned(),
        format!("Bearer ..{signature}"),
        "Basic".to_owned(),
        "Basic Og==".to_owned(),
        "Basic !".to_owned(),
        basic("", ""),
        format!("Token {found}"),
        found.clone(),
        format!("Bearer {found} {found}"),
        format!("Bearer {found}, Bearer x"),
        format!("Bearer {}", found.replace('.', "")),
        format!("Bearer {}.", found.rsplit_once('.').unwrap().0),
    ] {
        assert_eq!(get(&server, &path, &authorization).await, 401, "{authorization}");
    }
    // A cookie is not looked at, whatever is in it; two headers are no header; and none is none.
    for cookie in [
        format!("session={session}"),
        format!("__Host-session={session}"),
        format!("token={found}"),
    ] {
        let request = http().get(server.url(&path)).header("cookie", cookie);
        assert_eq!(request.send().await.unwrap().status(), 401);
    }
    let bearer = format!("Bearer {found}");
    let twice = http()
        .get(server.url(&path))
        .header("authorization", &bearer)
        .header("authorization", "Bearer x");
    assert_eq!(twice.send().await.unwrap().status(), 401);
    let in_url = http().get(server.url(&format!("{path}?access_token={found}")));
    assert_eq!(in_url.send().await.unwrap().status(), 401);
    assert_eq!(http().get(server.url(&path)).send().await.unwrap().status(), 401);
    // Nor is a token a session.
    let as_session = ocmesh::secret::Secret::new(found.as_str());
    assert!(
        server
            .site()
            .users
            .session(&as_session, server.clock.now())
            .await
            .is_err()
    );
    assert_eq!(get(&server, &path, &bearer).await, 200);
    assert_eq!(get(&server, &path, &format!("bearer   {found}")).await, 200);
}

#[actix_web::test]
async fn t45_every_credential_that_does_not_open_gets_one_answer() {
    let server = sender().await;
    let (rogue, old) = (Rogue::start().await, old_rogue().await);
    let strict = shared(&server, &rogue, "/a.txt", None).await;
    let open = shared(&server, &old, "/a.txt", None).await;
    let stopped = shared(&server, &old, "/a.txt", None).await;
    server
        .call(Call::ShareStop {
            user: None,
            id: stopped.id.clone(),
        })
        .await
        .unwrap();
    let found = token(&rogue, &server, &strict).await;
    let nothing = Known {
        id: "4503599627370496".to_owned(),
        secret: String::new(),
    };
    let one_answer = async |rows: &[(&Known, &str)]| {
        let mut answers = Vec::new();
        for (share, credential) in rows {
            let request = http()
                .get(server.url(&share.path()))
                .header("authorization", format!("Bearer {credential}"));
            answers.push(everything(request.send().await.unwrap()).await);
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{answers:#?}");
        answers.remove(0)
    };
    let refused = one_answer(&[
        (&strict, &strict.secret),
        (&strict, "guess"),
        (&open, &strict.secret),
        (&open, "guess"),
        (&stopped, &stopped.secret),
        (&nothing, "guess"),
    ])
    .await;
    assert!(refused.starts_with("401 "), "{refused}");
    // What opens another share doesn't tell whether this one exists: it is a path in the other.
    let elsewhere = one_answer(&[
        (&strict, &open.secret),
        (&open, &found),
        (&nothing, &open.secret),
        (&nothing, &found),
    ])
    .await;
    assert!(elsewhere.starts_with("404 "), "{elsewhere}");
    // ACC-5: where the secret does open, it does so in both ways to say it.
    let basic = format!("Basic {}", BASE64.encode(format!("{}:", open.secret)));
    assert_eq!(get(&server, &open.path(), &basic).await, 200);
    assert!(opens(&server, &open, &open.secret).await);
    // And it buys tokens as well, though none is required.
    let bought = token(&old, &server, &open).await;
    assert!(opens(&server, &open, &bought).await);
}

#[actix_web::test]
async fn t13_a_token_of_one_server_opens_nothing_at_another() {
    let pair = Pair::with(mode(Mode::Open)).await;
    pair.a.put_file("ada", "/a.txt", "hello").await;
    pair.b.user("ada").await;
    pair.b.put_file("ada", "/a.txt", "other").await;
    let rogue = Rogue::start().await;
    let at_a = shared(&pair.a, &rogue, "/a.txt", None).await;
    let at_b = shared(&pair.b, &rogue, "/a.txt", None).await;
    let from_a = token(&rogue, &pair.a, &at_a).await;
    assert!(opens(&pair.a, &at_a, &from_a).await);
    assert!(!opens(&pair.b, &at_b, &from_a).await);
    assert_eq!(get(&pair.b, &at_a.path(), &format!("Bearer {from_a}")).await, 401);
    let refused = ask(&rogue, &pair.b, &form(&rogue, &at_a.secret)).await;
    assert_eq!(body_of(refused).await, json!({ "error": "invalid_grant" }));
}

#[actix_web::test]
async fn t42_a_receiver_neither_reads_nor_writes_what_it_has_no_right_to_any_more() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "/folder/a.txt", "hello").await;
    let end = ocmesh::clock::Timestamp(pair.a.clock.now().0 + 100).to_string();
    let sent = pair.a.call(Call::ShareCreate {
        user: Some("ada".to_owned()),
        path: "/folder".to_owned(),
        to: pair.b.address("bob"),
        write: true,
        until: Some(end),
    });
    sent.await.unwrap();
    pair.a.deliver().await;
    let id = pair.b.received("bob").await[0]["id"].as_str().unwrap().to_owned();
    let put = async || {
        let call = Call::SharePut {
            id: id.clone(),
            path: "/b.txt".to_owned(),
        };
        pair.b.call_with(call, b"written").await
    };
    let get = async || {
        pair.b
            .call(Call::ShareGet {
                id: id.clone(),
                path: "/a.txt".to_owned(),
            })
            .await
    };
    for refused in [put().await, get().await] {
        assert_eq!(refused.unwrap_err().reason(), Reason::NotAllowed, "not accepted yet");
    }
    pair.b
        .call(Call::ShareAccept {
            user: None,
            id: id.clone(),
        })
        .await
        .unwrap();
    assert_eq!(get().await.unwrap(), "hello");
    put().await.unwrap();
    pair.step(Duration::from_secs(100));
    for refused in [put().await, get().await] {
        assert_eq!(refused.unwrap_err().reason(), Reason::ShareGone);
    }
    let list = Call::FileList {
        user: Some("ada".to_owned()),
        path: "/folder".to_owned(),
    };
    assert_eq!(pair.a.call(list).await.unwrap().as_array().unwrap().len(), 2);
}

#[actix_web::test]
async fn tok_4_where_policy_admits_unsigned_peers_a_signing_one_still_signs_for_its_tokens() {
    let server = sender_with(|config| {
        config.federation.mode = Mode::Open;
        config.federation.require_signatures = false;
    })
    .await;
    let rogue = Rogue::start().await;
    let share = shared(&server, &rogue, "/a.txt", None).await;
    let stolen = form(&rogue, &share.secret).into_bytes();
    let answer = post_raw(&server, TOKEN, FORM, stolen, &[]).await;
    assert_eq!(
        (answer.status().as_u16(), body_of(answer).await),
        (400, json!({ "error": "invalid_client" }))
    );
    let found = token(&rogue, &server, &share).await;
    assert!(opens(&server, &share, &found).await);
}
