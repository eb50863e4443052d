//! Backups: whole or not there, found out when they are not what they were, and put back so that nothing that was ended
//! comes to life by itself (T-86, T-87).

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::audit::By;
use ocmesh::backup;
use ocmesh::backup::restore;
use ocmesh::backup::restore::Restored;
use ocmesh::config::Config;
use ocmesh::config::DocumentUrl;
use ocmesh::config::Every;
use ocmesh::config::Keep;
use ocmesh::config::Mode;
use ocmesh::config::PublicUrl;
use ocmesh::config::Webhook;
use ocmesh::doctor;
use ocmesh::doctor::State;
use ocmesh::error::Error;
use ocmesh::error::Reason;
use ocmesh::error::Result;
use serde_json::Value;
use serde_json::json;

use crate::harness::Pair;
use crate::harness::Rogue;
use crate::harness::START;
use crate::harness::TestServer;
use crate::harness::http;
use crate::harness::mode;
use crate::harness::post_raw;
use crate::web::Browser;

const FORM: &str = "application/x-www-form-urlencoded";
const DAY: Duration = Duration::from_secs(86_400);

async fn create(server: &TestServer) -> PathBuf {
    let call = Call::BackupCreate {
        file: None,
        include_files: false,
    };
    let made = server.call(call).await.unwrap();
    assert!(made["verified"].is_string(), "{made}");
    PathBuf::from(made["file"].as_str().unwrap())
}

async fn rows(server: &TestServer, call: Call) -> Vec<Value> {
    server.call(call).await.unwrap().as_array().unwrap().clone()
}

async fn put_back(config: &Config, file: &Path) -> Result<Restored> {
    let later = START.plus(DAY);
    Box::pin(restore::restore(config, file, None, &By::command_line("root"), later)).await
}

/// The same server, a day later, with what is in a backup.
async fn restored(server: TestServer, file: &Path) -> TestServer {
    server.clock.step(server.clock.now().until(START.plus(DAY)));
    server
        .restart_after(async |config| {
            put_back(config, file).await.unwrap();
        })
        .await
}

/// What a server elsewhere holds of a share: its id, and what buys tokens.
struct Known {
    id: String,
    secret: String,
}

async fn shared(server: &TestServer, rogue: &Rogue, path: &str) -> Known {
    let sent = server.share("ada", path, &rogue.address("eve"), false).await.unwrap();
    server.deliver().await;
    let seen = rogue.seen_at("/ocm/shares").pop().unwrap().json();
    Known {
        id: sent["provider_id"].as_str().unwrap().to_owned(),
        secret: seen["protocol"]["webdav"]["sharedSecret"].as_str().unwrap().to_owned(),
    }
}

/// Asks for a token; the status, and the token where there is one.
async fn ask(rogue: &Rogue, server: &TestServer, share: &Known) -> (u16, String) {
    server.clock.step(Duration::from_secs(1));
    let form = form(rogue, share);
    let answer = rogue.post_bytes(server, "/ocm/token", FORM, form, &rogue.key).await;
    let status = answer.status().as_u16();
    let body: Value = serde_json::from_str(&answer.text().await.unwrap()).unwrap();
    (status, body["access_token"].as_str().unwrap_or_default().to_owned())
}

fn form(rogue: &Rogue, share: &Known) -> Vec<u8> {
    format!(
        "grant_type=authorization_code&client_id={}&code={}",
        rogue.provider, share.secret
    )
    .into_bytes()
}

async fn read(server: &TestServer, share: &Known, token: &str) -> u16 {
    let request = http()
        .get(server.url(&format!("/dav/ocm/{}", share.id)))
        .header("authorization", format!("Bearer {token}"));
    request.send().await.unwrap().status().as_u16()
}

