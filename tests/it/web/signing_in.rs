//! Setting up, signing in and out (T-72, T-74).

use std::time::Duration;

use super::browser::Browser;
use crate::harness::PASSWORD;
use crate::harness::START;
use crate::harness::TestServer;
use crate::harness::raw;

fn code_in(link: &str) -> &str {
    link.split_once("code=").unwrap().1
}

#[actix_web::test]
async fn t74_the_first_admin_is_made_once_and_only_with_the_code() {
    let server = TestServer::start().await;
    let mut browser = Browser::new(&server);
    browser.get("/").await.expect("not set up yet");
    browser
        .get("/setup?code=guess")
        .await
        .expect_status(403)
        .expect("setup-link-invalid");
    let link = server.site().setup_link().await.unwrap();
    browser.get(&link).await.expect_status(200).expect("server.public_url");
    let code = code_in(&link);
    let fields = |name| {
        let given = [
            ("code", code),
            ("name", name),
            ("display_name", "Ada <L>"),
            ("mail", ""),
            ("password", PASSWORD),
        ];
        given.to_vec()
    };
    let wrong = browser.post("/setup", &fields("Ada L")).await;
    wrong
        .expect_status(400)
        .expect("aria-invalid")
        .expect("Ada &#60;L&#62;");
    let made = browser.post("/setup", &fields("ada")).await;
    assert_eq!(made.location(), "/home");
    browser
        .get("/home")
        .await
        .expect_status(200)
        .expect("Ada &#60;L&#62;")
        .expect("How it goes");
    let mut second = Browser::new(&server);
    second
        .get(&link)
        .await
        .expect_status(403)
        .expect("set up already")
        .expect("href=\"/login\"");
    second.post("/setup", &fields("eve")).await.expect_status(403);
    assert!(server.site().users.find("eve").await.unwrap().is_none());
    assert!(!second.get("/").await.has("not set up yet"));
}

#[actix_web::test]
async fn signing_in_leads_back_to_the_page_with_its_query() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut browser = Browser::new(&server);
    let wanted = "/invites/accept?token=abc&providerDomain=b.example";
    let sent = browser.get(wanted).await.location().to_owned();
    assert!(sent.starts_with("/login?next="), "{sent}");
    let next = browser.get(&sent).await.between("name=\"next\" value=\"", "\"");
    assert_eq!(next, wanted);
    assert_eq!(browser.sign_in_to(&next, "ada", PASSWORD).await.location(), wanted);
    for evil in [
        "//evil.example",
        "/\\evil.example",
        "https://evil.example/",
        "/\t/evil.example",
    ] {
        assert_eq!(
            browser.sign_in_to(evil, "ada", PASSWORD).await.location(),
            "/home",
            "T-69: {evil}"
        );
    }
}

#[actix_web::test]
async fn a_wrong_name_and_a_wrong_password_look_the_same() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut browser = Browser::new(&server);
    let wrong = browser.sign_in("ada", "not it at all").await;
    let unknown = browser.sign_in("nobody", "not it at all").await;
    wrong.expect_status(401).expect("wrong-password");
    assert_eq!(
        wrong.body.replace("value=\"ada\"", ""),
        unknown.body.replace("value=\"nobody\"", "")
    );
    assert!(browser.cookie().is_none());
    for _ in 0..10 {
        browser.sign_in("ada", "not it at all").await;
    }
    browser
        .sign_in("ada", PASSWORD)
        .await
        .expect_status(503)
        .expect("try-later")
        .expect("after 14:28 UTC");
    // More tries don't make it longer.
    server.clock.step(Duration::from_secs(15 * 60));
    browser.sign_in("ada", PASSWORD).await.expect_status(303);
}

