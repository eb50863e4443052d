//! The trust list in a browser: looked through, changed, imported and undone; the policy; a page for each server.

use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::config::Config;
use ocmesh::config::Mode;
use ocmesh::peers::import::Incoming;
use ocmesh::peers::lists::MAX_INPUT;
use ocmesh::peers::lists::MAX_RULES;
use ocmesh::peers::policy::ChosenMode;
use serde_json::Value;
use serde_json::json;

use super::browser::Browser;
use crate::harness::Pair;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::mode;

/// A rule, and a list to look through that has a line of each kind; gives the batch of the one and the page of the other.
pub async fn furnish(server: &TestServer) -> (String, String) {
    server.rule("*.b.example", true).await;
    server.rule("b.example", true).await;
    let review = begin(
        server,
        "#domain,#severity\nnew.example,suspend\nb.example,suspend\nc.example,silence\n",
    )
    .await;
    let batches = server.call(Call::PeerBatches).await.unwrap();
    let done = batches[0]["id"].as_str().unwrap().to_owned();
    (done, format!("/admin/servers/import/{review}"))
}

async fn begin(server: &TestServer, text: &str) -> String {
    let incoming = Incoming {
        text: text.to_owned(),
        name: "a.csv".to_owned(),
        format: None,
        verdict: None,
    };
    server.site().peers.begin_import(incoming, "root").await.unwrap().id
}

async fn rules(server: &TestServer) -> Vec<Value> {
    server.call(Call::PeerList).await.unwrap().as_array().unwrap().clone()
}

async fn exported(server: &TestServer) -> String {
    let call = Call::PeerExport {
        format: "json".to_owned(),
        which: "deny".to_owned(),
    };
    let text = server.call(call).await.unwrap();
    text.as_str().unwrap().to_owned()
}

async fn root_of(server: &TestServer) -> Browser {
    server.admin("root").await;
    Browser::signed_in(server, "root").await
}

/// The value of a hidden field with this name.
fn hidden(page: &super::Seen, name: &str) -> String {
    page.between(&format!("name=\"{name}\" value=\""), "\"")
}

#[actix_web::test]
async fn denying_a_server_first_says_who_is_cut_off_and_is_undone_from_the_notice() {
    let pair = Pair::acquainted().await;
    pair.a.put_file("ada", "a.txt", "a").await;
    pair.shared("a.txt", false).await;
    let mut root = root_of(&pair.a).await;
    let host = pair.b.provider().to_string();
    let fields = [
        ("host", host.as_str()),
        ("verdict", "deny"),
        ("reason", "it <spams>"),
        ("note", "asked & asked"),
        ("until", ""),
    ];
    let asked = root.post("/admin/servers/new", &fields).await;
    asked
        .expect_status(200)
        .expect("1 contact")
        .expect("1 share")
        .expect("refused (403)")
        .expect("data-ocm-action=\"deny-server\"");
    assert!(rules(&pair.a).await.is_empty(), "nothing was denied yet");
    let done = root
        .post("/admin/servers/new", &[&fields[..], &[("confirmed", "yes")]].concat())
        .await;
    let page = root.get(done.location()).await;
    page.expect("data-ocm-action=\"undo-change\"")
        .expect("it &#60;spams&#62;")
        .expect("asked &#38; asked");
    assert!(!page.has("<spams>"), "T-68");
    let refused = pair.b.share("bob", "x", &pair.a.address("ada"), false).await;
    assert!(refused.is_err());
    assert_eq!(rules(&pair.a).await.len(), 1);
    let batch = hidden(&page, "batch");
    root.post("/admin/servers/undo", &[("batch", &batch)])
        .await
        .expect_status(303);
    assert!(rules(&pair.a).await.is_empty());
    root.post("/admin/servers/undo", &[("batch", &batch)])
        .await
        .expect_status(409);
}

