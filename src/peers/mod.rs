//! Other OCM Servers: whether we deal with them, what they say of themselves, and whether a request is really theirs.

pub mod probe;
pub mod trust;

use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use moka::sync::Cache;
use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Mutex;
use url::Url;

use crate::client::Client;
use crate::client::Outbound;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::Federation;
use crate::contacts;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;
use crate::error::Result;
use crate::keys::Keys;
use crate::ocm::address::Provider;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Discovery;
use crate::ocm::jwks::Jwk;
use crate::ocm::jwks::JwkSet;
use crate::ocm::signature;
use crate::ocm::signature::Unverified;
use crate::ocm::signature::Window;
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

/// How many peers' documents are kept in memory.
const KNOWN_PEERS: u64 = 2_000;
const SIGNED_LATELY: u64 = 10_000;
/// An unknown `kid` makes us look again, but not more often than this (T-21).
const REFETCH_KEYS: Duration = Duration::from_secs(30);
/// How many servers that we have never dealt with are looked up in a minute because somebody says to be one (T-01, T-10).
const STRANGERS_A_MINUTE: u32 = 120;
/// How long a stranger can't have a server called again that failed just now (T-01).
const SPARE_FAILED: Duration = Duration::from_secs(10);
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

/// What a peer says of itself, fetched lately.
#[derive(Default)]
struct Slot {
    discovery: Option<(Arc<Discovery>, Timestamp)>,
    keys: Option<(Arc<JwkSet>, Timestamp)>,
    /// Why it could not be asked in a stranger's request.
    failed: Option<(Error, Timestamp)>,
}

