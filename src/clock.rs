//! Time as a value: what the protocol counts in, and where the server reads it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicI64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use serde::Deserialize;
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

/// Whole seconds since 1970-01-01 UTC, as `expiration` and `created` count them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// The moment `by` later; stays at the end of time instead of wrapping.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(by.as_secs()).unwrap_or(i64::MAX)))
    }

    /// The moment `by` earlier; stays at the beginning of time instead of wrapping.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_secs()).unwrap_or(i64::MAX)))
    }

    /// How long from here to `later`; zero where `later` has passed.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_secs(u64::try_from(later.0.saturating_sub(self.0)).unwrap_or(0))
    }

    /// Its day in UTC: `2026-07-26`.
    pub fn day(self) -> String {
        self.to_string().chars().take(10).collect()
    }

    /// The time of its day in UTC, for people: `14:05`.
    pub fn time_of_day(self) -> String {
        let minutes = self.0.rem_euclid(86_400) / 60;
        format!("{:02}:{:02}", minutes / 60, minutes % 60)
    }

    /// The moment as an HTTP date (IMF-fixdate), for `Date` and `Last-Modified`.
    pub fn http_date(self) -> String {
        httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(u64::try_from(self.0).unwrap_or(0)))
    }

    /// Reads `2026-06-12T14:00:00Z` or `2026-06-12` (its first second, UTC).
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let full = if text.len() == 10 {
            format!("{text}T00:00:00Z")
        } else {
            text.to_owned()
        };
        OffsetDateTime::parse(&full, &Rfc3339)
            .ok()
            .map(|moment| Self(moment.unix_timestamp()))
    }
}

/// Shown as RFC 3339 in UTC.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match OffsetDateTime::from_unix_timestamp(self.0)
            .ok()
            .and_then(|moment| moment.format(&Rfc3339).ok())
        {
            Some(text) => f.write_str(&text),
            None => write!(f, "@{}", self.0),
        }
    }
}

/// This program was written later: a clock that says less is wrong (T-83).
pub const WRITTEN: Timestamp = Timestamp(1_767_225_600);

/// The server's clock. Tests hold one that they step.
#[derive(Clone, Debug, Default)]
pub struct Clock(Option<Arc<AtomicI64>>);

impl Clock {
    /// The machine's own clock.
    pub fn system() -> Self {
        Self(None)
    }

    /// A clock that stands still until it is stepped.
    pub fn stopped_at(start: Timestamp) -> Self {
        Self(Some(Arc::new(AtomicI64::new(start.0))))
    }

    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Some(stopped) => Timestamp(stopped.load(Ordering::SeqCst)),
            None => Timestamp(
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
            ),
        }
    }

    /// Sets a stopped clock, backwards too; the machine's clock is left alone.
    pub fn set(&self, to: Timestamp) {
        if let Some(stopped) = &self.0 {
            stopped.store(to.0, Ordering::SeqCst);
        }
    }

    /// Moves a stopped clock on; the machine's clock is left alone.
    pub fn step(&self, by: Duration) {
        if let Some(stopped) = &self.0 {
            stopped.fetch_add(i64::try_from(by.as_secs()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_reads_dates_and_writes_rfc_3339() {
        assert_eq!(Timestamp::parse("2026-07-26T10:08:20Z"), Some(Timestamp(1_785_060_500)));
        assert_eq!(Timestamp(1_785_060_500).to_string(), "2026-07-26T10:08:20Z");
        assert_eq!(Timestamp(1_785_060_500).http_date(), "Sun, 26 Jul 2026 10:08:20 GMT");
        assert_eq!(Timestamp::parse("2026-07-26").map(|t| t.0 % 86_400), Some(0));
        assert_eq!(Timestamp::parse("tomorrow"), None);
        assert_eq!(Timestamp::parse("2026-01-01"), Some(WRITTEN));
        assert_eq!(Timestamp(i64::MAX).plus(Duration::from_secs(9)), Timestamp(i64::MAX));
    }
}
