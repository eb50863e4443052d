//! How a resource is reached: the `protocol` object of a share in its three spellings (SHR-5, SHR-6).

use std::fmt;

use serde::Deserialize;
use serde::Serialize;
use serde_json::Map;
use serde_json::Value;
use serde_json::json;
use url::Url;

use super::ShareRefusal;
use super::Unsupported;
use super::WORD_MAX;
use crate::ocm::Invalid;
use crate::ocm::address::Provider;
use crate::ocm::json;
use crate::secret::Secret;

/// What servers send that leave it to WebDAV to say what is permitted.
const SHARE_PERMISSIONS: &str = "{http://open-cloud-mesh.org/ns}share-permissions";
/// Longest shared secret, in bytes (T-28).
const SECRET_MAX: usize = 1024;
/// Longest URI, in bytes.
const URI_MAX: usize = 2048;
/// Most entries in a list of words.
const LIST_MAX: usize = 16;

/// A resource over WebDAV.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WebdavOffer {
    /// Missing in the deprecated spelling: there the secret alone says which resource is meant (ACC-5).
    pub uri: Option<WebdavUri>,
    pub shared_secret: Secret,
    pub permissions: Permissions,
    pub requirements: Requirements,
    /// In bytes.
    pub size: Option<u64>,
}

/// What the Receiving Party may do. Who says nothing that we understand grants reading (D01).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permissions {
    pub read: bool,
    pub write: bool,
    pub share: bool,
}

impl Permissions {
    pub const READ: Self = Self {
        read: true,
        write: false,
        share: false,
    };

    fn words(self) -> Vec<&'static str> {
        let all = [(self.read, "read"), (self.write, "write"), (self.share, "share")];
        all.into_iter().filter_map(|(has, word)| has.then_some(word)).collect()
    }
}

/// What the Receiving Server must do before it lets anyone in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirements {
    /// Exchange the secret for a token, and use nothing else (ACC-2).
    pub must_exchange_token: bool,
    /// Let in only who has shown a second factor (ACC-3).
    pub must_use_mfa: bool,
}

impl Requirements {
    fn words(self) -> Vec<&'static str> {
        let all = [
            (self.must_exchange_token, "must-exchange-token"),
            (self.must_use_mfa, "must-use-mfa"),
        ];
        all.into_iter().filter_map(|(has, word)| has.then_some(word)).collect()
    }
}

/// Which other protocols a share was offered over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OtherProtocols {
    pub webapp: bool,
    pub ssh: bool,
    pub embedded: bool,
}

/// Where a resource is: absolute, or relative to the WebDAV root of the Sending Server (ACC-4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum WebdavUri {
    Absolute(Url),
    Relative(String),
}

impl WebdavUri {
    /// # Errors
    ///
    /// For what could lead a token astray: other schemes, a user, a fragment, `..`, `//`, a backslash (T-05).
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let invalid = |why: &str| Invalid::new("protocol.webdav.uri", why);
        let mut text = json::plain("protocol.webdav.uri", text, URI_MAX)?;
        // Nextcloud 35 puts `https://` before an address that has its scheme already.
        if let Some(rest) = text.strip_prefix("https://")
            && (rest.starts_with("https://") || rest.starts_with("http://"))
        {
            text = rest.to_owned();
        }
        if text.starts_with("https://") || text.starts_with("http://") {
            let url = Url::parse(&text).map_err(|_| invalid("This is not a URL."))?;
            if Provider::from_url(&url).is_err() || url.fragment().is_some() || text.contains('\\') {
                return Err(invalid("This URL must be plain: a server and a path."));
            }
            return Ok(Self::Absolute(url));
        }
        let path = text.trim_start_matches('/');
        let climbs = path.split('/').any(|segment| {
            let dots = segment.to_ascii_lowercase().replace("%2e", ".");
            matches!(dots.as_str(), "." | "..")
        });
        if path.is_empty()
            || text.starts_with("//")
            || text.contains(['\\', '?', '#'])
            || path.split('/').next().is_some_and(|first| first.contains(':'))
            || path.contains("//")
            || climbs
        {
            return Err(invalid("This is neither an https URL nor a plain relative path."));
        }
        Ok(Self::Relative(text))
    }
}

