//! The way to a server, with a look at who passes: for counting what one honest server asks of another.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::Mutex;

use ocmesh::config::PublicUrl;
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::net::TcpStream;

/// A port that leads to the port of a server, which goes by this one's address.
pub struct Passage {
    pub url: PublicUrl,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    target: Option<SocketAddr>,
    /// `GET /path`, one for each request.
    seen: Vec<String>,
}

impl Passage {
    pub async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = PublicUrl::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = Arc::clone(&state);
        actix_web::rt::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                actix_web::rt::spawn(pass(stream, Arc::clone(&shared)));
            }
        });
        Self { url, state }
    }

    pub fn lead_to(&self, target: SocketAddr) {
        self.state.lock().unwrap().target = Some(target);
    }

    /// How often this was asked for, such as `GET /.well-known/ocm`.
    pub fn count(&self, what: &str) -> usize {
        let state = self.state.lock().unwrap();
        state.seen.iter().filter(|seen| *seen == what).count()
    }
}

async fn pass(stream: TcpStream, state: Arc<Mutex<State>>) {
    let target = state.lock().unwrap().target.expect("it leads somewhere");
    let (mut from_peer, mut to_peer) = stream.into_split();
    let (mut from_server, mut to_server) = TcpStream::connect(target).await.unwrap().into_split();
    actix_web::rt::spawn(async move {
        let _ = tokio::io::copy(&mut from_server, &mut to_peer).await;
        let _ = to_peer.shutdown().await;
    });
    let mut bytes = Vec::new();
    while let Ok(1..) = from_peer.read_buf(&mut bytes).await {
        // Each request of our client begins in a read of its own.
        let first = bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
        if let Some(request) = String::from_utf8_lossy(first).strip_suffix(" HTTP/1.1") {
            state.lock().unwrap().seen.push(request.to_owned());
        }
        if to_server.write_all(&bytes).await.is_err() {
            return;
        }
        bytes.clear();
    }
}
