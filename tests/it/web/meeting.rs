//! Invitations and contacts (T-69, T-70).

use std::time::Duration;

use ocmesh::config::Directory;
use ocmesh::config::DocumentUrl;
use ocmesh::config::Verify;
use serde_json::json;

use super::browser::Browser;
use super::check_download;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::names;

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
    stranger.get(&link).await.expect_status(400).expect("token-invalid");
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
async fn t70_looking_at_an_invitation_spends_nothing_and_asks_nobody() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let path = format!(
        "/invites/accept?token=abcdefghijklmnopqrstuvwx&providerDomain={}",
        rogue.provider
    );
    for _ in 0..3 {
        ada.get(&path)
            .await
            .expect_status(200)
            .expect(&rogue.provider.to_string());
    }
    let pasted = format!("abcdefghijklmnopqrstuvwx@{}", rogue.provider);
    ada.post("/invites/accept", &[("text", &pasted)])
        .await
        .expect_status(303);
    assert!(rogue.seen().is_empty(), "{:?}", rogue.seen());
    let invite = server.invite("ada").await;
    for _ in 0..3 {
        let link = invite["link"].as_str().unwrap();
        Browser::new(&server).get(link).await.expect_status(200);
    }
    let shown = ada.get(&format!("/invites/{}", invite["id"].as_str().unwrap())).await;
    shown.expect("0 of 1 used");
}

#[actix_web::test]
async fn an_invitation_can_be_cancelled_and_is_refused_in_one_sentence() {
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
    for link in [
        &invite["link"],
        &late["link"],
        &json!("/wayf?token=guess"),
        &json!("/wayf"),
    ] {
        let seen = Browser::new(&server).get(link.as_str().unwrap()).await;
        seen.expect_status(400).expect("token-invalid");
    }
}

#[actix_web::test]
async fn what_is_pasted_is_explained_where_it_is_no_invitation() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let own = server.invite("ada").await;
    ada.post("/invites/accept", &[("text", "nothing at all")])
        .await
        .expect_status(400)
        .expect("code-unreadable");
    let own = ada
        .post("/invites/accept", &[("text", own["string"].as_str().unwrap())])
        .await;
    own.expect_status(400).expect("own-server");
    ada.get("/invites/accept?token=a%20b&providerDomain=b.example")
        .await
        .expect_status(400);
    let wrong = ada
        .post("/invites/new", &[("for", "x"), ("expires", "7d"), ("uses", "many")])
        .await;
    wrong
        .expect_status(400)
        .expect("href=\"#uses\"")
        .expect("value=\"many\"");
}

#[actix_web::test]
async fn t69_the_way_to_another_server_is_a_link_to_that_server_or_none() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let invite = server.invite("ada").await;
    let token = invite["token"].as_str().unwrap();
    let host = rogue.provider.to_string();
    let mut stranger = Browser::new(&server);
    for dialog in [
        "//evil.example/x",
        "/\\evil.example",
        "javascript:alert(1)",
        "https://evil.example/",
        "https://a@evil.example/",
    ] {
        let mut document = rogue.discovery();
        document["inviteAcceptDialog"] = json!(dialog);
        rogue.reply("GET", "/.well-known/ocm", Reply::json(200, document));
        server.site().peers.forget(&rogue.provider);
        let found = stranger.post("/wayf", &[("token", token), ("server", &host)]).await;
        found.expect_status(200);
        if found.has("id=\"continue\"") {
            let link = found.between("id=\"continue\" href=\"", "\"");
            assert!(link.starts_with(&format!("http://{host}/")), "{dialog} led to {link}");
        } else {
            assert_eq!(found.field("invite-string"), invite["string"].as_str().unwrap());
        }
        assert!(!found.has("javascript:"), "{}", found.body);
    }
    let own = stranger
        .post("/wayf", &[("token", token), ("server", &server.address("ada"))])
        .await;
    own.expect_status(400).expect("own-server");
    rogue.forget_seen();
    server.site().peers.forget(&rogue.provider);
    stranger
        .post("/wayf", &[("token", "guess"), ("server", &host)])
        .await
        .expect_status(400);
    assert!(
        rogue.seen().is_empty(),
        "who has no invitation can't make us ask another server"
    );
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
async fn a_member_never_reads_whose_contact_admits_a_server() {
    let pair = Pair::acquainted().await;
    pair.a.user("mallory").await;
    pair.a.admin("root").await;
    let path = format!(
        "/invites/accept?token=abcdefghijklmnopqrstuvwx&providerDomain={}",
        pair.b.provider()
    );
    let card = Browser::signed_in(&pair.a, "mallory").await.get(&path).await;
    card.expect_status(200).expect("Allowed");
    assert!(!card.has("ada"), "{}", card.body);
    let card = Browser::signed_in(&pair.a, "root").await.get(&path).await;
    card.expect("ada traded an invite");
}

