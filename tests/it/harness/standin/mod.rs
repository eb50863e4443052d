//! Servers as they are deployed, played by a script: what each says of itself, sends, and makes of what it gets, its
//! mistakes included. What they do was seen on running servers or read in their sources; see `tests/fixtures`.

mod files;
mod judge;
mod words;

use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::FutureExt;
use ocmesh::clock::Timestamp;
use ocmesh::ocm::address::Provider;
use ocmesh::ocm::dialect::cavage;
use ocmesh::ocm::dialect::cavage::RsaSigningKey;
use ocmesh::ocm::signature;
use ocmesh::ocm::signature::SigningKey;
use serde_json::Value;
use serde_json::json;
use tokio::sync::Semaphore;

use super::Recorded;
use super::Reply;
use super::Rogue;
use super::TestServer;
use super::http;
use super::post_raw;

/// A product and its version, where versions differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Nextcloud20,
    Nextcloud28,
    Nextcloud31,
    Nextcloud32,
    Nextcloud34,
    Nextcloud35,
    Owncloud10,
    Seafile,
    Reva,
    Opencloud2025,
    Opencloud2026,
    Ocis,
    OpencloudmeshGo,
}

/// How it signs, and demands that others sign who can.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    Unsigned,
    Cavage,
    Rfc9421,
}

impl Kind {
    pub const ALL: [Self; 13] = [
        Self::Nextcloud20,
        Self::Nextcloud28,
        Self::Nextcloud31,
        Self::Nextcloud32,
        Self::Nextcloud34,
        Self::Nextcloud35,
        Self::Owncloud10,
        Self::Seafile,
        Self::Reva,
        Self::Opencloud2025,
        Self::Opencloud2026,
        Self::Ocis,
        Self::OpencloudmeshGo,
    ];

    pub fn form(self) -> Form {
        match self {
            Self::Nextcloud31 | Self::Nextcloud32 | Self::Nextcloud34 => Form::Cavage,
            Self::Nextcloud35 | Self::OpencloudmeshGo => Form::Rfc9421,
            _ => Form::Unsigned,
        }
    }

    /// Whether its people can trade invites.
    pub fn invites(self) -> bool {
        !self.is_php() || matches!(self, Self::Nextcloud32 | Self::Nextcloud34)
    }

    /// Nextcloud, and those who copied its first protocol.
    pub fn is_php(self) -> bool {
        self <= Self::Seafile
    }

    fn is_nextcloud(self) -> bool {
        self <= Self::Nextcloud35
    }

    pub fn takes_folders(self) -> bool {
        self != Self::OpencloudmeshGo
    }

    /// Whether it ever tells what became of a share.
    pub fn tells(self) -> bool {
        (self.is_php() && self != Self::Seafile) || self == Self::OpencloudmeshGo
    }

    /// The path of its API.
    fn api(self) -> &'static str {
        match self {
            Self::Nextcloud20 => "/index.php/ocm",
            Self::Owncloud10 => "/index.php/apps/federatedfilesharing",
            Self::Seafile => "/ocm-via-webdav",
            _ => "/ocm",
        }
    }

    /// The path of its files.
    fn root(self) -> &'static str {
        match self {
            Self::Seafile => "/seafdav",
            Self::Reva => "/remote.php/dav/ocm",
            Self::Opencloud2025 | Self::Opencloud2026 | Self::Ocis => "/dav/ocm",
            Self::OpencloudmeshGo => "/webdav/ocm",
            _ => "/public.php/webdav",
        }
    }
}

/// What it found of a message: its answer, and what would go wrong later although it said yes.
#[derive(Clone, Debug)]
pub struct Judged {
    pub what: String,
    pub status: u16,
    pub flaws: Vec<String>,
    pub body: Value,
}

/// A share that it gave to somebody.
#[derive(Clone, Debug)]
pub struct Given {
    pub provider_id: String,
    pub secret: String,
    pub folder: bool,
}

/// What a stand-in knows and remembers.
struct State {
    kind: Kind,
    provider: Provider,
    ecdsa: EcdsaKeyPair,
    judged: Mutex<Vec<Judged>>,
    given: Mutex<Vec<Given>>,
    /// Whom its people have traded an invite with.
    friends: Mutex<Vec<String>>,
    /// An invite of its own, and whether it was used.
    invite_used: AtomicBool,
    /// Whether it has seen a signature of the other side: from then on it wants one.
    pinned: AtomicBool,
    revoked: AtomicBool,
    /// Answers to shares wait for this.
    gate: Semaphore,
    gated: AtomicBool,
    arrived: Semaphore,
}

