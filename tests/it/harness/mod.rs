//! Servers for tests: one ([`TestServer`]), two that know each other ([`Pair`]), and one that lies ([`Rogue`]). Each has
//! a directory, a port and a clock of its own; nothing sleeps, nothing runs by itself.

mod passage;
mod postbox;
pub mod process;
mod rogue;
mod standin;
mod trap;

use std::collections::HashMap;
use std::collections::HashSet;
use std::io::ErrorKind;
use std::net::IpAddr;
use std::net::TcpListener;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::LazyLock;
use std::sync::Mutex;
use std::time::Duration;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;
use futures_util::stream;
use ocmesh::api;
use ocmesh::api::Answer;
use ocmesh::api::Call;
use ocmesh::app;
use ocmesh::app::Options;
use ocmesh::app::Running;
use ocmesh::audit::By;
use ocmesh::client::Lookup;
use ocmesh::client::system_lookup;
use ocmesh::clock::Clock;
use ocmesh::clock::Timestamp;
use ocmesh::config::Config;
use ocmesh::config::Every;
use ocmesh::config::Mode;
use ocmesh::config::OwnListener;
use ocmesh::config::PrivateNetwork;
use ocmesh::config::PublicUrl;
use ocmesh::error::Error;
use ocmesh::error::Result;
use ocmesh::invites::NewInvite;
use ocmesh::ocm::address::Provider;
use ocmesh::secret::Secret;
use ocmesh::site::Site;
use ocmesh::site::World;
use ocmesh::users::NewUser;
use ocmesh::users::User;
use serde_json::Value;
use tempfile::TempDir;

pub use passage::Passage;
pub use postbox::Postbox;
pub use process::Process;
pub use rogue::Manner;
pub use rogue::Recorded;
pub use rogue::Reply;
pub use rogue::Rogue;
pub use rogue::post_raw;
pub use standin::Form;
pub use standin::Kind;
pub use standin::Standin;
pub use trap::Trap;

/// When every test begins.
pub const START: Timestamp = Timestamp(1_790_000_000);
pub const PASSWORD: &str = "correct horse battery";

/// A server on a port of its own that runs until it is dropped.
pub struct TestServer {
    // In boxes: a test holds servers on its stack, where they are copied more than once if nothing is optimised.
    pub running: Box<Running>,
    pub clock: Clock,
    pub config: Box<Config>,
    pub data: PathBuf,
    lookup: Lookup,
    /// Removed when the test ends; shared by a server and the one that is started in its place.
    _dir: Option<TempDir>,
}

impl TestServer {
    pub async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// Starts a server whose settings `change` has had a look at.
    pub async fn start_with(change: impl FnOnce(&mut Config)) -> Self {
        Box::pin(Self::start_in(system_lookup(), change)).await
    }

    /// Starts a server in a world with other names than the real one.
    pub async fn start_in(lookup: Lookup, change: impl FnOnce(&mut Config)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = listener();
        let port = listener.local_addr().unwrap().port();
        let mut config = Config::default();
        config.server.public_url = PublicUrl::parse(&format!("http://127.0.0.1:{port}")).unwrap();
        config.server.data_dir = dir.path().join("data");
        config.server.admin_socket = dir.path().join("admin.sock");
        config.metrics.listen = OwnListener(None);
        config.backup.every = Every::OFF;
        config.backup.dir = config.server.data_dir.join("backups");
        config.federation.private_network = vec![PrivateNetwork {
            cidr: "127.0.0.0/8".parse().unwrap(),
            ports: Vec::new(),
            plain_http: true,
        }];
        change(&mut config);
        let clock = Clock::stopped_at(START);
        let config = Box::new(config);
        let running = run(&config, clock.clone(), Arc::clone(&lookup), listener).await;
        Self {
            running,
            clock,
            data: config.server.data_dir.clone(),
            config,
            lookup,
            _dir: Some(dir),
        }
    }

