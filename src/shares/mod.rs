//! Shares, in both roles: what our users share with people elsewhere, and what is shared with them.

pub mod access;
pub mod announce;
pub mod received;
pub mod sent;

use std::sync::Arc;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Homes;
use crate::keys::Keys;
use crate::ocm::address::Provider;
use crate::ocm::dialect::Notifications;
use crate::ocm::notification::NotificationType;
use crate::ocm::notification::OcmNotification;
use crate::ocm::share::ProviderId;
use crate::outbox::Cargo;
use crate::outbox::Delivery;
use crate::outbox::Outbox;
use crate::peers::Peer;
use crate::peers::Peers;
use crate::secret::Secret;
use crate::store::Store;
use crate::store::Txn;

pub use self::announce::NewShare;
pub use self::received::ReceivedShare;
pub use self::sent::SentShare;

/// The path below which shares are served; peers learn it from discovery.
pub const WEBDAV_PATH: &str = "/dav/ocm/";

/// The shares of this server.
#[derive(Clone)]
pub struct Shares {
    store: Store,
    peers: Peers,
    outbox: Outbox,
    homes: Homes,
    keys: Arc<Keys>,
    config: Arc<Config>,
}

impl Shares {
    pub fn new(config: Arc<Config>, store: Store, peers: Peers, outbox: Outbox, homes: Homes, keys: Arc<Keys>) -> Self {
        Self {
            store,
            peers,
            outbox,
            homes,
            keys,
            config,
        }
    }

    fn own(&self) -> &Provider {
        self.config.server.public_url.provider()
    }

    /// Takes an OCM Notification from the server that signed it (NOT-1 to NOT-4). What is not a share between that very
    /// server and us is the same to it as what does not exist (T-39).
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`]; [`Reason::Unsupported`] for a type that is not acted upon here.
    pub async fn notified(&self, signer: &Provider, notification: &OcmNotification) -> Result<()> {
        let kind = notification.kind;
        self.store
            .run(async |txn| {
                let sent = sent::shared_with(txn, notification.provider_id.as_str(), signer).await?;
                let received = received::shared_by(txn, signer, notification.provider_id.as_str()).await?;
                match (kind, sent, received) {
                    (NotificationType::ShareUnshared, _, Some(share)) => received::unshared(txn, share).await,
                    (NotificationType::ShareAccepted, Some(share), _) => sent::accepted(txn, share).await,
                    (NotificationType::ShareDeclined, Some(share), _) => sent::declined(txn, share).await,
                    (NotificationType::ShareUnshared, Some(share), None) => sent::left(txn, share).await,
                    (_, None, None) => Err(no_such_share()),
                    _ => Err(
                        Error::new(Reason::Unsupported, "This notification has no effect on this server.")
                            .in_field("notificationType"),
                    ),
                }
            })
            .await
    }
}

impl Shares {
    /// A notification about a share, with what this peer must find in it.
    pub async fn notification(&self, delivery: &Delivery, peer: &Peer) -> Result<Secret> {
        let body = delivery.body.clone().unwrap_or_else(|| Secret::new(""));
        if peer.dialect.notifications == Notifications::Plain {
            return Ok(body);
        }
        let about = self
            .store
            .read(async |txn| {
                let sent = txn.get::<SentShare>([&delivery.share]).await?;
                let received = txn.get::<ReceivedShare>([&delivery.share]).await?;
                let sent = sent.map(|share| (share.secret, share.share_with.identifier));
                Ok(sent.or(received.map(|share| (share.offer.shared_secret, share.user))))
            })
            .await?;
        let Some((secret, grantee)) = about else {
            return Ok(body);
        };
        let message = serde_json::from_str(body.expose()).map_err(Error::internal)?;
        let message = peer.dialect.notification(message, &secret, &grantee);
        Ok(Secret::new(message.to_string()))
    }

    /// The other party of the share that a notification is about, where the message holds that share's secret: the only
    /// proof that a server can give which signs nothing (INC-19).
    pub async fn claimed(&self, notification: &OcmNotification) -> Result<Option<Provider>> {
        let secret = notification.notification.as_ref().map(|inner| &inner["sharedSecret"]);
        let Some(secret) = secret.and_then(Value::as_str).filter(|secret| !secret.is_empty()) else {
            return Ok(None);
        };
        let (secret, id) = (Secret::new(secret), notification.provider_id.as_str());
        self.store
            .read(async |txn| {
                if let Some(share) = sent::by_secret(txn, &secret).await?.filter(|share| share.id == id) {
                    return Ok(Some(share.share_with.provider));
                }
                let received = received::by_secret(txn, &secret).await?;
                let named = received.into_iter().find(|share| share.provider_id == id);
                Ok(named.map(|share| share.sender.provider))
            })
            .await
    }
}

/// What is asked for is not there, or not this user's, or not between these two servers: nobody can tell which.
fn no_such_share() -> Error {
    Error::not_found("There is no such share.")
}

/// Puts a notification about a share on its way, in the commit that is its cause.
async fn notify(
    txn: &mut Txn,
    to: &Provider,
    kind: NotificationType,
    provider_id: &str,
    resource_type: &str,
    (share, user): (&str, &str),
    now: Timestamp,
) -> Result<()> {
    let notification = OcmNotification {
        kind,
        provider_id: ProviderId::new(provider_id)?,
        resource_type: Some(resource_type.to_owned()),
        notification: None,
    };
    let body = Secret::new(notification.to_json().to_string());
    let delivery = Delivery::new(to.clone(), Cargo::Notification, share, user, Some(body), now);
    txn.put(&delivery).await
}
