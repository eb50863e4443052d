use proptest::prelude::*;

use super::*;

/// The canonical spelling, or `None` where the text is refused.
fn check(read: impl Fn(&str) -> Result<Provider, Invalid>, rows: &[(&str, Option<&str>)]) {
    for (input, expected) in rows {
        let found = read(input).ok().map(|provider| provider.to_string());
        assert_eq!(found.as_deref(), *expected, "{input:?}");
    }
}

#[test]
fn adr_2_a_server_has_one_spelling() {
    check(
        Provider::parse,
        &[
            ("example.org", Some("example.org")),
            ("EXAMPLE.org", Some("example.org")),
            ("example.org:443", Some("example.org")),
            ("example.org:8443", Some("example.org:8443")),
            ("example.org:80", Some("example.org:80")),
            ("localhost", Some("localhost")),
            ("a_b.example.org", Some("a_b.example.org")),
            ("exämple.org", Some("xn--exmple-cua.org")),
            ("EXÄMPLE.org", Some("xn--exmple-cua.org")),
            ("XN--exmple-CUA.org", Some("xn--exmple-cua.org")),
            ("192.0.2.1", Some("192.0.2.1")),
            ("192.0.2.1:8443", Some("192.0.2.1:8443")),
            ("[2001:DB8::1]:8443", Some("[2001:db8::1]:8443")),
            ("[2001:db8:0:0:0:0:0:1]", Some("[2001:db8::1]")),
        ],
    );
}

#[test]
fn t06_odd_spellings_of_addresses_are_refused() {
    let odd = [
        "0177.0.0.1",
        "0177.0.0.01",
        "2130706433",
        "017700000001",
        "0x7f.1",
        "0x7f.0.0.1",
        "0x7f000001",
        "0X7F000001",
        "0x",
        "127.1",
        "127.0.1",
        "127.0.0.01",
        "127.0.0.0x1",
        "127.0.0.256",
        "127.0.0.1.",
        "127.0.0.1.2",
        "1.2.3.4.5",
        "a.1",
        "example.0x7f",
        "0",
        "00",
        "٠.0.0.1",
        "１２７.0.0.1",
        "127。0。0。1",
        "①②⑦.0.0.1",
        "::1",
        "[::1",
        "[::1]x",
        "[::1]:",
        "[]",
        "[fe80::1%25eth0]",
        "[fe80::1%eth0]",
        "[v1.a]",
        "[127.0.0.1]",
        "[::ffff:0177.0.0.1]",
        "%31%32%37.0.0.1",
        "127%2e0%2e0%2e1",
        "localhost%00",
        "localhost.",
        "localhost\0",
    ];
    check(Provider::parse, &odd.map(|text| (text, None)));
}

