//! What peers say of themselves, discovery document and keys: asked for by one at a time, kept, and followed as it changes.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use moka::sync::Cache;
use serde::Deserialize;
use serde::Serialize;
use url::Url;

use crate::client::Answer;
use crate::client::Client;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::contacts;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::ocm::discovery::Discovery;
use crate::ocm::jwks::Jwk;
use crate::ocm::jwks::JwkSet;
use crate::peers::Signer;
use crate::peers::answers::busy;
use crate::peers::pins;
use crate::peers::traffic::About;
use crate::peers::traffic::Traffic;
use crate::store::Key;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::store::Record;
use crate::store::Store;
use crate::store::Txn;

/// How many peers' documents are kept in memory.
const KNOWN_PEERS: u64 = 2_000;
/// A key that its peer has taken back counts no longer than this (T-20).
const KEYS_FRESH: Duration = Duration::from_secs(3600);
/// An unknown `kid` makes us look again, but not more often than this (T-21).
const REFETCH_KEYS: Duration = Duration::from_secs(30);
/// How long nobody waits again for a server that failed just now: no stranger, and no page (T-01).
const SPARE_FAILED: Duration = Duration::from_secs(10);
/// Where the document is, first the place that the draft names (DIS-1), then those of its earlier versions (INC-34).
const PLACES: [&str; 3] = ["/.well-known/ocm", "/ocm-provider/", "/ocm-provider"];

/// A document as it was fetched last from a server that we have met; it survives restarts, and the server's absence.
#[derive(Serialize, Deserialize)]
struct KeptDocument {
    provider: Provider,
    discovery: Discovery,
    fetched: Timestamp,
    /// Whether it stood in the first of the [`PLACES`]. Not there in older records.
    #[serde(default)]
    well_known: bool,
}

impl Record for KeptDocument {
    const KIND: &'static str = "peer-document";

    fn key(&self) -> Key {
        Key::of([self.provider.to_string()])
    }
}

/// What a peer said last, and when.
#[derive(Clone, Debug)]
pub struct Account {
    pub discovery: Option<(Arc<Discovery>, Timestamp)>,
    /// Id and thumbprint (RFC 7638) of each key; empty where they were not asked for since the last start.
    pub keys: Vec<(String, String)>,
    /// Why it could not be asked the last time.
    pub failed: Option<(Error, Timestamp)>,
}

/// On whose word a server is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word {
    /// Somebody here has to do with it.
    Ours,
    /// Somebody says to be that server.
    Strangers,
}

/// A document, and whether it stood in the first of the [`PLACES`].
struct Found {
    discovery: Discovery,
    well_known: bool,
}

/// What is known of the peers. Clones share it.
#[derive(Clone)]
pub(super) struct Known {
    store: Store,
    client: Client,
    clock: Clock,
    traffic: Arc<Traffic>,
    max_age: Duration,
    slots: Cache<Provider, Arc<Slot>>,
}

/// One peer. Looking never waits; who asks the peer holds `asking`, so that of many who want to know the same one asks.
#[derive(Default)]
struct Slot {
    said: Mutex<Said>,
    asking: tokio::sync::Mutex<()>,
}

#[derive(Clone, Default)]
struct Said {
    discovery: Option<(Arc<Discovery>, Timestamp)>,
    keys: Option<(Arc<JwkSet>, Timestamp)>,
    failed: Option<(Error, Timestamp)>,
    /// Whether the document stood in the first of the [`PLACES`].
    well_known: bool,
    /// Whether the document is newer than the one that is kept.
    unkept: bool,
    /// How often it was asked: whoever waited for somebody else's question takes that one's answer.
    asked: u64,
}

impl Slot {
    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Said {
    fn fresh(&self, now: Timestamp, max_age: Duration) -> Option<Arc<Discovery>> {
        let (discovery, fetched) = self.discovery.as_ref()?;
        is_within(*fetched, max_age, now).then(|| Arc::clone(discovery))
    }

    /// # Errors
    ///
    /// With the last failure, while it is young.
    fn spare(&self, now: Timestamp) -> Result<()> {
        match &self.failed {
            Some((error, at)) if is_within(*at, SPARE_FAILED, now) => Err(error.clone()),
            _ => Ok(()),
        }
    }

    fn note<T>(&mut self, outcome: &Result<T>, now: Timestamp) {
        self.asked += 1;
        self.failed = outcome.as_ref().err().map(|error| (error.clone(), now));
    }
}

/// Whether something that was at `then` is at most so long ago. What will only be, as after a clock that went ahead for a
/// while, is not: else a key that was taken back would count, and a server be spared, until then (T-83).
fn is_within(then: Timestamp, span: Duration, now: Timestamp) -> bool {
    then <= now && now < then.plus(span)
}

impl Known {
    pub fn new(store: Store, client: Client, clock: Clock, traffic: Arc<Traffic>, max_age: Duration) -> Self {
        Self {
            store,
            client,
            clock,
            traffic,
            max_age,
            slots: Cache::new(KNOWN_PEERS),
        }
    }

