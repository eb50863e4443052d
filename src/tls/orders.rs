//! When to order: what is kept of the tries, so that a server that is started again and again does not ask again and
//! again.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::tls::pair::Certificate;

const HOUR: Duration = Duration::from_secs(3_600);
/// Let’s Encrypt takes five failed proofs for a name in an hour.
const FIRST_PAUSE: Duration = Duration::from_secs(300);
const LONGEST_PAUSE: Duration = Duration::from_secs(86_400);
/// A look costs nothing, and what was wrong may have been mended.
const LONGEST_PAUSE_OF_LOOKS: Duration = HOUR;
/// At least this long a new certificate is good enough, whatever a clock may say.
const REST: Duration = Duration::from_secs(6 * 3_600);
/// How often in an hour somebody may want it tried at once.
const WISHES: usize = 3;
const STEPS_KEPT: usize = 12;

/// Something that was done for a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    pub at: Timestamp,
    /// In English, as the catalogues know it, with a place `{what}` or none.
    pub sentence: String,
    pub what: String,
}

/// Why there is none, or none newer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trouble {
    pub code: String,
    pub sentence: String,
    /// What the authority itself said.
    pub raw: String,
}

impl Trouble {
    pub fn new(error: &Error, raw: &str) -> Self {
        Self {
            code: error.reason().code().to_owned(),
            sentence: error.message().to_owned(),
            raw: raw.to_owned(),
        }
    }

    pub fn error(&self) -> Error {
        let reason = Reason::from_code(&self.code).unwrap_or(Reason::TlsRefused);
        Error::new(reason, self.sentence.clone())
    }
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Progress {
    /// Tries in a row that came to nothing; one under way is counted as such until it has come to something.
    pub failures: u32,
    /// Looks in a row that showed that a try would come to nothing. They cost nothing, so they don't count as tries.
    looks: u32,
    /// Until when the authority said that it wants to hear no more.
    asked_to_wait: Option<Timestamp>,
    pub next_try: Option<Timestamp>,
    pub trouble: Option<Trouble>,
    /// The names with which an order was tried out, and worked.
    pub rehearsed: Vec<String>,
    /// When somebody wanted it tried at once, in the last hour.
    wishes: Vec<Timestamp>,
    pub steps: Vec<Step>,
    /// Whether it is shown in the second of the ways there are that the names lead here: the first came to nothing.
    pub by_other_way: bool,
}

impl Progress {
    /// Whether an order is to be made now.
    pub fn is_due(&self, certificate: Option<&Certificate>, names: &[String], now: Timestamp) -> bool {
        let covers = certificate.is_some_and(|one| names.iter().all(|name| one.is_for(name)));
        if covers && certificate.is_some_and(|one| now < one.renewal()) {
            return false;
        }
        // Other names than before are no reason to wait, unless they were tried in vain.
        let waits = self.is_in_trouble() || covers;
        !waits || self.next_try.is_none_or(|next| now >= next)
    }

    /// Whether the last try, or look, came to nothing.
    pub fn is_in_trouble(&self) -> bool {
        self.failures > 0 || self.looks > 0
    }

    /// Counts a try before it is made: a server that is killed meanwhile has made it, too.
    pub fn begin(&mut self, now: Timestamp) {
        self.failures = self.failures.saturating_add(1);
        self.next_try = Some(now.plus(pause(self.failures)));
        self.looks = 0;
        self.asked_to_wait = None;
        self.steps.clear();
    }

    pub fn step(&mut self, at: Timestamp, sentence: &str, what: &str) {
        self.steps.push(Step {
            at,
            sentence: sentence.to_owned(),
            what: what.to_owned(),
        });
        let too_many = self.steps.len().saturating_sub(STEPS_KEPT);
        self.steps.drain(..too_many);
    }

    /// A try came to nothing; the authority may have said before when it wants to hear no more.
    pub fn failed(&mut self, trouble: Trouble, not_before: Option<Timestamp>, now: Timestamp) {
        self.trouble = Some(trouble);
        let next = now.plus(pause(self.failures));
        // Nobody is believed who wants it put off for longer than any limit lasts.
        let not_before = not_before.filter(|moment| *moment < now.plus(8 * LONGEST_PAUSE));
        self.next_try = Some(not_before.map_or(next, |moment| moment.max(next)));
        self.asked_to_wait = not_before;
    }

