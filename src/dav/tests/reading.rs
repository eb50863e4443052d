//! GET, HEAD, OPTIONS, and shares of a single file.

use super::*;

#[actix_web::test]
async fn a_file_is_sent_with_all_that_a_client_needs_to_keep_it() {
    let bench = Bench::new().await;
    let got = bench.send("GET", "/dav/1/a.txt", &[], "").await;
    assert_eq!((got.status, got.body.as_str()), (200, "0123456789"));
    assert_eq!(got.header("content-type"), "text/plain; charset=utf-8");
    assert_eq!(got.header("accept-ranges"), "bytes");
    assert!(got.header("etag").starts_with('"'));
    assert!(got.header("last-modified").ends_with(" GMT"));
    let head = bench.send("HEAD", "/dav/1/a.txt", &[("Range", "bytes=0-1")], "").await;
    assert_eq!((head.status, head.header("etag")), (200, got.header("etag")));
    for missing in [
        "/dav/1/none",
        "/dav/1/a.txt/below",
        "/dav/1/sub/none",
        "/dav/2/a.txt",
        "/dav/12/a.txt",
        "/dav",
    ] {
        for method in ["GET", "HEAD", "PROPFIND", "DELETE"] {
            assert_eq!(
                bench.send(method, missing, &[], "").await.status,
                404,
                "{method} {missing}"
            );
        }
    }
    for folder in ["/dav/1", "/dav/1/", "/dav/1/sub"] {
        let answer = bench.send("GET", folder, &[], "").await;
        assert_eq!(answer.status, 405, "{folder}");
        assert!(answer.header("allow").contains("PROPFIND"));
    }
}

#[actix_web::test]
async fn t64_what_is_stored_never_runs_in_a_browser() {
    let bench = Bench::new().await;
    bench.send("PUT", "/dav/1/%22x%22%3B%0D.html", &[], "").await;
    bench
        .send("PUT", "/dav/1/%3Cb%3E%22.html", &[], "<script>alert(1)</script>")
        .await;
    for (path, status) in [
        ("/dav/1/%3Cb%3E%22.html", 200),
        ("/dav/1/%3Cscript%3E", 404),
        ("/dav/1/..", 400),
    ] {
        let answer = bench.send("GET", path, &[], "").await;
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("content-security-policy"), "sandbox; default-src 'none'");
        assert!(
            status == 200 || !answer.body.contains('<'),
            "an error repeats nothing: {}",
            answer.body
        );
    }
    let answer = bench.send("GET", "/dav/1/%3Cb%3E%22.html", &[], "").await;
    assert_eq!(
        answer.header("content-disposition"),
        "attachment; filename*=UTF-8''%3Cb%3E%22%2Ehtml"
    );
}

#[actix_web::test]
async fn t63_one_range_is_sent_as_such_and_anything_odd_as_the_whole() {
    let bench = Bench::new().await;
    let range = async |range: &str, if_range: Option<&str>| {
        let mut headers = vec![("Range", range)];
        headers.extend(if_range.map(|value| ("If-Range", value)));
        let got = bench.send("GET", "/dav/1/a.txt", &headers, "").await;
        let content_range = got.header("content-range").to_owned();
        (got.status, got.body, content_range)
    };
    let part = |content: &str, range: &str| (206, content.to_owned(), range.to_owned());
    let whole = (200, "0123456789".to_owned(), String::new());
    assert_eq!(range("bytes=2-4", None).await, part("234", "bytes 2-4/10"));
    assert_eq!(range("bytes=-2", None).await, part("89", "bytes 8-9/10"));
    assert_eq!(range("bytes=8-99", None).await, part("89", "bytes 8-9/10"));
    assert_eq!(range("bytes=0-1,3-4", None).await, whole);
    assert_eq!(range("bytes=x", None).await, whole);
    let (status, _, content_range) = range("bytes=10-", None).await;
    assert_eq!((status, content_range.as_str()), (416, "bytes */10"));
    let current = bench.send("HEAD", "/dav/1/a.txt", &[], "").await;
    assert_eq!(range("bytes=2-4", Some(current.header("etag"))).await.0, 206);
    assert_eq!(range("bytes=2-4", Some(current.header("last-modified"))).await.0, 206);
    assert_eq!(range("bytes=2-4", Some("\"other\"")).await, whole);
    assert_eq!(
        range("bytes=2-4", Some(&format!("W/{}", current.header("etag")))).await,
        whole
    );
    assert_eq!(range("bytes=2-4", Some("Thu, 01 Jan 1970 00:00:00 GMT")).await, whole);
}

