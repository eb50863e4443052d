//! That this server federates with what is deployed: each product, played by a [`Standin`], trades invites, shares, is
//! shared with, and takes back, as it really does.

use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::config::Config;
use ocmesh::config::Span;
use ocmesh::error::Reason;
use serde_json::Value;
use serde_json::json;

use crate::harness::Form;
use crate::harness::Kind;
use crate::harness::Manner;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::Standin;
use crate::harness::TestServer;

/// Bob's server, and Bob's files. The mode is the one that a new server has.
async fn server() -> TestServer {
    let server = TestServer::start().await;
    server.user("bob").await;
    server.put_file("bob", "report.txt", "what is in our file").await;
    server.put_file("bob", "team/a.txt", "what is in our folder").await;
    server
}

/// A server and a stand-in that know each other in the way that is usual with it: an invite, or a rule.
async fn acquainted(kind: Kind) -> (TestServer, Standin) {
    let (server, standin) = (server().await, Standin::start(kind).await);
    if kind.invites() {
        let accepted = server.accept_invite("bob", &standin.invite()).await;
        accepted.unwrap_or_else(|error| panic!("{kind:?}: {error} {:?}", standin.judged("invite-accepted")));
    } else {
        server.rule(&standin.provider().to_string(), true).await;
    }
    (server, standin)
}

async fn with_every_product(check: impl AsyncFn(Kind)) {
    for kind in Kind::ALL {
        println!("{kind:?}");
        check(kind).await;
    }
}

async fn share_with(server: &TestServer, standin: &Standin, path: &str) -> Value {
    let sent = server.share("bob", path, &standin.address(), false).await;
    let sent = sent.unwrap_or_else(|error| panic!("{:?} {path}: {error}", standin.kind));
    server.deliver().await;
    sent
}

async fn receive(server: &TestServer, standin: &Standin, folder: bool) -> String {
    let (given, answer) = standin.shares(server, "bob", folder).await;
    let status = answer.status();
    assert_eq!(status, 201, "{:?}: {}", standin.kind, answer.text().await.unwrap());
    let received = server.received("bob").await;
    let here = received
        .iter()
        .find(|row| row["provider_id"] == *given.provider_id)
        .unwrap();
    let id = here["id"].as_str().unwrap().to_owned();
    let call = Call::ShareAccept {
        user: None,
        id: id.clone(),
    };
    server.call(call).await.unwrap();
    server.deliver().await;
    id
}

async fn json_of(answer: reqwest::Response) -> Value {
    serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
}

async fn ls(server: &TestServer, id: &str, path: &str) -> Result<Value, ocmesh::error::Error> {
    let call = Call::ShareLs {
        id: id.to_owned(),
        path: path.to_owned(),
    };
    server.call(call).await
}

async fn get(server: &TestServer, id: &str, path: &str) -> Result<Value, ocmesh::error::Error> {
    let call = Call::ShareGet {
        id: id.to_owned(),
        path: path.to_owned(),
    };
    server.call(call).await
}

#[actix_web::test]
async fn each_is_recognised_and_signed_for_as_it_reads() {
    with_every_product(async |kind| {
        let (server, standin) = acquainted(kind).await;
        let peers = &server.site().peers;
        let peer = peers
            .meet(standin.provider(), ocmesh::peers::trust::Purpose::Federate)
            .await
            .unwrap();
        let signing = serde_json::to_value(peer.signing).unwrap();
        let expected = match kind {
            Kind::Nextcloud20 | Kind::Nextcloud28 => ("nextcloud-20", "unsigned"),
            Kind::Nextcloud31 | Kind::Nextcloud32 | Kind::Nextcloud34 => ("nextcloud-31", "draft-cavage"),
            Kind::Nextcloud35 => ("nextcloud-35", "rfc9421"),
            Kind::Owncloud10 => ("owncloud-10", "unsigned"),
            Kind::Seafile => ("seafile", "unsigned"),
            Kind::Reva => ("reva", "unsigned"),
            Kind::Opencloud2025 | Kind::Opencloud2026 | Kind::Ocis => ("opencloud", "unsigned"),
            Kind::OpencloudmeshGo => ("opencloudmesh-go", "rfc9421"),
        };
        assert_eq!((peer.dialect.id, signing.as_str().unwrap()), expected);
    })
    .await;
}

