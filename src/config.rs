//! What the operator chose: one struct per `[table]`, checked on load, unknown keys refused by name, file and line.

mod backup;
mod federation;
mod flags;
mod level;
mod mail;
mod meant;
mod metrics;
mod notify;
mod origin;
mod pages;
mod problems;
mod secrets;
pub mod settings;
mod tls;
mod value;

use std::net::IpAddr;
use std::net::SocketAddr;
use std::path::Path;
use std::path::PathBuf;

use ipnet::IpNet;
use serde::Deserialize;

use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

pub use self::backup::Backup;
pub use self::backup::Keep;
pub use self::federation::Directory;
pub use self::federation::Federation;
pub use self::federation::Mode;
pub use self::federation::PrivateNetwork;
pub use self::federation::Verify;
pub use self::flags::Flags;
pub use self::mail::Mail;
pub use self::mail::Security;
pub use self::mail::Sender;
pub use self::mail::SmtpUrl;
pub use self::metrics::Metrics;
pub use self::metrics::OwnListener;
pub use self::notify::AdminTopic;
pub use self::notify::Notify;
pub use self::notify::UserTopic;
pub use self::notify::Webhook;
pub use self::origin::Origin;
use self::origin::Origins;
pub use self::pages::Link;
pub use self::pages::Ui;
pub use self::problems::problems;
pub use self::secrets::secret_file;
pub use self::tls::AcmeDirectory;
pub use self::tls::Tls;
pub use self::tls::TlsMode;
pub use self::value::DocumentUrl;
pub use self::value::Every;
pub use self::value::Listen;
pub use self::value::PublicUrl;
pub use self::value::Size;
pub use self::value::Span;

/// Every setting with its default and its explanation, as it is shipped. A test compares it with [`Config::default`].
pub const EXAMPLE: &str = include_str!("../ocm.example.toml");

/// Where the file is looked for when none is named.
pub const SEARCHED: [&str; 2] = ["ocm.toml", "/etc/ocm/ocm.toml"];

