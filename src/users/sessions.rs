//! Sessions: opened by whoever has proved who they are, listed for them, and ended (T-72).

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
use crate::store::Record;
use crate::store::Txn;

use crate::users::Session;
use crate::users::SetupCode;
use crate::users::User;
use crate::users::Users;
use crate::users::be_seen;
use crate::users::standing::SignInLink;

const SESSION_TOKEN_LENGTH: usize = 43;
/// How stale `Session::seen` may get before it is written again: a write for every click would cost more than it tells.
const SEEN_EVERY: Duration = Duration::from_secs(300);
/// How many sessions of one account are shown.
const MOST_SHOWN: usize = 100;
/// Characters of the name of a browser that are kept.
const MAX_BROWSER: usize = 60;

/// Who opens a session, as far as can be told: shown to nobody but the owner of the account.
#[derive(Clone, Debug, Default)]
pub struct Visitor {
    /// The address they come from.
    pub from: String,
    /// Their browser, in a few words.
    pub browser: String,
}

impl From<&str> for Visitor {
    fn from(address: &str) -> Self {
        Self {
            from: address.to_owned(),
            browser: String::new(),
        }
    }
}

/// A session as its owner sees it.
#[derive(Clone, Debug)]
pub struct OpenSession {
    /// Names it, and opens nothing (T-72).
    pub handle: String,
    pub created: Timestamp,
    /// Some minutes behind.
    pub seen: Timestamp,
    pub visitor: Visitor,
    /// Whether it is the one that asks.
    pub own: bool,
}

/// A session as it is kept: its token only as a hash, so that the store opens no door (T-72).
#[derive(Clone, Debug, Serialize, Deserialize)]
struct KeptSession {
    id: String,
    user: String,
    form_token: Secret,
    created: Timestamp,
    seen: Timestamp,
    #[serde(default)]
    from: String,
    #[serde(default)]
    browser: String,
}

impl KeptSession {
    fn handle(&self) -> String {
        hash_of(&format!("handle of {}", self.id)).chars().take(24).collect()
    }
}

impl Record for KeptSession {
    const KIND: &'static str = "session";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }

    fn index(&self) -> Vec<Index> {
        vec![Index::new("user", [&self.user]), Index::new("seen", self.seen)]
    }
}

impl Users {
    /// Opens a session for someone who has just proved who they are.
    pub async fn open_session(&self, name: &str, now: Timestamp) -> Result<Secret> {
        self.open_session_for(name, Visitor::default(), now).await
    }

    /// The same, with what can be told of whoever did.
    pub async fn open_session_for(&self, name: &str, visitor: Visitor, now: Timestamp) -> Result<Secret> {
        let token = random::token(SESSION_TOKEN_LENGTH);
        let kept = KeptSession {
            id: hash_of(token.expose()),
            user: name.to_owned(),
            form_token: random::token(SESSION_TOKEN_LENGTH),
            created: now,
            seen: now,
            from: visitor.from,
            browser: visitor.browser.chars().take(MAX_BROWSER).collect(),
        };
        self.store
            .run(async |txn| {
                txn.put(&kept).await?;
                be_seen(txn, name, now).await
            })
            .await?;
        Ok(token)
    }

    /// The session that `token` opens.
    ///
    /// # Errors
    ///
    /// [`Reason::SignInNeeded`] for a token that is unknown, ended or left idle too long.
    pub async fn session(&self, token: &Secret, now: Timestamp) -> Result<Session> {
        let ended = || Error::new(Reason::SignInNeeded, "Please sign in.");
        if token.is_empty() {
            return Err(ended());
        }
        let id = hash_of(token.expose());
        let (kept, user) = self
            .store
            .read(async |txn| {
                let kept = txn.get::<KeptSession>(Key::of([&id])).await?.ok_or_else(ended)?;
                let user = txn.get::<User>(Key::of([&kept.user])).await?.ok_or_else(ended)?;
                Ok((kept, user))
            })
            .await?;
        if self.is_over(&kept, now) || !user.is_active() {
            return Err(ended());
        }
        if now >= kept.seen.plus(SEEN_EVERY) {
            self.touch(&id, now).await?;
        }
        Ok(Session {
            user,
            form_token: kept.form_token,
            id,
        })
    }

    /// Ends a session; its cookie opens nothing any more.
    pub async fn sign_out(&self, session: &Session) -> Result<()> {
        self.store
            .run(async |txn| txn.delete::<KeptSession>(Key::of([&session.id])).await)
            .await
            .map(drop)
    }

