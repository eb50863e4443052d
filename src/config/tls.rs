//! Certificates: where this server has its own from, and whom it believes.

use std::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;
use url::Url;

use crate::config::Span;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    pub mode: TlsMode,
    pub cert_file: Option<PathBuf>,
    pub key_file: Option<PathBuf>,
    /// Names for the certificate besides the one in `server.public_url`.
    pub names: Vec<String>,
    pub acme_directory: AcmeDirectory,
    pub acme_email: Option<String>,
    pub acme_agree_tos: bool,
    pub acme_preflight: bool,
    pub warn_before: Span,
    pub extra_ca_file: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// `files` where a certificate is named; for an https address `acme` where port 443 is listened on, else `proxy`; for
    /// an http one `off`.
    #[default]
    Auto,
    Off,
    Proxy,
    Files,
    Acme,
    SelfSigned,
}

impl TlsMode {
    /// The word for it, as the file spells it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Off => "off",
            Self::Proxy => "proxy",
            Self::Files => "files",
            Self::Acme => "acme",
            Self::SelfSigned => "self-signed",
        }
    }

    /// Whether this server itself speaks TLS.
    pub fn is_here(self) -> bool {
        matches!(self, Self::Files | Self::Acme | Self::SelfSigned)
    }
}

/// The ACME authority that certificates are ordered from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AcmeDirectory {
    #[default]
    LetsEncrypt,
    LetsEncryptStaging,
    Other(Url),
}

impl AcmeDirectory {
    /// The same authority's place to try things out, if it has one.
    pub fn staging(&self) -> Option<Self> {
        matches!(self, Self::LetsEncrypt).then_some(Self::LetsEncryptStaging)
    }

    /// Where its terms of service can be read, as far as that is known beforehand; the directory of any authority names
    /// them, too (RFC 8555, section 7.1.1).
    pub fn terms(&self) -> &str {
        match self {
            Self::LetsEncrypt | Self::LetsEncryptStaging => "https://letsencrypt.org/repository/",
            Self::Other(url) => url.as_str(),
        }
    }

    /// Its name in a sentence.
    pub fn title(&self) -> String {
        match self {
            Self::LetsEncrypt => "Let’s Encrypt".to_owned(),
            Self::LetsEncryptStaging => "Let’s Encrypt (staging)".to_owned(),
            Self::Other(url) => url.host_str().unwrap_or_default().to_owned(),
        }
    }

    pub fn url(&self) -> &str {
        match self {
            Self::LetsEncrypt => "https://acme-v02.api.letsencrypt.org/directory",
            Self::LetsEncryptStaging => "https://acme-staging-v02.api.letsencrypt.org/directory",
            Self::Other(url) => url.as_str(),
        }
    }
}

impl fmt::Display for AcmeDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LetsEncrypt => "letsencrypt",
            Self::LetsEncryptStaging => "letsencrypt-staging",
            Self::Other(url) => url.as_str(),
        })
    }
}

impl<'de> Deserialize<'de> for AcmeDirectory {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "letsencrypt" => Ok(Self::LetsEncrypt),
            "letsencrypt-staging" => Ok(Self::LetsEncryptStaging),
            other => Url::parse(other)
                .ok()
                .filter(|url| url.scheme() == "https" && url.host().is_some())
                .map(Self::Other)
                .ok_or_else(|| {
                    D::Error::custom(format!(
                        "{other:?} is no ACME authority: letsencrypt, letsencrypt-staging, or the https:// address of \
                         its directory"
                    ))
                }),
        }
    }
}

impl Default for Tls {
    fn default() -> Self {
        Self {
            mode: TlsMode::default(),
            cert_file: None,
            key_file: None,
            names: Vec::new(),
            acme_directory: AcmeDirectory::default(),
            acme_email: None,
            acme_agree_tos: false,
            acme_preflight: true,
            warn_before: Span::seconds(10 * 86_400),
            extra_ca_file: None,
        }
    }
}
