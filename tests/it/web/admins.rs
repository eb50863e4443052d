//! Pages for admins.

use serde_json::json;

use super::browser::Browser;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;

#[actix_web::test]
async fn an_admin_denies_a_server_and_the_page_says_why() {
    let pair = Pair::acquainted().await;
    pair.a.admin("root").await;
    let host = pair.b.provider().to_string();
    let mut root = Browser::signed_in(&pair.a, "root").await;
    let why = format!("/admin/servers?why={host}");
    root.get(&why).await.expect("ada traded an invite");
    let rule = |verdict| {
        vec![
            ("host", &*host),
            ("verdict", verdict),
            ("reason", "it spams"),
            ("note", "asked twice"),
            ("until", ""),
        ]
    };
    root.post("/admin/servers", &rule("perhaps"))
        .await
        .expect_status(400)
        .expect("it spams");
    root.post("/admin/servers", &rule("deny")).await.expect_status(303);
    root.get(&why)
        .await
        .expect("Denied")
        .expect("it spams")
        .expect("made by root")
        .expect("asked twice");
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    pair.a.put_file("ada", "a.txt", "a").await;
    let to = pair.b.address("bob");
    let refused = ada.post("/shares/new", &[("path", "a.txt"), ("contact", &to)]).await;
    refused.expect_status(403).expect("we-refuse-them");
    let card = ada
        .get(&format!(
            "/invites/accept?token=abcdefghijklmnopqrstuvwx&providerDomain={host}"
        ))
        .await;
    card.expect("Not allowed");
    assert!(!card.has("it spams") && !card.has("data-ocm-action=\"accept-invite\""));
    root.post("/admin/servers/remove", &[("host", &host)])
        .await
        .expect_status(303);
    root.get(&why).await.expect("ada traded an invite");
    root.get("/admin/servers?why=not a host")
        .await
        .expect_status(400)
        .expect("href=\"#why\"");
}

#[actix_web::test]
async fn an_admin_asks_a_server_whether_it_can_verify_our_signatures() {
    let pair = Pair::strangers().await;
    pair.a.admin("root").await;
    let host = pair.b.provider().to_string();
    let mut root = Browser::signed_in(&pair.a, "root").await;
    root.get(&format!("/admin/servers?why={host}"))
        .await
        .expect("data-ocm-action=\"probe\"");
    root.post("/admin/servers/probe", &[("why", &host)])
        .await
        .expect_status(200)
        .expect("Verified")
        .expect("verifies our signatures");

    let rogue = Rogue::start().await;
    let host = rogue.provider.to_string();
    root.post("/admin/servers/probe", &[("why", &host)])
        .await
        .expect_status(200)
        .expect("Not verified")
        .expect("it answered 404");
    root.post("/admin/servers/probe", &[("why", "not a host")])
        .await
        .expect_status(400)
        .expect("href=\"#why\"");
    pair.a.rule(&host, false).await;
    rogue.forget_seen();
    root.post("/admin/servers/probe", &[("why", &host)])
        .await
        .expect_status(403)
        .expect("we-refuse-them");
    assert!(rogue.seen().is_empty());
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    ada.post("/admin/servers/probe", &[("why", &host)])
        .await
        .expect_status(403);
}

#[actix_web::test]
async fn an_admin_adds_people_and_clears_the_queue() {
    let server = TestServer::start().await;
    server.admin("root").await;
    server.put_file("root", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "root").await;
    let mut root = Browser::signed_in(&server, "root").await;
    let person = |name, password| {
        vec![
            ("name", name),
            ("display_name", "Cy <C>"),
            ("mail", ""),
            ("password", password),
        ]
    };
    root.post("/admin/users", &person("cy", "short"))
        .await
        .expect_status(400)
        .expect("Cy &#60;C&#62;");
    root.post("/admin/users", &person("cy", PASSWORD))
        .await
        .expect_status(303);
    root.post("/admin/users", &person("cy", PASSWORD))
        .await
        .expect_status(409);
    root.get("/admin/users").await.expect("Cy &#60;C&#62;").expect("Member");
    Browser::signed_in(&server, "cy")
        .await
        .get("/admin/users")
        .await
        .expect_status(403);

    rogue.reply("POST", "/ocm/shares", Reply::json(503, json!({})));
    server
        .share("root", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    let queue = root.get("/admin/queue").await;
    queue.expect("Waiting").expect("a share");
    let id = queue.between("/admin/queue/", "/");
    root.post(&format!("/admin/queue/{id}/retry"), &[])
        .await
        .expect_status(303);
    assert_eq!(server.deliver().await, 1);
    root.post(&format!("/admin/queue/{id}/drop"), &[])
        .await
        .expect_status(303);
    root.get("/admin/queue").await.expect("Nothing is waiting");
}
