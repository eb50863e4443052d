//! How pages look and what they point to.

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;

use crate::lang::Lang;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Ui {
    /// For whoever chose none and whose browser asks for none of ours.
    #[serde(deserialize_with = "language")]
    pub language: Option<Lang>,
    /// Where people of this server find help: a page or `mailto:`.
    pub support: Link,
    pub imprint_url: Link,
    pub privacy_url: Link,
}

/// An address that a page may point to: `https:`, `http:` or `mailto:`, or empty for none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Link(String);

impl Link {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn is_none(&self) -> bool {
        self.0.is_empty()
    }
}

impl<'de> Deserialize<'de> for Link {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let known = ["https://", "http://", "mailto:"]
            .iter()
            .any(|scheme| text.starts_with(scheme));
        if !text.is_empty() && !known {
            return Err(D::Error::custom("an address begins with https://, http:// or mailto:"));
        }
        Ok(Self(text))
    }
}

fn language<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Lang>, D::Error> {
    let text = String::deserialize(deserializer)?;
    match text.as_str() {
        "auto" => Ok(None),
        code => Lang::ALL
            .into_iter()
            .find(|lang| lang.code() == code)
            .map(Some)
            .ok_or_else(|| D::Error::custom("a language is one of: auto, en, de, fr")),
    }
}
