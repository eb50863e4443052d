//! How deployed servers read what is shared from here, request by request as each sends them, and what they do on bad
//! answers: some delete a share for good, so this is as much about what they are never told.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocmesh::api::Call;
use ocmesh::clock::Timestamp;
use ocmesh::config::Config;
use ocmesh::config::Mode;
use ocmesh::files::TreePath;
use serde_json::Value;
use serde_json::json;

use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::post_raw;
use crate::harness::raw;
use crate::harness::raw_head;

/// Nextcloud 28 to 32, prefixes and all.
const NEXTCLOUD: &str = "<?xml version=\"1.0\"?><d:propfind xmlns:d=\"DAV:\"><d:prop><d:getlastmodified/>\
    <d:getcontentlength/><d:getcontenttype/><x1:permissions xmlns:x1=\"http://owncloud.org/ns\"/>\
    <x2:share-permissions xmlns:x2=\"http://open-collaboration-services.org/ns\"/><d:resourcetype/><d:getetag/>\
    <d:quota-available-bytes/></d:prop></d:propfind>";
/// ownCloud 10, when it lists.
const OWNCLOUD: &str =
    "<?xml version=\"1.0\"?>\n<d:propfind xmlns:d=\"DAV:\">\n  <d:prop>\n  </d:prop>\n</d:propfind>\n";
/// OpenCloud and reva: `allprop` in no namespace.
const OPENCLOUD: &str = "<d:propfind xmlns:d='DAV:'><allprop/></d:propfind>";

const LEGACY_ROOT: &str = "/public.php/webdav";
const SHAREINFO: &str = "/index.php/apps/files_sharing/shareinfo";

struct Seen {
    status: u16,
    headers: reqwest::header::HeaderMap,
    body: String,
}

impl Seen {
    fn hrefs(&self) -> Vec<&str> {
        let parts = self.body.split("<d:href>").skip(1);
        parts.filter_map(|rest| rest.split('<').next()).collect()
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn header(&self, name: &str) -> String {
        let all = self.headers.get_all(name).iter();
        all.map(|value| value.to_str().unwrap()).collect::<Vec<_>>().join(" | ")
    }
}

async fn send(server: &TestServer, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Seen {
    let method: reqwest::Method = method.parse().unwrap();
    // Dots are to arrive as they are.
    let mut request = http().request(method, server.url(path)).body(body.to_owned());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    Seen {
        status: answer.status().as_u16(),
        headers: answer.headers().clone(),
        body: answer.text().await.unwrap(),
    }
}

/// A server with Ada and her files, open to everyone.
async fn sender_with(change: impl FnOnce(&mut Config)) -> TestServer {
    let server = TestServer::start_with(|config| {
        config.federation.mode = Mode::Open;
        change(config);
    })
    .await;
    server.user("ada").await;
    for (path, content) in [
        ("team/a.txt", "one"),
        ("team/sub/deep/b.txt", "below"),
        ("team/ü & co.md", "odd"),
        ("single.txt", "alone"),
        ("private.txt", "canary"),
    ] {
        server.put_file("ada", path, content).await;
    }
    server
}

async fn sender() -> TestServer {
    sender_with(|_| {}).await
}

/// A peer that neither signs nor exchanges anything.
async fn old_peer() -> Rogue {
    let rogue = Rogue::start().await;
    let mut says = rogue.discovery();
    says["capabilities"] = json!([]);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, says));
    rogue
}

/// What a peer knows of a share.
struct Known {
    id: String,
    secret: String,
}

impl Known {
    fn basic(&self) -> String {
        self.basic_with("")
    }

    fn basic_with(&self, password: &str) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{password}", self.secret)))
    }

    async fn send(&self, server: &TestServer, method: &str, path: &str, more: &[(&str, &str)], body: &str) -> Seen {
        let basic = self.basic();
        let mut headers = vec![("authorization", basic.as_str())];
        headers.extend(more);
        send(server, method, path, &headers, body).await
    }
}

async fn shared(server: &TestServer, rogue: &Rogue, path: &str, write: bool) -> Known {
    shared_until(server, rogue, path, write, None).await
}

async fn shared_until(server: &TestServer, rogue: &Rogue, path: &str, write: bool, until: Option<&str>) -> Known {
    // What never signs is dealt with once an admin made it known.
    server.rule(&rogue.provider.to_string(), true).await;
    let call = Call::ShareCreate {
        user: Some("ada".to_owned()),
        path: path.to_owned(),
        to: rogue.address("eve"),
        write,
        until: until.map(str::to_owned),
    };
    let sent = server.call(call).await.unwrap();
    server.deliver().await;
    let seen = rogue.seen_at("/ocm/shares").pop().unwrap().json();
    Known {
        id: sent["provider_id"].as_str().unwrap().to_owned(),
        secret: seen["protocol"]["webdav"]["sharedSecret"].as_str().unwrap().to_owned(),
    }
}

