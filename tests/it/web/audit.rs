//! The audit log: everything that changes something is in it, nothing secret is, and it is text (T-75).

use std::fs;
use std::path::Path;
use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::api::records::Format;
use ocmesh::audit::By;
use ocmesh::audit::Event;
use ocmesh::audit::Filter;
use ocmesh::audit::VERBS;
use ocmesh::audit::Who;
use serde_json::Value;

use super::browser::Browser;
use super::routes;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::TestServer;

/// Forms that change nothing worth writing down, and why.
const NOT_NOTED: &[(&str, &str)] = &[
    ("account::choose_language", "a cookie in one browser"),
    ("account::choose_theme", "a cookie in one browser"),
    ("admin::import::read", "a list to be looked at changes no rule yet"),
    ("admin::import::discard", "throws away what changed no rule"),
    ("admin::diagnostics::run", "looks, and changes nothing"),
    ("accept::look", "asks a server, and changes nothing here"),
    ("accept::read", "only finds the code in what was pasted"),
    ("admin::tls::look", "knocks at our own doors, and changes nothing"),
    (
        "received::check",
        "asks a server whether a share opens, and changes nothing there or here",
    ),
    ("upload::begin", "a file is noted when it is whole"),
    ("upload::cancel", "what was not whole was never a file"),
    ("wayf::look_up", "asks a server, and changes nothing here"),
];

/// The handlers of all forms, as `src/web/mod.rs` names them: `admin::keys::rotate`.
fn handlers() -> Vec<String> {
    include_str!("../../../src/web/mod.rs")
        .lines()
        .filter_map(|line| line.split_once("post().to("))
        .map(|(_, rest)| rest.split(')').next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_form_that_changes_something_is_noted() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web");
    let handlers = handlers();
    assert!(handlers.len() >= routes("post").len());
    let mut missing = Vec::new();
    for handler in &handlers {
        let (module, function) = handler.rsplit_once("::").unwrap();
        let file = top.join(format!("{}.rs", module.replace("::", "/")));
        let text = fs::read_to_string(&file)
            .or_else(|_| fs::read_to_string(file.with_extension("").join("mod.rs")))
            .unwrap_or_else(|_| panic!("{}", file.display()));
        if NOT_NOTED.iter().any(|(known, _)| known == handler) {
            continue;
        }
        // A form of files hands on to a helper that takes the form, so the helper is looked at, too.
        let noted = |function: &str| body_of(&text, function).is_some_and(|body| body.contains(".note("));
        let body = body_of(&text, function).unwrap_or_else(|| panic!("no {handler}"));
        let helped = called_in(body).iter().any(|helper| noted(helper));
        if !noted(function) && !helped {
            missing.push(format!(
                "src/web/{}.rs: {function} changes something and does not say so. After its commit, and before it answers:\n    \
                 site.audit.note(&form.by, Event::new(\"{module}.verb\").of(&id)).await?;\n    with a verb of \
                 src/audit/verbs.rs (add one there if need be); or name {handler:?} with the reason in NOT_NOTED of \
                 tests/it/web/audit.rs",
                module.replace("::", "/"),
            ));
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
    for (known, _) in NOT_NOTED {
        assert!(handlers.iter().any(|handler| handler == known), "{known} is gone");
    }
}

/// The text of a function at the top level of a file.
fn body_of<'a>(text: &'a str, function: &str) -> Option<&'a str> {
    let start = text.find(&format!("fn {function}("))?;
    let end = text[start..].find("\n}\n").map_or(text.len(), |end| start + end);
    Some(&text[start..end])
}

/// The functions of the same file that a body calls.
fn called_in(body: &str) -> Vec<&str> {
    body.match_indices('(')
        .map(|(at, _)| {
            let before = &body[..at];
            let begins = before
                .rfind(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                .map_or(0, |at| at + 1);
            &before[begins..]
        })
        .filter(|name| !name.is_empty())
        .collect()
}

#[test]
fn every_verb_that_is_written_has_a_sentence() {
    let mut unknown = Vec::new();
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    walk(&top, &mut |text| {
        for rest in text.split("Event::new(\"").skip(1) {
            let verb = rest.split('"').next().unwrap();
            if !VERBS.iter().any(|(known, _)| *known == verb) {
                unknown.push(verb.to_owned());
            }
        }
    });
    assert!(unknown.is_empty(), "add to src/audit/verbs.rs: {unknown:?}");
}

fn walk(folder: &Path, look: &mut impl FnMut(&str)) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            walk(&path, look);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            look(&fs::read_to_string(&path).unwrap());
        }
    }
}

