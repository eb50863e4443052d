use super::*;
use crate::ocm::address::Provider;
use crate::secret::Secret;

use url::Url;

/// A notification with nothing optional in it.
fn minimal() -> Value {
    json!({
        "shareWith": "marie@receiver.example.org",
        "name": "spec.yaml",
        "providerId": "7c084226-d9a1-11e6-bf26-cec0c932ce01",
        "owner": "einstein@sender.example.org",
        "sender": "einstein@sender.example.org",
        "shareType": "user",
        "resourceType": "file",
        "protocol": {"name": "multi", "webdav": {"uri": "spec.yaml", "sharedSecret": "s", "permissions": ["read"]}},
    })
}

fn parse(body: &Value) -> Result<ShareCreationNotification, ShareRefusal> {
    ShareCreationNotification::parse(body.to_string().as_bytes())
}

fn with(field: &str, value: Value) -> Result<ShareCreationNotification, ShareRefusal> {
    let mut body = minimal();
    body[field] = value;
    parse(&body)
}

fn with_webdav(field: &str, value: Value) -> Result<ShareCreationNotification, ShareRefusal> {
    let mut body = minimal();
    body["protocol"]["webdav"][field] = value;
    parse(&body)
}

fn with_protocol(protocol: Value) -> Result<WebdavOffer, ShareRefusal> {
    with("protocol", protocol).map(|share| share.webdav)
}

