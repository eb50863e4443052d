//! Whether a request is really from the server it speaks for: signatures, each taken once, and who may go without.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::ocm::dialect::cavage;
use crate::ocm::dialect::cavage::PublicKeyPem;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Discovery;
use crate::ocm::jwks::Jwk;
use crate::ocm::signature;
use crate::ocm::signature::Unverified;
use crate::ocm::signature::Window;
use crate::peers::Peers;
use crate::peers::Signer;
use crate::peers::WAIT_FOR_SENDER;
use crate::peers::answers::slow;
use crate::peers::known;
use crate::peers::known::Word;
use crate::peers::settings::SignaturePolicy;
use crate::peers::trust::Decision;
use crate::peers::trust::Purpose;
use crate::store::Index;
use crate::store::Key;
use crate::store::Record;
use crate::store::Txn;

/// A signature is remembered at least as long as it could be presented again.
pub(super) const REPLAY_MARGIN: Duration = Duration::from_secs(60);

/// A signature that was accepted, kept until it could not be accepted again (T-11, SIG-6).
#[derive(Serialize, Deserialize)]
struct SeenSignature {
    id: String,
    until: Timestamp,
}

impl Record for SeenSignature {
    const KIND: &'static str = "seen-signature";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }

    fn index(&self) -> Vec<Index> {
        vec![Index::new("until", self.until)]
    }
}

/// The server that a message says it is from.
#[derive(Clone, Copy, Debug)]
pub enum Acting<'a> {
    Exactly(&'a Provider),
    /// A host without a port, which some servers leave out (T-13): it may be any port of it, and the signature decides.
    AnyPort(&'a Provider),
    Unnamed,
}

impl Acting<'_> {
    fn admits(self, signer: &Provider) -> bool {
        match self {
            Self::Exactly(acting) => acting == signer,
            Self::AnyPort(acting) => acting.host() == signer.host(),
            Self::Unnamed => true,
        }
    }

    /// Whether the port that is missing is one that the signer has.
    fn lacks_port_of(self, signer: &Provider) -> bool {
        matches!(self, Self::AnyPort(_)) && signer.port().is_some()
    }
}

/// The two forms in which servers sign.
enum Form {
    New(Unverified),
    Old(cavage::Unverified),
}

impl Form {
    fn read(request: &signature::Request<'_>) -> Result<Self> {
        if let Some(new) = Unverified::read(request).map_err(signature_refused)? {
            return Ok(Self::New(new));
        }
        let old = cavage::Unverified::read(request).map_err(signature_refused)?;
        old.map(Self::Old).ok_or_else(signature_missing)
    }

    fn check_time(&self, now: Timestamp, window: &Window) -> Result<()> {
        match self {
            Self::New(unverified) => unverified.check_time(now, window),
            Self::Old(unverified) => unverified.check_time(now, window),
        }
        .map_err(signature_refused)
    }

    fn signer(&self) -> Result<Provider> {
        match self {
            Self::New(unverified) => unverified.signer().map_err(signature_refused),
            Self::Old(unverified) => Ok(unverified.signer()),
        }
    }
}

impl Peers {
    /// Shows that `request` was signed by a server that we deal with, lately, and for the first time; gives that server.
    ///
    /// `acting` is the server that the body speaks for, where the body says so. It is compared, and the trust rules are
    /// asked, before anything is fetched (T-12, T-48).
    ///
    /// # Errors
    ///
    /// [`Reason::SignatureMissing`], [`Reason::SignatureInvalid`], [`Reason::SignerMismatch`],
    /// [`Reason::SignatureReplayed`], [`Reason::WeRefuseThem`].
    pub async fn authenticate(
        &self,
        request: &signature::Request<'_>,
        acting: Acting<'_>,
        purpose: Purpose,
    ) -> Result<Provider> {
        let outcome = self.verify(request, acting, purpose).await;
        self.metrics.verification(&outcome);
        outcome
    }

