//! Accounts: who may sign in here, with argon2id passwords and sessions kept on the server.

mod sessions;

use std::sync::Arc;
use std::time::Duration;

use argon2::Argon2;
use argon2::PasswordHasher;
use argon2::PasswordVerifier;
use argon2::password_hash::phc::PasswordHash;
use moka::sync::Cache;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Semaphore;

use crate::clock::Timestamp;
use crate::config::Accounts;
use crate::config::UserTopic;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::lang::Lang;
use crate::metrics::Fill;
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

mod standing;

use self::sessions::end_sessions;
use self::standing::Gone;

pub use self::sessions::OpenSession;
pub use self::sessions::Visitor;
pub use self::standing::PutOut;
pub use self::standing::SIGN_IN_LINK_LASTS;
pub use self::standing::Standing;

/// How long a set-up link opens the page that makes the first admin.
pub const SETUP_LINK_LASTS: Duration = Duration::from_secs(30 * 60);

const SETUP_CODE_LENGTH: usize = 24;
/// How many passwords are hashed at once; each takes 19 MiB.
const HASHERS: usize = 2;
const TRIES: u32 = 10;
/// For how many accounts and addresses tries are counted.
const FAILURES: u64 = 10_000;
const TRIES_WITHIN: Duration = Duration::from_secs(15 * 60);
const MAX_PASSWORD: usize = 1024;

/// Someone with an account here. The name is the identifier of their OCM Address and is never given out twice.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct User {
    pub name: String,
    pub display_name: String,
    pub mail: String,
    pub admin: bool,
    pub created: Timestamp,
    /// Since when they may not sign in.
    #[serde(default)]
    pub disabled: Option<Timestamp>,
    /// When they last used this server, to a few minutes.
    #[serde(default)]
    pub seen: Option<Timestamp>,
    /// What pages are in; none for what the browser asks for.
    #[serde(default)]
    pub language: Option<Lang>,
    /// Whether what contacts share is accepted at once.
    #[serde(default)]
    pub accept_from_contacts: bool,
    /// What they want to hear about by mail; none for what the operator chose for all.
    #[serde(default)]
    pub notify: Option<Vec<UserTopic>>,
    /// In the PHC string format; a hash, and still nobody's business.
    password: Secret,
}

impl Record for User {
    const KIND: &'static str = "user";

    fn key(&self) -> Key {
        Key::of([&self.name])
    }

    fn index(&self) -> Vec<Index> {
        if self.admin {
            vec![Index::new("admin", ["yes"])]
        } else {
            Vec::new()
        }
    }
}

/// What a new account needs.
#[derive(Clone, Debug, Deserialize)]
pub struct NewUser {
    pub name: String,
    #[serde(default)]
    pub display_name: String,
    #[serde(default)]
    pub mail: String,
    pub password: Secret,
    #[serde(default)]
    pub admin: bool,
}

/// What someone may change of their own account; what is none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    pub display_name: Option<String>,
    pub mail: Option<String>,
    /// None of ours for what the browser asks for.
    pub language: Option<Option<Lang>>,
    pub accept_from_contacts: Option<bool>,
    pub notify: Option<Vec<UserTopic>>,
}

/// Proof that a person signed in: who they are, and what their forms must carry.
#[derive(Clone, Debug)]
pub struct Session {
    pub user: User,
    /// Stands in every form; a form without it was not made by our pages (T-70).
    pub form_token: Secret,
    id: String,
}

/// The one open set-up link, if there is one.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct SetupCode {
    hash: String,
    expires: Timestamp,
}

impl Record for SetupCode {
    const KIND: &'static str = "setup-code";

    fn key(&self) -> Key {
        Key::of(["first-admin"])
    }
}

/// The accounts of this server.
#[derive(Clone)]
pub struct Users {
    store: Store,
    settings: Accounts,
    hashing: Arc<Semaphore>,
    /// Tries by account and address, so that guessing is slow and nobody locks out somebody else: how many there were, and
    /// until when they count.
    failures: Cache<(String, String), (u32, Timestamp)>,
}

impl Users {
    pub fn new(store: Store, settings: Accounts) -> Self {
        Self {
            store,
            settings,
            hashing: Arc::new(Semaphore::new(HASHERS)),
            failures: Cache::builder()
                .max_capacity(FAILURES)
                .time_to_live(TRIES_WITHIN)
                .build(),
        }
    }

