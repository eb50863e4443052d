//! What our users share with people on other servers: the role of the Sending Server.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::TreePath;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::notification::NotificationType;
use crate::ocm::share::Permissions;
use crate::outbox;
use crate::outbox::Cargo;
use crate::outbox::Delivery;
use crate::outbox::Failure;
use crate::outbox::Progress;
use crate::secret::Secret;
use crate::secret::hash_of;
use crate::shares::Shares;
use crate::shares::no_such_share;
use crate::shares::notify;
use crate::store::Index;
use crate::store::Key;
use crate::store::Listing;
use crate::store::Page;
use crate::store::Record;
use crate::store::Txn;

/// Where a sent share stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SentState {
    /// On its way, or announced and not decided upon yet.
    Pending,
    Accepted,
    Declined,
    /// The other server will not have it.
    Refused,
    /// Never delivered, and no longer tried.
    Failed,
    /// Ended by our user.
    Stopped,
    /// Ended by the one it was shared with.
    Left,
}

/// A file or folder of one of our users, shared with somebody on another server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SentShare {
    /// The `providerId`, which is the share's name on both servers (SHR-4).
    pub id: String,
    pub user: String,
    pub path: TreePath,
    pub folder: bool,
    pub name: String,
    pub share_with: OcmAddress,
    pub permissions: Permissions,
    pub secret: Secret,
    /// Whether the secret only buys tokens and opens nothing itself (`must-exchange-token`, SHR-2).
    pub strict: bool,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
    pub state: SentState,
    /// Whether an announcement was ever sent: it may have arrived, even if no answer did (T-79).
    #[serde(default)]
    pub tried: bool,
    /// When the other server said that it has it.
    pub announced: Option<Timestamp>,
    pub last_error: Option<Failure>,
    /// Came back with a backup, and may have been stopped since that was made: nobody gets at it until an admin says so
    /// (T-86).
    #[serde(default)]
    pub held: bool,
}

impl Record for SentShare {
    const KIND: &'static str = "sent-share";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }

    fn index(&self) -> Vec<Index> {
        let mut index = vec![
            Index::new("user", Key::of([&self.user]).and(self.created)),
            Index::unique("secret", [hash_of(self.secret.expose())]),
        ];
        if self.held {
            index.push(Index::new("held", ["yes"]));
        }
        index
    }
}

impl SentShare {
    pub fn resource_type(&self) -> &'static str {
        if self.folder { "folder" } else { "file" }
    }

    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }

    /// Whether the one it is shared with may get at it now (NOT-5, T-42).
    pub fn open(&self, now: Timestamp) -> bool {
        self.in_force(now) && !self.held
    }

    /// The same, whether or not it waits for an admin after a restore.
    pub fn in_force(&self, now: Timestamp) -> bool {
        matches!(self.state, SentState::Pending | SentState::Accepted) && !self.expired(now)
    }

    /// Holds it, if it could be opened, now, once its server has answered, or by a clock that says another time; says
    /// whether.
    pub fn hold(&mut self) -> bool {
        let over = matches!(self.state, SentState::Stopped | SentState::Left | SentState::Declined);
        self.held = !over;
        self.held
    }

    pub(super) fn is_to_be_announced(&self, now: Timestamp) -> bool {
        !matches!(self.state, SentState::Stopped | SentState::Left) && !self.expired(now)
    }
}

impl Shares {
    pub async fn sent(&self, user: &str, page: &Page) -> Result<Listing<SentShare>> {
        self.store
            .read(async |txn| txn.find::<SentShare>("user", [user], page).await)
            .await
    }

    /// A share of this user, and what of it is still in the queue.
    pub async fn sent_share(&self, user: &str, id: &str) -> Result<(SentShare, Vec<Delivery>)> {
        self.store
            .read(async |txn| Ok((own(txn, user, id).await?, outbox::about(txn, id).await?)))
            .await
    }

    /// Ends a share: access is over when this returns. The other server is told, unless it never heard of it.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`]; [`Reason::Conflict`] if it has ended already.
    pub async fn stop(&self, user: &str, id: &str, now: Timestamp) -> Result<SentShare> {
        let share = self
            .store
            .run(async |txn| {
                let mut share = own(txn, user, id).await?;
                if share.state == SentState::Stopped {
                    return Err(Error::new(Reason::Conflict, "This share was stopped already."));
                }
                for delivery in outbox::about(txn, id).await? {
                    outbox::drop(txn, &delivery.id).await?;
                }
                share.state = SentState::Stopped;
                share.held = false;
                txn.put(&share).await?;
                if share.tried {
                    let kind = NotificationType::ShareUnshared;
                    let to = &share.share_with.provider;
                    notify(txn, to, kind, id, share.resource_type(), (id, user), now).await?;
                }
                Ok(share)
            })
            .await?;
        self.outbox.nudge();
        Ok(share)
    }

    /// What is held since a restore, of all users.
    pub async fn held(&self, page: &Page) -> Result<Listing<SentShare>> {
        self.store
            .read(async |txn| txn.find::<SentShare>("held", ["yes"], page).await)
            .await
    }

    /// Lets a share that is held go on, and what is on its way about it. One that is not held stays as it is.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`].
    pub async fn release(&self, id: &str, now: Timestamp) -> Result<SentShare> {
        let share = self
            .store
            .run(async |txn| {
                let mut share = txn.get::<SentShare>([id]).await?.ok_or_else(no_such_share)?;
                share.held = false;
                txn.put(&share).await?;
                for delivery in outbox::about(txn, id).await? {
                    outbox::release(txn, delivery, now).await?;
                }
                Ok(share)
            })
            .await?;
        self.outbox.nudge();
        Ok(share)
    }

