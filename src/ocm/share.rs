//! The message that makes a share (_Share Creation Notification_): three spellings read, one written.

mod protocol;

use std::error::Error;
use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;

use crate::clock::Timestamp;
use crate::ocm::Invalid;
use crate::ocm::address::OcmAddress;
use crate::ocm::json;

pub use protocol::OtherProtocols;
pub use protocol::Permissions;
pub use protocol::Requirements;
pub use protocol::WebdavOffer;
pub use protocol::WebdavUri;

/// Longest name of a resource, in bytes (T-28).
const NAME_MAX: usize = 255;
/// Longest name of a person, in bytes.
const DISPLAY_MAX: usize = 255;
/// Longest description, in bytes.
const DESCRIPTION_MAX: usize = 4096;
/// Longest OCM Address, in bytes.
const ADDRESS_MAX: usize = 512;
/// Longest word of the protocol, in bytes.
const WORD_MAX: usize = 64;

/// What the Sending Server calls a share. It means something only together with that server (SHR-16, INC-21).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProviderId(String);

impl ProviderId {
    /// Longest id, in bytes (T-28).
    pub const MAX: usize = 128;

    pub fn new(text: &str) -> Result<Self, Invalid> {
        if text.is_empty() {
            return Err(Invalid::required("providerId"));
        }
        json::plain("providerId", text, Self::MAX).map(Self)
    }

    /// Reads the field; Nextcloud up to 31 sends a number.
    pub(crate) fn read(body: &Map<String, Value>) -> Result<Self, Invalid> {
        match json::id(body, "providerId", Self::MAX)? {
            Some(id) => Ok(Self(id)),
            None => Err(Invalid::required("providerId")),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProviderId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whom a share is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ShareType {
    User,
    Group,
    Federation,
}

impl ShareType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Federation => "federation",
        }
    }
}

/// What is shared. Nextcloud says `file` of folders, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ResourceType {
    File,
    Folder,
}

impl ResourceType {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Folder => "folder",
        }
    }
}

/// Why a notification cannot become a share: because it is wrong (400), or because we don't do this (501).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ShareRefusal {
    Invalid(Invalid),
    Unsupported(Unsupported),
}

/// What a sender asked for that is not done here; the text is the sender's word for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unsupported {
    ShareType(String),
    ResourceType(String),
    /// None of the protocols offered is ours.
    Protocol,
    /// A requirement that we don't understand can't be honoured, so the share must be refused (D02).
    Requirement(String),
}

impl From<Invalid> for ShareRefusal {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<Unsupported> for ShareRefusal {
    fn from(unsupported: Unsupported) -> Self {
        Self::Unsupported(unsupported)
    }
}

impl fmt::Display for ShareRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Invalid(invalid) => invalid.fmt(f),
            Self::Unsupported(Unsupported::ShareType(word)) => write!(f, "Shares for a {word} are not supported."),
            Self::Unsupported(Unsupported::ResourceType(word)) => write!(f, "Shares of a {word} are not supported."),
            Self::Unsupported(Unsupported::Protocol) => f.write_str("None of the protocols offered is supported."),
            Self::Unsupported(Unsupported::Requirement(word)) => write!(f, "The requirement {word} is not supported."),
        }
    }
}

impl Error for ShareRefusal {}

/// One share, as the Sending Server offers it (SHR-4).
#[derive(Clone, Debug, PartialEq)]
pub struct ShareCreationNotification {
    pub share_with: OcmAddress,
    /// For people to read; never a path (D24).
    pub name: String,
    pub description: Option<String>,
    pub provider_id: ProviderId,
    pub owner: OcmAddress,
    pub sender: OcmAddress,
    pub owner_display_name: Option<String>,
    pub sender_display_name: Option<String>,
    pub share_type: ShareType,
    pub resource_type: ResourceType,
    pub expiration: Option<Timestamp>,
    pub webdav: WebdavOffer,
    /// What else was offered; we use none of it.
    pub others: OtherProtocols,
}

impl ShareCreationNotification {
    /// Reads a notification in each of the forms that deployed servers send (SHR-5).
    ///
    /// Whether it has expired already depends on the time, so the caller asks [`Self::is_expired`].
    pub fn parse(body: &[u8]) -> Result<Self, ShareRefusal> {
        let body = json::object(body)?;
        let owner = address(&body, "owner")?;
        let (webdav, others) = protocol::read(&body)?;
        Ok(Self {
            share_with: address(&body, "shareWith")?,
            name: name(&body)?,
            description: description(&body)?,
            provider_id: ProviderId::read(&body)?,
            // Nextcloud up to 31 calls the sender `sharedBy`, or leaves both out.
            sender: match ["sender", "sharedBy"].into_iter().find(|field| is_given(&body, field)) {
                Some(field) => address(&body, field)?,
                None => owner.clone(),
            },
            owner,
            owner_display_name: display_name(&body, "ownerDisplayName")?,
            sender_display_name: match display_name(&body, "senderDisplayName")? {
                Some(name) => Some(name),
                None => display_name(&body, "sharedByDisplayName")?,
            },
            share_type: share_type(&body)?,
            resource_type: resource_type(&body)?,
            expiration: expiration(&body)?,
            webdav,
            others,
        })
    }

