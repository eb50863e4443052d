//! A share on its way to the peer: made, put into the form that the peer reads, announced.

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::TreePath;
use crate::ocm::address::OcmAddress;
use crate::ocm::discovery::UriForm;
use crate::ocm::preflight::Abilities;
use crate::ocm::preflight::Obstacle;
use crate::ocm::preflight::Terms;
use crate::ocm::preflight::Wish;
use crate::ocm::preflight::preflight;
use crate::ocm::share::OtherProtocols;
use crate::ocm::share::Permissions;
use crate::ocm::share::ProviderId;
use crate::ocm::share::Requirements;
use crate::ocm::share::ResourceType;
use crate::ocm::share::ShareCreationNotification;
use crate::ocm::share::ShareType;
use crate::ocm::share::WebdavOffer;
use crate::ocm::share::WebdavUri;
use crate::outbox::Cargo;
use crate::outbox::Delivery;
use crate::outbox::Failure;
use crate::peers;
use crate::peers::Peer;
use crate::peers::trust::Purpose;
use crate::random;
use crate::shares::SentShare;
use crate::shares::Shares;
use crate::shares::WEBDAV_PATH;
use crate::shares::sent::SentState;
use crate::store::Txn;
use crate::users::User;

/// 256 bits, in letters and digits: deployed servers keep at most 64 of them and split at `:`.
const SECRET_LENGTH: usize = 43;

/// What a user wants to share.
#[derive(Clone, Debug)]
pub struct NewShare {
    pub path: TreePath,
    pub to: OcmAddress,
    pub write: bool,
    pub expires: Option<Timestamp>,
}

/// A share and its delivery, to be kept in one commit.
#[derive(Clone, Debug)]
pub struct ReadyShare {
    pub share: SentShare,
    delivery: Delivery,
}

impl ReadyShare {
    /// Announced no sooner than this.
    pub fn not_before(mut self, moment: Timestamp) -> Self {
        self.delivery.due = self.delivery.due.max(moment);
        self
    }

    pub async fn keep(&self, txn: &mut Txn) -> Result<()> {
        txn.put(&self.share).await?;
        txn.put(&self.delivery).await
    }
}

impl Shares {
    /// Shares a file or folder: the share and its delivery are one commit, so neither is ever without the other.
    ///
    /// Nobody waits for the other server here. If what it said of itself last shows that it can't take the share, that is
    /// an error now, and nothing is kept; what is not known yet comes out when the share is delivered.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`] if there is nothing at `path`; [`Reason::Invalid`] for the recipient or the end;
    /// [`Reason::WeRefuseThem`]; [`Reason::NeedsTokenExchange`] and [`Reason::TheyCannotTakeThis`].
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
        let ready = self.prepare(user, new, Purpose::Federate, now).await?;
        self.store
            .run(async |txn| {
                ready.keep(txn).await?;
                also(txn, &ready.share).await
            })
            .await?;
        self.outbox.nudge();
        Ok(ready.share)
    }

    /// A share that is ready to be kept, with all that speaks against it looked into; nothing is kept yet. `purpose` is
    /// [`Purpose::Invite`] where the very commit that keeps it makes the other server known.
    ///
    /// # Errors
    ///
    /// As [`Shares::create`].
    pub async fn prepare(&self, user: &User, new: NewShare, purpose: Purpose, now: Timestamp) -> Result<ReadyShare> {
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
        // Until the peer has said what it can, the secret opens nothing.
        let (strict, last_error) = match self.peers.last_met(&new.to.provider, purpose).await {
            Ok(Some(peer)) => (
                self.terms(&peer, entry.is_folder(), new.write)?
                    .requirements
                    .must_exchange_token,
                None,
            ),
            Ok(None) => (true, None),
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
            held: false,
        };
        let delivery = Delivery::new(
            share.share_with.provider.clone(),
            Cargo::Share,
            &share.id,
            &user.name,
            None,
            now,
        );
        Ok(ReadyShare { share, delivery })
    }

    /// How a share goes to this peer (SHR-1 to SHR-3).
    ///
    /// # Errors
    ///
    /// [`Reason::NeedsTokenExchange`], [`Reason::TheyCannotTakeThis`], with the next step.
    pub fn terms(&self, peer: &Peer, folder: bool, write: bool) -> Result<Terms> {
        let ours = Abilities {
            exchange_token: true,
            insists_on_exchange: self.config.federation.require_token_exchange,
        };
        let wish = Wish {
            resource_type: resource_type(folder),
            share_type: ShareType::User,
            write,
            second_factor: false,
        };
        preflight(ours, &peer.discovery, peer.dialect, wish).map_err(|obstacle| {
            let reason = match obstacle {
                Obstacle::TheyCannotExchange | Obstacle::WeCannotExchange => Reason::NeedsTokenExchange,
                Obstacle::TheyTakeNo(_)
                | Obstacle::TheyTakeNoneFor(_)
                | Obstacle::TheyOnlyRead
                | Obstacle::NoSecondFactor => Reason::TheyCannotTakeThis,
            };
            Error::new(reason, obstacle.to_string())
        })
    }

    /// The Share Creation Notification of a share (SHR-4 to SHR-6).
    pub fn announcement(&self, share: &SentShare, sharer: &User, terms: &Terms) -> Result<ShareCreationNotification> {
        let address = OcmAddress::new(&*sharer.name, self.own().clone())?;
        // A relative one stands below the WebDAV root of our discovery document (ACC-4).
        let uri = match terms.uri {
            UriForm::Relative => share.id.clone(),
            UriForm::Absolute => self.config.server.public_url.at(&format!("{WEBDAV_PATH}{}", share.id)),
        };
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
            resource_type: resource_type(share.folder),
            expiration: share.expires,
            webdav: WebdavOffer {
                uri: Some(WebdavUri::parse(&uri)?),
                shared_secret: share.secret.clone(),
                permissions: share.permissions,
                requirements: Requirements {
                    must_exchange_token: share.strict,
                    ..terms.requirements
                },
                size: None,
            },
            others: OtherProtocols::default(),
        })
    }

    /// Notes, before the announcement is sent, that it may arrive, and how the share will have to be read: the record is
    /// never behind what the peer was told. False where the share has been stopped or is over: then nothing may be sent.
    pub async fn announcing(&self, id: &str, strict: bool, now: Timestamp) -> Result<bool> {
        self.store
            .run(async |txn| {
                let share = txn.get::<SentShare>([id]).await?;
                let Some(mut share) = share.filter(|share| share.is_to_be_announced(now)) else {
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
    pub async fn to_announce(&self, delivery: &Delivery, now: Timestamp) -> Result<Option<(SentShare, User)>> {
        self.store
            .read(async |txn| {
                let share = txn.get::<SentShare>([&delivery.share]).await?;
                let user = txn.get::<User>([&delivery.user]).await?;
                Ok(share.filter(|share| share.is_to_be_announced(now)).zip(user))
            })
            .await
    }
}

fn resource_type(folder: bool) -> ResourceType {
    if folder {
        ResourceType::Folder
    } else {
        ResourceType::File
    }
}
