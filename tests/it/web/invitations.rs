//! Invitations of one's own: handed over in every form, mailed, with files attached, followed and ended (T-70, T-76).

use std::path::PathBuf;
use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::clock::Timestamp;
use ocmesh::config::Config;
use ocmesh::config::Security;
use ocmesh::config::Sender;
use ocmesh::config::SmtpUrl;
use ocmesh::config::Who;
use ocmesh::error::Reason;
use ocmesh::files::TreePath;
use ocmesh::invites::Attachment;
use ocmesh::invites::NewInvite;
use ocmesh::lang::Lang;
use ocmesh::store::Page;
use serde_json::Value;
use serde_json::json;

use super::browser::Browser;
use super::browser::Seen;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::Postbox;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::raw;

const ACCEPTED: &str = "/ocm/invite-accepted";
const DAY: Duration = Duration::from_secs(86_400);

/// Accepts an invite as somebody at a rogue; gives the status.
async fn accept_as(rogue: &Rogue, server: &TestServer, token: &Value, user: &str) -> u16 {
    let body = json!({
        "recipientProvider": rogue.provider.to_string(),
        "token": token,
        "userID": user,
        "email": "eve@rogue.example",
        "name": "Eve"
    });
    rogue.post(server, ACCEPTED, &body).await.status().as_u16()
}

fn with(paths: &[&str], write: bool) -> NewInvite {
    let attached = paths.iter().map(|path| Attachment {
        path: TreePath::parse(path).unwrap(),
        write,
    });
    NewInvite {
        attached: attached.collect(),
        ..NewInvite::default()
    }
}

fn page_of(invite: &Value) -> String {
    format!("/invites/{}", invite["id"].as_str().unwrap())
}

fn count(seen: &Seen, text: &str) -> usize {
    seen.body.matches(text).count()
}

#[actix_web::test]
async fn an_invitation_is_handed_over_in_four_forms_that_say_the_same() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "spectra/a.txt", "a").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let invite = server.invite_with("ada", with(&["spectra"], false)).await.unwrap();
    let (link, code) = (invite["link"].as_str().unwrap(), invite["string"].as_str().unwrap());
    let page = ada.get(&page_of(&invite)).await;
    page.expect_status(200);
    assert_eq!(
        (page.field("invite-link").as_str(), page.field("invite-string").as_str()),
        (link, code)
    );
    assert_eq!(count(&page, "data-copy-field"), 3);
    let message = page.between("<textarea id=\"invite-message\"", "</textarea>");
    for part in [
        link,
        code,
        "ADA of the tests",
        &server.address("ada"),
        "is valid until",
        "shared with you: spectra",
    ] {
        assert!(message.contains(part), "no {part} in {message}");
    }
    // Black on white whatever the page looks like, with the link for who can't see it, and no style that a policy forbids.
    let square = page.between("<svg id=\"invite-qr\"", "</svg>");
    for part in [
        &format!("aria-label=\"{link}\""),
        "role=\"img\"",
        "fill=\"#fff\"",
        "fill=\"#000\"",
    ] {
        assert!(square.contains(part), "no {part} in {square}");
    }
    assert!(!square.contains("style"));
    let mailto = page.between("href=\"mailto:?", "\"");
    assert!(
        mailto.contains("subject=ADA%20of%20the%20tests") && mailto.contains("%0D%0A"),
        "{mailto}"
    );
    assert!(!page.has("send-invite"), "there is no mail server here");

    let sheet = ada.get(&format!("{}/sheet", page_of(&invite))).await;
    sheet.expect_status(200).expect(code).expect("spectra");
    assert!(
        sheet.has(&format!("<code id=\"invite-link\">{link}</code>")),
        "{}",
        sheet.body
    );
}

