//! Pages for admins.

use ocmesh::api::Call;
use ocmesh::config::Directory;
use ocmesh::config::DocumentUrl;
use ocmesh::config::Verify;
use serde_json::json;

use super::browser::Browser;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::http;

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
async fn an_admin_introduces_this_server_to_another_and_reads_how_far_that_is() {
    let server = TestServer::start().await;
    server.admin("root").await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let page = format!("/admin/servers/{}", rogue.provider);
    let introduce = format!("{page}/handshake");
    let mut root = Browser::signed_in(&server, "root").await;
    root.post(&introduce, &[])
        .await
        .expect_status(403)
        .expect("Allow it first")
        .expect("we-refuse-them");
    server.rule(&rogue.provider.to_string(), true).await;
    root.get(&page)
        .await
        .expect("data-ocm-action=\"introduce-server\"")
        .expect(&server.url(""));
    let mut ada = Browser::signed_in(&server, "ada").await;
    ada.post(&introduce, &[]).await.expect_status(403);
    root.post(&introduce, &[]).await.expect_status(303);
    root.get(&page).await.expect("has not taken our introduction yet");
    assert!(rogue.seen().is_empty(), "no page waits for it");
    server.site().handshakes.advance(server.clock.now()).await.unwrap();
    root.get(&page).await.expect("comes for the shared secret");

    let left = rogue.seen().into_iter().rfind(|seen| seen.method == "POST").unwrap();
    let token = String::from_utf8(left.body).unwrap();
    let token = token.split('&').find_map(|field| field.strip_prefix("token=")).unwrap();
    let query = format!("url=http%3A%2F%2F{}&token={token}&format=json", rogue.provider);
    let given = http().get(server.url(&format!("/ocs/v2.php/cloud/shared-secret?{query}")));
    let given = given.send().await.unwrap().text().await.unwrap();
    let seen = root.get(&page).await;
    seen.expect("The two servers share a secret")
        .expect("has not read the address book");
    let given: serde_json::Value = serde_json::from_str(&given).unwrap();
    let secret = given["ocs"]["data"]["sharedSecret"].as_str().unwrap();
    assert!(!seen.has(secret) && !seen.has(token));
    http()
        .request(
            "REPORT".parse().unwrap(),
            server.url("/remote.php/dav/addressbooks/system/system/system"),
        )
        .basic_auth("system", Some(secret))
        .send()
        .await
        .unwrap();
    root.get(&page).await.expect("Green there").expect("its light is green");
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
async fn an_admin_clears_the_queue() {
    let server = TestServer::start().await;
    server.admin("root").await;
    server.put_file("root", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "root").await;
    let mut root = Browser::signed_in(&server, "root").await;
    rogue.reply("POST", "/ocm/shares", Reply::json(503, json!({})));
    server
        .share("root", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    let queue = root.get("/admin/queue").await;
    queue.expect("Waiting").expect("A share of");
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

#[actix_web::test]
async fn an_admin_replaces_the_signing_key_and_a_form_that_is_sent_twice_does_so_once() {
    let server = TestServer::start().await;
    server.admin("root").await;
    server.user("ada").await;
    let mut root = Browser::signed_in(&server, "root").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let key = server.call(Call::KeyList).await.unwrap()[0].clone();
    let (kid, fingerprint) = (key["kid"].as_str().unwrap(), key["fingerprint"].as_str().unwrap());
    let page = root.get("/admin/keys").await;
    page.expect(kid).expect(fingerprint).expect("Signs");
    page.expect("href=\"/.well-known/jwks.json\"")
        .expect("After 24 hours it signs");
    assert!(!page.has("cancel-rotation") && !page.has("pkcs8") && !page.has("\"d\""));

    let wanted = |how| [("how", how), ("replacing", kid)];
    ada.post("/admin/keys/rotate", &wanted("now")).await.expect_status(403);
    ada.post("/admin/keys/cancel", &[]).await.expect_status(403);
    assert_eq!(
        root.post("/admin/keys/rotate", &wanted("planned")).await.location(),
        "/admin/keys"
    );
    root.post("/admin/keys/rotate", &wanted("planned"))
        .await
        .expect_status(409)
        .expect("href=\"/admin/keys\"");
    let page = root.get("/admin/keys").await;
    page.expect("does not sign yet")
        .expect("in 24 hours")
        .expect("cancel-rotation");
    assert!(!page.has("start-rotation"));
    root.post("/admin/keys/cancel", &[]).await.expect_status(303);
    root.get("/admin/keys").await.expect("start-rotation");
    root.post("/admin/keys/cancel", &[]).await.expect_status(409);

    root.post("/admin/keys/rotate", &wanted("now")).await.expect_status(303);
    root.post("/admin/keys/rotate", &wanted("now")).await.expect_status(409);
    root.post("/admin/keys/rotate", &wanted("perhaps"))
        .await
        .expect_status(400);
    let page = root.get("/admin/keys").await;
    page.expect("signs no more").expect("in 7 days").expect(fingerprint);
    let ask = root.get("/admin/keys/stolen").await;
    ask.expect("Other servers refuse this one until then");
    assert_eq!(server.call(Call::KeyList).await.unwrap().as_array().unwrap().len(), 2);
    let replacing = ask.between("name=\"replacing\" value=\"", "\"");
    let fields = [("how", "stolen"), ("replacing", &*replacing)];
    root.post("/admin/keys/rotate", &fields).await.expect_status(303);
    assert!(!root.get("/admin/keys").await.has(fingerprint));
    let rows = server.call(Call::KeyList).await.unwrap();
    assert_eq!(rows.as_array().unwrap().len(), 1);
}

#[actix_web::test]
async fn an_admin_refreshes_a_directory_and_accepts_what_it_has_become() {
    let rogue = Rogue::start().await;
    let url = format!("http://{}/list", rogue.provider);
    let entry = Directory {
        url: DocumentUrl::parse(&url).unwrap(),
        key: None,
        key_file: None,
        verify: Verify::Off,
        admits: false,
    };
    let server = TestServer::start_with(|config| config.federation.directory = vec![entry]).await;
    server.admin("root").await;
    let mut root = Browser::signed_in(&server, "root").await;
    let publish = |names: &[&str]| {
        let servers: Vec<_> = names
            .iter()
            .map(|name| json!({"url": format!("https://{name}.example")}))
            .collect();
        let document = json!({"federation": "F & <friends>", "servers": servers});
        rogue.reply("GET", "/list", Reply::json(200, document));
    };
    let page = "/admin/directories";
    root.get(page)
        .await
        .expect("Not fetched yet")
        .expect(&url)
        .expect("never");
    publish(&["a", "b", "c"]);
    let fields = [("url", url.as_str())];
    root.post("/admin/directories/refresh", &fields)
        .await
        .expect_status(303);
    root.get(page)
        .await
        .expect("F &#38; &#60;friends&#62;")
        .expect("Not verified");
    rogue.reply("GET", "/list", Reply::json(200, json!({"servers": "<b>"})));
    root.post("/admin/directories/refresh", &fields)
        .await
        .expect_status(303);
    root.get(page)
        .await
        .expect("Failed")
        .expect("peer-bad-answer")
        .expect("stays in force");

    publish(&["a"]);
    root.post("/admin/directories/refresh", &fields)
        .await
        .expect_status(303);
    let held = root.get(page).await;
    held.expect("To decide")
        .expect("lost more than half")
        .expect("Accept the list of 1");
    let digest = held.between("name=\"digest\" value=\"", "\"");
    // Accepted is what was shown, and nothing that came since.
    publish(&["evil"]);
    root.post("/admin/directories/refresh", &fields)
        .await
        .expect_status(303);
    let accept = |digest: &str| [("url", url.clone()), ("digest", digest.to_owned())];
    let stale = accept(&digest);
    let stale: Vec<_> = stale.iter().map(|(name, value)| (*name, value.as_str())).collect();
    root.post("/admin/directories/accept", &stale)
        .await
        .expect_status(409)
        .expect("yet another list")
        .expect("To decide");
    assert_eq!(server.site().directories.servers().await.unwrap().len(), 3);
    let digest = root.get(page).await.between("name=\"digest\" value=\"", "\"");
    let fresh = accept(&digest);
    let fresh: Vec<_> = fresh.iter().map(|(name, value)| (*name, value.as_str())).collect();
    root.post("/admin/directories/accept", &fresh).await.expect_status(303);
    assert_eq!(server.site().directories.servers().await.unwrap().len(), 1);
    root.post("/admin/directories/refresh", &[("url", "https://other.example")])
        .await
        .expect_status(404);
}
