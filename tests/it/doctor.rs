//! Whether all is well: a fault for each check, what is said of it, and what to do; and a clock that jumps (T-83).

use std::fs;
use std::io::Cursor;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::process::Output;
use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::audit::Filter;
use ocmesh::cli::log;
use ocmesh::clock::Timestamp;
use ocmesh::config::Config;
use ocmesh::config::Listen;
use ocmesh::config::PublicUrl;
use ocmesh::config::Sender;
use ocmesh::config::SmtpUrl;
use ocmesh::config::Span;
use ocmesh::config::TlsMode;
use ocmesh::doctor;
use ocmesh::doctor::Finding;
use ocmesh::doctor::Report;
use ocmesh::doctor::State;
use ocmesh::doctor::bundle;
use ocmesh::keys::Rotation;
use ocmesh::logbook;
use ocmesh::ocm::signature;
use serde_json::Value;
use serde_json::json;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::harness::PASSWORD;
use crate::harness::Postbox;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::START;
use crate::harness::TestServer;
use crate::harness::free_port;
use crate::harness::listener;
use crate::harness::listener_again;
use crate::harness::names;
use crate::harness::post_raw;
use crate::harness::skipped;
use crate::logs::run_alone;
use crate::web::Browser;

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// The settings say where it really listens, as they do outside of tests.
fn listening(config: &mut Config) {
    let port = config.server.public_url.provider().port().unwrap();
    config.server.listen = Listen(vec![([127, 0, 0, 1], port).into()]);
}

async fn look(server: &TestServer) -> Vec<Finding> {
    Box::pin(doctor::examine(server.site(), true)).await.unwrap()
}

/// Among the findings of a check is one in this state that says and advises this.
fn expect(findings: &[Finding], check: &str, state: State, said: &str, advised: &str) {
    let fits = |finding: &&Finding| {
        let remedy = finding.remedy.as_deref().unwrap_or_default();
        finding.check == check
            && finding.state == state
            && finding.sentence.contains(said)
            && remedy.contains(advised)
            && remedy.is_empty() != finding.needs_somebody()
    };
    let of_check: Vec<_> = findings.iter().filter(|finding| finding.check == check).collect();
    assert!(
        findings.iter().any(|finding| fits(&finding)),
        "{check}: {state:?} {said:?} {advised:?} is not in {of_check:#?}"
    );
}

#[actix_web::test]
async fn a_server_without_fault_is_well_and_everything_was_looked_at() {
    let server = TestServer::start_with(listening).await;
    let found = look(&server).await;
    let needing: Vec<_> = found.iter().filter(|finding| finding.state != State::Ok).collect();
    assert!(needing.is_empty(), "{needing:#?}");
    let checks: Vec<_> = found.iter().map(|finding| finding.check).collect();
    let all = [
        "config",
        "permissions",
        "secrets",
        "disk",
        "clock",
        "store",
        "keys",
        "certificate",
        "backup",
        "queue",
        "directories",
        "peers",
        "clocks",
        "ports",
        "dns",
        "discovery",
        "published-keys",
        "mail",
    ];
    assert_eq!(checks, all);
    let quietly = Box::pin(doctor::examine(server.site(), false)).await.unwrap();
    assert_eq!(quietly.len(), 12, "without asking anybody: {quietly:#?}");
}