#[actix_web::test]
async fn what_a_client_has_already_is_not_sent_again() {
    let bench = Bench::new().await;
    let current = bench.send("HEAD", "/dav/1/a.txt", &[], "").await;
    let (etag, date) = (
        current.header("etag").to_owned(),
        current.header("last-modified").to_owned(),
    );
    let long_ago = "Thu, 01 Jan 1970 00:00:00 GMT";
    let weak = format!("\"other\", W/{etag}");
    for (name, value, status) in [
        ("If-None-Match", etag.as_str(), 304),
        ("If-None-Match", weak.as_str(), 304),
        ("If-None-Match", "*", 304),
        ("If-None-Match", "\"other\"", 200),
        ("If-Modified-Since", date.as_str(), 304),
        ("If-Modified-Since", long_ago, 200),
        ("If-Modified-Since", "nonsense", 200),
        ("If-Match", etag.as_str(), 200),
        ("If-Match", "*", 200),
        ("If-Match", "\"other\"", 412),
        ("If-Match", weak.as_str(), 412),
        ("If-Unmodified-Since", date.as_str(), 200),
        ("If-Unmodified-Since", long_ago, 412),
    ] {
        let answer = bench.send("GET", "/dav/1/a.txt", &[(name, value)], "").await;
        assert_eq!(answer.status, status, "{name}: {value}");
        if status == 304 {
            assert_eq!((answer.header("etag"), answer.body.as_str()), (etag.as_str(), ""));
        }
    }
}

#[actix_web::test]
async fn options_tells_what_may_be_done() {
    let mut bench = Bench::new().await;
    let answer = bench.send("OPTIONS", "/dav/1/a.txt", &[], "").await;
    assert_eq!(
        (answer.status, answer.header("dav"), answer.header("ms-author-via")),
        (200, "1, 2", "DAV")
    );
    assert!(answer.header("allow").contains("PUT"));
    bench.mount.rights = READ;
    assert_eq!(
        bench.send("OPTIONS", "/dav/1", &[], "").await.header("allow"),
        "OPTIONS, PROPFIND, GET, HEAD"
    );
    for unknown in ["POST", "PATCH", "TRACE", "get", "REPORT"] {
        assert_eq!(
            bench.send(unknown, "/dav/1/a.txt", &[], "").await.status,
            405,
            "{unknown}"
        );
    }
}

#[actix_web::test]
async fn inc_15_a_single_file_answers_at_its_url_with_and_without_slash_and_by_its_name() {
    let bench = Bench::new().await;
    let file = bench.as_seen_by("share-2", "share/a.txt", BOTH);
    for path in ["/dav/1", "/dav/1/", "/dav/1/a.txt", "/dav/1/a.txt/", "/dav/1/./a.txt"] {
        assert_eq!(
            bench.send_to(&file, "GET", path, &[], "").await.body,
            "0123456789",
            "{path}"
        );
        for depth in ["0", "1"] {
            let listed = bench.send_to(&file, "PROPFIND", path, &[("Depth", depth)], "").await;
            assert_eq!(
                (listed.status, listed.body.matches("<d:response>").count()),
                (207, 1),
                "{path}"
            );
            assert!(!listed.body.contains("collection"), "{path}");
        }
    }
    for neighbour in ["/dav/1/sub", "/dav/1/b.txt", "/dav/1/a.txt/x", "/dav/1/a.tx"] {
        for method in ["GET", "PUT", "PROPFIND", "DELETE", "MKCOL", "LOCK"] {
            assert_eq!(
                bench.send_to(&file, method, neighbour, &[], "").await.status,
                404,
                "{method} {neighbour}"
            );
        }
    }
    assert_eq!(
        bench.send_to(&file, "PUT", "/dav/1/a.txt", &[], "new").await.status,
        204
    );
    assert_eq!(bench.on_disk("share/a.txt").as_deref(), Some("new"));
    assert_eq!(bench.send_to(&file, "DELETE", "/dav/1", &[], "").await.status, 403);
    for (to, status) in [("/dav/1/c.txt", 502), ("/dav/1/a.txt", 403)] {
        for method in ["MOVE", "COPY"] {
            let answer = bench.send_to(&file, method, "/dav/1", &[("Destination", to)], "").await;
            assert_eq!(answer.status, status, "{method} to {to}");
        }
    }
    assert_eq!(bench.on_disk("share/a.txt").as_deref(), Some("new"));
}

