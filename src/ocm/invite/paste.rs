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
/// Longest link that is looked at, in bytes.
const LINK_MAX: usize = 8 * 1024;
/// Over how many lines base64 may be wrapped.
const WRAPPED_LINES_MAX: usize = 16;
/// In running text, a shorter name before an `@` is taken for that of a person.
const PLAIN_TOKEN_MIN: usize = 16;
/// And so it is, without a digit, where nothing else was pasted.
const NAME_MAX: usize = 12;
/// How often in one text a line is tried as the rest of a code: a mail has a few such lines, not thousands.
const JOINS_MAX: usize = 2000;
/// From this length on, a line that ends in `=` may have been broken by a mail program (RFC 2045: at most 76).
const SOFT_BREAK_MIN: usize = 60;
/// How a link begins that can hold an invitation. The first is the end of `web+ocm-invite:`, too.
const SCHEMES: [&str; 4] = ["ocm-invite:", "web+ocm:", "https://", "http://"];

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
        return Err(Invalid::new(
            "invitation",
            "This text is too long. Paste only the part with the link or the code.",
        ));
    }
    let text = unfold(text);
    // What looks like quoted-printable may be base64 that ends in "=": then it is read as it stands.
    if is_quoted_printable(&text)
        && let Ok(found) = find_in(&decode_quoted_printable(&text))
    {
        return Ok(found);
    }
    find_in(&text)
}

fn find_in(text: &str) -> Result<InviteString, Invalid> {
    let links = links(text);
    let named = links.iter().filter(|link| names_an_invitation(link));
    let others = links.iter().filter(|link| !names_an_invitation(link));
    named
        .chain(others)
        .find_map(|link| read_link(link))
        .or_else(|| find_base64(text))
        .map_or_else(|| find_plain(text), Ok)
}

/// The text without what mail and chat programs add to it: quote marks at the start of lines, entities of HTML, and
/// characters that nobody sees.
fn unfold(text: &str) -> String {
    let lines = text
        .lines()
        .map(|line| line.trim_start_matches(['>', '|', ' ', '\t']).trim_end());
    lines
        .collect::<Vec<_>>()
        .join("\n")
        .replace(['\u{ad}', '\u{200b}', '\u{2060}', '\u{feff}'], "")
        .replace('\u{a0}', " ")
        .replace("&amp;", "&")
        .replace("&#64;", "@")
        .replace("&lt;", "<")
        .replace("&gt;", ">")
}

/// Whether each `=` is an escape of quoted-printable, and there are too many of them for chance: a token that begins
/// with `3D` is no escape.
fn is_quoted_printable(text: &str) -> bool {
    if text.to_ascii_lowercase().contains("quoted-printable") {
        return true;
    }
    let soft = text
        .split('\n')
        .any(|line| line.len() > SOFT_BREAK_MIN && line.ends_with('='));
    let mut escapes = 0;
    for after in text.split('=').skip(1) {
        let hex = after.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2;
        if !hex && !after.is_empty() && !after.starts_with('\n') {
            return false;
        }
        escapes += usize::from(hex);
    }
    soft || escapes > 1
}

fn decode_quoted_printable(text: &str) -> String {
    let joined = text.replace("=\n", "");
    let mut decoded = Vec::with_capacity(joined.len());
    let mut rest = joined.as_bytes();
    while let [first, after @ ..] = rest {
        let escaped = (*first == b'=')
            .then(|| after.get(..2))
            .flatten()
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        decoded.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { &after[2..] } else { after };
    }
    // What is no UTF-8 stands in somebody's name, not in an invitation.
    String::from_utf8_lossy(&decoded).replace("&amp;", "&")
}

/// Every link in the text, together with what a mail program may have wrapped onto the next line. Each part of the text
/// is looked at in at most two of them: a link may hold another one, which then says more.
fn links(text: &str) -> Vec<String> {
    let mut links = Vec::new();
    let mut from = 0;
    while let Some(at) = next_scheme(&text[from..]).map(|found| from + found) {
        // Between angle brackets white space means nothing (RFC 3986, appendix C).
        let bracketed = text[..at].ends_with('<').then(|| closing(&text[at..])).flatten();
        let rest = &text[at..];
        let (link, end): (String, usize) = match bracketed {
            Some(end) => (rest[..end].split_whitespace().collect(), end),
            None => {
                let end = rest.find(ends_link).unwrap_or(rest.len());
                let wrapped = continuation(&rest[end..]);
                let whole = format!("{}{wrapped}", &rest[..end]);
                (whole.trim_end_matches(ends_sentence).to_owned(), end)
            }
        };
        if link.len() <= LINK_MAX {
            let inner = SCHEMES.iter().filter_map(|scheme| link.rfind(scheme)).max();
            links.extend(inner.filter(|inner| *inner > 0).map(|inner| link[inner..].to_owned()));
            links.push(link);
        }
        from = at + end.max(1);
    }
    links
}

