//! What our users ask people on other servers for: sent like a share, followed until they close it.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::contacts;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Discovery;
use crate::ocm::share_request::ShareRequest;
use crate::outbox;
use crate::outbox::Cargo;
use crate::outbox::Delivery;
use crate::outbox::Failure;
use crate::outbox::Progress;
use crate::peers;
use crate::peers::trust::Purpose;
use crate::random;
use crate::requests::MAX_OPEN;
use crate::requests::Requests;
use crate::requests::is_long_ago;
use crate::requests::received::no_such_request;
use crate::requests::same;
use crate::shares::ReceivedShare;
use crate::store::Index;
use crate::store::Key;
use crate::store::Listing;
use crate::store::Page;
use crate::store::Record;
use crate::store::Txn;
use crate::users::User;

/// Where a sent request stands. Whether it was granted is not said by the protocol; a share may just arrive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SentState {
    /// On its way.
    Waiting,
    /// The other server has it.
    Delivered,
    /// The other server will not have it, or can't be asked like this.
    Refused,
    /// Never delivered, and no longer tried.
    Failed,
    /// Closed by our user: answered, or no longer wanted.
    Closed,
}

/// One of our users wants something of somebody on another server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SentRequest {
    pub id: String,
    pub user: String,
    pub owner: OcmAddress,
    pub what: String,
    pub created: Timestamp,
    pub state: SentState,
    /// When the other server took it.
    pub delivered: Option<Timestamp>,
    pub last_error: Option<Failure>,
}

impl Record for SentRequest {
    const KIND: &'static str = "sent-request";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }

    fn index(&self) -> Vec<Index> {
        let mut index = vec![
            Index::new("user", Key::of([&self.user]).and(self.created)),
            Index::unique("same", same(&self.user, &self.owner, &self.what)),
        ];
        if self.is_open() {
            index.push(Index::new("open", [&self.user, &self.owner.to_string()]));
        }
        index
    }
}

impl SentRequest {
    /// Whether it may still lead to something.
    pub fn is_open(&self) -> bool {
        matches!(self.state, SentState::Waiting | SentState::Delivered)
    }

    /// Whether this share may be the answer: from the one who was asked, and after that.
    pub fn may_be_answered_by(&self, share: &ReceivedShare) -> bool {
        [&share.sender, &share.owner].contains(&&self.owner) && share.created >= self.created
    }

    /// Whether the same request now would say nothing new.
    fn is_said(&self, now: Timestamp) -> bool {
        match self.state {
            SentState::Waiting => true,
            SentState::Delivered => !is_long_ago(self.created, now),
            SentState::Refused | SentState::Failed | SentState::Closed => false,
        }
    }
}

impl Requests {
    /// Asks `owner` to share `what`: the request and its delivery are one commit. The same one again is the same request,
    /// sent anew only if it led to nothing.
    ///
    /// The other server is looked up first. One that can't be reached just now gets the request later; one that can't
    /// take it at all is an error here, and nothing is kept.
    ///
    /// # Errors
    ///
    /// [`Reason::Invalid`] naming `owner` or `what`; [`Reason::WeRefuseThem`]; [`Reason::NotAllowed`] for somebody who is
    /// no contact, where only contacts may be asked; [`Reason::TheyCannotTakeThis`] for a server that does not sign
    /// (REQ-0); [`Reason::Conflict`] for one open request too many.
    pub async fn send(&self, user: &User, owner: OcmAddress, what: &str, now: Timestamp) -> Result<SentRequest> {
        let message = self
            .message(&user.name, owner, what)
            .map_err(|error| match error.field() {
                Some("share") => error.in_field("what"),
                _ => error,
            })?;
        let (owner, what) = (message.owner, message.share);
        let host = &owner.provider;
        let decision = self.peers.permit(host, Purpose::Federate).await?;
        if decision.contacts_only() {
            self.check_contact(&user.name, &owner).await?;
        }
        // Nobody waits for the other server here; what is not known yet comes out when the request is delivered.
        let last_error = match self.peers.last_known(host, Purpose::Federate).await {
            Ok(Some(peer)) => check_signs(host, &peer).map(|()| None)?,
            Ok(None) => None,
            Err(error) if peers::worth_retrying(&error) => Some(Failure::new(&error, now)),
            Err(error) => return Err(error),
        };
        let id = random::number();
        let request = self
            .store
            .run(async |txn| {
                let same = same(&user.name, &owner, &what);
                let known = txn.find_one::<SentRequest>("same", same).await?;
                if let Some(known) = known.as_ref().filter(|known| known.is_said(now)) {
                    return Ok(known.clone());
                }
                if !known.as_ref().is_some_and(SentRequest::is_open) {
                    check_room(txn, &user.name, &owner).await?;
                }
                let id = known.map_or_else(|| id.clone(), |known| known.id);
                let request = SentRequest {
                    id: id.clone(),
                    user: user.name.clone(),
                    owner: owner.clone(),
                    what: what.clone(),
                    created: now,
                    state: SentState::Waiting,
                    delivered: None,
                    last_error: last_error.clone(),
                };
                txn.put(&request).await?;
                // What was given up before is left behind.
                drop_deliveries(txn, &id).await?;
                let delivery = Delivery::new(owner.provider.clone(), Cargo::Request, &id, &user.name, None, now);
                txn.put(&delivery).await?;
                Ok(request)
            })
            .await?;
        self.outbox.nudge();
        Ok(request)
    }

    fn message(&self, user: &str, owner: OcmAddress, what: &str) -> Result<ShareRequest> {
        let share_with = OcmAddress::new(user, self.own().clone())?;
        Ok(ShareRequest::new(owner, share_with, what)?)
    }