#[actix_web::test]
async fn a_share_whose_file_is_gone_is_not_found() {
    let bench = Bench::new().await;
    let gone = bench.as_seen_by("share-2", "share/gone.txt", BOTH);
    for method in ["GET", "PUT", "PROPFIND", "OPTIONS"] {
        assert_eq!(
            bench.send_to(&gone, method, "/dav/1", &[], "").await.status,
            404,
            "{method}"
        );
    }
    assert_eq!(bench.on_disk("share/gone.txt"), None);
}

#[actix_web::test]
async fn one_share_at_several_paths_is_the_same_and_is_named_as_it_was_asked_for() {
    let mut bench = Bench::new().await;
    bench.mount.also = vec!["/dav".to_owned(), "/old".to_owned(), "/old/1".to_owned()];
    for (path, root) in [
        ("/dav/1/", "/dav/1/"),
        ("/dav/1", "/dav/1/"),
        ("/dav/", "/dav/"),
        ("/dav", "/dav/"),
        ("/old", "/old/"),
        ("//old/./1//", "/old/1/"),
    ] {
        let listed = bench.send("PROPFIND", path, &[("Depth", "1")], "").await;
        let hrefs: Vec<_> = listed
            .body
            .split("<d:href>")
            .skip(1)
            .filter_map(|rest| rest.split('<').next())
            .collect();
        let expected = ["", "a.txt", "sub/"].map(|name| format!("{root}{name}"));
        assert_eq!(hrefs, expected, "{path}");
        let got = bench.send("GET", &format!("{path}/sub/b.txt"), &[], "").await;
        assert_eq!((got.status, got.body.as_str()), (200, "below"), "{path}");
    }
    // From one to another; a folder with the name of a path is behind it.
    let to = [("Destination", "https://cloud.example/old/b.txt")];
    assert_eq!(bench.send("COPY", "/dav/1/sub/b.txt", &to, "").await.status, 201);
    assert_eq!(bench.on_disk("share/b.txt").as_deref(), Some("below"));
    assert_eq!(bench.send("MKCOL", "/old/1/1", &[], "").await.status, 201);
    assert!(bench.folder.path().join("share/1").is_dir());
    for (path, status) in [
        ("/", 404),
        ("/ol", 404),
        ("/older/a.txt", 404),
        ("/old/../old/a.txt", 400),
        ("/dav/2", 404),
    ] {
        assert_eq!(bench.send("GET", path, &[], "").await.status, status, "{path}");
    }
    let out = [("Destination", "https://cloud.example/older/c.txt")];
    assert_eq!(bench.send("COPY", "/dav/1/sub/b.txt", &out, "").await.status, 502);
}

#[actix_web::test]
async fn inc_15_a_shared_file_is_at_every_path_that_could_be_meant() {
    let mut bench = Bench::new().await;
    bench.mount.root = TreePath::parse("share/a.txt").expect("a good path");
    bench.mount.also = vec!["/dav".to_owned()];
    for path in [
        "/dav/1",
        "/dav/1/",
        "/dav/1/a.txt",
        "/dav",
        "/dav/",
        "/dav/a.txt",
        "/dav//./a.txt",
    ] {
        let got = bench.send("GET", path, &[], "").await;
        assert_eq!((got.status, got.body.as_str()), (200, "0123456789"), "{path}");
        let found = bench.send("PROPFIND", path, &[("Depth", "1")], "").await;
        assert_eq!(
            (found.status, found.body.matches("<d:response>").count()),
            (207, 1),
            "{path}"
        );
        assert_eq!(bench.send("PUT", path, &[], "0123456789").await.status, 204, "{path}");
    }
    for path in ["/dav/b.txt", "/dav/1/1", "/dav/1/a.txt/a.txt", "/dav/sub/b.txt"] {
        assert_eq!(bench.send("GET", path, &[], "").await.status, 404, "{path}");
        assert_eq!(bench.send("PUT", path, &[], "x").await.status, 404, "{path}");
    }
}
