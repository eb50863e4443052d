//! How this server is doing, in numbers and in a few words: what is read, and not counted as it happens.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::backup::Standing;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::files::Left;
use crate::files::Room;
use crate::metrics::Reading;
use crate::outbox::Delivery;
use crate::outbox::Progress;
use crate::shares::ReceivedShare;
use crate::shares::SentShare;
use crate::shares::received::ReceivedState;
use crate::shares::sent::SentState;
use crate::site::Site;
use crate::store::Key;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::store::Record;
use crate::store::Store;

/// How many records of a kind are looked at; a number that has come so far grows no more.
const MOST: usize = 200_000;
/// A delivery that is older than this many seconds is not going anywhere.
const STUCK_AFTER: u64 = 24 * 3600;

/// One look at one part of this server, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Check {
    pub check: &'static str,
    pub state: Health,
    /// What is wrong, in one word; nothing where all is well.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Ok,
    Warn,
    Bad,
}

impl Check {
    fn new(check: &'static str, trouble: Option<(Health, &'static str)>) -> Self {
        Self {
            check,
            state: trouble.map_or(Health::Ok, |(state, _)| state),
            code: trouble.map(|(_, code)| code),
        }
    }
}

impl Site {
    /// All numbers of this server, as Prometheus reads them.
    ///
    /// # Errors
    ///
    /// As [`Store::read`].
    pub async fn numbers(&self) -> Result<String> {
        self.metrics
            .text(self.clock.now(), async || self.readings().await)
            .await
    }

    /// Looks at what can be looked at in a moment; nobody else is asked, and nothing is walked through.
    pub async fn checks(&self) -> Vec<Check> {
        let now = self.clock.now();
        vec![
            Check::new(
                "store",
                self.ready().err().map(|error| (Health::Bad, error.reason().code())),
            ),
            Check::new("disk", self.disk_trouble()),
            Check::new("certificate", self.certificate_trouble(now)),
            Check::new("backup", self.backup_trouble(now).await),
            Check::new("queue", self.queue_trouble(now).await),
        ]
    }

    fn disk_trouble(&self) -> Option<(Health, &'static str)> {
        match self.homes.room().map(Room::left) {
            Ok(Left::Nothing) => Some((Health::Bad, "disk-full")),
            Ok(Left::Little | Left::FewFiles(_)) => Some((Health::Warn, "disk-nearly-full")),
            Ok(Left::Enough) => None,
            Err(_) => Some((Health::Warn, "disk-unknown")),
        }
    }

    fn certificate_trouble(&self, now: Timestamp) -> Option<(Health, &'static str)> {
        let status = self.certificates.status();
        match status.certificate {
            Some(own) if own.not_after <= now => Some((Health::Bad, "certificate-over")),
            Some(own) if own.not_after <= now.plus(self.config.tls.warn_before.0) => {
                Some((Health::Warn, "certificate-ends"))
            }
            _ => status.trouble.map(|_| (Health::Warn, "certificate-trouble")),
        }
    }

    /// A backup may take its time, and wait for its turn: only one that was left out is missed.
    async fn backup_trouble(&self, now: Timestamp) -> Option<(Health, &'static str)> {
        self.config.backup.every.0?;
        match self.backups.standing(now).await {
            Ok(Standing::Well(_)) => None,
            Ok(Standing::Old(_) | Standing::Unchecked(_)) => Some((Health::Warn, "backup-old")),
            Ok(Standing::Missing) => Some((Health::Warn, "backup-missing")),
            Err(_) => Some((Health::Warn, "backup-unknown")),
        }
    }

    /// What has been due for a day: the queue holds what is due in the order in which it became so.
    async fn queue_trouble(&self, now: Timestamp) -> Option<(Health, &'static str)> {
        let long_ago = now.minus(std::time::Duration::from_secs(STUCK_AFTER));
        match self.outbox.due(long_ago, 1).await {
            Ok(stuck) if stuck.is_empty() => None,
            Ok(_) => Some((Health::Warn, "queue-stuck")),
            Err(_) => Some((Health::Bad, "queue-unknown")),
        }
    }

    async fn readings(&self) -> Result<Vec<Reading>> {
        let now = self.clock.now();
        let mut readings = vec![self.shares_by_state(now).await?];
        readings.extend(self.queue(now).await?);
        readings.push(self.peers_by_state());
        readings.push(self.directories_read().await?);
        readings.extend(self.moments(now).await);
        readings.extend(self.machine());
        readings.extend(self.memory().await);
        Ok(readings)
    }

    async fn shares_by_state(&self, now: Timestamp) -> Result<Reading> {
        let mut sent: BTreeMap<_, _> = SENT.into_iter().map(|state| (state, 0)).collect();
        walk::<SentShare>(&self.store, |share| {
            *sent.entry(sent_state(&share, now)).or_default() += 1;
        })
        .await?;
        let mut received: BTreeMap<_, _> = RECEIVED.into_iter().map(|state| (state, 0)).collect();
        walk::<ReceivedShare>(&self.store, |share| {
            *received.entry(received_state(&share, now)).or_default() += 1;
        })
        .await?;
        let mut shares = Reading::new(
            "shares",
            "Shares with people elsewhere (sent) and with people here (received)",
        );
        for (direction, states) in [("sent", sent), ("received", received)] {
            for (state, count) in states {
                shares = shares.with(&[("direction", direction), ("state", state)], f64::from(count));
            }
        }
        Ok(shares)
    }