#[test]
fn t06_an_address_in_its_plain_spelling_says_that_it_is_one() {
    for (input, expected) in [
        ("127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "0.0.0.0"),
        ("169.254.169.254", "169.254.169.254"),
        ("[::]", "::"),
        ("[::1]:8443", "::1"),
        ("[::ffff:127.0.0.1]", "::ffff:127.0.0.1"),
        ("[::ffff:7f00:1]", "::ffff:127.0.0.1"),
        ("[64:ff9b::7f00:1]", "64:ff9b::7f00:1"),
        ("[2002:7f00:1::]", "2002:7f00:1::"),
    ] {
        let ip = Provider::parse(input).map(|provider| provider.ip());
        assert_eq!(ip, Ok(Some(expected.parse().unwrap())), "{input}");
    }
    assert_eq!(Provider::parse("example.org").unwrap().ip(), None);
}

#[test]
fn t31_nothing_that_looks_like_example_org_is_it() {
    let example = Provider::parse("example.org").unwrap();
    for text in [
        "ехample.org", // Cyrillic
        "example。org",
        "example．org",
        "EXAMPLE.org.",
        "example.org.",
        ".example.org",
        "example..org",
        "xn--example-.org",
        "xn--example.org",
        "xn--.org",
        "ex%61mple.org",
        "exam\u{ad}ple.org",
        "exam\u{200b}ple.org",
        "exam\u{200d}ple.org",
        "ｅxample.org",
        "𝐞xample.org",
        "example.org\u{2028}",
        "-example.org",
        "example-.org",
        "example.org:0443",
    ] {
        assert_ne!(Provider::parse(text).as_ref(), Ok(&example), "{text:?}");
    }
}

#[test]
fn a_server_is_a_host_and_a_port_and_nothing_else() {
    let refused = [
        "",
        " ",
        " example.org",
        "example.org ",
        "exa mple.org",
        "https://example.org",
        "//example.org",
        "example.org/",
        "example.org/x",
        "example.org?x",
        "example.org#x",
        "example.org\\x",
        "u@example.org",
        "u:p@example.org",
        "example.org:",
        "example.org:0",
        "example.org:+1",
        "example.org:65536",
        "example.org:99999",
        "example.org:8443:1",
        "example.org:٤٤",
        "example.org\n",
        "*.example.org",
        "xn--example-.org",
        "xn--.org",
        "xn--a.org",
        "xn--exmple-cua-.org",
        "exa'mple.org",
    ];
    check(Provider::parse, &refused.map(|text| (text, None)));
    let label = "a".repeat(64);
    let name = vec!["a".repeat(63); 4].join(".");
    check(Provider::parse, &[(label.as_str(), None), (name.as_str(), None)]);
}

#[test]
fn inc_16_scheme_and_slashes_that_peers_send_are_taken_off() {
    check(
        Provider::parse_lenient,
        &[
            ("https://example.org/", Some("example.org")),
            ("HTTPS://example.org//", Some("example.org")),
            ("http://example.org:80/", Some("example.org")),
            ("http://example.org:8080", Some("example.org:8080")),
            (" example.org\n", Some("example.org")),
            ("https://https://example.org", None),
            ("ftp://example.org", None),
            ("https://u@example.org", None),
            ("https://example.org/ocm", None),
            ("https://", None),
            ("é", Some("xn--9ca")),
        ],
    );
}

#[test]
fn t02_an_url_belongs_to_the_server_of_its_host_and_port() {
    let example = Provider::parse("example.org").unwrap();
    for (input, expected) in [
        ("https://example.org/ocm", true),
        ("https://EXAMPLE.org:443/ocm", true),
        ("https://example.org:8443/ocm", false),
        ("https://sub.example.org/ocm", false),
        ("https://example.org.evil.test/", false),
        ("https://a@example.org/", false),
        ("https://example.org./", false),
        ("ftp://example.org/", false),
        ("file:///etc/passwd", false),
        ("data:,x", false),
    ] {
        assert_eq!(example.same_authority(&Url::parse(input).unwrap()), expected, "{input}");
    }
    let testing = Provider::parse("localhost:9101").unwrap();
    assert!(testing.same_authority(&Url::parse("http://localhost:9101/").unwrap()));
}

#[test]
fn a_rule_for_a_domain_covers_whole_labels_below_it() {
    for (host, domain, expected) in [
        ("a.example.org", "example.org", true),
        ("a.b.example.org:8443", "Example.ORG", true),
        ("example.org", "example.org", false),
        ("badexample.org", "example.org", false),
        ("a.example.org", "", false),
        ("192.0.2.1", "2.1", false),
    ] {
        assert_eq!(
            Provider::parse(host).unwrap().is_below(domain),
            expected,
            "{host} {domain}"
        );
    }
}

#[test]
fn adr_1_an_address_is_split_at_its_last_at_sign() {
    for (input, expected) in [
        ("marie@example.org", Some(("marie", "example.org"))),
        ("Marie@EXAMPLE.org:443", Some(("Marie", "example.org"))),
        ("a@b@c.org", Some(("a@b", "c.org"))),
        ("a@u:p@c.org", Some(("a@u:p", "c.org"))),
        ("Marie Curie@c.org", Some(("Marie Curie", "c.org"))),
        ("マリー@c.org:8443", Some(("マリー", "c.org:8443"))),
        ("", None),
        ("c.org", None),
        ("@c.org", None),
        ("a@", None),
        ("a@c.org/x", None),
        ("a@https://c.org", None),
        ("a@c.org:0", None),
        ("a@c.org:99999", None),
        ("a\0@c.org", None),
        ("a\n@c.org", None),
        ("a\u{202e}b@c.org", None),
        ("a\u{2066}b@c.org", None),
    ] {
        let found = OcmAddress::parse(input).ok();
        let found = found.as_ref().map(|a| (a.identifier.as_str(), a.provider.to_string()));
        assert_eq!(found, expected.map(|(i, p)| (i, p.to_owned())), "{input:?}");
    }
}

#[test]
fn t28_an_address_has_a_longest_length() {
    assert!(OcmAddress::parse(&format!("{}@c.org", "a".repeat(255))).is_ok());
    assert!(OcmAddress::parse(&format!("{}@c.org", "a".repeat(256))).is_err());
    assert!(OcmAddress::parse(&"a@c.org".repeat(99)).is_err());
}

#[test]
fn inc_16_addresses_of_deployed_servers_are_understood() {
    for (input, expected) in [
        ("marie@https://example.org/", Some("marie@example.org")),
        ("bob@http://ocm.localhost:9104", Some("bob@ocm.localhost:9104")),
        ("id@example.org@example.org", Some("id@example.org")),
        ("id@https://example.org@example.org", Some("id@example.org")),
        ("id@example.org@https://example.org@example.org", Some("id@example.org")),
        ("a@b.org@example.org", Some("a@b.org@example.org")),
        ("@example.org@example.org", Some("@example.org@example.org")),
        ("id", None),
        ("@https://example.org", None),
    ] {
        let found = OcmAddress::parse_lenient(input).ok().map(|address| address.to_string());
        assert_eq!(found.as_deref(), expected, "{input}");
    }
}

#[test]
fn addresses_travel_as_strings() {
    let address = OcmAddress::parse("a@b@example.org:8443").unwrap();
    let json = serde_json::to_string(&address).unwrap();
    assert_eq!(json, r#""a@b@example.org:8443""#);
    assert_eq!(serde_json::from_str::<OcmAddress>(&json).unwrap(), address);
    assert!(serde_json::from_str::<Provider>(r#""https://example.org""#).is_err());
}

proptest! {
    #[test]
    fn t32_an_address_reads_back_as_it_was_written(
        identifier in "[^\\p{C}\u{2028}\u{2029}]{1,40}",
        host in "[a-z][a-z0-9]{0,9}(\\.[a-z][a-z0-9]{0,9}){0,3}",
        port in proptest::option::of(1u16..),
    ) {
        let provider = match port {
            Some(port) => Provider::parse(&format!("{host}:{port}")).unwrap(),
            None => Provider::parse(&host).unwrap(),
        };
        let address = OcmAddress::new(identifier, provider).unwrap();
        prop_assert_eq!(OcmAddress::parse(&address.to_string()).unwrap(), address);
    }

    #[test]
    fn t31_whatever_is_read_is_canonical(text in "\\PC{0,40}") {
        if let Ok(provider) = Provider::parse(&text) {
            prop_assert!(provider.to_string().is_ascii());
            prop_assert_eq!(Provider::parse(&provider.to_string()).unwrap(), provider);
        }
        let _ = OcmAddress::parse_lenient(&text);
    }
}
