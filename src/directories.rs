//! Directory Services that are followed: their lists of servers, fetched, verified, and kept as they last were good.
//!
//! A directory says where people may have their accounts; it is shown where someone is asked for that (INV-4). It lets
//! nobody in, unless an admin chose so for this one directory (`admits`), and a denial of ours always wins (T-47).
//!
//! Whoever controls the address of a list, but not its key, can still serve an old copy of it. What is done about that:
//! a list that names its age (`iat`, `version`) is never followed by an older one, one that names its end (`exp`) lets
//! nobody in after it, one that was here before and was replaced doesn't come back, and none loses more than half of its
//! servers - each unless an admin accepts it. The draft's lists name neither age nor end; of these, a copy that is older
//! than our first fetch, and one that is just never replaced, can't be told from the real one.

mod kept;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use self::kept::Following;
use self::kept::ListedServer;
use crate::client::Client;
use crate::clock::Timestamp;
use crate::config;
use crate::config::Config;
use crate::config::Verify;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::ocm::directory::DOCUMENT_BYTES_MAX;
use crate::ocm::directory::Directory;
use crate::ocm::directory::KEY_BYTES_MAX;
use crate::ocm::directory::PinnedKey;
use crate::secret::hash_of;
use crate::store::Key;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::store::Store;
use crate::store::Txn;

pub use self::kept::Failure;
pub use self::kept::Good;
pub use self::kept::Held;
pub use self::kept::Objection;

/// What a directory may answer with (_Directory Service_), and what reva's have.
const ACCEPT: &str = "application/jose, application/jose+json, application/json";
/// After a failure it is tried again so soon, or sooner where it is refreshed more often.
const RETRY: Duration = Duration::from_secs(3600);

/// The directories that the operator chose.
#[derive(Clone)]
pub struct Directories {
    store: Store,
    client: Client,
    every: Duration,
    entries: Arc<[Entry]>,
}

struct Entry {
    id: String,
    url: Url,
    /// None where verification is off.
    key: Option<PinnedKey>,
    admits: bool,
}

/// How it stands with one directory.
#[derive(Clone, Debug)]
pub struct Status {
    pub url: Url,
    /// Of the pinned key; none where verification is off.
    pub fingerprint: Option<String>,
    pub admits: bool,
    pub tried: Option<Timestamp>,
    /// Why the last try failed, if it did.
    pub failure: Option<Failure>,
    /// The list that waits for an admin.
    pub held: Option<Held>,
    /// The list in force.
    pub good: Option<Good>,
}

/// A server that is in at least one list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub provider: Provider,
    /// As the first directory that has it calls it: shown, never trusted.
    pub name: String,
    /// What the directories that list it call themselves, in the operator's order.
    pub federations: Vec<String>,
}

impl Directories {
    /// # Errors
    ///
    /// [`Reason::ConfigInvalid`] naming the entry whose key is missing or can't be read.
    pub fn new(config: &Config, store: Store, client: Client) -> Result<Self> {
        let entries = config.federation.directory.iter().map(Entry::new);
        Ok(Self {
            store,
            client,
            every: config.federation.directory_refresh.0,
            entries: entries.collect::<Result<_>>()?,
        })
    }

    /// How it stands with each, in the operator's order.
    pub async fn list(&self) -> Result<Vec<Status>> {
        self.store
            .read(async |txn| {
                let mut list = Vec::new();
                for entry in self.entries.iter() {
                    list.push(entry.status(entry.following(txn).await?));
                }
                Ok(list)
            })
            .await
    }

    /// The servers of all directories, each once, by name (INV-4).
    pub async fn servers(&self) -> Result<Vec<Listed>> {
        let mut union: BTreeMap<Provider, Listed> = BTreeMap::new();
        for entry in self.entries.iter() {
            let of_one = async |txn: &mut Txn| match entry.following(txn).await?.good {
                Some(good) => Ok((good.federation, kept::listed(txn, &entry.id).await?)),
                None => Ok((String::new(), Vec::new())),
            };
            let (federation, servers) = self.store.read(of_one).await?;
            for ListedServer { provider, name, .. } in servers {
                let listed = union.entry(provider.clone()).or_insert_with(|| Listed {
                    provider,
                    name,
                    federations: Vec::new(),
                });
                listed.federations.push(federation.clone());
            }
        }
        let mut servers: Vec<_> = union.into_values().collect();
        servers.sort_by_cached_key(|server| server.name.to_lowercase());
        Ok(servers)
    }

