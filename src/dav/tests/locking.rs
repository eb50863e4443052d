//! What a lock keeps others from, and lets its holder do.

use super::*;

fn lock_info(scope: &str) -> String {
    format!(
        "<d:lockinfo xmlns:d='DAV:'><d:lockscope><d:{scope}/></d:lockscope><d:locktype><d:write/></d:locktype>\
         <d:owner>Me &amp; <d:href>mailto:me@example.org</d:href></d:owner></d:lockinfo>"
    )
}

/// Locks and gives the token, brackets included.
async fn lock(bench: &Bench, path: &str, scope: &str, depth: &str) -> String {
    let answer = bench.send("LOCK", path, &[("Depth", depth)], &lock_info(scope)).await;
    assert!(matches!(answer.status, 200 | 201), "{} {}", answer.status, answer.body);
    answer.header("lock-token").to_owned()
}

#[actix_web::test]
async fn a_locked_file_is_written_only_with_its_token() {
    let bench = Bench::new().await;
    let token = lock(&bench, "/dav/1/a.txt", "exclusive", "0").await;
    let update = "<propertyupdate xmlns='DAV:'><set><prop><x xmlns=''/></prop></set></propertyupdate>";
    for (method, body) in [("PUT", "x"), ("DELETE", ""), ("MOVE", ""), ("PROPPATCH", update)] {
        let answer = bench
            .send(method, "/dav/1/a.txt", &[("Destination", "/dav/1/x")], body)
            .await;
        assert_eq!(answer.status, 423, "{method}");
        assert!(
            answer
                .body
                .contains("<d:lock-token-submitted><d:href>/dav/1/a.txt</d:href>"),
            "{}",
            answer.body
        );
    }
    assert_eq!(
        bench
            .send("COPY", "/dav/1/sub/b.txt", &[("Destination", "/dav/1/a.txt")], "")
            .await
            .status,
        423
    );
    assert_eq!(
        bench.send("GET", "/dav/1/a.txt", &[], "").await.body,
        "0123456789",
        "reading is free"
    );
    assert_eq!(
        bench
            .send("COPY", "/dav/1/a.txt", &[("Destination", "/dav/1/c")], "")
            .await
            .status,
        201
    );
    let condition = format!("({token})");
    assert_eq!(
        bench
            .send("PUT", "/dav/1/a.txt", &[("If", &condition)], "x")
            .await
            .status,
        204
    );
    assert_eq!(
        bench
            .send("UNLOCK", "/dav/1/a.txt", &[("Lock-Token", &token)], "")
            .await
            .status,
        204
    );
    assert_eq!(
        bench
            .send("PUT", "/dav/1/a.txt", &[("If", &condition)], "y")
            .await
            .status,
        412
    );
    assert_eq!(bench.send("PUT", "/dav/1/a.txt", &[], "y").await.status, 204);
}

#[actix_web::test]
async fn a_lock_on_a_folder_keeps_who_is_in_it_and_a_deep_one_all_beneath() {
    let bench = Bench::new().await;
    let token = lock(&bench, "/dav/1/sub", "exclusive", "0").await;
    assert_eq!(
        bench.send("PUT", "/dav/1/sub/b.txt", &[], "x").await.status,
        204,
        "the file itself is free"
    );
    for (method, path) in [
        ("PUT", "/dav/1/sub/n"),
        ("MKCOL", "/dav/1/sub/n"),
        ("DELETE", "/dav/1/sub/b.txt"),
    ] {
        assert_eq!(bench.send(method, path, &[], "").await.status, 423, "{method} {path}");
    }
    assert_eq!(
        bench
            .send("LOCK", "/dav/1/sub/n", &[], &lock_info("exclusive"))
            .await
            .status,
        423
    );
    assert_eq!(
        bench
            .send("MOVE", "/dav/1/a.txt", &[("Destination", "/dav/1/sub/n")], "")
            .await
            .status,
        423
    );
    bench.send("UNLOCK", "/dav/1/sub", &[("Lock-Token", &token)], "").await;

    let token = lock(&bench, "/dav/1/sub", "exclusive", "infinity").await;
    assert_eq!(bench.send("PUT", "/dav/1/sub/b.txt", &[], "x").await.status, 423);
    let condition = format!("</dav/1/sub> ({token})");
    assert_eq!(
        bench
            .send("PUT", "/dav/1/sub/b.txt", &[("If", &condition)], "x")
            .await
            .status,
        204
    );
    let tagged = format!("<http://localhost:9/dav/1/sub/b.txt> ({token})");
    assert_eq!(
        bench.send("DELETE", "/dav/1/sub", &[("If", &tagged)], "").await.status,
        204
    );
    assert_eq!(
        bench.ledger.locks("alice", START).await.expect("locks"),
        [],
        "a lock goes with what it is on"
    );
}

