//! Other OCM Servers: whether we deal with them, what they say of themselves, and whether a request is really theirs.

mod answers;
pub mod batch;
pub mod import;
mod known;
pub mod lists;
mod lookalike;
pub mod pins;
pub mod policy;
pub mod probe;
mod proof;
pub mod settings;
pub mod together;
pub mod traffic;
pub mod trust;
mod visitors;
pub mod wishes;

use std::collections::BTreeSet;
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
use crate::config::Mode;
use crate::config::Origin;
use crate::contacts;
use crate::contacts::Admission;
use crate::directories::Directories;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::keys::Keys;
use crate::metrics::Fill;
use crate::metrics::Metrics;
use crate::ocm::address::Provider;
use crate::ocm::dialect;
use crate::ocm::dialect::Dialect;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Discovery;
use crate::peers::known::Known;
use crate::peers::known::Word;
use crate::peers::settings::PeerSettings;
use crate::peers::settings::SignaturePolicy;
use crate::peers::traffic::Traffic;
use crate::peers::trust::Decision;
use crate::peers::trust::Given;
use crate::peers::trust::Pattern;
use crate::peers::trust::Purpose;
use crate::peers::trust::TrustRule;
use crate::store::Key;
use crate::store::Listing;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::store::Record;
use crate::store::Store;
use crate::store::Txn;

pub use self::answers::refused_by;
use self::answers::slow;
pub use self::answers::worth_retrying;
pub use self::known::Account;
pub use self::proof::Acting;
use self::proof::REPLAY_MARGIN;

/// How long a request waits for what we must know of its sender. It is fetched to the end all the same, so that a sender
/// which is slow once is known the next time.
const WAIT_FOR_SENDER: Duration = Duration::from_secs(5);
const SIGNED_LATELY: u64 = 10_000;
/// How many servers that we have never dealt with are looked up in a minute because somebody says to be one (T-01, T-10).
const STRANGERS_A_MINUTE: u32 = 120;

/// A server as it can be dealt with now.
#[derive(Clone, Debug)]
pub struct Peer {
    pub provider: Provider,
    pub discovery: Arc<Discovery>,
    pub dialect: &'static Dialect,
    pub signing: Signing,
}

/// How a server would be dealt with, for people to see.
#[derive(Clone, Debug)]
pub struct Met {
    pub dialect: &'static Dialect,
    pub policy: SignaturePolicy,
    /// None where it would not be dealt with as it is: then there is a `why_not`.
    pub signing: Option<Signing>,
    pub why_not: Option<String>,
}

/// How what is sent to a peer is signed (SIG-3b): never in both forms, for they use the same header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Signing {
    /// As the draft has it.
    Rfc9421,
    /// As servers did before, with an RSA key.
    DraftCavage,
    Unsigned,
}

/// That a server signs, because it did, or because it said so when we knew it already: from then on an unsigned request
/// in its name is refused (T-24).
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Signer {
    provider: Provider,
    signs_since: Timestamp,
}

impl Record for Signer {
    const KIND: &'static str = "peer";

    fn key(&self) -> Key {
        Key::of([self.provider.to_string()])
    }
}