/// The field that is wrong, and whether it is missing.
fn field(result: Result<ShareCreationNotification, ShareRefusal>) -> (String, bool) {
    match result {
        Err(ShareRefusal::Invalid(invalid)) => (invalid.field().to_owned(), invalid.missing()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_example_of_the_draft_is_read() {
    let mut body = minimal();
    body["ownerDisplayName"] = json!("Albert Einstein");
    body["protocol"]["webdav"]["permissions"] = json!(["read", "write"]);
    let share = parse(&body).unwrap();
    assert_eq!(share.share_with.to_string(), "marie@receiver.example.org");
    assert_eq!(share.owner_display_name.as_deref(), Some("Albert Einstein"));
    assert_eq!(share.sender_display_name, None);
    assert_eq!(
        (share.share_type, share.resource_type),
        (ShareType::User, ResourceType::File)
    );
    assert_eq!(share.webdav.uri, Some(WebdavUri::Relative("spec.yaml".to_owned())));
    assert!(share.webdav.permissions.write && !share.webdav.permissions.share);
    assert_eq!(share.expiration, None);
}

#[test]
fn what_we_send_is_what_we_read() {
    let share = ShareCreationNotification {
        share_with: "marie@receiver.example.org".parse().unwrap(),
        name: "Letters".to_owned(),
        description: Some("From 1911\nto 1934".to_owned()),
        provider_id: ProviderId::new("4711").unwrap(),
        owner: "einstein@sender.example.org:8443".parse().unwrap(),
        sender: "einstein@sender.example.org:8443".parse().unwrap(),
        owner_display_name: Some("Albert".to_owned()),
        sender_display_name: Some("Albert".to_owned()),
        share_type: ShareType::User,
        resource_type: ResourceType::Folder,
        expiration: Some(Timestamp(1_785_060_500)),
        webdav: WebdavOffer {
            uri: Some(WebdavUri::parse("https://sender.example.org:8443/dav/4711").unwrap()),
            shared_secret: Secret::new("secret"),
            permissions: Permissions::READ,
            requirements: Requirements {
                must_exchange_token: true,
                must_use_mfa: false,
            },
            size: Some(12),
        },
        others: OtherProtocols::default(),
    };
    let expected = json!({
        "shareWith": "marie@receiver.example.org", "name": "Letters", "description": "From 1911\nto 1934",
        "providerId": "4711", "owner": "einstein@sender.example.org:8443", "sender": "einstein@sender.example.org:8443",
        "ownerDisplayName": "Albert", "senderDisplayName": "Albert", "shareType": "user", "resourceType": "folder",
        "expiration": 1_785_060_500,
        "protocol": {"name": "multi", "webdav": {
            "uri": "https://sender.example.org:8443/dav/4711", "sharedSecret": "secret", "permissions": ["read"],
            "requirements": ["must-exchange-token"], "size": 12,
        }},
    });
    assert_eq!(share.to_json(), expected);
    assert_eq!(parse(&share.to_json()), Ok(share.clone()));
    assert_eq!(parse(&share.to_legacy_json()), Ok(share.clone()));
    let legacy = share.to_legacy_json();
    assert_eq!(legacy["protocol"]["name"], "webdav");
    assert_eq!(legacy["protocol"]["options"]["sharedSecret"], "secret");
    assert_eq!(legacy["sharedBy"], legacy["sender"]);
    let bare = ShareCreationNotification {
        expiration: None,
        webdav: WebdavOffer {
            requirements: Requirements::default(),
            size: None,
            ..share.webdav
        },
        ..share
    };
    assert!(bare.to_json().get("expiration").is_none());
    assert!(bare.to_json()["protocol"]["webdav"].get("requirements").is_none());
}

#[test]
fn shr_4_each_required_field_is_missed_by_name() {
    for name in [
        "shareWith",
        "name",
        "providerId",
        "owner",
        "shareType",
        "resourceType",
        "protocol",
    ] {
        assert_eq!(field(with(name, Value::Null)), (name.to_owned(), true));
        assert!(
            matches!(field(with(name, json!(["x"]))), (found, false) if found == name),
            "{name}"
        );
    }
    for name in ["shareWith", "name", "providerId", "owner", "shareType", "resourceType"] {
        assert_eq!(field(with(name, json!(""))), (name.to_owned(), true));
    }
    for name in ["uri", "sharedSecret"] {
        let expected = format!("protocol.webdav.{name}");
        assert_eq!(field(with_webdav(name, Value::Null)), (expected.clone(), true));
        assert_eq!(field(with_webdav(name, json!(""))), (expected, true));
    }
}

#[test]
fn shr_5_a_protocol_has_three_spellings() {
    let old = with_protocol(json!({"name": "webdav", "options": {"sharedSecret": "s",
        "permissions": "{http://open-cloud-mesh.org/ns}share-permissions"}}))
    .unwrap();
    // What may be done is for WebDAV to say; so it may be tried.
    assert!(old.uri.is_none() && old.permissions.read && old.permissions.write && !old.permissions.share);
    let object = json!({"uri": "x", "sharedSecret": "s", "permissions": ["read", "share"]});
    for protocol in [
        json!({"name": "webdav", "webdav": object}),
        json!({"name": "multi", "webdav": object, "options": {}, "webapp": null}),
        json!({"webdav": object}),
        json!({"name": "webdav", "options": {"sharedSecret": "other"}, "webdav": object}),
    ] {
        let offer = with_protocol(protocol.clone()).unwrap();
        assert!(offer.shared_secret == Secret::new("s"), "{protocol}");
        assert!(offer.permissions.share);
    }
    let both = with(
        "protocol",
        json!({"name": "multi", "webdav": object, "webapp": {"uri": 7}, "ssh": {}}),
    )
    .unwrap();
    assert_eq!(
        (both.others.webapp, both.others.ssh, both.others.embedded),
        (true, true, false)
    );
}

#[test]
fn a_share_without_webdav_is_unsupported_and_one_without_a_secret_invalid() {
    for protocol in [
        json!({}),
        json!({"name": "multi"}),
        json!({"name": "multi", "webapp": {"uri": "https://x.example.org"}}),
        json!({"name": "talk", "options": {"sharedSecret": "s"}}),
        json!({"name": "multi", "options": {}}),
    ] {
        assert_eq!(
            with_protocol(protocol),
            Err(ShareRefusal::Unsupported(Unsupported::Protocol))
        );
    }
    for (protocol, expected) in [
        (json!("webdav"), "protocol"),
        (json!({"name": "webdav"}), "protocol.options.sharedSecret"),
        (
            json!({"name": "webdav", "options": {}}),
            "protocol.options.sharedSecret",
        ),
        (
            json!({"name": "webdav", "options": {"permissions": "x"}}),
            "protocol.options.sharedSecret",
        ),
        (json!({"name": "multi", "webdav": "/dav"}), "protocol.webdav"),
        (
            json!({"name": "multi", "webdav": {"uri": "x", "sharedSecret": 7}}),
            "protocol.webdav.sharedSecret",
        ),
    ] {
        let found = with("protocol", protocol.clone());
        assert_eq!(field(found).0, expected, "{protocol}");
    }
}

#[test]
fn d01_who_states_no_permissions_grants_reading() {
    let read = |value: Value| with_webdav("permissions", value).unwrap().webdav.permissions;
    for value in [
        Value::Null,
        json!([]),
        json!("write"),
        json!({"write": true}),
        json!(["{http://open-cloud-mesh.org/ns}other"]),
        json!(["delete", 7]),
    ] {
        assert_eq!(read(value.clone()), Permissions::READ, "{value}");
    }
    let all = read(json!(["share", "write", "read", "future"]));
    assert!(all.read && all.write && all.share);
    let blind = read(json!(["write"]));
    assert!(!blind.read && blind.write);
}

#[test]
fn d02_a_requirement_that_is_not_understood_refuses_the_share() {
    let read = |value: Value| with_webdav("requirements", value).map(|share| share.webdav.requirements);
    for (value, token, mfa) in [
        (Value::Null, false, false),
        (json!([]), false, false),
        (json!(["must-exchange-token"]), true, false),
        (json!(["must-use-mfa", "must-exchange-token"]), true, true),
        (json!(["mfa-enforced"]), false, true),
    ] {
        let found = read(value).unwrap();
        assert_eq!((found.must_exchange_token, found.must_use_mfa), (token, mfa));
    }
    assert_eq!(
        read(json!(["must-exchange-token", "must-be-quick"])),
        Err(ShareRefusal::Unsupported(Unsupported::Requirement(
            "must-be-quick".to_owned()
        )))
    );
    for value in [
        json!("must-use-mfa"),
        json!([7]),
        json!({"must-use-mfa": true}),
        json!(vec!["x"; 99]),
    ] {
        assert!(matches!(read(value), Err(ShareRefusal::Invalid(_))));
    }
}

#[test]
fn d09_unknown_kinds_of_share_are_unsupported() {
    assert_eq!(with("shareType", json!("group")).unwrap().share_type, ShareType::Group);
    assert_eq!(
        with("resourceType", json!("folder")).unwrap().resource_type,
        ResourceType::Folder
    );
    for (number, expected) in [
        (0, ShareType::User),
        (6, ShareType::User),
        (1, ShareType::Group),
        (9, ShareType::Group),
    ] {
        assert_eq!(with("shareType", json!(number)).unwrap().share_type, expected);
    }
    assert_eq!(
        with("shareType", json!(3)),
        Err(ShareRefusal::Unsupported(Unsupported::ShareType("3".to_owned())))
    );
    assert_eq!(
        with("shareType", json!("room")),
        Err(ShareRefusal::Unsupported(Unsupported::ShareType("room".to_owned())))
    );
    assert_eq!(
        with("resourceType", json!("calendar")),
        Err(ShareRefusal::Unsupported(Unsupported::ResourceType(
            "calendar".to_owned()
        )))
    );
}

#[test]
fn d23_an_expiration_is_in_whole_seconds_and_0_means_never() {
    for (value, expected) in [
        (Value::Null, Some(None)),
        (json!(0), Some(None)),
        (json!(0.0), Some(None)),
        (json!(1_785_060_500), Some(Some(1_785_060_500))),
        (json!(1.785_060_5e9), Some(Some(1_785_060_500))),
        (json!(-1), None),
        (json!(1.5), None),
        (json!(1e300), None),
        (json!(u64::MAX), None),
        (json!("1785060500"), None),
        (json!([]), None),
    ] {
        let found = with("expiration", value.clone()).ok().map(|share| share.expiration);
        assert_eq!(found, expected.map(|seconds| seconds.map(Timestamp)), "{value}");
    }
    let share = with("expiration", json!(100)).unwrap();
    assert!(share.is_expired(Timestamp(100)) && !share.is_expired(Timestamp(99)));
    assert!(!parse(&minimal()).unwrap().is_expired(Timestamp(i64::MAX)));
}

#[test]
fn t28_fields_are_short_and_have_no_controls() {
    for (name, max) in [
        ("name", 255),
        ("ownerDisplayName", 255),
        ("senderDisplayName", 255),
        ("providerId", 128),
    ] {
        assert!(with(name, json!("x".repeat(max))).is_ok(), "{name}");
        assert_eq!(field(with(name, json!("x".repeat(max + 1)))), (name.to_owned(), false));
        for bad in ["a\0b", "a\nb", "a\u{7f}b", "a\u{85}b"] {
            assert_eq!(field(with(name, json!(bad))), (name.to_owned(), false));
        }
    }
    assert!(with_webdav("sharedSecret", json!("x".repeat(1024))).is_ok());
    assert!(with_webdav("sharedSecret", json!("x".repeat(1025))).is_err());
    assert!(with("description", json!("a\nb\r\n\tc")).is_ok());
    assert!(with("description", json!("a\0b")).is_err());
    assert!(with("description", json!("x".repeat(5000))).is_err());
    for name in ["shareWith", "owner", "sender"] {
        for bad in [
            "marie",
            "@x.org",
            "a\0@x.org",
            "a\u{202e}@x.org",
            "a@x.org/y",
            &format!("{}@x.org", "a".repeat(600)),
        ] {
            assert_eq!(field(with(name, json!(bad))), (name.to_owned(), false), "{bad:?}");
        }
    }
    let twice = minimal().to_string().replacen('{', r#"{"sender":"x@evil.test","#, 1);
    assert!(ShareCreationNotification::parse(twice.as_bytes()).is_err());
    assert!(ShareCreationNotification::parse(b"[]").is_err());
}

#[test]
fn d24_a_name_is_never_a_path() {
    for name in ["a/b", "/a", "..", ".", " ", " .. ", "a\0"] {
        assert_eq!(field(with("name", json!(name))).0, "name", "{name:?}");
    }
    for name in ["a b", ".hidden", "..a", "日本語", "a\\b"] {
        assert!(with("name", json!(name)).is_ok(), "{name:?}");
    }
}

#[test]
fn t05_an_uri_cannot_lead_astray() {
    for uri in [
        "//b.example/x",
        "../../x",
        "a/../../x",
        "a/%2e%2E/x",
        "./x",
        "a\\b",
        "\\\\b\\x",
        "https://sender@b/",
        "https://a:b@b.example/",
        "https://b.example/x#y",
        "https://b.example\\@sender.example.org/",
        "https://https://sender@b/",
        "https://https://https:/x#y",
        "https://",
        "ftp://b.example/x",
        "javascript:alert(1)",
        "user@host:22/path",
        "a?b",
        "a#b",
        "/",
        "a//b",
        "a\nb",
        "HTTPS://b.example/x",
    ] {
        assert_eq!(field(with_webdav("uri", json!(uri))).0, "protocol.webdav.uri", "{uri}");
    }
}

#[test]
fn t05_acc_4_a_resource_is_found_at_its_sender_only() {
    let end_point = Url::parse("https://sender.example.org/ocm").unwrap();
    let ours = Provider::parse("receiver.example.org").unwrap();
    for (uri, expected) in [
        (Some("4711"), Some("https://sender.example.org/dav/4711")),
        (Some("/4711/"), Some("https://sender.example.org/dav/4711/")),
        (Some("ids/7:8"), Some("https://sender.example.org/dav/ids/7:8")),
        (Some("a b"), Some("https://sender.example.org/dav/a%20b")),
        (None, Some("https://sender.example.org/dav/")),
        (
            Some("https://sender.example.org/x/4711"),
            Some("https://sender.example.org/x/4711"),
        ),
        (
            Some("https://sender.example.org:443/x"),
            Some("https://sender.example.org/x"),
        ),
        (Some("http://sender.example.org/x"), None),
        (Some("https://sender.example.org:8443/x"), None),
        (Some("https://b.example/x"), None),
        (Some("https://sender.example.org.b.example/x"), None),
        (Some("https://https://b.example/x"), None),
        (Some("https://http://b.example/x"), None),
        // opencloudmesh-go and Nextcloud 35 name the receiver
        (
            Some("https://https://receiver.example.org/public.php/webdav/"),
            Some("https://sender.example.org/dav/"),
        ),
        (
            Some("https://receiver.example.org/webdav/ocm/4711"),
            Some("https://sender.example.org/dav/4711"),
        ),
        (
            Some("https://receiver.example.org/public.php/webdav/"),
            Some("https://sender.example.org/dav/"),
        ),
    ] {
        let mut offer = parse(&minimal()).unwrap().webdav;
        offer.uri = uri.map(|uri| WebdavUri::parse(uri).unwrap());
        let found = offer.locate(&end_point, "/dav/", &ours).ok();
        assert_eq!(found.as_ref().map(Url::as_str), expected, "{uri:?}");
    }
    let mut offer = parse(&minimal()).unwrap().webdav;
    offer.uri = Some(WebdavUri::Relative("x".to_owned()));
    assert!(offer.locate(&end_point, "//b.example", &ours).is_err());
}

#[test]
fn shares_of_deployed_servers_are_read() {
    let nextcloud_28 = r#"{"shareWith":"bob@http:\/\/ocm.localhost:9104","shareType":"user","name":"hello.txt","resourceType":"file","description":"","providerId":13,"owner":"alice@http:\/\/nc28.localhost:8428\/","ownerDisplayName":"alice","sharedBy":"alice@http:\/\/nc28.localhost:8428\/","sharedByDisplayName":"Alice","protocol":{"name":"webdav","options":{"sharedSecret":"wpXOdjzN728dMlC","permissions":"{http:\/\/open-cloud-mesh.org\/ns}share-permissions"}}}"#;
    let share = ShareCreationNotification::parse(nextcloud_28.as_bytes()).unwrap();
    assert_eq!(share.share_with.to_string(), "bob@ocm.localhost:9104");
    assert_eq!(share.sender.to_string(), "alice@nc28.localhost:8428");
    assert_eq!(share.sender_display_name.as_deref(), Some("Alice"));
    assert_eq!(share.provider_id.as_str(), "13");
    assert_eq!(share.description, None);
    let reva = json!({
        "shareWith": "marie@receiver.example.org", "name": "f", "description": "", "code": "", "expiration": 0,
        "providerId": "8", "owner": "4c510ada@https://cernbox.example@cernbox.example",
        "sender": "4c510ada@cernbox.example", "ownerDisplayName": "", "senderDisplayName": "A",
        "shareType": "user", "resourceType": "folder",
        "protocol": {"name": "multi", "options": {}, "webdav": {"sharedSecret": "x", "permissions": ["read"],
            "uri": "https://cernbox.example/remote.php/dav/ocm/8"}},
    });
    let share = parse(&reva).unwrap();
    assert_eq!(share.owner, share.sender);
    assert_eq!((share.expiration, share.owner_display_name), (None, None));
    let mut old_opencloud = reva;
    old_opencloud["protocol"]["webdav"] = json!({"sharedSecret": "x", "url": "https://cernbox.example/dav/ocm/8"});
    assert!(parse(&old_opencloud).unwrap().webdav.uri.is_some());
    let mut without_sender = minimal();
    without_sender.as_object_mut().unwrap().remove("sender");
    assert_eq!(parse(&without_sender).unwrap().sender.identifier, "einstein");
}

#[test]
fn an_answer_is_read_whatever_it_looks_like() {
    for (body, expected) in [
        (r#"{"recipientDisplayName":"marie"}"#, Some("marie")),
        (
            r#"{"recipientDisplayName":"marie","recipientPublicKeys":["x"]}"#,
            Some("marie"),
        ),
        ("{}", None),
        ("", None),
        ("ok", None),
        ("[]", None),
        (r#"{"recipientDisplayName":null}"#, None),
        (r#"{"recipientDisplayName":""}"#, None),
        (r#"{"recipientDisplayName":"a\u0000"}"#, None),
    ] {
        let found = ShareAnswer::parse(body.as_bytes()).recipient_display_name;
        assert_eq!(found.as_deref(), expected, "{body}");
    }
}

#[test]
fn t44_a_secret_is_never_printed_and_an_offer_that_was_kept_reads_back() {
    let mut offer = with_webdav("sharedSecret", json!("canary")).unwrap().webdav;
    offer.uri = Some(WebdavUri::parse("https://sender.example.org/dav/1").unwrap());
    assert!(!format!("{offer:?}").contains("canary"));
    let kept = serde_json::to_string(&offer).unwrap();
    assert_eq!(serde_json::from_str::<WebdavOffer>(&kept).unwrap(), offer);
}