fn all() -> Call {
    Call::AuditList {
        filter: Filter::default(),
        limit: None,
    }
}

async fn entries(server: &TestServer) -> Vec<Value> {
    server.call(all()).await.unwrap().as_array().unwrap().clone()
}

fn verbs(entries: &[Value]) -> Vec<&str> {
    entries
        .iter()
        .rev()
        .map(|entry| entry["did"].as_str().unwrap())
        .collect()
}

#[actix_web::test]
async fn what_people_commands_and_servers_do_is_there_with_who_and_from_where() {
    let pair = Pair::strangers().await;
    pair.a.admin("root").await;
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let made = ada.post("/invites/new", &[("for", "Bob")]).await;
    let id = made.location().rsplit('/').next().unwrap().to_owned();
    let (invite, _) = pair.a.site().invites.get("ada", &id).await.unwrap();
    let string = pair.a.site().invites.string(&invite).unwrap();
    pair.b.accept_invite("bob", &string).await.unwrap();
    ada.upload("/files/", "a.txt", "canary content")
        .await
        .expect_status(303);
    let to = pair.b.address("bob");
    let shared = ada.post("/shares/new", &[("path", "a.txt"), ("contact", &to)]).await;
    shared.expect_status(303);
    pair.a.deliver().await;
    let received = pair.b.received("bob").await[0]["id"].as_str().unwrap().to_owned();
    let accept = Call::ShareAccept {
        user: None,
        id: received,
    };
    pair.b.call(accept).await.unwrap();
    pair.b.deliver().await;
    ada.post("/delete", &[("path", "a.txt")]).await.expect_status(303);
    pair.a.deliver().await;
    ada.post("/logout", &[]).await.expect_status(303);

    let here = entries(&pair.a).await;
    assert_eq!(
        verbs(&here),
        [
            "session.open",
            "invite.create",
            "invite.accepted",
            "file.store",
            "share.create",
            "share.told",
            "file.delete",
            "session.close",
        ]
    );
    let peer = pair.b.provider().to_string();
    let find = |verb: &str| here.iter().find(|entry| entry["did"] == verb).unwrap();
    let accepted = find("invite.accepted");
    assert_eq!(
        (&accepted["who"], &accepted["actor"]),
        (&(*peer).into(), &"peer".into())
    );
    assert_eq!(accepted["server"], *peer);
    assert_eq!(accepted["to"], *pair.b.address("bob"));
    let create = find("invite.create");
    assert_eq!(
        (&create["who"], &create["from"], &create["to"]),
        (&"ada".into(), &"127.0.0.1".into(), &(*id).into())
    );
    assert_eq!(find("share.create")["server"], *peer);
    assert_eq!(
        find("file.store")["file"],
        Value::Null,
        "no file names unless they are asked for"
    );

    let there = entries(&pair.b).await;
    assert_eq!(
        verbs(&there),
        ["invite.accept", "share.received", "share.accept", "share.told"]
    );
    assert_eq!(there[3]["who"], "tester via command line");
    assert_eq!(there[3]["server"], *pair.a.provider().to_string());
    assert_eq!(there[2]["actor"], "peer");
}

#[actix_web::test]
async fn t72_t74_who_was_not_let_in_is_there_and_never_what_was_typed() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let mut browser = Browser::new(&server);
    browser.sign_in("root", "canary-wrong-password").await;
    browser.sign_in("canary-typed-as-a-name", PASSWORD).await;
    browser.sign_in("root", PASSWORD).await.expect_status(303);
    let log = entries(&server).await;
    assert_eq!(verbs(&log), ["session.refused", "session.refused", "session.open"]);
    assert_eq!((&log[2]["to"], &log[2]["who"]), (&"root".into(), &"somebody".into()));
    assert_eq!(log[1]["to"], "");
    assert!(!format!("{log:?}").contains("canary"));
}

