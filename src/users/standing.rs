//! Where a person stands: brought in by a link, an admin or not, disabled, gone.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::random;
use crate::secret::Secret;
use crate::secret::hash_of;
use crate::store::Index;
use crate::store::Key;
use crate::store::Page;
use crate::store::Present;
use crate::store::Record;
use crate::store::Txn;
use crate::users::NewUser;
use crate::users::UNKNOWN_USER;
use crate::users::User;
use crate::users::Users;
use crate::users::end_sessions;
use crate::users::insert;
use crate::users::no_such_user;

/// How long a sign-in link lets someone set their password.
pub const SIGN_IN_LINK_LASTS: Duration = Duration::from_secs(7 * 86_400);

const LINK_CODE_LENGTH: usize = 32;

/// The one open sign-in link of an account, by its hash only (T-72).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct SignInLink {
    user: String,
    hash: String,
    expires: Timestamp,
}

impl Record for SignInLink {
    const KIND: &'static str = "sign-in-link";

    fn key(&self) -> Key {
        Key::of([&self.user])
    }

    fn index(&self) -> Vec<Index> {
        vec![Index::unique("hash", [&self.hash])]
    }
}

/// A name that somebody had: mail and shares for them must never reach somebody else.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Gone {
    name: String,
    at: Timestamp,
}

impl Record for Gone {
    const KIND: &'static str = "gone-user";

    fn key(&self) -> Key {
        Key::of([&self.name])
    }
}

/// Who could do what in data whose place other data takes.
pub struct Standing {
    /// By name: whether they could sign in, and whether they were admins.
    people: BTreeMap<String, (bool, bool)>,
    gone: Vec<Gone>,
}

/// Who is kept out of what has taken its place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PutOut {
    /// Who was disabled or deleted.
    pub disabled: Vec<String>,
    /// Who was no admin any more.
    pub demoted: Vec<String>,
}

impl Standing {
    /// The records that tell.
    pub const KINDS: [&str; 2] = [User::KIND, Gone::KIND];

    /// # Errors
    ///
    /// As [`Present::all`].
    pub fn of(there: &Present) -> Result<Self> {
        let people = there.all::<User>()?.into_iter();
        Ok(Self {
            people: people
                .map(|user| (user.name.clone(), (user.is_active(), user.admin)))
                .collect(),
            gone: there.all()?,
        })
    }

    /// Takes from somebody what they had lost; says what that was, if it was anything.
    fn take_from(&self, user: &mut User, now: Timestamp) -> (bool, bool) {
        let (active, admin) = match self.people.get(&user.name) {
            Some(known) => *known,
            None => (self.gone.iter().all(|gone| gone.name != user.name), user.admin),
        };
        let taken = (user.is_active() && !active, user.admin && !admin);
        if taken.0 {
            user.disabled = Some(now);
        }
        user.admin &= admin;
        taken
    }
}

impl User {
    /// Whether they have ever set a password; until then only a link lets them in.
    pub fn has_password(&self) -> bool {
        self.password.expose() != UNKNOWN_USER
    }

    /// Whether they may sign in and do something.
    pub fn is_active(&self) -> bool {
        self.disabled.is_none()
    }
}

/// Whoever has a password of their own needs the link no more that was sent to them; others may have read it since.
pub(super) async fn void_link(txn: &mut Txn, name: &str) -> Result<()> {
    txn.delete::<SignInLink>([name]).await.map(drop)
}

impl Users {
    /// Makes an account without a password, and the code with which its owner sets one. `new.password` is not looked at.
    ///
    /// # Errors
    ///
    /// As [`Users::create`].
    pub async fn invite(&self, new: &NewUser, now: Timestamp) -> Result<(User, Secret)> {
        let user = self.described(new, now)?;
        let (link, code) = new_link(&user.name, now);
        self.store
            .run(async |txn| {
                insert(txn, &user).await?;
                txn.put(&link).await
            })
            .await?;
        Ok((user, code))
    }