#[actix_web::test]
async fn t70_no_page_of_an_invitation_changes_it_and_none_is_somebody_elses() {
    let server = TestServer::start().await;
    for name in ["ada", "mallory"] {
        server.user(name).await;
    }
    let mut ada = Browser::signed_in(&server, "ada").await;
    let mut mallory = Browser::signed_in(&server, "mallory").await;
    let invite = server.invite("ada").await;
    let page = page_of(&invite);
    let id = invite["id"].as_str().unwrap();
    let before = server.site().invites.any(id).await.unwrap();
    for path in [
        page.clone(),
        format!("{page}/sheet"),
        format!("{page}/revoke"),
        format!("{page}?lang=de"),
    ] {
        ada.get(&path).await.expect_status(200);
        mallory.get(&path).await.expect_status(404);
    }
    for verb in ["mail", "extend", "revoke"] {
        let seen = mallory
            .post(&format!("{page}/{verb}"), &[("to", "eve@mail.example")])
            .await;
        seen.expect_status(404);
        assert!(!seen.has(invite["token"].as_str().unwrap()));
    }
    let after = server.site().invites.any(id).await.unwrap();
    assert_eq!(format!("{before:?}"), format!("{after:?}"));
}

#[actix_web::test]
async fn t76_what_is_handed_over_leads_to_the_address_that_the_operator_chose() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let ada = Browser::signed_in(&server, "ada").await;
    let invite = server.invite("ada").await;
    let cookie = ada.cookie().unwrap();
    for path in [page_of(&invite), format!("{}/sheet", page_of(&invite))] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: gopher\r\n\
             Cookie: {cookie}\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(server.provider(), request.as_bytes()).await;
        assert!(answer.contains(invite["link"].as_str().unwrap()), "{answer}");
        assert!(
            !answer.contains("evil.example") && !answer.contains("gopher"),
            "{answer}"
        );
    }
}

#[actix_web::test]
async fn the_message_is_in_the_language_of_whom_it_is_for() {
    let server = TestServer::start().await;
    let user = server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let made = ada.post("/invites/new", &[("for", "Bob"), ("lang", "fr")]).await;
    let page = ada.get(made.location()).await;
    page.expect("<html lang=\"en\"")
        .expect("id=\"invite-message\" rows=\"13\" lang=\"fr\"")
        .expect("A sheet to print");
    let german = ada.get(&format!("{}?lang=de", made.location())).await;
    german.expect("id=\"invite-message\" rows=\"13\" lang=\"de\"");
    ada.get(&format!("{}/sheet", made.location()))
        .await
        .expect("class=\"sheet\" lang=\"fr\"");
    // Whatever the language, what must be copied stands there letter by letter.
    let id = made.location().rsplit('/').next().unwrap().to_owned();
    let invite = server.site().invites.any(&id).await.unwrap();
    for lang in Lang::ALL {
        let message = server.site().invites.message(&user, &invite, lang).unwrap();
        assert!(message.body.contains(&server.site().invites.link(&invite)));
        assert!(message.body.contains(&server.site().invites.string(&invite).unwrap()));
        assert!(!message.body.contains('{'), "{}", message.body);
    }
}