#[actix_web::test]
async fn faults_of_settings_and_files_are_named_with_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ocm.toml");
    fs::write(&file, "[log]\nlevel = \"info\"\n").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let token = dir.path().join("token");
    fs::write(&token, "canary\n").unwrap();
    let read = Config::load(Some(&file)).unwrap();
    let server = TestServer::start_with(|config| {
        let (here, networks) = (config.server.clone(), config.federation.private_network.clone());
        let (metrics, backup) = (config.metrics.clone(), config.backup.clone());
        *config = read;
        (config.server, config.federation.private_network) = (here, networks);
        (config.metrics, config.backup) = (metrics, backup);
        config.tls.mode = TlsMode::Proxy;
        config.server.trusted_proxies = vec!["0.0.0.0/0".parse().unwrap()];
        config.metrics.token_file = Some(token.clone());
    })
    .await;
    fs::set_permissions(&token, fs::Permissions::from_mode(0o644)).unwrap();
    fs::set_permissions(&server.data, fs::Permissions::from_mode(0o755)).unwrap();
    let found = look(&server).await;
    let check = |check, said, advised| expect(&found, check, State::Bad, said, advised);
    check("config", "can change", "chmod go-w");
    check("permissions", "Other users of this machine can get at", "chmod o-rwx");
    check("secrets", "Every user of this machine can read", "chmod 600");
    expect(
        &found,
        "config",
        State::Warn,
        "Everybody is believed",
        "server.trusted_proxies",
    );
    fs::set_permissions(&token, fs::Permissions::from_mode(0o600)).unwrap();
    fs::write(&token, "").unwrap();
    expect(
        &look(&server).await,
        "secrets",
        State::Bad,
        "is empty",
        "Write the secret",
    );
    fs::remove_file(&token).unwrap();
    let found = look(&server).await;
    expect(
        &found,
        "secrets",
        State::Bad,
        "(metrics.token_file) can’t be read",
        "let the user",
    );
    if std::os::unix::fs::chown(server.data.join("lock"), Some(65_534), None).is_err() {
        skipped("only root can give files away");
        return;
    }
    expect(
        &look(&server).await,
        "permissions",
        State::Bad,
        "lock belongs to",
        "chown -R",
    );
}

#[actix_web::test]
async fn faults_of_clock_keys_and_store_are_named_with_what_to_do() {
    let server = TestServer::start_with(listening).await;
    let key = server.site().keys.active();
    let keys = &server.site().keys;
    keys.rotate(Rotation::Planned, key.kid(), START).await.unwrap();
    server.clock.step(2 * DAY);
    server.site().tidy().await.unwrap();
    let found = look(&server).await;
    expect(
        &found,
        "clock",
        State::Warn,
        "The clock went from 2026-09-21",
        "timedatectl",
    );
    expect(
        &found,
        "keys",
        State::Warn,
        "should have taken its next step",
        "by itself",
    );
    server.clock.set(Timestamp(0));
    expect(
        &look(&server).await,
        "clock",
        State::Bad,
        "says 1970-01-01",
        "timedatectl",
    );
    server.clock.set(START);
    server.site().store.close().unwrap();
    let found = look(&server).await;
    expect(
        &found,
        "store",
        State::Bad,
        "takes no changes",
        "start the server again",
    );
    expect(&found, "queue", State::Unknown, "could not be looked at", "");
}

#[actix_web::test]
async fn faults_on_the_way_to_others_are_named_with_what_to_do() {
    let directory = Rogue::start().await;
    let server = TestServer::start_with(|config| {
        listening(config);
        let entry = format!(
            "[[federation.directory]]\nurl = \"http://{}/list\"\nverify = \"off\"\n",
            directory.provider
        );
        config.federation.directory = Config::parse(&entry, "x").unwrap().federation.directory;
    })
    .await;
    directory.reply("GET", "/list", Reply::json(500, json!({})));
    server.user("ada").await;
    server.put_file("ada", "a.txt", "a").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    server.site().directories.refresh_due(START).await.unwrap();
    let to = rogue.address("eve");
    server.share("ada", "a.txt", &to, false).await.unwrap();
    let waits = look(&server).await;
    expect(&waits, "queue", State::Ok, "on their way: 1", "");
    expect(
        &waits,
        "directories",
        State::Warn,
        "could not be fetched",
        "ask whoever runs it",
    );
    server.clock.step(HOUR);
    expect(
        &look(&server).await,
        "queue",
        State::Bad,
        "sent long ago: 1",
        "start the server again",
    );
    server.clock.set(START.minus(40 * DAY));
    expect(
        &look(&server).await,
        "queue",
        State::Warn,
        "longer than any should",
        "ocmesh queue retry",
    );
    server.clock.set(START.plus(HOUR));
    rogue.reply("POST", "/ocm/shares", Reply::json(403, json!({})));
    server.deliver().await;
    for _ in 0..2 {
        server.share("ada", "a.txt", &to, false).await.unwrap();
        server.deliver().await;
    }
    let found = look(&server).await;
    let host = rogue.provider.to_string();
    expect(&found, "queue", State::Warn, &format!("to {host}"), "ocmesh queue list");
    expect(&found, "peers", State::Warn, &host, "ocmesh peer probe");
}

