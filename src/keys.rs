//! The key this server signs with: made at first start, kept in the store, published as a JWK Set.

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::PublicUrl;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::jwks::Jwk;
use crate::ocm::signature::SigningKey;
use crate::secret::Secret;
use crate::store::Key;
use crate::store::Record;
use crate::store::Store;

/// A signing key as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct KeptKey {
    /// What stands behind the `#` of its `kid`.
    slug: String,
    /// PKCS #8, base64.
    pkcs8: Secret,
    created: Timestamp,
}

impl Record for KeptKey {
    const KIND: &'static str = "signing-key";

    fn key(&self) -> Key {
        Key::of(["active"])
    }
}

/// Our signing key, ready for use.
pub struct Keys {
    active: SigningKey,
}

impl Keys {
    /// Loads the key, or makes it if this is the first start. Its `kid` is a URL on our own authority: some deployed
    /// servers read the signer's host from a URL only, others take both forms (standards, section 1.4).
    pub async fn load(store: &Store, public_url: &PublicUrl, now: Timestamp) -> Result<Self> {
        let fresh = make(now)?;
        let kept = store
            .run(async |txn| match txn.get::<KeptKey>(Key::of(["active"])).await? {
                Some(kept) => Ok(kept),
                None => {
                    txn.put(&fresh).await?;
                    Ok(fresh.clone())
                }
            })
            .await?;
        let pkcs8 = BASE64.decode(kept.pkcs8.expose()).map_err(Error::internal)?;
        let kid = format!("{}/ocm#{}", public_url.origin(), kept.slug);
        let active = SigningKey::from_pkcs8(&kid, &pkcs8)?;
        Ok(Self { active })
    }

    pub fn active(&self) -> &SigningKey {
        &self.active
    }

    /// Every public key that a peer may need to check our signatures.
    pub fn published(&self) -> Vec<Jwk> {
        vec![self.active.jwk()]
    }
}

fn make(now: Timestamp) -> Result<KeptKey> {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new())
        .map_err(|_| Error::internal("no Ed25519 key could be made"))?;
    Ok(KeptKey {
        slug: format!("ed25519-{}", now.0),
        pkcs8: Secret::new(BASE64.encode(pkcs8.as_ref())),
        created: now,
    })
}
