//! What a service is made of: the unit, the user and the settings, each from the one place that the packages use, too.

use clap::ValueEnum;

use crate::cli::domain;
use crate::cli::misused;
use crate::config::Config;
use crate::config::PublicUrl;
use crate::config::TlsMode;
use crate::error::Result;

/// What people put there by hand lies in `/usr/local`, apart from what packages bring.
pub const BINARY: &str = "/usr/local/bin/ocmesh";
pub const UNIT: &str = "/etc/systemd/system/ocmesh.service";
pub const USER: &str = "/etc/sysusers.d/ocmesh.conf";
pub const SETTINGS: &str = "/etc/ocm/ocm.toml";
pub const DATA: &str = "/var/lib/ocm";

/// The same, as a package brings it.
pub const PACKAGED_BINARY: &str = "/usr/bin/ocmesh";
pub const PACKAGED_UNITS: [&str; 2] = [
    "/usr/lib/systemd/system/ocmesh.service",
    "/lib/systemd/system/ocmesh.service",
];

const PACKAGED_UNIT: &str = include_str!("../../../packaging/ocmesh.service");
const PACKAGED_SETTINGS: &str = include_str!("../../../packaging/ocm.toml");
pub const USER_TEXT: &str = include_str!("../../../packaging/sysusers.d/ocmesh.conf");

/// Who does TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Tls {
    /// This server, with a certificate that it orders; it takes ports 80 and 443
    #[default]
    Acme,
    /// A reverse proxy in front, on this machine; the server listens on 127.0.0.1:8080
    Proxy,
    /// This server, with an authority of its own, for a lab; it takes ports 80 and 443
    SelfSigned,
}

/// What the new service shall be.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Wishes {
    /// The name of the server, such as cloud.example.org; without it, it answers this machine only
    pub domain: Option<String>,
    /// Who does TLS [default: acme]
    #[arg(long, value_enum, value_name = "MODE")]
    pub tls: Option<Tls>,
    /// Agree to the terms of service of the certificate authority
    #[arg(long)]
    pub agree_tos: bool,
    /// Whom the certificate authority may write to
    #[arg(long, value_name = "ADDRESS")]
    pub acme_email: Option<String>,
}

impl Tls {
    fn mode(self) -> TlsMode {
        match self {
            Self::Acme => TlsMode::Acme,
            Self::Proxy => TlsMode::Proxy,
            Self::SelfSigned => TlsMode::SelfSigned,
        }
    }
}

impl Wishes {
    /// The address that follows from the domain.
    ///
    /// # Errors
    ///
    /// [`crate::error::Reason::Invalid`] for what is not just a name.
    pub fn public_url(&self) -> Result<Option<PublicUrl>> {
        let Some(domain) = &self.domain else {
            return Ok(None);
        };
        let url = domain::parse(domain).and_then(|name| PublicUrl::parse(&format!("https://{name}")));
        url.map(Some).map_err(|why| misused(format!("{domain:?}: {why}")))
    }

    /// Whether an authority must be agreed with before anything is ordered there.
    pub fn needs_agreement(&self) -> bool {
        self.domain.is_some() && self.who_encrypts() == Tls::Acme && !self.agree_tos
    }

    fn who_encrypts(&self) -> Tls {
        self.tls.unwrap_or_default()
    }

    /// What was wished for and is otherwise in settings that stay as they are: the setting, its value there, and the wish.
    ///
    /// # Errors
    ///
    /// As [`Wishes::public_url`].
    pub fn unlike(&self, config: &Config) -> Result<Option<(&'static str, String, String)>> {
        let there = &config.server.public_url;
        if let Some(wished) = self.public_url()?.filter(|wished| wished.origin() != there.origin()) {
            return Ok(Some(("server.public_url", there.to_string(), wished.to_string())));
        }
        let mode = config.tls_mode();
        if let Some(wished) = self.tls.map(Tls::mode).filter(|wished| *wished != mode) {
            let (there, wished) = (mode.as_str().to_owned(), wished.as_str().to_owned());
            return Ok(Some(("tls.mode", there, wished)));
        }
        let there = config.tls.acme_email.as_ref();
        if let Some(wished) = self.acme_email.as_ref().filter(|wished| there != Some(*wished)) {
            let there = there.cloned().unwrap_or_default();
            return Ok(Some(("tls.acme_email", there, wished.clone())));
        }
        if self.agree_tos && mode == TlsMode::Acme && !config.tls.acme_agree_tos {
            let (there, wished) = ("false".to_owned(), "true".to_owned());
            return Ok(Some(("tls.acme_agree_tos", there, wished)));
        }
        Ok(None)
    }
}

