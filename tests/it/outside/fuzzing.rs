//! Schemathesis makes up requests after `src/http/openapi.json` and against it. Whatever it sends, the answer is one that
//! is described there, never a failure of ours, and it comes.

use std::process::Command;

use actix_web::web;
use ocmesh::config::Config;
use ocmesh::config::Mode;
use ocmesh::invites::NewInvite;
use serde_json::Value;
use serde_json::json;

use super::peer::Peer;
use super::python;
use super::script;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::START;
use crate::harness::TestServer;
use crate::harness::names;

/// Runs the fuzzer, which makes up the same each time; false where it is not installed.
async fn fuzz(server: &TestServer, given: Option<Value>) -> bool {
    let Some(python) = python() else {
        return false;
    };
    let folder = tempfile::tempdir().unwrap();
    let mut run = Command::new(python.with_file_name("schemathesis"));
    run.arg("--config-file")
        .arg(script("schemathesis.toml"))
        .args(["run", &server.url("/ocm/openapi.json")])
        .current_dir(folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("PYTHONPATH", script(""));
    if let Some(given) = given {
        run.args(["--generation-with-security-parameters", "false"])
            .env("SCHEMATHESIS_HOOKS", "fuzz_hooks")
            .env("OUTSIDE_GIVEN", given.to_string());
    }
    let output = web::block(move || run.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success());
    true
}

/// No name has an address, so nothing that is made up leads anywhere.
async fn server(change: impl FnOnce(&mut Config)) -> TestServer {
    let server = TestServer::start_in(names(&[]), change).await;
    for user in ["ada", "bob"] {
        server.user(user).await;
    }
    server
}

/// The token of an invite of Ada's that admits everybody.
async fn invite(server: &TestServer) -> Value {
    let new = NewInvite {
        uses: Some(1_000_000),
        note: "for whatever is made up".to_owned(),
        ..NewInvite::default()
    };
    server.invite_with("ada", new).await.unwrap()["token"].clone()
}

#[actix_web::test]
async fn t25_unsigned_requests_get_an_answer_that_is_described() {
    let server = server(|_| {}).await;
    fuzz(&server, None).await;
    assert!(server.received("bob").await.is_empty());
}

#[actix_web::test]
async fn t27_t28_signed_requests_get_an_answer_that_is_described() {
    let server = server(|config| config.invites.max_uses = 1_000_000).await;
    let Some(peer) = Peer::start(&server).await else {
        return;
    };
    peer.befriend(&server, "ada").await;
    peer.befriend(&server, "bob").await;
    server.put_file("ada", "/a.txt", "hello").await;
    let sent = server
        .share("ada", "/a.txt", &peer.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    let seen = peer.seen().await;
    let told = seen
        .iter()
        .rfind(|row| row["url"].as_str().unwrap().ends_with("/shares"));
    let told: Value = serde_json::from_str(told.unwrap()["body"].as_str().unwrap()).unwrap();
    let given = json!({
        "signed": true,
        "peer": peer.provider.to_string(),
        "keys": peer.keys(),
        "now": START.0,
        "recipient": server.address("bob"),
        "token": invite(&server).await,
        "share": sent["provider_id"],
        "secret": told["protocol"]["webdav"]["sharedSecret"],
    });
    assert!(fuzz(&server, Some(given)).await);
    // It did get as far as to those who decide.
    assert!(!server.received("bob").await.is_empty());
    assert!(server.contacts("ada").await.len() > 1);
    assert_eq!(server.sent("ada").await[0]["state"], "accepted");
}

#[actix_web::test]
async fn t24_unsigned_requests_of_who_never_signs_get_an_answer_that_is_described() {
    let server = server(|config| {
        config.federation.require_signatures = false;
        config.federation.mode = Mode::Open;
        config.invites.max_uses = 1_000_000;
    })
    .await;
    let rogue = Rogue::start().await;
    let mut says = rogue.discovery();
    says["capabilities"] = json!(["protocol-object"]);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, says));
    let given = json!({
        "signed": false,
        "peer": rogue.provider.to_string(),
        "recipient": server.address("bob"),
        "token": invite(&server).await,
        "share": "none",
        "secret": "none",
    });
    if fuzz(&server, Some(given)).await {
        assert!(!server.received("bob").await.is_empty());
        assert!(!server.contacts("ada").await.is_empty());
    }
}