async fn stop(server: &TestServer, share: &Known) {
    let id = share.id.clone();
    server.call(Call::ShareStop { user: None, id }).await.unwrap();
}

async fn sent_state(server: &TestServer, id: &str) -> String {
    let rows = server.sent("ada").await;
    let row = rows.iter().find(|row| row["provider_id"] == id).unwrap();
    row["state"].as_str().unwrap().to_owned()
}

async fn content(server: &TestServer, path: &str) -> Option<String> {
    let call = Call::FileGet {
        user: Some("ada".to_owned()),
        path: path.to_owned(),
    };
    let found = server.call(call).await.ok()?;
    Some(found.as_str().unwrap().to_owned())
}

#[actix_web::test]
async fn nextcloud_opens_a_shared_folder_at_whichever_root_it_was_told() {
    let server = sender().await;
    let share = shared(&server, &old_peer().await, "team", false).await;
    let roots = ["/public.php/webdav".to_owned(), "/dav/ocm".to_owned()];
    let below = roots.iter().map(|root| format!("{root}/{}", share.id));
    for root in roots.iter().cloned().chain(below) {
        // Up to 27 each request comes without a credential first.
        let bare = send(&server, "PROPFIND", &format!("{root}/"), &[("depth", "0")], NEXTCLOUD).await;
        assert_eq!((bare.status, bare.body.as_str()), (401, ""), "{root}");
        assert_eq!(
            bare.header("www-authenticate"),
            "Basic realm=\"ocm\", charset=\"UTF-8\" | Bearer realm=\"ocm\""
        );
        for path in [
            root.clone(),
            format!("{root}/"),
            format!("{root}//"),
            format!("{root}/./"),
        ] {
            let one = share
                .send(&server, "PROPFIND", &path, &[("depth", "0")], NEXTCLOUD)
                .await;
            assert_eq!((one.status, one.hrefs()), (207, vec![&*format!("{root}/")]), "{path}");
        }
        let list = share
            .send(&server, "PROPFIND", &format!("{root}/"), &[("depth", "1")], NEXTCLOUD)
            .await;
        let expected = ["", "a.txt", "sub/", "%C3%BC%20%26%20co.md"].map(|name| format!("{root}/{name}"));
        assert_eq!(list.hrefs(), expected);
        // Without these a folder is shown empty, or as writable.
        for needed in [
            "<d:getlastmodified>",
            "<d:getetag>",
            ">G</x:permissions>",
            ">1</x:share-permissions>",
        ] {
            assert_eq!(list.body.matches(needed).count(), 4, "{needed}");
        }
        assert_eq!(list.body.matches("<d:quota-available-bytes>").count(), 2);
        let deep = share
            .send(
                &server,
                "PROPFIND",
                &format!("{root}/sub/deep/"),
                &[("depth", "1")],
                NEXTCLOUD,
            )
            .await;
        assert_eq!(
            deep.hrefs(),
            ["", "b.txt"].map(|name| format!("{root}/sub/deep/{name}"))
        );
        let read = share
            .send(&server, "GET", &format!("{root}/sub/deep/b.txt"), &[], "")
            .await;
        assert_eq!((read.status, read.body.as_str()), (200, "below"));
        let refused = share.send(&server, "PUT", &format!("{root}/new.txt"), &[], "x").await;
        assert_eq!(refused.status, 403);
    }
    assert_eq!(content(&server, "team/new.txt").await, None);
}