#[actix_web::test]
async fn an_invite_of_ours_is_accepted_by_whoever_has_invites() {
    with_every_product(async |kind| {
        if !kind.invites() {
            return;
        }
        let (server, standin) = (server().await, Standin::start(kind).await);
        let invite = server.invite("bob").await;
        let token = invite["token"].as_str().unwrap();
        let answer = standin.accepts_invite(&server, token).await;
        assert_eq!(answer.status(), 200);
        let ours: Value = json_of(answer).await;
        assert_eq!(
            (&ours["userID"], &ours["name"]),
            (&json!("bob"), &json!("BOB of the tests"))
        );
        let contacts = server.contacts("bob").await;
        assert_eq!(contacts.len(), 1);
        assert_eq!(contacts[0]["address"], standin.address());
        // Asked once more, because our answer was lost: the same identity.
        server.clock.step(Duration::from_secs(1));
        let again = standin.accepts_invite(&server, token).await;
        assert_eq!(again.status(), 409);
        let told: Value = json_of(again).await;
        assert_eq!(told, ours);
        let unknown = standin.accepts_invite(&server, "never-made-by-anybody").await;
        assert_eq!(unknown.status(), 400);
        // What follows from it: she may share with Bob now.
        let (_, answer) = standin.shares(&server, "bob", false).await;
        assert_eq!(answer.status(), 201);
    })
    .await;
}

#[actix_web::test]
async fn an_invite_of_theirs_is_accepted_by_us() {
    with_every_product(async |kind| {
        if !kind.invites() {
            return;
        }
        let (server, standin) = (server().await, Standin::start(kind).await);
        let unknown = format!("b55a966e-0000@{}", standin.provider());
        let error = server.accept_invite("bob", &unknown).await.unwrap_err();
        assert_eq!(error.reason(), Reason::InviteUnknown, "{error}");
        server.clock.step(Duration::from_secs(1));
        server.accept_invite("bob", &standin.invite()).await.unwrap();
        assert_eq!(server.contacts("bob").await[0]["address"], standin.address());
        assert_eq!(standin.last("invite-accepted").flaws, [""; 0]);
        // A second one of ours comes too late with some, and is told so.
        server.user("cara").await;
        server.clock.step(Duration::from_secs(1));
        let late = server.accept_invite("cara", &standin.invite()).await;
        match kind {
            Kind::Nextcloud32 | Kind::Nextcloud34 | Kind::Reva => {
                assert_eq!(late.unwrap_err().reason(), Reason::InviteUsedElsewhere);
            }
            _ => {
                late.unwrap();
                assert_eq!(server.contacts("cara").await.len(), 1);
            }
        }
    })
    .await;
}

#[actix_web::test]
async fn what_we_share_arrives_is_accepted_and_its_end_is_told() {
    with_every_product(async |kind| {
        let (server, standin) = acquainted(kind).await;
        for path in ["report.txt", "team"] {
            if path == "team" && !kind.takes_folders() {
                let error = server.share("bob", path, &standin.address(), false).await.unwrap_err();
                assert_eq!(error.reason(), Reason::TheyCannotTakeThis);
                continue;
            }
            let sent = share_with(&server, &standin, path).await;
            let judged = standin.last("shares");
            assert!(judged.status < 300 && judged.flaws.is_empty(), "{path}: {judged:?}");
            let id = sent["provider_id"].as_str().unwrap();
            if path == "report.txt" {
                assert_eq!(standin.reads(&server).await, (200, "what is in our file".to_owned()));
            }
            let state = async || {
                let rows = server.sent("bob").await;
                let row = rows.iter().find(|row| row["provider_id"] == id).unwrap();
                assert_eq!(row["last_error"], Value::Null);
                row["state"].as_str().unwrap().to_owned()
            };
            if kind.tells() {
                let protocol = &judged.body["protocol"];
                let secret = protocol["webdav"]["sharedSecret"].as_str().unwrap();
                let answer = standin.notifies(&server, "SHARE_ACCEPTED", id, secret).await;
                assert_eq!(answer.status(), 201, "{path}: {}", answer.text().await.unwrap());
                assert_eq!(state().await, "accepted");
            } else {
                assert_eq!(state().await, "pending");
            }
            let stop = Call::ShareStop {
                user: None,
                id: id.to_owned(),
            };
            server.call(stop).await.unwrap();
            server.deliver().await;
            let told = standin.last("notifications");
            assert_eq!(told.body["notificationType"], "SHARE_UNSHARED");
            assert!(told.status < 300 && told.flaws.is_empty(), "{path}: {told:?}");
        }
        assert_eq!(server.queue().await, [Value::Null; 0]);
    })
    .await;
}

