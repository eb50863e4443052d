//! What an admin has set for a single peer: how it may sign, and how it is spoken to.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::ocm::dialect;
use crate::store::Key;
use crate::store::Record;

/// What is asked of a peer's signatures, and given to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SignaturePolicy {
    /// Nothing is taken from it, or sent to it, without.
    Required,
    /// It signs if it says that it can, or ever did; else it may go without, once an admin or an invite made it known.
    IfAdvertised,
    /// It may go without, whatever it says, and nothing sent to it is signed.
    Off,
}

impl SignaturePolicy {
    pub const ALL: [Self; 3] = [Self::Required, Self::IfAdvertised, Self::Off];

    /// The word for it, as settings and commands write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Required => "required",
            Self::IfAdvertised => "if-advertised",
            Self::Off => "off",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|policy| policy.as_str() == word)
    }
}

/// What differs for one peer from what holds for all.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PeerSettings {
    pub provider: Provider,
    pub signatures: Option<SignaturePolicy>,
    /// The id of a [`Dialect`](crate::ocm::dialect::Dialect), in place of the one that its discovery document tells.
    pub dialect: Option<String>,
    pub by: String,
    pub since: Timestamp,
}

impl PeerSettings {
    /// Reads the two settings from the words for them; empty ones are as none.
    ///
    /// # Errors
    ///
    /// [`Reason::Invalid`](crate::error::Reason::Invalid) naming the field, with the words there are.
    pub fn read(
        provider: &Provider,
        signatures: Option<&str>,
        dialect: Option<String>,
        by: String,
        now: Timestamp,
    ) -> Result<Self> {
        let none_of = |field: &'static str, known: Vec<&str>| {
            Error::invalid(field, format!("This is none of {}.", known.join(", ")))
        };
        let signatures = match signatures.filter(|word| !word.is_empty()) {
            None => None,
            Some(word) => Some(
                SignaturePolicy::from_word(word)
                    .ok_or_else(|| none_of("signatures", SignaturePolicy::ALL.map(SignaturePolicy::as_str).to_vec()))?,
            ),
        };
        let dialect = dialect.filter(|id| !id.is_empty());
        if dialect.as_deref().is_some_and(|id| dialect::named(id).is_none()) {
            return Err(none_of(
                "dialect",
                dialect::ALL.iter().map(|dialect| dialect.id).collect(),
            ));
        }
        Ok(Self {
            provider: provider.clone(),
            signatures,
            dialect,
            by,
            since: now,
        })
    }
}

impl Record for PeerSettings {
    const KIND: &'static str = "peer-settings";

    fn key(&self) -> Key {
        Key::of([self.provider.to_string()])
    }
}
