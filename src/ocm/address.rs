//! Who is meant: OCM Addresses, and the servers they name, in one canonical spelling each.

use std::fmt;
use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::str::FromStr;

use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use serde::de::Error as _;
use url::Host;
use url::Url;

use crate::ocm::Invalid;

/// Longest identifier of an OCM Address, in bytes.
const IDENTIFIER_MAX: usize = 255;
/// Longest OCM Address, in bytes (T-28).
const ADDRESS_MAX: usize = 512;
/// Longest host name of the DNS, in bytes.
const HOST_MAX: usize = 253;
/// Longest label of a host name, in bytes.
const LABEL_MAX: usize = 63;

/// An OCM Server, named by the authority that answers `/.well-known/ocm` (_OCM Address_, ADR-2, ADR-3).
///
/// There is one spelling for each server: lower case, A-labels, no default port, no trailing dot. So two that are equal
/// are the same server, and two that merely look alike are not (T-31).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Provider {
    host: String,
    port: Option<u16>,
}

impl Provider {
    /// Reads `host[:port]` and nothing more: no scheme, path, user or percent-encoding.
    ///
    /// IP addresses are read too, in their one plain spelling, so that policy can refuse them by what they are; the odd
    /// spellings that resolvers also understand (`0177.0.0.1`, `2130706433`) are refused here (T-06).
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (host, port) = split_port(text)?;
        Ok(Self {
            host: canonical_host(host)?,
            port: port.map(parse_port).transpose()?.filter(|port| *port != 443),
        })
    }

    /// Like [`Self::parse`], but takes off what peers put around it: `https://`, `http://` with its port 80, trailing
    /// slashes, white space (INC-16).
    pub fn parse_lenient(text: &str) -> Result<Self, Invalid> {
        let text = text.trim().trim_end_matches('/');
        if let Some(rest) = strip_prefix_ignoring_case(text, "https://") {
            return Self::parse(rest);
        }
        match strip_prefix_ignoring_case(text, "http://") {
            Some(rest) => Self::parse(rest.strip_suffix(":80").unwrap_or(rest)),
            None => Self::parse(text),
        }
    }

    /// The server behind an http or https URL; a URL that carries a user is refused.
    pub fn from_url(url: &Url) -> Result<Self, Invalid> {
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("This is not an http or https URL."));
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid("A server's URL cannot carry a user name."));
        }
        match (url.host_str(), url.port()) {
            (Some(host), Some(port)) => Self::parse(&format!("{host}:{port}")),
            (Some(host), None) => Self::parse(host),
            (None, _) => Err(invalid("This URL names no host.")),
        }
    }

    /// The host in A-labels; an IPv6 address stands in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where it isn't 443.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The address, where the host is one rather than a name.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            Some(inside) => inside.parse().ok().map(IpAddr::V6),
            None => self.host.parse().ok().map(IpAddr::V4),
        }
    }

    /// Whether it is this machine for everybody: what is sent there leaves it nowhere.
    pub fn is_loopback(&self) -> bool {
        let host = self.host();
        let named = || host == "localhost" || host.ends_with(".localhost");
        self.ip().map_or_else(named, |ip| ip.is_loopback())
    }

    /// Whether the host is a name strictly below `domain`, label by label: what a rule `*.domain` means.
    pub fn is_below(&self, domain: &str) -> bool {
        let domain = domain.to_ascii_lowercase();
        !domain.is_empty()
            && self.ip().is_none()
            && self
                .host
                .strip_suffix(domain.as_str())
                .and_then(|rest| rest.strip_suffix('.'))
                .is_some_and(|rest| !rest.is_empty())
    }

    /// Whether `url` is served by this very host and port (T-02).
    pub fn same_authority(&self, url: &Url) -> bool {
        Self::from_url(url).is_ok_and(|other| other == *self)
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.port {
            Some(port) => write!(f, "{}:{port}", self.host),
            None => f.write_str(&self.host),
        }
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Provider({self})")
    }
}

impl FromStr for Provider {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl Serialize for Provider {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Provider {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A person (or group) at a server: `identifier@provider` (_OCM Address_, ADR-1).
///
/// The identifier is opaque: its case counts, and it may contain `@` itself.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OcmAddress {
    pub identifier: String,
    pub provider: Provider,
}

impl OcmAddress {
    /// # Errors
    ///
    /// For an identifier that is empty, too long, or holds characters that change how a line of text is shown.
    pub fn new(identifier: impl Into<String>, provider: Provider) -> Result<Self, Invalid> {
        let identifier = identifier.into();
        if identifier.is_empty() {
            return Err(invalid("The part before the @ is missing."));
        }
        if identifier.len() > IDENTIFIER_MAX {
            return Err(invalid("The part before the @ is too long."));
        }
        if identifier.chars().any(misleads) {
            return Err(invalid("The part before the @ contains invisible control characters."));
        }
        let address = Self { identifier, provider };
        if address.to_string().len() > ADDRESS_MAX {
            return Err(invalid("The address is too long."));
        }
        Ok(address)
    }