    async fn check_contact(&self, user: &str, owner: &OcmAddress) -> Result<()> {
        let known = self
            .store
            .read(async |txn| contacts::get(txn, user, owner).await)
            .await?;
        if known.is_some() {
            return Ok(());
        }
        let why = format!("{owner} is not one of your contacts. Invite them first, or ask them in another way.");
        Err(Error::new(Reason::NotAllowed, why).in_field("owner"))
    }

    pub async fn sent(&self, user: &str, page: &Page) -> Result<Listing<SentRequest>> {
        self.store
            .read(async |txn| txn.find::<SentRequest>("user", [user], page).await)
            .await
    }

    /// A request of this user, and what of it is still in the queue.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`], also for somebody else's.
    pub async fn sent_request(&self, user: &str, id: &str) -> Result<(SentRequest, Vec<Delivery>)> {
        self.store
            .read(async |txn| Ok((own(txn, user, id).await?, outbox::about(txn, id).await?)))
            .await
    }

    /// Closes a request: it is not sent any more. Whoever got it is not told, since the protocol has no message for that.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`].
    pub async fn close(&self, user: &str, id: &str) -> Result<SentRequest> {
        self.store
            .run(async |txn| {
                let mut request = own(txn, user, id).await?;
                drop_deliveries(txn, id).await?;
                request.state = SentState::Closed;
                txn.put(&request).await?;
                Ok(request)
            })
            .await
    }

    /// The message that a delivery carries to `peer`; none once there is nothing to ask any more.
    ///
    /// # Errors
    ///
    /// [`Reason::TheyCannotTakeThis`] for a peer that does not sign (REQ-0).
    pub async fn to_send(&self, delivery: &Delivery, peer: &Discovery) -> Result<Option<ShareRequest>> {
        let request = self
            .store
            .read(async |txn| txn.get::<SentRequest>([&delivery.share]).await)
            .await?;
        let Some(request) = request.filter(|request| request.state != SentState::Closed) else {
            return Ok(None);
        };
        check_signs(&delivery.to, peer)?;
        self.message(&request.user, request.owner, &request.what).map(Some)
    }
}

/// Requests go only where messages are signed, by us and by them: nobody else could tell who asks (REQ-0).
fn check_signs(host: &Provider, peer: &Discovery) -> Result<()> {
    if peer.has(Capability::HttpSig) {
        return Ok(());
    }
    let why = format!("{host} does not sign its messages, so no request can be sent there. Ask the person themselves.");
    Err(Error::new(Reason::TheyCannotTakeThis, why))
}

/// What a peer's status and complaint mean, for an answer to a request that is not a success.
pub fn refused_by(host: &Provider, status: u16, complaint: Option<String>, retry_after: Option<Duration>) -> Error {
    match status {
        // Most servers do not have this part of the protocol.
        404 | 405 | 410 | 501 => Error::new(
            Reason::TheyCannotTakeThis,
            format!(
                "{host} takes no such request ({status}): it does not know the person, or nothing of requests. \
                 Ask the person themselves."
            ),
        ),
        _ => peers::refused_by(host, status, complaint, retry_after),
    }
}

/// A delivery arrived: its request says so in the commit that takes it out of the queue. Deliveries of anything else are
/// no matter here.
pub async fn delivered(txn: &mut Txn, delivery: &Delivery, now: Timestamp) -> Result<()> {
    let Some(mut request) = carried_by(txn, delivery).await? else {
        return Ok(());
    };
    request.state = SentState::Delivered;
    request.delivered = Some(now);
    request.last_error = None;
    txn.put(&request).await
}

/// A try failed, and its delivery was noted in this commit: the request says so too, unless it is no longer waited for.
pub async fn failed(txn: &mut Txn, delivery: &Delivery, for_good: bool) -> Result<()> {
    if txn.get::<Delivery>([&delivery.id]).await?.is_none() {
        return Ok(());
    }
    let Some(mut request) = carried_by(txn, delivery).await? else {
        return Ok(());
    };
    request.last_error.clone_from(&delivery.last_error);
    if delivery.progress == Progress::GivenUp && request.state == SentState::Waiting {
        request.state = if for_good {
            SentState::Refused
        } else {
            SentState::Failed
        };
    }
    txn.put(&request).await
}

async fn carried_by(txn: &mut Txn, delivery: &Delivery) -> Result<Option<SentRequest>> {
    if delivery.cargo != Cargo::Request {
        return Ok(None);
    }
    let request = txn.get::<SentRequest>([&delivery.share]).await?;
    Ok(request.filter(|request| request.state != SentState::Closed))
}

async fn drop_deliveries(txn: &mut Txn, id: &str) -> Result<()> {
    for delivery in outbox::about(txn, id).await? {
        outbox::drop(txn, &delivery.id).await?;
    }
    Ok(())
}

async fn own(txn: &mut Txn, user: &str, id: &str) -> Result<SentRequest> {
    txn.get::<SentRequest>([id])
        .await?
        .filter(|request| request.user == user)
        .ok_or_else(no_such_request)
}

async fn check_room(txn: &mut Txn, user: &str, owner: &OcmAddress) -> Result<()> {
    let whose = [user, &owner.to_string()];
    let open = txn
        .find::<SentRequest>("open", whose, &Page::first(MAX_OPEN))
        .await?
        .items
        .len();
    if open < MAX_OPEN {
        return Ok(());
    }
    let why = format!("{MAX_OPEN} requests of yours to {owner} are open already. Close some of them first.");
    Err(Error::new(Reason::Conflict, why))
}
