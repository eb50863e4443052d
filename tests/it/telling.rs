//! Notices: what admins and people are told, by which way, how often, and what never stands in it (T-01, T-03, T-08, T-44,
//! T-70).

use std::time::Duration;

use aws_lc_rs::hmac;
use ocmesh::api::Call;
use ocmesh::api::people::UserChange;
use ocmesh::config::AdminTopic;
use ocmesh::config::Config;
use ocmesh::config::DocumentUrl;
use ocmesh::config::Mode;
use ocmesh::config::PrivateNetwork;
use ocmesh::config::Sender;
use ocmesh::config::SmtpUrl;
use ocmesh::config::Span;
use ocmesh::config::UserTopic;
use ocmesh::config::Webhook;
use ocmesh::error::Reason;
use ocmesh::keys::Rotation;
use ocmesh::lang::Lang;
use ocmesh::notify::GATHERED_FOR;
use ocmesh::notify::Notice;
use ocmesh::notify::ONE_BY_ONE;
use ocmesh::site::Site;
use ocmesh::site::World;
use serde_json::Value;
use serde_json::json;

use crate::harness::Manner;
use crate::harness::Pair;
use crate::harness::Postbox;
use crate::harness::Recorded;
use crate::harness::Reply;
use crate::harness::Rogue;
use crate::harness::START;
use crate::harness::TestServer;
use crate::harness::names;
use crate::web::Browser;

const ROOT: &str = "root@lab.example";
const SECRET: &str = "canary of the webhook";
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(86_400);

/// A mail as its reader sees it.
#[derive(Debug)]
struct Seen {
    to: String,
    head: String,
    body: String,
}

/// The mails that a mail server got, in the order of time.
fn mails(postbox: &Postbox) -> Vec<Seen> {
    let heard = postbox.heard();
    let mut mails = Vec::new();
    let mut lines = heard.iter();
    let mut to = String::new();
    while let Some(line) = lines.next() {
        if let Some(rest) = line.strip_prefix("RCPT TO:<") {
            to = rest.split('>').next().unwrap().to_owned();
        }
        if line != "DATA" {
            continue;
        }
        let whole: Vec<_> = lines.by_ref().take_while(|line| *line != ".").cloned().collect();
        let whole = whole.join("\n");
        let (head, body) = whole.split_once("\n\n").unwrap();
        mails.push(Seen {
            to: std::mem::take(&mut to),
            head: head.to_owned(),
            body: readable(head, body),
        });
    }
    mails
}

fn readable(head: &str, body: &str) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    if head.contains("base64") {
        let bytes = STANDARD.decode(body.replace('\n', "")).unwrap();
        return String::from_utf8(bytes).unwrap().replace('\r', "");
    }
    if !head.contains("quoted-printable") {
        return body.to_owned();
    }
    let mut bytes = Vec::new();
    let joined = body.replace("=\n", "");
    let mut rest = joined.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        if *first == b'=' {
            let code = std::str::from_utf8(&after[..2]).unwrap();
            bytes.push(u8::from_str_radix(code, 16).unwrap());
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).unwrap()
}

/// Settings for a server with this mail server, which tells its admin everything.
fn mailing(postbox: &Postbox) -> impl Fn(&mut Config) + use<> {
    let url = format!("smtp://127.0.0.1:{}", postbox.port);
    move |config| {
        config.mail.smtp_url = Some(SmtpUrl::parse(&url).unwrap());
        config.mail.from = "Lab <ocm@lab.example>".parse().ok().map(Sender);
        config.notify.admin_mail = vec![ROOT.to_owned()];
    }
}

/// The same for a webhook at this address.
fn hooked(url: &str) -> impl Fn(&mut Config) + use<> {
    let url = DocumentUrl::parse(url).unwrap();
    move |config| {
        let file = config.server.data_dir.with_file_name("hook-secret");
        std::fs::write(&file, format!("{SECRET}\n")).unwrap();
        config.notify.webhook = vec![Webhook {
            url: url.clone(),
            on: Vec::new(),
            secret_file: file,
        }];
    }
}

