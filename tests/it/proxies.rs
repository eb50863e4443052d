//! Behind a reverse proxy, as docs/admin.md sets it up: the real programs, with the very lines that stand there. What is
//! signed stays signed, what is large streams, and who asks is who asked.

use std::fs;
use std::net::TcpStream;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use futures_util::StreamExt;
use futures_util::stream;
use ocmesh::api::Call;
use ocmesh::audit::Filter;
use ocmesh::config::Config;
use ocmesh::config::Mode;
use ocmesh::config::PrivateNetwork;
use ocmesh::config::PublicUrl;
use ocmesh::config::TlsMode;
use reqwest::Method;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use crate::guides::blocks;
use crate::harness::Rogue;
use crate::harness::TestServer;
use crate::harness::free_port;
use crate::harness::names;
use crate::harness::skipped;

const GUIDE: &str = include_str!("../../docs/admin.md");
const A: &str = "cloud.a.example";
const B: &str = "cloud.b.example";
/// The names and ports in the guide.
const NAME: &str = "cloud.example.org";
const UPSTREAM: &str = "127.0.0.1:8080";
/// Who asks through the proxy; the proxy itself asks from 127.0.0.1.
const SOMEBODY: &str = "127.0.0.9";

/// One server, and where it is reached through the proxy and past it.
struct Site {
    name: &'static str,
    port: u16,
    server: TestServer,
}

impl Site {
    async fn start(name: &'static str, ca: &Path) -> Self {
        let port = free_port();
        let lookup = names(&[(A, &["127.0.0.1"]), (B, &["127.0.0.1"])]);
        let server = TestServer::start_in(lookup, |config: &mut Config| {
            config.server.public_url = PublicUrl::parse(&format!("https://{name}:{port}")).unwrap();
            config.tls.mode = TlsMode::Proxy;
            config.tls.extra_ca_file = Some(ca.to_owned());
            config.federation.mode = Mode::Open;
            config.federation.private_network = vec![PrivateNetwork {
                cidr: "127.0.0.0/8".parse().unwrap(),
                ports: Vec::new(),
                plain_http: true,
            }];
        });
        let server = Box::pin(server).await;
        Self { name, port, server }
    }

    fn upstream(&self) -> String {
        self.server.running.addresses[0].to_string()
    }
}

/// Two servers behind one proxy, which ends when this is dropped.
struct Behind {
    a: Site,
    b: Site,
    dir: TempDir,
    redirects: u16,
    client: reqwest::Client,
    proxy: Option<Child>,
}

