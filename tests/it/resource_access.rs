//! Reading and writing what others share (_Resource Access_): where it is, what opens it, and who must never get that
//! (ACC-1 to ACC-6, T-05).

use std::rc::Rc;
use std::time::Duration;
use std::time::Instant;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocmesh::api::Call;
use ocmesh::config::Mode;
use ocmesh::config::Span;
use ocmesh::error::Error;
use ocmesh::error::Reason;
use serde_json::Value;
use serde_json::json;

use crate::harness::Manner;
use crate::harness::Pair;
use crate::harness::Recorded;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::Trap;
use crate::harness::mode;

const SECRET: &str = "s3cretcanaryofthesharethatisneverlogged";
const TOKEN: &str = "/ocm/token";

async fn ls(server: &TestServer, id: &str, path: &str) -> Result<Value, Error> {
    let call = Call::ShareLs {
        id: id.to_owned(),
        path: path.to_owned(),
    };
    server.call(call).await
}

async fn get(server: &TestServer, id: &str, path: &str) -> Result<Value, Error> {
    let call = Call::ShareGet {
        id: id.to_owned(),
        path: path.to_owned(),
    };
    server.call(call).await
}

async fn put(server: &TestServer, id: &str, path: &str, content: &str) -> Result<Value, Error> {
    let call = Call::SharePut {
        id: id.to_owned(),
        path: path.to_owned(),
    };
    server.call_with(call, content.as_bytes()).await
}

async fn receiver() -> Rc<TestServer> {
    let server = TestServer::start_with(|config| {
        config.federation.mode = Mode::Open;
        config.limits.peer_timeout = Span(Duration::from_millis(400));
    })
    .await;
    server.user("ada").await;
    Rc::new(server)
}

/// A server with Ada, and a rogue that shares with her.
struct Shared {
    server: Rc<TestServer>,
    rogue: Rogue,
    /// The share's id at the server.
    id: String,
}

impl Shared {
    /// Ada has accepted the share that `change` has had a look at.
    async fn accepted(change: impl FnOnce(&mut Value)) -> Self {
        Self::accepted_at(&receiver().await, change).await
    }

    async fn accepted_at(server: &Rc<TestServer>, change: impl FnOnce(&mut Value)) -> Self {
        let shared = Self::pending_at(server, change).await;
        let id = shared.id.clone();
        shared.server.call(Call::ShareAccept { user: None, id }).await.unwrap();
        shared.server.deliver().await;
        shared
    }

    async fn pending_at(server: &Rc<TestServer>, change: impl FnOnce(&mut Value)) -> Self {
        let server = Rc::clone(server);
        let rogue = Rogue::start().await;
        let mut share = rogue.share_for(&server, "ada", "77");
        change(&mut share);
        let answer = rogue.post(&server, "/ocm/shares", &share).await;
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        let received = server.received("ada").await;
        let row = received.iter().find(|row| row["sender"] == share["sender"]).unwrap();
        let id = row["id"].as_str().unwrap().to_owned();
        rogue.reply("POST", TOKEN, token("the-token", 300));
        rogue.reply("GET", "/dav/77", content("hello"));
        Self { server, rogue, id }
    }

    async fn get(&self) -> Result<Value, Error> {
        get(&self.server, &self.id, "").await
    }

    /// The `Authorization` of each request that came for the content.
    fn shown(&self) -> Vec<String> {
        let of = |seen: Recorded| seen.headers.get("authorization").cloned().unwrap_or_default();
        self.rogue.seen_at("/dav/77").into_iter().map(of).collect()
    }
}

fn token(text: &str, expires_in: u64) -> Reply {
    Reply::json(
        200,
        json!({ "access_token": text, "token_type": "Bearer", "expires_in": expires_in }),
    )
}

fn content(text: &str) -> Reply {
    Reply {
        status: 200,
        headers: Vec::new(),
        body: text.as_bytes().to_vec(),
    }
}

fn without_requirement(share: &mut Value) {
    share["protocol"]["webdav"]["requirements"] = json!([]);
}

fn without_capability(rogue: &Rogue, server: &TestServer, capability: &str) {
    let mut document = rogue.discovery();
    let capabilities = document["capabilities"].as_array_mut().unwrap();
    capabilities.retain(|word| word != capability);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, document));
    server.site().peers.forget(&rogue.provider);
}