#[actix_web::test]
async fn t86_a_share_that_was_stopped_since_opens_to_nobody_until_an_admin_confirms_it() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    server.admin("ada").await;
    server.put_file("ada", "/a.txt", "hello").await;
    let rogue = Rogue::start().await;
    let share = shared(&server, &rogue, "/a.txt").await;
    let (status, old_token) = ask(&rogue, &server, &share).await;
    assert_eq!((status, read(&server, &share, &old_token).await), (200, 200));
    let mut browser = Browser::signed_in(&server, "ada").await;
    // Signed before the restore, sent after it.
    let early = rogue.sign(
        &server,
        "/ocm/token",
        &form(&rogue, &share),
        START.plus(DAY).minus(Duration::from_secs(9)),
        &rogue.key,
    );
    let file = create(&server).await;
    let stop = Call::ShareStop {
        user: Some("ada".to_owned()),
        id: share.id.clone(),
    };
    server.call(stop).await.unwrap();
    assert_eq!(read(&server, &share, &old_token).await, 401);

    let server = Box::pin(restored(server, &file)).await;
    // Not even that it is gone is said: who is told so throws away what may be confirmed.
    let (status, token) = ask(&rogue, &server, &share).await;
    assert_eq!((status, token.as_str()), (503, ""));
    assert_eq!(read(&server, &share, &old_token).await, 401);
    assert_eq!(read(&server, &share, &share.secret).await, 503);
    let replayed = post_raw(&server, "/ocm/token", FORM, form(&rogue, &share), &early).await;
    assert_eq!(replayed.status(), 400);
    assert_eq!(replayed.text().await.unwrap(), "{\"error\":\"invalid_client\"}");
    assert_eq!(browser.get("/home").await.location(), "/login?next=%2Fhome");

    let held = rows(&server, Call::BackupReview).await;
    assert_eq!(held.len(), 1, "{held:?}");
    assert_eq!((&held[0]["kind"], &held[0]["id"]), (&json!("share"), &json!(share.id)));
    let unknown = Call::BackupConfirm {
        id: Some("12".to_owned()),
    };
    assert_eq!(server.call(unknown).await.unwrap_err().reason(), Reason::NotFound);
    assert_eq!(ask(&rogue, &server, &share).await.0, 503);
    server.call(Call::BackupConfirm { id: None }).await.unwrap();
    let (status, token) = ask(&rogue, &server, &share).await;
    assert_eq!((status, read(&server, &share, &token).await), (200, 200));
    // The key that it was signed with is gone for good.
    assert_eq!(read(&server, &share, &old_token).await, 401);
    assert!(rows(&server, Call::BackupReview).await.is_empty());
}

#[actix_web::test]
async fn t86_invitations_and_messages_of_a_backup_wait_until_an_admin_confirms_them() {
    let Pair { a, b } = Box::pin(Pair::acquainted()).await;
    a.put_file("ada", "/a.txt", "hello").await;
    let invite = a.invite("ada").await;
    a.share("ada", "/a.txt", &b.address("bob"), false).await.unwrap();
    let file = create(&a).await;
    a.call(Call::InviteRevoke {
        id: invite["id"].as_str().unwrap().to_owned(),
    })
    .await
    .unwrap();
    b.clock.step(DAY);
    let a = Box::pin(restored(a, &file)).await;
    assert_eq!(a.deliver().await, 0);
    assert!(b.received("bob").await.is_empty());
    let refused = b
        .accept_invite("bob", invite["string"].as_str().unwrap())
        .await
        .unwrap_err();
    assert_eq!(refused.reason(), Reason::PeerBusy, "{refused}");
    let held = rows(&a, Call::BackupReview).await;
    let kinds: Vec<_> = held.iter().map(|row| row["kind"].as_str().unwrap()).collect();
    // The announcement goes with its share.
    assert_eq!(kinds, ["share", "invitation"]);
    // Where one looks, that is what is said: nothing is stuck, and nothing was given up.
    a.clock.step(DAY);
    b.clock.step(DAY);
    let queue = a.call(Call::Status).await.unwrap()["queue"].clone();
    assert_eq!(queue, json!({ "waiting": 0, "oldest": null, "held": 1, "given_up": 0 }));
    let found = Box::pin(doctor::examine(a.site(), false)).await.unwrap();
    let of = |check: &str| found.iter().find(|finding| finding.check == check).unwrap().clone();
    let (queue, review) = (of("queue"), of("backup-review"));
    assert!(
        queue.state == State::Ok && !queue.sentence.contains("long ago"),
        "{queue:?}"
    );
    assert!(
        review.state == State::Warn && review.sentence.contains("since the restore: 2."),
        "{review:?}"
    );
    assert!(review.remedy.unwrap().contains("ocmesh backup review"));
    let delivery = a.queue().await[0]["id"].as_str().unwrap().to_owned();
    let retried = a.call(Call::QueueRetry { id: delivery }).await.unwrap_err();
    assert_eq!(retried.reason(), Reason::Conflict);
    for row in &held {
        let id = row["id"].as_str().unwrap().to_owned();
        a.call(Call::BackupConfirm { id: Some(id) }).await.unwrap();
    }
    assert_eq!(a.deliver().await, 1);
    assert_eq!(b.received("bob").await.len(), 1);
}

