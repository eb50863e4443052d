//! Finding an invitation in whatever somebody pasted.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::GeneralPurpose;
use base64::engine::GeneralPurposeConfig;
use url::form_urlencoded;

use super::InviteString;
use super::InviteToken;
use crate::ocm::Invalid;
use crate::ocm::address::Provider;

/// Longest text that is looked through, in bytes: a mail with its headers.
const TEXT_MAX: usize = 256 * 1024;
/// Over how many lines base64 may be wrapped.
const WRAPPED_LINES_MAX: usize = 16;
/// In running text, a shorter name before an `@` is taken for that of a person.
const PLAIN_TOKEN_MIN: usize = 16;

/// Old ways to write base64 leave bits set that have no meaning, and padding is missing as often as not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_allow_trailing_bits(true)
        .with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// Tries the most telling forms first: a link, then base64, and `token@server` last, which looks like a mail address.
pub(super) fn find(text: &str) -> Result<InviteString, Invalid> {
    if text.len() > TEXT_MAX {
        return Err(Invalid::new("invitation", "This text is too long."));
    }
    let text = unfold(text);
    links(&text)
        .iter()
        .find_map(|link| read_link(link))
        .or_else(|| find_base64(&text))
        .map_or_else(|| find_plain(&text), Ok)
}

/// The text without what mail adds to it: quote marks at the start of lines, and the soft breaks and escapes of
/// quoted-printable.
fn unfold(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.trim_start_matches(['>', '|', ' ', '\t']).trim_end());
    let text = lines.collect::<Vec<_>>().join("\n");
    let encoded = text.contains("=3D") || text.contains("=3d") || text.contains("=40");
    let soft = text
        .split('\n')
        .any(|line| line.len() > 60 && line.ends_with('=') && !line.ends_with("=="));
    if !encoded && !soft {
        return text.replace("&amp;", "&");
    }
    text.replace("=\n", "")
        .replace("=3D", "=")
        .replace("=3d", "=")
        .replace("=40", "@")
        .replace("&amp;", "&")
}

/// Every link in the text, together with what a mail program may have wrapped onto the next line.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    for scheme in ["ocm-invite:", "https://", "http://"] {
        for (at, _) in text.match_indices(scheme) {
            // Between angle brackets white space means nothing (RFC 3986, appendix C).
            if text[..at].ends_with('<')
                && let Some(end) = text[at..].find('>')
            {
                links.push(text[at..at + end].split_whitespace().collect());
                continue;
            }
            let rest = &text[at..];
            let end = rest.find(ends_link).unwrap_or(rest.len());
            let mut link = rest[..end].to_owned();
            if let Some(wrapped) = rest[end..].strip_prefix('\n').and_then(|next| next.lines().next())
                && wrapped.contains(['=', '&', '%'])
                && !wrapped.contains(ends_link)
                && !wrapped.contains("://")
            {
                link.push_str(wrapped);
            }
            links.push(link.trim_end_matches(ends_sentence).to_owned());
        }
    }
    links
}

fn ends_link(c: char) -> bool {
    c.is_whitespace() || matches!(c, '<' | '>' | '"' | '\'' | '`' | '|' | '\\' | '(' | ')')
}

fn ends_sentence(c: char) -> bool {
    matches!(
        c,
        '.' | ',' | ';' | ':' | '!' | '?' | ')' | ']' | '}' | '*' | '_' | '“' | '”' | '»' | '…'
    )
}

