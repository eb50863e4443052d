//! Which backups are there, and which of them are kept: the last of each of so many days, weeks and months.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use time::OffsetDateTime;

use super::seal;
use super::standing::is_past;
use crate::clock::Timestamp;
use crate::config::Keep;
use crate::error::Result;

/// The day, week or month that a moment is in, of all there are.
type SpanOf = fn(OffsetDateTime) -> (i32, u32);

const SCHEDULED: &str = "ocmesh-backup-";
/// What somebody asked for: the schedule neither counts nor removes it.
const BY_HAND: &str = "ocmesh-by-hand-";
const BEFORE_UPDATE: &str = "pre-";
const ENDING: &str = ".zip";
/// The length of a [`stamp`].
const STAMP: usize = 18;

/// The name of a backup that the schedule made at `now`.
pub(super) fn name(now: Timestamp) -> String {
    format!("{SCHEDULED}{}{ENDING}", stamp(now))
}

/// The name of one that somebody asked for.
pub(super) fn name_by_hand(now: Timestamp) -> String {
    format!("{BY_HAND}{}{ENDING}", stamp(now))
}

/// The name of one that is made before an update to this version changes the data.
pub(super) fn name_before_update(now: Timestamp) -> String {
    format!("{BEFORE_UPDATE}{}-{}{ENDING}", env!("CARGO_PKG_VERSION"), stamp(now))
}

/// Those of this installation that were made before an update to this version, the newest first.
pub(super) fn before_this_update(folder: &Path, instance: &str) -> Result<Vec<PathBuf>> {
    let begins = format!("{BEFORE_UPDATE}{}-", env!("CARGO_PKG_VERSION"));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name
            .to_str()
            .is_some_and(|name| name.starts_with(&begins) && made_at(name).is_some())
            // Another installation may have its backups here, too.
            && seal::read(&entry.path()).is_ok_and(|seal| seal.is_some_and(|seal| seal.instance == instance))
        {
            found.push(entry.path());
        }
    }
    found.sort();
    found.reverse();
    Ok(found)
}

/// A time that can stand in the name of a file, on every disk: `2026-06-12T140000Z`.
pub(super) fn stamp(now: Timestamp) -> String {
    now.to_string().replace(':', "")
}

/// When the backup of this name was made, if it is a name that we give.
pub(super) fn made_at(name: &str) -> Option<Timestamp> {
    let name = name.strip_suffix(ENDING)?;
    let stamp = match name.strip_prefix(SCHEDULED).or_else(|| name.strip_prefix(BY_HAND)) {
        Some(stamp) => stamp,
        None => {
            let rest = name.strip_prefix(BEFORE_UPDATE)?;
            rest.split_at_checked(rest.len().checked_sub(STAMP)?)?.1
        }
    };
    if stamp.len() != STAMP || !stamp.is_ascii() {
        return None;
    }
    let (hours, rest) = stamp.split_at(13);
    let (minutes, seconds) = rest.split_at(2);
    let made = Timestamp::parse(&format!("{hours}:{minutes}:{seconds}"))?;
    // What reads as a time and is not written as we write it is somebody else's.
    (self::stamp(made) == stamp).then_some(made)
}

/// Whether the schedule made it, so that the schedule may remove it.
pub(super) fn is_scheduled(name: &str) -> bool {
    name.starts_with(SCHEDULED)
}

