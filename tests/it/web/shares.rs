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
        if seen.header("content-disposition").starts_with("attachment") {
            // Kept on one's own disk, it is no page.
            continue;
        }
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

#[actix_web::test]
async fn several_shares_are_decided_at_once_and_one_can_be_tried() {
    let pair = Pair::acquainted().await;
    for name in ["a.txt", "b.txt", "c.txt"] {
        pair.a.put_file("ada", name, "text").await;
        let to = pair.b.address("bob");
        pair.a.share("ada", name, &to, false).await.unwrap();
    }
    pair.a.deliver().await;
    let rows = pair.b.received("bob").await;
    let id = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["id"].as_str().unwrap().to_owned()
    };
    let (a, b, c) = (id("a.txt"), id("b.txt"), id("c.txt"));
    let mut bob = Browser::signed_in(&pair.b, "bob").await;
    bob.get("/shares/received")
        .await
        .expect(&format!("name=\"share\" value=\"{a}\""))
        .expect("accept-chosen");
    let mut mallory = Browser::new(&pair.b);
    pair.b.user("mallory").await;
    mallory.sign_in("mallory", PASSWORD).await;
    let both = [("share", &*a), ("share", &*b), ("verb", "accept")];
    mallory.post("/shares/received/decide", &both).await.expect_status(303);
    let state = async |id: &str| {
        let rows = pair.b.received("bob").await;
        let row = rows.iter().find(|row| row["id"] == id).unwrap();
        row["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(state(&a).await, "pending", "nobody decides for another");
    bob.post("/shares/received/decide", &both).await.expect_status(303);
    bob.post("/shares/received/decide", &[("share", &c), ("verb", "decline")])
        .await
        .expect_status(303);
    assert_eq!(
        [state(&a).await, state(&b).await, state(&c).await],
        ["accepted", "accepted", "declined"]
    );

    let page = format!("/shares/received/{a}");
    let shown = bob.get(&page).await;
    shown.expect("sharedSecret").expect("•••").expect("You accepted it");
    let secret = pair
        .b
        .site()
        .shares
        .received_share("bob", &a)
        .await
        .unwrap()
        .offer
        .shared_secret;
    assert!(!shown.has(secret.expose()), "what opens it is not shown");
    bob.post(&format!("{page}/check"), &[]).await.expect_status(303);
    bob.get(&page).await.expect("Can be opened");
    pair.a.rule(&pair.b.provider().to_string(), false).await;
    bob.post(&format!("{page}/check"), &[]).await.expect_status(303);
    bob.get(&page).await.expect("Can’t be opened").expect("they-refuse-us");
    // One that was declined is not asked for.
    bob.post(&format!("/shares/received/{c}/check"), &[]).await;
    bob.get(&format!("/shares/received/{c}"))
        .await
        .expect("You have declined");
}

#[actix_web::test]
async fn stopping_says_what_follows_first_and_their_admin_can_be_told_without_a_secret() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    rogue.reply("POST", "/ocm/shares", Reply::json(403, json!({ "message": "no" })));
    let mut ada = Browser::signed_in(&server, "ada").await;
    let to = rogue.address("somebody");
    let sent = ada.post("/shares/new", &[("path", "a.txt"), ("to", &to)]).await;
    let page = sent.location().to_owned();
    server.deliver().await;
    let shown = ada.get(&page).await;
    shown
        .expect("Refused")
        .expect("Tell their admin")
        .expect("they-refuse-us")
        .expect(server.site().keys.active().kid())
        .expect("/invites/new?path=a%2Etxt");
    let id = page.rsplit('/').next().unwrap();
    let (share, _) = server.site().shares.sent_share("ada", id).await.unwrap();
    assert!(!shown.has(share.secret.expose()));
    ada.get("/shares/sent").await.expect("Refused");

    rogue.reply("POST", "/ocm/shares", Reply::json(201, json!({})));
    ada.post(&format!("{page}/retry"), &[]).await.expect_status(303);
    server.deliver().await;
    ada.get(&format!("{page}/stop"))
        .await
        .expect("Access ends at once")
        .expect("Go on sharing");
    ada.get(&page).await.expect("Announced");
    ada.post(&format!("{page}/stop"), &[]).await.expect_status(303);
    ada.get(&page).await.expect("Stopped").expect("share-again");
}

#[actix_web::test]
async fn the_page_to_share_finds_contacts_and_tells_what_is_known_without_asking() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    ada.get("/shares/new?path=a.txt")
        .await
        .expect("/invites/new?path=a%2Etxt")
        .expect("no contacts yet");
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    rogue.forget_seen();
    let contacts = server.contacts("ada").await;
    let address = contacts[0]["address"].as_str().unwrap();
    let to = address.replace('@', "%40").replace(':', "%3A");
    let page = ada.get(&format!("/shares/new?path=a.txt&contact={to}")).await;
    page.expect("says of itself").expect("It takes files");
    ada.get(&format!("/shares/new?path=a.txt&find={}", &address[..3]))
        .await
        .expect(address);
    let none = ada.get("/shares/new?path=a.txt&find=nobody").await;
    assert!(!none.has(&format!("value=\"{address}\"")));
    none.expect("No contact is called so");
    ada.get("/shares/new?path=a.txt&contact=x%40unknown.example")
        .await
        .expect("This server does not accept");
    assert!(rogue.seen().is_empty(), "{:?}", rogue.seen());
}

#[actix_web::test]
async fn an_upload_to_another_server_is_done_when_that_server_says_so() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "docs/a.txt", "a").await;
    let (_, id) = pair.shared("docs", true).await;
    let mut bob = Browser::signed_in(&pair.b, "bob").await;
    let here = format!("/shares/from/{id}/");
    let sent = bob.upload(&here, "b.txt", "from bob").await;
    assert_eq!(sent.location(), format!("{here}?stored=b%2Etxt"));
    bob.get(sent.location()).await.expect("id=\"stored\"").expect("b.txt");
    let lie = bob.get(&format!("{here}?stored=%3Cb%3Elie")).await;
    assert!(
        !lie.has("id=\"stored\"") && !lie.has("<b>lie"),
        "anybody can make a link"
    );
}