#[actix_web::test]
async fn acc_4_a_shared_file_is_read_where_the_sender_keeps_it() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "report.txt", "42 pages").await;
    let (_, id) = pair.shared("report.txt", false).await;
    assert_eq!(get(&pair.b, &id, "").await.unwrap(), "42 pages");
    let listing = ls(&pair.b, &id, "").await.unwrap();
    assert_eq!(listing.as_array().unwrap().len(), 1);
    assert_eq!(listing[0]["name"], "report.txt");
    assert_eq!(listing[0]["size"], 8);
    // It is not copied: what Ada writes now, Bob reads now.
    pair.a.put_file("ada", "report.txt", "43 pages").await;
    assert_eq!(get(&pair.b, &id, "").await.unwrap(), "43 pages");
    let refused = put(&pair.b, &id, "", "mine").await.unwrap_err();
    assert_eq!(refused.reason(), Reason::ReadOnly);
}

#[actix_web::test]
async fn acc_6_below_a_shared_folder_every_path_works_and_none_leads_out() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "team/a b&c ü%.txt", "one").await;
    pair.a.put_file("ada", "team/sub/deep.txt", "two").await;
    pair.a.put_file("ada", "private.txt", "canary").await;
    let (_, id) = pair.shared("team", false).await;
    let listing = ls(&pair.b, &id, "").await.unwrap();
    let names: Vec<_> = listing
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].clone())
        .collect();
    assert_eq!(names, ["sub", "a b&c ü%.txt"]);
    assert_eq!(get(&pair.b, &id, "a b&c ü%.txt").await.unwrap(), "one");
    assert_eq!(get(&pair.b, &id, "sub/deep.txt").await.unwrap(), "two");
    assert_eq!(ls(&pair.b, &id, "sub").await.unwrap()[0]["name"], "deep.txt");
    for path in [
        "../private.txt",
        "sub/../../private.txt",
        "..",
        "%2e%2e/private.txt",
        "sub/%2e%2e/%2e%2e/private.txt",
    ] {
        let out = get(&pair.b, &id, path).await.unwrap_err();
        assert!(
            [Reason::UnsafePath, Reason::ShareGone, Reason::Invalid].contains(&out.reason()),
            "{path}: {out}"
        );
    }
    assert_eq!(
        get(&pair.b, &id, "missing.txt").await.unwrap_err().reason(),
        Reason::ShareGone
    );
}

#[actix_web::test]
async fn acc_6_a_folder_shared_for_writing_takes_files_and_the_owner_sees_them() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "team/a.txt", "one").await;
    let (_, id) = pair.shared("team", true).await;
    put(&pair.b, &id, "new.txt", "from bob").await.unwrap();
    put(&pair.b, &id, "a.txt", "changed").await.unwrap();
    let read = async |path: &str| {
        let call = Call::FileGet {
            user: Some("ada".to_owned()),
            path: path.to_owned(),
        };
        pair.a.call(call).await.unwrap()
    };
    assert_eq!(read("team/new.txt").await, "from bob");
    assert_eq!(read("team/a.txt").await, "changed");
}

#[actix_web::test]
async fn what_is_not_accepted_or_has_ended_is_not_asked_for() {
    // In each state, for reading and for writing: the sender hears nothing of it.
    let writable = |share: &mut Value| share["protocol"]["webdav"]["permissions"] = json!(["read", "write"]);
    let check = async |shared: &Shared, reason: Reason| {
        shared.rogue.forget_seen();
        let (server, id) = (&shared.server, &shared.id);
        for outcome in [
            get(server, id, "").await,
            ls(server, id, "").await,
            put(server, id, "", "x").await,
        ] {
            assert_eq!(outcome.unwrap_err().reason(), reason);
        }
        assert!(shared.rogue.seen().is_empty(), "{:?}", shared.rogue.seen());
    };
    let shared = Shared::pending_at(&receiver().await, writable).await;
    check(&shared, Reason::NotAllowed).await;
    let id = shared.id.clone();
    shared.server.call(Call::ShareDecline { user: None, id }).await.unwrap();
    shared.server.deliver().await;
    check(&shared, Reason::ShareGone).await;

    let shared = Shared::accepted(writable).await;
    let id = shared.id.clone();
    shared.server.call(Call::ShareLeave { user: None, id }).await.unwrap();
    shared.server.deliver().await;
    check(&shared, Reason::ShareGone).await;

    let shared = Shared::accepted(writable).await;
    let over = json!({ "notificationType": "SHARE_UNSHARED", "providerId": "77", "resourceType": "file" });
    assert_eq!(
        shared
            .rogue
            .post(&shared.server, "/ocm/notifications", &over)
            .await
            .status(),
        201
    );
    check(&shared, Reason::ShareGone).await;

    let shared = Shared::accepted(|share| {
        writable(share);
        share["expiration"] = json!(crate::harness::START.0 + 100);
    })
    .await;
    shared.get().await.unwrap();
    shared.server.clock.step(Duration::from_secs(100));
    check(&shared, Reason::ShareGone).await;
}

