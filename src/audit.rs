//! Who did what, to what, from where and when: a list that the admins of this server read, and that nobody edits.
//!
//! The edges note what was done after its own commit and before they answer, in a commit of its own: what was
//! acknowledged is in the list. It never holds a token, a code, a secret or content.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use moka::sync::Cache;
use serde::Deserialize;
use serde::Serialize;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::Span;
use crate::error::Result;
use crate::metrics::Fill;
use crate::metrics::Metrics;
use crate::ocm::address::Provider;
use crate::random;
use crate::store::Index;
use crate::store::Key;
use crate::store::Page;
use crate::store::Record;
use crate::store::Store;

mod verbs;

pub use self::verbs::KINDS;
pub use self::verbs::VERBS;
pub use self::verbs::meaning;

/// The most entries that are kept, whatever their age.
const MOST: u64 = 500_000;
/// How many entries are looked at for one page of a filtered list.
const LOOKED_AT: usize = 5_000;
/// How many entries strangers together, and each other server, may cause in an hour: whoever could fill the list could
/// push out what stands in it.
const HOURLY: u32 = 1_000;
/// How many causes and hours are remembered for that.
const BUDGETS: u64 = 10_000;
/// The longest text of an entry, in characters.
const LONGEST: usize = 300;
const SWEPT_AT_ONCE: usize = 500;

/// Who did something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "actor", content = "name", rename_all = "kebab-case")]
pub enum Who {
    /// Someone with an account here.
    Person(String),
    /// A user of this machine, who the system says it is, at the admin socket or the data itself.
    CommandLine(String),
    /// Another server, which has proved who it is.
    Peer(String),
    /// Someone who has not signed in.
    Stranger,
}

impl Who {
    /// What to look for it by.
    pub fn name(&self) -> &str {
        match self {
            Self::Person(name) | Self::CommandLine(name) | Self::Peer(name) => name,
            Self::Stranger => "",
        }
    }

    fn is_from_here(&self) -> bool {
        matches!(self, Self::Person(_) | Self::CommandLine(_))
    }
}

impl fmt::Display for Who {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Person(name) | Self::Peer(name) => f.write_str(name),
            Self::CommandLine(name) => write!(f, "{name} via command line"),
            Self::Stranger => f.write_str("somebody"),
        }
    }
}

/// Who asks, and from where; the edges make it of a request.
#[derive(Clone, Debug)]
pub struct By {
    pub who: Who,
    /// An IP address; empty for the command line.
    pub from: String,
    /// What a proxy in front calls the request, or else we; empty for the command line while no server runs.
    pub request: String,
}

impl By {
    /// Someone at the command line of this machine.
    pub fn command_line(user: impl Into<String>) -> Self {
        Self {
            who: Who::CommandLine(user.into()),
            from: String::new(),
            request: String::new(),
        }
    }

    /// The same request, by someone who has just proved to be this one.
    pub fn person(&self, name: &str) -> Self {
        Self {
            who: Who::Person(name.to_owned()),
            ..self.clone()
        }
    }

    /// The same request, which is signed by this server.
    pub fn peer(&self, provider: &Provider) -> Self {
        Self {
            who: Who::Peer(provider.to_string()),
            ..self.clone()
        }
    }
}

/// What was done: `Event::new("share.create").of(&share.id).with(&to.provider)`.
#[derive(Clone, Debug)]
pub struct Event {
    verb: &'static str,
    object: String,
    server: Option<String>,
    file: Option<String>,
}

impl Event {
    /// `verb` is one of [`VERBS`]: it never changes its meaning.
    pub fn new(verb: &'static str) -> Self {
        Self {
            verb,
            object: String::new(),
            server: None,
            file: None,
        }
    }

    /// To what: an id, an address, a name, a host. Never a token or a code (T-25).
    #[must_use]
    pub fn of(mut self, object: impl fmt::Display) -> Self {
        self.object = object.to_string();
        self
    }

    /// The other server that it concerns.
    #[must_use]
    pub fn with(mut self, server: impl fmt::Display) -> Self {
        self.server = Some(server.to_string());
        self
    }

    /// To this, where nothing was said before.
    #[must_use]
    pub fn or_of(mut self, object: Option<impl fmt::Display>) -> Self {
        if let Some(object) = object.filter(|_| self.object.is_empty()) {
            self.object = object.to_string();
        }
        self
    }

    /// With this server, where nothing was said before.
    #[must_use]
    pub fn or_with(mut self, server: Option<impl fmt::Display>) -> Self {
        self.server = self.server.or(server.map(|server| server.to_string()));
        self
    }

    /// The path of a file that it was done to: it is kept only where `log.audit_file_names` says so.
    #[must_use]
    pub fn file(mut self, path: impl fmt::Display) -> Self {
        self.file = Some(path.to_string());
        self
    }
}

