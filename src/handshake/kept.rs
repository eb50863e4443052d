//! What is kept of the handshake with one server, and what each event makes of it. Both sides may have begun, and anyone
//! may claim to be the other one: neither takes away what the other has reached.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::ocm::address::Provider;
use crate::ocm::dialect::trusted;
use crate::outbox::Failure;
use crate::secret::Secret;
use crate::secret::hash_of;
use crate::store::Index;
use crate::store::Key;
use crate::store::Record;

/// How long after each try the next one follows; the last wait stays.
const WAITS: [Duration; 5] = [
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(30 * 60),
    Duration::from_secs(2 * 3600),
    Duration::from_secs(12 * 3600),
];
/// How long either side is tried: an admin there may have to be found first.
const PATIENCE: Duration = Duration::from_secs(7 * 24 * 3600);
/// How long a token that was taken may still fetch: the answer to the first time may have been lost.
const GIVEN_FOR: Duration = Duration::from_secs(24 * 3600);
/// They took our token and don't come for the secret: they are told again so often.
const TELL_AGAIN: Duration = Duration::from_secs(24 * 3600);
/// A sign of life brings the next try forward, but not closer to the last one than this.
const SPARED: Duration = Duration::from_secs(5 * 60);
/// How many tokens are compared with one of ours. Each answer tells whoever asks one bit of it, and 95 would be all.
const COMPARED_MAX: u32 = 3;
/// How many tokens that claim to be theirs wait to be brought to them.
const WAITING_MAX: usize = 4;

/// How it stands with one server.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Handshake {
    pub provider: Provider,
    asking: Option<Asking>,
    asked: Vec<Asked>,
    shared: Option<Shared>,
    /// How the last try failed, or why there are no more.
    pub failure: Option<Failure>,
}

/// Our side: a token that they are to bring back.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Asking {
    token: Secret,
    since: Timestamp,
    tried: Option<Timestamp>,
    tries: u32,
    compared: u32,
    /// They refused it: the next try is with another one.
    worn: bool,
    /// When they took it.
    told: Option<Timestamp>,
    /// When it was brought back.
    given: Option<Timestamp>,
    due: Timestamp,
}

/// A token that somebody left in their name.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Asked {
    token: Secret,
    since: Timestamp,
    tries: u32,
    due: Timestamp,
}

/// What both know. We never send it, so its hash is enough.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Shared {
    hash: String,
    since: Timestamp,
    read: Option<Timestamp>,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// They have not taken our token yet.
    Asking,
    /// They have, and come for the secret when they get to it.
    Asked,
    /// They have begun; we go for the secret.
    TheyAsk,
    /// Both have the secret.
    Done,
    GaveUp,
}

/// What becomes of a token that somebody leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Taken,
    /// Ours wins.
    Refused,
    TooMany,
}

/// What is to be done now.
#[derive(Debug, Default)]
pub(super) struct Work {
    pub ask: Option<Secret>,
    pub fetch: Vec<Secret>,
}

impl Record for Handshake {
    const KIND: &'static str = "handshake";

    fn key(&self) -> Key {
        Key::of([self.provider.to_string()])
    }

    fn index(&self) -> Vec<Index> {
        let asked = self.asked.iter().map(|asked| asked.due);
        let due = asked.chain(self.asking.as_ref().map(|asking| asking.due)).min();
        let due = due.map(|due| Index::new("due", due));
        let secret = self.shared.as_ref().map(|shared| Index::new("secret", [&shared.hash]));
        due.into_iter().chain(secret).collect()
    }
}

impl Handshake {
    pub(super) fn new(provider: &Provider) -> Self {
        Self {
            provider: provider.clone(),
            asking: None,
            asked: Vec::new(),
            shared: None,
            failure: None,
        }
    }

    pub fn state(&self) -> State {
        match &self.asking {
            None | Some(Asking { given: Some(_), .. }) if self.shared.is_some() => State::Done,
            _ if !self.asked.is_empty() => State::TheyAsk,
            Some(Asking { told: Some(_), .. }) => State::Asked,
            Some(_) => State::Asking,
            None => State::GaveUp,
        }
    }

    /// Since when both have the secret.
    pub fn done(&self) -> Option<Timestamp> {
        self.shared.as_ref().map(|shared| shared.since)
    }

    /// When they last read our address book: their light is green since.
    pub fn read(&self) -> Option<Timestamp> {
        self.shared.as_ref()?.read
    }

    /// When the next try is due, while there are any.
    pub fn next_try(&self) -> Option<Timestamp> {
        let asking = self.asking.as_ref().filter(|asking| asking.given.is_none());
        let asked = self.asked.iter().map(|asked| asked.due);
        asked.chain(asking.map(|asking| asking.due)).min()
    }

    /// Begins on our side, or tries at once where it has begun. What is shared already counts until there is something new.
    pub(super) fn start(&mut self, token: Secret, now: Timestamp) {
        self.failure = None;
        match &mut self.asking {
            Some(asking) if asking.given.is_none() && now < asking.since.plus(PATIENCE) => asking.due = now,
            asking => {
                *asking = Some(Asking {
                    token,
                    since: now,
                    tried: None,
                    tries: 0,
                    compared: 0,
                    worn: false,
                    told: None,
                    given: None,
                    due: now,
                });
            }
        }
    }

