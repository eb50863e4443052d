//! Invitations that one got: looked at, accepted, refused (T-70, T-77, INV-5).

use ocmesh::api::Call;
use ocmesh::config::Mode;
use serde_json::Value;
use serde_json::json;

use super::browser::Browser;
use super::browser::Seen;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::mode;

const TOKEN: &str = "abcdefghijklmnopqrstuvwx";
const ACCEPTED: &str = "/ocm/invite-accepted";

fn dialog(host: &str) -> String {
    format!("/invites/accept?token={TOKEN}&providerDomain={host}")
}

fn identity() -> Value {
    json!({ "userID": "eve", "email": "eve@rogue.example", "name": "Eve" })
}

async fn agree(browser: &mut Browser, path: &str, host: &str, mail: &str) -> Seen {
    let fields = [("token", TOKEN), ("provider", host), ("mail", mail)];
    browser.post(path, &fields).await
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
async fn t70_link_checkers_spend_nothing_either() {
    let pair = Pair::strangers().await;
    let invite = pair.a.invite("ada").await;
    let link = invite["link"].as_str().unwrap();
    let bob = Browser::signed_in(&pair.b, "bob").await;
    let token = invite["token"].as_str().unwrap();
    let accept = pair.b.url(&format!(
        "/invites/accept?token={token}&providerDomain={}",
        pair.a.provider()
    ));
    for _ in 0..2 {
        let head = http().head(link).send().await.unwrap();
        assert_eq!((head.status().as_u16(), head.text().await.unwrap().len()), (200, 0));
        let head = http().head(&accept).header("cookie", bob.cookie().unwrap());
        assert_eq!(head.send().await.unwrap().status(), 200);
        let signed_out = http().head(&accept).send().await.unwrap();
        assert_eq!(signed_out.status(), 303);
    }
    assert!(pair.b.contacts("bob").await.is_empty());
    pair.b.accept_invite("bob", link).await.unwrap();
}

#[actix_web::test]
async fn an_invitation_survives_a_wrong_password_and_another_language() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut browser = Browser::new(&server);
    let wanted = dialog("b.example%3A8443");
    let login = browser.get(&wanted).await.location().to_owned();
    let page = browser.get(&login).await;
    page.expect("Sign in to see your invitation");
    let next = page.between("name=\"next\" value=\"", "\"");
    let wrong = browser.sign_in_to(&next, "ada", "not it at all").await;
    wrong.expect_status(401);
    let foot = wrong.body.split_once("class=\"languages\"").unwrap().1.to_owned();
    let rest = Seen {
        status: 200,
        headers: Vec::new(),
        body: foot,
    };
    let here = rest.between("name=\"next\" value=\"", "\"");
    let switched = browser.post("/language", &[("lang", "de"), ("next", &here)]).await;
    let again = browser.get(switched.location()).await;
    again.expect_status(200).expect("<html lang=\"de\"");
    let next = again.between("name=\"next\" value=\"", "\"");
    assert_eq!(next, wanted);
    assert_eq!(browser.sign_in_to(&next, "ada", PASSWORD).await.location(), wanted);
}

#[actix_web::test]
async fn inv_5_whoever_accepts_sees_what_is_told_and_may_keep_the_mail_address_back() {
    let pair = Pair::strangers().await;
    let mut bob = Browser::signed_in(&pair.b, "bob").await;
    let host = pair.a.provider().to_string();
    for (mail, told, shown) in [("no", "", "no e-mail"), ("yes", "bob@mail.example", "the e-mail")] {
        let invite = pair.a.invite("ada").await;
        let token = invite["token"].as_str().unwrap();
        let card = bob
            .get(&format!("/invites/accept?token={token}&providerDomain={host}"))
            .await;
        card.expect("BOB of the tests")
            .expect("bob@mail.example")
            .expect(&format!("<b>{host}</b>"));
        let fields = [("token", token), ("provider", &host), ("mail", mail)];
        let agreed = bob.post("/invites/accept/confirm", &fields).await;
        let page = bob.get(agreed.location()).await;
        page.expect("id=\"met\"").expect(shown);
        assert_eq!(pair.a.contacts("ada").await[0]["email"], told);
        assert_eq!(pair.b.contacts("bob").await[0]["told_email"], told);
    }
}

#[actix_web::test]
async fn what_is_known_of_a_server_is_shown_and_it_is_asked_only_when_somebody_says_so() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let host = rogue.provider.to_string();
    let mut ada = Browser::signed_in(&server, "ada").await;
    let card = ada.get(&dialog(&host)).await;
    card.expect("Nothing is known of it yet").expect("First contact");
    assert!(rogue.seen().is_empty());
    let looked = agree(&mut ada, "/invites/accept/look", &host, "").await;
    let card = ada.get(looked.location()).await;
    card.expect("<bdi>Rogue</bdi>").expect("It signs what it sends.");
    let paths: Vec<_> = rogue.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, ["/.well-known/ocm"]);
    // One that is not there: the card says so, and can still be used.
    let failed = agree(&mut ada, "/invites/accept/look", "127.0.0.1:1", "").await;
    assert!(failed.status >= 400);
    failed.expect("no-answer").expect("accept-invite");
}

