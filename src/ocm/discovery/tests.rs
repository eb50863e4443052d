use serde_json::json;

use super::*;

fn from() -> Provider {
    Provider::parse("peer.example.org").unwrap()
}

fn parse(document: &Value) -> Result<Discovery, Invalid> {
    Discovery::parse(document.to_string().as_bytes(), &from(), false)
}

/// A document with nothing optional in it, and this field.
fn with(field: &str, value: Value) -> Value {
    let mut document = json!({
        "enabled": true, "apiVersion": "1.4.0", "endPoint": "https://peer.example.org/ocm",
        "resourceTypes": [{"name": "file", "shareTypes": ["user"], "protocols": {"webdav": "/dav/"}}],
    });
    document[field] = value;
    document
}

fn offer() -> Offer {
    let url = |path: &str| Url::parse(&format!("https://peer.example.org{path}")).unwrap();
    Offer {
        name: "Our Cloud".to_owned(),
        end_point: url("/ocm"),
        webdav_root: "/public.php/webdav/".to_owned(),
        token_end_point: Some(url("/ocm/token")),
        jwks_uri: Some(url("/.well-known/jwks.json")),
        invite_accept_dialog: Some(url("/invites/accept")),
        share_types: vec!["user".to_owned()],
        capabilities: vec![Capability::Notifications, Capability::ProtocolObject],
        criteria: vec![Criterion::MustInvite, Criterion::MustExchangeToken],
        webdav_receive: true,
    }
}

#[test]
fn dis_3_our_own_document_is_the_one_of_version_1_4() {
    let expected = json!({
        "enabled": true,
        "apiVersion": "1.4.0",
        "endPoint": "https://peer.example.org/ocm",
        "provider": "Our Cloud",
        "resourceTypes": [
            {"name": "file", "shareTypes": ["user"],
             "protocols": {"webdav": "/public.php/webdav/", "webdav-receive": {"uri": "relative"}}},
            {"name": "folder", "shareTypes": ["user"],
             "protocols": {"webdav": "/public.php/webdav/", "webdav-receive": {"uri": "relative"}}},
        ],
        "capabilities": ["exchange-token", "http-sig", "invites", "notifications", "protocol-object"],
        "criteria": ["must-invite", "must-exchange-token"],
        "tokenEndPoint": "https://peer.example.org/ocm/token",
        "jwksUri": "https://peer.example.org/.well-known/jwks.json",
        "inviteAcceptDialog": "https://peer.example.org/invites/accept",
    });
    assert_eq!(Discovery::ours(&offer()), expected);
}

#[test]
fn our_own_document_reads_back() {
    let read = parse(&Discovery::ours(&offer())).unwrap();
    assert!(read.enabled());
    assert_eq!(read.api_version(), (1, 4));
    assert_eq!(read.name(), Some("Our Cloud"));
    assert_eq!(read.shares_url().as_str(), "https://peer.example.org/ocm/shares");
    assert_eq!(read.jwks_uri().unwrap().path(), "/.well-known/jwks.json");
    assert_eq!(read.token_end_point().unwrap().path(), "/ocm/token");
    assert_eq!(read.invite_accept_dialog().unwrap().path(), "/invites/accept");
    assert_eq!(read.webdav_root("folder").as_deref(), Some("/public.php/webdav/"));
    assert!(read.has(Capability::HttpSig) && !read.has(Capability::EnforceMfa));
    assert!(read.requires(Criterion::MustInvite) && !read.requires(Criterion::MustUseHttpSig));
    assert!(read.supports("folder", "user", "webdav"));
    assert!(!read.supports("folder", "group", "webdav"));
    assert!(!read.supports("file", "user", "webapp"));
}

#[test]
fn dis_9_nothing_is_announced_without_its_url() {
    let bare = Offer {
        token_end_point: None,
        jwks_uri: None,
        invite_accept_dialog: None,
        capabilities: Capability::ALL.to_vec(),
        criteria: Criterion::ALL.to_vec(),
        webdav_receive: false,
        ..offer()
    };
    let document = Discovery::ours(&bare);
    assert_eq!(
        document["capabilities"],
        json!(["enforce-mfa", "invite-wayf", "notifications", "protocol-object"])
    );
    assert_eq!(document["criteria"], json!(["denylist", "allowlist", "must-invite"]));
    assert_eq!(
        document["resourceTypes"][0]["protocols"],
        json!({"webdav": "/public.php/webdav/"})
    );
    assert!(document.get("jwksUri").is_none());
}

#[test]
fn inc_34_the_legacy_document_is_what_old_servers_compare_with() {
    let document = offer().legacy_document();
    assert_eq!(document["apiVersion"], "1.0-proposal1");
    assert_eq!(document["version"], "1.4.0");
    assert!(
        document["resourceTypes"][0]["protocols"]
            .get("webdav-receive")
            .is_none()
    );
    assert_eq!(parse(&document).unwrap().api_version(), (1, 4));
}