/// One such server, on a port of its own, whose user is `alice` (or what her id is there).
pub struct Standin {
    pub rogue: Rogue,
    pub kind: Kind,
    state: Arc<State>,
    rsa: RsaSigningKey,
}

/// Making one takes a good part of a second.
static RSA: LazyLock<Vec<u8>> = LazyLock::new(|| {
    RsaSigningKey::generate("https://any.example/ocm#signature")
        .unwrap()
        .to_pkcs8()
});

impl Standin {
    pub async fn start(kind: Kind) -> Self {
        let mut rogue = Rogue::start().await;
        let host = rogue.provider.clone();
        let rsa = RsaSigningKey::from_pkcs8(&format!("https://{host}/ocm#signature"), &RSA).unwrap();
        rogue.key = SigningKey::from_seed(&format!("{host}#key1"), &ocmesh::random::bytes()).unwrap();
        let state = Arc::new(State {
            kind,
            provider: host,
            ecdsa: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            judged: Mutex::default(),
            given: Mutex::default(),
            friends: Mutex::default(),
            invite_used: AtomicBool::new(false),
            pinned: AtomicBool::new(false),
            revoked: AtomicBool::new(false),
            gate: Semaphore::new(0),
            gated: AtomicBool::new(false),
            arrived: Semaphore::new(0),
        });
        let standin = Self {
            rogue,
            kind,
            state: Arc::clone(&state),
            rsa,
        };
        standin.publish();
        standin.rogue.judged_by(Arc::new(move |request| {
            answer(Arc::clone(&state), request).boxed_local()
        }));
        standin
    }

    /// What it says of itself, where it says it.
    fn publish(&self) {
        let none = |body: Value| Reply::json(404, body);
        self.rogue.reply("GET", "/.well-known/jwks.json", none(json!({})));
        let document = Reply::json(200, self.discovery());
        let legacy: &[&str] = match self.kind {
            Kind::Nextcloud20 | Kind::Owncloud10 | Kind::Seafile => &["/ocm-provider/"],
            kind if kind.is_php() => &["/ocm-provider/", "/ocm-provider"],
            _ => &[],
        };
        for place in legacy {
            self.rogue.reply("GET", place, document.clone());
        }
        let well_known = match self.kind {
            Kind::Nextcloud20 | Kind::Owncloud10 => Reply::json(302, json!({})).header("location", "/login"),
            Kind::Nextcloud28 | Kind::Nextcloud31 | Kind::Nextcloud32 => none(json!({"message": "ocm not supported"})),
            Kind::Seafile => none(json!({})),
            _ => document,
        };
        self.rogue.reply("GET", "/.well-known/ocm", well_known);
        let login = Reply {
            status: 200,
            headers: vec![("content-type".to_owned(), "text/html".to_owned())],
            body: b"<!DOCTYPE html><title>Log in</title>".to_vec(),
        };
        self.rogue.reply("GET", "/login", login);
        match self.kind {
            Kind::Nextcloud35 => {
                let keys = json!({ "keys": [self.state.ecdsa_jwk()] });
                self.rogue
                    .reply("GET", "/.well-known/jwks.json", Reply::json(200, keys));
            }
            Kind::OpencloudmeshGo => {
                let keys = json!({ "keys": [self.rogue.key.jwk()] });
                self.rogue.reply("GET", "/ocm/jwks", Reply::json(200, keys));
                self.rogue
                    .reply("GET", "/.well-known/jwks.json", Reply::json(401, json!({})));
            }
            _ => {}
        }
    }

    pub fn discovery(&self) -> Value {
        let kind = self.kind;
        let fixture = match kind {
            Kind::Owncloud10 => "owncloud/discovery-10.json",
            Kind::Seafile => "seafile/discovery-webdav.json",
            Kind::Reva => "reva/discovery-3.12.json",
            Kind::Opencloud2025 => "opencloud/discovery-2025.json",
            Kind::Opencloud2026 => "opencloud/discovery-2026.json",
            Kind::Ocis => "ocis/discovery-7.json",
            Kind::OpencloudmeshGo => "opencloudmesh-go/discovery-1.2.json",
            _ => return words::nextcloud_document(kind, &self.state.provider, &self.rsa),
        };
        let mut document = words::fixture(fixture, &self.state.provider, None);
        if kind == Kind::OpencloudmeshGo {
            // Not to be mistaken for the usual place.
            document["jwksUri"] = json!(format!("http://{}/ocm/jwks", self.state.provider));
        }
        document
    }

