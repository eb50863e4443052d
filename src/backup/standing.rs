//! How it stands with the backups, in one judgement for pages, the doctor and whoever watches.

use std::time::Duration;

use super::Made;
use crate::clock::Timestamp;

/// How far a clock may have been put back since a backup was made.
const BACK: Duration = Duration::from_secs(3600);

/// How it stands with the backups. Those of the future say nothing: a clock made them that ran ahead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// There is none.
    Missing,
    /// Of none that is there it is known whether it is whole; the newest is of then.
    Unchecked(Timestamp),
    /// The newest that was found whole is of more than two periods ago.
    Old(Timestamp),
    /// The newest that was found whole.
    Well(Timestamp),
}

impl Standing {
    /// `every` is how often one should be made, where that is set.
    pub fn of(made: &[Made], every: Option<Duration>, now: Timestamp) -> Self {
        let past = made.iter().filter(|made| is_past(made.at, now));
        let Some(newest) = past.clone().map(|made| made.at).max() else {
            return Self::Missing;
        };
        let Some(whole) = past.filter(|made| made.verified.is_some()).map(|made| made.at).max() else {
            return Self::Unchecked(newest);
        };
        match every {
            Some(every) if whole.plus(every.saturating_mul(2)) < now => Self::Old(whole),
            _ => Self::Well(whole),
        }
    }

    /// Whether there should be a newer one that was found whole, where one is made every so often.
    pub fn is_overdue(self) -> bool {
        !matches!(self, Self::Well(_))
    }

    /// When the newest was made that was found whole.
    pub fn whole(self) -> Option<Timestamp> {
        match self {
            Self::Old(at) | Self::Well(at) => Some(at),
            Self::Missing | Self::Unchecked(_) => None,
        }
    }
}

/// Whether something can have been made by a clock that was right.
pub(super) fn is_past(made: Timestamp, now: Timestamp) -> bool {
    made <= now.plus(BACK)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);
    const NOW: Timestamp = Timestamp(1_800_000_000);

    #[test]
    fn backups_of_the_future_and_those_never_found_whole_say_nothing() {
        let check = |made: &[(i64, bool)], every: Option<Duration>, expected: Standing| {
            let made: Vec<_> = made
                .iter()
                .map(|(days, whole)| Made {
                    file: PathBuf::new(),
                    at: Timestamp(NOW.0 + days * 86_400),
                    size: 1,
                    verified: whole.then_some(NOW),
                })
                .collect();
            assert_eq!(Standing::of(&made, every, NOW), expected, "{made:?}");
        };
        let ago = |days: i64| Timestamp(NOW.0 - days * 86_400);
        check(&[], Some(DAY), Standing::Missing);
        check(&[(7, true)], Some(DAY), Standing::Missing);
        check(&[(7, true), (-1, true)], Some(DAY), Standing::Well(ago(1)));
        check(&[(-1, false)], Some(DAY), Standing::Unchecked(ago(1)));
        check(&[(-1, false), (-3, true)], Some(DAY), Standing::Old(ago(3)));
        check(&[(-1, false), (-2, true)], Some(DAY), Standing::Well(ago(2)));
        check(&[(-300, true)], None, Standing::Well(ago(300)));
        check(&[(-300, true)], Some(Duration::MAX), Standing::Well(ago(300)));
    }
}
