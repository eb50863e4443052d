//! The draft's rules, the vector VDIR, and documents that somebody forged.

use aws_lc_rs::encoding::AsDer;
use aws_lc_rs::encoding::PublicKeyX509Der;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::KeySize;
use aws_lc_rs::signature::ECDSA_P256_SHA256_FIXED_SIGNING;
use aws_lc_rs::signature::EcdsaKeyPair;
use aws_lc_rs::signature::KeyPair;
use aws_lc_rs::signature::RSA_PKCS1_SHA256;
use aws_lc_rs::signature::RsaKeyPair;
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE;
use serde_json::json;

use super::*;
use crate::ocm::jwks::Jwk;
use crate::ocm::signature::SigningKey;

/// VDIR: made with the key of RFC 8037, A.1.
const VDIR_KEY: &str = r#"{"kty":"OKP","crv":"Ed25519","kid":"x","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
const VDIR: &str = r#"{
    "payload": "eyJmZWRlcmF0aW9uIjoiVGVzdCBGZWRlcmF0aW9uIiwic2VydmVycyI6W3sidXJsIjoiaHR0cHM6Ly9hLmV4YW1wbGUub3JnIiwiZGlzcGxheU5hbWUiOiJBIn0seyJ1cmwiOiJodHRwczovL2IuZXhhbXBsZS5vcmc6ODQ0MyIsImRpc3BsYXlOYW1lIjoiQiJ9XX0",
    "protected": "eyJhbGciOiJFZERTQSIsImtpZCI6ImRpci0yMDI2In0",
    "signature": "sEHt1lWKWlsK8mvp1klR5IWeqtwwTyvnfiGEmYXHMMv3XtpK8FTUnOaIdXAwnNHIz9JBcnVfbqi7SHrHpxXxDQ"
}"#;

fn signer(seed: u8) -> SigningKey {
    SigningKey::from_seed("dir", &[seed; 32]).unwrap()
}

