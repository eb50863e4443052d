//! What this server says of itself: `/.well-known/ocm` and its keys. Computed from the configuration and from the routes
//! that are really served, so that the two cannot drift apart (DIS-11a).

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use bytes::Bytes;
use url::Url;

use crate::config::Config;
use crate::config::Mode;
use crate::error::Error;
use crate::error::Result;
use crate::http;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Criterion;
use crate::ocm::discovery::Discovery;
use crate::ocm::discovery::Offer;
use crate::shares::WEBDAV_PATH;
use crate::site::Site;

/// The discovery document as it is sent: nothing in it changes while the server runs.
pub struct Published {
    document: Bytes,
}

impl Published {
    pub fn of(site: &Site) -> Result<Self> {
        let document = Discovery::ours(&offer(&site.config)?);
        Ok(Self {
            document: Bytes::from(document.to_string()),
        })
    }
}

/// `GET /.well-known/ocm` (_OCM API Discovery_).
pub async fn document(published: Data<Published>) -> HttpResponse {
    public("application/json", published.document.clone())
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

fn offer(config: &Config) -> Result<Offer> {
    let at = |path: &str| Url::parse(&config.server.public_url.at(path)).map_err(Error::internal);
    let federation = &config.federation;
    let criteria = [
        (federation.require_signatures, Criterion::MustUseHttpSig),
        (federation.require_token_exchange, Criterion::MustExchangeToken),
        (true, Criterion::Denylist),
        (federation.mode == Mode::Allowlist, Criterion::Allowlist),
        (federation.mode == Mode::Invite, Criterion::MustInvite),
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