fn next_scheme(text: &str) -> Option<usize> {
    text.match_indices(':')
        .filter_map(|(colon, _)| {
            let known = |scheme: &&str| {
                let (name, rest) = scheme.split_once(':').unwrap_or((scheme, ""));
                // The ends are ASCII, so these are ends of characters, too.
                let start = colon.checked_sub(name.len())?;
                let fits = text.get(start..colon)?.eq_ignore_ascii_case(name) && text[colon + 1..].starts_with(rest);
                fits.then_some(start)
            };
            SCHEMES.iter().filter_map(|scheme| known(&scheme)).min()
        })
        .next()
}

/// Where the bracket closes that a link stands in, if it does within the length of one.
fn closing(rest: &str) -> Option<usize> {
    rest[..rest.floor_char_boundary(LINK_MAX)].find('>')
}

/// The next line, where it reads like the rest of a link.
fn continuation(after: &str) -> &str {
    after
        .strip_prefix('\n')
        .and_then(|next| next.lines().next())
        .filter(|line| line.contains(['=', '&', '%']) && !line.contains(ends_link) && !line.contains("://"))
        .unwrap_or_default()
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

/// Whether a link says that it is an invitation: many others in a mail have a token of some kind, too.
fn names_an_invitation(link: &str) -> bool {
    let link = link.to_ascii_lowercase();
    ["wayf", "invit", "providerdomain", "provider=", "ocm"]
        .iter()
        .any(|word| link.contains(word))
}

/// A link names the token, and the server unless that is the one it leads to.
fn read_link(link: &str) -> Option<InviteString> {
    read_link_in(link, true)
}

fn read_link_in(link: &str, may_hold_another: bool) -> Option<InviteString> {
    let parameters: Vec<(String, String)> = link
        .split(['?', '&', '#', ';'])
        .skip(1)
        .flat_map(|pair| form_urlencoded::parse(pair.as_bytes()))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect();
    let parameter = |names: &[&str]| {
        let found = parameters.iter().find(|(name, _)| names.contains(&name.as_str()));
        found.map(|(_, value)| value.as_str())
    };
    let (scheme, rest) = link.split_once(':')?;
    let rest = rest.trim_start_matches('/');
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some(token) = parameter(&["token"]) else {
        if !matches!(scheme, "http" | "https") {
            return decode(rest).or_else(|| plain(rest));
        }
        // Mail filters put a link of theirs around each that they find.
        let held = parameters.iter().find(|(_, value)| next_scheme(value) == Some(0));
        return held
            .filter(|_| may_hold_another)
            .and_then(|(_, link)| read_link_in(link, false));
    };
    match parameter(&["providerdomain", "provider", "provider_domain"]) {
        Some(provider) => invitation(token, provider),
        // There are pages that take the whole invitation as their token.
        None => decode(token)
            .or_else(|| plain(token))
            .or_else(|| invitation(token, authority)),
    }
}

/// Base64 may be the whole text, one word of it, or several lines of it.
fn find_base64(text: &str) -> Option<InviteString> {
    let whole: String = text.split_whitespace().collect();
    if let Some(found) = decode(&whole) {
        return Some(found);
    }
    let lines: Vec<&str> = text.lines().collect();
    let mut joins = JOINS_MAX;
    for (at, line) in lines.iter().enumerate() {
        for word in line.split(parts_words).map(bare) {
            let wrapped = if line.trim_end().ends_with(word) {
                &lines[at + 1..]
            } else {
                &[]
            };
            if let Some(found) = decode_wrapped(word, wrapped, &mut joins) {
                return Some(found);
            }
        }
    }
    None
}

fn parts_words(c: char) -> bool {
    c.is_whitespace() || matches!(c, ':' | '<' | '>' | '"')
}

/// A word and as many of the next lines as still make sense: the beginning alone may name another server.
fn decode_wrapped(word: &str, next: &[&str], joins: &mut usize) -> Option<InviteString> {
    if word.len() < 8 || !is_base64(word) {
        return None;
    }
    let mut joined = word.to_owned();
    let mut found = decode(&joined);
    for line in next.iter().map(|line| bare(line)).take(WRAPPED_LINES_MAX) {
        if line.is_empty() || !is_base64(line) || *joins == 0 {
            break;
        }
        *joins -= 1;
        joined.push_str(line);
        found = decode(&joined).or(found);
    }
    found
}

/// `token@server` as the whole text, or the one word of it that can't be the address of a person.
fn find_plain(text: &str) -> Result<InviteString, Invalid> {
    let whole = bare(text.trim());
    if let Some(found) = plain(whole).filter(|_| !whole.contains("?token=")) {
        if looks_like_a_name(found.token.expose()) {
            return Err(Invalid::new(
                "invitation",
                "This looks like somebody’s address, not like an invitation.",
            ));
        }
        return Ok(found);
    }
    let mut found: Vec<InviteString> = Vec::new();
    for word in text
        .split(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '"'))
        .map(bare)
    {
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

fn looks_like_a_name(token: &str) -> bool {
    let in_names = |c: char| c.is_alphabetic() || matches!(c, '.' | '-' | '_' | '+');
    token.len() < NAME_MAX && token.chars().all(in_names)
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