#[test]
fn t02_every_address_must_be_on_the_server_that_was_asked() {
    for field in ["endPoint", "tokenEndPoint", "jwksUri"] {
        for url in [
            "https://10.0.0.5/",
            "http://peer.example.org/ocm",
            "file:///etc/passwd",
            "https://a@peer.example.org/",
            "https://a:b@peer.example.org/",
            "https://peer.example.org:8443/",
            "https://sub.peer.example.org/",
            "https://peer.example.org.evil.test/",
            "https://peer.example.org/#x",
            "//peer.example.org/ocm",
            "/ocm",
            "peer.example.org/ocm",
            "data:,x",
            "https://",
        ] {
            let error = parse(&with(field, json!(url))).unwrap_err();
            assert_eq!(error.field(), field, "{url}");
            assert!(!error.missing(), "{url}");
        }
        assert_eq!(parse(&with(field, json!(7))).unwrap_err().field(), field);
        assert!(parse(&with(field, json!("https://PEER.example.org:443/x"))).is_ok());
    }
    assert!(parse(&with("endPoint", json!("https://peer.example.org/ocm?x"))).is_err());
    assert!(parse(&with("endPoint", Value::Null)).unwrap_err().missing());
    assert!(parse(&with("endPoint", json!(""))).unwrap_err().missing());
}

#[test]
fn dis_2_http_is_taken_only_where_it_is_allowed() {
    let from = Provider::parse("localhost:9101").unwrap();
    let body = br#"{"endPoint":"http://localhost:9101/ocm","inviteAcceptDialog":"/accept"}"#;
    assert!(Discovery::parse(body, &from, false).is_err());
    let read = Discovery::parse(body, &from, true).unwrap();
    assert_eq!(read.shares_url().as_str(), "http://localhost:9101/ocm/shares");
    assert_eq!(
        read.invite_accept_dialog().unwrap().as_str(),
        "http://localhost:9101/accept"
    );
}

#[test]
fn d12_the_dialog_is_an_url_or_a_path_and_one_that_leads_elsewhere_is_dropped() {
    for (value, expected) in [
        (
            json!("https://peer.example.org/accept?lang=de"),
            Some("https://peer.example.org/accept?lang=de"),
        ),
        (
            json!("/apps/contacts/accept"),
            Some("https://peer.example.org/apps/contacts/accept"),
        ),
        (json!("accept"), Some("https://peer.example.org/accept")),
        (json!("//evil.test/accept"), None),
        (json!("https://evil.test/accept"), None),
        (json!("http://peer.example.org/accept"), None),
        (json!("javascript:alert(1)"), None),
        (json!("/accept#x"), None),
        (json!(""), None),
        (json!(["x"]), None),
        (Value::Null, None),
    ] {
        let read = parse(&with("inviteAcceptDialog", value.clone())).unwrap();
        assert_eq!(read.invite_accept_dialog().map(Url::as_str), expected, "{value}");
    }
}

#[test]
fn d20_the_api_is_joined_with_one_slash() {
    for end_point in ["https://peer.example.org/ocm", "https://peer.example.org/ocm/"] {
        let read = parse(&with("endPoint", json!(end_point))).unwrap();
        assert_eq!(read.shares_url().as_str(), "https://peer.example.org/ocm/shares");
        assert_eq!(
            read.invite_accepted_url().as_str(),
            "https://peer.example.org/ocm/invite-accepted"
        );
        assert_eq!(
            read.notifications_url().as_str(),
            "https://peer.example.org/ocm/notifications"
        );
        assert_eq!(
            read.request_share_url().as_str(),
            "https://peer.example.org/ocm/request-share"
        );
    }
    let read = parse(&with("endPoint", json!("https://peer.example.org"))).unwrap();
    assert_eq!(read.shares_url().as_str(), "https://peer.example.org/shares");
}

#[test]
fn d19_versions_are_read_leniently() {
    for (value, expected) in [
        (json!("1.4.0"), (1, 4)),
        (json!("1.1"), (1, 1)),
        (json!("2"), (2, 0)),
        (json!("v1.3"), (1, 3)),
        (json!("1.0-proposal1"), (1, 0)),
        (json!("1.5-rc1"), (1, 5)),
        (json!("next"), (1, 0)),
        (json!("99999999999999999999.1"), (1, 0)),
        (json!(1.4), (1, 0)),
        (Value::Null, (1, 0)),
    ] {
        let read = parse(&with("apiVersion", value.clone())).unwrap();
        assert_eq!(read.api_version(), expected, "{value}");
    }
    let mut both = with("apiVersion", json!("1.0-proposal1"));
    both["version"] = json!("1.1.2");
    assert_eq!(parse(&both).unwrap().api_version(), (1, 1));
}

