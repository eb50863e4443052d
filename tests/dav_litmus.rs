//! WebDAV over a real connection, and as the public compliance suite `litmus` sees it.

use std::io::Read;
use std::io::Write;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::process::Command;

use actix_web::App;
use actix_web::HttpRequest;
use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use actix_web::web;
use ocmesh::clock::Clock;
use ocmesh::dav::Ledger;
use ocmesh::dav::Mount;
use ocmesh::dav::Rights;
use ocmesh::files::Tree;
use ocmesh::files::TreePath;
use ocmesh::store::Options;
use ocmesh::store::Store;
use tempfile::TempDir;

/// The suites, and how many tests each has.
const SUITES: [(&str, usize); 5] = [
    ("basic", 16),
    ("copymove", 13),
    ("props", 30),
    ("locks", 41),
    ("http", 4),
];

/// A server with one writable share at `/dav/share`.
struct Server {
    folder: TempDir,
    /// Locks and properties.
    _records: TempDir,
    address: SocketAddr,
    handle: ServerHandle,
}

async fn start() -> Server {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mount = Mount {
        tree: Tree::create(folder.path()).await.expect("a tree"),
        root: TreePath::root(),
        href: "/dav/share".to_owned(),
        rights: Rights {
            read: true,
            write: true,
        },
        also: Vec::new(),
        realm: "alice".to_owned(),
        holder: "share-1".to_owned(),
        max_upload: None,
        origins: Vec::new(),
    };
    let records = tempfile::tempdir().expect("a temporary folder");
    let ledger = Ledger::new(Store::open(records.path(), Options::default()).expect("a store"));
    let server = HttpServer::new(move || {
        let (mount, ledger) = (mount.clone(), ledger.clone());
        App::new().default_service(web::to(move |request: HttpRequest, payload: web::Payload| {
            let (mount, ledger) = (mount.clone(), ledger.clone());
            async move { ocmesh::dav::serve(&mount, &ledger, &request, payload, Clock::system().now()).await }
        }))
    })
    .workers(1)
    .bind(("127.0.0.1", 0))
    .expect("a free port");
    let address = server.addrs()[0];
    let running = server.run();
    let handle = running.handle();
    actix_web::rt::spawn(running);
    Server {
        folder,
        _records: records,
        address,
        handle,
    }
}

/// Sends as it is written, and gives all that comes back until the server closes the connection.
async fn exchange(address: SocketAddr, request: Vec<u8>, then_hang_up: bool) -> String {
    let talk = move || {
        let mut connection = TcpStream::connect(address)?;
        connection.write_all(&request)?;
        if then_hang_up {
            connection.shutdown(std::net::Shutdown::Write)?;
        }
        let mut answer = Vec::new();
        connection.read_to_end(&mut answer)?;
        std::io::Result::Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    web::block(talk).await.expect("a thread").expect("an answer")
}

#[actix_web::test]
async fn a_head_says_how_long_the_file_is_and_sends_nothing_of_it() {
    let server = start().await;
    std::fs::write(server.folder.path().join("f"), vec![b'x'; 1_000_000]).expect("a file");
    let ask = |method: &str| {
        format!("{method} /dav/share/f HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").into_bytes()
    };
    let head = exchange(server.address, ask("HEAD"), false).await;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
    assert_eq!(
        head.to_ascii_lowercase().matches("content-length: 1000000\r\n").count(),
        1,
        "{head}"
    );
    let got = exchange(server.address, ask("GET"), false).await;
    let (_, body) = got.split_once("\r\n\r\n").expect("head and body");
    assert_eq!(body.len(), 1_000_000);
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn t67_a_client_that_hangs_up_while_it_uploads_changes_nothing() {
    let server = start().await;
    std::fs::write(server.folder.path().join("f"), "old").expect("a file");
    let mut sized = b"PUT /dav/share/f HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\n".to_vec();
    sized.extend(vec![b'x'; 400_000]);
    let mut chunked = b"PUT /dav/share/f HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    chunked.extend(b"3\r\nnew\r\n");
    for request in [sized, chunked] {
        exchange(server.address, request, true).await;
        let names: Vec<_> = std::fs::read_dir(server.folder.path()).expect("a folder").collect();
        assert_eq!(names.len(), 1, "{names:?}");
        assert_eq!(
            std::fs::read_to_string(server.folder.path().join("f")).expect("a file"),
            "old"
        );
    }
    server.handle.stop(false).await;
}

#[actix_web::test]
async fn litmus_finds_nothing_wrong_in_any_of_its_suites() {
    if Command::new("litmus").arg("--version").output().is_err() {
        let why = "`litmus` is not installed (apt-get install litmus), so WebDAV was not checked against it.";
        eprintln!("SKIPPED: {why}");
        let list = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("skipped.txt");
        let mut list = std::fs::File::options().create(true).append(true).open(list).unwrap();
        std::io::Write::write_all(&mut list, format!("{why}\n").as_bytes()).unwrap();
        return;
    }
    let server = start().await;
    let url = format!("http://{}/dav/share/", server.address);

    // Litmus writes its log where it is started.
    let logs = tempfile::tempdir().expect("a temporary folder");
    let mut litmus = Command::new("litmus");
    litmus.arg("--keep-going").arg(&url).current_dir(logs.path());
    let output = web::block(move || litmus.output())
        .await
        .expect("a thread")
        .expect("litmus runs");
    server.handle.stop(false).await;

    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    println!("{said}");
    for (suite, tests) in SUITES {
        let summary = format!("<- summary for `{suite}': of {tests} tests run: {tests} passed, 0 failed. 100.0%");
        assert!(said.contains(&summary), "expected: {summary}\n{said}");
    }
    assert!(output.status.success());
    let warnings: Vec<_> = said.lines().filter(|line| line.contains("WARNING")).collect();
    // A fragment in a request line is dropped by the HTTP library before anyone here can see it.
    assert!(
        warnings.iter().all(|line| line.contains("including fragment")),
        "{warnings:?}"
    );
}
