//! A server in the hands of whoever runs it: started by a word, asked how it is, given other settings, and stopped.

use std::fs;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

use serde_json::Value;

use crate::harness::Process;
use crate::harness::free_port;
use crate::harness::process;
use crate::harness::process::told;

const GO_ON: &[u8; 25] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// The first half of a request that is under way until it has the second.
fn begin_request(process: &Process) -> TcpStream {
    let mut stream = process.connect();
    let head = format!(
        "POST /ocm/token HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: 40\r\nExpect: 100-continue\r\n\r\n",
        process.port
    );
    stream.write_all(head.as_bytes()).unwrap();
    // It is under way once the server has read its head, and says so.
    let mut said = [0; GO_ON.len()];
    stream.read_exact(&mut said).unwrap();
    assert_eq!(said, *GO_ON);
    stream.write_all(b"grant_type=none&co").unwrap();
    stream
}

fn finish_request(mut stream: TcpStream) -> String {
    stream.write_all(b"de=0123456789abcdefghi").unwrap();
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    line
}

fn provider(process: &Process) -> Option<String> {
    let answer = process.get("/.well-known/ocm")?;
    let document: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
    Some(document["provider"].as_str()?.to_owned())
}

#[test]
fn the_signal_to_hang_up_puts_settings_in_force() {
    let mut process = Process::new("[limits]\nmax_body = \"64KiB\"\n[federation]\nmode = \"open\"\n");
    process.reconfigure("[server]\n", "[server]\nname = \"Before\"\n");
    process.start();
    assert_eq!(provider(&process).as_deref(), Some("Before"));
    let criteria = |it: &Process| {
        it.get("/.well-known/ocm")
            .is_some_and(|said| said.contains("allowlist"))
    };
    assert!(!criteria(&process));
    process.reconfigure("Before", "After");
    process.reconfigure("mode = \"open\"", "mode = \"allowlist\"");
    process.reconfigure("64KiB", "1KiB");
    process.signal("HUP");
    process.wait_for("the new name", |it| provider(it).as_deref() == Some("After"));
    assert!(criteria(&process));
    let too_long = format!(
        "POST /ocm/notifications HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nContent-Type: application/json\r\n\
         Content-Length: 2000\r\nConnection: close\r\n\r\n{}",
        process.port,
        " ".repeat(2000)
    );
    let mut stream = process.connect();
    stream.write_all(too_long.as_bytes()).unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    assert_eq!(process::status(&answer), Some(413), "{answer}");
    // Told once all of it is done.
    process.wait_for("what has changed", |it| it.log().contains("server.name"));
    assert_eq!(process.stop(), Some(0));
}

#[test]
fn settings_that_can_not_be_are_refused_with_their_line_and_the_old_ones_stay() {
    let mut process = Process::new("");
    process.reconfigure("[server]\n", "[server]\nname = \"Before\"\n");
    process.start();
    let id = process.id();
    let good = fs::read_to_string(process.path("ocm.toml")).unwrap();
    for (bad, parts) in [
        (good.replace("\"Before\"", "7"), &["ocm.toml:2:"][..]),
        (
            good.replace("Before", "After") + "[tls]\nmode = \"files\"\n",
            &["tls.mode", "cert_file"],
        ),
        (
            good.replace("Before", "After")
                + "[mail]\nsmtp_url = \"smtps://ocm@mail.example.org\"\nfrom = \"a@b.example\"\npassword_file = \"none\"\n",
            &["mail.password_file", "No such file"],
        ),
    ] {
        let before = process.log().len();
        fs::write(process.path("ocm.toml"), &bad).unwrap();
        process.signal("HUP");
        process.wait_for("a refusal", |it| it.log()[before..].contains("are refused"));
        for part in parts {
            assert!(process.log()[before..].contains(part), "{part}: {}", process.log());
        }
        assert_eq!(provider(&process).as_deref(), Some("Before"));
    }
    assert_eq!(process.id(), id);
    // By command, who asked hears it.
    let (code, said) = process.code(&["config", "reload", "--config", "none.toml"]);
    assert!(code != Some(0), "{said}");
    fs::write(process.path("ocm.toml"), good.replace("Before", "After")).unwrap();
    let (code, said) = process.code(&["config", "reload"]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("server.name"), "{said}");
    assert_eq!(provider(&process).as_deref(), Some("After"));
    let (_, log) = process.code(&["audit", "list"]);
    assert!(
        log.contains("settings.reread") && log.contains("via command line"),
        "{log}"
    );
    assert_eq!(process.stop(), Some(0));
}