#[actix_web::test]
async fn an_invitation_is_extended_cancelled_and_made_again_from_its_page() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "a & b.txt", "a").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let fields = [
        ("for", "Bob & co"),
        ("uses", "3"),
        ("server", "cloud.b.example"),
        ("share", "a & b.txt\r\n"),
        ("write", "yes"),
    ];
    let made = ada.post("/invites/new", &fields).await.location().to_owned();
    let again = ada.get(&made).await.between("href=\"/invites/new?", "\"");
    let form = ada.get(&format!("/invites/new?{again}")).await;
    form.expect("Bob &#38; co")
        .expect("a &#38; b.txt")
        .expect("value=\"3\"");
    form.expect("name=\"server\" value=\"cloud.b.example\"")
        .expect("value=\"yes\" checked")
        .expect("id=\"more\" open");

    let id = made.rsplit('/').next().unwrap().to_owned();
    let ends = async || server.site().invites.any(&id).await.unwrap().expires;
    let first = ends().await;
    ada.post(&format!("{made}/extend"), &[]).await.expect_status(303);
    assert_eq!(ends().await, first.plus(7 * DAY));
    // One that has expired opens again; none lasts longer than the operator allows.
    server.clock.step(20 * DAY);
    ada.sign_in("ada", PASSWORD).await;
    ada.get(&made).await.expect("Expired");
    ada.post(&format!("{made}/extend"), &[]).await.expect_status(303);
    ada.get(&made).await.expect("Open");
    assert_eq!(ends().await, server.clock.now().plus(7 * DAY));
    for _ in 0..12 {
        ada.post(&format!("{made}/extend"), &[]).await;
    }
    assert_eq!(ends().await, server.clock.now().plus(90 * DAY));
    ada.post(&format!("{made}/extend"), &[])
        .await
        .expect_status(400)
        .expect("90 days");

    ada.get(&format!("{made}/revoke")).await.expect("stop working at once");
    ada.post(&format!("{made}/revoke"), &[]).await.expect_status(303);
    let cancelled = ada.get(&made).await;
    cancelled.expect("Cancelled");
    let token = server.site().invites.any(&id).await.unwrap().token;
    for path in [made.clone(), format!("{made}/sheet"), format!("{made}/revoke")] {
        assert!(!ada.get(&path).await.has(token.expose()), "{path}");
    }
    ada.post(&format!("{made}/extend"), &[]).await.expect_status(409);
}

#[actix_web::test]
async fn the_list_has_a_tab_for_each_end_and_says_what_to_do_when_it_is_empty() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    ada.get("/invites").await.expect("You have not invited anyone yet");
    let noted = |note: &str| NewInvite {
        note: note.to_owned(),
        ..NewInvite::default()
    };
    let used = server.invite_with("ada", noted("the used one")).await.unwrap();
    accept_as(&rogue, &server, &used["token"], "eve").await;
    let cancelled = server.invite_with("ada", noted("the cancelled one")).await.unwrap();
    ada.post(&format!("{}/revoke", page_of(&cancelled)), &[]).await;
    server.invite_with("ada", noted("the open one")).await.unwrap();
    for (query, expected) in [
        ("", "the open one"),
        ("?state=open", "the open one"),
        ("?state=accepted", "the used one"),
        ("?state=ended", "the cancelled one"),
        ("?state=nonsense", "the open one"),
    ] {
        let seen = ada.get(&format!("/invites{query}")).await;
        seen.expect(expected);
        let others = ["the open one", "the used one", "the cancelled one"].map(|note| count(&seen, note));
        assert_eq!(others.iter().sum::<usize>(), 1, "{query}: {others:?}");
    }
    server.clock.step(8 * DAY);
    ada.sign_in("ada", PASSWORD).await;
    ada.get("/invites").await.expect("the used one");
    ada.get("/invites?state=open").await.expect("Nothing here");
}

#[actix_web::test]
async fn what_is_wrong_with_a_new_invitation_is_said_at_its_field_and_all_that_was_typed_stays() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let own = server.provider().to_string();
    let mut ada = Browser::signed_in(&server, "ada").await;
    for (field, value) in [
        ("uses", "many"),
        ("uses", "0"),
        ("until", "2020-01-01"),
        ("until", "2099-12-31"),
        ("until", "soon"),
        ("server", "not a server"),
        ("server", &own),
        ("share", "nothing/there.txt"),
        ("share", "/"),
        ("share", "../ada"),
        ("share", "a.txt\r\na.txt"),
        ("share", "1\r\n2\r\n3\r\n4\r\n5\r\n6"),
    ] {
        let seen = ada.post("/invites/new", &[("for", "Bob, Uni B"), (field, value)]).await;
        assert!(matches!(seen.status, 400 | 404), "{field}={value}: {}", seen.status);
        seen.expect(&format!("href=\"#{field}\""))
            .expect("Bob, Uni B")
            .expect("id=\"more\" open");
    }
    assert!(
        server
            .site()
            .invites
            .list("ada", &Page::first(9))
            .await
            .unwrap()
            .items
            .is_empty()
    );
    let prefilled = ada.get("/invites/new?path=a.txt").await;
    assert!(
        prefilled
            .between("<textarea id=\"share\"", "</textarea>")
            .ends_with(">a.txt")
    );
    let fine = ada.post("/invites/new", &[("for", ""), ("until", "2026-10-01")]).await;
    ada.get(fine.location()).await.expect("1 October 2026, 23:59");
}

