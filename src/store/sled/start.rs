//! How the engine is opened: alone, and only if all that should be there is.

use std::thread;
use std::time::Duration;
use std::time::Instant;

use ::sled::Batch;
use ::sled::Db;

use super::caught;
use crate::error::Error;
use crate::error::Result;
use crate::store::Options;
use crate::store::SCHEMA;
use crate::store::dir;
use crate::store::dir::DataDir;
use crate::store::dir::Ledger;

const SCHEMA_KEY: &str = "meta/schema";
const INSTANCE_KEY: &str = "meta/instance_id";
/// The number of the last change, written with each; the [`Ledger`] knows which must be there.
pub(super) const CHANGES_KEY: &str = "meta/changes";

/// A process that was killed, or a store just closed, lets go of sled's lock only after its threads have ended.
const LOCK_PATIENCE: Duration = Duration::from_secs(3);

pub(super) fn open_db(dir: &DataDir, options: &Options) -> Result<Db> {
    let config = ::sled::Config::new().path(dir.db()).cache_capacity(options.cache);
    let began = Instant::now();
    loop {
        let cause = match caught(|| config.open()) {
            Ok(Ok(db)) => return Ok(db),
            Ok(Err(cause)) => cause,
            Err(panic) => return Err(dir::damaged(dir.path(), &panic)),
        };
        match cause {
            ::sled::Error::Io(cause) if cause.to_string().starts_with("could not acquire lock") => {
                if began.elapsed() > LOCK_PATIENCE {
                    return Err(dir::locked(dir.path(), ""));
                }
                thread::sleep(Duration::from_millis(10));
            }
            ::sled::Error::Io(cause) => return Err(dir::unusable(dir.path(), cause)),
            other => return Err(dir::damaged(dir.path(), &other.to_string())),
        }
    }
}

/// Makes sure that the data is ours and whole; gives the installation's id and the number of the last change.
pub(super) fn begin(dir: &DataDir, db: &Db, ledger: &Ledger) -> Result<(String, u64)> {
    let path = dir.path();
    let unreadable = |cause: ::sled::Error| dir::damaged(path, &cause.to_string());
    let text = |key: &str| -> Result<Option<String>> {
        let value = db.get(key).map_err(unreadable)?;
        Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned()))
    };
    if let Some(schema) = text(SCHEMA_KEY)? {
        match schema.parse::<u32>() {
            Ok(known) if known <= SCHEMA => {}
            Ok(_) => return Err(dir::newer(path, &schema)),
            Err(_) => return Err(dir::damaged(path, "it does not say its format")),
        }
    }
    let marker = dir.instance_id()?;
    let id = match (&marker, text(INSTANCE_KEY)?) {
        (Some(marker), Some(id)) if *marker == id => id,
        (Some(_), Some(_)) => return Err(dir::damaged(path, "its database is another installation's")),
        (Some(_), None) => return Err(dir::damaged(path, "its database is empty, and was not")),
        // Restored from a backup, or the very first start ended before the marker was written.
        (None, Some(id)) => id,
        (None, None) if db.is_empty() => return create(dir, db).map(|id| (id, 0)),
        (None, None) => return Err(dir::damaged(path, "its database was not written by ocmesh")),
    };
    let changes = text(CHANGES_KEY)?.and_then(|changes| changes.parse().ok()).unwrap_or(0);
    match ledger.read().checked_sub(changes) {
        None | Some(0) => {}
        Some(gone) => {
            return Err(dir::damaged(
                path,
                &format!("its last changes are gone, {gone} of them"),
            ));
        }
    }
    if let Some(what) = find_loss(db).map_err(unreadable)? {
        return Err(dir::damaged(path, &what));
    }
    dir.sync().map_err(|cause| dir::unusable(path, cause))?;
    if marker.is_none() {
        dir.set_instance_id(&id)?;
    }
    Ok((id, changes))
}

/// The marker comes last: where it is, there is something to lose.
fn create(dir: &DataDir, db: &Db) -> Result<String> {
    let mut random = [0; 16];
    aws_lc_rs::rand::fill(&mut random).map_err(Error::internal)?;
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut batch = Batch::default();
    batch.insert(SCHEMA_KEY, SCHEMA.to_string().as_bytes());
    batch.insert(INSTANCE_KEY, id.as_bytes());
    db.apply_batch(batch)
        .and_then(|()| db.flush())
        .map_err(|cause| match cause {
            ::sled::Error::Io(cause) => dir::unusable(dir.path(), cause),
            other => Error::internal(other),
        })?;
    dir.sync().map_err(|cause| dir::unusable(dir.path(), cause))?;
    dir.set_instance_id(&id)?;
    Ok(id)
}

/// Reads everything once: a damaged page makes itself known, a lost one is betrayed by an index that names what was on
/// it.
fn find_loss(db: &Db) -> ::sled::Result<Option<String>> {
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
