//! One's own files (T-64, T-70).

use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::config::Size;
use ocmesh::files::TreePath;
use ocmesh::site::moving::Moving;
use ocmesh::store::Page;
use serde_json::Value;
use serde_json::json;

use super::browser::Browser;
use super::check_download;
use crate::harness::Pair;
use crate::harness::TestServer;
use crate::harness::http;

#[actix_web::test]
async fn files_are_uploaded_replaced_only_if_asked_and_deleted_only_after_a_page() {
    let server = TestServer::start_with(|config| config.files.max_upload = Size(1000)).await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let token = ada.token().to_owned();
    let two = [
        ("form_token", None, &*token),
        ("file", Some("a.html"), "<script>one</script>"),
        ("file", Some("folder/b.txt"), "two"),
    ];
    ada.multipart("/files/", &two).await.expect_status(303);
    ada.get("/files/").await.expect("a.html").expect("b.txt");
    let page = ada.get("/files/a.html").await;
    assert_eq!(page.body, "<script>one</script>");
    check_download(&page, "a.html");

    ada.upload("/files/", "b.txt", "other")
        .await
        .expect_status(409)
        .expect("already-exists");
    assert_eq!(ada.get("/files/b.txt").await.body, "two");
    let replace = [
        ("form_token", None, &*token),
        ("taken", None, "replace"),
        ("file", Some("b.txt"), "other"),
    ];
    ada.multipart("/files/", &replace).await.expect_status(303);
    assert_eq!(ada.get("/files/b.txt").await.body, "other");

    ada.upload("/files/", "big", &"x".repeat(1001))
        .await
        .expect_status(413)
        .expect("1000 B");
    ada.get("/files/big").await.expect_status(404);
    ada.upload("/files/", "", "")
        .await
        .expect_status(400)
        .expect("Choose a file first");
    ada.upload("/files/", "..", "x")
        .await
        .expect_status(400)
        .expect("unsafe-path");
    ada.get("/files/x%2f..%2f..%2fetc%2fpasswd").await.expect_status(400);

    ada.get("/delete?path=b.txt").await.expect("gone for good");
    assert_eq!(ada.get("/files/b.txt").await.status, 200);
    ada.post("/delete", &[("path", "b.txt")]).await.expect_status(303);
    ada.get("/files/b.txt").await.expect_status(404);
    ada.post("/new-folder", &[("path", ""), ("name", "a/b")])
        .await
        .expect_status(400)
        .expect(">Back</a>");
}

#[actix_web::test]
async fn t70_not_a_byte_of_a_file_is_kept_without_a_token_before_it() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let token = ada.token().to_owned();
    let file = ("file", Some("evil.txt"), "evil");
    let forms: [&[_]; 3] = [
        &[file],
        &[file, ("form_token", None, &token)],
        &[("form_token", None, "guess"), file],
    ];
    for form in forms {
        ada.multipart("/files/", form)
            .await
            .expect_status(403)
            .expect("form-forged");
    }
    ada.get("/files/evil.txt").await.expect_status(404);
}

#[actix_web::test]
async fn nobody_sees_the_files_of_another() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.user("mallory").await;
    server.put_file("ada", "diary.txt", "dear diary").await;
    let mut mallory = Browser::signed_in(&server, "mallory").await;
    mallory.get("/files/diary.txt").await.expect_status(404);
    assert!(!mallory.get("/files/").await.has("diary"));
    mallory.get("/files/%2e%2e%2fada%2fdiary.txt").await.expect_status(400);
    assert!(
        Browser::new(&server)
            .get("/files/diary.txt")
            .await
            .location()
            .starts_with("/login")
    );
}

#[actix_web::test]
async fn what_is_deleted_is_shared_no_more_even_if_something_of_its_name_comes_again() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "docs/a.txt", "a").await;
    let (sent, received) = pair.shared("docs", false).await;
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    ada.post("/delete", &[("path", "docs")]).await.expect_status(303);
    pair.a.put_file("ada", "docs/private.txt", "not shared").await;
    let row = &pair.a.sent("ada").await[0];
    assert_eq!(
        (row["id"].as_str().unwrap(), row["state"].as_str().unwrap()),
        (&*sent, "stopped")
    );
    let call = Call::ShareGet {
        id: received,
        path: "private.txt".to_owned(),
    };
    assert!(pair.b.call(call).await.is_err());
    pair.a.deliver().await;
    assert_eq!(pair.b.received("bob").await[0]["state"], "gone");
}

