//! Messages of other servers with proof of who sent them: a handler that takes a [`Signed`] can't be reached without.

use std::ops::Deref;

use actix_web::FromRequest;
use actix_web::HttpMessage;
use actix_web::HttpRequest;
use actix_web::dev::Payload;
use actix_web::web;
use futures_util::StreamExt;
use futures_util::future::LocalBoxFuture;

use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::http::answer::Refusal;
use crate::ocm::address::Provider;
use crate::ocm::code_flow::TokenError;
use crate::ocm::code_flow::TokenRequest;
use crate::ocm::invite::InviteAcceptanceRequest;
use crate::ocm::notification::NotificationRefusal;
use crate::ocm::notification::OcmNotification;
use crate::ocm::share::ShareCreationNotification;
use crate::ocm::share::ShareRefusal;
use crate::ocm::share::Unsupported;
use crate::ocm::share_request::ShareRequest;
use crate::ocm::signature;
use crate::peers::Acting;
use crate::peers::trust::Purpose;
use crate::site::Site;

/// A message of the protocol, as it comes in.
pub trait Message: Sized {
    /// What its sender wants of us, for the trust rules.
    const PURPOSE: Purpose = Purpose::Federate;
    const CONTENT_TYPE: &'static str = "application/json";
    /// Whether it must be signed also where the operator takes other messages unsigned.
    const ALWAYS_SIGNED: bool = false;
    /// Whether the signature alone says who it is from, so that the name in the message may lack a port.
    const PORT_MAY_MISS: bool = false;

    fn read(body: &[u8]) -> Result<Self>;

    /// The server that the message speaks for; none where only the signature says it (SIG-5).
    fn acting(&self) -> Option<&Provider>;

    /// The server that an unsigned message is from, if it shows that in another way.
    fn claimed(&self, _site: &Site) -> impl Future<Output = Result<Option<Provider>>> {
        std::future::ready(Ok(self.acting().cloned()))
    }
}

impl Message for ShareCreationNotification {
    fn read(body: &[u8]) -> Result<Self> {
        Self::parse(body).map_err(|refusal| match &refusal {
            ShareRefusal::Invalid(invalid) => invalid.clone().into(),
            ShareRefusal::Unsupported(Unsupported::Requirement(_)) => Error::new(
                Reason::UnsupportedRequirement,
                "This requirement is not understood here.",
            ),
            ShareRefusal::Unsupported(_) => Error::new(Reason::KindUnsupported, refusal.to_string()),
        })
    }

    fn acting(&self) -> Option<&Provider> {
        Some(&self.sender.provider)
    }
}

impl Message for InviteAcceptanceRequest {
    const PURPOSE: Purpose = Purpose::Invite;
    const PORT_MAY_MISS: bool = true;

    fn read(body: &[u8]) -> Result<Self> {
        Ok(Self::parse(body)?)
    }

    fn acting(&self) -> Option<&Provider> {
        Some(&self.recipient_provider)
    }

    /// Without the token of an invite nobody is asked anything in this server's name (T-01).
    async fn claimed(&self, site: &Site) -> Result<Option<Provider>> {
        let host = &self.recipient_provider;
        let known = site.invites.is_token(&self.token).await? || site.peers.vouches_for(host).await?;
        Ok(known.then(|| host.clone()))
    }
}

/// Only a signature tells who asks, so there is no request without one (REQ-0).
impl Message for ShareRequest {
    const ALWAYS_SIGNED: bool = true;

    fn read(body: &[u8]) -> Result<Self> {
        Ok(Self::parse(body)?)
    }

    fn acting(&self) -> Option<&Provider> {
        Some(&self.share_with.provider)
    }
}

impl Message for OcmNotification {
    fn read(body: &[u8]) -> Result<Self> {
        Self::parse(body).map_err(|refusal| match refusal {
            NotificationRefusal::Invalid(invalid) => invalid.into(),
            NotificationRefusal::UnknownType(_) => {
                Error::new(Reason::Unsupported, "This type of notification is not known here.")
            }
        })
    }

    fn acting(&self) -> Option<&Provider> {
        None
    }

    async fn claimed(&self, site: &Site) -> Result<Option<Provider>> {
        site.shares.claimed(self).await
    }
}

impl Message for TokenRequest {
    const PORT_MAY_MISS: bool = true;
    const CONTENT_TYPE: &'static str = "application/x-www-form-urlencoded";

    fn read(body: &[u8]) -> Result<Self> {
        Self::parse(body).map_err(|error| {
            let reason = match error {
                TokenError::UnsupportedGrantType => Reason::UnsupportedGrantType,
                TokenError::InvalidClient => Reason::InvalidClient,
                _ => Reason::Invalid,
            };
            Error::new(reason, error.as_str())
        })
    }

    fn acting(&self) -> Option<&Provider> {
        Some(&self.client_id)
    }
}

/// A message and the server that it is from, beyond doubt: signed by it, and dealt with by us. Where the operator takes
/// unsigned messages, `signer` is the server that the message names.
#[derive(Debug)]
pub struct Signed<T> {
    pub signer: Provider,
    message: T,
}

