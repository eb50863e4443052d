//! Other OCM Servers: whether we deal with them, what they say of themselves, and whether a request is really theirs.

mod known;
pub mod trust;

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use moka::sync::Cache;
use serde::Deserialize;
use serde::Serialize;

use crate::client::Client;
use crate::client::Outbound;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::Federation;
use crate::contacts;
use crate::directories::Directories;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;
use crate::error::Result;
use crate::keys::Keys;
use crate::ocm::address::Provider;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Discovery;
use crate::ocm::jwks::Jwk;
use crate::ocm::signature;
use crate::ocm::signature::Unverified;
use crate::ocm::signature::Window;
use crate::peers::known::Known;
use crate::peers::trust::Decision;
use crate::peers::trust::Pattern;
use crate::peers::trust::Purpose;
use crate::peers::trust::TrustRule;
use crate::store::Index;
use crate::store::Key;
use crate::store::Listing;
use crate::store::Page;
use crate::store::Record;
use crate::store::Store;
use crate::store::Txn;

pub use self::known::Account;

const SIGNED_LATELY: u64 = 10_000;
/// How many servers that we have never dealt with are looked up in a minute because somebody says to be one (T-01, T-10).
const STRANGERS_A_MINUTE: u32 = 120;
/// A signature is remembered at least as long as it could be presented again.
const REPLAY_MARGIN: Duration = Duration::from_secs(60);

/// What is kept of a peer beyond what it can be asked for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Peer {
    pub provider: Provider,
    /// Since when it is known to sign: from then on an unsigned request in its name is refused (T-24).
    pub signs_since: Timestamp,
}

impl Record for Peer {
    const KIND: &'static str = "peer";

    fn key(&self) -> Key {
        Key::of([self.provider.to_string()])
    }
}

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

/// The peers of this server.
#[derive(Clone)]
pub struct Peers {
    store: Store,
    known: Known,
    clock: Clock,
    keys: Arc<Keys>,
    directories: Directories,
    own: Provider,
    settings: Federation,
    /// Since when, and how many strangers were looked up since.
    strangers: Arc<std::sync::Mutex<(Timestamp, u32)>>,
    /// When what was last signed, for as long as it may be presented again.
    signed: Cache<[u8; 32], Timestamp>,
}

impl Peers {
    pub fn new(
        config: &Config,
        store: Store,
        client: Client,
        clock: Clock,
        keys: Arc<Keys>,
        directories: Directories,
    ) -> Self {
        let known = Known::new(
            store.clone(),
            client,
            clock.clone(),
            config.federation.discovery_cache.0,
        );
        Self {
            store,
            known,
            clock,
            keys,
            directories,
            own: config.server.public_url.provider().clone(),
            settings: config.federation.clone(),
            strangers: Arc::default(),
            signed: Cache::builder()
                .max_capacity(SIGNED_LATELY)
                .time_to_live(REPLAY_MARGIN)
                .build(),
        }
    }

    /// The decision about a server, with the way it was reached.
    pub async fn explain(&self, host: &Provider, purpose: Purpose) -> Result<Decision> {
        let (mode, now) = (self.settings.mode, self.clock.now());
        self.store
            .read(async |txn| trust::decide(txn, mode, &self.directories, host, purpose, now).await)
            .await
    }

    /// Passes if we deal with this server for this purpose.
    ///
    /// # Errors
    ///
    /// [`Reason::WeRefuseThem`]; [`Reason::OwnServer`].
    pub async fn permit(&self, host: &Provider, purpose: Purpose) -> Result<Decision> {
        if *host == self.own {
            return Err(Error::new(Reason::OwnServer, "That is this server itself."));
        }
        let decision = self.explain(host, purpose).await?;
        if !decision.allowed {
            return Err(trust::refusal(host));
        }
        Ok(decision)
    }

    /// Writes a rule in place of an earlier one for the same pattern.
    pub async fn set_rule(&self, rule: &TrustRule) -> Result<()> {
        self.store.run(async |txn| txn.put(rule).await).await
    }

    /// # Errors
    ///
    /// [`Reason::NotFound`] if there is no rule of exactly this pattern.
    pub async fn remove_rule(&self, pattern: &Pattern) -> Result<TrustRule> {
        self.store
            .run(async |txn| {
                txn.delete::<TrustRule>(pattern.key())
                    .await?
                    .ok_or_else(|| Error::not_found("There is no rule for this server.").in_field("host"))
            })
            .await
    }

    pub async fn rules(&self, page: &Page) -> Result<Listing<TrustRule>> {
        self.store
            .read(async |txn| txn.list::<TrustRule>(Key::ALL, page).await)
            .await
    }

