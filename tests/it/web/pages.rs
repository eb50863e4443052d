//! What holds for every page: headers, forms, source (T-70, T-71, T-76).

use std::collections::BTreeSet;

use ocmesh::api::Call;

use super::browser::Browser;
use super::browser::Seen;
use super::example;
use super::routes;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::TestServer;
use crate::harness::raw;

#[actix_web::test]
async fn t70_no_form_is_taken_that_is_not_from_our_own_page() {
    let server = TestServer::start().await;
    server.admin("ada").await;
    let mut browser = Browser::signed_in(&server, "ada").await;
    let open = ["/login", "/setup", "/wayf", "/language", "/welcome"];
    let posts = routes("post");
    assert!(posts.len() > 15, "{posts:?}");
    let own = server.url("");
    let token = browser.token().to_owned();
    for route in &posts {
        let path = example(route);
        let forged = [
            (&token, ("origin", "https://evil.example")),
            (&token, ("origin", "null")),
            (&token, ("sec-fetch-site", "cross-site")),
            (&token, ("sec-fetch-site", "same-site")),
        ];
        for (token, header) in forged {
            let seen = browser
                .post_from(&path, &[("form_token", token.clone())], &[header])
                .await;
            seen.expect_status(403).expect("form-forged");
        }
        if open.contains(&path.as_str()) {
            continue;
        }
        for token in ["", "guess"] {
            let fields = [("form_token", token.to_owned())];
            let seen = browser.post_from(&path, &fields, &[("origin", &own)]).await;
            assert!(matches!(seen.status, 400 | 403), "{path}: {}", seen.status);
            assert!(
                seen.has("form-forged") || path.starts_with("/files") || path.starts_with("/shares/from"),
                "{path}"
            );
        }
        Browser::new(&server).post(&path, &[]).await.expect_status(401);
    }
    browser.get("/home").await.expect_status(200);
}

#[actix_web::test]
async fn t70_a_form_from_our_own_page_is_taken() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut browser = Browser::signed_in(&server, "ada").await;
    let fields = [("form_token", browser.token().to_owned()), ("for", String::new())];
    let own = server.url("");
    for headers in [
        &[("origin", own.as_str())][..],
        &[("sec-fetch-site", "same-origin")],
        &[],
    ] {
        browser
            .post_from("/invites/new", &fields, headers)
            .await
            .expect_status(303);
    }
}

