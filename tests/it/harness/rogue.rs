//! A peer driven by hand: it says what it is told to say, signs what it is told to sign, and remembers who called.

use std::collections::HashMap;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use actix_web::App;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use actix_web::http::StatusCode;
use actix_web::web;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream;
use ocmesh::clock::Timestamp;
use ocmesh::ocm::address::Provider;
use ocmesh::ocm::signature;
use ocmesh::ocm::signature::SigningKey;
use serde_json::Value;
use serde_json::json;

use super::TestServer;
use super::http;

/// What a [`Rogue`] answers at one path.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn json(status: u16, body: Value) -> Self {
        Self {
            status,
            headers: vec![("content-type".to_owned(), "application/json".to_owned())],
            body: body.to_string().into_bytes(),
        }
    }

    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// How a [`Rogue`] answers badly, and never comes to an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// It takes the request and says nothing.
    Silent,
    /// It says 200 (207 where a listing was asked for) and then one byte at a time, for ever.
    Drips,
    /// It says 200 and then as much as fits through the wire, for ever.
    Floods,
}

/// A request that a [`Rogue`] got.
#[derive(Clone, Debug)]
pub struct Recorded {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Recorded {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }
}

/// Answers a request after looking at it; where it has nothing to say, what was written down is the answer.
pub type Judge = Arc<dyn Fn(Recorded) -> LocalBoxFuture<'static, Option<Reply>> + Send + Sync>;

#[derive(Default)]
struct Script {
    judge: Option<Judge>,
    /// By method and path; each queue's last reply is given for ever.
    replies: HashMap<(String, String), Vec<Reply>>,
    manners: HashMap<(String, String), Manner>,
    seen: Vec<Recorded>,
}

/// A server that does what a test says, on a port of its own. Unless told otherwise it has a discovery document, one key,
/// and answers 201 to whatever is posted.
pub struct Rogue {
    pub provider: Provider,
    pub key: SigningKey,
    script: Arc<Mutex<Script>>,
    server: ServerHandle,
}

impl Rogue {
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1").await
    }

    pub async fn start_at(ip: &str) -> Self {
        Self::start_named(ip, ip).await
    }

    /// One that goes by `name`; tests say with [`names`](super::names) that this name leads to `ip`.
    pub async fn start_named(name: &str, ip: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let provider = Provider::parse(&format!("{name}:{port}")).unwrap();
        let seed: [u8; 32] = ocmesh::random::bytes();
        let key = SigningKey::from_seed(&format!("http://{provider}/ocm#rogue"), &seed).unwrap();
        let script: Arc<Mutex<Script>> = Arc::default();
        let shared = web::Data::from(Arc::clone(&script));
        let server = HttpServer::new(move || App::new().app_data(shared.clone()).default_service(web::to(answer)))
            .workers(1)
            .disable_signals()
            .listen(listener)
            .unwrap()
            .run();
        let handle = server.handle();
        actix_web::rt::spawn(server);
        let rogue = Self {
            provider,
            key,
            script,
            server: handle,
        };
        rogue.reply("GET", "/.well-known/ocm", Reply::json(200, rogue.discovery()));
        rogue.reply(
            "GET",
            "/.well-known/jwks.json",
            Reply::json(200, json!({ "keys": [rogue.key.jwk()] })),
        );
        rogue
    }

    /// A discovery document without fault.
    pub fn discovery(&self) -> Value {
        let at = |path: &str| format!("http://{}{path}", self.provider);
        json!({
            "enabled": true,
            "apiVersion": "1.4.0",
            "endPoint": at("/ocm"),
            "provider": "Rogue",
            "resourceTypes": [
                { "name": "file", "shareTypes": ["user"], "protocols": { "webdav": "/dav/", "webdav-receive": { "uri": "relative" } } },
                { "name": "folder", "shareTypes": ["user"], "protocols": { "webdav": "/dav/", "webdav-receive": { "uri": "relative" } } }
            ],
            "capabilities": ["http-sig", "exchange-token", "invites", "notifications", "protocol-object"],
            "criteria": [],
            "tokenEndPoint": at("/ocm/token"),
            "jwksUri": at("/.well-known/jwks.json"),
            "inviteAcceptDialog": at("/accept")
        })
    }

    pub fn address(&self, user: &str) -> String {
        format!("{user}@{}", self.provider)
    }

    /// From now on, this is the answer there.
    pub fn reply(&self, method: &str, path: &str, reply: Reply) {
        self.replies(method, path, vec![reply]);
    }

    /// The answers there, one after the other; the last one stays.
    pub fn replies(&self, method: &str, path: &str, replies: Vec<Reply>) {
        let mut script = self.script.lock().unwrap();
        script.replies.insert((method.to_owned(), path.to_owned()), replies);
    }

    /// From now on, this is how it behaves there.
    pub fn behave(&self, method: &str, path: &str, manner: Manner) {
        let mut script = self.script.lock().unwrap();
        script.manners.insert((method.to_owned(), path.to_owned()), manner);
    }

    /// From now on, it answers there again.
    pub fn behave_well(&self, method: &str, path: &str) {
        let mut script = self.script.lock().unwrap();
        script.manners.remove(&(method.to_owned(), path.to_owned()));
    }

    /// From now on, this one is asked first.
    pub fn judged_by(&self, judge: Judge) {
        self.script.lock().unwrap().judge = Some(judge);
    }

    pub fn seen(&self) -> Vec<Recorded> {
        self.script.lock().unwrap().seen.clone()
    }

    /// The requests that came to this path.
    pub fn seen_at(&self, path: &str) -> Vec<Recorded> {
        self.seen().into_iter().filter(|seen| seen.path == path).collect()
    }

    pub fn forget_seen(&self) {
        self.script.lock().unwrap().seen.clear();
    }

    /// A share for `user` at `server`, in this server's name and without fault.
    pub fn share_for(&self, server: &TestServer, user: &str, provider_id: &str) -> Value {
        json!({
            "shareWith": server.address(user),
            "name": "report.txt",
            "providerId": provider_id,
            "owner": self.address("eve"),
            "sender": self.address("eve"),
            "senderDisplayName": "Eve",
            "shareType": "user",
            "resourceType": "file",
            "protocol": { "name": "multi", "webdav": {
                "uri": provider_id,
                "sharedSecret": "s3cretcanaryofthesharethatisneverlogged",
                "permissions": ["read"],
                "requirements": ["must-exchange-token"]
            }}
        })
    }

    /// Posts JSON with this server's signature.
    pub async fn post(&self, server: &TestServer, path: &str, body: &Value) -> reqwest::Response {
        let body = body.to_string().into_bytes();
        self.post_bytes(server, path, "application/json", body, &self.key).await
    }

    pub async fn post_bytes(
        &self,
        server: &TestServer,
        path: &str,
        content_type: &str,
        body: Vec<u8>,
        key: &SigningKey,
    ) -> reqwest::Response {
        let headers = self.sign(server, path, &body, server.clock.now(), key);
        post_raw(server, path, content_type, body, &headers).await
    }

    pub fn sign(
        &self,
        server: &TestServer,
        path: &str,
        body: &[u8],
        at: Timestamp,
        key: &SigningKey,
    ) -> Vec<(&'static str, String)> {
        signature::sign(key, "POST", &server.url(path), body, at, true)
    }

    /// Accepts an invite of `server` as `user` here, so that the two are acquainted.
    pub async fn befriend(&self, server: &TestServer, user: &str) {
        let host = server.config.server.public_url.provider();
        let _ = host;
        let invite = server.invite(user).await;
        let body = json!({
            "recipientProvider": self.provider.to_string(),
            "token": invite["token"],
            "userID": "eve",
            "email": "eve@rogue.example",
            "name": "Eve"
        });
        let answer = self.post(server, "/ocm/invite-accepted", &body).await;
        assert_eq!(answer.status(), 200);
    }
}

