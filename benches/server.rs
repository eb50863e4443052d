//! What a peer's request costs: signing, verifying, discovery beside a bare handler with the same bytes, and a whole
//! signed Share Creation Notification through HTTP to the disk.

#[path = "../tests/it/harness/mod.rs"]
#[allow(dead_code, unused_imports)]
mod harness;

use std::hint::black_box;
use std::time::Duration;
use std::time::Instant;

use actix_web::App;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::rt::System;
use actix_web::web;
use criterion::Criterion;
use criterion::Throughput;
use criterion::criterion_group;
use criterion::criterion_main;
use futures_util::future::join_all;
use harness::Rogue;
use harness::TestServer;
use ocmesh::clock::Timestamp;
use ocmesh::config::Mode;
use ocmesh::ocm::signature;
use ocmesh::ocm::signature::SigningKey;
use ocmesh::ocm::signature::Unverified;
use ocmesh::ocm::signature::Window;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const URI: &str = "https://receiver.example.org/ocm/shares";
const NOW: Timestamp = Timestamp(1_790_000_000);
/// Requests written at once to a connection, so that the client's waiting is not what is measured.
const BATCH: u64 = 32;

fn signatures(criterion: &mut Criterion) {
    let key = SigningKey::from_seed("https://sender.example.org/ocm#key1", &[7; 32]).expect("32 bytes are a seed");
    let body = br#"{"shareWith":"bob@receiver.example.org","name":"report","providerId":"7"}"#;
    criterion.bench_function("sign", |bencher| {
        bencher.iter(|| black_box(signature::sign(&key, "POST", URI, body, NOW, true)));
    });
    let headers: Vec<_> = signature::sign(&key, "POST", URI, body, NOW, true)
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.into_bytes()))
        .collect();
    let request = signature::Request {
        method: "POST",
        target_uri: URI,
        headers: &headers,
        body,
    };
    let jwk = key.jwk();
    criterion.bench_function("verify", |bencher| {
        bencher.iter(|| {
            let read = Unverified::read(&request).expect("readable").expect("signed");
            black_box(read.check(&request, NOW, &Window::default(), &jwk).expect("valid"))
        });
    });
}

fn discovery(criterion: &mut Criterion) {
    let system = System::new();
    let (server, bare) = system.block_on(async {
        let server = TestServer::start().await;
        let document = harness::http()
            .get(server.url("/.well-known/ocm"))
            .send()
            .await
            .expect("an answer")
            .bytes()
            .await
            .expect("a body");
        let bare = HttpServer::new(move || {
            let document = document.clone();
            App::new().default_service(web::to(move || {
                let answer = HttpResponse::Ok()
                    .content_type("application/json")
                    .body(document.clone());
                async move { answer }
            }))
        })
        .workers(1)
        .disable_signals()
        .bind("127.0.0.1:0")
        .expect("a free port");
        let address = bare.addrs()[0];
        actix_web::rt::spawn(bare.run());
        (server, address.to_string())
    });
    let mut group = criterion.benchmark_group("discovery");
    group.throughput(Throughput::Elements(BATCH));
    for (name, address) in [("bare handler", bare), ("discovery", server.provider().to_string())] {
        let mut stream = system.block_on(TcpStream::connect(&address)).expect("a server");
        let one = format!("GET /.well-known/ocm HTTP/1.1\r\nHost: {address}\r\n\r\n");
        let length = system.block_on(answer_length(&mut stream, &one));
        let requests = one.repeat(usize::try_from(BATCH).expect("a small number"));
        let mut answers = vec![0; length * usize::try_from(BATCH).expect("a small number")];
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                system.block_on(async {
                    stream
                        .write_all(requests.as_bytes())
                        .await
                        .expect("a server that reads");
                    stream.read_exact(&mut answers).await.expect("a server that answers");
                });
            });
        });
    }
    group.finish();
}

/// The date in it has a fixed width, so all answers are as long as the first.
async fn answer_length(stream: &mut TcpStream, request: &str) -> usize {
    stream.write_all(request.as_bytes()).await.expect("a server that reads");
    let mut answer = Vec::new();
    while !answer.ends_with(b"}") {
        stream.read_buf(&mut answer).await.expect("a server that answers");
    }
    answer.len()
}

fn share_creation(criterion: &mut Criterion) {
    let system = System::new();
    let (server, rogue) = system.block_on(async {
        let server = TestServer::start_with(|config| {
            config.federation.mode = Mode::Open;
        })
        .await;
        server.user("bob").await;
        (server, Rogue::start().await)
    });
    let mut group = criterion.benchmark_group("signed share creation");
    let mut next = 0_u64;
    for at_once in [1, 64] {
        group.throughput(Throughput::Elements(at_once));
        group.bench_function(format!("{at_once} at once"), |bencher| {
            bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let requests: Vec<_> = (0..at_once).map(|_| signed_share(&server, &rogue, &mut next)).collect();
                    let connections = system.block_on(join_all(
                        requests
                            .iter()
                            .map(|_| TcpStream::connect(server.provider().to_string())),
                    ));
                    let calls = connections
                        .into_iter()
                        .zip(&requests)
                        .map(|(stream, request)| async move {
                            let mut stream = stream.expect("a server");
                            stream.write_all(request).await.expect("a server that reads");
                            let mut answer = [0; 12];
                            stream.read_exact(&mut answer).await.expect("a server that answers");
                            assert_eq!(&answer, b"HTTP/1.1 201");
                        });
                    let began = Instant::now();
                    system.block_on(join_all(calls));
                    spent += began.elapsed();
                }
                spent
            });
        });
    }
    group.finish();
}

/// Each from a sender of its own, who has no other shares waiting.
fn signed_share(server: &TestServer, rogue: &Rogue, next: &mut u64) -> Vec<u8> {
    *next += 1;
    let mut message = rogue.share_for(server, "bob", &next.to_string());
    let sender = rogue.address(&format!("sender{next}"));
    message["sender"] = sender.clone().into();
    message["owner"] = sender.into();
    let body = message.to_string();
    let mut head = format!(
        "POST /ocm/shares HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n",
        server.provider()
    );
    for (name, value) in rogue.sign(server, "/ocm/shares", body.as_bytes(), server.clock.now(), &rogue.key) {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    format!("{head}\r\n{body}").into_bytes()
}

criterion_group!(benches, signatures, discovery, share_creation);
criterion_main!(benches);
