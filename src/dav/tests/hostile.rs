//! What someone may try who has one share and wants more.

use std::os::unix::fs::symlink;
use std::time::Duration;

use super::*;

const METHODS: [&str; 12] = [
    "GET",
    "HEAD",
    "OPTIONS",
    "PROPFIND",
    "PUT",
    "DELETE",
    "MKCOL",
    "MOVE",
    "COPY",
    "PROPPATCH",
    "LOCK",
    "UNLOCK",
];

fn body_for(method: &str) -> &'static str {
    match method {
        "PUT" => "OVERWRITTEN",
        "PROPPATCH" => "<d:propertyupdate xmlns:d='DAV:'><d:set><d:prop><x/></d:prop></d:set></d:propertyupdate>",
        "LOCK" => {
            "<d:lockinfo xmlns:d='DAV:'><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype>\
             </d:lockinfo>"
        }
        _ => "",
    }
}

/// More than eighty ways to write `../secret.txt` and `../share2/secret.txt`.
fn escapes() -> Vec<String> {
    let mut escapes = Vec::new();
    for up in [
        "..",
        "%2e%2e",
        ".%2e",
        "%2E.",
        "%252e%252e",
        "%c0%ae%c0%ae",
        "..%00",
        "..;",
        "%uff0e%uff0e",
        "..%20",
    ] {
        for slash in ["/", "%2f", "\\", "%5c", "%252f", "%c0%af", "//", "/./", "%e0%80%af"] {
            escapes.push(format!("/{up}{slash}secret.txt"));
            escapes.push(format!("/sub/{up}{slash}{up}{slash}share2{slash}secret.txt"));
        }
    }
    escapes.extend(
        [
            "/%2fsecret.txt",
            "/sub/..",
            "/.%00/secret.txt",
            "/C:%5csecret.txt",
            "2/secret.txt",
        ]
        .map(String::from),
    );
    escapes
}

#[actix_web::test]
async fn t57_no_spelling_of_a_path_leads_out_of_the_share_with_any_method() {
    let bench = Bench::new().await;
    let before = bench.outside();
    let escapes = escapes();
    assert!(escapes.len() > 80);
    let mut refused = 0;
    for escape in &escapes {
        let path = format!("/dav/1{escape}");
        if path.parse::<actix_web::http::Uri>().is_err() {
            continue;
        }
        for method in METHODS {
            let headers = [("Destination", "/dav/1/stolen"), ("Overwrite", "T"), ("Depth", "0")];
            let answer = bench.send(method, &path, &headers, body_for(method)).await;
            assert!(!answer.body.contains("SECRET"), "{method} {path}");
            refused += usize::from(answer.status >= 400);
        }
        for method in ["COPY", "MOVE"] {
            let answer = bench
                .send(method, "/dav/1/sub/b.txt", &[("Destination", &path)], "")
                .await;
            // Some are harmless names within the share; then the next needs the file again.
            if answer.status < 300 {
                fs::write(bench.folder.path().join("share/sub/b.txt"), "below").expect("a file");
            }
        }
        assert_eq!(bench.outside(), before, "{path}");
    }
    assert!(refused > 1000, "{refused}");
    assert_ne!(bench.on_disk("share/stolen").as_deref(), Some("TOP SECRET"));
}