fn hook_at(rogue: &Rogue) -> String {
    format!("http://{}/hook", rogue.provider)
}

async fn run(server: &TestServer) -> usize {
    Box::pin(server.site().notices.run_due()).await.unwrap()
}

fn notice(about: &str) -> Notice {
    Notice {
        topic: AdminTopic::Backup,
        about: about.to_owned(),
        sentence: "The backup in {place} failed.",
        values: vec![("place", about.to_owned())],
    }
}

async fn tell(server: &TestServer, about: &str) {
    server.site().notices.admins(notice(about)).await.unwrap();
}

async fn waiting(server: &TestServer) -> Vec<Value> {
    let listed = server.call(Call::NoticeList).await.unwrap();
    listed["waiting"].as_array().unwrap().clone()
}

fn to<'a>(all: &'a [Seen], address: &str) -> Vec<&'a Seen> {
    all.iter().filter(|mail| mail.to == address).collect()
}

#[actix_web::test]
async fn t44_what_happens_between_two_servers_is_told_to_whom_it_concerns_without_its_secrets() {
    let (at_a, at_b) = (Postbox::start(), Postbox::start());
    let a = Box::pin(TestServer::start_with(mailing(&at_a))).await;
    let b = Box::pin(TestServer::start_with(mailing(&at_b))).await;
    a.user("ada").await;
    b.user("bob").await;
    let pair = Pair { a, b };
    let invite = pair.a.invite("ada").await;
    let string = invite["string"].as_str().unwrap();
    pair.b.accept_invite("bob", string).await.unwrap();
    pair.a
        .put_file("ada", "plans/secret plan.txt", "canary of the content")
        .await;
    pair.shared("plans", false).await;
    assert!(at_a.heard().is_empty(), "nobody waits for a mail server");
    assert_eq!((run(&pair.a).await, run(&pair.b).await), (2, 2));
    assert_eq!((run(&pair.a).await, run(&pair.b).await), (0, 0), "once");

    let (told_a, told_b) = (mails(&at_a), mails(&at_b));
    let (host_a, host_b) = (pair.a.provider().to_string(), pair.b.provider().to_string());
    let ada = to(&told_a, "ada@mail.example");
    assert_eq!(ada.len(), 1);
    let accepted = format!("BOB of the tests (bob@{host_b}) accepted your invitation");
    assert!(ada[0].body.contains(&accepted), "{}", ada[0].body);
    assert!(ada[0].body.contains(&pair.a.url("/contacts")) && ada[0].body.contains("/account#notices"));
    let bob = to(&told_b, "bob@mail.example");
    assert_eq!(bob.len(), 1);
    let shares = format!("ADA of the tests (ada@{host_a}) shares “plans” with you.");
    assert!(bob[0].body.contains(&shares), "{}", bob[0].body);
    assert!(bob[0].body.contains(&pair.b.url("/shares/received/")));
    for (told, user, server) in [(&told_a, "ada", &host_b), (&told_b, "bob", &host_a)] {
        let root = to(told, ROOT);
        assert_eq!(root.len(), 1);
        let new = format!("{user} has traded an invitation with somebody at {server}");
        assert!(root[0].body.contains(&new), "{}", root[0].body);
        assert!(root[0].body.contains(&format!("/admin/servers/{server}")));
    }
    for mail in told_a.iter().chain(&told_b) {
        assert!(mail.head.contains("Auto-Submitted: auto-generated"), "{}", mail.head);
        assert!(
            mail.head.contains("Date: Mon, 21 Sep 2026 14:13:20 +0000"),
            "{}",
            mail.head
        );
        assert!(mail.head.contains("text/plain"), "{}", mail.head);
        let all = format!("{}\n{}", mail.head, mail.body);
        for secret in [invite["token"].as_str().unwrap(), "canary", "secret plan", string] {
            assert!(!all.contains(secret), "{secret} in {all}");
        }
    }
}