#[actix_web::test]
async fn what_they_share_is_accepted_listed_and_read() {
    with_every_product(async |kind| {
        let (server, standin) = acquainted(kind).await;
        let file = receive(&server, &standin, false).await;
        // oCIS knows none of what we say of its shares, and loses nothing by it.
        if kind != Kind::Ocis {
            let told = standin.last("notifications");
            assert_eq!(told.body["notificationType"], "SHARE_ACCEPTED");
            assert!(told.status < 300 && told.flaws.is_empty(), "{told:?}");
        }
        let rows = ls(&server, &file, "").await.unwrap();
        assert_eq!(rows.as_array().unwrap().len(), 1, "{rows}");
        assert_eq!(
            (&rows[0]["name"], &rows[0]["kind"]),
            (&json!("hello.txt"), &json!("file"))
        );
        if kind != Kind::OpencloudmeshGo {
            assert_eq!(rows[0]["size"], 21);
            assert_ne!(rows[0]["modified"], Value::Null);
        }
        assert_eq!(get(&server, &file, "").await.unwrap(), "what is in their file");
        if !kind.takes_folders() {
            return;
        }
        let folder = receive(&server, &standin, true).await;
        let rows = ls(&server, &folder, "").await.unwrap();
        let rows: Vec<_> = rows
            .as_array()
            .unwrap()
            .iter()
            .map(|row| (&row["name"], &row["kind"]))
            .collect();
        assert_eq!(
            rows,
            [(&json!("sub"), &json!("folder")), (&json!("a.txt"), &json!("file"))]
        );
        assert_eq!(get(&server, &folder, "a.txt").await.unwrap(), "what is in their folder");
        assert_eq!(ls(&server, &folder, "sub").await.unwrap(), json!([]));
    })
    .await;
}

#[actix_web::test]
async fn a_share_that_is_given_back_is_given_back_in_their_words() {
    with_every_product(async |kind| {
        let (server, standin) = acquainted(kind).await;
        let id = receive(&server, &standin, false).await;
        server.call(Call::ShareLeave { user: None, id }).await.unwrap();
        server.deliver().await;
        let told = standin.last("notifications");
        let word = if kind.is_php() {
            "SHARE_DECLINED"
        } else {
            "SHARE_UNSHARED"
        };
        assert_eq!(told.body["notificationType"], word);
        if kind != Kind::Ocis {
            assert!(told.status < 300 && told.flaws.is_empty(), "{told:?}");
        }
    })
    .await;
}

#[actix_web::test]
async fn what_they_take_back_is_over_and_what_they_take_back_silently_is_explained() {
    with_every_product(async |kind| {
        let (server, standin) = acquainted(kind).await;
        let id = receive(&server, &standin, false).await;
        get(&server, &id, "").await.unwrap();
        standin.revoke();
        server.clock.step(Duration::from_secs(7200));
        for error in [
            ls(&server, &id, "").await.unwrap_err(),
            get(&server, &id, "").await.unwrap_err(),
        ] {
            assert_eq!(error.kind(), ocmesh::error::Kind::Peer, "{error}");
            let said = error.to_string();
            assert!(
                said.contains("share") && said.contains("end") || said.contains("any more"),
                "{said}"
            );
        }
        // It stays in Bob's list: only he, or its server, takes it away.
        assert_eq!(server.received("bob").await[0]["state"], "accepted");
        if !kind.is_php() || kind == Kind::Seafile {
            return;
        }
        let (provider_id, secret) = {
            let row = &server.received("bob").await[0];
            let (given, _) = standin.shares(&server, "bob", false).await;
            (row["provider_id"].as_str().unwrap().to_owned(), given.secret)
        };
        let answer = standin.notifies(&server, "SHARE_UNSHARED", &provider_id, &secret).await;
        assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
        assert_eq!(server.received("bob").await[0]["state"], "gone");
        let error = get(&server, &id, "").await.unwrap_err();
        assert_eq!(error.reason(), Reason::ShareGone);
    })
    .await;
}

