//! Invites that our users hand out: made, looked at, extended, ended.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::Who;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::TreePath;
use crate::invites::Invites;
use crate::invites::no_such_invite;
use crate::invites::own_invite;
use crate::lang::Lang;
use crate::ocm::address::Provider;
use crate::ocm::invite::InviteString;
use crate::ocm::invite::InviteToken;
use crate::random;
use crate::secret::Secret;
use crate::secret::hash_of;
use crate::store::Index;
use crate::store::Key;
use crate::store::Listing;
use crate::store::Page;
use crate::store::Record;
use crate::users::User;

/// At least 142 bits, and as much more as makes the Invite String a multiple of three bytes (INV-1, INV-2).
const MIN_TOKEN_LENGTH: usize = 24;
const MAX_NOTE: usize = 255;
/// How much may be attached to one invite, so that it and its acceptances stay small: in number, and in bytes of paths.
const MAX_ATTACHED: usize = 5;
const MAX_PATHS: usize = 1500;

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
    /// The only server whose people may accept it.
    #[serde(default)]
    pub only_for: Option<Provider>,
    /// Of the message around it.
    #[serde(default)]
    pub lang: Lang,
    /// What is shared with whoever accepts.
    #[serde(default)]
    pub attached: Vec<Attachment>,
    /// Came back with a backup, and may have been used or cancelled since that was made: nobody can accept it until an
    /// admin says so (T-86).
    #[serde(default)]
    pub held: bool,
}

/// A file or folder of the inviter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attachment {
    pub path: TreePath,
    /// Whether they may change it.
    #[serde(default)]
    pub write: bool,
}

/// Where an invite stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum InviteState {
    Open,
    Used,
    Revoked,
    Expired,
    /// Waits for an admin since a restore.
    Held,
}

/// What people look for in a list: what can still be accepted, what came to something, and what did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    Open,
    Accepted,
    Ended,
}

impl SentInvite {
    pub fn state(&self, now: Timestamp) -> InviteState {
        if self.revoked {
            InviteState::Revoked
        } else if self.used >= self.uses {
            InviteState::Used
        } else if now >= self.expires {
            InviteState::Expired
        } else if self.held {
            InviteState::Held
        } else {
            InviteState::Open
        }
    }

    pub fn standing(&self, now: Timestamp) -> Standing {
        match self.state(now) {
            InviteState::Open | InviteState::Held => Standing::Open,
            _ if self.used > 0 => Standing::Accepted,
            _ => Standing::Ended,
        }
    }
}

impl Record for SentInvite {
    const KIND: &'static str = "sent-invite";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }

    fn index(&self) -> Vec<Index> {
        let mut index = vec![
            Index::new("user", Key::of([&self.user]).and(self.created)),
            Index::unique("token", [hash_of(self.token.expose())]),
        ];
        if self.held {
            index.push(Index::new("held", ["yes"]));
        }
        index
    }
}

/// What an invite is to be like; what is left out is as the operator chose.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct NewInvite {
    pub expires: Option<Duration>,
    pub uses: Option<u32>,
    pub note: String,
    pub only_for: Option<Provider>,
    pub lang: Lang,
    pub attached: Vec<Attachment>,
}

/// How many invites are looked at in one commit.
const ROWS: usize = 200;

impl Invites {
    /// Makes an invite for `user` to hand out.
    ///
    /// # Errors
    ///
    /// [`Reason::Invalid`] naming `expires`, `uses`, `for`, `server` or `share`; [`Reason::NotFound`] naming `share` if
    /// there is nothing of that name; [`Reason::NotAllowed`] as [`Invites::check_allowed`].
    pub async fn create(&self, user: &User, new: NewInvite, now: Timestamp) -> Result<SentInvite> {
        self.check_allowed(user).await?;
        let expires = now.plus(self.lasting(new.expires)?);
        let uses = new.uses.unwrap_or(1);
        if uses == 0 || uses > self.settings.max_uses {
            let most = self.settings.max_uses;
            return Err(Error::invalid(
                "uses",
                format!("An invitation admits 1 to {most} people here."),
            ));
        }
        let note = new.note.trim();
        if note.chars().count() > MAX_NOTE || note.chars().any(char::is_control) {
            return Err(Error::invalid(
                "for",
                "At most 255 characters, and no control characters.",
            ));
        }
        if new.only_for.as_ref() == Some(&self.own) {
            return Err(Error::invalid(
                "server",
                "That is this very server: its people need no invitation to each other.",
            ));
        }
        self.check_attached(user, &new.attached).await?;
        let invite = SentInvite {
            id: random::number(),
            token: random::token(InviteString::token_length_for(&self.own, MIN_TOKEN_LENGTH)),
            user: user.name.clone(),
            note: note.to_owned(),
            created: now,
            expires,
            uses,
            used: 0,
            revoked: false,
            only_for: new.only_for,
            lang: new.lang,
            attached: new.attached,
            held: false,
        };
        self.store.run(async |txn| txn.put(&invite).await).await?;
        Ok(invite)
    }