/// One line of the list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Entry {
    id: String,
    number: u64,
    pub at: Timestamp,
    pub who: Who,
    pub verb: String,
    pub object: String,
    pub server: Option<String>,
    pub file: Option<String>,
    pub from: String,
    pub request: String,
}

impl Record for Entry {
    const KIND: &'static str = "audit";

    /// The newest first.
    fn key(&self) -> Key {
        Key::number(before(self.at))
            .and(Key::number(u64::MAX - self.number))
            .and(&self.id)
    }

    fn index(&self) -> Vec<Index> {
        let kind = self.verb.split('.').next().unwrap_or_default();
        let mut index = vec![
            Index::new("at", self.at),
            Index::new("kind", [kind]),
            Index::new("who", [self.who.name().to_lowercase()]),
        ];
        index.extend(self.server.as_ref().map(|server| Index::new("server", [server])));
        index
    }
}

impl Entry {
    /// Where the list goes on behind this one.
    fn position(&self) -> String {
        format!("{:020}/{:020}/{}", before(self.at), u64::MAX - self.number, self.id)
    }
}

/// Grows as time goes back.
fn before(at: Timestamp) -> u64 {
    u64::MAX - u64::try_from(at.0).unwrap_or(0)
}

/// Which entries are wanted; an empty text or none is all.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Filter {
    /// The name of a person, a user of the machine, or a server.
    #[serde(default)]
    pub who: String,
    /// A verb, or its first word.
    #[serde(default)]
    pub kind: String,
    #[serde(default)]
    pub server: String,
    pub since: Option<Timestamp>,
    /// The last second that counts.
    pub until: Option<Timestamp>,
}

impl Filter {
    /// Also what an index has found is checked whole: it knows one wish only.
    fn takes(&self, entry: &Entry) -> bool {
        let is = |wish: &str, value: &str| wish.is_empty() || wish.eq_ignore_ascii_case(value);
        let kind = entry.verb.split('.').next().unwrap_or_default();
        is(&self.who, entry.who.name())
            && (is(&self.kind, kind) || is(&self.kind, &entry.verb))
            && is(&self.server, entry.server.as_deref().unwrap_or_default())
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at <= until)
    }

    /// The index that is likely to leave the fewest.
    fn index(&self) -> Option<(&'static str, String)> {
        let kind = self.kind.split('.').next().unwrap_or_default();
        [("who", &*self.who), ("server", &*self.server), ("kind", kind)]
            .into_iter()
            .find(|(_, wish)| !wish.is_empty())
            .map(|(name, wish)| (name, wish.to_lowercase()))
    }
}

/// Some entries, the newest first, and where to go on.
pub struct Found {
    pub entries: Vec<Entry>,
    pub next: Option<String>,
}

/// The list of what was done on this server.
#[derive(Clone)]
pub struct Audit {
    store: Store,
    clock: Clock,
    keep: Span,
    file_names: bool,
    last: Arc<AtomicU64>,
    /// Entries by cause and hour.
    budget: Cache<(String, i64), u32>,
    metrics: Metrics,
}

impl Audit {
    /// # Errors
    ///
    /// As [`Store::read`].
    pub async fn open(config: &Config, store: Store, clock: Clock, metrics: Metrics) -> Result<Self> {
        let newest = store
            .read(async |txn| txn.list::<Entry>(Key::ALL, &Page::first(1)).await)
            .await?;
        let last = newest.items.first().map_or(0, |entry| entry.number);
        Ok(Self {
            store,
            clock,
            keep: config.log.audit_keep,
            file_names: config.log.audit_file_names,
            last: Arc::new(AtomicU64::new(last)),
            budget: Cache::builder().max_capacity(BUDGETS).build(),
            metrics,
        })
    }

    /// The same list under other settings.
    pub fn with(&self, config: &Config) -> Self {
        Self {
            keep: config.log.audit_keep,
            file_names: config.log.audit_file_names,
            ..self.clone()
        }
    }

