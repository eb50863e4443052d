//! Names of records: components joined so that no two lists of components ever give the same name.

use std::fmt::Write;

use crate::clock::Timestamp;

/// What a record, or a value in an index, is called: one or more components.
///
/// Components are escaped, so they may hold anything, also what a stranger sent. Numbers and times have a fixed width:
/// their order as names is their order as numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(String);

impl Key {
    /// Every record of a kind, every value of an index.
    pub const ALL: Self = Self(String::new());

    pub fn of<C: AsRef<str>>(components: impl IntoIterator<Item = C>) -> Self {
        components
            .into_iter()
            .fold(Self::ALL, |key, component| key.and(component.as_ref()))
    }

    /// Sorts by time, also before 1970.
    pub fn time(moment: Timestamp) -> Self {
        let seconds = moment.0;
        Self(if seconds >= 0 {
            format!("{seconds:020}")
        } else {
            // '-' sorts before all digits, and the distance from the beginning of time grows as time does.
            format!("-{:019}", seconds.abs_diff(i64::MIN))
        })
    }

    pub fn number(number: u64) -> Self {
        Self(format!("{number:020}"))
    }

    /// This key with the components of another behind its own.
    #[must_use]
    pub fn and(mut self, more: impl Into<Key>) -> Self {
        let more = more.into();
        if !self.0.is_empty() && !more.0.is_empty() {
            self.0.push('/');
        }
        self.0.push_str(&more.0);
        self
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// One component.
impl From<&str> for Key {
    fn from(component: &str) -> Self {
        // An empty component needs a name too, or ["a", ""] and ["a"] would be one.
        if component.is_empty() {
            return Self("%_".to_owned());
        }
        let mut escaped = String::with_capacity(component.len());
        for character in component.chars() {
            if matches!(character, '/' | '%') || character.is_ascii_control() {
                // Writing into a String can't fail.
                let _ = write!(escaped, "%{:02X}", u32::from(character));
            } else {
                escaped.push(character);
            }
        }
        Self(escaped)
    }
}

impl From<&String> for Key {
    fn from(component: &String) -> Self {
        component.as_str().into()
    }
}

impl From<String> for Key {
    fn from(component: String) -> Self {
        component.as_str().into()
    }
}

impl<C: AsRef<str>, const N: usize> From<[C; N]> for Key {
    fn from(components: [C; N]) -> Self {
        Self::of(components)
    }
}

impl From<Timestamp> for Key {
    fn from(moment: Timestamp) -> Self {
        Self::time(moment)
    }
}

impl From<u64> for Key {
    fn from(number: u64) -> Self {
        Self::number(number)
    }
}

impl From<&Key> for Key {
    fn from(key: &Key) -> Self {
        key.clone()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::any;
    use proptest::prop_assert_eq;
    use proptest::proptest;

    use super::*;

    #[test]
    fn a_component_can_never_end_early() {
        let check = |components: &[&str], expected: &str| assert_eq!(Key::of(components).as_str(), expected);
        check(&["alice", "share"], "alice/share");
        check(&["alice/share"], "alice%2Fshare");
        check(&["alice%2Fshare"], "alice%252Fshare");
        check(&["", "x"], "%_/x");
        check(&["%_"], "%25_");
        check(&["a\0b\n\u{7f}"], "a%00b%0A%7F");
        check(&["Zoë"], "Zoë");
        check(&[], "");
    }

    proptest! {
        #[test]
        fn two_lists_of_components_never_share_a_name(
            one in vec("[a/%_\\x00-]{0,3}", 0..4),
            other in vec("[a/%_\\x00-]{0,3}", 0..4),
        ) {
            prop_assert_eq!(Key::of(&one) == Key::of(&other), one == other);
        }

        #[test]
        fn times_and_numbers_sort_as_themselves(a in any::<i64>(), b in any::<i64>(), c in any::<u64>(), d in any::<u64>()) {
            prop_assert_eq!(Key::time(Timestamp(a)).cmp(&Key::time(Timestamp(b))), a.cmp(&b));
            prop_assert_eq!(Key::number(c).cmp(&Key::number(d)), c.cmp(&d));
        }
    }

    #[test]
    fn times_are_twenty_characters_wide() {
        for seconds in [i64::MIN, -1, 0, 1_785_060_500, i64::MAX] {
            assert_eq!(Key::time(Timestamp(seconds)).as_str().len(), 20);
        }
    }
}
