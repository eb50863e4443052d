//! What our users share with people on other servers: the role of the Sending Server.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::TreePath;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Criterion;
use crate::ocm::discovery::Discovery;
use crate::ocm::notification::NotificationType;
use crate::ocm::share::OtherProtocols;
use crate::ocm::share::Permissions;
use crate::ocm::share::ProviderId;
use crate::ocm::share::Requirements;
use crate::ocm::share::ResourceType;
use crate::ocm::share::ShareCreationNotification;
use crate::ocm::share::ShareType;
use crate::ocm::share::WebdavOffer;
use crate::ocm::share::WebdavUri;
use crate::outbox;
use crate::outbox::Cargo;
use crate::outbox::Delivery;
use crate::outbox::Failure;
use crate::outbox::Progress;
use crate::peers;
use crate::peers::trust::Purpose;
use crate::random;
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
use crate::users::User;

/// 256 bits, in letters and digits: deployed servers keep at most 64 of them and split at `:`.
const SECRET_LENGTH: usize = 43;
/// How long someone who shares waits for the other server to be looked up; after that the queue goes on with it.
const LOOK_UP: Duration = Duration::from_secs(5);

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
}

impl Record for SentShare {
    const KIND: &'static str = "sent-share";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }

    fn index(&self) -> Vec<Index> {
        vec![
            Index::new("user", Key::of([&self.user]).and(self.created)),
            Index::unique("secret", [hash_of(self.secret.expose())]),
        ]
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
        matches!(self.state, SentState::Pending | SentState::Accepted) && !self.expired(now)
    }

    fn is_to_be_announced(&self) -> bool {
        !matches!(self.state, SentState::Stopped | SentState::Left)
    }
}

/// What a user wants to share.
#[derive(Clone, Debug)]
pub struct NewShare {
    pub path: TreePath,
    pub to: OcmAddress,
    pub write: bool,
    pub expires: Option<Timestamp>,
}

impl Shares {
    /// Shares a file or folder: the share and its delivery are one commit, so neither is ever without the other.
    ///
    /// The other server is looked up first. One that can't be reached just now gets the share later; one that can't take
    /// it at all is an error here, and nothing is kept.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`] if there is nothing at `path`; [`Reason::Invalid`] for the recipient or the end;
    /// [`Reason::WeRefuseThem`]; [`Reason::NeedsTokenExchange`] and other reasons of
    /// [`Kind::Peer`](crate::error::Kind::Peer).
    pub async fn create(&self, user: &User, new: NewShare, now: Timestamp) -> Result<SentShare> {
        self.create_and(user, new, now, async |_, _| Ok(())).await
    }

    /// As [`Shares::create`], with something else in the same commit; if that fails, there is no share either.
    pub async fn create_and(
        &self,
        user: &User,
        new: NewShare,
        now: Timestamp,
        also: impl AsyncFn(&mut Txn, &SentShare) -> Result<()>,
    ) -> Result<SentShare> {
        if new.path.is_root() {
            return Err(Error::invalid(
                "path",
                "Share a file or a folder, not everything at once.",
            ));
        }
        if new.expires.is_some_and(|end| end <= now) {
            return Err(Error::invalid("until", "The end of a share lies in the future."));
        }
        let entry = self.homes.of(&user.name).await?.stat(&new.path).await?;
        let host = &new.to.provider;
        self.peers.permit(host, Purpose::Federate).await?;
        let look_up = tokio::time::timeout(LOOK_UP, self.peers.discover(host, Purpose::Federate));
        let found = look_up.await.unwrap_or_else(|_| Err(peers::busy(host, None)));
        let (strict, last_error) = match found {
            Ok(discovery) => (self.must_exchange(&discovery, entry.is_folder())?, None),
            Err(error) if peers::worth_retrying(&error) => (true, Some(Failure::new(&error, now))),
            Err(error) => return Err(error),
        };
        let share = SentShare {
            id: random::number(),
            user: user.name.clone(),
            folder: entry.is_folder(),
            name: entry.name,
            path: new.path,
            share_with: new.to,
            permissions: Permissions {
                read: true,
                write: new.write,
                share: false,
            },
            secret: random::token(SECRET_LENGTH),
            strict,
            created: now,
            expires: new.expires,
            state: SentState::Pending,
            tried: false,
            announced: None,
            last_error,
        };
        let delivery = Delivery::new(
            share.share_with.provider.clone(),
            Cargo::Share,
            &share.id,
            &user.name,
            None,
            now,
        );
        self.store
            .run(async |txn| {
                txn.put(&share).await?;
                also(txn, &share).await?;
                txn.put(&delivery).await
            })
            .await?;
        self.outbox.nudge();
        Ok(share)
    }

