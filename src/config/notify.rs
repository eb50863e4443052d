//! Who is told what by mail and by webhook.

use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;

use crate::config::DocumentUrl;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Notify {
    /// Mail addresses.
    pub admin_mail: Vec<String>,
    pub admin_on: Vec<AdminTopic>,
    pub user_on: Vec<UserTopic>,
    pub webhook: Vec<Webhook>,
}

/// A place that is told what admins are told, over HTTP.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    pub url: DocumentUrl,
    /// What it is told; everything in `admin_on` where nothing stands here.
    #[serde(default)]
    pub on: Vec<AdminTopic>,
    pub secret_file: PathBuf,
}

/// What admins may want to hear about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdminTopic {
    /// A certificate that ends soon, or could not be had.
    Tls,
    /// A backup that failed, or is too old.
    Backup,
    /// A server that does not answer any more.
    PeerDown,
    PeerKeyChanged,
    /// A server that was let in by an invitation.
    NewServer,
    /// A disk that is nearly full.
    Disk,
}

impl AdminTopic {
    pub const ALL: [Self; 6] = [
        Self::Tls,
        Self::Backup,
        Self::PeerDown,
        Self::PeerKeyChanged,
        Self::NewServer,
        Self::Disk,
    ];

    /// The word for it, as settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Backup => "backup",
            Self::PeerDown => "peer-down",
            Self::PeerKeyChanged => "peer-key-changed",
            Self::NewServer => "new-server",
            Self::Disk => "disk",
        }
    }
}

/// What people may want to hear about; each may choose for themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserTopic {
    ShareReceived,
    InviteAccepted,
    ShareFailed,
}

impl UserTopic {
    pub const ALL: [Self; 3] = [Self::ShareReceived, Self::InviteAccepted, Self::ShareFailed];

    /// The word for it, as settings write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ShareReceived => "share-received",
            Self::InviteAccepted => "invite-accepted",
            Self::ShareFailed => "share-failed",
        }
    }
}

impl Default for Notify {
    fn default() -> Self {
        Self {
            admin_mail: Vec::new(),
            admin_on: AdminTopic::ALL.to_vec(),
            user_on: UserTopic::ALL.to_vec(),
            webhook: Vec::new(),
        }
    }
}