    /// With what another of the same server has noted: who guesses passwords goes on being slowed down.
    pub fn remembering(mut self, before: &Self) -> Self {
        self.hashing = Arc::clone(&before.hashing);
        self.failures = before.failures.clone();
        self
    }

    pub fn fill(&self) -> Fill {
        Fill::of_cache("sign-ins", self.failures.entry_count(), FAILURES)
    }

    /// Makes an account.
    ///
    /// # Errors
    ///
    /// [`Reason::Invalid`] naming the field; [`Reason::AlreadyExists`] for a name that is or was taken.
    pub async fn create(&self, new: NewUser, now: Timestamp) -> Result<User> {
        let user = self.prepare(new, now).await?;
        self.store.run(async |txn| insert(txn, &user).await).await?;
        Ok(user)
    }

    /// Issues the one-time code for making the first admin; an earlier one is void.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`] if there is an admin already.
    pub async fn issue_setup_code(&self, now: Timestamp) -> Result<Secret> {
        let code = random::token(SETUP_CODE_LENGTH);
        let kept = SetupCode {
            hash: hash_of(code.expose()),
            expires: now.plus(SETUP_LINK_LASTS),
        };
        self.store
            .run(async |txn| {
                if has_admin(txn).await? {
                    return Err(Error::new(
                        Reason::Conflict,
                        "This server is set up already; an admin can make more accounts.",
                    ));
                }
                txn.put(&kept).await
            })
            .await?;
        Ok(code)
    }

    /// Whether nobody could administer this server yet.
    pub async fn needs_setup(&self) -> Result<bool> {
        Ok(!self.store.read(async |txn| has_admin(txn).await).await?)
    }

    /// Whether `code` opens the set-up page now.
    pub async fn check_setup_code(&self, code: &Secret, now: Timestamp) -> Result<()> {
        self.store.read(async |txn| check_code(txn, code, now).await).await
    }

    /// Makes the first admin, once: the code and the lack of an admin are checked in the commit that uses them up.
    ///
    /// # Errors
    ///
    /// [`Reason::SetupLinkInvalid`] for a code that is wrong, used or over its time; as [`Users::create`].
    pub async fn create_first_admin(&self, code: &Secret, new: NewUser, now: Timestamp) -> Result<User> {
        self.check_setup_code(code, now).await?;
        let user = self.prepare(NewUser { admin: true, ..new }, now).await?;
        self.store
            .run(async |txn| {
                check_code(txn, code, now).await?;
                txn.delete::<SetupCode>(Key::of(["first-admin"])).await?;
                insert(txn, &user).await
            })
            .await?;
        Ok(user)
    }

    /// Checks a password and opens a session; gives the token for the cookie.
    ///
    /// # Errors
    ///
    /// [`Reason::WrongPassword`], the same for a wrong name and a wrong password; [`Reason::Busy`] after ten of them.
    pub async fn sign_in(
        &self,
        name: &str,
        password: Secret,
        visitor: impl Into<Visitor>,
        now: Timestamp,
    ) -> Result<Secret> {
        let (name, visitor) = (name.trim().to_lowercase(), visitor.into());
        let tried = (name.clone(), visitor.from.clone());
        // Counted before the password is looked at, or many at once would count as one (T-74).
        let tries = self.failures.entry(tried.clone()).and_upsert_with(|before| {
            let before = before.map(moka::Entry::into_value).filter(|(_, until)| now < *until);
            before.map_or((1, now.plus(TRIES_WITHIN)), |(count, until)| {
                (count.saturating_add(1), until)
            })
        });
        let (tries, until) = tries.into_value();
        if tries > TRIES {
            let message = format!("Too many wrong passwords. Try again after {} UTC.", until.time_of_day());
            return Err(Error::new(Reason::Busy, message).retry_after(Some(now.until(until))));
        }
        let user = self.find(&name).await?;
        // An unknown name costs the same time as a wrong password, so that names can't be found out (T-36).
        let hash = user
            .as_ref()
            .map_or_else(|| Secret::new(UNKNOWN_USER), |user| user.password.clone());
        let fits = self.verify(password, hash).await?;
        let Some(user) = user.filter(|_| fits) else {
            return Err(Error::new(Reason::WrongPassword, "This name and password do not fit."));
        };
        // Told only to whoever knows the password (T-36).
        if !user.is_active() {
            return Err(Error::new(
                Reason::NotAllowed,
                "This account is disabled. Ask an admin of this server.",
            ));
        }
        self.failures.invalidate(&tried);
        self.open_session_for(&user.name, visitor, now).await
    }

