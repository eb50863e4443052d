//! The certificate of a server: from files, from a lab authority of its own, and what stands beside it on port 80. What
//! an ACME authority has to do with is in `pebble.rs`.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use ocmesh::api::Call;
use ocmesh::client;
use ocmesh::clock::Timestamp;
use ocmesh::config::AcmeDirectory;
use ocmesh::config::Config;
use ocmesh::config::Listen;
use ocmesh::config::PrivateNetwork;
use ocmesh::config::PublicUrl;
use ocmesh::config::TlsMode;
use ocmesh::error::Kind;
use ocmesh::error::Reason;
use ocmesh::peers::trust::Purpose;
use ocmesh::tls;
use ocmesh::tls::Found;
use ocmesh::tls::Ports;
use rcgen::CertificateParams;
use rcgen::KeyPair;
use tempfile::TempDir;
use time::OffsetDateTime;

use crate::harness::START;
use crate::harness::TestServer;
use crate::harness::free_port;
use crate::harness::http;
use crate::harness::raw;
use crate::harness::skipped;
use crate::web::Browser;

const DAY: Duration = Duration::from_secs(86_400);

/// The certificate that a server shows, byte by byte.
pub async fn shown(server: &TestServer) -> Vec<u8> {
    client::install_crypto();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_info(true)
        .tls_danger_accept_invalid_certs(true)
        .build()
        .unwrap();
    let answer = client.get(server.url("/livez")).send().await.unwrap();
    let seen = answer.extensions().get::<reqwest::tls::TlsInfo>().unwrap();
    seen.peer_certificate().unwrap().to_vec()
}

/// Whether somebody who believes this authority, and nobody else, believes the server.
pub async fn believed_with(server: &TestServer, authority: &str) -> bool {
    client::install_crypto();
    let authority = reqwest::Certificate::from_pem(authority.as_bytes()).unwrap();
    let client = reqwest::Client::builder()
        .no_proxy()
        .tls_certs_only([authority])
        .build()
        .unwrap();
    client.get(server.url("/livez")).send().await.is_ok()
}

/// A folder with a certificate and its key, which can be replaced.
struct Given {
    dir: TempDir,
}

impl Given {
    fn new() -> Self {
        let given = Self {
            dir: tempfile::tempdir().unwrap(),
        };
        given.put(START.minus(DAY), START.plus(90 * DAY));
        given
    }

    fn cert(&self) -> PathBuf {
        self.dir.path().join("fullchain.pem")
    }

    fn key(&self) -> PathBuf {
        self.dir.path().join("privkey.pem")
    }

    fn put(&self, from: Timestamp, to: Timestamp) {
        let (cert, key) = made(from, to);
        fs::write(self.cert(), cert).unwrap();
        fs::write(self.key(), key).unwrap();
    }

    fn settings(&self) -> impl Fn(&mut Config) {
        let (cert, key) = (self.cert(), self.key());
        move |config| {
            https(config);
            config.tls.cert_file = Some(cert.clone());
            config.tls.key_file = Some(key.clone());
        }
    }
}

fn made(from: Timestamp, to: Timestamp) -> (String, String) {
    made_for("127.0.0.1", from, to)
}

fn made_for(name: &str, from: Timestamp, to: Timestamp) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = OffsetDateTime::from_unix_timestamp(from.0).unwrap();
    params.not_after = OffsetDateTime::from_unix_timestamp(to.0).unwrap();
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

fn https(config: &mut Config) {
    let port = config.server.public_url.provider().port().unwrap();
    config.server.public_url = PublicUrl::parse(&format!("https://127.0.0.1:{port}")).unwrap();
}

fn self_signed(config: &mut Config) {
    https(config);
    config.tls.mode = TlsMode::SelfSigned;
    config.tls.names = vec!["cloud.lab".to_owned()];
}

