//! The document that this server serves.

use serde_json::Value;
use serde_json::json;
use url::Url;

use super::Capability;
use super::Criterion;

/// The version of the protocol that we say we speak (DIS-3).
pub const API_VERSION: &str = "1.4.0";
/// What Nextcloud and ownCloud compare the older document with, letter by letter.
const LEGACY_API_VERSION: &str = "1.0-proposal1";

/// What this server offers. What hangs together is said together: a capability whose URL is missing here is not
/// announced, nor is a criterion that needs it (DIS-9, DIS-10, DIS-11).
#[derive(Clone, Debug)]
pub struct Offer {
    /// The server's name, for people.
    pub name: String,
    pub end_point: Url,
    /// The path of the WebDAV tree; announced with a slash at both ends, as all peers can read it.
    pub webdav_root: String,
    /// With it goes `exchange-token`.
    pub token_end_point: Option<Url>,
    /// With it goes `http-sig`.
    pub jwks_uri: Option<Url>,
    /// With it goes `invites`.
    pub invite_accept_dialog: Option<Url>,
    /// `user` is always among them.
    pub share_types: Vec<String>,
    /// What else we can do.
    pub capabilities: Vec<Capability>,
    /// What a share needs to be accepted here.
    pub criteria: Vec<Criterion>,
    /// Whether `webdav-receive` is announced, as the draft wants it (DIS-6). OpenCloud cannot read documents with
    /// objects among the protocols; a server that lives among them may leave it out.
    pub webdav_receive: bool,
}

impl Offer {
    pub(super) fn document(&self) -> Value {
        let mut document = json!({
            "enabled": true,
            "apiVersion": API_VERSION,
            "endPoint": plain(&self.end_point),
            "provider": self.name,
            // OpenCloud and reva look up an entry by the type of the share; the first counts for all others (INC-09).
            "resourceTypes": [self.resource_type("file"), self.resource_type("folder")],
            "capabilities": self.capabilities().map(Capability::as_str).collect::<Vec<_>>(),
            "criteria": self.criteria().map(Criterion::as_str).collect::<Vec<_>>(),
        });
        for (field, url) in [
            ("tokenEndPoint", &self.token_end_point),
            ("jwksUri", &self.jwks_uri),
            ("inviteAcceptDialog", &self.invite_accept_dialog),
        ] {
            if let Some(url) = url {
                document[field] = json!(url.as_str());
            }
        }
        document
    }

    /// The same for `/ocm-provider`, where servers ask that know only the first version of the protocol: nothing but
    /// plain texts among the protocols, and the version that they expect (INC-34).
    pub fn legacy_document(&self) -> Value {
        let plain = Self {
            webdav_receive: false,
            ..self.clone()
        };
        let mut document = plain.document();
        document["apiVersion"] = json!(LEGACY_API_VERSION);
        document["version"] = json!(API_VERSION);
        document
    }

    fn resource_type(&self, name: &str) -> Value {
        let mut share_types = vec!["user"];
        share_types.extend(
            self.share_types
                .iter()
                .map(String::as_str)
                .filter(|name| *name != "user"),
        );
        let root = self.webdav_root.trim_matches('/');
        let mut protocols = json!({"webdav": format!("/{root}/")});
        if self.webdav_receive {
            // We take both. Said "absolute", opencloudmesh-go would send addresses on our own host.
            protocols["webdav-receive"] = json!({"uri": "relative"});
        }
        json!({"name": name, "shareTypes": share_types, "protocols": protocols})
    }

    fn capabilities(&self) -> impl Iterator<Item = Capability> {
        Capability::ALL.iter().copied().filter(|capability| match capability {
            Capability::ExchangeToken => self.token_end_point.is_some(),
            Capability::HttpSig => self.jwks_uri.is_some(),
            Capability::Invites => self.invite_accept_dialog.is_some(),
            other => self.capabilities.contains(other),
        })
    }

    fn criteria(&self) -> impl Iterator<Item = Criterion> {
        self.criteria.iter().copied().filter(|criterion| match criterion {
            Criterion::MustExchangeToken => self.token_end_point.is_some(),
            Criterion::MustUseHttpSig => self.jwks_uri.is_some(),
            _ => true,
        })
    }
}

/// Nextcloud appends to it as it is, so there is no slash at the end.
fn plain(url: &Url) -> &str {
    url.as_str().trim_end_matches('/')
}
