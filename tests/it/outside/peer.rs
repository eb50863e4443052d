//! The peer in Python, as tests drive it.

use std::io::BufRead;
use std::io::BufReader;
use std::path::Path;
use std::process::Child;
use std::process::Command;
use std::process::Stdio;

use ocmesh::ocm::address::Provider;
use serde_json::Value;
use serde_json::json;
use tempfile::TempDir;

use super::python;
use super::script;
use crate::harness::TestServer;
use crate::harness::http;

/// A running peer; it ends when it is dropped.
pub struct Peer {
    pub provider: Provider,
    /// Its private keys, for what else signs in its name.
    keys: TempDir,
    process: Child,
}

/// A request for the peer to sign and send; tests change what they are about.
pub struct Sending {
    fields: Value,
}

impl Sending {
    pub fn with(mut self, field: &str, value: impl Into<Value>) -> Self {
        self.fields[field] = value.into();
        self
    }
}

impl Peer {
    /// Starts a peer that knows the keys of `server`; none where there is no Python for it.
    pub async fn start(server: &TestServer) -> Option<Self> {
        let peer = Self::start_unacquainted()?;
        let origin = server.config.server.public_url.origin();
        peer.control("trust", json!({ "origin": origin })).await;
        Some(peer)
    }

    pub fn start_unacquainted() -> Option<Self> {
        let keys = tempfile::tempdir().unwrap();
        let mut process = Command::new(python()?)
            .arg("-B")
            .arg(script("peer.py"))
            .arg(keys.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        Some(Self {
            provider: Provider::parse(line.trim()).expect("it says where it listens"),
            keys,
            process,
        })
    }

    pub fn keys(&self) -> &Path {
        self.keys.path()
    }

    pub fn address(&self, user: &str) -> String {
        format!("{user}@{}", self.provider)
    }

    pub async fn control(&self, verb: &str, arguments: Value) -> Value {
        let answer = http()
            .post(format!("http://{}/control/{verb}", self.provider))
            .header("content-type", "application/json")
            .body(arguments.to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(answer.status(), 200, "{verb}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
    }

    /// What it got, each with the library's verdict.
    pub async fn seen(&self) -> Vec<Value> {
        self.control("look", json!({})).await.as_array().unwrap().clone()
    }

    /// A POST of JSON to `server`.
    pub fn posting(&self, server: &TestServer, path: &str, body: &Value) -> Sending {
        Sending {
            fields: json!({
                "url": server.url(path),
                "now": server.clock.now().0,
                "type": "application/json",
                "body": body.to_string(),
            }),
        }
    }

    pub fn getting(&self, server: &TestServer, path: &str) -> Sending {
        Sending {
            fields: json!({ "method": "GET", "url": server.url(path), "now": server.clock.now().0 }),
        }
    }

    /// Signs and sends; gives the status and the body of the answer.
    pub async fn send(&self, sending: Sending) -> (u64, Value) {
        let answer = self.control("send", sending.fields).await;
        let body = answer["body"].as_str().unwrap();
        (
            answer["status"].as_u64().unwrap(),
            serde_json::from_str(body).unwrap_or(Value::Null),
        )
    }

    /// Accepts an invite of `user` as Eve.
    pub async fn befriend(&self, server: &TestServer, user: &str) {
        let invite = server.invite(user).await;
        let (status, _) = self
            .send(self.posting(server, "/ocm/invite-accepted", &self.acceptance(&invite)))
            .await;
        assert_eq!(status, 200);
    }

    pub fn acceptance(&self, invite: &Value) -> Value {
        json!({
            "recipientProvider": self.provider.to_string(),
            "token": invite["token"],
            "userID": "eve",
            "email": "eve@outside.example",
            "name": "Eve"
        })
    }

    /// A share for `user` without fault.
    pub fn share_for(&self, server: &TestServer, user: &str, provider_id: &str) -> Value {
        json!({
            "shareWith": server.address(user),
            "name": "report.txt",
            "providerId": provider_id,
            "owner": self.address("eve"),
            "sender": self.address("eve"),
            "shareType": "user",
            "resourceType": "file",
            "protocol": { "name": "multi", "webdav": {
                "uri": provider_id,
                "sharedSecret": "outside-secret",
                "permissions": ["read"],
                "requirements": ["must-exchange-token"]
            }}
        })
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
