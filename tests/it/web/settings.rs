//! What admins see of the server itself: the overview, its settings, what runs.

use std::fs;

use ocmesh::api::Call;
use ocmesh::config::Config;
use ocmesh::config::Mode;
use serde_json::json;

use super::browser::Browser;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;

#[actix_web::test]
async fn the_settings_page_says_what_is_in_force_and_who_decides_it() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ocm.toml");
    fs::write(
        &file,
        "[federation]\n# mine\nmode = \"open\"\n[invites]\nmax_uses = 7\n",
    )
    .unwrap();
    let read = Config::load(Some(&file)).unwrap();
    let server = TestServer::start_with(|config| {
        let here = config.server.clone();
        *config = read;
        config.server = here;
    })
    .await;
    server.admin("root").await;
    let mut root = Browser::signed_in(&server, "root").await;
    let page = root.get("/admin/settings").await;
    let origin = |line: usize| format!("{}:{line}", file.display());
    page.expect_status(200)
        .expect(&origin(3))
        .expect(&origin(5))
        .expect("id=\"federation.mode\"")
        .expect("<code>open</code>");
    let expires = page.between("id=\"invites.expires\"", "</tr>");
    assert!(expires.contains("7d") && expires.contains("Default"), "{expires}");
    let rows = server.call(Call::ConfigShow).await.unwrap();
    let mode = rows
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["key"] == "federation.mode");
    assert_eq!(mode.unwrap()["origin"], *origin(3));
    assert_eq!(mode.unwrap()["default"], "invite");
    for row in rows.as_array().unwrap() {
        page.expect(&format!("id=\"{}\"", row["key"].as_str().unwrap()));
    }
}

#[actix_web::test]
async fn the_overview_says_what_needs_somebody_and_that_nothing_does() {
    let server = TestServer::start().await;
    server.admin("root").await;
    server.put_file("root", "a.txt", "a").await;
    let mut root = Browser::signed_in(&server, "root").await;
    let fresh = root.get("/admin").await;
    fresh
        .expect("All well")
        .expect("To begin with")
        .expect("Nothing is waiting.")
        .expect("Invitation only");
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "root").await;
    rogue.reply("POST", "/ocm/shares", Reply::json(403, json!({})));
    let to = rogue.address("eve");
    server.share("root", "a.txt", &to, false).await.unwrap();
    root.get("/admin").await.expect("All well").expect("The oldest");
    let seen = rogue.seen().len();
    server.deliver().await;
    let asked = rogue.seen().len();
    assert!(asked > seen);
    root.get("/admin")
        .await
        .expect("1 thing needs you")
        .expect("could not be delivered and are not tried again: 1")
        .expect("href=\"/admin/queue\"");
    assert_eq!(rogue.seen().len(), asked, "no page asks a server anything");
    let queue = root.get("/admin/queue").await;
    queue.expect("Given up").expect("A share of").expect("they-refuse-us");
    root.get("/admin/queue?server=other.example")
        .await
        .expect("Nothing is waiting for");
}

#[actix_web::test]
async fn the_pages_tell_which_mode_is_in_force_and_which_version_runs() {
    let pair = Pair::with(|config| config.federation.mode = Mode::Open).await;
    pair.a.admin("root").await;
    let mut root = Browser::signed_in(&pair.a, "root").await;
    root.get("/admin").await.expect("every server that is not denied");
    root.get("/admin/about")
        .await
        .expect(env!("CARGO_PKG_VERSION"))
        .expect("MIT OR Apache-2.0")
        .expect("-05");
}
