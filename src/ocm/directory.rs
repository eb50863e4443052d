//! What a Directory Service publishes (_Directory Service_): a list of servers, signed by a key that was obtained out of
//! band (DIR-1 to DIR-3, INC-23).
//!
//! An old copy, once validly signed, stays validly signed (T-47). Where a list says when or as which version it was made
//! (`iat`, `version`), or how long it is good (`exp`), in its payload or its protected header, an older one can be told
//! ([`Marks`]). The draft knows none of these, so most lists will not.

mod jws;
mod key;
#[cfg(test)]
mod tests;

use std::collections::HashSet;

use aws_lc_rs::digest::SHA256;
use aws_lc_rs::digest::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;

use self::jws::Jws;
use crate::clock::Timestamp;
use crate::ocm::Invalid;
use crate::ocm::address::Provider;
use crate::ocm::address::misleads;
use crate::ocm::json;

pub use self::key::KEY_BYTES_MAX;
pub use self::key::PinnedKey;

/// The longest document that is read, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 1 << 20;
/// The most servers of one list.
pub const SERVERS_MAX: usize = 5_000;
/// How much of a name is kept, in characters.
const NAME_MAX: usize = 120;

/// A list of servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// What the servers call themselves together.
    pub federation: String,
    /// Each server once, in the order of the list.
    pub servers: Vec<Server>,
    /// How many entries name no server that could be asked.
    pub dropped: usize,
    pub marks: Marks,
    /// From when on it is not to be relied on.
    pub expires: Option<Timestamp>,
    /// The same for what was signed alike.
    pub digest: String,
}

/// One server of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    pub provider: Provider,
    /// As the directory has it: shown, never trusted.
    pub name: String,
}

/// What a list says of its own age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marks {
    pub version: Option<u64>,
    pub issued: Option<Timestamp>,
}

impl Marks {
    /// Whether this is of an older list than `kept`; one that has lost a mark could be any.
    pub fn is_before(self, kept: Self) -> bool {
        self.version < kept.version || self.issued < kept.issued
    }
}

impl Directory {
    /// Reads a document that `key` has signed: JWS, compact, flattened or general.
    ///
    /// # Errors
    ///
    /// With the part that is wrong, in a sentence for an admin. A list with too many servers is no list; a single entry
    /// that can't be used is left out.
    pub fn verify(document: &[u8], key: &PinnedKey) -> Result<Self, Invalid> {
        let jws = match Form::read(document)? {
            Form::Compact(text) => Jws::compact(text)?,
            Form::Json(document) if document.contains_key("payload") => Jws::json(&document)?,
            Form::Json(_) => return Err(Invalid::new("document", "This list is not signed.")),
        };
        let verified = jws.verify(key)?;
        let payload = payload(&verified.payload)?;
        Self::read(&payload, &verified.header, verified.signed.as_bytes())
    }

    /// Reads a document of whoever answers at its address: bare JSON, or a JWS in any form, the draft's example included,
    /// whose signature nobody checks.
    ///
    /// # Errors
    ///
    /// As [`Self::verify`].
    pub fn danger_unverified(document: &[u8]) -> Result<Self, Invalid> {
        let payload = match Form::read(document)? {
            Form::Compact(text) => payload(&Jws::compact(text)?.danger_payload()?)?,
            Form::Json(mut whole) => match whole.remove("payload") {
                None => whole,
                Some(Value::Object(payload)) => payload,
                Some(text) => {
                    whole.insert("payload".to_owned(), text);
                    payload(&Jws::json(&whole)?.danger_payload()?)?
                }
            },
        };
        Self::read(&payload, &Map::new(), document)
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }

    fn read(payload: &Map<String, Value>, header: &Map<String, Value>, signed: &[u8]) -> Result<Self, Invalid> {
        let federation = payload.get("federation").and_then(Value::as_str).map(label);
        let federation = federation
            .filter(|name| !name.is_empty())
            .ok_or_else(|| Invalid::required("federation"))?;
        let entries = match payload.get("servers") {
            Some(Value::Array(entries)) => entries,
            _ => return Err(Invalid::required("servers")),
        };
        if entries.len() > SERVERS_MAX {
            let why = format!("There are {} servers; at most {SERVERS_MAX} are read.", entries.len());
            return Err(Invalid::new("servers", why));
        }
        let read: Vec<_> = entries.iter().filter_map(Server::read).collect();
        let dropped = entries.len() - read.len();
        let mut met = HashSet::new();
        let said = |name: &str| payload.get(name).or_else(|| header.get(name));
        let moment = |name: &str| {
            said(name)
                .and_then(Value::as_f64)
                .map(|seconds| Timestamp(seconds as i64))
        };
        Ok(Self {
            federation,
            servers: read
                .into_iter()
                .filter(|server| met.insert(server.provider.clone()))
                .collect(),
            dropped,
            marks: Marks {
                version: said("version").and_then(Value::as_u64),
                issued: moment("iat"),
            },
            expires: moment("exp"),
            digest: URL_SAFE_NO_PAD.encode(digest(&SHA256, signed)),
        })
    }
}

impl Server {
    /// An entry, unless its address is more, or less, than that of a server (DIR-2).
    fn read(entry: &Value) -> Option<Self> {
        let provider = provider_of(entry.get("url")?.as_str()?)?;
        let name = entry.get("displayName").and_then(Value::as_str).map(label);
        let name = name.filter(|name| !name.is_empty());
        Some(Self {
            name: name.unwrap_or_else(|| provider.to_string()),
            provider,
        })
    }
}

/// The server at `https://host[:port][/]`. `http://` is read too: it is no promise how the server will be asked, for that
/// is https, and http only where the operator listed a network that speaks it (DIS-2).
fn provider_of(url: &str) -> Option<Provider> {
    let (scheme, rest) = url.split_once("://")?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let host = match scheme.to_ascii_lowercase().as_str() {
        "https" => rest,
        "http" => rest.strip_suffix(":80").unwrap_or(rest),
        _ => return None,
    };
    // Takes a host and a port and nothing else: no user, path, query or fragment.
    Provider::parse(host).ok()
}

/// A name as it may be shown: one line, none of it invisible, and not too long.
fn label(text: &str) -> String {
    let visible: String = text.chars().filter(|c| !misleads(*c)).take(NAME_MAX).collect();
    visible.trim().to_owned()
}

fn payload(bytes: &[u8]) -> Result<Map<String, Value>, Invalid> {
    json::object(bytes).map_err(|invalid| Invalid::new("payload", invalid.why()))
}

/// How a document is written down.
enum Form<'a> {
    Compact(&'a str),
    Json(Map<String, Value>),
}

impl<'a> Form<'a> {
    fn read(document: &'a [u8]) -> Result<Self, Invalid> {
        if document.len() > DOCUMENT_BYTES_MAX {
            let why = format!("This is longer than {DOCUMENT_BYTES_MAX} bytes.");
            return Err(Invalid::new("document", why));
        }
        // Files end with a line break.
        let document = document.trim_ascii();
        if document.first() == Some(&b'{') {
            let read = json::object(document).map_err(|invalid| Invalid::new("document", invalid.why()))?;
            return Ok(Self::Json(read));
        }
        match std::str::from_utf8(document) {
            Ok(text) => Ok(Self::Compact(text)),
            Err(_) => Err(Invalid::new("document", "This is neither JSON nor a compact JWS.")),
        }
    }
}