#[actix_web::test]
async fn a_server_is_allowed_with_all_names_under_it_and_a_wide_wildcard_is_asked_about() {
    let server = TestServer::start().await;
    let mut root = root_of(&server).await;
    let fields = |host, below| [("host", host), ("verdict", "allow"), ("below", below)];
    root.post("/admin/servers/new", &fields("uni.example", "yes"))
        .await
        .expect_status(303);
    let hosts: Vec<_> = rules(&server).await.iter().map(|rule| rule["host"].clone()).collect();
    assert_eq!(hosts, ["*.uni.example", "uni.example"]);
    root.post("/admin/servers/new", &fields("*.co.uk", ""))
        .await
        .expect_status(200)
        .expect("Anybody can have a name under this one");
    for bad in ["*.org", "org org", "*", ""] {
        root.post("/admin/servers/new", &fields(bad, ""))
            .await
            .expect_status(400)
            .expect("href=\"#host\"");
    }
    let own = server.provider().to_string();
    root.post("/admin/servers/new", &fields(&own, ""))
        .await
        .expect_status(400)
        .expect("own-server");
    let long = "x".repeat(256);
    let too_long = [("host", "c.example"), ("verdict", "allow"), ("note", &long)];
    root.post("/admin/servers/new", &too_long)
        .await
        .expect_status(400)
        .expect("href=\"#note\"");
    assert_eq!(rules(&server).await.len(), 2);
}

#[actix_web::test]
async fn the_list_has_tabs_a_search_and_pages_of_fifty() {
    let pair = Pair::acquainted().await;
    let mut root = root_of(&pair.a).await;
    for at in 0..60 {
        pair.a.rule(&format!("s{at:02}.example"), at % 2 == 0).await;
    }
    let page = root.get("/admin/servers?show=denied").await;
    page.expect("s01.example");
    assert!(!page.has("<b>s00.example"));
    let page = root.get("/admin/servers").await;
    let host = pair.b.provider().to_string();
    page.expect(&format!("<b>{host}</b>"))
        .expect("ada traded an invite")
        .expect(">61<")
        .expect("s48.example");
    assert!(!page.has("s49.example"));
    let next = page.between("class=\"more\"><a href=\"", "\"").replace("&amp;", "&");
    root.get(&format!("/admin/servers{next}"))
        .await
        .expect("s49.example")
        .expect("s59.example");
    let page = root.get("/admin/servers?q=S07").await;
    page.expect("s07.example");
    assert!(!page.has("<b>s08.example"));
    let page = root.get("/admin/servers?show=seen").await;
    page.expect(&format!("<b>{host}</b>"));
    assert!(!page.has("s01.example"));
    root.get("/admin/servers?q=nobody")
        .await
        .expect("No server here is called that");
}

#[actix_web::test]
async fn several_servers_are_denied_at_once_and_it_is_undone_at_once() {
    let server = TestServer::start().await;
    let mut root = root_of(&server).await;
    server.rule("a.example", true).await;
    server.rule("b.example", true).await;
    let before = exported(&server).await;
    let fields = [("do", "deny"), ("pick", "a.example"), ("pick", "c.example")];
    root.post("/admin/servers/bulk", &fields)
        .await
        .expect_status(200)
        .expect("Deny 2 servers?");
    assert_eq!(exported(&server).await, before);
    let confirmed = [&fields[..], &[("confirmed", "yes")]].concat();
    let done = root.post("/admin/servers/bulk", &confirmed).await;
    let page = root.get(done.location()).await;
    page.expect("2 rules changed");
    let now = rules(&server).await;
    assert_eq!((now[0]["verdict"].as_str(), now.len()), (Some("deny"), 3));
    assert_eq!(now[0]["reason"], "because of the test", "what was said of it stays");
    let batch = hidden(&page, "batch");
    root.post("/admin/servers/undo", &[("batch", &batch)])
        .await
        .expect_status(303);
    assert_eq!(exported(&server).await, before);
    root.post("/admin/servers/bulk", &[("do", "deny")])
        .await
        .expect_status(400);
    root.post("/admin/servers/bulk", &[("do", "burn"), ("pick", "a.example")])
        .await
        .expect_status(400);
}

const LIST: &str = "#domain,#severity,#public_comment\n\
                    new.example,suspend,=cmd\n\
                    mine.example,suspend,theirs\n\
                    same.example,suspend,\n\
                    loud.example,silence,\n\
                    *.co.uk,suspend,\n\
                    *.org,suspend,\n";

