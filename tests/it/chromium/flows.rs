//! What people do here, from the first click to the last, with a mouse: once with scripts and once without.

use std::path::PathBuf;

use super::Look;
use super::Tab;
use crate::harness::Pair;
use crate::harness::TestServer;

/// A file on the reader's own disk.
fn own_file(folder: &tempfile::TempDir, name: &str, content: &[u8]) -> PathBuf {
    let file = folder.path().join(name);
    std::fs::write(&file, content).unwrap();
    file
}

/// Invites somebody; gives the link to hand over.
async fn invite(ada: &mut Tab) -> String {
    ada.follow("main [data-ocm-action=invite]").await;
    ada.fill("#for", "Bob, Uni B").await;
    ada.follow("[data-ocm-action=create-invite]").await;
    ada.expect("Bob, Uni B").await;
    if ada.has("#invite-link + [data-ocm-action=copy]").await {
        ada.click("#invite-link + [data-ocm-action=copy]").await;
        ada.until("[...document.querySelectorAll('[role=status]')].some(said => said.textContent === 'Copied')")
            .await;
    }
    ada.value("#invite-link").await
}

/// Opens the link without an account there, names the own server, signs in there and accepts.
async fn accept(bob: &mut Tab, link: &str, pair: &Pair) {
    bob.goto(link).await;
    bob.expect("ADA of the tests").await;
    bob.fill("#server", &pair.b.address("bob")).await;
    bob.follow("[data-ocm-action=find-server]").await;
    bob.follow("#continue").await;
    assert!(bob.url().await.starts_with(&pair.b.url("/login?next=")));
    bob.sign_in("bob").await;
    bob.expect("BOB of the tests").await;
    assert!(pair.b.contacts("bob").await.is_empty(), "looking accepts nothing");
    bob.follow("[data-ocm-action=accept-invite]").await;
    bob.expect("ADA of the tests").await;
}

async fn meet_and_share(look: Look) {
    let pair = Pair::strangers().await;
    let Some(mut ada) = Tab::signed_in(look, &pair.a, "ada").await else {
        return;
    };
    let mut bob = Tab::open(look).await.unwrap();
    let link = invite(&mut ada).await;
    accept(&mut bob, &link, &pair).await;
    ada.goto(&pair.a.url("/contacts")).await;
    ada.expect("BOB of the tests").await;

    let disk = tempfile::tempdir().unwrap();
    let bytes: Vec<u8> = (0..100_000_u32).map(|at| (at % 251) as u8).collect();
    ada.goto(&pair.a.url("/files/")).await;
    ada.set_files("#file", &[own_file(&disk, "Grüße.bin", &bytes)]).await;
    if look.scripts {
        // The page stays, shows how far it is, and then what is new.
        ada.click("[data-ocm-action=upload]").await;
        ada.until("document.querySelector('#listing').innerText.includes('Grüße.bin')")
            .await;
    } else {
        ada.follow("[data-ocm-action=upload]").await;
    }
    ada.expect("Grüße.bin").await;
    ada.follow("table [data-ocm-action=share]").await;
    ada.click("fieldset input[type=radio]").await;
    ada.follow("[data-ocm-action=create-share]").await;
    ada.expect("Grüße.bin").await;
    pair.a.deliver().await;

    bob.goto(&pair.b.url("/home")).await;
    bob.follow("main a[href^='/shares/received/']").await;
    bob.expect("Grüße.bin").await;
    bob.follow("[data-ocm-action=accept-share]").await;
    bob.follow("[data-ocm-action=open-share]").await;
    let (name, got) = bob.download("a[href^='/shares/get/']").await;
    assert_eq!(name, "Grüße.bin");
    assert!(got == bytes, "{} bytes of {}", got.len(), bytes.len());

    ada.check_quiet(&[&pair.a.url("")]).await;
    bob.check_quiet(&[&pair.a.url(""), &pair.b.url("")]).await;
}

#[actix_web::test]
async fn two_people_meet_and_share_with_a_mouse() {
    meet_and_share(Look::WIDE).await;
}

#[actix_web::test]
async fn two_people_meet_and_share_where_scripts_are_off_and_the_window_is_narrow() {
    meet_and_share(Look {
        scripts: false,
        ..Look::NARROW
    })
    .await;
}

#[actix_web::test]
async fn an_admin_denies_a_server_and_takes_it_back() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let Some(mut root) = Tab::signed_in(Look::WIDE, &server, "root").await else {
        return;
    };
    root.goto(&server.url("/admin/servers")).await;
    root.follow("[data-ocm-action=add-server]").await;
    root.fill("#host", "spam.example").await;
    root.click("#deny").await;
    root.fill("#reason", "it sends rubbish").await;
    root.follow("[data-ocm-action=set-rule]").await;
    // What it cuts off is shown first.
    if root.has("[data-ocm-action=deny-server]").await {
        root.follow("[data-ocm-action=deny-server]").await;
    }
    root.expect("spam.example").await;
    root.follow("[data-ocm-action=undo-change]").await;
    root.goto(&server.url("/admin/servers?show=denied")).await;
    assert!(!root.text().await.contains("it sends rubbish"));
    root.check_quiet(&[&server.url("")]).await;
}

#[actix_web::test]
async fn an_admin_imports_a_list_line_by_line_and_takes_it_all_back() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let Some(mut root) = Tab::signed_in(Look::WIDE, &server, "root").await else {
        return;
    };
    root.goto(&server.url("/admin/servers")).await;
    root.follow("[data-ocm-action=import-list]").await;
    let disk = tempfile::tempdir().unwrap();
    let list = own_file(&disk, "list.txt", b"spam.example\nscam.example\n");
    root.set_files("#file", &[list]).await;
    root.follow("[data-ocm-action=read-list]").await;
    root.expect("scam.example").await;
    assert!(root.text().await.contains("Nothing of it counts yet"));
    root.click("tbody tr:last-child input[type=checkbox]").await;
    root.follow("[data-ocm-action=import-ticked]").await;
    root.expect("1 denied").await;
    root.follow("[data-ocm-action=undo-batch], [data-ocm-action=undo-change]")
        .await;
    root.goto(&server.url("/admin/servers?show=denied")).await;
    let shown = root.text().await;
    assert!(
        !shown.contains("spam.example") && !shown.contains("scam.example"),
        "{shown}"
    );
    root.check_quiet(&[&server.url("")]).await;
}

#[actix_web::test]
async fn every_page_is_made_of_three_requests_at_most_and_none_of_them_leaves_this_server() {
    let pair = Pair::strangers().await;
    let pages = crate::web::furnished(&pair).await;
    let Some(mut nobody) = Tab::open(Look::WIDE).await else {
        return;
    };
    let mut root = Tab::signed_in(Look::WIDE, &pair.a, "root").await.unwrap();
    let mut ada = Tab::signed_in(Look::WIDE, &pair.a, "ada").await.unwrap();
    for (_, path) in &pages {
        let tab = match path.as_str() {
            "/login" => &mut nobody,
            path if path.starts_with("/admin") => &mut root,
            _ => &mut ada,
        };
        tab.forget();
        tab.goto(&pair.a.url(path)).await;
        let mut asked = tab.check_quiet(&[&pair.a.url("")]).await;
        // A browser asks for the icon of a site when it likes, and then keeps it.
        asked.retain(|url| !url.ends_with("/static/icon.svg"));
        assert!((1..=3).contains(&asked.len()), "{path}: {asked:?}");
    }
}
