//! The keys this server signs with: made at first start, kept in the store, published as a JWK Set, replaced in steps.
//!
//! A new key is *pending*: published, so that peers know it before they meet it. Then it is *active* and the one before it
//! is *retiring*: it signs no more, and stays published for what it has signed. Then that one is gone.

mod ring;
mod rsa;

use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use bytes::Bytes;
use serde::Deserialize;
use serde::Serialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::sync::OnceCell;

use self::ring::Due;
use self::ring::KeptKey;
use self::ring::Ring;
use crate::clock::Timestamp;
use crate::config;
use crate::config::Config;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::dialect::cavage::RsaSigningKey;
use crate::ocm::jwks::Jwk;
use crate::ocm::signature::SigningKey;
use crate::store::Store;
use crate::store::Txn;

/// How a new key takes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rotation {
    /// It is published now and signs after `keys.publish_before_use`.
    Planned,
    /// It signs now, or the pending one does. Peers that don't know it yet must ask for our keys once more.
    Now,
    /// It signs now, and every other key is dropped: what they have signed is worth nothing from now on. All of them,
    /// because who has read one from the store has read all.
    Stolen,
}

/// Where a key stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    Pending,
    Active,
    Retiring,
}

/// The public half of a key of ours.
#[derive(Clone, Debug)]
pub struct PublishedKey {
    pub jwk: Jwk,
    pub state: State,
    /// Since when it is in this state.
    pub since: Timestamp,
    /// When this state ends; no time is set for an active key that has no successor.
    pub until: Option<Timestamp>,
}

/// Our signing keys, ready for use.
pub struct Keys {
    store: Store,
    origin: String,
    settings: config::Keys,
    /// Held from before a commit until after `current` shows it, so that memory follows the store in order.
    turn: Mutex<()>,
    current: RwLock<Arc<Current>>,
    rsa: OnceCell<Arc<RsaSigningKey>>,
}

/// What one set of keys is to those who use it.
struct Current {
    active: Arc<SigningKey>,
    /// The active key, the pending one if there is one, and the retiring ones, those that go last first.
    keys: Vec<PublishedKey>,
    jwk_set: Bytes,
}

impl Keys {
    /// Loads the keys, or makes the first one if this is the first start.
    ///
    /// # Errors
    ///
    /// [`Reason::DataDamaged`](crate::error::Reason::DataDamaged) for a key that is printed in a standard (T-22).
    pub async fn load(config: &Config, store: Store, now: Timestamp) -> Result<Self> {
        let first = Ring::of(KeptKey::make(now)?);
        let ring = store
            .run(async |txn| match Ring::read(txn).await? {
                Some(ring) => Ok(ring),
                None => first.write(txn).await.map(|()| first.clone()),
            })
            .await?;
        let origin = config.server.public_url.origin().to_owned();
        Ok(Self {
            current: RwLock::new(Arc::new(Current::of(&ring, &origin)?)),
            store,
            origin,
            settings: config.keys.clone(),
            turn: Mutex::default(),
            rsa: OnceCell::new(),
        })
    }

    /// The key that signs.
    pub fn active(&self) -> Arc<SigningKey> {
        Arc::clone(&self.current().active)
    }

    /// Every public key that a peer may need to check our signatures.
    pub fn published(&self) -> Vec<Jwk> {
        self.current().keys.iter().map(|key| key.jwk.clone()).collect()
    }

    /// The same as the JWK Set that peers get.
    pub fn jwk_set(&self) -> Bytes {
        self.current().jwk_set.clone()
    }

    /// All keys with where they stand: the active one, the pending one, then the retiring ones.
    pub fn list(&self) -> Vec<PublishedKey> {
        self.current().keys.clone()
    }

    /// Replaces the key that signs, which is expected to be `replacing`; gives the new one.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`](crate::error::Reason::Conflict) if `replacing` does not sign (any more), if a key is pending
    /// where one more was to be, or if too many old ones are still published.
    pub async fn rotate(self: &Arc<Self>, how: Rotation, replacing: &str, now: Timestamp) -> Result<PublishedKey> {
        let fresh = KeptKey::make(now)?;
        let (keys, replacing) = (Arc::clone(self), replacing.to_owned());
        let current = self
            .change(move |ring| {
                ring.expect_active(&replacing, &keys.origin)?;
                match how {
                    Rotation::Planned => keys.publish(ring, &fresh, now),
                    Rotation::Now => keys.activate(ring, &fresh, now),
                    Rotation::Stolen => Ok(Ring::of(fresh.clone())),
                }
            })
            .await?;
        let newest = current.newest().clone();
        let kid = newest.jwk.kid();
        match how {
            Rotation::Planned => tracing::info!(kid, "A new signing key is published"),
            Rotation::Now => tracing::info!(kid, "A new key signs"),
            Rotation::Stolen => tracing::warn!(kid, "A new key signs, and all others are dropped as stolen"),
        }
        Ok(newest)
    }

