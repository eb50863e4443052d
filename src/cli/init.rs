//! `ocmesh init`: a configuration file to begin with.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::io::Write;
use std::path::Path;

use crate::cli::domain;
use crate::cli::unwritable;
use crate::config::Config;
use crate::config::EXAMPLE;
use crate::config::SEARCHED;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

#[derive(Debug, clap::Args)]
pub struct Wishes {
    /// The name of a public server, such as cloud.example.org; without it, one for a trial on this machine
    #[arg(value_parser = domain::parse)]
    domain: Option<String>,
    /// Whom the certificate authority may write to
    #[arg(long, value_name = "ADDRESS")]
    acme_email: Option<String>,
    /// Agree to the terms of service of the certificate authority
    #[arg(long)]
    agree_tos: bool,
}

impl Wishes {
    /// Writes the file that `--config` names, or `./ocm.toml`, and says what comes next.
    ///
    /// # Errors
    ///
    /// [`Reason::AlreadyExists`] if there is one: it is never changed.
    pub fn write(&self, named: Option<&Path>) -> Result<()> {
        let file = named.unwrap_or(Path::new(SEARCHED[0]));
        let text = self.text();
        Config::parse(&text, &file.display().to_string())?;
        let wrong = |cause: std::io::Error| match cause.kind() {
            ErrorKind::AlreadyExists => Error::new(
                Reason::AlreadyExists,
                format!("{} is there already, and is left as it is.", file.display()),
            ),
            _ => unwritable(file, cause),
        };
        let mut new = OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(file)
            .map_err(wrong)?;
        new.write_all(text.as_bytes())
            .and_then(|()| new.sync_all())
            .map_err(wrong)?;
        eprintln!("Wrote {}. Look it over, then: ocmesh serve", file.display());
        Ok(())
    }

    /// The example with what was wished switched on, so that all else stands there with its explanation.
    fn text(&self) -> String {
        let mut set = Vec::new();
        if let Some(domain) = &self.domain {
            set.push(("server", "public_url", format!("\"https://{domain}\"")));
            set.push(("server", "listen", "[\"[::]:443\"]".to_owned()));
            set.push(("server", "listen_http", "[\"[::]:80\"]".to_owned()));
        }
        if let Some(mail) = &self.acme_email {
            set.push(("tls", "acme_email", toml::Value::from(mail.as_str()).to_string()));
        }
        if self.agree_tos {
            set.push(("tls", "acme_agree_tos", "true".to_owned()));
        }
        let mut within = "";
        let mut lines = Vec::new();
        for line in EXAMPLE.lines() {
            if let Some(header) = line.strip_prefix('[') {
                within = header.trim_end_matches(']');
            }
            let key = line
                .strip_prefix("# ")
                .and_then(|rest| rest.split_once(" = "))
                .map(|(key, _)| key);
            let wish = set
                .iter()
                .find(|(section, name, _)| *section == within && Some(*name) == key);
            lines.push(match wish {
                Some((_, key, value)) => format!("{key} = {value}"),
                None => line.to_owned(),
            });
        }
        lines.join("\n") + "\n"
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::TlsMode;

    #[test]
    fn what_is_written_is_what_was_wished_and_can_be_read() {
        let wishes = Wishes {
            domain: Some("cloud.example.org".to_owned()),
            acme_email: Some("\"quoted\"@example.org".to_owned()),
            agree_tos: true,
        };
        let text = wishes.text();
        let config = Config::parse(&text, "x").unwrap();
        assert_eq!(config.server.public_url.to_string(), "https://cloud.example.org");
        assert_eq!(config.tls_mode(), TlsMode::Acme);
        assert_eq!(config.server.listen_http.0[0].port(), 80);
        assert_eq!(config.tls.acme_email.as_deref(), Some("\"quoted\"@example.org"));
        assert!(config.tls.acme_agree_tos);
        assert_eq!(text.lines().count(), EXAMPLE.lines().count());
        let plain = Wishes {
            domain: None,
            acme_email: None,
            agree_tos: false,
        };
        assert_eq!(plain.text(), EXAMPLE);
    }
}
