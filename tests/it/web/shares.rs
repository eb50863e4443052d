//! Shares in both roles, and names that other servers make up (T-68).

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;

use super::browser::Browser;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;

#[actix_web::test]
async fn a_share_that_does_not_arrive_says_why_and_can_be_tried_again() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let to = rogue.address("eve");
    let late = [
        ("path", "a.txt"),
        ("contact", ""),
        ("to", &*to),
        ("until", "2001-01-01"),
    ];
    ada.post("/shares/new", &late)
        .await
        .expect_status(400)
        .expect("href=\"#until\"")
        .expect("2001-01-01");
    rogue.reply("POST", "/ocm/shares", Reply::json(503, json!({})));
    let sent = ada
        .post("/shares/new", &[("path", "a.txt"), ("contact", ""), ("to", &to)])
        .await;
    let page = sent.location();
    server.deliver().await;
    ada.get(page)
        .await
        .expect("Waiting")
        .expect("Tried once")
        .expect("Try now");
    rogue.reply(
        "POST",
        "/ocm/shares",
        Reply::json(403, json!({ "message": "<b>no</b>" })),
    );
    server.clock.step(Duration::from_secs(3600));
    server.deliver().await;
    let refused = ada.get(page).await;
    refused
        .expect("Refused")
        .expect("&#60;b&#62;no&#60;/b&#62;")
        .expect("they-refuse-us");
    ada.get("/home").await.expect("Not delivered");
    rogue.reply("POST", "/ocm/shares", Reply::json(201, json!({})));
    ada.post(&format!("{page}/retry"), &[]).await.expect_status(303);
    server.deliver().await;
    ada.get(page).await.expect("Announced");
}

#[actix_web::test]
async fn a_received_share_is_accepted_and_given_back_and_a_declined_one_stays_declined() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "a.txt", "a").await;
    pair.a
        .share("ada", "a.txt", &pair.b.address("bob"), false)
        .await
        .unwrap();
    pair.a.deliver().await;
    let id = pair.b.received("bob").await[0]["id"].as_str().unwrap().to_owned();
    let mut bob = Browser::signed_in(&pair.b, "bob").await;
    let page = format!("/shares/received/{id}");
    let tab = async |bob: &mut Browser, name: &str| bob.get(&format!("/shares/received?tab={name}")).await.has("a.txt");
    assert!(tab(&mut bob, "to-decide").await);
    bob.post(&format!("{page}/accept"), &[]).await.expect_status(303);
    let open = bob.get(&format!("/shares/from/{id}/")).await;
    open.expect("a.txt");
    assert!(!open.has("type=\"file\""), "it is for reading only");
    bob.upload(&format!("/shares/from/{id}/"), "a.txt", "b")
        .await
        .expect_status(403)
        .expect("read-only");
    bob.post(&format!("{page}/leave"), &[]).await.expect_status(303);
    assert!(tab(&mut bob, "gone").await);
    bob.post(&format!("{page}/destroy"), &[]).await.expect_status(404);

    pair.a
        .share("ada", "a.txt", &pair.b.address("bob"), false)
        .await
        .unwrap();
    pair.a.deliver().await;
    let rows = pair.b.received("bob").await;
    let again = rows.iter().find(|row| row["state"] == "pending").unwrap();
    let declined = format!("/shares/received/{}", again["id"].as_str().unwrap());
    bob.post(&format!("{declined}/decline"), &[]).await.expect_status(303);
    assert!(tab(&mut bob, "declined").await && !tab(&mut bob, "to-decide").await);
    bob.post(&format!("{declined}/accept"), &[]).await.expect_status(409);
    let mut mallory = Browser::new(&pair.b);
    pair.b.user("mallory").await;
    mallory.sign_in("mallory", PASSWORD).await;
    mallory.get(&page).await.expect_status(404);
}

#[actix_web::test]
async fn t68_whatever_another_server_calls_things_is_shown_as_text() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let payloads = [
        "<script>alert(1)</script>",
        "\"><img src=x onerror=alert(1)>",
        "'><svg/onload=alert(1)>",
        "javascript:alert(1)",
        "{{7*7}}</title><b>",
        "a\u{202e}txt.exe",
    ];
    for (number, payload) in payloads.iter().enumerate() {
        let invite = server.invite("ada").await;
        let body = json!({
            "recipientProvider": rogue.provider.to_string(),
            "token": invite["token"],
            "userID": format!("eve{number}"),
            "email": payload,
            "name": payload,
        });
        assert_eq!(rogue.post(&server, "/ocm/invite-accepted", &body).await.status(), 200);
        let mut share = rogue.share_for(&server, "ada", &format!("p{number}"));
        let eve = rogue.address(&format!("eve{number}"));
        for (field, value) in [
            ("name", *payload),
            ("description", payload),
            ("senderDisplayName", payload),
            ("sender", &eve),
            ("owner", &eve),
        ] {
            share[field] = json!(value);
        }
        let answer = rogue.post(&server, "/ocm/shares", &share).await.status().as_u16();
        assert!(matches!(answer, 201 | 400), "{payload}: {answer}");
    }
    let mut ada = Browser::signed_in(&server, "ada").await;
    let mut todo = vec![
        "/home".to_owned(),
        "/contacts".to_owned(),
        "/shares/received".to_owned(),
        "/shares/new".to_owned(),
    ];
    let mut done = BTreeSet::new();
    while let Some(path) = todo.pop() {
        if !done.insert(path.clone()) {
            continue;
        }
        let seen = ada.get(&path).await;
        for raw in [
            "<script>",
            "<img",
            "<svg/",
            "onerror=alert(1)>",
            "href=\"javascript:",
            "</title><b>",
        ] {
            assert!(!seen.has(raw), "{path} has {raw}");
        }
        let links = seen
            .body
            .split("href=\"")
            .skip(1)
            .map(|rest| rest.split('"').next().unwrap());
        let ours = links.filter(|link| link.starts_with("/contacts/") || link.starts_with("/shares/received/"));
        todo.extend(ours.map(str::to_owned));
    }
    assert!(done.len() > 10, "{done:?}");
    let mut document = rogue.discovery();
    document["provider"] = json!(payloads[0]);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, document));
    server.site().peers.forget(&rogue.provider);
    let invite = server.invite("ada").await;
    let fields = [
        ("token", invite["token"].as_str().unwrap()),
        ("server", &rogue.provider.to_string()),
    ];
    let found = Browser::new(&server).post("/wayf", &fields).await;
    found.expect("&#60;script&#62;");
    assert!(!found.has("<script>"));
}
