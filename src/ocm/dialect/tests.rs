//! What each deployed server sends means the same here as what follows the draft. The bodies are in `tests/fixtures`.

mod shares;

use std::fs;
use std::path::Path;

use serde_json::Value;
use serde_json::json;

use super::user_id::unwrapped;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Criterion;
use crate::ocm::discovery::Discovery;
use crate::ocm::invite::InviteAcceptanceRequest;
use crate::ocm::notification::NotificationRefusal;
use crate::ocm::notification::NotificationType;
use crate::ocm::notification::OcmNotification;
use crate::ocm::share::ShareCreationNotification;

fn fixture(name: &str) -> Vec<u8> {
    fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)).unwrap()
}

/// Every fixture of one kind, so that none is forgotten below.
fn all(kind: &str) -> Vec<String> {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    let mut found = Vec::new();
    for folder in fs::read_dir(&top).unwrap().map(|entry| entry.unwrap().path()) {
        for file in fs::read_dir(folder).into_iter().flatten() {
            let path = file.unwrap().path();
            let name = path.strip_prefix(&top).unwrap().to_str().unwrap();
            if name.ends_with(".json") && path.file_name().unwrap().to_str().unwrap().starts_with(kind) {
                found.push(name.to_owned());
            }
        }
    }
    found.sort();
    found
}

const WRAPPED: &str = "NGM1MTBhZGEtYzg2Yi00ODE1LTg4MjAtNDJjZGY4MmMzZDUxQGh0dHBzOi8vb2MuZXhhbXBsZS5vcmc=@oc.example.org";
const PLAIN: &str = "4c510ada-c86b-4815-8820-42cdf82c3d51@oc.example.org";
const GO: &str = "MDE5OGYxYzBAZ28uZXhhbXBsZS5vcmc@go.example.org";

#[test]
fn inc_16_one_person_has_one_plain_address() {
    let address = |text: &str| OcmAddress::parse(text).unwrap();
    for (wrapped, expected) in [
        (WRAPPED, Some(PLAIN)),
        (&WRAPPED.replace("=@", "@"), Some(PLAIN)),
        (GO, Some("0198f1c0@go.example.org")),
        // With - and _ as with + and /.
        ("Pz8_QGEub3Jn@a.org", Some("???@a.org")),
        ("Pz8/QGEub3Jn@a.org", Some("???@a.org")),
        // Of another server than it says outside.
        ("MDE5OGYxYzBAZ28uZXhhbXBsZS5vcmc@evil.test", None),
        (PLAIN, None),
        ("einstein@example.org", None),
        ("MTIzNA@example.org", None),
        ("//79@example.org", None),
    ] {
        let found = unwrapped(&address(wrapped)).map(|address| address.to_string());
        assert_eq!(found.as_deref(), expected, "{wrapped}");
    }
}

