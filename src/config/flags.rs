//! What is said when the server is started, in the environment and on the command line, over what stands in the file.

use serde::Deserialize;
use toml::Table;
use toml::Value;

use crate::config::Config;
use crate::config::ENVIRONMENT_PREFIX;
use crate::config::Origin;
use crate::config::meant;
use crate::config::refuse;
use crate::error::Result;

/// The options of the command line that set something; they win over all else.
#[derive(Clone, Debug, Default)]
pub struct Flags(Vec<Flag>);

#[derive(Clone, Debug)]
struct Flag {
    over: Over,
    /// Whether it is only there for want of anything else said.
    yields: bool,
}

/// A value in the place of one in the file.
#[derive(Clone, Debug)]
pub(super) struct Over {
    section: String,
    key: String,
    value: Value,
    origin: Origin,
}

impl Flags {
    /// `setting` is `section.key`; `name` is what complaints call it, such as `--listen`.
    pub fn set(&mut self, name: &str, setting: &str, value: impl Into<Value>) {
        self.push(name, setting, value.into(), false);
    }

    /// The same, where neither the file nor the environment nor another option says anything.
    pub fn suggest(&mut self, name: &str, setting: &str, value: impl Into<Value>) {
        self.push(name, setting, value.into(), true);
    }

    fn push(&mut self, name: &str, setting: &str, value: Value, yields: bool) {
        let (section, key) = setting.split_once('.').unwrap_or_default();
        self.0.push(Flag {
            over: Over {
                section: section.to_owned(),
                key: key.to_owned(),
                value,
                origin: Origin::Flag(name.to_owned()),
            },
            yields,
        });
    }

    /// All that stands over the file with this text, in the order of what wins.
    pub(super) fn with(&self, environment: Vec<Over>, text: &str) -> Vec<Over> {
        let file: Table = toml::from_str(text).unwrap_or_default();
        let mut all = environment;
        let (suggested, said): (Vec<_>, Vec<_>) = self.0.iter().partition(|flag| flag.yields);
        all.extend(said.into_iter().map(|flag| flag.over.clone()));
        for Flag { over, .. } in suggested {
            let in_file = file.get(&over.section).and_then(|section| section.get(&over.key));
            if in_file.is_none() && !all.iter().any(|other| other.is_of(over)) {
                all.push(over.clone());
            }
        }
        all
    }
}

impl Over {
    pub fn setting(&self) -> String {
        format!("{}.{}", self.section, self.key)
    }

    pub fn origin(&self) -> Origin {
        self.origin.clone()
    }

    fn is_of(&self, other: &Self) -> bool {
        (&self.section, &self.key) == (&other.section, &other.key)
    }

    fn named(&self) -> String {
        match &self.origin {
            Origin::Environment(name) => format!("environment variable {name}"),
            other => other.to_string(),
        }
    }
}

/// `OCM_SERVER_PUBLIC_URL=...` is `server.public_url`; the section ends at the first `_`.
pub(super) fn of_environment(vars: impl Iterator<Item = (String, String)>) -> Vec<Over> {
    vars.filter_map(|(name, value)| {
        let (section, key) = name.strip_prefix(ENVIRONMENT_PREFIX)?.split_once('_')?;
        // A bare word is a string; anything TOML can read (true, 5, ["a"]) is what it says.
        let read = format!("v = {value}").parse::<Table>().ok();
        let value = read
            .and_then(|mut parsed| parsed.remove("v"))
            .unwrap_or(Value::String(value));
        Some(Over {
            section: section.to_ascii_lowercase(),
            key: key.to_ascii_lowercase(),
            value,
            origin: Origin::Environment(name),
        })
    })
    .collect()
}

/// The file with this text, and what stands over it.
///
/// # Errors
///
/// [`Reason::ConfigInvalid`](crate::error::Reason::ConfigInvalid) naming the variable or option that is wrong.
pub(super) fn overlay(text: &str, all: &[Over]) -> Result<Config> {
    let mut table: Table = toml::from_str(text).map_err(|error| refuse(error.to_string()))?;
    for over in all {
        let section = table
            .entry(over.section.clone())
            .or_insert_with(|| Value::Table(Table::new()));
        let section = section
            .as_table_mut()
            .ok_or_else(|| refuse(format!("{}: not a setting", over.named())))?;
        section.insert(over.key.clone(), over.value.clone());
        Config::deserialize(Value::Table(table.clone()))
            .map_err(|error| refuse(format!("{}: {}", over.named(), meant::with_hint(error.message()))))?;
    }
    Config::deserialize(Value::Table(table)).map_err(|error| refuse(error.message().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "[server]\nname = \"file\"";

    fn read(vars: &[(&str, &str)], flags: &Flags) -> Result<Config> {
        let environment = of_environment(vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())));
        overlay(FILE, &flags.with(environment, FILE))
    }

    #[test]
    fn the_environment_wins_over_the_file_and_is_named_when_wrong() {
        let read = |vars: &[(&str, &str)]| read(vars, &Flags::default());
        assert_eq!(read(&[("OCM_SERVER_NAME", "env")]).unwrap().server.name, "env");
        let config = read(&[("OCM_FEDERATION_REQUIRE_SIGNATURES", "false"), ("PATH", "/bin")]).unwrap();
        assert!(!config.federation.require_signatures);
        assert_eq!(config.server.name, "file");
        let error = read(&[("OCM_TLS_MODE", "acne")]).unwrap_err();
        assert!(error.to_string().contains("OCM_TLS_MODE"), "{error}");
    }

    #[test]
    fn the_command_line_wins_over_the_environment_and_what_it_suggests_over_nothing() {
        let mut flags = Flags::default();
        flags.suggest("DOMAIN", "server.name", "suggested");
        assert_eq!(read(&[], &flags).unwrap().server.name, "file");
        assert_eq!(read(&[("OCM_SERVER_NAME", "env")], &flags).unwrap().server.name, "env");
        flags.set("--name", "server.name", "flag");
        assert_eq!(read(&[("OCM_SERVER_NAME", "env")], &flags).unwrap().server.name, "flag");
        let mut flags = Flags::default();
        flags.suggest("DOMAIN", "server.listen", "127.0.0.1:1");
        flags.suggest("DOMAIN", "server.listen", "127.0.0.1:2");
        assert_eq!(read(&[], &flags).unwrap().server.listen.0[0].port(), 1);
        flags.set("--tls", "tls.mode", "acne");
        let error = read(&[], &flags).unwrap_err().to_string();
        assert!(
            error.starts_with("--tls: ") && error.contains("Did you mean acme?"),
            "{error}"
        );
    }
}