#[actix_web::test]
async fn faults_of_ports_and_names_are_named_with_what_to_do() {
    let nobody = free_port();
    let server =
        TestServer::start_with(|config| config.server.listen = Listen(vec![([0, 0, 0, 0], nobody).into()])).await;
    let found = look(&server).await;
    expect(
        &found,
        "ports",
        State::Bad,
        &format!("Nobody answers at 127.0.0.1:{nobody}"),
        "firewall",
    );
    expect(
        &found,
        "ports",
        State::Warn,
        "does not listen there",
        "tls.mode = \"proxy\"",
    );

    let named = |name: &'static str| {
        move |config: &mut Config| {
            let port = config.server.public_url.provider().port().unwrap();
            config.server.public_url = PublicUrl::parse(&format!("http://{name}:{port}")).unwrap();
        }
    };
    let world = || {
        names(&[
            ("inside.example", &["10.0.0.5"]),
            ("both.example", &["203.0.114.7", "10.0.0.5"]),
        ])
    };
    let check = async |name: &'static str, state: State, said: &str, advised: &str| {
        let server = Box::pin(TestServer::start_in(world(), named(name))).await;
        let found = Box::pin(doctor::examine(server.site(), true));
        // Only what may be called is: nothing here leads to an address that this test may reach.
        expect(&found.await.unwrap(), "dns", state, said, advised);
    };
    check(
        "nowhere.example",
        State::Bad,
        "nowhere.example has no address",
        "A or AAAA record",
    )
    .await;
    check(
        "inside.example",
        State::Warn,
        "10.0.0.5, which only this network",
        "public address",
    )
    .await;
}

#[actix_web::test]
async fn what_is_answered_by_our_public_name_is_compared_with_what_it_should_be() {
    let server = TestServer::start_with(listening).await;
    let own = server.provider().clone();
    let front = Rogue::start().await;
    let behind = |front: &Rogue| {
        let url = format!("http://{}", front.provider);
        move |config: &mut Config| config.server.public_url = PublicUrl::parse(&url).unwrap()
    };
    let hidden = TestServer::start_with(behind(&front)).await;
    let found = look(&hidden).await;
    // The front says what a server of that name would, and has keys of its own.
    expect(
        &found,
        "published-keys",
        State::Bad,
        "does not have the key",
        "proxy in front",
    );
    expect(&found, "discovery", State::Warn, "is an old copy", "cache");
    let at = |path: &str, reply: Reply| front.reply("GET", path, reply);
    let mut old: Value = serde_json::from_slice(&hidden.site().keys.jwk_set()).unwrap();
    old["keys"].as_array_mut().unwrap().push(json!(front.key.jwk()));
    at("/.well-known/jwks.json", Reply::json(200, old));
    at("/.well-known/ocm", Reply::json(502, json!({})));
    let found = look(&hidden).await;
    expect(&found, "published-keys", State::Warn, "is an old copy", "five minutes");
    expect(
        &found,
        "discovery",
        State::Bad,
        "status 502",
        "does not reach this server",
    );
    at("/.well-known/jwks.json", Reply::json(421, json!({})));
    at(
        "/.well-known/ocm",
        Reply {
            status: 200,
            headers: Vec::new(),
            body: b"<h1>Welcome to nginx!</h1>".to_vec(),
        },
    );
    let found = look(&hidden).await;
    expect(&found, "published-keys", State::Bad, "status 421", "Host $host");
    expect(&found, "discovery", State::Bad, "something else", "hand all paths on");
    let mut other = front.discovery();
    other["endPoint"] = json!(format!("http://{}/elsewhere", front.provider));
    at("/.well-known/ocm", Reply::json(200, other));
    expect(
        &look(&hidden).await,
        "discovery",
        State::Bad,
        "the endpoint is",
        "Host header",
    );

    let nobody = free_port();
    let alone = TestServer::start_with(|config| {
        config.server.public_url = PublicUrl::parse(&format!("http://127.0.0.1:{nobody}")).unwrap();
    })
    .await;
    let found = look(&alone).await;
    expect(
        &found,
        "discovery",
        State::Warn,
        "can’t be reached from here",
        "NAT loopback",
    );
    let closed = TestServer::start_with(|config| config.federation.private_network.clear()).await;
    let found = look(&closed).await;
    expect(&found, "discovery", State::Unknown, "does not call", "");
    assert!(server.site().config.server.public_url.provider() == &own);
}

