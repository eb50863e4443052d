//! What people on other servers share with our users: the role of the Receiving Server.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::UserTopic;
use crate::contacts;
use crate::contacts::Contact;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::notify::News;
use crate::notify::short_name;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::notification::NotificationType;
use crate::ocm::share::ResourceType;
use crate::ocm::share::ShareCreationNotification;
use crate::ocm::share::ShareType;
use crate::ocm::share::WebdavOffer;
use crate::ocm::share::WebdavUri;
use crate::outbox::Failure;
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
use crate::store::Store;
use crate::store::Txn;
use crate::users::User;

/// How many undecided shares of one person wait for another at most (T-37).
const MAX_PENDING: usize = 200;

/// Bytes of a description that are kept.
const MAX_DESCRIPTION: usize = 1024;

/// Where a received share stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReceivedState {
    Pending,
    Accepted,
    Declined,
    /// Given back by our user after they had accepted it.
    Left,
    /// Taken back by the other side. Final (T-40).
    Gone,
}

/// A file or folder on another server, shared with one of our users.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReceivedShare {
    pub id: String,
    pub user: String,
    /// Unique at the Sending Server only; with that server it is unique here (T-38).
    pub provider_id: String,
    pub sender: OcmAddress,
    pub owner: OcmAddress,
    pub sender_name: String,
    pub name: String,
    pub description: String,
    /// As it was announced: what Nextcloud and its kin call a file may be a folder; see [`Self::is_folder`].
    pub folder: bool,
    /// Announced as a file, and found to be a folder when it was opened.
    #[serde(default)]
    pub found_folder: bool,
    pub offer: WebdavOffer,
    pub created: Timestamp,
    pub expires: Option<Timestamp>,
    pub state: ReceivedState,
    /// When our user last decided.
    #[serde(default)]
    pub decided: Option<Timestamp>,
    /// What came of it when somebody last tried whether it can be opened.
    #[serde(default)]
    pub checked: Option<Box<Checked>>,
}

/// Whether a share could be opened, and when that was tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Checked {
    pub at: Timestamp,
    /// None where it could be opened.
    pub failure: Option<Failure>,
}

impl Record for ReceivedShare {
    const KIND: &'static str = "received-share";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }

    fn index(&self) -> Vec<Index> {
        let mut index = vec![
            Index::new("user", Key::of([&self.user]).and(self.created)),
            Index::unique("provider-id", [&self.sender.provider.to_string(), &self.provider_id]),
            Index::new("secret", [hash_of(self.offer.shared_secret.expose())]),
        ];
        if self.state == ReceivedState::Pending {
            index.push(Index::new("pending", [&self.sender.to_string(), &self.user]));
        }
        index
    }
}

impl ReceivedShare {
    /// The word that it was announced with, for whoever announced it.
    pub fn resource_type(&self) -> &'static str {
        if self.folder { "folder" } else { "file" }
    }

    /// Whether it opens as a folder, as far as is known.
    pub fn is_folder(&self) -> bool {
        self.folder || self.found_folder
    }

    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| now >= end)
    }

    /// Whether another announcement says the same as the one this came from, but for what only people read (SHR-16).
    fn is_announced_by(&self, user: &str, message: &ShareCreationNotification) -> bool {
        self.user == user
            && self.sender == message.sender
            && self.owner == message.owner
            && self.name == message.name
            && self.folder == (message.resource_type == ResourceType::Folder)
            && self.offer == message.webdav
            && self.expires == message.expiration
    }
}

