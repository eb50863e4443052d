//! Signatures of real servers, one vector made elsewhere, and our own.

mod keys;
mod refused;

use std::fs;
use std::io::ErrorKind;
use std::process::Command;
use std::sync::LazyLock;

use serde_json::Value;
use serde_json::json;

use super::*;
use crate::ocm::jwks::JwkSet;

const NOW: Timestamp = Timestamp(1_785_060_500);
const DATE: &str = "Sun, 26 Jul 2026 10:08:20 GMT";
const ACCEPTED: &str = "https://sender.example.org/ocm/invite-accepted";
const INV: &str = r#"{"recipientProvider":"receiver.example.org","token":"a55a966e-15c1-4cb9-a39d-4e4c54399baf","userID":"marie","email":"marie@receiver.example.org","name":"Marie Curie"}"#;
const INV_SHA_512: &str =
    "SHA-512=6wWv6tEa+stZ78a0TCOPitRPyZc252vGP2rbv4W0RJtMfTT9+9gxWh/qHiOhS2845kBhxmd5JQ1kciXzgtD7tw==";
const KEY_ID: &str = "https://receiver.example.org/ocm#signature";
const COVERED: &str = "(request-target) content-length date digest host";
const VCAV: &str = "ObJa11664Uo55imjnSJszbm1Rzs69kxemDh6yiVUrkj5vsQi2urhBpMJZQGBc7foCIHo8d+4cDjgg3KnXDIGkGOGe1AK14t6GTczWZB7Mu3KRcojLlyhVqyLFCAICONHY3jrYv3W/WiaNjtDATQDC6eaqAu7Omg0yTfgUBQ3PGWul1dahbGqx2fzTsOFaVCLiXQT14EPIfT1ym3c/hA7Qhul6m24xchIQhW6s1DTDB2Taw6ajHVjwPYyJ1X9ruz8nP3fZ1RwrAcDn7g1myXvbH5RB3SrS9NA6FkTgsJRbhdHD0pYXpp8aKpbVzaPa+datSwrPwqkcZEaRBzL+CV8+w==";

/// A request that somebody sent, free to be tampered with.
#[derive(Clone)]
struct Sent {
    method: String,
    target_uri: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Sent {
    fn post(target_uri: &str, body: &[u8], headers: Vec<(&'static str, String)>) -> Self {
        let line = |(name, value): (&str, String)| (name.to_owned(), value.into_bytes());
        Self {
            method: "POST".to_owned(),
            target_uri: target_uri.to_owned(),
            headers: headers.into_iter().map(line).collect(),
            body: body.to_vec(),
        }
    }

    fn captured(vector: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let headers = vector["headers"].as_object().unwrap();
        Self {
            method: text(&vector["method"]),
            target_uri: text(&vector["target_uri"]),
            headers: headers
                .iter()
                .map(|(name, value)| (name.clone(), text(value).into_bytes()))
                .collect(),
            body: text(&vector["body"]).into_bytes(),
        }
    }

    fn remove(&mut self, name: &str) {
        self.headers.retain(|(other, _)| other != name);
    }

    fn add(&mut self, name: &str, value: &str) {
        self.headers.push((name.to_owned(), value.as_bytes().to_vec()));
    }

    fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.add(name, value);
    }

    fn get(&self, name: &str) -> String {
        only_line(&self.request(), name).unwrap()
    }

    fn replace(&mut self, name: &str, from: &str, to: &str) {
        let before = self.get(name);
        assert!(before.contains(from), "{name} has no {from}: {before}");
        self.set(name, &before.replacen(from, to, 1));
    }

    /// Signs what is there now, as the true owner of the test key could; the signature names `covered` and says what
    /// `parameters` says.
    fn sign(&mut self, covered: &str, parameters: &str) {
        let text: Vec<_> = covered
            .split(' ')
            .map(|name| {
                let given = |name: &str| {
                    let (_, rest) = parameters.split_once(&format!("{name}=")).unwrap();
                    rest.split(',').next().unwrap().to_owned()
                };
                let value = match name {
                    TARGET => request_target(&self.method, &self.target_uri),
                    "(created)" => given("created"),
                    "(expires)" => given("expires"),
                    name => self.get(name),
                };
                format!("{name}: {value}")
            })
            .collect();
        let signature = STANDARD.encode(test_key().sign(text.join("\n").as_bytes()));
        self.set(
            "signature",
            &format!(r#"keyId="{KEY_ID}",{parameters},headers="{covered}",signature="{signature}""#),
        );
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

    fn check_with(&self, key: &PublicKeyPem, now: Timestamp) -> Result<Verified, SignatureError> {
        let unverified = self.read()?.expect("there is a signature");
        unverified.check(&self.request(), now, &Window::default(), key)
    }

    /// Checked with the test key, at the time it was made.
    fn code(&self) -> &'static str {
        match self.check_with(&test_key().public(), NOW) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        }
    }
}

/// The RSA key of RFC 9421, appendix B.1.1.
fn test_key() -> &'static RsaSigningKey {
    static KEY: LazyLock<RsaSigningKey> = LazyLock::new(|| {
        let pem = include_str!(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/fixtures/rfc9421/test-key-rsa.pem"
        ));
        let text: String = pem.lines().filter(|line| !line.starts_with('-')).collect();
        RsaSigningKey::from_pkcs8(KEY_ID, &STANDARD.decode(text).unwrap()).unwrap()
    });
    &KEY
}

