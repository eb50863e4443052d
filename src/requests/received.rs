//! What people on other servers ask our users for: the owner's inbox, and the share that answers a request.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::contacts;
use crate::contacts::Contact;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::share_request::ShareRequest;
use crate::peers::trust::Purpose;
use crate::random;
use crate::requests::MAX_OPEN;
use crate::requests::Requests;
use crate::requests::is_long_ago;
use crate::requests::same;
use crate::shares::NewShare;
use crate::shares::SentShare;
use crate::store::Index;
use crate::store::Key;
use crate::store::Listing;
use crate::store::Page;
use crate::store::Record;
use crate::store::Txn;
use crate::users::User;

/// How many undecided requests of one server wait for one of our users: it can make up as many askers as it likes (T-37).
const MAX_OPEN_OF_SERVER: usize = 200;
/// How many undecided requests wait for one of our users, whoever asks (T-37).
const MAX_OPEN_FOR_OWNER: usize = 500;
/// After what time a server that asks too much may try again.
const COME_BACK: Duration = Duration::from_secs(3600);

/// Where a received request stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ReceivedState {
    Open,
    /// Answered with the share of this id.
    Granted {
        share: String,
        at: Timestamp,
    },
    /// Put aside. The protocol has no message for that, so the asker is not told.
    Declined {
        at: Timestamp,
    },
}

impl ReceivedState {
    /// The word for it.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Granted { .. } => "granted",
            Self::Declined { .. } => "declined",
        }
    }

    /// When it was decided upon.
    pub fn decided(&self) -> Option<Timestamp> {
        match self {
            Self::Open => None,
            Self::Granted { at, .. } | Self::Declined { at } => Some(*at),
        }
    }

    /// The share that it was answered with.
    pub fn share(&self) -> Option<&str> {
        match self {
            Self::Granted { share, .. } => Some(share),
            Self::Open | Self::Declined { .. } => None,
        }
    }
}

/// Somebody on another server wants something of one of our users.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReceivedRequest {
    pub id: String,
    pub user: String,
    pub from: OcmAddress,
    /// As the asker wrote it: an id, a URL, a path, or just words. Shown, never followed.
    pub what: String,
    pub created: Timestamp,
    pub state: ReceivedState,
}

impl Record for ReceivedRequest {
    const KIND: &'static str = "received-request";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }

    fn index(&self) -> Vec<Index> {
        let mut index = vec![
            Index::new("user", Key::of([&self.user]).and(self.created)),
            Index::unique("same", same(&self.user, &self.from, &self.what)),
        ];
        if self.is_open() {
            index.push(Index::new("open", asker(&self.user, &self.from)));
        }
        index
    }
}

/// Begins with the owner, then the server, so that each of them can be counted.
fn asker(user: &str, from: &OcmAddress) -> Key {
    Key::of([user, &from.provider.to_string(), &from.identifier])
}

impl ReceivedRequest {
    pub fn is_open(&self) -> bool {
        self.state == ReceivedState::Open
    }

    /// Whether the same request now would be a new one: long after it was decided upon.
    fn may_come_again(&self, now: Timestamp) -> bool {
        self.state.decided().is_some_and(|at| is_long_ago(at, now))
    }
}

impl Requests {
    /// Takes a request for a share that `signer` signed (REQ-0, REQ-1). The same one again is the same request, and a
    /// decision upon it stands. Whether what is asked for exists is not looked at: the answer could tell.
    ///
    /// From protocol 1.5 on a request comes as a notification, which is to end here too (INC-32).
    ///
    /// # Errors
    ///
    /// [`Reason::SignerMismatch`]; [`Reason::WeRefuseThem`]; [`Reason::SenderNotTrusted`] before anything is said of who
    /// lives here (T-36); [`Reason::NotFound`] for an owner that is not here; [`Reason::Busy`] for one request too many
    /// (T-37).
    pub async fn receive(&self, signer: &Provider, request: &ShareRequest, now: Timestamp) -> Result<ReceivedRequest> {
        let from = &request.share_with;
        if from.provider != *signer {
            return Err(Error::new(
                Reason::SignerMismatch,
                "The server that signed is not the one of whoever wants the share.",
            ));
        }
        let decision = self.peers.permit(signer, Purpose::Federate).await?;
        let contacts_only = decision.contacts_only();
        let name = request.owner.identifier.to_lowercase();
        let elsewhere = request.owner.provider != *self.own();
        let id = random::number();
        self.store
            .run(async |txn| {
                let contact = contacts::get(txn, &name, from).await?;
                // Who is blocked is told what a stranger is told.
                if contact.as_ref().map_or(contacts_only, Contact::is_blocked) {
                    return Err(Error::new(
                        Reason::SenderNotTrusted,
                        "This server takes requests only between people who have traded an invite.",
                    )
                    .in_field("shareWith"));
                }
                let user = txn.get::<User>([&name]).await?;
                let Some(user) = user.filter(|_| !elsewhere) else {
                    return Err(Error::not_found("There is no such person on this server.").in_field("owner"));
                };
                let same = same(&user.name, from, &request.share);
                let known = txn.find_one::<ReceivedRequest>("same", same).await?;
                if let Some(known) = known.as_ref().filter(|known| !known.may_come_again(now)) {
                    return Ok(known.clone());
                }
                check_room(txn, &user.name, from).await?;
                let request = ReceivedRequest {
                    id: known.map_or_else(|| id.clone(), |known| known.id),
                    user: user.name,
                    from: from.clone(),
                    what: request.share.clone(),
                    created: now,
                    state: ReceivedState::Open,
                };
                txn.put(&request).await?;
                Ok(request)
            })
            .await
    }