const ENVIRONMENT_PREFIX: &str = "OCM_";

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    pub server: Server,
    pub tls: Tls,
    pub federation: Federation,
    pub invites: Invites,
    pub shares: Shares,
    pub keys: Keys,
    pub files: Files,
    pub accounts: Accounts,
    pub limits: Limits,
    pub mail: Mail,
    pub notify: Notify,
    pub backup: Backup,
    pub ui: Ui,
    pub log: Log,
    pub metrics: Metrics,
    #[serde(skip)]
    origins: Origins,
    #[serde(skip)]
    file: Option<PathBuf>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Server {
    pub public_url: PublicUrl,
    pub name: String,
    pub listen: Listen,
    /// Where plain http is answered while this server itself speaks TLS: with redirects, and to ACME authorities.
    pub listen_http: Listen,
    pub data_dir: PathBuf,
    /// Relative to `data_dir` unless absolute.
    pub admin_socket: PathBuf,
    /// Whose word about who asks is believed, in the mode `proxy`.
    pub trusted_proxies: Vec<IpNet>,
    /// How long requests under way may take when the server stops.
    pub shutdown_grace: Span,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Invites {
    pub expires: Span,
    pub max_expires: Span,
    pub max_uses: u32,
    pub who: Who,
    pub wayf_show_inviter: bool,
}

/// Whose invites other people may accept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    #[default]
    Everyone,
    /// Those of admins only.
    Admins,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Shares {
    pub token_lifetime: Span,
    pub delivery_retry: Vec<Span>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Keys {
    pub publish_before_use: Span,
    pub publish_after_use: Span,
    pub rotate_every: Every,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Files {
    pub max_upload: Size,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Accounts {
    pub session_idle: Span,
    pub session_max: Span,
    pub min_password: usize,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    pub max_body: Size,
    pub peer_timeout: Span,
    pub client_timeout: Span,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Log {
    #[serde(deserialize_with = "level::read")]
    pub level: String,
    pub format: LogFormat,
    pub audit_keep: Span,
    pub audit_file_names: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    #[default]
    Auto,
    Text,
    Json,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            public_url: PublicUrl::parse("http://127.0.0.1:8080").expect("the default address is an address"),
            name: "ocmesh".to_owned(),
            listen: Listen(vec![SocketAddr::from(([127, 0, 0, 1], 8080))]),
            listen_http: Listen(Vec::new()),
            data_dir: PathBuf::from("ocmesh-data"),
            admin_socket: PathBuf::from("admin.sock"),
            trusted_proxies: vec![
                IpNet::from(IpAddr::from([127, 0, 0, 1])),
                IpNet::from(IpAddr::from(std::net::Ipv6Addr::LOCALHOST)),
            ],
            shutdown_grace: Span::seconds(20),
        }
    }
}

impl Default for Invites {
    fn default() -> Self {
        Self {
            expires: Span::seconds(7 * 86_400),
            max_expires: Span::seconds(90 * 86_400),
            max_uses: 100,
            who: Who::default(),
            wayf_show_inviter: true,
        }
    }
}

impl Default for Shares {
    fn default() -> Self {
        Self {
            token_lifetime: Span::seconds(300),
            delivery_retry: [10, 60, 600, 3600, 6 * 3600, 24 * 3600].map(Span::seconds).to_vec(),
        }
    }
}

impl Default for Keys {
    fn default() -> Self {
        Self {
            publish_before_use: Span::seconds(86_400),
            publish_after_use: Span::seconds(7 * 86_400),
            rotate_every: Every::OFF,
        }
    }
}

impl Default for Files {
    fn default() -> Self {
        Self {
            max_upload: Size(10 << 30),
        }
    }
}

impl Default for Accounts {
    fn default() -> Self {
        Self {
            session_idle: Span::seconds(12 * 3600),
            session_max: Span::seconds(30 * 86_400),
            min_password: 12,
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_body: Size(64 << 10),
            peer_timeout: Span::seconds(15),
            client_timeout: Span::seconds(10),
        }
    }
}

impl Default for Log {
    fn default() -> Self {
        Self {
            level: "info".to_owned(),
            format: LogFormat::default(),
            audit_keep: Span::seconds(400 * 86_400),
            audit_file_names: false,
        }
    }
}

impl Config {
    /// Reads `file`, or the first of [`SEARCHED`] that is there, or takes the defaults; then the environment.
    ///
    /// # Errors
    ///
    /// [`Reason::ConfigInvalid`] with file, line and key; or naming the environment variable that is wrong.
    pub fn load(file: Option<&Path>) -> Result<Self> {
        Self::load_with(file, &Flags::default())
    }

    /// The same, with what the command line says over it all.
    ///
    /// # Errors
    ///
    /// As [`Config::load`], or naming the option that is wrong.
    pub fn load_with(file: Option<&Path>, flags: &Flags) -> Result<Self> {
        let (text, origin, found) = sought(file)?;
        let (config, complaints) = Self::examine(&text, &origin, found.as_deref(), flags)?;
        match complaints.into_iter().next() {
            None => Ok(config),
            Some(first) => Err(refuse(first)),
        }
    }

    /// The same for a command beside a server: what `serve` was told besides may be what makes a whole of the settings, so
    /// where they have no address, they need not be one.
    ///
    /// # Errors
    ///
    /// As [`Config::load_with`].
    pub fn load_beside(file: Option<&Path>, flags: &Flags) -> Result<Self> {
        let (text, origin, found) = sought(file)?;
        let (config, complaints) = Self::examine(&text, &origin, found.as_deref(), flags)?;
        match complaints.into_iter().next() {
            Some(first) if config.origin("server.public_url").is_set() => Err(refuse(first)),
            _ => Ok(config),
        }
    }

    /// The settings, and all that is wrong with them as a whole, each with the place that says so.
    ///
    /// # Errors
    ///
    /// As [`Config::load`] for the first value that can't be.
    fn examine(text: &str, origin: &str, found: Option<&Path>, flags: &Flags) -> Result<(Self, Vec<String>)> {
        let mut config = Self::parse(text, origin)?;
        let over = flags.with(flags::of_environment(std::env::vars()), text);
        if !over.is_empty() {
            config = flags::overlay(text, &over)?;
        }
        if let Some(file) = found {
            config.origins = Origins::of_file(text, file);
        }
        for over in over {
            config.origins.set(over.setting(), over.origin());
        }
        config.take_own_address();
        let complaints = config.complaints();
        let named = |error: &Error| {
            let field = error.field().unwrap_or_default();
            let place = match config.origins.of(field) {
                Origin::Default => format!("{origin}{}", line_of(text, field)),
                said => said.to_string(),
            };
            format!("{place}: {error}")
        };
        let complaints = complaints.iter().map(named).collect();
        Ok((config.settle(found), complaints))
    }

    /// Reads one file's text; `origin` stands in front of each complaint.
    pub fn parse(text: &str, origin: &str) -> Result<Self> {
        toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start.min(text.len()));
            let line = text[..at].matches('\n').count() + 1;
            let what = meant::with_hint(error.message());
            // What is unknown is named by its own name, which no value has.
            let key = origin::value_at(text, at).filter(|_| !what.starts_with("unknown field"));
            let key = key.map_or_else(String::new, |key| format!("{key}: "));
            refuse(format!("{origin}:{line}: {key}{what}"))
        })
    }

    /// A certificate of one's own is for an https address; where nobody chose one, it is that of this machine.
    fn take_own_address(&mut self) {
        let chosen = self.origin("server.public_url").is_set() || self.tls.mode != TlsMode::SelfSigned;
        let first = self
            .server
            .listen
            .0
            .first()
            .filter(|address| address.ip().is_loopback());
        if let Some(address) = first.filter(|_| !chosen) {
            let own = PublicUrl::parse(&format!("https://localhost:{}", address.port()));
            self.server.public_url = own.expect("a name and a port are an address");
        }
    }

    /// What no single key can tell, in the order of what is looked at.
    fn complaints(&self) -> Vec<Error> {
        let mut checks = vec![self.check_tls()];
        checks.extend((0..self.federation.directory.len()).map(|at| self.federation.check_directory(at)));
        checks.extend([
            self.check_mail(),
            self.check_notify(),
            self.check_keys(),
            self.check_address(),
        ]);
        if self.shares.delivery_retry.is_empty() {
            checks.push(Err(Error::invalid(
                "shares.delivery_retry",
                "At least one wait is needed.",
            )));
        }
        checks.into_iter().filter_map(Result::err).collect()
    }

    fn check_tls(&self) -> Result<()> {
        let mode = self.tls_mode();
        if mode == TlsMode::Files && (self.tls.cert_file.is_none() || self.tls.key_file.is_none()) {
            return Err(Error::invalid(
                "tls.mode",
                "\"files\" needs tls.cert_file and tls.key_file.",
            ));
        }
        let is_https = self.server.public_url.is_https();
        if mode == TlsMode::Off && is_https {
            return Err(Error::invalid(
                "tls.mode",
                "\"off\" does not fit an https public_url; say \"proxy\" if a reverse proxy does TLS.",
            ));
        }
        if mode.is_here() && !is_https {
            let field = match self.tls.mode {
                TlsMode::Auto => "tls.cert_file",
                _ => "tls.mode",
            };
            let why = format!(
                "With \"{}\" this server speaks TLS, and {} is an address without it. Say server.public_url = \
                 \"https://...\", or ocmesh serve DOMAIN.",
                mode.as_str(),
                self.server.public_url
            );
            return Err(Error::invalid(field, why));
        }
        Ok(())
    }

    fn check_keys(&self) -> Result<()> {
        let Keys {
            publish_before_use: before,
            publish_after_use: after,
            rotate_every: every,
        } = &self.keys;
        if *after < self.shares.token_lifetime {
            return Err(Error::invalid(
                "keys.publish_after_use",
                "This must be at least shares.token_lifetime, or tokens would end with the key that signed them.",
            ));
        }
        if every.0.is_some_and(|every| every <= before.0.saturating_add(after.0)) {
            return Err(Error::invalid(
                "keys.rotate_every",
                "This must be longer than publish_before_use and publish_after_use together, or \"off\".",
            ));
        }
        Ok(())
    }

    fn check_address(&self) -> Result<()> {
        let listen = &self.server.listen.0;
        if listen.is_empty() {
            return Err(Error::invalid("server.listen", "At least one address is needed."));
        }
        let untold = self.server.public_url == Server::default().public_url;
        if untold && !self.origin("server.public_url").is_set() && !listen.iter().any(|address| address.port() == 8080)
        {
            return Err(Error::invalid(
                "server.listen",
                "Say server.public_url (or --public-url), too: it is the address that people and peers see.",
            ));
        }
        Ok(())
    }

    fn check_mail(&self) -> Result<()> {
        let Mail {
            smtp_url,
            password_file,
            from,
        } = &self.mail;
        let Some(server) = smtp_url else { return Ok(()) };
        if from.is_none() {
            return Err(Error::invalid(
                "mail.from",
                "Say whom mails are from: Example Lab Cloud <ocm@example.org>.",
            ));
        }
        match (&server.user, password_file) {
            (Some(_), None) => Err(Error::invalid(
                "mail.password_file",
                "The mail server wants a password for the user in mail.smtp_url: name the file that it stands in.",
            )),
            (None, Some(_)) => Err(Error::invalid(
                "mail.smtp_url",
                "There is a password and no user: smtps://user@mail.example.org:465.",
            )),
            _ => Ok(()),
        }
    }

    fn check_notify(&self) -> Result<()> {
        let Notify {
            admin_mail, webhook, ..
        } = &self.notify;
        if let Some(wrong) = admin_mail.iter().find(|to| !mail::is_address(to)) {
            let why = format!("{wrong:?} is no mail address such as admin@example.org.");
            return Err(Error::invalid("notify.admin_mail", why));
        }
        for (at, hook) in webhook.iter().enumerate() {
            let wrong = |why: &str| {
                let field = format!("notify.webhook[{}].url", at + 1);
                Err(Error::invalid(field, format!("{}: {why}", hook.url)))
            };
            if webhook[..at].iter().any(|other| other.url == hook.url) {
                return wrong("This webhook stands there twice.");
            }
            let plain_http = |network: &PrivateNetwork| network.plain_http;
            if !hook.url.is_https() && !self.federation.private_network.iter().any(plain_http) {
                return wrong(
                    "It must begin with https://; http is spoken only in a federation.private_network with plain_http.",
                );
            }
        }
        Ok(())
    }

    /// Relative paths are relative to the file that names them, not to where the server happens to be started.
    fn settle(mut self, file: Option<&Path>) -> Self {
        let base = file.and_then(Path::parent).unwrap_or(Path::new(""));
        self.file = file.map(Path::to_owned);
        self.server.data_dir = base.join(&self.server.data_dir);
        self.server.admin_socket = self.server.data_dir.join(&self.server.admin_socket);
        self.backup.dir = self.server.data_dir.join(&self.backup.dir);
        let keys = self.federation.directory.iter_mut().map(|entry| &mut entry.key_file);
        for path in keys.chain([&mut self.tls.extra_ca_file]).flatten() {
            *path = base.join(&*path);
        }
        let named = [
            &mut self.tls.cert_file,
            &mut self.tls.key_file,
            &mut self.mail.password_file,
            &mut self.metrics.token_file,
        ];
        let secrets = self.notify.webhook.iter_mut().map(|webhook| &mut webhook.secret_file);
        for path in named.into_iter().flatten().chain(secrets) {
            *path = secrets::place(base, path);
        }
        self
    }

    /// The file that was read, where there was one.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The files that settings name and that hold secrets: for nothing but what reads them.
    pub fn secret_files(&self) -> impl Iterator<Item = &Path> {
        let named = [
            &self.tls.cert_file,
            &self.tls.key_file,
            &self.mail.password_file,
            &self.metrics.token_file,
        ];
        let webhooks = self.notify.webhook.iter().map(|webhook| &webhook.secret_file);
        named.into_iter().flatten().chain(webhooks).map(PathBuf::as_path)
    }

    /// Where the value of `section.key` comes from; of several tables of one name, `section[2].key`.
    pub fn origin(&self, setting: &str) -> Origin {
        self.origins.of(setting)
    }

    /// The mode in force, with `auto` resolved.
    pub fn tls_mode(&self) -> TlsMode {
        match self.tls.mode {
            TlsMode::Auto if self.tls.cert_file.is_some() => TlsMode::Files,
            TlsMode::Auto if self.server.public_url.is_https() => {
                match self.server.listen.0.iter().any(|address| address.port() == 443) {
                    true => TlsMode::Acme,
                    false => TlsMode::Proxy,
                }
            }
            TlsMode::Auto => TlsMode::Off,
            chosen => chosen,
        }
    }
}