#[test]
fn what_needs_a_restart_is_named_and_stays_as_it_is() {
    let mut process = Process::new("");
    process.start();
    process.reconfigure("data_dir = \"data\"", "data_dir = \"elsewhere\"\nname = \"After\"");
    let port = process.port;
    process.reconfigure(&format!("http://127.0.0.1:{port}"), "http://other.example");
    process.reconfigure("../admin.sock", "other.sock");
    process.signal("HUP");
    process.wait_for("the new name", |it| provider(it).as_deref() == Some("After"));
    process.wait_for("the warning", |it| {
        it.log()
            .contains("until a restart: server.public_url, server.data_dir, server.admin_socket")
    });
    assert!(!process.path("elsewhere").exists());
    assert!(
        process
            .get("/.well-known/ocm")
            .unwrap()
            .contains(&format!("http://127.0.0.1:{port}"))
    );
}

#[test]
fn nobody_is_refused_while_settings_are_read_again_and_who_was_under_way_ends_well() {
    let mut process = Process::new("");
    // However long somebody takes: the grace is for who stops the whole server.
    process.reconfigure("[server]\n", "[server]\nshutdown_grace = \"1s\"\n");
    process.start();
    let port = process.port;
    let other = free_port();
    let under_way = begin_request(&process);
    let over = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                let mut answers = Vec::new();
                while answers.len() < 50 || !over.load(Ordering::SeqCst) {
                    answers.push(process::get(port, "/.well-known/ocm").and_then(|said| process::status(&said)));
                }
                answers
            })
        })
        .collect();
    // Listeners are exchanged, too: with another address, and with other time-outs.
    for round in 0..6 {
        let before = process.log().matches("are in force").count();
        let (old, new) = match round % 2 {
            0 => (
                format!("listen = [\"127.0.0.1:{port}\"]"),
                format!("listen = [\"127.0.0.1:{port}\", \"127.0.0.1:{other}\"]"),
            ),
            _ => (
                format!("listen = [\"127.0.0.1:{port}\", \"127.0.0.1:{other}\"]"),
                format!("listen = [\"127.0.0.1:{port}\"]"),
            ),
        };
        process.reconfigure(&old, &new);
        process.signal("HUP");
        process.wait_for("the settings", |it| it.log().matches("are in force").count() > before);
        let reachable = round % 2 == 0;
        process.wait_for("the other address", |_| {
            process::get(other, "/livez").is_some() == reachable
        });
    }
    over.store(true, Ordering::SeqCst);
    let answers: Vec<_> = asking.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert!(answers.len() >= 200);
    let failed = answers.iter().filter(|status| **status != Some(200)).count();
    assert_eq!(failed, 0, "of {}", answers.len());
    assert!(finish_request(under_way).starts_with("HTTP/1.1 4"));
    assert_eq!(process.stop(), Some(0));
}