#[actix_web::test]
async fn what_is_attached_is_shared_with_everybody_who_accepts_in_the_same_commit() {
    let pair = Pair::strangers().await;
    pair.b.user("bea").await;
    pair.a.put_file("ada", "slides/one.txt", "hello").await;
    pair.a.put_file("ada", "more.txt", "more").await;
    let mut new = with(&["slides", "more.txt"], true);
    new.uses = Some(2);
    let invite = pair.a.invite_with("ada", new).await.unwrap();
    assert!(pair.a.sent("ada").await.is_empty(), "nothing is shared before");
    let text = invite["string"].as_str().unwrap();
    for name in ["bob", "bea"] {
        pair.b.accept_invite(name, text).await.unwrap();
    }
    // The answer to the acceptance is out, and all that is to follow is kept: whatever ends the server now.
    let Pair { a, b } = pair;
    let a = a.restart().await;
    let sent = a.sent("ada").await;
    assert_eq!((sent.len(), a.queue().await.len()), (4, 4));
    assert_eq!(
        a.deliver().await,
        0,
        "their server must have noted its person's acceptance first"
    );
    a.clock.step(Duration::from_secs(10));
    assert_eq!(a.deliver().await, 4);
    for name in ["bob", "bea"] {
        let received = b.received(name).await;
        assert_eq!(received.len(), 2, "{received:?}");
        for share in received {
            assert_eq!(share["sender"], a.address("ada"));
            assert_eq!(share["state"], "pending", "accepting an invitation accepts no share");
        }
    }
    let mut ada = Browser::signed_in(&a, "ada").await;
    let page = ada.get(&page_of(&invite)).await;
    page.expect("BOB of the tests").expect("BEA of the tests");
    assert_eq!(count(&page, "is shared with them."), 4);
    // Their server asks again because our answer got lost: nobody gets anything twice.
    b.accept_invite("bob", text).await.unwrap();
    assert_eq!(a.sent("ada").await.len(), 4);
}

#[actix_web::test]
async fn what_could_not_be_shared_is_said_with_its_reason_and_stops_nobody_from_accepting() {
    let server = TestServer::start_with(|config| config.federation.require_token_exchange = true).await;
    let ada = server.user("ada").await;
    server.put_file("ada", "gone.txt", "a").await;
    server.put_file("ada", "there.txt", "a").await;
    let invite = server.invite_with("ada", with(&["gone.txt"], false)).await.unwrap();
    let other = server.invite_with("ada", with(&["there.txt"], false)).await.unwrap();
    let tree = server.site().homes.of(&ada.name).await.unwrap();
    tree.remove(&TreePath::parse("gone.txt").unwrap()).await.unwrap();
    let (able, unable) = (Rogue::start().await, Rogue::start().await);
    let mut document = unable.discovery();
    document["capabilities"] = json!(["http-sig", "invites"]);
    unable.reply("GET", "/.well-known/ocm", Reply::json(200, document));
    assert_eq!(accept_as(&able, &server, &invite["token"], "eve").await, 200);
    server.clock.step(Duration::from_secs(60));
    assert_eq!(accept_as(&unable, &server, &other["token"], "eve").await, 200);
    assert_eq!(server.contacts("ada").await.len(), 2);
    assert!(server.sent("ada").await.is_empty());

    let mut browser = Browser::signed_in(&server, "ada").await;
    let page = browser.get(&page_of(&invite)).await;
    page.expect("Not shared").expect("gone.txt").expect("Share it now");
    let invites = &server.site().invites;
    let lately = invites.lately_accepted("ada", Timestamp(0)).await.unwrap();
    let said: Vec<_> = lately
        .iter()
        .flat_map(|one| {
            one.not_shared()
                .map(|(path, failure)| (path.to_string(), failure.code.clone()))
        })
        .collect();
    let expected = [
        ("there.txt", Reason::NeedsTokenExchange),
        ("gone.txt", Reason::NotFound),
    ];
    assert_eq!(
        said,
        expected.map(|(path, reason)| (path.to_owned(), reason.code().to_owned()))
    );
    assert_eq!(
        invites.lately_accepted("ada", server.clock.now()).await.unwrap().len(),
        1
    );
    assert!(
        invites
            .lately_accepted("mallory", Timestamp(0))
            .await
            .unwrap()
            .is_empty()
    );
}