/// `:7` for the line that sets `section.key`, or, of several tables of one name, `section[2].key`: where none sets the
/// key, the line at which that table begins. Nothing where no line does.
fn line_of(text: &str, field: &str) -> String {
    let (section, key) = field.rsplit_once('.').unwrap_or_default();
    let mut within = String::new();
    let mut seen: Vec<&str> = Vec::new();
    let mut found = String::new();
    for (number, line) in text.lines().map(str::trim).enumerate() {
        if let Some(header) = line.strip_prefix("[[") {
            let name = header.split(']').next().unwrap_or_default();
            seen.push(name);
            within = format!("{name}[{}]", seen.iter().filter(|other| **other == name).count());
            if within == section {
                found = format!(":{}", number + 1);
            }
        } else if let Some(header) = line.strip_prefix('[') {
            within = header.trim_end_matches(']').to_owned();
        }
        let named = line.split_once('=').map(|(name, _)| name.trim());
        if within == section && named == Some(key) {
            return format!(":{}", number + 1);
        }
    }
    found
}

fn refuse(message: String) -> Error {
    Error::new(Reason::ConfigInvalid, message)
}

/// The text of `file`, or of the first of [`SEARCHED`] that is there, or of none; what complaints call it; and where it is.
fn sought(file: Option<&Path>) -> Result<(String, String, Option<PathBuf>)> {
    let found = match file {
        Some(file) => Some(file.to_owned()),
        None => SEARCHED.iter().map(PathBuf::from).find(|candidate| candidate.is_file()),
    };
    let Some(file) = found else {
        return Ok((String::new(), "the defaults".to_owned(), None));
    };
    let origin = file.display().to_string();
    let text = std::fs::read_to_string(&file).map_err(|cause| refuse(format!("{origin}: {cause}")))?;
    Ok((text, origin, Some(file)))
}

