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
    /// By name, each with the number of its [`Showing`].
    certificates: HashMap<String, (u64, Arc<CertifiedKey>)>,
    /// By token.
    answers: HashMap<String, (u64, String)>,
    last: u64,
}

impl Shown {
    fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }
}

impl Proofs {
    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.with(|shown| Some(Arc::clone(&shown.certificates.get(&name.to_ascii_lowercase())?.1)))
    }

    pub fn answer(&self, token: &str) -> Option<String> {
        self.with(|shown| Some(shown.answers.get(token)?.1.clone()))
    }

    /// Shows a certificate until what is returned is dropped, in place of any other.
    pub fn show_certificate(&self, name: &str, certificate: CertifiedKey) -> Showing {
        let name = name.to_ascii_lowercase();
        let number = self.with(|shown| {
            let number = shown.number();
            shown.certificates.insert(name, (number, Arc::new(certificate)));
            number
        });
        Showing(self.clone(), number)
    }

    /// The same, unless there is another: a look must not stand in the way of an order.
    pub fn show_if_free(&self, name: &str, certificate: CertifiedKey) -> Option<Showing> {
        self.certificate(name)
            .is_none()
            .then(|| self.show_certificate(name, certificate))
    }

    /// Gives an answer until what is returned is dropped.
    pub fn show_answer(&self, token: &str, answer: String) -> Showing {
        let number = self.with(|shown| {
            let number = shown.number();
            shown.answers.insert(token.to_owned(), (number, answer));
            number
        });
        Showing(self.clone(), number)
    }

    fn with<T>(&self, look: impl FnOnce(&mut Shown) -> T) -> T {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A proof that is shown as long as this is there: an order that is dropped leaves nothing behind.
pub struct Showing(Proofs, u64);

impl Drop for Showing {
    fn drop(&mut self) {
        self.0.with(|shown| {
            shown.certificates.retain(|_, (number, _)| *number != self.1);
            shown.answers.retain(|_, (number, _)| *number != self.1);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::selfsigned;

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

    #[test]
    fn a_look_stands_in_the_way_of_no_order() {
        let proofs = Proofs::default();
        let certificate = || (*selfsigned::stand_in(&["a.example".to_owned()]).unwrap()).clone();
        let shown = || proofs.certificate("A.example").map(|shown| shown.cert[0].clone());
        let look = proofs.show_if_free("a.example", certificate()).unwrap();
        let order = certificate();
        let expected = Some(order.cert[0].clone());
        let order = proofs.show_certificate("a.example", order);
        assert_eq!(shown(), expected);
        drop(look);
        assert_eq!(shown(), expected);
        assert!(proofs.show_if_free("a.example", certificate()).is_none());
        assert_eq!(shown(), expected);
        drop(order);
        assert_eq!(shown(), None);
    }
}
