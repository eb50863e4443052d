//! What this server says of itself: `/.well-known/ocm` and its keys. Computed from the configuration and from the routes
//! that are really served, so that the two cannot drift apart (DIS-11a).

use std::collections::HashMap;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use bytes::Bytes;
use serde_json::Value;
use serde_json::json;
use url::Url;

use crate::config::Config;
use crate::config::Mode;
use crate::error::Error;
use crate::error::Result;
use crate::http;
use crate::http::answer::Refusal;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Criterion;
use crate::ocm::discovery::Discovery;
use crate::ocm::discovery::Offer;
use crate::shares::LEGACY_WEBDAV_PATH;
use crate::shares::WEBDAV_PATH;
use crate::site::Site;

/// The discovery documents as they are sent, for each mode: nothing else in them changes while the server runs.
pub struct Published(HashMap<Mode, Documents>);

struct Documents {
    document: Bytes,
    legacy: Value,
}

impl Published {
    pub fn of(site: &Site) -> Result<Self> {
        let of_mode = |mode| Ok((mode, Documents::of(&offer(&site.config, mode)?)));
        Mode::ALL.into_iter().map(of_mode).collect::<Result<_>>().map(Self)
    }

    async fn now(&self, site: &Site) -> Result<&Documents> {
        let mode = site.peers.mode().await?;
        self.0
            .get(&mode)
            .ok_or_else(|| Error::internal("a mode without documents"))
    }
}

impl Documents {
    fn of(offer: &Offer) -> Self {
        let legacy = Offer {
            webdav_root: LEGACY_WEBDAV_PATH.to_owned(),
            ..offer.clone()
        };
        Self {
            document: Bytes::from(Discovery::ours(offer).to_string()),
            legacy: legacy.legacy_document(),
        }
    }
}

/// The document as other servers see it under this mode.
pub fn seen_by_peers(site: &Site, mode: Mode) -> Result<Value> {
    Ok(Discovery::ours(&offer(&site.config, mode)?))
}

/// `GET /ocm-provider` and `/ocm-provider/`: the document for servers that know only the first version of the protocol,
/// with the key that they read (INC-34). It is whole from the first answer, for it is kept for a day.
pub async fn legacy_document(site: Data<Site>, published: Data<Published>) -> Result<HttpResponse, Refusal> {
    let mut document = published.now(&site).await?.legacy.clone();
    if site.config.federation.draft_cavage {
        let key = site.keys.rsa().await?.public();
        document["publicKey"] = json!({ "keyId": key.key_id(), "publicKeyPem": key.pem() });
    }
    Ok(public("application/json", Bytes::from(document.to_string())))
}

/// `GET /.well-known/ocm` (_OCM API Discovery_).
pub async fn document(site: Data<Site>, published: Data<Published>) -> Result<HttpResponse, Refusal> {
    let documents = published.now(&site).await?;
    Ok(public("application/json", documents.document.clone()))
}

/// `GET /.well-known/jwks.json` (_JWKS_).
pub async fn keys(site: Data<Site>) -> HttpResponse {
    public("application/jwk-set+json", site.keys.jwk_set())
}

/// `GET /ocm/openapi.json`: what may be asked here, for programs and for who writes them.
pub async fn description() -> HttpResponse {
    public("application/json", Bytes::from_static(include_bytes!("openapi.json")))
}

fn public(content_type: &'static str, body: Bytes) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, content_type))
        .insert_header((header::CACHE_CONTROL, "public, max-age=300"))
        .insert_header((header::ACCESS_CONTROL_ALLOW_ORIGIN, "*"))
        .body(body)
}

fn offer(config: &Config, mode: Mode) -> Result<Offer> {
    let at = |path: &str| Url::parse(&config.server.public_url.at(path)).map_err(Error::internal);
    let federation = &config.federation;
    let criteria = [
        (federation.require_signatures, Criterion::MustUseHttpSig),
        (federation.require_token_exchange, Criterion::MustExchangeToken),
        (true, Criterion::Denylist),
        (mode == Mode::Allowlist, Criterion::Allowlist),
        (mode == Mode::Invite, Criterion::MustInvite),
    ];
    Ok(Offer {
        name: config.server.name.clone(),
        end_point: at(http::END_POINT)?,
        webdav_root: WEBDAV_PATH.to_owned(),
        token_end_point: Some(at(http::TOKEN_END_POINT)?),
        jwks_uri: Some(at(http::JWKS)?),
        invite_accept_dialog: Some(at(http::INVITE_ACCEPT_DIALOG)?),
        share_types: vec!["user".to_owned()],
        capabilities: vec![
            Capability::Notifications,
            Capability::ProtocolObject,
            Capability::InviteWayf,
        ],
        criteria: criteria
            .into_iter()
            .filter(|(enforced, _)| *enforced)
            .map(|(_, criterion)| criterion)
            .collect(),
        webdav_receive: true,
    })
}
