//! Times in the words of a language.

use time::OffsetDateTime;
use time::Weekday;

use crate::clock::Timestamp;
use crate::lang::Lang;

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

impl Lang {
    /// A time as people read it: `Fri 12 June 2026, 14:00 UTC`.
    pub fn when(self, moment: Timestamp) -> String {
        let Ok(at) = OffsetDateTime::from_unix_timestamp(moment.0) else {
            return moment.to_string();
        };
        self.fill(
            "{weekday} {day} {month} {year}, {time} UTC",
            &[
                ("weekday", &self.say(weekday(at.weekday()))),
                ("day", &at.day().to_string()),
                ("month", &self.month(at)),
                ("year", &at.year().to_string()),
                ("time", &format!("{:02}:{:02}", at.hour(), at.minute())),
            ],
        )
    }

    /// The same, short enough for a table: `12 June 2026`.
    pub fn day(self, moment: Timestamp) -> String {
        let Ok(at) = OffsetDateTime::from_unix_timestamp(moment.0) else {
            return moment.to_string();
        };
        self.fill(
            "{day} {month} {year}",
            &[
                ("day", &at.day().to_string()),
                ("month", &self.month(at)),
                ("year", &at.year().to_string()),
            ],
        )
    }

    fn month(self, at: OffsetDateTime) -> String {
        self.say(MONTHS[usize::from(u8::from(at.month())) - 1]).into_owned()
    }
}

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
