//! The keys as they are kept, and the steps from one set of them to the next, each written in one commit.
//!
//! There is one place for the key that signs and one for the next: whatever happens, there are never two that sign.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::config;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::jwks::Jwk;
use crate::ocm::jwks::SET_KEYS_MAX;
use crate::ocm::signature::SigningKey;
use crate::random;
use crate::secret::Secret;
use crate::store::Key;
use crate::store::Page;
use crate::store::Record;
use crate::store::Txn;

/// Most keys that are published at once. Readers stop at some number, this server at [`SET_KEYS_MAX`].
pub const PUBLISHED_MAX: usize = SET_KEYS_MAX / 2;

/// A key that signs, or is to.
#[derive(Clone, Serialize, Deserialize)]
pub struct KeptKey {
    /// What stands behind the `#` of its `kid`.
    slug: String,
    /// PKCS #8, base64.
    pkcs8: Secret,
    pub created: Timestamp,
    /// Not there in records from before there were several keys: the only one was the active one.
    #[serde(default)]
    place: Place,
    /// When it began to sign, or will. Not there in the same records: when it was made.
    #[serde(default)]
    signs_from: Option<Timestamp>,
}

#[derive(Clone, Copy, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Place {
    #[default]
    Active,
    Pending,
}

impl Place {
    fn key(self) -> Key {
        match self {
            Self::Active => Key::of(["active"]),
            Self::Pending => Key::of(["pending"]),
        }
    }
}

impl Record for KeptKey {
    const KIND: &'static str = "signing-key";

    fn key(&self) -> Key {
        self.place.key()
    }
}

/// A key that signs no more. Its private half is gone: what it has signed can be checked, and nothing be added to it.
#[derive(Clone, Serialize, Deserialize)]
pub struct RetiringKey {
    pub jwk: Jwk,
    /// Since when it does not sign.
    pub since: Timestamp,
    /// Until when it is published.
    pub until: Timestamp,
}

impl Record for RetiringKey {
    const KIND: &'static str = "retiring-key";

    fn key(&self) -> Key {
        Key::of([self.jwk.kid()])
    }
}

impl KeptKey {
    /// A key that nobody has seen.
    pub fn make(now: Timestamp) -> Result<Self> {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
            .map_err(|_| Error::internal("no Ed25519 key could be made"))?;
        Ok(Self {
            // The time for people, the rest so that no two keys ever share a name, not even with one that is gone.
            slug: format!("ed25519-{}-{}", now.0, random::token(8).expose()),
            pkcs8: Secret::new(BASE64.encode(pkcs8.as_ref())),
            created: now,
            place: Place::Active,
            signs_from: Some(now),
        })
    }

    pub fn signs_from(&self) -> Timestamp {
        self.signs_from.unwrap_or(self.created)
    }

    /// A `kid` is a URL on our own authority: some deployed servers read the signer's host from a URL only, others take
    /// both forms (standards, section 1.4).
    fn kid(&self, origin: &str) -> String {
        format!("{origin}/ocm#{}", self.slug)
    }

    /// # Errors
    ///
    /// [`Reason::DataDamaged`] for a key that anyone can sign with, because it is printed in a standard (T-22).
    pub fn open(&self, origin: &str) -> Result<SigningKey> {
        let pkcs8 = BASE64.decode(self.pkcs8.expose()).map_err(Error::internal)?;
        let key = SigningKey::from_pkcs8(&self.kid(origin), &pkcs8)?;
        let jwk = key.jwk();
        if jwk.is_published_example() {
            let why = format!(
                "The signing key in the data of this server, {}, is printed in a public standard: anyone can sign with \
                 it. Restore a backup with this server's own key.",
                jwk.kid()
            );
            return Err(Error::new(Reason::DataDamaged, why));
        }
        Ok(key)
    }

    fn at(self, place: Place, signs_from: Timestamp) -> Self {
        Self {
            place,
            signs_from: Some(signs_from),
            ..self
        }
    }

    fn retire(&self, origin: &str, since: Timestamp, until: Timestamp) -> Result<RetiringKey> {
        let jwk = self.open(origin)?.jwk();
        Ok(RetiringKey { jwk, since, until })
    }
}

/// All keys of this server. Each step gives the ring that takes this one's place.
#[derive(Clone)]
pub struct Ring {
    pub active: KeptKey,
    pub pending: Option<KeptKey>,
    pub retiring: Vec<RetiringKey>,
}