#[actix_web::test]
async fn acc_2_a_share_that_requires_tokens_is_opened_with_a_token_and_nothing_else() {
    let shared = Shared::accepted(|_| {}).await;
    assert_eq!(shared.get().await.unwrap(), "hello");
    assert_eq!(shared.shown(), ["Bearer the-token"]);
    let request = &shared.rogue.seen_at(TOKEN)[0];
    let form = String::from_utf8(request.body.clone()).unwrap();
    let client = shared.server.provider().to_string().replace(':', "%3A");
    assert_eq!(
        form,
        format!("grant_type=authorization_code&client_id={client}&code={SECRET}")
    );
    assert_eq!(request.headers["content-type"], "application/x-www-form-urlencoded");
    assert!(request.headers["signature-input"].contains("tag=\"ocm\""));
}

#[actix_web::test]
async fn dia_10_when_the_secret_stands_in_for_a_token_and_when_never() {
    let server = receiver().await;
    let refused = |word: &str| Reply::json(400, json!({ "error": word }));
    let no_token = || Reply::json(200, json!({ "token_type": "Bearer" }));
    // What the token endpoint answers; the reason where the share asks for no token; none is: the secret was used.
    for (answer, optional) in [
        (Reply::json(404, json!({})), None),
        (Reply::json(501, json!({})), None),
        (Reply::json(500, json!({})), Some(Reason::PeerBusy)),
        (Reply::json(503, json!({})), Some(Reason::PeerBusy)),
        (Reply::json(401, json!({})), Some(Reason::SignatureRejected)),
        (Reply::json(403, json!({})), Some(Reason::TheyRefuseUs)),
        (Reply::json(400, json!({})), Some(Reason::PeerBadAnswer)),
        (Reply::json(302, json!({})), Some(Reason::PeerBadAnswer)),
        (refused("invalid_grant"), Some(Reason::ShareGone)),
        (refused("invalid_client"), Some(Reason::TheyRefuseUs)),
        (refused("unauthorized_client"), Some(Reason::TheyRefuseUs)),
        (refused("invalid_request"), Some(Reason::TheyRefuseUs)),
        (refused("unsupported_grant_type"), Some(Reason::TheyRefuseUs)),
        (
            Reply::json(404, json!({ "error": "invalid_grant" })),
            Some(Reason::ShareGone),
        ),
        (no_token(), Some(Reason::PeerBadAnswer)),
        (token("has space", 300), Some(Reason::PeerBadAnswer)),
        (token("", 300), Some(Reason::PeerBadAnswer)),
    ] {
        let shared = Shared::accepted_at(&server, without_requirement).await;
        shared.rogue.reply("POST", TOKEN, answer.clone());
        match optional {
            None => {
                assert_eq!(shared.get().await.unwrap(), "hello");
                assert_eq!(shared.shown(), [format!("Bearer {SECRET}")], "{answer:?}");
            }
            Some(reason) => {
                assert_eq!(shared.get().await.unwrap_err().reason(), reason, "{answer:?}");
                assert!(shared.shown().is_empty(), "{answer:?}");
            }
        }
        // Where a token is required, nothing stands in for it.
        let strict = Shared::accepted_at(&server, |_| {}).await;
        strict.rogue.reply("POST", TOKEN, answer.clone());
        strict.get().await.unwrap_err();
        assert!(strict.shown().is_empty(), "{answer:?}");
    }
}

#[actix_web::test]
async fn dia_10_a_token_endpoint_that_does_not_answer_is_worth_the_secret_only_where_that_is_allowed() {
    let shared = Shared::accepted(without_requirement).await;
    shared.rogue.behave("POST", TOKEN, Manner::Silent);
    assert_eq!(shared.get().await.unwrap(), "hello");
    assert_eq!(shared.shown(), [format!("Bearer {SECRET}")]);
    let strict = Shared::accepted(|_| {}).await;
    strict.rogue.behave("POST", TOKEN, Manner::Silent);
    assert_eq!(strict.get().await.unwrap_err().reason(), Reason::NoAnswer);
    assert!(strict.shown().is_empty());
}