#[actix_web::test]
async fn a_member_asks_an_admin_to_allow_a_server_and_accepts_when_it_is() {
    let server = TestServer::start_with(mode(Mode::Allowlist)).await;
    server.user("bob").await;
    server.admin("root").await;
    let rogue = Rogue::start().await;
    rogue.reply("POST", ACCEPTED, Reply::json(200, identity()));
    let host = rogue.provider.to_string();
    let mut bob = Browser::signed_in(&server, "bob").await;
    let mut root = Browser::signed_in(&server, "root").await;
    let card = bob.get(&dialog(&host)).await;
    card.expect("Not allowed").expect("ask-admin");
    assert!(!card.has("accept-invite\"") && !card.has("/admin/"), "{}", card.body);
    for path in ["/invites/accept/confirm", "/admin/wishes/accept"] {
        agree(&mut bob, path, &host, "").await.expect_status(403);
    }
    assert!(rogue.seen().is_empty(), "nothing is sent to a server that is refused");
    assert!(!root.get("/home").await.has("allow-wish"));

    for _ in 0..2 {
        let asked = agree(&mut bob, "/invites/accept/ask", &host, "").await;
        assert_eq!(asked.location(), dialog(&host.replace('.', "%2E").replace(':', "%3A")));
    }
    bob.get(&dialog(&host)).await.expect("see that you ask for it");
    let home = root.get("/home").await;
    assert_eq!(home.body.matches("allow-wish").count(), 1);
    home.expect(&host).expect("<bdi>bob</bdi>");
    for secret in [TOKEN, "allow-wish"] {
        assert!(!bob.get("/home").await.has(secret));
    }
    assert!(!home.has(TOKEN), "an admin gets no invitation of others");
    root.post("/admin/wishes/dismiss", &[("host", &host)])
        .await
        .expect_status(303);
    assert!(!root.get("/home").await.has("allow-wish"));

    agree(&mut bob, "/invites/accept/ask", &host, "")
        .await
        .expect_status(303);
    bob.post("/admin/wishes/allow", &[("host", &host)])
        .await
        .expect_status(403);
    root.post("/admin/wishes/allow", &[("host", &host)])
        .await
        .expect_status(303);
    assert!(!root.get("/home").await.has("allow-wish"));
    bob.get("/home").await.expect("it is allowed now");
    agree(&mut bob, "/invites/accept/confirm", &host, "yes")
        .await
        .expect_status(303);
    assert_eq!(server.contacts("bob").await.len(), 1);
    assert!(!bob.get("/home").await.has("it is allowed now"));
}

#[actix_web::test]
async fn an_admin_allows_and_accepts_in_one_unless_another_rule_denies() {
    let server = TestServer::start_with(mode(Mode::Allowlist)).await;
    server.admin("root").await;
    let rogue = Rogue::start().await;
    rogue.reply("POST", ACCEPTED, Reply::json(200, identity()));
    let host = rogue.provider.to_string();
    let mut root = Browser::signed_in(&server, "root").await;
    root.get(&dialog(&host)).await.expect("allow-and-accept-invite");
    // A denied host is denied on every port.
    server.rule("127.0.0.1", false).await;
    let refused = agree(&mut root, "/admin/wishes/accept", &host, "yes").await;
    refused.expect_status(409).expect("Another rule denies");
    let rules = server.call(Call::PeerList).await.unwrap();
    assert_eq!(rules.as_array().unwrap().len(), 1, "no rule is left behind: {rules}");
    assert!(rogue.seen().is_empty());
    server
        .call(Call::PeerRemove {
            host: "127.0.0.1".to_owned(),
        })
        .await
        .unwrap();
    let accepted = agree(&mut root, "/admin/wishes/accept", &host, "yes").await;
    assert!(accepted.location().starts_with("/contacts/eve%40"));
    let rules = server.call(Call::PeerList).await.unwrap();
    assert_eq!((&rules[0]["host"], &rules[0]["by"]), (&json!(host), &json!("root")));
}

