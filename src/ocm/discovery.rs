//! What a server can do and where (_OCM API Discovery_): read leniently from others, written strictly by us.

mod ours;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;
use serde_json::Map;
use serde_json::Value;
use url::Url;

use crate::ocm::Invalid;
use crate::ocm::address::Provider;
use crate::ocm::json;

pub use ours::API_VERSION;
pub use ours::Offer;

/// Longest form in which a document is kept, in bytes.
const KEPT_MAX: usize = 5 * 1024;
/// Longest URL in a document, in bytes.
const URL_MAX: usize = 512;
/// Longest key in PEM, in bytes: RSA with 8192 bits has some 1500.
const PEM_MAX: usize = 2048;
/// Longest name or word in a document, in bytes.
const WORD_MAX: usize = 64;
/// Most entries of a list that are looked at.
const LIST_MAX: usize = 24;

macro_rules! words {
    ($(#[$doc:meta])* $type:ident { $($(#[$each:meta])* $name:ident $wire:literal $(or $old:literal)*;)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $type {
            $($(#[$each])* $name,)*
        }

        impl $type {
            pub const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// The word for it on the wire.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $wire,)* }
            }

            /// What a word means; also one of an earlier version of the protocol, with or without a slash before it
            /// (INC-26).
            pub fn from_word(word: &str) -> Option<Self> {
                match word.trim_start_matches('/') {
                    $($wire $(| $old)* => Some(Self::$name),)*
                    _ => None,
                }
            }
        }
    };
}

words! {
    /// What a server is able to do (DIS-7).
    Capability {
        EnforceMfa "enforce-mfa";
        ExchangeToken "exchange-token" or "token-exchange";
        /// HTTP Message Signatures; the older draft-cavage form doesn't count.
        HttpSig "http-sig";
        Invites "invites" or "invite-accepted";
        InviteWayf "invite-wayf";
        Notifications "notifications";
        ProtocolObject "protocol-object";
    }
}

words! {
    /// What a server demands of a share before it takes it (DIS-8).
    Criterion {
        MustUseHttpSig "must-use-http-sig" or "http-request-signatures";
        MustExchangeToken "must-exchange-token" or "token-exchange";
        Denylist "denylist";
        Allowlist "allowlist";
        MustInvite "must-invite" or "invite";
    }
}

/// The discovery document of another server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discovery {
    enabled: bool,
    api_version: (u64, u64),
    name: Option<String>,
    end_point: Link,
    token_end_point: Option<Link>,
    jwks_uri: Option<Link>,
    invite_accept_dialog: Option<Link>,
    capabilities: Vec<String>,
    criteria: Vec<String>,
    resource_types: Vec<ResourceType>,
    #[serde(default)]
    public_key: Option<OldKey>,
}

/// The key that servers published before there was `jwksUri`: `publicKey`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OldKey {
    pub key_id: String,
    pub pem: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct ResourceType {
    name: String,
    share_types: Vec<String>,
    protocols: Vec<String>,
    /// With both slashes.
    webdav_root: Option<String>,
    /// Whether it says that it takes a `uri` only where that is absolute.
    #[serde(default)]
    wants_absolute: bool,
}

/// How a `uri` is written in a share over WebDAV (DIS-6).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriForm {
    Absolute,
    Relative,
}

impl Discovery {
    /// Reads the document that `from` serves.
    ///
    /// Much is forgiven: `null` for anything, old words, resource types that make no sense. Not forgiven is an address
    /// that leads elsewhere: everything named must be https on the very host and port that was asked, without user or
    /// fragment (T-02). `allow_http` takes http as well, for testing.
    ///
    /// # Errors
    ///
    /// Names the field that is missing or leads elsewhere. A dialog that does is only left out.
    pub fn parse(body: &[u8], from: &Provider, allow_http: bool) -> Result<Self, Invalid> {
        let body = json::object(body)?;
        let reader = Reader { from, allow_http };
        let enabled = body.get("enabled") != Some(&Value::Bool(false));
        let end_point = match reader.link(&body, "endPoint")? {
            Some(link) if link.0.query().is_none() => link,
            Some(_) => return Err(Invalid::new("endPoint", "This cannot have a query.")),
            // Who says nothing but "disabled" has said enough (INC-35).
            None if !enabled => reader.root()?,
            None => return Err(Invalid::required("endPoint")),
        };
        let document = Self {
            enabled,
            api_version: version(&body),
            name: json::text(&body, "provider", 255).unwrap_or_default(),
            end_point,
            token_end_point: reader.link(&body, "tokenEndPoint")?,
            jwks_uri: reader.link(&body, "jwksUri")?,
            invite_accept_dialog: reader.dialog(&body),
            capabilities: words(body.get("capabilities")),
            criteria: words(body.get("criteria")),
            resource_types: reader.resource_types(&body),
            public_key: old_key(body.get("publicKey")),
        };
        match serde_json::to_vec(&document) {
            Ok(kept) if kept.len() <= KEPT_MAX => Ok(document),
            _ => Err(Invalid::new("resourceTypes", "This document says too much.")),
        }
    }