/// The variables of the environment that begin as ours do and set nothing: a slip of the pen, mostly.
pub fn ignored_variables(names: impl Iterator<Item = String>) -> Vec<String> {
    names
        .filter(|name| {
            let setting = name.strip_prefix(ENVIRONMENT_PREFIX);
            setting.is_some_and(|setting| !setting.contains('_') && setting != "CONFIG")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example with every setting's comment sign taken away: `# key = value` and `# [[table]]`.
    fn uncommented() -> String {
        let setting = |line: &str| {
            let bare = line.strip_prefix("# ")?;
            let key = bare.split('=').next()?.trim_end();
            let is_key =
                bare.contains('=') && !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            is_key.then(|| bare.to_owned())
        };
        EXAMPLE
            .lines()
            .map(|line| setting(line).unwrap_or_else(|| line.to_owned()))
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn the_example_file_names_every_setting_with_its_default() {
        let example = Config::parse(&uncommented(), "ocm.example.toml").unwrap();
        // These have no default that could be written down; the example shows one instead.
        let mut expected = Config::default();
        expected.tls.cert_file = Some("/etc/ocm/tls/fullchain.pem".into());
        expected.tls.key_file = Some("/etc/ocm/tls/privkey.pem".into());
        expected.tls.extra_ca_file = Some("/etc/ocm/tls/lab-ca.pem".into());
        expected.tls.acme_email = Some("admin@example.org".to_owned());
        expected.metrics.token_file = Some("metrics-token".into());
        expected.mail.smtp_url = SmtpUrl::parse("smtps://ocm@mail.example.org:465").ok();
        expected.mail.password_file = Some("smtp-password".into());
        expected.mail.from = "Example Lab Cloud <ocm@example.org>".parse().ok().map(Sender);
        assert_eq!(example, expected);
        assert_eq!(Config::parse(EXAMPLE, "ocm.example.toml").unwrap(), Config::default());
        let sources = [
            include_str!("config.rs"),
            include_str!("config/federation.rs"),
            include_str!("config/tls.rs"),
            include_str!("config/notify.rs"),
            include_str!("config/backup.rs"),
            include_str!("config/metrics.rs"),
        ];
        let keys: Vec<_> = sources
            .into_iter()
            .flat_map(str::lines)
            .filter_map(|line| line.strip_prefix("    pub ")?.split_once(": ").map(|(key, _)| key))
            .filter(|key| !key.contains(['(', ' ']))
            .collect();
        for key in keys {
            assert!(EXAMPLE.contains(key), "ocm.example.toml does not mention {key}");
        }
    }

    #[test]
    fn a_bad_line_is_named_with_file_line_and_key() {
        let check = |text: &str, expected: &[&str]| {
            let error = Config::parse(text, "/etc/ocm/ocm.toml").unwrap_err();
            assert_eq!(error.reason(), Reason::ConfigInvalid);
            for part in expected {
                assert!(error.to_string().contains(part), "{error} should mention {part}");
            }
        };
        check(
            "[server]\npublic_url = \"cloud\"",
            &["/etc/ocm/ocm.toml:2:", "https://"],
        );
        check("\n[tls]\nmode = \"acne\"", &["ocm.toml:3:", "acne", "proxy"]);
        check("[tls]\nemial = 1", &["ocm.toml:2:", "emial", "cert_file"]);
        check("[federation]\nmode = \"invites\"", &[":2:", "invites", "allowlist"]);
        check("[server]\nlisten = \"8080\"", &[":2:", "8080", "127.0.0.1:8080"]);
        check("[invites]\nexpires = \"a week\"", &[":2:", "a week", "7d"]);
        check("[limits]\nmax_body = \"many\"", &[":2: limits.max_body: ", "64KiB"]);
        check(
            "[shares]\ndelivery_retry = [\"1m\",\n \"1x\"]",
            &[":2: shares.delivery_retry: ", "1x"],
        );
        check("[tsl]\nmode = \"off\"", &[":1: unknown field", "Did you mean tls?"]);
        for listen in ["8080", "true", "[8080]"] {
            let text = format!("[server]\nlisten = {listen}");
            check(&text, &[":2: server.listen: ", "127.0.0.1:8080"]);
        }
        check(
            "[log]\nlevel = \"inof\"",
            &[":2: log.level: ", "inof", "Did you mean info?"],
        );
        check("[invites]\nwho = \"nobody\"", &[":2:", "nobody", "everyone", "admins"]);
        check(
            "[mail]\nsmtp_url = \"smtp://mail.example.org?tls=none\"",
            &[":2:", "TLS can't be switched off"],
        );
        check(
            "[mail]\nfrom = \"nobody\"",
            &[":2:", "Example Lab Cloud <ocm@example.org>"],
        );
        check("[keys]\nrotate_every = \"never\"", &[":2:", "never", "off", "365d"]);
        check("[server]\npublic_url = \"https://a.example/cloud\"", &[":2:", "root"]);
        check("[[federation.private_network]]\ncidr = \"10.0.0.0/99\"", &[":2:"]);
    }

    #[test]
    fn settings_that_contradict_each_other_stop_the_start() {
        let check = |text: &str, key: &str| {
            let complaints = Config::parse(text, "x").unwrap().complaints();
            assert_eq!(complaints.len(), 1, "{complaints:?}");
            assert_eq!(complaints[0].field(), Some(key));
        };
        check("[tls]\nmode = \"files\"", "tls.mode");
        check(
            "[server]\npublic_url = \"https://a.example\"\n[tls]\nmode = \"off\"",
            "tls.mode",
        );
        for mode in ["acme", "self-signed"] {
            check(&format!("[tls]\nmode = \"{mode}\""), "tls.mode");
        }
        check("[tls]\ncert_file = \"c\"\nkey_file = \"k\"", "tls.cert_file");
        check("[server]\nlisten = \"127.0.0.1:9000\"", "server.listen");
        check("[shares]\ndelivery_retry = []", "shares.delivery_retry");
        check("[keys]\npublish_after_use = \"299s\"", "keys.publish_after_use");
        check("[keys]\nrotate_every = \"8d\"", "keys.rotate_every");
        check("[mail]\nsmtp_url = \"smtp://127.0.0.1\"", "mail.from");
        let from = "from = \"ocm@example.org\"";
        check(
            &format!("[mail]\nsmtp_url = \"smtps://ocm@mail.example.org\"\n{from}"),
            "mail.password_file",
        );
        check(
            &format!("[mail]\nsmtp_url = \"smtp://127.0.0.1\"\npassword_file = \"p\"\n{from}"),
            "mail.smtp_url",
        );
    }

    #[test]
    fn what_is_done_every_so_often_may_be_off() {
        let every = |text: &str| Config::parse(&format!("[keys]\nrotate_every = \"{text}\""), "x").unwrap();
        assert_eq!(every("off").keys.rotate_every, Every::OFF);
        assert_eq!(every("9d").keys.rotate_every.0, Some(Span::seconds(9 * 86_400).0));
        assert!(every("9d").complaints().is_empty());
    }

    #[test]
    fn a_setting_is_found_by_its_section() {
        let text = "[log]\nmode = 1\n[tls]\n mode = \"off\"\n";
        assert_eq!(line_of(text, "tls.mode"), ":4");
        assert_eq!(line_of(text, "tls.cert_file"), "");
        assert_eq!(line_of(text, ""), "");
        let text = "[[a.b]]\nc = 1\n[[a.d]]\nc = 2\n\n[[a.b]]\n\nc = 3\n";
        assert_eq!(line_of(text, "a.b[1].c"), ":2");
        assert_eq!(line_of(text, "a.b[2].c"), ":8");
        assert_eq!(line_of(text, "a.b[2].e"), ":6");
        assert_eq!(line_of(text, "a.b[3].c"), "");
    }

    #[test]
    fn a_public_url_gives_the_provider_of_our_addresses() {
        let check = |url: &str, provider: &str, origin: &str| {
            let parsed = PublicUrl::parse(url).unwrap();
            assert_eq!(parsed.provider().to_string(), provider);
            assert_eq!(parsed.origin(), origin);
        };
        check(
            "https://Cloud.Example.org/",
            "cloud.example.org",
            "https://cloud.example.org",
        );
        check(
            "https://cloud.example.org:443",
            "cloud.example.org",
            "https://cloud.example.org",
        );
        check("http://127.0.0.1:9100", "127.0.0.1:9100", "http://127.0.0.1:9100");
    }

    #[test]
    fn relative_paths_are_relative_to_the_file() {
        let config = Config::parse("[server]\ndata_dir = \"data\"", "x").unwrap();
        let settled = config.settle(Some(Path::new("/etc/ocm/ocm.toml")));
        assert_eq!(settled.server.data_dir, Path::new("/etc/ocm/data"));
        assert_eq!(settled.server.admin_socket, Path::new("/etc/ocm/data/admin.sock"));
    }
}
