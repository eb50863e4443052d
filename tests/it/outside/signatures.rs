//! HTTP Message Signatures against a library of others, in both directions. Whether a signature holds is what the library
//! says; what it covers is compared with the draft here.

use ocmesh::api::Call;
use ocmesh::config::PublicUrl;
use ocmesh::http::SIGNATURE_PROBE;
use serde_json::Value;
use serde_json::json;

use super::peer::Peer;
use crate::harness::START;
use crate::harness::TestServer;
use crate::harness::mode;

const KEYS: [&str; 3] = ["ed25519", "p256", "rsa"];
const FORMS: [&str; 3] = ["draft05", "draft07", "dual"];
const FORM: &str = "application/x-www-form-urlencoded";
/// Everything that may stand in a URL and is a trap for whoever takes one apart.
const ODD_QUERY: &str = "?b=2&a=1%2F%7E%2f~&&=&c=%41+x&d=%C3%A4?e=/:@!$'()*,;";

/// A server with Ada and Bob, and a peer whose Eve is an acquaintance of both.
async fn acquainted() -> Option<(TestServer, Peer)> {
    let server = TestServer::start().await;
    for user in ["ada", "bob"] {
        server.user(user).await;
    }
    server.put_file("ada", "/a.txt", "hello").await;
    let peer = Peer::start(&server).await?;
    peer.befriend(&server, "ada").await;
    peer.befriend(&server, "bob").await;
    Some((server, peer))
}

