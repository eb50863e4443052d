//! What comes of an invite: an Invite Acceptance Request is answered, and what is attached is shared in the same commit.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::UserTopic;
use crate::contacts::Contact;
use crate::contacts::Ours;
use crate::contacts::Via;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::TreePath;
use crate::invites::InviteState;
use crate::invites::Invites;
use crate::invites::SentInvite;
use crate::invites::sent;
use crate::invites::shown;
use crate::notify::News;
use crate::notify::short_name;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::invite::InviteAcceptanceRequest;
use crate::ocm::invite::InviteAcceptanceResponse;
use crate::outbox::Failure;
use crate::peers::trust::Purpose;
use crate::secret::hash_of;
use crate::shares::NewShare;
use crate::shares::ReadyShare;
use crate::store::Index;
use crate::store::Key;
use crate::store::Page;
use crate::store::Record;
use crate::users::User;

/// What is attached is announced so long after the acceptance: their server has first to note that its person accepted,
/// or it would refuse a share from somebody whom it does not know yet.
const AFTER_THEIR_COMMIT: Duration = Duration::from_secs(10);
/// How much is kept of why something can't be shared, in characters.
const MAX_WHY: usize = 150;
const ROWS: usize = 1000;

/// Who accepted a sent invite.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Acceptance {
    pub invite: String,
    pub address: OcmAddress,
    pub at: Timestamp,
    /// Whose invite it was; empty in what was kept before this was.
    #[serde(default)]
    pub user: String,
    /// What their server calls them: shown, never trusted.
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub enclosed: Vec<Enclosure>,
}

/// What became of an attached file or folder when somebody accepted: a share, or the reason why there is none.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Enclosure {
    pub path: TreePath,
    pub share: Option<String>,
    pub failure: Option<Failure>,
}

impl Record for Acceptance {
    const KIND: &'static str = "invite-acceptance";
    /// 2: found by user and time.
    const VERSION: u8 = 2;

    fn key(&self) -> Key {
        Key::of([&self.invite, &self.address.to_string()])
    }

    fn index(&self) -> Vec<Index> {
        if self.user.is_empty() {
            return Vec::new();
        }
        vec![Index::new("user", Key::of([&self.user]).and(self.at))]
    }
}

impl Acceptance {
    /// What was to be shared and could not be.
    pub fn not_shared(&self) -> impl Iterator<Item = (&TreePath, &Failure)> {
        let failed = |enclosure: &'_ Enclosure| enclosure.failure.is_some();
        self.enclosed
            .iter()
            .filter(move |enclosure| failed(enclosure))
            .filter_map(|enclosure| Some((&enclosure.path, enclosure.failure.as_ref()?)))
    }
}

/// How an Invite Acceptance Request ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    Now(InviteAcceptanceResponse),
    /// The same person had accepted it before: its server asks again because our first answer got lost. It gets the
    /// identity once more, and nobody else does (T-35).
    Before(InviteAcceptanceResponse),
}

/// Attached things made ready for somebody, to be kept if the invite is really theirs.
#[derive(Default)]
struct Packed {
    ready: Vec<ReadyShare>,
    enclosed: Vec<Enclosure>,
}