impl fmt::Display for WebdavUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absolute(url) => f.write_str(url.as_str()),
            Self::Relative(path) => f.write_str(path),
        }
    }
}

impl TryFrom<String> for WebdavUri {
    type Error = Invalid;

    fn try_from(text: String) -> Result<Self, Invalid> {
        Self::parse(&text)
    }
}

impl From<WebdavUri> for String {
    fn from(uri: WebdavUri) -> Self {
        uri.to_string()
    }
}

impl WebdavOffer {
    /// The URL to ask, at the server whose API is at `end_point` and whose WebDAV root is `root` (ACC-4, INC-11).
    ///
    /// # Errors
    ///
    /// For an absolute URI on another server, which would get the token (T-05). `ours` is excepted: Nextcloud 35 and
    /// opencloudmesh-go build the URI from the name of the *receiving* server; then the root counts, and below it the
    /// last part of the path, unless that ends with a slash.
    pub fn locate(&self, end_point: &Url, root: &str, ours: &Provider) -> Result<Url, Invalid> {
        let elsewhere = |why: &str| Invalid::new("protocol.webdav.uri", why);
        let below = |path: &str| {
            let joined = format!("{}/{}", root.trim_end_matches('/'), path.trim_start_matches('/'));
            let url = end_point.join(&joined).map_err(|_| elsewhere("This is not a path."))?;
            match Provider::from_url(end_point) {
                Ok(sender) if sender.same_authority(&url) => Ok(url),
                _ => Err(elsewhere("This leads to another server.")),
            }
        };
        let sender = Provider::from_url(end_point)?;
        match &self.uri {
            None => below(""),
            Some(WebdavUri::Relative(path)) => below(path),
            Some(WebdavUri::Absolute(url)) if sender.same_authority(url) && url.scheme() == end_point.scheme() => {
                Ok(url.clone())
            }
            Some(WebdavUri::Absolute(url)) if ours.same_authority(url) => {
                below(url.path().rsplit('/').next().unwrap_or_default())
            }
            Some(WebdavUri::Absolute(_)) => Err(elsewhere("This leads to another server.")),
        }
    }

    pub(super) fn to_json(&self) -> Value {
        let mut webdav = json!({"sharedSecret": self.shared_secret, "permissions": self.permissions.words()});
        if let Some(uri) = &self.uri {
            webdav["uri"] = json!(uri);
        }
        let requirements = self.requirements.words();
        if !requirements.is_empty() {
            webdav["requirements"] = json!(requirements);
        }
        if let Some(size) = self.size {
            webdav["size"] = json!(size);
        }
        webdav
    }
}

/// Reads `protocol`. Where both the new object and the deprecated options stand there, the object counts.
pub(super) fn read(body: &Map<String, Value>) -> Result<(WebdavOffer, OtherProtocols), ShareRefusal> {
    let protocol = match body.get("protocol") {
        None | Some(Value::Null) => return Err(Invalid::required("protocol").into()),
        Some(value) => value
            .as_object()
            .ok_or_else(|| Invalid::new("protocol", "This must be an object."))?,
    };
    let offers = |name: &str| protocol.get(name).is_some_and(|value| !value.is_null());
    let others = OtherProtocols {
        webapp: offers("webapp"),
        ssh: offers("ssh"),
        embedded: offers("embedded"),
    };
    if let Some(webdav) = protocol.get("webdav").filter(|value| !value.is_null()) {
        let webdav = webdav
            .as_object()
            .ok_or_else(|| Invalid::new("protocol.webdav", "This must be an object."))?;
        return Ok((read_webdav(webdav)?, others));
    }
    let is_webdav = matches!(
        protocol.get("name").and_then(Value::as_str),
        None | Some("webdav" | "multi")
    );
    match protocol.get("options").and_then(Value::as_object) {
        Some(options) if is_webdav && !options.is_empty() => Ok((read_options(options)?, others)),
        _ if protocol.get("name").and_then(Value::as_str) == Some("webdav") => {
            Err(Invalid::required("protocol.options.sharedSecret").into())
        }
        _ => Err(Unsupported::Protocol.into()),
    }
}

