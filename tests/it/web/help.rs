//! Help on errors: each code leads to what it means, and each is one that a test has seen.

use std::fs;
use std::path::Path;

use ocmesh::client::admin::AdminClient;
use ocmesh::error::Error;
use ocmesh::error::Reason;
use ocmesh::ocm::signature::Request;
use ocmesh::peers::Acting;
use ocmesh::peers::trust::Purpose;
use serde_json::Value;
use serde_json::json;

use super::Browser;
use super::html;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::names;

#[actix_web::test]
async fn every_code_on_a_page_leads_to_what_it_means() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut nobody = Browser::new(&server);
    let help = nobody.get("/help/errors").await;
    help.expect_status(200);
    let page = html::check("/help/errors", &help.body);
    for reason in Reason::ALL {
        let found = page.elements.iter().find(|one| one.get("id") == Some(reason.code()));
        assert!(found.is_some_and(|one| one.text == reason.code()), "{}", reason.code());
    }
    nobody
        .get("/no/such/page")
        .await
        .expect("href=\"/help/errors#not-found\"");
    nobody
        .sign_in("ada", "wrong")
        .await
        .expect("href=\"/help/errors#wrong-password\"");
}

/// All tests there are, in one text.
fn tests_below(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, all);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let inside = path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
            match text.split_once("#[cfg(test)]") {
                _ if inside => all.push_str(&text),
                Some((_, tests)) => all.push_str(tests),
                None => {}
            }
        }
    }
}

#[test]
fn every_reason_is_seen_by_some_test() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = String::new();
    for folder in ["src", "tests"] {
        tests_below(&top.join(folder), &mut tests);
    }
    let unseen: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| {
            let code = reason.code();
            // As pages, answers to servers, and the token endpoint say it.
            let shown = [
                format!("{code}\""),
                format!("\"{code}"),
                reason.wire(),
                code.replace('-', "_"),
            ];
            // Another variant may begin alike.
            let named = tests
                .match_indices(&format!("Reason::{reason:?}"))
                .any(|(at, name)| !tests[at + name.len()..].starts_with(|next: char| next.is_alphanumeric()));
            !named && !shown.iter().any(|word| tests.contains(word))
        })
        .collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}

/// To servers all of these are one answer; our log and our pages tell them apart.
#[actix_web::test]
async fn what_is_wrong_with_a_signature_is_told_apart_inside() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    let url = server.url("/ocm/notifications");
    let signed = rogue.sign(&server, "/ocm/notifications", b"{}", server.clock.now(), &rogue.key);
    let signed: Vec<_> = signed
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .collect();
    let check = async |headers: &[(String, Vec<u8>)], acting: Acting<'_>, expected: Option<Reason>| {
        let request = Request {
            method: "POST",
            target_uri: &url,
            headers,
            body: b"{}",
        };
        let peers = &server.site().peers;
        let outcome = peers.authenticate(&request, acting, Purpose::Federate).await;
        assert_eq!(outcome.err().map(|error| error.reason()), expected);
    };
    check(&[], Acting::Unnamed, Some(Reason::SignatureMissing)).await;
    check(
        &signed,
        Acting::Exactly(server.provider()),
        Some(Reason::SignerMismatch),
    )
    .await;
    check(&signed, Acting::Unnamed, None).await;
    check(&signed, Acting::Unnamed, Some(Reason::SignatureReplayed)).await;
}

#[actix_web::test]
async fn what_stands_in_the_way_is_said_by_its_own_code() {
    let server = TestServer::start_in(names(&[]), |_| {}).await;
    server.user("ada").await;
    let reason = |outcome: Result<Value, Error>| outcome.err().map(|error| error.reason());
    let nowhere = server.accept_invite("ada", "abcdefghijklmnop@nosuch.example").await;
    assert_eq!(reason(nowhere), Some(Reason::NameNotFound));
    let closed = AdminClient::connect(&server.data.join("nothing.sock")).await;
    assert_eq!(
        closed.err().map(|error| error.reason()),
        Some(Reason::ServerUnreachable)
    );
    Browser::new(&server)
        .post("/invites/new", &[])
        .await
        .expect_status(401)
        .expect("sign-in-needed");

    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    for (place, value, expected) in [
        ("/shareType", json!("planet"), Reason::KindUnsupported),
        (
            "/protocol/webdav/requirements",
            json!(["must-use-mfa"]),
            Reason::UnsupportedRequirement,
        ),
    ] {
        let mut share = rogue.share_for(&server, "ada", "odd-1");
        *share.pointer_mut(place).unwrap() = value;
        let answer = rogue.post(&server, "/ocm/shares", &share).await;
        assert_eq!(answer.status(), 501);
        let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
        assert_eq!(body["message"], expected.wire(), "{body}");
    }
}
