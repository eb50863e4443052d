//! Invitations: the string that travels outside of OCM, and the two messages that follow when it is accepted
//! (_Invite Flow_).

mod paste;

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::ocm::Invalid;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::json;
use crate::secret::Secret;

/// Longest token, in bytes.
const TOKEN_MAX: usize = 512;
/// Longest user id, in bytes.
const USER_ID_MAX: usize = 255;
/// Longest name of a person, in bytes (T-28).
const NAME_MAX: usize = 255;
/// Longest mail address, in bytes.
const EMAIL_MAX: usize = 320;

/// What proves an invitation: whoever shows it first becomes a contact.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InviteToken(Secret);

impl InviteToken {
    /// # Errors
    ///
    /// For a token that is empty or too long, or contains white space or control characters.
    pub fn new(text: impl Into<String>) -> Result<Self, Invalid> {
        let text = text.into();
        if text.is_empty() {
            return Err(Invalid::required("token"));
        }
        if text.len() > TOKEN_MAX || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(Invalid::new("token", "This is not a token."));
        }
        Ok(Self(Secret::new(text)))
    }

    /// The token itself, to send it, to hash it, or to show it to whoever made it.
    pub fn expose(&self) -> &str {
        self.0.expose()
    }
}

impl fmt::Debug for InviteToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InviteToken(...)")
    }
}

/// An invitation as it is handed over: a token, and the server that knows it.
#[derive(Clone, Debug, PartialEq)]
pub struct InviteString {
    pub token: InviteToken,
    pub provider: Provider,
}

/// An invitation found in whatever somebody pasted.
pub type Pasted = InviteString;

impl InviteString {
    /// The form to copy: `token@provider` in base64url without padding (INV-2).
    ///
    /// For a token of letters and digits with [`Self::token_length_for`] characters this is the standard base64 as well,
    /// which is all that some servers read.
    pub fn encode(&self) -> String {
        URL_SAFE_NO_PAD.encode(format!("{}@{}", self.token.expose(), self.provider))
    }

    /// How long a token must be, at least `min`, so that the invitation's base64 needs no padding (INV-2).
    pub fn token_length_for(provider: &Provider, min: usize) -> usize {
        let rest = "@".len() + provider.to_string().len();
        min + (3 - (min + rest) % 3) % 3
    }

    /// Finds the invitation in what people paste: base64 in either alphabet, padded or not, wrapped or not;
    /// `token@server`; a link to an accept or "where are you from" page, `ocm-invite:` links; or the whole mail around
    /// one of them.
    ///
    /// Which server was found must be shown to the person before anything is sent there (INC-07).
    ///
    /// # Errors
    ///
    /// Where no invitation is found, or more than one that cannot be told from a mail address.
    pub fn read_anything(text: &str) -> Result<Pasted, Invalid> {
        paste::find(text)
    }
}

/// What the Invite Receiver's server tells the Invite Sender's (_Invite Acceptance Request_, INV-5).
#[derive(Clone, Debug, PartialEq)]
pub struct InviteAcceptanceRequest {
    pub recipient_provider: Provider,
    pub token: InviteToken,
    /// As the other server wrote it; it wants to see it again in just this form.
    pub user_id: String,
    pub email: String,
    pub name: String,
}

impl InviteAcceptanceRequest {
    /// Reads the request; servers that leave out `email` and `name`, or write `userId`, are understood.
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let body = json::object(body)?;
        let provider = json::required_text(&body, "recipientProvider", 512)?;
        Ok(Self {
            recipient_provider: Provider::parse_lenient(&provider)
                .map_err(|error| Invalid::new("recipientProvider", error.why()))?,
            token: InviteToken::new(json::required_text(&body, "token", TOKEN_MAX)?)?,
            user_id: user_id(&body)?,
            email: json::text(&body, "email", EMAIL_MAX)?.unwrap_or_default(),
            name: json::text(&body, "name", NAME_MAX)?.unwrap_or_default(),
        })
    }

    pub fn to_json(&self) -> Value {
        json!({
            "recipientProvider": self.recipient_provider,
            "token": self.token,
            "userID": self.user_id,
            "email": self.email,
            "name": self.name,
        })
    }

    /// Where the new contact can be reached.
    pub fn address(&self) -> Result<OcmAddress, Invalid> {
        address(&self.user_id, &self.recipient_provider)
    }
}

/// What the Invite Sender's server answers: who the inviter is (INV-6).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InviteAcceptanceResponse {
    pub user_id: String,
    pub email: String,
    pub name: String,
}

impl InviteAcceptanceResponse {
    /// Reads the answer; see [`InviteAcceptanceRequest::parse`].
    pub fn parse(body: &[u8]) -> Result<Self, Invalid> {
        let body = json::object(body)?;
        Ok(Self {
            user_id: user_id(&body)?,
            email: json::text(&body, "email", EMAIL_MAX)?.unwrap_or_default(),
            name: json::text(&body, "name", NAME_MAX)?.unwrap_or_default(),
        })
    }

    pub fn to_json(&self) -> Value {
        json!({"userID": self.user_id, "email": self.email, "name": self.name})
    }

    /// Where the inviter, at the server that answered, can be reached.
    pub fn address(&self, provider: &Provider) -> Result<OcmAddress, Invalid> {
        address(&self.user_id, provider)
    }
}

/// Nextcloud up to 32 calls it `userId`.
fn user_id(body: &Map<String, Value>) -> Result<String, Invalid> {
    match json::id(body, "userID", USER_ID_MAX)? {
        Some(id) => Ok(id),
        None => json::id(body, "userId", USER_ID_MAX)?.ok_or_else(|| Invalid::required("userID")),
    }
}

/// Some servers append their own name to the id, so it is read as leniently as an address (INC-16).
fn address(user_id: &str, provider: &Provider) -> Result<OcmAddress, Invalid> {
    OcmAddress::parse_lenient(&format!("{user_id}@{provider}")).map_err(|error| Invalid::new("userID", error.why()))
}

#[cfg(test)]
mod tests;
