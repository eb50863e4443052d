//! PROPFIND and PROPPATCH.

use super::*;

async fn find(bench: &Bench, path: &str, depth: &str, body: &str) -> Answer {
    bench.send("PROPFIND", path, &[("Depth", depth)], body).await
}

/// What stands between two marks.
fn between<'a>(text: &'a str, from: &str, to: &str) -> Option<&'a str> {
    text.split_once(from)?.1.split_once(to).map(|(found, _)| found)
}

#[actix_web::test]
async fn a_listing_begins_with_the_folder_and_has_what_deployed_clients_read() {
    let bench = Bench::new().await;
    // As Nextcloud asks, its odd choice of prefixes included.
    let nextcloud = "<?xml version=\"1.0\"?><d:propfind xmlns:d=\"DAV:\"><d:prop><d:getlastmodified/><d:getcontentlength/>\
        <d:getcontenttype/><x0:permissions xmlns:x0=\"http://owncloud.org/ns\"/><x1:share-permissions \
        xmlns:x1=\"http://open-collaboration-services.org/ns\"/><d:resourcetype/><d:getetag/>\
        <d:quota-available-bytes/></d:prop></d:propfind>";
    let listed = find(&bench, "/dav/1/", "1", nextcloud).await;
    assert_eq!(
        (listed.status, listed.header("content-type")),
        (207, "application/xml; charset=utf-8")
    );
    let hrefs: Vec<_> = listed
        .body
        .split("<d:href>")
        .skip(1)
        .filter_map(|rest| rest.split('<').next())
        .collect();
    assert_eq!(hrefs, ["/dav/1/", "/dav/1/a.txt", "/dav/1/sub/"]);
    let file = between(&listed.body, "<d:href>/dav/1/a.txt</d:href>", "</d:response>").expect("the file");
    let (found, missing) = file.split_once("HTTP/1.1 200 OK").expect("what is there");
    assert!(found.contains("<d:resourcetype/>") && found.contains("<d:getcontentlength>10</d:getcontentlength>"));
    assert!(found.contains("<d:getcontenttype>text/plain<"));
    assert!(found.contains("<x:permissions xmlns:x=\"http://owncloud.org/ns\">GDNVW</x:permissions>"));
    let head = bench.send("HEAD", "/dav/1/a.txt", &[], "").await;
    assert!(found.contains(&format!("<d:getlastmodified>{}<", head.header("last-modified"))));
    assert!(found.contains(&format!("<d:getetag>{}<", head.header("etag").replace('"', "&quot;"))));
    assert!(found.contains("<x:share-permissions xmlns:x=\"http://open-collaboration-services.org/ns\">11<"));
    assert!(missing.contains("<d:quota-available-bytes/>"), "{missing}");
    assert!(missing.contains("HTTP/1.1 404 Not Found"));
    let folder = between(&listed.body, "<d:href>/dav/1/sub/</d:href>", "</d:response>").expect("the folder");
    assert!(folder.contains("<d:resourcetype><d:collection/></d:resourcetype>") && folder.contains(">GDNVCK<"));
    assert!(folder.contains("<d:quota-available-bytes>"), "{folder}");
    assert!(folder.contains("<d:getcontentlength/>") && !folder.contains("<d:getcontentlength>"));
}

#[actix_web::test]
async fn permissions_fit_the_rights_in_all_three_spellings_and_the_shared_folder_itself_stays() {
    let mut bench = Bench::new().await;
    let ask = "<propfind xmlns='DAV:'><prop><o:permissions xmlns:o='http://owncloud.org/ns'/>\
        <share-permissions xmlns='http://open-collaboration-services.org/ns'/>\
        <share-permissions xmlns='http://open-cloud-mesh.org/ns'/></prop></propfind>";
    let spelled = |answer: &Answer| {
        ["owncloud.org", "open-collaboration-services.org", "open-cloud-mesh.org"].map(|of| {
            let from = format!("{of}/ns\">");
            between(&answer.body, &from, "<")
                .expect("permissions")
                .replace("&quot;", "'")
        })
    };
    let (one, two) = ("['read']", "['read','write']");
    for (rights, path, expected) in [
        (BOTH, "/dav/1", ["GCK", "7", two]),
        (BOTH, "/dav/1/sub", ["GDNVCK", "15", two]),
        (BOTH, "/dav/1/a.txt", ["GDNVW", "11", two]),
        (READ, "/dav/1", ["G", "1", one]),
        (READ, "/dav/1/sub", ["G", "1", one]),
        (READ, "/dav/1/a.txt", ["G", "1", one]),
    ] {
        bench.mount.rights = rights;
        let answer = find(&bench, path, "0", ask).await;
        assert_eq!(spelled(&answer), expected, "{rights:?} {path}");
    }
    let file = bench.as_seen_by("share-2", "share/a.txt", BOTH);
    let answer = bench.send_to(&file, "PROPFIND", "/dav/1/a.txt", &[], ask).await;
    assert_eq!(spelled(&answer), ["GW", "3", two]);
    // They are ours to say.
    bench.mount.rights = BOTH;
    let set = "<propertyupdate xmlns='DAV:'><set><prop>\
        <share-permissions xmlns='http://open-cloud-mesh.org/ns'>[]</share-permissions></prop></set></propertyupdate>";
    let answer = bench.send("PROPPATCH", "/dav/1/a.txt", &[], set).await;
    assert!(answer.body.contains("403 Forbidden"), "{}", answer.body);
}

