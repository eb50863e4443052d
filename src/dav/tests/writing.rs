//! PUT, MKCOL, DELETE, COPY and MOVE.

use super::*;

#[actix_web::test]
async fn a_file_is_created_and_replaced() {
    let bench = Bench::new().await;
    let created = bench
        .send("PUT", "/dav/1/new.txt", &[("Lock-Token", "<>")], "one")
        .await;
    assert_eq!(created.status, 201);
    let replaced = bench.send("PUT", "/dav/1/new.txt", &[], "two").await;
    assert_eq!(
        (replaced.status, bench.on_disk("share/new.txt").as_deref()),
        (204, Some("two"))
    );
    let head = bench.send("HEAD", "/dav/1/new.txt", &[], "").await;
    assert_eq!(replaced.header("etag"), head.header("etag"));
    assert_ne!(replaced.header("etag"), created.header("etag"));
    assert_eq!(bench.send("PUT", "/dav/1/no/where.txt", &[], "x").await.status, 409);
    assert_eq!(bench.send("PUT", "/dav/1/sub", &[], "x").await.status, 405);
    assert_eq!(bench.send("PUT", "/dav/1", &[], "x").await.status, 405);
    assert_eq!(bench.send("PUT", "/dav/1/a.txt/x", &[], "x").await.status, 409);
}

#[actix_web::test]
async fn a_file_is_written_only_on_its_conditions() {
    let bench = Bench::new().await;
    let etag = bench
        .send("HEAD", "/dav/1/a.txt", &[], "")
        .await
        .header("etag")
        .to_owned();
    for (path, name, value, status) in [
        ("/dav/1/a.txt", "If-None-Match", "*", 412),
        ("/dav/1/a.txt", "If-Match", "\"other\"", 412),
        ("/dav/1/none", "If-Match", "*", 412),
        ("/dav/1/none", "If-None-Match", "*", 201),
        ("/dav/1/a.txt", "If-Match", etag.as_str(), 204),
        ("/dav/1/a.txt", "If-Match", etag.as_str(), 412),
    ] {
        let answer = bench.send("PUT", path, &[(name, value)], "new").await;
        assert_eq!(answer.status, status, "{path} {name}: {value}");
    }
    assert_eq!(
        bench
            .send("DELETE", "/dav/1/a.txt", &[("If-Match", &etag)], "")
            .await
            .status,
        412
    );
    assert_eq!(bench.on_disk("share/a.txt").as_deref(), Some("new"));
}

#[actix_web::test]
async fn t63_a_part_is_never_stored_as_the_whole() {
    let bench = Bench::new().await;
    let answer = bench
        .send("PUT", "/dav/1/a.txt", &[("Content-Range", "bytes 2-3/10")], "xx")
        .await;
    assert_eq!(
        (answer.status, bench.on_disk("share/a.txt").as_deref()),
        (400, Some("0123456789"))
    );
}

#[actix_web::test]
async fn t66_more_than_there_is_room_for_is_refused_and_leaves_nothing() {
    let mut bench = Bench::new().await;
    bench.mount.max_upload = Some(8);
    assert_eq!(bench.send("PUT", "/dav/1/eight", &[], "12345678").await.status, 201);
    assert_eq!(bench.send("PUT", "/dav/1/a.txt", &[], "123456789").await.status, 507);
    let promised = bench
        .send("PUT", "/dav/1/a.txt", &[("Content-Length", "1099511627776")], "1")
        .await;
    assert_eq!(promised.status, 507);
    assert_eq!(bench.on_disk("share/a.txt").as_deref(), Some("0123456789"));
    let to = |to| [("Destination", to)];
    assert_eq!(
        bench.send("COPY", "/dav/1/a.txt", &to("/dav/1/copy"), "").await.status,
        507
    );
    assert_eq!(
        bench.send("COPY", "/dav/1/eight", &to("/dav/1/copy"), "").await.status,
        201
    );
    assert_eq!(
        bench.send("MOVE", "/dav/1/a.txt", &to("/dav/1/moved"), "").await.status,
        201
    );
    assert_eq!(
        fs::read_dir(bench.folder.path().join("share"))
            .expect("a folder")
            .count(),
        4
    );
}

#[actix_web::test]
async fn t67_an_upload_that_breaks_off_leaves_the_old_file() {
    let bench = Bench::new().await;
    for path in ["/dav/1/a.txt", "/dav/1/new.txt"] {
        let chunks = vec![
            Ok(Bytes::from(vec![b'x'; 300_000])),
            Err(PayloadError::Incomplete(None)),
        ];
        let answer = bench.send_chunks(&bench.mount, "PUT", path, &[], chunks).await;
        assert_eq!(answer.status, 400, "{path}");
    }
    assert_eq!(bench.on_disk("share/a.txt").as_deref(), Some("0123456789"));
    assert_eq!(
        fs::read_dir(bench.folder.path().join("share"))
            .expect("a folder")
            .count(),
        2,
        "no new file, no temporary"
    );
}

