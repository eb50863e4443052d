//! What deployed servers say differently from the draft: in one place, by their names.
//!
//! Lenient reading of what everyone writes a little differently belongs to the message itself (see
//! [`super::share`], [`super::address`]). Here is what belongs to some servers only, and needs a decision of its own.

pub mod cavage;
pub mod recipe;
pub mod trusted;
pub mod user_id;

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::ocm::address::OcmAddress;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Discovery;
use crate::ocm::share::ShareCreationNotification;
use crate::secret::Secret;

/// One way to speak the protocol: which servers do, and what is different for them.
#[derive(Debug)]
pub struct Dialect {
    /// The word for it in settings, JSON and commands.
    pub id: &'static str,
    /// Who speaks it, for people.
    pub name: &'static str,
    /// What does not work with it, for people; empty where everything does.
    pub limits: &'static str,
    /// What such a server says of itself.
    recognise: fn(&Said<'_>) -> bool,
    pub spelling: Spelling,
    /// Takes a `uri` only where that is absolute.
    pub absolute_uri: bool,
    pub folders: Folders,
    /// Finds the recipient only where the address has a scheme.
    pub scheme_in_recipient: bool,
    /// Finds the recipient only by the plain id, although it wraps the ids that it sends.
    pub plain_recipient: bool,
    /// What it must find in notifications about a share.
    pub notifications: Notifications,
    /// Takes what is for reading only.
    pub reads_only: bool,
    /// Names itself without its port where a message asks for a host. Who it is, its signature says.
    pub leaves_port_out: bool,
    /// Looks for `userId` in an Invite Acceptance Request.
    pub old_user_id: bool,
    /// How long it may take to answer a request that it means to take, where that is longer than usual.
    pub patience: Duration,
}

/// How `protocol` is written (SHR-5).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spelling {
    /// `multi`, with an object for each protocol.
    Multi,
    /// `webdav` with `options`, as version 1.0 reads it, and the object next to it.
    Options,
    /// `multi`, with the address under both of its names.
    BothAddresses,
}

/// Whether a server takes folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Folders {
    /// If it lists them.
    AsListed,
    /// Whatever it lists.
    Always,
    /// Under the name of files.
    AsFiles,
}

/// What a server must find in a notification besides what the draft asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notifications {
    Plain,
    /// `notification.sharedSecret`, by which it knows who speaks.
    WithSecret,
    /// That and `notification.grantee`.
    WithSecretAndGrantee,
}

/// What tells dialects apart in a discovery document.
struct Said<'a> {
    name: &'a str,
    api: &'a str,
    root: String,
    signs: bool,
    has_old_key: bool,
}

/// The draft as it is written.
const DRAFT: Dialect = Dialect {
    id: "draft",
    name: "the draft",
    limits: "",
    recognise: |_| true,
    spelling: Spelling::Multi,
    absolute_uri: false,
    folders: Folders::AsListed,
    scheme_in_recipient: false,
    plain_recipient: false,
    notifications: Notifications::Plain,
    reads_only: false,
    leaves_port_out: false,
    old_user_id: false,
    patience: Duration::ZERO,
};

/// What all versions of Nextcloud have in common. It slows unknown callers down by sleeping, for up to half a minute.
const NEXTCLOUD: Dialect = Dialect {
    leaves_port_out: true,
    spelling: Spelling::Options,
    folders: Folders::AsFiles,
    notifications: Notifications::WithSecret,
    old_user_id: true,
    patience: Duration::from_secs(40),
    ..DRAFT
};

/// What CERNBox, OpenCloud and oCIS have in common, which are of one family.
const REVA: Dialect = Dialect {
    spelling: Spelling::BothAddresses,
    absolute_uri: true,
    plain_recipient: true,
    folders: Folders::Always,
    patience: Duration::from_secs(20),
    ..DRAFT
};