    async fn verify(&self, request: &signature::Request<'_>, acting: Acting<'_>, purpose: Purpose) -> Result<Provider> {
        let now = self.clock.now();
        let unverified = Form::read(request)?;
        let window = Window {
            max_age: self.settings.signature_max_age.0,
            skew: self.settings.clock_skew.0,
        };
        unverified.check_time(now, &window)?;
        let signer = unverified.signer()?;
        if !acting.admits(&signer) {
            return Err(signer_mismatch());
        }
        let decision = self
            .permit(&signer, purpose)
            .await
            .map_err(|error| match error.reason() {
                Reason::OwnServer => Error::new(Reason::SignerMismatch, "This server does not write to itself."),
                _ => error,
            })?;
        let replay_id = match unverified {
            Form::New(unverified) => {
                let key = self.key(&decision, unverified.keyid()).await?;
                let verified = unverified.check(request, now, &window, &key);
                verified.map_err(signature_refused)?.replay_id
            }
            Form::Old(unverified) => self.check_old(&decision, request, unverified, now, &window).await?,
        };
        self.mark_seen(&signer, &replay_id, now).await?;
        // Only whoever is known for it may leave its port out; another port may be another server.
        if acting.lacks_port_of(&signer) && !self.leaves_port_out(&signer).await? {
            return Err(signer_mismatch());
        }
        Ok(signer)
    }

    async fn leaves_port_out(&self, signer: &Provider) -> Result<bool> {
        Ok(self
            .recall(signer)
            .await?
            .is_some_and(|met| met.dialect.leaves_port_out))
    }

    /// Checks a signature of the older form against the key in the discovery document. A key that does not fit may have
    /// been replaced under its name since, so the document is then fetched once more, though not more often than it
    /// would be for an unknown `kid` (T-20, T-21).
    async fn check_old(
        &self,
        decision: &Decision,
        request: &signature::Request<'_>,
        unverified: cavage::Unverified,
        now: Timestamp,
        window: &Window,
    ) -> Result<[u8; 32]> {
        let host = &decision.host;
        self.known.spare(host).map_err(known::unusable)?;
        if !self.known.knows(host) {
            self.spare_strangers(decision, now).await?;
        }
        let look = async || {
            tokio::time::timeout(WAIT_FOR_SENDER, self.known.discovery(host, Word::Strangers))
                .await
                .unwrap_or_else(|_| Err(slow(host)))
                .map_err(known::unusable)
        };
        let check = |discovery: &Discovery| {
            let key = old_key(discovery)?;
            let verified = unverified.clone().check(request, now, window, &key);
            verified.map(|verified| verified.replay_id).map_err(signature_refused)
        };
        let as_kept = check(&*look().await?);
        if as_kept.is_ok() || !self.known.may_ask_again(host) {
            return as_kept;
        }
        self.known.forget(host);
        check(&*look().await?)
    }

    /// Admits an unsigned request in the name of `acting`, where policy allows that: never from one that has signed
    /// before, or says that it signs, and only from one that an admin allowed or an invite made known (SIG-3b, T-24). To
    /// trade an invite it must know that; what it holds then is the proof.
    ///
    /// # Errors
    ///
    /// [`Reason::SignatureMissing`], [`Reason::WeRefuseThem`].
    pub async fn admit_unsigned(&self, acting: &Provider, purpose: Purpose) -> Result<()> {
        let policy = self.policy(acting).await?;
        if policy == SignaturePolicy::Required {
            return Err(signature_missing());
        }
        let decision = self
            .permit(acting, purpose)
            .await
            .map_err(|error| match error.reason() {
                Reason::OwnServer => signature_missing(),
                _ => error,
            })?;
        if policy == SignaturePolicy::Off {
            return Ok(());
        }
        if self.signs_since(acting).await?.is_some() || !self.is_known(&decision, purpose).await? {
            return Err(signature_missing());
        }
        // A peer that can't be asked may well be one that signs: whoever hides it must not gain by it. Nor does anybody
        // learn why it can't be asked: they could look around in our network that way (T-01, T-07).
        let peer = self
            .discover_for_stranger(acting, purpose)
            .await
            .map_err(|error| signature_missing().caused_by(error))?;
        if peer.has(Capability::HttpSig) || peer.public_key().is_some() {
            self.note_what_it_says(&decision, &peer).await?;
            return Err(signature_missing());
        }
        Ok(())
    }

