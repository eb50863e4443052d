//! Invites from elsewhere that our users accept.

use serde::Deserialize;
use serde::Serialize;

use crate::client::MAX_ANSWER;
use crate::client::Outbound;
use crate::clock::Timestamp;
use crate::contacts;
use crate::contacts::Contact;
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
        let pasted = InviteString::read_anything(text).map_err(|_| {
            Error::new(
                Reason::CodeUnreadable,
                "This is not an invite. It should be a link or a long code; perhaps part of it is missing.",
            )
            .in_field("text")
        })?;
        if pasted.provider == self.own {
            return Err(Error::new(
                Reason::OwnServer,
                "This invite comes from this very server: you two are already neighbours.",
            ));
        }
        Ok(pasted)
    }

    /// Accepts an invite for `user`: tells its server who they are, and makes the inviter their contact.
    ///
    /// # Errors
    ///
    /// As [`Invites::read`]; [`Reason::WeRefuseThem`]; [`Reason::InviteUnknown`]; [`Reason::InviteUsedElsewhere`]; other
    /// reasons of [`Kind::Peer`](crate::error::Kind::Peer) if that server can't be reached or refuses us.
    pub async fn accept(&self, user: &User, invite: &InviteString, now: Timestamp) -> Result<Contact> {
        let host = &invite.provider;
        let peer = self.peers.meet(host, Purpose::Invite).await?;
        let request = InviteAcceptanceRequest {
            recipient_provider: self.own.clone(),
            token: invite.token.clone(),
            user_id: user.name.clone(),
            email: user.mail.clone(),
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
                    "Somebody has already used this invite. If it was not you, tell the sender.",
                ));
            }
            (400 | 404, _)
                if answer
                    .complaint()
                    .is_none_or(|said| !said.to_ascii_lowercase().contains("signature")) =>
            {
                return Err(Error::new(
                    Reason::InviteUnknown,
                    format!("{host} does not know this invite. It may have been revoked or have expired."),
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