fn mail_at(port: u16, password: &Path) -> impl Fn(&mut Config) {
    let password = password.to_owned();
    move |config| {
        listening(config);
        config.mail.smtp_url = SmtpUrl::parse(&format!("smtp://ocm@127.0.0.1:{port}")).ok();
        config.mail.password_file = Some(password.clone());
        config.mail.from = "Lab <lab@mail.example>".parse().ok().map(Sender);
    }
}

#[actix_web::test]
async fn the_mail_server_is_greeted_and_gets_no_mail() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("smtp");
    fs::write(&password, "canary-of-smtp\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let postbox = Postbox::start();
    let server = TestServer::start_with(mail_at(postbox.port, &password)).await;
    expect(&look(&server).await, "mail", State::Ok, "lets this server in", "");
    assert!(postbox.count("EHLO") > 0 && postbox.count("AUTH") > 0);
    assert_eq!((postbox.count("MAIL"), postbox.count("DATA")), (0, 0));
    postbox.answers("AUTH", "535 wrong password");
    let found = look(&server).await;
    expect(&found, "mail", State::Bad, "No mail can be sent", "mail.password_file");
    let nobody = TestServer::start_with(mail_at(free_port(), &password)).await;
    expect(
        &look(&nobody).await,
        "mail",
        State::Bad,
        "does not answer",
        "mail.smtp_url",
    );
    let quietly = Box::pin(doctor::examine(nobody.site(), false)).await.unwrap();
    assert!(!quietly.iter().any(|finding| finding.check == "mail"));
}

#[actix_web::test]
async fn the_page_shows_the_last_look_and_asks_nobody_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let password = dir.path().join("smtp");
    fs::write(&password, "canary-of-smtp\n").unwrap();
    fs::set_permissions(&password, fs::Permissions::from_mode(0o600)).unwrap();
    let postbox = Postbox::start();
    postbox.answers("AUTH", "535 wrong password");
    let server = TestServer::start_with(mail_at(postbox.port, &password)).await;
    server.admin("root").await;
    server.user("ada").await;
    let mut root = Browser::signed_in(&server, "root").await;
    let first = root.get("/admin/diagnostics").await;
    first.expect("All well").expect("Nobody has looked at everything");
    assert_eq!(postbox.heard().len(), 0, "a page that is looked at asks nobody");
    root.post("/admin/diagnostics", &[]).await.expect_status(303);
    let heard = postbox.heard().len();
    assert!(heard > 0);
    server.clock.step(2 * HOUR);
    let page = root.get("/admin/diagnostics").await;
    page.expect("1 thing needs you")
        .expect("data-check=\"mail\"")
        .expect("No mail can be sent")
        .expect("2 hours ago")
        .expect("data-check=\"published-keys\"");
    let verdict = page.body.find("id=\"verdict\"").unwrap();
    assert!(
        verdict < page.body.find("No mail can be sent").unwrap(),
        "the verdict comes first"
    );
    assert_eq!(postbox.heard().len(), heard);
    for (name, _) in bundle::CONTENTS {
        page.expect(&format!("<code>{name}</code>"));
    }
    root.get("/admin").await.expect("All well");
    assert_eq!(postbox.heard().len(), heard, "the overview asks nobody, either");
    for finding in look(&server).await {
        let row = page.between(&format!("data-check=\"{}\"", finding.check), "</li>");
        assert!(!row.contains("<strong>Diagnostics"), "{} has no title", finding.check);
    }
    let mut ada = Browser::signed_in(&server, "ada").await;
    ada.post("/admin/diagnostics/bundle", &[]).await.expect_status(403);
}