#[test]
fn files_that_can_not_be_used_are_named_with_their_setting_and_what_to_do() {
    let given = Given::new();
    let mut config = Config::default();
    config.tls.cert_file = Some(given.cert());
    config.tls.key_file = Some(given.key());
    tls::from_files(&config).unwrap();
    let (other_cert, other_key) = made(START, START.plus(DAY));
    let (cert, key) = (fs::read(given.cert()).unwrap(), fs::read(given.key()).unwrap());
    let check = |spoil: &dyn Fn(), setting: &str, words: &[&str]| {
        spoil();
        let error = tls::from_files(&config).unwrap_err();
        assert_eq!(error.reason(), Reason::ConfigInvalid, "{error}");
        assert_eq!(error.kind(), Kind::Operator, "its exit code is 78");
        let file = if setting == "tls.cert_file" {
            given.cert()
        } else {
            given.key()
        };
        for word in words.iter().copied().chain([setting, file.to_str().unwrap()]) {
            assert!(error.to_string().contains(word), "{error} says nothing of {word}");
        }
        // Never what stands in it.
        for content in [given.cert(), given.key()]
            .iter()
            .filter_map(|file| fs::read(file).ok())
        {
            let content = String::from_utf8_lossy(&content).into_owned();
            for line in content
                .lines()
                .filter(|line| line.len() > 20 && !line.starts_with("-----"))
            {
                assert!(!error.to_string().contains(line.get(..20).unwrap_or(line)), "{error}");
            }
        }
        for file in [given.cert(), given.key()] {
            let _ = fs::remove_dir(&file);
        }
        fs::write(given.cert(), &cert).unwrap();
        fs::write(given.key(), &key).unwrap();
    };
    let (cert_file, key_file) = ("tls.cert_file", "tls.key_file");
    let write = |file: PathBuf, content: Vec<u8>| move || fs::write(&file, &content).unwrap();
    let remove = |file: PathBuf| move || fs::remove_file(&file).unwrap();
    let folder = |file: PathBuf| {
        move || {
            fs::remove_file(&file).unwrap();
            fs::create_dir(&file).unwrap();
        }
    };
    check(&remove(given.cert()), cert_file, &["no such file"]);
    check(&remove(given.key()), key_file, &["no such file"]);
    check(&write(given.cert(), Vec::new()), cert_file, &["empty"]);
    check(&write(given.key(), b" \n".to_vec()), key_file, &["empty"]);
    check(
        &write(given.cert(), b"rubbish".to_vec()),
        cert_file,
        &["BEGIN CERTIFICATE"],
    );
    check(&write(given.cert(), vec![0xff; 99]), cert_file, &[]);
    check(&write(given.cert(), key.clone()), cert_file, &["BEGIN CERTIFICATE"]);
    check(&write(given.key(), cert.clone()), key_file, &["BEGIN PRIVATE KEY"]);
    check(&write(given.key(), other_key.into_bytes()), key_file, &["another key"]);
    check(
        &write(given.cert(), other_cert.into_bytes()),
        key_file,
        &["another key"],
    );
    check(&folder(given.cert()), cert_file, &["folder"]);
    check(&folder(given.key()), key_file, &["folder"]);
    check(&write(given.cert(), vec![b'a'; 2 << 20]), cert_file, &["too large"]);
    unreadable(&given, &config);
}

/// Somebody who may read everything finds nothing unreadable.
fn unreadable(given: &Given, config: &Config) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(given.key(), fs::Permissions::from_mode(0o000)).unwrap();
    if fs::read(given.key()).is_ok() {
        skipped("an unreadable file, for root reads all.");
        return;
    }
    let error = tls::from_files(config).unwrap_err();
    assert!(error.to_string().contains("may not read it"), "{error}");
}

