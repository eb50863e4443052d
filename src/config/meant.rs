//! What somebody may have meant who misspelt a setting or a value.

/// How many letters may be wrong, left out or too many.
const TYPOS: usize = 3;

/// A complaint of the parser, with the nearest of the words that it lists, if one is near.
pub fn with_hint(complaint: &str) -> String {
    match nearest(complaint) {
        Some(word) => format!("{complaint}. Did you mean {word}?"),
        None => complaint.to_owned(),
    }
}

fn nearest(complaint: &str) -> Option<&str> {
    if !complaint.starts_with("unknown") {
        return None;
    }
    let mut words = complaint.split('`').skip(1).step_by(2);
    let said = words.next()?;
    words
        .map(|word| (distance(said, word), word))
        .filter(|(wrong, word)| *wrong <= TYPOS && *wrong * 2 <= word.len())
        .min()
        .map(|(_, word)| word)
}

/// How many letters have to be added, removed, replaced or swapped with the next to get from one word to another.
fn distance(from: &str, to: &str) -> usize {
    let (from, to): (Vec<_>, Vec<_>) = (from.chars().collect(), to.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=to.len()).collect()];
    for (above, letter) in from.iter().enumerate() {
        let mut row = vec![above + 1];
        for (at, other) in to.iter().enumerate() {
            let replaced = rows[above][at] + usize::from(letter != other);
            let mut least = replaced.min(row[at] + 1).min(rows[above][at + 1] + 1);
            if above > 0 && at > 0 && *letter == to[at - 1] && from[above - 1] == *other {
                least = least.min(rows[above - 1][at - 1] + 1);
            }
            row.push(least);
        }
        rows.push(row);
    }
    rows[from.len()][to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_word_of_its_own_is_not() {
        let check = |said: &str, expected: Option<&str>| {
            let complaint = format!("unknown variant `{said}`, expected one of `invite`, `allowlist`, `open`");
            assert_eq!(nearest(&complaint), expected, "{said}");
        };
        check("invites", Some("invite"));
        check("allow-list", Some("allowlist"));
        check("opne", Some("open"));
        check("closed", None);
        assert_eq!(
            nearest("unknown field `tsl`, expected one of `server`, `tls`"),
            Some("tls")
        );
        check("", None);
        assert_eq!(
            with_hint("invalid type: integer `7`, expected a string"),
            "invalid type: integer `7`, expected a string"
        );
    }
}
