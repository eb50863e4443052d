//! What deployed servers ask and say about a share with its secret in place of a signature: Nextcloud and ownCloud, when
//! WebDAV failed them or a notification did.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use serde_json::Value;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::dialect::Notifications;
use crate::ocm::notification::NotificationType;
use crate::ocm::notification::OcmNotification;
use crate::ocm::share::ProviderId;
use crate::outbox::Delivery;
use crate::peers::Peer;
use crate::peers::trust::Purpose;
use crate::secret::Secret;
use crate::shares::Shares;
use crate::shares::access::nothing_opened;
use crate::shares::no_such_share;
use crate::shares::received;
use crate::shares::received::ReceivedShare;
use crate::shares::sent;
use crate::shares::sent::SentShare;
use crate::store::Txn;

/// How many wrong secrets are answered in [`WINDOW`], of all askers together. Who asks for a share that is there is never
/// in the way of others or they in theirs.
const MOST_GUESSES: u32 = 120;
const WINDOW: Duration = Duration::from_secs(60);

/// Since when, and how many secrets were wrong since.
pub(super) type Guesses = Arc<Mutex<(Timestamp, u32)>>;

/// One of the shares that a `providerId` and a secret together name.
enum Told {
    Sent(SentShare),
    Received(ReceivedShare),
}

impl Shares {
    /// Whether the share that this secret is for is still there. A peer that is told no deletes it for good, so no is said
    /// only of what has ended or never was. None is a share that is there for who exchanges the secret for a token (ACC-4).
    ///
    /// # Errors
    ///
    /// [`Reason::SecretWrong`] for no; [`Reason::Busy`] after too many of these, and whatever else is no answer.
    pub async fn probe(&self, secret: &Secret, now: Timestamp) -> Result<Option<SentShare>> {
        match self.live(secret, now).await? {
            Some(live) => Ok(live.readable.then_some(live.share)),
            None => Err(self.count_guess(now)),
        }
    }

    /// Takes an acceptance, a refusal or an end of a share from whoever knows its secret, as [`notified`](Self::notified)
    /// does with a signature. Only from servers that don't sign, about shares that their secret opens: of others the
    /// secret is worth nothing by itself. Told again, it has no effect.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`] for everything that is not so, so that nobody can tell which; and where there is doubt.
    pub async fn told(&self, kind: NotificationType, id: &str, secret: &Secret) -> Result<()> {
        let id = ProviderId::new(id).map_err(|_| no_such_share())?;
        let peer = self
            .store
            .read(async |txn| Ok(named(txn, kind, &id, secret).await?.map(|told| told.peer())))
            .await?
            .ok_or_else(|| self.sure_of_nothing().err().unwrap_or_else(no_such_share))?;
        self.peers
            .admit_unsigned(&peer, Purpose::Federate)
            .await
            .map_err(|error| match error.kind() {
                Kind::Busy | Kind::Operator | Kind::Internal => error,
                _ => no_such_share().caused_by(error),
            })?;
        self.store
            .run(async |txn| match (kind, named(txn, kind, &id, secret).await?) {
                (_, None) => Err(no_such_share()),
                (NotificationType::ShareAccepted, Some(Told::Sent(share))) => sent::accepted(txn, share).await,
                (NotificationType::ShareDeclined, Some(Told::Sent(share))) => sent::declined(txn, share).await,
                (_, Some(Told::Sent(share))) => sent::left(txn, share).await,
                (_, Some(Told::Received(share))) => received::unshared(txn, share).await,
            })
            .await
    }

    /// The other party of the share that a notification is about, where the message holds that share's secret: the only
    /// proof that a server can give which signs nothing (INC-19).
    pub async fn claimed(&self, notification: &OcmNotification) -> Result<Option<Provider>> {
        let secret = notification.notification.as_ref().map(|inner| &inner["sharedSecret"]);
        let Some(secret) = secret.and_then(Value::as_str).filter(|secret| !secret.is_empty()) else {
            return Ok(None);
        };
        let (secret, id) = (Secret::new(secret), &notification.provider_id);
        // The end of a share is what may come from either side.
        let told = self
            .store
            .read(async |txn| named(txn, NotificationType::ShareUnshared, id, &secret).await)
            .await?;
        Ok(told.map(|told| told.peer()))
    }

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
                let sent = sent.map(|share| (false, share.secret, share.share_with));
                let here = |user: &str| OcmAddress::new(user, self.own().clone());
                Ok(match (sent, received) {
                    (None, Some(share)) => Some((true, share.offer.shared_secret, here(&share.user)?)),
                    (sent, _) => sent,
                })
            })
            .await?;
        let Some((received, secret, grantee)) = about else {
            return Ok(body);
        };
        let message = serde_json::from_str(body.expose()).map_err(Error::internal)?;
        let message = peer.dialect.notification(message, received, &secret, &grantee);
        Ok(Secret::new(message.to_string()))
    }

    fn count_guess(&self, now: Timestamp) -> Error {
        let mut guesses = self.guesses.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, number) = &mut *guesses;
        if now < *since || now >= since.plus(WINDOW) {
            (*since, *number) = (now, 0);
        }
        *number = number.saturating_add(1);
        if *number <= MOST_GUESSES {
            return nothing_opened();
        }
        Error::new(Reason::Busy, "Too many ask for what is not there; try again later.")
            .retry_after(Some(now.until(since.plus(WINDOW))))
    }
}

impl Told {
    fn peer(&self) -> Provider {
        match self {
            Self::Sent(share) => share.share_with.provider.clone(),
            Self::Received(share) => share.sender.provider.clone(),
        }
    }
}

/// The share that both name, if its secret is more than something to exchange. Only an end can come from either side.
async fn named(txn: &mut Txn, kind: NotificationType, id: &ProviderId, secret: &Secret) -> Result<Option<Told>> {
    let sent = sent::by_secret(txn, secret).await?;
    if let Some(share) = sent.filter(|share| share.id == id.as_str()) {
        return Ok((!share.strict).then_some(Told::Sent(share)));
    }
    if kind != NotificationType::ShareUnshared {
        return Ok(None);
    }
    let received = received::by_secret(txn, id.as_str(), secret).await?;
    let received = received.filter(|share| !share.offer.requirements.must_exchange_token);
    Ok(received.map(Told::Received))
}
