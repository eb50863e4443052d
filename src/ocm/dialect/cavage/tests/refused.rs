//! What must be refused, and by which word.

use proptest::prelude::*;

use super::*;

const RSA_SHA_512: &str = r#"algorithm="rsa-sha512""#;

#[test]
fn t17_each_part_that_matters_must_be_covered() {
    for name in COVERED.split(' ') {
        let rest: Vec<_> = COVERED.split(' ').filter(|other| *other != name).collect();
        check_signed(|_| (), &rest.join(" "), RSA_SHA_512, "component-missing");
        if name != TARGET {
            check(|sent| sent.remove(name), "component-missing");
        }
    }
    check(
        |sent| sent.replace("signature", &format!(r#"headers="{COVERED}","#), ""),
        "component-missing",
    );
    check(|sent| sent.replace("signature", COVERED, ""), "component-missing");
    // Covered, but not sent.
    check(
        |sent| sent.replace("signature", COVERED, &format!("{COVERED} content-type")),
        "component-missing",
    );
    check(
        |sent| {
            sent.replace("signature", "rsa-sha512", "hs2019");
            sent.replace("signature", COVERED, &format!("{COVERED} (created)"));
        },
        "component-missing",
    );
}

#[test]
fn t16_nothing_is_covered_sent_or_said_twice() {
    for name in COVERED.split(' ') {
        check(
            |sent| sent.replace("signature", COVERED, &format!("{COVERED} {name}")),
            "component-refused",
        );
        check(
            |sent| sent.replace("signature", COVERED, &COVERED.to_uppercase()),
            "component-refused",
        );
        if name != TARGET {
            check(
                |sent| {
                    let same = sent.get(name);
                    sent.add(name, &same);
                },
                "component-refused",
            );
        }
    }
    let header = vcav().get("signature");
    for extra in [
        r#",signature="AAAA""#,
        r#",keyId="https://evil.test/ocm#signature""#,
        r#",KEYID="https://evil.test/ocm#signature""#,
        r#",headers="date""#,
        r#",algorithm="rsa-sha512""#,
        ",x=1,x=1",
    ] {
        check(
            |sent| sent.set("signature", &format!("{header}{extra}")),
            "duplicate-label",
        );
        check(
            |sent| sent.set("signature", &format!("{},{header}", &extra[1..])),
            "duplicate-label",
        );
    }
    check(|sent| sent.add("signature", &header), "duplicate-label");
    check(|sent| sent.add("signature", "ocm=:AAAA:"), "duplicate-label");
    check(
        |sent| sent.set("digest", &format!("{INV_SHA_512},{INV_SHA_512}")),
        "duplicate-label",
    );
}

#[test]
fn t18_no_algorithm_but_rsa_with_sha_2() {
    for name in [
        "hmac-sha256",
        "hmac-sha512",
        "rsa-sha1",
        "rsa-sha384",
        "rsa-pss-sha512",
        "RSA-SHA512",
        "ecdsa-sha256",
        "ed25519",
        "none",
        "rsa-v1_5-sha256",
    ] {
        check_signed(|_| (), COVERED, &format!("algorithm={name:?}"), "algorithm-mismatch");
    }
    // Keyed with what everyone knows, as if it were a secret.
    let secret = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, test_key().public_pem().as_bytes());
    let mut sent = vcav();
    let text = sent.read().unwrap().unwrap().signing_text(&sent.request()).unwrap();
    let forged = STANDARD.encode(aws_lc_rs::hmac::sign(&secret, text.as_bytes()));
    for (name, expected) in [
        ("rsa-sha512", "signature-wrong"),
        ("hs2019", "signature-wrong"),
        ("hmac-sha256", "algorithm-mismatch"),
    ] {
        sent.set(
            "signature",
            &format!(r#"keyId="{KEY_ID}",algorithm="{name}",headers="{COVERED}",signature="{forged}""#),
        );
        assert_eq!(sent.code(), expected);
    }
}

#[test]
fn t14_t15_body_digest_and_length_belong_together() {
    check(|sent| sent.body[9] ^= 1, "digest-mismatch");
    check(|sent| sent.body.push(b'\n'), "length-mismatch");
    check(|sent| sent.body.clear(), "length-mismatch");
    for length in ["165", "167", "", "0xa6", "+166", "0166", "166.0", "166, 166"] {
        check(|sent| sent.set("content-length", length), "length-mismatch");
    }
    let short = STANDARD.encode(digest(&SHA256, INV.as_bytes()));
    for (value, expected) in [
        ("", "header-unreadable"),
        ("SHA-512", "header-unreadable"),
        ("SHA-512=", "digest-mismatch"),
        ("SHA-512=%%", "header-unreadable"),
        ("SHA-512=6wWv6tEa-stZ", "header-unreadable"),
        ("md5=AAAA", "digest-unsupported"),
        ("SHA-1=AAAA, unixsum=1", "digest-unsupported"),
        (&format!("SHA-256={short}, SHA-512=AAAA"), "digest-mismatch"),
        (&format!("SHA-256=AAAA, {INV_SHA_512}"), "digest-mismatch"),
        (&format!("SHA-256={short},"), "header-unreadable"),
    ] {
        check_signed(|sent| sent.set("digest", value), COVERED, RSA_SHA_512, expected);
    }
}

#[test]
fn t12_t23_the_key_and_the_host_must_be_those_that_are_meant() {
    let other = PublicKeyPem::read("https://evil.test/ocm#signature", &test_key().public_pem()).unwrap();
    assert_eq!(vcav().check_with(&other, NOW), Err(SignatureError::KeyMismatch));
    let port = PublicKeyPem::read("https://receiver.example.org:8443/ocm#x", &test_key().public_pem()).unwrap();
    assert_eq!(vcav().check_with(&port, NOW), Err(SignatureError::KeyMismatch));
    for host in [
        "evil.test",
        "sender.example.org:8443",
        "sender.example.org.",
        "sender.example.org, sender.example.org",
        "https://sender.example.org",
        "x@sender.example.org",
        "",
    ] {
        check_signed(|sent| sent.set("host", host), COVERED, RSA_SHA_512, "host-mismatch");
    }
    check(|sent| sent.target_uri = "nonsense".to_owned(), "host-mismatch");
}

#[test]
fn a_key_id_names_a_server() {
    for (key_id, expected) in [
        ("", "keyid-missing"),
        ("signature", "ok"),
        ("#signature", "keyid-without-server"),
        ("https:///ocm#signature", "keyid-without-server"),
        ("https://receiver.example.org@evil.test/ocm", "keyid-without-server"),
        ("https://user:password@receiver.example.org/ocm", "keyid-without-server"),
        ("ftp://receiver.example.org/ocm", "keyid-without-server"),
        ("https://receiver.example.org:0/ocm", "keyid-without-server"),
        ("https://receiver.example.org%2f@evil.test/ocm", "keyid-without-server"),
        (
            &format!("https://receiver.example.org/{}", "a".repeat(512)),
            "parameter-invalid",
        ),
    ] {
        let mut sent = vcav();
        sent.replace("signature", KEY_ID, key_id);
        let code = sent.read().map_or_else(|error| error.code(), |_| "ok");
        assert_eq!(code, expected, "{key_id}");
    }
    check(
        |sent| sent.replace("signature", &format!(r#"keyId="{KEY_ID}""#), r#"x="keyId=""#),
        "keyid-missing",
    );
}

#[test]
fn t25_a_date_is_a_date_and_no_more() {
    for date in [
        "",
        "yesterday",
        "2026-07-26T10:08:20Z",
        "1785060500",
        "Sun, 32 Jul 2026 10:08:20 GMT",
        "Thu, 01 Jan 1960 00:00:00 GMT",
        &"(".repeat(7000),
        &format!("{DATE}{}", " ;".repeat(20)),
    ] {
        check(|sent| sent.set("date", date), "date-unreadable");
    }
    check(|sent| sent.set("date", &"(".repeat(60_000)), "component-refused");
    for (parameters, expected) in [
        ("created=9223372036854775808", "parameter-invalid"),
        ("created=99999999999999999", "parameter-invalid"),
        ("created=-1", "parameter-invalid"),
        ("created=+1", "parameter-invalid"),
        ("created=1.5", "parameter-invalid"),
        (r#"created="now""#, "parameter-invalid"),
        ("created=999999999999999", "created-in-future"),
        ("created=1785060561", "created-in-future"),
        ("created=1785060199", "created-too-old"),
        ("created=0", "created-too-old"),
        ("expires=1785060499", "signature-expired"),
        ("expires=", "ok"),
        ("expires=soon", "parameter-invalid"),
    ] {
        check_signed(|_| (), COVERED, parameters, expected);
    }
    // Who names an RSA algorithm must not cover these.
    for name in ["created", "expires"] {
        let covered = format!("{COVERED} ({name})");
        let parameters = format!("{RSA_SHA_512},{name}=1785060500");
        check_signed(|_| (), &covered, &parameters, "component-refused");
    }
}

#[test]
fn a_header_that_is_not_what_it_says_is_refused_and_never_taken_for_none() {
    let good = vcav().get("signature");
    for header in [
        "keyId=\"",
        "keyId=\"a",
        r#"keyId="a" headers="date""#,
        r#"keyId="a"x"#,
        r#"keyId="a","#,
        r#"keyId="a",,signature="b""#,
        r#",keyId="a""#,
        r#"keyId="a\"b""#,
        r#"key id="keyId=""#,
        r#"="a",keyId="b""#,
        &format!("{good},{}", "x".repeat(4096)),
        &format!(r#"{good},x="{}""#, "(".repeat(60_000)),
        &format!(r#"{good}{}"#, (0..20).map(|n| format!(",x{n}=1")).collect::<String>()),
        &format!("{good},x=\u{fc}"),
        &format!("{good},x=\u{0}"),
        &format!("{good},\tx=1"),
        &format!("{good},x=\"\r\n\""),
        &good.replace("ObJa", "Ob*a"),
        &good.replace("ObJa", "O_Ja"),
    ] {
        check(|sent| sent.set("signature", header), "header-unreadable");
    }
    for (from, to, expected) in [
        (VCAV, "", "parameter-missing"),
        (VCAV, "AAAA", "signature-wrong"),
        ("ObJa", "AAAA", "signature-wrong"),
    ] {
        check(|sent| sent.replace("signature", from, to), expected);
    }
    let many = (0..40).map(|n| format!(" x-{n}")).collect::<String>();
    check(
        |sent| sent.replace("signature", COVERED, &format!("{COVERED}{many}")),
        "component-refused",
    );
    for odd in ["(x)", "@method", "a:b", "\"", "(request-target)x"] {
        let covered = format!("{COVERED} {odd}");
        let code = |sent: &Sent| sent.read().map_or_else(|error| error.code(), |_| "ok");
        let mut sent = vcav();
        sent.replace("signature", COVERED, &covered);
        assert!(
            matches!(code(&sent), "component-refused" | "header-unreadable"),
            "{odd}: {}",
            code(&sent)
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn whatever_stands_in_the_headers_is_read_without_harm(
        signature in ".{0,200}", date in ".{0,60}", digest in ".{0,60}", covered in ".{0,60}",
    ) {
        let mut sent = vcav();
        sent.set("date", &date);
        sent.set("digest", &digest);
        prop_assert_ne!(sent.code(), "ok");
        sent.replace("signature", COVERED, &covered.replace(['"', '\\'], ""));
        prop_assert_ne!(sent.read().map_or_else(|error| error.code(), |_| "read"), "ok");
        sent.set("signature", &format!("keyId={signature}"));
        prop_assert!(sent.read().is_err());
    }
}