#[actix_web::test]
async fn whoever_signs_nothing_is_dealt_with_only_where_it_is_known_and_not_denied() {
    with_every_product(async |kind| {
        let (server, standin) = (server().await, Standin::start(kind).await);
        standin.knows(&server);
        let (_, answer) = standin.shares(&server, "bob", false).await;
        let unknown = answer.status().as_u16();
        assert!(matches!(unknown, 401 | 403), "{unknown}");
        let sent = server.share("bob", "report.txt", &standin.address(), false).await;
        assert!(sent.is_err() || { server.deliver().await > 0 && standin.judged("shares").is_empty() });
        let host = standin.provider().to_string();
        server.rule(&host, true).await;
        server.clock.step(Duration::from_secs(11));
        let (given, answer) = standin.shares(&server, "bob", false).await;
        assert_eq!(answer.status(), 201);
        server.rule(&host, false).await;
        server.clock.step(Duration::from_secs(11));
        let (_, answer) = standin.shares(&server, "bob", true).await;
        assert_eq!(answer.status(), 403);
        let answer = standin
            .notifies(&server, "SHARE_UNSHARED", &given.provider_id, &given.secret)
            .await;
        assert!(!answer.status().is_success());
        let received = server.received("bob").await;
        assert_eq!((received.len(), &received[0]["state"]), (1, &json!("pending")));
        let refused = server
            .share("bob", "report.txt", &standin.address(), false)
            .await
            .unwrap_err();
        assert_eq!(refused.reason(), Reason::WeRefuseThem);
        assert_eq!(standin.judged("shares").len(), 0);
    })
    .await;
}

#[actix_web::test]
async fn t24_whoever_can_sign_must_and_whoever_signed_once_goes_on() {
    for kind in Kind::ALL {
        if kind.form() == Form::Unsigned {
            continue;
        }
        let (server, standin) = acquainted(kind).await;
        let body = standin.share_body(&server, "bob", false);
        let answer = standin.post_in(Form::Unsigned, &server, "/ocm/shares", &body).await;
        assert_eq!(answer.status(), 401, "{kind:?}");
        let (given, answer) = standin.shares(&server, "bob", false).await;
        assert_eq!(answer.status(), 201, "{kind:?}");
        // It takes back what it said of itself: nobody may come after it in its name.
        let mut bare = standin.discovery();
        bare["capabilities"] = json!([]);
        bare.as_object_mut().unwrap().remove("publicKey");
        for place in ["/.well-known/ocm", "/ocm-provider/", "/ocm-provider"] {
            standin.rogue.reply("GET", place, Reply::json(200, bare.clone()));
        }
        server.clock.step(Duration::from_secs(100_000));
        let call = Call::PeerRefresh {
            host: standin.provider().to_string(),
        };
        server.call(call).await.unwrap();
        let told = json!({
            "notificationType": "SHARE_UNSHARED", "resourceType": "file", "providerId": given.provider_id,
            "notification": { "sharedSecret": given.secret },
        });
        let answer = standin
            .post_in(Form::Unsigned, &server, "/ocm/notifications", &told)
            .await;
        assert_eq!(answer.status(), 401, "{kind:?}");
        assert_eq!(server.received("bob").await[0]["state"], "pending", "{kind:?}");
    }
}