/// Whatever somebody could use, through everything that is done with it.
#[actix_web::test]
async fn t25_no_password_token_code_or_content_is_in_the_log() {
    let pair = Pair::strangers().await;
    pair.a.admin("root").await;
    let mut root = Browser::signed_in(&pair.a, "root").await;
    let setup = pair.a.site().setup_link().await;
    assert!(setup.is_err());
    let fields = [("name", "cy"), ("display_name", ""), ("mail", "")];
    let made = root.post("/admin/users", &fields).await;
    let link = made.between("id=\"sign-in-link\" value=\"", "\"");
    let code = link.split_once("code=").unwrap().1;
    let mut cy = Browser::new(&pair.a);
    let chosen = [("code", code), ("password", "canary-password-one")];
    cy.post("/welcome", &chosen).await.expect_status(303);
    cy.learn_token().await;
    let changed = [("old", "canary-password-one"), ("password", "canary-password-two")];
    cy.post("/account/password", &changed).await.expect_status(303);
    cy.learn_token().await;
    let form_token = cy.token().to_owned();
    let session = cy.cookie().unwrap().split_once('=').unwrap().1.to_owned();
    let invite = pair.a.invite("cy").await;
    pair.b
        .accept_invite("bob", invite["string"].as_str().unwrap())
        .await
        .unwrap();
    cy.upload("/files/", "canary-name.txt", "canary-content")
        .await
        .expect_status(303);
    let to = pair.b.address("bob");
    cy.post("/shares/new", &[("path", "canary-name.txt"), ("contact", &to)])
        .await
        .expect_status(303);
    pair.a.deliver().await;
    let back = pair.b.invite("bob").await;
    let (token, string) = (back["token"].as_str().unwrap(), back["string"].as_str().unwrap());
    let host = pair.b.provider().to_string();
    cy.post("/invites/accept", &[("text", string)]).await.expect_status(303);
    cy.post("/invites/accept/confirm", &[("token", token), ("provider", &host)])
        .await
        .expect_status(303);
    root.post("/admin/users/cy/disable", &[]).await.expect_status(303);

    for server in [&pair.a, &pair.b] {
        let log = format!("{:?}", entries(server).await);
        let secrets = [
            "canary",
            code,
            &form_token,
            &session,
            invite["token"].as_str().unwrap(),
            invite["string"].as_str().unwrap(),
            token,
            string,
        ];
        for secret in secrets {
            assert!(!log.contains(secret), "{secret} is in {log}");
        }
    }
    let page = root.get("/admin/audit").await;
    page.expect("Disabled an account").expect("user.disable");
    assert!(!page.has("canary") && !page.has(code));
}

#[actix_web::test]
async fn file_names_are_there_only_where_the_operator_wants_them() {
    let server = TestServer::start_with(|config| config.log.audit_file_names = true).await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    ada.upload("/files/", "a name.txt", "x").await.expect_status(303);
    assert_eq!(entries(&server).await[0]["file"], "a name.txt");
}

fn person(name: &str) -> By {
    By {
        who: Who::Person(name.to_owned()),
        from: "192.0.2.7".to_owned(),
        request: String::new(),
    }
}

#[actix_web::test]
async fn the_log_is_filtered_by_person_kind_server_and_day_and_goes_on_for_pages() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let audit = &server.site().audit;
    for number in 0..70 {
        server.clock.step(Duration::from_secs(1));
        let event = Event::new("share.create").of(number).with("a.example");
        audit.note(&person("ada"), event).await.unwrap();
    }
    server.clock.step(Duration::from_secs(86_400));
    audit
        .note(&person("bob"), Event::new("share.stop").of("x").with("b.example"))
        .await
        .unwrap();
    audit
        .note(&person("bob"), Event::new("key.rotate").of("k"))
        .await
        .unwrap();
    let mut root = Browser::signed_in(&server, "root").await;
    let count = |html: &str| html.matches("<tr>").count() - 1;

    let first = root.get("/admin/audit?who=ada").await;
    assert_eq!(count(&first.body), 50);
    assert!(!first.has("bob") && first.body.find(">69<") < first.body.find(">20<"));
    let older = first.between("href=\"/admin/audit?who=ada&#38;after=", "\"");
    let second = root.get(&format!("/admin/audit?who=ada&after={older}")).await;
    assert_eq!(count(&second.body), 20);
    second.expect(">19<").expect(">0<").expect("Newest");
    assert!(!second.has("Older"));

    let check = async |query: &str, expected: usize| {
        let mut root = Browser::signed_in(&server, "root").await;
        let seen = root.get(&format!("/admin/audit?{query}")).await;
        let rows = if seen.has("<table") { count(&seen.body) } else { 0 };
        assert_eq!(rows, expected, "{query}: {}", seen.body);
    };
    check("who=BOB", 2).await;
    check("kind=share&who=bob", 1).await;
    check("kind=share.stop", 1).await;
    check("server=b.example", 1).await;
    check("kind=key&server=b.example", 0).await;
    check("who=nobody", 0).await;
    let first_day = "2026-09-21";
    check(&format!("who=ada&until={first_day}"), 50).await;
    check(&format!("who=bob&until={first_day}"), 0).await;
    check("since=2026-09-22&kind=share", 1).await;
    root.get("/admin/audit?since=yesterday")
        .await
        .expect_status(400)
        .expect("href=\"#since\"");

    let file = root.get("/admin/audit?who=ada&format=csv").await;
    super::check_download(&file, "audit.csv");
    assert_eq!(file.body.lines().count(), 71);
    let lines = root.get("/admin/audit?kind=key&format=jsonl").await;
    let entry: Value = serde_json::from_str(lines.body.trim()).unwrap();
    assert_eq!((&entry["who"], &entry["did"]), (&"bob".into(), &"key.rotate".into()));
}