#[actix_web::test]
async fn an_invitation_for_one_server_is_refused_to_all_others_and_keeps_its_use() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let (meant, other) = (Rogue::start().await, Rogue::start().await);
    let new = NewInvite {
        only_for: Some(meant.provider.clone()),
        ..NewInvite::default()
    };
    let invite = server.invite_with("ada", new).await.unwrap();
    assert_eq!(accept_as(&other, &server, &invite["token"], "eve").await, 403);
    assert!(server.contacts("ada").await.is_empty());
    let mut ada = Browser::signed_in(&server, "ada").await;
    let page = ada.get(&page_of(&invite)).await;
    page.expect(&format!("<b>{}</b>", other.provider))
        .expect("for another server only")
        .expect("0 of 1 used");
    assert_eq!(accept_as(&meant, &server, &invite["token"], "eve").await, 200);
    // The one who accepted is still told again, and nobody else.
    server.clock.step(Duration::from_secs(1));
    assert_eq!(accept_as(&meant, &server, &invite["token"], "eve").await, 409);
    assert_eq!(server.contacts("ada").await.len(), 1);
}

#[actix_web::test]
async fn t37_who_tried_in_vain_is_remembered_with_the_invitation_but_not_without_end() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.admin("root").await;
    let rogue = Rogue::start().await;
    server.rule(&rogue.provider.to_string(), false).await;
    let (invite, roots) = (server.invite("ada").await, server.invite("root").await);
    for _ in 0..3 {
        server.clock.step(Duration::from_secs(1));
        assert_eq!(accept_as(&rogue, &server, &invite["token"], "eve").await, 403);
        assert_eq!(accept_as(&rogue, &server, &json!("guess"), "eve").await, 403);
    }
    accept_as(&rogue, &server, &roots["token"], "eve").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let page = ada.get(&page_of(&invite)).await;
    page.expect(&format!("<b>{}</b>", rogue.provider))
        .expect("does not deal with that one")
        .expect("It tried 3 times.");
    assert!(!page.has("/admin/servers"), "only an admin can change that");
    assert!(!page.has("because of the test"), "and only an admin is told of rules");
    let mut root = Browser::signed_in(&server, "root").await;
    let link = root.get(&page_of(&roots)).await.between("href=\"/admin/servers", "\"");
    root.get(&format!("/admin/servers{link}"))
        .await
        .expect_status(200)
        .expect(&rogue.provider.to_string());

    // Whoever has the code may go by as many names as they like.
    let id = invite["id"].as_str().unwrap();
    for name in 0..30 {
        server.clock.step(Duration::from_secs(1));
        server.rule(&format!("n{name}.example"), false).await;
        let body = json!({ "recipientProvider": format!("n{name}.example"), "token": invite["token"],
            "userID": "eve", "email": "", "name": "" });
        rogue.post(&server, ACCEPTED, &body).await;
    }
    let (_, history) = server.site().invites.get("ada", id).await.unwrap();
    assert_eq!(history.refused.len(), 20);
    assert_eq!(history.refused[19].host.to_string(), "n29.example");

    // Allowed now, the same invitation is accepted.
    server.rule(&rogue.provider.to_string(), true).await;
    server.clock.step(Duration::from_secs(1));
    assert_eq!(accept_as(&rogue, &server, &invite["token"], "eve").await, 200);
}