/// The unit for a binary that was put in place by hand.
pub fn unit() -> String {
    PACKAGED_UNIT.replace(PACKAGED_BINARY, BINARY)
}

/// Whether nobody has written anything of their own into these settings yet: they are as a package brings them.
pub fn are_untouched(settings: &str) -> bool {
    settings == PACKAGED_SETTINGS
}

/// The settings to begin with.
///
/// # Errors
///
/// As [`Wishes::public_url`].
pub fn settings(wishes: &Wishes) -> Result<String> {
    let Some(url) = wishes.public_url()? else {
        return Ok(PACKAGED_SETTINGS.to_owned());
    };
    let mut server = format!("public_url = {}\n", quoted(url.origin()));
    let mut tls = String::new();
    match wishes.who_encrypts() {
        Tls::Acme => {
            tls.push_str("mode = \"acme\"\n");
            tls.push_str(&format!("acme_agree_tos = {}\n", wishes.agree_tos));
            if let Some(address) = &wishes.acme_email {
                tls.push_str(&format!("acme_email = {}\n", quoted(address)));
            }
        }
        Tls::Proxy => tls.push_str("mode = \"proxy\"\n"),
        Tls::SelfSigned => tls.push_str("mode = \"self-signed\"\n"),
    }
    if wishes.who_encrypts() == Tls::Proxy {
        server.push_str("listen = [\"127.0.0.1:8080\"]\n");
    } else {
        server.push_str("listen = [\"[::]:443\"]\nlisten_http = [\"[::]:80\"]\n");
    }
    let text = PACKAGED_SETTINGS.replace("# public_url = \"https://cloud.example.org\"\n", &server);
    Ok(format!("{text}\n[tls]\n{tls}"))
}

/// A text as a file in TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wishes(domain: &str, tls: Tls) -> Wishes {
        Wishes {
            domain: Some(domain.to_owned()),
            tls: Some(tls),
            agree_tos: true,
            acme_email: Some("admin@example.org".to_owned()),
        }
    }

    #[test]
    fn the_settings_to_begin_with_are_right_for_each_way_to_do_tls() {
        let check = |tls, mode, listen: &str| {
            let text = settings(&wishes("cloud.example.org", tls)).unwrap();
            let config = Config::parse(&text, "ocm.toml").unwrap();
            assert_eq!(config.server.public_url.origin(), "https://cloud.example.org");
            assert_eq!(config.tls_mode(), mode);
            assert_eq!(config.server.listen.0[0].to_string(), listen);
            assert_eq!(config.server.data_dir.to_str(), Some(DATA));
            config
        };
        let acme = check(Tls::Acme, TlsMode::Acme, "[::]:443");
        assert!(acme.tls.acme_agree_tos);
        assert_eq!(acme.tls.acme_email.as_deref(), Some("admin@example.org"));
        check(Tls::SelfSigned, TlsMode::SelfSigned, "[::]:443");
        let behind = check(Tls::Proxy, TlsMode::Proxy, "127.0.0.1:8080");
        assert!(!behind.tls.acme_agree_tos);
    }

    #[test]
    fn without_a_name_the_server_is_for_this_machine() {
        let text = settings(&Wishes::default()).unwrap();
        assert!(are_untouched(&text));
        let config = Config::parse(&text, "ocm.toml").unwrap();
        assert!(config.server.listen.0.iter().all(|address| address.ip().is_loopback()));
    }

    #[test]
    fn only_a_name_is_a_domain() {
        for wrong in [
            "https://cloud.example.org",
            "cloud.example.org:8443",
            "203.0.113.7",
            "cloud",
        ] {
            let error = wishes(wrong, Tls::Acme).public_url().unwrap_err();
            assert!(error.message().contains(wrong), "{wrong:?}: {error}");
        }
        let ours = wishes("Cloud.Example.org", Tls::Acme).public_url().unwrap().unwrap();
        assert_eq!(ours.provider().to_string(), "cloud.example.org");
    }

    #[test]
    fn nothing_that_somebody_types_becomes_a_setting_of_its_own() {
        let mut wishes = wishes("cloud.example.org", Tls::Acme);
        wishes.acme_email = Some("a@b.c\"\nacme_directory = \"https://evil.example/\"".to_owned());
        let config = Config::parse(&settings(&wishes).unwrap(), "ocm.toml").unwrap();
        assert_eq!(config.tls.acme_directory, Config::default().tls.acme_directory);
    }
}