    /// Takes what has come due into hand: it is due again later, whatever comes of this time.
    pub(super) fn take_due(&mut self, fresh: Secret, now: Timestamp) -> Work {
        let over = |since: Timestamp| now >= since.plus(PATIENCE);
        let mut work = Work::default();
        self.asked.retain(|asked| !over(asked.since));
        for asked in self.asked.iter_mut().filter(|asked| asked.due <= now) {
            asked.tries += 1;
            asked.due = now.plus(wait(asked.tries));
            work.fetch.push(asked.token.clone());
        }
        match &mut self.asking {
            Some(asking) if asking.due > now => {}
            Some(Asking { given: Some(_), .. }) => self.asking = None,
            Some(asking) if over(asking.since) => {
                let why = match asking.told {
                    Some(_) => "It took what this server said, but has not come for the secret in a week.",
                    None => "It was asked for a week in vain. Ask its admin to make this server a trusted one there.",
                };
                self.asking = None;
                self.failure = Some(Failure::new(&Error::new(Reason::GaveUp, why), now));
            }
            Some(asking) => {
                let spent = asking.worn || asking.compared >= COMPARED_MAX;
                if spent && asking.told.is_none() {
                    (asking.token, asking.worn, asking.compared) = (fresh, false, 0);
                }
                asking.tries += 1;
                asking.tried = Some(now);
                asking.due = now.plus(if asking.told.is_some() {
                    TELL_AGAIN
                } else {
                    wait(asking.tries)
                });
                work.ask = Some(asking.token.clone());
            }
            None => {}
        }
        work
    }

    /// They took this token of ours.
    pub(super) fn told(&mut self, token: &Secret, now: Timestamp) {
        if let Some(asking) = self.asking.as_mut().filter(|asking| asking.token == *token) {
            asking.told = Some(now);
            if asking.given.is_none() {
                asking.due = now.plus(TELL_AGAIN);
                self.failure = None;
            }
        }
    }

    /// They did not take this token of ours; `refused` if they said so.
    pub(super) fn not_told(&mut self, token: &Secret, error: &Error, refused: bool, now: Timestamp) {
        let Some(asking) = self.asking.as_mut().filter(|asking| asking.token == *token) else {
            return;
        };
        if asking.given.is_some() {
            return;
        }
        if refused {
            (asking.worn, asking.told) = (true, None);
        }
        self.failure = Some(Failure::new(error, now));
    }

    /// Somebody leaves a token in their name. While ours is on its way, the greater one wins.
    pub(super) fn is_asked(&mut self, token: &Secret, now: Timestamp) -> Verdict {
        if self.asked.iter().any(|asked| asked.token == *token) {
            return Verdict::Taken;
        }
        if let Some(asking) = self.asking.as_mut().filter(|asking| asking.given.is_none()) {
            // They hold one of ours already; to compare it would tell it to whoever this is.
            let closed = asking.told.is_some() || asking.compared >= COMPARED_MAX;
            asking.compared += u32::from(!closed);
            if closed || trusted::wins(&asking.token, token) {
                let earliest = asking.tried.map_or(now, |tried| now.max(tried.plus(SPARED)));
                asking.due = asking.due.min(earliest);
                return Verdict::Refused;
            }
        }
        if self.asked.len() >= WAITING_MAX {
            let tried = |at: &usize| self.asked[*at].tries;
            match (0..self.asked.len()).max_by_key(tried) {
                Some(at) if self.asked[at].tries > 0 => self.asked.remove(at),
                _ => return Verdict::TooMany,
            };
        }
        self.asked.push(Asked {
            token: token.clone(),
            since: now,
            tries: 0,
            due: now,
        });
        Verdict::Taken
    }

    /// They gave us the secret for a token of theirs.
    pub(super) fn fetched(&mut self, secret: &Secret, now: Timestamp) {
        self.share(secret, now);
        self.asking = None;
    }

    /// They gave nothing for this token; `refused` if they know nothing of it, so that somebody else left it.
    pub(super) fn not_fetched(&mut self, token: &Secret, error: &Error, refused: bool, now: Timestamp) {
        if refused {
            self.asked.retain(|asked| asked.token != *token);
        }
        // Of what somebody claims, nothing is said where there is more to say.
        if self.asking.is_none() && self.shared.is_none() {
            self.failure = Some(Failure::new(error, now));
        }
    }

    /// Gives `secret` for our token. It opens nothing any more once they have used the secret, or a day has passed.
    pub(super) fn gives(&mut self, token: &Secret, secret: &Secret, now: Timestamp) -> bool {
        let Some(asking) = &mut self.asking else { return false };
        let over = match asking.given {
            Some(given) => now >= given.plus(GIVEN_FOR),
            None => now >= asking.since.plus(PATIENCE),
        };
        if over || asking.token != *token {
            return false;
        }
        let given = *asking.given.get_or_insert(now);
        asking.due = given.plus(GIVEN_FOR);
        self.share(secret, now);
        true
    }

    /// They have used the secret.
    pub(super) fn was_read(&mut self, now: Timestamp) {
        if let Some(shared) = &mut self.shared {
            shared.read = Some(now);
        }
        if self.asking.as_ref().is_some_and(|asking| asking.given.is_some()) {
            self.asking = None;
        }
    }

    /// No rule allows it any more.
    pub(super) fn abandon(&mut self, error: &Error, now: Timestamp) {
        self.asking = None;
        self.asked.clear();
        self.failure = Some(Failure::new(error, now));
    }

    pub(super) fn failed(&mut self, error: &Error, now: Timestamp) {
        if self.state() != State::Done {
            self.failure = Some(Failure::new(error, now));
        }
    }

    fn share(&mut self, secret: &Secret, now: Timestamp) {
        self.shared = Some(Shared {
            hash: hash_of(secret.expose()),
            since: now,
            read: None,
        });
        self.asked.clear();
        self.failure = None;
    }
}

fn wait(tries: u32) -> Duration {
    let at = usize::try_from(tries.saturating_sub(1)).unwrap_or(usize::MAX);
    WAITS[at.min(WAITS.len() - 1)]
}