/// The files of a zip as text.
fn unpacked(zip: &[u8]) -> Vec<(String, String)> {
    let mut zip = zip::ZipArchive::new(Cursor::new(zip)).unwrap();
    (0..zip.len())
        .map(|at| {
            let mut file = zip.by_index(at).unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            (file.name().to_owned(), text)
        })
        .collect()
}

#[test]
fn t44_the_file_for_helpers_has_facts_and_neither_secrets_nor_people() {
    run_alone("doctor::what_is_in_the_file_for_helpers");
}

#[actix_web::test]
#[ignore = "it takes the log of its whole process; another test runs it alone"]
async fn what_is_in_the_file_for_helpers() {
    log::subscriber("info", false, std::io::sink)
        .with(logbook::layer())
        .init();
    let dir = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    let password = write("smtp", "canary-of-smtp\n");
    let secret = write("hook", "canary-of-the-webhook-of-32-bytes-or-more\n");
    let token = write("token", "canary-of-metrics\n");
    let postbox = Postbox::start();
    let hooks = format!(
        "[[notify.webhook]]\nurl = \"http://127.0.0.1:9/canary-path?canary-query\"\nsecret_file = {:?}\n",
        secret.to_str().unwrap()
    );
    let with_mail = mail_at(postbox.port, &password);
    let server = TestServer::start_with(|config| {
        with_mail(config);
        config.metrics.token_file = Some(token);
        config.notify.admin_mail = vec!["ada@mail.example".to_owned()];
        config.notify.webhook = Config::parse(&hooks, "x").unwrap().notify.webhook;
    })
    .await;
    let setup = server.site().setup_link().await.unwrap();
    server.admin("ada").await;
    server.put_file("ada", "secret-plans.txt", "canary-content").await;
    let invite = server.invite("ada").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    let sent = server
        .share("ada", "secret-plans.txt", &rogue.address("eve"), false)
        .await;
    sent.unwrap();
    server.deliver().await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    ada.post("/admin/diagnostics", &[]).await.expect_status(303);
    // A name that looks like that of a server.
    server.user("ada.lovelace").await;
    let mut lovelace = Browser::signed_in(&server, "ada.lovelace").await;
    lovelace.get("/home").await.expect_status(200);
    let given = &rogue.seen_at("/ocm/shares")[0].json()["protocol"]["webdav"]["sharedSecret"];
    let given = given.as_str().unwrap().to_owned();
    let zip = Box::pin(bundle::make(server.site())).await.unwrap();
    let files = unpacked(&zip);
    let listed: Vec<_> = bundle::CONTENTS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(files.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>(), listed);
    let all: String = files.iter().map(|(_, text)| text.as_str()).collect();
    let log = &files.iter().find(|(name, _)| name == "log.txt").unwrap().1;
    for part in [
        "Answered GET /home: 200",
        "person=\"…\"",
        "route=",
        "traded an invitation",
    ] {
        assert!(log.contains(part), "no {part:?} in the log:\n{log}");
    }
    let cookie = ada.cookie().unwrap().split_once('=').unwrap().1.to_owned();
    let code = setup.split_once("code=").unwrap().1;
    for secret in [
        "canary",
        PASSWORD,
        &given,
        &cookie,
        ada.token(),
        code,
        invite["token"].as_str().unwrap(),
        "ada@",
        "eve@",
        "lab@",
        "ocm@",
        "\"ada",
        "lovelace",
        "secret-plans",
    ] {
        assert!(!all.contains(secret), "{secret} is in the file:\n{all}");
    }
    for fact in [
        env!("CARGO_PKG_VERSION"),
        "kernel: ",
        "mail.smtp_url = smtp://…@127.0.0.1",
        "published-keys",
        "audit log, entries written: ",
        "ocm_",
    ] {
        assert!(all.contains(fact), "no {fact} in\n{all}");
    }
    let seen = ada.post("/admin/diagnostics/bundle", &[]).await;
    seen.expect_status(200);
    assert!(
        seen.header("content-disposition")
            .contains("ocmesh-support-2026-09-21.zip")
    );
    let noted = server.call(Call::AuditList {
        filter: Filter::default(),
        limit: Some(1),
    });
    assert_eq!(noted.await.unwrap()[0]["did"], "support.bundle");
}