    /// Whether the share is over before it began (D23).
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expiration.is_some_and(|expiration| expiration <= now)
    }

    /// The message as the draft has it, in the `multi` spelling.
    pub fn to_json(&self) -> Value {
        let mut body = self.envelope();
        body["protocol"] = json!({"name": "multi", "webdav": self.webdav.to_json()});
        body
    }

    /// The message for servers older than `protocol-object`: the deprecated `options` with the new object next to it,
    /// and `sharedBy` next to `sender`. Nextcloud refuses `multi` up to version 34, ownCloud 10 always does.
    pub fn to_legacy_json(&self) -> Value {
        let mut body = self.envelope();
        body["sharedBy"] = body["sender"].clone();
        body["sharedByDisplayName"] = body["senderDisplayName"].clone();
        body["protocol"] = json!({
            "name": "webdav",
            "options": {
                "sharedSecret": self.webdav.shared_secret,
                "permissions": "{http://open-cloud-mesh.org/ns}share-permissions",
            },
            "webdav": self.webdav.to_json(),
        });
        body
    }

    fn envelope(&self) -> Value {
        let mut body = json!({
            "shareWith": self.share_with,
            "name": self.name,
            // Deployed servers miss it when it isn't there.
            "description": self.description.as_deref().unwrap_or_default(),
            "providerId": self.provider_id,
            "owner": self.owner,
            "sender": self.sender,
            "shareType": self.share_type,
            "resourceType": self.resource_type,
        });
        let own_name = |name: &Option<String>, address: &OcmAddress| match name {
            Some(name) => name.clone(),
            None => address.identifier.clone(),
        };
        body["ownerDisplayName"] = json!(own_name(&self.owner_display_name, &self.owner));
        body["senderDisplayName"] = json!(own_name(&self.sender_display_name, &self.sender));
        if let Some(expiration) = self.expiration {
            body["expiration"] = json!(expiration);
        }
        body
    }
}

/// What the Receiving Server says to a share that it took (SHR-12).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShareAnswer {
    pub recipient_display_name: Option<String>,
}

impl ShareAnswer {
    /// Reads the answer. The status has already said yes, so whatever stands here is no reason to doubt it: several
    /// servers send `{}`, as plain text, or nothing.
    pub fn parse(body: &[u8]) -> Self {
        let name = json::object(body)
            .ok()
            .and_then(|body| json::text(&body, "recipientDisplayName", DISPLAY_MAX).ok()?);
        Self {
            recipient_display_name: name.filter(|name| !name.is_empty()),
        }
    }

    pub fn to_json(&self) -> Value {
        json!({"recipientDisplayName": self.recipient_display_name.as_deref().unwrap_or_default()})
    }
}

fn is_given(body: &Map<String, Value>, field: &str) -> bool {
    !matches!(body.get(field), None | Some(Value::Null)) && body[field] != ""
}

pub(super) fn address(body: &Map<String, Value>, field: &str) -> Result<OcmAddress, Invalid> {
    let text = json::required_text(body, field, ADDRESS_MAX)?;
    OcmAddress::parse_lenient(&text).map_err(|error| Invalid::new(field, error.why()))
}

fn display_name(body: &Map<String, Value>, field: &str) -> Result<Option<String>, Invalid> {
    Ok(json::text(body, field, DISPLAY_MAX)?.filter(|name| !name.trim().is_empty()))
}

fn name(body: &Map<String, Value>) -> Result<String, Invalid> {
    let name = json::required_text(body, "name", NAME_MAX)?;
    if name.contains('/') || matches!(name.trim(), "" | "." | "..") {
        return Err(Invalid::new("name", "This is not the name of a file or folder."));
    }
    Ok(name)
}

/// The one text that may have several lines.
fn description(body: &Map<String, Value>) -> Result<Option<String>, Invalid> {
    match body.get("description") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => {
            let one_line = text.replace(['\n', '\r', '\t'], " ");
            json::plain("description", &one_line, DESCRIPTION_MAX)?;
            Ok(Some(text.clone()).filter(|text| !text.trim().is_empty()))
        }
        Some(_) => Err(Invalid::new("description", "This must be a text.")),
    }
}

/// A word, or one of the numbers that Nextcloud and ownCloud have for it in their other interfaces.
fn share_type(body: &Map<String, Value>) -> Result<ShareType, ShareRefusal> {
    match body.get("shareType").and_then(Value::as_u64) {
        Some(0 | 6) => return Ok(ShareType::User),
        Some(1 | 9) => return Ok(ShareType::Group),
        Some(other) => return Err(Unsupported::ShareType(other.to_string()).into()),
        None => {}
    }
    match json::required_text(body, "shareType", WORD_MAX)?.as_str() {
        "user" => Ok(ShareType::User),
        "group" => Ok(ShareType::Group),
        "federation" => Ok(ShareType::Federation),
        other => Err(Unsupported::ShareType(other.to_owned()).into()),
    }
}

fn resource_type(body: &Map<String, Value>) -> Result<ResourceType, ShareRefusal> {
    match json::required_text(body, "resourceType", WORD_MAX)?.as_str() {
        "file" => Ok(ResourceType::File),
        "folder" => Ok(ResourceType::Folder),
        other => Err(Unsupported::ResourceType(other.to_owned()).into()),
    }
}

/// Unix seconds; reva writes 0 for "never" (D23).
fn expiration(body: &Map<String, Value>) -> Result<Option<Timestamp>, Invalid> {
    let seconds = match body.get("expiration") {
        None | Some(Value::Null) => return Ok(None),
        Some(value) => value.as_i64().or_else(|| whole(value.as_f64()?)),
    };
    match seconds {
        Some(0) => Ok(None),
        Some(seconds) if seconds > 0 => Ok(Some(Timestamp(seconds))),
        _ => Err(Invalid::new(
            "expiration",
            "This must be a number of seconds since 1970.",
        )),
    }
}

/// A number that some language wrote as `1.7e9`.
fn whole(number: f64) -> Option<i64> {
    // Up to here each whole number has a float of its own.
    let exact = number.fract() == 0.0 && (0.0..=9_007_199_254_740_992.0).contains(&number);
    #[expect(clippy::cast_possible_truncation, reason = "checked just above")]
    exact.then_some(number as i64)
}

#[cfg(test)]
mod tests;
