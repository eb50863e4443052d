//! The address book, and what waits on one's own page.

use ocmesh::api::Call;
use ocmesh::config::Mode;
use ocmesh::shares::Parting;
use serde_json::json;

use super::browser::Browser;
use crate::harness::Pair;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::everything;
use crate::harness::mode;

fn page_of(address: &str) -> String {
    format!("/contacts/{}", address.replace('@', "%40").replace(':', "%3A"))
}

#[actix_web::test]
async fn a_contact_is_removed_after_the_page_said_what_that_means() {
    let pair = Pair::acquainted().await;
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let page = ada.get("/contacts").await;
    let path = page.between("<th scope=\"row\"><a href=\"", "\"");
    ada.get(&path).await.expect_status(200).expect("bob@mail.example");
    ada.get(&format!("{path}/remove"))
        .await
        .expect("Their server is not told");
    assert_eq!(pair.a.contacts("ada").await.len(), 1);
    ada.post(&format!("{path}/remove"), &[]).await.expect_status(303);
    assert!(pair.a.contacts("ada").await.is_empty());
    ada.get(&path).await.expect_status(404);
}

#[actix_web::test]
async fn a_contact_has_a_name_and_a_note_of_ones_own_that_nobody_else_sees() {
    let pair = Pair::acquainted().await;
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let page = page_of(&pair.b.address("bob"));
    ada.post(&format!("{page}/name"), &[("name", "Bob <b> from Uni B")])
        .await
        .expect_status(303);
    ada.post(&format!("{page}/note"), &[("note", "met in Genf\r\nowes me a coffee")])
        .await
        .expect_status(303);
    let seen = ada.get(&page).await;
    seen.expect("Bob &#60;b&#62; from Uni B")
        .expect("BOB of the tests")
        .expect("met in Genf\nowes me a coffee");
    ada.get("/contacts").await.expect("Bob &#60;b&#62; from Uni B");
    ada.get("/shares/new").await.expect("Bob &#60;b&#62; from Uni B");
    let wrong = ada.post(&format!("{page}/note"), &[("note", &"x".repeat(1001))]).await;
    wrong.expect_status(400).expect("href=\"#note\"").expect("xxxx");
    // They meet once more: what the other server says of them changes nothing of this.
    pair.introduce().await;
    let contact = &pair.a.contacts("ada").await[0];
    assert_eq!(contact["shown_name"], "Bob <b> from Uni B");
    assert_eq!(contact["note"], "met in Genf\nowes me a coffee");
    ada.post(&format!("{page}/name"), &[("name", " ")])
        .await
        .expect_status(303);
    ada.get(&page).await.expect("<h1><bdi>BOB of the tests</bdi></h1>");
    // Not a contact of somebody else's.
    pair.a.user("mallory").await;
    let mut mallory = Browser::signed_in(&pair.a, "mallory").await;
    for path in ["", "/remove", "/export?as=vcard"] {
        mallory.get(&format!("{page}{path}")).await.expect_status(404);
    }
    mallory
        .post(&format!("{page}/block"), &[("blocked", "yes")])
        .await
        .expect_status(404);
    assert!(pair.a.contacts("ada").await[0]["blocked"].is_null());
}

#[actix_web::test]
async fn t36_a_blocked_contact_is_answered_like_a_stranger_and_what_is_shared_goes_on() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    server.put_file("ada", "a.txt", "a").await;
    server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    let before = rogue.share_for(&server, "ada", "before");
    assert_eq!(rogue.post(&server, "/ocm/shares", &before).await.status(), 201);
    let mut ada = Browser::signed_in(&server, "ada").await;
    let page = page_of(&rogue.address("eve"));
    ada.post(&format!("{page}/block"), &[("blocked", "yes")])
        .await
        .expect_status(303);

    let share_of = |who: &str, id: &str| {
        let mut share = rogue.share_for(&server, "ada", id);
        share["owner"] = json!(rogue.address(who));
        share["sender"] = json!(rogue.address(who));
        share
    };
    let blocked = rogue.post(&server, "/ocm/shares", &share_of("eve", "x1")).await;
    assert_eq!(blocked.status(), 403);
    let blocked = everything(blocked).await;
    let unknown = rogue.post(&server, "/ocm/shares", &share_of("nobody", "x2")).await;
    assert_eq!(blocked, everything(unknown).await);
    let request_of = |who: &str| {
        json!({
            "owner": server.address("ada"),
            "shareWith": rogue.address(who),
            "share": "a.txt",
            "shareType": "user",
            "resourceType": "file",
        })
    };
    let blocked = rogue.post(&server, "/ocm/request-share", &request_of("eve")).await;
    let unknown = rogue.post(&server, "/ocm/request-share", &request_of("nobody")).await;
    assert!(blocked.status().as_u16() >= 400);
    assert_eq!(everything(blocked).await, everything(unknown).await);
    assert_eq!(server.received("ada").await.len(), 1);

    let seen = ada.get(&page).await;
    seen.expect("You have blocked").expect("a.txt").expect("report.txt");
    assert!(!seen.has("data-ocm-action=\"share\""));
    assert_eq!(server.sent("ada").await[0]["state"], "pending");
    // An invitation that they trade again does not lift it; only Ada does.
    rogue.befriend(&server, "ada").await;
    let again = rogue.post(&server, "/ocm/shares", &share_of("eve", "x3")).await;
    assert_eq!(again.status(), 403);
    ada.post(&format!("{page}/block"), &[("blocked", "no")])
        .await
        .expect_status(303);
    let after = rogue.post(&server, "/ocm/shares", &share_of("eve", "x4")).await;
    assert_eq!(after.status(), 201);
}

