//! `ocmesh config`: the settings, and whether a file of them is right.

use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::config::EXAMPLE;
use crate::config::problems;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what is in force
    Show {
        /// Also show who decides it: a file and its line, the environment, or nobody
        #[arg(long)]
        origin: bool,
    },
    /// Read a file as a start would, and say all that is wrong with it
    Check {
        /// Which one, in place of the one that a start would read
        file: Option<PathBuf>,
    },
    /// Have the running server read its settings again, without refusing anybody meanwhile
    Reload,
    /// Print every setting with its default and an explanation
    Default,
}

impl Verb {
    /// What it says where no server and no data are needed; none for what is asked of the server.
    ///
    /// # Errors
    ///
    /// As [`Config::load`](crate::config::Config::load), with the lines.
    pub fn here(&self, named: Option<&Path>) -> Result<Option<String>> {
        match self {
            Self::Show { .. } | Self::Reload => Ok(None),
            Self::Check { file } => {
                let found = problems(file.as_deref().or(named))?;
                match found.len() {
                    0 => Ok(Some("No problems.".to_owned())),
                    1 => Err(Error::new(Reason::ConfigInvalid, found.concat())),
                    more => {
                        let all = format!("{}\n{more} problems", found.join("\n"));
                        Err(Error::new(Reason::ConfigInvalid, all))
                    }
                }
            }
            Self::Default => Ok(Some(EXAMPLE.trim_end().to_owned())),
        }
    }

    pub fn request(self) -> Request {
        if matches!(self, Self::Reload) {
            return Request::new(Call::ConfigReload, reread);
        }
        let show: fn(&serde_json::Value) -> String = match self {
            Self::Show { origin: true } => |settings| {
                let mut rows = settings.clone();
                for row in rows.as_array_mut().into_iter().flatten() {
                    if row["origin"] == "" {
                        row["origin"] = "default".into();
                    }
                }
                table::rows(&rows, &["key", "value", "origin"], "")
            },
            _ => |settings| table::rows(settings, &["key", "value"], ""),
        };
        Request::new(Call::ConfigShow, show)
    }
}

fn reread(answer: &serde_json::Value) -> String {
    let list = |key: &str| {
        let names = answer[key].as_array().map_or(&[] as &[_], Vec::as_slice);
        names
            .iter()
            .filter_map(|name| name.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    };
    let mut said = match list("changed") {
        none if none.is_empty() => "Read again; no setting has changed.".to_owned(),
        changed => format!("Read again. In force now: {changed}"),
    };
    let waiting = list("after_restart");
    if !waiting.is_empty() {
        said.push_str(&format!("\nAs before until a restart: {waiting}"));
    }
    if let Some(why) = answer["certificate"].as_str() {
        said.push_str(&format!("\nThe certificate files are refused: {why}"));
    }
    said
}
