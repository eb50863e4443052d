//! When backups are made, where they are put, and how many are kept.

use std::path::PathBuf;

use serde::Deserialize;

use crate::config::Every;
use crate::config::Span;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Backup {
    pub every: Every,
    /// Relative to `data_dir` unless absolute.
    pub dir: PathBuf,
    pub keep: Keep,
    /// Whether people's files are in it, too.
    pub include_files: bool,
}

/// How many backups are kept: the last of each of so many days, weeks and months.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keep {
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
}

impl Default for Backup {
    fn default() -> Self {
        Self {
            every: Every(Some(Span::seconds(86_400).0)),
            dir: PathBuf::from("backups"),
            keep: Keep {
                daily: 7,
                weekly: 4,
                monthly: 6,
            },
            include_files: false,
        }
    }
}
