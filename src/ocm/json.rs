//! JSON from strangers: read once, with every key unique, no deeper than the protocol goes, and text that is only text.

use std::fmt;

use serde::de::DeserializeSeed;
use serde::de::Deserializer;
use serde::de::Error;
use serde::de::MapAccess;
use serde::de::SeqAccess;
use serde::de::Visitor;
use serde_json::Map;
use serde_json::Number;
use serde_json::Value;

use crate::ocm::Invalid;

/// How deep a message of the protocol may be nested (T-27).
pub(crate) const DEPTH_MAX: usize = 16;

/// Reads one JSON object.
///
/// # Errors
///
/// For anything else, for a key that stands twice in one object (parsers disagree on which one counts, T-28), and for
/// nesting beyond [`DEPTH_MAX`] (T-27).
pub(crate) fn object(bytes: &[u8]) -> Result<Map<String, Value>, Invalid> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = Unique { depth: DEPTH_MAX }
        .deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| Invalid::new("body", format!("This is not the JSON we can read: {error}.")))?;
    match value {
        Value::Object(object) => Ok(object),
        _ => Err(Invalid::new("body", "This is not a JSON object.")),
    }
}

/// The text of a field, at most `max` bytes long; `null` and absence are the same.
///
/// # Errors
///
/// For another type, for text that is too long, and for control characters (T-28).
pub(crate) fn text(object: &Map<String, Value>, field: &str, max: usize) -> Result<Option<String>, Invalid> {
    match object.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => plain(field, text, max).map(Some),
        Some(_) => Err(Invalid::new(field, "This must be a text.")),
    }
}

/// The text of a field that must be there and say something.
pub(crate) fn required_text(object: &Map<String, Value>, field: &str, max: usize) -> Result<String, Invalid> {
    match text(object, field, max)? {
        Some(text) if !text.is_empty() => Ok(text),
        _ => Err(Invalid::required(field)),
    }
}

/// An id that may come as a text or, from older servers, as a number.
pub(crate) fn id(object: &Map<String, Value>, field: &str, max: usize) -> Result<Option<String>, Invalid> {
    match object.get(field) {
        Some(Value::Number(number)) if number.is_u64() || number.is_i64() => Ok(Some(number.to_string())),
        _ => Ok(text(object, field, max)?.filter(|text| !text.is_empty())),
    }
}

/// `text` again, if it is no longer than `max` bytes and free of control characters.
pub(crate) fn plain(field: &str, text: &str, max: usize) -> Result<String, Invalid> {
    if text.len() > max {
        return Err(Invalid::new(field, format!("This is longer than {max} bytes.")));
    }
    if text.chars().any(char::is_control) {
        return Err(Invalid::new(field, "This contains control characters."));
    }
    Ok(text.to_owned())
}

/// Builds a [`Value`], refusing what `serde_json` alone would let pass.
#[derive(Clone, Copy)]
struct Unique {
    depth: usize,
}

impl Unique {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        match self.depth.checked_sub(1) {
            Some(depth) => Ok(Self { depth }),
            None => Err(E::custom("it is nested too deeply")),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Unique {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(deeper)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let deeper = self.deeper()?;
        let mut map = Map::new();
        while let Some(key) = members.next_key::<String>()? {
            let value = members.next_value_seed(deeper)?;
            if map.insert(key, value).is_some() {
                return Err(A::Error::custom("a key stands twice in one object"));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn t28_a_key_cannot_stand_twice() {
        for text in [r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"{"x":[{"a":1,"a":2}]}"#] {
            assert!(object(text.as_bytes()).is_err(), "{text}");
        }
        let read = object(r#"{"a":{"a":[1,-1,1.5,null,true,"a"]},"b":{}}"#.as_bytes()).unwrap();
        assert_eq!(Value::Object(read), json!({"a":{"a":[1,-1,1.5,null,true,"a"]},"b":{}}));
    }

    #[test]
    fn t27_nesting_has_an_end() {
        let nested = |depth: usize| format!("{{\"a\":{}1{}}}", "[".repeat(depth), "]".repeat(depth));
        assert!(object(nested(DEPTH_MAX - 1).as_bytes()).is_ok());
        assert!(object(nested(DEPTH_MAX).as_bytes()).is_err());
        assert!(object("[".repeat(100_000).as_bytes()).is_err());
        assert!(object("{\"a\":".repeat(100_000).as_bytes()).is_err());
    }

    #[test]
    fn only_one_object_and_nothing_around_it_is_read() {
        for text in [
            "",
            "null",
            "[]",
            "1",
            "{} {}",
            "{}x",
            "\u{feff}{}",
            "{'a':1}",
            "{\"a\":\"\\ud800\"}",
        ] {
            assert!(object(text.as_bytes()).is_err(), "{text:?}");
        }
        assert!(object(b"{\"a\":\"\xff\"}").is_err());
        assert!(object(b" {} \n").is_ok());
    }

    #[test]
    fn t28_text_is_short_and_has_no_controls() {
        let body = json!({"a":"ok","n":null,"c":"a\u{0}b","l":"abcdef","i":7,"e":""});
        let body = body.as_object().unwrap();
        assert_eq!(text(body, "a", 5), Ok(Some("ok".to_owned())));
        assert_eq!(text(body, "n", 5), Ok(None));
        assert_eq!(text(body, "missing", 5), Ok(None));
        for field in ["c", "l", "i"] {
            assert_eq!(text(body, field, 5).unwrap_err().field(), field);
        }
        assert!(required_text(body, "e", 5).unwrap_err().missing());
        assert_eq!(id(body, "i", 5), Ok(Some("7".to_owned())));
        assert_eq!(id(body, "e", 5), Ok(None));
    }
}
