//! Before a share is sent: what it must look like for this peer, or why it makes no sense to send it.

use std::fmt;

use serde_json::Value;

use crate::ocm::dialect::Dialect;
use crate::ocm::dialect::Folders;
use crate::ocm::dialect::Spelling;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Criterion;
use crate::ocm::discovery::Discovery;
use crate::ocm::discovery::UriForm;
use crate::ocm::share::Requirements;
use crate::ocm::share::ResourceType;
use crate::ocm::share::ShareCreationNotification;
use crate::ocm::share::ShareType;

/// What this server can do, and what it insists on whatever the user wishes.
#[derive(Clone, Copy, Debug)]
pub struct Abilities {
    /// Whether it has a token endpoint.
    pub exchange_token: bool,
    /// Whether its operator wants no share that could be read with the secret alone.
    pub insists_on_exchange: bool,
}

/// What a user wants to share.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub resource_type: ResourceType,
    pub share_type: ShareType,
    pub write: bool,
    /// Whether only those may open it who have shown a second factor.
    pub second_factor: bool,
}

/// What a share for this peer looks like.
#[derive(Clone, Debug)]
pub struct Terms {
    /// The same for every protocol that the share offers (SHR-8).
    pub requirements: Requirements,
    pub spelling: Spelling,
    pub uri: UriForm,
    pub dialect: &'static Dialect,
    /// What the peer says it demands and we can't tell whether we meet: to be shown if it refuses.
    pub doubts: Vec<Doubt>,
}

/// A demand of the peer that only the peer can judge (D18).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    MustInvite,
    Allowlist,
    Unknown(String),
}

/// Why a share can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Obstacle {
    /// Our operator insists on exchanged tokens, and the peer can't exchange.
    TheyCannotExchange,
    /// The peer insists on exchanged tokens, and we have no endpoint for that (SHR-2).
    WeCannotExchange,
    TheyTakeNo(ResourceType),
    TheyOnlyRead,
    TheyTakeNoneFor(ShareType),
    /// The peer does not say that it keeps `must-use-mfa` (SHR-11).
    NoSecondFactor,
}

/// Decides how, and whether, a share goes to a peer (_Share Creation Notification_; SHR-1 to SHR-3, SHR-8, SHR-11).
///
/// # Errors
///
/// An [`Obstacle`] names what is in the way and what can be done.
pub fn preflight(ours: Abilities, peer: &Discovery, dialect: &'static Dialect, wish: Wish) -> Result<Terms, Obstacle> {
    let called = match dialect.folders {
        Folders::AsListed => wish.resource_type,
        // A file for a user may always be tried.
        Folders::AsFiles | Folders::Always => ResourceType::File,
    };
    let (resource, kind) = (called.as_str(), wish.share_type.as_str());
    if !peer.supports(resource, kind, "webdav") {
        return Err(if wish.share_type == ShareType::User {
            Obstacle::TheyTakeNo(wish.resource_type)
        } else {
            Obstacle::TheyTakeNoneFor(wish.share_type)
        });
    }
    if wish.write && dialect.reads_only {
        return Err(Obstacle::TheyOnlyRead);
    }
    let requirements = Requirements {
        must_exchange_token: must_exchange(ours, peer)?,
        must_use_mfa: wish.second_factor,
    };
    if wish.second_factor && !peer.has(Capability::EnforceMfa) {
        return Err(Obstacle::NoSecondFactor);
    }
    Ok(Terms {
        requirements,
        spelling: spelling(peer, dialect, requirements),
        uri: if dialect.absolute_uri {
            UriForm::Absolute
        } else {
            peer.uri_form(resource)
        },
        dialect,
        doubts: doubts(peer),
    })
}

impl Terms {
    /// The message in the form that these terms ask for.
    pub fn payload(&self, share: &ShareCreationNotification) -> Value {
        self.dialect.share(share, self.spelling)
    }
}

/// A secret that opens nothing by itself is one less to lose, so tokens are required wherever the peer can exchange:
/// because it says that it can (DIA-07), or that it takes nothing else (SHR-2).
fn must_exchange(ours: Abilities, peer: &Discovery) -> Result<bool, Obstacle> {
    let (can, must) = (
        peer.has(Capability::ExchangeToken),
        peer.requires(Criterion::MustExchangeToken),
    );
    match (ours.exchange_token, can || must) {
        (true, true) => Ok(true),
        (false, _) if must => Err(Obstacle::WeCannotExchange),
        _ if ours.insists_on_exchange => Err(Obstacle::TheyCannotExchange),
        // Nothing is required of a peer that can't do it (SHR-3).
        _ => Ok(false),
    }
}

/// The old spelling also offers the secret as it is, so a share that forbids that never takes it (SHR-2).
fn spelling(peer: &Discovery, dialect: &Dialect, requirements: Requirements) -> Spelling {
    let old = !peer.has(Capability::ProtocolObject) && peer.api_version() < (1, 1);
    match dialect.spelling {
        Spelling::Multi if old && requirements == Requirements::default() => Spelling::Options,
        Spelling::Options if requirements != Requirements::default() => Spelling::Multi,
        usual => usual,
    }
}

fn doubts(peer: &Discovery) -> Vec<Doubt> {
    let known = [
        (Criterion::MustInvite, Doubt::MustInvite),
        (Criterion::Allowlist, Doubt::Allowlist),
    ];
    known
        .into_iter()
        .filter(|(criterion, _)| peer.requires(*criterion))
        .map(|(_, doubt)| doubt)
        .chain(peer.unknown_criteria().map(|word| Doubt::Unknown(word.to_owned())))
        .collect()
}

impl fmt::Display for Doubt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MustInvite => {
                f.write_str("It says that it takes shares only between people who have traded an invite with it.")
            }
            Self::Allowlist => f.write_str("It says that it takes shares only from servers on its list."),
            Self::Unknown(word) => write!(f, "It demands \"{word}\", which means nothing to this server."),
        }
    }
}

/// What is in the way, and the next step.
impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TheyCannotExchange => f.write_str(
                "That server can't exchange secrets for short-lived tokens, and this one insists on it. Its admin can \
                 switch that on (exchange-token), or yours can stop insisting (federation.require_token_exchange).",
            ),
            Self::WeCannotExchange => f.write_str(
                "That server takes only shares that are read with exchanged tokens, and this one has no token endpoint.",
            ),
            Self::TheyTakeNo(resource) => write!(
                f,
                "That server takes no {0}s from others. Share something else, or ask its admin whether it can take {0}s.",
                resource.as_str()
            ),
            Self::TheyOnlyRead => f.write_str("That server takes only what is for reading. Share it for reading."),
            Self::TheyTakeNoneFor(kind) => write!(
                f,
                "That server takes no shares for a {}. Share with single people there.",
                kind.as_str()
            ),
            Self::NoSecondFactor => f.write_str(
                "That server does not promise to ask for a second factor (enforce-mfa). Share without that demand, or \
                 not with people there.",
            ),
        }
    }
}

impl std::error::Error for Obstacle {}

#[cfg(test)]
mod tests;
