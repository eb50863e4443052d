//! How the engine is opened: alone, and only if all that should be there is.

use std::path::Path;
use std::thread;
use std::time::Duration;
use std::time::Instant;

use ::sled::Batch;
use ::sled::Db;

use super::caught;
use crate::error::Error;
use crate::error::Result;
use crate::store::Epoch;
use crate::store::Options;
use crate::store::SCHEMA;
use crate::store::dir;
use crate::store::dir::DataDir;
use crate::store::dir::Ledger;

pub(in crate::store) const SCHEMA_KEY: &str = "meta/schema";
/// How often the data was put back from a backup, and when that was last.
pub(in crate::store) const EPOCH_KEY: &str = "meta/epoch";
/// The ocmesh that had it open last.
pub(in crate::store) const WRITER_KEY: &str = "meta/ocmesh";
pub(super) const INSTANCE_KEY: &str = "meta/instance_id";
/// The number of the last change, written with each; the [`Ledger`] knows which must be there.
pub(super) const CHANGES_KEY: &str = "meta/changes";

/// What this program calls itself.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A process that was killed, or a store just closed, lets go of sled's lock only after its threads have ended.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

/// What a database says of itself.
pub(super) struct Began {
    pub(super) instance_id: String,
    /// The number of the last change.
    pub(super) changes: u64,
    pub(super) schema: u32,
    pub(super) epoch: Epoch,
}

/// Opens the database of a directory, if it is ours and whole.
pub(super) fn open(dir: &DataDir, options: &Options, ledger: &Ledger) -> Result<(Db, Began)> {
    if dir.instance_id()?.is_some() && !dir.db().join("db").exists() {
        return Err(dir::damaged(dir.path(), "its database is gone"));
    }
    let db = open_db(dir, options)?;
    let began = caught(|| begin(dir, &db, ledger)).unwrap_or_else(|panic| Err(dir::damaged(dir.path(), &panic)));
    match began {
        Ok(began) => Ok((db, began)),
        Err(refused) => {
            // On damage, sled may panic once more while it goes.
            let _ = caught(|| drop(db));
            Err(refused)
        }
    }
}

pub(super) fn open_db(dir: &DataDir, options: &Options) -> Result<Db> {
    open_at(&dir.db(), dir.path(), options)
}

/// Opens the database at `path`; complaints name `whole`.
pub(super) fn open_at(path: &Path, whole: &Path, options: &Options) -> Result<Db> {
    let config = ::sled::Config::new().path(path).cache_capacity(options.cache);
    let began = Instant::now();
    loop {
        let cause = match caught(|| config.open()) {
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(cause)) => cause,
            Err(panic) => return Err(dir::damaged(whole, &panic)),
        };
        match cause {
            ::sled::Error::Io(cause) if cause.to_string().starts_with("could not acquire lock") => {
                if began.elapsed() > LOCK_PATIENCE {
                    return Err(dir::locked(whole, ""));
                }
                thread::sleep(Duration::from_millis(10));
            }
            ::sled::Error::Io(cause) => return Err(dir::unusable(whole, cause)),
            other => return Err(dir::damaged(whole, &other.to_string())),
        }
    }
}

