//! The operator's mail server, if there is one.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;

use lettre::message::Mailbox;
use serde::Deserialize;
use serde::Deserializer;
use serde::de::Error as _;
use url::Host;
use url::Url;

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Mail {
    pub smtp_url: Option<SmtpUrl>,
    pub password_file: Option<PathBuf>,
    /// Whom our mails are from: `Example Lab Cloud <ocm@example.org>`.
    pub from: Option<Sender>,
}

/// Where mails are handed in: `smtps://user@host:465`, or `smtp://user@host:587` with STARTTLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmtpUrl {
    pub host: String,
    pub port: u16,
    pub user: Option<String>,
    pub security: Security,
}

impl fmt::Display for SmtpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.security {
            Security::Tls => "smtps",
            Security::StartTls | Security::Loopback => "smtp",
        };
        write!(f, "{scheme}://")?;
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// How the way to the mail server is kept private.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Security {
    /// TLS from the first byte.
    Tls,
    /// TLS after a word in the clear; without it nothing is sent.
    StartTls,
    /// None: to a mail server on this very machine.
    Loopback,
}

impl SmtpUrl {
    pub fn parse(text: &str) -> Result<Self, String> {
        const SHAPE: &str = "such as smtps://user@mail.example.org:465 or smtp://user@mail.example.org:587 (STARTTLS)";
        let url = Url::parse(text).map_err(|_| format!("this is no address of a mail server, {SHAPE}"))?;
        let host = url
            .host_str()
            .filter(|host| !host.is_empty())
            .ok_or_else(|| format!("a mail server has a name, {SHAPE}"))?;
        if url.password().is_some() {
            return Err("the password belongs into mail.password_file, never here".to_owned());
        }
        if url.query().is_some() || url.fragment().is_some() || !matches!(url.path(), "" | "/") {
            return Err(format!(
                "nothing stands behind the port, and TLS can't be switched off, {SHAPE}"
            ));
        }
        let (security, usual) = match url.scheme() {
            "smtps" => (Security::Tls, 465),
            "smtp" if is_loopback(host) => (Security::Loopback, 25),
            "smtp" => (Security::StartTls, 587),
            _ => return Err(format!("it begins with smtps:// or smtp://, {SHAPE}")),
        };
        let user = percent_encoding::percent_decode_str(url.username())
            .decode_utf8()
            .map_err(|_| "its user name can't be read".to_owned())?;
        Ok(Self {
            host: host.trim_matches(['[', ']']).to_owned(),
            port: url.port().unwrap_or(usual),
            user: (!user.is_empty()).then(|| user.into_owned()),
            security,
        })
    }
}

/// Only what can't be anywhere else: a name such as `localhost.example` may be.
fn is_loopback(host: &str) -> bool {
    let literal = host.trim_matches(['[', ']']);
    literal.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
        || matches!(Host::parse(host), Ok(Host::Domain(name)) if name == "localhost")
}

impl<'de> Deserialize<'de> for SmtpUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Whether a text is one mail address, and nothing besides.
pub(super) fn is_address(text: &str) -> bool {
    let strange = |c: char| c.is_control() || c.is_whitespace() || matches!(c, ',' | ';' | '<' | '>' | '"' | '%');
    text.len() <= 254 && !text.contains(strange) && text.parse::<lettre::Address>().is_ok()
}

/// A mail address with or without a name before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Sender(pub Mailbox);

impl<'de> Deserialize<'de> for Sender {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mailbox = text.parse().ok().filter(|_| !text.chars().any(char::is_control));
        mailbox
            .map(Self)
            .ok_or_else(|| D::Error::custom("this is no mail address such as Example Lab Cloud <ocm@example.org>"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mail_server_elsewhere_is_spoken_to_over_tls_or_not_at_all() {
        let check = |text: &str, host: &str, port: u16, security: Security| {
            let url = SmtpUrl::parse(text).unwrap();
            assert_eq!(
                (url.host.as_str(), url.port, url.security),
                (host, port, security),
                "{text}"
            );
        };
        check("smtps://mail.example.org", "mail.example.org", 465, Security::Tls);
        check("smtp://mail.example.org", "mail.example.org", 587, Security::StartTls);
        check("smtp://mail.example.org:25", "mail.example.org", 25, Security::StartTls);
        check("smtp://10.0.0.1:25", "10.0.0.1", 25, Security::StartTls);
        check(
            "smtp://localhost.example.org",
            "localhost.example.org",
            587,
            Security::StartTls,
        );
        check("smtp://127.0.0.1:2525", "127.0.0.1", 2525, Security::Loopback);
        check("smtp://localhost", "localhost", 25, Security::Loopback);
        check("smtp://[::1]:2525", "::1", 2525, Security::Loopback);
        check("smtps://127.0.0.1", "127.0.0.1", 465, Security::Tls);
        let user = SmtpUrl::parse("smtps://ocm%40example.org@mail.example.org")
            .unwrap()
            .user;
        assert_eq!(user.as_deref(), Some("ocm@example.org"));
        for bad in [
            "",
            "mail.example.org:25",
            "https://mail.example.org",
            "smtp://",
            "smtp://mail.example.org?tls=none",
            "smtp://mail.example.org/?tls=opportunistic",
            "smtp://mail.example.org/path",
        ] {
            assert!(SmtpUrl::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        let why = SmtpUrl::parse("smtps://ocm:canary@mail.example.org").unwrap_err();
        assert!(why.contains("password_file") && !why.contains("canary"), "{why}");
    }
}