/// The peers of this server.
#[derive(Clone)]
pub struct Peers {
    store: Store,
    client: Client,
    known: Known,
    clock: Clock,
    keys: Arc<Keys>,
    directories: Directories,
    own: Provider,
    settings: Federation,
    /// Who decides the mode.
    mode_from: Origin,
    traffic: Arc<Traffic>,
    metrics: Metrics,
    /// Since when, and how many strangers were looked up since.
    strangers: Arc<std::sync::Mutex<(Timestamp, u32)>>,
    /// What people without an account here had looked up lately.
    visitors: Arc<std::sync::Mutex<visitors::Lately>>,
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
        metrics: Metrics,
    ) -> Self {
        let traffic = Arc::new(Traffic::new(clock.clone(), metrics.clone()));
        let known = Known::new(
            store.clone(),
            client.clone(),
            clock.clone(),
            Arc::clone(&traffic),
            config.federation.discovery_cache.0,
        );
        Self {
            store,
            client,
            known,
            clock,
            keys,
            directories,
            own: config.server.public_url.provider().clone(),
            settings: config.federation.clone(),
            mode_from: config.origin("federation.mode"),
            traffic,
            metrics,
            strangers: Arc::default(),
            visitors: Arc::default(),
            signed: Cache::builder()
                .max_capacity(SIGNED_LATELY)
                .time_to_live(REPLAY_MARGIN)
                .build(),
        }
    }

    /// The decision about a server, with the way it was reached.
    pub async fn explain(&self, host: &Provider, purpose: Purpose) -> Result<Decision> {
        self.store
            .read(async |txn| {
                let mode = self.mode_of(txn).await?;
                trust::decide(txn, self.given(mode, &[]), host, purpose).await
            })
            .await
    }

    fn given<'a>(&'a self, mode: Mode, without: &'a [Pattern]) -> Given<'a> {
        Given {
            mode,
            directories: &self.directories,
            without,
            now: self.clock.now(),
        }
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
    /// [`Reason::WeRefuseThem`] before anything is sent (DIS-12); a reason of
    /// [`Kind::Peer`](crate::error::Kind::Peer) if it can't be had.
    pub async fn discover(&self, host: &Provider, purpose: Purpose) -> Result<Arc<Discovery>> {
        self.permit(host, purpose).await?;
        self.known.discovery(host, Word::Ours).await
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
        tokio::time::timeout(patience, self.known.discovery(host, Word::Ours))
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
        tokio::time::timeout(WAIT_FOR_SENDER, self.known.discovery(host, Word::Strangers))
            .await
            .unwrap_or_else(|_| Err(slow(host)))
    }

    /// Passes for a server that we know in some way, and for so many others in a minute: whoever makes up names must not
    /// have us call them all.
    async fn spare_strangers(&self, decision: &Decision, now: Timestamp) -> Result<()> {
        let host = &decision.host;
        let met = async |txn: &mut Txn| {
            Ok(txn.get::<Signer>([host.to_string()]).await?.is_some()
                || contacts::admission(txn, host).await?.is_some())
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
            .read(async |txn| txn.get::<Signer>([host.to_string()]).await)
            .await?;
        Ok(known.map(|signer| signer.signs_since))
    }

    /// What went to and fro lately.
    pub fn traffic(&self) -> &Traffic {
        &self.traffic
    }

    /// How full what is remembered of servers is.
    pub fn fills(&self) -> Vec<Fill> {
        let visitors = self.visitors.lock().unwrap_or_else(PoisonError::into_inner).fill();
        let signed = Fill::of_cache("signed", self.signed.entry_count(), SIGNED_LATELY);
        vec![
            self.traffic.fill(),
            self.known.fill(),
            visitors,
            signed,
            self.client.fill(),
        ]
    }

    /// What is known of a server, without asking it.
    pub async fn account(&self, host: &Provider) -> Result<Account> {
        self.known.account(host).await
    }

    /// Keeps what a server said, now that an invite has made it known.
    pub async fn remember(&self, host: &Provider) -> Result<()> {
        self.known.keep(host, Word::Ours).await?;
        self.known.keep_keys(host).await
    }

    /// Asks at once for what may have changed: an admin wants to know, or has heard that a key was taken back (T-20).
    ///
    /// # Errors
    ///
    /// As [`Self::discover`].
    pub async fn refresh(&self, host: &Provider) -> Result<Arc<Discovery>> {
        self.permit(host, Purpose::Invite).await?;
        self.known.forget(host);
        let discovery = self.known.discovery(host, Word::Ours).await?;
        if discovery.has(Capability::HttpSig) {
            self.known.look_at_keys(host).await?;
        }
        Ok(discovery)
    }

    /// The servers that we have to do with, or had: at most a thousand of each kind of trace that they leave.
    pub async fn met(&self) -> Result<BTreeSet<Provider>> {
        let page = Page::first(MAX_PAGE);
        let mut met = self
            .store
            .read(async |txn| {
                let mut met: BTreeSet<_> = known::kept(txn).await?.into_iter().collect();
                let signers = txn.list::<Signer>(Key::ALL, &page).await?.items;
                met.extend(signers.into_iter().map(|signer| signer.provider));
                let admitted = txn.list::<Admission>(Key::ALL, &page).await?.items;
                met.extend(admitted.into_iter().map(|admission| admission.provider));
                let set = txn.list::<PeerSettings>(Key::ALL, &page).await?.items;
                met.extend(set.into_iter().map(|settings| settings.provider));
                Ok(met)
            })
            .await?;
        met.extend(self.traffic.hosts());
        met.remove(&self.own);
        Ok(met)
    }

    /// Asks anew at the next occasion.
    pub fn forget(&self, host: &Provider) {
        self.known.forget(host);
    }

    /// The server as it can be dealt with: discovered, recognised, and with the way to sign for it.
    ///
    /// # Errors
    ///
    /// As [`Self::discover`]; [`Reason::TooOld`] for one that can't sign, where policy wants that it does.
    pub async fn meet(&self, host: &Provider, purpose: Purpose) -> Result<Peer> {
        let decision = self.permit(host, purpose).await?;
        let discovery = self.known.discovery(host, Word::Ours).await?;
        self.recognise(&decision, discovery, purpose).await
    }

    /// As [`Self::last_known`], recognised.
    pub async fn last_met(&self, host: &Provider, purpose: Purpose) -> Result<Option<Peer>> {
        let decision = self.permit(host, purpose).await?;
        match self.known.last(host).await? {
            Some(discovery) => self.recognise(&decision, discovery, purpose).await.map(Some),
            None => Ok(None),
        }
    }

    /// How the server would be dealt with, by what it said last, for people to see; it is not asked.
    pub async fn recall(&self, host: &Provider) -> Result<Option<Met>> {
        let Some((discovery, _)) = self.known.account(host).await?.discovery else {
            return Ok(None);
        };
        let decision = self.explain(host, Purpose::Federate).await?;
        let signing = self.signing(&decision, &discovery, Purpose::Federate).await;
        Ok(Some(Met {
            dialect: self.dialect(host, &discovery).await?,
            policy: self.policy(host).await?,
            why_not: signing.as_ref().err().map(ToString::to_string),
            signing: signing.ok(),
        }))
    }

    async fn recognise(&self, decision: &Decision, discovery: Arc<Discovery>, purpose: Purpose) -> Result<Peer> {
        let host = &decision.host;
        let signing = self.signing(decision, &discovery, purpose).await?;
        self.note_what_it_says(decision, &discovery).await?;
        Ok(Peer {
            provider: host.clone(),
            dialect: self.dialect(host, &discovery).await?,
            signing,
            discovery,
        })
    }

    async fn dialect(&self, host: &Provider, discovery: &Discovery) -> Result<&'static Dialect> {
        let chosen = self.settings_of(host).await?.and_then(|settings| settings.dialect);
        let chosen = chosen.as_deref().and_then(dialect::named);
        Ok(chosen.unwrap_or_else(|| dialect::of(discovery)))
    }

    async fn signing(&self, decision: &Decision, discovery: &Discovery, purpose: Purpose) -> Result<Signing> {
        let policy = self.policy(&decision.host).await?;
        Ok(match policy {
            SignaturePolicy::Off => Signing::Unsigned,
            _ if discovery.has(Capability::HttpSig) => Signing::Rfc9421,
            _ if discovery.public_key().is_some() && self.settings.draft_cavage => Signing::DraftCavage,
            SignaturePolicy::IfAdvertised if self.is_known(decision, purpose).await? => Signing::Unsigned,
            _ => return Err(answers::too_old(&decision.host, policy)),
        })
    }

    /// Holds a server to its word that it signs, if it is one that could go without otherwise (T-24). Of servers that
    /// nobody here knows nothing is written down (T-10).
    async fn note_what_it_says(&self, decision: &Decision, discovery: &Discovery) -> Result<()> {
        let says_so = discovery.has(Capability::HttpSig) || discovery.public_key().is_some();
        let host = &decision.host;
        if !says_so || self.signs_since(host).await?.is_some() || !self.is_known(decision, Purpose::Federate).await? {
            return Ok(());
        }
        let signer = Signer {
            provider: host.clone(),
            signs_since: self.clock.now(),
        };
        self.store
            .run_early(async |txn| match txn.get::<Signer>(signer.key()).await? {
                Some(_) => Ok(()),
                None => txn.put(&signer).await,
            })
            .await
    }

    /// Whether an admin or an invite here made this server known already.
    pub async fn vouches_for(&self, host: &Provider) -> Result<bool> {
        let decision = self.explain(host, Purpose::Federate).await?;
        Ok(decision.allowed && self.is_known(&decision, Purpose::Federate).await?)
    }

    /// Whether an admin or an invite made the server known; trading one is how it becomes known.
    async fn is_known(&self, decision: &Decision, purpose: Purpose) -> Result<bool> {
        if decision.by_rule || purpose == Purpose::Invite {
            return Ok(true);
        }
        let host = &decision.host;
        let admitted = self.store.read(async |txn| contacts::admission(txn, host).await);
        Ok(admitted.await?.is_some())
    }

    async fn policy(&self, host: &Provider) -> Result<SignaturePolicy> {
        let usual = if self.settings.require_signatures {
            SignaturePolicy::Required
        } else {
            SignaturePolicy::IfAdvertised
        };
        let own = self.settings_of(host).await?.and_then(|settings| settings.signatures);
        Ok(own.unwrap_or(usual))
    }

    /// What an admin has set for this server.
    pub async fn settings_of(&self, host: &Provider) -> Result<Option<PeerSettings>> {
        self.store
            .read(async |txn| txn.get::<PeerSettings>([host.to_string()]).await)
            .await
    }

    /// Sets what differs for one server; nothing differs where neither is given.
    pub async fn set_settings(&self, settings: &PeerSettings) -> Result<()> {
        self.store
            .run(async |txn| {
                if settings.signatures.is_none() && settings.dialect.is_none() {
                    txn.delete::<PeerSettings>(settings.key()).await.map(|_| ())
                } else {
                    txn.put(settings).await
                }
            })
            .await
    }

    /// The request as this peer takes it: signed in the form that it reads, or not at all where it would refuse it
    /// (SIG-3b), and with as much time as it needs.
    pub async fn sign_for(&self, peer: &Peer, request: Outbound) -> Result<Outbound> {
        let request = request.patient(peer.dialect.patience);
        Ok(match peer.signing {
            Signing::Unsigned => request,
            Signing::Rfc9421 => {
                let created = self.unused_moment(request.fingerprint());
                request.signed(&self.keys.active(), created)
            }
            Signing::DraftCavage => {
                let created = self.unused_moment(request.fingerprint());
                request.signed_as_before(&*self.keys.rsa().await?, created)
            }
        })
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
}