#[actix_web::test]
async fn t58_links_and_pipes_in_a_share_are_refused_with_every_method_and_nothing_hangs() {
    let bench = Bench::new().await;
    let share = bench.folder.path().join("share");
    symlink("/etc/passwd", share.join("file-link")).expect("a link");
    symlink(bench.folder.path().join("share2"), share.join("folder-link")).expect("a link");
    let (kind, mode) = (rustix::fs::FileType::Fifo, rustix::fs::Mode::RWXU);
    rustix::fs::mknodat(rustix::fs::CWD, share.join("pipe"), kind, mode, 0).expect("a pipe");
    let before = bench.outside();
    let listed = bench.send("PROPFIND", "/dav/1", &[("Depth", "1")], "").await;
    for trap in ["file-link", "folder-link", "pipe", "folder-link/secret.txt"] {
        assert!(!listed.body.contains(trap), "{trap}");
        for method in METHODS.into_iter().filter(|method| *method != "OPTIONS") {
            let path = format!("/dav/1/{trap}");
            let headers = [("Destination", "/dav/1/stolen"), ("Lock-Token", "<urn:x>")];
            let sent = bench.send(method, &path, &headers, body_for(method));
            let answer = tokio::time::timeout(Duration::from_secs(10), sent)
                .await
                .expect("nothing hangs");
            let refused = match method {
                "MKCOL" => matches!(answer.status, 405 | 409),
                _ => matches!(answer.status, 403 | 404 | 409),
            };
            assert!(refused, "{method} {trap}: {}", answer.status);
        }
        for method in ["COPY", "MOVE"] {
            let to = format!("/dav/1/{trap}");
            let answer = bench.send(method, "/dav/1/a.txt", &[("Destination", &to)], "").await;
            assert!(
                matches!(answer.status, 403 | 409),
                "{method} to {trap}: {}",
                answer.status
            );
        }
    }
    assert_eq!(bench.outside(), before);
    assert!(share.join("file-link").is_symlink() && share.join("folder-link").is_symlink());
    assert!(bench.on_disk("share/stolen").is_none() && bench.on_disk("share/a.txt").is_some());
}

#[actix_web::test]
async fn t59_a_destination_is_in_the_same_share_of_this_server_or_refused() {
    let bench = Bench::new().await;
    let before = bench.outside();
    for (to, status) in [
        ("http://localhost:9/dav/1/x", 201),
        ("HTTP://LOCALHOST:9/dav/1/x", 201),
        ("https://cloud.example/dav/1/x", 201),
        ("https://cloud.example:443/dav/1/x", 201),
        ("/dav/1/x", 201),
        ("/dav/1/./x", 201),
        ("/dav/1/%78", 201),
        ("https://localhost:9/dav/1/x", 502),
        ("http://cloud.example/dav/1/x", 502),
        ("http://localhost/dav/1/x", 502),
        ("http://localhost:99/dav/1/x", 502),
        ("https://cloud.example.evil.test/dav/1/x", 502),
        ("ftp://localhost:9/dav/1/x", 502),
        ("/dav/2/x", 502),
        ("/dav/12/x", 502),
        ("/dav/x", 502),
        ("http://localhost:9", 502),
        ("http://user@localhost:9/dav/1/x", 400),
        ("http://localhost:9@evil.test/dav/1/x", 400),
        ("http://localhost:9\\@evil.test/dav/1/x", 400),
        ("http:///dav/1/x", 400),
        ("http:/dav/1/x", 400),
        ("//localhost:9/dav/1/x", 400),
        ("x", 400),
        ("", 400),
        ("/dav/1/x?y", 400),
        ("/dav/1/x#y", 400),
        ("/dav/1/../2/x", 400),
        ("/dav/1/%2e%2e/x", 400),
        ("/dav/1/..%2fshare2/x", 400),
        ("http://localhost:9/dav/1/%2E%2E/secret.txt", 400),
        ("/dav/1", 403),
        ("/dav/1/", 403),
    ] {
        for method in ["COPY", "MOVE"] {
            let answer = bench.send(method, "/dav/1/a.txt", &[("Destination", to)], "").await;
            assert_eq!(answer.status, status, "{method} to {to:?}");
            if status == 201 {
                let share = bench.folder.path().join("share");
                fs::rename(share.join("x"), share.join("a.txt")).expect("it is there");
            }
            assert_eq!(
                fs::read_dir(bench.folder.path().join("share"))
                    .expect("a folder")
                    .count(),
                2,
                "{method} {to:?}"
            );
        }
    }
    assert_eq!(bench.send("COPY", "/dav/1/a.txt", &[], "").await.status, 400);
    assert_eq!(bench.outside(), before);
}