    pub fn provider(&self) -> &Provider {
        &self.state.provider
    }

    /// The address by which our users name its user, once it has introduced itself.
    pub fn address(&self) -> String {
        words::address(self.kind, &self.state.provider)
    }

    /// All that it judged of this kind: `shares`, `notifications` or `invite-accepted`.
    pub fn judged(&self, what: &str) -> Vec<Judged> {
        let judged = self.state.judged.lock().unwrap();
        judged.iter().filter(|judged| judged.what == what).cloned().collect()
    }

    pub fn last(&self, what: &str) -> Judged {
        self.judged(what)
            .pop()
            .unwrap_or_else(|| panic!("{:?}: nothing came to {what}", self.kind))
    }

    /// Holds its answers to shares until they are released.
    pub fn hold(&self) {
        self.state.gated.store(true, Ordering::SeqCst);
    }

    pub async fn share_arrived(&self) {
        self.state.arrived.acquire().await.unwrap().forget();
    }

    pub fn release(&self) {
        self.state.gate.add_permits(1);
    }

    /// Takes back everything it gave, without a word.
    pub fn revoke(&self) {
        self.state.revoked.store(true, Ordering::SeqCst);
    }

    /// The invite that its user hands out.
    pub fn invite(&self) -> String {
        format!("{}@{}", words::TOKEN, self.state.provider)
    }

    /// Its user accepts an invite of a user of `server`.
    pub async fn accepts_invite(&self, server: &TestServer, token: &str) -> reqwest::Response {
        let mut body = words::fixture(words::invite(self.kind), &self.state.provider, Some(server.provider()));
        body["token"] = json!(token);
        self.knows(server);
        self.post(server, "/ocm/invite-accepted", &body).await
    }

    /// As if an invite had been traded.
    pub fn knows(&self, server: &TestServer) {
        self.state.friends.lock().unwrap().push(server.provider().to_string());
    }

    /// The message by which its user shares something with `user` there.
    pub fn share_body(&self, server: &TestServer, user: &str, folder: bool) -> Value {
        words::share(self.kind, &self.state.provider, server.provider(), user, folder)
    }

    /// Its user shares a file or a folder with `user` there.
    pub async fn shares(&self, server: &TestServer, user: &str, folder: bool) -> (Given, reqwest::Response) {
        let body = self.share_body(server, user, folder);
        let protocol = &body["protocol"];
        let secret = ["options", "webdav"]
            .iter()
            .find_map(|at| protocol[at]["sharedSecret"].as_str())
            .unwrap();
        let id = &body["providerId"];
        let given = Given {
            provider_id: id.as_str().map_or_else(|| id.to_string(), str::to_owned),
            secret: secret.to_owned(),
            folder,
        };
        self.state.given.lock().unwrap().push(given.clone());
        let answer = self.post(server, "/ocm/shares", &body).await;
        (given, answer)
    }

    /// Says something about a share, in its own way.
    pub async fn notifies(&self, server: &TestServer, kind: &str, id: &str, secret: &str) -> reqwest::Response {
        let mut body = json!({ "notificationType": kind, "resourceType": "file", "providerId": id });
        if self.kind != Kind::OpencloudmeshGo {
            body["notification"] = json!({ "sharedSecret": secret, "message": "The other side has something to say" });
        }
        self.post(server, "/ocm/notifications", &body).await
    }

    /// Posts as it does: signed in its form, or not at all.
    pub async fn post(&self, server: &TestServer, path: &str, body: &Value) -> reqwest::Response {
        self.post_in(self.kind.form(), server, path, body).await
    }

    pub async fn post_in(&self, form: Form, server: &TestServer, path: &str, body: &Value) -> reqwest::Response {
        let (url, body) = (server.url(path), body.to_string().into_bytes());
        let now = server.clock.now();
        let headers = match (form, self.kind) {
            (Form::Unsigned, _) => Vec::new(),
            (Form::Cavage, _) => cavage::sign(&self.rsa, "POST", &url, &body, now)
                .into_iter()
                .filter(|(name, _)| *name != "host")
                .collect(),
            (Form::Rfc9421, Kind::Nextcloud35) => self.state.sign_es256(&url, &body, now),
            (Form::Rfc9421, _) => signature::sign(&self.rogue.key, "POST", &url, &body, now, false),
        };
        post_raw(server, path, "application/json", body, &headers).await
    }