    /// Writes down what was done; call it after the commit that did it, and before answering.
    ///
    /// # Errors
    ///
    /// As [`Store::run`]: then it is done, and the one who asked must not be told so.
    pub async fn note(&self, by: &By, event: Event) -> Result<()> {
        let now = self.clock.now();
        // Here every way to do it meets: a page, a command, another server.
        if let Some(done) = event.verb.strip_prefix("invite.") {
            self.metrics.invite(done);
        }
        let event = match self.spent(&by.who, now) {
            spent if spent > HOURLY => return Ok(()),
            HOURLY => Event::new("audit.skipped"),
            _ => event,
        };
        let peer = match &by.who {
            Who::Peer(provider) => Some(provider.clone()),
            _ => None,
        };
        let entry = Entry {
            id: random::number(),
            number: self.last.fetch_add(1, Ordering::Relaxed) + 1,
            at: now,
            who: by.who.clone(),
            verb: event.verb.to_owned(),
            object: plain(&event.object),
            server: event.server.or(peer).map(|server| plain(&server.to_lowercase())),
            file: event.file.filter(|_| self.file_names).map(|file| plain(&file)),
            from: plain(&by.from),
            request: plain(&by.request),
        };
        self.store.run(async |txn| txn.put(&entry).await).await
    }

    /// At most `limit` entries, the newest first. Where few of many are wanted there may be fewer and still a next.
    ///
    /// # Errors
    ///
    /// As [`Store::read`].
    pub async fn list(&self, filter: &Filter, after: Option<&str>, limit: usize) -> Result<Found> {
        let mut found = Vec::new();
        let mut looked_at = 0;
        // What begins with the second after the last is before everything of that last second.
        let mut place = match (after, filter.until) {
            (Some(after), _) => Some(after.to_owned()),
            (None, Some(until)) => Some(format!("{:020}", before(until))),
            (None, None) => None,
        };
        loop {
            let some = self.some(filter, place.take(), (limit + 1).clamp(50, 500)).await?;
            for entry in some.entries {
                if filter.since.is_some_and(|since| entry.at < since) {
                    return Ok(Found {
                        entries: found,
                        next: None,
                    });
                }
                if found.len() == limit || looked_at == LOOKED_AT {
                    let next = place.or_else(|| found.last().map(Entry::position));
                    return Ok(Found { entries: found, next });
                }
                looked_at += 1;
                place = Some(entry.position());
                if filter.takes(&entry) {
                    found.push(entry);
                }
            }
            if some.next.is_none() {
                return Ok(Found {
                    entries: found,
                    next: None,
                });
            }
        }
    }

    async fn some(&self, filter: &Filter, place: Option<String>, limit: usize) -> Result<Found> {
        let index = filter.index();
        // In an index, the keys of records stand behind a slash of their own.
        let place = place.map(|place| if index.is_some() { format!("/{place}") } else { place });
        let page = Page { after: place, limit };
        let listing = self
            .store
            .read(async |txn| match &index {
                Some((name, value)) => txn.find::<Entry>(name, [value], &page).await,
                None => txn.list::<Entry>(Key::ALL, &page).await,
            })
            .await?;
        Ok(Found {
            entries: listing.items,
            next: listing.next,
        })
    }

    /// How many entries were ever written.
    pub fn written(&self) -> u64 {
        self.last.load(Ordering::Relaxed)
    }

    /// Forgets what is older than `log.audit_keep`, and the oldest where there are too many.
    ///
    /// # Errors
    ///
    /// As [`Store::run`].
    pub async fn sweep(&self) -> Result<()> {
        let over = self.clock.now().minus(self.keep.0);
        while self.forget(over, |_| true).await? == SWEPT_AT_ONCE {}
        let last = self.last.load(Ordering::Relaxed);
        let too_old = |entry: &Entry| last.saturating_sub(entry.number) >= MOST;
        while self.forget(Timestamp(i64::MAX), too_old).await? == SWEPT_AT_ONCE {}
        Ok(())
    }

    async fn forget(&self, until: Timestamp, which: impl Fn(&Entry) -> bool) -> Result<usize> {
        self.store
            .run(async |txn| {
                let mut oldest = txn.find_until::<Entry>("at", until, SWEPT_AT_ONCE).await?;
                oldest.retain(&which);
                for entry in &oldest {
                    txn.delete::<Entry>(entry.key()).await?;
                }
                Ok(oldest.len())
            })
            .await
    }

    pub fn fill(&self) -> Fill {
        Fill::of_cache("audit", self.budget.entry_count(), BUDGETS)
    }

    /// How many entries this hour has seen of those who could fill the list, this one included; 0 for others.
    fn spent(&self, who: &Who, now: Timestamp) -> u32 {
        if who.is_from_here() {
            return 0;
        }
        let hour = (who.name().to_owned(), now.0 / 3_600);
        let entry = self.budget.entry(hour);
        let spent = entry.and_upsert_with(|before| before.map_or(1, |before| before.into_value().saturating_add(1)));
        spent.into_value()
    }
}

/// Text that stays on its line and runs in its direction, wherever it is shown later (T-75).
fn plain(text: &str) -> String {
    let tricky = |c: char| {
        c.is_control() || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars()
        .take(LONGEST)
        .map(|c| if tricky(c) { '\u{fffd}' } else { c })
        .collect()
}
