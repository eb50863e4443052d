//! The RSA key for servers that read only the older form of signatures: made when it is first needed, then kept.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;
use crate::error::Result;
use crate::keys::Keys;
use crate::ocm::dialect::cavage::RsaSigningKey;
use crate::secret::Secret;
use crate::store::Key;
use crate::store::Record;

/// The key as it is kept. It has one name for ever: readers keep what they have once read under it.
#[derive(Clone, Serialize, Deserialize)]
struct KeptRsaKey {
    /// PKCS #8, base64.
    pkcs8: Secret,
}

impl Record for KeptRsaKey {
    const KIND: &'static str = "rsa-key";

    fn key(&self) -> Key {
        Key::of(["active"])
    }
}

impl Keys {
    /// The key, the same at each call and after each start.
    pub async fn rsa(&self) -> Result<Arc<RsaSigningKey>> {
        let key = self.rsa.get_or_try_init(|| self.load_rsa()).await?;
        Ok(Arc::clone(key))
    }

    async fn load_rsa(&self) -> Result<Arc<RsaSigningKey>> {
        let id = format!("{}/ocm#signature", self.origin);
        let known = self
            .store
            .read(async |txn| txn.get::<KeptRsaKey>(Key::of(["active"])).await)
            .await?;
        let kept = match known {
            Some(kept) => kept,
            None => {
                // It takes a while, in which others must be served.
                let named = id.clone();
                let made = tokio::task::spawn_blocking(move || RsaSigningKey::generate(&named));
                let made = made.await.map_err(Error::internal)??;
                let fresh = KeptRsaKey {
                    pkcs8: Secret::new(BASE64.encode(made.to_pkcs8())),
                };
                // Whoever asked before may have hung up, and its key still be on its way to the disk: that one stays.
                self.store
                    .run(async |txn| match txn.get::<KeptRsaKey>(Key::of(["active"])).await? {
                        Some(faster) => Ok(faster),
                        None => txn.put(&fresh).await.map(|()| fresh.clone()),
                    })
                    .await?
            }
        };
        let pkcs8 = BASE64.decode(kept.pkcs8.expose()).map_err(Error::internal)?;
        Ok(Arc::new(RsaSigningKey::from_pkcs8(&id, &pkcs8)?))
    }
}