#[actix_web::test]
async fn inv_4_an_invited_person_chooses_their_server_from_the_directories() {
    let (directory, other) = (Rogue::start().await, Rogue::start().await);
    let nasty = "\"><script>alert(1)</script>\u{202e}";
    let at = |rogue: &Rogue| format!("http://{}", rogue.provider);
    let server = following(&[&directory, &other]).await;
    let own = server.url("/");
    publish(
        &directory,
        "Fed <b>",
        &[
            (&at(&other), nasty),
            ("https://denied.example", "Denied"),
            (&own, "Own"),
        ],
    );
    publish(
        &other,
        "Second",
        &[(&at(&other), "Twice"), ("https://z.example", "Zeta")],
    );
    server.user("ada").await;
    server.rule("denied.example", false).await;
    let invite = server.invite("ada").await;
    let link = invite["link"].as_str().unwrap();
    let mut stranger = Browser::new(&server);
    let empty = stranger.get(link).await;
    assert!(!empty.has("choose-server") && !empty.has("datalist"), "{}", empty.body);

    server.site().directories.refresh_due(server.clock.now()).await.unwrap();
    let (host, seen) = (other.provider.to_string(), other.seen().len());
    let page = stranger.get(link).await;
    page.expect_status(200)
        .expect("&#60;script&#62;alert(1)")
        .expect("Fed &#60;b&#62;")
        .expect("Zeta")
        .expect(&format!("name=\"server\" value=\"{host}\""));
    for wrong in ["<script>", "\u{202e}", "Denied", "Own<", "Twice", "href=\"http"] {
        assert!(!page.has(wrong), "{wrong} in {}", page.body);
    }
    assert_eq!(page.body.matches("choose-server").count(), 2);
    assert_eq!(other.seen().len(), seen, "a list to choose from asks nobody");

    // Choosing goes the way of typing, with its guards (T-69).
    let token = invite["token"].as_str().unwrap();
    let found = stranger.post("/wayf", &[("token", token), ("server", &host)]).await;
    found
        .expect_status(200)
        .expect("id=\"continue\"")
        .expect("rel=\"noreferrer\"");
    let failed = stranger
        .post("/wayf", &[("token", token), ("server", "z.example")])
        .await;
    assert!(failed.status >= 400);
    failed.expect("choose-server").expect("value=\"z.example\"");
}

async fn following(rogues: &[&Rogue]) -> TestServer {
    let entry = |rogue: &&Rogue| Directory {
        url: DocumentUrl::parse(&format!("http://{}/list", rogue.provider)).unwrap(),
        key: None,
        key_file: None,
        verify: Verify::Off,
        admits: false,
    };
    let entries: Vec<_> = rogues.iter().map(entry).collect();
    let lookup = names(&[]);
    TestServer::start_in(lookup, |config| config.federation.directory = entries).await
}

fn publish(rogue: &Rogue, federation: &str, servers: &[(&str, &str)]) {
    let servers: Vec<_> = servers
        .iter()
        .map(|(url, name)| json!({"url": url, "displayName": name}))
        .collect();
    let document = json!({"federation": federation, "servers": servers});
    rogue.reply("GET", "/list", Reply::json(200, document));
}