#[actix_web::test]
async fn an_import_is_looked_through_overwrites_nothing_unasked_and_is_undone_to_the_byte() {
    let server = TestServer::start().await;
    let mut root = root_of(&server).await;
    let rule = |host: &str, allow, note: &str| Call::PeerRule {
        host: host.to_owned(),
        allow,
        reason: "ours".to_owned(),
        note: note.to_owned(),
        until: None,
        by: "by hand".to_owned(),
    };
    server.call(rule("mine.example", true, "a friend")).await.unwrap();
    server.call(rule("same.example", false, "")).await.unwrap();
    let before = exported(&server).await;
    let token = root.token().to_owned();
    let parts = [
        ("form_token", None, token.as_str()),
        ("file", Some("C:\\lists\\bad.csv"), LIST),
        ("text", None, ""),
    ];
    let read = root.multipart("/admin/servers/import", &parts).await;
    let review = read.location().to_owned();
    let page = root.get(&review).await;
    page.expect("bad.csv")
        .expect("Mastodon CSV")
        .expect("new.example")
        .expect("Names of anybody")
        .expect("1 line is ticked");
    let check = async |root: &mut Browser, show: &str, has: &[&str]| {
        let page = root.get(&format!("{review}?show={show}")).await;
        for text in has {
            page.expect(text);
        }
    };
    check(&mut root, "conflict", &["mine.example", "theirs", "by <bdi>by hand"]).await;
    check(&mut root, "same", &["same.example"]).await;
    check(
        &mut root,
        "invalid",
        &["loud.example", "only limits", ">5<", "*.org", ">7<"],
    )
    .await;
    assert_eq!(exported(&server).await, before, "nothing counts yet");

    let picks = [
        ("show", "new"),
        ("row", "0"),
        ("tick", "0"),
        ("reason-0", "spam, they say"),
        ("row", "4"),
        ("do", "import"),
    ];
    let done = root.post(&review, &picks).await;
    assert_eq!(done.location(), review, "the batch has the place of the list");
    let page = root.get(&review).await;
    page.expect("0 allowed, 1 denied, 0 removed").expect("in force");
    let now = rules(&server).await;
    let of = |host: &str| now.iter().find(|rule| rule["host"] == host).cloned();
    assert_eq!(of("mine.example").unwrap()["verdict"], "allow");
    assert_eq!(of("new.example").unwrap()["reason"], "spam, they say");
    assert!(of("*.co.uk").is_none() && of("loud.example").is_none());
    root.post(&review, &picks).await.expect_status(404);

    // Once more, and this time what says something else is ticked.
    let again = begin(&server, LIST).await;
    let picks = [
        ("show", "conflict"),
        ("row", "1"),
        ("tick", "1"),
        ("reason-1", "now denied"),
        ("do", "import"),
    ];
    let second = format!("/admin/servers/import/{again}");
    root.post(&second, &picks).await.expect_status(303);
    let now = rules(&server).await;
    let mine = now.iter().find(|rule| rule["host"] == "mine.example").unwrap();
    assert_eq!(
        (&mine["verdict"], &mine["reason"], &mine["note"]),
        (&json!("deny"), &json!("now denied"), &json!("a friend"))
    );

    for page in [second, review] {
        let batch = page.rsplit('/').next().unwrap().to_owned();
        root.post("/admin/servers/undo", &[("batch", &batch)])
            .await
            .expect_status(303);
        root.get(&page).await.expect("Undone").expect("as before");
    }
    assert_eq!(exported(&server).await, before);
}

#[actix_web::test]
async fn what_was_changed_by_hand_since_an_import_is_kept_and_named_when_that_is_undone() {
    let server = TestServer::start().await;
    let mut root = root_of(&server).await;
    let text = "a.example\nb.example\nc.example\n";
    let read = root
        .post("/admin/servers/import", &[("text", text), ("as", "allow")])
        .await;
    let page = read.location().to_owned();
    root.post(&page, &[("do", "import")]).await.expect_status(303);
    server.rule("b.example", false).await;
    let call = Call::PeerRemove {
        host: "c.example".to_owned(),
    };
    server.call(call).await.unwrap();
    let batch = page.rsplit('/').next().unwrap().to_owned();
    let undone = server.call(Call::PeerUndo { batch: batch.clone() }).await.unwrap();
    assert_eq!(
        (&undone["restored"], &undone["kept"]),
        (&json!(1), &json!(["b.example", "c.example"]))
    );
    let shown = root.get(&page).await;
    shown
        .expect("id=\"kept\"")
        .expect("<li><code class=\"address\"><b>b.example</b>");
    let left = rules(&server).await;
    assert_eq!((left.len(), &left[0]["host"]), (1, &json!("b.example")));
}