#[actix_web::test]
async fn acc_2_a_sender_that_exchanges_nothing_is_shown_the_secret_unless_it_asked_for_more() {
    for capability in ["exchange-token", "http-sig"] {
        // Without a signature no token is given, so none is asked for.
        let shared = Shared::accepted(without_requirement).await;
        without_capability(&shared.rogue, &shared.server, capability);
        assert_eq!(shared.get().await.unwrap(), "hello", "{capability}");
        assert_eq!(shared.shown(), [format!("Bearer {SECRET}")]);
        assert!(shared.rogue.seen_at(TOKEN).is_empty(), "{capability}");
    }
    let strict = Shared::accepted(|_| {}).await;
    let mut document = strict.rogue.discovery();
    document.as_object_mut().unwrap().remove("tokenEndPoint");
    strict
        .rogue
        .reply("GET", "/.well-known/ocm", Reply::json(200, document));
    strict.server.site().peers.forget(&strict.rogue.provider);
    assert_eq!(strict.get().await.unwrap_err().reason(), Reason::NeedsTokenExchange);
    assert!(strict.shown().is_empty());
}

#[actix_web::test]
async fn acc_5_the_deprecated_spelling_is_opened_with_the_secret_as_user_name() {
    let deprecated = |share: &mut Value| {
        share["protocol"] = json!({ "name": "webdav", "options": { "sharedSecret": SECRET } });
    };
    let shared = Shared::accepted(deprecated).await;
    shared.rogue.reply("GET", "/dav/", content("old"));
    assert_eq!(shared.get().await.unwrap(), "old");
    let request = &shared.rogue.seen_at("/dav/")[0];
    let expected = format!("Basic {}", STANDARD.encode(format!("{SECRET}:")));
    assert_eq!(request.headers["authorization"], expected);
}

#[actix_web::test]
async fn acc_2_the_deprecated_spelling_does_not_lead_around_a_required_token() {
    let shared = Shared::accepted(|share| {
        let options = json!({ "sharedSecret": SECRET, "requirements": ["must-exchange-token"] });
        share["protocol"] = json!({ "name": "webdav", "options": options });
    })
    .await;
    shared.rogue.reply("GET", "/dav/", content("old"));
    assert_eq!(shared.get().await.unwrap(), "old");
    let shown: Vec<_> = shared
        .rogue
        .seen_at("/dav/")
        .iter()
        .map(|seen| seen.headers["authorization"].clone())
        .collect();
    assert_eq!(shown, ["Bearer the-token"]);
    shared.server.clock.step(Duration::from_secs(600));
    shared.rogue.reply("POST", TOKEN, Reply::json(404, json!({})));
    shared.get().await.unwrap_err();
    assert_eq!(shared.rogue.seen_at("/dav/").len(), 1);
}

#[actix_web::test]
async fn tok_5_a_token_is_used_until_shortly_before_its_end_and_then_renewed() {
    let shared = Shared::accepted(|_| {}).await;
    shared.rogue.replies(
        "POST",
        TOKEN,
        vec![token("first", 300), token("second", 300), token("third", 300)],
    );
    shared.get().await.unwrap();
    shared.server.clock.step(Duration::from_secs(284));
    shared.get().await.unwrap();
    shared.server.clock.step(Duration::from_secs(1));
    shared.get().await.unwrap();
    assert_eq!(shared.shown(), ["Bearer first", "Bearer first", "Bearer second"]);
    assert_eq!(shared.rogue.seen_at(TOKEN).len(), 2);
}

