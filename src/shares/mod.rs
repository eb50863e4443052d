//! Shares, in both roles: what our users share with people elsewhere, and what is shared with them.

pub mod access;
pub mod announce;
pub mod legacy;
mod parting;
pub mod received;
pub mod sent;

use std::sync::Arc;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Homes;
use crate::keys::Keys;
use crate::notify::Notices;
use crate::ocm::address::Provider;
use crate::ocm::notification::NotificationType;
use crate::ocm::notification::OcmNotification;
use crate::ocm::share::ProviderId;
use crate::outbox::Cargo;
use crate::outbox::Delivery;
use crate::outbox::Outbox;
use crate::peers::Peers;
use crate::secret::Secret;
use crate::store::Store;
use crate::store::Txn;

pub use self::announce::NewShare;
pub use self::announce::ReadyShare;
pub use self::parting::Parting;
pub use self::received::ReceivedShare;
pub use self::sent::SentShare;

/// The path below which shares are served; peers learn it from discovery.
pub const WEBDAV_PATH: &str = "/dav/ocm/";

/// The same again where Nextcloud and ownCloud look when they could not ask.
pub const LEGACY_WEBDAV_PATH: &str = "/public.php/webdav/";

/// The shares of this server.
#[derive(Clone)]
pub struct Shares {
    store: Store,
    peers: Peers,
    outbox: Outbox,
    homes: Homes,
    notices: Notices,
    keys: Arc<Keys>,
    config: Arc<Config>,
    guesses: legacy::Guesses,
}

impl Shares {
    pub fn new(
        config: Arc<Config>,
        store: Store,
        peers: Peers,
        outbox: Outbox,
        (homes, notices): (Homes, Notices),
        keys: Arc<Keys>,
    ) -> Self {
        Self {
            store,
            peers,
            outbox,
            homes,
            notices,
            keys,
            config,
            guesses: legacy::Guesses::default(),
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