#[actix_web::test]
async fn nextcloud_writes_into_a_shared_folder() {
    let server = sender().await;
    let share = shared(&server, &old_peer().await, "team", true).await;
    let at = |path: &str| format!("{LEGACY_ROOT}/{path}");
    assert_eq!(
        share
            .send(&server, "PROPFIND", &at("n.txt"), &[("depth", "0")], NEXTCLOUD)
            .await
            .status,
        404
    );
    assert_eq!(share.send(&server, "PUT", &at("n.txt"), &[], "new").await.status, 201);
    let modified = "<?xml version=\"1.0\"?><d:propertyupdate xmlns:d=\"DAV:\"><d:set><d:prop>\
        <d:lastmodified>1700000000</d:lastmodified></d:prop></d:set></d:propertyupdate>";
    let patched = share.send(&server, "PROPPATCH", &at("n.txt"), &[], modified).await;
    assert_eq!(
        (patched.status, patched.body.matches("200 OK").count()),
        (207, 1),
        "{}",
        patched.body
    );
    let found = share
        .send(&server, "PROPFIND", &at("n.txt"), &[("depth", "0")], NEXTCLOUD)
        .await;
    assert!(found.body.contains("Tue, 14 Nov 2023 22:13:20 GMT"), "{}", found.body);
    assert_eq!(share.send(&server, "MKCOL", &at("made"), &[], "").await.status, 201);
    // Absolute, and not always by the root that the request goes to.
    let moved = server.url(&at("made/n.txt"));
    let to = [("destination", moved.as_str())];
    assert_eq!(share.send(&server, "MOVE", &at("n.txt"), &to, "").await.status, 201);
    let copied = server.url(&format!("/dav/ocm/{}/made/c.txt", share.id));
    let to = [("destination", copied.as_str())];
    assert_eq!(
        share.send(&server, "COPY", &at("made/n.txt"), &to, "").await.status,
        201
    );
    let out = server.url("/public.php/private.txt");
    let to = [("destination", out.as_str())];
    assert_eq!(
        share.send(&server, "COPY", &at("made/n.txt"), &to, "").await.status,
        502
    );
    assert_eq!(share.send(&server, "DELETE", &at("a.txt"), &[], "").await.status, 204);
    // A large file is announced first.
    let head = format!(
        "PUT {} HTTP/1.1\r\nHost: {}\r\nAuthorization: {}\r\nContent-Length: 3\r\nExpect: 100-Continue\r\n\r\n",
        at("made/large"),
        server.provider(),
        share.basic()
    );
    let go_on = raw_head(server.provider(), head.as_bytes()).await;
    assert!(go_on.starts_with("HTTP/1.1 100 "), "{go_on}");
    let whole = format!("{}abc", head.replace("Expect", "Connection: close\r\nExpect"));
    let stored = raw(server.provider(), whole.as_bytes()).await;
    assert!(stored.contains("HTTP/1.1 201 "), "{stored}");
    for (path, expected) in [
        ("team/made/n.txt", Some("new")),
        ("team/made/c.txt", Some("new")),
        ("team/made/large", Some("abc")),
        ("team/a.txt", None),
        ("team/n.txt", None),
        ("private.txt", Some("canary")),
    ] {
        assert_eq!(content(&server, path).await.as_deref(), expected, "{path}");
    }
}

#[actix_web::test]
async fn inc_15_a_shared_file_is_the_root_itself_and_everything_that_deployed_servers_make_of_it() {
    let server = sender().await;
    let share = shared(&server, &old_peer().await, "single.txt", true).await;
    for root in [LEGACY_ROOT, "/dav/ocm"] {
        let id = &share.id;
        for path in [
            "",
            "/",
            "/single.txt",
            &format!("/{id}"),
            &format!("/{id}/"),
            &format!("/{id}/single.txt"),
        ] {
            let path = format!("{root}{path}");
            let found = share
                .send(&server, "PROPFIND", &path, &[("depth", "1")], NEXTCLOUD)
                .await;
            assert_eq!((found.status, found.hrefs().len()), (207, 1), "{path}");
            assert!(found.body.contains(">GW</x:permissions>") && found.body.contains("<d:resourcetype/>"));
            let put = share.send(&server, "PUT", &path, &[], &path).await;
            assert_eq!(put.status, 204, "{path}");
            let got = share.send(&server, "GET", &path, &[], "").await;
            assert_eq!((got.status, got.body), (200, path));
        }
        for path in [
            "/other.txt",
            "/private.txt",
            &format!("/{id}/x"),
            "/single.txt/x",
            "/team/a.txt",
        ] {
            let got = share.send(&server, "GET", &format!("{root}{path}"), &[], "").await;
            assert_eq!(got.status, 404, "{path}");
        }
    }
}

#[actix_web::test]
async fn owncloud_10_lists_with_an_empty_prop_and_then_asks_for_each_child() {
    let server = sender().await;
    let share = shared(&server, &old_peer().await, "team", false).await;
    let root = format!("{LEGACY_ROOT}/");
    let listed = share
        .send(&server, "PROPFIND", &root, &[("depth", "1")], OWNCLOUD)
        .await;
    assert_eq!(
        (listed.status, listed.hrefs().len(), listed.hrefs()[0]),
        (207, 4, root.as_str())
    );
    for href in listed.hrefs() {
        let one = share
            .send(&server, "PROPFIND", href, &[("depth", "0")], NEXTCLOUD)
            .await;
        assert_eq!((one.status, one.hrefs()), (207, vec![href]));
    }
    let quota = "<d:propfind xmlns:d=\"DAV:\"><d:prop><d:quota-available-bytes/></d:prop></d:propfind>";
    let found = share.send(&server, "PROPFIND", &root, &[("depth", "0")], quota).await;
    assert!(found.body.contains("<d:quota-available-bytes>"), "{}", found.body);
}

#[actix_web::test]
async fn seafile_sends_neither_body_nor_depth_and_a_password_of_colons() {
    let server = sender().await;
    let share = shared(&server, &old_peer().await, "team", false).await;
    for password in ["", ":", "::", ":::"] {
        let basic = share.basic_with(password);
        let headers = [("authorization", basic.as_str())];
        let listed = send(&server, "PROPFIND", &format!("{LEGACY_ROOT}/"), &headers, "").await;
        assert_eq!(listed.status, 207, "{password}");
        assert_eq!((listed.hrefs().len(), listed.hrefs()[0]), (4, "/public.php/webdav/"));
        assert_eq!(listed.body.matches("<d:getlastmodified>").count(), 4);
        let got = send(&server, "GET", &format!("{LEGACY_ROOT}/a.txt"), &headers, "").await;
        assert_eq!(got.body, "one");
    }
}

