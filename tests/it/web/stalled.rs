//! A server that takes a request and never answers changes no page: none waits for it (T-08).

use std::sync::Arc;

use ocmesh::api::Call;

use super::Browser;
use super::furnished;
use crate::harness::Pair;
use crate::harness::Rogue;
use crate::harness::TestServer;

/// A server that Ada's deals with in every way, and that from now on says nothing.
async fn stalled(server: &TestServer) -> Rogue {
    let rogue = Rogue::start().await;
    rogue.befriend(server, "ada").await;
    let share = rogue.share_for(server, "ada", "stalled-1");
    assert_eq!(rogue.post(server, "/ocm/shares", &share).await.status(), 201);
    server.rule(&rogue.provider.to_string(), true).await;
    server.put_file("ada", "stalled.txt", "x").await;
    let eve = rogue.address("eve");
    server.share("ada", "stalled.txt", &eve, false).await.unwrap();
    server
        .call(Call::RequestSend {
            user: Some("ada".to_owned()),
            owner: eve,
            what: "whatever there is".to_owned(),
        })
        .await
        .unwrap();
    let received = server.received("ada").await;
    let here = received.iter().find(|row| row["provider_id"] == "stalled-1").unwrap();
    server
        .call(Call::ShareAccept {
            user: Some("ada".to_owned()),
            id: here["id"].as_str().unwrap().to_owned(),
        })
        .await
        .unwrap();
    rogue.judged_by(Arc::new(|_| Box::pin(std::future::pending())));
    rogue.forget_seen();
    rogue
}

/// How long they would wait is no matter here: a page that asked that server at all is found out by its question.
#[actix_web::test]
async fn t08_no_page_asks_a_server_that_may_never_answer() {
    let pair = Pair::strangers().await;
    let mut pages: Vec<_> = furnished(&pair).await.into_iter().map(|(_, path)| path).collect();
    let rogue = stalled(&pair.a).await;
    let host = rogue.provider.to_string();
    let contact = format!("/contacts/eve%40{}", host.replace(':', "%3A"));
    pages.extend([
        format!("/admin/servers?why={host}"),
        format!("/admin/servers/{host}"),
        format!("/admin/connect?to={host}"),
        format!("/invites/accept?token=abcdefghijklmnop&providerDomain={host}"),
        format!("{contact}/remove"),
        contact,
    ]);
    for share in pair.a.sent("ada").await {
        pages.push(format!("/shares/sent/{}", share["id"].as_str().unwrap()));
    }
    let mut opened = String::new();
    for share in pair.a.received("ada").await {
        let id = share["id"].as_str().unwrap();
        pages.push(format!("/shares/received/{id}"));
        if share["provider_id"] == "stalled-1" {
            opened = format!("/shares/from/{id}/");
        }
    }
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let mut root = Browser::signed_in(&pair.a, "root").await;
    for path in &pages {
        let who = if path.starts_with("/admin") {
            &mut root
        } else {
            &mut ada
        };
        who.get(path).await;
        let asked: Vec<_> = rogue.seen().into_iter().map(|seen| seen.path).collect();
        assert!(asked.is_empty(), "{path} asked for {asked:?}");
    }

    // Its folder is there; while somebody waits for that, nobody else does, though this server has one thread.
    let mut waiting = Browser::signed_in(&pair.a, "ada").await;
    let waits = actix_web::rt::spawn(async move { waiting.get(&opened).await.status });
    while rogue.seen().is_empty() {
        actix_web::rt::task::yield_now().await;
    }
    for path in &pages {
        let who = if path.starts_with("/admin") {
            &mut root
        } else {
            &mut ada
        };
        who.get(path).await;
    }
    assert!(
        !waits.is_finished(),
        "that server says nothing, so nobody can have read its folder"
    );
    waits.abort();
    // What is due to it waits in the queue, as its page says.
    root.get("/admin/queue").await.expect_status(200).expect(&host);
}
