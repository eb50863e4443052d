//! All that is secret, used once, with the log at its lowest level; and then looked for wherever people look.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ocmesh::api::Call;
use ocmesh::config::Config;
use ocmesh::config::DocumentUrl;
use ocmesh::config::SmtpUrl;
use ocmesh::config::Webhook;
use ocmesh::ocm::code_flow::TokenRequest;
use ocmesh::shares::SentShare;
use ocmesh::store::Key;
use ocmesh::store::Page;
use ocmesh::store::Record;
use reqwest::Method;
use serde_json::json;

use super::Lines;
use super::run_alone;
use crate::harness::PASSWORD;
use crate::harness::Pair;
use crate::harness::Postbox;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::http;
use crate::numbers::counted;
use crate::numbers::panics::planted;
use crate::numbers::scrape;
use crate::web::browser::Browser;
use crate::web::pages::furnished;

const NEW_PASSWORD: &str = "canary-of-a-new-password";
const FIRST_PASSWORD: &str = "canary-of-the-first-admin";
const WRONG_PASSWORD: &str = "canary-of-a-wrong-password";
const LINK_PASSWORD: &str = "canary-of-a-password-by-link";
const TRUSTED_SECRET: &str = "canaryofasecretoftrustedservers1";
const SHARED_SECRET: &str = "/ocs/v2.php/cloud/shared-secret";

/// What must not be found, by what it is.
#[derive(Default)]
struct Secrets {
    /// What nobody is ever shown.
    kept: Vec<(&'static str, String)>,
    /// What somebody is shown who must have it: on their own pages, but in no log.
    handed: Vec<(&'static str, String)>,
}

impl Secrets {
    fn keep(&mut self, what: &'static str, secret: impl Into<String>) {
        self.kept.push((what, secret.into()));
    }

    fn hand(&mut self, what: &'static str, secret: impl Into<String>) {
        self.handed.push((what, secret.into()));
    }

    fn check_log(&self, log: &str) {
        for (what, secret) in self.kept.iter().chain(&self.handed) {
            assert!(secret.len() >= 8, "{what}: {secret:?} is too short to be looked for");
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "{what} {secret}: {line:?}");
        }
    }

    fn check_shown(&self, place: &str, text: &str) {
        for (what, secret) in &self.kept {
            assert!(!text.contains(secret.as_str()), "{what} in {place}: {text}");
        }
    }
}

/// A signing key, as it is kept.
#[derive(serde::Serialize, serde::Deserialize)]
struct Kept {
    pkcs8: String,
}

impl Record for Kept {
    const KIND: &'static str = "signing-key";