    /// The document, fetched anew where what is known is too old.
    ///
    /// The question is asked to its end even if whoever wanted to know goes away meanwhile: the next one has the answer.
    pub async fn discovery(&self, host: &Provider, word: Word) -> Result<Arc<Discovery>> {
        if let Some(fresh) = self.remembered(host).await?.fresh(self.clock.now(), self.max_age) {
            self.keep(host, word).await?;
            return Ok(fresh);
        }
        let (asking, name) = (self.clone(), host.clone());
        let asked = tokio::spawn(async move { asking.ask(&name).await });
        let outcome = asked.await.map_err(Error::internal)?;
        self.keep(host, word).await?;
        outcome
    }

    /// The document as it was last, however old; if that is too old, it is asked for while nobody waits.
    ///
    /// # Errors
    ///
    /// Why there is none, where it was asked for just now in vain.
    pub async fn last(&self, host: &Provider) -> Result<Option<Arc<Discovery>>> {
        let said = self.remembered(host).await?;
        self.keep(host, Word::Ours).await?;
        let now = self.clock.now();
        let spared = said.spare(now);
        if said.fresh(now, self.max_age).is_none() && spared.is_ok() {
            let (known, host) = (self.clone(), host.clone());
            tokio::spawn(async move { known.ask(&host).await });
        }
        match said.discovery {
            Some((discovery, _)) => Ok(Some(discovery)),
            None => spared.map(|()| None),
        }
    }

    /// All that is known, and how fresh it is; the server is not asked.
    pub async fn account(&self, host: &Provider) -> Result<Account> {
        let said = self.remembered(host).await?;
        Ok(Account {
            discovery: said.discovery,
            keys: said.keys.map_or_else(Vec::new, |(set, _)| set.thumbprints()),
            failed: said.failed,
        })
    }

    /// Passes unless the server failed just now.
    ///
    /// # Errors
    ///
    /// With that failure.
    pub fn spare(&self, host: &Provider) -> Result<()> {
        let slot = self.slot(host);
        slot.said().spare(self.clock.now())
    }

    pub fn knows(&self, host: &Provider) -> bool {
        self.slot(host).said().discovery.is_some()
    }

    /// Whether a key that does not fit is reason enough to ask for the document again (T-21).
    pub fn may_ask_again(&self, host: &Provider) -> bool {
        let slot = self.slot(host);
        let said = slot.said();
        let fetched = said.discovery.as_ref().map(|(_, fetched)| *fetched);
        fetched.is_none_or(|fetched| self.clock.now() >= fetched.plus(REFETCH_KEYS))
    }

    /// Asks anew at the next occasion, keys included.
    pub fn forget(&self, host: &Provider) {
        let slot = self.slot(host);
        let mut said = slot.said();
        said.keys = None;
        if let Some((_, fetched)) = &mut said.discovery {
            *fetched = Timestamp(i64::MIN);
        }
    }

    /// A key of the server that is known well enough to be trusted now; an error if there is surely none of this name.
    /// `None` where the server has to be asked: [`Self::fetch_key`].
    pub fn key(&self, host: &Provider, kid: &str) -> Result<Option<Jwk>> {
        let now = self.clock.now();
        let slot = self.slot(host);
        let said = slot.said();
        let Some((set, fetched)) = &said.keys else {
            return Ok(None);
        };
        let fresh = is_within(*fetched, self.max_age.min(KEYS_FRESH), now);
        match set.find_trusted(kid) {
            Some(key) if fresh => Ok(Some(key.clone())),
            None if is_within(*fetched, REFETCH_KEYS, now) => Err(no_such_key()),
            _ => Ok(None),
        }
    }

    /// The key of this name, from the set that the server publishes now (SIG-5, T-20).
    pub async fn fetch_key(&self, host: &Provider, kid: &str) -> Result<Jwk> {
        // The document may be asked for on the way, and what it was before counts.
        self.remembered(host).await?;
        let (asking, name, kid) = (self.clone(), host.clone(), kid.to_owned());
        let asked = tokio::spawn(async move { asking.ask_for_key(&name, &kid).await });
        let outcome = asked.await.map_err(Error::internal)?;
        self.keep(host, Word::Strangers).await?;
        self.keep_keys(host).await?;
        outcome
    }