fn vcav() -> Sent {
    Sent::post(
        ACCEPTED,
        INV.as_bytes(),
        sign(test_key(), "POST", ACCEPTED, INV.as_bytes(), NOW),
    )
}

/// VCAV, tampered with.
fn check(change: impl FnOnce(&mut Sent), expected: &str) {
    let mut sent = vcav();
    change(&mut sent);
    assert_eq!(sent.code(), expected);
}

/// VCAV, changed and then signed again.
fn check_signed(change: impl FnOnce(&mut Sent), covered: &str, parameters: &str, expected: &str) {
    let mut sent = vcav();
    change(&mut sent);
    sent.sign(covered, parameters);
    assert_eq!(sent.code(), expected, "{covered} {parameters}");
}

fn vectors() -> Vec<Value> {
    serde_json::from_str(include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/nextcloud/requests.json"
    )))
    .unwrap()
}

/// The captured requests with a signature of this form, each with the key and the time that belong to it.
fn captured() -> Vec<(Sent, PublicKeyPem, Timestamp)> {
    vectors()
        .iter()
        .filter(|vector| {
            vector["headers"]["signature"]
                .as_str()
                .is_some_and(|text| text.starts_with("keyId="))
        })
        .map(|vector| {
            let sent = Sent::captured(vector);
            let key = PublicKeyPem::from_value(&vector["sender_discovery"]["publicKey"]).unwrap();
            let date = signature::read_date(&sent.get("date")).unwrap();
            (sent, key, date)
        })
        .collect()
}