#[actix_web::test]
async fn t84_files_that_change_are_taken_over_while_the_server_runs_and_broken_ones_are_not() {
    let given = Given::new();
    let mut server = TestServer::start_with(given.settings()).await;
    let certificates = server.site().certificates.clone();
    let first = shown(&server).await;
    certificates.advance().await.unwrap();
    assert_eq!(shown(&server).await, first);

    // One of two files has been replaced so far.
    let (cert, key) = made(START, START.plus(60 * DAY));
    fs::write(given.cert(), cert).unwrap();
    certificates.advance().await.unwrap();
    let trouble = certificates.status().trouble.unwrap();
    assert_eq!(trouble.reason(), Reason::ConfigInvalid);
    assert!(trouble.message().contains("stays in use"), "{trouble}");
    assert_eq!(shown(&server).await, first);
    assert_eq!(certificates.renew().await.unwrap_err().reason(), Reason::ConfigInvalid);
    // Other settings are in force all the same, and whoever asked for them hears of the files.
    let mut config = (*server.config).clone();
    config.server.name = "Another name".to_owned();
    let reread = server.running.reload(config).await.unwrap();
    assert_eq!(reread.changed, ["server.name"]);
    assert!(reread.certificate.unwrap().contains("stays in use"));
    assert_eq!(server.site().config.server.name, "Another name");
    assert_eq!(shown(&server).await, first);

    fs::write(given.key(), key).unwrap();
    certificates.advance().await.unwrap();
    let second = shown(&server).await;
    assert_ne!(second, first);
    let status = certificates.status();
    assert!(status.trouble.is_none(), "{:?}", status.trouble);
    assert_eq!(status.certificate.unwrap().not_after, START.plus(60 * DAY));
    assert_eq!(status.renewal, None);

    fs::remove_file(given.cert()).unwrap();
    certificates.advance().await.unwrap();
    certificates.advance().await.unwrap();
    assert!(
        certificates
            .status()
            .trouble
            .unwrap()
            .message()
            .contains("no such file")
    );
    assert_eq!(shown(&server).await, second);
    // A server that is started finds nothing to show, and says so before it listens.
    assert!(tls::from_files(&server.config).is_err());
}

#[actix_web::test]
async fn t84_a_certificate_that_has_ended_is_shown_all_the_same_and_said_to_have_ended() {
    let given = Given::new();
    let server = TestServer::start_with(given.settings()).await;
    let before = shown(&server).await;
    server.clock.step(91 * DAY);
    let certificates = &server.site().certificates;
    certificates.advance().await.unwrap();
    assert_eq!(shown(&server).await, before);
    let trouble = certificates.status().trouble.unwrap();
    assert_eq!(trouble.reason().code(), "tls-expired");
    assert!(trouble.message().contains("ended on"), "{trouble}");
    given.put(server.clock.now().minus(DAY), server.clock.now().plus(DAY));
    certificates.renew().await.unwrap();
    assert!(certificates.status().trouble.is_none());
}

#[actix_web::test]
async fn two_servers_of_a_lab_believe_the_authority_that_one_of_them_made() {
    let a = TestServer::start_with(self_signed).await;
    let pem = a.call(Call::TlsCa).await.unwrap()["pem"].as_str().unwrap().to_owned();
    assert!(!pem.contains("PRIVATE"));
    assert!(believed_with(&a, &pem).await);
    let file = a.data.join("for-peers.pem");
    fs::write(&file, &pem).unwrap();
    let believing = |file: PathBuf| {
        move |config: &mut Config| {
            config.tls.extra_ca_file = Some(file.clone());
            config.federation.private_network = vec![PrivateNetwork {
                cidr: "127.0.0.0/8".parse().unwrap(),
                ports: Vec::new(),
                plain_http: false,
            }];
        }
    };
    let b = TestServer::start_with(believing(file)).await;
    Box::pin(b.site().peers.discover(a.provider(), Purpose::Invite))
        .await
        .unwrap();

    let status = a.site().certificates.status();
    assert_eq!(status.certificate.unwrap().names, ["127.0.0.1", "cloud.lab"]);
    let mode = |path: &Path| {
        use std::os::unix::fs::PermissionsExt;
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    };
    assert_eq!(mode(&a.data.join("tls/ca.key")), 0o600);
    assert_eq!(mode(&a.data.join("tls/self-signed.pem")), 0o600);
}