impl Behind {
    async fn set_up() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ca = certificates(dir.path());
        let a = Site::start(A, &dir.path().join("ca.pem")).await;
        let b = Site::start(B, &dir.path().join("ca.pem")).await;
        let client = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .pool_max_idle_per_host(0)
            .local_address(Some(SOMEBODY.parse().unwrap()))
            .add_root_certificate(reqwest::Certificate::from_pem(ca.as_bytes()).unwrap())
            .resolve(A, format!("127.0.0.1:{}", a.port).parse().unwrap())
            .resolve(B, format!("127.0.0.1:{}", b.port).parse().unwrap())
            .build()
            .unwrap();
        Self {
            a,
            b,
            dir,
            redirects: free_port(),
            client,
            proxy: None,
        }
    }

    /// nginx with the block of the guide for each server, after `change` has had a look at it.
    async fn nginx(change: impl Fn(String) -> String) -> Option<Self> {
        if !is_here("nginx") {
            return None;
        }
        let mut behind = Self::set_up().await;
        let at = behind.dir.path();
        let temporary: String = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .iter()
            .map(|kind| format!("    {kind}_temp_path {}/{kind};\n", at.display()))
            .collect();
        let sites: String = [&behind.a, &behind.b]
            .iter()
            .map(|site| change(behind.nginx_site(site)))
            .collect();
        let user = if is_root() { "user root;\n" } else { "" };
        let config = format!(
            "{user}daemon off;\nmaster_process off;\npid {0}/pid;\nerror_log {0}/error.log;\nevents {{}}\nhttp \
             {{\n{temporary}{sites}}}\n",
            at.display()
        );
        fs::write(at.join("nginx.conf"), config).unwrap();
        let mut command = Command::new("nginx");
        command.arg("-p").arg(at).arg("-c").arg(at.join("nginx.conf"));
        command.arg("-e").arg(at.join("error.log"));
        behind.run(command);
        Some(behind)
    }

    fn nginx_site(&self, site: &Site) -> String {
        let at = self.dir.path().display();
        let block = &blocks(GUIDE, "nginx")[0].text;
        // One server redirects plain http, which is enough; and loopback is all that is listened on.
        let redirects = if site.name == A { self.redirects } else { free_port() };
        let text = replaced(block, "listen 80;", &format!("listen 127.0.0.1:{redirects};"));
        let text = replaced(
            &text,
            "listen 443 ssl;",
            &format!("listen 127.0.0.1:{} ssl;", site.port),
        );
        let text = replaced(&text, "listen [::]:80;", "");
        let text = replaced(&text, "listen [::]:443 ssl;", "");
        let text = replaced(&text, "/etc/ssl/cloud.example.org.pem", &format!("{at}/good.pem"));
        let text = replaced(&text, "/etc/ssl/cloud.example.org.key", &format!("{at}/good.key"));
        let text = replaced(&text, "/var/log/nginx/ocmesh.log", &format!("{at}/{}.log", site.name));
        let text = replaced(&text, "ocmesh_log", &format!("log_{}", site.port));
        let text = replaced(&text, UPSTREAM, &site.upstream());
        replaced(&text, NAME, site.name)
    }

    /// Caddy with the block of the guide for each server.
    async fn caddy(change: impl Fn(String) -> String) -> Option<Self> {
        if !is_here("caddy") {
            return None;
        }
        let mut behind = Self::set_up().await;
        let at = behind.dir.path();
        let global = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n\tservers {\n\t\tprotocols h1 \
                      h2\n\t}\n}\n";
        let sites: String = [&behind.a, &behind.b]
            .iter()
            .map(|site| {
                let block = &blocks(GUIDE, "caddyfile")[0].text;
                let text = replaced(block, UPSTREAM, &site.upstream());
                let opened = format!(
                    "https://{}:{} {{\n\tbind 127.0.0.1\n\ttls {at}/good.pem {at}/good.key\n",
                    site.name,
                    site.port,
                    at = at.display(),
                );
                change(replaced(&text, &format!("{NAME} {{\n"), &opened))
            })
            .collect();
        fs::write(at.join("Caddyfile"), format!("{global}{sites}")).unwrap();
        let mut command = Command::new("caddy");
        command.args(["run", "--adapter", "caddyfile", "--config"]);
        command.arg(at.join("Caddyfile"));
        for place in ["HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"] {
            command.env(place, at);
        }
        behind.run(command);
        Some(behind)
    }

    fn run(&mut self, mut command: Command) {
        let said = fs::File::create(self.dir.path().join("said")).unwrap();
        command
            .stdin(Stdio::null())
            .stdout(said.try_clone().unwrap())
            .stderr(said);
        let mut child = command.spawn().unwrap();
        let patience = Instant::now() + Duration::from_secs(20);
        for port in [self.a.port, self.b.port] {
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                let ended = child.try_wait().unwrap();
                assert!(
                    ended.is_none() && Instant::now() < patience,
                    "{ended:?}: {}",
                    self.said()
                );
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        self.proxy = Some(child);
    }

    /// What the proxy complained about.
    fn said(&self) -> String {
        let read = |name| fs::read_to_string(self.dir.path().join(name)).unwrap_or_default();
        format!("{}{}", read("said"), read("error.log"))
    }

    fn request(&self, method: &str, path: &str) -> reqwest::RequestBuilder {
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        self.client.request(method, self.a.server.url(path))
    }

    async fn shared_with(&self, rogue: &Rogue) -> (String, String) {
        self.a.server.user("ada").await;
        self.a.server.put_file("ada", "/lab/a.txt", "0123456789").await;
        let server = &self.a.server;
        let sent = server.share("ada", "/lab", &rogue.address("eve"), true).await.unwrap();
        server.deliver().await;
        let message = rogue.seen_at("/ocm/shares")[0].json();
        let secret = message["protocol"]["webdav"]["sharedSecret"].as_str().unwrap();
        let form = format!(
            "grant_type=authorization_code&client_id={}&code={secret}",
            rogue.provider.to_string().replace(':', "%3A")
        );
        let headers = rogue.sign(server, "/ocm/token", form.as_bytes(), server.clock.now(), &rogue.key);
        let mut request = self.request("POST", "/ocm/token").body(form);
        request = request.header("content-type", "application/x-www-form-urlencoded");
        for (name, value) in headers.iter().filter(|(name, _)| *name != "content-length") {
            request = request.header(*name, value);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body = answer.text().await.unwrap();
        assert_eq!(status, 200, "a signature did not survive: {body} {}", self.said());
        let token = serde_json::from_str::<Value>(&body).unwrap()["access_token"].clone();
        let id = sent["provider_id"].as_str().unwrap();
        (format!("/dav/ocm/{id}"), format!("Bearer {}", token.as_str().unwrap()))
    }

    async fn audit(&self) -> Vec<Value> {
        let call = Call::AuditList {
            filter: Filter::default(),
            limit: None,
        };
        self.a.server.call(call).await.unwrap().as_array().unwrap().clone()
    }
}

impl Drop for Behind {
    fn drop(&mut self) {
        if let Some(proxy) = &mut self.proxy {
            let _ = proxy.kill();
            let _ = proxy.wait();
        }
    }
}

fn is_root() -> bool {
    let id = Command::new("id").arg("-u").output();
    id.is_ok_and(|id| id.stdout.starts_with(b"0\n"))
}

fn is_here(program: &str) -> bool {
    let found = Command::new(program)
        .arg(if program == "nginx" { "-v" } else { "version" })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    if found.is_err() {
        skipped(&format!("{program} is not here (Debian packages nginx-light, caddy)"));
    }
    found.is_ok()
}

/// Replaces what must be there: a guide that is written anew is noticed.
fn replaced(text: &str, what: &str, by: &str) -> String {
    assert!(text.contains(what), "{what:?} does not stand in the guide: {text}");
    text.replace(what, by)
}

/// A certificate for both names and the authority that signed it; gives the authority's.
fn certificates(dir: &Path) -> String {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    ca.distinguished_name
        .push(rcgen::DnType::CommonName, "An authority of the tests");
    let ca = ca.self_signed(&ca_key).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec![A.to_owned(), B.to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &ca, &ca_key).unwrap();
    fs::write(dir.join("ca.pem"), ca.pem()).unwrap();
    fs::write(dir.join("good.pem"), leaf.pem()).unwrap();
    fs::write(dir.join("good.key"), key.serialize_pem()).unwrap();
    ca.pem()
}

/// The most bytes that any file below `dir` has.
fn largest(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |path: &Path| match path.is_dir() {
        true => largest(path),
        false => fs::metadata(path).map_or(0, |about| about.len()),
    };
    entries.map(|entry| size(&entry.path())).max().unwrap_or(0)
}

/// Everything that is asked of a proxy, in one go: starting it takes longer than asking.
async fn does_its_part(behind: &Behind) {
    Box::pin(discovers(behind)).await;
    Box::pin(two_servers_share(behind)).await;
    let rogue = Rogue::start().await;
    let (share, token) = Box::pin(behind.shared_with(&rogue)).await;
    Box::pin(reads_and_writes(behind, &share, &token)).await;
    Box::pin(streams(behind, &share, &token)).await;
    Box::pin(says_who_asks(behind, &rogue)).await;
    let seen = behind.a.server.site().proxy.seen();
    assert!(seen.requests > 10, "{seen:?}");
    assert_eq!(behind.a.server.site().proxy.faults(), []);
}

async fn discovers(behind: &Behind) {
    let document = behind.request("GET", "/.well-known/ocm").send().await.unwrap();
    assert_eq!(document.status(), 200, "{}", behind.said());
    let document: Value = serde_json::from_slice(&document.bytes().await.unwrap()).unwrap();
    assert_eq!(document["endPoint"], behind.a.server.url("/ocm"));
    let head = behind.request("HEAD", "/.well-known/ocm").send().await.unwrap();
    assert_eq!(head.status(), 200);
    assert!(head.headers().contains_key("content-length"));
    assert!(head.bytes().await.unwrap().is_empty());
    let big = "k".repeat(7_000);
    let request = behind
        .request("GET", "/.well-known/ocm")
        .header("cookie", format!("k={big}"));
    assert_eq!(request.send().await.unwrap().status(), 200, "a header of 7 KB");
}

/// An invite, a share, its acceptance and its content: each goes through the proxy, signed, in both directions.
async fn two_servers_share(behind: &Behind) {
    let (a, b) = (&behind.a.server, &behind.b.server);
    a.user("zoe").await;
    b.user("bob").await;
    let invite = a.invite("zoe").await;
    Box::pin(b.accept_invite("bob", invite["string"].as_str().unwrap()))
        .await
        .unwrap_or_else(|error| panic!("{error} {}", behind.said()));
    a.put_file("zoe", "/report.txt", "what is in it").await;
    let sent = a.share("zoe", "/report.txt", &b.address("bob"), false).await.unwrap();
    a.deliver().await;
    let received = b.received("bob").await;
    assert_eq!(received[0]["provider_id"], sent["provider_id"], "{:?}", a.queue().await);
    let id = received[0]["id"].as_str().unwrap().to_owned();
    b.call(Call::ShareAccept {
        user: None,
        id: id.clone(),
    })
    .await
    .unwrap();
    b.deliver().await;
    assert_eq!(a.sent("zoe").await[0]["state"], "accepted");
    let get = Call::ShareGet {
        id,
        path: String::new(),
    };
    assert_eq!(b.call(get).await.unwrap(), "what is in it");
}

async fn reads_and_writes(behind: &Behind, share: &str, token: &str) {
    let ask = |method: &str, path: &str| {
        let request = behind.request(method, &format!("{share}{path}"));
        request.header("authorization", token)
    };
    let range = ask("GET", "/a.txt").header("range", "bytes=2-4").send().await.unwrap();
    assert_eq!(
        (range.status().as_u16(), &range.headers()["content-range"]),
        (206, &"bytes 2-4/10".parse().unwrap())
    );
    assert_eq!(range.text().await.unwrap(), "234");
    let listed = ask("PROPFIND", "/").header("depth", "1").send().await.unwrap();
    assert_eq!(listed.status(), 207);
    assert!(listed.text().await.unwrap().contains(&format!("{share}/a.txt")));
    // A name that a proxy which tidies up paths would change.
    let odd = "/sp%C3%A9ct%20100%25%2B%3F.txt";
    assert_eq!(ask("PUT", odd).body("odd").send().await.unwrap().status(), 201);
    assert_eq!(ask("GET", odd).send().await.unwrap().text().await.unwrap(), "odd");
    assert_eq!(ask("MKCOL", "/sub").send().await.unwrap().status(), 201);
    let to = behind.a.server.url(&format!("{share}/sub/moved.txt"));
    let moved = ask("MOVE", odd).header("destination", to).send().await.unwrap();
    assert_eq!(moved.status(), 201, "{}", moved.text().await.unwrap());
    assert_eq!(ask("GET", odd).send().await.unwrap().status(), 404);
    let lock = "<?xml version=\"1.0\"?><d:lockinfo xmlns:d=\"DAV:\"><d:lockscope><d:exclusive/></d:lockscope>\
                <d:locktype><d:write/></d:locktype></d:lockinfo>";
    let locked = ask("LOCK", "/sub/moved.txt").body(lock).send().await.unwrap();
    assert_eq!(locked.status(), 200);
    let token = locked.headers()["lock-token"].clone();
    assert_eq!(ask("DELETE", "/sub").send().await.unwrap().status(), 423);
    let unlock = ask("UNLOCK", "/sub/moved.txt").header("lock-token", token);
    assert_eq!(unlock.send().await.unwrap().status(), 204);
    assert_eq!(ask("DELETE", "/sub").send().await.unwrap().status(), 204);
    assert_eq!(ask("OPTIONS", "/").send().await.unwrap().headers()["dav"], "1, 2");
}

/// 20 MB, of which the second half is sent only once the first has arrived behind the proxy.
async fn streams(behind: &Behind, share: &str, token: &str) {
    const HALF: usize = 10 << 20;
    let files = behind.a.server.data.clone();
    let arrives = stream::once(async move {
        let patience = Instant::now() + Duration::from_secs(20);
        // Some of it is on its way through buffers.
        while largest(&files) < 4 << 20 {
            if Instant::now() > patience {
                return Err(std::io::Error::other("the proxy keeps the upload to itself"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(bytes::Bytes::from(vec![b'2'; HALF]))
    });
    let body = stream::iter([Ok(bytes::Bytes::from(vec![b'1'; HALF]))]).chain(arrives);
    let put = behind
        .request("PUT", &format!("{share}/large.bin"))
        .header("authorization", token)
        .body(reqwest::Body::wrap_stream(body));
    let answer = put
        .send()
        .await
        .unwrap_or_else(|error| panic!("{error:?} {}", behind.said()));
    assert_eq!(answer.status(), 201, "{}", behind.said());
    let back = behind
        .request("GET", &format!("{share}/large.bin"))
        .header("authorization", token);
    let back = back.send().await.unwrap().bytes().await.unwrap();
    assert_eq!((back.len(), back[0], back[2 * HALF - 1]), (2 * HALF, b'1', b'2'));
}

/// Who asks stands in the audit log, whatever it says of itself; and what the proxy calls the request.
async fn says_who_asks(behind: &Behind, rogue: &Rogue) {
    let server = &behind.a.server;
    let body = rogue.share_for(server, "ada", "900").to_string();
    let headers = rogue.sign(server, "/ocm/shares", body.as_bytes(), server.clock.now(), &rogue.key);
    let mut request = behind
        .request("POST", "/ocm/shares")
        .header("content-type", "application/json")
        .header("x-forwarded-for", "203.0.113.99")
        .header("x-forwarded-proto", "http")
        .header("x-request-id", "made-up")
        .body(body);
    for (name, value) in headers.iter().filter(|(name, _)| *name != "content-length") {
        request = request.header(*name, value);
    }
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 201, "{}", answer.text().await.unwrap());
    let audit = behind.audit().await;
    let noted = audit.iter().find(|entry| entry["did"] == "share.received").unwrap();
    assert_eq!(noted["from"], SOMEBODY, "{noted}");
    let id = noted["request"].as_str().unwrap();
    assert!(id.len() >= 32 && id != "made-up", "{noted}");
}

#[actix_web::test]
async fn behind_nginx_as_the_guide_sets_it_up_everything_works() {
    let Some(behind) = Behind::nginx(|site| site).await else {
        return;
    };
    Box::pin(does_its_part(&behind)).await;
    // Plain http leads to the address that people see, and nowhere else.
    let from = format!("http://127.0.0.1:{}/wayf?token=t", behind.redirects);
    let redirect = reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let redirect = redirect.get(from).header("host", "evil.example").send().await.unwrap();
    assert_eq!(redirect.status(), 308);
    assert_eq!(redirect.headers()["location"], format!("https://{A}/wayf?token=t"));
    // No secret of a query gets into its log.
    let asked = behind.request("GET", "/wayf?token=canary").send().await.unwrap();
    assert!(asked.status().as_u16() < 500);
    let log = fs::read_to_string(behind.dir.path().join(format!("{A}.log"))).unwrap();
    assert!(
        log.contains("/wayf") && !log.contains("canary") && log.contains(SOMEBODY),
        "{log}"
    );
}

#[actix_web::test]
async fn behind_caddy_as_the_guide_sets_it_up_everything_works() {
    let Some(behind) = Behind::caddy(|site| site).await else {
        return;
    };
    Box::pin(does_its_part(&behind)).await;
}

/// What a wrong proxy does is seen, and named; that it changes `Host` spoils no signature, for that is not asked.
#[actix_web::test]
async fn t23_a_proxy_that_is_set_up_wrongly_is_noticed_and_what_is_signed_is_verified_all_the_same() {
    let without = |line: &'static str| move |site: String| replaced(&site, line, "");
    let host = "proxy_set_header Host $http_host;";
    if let Some(behind) = Behind::nginx(without(host)).await {
        Box::pin(two_servers_share(&behind)).await;
        let faults = behind.a.server.site().proxy.faults();
        assert_eq!(faults.len(), 1, "{faults:?}");
        assert!(faults[0].sentence.contains(&behind.a.upstream()), "{faults:?}");
        let seen = behind.a.server.site().proxy.seen();
        assert_eq!(seen.wrong_host, Some(behind.a.upstream()));
    }
    let who = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;";
    if let Some(behind) = Behind::nginx(without(who)).await {
        Box::pin(discovers(&behind)).await;
        let seen = behind.a.server.site().proxy.seen();
        assert!(
            seen.missing_for && seen.wrong_host.is_none() && !seen.wrong_proto,
            "{seen:?}"
        );
    }
    let how = |site: String| replaced(&site, "X-Forwarded-Proto $scheme", "X-Forwarded-Proto http");
    if let Some(behind) = Behind::nginx(how).await {
        Box::pin(discovers(&behind)).await;
        let seen = behind.a.server.site().proxy.seen();
        assert!(seen.wrong_proto && !seen.missing_for, "{seen:?}");
    }
}

/// Past the proxy, from an address that is not trusted, nothing that is said about who asks is believed.
#[actix_web::test]
async fn a_request_past_the_proxy_is_from_where_it_comes() {
    let dir = tempfile::tempdir().unwrap();
    certificates(dir.path());
    let site = Site::start(A, &dir.path().join("ca.pem")).await;
    let server = &site.server;
    server.user("ada").await;
    let rogue = Rogue::start().await;
    let past = reqwest::Client::builder()
        .no_proxy()
        .pool_max_idle_per_host(0)
        .local_address(Some(SOMEBODY.parse().unwrap()))
        .build()
        .unwrap();
    let body = rogue.share_for(server, "ada", "1").to_string();
    let mut request = past
        .post(format!("http://{}/ocm/shares", site.upstream()))
        .header("content-type", "application/json")
        .header("x-forwarded-for", "203.0.113.99")
        .header("x-request-id", "made-up")
        .body(body.clone());
    let headers = rogue.sign(server, "/ocm/shares", body.as_bytes(), server.clock.now(), &rogue.key);
    for (name, value) in headers.iter().filter(|(name, _)| *name != "content-length") {
        request = request.header(*name, value);
    }
    assert_eq!(request.send().await.unwrap().status(), 201);
    let filter = Filter::default();
    let audit = server.call(Call::AuditList { filter, limit: None }).await.unwrap();
    let noted = audit
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["did"] == "share.received");
    let noted = noted.unwrap();
    assert_eq!(noted["from"], SOMEBODY);
    assert_ne!(noted["request"], "made-up");
    let seen = server.site().proxy.seen();
    assert_eq!(seen.untrusted_from, Some(SOMEBODY.parse().unwrap()));
    // Whether it lives is asked past the proxy, and no reason to complain.
    let fresh = Site::start(B, &dir.path().join("ca.pem")).await;
    for path in ["/livez", "/readyz"] {
        let asked = past.get(format!("http://{}{path}", fresh.upstream())).send().await;
        assert_eq!(asked.unwrap().status(), 200);
    }
    assert_eq!(fresh.server.site().proxy.seen().requests, 0);
}

/// The page for admins gives the same with their own name, and so do the packages.
#[test]
fn what_the_guide_gives_is_what_is_there_to_copy() {
    let traefik = blocks(GUIDE, "toml");
    let traefik: Vec<_> = traefik.iter().filter(|block| block.about("traefik")).collect();
    assert_eq!(traefik.len(), 2);
    for (block, file) in [
        (
            &blocks(GUIDE, "nginx")[0],
            include_str!("../../contrib/proxy/nginx.conf"),
        ),
        (
            &blocks(GUIDE, "caddyfile")[0],
            include_str!("../../contrib/proxy/Caddyfile"),
        ),
        (traefik[0], include_str!("../../contrib/proxy/traefik.toml")),
        (traefik[1], include_str!("../../contrib/proxy/traefik-dynamic.toml")),
    ] {
        assert_eq!(block.text, file);
    }
}

/// It is not run here: what stands in the guide are the keys that it has, with our values.
#[test]
fn what_the_guide_gives_to_traefik_is_whole() {
    let text: String = blocks(GUIDE, "toml")
        .into_iter()
        .filter(|block| block.about("traefik"))
        .map(|block| block.text)
        .collect();
    let config: toml::Value = toml::from_str(&text).unwrap();
    let config = json!(config);
    let router = &config["http"]["routers"]["ocmesh"];
    assert_eq!(router["rule"], format!("Host(`{NAME}`)"));
    let service = &config["http"]["services"][router["service"].as_str().unwrap()]["loadBalancer"];
    assert_eq!(service["servers"][0]["url"], format!("http://{UPSTREAM}"));
    assert_eq!(service["passHostHeader"], true);
    let entry = &config["entryPoints"][router["entryPoints"][0].as_str().unwrap()];
    // Without this an upload is cut off after a minute.
    assert_eq!(entry["transport"]["respondingTimeouts"]["readTimeout"], "0s");
    let resolver = router["tls"]["certResolver"].as_str().unwrap();
    assert!(config["certificatesResolvers"][resolver]["acme"].is_object());
}