/// The command on settings of its own, with these variables.
fn command(config: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ocmesh"))
        .args(arguments)
        .env("OCM_CONFIG", config)
        .env_remove("RUST_LOG")
        .envs(variables.iter().copied())
        .current_dir(config.parent().unwrap())
        .output()
        .unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn without_a_server_the_command_looks_at_settings_files_and_ports() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ocm.toml");
    let port = free_port();
    let good = format!(
        "[server]\npublic_url = \"http://127.0.0.1:{port}\"\nlisten = \"127.0.0.1:{port}\"\ndata_dir = \"data\"\n\
         [metrics]\nlisten = \"off\"\n"
    );
    fs::write(&file, &good).unwrap();
    let check = |arguments: &[&str], variables: &[(&str, &str)], code: i32, parts: &[&str]| {
        let output = command(&file, arguments, variables);
        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        for part in parts {
            assert!(text.contains(part), "no {part:?} in {text}");
        }
    };
    check(
        &["doctor"],
        &[],
        4,
        &[
            "The server does not run; what could be looked at is well.",
            "unknown server",
            "ok      disk",
            "ok      store",
            "ok      certificate",
            "ports",
        ],
    );
    check(&["doctor", "--strict"], &[], 4, &["The server does not run"]);
    let slip = [("OCM_LISTEN", "[::]:80")];
    let warned = [
        "1 thing needs you",
        "warn    config",
        "OCM_LISTEN sets nothing",
        "OCM_SECTION_KEY",
    ];
    check(&["doctor"], &slip, 4, &warned);
    check(&["doctor", "--strict"], &slip, 1, &warned);
    assert!(!dir.path().join("data").exists(), "a look makes nothing");
    let taken = listener_again(port);
    check(
        &["doctor"],
        &[],
        1,
        &["bad     ports", "Another program listens", "server.listen"],
    );
    drop(taken);
    let numbers = listener();
    let at = numbers.local_addr().unwrap().to_string();
    let elsewhere = [("OCM_METRICS_LISTEN", at.as_str())];
    check(&["doctor"], &elsewhere, 1, &["another port in metrics.listen"]);
    drop(numbers);
    fs::create_dir(dir.path().join("data")).unwrap();
    let lock = fs::File::create(dir.path().join("data/lock")).unwrap();
    fs::write(dir.path().join("data/lock"), "4711").unwrap();
    lock.lock().unwrap();
    check(&["doctor"], &[], 1, &["bad     server", "Process 4711 has the data"]);
    drop(lock);
    // What keeps a server from starting is found before it is started.
    fs::write(dir.path().join("data/instance_id"), "4711").unwrap();
    check(
        &["doctor"],
        &[],
        1,
        &["bad     store", "its database is gone", "ocmesh restore"],
    );
    fs::create_dir(dir.path().join("data/db")).unwrap();
    fs::write(dir.path().join("data/db/db"), "x".repeat(4096)).unwrap();
    fs::write(dir.path().join("data/db/conf"), "x".repeat(64)).unwrap();
    check(&["doctor"], &[], 1, &["bad     store", "db/conf"]);
    fs::remove_dir_all(dir.path().join("data")).unwrap();
    for name in ["cert.pem", "key.pem"] {
        fs::write(dir.path().join(name), "rubbish").unwrap();
        fs::set_permissions(dir.path().join(name), fs::Permissions::from_mode(0o600)).unwrap();
    }
    let files = "[tls]\nmode = \"files\"\ncert_file = \"cert.pem\"\nkey_file = \"key.pem\"\n";
    fs::write(&file, format!("{}{files}", good.replace("http:", "https:"))).unwrap();
    check(
        &["doctor"],
        &[],
        1,
        &["bad     certificate", "No server can start", "cert.pem"],
    );
    fs::write(&file, format!("{good}[tls]\nemial = 1\n")).unwrap();
    check(
        &["doctor"],
        &[],
        78,
        &["bad     config", "ocm.toml:8", "emial", "ocmesh config check"],
    );
    let output = command(&file, &["doctor", "--json"], &[]);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["verdict"], "bad");
    assert_eq!(report["findings"][0]["check"], "config");
}