#[actix_web::test]
async fn nothing_goes_out_in_two_forms_and_no_secret_to_who_needs_none() {
    with_every_product(async |kind| {
        let (server, standin) = acquainted(kind).await;
        share_with(&server, &standin, "report.txt").await;
        let id = receive(&server, &standin, false).await;
        server.call(Call::ShareLeave { user: None, id }).await.unwrap();
        server.deliver().await;
        let posted: Vec<_> = standin
            .rogue
            .seen()
            .into_iter()
            .filter(|seen| seen.method == "POST")
            .collect();
        assert!(posted.len() >= 3);
        for seen in posted {
            let has = |name: &str| seen.headers.contains_key(name);
            let expected = match kind.form() {
                Form::Unsigned => (false, false, false, false),
                Form::Cavage => (true, false, true, false),
                Form::Rfc9421 => (true, true, false, true),
            };
            let found = (
                has("signature"),
                has("signature-input"),
                has("digest"),
                has("content-digest"),
            );
            assert_eq!(found, expected, "{}", seen.path);
            if seen.path.ends_with("/notifications") {
                let inner = &seen.json()["notification"];
                let needed = kind != Kind::OpencloudmeshGo && kind != Kind::Reva;
                assert_eq!(!inner["sharedSecret"].is_null(), needed, "{inner}");
            }
        }
    })
    .await;
}

#[actix_web::test]
async fn inc_16_a_person_stays_a_contact_when_their_server_changes_how_it_writes_ids() {
    let (server, standin) = acquainted(Kind::Opencloud2025).await;
    let host = standin.provider();
    let mut body = standin.share_body(&server, "bob", false);
    for field in ["owner", "sender"] {
        body[field] = json!(format!("4c510ada-c86b-4815-8820-42cdf82c3d51@https://{host}@{host}"));
    }
    let answer = standin.post(&server, "/ocm/shares", &body).await;
    assert_eq!(answer.status(), 201);
    // Somebody else there is no contact of Bob's.
    for field in ["owner", "sender"] {
        body[field] = json!(format!("5c510ada-c86b-4815-8820-42cdf82c3d51@{host}"));
    }
    body["providerId"] = json!("another");
    let answer = standin.post(&server, "/ocm/shares", &body).await;
    assert_eq!(answer.status(), 403);
}

#[actix_web::test]
async fn nextcloud_may_think_for_longer_than_others() {
    let slow = Standin::start(Kind::Nextcloud34).await;
    let hasty = |config: &mut Config| config.limits.peer_timeout = Span::seconds(1);
    let server = TestServer::start_with(hasty).await;
    let other = TestServer::start_with(hasty).await;
    let silent = Rogue::start().await;
    for (server, host) in [(&server, slow.provider()), (&other, &silent.provider)] {
        server.user("bob").await;
        server.put_file("bob", "report.txt", "what is in our file").await;
        server.rule(&host.to_string(), true).await;
    }
    server.share("bob", "report.txt", &slow.address(), false).await.unwrap();
    other
        .share("bob", "report.txt", &silent.address("eve"), false)
        .await
        .unwrap();
    slow.hold();
    silent.behave("POST", "/ocm/shares", Manner::Silent);
    let patient = async {
        server.deliver().await;
    };
    let time_passes = async {
        slow.share_arrived().await;
        // Begun later, given up: so much time has passed for both.
        other.deliver().await;
        let given_up = &other.sent("bob").await[0]["last_error"];
        assert_eq!(given_up["code"], "no-answer");
        slow.release();
    };
    tokio::join!(patient, time_passes);
    let sent = &server.sent("bob").await[0];
    assert_eq!(
        (&sent["last_error"], sent["announced"].is_string()),
        (&Value::Null, true)
    );
    assert_eq!(slow.judged("shares").len(), 1);
}

#[actix_web::test]
async fn t13_nextcloud_may_leave_its_port_out_where_its_signature_says_who_it_is_and_nobody_else_may() {
    for kind in [Kind::Nextcloud32, Kind::Nextcloud35, Kind::OpencloudmeshGo] {
        let (server, standin) = (server().await, Standin::start(kind).await);
        let invite = server.invite("bob").await;
        let body = json!({
            "recipientProvider": standin.provider().host(), "token": invite["token"],
            "userID": "alice", "userId": "alice", "email": "alice@nc.example", "name": "Alice"
        });
        let answer = standin
            .post_in(kind.form(), &server, "/ocm/invite-accepted", &body)
            .await;
        let contacts = server.contacts("bob").await;
        if kind == Kind::OpencloudmeshGo {
            assert_eq!((answer.status().as_u16(), contacts.len()), (401, 0));
            continue;
        }
        assert_eq!(answer.status(), 200, "{kind:?}");
        // She is of the server that signed, port and all.
        assert_eq!(contacts[0]["address"], format!("alice@{}", standin.provider()));
    }
}