fn pinned(key: &SigningKey) -> PinnedKey {
    PinnedKey::parse(&json!(key.jwk()).to_string()).unwrap()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn list() -> Value {
    json!({"federation": "Test Federation", "servers": [{"url": "https://a.example.org", "displayName": "A"}]})
}

/// The list, with this protected header, signed by this key, flattened.
fn flattened(key: &SigningKey, header: &Value, payload: &Value) -> Value {
    let (protected, payload) = (encode(header.to_string()), encode(payload.to_string()));
    let signature = encode(key.sign(format!("{protected}.{payload}").as_bytes()));
    json!({"payload": payload, "protected": protected, "signature": signature})
}

fn good() -> Value {
    flattened(&signer(1), &json!({"alg": "EdDSA"}), &list())
}

fn compact(flattened: &Value) -> String {
    let part = |name: &str| flattened[name].as_str().unwrap();
    format!("{}.{}.{}", part("protected"), part("payload"), part("signature"))
}

fn read(document: impl AsRef<[u8]>) -> Result<Directory, Invalid> {
    Directory::verify(document.as_ref(), &pinned(&signer(1)))
}

fn names(directory: &Directory) -> Vec<String> {
    directory
        .servers
        .iter()
        .map(|server| server.provider.to_string())
        .collect()
}

#[test]
fn dir_1_the_vector_vdir_is_read() {
    let key = Jwk::from_value(&serde_json::from_str(VDIR_KEY).unwrap()).unwrap();
    let directory = Directory::verify(VDIR.as_bytes(), &PinnedKey::danger_example(key)).unwrap();
    assert_eq!(directory.federation, "Test Federation");
    assert_eq!(names(&directory), ["a.example.org", "b.example.org:8443"]);
    assert_eq!(directory.servers[1].name, "B");
    assert_eq!(
        (directory.dropped, directory.marks, directory.expires),
        (0, Marks::default(), None)
    );
}

#[test]
fn dir_3_all_three_serialisations_say_the_same() {
    let expected = read(good().to_string()).unwrap();
    assert_eq!(names(&expected), ["a.example.org"]);
    let mut general = good();
    general["signatures"] = json!([{"protected": general["protected"], "signature": general["signature"],
        "header": {"kid": "by any name"}}]);
    for name in ["protected", "signature"] {
        general.as_object_mut().unwrap().remove(name);
    }
    let mut named = good();
    named["header"] = json!({"kid": "x"});
    for document in [
        compact(&good()),
        format!("{}\n", compact(&good())),
        general.to_string(),
        named.to_string(),
    ] {
        assert_eq!(read(&document).unwrap(), expected, "{document}");
    }
    // During a change of keys there are two signatures; the pinned one counts wherever it stands.
    let other = flattened(&signer(2), &json!({"alg": "EdDSA"}), &list());
    let entry = |of: &Value| json!({"protected": of["protected"], "signature": of["signature"]});
    for both in [[&good(), &other], [&other, &good()]] {
        general["signatures"] = json!([entry(both[0]), entry(both[1])]);
        assert_eq!(read(general.to_string()).unwrap(), expected);
    }
}

#[test]
fn dir_1_keys_of_three_types_are_pinned_as_jwk_or_as_pem() {
    let check = |public: &[u8], jwk: Value, alg: &str, sign: &dyn Fn(&[u8]) -> Vec<u8>| {
        let signed = format!(
            "{}.{}",
            encode(json!({"alg": alg}).to_string()),
            encode(list().to_string())
        );
        let document = format!("{signed}.{}", encode(sign(signed.as_bytes())));
        let base64: Vec<_> = STANDARD.encode(public).into_bytes();
        let lines: Vec<_> = base64
            .chunks(64)
            .map(|line| std::str::from_utf8(line).unwrap())
            .collect();
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            lines.join("\n")
        );
        for text in [pem, jwk.to_string()] {
            let key = PinnedKey::parse(&text).unwrap();
            assert_eq!(
                names(&Directory::verify(document.as_bytes(), &key).unwrap()),
                ["a.example.org"],
                "{alg}"
            );
            let refused = read(&document).unwrap_err();
            assert!(matches!(refused.field(), "alg" | "signature"), "{alg}: {refused}");
            // And a document for another type of key is refused by this one.
            assert_eq!(
                Directory::verify(&forged_for(alg), &key).unwrap_err().field(),
                "alg",
                "{alg}"
            );
        }
    };
    let random = SystemRandom::new();
    let ed = signer(3);
    let x = json!(ed.jwk())["x"].clone();
    let spki = [
        &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00][..],
        &URL_SAFE_NO_PAD.decode(x.as_str().unwrap()).unwrap(),
    ];
    let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": x});
    check(&spki.concat(), jwk.clone(), "EdDSA", &|message| ed.sign(message));
    check(&spki.concat(), jwk, "Ed25519", &|message| ed.sign(message));

    let ec = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let point = ec.public_key().as_ref();
    let jwk = json!({"kty": "EC", "crv": "P-256", "x": encode(&point[1..33]), "y": encode(&point[33..])});
    let spki: PublicKeyX509Der = ec.public_key().as_der().unwrap();
    check(spki.as_ref(), jwk, "ES256", &|message| {
        ec.sign(&random, message).unwrap().as_ref().to_vec()
    });

    let rsa = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let n = rsa.public_key().modulus();
    let jwk = json!({"kty": "RSA", "n": encode(n.big_endian_without_leading_zero()), "e": "AQAB"});
    let spki: PublicKeyX509Der = rsa.public_key().as_der().unwrap();
    check(spki.as_ref(), jwk, "RS256", &|message| {
        let mut signature = vec![0; rsa.public_modulus_len()];
        rsa.sign(&RSA_PKCS1_SHA256, &random, message, &mut signature).unwrap();
        signature
    });
}

/// A document whose header names another algorithm than this one.
fn forged_for(alg: &str) -> Vec<u8> {
    let other = if alg == "ES256" { "RS256" } else { "ES256" };
    compact(&flattened(&signer(1), &json!({ "alg": other }), &list())).into_bytes()
}