    /// Changes what an account says of its owner.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`]; [`Reason::Invalid`] naming the field.
    pub async fn change(&self, name: &str, profile: Profile) -> Result<User> {
        let name = name.to_lowercase();
        let display_name = profile.display_name.map(|given| match given.trim() {
            "" => name.clone(),
            given => given.to_owned(),
        });
        let mail = profile.mail.map(|mail| mail.trim().to_owned());
        check_line("display_name", display_name.as_deref().unwrap_or_default())?;
        check_line("mail", mail.as_deref().unwrap_or_default())?;
        if mail
            .as_deref()
            .is_some_and(|mail| !mail.is_empty() && !mail.contains('@'))
        {
            return Err(Error::invalid("mail", "This is no e-mail address."));
        }
        self.store
            .run(async |txn| {
                let mut user = txn.get::<User>(Key::of([&name])).await?.ok_or_else(no_such_user)?;
                user.display_name = display_name.clone().unwrap_or(user.display_name);
                user.mail = mail.clone().unwrap_or(user.mail);
                user.language = profile.language.unwrap_or(user.language);
                user.accept_from_contacts = profile.accept_from_contacts.unwrap_or(user.accept_from_contacts);
                user.notify = profile.notify.clone().or(user.notify);
                txn.put(&user).await?;
                Ok(user)
            })
            .await
    }

    /// Replaces a password and ends every session of that account in the same commit (T-72).
    ///
    /// # Errors
    ///
    /// [`Reason::WrongPassword`] if `old` does not fit; [`Reason::Invalid`] if `new` is too short.
    pub async fn change_password(&self, name: &str, old: Secret, new: Secret) -> Result<()> {
        let user = self.get(name).await?;
        if !self.verify(old, user.password.clone()).await? {
            return Err(Error::new(Reason::WrongPassword, "The old password does not fit.").in_field("old"));
        }
        let password = self.hash(new).await?;
        self.store
            .run(async |txn| {
                let mut user = txn.get::<User>(Key::of([name])).await?.ok_or_else(no_such_user)?;
                user.password = password.clone();
                txn.put(&user).await?;
                standing::void_link(txn, name).await?;
                end_sessions(txn, name).await
            })
            .await
    }

    pub async fn find(&self, name: &str) -> Result<Option<User>> {
        let name = name.to_lowercase();
        self.store
            .read(async |txn| txn.get::<User>(Key::of([&name])).await)
            .await
    }

    /// # Errors
    ///
    /// [`Reason::NotFound`] if there is no such account.
    pub async fn get(&self, name: &str) -> Result<User> {
        self.find(name).await?.ok_or_else(no_such_user)
    }

    pub async fn list(&self, page: Page) -> Result<Listing<User>> {
        self.store
            .read(async |txn| txn.list::<User>(Key::ALL, &page).await)
            .await
    }

    async fn prepare(&self, new: NewUser, now: Timestamp) -> Result<User> {
        let user = self.described(&new, now)?;
        Ok(User {
            password: self.hash(new.password).await?,
            ..user
        })
    }

    /// An account that no password opens.
    fn described(&self, new: &NewUser, now: Timestamp) -> Result<User> {
        let name = new.name.trim().to_lowercase();
        check_name(&name)?;
        let display_name = match new.display_name.trim() {
            "" => name.clone(),
            given => given.to_owned(),
        };
        for (field, text) in [("display_name", &display_name), ("mail", &new.mail)] {
            check_line(field, text)?;
        }
        Ok(User {
            name,
            display_name,
            mail: new.mail.trim().to_owned(),
            admin: new.admin,
            created: now,
            disabled: None,
            seen: None,
            language: None,
            accept_from_contacts: false,
            notify: None,
            password: Secret::new(UNKNOWN_USER),
        })
    }