    async fn queue(&self, now: Timestamp) -> Result<[Reading; 2]> {
        let (mut waiting, mut held, mut given_up, mut oldest) = (0, 0, 0, now);
        walk::<Delivery>(&self.store, |delivery| match delivery.progress {
            Progress::Waiting => {
                waiting += 1;
                oldest = oldest.min(delivery.created);
            }
            Progress::Held => held += 1,
            Progress::GivenUp => given_up += 1,
        })
        .await?;
        Ok([
            Reading::new("delivery_queue", "Messages for other servers")
                .with(&[("state", "waiting")], f64::from(waiting))
                .with(&[("state", "held")], f64::from(held))
                .with(&[("state", "given-up")], f64::from(given_up)),
            Reading::new("delivery_oldest_seconds", "Age of the oldest message that still waits")
                .value(oldest.until(now).as_secs_f64()),
        ])
    }

    fn peers_by_state(&self) -> Reading {
        let standing = self.peers.traffic().standing();
        let help = "Servers dealt with since the start, by how they answered last";
        [
            ("answering", standing.answering),
            ("failing", standing.failing),
            ("silent", standing.silent),
        ]
        .into_iter()
        .fold(Reading::new("peers", help), |peers, (state, count)| {
            peers.with(&[("state", state)], count as f64)
        })
    }

    async fn directories_read(&self) -> Result<Reading> {
        let mut read = Reading::new(
            "directory_last_success_timestamp_seconds",
            "When a directory was last had and found good",
        );
        for directory in self.directories.list().await? {
            if let Some(good) = directory.good {
                let host = directory.url.host_str().unwrap_or_default();
                let name = format!("{host}{}", directory.url.path());
                read = read.with(&[("directory", &name)], good.fetched.0 as f64);
            }
        }
        Ok(read)
    }

    async fn moments(&self, now: Timestamp) -> [Reading; 2] {
        let certificate = self.certificates.status().certificate;
        let backup = self.backups.standing(now).await.ok().and_then(Standing::whole);
        [
            Reading::new(
                "tls_certificate_expiry_timestamp_seconds",
                "When our own certificate ends",
            )
            .moment(certificate.map(|own| own.not_after)),
            Reading::new("backup_last_success_timestamp_seconds", "When the last backup was made").moment(backup),
        ]
    }

    fn machine(&self) -> Vec<Reading> {
        let known = |name, help, value: Option<f64>| match value {
            Some(value) => Reading::new(name, help).value(value),
            None => Reading::new(name, help),
        };
        vec![
            Reading::new("build_info", "Which ocmesh this is").with(&[("version", env!("CARGO_PKG_VERSION"))], 1.0),
            known(
                "ready",
                "Whether everything needed to answer is there",
                Some(f64::from(u8::from(self.ready().is_ok()))),
            ),
            known(
                "store_size_bytes",
                "Size of the database",
                self.store.size_on_disk().ok().map(|size| size as f64),
            ),
            known(
                "disk_free_bytes",
                "Room left where people's files are",
                self.homes.room().ok().map(|room| room.bytes as f64),
            ),
            known("memory_bytes", "Memory of this process", resident_memory()),
            known(
                "open_files",
                "Files and connections that this process has open",
                open_files(),
            ),
        ]
    }

    /// What lives in memory, and how large it may grow (T-85).
    async fn memory(&self) -> [Reading; 2] {
        let mut fills = self.peers.fills();
        fills.extend([
            self.users.fill(),
            self.audit.fill(),
            self.remote.fill(),
            self.homes.arrivals().fill(),
            self.homes.fill().await,
        ]);
        let by = |name, help, value: fn(&crate::metrics::Fill) -> u64| {
            fills.iter().fold(Reading::new(name, help), |reading, fill| {
                reading.with(&[("cache", fill.what)], value(fill) as f64)
            })
        };
        [
            by("cache_entries", "Entries of what is kept in memory", |fill| {
                fill.entries
            }),
            by("cache_limit", "The most entries of it", |fill| fill.cap),
        ]
    }
}

const SENT: [&str; 8] = [
    "pending", "accepted", "declined", "refused", "failed", "stopped", "left", "expired",
];
const RECEIVED: [&str; 6] = ["pending", "accepted", "declined", "left", "gone", "expired"];

fn sent_state(share: &SentShare, now: Timestamp) -> &'static str {
    match share.state {
        SentState::Pending | SentState::Accepted if share.expired(now) => "expired",
        SentState::Pending => "pending",
        SentState::Accepted => "accepted",
        SentState::Declined => "declined",
        SentState::Refused => "refused",
        SentState::Failed => "failed",
        SentState::Stopped => "stopped",
        SentState::Left => "left",
    }
}

fn received_state(share: &ReceivedShare, now: Timestamp) -> &'static str {
    match share.state {
        ReceivedState::Pending | ReceivedState::Accepted if share.expired(now) => "expired",
        ReceivedState::Pending => "pending",
        ReceivedState::Accepted => "accepted",
        ReceivedState::Declined => "declined",
        ReceivedState::Left => "left",
        ReceivedState::Gone => "gone",
    }
}

/// Looks at records page by page, and lets others have their turn between two pages.
async fn walk<R: Record>(store: &Store, mut look: impl FnMut(R)) -> Result<()> {
    let mut page = Page::first(MAX_PAGE);
    for _ in 0..MOST / MAX_PAGE {
        let some = store.read(async |txn| txn.list::<R>(Key::ALL, &page).await).await?;
        some.items.into_iter().for_each(&mut look);
        match some.next {
            Some(next) => page = Page::after(next, MAX_PAGE),
            None => break,
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// Bytes; nothing where the system does not say.
fn resident_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: f64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kilobytes * 1024.0)
}

fn open_files() -> Option<f64> {
    let count = std::fs::read_dir("/proc/self/fd").ok()?.count();
    // The one that counts them is among them.
    Some(count.saturating_sub(1) as f64)
}