    /// A look showed that a try would come to nothing, so it was not made.
    pub fn put_off(&mut self, trouble: Trouble, now: Timestamp) {
        self.looks = self.looks.saturating_add(1);
        self.trouble = Some(trouble);
        self.next_try = Some(now.plus(pause(self.looks).min(LONGEST_PAUSE_OF_LOOKS)));
    }

    pub fn had(&mut self, certificate: &Certificate, now: Timestamp) {
        let life = certificate.not_before.until(certificate.not_after);
        (self.failures, self.looks, self.asked_to_wait) = (0, 0, None);
        self.trouble = None;
        self.next_try = Some(now.plus(REST.min(life / 3)));
    }

    /// Somebody wants it tried at once.
    ///
    /// # Errors
    ///
    /// [`Reason::Busy`] with when that may be wanted again.
    pub fn wish(&mut self, now: Timestamp) -> Result<()> {
        if let Some(until) = self.asked_to_wait.filter(|until| now < *until) {
            return Err(Error::new(
                Reason::Busy,
                format!(
                    "The authority asked to be left alone until {until}. To ask before counts against this server."
                ),
            )
            .retry_after(Some(now.until(until))));
        }
        self.wishes.retain(|wish| *wish <= now && wish.until(now) < HOUR);
        if let Some(first) = self.wishes.first().filter(|_| self.wishes.len() >= WISHES) {
            let again = first.plus(HOUR);
            return Err(Error::new(
                Reason::Busy,
                format!(
                    "It was tried {WISHES} times in this hour, and authorities count. Look at what is wrong (ocmesh tls \
                     preflight); again after {} UTC.",
                    again.time_of_day()
                ),
            )
            .retry_after(Some(now.until(again))));
        }
        self.wishes.push(now);
        Ok(())
    }
}

/// How long to wait after so many failures in a row.
fn pause(failures: u32) -> Duration {
    let doubled = 2_u32.saturating_pow(failures.saturating_sub(1));
    FIRST_PAUSE.saturating_mul(doubled).min(LONGEST_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_790_000_000);

    fn trouble() -> Trouble {
        Trouble::new(&Error::new(Reason::TlsDns, "No address."), "raw")
    }

    fn certificate(names: &[&str], from: Timestamp) -> Certificate {
        Certificate {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            issuer: String::new(),
            not_before: from,
            not_after: from.plus(90 * LONGEST_PAUSE),
        }
    }

    #[test]
    fn t84_the_pause_after_a_failed_order_doubles_from_five_minutes_to_a_day() {
        let minutes: Vec<_> = (1..=11).map(|failures| pause(failures).as_secs() / 60).collect();
        assert_eq!(minutes, [5, 10, 20, 40, 80, 160, 320, 640, 1280, 1440, 1440]);
        assert_eq!(pause(u32::MAX), LONGEST_PAUSE);
    }

    #[test]
    fn t84_a_server_that_dies_in_the_middle_of_an_order_does_not_order_again_at_once() {
        let names = ["a.example".to_owned()];
        let mut progress = Progress::default();
        assert!(progress.is_due(None, &names, NOW));
        progress.begin(NOW);
        let after: Progress = serde_json::from_str(&serde_json::to_string(&progress).unwrap()).unwrap();
        assert!(!after.is_due(None, &names, NOW));
        assert!(!after.is_due(None, &names, NOW.plus(FIRST_PAUSE).minus(Duration::from_secs(1))));
        assert!(after.is_due(None, &names, NOW.plus(FIRST_PAUSE)));
    }

    #[test]
    fn t84_in_forty_days_of_failures_hardly_more_than_forty_orders_are_made() {
        let names = ["a.example".to_owned()];
        let mut progress = Progress::default();
        let mut orders = 0;
        let mut now = NOW;
        while NOW.until(now) < 40 * LONGEST_PAUSE {
            if progress.is_due(None, &names, now) {
                orders += 1;
                progress.begin(now);
                progress.failed(trouble(), None, now);
            }
            now = now.plus(Duration::from_secs(30));
        }
        assert!((40..=50).contains(&orders), "{orders}");
    }

    #[test]
    fn t84_what_the_authority_says_of_when_is_kept_to_within_reason() {
        let check = |said: Option<Duration>, expected: Duration| {
            let mut progress = Progress::default();
            progress.begin(NOW);
            progress.failed(trouble(), said.map(|wait| NOW.plus(wait)), NOW);
            assert_eq!(progress.next_try, Some(NOW.plus(expected)), "{said:?}");
        };
        check(None, FIRST_PAUSE);
        check(Some(Duration::from_secs(10)), FIRST_PAUSE);
        check(Some(3 * LONGEST_PAUSE), 3 * LONGEST_PAUSE);
        check(Some(3_000 * LONGEST_PAUSE), FIRST_PAUSE);
    }

    #[test]
    fn t83_a_new_certificate_is_not_ordered_again_whatever_the_clock_says() {
        let names = ["a.example".to_owned()];
        let mut progress = Progress::default();
        let fresh = certificate(&["a.example"], NOW);
        progress.begin(NOW);
        // The clock here is a year ahead of that of the authority: what came is at its end already.
        let ahead = NOW.plus(365 * LONGEST_PAUSE);
        progress.had(&fresh, ahead);
        assert!(!progress.is_due(Some(&fresh), &names, ahead.plus(HOUR)));
        assert!(progress.is_due(Some(&fresh), &names, ahead.plus(REST)));
    }

    #[test]
    fn a_certificate_is_due_at_a_third_of_its_life_and_at_once_for_other_names() {
        let names = ["a.example".to_owned()];
        let one = certificate(&["a.example"], NOW);
        let mut progress = Progress::default();
        progress.had(&one, NOW);
        let check = |progress: &Progress, names: &[String], now: Timestamp, expected: bool| {
            assert_eq!(progress.is_due(Some(&one), names, now), expected, "{names:?} {now}");
        };
        check(&progress, &names, NOW, false);
        check(&progress, &names, one.renewal().minus(HOUR), false);
        check(&progress, &names, one.renewal(), true);
        let more = ["a.example".to_owned(), "b.example".to_owned()];
        check(&progress, &more, NOW, true);
        progress.begin(NOW);
        check(&progress, &more, NOW, false);
    }

    #[test]
    fn t84_wishes_to_try_at_once_are_few_in_an_hour() {
        let mut progress = Progress::default();
        for _ in 0..WISHES {
            progress.wish(NOW).unwrap();
        }
        let refused = progress.wish(NOW.plus(Duration::from_secs(60))).unwrap_err();
        assert_eq!(refused.reason(), Reason::Busy);
        assert_eq!(refused.wait(), Some(Duration::from_secs(3_540)));
        progress.wish(NOW.plus(HOUR)).unwrap();
    }

    #[test]
    fn t84_no_wish_brings_a_try_forward_that_the_authority_asked_to_put_off() {
        let mut progress = Progress::default();
        progress.begin(NOW);
        progress.failed(trouble(), Some(NOW.plus(HOUR)), NOW);
        assert_eq!(progress.wish(NOW).unwrap_err().wait(), Some(HOUR));
        progress.wish(NOW.plus(HOUR)).unwrap();
    }

    #[test]
    fn a_look_that_fails_is_repeated_within_the_hour() {
        let mut progress = Progress::default();
        for _ in 0..9 {
            progress.put_off(trouble(), NOW);
        }
        assert_eq!(progress.next_try, Some(NOW.plus(HOUR)));
        let names = ["a.example".to_owned()];
        assert!(!progress.is_due(None, &names, NOW) && progress.is_due(None, &names, NOW.plus(HOUR)));
        // The first try after all that waits as the first try does.
        progress.begin(NOW);
        assert_eq!(progress.next_try, Some(NOW.plus(FIRST_PAUSE)));
        progress.put_off(trouble(), NOW);
        assert_eq!(progress.trouble.unwrap().error().reason(), Reason::TlsDns);
    }
}