#[actix_web::test]
async fn what_was_ended_in_the_review_stays_ended() {
    let Pair { a, b } = Box::pin(Pair::acquainted()).await;
    a.admin("root").await;
    a.put_file("ada", "/a.txt", "hello").await;
    a.share("ada", "/a.txt", &b.address("bob"), false).await.unwrap();
    a.invite("ada").await;
    let file = create(&a).await;
    b.clock.step(DAY);
    let a = Box::pin(restored(a, &file)).await;
    let mut root = Browser::signed_in(&a, "root").await;
    let page = root.get("/admin/backups").await;
    page.expect("To be confirmed after a restore")
        .expect("a.txt")
        .expect("2 things wait");
    for row in rows(&a, Call::BackupReview).await {
        let id = row["id"].as_str().unwrap();
        root.post("/admin/backups/end", &[("id", id)]).await.expect_status(303);
        root.post("/admin/backups/confirm", &[("id", id)])
            .await
            .expect_status(404);
    }
    assert!(!root.get("/admin/backups").await.has("To be confirmed"));
    assert_eq!(a.sent("ada").await[0]["state"], "stopped");
    a.deliver().await;
    assert!(b.received("bob").await.is_empty());
}

#[actix_web::test]
async fn a_flipped_byte_anywhere_is_found_and_so_is_a_file_that_was_cut() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let file = create(&server).await;
    backup::verify(&file).unwrap();
    let whole = fs::read(&file).unwrap();
    let copy = file.with_file_name("copy.zip");
    let refused = |bytes: &[u8]| -> Error {
        fs::write(&copy, bytes).unwrap();
        let outcome = backup::verify(&copy);
        let error = outcome.err().unwrap_or_else(|| panic!("{} bytes pass", bytes.len()));
        assert_eq!(error.reason(), Reason::BackupDamaged, "{error}");
        error
    };
    // The heads, the end, and samples of all that is between.
    let step = (whole.len() / 150).max(1);
    let places = (0..60)
        .chain((60..whole.len()).step_by(step))
        .chain(whole.len() - 260..whole.len());
    for place in places {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        refused(&bytes);
    }
    for length in [0, 1, 64, 200, whole.len() / 2, whole.len() - 64, whole.len() - 1] {
        refused(&whole[..length]);
    }
    refused(&[&whole[..], b"\0"].concat());
    // What is wrong is named.
    let mut bytes = whole.clone();
    let start = whole.windows(13).position(|window| window == b"records.jsonl").unwrap();
    bytes[start + 300] ^= 1;
    assert!(
        refused(&bytes).message().contains("records.jsonl"),
        "{}",
        refused(&bytes)
    );
    assert!(refused(&whole[..whole.len() / 2]).message().contains("cut off"));
    assert!(refused(b"a picture").message().contains("no backup"));
}

