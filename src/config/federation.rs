//! Which servers are dealt with, and how: modes, signatures, networks, directories.

use std::net::IpAddr;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;
use serde::Serialize;

use crate::config::DocumentUrl;
use crate::config::Span;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::directory::PinnedKey;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Federation {
    pub mode: Mode,
    pub require_signatures: bool,
    pub draft_cavage: bool,
    pub require_token_exchange: bool,
    pub signature_max_age: Span,
    pub clock_skew: Span,
    pub discovery_cache: Span,
    pub directory_refresh: Span,
    pub private_network: Vec<PrivateNetwork>,
    pub directory: Vec<Directory>,
}

/// Which servers may federate with this one, before any rule for a server of its own is looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// A server is admitted when one of our users trades an invite with it.
    #[default]
    Invite,
    Allowlist,
    Open,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Invite, Self::Allowlist, Self::Open];

    /// The word for it, as settings, forms and commands write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Invite => "invite",
            Self::Allowlist => "allowlist",
            Self::Open => "open",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mode| mode.as_str() == word)
    }
}

/// Addresses that are not public and may be called all the same.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrivateNetwork {
    pub cidr: IpNet,
    /// Every port where empty.
    #[serde(default)]
    pub ports: Vec<u16>,
    /// Whether http is spoken there where https does not answer.
    #[serde(default)]
    pub plain_http: bool,
}

impl PrivateNetwork {
    pub fn covers(&self, ip: IpAddr, port: u16) -> bool {
        self.cidr.contains(&ip) && (self.ports.is_empty() || self.ports.contains(&port))
    }
}

/// A Directory Service that is followed.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directory {
    pub url: DocumentUrl,
    /// Obtained out of band; here, or in `key_file`.
    pub key: Option<PinnedKey>,
    pub key_file: Option<PathBuf>,
    #[serde(default)]
    pub verify: Verify,
    /// Whether its servers count as allowed under the mode `allowlist`.
    #[serde(default)]
    pub admits: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verify {
    #[default]
    Required,
    /// Whatever answers at its address is believed.
    Off,
}

impl Default for Federation {
    fn default() -> Self {
        Self {
            mode: Mode::default(),
            require_signatures: false,
            draft_cavage: true,
            require_token_exchange: false,
            signature_max_age: Span::seconds(300),
            clock_skew: Span::seconds(60),
            discovery_cache: Span::seconds(3600),
            directory_refresh: Span::seconds(6 * 3600),
            private_network: Vec::new(),
            directory: Vec::new(),
        }
    }
}

impl Federation {
    /// The entry `at` of `federation.directory`, together with what stands around it.
    pub(super) fn check_directory(&self, at: usize) -> Result<()> {
        let Self {
            directory: all,
            mode,
            private_network,
            ..
        } = self;
        let entry = &all[at];
        let wrong = |key: &str, why: &str| {
            let field = format!("federation.directory[{}].{key}", at + 1);
            Err(Error::invalid(field, format!("{}: {why}", entry.url)))
        };
        if all[..at].iter().any(|other| other.url == entry.url) {
            return wrong("url", "This directory stands there twice.");
        }
        if !entry.url.is_https() && !private_network.iter().any(|network| network.plain_http) {
            let why =
                "It must begin with https://; http is spoken only in a federation.private_network with plain_http.";
            return wrong("url", why);
        }
        match (entry.verify, &entry.key, &entry.key_file) {
            (Verify::Required, None, None) => wrong(
                "key",
                "Its public key is needed, as key or key_file; ask whoever runs the directory.",
            ),
            (_, Some(_), Some(_)) => wrong("key_file", "Say key or key_file, not both."),
            (Verify::Off, ..) if entry.admits => {
                wrong("admits", "A directory that is not verified can't let servers in.")
            }
            _ if entry.admits && *mode == Mode::Invite => wrong(
                "admits",
                "This has a meaning in the mode \"allowlist\" only; see federation.mode.",
            ),
            _ => Ok(()),
        }
    }
}
