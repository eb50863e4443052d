//! What a backup says of itself: where it is from, when it was made, and what must be in it.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;

/// The format of the file that this program writes, and the latest it reads.
pub const FORMAT: u32 = 1;

/// The name of the manifest in the file; it is the last in it.
pub(super) const MANIFEST: &str = "manifest.json";
/// The name of the records: one line of JSON for each, in the order of their names.
pub(super) const RECORDS: &str = "records.jsonl";
/// The name of the configuration file. It is for people to read; a restore leaves the one that is there.
pub(super) const SETTINGS: &str = "settings.toml";

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    pub format: u32,
    /// The version that made it.
    pub ocmesh: String,
    /// The format of the records.
    pub schema: u32,
    pub instance_id: String,
    pub public_url: String,
    /// RFC 3339.
    pub made: String,
    /// How often the data had been put back from a backup before.
    pub epoch: u64,
    /// How many records there are, by kind.
    pub records: BTreeMap<String, u64>,
    pub entries: Vec<Packed>,
}

/// One file in a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packed {
    pub name: String,
    /// Bytes, unpacked.
    pub size: u64,
    pub sha256: String,
    /// When it was last changed, where that is of interest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified: Option<i64>,
}

impl Manifest {
    pub fn made_at(&self) -> Timestamp {
        Timestamp::parse(&self.made).unwrap_or_default()
    }

    /// The records that people know of: without indexes and facts about the whole.
    pub fn kinds(&self) -> impl Iterator<Item = (&str, u64)> {
        kinds(&self.records)
    }
}

pub(super) fn kinds(records: &BTreeMap<String, u64>) -> impl Iterator<Item = (&str, u64)> {
    let counted = records.iter().map(|(kind, number)| (kind.as_str(), *number));
    counted.filter(|(kind, _)| !matches!(*kind, "index" | "meta"))
}
