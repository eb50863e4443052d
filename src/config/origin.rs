//! Where the value of a setting comes from, so that pages and commands can say who decides it.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use toml::Spanned;
use toml::de::DeTable;
use toml::de::DeValue;

/// Where the value of a setting comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nobody said anything.
    #[default]
    Default,
    File {
        path: PathBuf,
        /// From one.
        line: usize,
    },
    /// The variable of this name, which wins over the file.
    Environment(String),
    /// The option of this name on the command line, which wins over all.
    Flag(String),
}

impl Origin {
    /// Whether somebody chose the value before the server was started.
    pub fn is_set(&self) -> bool {
        *self != Self::Default
    }
}

/// `/etc/ocm/ocm.toml:41`, or the variable's name; nothing for a default.
impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => Ok(()),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) | Self::Flag(name) => f.write_str(name),
        }
    }
}

/// The origins of all settings that somebody set, by `section.key`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Origins(BTreeMap<String, Origin>);

impl Origins {
    /// What a file sets; its text has been read as a configuration before.
    pub fn of_file(text: &str, path: &Path) -> Self {
        let mut found = Self::default();
        if let Ok(table) = DeTable::parse(text) {
            found.take_table(table.get_ref(), "", &|at| Origin::File {
                path: path.to_owned(),
                line: text[..at.min(text.len())].matches('\n').count() + 1,
            });
        }
        found
    }

    pub fn set(&mut self, setting: String, origin: Origin) {
        self.0.insert(setting, origin);
    }

    pub fn of(&self, setting: &str) -> Origin {
        self.0.get(setting).cloned().unwrap_or_default()
    }

    fn take_table(&mut self, table: &DeTable<'_>, within: &str, at: &dyn Fn(usize) -> Origin) {
        for (key, value) in table {
            let name = match within {
                "" => key.get_ref().to_string(),
                within => format!("{within}.{}", key.get_ref()),
            };
            self.take(value, name, key.span().start, at);
        }
    }

    fn take(&mut self, value: &Spanned<DeValue<'_>>, name: String, start: usize, at: &dyn Fn(usize) -> Origin) {
        match value.get_ref() {
            DeValue::Table(table) => self.take_table(table, &name, at),
            DeValue::Array(items) => {
                for (number, item) in items.iter().enumerate() {
                    if let DeValue::Table(table) = item.get_ref() {
                        self.take_table(table, &format!("{name}[{}]", number + 1), at);
                    }
                }
            }
            _ => {}
        }
        self.set(name, at(start));
    }
}

/// The setting in whose value the byte `at` of a file stands.
pub(super) fn value_at(text: &str, at: usize) -> Option<String> {
    let table = DeTable::parse(text).ok()?;
    value_within(table.get_ref(), "", at)
}

fn value_within(table: &DeTable<'_>, within: &str, at: usize) -> Option<String> {
    table.iter().find_map(|(key, value)| {
        let name = match within {
            "" => key.get_ref().to_string(),
            within => format!("{within}.{}", key.get_ref()),
        };
        match value.get_ref() {
            DeValue::Table(table) => value_within(table, &name, at),
            DeValue::Array(items) => {
                let inner = items
                    .iter()
                    .enumerate()
                    .find_map(|(number, item)| match item.get_ref() {
                        DeValue::Table(table) => value_within(table, &format!("{name}[{}]", number + 1), at),
                        _ => None,
                    });
                inner.or_else(|| value.span().contains(&at).then_some(name))
            }
            _ => value.span().contains(&at).then_some(name),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_found_by_its_place() {
        let text = "[tls]\nmode = \"x\"\n[[a.b]]\nc = 1\n[[a.b]]\nc = [2, 3]\n";
        let check = |part: &str, expected: Option<&str>| {
            assert_eq!(value_at(text, text.find(part).unwrap()).as_deref(), expected, "{part}");
        };
        check("\"x\"", Some("tls.mode"));
        check("mode", None);
        check("1", Some("a.b[1].c"));
        check("3", Some("a.b[2].c"));
    }

    #[test]
    fn a_setting_is_found_at_its_line_however_it_is_written() {
        let text = "log.level = \"\"\"\n[server]\nname = 1\"\"\"\n[federation] # mode\nmode = \"open\"\n\
                    [tls]\nmode = \"off\"\n[[federation.directory]]\nurl = \"x\"\n[ui]\n";
        let found = Origins::of_file(text, Path::new("/etc/ocm/ocm.toml"));
        let check = |setting: &str, expected: &str| assert_eq!(found.of(setting).to_string(), expected, "{setting}");
        check("log.level", "/etc/ocm/ocm.toml:1");
        check("federation.mode", "/etc/ocm/ocm.toml:5");
        check("tls.mode", "/etc/ocm/ocm.toml:7");
        check("federation.directory[1].url", "/etc/ocm/ocm.toml:9");
        check("server.name", "");
        check("mode", "");
        assert!(!found.of("server.name").is_set());
        let found = Origins::of_file("federation = { mode = \"open\" }", Path::new("x"));
        assert_eq!(found.of("federation.mode").to_string(), "x:1");
    }
}