#[actix_web::test]
async fn opencloud_and_reva_write_dots_into_paths_and_locks_that_are_none() {
    let server = sender().await;
    let share = shared(&server, &old_peer().await, "team", true).await;
    // A client of HTTP would resolve the dots.
    let ask = async |method: &str, path: &str, more: &str, body: &str| {
        let head = format!(
            "{method} /dav/ocm/{}{path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {}\r\nConnection: close\r\n\
             Content-Length: {}\r\n{more}\r\n{body}",
            share.id,
            server.provider(),
            share.secret,
            body.len()
        );
        raw(server.provider(), head.as_bytes()).await
    };
    let listed = ask("PROPFIND", "/sub/.", "Depth: 1\r\n", OPENCLOUD).await;
    assert!(listed.starts_with("HTTP/1.1 207 "), "{listed}");
    assert!(
        listed.contains(&format!("<d:href>/dav/ocm/{}/sub/deep/</d:href>", share.id)),
        "{listed}"
    );
    let stored = ask("PUT", "/sub/./n.txt", "Lock-Token: <>\r\nUpload-Length: -1\r\n", "new").await;
    assert!(stored.starts_with("HTTP/1.1 201 "), "{stored}");
    let to = format!(
        "Destination: {}\r\n",
        server.url(&format!("/dav/ocm/{}/./m.txt", share.id))
    );
    let moved = ask("MOVE", "/sub/./n.txt", &to, "").await;
    assert!(moved.starts_with("HTTP/1.1 201 "), "{moved}");
    let freed = ask("UNLOCK", "/m.txt", "Lock-Token: <>\r\n", "").await;
    assert!(freed.starts_with("HTTP/1.1 204 "), "{freed}");
    for path in [
        "/..",
        "/../",
        "/sub/../../private.txt",
        "/%2e%2e/private.txt",
        "/sub/%2e%2e%2fa.txt",
    ] {
        let refused = ask("GET", path, "", "").await;
        assert!(refused.starts_with("HTTP/1.1 400 "), "{path}: {refused}");
        assert!(!refused.contains("canary"));
    }
    for scheme in ["bearer", "BEARER", "Bearer"] {
        let authorization = format!("{scheme} {}", share.secret);
        let headers = [("authorization", authorization.as_str())];
        assert_eq!(send(&server, "GET", "/dav/ocm/m.txt", &headers, "").await.body, "new");
    }
    assert_eq!(content(&server, "team/m.txt").await.as_deref(), Some("new"));
}

#[actix_web::test]
async fn t45_a_secret_opens_its_own_share_and_never_one_that_wants_a_token() {
    let server = sender().await;
    let old = old_peer().await;
    let team = shared(&server, &old, "team", false).await;
    let single = shared(&server, &old, "single.txt", false).await;
    let strict = shared(&server, &Rogue::start().await, "team", false).await;
    for root in [LEGACY_ROOT, "/dav/ocm"] {
        for path in [
            format!("{root}/"),
            format!("{root}/a.txt"),
            format!("{root}/{}/a.txt", strict.id),
        ] {
            for scheme in [strict.basic(), format!("Bearer {}", strict.secret)] {
                let headers = [("authorization", scheme.as_str())];
                assert_eq!(send(&server, "GET", &path, &headers, "").await.status, 401, "{path}");
            }
        }
        // With another's id in the path it is a path in one's own.
        let other = format!("{root}/{}/a.txt", team.id);
        assert_eq!(single.send(&server, "GET", &other, &[], "").await.status, 404);
        let other = format!("{root}/{}", single.id);
        assert_eq!(team.send(&server, "GET", &other, &[], "").await.status, 404);
        let mine = format!("{root}/{}/a.txt", team.id);
        assert_eq!(team.send(&server, "GET", &mine, &[], "").await.body, "one");
    }
    for path in [
        "/public.php",
        "/public.php/",
        "/public.php/webdavx/a.txt",
        "/dav/",
        "/dav/ocmx/a.txt",
    ] {
        assert_eq!(team.send(&server, "GET", path, &[], "").await.status, 404, "{path}");
    }
}