#[actix_web::test]
async fn what_has_a_locked_file_beneath_it_is_not_removed_or_moved() {
    let bench = Bench::new().await;
    let token = lock(&bench, "/dav/1/sub/b.txt", "exclusive", "0").await;
    assert_eq!(bench.send("DELETE", "/dav/1/sub", &[], "").await.status, 423);
    assert_eq!(
        bench
            .send("MOVE", "/dav/1/sub", &[("Destination", "/dav/1/x")], "")
            .await
            .status,
        423
    );
    assert_eq!(
        bench
            .send("COPY", "/dav/1/a.txt", &[("Destination", "/dav/1/sub")], "")
            .await
            .status,
        423
    );
    assert_eq!(
        bench.send("LOCK", "/dav/1/sub", &[], &lock_info("shared")).await.status,
        423
    );
    let condition = format!("</dav/1/sub/b.txt> ({token})");
    let headers = [("Destination", "/dav/1/x"), ("If", condition.as_str())];
    assert_eq!(bench.send("MOVE", "/dav/1/sub", &headers, "").await.status, 201);
    assert_eq!(
        bench.send("PUT", "/dav/1/x/b.txt", &[], "x").await.status,
        204,
        "a lock does not move"
    );
}

#[actix_web::test]
async fn who_holds_one_of_several_shared_locks_may_write() {
    let bench = Bench::new().await;
    let mine = lock(&bench, "/dav/1/a.txt", "shared", "0").await;
    let other = bench.as_seen_by("share-2", "share", BOTH);
    let theirs = bench
        .send_to(&other, "LOCK", "/dav/1/a.txt", &[], &lock_info("shared"))
        .await;
    assert_eq!(theirs.status, 200);
    assert_eq!(
        bench
            .send("LOCK", "/dav/1/a.txt", &[], &lock_info("exclusive"))
            .await
            .status,
        423
    );
    assert_eq!(bench.send("PUT", "/dav/1/a.txt", &[], "x").await.status, 423);
    assert_eq!(
        bench
            .send("PUT", "/dav/1/a.txt", &[("If", &format!("({mine})"))], "x")
            .await
            .status,
        204
    );
    let third = bench.as_seen_by("share-3", "share", BOTH);
    assert_eq!(bench.send_to(&third, "PUT", "/dav/1/a.txt", &[], "x").await.status, 423);
}

#[actix_web::test]
async fn a_lock_is_seen_through_every_share_of_the_same_folder_but_names_nothing_outside_it() {
    let bench = Bench::new().await;
    let token = lock(&bench, "/dav/1", "exclusive", "infinity").await;
    let sub = bench.as_seen_by("share-2", "share/sub", BOTH);
    let refused = bench.send_to(&sub, "PUT", "/dav/1/b.txt", &[], "x").await;
    assert_eq!(refused.status, 423);
    assert!(refused.body.contains("<d:href>/dav/1</d:href>"), "{}", refused.body);
    let shown = bench
        .send_to(&sub, "PROPFIND", "/dav/1/b.txt", &[("Depth", "0")], "")
        .await;
    assert!(
        shown.body.contains("<d:lockroot><d:href>/dav/1</d:href></d:lockroot>"),
        "{}",
        shown.body
    );
    assert!(!shown.body.contains(&token));
}

#[actix_web::test]
async fn an_etag_in_an_if_header_is_a_condition_too() {
    let bench = Bench::new().await;
    let etag = bench
        .send("HEAD", "/dav/1/a.txt", &[], "")
        .await
        .header("etag")
        .to_owned();
    for (condition, status) in [
        ("([\"other\"])".to_owned(), 412),
        (format!("(Not [{etag}])"), 412),
        (format!("([\"other\"]) ([{etag}])"), 204),
        ("nonsense".to_owned(), 400),
        ("<http://elsewhere.test/x> (<urn:x>)".to_owned(), 412),
        ("<http://elsewhere.test/x> (Not <urn:x>)".to_owned(), 204),
    ] {
        let answer = bench.send("PUT", "/dav/1/a.txt", &[("If", &condition)], "x").await;
        assert_eq!(answer.status, status, "{condition}");
    }
}