impl Invites {
    /// Answers an Invite Acceptance Request of `signer`, once per use of the token (_Invite Flow_, INV-6, INV-9). What is
    /// attached is shared in the commit that takes the acceptance, so that there is never one without the other; what
    /// can't be shared is noted there with its reason, and stops nobody from accepting.
    ///
    /// # Errors
    ///
    /// [`Reason::InviteUnknown`] for a token that is unknown, revoked or past its time: a stranger can't tell which.
    /// [`Reason::InviteUsed`] for one that somebody else has used up. [`Reason::SenderNotTrusted`] for one that is for
    /// another server.
    pub async fn redeem(
        &self,
        signer: &Provider,
        request: &InviteAcceptanceRequest,
        now: Timestamp,
    ) -> Result<Redeemed> {
        // Its shares will come from this address, however the id was written here (INC-16).
        let address = OcmAddress::parse_lenient(&format!("{}@{signer}", request.user_id))
            .map_err(|invalid| Error::from(invalid).in_field("userID"))?;
        let hash = hash_of(request.token.expose());
        let packed = self.pack(&hash, &address, now).await?;
        let redeemed =
            self.store
                .run(async |txn| {
                    let unknown = || Error::new(Reason::InviteUnknown, "This invite is not valid.").in_field("token");
                    let mut invite = txn
                        .find_one::<SentInvite>("token", [&hash])
                        .await?
                        .ok_or_else(unknown)?;
                    let user = txn
                        .get::<User>([&invite.user])
                        .await?
                        .filter(User::is_active)
                        .ok_or_else(unknown)?;
                    let acceptance = Acceptance {
                        invite: invite.id.clone(),
                        address: address.clone(),
                        at: now,
                        user: invite.user.clone(),
                        name: shown(&request.name),
                        enclosed: packed.enclosed.clone(),
                    };
                    let ours = InviteAcceptanceResponse {
                        user_id: user.name,
                        email: user.mail,
                        name: user.display_name,
                    };
                    if txn.get::<Acceptance>(acceptance.key()).await?.is_some() {
                        return Ok(Redeemed::Before(ours));
                    }
                    match invite.state(now) {
                        InviteState::Open => {}
                        InviteState::Used => {
                            return Err(Error::new(Reason::InviteUsed, "This invite has been accepted already.")
                                .in_field("token"));
                        }
                        InviteState::Revoked | InviteState::Expired => return Err(unknown()),
                        InviteState::Held => return Err(sent::held()),
                    }
                    if invite.only_for.as_ref().is_some_and(|only| only != signer) {
                        return Err(Error::new(
                            Reason::SenderNotTrusted,
                            "This invite is for an account at another server.",
                        )
                        .in_field("recipientProvider"));
                    }
                    invite.used += 1;
                    txn.put(&invite).await?;
                    txn.put(&acceptance).await?;
                    for ready in &packed.ready {
                        ready.keep(txn).await?;
                    }
                    let contact = Contact {
                        user: invite.user.clone(),
                        address: address.clone(),
                        name: shown(&request.name),
                        email: shown(&request.email),
                        since: now,
                        via: Via::SentInvite,
                        ours: Ours {
                            told_mail: Some(ours.email.clone()),
                            ..Ours::default()
                        },
                    };
                    self.add_contact(txn, &contact, now).await?;
                    let news = News {
                        topic: UserTopic::InviteAccepted,
                        about: address.to_string(),
                        page: "/contacts".to_owned(),
                        sentence: "{name} ({address}) accepted your invitation and is one of your contacts now.",
                        values: vec![
                            ("name", short_name(&contact.shown_name())),
                            ("address", address.to_string()),
                        ],
                    };
                    self.notices.user_named_in(txn, &contact.user, &news, now).await?;
                    Ok(Redeemed::Now(ours))
                })
                .await?;
        self.outbox.nudge();
        self.peers.remember(signer).await?;
        Ok(redeemed)
    }

    /// Makes what is attached to the invite with this token ready for `to`. What stands there is looked at now, and not
    /// when the invite was made; what their server can take is known from what it said of itself last.
    async fn pack(&self, token_hash: &str, to: &OcmAddress, now: Timestamp) -> Result<Packed> {
        let found = self
            .store
            .read(async |txn| {
                let Some(invite) = txn.find_one::<SentInvite>("token", [token_hash]).await? else {
                    return Ok(None);
                };
                let user = txn.get::<User>([&invite.user]).await?;
                Ok(user.map(|user| (invite, user)))
            })
            .await?;
        let mut packed = Packed::default();
        let Some((invite, user)) = found else {
            return Ok(packed);
        };
        for attachment in invite.attached {
            let new = NewShare {
                path: attachment.path.clone(),
                to: to.clone(),
                write: attachment.write,
                expires: None,
            };
            let (share, failure) = match self.shares.prepare(&user, new, Purpose::Invite, now).await {
                Ok(ready) => {
                    let id = ready.share.id.clone();
                    packed.ready.push(ready.not_before(now.plus(AFTER_THEIR_COMMIT)));
                    (Some(id), None)
                }
                Err(error) => {
                    let mut failure = Failure::new(&error, now);
                    failure.message = failure.message.chars().take(MAX_WHY).collect();
                    (None, Some(failure))
                }
            };
            packed.enclosed.push(Enclosure {
                path: attachment.path,
                share,
                failure,
            });
        }
        Ok(packed)
    }

    /// Who accepted an invite of this user since then, the latest first. What was attached and could not be shared is
    /// said by [`Acceptance::not_shared`].
    pub async fn lately_accepted(&self, user: &str, since: Timestamp) -> Result<Vec<Acceptance>> {
        let page = Page::since(since, ROWS);
        let mut found = self
            .store
            .read(async |txn| txn.find::<Acceptance>("user", [user], &page).await)
            .await?
            .items;
        found.reverse();
        Ok(found)
    }
}
