//! What people read, in their language. The English sentence is the key: code and templates say it as it is, and a
//! catalogue (`de.toml`, `fr.toml`) has the same sentence in another language.
//!
//! A sentence may have places to fill, `{name}`, and forms for one and for many, parted by a bar:
//! `{n} person|{n} people`. A sentence that is not in a catalogue stays English; a test sees to it that none is missing.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;
use serde::Serialize;

mod moment;
mod retell;

/// A language that pages and mails can be read in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lang {
    #[default]
    En,
    De,
    Fr,
}

struct Catalogue {
    exact: HashMap<String, String>,
    patterns: retell::Patterns,
}

impl Catalogue {
    fn read(text: &str) -> Self {
        let exact: HashMap<String, String> = toml::from_str(text).expect("a test reads every catalogue");
        Self {
            patterns: retell::Patterns::of(exact.iter().map(|(from, to)| (from.as_str(), to.as_str()))),
            exact,
        }
    }
}

static GERMAN: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::read(include_str!("de.toml")));
static FRENCH: LazyLock<Catalogue> = LazyLock::new(|| Catalogue::read(include_str!("fr.toml")));

impl Lang {
    pub const ALL: [Self; 3] = [Self::En, Self::De, Self::Fr];

    /// The tag for it in HTML and HTTP (RFC 5646).
    pub fn code(self) -> &'static str {
        match self {
            Self::En => "en",
            Self::De => "de",
            Self::Fr => "fr",
        }
    }

    /// What those who speak it call it.
    pub fn own_name(self) -> &'static str {
        match self {
            Self::En => "English",
            Self::De => "Deutsch",
            Self::Fr => "Français",
        }
    }

    /// The language of a tag, whatever its region: `de-AT` is German.
    pub fn from_code(tag: &str) -> Option<Self> {
        let primary = tag.split('-').next().unwrap_or_default();
        Self::ALL
            .into_iter()
            .find(|lang| lang.code().eq_ignore_ascii_case(primary))
    }

    /// The first of ours that a browser asks for: `Accept-Language` (RFC 9110, section 12.5.4).
    pub fn preferred(accepted: &str) -> Option<Self> {
        let mut best: Option<(u32, Self)> = None;
        for range in accepted.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let Some(lang) = parts.next().and_then(Self::from_code) else {
                continue;
            };
            let quality = parts
                .find_map(|part| part.strip_prefix("q="))
                .map_or(1.0, |value| value.parse::<f32>().unwrap_or(0.0));
            // Thousandths, as the grammar has them: whole numbers compare without surprises.
            let quality = (quality.clamp(0.0, 1.0) * 1000.0) as u32;
            if quality > 0 && best.is_none_or(|(so_far, _)| quality > so_far) {
                best = Some((quality, lang));
            }
        }
        best.map(|(_, lang)| lang)
    }

    fn catalogue(self) -> Option<&'static Catalogue> {
        match self {
            Self::En => None,
            Self::De => Some(&GERMAN),
            Self::Fr => Some(&FRENCH),
        }
    }

    /// A sentence in this language, its places still to be filled. One that was filled before, such as that of an error
    /// that was kept, is known again by its pattern.
    pub fn say<'a>(self, sentence: &'a str) -> Cow<'a, str> {
        let Some(catalogue) = self.catalogue() else {
            return Cow::Borrowed(sentence);
        };
        if let Some(said) = catalogue.exact.get(sentence) {
            return Cow::Borrowed(said);
        }
        match catalogue.patterns.retell(sentence) {
            Some(said) => Cow::Owned(said),
            None => Cow::Borrowed(sentence),
        }
    }

    /// The form for a number of a sentence that has two, `{n}` filled with it.
    pub fn count(self, sentence: &str, number: u64) -> String {
        let said = self.say(sentence);
        let one = match self {
            Self::En | Self::De => number == 1,
            Self::Fr => number <= 1,
        };
        let form = match said.split_once('|') {
            Some((single, _)) if one => single,
            Some((_, plural)) => plural,
            None => &said,
        };
        form.replace("{n}", &number.to_string())
    }

    /// A sentence in this language with its places filled.
    pub fn fill(self, sentence: &str, values: &[(&str, &str)]) -> String {
        fill(&self.say(sentence), values)
    }

    /// Every sentence of its catalogue and what it becomes, for the tests that compare catalogues. English has none.
    pub fn sentences(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.catalogue()
            .into_iter()
            .flat_map(|catalogue| &catalogue.exact)
            .map(|(from, to)| (from.as_str(), to.as_str()))
    }
}

/// Fills places by name. A value is never looked through for places itself.
fn fill(sentence: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(sentence.len() + 32);
    let mut rest = sentence;
    while let Some((before, place, after)) = next_place(rest) {
        filled.push_str(before);
        match values.iter().find(|(name, _)| *name == place) {
            Some((_, value)) => filled.push_str(value),
            None => {
                filled.push('{');
                filled.push_str(place);
                filled.push('}');
            }
        }
        rest = after;
    }
    filled.push_str(rest);
    filled
}

/// What stands before the first place of a sentence, the place's name, and what stands after it.
pub fn next_place(sentence: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + sentence[from..].find('{')?;
        let close = open + sentence[open..].find('}')?;
        let name = &sentence[open + 1..close];
        if !name.is_empty()
            && name
                .bytes()
                .all(|byte| byte.is_ascii_lowercase() || byte == b'_' || byte.is_ascii_digit())
        {
            return Some((&sentence[..open], name, &sentence[close + 1..]));
        }
        from = open + 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_browsers_wish_is_met_by_quality_then_order() {
        let check = |header: &str, expected: Option<Lang>| assert_eq!(Lang::preferred(header), expected, "{header}");
        check("de", Some(Lang::De));
        check("de-AT, en;q=0.9", Some(Lang::De));
        check("en;q=0.5, fr-CH;q=0.9", Some(Lang::Fr));
        check("ja, fr;q=0.1", Some(Lang::Fr));
        check("de;q=0, en", Some(Lang::En));
        check("fr;q=nonsense", None);
        check("ja", None);
        check("", None);
        check("*", None);
    }

    #[test]
    fn places_are_filled_once_and_by_name() {
        let filled = Lang::En.fill("{a} and {b} and {missing} {not a place}", &[("a", "{b}"), ("b", "two")]);
        assert_eq!(filled, "{b} and two and {missing} {not a place}");
    }

    #[test]
    fn a_number_chooses_the_form() {
        assert_eq!(Lang::En.count("{n} person|{n} people", 1), "1 person");
        assert_eq!(Lang::En.count("{n} person|{n} people", 0), "0 people");
        // French counts nothing as one.
        let days = |number| Lang::Fr.count("{n} day|{n} days", number);
        assert_eq!([days(0), days(1), days(2)], ["0 jour", "1 jour", "2 jours"]);
    }

    fn places(sentence: &str) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        let mut rest = sentence;
        while let Some((_, name, after)) = next_place(rest) {
            names.insert(name.to_owned());
            rest = after;
        }
        names
    }

    #[test]
    fn every_catalogue_fills_the_same_places_in_as_many_forms() {
        for lang in Lang::ALL {
            for (from, to) in lang.sentences() {
                assert_eq!(places(from), places(to), "{lang:?}: {from}");
                let forms = |text: &str| text.matches('|').count();
                assert_eq!(forms(from), forms(to), "{lang:?}: {from}");
                assert!(!to.trim().is_empty(), "{lang:?}: {from}");
            }
        }
    }
}