#[actix_web::test]
async fn a_backup_has_all_that_is_kept_and_is_for_nobody_else() {
    let server = TestServer::start().await;
    server.user("ada").await;
    server.put_file("ada", "/deep/a.txt", "hello").await;
    fs::create_dir(server.data.join("tls")).unwrap();
    fs::write(server.data.join("tls/key"), "a key").unwrap();
    let target = server.data.parent().unwrap().join("elsewhere/all.zip");
    let call = |file: &Path| Call::BackupCreate {
        file: Some(file.to_owned()),
        include_files: true,
    };
    server.call(call(&target)).await.unwrap();
    assert_eq!(
        server.call(call(&target)).await.unwrap_err().reason(),
        Reason::AlreadyExists
    );
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&target), 0o600);
    assert_eq!(mode(&create(&server).await), 0o600);
    assert_eq!(mode(&server.data.join("backups")), 0o700);
    let manifest = backup::verify(&target).unwrap();
    let names: Vec<_> = manifest.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(
        names,
        ["records.jsonl", "files/ada/deep/a.txt", "instance_id", "tls/key"]
    );
    assert_eq!(manifest.records["user"], 1);
    assert_eq!(manifest.public_url, server.url(""));

    // A new machine: nothing there but the configuration.
    let mut config = (*server.config).clone();
    config.server.data_dir = server.data.parent().unwrap().join("other");
    let preview = restore::preview(&config, &target, None, START).unwrap();
    assert!(preview.refused.is_none() && preview.instance.is_none() && !config.server.data_dir.exists());
    let kinds = preview.kinds();
    assert!(kinds.contains(&("user".to_owned(), 1, Some(0))), "{kinds:?}");
    put_back(&config, &target).await.unwrap();
    let there = |name: &str| fs::read_to_string(config.server.data_dir.join(name)).unwrap();
    assert_eq!(
        (there("files/ada/deep/a.txt").as_str(), there("tls/key").as_str()),
        ("hello", "a key")
    );
    assert_eq!(there("instance_id"), manifest.instance_id);
    assert_eq!(mode(&config.server.data_dir.join("tls/key")), 0o600);
}

#[actix_web::test]
async fn a_backup_takes_the_place_of_data_that_can_not_be_read_any_more() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let file = create(&server).await;
    let server = server
        .restart_after(async |config| {
            let database = config.server.data_dir.join("db/db");
            let mut bytes = fs::read(&database).unwrap();
            bytes.fill(0x5a);
            fs::write(&database, bytes).unwrap();
            put_back(config, &file).await.unwrap();
        })
        .await;
    assert!(server.site().users.find("ada").await.unwrap().is_some());
}

#[actix_web::test]
async fn a_backup_is_never_put_into_what_it_is_a_backup_of() {
    let server = TestServer::start().await;
    let into = |path: PathBuf| Call::BackupCreate {
        file: Some(path),
        include_files: true,
    };
    for within in ["x.zip", "files/x.zip"] {
        let refused = server.call(into(server.data.join(within))).await.unwrap_err();
        assert_eq!(refused.field(), Some("file"), "{within}");
        assert!(!server.data.join(within).exists());
    }
    // Nor is it written into what somebody else has put in its way.
    let elsewhere = tempfile::tempdir().unwrap();
    let part = elsewhere.path().join("x.zip.part");
    let victim = elsewhere.path().join("theirs");
    fs::write(&victim, "untouched").unwrap();
    std::os::unix::fs::symlink(&victim, &part).unwrap();
    server.call(into(elsewhere.path().join("x.zip"))).await.unwrap();
    assert_eq!(fs::read_to_string(&victim).unwrap(), "untouched");
}