    /// Passes if this user may invite people.
    ///
    /// # Errors
    ///
    /// [`Reason::NotAllowed`], and whom to ask.
    pub async fn check_allowed(&self, user: &User) -> Result<()> {
        match self.whom_to_ask(user).await? {
            None => Ok(()),
            Some(who) => Err(Error::new(
                Reason::NotAllowed,
                format!("Invitations are reserved to the admins of this server. Ask {who}."),
            )),
        }
    }

    /// The admins by name, where this user may not invite people.
    pub async fn whom_to_ask(&self, user: &User) -> Result<Option<String>> {
        if user.admin || self.settings.who == Who::Everyone {
            return Ok(None);
        }
        let few = Page::first(5);
        let admins = self
            .store
            .read(async |txn| txn.find::<User>("admin", ["yes"], &few).await)
            .await?;
        let names: Vec<_> = admins.items.into_iter().map(|admin| admin.display_name).collect();
        Ok(Some(names.join(", ")))
    }

    fn lasting(&self, wish: Option<Duration>) -> Result<Duration> {
        let expires = wish.unwrap_or(self.settings.expires.0);
        if expires.is_zero() {
            return Err(Error::invalid(
                "expires",
                "The end of an invitation lies in the future.",
            ));
        }
        if expires > self.settings.max_expires.0 {
            return Err(self.too_long());
        }
        Ok(expires)
    }

    fn too_long(&self) -> Error {
        let days = self.settings.max_expires.0.as_secs() / 86_400;
        Error::invalid("expires", format!("An invitation lasts at most {days} days here."))
    }

    async fn check_attached(&self, user: &User, attached: &[Attachment]) -> Result<()> {
        let bytes: usize = attached.iter().map(|attachment| attachment.path.as_str().len()).sum();
        if attached.len() > MAX_ATTACHED || bytes > MAX_PATHS {
            return Err(Error::invalid(
                "share",
                format!("At most {MAX_ATTACHED} files or folders go with one invitation; put more into one folder."),
            ));
        }
        if attached.is_empty() {
            return Ok(());
        }
        let tree = self.homes.of(&user.name).await?;
        for (at, attachment) in attached.iter().enumerate() {
            if attachment.path.is_root() {
                return Err(Error::invalid(
                    "share",
                    "Share a file or a folder, not everything at once.",
                ));
            }
            if attached[..at].iter().any(|other| other.path == attachment.path) {
                return Err(Error::invalid("share", "The same file or folder stands there twice."));
            }
            let found = tree.stat(&attachment.path).await;
            found.map_err(|error| error.in_field("share"))?;
        }
        Ok(())
    }

    /// What the invited person is given: the Invite String (INV-2).
    pub fn string(&self, invite: &SentInvite) -> Result<String> {
        let string = InviteString {
            token: InviteToken::new(invite.token.expose())?,
            provider: self.own.clone(),
        };
        Ok(string.encode())
    }

    /// The link to the page where an invited person names their own server (INV-3), from the address that the operator
    /// chose (T-76).
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
                let user = txn.get::<User>([&invite.user]).await?.filter(User::is_active);
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
            InviteState::Held => held(),
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

    /// Lets what is attached follow a file or folder to another path, or go where there is none any more: what comes to
    /// stand in its place later is not given away by accident.
    pub async fn follow(&self, user: &str, from: &TreePath, to: Option<&TreePath>) -> Result<()> {
        let mut page = Page::first(ROWS);
        loop {
            let next = self
                .store
                .run(async |txn| {
                    let some = txn.find::<SentInvite>("user", [user], &page).await?;
                    for mut invite in some.items {
                        let before = invite.attached.len();
                        let mut moved = false;
                        invite
                            .attached
                            .retain_mut(|attachment| match attachment.path.below(from) {
                                None => true,
                                Some(rest) => {
                                    let there = to.and_then(|to| to.descend(&rest).ok());
                                    moved |= there.is_some();
                                    there.is_some_and(|there| {
                                        attachment.path = there;
                                        true
                                    })
                                }
                            });
                        if moved || invite.attached.len() != before {
                            txn.put(&invite).await?;
                        }
                    }
                    Ok(some.next)
                })
                .await?;
            match next {
                Some(next) => page = Page::after(next, ROWS),
                None => return Ok(()),
            }
        }
    }