    /// What the directory calls itself that lets this server in, if one does: one that the operator chose for that, and
    /// whose list is good and not over.
    pub async fn admitting(&self, txn: &mut Txn, host: &Provider, now: Timestamp) -> Result<Option<String>> {
        // A list that nobody signed lets nobody in, whatever else was configured.
        for entry in self.entries.iter().filter(|entry| entry.admits && entry.key.is_some()) {
            if let Some(good) = entry.following(txn).await?.good
                && !good.is_over(now)
                && kept::is_listed(txn, host, &entry.id).await?
            {
                return Ok(Some(good.federation));
            }
        }
        Ok(None)
    }

    /// Whether any directory lets servers in.
    pub fn admit_any(&self) -> bool {
        self.entries.iter().any(|entry| entry.admits)
    }

    /// Fetches what is due, and forgets directories that are followed no longer; gives how many were tried.
    pub async fn refresh_due(&self, now: Timestamp) -> Result<usize> {
        self.forget_others().await?;
        let mut tried = 0;
        for entry in self.entries.iter() {
            let following = self.store.read(async |txn| entry.following(txn).await).await?;
            if self.is_due(&following, now) {
                self.fetch_and_keep(entry, None, now).await?;
                tried += 1;
            }
        }
        Ok(tried)
    }

    /// Fetches one directory now. That this failed is not an error but stands in its status.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`] for an address that is not followed.
    pub async fn refresh(&self, url: &str, now: Timestamp) -> Result<Status> {
        self.fetch_and_keep(self.entry(url)?, None, now).await
    }

    /// Takes the list that is held: fetches it once more, and takes it if it is still the same. `digest` is the one that
    /// the admin has looked at; whichever is held, where none is given.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`]; [`Reason::Conflict`] if nothing is held, or the directory has yet another list by now; why it
    /// can't be had.
    pub async fn accept(&self, url: &str, digest: Option<&str>, now: Timestamp) -> Result<Status> {
        let entry = self.entry(url)?;
        let following = self.store.read(async |txn| entry.following(txn).await).await?;
        let held = following
            .held
            .ok_or_else(|| Error::new(Reason::Conflict, "No list of this directory waits for anyone."))?;
        let changed = || {
            Error::new(
                Reason::Conflict,
                "The directory has yet another list by now. Look at it again.",
            )
        };
        if digest.is_some_and(|digest| digest != held.digest) {
            return Err(changed());
        }
        let status = self.fetch_and_keep(entry, Some(&held.digest), now).await?;
        status.outcome()?;
        match status.held {
            Some(_) => Err(changed()),
            None => Ok(status),
        }
    }

    fn entry(&self, url: &str) -> Result<&Entry> {
        let wanted = Url::parse(url.trim()).ok();
        self.entries
            .iter()
            .find(|entry| Some(&entry.url) == wanted.as_ref())
            .ok_or_else(|| Error::not_found("There is no directory with this address.").in_field("url"))
    }

    fn is_due(&self, following: &Following, now: Timestamp) -> bool {
        let wait = match (&following.failure, &following.held) {
            (None, None) => self.every,
            _ => self.every.min(RETRY),
        };
        // A try in the future was made by a clock that has been set right since.
        following
            .tried
            .is_none_or(|tried| now < tried || tried.plus(wait) <= now)
    }

    async fn fetch_and_keep(&self, entry: &Entry, accepted: Option<&str>, now: Timestamp) -> Result<Status> {
        let fetched = self.fetch(entry, now).await;
        let following = self
            .store
            .run(async |txn| {
                let mut following = entry.following(txn).await?;
                following.tried = Some(now);
                match &fetched {
                    Ok(new) => following.receive(txn, new, accepted, now).await?,
                    Err(error) => following.failure = Some(Failure::new(error, now)),
                }
                txn.put(&following).await?;
                Ok(following)
            })
            .await?;
        if let Err(error) = &fetched {
            let (url, causes) = (&entry.url, error.causes());
            tracing::warn!(directory = %url, causes, "The list of {url} stays as it was: {error}");
        } else if let Some(held) = &following.held {
            let (url, why) = (&entry.url, held.objection);
            tracing::warn!(directory = %url, ?why, "The list of {url} stays as it was until an admin accepts the new one");
        }
        Ok(entry.status(following))
    }