/// A server with something on every page, and the address of each.
async fn furnished(pair: &Pair) -> Vec<(&'static str, String)> {
    pair.a.admin("root").await;
    pair.introduce().await;
    pair.a.put_file("ada", "notes/a.txt", "hello").await;
    let (sent, _) = pair.shared("notes", true).await;
    pair.b.put_file("bob", "b.txt", "hi").await;
    pair.b
        .share("bob", "b.txt", &pair.a.address("ada"), false)
        .await
        .unwrap();
    pair.b.deliver().await;
    let received = pair.a.received("ada").await[0]["id"].as_str().unwrap().to_owned();
    let invite = pair.a.invite("ada").await;
    pair.a
        .call(Call::ShareAccept {
            user: None,
            id: received.clone(),
        })
        .await
        .unwrap();
    pair.b
        .call(Call::RequestSend {
            user: None,
            owner: pair.a.address("ada"),
            what: "notes/a.txt".to_owned(),
        })
        .await
        .unwrap();
    pair.b.deliver().await;
    let asked = Call::RequestList {
        user: Some("ada".to_owned()),
        sent: false,
    };
    let asked = pair.a.call(asked).await.unwrap()[0]["id"].as_str().unwrap().to_owned();
    pair.a
        .call(Call::RequestSend {
            user: Some("ada".to_owned()),
            owner: pair.b.address("bob"),
            what: "b.txt".to_owned(),
        })
        .await
        .unwrap();
    let welcome = pair.a.call(Call::UserLink { name: "ada".to_owned() }).await.unwrap();
    let welcome = welcome["link"].as_str().unwrap();
    let welcome = welcome[welcome.find("/welcome").unwrap()..].to_owned();
    let contact = format!("/contacts/bob%40{}", pair.b.provider().to_string().replace(':', "%3A"));
    let accept = format!("/invites/accept?token=x&providerDomain={}", pair.b.provider());
    vec![
        ("/", "/".to_owned()),
        ("/login", "/login".to_owned()),
        ("/wayf", format!("/wayf?token={}", invite["token"].as_str().unwrap())),
        ("/home", "/home".to_owned()),
        ("/invites", "/invites".to_owned()),
        ("/invites/new", "/invites/new".to_owned()),
        ("/invites/accept", "/invites/accept".to_owned()),
        ("/invites/accept", accept),
        (
            r"/invites/{id:\d+}",
            format!("/invites/{}", invite["id"].as_str().unwrap()),
        ),
        ("/contacts", "/contacts".to_owned()),
        ("/contacts/{address}", contact.clone()),
        ("/contacts/{address}/remove", format!("{contact}/remove")),
        ("/files{path:(/.*)?}", "/files/".to_owned()),
        ("/files{path:(/.*)?}", "/files/notes".to_owned()),
        ("/delete", "/delete?path=notes".to_owned()),
        ("/shares/new", "/shares/new".to_owned()),
        ("/shares/new", "/shares/new?path=notes%2Fa.txt".to_owned()),
        ("/shares/new", format!("/shares/new?request={asked}")),
        ("/requests", "/requests".to_owned()),
        ("/requests/new", "/requests/new".to_owned()),
        ("/requests/sent", "/requests/sent".to_owned()),
        ("/shares/sent", "/shares/sent".to_owned()),
        (r"/shares/sent/{id:\d+}", format!("/shares/sent/{sent}")),
        ("/shares/received", "/shares/received".to_owned()),
        (r"/shares/received/{id:\d+}", format!("/shares/received/{received}")),
        (
            r"/shares/from/{id:\d+}{path:(/.*)?}",
            format!("/shares/from/{received}/"),
        ),
        ("/account", "/account".to_owned()),
        ("/admin/servers", "/admin/servers?why=b.example".to_owned()),
        ("/admin/servers/{host}", format!("/admin/servers/{}", pair.b.provider())),
        ("/admin/servers/{host}", "/admin/servers/b.example".to_owned()),
        ("/admin/connect", "/admin/connect".to_owned()),
        ("/admin/connect", "/admin/connect?to=opencloud".to_owned()),
        ("/admin/directories", "/admin/directories".to_owned()),
        ("/admin", "/admin".to_owned()),
        ("/admin/users", "/admin/users".to_owned()),
        ("/admin/users/new", "/admin/users/new".to_owned()),
        ("/admin/users/{name}", "/admin/users/ada".to_owned()),
        ("/admin/users/{name}/delete", "/admin/users/ada/delete".to_owned()),
        ("/admin/audit", "/admin/audit".to_owned()),
        ("/admin/audit", "/admin/audit?kind=session&who=nobody".to_owned()),
        ("/admin/settings", "/admin/settings".to_owned()),
        ("/admin/about", "/admin/about".to_owned()),
        ("/welcome", welcome),
        ("/admin/queue", "/admin/queue".to_owned()),
        ("/admin/keys", "/admin/keys".to_owned()),
        ("/admin/keys/stolen", "/admin/keys/stolen".to_owned()),
    ]
}

#[actix_web::test]
async fn t71_every_page_is_well_formed_and_has_its_headers() {
    let pair = Pair::strangers().await;
    let pages = furnished(&pair).await;
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let mut root = Browser::signed_in(&pair.a, "root").await;
    let mut nobody = Browser::new(&pair.a);
    for (_, path) in &pages {
        let who = match path.as_str() {
            "/login" => &mut nobody,
            path if path.starts_with("/admin") => &mut root,
            _ => &mut ada,
        };
        let seen = who.get(path).await;
        seen.expect_status(200);
        check_page(path, &seen);
    }
    // Set-up is gone by now; a download and the style sheet are no pages.
    let elsewhere = ["/setup", "/static/{file}", r"/shares/get/{id:\d+}{path:(/.*)?}"];
    let shown: BTreeSet<_> = pages.iter().map(|(route, _)| *route).chain(elsewhere).collect();
    let served = routes("get");
    assert_eq!(shown, served.iter().map(String::as_str).collect());
    let missing = ada.get("/no/such/page").await;
    missing.expect_status(404);
    check_page("a missing page", &missing);
}