    pub async fn list(&self, user: &str, page: &Page) -> Result<Listing<SentInvite>> {
        self.store
            .read(async |txn| txn.find::<SentInvite>("user", [user], page).await)
            .await
    }

    /// Those of all users, for the operator and the admins.
    pub async fn all(&self, page: &Page) -> Result<Listing<SentInvite>> {
        self.store
            .read(async |txn| txn.list::<SentInvite>(Key::ALL, page).await)
            .await
    }

    /// An invite, whoever made it, for the operator and the admins.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`].
    pub async fn any(&self, id: &str) -> Result<SentInvite> {
        let found = self.store.read(async |txn| txn.get::<SentInvite>([id]).await).await?;
        found.ok_or_else(no_such_invite)
    }

    /// Ends an invite at once; who accepted it before stays a contact.
    pub async fn revoke(&self, user: &str, id: &str) -> Result<SentInvite> {
        self.store
            .run(async |txn| {
                let mut invite = own_invite(txn, user, id).await?;
                invite.revoked = true;
                invite.held = false;
                txn.put(&invite).await?;
                Ok(invite)
            })
            .await
    }

    /// What is held since a restore, of all users.
    pub async fn held(&self, page: &Page) -> Result<Listing<SentInvite>> {
        self.store
            .read(async |txn| txn.find::<SentInvite>("held", ["yes"], page).await)
            .await
    }

    /// Lets people accept an invite that is held.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`].
    pub async fn release(&self, id: &str) -> Result<SentInvite> {
        self.store
            .run(async |txn| {
                let mut invite = txn.get::<SentInvite>([id]).await?.ok_or_else(no_such_invite)?;
                invite.held = false;
                txn.put(&invite).await?;
                Ok(invite)
            })
            .await
    }

    /// Lets an invite last longer by so much, though no longer from now than one may last. One that has just expired
    /// opens again.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`] for one that was cancelled or used up; [`Reason::Invalid`] for one that lasts as long as it
    /// may already; [`Reason::NotAllowed`] as [`Invites::check_allowed`].
    pub async fn extend(&self, user: &User, id: &str, by: Duration, now: Timestamp) -> Result<SentInvite> {
        self.check_allowed(user).await?;
        self.store
            .run(async |txn| {
                let mut invite = own_invite(txn, &user.name, id).await?;
                match invite.state(now) {
                    InviteState::Open | InviteState::Expired => {}
                    InviteState::Used => {
                        return Err(Error::new(
                            Reason::Conflict,
                            "This invitation is used up. Make another.",
                        ));
                    }
                    InviteState::Revoked => {
                        return Err(Error::new(
                            Reason::Conflict,
                            "This invitation was cancelled. Make another.",
                        ));
                    }
                    InviteState::Held => return Err(held()),
                }
                let expires = invite
                    .expires
                    .max(now)
                    .plus(by)
                    .min(now.plus(self.settings.max_expires.0));
                if expires <= invite.expires {
                    return Err(self.too_long());
                }
                invite.expires = expires;
                txn.put(&invite).await?;
                Ok(invite)
            })
            .await
    }
}

/// It may be open, or may have been used or cancelled since the backup: nobody can tell yet.
pub(super) fn held() -> Error {
    Error::new(
        Reason::Busy,
        "This server was put back from a backup, and an admin has still to look through its invitations. Try again later.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_kept_before_anything_could_be_attached_is_still_read() {
        let kept = r#"{"id":"1","token":"t","user":"ada","note":"","created":1,"expires":9,"uses":2,"used":1,
            "revoked":false}"#;
        let invite: SentInvite = serde_json::from_str(kept).unwrap();
        assert_eq!(
            (invite.only_for, invite.lang, invite.attached.len()),
            (None, Lang::En, 0)
        );
    }

    #[test]
    fn an_invite_stands_where_people_look_for_it() {
        let check = |uses: u32, used: u32, revoked: bool, at: i64, expected: Standing| {
            let invite = SentInvite {
                id: "1".to_owned(),
                token: Secret::new("t"),
                user: "ada".to_owned(),
                note: String::new(),
                created: Timestamp(0),
                expires: Timestamp(10),
                uses,
                used,
                revoked,
                only_for: None,
                lang: Lang::En,
                attached: Vec::new(),
                held: false,
            };
            assert_eq!(invite.standing(Timestamp(at)), expected);
        };
        check(1, 0, false, 9, Standing::Open);
        check(1, 0, false, 10, Standing::Ended);
        check(1, 0, true, 9, Standing::Ended);
        check(1, 1, false, 9, Standing::Accepted);
        // A workshop that others may still join.
        check(30, 3, false, 9, Standing::Open);
        check(30, 3, false, 10, Standing::Accepted);
        check(30, 3, true, 9, Standing::Accepted);
    }
}