/// Which of these backups are kept, each given with its time and whether it was found whole. The newest is, and the newest
/// that was found whole. Those of the future are until then: a clock that ran ahead made them, and they push out none.
pub(super) fn kept(backups: &[(Timestamp, bool)], keep: Keep, now: Timestamp) -> Vec<bool> {
    let mut kept: Vec<bool> = backups.iter().map(|(made, _)| !is_past(*made, now)).collect();
    let mut order: Vec<usize> = (0..backups.len()).filter(|at| !kept[*at]).collect();
    order.sort_by_key(|at| std::cmp::Reverse(backups[*at].0));
    for newest in [order.first(), order.iter().find(|at| backups[**at].1)]
        .into_iter()
        .flatten()
    {
        kept[*newest] = true;
    }
    let spans: [(u32, SpanOf); 3] = [
        (keep.daily, |day| (day.year(), u32::from(day.ordinal()))),
        (keep.weekly, |day| {
            let (year, week, _) = day.to_iso_week_date();
            (year, u32::from(week))
        }),
        (keep.monthly, |day| (day.year(), u32::from(u8::from(day.month())))),
    ];
    for (most, span_of) in spans {
        let mut spans = BTreeSet::new();
        // Of one day, one that was found whole is worth more than one that was not.
        for whole in [true, false] {
            for at in &order {
                let (made, verified) = backups[*at];
                let Ok(day) = OffsetDateTime::from_unix_timestamp(made.0) else {
                    continue;
                };
                if verified == whole && (spans.len() as u64) < u64::from(most) && spans.insert(span_of(day)) {
                    kept[*at] = true;
                }
            }
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn names_say_when_and_only_ours_are_read() {
        let now = at("2026-06-12T14:05:09Z");
        assert_eq!(name(now), "ocmesh-backup-2026-06-12T140509Z.zip");
        assert_eq!(made_at(&name(now)), Some(now));
        assert_eq!(made_at(&name_before_update(now)), Some(now));
        assert_eq!(made_at(&name_by_hand(now)), Some(now));
        assert!(is_scheduled(&name(now)) && !is_scheduled(&name_before_update(now)));
        assert!(!is_scheduled(&name_by_hand(now)));
        for theirs in [
            "",
            "holiday.zip",
            "ocmesh-backup-2026-06-12T140509Z.zip.part",
            "ocmesh-backup-2026-06-12T140509Z",
            "ocmesh-backup-2026-13-12T140509Z.zip",
            "ocmesh-backup-2026-06-12T14:05:9Z.zip",
            "ocmesh-backup-2026-06-12.zip",
            "ocmesh-backup-.zip",
            "ocmesh-backup-2026-06-12T140509é.zip",
            "pre-.zip",
            "pre-1.zip",
            "my-ocmesh-backup-2026-06-12T140509Z.zip",
        ] {
            assert_eq!(made_at(theirs), None, "{theirs}");
        }
    }

    #[test]
    fn the_last_of_each_day_week_and_month_is_kept() {
        let check = |keep: (u32, u32, u32), backups: &[&str], expected: &[&str]| {
            // A `?` stands behind one that was never found whole.
            let all: Vec<_> = backups
                .iter()
                .map(|text| (at(text.trim_end_matches('?')), !text.ends_with('?')))
                .collect();
            let keep = Keep {
                daily: keep.0,
                weekly: keep.1,
                monthly: keep.2,
            };
            let kept = kept(&all, keep, at("2027-06-01"));
            let kept: Vec<_> = backups
                .iter()
                .zip(&kept)
                .filter(|(_, kept)| **kept)
                .map(|(text, _)| *text)
                .collect();
            assert_eq!(kept, expected, "{keep:?} of {backups:?}");
        };
        check((7, 4, 6), &[], &[]);
        check((0, 0, 0), &["2026-06-12", "2026-06-11"], &["2026-06-12"]);
        check(
            (2, 0, 0),
            &[
                "2026-06-10",
                "2026-06-12T03:00:00Z",
                "2026-06-12T09:00:00Z",
                "2026-06-11",
            ],
            &["2026-06-12T09:00:00Z", "2026-06-11"],
        );
        // Days without a backup don't count.
        check(
            (2, 0, 0),
            &["2026-06-12", "2026-01-01", "2025-01-01"],
            &["2026-06-12", "2026-01-01"],
        );
        // A week ends on Sunday, 14 June; a year may end in a week of the next.
        check(
            (1, 3, 0),
            &["2026-06-15", "2026-06-14", "2026-06-08", "2026-06-07", "2026-06-06"],
            &["2026-06-15", "2026-06-14", "2026-06-07"],
        );
        check((0, 1, 0), &["2027-01-01", "2026-12-28"], &["2027-01-01"]);
        check(
            (1, 0, 2),
            &["2026-06-12", "2026-06-01", "2026-05-31", "2026-05-01", "2026-04-30"],
            &["2026-06-12", "2026-05-31"],
        );
        // The newest that was found whole is never removed, however old.
        check(
            (1, 0, 0),
            &["2026-06-12?", "2026-06-11?", "2025-01-01"],
            &["2026-06-12?", "2025-01-01"],
        );
        // Of one day, that which was found whole.
        check(
            (2, 0, 0),
            &["2026-06-12", "2026-06-11T20:00:00Z?", "2026-06-11T03:00:00Z"],
            &["2026-06-12", "2026-06-11T03:00:00Z"],
        );
    }

    #[test]
    fn what_a_clock_made_that_ran_ahead_pushes_out_nothing() {
        let keep = Keep {
            daily: 1,
            weekly: 0,
            monthly: 0,
        };
        let backups = [
            (at("2026-06-20"), true),
            (at("2026-06-19"), true),
            (at("2026-06-12"), true),
            (at("2026-06-11"), true),
        ];
        let now = at("2026-06-12T03:00:00Z");
        assert_eq!(kept(&backups, keep, now), [true, true, true, false]);
        let later = at("2026-06-21");
        assert_eq!(kept(&backups, keep, later), [true, false, false, false]);
    }

    #[test]
    fn nothing_is_kept_twice_over_however_many_there_are() {
        let start = at("2026-01-01T03:00:00Z").0;
        let backups: Vec<_> = (0..400).map(|day| (Timestamp(start + day * 86_400), true)).collect();
        let keep = Keep {
            daily: 7,
            weekly: 4,
            monthly: 6,
        };
        let now = Timestamp(start + 400 * 86_400);
        let kept = kept(&backups, keep, now).into_iter().filter(|kept| *kept).count();
        assert!((13..=17).contains(&kept), "{kept}");
    }
}
