//! What went to and fro between this server and others lately. It is kept in memory only: noting it must cost a request
//! nothing, and what is worth keeping stands in the log.

use std::collections::HashMap;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::UNIX_EPOCH;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::Provider;

/// How many requests are remembered of one server, each way.
pub const REMEMBERED: usize = 50;
/// Of how many servers; who was silent for longest makes room.
const SERVERS: usize = 2_000;

/// Whose request it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    FromThem,
    ToThem,
}

/// What a request was about, as people call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum About {
    Discovery,
    Keys,
    Acceptance,
    Share,
    Notification,
    ShareRequest,
    Token,
    Reading,
    Writing,
    Probe,
}

impl About {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "What it says of itself",
            Self::Keys => "Its keys",
            Self::Acceptance => "An invitation accepted",
            Self::Share => "A share",
            Self::Notification => "News about a share",
            Self::ShareRequest => "A request for a share",
            Self::Token => "A token",
            Self::Reading => "Reading",
            Self::Writing => "Writing",
            Self::Probe => "A check of signatures",
        }
    }
}

/// One request that was made or answered.
#[derive(Clone, Debug)]
pub struct Exchange {
    pub at: Timestamp,
    pub about: About,
    pub good: bool,
    /// A status, or the code of what went wrong.
    pub outcome: String,
}

#[derive(Default)]
struct Lately {
    from_them: VecDeque<Exchange>,
    to_them: VecDeque<Exchange>,
    /// How many seconds its clock was ahead of ours, and when.
    ahead: Option<(i64, Timestamp)>,
}

impl Lately {
    fn last(&self) -> Option<Timestamp> {
        let newest = |ring: &VecDeque<Exchange>| ring.front().map(|exchange| exchange.at);
        newest(&self.from_them).max(newest(&self.to_them))
    }
}

/// The last requests of each server, the newest first.
pub struct Traffic {
    clock: Clock,
    since: Timestamp,
    servers: Mutex<HashMap<Provider, Lately>>,
}

impl Traffic {
    pub fn new(clock: Clock) -> Self {
        Self {
            since: clock.now(),
            clock,
            servers: Mutex::default(),
        }
    }

    /// Since when it is noted: the start of this server.
    pub fn since(&self) -> Timestamp {
        self.since
    }

    /// Notes how a request of ours ended.
    pub fn sent<T>(&self, host: &Provider, about: About, outcome: &Result<T>) {
        match outcome {
            Ok(_) => self.note(host, Way::ToThem, about, true, "ok".to_owned()),
            Err(error) => self.failed(host, about, error),
        }
    }

    /// Notes the status of an answer to us, or why there is none.
    pub fn ended<T>(&self, host: &Provider, about: About, outcome: &Result<T>, status: u16) {
        match outcome {
            Ok(_) => self.answered(host, Way::ToThem, about, status),
            Err(error) => self.failed(host, about, error),
        }
    }

    fn failed(&self, host: &Provider, about: About, error: &Error) {
        self.note(host, Way::ToThem, about, false, error.reason().code().to_owned());
    }

    /// Notes the status that an answer has: theirs, or ours to them.
    pub fn answered(&self, host: &Provider, way: Way, about: About, status: u16) {
        self.note(host, way, about, status < 400, status.to_string());
    }

    fn note(&self, host: &Provider, way: Way, about: About, good: bool, outcome: String) {
        let exchange = Exchange {
            at: self.clock.now(),
            about,
            good,
            outcome,
        };
        let mut servers = self.servers();
        let lately = room_for(&mut servers, host);
        let ring = match way {
            Way::FromThem => &mut lately.from_them,
            Way::ToThem => &mut lately.to_them,
        };
        ring.truncate(REMEMBERED - 1);
        ring.push_front(exchange);
    }

    /// Notes what time a server says it is (`Date`, RFC 9110), where that is a time.
    pub fn said_time(&self, host: &Provider, date: &str) {
        let Ok(date) = httpdate::parse_http_date(date) else {
            return;
        };
        let since = date.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let now = self.clock.now();
        let ahead = i64::try_from(since).unwrap_or(i64::MAX).saturating_sub(now.0);
        room_for(&mut self.servers(), host).ahead = Some((ahead, now));
    }

    /// How many seconds the clocks of servers were ahead of ours that were asked within the last `span`.
    pub fn clocks(&self, span: Duration) -> Vec<i64> {
        let now = self.clock.now();
        let lately = |(_, at): &(i64, Timestamp)| *at <= now && now < at.plus(span);
        let servers = self.servers();
        let said = servers.values().filter_map(|server| server.ahead.filter(lately));
        said.map(|(ahead, _)| ahead).collect()
    }

    /// What a server asked of us, and we of it.
    pub fn of(&self, host: &Provider) -> (Vec<Exchange>, Vec<Exchange>) {
        let servers = self.servers();
        let copy = |ring: &VecDeque<Exchange>| ring.iter().cloned().collect();
        servers
            .get(host)
            .map(|lately| (copy(&lately.from_them), copy(&lately.to_them)))
            .unwrap_or_default()
    }

    /// When it was last heard from, or answered.
    pub fn last(&self, host: &Provider) -> Option<Timestamp> {
        self.servers().get(host)?.last()
    }

    /// The servers of which something is remembered.
    pub fn hosts(&self) -> Vec<Provider> {
        self.servers().keys().cloned().collect()
    }

    fn servers(&self) -> MutexGuard<'_, HashMap<Provider, Lately>> {
        self.servers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of a server, for which the one makes room that was silent for longest.
fn room_for<'a>(servers: &'a mut HashMap<Provider, Lately>, host: &Provider) -> &'a mut Lately {
    if !servers.contains_key(host) && servers.len() >= SERVERS {
        let silent = servers.iter().min_by_key(|(_, lately)| lately.last());
        if let Some(silent) = silent.map(|(host, _)| host.clone()) {
            servers.remove(&silent);
        }
    }
    servers.entry(host.clone()).or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_server_the_last_requests_are_remembered_and_of_no_more_servers_than_there_is_room_for() {
        let clock = Clock::stopped_at(Timestamp(1_790_000_000));
        let traffic = Traffic::new(clock.clone());
        let host = |at: usize| Provider::parse(&format!("s{at}.example")).unwrap();
        for status in 100..200 {
            traffic.answered(&host(0), Way::FromThem, About::Share, status);
        }
        let (from_them, to_them) = traffic.of(&host(0));
        assert_eq!((from_them.len(), to_them.len()), (REMEMBERED, 0));
        assert_eq!(from_them[0].outcome, "199");
        clock.step(Duration::from_secs(1));
        for at in 1..=SERVERS {
            traffic.sent(&host(at), About::Keys, &Ok(()));
        }
        assert_eq!(traffic.hosts().len(), SERVERS);
        assert_eq!(traffic.last(&host(0)), None, "it was silent for longest");
        assert!(traffic.last(&host(SERVERS)).is_some());
    }
}