#[test]
fn a_key_that_cannot_be_pinned_says_why_and_is_not_repeated() {
    let check = |text: &str, hint: &str| {
        let refused = PinnedKey::parse(text).unwrap_err();
        assert_eq!(refused.field(), "key");
        assert!(refused.why().contains(hint), "{refused}");
        assert!(!refused.why().contains("canary"), "{refused}");
    };
    check("", "neither a JWK");
    check("canary", "neither a JWK");
    check("{canary", "not the JSON of one JWK");
    check(r#"{"kty":"oct","k":"canary"}"#, "private parts");
    check(
        r#"{"kty":"OKP","crv":"Ed25519","x":"AAAA","d":"canary"}"#,
        "private parts",
    );
    check(
        "-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----",
        "private key",
    );
    check(
        "-----BEGIN PUBLIC KEY-----\ncanary!\n-----END PUBLIC KEY-----",
        "not base64",
    );
    check(
        "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----",
        "Ed25519, P-256 and RSA",
    );
    check(
        "-----BEGIN CERTIFICATE-----\nMCow\n-----END CERTIFICATE-----",
        "PUBLIC KEY",
    );
    check(VDIR_KEY, "printed in a standard");
    check(r#"{"kty":"RSA","alg":"PS256","n":"AQAB","e":"AQAB"}"#, "2048");
    check(
        r#"{"kty":"OKP","crv":"Ed25519","alg":"HS256","x":"lvV0MUM-mTbyFUAa0bschCLl2bvcbrcmNRp_fQnFz4I"}"#,
        "alg",
    );
    check(&"x".repeat(KEY_BYTES_MAX + 1), "too long");
    // As openssl writes them: RSA of 1024 bits, and P-384.
    check(
        "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDiH4gTMt4vVBBhJALWkb1d1LNL
PqCJruVdPi7GrsWH/n7YHRHcptMnxFp7Zadn5ihWW3yc4MCeQBENWvpSG0Y/v+qd
5b75awQUMGl7ATzrNLnMP6ZBRooiVK0JKowPP4SY9vRFvHKP1kjxe2mdua/JIZyp
rMfpMl4gUj3uJvTXhQIDAQAB
-----END PUBLIC KEY-----",
        "2048 to 4096 bits",
    );
    check(
        "-----BEGIN PUBLIC KEY-----
MHYwEAYHKoZIzj0CAQYFK4EEACIDYgAE5j4YC5pwAsoXXMbFLqUGpcNOgcBEsDRi
GzDC7K0QcoWQe/0SdhMwS7rquUCDAfBtiTHjpuzbUzf9QsfddfE7YUFuXvhQiU7Y
lSN/oizxZS9PMtwDFETH51zKT+RrXTKf
-----END PUBLIC KEY-----",
        "Ed25519, P-256 and RSA",
    );
    assert!(PinnedKey::parse(
        "-----BEGIN PUBLIC KEY-----\r\nMCowBQYDK2VwAyEAlvV0MUM+mTbyFUAa0bschCLl2bvcbrcmNRp/fQnFz4I=\r\n-----END PUBLIC KEY-----\r\n"
    )
    .is_ok());
}

#[test]
fn t47_a_forged_document_is_refused() {
    let key = signer(1);
    let check = |document: String, field: &str| {
        let refused = read(&document).expect_err(&document);
        assert_eq!(refused.field(), field, "{refused}: {document}");
    };
    let header = |header: Value| flattened(&key, &header, &list());

    // The header chooses how it is checked.
    check(header(json!({"alg": "none"})).to_string(), "alg");
    let mut none = header(json!({"alg": "none"}));
    none["signature"] = json!("");
    check(compact(&none), "alg");
    check(header(json!({})).to_string(), "alg");
    check(header(json!({"alg": ["EdDSA"]})).to_string(), "alg");
    check(header(json!({"alg": "eddsa"})).to_string(), "alg");
    for alg in ["HS256", "ES256", "RS256", "PS256", "Ed448"] {
        check(header(json!({ "alg": alg })).to_string(), "alg");
    }
    // HMAC with the bytes of the public key, which everybody has.
    let mut hmac = header(json!({"alg": "HS256"}));
    let public = URL_SAFE_NO_PAD.decode(json!(key.jwk())["x"].as_str().unwrap()).unwrap();
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &public);
    let signed = format!(
        "{}.{}",
        hmac["protected"].as_str().unwrap(),
        hmac["payload"].as_str().unwrap()
    );
    hmac["signature"] = json!(encode(aws_lc_rs::hmac::sign(&secret, signed.as_bytes())));
    check(hmac.to_string(), "alg");
    check(compact(&hmac), "alg");

    // The document brings its own key, or its own rules; also where the pinned key signed that.
    let evil = signer(2);
    let brought = flattened(&evil, &json!({"alg": "EdDSA", "jwk": evil.jwk()}), &list());
    check(brought.to_string(), "header");
    for (name, value) in [
        ("crit", json!(["exp"])),
        ("crit", Value::Null),
        ("b64", json!(false)),
        ("b64", json!(true)),
        ("jwk", json!(key.jwk())),
        ("jku", json!("https://evil.example/keys")),
        ("x5u", json!("https://evil.example/cert")),
        ("x5c", json!([])),
    ] {
        check(header(json!({"alg": "EdDSA", name: value})).to_string(), "header");
        check(compact(&header(json!({"alg": "EdDSA", name: value}))), "header");
        let mut outside = good();
        outside["header"] = json!({ name: value });
        check(outside.to_string(), "header");
    }
    let mut outside = header(json!({"kid": "x"}));
    outside["header"] = json!({"alg": "EdDSA"});
    check(outside.to_string(), "header");
    let mut twice = header(json!({"alg": "EdDSA", "kid": "x"}));
    twice["header"] = json!({"kid": "y"});
    check(twice.to_string(), "header");
    twice["header"] = json!("kid");
    check(twice.to_string(), "header");

    // Something was changed.
    check(
        flattened(&evil, &json!({"alg": "EdDSA"}), &list()).to_string(),
        "signature",
    );
    let changed = |name: &str, value: Value| {
        let mut document = good();
        document[name] = value;
        document
    };
    let mut other = list();
    other["servers"] = json!([{"url": "https://evil.example"}]);
    check(
        changed("payload", json!(encode(other.to_string()))).to_string(),
        "signature",
    );
    let protected = encode(json!({"alg": "EdDSA", "kid": "other"}).to_string());
    check(changed("protected", json!(protected)).to_string(), "signature");
    let signature = good()["signature"].as_str().unwrap().to_owned();
    check(changed("signature", json!(signature[..84])).to_string(), "signature");
    check(changed("signature", Value::Null).to_string(), "signature");

    // Another spelling of the same.
    check(
        changed("signature", json!(format!("{signature}=="))).to_string(),
        "signature",
    );
    let standard = STANDARD.encode(URL_SAFE_NO_PAD.decode(&signature).unwrap());
    check(changed("signature", json!(standard)).to_string(), "signature");
    check(
        changed("signature", json!(format!("{signature} "))).to_string(),
        "signature",
    );
    let padded = URL_SAFE.encode(json!({"alg": "EdDSA", "kk": 1}).to_string());
    assert!(padded.ends_with('='));
    check(changed("protected", json!(padded)).to_string(), "protected");
    let twice = encode(r#"{"alg":"EdDSA","alg":"EdDSA"}"#);
    check(changed("protected", json!(twice)).to_string(), "protected");
    check(changed("protected", json!(encode("[]"))).to_string(), "protected");

    // The draft's example, and no signature at all.
    check(changed("payload", list()).to_string(), "payload");
    check(changed("protected", json!({"alg": "EdDSA"})).to_string(), "protected");
    check(list().to_string(), "document");

    // Two signatures, or something behind the one.
    let entry = |of: &Value| json!({"protected": of["protected"], "signature": of["signature"]});
    let mut broken = good();
    broken["signature"] = json!(encode([7; 64]));
    let stranger = flattened(&evil, &json!({"alg": "EdDSA"}), &list());
    let general = |entries: &[Value]| json!({"payload": good()["payload"], "signatures": entries});
    check(general(&[entry(&broken), entry(&stranger)]).to_string(), "signature");
    check(general(&[entry(&stranger), entry(&broken)]).to_string(), "signature");
    check(general(&[entry(&good()), entry(&brought)]).to_string(), "header");
    check(general(&[]).to_string(), "signatures");
    check(general(&vec![entry(&good()); 9]).to_string(), "signatures");
    check(general(&[json!("x")]).to_string(), "signatures");
    check(changed("signatures", json!([entry(&good())])).to_string(), "signatures");
    check(format!("{}{}", good(), good()), "document");
    check(format!("{} x", good()), "document");
    check(format!("{}.x", compact(&good())), "document");
    check(format!("{} x", compact(&good())), "signature");
    check(format!("\u{feff}{}", good()), "document");
    for text in ["", ".", "a.b", "[]", "null"] {
        assert!(read(text).is_err(), "{text}");
    }
    assert_eq!(read(b"\xff\xfe").unwrap_err().field(), "document");
    check(" ".repeat(DOCUMENT_BYTES_MAX + 1), "document");
}

/// What of these entries is a server, and the name it has.
fn check_entries(entries: Value, expected: &[(&str, &str)], dropped: usize) {
    let directory = Directory::danger_unverified(json!({"federation": "F", "servers": entries}).to_string().as_bytes());
    let directory = directory.unwrap();
    let servers: Vec<_> = directory
        .servers
        .iter()
        .map(|server| (server.provider.to_string(), server.name.clone()))
        .collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(host, name)| ((*host).to_owned(), (*name).to_owned()))
        .collect();
    assert_eq!((servers, directory.dropped), (expected, dropped));
}

#[test]
fn dir_2_an_entry_that_names_no_server_is_dropped_and_the_rest_is_kept() {
    for bad in [
        json!("https://a.example"),
        json!({}),
        json!({"url": 7}),
        json!({"url": ""}),
        json!({"url": "a.example"}),
        json!({"url": "//a.example"}),
        json!({"url": "ftp://a.example"}),
        json!({"url": "javascript://a.example"}),
        json!({"url": "https://"}),
        json!({"url": "https://a.example/path"}),
        json!({"url": "https://a.example//"}),
        json!({"url": "https://a.example/."}),
        json!({"url": "https://a.example?q"}),
        json!({"url": "https://a.example/?"}),
        json!({"url": "https://a.example#f"}),
        json!({"url": "https://user@a.example"}),
        json!({"url": "https://user:pass@a.example"}),
        json!({"url": "https://@a.example"}),
        json!({"url": "https://a.example:0"}),
        json!({"url": "https://a.example:"}),
        json!({"url": "https://a.example:99999"}),
        json!({"url": "https://a\\.example"}),
        json!({"url": "https://a.example\\@b.example"}),
        json!({"url": "https://a.exa\nmple"}),
        json!({"url": " https://a.example"}),
        json!({"url": "https://a%2eexample"}),
        json!({"url": "https://0x7f.1"}),
        json!({"url": "https://a_b c.example"}),
    ] {
        check_entries(
            json!([bad, {"url": "https://good.example", "displayName": "Good"}]),
            &[("good.example", "Good")],
            1,
        );
    }
    check_entries(
        json!([
            {"url": "HTTPS://A.example/"},
            {"url": "https://b.example:8443", "displayName": 7},
            {"url": "http://c.example:80/", "displayName": "  "},
            {"url": "http://d.example:8080", "displayName": null},
            {"url": "https://bücher.example", "displayName": "Bücher", "more": {}},
        ]),
        &[
            ("a.example", "a.example"),
            ("b.example:8443", "b.example:8443"),
            ("c.example", "c.example"),
            ("d.example:8080", "d.example:8080"),
            ("xn--bcher-kva.example", "Bücher"),
        ],
        0,
    );
    check_entries(
        json!([
            {"url": "https://a.example", "displayName": "First"},
            {"url": "https://A.EXAMPLE:443/", "displayName": "Second"},
            {"url": "https://b.example"},
        ]),
        &[("a.example", "First"), ("b.example", "b.example")],
        0,
    );
}

#[test]
fn t68_a_name_is_one_short_visible_line() {
    let name = format!("\u{202e}A\n\t\u{0}<b>{}", "x".repeat(500));
    let expected = format!("A<b>{}", "x".repeat(NAME_MAX - 4));
    check_entries(
        json!([{"url": "https://a.example", "displayName": name}]),
        &[("a.example", &expected)],
        0,
    );
    let read = |federation: Value| {
        Directory::danger_unverified(json!({"federation": federation, "servers": []}).to_string().as_bytes())
    };
    assert_eq!(read(json!("F\u{2028}ederation ")).unwrap().federation, "Federation");
    for bad in [json!("\u{0}"), json!(""), json!(7), Value::Null] {
        assert_eq!(read(bad).unwrap_err().field(), "federation");
    }
}

#[test]
fn a_list_has_an_end() {
    let with = |count: usize| {
        let servers: Vec<_> = (0..count)
            .map(|at| json!({"url": format!("https://s{at}.example")}))
            .collect();
        Directory::danger_unverified(json!({"federation": "F", "servers": servers}).to_string().as_bytes())
    };
    assert_eq!(with(SERVERS_MAX).unwrap().servers.len(), SERVERS_MAX);
    assert_eq!(with(SERVERS_MAX + 1).unwrap_err().field(), "servers");
    assert_eq!(with(0).unwrap().servers, []);
    for servers in [Value::Null, json!({}), json!("https://a.example")] {
        let text = json!({"federation": "F", "servers": servers}).to_string();
        assert_eq!(
            Directory::danger_unverified(text.as_bytes()).unwrap_err().field(),
            "servers"
        );
    }
    let nested = format!(r#"{{"federation":"F","servers":{}}}"#, "[".repeat(100_000));
    assert!(Directory::danger_unverified(nested.as_bytes()).is_err());
}

#[test]
fn inc_23_only_without_verification_the_forms_of_others_are_read() {
    let example = json!({"payload": list(), "protected": {"alg": "RS256"}, "signature": "x"});
    let forms = [
        list().to_string(),
        example.to_string(),
        good().to_string(),
        compact(&good()),
    ];
    for form in forms {
        assert_eq!(
            names(&Directory::danger_unverified(form.as_bytes()).unwrap()),
            ["a.example.org"]
        );
    }
    assert_eq!(read(example.to_string()).unwrap_err().field(), "payload");
}

#[test]
fn t47_what_a_list_says_of_its_age_counts_where_it_is_signed() {
    let marked = |header: Value, more: Value| {
        let mut payload = list();
        for (name, value) in more.as_object().unwrap() {
            payload[name] = value.clone();
        }
        let mut document = flattened(&signer(1), &header, &payload);
        document["header"] = json!({"version": 99, "nbf": 1});
        read(document.to_string()).unwrap()
    };
    let read = marked(json!({"alg": "EdDSA"}), json!({"iat": 100, "version": 7, "exp": 200.5}));
    let at = |version: Option<u64>, issued: Option<i64>| Marks {
        version,
        issued: issued.map(Timestamp),
    };
    assert_eq!(read.marks, at(Some(7), Some(100)));
    assert!(!read.is_over(Timestamp(199)) && read.is_over(Timestamp(200)));
    let read = marked(
        json!({"alg": "EdDSA", "iat": 50, "exp": "soon"}),
        json!({"version": "1.0"}),
    );
    assert_eq!((read.marks, read.expires), (at(None, Some(50)), None));

    let check = |new: Marks, kept: Marks, expected: bool| assert_eq!(new.is_before(kept), expected, "{new:?} {kept:?}");
    check(at(None, None), at(None, None), false);
    check(at(Some(2), None), at(None, None), false);
    check(at(Some(2), Some(5)), at(Some(2), Some(5)), false);
    check(at(Some(3), Some(6)), at(Some(2), Some(5)), false);
    check(at(Some(1), Some(6)), at(Some(2), Some(5)), true);
    check(at(Some(3), Some(4)), at(Some(2), Some(5)), true);
    check(at(None, Some(6)), at(Some(2), Some(5)), true);
    check(at(None, None), at(None, Some(5)), true);
}