#[test]
fn vcav_our_signature_is_the_vector_byte_for_byte() {
    let expected = format!(r#"keyId="{KEY_ID}",algorithm="rsa-sha512",headers="{COVERED}",signature="{VCAV}""#);
    assert_eq!(
        sign(test_key(), "POST", ACCEPTED, INV.as_bytes(), NOW),
        [
            ("content-length", "166".to_owned()),
            ("date", DATE.to_owned()),
            ("digest", INV_SHA_512.to_owned()),
            ("host", "sender.example.org".to_owned()),
            ("signature", expected),
        ]
    );
    let verified = vcav().check_with(&test_key().public(), NOW).unwrap();
    assert_eq!(verified.signer.to_string(), "receiver.example.org");
    assert_eq!((verified.date, verified.keyid.as_str()), (NOW, KEY_ID));
}

#[test]
fn what_nextcloud_31_to_35_signed_verifies() {
    let captured = captured();
    assert_eq!(captured.len(), 4);
    for (sent, key, date) in captured {
        assert!(!key.is_published_example());
        let unverified = sent.read().unwrap().unwrap();
        let text = unverified.signing_text(&sent.request()).unwrap();
        assert!(
            vectors().iter().any(|vector| vector["signature_base"] == text),
            "{text}"
        );
        let verified = sent.check_with(&key, date).unwrap();
        // What the body says is http; the key is of https all the same, and what counts is the authority.
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        let owner = crate::ocm::address::OcmAddress::parse_lenient(body["owner"].as_str().unwrap()).unwrap();
        assert_eq!(verified.signer, owner.provider);
    }
}

#[test]
fn what_nextcloud_signed_verifies_no_more_once_it_is_changed() {
    type Change = fn(&mut Sent);
    let changes: [(Change, &str); 11] = [
        (|sent| sent.body[9] ^= 1, "digest-mismatch"),
        (|sent| sent.target_uri.push('/'), "signature-wrong"),
        (|sent| sent.target_uri.push_str("?a=b"), "signature-wrong"),
        (|sent| sent.method = "PUT".to_owned(), "signature-wrong"),
        (
            |sent| sent.target_uri = sent.target_uri.replace(":9104", ":9105"),
            "host-mismatch",
        ),
        (|sent| sent.set("host", "ocm.localhost"), "host-mismatch"),
        (
            |sent| {
                let next = signature::read_date(&sent.get("date")).unwrap().0 + 1;
                sent.set("date", &Timestamp(next).http_date());
            },
            "signature-wrong",
        ),
        (|sent| sent.replace("digest", "SHA-512", "sha-512"), "signature-wrong"),
        (
            |sent| {
                let other = digest(&SHA256, &sent.body);
                sent.set("digest", &format!("SHA-256={}", STANDARD.encode(other)));
            },
            "signature-wrong",
        ),
        (|sent| sent.set("content-length", "1"), "length-mismatch"),
        (|sent| sent.replace("signature", "sha512", "sha256"), "signature-wrong"),
    ];
    for (sent, key, date) in captured() {
        for (change, expected) in changes {
            let mut changed = sent.clone();
            change(&mut changed);
            let refused = changed.check_with(&key, date).unwrap_err();
            let given: Vec<_> = ["date", "digest", "host"].map(|name| changed.get(name)).into();
            assert_eq!(refused.code(), expected, "{given:?}");
        }
        // Somebody else's name on it: their key is not this one.
        let mut other = sent.clone();
        other.replace("signature", "localhost", "evil.test");
        assert_eq!(other.check_with(&key, date), Err(SignatureError::KeyMismatch));
        // With everything true and somebody else's key.
        let theirs = PublicKeyPem::read(key.key_id(), &test_key().public_pem()).unwrap();
        assert_eq!(sent.check_with(&theirs, date), Err(SignatureError::Wrong));
    }
}

#[test]
fn a_newer_signature_or_none_is_not_of_this_form() {
    let mut newer = 0;
    let mut without = 0;
    for vector in vectors() {
        let sent = Sent::captured(&vector);
        let modern = signature::Unverified::read(&sent.request()).unwrap();
        if let Some(modern) = modern {
            newer += 1;
            let keys = JwkSet::parse(vector["sender_jwks"].to_string().as_bytes()).unwrap();
            let created = modern.created();
            let key = keys.find_trusted(modern.keyid()).unwrap();
            let verified = modern.check(&sent.request(), created, &Window::default(), key);
            assert!(verified.is_ok(), "{verified:?}");
            assert!(sent.read().unwrap().is_none());
        } else if sent.read().unwrap().is_none() {
            without += 1;
        }
    }
    assert_eq!((newer, without), (2, 4));
    for text in ["", "garbage", "ocm=:AAAA:", "sig1=:AAAA:, sig2=:BBBB:"] {
        let mut sent = vcav();
        sent.set("signature", text);
        assert!(sent.read().unwrap().is_none(), "{text}");
    }
    // Both forms use the same header, so who sends the newer one's second header means that one.
    let mut both = vcav();
    both.add("signature-input", r#"ocm=("@method");created=1;keyid="x""#);
    assert!(both.read().unwrap().is_none());
}

#[test]
fn openssl_verifies_what_we_sign() {
    let key = RsaSigningKey::generate(KEY_ID).unwrap();
    let target = "https://sender.example.org:8443/ocm/shares?x=1#y";
    let sent = Sent::post(target, b"{}", sign(&key, "POST", target, b"{}", NOW));
    assert!(sent.check_with(&key.public(), NOW).is_ok());

    let unverified = sent.read().unwrap().unwrap();
    let text = unverified.signing_text(&sent.request()).unwrap();
    assert!(text.starts_with("(request-target): post /ocm/shares?x=1\n"), "{text}");
    assert!(text.ends_with("\nhost: sender.example.org:8443"), "{text}");
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = dir.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    let ran = Command::new("openssl")
        .args(["dgst", "-sha512", "-verify"])
        .arg(file("public.pem", key.public_pem().as_bytes()))
        .arg("-signature")
        .arg(file("signature", &unverified.signature))
        .arg(file("text", text.as_bytes()))
        .output();
    match ran {
        Ok(output) => assert!(output.status.success(), "{output:?}"),
        Err(error) if error.kind() == ErrorKind::NotFound => eprintln!("Left out: there is no openssl here."),
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn what_others_might_write_is_read_as_well() {
    let covers = format!(r#"headers="{COVERED}""#);
    // White space, another order, and unknown parameters.
    check(
        |sent| {
            sent.set(
                "signature",
                &format!(
                    r#" new="a=b, c" , {covers}, signature="{VCAV}" ,	algorithm="rsa-sha512",number=7,KeyId="{KEY_ID}" "#
                )
                .replace('\t', " "),
            );
        },
        "ok",
    );
    for (covered, parameters) in [
        (
            "date host digest content-length (request-target)",
            r#"algorithm="rsa-sha512""#,
        ),
        (COVERED, r#"algorithm="hs2019""#),
        (COVERED, "version=1"),
        (COVERED, r#"algorithm="rsa-sha512",created=1785060500"#),
        (
            "(created) (request-target) content-length date digest host",
            "created=1785060500",
        ),
        (
            "(request-target) (expires) content-length date digest host",
            r#"algorithm="hs2019",expires=1785060500"#,
        ),
    ] {
        check_signed(|_| (), covered, parameters, "ok");
    }
    let both = |sent: &mut Sent| {
        sent.add("content-type", "application/json");
        let short = STANDARD.encode(digest(&SHA256, INV.as_bytes()));
        sent.set("digest", &format!("md5=AAAA, sha-256={short}, {INV_SHA_512}"));
        sent.set("host", "Sender.Example.org:443");
    };
    check_signed(both, &format!("{COVERED} content-type"), r#"algorithm="hs2019""#, "ok");
    // With SHA-256 below the signature; where no algorithm is named, either hash may be meant.
    let captured_by_256 = |name: &str| {
        let pair = aws_lc_rs::rsa::KeyPair::from_pkcs8(&test_key().to_pkcs8()).unwrap();
        let sent = vcav();
        let text = sent.read().unwrap().unwrap().signing_text(&sent.request()).unwrap();
        let mut bytes = vec![0; pair.public_modulus_len()];
        let hash = digest(&SHA256, text.as_bytes());
        pair.sign_digest(&aws_lc_rs::signature::RSA_PKCS1_SHA256, &hash, &mut bytes)
            .unwrap();
        format!(
            r#"keyId="{KEY_ID}",{name}{covers},signature="{}""#,
            STANDARD.encode(bytes)
        )
    };
    for (name, expected) in [
        (r#"algorithm="rsa-sha256","#, "ok"),
        ("", "ok"),
        (r#"algorithm="hs2019","#, "ok"),
        (r#"algorithm="rsa-sha512","#, "signature-wrong"),
    ] {
        check(|sent| sent.set("signature", &captured_by_256(name)), expected);
    }
}

#[test]
fn the_signer_is_the_server_of_the_key_id_in_a_sub_directory_too() {
    for (key_id, expected) in [
        ("https://cloud.example.org/ocm#signature", "cloud.example.org"),
        ("https://cloud.example.org/nextcloud/ocm#signature", "cloud.example.org"),
        (
            "https://Cloud.Example.org:443/index.php/ocm#signature",
            "cloud.example.org",
        ),
        ("https://cloud.example.org:8443/ocm#signature", "cloud.example.org:8443"),
        ("http://cloud.example.org/ocm#signature", "cloud.example.org"),
        ("cloud.example.org#signature", "cloud.example.org"),
    ] {
        let mut sent = vcav();
        sent.replace("signature", KEY_ID, key_id);
        let unverified = sent.read().unwrap().unwrap();
        assert_eq!(unverified.signer().to_string(), expected);
        assert_eq!(unverified.keyid(), key_id);
    }
    // nextcloud/server#58502: one key under two ids of one server.
    check(|sent| sent.replace("signature", "/ocm#", "/index.php/ocm#"), "ok");
}

#[test]
fn t11_each_copy_has_the_same_replay_id_however_its_key_id_is_written() {
    let id = |sent: &Sent| sent.read().unwrap().unwrap().replay_id();
    let first = id(&vcav());
    assert_eq!(vcav().check_with(&test_key().public(), NOW).unwrap().replay_id, first);
    for (from, to) in [
        ("/ocm#", "/index.php/ocm#"),
        ("receiver.example", "Receiver.Example"),
        (r#",algorithm="rsa-sha512""#, ""),
        ("rsa-sha512", "hs2019"),
        (",", " , "),
    ] {
        let mut copy = vcav();
        copy.replace("signature", from, to);
        assert_eq!(copy.code(), "ok", "{to}");
        assert_eq!(id(&copy), first, "{to}");
    }
    let later = NOW.plus(std::time::Duration::from_secs(1));
    let next = Sent::post(
        ACCEPTED,
        INV.as_bytes(),
        sign(test_key(), "POST", ACCEPTED, INV.as_bytes(), later),
    );
    assert_ne!(id(&next), first);
    let mut other = vcav();
    other.replace("signature", "receiver.", "other.");
    assert_ne!(id(&other), first);
}

#[test]
fn t19_clocks_may_differ_by_a_minute_and_a_request_may_take_five() {
    for (now, expected) in [
        (0, "ok"),
        (300, "ok"),
        (301, "created-too-old"),
        (-60, "ok"),
        (-61, "created-in-future"),
        (i64::MAX - NOW.0, "created-too-old"),
        (-NOW.0, "created-in-future"),
    ] {
        let now = Timestamp(NOW.0 + now);
        let code = match vcav().check_with(&test_key().public(), now) {
            Ok(_) => "ok",
            Err(error) => error.code(),
        };
        assert_eq!(code, expected, "{now}");
        let early = vcav().read().unwrap().unwrap().check_time(now, &Window::default());
        assert_eq!(early.map_or_else(|error| error.code(), |()| "ok"), expected);
    }
}