#[actix_web::test]
async fn a_token_is_a_condition_on_the_place_it_locks() {
    let bench = Bench::new().await;
    let token = lock(&bench, "/dav/1/sub/b.txt", "exclusive", "0").await;
    for (condition, status) in [
        (format!("({token})"), 412),
        (format!("(Not {token})"), 204),
        (format!("</dav/1/sub/b.txt> ({token})"), 204),
        (format!("</dav/1/sub> ({token})"), 412),
    ] {
        let answer = bench.send("PUT", "/dav/1/a.txt", &[("If", &condition)], "x").await;
        assert_eq!(answer.status, status, "{condition}");
    }
}

#[actix_web::test]
async fn a_lock_is_refreshed_by_its_token_and_taken_off_by_nothing_else() {
    let mut bench = Bench::new().await;
    let token = lock(&bench, "/dav/1/a.txt", "exclusive", "0").await;
    let condition = format!("({token})");
    bench.now = START.plus(std::time::Duration::from_secs(3000));
    let headers = [("If", condition.as_str()), ("Timeout", "Second-1000")];
    let refreshed = bench.send("LOCK", "/dav/1/a.txt", &headers, "").await;
    assert_eq!(refreshed.status, 200);
    assert!(refreshed.body.contains("Second-1000") && refreshed.header("lock-token").is_empty());
    assert!(
        refreshed
            .body
            .contains("Me &amp; <href xmlns=\"DAV:\">mailto:me@example.org</href>"),
        "{}",
        refreshed.body
    );
    bench.now = START.plus(std::time::Duration::from_secs(3999));
    assert_eq!(bench.send("PUT", "/dav/1/a.txt", &[], "x").await.status, 423);
    assert_eq!(bench.send("LOCK", "/dav/1/a.txt", &[], "").await.status, 400);
    for (path, token, status) in [
        ("/dav/1/a.txt", "<>", 400),
        ("/dav/1/a.txt", "", 400),
        ("/dav/1/a.txt", "<urn:uuid:other>", 409),
        ("/dav/1/sub/b.txt", token.as_str(), 409),
        ("/dav/1/a.txt", token.as_str(), 204),
        ("/dav/1/a.txt", token.as_str(), 409),
    ] {
        let answer = bench.send("UNLOCK", path, &[("Lock-Token", token)], "").await;
        assert_eq!(answer.status, status, "{path} {token}");
    }
}

#[actix_web::test]
async fn a_lock_where_nothing_is_makes_an_empty_file() {
    let bench = Bench::new().await;
    let answer = bench.send("LOCK", "/dav/1/new", &[], &lock_info("exclusive")).await;
    assert_eq!((answer.status, bench.on_disk("share/new").as_deref()), (201, Some("")));
    assert_eq!(
        bench
            .send("LOCK", "/dav/1/no/where", &[], &lock_info("exclusive"))
            .await
            .status,
        409
    );
    assert_eq!(
        bench.ledger.locks("alice", START).await.expect("locks").len(),
        1,
        "no lock on what is not there"
    );
    let long = lock_info("exclusive").replace("Me", &"x".repeat(3000));
    assert_eq!(bench.send("LOCK", "/dav/1/a.txt", &[], &long).await.status, 413);
    let both = lock_info("exclusive/><d:shared");
    assert_eq!(bench.send("LOCK", "/dav/1/a.txt", &[], &both).await.status, 400);
}

#[actix_web::test]
async fn the_empty_token_of_a_client_without_a_lock_is_no_token() {
    let bench = Bench::new().await;
    let empty = [("Lock-Token", "<>")];
    assert_eq!(bench.send("PUT", "/dav/1/a.txt", &empty, "new").await.status, 204);
    assert_eq!(bench.send("UNLOCK", "/dav/1/a.txt", &empty, "").await.status, 204);
    let info = "<lockinfo xmlns='DAV:'><lockscope><exclusive/></lockscope><locktype><write/></locktype></lockinfo>";
    assert_eq!(bench.send("LOCK", "/dav/1/a.txt", &empty, info).await.status, 200);
    assert_eq!(
        bench.send("UNLOCK", "/dav/1/a.txt", &empty, "").await.status,
        400,
        "it opens nothing"
    );
    assert_eq!(bench.send("PUT", "/dav/1/a.txt", &empty, "newer").await.status, 423);
}
