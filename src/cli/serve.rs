//! `ocmesh serve`: the server in the foreground.

use std::io::IsTerminal;
use std::path::PathBuf;

use toml::Value;

use crate::api::status::certificate;
use crate::app;
use crate::app::Ended;
use crate::app::Options;
use crate::app::Running;
use crate::app::Signals;
use crate::cli::Global;
use crate::cli::connection;
use crate::cli::domain;
use crate::cli::drawn;
use crate::cli::status;
use crate::cli::table;
use crate::cli::unwritable;
use crate::config::Config;
use crate::config::Flags;
use crate::config::PublicUrl;
use crate::config::TlsMode;
use crate::doctor;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// What a shell reports of a program that was interrupted.
const INTERRUPTED: i32 = 130;

#[derive(Clone, Debug, clap::Args)]
pub struct Wishes {
    /// The name of a public server, such as cloud.example.org: on ports 443 and 80, with a certificate had by itself
    #[arg(value_parser = domain::parse)]
    domain: Option<String>,
    /// Where to listen, such as 127.0.0.1:8080; may be said several times
    #[arg(long, value_name = "ADDR")]
    listen: Vec<String>,
    /// Where plain http is answered beside https; may be said several times
    #[arg(long, value_name = "ADDR")]
    listen_http: Vec<String>,
    /// The address that people and peers see
    #[arg(long, value_name = "URL", conflicts_with = "domain")]
    public_url: Option<String>,
    /// Who encrypts, and where the certificate is from
    #[arg(long, value_name = "MODE", value_parser = ["auto", "acme", "files", "proxy", "self-signed", "off"])]
    tls: Option<String>,
    /// Agree to the terms of service of the certificate authority
    #[arg(long)]
    agree_tos: bool,
    /// Whom the certificate authority may write to
    #[arg(long, value_name = "ADDRESS")]
    acme_email: Option<String>,
    /// Have the certificate from the authority's place for trials; browsers will warn
    #[arg(long)]
    staging: bool,
    /// Write the address to this file when the server answers, and remove it when it stops
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
}

impl Wishes {
    /// What they set, over the file and the environment.
    pub fn flags(&self) -> Flags {
        let mut flags = Flags::default();
        let many = |addresses: &[String]| Value::Array(addresses.iter().cloned().map(Value::String).collect());
        if let Some(domain) = &self.domain {
            flags.set("DOMAIN", "server.public_url", format!("https://{domain}"));
            flags.suggest("DOMAIN", "server.listen", "[::]:443");
            flags.suggest("DOMAIN", "server.listen_http", "[::]:80");
        }
        for (name, setting, addresses) in [
            ("--listen", "server.listen", &self.listen),
            ("--listen-http", "server.listen_http", &self.listen_http),
        ] {
            if !addresses.is_empty() {
                flags.set(name, setting, many(addresses));
            }
        }
        for (name, setting, text) in [
            ("--public-url", "server.public_url", &self.public_url),
            ("--tls", "tls.mode", &self.tls),
            ("--acme-email", "tls.acme_email", &self.acme_email),
        ] {
            if let Some(text) = text {
                flags.set(name, setting, text.as_str());
            }
        }
        if self.agree_tos {
            flags.set("--agree-tos", "tls.acme_agree_tos", true);
        }
        if self.staging {
            flags.set("--staging", "tls.acme_directory", "letsencrypt-staging");
        }
        flags
    }

    /// The settings that a start with these wishes has.
    ///
    /// # Errors
    ///
    /// As [`Config::load`]; [`Reason::ConfigInvalid`] where a public server would speak plain http by a slip.
    pub fn load(&self, global: &Global) -> Result<Config> {
        let config = global.load(self.flags())?;
        let chosen = self.domain.is_none() || config.tls.mode != TlsMode::Auto;
        if chosen || config.tls_mode() != TlsMode::Proxy {
            return Ok(config);
        }
        let listen: Vec<_> = config.server.listen.0.iter().map(ToString::to_string).collect();
        let why = format!(
            "{}: {} is not on port 443, where a public server is asked. Say --tls proxy if a reverse proxy in front has the \
             certificate; --tls acme if port 443 leads here all the same.",
            config.origin("server.listen"),
            listen.join(", ")
        );
        Err(Error::new(Reason::ConfigInvalid, why))
    }
}

