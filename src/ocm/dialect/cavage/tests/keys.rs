//! Keys of others, and our own.

use super::*;

/// The key of draft-cavage-12, appendix C: 1024 bits.
const SHORT: &str = "-----BEGIN PUBLIC KEY-----
MIGfMA0GCSqGSIb3DQEBAQUAA4GNADCBiQKBgQDCFENGw33yGihy92pDjZQhl0C3
6rPJj+CvfSC8+q28hxA161QFNUd13wuCTUcq0Qd2qsBe/2hFyc2DCJJg0h1L78+6
Z4UMR7EOcpfdUE9Hf3m/hs+FUR45uBJeDK1HSFHD8bHKD6kv8FPGfJTotc+2xjJw
oYi+1hqp1fIekaxsyQIDAQAB
-----END PUBLIC KEY-----
";
/// A key of another type.
const ED25519: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAJrQLj5P/89iXES9+vFgrIy29clF9CC/oPPsw3c5D0bs=
-----END PUBLIC KEY-----
";

fn check(pem: &str, expected: &str) {
    let why = match PublicKeyPem::read(KEY_ID, pem) {
        Ok(_) => "ok".to_owned(),
        Err(invalid) => invalid.why().to_owned(),
    };
    assert!(why.contains(expected), "{why}: {pem}");
}

/// `RSAPublicKey` in PKCS #1, as openssl writes it with `-RSAPublicKey_out`.
fn pkcs1() -> String {
    let pair = aws_lc_rs::rsa::KeyPair::from_pkcs8(&test_key().to_pkcs8()).unwrap();
    let der = aws_lc_rs::signature::KeyPair::public_key(&pair).as_ref().to_vec();
    format!(
        "-----BEGIN RSA PUBLIC KEY-----\n{}\n-----END RSA PUBLIC KEY-----\n",
        STANDARD.encode(der)
    )
}

#[test]
fn a_key_is_read_in_both_wrappings_however_its_lines_end() {
    let pem = test_key().public_pem();
    for text in [
        pem.clone(),
        pem.replace('\n', "\r\n"),
        format!("\n {pem}\n\n"),
        pem.trim_end().to_owned(),
        pkcs1(),
    ] {
        let key = PublicKeyPem::read(KEY_ID, &text).unwrap();
        assert_eq!(key, test_key().public());
        assert_eq!(key.pem(), pem);
    }
    for vector in vectors() {
        let published = &vector["sender_discovery"]["publicKey"];
        if published.is_object() {
            let key = PublicKeyPem::from_value(published).unwrap();
            assert_eq!(serde_json::to_value(&key).unwrap(), *published);
            assert_eq!(serde_json::from_value::<PublicKeyPem>(published.clone()).unwrap(), key);
        }
    }
}

#[test]
fn t22_a_key_that_cannot_be_trusted_is_refused_with_the_reason() {
    check(SHORT, "2048");
    check(ED25519, "RSA");
    let pem = test_key().public_pem();
    check(&pem.replace("MII", "MIJ"), "RSA");
    check(&pem.replace("PUBLIC", "PRIVATE"), "PEM");
    check(&pem.replace("-----BEGIN PUBLIC", "-----BEGIN RSA PUBLIC"), "PEM");
    check(&pem.replace("\nMII", "\n*II"), "PEM");
    check(&format!("x{pem}"), "PEM");
    check(&format!("{pem}{pem}"), "PEM");
    check("", "PEM");
    check("-----BEGIN PUBLIC KEY----------END PUBLIC KEY-----", "RSA");
    check("-----BEGIN PUBLIC KEY-----", "PEM");
    check(&format!("{pem}{}", " ".repeat(60_000)), "too long");
    // Its last three bytes are the exponent.
    let der = |last: [u8; 3]| {
        let der = STANDARD
            .decode(pkcs1().lines().nth(1).unwrap())
            .map(|der| [&der[..der.len() - 3], &last].concat())
            .unwrap();
        pkcs1().replace(pkcs1().lines().nth(1).unwrap(), &STANDARD.encode(der))
    };
    check(&der([1, 0, 1]), "ok");
    check(&der([1, 0, 3]), "65537");
    check(&der([1, 0, 2]), "RSA");
}

#[test]
fn a_public_key_that_is_no_object_with_both_parts_is_none() {
    let pem = test_key().public_pem();
    for value in [
        json!(null),
        json!(pem),
        json!([]),
        json!({}),
        json!({"keyId": KEY_ID}),
        json!({"keyId": KEY_ID, "publicKeyPem": null}),
        json!({"keyId": KEY_ID, "publicKeyPem": ""}),
        json!({"publicKeyPem": pem}),
        json!({"keyId": "https://a b/", "publicKeyPem": pem}),
        json!({"keyId": "https://a\"b/", "publicKeyPem": pem}),
        json!({"keyId": "#signature", "publicKeyPem": pem}),
        json!({"keyId": format!("https://a.example/{}", "a".repeat(512)), "publicKeyPem": pem}),
    ] {
        assert!(PublicKeyPem::from_value(&value).is_err(), "{value}");
        assert!(serde_json::from_value::<PublicKeyPem>(value).is_err());
    }
}

#[test]
fn t22_the_key_printed_in_the_standards_is_known() {
    assert!(test_key().public().is_published_example());
    assert_eq!(
        test_key().public().thumbprint(),
        "BHj8s0GPnMEQtkaULIM-PLgEhLBbuGUQ1vMxmBWZzEo"
    );
    assert!(!RsaSigningKey::generate(KEY_ID).unwrap().public().is_published_example());
}

#[test]
fn our_key_can_be_kept_and_says_nothing_of_itself() {
    let key = RsaSigningKey::generate(KEY_ID).unwrap();
    let kept = RsaSigningKey::from_pkcs8(KEY_ID, &key.to_pkcs8()).unwrap();
    assert_eq!(kept.public(), key.public());
    assert_eq!(kept.sign(b"x"), key.sign(b"x"));
    assert_eq!(key.sign(b"x").len(), 256);
    assert_eq!(key.key_id(), KEY_ID);
    assert!(key.public_pem().lines().all(|line| line.len() <= 64));
    let shown = format!("{key:?}");
    assert_eq!(shown, format!("RsaSigningKey {{ key_id: {KEY_ID:?}, .. }}"));
    for key_id in ["", "#signature", "https://a b/", "https://a.example/\u{fc}", "a\"b"] {
        assert!(RsaSigningKey::from_pkcs8(key_id, &key.to_pkcs8()).is_err(), "{key_id}");
    }
    assert!(RsaSigningKey::from_pkcs8(KEY_ID, b"").is_err());
    assert!(RsaSigningKey::from_pkcs8(KEY_ID, &key.to_pkcs8()[1..]).is_err());
}