#[actix_web::test]
async fn t61_xml_that_is_a_weapon_is_refused_at_once() {
    let bench = Bench::new().await;
    let laughs = "<!DOCTYPE l [<!ENTITY a 'lol'><!ENTITY b '&a;&a;&a;&a;'>]><propfind xmlns='DAV:'>&b;</propfind>";
    let external = "<!DOCTYPE l [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><propfind xmlns='DAV:'>&a;</propfind>";
    let nested = |depth| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
    let attributes: String = (0..5_000).map(|number| format!(" a{number}=''")).collect();
    let namespaces: String = (0..2_000)
        .map(|number| format!(" xmlns:a{number}='u:{number}'"))
        .collect();
    let long_names = format!("<p:a xmlns:p='{}'>{}</p:a>", "u".repeat(30_000), "<p:b/>".repeat(4_000));
    let many = format!("<propfind xmlns='DAV:'><prop>{}</prop></propfind>", "<a/>".repeat(200));
    for (body, status) in [
        (laughs.to_owned(), 400),
        (external.to_owned(), 400),
        (
            "<!DOCTYPE propfind><propfind xmlns='DAV:'><allprop/></propfind>".to_owned(),
            400,
        ),
        (nested(10_000), 413),
        (nested(5_000), 400),
        (nested(33), 400),
        (format!("<propfind xmlns='DAV:'{attributes}/>"), 400),
        (format!("<propfind xmlns='DAV:'{namespaces}/>"), 400),
        (long_names, 400),
        (many, 400),
        ("x".repeat(65 * 1024), 413),
        (
            "<propfind xmlns='DAV:'>&undeclared;<allprop/></propfind>".to_owned(),
            400,
        ),
        ("<propfind xmlns='DAV:'>&#0;<allprop/></propfind>".to_owned(), 400),
        ("<propfind xmlns='DAV:'><allprop/>".to_owned(), 400),
        ("<propfind xmlns='DAV:'><allprop/></propfind><x/>".to_owned(), 400),
        ("<propfind xmlns='DAV:'><allprop/></x>".to_owned(), 400),
        (
            "<propfind xmlns='DAV:'><prop><q:undeclared/></prop></propfind>".to_owned(),
            400,
        ),
        ("<propfind xmlns='DAV:'><prop><a\"b/></prop></propfind>".to_owned(), 400),
        (
            "<propfind xmlns='DAV:'><allprop a='1' a='2'/></propfind>".to_owned(),
            400,
        ),
        ("not xml".to_owned(), 400),
    ] {
        for method in ["PROPFIND", "PROPPATCH", "LOCK"] {
            let begun = std::time::Instant::now();
            let answer = bench.send(method, "/dav/1/a.txt", &[("Depth", "0")], &body).await;
            let shown: String = body.chars().take(60).collect();
            assert_eq!(answer.status, status, "{method} {shown}");
            // 50 ms in the wild; a debug build on a busy machine gets more.
            assert!(begun.elapsed() < Duration::from_millis(500), "{method} {shown}");
        }
    }
    assert_eq!(bench.ledger.locks("alice", START).await.expect("locks"), []);
}

#[actix_web::test]
async fn t65_with_a_read_only_share_nothing_is_changed_by_any_method() {
    let mut bench = Bench::new().await;
    bench.mount.rights = READ;
    let share = bench.folder.path().join("share");
    for path in [
        "/dav/1",
        "/dav/1/",
        "/dav/1/a.txt",
        "/dav/1/sub",
        "/dav/1/sub/b.txt",
        "/dav/1/new",
    ] {
        for method in METHODS {
            let headers = [
                ("Destination", "/dav/1/stolen"),
                ("Depth", "0"),
                ("Lock-Token", "<urn:x>"),
            ];
            let answer = bench.send(method, path, &headers, body_for(method)).await;
            let reads = matches!(method, "GET" | "HEAD" | "OPTIONS" | "PROPFIND");
            assert_eq!(answer.status == 403, !reads, "{method} {path}: {}", answer.status);
        }
    }
    assert_eq!(fs::read_dir(&share).expect("a folder").count(), 2);
    assert_eq!(bench.on_disk("share/a.txt").as_deref(), Some("0123456789"));
    bench.mount.rights = Rights::default();
    for method in METHODS {
        let answer = bench
            .send(method, "/dav/1/a.txt", &[("Destination", "/dav/1/x")], "")
            .await;
        assert_eq!(answer.status, 403, "{method} without any right");
    }
}