    /// The sessions of an account that are not over, the one used last first.
    pub async fn sessions(&self, session: &Session, now: Timestamp) -> Result<Vec<OpenSession>> {
        let page = Page::first(MOST_SHOWN);
        let kept = self
            .store
            .read(async |txn| txn.find::<KeptSession>("user", [&session.user.name], &page).await)
            .await?;
        let mut open: Vec<_> = kept
            .items
            .into_iter()
            .filter(|kept| !self.is_over(kept, now))
            .map(|kept| OpenSession {
                handle: kept.handle(),
                own: kept.id == session.id,
                created: kept.created,
                seen: kept.seen,
                visitor: Visitor {
                    from: kept.from,
                    browser: kept.browser,
                },
            })
            .collect();
        open.sort_by_key(|session| (!session.own, std::cmp::Reverse(session.seen)));
        Ok(open)
    }

    /// Ends one session of the same account, by its handle, or all but the one that asks (T-72).
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`] for a handle of none, or of somebody else's.
    pub async fn end_sessions(&self, session: &Session, handle: Option<&str>) -> Result<()> {
        self.store
            .run(async |txn| {
                let ended = end_sessions_if(txn, &session.user.name, |kept| match handle {
                    Some(handle) => kept.handle() == handle,
                    None => kept.id != session.id,
                })
                .await?;
                match handle {
                    Some(_) if ended == 0 => Err(Error::not_found("This session is over already.")),
                    _ => Ok(()),
                }
            })
            .await
    }

    /// Ends every session of an account.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`] if there is no such account.
    pub async fn sign_out_everywhere(&self, name: &str) -> Result<()> {
        let user = self.get(name).await?;
        self.store.run(async |txn| end_sessions(txn, &user.name).await).await
    }

    fn is_over(&self, kept: &KeptSession, now: Timestamp) -> bool {
        now >= kept.created.plus(self.settings.session_max.0) || now >= kept.seen.plus(self.settings.session_idle.0)
    }

    /// Forgets the sessions that have been idle for too long to open anything.
    pub async fn forget_old_sessions(&self, now: Timestamp) -> Result<()> {
        let idle_since = now.minus(self.settings.session_idle.0);
        loop {
            let gone = self
                .store
                .run(async |txn| {
                    let old = txn.find_until::<KeptSession>("seen", idle_since, 500).await?;
                    for kept in &old {
                        txn.delete::<KeptSession>(kept.key()).await?;
                    }
                    Ok(old.len())
                })
                .await?;
            if gone < 500 {
                return Ok(());
            }
        }
    }

    /// Ends every session, and voids every link and code with which one could be opened: what a backup brings back of them
    /// may have ended since (T-86).
    pub async fn forget_all_sessions(&self) -> Result<()> {
        while self.store.run(forget_some::<KeptSession>).await? {}
        while self.store.run(forget_some::<SignInLink>).await? {}
        while self.store.run(forget_some::<SetupCode>).await? {}
        Ok(())
    }

    async fn touch(&self, id: &str, now: Timestamp) -> Result<()> {
        self.store
            .run(async |txn| {
                let Some(mut kept) = txn.get::<KeptSession>(Key::of([id])).await? else {
                    return Ok(());
                };
                kept.seen = now;
                txn.put(&kept).await?;
                be_seen(txn, &kept.user, now).await
            })
            .await
    }
}

pub(super) async fn end_sessions(txn: &mut Txn, name: &str) -> Result<()> {
    end_sessions_if(txn, name, |_| true).await.map(drop)
}

async fn end_sessions_if(txn: &mut Txn, name: &str, over: impl Fn(&KeptSession) -> bool) -> Result<usize> {
    let mut ended = 0;
    let mut page = Page::first(100);
    loop {
        let some = txn.find::<KeptSession>("user", [name], &page).await?;
        for kept in some.items.iter().filter(|kept| over(kept)) {
            txn.delete::<KeptSession>(kept.key()).await?;
            ended += 1;
        }
        match some.next {
            Some(next) => page = Page::after(next, 100),
            None => return Ok(ended),
        }
    }
}

/// Deletes some records of a kind; says whether there may be more.
async fn forget_some<R: Record>(txn: &mut Txn) -> Result<bool> {
    let some = txn.list::<R>(Key::ALL, &Page::first(500)).await?;
    for record in &some.items {
        txn.delete::<R>(record.key()).await?;
    }
    Ok(some.next.is_some())
}