#[actix_web::test]
async fn the_command_asks_the_server_that_runs_and_takes_the_file_for_helpers() {
    let server = TestServer::start_with(listening).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ocm.toml");
    let settings = format!(
        "[server]\npublic_url = \"{}\"\nlisten = \"{}\"\ndata_dir = {:?}\nadmin_socket = {:?}\n",
        server.url(""),
        server.provider(),
        server.data.to_str().unwrap(),
        server.config.server.admin_socket.to_str().unwrap()
    );
    fs::write(&file, settings).unwrap();
    let run = async |arguments: &'static [&'static str]| {
        let file = file.clone();
        actix_web::rt::task::spawn_blocking(move || command(&file, arguments, &[]))
            .await
            .unwrap()
    };
    let output = run(&["doctor", "--strict"]).await;
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(
        text.starts_with("All well\n") && text.contains("ok      published-keys"),
        "{text}"
    );
    assert!(!text.contains("unknown"), "{text}");
    fs::set_permissions(&server.data, fs::Permissions::from_mode(0o755)).unwrap();
    let output = run(&["doctor"]).await;
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(
        server
            .site()
            .last_findings
            .get()
            .is_some_and(|last| last.verdict() == State::Bad)
    );
    let output = run(&["support-bundle", "help.zip"]).await;
    assert_eq!(output.status.code(), Some(0));
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(told.starts_with("Wrote help.zip"), "{told}");
    let again = run(&["support-bundle", "help.zip"]).await;
    let refused = String::from_utf8_lossy(&again.stderr).into_owned();
    assert!(
        again.status.code() == Some(1) && refused.contains("left as it is"),
        "{refused}"
    );
    assert_eq!(refused.lines().count(), 1, "{refused}");
    let files = unpacked(&fs::read(dir.path().join("help.zip")).unwrap());
    for (name, text) in files {
        assert!(told.contains(&name), "{told}");
        // The log of this process goes nowhere; `what_is_in_the_file_for_helpers` has one.
        assert!(name == "log.txt" || !text.trim().is_empty(), "{name} is empty");
    }
}

#[test]
fn the_verdict_is_the_worst_of_all_and_what_is_not_known_is_not_bad() {
    let report = |findings: Vec<Finding>| Report { at: START, findings };
    let mixed = vec![
        Finding::ok("a", "a"),
        Finding::unknown("b", "b"),
        Finding::warn("c", "c", "do"),
    ];
    assert_eq!(report(mixed.clone()).verdict(), State::Warn);
    assert_eq!(report(mixed.clone()).count(), 1);
    assert_eq!(report(mixed[..2].to_vec()).verdict(), State::Unknown);
    assert_eq!(report(Vec::new()).verdict(), State::Ok);
}

/// Looks at the clock as the worker does, for as long as it takes to believe it.
async fn evenly(server: &TestServer) {
    for _ in 0..7 {
        server.site().tidy().await.unwrap();
        server.clock.step(10 * MINUTE);
    }
}

async fn entries(server: &TestServer) -> usize {
    let all = Call::AuditList {
        filter: Filter::default(),
        limit: None,
    };
    server.call(all).await.unwrap().as_array().unwrap().len()
}