fn read_webdav(webdav: &Map<String, Value>) -> Result<WebdavOffer, ShareRefusal> {
    let read = |name: &str| match json::text(webdav, name, URI_MAX) {
        Ok(uri) => Ok(uri.filter(|uri| !uri.is_empty())),
        Err(error) => Err(Invalid::new("protocol.webdav.uri", error.why())),
    };
    // OpenCloud before December 2025 calls it `url`.
    let uri = match read("uri")? {
        Some(uri) => Some(uri),
        None => read("url")?,
    };
    let uri = uri.ok_or_else(|| Invalid::required("protocol.webdav.uri"))?;
    Ok(WebdavOffer {
        uri: Some(WebdavUri::parse(&uri)?),
        shared_secret: secret(webdav, "protocol.webdav.sharedSecret")?,
        permissions: permissions(webdav.get("permissions")),
        requirements: requirements(webdav.get("requirements"))?,
        size: webdav.get("size").and_then(Value::as_u64),
    })
}

/// The spelling of version 1.0 has a secret and nothing else that means something.
fn read_options(options: &Map<String, Value>) -> Result<WebdavOffer, ShareRefusal> {
    Ok(WebdavOffer {
        uri: None,
        shared_secret: secret(options, "protocol.options.sharedSecret")?,
        permissions: permissions(options.get("permissions")),
        requirements: requirements(options.get("requirements"))?,
        size: None,
    })
}

fn secret(object: &Map<String, Value>, field: &str) -> Result<Secret, Invalid> {
    json::required_text(object, "sharedSecret", SECRET_MAX)
        .map(Secret::new)
        .map_err(|error| match error.missing() {
            true => Invalid::required(field),
            false => Invalid::new(field, error.why()),
        })
}

fn permissions(value: Option<&Value>) -> Permissions {
    let has = |word: &str| {
        value
            .and_then(Value::as_array)
            .is_some_and(|words| words.iter().any(|other| other == word))
    };
    let stated = Permissions {
        read: has("read"),
        write: has("write"),
        share: has("share"),
    };
    if !stated.words().is_empty() {
        return stated;
    }
    // Nextcloud sends the name of a property in their place: what is permitted shows there, or when it is tried.
    let named = value.and_then(|value| value.as_str().or_else(|| value.get(0)?.as_str()));
    Permissions {
        write: named == Some(SHARE_PERMISSIONS),
        ..Permissions::READ
    }
}

/// Every requirement must be understood, so nothing is skipped here.
fn requirements(value: Option<&Value>) -> Result<Requirements, ShareRefusal> {
    let field = "protocol.webdav.requirements";
    let words = match value {
        None | Some(Value::Null) => return Ok(Requirements::default()),
        Some(value) => value
            .as_array()
            .filter(|words| words.len() <= LIST_MAX)
            .ok_or_else(|| Invalid::new(field, "This must be a short list."))?,
    };
    let mut requirements = Requirements::default();
    for word in words {
        let word = word
            .as_str()
            .ok_or_else(|| Invalid::new(field, "This must be a list of texts."))?;
        match word {
            "must-exchange-token" => requirements.must_exchange_token = true,
            "must-use-mfa" | "mfa-enforced" => requirements.must_use_mfa = true,
            unknown => {
                let unknown = json::plain(field, unknown, WORD_MAX)?;
                return Err(Unsupported::Requirement(unknown).into());
            }
        }
    }
    Ok(requirements)
}
