//! `ocmesh config`: the settings, and whether a file of them is right.

use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::json;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::print;
use crate::cli::table;
use crate::config::Config;
use crate::config::EXAMPLE;
use crate::config::problems;
use crate::doctor;
use crate::doctor::Finding;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::site::rehearsal;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what is in force
    Show {
        /// Also show who decides it: a file and its line, the environment, or nobody
        #[arg(long)]
        origin: bool,
    },
    /// Read a file, and the files that it names, as a start would, and say all that is wrong with them
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
    pub fn here(&self, named: Option<&Path>, json: bool) -> Result<Option<String>> {
        match self {
            Self::Show { .. } | Self::Reload => Ok(None),
            Self::Check { file } => check(file.as_deref().or(named), json).map(Some),
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

/// Looks at a file and at the files that it names, as a start would.
///
/// # Errors
///
/// [`Reason::ConfigInvalid`] with all that a start would refuse.
fn check(file: Option<&Path>, json: bool) -> Result<String> {
    let mut found = problems(file).unwrap_or_else(|error| vec![error.to_string()]);
    let mut doubts = Vec::new();
    if found.is_empty() {
        let config = Config::load(file)?;
        found.extend(rehearsal::refused(&config).iter().map(ToString::to_string));
        doubts = doctor::doubts(&config);
    }
    let said = match json {
        true => {
            let bad = found.iter().map(|what| json!({ "state": "bad", "sentence": what }));
            let warn = doubts
                .iter()
                .map(|doubt| json!({ "state": "warn", "sentence": doubt.sentence, "remedy": doubt.remedy }));
            let all = bad.chain(warn).collect::<Vec<_>>();
            serde_json::to_string_pretty(&all).map_err(Error::internal)?
        }
        false => {
            let remedy = |doubt: &Finding| doubt.remedy.clone().unwrap_or_default();
            let warned = doubts
                .iter()
                .map(|doubt| format!("Warning: {} {}\n", doubt.sentence, remedy(doubt)));
            warned.collect::<String>() + "No problems."
        }
    };
    if found.is_empty() {
        return Ok(said);
    }
    if json {
        print(&said)?;
    }
    Err(Error::new(
        Reason::ConfigInvalid,
        match found.len() {
            1 => found.concat(),
            more => format!("{}\n{more} problems", found.join("\n")),
        },
    ))
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