#[actix_web::test]
async fn nothing_is_lost_while_the_mail_server_is_down_or_this_one_stops() {
    let postbox = Postbox::start();
    let server = Box::pin(TestServer::start_with(mailing(&postbox))).await;
    postbox.answers("MAIL", "451 too busy");
    tell(&server, "one").await;
    assert_eq!(run(&server).await, 1);
    assert!(mails(&postbox).is_empty());
    let row = &waiting(&server).await[0];
    assert_eq!((&row["state"], &row["tries"]), (&json!("waiting"), &json!(1)));
    assert_eq!(row["last_error"]["code"], "mail-failed");
    postbox.answers("MAIL", "250 ok");
    server.clock.step(Duration::from_secs(59));
    assert_eq!(run(&server).await, 0, "it is left alone for a while");
    let server = Box::pin(server.restart()).await;
    server.clock.step(Duration::from_secs(1));
    assert_eq!(run(&server).await, 1);
    let told = mails(&postbox);
    assert_eq!(told.len(), 1);
    assert!(told[0].body.contains("The backup in one failed."), "{}", told[0].body);
    assert!(waiting(&server).await.is_empty());
    let server = Box::pin(server.restart()).await;
    assert_eq!(run(&server).await, 0, "what was told is not told again");
}

#[actix_web::test]
async fn what_can_not_be_sent_for_days_is_given_up_shown_and_can_be_tried_again() {
    let postbox = Postbox::start();
    let server = Box::pin(TestServer::start_with(mailing(&postbox))).await;
    server.admin("ada").await;
    postbox.answers("RCPT", "550 nobody <b>here</b>");
    tell(&server, "one").await;
    let mut tries = 0;
    for _ in 0..20 {
        tries += run(&server).await;
        server.clock.step(DAY);
    }
    assert_eq!(tries, 9);
    assert_eq!(waiting(&server).await[0]["state"], "given-up");
    let mut ada = Browser::signed_in(&server, "ada").await;
    let page = ada.get("/admin/notices").await;
    page.expect("Given up").expect("nobody &#60;b&#62;here");
    postbox.answers("RCPT", "250 ok");
    ada.post("/admin/notices/retry", &[]).await.expect_status(303);
    assert_eq!(run(&server).await, 1);
    assert_eq!(mails(&postbox).len(), 1);
    ada.get("/admin/notices").await.expect("Nothing is waiting.");
    postbox.answers("RCPT", "550 nobody here");
    tell(&server, "two").await;
    for _ in 0..20 {
        run(&server).await;
        server.clock.step(DAY);
    }
    assert_eq!(waiting(&server).await.len(), 1);
    server.clock.step(DAY * 31);
    run(&server).await;
    assert!(waiting(&server).await.is_empty(), "it is not shown for ever");
}

#[actix_web::test]
async fn one_place_that_takes_nothing_holds_up_no_other() {
    let postbox = Postbox::start();
    let rogue = Rogue::start().await;
    let (by_mail, by_hook) = (mailing(&postbox), hooked(&hook_at(&rogue)));
    let server = Box::pin(TestServer::start_with(|config| {
        by_mail(config);
        by_hook(config);
    }))
    .await;
    postbox.answers("MAIL", "451 too busy");
    for about in ["one", "two", "three", "four", "five"] {
        tell(&server, about).await;
    }
    // Three in a row are enough to see that a mail server is not well.
    assert_eq!(run(&server).await, 3 + 5);
    assert_eq!(rogue.seen_at("/hook").len(), 5);
    let waiting = waiting(&server).await;
    assert_eq!(waiting.len(), 5);
    assert_eq!(waiting.iter().filter(|row| row["tries"] == 0).count(), 2);
}