#[actix_web::test]
async fn whatever_changes_below_a_shared_folder_changes_its_etag_and_time() {
    let server = sender().await;
    let share = shared(&server, &old_peer().await, "team", true).await;
    // ownCloud 10 and Nextcloud look at the root alone, and keep all they have listed while it is the same.
    let root = async || {
        let found = share
            .send(
                &server,
                "PROPFIND",
                &format!("{LEGACY_ROOT}/"),
                &[("depth", "0")],
                NEXTCLOUD,
            )
            .await;
        found
            .body
            .split("<d:getetag>")
            .nth(1)
            .unwrap()
            .split('<')
            .next()
            .unwrap()
            .to_owned()
    };
    let mut before = root().await;
    assert_eq!(root().await, before);
    assert!(
        before.replace("&quot;", "").len() <= 40,
        "{before}: longer ones never compare equal"
    );
    let mut changed = async |by: &str| {
        let after = root().await;
        assert_ne!(after, before, "{by}");
        before = after;
    };
    // By the owner, through this server and not through WebDAV.
    server.put_file("ada", "team/sub/deep/b.txt", "below!").await;
    changed("the owner").await;
    server.put_file("ada", "team/sub/new/deeper/c.txt", "c").await;
    changed("the owner's folders").await;
    let deep = format!("{LEGACY_ROOT}/sub/deep/b.txt");
    share.send(&server, "PUT", &deep, &[], "changed").await;
    changed("a peer").await;
    let modified = "<d:propertyupdate xmlns:d=\"DAV:\"><d:set><d:prop><d:lastmodified>1700000000</d:lastmodified>\
        </d:prop></d:set></d:propertyupdate>";
    share.send(&server, "PROPPATCH", &deep, &[], modified).await;
    changed("a time that was set").await;
    share.send(&server, "DELETE", &deep, &[], "").await;
    changed("a removal").await;
    // What is beside the share is nothing to whoever has it.
    server.put_file("ada", "private.txt", "canary 2").await;
    assert_eq!(root().await, before);
}

/// Everything that a peer asks about a share, right or wrong, with and without a credential.
async fn every_question(server: &TestServer, share: &Known) -> Vec<(String, Seen)> {
    let mut seen = Vec::new();
    let wrong = Known {
        id: share.id.clone(),
        secret: "a".repeat(43),
    };
    let jwt = "Bearer a.b.c".to_owned();
    for authorization in [Some(share.basic()), Some(wrong.basic()), Some(jwt), None] {
        for path in [format!("{LEGACY_ROOT}/"), format!("/dav/ocm/{}", share.id)] {
            for method in ["PROPFIND", "GET", "PUT", "DELETE", "OPTIONS"] {
                let headers: Vec<_> = authorization
                    .iter()
                    .map(|value| ("authorization", value.as_str()))
                    .collect();
                let what = format!("{method} {path} {authorization:?}");
                seen.push((what, send(server, method, &path, &headers, "").await));
            }
        }
    }
    for secret in [&share.secret, &wrong.secret] {
        let path = format!("{SHAREINFO}?t={secret}");
        seen.push((
            path.clone(),
            send(server, "POST", &path, &[], "password=&depth=0").await,
        ));
        for verb in ["accept", "decline", "unshare"] {
            let path = format!("/ocs/v2.php/cloud/shares/{}/{verb}?format=json", share.id);
            seen.push((
                path.clone(),
                send(server, "POST", &path, &[], &format!("token={secret}")).await,
            ));
        }
    }
    seen
}

#[actix_web::test]
async fn while_the_store_is_stopped_nobody_is_told_401_or_404() {
    let server = sender().await;
    let share = shared(&server, &old_peer().await, "team", false).await;
    server.site().store.close().unwrap();
    for (what, seen) in every_question(&server, &share).await {
        assert_eq!(seen.status, 503, "{what}: {}", seen.body);
        assert!(!seen.header("retry-after").is_empty(), "{what}");
        assert!(
            !seen.body.contains(&share.secret) && !seen.body.contains(&share.id),
            "{what}: {}",
            seen.body
        );
    }
    assert_eq!(send(&server, "GET", "/status.php", &[], "").await.status, 200);
}

#[actix_web::test]
async fn what_is_shared_and_not_there_is_unavailable_and_not_gone() {
    let server = sender().await;
    let old = old_peer().await;
    let (folder, file) = (
        shared(&server, &old, "team", false).await,
        shared(&server, &old, "single.txt", false).await,
    );
    let tree = server.site().homes.of("ada").await.unwrap();
    let path = |text: &str| TreePath::parse(text).unwrap();
    for (name, share) in [("team", &folder), ("single.txt", &file)] {
        tree.rename(&path(name), &path("elsewhere"), false).await.unwrap();
        for at in [format!("{LEGACY_ROOT}/"), format!("/dav/ocm/{}", share.id)] {
            let seen = share.send(&server, "PROPFIND", &at, &[("depth", "0")], NEXTCLOUD).await;
            assert_eq!((seen.status, seen.header("retry-after").as_str()), (503, "30"));
        }
        let info = send(&server, "POST", &format!("{SHAREINFO}?t={}", share.secret), &[], "").await;
        assert_eq!(info.status, 503);
        tree.rename(&path("elsewhere"), &path(name), false).await.unwrap();
        let seen = share
            .send(&server, "PROPFIND", &format!("{LEGACY_ROOT}/"), &[], "")
            .await;
        assert_eq!(seen.status, 207);
    }
}

