//! The header `Signature: keyId="...",algorithm="...",headers="...",signature="..."`, taken apart.

use crate::clock::Timestamp;
use crate::ocm::signature::Request;
use crate::ocm::signature::SignatureError;

/// Longest header, in bytes; one with a 4096-bit key has about 900.
const HEADER_MAX: usize = 4 * 1024;
/// Most parameters; six have a meaning.
const COUNT_MAX: usize = 16;

const UNREADABLE: SignatureError = SignatureError::HeaderUnreadable("signature");

/// The parameters by their names in lower case, each once. Any order, white space between them, and unknown ones are
/// fine; Nextcloud itself is stricter.
pub(super) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// `None` where the request has no signature of this form.
    ///
    /// # Errors
    ///
    /// For a header that says it is of this form and isn't, is too long, stands there twice, or holds anything but
    /// printable ASCII.
    pub(super) fn find(request: &Request<'_>) -> Result<Option<Self>, SignatureError> {
        if request.headers.iter().any(|(name, _)| name == "signature-input") {
            return Ok(None);
        }
        let lines = || request.headers.iter().filter(|(name, _)| name == "signature");
        let Some((_, line)) = lines().find(|(_, line)| names_key(line)) else {
            return Ok(None);
        };
        if lines().count() > 1 {
            return Err(SignatureError::DuplicateLabel("signature"));
        }
        match std::str::from_utf8(line) {
            Ok(text) if text.len() <= HEADER_MAX && text.bytes().all(|byte| matches!(byte, b' '..=b'~')) => {
                Self::parse(text).map(Some)
            }
            _ => Err(UNREADABLE),
        }
    }

    fn parse(text: &str) -> Result<Self, SignatureError> {
        let mut found: Vec<(String, String)> = Vec::new();
        let mut rest = text.trim();
        loop {
            let (name, after) = rest.split_once('=').ok_or(UNREADABLE)?;
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').ok_or(UNREADABLE)?,
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            // No value here has anything to escape, so that no two readers can differ about it.
            let plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !plain || value.contains('\\') || found.len() == COUNT_MAX {
                return Err(UNREADABLE);
            }
            let name = name.to_ascii_lowercase();
            if found.iter().any(|(other, _)| *other == name) {
                return Err(SignatureError::DuplicateLabel("signature"));
            }
            found.push((name, value.trim().to_owned()));
            match after.trim_start() {
                "" => return Ok(Self(found)),
                more => rest = more.strip_prefix(',').ok_or(UNREADABLE)?.trim_start(),
            }
        }
    }

    pub(super) fn text(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// A moment in whole seconds.
    pub(super) fn seconds(&self, name: &'static str) -> Result<Option<Timestamp>, SignatureError> {
        let plain = |text: &&str| text.len() <= 15 && text.bytes().all(|byte| byte.is_ascii_digit());
        match self.text(name) {
            None => Ok(None),
            Some(text) => match Some(text).filter(plain).and_then(|text| text.parse().ok()) {
                Some(seconds) => Ok(Some(Timestamp(seconds))),
                None => Err(SignatureError::ParameterInvalid(name)),
            },
        }
    }
}

/// What tells this form from a dictionary of RFC 9421, whose members are byte sequences.
fn names_key(line: &[u8]) -> bool {
    let name = b"keyid=";
    line.windows(name.len()).any(|window| window.eq_ignore_ascii_case(name))
}
