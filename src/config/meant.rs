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
        .filter(|(wrong, word)| *wrong <= TYPOS && *wrong * 2 < word.len().max(2))
        .min()
        .map(|(_, word)| word)
}

/// How many letters have to be added, removed or replaced to get from one word to another.
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<_> = to.chars().collect();
    let mut row: Vec<_> = (0..=to.len()).collect();
    for (above, letter) in from.chars().enumerate() {
        let mut corner = row[0];
        row[0] = above + 1;
        for (at, other) in to.iter().enumerate() {
            let replaced = corner + usize::from(letter != *other);
            corner = row[at + 1];
            row[at + 1] = replaced.min(row[at] + 1).min(corner + 1);
        }
    }
    row[to.len()]
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
        check("", None);
        assert_eq!(
            with_hint("invalid type: integer `7`, expected a string"),
            "invalid type: integer `7`, expected a string"
        );
    }
}
