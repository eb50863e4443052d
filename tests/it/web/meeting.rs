//! Two people meet: an invitation from its making to a share, and its end.

use std::time::Duration;

use serde_json::json;

use super::browser::Browser;
use super::check_download;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::TestServer;

#[actix_web::test]
async fn two_people_meet_and_share_with_nothing_but_forms() {
    let pair = Pair::strangers().await;
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let mut bob = Browser::new(&pair.b);

    let invite = ada
        .post(
            "/invites/new",
            &[("for", "Bob, Uni B"), ("expires", "7d"), ("uses", "1")],
        )
        .await;
    let page = ada.get(invite.location()).await;
    let (link, string) = (page.field("invite-link"), page.field("invite-string"));
    page.expect("Bob, Uni B").expect("Open").expect("mailto:?subject=");

    // Bob opens the link without an account there, names his server, and goes on to his own sign-in.
    let mut stranger = Browser::new(&pair.a);
    stranger.get(&link).await.expect_status(200).expect("ADA of the tests");
    let token = link.split_once("token=").unwrap().1;
    let server = pair.b.address("bob");
    let found = stranger.post("/wayf", &[("token", token), ("server", &server)]).await;
    found.expect_status(200).expect("rel=\"noreferrer\"");
    let dialog = found.between("id=\"continue\" href=\"", "\"");
    assert!(dialog.starts_with(&pair.b.url("/invites/accept?token=")), "{dialog}");
    let login = bob.get(&dialog).await.location().to_owned();
    let next = bob.get(&login).await.between("name=\"next\" value=\"", "\"");
    let back = bob.sign_in_to(&next, "bob", PASSWORD).await.location().to_owned();
    let card = bob.get(&back).await;
    card.expect(&format!("<b>{}</b>", pair.a.provider()))
        .expect("BOB of the tests")
        .expect("bob@mail.example");
    assert!(pair.b.contacts("bob").await.is_empty(), "looking accepts nothing");

    let provider = pair.a.provider().to_string();
    let agreed = bob
        .post("/invites/accept/confirm", &[("token", token), ("provider", &provider)])
        .await;
    bob.get(agreed.location())
        .await
        .expect_status(200)
        .expect("ADA of the tests");
    ada.get("/contacts").await.expect("BOB of the tests");
    ada.get(invite.location()).await.expect("Accepted").expect("bob");
    stranger.get(&link).await.expect_status(409).expect("invite-used");
    let again = bob.post("/invites/accept", &[("text", &string)]).await;
    bob.get(again.location()).await.expect_status(200);

    // Ada uploads and shares, Bob accepts, opens, downloads, and puts something there.
    ada.post("/new-folder", &[("path", ""), ("name", "Messungen & mehr")])
        .await
        .expect_status(303);
    let folder = "/files/Messungen%20%26%20mehr";
    ada.upload(folder, "Grüße.txt", "hello bob").await.expect_status(303);
    ada.get(folder).await.expect("Grüße.txt");
    let contact = pair.b.address("bob");
    let fields = [
        ("path", "Messungen & mehr"),
        ("contact", &contact),
        ("to", ""),
        ("write", "yes"),
        ("until", "2099-12-31"),
    ];
    let sent = ada.post("/shares/new", &fields).await.location().to_owned();
    ada.get(&sent).await.expect("On its way");
    pair.a.deliver().await;
    ada.get(&sent).await.expect("Announced").expect("31 December 2099");

    let home = bob.get("/home").await;
    home.expect("Messungen &#38; mehr").expect("To decide");
    let share = home.between("href=\"/shares/received/", "\"");
    bob.get(&format!("/shares/from/{share}/")).await.expect_status(403);
    bob.post(&format!("/shares/received/{share}/accept"), &[])
        .await
        .expect_status(303);
    pair.b.deliver().await;
    ada.get(&sent).await.expect("They accepted it");
    let open = bob.get(&format!("/shares/from/{share}/")).await;
    open.expect_status(200).expect("Grüße.txt");
    let download = open.between("<th scope=\"row\"><a href=\"", "\"");
    let file = bob.get(&download).await;
    assert_eq!((file.status, file.body.as_str()), (200, "hello bob"));
    check_download(&file, "Gr%C3%BC%C3%9Fe.txt");
    bob.upload(&format!("/shares/from/{share}/"), "answer.txt", "hello ada")
        .await
        .expect_status(303);
    assert_eq!(ada.get(&format!("{folder}/answer.txt")).await.body, "hello ada");

    // Ada stops it, and Bob can't get at it any more.
    ada.post(&format!("{sent}/stop"), &[]).await.expect_status(303);
    ada.get(&sent).await.expect("Stopped");
    let gone = bob.get(&download).await;
    gone.expect_status(502).expect("share-gone").expect("Try again");
    pair.a.deliver().await;
    bob.get("/shares/received?tab=gone").await.expect("Taken back");
}

#[actix_web::test]
async fn an_invitation_can_be_cancelled_and_whoever_has_it_is_told_so() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.user("mallory").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let invite = server.invite("ada").await;
    let page = format!("/invites/{}", invite["id"].as_str().unwrap());
    let mut mallory = Browser::signed_in(&server, "mallory").await;
    mallory.get(&page).await.expect_status(404);
    mallory.post(&format!("{page}/revoke"), &[]).await.expect_status(404);
    ada.post(&format!("{page}/revoke"), &[]).await.expect_status(303);
    let cancelled = ada.get(&page).await;
    cancelled.expect("Cancelled");
    assert!(!cancelled.has(invite["token"].as_str().unwrap()));
    let late = server.invite("ada").await;
    server.clock.step(Duration::from_secs(8 * 86_400));
    for (link, status, code) in [
        (&invite["link"], 409, "invite-revoked"),
        (&late["link"], 409, "invite-expired"),
        (&json!("/wayf?token=guess"), 400, "token-invalid"),
        (&json!("/wayf"), 400, "token-invalid"),
    ] {
        let seen = Browser::new(&server).get(link.as_str().unwrap()).await;
        seen.expect_status(status).expect(code);
    }
}