/// What its receiver hears of a new share. Its name is theirs to know, and nothing else of it.
fn news_of(share: &ReceivedShare) -> News {
    let sentence = match share.state {
        ReceivedState::Accepted => {
            "{name} ({address}) shares “{what}” with you. As you wished, it was accepted at once."
        }
        _ => "{name} ({address}) shares “{what}” with you. You decide whether to accept it.",
    };
    let address = share.sender.to_string();
    let name = match share.sender_name.trim() {
        "" => share.sender.identifier.as_str(),
        name => name,
    };
    News {
        topic: UserTopic::ShareReceived,
        about: share.id.clone(),
        page: format!("/shares/received/{}", share.id),
        sentence,
        values: vec![
            ("name", short_name(name)),
            ("address", address),
            ("what", short_name(&share.name)),
        ],
    }
}

impl Shares {
    /// Takes a Share Creation Notification that `message.sender`'s server signed (SHR-12 to SHR-16). The same one again
    /// is the same share. Gives the share for the answer.
    ///
    /// # Errors
    ///
    /// [`Reason::SenderNotTrusted`] before anything is said of who lives here (T-36); [`Reason::PersonNotFound`];
    /// [`Reason::KindUnsupported`], [`Reason::UnsupportedRequirement`]; [`Reason::Conflict`] for a `providerId` that
    /// already means something else (T-38); [`Reason::Invalid`] naming the field.
    pub async fn receive(&self, message: &ShareCreationNotification, now: Timestamp) -> Result<ReceivedShare> {
        if message.owner.provider != message.sender.provider {
            return Err(
                Error::new(Reason::SenderNotTrusted, "Owner and sender are not of one server.").in_field("owner"),
            );
        }
        let decision = self.peers.permit(&message.sender.provider, Purpose::Federate).await?;
        let contacts_only = decision.contacts_only();
        self.check_kind(message)?;
        if message.is_expired(now) {
            return Err(Error::invalid("expiration", "This share has ended before it began."));
        }
        let name = message.share_with.identifier.to_lowercase();
        let elsewhere = message.share_with.provider != *self.own();
        let share = self
            .store
            .run(async |txn| {
                let contact = contacts::get(txn, &name, &message.sender).await?;
                // Who is blocked is told what a stranger is told.
                if contact.as_ref().map_or(contacts_only, Contact::is_blocked) {
                    return Err(Error::new(
                        Reason::SenderNotTrusted,
                        "This server takes shares only between people who have traded an invite.",
                    )
                    .in_field("sender"));
                }
                let user = txn.get::<User>([&name]).await?;
                let Some(user) = user.filter(|_| !elsewhere) else {
                    return Err(
                        Error::new(Reason::PersonNotFound, "There is no such person on this server.")
                            .in_field("shareWith"),
                    );
                };
                if let Some(known) = shared_by(txn, &message.sender.provider, message.provider_id.as_str()).await? {
                    if known.is_announced_by(&user.name, message) {
                        return Ok(known);
                    }
                    return Err(
                        Error::new(Reason::Conflict, "This providerId already means another share.")
                            .in_field("providerId"),
                    );
                }
                check_room(txn, &message.sender, &user.name, now).await?;
                let mut share = record(message, &user.name, now);
                let wanted =
                    user.accept_from_contacts && contacts::get(txn, &user.name, &message.sender).await?.is_some();
                if wanted {
                    accept_at_once(txn, &mut share, now).await?;
                }
                txn.put(&share).await?;
                self.notices.user_in(txn, &user, &news_of(&share), now).await?;
                Ok(share)
            })
            .await?;
        if share.state == ReceivedState::Accepted {
            self.outbox.nudge();
        }
        Ok(share)
    }

    /// Keeps what came of trying whether a share can be opened.
    pub async fn note_check(&self, user: &str, id: &str, checked: Checked) -> Result<ReceivedShare> {
        self.store
            .run(async |txn| {
                let mut share = own(txn, user, id).await?;
                share.checked = Some(Box::new(checked.clone()));
                txn.put(&share).await?;
                Ok(share)
            })
            .await
    }

    pub async fn received(&self, user: &str, page: &Page) -> Result<Listing<ReceivedShare>> {
        self.store
            .read(async |txn| txn.find::<ReceivedShare>("user", [user], page).await)
            .await
    }