#[actix_web::test]
async fn an_invitation_that_was_accepted_shows_the_contact_and_sends_nothing() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    rogue.reply("POST", ACCEPTED, Reply::json(200, identity()));
    let host = rogue.provider.to_string();
    let mut ada = Browser::signed_in(&server, "ada").await;
    for _ in 0..2 {
        let agreed = agree(&mut ada, "/invites/accept/confirm", &host, "yes").await;
        assert!(agreed.location().starts_with("/contacts/eve%40"));
    }
    assert_eq!(rogue.seen_at(ACCEPTED).len(), 1);
    let card = ada.get(&dialog(&host)).await;
    card.expect("already-contacts").expect("<bdi>Eve</bdi>");
    assert!(!card.has("accept-invite"));
    // Somebody else here was not invited by it.
    server.user("bob").await;
    let mut bob = Browser::signed_in(&server, "bob").await;
    assert!(!bob.get(&dialog(&host)).await.has("already-contacts"));
}

#[actix_web::test]
async fn each_answer_of_the_other_server_is_told_in_words_with_what_helps() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let host = rogue.provider.to_string();
    let mut ada = Browser::signed_in(&server, "ada").await;
    for (status, body, code, words) in [
        (
            400,
            json!({"message": "TOKEN_INVALID"}),
            "token-invalid",
            "Ask whoever invited you",
        ),
        (404, json!({}), "token-invalid", "does not know this invitation"),
        (
            400,
            json!({"message": "TOKEN_EXPIRED"}),
            "invite-expired",
            "has expired",
        ),
        (409, json!({}), "invite-used-elsewhere", "Somebody has already used"),
        (
            403,
            json!({"message": "UNTRUSTED"}),
            "they-refuse-us",
            "id=\"their-admin\"",
        ),
        (
            401,
            json!({"message": "INVALID_SIGNATURE"}),
            "signature-rejected",
            "id=\"their-admin\"",
        ),
        (503, json!({}), "busy", "The invitation is not spent"),
        (
            200,
            json!({"message": "ok"}),
            "peer-bad-answer",
            "did not say who the inviter is",
        ),
    ] {
        rogue.reply("POST", ACCEPTED, Reply::json(status, body));
        let failed = agree(&mut ada, "/invites/accept/confirm", &host, "no").await;
        assert!(failed.status >= 400, "{status}");
        failed.expect(code).expect(words);
        // What was chosen stays, and it can be tried again from here.
        failed.expect("value=\"no\" checked").expect("accept-invite");
    }
    assert!(server.contacts("ada").await.is_empty());
    let unreachable = agree(&mut ada, "/invites/accept/confirm", "127.0.0.1:1", "yes").await;
    unreachable.expect("no-answer").expect("The invitation is not spent");
}

#[actix_web::test]
async fn t77_a_server_that_looks_like_a_known_one_is_warned_of() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.rule("nextcloud.example", true).await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let card = ada.get(&dialog("nextc1oud.example")).await;
    card.expect("id=\"lookalike\"").expect("<b>nextcloud.example</b>");
    for harmless in ["nextcloud.example", "drive.example.org"] {
        let card = ada.get(&dialog(harmless)).await;
        assert!(!card.has("lookalike") && !card.has("odd-letters"), "{harmless}");
    }
    for odd in ["xn--nxtcloud-c8g.example", "b%C3%BCcher.example"] {
        let card = ada.get(&dialog(odd)).await;
        card.expect_status(200).expect("odd-letters").expect("<b>xn--");
    }
}

#[actix_web::test]
async fn t77_whom_others_here_deal_with_is_not_told_by_a_warning() {
    let pair = Pair::acquainted().await;
    pair.a.user("mallory").await;
    let mut mallory = Browser::signed_in(&pair.a, "mallory").await;
    let card = mallory.get(&dialog(&pair.b.provider().to_string())).await;
    card.expect("First contact");
    assert!(!card.has("BOB of the tests"));
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let card = ada.get(&dialog(&pair.b.provider().to_string())).await;
    card.expect("BOB of the tests");
    assert!(!card.has("First contact"));
}

#[actix_web::test]
async fn inv_7_two_people_meet_again_after_one_removed_the_other() {
    let pair = Pair::acquainted().await;
    let mut bob = Browser::signed_in(&pair.b, "bob").await;
    let contact = format!("/contacts/ada%40{}", pair.a.provider().to_string().replace(':', "%3A"));
    bob.post(&format!("{contact}/remove"), &[]).await.expect_status(303);
    assert!(pair.b.contacts("bob").await.is_empty());
    let invite = pair.a.invite("ada").await;
    let (token, host) = (invite["token"].as_str().unwrap(), pair.a.provider().to_string());
    let fields = [("token", token), ("provider", host.as_str())];
    let agreed = bob.post("/invites/accept/confirm", &fields).await;
    bob.get(agreed.location())
        .await
        .expect_status(200)
        .expect("ADA of the tests");
    assert_eq!(pair.b.contacts("bob").await.len(), 1);
    assert_eq!(pair.a.contacts("ada").await.len(), 1);
}