#[actix_web::test]
async fn a_token_that_is_not_taken_any_more_is_renewed_once() {
    let shared = Shared::accepted(|share| {
        share["protocol"]["webdav"]["permissions"] = json!(["read", "write"]);
    })
    .await;
    let rogue = &shared.rogue;
    rogue.replies(
        "POST",
        TOKEN,
        vec![token("first", 300), token("second", 300), token("third", 300)],
    );
    shared.get().await.unwrap();
    rogue.replies("GET", "/dav/77", vec![Reply::json(401, json!({})), content("again")]);
    assert_eq!(shared.get().await.unwrap(), "again");
    assert_eq!(shared.shown(), ["Bearer first", "Bearer first", "Bearer second"]);
    // A sender that takes none of them is not asked for ever.
    rogue.reply("GET", "/dav/77", Reply::json(401, json!({})));
    rogue.forget_seen();
    assert_eq!(shared.get().await.unwrap_err().reason(), Reason::ShareGone);
    assert_eq!((shared.shown().len(), rogue.seen_at(TOKEN).len()), (2, 1));
    // A write can't be repeated here; but the next one begins afresh.
    rogue.replies("POST", TOKEN, vec![token("fourth", 300), token("fifth", 300)]);
    rogue.replies(
        "PUT",
        "/dav/77",
        vec![Reply::json(401, json!({})), Reply::json(204, json!({}))],
    );
    rogue.reply("GET", "/dav/77", content("hello"));
    put(&shared.server, &shared.id, "", "x").await.unwrap_err();
    rogue.forget_seen();
    put(&shared.server, &shared.id, "", "x").await.unwrap();
    assert_eq!(rogue.seen_at(TOKEN).len(), 1);
    assert_eq!(rogue.seen_at("/dav/77")[0].body, b"x");
}

#[actix_web::test]
async fn t05_an_address_on_another_server_is_refused_when_the_share_is_offered() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let trap = Trap::at("127.0.0.2");
    let (own, elsewhere) = (rogue.provider.to_string(), trap.provider.to_string());
    for uri in [
        format!("https://{elsewhere}/x"),
        format!("http://{elsewhere}/x"),
        format!("//{elsewhere}/x"),
        format!("\\\\{elsewhere}/x"),
        format!("http://{own}@{elsewhere}/x"),
        format!("http://eve@{own}/x"),
        format!("http://{own}.example/x"),
        format!("http:{elsewhere}/x"),
        format!("/\\{elsewhere}/x"),
        "../../etc/passwd".to_owned(),
        "a/../../x".to_owned(),
        "%2e%2e/x".to_owned(),
        "x?y".to_owned(),
        "x#y".to_owned(),
        "javascript:alert(1)".to_owned(),
        "file:///etc/passwd".to_owned(),
        "x\r\ny".to_owned(),
        String::new(),
    ] {
        let mut share = rogue.share_for(&server, "ada", "1");
        share["protocol"]["webdav"]["uri"] = json!(uri);
        assert_eq!(
            rogue.post(&server, "/ocm/shares", &share).await.status(),
            400,
            "{uri:?}"
        );
    }
    assert!(server.received("ada").await.is_empty());
    assert_eq!(trap.connections(), 0);
}

#[actix_web::test]
async fn t05_a_sender_that_moves_its_files_elsewhere_later_gets_no_token_sent_there() {
    let server = receiver().await;
    let (trap, other) = (Trap::at("127.0.0.2"), Trap::at("127.0.0.1"));
    for target in [
        format!("http://{}/dav/", trap.provider),
        format!("https://{}/dav/", other.provider),
        format!("//{}/dav/", other.provider),
        format!("http://x@{}/dav/", other.provider),
    ] {
        let shared = Shared::accepted_at(&server, |_| {}).await;
        for field in ["webdav", "endPoint", "tokenEndPoint"] {
            let mut document = shared.rogue.discovery();
            match field {
                "webdav" => {
                    for entry in document["resourceTypes"].as_array_mut().unwrap() {
                        entry["protocols"]["webdav"] = json!(target);
                    }
                }
                field => document[field] = json!(target),
            }
            shared
                .rogue
                .reply("GET", "/.well-known/ocm", Reply::json(200, document));
            shared.server.site().peers.forget(&shared.rogue.provider);
            let refused = shared.get().await.unwrap_err().reason();
            assert!(
                [Reason::NotOcm, Reason::PeerBadAnswer].contains(&refused),
                "{field}: {target}"
            );
        }
        assert!(shared.shown().is_empty());
    }
    assert_eq!((trap.connections(), other.connections()), (0, 0));
}