/// What the script of the upload form sends: no form, but the same cookie, and the token in a header.
async fn scripted(server: &TestServer, cookie: &str, path: &str, token: &str, body: &str) -> (u16, Value) {
    let answer = http()
        .post(server.url(path))
        .header("cookie", cookie)
        .header("origin", server.url(""))
        .header("accept", "application/json")
        .header("x-ocm-form-token", token)
        .body(body.to_owned())
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let text = answer.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
}

#[actix_web::test]
async fn a_file_arrives_in_parts_and_is_seen_only_when_it_is_whole() {
    let server = TestServer::start_with(|config| config.files.max_upload = Size(1000)).await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "old").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let (cookie, token) = (ada.cookie().unwrap().to_owned(), ada.token().to_owned());
    let begin = "/uploads?folder=&name=a.txt&size=10";
    let (status, taken) = scripted(&server, &cookie, begin, &token, "").await;
    assert_eq!((status, taken["code"].as_str()), (409, Some("already-exists")));
    let (_, begun) = scripted(&server, &cookie, &format!("{begin}&taken=replace"), &token, "").await;
    let upload = format!("/uploads/{}", begun["id"].as_str().unwrap());
    let part = async |offset: u64, body: &str| {
        let path = format!("{upload}?offset={offset}");
        scripted(&server, &cookie, &path, &token, body).await
    };
    assert_eq!(part(0, "01234").await, (200, json!({ "here": 5, "done": false })));
    // The same part again, as after an answer that was lost: nothing of it is taken, and where to go on is said.
    assert_eq!(part(0, "01234").await, (200, json!({ "here": 5, "done": false })));
    let asked = scripted(&server, &cookie, &upload, &token, "").await;
    assert_eq!(asked, (200, json!({ "here": 5, "done": false })));
    assert_eq!(ada.get("/files/a.txt").await.body, "old");
    // A new session of the same person goes on with it.
    let again = Browser::signed_in(&server, "ada").await;
    let (status, done) = scripted(
        &server,
        again.cookie().unwrap(),
        &format!("{upload}?offset=5"),
        again.token(),
        "56789",
    )
    .await;
    assert_eq!((status, &done["done"]), (200, &json!(true)));
    assert_eq!(ada.get("/files/a.txt").await.body, "0123456789");
    assert_eq!(part(10, "").await.0, 404);

    let begin = async |query: &str| scripted(&server, &cookie, &format!("/uploads?folder=&{query}"), &token, "").await;
    let (status, large) = begin("name=b&size=1001").await;
    assert_eq!(status, 413);
    assert!(large["message"].as_str().unwrap().contains("1001 B"), "{large}");
    assert_eq!(begin("name=a.txt&size=1&taken=skip").await.1["skipped"], true);
    assert_eq!(begin("name=..&size=1").await.0, 400);
    assert_eq!(begin("name=c").await.0, 400);
    let (_, both) = begin("name=a.txt&size=0&taken=both").await;
    let empty = format!("/uploads/{}?offset=0", both["id"].as_str().unwrap());
    assert_eq!(scripted(&server, &cookie, &empty, &token, "").await.1["done"], true);
    ada.get("/files/a%20(2).txt").await.expect_status(200);

    let (_, over) = begin("name=d&size=3").await;
    let over = format!("/uploads/{}?offset=0", over["id"].as_str().unwrap());
    assert_eq!(scripted(&server, &cookie, &over, &token, "more than said").await.0, 413);
    ada.get("/files/d").await.expect_status(404);
}

