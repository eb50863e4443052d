//! An invite on its way to a person: the message around it, and the mail.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::invites::InviteState;
use crate::invites::Invites;
use crate::invites::SentInvite;
use crate::invites::history::KEPT;
use crate::invites::own_invite;
use crate::lang::Lang;
use crate::mail::Letter;
use crate::mail::Recipient;
use crate::store::Key;
use crate::store::Page;
use crate::store::Record;
use crate::store::Txn;
use crate::users::User;

/// How many mails one person may have this server send in a day: it is for inviting people, not for writing to them all.
const MAILS_A_DAY: u32 = 50;
const DAY: Duration = Duration::from_secs(86_400);

/// What to write to the one who is invited.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub subject: String,
    pub body: String,
}

/// That an invite was mailed, and what the mail server said.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Mailed {
    pub invite: String,
    pub to: String,
    pub at: Timestamp,
    pub said: String,
}

impl Record for Mailed {
    const KIND: &'static str = "invite-mailed";

    fn key(&self) -> Key {
        Key::of([&self.invite, &self.to])
    }
}

/// How many mails a user had this server send, and since when they are counted.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct MailCount {
    user: String,
    since: Timestamp,
    mails: u32,
}

impl Record for MailCount {
    const KIND: &'static str = "mail-count";

    fn key(&self) -> Key {
        Key::of([&self.user])
    }
}

/// Characters of the inviter's name in a message: mails with it come from the operator's address.
const LONGEST_NAME: usize = 60;

impl Invites {
    /// The message that hands an invite over, in a language that the one who gets it reads.
    pub fn message(&self, user: &User, invite: &SentInvite, lang: Lang) -> Result<Message> {
        // A name, and no advertisement in ours.
        let name: String = user.display_name.chars().take(LONGEST_NAME).collect();
        let name = name.replace("://", " ");
        let (name, address) = (name.as_str(), format!("{}@{}", user.name, self.own));
        let (link, code, until) = (self.link(invite), self.string(invite)?, lang.when(invite.expires));
        let mut parts =
            vec![
            lang.fill(
                "{name} ({address}) invites you to connect, so that you two can share files although your accounts are \
                 on different servers.",
                &[("name", name), ("address", &address)],
            ),
            format!("{}\n{link}", lang.fill("Open this link and say where your account is:", &[])),
            format!(
                "{}\n{code}",
                lang.fill("If your server asks for an invitation code instead, copy this:", &[])
            ),
        ];
        if !invite.attached.is_empty() {
            let names: Vec<_> = invite.attached.iter().filter_map(|one| one.path.name()).collect();
            parts.push(lang.fill(
                "As soon as you accept, this is shared with you: {what}",
                &[("what", &names.join(", "))],
            ));
        }
        if let Some(server) = &invite.only_for {
            parts.push(lang.fill(
                "The invitation is for an account at {server}.",
                &[("server", &server.to_string())],
            ));
        }
        parts.push(lang.fill("The invitation is valid until {until}.", &[("until", &until)]));
        Ok(Message {
            subject: lang.fill("{name} invites you to share files", &[("name", name)]),
            body: parts.join("\n\n"),
        })
    }

    /// Whether the operator has a mail server for [`Invites::mail`].
    pub fn can_mail(&self) -> bool {
        self.mail.can_send()
    }

    /// Mails the message of an open invite to somebody. Nothing but that message is sent, and not many of them, so that
    /// nobody's account is of use to spammers. A mail that fails changes nothing.
    ///
    /// # Errors
    ///
    /// [`Reason::Invalid`] in the field `to`; [`Reason::NotFound`]; [`Reason::Conflict`] if it is open no longer;
    /// [`Reason::Busy`] for one mail too many; else as [`Mail::send`](crate::mail::Mail::send).
    pub async fn mail(&self, user: &User, id: &str, to: &str, lang: Option<Lang>, now: Timestamp) -> Result<Mailed> {
        let to = Recipient::parse(to)?;
        let invite = self
            .store
            .run(async |txn| {
                let invite = own_invite(txn, &user.name, id).await?;
                if invite.state(now) != InviteState::Open {
                    return Err(Error::new(
                        Reason::Conflict,
                        "This invitation is open no longer. Make another.",
                    ));
                }
                if self.mail.can_send() {
                    // Counted before it is sent: many at once are as many.
                    count(txn, &user.name, now).await?;
                }
                Ok(invite)
            })
            .await?;
        let message = self.message(user, &invite, lang.unwrap_or(invite.lang))?;
        let letter = Letter {
            to: &to,
            reply_to: &user.mail,
            subject: &message.subject,
            body: &message.body,
            automatic: None,
        };
        let mailed = Mailed {
            invite: invite.id,
            to: to.as_str().to_owned(),
            at: now,
            said: self.mail.send(&letter).await?,
        };
        self.store
            .run(async |txn| {
                let known = txn.list::<Mailed>([&mailed.invite], &Page::first(KEPT)).await?.items;
                let again = known.iter().any(|known| known.to == mailed.to);
                let oldest = known.iter().min_by_key(|known| known.at);
                if let Some(oldest) = oldest.filter(|_| !again && known.len() >= KEPT) {
                    txn.delete::<Mailed>(oldest.key()).await?;
                }
                txn.put(&mailed).await
            })
            .await?;
        Ok(mailed)
    }
}

async fn count(txn: &mut Txn, user: &str, now: Timestamp) -> Result<()> {
    let counted = txn.get::<MailCount>([user]).await?;
    let mut counted = counted
        .filter(|counted| now < counted.since.plus(DAY))
        .unwrap_or_else(|| MailCount {
            user: user.to_owned(),
            since: now,
            mails: 0,
        });
    if counted.mails >= MAILS_A_DAY {
        let wait = now.until(counted.since.plus(DAY));
        let why = format!("You have sent {MAILS_A_DAY} mails from here today. Use your own mail program, or wait.");
        return Err(Error::new(Reason::Busy, why).in_field("to").retry_after(Some(wait)));
    }
    counted.mails += 1;
    txn.put(&counted).await
}