#[actix_web::test]
async fn t83_a_lab_certificate_is_renewed_by_itself_and_not_by_a_clock_that_is_wrong() {
    let server = TestServer::start_with(self_signed).await;
    let certificates = server.site().certificates.clone();
    let authority = certificates.authority().unwrap();
    let first = shown(&server).await;
    // A clock of 1970, and one from before the certificate begins.
    for wrong in [Timestamp(0), START.minus(30 * DAY)] {
        server.clock.set(wrong);
        certificates.advance().await.unwrap();
        assert_eq!(shown(&server).await, first);
        let trouble = certificates.status().trouble.unwrap();
        assert_eq!(trouble.reason(), Reason::ClockWrong);
        assert_eq!(trouble.reason().code(), "clock-wrong");
        assert!(trouble.message().contains("NTP"), "{trouble}");
        assert_eq!(certificates.preflight().await[0].found, Found::Bad);
    }
    server.clock.set(START.plus(DAY));
    certificates.advance().await.unwrap();
    assert!(certificates.status().trouble.is_none());
    assert_eq!(shown(&server).await, first);
    server.clock.set(certificates.status().renewal.unwrap());
    certificates.advance().await.unwrap();
    let second = shown(&server).await;
    assert_ne!(second, first);
    assert_eq!(certificates.authority().unwrap(), authority);
    let server = server.restart().await;
    assert_eq!(shown(&server).await, second);
}

#[actix_web::test]
async fn plain_http_leads_to_the_public_address_whatever_is_asked_for() {
    let port = free_port();
    let server = TestServer::start_with(|config| {
        self_signed(config);
        config.server.listen_http = Listen(vec![format!("127.0.0.1:{port}").parse().unwrap()]);
    })
    .await;
    let plain = ocmesh::ocm::address::Provider::parse(&format!("127.0.0.1:{port}")).unwrap();
    let own = server.url("");
    for (line, host, expected) in [
        ("GET / HTTP/1.1", "127.0.0.1", "/"),
        ("GET /shares/1?a=b&c=//d HTTP/1.1", "127.0.0.1", "/shares/1?a=b&c=//d"),
        ("GET /home HTTP/1.1", "evil.example", "/home"),
        ("GET //evil.example/x HTTP/1.1", "evil.example", "//evil.example/x"),
        ("GET http://evil.example/x HTTP/1.1", "evil.example", "/x"),
        ("GET /%0d%0aSet-Cookie:x HTTP/1.1", "a", "/%0d%0aSet-Cookie:x"),
        ("OPTIONS * HTTP/1.1", "evil.example", "/"),
        ("POST /ocm/shares HTTP/1.1", "127.0.0.1", "/ocm/shares"),
    ] {
        let request = format!("{line}\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = raw(&plain, request.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 308 "), "{line}: {answer}");
        assert!(
            answer.contains(&format!("location: {own}{expected}\r\n")),
            "{line}: {answer}"
        );
        assert_eq!(answer.matches("location:").count(), 1);
        assert!(!answer.to_lowercase().contains("\nset-cookie"), "{answer}");
    }
    let get = |path: &str| http().get(format!("http://{plain}{path}")).send();
    assert_eq!(get("/livez").await.unwrap().status(), 200);
    assert_eq!(get("/.well-known/acme-challenge/unknown").await.unwrap().status(), 404);
    Box::pin(server.running.stop()).await;
    assert!(get("/livez").await.is_err());
}

#[actix_web::test]
async fn what_an_order_can_not_be_made_with_is_refused_at_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let check = |change: &dyn Fn(&mut Config), words: &[&str]| {
        let mut config = Config::default();
        config.server.public_url = PublicUrl::parse("https://cloud.example.org").unwrap();
        config.server.data_dir = dir.path().join("data");
        config.tls.mode = TlsMode::Acme;
        config.tls.acme_agree_tos = true;
        change(&mut config);
        let path = dir.path().join(ocmesh::random::token(8).expose());
        config.server.data_dir.clone_from(&path);
        let opened = Box::pin(ocmesh::site::Site::open(config, ocmesh::site::World::default()));
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        async move {
            let error = opened.await.err().expect("a refusal");
            assert_eq!(error.reason(), Reason::ConfigInvalid);
            for word in words {
                assert!(error.to_string().contains(&word), "{error}");
            }
            // Nothing was ordered, and nobody was asked.
            assert!(!path.join("tls").exists());
        }
    };
    let terms = ["tls.acme_agree_tos", "Let’s Encrypt", "--agree-tos"];
    check(&|config| config.tls.acme_agree_tos = false, &terms).await;
    let address = ["server.public_url", "203.0.113.7", "self-signed"];
    let numbered = |config: &mut Config| config.server.public_url = PublicUrl::parse("https://203.0.113.7").unwrap();
    check(&numbered, &address).await;
    let stars = |config: &mut Config| config.tls.names = vec!["*.example.org".to_owned()];
    check(&stars, &["tls.names", "*.example.org"]).await;
    let missing = |config: &mut Config| config.tls.extra_ca_file = Some("/nonexistent/ca.pem".into());
    check(&missing, &["tls.extra_ca_file", "/nonexistent/ca.pem"]).await;
}