#[actix_web::test]
async fn status_php_says_that_there_is_a_server_and_shareinfo_what_is_shared() {
    let server = sender().await;
    let old = old_peer().await;
    let status = send(&server, "GET", "/status.php", &[], "").await;
    assert_eq!(
        (status.status, status.header("content-type").as_str()),
        (200, "application/json")
    );
    let status = status.json();
    assert_eq!(
        (&status["installed"], &status["maintenance"], &status["productname"]),
        (&json!(true), &json!(false), &json!("ocmesh"))
    );
    let major: u32 = status["version"]
        .as_str()
        .unwrap()
        .split('.')
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(major >= 9, "Nextcloud deals with nothing older");

    let team = shared(&server, &old, "team", true).await;
    let info =
        async |secret: &str, form: &str| send(&server, "POST", &format!("{SHAREINFO}?t={secret}"), &[], form).await;
    // ownCloud 10 sends no depth and lists by this alone.
    let whole = info(&team.secret, "password=").await;
    assert_eq!(
        (whole.status, whole.header("cache-control").as_str()),
        (200, "no-store")
    );
    let whole = whole.json();
    assert_eq!(whole["status"], "success");
    let top = &whole["data"];
    assert_eq!(
        (&top["type"], &top["mimetype"], &top["permissions"], &top["size"]),
        (&json!("dir"), &json!("httpd/unix-directory"), &json!(7), &json!(11))
    );
    let names: Vec<_> = top["children"]
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["name"].clone())
        .collect();
    assert_eq!(names, ["a.txt", "sub", "ü & co.md"]);
    let deep = &top["children"][1]["children"][0];
    assert_eq!(
        (
            &deep["name"],
            &deep["children"][0]["name"],
            &deep["children"][0]["size"]
        ),
        (&json!("deep"), &json!("b.txt"), &json!(5))
    );
    assert!(!whole.to_string().contains("private"));
    // What it keeps of this is compared with what PROPFIND says.
    let found = team
        .send(
            &server,
            "PROPFIND",
            &format!("{LEGACY_ROOT}/a.txt"),
            &[("depth", "0")],
            NEXTCLOUD,
        )
        .await;
    let file = &top["children"][0];
    assert!(
        found
            .body
            .contains(&format!("&quot;{}&quot;", file["etag"].as_str().unwrap())),
        "{}",
        found.body
    );
    assert!(
        found
            .body
            .contains(&format!(">{}</x:share-permissions>", file["permissions"])),
        "{}",
        found.body
    );
    assert!(
        found
            .body
            .contains(&format!("<d:getcontenttype>{}<", file["mimetype"].as_str().unwrap()))
    );

    // Nextcloud only wants to know whether it is there.
    let probe = info(&team.secret, "password=&depth=0").await.json();
    assert_eq!(
        (&probe["status"], &probe["data"]["children"], &probe["data"]["size"]),
        (&json!("success"), &Value::Null, &json!(-1))
    );
    let one = info(&team.secret, "depth=1").await.json();
    assert_eq!(
        (one["data"]["children"].as_array().unwrap().len(), &one["data"]["size"]),
        (3, &json!(-1))
    );
    assert_eq!(info(&team.secret, "depth=-1").await.json(), whole);
    let single = shared(&server, &old, "single.txt", false).await;
    let data = &info(&single.secret, "").await.json()["data"];
    assert_eq!(
        (
            &data["type"],
            &data["name"],
            &data["size"],
            &data["permissions"],
            &data["children"]
        ),
        (&json!("file"), &json!("single.txt"), &json!(5), &json!(1), &Value::Null)
    );
}

#[actix_web::test]
async fn shareinfo_denies_only_what_has_ended_or_never_was() {
    let server = sender().await;
    let old = old_peer().await;
    let stopped = shared(&server, &old, "team", false).await;
    let until = Timestamp(crate::harness::START.0 + 3600).to_string();
    let expiring = shared_until(&server, &old, "single.txt", false, Some(&until)).await;
    let strict = shared(&server, &Rogue::start().await, "team", false).await;
    let info = async |secret: &str| send(&server, "POST", &format!("{SHAREINFO}?t={secret}"), &[], "depth=0").await;
    for live in [&stopped, &expiring, &strict] {
        assert_eq!(info(&live.secret).await.status, 200);
    }
    // That it is there, and nothing that is only for a token.
    assert_eq!(
        info(&strict.secret).await.json(),
        json!({ "status": "success", "data": {} })
    );
    stop(&server, &stopped).await;
    server.clock.step(Duration::from_secs(3600));
    let mut answers = Vec::new();
    for secret in [
        &stopped.secret,
        &expiring.secret,
        "",
        "guess",
        "a.b.c",
        &strict.id,
        "%00",
        &"x".repeat(5000),
    ] {
        let seen = info(secret).await;
        answers.push((seen.status, seen.body));
    }
    let without = send(&server, "POST", SHAREINFO, &[], "").await;
    answers.push((without.status, without.body));
    assert_eq!(answers[0].0, 404);
    answers.dedup();
    assert_eq!(answers.len(), 1, "{answers:?}");
    assert_eq!(info(&strict.secret).await.status, 200);

    // Guessing comes to an end, and never at the cost of a share that is there, or of one whose end is told late.
    let mut last = 0;
    for guess in 0..130 {
        last = info(&format!("guess{guess}")).await.status;
    }
    assert_eq!(
        (
            last,
            info(&stopped.secret).await.status,
            info(&strict.secret).await.status
        ),
        (503, 503, 200)
    );
    server.clock.step(Duration::from_secs(60));
    assert_eq!(
        (info("guess").await.status, info(&stopped.secret).await.status),
        (404, 404)
    );
}