    /// Has its keys looked at, so that others than before are noticed; what is wrong with them is no matter here.
    pub async fn look_at_keys(&self, host: &Provider) -> Result<()> {
        let (asking, name) = (self.clone(), host.clone());
        let asked = tokio::spawn(async move { asking.ask_for_key(&name, "").await });
        let _ = asked.await.map_err(Error::internal)?;
        self.keep_keys(host).await
    }

    /// Notes which keys a server that we have met shows, where they are others than before.
    pub async fn keep_keys(&self, host: &Provider) -> Result<()> {
        let shown = {
            let slot = self.slot(host);
            let said = slot.said();
            said.keys.as_ref().map(|(set, at)| (set.thumbprints(), *at))
        };
        let Some((shown, at)) = shown else {
            return Ok(());
        };
        let looked = async |txn: &mut Txn| match met(txn, host, Word::Ours).await? {
            true => pins::looked(txn, host, &shown, at).await,
            false => Ok(None),
        };
        if self.store.read(looked).await?.is_none() {
            return Ok(());
        }
        self.store
            .run_early(async |txn| match looked(txn).await? {
                Some(seen) => txn.put(&seen).await,
                None => Ok(()),
            })
            .await
    }

    async fn ask_for_key(&self, host: &Provider, kid: &str) -> Result<Jwk> {
        let slot = self.slot(host);
        let _turn = slot.asking.lock().await;
        // Somebody may have asked while we waited for our turn.
        if let Some(key) = self.key(host, kid)? {
            return Ok(key);
        }
        let now = self.clock.now();
        slot.said().spare(now).map_err(unusable)?;
        let fetched = self.fetch_keys(&slot, host).await;
        self.traffic.sent(host, About::Keys, &fetched);
        let mut said = slot.said();
        said.note(&fetched, now);
        let set = Arc::new(fetched?);
        said.keys = Some((Arc::clone(&set), now));
        set.find_trusted(kid).cloned().ok_or_else(no_such_key)
    }

    /// What was said last: from memory, or from before the last restart.
    async fn remembered(&self, host: &Provider) -> Result<Said> {
        let slot = self.slot(host);
        let said = slot.said().clone();
        if said.discovery.is_some() || said.asked > 0 {
            return Ok(said);
        }
        let kept = self
            .store
            .read(async |txn| txn.get::<KeptDocument>([host.to_string()]).await)
            .await?;
        let mut said = slot.said();
        if said.discovery.is_none()
            && let Some(kept) = kept
        {
            said.discovery = Some((Arc::new(kept.discovery), kept.fetched));
            said.well_known = kept.well_known;
        }
        Ok(said.clone())
    }

    async fn ask(&self, host: &Provider) -> Result<Arc<Discovery>> {
        let slot = self.slot(host);
        let asked = slot.said().asked;
        let _turn = slot.asking.lock().await;
        let now = self.clock.now();
        {
            let said = slot.said();
            if let Some(fresh) = said.fresh(now, self.max_age) {
                return Ok(fresh);
            }
            if said.asked > asked {
                said.spare(now)?;
            }
        }
        self.ask_in_turn(&slot, host).await
    }

    async fn ask_in_turn(&self, slot: &Slot, host: &Provider) -> Result<Arc<Discovery>> {
        let now = self.clock.now();
        let well_known = slot.said().well_known;
        let fetched = self.fetch(host, well_known).await;
        self.traffic.sent(host, About::Discovery, &fetched);
        let mut said = slot.said();
        said.note(&fetched, now);
        let Found { discovery, well_known } = fetched?;
        let document = Arc::new(discovery);
        said.discovery = Some((Arc::clone(&document), now));
        (said.well_known, said.unkept) = (well_known, true);
        Ok(document)
    }

    /// Keeps a document that was fetched since the last time, if its server is one that we have met: strangers leave
    /// nothing on our disk, and who makes up servers can have any number of them sign (T-10).
    pub async fn keep(&self, host: &Provider, word: Word) -> Result<()> {
        let slot = self.slot(host);
        if !slot.said().unkept {
            return Ok(());
        }
        if !self.store.read(async |txn| met(txn, host, word).await).await? {
            return Ok(());
        }
        let unkept = {
            let mut said = slot.said();
            let (unkept, well_known) = (std::mem::take(&mut said.unkept), said.well_known);
            said.discovery.clone().filter(|_| unkept).zip(Some(well_known))
        };
        let Some(((discovery, fetched), well_known)) = unkept else {
            return Ok(());
        };
        let kept = KeptDocument {
            provider: host.clone(),
            discovery: (*discovery).clone(),
            fetched,
            well_known,
        };
        self.store.run_early(async |txn| txn.put(&kept).await).await
    }

    fn slot(&self, host: &Provider) -> Arc<Slot> {
        self.slots.get_with(host.clone(), Arc::default)
    }