#[actix_web::test]
async fn the_page_says_how_things_stand_in_each_mode() {
    let lab = TestServer::start_with(self_signed).await;
    lab.admin("root").await;
    let mut browser = Browser::signed_in(&lab, "root").await;
    let page = browser.get("/admin/tls").await;
    page.expect_status(200)
        .expect("ocmesh lab CA of 127.0.0.1")
        .expect("cloud.lab")
        .expect("90 days left")
        .expect("download-authority");
    let file = browser.get("/admin/tls/ca.pem").await;
    file.expect_status(200).expect("BEGIN CERTIFICATE");
    assert!(!file.has("PRIVATE"));
    let before = shown(&lab).await;
    assert_eq!(browser.post("/admin/tls/renew", &[]).await.location(), "/admin/tls");
    assert_ne!(shown(&lab).await, before);
    let noted = lab
        .call(Call::AuditList {
            filter: Default::default(),
            limit: None,
        })
        .await
        .unwrap();
    assert!(noted.to_string().contains("tls.renew"), "{noted}");

    let given = Given::new();
    let files = TestServer::start_with(given.settings()).await;
    files.admin("root").await;
    let mut browser = Browser::signed_in(&files, "root").await;
    browser.get("/admin/tls").await.expect("looked at every half minute");
    browser.get("/admin/tls/ca.pem").await.expect_status(501);
    fs::write(given.key(), "rubbish").unwrap();
    browser.post("/admin/tls/renew", &[]).await.expect("key_file");
    browser
        .get("/admin/tls")
        .await
        .expect("id=\"trouble\"")
        .expect("config-invalid");

    let proxied = TestServer::start_with(|config| config.tls.mode = TlsMode::Proxy).await;
    proxied.admin("root").await;
    proxied.user("ada").await;
    let mut browser = Browser::signed_in(&proxied, "root").await;
    let page = browser.get("/admin/tls").await;
    page.expect("reverse_proxy 127.0.0.1:8080")
        .expect("proxy_pass")
        .expect("X-Forwarded-For");
    assert!(!page.has("renew-certificate"));
    browser.post("/admin/tls/renew", &[]).await.expect_status(501);
    let mut member = Browser::signed_in(&proxied, "ada").await;
    for path in ["/admin/tls", "/admin/tls/ca.pem"] {
        member.get(path).await.expect_status(403);
    }
    member.post("/admin/tls/renew", &[]).await.expect_status(403);
}

#[actix_web::test]
async fn a_look_says_of_each_door_who_answers_there() {
    let server = TestServer::start_with(self_signed).await;
    let other = TestServer::start_with(self_signed).await;
    let certificates = &server.site().certificates;
    let port_of = |server: &TestServer| server.provider().port().unwrap();
    let at = |https: u16| certificates.knock_at(Ports { http: https, https });
    let door = async |https: u16| {
        at(https);
        let looks = certificates.preflight().await;
        looks.into_iter().find(|look| look.check == "port").unwrap()
    };
    let own = door(port_of(&server)).await;
    assert_eq!(own.found, Found::Ok, "{own:?}");
    let others = door(port_of(&other)).await;
    assert_eq!(others.found, Found::Unsure);
    assert!(others.sentence.contains("Somebody else"), "{others:?}");
    let closed = door(free_port()).await;
    assert_eq!(closed.found, Found::Unsure);
    assert!(closed.sentence.contains("refused"), "{closed:?}");
    assert!(closed.remedy.unwrap().contains("NAT loopback"));
    // A name without an address would make an order fail, and is told before.
    let looks = certificates.preflight().await;
    let lost = looks.iter().find(|look| look.sentence.contains("cloud.lab")).unwrap();
    assert_eq!((lost.found, lost.check), (Found::Bad, "dns"));

    server.admin("root").await;
    let mut browser = Browser::signed_in(&server, "root").await;
    at(port_of(&server));
    let page = browser.post("/admin/tls/look", &[]).await;
    page.expect_status(200)
        .expect("127.0.0.1 is this server")
        .expect("Wrong");
    let answer = server.call(Call::TlsPreflight).await.unwrap();
    assert_eq!(answer["passed"], false);
    assert_eq!(server.call(Call::TlsStatus).await.unwrap()["mode"], "self-signed");
}

