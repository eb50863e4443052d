//! Signatures that must count, and those that must not. `v…` are vectors of our own, made with a second implementation;
//! the numbers in `neg_…` are those of the negative ones. All keys here are printed in standards.

mod accepted;
mod refused;

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::digest::digest;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use serde_json::json;

use super::*;

const CREATED: Timestamp = Timestamp(1_785_060_500);
const DATE: &str = "Sun, 26 Jul 2026 10:08:20 GMT";
const TEST_1: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const ACCEPTED: &str = "https://sender.example.org/ocm/invite-accepted";
const INV: &str = r#"{"recipientProvider":"receiver.example.org","token":"a55a966e-15c1-4cb9-a39d-4e4c54399baf","userID":"marie","email":"marie@receiver.example.org","name":"Marie Curie"}"#;
const FIVE: &str = r#"("@method" "@target-uri" "content-digest" "content-length" "date")"#;
const FOUR: &str = r#"("@method" "@target-uri" "content-digest" "content-length")"#;
const DUAL: &str = r#";created=1785060500;keyid="receiver.example.org#key1";alg="ed25519";tag="ocm""#;

/// A request that somebody sent, free to be tampered with.
#[derive(Clone)]
struct Sent {
    method: String,
    target_uri: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
    kid: String,
}

impl Sent {
    /// Everything that is signed, but no signature.
    fn new(method: &str, target_uri: &str, body: &str) -> Self {
        let mut sent = Self {
            method: method.to_owned(),
            target_uri: target_uri.to_owned(),
            headers: Vec::new(),
            body: body.as_bytes().to_vec(),
            kid: "receiver.example.org#key1".to_owned(),
        };
        sent.set("content-type", "application/json");
        sent.set("content-digest", &content_digest(body.as_bytes()));
        sent.set("content-length", &body.len().to_string());
        sent.set("date", DATE);
        sent
    }

    fn with(mut self, input: &str, signature: &str) -> Self {
        let label = input.split('=').next().unwrap();
        self.set("signature-input", input);
        self.set("signature", &format!("{label}=:{signature}:"));
        self
    }

    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.add(name, value);
    }

    fn add(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
    }

    fn remove(&mut self, name: &str) {
        self.headers.retain(|(other, _)| other != name);
    }

    fn get(&self, name: &str) -> String {
        base::field(&self.request(), name).unwrap().unwrap()
    }

    fn replace(&mut self, name: &str, from: &str, to: &str) {
        let before = self.get(name);
        assert!(before.contains(from), "{name} has no {from}: {before}");
        self.set(name, &before.replacen(from, to, 1));
    }

    /// Signs what is there now with the key of [`TEST_1`], as its true owner could.
    fn sign(mut self, input: &str) -> Self {
        let label = input.split('=').next().unwrap();
        let members = base::parse_dictionary(input, "signature-input").unwrap();
        let ListEntry::InnerList(list) = &members[label] else {
            panic!("{input} is no inner list");
        };
        let message = base::signature_base(&self.request(), list).unwrap_or_default();
        let signature = STANDARD.encode(test_1("key").sign(message.as_bytes()));
        self.set("signature-input", input);
        self.set("signature", &format!("{label}=:{signature}:"));
        self
    }

    fn request(&self) -> Request<'_> {
        Request {
            method: &self.method,
            target_uri: &self.target_uri,
            headers: &self.headers,
            body: &self.body,
        }
    }

    fn read(&self) -> Result<Option<Unverified>, SignatureError> {
        Unverified::read(&self.request())
    }

    fn check_with(&self, key: &Jwk, now: Timestamp) -> Result<Verified, SignatureError> {
        let unverified = self.read()?.expect("there is a signature");
        unverified.check(&self.request(), now, &Window::default(), key)
    }

    fn check(&self) -> Result<Verified, SignatureError> {
        self.check_with(&test_1(&self.kid).jwk(), CREATED)
    }

    fn code(&self) -> &'static str {
        match self.check() {
            Ok(_) => "ok",
            Err(error) => error.code(),
        }
    }

    fn base_hash(&self, label: &str) -> String {
        let members = base::dictionary(&self.request(), "signature-input").unwrap().unwrap();
        let ListEntry::InnerList(list) = &members[label] else {
            panic!("no inner list");
        };
        let message = base::signature_base(&self.request(), list).unwrap();
        digest(&SHA256, message.as_bytes())
            .as_ref()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }
}

