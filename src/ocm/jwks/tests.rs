use super::*;

const TEST_1: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// The public half of a key that nobody keeps.
const X: &str = "2pfsAkTqPFcLQhF9z4WwJ8wO0w5jAbEbB1h0y7a5UzY";
const EC_X: &str = "xGL7SXkbUXGWfTHmxlfsZDmyzR7jNTyubdFadDaBZ-A";
const EC_Y: &str = "FIy0kSg1-T3L8l-6eMhu3RF4TZFhqEoQ8yGG8HH7tbo";
const RSA_N_9421: &str = "hAKYdtoeoy8zcAcR874L8cnZxKzAGwd7v36APp7Pv6Q2jdsPBRrwWEBnez6d0UDKDwGbc6nxfEXAy5mbhgajzrw3MOEt8uA5txSKobBpKDeBLOsdJKFqMGmXCQvEG7YemcxDTRPxAleIAgYYRjTSd_QBwVW9OwNFhekro3RtlinV0a75jfZgkne_YiktSvLG34lw2zqXBDTC5NHROUqGTlML4PlNZS5Ri2U4aCNx2rUPRcKIlE0PuKxI4T-HIaFpv8-rdV6eUgOrB2xeI1dSFFn_nnv5OoZJEIB-VmuKn3DCUcCZSFlQPSXSfBDiUGhwOw76WuSSsf1D4b_vLoJ10w";

/// Reads a set of this one key; `Ok` with its algorithm where it can be used, else why not.
fn check(key: Value, expected: Result<Algorithm, &str>) {
    let set = json!({"keys": [key]}).to_string();
    let (set, refused) = JwkSet::parse_noting(set.as_bytes()).unwrap();
    let found = match set.keys.first() {
        Some(key) => key.algorithm().map_err(|why| why.why().to_owned()),
        None => Err(refused[0].why.clone()),
    };
    match expected {
        Ok(algorithm) => assert_eq!(found, Ok(algorithm), "{key}"),
        Err(why) => assert!(
            found.as_ref().is_err_and(|found| found.contains(why)),
            "{key}: {found:?}"
        ),
    }
}

fn ed25519(member: &str, value: Value) -> Value {
    let mut key = json!({"kty": "OKP", "crv": "Ed25519", "x": X, "kid": "k", "alg": "Ed25519"});
    key[member] = value;
    key
}

fn rsa(n: &[u8], e: &str, alg: Option<&str>) -> Value {
    json!({"kty": "RSA", "n": encode(n), "e": e, "kid": "k", "alg": alg})
}

