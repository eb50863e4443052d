//! One's own account: what it says, its language, its sessions (T-72).

use ocmesh::api::Call;
use serde_json::json;

use super::browser::Browser;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::TestServer;

#[actix_web::test]
async fn an_account_says_what_its_owner_wants_it_to_say() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let wrong = [("display_name", "<b>Ada</b>"), ("mail", "no mail")];
    ada.post("/account", &wrong)
        .await
        .expect_status(400)
        .expect("aria-invalid")
        .expect("&#60;b&#62;Ada");
    let fields = [
        ("display_name", "Ada L."),
        ("mail", "ada@mail.example"),
        ("lang", "de"),
        ("accept_from_contacts", "yes"),
    ];
    ada.post("/account", &fields).await.expect_status(303);
    let call = Call::UserShow { user: None };
    let shown = server.call(call).await.unwrap();
    assert_eq!(shown["display_name"], "Ada L.");
    assert_eq!(shown["language"], "de");
    assert_eq!(shown["accept_from_contacts"], true);
    let call = Call::UserSet {
        user: Some("ada".to_owned()),
        display_name: None,
        mail: Some(String::new()),
        language: Some("auto".to_owned()),
        accept_from_contacts: None,
    };
    let set = server.call(call).await.unwrap();
    assert_eq!((&set["mail"], &set["language"]), (&json!(""), &json!(null)));
    assert_eq!(set["display_name"], "Ada L.");
}

#[actix_web::test]
async fn the_language_of_an_account_holds_in_every_browser() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let chosen = ada.post("/language", &[("lang", "fr"), ("next", "/home")]).await;
    assert_eq!(chosen.location(), "/home");
    let cookies = async |browser: &mut Browser| {
        let seen = browser.sign_in("ada", PASSWORD).await;
        let all = seen.headers.iter().filter(|(name, _)| name == "set-cookie");
        all.map(|(_, value)| value.clone()).collect::<Vec<_>>().join("\n")
    };
    assert!(cookies(&mut Browser::new(&server)).await.contains("ocmesh-language=fr"));
    let call = Call::UserSet {
        user: None,
        display_name: None,
        mail: None,
        language: Some("auto".to_owned()),
        accept_from_contacts: None,
    };
    server.call(call).await.unwrap();
    assert!(!cookies(&mut Browser::new(&server)).await.contains("ocmesh-language"));
}

#[actix_web::test]
async fn t72_sessions_are_listed_without_what_opens_them_and_can_be_ended() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.user("mallory").await;
    let mut here = Browser::signed_in(&server, "ada").await;
    let mut there = Browser::signed_in(&server, "ada").await;
    let mut third = Browser::signed_in(&server, "ada").await;
    let mut mallory = Browser::signed_in(&server, "mallory").await;
    let page = here.get("/account").await;
    page.expect("This one").expect("127.0.0.1");
    assert_eq!(page.body.matches("data-ocm-action=\"end-session\"").count(), 2);
    for browser in [&here, &there] {
        let token = browser.cookie().unwrap().split('=').nth(1).unwrap();
        assert!(!page.has(token));
        assert!(!page.has(&ocmesh::secret::hash_of(token)));
    }
    let handle = page.between("name=\"session\" value=\"", "\"");
    mallory
        .post("/account/sessions/end", &[("session", &handle)])
        .await
        .expect_status(404);
    here.post("/account/sessions/end", &[("session", &handle)])
        .await
        .expect_status(303);
    let mut left = 0;
    for browser in [&mut there, &mut third] {
        left += usize::from(browser.get("/home").await.status == 200);
    }
    assert_eq!(left, 1);
    here.post("/account/sessions/end", &[]).await.expect_status(303);
    there.get("/home").await.expect_status(303);
    third.get("/home").await.expect_status(303);
    here.get("/home").await.expect_status(200);
    mallory.get("/home").await.expect_status(200);
    server
        .call(Call::UserSignOut {
            user: Some("ada".to_owned()),
        })
        .await
        .unwrap();
    here.get("/home").await.expect_status(303);
}

#[actix_web::test]
async fn what_contacts_share_is_accepted_at_once_where_that_is_wanted_and_nobody_elses_is() {
    let pair = Pair::with(crate::harness::mode(ocmesh::config::Mode::Open)).await;
    pair.introduce().await;
    pair.a.user("eve").await;
    pair.a.put_file("ada", "a.txt", "a").await;
    pair.a.put_file("eve", "e.txt", "e").await;
    let mut bob = Browser::signed_in(&pair.b, "bob").await;
    bob.post("/account", &[("display_name", "Bob"), ("accept_from_contacts", "yes")])
        .await
        .expect_status(303);
    let to = pair.b.address("bob");
    pair.a.share("ada", "a.txt", &to, false).await.unwrap();
    pair.a.share("eve", "e.txt", &to, false).await.unwrap();
    pair.a.deliver().await;
    let state = |rows: &[serde_json::Value], name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["state"].as_str().unwrap().to_owned()
    };
    let rows = pair.b.received("bob").await;
    assert_eq!(state(&rows, "a.txt"), "accepted");
    assert_eq!(state(&rows, "e.txt"), "pending");
    pair.b.deliver().await;
    assert_eq!(state(&pair.a.sent("ada").await, "a.txt"), "accepted");
    assert_eq!(state(&pair.a.sent("eve").await, "e.txt"), "pending");
}