/// Every dialect, in the order in which they are tried; the draft comes last and fits everyone.
pub const ALL: &[Dialect] = &[
    Dialect {
        id: "nextcloud-35",
        name: "Nextcloud 35",
        limits: "It takes five shares in twenty minutes from servers that its admin has not made trusted.",
        recognise: |said| is_nextcloud(said) && said.signs,
        ..NEXTCLOUD
    },
    Dialect {
        id: "nextcloud-31",
        name: "Nextcloud 31 to 34",
        limits: "The end of a share is not told to its users; access ends all the same.",
        recognise: |said| is_nextcloud(said) && said.has_old_key,
        ..NEXTCLOUD
    },
    Dialect {
        id: "nextcloud-20",
        name: "Nextcloud 20 to 30",
        limits: "It signs nothing, so nobody can tell who sent what in its name.",
        recognise: is_nextcloud,
        ..NEXTCLOUD
    },
    Dialect {
        id: "owncloud-10",
        name: "ownCloud 10",
        limits: "It signs nothing, and knows no invites: allow it by a rule.",
        recognise: |said| said.api.contains("/apps/federatedfilesharing"),
        patience: Duration::from_secs(20),
        ..NEXTCLOUD
    },
    Dialect {
        id: "seafile",
        name: "Seafile",
        limits: "It signs nothing, knows no invites, shows files for reading only, and never says that a share was accepted.",
        recognise: |said| said.api.contains("/ocm-via-webdav"),
        scheme_in_recipient: true,
        patience: Duration::from_secs(20),
        ..NEXTCLOUD
    },
    Dialect {
        id: "reva",
        name: "CERNBox (reva)",
        limits: "It signs nothing, and never tells what became of a share.",
        recognise: |said| said.root == "/remote.php/dav/ocm/",
        ..REVA
    },
    Dialect {
        id: "opencloud",
        name: "OpenCloud or oCIS",
        limits: "They sign nothing; OpenCloud never tells what became of a share. Their admins must list this server first.",
        recognise: |said| !said.signs && (said.root == "/dav/ocm/" || matches!(said.name, "OpenCloud" | "oCIS")),
        notifications: Notifications::WithSecretAndGrantee,
        ..REVA
    },
    Dialect {
        id: "opencloudmesh-go",
        name: "opencloudmesh-go",
        limits: "It takes single files for reading, nothing else.",
        recognise: |said| said.name == "OpenCloudMesh" && said.signs,
        reads_only: true,
        ..DRAFT
    },
    DRAFT,
];

fn is_nextcloud(said: &Said<'_>) -> bool {
    said.name.starts_with("Nextcloud") || (said.root == "/public.php/webdav/" && said.api.ends_with("/ocm"))
}

/// The dialect of a server, by what it says of itself.
pub fn of(discovery: &Discovery) -> &'static Dialect {
    let said = Said {
        name: discovery.name().unwrap_or_default(),
        api: discovery.end_point().path().trim_end_matches('/'),
        root: discovery.webdav_root("file").unwrap_or_default(),
        signs: discovery.has(Capability::HttpSig),
        has_old_key: discovery.public_key().is_some(),
    };
    let speaks = |dialect: &&Dialect| (dialect.recognise)(&said);
    ALL.iter().find(speaks).unwrap_or(&ALL[ALL.len() - 1])
}

/// The dialect with this id.
pub fn named(id: &str) -> Option<&'static Dialect> {
    ALL.iter().find(|dialect| dialect.id == id)
}

impl Dialect {
    /// The message that makes a share, as such a server reads it.
    pub fn share(&self, share: &ShareCreationNotification, spelling: Spelling) -> Value {
        let mut message = match spelling {
            Spelling::Multi => share.to_json(),
            Spelling::Options => share.to_legacy_json(),
            Spelling::BothAddresses => {
                let mut message = share.to_json();
                let webdav = &mut message["protocol"]["webdav"];
                // OpenCloud before December 2025 answers 200 to a share without `url`, and never shows it.
                webdav["url"] = webdav["uri"].clone();
                message
            }
        };
        if self.folders == Folders::AsFiles {
            message["resourceType"] = json!("file");
        }
        if self.scheme_in_recipient {
            let to = &share.share_with;
            message["shareWith"] = json!(format!("{}@https://{}", to.identifier, to.provider));
        }
        if self.plain_recipient
            && let Some(plain) = user_id::unwrapped(&share.share_with)
        {
            message["shareWith"] = json!(plain);
        }
        // reva insists on the field, whatever is in it.
        if message["description"].is_null() && self.id != DRAFT.id {
            message["description"] = json!("");
        }
        message
    }

    /// A notification in the words that such a server understands, with what it must find in it. The secret goes to the
    /// server that has it already, and to none that reads signatures as the draft has them (INC-19). `received`: it is
    /// about a share that came from there.
    pub fn notification(&self, mut message: Value, received: bool, secret: &Secret, grantee: &OcmAddress) -> Value {
        if self.notifications == Notifications::Plain {
            return message;
        }
        if self.folders == Folders::AsFiles {
            message["resourceType"] = json!("file");
        }
        // Unsharing is for owners there: who gives a share back declines it.
        if self.notifications == Notifications::WithSecret
            && received
            && message["notificationType"] == "SHARE_UNSHARED"
        {
            message["notificationType"] = json!("SHARE_DECLINED");
        }
        let words = match message["notificationType"].as_str() {
            Some("SHARE_ACCEPTED") => "Recipient accepted the share",
            Some("SHARE_DECLINED") => "Recipient declined the share",
            _ => "The share has ended",
        };
        message["notification"] = json!({ "sharedSecret": secret, "message": words });
        if self.notifications == Notifications::WithSecretAndGrantee {
            message["notification"]["grantee"] = json!(grantee);
        }
        message
    }
}

#[cfg(test)]
mod tests;