impl Slot {
    /// # Errors
    ///
    /// With the last failure, while it is young.
    fn spare(&self, now: Timestamp) -> Result<()> {
        match &self.failed {
            Some((error, at)) if now < at.plus(SPARE_FAILED) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn note<T>(&mut self, outcome: &Result<T>, now: Timestamp) {
        self.failed = outcome.as_ref().err().map(|error| (error.clone(), now));
    }
}

/// The peers of this server.
#[derive(Clone)]
pub struct Peers {
    store: Store,
    client: Client,
    clock: Clock,
    keys: Arc<Keys>,
    own: Provider,
    settings: Federation,
    /// One lock for each peer: of many who want to know the same, one asks.
    slots: Cache<Provider, Arc<Mutex<Slot>>>,
    /// Since when, and how many strangers were looked up since.
    strangers: Arc<std::sync::Mutex<(Timestamp, u32)>>,
    /// When what was last signed, for as long as it may be presented again.
    signed: Cache<[u8; 32], Timestamp>,
}

impl Peers {
    pub fn new(config: &Config, store: Store, client: Client, clock: Clock, keys: Arc<Keys>) -> Self {
        Self {
            store,
            client,
            clock,
            keys,
            own: config.server.public_url.provider().clone(),
            settings: config.federation.clone(),
            slots: Cache::new(KNOWN_PEERS),
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
            .read(async |txn| trust::decide(txn, mode, host, purpose, now).await)
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

    /// What the server at `host` says of itself; asked at most once in `federation.discovery_cache` (DIS-1).
    ///
    /// # Errors
    ///
    /// [`Reason::WeRefuseThem`] before anything is sent (DIS-12); a reason of [`Kind::Peer`] if it can't be had.
    pub async fn discover(&self, host: &Provider, purpose: Purpose) -> Result<Arc<Discovery>> {
        self.permit(host, purpose).await?;
        let slot = self.slot(host);
        let mut slot = slot.lock().await;
        self.discovery_in(&mut slot, host).await
    }

    /// As [`Self::discover`], on the word of a stranger: a server that failed a moment ago is left alone, so that nobody
    /// can have it called over and over in its own name (T-01, T-21).
    async fn discover_for_stranger(&self, host: &Provider, purpose: Purpose) -> Result<Arc<Discovery>> {
        let decision = self.permit(host, purpose).await?;
        let now = self.clock.now();
        let slot = self.slot(host);
        let mut slot = slot.lock().await;
        slot.spare(now)?;
        if slot.discovery.is_none() {
            self.spare_strangers(&decision, now).await?;
        }
        let found = self.discovery_in(&mut slot, host).await;
        slot.note(&found, now);
        found
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

    /// Asks anew at the next occasion.
    pub fn forget(&self, host: &Provider) {
        self.slots.invalidate(host);
    }

    /// The request with our signature where the peer reads one, and without where it would refuse it (SIG-3b).
    pub fn sign_for(&self, peer: &Discovery, request: Outbound) -> Outbound {
        if !peer.has(Capability::HttpSig) {
            return request;
        }
        let created = self.unused_moment(request.fingerprint());
        request.signed(self.keys.active(), created)
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

    fn slot(&self, host: &Provider) -> Arc<Mutex<Slot>> {
        self.slots.get_with(host.clone(), Arc::default)
    }

    async fn discovery_in(&self, slot: &mut Slot, host: &Provider) -> Result<Arc<Discovery>> {
        let now = self.clock.now();
        if let Some((known, fetched)) = &slot.discovery
            && now < fetched.plus(self.settings.discovery_cache.0)
        {
            return Ok(Arc::clone(known));
        }
        let fresh = Arc::new(self.fetch_discovery(host).await?);
        slot.discovery = Some((Arc::clone(&fresh), now));
        Ok(fresh)
    }

    /// https first; http only into networks where the operator said that it is spoken (DIS-2).
    async fn fetch_discovery(&self, host: &Provider) -> Result<Discovery> {
        let over_https = self.fetch_discovery_over("https", host).await;
        let unreachable = |error: &Error| {
            matches!(
                error.reason(),
                Reason::NoAnswer | Reason::TlsFailed | Reason::PrivateAddress
            )
        };
        match over_https {
            Err(error) if unreachable(&error) && self.client.guard().speaks_plain_http() => self
                .fetch_discovery_over("http", host)
                .await
                // What https said is nearer to the truth than that http is not spoken either.
                .map_err(|second| {
                    if unreachable(&second) && second.reason() == Reason::PrivateAddress {
                        error
                    } else {
                        second
                    }
                }),
            other => other,
        }
    }

    async fn fetch_discovery_over(&self, scheme: &str, host: &Provider) -> Result<Discovery> {
        let url = Url::parse(&format!("{scheme}://{host}/.well-known/ocm")).map_err(Error::internal)?;
        let answer = self.client.document(&url).await?;
        let not_ocm = || {
            Error::new(
                Reason::NotOcm,
                format!("{host} answers, but is not an Open Cloud Mesh server (or has it switched off)."),
            )
        };
        if answer.status != 200 {
            return Err(match answer.status {
                429 | 503 => busy(host, answer.retry_after),
                _ => not_ocm(),
            });
        }
        let discovery =
            Discovery::parse(&answer.body, host, scheme == "http").map_err(|invalid| not_ocm().caused_by(invalid))?;
        if !discovery.enabled() {
            return Err(Error::new(
                Reason::OcmDisabled,
                format!("{host} has Open Cloud Mesh switched off."),
            ));
        }
        Ok(discovery)
    }

    /// The key that `host` publishes under this id (SIG-5, T-20).
    async fn key(&self, decision: &Decision, kid: &str) -> Result<Jwk> {
        let (host, now) = (&decision.host, self.clock.now());
        let slot = self.slot(host);
        let mut slot = slot.lock().await;
        let cached = slot.keys.clone();
        if let Some((set, fetched)) = &cached {
            let fresh = now < fetched.plus(self.settings.discovery_cache.0);
            match set.find_trusted(kid) {
                Some(key) if fresh => return Ok(key.clone()),
                None if now < fetched.plus(REFETCH_KEYS) => return Err(no_such_key()),
                _ => {}
            }
        }
        slot.spare(now)?;
        self.spare_strangers(decision, now).await?;
        let fetched = self.fetch_keys(&mut slot, host).await;
        slot.note(&fetched, now);
        let set = Arc::new(fetched?);
        slot.keys = Some((Arc::clone(&set), now));
        set.find_trusted(kid).cloned().ok_or_else(no_such_key)
    }

    async fn fetch_keys(&self, slot: &mut Slot, host: &Provider) -> Result<JwkSet> {
        let unusable = |error: Error| {
            Error::new(
                Reason::SignatureInvalid,
                "The keys of the server that signed could not be had.",
            )
            .caused_by(error)
        };
        let discovery = self.discovery_in(slot, host).await.map_err(unusable)?;
        let well_known = || {
            discovery
                .end_point()
                .join("/.well-known/jwks.json")
                .map_err(Error::internal)
        };
        let url = discovery.jwks_uri().map_or_else(well_known, |url| Ok(url.clone()))?;
        let answer = self.client.document(&url).await.map_err(unusable)?;
        if answer.status != 200 {
            return Err(unusable(Error::new(
                Reason::PeerBadAnswer,
                format!("{host} answered {} instead of its keys.", answer.status),
            )));
        }
        JwkSet::parse(&answer.body).map_err(|invalid| unusable(invalid.into()))
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

fn no_such_key() -> Error {
    Error::new(Reason::SignatureInvalid, "The signature of this request is not valid.")
        .caused_by("the server publishes no such key, or one that can't be trusted")
}

pub(crate) fn busy(host: &Provider, retry_after: Option<Duration>) -> Error {
    Error::new(Reason::PeerBusy, format!("{host} is busy; it will be asked again.")).retry_after(retry_after)
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