    fn key(&self) -> Key {
        Key::ALL
    }
}

async fn every<R: Record>(server: &TestServer) -> Vec<R> {
    let page = Page::first(100);
    let all = server
        .site()
        .store
        .read(async |txn| txn.list::<R>(Key::ALL, &page).await);
    all.await.unwrap().items
}

#[test]
fn t44_no_secret_is_found_in_logs_on_pages_in_numbers_or_in_settings() {
    run_alone("logs::story::the_whole_story");
}

#[actix_web::test]
#[ignore = "it takes the log of its whole process; another test runs it alone"]
async fn the_whole_story() {
    let lines = Lines::of_this_process("trace");
    let mut secrets = Secrets::default();
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in [
        ("smtp", "canary-of-the-mail-server"),
        ("hook", "canary-of-the-webhook"),
        ("token", "canary-of-the-numbers"),
    ] {
        std::fs::write(dir.path().join(name), format!("{content}\n")).unwrap();
        secrets.keep("a secret in a file", content);
    }
    secrets.keep(
        "the password of the mail server",
        STANDARD.encode("\0ocm\0canary-of-the-mail-server"),
    );
    let postbox = Postbox::start();
    let hook = Rogue::start().await;
    let hook_url = format!("http://{}/hook", hook.provider);
    let change = |config: &mut Config| {
        counted(config);
        config.mail.smtp_url = Some(SmtpUrl::parse(&format!("smtp://ocm@127.0.0.1:{}", postbox.port)).unwrap());
        config.mail.password_file = Some(dir.path().join("smtp"));
        config.mail.from = "Lab <ocm@lab.example>".parse().ok().map(ocmesh::config::Sender);
        config.notify.webhook = vec![Webhook {
            url: DocumentUrl::parse(&hook_url).unwrap(),
            on: Vec::new(),
            secret_file: dir.path().join("hook"),
        }];
    };
    let pair = Box::pin(Pair::with(change)).await;
    let pages = Box::pin(furnished(&pair)).await;
    Box::pin(first_admin(&pair.b, &mut secrets)).await;
    Box::pin(passwords(&pair.b, &mut secrets)).await;
    Box::pin(invites(&pair, &mut secrets)).await;
    Box::pin(shares(&pair, &mut secrets)).await;
    Box::pin(handshake(&pair.a, &mut secrets)).await;
    Box::pin(panic_with_a_secret(&pair.a, &mut secrets)).await;
    Box::pin(look_at_pages(&pair, &pages, &mut secrets)).await;
    for server in [&pair.a, &pair.b] {
        for key in every::<Kept>(server).await {
            let bytes = STANDARD.decode(&key.pkcs8).unwrap();
            secrets.keep("a private key", STANDARD.encode(&bytes[16..46]));
            secrets.keep("a private key", key.pkcs8);
        }
        let numbers = scrape(server).await.text;
        secrets.check_shown("the numbers", &numbers);
        let settings = format!("{:?} {:?}", server.config, server.site().config);
        secrets.check_shown("the settings", &settings);
    }
    Box::pin(told(&pair.a, &hook, &secrets)).await;
    Box::pin(backup(pair.b, &secrets)).await;
    let log = lines.text();
    for line in lines.all() {
        let said = line["message"].as_str().unwrap_or_default();
        let own = line["target"]
            .as_str()
            .is_some_and(|target| target.starts_with("ocmesh"));
        // What was asked for is told by its pattern.
        let is_pattern = line["route"].is_string();
        assert!(
            !own || is_pattern || !has_a_place(said),
            "nobody filled this in: {line}"
        );
    }
    assert!(lines.all().len() > 300, "the log says too little to prove anything");
    secrets.keep("a token", "eyJ0eXAiOiJhdCtqd3Q");
    secrets.keep("a credential", "Bearer ey");
    secrets.check_log(&log);
    assert!(
        !log.contains("canary"),
        "{:?}",
        log.lines().find(|line| line.contains("canary"))
    );
    assert!(
        secrets.kept.len() + secrets.handed.len() > 40,
        "the story was too short"
    );
    assert!(postbox.count("AUTH PLAIN") > 0);
}

/// Whether there is a `{place}` in a sentence.
fn has_a_place(sentence: &str) -> bool {
    sentence.split('{').skip(1).any(|rest| {
        let name = rest.split('}').next().unwrap_or_default();
        name.len() < rest.len() && !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
    })
}

/// The webhook hears what happened, and no more.
async fn told(server: &TestServer, hook: &Rogue, secrets: &Secrets) {
    hook.reply("POST", "/hook", Reply::json(200, json!({})));
    server.site().notices.run_due().await.unwrap();
    let heard = hook.seen_at("/hook");
    assert!(!heard.is_empty(), "the webhook heard nothing");
    for seen in heard {
        let text = format!("{seen:?} {}", String::from_utf8_lossy(&seen.body));
        secrets.check_shown("what the webhook hears", &text);
    }
}

/// A backup, put back. What opens things for people, and what files of secrets say, is not even in there.
async fn backup(server: TestServer, secrets: &Secrets) {
    let call = Call::BackupCreate {
        file: None,
        include_files: false,
    };
    let made = server.call(call).await.unwrap();
    let file = std::path::PathBuf::from(made["file"].as_str().unwrap());
    let mut zip = zip::ZipArchive::new(std::fs::File::open(&file).unwrap()).unwrap();
    let mut content = Vec::new();
    for at in 0..zip.len() {
        std::io::Read::read_to_end(&mut zip.by_index(at).unwrap(), &mut content).unwrap();
    }
    let content = String::from_utf8_lossy(&content).into_owned();
    let mut looked = 0;
    for (what, secret) in &secrets.kept {
        if [
            "a password",
            "a wrong password",
            "a cookie",
            "a secret in a file",
            "content",
        ]
        .contains(what)
        {
            assert!(!content.contains(secret.as_str()), "{what} {secret} is in the backup");
            looked += 1;
        }
    }
    assert!(looked > 6, "{looked}");
    let later = server.clock.now();
    let put_back = async |config: &Config| {
        let by = ocmesh::audit::By::command_line("root");
        Box::pin(ocmesh::backup::restore::restore(config, &file, None, &by, later))
            .await
            .unwrap();
    };
    let server = Box::pin(server.restart_after(put_back)).await;
    assert_eq!(http().get(server.url("/livez")).send().await.unwrap().status(), 200);
}

/// The set-up link, by which the first admin is made; and somebody else's guesses.
async fn first_admin(server: &TestServer, secrets: &mut Secrets) {
    let link = server.site().setup_link().await.unwrap();
    let code = link.split_once("code=").unwrap().1.to_owned();
    let mut browser = Browser::new(server);
    browser.get("/setup?code=canary-of-a-guess").await.expect_status(403);
    browser.get(&link).await.expect_status(200);
    let fields = [
        ("code", &*code),
        ("name", "root"),
        ("display_name", "Root"),
        ("mail", ""),
        ("password", FIRST_PASSWORD),
    ];
    assert_eq!(browser.post("/setup", &fields).await.location(), "/home");
    secrets.hand("a set-up code", code);
    secrets.keep("a password", FIRST_PASSWORD);
    secrets.keep("a cookie", value_of(&browser));
}

fn value_of(browser: &Browser) -> String {
    let cookie = browser.cookie().unwrap();
    cookie.split_once('=').map_or(cookie, |(_, value)| value).to_owned()
}

/// Signing in, also with a wrong password; a new password; a link in its place.
async fn passwords(server: &TestServer, secrets: &mut Secrets) {
    Browser::new(server).sign_in("bob", WRONG_PASSWORD).await;
    Browser::new(server)
        .sign_in("canary-typed-as-a-name", WRONG_PASSWORD)
        .await;
    secrets.keep("a password", PASSWORD);
    secrets.keep("a wrong password", WRONG_PASSWORD);
    let mut bob = Browser::signed_in(server, "bob").await;
    secrets.keep("a cookie", value_of(&bob));
    secrets.hand("a form token", bob.token());
    let fields = [("old", PASSWORD), ("password", NEW_PASSWORD)];
    bob.post("/account/password", &fields).await.expect_status(303);
    secrets.keep("a cookie", value_of(&bob));
    secrets.keep("a password", NEW_PASSWORD);
    let link = Call::UserLink { name: "bob".to_owned() };
    let link = server.call(link).await.unwrap()["link"].as_str().unwrap().to_owned();
    let code = link.split_once("code=").unwrap().1.to_owned();
    let mut bob = Browser::new(server);
    bob.get(&link).await.expect_status(200);
    let fields = [("code", &*code), ("password", LINK_PASSWORD)];
    bob.post("/welcome", &fields).await.expect_status(303);
    secrets.hand("a sign-in code", code);
    secrets.keep("a password", LINK_PASSWORD);
}

/// Invites as links, pasted, mailed and accepted; and wrong ones.
async fn invites(pair: &Pair, secrets: &mut Secrets) {
    let invite = pair.a.invite("ada").await;
    let (token, string) = (invite["token"].as_str().unwrap(), invite["string"].as_str().unwrap());
    secrets.hand("an invite", token);
    secrets.hand("an invite", string);
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let mail = format!("/invites/{}/mail", invite["id"].as_str().unwrap());
    ada.post(&mail, &[("to", "canary-of-a-recipient@x.example")]).await;
    Browser::new(&pair.a)
        .get(&format!("/wayf?token={token}"))
        .await
        .expect_status(200);
    Browser::new(&pair.a).get("/wayf?token=canary-of-a-token").await;
    let mut bob = Browser::new(&pair.b);
    bob.sign_in("bob", LINK_PASSWORD).await.expect_status(303);
    let dialog = format!("/invites/accept?token={token}&providerDomain={}", pair.a.provider());
    bob.get(&dialog).await.expect_status(200);
    bob.post("/invites/accept", &[("text", string)]).await;
    bob.post("/invites/accept", &[("text", "canary-of-rubbish@")]).await;
    let domain = pair.a.provider().to_string();
    let fields = [("token", token), ("provider", &*domain)];
    bob.post("/invites/accept/confirm", &fields).await;
    let wrong = STANDARD.encode(format!("canaryofawrongtoken@{domain}"));
    secrets.hand("an invite that nobody made", "canaryofawrongtoken");
    pair.b.accept_invite("bob", &wrong).await.unwrap_err();
}

/// Shares with secrets, tokens in exchange, and WebDAV with each, right and wrong.
async fn shares(pair: &Pair, secrets: &mut Secrets) {
    pair.a.put_file("ada", "story.txt", "canary-of-content").await;
    secrets.keep("content", "canary-of-content");
    let (provider_id, id) = pair.shared("story.txt", true).await;
    let mut bob = Browser::new(&pair.b);
    bob.sign_in("bob", LINK_PASSWORD).await.expect_status(303);
    bob.get(&format!("/shares/get/{id}")).await.expect_status(200);
    let mut tokens = Vec::new();
    for server in [&pair.a, &pair.b] {
        for share in every::<SentShare>(server).await {
            secrets.keep("a shared secret", share.secret.expose());
            if share.id == provider_id {
                let request = TokenRequest {
                    client_id: share.share_with.provider.clone(),
                    code: share.secret.clone(),
                };
                let exchanged = server
                    .site()
                    .shares
                    .exchange(&request.client_id, &request, server.clock.now())
                    .await;
                tokens.push((share.secret.expose().to_owned(), exchanged.unwrap().access_token));
            }
        }
    }
    let [(secret, token)] = &tokens[..] else { panic!() };
    secrets.keep("a token", token.expose());
    let propfind = Method::from_bytes(b"PROPFIND").unwrap();
    let credentials = [
        format!("Bearer {}", token.expose()),
        // Between servers that exchange it for tokens it opens nothing itself, and is as secret as ever.
        format!("Bearer {secret}"),
        format!("Basic {}", STANDARD.encode(format!("{secret}:"))),
        "Bearer canary-of-a-wrong-secret".to_owned(),
        format!("Basic {}", STANDARD.encode("canary-of-a-wrong-secret:x")),
    ];
    for credential in credentials {
        for path in ["/dav/ocm/", "/public.php/webdav/"] {
            let request = http()
                .request(propfind.clone(), pair.a.url(path))
                .header("authorization", &credential);
            let status = request.send().await.unwrap().status();
            assert_eq!(status == 207, credential.ends_with(token.expose()), "{path}: {status}");
        }
        secrets.keep("a credential", credential.split_once(' ').unwrap().1);
    }
    let rest = format!("{}/{secret}?token={secret}", pair.a.url("/dav/ocm"));
    http().get(rest).send().await.unwrap();
    let old = format!("token={secret}&password=canary-of-a-share-password");
    let asked = http()
        .post(
            pair.a
                .url(&format!("/index.php/apps/files_sharing/shareinfo?t={secret}")),
        )
        .header("content-type", "application/x-www-form-urlencoded")
        .body(old);
    asked.send().await.unwrap();
    let unsigned = json!({ "code": secret, "grant_type": "authorization_code" }).to_string();
    http()
        .post(pair.a.url("/ocm/token"))
        .body(unsigned)
        .send()
        .await
        .unwrap();
    pair.step(Duration::from_secs(1));
}

/// The secret of those who know such a thing, had and given; and one that nobody has.
async fn handshake(server: &TestServer, secrets: &mut Secrets) {
    let rogue = Rogue::start().await;
    server.rule(&rogue.provider.to_string(), true).await;
    let ocs = |data: serde_json::Value| {
        let meta = json!({ "status": "ok", "statuscode": 200, "message": "OK" });
        Reply::json(200, json!({ "ocs": { "meta": meta, "data": data } }))
    };
    let endpoints = json!({ "share": "/ocs/v2.php/cloud/shares", "shared-secret": SHARED_SECRET });
    let services = json!({ "services": { "FEDERATED_SHARING": { "version": 1, "endpoints": endpoints } } });
    rogue.reply("GET", "/ocs-provider/", Reply::json(200, services));
    rogue.reply("POST", SHARED_SECRET, ocs(json!([])));
    rogue.reply("GET", SHARED_SECRET, ocs(json!({ "sharedSecret": TRUSTED_SECRET })));
    let host = rogue.provider.to_string();
    server.call(Call::PeerHandshake { host: host.clone() }).await.unwrap();
    server.site().handshakes.advance(server.clock.now()).await.unwrap();
    secrets.keep("a secret of trusted servers", TRUSTED_SECRET);
    for seen in rogue.seen_at(SHARED_SECRET) {
        let text = format!("{}&{}", String::from_utf8_lossy(&seen.body), seen.query);
        let fields = url::form_urlencoded::parse(text.as_bytes()).into_owned();
        for (_, token) in fields.filter(|(name, _)| name == "token") {
            secrets.keep("a token of trusted servers", token);
        }
    }
    let left = format!("url=http://{host}&token=zzzzzzcanary1234");
    http()
        .post(server.url(SHARED_SECRET))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(left)
        .send()
        .await
        .unwrap();
    secrets.keep("a token that was left here", "zzzzzzcanary1234");
    let brought = format!(
        "{}?url=http://{host}&token=canary-of-a-token",
        server.url(SHARED_SECRET)
    );
    http().get(brought).send().await.unwrap();
    server.site().handshakes.advance(server.clock.now()).await.unwrap();
}

async fn panic_with_a_secret(server: &TestServer, secrets: &mut Secrets) {
    let (planted, handle) = planted(server.site());
    for path in ["/planted", "/planted/page"] {
        assert_eq!(
            http().get(format!("{planted}{path}")).send().await.unwrap().status(),
            500
        );
    }
    secrets.keep("what a panic said", "canary-of-a-panic");
    handle.stop(false).await;
}

/// Every page there is, as those see it who may.
async fn look_at_pages(pair: &Pair, pages: &[(&'static str, String)], secrets: &mut Secrets) {
    let mut ada = Browser::signed_in(&pair.a, "ada").await;
    let mut root = Browser::signed_in(&pair.a, "root").await;
    let mut nobody = Browser::new(&pair.a);
    secrets.keep("a cookie", value_of(&ada));
    secrets.keep("a cookie", value_of(&root));
    secrets.hand("a form token", root.token());
    for (_, path) in pages {
        for who in [&mut ada, &mut root, &mut nobody] {
            let seen = who.get(path).await;
            secrets.check_shown(path, &format!("{} {}", seen.header("location"), seen.body));
        }
    }
    let mut theirs = Browser::new(&pair.b);
    theirs.sign_in("root", FIRST_PASSWORD).await.expect_status(303);
    let mut bob = Browser::new(&pair.b);
    bob.sign_in("bob", LINK_PASSWORD).await.expect_status(303);
    secrets.keep("a cookie", value_of(&bob));
    for path in [
        "/home",
        "/contacts",
        "/invites",
        "/shares/sent",
        "/shares/received",
        "/requests",
        "/account",
    ] {
        secrets.check_shown(path, &bob.get(path).await.body);
    }
    for path in [
        "/admin",
        "/admin/users",
        "/admin/audit",
        "/admin/queue",
        "/admin/settings",
        "/admin/keys",
    ] {
        secrets.check_shown(path, &theirs.get(path).await.expect_status(200).body);
    }
}