#[actix_web::test]
async fn folders_are_made_and_removed() {
    let bench = Bench::new().await;
    assert_eq!(bench.send("MKCOL", "/dav/1/new/", &[], "").await.status, 201);
    assert_eq!(bench.send("MKCOL", "/dav/1/new", &[], "").await.status, 405);
    assert_eq!(bench.send("MKCOL", "/dav/1/a.txt", &[], "").await.status, 405);
    assert_eq!(bench.send("MKCOL", "/dav/1", &[], "").await.status, 405);
    assert_eq!(bench.send("MKCOL", "/dav/1/no/where", &[], "").await.status, 409);
    assert_eq!(bench.send("MKCOL", "/dav/1/body", &[], "<x/>").await.status, 415);
    assert_eq!(
        bench.send("DELETE", "/dav/1/sub", &[("Depth", "0")], "").await.status,
        400
    );
    assert_eq!(
        bench
            .send("DELETE", "/dav/1/sub", &[("Depth", "infinity")], "")
            .await
            .status,
        204
    );
    assert_eq!(bench.send("DELETE", "/dav/1/sub", &[], "").await.status, 404);
    assert_eq!(bench.send("DELETE", "/dav/1", &[], "").await.status, 403);
    assert_eq!(bench.on_disk("share/sub/b.txt"), None);
    assert!(bench.on_disk("share/a.txt").is_some());
}

#[actix_web::test]
async fn things_are_copied_and_moved() {
    let bench = Bench::new().await;
    let transfer = async |method: &str, from: &str, to: &str, headers: &[(&str, &str)]| {
        let headers = [headers, &[("Destination", to)]].concat();
        bench.send(method, from, &headers, "").await.status
    };
    assert_eq!(transfer("COPY", "/dav/1/a.txt", "/dav/1/c.txt", &[]).await, 201);
    assert_eq!(transfer("COPY", "/dav/1/a.txt", "/dav/1/c.txt", &[]).await, 204);
    assert_eq!(
        transfer("COPY", "/dav/1/a.txt", "/dav/1/c.txt", &[("Overwrite", "F")]).await,
        412
    );
    assert_eq!(transfer("COPY", "/dav/1/a.txt", "/dav/1/a.txt", &[]).await, 403);
    assert_eq!(transfer("COPY", "/dav/1/sub", "/dav/1/sub/in", &[]).await, 403);
    assert_eq!(transfer("COPY", "/dav/1/none", "/dav/1/x", &[]).await, 404);
    assert_eq!(transfer("COPY", "/dav/1/a.txt", "/dav/1/no/where", &[]).await, 409);
    assert_eq!(
        transfer("COPY", "/dav/1/sub", "/dav/1/flat", &[("Depth", "0")]).await,
        201
    );
    assert_eq!(transfer("COPY", "/dav/1/sub", "/dav/1/x", &[("Depth", "1")]).await, 400);
    assert_eq!(transfer("MOVE", "/dav/1/sub", "/dav/1/x", &[("Depth", "0")]).await, 400);
    assert_eq!(
        transfer("MOVE", "/dav/1/sub", "/dav/1/x", &[("Overwrite", "yes")]).await,
        400
    );
    assert_eq!(transfer("MOVE", "/dav/1/sub", "/dav/1/./moved/", &[]).await, 201);
    assert_eq!(transfer("MOVE", "/dav/1/moved", "/dav/1/flat", &[]).await, 204);
    assert_eq!(bench.on_disk("share/flat/b.txt").as_deref(), Some("below"));
    assert_eq!(bench.on_disk("share/c.txt").as_deref(), Some("0123456789"));
    assert_eq!(
        fs::read_dir(bench.folder.path().join("share"))
            .expect("a folder")
            .count(),
        3
    );
}

#[actix_web::test]
async fn a_client_may_say_when_a_file_was_modified() {
    let bench = Bench::new().await;
    let at = [("X-OC-MTIME", "1700000000")];
    let put = bench.send("PUT", "/dav/1/new.txt", &at, "x").await;
    assert_eq!((put.status, put.header("x-oc-mtime")), (201, "accepted"));
    let head = bench.send("HEAD", "/dav/1/new.txt", &[], "").await;
    assert_eq!(head.header("last-modified"), "Tue, 14 Nov 2023 22:13:20 GMT");
    assert_eq!(head.header("etag"), put.header("etag"));
    for nonsense in ["", "-1", "soon", "1e9", "99999999999999999999"] {
        let put = bench
            .send("PUT", "/dav/1/new.txt", &[("X-OC-MTIME", nonsense)], "y")
            .await;
        assert_eq!((put.status, put.header("x-oc-mtime")), (204, ""), "{nonsense}");
    }
}