impl Drop for Rogue {
    fn drop(&mut self) {
        // Nobody waits for it: it ends with the test's runtime at the latest.
        drop(self.server.stop(false));
    }
}

/// Posts bytes with exactly these headers besides the content type.
pub async fn post_raw(
    server: &TestServer,
    path: &str,
    content_type: &str,
    body: Vec<u8>,
    headers: &[(&'static str, String)],
) -> reqwest::Response {
    let mut request = http()
        .post(server.url(path))
        .header("content-type", content_type)
        .body(body);
    for (name, value) in headers {
        if *name != "content-length" {
            request = request.header(*name, value);
        }
    }
    request.send().await.unwrap()
}

async fn answer(script: web::Data<Mutex<Script>>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    let recorded = Recorded {
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
        query: request.query_string().to_owned(),
        headers: request
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect(),
        body: body.to_vec(),
    };
    let listing = recorded.method == "PROPFIND";
    let judge = {
        let mut script = script.lock().unwrap();
        script.seen.push(recorded.clone());
        script.judge.clone()
    };
    if let Some(judge) = judge
        && let Some(reply) = judge(recorded.clone()).await
    {
        return say(reply);
    }
    let (reply, manner) = {
        let mut script = script.lock().unwrap();
        let key = (recorded.method, recorded.path);
        let reply = match script.replies.get_mut(&key) {
            Some(replies) if replies.len() > 1 => replies.remove(0),
            Some(replies) => replies[0].clone(),
            None => Reply::json(if key.0 == "POST" { 201 } else { 404 }, json!({})),
        };
        (reply, script.manners.get(&key).copied())
    };
    if let Some(manner) = manner {
        return misbehave(manner, if listing { 207 } else { 200 }).await;
    }
    say(reply)
}

fn say(reply: Reply) -> HttpResponse {
    let mut response = HttpResponse::build(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in &reply.headers {
        response.insert_header((name.as_str(), value.as_str()));
    }
    if reply
        .headers
        .iter()
        .any(|(name, value)| name == "connection" && value == "close")
    {
        response.force_close();
    }
    response.body(reply.body)
}

async fn misbehave(manner: Manner, status: u16) -> HttpResponse {
    let (size, wait) = match manner {
        Manner::Silent => return std::future::pending().await,
        Manner::Drips => (1, Duration::from_millis(20)),
        Manner::Floods => (64 << 10, Duration::ZERO),
    };
    let endless = stream::repeat(()).then(move |()| async move {
        if !wait.is_zero() {
            actix_web::rt::time::sleep(wait).await;
        }
        Ok::<_, std::io::Error>(web::Bytes::from(vec![b' '; size]))
    });
    HttpResponse::build(StatusCode::from_u16(status).unwrap()).streaming(endless)
}