#[actix_web::test]
async fn one_made_by_a_clock_that_ran_ahead_does_not_end_the_schedule() {
    let server = TestServer::start_with(|config| config.backup.every = Every(Some(DAY))).await;
    let backups = &server.site().backups;
    backups.run_due(START.plus(400 * DAY)).await.unwrap();
    backups.run_due(START).await.unwrap();
    let made: Vec<_> = backups.list().unwrap().iter().map(|made| made.at).collect();
    assert_eq!(made, [START.plus(400 * DAY), START]);
    assert!(backups.standing(START.plus(3 * DAY)).await.unwrap().is_overdue());
}

#[actix_web::test]
async fn a_restore_is_refused_while_a_server_runs_and_for_another_address() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let file = create(&server).await;
    server.user("bob").await;
    let refused = put_back(&server.config, &file).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::DataLocked);
    let preview = restore::preview(&server.config, &file, None, START).unwrap();
    assert!(preview.now.is_err_and(|error| error.reason() == Reason::DataLocked));
    assert!(
        preview
            .refused
            .is_some_and(|error| error.reason() == Reason::DataLocked)
    );
    let server = server
        .restart_after(async |config| {
            let mut moved = config.clone();
            moved.server.public_url = PublicUrl::parse("https://cloud.example.org").unwrap();
            let by = By::command_line("root");
            let attempt = async |rename: Option<&str>| {
                let rename = rename.map(|url| PublicUrl::parse(url).unwrap());
                Box::pin(restore::restore(&moved, &file, rename.as_ref(), &by, START)).await
            };
            let refused = attempt(None).await.unwrap_err();
            assert!(
                refused.reason() == Reason::Conflict && refused.message().contains("--rename"),
                "{refused}"
            );
            let other = attempt(Some("https://cloud.example.com")).await.unwrap_err();
            assert_eq!(other.field(), Some("--rename"));
            // Nothing came of any of these; now with the words that it takes.
            let preview = restore::preview(&moved, &file, None, START).unwrap();
            assert!(preview.kinds().contains(&("user".to_owned(), 1, Some(2))));
            attempt(Some("https://cloud.example.org")).await.unwrap();
        })
        .await;
    assert!(server.site().users.find("bob").await.unwrap().is_none());
    let aside = fs::read_dir(&server.data).unwrap().flatten();
    let names: Vec<_> = aside.map(|entry| entry.file_name().into_string().unwrap()).collect();
    assert!(
        names.iter().any(|name| name.starts_with("before-restore-")),
        "{names:?}"
    );
    assert!(
        !names.iter().any(|name| name == "incoming" || name == "exchange"),
        "{names:?}"
    );
    let noted = rows(
        &server,
        Call::AuditList {
            filter: ocmesh::audit::Filter::default(),
            limit: Some(1),
        },
    )
    .await;
    assert_eq!(
        (&noted[0]["did"], &noted[0]["who"]),
        (&json!("backup.restore"), &json!("root via command line"))
    );
}