/// Makes sure that the data is ours and whole.
fn begin(dir: &DataDir, db: &Db, ledger: &Ledger) -> Result<Began> {
    let path = dir.path();
    let unreadable = |cause: ::sled::Error| dir::damaged(path, &cause.to_string());
    let text = |key: &str| -> Result<Option<String>> {
        let value = db.get(key).map_err(unreadable)?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    };
    let writer = text(WRITER_KEY)?;
    let mut schema = SCHEMA;
    if let Some(said) = text(SCHEMA_KEY)? {
        schema = said
            .parse()
            .map_err(|_| dir::damaged(path, "it does not say its format"))?;
        if schema > SCHEMA {
            return Err(dir::newer(path, schema, writer.as_deref()));
        }
    }
    let marker = dir.instance_id()?;
    if let Some(doubt) = doubt(dir, db, ledger) {
        return Err(doubt);
    }
    let id = match (&marker, text(INSTANCE_KEY)?) {
        (Some(_), Some(id)) => id,
        // That is what the doubt was about.
        (Some(_), None) => return Err(dir::damaged(path, "its database is empty, and was not")),
        // Restored from a backup, or the very first start ended before the marker was written.
        (None, Some(id)) => id,
        (None, None) if db.is_empty() => return create(dir, db),
        (None, None) => return Err(dir::damaged(path, "its database was not written by ocmesh")),
    };
    let changes = changes(db).map_err(unreadable)?;
    dir.sync().map_err(|cause| dir::unusable(path, cause))?;
    if marker.is_none() {
        dir.set_instance_id(&id)?;
    }
    // A later format is the update's to write.
    if schema == SCHEMA && writer.as_deref() != Some(VERSION) {
        db.insert(WRITER_KEY, VERSION).map_err(unreadable)?;
    }
    Ok(Began {
        instance_id: id,
        changes,
        schema,
        epoch: text(EPOCH_KEY)?.map_or_else(Epoch::default, |said| Epoch::read(&said)),
    })
}

/// The number of the last change.
fn changes(db: &Db) -> ::sled::Result<u64> {
    let said = db.get(CHANGES_KEY)?;
    let said = said.and_then(|changes| str::from_utf8(&changes).ok()?.parse().ok());
    Ok(said.unwrap_or(0))
}

/// Why this is not all that was written here, as far as that shows.
pub(super) fn doubt(dir: &DataDir, db: &Db, ledger: &Ledger) -> Option<Error> {
    let found = || -> ::sled::Result<Option<String>> {
        let id = db.get(INSTANCE_KEY)?;
        let id = id.map(|id| String::from_utf8_lossy(&id).into_owned());
        match (dir.instance_id().ok().flatten(), id) {
            (Some(marker), Some(id)) if marker != id => {
                return Ok(Some("its database is another installation's".to_owned()));
            }
            (Some(_), None) => return Ok(Some("its database is empty, and was not".to_owned())),
            _ => {}
        }
        match ledger.read().saturating_sub(changes(db)?) {
            0 => find_loss(db),
            gone => Ok(Some(format!("its last changes are gone, {gone} of them"))),
        }
    };
    match found() {
        Ok(what) => what.map(|what| dir::damaged(dir.path(), &what)),
        Err(cause) => Some(dir::damaged(dir.path(), &cause.to_string())),
    }
}

/// The marker comes last: where it is, there is something to lose.
fn create(dir: &DataDir, db: &Db) -> Result<Began> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(Error::internal)?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut batch = Batch::default();
    batch.insert(SCHEMA_KEY, SCHEMA.to_string().as_bytes());
    batch.insert(INSTANCE_KEY, id.as_bytes());
    batch.insert(EPOCH_KEY, Epoch::default().to_string().as_bytes());
    batch.insert(WRITER_KEY, VERSION);
    db.apply_batch(batch)
        .and_then(|()| db.flush())
        .map_err(|cause| match cause {
            ::sled::Error::Io(cause) => dir::unusable(dir.path(), cause),
            other => Error::internal(other),
        })?;
    dir.sync().map_err(|cause| dir::unusable(dir.path(), cause))?;
    dir.set_instance_id(&id)?;
    Ok(Began {
        instance_id: id,
        changes: 0,
        schema: SCHEMA,
        epoch: Epoch::default(),
    })
}

/// Reads everything once: a damaged page makes itself known, a lost one is betrayed by an index that names what was on
/// it.
pub(super) fn find_loss(db: &Db) -> ::sled::Result<Option<String>> {
    let mut lost = 0_u64;
    for entry in db.iter() {
        let (name, key) = entry?;
        let mut name = name.split(|byte| *byte == b'/');
        if let (Some(b"index"), Some(kind)) = (name.next(), name.next())
            && !db.contains_key([kind, b"/", &key].concat())?
        {
            lost += 1;
        }
    }
    Ok((lost > 0).then(|| format!("records are gone that its indexes name, {lost} of them")))
}