    /// Reads a file that was shared with its user, in its own way; gives status and content.
    pub async fn reads(&self, server: &TestServer) -> (u16, String) {
        let body = self.last("shares").body;
        let webdav = &body["protocol"]["webdav"];
        let secret = webdav["sharedSecret"].as_str().unwrap();
        let strict = webdav["requirements"] == json!(["must-exchange-token"]);
        let uri = webdav["uri"].as_str().unwrap();
        let (address, credential) = match self.kind {
            Kind::Nextcloud35 => {
                let token =
                    judge::nextcloud_token(&self.state, &server.url("/ocm/token"), secret, server.clock.now()).await;
                (server.url("/dav/ocm/"), format!("Bearer {}", token.unwrap()))
            }
            kind if kind.is_php() => {
                let pair = format!("{secret}:{}", if kind == Kind::Seafile { ":" } else { "" });
                (
                    server.url("/public.php/webdav/"),
                    format!("Basic {}", STANDARD.encode(pair)),
                )
            }
            Kind::OpencloudmeshGo => (
                server.url(&format!("/dav/ocm/{uri}")),
                self.exchanges(server, secret).await,
            ),
            Kind::Reva if strict => (format!("{uri}/"), self.exchanges(server, secret).await),
            Kind::Reva => (format!("{uri}/"), format!("Bearer {secret}")),
            _ => (
                format!("{uri}/{}", body["name"].as_str().unwrap()),
                format!("Bearer {secret}"),
            ),
        };
        let answer = http()
            .get(address)
            .header("authorization", credential)
            .send()
            .await
            .unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    }

    /// Has a secret exchanged for a token: the header that opens the share.
    async fn exchanges(&self, server: &TestServer, secret: &str) -> String {
        let grant = if self.kind == Kind::Reva {
            "ocm_share"
        } else {
            "authorization_code"
        };
        let form = format!("grant_type={grant}&client_id={}&code={secret}", self.state.provider);
        let (url, form) = (server.url("/ocm/token"), form.into_bytes());
        let headers = match self.kind.form() {
            Form::Rfc9421 => signature::sign(&self.rogue.key, "POST", &url, &form, server.clock.now(), false),
            _ => Vec::new(),
        };
        let answer = post_raw(
            server,
            "/ocm/token",
            "application/x-www-form-urlencoded",
            form,
            &headers,
        )
        .await;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        format!(
            "Bearer {}",
            answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}"))
        )
    }
}

impl State {
    /// As Nextcloud 35 does: no `alg`, no `tag`.
    fn sign_es256(&self, url: &str, body: &[u8], now: Timestamp) -> Vec<(&'static str, String)> {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, body);
        let digest = format!("sha-256=:{}:", STANDARD.encode(digest));
        let date = now.http_date();
        let parameters = format!(
            "(\"@method\" \"@target-uri\" \"content-digest\" \"content-length\" \"date\");created={};keyid=\"{}\"",
            now.0,
            self.es256_kid()
        );
        let base = format!(
            "\"@method\": POST\n\"@target-uri\": {url}\n\"content-digest\": {digest}\n\"content-length\": {}\n\
             \"date\": {date}\n\"@signature-params\": {parameters}",
            body.len()
        );
        let signature = self.ecdsa.sign(&SystemRandom::new(), base.as_bytes()).unwrap();
        vec![
            ("content-digest", digest),
            ("date", date),
            ("signature-input", format!("ocm={parameters}")),
            ("signature", format!("ocm=:{}:", STANDARD.encode(signature))),
        ]
    }

    fn es256_kid(&self) -> String {
        format!("https://{}/ocm#ecdsa-p256-sha256-1", self.provider)
    }

    fn ecdsa_jwk(&self) -> Value {
        // 4, x, y.
        let point = self.ecdsa.public_key().as_ref();
        json!({
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": self.es256_kid(),
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]), "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        })
    }
}

async fn answer(state: Arc<State>, request: Recorded) -> Option<Reply> {
    if let Some(what) = request
        .path
        .strip_prefix(state.kind.api())
        .and_then(|rest| rest.strip_prefix('/'))
        && request.method == "POST"
        && matches!(what, "shares" | "notifications" | "invite-accepted")
    {
        if what == "shares" && state.gated.load(Ordering::SeqCst) {
            state.arrived.add_permits(1);
            state.gate.acquire().await.unwrap().forget();
        }
        return Some(judge::judge(&state, what, &request).await);
    }
    files::serve(&state, &request)
}
