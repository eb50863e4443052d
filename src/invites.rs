//! Invites: how people on two servers become each other's contacts (_Invite Flow_), in both roles.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::client::Answer;
use crate::client::Client;
use crate::client::MAX_ANSWER;
use crate::client::Outbound;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::Invites as Settings;
use crate::config::PublicUrl;
use crate::contacts;
use crate::contacts::Contact;
use crate::contacts::Ours;
use crate::contacts::Via;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::invite::InviteAcceptanceRequest;
use crate::ocm::invite::InviteAcceptanceResponse;
use crate::ocm::invite::InviteString;
use crate::ocm::invite::InviteToken;
use crate::peers;
use crate::peers::Peers;
use crate::peers::traffic::About;
use crate::peers::trust::Purpose;
use crate::random;
use crate::secret::Secret;
use crate::secret::hash_of;
use crate::store::Index;
use crate::store::Key;
use crate::store::Listing;
use crate::store::Page;
use crate::store::Record;
use crate::store::Store;
use crate::store::Txn;
use crate::users::User;

/// At least 142 bits, and as much more as makes the Invite String a multiple of three bytes (INV-1, INV-2).
const MIN_TOKEN_LENGTH: usize = 24;
const MAX_NOTE: usize = 255;

/// An invite that one of our users handed out.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SentInvite {
    pub id: String,
    pub token: Secret,
    pub user: String,
    /// For whom it is; nobody but the user sees it.
    pub note: String,
    pub created: Timestamp,
    pub expires: Timestamp,
    pub uses: u32,
    pub used: u32,
    pub revoked: bool,
}

/// Where an invite stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InviteState {
    Open,
    Used,
    Revoked,
    Expired,
}

impl SentInvite {
    pub fn state(&self, now: Timestamp) -> InviteState {
        if self.revoked {
            InviteState::Revoked
        } else if self.used >= self.uses {
            InviteState::Used
        } else if now >= self.expires {
            InviteState::Expired
        } else {
            InviteState::Open
        }
    }
}

impl Record for SentInvite {
    const KIND: &'static str = "sent-invite";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }

    fn index(&self) -> Vec<Index> {
        vec![
            Index::new("user", Key::of([&self.user]).and(self.created)),
            Index::unique("token", [hash_of(self.token.expose())]),
        ]
    }
}

/// Who accepted a sent invite.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Acceptance {
    pub invite: String,
    pub address: OcmAddress,
    pub at: Timestamp,
}

impl Record for Acceptance {
    const KIND: &'static str = "invite-acceptance";

    fn key(&self) -> Key {
        Key::of([&self.invite, &self.address.to_string()])
    }
}

/// An invite that one of our users accepted.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ReceivedInvite {
    pub user: String,
    /// Of the token, which has done its work and need not be kept.
    pub token_hash: String,
    pub provider: Provider,
    pub address: OcmAddress,
    pub at: Timestamp,
}

impl Record for ReceivedInvite {
    const KIND: &'static str = "received-invite";

    fn key(&self) -> Key {
        Key::of([&self.user, &self.token_hash])
    }
}

/// What an invite is to be like; what is left out is as the operator chose.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct NewInvite {
    pub expires: Option<Duration>,
    pub uses: Option<u32>,
    pub note: String,
}

/// How an Invite Acceptance Request ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    Now(InviteAcceptanceResponse),
    /// The same person had accepted it before: its server asks again because our first answer got lost. It gets the
    /// identity once more, and nobody else does (T-35).
    Before(InviteAcceptanceResponse),
}

/// The invites of this server.
#[derive(Clone)]
pub struct Invites {
    store: Store,
    client: Client,
    peers: Peers,
    settings: Settings,
    own: Provider,
    public_url: PublicUrl,
}

impl Invites {
    pub fn new(config: &Config, store: Store, client: Client, peers: Peers) -> Self {
        Self {
            store,
            client,
            peers,
            settings: config.invites.clone(),
            own: config.server.public_url.provider().clone(),
            public_url: config.server.public_url.clone(),
        }
    }

