//! "Where is your account?": the page for people who have none here (T-69, DIA-14).

use std::time::Duration;

use ocmesh::config::Directory;
use ocmesh::config::DocumentUrl;
use ocmesh::config::Verify;
use serde_json::json;

use super::browser::Browser;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::names;

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

#[actix_web::test]
async fn what_became_of_an_invitation_is_told_to_whoever_has_it_and_to_nobody_else() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let (used, late, fresh) = (
        server.invite("ada").await,
        server.invite("ada").await,
        server.invite("ada").await,
    );
    let body = json!({
        "recipientProvider": rogue.provider.to_string(),
        "token": used["token"],
        "userID": "eve",
        "email": "",
        "name": "Eve"
    });
    assert_eq!(rogue.post(&server, "/ocm/invite-accepted", &body).await.status(), 200);
    let mut stranger = Browser::new(&server);
    let link = |invite: &serde_json::Value| invite["link"].as_str().unwrap().to_owned();
    stranger.get(&link(&fresh)).await.expect_status(200);
    let seen = stranger.get(&link(&used)).await;
    seen.expect("has been used already");
    for of_others in ["ADA", "eve@", &rogue.provider.to_string()] {
        assert!(!seen.has(of_others), "{of_others}");
    }
    server.clock.step(Duration::from_secs(8 * 86_400));
    stranger.get(&link(&late)).await.expect("was not used in time");
    let guess = stranger.get("/wayf?token=guess").await;
    guess.expect("knows no such invitation");
    // On the wire between servers they are one, so that no server can find out by asking.
    for token in [late["token"].as_str().unwrap(), "guess"] {
        let body = json!({"recipientProvider": rogue.provider.to_string(), "token": token, "userID": "m", "email": "", "name": ""});
        let answer = rogue.post(&server, "/ocm/invite-accepted", &body).await;
        assert_eq!(answer.status(), 400);
        assert!(answer.text().await.unwrap().contains("TOKEN_INVALID"));
    }
}

#[actix_web::test]
async fn t69_a_visitor_has_us_ask_only_so_many_servers() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let invite = server.invite("ada").await;
    let token = invite["token"].as_str().unwrap();
    let host = rogue.provider.to_string();
    let mut stranger = Browser::new(&server);
    for _ in 0..10 {
        stranger
            .post("/wayf", &[("token", token), ("server", &host)])
            .await
            .expect_status(200);
    }
    let asked = rogue.seen().len();
    let other = Rogue::start().await;
    let refused = stranger
        .post("/wayf", &[("token", token), ("server", &other.provider.to_string())])
        .await;
    refused.expect_status(503).expect("Try again in a minute");
    assert!(other.seen().is_empty() && rogue.seen().len() == asked);
    // Whoever is stopped still has the code.
    assert_eq!(refused.field("invite-string"), invite["string"].as_str().unwrap());
    server.clock.step(Duration::from_secs(60));
    stranger
        .post("/wayf", &[("token", token), ("server", &other.provider.to_string())])
        .await
        .expect_status(200);
}

#[actix_web::test]
async fn t69_a_visitor_learns_nothing_of_the_names_inside() {
    let lookup = names(&[
        ("inside.example", &["10.0.0.7"]),
        ("host.example", &["169.254.169.254"]),
    ]);
    let server = TestServer::start_in(lookup, |_| {}).await;
    server.user("ada").await;
    let invite = server.invite("ada").await;
    let token = invite["token"].as_str().unwrap();
    let mut stranger = Browser::new(&server);
    let mut pages = Vec::new();
    for host in ["inside.example", "host.example", "no-such.example"] {
        let seen = stranger.post("/wayf", &[("token", token), ("server", host)]).await;
        seen.expect("name-not-found");
        pages.push((seen.status, seen.body.replace(host, "HOST")));
    }
    assert!(pages.windows(2).all(|two| two[0] == two[1]));
    for bad in [
        "javascript:alert(1)",
        "a b",
        "x.example\r\nX: y",
        "0177.0.0.1",
        "http://",
    ] {
        let seen = stranger.post("/wayf", &[("token", token), ("server", bad)]).await;
        seen.expect_status(400).expect("href=\"#server\"");
        assert!(seen.header("x").is_empty());
    }
}