    /// The shares of what lies at `path` or below it that somebody may still get at, or may again.
    pub async fn open_below(&self, user: &str, path: &TreePath, now: Timestamp) -> Result<Vec<SentShare>> {
        let mut open = Vec::new();
        let mut page = Page::first(500);
        loop {
            let some = self.sent(user, &page).await?;
            let below = |share: &SentShare| share.in_force(now) && share.path.is_within(path);
            open.extend(some.items.into_iter().filter(below));
            match some.next {
                Some(next) => page = Page::after(next, 500),
                None => return Ok(open),
            }
        }
    }

    /// Lets every share of what lay at `from` or below it go on where it is now, at `to`: for when it was moved.
    pub async fn moved(&self, user: &str, from: &TreePath, to: &TreePath) -> Result<()> {
        let mut page = Page::first(100);
        loop {
            let next = self
                .store
                .run(async |txn| {
                    let some = txn.find::<SentShare>("user", [user], &page).await?;
                    for mut share in some.items {
                        let Some(rest) = share.path.below(from) else {
                            continue;
                        };
                        // Only one that is over can lie too deep: it was looked at before.
                        if let Ok(path) = to.descend(&rest) {
                            share.path = path;
                            txn.put(&share).await?;
                        }
                    }
                    Ok(some.next)
                })
                .await?;
            match next {
                Some(next) => page = Page::after(next, 100),
                None => return Ok(()),
            }
        }
    }

    /// Ends every share of what lies at `path` or below it: for when it is removed, so that what comes to stand in its
    /// place later is not shared by accident.
    pub async fn stop_below(&self, user: &str, path: &TreePath, now: Timestamp) -> Result<()> {
        let mut page = Page::first(500);
        loop {
            let some = self.sent(user, &page).await?;
            for share in some.items {
                let ends = matches!(share.state, SentState::Stopped | SentState::Left | SentState::Declined);
                if !ends && share.path.is_within(path) {
                    self.stop(user, &share.id, now).await?;
                }
            }
            match some.next {
                Some(next) => page = Page::after(next, 500),
                None => return Ok(()),
            }
        }
    }
}

/// A delivery arrived: it leaves the queue in the commit that notes it on its share. Whoever stopped the share meanwhile
/// has seen to it that it is taken back.
pub async fn delivered(txn: &mut Txn, delivery: &Delivery, now: Timestamp) -> Result<()> {
    outbox::drop(txn, &delivery.id).await?;
    let Some(mut share) = txn.get::<SentShare>([&delivery.share]).await? else {
        return Ok(());
    };
    if delivery.cargo != Cargo::Share {
        return Ok(());
    }
    if share.state == SentState::Stopped || share.expired(now) {
        return Ok(());
    }
    share.announced = share.announced.or(Some(now));
    share.last_error = None;
    if matches!(share.state, SentState::Refused | SentState::Failed) {
        share.state = SentState::Pending;
    }
    txn.put(&share).await
}

/// A try failed: delivery and share say so together. Gives the share that has failed by it.
pub async fn failed(txn: &mut Txn, delivery: &Delivery, for_good: bool) -> Result<Option<SentShare>> {
    // Dropped meanwhile: then nobody waits for it any more.
    if txn.get::<Delivery>([&delivery.id]).await?.is_none() {
        return Ok(None);
    }
    txn.put(delivery).await?;
    if delivery.cargo != Cargo::Share {
        return Ok(None);
    }
    let Some(mut share) = txn.get::<SentShare>([&delivery.share]).await? else {
        return Ok(None);
    };
    share.last_error.clone_from(&delivery.last_error);
    let has_failed = delivery.progress == Progress::GivenUp && share.state == SentState::Pending;
    if has_failed {
        share.state = if for_good {
            SentState::Refused
        } else {
            SentState::Failed
        };
    }
    txn.put(&share).await?;
    Ok(Some(share).filter(|_| has_failed))
}

/// The share with this `providerId`, if it is one with somebody at `receiver`.
pub(super) async fn shared_with(txn: &mut Txn, provider_id: &str, receiver: &Provider) -> Result<Option<SentShare>> {
    let share = txn.get::<SentShare>([provider_id]).await?;
    Ok(share.filter(|share| share.share_with.provider == *receiver))
}

/// The share that this secret was made for.
pub(super) async fn by_secret(txn: &mut Txn, secret: &Secret) -> Result<Option<SentShare>> {
    if secret.is_empty() {
        return Ok(None);
    }
    txn.find_one::<SentShare>("secret", [hash_of(secret.expose())]).await
}

pub(super) async fn accepted(txn: &mut Txn, mut share: SentShare) -> Result<()> {
    // Whoever accepts has it, whatever we made of the answer to our announcement.
    if !matches!(share.state, SentState::Pending | SentState::Refused | SentState::Failed) {
        return Ok(());
    }
    share.state = SentState::Accepted;
    txn.put(&share).await
}

pub(super) async fn declined(txn: &mut Txn, mut share: SentShare) -> Result<()> {
    if !matches!(share.state, SentState::Pending | SentState::Accepted) {
        return Ok(());
    }
    share.state = SentState::Declined;
    txn.put(&share).await
}

/// The receiver gave it back: after an acceptance they left it, before one it is as good as declined (NOT-3).
pub(super) async fn left(txn: &mut Txn, mut share: SentShare) -> Result<()> {
    share.state = match share.state {
        SentState::Pending => SentState::Declined,
        SentState::Accepted => SentState::Left,
        ended => ended,
    };
    txn.put(&share).await
}

async fn own(txn: &mut Txn, user: &str, id: &str) -> Result<SentShare> {
    txn.get::<SentShare>([id])
        .await?
        .filter(|share| share.user == user)
        .ok_or_else(|| no_such_share().in_field("id"))
}