#[actix_web::test]
async fn an_import_has_limits_and_an_end() {
    let server = TestServer::start().await;
    let mut root = root_of(&server).await;
    let token = root.token().to_owned();
    let many: String = (0..=MAX_RULES).map(|at| format!("s{at}.example\n")).collect();
    let long = "#".repeat(MAX_INPUT + 1);
    for text in [&many, &long] {
        let parts = [("form_token", None, token.as_str()), ("text", None, text)];
        let refused = root.multipart("/admin/servers/import", &parts).await;
        refused.expect_status(413).expect("too-large");
    }
    root.post("/admin/servers/import", &[("text", "  ")])
        .await
        .expect_status(400)
        .expect("href=\"#text\"");
    // T-70: the token stands before the list, and is looked at before the list is.
    let forged = [("text", None, "a.example"), ("form_token", None, token.as_str())];
    root.multipart("/admin/servers/import", &forged)
        .await
        .expect_status(403)
        .expect("form-forged");

    let page = format!("/admin/servers/import/{}", begin(&server, "a.example\n").await);
    root.get("/admin/servers/import").await.expect(&page);
    server.clock.step(Duration::from_secs(24 * 3600 - 1));
    root.sign_in("root", crate::harness::PASSWORD).await;
    root.get(&page).await.expect_status(200);
    server.clock.step(Duration::from_secs(1));
    root.get(&page).await.expect_status(404);
    root.post(&page, &[("do", "import")]).await.expect_status(404);
    server.site().peers.forget_old_imports().await.unwrap();
    assert!(rules(&server).await.is_empty());
    let first = begin(&server, "a.example\n").await;
    server.clock.step(Duration::from_secs(1));
    for _ in 0..5 {
        begin(&server, "b.example\n").await;
        server.clock.step(Duration::from_secs(1));
    }
    root.get(&format!("/admin/servers/import/{first}"))
        .await
        .expect_status(404);
    let thrown = format!("/admin/servers/import/{}/discard", begin(&server, "c.example\n").await);
    root.post(&thrown, &[]).await.expect_status(303);
    root.post(&thrown, &[]).await.expect_status(404);
}

#[actix_web::test]
async fn ten_thousand_rules_are_looked_through_imported_in_one_commit_and_undone() {
    let server = TestServer::start().await;
    let mut root = root_of(&server).await;
    server.rule("s5.example", true).await;
    let before = exported(&server).await;
    let many: String = (0..MAX_RULES)
        .map(|at| format!("s{at}.example,suspend,because of {at}\n"))
        .collect();
    let text = format!("#domain,#severity,#public_comment\n{many}");
    let began = std::time::Instant::now();
    let page = format!("/admin/servers/import/{}", begin(&server, &text).await);
    eprintln!("read in {:?}", began.elapsed());
    let began = std::time::Instant::now();
    let seen = root.get(&page).await;
    eprintln!("shown in {:?}, {} bytes", began.elapsed(), seen.body.len());
    seen.expect(">9999<").expect("9999 lines are ticked");
    assert!(seen.body.len() < 60 << 10);
    let began = std::time::Instant::now();
    root.post(&page, &[("do", "import")]).await.expect_status(303);
    eprintln!("imported in {:?}", began.elapsed());
    assert_eq!(rules(&server).await.len(), MAX_RULES);
    let seen = root.get(&page).await;
    seen.expect("Undo all 9999");
    // Whoever is killed now finds all of it, and can undo all of it.
    let server = server.restart().await;
    let batch = page.rsplit('/').next().unwrap().to_owned();
    let began = std::time::Instant::now();
    root.post("/admin/servers/undo", &[("batch", &batch)])
        .await
        .expect_status(303);
    eprintln!("undone in {:?}", began.elapsed());
    assert_eq!(exported(&server).await, before);
}

#[actix_web::test]
async fn the_list_is_exported_as_files_to_keep_without_private_notes_but_in_the_json() {
    let server = TestServer::start().await;
    let mut root = root_of(&server).await;
    let call = Call::PeerRule {
        host: "b.example".to_owned(),
        allow: false,
        reason: "=1+1".to_owned(),
        note: "private".to_owned(),
        until: None,
        by: "root".to_owned(),
    };
    server.call(call).await.unwrap();
    server.rule("good.example", true).await;
    let csv = root.get("/admin/servers/export?format=csv&which=deny").await;
    assert_eq!(
        csv.header("content-disposition"),
        "attachment; filename=\"trust-list-denied.csv\""
    );
    csv.expect("#domain,#severity,#reject_media,#reject_reports,#public_comment,#obfuscate\n")
        .expect("b.example,suspend,false,false,'=1+1,false");
    assert!(!csv.has("private") && !csv.has("good.example"));
    let text = root.get("/admin/servers/export?format=text&which=allow").await;
    assert_eq!(text.body, "good.example\n");
    let all = root.get("/admin/servers/export?format=json").await;
    all.expect("private").expect("good.example");
    assert_eq!(
        all.header("content-disposition"),
        "attachment; filename=\"trust-list-all.json\""
    );
    root.get("/admin/servers/export?format=exe").await.expect_status(400);
}