#[actix_web::test]
async fn the_old_interface_is_described_and_fails_cleanly() {
    let server = sender().await;
    for path in ["/ocs-provider", "/ocs-provider/"] {
        let seen = send(&server, "GET", path, &[], "").await;
        assert_eq!(
            (seen.status, seen.header("content-type").as_str()),
            (200, "application/json")
        );
        let says = seen.json();
        assert_eq!(
            says["services"]["FEDERATED_SHARING"]["endpoints"],
            json!({
                "share": "/ocs/v2.php/cloud/shares",
                "webdav": "/public.php/webdav/",
                "shared-secret": "/ocs/v2.php/cloud/shared-secret"
            })
        );
        assert_eq!(
            says["version"],
            Value::Null,
            "ownCloud 10 deletes shares of what has one"
        );
    }
    let form =
        "shareWith=ada&token=abc&name=Proj&remoteId=48&owner=eve&remote=https%3A%2F%2Fold.example%2F&shareType=6";
    for (method, path, status) in [
        ("POST", "/cloud/shares", 501),
        ("POST", "/cloud/shares/48/accept", 404),
        ("POST", "/cloud/shares/48/decline", 404),
        ("POST", "/cloud/shares/48/unshare", 404),
        ("POST", "/cloud/shares/48/reshare", 404),
        ("POST", "/cloud/shares/48/permissions", 404),
        ("POST", "/cloud/shares/48/revoke", 404),
        ("POST", "/cloud/shares/48/move", 404),
        ("POST", "/cloud/shares/%00%2f..%2f/accept", 404),
        ("POST", &format!("/cloud/shares/{}/accept", "9".repeat(5000)), 404),
        ("GET", "/cloud/shares/48/accept", 404),
        ("POST", "/cloud/shared-secret", 403),
        ("GET", "/cloud/user", 404),
        ("GET", "", 404),
    ] {
        for version in ["v1.php", "v2.php"] {
            let path = format!("/ocs/{version}{path}");
            let seen = send(&server, method, &format!("{path}?format=json"), &[], form).await;
            assert_eq!(seen.status, status, "{method} {path}");
            let says = seen.json();
            assert_eq!(
                (
                    &says["ocs"]["meta"]["status"],
                    &says["ocs"]["meta"]["statuscode"],
                    &says["ocs"]["data"]
                ),
                (&json!("failure"), &json!(status), &json!([]))
            );
            let xml = send(&server, method, &path, &[], form).await;
            let code = format!("<statuscode>{status}</statuscode>");
            assert!(xml.status == status && xml.body.contains(&code), "{path}: {}", xml.body);
            assert_eq!(xml.header("content-type"), "application/xml; charset=utf-8");
        }
    }
    assert!(server.received("ada").await.is_empty());
}

async fn tell(server: &TestServer, version: u8, id: &str, verb: &str, token: &str) -> (u16, i64) {
    let path = format!("/ocs/v{version}.php/cloud/shares/{id}/{verb}?format=json");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let seen = send(server, "POST", &path, &form, &format!("token={token}")).await;
    (seen.status, seen.json()["ocs"]["meta"]["statuscode"].as_i64().unwrap())
}

