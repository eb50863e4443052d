//! Clients that take for ever, and protocols that are not spoken: others are served meanwhile (T-29, T-30).

use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use ocmesh::config::Span;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;

use crate::harness::TestServer;
use crate::harness::http;

const SLOW: usize = 200;

async fn impatient() -> TestServer {
    TestServer::start_with(|config| config.limits.client_timeout = Span::seconds(1)).await
}

async fn connect(server: &TestServer, begin: &str) -> tokio::net::TcpStream {
    let mut stream = tokio::net::TcpStream::connect(server.provider().to_string())
        .await
        .unwrap();
    stream.write_all(begin.as_bytes()).await.unwrap();
    stream
}

/// Waits until the server hangs up, however long the test's patience is.
async fn hung_up(stream: &mut tokio::net::TcpStream) -> String {
    let mut said = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut said)).await;
    assert!(ended.is_ok(), "the server still waits");
    String::from_utf8_lossy(&said).into_owned()
}

async fn is_served(server: &TestServer) {
    let asked = http().get(server.url("/.well-known/ocm")).send();
    let answer = tokio::time::timeout(Duration::from_secs(10), asked).await;
    assert_eq!(answer.expect("others wait").unwrap().status(), 200);
}

#[actix_web::test]
async fn t29_heads_that_never_end_hold_up_nobody_and_are_hung_up_on() {
    let server = impatient().await;
    let mut slow = Vec::new();
    for _ in 0..SLOW {
        slow.push(connect(&server, "GET /.well-known/ocm HTTP/1.1\r\nhost: a.example\r\nx: ").await);
    }
    is_served(&server).await;
    for mut stream in slow {
        let said = hung_up(&mut stream).await;
        assert!(!said.contains(" 200 "), "{said}");
    }
}

#[actix_web::test]
async fn t29_bodies_that_never_end_hold_up_nobody_and_are_hung_up_on() {
    let server = impatient().await;
    server.user("ada").await;
    let begin = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n{{",
            server.provider()
        )
    };
    let mut slow = Vec::new();
    for path in ["/ocm/shares", "/ocm/notifications", "/ocm/token", "/login"] {
        for _ in 0..SLOW / 4 {
            slow.push(connect(&server, &begin(path)).await);
        }
    }
    is_served(&server).await;
    for mut stream in slow {
        let said = hung_up(&mut stream).await;
        let refused = said.is_empty() || said.starts_with("HTTP/1.1 4");
        assert!(refused, "{said}");
    }
}

#[actix_web::test]
async fn t30_http_2_is_not_spoken_so_none_of_its_floods_begins() {
    let server = impatient().await;
    // Without TLS: the preface of HTTP/2, known beforehand.
    let mut stream = connect(&server, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    stream.write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).await.unwrap();
    let said = hung_up(&mut stream).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 4"), "{said:?}");
    is_served(&server).await;
}

#[actix_web::test]
async fn t30_over_tls_http_2_is_not_offered() {
    let tls = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/tls");
    let server = TestServer::start_with(|config| {
        config.tls.cert_file = Some(format!("{tls}/good.pem").into());
        config.tls.key_file = Some(format!("{tls}/good.key").into());
    })
    .await;
    let mut roots = rustls::RootCertStore::empty();
    let ca = CertificateDer::from_pem_file(format!("{tls}/ca.pem")).unwrap();
    roots.add(ca).unwrap();
    let mut config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let address = server.provider().to_string();
    let chosen = tokio::task::spawn_blocking(move || {
        let name = rustls::pki_types::ServerName::try_from("127.0.0.1").unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(config), name).unwrap();
        let mut socket = TcpStream::connect(address).unwrap();
        while client.is_handshaking() {
            client.complete_io(&mut socket).unwrap();
        }
        let mut stream = rustls::Stream::new(&mut client, &mut socket);
        stream
            .write_all(b"GET /livez HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n")
            .unwrap();
        let mut said = Vec::new();
        let _ = stream.read_to_end(&mut said);
        (
            client.alpn_protocol().map(<[u8]>::to_vec),
            String::from_utf8_lossy(&said).into_owned(),
        )
    })
    .await
    .unwrap();
    assert_ne!(chosen.0.as_deref(), Some(&b"h2"[..]));
    assert!(chosen.1.starts_with("HTTP/1.1 200"), "{}", chosen.1);
}