#[actix_web::test]
async fn one_is_made_when_it_is_time_and_old_ones_go() {
    let server = TestServer::start_with(|config| {
        config.backup.every = Every(Some(DAY));
        config.backup.keep = Keep {
            daily: 2,
            weekly: 0,
            monthly: 0,
        };
    })
    .await;
    let names = |server: &TestServer| -> Vec<String> {
        server
            .site()
            .backups
            .list()
            .unwrap()
            .iter()
            .map(|made| made.name())
            .collect()
    };
    let run = async |server: &TestServer| server.site().backups.run_due(server.clock.now()).await;
    run(&server).await.unwrap();
    assert_eq!(names(&server), ["ocmesh-backup-2026-09-21T141320Z.zip"]);
    // Neither at once nor after a restart.
    run(&server).await.unwrap();
    let server = server.restart().await;
    run(&server).await.unwrap();
    assert_eq!(names(&server).len(), 1);
    let folder = server.data.join("backups");
    let others = [
        "ocmesh-backup-2020-01-01T000000Z.zip",
        "holiday.zip",
        "ocmesh-backup-old.zip",
    ];
    for name in others {
        fs::write(folder.join(name), "not ours").unwrap();
    }
    // What a stop left of one goes when the next is made, and never counts as one.
    let half = folder.join("ocmesh-backup-2026-09-21T151320Z.zip.part");
    fs::write(&half, "half").unwrap();
    let long_ago = std::time::SystemTime::now() - 2 * DAY;
    fs::File::open(&half).unwrap().set_modified(long_ago).unwrap();
    // Another server of the same folder may be writing this one.
    let others_half = folder.join("ocmesh-backup-2026-09-21T151321Z.zip.part");
    fs::write(&others_half, "half").unwrap();
    // Nor does one that was made by hand count, or go.
    let by_hand = create(&server).await;
    for _ in 0..3 {
        server.clock.step(DAY);
        let standing = server.site().backups.standing(server.clock.now()).await.unwrap();
        assert!(!standing.is_overdue());
        run(&server).await.unwrap();
    }
    let left = names(&server);
    assert_eq!(
        left[..2],
        [
            "ocmesh-backup-2026-09-24T141320Z.zip",
            "ocmesh-backup-2026-09-23T141320Z.zip"
        ]
    );
    assert!(!half.exists() && others_half.exists() && by_hand.exists());
    // What does not show that it is ours is left alone, whatever it is called.
    for name in others {
        assert!(folder.join(name).exists(), "{name}");
    }
    server.clock.step(3 * DAY);
    let standing = server.site().backups.standing(server.clock.now()).await.unwrap();
    assert!(standing.is_overdue());
}

#[actix_web::test]
async fn a_backup_that_fails_is_said_and_not_tried_again_every_minute() {
    let server = TestServer::start_with(|config| {
        config.backup.every = Every(Some(DAY));
        config.backup.dir = config.server.data_dir.join("lock/backups");
        let secret_file = config.server.data_dir.with_file_name("hook-secret");
        fs::write(&secret_file, "a secret of a webhook\n").unwrap();
        config.notify.webhook = vec![Webhook {
            url: DocumentUrl::parse("http://127.0.0.1:9/hook").unwrap(),
            on: Vec::new(),
            secret_file,
        }];
    })
    .await;
    server.admin("root").await;
    let backups = &server.site().backups;
    backups.run_due(server.clock.now()).await.unwrap_err();
    backups.run_due(server.clock.now()).await.unwrap();
    server.clock.step(Duration::from_secs(3601));
    backups.run_due(server.clock.now()).await.unwrap_err();
    assert!(backups.state().failure.is_some());
    // And admins hear of it, once a day.
    let told = server.call(Call::NoticeList).await.unwrap()["waiting"].clone();
    let told: Vec<_> = told
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["text"].as_str())
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
    let told = told[0].unwrap();
    assert!(
        told.starts_with("No backup could be made: ") && told.contains("lock/backups"),
        "{told}"
    );
    let mut root = Browser::signed_in(&server, "root").await;
    root.get("/admin/backups")
        .await
        .expect("The last backup could not be made.")
        .expect("lock/backups");
}

