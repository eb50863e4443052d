//! The clock, watched for jumps: what is over is forgotten for good only while the time can be believed (T-83).
//!
//! A clock that is wrong, after a suspended machine, an empty battery or a mistake, makes everything look over, or
//! nothing. So whoever deletes by the clock asks here first. A clock that went on as it should is believed. One that
//! jumped is believed again once it has gone on evenly for an hour, or is back where it was; one that says less than
//! when this program was written, never. A server that was off for longer is in the same position: it can't tell.

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::clock::WRITTEN;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::store::Key;
use crate::store::Record;
use crate::store::Store;

/// How far the clock may go on between two looks, and after a start.
const AHEAD: Duration = Duration::from_secs(3_600);
/// How far it may be put back: as much as a clock is corrected by.
const BACK: Duration = Duration::from_secs(300);
/// How long it must go on evenly before it is believed again.
const EVENLY: Duration = Duration::from_secs(3_600);
/// What counts as going on evenly, from one look to the next.
const STEP: Duration = Duration::from_secs(600);
/// How stale the time on disk may get.
const KEPT_EVERY: Duration = Duration::from_secs(300);

/// The last time that was believed, so that a start with another clock is noticed.
#[derive(Serialize, Deserialize)]
struct LastTime {
    at: Timestamp,
}

impl Record for LastTime {
    const KIND: &'static str = "last-time";

    fn key(&self) -> Key {
        Key::from("believed")
    }
}

/// A clock that jumped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The last time that was believed.
    pub before: Timestamp,
    /// What the clock said when it was noticed.
    pub since: Timestamp,
    last: Timestamp,
}

impl Doubt {
    /// When the clock is believed again if it goes on evenly; nothing for one that can't be right.
    pub fn ends(&self) -> Option<Timestamp> {
        (self.since >= WRITTEN).then(|| self.since.plus(EVENLY))
    }
}

/// Passes for a time that can be.
///
/// # Errors
///
/// [`Reason::ClockWrong`].
pub fn refuse_impossible(now: Timestamp) -> Result<()> {
    if now >= WRITTEN {
        return Ok(());
    }
    let message = format!(
        "The clock of this machine says {now}, which is before this ocmesh was written. Set it (timedatectl set-ntp true), \
         then start again."
    );
    Err(Error::new(Reason::ClockWrong, message))
}

/// What is known of the clock.
#[derive(Clone, Copy, Debug, Default)]
struct Watch {
    believed: Timestamp,
    doubt: Option<Doubt>,
}

impl Watch {
    fn look(&mut self, now: Timestamp) {
        let fits = now >= WRITTEN && now >= self.believed.minus(BACK) && now <= self.believed.plus(AHEAD);
        match &mut self.doubt {
            _ if fits => {
                self.doubt = None;
                self.believed = now;
            }
            Some(doubt) if now >= doubt.last && now <= doubt.last.plus(STEP) => {
                doubt.last = now;
                if doubt.ends().is_some_and(|end| now >= end) {
                    self.doubt = None;
                    self.believed = now;
                }
            }
            _ => {
                self.doubt = Some(Doubt {
                    before: self.believed,
                    since: now,
                    last: now,
                });
            }
        }
    }
}

/// The one who watches. Clones are the same.
#[derive(Clone)]
pub struct Timekeeper {
    store: Store,
    clock: Clock,
    watch: Arc<Mutex<(Watch, Timestamp)>>,
}

impl Timekeeper {
    /// Compares the clock with the last time that this server knew.
    pub async fn open(store: Store, clock: Clock) -> Result<Self> {
        let kept = store.read(async |txn| txn.get::<LastTime>("believed").await).await?;
        let kept = kept.map_or_else(|| clock.now().max(WRITTEN), |kept| kept.at);
        let watch = Watch {
            believed: kept,
            doubt: None,
        };
        let this = Self {
            store,
            clock,
            watch: Arc::new(Mutex::new((watch, Timestamp::default()))),
        };
        this.look().await?;
        Ok(this)
    }

    /// Looks at the clock, to be called every minute; whether it can be believed.
    pub async fn look(&self) -> Result<bool> {
        let now = self.clock.now();
        let (before, after, stale) = {
            let mut watch = self.watch();
            let before = watch.0.doubt;
            watch.0.look(now);
            let believed = watch.0.believed;
            let stale = believed < watch.1 || believed >= watch.1.plus(KEPT_EVERY);
            if stale {
                watch.1 = believed;
            }
            (before, watch.0.doubt, stale.then_some(believed))
        };
        match (before, after) {
            (was, Some(doubt)) if was.is_none_or(|was| was.since != doubt.since) => tracing::warn!(
                before = %doubt.before,
                now = %now,
                "The clock jumped; nothing that seems to be over is forgotten until it has gone on evenly for an hour"
            ),
            (Some(_), None) => tracing::info!(now = %now, "The clock is believed again"),
            _ => {}
        }
        if let Some(at) = stale {
            self.store
                .run_early(async |txn| txn.put(&LastTime { at }).await)
                .await?;
        }
        Ok(after.is_none())
    }

    /// Why the time can't be believed, if it can't. It waits for nothing.
    pub fn doubt(&self) -> Option<Doubt> {
        self.watch().0.doubt
    }

    fn watch(&self) -> MutexGuard<'_, (Watch, Timestamp)> {
        self.watch.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000);
    const DAY: i64 = 86_400;

    /// Looks when the clock says `NOW` and so many seconds, one look after the other; whether the last was believed.
    fn check(looks: &[i64], expected: bool) {
        let mut watch = Watch {
            believed: NOW,
            doubt: None,
        };
        for at in looks {
            watch.look(Timestamp(NOW.0 + at));
        }
        assert_eq!(watch.doubt.is_none(), expected, "{looks:?}");
    }

    #[test]
    fn t83_a_clock_that_jumped_is_believed_only_after_an_hour_of_going_on_evenly() {
        check(&[60, 120, 3_700], true);
        check(&[60, -200], true);
        check(&[DAY], false);
        check(&[DAY, DAY + 3_600], false);
        let evenly: Vec<_> = (0..=6).map(|step| DAY + step * 600).collect();
        check(&evenly, true);
        check(&evenly[..6], false);
        // Another jump begins the hour anew; the time from before is believed at once.
        check(&[DAY, DAY + 600, 2 * DAY, 2 * DAY + 600], false);
        check(&[DAY, DAY + 600, 1_200], true);
        check(&[-DAY], false);
        let back: Vec<_> = (0..=6).map(|step| -DAY + step * 600).collect();
        check(&back, true);
    }

    #[test]
    fn t83_a_clock_that_says_less_than_when_this_was_written_is_never_believed() {
        let then: Vec<_> = (0..=20).map(|step| -NOW.0 + step * 600).collect();
        check(&then, false);
        let back: Vec<_> = then.into_iter().chain([12_000]).collect();
        check(&back, false);
        let back: Vec<_> = back.into_iter().chain([3_000]).collect();
        check(&back, true);
    }
}