#[test]
fn inc_10_the_webdav_root_has_a_slash_at_both_ends() {
    for (value, expected) in [
        (json!("/dav/ocm/"), Some("/dav/ocm/")),
        (json!("/dav/ocm"), Some("/dav/ocm/")),
        (json!("dav"), Some("/dav/")),
        (json!("/"), Some("/")),
        (json!("https://peer.example.org/dav"), Some("/dav/")),
        (json!("/a/../b/"), Some("/b/")),
        (json!("//evil.test/dav"), None),
        (json!("https://evil.test/dav"), None),
        (json!("\\\\evil.test\\dav"), None),
        (json!("/dav?x"), None),
        (json!("/dav#x"), None),
        (json!(""), None),
        (json!({"uri": "/dav"}), None),
        (Value::Null, None),
    ] {
        let types = json!([{"name": "file", "protocols": {"webdav": value}}]);
        let read = parse(&with("resourceTypes", types)).unwrap();
        assert_eq!(read.webdav_root("file").as_deref(), expected, "{value}");
    }
}

#[test]
fn inc_09_the_webdav_root_is_that_of_the_type_then_of_files_then_the_first() {
    let types = json!([
        {"name": "calendar", "protocols": {"webdav": "/first"}},
        {"name": "file", "protocols": {"webdav": "/files"}},
        {"name": "folder", "protocols": {"webdav": "/folders"}},
        {"name": "talk-room", "protocols": {"talk": "/talk"}},
    ]);
    let read = parse(&with("resourceTypes", types)).unwrap();
    for (name, expected) in [
        ("folder", "/folders/"),
        ("file", "/files/"),
        ("talk-room", "/files/"),
        ("ro-crate", "/files/"),
    ] {
        assert_eq!(read.webdav_root(name).as_deref(), Some(expected), "{name}");
    }
    let only = json!([{"name": "calendar", "protocols": {"webdav": "/first"}}]);
    let read = parse(&with("resourceTypes", only)).unwrap();
    assert_eq!(read.webdav_root("file").as_deref(), Some("/first/"));
    assert_eq!(
        parse(&with("resourceTypes", Value::Null)).unwrap().webdav_root("file"),
        None
    );
}

#[test]
fn d10_entries_that_make_no_sense_are_left_out() {
    for types in [
        Value::Null,
        json!({}),
        json!("file"),
        json!([null, 7, "file", {}, {"name": "file"}, {"protocols": {}}, {"name": 7, "protocols": {}}]),
        json!([{"name": "file", "protocols": null}, {"name": "file", "protocols": "/dav"}]),
    ] {
        let read = parse(&with("resourceTypes", types.clone())).unwrap();
        assert!(read.resource_types.is_empty(), "{types}");
        assert!(
            read.supports("file", "user", "webdav"),
            "DIA-8: the baseline may be tried"
        );
        assert!(!read.supports("folder", "user", "webdav"));
    }
}

#[test]
fn dis_6_what_is_received_is_said_by_receive_or_by_older_servers_not_at_all() {
    let supports = |protocols: Value, protocol: &str| {
        let types = json!([{"name": "folder", "shareTypes": ["user", "group"], "protocols": protocols}]);
        let read = parse(&with("resourceTypes", types)).unwrap();
        assert!(!read.supports("folder", "federation", protocol));
        read.supports("folder", "group", protocol)
    };
    assert!(supports(json!({"webdav": "/dav"}), "webdav"));
    assert!(supports(
        json!({"webdav": "/dav", "webdav-receive": {"uri": "absolute"}}),
        "webdav"
    ));
    assert!(!supports(json!({"webdav": "/dav", "webdav-receive": null}), "webapp"));
    assert!(!supports(
        json!({"webdav": "/dav", "webapp-receive": {"targets": ["blank"]}}),
        "webdav"
    ));
    assert!(supports(
        json!({"webapp": {}, "webapp-receive": {"targets": ["blank"]}}),
        "webapp"
    ));
}