    /// Makes an invite for `user` to hand out.
    ///
    /// # Errors
    ///
    /// [`Reason::Invalid`] naming `expires`, `uses` or `note`.
    pub async fn create(&self, user: &User, new: NewInvite, now: Timestamp) -> Result<SentInvite> {
        let expires = new.expires.unwrap_or(self.settings.expires.0);
        if expires.is_zero() || expires > self.settings.max_expires.0 {
            let days = self.settings.max_expires.0.as_secs() / 86_400;
            return Err(Error::invalid(
                "expires",
                format!("An invite lasts at most {days} days here."),
            ));
        }
        let uses = new.uses.unwrap_or(1);
        if uses == 0 || uses > self.settings.max_uses {
            let most = self.settings.max_uses;
            return Err(Error::invalid(
                "uses",
                format!("An invite admits 1 to {most} people here."),
            ));
        }
        let note = new.note.trim();
        if note.chars().count() > MAX_NOTE || note.chars().any(char::is_control) {
            return Err(Error::invalid(
                "for",
                "At most 255 characters, and no control characters.",
            ));
        }
        let invite = SentInvite {
            id: random::number(),
            token: random::token(InviteString::token_length_for(&self.own, MIN_TOKEN_LENGTH)),
            user: user.name.clone(),
            note: note.to_owned(),
            created: now,
            expires: now.plus(expires),
            uses,
            used: 0,
            revoked: false,
        };
        self.store.run(async |txn| txn.put(&invite).await).await?;
        Ok(invite)
    }

    /// What the invited person is given: the Invite String (INV-2).
    pub fn string(&self, invite: &SentInvite) -> Result<String> {
        let string = InviteString {
            token: InviteToken::new(invite.token.expose())?,
            provider: self.own.clone(),
        };
        Ok(string.encode())
    }

    /// The link to the page where an invited person names their own server (INV-3).
    pub fn link(&self, invite: &SentInvite) -> String {
        self.public_url.at(&format!("/wayf?token={}", invite.token.expose()))
    }

    /// The open invite with this token, and whose it is: what the link shows. Looking spends nothing.
    ///
    /// # Errors
    ///
    /// [`Reason::InviteUnknown`] for a token that nobody was given here. Whoever has one that was is told what became of
    /// it: [`Reason::InviteRevoked`], [`Reason::InviteUsed`], [`Reason::InviteExpired`].
    pub async fn peek(&self, token: &str, now: Timestamp) -> Result<(SentInvite, User)> {
        let hash = hash_of(token);
        let found = self
            .store
            .read(async |txn| {
                let Some(invite) = txn.find_one::<SentInvite>("token", [&hash]).await? else {
                    return Ok(None);
                };
                let user = txn.get::<User>([&invite.user]).await?;
                Ok(user.map(|user| (invite, user)))
            })
            .await?;
        let Some((invite, user)) = found else {
            return Err(Error::new(
                Reason::InviteUnknown,
                "This server knows no such invitation. Perhaps part of the link is missing.",
            ));
        };
        let over = match invite.state(now) {
            InviteState::Open => return Ok((invite, user)),
            InviteState::Used => Error::new(
                Reason::InviteUsed,
                "This invitation has been used already. If it was not you, tell whoever sent it to you.",
            ),
            InviteState::Revoked => Error::new(
                Reason::InviteRevoked,
                "This invitation was cancelled by whoever made it. Ask for a new one.",
            ),
            InviteState::Expired => Error::new(
                Reason::InviteExpired,
                "This invitation was not used in time, and has ended. Ask for a new one.",
            ),
        };
        Err(over)
    }

    /// Whether this is the token of an invite of ours, wherever that stands: whoever has it was given it once.
    pub async fn is_token(&self, token: &InviteToken) -> Result<bool> {
        let hash = hash_of(token.expose());
        let found = self
            .store
            .read(async |txn| txn.find_one::<SentInvite>("token", [&hash]).await)
            .await?;
        Ok(found.is_some())
    }