    /// Our own document. Read back by [`Self::parse`], it says the same.
    pub fn ours(offer: &Offer) -> Value {
        offer.document()
    }

    /// False where the server says that it takes no part in OCM.
    pub fn enabled(&self) -> bool {
        self.enabled
    }

    /// Major and minor version; 1.0 where it says nothing that we can read (D19).
    pub fn api_version(&self) -> (u64, u64) {
        self.api_version
    }

    /// The server's name for itself, for people.
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// The base of its OCM API.
    pub fn end_point(&self) -> &Url {
        &self.end_point.0
    }

    /// Where Share Creation Notifications go.
    pub fn shares_url(&self) -> Url {
        self.below("shares")
    }

    /// Where Invite Acceptance Requests go.
    pub fn invite_accepted_url(&self) -> Url {
        self.below("invite-accepted")
    }

    /// Where OCM Notifications go.
    pub fn notifications_url(&self) -> Url {
        self.below("notifications")
    }

    /// Where requests for a share go.
    pub fn request_share_url(&self) -> Url {
        self.below("request-share")
    }

    fn below(&self, name: &str) -> Url {
        let mut url = self.end_point.0.clone();
        url.path_segments_mut()
            .expect("an http URL has a path")
            .pop_if_empty()
            .push(name);
        url
    }

    /// Where a shared secret is exchanged for a token (_Code Flow_).
    pub fn token_end_point(&self) -> Option<&Url> {
        self.token_end_point.as_ref().map(|link| &link.0)
    }

    /// Where its public keys are; where it doesn't say, they are at `/.well-known/jwks.json` (DIS-11, INC-28).
    pub fn jwks_uri(&self) -> Option<Url> {
        self.jwks_uri.as_ref().map(|link| link.0.clone())
    }

    /// Its key for signatures of the older form; whether it can be trusted is still to be seen.
    pub fn public_key(&self) -> Option<&OldKey> {
        self.public_key.as_ref()
    }

    /// The page where one of its people accepts an invitation (DIS-10).
    pub fn invite_accept_dialog(&self) -> Option<&Url> {
        self.invite_accept_dialog.as_ref().map(|link| &link.0)
    }

    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities
            .iter()
            .any(|word| Capability::from_word(word) == Some(capability))
    }

    /// The words for what it can do, as it says them.
    pub fn capabilities(&self) -> &[String] {
        &self.capabilities
    }

    /// The words for what it demands, as it says them.
    pub fn criteria(&self) -> &[String] {
        &self.criteria
    }

    /// The types of resource that it names.
    pub fn resource_types(&self) -> impl Iterator<Item = &str> {
        self.resource_types.iter().map(|entry| entry.name.as_str())
    }

    pub fn requires(&self, criterion: Criterion) -> bool {
        self.criteria
            .iter()
            .any(|word| Criterion::from_word(word) == Some(criterion))
    }

    /// Words of the document that we don't know: to be shown if a share is refused (D18).
    pub fn unknown_criteria(&self) -> impl Iterator<Item = &str> {
        self.criteria
            .iter()
            .map(String::as_str)
            .filter(|word| Criterion::from_word(word).is_none())
    }

    /// The path below which a relative `uri` is found, with a slash at both ends; from the entry for this type of
    /// resource, else for `file`, else from the first (ACC-1, INC-09, INC-10).
    pub fn webdav_root(&self, resource_type: &str) -> Option<String> {
        let named = |name: &str| self.resource_types.iter().find(|entry| entry.name == name);
        [named(resource_type), named("file"), self.resource_types.first()]
            .into_iter()
            .flatten()
            .find_map(|entry| entry.webdav_root.clone())
    }

    /// Which form of `uri` it takes for this type of resource: relative ones, unless it says otherwise (DIS-6).
    pub fn uri_form(&self, resource_type: &str) -> UriForm {
        let named = |name: &str| self.resource_types.iter().find(|entry| entry.name == name);
        match named(resource_type).or_else(|| named("file")) {
            Some(entry) if entry.wants_absolute => UriForm::Absolute,
            _ => UriForm::Relative,
        }
    }

    /// Whether a share of this kind may be sent there (SHR-2a). A file for a user over webdav may always be tried.
    ///
    /// Servers that know the `-receive` names say with them what they receive; from older ones the plain name must do
    /// (DIS-6).
    pub fn supports(&self, resource_type: &str, share_type: &str, protocol: &str) -> bool {
        if (resource_type, share_type, protocol) == ("file", "user", "webdav") {
            return true;
        }
        let receive = format!("{protocol}-receive");
        let tells_receiving = self
            .resource_types
            .iter()
            .flat_map(|entry| &entry.protocols)
            .any(|name| name.ends_with("-receive"));
        let wanted = if tells_receiving { receive.as_str() } else { protocol };
        self.resource_types.iter().any(|entry| {
            entry.name == resource_type
                && entry.share_types.iter().any(|name| name == share_type)
                && entry.protocols.iter().any(|name| name == wanted)
        })
    }
}

/// A URL that is safe to follow; kept as its text.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Link(Url);

