//! The protocol: its messages and rules. No I/O, no clock, no randomness; what they need comes in as an argument.
//!
//! Two texts of draft-ietf-ocm-open-cloud-mesh are followed at once: -05 (`IETF-OCM.md` of `cs3org/OCM-API` at commit
//! `03d9ae7b1f79`, protocol version 1.4) and what became -07 (commit `6a0586183cbe`). Where they differ, the code names
//! the one it means. Others are read leniently, and we write strictly.
//!
//! | Section of the draft | Here |
//! | --- | --- |
//! | _OCM Address_ | [`address::OcmAddress`], [`address::Provider`] |
//! | _OCM API Discovery_ | [`discovery::Discovery`], [`discovery::Capability`], [`discovery::Criterion`] |
//! | _Invite Flow_ | [`invite::InviteString`], [`invite::InviteAcceptanceRequest`], [`invite::InviteAcceptanceResponse`] |
//! | _Share Creation Notification_ | [`share::ShareCreationNotification`], [`share::ShareAnswer`] |
//! | _Share Creation Notification_, before it is sent | [`preflight::preflight`] |
//! | _Request for a Share_ | [`share_request::ShareRequest`] |
//! | _OCM Notifications_ | [`notification::OcmNotification`] |
//! | _Resource Access_ | [`share::WebdavOffer::locate`], [`code_flow::how_to_read`] |
//! | _Code Flow_ | [`code_flow::TokenRequest`], [`code_flow::TokenResponse`], [`access_token::Claims`] |
//! | _Directory Service_ | [`directory::Directory`], [`directory::PinnedKey`] |
//! | Appendix B, _JWKS and HTTP Signature Examples_ | [`jwks::JwkSet`], [`signature::Unverified`], [`signature::sign`] |
//! | Nothing: what deployed servers say differently | [`dialect`] |

// Each uses only those above it.
mod json;

pub mod address;
pub mod jwks;
pub mod signature;

pub mod invite;

pub mod discovery;

pub mod share;

pub mod dialect;

pub mod preflight;

pub mod share_request;

pub mod notification;

pub mod code_flow;

pub mod access_token;

pub mod directory;

use std::fmt;

/// A message that breaks a rule of the protocol: which field, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    field: String,
    why: String,
    missing: bool,
}

impl Invalid {
    /// `why` is a sentence that the sender may read.
    pub fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            why: why.into(),
            missing: false,
        }
    }

    /// A required field that is not there.
    pub fn required(field: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            why: "This field is required.".to_owned(),
            missing: true,
        }
    }

    pub fn field(&self) -> &str {
        &self.field
    }

    pub fn why(&self) -> &str {
        &self.why
    }

    pub fn missing(&self) -> bool {
        self.missing
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.why)
    }
}

impl std::error::Error for Invalid {}