    /// Issues a new sign-in link for an account; an earlier one is void. Its password stays until the link is used.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`]; [`Reason::Conflict`] for an account that is disabled.
    pub async fn issue_link(&self, name: &str, now: Timestamp) -> Result<(User, Secret)> {
        let name = name.to_lowercase();
        let (link, code) = new_link(&name, now);
        let user = self
            .store
            .run(async |txn| {
                let user = existing(txn, &name).await?;
                if !user.is_active() {
                    return Err(Error::new(
                        Reason::Conflict,
                        "This account is disabled. Enable it first.",
                    ));
                }
                txn.put(&link).await?;
                Ok(user)
            })
            .await?;
        Ok((user, code))
    }

    /// When the open sign-in link of an account ends.
    pub async fn link_until(&self, name: &str, now: Timestamp) -> Result<Option<Timestamp>> {
        let link = self.store.read(async |txn| txn.get::<SignInLink>([name]).await).await?;
        Ok(link.map(|link| link.expires).filter(|end| now < *end))
    }

    /// The account that a sign-in link opens. Looking spends nothing.
    ///
    /// # Errors
    ///
    /// [`Reason::SetupLinkInvalid`] for a code that is wrong, used or over its time: a stranger can't tell which.
    pub async fn check_link(&self, code: &Secret, now: Timestamp) -> Result<User> {
        self.store.read(async |txn| linked(txn, code, now).await).await
    }

    /// Sets a password with a sign-in link, once; every session of that account ends in the same commit (T-72).
    ///
    /// # Errors
    ///
    /// As [`Users::check_link`]; [`Reason::Invalid`] for a password that is too short.
    pub async fn use_link(&self, code: &Secret, password: Secret, now: Timestamp) -> Result<User> {
        self.check_link(code, now).await?;
        let password = self.hash(password).await?;
        self.store
            .run(async |txn| {
                let mut user = linked(txn, code, now).await?;
                user.password = password.clone();
                txn.put(&user).await?;
                txn.delete::<SignInLink>([&user.name]).await?;
                end_sessions(txn, &user.name).await?;
                Ok(user)
            })
            .await
    }

    /// Lets somebody in no more, or lets them in again. Being disabled ends their sessions in the same commit (T-72);
    /// what they share goes on.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`]; [`Reason::Conflict`] for the last admin who can sign in.
    pub async fn set_disabled(&self, name: &str, disabled: bool, now: Timestamp) -> Result<User> {
        let name = name.to_lowercase();
        self.store
            .run(async |txn| {
                let mut user = existing(txn, &name).await?;
                user.disabled = match disabled {
                    true => user.disabled.or(Some(now)),
                    false => None,
                };
                if disabled {
                    leave_an_admin(txn, &user).await?;
                    txn.delete::<SignInLink>([&name]).await?;
                    end_sessions(txn, &name).await?;
                }
                txn.put(&user).await?;
                Ok(user)
            })
            .await
    }

    /// Makes somebody an admin, or no longer.
    ///
    /// # Errors
    ///
    /// As [`Users::set_disabled`].
    pub async fn set_admin(&self, name: &str, admin: bool) -> Result<User> {
        let name = name.to_lowercase();
        self.store
            .run(async |txn| {
                let mut user = existing(txn, &name).await?;
                if !admin {
                    leave_an_admin(txn, &user).await?;
                }
                user.admin = admin;
                txn.put(&user).await?;
                // One made for less must not open more.
                void_link(txn, &name).await?;
                Ok(user)
            })
            .await
    }

