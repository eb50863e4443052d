//! The folder that backups are kept in: what is there, what of it was found whole, and what was left over.

use std::collections::BTreeMap;
use std::fs;
use std::fs::File;
use std::io;
use std::io::ErrorKind;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use super::Made;
use super::keep;
use super::name_of;
use super::seal;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::random;
use crate::store;

/// When which backup was found whole, beside them.
const FOUND_WHOLE: &str = "verified.json";
/// How the name of one begins that is being handed over.
pub(super) const HANDED_OVER: &str = "handed-over-";
/// No backup takes longer.
const LEFT_AFTER: Duration = Duration::from_secs(86_400);

#[derive(Default, Serialize, Deserialize)]
struct FoundWhole {
    /// By the name of the file.
    #[serde(flatten)]
    by_name: BTreeMap<String, Found>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Found {
    /// The hash at its end: another file under the same name was never looked at.
    seal: String,
    at: Timestamp,
}

pub(super) fn list(folder: &Path, instance: &str) -> Result<Vec<Made>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Whoever makes one there is told what is in the way.
        Err(cause) if matches!(cause.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(cause) => {
            let message = format!("{} can't be read: {cause}.", folder.display());
            return Err(Error::new(Reason::ConfigInvalid, message).caused_by(cause));
        }
    };
    let whole = read_found(folder);
    let mut made = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let (Some(at), file) = (keep::made_at(&name), entry.path()) else {
            continue;
        };
        // One that somebody just removed, or that another installation put here, is none of ours.
        let Ok(seal) = seal::read(&file) else { continue };
        if seal.as_ref().is_some_and(|seal| seal.instance != instance) {
            continue;
        }
        let found = whole.by_name.get(&name);
        made.push(Made {
            at,
            size: entry.metadata().map_or(0, |metadata| metadata.len()),
            verified: found
                .filter(|found| seal.as_ref().is_some_and(|seal| seal.hash == found.seal))
                .map(|found| found.at),
            file,
        });
    }
    made.sort_by(|a, b| (b.at, &b.file).cmp(&(a.at, &a.file)));
    Ok(made)
}

/// Removes what was left of a backup that a stop cut off, a day ago: another server may be writing its own here.
pub(super) fn sweep(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = name_of(&entry.path());
        let unfinished = name
            .strip_suffix(".part")
            .is_some_and(|name| keep::made_at(name).is_some());
        let handed_over = name.strip_prefix(HANDED_OVER).is_some_and(|rest| {
            let number = rest.strip_suffix(".part").unwrap_or(rest).strip_suffix(".zip");
            number.is_some_and(|number| number.bytes().all(|digit| digit.is_ascii_digit()))
        });
        let left = (unfinished || handed_over) && entry.file_type().is_ok_and(|kind| kind.is_file());
        let written = entry.metadata().and_then(|about| about.modified()).ok();
        // By the clock that dates files.
        let old = written.is_some_and(|at| at.elapsed().is_ok_and(|age| age > LEFT_AFTER));
        if left
            && old
            && let Err(cause) = fs::remove_file(entry.path())
        {
            tracing::warn!(%cause, "What is left of a backup could not be removed: {name}");
        }
    }
    Ok(())
}

fn read_found(folder: &Path) -> FoundWhole {
    // Where it is lost, all that is lost is when they were looked at.
    let text = fs::read(folder.join(FOUND_WHOLE)).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or_default()
}

/// Writes down that a backup in this folder was found whole, or was not. It is as good without: then it is to be checked
/// once more.
pub(super) fn note_found(folder: &Path, file: &Path, at: Option<Timestamp>) {
    if let Err(cause) = write_found(folder, file, at) {
        tracing::warn!(
            causes = cause.to_string(),
            "Which backups were found whole could not be written down in {}",
            folder.display()
        );
    }
}

fn write_found(folder: &Path, file: &Path, at: Option<Timestamp>) -> io::Result<()> {
    // What root writes here, the server could not write any more.
    if store::is_root() && fs::metadata(folder)?.uid() != 0 {
        return Ok(());
    }
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let name = name_of(file);
    let mut whole = read_found(folder);
    whole
        .by_name
        .retain(|known, _| *known != name && folder.join(known).exists());
    if let (Some(at), Ok(Some(seal))) = (at, seal::read(file)) {
        whole.by_name.insert(name, Found { seal: seal.hash, at });
    }
    let text = serde_json::to_vec_pretty(&whole)?;
    // Two servers may have their backups here, and root may look at them.
    let new = folder.join(format!("{FOUND_WHOLE}.{}.new", random::number()));
    let written = File::create_new(&new)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&new, folder.join(FOUND_WHOLE)));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}