#[actix_web::test]
async fn room_is_said_of_folders_and_only_when_it_is_asked_for() {
    let bench = Bench::new().await;
    let ask = "<propfind xmlns='DAV:'><prop><quota-available-bytes/><quota-used-bytes/></prop></propfind>";
    let answer = find(&bench, "/dav/1", "0", ask).await;
    // "0123456789" and "below"; what is beside the share is not counted.
    assert_eq!(between(&answer.body, "<d:quota-used-bytes>", "<"), Some("15"));
    let free: u64 = between(&answer.body, "<d:quota-available-bytes>", "<")
        .and_then(|bytes| bytes.parse().ok())
        .expect("a number");
    assert!(
        free < bench.mount.tree.free().await.expect("a disk"),
        "some is kept for the store"
    );
    assert!(!find(&bench, "/dav/1", "0", "").await.body.contains("quota"));
    let of_file = find(&bench, "/dav/1/a.txt", "0", ask).await.body;
    assert!(
        of_file.contains("<d:quota-used-bytes/>") && of_file.contains("404 Not Found"),
        "{of_file}"
    );
}

#[actix_web::test]
async fn what_clients_leave_out_or_write_oddly_is_understood() {
    let bench = Bench::new().await;
    // OpenCloud's client: a dot segment, and allprop in no namespace.
    let opencloud = "<d:propfind xmlns:d='DAV:'><allprop/></d:propfind>";
    let answer = find(&bench, "/dav/1/sub/.", "0", opencloud).await;
    assert_eq!((answer.status, answer.body.matches("<d:response>").count()), (207, 1));
    assert!(answer.body.contains("<d:displayname>sub</d:displayname>"));
    let answer = bench.send("PROPFIND", "/dav/1", &[], "").await;
    assert_eq!(
        (answer.status, answer.body.matches("<d:response>").count()),
        (207, 3),
        "no depth means a listing"
    );
    let answer = find(
        &bench,
        "/dav/1/a.txt",
        "0",
        "<propfind xmlns='DAV:'><propname/></propfind>",
    )
    .await;
    assert!(answer.body.contains("<d:getetag/>") && !answer.body.contains("<d:getetag>"));
    for (body, status) in [
        ("<propfind xmlns='DAV:'/>", 400),
        ("<propfind xmlns='DAV:'><allprop/><propname/></propfind>", 400),
        ("<other xmlns='DAV:'><allprop/></other>", 400),
        ("<propfind xmlns='DAV:' xmlns:x=''><allprop/></propfind>", 400),
        ("<propfind xmlns='DAV:'><prop/></propfind>", 207),
        ("\u{feff}<propfind xmlns='DAV:'><allprop/></propfind>", 207),
        (" \n", 207),
    ] {
        assert_eq!(find(&bench, "/dav/1", "0", body).await.status, status, "{body}");
    }
    assert_eq!(find(&bench, "/dav/1", "2", "").await.status, 400);
}

#[actix_web::test]
async fn t62_no_request_lists_everything_beneath() {
    let bench = Bench::new().await;
    for depth in ["infinity", "Infinity"] {
        let answer = find(&bench, "/dav/1", depth, "").await;
        assert_eq!(answer.status, 403);
        assert!(answer.body.contains("<d:propfind-finite-depth/>"), "{}", answer.body);
    }
}

