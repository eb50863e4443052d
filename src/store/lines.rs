//! One record as one line of JSON, and back: what a backup holds, whatever engine it came from.

use serde::Deserialize;
use serde_json::Value;

use super::txn::Entry;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// A record, an entry of an index, or a fact about the whole store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    pub kind: String,
    /// One object of JSON; no line break in it, nor behind it.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Read {
    kind: String,
    key: String,
    /// Of the record's format; none for what is mere text.
    version: Option<u8>,
    value: Value,
}

impl Line {
    pub(super) fn of((name, bytes): &Entry) -> Result<Self> {
        let (kind, key) = name.split_once('/').ok_or_else(|| unreadable(name, "it has no kind"))?;
        let value = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).map_err(|_| unreadable(kind, "it is not text"));
        let quoted = |text: &str| serde_json::to_string(text).map_err(Error::internal);
        let (key, name) = (quoted(key)?, quoted(kind)?);
        let text = if is_text(kind) {
            let value = quoted(&value(bytes)?)?;
            format!("{{\"kind\":{name},\"key\":{key},\"value\":{value}}}")
        } else {
            let (version, json) = bytes.split_first().ok_or_else(|| unreadable(kind, "it is empty"))?;
            let value = value(json)?;
            format!("{{\"kind\":{name},\"key\":{key},\"version\":{version},\"value\":{value}}}")
        };
        Ok(Self {
            kind: kind.to_owned(),
            text,
        })
    }

    /// The kind that a line is of, if it is a line.
    ///
    /// # Errors
    ///
    /// [`Reason::DataDamaged`]; the line is not quoted, for it may hold a secret.
    pub fn kind_of(text: &str) -> Result<String> {
        entry(text).map(|(name, _)| name.split('/').next().unwrap_or_default().to_owned())
    }
}

/// What a line says, as it is kept.
pub(super) fn entry(text: &str) -> Result<Entry> {
    let Read {
        kind,
        key,
        version,
        value,
    } = serde_json::from_str(text).map_err(|wrong| {
        let place = format!("{:?} at column {}", wrong.classify(), wrong.column());
        Error::new(Reason::DataDamaged, "A line is no record.").caused_by(place)
    })?;
    let bytes = match (version, value) {
        (None, Value::String(text)) if is_text(&kind) => text.into_bytes(),
        (Some(version), value) if !is_text(&kind) => {
            let mut bytes = vec![version];
            serde_json::to_writer(&mut bytes, &value).map_err(Error::internal)?;
            bytes
        }
        _ => return Err(unreadable(&kind, "its value is of the wrong sort")),
    };
    Ok((format!("{kind}/{key}"), bytes))
}

/// Whether what is under this name is text in place of a record.
fn is_text(kind: &str) -> bool {
    matches!(kind, "index" | "meta")
}

fn unreadable(kind: &str, why: &str) -> Error {
    Error::new(Reason::DataDamaged, "A record of this server can't be read.").caused_by(format!("{kind}: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_comes_back_from_its_line() {
        let check = |name: &str, bytes: &[u8]| {
            let kept = (name.to_owned(), bytes.to_vec());
            let line = Line::of(&kept).unwrap();
            assert_eq!(entry(&line.text).unwrap(), kept, "{}", line.text);
            assert_eq!(Line::kind_of(&line.text).unwrap(), line.kind);
            assert!(!line.text.contains('\n'));
        };
        check("user/ada", b"\x01{\"name\":\"Ada \\n \\\"x\\\"\"}");
        check("note/a%2Fb/00001", b"\x02[1,18446744073709551615,-3,null,\"\xc3\xab\"]");
        check("index/user/admin/yes//ada", b"ada");
        check("meta/changes", b"12");
    }

    #[test]
    fn what_is_no_record_is_refused_and_never_quoted() {
        for text in [
            "",
            "{}",
            "canary",
            r#"{"kind":"user","key":"ada","value":"canary"}"#,
            r#"{"kind":"meta","key":"schema","version":1,"value":"canary"}"#,
            r#"{"kind":"user","key":"ada","version":1,"value":{"x":"canary"}"#,
            r#"{"kind":"user","key":"ada","version":1,"value":1,"more":"canary"}"#,
        ] {
            let refused = entry(text).unwrap_err();
            assert_eq!(refused.reason(), Reason::DataDamaged, "{text}");
            assert!(!format!("{refused} {}", refused.causes()).contains("canary"), "{text}");
        }
        for (name, bytes) in [("user", &b"\x01{}"[..]), ("user/a", b""), ("user/a", b"\x01\xff")] {
            assert!(Line::of(&(name.to_owned(), bytes.to_vec())).is_err());
        }
    }
}