#[actix_web::test]
async fn the_mode_is_chosen_on_a_page_which_says_whom_that_cuts_off_and_counts_at_once() {
    let pair = Pair::acquainted().await;
    let mut root = root_of(&pair.a).await;
    let host = pair.b.provider().to_string();
    let seen_by_peers = async || -> Value {
        let document = http().get(pair.a.url("/.well-known/ocm")).send().await.unwrap();
        serde_json::from_str(&document.text().await.unwrap()).unwrap()
    };
    let criteria = async || seen_by_peers().await["criteria"].to_string();
    assert!(criteria().await.contains("must-invite"));
    let page = root.get("/admin/policy").await;
    page.expect("It would refuse 1 server with contacts or shares")
        .expect(&host)
        .expect("This is the default")
        .expect("must-invite")
        .expect("It takes shares only between people who have traded an invitation.");
    root.post("/admin/policy", &[("mode", "allowlist")])
        .await
        .expect_status(200)
        .expect("1 contact")
        .expect("data-ocm-action=\"change-mode\"");
    assert!(criteria().await.contains("must-invite"), "it was only asked");
    root.post("/admin/policy", &[("mode", "allowlist"), ("confirmed", "yes")])
        .await
        .expect_status(303);
    assert!(criteria().await.contains("allowlist"));
    pair.b.put_file("bob", "b.txt", "b").await;
    pair.b
        .share("bob", "b.txt", &pair.a.address("ada"), false)
        .await
        .unwrap();
    pair.b.deliver().await;
    assert!(pair.a.received("ada").await.is_empty(), "it is refused at once");
    root.get("/admin/policy").await.expect("Chosen by <bdi>root");
    root.post("/admin/policy", &[("mode", "anarchy")])
        .await
        .expect_status(400);
    // Nobody is cut off by more openness, so nothing is asked.
    root.post("/admin/policy", &[("mode", "open")]).await.expect_status(303);
    let chosen = pair
        .a
        .call(Call::PeerMode {
            mode: None,
            by: String::new(),
        })
        .await
        .unwrap();
    assert_eq!((&chosen["mode"], &chosen["set_by"]), (&json!("open"), &json!("root")));
}

#[actix_web::test]
async fn what_the_configuration_says_of_the_mode_is_shown_with_its_line_and_can_not_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ocm.toml");
    std::fs::write(&file, "[server]\nname = \"x\"\n\n[federation]\nmode = \"open\"\n").unwrap();
    let read = Config::load(Some(&file)).unwrap();
    let server = TestServer::start_with(|config| {
        let listen = (config.server.clone(), config.federation.private_network.clone());
        *config = read;
        (config.server, config.federation.private_network) = listen;
    })
    .await;
    let mut root = root_of(&server).await;
    let place = format!("{}:5", file.display());
    let page = root.get("/admin/policy").await;
    page.expect(&place).expect(" disabled");
    assert!(!page.has("data-ocm-action=\"set-mode\""));
    root.post("/admin/policy", &[("mode", "invite"), ("confirmed", "yes")])
        .await
        .expect_status(409)
        .expect(&place);
    assert_eq!(server.site().peers.mode().await.unwrap(), Mode::Open);
    // Nor does a choice count that was made before the file said anything.
    let chosen = ChosenMode {
        mode: Mode::Allowlist,
        by: "root".to_owned(),
        since: server.clock.now(),
    };
    let store = &server.site().store;
    store.run(async |txn| txn.put(&chosen).await).await.unwrap();
    assert_eq!(server.site().peers.mode().await.unwrap(), Mode::Open);
}