#[actix_web::test]
async fn a_page_makes_hands_out_and_checks_backups() {
    let server = TestServer::start().await;
    server.admin("root").await;
    let mut root = Browser::signed_in(&server, "root").await;
    root.get("/admin/backups")
        .await
        .expect("There is no backup yet.")
        .expect("same disk");
    root.post("/admin/backups/make", &[]).await.expect_status(303);
    let made = async {
        while server.site().backups.state().since.is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), made)
        .await
        .expect("a backup is made within a minute");
    let name = server.site().backups.list().unwrap()[0].name();
    root.get("/admin/backups").await.expect(&name).expect("Whole");
    let seen = root.post("/admin/backups/download", &[("name", &name)]).await;
    seen.expect_status(200);
    assert!(seen.header("content-disposition").contains(&name));
    assert_eq!(seen.header("content-type"), "application/octet-stream");
    let file = server.data.join("backups").join(&name);
    assert_eq!(
        seen.header("content-length"),
        fs::metadata(&file).unwrap().len().to_string()
    );
    root.post("/admin/backups/check", &[("name", &name)])
        .await
        .expect_status(303);
    for name in ["", "../lock", "/etc/passwd", "ocmesh-backup-2026-01-01T000000Z.zip"] {
        for path in ["/admin/backups/download", "/admin/backups/check"] {
            root.post(path, &[("name", name)]).await.expect_status(404);
        }
    }
    let mut bytes = fs::read(&file).unwrap();
    bytes[50] ^= 1;
    fs::write(&file, bytes).unwrap();
    root.post("/admin/backups/check", &[("name", &name)])
        .await
        .expect("backup-damaged");
    root.get("/admin/backups").await.expect("Not checked");
    let noted = server
        .call(Call::AuditList {
            filter: ocmesh::audit::Filter {
                kind: "backup".to_owned(),
                ..ocmesh::audit::Filter::default()
            },
            limit: None,
        })
        .await
        .unwrap();
    let noted: Vec<_> = noted
        .as_array()
        .unwrap()
        .iter()
        .map(|row| row["did"].as_str().unwrap())
        .collect();
    assert!(
        noted.contains(&"backup.create") && noted.contains(&"backup.download"),
        "{noted:?}"
    );
}

#[actix_web::test]
async fn t86_who_was_put_out_since_the_backup_stays_out() {
    let server = TestServer::start_with(mode(Mode::Open)).await;
    for name in ["root", "carol"] {
        server.admin(name).await;
    }
    for name in ["ada", "bob", "dave"] {
        server.user(name).await;
    }
    let file = create(&server).await;
    let users = &server.site().users;
    users.set_disabled("bob", true, START).await.unwrap();
    users.set_admin("carol", false).await.unwrap();
    users.delete("dave", START).await.unwrap();
    server.user("zoe").await;
    users.delete("zoe", START).await.unwrap();
    // What was only allowed since is as it was.
    users.set_admin("ada", true).await.unwrap();
    for (host, allow) in [("bad.example", false), ("good.example", true)] {
        let call = Call::PeerRule {
            host: host.to_owned(),
            allow,
            reason: String::new(),
            note: String::new(),
            until: None,
            by: "root".to_owned(),
        };
        server.call(call).await.unwrap();
    }
    server.site().peers.choose_mode(Mode::Allowlist, "root").await.unwrap();
    let server = server
        .restart_after(async |config| {
            let done = put_back(config, &file).await.unwrap();
            let decided = serde_json::to_value(done.decided.unwrap()).unwrap();
            assert_eq!(
                decided,
                json!({
                    "disabled": ["bob", "dave"],
                    "demoted": ["carol"],
                    "denied": ["bad.example"],
                    "mode": "allowlist",
                })
            );
        })
        .await;
    let users = &server.site().users;
    for (name, active, admin) in [
        ("root", true, true),
        ("ada", true, false),
        ("bob", false, false),
        ("carol", true, false),
        ("dave", false, false),
    ] {
        let user = users.get(name).await.unwrap();
        assert_eq!((user.is_active(), user.admin), (active, admin), "{name}");
    }
    let rules = rows(&server, Call::PeerList).await;
    let rules: Vec<_> = rules.iter().map(|rule| rule["host"].as_str().unwrap()).collect();
    assert_eq!(rules, ["bad.example"]);
    assert_eq!(server.site().peers.mode().await.unwrap(), Mode::Allowlist);
}

