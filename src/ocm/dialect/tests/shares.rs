//! Shares, in all the spellings.

use url::Url;

use super::*;
use crate::ocm::share::ResourceType;
use crate::ocm::share::ShareRefusal;
use crate::ocm::share::ShareType;
use crate::ocm::share::Unsupported;

const OURS: &str = "our.example.org";

struct Share {
    file: &'static str,
    owner: &'static str,
    sender: &'static str,
    /// The sender's name for people.
    name: Option<&'static str>,
    id: &'static str,
    resource: ResourceType,
    /// Where the resource is, for a server whose API is at the owner's and whose WebDAV root is `/dav/`.
    at: &'static str,
    /// Some of `rwsx`: read, write, share; x where the secret must be exchanged.
    may: &'static str,
}

impl Share {
    fn check(&self) {
        let file = self.file;
        let share = ShareCreationNotification::parse(&fixture(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert_eq!(share.share_with.to_string(), format!("bob@{OURS}"), "{file}");
        assert_eq!(share.owner.to_string(), self.owner, "{file}");
        assert_eq!(share.sender.to_string(), self.sender, "{file}");
        assert_eq!(share.sender_display_name.as_deref(), self.name, "{file}");
        assert_eq!(share.provider_id.as_str(), self.id, "{file}");
        assert_eq!(share.resource_type, self.resource, "{file}");
        assert_eq!(share.share_type, ShareType::User, "{file}");
        assert_eq!((share.description, share.expiration), (None, None), "{file}");
        assert!(!share.webdav.shared_secret.is_empty(), "{file}");
        let end_point = Url::parse(&format!("https://{}/ocm", share.owner.provider)).unwrap();
        let ours = Provider::parse(OURS).unwrap();
        let at = share.webdav.locate(&end_point, "/dav/", &ours);
        assert_eq!(at.as_ref().map(Url::as_str), Ok(self.at), "{file}");
        let permissions = share.webdav.permissions;
        let requirements = share.webdav.requirements;
        assert!(!requirements.must_use_mfa, "{file}");
        let letters: String = [
            (permissions.read, 'r'),
            (permissions.write, 'w'),
            (permissions.share, 's'),
            (requirements.must_exchange_token, 'x'),
        ]
        .into_iter()
        .filter_map(|(has, letter)| has.then_some(letter))
        .collect();
        assert_eq!(letters, self.may, "{file}");
    }
}

/// What each server's share means.
const SHARES: [Share; 13] = [
    Share {
        file: "nextcloud/share-20.json",
        owner: "alice@cloud.example.org",
        sender: "alice@cloud.example.org",
        name: Some("Alice"),
        id: "13",
        resource: ResourceType::File,
        at: "https://cloud.example.org/dav/",
        may: "rw",
    },
    Share {
        file: "nextcloud/share-31.json",
        owner: "alice@cloud.example.org",
        sender: "alice@cloud.example.org",
        name: Some("Alice"),
        id: "5",
        resource: ResourceType::File,
        at: "https://cloud.example.org/dav/",
        may: "rw",
    },
    Share {
        file: "nextcloud/share-34.json",
        owner: "alice@cloud.example.org:8434",
        sender: "carol@cloud.example.org:8434",
        name: Some("Carol"),
        id: "19",
        resource: ResourceType::Folder,
        at: "https://cloud.example.org:8434/dav/",
        may: "rw",
    },
    // Its `uri` has two schemes and our own name; the root counts.
    Share {
        file: "nextcloud/share-35-token.json",
        owner: "alice@cloud.example.org",
        sender: "alice@cloud.example.org",
        name: Some("Alice"),
        id: "18",
        resource: ResourceType::File,
        at: "https://cloud.example.org/dav/",
        may: "rw",
    },
    // A number for the type, and no `sender`, no `description`.
    Share {
        file: "nextcloud/share-reshare.json",
        owner: "alice@cloud.example.org",
        sender: "dave@cloud.example.org",
        name: Some("Dave"),
        id: "900",
        resource: ResourceType::File,
        at: "https://cloud.example.org/dav/",
        may: "rw",
    },
    Share {
        file: "owncloud/share-10.json",
        owner: "carol@oc.example.org",
        sender: "carol@oc.example.org",
        name: Some("carol"),
        id: "10",
        resource: ResourceType::File,
        at: "https://oc.example.org/dav/",
        may: "r",
    },
    Share {
        file: "reva/share-3.12.json",
        owner: "einstein@cernbox.example.org",
        sender: "einstein@cernbox.example.org",
        name: Some("Albert Einstein"),
        id: "0b6f5c1e-90f1-4bb5-9c11-7ad6a7c6a6e5",
        resource: ResourceType::Folder,
        at: "https://cernbox.example.org/remote.php/dav/ocm/0b6f5c1e-90f1-4bb5-9c11-7ad6a7c6a6e5",
        may: "rw",
    },
    // `url` in place of `uri`.
    Share {
        file: "opencloud/share-2025.json",
        owner: WRAPPED,
        sender: WRAPPED,
        name: Some("Albert Einstein"),
        id: "c3f4b1d2-5a86-4a0e-8c53-2a1f4be01234",
        resource: ResourceType::File,
        at: "https://oc.example.org/dav/ocm/c3f4b1d2-5a86-4a0e-8c53-2a1f4be01234",
        may: "r",
    },
    Share {
        file: "opencloud/share-2026.json",
        owner: PLAIN,
        sender: PLAIN,
        name: Some("Albert Einstein"),
        id: "c3f4b1d2-5a86-4a0e-8c53-2a1f4be01234",
        resource: ResourceType::File,
        at: "https://oc.example.org/dav/ocm/c3f4b1d2-5a86-4a0e-8c53-2a1f4be01234",
        may: "r",
    },
    Share {
        file: "ocis/share-7.json",
        owner: "058bff95@ocis.example.org",
        sender: "058bff95@ocis.example.org",
        name: Some("Marie Curie"),
        id: "9d0c",
        resource: ResourceType::Folder,
        at: "https://ocis.example.org/dav/ocm/9d0c",
        may: "rws",
    },
    Share {
        file: "opencloudmesh-go/share-1.2.json",
        owner: GO,
        sender: GO,
        name: None,
        id: "0198f1d2-7c3a-7b44-9a55-3c1d2e4f5a6b",
        resource: ResourceType::File,
        at: "https://go.example.org/dav/0198f1d2-7c3a-7b44-9a55-3c1d2e4f5a6b",
        may: "rx",
    },
    // It names us where it means itself.
    Share {
        file: "opencloudmesh-go/share-1.2-absolute.json",
        owner: GO,
        sender: GO,
        name: None,
        id: "0198f1d2-7c3a-7b44-9a55-3c1d2e4f5a6b",
        resource: ResourceType::File,
        at: "https://go.example.org/dav/0198f1d2-7c3a-7b44-9a55-3c1d2e4f5a6b",
        may: "rx",
    },
    Share {
        file: "seafile/share-webdav.json",
        owner: "erin@seafile.example.org",
        sender: "erin@seafile.example.org",
        name: Some("Erin"),
        id: "4",
        resource: ResourceType::File,
        at: "https://seafile.example.org/dav/",
        may: "r",
    },
];

#[test]
fn a_share_means_the_same_whoever_sends_it() {
    for share in &SHARES {
        share.check();
    }
    // Between Seafile servers only; there is no WebDAV in it.
    assert_eq!(
        ShareCreationNotification::parse(&fixture("seafile/share-library.json")),
        Err(ShareRefusal::Unsupported(Unsupported::Protocol))
    );
    let mut told: Vec<_> = SHARES.iter().map(|share| share.file).collect();
    told.push("seafile/share-library.json");
    told.sort_unstable();
    assert_eq!(all("share-"), told);
}

#[test]
fn what_was_captured_is_read_like_what_was_modelled_on_it() {
    let vectors: Vec<Value> = serde_json::from_slice(&fixture("nextcloud/requests.json")).unwrap();
    assert_eq!(vectors.len(), 10);
    for vector in vectors {
        let peer = &vector["peer"];
        let share = ShareCreationNotification::parse(vector["body"].as_str().unwrap().as_bytes())
            .unwrap_or_else(|error| panic!("{peer}: {error}"));
        assert_eq!(share.share_with.to_string(), "bob@ocm.localhost:9104", "{peer}");
        let discovery = &vector["sender_discovery"];
        let end_point = Url::parse(discovery["endPoint"].as_str().unwrap()).unwrap();
        let from = Provider::from_url(&end_point).unwrap();
        assert_eq!((&share.sender.provider, &share.owner.provider), (&from, &from));
        let read = Discovery::parse(discovery.to_string().as_bytes(), &from, true)
            .unwrap_or_else(|error| panic!("{peer}: {error}"));
        let root = read.webdav_root("file").unwrap();
        let ours = Provider::parse("ocm.localhost:9104").unwrap();
        let at = share.webdav.locate(read.end_point(), &root, &ours).unwrap();
        assert_eq!(at.path(), "/public.php/webdav/", "{peer}");
        assert!(from.same_authority(&at), "{peer}");
    }
}