    pub async fn received(&self, user: &str, page: &Page) -> Result<Listing<ReceivedRequest>> {
        self.store
            .read(async |txn| txn.find::<ReceivedRequest>("user", [user], page).await)
            .await
    }

    /// A request that this user got.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`], also for somebody else's.
    pub async fn received_request(&self, user: &str, id: &str) -> Result<ReceivedRequest> {
        self.store.read(async |txn| own(txn, user, id).await).await
    }

    /// How many requests wait for this user's decision.
    pub async fn waiting(&self, user: &str) -> Result<usize> {
        self.store
            .read(async |txn| open(txn, Key::of([user]), MAX_OPEN_FOR_OWNER).await)
            .await
    }

    /// Answers a request with a share. Both are one commit: a request is granted once, and never without its share. One
    /// that was declined may still be granted, since nobody was told.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`]; [`Reason::Conflict`] if it was granted before; [`Reason::Invalid`] for a share with anybody
    /// but the asker; else as [`Shares::create`](crate::shares::Shares::create).
    pub async fn grant(&self, user: &User, id: &str, new: NewShare, now: Timestamp) -> Result<SentShare> {
        let request = self.received_request(&user.name, id).await?;
        check_not_granted(&request)?;
        if new.to != request.from {
            return Err(Error::invalid(
                "to",
                format!("This request is one of {}.", request.from),
            ));
        }
        self.shares
            .create_and(user, new, now, async |txn, share| {
                let mut request = own(txn, &user.name, id).await?;
                check_not_granted(&request)?;
                request.state = ReceivedState::Granted {
                    share: share.id.clone(),
                    at: now,
                };
                txn.put(&request).await
            })
            .await
    }

    /// Puts a request aside. Nothing is sent.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`]; [`Reason::Conflict`] if it was granted before.
    pub async fn decline(&self, user: &str, id: &str, now: Timestamp) -> Result<ReceivedRequest> {
        self.store
            .run(async |txn| {
                let mut request = own(txn, user, id).await?;
                check_not_granted(&request)?;
                if request.is_open() {
                    request.state = ReceivedState::Declined { at: now };
                    txn.put(&request).await?;
                }
                Ok(request)
            })
            .await
    }
}

fn check_not_granted(request: &ReceivedRequest) -> Result<()> {
    if request.state.share().is_none() {
        return Ok(());
    }
    let why = "This request was answered with a share already. Stop that share if it should end.";
    Err(Error::new(Reason::Conflict, why))
}

async fn own(txn: &mut Txn, user: &str, id: &str) -> Result<ReceivedRequest> {
    txn.get::<ReceivedRequest>([id])
        .await?
        .filter(|request| request.user == user)
        .ok_or_else(no_such_request)
}

pub(super) fn no_such_request() -> Error {
    Error::not_found("There is no such request.").in_field("id")
}

async fn check_room(txn: &mut Txn, user: &str, from: &OcmAddress) -> Result<()> {
    let server = from.provider.to_string();
    for (whose, most) in [
        (asker(user, from), MAX_OPEN),
        (Key::of([user, &server]), MAX_OPEN_OF_SERVER),
        (Key::of([user]), MAX_OPEN_FOR_OWNER),
    ] {
        if open(txn, whose, most).await? >= most {
            let why = "Too many requests wait for a decision of this person; try again later.";
            return Err(Error::new(Reason::Busy, why).retry_after(Some(COME_BACK)));
        }
    }
    Ok(())
}

/// How many open requests there are of these askers, counted no further than `most`.
async fn open(txn: &mut Txn, whose: Key, most: usize) -> Result<usize> {
    let page = Page::first(most);
    Ok(txn.find::<ReceivedRequest>("open", whose, &page).await?.items.len())
}