#[actix_web::test]
async fn t62_of_a_huge_folder_ten_thousand_entries_are_listed_and_that_there_are_more_is_said() {
    let bench = Bench::new().await;
    let folder = bench.folder.path().join("share/sub");
    for number in 0..10_000 {
        fs::write(folder.join(format!("f{number:05}")), "").expect("a file");
    }
    let ask = "<propfind xmlns='DAV:'><prop><resourcetype/></prop></propfind>";
    let answer = find(&bench, "/dav/1/sub", "1", ask).await;
    assert_eq!(answer.body.matches("<d:propstat>").count(), 10_001);
    assert!(answer.body.contains("<d:number-of-matches-within-limits/>"));
    assert!(answer.body.ends_with("</d:multistatus>"));
    fs::remove_file(folder.join("b.txt")).expect("a file");
    let answer = find(&bench, "/dav/1/sub", "1", ask).await;
    assert_eq!(answer.body.matches("<d:propstat>").count(), 10_001);
    assert!(!answer.body.contains("507 Ins"), "exactly as many as fit are all");
}

#[actix_web::test]
async fn a_name_is_text_in_xml_and_encoded_in_a_url() {
    let bench = Bench::new().await;
    fs::write(bench.folder.path().join("share/<a&b> \u{ffff}ü.txt"), "").expect("a file");
    let listed = find(&bench, "/dav/1", "1", "").await;
    assert!(
        listed
            .body
            .contains("<d:displayname>&lt;a&amp;b&gt; ü.txt</d:displayname>"),
        "{}",
        listed.body
    );
    assert!(
        listed
            .body
            .contains("<d:href>/dav/1/%3Ca%26b%3E%20%EF%BF%BF%C3%BC.txt</d:href>"),
        "{}",
        listed.body
    );
}

fn set(properties: &str) -> String {
    format!("<d:propertyupdate xmlns:d='DAV:'><d:set><d:prop>{properties}</d:prop></d:set></d:propertyupdate>")
}

#[actix_web::test]
async fn a_property_that_a_client_made_up_is_kept_as_it_was_sent() {
    let bench = Bench::new().await;
    let sent =
        "<x:p xmlns:x='urn:x' xml:lang='de'>a &lt; b<x:c x:d='1' e='&quot;'>&#x1F980;</x:c><n/></x:p><bare>1</bare>";
    let answer = bench.send("PROPPATCH", "/dav/1/a.txt", &[], &set(sent)).await;
    assert_eq!(answer.status, 207);
    assert!(
        answer.body.contains("<x:p xmlns:x=\"urn:x\"/><bare/>") && answer.body.contains("200 OK"),
        "{}",
        answer.body
    );
    let kept = "<x:p xmlns:x=\"urn:x\" xml:lang=\"de\">a &lt; b<c xmlns=\"urn:x\" xmlns:a0=\"urn:x\" a0:d=\"1\" \
                e=\"&quot;\">\u{1f980}</c><n/></x:p>";
    let ask = "<propfind xmlns='DAV:'><prop><p xmlns='urn:x'/><bare xmlns=''/></prop></propfind>";
    for path in ["/dav/1/a.txt", "/dav/1/moved", "/dav/1/copied"] {
        let answer = find(&bench, path, "0", ask).await;
        assert!(answer.body.contains(kept), "{path} {}", answer.body);
        assert!(
            answer.body.contains("<bare>1</bare>") && !answer.body.contains("404"),
            "{path}"
        );
        let all = find(&bench, path, "0", "").await;
        assert!(all.body.contains(kept), "allprop has it too");
        match path {
            "/dav/1/a.txt" => bench.send("MOVE", path, &[("Destination", "/dav/1/moved")], "").await,
            _ => {
                bench
                    .send("COPY", "/dav/1/moved", &[("Destination", "/dav/1/copied")], "")
                    .await
            }
        };
    }
    bench.send("DELETE", "/dav/1/moved", &[], "").await;
    bench.send("PUT", "/dav/1/moved", &[], "").await;
    let answer = find(&bench, "/dav/1/moved", "0", ask).await;
    assert!(
        answer.body.contains("404 Not Found") && !answer.body.contains("200 OK"),
        "a new file has nothing of the old"
    );
}