    /// Whether a share with this peer must be read with exchanged tokens only (SHR-2, SHR-3): always where the peer can,
    /// since a secret that opens nothing by itself is one less to lose.
    ///
    /// # Errors
    ///
    /// [`Reason::NeedsTokenExchange`] if we insist and it can't; [`Reason::TheyCannotTakeThis`] if it says that it takes
    /// no files from others.
    pub fn must_exchange(&self, peer: &Discovery, folder: bool) -> Result<bool> {
        let can = peer.has(Capability::ExchangeToken);
        if self.config.federation.require_token_exchange && !can {
            return Err(Error::new(
                Reason::NeedsTokenExchange,
                "That server can't exchange secrets for short-lived tokens, and this one insists on it.",
            ));
        }
        // A file for a user over WebDAV may always be tried (SHR-2a).
        let resource = if folder { "folder" } else { "file" };
        if !peer.supports(resource, "user", "webdav") {
            return Err(Error::new(
                Reason::TheyCannotTakeThis,
                format!("That server takes no {resource}s from others."),
            ));
        }
        Ok(can || peer.requires(Criterion::MustExchangeToken))
    }

    /// The Share Creation Notification of a share (SHR-4 to SHR-6).
    pub fn announcement(&self, share: &SentShare, sharer: &User) -> Result<ShareCreationNotification> {
        let address = OcmAddress::new(&*sharer.name, self.own().clone())?;
        Ok(ShareCreationNotification {
            share_with: share.share_with.clone(),
            name: share.name.clone(),
            description: None,
            provider_id: ProviderId::new(&share.id)?,
            owner: address.clone(),
            sender: address,
            owner_display_name: Some(sharer.display_name.clone()),
            sender_display_name: Some(sharer.display_name.clone()),
            share_type: ShareType::User,
            resource_type: if share.folder {
                ResourceType::Folder
            } else {
                ResourceType::File
            },
            expiration: share.expires,
            webdav: WebdavOffer {
                // Below the WebDAV root of our discovery document (ACC-4).
                uri: Some(WebdavUri::parse(&share.id)?),
                shared_secret: share.secret.clone(),
                permissions: share.permissions,
                requirements: Requirements {
                    must_exchange_token: share.strict,
                    must_use_mfa: false,
                },
                size: None,
            },
            others: OtherProtocols::default(),
        })
    }

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

    /// Notes, before the announcement is sent, that it may arrive, and how the share will have to be read: the record is
    /// never behind what the peer was told. False where the share has been stopped: then nothing may be sent.
    pub async fn announcing(&self, id: &str, strict: bool) -> Result<bool> {
        self.store
            .run(async |txn| {
                let share = txn.get::<SentShare>([id]).await?;
                let Some(mut share) = share.filter(SentShare::is_to_be_announced) else {
                    return Ok(false);
                };
                if share.strict != strict || !share.tried {
                    share.strict = strict;
                    share.tried = true;
                    txn.put(&share).await?;
                }
                Ok(true)
            })
            .await
    }

    /// The share that a delivery announces, and who shares it; none once there is nothing to announce any more.
    pub async fn to_announce(&self, delivery: &Delivery) -> Result<Option<(SentShare, User)>> {
        self.store
            .read(async |txn| {
                let share = txn.get::<SentShare>([&delivery.share]).await?;
                let user = txn.get::<User>([&delivery.user]).await?;
                Ok(share.filter(SentShare::is_to_be_announced).zip(user))
            })
            .await
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
    if share.state == SentState::Stopped {
        return Ok(());
    }
    share.announced = share.announced.or(Some(now));
    share.last_error = None;
    if matches!(share.state, SentState::Refused | SentState::Failed) {
        share.state = SentState::Pending;
    }
    txn.put(&share).await
}

/// A try failed: delivery and share say so together.
pub async fn failed(txn: &mut Txn, delivery: &Delivery, for_good: bool) -> Result<()> {
    // Dropped meanwhile: then nobody waits for it any more.
    if txn.get::<Delivery>([&delivery.id]).await?.is_none() {
        return Ok(());
    }
    txn.put(delivery).await?;
    if delivery.cargo != Cargo::Share {
        return Ok(());
    }
    let Some(mut share) = txn.get::<SentShare>([&delivery.share]).await? else {
        return Ok(());
    };
    share.last_error.clone_from(&delivery.last_error);
    if delivery.progress == Progress::GivenUp && share.state == SentState::Pending {
        share.state = if for_good {
            SentState::Refused
        } else {
            SentState::Failed
        };
    }
    txn.put(&share).await
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