#[actix_web::test]
async fn the_inviter_learns_why_a_late_acceptance_was_refused_and_the_stranger_does_not() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let (first, late) = (Rogue::start().await, Rogue::start().await);
    let (used, cancelled, expired) = (
        server.invite("ada").await,
        server.invite("ada").await,
        server.invite("ada").await,
    );
    accept_as(&first, &server, &used["token"], "eve").await;
    let id = cancelled["id"].as_str().unwrap().to_owned();
    server.call(Call::InviteRevoke { id }).await.unwrap();
    server.clock.step(8 * DAY);
    let mut ada = Browser::signed_in(&server, "ada").await;
    for (invite, status, said) in [
        (used, 409, "had been used up"),
        (cancelled, 400, "had been cancelled"),
        (expired, 400, "had expired"),
    ] {
        assert_eq!(accept_as(&late, &server, &invite["token"], "eve").await, status);
        ada.get(&page_of(&invite))
            .await
            .expect(said)
            .expect(&late.provider.to_string());
    }
}

#[actix_web::test]
async fn invitations_reserved_to_admins_say_whom_to_ask() {
    let server = TestServer::start_with(|config| config.invites.who = Who::Admins).await;
    server.user("ada").await;
    server.admin("root").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    for path in ["/invites", "/invites/new"] {
        let seen = ada.get(path).await;
        seen.expect_status(200).expect("ROOT of the tests");
        assert!(
            !seen.has("create-invite") && !seen.has("href=\"/invites/new\""),
            "{path}"
        );
    }
    let refused = ada.post("/invites/new", &[("for", "Bob")]).await;
    refused.expect_status(403).expect("ROOT of the tests");
    let error = server.invite_with("ada", NewInvite::default()).await.unwrap_err();
    assert_eq!(error.reason(), Reason::NotAllowed);
    let mut root = Browser::signed_in(&server, "root").await;
    root.post("/invites/new", &[("for", "Bob")]).await.expect_status(303);
}

#[actix_web::test]
async fn admins_see_who_invites_and_can_cancel_but_never_what_opens_an_invitation() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.admin("root").await;
    let note = NewInvite {
        note: "canary-note".to_owned(),
        ..NewInvite::default()
    };
    let invite = server.invite_with("ada", note).await.unwrap();
    let mut root = Browser::signed_in(&server, "root").await;
    let cancel = format!("/admin/invites/{}/revoke", invite["id"].as_str().unwrap());
    for path in ["/admin/invites", &cancel] {
        let seen = root.get(path).await;
        seen.expect_status(200).expect("ada");
        for secret in [
            invite["token"].as_str().unwrap(),
            invite["string"].as_str().unwrap(),
            "canary-note",
        ] {
            assert!(!seen.has(secret), "{path} has {secret}");
        }
    }
    root.get(&page_of(&invite)).await.expect_status(404);
    root.post(&cancel, &[]).await.expect_status(303);
    root.get("/admin/invites").await.expect("Cancelled");
    let mut ada = Browser::signed_in(&server, "ada").await;
    ada.get(&cancel).await.expect_status(403);
    ada.get(&page_of(&invite)).await.expect("Cancelled");
}

