//! Which rules of the protocol, and which threats, are held by a test; and the tests of rules that have no other place.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use ocmesh::config::Mode;
use serde_json::json;

use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::mode;

/// The rules that this server keeps, by group. Those of webapp, ssh, groups, datatx and second factors are not among
/// them: none of that is announced, and what asks for it is refused.
const RULES: &[(&str, &[&str])] = &[
    ("adr", &["1", "2", "3", "4"]),
    (
        "dis",
        &["1", "2", "3", "4", "5", "6", "7", "8", "9", "10", "11", "11a", "12"],
    ),
    ("inv", &["1", "2", "3", "4", "5", "6", "7", "8", "9"]),
    (
        "shr",
        &[
            "1", "2", "2a", "3", "4", "5", "6", "8", "10", "11", "12", "13", "14", "15", "16",
        ],
    ),
    ("req", &["0", "1"]),
    ("not", &["1", "2", "3", "4", "5", "6", "6a", "7"]),
    ("acc", &["1", "2", "3", "4", "5", "6"]),
    ("tok", &["1", "2", "3", "4", "5"]),
    ("sig", &["1", "2", "3", "3a", "3b", "4", "5", "6", "7"]),
    ("dir", &["1", "2", "3"]),
];

/// The threats to what is there: requests we make, signatures, input, protocol, WebDAV, pages.
const THREATS: &[std::ops::RangeInclusive<u32>] = &[1..=49, 57..=72, 74..=90];

#[test]
fn every_rule_and_every_threat_is_named_by_a_test() {
    let mut named = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in ["src", "tests"] {
        collect(&root.join(folder), &mut named);
    }
    let rules = RULES
        .iter()
        .flat_map(|(group, ids)| ids.iter().map(move |id| format!("{group}_{id}")));
    let threats = THREATS
        .iter()
        .flat_map(|range| range.clone().map(|id| format!("t{id:02}")));
    let missing: Vec<_> = rules.chain(threats).filter(|id| !named.contains(id)).collect();
    assert!(missing.is_empty(), "no test is named after {missing:?}");
}

/// Collects the ids at the start of the names of tests: `shr_2_t42_...` names two.
fn collect(folder: &Path, named: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, named);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let mut is_test = false;
            for line in text.lines().map(str::trim_start) {
                if let Some(rest) = line.split("fn ").nth(1).filter(|_| is_test) {
                    named.extend(ids(rest.split('(').next().unwrap()));
                    is_test = false;
                } else if line.starts_with("#[") {
                    is_test |= line.contains("test]") || line.contains("test(");
                } else if !line.starts_with("//") {
                    is_test = line.contains("test]");
                }
            }
        }
    }
}

fn ids(name: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut words = name.split('_');
    while let Some(word) = words.next() {
        let is_threat = word.len() == 3 && word.starts_with('t') && word[1..].bytes().all(|byte| byte.is_ascii_digit());
        if is_threat {
            found.push(word.to_owned());
        } else if RULES.iter().any(|(group, _)| *group == word) {
            match words.next() {
                Some(number) => found.push(format!("{word}_{number}")),
                None => break,
            }
        } else {
            break;
        }
    }
    found
}

#[test]
fn ids_stand_at_the_start_of_a_name() {
    let check = |name: &str, expected: &[&str]| assert_eq!(ids(name), expected, "{name}");
    check("shr_2a_t42_a_share", &["shr_2a", "t42"]);
    check("a_share_that_shr_2_rules", &[]);
    check("t4_too_short", &[]);
}

#[actix_web::test]
async fn adr_4_one_person_may_go_by_two_names_and_is_two_contacts_then() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    for (id, name) in [("eve-7f3a", "Eve"), ("EVE-7f3a", "Eve")] {
        let invite = server.invite("ada").await;
        let body = json!({
            "recipientProvider": rogue.provider.to_string(),
            "token": invite["token"],
            "userID": id,
            "email": "eve@rogue.example",
            "name": name,
        });
        let answer = rogue.post(&server, "/ocm/invite-accepted", &body).await;
        assert_eq!(answer.status(), 200);
    }
    let contacts = server.contacts("ada").await;
    let addresses: BTreeSet<_> = contacts.iter().map(|row| row["address"].as_str().unwrap()).collect();
    let expected = [rogue.address("EVE-7f3a"), rogue.address("eve-7f3a")];
    assert_eq!(addresses, expected.iter().map(String::as_str).collect());
}

#[actix_web::test]
async fn inv_3_an_invite_has_a_link_to_the_page_that_asks_where_one_is_from() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let invite = server.invite("ada").await;
    let (link, token) = (invite["link"].as_str().unwrap(), invite["token"].as_str().unwrap());
    assert_eq!(link, server.url(&format!("/wayf?token={token}")));
    let page = http().get(link).send().await.unwrap();
    assert_eq!(page.status(), 200);
}

#[actix_web::test]
async fn shr_10_no_secret_stands_in_an_address_that_is_called() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    let sent = server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    let message = rogue.seen_at("/ocm/shares")[0].json();
    let ours = message["protocol"]["webdav"]["sharedSecret"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(!message["protocol"]["webdav"]["uri"].to_string().contains(&ours));
    assert!(!sent.to_string().contains(&ours), "nor in what programs see");
    // And in what we ask of others: the secret of a share of theirs.
    let theirs = "s3cretcanaryofthesharethatisneverlogged";
    let body = rogue.share_for(&server, "ada", "7");
    assert_eq!(rogue.post(&server, "/ocm/shares", &body).await.status(), 201);
    rogue.reply(
        "POST",
        "/ocm/token",
        Reply::json(
            200,
            json!({ "access_token": "t0ken", "token_type": "Bearer", "expires_in": 60 }),
        ),
    );
    let id = server.received("ada").await[0]["id"].as_str().unwrap().to_owned();
    let accept = ocmesh::api::Call::ShareAccept {
        user: None,
        id: id.clone(),
    };
    server.call(accept).await.unwrap();
    server.deliver().await;
    let ls = ocmesh::api::Call::ShareLs {
        id,
        path: String::new(),
    };
    let _ = server.call(ls).await;
    let called = |seen: crate::harness::Recorded| format!("{}?{}", seen.path, seen.query);
    let paths: Vec<_> = rogue.seen().into_iter().map(called).collect();
    assert!(paths.iter().any(|path| path == "/ocm/token?"), "{paths:?}");
    for path in paths {
        assert!(!path.contains(theirs) && !path.contains(&ours), "{path}");
    }
}

#[actix_web::test]
async fn acc_3_a_share_that_demands_a_second_factor_is_refused_since_none_is_asked_for_here() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let document = http().get(server.url("/.well-known/ocm")).send().await.unwrap();
    assert!(!document.text().await.unwrap().contains("enforce-mfa"));
    let mut share = rogue.share_for(&server, "ada", "7");
    share["protocol"]["webdav"]["requirements"] = json!(["must-exchange-token", "must-use-mfa"]);
    let answer = rogue.post(&server, "/ocm/shares", &share).await;
    assert_eq!(answer.status(), 501);
    assert!(server.received("ada").await.is_empty());
}

#[actix_web::test]
async fn not_7_that_a_person_is_gone_elsewhere_deletes_nothing_here() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    let body = json!({ "notificationType": "USER_REMOVED", "resourceType": "user", "providerId": "eve" });
    let answer = rogue.post(&server, "/ocm/notifications", &body).await;
    assert_eq!(
        answer.status(),
        404,
        "there is no such share, and it is about nothing else here"
    );
    assert_eq!(server.contacts("ada").await.len(), 1);
}
