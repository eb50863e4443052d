//! An ACME authority of others on loopback (Let’s Encrypt’s own for tests): a certificate is had, kept and renewed, and
//! what goes wrong is said and not made worse. `tests/run` installs it.

mod orders;

use std::fs;
use std::fs::File;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use ocmesh::client;
use ocmesh::config::AcmeDirectory;
use ocmesh::config::Config;
use ocmesh::config::PublicUrl;
use ocmesh::config::TlsMode;
use rcgen::BasicConstraints;
use rcgen::CertificateParams;
use rcgen::IsCa;
use rcgen::KeyPair;
use tempfile::TempDir;

use crate::harness::free_port;
use crate::harness::skipped;

/// Where an authority is to be, before it is there: its certificate, its ports.
pub struct Place {
    dir: TempDir,
    port: u16,
    management: u16,
}

/// An authority that runs until it is dropped.
pub struct Pebble {
    /// The authority, and the name server that it asks.
    children: Vec<Child>,
    log: PathBuf,
    root: String,
}

impl Drop for Pebble {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Whether there is one to be had on this machine.
pub fn is_missing() -> bool {
    let there = |program: &str| {
        let found = std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(program).is_file()));
        if !found {
            skipped(&format!("there is no {program} here (tests/run installs it)."));
        }
        found
    };
    !(there("pebble") && there("pebble-challtestsrv"))
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let authority_key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&authority_key).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let own = params.signed_by(&key, &authority, &authority_key).unwrap();
        fs::write(dir.path().join("ca.pem"), authority.pem()).unwrap();
        fs::write(dir.path().join("cert.pem"), own.pem()).unwrap();
        fs::write(dir.path().join("key.pem"), key.serialize_pem()).unwrap();
        Self {
            dir,
            port: free_port(),
            management: free_port(),
        }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn directory(&self) -> AcmeDirectory {
        let url = format!("https://localhost:{}/dir", self.port);
        AcmeDirectory::Other(url.parse().unwrap())
    }

    /// What a server needs to order here.
    pub fn settings(&self, config: &mut Config) {
        let port = config.server.public_url.provider().port().unwrap();
        config.server.public_url = PublicUrl::parse(&format!("https://localhost:{port}")).unwrap();
        config.tls.mode = TlsMode::Acme;
        config.tls.acme_agree_tos = true;
        config.tls.acme_directory = self.directory();
        config.tls.extra_ca_file = Some(self.file("ca.pem"));
    }

    /// Starts the authority. It looks at these ports, and finds all names at this address, or none.
    pub async fn open(&self, http: u16, https: u16, address: &str) -> Pebble {
        let (names, names_management) = (free_port(), free_port());
        let config = serde_json::json!({ "pebble": {
            "listenAddress": format!("127.0.0.1:{}", self.port),
            "managementListenAddress": format!("127.0.0.1:{}", self.management),
            "certificate": self.file("cert.pem"),
            "privateKey": self.file("key.pem"),
            "httpPort": http,
            "tlsPort": https,
            "ocspResponderURL": "",
            "externalAccountBindingRequired": false,
            "domainBlocklist": ["blocked.example.org"],
        }});
        fs::write(self.file("config.json"), config.to_string()).unwrap();
        let log = self.file("log");
        let mut name_server = Command::new("pebble-challtestsrv");
        name_server
            .args(["-defaultIPv4", address, "-defaultIPv6", ""])
            .args(["-dns01", &format!("127.0.0.1:{names}")])
            .args(["-management", &format!("127.0.0.1:{names_management}")])
            .args(["-http01", "", "-https01", "", "-tlsalpn01", ""]);
        let mut authority = Command::new("pebble");
        authority
            .args(["-config", self.file("config.json").to_str().unwrap()])
            .args(["-dnsserver", &format!("127.0.0.1:{names}")])
            .env("PEBBLE_VA_NOSLEEP", "1")
            .env("PEBBLE_AUTHZREUSE", "0")
            .env("PEBBLE_WFE_NONCEREJECT", "20");
        let mut pebble = Pebble {
            children: vec![
                start(&mut name_server, &self.file("names.log")),
                start(&mut authority, &log),
            ],
            log,
            root: String::new(),
        };
        pebble.root = self.root().await;
        pebble
    }

    /// The certificate at the root of what is made out here; waits until the authority answers.
    async fn root(&self) -> String {
        client::install_crypto();
        let client = reqwest::Client::builder()
            .no_proxy()
            .tls_danger_accept_invalid_certs(true)
            .build()
            .unwrap();
        let url = format!("https://127.0.0.1:{}/roots/0", self.management);
        let begun = Instant::now();
        loop {
            match client.get(&url).send().await {
                Ok(answer) => return answer.text().await.unwrap(),
                Err(error) => assert!(begun.elapsed() < Duration::from_secs(30), "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

fn start(command: &mut Command, log: &Path) -> Child {
    let log = File::create(log).unwrap();
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Pebble {
    /// The root that whoever believes this authority believes.
    pub fn root(&self) -> &str {
        &self.root
    }

    /// How many orders it was asked for that had a good nonce.
    pub fn orders(&self) -> usize {
        let log = fs::read_to_string(&self.log).unwrap();
        log.matches("Added order").count()
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}
