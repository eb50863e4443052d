//! What a kind of record must say of itself, and how it is written down: one byte of version, then JSON.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Key;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// The longest value: seventeen of them share a page of the engine, and a page over 128 KiB would go to a file of its
/// own that is never synced.
pub const MAX_VALUE: usize = 6 * 1024;
/// The longest name of a record or of an entry in an index, all components together.
pub const MAX_KEY: usize = 1024;

/// A kind of thing that is kept. What takes more than [`MAX_VALUE`] bytes of JSON is split, or is a file.
pub trait Record: Serialize + DeserializeOwned {
    /// First component of every key: lower case letters, digits, `-` and `_`; never used again for something else.
    const KIND: &'static str;

    /// Format of the JSON. Raise it when older records need [`Record::from_stored`] to be read, and when
    /// [`Record::index`] changes (the entries of records written before stay as they are until these are put again).
    const VERSION: u8 = 1;

    fn key(&self) -> Key;

    /// Further names to be found by, kept up to date by every put and delete.
    fn index(&self) -> Vec<Index> {
        Vec::new()
    }

    /// Reads what this or an earlier version wrote.
    ///
    /// # Errors
    ///
    /// As [`serde_json`] has it, if the JSON is not a record of that version.
    fn from_stored(_version: u8, json: &[u8]) -> serde_json::Result<Self> {
        serde_json::from_slice(json)
    }
}

/// One more name under which a record is found, see [`super::Txn::find`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub(super) name: &'static str,
    pub(super) value: Key,
    pub(super) unique: bool,
}

impl Index {
    pub fn new(name: &'static str, value: impl Into<Key>) -> Self {
        Self {
            name,
            value: value.into(),
            unique: false,
        }
    }

    /// A value that only one record may have: putting a second one fails with [`Reason::AlreadyExists`].
    pub fn unique(name: &'static str, value: impl Into<Key>) -> Self {
        Self {
            unique: true,
            ..Self::new(name, value)
        }
    }
}

/// Where a record stands in the store.
pub(super) fn address<R: Record>(key: &Key) -> String {
    const {
        assert!(
            is_kind(R::KIND),
            "a record's KIND is a word, neither `index` nor `meta`"
        )
    };
    format!("{}/{}", R::KIND, key.as_str())
}

/// Where an index's entries for a value stand. The doubled slash ends the value, so that no value together with a key
/// reads as a longer value: components are never empty.
pub(super) fn index_address<R: Record>(index: &Index, key: &Key) -> String {
    format!("{}{}", index_values::<R>(index.name, &index.value, "//"), key.as_str())
}

pub(super) fn index_values<R: Record>(name: &str, value: &Key, end: &str) -> String {
    format!("index/{}/{name}/{}{end}", R::KIND, value.as_str())
}

pub(super) fn encode<R: Record>(record: &R) -> Result<Vec<u8>> {
    let mut bytes = vec![R::VERSION];
    serde_json::to_writer(&mut bytes, record).map_err(Error::internal)?;
    if bytes.len() > MAX_VALUE {
        let message = format!(
            "This is too long to be kept as one {}: {} bytes, and {MAX_VALUE} are possible.",
            R::KIND,
            bytes.len()
        );
        return Err(Error::new(Reason::TooLarge, message));
    }
    Ok(bytes)
}

/// The error never quotes the record: it may hold a secret, and errors go to the log.
pub(super) fn decode<R: Record>(bytes: &[u8]) -> Result<R> {
    let (version, json) = match bytes {
        [version, json @ ..] => (*version, json),
        [] => (0, bytes),
    };
    if version > R::VERSION {
        let message = format!(
            "A record ({}) was written in format {version}; this ocmesh reads up to format {}.",
            R::KIND,
            R::VERSION
        );
        return Err(Error::new(Reason::DataNewer, message));
    }
    R::from_stored(version, json).map_err(|wrong| {
        let cause = format!("{}: {:?} at column {}", R::KIND, wrong.classify(), wrong.column());
        Error::new(Reason::DataDamaged, "A record of this server can't be read.").caused_by(cause)
    })
}

const fn is_kind(kind: &str) -> bool {
    let bytes = kind.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if !matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') {
            return false;
        }
        at += 1;
    }
    !matches!(bytes, b"" | b"index" | b"meta")
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Note {
        text: String,
        #[serde(default)]
        starred: bool,
    }

    impl Record for Note {
        const KIND: &'static str = "note";
        const VERSION: u8 = 2;

        fn key(&self) -> Key {
            Key::from(&self.text)
        }

        fn from_stored(version: u8, json: &[u8]) -> serde_json::Result<Self> {
            if version < 2 {
                return serde_json::from_slice(json).map(|text| Self { text, starred: false });
            }
            serde_json::from_slice(json)
        }
    }

    #[test]
    fn a_record_reads_what_an_earlier_version_wrote() {
        let note = Note {
            text: "milk".into(),
            starred: false,
        };
        assert_eq!(decode::<Note>(b"\x01\"milk\"").unwrap(), note);
        assert_eq!(decode::<Note>(&encode(&note).unwrap()).unwrap(), note);
    }

    #[test]
    fn t87_a_record_of_a_later_version_is_not_guessed_at() {
        let refused = decode::<Note>(b"\x03{\"text\":\"milk\"}").unwrap_err();
        assert_eq!(refused.reason(), Reason::DataNewer);
        assert!(refused.message().contains("format 3") && refused.message().contains("format 2"));
    }

    #[test]
    fn a_record_that_cannot_be_read_is_never_quoted() {
        for stored in [&b""[..], b"\x02", b"\x02{\"text\":[\"canary\"]}", b"\x02\"canary\""] {
            let refused = decode::<Note>(stored).unwrap_err();
            assert_eq!(refused.reason(), Reason::DataDamaged);
            assert!(!format!("{refused} {}", refused.causes()).contains("canary"));
        }
    }

    #[test]
    fn a_kind_is_one_plain_word_that_is_not_ours() {
        for (kind, good) in [
            ("share", true),
            ("a-1_b", true),
            ("", false),
            ("index", false),
            ("meta", false),
        ] {
            assert_eq!(is_kind(kind), good, "{kind}");
        }
        assert!(!is_kind("a/b") && !is_kind("Share"));
    }
}