/// A link names the token, and the server unless that is the one it leads to.
fn read_link(link: &str) -> Option<InviteString> {
    let parameter = |names: &[&str]| {
        link.split(['?', '&', '#', ';'])
            .skip(1)
            .flat_map(|pair| form_urlencoded::parse(pair.as_bytes()))
            .find(|(name, value)| names.iter().any(|known| name.eq_ignore_ascii_case(known)) && !value.is_empty())
            .map(|(_, value)| value.into_owned())
    };
    let (scheme, rest) = link.split_once(':')?;
    let rest = rest.trim_start_matches('/');
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some(token) = parameter(&["token"]) else {
        return match scheme {
            "ocm-invite" => decode(rest).or_else(|| plain(rest)),
            _ => None,
        };
    };
    match parameter(&["providerDomain", "provider", "provider_domain"]) {
        Some(provider) => invitation(&token, &provider),
        // There are pages that take the whole invitation as their token.
        None => decode(&token).or_else(|| invitation(&token, authority)),
    }
}

/// Base64 may be the whole text, one word of it, or several lines of it.
fn find_base64(text: &str) -> Option<InviteString> {
    let whole: String = text.split_whitespace().collect();
    if let Some(found) = decode(&whole) {
        return Some(found);
    }
    let lines: Vec<&str> = text.lines().collect();
    for (at, line) in lines.iter().enumerate() {
        for word in line.split(|c: char| c.is_whitespace() || c == ':').map(bare) {
            let wrapped = if line.trim_end().ends_with(word) {
                &lines[at + 1..]
            } else {
                &[]
            };
            if let Some(found) = decode_wrapped(word, wrapped) {
                return Some(found);
            }
        }
    }
    None
}

/// A word and as many of the next lines as still make sense: the beginning alone may name another server.
fn decode_wrapped(word: &str, next: &[&str]) -> Option<InviteString> {
    if word.len() < 8 || !is_base64(word) {
        return None;
    }
    let mut joined = word.to_owned();
    let mut found = decode(&joined);
    for line in next.iter().map(|line| bare(line)).take(WRAPPED_LINES_MAX) {
        if line.is_empty() || !is_base64(line) {
            break;
        }
        joined.push_str(line);
        found = decode(&joined).or(found);
    }
    found
}

/// `token@server` as the whole text, or the one word of it that can't be the address of a person.
fn find_plain(text: &str) -> Result<InviteString, Invalid> {
    if let Some(found) = plain(bare(text.trim())) {
        return Ok(found);
    }
    let mut found: Vec<InviteString> = Vec::new();
    for word in text.split_whitespace().map(bare) {
        if let Some(candidate) = plain(word)
            && looks_random(candidate.token.expose())
            && !found.contains(&candidate)
        {
            found.push(candidate);
        }
    }
    match found.len() {
        1 => Ok(found.remove(0)),
        0 => Err(Invalid::new("invitation", "There is no invitation in this text.")),
        _ => Err(Invalid::new(
            "invitation",
            "There are several invitations in this text; paste only one.",
        )),
    }
}

fn looks_random(token: &str) -> bool {
    token.len() >= PLAIN_TOKEN_MIN && token.bytes().any(|byte| byte.is_ascii_digit()) && !token.contains(['.', '+'])
}

/// A word without the punctuation around it.
fn bare(word: &str) -> &str {
    let quotes = |c: char| ends_link(c) || matches!(c, '[' | '{' | '„' | '“' | '«' | '*' | '_');
    word.trim_start_matches(quotes)
        .trim_end_matches(|c| ends_link(c) || ends_sentence(c))
}

fn is_base64(word: &str) -> bool {
    word.bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'='))
}

fn decode(word: &str) -> Option<InviteString> {
    if !is_base64(word) {
        return None;
    }
    let standard = word.trim_end_matches('=').replace('-', "+").replace('_', "/");
    let decoded = String::from_utf8(BASE64.decode(standard).ok()?).ok()?;
    plain(decoded.trim())
}

fn plain(text: &str) -> Option<InviteString> {
    let (token, provider) = text.rsplit_once('@')?;
    invitation(token, provider)
}

fn invitation(token: &str, provider: &str) -> Option<InviteString> {
    Some(InviteString {
        token: InviteToken::new(token).ok()?,
        provider: Provider::parse_lenient(provider).ok()?,
    })
}