impl<T> Deref for Signed<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.message
    }
}

impl<T: Message + 'static> FromRequest for Signed<T> {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let signed = receive::<T>(&request, payload).await.map_err(Refusal)?;
            request.extensions_mut().insert(Sender(signed.signer.clone()));
            Ok(signed)
        })
    }
}

/// The server that a request is from, once that is known: for whoever looks at the answer.
#[derive(Clone)]
pub struct Sender(pub Provider);

/// The server that signed a request without a message. Nothing is admitted unsigned here, whatever the operator takes
/// elsewhere: the signature is all there is.
pub struct Signer(pub Provider);

impl FromRequest for Signer {
    type Error = Refusal;
    type Future = LocalBoxFuture<'static, Result<Self, Refusal>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let request = request.clone();
        let payload = payload.take();
        Box::pin(async move {
            let arrived = Arrived::read(&request, payload).await?;
            // A stranger may ask: there is nothing to be had, and it is asked back no more than who redeems an invite.
            let signer = arrived
                .site
                .peers
                .authenticate(&arrived.to_check(), Acting::Unnamed, Purpose::Invite)
                .await?;
            request.extensions_mut().insert(Sender(signer.clone()));
            Ok(Self(signer))
        })
    }
}

/// A request as it came in, read to its end.
struct Arrived {
    site: web::Data<Site>,
    method: String,
    target_uri: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

impl Arrived {
    async fn read(request: &HttpRequest, payload: Payload) -> Result<Self> {
        let site = request
            .app_data::<web::Data<Site>>()
            .ok_or_else(|| Error::internal("no site in this application"))?;
        let limit = usize::try_from(site.config.limits.max_body.0).unwrap_or(usize::MAX);
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            site: site.clone(),
            method: request.method().to_string(),
            target_uri: site.config.server.public_url.at(path),
            headers: raw_headers(request),
            body: read_body(request, payload, limit).await?,
        })
    }

    fn to_check(&self) -> signature::Request<'_> {
        signature::Request {
            method: &self.method,
            target_uri: &self.target_uri,
            headers: &self.headers,
            body: &self.body,
        }
    }
}

async fn receive<T: Message>(request: &HttpRequest, payload: Payload) -> Result<Signed<T>> {
    let arrived = Arrived::read(request, payload).await?;
    let (site, body) = (&arrived.site, arrived.body.as_slice());
    if arrived
        .headers
        .iter()
        .any(|(name, _)| name == "signature" || name == "signature-input")
    {
        // The message says whom it speaks for; one that can't be read can only be refused, and by nobody in particular.
        check_content_type::<T>(request)?;
        let message = T::read(body);
        let acting = message.as_ref().ok().and_then(T::acting);
        let named = match acting {
            Some(acting) if T::PORT_MAY_MISS && acting.port().is_none() => Acting::AnyPort(acting),
            Some(acting) => Acting::Exactly(acting),
            None => Acting::Unnamed,
        };
        let signer = site.peers.authenticate(&arrived.to_check(), named, T::PURPOSE).await?;
        return Ok(Signed {
            signer,
            message: message?,
        });
    }
    let missing = || {
        Error::new(
            Reason::SignatureMissing,
            "This request must be signed (RFC 9421, tag \"ocm\").",
        )
    };
    if T::ALWAYS_SIGNED {
        return Err(missing());
    }
    // Whoever shows nothing of itself learns nothing of what is wrong with its message.
    let message = T::read(body);
    let acting = match &message {
        Ok(message) => message.claimed(site).await?.ok_or_else(missing)?,
        Err(_) => return Err(missing()),
    };
    site.peers.admit_unsigned(&acting, T::PURPOSE).await?;
    check_content_type::<T>(request)?;
    Ok(Signed {
        signer: acting,
        message: message?,
    })
}

/// Reads the body, and stops at the first byte too many, whatever length was declared (T-26).
async fn read_body(request: &HttpRequest, mut payload: Payload, limit: usize) -> Result<Vec<u8>> {
    let too_large = || Error::new(Reason::TooLarge, format!("At most {limit} bytes are taken here."));
    let declared = request
        .headers()
        .get("content-length")
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if declared.is_some_and(|declared| declared > limit as u64) {
        return Err(too_large());
    }
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk =
            chunk.map_err(|cause| Error::invalid("body", "The body broke off.").caused_by(cause.to_string()))?;
        if body.len() + chunk.len() > limit {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

fn check_content_type<T: Message>(request: &HttpRequest) -> Result<()> {
    if request.content_type().eq_ignore_ascii_case(T::CONTENT_TYPE) {
        return Ok(());
    }
    Err(Error::invalid(
        "content-type",
        format!("This must be {}.", T::CONTENT_TYPE),
    ))
}

/// Header lines as they came, repeated ones kept apart: what was sent twice must be seen twice (T-16).
fn raw_headers(request: &HttpRequest) -> Vec<(String, Vec<u8>)> {
    request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()))
        .collect()
}