impl Serialize for Link {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let url = Url::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)?;
        if matches!(url.scheme(), "http" | "https") {
            Ok(Self(url))
        } else {
            Err(D::Error::custom("not an http URL"))
        }
    }
}

/// Reads the parts of a document that must belong to the server it came from.
struct Reader<'a> {
    from: &'a Provider,
    allow_http: bool,
}

impl Reader<'_> {
    fn link(&self, body: &Map<String, Value>, field: &str) -> Result<Option<Link>, Invalid> {
        let Some(text) = json::text(body, field, URL_MAX)?.filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let url = Url::parse(&text).map_err(|_| Invalid::new(field, "This is not an absolute URL."))?;
        self.own(url, field).map(Some)
    }

    fn own(&self, url: Url, field: &str) -> Result<Link, Invalid> {
        if url.scheme() != "https" && !(self.allow_http && url.scheme() == "http") {
            return Err(Invalid::new(field, "This must be an https URL."));
        }
        if url.fragment().is_some() {
            return Err(Invalid::new(field, "This cannot have a fragment."));
        }
        if !self.from.same_authority(&url) {
            return Err(Invalid::new(field, format!("This must be at {}.", self.from)));
        }
        Ok(Link(url))
    }

    fn root(&self) -> Result<Link, Invalid> {
        let url = Url::parse(&format!("https://{}/", self.from));
        url.map(Link).map_err(|_| Invalid::required("endPoint"))
    }

    /// An absolute URL, or a path on the same server (D12).
    fn dialog(&self, body: &Map<String, Value>) -> Option<Link> {
        let text = json::text(body, "inviteAcceptDialog", URL_MAX).ok()??;
        // A path is resolved against where the API is, so that testing over http stays there.
        let base = self.link(body, "endPoint").ok()??;
        let url = base.0.join("/").ok()?.join(&text).ok()?;
        self.own(url, "inviteAcceptDialog").ok().filter(|_| !text.is_empty())
    }

    /// Entries without name or protocols are left out (D10). ownCloud 10 calls the list `shareTypes`.
    fn resource_types(&self, body: &Map<String, Value>) -> Vec<ResourceType> {
        let list = |field: &str| body.get(field).and_then(Value::as_array);
        list("resourceTypes")
            .or_else(|| list("shareTypes"))
            .into_iter()
            .flatten()
            .take(LIST_MAX)
            .filter_map(|entry| self.resource_type(entry.as_object()?))
            .collect()
    }

    fn resource_type(&self, entry: &Map<String, Value>) -> Option<ResourceType> {
        let name = json::required_text(entry, "name", WORD_MAX).ok()?;
        let protocols = entry.get("protocols")?.as_object()?;
        let share_types = match entry.get("shareTypes") {
            None | Some(Value::Null) => vec!["user".to_owned()],
            listed => words(listed),
        };
        let names = protocols
            .iter()
            .filter(|(name, value)| name.len() <= WORD_MAX && !value.is_null())
            .take(LIST_MAX);
        Some(ResourceType {
            name,
            share_types,
            protocols: names.map(|(name, _)| name.clone()).collect(),
            webdav_root: protocols.get("webdav").and_then(|value| self.webdav_root(value)),
            wants_absolute: protocols
                .get("webdav-receive")
                .is_some_and(|value| value["uri"] == "absolute"),
        })
    }

    fn webdav_root(&self, value: &Value) -> Option<String> {
        let text = value
            .as_str()
            .filter(|text| !text.is_empty() && text.len() <= URL_MAX)?;
        let base = self.root().ok()?;
        let url = base.0.join(text).ok()?;
        if !self.from.same_authority(&url) || url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        Some(format!("{}/", url.path().trim_end_matches('/')))
    }
}

/// An object with both its parts; whatever else stands there means that there is no key.
fn old_key(value: Option<&Value>) -> Option<OldKey> {
    let part = |name: &str, max: usize| {
        let text = value?.get(name)?.as_str()?;
        (!text.is_empty() && text.len() <= max).then(|| text.to_owned())
    };
    Some(OldKey {
        key_id: part("keyId", URL_MAX)?,
        pem: part("publicKeyPem", PEM_MAX)?,
    })
}

/// The words of a list, or a single word that stands for it.
fn words(value: Option<&Value>) -> Vec<String> {
    let single = value.and_then(Value::as_str);
    value
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .chain(single)
        .filter_map(|word| json::plain("", word, WORD_MAX).ok())
        .take(LIST_MAX)
        .collect()
}

/// `version` is what Nextcloud really speaks, next to an `apiVersion` that it may never change.
fn version(body: &Map<String, Value>) -> (u64, u64) {
    let read = |field: &str| {
        let text = body.get(field)?.as_str()?;
        let mut parts = text.trim_start_matches(['v', 'V']).split(['.', '-', '+']);
        let major = parts.next()?.parse().ok()?;
        Some((major, parts.next().and_then(|minor| minor.parse().ok()).unwrap_or(0)))
    };
    read("version").or_else(|| read("apiVersion")).unwrap_or((1, 0))
}

#[cfg(test)]
mod tests;