    /// Forgets the signatures that could not be accepted again anyway.
    pub async fn forget_old_signatures(&self) -> Result<()> {
        let now = self.clock.now();
        loop {
            let gone = self
                .store
                .run(async |txn| {
                    let old = txn.find_until::<SeenSignature>("until", now, 500).await?;
                    for seen in &old {
                        txn.delete::<SeenSignature>(seen.key()).await?;
                    }
                    Ok(old.len())
                })
                .await?;
            if gone < 500 {
                return Ok(());
            }
        }
    }

    /// The key that a server publishes under this id (SIG-5, T-20).
    async fn key(&self, decision: &Decision, kid: &str) -> Result<Jwk> {
        let host = &decision.host;
        if let Some(key) = self.known.key(host, kid)? {
            return Ok(key);
        }
        self.known.spare(host).map_err(known::unusable)?;
        self.spare_strangers(decision, self.clock.now()).await?;
        tokio::time::timeout(WAIT_FOR_SENDER, self.known.fetch_key(host, kid))
            .await
            .unwrap_or_else(|_| Err(known::unusable(slow(host))))
    }

    /// Takes a signature once. The mark is in the log before whatever the request leads to, and so on disk before any
    /// answer that promises something.
    async fn mark_seen(&self, signer: &Provider, replay_id: &[u8; 32], now: Timestamp) -> Result<()> {
        let seen = SeenSignature {
            id: replay_id.iter().map(|byte| format!("{byte:02x}")).collect(),
            until: now
                .plus(self.settings.signature_max_age.0)
                .plus(self.settings.clock_skew.0)
                .plus(REPLAY_MARGIN),
        };
        let signer = Signer {
            provider: signer.clone(),
            signs_since: now,
        };
        self.store
            .run_early(async |txn: &mut Txn| {
                if txn.get::<SeenSignature>(seen.key()).await?.is_some() {
                    return Err(Error::new(
                        Reason::SignatureReplayed,
                        "This request was received before.",
                    ));
                }
                if txn.get::<Signer>(signer.key()).await?.is_none() {
                    txn.put(&signer).await?;
                }
                txn.put(&seen).await
            })
            .await
    }
}

/// The one answer to every signature that does not hold; what was wrong with it goes to the log.
fn signature_refused(cause: signature::SignatureError) -> Error {
    Error::new(Reason::SignatureInvalid, "The signature of this request is not valid.").caused_by(cause)
}

fn signer_mismatch() -> Error {
    Error::new(
        Reason::SignerMismatch,
        "The server that signed is not the one that the message speaks for.",
    )
}

fn signature_missing() -> Error {
    Error::new(
        Reason::SignatureMissing,
        "This request must be signed (RFC 9421, tag \"ocm\").",
    )
}

/// The key for signatures of the older form; none that everybody knows the private half of (T-22).
fn old_key(discovery: &Discovery) -> Result<PublicKeyPem> {
    let published = discovery.public_key().ok_or_else(no_old_key)?;
    let key = PublicKeyPem::read(&published.key_id, &published.pem).map_err(|why| no_old_key().caused_by(why))?;
    if key.is_published_example() {
        return Err(no_old_key());
    }
    Ok(key)
}

fn no_old_key() -> Error {
    Error::new(Reason::SignatureInvalid, "The signature of this request is not valid.")
        .caused_by("the server publishes no key for signatures of this form, or one that can't be trusted")
}