#[actix_web::test]
async fn the_same_is_told_once_a_day_and_a_flood_is_summed_up() {
    let postbox = Postbox::start();
    let server = Box::pin(TestServer::start_with(mailing(&postbox))).await;
    for _ in 0..5 {
        tell(&server, "one").await;
    }
    run(&server).await;
    assert_eq!(mails(&postbox).len(), 1);
    server.clock.step(DAY);
    tell(&server, "one").await;
    run(&server).await;
    assert_eq!(mails(&postbox).len(), 2);
    for number in 0..ONE_BY_ONE + 11 {
        tell(&server, &format!("n{number}")).await;
    }
    run(&server).await;
    let before = usize::try_from(ONE_BY_ONE).unwrap() + 1;
    assert_eq!(mails(&postbox).len(), before);
    server.clock.step(GATHERED_FOR);
    run(&server).await;
    let told = mails(&postbox);
    assert_eq!(told.len(), before + 1);
    let last = &told[before].body;
    assert!(last.starts_with("12 more notices of this kind"), "{last}");
    server.clock.step(GATHERED_FOR);
    assert_eq!(run(&server).await, 0);
    assert!(waiting(&server).await.is_empty());
}

#[actix_web::test]
async fn t37_a_stranger_who_shares_a_lot_can_not_flood_somebodys_mailbox() {
    let postbox = Postbox::start();
    let settings = mailing(&postbox);
    let server = Box::pin(TestServer::start_with(|config| {
        settings(config);
        config.federation.mode = Mode::Open;
    }))
    .await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    for number in 0..30 {
        let share = rogue.share_for(&server, "ada", &format!("{number}"));
        assert_eq!(rogue.post(&server, "/ocm/shares", &share).await.status(), 201);
        run(&server).await;
    }
    for _ in 0..24 {
        server.clock.step(HOUR);
        run(&server).await;
    }
    let told = mails(&postbox);
    assert_eq!(told.len(), 11);
    assert!(told[10].body.contains("20 more notices"), "{}", told[10].body);
    assert!(
        told[10].body.contains(&server.url("/shares/received\n")),
        "{}",
        told[10].body
    );
}

#[actix_web::test]
async fn t70_a_hostile_name_forges_neither_lines_nor_headers_nor_advertisements() {
    let postbox = Postbox::start();
    let settings = mailing(&postbox);
    let server = Box::pin(TestServer::start_with(|config| {
        settings(config);
        config.federation.mode = Mode::Open;
    }))
    .await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    for (number, evil) in [
        "x\r\nBcc: eve@evil.example\r\n\r\nbuy",
        "x\nRCPT TO:<eve@evil.example>",
        "x\u{2028}.\u{2028}",
        "https://evil.example/buy",
        "\u{202e}gpj.exe",
        "{address} {what}",
        &"long".repeat(50),
    ]
    .iter()
    .enumerate()
    {
        let mut share = rogue.share_for(&server, "ada", &format!("{number}"));
        share["senderDisplayName"] = json!(evil);
        // What can't be a name is refused; what can reaches the mail.
        share["name"] = json!(evil.replace(['\r', '\n', '/'], ""));
        rogue.post(&server, "/ocm/shares", &share).await;
    }
    run(&server).await;
    let told = mails(&postbox);
    assert!(told.len() >= 4, "{}", told.len());
    assert_eq!(postbox.count("RCPT"), told.len());
    for mail in &told {
        assert_eq!(mail.to, "ada@mail.example");
        assert_eq!(mail.body.matches("\n\n").count(), 3, "{}", mail.body);
        for line in mail.head.lines() {
            let name = line.split(':').next().unwrap().to_lowercase();
            assert!(line.starts_with(' ') || (name != "bcc" && name != "cc"), "{line}");
        }
        for evil in [
            "\u{202e}",
            "\u{2028}",
            "://evil",
            "longlonglonglonglonglonglonglonglonglonglonglonglonglonglonglong",
        ] {
            assert!(!mail.body.contains(evil), "{}", mail.body);
        }
    }
    assert!(
        told.iter().any(|mail| mail.body.contains("{address} {what} (eve@")),
        "values are not filled again"
    );
}