#[test]
fn inc_26_old_words_mean_what_new_ones_do() {
    let mut document = with(
        "capabilities",
        json!([
            "/invite-accepted",
            "notifications",
            "token-exchange",
            "future",
            7,
            null,
            "http-request-signatures"
        ]),
    );
    document["criteria"] = json!(["http-request-signatures", "token-exchange", "invite", "must-be-nice"]);
    let read = parse(&document).unwrap();
    for (capability, expected) in [
        (Capability::Invites, true),
        (Capability::Notifications, true),
        (Capability::ExchangeToken, true),
        // What that means there is the older form of signatures.
        (Capability::HttpSig, false),
        (Capability::ProtocolObject, false),
    ] {
        assert_eq!(read.has(capability), expected, "{capability:?}");
    }
    for (criterion, expected) in [
        (Criterion::MustUseHttpSig, true),
        (Criterion::MustExchangeToken, true),
        (Criterion::MustInvite, true),
        (Criterion::Allowlist, false),
    ] {
        assert_eq!(read.requires(criterion), expected, "{criterion:?}");
    }
    assert_eq!(read.unknown_criteria().collect::<Vec<_>>(), ["must-be-nice"]);
}

#[test]
fn inc_35_a_disabled_server_need_not_say_more() {
    let read = parse(&json!({"enabled": false})).unwrap();
    assert!(!read.enabled());
    assert!(!parse(&with("enabled", json!(false))).unwrap().enabled());
    assert!(parse(&with("enabled", Value::Null)).unwrap().enabled());
    assert!(parse(&json!({"enabled": true})).unwrap_err().missing());
}

#[test]
fn documents_of_deployed_servers_are_read() {
    let nextcloud_32 = json!({
        "enabled": true, "apiVersion": "1.0-proposal1", "version": "1.1.0", "endPoint": "https://peer.example.org/ocm",
        "publicKey": {"keyId": "https://peer.example.org/ocm#signature", "publicKeyPem": "-----BEGIN PUBLIC KEY-----\n"},
        "resourceTypes": [
            {"name": "file", "shareTypes": ["user", "group"], "protocols": {"webdav": "/public.php/webdav/"}},
        ],
        "capabilities": ["/invite-accepted", "/notifications", "/shares"],
    });
    let read = parse(&nextcloud_32).unwrap();
    assert!(read.has(Capability::Invites) && !read.has(Capability::HttpSig));
    assert_eq!(read.webdav_root("folder").as_deref(), Some("/public.php/webdav/"));
    let owncloud_10 = json!({
        "enabled": true, "apiVersion": "1.0-proposal1",
        "endPoint": "https://peer.example.org/index.php/apps/federatedfilesharing",
        "shareTypes": [{"name": "file", "protocols": {"webdav": "/public.php/webdav/"}}],
    });
    let read = parse(&owncloud_10).unwrap();
    assert_eq!(read.webdav_root("file").as_deref(), Some("/public.php/webdav/"));
    assert_eq!(read.shares_url().path(), "/index.php/apps/federatedfilesharing/shares");
    let reva = json!({
        "enabled": true, "apiVersion": "1.3.0", "endPoint": "https://peer.example.org/ocm", "provider": "CERNBox",
        "resourceTypes": [
            {"name": "file", "shareTypes": ["user"], "protocols": {"webdav": "/remote.php/dav/ocm",
             "webdav-receive": {"uri": "absolute"}, "webapp": {}, "webapp-receive": {"targets": ["blank"]}}},
            {"name": "ro-crate", "shareTypes": ["user"], "protocols": {"embedded-receive": {}}},
        ],
        "capabilities": ["invites", "protocol-object", "invite-wayf"], "criteria": ["must-invite"],
        "inviteAcceptDialog": "https://peer.example.org/open-cloud-mesh/accept-invite",
    });
    let read = parse(&reva).unwrap();
    assert!(read.requires(Criterion::MustInvite));
    assert_eq!(read.webdav_root("file").as_deref(), Some("/remote.php/dav/ocm/"));
    assert!(read.supports("file", "user", "webapp"));
}

#[test]
fn t27_depth_and_size_have_an_end() {
    let deep = format!("{}1{}", "[".repeat(20), "]".repeat(20));
    let body = format!(r#"{{"endPoint":"https://peer.example.org/ocm","x":{deep}}}"#);
    assert!(Discovery::parse(body.as_bytes(), &from(), false).is_err());
    let types: Vec<_> = (0..LIST_MAX)
        .map(|n| json!({"name": format!("type-{n}"), "protocols": {"webdav": format!("/{}", "a".repeat(500))}}))
        .collect();
    assert_eq!(
        parse(&with("resourceTypes", json!(types))).unwrap_err().field(),
        "resourceTypes"
    );
    let words: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
    assert!(parse(&with("capabilities", json!(words))).is_ok());
    assert!(
        parse(&with("provider", json!("a".repeat(300))))
            .unwrap()
            .name()
            .is_none()
    );
}

#[test]
fn a_document_that_was_kept_reads_back_the_same() {
    let read = parse(&Discovery::ours(&offer())).unwrap();
    let kept = serde_json::to_vec(&read).unwrap();
    assert!(kept.len() < KEPT_MAX);
    assert_eq!(serde_json::from_slice::<Discovery>(&kept).unwrap(), read);
}
