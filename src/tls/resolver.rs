//! Which certificate a connection gets to see: a proof for an authority, the current one, or one that stands in for it.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::RwLock;

use rustls::server::ClientHello;
use rustls::server::ResolvesServerCert;
use rustls::sign::CertifiedKey;

use crate::tls::pair::Pair;

/// The protocol in which authorities ask for a proof (RFC 8737).
pub const PROOF: &[u8] = b"acme-tls/1";

#[derive(Default)]
pub struct Resolver {
    current: RwLock<Option<Pair>>,
    /// Shown until there is a certificate, so that there is an answer at all.
    stand_in: Option<Arc<CertifiedKey>>,
    proofs: Proofs,
}

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolver {
    pub fn new(current: Option<Pair>, stand_in: Option<Arc<CertifiedKey>>) -> Self {
        Self {
            current: RwLock::new(current),
            stand_in,
            proofs: Proofs::default(),
        }
    }

    pub fn current(&self) -> Option<Pair> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// From now on connections see this one; those that are open are not touched.
    pub fn install(&self, pair: Pair) {
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(pair);
    }

    pub fn proofs(&self) -> &Proofs {
        &self.proofs
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        if hello.alpn().is_some_and(|protocols| protocols.eq([PROOF])) {
            return self.proofs.certificate(hello.server_name()?);
        }
        self.current().map(|pair| pair.shown).or_else(|| self.stand_in.clone())
    }
}

/// What is shown to authorities that want to see that a name leads here. Clones are the same.
#[derive(Clone, Default)]
pub struct Proofs(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    /// By name.
    certificates: HashMap<String, Arc<CertifiedKey>>,
    /// By token.
    answers: HashMap<String, String>,
}

impl Proofs {
    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.with(|shown| shown.certificates.get(&name.to_ascii_lowercase()).cloned())
    }

    pub fn answer(&self, token: &str) -> Option<String> {
        self.with(|shown| shown.answers.get(token).cloned())
    }

    /// Shows a certificate until what is returned is dropped.
    pub fn show_certificate(&self, name: &str, certificate: CertifiedKey) -> Showing {
        let name = name.to_ascii_lowercase();
        self.with(|shown| shown.certificates.insert(name.clone(), Arc::new(certificate)));
        Showing(self.clone(), name)
    }

    /// Gives an answer until what is returned is dropped.
    pub fn show_answer(&self, token: &str, answer: String) -> Showing {
        self.with(|shown| shown.answers.insert(token.to_owned(), answer));
        Showing(self.clone(), token.to_owned())
    }

    fn with<T>(&self, look: impl FnOnce(&mut Shown) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A proof that is shown as long as this is there: an order that is dropped leaves nothing behind.
pub struct Showing(Proofs, String);

impl Drop for Showing {
    fn drop(&mut self) {
        self.0.with(|shown| {
            shown.certificates.remove(&self.1);
            shown.answers.remove(&self.1);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t84_a_proof_is_gone_when_whoever_showed_it_is() {
        let proofs = Proofs::default();
        {
            let _showing = proofs.show_answer("token", "token.thumbprint".to_owned());
            assert_eq!(proofs.answer("token").as_deref(), Some("token.thumbprint"));
            assert_eq!(proofs.answer("other"), None);
        }
        assert_eq!(proofs.answer("token"), None);
    }
}