    pub async fn list(&self, user: &str, page: &Page) -> Result<Listing<SentInvite>> {
        self.store
            .read(async |txn| txn.find::<SentInvite>("user", [user], page).await)
            .await
    }

    /// An invite of this user, and who accepted it.
    pub async fn get(&self, user: &str, id: &str) -> Result<(SentInvite, Vec<Acceptance>)> {
        self.store
            .read(async |txn| {
                let invite = own_invite(txn, user, id).await?;
                let accepted = txn.list::<Acceptance>([id], &Page::first(100)).await?;
                Ok((invite, accepted.items))
            })
            .await
    }

    /// Ends an invite at once; who accepted it before stays a contact.
    pub async fn revoke(&self, user: &str, id: &str) -> Result<SentInvite> {
        self.store
            .run(async |txn| {
                let mut invite = own_invite(txn, user, id).await?;
                invite.revoked = true;
                txn.put(&invite).await?;
                Ok(invite)
            })
            .await
    }

    /// Answers an Invite Acceptance Request of `signer`, once per use of the token (_Invite Flow_, INV-6, INV-9).
    ///
    /// # Errors
    ///
    /// [`Reason::InviteUnknown`] for a token that is unknown, revoked or past its time: a stranger can't tell which.
    /// [`Reason::InviteUsed`] for one that somebody else has used up.
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
        let redeemed =
            self.store
                .run(async |txn| {
                    let unknown = || Error::new(Reason::InviteUnknown, "This invite is not valid.").in_field("token");
                    let mut invite = txn
                        .find_one::<SentInvite>("token", [&hash])
                        .await?
                        .ok_or_else(unknown)?;
                    let user = txn.get::<User>([&invite.user]).await?.ok_or_else(unknown)?;
                    let acceptance = Acceptance {
                        invite: invite.id.clone(),
                        address: address.clone(),
                        at: now,
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
                    }
                    invite.used += 1;
                    txn.put(&invite).await?;
                    txn.put(&acceptance).await?;
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
                    contacts::add(txn, &contact).await?;
                    Ok(Redeemed::Now(ours))
                })
                .await?;
        self.peers.remember(signer).await?;
        Ok(redeemed)
    }

    /// Reads an invite out of whatever was pasted.
    ///
    /// # Errors
    ///
    /// [`Reason::CodeUnreadable`]; [`Reason::OwnServer`] for an invite of this very server.
    pub fn read(&self, text: &str) -> Result<InviteString> {
        let pasted = InviteString::read_anything(text).map_err(|invalid| {
            let shape = "An invitation is a link with /wayf in it, or a long code. Perhaps part of it is missing.";
            Error::new(Reason::CodeUnreadable, invalid.why().to_owned())
                .and(&shape)
                .in_field("text")
        })?;
        if pasted.provider == self.own {
            return Err(Error::new(
                Reason::OwnServer,
                "This invitation comes from this very server: you two are already neighbours.",
            ));
        }
        Ok(pasted)
    }

    /// The contact that this very invite brought `user` before, if they still are one: there is nothing left to accept.
    pub async fn accepted_before(&self, user: &str, invite: &InviteString) -> Result<Option<Contact>> {
        let hash = hash_of(invite.token.expose());
        self.store
            .read(async |txn| match txn.get::<ReceivedInvite>([user, &hash]).await? {
                Some(known) if known.provider == invite.provider => contacts::get(txn, user, &known.address).await,
                _ => Ok(None),
            })
            .await
    }

    /// Accepts an invite for `user`: tells its server who they are, with their mail address if `tell_mail`, and makes the
    /// inviter their contact. What made them one before is not sent again.
    ///
    /// # Errors
    ///
    /// As [`Invites::read`]; [`Reason::WeRefuseThem`]; [`Reason::InviteUnknown`]; [`Reason::InviteExpired`];
    /// [`Reason::InviteUsedElsewhere`]; other reasons of [`Kind::Peer`](crate::error::Kind::Peer) if that server can't be
    /// reached or refuses us.
    pub async fn accept(&self, user: &User, invite: &InviteString, tell_mail: bool, now: Timestamp) -> Result<Contact> {
        if let Some(contact) = self.accepted_before(&user.name, invite).await? {
            return Ok(contact);
        }
        let host = &invite.provider;
        let mail = if tell_mail { user.mail.as_str() } else { "" };
        let peer = self.peers.meet(host, Purpose::Invite).await?;
        let request = InviteAcceptanceRequest {
            recipient_provider: self.own.clone(),
            token: invite.token.clone(),
            user_id: user.name.clone(),
            email: mail.to_owned(),
            name: user.display_name.clone(),
        };
        let mut message = request.to_json();
        if peer.dialect.old_user_id {
            message["userId"] = message["userID"].clone();
        }
        let url = peer.discovery.invite_accepted_url();
        let outbound = Outbound::post(url, "application/json", message.to_string().into_bytes());
        let signed = self.peers.sign_for(&peer, outbound).await?;
        let answer = self.client.send(signed, MAX_ANSWER).await;
        let status = answer.as_ref().map_or(0, |answer| answer.status);
        self.peers.traffic().ended(host, About::Acceptance, &answer, status);
        let answer = answer?;
        let identity = InviteAcceptanceResponse::parse(&answer.body);
        let theirs = match (answer.status, identity) {
            // 409 with an identity: we were told before, and lost it.
            (200 | 201 | 409, Ok(theirs)) => theirs,
            (409, Err(_)) => {
                return Err(Error::new(
                    Reason::InviteUsedElsewhere,
                    "Somebody has already used this invitation. If it was not you, tell the sender.",
                ));
            }
            (400 | 404 | 410, _) if says(&answer, "expire") => {
                return Err(Error::new(
                    Reason::InviteExpired,
                    format!("{host} says that this invitation has expired."),
                ));
            }
            (400 | 404 | 410, _) if !says(&answer, "signature") => {
                return Err(Error::new(
                    Reason::InviteUnknown,
                    format!("{host} does not know this invitation. It may have been cancelled or have expired."),
                ));
            }
            (200 | 201, Err(invalid)) => {
                return Err(Error::new(
                    Reason::PeerBadAnswer,
                    format!("{host} accepted, but did not say who the inviter is."),
                )
                .caused_by(invalid));
            }
            (status, _) => return Err(peers::refused_by(host, status, answer.complaint(), answer.retry_after)),
        };
        let address = OcmAddress::parse_lenient(&format!("{}@{host}", theirs.user_id)).map_err(|invalid| {
            Error::new(
                Reason::PeerBadAnswer,
                format!("{host} named an inviter that is nobody."),
            )
            .caused_by(invalid)
        })?;
        let contact = Contact {
            user: user.name.clone(),
            address: address.clone(),
            name: shown(&theirs.name),
            email: shown(&theirs.email),
            since: now,
            via: Via::ReceivedInvite,
            ours: Ours {
                told_mail: Some(mail.to_owned()),
                ..Ours::default()
            },
        };
        let received = ReceivedInvite {
            user: user.name.clone(),
            token_hash: hash_of(invite.token.expose()),
            provider: host.clone(),
            address,
            at: now,
        };
        self.store
            .run(async |txn| {
                contacts::add(txn, &contact).await?;
                txn.put(&received).await
            })
            .await?;
        self.peers.remember(host).await?;
        Ok(contact)
    }
}

async fn own_invite(txn: &mut Txn, user: &str, id: &str) -> Result<SentInvite> {
    txn.get::<SentInvite>([id])
        .await?
        .filter(|invite| invite.user == user)
        .ok_or_else(|| Error::not_found("There is no such invite.").in_field("id"))
}

/// Whether the complaint in an answer has this word.
fn says(answer: &Answer, word: &str) -> bool {
    let complaint = answer.complaint();
    complaint.is_some_and(|said| said.to_ascii_lowercase().contains(word))
}

/// A remote name or mail address as it is kept: cut, and without what could disturb a line of text.
fn shown(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(255).collect()
}
