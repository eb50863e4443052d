//! Servers that users ask their admins to allow.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::peers::Peers;
use crate::peers::batch;
use crate::peers::batch::Change;
use crate::peers::batch::Occasion;
use crate::peers::trust;
use crate::peers::trust::Pattern;
use crate::peers::trust::Purpose;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;
use crate::random;
use crate::store::Index;
use crate::store::Key;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::store::Record;
use crate::store::Txn;

/// How many wishes of one user are open at most.
const MAX_OPEN: usize = 20;

/// Somebody here was invited from a server that is not accepted, and asks for it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Wish {
    pub host: Provider,
    pub user: String,
    pub since: Timestamp,
}

impl Record for Wish {
    const KIND: &'static str = "server-wish";

    fn key(&self) -> Key {
        Key::of([&self.host.to_string(), &self.user])
    }

    fn index(&self) -> Vec<Index> {
        vec![Index::new("user", [&self.user])]
    }
}

impl Peers {
    /// Notes that a user wants this server to be allowed; the same wish again is the same.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`] for one that is allowed; [`Reason::Busy`] for one wish too many.
    pub async fn wish(&self, user: &str, host: &Provider, now: Timestamp) -> Result<Wish> {
        let wish = Wish {
            host: host.clone(),
            user: user.to_owned(),
            since: now,
        };
        self.store
            .run(async |txn| {
                if let Some(known) = txn.get::<Wish>(wish.key()).await? {
                    return Ok(known);
                }
                let mode = self.mode_of(txn).await?;
                if trust::decide(txn, self.given(mode, &[]), host, Purpose::Invite)
                    .await?
                    .allowed
                {
                    return Err(Error::new(
                        Reason::Conflict,
                        format!("This server accepts {host} already."),
                    ));
                }
                let open = txn.find::<Wish>("user", [user], &Page::first(MAX_OPEN)).await?;
                if open.items.len() >= MAX_OPEN {
                    return Err(Error::new(
                        Reason::Busy,
                        "You have asked for many servers already; wait until an admin has looked at them.",
                    ));
                }
                txn.put(&wish).await?;
                Ok(wish.clone())
            })
            .await
    }

    /// The wishes that are not fulfilled yet, by server.
    pub async fn wishes(&self) -> Result<Vec<Wish>> {
        let page = Page::first(MAX_PAGE);
        let all = self
            .store
            .read(async |txn| txn.list::<Wish>(Key::ALL, &page).await)
            .await?;
        let mut open = Vec::new();
        for wish in all.items {
            if !self.explain(&wish.host, Purpose::Invite).await?.allowed {
                open.push(wish);
            }
        }
        Ok(open)
    }

    /// What this user asked for, and whether it is allowed by now.
    pub async fn wishes_of(&self, user: &str) -> Result<Vec<(Wish, bool)>> {
        let page = Page::first(MAX_OPEN);
        let own = self
            .store
            .read(async |txn| txn.find::<Wish>("user", [user], &page).await)
            .await?;
        let mut wishes = Vec::new();
        for wish in own.items {
            let allowed = self.explain(&wish.host, Purpose::Invite).await?.allowed;
            wishes.push((wish, allowed));
        }
        Ok(wishes)
    }

    /// Allows this server by a rule of its own, in place of one that denies just it.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`] where another rule denies it all the same: then nothing changes.
    pub async fn allow(&self, host: &Provider, by: &str, now: Timestamp) -> Result<()> {
        let rule = TrustRule {
            pattern: Pattern::parse(&host.to_string())?,
            verdict: Verdict::Allow,
            reason: String::new(),
            note: String::new(),
            expires: None,
            by: by.to_owned(),
            since: now,
            batch: None,
        };
        let batch = self.new_batch(random::number(), Occasion::ByHand, rule.pattern.as_str(), by);
        self.store
            .run(async |txn| {
                batch::change(txn, batch.clone(), vec![Change::Put(rule.clone())]).await?;
                let mode = self.mode_of(txn).await?;
                let decision = trust::decide(txn, self.given(mode, &[]), host, Purpose::Invite).await?;
                if !decision.allowed {
                    return Err(Error::new(
                        Reason::Conflict,
                        format!("Another rule denies {host} all the same. Look for it in the trust list."),
                    ));
                }
                Ok(())
            })
            .await
    }

    /// Puts every wish for this server aside.
    pub async fn dismiss(&self, host: &Provider) -> Result<()> {
        let page = Page::first(MAX_PAGE);
        self.store
            .run(async |txn| {
                for wish in txn.list::<Wish>([host.to_string()], &page).await?.items {
                    txn.delete::<Wish>(wish.key()).await?;
                }
                Ok(())
            })
            .await
    }

    /// Forgets what a user asked for: they accepted an invite from there, or want it no more.
    pub async fn unwish(&self, user: &str, host: &Provider) -> Result<()> {
        self.store
            .run(async |txn: &mut Txn| txn.delete::<Wish>([host.to_string().as_str(), user]).await.map(drop))
            .await
    }
}