#[actix_web::test]
async fn t83_a_clock_that_jumps_deletes_nothing_until_it_is_believed() {
    let server = TestServer::start_with(|config| config.log.audit_keep = Span::seconds(3_600)).await;
    server.user("ada").await;
    let mut ada = Browser::signed_in(&server, "ada").await;
    server.site().tidy().await.unwrap();
    let written = entries(&server).await;
    assert!(written > 0);
    for jump in [START.plus(DAY), START.plus(400 * DAY), START.minus(DAY), Timestamp(0)] {
        server.clock.set(jump);
        assert!(!server.site().tidy().await.unwrap(), "{jump}");
        assert!(server.site().timekeeper.doubt().is_some());
        server.clock.step(MINUTE);
        server.site().tidy().await.unwrap();
        server.clock.set(START);
        assert_eq!(entries(&server).await, written, "{jump}");
        ada.get("/home").await.expect_status(200);
        assert!(server.site().tidy().await.unwrap(), "it is back where it was");
        assert!(server.site().timekeeper.doubt().is_none());
    }
    server.clock.set(START.plus(DAY));
    evenly(&server).await;
    assert_eq!(entries(&server).await, 0, "after an hour it is time to forget");
    server.clock.set(START);
    assert_ne!(ada.get("/home").await.status, 200, "the session is over for good");
}

#[actix_web::test]
async fn t83_a_start_with_another_clock_is_noticed() {
    let server = TestServer::start().await;
    assert!(server.site().timekeeper.doubt().is_none());
    server.clock.step(20 * MINUTE);
    server.site().tidy().await.unwrap();
    let back = START.minus(30 * DAY);
    server.clock.set(back);
    let server = server.restart().await;
    let doubt = server.site().timekeeper.doubt().unwrap();
    assert_eq!((doubt.before, doubt.since), (START.plus(20 * MINUTE), back));
    assert!(doubt.ends().is_some_and(|end| end > back));
    server.clock.set(START.plus(21 * MINUTE));
    assert!(server.site().tidy().await.unwrap());
    server.clock.step(30 * DAY);
    let server = server.restart().await;
    assert!(
        server.site().timekeeper.doubt().is_some(),
        "off for a month, or a wrong clock"
    );
    evenly(&server).await;
    assert!(server.site().timekeeper.doubt().is_none());
}

#[actix_web::test]
async fn t83_no_signature_is_taken_again_however_the_clock_jumps() {
    let server = TestServer::start().await;
    server.user("bob").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "bob").await;
    let signed =
        |body: &[u8], at: Timestamp| signature::sign(&rogue.key, "POST", &server.url("/ocm/shares"), body, at, true);
    let body = rogue.share_for(&server, "bob", "1").to_string().into_bytes();
    let headers = signed(&body, START);
    let again = async || {
        let answer = post_raw(&server, "/ocm/shares", "application/json", body.clone(), &headers).await;
        answer.status().as_u16()
    };
    assert_eq!(again().await, 201);
    // Ahead for so long that the mark of it is forgotten, and back again.
    server.clock.step(DAY);
    evenly(&server).await;
    server.clock.set(START.plus(MINUTE));
    assert_eq!(again().await, 401);
    server.site().tidy().await.unwrap();
    assert_eq!(again().await, 401);
    // A day back, and through the same hour once more.
    server.clock.set(START.minus(DAY));
    evenly(&server).await;
    server.clock.set(START);
    assert_eq!(again().await, 401);
    let server = &server;
    assert_eq!(server.received("bob").await.len(), 1);
    // Who signs now is heard, of course.
    server.clock.set(START.plus(2 * MINUTE));
    let other = rogue.share_for(server, "bob", "2").to_string().into_bytes();
    let fresh = signed(&other, START.plus(2 * MINUTE));
    let answer = post_raw(server, "/ocm/shares", "application/json", other, &fresh).await;
    assert_eq!(answer.status(), 201);
}