#[actix_web::test]
async fn the_page_of_a_server_says_what_works_together_and_what_went_to_and_fro() {
    let pair = Pair::acquainted().await;
    let mut root = root_of(&pair.a).await;
    pair.a.put_file("ada", "a.txt", "a").await;
    let (_, id) = pair.shared("a.txt", true).await;
    pair.b
        .call(Call::ShareGet {
            id,
            path: String::new(),
        })
        .await
        .unwrap();
    let host = pair.b.provider().to_string();
    let page = root.get(&format!("/admin/servers/{host}")).await;
    page.expect("an invite with a user?")
        .expect("ada traded an invite")
        .expect("Share with people there")
        .expect("From people who have traded an invitation")
        .expect("knows <bdi>BOB of the tests</bdi>")
        .expect("shares something with")
        .expect("An invitation accepted")
        .expect("A token")
        .expect("Reading")
        .expect("News about a share")
        .expect("Since the start at")
        .expect("first seen");
    assert!(!page.has("a.txt"), "what people share is no matter of admins");
    let shown = pair.a.call(Call::PeerShow { host }).await.unwrap();
    assert_eq!(shown["together"][2]["works"], "perhaps", "it says must-invite: {shown}");
    root.get("/admin/servers/nobody.example")
        .await
        .expect_status(200)
        .expect("Nothing is known of it yet")
        .expect("It was not asked yet");
}

#[actix_web::test]
async fn t20_a_server_that_comes_with_another_key_is_noticed_until_an_admin_has_compared_them() {
    let pair = Pair::acquainted().await;
    let mut root = root_of(&pair.a).await;
    let page = format!("/admin/servers/{}", pair.b.provider());
    let refresh = format!("{page}/refresh");
    root.post(&refresh, &[]).await.expect_status(303);
    let seen = root.get(&page).await;
    assert!(!seen.has("id=\"key-changed\""));
    let how = ocmesh::keys::Rotation::Stolen;
    pair.b.call(Call::KeyRotate { how }).await.unwrap();
    pair.step(Duration::from_secs(3600));
    root.post(&refresh, &[]).await.expect_status(303);
    root.get(&page)
        .await
        .expect("id=\"key-changed\"")
        .expect("now uses another key")
        .expect("Former key");
    root.post(&format!("{page}/keys"), &[]).await.expect_status(303);
    let seen = root.get(&page).await;
    assert!(!seen.has("id=\"key-changed\""));
}

#[actix_web::test]
async fn what_is_on_its_way_to_a_server_is_retried_from_its_page_which_waits_for_nobody() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    let mut root = root_of(&server).await;
    server.put_file("root", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "root").await;
    rogue.reply("POST", "/ocm/shares", Reply::json(503, json!({})));
    server
        .share("root", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    rogue.forget_seen();
    let page = format!("/admin/servers/{}", rogue.provider);
    root.get(&page)
        .await
        .expect("id=\"queue\"")
        .expect("1 try")
        .expect("Went wrong");
    assert!(rogue.seen().is_empty(), "no page asks a server");
    root.post(&format!("{page}/retry"), &[]).await.expect_status(303);
    assert_eq!(server.deliver().await, 1);
}

#[actix_web::test]
async fn what_a_page_does_with_lists_a_command_does_too() {
    let server = TestServer::start().await;
    server.rule("mine.example", true).await;
    let import = |dry_run, replace| Call::PeerImport {
        name: "bad.csv".to_owned(),
        format: None,
        verdict: None,
        replace,
        dry_run,
        by: "root".to_owned(),
    };
    let before = exported(&server).await;
    let said = server.call_with(import(true, false), LIST.as_bytes()).await.unwrap();
    assert_eq!(
        (
            &said["new"],
            &said["conflicts"],
            &said["invalid"],
            &said["would_import"],
            &said["batch"]
        ),
        (&json!(3), &json!(1), &json!(2), &json!(2), &Value::Null)
    );
    assert_eq!(exported(&server).await, before);
    let said = server.call_with(import(false, false), LIST.as_bytes()).await.unwrap();
    assert_eq!(said["imported"], 2);
    assert_eq!(rules(&server).await.len(), 3);
    let said = server.call_with(import(false, true), LIST.as_bytes()).await.unwrap();
    assert_eq!((&said["same"], &said["imported"]), (&json!(2), &json!(1)));
    for batch in server.call(Call::PeerBatches).await.unwrap().as_array().unwrap() {
        if batch["occasion"] == "import" {
            let batch = batch["id"].as_str().unwrap().to_owned();
            server.call(Call::PeerUndo { batch }).await.unwrap();
        }
    }
    assert_eq!(exported(&server).await, before);
}