impl Ring {
    pub fn of(first: KeptKey) -> Self {
        Self {
            active: first,
            pending: None,
            retiring: Vec::new(),
        }
    }

    pub async fn read(txn: &mut Txn) -> Result<Option<Self>> {
        let Some(active) = txn.get(Place::Active.key()).await? else {
            return Ok(None);
        };
        Ok(Some(Self {
            active,
            pending: txn.get(Place::Pending.key()).await?,
            retiring: Self::read_retiring(txn).await?,
        }))
    }

    /// Puts these keys in the place of all that were there.
    pub async fn write(&self, txn: &mut Txn) -> Result<()> {
        for gone in Self::read_retiring(txn).await? {
            txn.delete::<RetiringKey>(gone.key()).await?;
        }
        for key in &self.retiring {
            txn.put(key).await?;
        }
        match &self.pending {
            Some(pending) => txn.put(pending).await?,
            None => drop(txn.delete::<KeptKey>(Place::Pending.key()).await?),
        }
        txn.put(&self.active).await
    }

    async fn read_retiring(txn: &mut Txn) -> Result<Vec<RetiringKey>> {
        let page = Page::first(2 * PUBLISHED_MAX);
        Ok(txn.list(Key::ALL, &page).await?.items)
    }

    /// # Errors
    ///
    /// [`Reason::Conflict`] if another key signs than the one that was to be replaced: somebody else was faster.
    pub fn expect_active(&self, kid: &str, origin: &str) -> Result<()> {
        if self.active.kid(origin) == kid {
            return Ok(());
        }
        Err(Error::new(
            Reason::Conflict,
            "The key was changed in the meantime: another one signs now. Look again.",
        ))
    }

    /// With a new key that is published, and signs from a later time on.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`] if there is one already, or too many keys are published.
    pub fn publish(self, fresh: KeptKey, signs_from: Timestamp) -> Result<Self> {
        if let Some(pending) = &self.pending {
            let why = format!(
                "A new key is published already and signs from {}. Cancel it first, or let it sign now.",
                pending.signs_from()
            );
            return Err(Error::new(Reason::Conflict, why));
        }
        self.check_room()?;
        Ok(Self {
            pending: Some(fresh.at(Place::Pending, signs_from)),
            ..self
        })
    }

    /// With the pending key, or if there is none a new one, as the one that signs; the one before it is published until
    /// a later time.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`] if too many keys are published.
    pub fn activate(mut self, fresh: KeptKey, origin: &str, now: Timestamp, until: Timestamp) -> Result<Self> {
        if self.pending.is_none() {
            self.check_room()?;
        }
        let next = self.pending.take().unwrap_or(fresh).at(Place::Active, now);
        self.retiring.push(self.active.retire(origin, now, until)?);
        self.active = next;
        Ok(self)
    }

    /// Without the key that was to sign next.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`] if there is none.
    pub fn cancel(mut self) -> Result<Self> {
        match self.pending.take() {
            Some(_) => Ok(self),
            None => Err(Error::new(
                Reason::Conflict,
                "There is no key to cancel: none waits to sign.",
            )),
        }
    }

    /// What time brings: the next step that is due, if one is.
    pub fn due(&self, settings: &config::Keys, now: Timestamp) -> Option<Due> {
        if self.pending.as_ref().is_some_and(|key| key.signs_from() <= now) {
            return Some(Due::Activate);
        }
        if self.retiring.iter().any(|key| key.until <= now) {
            return Some(Due::Remove);
        }
        let old = settings
            .rotate_every
            .0
            .is_some_and(|every| self.active.signs_from().plus(every) <= now);
        (old && self.pending.is_none() && self.check_room().is_ok()).then_some(Due::Publish)
    }

    /// Without the keys whose time has passed.
    pub fn remove_old(mut self, now: Timestamp) -> Self {
        self.retiring.retain(|key| now < key.until);
        self
    }

    fn check_room(&self) -> Result<()> {
        let Some(soonest) = self.retiring.iter().map(|key| key.until).min() else {
            return Ok(());
        };
        if self.retiring.len() + 2 <= PUBLISHED_MAX {
            return Ok(());
        }
        let why = format!(
            "{PUBLISHED_MAX} keys are published, and peers read no more. The oldest goes at {soonest}; if a key was \
             stolen, say so, and all old ones go at once."
        );
        Err(Error::new(Reason::Conflict, why))
    }
}

/// A step that is taken because its time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    Activate,
    Remove,
    Publish,
}