    /// Stops the server and starts one on the same data and port.
    pub async fn restart(self) -> Self {
        self.restart_after(async |_| {}).await
    }

    /// The same, with something done while none runs.
    pub async fn restart_after(mut self, between: impl AsyncFnOnce(&Config)) -> Self {
        let dir = self._dir.take();
        let (config, clock) = (self.config.clone(), self.clock.clone());
        Box::pin(self.running.stop()).await;
        Box::pin(between(&config)).await;
        let listener = listener_again(config.server.public_url.provider().port().unwrap());
        let running = run(&config, clock.clone(), Arc::clone(&self.lookup), listener).await;
        Self {
            running,
            clock,
            data: self.data,
            config,
            lookup: self.lookup,
            _dir: dir,
        }
    }

    pub fn site(&self) -> &Site {
        &self.running.site
    }

    pub fn url(&self, path: &str) -> String {
        self.config.server.public_url.at(path)
    }

    pub fn provider(&self) -> &Provider {
        self.config.server.public_url.provider()
    }

    pub fn address(&self, user: &str) -> String {
        format!("{user}@{}", self.provider())
    }

    pub async fn user(&self, name: &str) -> User {
        self.add_user(name, false).await
    }

    pub async fn admin(&self, name: &str) -> User {
        self.add_user(name, true).await
    }

    async fn add_user(&self, name: &str, admin: bool) -> User {
        let new = NewUser {
            name: name.to_owned(),
            display_name: format!("{} of the tests", name.to_uppercase()),
            mail: format!("{name}@mail.example"),
            password: Secret::new(PASSWORD),
            admin,
        };
        self.site().users.create(new, self.clock.now()).await.unwrap()
    }

    /// Does what the command line would; gives its JSON.
    pub async fn call(&self, call: Call) -> Result<Value, Error> {
        self.call_with(call, b"").await
    }

    pub async fn call_with(&self, call: Call, content: &[u8]) -> Result<Value, Error> {
        let content = bytes::Bytes::copy_from_slice(content);
        let by = By::command_line("tester");
        let answer = Box::pin(api::carry_out(
            self.site(),
            &by,
            call,
            Box::pin(stream::iter([Ok(content)])),
        ))
        .await?;
        match answer {
            Answer::Json(value) => Ok(value),
            Answer::Content(mut stream) => {
                let mut whole = Vec::new();
                while let Some(chunk) = stream.next().await {
                    whole.extend_from_slice(&chunk?);
                }
                Ok(Value::String(String::from_utf8(whole).unwrap()))
            }
        }
    }

    pub async fn put_file(&self, user: &str, path: &str, content: &str) {
        let call = Call::FilePut {
            user: Some(user.to_owned()),
            path: path.to_owned(),
        };
        self.call_with(call, content.as_bytes()).await.unwrap();
    }

    /// Delivers everything that is due, and what that makes due.
    pub async fn deliver(&self) -> usize {
        let mut tried = 0;
        loop {
            match Box::pin(self.site().courier.run_due()).await.unwrap() {
                0 => return tried,
                some => tried += some,
            }
        }
    }

    pub async fn sent(&self, user: &str) -> Vec<Value> {
        self.rows(Call::ShareList {
            user: Some(user.to_owned()),
            received: false,
        })
        .await
    }

    pub async fn received(&self, user: &str) -> Vec<Value> {
        self.rows(Call::ShareList {
            user: Some(user.to_owned()),
            received: true,
        })
        .await
    }

    pub async fn contacts(&self, user: &str) -> Vec<Value> {
        self.rows(Call::ContactList {
            user: Some(user.to_owned()),
        })
        .await
    }

    pub async fn queue(&self) -> Vec<Value> {
        self.rows(Call::QueueList).await
    }

    async fn rows(&self, call: Call) -> Vec<Value> {
        self.call(call).await.unwrap().as_array().unwrap().clone()
    }