    async fn fetch(&self, entry: &Entry, now: Timestamp) -> Result<Directory> {
        let answer = self.client.document_of(&entry.url, ACCEPT, DOCUMENT_BYTES_MAX).await?;
        if answer.status != 200 {
            let (reason, status) = match answer.status {
                429 | 500..=599 => (Reason::PeerBusy, answer.status),
                other => (Reason::PeerBadAnswer, other),
            };
            return Err(Error::new(
                reason,
                format!("There was no list, but the answer {status}."),
            ));
        }
        let read = match &entry.key {
            Some(key) => Directory::verify(&answer.body, key),
            None => Directory::danger_unverified(&answer.body),
        };
        let refused = |why: String| Error::new(Reason::PeerBadAnswer, format!("The list was refused: {why}"));
        let directory = read.map_err(|invalid| refused(invalid.to_string()))?;
        match directory.expires {
            Some(end) if directory.is_over(now) => Err(refused(format!("it was good until {end}."))),
            _ => Ok(directory),
        }
    }

    /// What was kept of directories that are not followed any more, or not with this key.
    async fn forget_others(&self) -> Result<()> {
        let all = async |txn: &mut Txn| txn.list::<Following>(Key::ALL, &Page::first(MAX_PAGE)).await;
        let known = self.store.read(all).await?.items;
        for other in known
            .iter()
            .filter(|known| !self.entries.iter().any(|entry| entry.id == known.id))
        {
            self.store
                .run(async |txn| {
                    kept::replace(txn, &other.id, &[]).await?;
                    txn.delete::<Following>([&other.id]).await.map(drop)
                })
                .await?;
            tracing::info!(directory = other.url, "{} is not followed any more", other.url);
        }
        Ok(())
    }
}

impl Status {
    /// # Errors
    ///
    /// Why the last try failed.
    pub fn outcome(&self) -> Result<()> {
        self.failure.as_ref().map_or(Ok(()), |failure| Err(failure.error()))
    }
}

/// Whether the directories in these settings can be followed.
///
/// # Errors
///
/// [`Reason::ConfigInvalid`] for a key that can't be read.
pub fn check(config: &Config) -> Result<()> {
    config
        .federation
        .directory
        .iter()
        .try_for_each(|entry| Entry::new(entry).map(drop))
}

impl Entry {
    fn new(chosen: &config::Directory) -> Result<Self> {
        let wrong = |key: &str, why: &str| {
            let message = format!("federation.directory: {}: {key}: {why}", chosen.url);
            Error::new(Reason::ConfigInvalid, message)
        };
        let key = match (chosen.verify, &chosen.key, &chosen.key_file) {
            (Verify::Off, ..) => None,
            (Verify::Required, Some(key), _) => Some(key.clone()),
            (Verify::Required, None, Some(file)) => Some(read_key(file).map_err(|why| wrong("key_file", &why))?),
            (Verify::Required, None, None) => return Err(wrong("key", "It is needed to verify the list.")),
        };
        let fingerprint = key.as_ref().map(PinnedKey::fingerprint).unwrap_or_default();
        Ok(Self {
            id: hash_of(&format!("{} {fingerprint}", chosen.url)),
            url: chosen.url.url().clone(),
            key,
            admits: chosen.admits,
        })
    }

    async fn following(&self, txn: &mut Txn) -> Result<Following> {
        let known = txn.get::<Following>([&self.id]).await?;
        Ok(known.unwrap_or_else(|| Following::new(&self.id, self.url.as_str())))
    }

    fn status(&self, following: Following) -> Status {
        Status {
            url: self.url.clone(),
            fingerprint: self.key.as_ref().map(PinnedKey::fingerprint),
            admits: self.admits,
            tried: following.tried,
            failure: following.failure,
            held: following.held,
            good: following.good,
        }
    }
}

/// The key in a file. The text of the file is never repeated: it may hold a private one.
fn read_key(file: &Path) -> Result<PinnedKey, String> {
    let wrong = |why: String| format!("{}: {why}", file.display());
    let mut text = String::new();
    File::open(file)
        .and_then(|opened| opened.take(KEY_BYTES_MAX as u64 + 1).read_to_string(&mut text))
        .map_err(|cause| wrong(cause.to_string()))?;
    PinnedKey::parse(&text).map_err(|invalid| wrong(invalid.why().to_owned()))
}