#[actix_web::test]
async fn t03_t05_a_redirect_takes_neither_the_token_nor_the_content_anywhere() {
    let server = receiver().await;
    let trap = Trap::at("127.0.0.1");
    for status in [301, 302, 303, 307, 308] {
        let shared = Shared::accepted_at(&server, |share| {
            share["protocol"]["webdav"]["permissions"] = json!(["read", "write"]);
        })
        .await;
        let away = || Reply::json(status, json!({})).header("location", &format!("http://{}/", trap.provider));
        let (server, id) = (&shared.server, &shared.id);
        for method in ["GET", "PROPFIND", "PUT"] {
            shared.rogue.reply(method, "/dav/77", away());
        }
        get(server, id, "").await.unwrap_err();
        ls(server, id, "").await.unwrap_err();
        put(server, id, "", "x").await.unwrap_err();
        server.clock.step(Duration::from_secs(1000));
        shared.rogue.reply("POST", TOKEN, away());
        get(server, id, "").await.unwrap_err();
    }
    assert_eq!(trap.connections(), 0);
}

#[actix_web::test]
async fn acc_4_an_absolute_address_on_the_senders_own_server_is_used_as_it_is() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let mut share = rogue.share_for(&server, "ada", "77");
    share["protocol"]["webdav"]["uri"] = json!(format!("http://{}/remote.php/77", rogue.provider));
    assert_eq!(rogue.post(&server, "/ocm/shares", &share).await.status(), 201);
    let id = server.received("ada").await[0]["id"].as_str().unwrap().to_owned();
    server
        .call(Call::ShareAccept {
            user: None,
            id: id.clone(),
        })
        .await
        .unwrap();
    rogue.reply("POST", TOKEN, token("t", 300));
    rogue.reply("GET", "/remote.php/77", content("there"));
    assert_eq!(get(&server, &id, "").await.unwrap(), "there");
    assert!(rogue.seen_at("/dav/77").is_empty());
}

#[actix_web::test]
async fn acc_1_the_root_is_that_of_the_resource_type_then_of_file_then_the_first() {
    let server = receiver().await;
    let root =
        |name: &str, path: &str| json!({ "name": name, "shareTypes": ["user"], "protocols": { "webdav": path } });
    for (types, kind, expected) in [
        (json!([root("file", "/f"), root("folder", "/d/")]), "folder", "/d/77"),
        (json!([root("folder", "/d/"), root("file", "f/")]), "file", "/f/77"),
        (json!([root("calendar", "/c"), root("file", "/f")]), "folder", "/f/77"),
        (json!([root("calendar", "/c")]), "file", "/c/77"),
    ] {
        let shared = Shared::accepted_at(&server, |share| share["resourceType"] = json!(kind)).await;
        let mut document = shared.rogue.discovery();
        document["resourceTypes"] = types.clone();
        shared
            .rogue
            .reply("GET", "/.well-known/ocm", Reply::json(200, document));
        // A folder is asked for what is in it.
        let below = if kind == "folder" { "x" } else { "" };
        let place = format!("{expected}/{below}");
        shared.rogue.reply("GET", place.trim_end_matches('/'), content("found"));
        shared.server.site().peers.forget(&shared.rogue.provider);
        assert_eq!(get(&server, &shared.id, below).await.unwrap(), "found", "{types}");
    }
}

#[actix_web::test]
async fn t08_a_listing_that_never_ends_is_given_up() {
    let server = receiver().await;
    for manner in [Manner::Silent, Manner::Drips, Manner::Floods] {
        let shared = Shared::accepted_at(&server, |share| share["resourceType"] = json!("folder")).await;
        shared.rogue.behave("PROPFIND", "/dav/77", manner);
        let begun = Instant::now();
        let error = ls(&shared.server, &shared.id, "").await.unwrap_err();
        assert!(
            [Reason::NoAnswer, Reason::PeerBadAnswer].contains(&error.reason()),
            "{manner:?}: {error}"
        );
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{manner:?}: {:?}",
            begun.elapsed()
        );
    }
}