pub async fn run(mut config: Config, global: &Global, mut wishes: Wishes) -> Result<()> {
    let signals = Signals::listen()?;
    if config.tls_mode() == TlsMode::Acme && !config.tls.acme_agree_tos {
        agree(&config)?;
        wishes.agree_tos = true;
        config = wishes.load(global)?;
    }
    let running = Box::pin(app::start(config, Options::default())).await?;
    say_hello(&running).await?;
    let public_url = running.site.config.server.public_url.to_string();
    if let Some(file) = &wishes.ready_file {
        std::fs::write(file, format!("{public_url}\n")).map_err(|cause| unwritable(file, cause))?;
    }
    let ended = Box::pin(running.keep(|| wishes.load(global), signals)).await;
    if let Some(file) = &wishes.ready_file {
        let _ = std::fs::remove_file(file);
    }
    match ended {
        Ended::Well => Ok(()),
        // Requests under way would hold up the end of this program.
        Ended::AtOnce => std::process::exit(INTERRUPTED),
    }
}

/// Asks once, where there is somebody to ask.
fn agree(config: &Config) -> Result<()> {
    let authority = &config.tls.acme_directory;
    let (title, terms) = (authority.title(), authority.terms());
    if !std::io::stdin().is_terminal() {
        let why = format!(
            "tls.acme_agree_tos: The certificate is ordered from {title}, which wants its terms of service agreed to. Read \
             them at {terms}, then say --agree-tos, or acme_agree_tos = true in [tls]."
        );
        return Err(Error::new(Reason::ConfigInvalid, why));
    }
    eprint!("The certificate is ordered from {title}. Do you agree to its terms of service ({terms})? [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    if !matches!(answer.trim(), "y" | "Y" | "yes") {
        return Err(Error::new(
            Reason::NotAllowed,
            "Nothing was ordered. Other ways to a certificate: --tls files, proxy or self-signed.",
        ));
    }
    eprintln!("To be asked no more, say --agree-tos, or acme_agree_tos = true in [tls].");
    Ok(())
}

async fn say_hello(running: &Running) -> Result<()> {
    let site = &running.site;
    let server = &site.config.server;
    let listening: Vec<_> = running.addresses.iter().map(ToString::to_string).collect();
    eprintln!(
        "ocmesh {}  data in {}  federation: {}",
        env!("CARGO_PKG_VERSION"),
        connection::shown(&server.data_dir),
        status::federation(site.peers.mode().await?.as_str())
    );
    eprintln!(
        "Address      {}  (listening on {})",
        server.public_url,
        listening.join(", ")
    );
    let certificate = certificate(&site.certificates.status(), site.clock.now());
    eprintln!("Certificate  {}", table::field(&certificate, "sentence"));
    for doubt in doctor::doubts(&site.config) {
        eprintln!("WARNING      {} {}", doubt.sentence, doubt.remedy.unwrap_or_default());
    }
    if site.users.needs_setup().await? {
        let link = site.setup_link().await?;
        eprintln!("Set up       {link}  (valid 30 min; again with: ocmesh setup-link)");
        if is_readable_on_the_way(&server.public_url) {
            eprintln!(
                "WARNING      This link goes over plain http: whoever sees it on its way can become the admin. Use it on \
                 this machine, or have a certificate first: ocmesh serve DOMAIN"
            );
        }
        // A telephone reaches no address of this machine alone.
        if std::io::stderr().is_terminal() && !server.public_url.provider().is_loopback() {
            eprintln!("{}\n", drawn(&link).trim_start_matches('\n'));
        }
    }
    Ok(())
}

fn is_readable_on_the_way(url: &PublicUrl) -> bool {
    !url.is_https() && !url.provider().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setup_link_that_others_can_read_is_known() {
        let check = |url: &str, expected: bool| {
            assert_eq!(
                is_readable_on_the_way(&PublicUrl::parse(url).unwrap()),
                expected,
                "{url}"
            );
        };
        check("https://cloud.example.org", false);
        check("http://cloud.example.org", true);
        check("http://192.0.2.1:8080", true);
        check("http://127.0.0.1:8080", false);
        check("http://[::1]:8080", false);
        check("http://localhost:8080", false);
    }
}