#[actix_web::test]
async fn t65_who_may_only_write_reads_nothing() {
    let mut bench = Bench::new().await;
    bench.mount.rights = Rights {
        read: false,
        write: true,
    };
    assert_eq!(bench.send("PUT", "/dav/1/drop.txt", &[], "x").await.status, 201);
    for method in ["GET", "HEAD", "PROPFIND", "COPY"] {
        let answer = bench
            .send(method, "/dav/1/a.txt", &[("Destination", "/dav/1/x")], "")
            .await;
        assert_eq!(answer.status, 403, "{method}");
    }
}

#[actix_web::test]
async fn t60_locks_are_few_short_and_their_holders_own() {
    let mut bench = Bench::new().await;
    let lock = body_for("LOCK");
    let headers = [("Timeout", "Infinite, Second-4100000000"), ("Depth", "0")];
    let first = bench.send("LOCK", "/dav/1/a.txt", &headers, lock).await;
    assert_eq!(first.status, 200);
    assert!(
        first.body.contains("<d:timeout>Second-3600</d:timeout>"),
        "{}",
        first.body
    );
    let token = first.header("lock-token").to_owned();

    let other = bench.as_seen_by("share-2", "share", BOTH);
    let shown = bench
        .send_to(&other, "PROPFIND", "/dav/1/a.txt", &[("Depth", "0")], "")
        .await;
    assert!(
        shown.body.contains("activelock") && !shown.body.contains("urn:uuid"),
        "{}",
        shown.body
    );
    let shown = bench.send("PROPFIND", "/dav/1/a.txt", &[("Depth", "0")], "").await;
    assert!(
        shown.body.contains(token.trim_matches(['<', '>'])),
        "its holder sees it"
    );

    // Someone else's token opens nothing, even when it is known.
    let condition = format!("({token})");
    assert_eq!(
        bench
            .send_to(&other, "UNLOCK", "/dav/1/a.txt", &[("Lock-Token", &token)], "")
            .await
            .status,
        403
    );
    assert_eq!(
        bench
            .send_to(&other, "PUT", "/dav/1/a.txt", &[("If", &condition)], "x")
            .await
            .status,
        412
    );
    let not_locked = format!("({token}) (Not <DAV:no-lock>)");
    assert_eq!(
        bench
            .send_to(&other, "PUT", "/dav/1/a.txt", &[("If", &not_locked)], "x")
            .await
            .status,
        423
    );
    assert_eq!(
        bench
            .send_to(&other, "LOCK", "/dav/1/a.txt", &[("If", &condition)], "")
            .await
            .status,
        412
    );
    assert_eq!(bench.on_disk("share/a.txt").as_deref(), Some("0123456789"));

    for number in 1..10 {
        let path = format!("/dav/1/l{number}");
        assert_eq!(bench.send("LOCK", &path, &[], lock).await.status, 201);
    }
    assert_eq!(bench.send("LOCK", "/dav/1/l10", &[], lock).await.status, 403);
    assert_eq!(bench.on_disk("share/l10"), None, "a lock that is refused makes no file");
    assert_eq!(
        bench.send_to(&other, "LOCK", "/dav/1/l10", &[], lock).await.status,
        201,
        "others have their own ten"
    );

    bench.now = START.plus(Duration::from_secs(3600));
    assert_eq!(
        bench.ledger.locks("alice", bench.now).await.expect("locks"),
        [],
        "all are over after an hour"
    );
    assert_eq!(bench.send_to(&other, "PUT", "/dav/1/a.txt", &[], "x").await.status, 204);
}