#[actix_web::test]
async fn t70_parts_are_taken_only_with_the_token_of_whoever_sends_and_only_into_ones_own_upload() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.user("mallory").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let cookie = ada.cookie().unwrap().to_owned();
    let mallory = Browser::signed_in(&server, "mallory").await;
    let begin = "/uploads?folder=&name=a.txt&size=4";
    for token in ["", "guess", mallory.token()] {
        let (status, page) = scripted(&server, &cookie, begin, token, "").await;
        assert_eq!(status, 403);
        assert!(page.to_string().contains("form-forged"), "{page}");
    }
    let token = ada.token().to_owned();
    let (_, begun) = scripted(&server, &cookie, begin, &token, "").await;
    let upload = format!("/uploads/{}", begun["id"].as_str().unwrap());
    let part = format!("{upload}?offset=0");
    assert_eq!(scripted(&server, &cookie, &part, "guess", "evil").await.0, 403);
    assert_eq!(
        scripted(&server, mallory.cookie().unwrap(), &part, mallory.token(), "evil")
            .await
            .0,
        404
    );
    let cancel = format!("{upload}/cancel");
    assert_eq!(
        scripted(&server, mallory.cookie().unwrap(), &cancel, mallory.token(), "")
            .await
            .0,
        404
    );
    assert_eq!(scripted(&server, &cookie, &part, &token, "good").await.0, 200);
    assert_eq!(ada.get("/files/a.txt").await.body, "good");
}

#[actix_web::test]
async fn t66_uploads_that_nobody_goes_on_with_are_bounded_and_thrown_away() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let ada = Browser::signed_in(&server, "ada").await;
    let (cookie, token) = (ada.cookie().unwrap().to_owned(), ada.token().to_owned());
    let begin = async |number: usize| {
        let path = format!("/uploads?folder=&name={number}&size=10");
        scripted(&server, &cookie, &path, &token, "").await
    };
    let (_, first) = begin(0).await;
    for number in 1..16 {
        assert_eq!(begin(number).await.0, 200);
    }
    let (status, refused) = begin(16).await;
    assert_eq!((status, refused["code"].as_str()), (503, Some("try-later")));
    let cancel = format!("/uploads/{}/cancel", first["id"].as_str().unwrap());
    assert_eq!(scripted(&server, &cookie, &cancel, &token, "").await.0, 200);
    assert_eq!(begin(16).await.0, 200);
    let folder = server.data.join("files/ada");
    let hidden = || std::fs::read_dir(&folder).unwrap().count();
    assert_eq!(hidden(), 16);
    server.clock.step(Duration::from_secs(24 * 3600 + 1));
    server.site().homes.arrivals().forget_abandoned(server.clock.now());
    assert_eq!(hidden(), 0);
}

#[actix_web::test]
async fn without_a_script_a_taken_name_is_kept_replaced_or_skipped_as_chosen() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "a.txt", "old").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    let token = ada.token().to_owned();
    let form = |taken| {
        [
            ("form_token", None, &*token),
            ("taken", None, taken),
            ("file", Some("a.txt"), "new"),
            ("file", Some("b.txt"), "next"),
        ]
    };
    ada.multipart("/files/", &form("skip")).await.expect_status(303);
    assert_eq!(ada.get("/files/a.txt").await.body, "old");
    assert_eq!(ada.get("/files/b.txt").await.body, "next");
    ada.multipart("/files/", &form("both")).await.expect_status(303);
    assert_eq!(ada.get("/files/a.txt").await.body, "old");
    assert_eq!(ada.get("/files/a%20(2).txt").await.body, "new");
    ada.multipart("/files/", &form("replace")).await.expect_status(303);
    assert_eq!(ada.get("/files/a.txt").await.body, "new");
}