    /// Deletes an account for good; its name is never given out again. What it shared has been ended before.
    ///
    /// # Errors
    ///
    /// As [`Users::set_disabled`].
    pub async fn delete(&self, name: &str, now: Timestamp) -> Result<User> {
        let name = name.to_lowercase();
        self.store
            .run(async |txn| {
                let user = existing(txn, &name).await?;
                leave_an_admin(txn, &user).await?;
                end_sessions(txn, &name).await?;
                txn.delete::<SignInLink>([&name]).await?;
                txn.delete::<User>([&name]).await?;
                let gone = Gone {
                    name: name.clone(),
                    at: now,
                };
                txn.put(&gone).await?;
                Ok(user)
            })
            .await
    }
}

/// How many are looked at in one commit.
const ROWS: usize = 200;

impl Users {
    /// Disables who could not sign in, and takes from who was no admin what admins may, whatever was kept of them earlier:
    /// with a backup nobody comes back who was put out since (T-86). That may leave nobody who is an admin.
    pub async fn keep_out(&self, before: &Standing, now: Timestamp) -> Result<PutOut> {
        let mut done = PutOut::default();
        let mut page = Page::first(ROWS);
        loop {
            let (some, next) = self
                .store
                .run(async |txn| {
                    let listing = txn.list::<User>(Key::ALL, &page).await?;
                    let mut taken = Vec::new();
                    for mut user in listing.items {
                        let what = before.take_from(&mut user, now);
                        if what != (false, false) {
                            txn.put(&user).await?;
                            taken.push((user.name, what));
                        }
                    }
                    Ok((taken, listing.next))
                })
                .await?;
            for (name, (disabled, demoted)) in some {
                if demoted {
                    done.demoted.push(name.clone());
                }
                if disabled {
                    done.disabled.push(name);
                }
            }
            match next {
                Some(next) => page = Page::after(next, ROWS),
                None => break,
            }
        }
        self.remember_gone(&before.gone).await?;
        Ok(done)
    }

    /// Names of the deleted, also of those whom the backup never knew, are given to nobody.
    async fn remember_gone(&self, gone: &[Gone]) -> Result<()> {
        for some in gone.chunks(ROWS) {
            self.store
                .run(async |txn| {
                    for one in some {
                        if txn.get::<User>([&one.name]).await?.is_none() {
                            txn.put(one).await?;
                        }
                    }
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }
}

fn new_link(name: &str, now: Timestamp) -> (SignInLink, Secret) {
    let code = random::token(LINK_CODE_LENGTH);
    let link = SignInLink {
        user: name.to_owned(),
        hash: hash_of(code.expose()),
        expires: now.plus(SIGN_IN_LINK_LASTS),
    };
    (link, code)
}

async fn existing(txn: &mut Txn, name: &str) -> Result<User> {
    txn.get::<User>([name]).await?.ok_or_else(no_such_user)
}

async fn linked(txn: &mut Txn, code: &Secret, now: Timestamp) -> Result<User> {
    let over = || {
        Error::new(
            Reason::SetupLinkInvalid,
            "This sign-in link is not valid any more. Ask an admin of this server for a new one.",
        )
    };
    if code.is_empty() {
        return Err(over());
    }
    let link = txn.find_one::<SignInLink>("hash", [hash_of(code.expose())]).await?;
    let link = link.filter(|link| now < link.expires).ok_or_else(over)?;
    let user = txn.get::<User>([&link.user]).await?;
    user.filter(User::is_active).ok_or_else(over)
}

/// What is done to `user` must leave an admin who can sign in, or nobody could undo it.
async fn leave_an_admin(txn: &mut Txn, user: &User) -> Result<()> {
    if !user.admin {
        return Ok(());
    }
    let mut page = Page::first(100);
    loop {
        let some = txn.find::<User>("admin", ["yes"], &page).await?;
        let stays = |other: &User| other.name != user.name && other.is_active() && other.has_password();
        if some.items.iter().any(stays) {
            return Ok(());
        }
        match some.next {
            Some(next) => page = Page::after(next, 100),
            None => {
                return Err(Error::new(
                    Reason::Conflict,
                    "This is the last admin who can sign in. Make somebody else an admin first.",
                ));
            }
        }
    }
}
