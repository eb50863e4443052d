//! The content of a data directory made anew from lines, and put in the place of what is there: for a restore.

use std::collections::BTreeMap;
use std::fs;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

use super::Epoch;
use super::Options;
use super::Record;
use super::Store;
use super::dir;
use super::dir::DataDir;
use super::exchange;
use super::exchange::Plan;
use super::lines;
use super::record;
use super::sled::load;
use super::sled::load::Loader;
use super::sled::start;
use crate::error::Error;
use crate::error::Result;

/// Takes one line of a backup after the other.
pub type TakeLine<'a> = dyn FnMut(String) -> Result<()> + 'a;

/// What a data directory holds.
#[derive(Clone, Debug, Default)]
pub struct Present {
    /// How many records there are, by kind.
    pub records: BTreeMap<String, u64>,
    pub epoch: Epoch,
    /// Of the installation; empty where there is none yet.
    pub instance_id: String,
    /// Why some of it may be missing, though it could be read: a start would refuse it.
    pub doubt: Option<Error>,
    /// The records that were asked for, with their kinds.
    pub(super) wanted: Vec<(String, Vec<u8>)>,
}

impl Present {
    /// Whether there is an installation, and it is not this one.
    pub fn is_of_another(&self, instance_id: &str) -> bool {
        !self.instance_id.is_empty() && self.instance_id != instance_id
    }

    /// The records of one kind, if that was asked for.
    ///
    /// # Errors
    ///
    /// As [`Txn::get`](super::Txn::get).
    pub fn all<R: Record>(&self) -> Result<Vec<R>> {
        let of_kind = self.wanted.iter().filter(|(kind, _)| kind == R::KIND);
        of_kind.map(|(_, bytes)| record::decode(bytes)).collect()
    }
}

/// A data directory that nobody else may use meanwhile, and the new content that is made ready inside it.
///
/// Dropped before [`Renewal::put_in_place`], it leaves everything as it was.
pub struct Renewal {
    dir: DataDir,
}

impl Renewal {
    /// # Errors
    ///
    /// As [`Store::open`]: [`Reason::DataLocked`](crate::error::Reason::DataLocked) while a server runs.
    pub fn begin(data: &Path) -> Result<Self> {
        Ok(Self {
            dir: DataDir::take(data)?,
        })
    }

    /// What is there now, with all records of these kinds.
    ///
    /// # Errors
    ///
    /// [`Reason::DataDamaged`](crate::error::Reason::DataDamaged); as the disk has it.
    pub fn now(&self, wanted: &[&str]) -> Result<Present> {
        load::look(&self.dir, wanted)
    }

    /// Makes a folder of the new content.
    ///
    /// # Errors
    ///
    /// As the file system has it.
    pub fn make_folder(&self, path: &Path) -> Result<()> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|cause| dir::unusable(self.dir.path(), cause))
    }

    /// Opens the new content, once it is loaded.
    ///
    /// # Errors
    ///
    /// As [`Store::open`].
    pub fn open(&self) -> Result<Store> {
        Store::open(&self.incoming(), Options::default())
    }

    /// The directory in which the new content is made ready, and which is a data directory itself once it is loaded.
    pub fn incoming(&self) -> PathBuf {
        self.dir.path().join(exchange::INCOMING)
    }

    /// Fills the database of the new content with the lines that `feed` hands over. Whatever these say, it is of this epoch.
    ///
    /// # Errors
    ///
    /// [`Reason::DataDamaged`](crate::error::Reason::DataDamaged) for a line that is none; what `feed` returns.
    pub fn load(&self, epoch: Epoch, feed: &mut dyn FnMut(&mut TakeLine<'_>) -> Result<()>) -> Result<()> {
        let mut loader = Loader::new(&self.incoming().join("db"), &Options::default())?;
        feed(&mut |line| {
            let entry = lines::entry(&line)?;
            if entry.0 == start::EPOCH_KEY {
                return Ok(());
            }
            loader.put(entry)
        })?;
        loader.put((start::EPOCH_KEY.to_owned(), epoch.to_string().into_bytes()))?;
        loader.finish()
    }

    /// Puts everything that was made ready in the place of what has its name; that, and the rest of the old database, goes
    /// into the folder `aside`. From the moment at which this has begun, a stop changes nothing about its outcome.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`](crate::error::Reason::Conflict) where something is a mount point; as the disk has it.
    pub fn put_in_place(self, aside: &str) -> Result<()> {
        let path = self.dir.path();
        let incoming = self.incoming();
        let read = || {
            load::sync_all(&incoming)?;
            let mut names = Vec::new();
            for entry in fs::read_dir(&incoming)? {
                names.push(entry?.file_name().to_string_lossy().into_owned());
            }
            Ok(names)
        };
        let mut take_in = read().map_err(|cause| dir::unusable(path, cause))?;
        // The lock is the one that this process holds; how many changes the disk has is not known of new data.
        take_in.retain(|name| !matches!(name.as_str(), "lock" | "durable"));
        take_in.sort();
        let plan = Plan {
            aside: aside.to_owned(),
            take_in,
            put_aside: vec!["durable".to_owned()],
            keep: true,
        };
        exchange::begin(path, &plan)
    }
}

impl Drop for Renewal {
    fn drop(&mut self) {
        // After an exchange there is nothing left of it; before one it is nobody's.
        let _ = exchange::finish(self.dir.path());
    }
}