#[test]
fn a_directory_is_called_what_people_call_it() {
    let other = "https://acme.example.org:8443/directory"
        .parse()
        .map(AcmeDirectory::Other)
        .unwrap();
    for (directory, title) in [
        (AcmeDirectory::LetsEncrypt, "Let’s Encrypt"),
        (AcmeDirectory::LetsEncryptStaging, "Let’s Encrypt (staging)"),
        (other, "acme.example.org"),
    ] {
        assert_eq!(directory.title(), title);
    }
}

#[actix_web::test]
async fn a_certificate_for_another_name_is_said_wherever_one_looks() {
    let given = Given::new();
    let (cert, key) = made_for("other.test", START.minus(DAY), START.plus(90 * DAY));
    fs::write(given.cert(), cert).unwrap();
    fs::write(given.key(), key).unwrap();
    let server = TestServer::start_with(given.settings()).await;
    let status = server.call(Call::TlsStatus).await.unwrap();
    assert_eq!(status["names"], serde_json::json!(["127.0.0.1"]));
    assert_eq!(status["certificate_names"], serde_json::json!(["other.test"]));
    let trouble = status["trouble"].as_str().unwrap();
    assert!(
        trouble.contains("is for other.test, and not for 127.0.0.1"),
        "{trouble}"
    );
    let looked = server.call(Call::TlsPreflight).await.unwrap();
    assert_eq!(looked["passed"], false, "{looked}");
    let foreseen = tls::foreseen(&server.config).unwrap();
    assert_eq!(foreseen.certificate.unwrap().names, ["other.test"]);
}

#[test]
fn an_authority_that_finds_no_door_is_foreseen() {
    let check = |listen: &str, more: &str, door: bool| {
        let text = format!(
            "[server]\npublic_url = \"https://a.example\"\nlisten = \"{listen}\"\n{more}[tls]\nmode = \"acme\"\n\
             acme_agree_tos = true\n"
        );
        let status = tls::foreseen(&Config::parse(&text, "x").unwrap()).unwrap();
        let trouble = status.trouble.map(|why| why.to_string()).unwrap_or_default();
        assert_eq!(trouble.is_empty(), door, "{trouble}");
        assert!(door || trouble.contains("on port 443"), "{trouble}");
    };
    check("[::]:443", "", true);
    check("[::]:8443", "", false);
    check("[::]:8443", "listen_http = \"[::]:80\"\n", true);
    check("[::]:8443", "listen_http = \"[::]:8080\"\n", false);
    let refused = Config::parse(
        "[server]\npublic_url = \"https://a.example\"\nlisten = \"[::]:443\"\n[tls]\nmode = \"acme\"\n",
        "x",
    );
    let refused = tls::foreseen(&refused.unwrap()).unwrap_err().to_string();
    assert!(refused.contains("acme_agree_tos"), "{refused}");
}

#[actix_web::test]
async fn where_nothing_is_encrypted_there_is_nothing_to_renew_and_nobody_in_front_is_blamed() {
    let server = TestServer::start().await;
    let refused = server.call(Call::TlsRenew).await.unwrap_err().to_string();
    assert!(
        refused.contains("plain http") && !refused.contains("in front"),
        "{refused}"
    );
}
