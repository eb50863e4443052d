//! What holds for every page: headers, forms, source (T-70, T-71, T-76).

use std::collections::BTreeMap;
use std::collections::BTreeSet;

use ocmesh::api::Call;

use super::browser::Browser;
use super::browser::Seen;
use super::example;
use super::html;
use super::routes;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::TestServer;
use crate::harness::http;
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
pub async fn furnished(pair: &Pair) -> Vec<(&'static str, String)> {
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
    let (done, review) = super::trust::furnish(&pair.a).await;
    let link = Call::UserLink { name: "ada".to_owned() };
    let welcome = pair.a.call(link).await.unwrap();
    let welcome = welcome["link"].as_str().unwrap();
    let welcome = welcome[welcome.find("/welcome").unwrap()..].to_owned();
    let contact = format!("/contacts/bob%40{}", pair.b.provider().to_string().replace(':', "%3A"));
    let accept = format!("/invites/accept?token=x&providerDomain={}", pair.b.provider());
    vec![
        ("/", "/".to_owned()),
        ("/login", "/login".to_owned()),
        ("/help/errors", "/help/errors".to_owned()),
        ("/wayf", format!("/wayf?token={}", invite["token"].as_str().unwrap())),
        ("/home", "/home".to_owned()),
        ("/invites", "/invites".to_owned()),
        ("/invites/new", "/invites/new".to_owned()),
        ("/invites/accept", "/invites/accept".to_owned()),
        ("/invites/accept", accept),
        (
            "/invites/accept",
            "/invites/accept?token=x&providerDomain=b.example".to_owned(),
        ),
        (
            r"/invites/{id:\d+}",
            format!("/invites/{}", invite["id"].as_str().unwrap()),
        ),
        (
            r"/invites/{id:\d+}/sheet",
            format!("/invites/{}/sheet", invite["id"].as_str().unwrap()),
        ),
        (
            r"/invites/{id:\d+}/revoke",
            format!("/invites/{}/revoke", invite["id"].as_str().unwrap()),
        ),
        ("/admin/invites", "/admin/invites".to_owned()),
        (
            r"/admin/invites/{id:\d+}/revoke",
            format!("/admin/invites/{}/revoke", invite["id"].as_str().unwrap()),
        ),
        ("/contacts", "/contacts".to_owned()),
        ("/contacts", "/contacts?q=bob".to_owned()),
        ("/contacts/{address}", contact.clone()),
        ("/contacts/{address}/remove", format!("{contact}/remove")),
        ("/files{path:(/.*)?}", "/files/".to_owned()),
        ("/files{path:(/.*)?}", "/files/notes".to_owned()),
        ("/rename", "/rename?path=notes%2Fa.txt".to_owned()),
        ("/move", "/move?path=notes%2Fa.txt&to=".to_owned()),
        ("/delete", "/delete?path=notes".to_owned()),
        ("/shares/new", "/shares/new".to_owned()),
        ("/shares/new", "/shares/new?path=notes%2Fa.txt".to_owned()),
        ("/shares/new", format!("/shares/new?request={asked}")),
        ("/requests", "/requests".to_owned()),
        ("/requests/new", "/requests/new".to_owned()),
        ("/requests/sent", "/requests/sent".to_owned()),
        ("/shares/sent", "/shares/sent".to_owned()),
        (r"/shares/sent/{id:\d+}", format!("/shares/sent/{sent}")),
        (r"/shares/sent/{id:\d+}/stop", format!("/shares/sent/{sent}/stop")),
        ("/shares/received", "/shares/received".to_owned()),
        (r"/shares/received/{id:\d+}", format!("/shares/received/{received}")),
        (
            r"/shares/from/{id:\d+}{path:(/.*)?}",
            format!("/shares/from/{received}/"),
        ),
        ("/account", "/account".to_owned()),
        ("/admin/servers", "/admin/servers?why=b.example".to_owned()),
        ("/admin/servers", format!("/admin/servers?done={done}")),
        ("/admin/servers", "/admin/servers?show=seen&q=nothing".to_owned()),
        ("/admin/servers/new", "/admin/servers/new?host=b.example".to_owned()),
        ("/admin/servers/import", "/admin/servers/import".to_owned()),
        (
            r"/admin/servers/import/{id:\d+}",
            format!("/admin/servers/import/{done}"),
        ),
        (r"/admin/servers/import/{id:\d+}", review.clone()),
        (r"/admin/servers/import/{id:\d+}", format!("{review}?show=conflict")),
        (r"/admin/servers/import/{id:\d+}", format!("{review}?show=invalid")),
        (
            "/admin/servers/{host}/remove",
            "/admin/servers/b.example/remove".to_owned(),
        ),
        ("/admin/policy", "/admin/policy".to_owned()),
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
        ("/admin/diagnostics", "/admin/diagnostics".to_owned()),
        ("/admin/audit", "/admin/audit".to_owned()),
        ("/admin/audit", "/admin/audit?kind=session&who=nobody".to_owned()),
        ("/admin/settings", "/admin/settings".to_owned()),
        ("/admin/about", "/admin/about".to_owned()),
        ("/welcome", welcome),
        ("/admin/queue", "/admin/queue".to_owned()),
        ("/admin/notices", "/admin/notices".to_owned()),
        ("/admin/keys", "/admin/keys".to_owned()),
        ("/admin/backups", "/admin/backups".to_owned()),
        ("/admin/tls", "/admin/tls".to_owned()),
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
    let mut titles: BTreeMap<String, &str> = BTreeMap::new();
    for (route, path) in &pages {
        let who = match path.as_str() {
            "/login" => &mut nobody,
            path if path.starts_with("/admin") => &mut root,
            _ => &mut ada,
        };
        let seen = who.get(path).await;
        seen.expect_status(200);
        let title = check_page(path, &seen);
        // What people call their things may be the same; what we call our pages never is.
        let first = titles.entry(title.clone()).or_insert(route);
        assert!(
            first == route || route.contains('{'),
            "{first} and {route} are called {title:?}"
        );
    }
    // Set-up is gone by now; a download and the style sheet are no pages.
    let elsewhere = [
        "/setup",
        "/static/{file}",
        r"/shares/get/{id:\d+}{path:(/.*)?}",
        "/contacts/export",
        "/contacts/{address}/export",
        "/admin/servers/export",
        "/admin/tls/ca.pem",
        "/zip{path:(/.*)?}",
    ];
    let shown: BTreeSet<_> = pages.iter().map(|(route, _)| *route).chain(elsewhere).collect();
    let served = routes("get");
    assert_eq!(shown, served.iter().map(String::as_str).collect());
    let missing = ada.get("/no/such/page").await;
    missing.expect_status(404);
    check_page("a missing page", &missing);
}

/// What every page has, whatever it is about; gives its title.
fn check_page(path: &str, seen: &Seen) -> String {
    let policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                  form-action 'self'; frame-ancestors 'none'; base-uri 'none'";
    for (name, value) in [
        ("content-security-policy", policy),
        ("content-type", "text/html; charset=utf-8"),
        ("referrer-policy", "same-origin"),
        ("cache-control", "no-store"),
        ("x-frame-options", "DENY"),
        ("x-content-type-options", "nosniff"),
        ("cross-origin-opener-policy", "same-origin"),
    ] {
        assert_eq!(seen.header(name), value, "{path}: {name}");
    }
    let page = html::check(path, &seen.body);
    let (about, server) = page.title().rsplit_once(" - ").unwrap_or_default();
    assert_eq!(server, "ocmesh", "{path}");
    assert!(!about.is_empty(), "{path}");
    about.to_owned()
}

#[actix_web::test]
async fn pages_for_admins_are_for_admins() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut browser = Browser::signed_in(&server, "ada").await;
    for path in routes("get").iter().filter(|path| path.starts_with("/admin")) {
        let path = example(path);
        browser.get(&path).await.expect_status(403).expect("not-allowed");
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

/// What is shown where there is nothing yet, and where a form was filled in wrongly: pages like all others.
#[actix_web::test]
async fn empty_pages_and_those_that_name_a_fault_are_well_formed_too() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let mut root = Browser::signed_in(&server, "root").await;
    for route in routes("get") {
        let path = example(&route);
        let seen = root.get(&path).await;
        if seen.header("content-type").starts_with("text/html") {
            check_page(&path, &seen);
        }
    }
    for route in routes("post") {
        let path = example(&route);
        if ["/logout", "/language"].contains(&path.as_str()) {
            continue;
        }
        let seen = root
            .post(&path, &[("text", "nonsense"), ("host", "?"), ("server", "?")])
            .await;
        if seen.status != 303 {
            assert!((400..=503).contains(&seen.status), "{path}: {}", seen.status);
            check_page(&path, &seen);
        }
    }
}

#[actix_web::test]
async fn t71_whatever_is_asked_in_whichever_way_nobody_may_put_it_into_a_frame() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let elsewhere = [
        "/.well-known/ocm",
        "/.well-known/jwks.json",
        "/ocm-provider/",
        "/ocm/shares",
        "/ocm/openapi.json",
        "/dav/x",
    ];
    let pages = ["get", "post"].iter().flat_map(|method| routes(method));
    let paths: BTreeSet<String> = pages
        .map(|route| example(&route))
        .chain(elsewhere.map(str::to_owned))
        .collect();
    for path in &paths {
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let answer = http()
                .request(method.parse().unwrap(), server.url(path))
                .send()
                .await
                .unwrap();
            let header = |name: &str| {
                let found = answer.headers().get(name);
                found.map_or("", |value| value.to_str().unwrap()).to_owned()
            };
            assert_eq!(header("x-content-type-options"), "nosniff", "{method} {path}");
            assert_eq!(header("x-frame-options"), "DENY", "{method} {path}");
            if header("content-type").starts_with("text/html") {
                assert!(
                    header("content-security-policy").contains("frame-ancestors 'none'"),
                    "{method} {path}"
                );
            }
        }
    }
}