    pub async fn received_share(&self, user: &str, id: &str) -> Result<ReceivedShare> {
        self.store.read(async |txn| own(txn, user, id).await).await
    }

    /// Accepts a share and tells its server (NOT-2). One that was declined is over: its server was told so, and may have
    /// thrown it away.
    pub async fn accept(&self, user: &str, id: &str, now: Timestamp) -> Result<ReceivedShare> {
        let from = [ReceivedState::Pending];
        self.decide(
            user,
            id,
            &from,
            ReceivedState::Accepted,
            NotificationType::ShareAccepted,
            now,
        )
        .await
    }

    /// Declines a share and tells its server (NOT-2).
    pub async fn decline(&self, user: &str, id: &str, now: Timestamp) -> Result<ReceivedShare> {
        let from = [ReceivedState::Pending];
        self.decide(
            user,
            id,
            &from,
            ReceivedState::Declined,
            NotificationType::ShareDeclined,
            now,
        )
        .await
    }

    /// Gives an accepted share back and tells its server (NOT-3).
    pub async fn leave(&self, user: &str, id: &str, now: Timestamp) -> Result<ReceivedShare> {
        let from = [ReceivedState::Accepted];
        self.decide(
            user,
            id,
            &from,
            ReceivedState::Left,
            NotificationType::ShareUnshared,
            now,
        )
        .await
    }

    async fn decide(
        &self,
        user: &str,
        id: &str,
        from: &[ReceivedState],
        to: ReceivedState,
        kind: NotificationType,
        now: Timestamp,
    ) -> Result<ReceivedShare> {
        let share = self
            .store
            .run(async |txn| {
                let mut share = own(txn, user, id).await?;
                if share.state == to {
                    return Ok(share);
                }
                if !from.contains(&share.state) || share.expired(now) {
                    return Err(Error::new(
                        Reason::Conflict,
                        "This share has been decided upon or has ended already.",
                    ));
                }
                share.state = to;
                share.decided = Some(now);
                txn.put(&share).await?;
                let peer = &share.sender.provider;
                notify(
                    txn,
                    peer,
                    kind,
                    &share.provider_id,
                    share.resource_type(),
                    (id, user),
                    now,
                )
                .await?;
                Ok(share)
            })
            .await?;
        self.outbox.nudge();
        Ok(share)
    }

    /// Passes for a share of a kind that is taken here, whose address is on its sender's server: the token that goes
    /// there must reach nobody else (T-05). An address on our own is a known mistake of deployed senders, and is read as
    /// theirs.
    fn check_kind(&self, message: &ShareCreationNotification) -> Result<()> {
        if message.share_type != ShareType::User {
            let why = "Only shares with a single user are taken here.";
            return Err(Error::new(Reason::KindUnsupported, why).in_field("shareType"));
        }
        let offer = &message.webdav;
        if let Some(WebdavUri::Absolute(url)) = &offer.uri
            && !message.sender.provider.same_authority(url)
            && !self.own().same_authority(url)
        {
            let why = "An absolute address must be on the sender's own server.";
            return Err(Error::invalid("protocol.webdav.uri", why));
        }
        if offer.requirements.must_use_mfa {
            return Err(
                Error::new(Reason::UnsupportedRequirement, "must-use-mfa can't be kept here.").in_field("requirements"),
            );
        }
        if self.config.federation.require_token_exchange && !offer.requirements.must_exchange_token {
            let why = "This server takes only shares that require must-exchange-token.";
            return Err(Error::new(Reason::SenderNotTrusted, why).in_field("requirements"));
        }
        Ok(())
    }
}