#[test]
fn a_new_address_that_is_taken_changes_nothing() {
    let mut process = Process::new("");
    process.start();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let port = process.port;
    process.reconfigure(
        &format!("listen = [\"127.0.0.1:{port}\"]"),
        &format!("listen = [\"127.0.0.1:{port}\", \"{address}\"]\nname = \"After\""),
    );
    process.signal("HUP");
    process.wait_for("a refusal", |it| it.log().contains("are refused"));
    assert!(process.log().contains(&address.to_string()));
    assert_ne!(provider(&process).as_deref(), Some("After"));
    // A start with it is one to be tried again: the other program may end.
    assert_eq!(process.stop(), Some(0));
    let (code, said) = process.code(&["serve", "--json"]);
    assert_eq!(code, Some(75), "{said}");
    assert!(
        said.contains("address-taken") || said.contains("ADDRESS_TAKEN"),
        "{said}"
    );
    assert!(
        said.contains("another program") && said.contains("server.listen"),
        "{said}"
    );
}

#[test]
fn t90_who_was_under_way_is_answered_and_nobody_half() {
    let mut process = Process::new("");
    process.start();
    let port = process.port;
    let under_way = begin_request(&process);
    // A browser that only holds its connection holds up nothing.
    let mut idle = process.connect();
    write!(idle, "GET /livez HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n").unwrap();
    idle.read_exact(&mut [0; 12]).unwrap();
    let answered = Arc::new(AtomicUsize::new(0));
    let over = Arc::new(AtomicBool::new(false));
    let asking: Vec<_> = (0..4)
        .map(|_| {
            let (over, answered) = (Arc::clone(&over), Arc::clone(&answered));
            std::thread::spawn(move || {
                let mut answers = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    answers.extend(process::get(port, "/.well-known/ocm").filter(|said| !said.is_empty()));
                    answered.fetch_add(1, Ordering::SeqCst);
                }
                answers
            })
        })
        .collect();
    // A listener that has been replaced meanwhile makes no difference.
    let listen = format!("listen = [\"127.0.0.1:{port}\"]");
    let both = format!("listen = [\"127.0.0.1:{port}\", \"127.0.0.1:{}\"]", free_port());
    process.reconfigure(&listen, &both);
    process.signal("HUP");
    process.wait_for("the settings", |it| it.log().contains("are in force"));
    process.wait_for("some answers", |_| answered.load(Ordering::SeqCst) > 8);
    process.signal("TERM");
    process.wait_for("it to take nobody new", |it| {
        TcpStream::connect(("127.0.0.1", it.port)).is_err()
    });
    assert!(finish_request(under_way).starts_with("HTTP/1.1 4"));
    let began = Instant::now();
    assert_eq!(process.ended().code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "it waited for nobody");
    over.store(true, Ordering::SeqCst);
    let answers: Vec<_> = asking.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert!(!answers.is_empty());
    for answer in &answers {
        assert_eq!(process::status(answer), Some(200), "{answer}");
        assert!(answer.trim_end().ends_with('}'), "half an answer: {answer}");
    }
    // And nothing of it is in the way of the next.
    process.start();
    assert_eq!(process.stop(), Some(0));
}