/// A setting for a server with this mail server.
fn mailing(postbox: &Postbox) -> impl FnOnce(&mut Config) {
    let url = format!("smtp://127.0.0.1:{}", postbox.port);
    move |config| {
        config.mail.smtp_url = Some(SmtpUrl::parse(&url).unwrap());
        config.mail.from = "Lab <ocm@lab.example>".parse().ok().map(Sender);
    }
}

#[actix_web::test]
async fn a_mail_from_this_server_says_what_the_page_says_and_what_the_mail_server_said() {
    let postbox = Postbox::start();
    let server = TestServer::start_with(mailing(&postbox)).await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let invite = server.invite("ada").await;
    let page = page_of(&invite);
    ada.get(&page).await.expect("send-invite");
    assert!(postbox.heard().is_empty(), "looking sends nothing");
    let sent = ada
        .post(&format!("{page}/mail"), &[("to", " bob@uni.example "), ("lang", "en")])
        .await;
    let told = ada.get(sent.location()).await;
    told.expect("id=\"mailed\"")
        .expect("bob@uni.example")
        .expect("queued as canary-42");
    let heard = postbox.heard().join("\n");
    assert_eq!((postbox.count("RCPT"), postbox.count("DATA")), (1, 1), "{heard}");
    for part in [
        "MAIL FROM:<ocm@lab.example>",
        "RCPT TO:<bob@uni.example>",
        "Reply-To: ada@mail.example",
        "Subject: ADA of the tests invites you to share files",
    ] {
        assert!(heard.contains(part), "no {part} in {heard}");
    }
    // A soft line break may stand anywhere in it.
    let whole = heard.replace("=\n", "").replace("=3D", "=");
    assert!(whole.contains(invite["link"].as_str().unwrap()), "{heard}");
    assert!(whole.contains(invite["string"].as_str().unwrap()), "{heard}");
    assert!(!heard.contains("for a test"), "the note is nobody else's");
}

#[actix_web::test]
async fn t70_a_mail_goes_to_one_address_and_carries_nothing_else() {
    let postbox = Postbox::start();
    let server = TestServer::start_with(mailing(&postbox)).await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let page = format!("{}/mail", page_of(&server.invite("ada").await));
    for to in [
        "",
        "bob",
        "bob@uni.example, eve@uni.example",
        "bob@uni.example\r\nBcc: eve@uni.example",
        "bob@uni.example>\r\nRCPT TO:<eve@uni.example",
        "Bob <bob@uni.example>",
    ] {
        let seen = ada.post(&page, &[("to", to), ("lang", "en")]).await;
        seen.expect_status(400).expect("href=\"#to\"");
    }
    let fields = [
        ("to", "bob@uni.example"),
        ("lang", "en"),
        ("message", "BUY"),
        ("subject", "BUY"),
    ];
    ada.post(&page, &fields).await.expect_status(303);
    let heard = postbox.heard().join("\n");
    assert!(!heard.contains("eve@") && !heard.contains("BUY"), "{heard}");
}

#[actix_web::test]
async fn a_mail_that_fails_loses_nothing_and_says_what_the_mail_server_said() {
    let postbox = Postbox::start();
    let server = TestServer::start_with(mailing(&postbox)).await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let invite = server.invite("ada").await;
    let page = page_of(&invite);
    for (command, answer) in [
        ("RCPT", "550 5.1.1 <bob@uni.example> is <nobody> here"),
        ("MAIL", "451 try later"),
        ("END", "554 spam"),
    ] {
        postbox.answers(command, answer);
        let failed = ada
            .post(&format!("{page}/mail"), &[("to", "bob@uni.example"), ("lang", "en")])
            .await;
        failed
            .expect_status(502)
            .expect("mail-failed")
            .expect("value=\"bob@uni.example\"")
            .expect(invite["link"].as_str().unwrap());
        assert!(!failed.has("<nobody>"), "what others say is escaped");
        postbox.answers(command, if command == "END" { "250 fine" } else { "250 ok" });
    }
    ada.post(&format!("{page}/mail"), &[("to", "bob@uni.example")])
        .await
        .expect_status(303);
    let (_, history) = server
        .site()
        .invites
        .get("ada", invite["id"].as_str().unwrap())
        .await
        .unwrap();
    assert_eq!(history.mailed.len(), 1);
}