#[actix_web::test]
async fn t75_names_with_line_breaks_colours_and_html_are_text_everywhere() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let nasty = "=cmd|'/c'!A1\r\n\u{1b}[31m<img src=x onerror=alert(1)>\u{202e}";
    let event = Event::new("share.received").of(nasty).with("evil\r\n.example");
    server.site().audit.note(&person("ada"), event).await.unwrap();
    let mut root = Browser::signed_in(&server, "root").await;
    let page = root.get("/admin/audit?kind=share").await;
    page.expect("&#60;img src=x");
    let csv = root.get("/admin/audit?kind=share&format=csv").await;
    csv.expect("\"'=cmd|");
    assert_eq!(csv.body.lines().count(), 2, "{:?}", csv.body);
    let jsonl = root.get("/admin/audit?kind=share&format=jsonl").await;
    assert_eq!(jsonl.body.lines().count(), 1);
    for seen in [&page, &csv, &jsonl] {
        assert!(!seen.has("<img") || seen.header("content-type") == "application/octet-stream");
        assert!(!seen.has("\u{1b}") && !seen.has("\\u001b") && !seen.has("\u{202e}"));
    }
    let export = Call::AuditExport {
        filter: Filter::default(),
        format: Format::Csv,
    };
    let text = server.call(export).await.unwrap();
    assert!(text.as_str().unwrap().starts_with("\"at\",\"who\""));
}

#[actix_web::test]
async fn what_is_too_old_is_forgotten_and_a_restart_forgets_nothing() {
    let server = TestServer::start_with(|config| config.log.audit_keep = "2d".parse().unwrap()).await;
    let note = async |server: &TestServer, object: &str| {
        let event = Event::new("share.create").of(object);
        server.site().audit.note(&person("ada"), event).await.unwrap();
    };
    note(&server, "old").await;
    server.clock.step(Duration::from_secs(2 * 86_400));
    note(&server, "young").await;
    let server = server.restart().await;
    note(&server, "new").await;
    let objects = async |server: &TestServer| -> Vec<String> {
        let entries = entries(server).await;
        entries
            .iter()
            .map(|entry| entry["to"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(objects(&server).await, ["new", "young", "old"]);
    server.site().audit.sweep().await.unwrap();
    assert_eq!(objects(&server).await, ["new", "young"]);
}

#[actix_web::test]
async fn t74_strangers_can_not_push_out_what_stands_in_the_log() {
    let server = TestServer::start().await;
    let audit = &server.site().audit;
    let stranger = By {
        who: Who::Stranger,
        from: "192.0.2.1".to_owned(),
        request: String::new(),
    };
    for _ in 0..1_010 {
        audit.note(&stranger, Event::new("session.refused")).await.unwrap();
    }
    audit.note(&person("ada"), Event::new("session.open")).await.unwrap();
    let log = entries(&server).await;
    assert_eq!(log.len(), 1_001);
    assert_eq!(
        (&log[0]["did"], &log[1]["did"]),
        (&"session.open".into(), &"audit.skipped".into())
    );
    server.clock.step(Duration::from_secs(3_600));
    audit.note(&stranger, Event::new("session.refused")).await.unwrap();
    assert_eq!(entries(&server).await.len(), 1_002);
}

#[actix_web::test]
async fn nothing_is_told_to_be_done_that_is_not_in_the_log() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let mut root = Browser::signed_in(&server, "root").await;
    // With a store that takes no more changes neither the change nor the word of it is possible.
    server.site().store.close().unwrap();
    let answer = root.post("/invites/new", &[("for", "x")]).await;
    assert!(answer.status >= 500, "{}", answer.status);
}
