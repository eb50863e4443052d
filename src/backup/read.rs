//! A backup as it is read: looked into, compared byte for byte with what it says of itself, unpacked.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::path::Path;

use zip::ZipArchive;

use super::manifest::FORMAT;
use super::manifest::MANIFEST;
use super::manifest::Manifest;
use super::manifest::Packed;
use super::manifest::RECORDS;
use super::seal;
use super::seal::Hashing;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::store::Line;

/// The longest line that is read: a record is far below that.
const MAX_LINE: u64 = 64 << 10;
/// The longest that a backup may say of itself: a line for each of half a million files.
const MAX_MANIFEST: u64 = 128 << 20;

pub(super) type Archive = ZipArchive<BufReader<File>>;

/// Reads all of a backup and compares it with what it says of itself.
///
/// # Errors
///
/// [`Reason::BackupDamaged`] with what is wrong, [`Reason::DataNewer`] for one that a later ocmesh made,
/// [`Reason::Invalid`] for a file that can't be read.
pub fn verify(path: &Path) -> Result<Manifest> {
    let damaged = |what: &str| damaged(path, what);
    let unreadable = |cause: io::Error| unreadable(path, cause);
    let Some(seal) = seal::read(path).map_err(unreadable)? else {
        return Err(damaged(match open(path) {
            // Zip readers look for the end, and forgive what stands behind it.
            Ok(_) => "its last bytes are not what they were",
            Err(_) => "it has no end, as a file that was cut off, or it is no backup",
        }));
    };
    let whole = seal::holds(path, &seal).map_err(unreadable)?;
    match (whole, contents(path)) {
        (true, Ok(manifest)) if manifest.instance_id == seal.instance => Ok(manifest),
        (true, Ok(_)) => Err(damaged("its end is another one's")),
        (_, Err(error)) => Err(error),
        (false, Ok(_)) => Err(damaged(
            "all that is in it is right, but its table of contents or its checksum is not what it was",
        )),
    }
}

fn contents(path: &Path) -> Result<Manifest> {
    let mut archive = open(path)?;
    let manifest = manifest(path, &mut archive)?;
    let mut packed: BTreeSet<String> = archive.file_names().map(str::to_owned).collect();
    packed.retain(|name| !name.ends_with('/') && name != MANIFEST);
    for entry in &manifest.entries {
        if !packed.remove(&entry.name) {
            return Err(damaged(path, &format!("{} is missing", entry.name)));
        }
        check_entry(path, &mut archive, entry)?;
    }
    if let Some(name) = packed.pop_first() {
        return Err(damaged(path, &format!("{name} is in it and not listed")));
    }
    let mut found: BTreeMap<String, u64> = BTreeMap::new();
    let mut number = 0_u64;
    each_line(path, &mut archive, &mut |line| {
        number += 1;
        let kind = Line::kind_of(&line)
            .map_err(|error| damaged(path, &format!("line {number} of {RECORDS} is no record")).caused_by(error))?;
        *found.entry(kind).or_default() += 1;
        Ok(())
    })?;
    if found != manifest.records {
        return Err(damaged(path, "it has more or fewer records than it says"));
    }
    Ok(manifest)
}

fn unreadable(path: &Path, cause: io::Error) -> Error {
    if cause.kind() == io::ErrorKind::NotFound {
        let message = format!("There is no backup {}.", path.display());
        return Error::not_found(message).caused_by(cause);
    }
    Error::invalid("file", format!("{}: {cause}", path.display()))
}

/// The file of a backup.
///
/// # Errors
///
/// [`Reason::NotFound`] where there is none; [`Reason::Invalid`] with why it can't be read.
pub fn opened(path: &Path) -> Result<File> {
    File::open(path).map_err(|cause| unreadable(path, cause))
}

/// Opens a backup without looking at what is in it.
pub(super) fn open(path: &Path) -> Result<Archive> {
    let file = opened(path)?;
    ZipArchive::new(BufReader::with_capacity(1 << 16, file))
        .map_err(|cause| damaged(path, "its table of contents can't be read").caused_by(cause))
}

/// What it says of itself.
pub(super) fn manifest(path: &Path, archive: &mut Archive) -> Result<Manifest> {
    let unreadable = || damaged(path, "what it says of itself can't be read");
    let entry = archive
        .by_name(MANIFEST)
        .map_err(|cause| unreadable().caused_by(cause))?;
    if entry.size() > MAX_MANIFEST {
        return Err(damaged(path, "what it says of itself is too long"));
    }
    let mut text = Vec::new();
    entry
        .take(MAX_MANIFEST)
        .read_to_end(&mut text)
        .map_err(|cause| unreadable().caused_by(cause))?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|cause| unreadable().caused_by(cause))?;
    if manifest.format > FORMAT {
        let message = format!(
            "{} was made by ocmesh {} (backup format {}). This is ocmesh {} (backup format {FORMAT}). Use that one or a \
             later one.",
            path.display(),
            manifest.ocmesh,
            manifest.format,
            env!("CARGO_PKG_VERSION")
        );
        return Err(Error::new(Reason::DataNewer, message));
    }
    Ok(manifest)
}

fn check_entry(path: &Path, archive: &mut Archive, expected: &Packed) -> Result<()> {
    let wrong = || damaged(path, &format!("{} is not what it was", expected.name));
    let entry = archive
        .by_name(&expected.name)
        .map_err(|cause| wrong().caused_by(cause))?;
    let mut hashing = Hashing::new(io::sink());
    // One byte more than there should be is enough to know.
    io::copy(&mut entry.take(expected.size.saturating_add(1)), &mut hashing)
        .map_err(|cause| wrong().caused_by(cause))?;
    if hashing.finish() != (expected.size, expected.sha256.clone()) {
        return Err(wrong());
    }
    Ok(())
}

/// Hands on the lines of the records, one by one.
pub(super) fn each_line(path: &Path, archive: &mut Archive, take: &mut dyn FnMut(String) -> Result<()>) -> Result<()> {
    let wrong = || damaged(path, &format!("{RECORDS} can't be read"));
    let entry = archive.by_name(RECORDS).map_err(|cause| wrong().caused_by(cause))?;
    let mut reader = BufReader::with_capacity(1 << 16, entry);
    loop {
        let mut line = String::new();
        let read = reader
            .by_ref()
            .take(MAX_LINE)
            .read_line(&mut line)
            .map_err(|cause| wrong().caused_by(cause))?;
        if read == 0 {
            return Ok(());
        }
        if line.pop() != Some('\n') {
            return Err(wrong());
        }
        take(line)?;
    }
}

/// Writes what a backup has under a name.
pub(super) fn copy(path: &Path, archive: &mut Archive, name: &str, out: &mut impl io::Write) -> Result<()> {
    let wrong = || damaged(path, &format!("{name} can't be read"));
    let mut entry = archive.by_name(name).map_err(|cause| wrong().caused_by(cause))?;
    io::copy(&mut entry, out)?;
    Ok(())
}

pub(super) fn damaged(path: &Path, what: &str) -> Error {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.strip_suffix(".part").unwrap_or(&name);
    Error::new(Reason::BackupDamaged, format!("The backup {name} is damaged: {what}."))
}