/// Ada shares with Eve; gives what the peer was told of it.
async fn told(server: &TestServer, peer: &Peer) -> Value {
    server
        .share("ada", "/a.txt", &peer.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    assert!(server.queue().await.is_empty(), "{:?}", server.queue().await);
    let seen = peer.seen().await;
    let share = seen.iter().rfind(|row| ends(row, "/shares")).unwrap();
    serde_json::from_str(share["body"].as_str().unwrap()).unwrap()
}

fn ends(row: &Value, path: &str) -> bool {
    let url = row["url"].as_str().unwrap();
    url.split('?').next().unwrap().ends_with(path)
}

/// Has this server send everything that it signs.
async fn send_everything(server: &TestServer, peer: &Peer) {
    let invite = ocmesh::ocm::invite::InviteString {
        token: ocmesh::ocm::invite::InviteToken::new("a-token-of-the-outside").unwrap(),
        provider: peer.provider.clone(),
    };
    server.accept_invite("bob", &invite.encode()).await.unwrap();
    told(server, peer).await;
    let (status, _) = peer
        .send(peer.posting(server, "/ocm/shares", &peer.share_for(server, "bob", "1")))
        .await;
    assert_eq!(status, 201);
    let id = server.received("bob").await[0]["id"].as_str().unwrap().to_owned();
    let accept = Call::ShareAccept {
        user: None,
        id: id.clone(),
    };
    server.call(accept).await.unwrap();
    server.deliver().await;
    assert!(server.queue().await.is_empty());
    let path = String::new();
    // There is no file over there: it is the way to it that counts.
    assert!(server.call(Call::ShareGet { id, path }).await.is_err());
    let host = peer.provider.to_string();
    let probed = server.call(Call::PeerProbe { host }).await.unwrap();
    assert_eq!(probed["finding"], "verified");
}

/// Looks at what the peer got: each is signed as the draft wants it, and the library noticed every change to it.
async fn check_everything(server: &TestServer, peer: &Peer) {
    let kid = server.site().keys.active().kid().to_owned();
    let seen = peer.seen().await;
    for path in [
        "/invite-accepted",
        "/shares",
        "/notifications",
        "/token",
        SIGNATURE_PROBE,
    ] {
        let at = seen
            .iter()
            .position(|row| ends(row, path))
            .unwrap_or_else(|| panic!("{path}"));
        let row = &seen[at];
        assert_eq!(row["refused"], Value::Null, "{path}");
        assert_eq!(row["label"], "ocm", "{path}");
        assert_eq!(
            row["covered"],
            json!(["@method", "@target-uri", "content-digest", "content-length", "date"]),
            "{path}"
        );
        let expected = json!({ "created": START.0, "keyid": kid, "alg": "ed25519", "tag": "ocm" });
        assert_eq!(row["parameters"], expected, "{path}");

        let bent = peer.control("bend", json!({ "at": at })).await;
        let least = row["body"].as_str().unwrap().len() + row["url"].as_str().unwrap().len();
        assert!(bent["tried"].as_u64().unwrap() > least as u64 + 300, "{path}: {bent}");
        assert_eq!(bent["unnoticed"], json!([]), "{path}");
    }
    let broken = seen.iter().rfind(|row| ends(row, SIGNATURE_PROBE)).unwrap();
    assert!(broken["refused"].is_string(), "the probe's second signature is broken");
}

#[actix_web::test]
async fn sig_1_what_we_send_verifies_and_not_when_a_byte_was_changed() {
    let Some((server, peer)) = acquainted().await else {
        return;
    };
    send_everything(&server, &peer).await;
    check_everything(&server, &peer).await;
}

#[actix_web::test]
async fn sig_1_what_we_send_to_odd_urls_verifies_too() {
    let server = TestServer::start().await;
    for user in ["ada", "bob"] {
        server.user(user).await;
    }
    server.put_file("ada", "/a.txt", "hello").await;
    let Some(peer) = Peer::start(&server).await else {
        return;
    };
    let odd = json!({ "below": "/o%64d/p%2Fth;x=1/~u/@:!$&'()*+,=/ocm", "token": format!("/token{ODD_QUERY}") });
    peer.control("move", odd).await;
    peer.befriend(&server, "ada").await;
    peer.befriend(&server, "bob").await;
    send_everything(&server, &peer).await;
    check_everything(&server, &peer).await;
    let seen = peer.seen().await;
    let token = seen.iter().find(|row| ends(row, "/token")).unwrap();
    assert!(
        token["url"].as_str().unwrap().contains("?b=2&a=1%2F%7E%2f~&&=&c=%41+x"),
        "{token}"
    );
}

#[actix_web::test]
async fn sig_3_what_others_sign_is_accepted_in_each_form_and_with_each_kind_of_key() {
    let Some((server, peer)) = acquainted().await else {
        return;
    };
    for key in KEYS {
        for form in FORMS {
            let case = format!("{key} {form}");
            let post = async |path: &str, body: &Value| {
                let sending = peer.posting(&server, path, body).with("key", key).with("form", form);
                peer.send(sending).await
            };
            let invite = server.invite("ada").await;
            let (status, identity) = post("/ocm/invite-accepted", &peer.acceptance(&invite)).await;
            assert_eq!((status, &identity["userID"]), (200, &json!("ada")), "{case}");

            let (status, answer) = post("/ocm/shares", &peer.share_for(&server, "bob", &case)).await;
            assert_eq!(
                (status, &answer["recipientDisplayName"]),
                (201, &json!("bob")),
                "{case}"
            );

            let share = told(&server, &peer).await;
            let accepted = json!({
                "notificationType": "SHARE_ACCEPTED",
                "resourceType": "file",
                "providerId": share["providerId"],
                "notification": {}
            });
            assert_eq!(post("/ocm/notifications", &accepted).await.0, 201, "{case}");
            let sent = server.sent("ada").await;
            let row = sent
                .iter()
                .find(|row| row["provider_id"] == share["providerId"])
                .unwrap();
            assert_eq!(row["state"], "accepted", "{case}");

            let secret = share["protocol"]["webdav"]["sharedSecret"].as_str().unwrap();
            let body = format!(
                "grant_type=authorization_code&client_id={}&code={secret}",
                peer.provider
            );
            let sending = peer.posting(&server, "/ocm/token", &Value::Null);
            let sending = sending.with("type", FORM).with("body", body);
            let (status, token) = peer.send(sending.with("key", key).with("form", form)).await;
            assert_eq!((status, &token["token_type"]), (200, &json!("Bearer")), "{case}");
        }
    }
    assert_eq!(server.received("bob").await.len(), KEYS.len() * FORMS.len());
}

#[actix_web::test]
async fn sig_6_what_others_sign_is_refused_when_anything_was_changed() {
    let Some((server, peer)) = acquainted().await else {
        return;
    };
    for key in KEYS {
        for form in FORMS {
            for change in [
                "body",
                "signature",
                "url",
                "Content-Digest",
                "Signature-Input",
                "Date",
                "no-length",
            ] {
                // The date is not covered there.
                if (change, form) == ("Date", "draft07") {
                    continue;
                }
                let share = peer.share_for(&server, "bob", &format!("{key} {form} {change}"));
                let sending = peer.posting(&server, "/ocm/shares", &share);
                let sending = sending.with("key", key).with("form", form).with("change", change);
                let (status, answer) = peer.send(sending).await;
                assert_eq!(status, 401, "{key} {form} {change}");
                assert_eq!(answer["message"], "SIGNATURE_INVALID", "{key} {form} {change}");
            }
        }
    }
    assert!(server.received("bob").await.is_empty());
    let sending = peer.posting(&server, "/ocm/token", &Value::Null);
    let body = format!("grant_type=authorization_code&client_id={}&code=x", peer.provider);
    let sending = sending
        .with("type", FORM)
        .with("body", body)
        .with("change", "signature");
    assert_eq!(peer.send(sending).await, (400, json!({ "error": "invalid_client" })));
}

#[actix_web::test]
async fn sig_2_a_signature_that_a_proxy_adds_does_no_harm() {
    let Some((server, peer)) = acquainted().await else {
        return;
    };
    for form in ["draft07", "dual"] {
        let share = peer.share_for(&server, "bob", form);
        let sending = peer.posting(&server, "/ocm/shares", &share).with("form", form);
        assert_eq!(peer.send(sending.with("change", "foreign")).await.0, 201, "{form}");
    }
}

#[actix_web::test]
async fn the_probe_verifies_a_get_whatever_its_query_and_without_a_length() {
    let server = TestServer::start().await;
    let Some(peer) = Peer::start(&server).await else {
        return;
    };
    let odd = format!("{SIGNATURE_PROBE}{ODD_QUERY}");
    let bare = format!("{SIGNATURE_PROBE}?");
    for key in KEYS {
        for path in [SIGNATURE_PROBE, &odd, &bare] {
            for (change, expected) in [
                (None, 204),
                (Some("signature"), 401),
                (Some("url"), 401),
                (Some("no-length"), 204),
            ] {
                // A signature of an Ed25519 or RSA key is the same each time, and counts once.
                server.clock.step(std::time::Duration::from_secs(1));
                let sending = peer.getting(&server, path).with("key", key).with("change", change);
                assert_eq!(peer.send(sending).await.0, expected, "{key} {path} {change:?}");
            }
        }
    }
}

#[actix_web::test]
async fn t23_what_is_signed_is_the_public_name_and_its_default_port_is_left_out() {
    let mut listening = String::new();
    let server = TestServer::start_with(|config| {
        listening = config.server.public_url.provider().to_string();
        config.server.public_url = PublicUrl::parse("https://cloud.example").unwrap();
        mode(ocmesh::config::Mode::Open)(config);
    })
    .await;
    let Some(peer) = Peer::start_unacquainted() else {
        return;
    };
    server.user("bob").await;
    let send = async |name: &str, id: &str| {
        let share = peer.share_for(&server, "bob", id);
        let sending = peer
            .posting(&server, "/ocm/shares", &share)
            .with("to", listening.clone());
        peer.send(sending.with("url", format!("{name}/ocm/shares"))).await.0
    };
    assert_eq!(send("https://cloud.example", "1").await, 201);
    // The library leaves nothing out of a URL, and so signs another one here.
    assert_eq!(send("https://cloud.example:443", "2").await, 401);
    assert_eq!(send("https://cloud.example:8443", "3").await, 401);
    assert_eq!(send("http://cloud.example", "4").await, 401);
    assert_eq!(send("https://other.example", "5").await, 401);
}