    pub async fn invite(&self, user: &str) -> Value {
        let call = Call::InviteCreate {
            user: Some(user.to_owned()),
            new: NewInvite {
                note: "for a test".to_owned(),
                ..NewInvite::default()
            },
            mail: None,
        };
        self.call(call).await.unwrap()
    }

    /// An invite of `user` that is as a test wants it.
    pub async fn invite_with(&self, user: &str, new: NewInvite) -> Result<Value, Error> {
        let call = Call::InviteCreate {
            user: Some(user.to_owned()),
            new,
            mail: None,
        };
        self.call(call).await
    }

    pub async fn accept_invite(&self, user: &str, text: &str) -> Result<Value, Error> {
        let call = Call::InviteAccept {
            user: Some(user.to_owned()),
            text: text.to_owned(),
            no_mail: false,
        };
        self.call(call).await
    }

    pub async fn share(&self, user: &str, path: &str, to: &str, write: bool) -> Result<Value, Error> {
        let call = Call::ShareCreate {
            user: Some(user.to_owned()),
            path: path.to_owned(),
            to: to.to_owned(),
            write,
            until: None,
        };
        self.call(call).await
    }

    pub async fn rule(&self, host: &str, allow: bool) {
        let call = Call::PeerRule {
            host: host.to_owned(),
            allow,
            reason: "because of the test".to_owned(),
            note: String::new(),
            until: None,
            by: "a test".to_owned(),
        };
        self.call(call).await.unwrap();
    }
}

fn run(config: &Config, clock: Clock, lookup: Lookup, listener: TcpListener) -> LocalBoxFuture<'static, Box<Running>> {
    let config = config.clone();
    let options = Options {
        world: World { clock, lookup },
        listeners: Some(vec![listener]),
        threads: 1,
        workers: false,
    };
    Box::pin(async move { Box::new(app::start(config, options).await.unwrap()) })
}

/// Two servers with the same clock; Ada lives at `a`, Bob at `b`.
pub struct Pair {
    pub a: TestServer,
    pub b: TestServer,
}

impl Pair {
    /// Two servers that have never heard of each other.
    pub async fn strangers() -> Self {
        Box::pin(Self::with(|_| {})).await
    }

    pub async fn with(change: impl Fn(&mut Config)) -> Self {
        let a = Box::pin(TestServer::start_with(&change)).await;
        let b = Box::pin(TestServer::start_with(&change)).await;
        a.user("ada").await;
        b.user("bob").await;
        Self { a, b }
    }

    /// Two servers whose users have traded an invite.
    pub async fn acquainted() -> Self {
        let pair = Box::pin(Self::strangers()).await;
        pair.introduce().await;
        pair
    }

    pub async fn introduce(&self) {
        let invite = self.a.invite("ada").await;
        self.b
            .accept_invite("bob", invite["string"].as_str().unwrap())
            .await
            .unwrap();
    }

    /// Ada shares `path`, it is delivered, and Bob accepts it; gives its ids at both.
    pub async fn shared(&self, path: &str, write: bool) -> (String, String) {
        let sent = self.a.share("ada", path, &self.b.address("bob"), write).await.unwrap();
        self.a.deliver().await;
        let received = self.b.received("bob").await;
        let provider_id = sent["provider_id"].as_str().unwrap();
        let here = received.iter().find(|row| row["provider_id"] == provider_id).unwrap();
        let id = here["id"].as_str().unwrap().to_owned();
        self.b
            .call(Call::ShareAccept {
                user: None,
                id: id.clone(),
            })
            .await
            .unwrap();
        self.b.deliver().await;
        (provider_id.to_owned(), id)
    }

    pub fn step(&self, by: Duration) {
        self.a.clock.step(by);
        self.b.clock.step(by);
    }
}

/// A world in which these names have these addresses, and no other name has any.
pub fn names(known: &[(&str, &[&str])]) -> Lookup {
    let known: HashMap<String, Vec<IpAddr>> = known
        .iter()
        .map(|(name, ips)| ((*name).to_owned(), ips.iter().map(|ip| ip.parse().unwrap()).collect()))
        .collect();
    Arc::new(move |name| {
        let found = known.get(&name).cloned().unwrap_or_default();
        Box::pin(async move { Ok(found) })
    })
}