    async fn hash(&self, password: Secret) -> Result<Secret> {
        let least = self.settings.min_password;
        if password.expose().chars().count() < least || password.expose().len() > MAX_PASSWORD {
            return Err(Error::invalid(
                "password",
                format!("A password has at least {least} characters, and at most {MAX_PASSWORD} bytes."),
            ));
        }
        self.hashing(move || {
            let hash = Argon2::default()
                .hash_password(password.expose().as_bytes())
                .map_err(|cause| Error::internal(cause.to_string()))?;
            Ok(Secret::new(hash.to_string()))
        })
        .await
    }

    async fn verify(&self, password: Secret, hash: Secret) -> Result<bool> {
        if password.is_empty() || password.expose().len() > MAX_PASSWORD {
            return Ok(false);
        }
        self.hashing(move || {
            let hash = PasswordHash::new(hash.expose()).map_err(|cause| Error::internal(cause.to_string()))?;
            Ok(Argon2::default()
                .verify_password(password.expose().as_bytes(), &hash)
                .is_ok())
        })
        .await
    }

    /// Hashing is slow by intent: off the event loop, and not more at once than memory is meant for.
    async fn hashing<T: Send + 'static>(&self, work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        let _permit = self.hashing.acquire().await.map_err(Error::internal)?;
        tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
    }
}

/// A hash that no password has, for names that do not exist.
const UNKNOWN_USER: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$c29tZSByYW5kb20gc2FsdA$6RJ3W8yZ4XWm1TS0S0bL5qkXxF2vOQ8K3vYcNnTz7nE";

fn no_such_user() -> Error {
    Error::not_found("There is no such user on this server.").in_field("user")
}

/// Plain names only: peers put them in addresses, paths and headers, and deployed ones break on `@`, `:` or spaces.
fn check_name(name: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    if name.is_empty()
        || name.len() > 64
        || !name.chars().all(fits)
        || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
    {
        return Err(Error::invalid(
            "name",
            "A user name has 1 to 64 of a-z, 0-9, dot, dash and underscore, and begins with a letter or digit.",
        ));
    }
    // The page for adding somebody stands where theirs would.
    if name == "new" {
        return Err(Error::invalid("name", "This name is taken by a page of this server."));
    }
    Ok(())
}

fn check_line(field: &'static str, text: &str) -> Result<()> {
    if text.chars().count() > 254 || text.chars().any(char::is_control) {
        return Err(Error::invalid(
            field,
            "At most 254 characters, and no control characters.",
        ));
    }
    Ok(())
}

async fn insert(txn: &mut Txn, user: &User) -> Result<()> {
    if txn.get::<User>(user.key()).await?.is_some() {
        return Err(Error::new(Reason::AlreadyExists, "There is already a user of this name.").in_field("name"));
    }
    if txn.get::<Gone>(user.key()).await?.is_some() {
        return Err(Error::new(
            Reason::AlreadyExists,
            "Somebody had this name; it is never given out again, for what is meant for them would reach another.",
        )
        .in_field("name"));
    }
    txn.put(user).await
}

async fn be_seen(txn: &mut Txn, name: &str, now: Timestamp) -> Result<()> {
    let Some(mut user) = txn.get::<User>(Key::of([name])).await? else {
        return Ok(());
    };
    user.seen = Some(now);
    txn.put(&user).await
}

async fn has_admin(txn: &mut Txn) -> Result<bool> {
    Ok(!txn
        .find::<User>("admin", ["yes"], &Page::first(1))
        .await?
        .items
        .is_empty())
}

async fn check_code(txn: &mut Txn, code: &Secret, now: Timestamp) -> Result<()> {
    let kept = txn.get::<SetupCode>(Key::of(["first-admin"])).await?;
    let fits = |kept: &SetupCode| now < kept.expires && Secret::new(&*kept.hash) == Secret::new(hash_of(code.expose()));
    if has_admin(txn).await? {
        return Err(Error::new(
            Reason::SetupLinkInvalid,
            "This server is set up already. Sign in instead.",
        ));
    }
    if code.is_empty() || !kept.as_ref().is_some_and(fits) {
        return Err(Error::new(
            Reason::SetupLinkInvalid,
            "This set-up link is not valid any more. On the server, run `ocmesh setup-link` for a new one.",
        ));
    }
    Ok(())
}
