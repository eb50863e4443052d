//! A database filled from entries, whole on disk before it is anyone's; and what stands in one that nobody has open.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::path::PathBuf;

use ::sled::Batch;
use ::sled::Db;

use super::caught;
use super::start;
use crate::error::Result;
use crate::store::Epoch;
use crate::store::Options;
use crate::store::Present;
use crate::store::dir;
use crate::store::dir::DataDir;
use crate::store::txn::Entry;

/// How many entries are written as one batch.
const BATCH: usize = 500;

/// A database in the making.
pub(in crate::store) struct Loader {
    path: PathBuf,
    db: Option<Db>,
    batch: Batch,
    waiting: usize,
}

impl Loader {
    /// One in `path`, which is not there yet.
    pub(in crate::store) fn new(path: &Path, options: &Options) -> Result<Self> {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path)
            .map_err(|cause| dir::unusable(path, cause))?;
        Ok(Self {
            path: path.to_owned(),
            db: Some(start::open_at(path, path, options)?),
            batch: Batch::default(),
            waiting: 0,
        })
    }

    pub(in crate::store) fn put(&mut self, (name, value): Entry) -> Result<()> {
        self.batch.insert(name.as_str(), value);
        self.waiting += 1;
        if self.waiting < BATCH {
            return Ok(());
        }
        self.write()
    }

    fn write(&mut self) -> Result<()> {
        self.waiting = 0;
        let batch = std::mem::take(&mut self.batch);
        self.guarded(|db| db.apply_batch(batch))
    }

    /// Brings it to disk. It is for others to open then.
    pub(in crate::store) fn finish(mut self) -> Result<()> {
        self.write()?;
        self.guarded(|db| db.flush().map(drop))?;
        let lost = self.guarded(start::find_loss)?;
        if let Some(what) = lost {
            return Err(dir::damaged(&self.path, &what));
        }
        let db = self.db.take();
        let _ = caught(|| drop(db));
        sync_all(&self.path).map_err(|cause| dir::unusable(&self.path, cause))
    }

    fn guarded<T>(&self, work: impl FnOnce(&Db) -> ::sled::Result<T>) -> Result<T> {
        let Some(db) = &self.db else {
            return Err(dir::damaged(&self.path, "it was finished before"));
        };
        match caught(|| work(db)) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(::sled::Error::Io(cause))) => Err(dir::unusable(&self.path, cause)),
            Ok(Err(other)) => Err(dir::damaged(&self.path, &other.to_string())),
            Err(panic) => Err(dir::damaged(&self.path, &panic)),
        }
    }
}

/// Makes a folder and all below it last.
pub(in crate::store) fn sync_all(path: &Path) -> io::Result<()> {
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let kind = entry.file_type()?;
        if kind.is_dir() {
            sync_all(&entry.path())?;
        } else if kind.is_file() {
            File::open(entry.path())?.sync_all()?;
        }
    }
    File::open(path)?.sync_all()
}

/// Every entry of an open database, in order.
pub(super) fn entries(path: &Path, db: &Db) -> impl Iterator<Item = Result<Entry>> {
    let mut iter = db.iter();
    let mut over = false;
    std::iter::from_fn(move || {
        // What panicked once has nothing more to say.
        if over {
            return None;
        }
        let entry = match caught(|| iter.next()) {
            Ok(None) => return None,
            Ok(Some(Ok((name, value)))) => {
                let name = String::from_utf8(name.to_vec());
                return Some(
                    name.map(|name| (name, value.to_vec()))
                        .map_err(|_| dir::damaged(path, "a key is not text")),
                );
            }
            Ok(Some(Err(cause))) => dir::damaged(path, &cause.to_string()),
            Err(panic) => dir::damaged(path, &panic),
        };
        over = true;
        Some(Err(entry))
    })
}

/// What stands in a directory that this process has taken.
pub(in crate::store) fn look(dir: &DataDir, wanted: &[&str]) -> Result<Present> {
    let mut present = Present::default();
    if !dir.db().join("db").exists() {
        present.doubt = dir
            .instance_id()?
            .map(|_| dir::damaged(dir.path(), "its database is gone"));
        return Ok(present);
    }
    let ledger = dir.ledger()?;
    let db = start::open_db(dir, &Options::default())?;
    present.doubt =
        caught(|| start::doubt(dir, &db, &ledger)).unwrap_or_else(|panic| Some(dir::damaged(dir.path(), &panic)));
    let looked = entries(dir.path(), &db).try_for_each(|entry| {
        let (name, value) = entry?;
        let kind = name.split('/').next().unwrap_or_default();
        *present.records.entry(kind.to_owned()).or_default() += 1;
        match name.as_str() {
            start::EPOCH_KEY => present.epoch = Epoch::read(&String::from_utf8_lossy(&value)),
            start::INSTANCE_KEY => present.instance_id = String::from_utf8_lossy(&value).into_owned(),
            _ if wanted.contains(&kind) => present.wanted.push((kind.to_owned(), value)),
            _ => {}
        }
        Ok(())
    });
    // On damage, sled may panic once more while it goes.
    let _ = caught(|| drop(db));
    looked.map(|()| present)
}

#[cfg(test)]
pub(in crate::store) mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// All that stands in a database, as text.
    pub(in crate::store) fn read(path: &Path) -> BTreeMap<String, String> {
        let db = start::open_at(path, path, &Options::default()).unwrap();
        entries(path, &db)
            .map(|entry| entry.map(|(name, value)| (name, String::from_utf8(value).unwrap())))
            .collect::<Result<_>>()
            .unwrap()
    }
}