#[actix_web::test]
async fn people_choose_what_they_hear_about_and_read_it_in_their_language() {
    let postbox = Postbox::start();
    let settings = mailing(&postbox);
    let pair = Box::pin(Pair::with(|config| {
        settings(config);
        config.notify.admin_mail.clear();
    }))
    .await;
    let change = UserChange {
        language: Some("de".to_owned()),
        ..UserChange::default()
    };
    pair.b.call(Call::UserSet { user: None, change }).await.unwrap();
    pair.introduce().await;
    pair.a.put_file("ada", "one.txt", "1").await;
    pair.a.put_file("ada", "two.txt", "2").await;
    pair.a.put_file("ada", "three.txt", "3").await;
    pair.shared("one.txt", false).await;
    run(&pair.b).await;
    let told = mails(&postbox);
    let bob = to(&told, "bob@mail.example");
    assert_eq!(bob.len(), 1);
    assert!(bob[0].body.contains(&Lang::De.when(START)), "{}", bob[0].body);

    let mut browser = Browser::signed_in(&pair.b, "bob").await;
    browser
        .get("/account")
        .await
        .expect("name=\"share-received\" value=\"yes\" checked");
    // Queued before, and not sent any more.
    pair.shared("two.txt", false).await;
    browser
        .post("/account/notices", &[("share-failed", "yes")])
        .await
        .expect_status(303);
    let page = browser.get("/account").await;
    assert!(!page.has("name=\"share-received\" value=\"yes\" checked"));
    page.expect("name=\"share-failed\" value=\"yes\" checked");
    pair.shared("three.txt", false).await;
    run(&pair.b).await;
    assert_eq!(to(&mails(&postbox), "bob@mail.example").len(), 1);
    let change = UserChange {
        notify: Some(vec![UserTopic::ShareReceived]),
        ..UserChange::default()
    };
    let set = pair.b.call(Call::UserSet { user: None, change }).await.unwrap();
    assert_eq!(set["notify"], json!(["share-received"]));
    pair.a.put_file("ada", "four.txt", "4").await;
    pair.shared("four.txt", false).await;
    run(&pair.b).await;
    assert_eq!(to(&mails(&postbox), "bob@mail.example").len(), 2);
}

#[actix_web::test]
async fn without_a_mail_server_nothing_is_queued_for_mail_and_the_pages_say_so() {
    let rogue = Rogue::start().await;
    let by_hook = hooked(&hook_at(&rogue));
    let server = Box::pin(TestServer::start_with(|config| {
        by_hook(config);
        config.notify.admin_mail = vec![ROOT.to_owned()];
    }))
    .await;
    server.admin("ada").await;
    rogue.befriend(&server, "ada").await;
    let waiting = waiting(&server).await;
    assert_eq!(waiting.len(), 1, "{waiting:?}");
    assert_eq!(
        (&waiting[0]["by"], &waiting[0]["topic"]),
        (&json!("webhook"), &json!("new-server"))
    );
    let standing = server.site().notices.standing().await.unwrap();
    assert!(!standing.can_mail);
    let mut ada = Browser::signed_in(&server, "ada").await;
    ada.get("/admin/notices").await.expect("id=\"no-mail\"");
    ada.get("/account").await.expect("This server has no mail server");
    // What was chosen counts once there is one.
    ada.post("/account/notices", &[]).await.expect_status(303);
    assert_eq!(server.site().users.get("ada").await.unwrap().notify, Some(Vec::new()));
}