#[test]
fn sig_3a_the_type_of_a_key_decides_its_algorithm() {
    check(ed25519("use", json!("sig")), Ok(Algorithm::Ed25519));
    check(ed25519("alg", json!("EdDSA")), Ok(Algorithm::Ed25519));
    check(ed25519("alg", json!(null)), Ok(Algorithm::Ed25519));
    check(ed25519("key_ops", json!(["verify"])), Ok(Algorithm::Ed25519));
    check(ed25519("alg", json!("HS256")), Err("alg"));
    check(ed25519("alg", json!("none")), Err("alg"));
    check(ed25519("alg", json!("RS256")), Err("alg"));
    check(ed25519("alg", json!(7)), Err("text"));
    let mut ec = json!({"kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y, "kid": "k"});
    check(ec.clone(), Ok(Algorithm::EcdsaP256Sha256));
    ec["alg"] = json!("ES384");
    check(ec.clone(), Err("alg"));
    ec["crv"] = json!("P-384");
    check(ec, Err("type of key"));
    check(json!({"kty": "oct", "k": "c2VjcmV0", "kid": "k"}), Err("private"));
    check(
        json!({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA", "kid": "k"}),
        Err("type of key"),
    );
}

#[test]
fn a_key_that_cannot_be_trusted_is_left_out_with_the_reason() {
    check(ed25519("kid", json!(null)), Err("required"));
    check(ed25519("kid", json!("a\u{7}")), Err("control"));
    check(ed25519("use", json!("enc")), Err("not for signatures"));
    check(ed25519("d", json!("n4Ni")), Err("private"));
    check(ed25519("x", json!(encode(&[7; 31]))), Err("32 bytes"));
    check(ed25519("x", json!(encode(&[7; 33]))), Err("32 bytes"));
    check(ed25519("x", json!(format!("{X}="))), Err("base64url"));
    check(ed25519("x", json!(X.replace('w', "/"))), Err("base64url"));
    check(json!("not an object"), Err("not an object"));
}

#[test]
fn t22_rsa_keys_have_2048_to_4096_bits() {
    let n = |bytes: usize, first: u8| [vec![first], vec![0xff; bytes - 1]].concat();
    check(rsa(&n(256, 0x80), "AQAB", Some("RS256")), Ok(Algorithm::RsaV15Sha256));
    check(rsa(&n(512, 0xff), "AQAB", Some("RS256")), Ok(Algorithm::RsaV15Sha256));
    check(rsa(&n(256, 0x7f), "AQAB", Some("RS256")), Err("2048"));
    check(rsa(&n(513, 0x01), "AQAB", Some("RS256")), Err("4096"));
    check(rsa(&n(257, 0x00), "AQAB", Some("RS256")), Err("2048"));
    check(rsa(&n(256, 0x80), "Aw", Some("RS256")), Err("65537"));
    check(rsa(&n(256, 0x80), "AQAB", Some("PS256")), Err("alg"));
    check(rsa(&n(256, 0x80), "AQAB", None), Err("alg"));
}

#[test]
fn t22_points_of_small_order_are_refused() {
    for mut point in SMALL_ORDER {
        for sign in [0, 0x80] {
            point[31] ^= sign;
            check(ed25519("x", json!(encode(&point))), Err("any signature"));
        }
    }
}

#[test]
fn t22_the_keys_printed_in_standards_are_known() {
    let rsa = json!({"kty": "RSA", "n": RSA_N_9421, "e": "AQAB", "kid": "k", "alg": "RS256"});
    for key in [
        ed25519("x", json!(TEST_1)),
        ed25519("x", json!("PUAXw-hDiVqStwqnTRt-vJyYLM8uxJaMwM1V8Sr0Zgw")),
        ed25519("x", json!("_FHNjmIYoaONpH7QAjDwWAgW7RO6MwOsXeuRFUiQgCU")),
        ed25519("x", json!("J4EX_BRMcjQPZ9DyMW6Dhs7_vyskKMnFH-98WX8dQm4")),
        ed25519("x", json!("JrQLj5P_89iXES9-vFgrIy29clF9CC_oPPsw3c5D0bs")),
        ed25519("x", json!("AzeStPAdQ-vbi6bJVxcQjBPF2I7fDZdfDZ_XZ3J4Azs")),
        rsa,
    ] {
        let set = JwkSet {
            keys: vec![Jwk::from_value(&key).unwrap()],
        };
        assert!(set.find("k").is_some(), "{key}");
        assert!(set.find_trusted("k").is_none(), "{key}");
    }
    let own = Jwk::from_value(&ed25519("x", json!(X))).unwrap();
    assert!(!own.is_published_example());
}

#[test]
fn a_thumbprint_is_that_of_rfc_7638() {
    let key = Jwk::from_value(&ed25519("x", json!(TEST_1))).unwrap();
    assert_eq!(key.thumbprint(), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

#[test]
fn one_bad_key_does_not_spoil_the_set() {
    let set = json!({"keys": [
        {"kty": "future", "kid": "a"}, 7, ed25519("kid", json!("b")), null, ed25519("kid", json!("c")),
    ], "more": {"x": 1}});
    let (set, refused) = JwkSet::parse_noting(set.to_string().as_bytes()).unwrap();
    assert_eq!(set.keys.iter().map(Jwk::kid).collect::<Vec<_>>(), ["b", "c"]);
    assert_eq!(refused.len(), 3);
    assert_eq!(refused[0].kid, "a");
}

#[test]
fn neg_26_a_key_id_that_stands_twice_means_no_key() {
    let set = json!({"keys": [
        ed25519("kid", json!("a")), ed25519("kid", json!("b")), {"kty": "future", "kid": "a"},
    ]});
    let set = JwkSet::parse(set.to_string().as_bytes()).unwrap();
    assert!(set.find("a").is_none());
    assert!(set.find("b").is_some());
    assert!(set.find("B").is_none());
}

#[test]
fn a_set_has_a_largest_size() {
    let keys = |count: usize| {
        let keys: Vec<_> = (0..count).map(|n| ed25519("kid", json!(n.to_string()))).collect();
        JwkSet::parse(json!({"keys": keys}).to_string().as_bytes())
    };
    assert_eq!(keys(SET_KEYS_MAX).unwrap().keys.len(), SET_KEYS_MAX);
    assert!(keys(SET_KEYS_MAX + 1).is_err());
    let padded = format!("{{\"keys\":[]{}}}", " ".repeat(SET_BYTES_MAX));
    assert!(JwkSet::parse(padded.as_bytes()).is_err());
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[],"keys":[]}"#] {
        assert!(JwkSet::parse(text.as_bytes()).is_err(), "{text}");
    }
    assert_eq!(JwkSet::parse(br#"{"keys":[]}"#), Ok(JwkSet::default()));
}

#[test]
fn dis_11_our_key_is_published_with_kid_alg_and_use() {
    let public: [u8; 32] = URL_SAFE_NO_PAD.decode(X).unwrap().try_into().unwrap();
    let key = Jwk::ed25519("https://example.org/ocm#1", &public);
    let wire = serde_json::to_value(&key).unwrap();
    let expected = json!({
        "kty": "OKP", "crv": "Ed25519", "x": X, "kid": "https://example.org/ocm#1", "alg": "Ed25519", "use": "sig",
    });
    assert_eq!(wire, expected);
}

#[test]
fn a_set_that_was_kept_reads_back_the_same() {
    let rsa = json!({"kty": "RSA", "n": RSA_N_9421, "e": "AQAB", "kid": "r", "alg": "RS256"});
    let ec = json!({"kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y, "kid": "e"});
    let set = json!({"keys": [ed25519("use", json!("sig")), ec, rsa]});
    let set = JwkSet::parse(set.to_string().as_bytes()).unwrap();
    assert_eq!(set.keys.len(), 3);
    let kept = serde_json::to_vec(&set).unwrap();
    assert_eq!(serde_json::from_slice::<JwkSet>(&kept).unwrap(), set);
}