fn test_1(kid: &str) -> SigningKey {
    let seed = URL_SAFE_NO_PAD
        .decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A")
        .unwrap();
    SigningKey::from_seed(kid, &seed.try_into().unwrap()).unwrap()
}

fn jwk(value: Value) -> Jwk {
    Jwk::from_value(&value).unwrap()
}

fn okp(kid: &str, x: &str) -> Jwk {
    jwk(json!({"kty": "OKP", "crv": "Ed25519", "x": x, "kid": kid, "alg": "Ed25519"}))
}

fn rfc_7515_a3(kid: &str) -> Jwk {
    jwk(json!({"kty": "EC", "crv": "P-256", "kid": kid, "alg": "ES256",
        "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}))
}

fn v05() -> Sent {
    Sent::new("POST", ACCEPTED, INV).with(
        &format!(r#"ocm={FIVE};created=1785060500;keyid="receiver.example.org#key1";alg="ed25519""#),
        "940latHNVW3DlRHyOf/wSEowv52eaBm0lCKkyW/5afGrbQkfjXGybwVZtY5YSCWgKmafdBV77Xd4sdEBUzsWCA==",
    )
}

fn v07() -> Sent {
    Sent::new("POST", ACCEPTED, INV).with(
        &format!(r#"sig1={FOUR};created=1785060500;keyid="receiver.example.org#key1";tag="ocm""#),
        "A3C2nhojYCzWWNsTzFqvKnKvwrJru+7OaD4ZFRBhC37vrwpzYZFru2+Piygo0mct669RHhFyh2CEi00FPd1wDA==",
    )
}

fn vdual() -> Sent {
    Sent::new("POST", ACCEPTED, INV).with(
        &format!("ocm={FIVE}{DUAL}"),
        "K1xoTo/C/0U0jgTUCVIp5we1Fv2thnmsW8Rf9QkTnQGqhO4UVvPeVH7bK0EUYyd1buGX9wf9tE0Af4cT49TRCA==",
    )
}

fn vec_p256() -> Sent {
    let kid = "https://receiver.example.org/ocm#ecdsa-p256-sha256-1";
    let mut sent = Sent::new("POST", ACCEPTED, INV).with(
        &format!(r#"ocm={FOUR};created=1785060500;keyid="{kid}";tag="ocm""#),
        "LFE6DwuaKQGlss0NFoQl3vis/kcReBB2LEYpgPAIlLAEj3AT2fmIuNbGnDrWUHTUFTHJmpIgi9JB1E+4r7VOFQ==",
    );
    sent.kid = kid.to_owned();
    sent
}

/// VDUAL, tampered with.
fn check(change: impl FnOnce(&mut Sent), expected: &str) {
    let mut sent = vdual();
    change(&mut sent);
    assert_eq!(sent.code(), expected);
}

fn vget() -> Sent {
    let kid = "https://receiver.example.org/ocm#key1";
    let mut sent = Sent::new("GET", "https://sender.example.org/ocm/x?b=2&a=1%2F%7E", "").with(
        &format!(r#"ocm={FOUR};created=1785060500;keyid="{kid}";tag="ocm""#),
        "DBKr/lY7a2bvty8VsAbn1kPpNGZKHwtwt12XAvPOGtmpelN/X+0Aweu8scNyS6BXgtIhcMJYD6RYheQVdPE/Dg==",
    );
    sent.kid = kid.to_owned();
    sent
}