#[actix_web::test]
async fn properties_are_set_all_or_none() {
    let bench = Bench::new().await;
    let long = format!("<x>{}</x>", "x".repeat(5 * 1024));
    let many: String = (0..65).map(|number| format!("<p{number}/>")).collect();
    for (refused, status) in [
        ("<d:getetag>x</d:getetag>", "403 Forbidden"),
        ("<d:resourcetype><d:collection/></d:resourcetype>", "403 Forbidden"),
        (
            "<o:permissions xmlns:o='http://owncloud.org/ns'>RGDNVW</o:permissions>",
            "403 Forbidden",
        ),
        ("<d:lastmodified>yesterday</d:lastmodified>", "409 Conflict"),
        (long.as_str(), "507 Insufficient Storage"),
        (many.as_str(), "507 Insufficient Storage"),
    ] {
        let answer = bench
            .send("PROPPATCH", "/dav/1/a.txt", &[], &set(&format!("<good/>{refused}")))
            .await;
        assert_eq!(answer.status, 207);
        assert!(
            answer.body.contains(status) && !answer.body.contains("200 OK"),
            "{refused} {}",
            answer.body
        );
        let not_tried = between(&answer.body, "<good/>", "</d:propstat>").expect("the good one");
        assert!(not_tried.contains("424 Failed Dependency"), "{}", answer.body);
    }
    let path = TreePath::parse("share/a.txt").expect("a good path");
    assert_eq!(bench.ledger.properties("alice", &path).await.expect("properties"), []);
    for (body, status) in [("", 400), ("<x/>", 400), ("<propertyupdate xmlns='DAV:'/>", 400)] {
        assert_eq!(
            bench.send("PROPPATCH", "/dav/1/a.txt", &[], body).await.status,
            status,
            "{body}"
        );
    }
    assert_eq!(
        bench.send("PROPPATCH", "/dav/1/none", &[], &set("<x/>")).await.status,
        404
    );
}

#[actix_web::test]
async fn nextcloud_sets_the_time_of_a_file() {
    let bench = Bench::new().await;
    for (property, date) in [
        (
            "<d:lastmodified>1000000000</d:lastmodified>",
            "Sun, 09 Sep 2001 01:46:40 GMT",
        ),
        (
            "<d:getlastmodified>Mon, 10 Sep 2001 01:46:40 GMT</d:getlastmodified>",
            "Mon, 10 Sep 2001 01:46:40 GMT",
        ),
    ] {
        let answer = bench.send("PROPPATCH", "/dav/1/a.txt", &[], &set(property)).await;
        assert!(answer.body.contains("200 OK"), "{}", answer.body);
        assert_eq!(
            bench
                .send("HEAD", "/dav/1/a.txt", &[], "")
                .await
                .header("last-modified"),
            date
        );
    }
}

#[actix_web::test]
async fn every_record_fits_into_the_store() {
    let bench = Bench::new().await;
    let path = TreePath::parse("share/a.txt").expect("a good path");
    for (value, fits) in [
        ("x".repeat(5000), true),
        ("x".repeat(5100), false),
        // As JSON these are twice as long.
        ("\n".repeat(2500), true),
        ("\n".repeat(3000), false),
        ("<c a=''/>".repeat(400), true),
        ("<c a=''/>".repeat(500), false),
    ] {
        let answer = bench
            .send("PROPPATCH", "/dav/1/a.txt", &[], &set(&format!("<p>{value}</p>")))
            .await;
        assert_eq!(answer.body.contains("200 OK"), fits, "{} {}", value.len(), answer.body);
        assert_eq!(
            answer.body.contains("507 Insufficient Storage"),
            !fits,
            "{}",
            value.len()
        );
        let kept = bench.ledger.properties("alice", &path).await.expect("properties");
        assert!(serde_json::to_vec(&kept[0]).expect("JSON").len() < 6 * 1024);
    }
    let owner = format!("<d:owner>{}</d:owner>", "\n".repeat(2000));
    let lock = format!(
        "<d:lockinfo xmlns:d='DAV:'><d:lockscope><d:exclusive/></d:lockscope><d:locktype><d:write/></d:locktype>\
         {owner}</d:lockinfo>"
    );
    let mut folder = "/dav/1".to_owned();
    for (depth, status) in [(0, 201), (1, 201), (4, 201), (8, 507)] {
        while folder.matches("/d").count() < depth + 1 {
            folder = format!("{folder}/{}", "d".repeat(200));
            bench.send("MKCOL", &folder, &[], "").await;
        }
        let answer = bench.send("LOCK", &format!("{folder}/new"), &[], &lock).await;
        assert_eq!(answer.status, status, "{depth}");
    }
}
