//! Sentences that were filled before they came here: errors, and what was kept of them. They are known again by their
//! pattern, and said in another language with the same values.

use crate::lang::fill;
use crate::lang::next_place;

pub(super) struct Patterns {
    /// Those with the most words of their own first: of two that fit, the one that says more is meant.
    all: Vec<Pattern>,
}

struct Pattern {
    /// What stands between the places: one more than there are places.
    literals: Vec<String>,
    places: Vec<String>,
    becomes: String,
}

impl Patterns {
    pub(super) fn of<'a>(sentences: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut all: Vec<_> = sentences
            .filter(|(from, _)| !from.contains('|'))
            .filter_map(|(from, to)| Pattern::of(from, to))
            .collect();
        all.sort_by(|a, b| b.weight().cmp(&a.weight()).then_with(|| a.literals.cmp(&b.literals)));
        Self { all }
    }

    /// The whole sentence, or one that is a known sentence followed by further ones.
    pub(super) fn retell(&self, sentence: &str) -> Option<String> {
        let pattern = self
            .all
            .iter()
            .find_map(|pattern| Some((pattern, pattern.read(sentence)?)));
        let (pattern, values) = pattern?;
        let values: Vec<_> = pattern.places.iter().map(String::as_str).zip(values).collect();
        Some(fill(&pattern.becomes, &values))
    }
}

impl Pattern {
    /// A pattern that is hardly more than its places would fit anything.
    const FEWEST_LETTERS: usize = 8;

    fn of(from: &str, to: &str) -> Option<Self> {
        let (mut literals, mut places, mut rest) = (Vec::new(), Vec::new(), from);
        while let Some((before, place, after)) = next_place(rest) {
            literals.push(before.to_owned());
            places.push(place.to_owned());
            rest = after;
        }
        literals.push(rest.to_owned());
        let pattern = Self {
            literals,
            places,
            becomes: to.to_owned(),
        };
        (!pattern.places.is_empty() && pattern.weight() >= Self::FEWEST_LETTERS).then_some(pattern)
    }

    fn weight(&self) -> usize {
        self.literals.iter().map(String::len).sum()
    }

    /// What stands at its places in `sentence`, if it is this one.
    fn read<'a>(&self, sentence: &'a str) -> Option<Vec<&'a str>> {
        let (first, others) = self.literals.split_first()?;
        let (last, middle) = others.split_last()?;
        let mut rest = sentence.strip_prefix(first.as_str())?;
        let mut values = Vec::with_capacity(self.places.len());
        for literal in middle {
            let at = rest.find(literal.as_str())?;
            values.push(&rest[..at]);
            rest = &rest[at + literal.len()..];
        }
        values.push(rest.strip_suffix(last.as_str())?);
        values.iter().all(|value| !value.is_empty()).then_some(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filled_sentence_is_known_again() {
        let patterns = Patterns::of(
            [
                (
                    "There is no server named {host}.",
                    "Es gibt keinen Server namens {host}.",
                ),
                (
                    "{host} does not answer (tried {addresses}).",
                    "{host} antwortet nicht (versucht: {addresses}).",
                ),
                ("{host} does not answer.", "{host} antwortet nicht."),
                ("{a} {b}", "{b} {a}"),
            ]
            .into_iter(),
        );
        let check = |sentence: &str, expected: Option<&str>| assert_eq!(patterns.retell(sentence).as_deref(), expected);
        check(
            "There is no server named b.example.",
            Some("Es gibt keinen Server namens b.example."),
        );
        check(
            "b.example does not answer (tried ::1).",
            Some("b.example antwortet nicht (versucht: ::1)."),
        );
        check("b.example does not answer.", Some("b.example antwortet nicht."));
        check("Something else", None);
        check("There is no server named .", None);
    }

    #[test]
    fn a_value_is_not_filled_again() {
        let patterns = Patterns::of([("It said {what} to {whom}.", "Es sagte {whom}: {what}.")].into_iter());
        assert_eq!(
            patterns.retell("It said {whom} to {what}.").as_deref(),
            Some("Es sagte {what}: {whom}.")
        );
    }
}
