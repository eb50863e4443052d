//! Values that a setting may have: each is read from its text once, and is right from then on.

use std::fmt;
use std::io;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::str::FromStr;
use std::time::Duration;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;
use serde::de::SeqAccess;
use serde::de::Visitor;
use url::Url;

use crate::ocm::address::Provider;

/// The address people and peers see: scheme and authority, nothing behind them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicUrl {
    url: Url,
    provider: Provider,
}

impl PublicUrl {
    pub fn parse(text: &str) -> Result<Self, String> {
        let url =
            Url::parse(text).map_err(|error| format!("{error}, expected something like https://cloud.example.org"))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err("the address must begin with https:// (or http:// for a trial)".to_owned());
        }
        if !matches!(url.path(), "" | "/")
            || url.query().is_some()
            || url.fragment().is_some()
            || !url.username().is_empty()
        {
            return Err("only scheme, host and port: OCM lives at the root of its host".to_owned());
        }
        let provider = Provider::from_url(&url).map_err(|invalid| invalid.why().to_owned())?;
        Ok(Self { url, provider })
    }

    /// The host (and port) of our OCM Addresses.
    pub fn provider(&self) -> &Provider {
        &self.provider
    }

    pub fn is_https(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// `https://cloud.example.org`, without a slash at the end.
    pub fn origin(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    /// The address of `path` (which begins with `/`) here.
    pub fn at(&self, path: &str) -> String {
        format!("{}{path}", self.origin())
    }
}

impl fmt::Display for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.origin())
    }
}

impl<'de> Deserialize<'de> for PublicUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Where a document is fetched that others publish: http or https, and nothing that would not be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentUrl(Url);

impl DocumentUrl {
    /// Longest address, in bytes.
    const MAX: usize = 255;

    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{why}, expected something like https://directory.example.org/servers.jws");
        let url = Url::parse(text).map_err(|error| wrong(&error.to_string()))?;
        Provider::from_url(&url).map_err(|invalid| wrong(invalid.why().trim_end_matches('.')))?;
        if url.fragment().is_some() || url.as_str().len() > Self::MAX {
            return Err(wrong("there is a fragment in it, or it is too long"));
        }
        Ok(Self(url))
    }

    pub fn url(&self) -> &Url {
        &self.0
    }

    pub fn is_https(&self) -> bool {
        self.0.scheme() == "https"
    }
}

impl fmt::Display for DocumentUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for DocumentUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// One address or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listen(pub Vec<SocketAddr>);

impl Listen {
    /// What is listened on where an address can't be: on a machine without IPv6, "every address" is every IPv4 address.
    pub fn instead(address: SocketAddr, cause: &io::Error) -> Option<SocketAddr> {
        // EAFNOSUPPORT has no kind of its own.
        let has_no_ipv6 = cause.kind() == io::ErrorKind::AddrNotAvailable || cause.raw_os_error() == Some(97);
        (address.ip() == Ipv6Addr::UNSPECIFIED && has_no_ipv6)
            .then(|| SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())))
    }
}

impl<'de> Deserialize<'de> for Listen {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrMany).map(Self)
    }
}

/// Says what is wanted in words, where a number was written.
struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Vec<SocketAddr>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address with a port in quotes, such as \"127.0.0.1:8080\", or a list of them")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
        let wrong = |_| {
            E::custom(format!(
                "\"{text}\" is not an address with a port, such as 127.0.0.1:8080"
            ))
        };
        text.parse().map(|address| vec![address]).map_err(wrong)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Listen(one)) = items.next_element()? {
            all.extend(one);
        }
        Ok(all)
    }
}

/// A length of time: `30s`, `15m`, `24h`, `7d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let wrong = || format!("\"{text}\" is not a length of time, such as 30s, 15m, 24h or 7d");
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = match text[digits..].trim() {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 86_400,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).map(Self::seconds).ok_or_else(wrong)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// How often something is done by itself: `365d`, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Every(pub Option<Duration>);

impl Every {
    pub const OFF: Self = Self(None);
}

impl<'de> Deserialize<'de> for Every {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.trim() == "off" {
            return Ok(Self::OFF);
        }
        let wrong = |_| {
            D::Error::custom(format!(
                "\"{text}\" is neither \"off\" nor a length of time, such as 365d"
            ))
        };
        text.parse::<Span>().map(|span| Self(Some(span.0))).map_err(wrong)
    }
}

/// A number of bytes: `64KiB`, `10MB`, `2GiB`, or a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let wrong = || format!("\"{text}\" is not a size, such as 64KiB, 10MB or 2GiB");
        let number: u64 = text[..digits].parse().map_err(|_| wrong())?;
        let unit = match text[digits..].trim() {
            "" | "B" => 1,
            "kB" | "KB" => 1000,
            "MB" => 1_000_000,
            "GB" => 1_000_000_000,
            "KiB" => 1 << 10,
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return Err(wrong()),
        };
        number.checked_mul(unit).map(Self).ok_or_else(wrong)
    }
}

/// In binary units, rounded down: `1.4 MiB`. Nothing is ever shown larger than it is.
impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
        let Some(step) = self.0.checked_ilog2().map(|bits| bits / 10).filter(|step| *step > 0) else {
            return write!(f, "{} B", self.0);
        };
        // In 128 bits, or the largest would wrap.
        let tenths = (u128::from(self.0) * 10) >> (10 * step);
        write!(f, "{}.{} {}", tenths / 10, tenths % 10, UNITS[step as usize - 1])
    }
}

impl<'de> Deserialize<'de> for Size {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}