#[actix_web::test]
async fn who_is_blocked_is_refused_where_strangers_are_not() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    let call = Call::ContactChange {
        user: None,
        address: rogue.address("eve"),
        change: ocmesh::contacts::Change::Block,
    };
    server.call(call).await.unwrap();
    let share = rogue.share_for(&server, "ada", "x1");
    assert_eq!(rogue.post(&server, "/ocm/shares", &share).await.status(), 403);
    let mut share = rogue.share_for(&server, "ada", "x2");
    (share["owner"], share["sender"]) = (json!(rogue.address("nobody")), json!(rogue.address("nobody")));
    assert_eq!(rogue.post(&server, "/ocm/shares", &share).await.status(), 201);
}

#[actix_web::test]
async fn what_two_people_share_ends_with_a_contact_as_far_as_one_says_so() {
    for (stop, give_back) in [(false, false), (true, false), (false, true), (true, true)] {
        let pair = Pair::acquainted().await;
        pair.a.put_file("ada", "a.txt", "a").await;
        pair.shared("a.txt", false).await;
        pair.b.put_file("bob", "b.txt", "b").await;
        pair.b
            .share("bob", "b.txt", &pair.a.address("ada"), false)
            .await
            .unwrap();
        pair.b.deliver().await;
        let mut ada = Browser::signed_in(&pair.a, "ada").await;
        let page = page_of(&pair.b.address("bob"));
        ada.get(&format!("{page}/remove"))
            .await
            .expect("You share 1 thing with them.")
            .expect("They share 1 thing with you.");
        let fields = [
            ("sent", if stop { "stop" } else { "keep" }),
            ("received", if give_back { "give-back" } else { "keep" }),
        ];
        ada.post(&format!("{page}/remove"), &fields).await.expect_status(303);
        pair.a.deliver().await;
        let state = |rows: Vec<serde_json::Value>| rows[0]["state"].as_str().unwrap().to_owned();
        assert_eq!(
            state(pair.a.sent("ada").await),
            if stop { "stopped" } else { "accepted" }
        );
        assert_eq!(
            state(pair.a.received("ada").await),
            if give_back { "declined" } else { "pending" }
        );
        assert_eq!(
            state(pair.b.received("bob").await),
            if stop { "gone" } else { "accepted" }
        );
        assert!(pair.a.contacts("ada").await.is_empty());
        assert_eq!(
            pair.b.contacts("bob").await.len(),
            1,
            "nobody is told of the removal itself"
        );
    }
    let server = TestServer::start().await;
    server.user("ada").await;
    let call = Call::ContactRemove {
        user: None,
        address: "eve@x.example".to_owned(),
        parting: Parting::default(),
    };
    assert!(server.call(call).await.is_err());
}

#[actix_web::test]
async fn t64_contacts_are_exported_as_files_to_keep() {
    let pair = Pair::acquainted().await;
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let page = page_of(&pair.b.address("bob"));
    for (path, kind, word) in [
        (
            format!("{page}/export?as=vcard"),
            "text/vcard",
            "FN:BOB of the tests\r\n",
        ),
        ("/contacts/export?as=vcard".to_owned(), "text/vcard", "END:VCARD"),
        (
            format!("{page}/export?as=jscontact"),
            "application/jscontact+json",
            "\"full\":\"BOB of the tests\"",
        ),
        (
            "/contacts/export?as=jscontact".to_owned(),
            "application/jscontact+json",
            "\"Card\"",
        ),
    ] {
        let file = ada.get(&path).await;
        file.expect_status(200).expect(word).expect(&pair.b.address("bob"));
        assert!(file.header("content-type").starts_with(kind), "{path}");
        assert!(file.header("content-disposition").starts_with("attachment;"), "{path}");
        assert!(file.header("content-security-policy").contains("sandbox"), "{path}");
    }
    ada.get("/contacts/export?as=csv").await.expect_status(400);
    ada.get("/contacts/export").await.expect_status(400);
    Browser::new(&pair.a)
        .get("/contacts/export?as=vcard")
        .await
        .expect_status(303);
}

#[actix_web::test]
async fn contacts_are_found_by_name_and_address_and_show_how_it_stands_with_their_server() {
    let pair = Pair::acquainted().await;
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    ada.get("/contacts").await.expect("Answers").expect("your invitation");
    ada.get("/contacts?q=BOB+of").await.expect("BOB of the tests</bdi>");
    ada.get(&format!("/contacts?q={}", pair.b.provider()))
        .await
        .expect("BOB of the tests</bdi>");
    let none = ada.get("/contacts?q=%3Cscript").await;
    none.expect("&#60;script");
    assert!(!none.has("BOB of"));
    pair.a.rule(&pair.b.provider().to_string(), false).await;
    ada.get("/contacts").await.expect("Not accepted");
    let mut bob = Browser::signed_in(&pair.b, "bob").await;
    bob.get("/contacts").await.expect("their invitation");
}

#[actix_web::test]
async fn home_says_who_accepted_and_what_happened_lately() {
    let pair = Pair::strangers().await;
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    ada.get("/home")
        .await
        .expect("Nothing has happened yet")
        .expect("How it goes");
    pair.introduce().await;
    ada.get("/home")
        .await
        .expect("accepted your invitation")
        .expect("share-with-new")
        .expect("became your contact");
    pair.a.put_file("ada", "a.txt", "a").await;
    pair.shared("a.txt", false).await;
    let home = ada.get("/home").await;
    home.expect("You shared");
    assert!(!home.has("share-with-new"), "they have something now");
    assert!(!home.has("How it goes"), "the three steps are done");
    let bob = Browser::signed_in(&pair.b, "bob").await.get("/home").await;
    bob.expect("became your contact");
    assert!(!bob.has("share-with-new"), "Bob accepted, and knows it");
}
