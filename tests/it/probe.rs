//! Whether signatures arrive, before something that matters depends on it: what others ask us, and what we ask others.

use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::config::Mode;
use ocmesh::error::Reason;
use ocmesh::http::SIGNATURE_PROBE;
use ocmesh::ocm::signature;
use serde_json::Value;
use serde_json::json;

use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::everything;
use crate::harness::http;
use crate::harness::mode;
use crate::harness::raw;

type Headers = Vec<(&'static str, String)>;

/// A GET of `path`, signed by the rogue; as with Go's client, the length that is signed is not among the headers.
fn signed(rogue: &Rogue, server: &TestServer, path: &str) -> Headers {
    let mut headers = signature::sign(&rogue.key, "GET", &server.url(path), b"", server.clock.now(), true);
    headers.retain(|(name, _)| *name != "content-length");
    // Each is another request, and not the same again.
    server.clock.step(Duration::from_secs(1));
    headers
}

async fn get(server: &TestServer, path: &str, headers: &Headers) -> reqwest::Response {
    let mut request = http().get(server.url(path));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    request.send().await.unwrap()
}

fn bend(mut headers: Headers, name: &str, change: impl Fn(&str) -> String) -> Headers {
    let (_, value) = headers.iter_mut().find(|(other, _)| *other == name).unwrap();
    let bent = change(value);
    assert_ne!(*value, bent);
    *value = bent;
    headers
}

#[actix_web::test]
async fn a_signed_get_of_a_stranger_is_verified_and_tells_nothing_else() {
    let (server, rogue) = (TestServer::start().await, Rogue::start().await);
    let answer = get(&server, SIGNATURE_PROBE, &signed(&rogue, &server, SIGNATURE_PROBE)).await;
    assert_eq!(answer.headers()["cache-control"], "no-store");
    assert_eq!(answer.status(), 204);
    assert_eq!(answer.text().await.unwrap(), "");

    let mut sized = signed(&rogue, &server, SIGNATURE_PROBE);
    sized.push(("content-length", "0".to_owned()));
    assert_eq!(get(&server, SIGNATURE_PROBE, &sized).await.status(), 204);

    let path = format!("{SIGNATURE_PROBE}?b=2&a=1%2F%7E&&=");
    assert_eq!(get(&server, &path, &signed(&rogue, &server, &path)).await.status(), 204);

    // A probe opens nothing: whoever signs one is as much a stranger as before.
    server.user("bob").await;
    let answer = rogue
        .post(&server, "/ocm/shares", &rogue.share_for(&server, "bob", "1"))
        .await;
    assert_eq!(answer.status(), 403);
}

#[actix_web::test]
async fn a_get_whose_signature_does_not_hold_gets_the_one_answer_for_that() {
    let (server, rogue) = (TestServer::start().await, Rogue::start().await);
    let good = || signed(&rogue, &server, SIGNATURE_PROBE);
    let reference = everything(get(&server, SIGNATURE_PROBE, &Vec::new()).await).await;
    assert!(reference.starts_with("401 "), "{reference}");
    let taken = good();
    assert_eq!(get(&server, SIGNATURE_PROBE, &taken).await.status(), 204);
    let cases = [
        ("the same again (T-11)", taken),
        (
            "another signature",
            bend(good(), "signature", |text| {
                let other = if text.contains(":A") { ":B" } else { ":A" };
                format!("ocm={other}{}", &text[6..])
            }),
        ),
        ("no signature", {
            let mut headers = good();
            headers.retain(|(name, _)| *name != "signature");
            headers
        }),
        ("another URL", signed(&rogue, &server, &format!("{SIGNATURE_PROBE}?"))),
        ("another digest", {
            let other = signature::content_digest(b"x");
            bend(good(), "content-digest", |_| other.clone())
        }),
        ("for a POST", {
            let url = server.url(SIGNATURE_PROBE);
            signature::sign(&rogue.key, "POST", &url, b"", server.clock.now(), true)
        }),
        ("a length that is not the body's", {
            let mut headers = good();
            headers.push(("content-length", "00".to_owned()));
            headers
        }),
    ];
    for (name, headers) in cases {
        assert_eq!(
            everything(get(&server, SIGNATURE_PROBE, &headers).await).await,
            reference,
            "{name}"
        );
    }
    let old = good();
    server.clock.step(Duration::from_secs(400));
    assert_eq!(
        everything(get(&server, SIGNATURE_PROBE, &old).await).await,
        reference,
        "too old"
    );
}

#[actix_web::test]
async fn a_get_with_a_body_must_say_how_long_it_is() {
    let (server, rogue) = (TestServer::start().await, Rogue::start().await);
    let url = server.url(SIGNATURE_PROBE);
    let ask = async |lengths: &str, body: &str, signed_body: &[u8]| {
        let headers = signature::sign(&rogue.key, "GET", &url, signed_body, server.clock.now(), true);
        server.clock.step(Duration::from_secs(1));
        let head: String = headers
            .iter()
            .filter(|(name, _)| *name != "content-length")
            .map(|(name, value)| format!("{name}: {value}\r\n"))
            .collect();
        let host = server.provider();
        let request =
            format!("GET {SIGNATURE_PROBE} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n{head}{lengths}\r\n{body}");
        let answer = raw(server.provider(), request.as_bytes()).await;
        answer[9..12].to_owned()
    };
    assert_eq!(ask("", "", b"").await, "204");
    assert_eq!(ask("content-length: 2\r\n", "{}", b"{}").await, "204");
    let chunked = "transfer-encoding: chunked\r\n";
    assert_eq!(ask(chunked, "2\r\n{}\r\n0\r\n\r\n", b"{}").await, "401");
    assert_eq!(ask("content-length: 2\r\n", "{}", b"").await, "401");
}

#[actix_web::test]
async fn t48_a_server_that_is_not_admitted_is_refused_and_not_called() {
    for (server, why) in [
        (TestServer::start().await, "denied"),
        (TestServer::start_with(mode(Mode::Allowlist)).await, "not on the list"),
    ] {
        let rogue = Rogue::start().await;
        if why == "denied" {
            server.rule(&rogue.provider.to_string(), false).await;
        }
        let answer = get(&server, SIGNATURE_PROBE, &signed(&rogue, &server, SIGNATURE_PROBE)).await;
        assert_eq!(answer.status(), 403, "{why}");
        assert!(rogue.seen().is_empty(), "{why}");
    }
}

#[actix_web::test]
async fn t24_a_probe_is_never_taken_without_a_signature() {
    let server = TestServer::start_with(|config| config.federation.require_signatures = false).await;
    assert_eq!(get(&server, SIGNATURE_PROBE, &Vec::new()).await.status(), 401);
}

async fn probe(server: &TestServer, host: &str) -> Value {
    let call = Call::PeerProbe { host: host.to_owned() };
    server.call(call).await.unwrap()
}

#[actix_web::test]
async fn two_honest_servers_verify_each_other() {
    let pair = Pair::strangers().await;
    let host = pair.b.provider().to_string();
    // As often as somebody asks, also within one second.
    for _ in 0..3 {
        let said = probe(&pair.a, &host).await;
        assert_eq!(said["finding"], "verified");
        assert_eq!((&said["right"], &said["broken"]), (&json!(204), &json!(401)));
        assert!(said["because"].as_str().unwrap().contains(&host));
    }
}

#[actix_web::test]
async fn a_probe_tells_apart_who_checks_who_does_not_and_who_cannot_be_asked() {
    let (server, rogue) = (TestServer::start().await, Rogue::start().await);
    let host = rogue.provider.to_string();
    let check = async |status: u16, finding: &str| {
        rogue.reply("GET", SIGNATURE_PROBE, Reply::json(status, json!({})));
        assert_eq!(probe(&server, &host).await["finding"], finding, "{status}");
    };
    check(200, "unchecked").await;
    check(204, "unchecked").await;
    check(404, "no-probe").await;
    check(405, "no-probe").await;
    check(401, "refused").await;
    check(403, "refused").await;
    check(500, "refused").await;
    check(302, "refused").await;

    let asked = rogue.seen_at(SIGNATURE_PROBE);
    let (right, broken) = (&asked[0].headers, &asked[1].headers);
    assert_eq!(right["content-length"], "0");
    assert!(right["signature-input"].starts_with("ocm=(\"@method\" \"@target-uri\" \"content-digest\" "));
    assert_ne!(right["signature"], broken["signature"]);
    assert_eq!(right["signature"].len(), broken["signature"].len());

    let mut discovery = rogue.discovery();
    discovery["capabilities"] = json!(["invites"]);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, discovery));
    server.site().peers.forget(&rogue.provider);
    rogue.forget_seen();
    assert_eq!(probe(&server, &host).await["finding"], "reads-none");
    assert!(
        rogue.seen_at(SIGNATURE_PROBE).is_empty(),
        "nothing is sent to it (SIG-3b)"
    );
}

#[actix_web::test]
async fn dis_12_a_denied_server_is_not_asked() {
    let (server, rogue) = (TestServer::start().await, Rogue::start().await);
    let host = rogue.provider.to_string();
    server.rule(&host, false).await;
    let error = server.call(Call::PeerProbe { host }).await.unwrap_err();
    assert_eq!(error.reason(), Reason::WeRefuseThem);
    assert!(rogue.seen().is_empty());
}