    /// https first; http only into networks where the operator said that it is spoken (DIS-2).
    async fn fetch(&self, host: &Provider, well_known: bool) -> Result<Found> {
        let over_https = self.fetch_over("https", host, well_known).await;
        let unreachable = |error: &Error| {
            matches!(
                error.reason(),
                Reason::NoAnswer | Reason::TlsFailed | Reason::PrivateAddress
            )
        };
        match over_https {
            Err(error) if unreachable(&error) && self.client.guard().speaks_plain_http() => self
                .fetch_over("http", host, well_known)
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

    /// The first place that has a document. What is wrong with the first is what is told if none has.
    ///
    /// Where the first had one before (`well_known`), only its own word that there is none any more leads on: whoever may
    /// put a page at another place, and makes the server stumble, must not speak for it (T-24).
    async fn fetch_over(&self, scheme: &str, host: &Provider, well_known: bool) -> Result<Found> {
        let mut first = None;
        for place in PLACES {
            let url = Url::parse(&format!("{scheme}://{host}{place}")).map_err(Error::internal)?;
            let answer = self.client.document(&url).await;
            let date = answer
                .as_ref()
                .ok()
                .and_then(|answer| answer.header("date").map(str::to_owned));
            let gone = answer.as_ref().is_ok_and(|answer| matches!(answer.status, 404 | 410));
            match answer.and_then(|answer| read_document(&answer, &url, host)) {
                Ok(discovery) => {
                    self.traffic.said_time(host, date.as_deref().unwrap_or_default());
                    return Ok(Found {
                        discovery,
                        well_known: place == PLACES[0],
                    });
                }
                Err(error) if matches!(error.reason(), Reason::NotOcm | Reason::PeerBadAnswer) => {
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
            if well_known && !gone {
                break;
            }
        }
        Err(first.unwrap_or_else(|| not_ocm(host)))
    }

    async fn fetch_keys(&self, slot: &Slot, host: &Provider) -> Result<JwkSet> {
        let fresh = slot.said().fresh(self.clock.now(), self.max_age);
        let discovery = match fresh {
            Some(fresh) => fresh,
            None => self.ask_in_turn(slot, host).await.map_err(unusable)?,
        };
        let well_known = || {
            discovery
                .end_point()
                .join("/.well-known/jwks.json")
                .map_err(Error::internal)
        };
        let url = discovery.jwks_uri().map_or_else(well_known, Ok)?;
        let answer = self.client.document(&url).await.map_err(unusable)?;
        if answer.status != 200 {
            return Err(unusable(Error::new(
                Reason::PeerBadAnswer,
                format!("{host} answered {} instead of its keys.", answer.status),
            )));
        }
        JwkSet::parse(&answer.body).map_err(|invalid| unusable(invalid.into()))
    }
}

/// Whether we have met a server: somebody here has traded an invite with it, or, on our own word, it signs.
async fn met(txn: &mut Txn, host: &Provider, word: Word) -> Result<bool> {
    let signed = word == Word::Ours && txn.get::<Signer>([host.to_string()]).await?.is_some();
    Ok(signed || contacts::admission(txn, host).await?.is_some())
}

/// The servers of which a document is kept.
pub(super) async fn kept(txn: &mut Txn) -> Result<Vec<Provider>> {
    let kept = txn.list::<KeptDocument>(Key::ALL, &Page::first(MAX_PAGE)).await?;
    Ok(kept.items.into_iter().map(|kept| kept.provider).collect())
}

fn read_document(answer: &Answer, url: &Url, host: &Provider) -> Result<Discovery> {
    if answer.status != 200 {
        return Err(match answer.status {
            429 | 502..=504 => busy(host, answer.retry_after),
            _ => not_ocm(host),
        });
    }
    let discovery = Discovery::parse(&answer.body, host, url.scheme() == "http")
        .map_err(|invalid| not_ocm(host).caused_by(invalid))?;
    if !discovery.enabled() {
        return Err(Error::new(
            Reason::OcmDisabled,
            format!("{host} has Open Cloud Mesh switched off."),
        ));
    }
    Ok(discovery)
}

fn not_ocm(host: &Provider) -> Error {
    Error::new(
        Reason::NotOcm,
        format!("{host} answers, but is not an Open Cloud Mesh server (or has it switched off)."),
    )
}

/// Nobody learns from the answer to a signature why the server that it names can't be asked (T-01, T-07).
pub(super) fn unusable(error: Error) -> Error {
    Error::new(
        Reason::SignatureInvalid,
        "The keys of the server that signed could not be had.",
    )
    .caused_by(error)
}

fn no_such_key() -> Error {
    Error::new(Reason::SignatureInvalid, "The signature of this request is not valid.")
        .caused_by("the server publishes no such key, or one that can't be trusted")
}
