//! `ocmesh config`: the settings, and whether a file of them is right.

use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::config::Config;
use crate::config::EXAMPLE;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what is in force
    Show {
        /// Also show who decides it: a file and its line, the environment, or nobody
        #[arg(long)]
        origin: bool,
    },
    /// Read a file as a start would, and say what is wrong with it
    Check { file: Option<PathBuf> },
    /// Print every setting with its default and an explanation
    Default,
}

impl Verb {
    /// What it says where no server and no data are needed; none for what is asked of the server.
    ///
    /// # Errors
    ///
    /// As [`Config::load`], with the line.
    pub fn here(&self, named: Option<&Path>) -> Result<Option<String>> {
        match self {
            Self::Show { .. } => Ok(None),
            Self::Check { file } => {
                Config::load(file.as_deref().or(named))?;
                Ok(Some("No problems.".to_owned()))
            }
            Self::Default => Ok(Some(EXAMPLE.trim_end().to_owned())),
        }
    }

    pub fn request(self) -> Request {
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
