//! Invites from elsewhere that our users accept.

use serde::Deserialize;
use serde::Serialize;

use crate::client::Answer;
use crate::client::MAX_ANSWER;
use crate::client::Outbound;
use crate::clock::Timestamp;
use crate::contacts;
use crate::contacts::Contact;
use crate::contacts::Ours;
use crate::contacts::Via;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::invites::Invites;
use crate::invites::shown;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::invite::InviteAcceptanceRequest;
use crate::ocm::invite::InviteAcceptanceResponse;
use crate::ocm::invite::InviteString;
use crate::peers;
use crate::peers::traffic::About;
use crate::peers::trust::Purpose;
use crate::secret::hash_of;
use crate::store::Key;
use crate::store::Record;
use crate::users::User;

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

impl Invites {
    /// Reads an invite out of whatever was pasted.
    ///
    /// # Errors
    ///
    /// [`Reason::CodeUnreadable`]; [`Reason::OwnServer`] for an invite of this very server.
    pub fn read(&self, text: &str) -> Result<InviteString> {
        let pasted = InviteString::read_anything(text)
            .map_err(|invalid| Error::new(Reason::CodeUnreadable, invalid.why().to_owned()).in_field("text"))?;
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
                self.add_contact(txn, &contact, now).await?;
                txn.put(&received).await
            })
            .await?;
        self.peers.remember(host).await?;
        Ok(contact)
    }
}

/// Whether the complaint in an answer has this word.
fn says(answer: &Answer, word: &str) -> bool {
    let complaint = answer.complaint();
    complaint.is_some_and(|said| said.to_ascii_lowercase().contains(word))
}
