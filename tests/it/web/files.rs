//! One's own files (T-64, T-70).

use ocmesh::api::Call;
use ocmesh::config::Size;

use super::browser::Browser;
use super::check_download;
use crate::harness::Pair;
use crate::harness::TestServer;

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