#[actix_web::test]
async fn t86_data_that_can_not_be_read_is_said_to_have_put_nobody_out_and_a_new_machine_has_nothing_to_say() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let file = create(&server).await;
    let mut config = (*server.config).clone();
    config.server.data_dir = server.data.parent().unwrap().join("other");
    let done = put_back(&config, &file).await.unwrap();
    assert!(done.decided.unwrap().is_empty());
    fs::write(config.server.data_dir.join("db/db"), [0x5a; 4096]).unwrap();
    let preview = restore::preview(&config, &file, None, START).unwrap();
    assert!(preview.refused.is_none() && preview.now.is_err());
    let done = put_back(&config, &file).await.unwrap();
    assert_eq!(done.decided.unwrap_err().reason(), Reason::DataDamaged);
}

#[actix_web::test]
async fn by_a_clock_of_long_ago_nothing_is_restored() {
    let server = TestServer::start().await;
    let file = create(&server).await;
    let mut config = (*server.config).clone();
    config.server.data_dir = server.data.parent().unwrap().join("other");
    let refused = Box::pin(restore::restore(
        &config,
        &file,
        None,
        &By::command_line("root"),
        ocmesh::clock::Timestamp(0),
    ))
    .await;
    assert_eq!(refused.unwrap_err().reason(), Reason::ClockWrong);
    assert!(!config.server.data_dir.exists());
}

#[actix_web::test]
async fn secrets_in_files_of_their_own_are_not_packed_wherever_they_lie() {
    let server = TestServer::start().await;
    for name in ["tls/privkey.pem", "secrets/smtp", "tls/other"] {
        let file = server.data.join(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, "canary").unwrap();
    }
    let mut config = (*server.config).clone();
    config.tls.key_file = Some(server.data.join("tls/privkey.pem"));
    // By another way to the same place.
    config.mail.password_file = Some(server.data.join("tls/../secrets/smtp"));
    let site = server.site();
    let backups = backup::Backups::new(config.into(), site.store.clone(), site.notices.clone());
    let made = backups.make(None, false, START).await.unwrap();
    let manifest = backup::verify(&made.file).unwrap();
    let names: Vec<_> = manifest.entries.iter().map(|entry| entry.name.as_str()).collect();
    assert_eq!(names, ["records.jsonl", "instance_id", "tls/other"]);
}

#[actix_web::test]
async fn a_backup_handed_over_is_whole_and_nothing_of_it_stays() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let site = server.site();
    let mut handed = site.backups.hand_over(true, START).await.unwrap();
    assert_eq!(fs::read_dir(server.data.join("backups")).unwrap().count(), 0);
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.zip");
    std::io::copy(&mut handed, &mut fs::File::create(&copy).unwrap()).unwrap();
    assert_eq!(backup::verify(&copy).unwrap().records["user"], 1);
    assert!(site.backups.list().unwrap().is_empty());
    // What arrives cut off is not kept.
    let bytes = fs::read(&copy).unwrap();
    let half = bytes::Bytes::copy_from_slice(&bytes[..bytes.len() / 2]);
    let target = folder.path().join("half.zip");
    let content = Box::pin(futures_util::stream::iter([Ok(half)]));
    let refused = backup::receive(content, target.clone()).await.unwrap_err();
    assert_eq!(refused.reason(), Reason::BackupDamaged);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[actix_web::test]
async fn data_that_is_damaged_names_the_backup_that_helps() {
    let server = TestServer::start().await;
    let file = create(&server).await;
    let marker = server.data.join("instance_id");
    let damaged = || Error::new(Reason::DataDamaged, "It is damaged.");
    let advised = backup::advise(&server.config, damaged());
    assert!(
        advised
            .message()
            .ends_with(&format!("ocmesh restore {}", file.display())),
        "{advised}"
    );
    fs::write(marker, "another").unwrap();
    assert_eq!(backup::advise(&server.config, damaged()).message(), "It is damaged.");
}