#[actix_web::test]
async fn t72_a_session_is_new_at_sign_in_and_over_at_sign_out() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut browser = Browser::new(&server);
    // By its port: on one machine, no server signs another's people out.
    let planted = format!("ocmesh-{}=planted", server.provider().port().unwrap());
    browser.set_cookie(&planted);
    let seen = browser.sign_in("ada", PASSWORD).await;
    let set = seen.header("set-cookie");
    for word in ["HttpOnly", "SameSite=Lax", "Path=/"] {
        assert!(set.contains(word), "{set}");
    }
    // A browser does not keep a Secure cookie that came over http.
    assert!(!set.contains("Secure"), "{set}");
    let cookie = browser.cookie().unwrap().to_owned();
    assert_ne!(cookie, planted);
    assert_eq!(cookie.split('=').next(), planted.split('=').next());
    assert_eq!(browser.post("/logout", &[]).await.location(), "/");
    assert!(browser.cookie().is_none());
    browser.set_cookie(&cookie);
    assert!(browser.get("/home").await.location().starts_with("/login"));
}

#[actix_web::test]
async fn t72_a_new_password_ends_every_other_session() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut here = Browser::signed_in(&server, "ada").await;
    let mut elsewhere = Browser::signed_in(&server, "ada").await;
    let new = "another horse entirely";
    let wrong = here
        .post("/account/password", &[("old", "no"), ("password", new)])
        .await;
    wrong.expect_status(401).expect("aria-invalid");
    here.post("/account/password", &[("old", PASSWORD), ("password", "short")])
        .await
        .expect_status(400);
    here.post("/account/password", &[("old", PASSWORD), ("password", new)])
        .await
        .expect_status(303);
    here.get("/home").await.expect_status(200);
    elsewhere.get("/home").await.expect_status(303);
    Browser::new(&server).sign_in("ada", PASSWORD).await.expect_status(401);
    Browser::new(&server).sign_in("ada", new).await.expect_status(303);
}

#[actix_web::test]
async fn over_https_the_cookie_is_bound_to_the_host() {
    let server = TestServer::start_with(|config| {
        config.server.public_url = ocmesh::config::PublicUrl::parse("https://cloud.example.org").unwrap();
    })
    .await;
    server.user("ada").await;
    let address = format!("127.0.0.1:{}", server.running.addresses[0].port());
    let body = format!("name=ada&password={}", PASSWORD.replace(' ', "+"));
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: cloud.example.org\r\nOrigin: https://cloud.example.org\r\nConnection: close\r\n\
         Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = raw(&address.parse().unwrap(), request.as_bytes()).await;
    let cookie = answer
        .lines()
        .find(|line| line.to_lowercase().starts_with("set-cookie"))
        .unwrap();
    assert!(
        cookie.contains("__Host-ocmesh=") && cookie.contains("Secure"),
        "{cookie}"
    );
}

#[actix_web::test]
async fn t74_many_guesses_at_once_count_as_many() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let browsers: Vec<_> = (0..14).map(|_| Browser::new(&server)).collect();
    let guesses = browsers
        .into_iter()
        .map(|mut browser| async move { browser.sign_in("ada", "not it at all").await.status });
    let statuses = futures_util::future::join_all(guesses).await;
    assert_eq!(
        statuses.iter().filter(|status| **status == 401).count(),
        10,
        "{statuses:?}"
    );
    assert_eq!(
        statuses.iter().filter(|status| **status == 503).count(),
        4,
        "{statuses:?}"
    );
}

#[actix_web::test]
async fn t72_a_session_left_idle_is_over_and_then_forgotten() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut idle = Browser::signed_in(&server, "ada").await;
    let users = &server.site().users;
    server.clock.step(Duration::from_secs(11 * 3600));
    let mut lately = Browser::signed_in(&server, "ada").await;
    server.clock.step(Duration::from_secs(2 * 3600));
    assert!(idle.get("/home").await.location().starts_with("/login"));
    users.forget_old_sessions(server.clock.now()).await.unwrap();
    // Had it only been hidden, it would come to life when the clock is set back.
    server.clock.set(START);
    assert!(idle.get("/home").await.location().starts_with("/login"));
    lately.get("/home").await.expect_status(200);
}