/// What WCAG and our own policy ask of a page's source.
fn check_page(path: &str, seen: &Seen) {
    let policy = seen.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "style-src 'self'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'none'",
    ] {
        assert!(policy.contains(part), "{path}: {policy}");
    }
    assert!(
        policy.contains("script-src 'self';") && !policy.contains("unsafe"),
        "{path}: {policy}"
    );
    for (name, value) in [
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(seen.header(name), value, "{path}: {name}");
    }
    let html = &seen.body;
    let count = |text: &str| html.matches(text).count();
    assert_eq!(count("<script"), 1, "{path}: one script, of our own");
    assert!(html.contains("<script type=\"module\" src=\"/static/app."), "{path}");
    for wrong in [
        " style=",
        "<style",
        " onclick",
        "href=\"http:",
        "tabindex=\"1",
        "{{",
        "{%",
    ] {
        // One link leads to another server by intent; none on these pages does.
        assert_eq!(count(wrong), 0, "{path} has {wrong}");
    }
    assert!(html.starts_with("<!doctype html>\n<html lang=\"en\">"), "{path}");
    assert_eq!(count("<h1"), 1, "{path}: one heading of the page");
    assert!(seen.between("<title>", "</title>").ends_with(" - ocmesh"), "{path}");
    assert_eq!(count("<table"), count("<caption"), "{path}: each table has a caption");
    assert!(!html.contains("<th>"), "{path}: each heading of a table has a scope");
    let ids: Vec<_> = html
        .split(" id=\"")
        .skip(1)
        .map(|rest| rest.split('"').next().unwrap())
        .collect();
    assert_eq!(
        ids.len(),
        ids.iter().collect::<BTreeSet<_>>().len(),
        "{path}: an id twice in {ids:?}"
    );
    for tag in ["<input", "<select", "<textarea"] {
        for control in html.split(tag).skip(1).map(|rest| rest.split('>').next().unwrap()) {
            if control.contains("type=\"hidden\"") || control.ends_with(" hidden") {
                continue;
            }
            let id = control
                .split(" id=\"")
                .nth(1)
                .map(|rest| rest.split('"').next().unwrap());
            let label = format!("for=\"{}\"", id.unwrap_or_else(|| panic!("{path}: {control}")));
            assert!(html.contains(&label), "{path}: nothing says what {control} is");
        }
    }
    assert!(html.len() < 60 << 10, "{path}: {} bytes", html.len());
}

#[actix_web::test]
async fn pages_for_admins_are_for_admins() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut browser = Browser::signed_in(&server, "ada").await;
    for path in routes("get").iter().filter(|path| path.starts_with("/admin")) {
        browser.get(path).await.expect_status(403).expect("not-allowed");
    }
    for path in routes("post").iter().filter(|path| path.starts_with("/admin")) {
        let fields = [
            ("host", "evil.example"),
            ("verdict", "allow"),
            ("name", "eve"),
            ("password", PASSWORD),
        ];
        let more = [("display_name", ""), ("mail", "")];
        let seen = browser.post(&example(path), &[&fields[..], &more].concat()).await;
        seen.expect_status(403).expect("not-allowed");
    }
    assert!(server.site().users.find("eve").await.unwrap().is_none());
    assert!(!browser.get("/home").await.has("/admin/"));
}

#[actix_web::test]
async fn t76_links_are_made_from_our_own_address_whatever_the_request_says() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let invite = server.invite("ada").await;
    for path in [
        "/",
        "/login",
        &format!("/wayf?token={}", invite["token"].as_str().unwrap()),
        "/home",
        "/nothing",
    ] {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: evil.example\r\nX-Forwarded-Host: evil.example\r\nConnection: close\r\n\r\n"
        );
        let answer = raw(server.provider(), request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 "), "{answer}");
        assert!(!answer.contains("evil.example"), "{answer}");
    }
}

#[actix_web::test]
async fn the_style_sheet_may_be_kept_for_ever_and_is_found_by_its_hash_only() {
    let server = TestServer::start().await;
    let mut browser = Browser::new(&server);
    let path = browser.get("/").await.between("rel=\"stylesheet\" href=\"", "\"");
    let sheet = browser.get(&path).await;
    sheet.expect_status(200);
    assert!(sheet.header("cache-control").contains("immutable"));
    assert!(sheet.header("content-type").starts_with("text/css"));
    browser.get("/static/app.css").await.expect_status(404);
}
