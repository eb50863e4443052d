//! What is signed: header fields as they are combined, and the signature base of RFC 9421, section 2.5.

use std::convert::Infallible;

use sfv::Dictionary;
use sfv::InnerList;
use sfv::KeyRef;
use sfv::ListSerializer;
use sfv::Parser;
use sfv::visitor::DictionaryVisitor;
use sfv::visitor::EntryVisitor;
use sfv::visitor::Ignored;

use super::Request;
use super::SignatureError;
use super::missing;

/// Longest value of a header field that we take apart or sign, in bytes.
const FIELD_MAX: usize = 8 * 1024;

/// The value of a header field: its lines joined by `, `, without the white space around each.
///
/// # Errors
///
/// For a value that is too long, or holds anything but printable ASCII: then two readers might not see the same.
pub(crate) fn field(request: &Request<'_>, name: &str) -> Result<Option<String>, SignatureError> {
    let mut lines = Vec::new();
    let mut total = 0;
    for (_, value) in request.headers.iter().filter(|(other, _)| other == name) {
        total += value.len() + 2;
        let plain = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~'));
        match std::str::from_utf8(value) {
            Ok(text) if plain && total <= FIELD_MAX => lines.push(text.trim_matches([' ', '\t'])),
            _ => return Err(SignatureError::ComponentRefused(name.to_owned())),
        }
    }
    Ok((!lines.is_empty()).then(|| lines.join(", ")))
}

/// The value of a header field that a signature covers. A GET without a body needs no `Content-Length`, and Go's client
/// signs "0" without sending it; everywhere else what is signed must be there.
pub(super) fn covered_field(request: &Request<'_>, name: &str) -> Result<Option<String>, SignatureError> {
    let value = field(request, name)?;
    if value.is_none() && name == "content-length" && request.method == "GET" && request.body.is_empty() {
        return Ok(Some("0".to_owned()));
    }
    Ok(value)
}

/// A header field that is a dictionary.
///
/// # Errors
///
/// Beyond those of [`field`]: for text that is no dictionary, and for a key that stands twice, where parsers would
/// silently keep the last (T-16).
pub(super) fn dictionary(request: &Request<'_>, name: &'static str) -> Result<Option<Dictionary>, SignatureError> {
    let text = field(request, name).map_err(|_| SignatureError::HeaderUnreadable(name))?;
    text.map(|text| parse_dictionary(&text, name)).transpose()
}

pub(super) fn parse_dictionary(text: &str, name: &'static str) -> Result<Dictionary, SignatureError> {
    let unreadable = |_| SignatureError::HeaderUnreadable(name);
    let keys = Parser::new(text)
        .parse_dictionary_with_visitor(Keys::default())
        .map_err(unreadable)?;
    let members: Dictionary = Parser::new(text).parse().map_err(unreadable)?;
    if keys > members.len() {
        return Err(SignatureError::DuplicateLabel(name));
    }
    Ok(members)
}

/// Counts the keys of a dictionary, each time they stand there.
#[derive(Default)]
struct Keys(usize);

impl<'de> DictionaryVisitor<'de> for Keys {
    type Out = usize;
    type Error = Infallible;

    fn entry(&mut self, _: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        self.0 += 1;
        Ok(Ignored)
    }

    fn finish(self) -> Result<usize, Infallible> {
        Ok(self.0)
    }
}

/// The text that is signed. Parameters stay in the order received.
///
/// # Errors
///
/// For a covered component that is not there or not known; method and target are always there.
pub(super) fn signature_base(request: &Request<'_>, input: &InnerList) -> Result<String, SignatureError> {
    let mut base = String::new();
    for component in &input.items {
        let name = super::name_of(component).ok_or(SignatureError::HeaderUnreadable("signature-input"))?;
        let value = match name.strip_prefix('@') {
            Some(derived) => {
                derive(request, derived).ok_or_else(|| SignatureError::ComponentRefused(name.to_owned()))?
            }
            None if name.bytes().any(|byte| byte.is_ascii_uppercase()) => {
                return Err(SignatureError::ComponentRefused(name.to_owned()));
            }
            None => covered_field(request, name)?.ok_or_else(|| missing(name))?,
        };
        base.push_str(&format!("\"{name}\": {value}\n"));
    }
    base.push_str("\"@signature-params\": ");
    base.push_str(&inner_list(input));
    Ok(base)
}

/// An inner list with its parameters, as RFC 9651 writes it.
pub(super) fn inner_list(input: &InnerList) -> String {
    let mut text = String::new();
    let mut list = ListSerializer::with_buffer(&mut text);
    let mut members = list.inner_list();
    members.items(&input.items);
    members.finish().parameters(&input.params);
    text
}

/// A component derived from the request itself; its name without the `@`.
fn derive(request: &Request<'_>, name: &str) -> Option<String> {
    match name {
        "method" => return Some(request.method.to_owned()),
        "target-uri" => return Some(request.target_uri.to_owned()),
        _ => {}
    }
    let (scheme, rest) = request.target_uri.split_once("://")?;
    let (authority, path_and_query) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
    let (path, query) = path_and_query.split_at(path_and_query.find('?').unwrap_or(path_and_query.len()));
    let path = if path.is_empty() { "/" } else { path };
    Some(match name {
        "scheme" => scheme.to_ascii_lowercase(),
        "authority" => authority.to_ascii_lowercase(),
        "path" => path.to_owned(),
        "query" if query.is_empty() => "?".to_owned(),
        "query" => query.to_owned(),
        "request-target" => format!("{path}{query}"),
        _ => return None,
    })
}