    /// Splits at the **last** `@` and takes both halves strictly.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let (identifier, provider) = split_at_last(text)?;
        Self::new(identifier, Provider::parse(provider)?)
    }

    /// Like [`Self::parse`], but understands what deployed servers send: `id@https://host/`, `id@host@host`,
    /// `id@https://host@host` (INC-16). The server's own name is taken off the identifier as often as it stands there.
    pub fn parse_lenient(text: &str) -> Result<Self, Invalid> {
        let (mut identifier, provider) = split_at_last(text.trim())?;
        let provider = Provider::parse_lenient(provider)?;
        while let Some((before, after)) = identifier.rsplit_once('@') {
            if before.is_empty() || Provider::parse_lenient(after).as_ref() != Ok(&provider) {
                break;
            }
            identifier = before;
        }
        Self::new(identifier, provider)
    }
}

impl fmt::Display for OcmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.identifier, self.provider)
    }
}

impl fmt::Debug for OcmAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OcmAddress({self})")
    }
}

impl FromStr for OcmAddress {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        Self::parse(text)
    }
}

impl Serialize for OcmAddress {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OcmAddress {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

fn invalid(why: &str) -> Invalid {
    Invalid::new("address", why)
}

fn split_at_last(text: &str) -> Result<(&str, &str), Invalid> {
    if text.len() > ADDRESS_MAX {
        return Err(invalid("The address is too long."));
    }
    text.rsplit_once('@')
        .ok_or_else(|| invalid("An address looks like name@server.example."))
}

/// Characters that a reader cannot see and that change what the reader sees: controls, line separators, and those that
/// turn the direction of writing.
pub(crate) fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}')
}

fn strip_prefix_ignoring_case<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

fn split_port(text: &str) -> Result<(&str, Option<&str>), Invalid> {
    if text.starts_with('[') {
        let end = text.find(']').ok_or_else(|| invalid("The bracket is not closed."))?;
        let (host, rest) = text.split_at(end + 1);
        return match rest.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if rest.is_empty() => Ok((host, None)),
            None => Err(invalid("After the bracket only a port can follow.")),
        };
    }
    Ok(match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    })
}

fn parse_port(text: &str) -> Result<u16, Invalid> {
    let plain = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    match text.parse() {
        Ok(port) if plain => Ok(port),
        _ => Err(invalid("A port is a number from 1 to 65535.")),
    }
}

fn canonical_host(text: &str) -> Result<String, Invalid> {
    if let Some(inside) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let address: Ipv6Addr = inside
            .parse()
            .map_err(|_| invalid("This is not an IPv6 address in brackets."))?;
        return Ok(format!("[{address}]"));
    }
    let host = if text.is_ascii() {
        text.to_ascii_lowercase()
    } else {
        a_labels(text)?
    };
    if host.is_empty() {
        return Err(invalid("The server's name is missing."));
    }
    if host.len() > HOST_MAX || !host.split('.').all(is_label) {
        return Err(invalid("This is not the name of a server."));
    }
    // Resolvers read a name that ends in a number as an IPv4 address, in octal and hexadecimal too.
    if host.rsplit('.').next().is_some_and(is_number) {
        return match host.parse::<Ipv4Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err(invalid("This is not an IPv4 address in its plain form.")),
        };
    }
    if host.split('.').any(|label| label.starts_with("xn--")) {
        return match Host::parse(&host) {
            Ok(Host::Domain(same)) if same == host => Ok(host),
            _ => Err(invalid("This internationalised name is not valid.")),
        };
    }
    Ok(host)
}

/// The A-labels of an internationalised name.
///
/// IDNA maps a good many characters onto others or onto nothing; a name that would change that way is refused, so that
/// `example。org` or one with a soft hyphen never turns into a server that isn't written there (T-31).
fn a_labels(text: &str) -> Result<String, Invalid> {
    // `Host::parse` would decode these.
    if text.contains('%') {
        return Err(invalid("This is not the name of a server."));
    }
    match Host::parse(text) {
        Ok(Host::Domain(ascii)) if url::quirks::domain_to_unicode(&ascii) == text.to_lowercase() => Ok(ascii),
        _ => Err(invalid(
            "This internationalised name is not valid; try its form that begins with xn--.",
        )),
    }
}

fn is_label(label: &str) -> bool {
    !label.is_empty()
        && label.len() <= LABEL_MAX
        && !label.starts_with('-')
        && !label.ends_with('-')
        && label
            .bytes()
            .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_'))
}

fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

#[cfg(test)]
mod tests;