    /// What the server at `host` says of itself; asked at most once in `federation.discovery_cache` (DIS-1). For work
    /// that goes on behind: it may take as long as a peer may take to answer.
    ///
    /// # Errors
    ///
    /// [`Reason::WeRefuseThem`] before anything is sent (DIS-12); a reason of [`Kind::Peer`] if it can't be had.
    pub async fn discover(&self, host: &Provider, purpose: Purpose) -> Result<Arc<Discovery>> {
        self.permit(host, purpose).await?;
        self.known.discovery(host).await
    }

    /// As [`Self::discover`], for someone who waits, but not for long: a peer that takes more than `patience`, or failed
    /// just now, is an error at once. It is asked all the same, so that the answer is there the next time.
    pub async fn discover_within(
        &self,
        host: &Provider,
        purpose: Purpose,
        patience: Duration,
    ) -> Result<Arc<Discovery>> {
        self.permit(host, purpose).await?;
        self.known.spare(host)?;
        tokio::time::timeout(patience, self.known.discovery(host))
            .await
            .unwrap_or_else(|_| Err(slow(host)))
    }

    /// What the server said of itself last, without waiting for it; none if we never asked. What is old is asked for
    /// anew behind.
    ///
    /// # Errors
    ///
    /// [`Reason::WeRefuseThem`]; why there is nothing, if it was asked just now in vain.
    pub async fn last_known(&self, host: &Provider, purpose: Purpose) -> Result<Option<Arc<Discovery>>> {
        self.permit(host, purpose).await?;
        self.known.last(host).await
    }

    /// As [`Self::discover`], on the word of a stranger: a server that failed a moment ago is left alone, so that nobody
    /// can have it called over and over in its own name (T-01, T-21).
    async fn discover_for_stranger(&self, host: &Provider, purpose: Purpose) -> Result<Arc<Discovery>> {
        let decision = self.permit(host, purpose).await?;
        self.known.spare(host)?;
        if !self.known.knows(host) {
            self.spare_strangers(&decision, self.clock.now()).await?;
        }
        self.known.discovery(host).await
    }

    /// Passes for a server that we know in some way, and for so many others in a minute: whoever makes up names must not
    /// have us call them all.
    async fn spare_strangers(&self, decision: &Decision, now: Timestamp) -> Result<()> {
        let host = &decision.host;
        let met = async |txn: &mut Txn| {
            Ok(txn.get::<Peer>([host.to_string()]).await?.is_some() || contacts::admission(txn, host).await?.is_some())
        };
        if decision.by_rule || self.store.read(met).await? {
            return Ok(());
        }
        let mut strangers = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if now >= strangers.0.plus(Duration::from_secs(60)) {
            *strangers = (now, 0);
        }
        strangers.1 += 1;
        if strangers.1 > STRANGERS_A_MINUTE {
            return Err(Error::new(
                Reason::Busy,
                "Too many servers introduce themselves just now; try again in a minute.",
            )
            .retry_after(Some(Duration::from_secs(60))));
        }
        Ok(())
    }

    /// Since when a server is known to sign, if it is (T-24).
    pub async fn signs_since(&self, host: &Provider) -> Result<Option<Timestamp>> {
        let known = self
            .store
            .read(async |txn| txn.get::<Peer>([host.to_string()]).await)
            .await?;
        Ok(known.map(|peer| peer.signs_since))
    }

    /// What is known of a server, without asking it.
    pub async fn account(&self, host: &Provider) -> Result<Account> {
        self.known.account(host).await
    }

    /// Asks at once for what may have changed: an admin wants to know, or has heard that a key was taken back (T-20).
    ///
    /// # Errors
    ///
    /// As [`Self::discover`].
    pub async fn refresh(&self, host: &Provider) -> Result<Arc<Discovery>> {
        self.permit(host, Purpose::Invite).await?;
        self.known.forget(host);
        self.known.discovery(host).await
    }

    /// Asks anew at the next occasion.
    pub fn forget(&self, host: &Provider) {
        self.known.forget(host);
    }

    /// The request with our signature where the peer reads one, and without where it would refuse it (SIG-3b).
    pub fn sign_for(&self, peer: &Discovery, request: Outbound) -> Outbound {
        if !peer.has(Capability::HttpSig) {
            return request;
        }
        let created = self.unused_moment(request.fingerprint());
        request.signed(&self.keys.active(), created)
    }

