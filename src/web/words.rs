//! Times, sizes and states in the words of a page.

use std::time::Duration;

use time::OffsetDateTime;
use time::Weekday;

use crate::clock::Timestamp;
use crate::config::Size;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::web::reader::reader;
use crate::web::reader::said;

/// A state as a word with a colour beside it.
pub struct Badge {
    pub tone: &'static str,
    pub word: &'static str,
}

impl Badge {
    pub fn ok(word: &'static str) -> Self {
        Self { tone: "ok", word }
    }

    pub fn info(word: &'static str) -> Self {
        Self { tone: "info", word }
    }

    pub fn warn(word: &'static str) -> Self {
        Self { tone: "warn", word }
    }

    pub fn bad(word: &'static str) -> Self {
        Self { tone: "bad", word }
    }

    pub fn quiet(word: &'static str) -> Self {
        Self { tone: "quiet", word }
    }
}

/// A time as people read it: `Fri 12 June 2026, 14:00 UTC`.
pub fn when(moment: &Timestamp) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(moment.0) else {
        return moment.to_string();
    };
    said(
        "{weekday} {day} {month} {year}, {time} UTC",
        &[
            ("weekday", &said(weekday(at.weekday()), &[])),
            ("day", &at.day().to_string()),
            ("month", &said(MONTHS[usize::from(u8::from(at.month())) - 1], &[])),
            ("year", &at.year().to_string()),
            ("time", &format!("{:02}:{:02}", at.hour(), at.minute())),
        ],
    )
}

/// The same, short enough for a table: `12 June 2026`.
pub fn day(moment: &Timestamp) -> String {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(moment.0) else {
        return moment.to_string();
    };
    said(
        "{day} {month} {year}",
        &[
            ("day", &at.day().to_string()),
            ("month", &said(MONTHS[usize::from(u8::from(at.month())) - 1], &[])),
            ("year", &at.year().to_string()),
        ],
    )
}

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

fn weekday(day: Weekday) -> &'static str {
    match day {
        Weekday::Monday => "Mon",
        Weekday::Tuesday => "Tue",
        Weekday::Wednesday => "Wed",
        Weekday::Thursday => "Thu",
        Weekday::Friday => "Fri",
        Weekday::Saturday => "Sat",
        Weekday::Sunday => "Sun",
    }
}

/// How far away a time is: `in 6 days`, `3 hours ago`.
pub fn away(moment: &Timestamp, now: &Timestamp) -> String {
    if moment > now {
        match now.until(*moment) {
            wait if wait < Duration::from_secs(60) => said("in a moment", &[]),
            wait => counted(
                wait,
                "in {n} minute|in {n} minutes",
                "in {n} hour|in {n} hours",
                "in {n} day|in {n} days",
            ),
        }
    } else {
        match moment.until(*now) {
            ago if ago < Duration::from_secs(60) => said("just now", &[]),
            ago => counted(
                ago,
                "{n} minute ago|{n} minutes ago",
                "{n} hour ago|{n} hours ago",
                "{n} day ago|{n} days ago",
            ),
        }
    }
}

/// When something is next: `now` once its time has come.
pub fn due(moment: &Timestamp, now: &Timestamp) -> String {
    if moment > now {
        away(moment, now)
    } else {
        said("now", &[])
    }
}

/// A length of time: `7 days`.
pub fn span(length: Duration) -> String {
    counted(
        length,
        "{n} minute|{n} minutes",
        "{n} hour|{n} hours",
        "{n} day|{n} days",
    )
}

/// The number that reads best, in the sentence for its unit.
fn counted(length: Duration, minutes: &str, hours: &str, days: &str) -> String {
    let seconds = length.as_secs();
    let (number, sentence) = match seconds {
        0..3_600 => (seconds / 60, minutes),
        3_600..172_800 => (seconds / 3_600, hours),
        _ => (seconds / 86_400, days),
    };
    reader().lang.count(sentence, number)
}

/// A host with the letters of its own script, where it has others than those of ASCII (T-31, T-77).
pub fn host_in_letters(host: &Provider) -> Option<String> {
    let letters = url::quirks::domain_to_unicode(host.host());
    (letters != host.host() && host.ip().is_none()).then_some(letters)
}

/// A number of bytes in binary units: `1.4 MiB`.
pub fn size(bytes: &u64) -> String {
    Size(*bytes).to_string()
}

/// The end of a day that somebody typed, or of none.
///
/// # Errors
///
/// [`Reason::Invalid`](crate::error::Reason::Invalid) naming `field`.
pub fn end_of_day(field: &'static str, text: &str) -> Result<Option<Timestamp>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let moment = Timestamp::parse(text).ok_or_else(|| Error::invalid(field, "This is no day such as 2026-12-31."))?;
    // A day typed as an end is meant to be over then.
    let rest = if text.len() == 10 { 86_399 } else { 0 };
    Ok(Some(moment.plus(Duration::from_secs(rest))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_in_binary_units_and_never_rounded_up() {
        let check = |bytes: u64, expected: &str| assert_eq!(size(&bytes), expected);
        check(0, "0 B");
        check(1023, "1023 B");
        check(1024, "1.0 KiB");
        check(1_048_575, "1023.9 KiB");
        check(1_048_576, "1.0 MiB");
        check(u64::MAX, "15.9 EiB");
    }

    #[test]
    fn times_say_when_and_how_far_away() {
        let now = Timestamp::parse("2026-06-12T14:00:00Z").unwrap();
        assert_eq!(when(&now), "Fri 12 June 2026, 14:00 UTC");
        assert_eq!(day(&now), "12 June 2026");
        let check = |seconds: i64, expected: &str| assert_eq!(away(&Timestamp(now.0 + seconds), &now), expected);
        check(0, "just now");
        check(59, "in a moment");
        check(-59, "just now");
        check(60, "in 1 minute");
        check(-7200, "2 hours ago");
        check(6 * 86_400, "in 6 days");
    }

    #[test]
    fn a_share_until_a_day_lasts_to_the_end_of_that_day() {
        let end = end_of_day("until", "2026-12-31").unwrap().unwrap();
        assert_eq!(end.to_string(), "2026-12-31T23:59:59Z");
        assert_eq!(end_of_day("until", " ").unwrap(), None);
        assert_eq!(end_of_day("until", "soon").unwrap_err().field(), Some("until"));
    }
}