#[actix_web::test]
async fn a_device_remembers_the_server_if_it_is_told_to() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let invite = server.invite("ada").await;
    let (token, link) = (invite["token"].as_str().unwrap(), invite["link"].as_str().unwrap());
    let host = rogue.provider.to_string();
    let mut stranger = Browser::new(&server);
    let found = stranger.post("/wayf", &[("token", token), ("server", &host)]).await;
    assert_eq!(found.header("set-cookie"), "", "only if told to");
    let found = stranger
        .post("/wayf", &[("token", token), ("server", &host), ("remember", "yes")])
        .await;
    let cookie = found.header("set-cookie");
    assert!(
        cookie.contains("HttpOnly") && cookie.contains("SameSite=Lax"),
        "{cookie}"
    );
    assert!(!cookie.contains(token), "{cookie}");
    let page = stranger.get(link).await;
    page.expect(&format!("id=\"remembered\" name=\"server\" value=\"{host}\""));
    let forgotten = stranger.post("/wayf", &[("token", token), ("forget", "yes")]).await;
    assert!(forgotten.location().starts_with("/wayf?token="));
    assert!(!stranger.get(link).await.has("id=\"remembered\""));
    // Whoever writes something else there gets nothing of it.
    for planted in ["\"><script>", "evil.example/path", "javascript:alert(1)", "@"] {
        stranger.set_cookie(&format!("ocmesh-server={planted}"));
        let page = stranger.get(link).await;
        page.expect_status(200);
        assert!(!page.has("id=\"remembered\""), "{planted}");
    }
    server.rule(&host, false).await;
    stranger.set_cookie(&format!("ocmesh-server={host}"));
    assert!(
        !stranger.get(link).await.has("id=\"remembered\""),
        "refused here by now"
    );
}

#[actix_web::test]
async fn servers_to_choose_from_are_grouped_and_looked_through_on_our_side() {
    let directory = Rogue::start().await;
    let server = following(&[&directory]).await;
    publish(
        &directory,
        "Fed",
        &[
            ("https://one.uni.example", "First University"),
            ("https://two.uni.example", "Second University"),
            ("https://trusted.example", "Twice"),
        ],
    );
    server.user("ada").await;
    server.rule("trusted.example", true).await;
    server.rule("*.wild.example", true).await;
    server.rule("denied.example", false).await;
    server.site().directories.refresh_due(server.clock.now()).await.unwrap();
    let invite = server.invite("ada").await;
    let link = invite["link"].as_str().unwrap();
    let mut stranger = Browser::new(&server);
    let page = stranger.get(link).await;
    page.expect("Known to this server")
        .expect("<bdi>Fed</bdi>")
        .expect("First University");
    assert_eq!(page.body.matches("choose-server").count(), 3);
    for wrong in ["Twice", "wild.example", "denied.example"] {
        assert!(!page.has(wrong), "{wrong}");
    }
    let page = stranger.get(&format!("{link}&q=SECOND")).await;
    page.expect("Second University").expect("value=\"SECOND\"");
    assert_eq!(page.body.matches("choose-server").count(), 1);
    let page = stranger.get(&format!("{link}&q=%3Cscript%3E")).await;
    page.expect("&#60;script&#62;").expect("Show all");
    assert_eq!(page.body.matches("choose-server").count(), 0);
    page.expect("find-server");
}

#[actix_web::test]
async fn who_invites_is_not_shown_where_the_operator_does_not_want_it() {
    let server = TestServer::start_with(|config| config.invites.wayf_show_inviter = false).await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let invite = server.invite("ada").await;
    let mut stranger = Browser::new(&server);
    let page = stranger.get(invite["link"].as_str().unwrap()).await;
    page.expect("You are invited").expect("ocmesh");
    let fields = [
        ("token", invite["token"].as_str().unwrap()),
        ("server", &rogue.provider.to_string()),
    ];
    let found = stranger.post("/wayf", &fields).await;
    found.expect("id=\"continue\"");
    for page in [&page, &found] {
        assert!(!page.has("ADA") && !page.has("ada@"), "{}", page.body);
    }
}