#[test]
fn t90_when_the_grace_is_over_the_rest_is_cut_and_the_data_is_whole() {
    let mut process = Process::new("");
    process.reconfigure("[server]\n", "[server]\nshutdown_grace = \"1s\"\n");
    process.start();
    assert_eq!(process.code(&["user", "add", "ada"]).0, Some(0));
    let under_way = begin_request(&process);
    let began = Instant::now();
    assert_eq!(process.stop(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    drop(under_way);
    process.start();
    assert!(process.code(&["user", "list"]).1.contains("ada"));
}

#[test]
fn t90_who_can_not_wait_says_so_twice() {
    let mut process = Process::new("");
    process.reconfigure("[server]\n", "[server]\nshutdown_grace = \"1h\"\n");
    process.start();
    assert_eq!(process.code(&["user", "add", "ada"]).0, Some(0));
    let under_way = begin_request(&process);
    process.signal("INT");
    process.wait_for("it to stop", |it| it.log().contains("finished first"));
    process.signal("INT");
    assert_eq!(process.ended().code(), Some(130));
    drop(under_way);
    process.start();
    assert!(process.code(&["user", "list"]).1.contains("ada"));
}

#[test]
fn a_service_manager_hears_how_it_goes() {
    let mut process = Process::new("");
    let manager = UnixDatagram::bind(process.path("notify")).unwrap();
    manager.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let hear = |wanted: &str| {
        let mut all = String::new();
        loop {
            let mut buffer = [0; 4096];
            let length = manager
                .recv(&mut buffer)
                .unwrap_or_else(|_| panic!("{wanted} is not among {all}"));
            let said = String::from_utf8(buffer[..length].to_vec()).unwrap();
            if said.contains(wanted) {
                return said;
            }
            all.push_str(&said);
        }
    };
    let command = format!("WATCHDOG_PID=$$ exec {} serve", env!("CARGO_BIN_EXE_ocmesh"));
    let mut shell = process.around("sh", &["-c", &command]);
    shell
        .env("NOTIFY_SOCKET", process.path("notify"))
        .env("WATCHDOG_USEC", "400000");
    process.start_as(shell);
    let ready = hear("READY=1");
    assert!(
        ready.contains(&format!("STATUS=Serves 127.0.0.1:{}", process.port)),
        "{ready}"
    );
    hear("WATCHDOG=1");
    hear("WATCHDOG=1");
    process.signal("HUP");
    let reloading = hear("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    hear("READY=1");
    process.signal("TERM");
    hear("STOPPING=1");
    assert_eq!(process.ended().code(), Some(0));
}

#[test]
fn how_it_is_is_said_on_one_screen_and_by_exit_code() {
    let mut process = Process::new("");
    let (code, said) = process.code(&["status", "--ready"]);
    assert_eq!(code, Some(4), "{said}");
    assert!(said.contains("ocmesh serve"), "{said}");
    assert!(!process.path("data").exists(), "a look made data");
    let ready = process.path("ready");
    process.start_with(&["--ready-file", ready.to_str().unwrap()]);
    process.wait_for("the file", |it| it.path("ready").exists());
    assert_eq!(
        fs::read_to_string(&ready).unwrap(),
        format!("http://127.0.0.1:{}\n", process.port)
    );
    assert_eq!(process.code(&["status", "--ready"]).0, Some(0));
    let (code, said) = process.code(&["status"]);
    assert_eq!(code, Some(0));
    for part in [
        "ready, for",
        "http://127.0.0.1",
        "plain http",
        "by invitation only",
        "Queue        empty",
        "none yet",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let output = process.run(&["status", "--json"]);
    let status: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(status["ready"], true);
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["storage"]["free"].as_u64().unwrap() > 0);
    assert_eq!(process.stop(), Some(0));
    assert!(!ready.exists(), "it says that it is ready, and is not");
}

#[test]
fn the_command_line_wins_over_all_and_is_named() {
    let mut process = Process::new("");
    let port = process.port;
    process.reconfigure(
        &format!("listen = [\"127.0.0.1:{port}\"]"),
        "listen = [\"127.0.0.1:1\"]\nname = \"file\"",
    );
    let mut command = process.command(&["serve", "--listen", &format!("127.0.0.1:{port}"), "--tls", "off"]);
    command
        .env("OCM_SERVER_LISTEN", "127.0.0.1:2")
        .env("OCM_SERVER_NAME", "environment");
    process.start_as(command);
    let (_, said) = process.code(&["config", "show", "--origin"]);
    let line = |key: &str| said.lines().find(|line| line.starts_with(key)).unwrap();
    assert!(line("server.listen ").ends_with("--listen"), "{said}");
    assert!(line("tls.mode").ends_with("--tls"), "{said}");
    assert!(line("server.name").ends_with("OCM_SERVER_NAME"), "{said}");
    assert!(line("server.public_url").ends_with("ocm.toml:2"), "{said}");
    // They hold when the settings are read again.
    process.signal("HUP");
    process.wait_for("the settings", |it| it.log().contains("are in force"));
    assert_eq!(process.status("/livez"), Some(200));
}

#[test]
fn a_public_server_is_one_word_and_agreement() {
    let process = Process::new("");
    fs::remove_file(process.path("ocm.toml")).unwrap();
    let (code, said) = process.code(&["serve", "cloud.example.org"]);
    assert_eq!(code, Some(78), "{said}");
    assert!(said.contains("--agree-tos") && said.contains("letsencrypt"), "{said}");
    let (code, said) = process.code(&["serve", "https://cloud.example.org/"]);
    assert_eq!(code, Some(2), "{said}");
    assert!(said.contains("did you mean cloud.example.org?"), "{said}");
    let (code, said) = process.code(&["serve", "--tls", "acne"]);
    assert_eq!(code, Some(2));
    assert!(said.contains("--tls") && said.contains("'acme'"), "{said}");
    // What speaks no TLS, or speaks it elsewhere, is none; and it is no reason to leave people without it unsaid.
    let elsewhere = [
        "serve",
        "cloud.example.org",
        "--agree-tos",
        "--listen",
        "127.0.0.1:8443",
    ];
    let (code, said) = process.code(&elsewhere);
    assert_eq!(code, Some(78));
    assert!(
        said.contains("--listen: 127.0.0.1:8443") && said.contains("--tls proxy"),
        "{said}"
    );
    // What an option is to blame for is said of the option.
    for (wrong, parts) in [
        (&["--tls", "acme"][..], ["--tls: tls.mode: ", "DOMAIN"]),
        (&["--tls", "files"], ["--tls: tls.mode: ", "cert_file"]),
        (
            &["--listen", "127.0.0.1:1"],
            ["--listen: server.listen: ", "--public-url"],
        ),
    ] {
        let (code, said) = process.code(&[&["serve"], wrong].concat());
        assert_eq!(code, Some(78), "{said}");
        assert!(parts.iter().all(|part| said.contains(part)), "{said}");
    }
    assert_eq!(
        fs::read_dir(process.path("")).unwrap().count(),
        0,
        "something was made in spite of it"
    );
}

#[test]
fn a_configuration_to_begin_with_is_written_once() {
    let process = Process::new("");
    fs::remove_file(process.path("ocm.toml")).unwrap();
    let (code, said) = process.code(&[
        "init",
        "cloud.example.org",
        "--acme-email",
        "admin@example.org",
        "--agree-tos",
    ]);
    assert_eq!(code, Some(0), "{said}");
    let text = fs::read_to_string(process.path("ocm.toml")).unwrap();
    for line in [
        "\npublic_url = \"https://cloud.example.org\"\n",
        "\nlisten = [\"[::]:443\"]\n",
        "\nacme_email = \"admin@example.org\"\n",
        "\n# Whom the authority may write to.\n",
    ] {
        assert!(text.contains(line), "{line}");
    }
    assert_eq!(process.code(&["config", "check"]).0, Some(0));
    let (code, said) = process.code(&["init"]);
    assert!(code == Some(1) && said.contains("left as it is"), "{said}");
    assert_eq!(fs::read_to_string(process.path("ocm.toml")).unwrap(), text);
    let (code, _) = process.code(&["init", "--config", "other.toml"]);
    assert_eq!(code, Some(0));
    assert_eq!(
        fs::read_to_string(process.path("other.toml")).unwrap(),
        ocmesh::config::EXAMPLE
    );
}

#[test]
fn all_that_is_wrong_with_a_file_is_said_at_once() {
    let process = Process::new("[federation]\nmode = \"invites\"\n[tls]\nemial = 1\n");
    let (code, said) = told(process.run(&["config", "check"]));
    assert_eq!(code, Some(78));
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines.len(), 3, "{said}");
    assert!(
        lines[0].contains("ocm.toml:11: ") && lines[0].contains("Did you mean invite?"),
        "{said}"
    );
    assert!(
        lines[1].contains("ocm.toml:13: ") && lines[1].contains("emial"),
        "{said}"
    );
    assert_eq!(lines[2], "2 problems");
}