    /// Now, or the next second in which this very request has not been signed yet: the same request in the same second
    /// would have the same signature, and be taken for a replay.
    fn unused_moment(&self, fingerprint: [u8; 32]) -> Timestamp {
        let now = self.clock.now();
        let next = self.signed.entry(fingerprint).and_upsert_with(|last| match last {
            Some(last) => now.max(last.into_value().plus(Duration::from_secs(1))),
            None => now,
        });
        next.into_value()
    }

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
        acting: Option<&Provider>,
        purpose: Purpose,
    ) -> Result<Provider> {
        let now = self.clock.now();
        let unverified = Unverified::read(request).map_err(signature_refused)?.ok_or_else(|| {
            Error::new(
                Reason::SignatureMissing,
                "This request must be signed (RFC 9421, tag \"ocm\").",
            )
        })?;
        let window = Window {
            max_age: self.settings.signature_max_age.0,
            skew: self.settings.clock_skew.0,
        };
        unverified.check_time(now, &window).map_err(signature_refused)?;
        let signer = unverified.signer().map_err(signature_refused)?;
        if acting.is_some_and(|acting| *acting != signer) {
            return Err(Error::new(
                Reason::SignerMismatch,
                "The server that signed is not the one that the message speaks for.",
            ));
        }
        let decision = self
            .permit(&signer, purpose)
            .await
            .map_err(|error| match error.reason() {
                Reason::OwnServer => Error::new(Reason::SignerMismatch, "This server does not write to itself."),
                _ => error,
            })?;
        let key = self.key(&decision, unverified.keyid()).await?;
        let verified = unverified
            .check(request, now, &window, &key)
            .map_err(signature_refused)?;
        self.mark_seen(&signer, &verified.replay_id, now).await?;
        Ok(signer)
    }

    /// Admits an unsigned request in the name of `acting`, where the operator's policy allows that: never from one that
    /// has signed before, or says that it signs (SIG-3b, T-24).
    ///
    /// # Errors
    ///
    /// [`Reason::SignatureMissing`], [`Reason::WeRefuseThem`].
    pub async fn admit_unsigned(&self, acting: &Provider, purpose: Purpose) -> Result<()> {
        let missing = || {
            Error::new(
                Reason::SignatureMissing,
                "This request must be signed (RFC 9421, tag \"ocm\").",
            )
        };
        if self.settings.require_signatures {
            return Err(missing());
        }
        self.permit(acting, purpose)
            .await
            .map_err(|error| match error.reason() {
                Reason::OwnServer => missing(),
                _ => error,
            })?;
        let known = self
            .store
            .read(async |txn| txn.get::<Peer>([acting.to_string()]).await)
            .await?;
        if known.is_some() {
            return Err(missing());
        }
        // A peer that can't be asked may well be one that signs: whoever hides it must not gain by it. Nor does anybody
        // learn why it can't be asked: they could look around in our network that way (T-01, T-07).
        let peer = self
            .discover_for_stranger(acting, purpose)
            .await
            .map_err(|error| missing().caused_by(error))?;
        if peer.has(Capability::HttpSig) {
            return Err(missing());
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
        self.known.fetch_key(host, kid).await
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
        let peer = Peer {
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
                if txn.get::<Peer>(peer.key()).await?.is_none() {
                    txn.put(&peer).await?;
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

pub(crate) fn busy(host: &Provider, retry_after: Option<Duration>) -> Error {
    Error::new(Reason::PeerBusy, format!("{host} is busy; it will be asked again.")).retry_after(retry_after)
}

fn slow(host: &Provider) -> Error {
    Error::new(
        Reason::NoAnswer,
        format!("{host} takes its time. It is being asked; try again in a moment."),
    )
}

/// What a peer's status and complaint mean to us, for an answer that is not a success.
pub fn refused_by(host: &Provider, status: u16, complaint: Option<String>, retry_after: Option<Duration>) -> Error {
    let said = complaint.map_or_else(|| format!("{status}"), |complaint| format!("{status} {complaint}"));
    match status {
        // Often for now only: they could not get our keys, or a clock was off.
        401 => Error::new(
            Reason::SignatureRejected,
            format!(
                "{host} could not verify our signature ({said}): a clock, an old copy of our key, or a proxy between."
            ),
        ),
        403 => Error::new(
            Reason::TheyRefuseUs,
            format!("{host} refuses this server ({said}). Its admin can change that."),
        ),
        404 | 410 => Error::new(Reason::ShareGone, format!("{host} does not know this ({said}).")),
        400 | 405..=407 | 409..=424 | 426..=428 => {
            Error::new(Reason::PeerBadAnswer, format!("{host} refused the request ({said})."))
        }
        501 => Error::new(
            Reason::TheyCannotTakeThis,
            format!("{host} does not take this kind of share ({said})."),
        ),
        408 | 425 | 429 | 500..=599 => {
            Error::new(Reason::PeerBusy, format!("{host} could not take it just now ({said})."))
                .retry_after(retry_after)
        }
        _ => Error::new(
            Reason::PeerBadAnswer,
            format!("{host} gave an answer that has no meaning here ({said})."),
        ),
    }
}

/// Whether trying again later may help.
pub fn worth_retrying(error: &Error) -> bool {
    match error.reason() {
        Reason::NameNotFound
        | Reason::NoAnswer
        | Reason::TlsFailed
        | Reason::SignatureRejected
        | Reason::PeerBusy
        | Reason::NotOcm
        | Reason::OcmDisabled => true,
        _ => error.kind() == Kind::Busy || error.kind() == Kind::Internal,
    }
}