/// A listener on a port below those that the system gives to outgoing connections, of which the tests make many: a server
/// that is started again finds its port free.
///
/// No port is handed out twice: of a [`free_port`] nobody listens for a while, and it is somebody's all the same.
pub fn listener() -> TcpListener {
    static HANDED_OUT: LazyLock<Mutex<HashSet<u16>>> = LazyLock::new(Mutex::default);
    loop {
        let [high, low] = ocmesh::random::bytes();
        let port = 20_000 + u16::from_be_bytes([high, low]) % 12_000;
        let is_new = HANDED_OUT.lock().unwrap().insert(port);
        if is_new && let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener;
        }
    }
}

/// A listener where one was until just now: a program that another test starts at this moment has a copy of each open
/// socket, until it has begun.
pub fn listener_again(port: u16) -> TcpListener {
    let began = Instant::now();
    loop {
        match TcpListener::bind(("127.0.0.1", port)) {
            Err(cause) if cause.kind() == ErrorKind::AddrInUse && began.elapsed() < Duration::from_secs(20) => {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome.unwrap(),
        }
    }
}

/// A port for a server in a process of its own.
pub fn free_port() -> u16 {
    listener().local_addr().unwrap().port()
}

/// A mode for [`Pair::with`] and [`TestServer::start_with`].
pub fn mode(mode: Mode) -> impl Fn(&mut Config) {
    move |config| config.federation.mode = mode
}

/// A client that sends what it is told, cookies and all. It is made once, for that takes longer than most tests, and
/// keeps no connections, for each test has a runtime of its own.
pub fn http() -> reqwest::Client {
    static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
        ocmesh::client::install_crypto();
        reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            // Who a server is, is looked at by the tests that are about certificates.
            .tls_danger_accept_invalid_certs(true)
            .build()
            .unwrap()
    });
    CLIENT.clone()
}

/// What a server writes back on a connection of one's own, for requests that no client would send. It must end it.
pub async fn raw(provider: &Provider, request: &[u8]) -> String {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    let mut stream = tokio::net::TcpStream::connect(provider.to_string()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(30), stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    assert!(ended.is_ok(), "the answer never ended: {answer:?}");
    answer
}

/// Says that something was not tried here, and why: at once, and at the end of `tests/run`, for cargo keeps to itself what
/// a test says that passes.
pub fn skipped(why: &str) {
    use std::io::Write;
    eprintln!("SKIPPED: {why}");
    let list = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("skipped.txt");
    let mut list = std::fs::File::options().create(true).append(true).open(list).unwrap();
    list.write_all(format!("{why}\n").as_bytes()).unwrap();
}

/// The head of what a server writes back, while more of the request seems to be on its way.
pub async fn raw_head(provider: &Provider, request: &[u8]) -> String {
    use tokio::io::AsyncReadExt;
    use tokio::io::AsyncWriteExt;
    let mut stream = tokio::net::TcpStream::connect(provider.to_string()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    let head = async {
        while !answer.windows(4).any(|end| end == b"\r\n\r\n") && stream.read_buf(&mut answer).await.unwrap() > 0 {}
    };
    tokio::time::timeout(Duration::from_secs(5), head)
        .await
        .expect("an answer");
    String::from_utf8_lossy(&answer).into_owned()
}

/// All that a stranger gets to see of an answer: status, headers and body. Only its time and its number are left out.
pub async fn everything(answer: reqwest::Response) -> String {
    let status = answer.status();
    let mut lines: Vec<String> = answer
        .headers()
        .iter()
        .filter(|(name, _)| !["date", "x-request-id"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        .collect();
    lines.sort();
    format!("{status}\n{}\n\n{}", lines.join("\n"), answer.text().await.unwrap())
}