#[actix_web::test]
async fn what_is_renamed_or_moved_stays_shared() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "docs/a.txt", "a").await;
    pair.a.put_file("ada", "docs/b.txt", "b").await;
    pair.a.put_file("ada", "archive/old.txt", "old").await;
    let (sent, received) = pair.shared("docs", false).await;
    let read = async || {
        let call = Call::ShareGet {
            id: received.clone(),
            path: "a.txt".to_owned(),
        };
        pair.b.call(call).await.unwrap()
    };
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let shared = format!("/shares/sent/{sent}");
    ada.get("/files/").await.expect(&shared);
    ada.get("/rename?path=docs").await.expect("It stays shared");
    let taken = [("path", "docs/a.txt"), ("name", "b.txt")];
    ada.post("/rename", &taken)
        .await
        .expect_status(409)
        .expect("aria-invalid");
    ada.post("/rename", &[("path", "docs"), ("name", "papers")])
        .await
        .expect_status(303);
    assert_eq!(read().await, "a");
    let page = ada.get("/move?path=papers&to=").await;
    page.expect(">archive<").expect("papers");
    assert!(!page.has("to=papers\""), "a folder is not offered itself");
    ada.post("/move", &[("path", "papers"), ("to", "archive")])
        .await
        .expect_status(303);
    assert_eq!(read().await, "a");
    ada.get("/files/archive").await.expect("papers").expect(&shared);
    ada.post("/move", &[("path", "archive"), ("to", "archive/papers")])
        .await
        .expect_status(403);
    ada.post("/rename", &[("path", "archive"), ("name", "../up")])
        .await
        .expect_status(400);
    ada.get("/delete?path=archive")
        .await
        .expect("1 share ends")
        .expect(&shared);
}

#[actix_web::test]
async fn t57_a_folder_comes_as_a_zip_with_names_that_lead_downwards_only() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "docs/a.txt", "first").await;
    server.put_file("ada", "docs/deep/ü.txt", "second").await;
    server.put_file("ada", "other.txt", "not in it").await;
    std::os::unix::fs::symlink("/etc/passwd", server.data.join("files/ada/docs/link")).unwrap();
    let ada = Browser::signed_in(&server, "ada").await;
    let get = async |path: &str| {
        let request = http().get(server.url(path)).header("cookie", ada.cookie().unwrap());
        request.send().await.unwrap()
    };
    let answer = get("/zip/docs").await;
    assert!(
        answer.headers()["content-disposition"]
            .to_str()
            .unwrap()
            .ends_with("docs.zip")
    );
    assert!(
        answer.headers()["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("sandbox")
    );
    let bytes = answer.bytes().await.unwrap();
    let mut packed = zip::ZipArchive::new(std::io::Cursor::new(&bytes[..])).unwrap();
    let names: Vec<_> = packed.file_names().map(str::to_owned).collect();
    assert_eq!(names, ["a.txt", "deep/", "deep/ü.txt"]);
    let mut text = String::new();
    std::io::Read::read_to_string(&mut packed.by_name("deep/ü.txt").unwrap(), &mut text).unwrap();
    assert_eq!(text, "second");
    assert_eq!(get("/zip/other.txt").await.status(), 404);
    assert_eq!(get("/zip/x%2f..").await.status(), 400);
}

#[actix_web::test]
async fn t79_a_move_that_a_stop_cut_off_is_followed_or_forgotten_at_the_next_start() {
    let pair = Pair::acquainted().await;
    let path = |text: &str| TreePath::parse(text).unwrap();
    for name in ["one", "two"] {
        pair.a.put_file("ada", &format!("{name}/a.txt"), name).await;
        let to = pair.b.address("bob");
        pair.a.share("ada", name, &to, false).await.unwrap();
    }
    let moving = |name: &str| Moving {
        id: name.to_owned(),
        user: "ada".to_owned(),
        from: path(name),
        to: path(&format!("moved-{name}")),
    };
    let site = pair.a.site();
    for begun in [moving("one"), moving("two")] {
        site.store.run(async |txn| txn.put(&begun).await).await.unwrap();
    }
    // The first came as far as the disk, the second not even there.
    let home = site.homes.of("ada").await.unwrap();
    home.rename(&path("one"), &path("moved-one"), false).await.unwrap();
    let a = pair.a.restart().await;
    let shared = async |server: &TestServer| {
        let shares = server.site().shares.sent("ada", &Page::first(9)).await.unwrap();
        let mut paths: Vec<_> = shares.items.iter().map(|share| share.path.to_string()).collect();
        paths.sort();
        paths
    };
    assert_eq!(shared(&a).await, ["moved-one", "two"]);
    // What is over is over: a later start changes nothing.
    let home = a.site().homes.of("ada").await.unwrap();
    home.rename(&path("two"), &path("moved-two"), false).await.unwrap();
    let a = a.restart().await;
    assert_eq!(shared(&a).await, ["moved-one", "two"]);
}