#[actix_web::test]
async fn a_server_that_never_signed_says_with_the_secret_what_others_say_with_a_signature() {
    let server = sender().await;
    let old = old_peer().await;
    for (verb, expected, again) in [
        ("accept", "accepted", "accepted"),
        ("decline", "declined", "declined"),
        ("unshare", "declined", "declined"),
    ] {
        let share = shared(&server, &old, "team", false).await;
        let (id, secret) = (&share.id, &share.secret);
        // Not with another id, nor with another secret, nor by a word that means nothing.
        for (id, verb, token) in [
            ("1", verb, secret.as_str()),
            (id, verb, "guess"),
            (id, verb, ""),
            (id, "reshare", secret),
            (id, "ACCEPT", secret),
        ] {
            assert_eq!(tell(&server, 2, id, verb, token).await, (404, 404));
        }
        assert_eq!(sent_state(&server, id).await, "pending");
        assert_eq!(tell(&server, 2, id, verb, secret).await, (200, 200));
        assert_eq!(sent_state(&server, id).await, expected);
        // Nextcloud up to 27 says it again, after the notification.
        assert_eq!(tell(&server, 1, id, verb, secret).await, (200, 100));
        assert_eq!(sent_state(&server, id).await, again);
    }
    // Accepted, then left.
    let share = shared(&server, &old, "team", false).await;
    tell(&server, 2, &share.id, "accept", &share.secret).await;
    assert_eq!(tell(&server, 2, &share.id, "unshare", &share.secret).await, (200, 200));
    assert_eq!(sent_state(&server, &share.id).await, "left");
    // What has ended doesn't begin again.
    assert_eq!(tell(&server, 2, &share.id, "accept", &share.secret).await, (200, 200));
    assert_eq!(sent_state(&server, &share.id).await, "left");
}

#[actix_web::test]
async fn t24_a_secret_says_nothing_for_a_server_that_signs_or_a_share_that_wants_tokens() {
    let server = sender().await;
    let check = async |server: &TestServer, share: &Known, why: &str| {
        for verb in ["accept", "decline", "unshare"] {
            let answer = tell(server, 2, &share.id, verb, &share.secret).await;
            assert_eq!(answer, (404, 404), "{why}");
        }
        assert_eq!(sent_state(server, &share.id).await, "pending", "{why}");
    };
    let exchanges = old_peer().await;
    let mut says = exchanges.discovery();
    says["capabilities"] = json!(["exchange-token"]);
    exchanges.reply("GET", "/.well-known/ocm", Reply::json(200, says));
    let strict = shared(&server, &exchanges, "team", false).await;
    check(&server, &strict, "must-exchange-token").await;
    let signs = old_peer().await;
    let share = shared(&server, &signs, "team", false).await;
    let mut says = signs.discovery();
    says["capabilities"] = json!(["http-sig"]);
    signs.reply("GET", "/.well-known/ocm", Reply::json(200, says));
    server.site().peers.forget(&signs.provider);
    check(&server, &share, "it says that it signs").await;
    let denied = old_peer().await;
    let share = shared(&server, &denied, "team", false).await;
    server.rule(&denied.provider.to_string(), false).await;
    check(&server, &share, "it is denied").await;
    let hidden = old_peer().await;
    let share = shared(&server, &hidden, "team", false).await;
    hidden.reply("GET", "/.well-known/ocm", Reply::json(500, json!({})));
    server.site().peers.forget(&hidden.provider);
    check(&server, &share, "it can't be asked").await;
    let forgotten = old_peer().await;
    let share = shared(&server, &forgotten, "team", false).await;
    let host = forgotten.provider.to_string();
    server.call(Call::PeerRemove { host }).await.unwrap();
    check(&server, &share, "nobody here vouches for it any more").await;
}

#[actix_web::test]
async fn an_old_server_takes_back_what_it_shared_and_no_other() {
    let server = sender().await;
    let old = old_peer().await;
    server.rule(&old.provider.to_string(), true).await;
    let receive = async |id: &str, secret: &str, requirements: Value| {
        let mut share = old.share_for(&server, "ada", id);
        share["protocol"]["webdav"]["sharedSecret"] = json!(secret);
        share["protocol"]["webdav"]["requirements"] = requirements;
        let body = share.to_string().into_bytes();
        let answer = post_raw(&server, "/ocm/shares", "application/json", body, &[]).await;
        assert_eq!(answer.status(), 201);
    };
    receive("71", "abcdefghijklmno", json!([])).await;
    receive("72", "onmlkjihgfedcba", json!(["must-exchange-token"])).await;
    let state = async |id: &str| {
        let rows = server.received("ada").await;
        let row = rows.iter().find(|row| row["provider_id"] == id).unwrap();
        row["state"].as_str().unwrap().to_owned()
    };
    for (id, verb, token) in [
        ("71", "unshare", "guess"),
        ("71", "unshare", ""),
        ("71", "accept", "abcdefghijklmno"),
        ("71", "decline", "abcdefghijklmno"),
        ("72", "unshare", "abcdefghijklmno"),
        ("72", "unshare", "onmlkjihgfedcba"),
    ] {
        assert_eq!(tell(&server, 2, id, verb, token).await, (404, 404), "{id} {verb}");
    }
    assert_eq!(
        (state("71").await, state("72").await),
        ("pending".to_owned(), "pending".to_owned())
    );
    for _ in 0..2 {
        assert_eq!(tell(&server, 2, "71", "unshare", "abcdefghijklmno").await, (200, 200));
        assert_eq!(state("71").await, "gone");
    }
}