#[actix_web::test]
async fn a_share_that_can_not_be_delivered_is_told_to_whoever_shares_it_without_its_name() {
    let postbox = Postbox::start();
    let settings = mailing(&postbox);
    let server = Box::pin(TestServer::start_with(|config| {
        settings(config);
        config.notify.admin_mail.clear();
        config.federation.mode = Mode::Open;
        config.shares.delivery_retry = vec![Span::seconds(10)];
    }))
    .await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    for name in ["canary-one.txt", "canary-two.txt"] {
        server.put_file("ada", name, "x").await;
    }
    rogue.reply("POST", "/ocm/shares", Reply::json(403, json!({ "message": "not you" })));
    server
        .share("ada", "canary-one.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    rogue.reply("POST", "/ocm/shares", Reply::json(503, json!({})));
    server
        .share("ada", "canary-two.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    server.deliver().await;
    run(&server).await;
    assert_eq!(mails(&postbox).len(), 1, "the second is still tried");
    server.clock.step(HOUR);
    server.deliver().await;
    run(&server).await;
    let told = mails(&postbox);
    assert_eq!(told.len(), 2);
    assert!(told[0].body.contains("refuses this server"), "{}", told[0].body);
    for mail in &told {
        assert_eq!(mail.to, "ada@mail.example");
        assert!(
            mail.body.contains(&format!("share with {}", rogue.address("eve"))),
            "{}",
            mail.body
        );
        assert!(mail.body.contains(&server.url("/shares/sent/")), "{}", mail.body);
        assert!(!mail.body.contains("canary"), "{}", mail.body);
    }
}

#[actix_web::test]
async fn a_server_that_falls_silent_is_told_once_and_again_when_it_is_back() {
    let postbox = Postbox::start();
    let settings = mailing(&postbox);
    let server = Box::pin(TestServer::start_with(|config| {
        settings(config);
        config.notify.admin_on = vec![AdminTopic::PeerDown];
    }))
    .await;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    rogue.befriend(&server, "ada").await;
    server.put_file("ada", "a.txt", "x").await;
    rogue.reply("POST", "/ocm/shares", Reply::json(503, json!({})));
    server
        .share("ada", "a.txt", &rogue.address("eve"), false)
        .await
        .unwrap();
    let down = async |server: &TestServer| {
        run(server).await;
        let told = mails(&postbox);
        to(&told, ROOT).iter().map(|mail| mail.body.clone()).collect::<Vec<_>>()
    };
    for wait in [0, 15, 90, 900] {
        server.clock.step(Duration::from_secs(wait));
        server.deliver().await;
    }
    assert!(down(&server).await.is_empty(), "not for a quarter of an hour");
    server.clock.step(Duration::from_secs(2 * 3600));
    server.deliver().await;
    let told = down(&server).await;
    assert_eq!(told.len(), 1);
    let silent = format!(
        "{} does not answer any more, since {}",
        rogue.provider,
        Lang::En.when(START)
    );
    assert!(told[0].contains(&silent), "{}", told[0]);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(503, json!({})));
    server.clock.step(Duration::from_secs(6 * 3600));
    server.site().peers.ask_the_silent(server.clock.now()).await.unwrap();
    assert_eq!(down(&server).await.len(), 1);
    rogue.reply("GET", "/.well-known/ocm", Reply::json(200, rogue.discovery()));
    server.clock.step(Duration::from_secs(6 * 3600));
    server.site().peers.ask_the_silent(server.clock.now()).await.unwrap();
    let told = down(&server).await;
    assert_eq!(told.len(), 2);
    assert!(
        told[1].contains(&format!("{} answers again", rogue.provider)),
        "{}",
        told[1]
    );
    rogue.forget_seen();
    server.clock.step(DAY);
    server.site().peers.ask_the_silent(server.clock.now()).await.unwrap();
    assert!(rogue.seen().is_empty(), "one that answers is left alone");
}

#[actix_web::test]
async fn t20_another_key_of_a_server_is_told_to_admins() {
    let postbox = Postbox::start();
    let settings = mailing(&postbox);
    let pair = Box::pin(Pair::with(|config| {
        settings(config);
        config.notify.admin_on = vec![AdminTopic::PeerKeyChanged];
        config.notify.user_on.clear();
    }))
    .await;
    pair.introduce().await;
    let refresh = Call::PeerRefresh {
        host: pair.b.provider().to_string(),
    };
    pair.a.call(refresh.clone()).await.unwrap();
    run(&pair.a).await;
    assert!(mails(&postbox).is_empty(), "the first is what it is compared with");
    let how = Rotation::Stolen;
    pair.b.call(Call::KeyRotate { how }).await.unwrap();
    pair.step(HOUR);
    pair.a.call(refresh.clone()).await.unwrap();
    run(&pair.a).await;
    let told = mails(&postbox);
    assert_eq!(told.len(), 1);
    let changed = format!(
        "{} shows other keys than before, and none of the old ones",
        pair.b.provider()
    );
    assert!(told[0].body.contains(&changed), "{}", told[0].body);
    pair.step(HOUR);
    pair.a.call(refresh).await.unwrap();
    assert_eq!(run(&pair.a).await, 0);
}

fn check_signed(seen: &Recorded) {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let hex = seen.headers["x-ocm-signature"]
        .strip_prefix("sha256=")
        .unwrap()
        .to_owned();
    let tag: Vec<u8> = (0..hex.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap())
        .collect();
    hmac::verify(&key, &seen.body, &tag).unwrap();
    assert_eq!(seen.json()["sent"], seen.headers["x-ocm-timestamp"].as_str());
    assert_eq!(seen.json()["id"], seen.headers["x-ocm-id"].as_str());
}

#[actix_web::test]
async fn a_webhook_gets_a_signed_notice_and_the_same_again_until_it_says_that_it_has_it() {
    let rogue = Rogue::start().await;
    let server = Box::pin(TestServer::start_with(hooked(&hook_at(&rogue)))).await;
    rogue.reply("POST", "/hook", Reply::json(500, json!({ "message": "canary" })));
    tell(&server, "<one>").await;
    run(&server).await;
    rogue.reply("POST", "/hook", Reply::json(200, json!({})));
    server.clock.step(Duration::from_secs(60));
    run(&server).await;
    assert_eq!(run(&server).await, 0);
    let seen = rogue.seen_at("/hook");
    assert_eq!(seen.len(), 2);
    seen.iter().for_each(check_signed);
    let (first, second) = (seen[0].json(), seen[1].json());
    assert_eq!((&first["id"], &first["at"]), (&second["id"], &second["at"]));
    assert_eq!(first["at"], START.to_string());
    assert_ne!(first["sent"], second["sent"]);
    assert_eq!(
        (&second["topic"], &second["about"]),
        (&json!("backup"), &json!("<one>"))
    );
    assert_eq!(second["text"], "The backup in <one> failed.");
    assert_eq!(second["url"], server.url("/admin/backups"));
    assert_eq!(second["server"], server.provider().to_string());
    let body = String::from_utf8(seen[0].body.clone()).unwrap();
    assert!(!body.contains(SECRET), "{body}");
}

#[actix_web::test]
async fn t03_t08_a_webhook_is_not_followed_elsewhere_and_its_answer_is_not_read() {
    let (rogue, elsewhere) = (Rogue::start().await, Rogue::start().await);
    let server = Box::pin(TestServer::start_with(hooked(&hook_at(&rogue)))).await;
    let away = Reply::json(307, json!({})).header("location", &format!("http://{}/hook", elsewhere.provider));
    rogue.reply("POST", "/hook", away);
    tell(&server, "one").await;
    run(&server).await;
    assert!(elsewhere.seen().is_empty());
    let row = &waiting(&server).await[0];
    assert!(
        row["last_error"]["message"].as_str().unwrap().contains("not followed"),
        "{row}"
    );
    // More than any memory holds, and no end.
    rogue.behave("POST", "/hook", Manner::Floods);
    server.clock.step(Duration::from_secs(60));
    let run = tokio::time::timeout(Duration::from_secs(30), run(&server));
    assert_eq!(run.await.expect("an end"), 1);
    assert!(waiting(&server).await.is_empty());
}

#[actix_web::test]
async fn t01_a_webhook_at_a_private_address_is_called_only_where_the_operator_listed_it() {
    let rogue = Rogue::start().await;
    let port = rogue.provider.port().unwrap();
    let settings = hooked(&format!("http://hooks.example:{port}/hook"));
    let world = || names(&[("hooks.example", &["127.0.0.1"])]);
    let server = Box::pin(TestServer::start_in(world(), |config| {
        settings(config);
        config.federation.private_network = vec![PrivateNetwork {
            cidr: "127.99.0.0/16".parse().unwrap(),
            ports: Vec::new(),
            plain_http: true,
        }];
    }))
    .await;
    tell(&server, "one").await;
    run(&server).await;
    assert!(rogue.seen().is_empty());
    assert_eq!(waiting(&server).await[0]["last_error"]["code"], "private-address");
    let server = Box::pin(TestServer::start_in(world(), settings)).await;
    tell(&server, "one").await;
    run(&server).await;
    assert_eq!(rogue.seen_at("/hook").len(), 1);
}

#[actix_web::test]
async fn a_test_goes_everywhere_and_says_what_each_answered() {
    let postbox = Postbox::start();
    let rogue = Rogue::start().await;
    let (by_mail, by_hook) = (mailing(&postbox), hooked(&hook_at(&rogue)));
    let server = Box::pin(TestServer::start_with(|config| {
        by_mail(config);
        by_hook(config);
    }))
    .await;
    server.admin("ada").await;
    server.user("bob").await;
    rogue.reply("POST", "/hook", Reply::json(401, json!({})));
    let tried = server.call(Call::NoticeTest).await.unwrap();
    assert_eq!(tried[0]["to"], ROOT);
    assert_eq!(tried[0]["arrived"], true);
    assert_eq!(tried[0]["answer"], "250 queued as canary-42");
    assert_eq!(
        (&tried[1]["to"], &tried[1]["arrived"]),
        (&json!("127.0.0.1"), &json!(false))
    );
    assert!(tried[1]["answer"].as_str().unwrap().contains("401"), "{tried}");
    assert!(mails(&postbox)[0].body.contains("This is a test."));
    check_signed(&rogue.seen_at("/hook")[0]);
    assert_eq!(rogue.seen_at("/hook")[0].json()["topic"], "test");
    let mut ada = Browser::signed_in(&server, "ada").await;
    ada.post("/admin/notices/test", &[]).await.expect_status(303);
    ada.get("/admin/notices")
        .await
        .expect("Did not arrive")
        .expect("queued as canary-42");
    assert_eq!(mails(&postbox).len(), 2, "looking sends nothing");
    let mut bob = Browser::signed_in(&server, "bob").await;
    bob.post("/admin/notices/test", &[]).await.expect_status(403);
    bob.get("/admin/notices").await.expect_status(403);
    assert_eq!(mails(&postbox).len(), 2);
}

#[actix_web::test]
async fn a_webhook_without_a_secret_stops_the_start_and_its_file_is_named() {
    for content in [None, Some("\n")] {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("hook-secret");
        if let Some(content) = content {
            std::fs::write(&file, content).unwrap();
        }
        let mut config = Config::default();
        config.server.data_dir = dir.path().join("data");
        config.notify.webhook = vec![Webhook {
            url: DocumentUrl::parse("https://hooks.example.org/ocm").unwrap(),
            on: Vec::new(),
            secret_file: file.clone(),
        }];
        let refused = Box::pin(Site::open(config, World::default())).await.err().unwrap();
        assert_eq!(refused.reason(), Reason::ConfigInvalid);
        let why = refused.to_string();
        assert!(
            why.contains("notify.webhook[1].secret_file") && why.contains(file.to_str().unwrap()),
            "{why}"
        );
    }
}