#[actix_web::test]
async fn t61_a_listing_with_a_trick_in_it_lists_nothing_that_is_not_there() {
    let row = |href: &str| {
        format!(
            "<d:response><d:href>{href}</d:href><d:propstat><d:prop><d:resourcetype/></d:prop></d:propstat></d:response>"
        )
    };
    let rows: String = [
        "/dav/77/",
        "/dav/77/good.txt",
        "/dav/77/..",
        "/dav/77/%2e%2e",
        "/dav/77/a%2fb",
        "/dav/77/a%0ab",
        "/etc/passwd",
        "/dav/770/x",
    ]
    .into_iter()
    .map(row)
    .collect();
    let shared = Shared::accepted(|share| share["resourceType"] = json!("folder")).await;
    let listing = |body: String| Reply {
        status: 207,
        headers: vec![("content-type".to_owned(), "application/xml".to_owned())],
        body: body.into_bytes(),
    };
    let whole = format!("<d:multistatus xmlns:d=\"DAV:\">{rows}</d:multistatus>");
    shared.rogue.reply("PROPFIND", "/dav/77", listing(whole));
    let read = ls(&shared.server, &shared.id, "").await.unwrap();
    let names: Vec<_> = read.as_array().unwrap().iter().map(|row| row["name"].clone()).collect();
    assert_eq!(names, ["good.txt"]);
    for bad in [
        "<!DOCTYPE a [<!ENTITY b SYSTEM \"file:///etc/passwd\">]><a>&b;</a>",
        "<a>",
        "{}",
        "\u{0}",
    ] {
        shared.rogue.reply("PROPFIND", "/dav/77", listing(bad.to_owned()));
        let outcome = ls(&shared.server, &shared.id, "").await;
        match outcome {
            Ok(rows) => assert_eq!(rows, json!([]), "{bad}"),
            Err(error) => assert_eq!(error.reason(), Reason::PeerBadAnswer, "{bad}"),
        }
    }
}

#[actix_web::test]
async fn what_the_sender_answers_has_a_reason_that_says_whose_turn_it_is() {
    let server = receiver().await;
    for (status, reason) in [
        (403, Reason::ReadOnly),
        (404, Reason::ShareGone),
        (413, Reason::TooLarge),
        (507, Reason::TooLarge),
        (500, Reason::PeerBusy),
        (503, Reason::PeerBusy),
        (418, Reason::PeerBadAnswer),
        (204, Reason::PeerBadAnswer),
    ] {
        let shared = Shared::accepted_at(&server, |_| {}).await;
        shared.rogue.reply("GET", "/dav/77", Reply::json(status, json!({})));
        assert_eq!(shared.get().await.unwrap_err().reason(), reason, "{status}");
    }
}

#[actix_web::test]
async fn not_5_a_share_that_was_stopped_is_closed_at_once_whatever_token_there_is() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "a.txt", "a").await;
    let (sent, received) = pair.shared("a.txt", false).await;
    get(&pair.b, &received, "").await.unwrap();
    pair.a.call(Call::ShareStop { user: None, id: sent }).await.unwrap();
    // Bob's server has a token that is good for minutes, and was not told yet.
    assert_eq!(
        get(&pair.b, &received, "").await.unwrap_err().reason(),
        Reason::ShareGone
    );
    pair.a.deliver().await;
    assert_eq!(pair.b.received("bob").await[0]["state"], "gone");
}

#[actix_web::test]
async fn a_part_of_a_file_is_never_taken_for_all_of_it() {
    for status in [206, 416] {
        let shared = Shared::accepted(|_| {}).await;
        let part = Reply {
            status,
            ..content("only the middle")
        };
        shared
            .rogue
            .reply("GET", "/dav/77", part.header("content-range", "bytes 5-19/1000"));
        let error = shared.get().await.unwrap_err();
        assert_eq!(error.reason(), Reason::PeerBadAnswer, "{status}");
    }
}

#[actix_web::test]
async fn what_came_into_the_place_of_a_shared_thing_is_not_shared() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "thing", "shared").await;
    let (sent, received) = pair.shared("thing", false).await;
    let tree = pair.a.site().homes.of("ada").await.unwrap();
    let path = ocmesh::files::TreePath::parse("thing").unwrap();
    tree.remove(&path).await.unwrap();
    pair.a.put_file("ada", "thing/private.txt", "not shared").await;
    for below in ["", "private.txt"] {
        assert!(get(&pair.b, &received, below).await.is_err(), "{below}");
    }
    // Removed by its owner, it is shared no more, whatever comes next.
    pair.a.put_file("ada", "folder/a.txt", "a").await;
    let (inner, _) = pair.shared("folder/a.txt", false).await;
    let now = pair.a.clock.now();
    let folder = ocmesh::files::TreePath::parse("folder").unwrap();
    pair.a.site().shares.stop_below("ada", &folder, now).await.unwrap();
    let state = async |id: &str| {
        let rows = pair.a.sent("ada").await;
        rows.iter().find(|row| row["id"] == id).unwrap()["state"].clone()
    };
    assert_eq!(
        (state(&inner).await, state(&sent).await),
        (json!("stopped"), json!("accepted"))
    );
}