    /// Drops all keys of a server that was put back from a backup, and makes one: what the old ones have signed, such as the
    /// tokens that open shares, is worth nothing from now on (T-86).
    pub async fn renew(store: &Store, now: Timestamp) -> Result<()> {
        let fresh = Ring::of(KeptKey::make(now)?);
        store.run(async |txn| fresh.write(txn).await).await
    }

    /// Drops the pending key before it has signed anything.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`](crate::error::Reason::Conflict) if there is none.
    pub async fn cancel(self: &Arc<Self>) -> Result<()> {
        self.change(Ring::cancel).await?;
        tracing::info!("The signing key that was published for later use is dropped");
        Ok(())
    }

    /// Takes all steps that are due: the pending key signs, old ones go, and where the operator wants it so, a rotation
    /// begins.
    pub async fn advance(self: &Arc<Self>, now: Timestamp) -> Result<()> {
        while let Some(due) = self.due(now).await? {
            let fresh = KeptKey::make(now)?;
            let keys = Arc::clone(self);
            let current = self
                .change(move |ring| match ring.due(&keys.settings, now) {
                    Some(Due::Activate) => keys.activate(ring, &fresh, now),
                    Some(Due::Remove) => Ok(ring.remove_old(now)),
                    Some(Due::Publish) => keys.publish(ring, &fresh, now),
                    // Somebody was faster.
                    None => Ok(ring),
                })
                .await?;
            let kid = current.newest().jwk.kid();
            match due {
                Due::Activate => tracing::info!(kid, "A new key signs"),
                Due::Remove => tracing::info!("An old signing key is published no more"),
                Due::Publish => tracing::info!(kid, "A new signing key is published"),
            }
        }
        Ok(())
    }

    async fn due(&self, now: Timestamp) -> Result<Option<Due>> {
        let ring = self.store.read(Ring::read).await?;
        Ok(ring.and_then(|ring| ring.due(&self.settings, now)))
    }

    fn publish(&self, ring: Ring, fresh: &KeptKey, now: Timestamp) -> Result<Ring> {
        ring.publish(fresh.clone(), now.plus(self.settings.publish_before_use.0))
    }

    fn activate(&self, ring: Ring, fresh: &KeptKey, now: Timestamp) -> Result<Ring> {
        let until = now.plus(self.settings.publish_after_use.0);
        ring.activate(fresh.clone(), &self.origin, now, until)
    }

    /// Takes one step: in one commit, and in memory once that is on disk. It runs as a task of its own, because whoever
    /// asked may hang up in between, and this server would go on with keys that are not its own any more.
    async fn change(
        self: &Arc<Self>,
        step: impl Fn(Ring) -> Result<Ring> + Send + Sync + 'static,
    ) -> Result<Arc<Current>> {
        let keys = Arc::clone(self);
        let task = tokio::spawn(async move {
            let _turn = keys.turn.lock().await;
            let origin = keys.origin.clone();
            // It owns what it uses: what borrows here could not go to another thread.
            let work = async move |txn: &mut Txn| {
                let ring = Ring::read(txn).await?.ok_or_else(|| Error::internal("no key signs"))?;
                let ring = step(ring)?;
                ring.write(txn).await?;
                Current::of(&ring, &origin).map(Arc::new)
            };
            let next = keys.store.run(work).await?;
            *keys.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&next);
            Ok(next)
        });
        task.await.map_err(Error::internal)?
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Current {
    fn of(ring: &Ring, origin: &str) -> Result<Self> {
        let active = ring.active.open(origin)?;
        let mut keys = vec![PublishedKey {
            jwk: active.jwk(),
            state: State::Active,
            since: ring.active.signs_from(),
            until: ring.pending.as_ref().map(KeptKey::signs_from),
        }];
        if let Some(pending) = &ring.pending {
            keys.push(PublishedKey {
                jwk: pending.open(origin)?.jwk(),
                state: State::Pending,
                since: pending.created,
                until: Some(pending.signs_from()),
            });
        }
        let mut retiring = ring.retiring.clone();
        // The kid last, so that the order is the same after a restart.
        retiring.sort_by(|a, b| (b.until, b.since, b.jwk.kid()).cmp(&(a.until, a.since, a.jwk.kid())));
        keys.extend(retiring.into_iter().map(|key| PublishedKey {
            jwk: key.jwk,
            state: State::Retiring,
            since: key.since,
            until: Some(key.until),
        }));
        let set: Vec<_> = keys.iter().map(|key| &key.jwk).collect();
        Ok(Self {
            jwk_set: Bytes::from(json!({ "keys": set }).to_string()),
            active: Arc::new(active),
            keys,
        })
    }

    /// The key that signs next, or if none is to, the one that does.
    fn newest(&self) -> &PublishedKey {
        let pending = self.keys.iter().find(|key| key.state == State::Pending);
        pending.unwrap_or(&self.keys[0])
    }
}

#[cfg(test)]
mod tests;