/// Accepts what its receiver said they would accept, in the commit that takes it (NOT-2).
async fn accept_at_once(txn: &mut Txn, share: &mut ReceivedShare, now: Timestamp) -> Result<()> {
    share.state = ReceivedState::Accepted;
    share.decided = Some(now);
    notify(
        txn,
        &share.sender.provider,
        NotificationType::ShareAccepted,
        &share.provider_id,
        share.resource_type(),
        (&share.id, &share.user),
        now,
    )
    .await
}

/// Notes that a share was announced as a file and is a folder.
pub async fn found_folder(store: &Store, id: &str) -> Result<()> {
    store
        .run(async |txn| {
            let Some(mut share) = txn.get::<ReceivedShare>([id]).await? else {
                return Ok(());
            };
            share.found_folder = true;
            txn.put(&share).await
        })
        .await
}

/// The share with this `providerId` from this server.
pub(super) async fn shared_by(txn: &mut Txn, sender: &Provider, provider_id: &str) -> Result<Option<ReceivedShare>> {
    txn.find_one::<ReceivedShare>("provider-id", [&sender.to_string(), provider_id])
        .await
}

/// The share with this `providerId` that its sender made this secret for.
pub(super) async fn by_secret(txn: &mut Txn, provider_id: &str, secret: &Secret) -> Result<Option<ReceivedShare>> {
    if secret.is_empty() {
        return Ok(None);
    }
    // Another server may have sent the same secret on purpose; then it is a secret no more, and names nothing.
    let mut found = txn
        .find::<ReceivedShare>("secret", [hash_of(secret.expose())], &Page::first(2))
        .await?
        .items;
    Ok(match (found.pop(), found.pop()) {
        (Some(share), None) if share.provider_id == provider_id => Some(share),
        _ => None,
    })
}

/// The other side took it back; whatever the user had decided, there is nothing to open any more.
pub(super) async fn unshared(txn: &mut Txn, mut share: ReceivedShare) -> Result<()> {
    if share.state == ReceivedState::Gone {
        return Ok(());
    }
    share.state = ReceivedState::Gone;
    txn.put(&share).await
}

async fn own(txn: &mut Txn, user: &str, id: &str) -> Result<ReceivedShare> {
    txn.get::<ReceivedShare>([id])
        .await?
        .filter(|share| share.user == user)
        .ok_or_else(|| no_such_share().in_field("id"))
}

/// Passes while a sender has not too many shares waiting for one user (T-37). What is over waits for nothing, but takes
/// room, so there is a limit to that, too.
async fn check_room(txn: &mut Txn, sender: &OcmAddress, user: &str, now: Timestamp) -> Result<()> {
    let page = Page::first(4 * MAX_PENDING);
    let kept = txn
        .find::<ReceivedShare>("pending", [&sender.to_string(), user], &page)
        .await?
        .items;
    let waiting = kept.iter().filter(|share| !share.expired(now)).count();
    if waiting >= MAX_PENDING || kept.len() >= 4 * MAX_PENDING {
        return Err(Error::new(
            Reason::Busy,
            "Too many shares of this sender wait for a decision; try again later.",
        ));
    }
    Ok(())
}

/// As much of a description as is kept: the record must not grow over what the store takes.
fn kept_part(description: &str) -> &str {
    &description[..description.floor_char_boundary(MAX_DESCRIPTION)]
}

fn record(message: &ShareCreationNotification, user: &str, now: Timestamp) -> ReceivedShare {
    ReceivedShare {
        id: random::number(),
        user: user.to_owned(),
        provider_id: message.provider_id.as_str().to_owned(),
        sender: message.sender.clone(),
        owner: message.owner.clone(),
        sender_name: message.sender_display_name.clone().unwrap_or_default(),
        name: message.name.clone(),
        description: kept_part(message.description.as_deref().unwrap_or_default()).to_owned(),
        folder: message.resource_type == ResourceType::Folder,
        found_folder: false,
        offer: message.webdav.clone(),
        created: now,
        expires: message.expiration,
        state: ReceivedState::Pending,
        decided: None,
        checked: None,
    }
}