#[test]
fn an_invite_is_accepted_whoever_accepts_it() {
    let rows = [
        (
            "nextcloud/invite-32.json",
            "alice@cloud.example.org",
            "alice",
            "alice@example.org",
        ),
        ("nextcloud/invite-34.json", "alice@cloud.example.org", "alice", ""),
        (
            "ocis/invite-7.json",
            "058bff95@ocis.example.org",
            "058bff95@ocis.example.org",
            "marie@example.org",
        ),
        (
            "opencloud/invite-2025.json",
            WRAPPED,
            WRAPPED.split('@').next().unwrap(),
            "einstein@example.org",
        ),
        (
            "opencloud/invite-2026.json",
            PLAIN,
            "4c510ada-c86b-4815-8820-42cdf82c3d51@https://oc.example.org",
            "einstein@example.org",
        ),
        (
            "opencloudmesh-go/invite-1.2.json",
            GO,
            "MDE5OGYxYzBAZ28uZXhhbXBsZS5vcmc",
            "",
        ),
        ("reva/invite-3.12.json", "einstein@cernbox.example.org", "einstein", ""),
    ];
    for (file, address, user_id, email) in rows {
        let request = InviteAcceptanceRequest::parse(&fixture(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(request.address().unwrap().to_string(), address, "{file}");
        // Sent back as it came.
        assert_eq!(
            (request.user_id.as_str(), request.email.as_str()),
            (user_id, email),
            "{file}"
        );
        assert!(!request.name.is_empty(), "{file}");
    }
    assert_eq!(all("invite-"), rows.map(|row| row.0));
}

#[test]
fn who_accepted_an_invite_is_who_shares_later() {
    for (invite, share) in [
        ("nextcloud/invite-32.json", "nextcloud/share-31.json"),
        ("ocis/invite-7.json", "ocis/share-7.json"),
        ("opencloud/invite-2025.json", "opencloud/share-2025.json"),
        ("opencloud/invite-2026.json", "opencloud/share-2026.json"),
        ("opencloudmesh-go/invite-1.2.json", "opencloudmesh-go/share-1.2.json"),
        ("reva/invite-3.12.json", "reva/share-3.12.json"),
    ] {
        let contact = InviteAcceptanceRequest::parse(&fixture(invite)).unwrap();
        let share = ShareCreationNotification::parse(&fixture(share)).unwrap();
        assert_eq!(contact.address(), Ok(share.sender), "{invite}");
    }
    // After its update a server calls the same person by the plain name.
    let before = InviteAcceptanceRequest::parse(&fixture("opencloud/invite-2025.json")).unwrap();
    let after = ShareCreationNotification::parse(&fixture("opencloud/share-2026.json")).unwrap();
    assert_eq!(unwrapped(&before.address().unwrap()), Some(after.sender));
}

#[test]
fn a_notification_means_the_same_whoever_sends_it() {
    let secret = |secret: &str| json!(secret);
    let rows = [
        (
            "nextcloud/notification-accepted.json",
            NotificationType::ShareAccepted,
            "19",
            secret("p7EXEh1iwkxSGxf"),
        ),
        (
            "nextcloud/notification-reshare.json",
            NotificationType::RequestReshare,
            "19",
            secret("p7EXEh1iwkxSGxf"),
        ),
        (
            "nextcloud/notification-unshared.json",
            NotificationType::ShareUnshared,
            "13",
            secret("p7EXEh1iwkxSGxf"),
        ),
        (
            "ocis/notification-permissions.json",
            NotificationType::ReshareChangePermission,
            "9d0c",
            Value::Null,
        ),
        (
            "ocis/notification-unshared.json",
            NotificationType::ShareUnshared,
            "9d0c",
            secret(""),
        ),
        (
            "opencloudmesh-go/notification-accepted.json",
            NotificationType::ShareAccepted,
            "7c084226",
            Value::Null,
        ),
        (
            "owncloud/notification-permissions.json",
            NotificationType::ReshareChangePermission,
            "10",
            secret("uMtzpfxaKfj3cNV"),
        ),
        (
            "seafile/notification-declined.json",
            NotificationType::ShareDeclined,
            "4",
            secret("p7EXEh1iwkxSGxf"),
        ),
    ];
    for (file, kind, id, secret) in &rows {
        let read = OcmNotification::parse(&fixture(file)).unwrap_or_else(|error| panic!("{file}: {error:?}"));
        assert_eq!((read.kind, read.provider_id.as_str()), (*kind, *id), "{file}");
        assert_eq!(read.resource_type.as_deref(), Some("file"), "{file}");
        assert_eq!(read.notification.unwrap_or_default()["sharedSecret"], *secret, "{file}");
    }
    assert_eq!(
        OcmNotification::parse(&fixture("nextcloud/notification-talk.json")),
        Err(NotificationRefusal::UnknownType("PARTICIPANT_MODIFIED".to_owned()))
    );
    let mut told: Vec<_> = rows.iter().map(|row| row.0).collect();
    told.push("nextcloud/notification-talk.json");
    told.sort_unstable();
    assert_eq!(all("notification-"), told);
}

/// A discovery document: its host, version, WebDAV root, whether it invites, exchanges, signs, and must be invited.
type Document = (
    &'static str,
    &'static str,
    (u64, u64),
    Option<&'static str>,
    &'static str,
);

#[test]
fn a_discovery_document_is_read_whoever_serves_it() {
    let rows: [Document; 8] = [
        (
            "ocis/discovery-7.json",
            "ocis.example.org",
            (1, 1),
            Some("/dav/ocm/"),
            "i",
        ),
        (
            "opencloud/discovery-2025.json",
            "oc.example.org",
            (1, 1),
            Some("/dav/ocm/"),
            "i",
        ),
        (
            "opencloud/discovery-2026.json",
            "oc.example.org",
            (1, 2),
            Some("/dav/ocm/"),
            "ip",
        ),
        (
            "opencloudmesh-go/discovery-1.2.json",
            "go.example.org",
            (1, 4),
            Some("/webdav/ocm/"),
            "insxm",
        ),
        (
            "owncloud/discovery-10.json",
            "oc.example.org",
            (1, 0),
            Some("/public.php/webdav/"),
            "",
        ),
        (
            "reva/discovery-3.12.json",
            "cernbox.example.org",
            (1, 3),
            Some("/remote.php/dav/ocm/"),
            "ipxm",
        ),
        (
            "reva/discovery-3.9.json",
            "cernbox.example.org",
            (1, 2),
            Some("/remote.php/dav/ocm/"),
            "ipm",
        ),
        (
            "seafile/discovery-webdav.json",
            "seafile.example.org",
            (1, 0),
            Some("/seafdav/"),
            "",
        ),
    ];
    for (file, host, version, root, can) in rows {
        let from = Provider::parse(host).unwrap();
        let read = Discovery::parse(&fixture(file), &from, false).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(read.enabled(), "{file}");
        assert_eq!(read.api_version(), version, "{file}");
        for kind in ["file", "folder"] {
            assert_eq!(read.webdav_root(kind).as_deref(), root, "{file}");
        }
        let letters: String = [
            (read.has(Capability::Invites), 'i'),
            (read.has(Capability::Notifications), 'n'),
            (read.has(Capability::ProtocolObject), 'p'),
            (read.has(Capability::HttpSig), 's'),
            (read.has(Capability::ExchangeToken), 'x'),
            (read.requires(Criterion::MustInvite), 'm'),
        ]
        .into_iter()
        .filter_map(|(has, letter)| has.then_some(letter))
        .collect();
        assert_eq!(letters, can, "{file}");
        assert!(!read.shares_url().path().contains("//"), "{file}");
    }
    // Nothing here that we could use, and nothing that stops us from saying so.
    let from = Provider::parse("seafile.example.org").unwrap();
    let library = Discovery::parse(&fixture("seafile/discovery-library.json"), &from, false).unwrap();
    assert_eq!(library.webdav_root("file"), None);
    // Switched off, it says nothing at all.
    let off = Discovery::parse(&fixture("seafile/discovery-disabled.json"), &from, false).unwrap_err();
    assert!(off.missing() && off.field() == "endPoint");
    let mut told = rows.map(|row| row.0).to_vec();
    told.extend(["seafile/discovery-disabled.json", "seafile/discovery-library.json"]);
    told.sort_unstable();
    assert_eq!(all("discovery-"), told);
}

#[test]
fn what_nextcloud_puts_in_its_document_spoils_nothing() {
    let from = Provider::parse("cloud.example.org").unwrap();
    let document = |field: &str, value: Value| {
        let mut document = json!({
            "enabled": true, "apiVersion": "1.0-proposal1", "version": "1.1.0",
            "endPoint": "https://cloud.example.org/index.php/ocm",
            "resourceTypes": [
                {"name": "file", "shareTypes": ["user", "group"], "protocols": {"webdav": "/public.php/webdav/"}},
                {"name": "talk-room", "shareTypes": ["user"], "protocols": {"talk-v1": "/ocs/v2.php/apps/spreed/api/"}},
            ],
            "capabilities": ["/invite-accepted", "/notifications", "/shares"],
        });
        document[field] = value;
        Discovery::parse(document.to_string().as_bytes(), &from, false)
    };
    for (field, value) in [
        ("publicKey", Value::Null),
        ("publicKey", json!("-----BEGIN PUBLIC KEY-----")),
        (
            "publicKey",
            json!({"keyId": "https://cloud.example.org/ocm#signature", "publicKeyPem": "x"}),
        ),
        ("publicKeys", json!([{"keyId": "x"}])),
        ("inviteAcceptDialog", json!("")),
        ("inviteAcceptDialog", json!("/apps/contacts/ocm/invite-accept-dialog")),
        ("provider", json!("Nextcloud 34.0.1.2")),
    ] {
        let read = document(field, value.clone()).unwrap_or_else(|error| panic!("{field} {value}: {error}"));
        assert_eq!(read.webdav_root("file").as_deref(), Some("/public.php/webdav/"));
        assert!(read.has(Capability::Invites) && read.has(Capability::Notifications));
        assert!(!read.has(Capability::HttpSig));
        assert!(read.supports("file", "group", "webdav"));
        assert_eq!(read.shares_url().path(), "/index.php/ocm/shares");
    }
    // A root that is an object is none; shares of files may be tried all the same.
    for protocols in [json!({"webdav": {"uri": "/dav"}}), json!({"webdav": []}), json!({})] {
        let types = json!([{"name": "file", "shareTypes": "user", "protocols": protocols}]);
        let read = document("resourceTypes", types).unwrap();
        assert_eq!(read.webdav_root("file"), None);
        assert!(read.supports("file", "user", "webdav"));
    }
}