#[actix_web::test]
async fn nobody_can_have_this_server_write_to_everybody() {
    let postbox = Postbox::start();
    let server = TestServer::start_with(mailing(&postbox)).await;
    for name in ["ada", "grace"] {
        server.user(name).await;
    }
    let mut ada = Browser::signed_in(&server, "ada").await;
    let page = format!("{}/mail", page_of(&server.invite("ada").await));
    for number in 0..50 {
        let to = format!("n{number}@uni.example");
        ada.post(&page, &[("to", &to)]).await.expect_status(303);
    }
    ada.post(&page, &[("to", "bob@uni.example")])
        .await
        .expect_status(503)
        .expect("50 mails");
    assert_eq!(postbox.count("DATA"), 50);
    let mut grace = Browser::signed_in(&server, "grace").await;
    let other = format!("{}/mail", page_of(&server.invite("grace").await));
    grace
        .post(&other, &[("to", "bob@uni.example")])
        .await
        .expect_status(303);
    server.clock.step(DAY);
    ada.sign_in("ada", PASSWORD).await;
    ada.post(&page, &[("to", "bob@uni.example")]).await.expect_status(303);
}

#[actix_web::test]
async fn without_tls_where_it_is_due_neither_password_nor_mail_is_sent() {
    let postbox = Postbox::start();
    let dir = tempfile::tempdir().unwrap();
    let file: PathBuf = dir.path().join("password");
    std::fs::write(&file, "canary-password\n").unwrap();
    let server = TestServer::start_with(|config| {
        mailing(&postbox)(config);
        let url = config.mail.smtp_url.as_mut().unwrap();
        // As for a mail server elsewhere: this one offers no TLS.
        url.security = Security::StartTls;
        url.user = Some("ocm".to_owned());
        config.mail.password_file = Some(file.clone());
    })
    .await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let invite = server.invite("ada").await;
    let failed = ada
        .post(&format!("{}/mail", page_of(&invite)), &[("to", "bob@uni.example")])
        .await;
    failed.expect_status(502).expect("mail-failed");
    assert!(!failed.has("canary-password"));
    let heard = postbox.heard();
    for line in &heard {
        let harmless = ["EHLO", "QUIT", "STARTTLS"].iter().any(|word| line.starts_with(word));
        assert!(harmless, "{heard:?}");
    }
}

#[actix_web::test]
async fn what_is_attached_follows_its_file_and_is_nothing_once_that_is_deleted() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let attached = async |id: &str| {
        let (invite, _) = server.site().invites.get("ada", id).await.unwrap();
        let paths = invite.attached.iter().map(|one| one.path.to_string());
        paths.collect::<Vec<_>>()
    };
    server.put_file("ada", "slides/a.txt", "mine").await;
    let made = ada
        .post(
            "/invites/new",
            &[("for", "Bob"), ("share", "slides/a.txt"), ("expires", "7d")],
        )
        .await;
    let id = made.location().rsplit('/').next().unwrap().to_owned();
    assert_eq!(attached(&id).await, ["slides/a.txt"]);
    ada.post("/rename", &[("path", "slides"), ("name", "talk")])
        .await
        .expect_status(303);
    assert_eq!(attached(&id).await, ["talk/a.txt"]);
    ada.post("/delete", &[("path", "talk")]).await.expect_status(303);
    server.put_file("ada", "talk/a.txt", "private").await;
    assert!(
        attached(&id).await.is_empty(),
        "what stands there now was never offered"
    );
    ada.post("/delete", &[("path", "")]).await.expect_status(400);
}
