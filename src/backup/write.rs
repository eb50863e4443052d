//! A backup as it is written: beside its place, read back from the disk, and only then under its name.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::io;
use std::io::BufWriter;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use zip::CompressionMethod;
use zip::ZipWriter;
use zip::result::ZipError;
use zip::write::SimpleFileOptions;

use super::manifest::FORMAT;
use super::manifest::MANIFEST;
use super::manifest::Manifest;
use super::manifest::Packed;
use super::manifest::RECORDS;
use super::manifest::SETTINGS;
use super::read;
use super::seal;
use super::seal::Hashing;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::Size;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files;
use crate::files::Room;
use crate::store::Line;

/// What is left free on a disk, whatever is written to it.
const RESERVE: u64 = 16 << 20;
/// Names in a data directory that are the store's own.
pub(super) const OF_THE_STORE: [&str; 6] = ["db", "durable", "lock", "incoming", "exchange", RESTORING];
/// Where a backup is while it is put back, if it came from elsewhere than a file.
pub const RESTORING: &str = "restoring";
/// What file systems have at the top of a disk of its own, for nobody but root.
const OF_THE_DISK: &str = "lost+found";
/// People's files.
const FILES: &str = "files";

/// What goes into a backup.
pub(super) struct Contents<'a> {
    pub(super) config: &'a Config,
    pub(super) instance: String,
    pub(super) include_files: bool,
    pub(super) now: Timestamp,
}

/// Passes where a backup may be put; its folder is there then.
///
/// # Errors
///
/// [`Reason::AlreadyExists`]; [`Reason::Invalid`] for a place within what it is to be the backup of; or naming what can't be written.
pub fn judge_target(config: &Config, target: &Path) -> Result<()> {
    if fs::symlink_metadata(target).is_ok() {
        let message = format!("{} is there already.", target.display());
        return Err(Error::new(Reason::AlreadyExists, message));
    }
    let folder = target.parent().unwrap_or(Path::new("."));
    make_folder(folder)?;
    if !is_same(folder, &config.backup.dir) && is_within(folder, &config.server.data_dir) {
        let why = format!(
            "{} is within the data directory, of which this is to be the backup. Name another folder, or none: then it is put \
             where backup.dir says.",
            folder.display()
        );
        return Err(Error::invalid("file", why));
    }
    Ok(())
}

/// Writes a backup of `lines` and of what lies beside the database to `target`, which must not be there yet.
///
/// # Errors
///
/// [`Reason::DiskFull`] with the numbers; [`Reason::NotAllowed`] or [`Reason::Conflict`] naming what can't be written;
/// [`Reason::BackupDamaged`] where what was read back is not what was written. Then nothing is left of it.
pub(super) fn write(
    target: &Path,
    contents: &Contents<'_>,
    lines: &mut dyn Iterator<Item = Result<Line>>,
) -> Result<Manifest> {
    judge_target(contents.config, target)?;
    let folder = target.parent().unwrap_or(Path::new("."));
    check_room(needed(contents)?, Room::at(folder)?.bytes, folder)?;
    let mut part = target.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let outcome = pack(&part, contents, lines)
        .and_then(|()| read::verify(&part))
        .and_then(|manifest| {
            let kept = || {
                fs::rename(&part, target)?;
                File::open(folder)?.sync_all()
            };
            kept().map(|()| manifest).map_err(|cause| unwritable(target, cause))
        });
    if outcome.is_err() {
        let _ = fs::remove_file(&part);
    }
    outcome
}

/// Whether both lead to the same place, whatever links there are on the way.
fn is_same(one: &Path, other: &Path) -> bool {
    one == other || matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
}

fn is_within(path: &Path, folder: &Path) -> bool {
    matches!((path.canonicalize(), folder.canonicalize()), (Ok(path), Ok(folder)) if path.starts_with(&folder))
}

/// Makes the folder of the backups, for nobody else.
pub(super) fn make_folder(folder: &Path) -> Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|cause| unwritable(folder, cause))
}

/// Passes if something fits: a backup as what is in it before it is made small, and a reserve.
pub(super) fn check_room(needed: u64, left: u64, folder: &Path) -> Result<()> {
    let needed = needed.saturating_add(RESERVE);
    if needed <= left {
        return Ok(());
    }
    let message = format!(
        "There is no room in {}: it may take {} ({needed} bytes), and {} are left ({left} bytes).",
        folder.display(),
        Size(needed),
        Size(left)
    );
    Err(Error::new(Reason::DiskFull, message))
}

fn needed(contents: &Contents<'_>) -> Result<u64> {
    let data = &contents.config.server.data_dir;
    let mut needed = size_of(&data.join("db"))?;
    for path in beside(contents)? {
        needed += size_of(&path)?;
    }
    Ok(needed)
}

/// Bytes; what goes away while it is looked at counts for nothing.
fn size_of(path: &Path) -> Result<u64> {
    let Some(metadata) = gone_is_none(path, fs::symlink_metadata(path))? else {
        return Ok(0);
    };
    if !metadata.is_dir() {
        return Ok(if metadata.is_file() { metadata.len() } else { 0 });
    }
    let mut size = 0;
    for entry in listed(path)? {
        if !entry.ends_with(OF_THE_DISK) {
            size += size_of(&entry)?;
        }
    }
    Ok(size)
}

/// What is in the data directory besides the database, as far as it belongs into a backup: no links, sockets, files that
/// settings name as secrets, and nothing that backups, restores and updates left there.
fn beside(contents: &Contents<'_>) -> Result<Vec<PathBuf>> {
    let config = contents.config;
    let mut found = Vec::new();
    for path in listed(&config.server.data_dir)? {
        let Some(name) = path.file_name().and_then(OsStr::to_str) else {
            continue;
        };
        let ours = OF_THE_STORE.contains(&name)
            || name == OF_THE_DISK
            || name.starts_with("before-")
            || [".new", ".part", ".zip"].iter().any(|end| name.ends_with(end));
        let wanted = name != FILES || contents.include_files;
        if !ours && wanted && !elsewhere(config).iter().any(|other| is_same(&path, other)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// What is not packed wherever it lies: other backups, the settings, which have a name of their own, and files that hold
/// secrets.
fn elsewhere(config: &Config) -> Vec<&Path> {
    let named = [Some(config.backup.dir.as_path()), config.file()];
    named.into_iter().flatten().chain(config.secret_files()).collect()
}

fn pack(part: &Path, contents: &Contents<'_>, lines: &mut dyn Iterator<Item = Result<Line>>) -> Result<()> {
    // One that is left is removed, and one that somebody else puts there now is not written into: it would be theirs.
    let _ = fs::remove_file(part);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part)
        .map_err(|cause| unwritable(part, cause))?;
    let mut packer = Packer {
        zip: ZipWriter::new(BufWriter::with_capacity(1 << 16, file)),
        entries: Vec::new(),
        elsewhere: elsewhere(contents.config),
    };
    packer
        .zip
        .set_comment(seal::unsealed(&contents.instance))
        .map_err(failed)?;
    let facts = packer.records(lines)?;
    if let Some(file) = contents.config.file() {
        packer.file(file, SETTINGS)?;
    }
    for path in beside(contents)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        packer.below(&path, &name)?;
    }
    packer.manifest(contents, facts)?;
    let buffered = packer.zip.finish().map_err(failed)?;
    let mut file = buffered.into_inner().map_err(|cause| Error::from(cause.into_error()))?;
    seal::put(&mut file)?;
    Ok(file.sync_all()?)
}

/// What the records say of the whole store, and how many there are by kind.
#[derive(Default)]
struct Facts {
    records: BTreeMap<String, u64>,
    schema: u32,
    epoch: u64,
}

impl Facts {
    fn take(&mut self, line: &Line) {
        *self.records.entry(line.kind.clone()).or_default() += 1;
        if line.kind != "meta" {
            return;
        }
        let said: Value = serde_json::from_str(&line.text).unwrap_or_default();
        let value = said["value"].as_str().unwrap_or_default();
        match said["key"].as_str() {
            Some("schema") => self.schema = value.parse().unwrap_or_default(),
            Some("epoch") => {
                let number = value.split(' ').next().unwrap_or_default();
                self.epoch = number.parse().unwrap_or_default();
            }
            _ => {}
        }
    }
}

struct Packer<'a> {
    zip: ZipWriter<BufWriter<File>>,
    entries: Vec<Packed>,
    /// May be far below something that is packed.
    elsewhere: Vec<&'a Path>,
}

impl Packer<'_> {
    /// Adds one entry, and what it is to be known by.
    fn add(
        &mut self,
        name: &str,
        modified: Option<i64>,
        fill: impl FnOnce(&mut dyn Write) -> Result<()>,
    ) -> Result<()> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            .unix_permissions(0o600)
            .large_file(true);
        self.zip.start_file(name, options).map_err(failed)?;
        let mut hashing = Hashing::new(&mut self.zip);
        fill(&mut hashing)?;
        let (size, sha256) = hashing.finish();
        self.entries.push(Packed {
            name: name.to_owned(),
            size,
            sha256,
            modified,
        });
        Ok(())
    }

    fn records(&mut self, lines: &mut dyn Iterator<Item = Result<Line>>) -> Result<Facts> {
        let mut facts = Facts::default();
        self.add(RECORDS, None, |out| {
            for line in lines {
                let line = line?;
                facts.take(&line);
                out.write_all(line.text.as_bytes())?;
                out.write_all(b"\n")?;
            }
            Ok(())
        })?;
        Ok(facts)
    }

    /// A file, or a folder with all that is below it. Links are not followed; what goes away meanwhile is left out.
    fn below(&mut self, path: &Path, name: &str) -> Result<()> {
        let Some(metadata) = gone_is_none(path, fs::symlink_metadata(path))? else {
            return Ok(());
        };
        if self.elsewhere.iter().any(|other| is_same(path, other)) {
            return Ok(());
        }
        if metadata.is_file() {
            return self.file(path, name);
        }
        if !metadata.is_dir() {
            return Ok(());
        }
        let options = SimpleFileOptions::default().unix_permissions(0o700);
        self.zip.add_directory(name, options).map_err(failed)?;
        let mut children = listed(path)?;
        children.sort();
        for child in children {
            // What no page or command made can't be named by one either.
            let Some(text) = child.file_name().and_then(OsStr::to_str) else {
                continue;
            };
            // What is right below the data directory may be a disk of its own, too.
            let of_the_disk = text == OF_THE_DISK && !name.contains('/');
            if !files::is_hidden(text) && !of_the_disk {
                self.below(&child, &format!("{name}/{text}"))?;
            }
        }
        Ok(())
    }

    fn file(&mut self, path: &Path, name: &str) -> Result<()> {
        let Some(mut file) = gone_is_none(path, File::open(path))? else {
            return Ok(());
        };
        let modified = file.metadata().map_err(|cause| unreadable(path, cause))?.mtime();
        self.add(name, Some(modified), |out| {
            io::copy(&mut file, out)?;
            Ok(())
        })
    }

    fn manifest(&mut self, contents: &Contents<'_>, facts: Facts) -> Result<()> {
        let manifest = Manifest {
            format: FORMAT,
            ocmesh: env!("CARGO_PKG_VERSION").to_owned(),
            schema: facts.schema,
            instance_id: contents.instance.clone(),
            public_url: contents.config.server.public_url.origin().to_owned(),
            made: contents.now.to_string(),
            epoch: facts.epoch,
            records: facts.records,
            entries: std::mem::take(&mut self.entries),
        };
        self.add(MANIFEST, None, |out| {
            serde_json::to_writer_pretty(out, &manifest).map_err(|cause| match cause.io_error_kind() {
                Some(kind) => io::Error::from(kind).into(),
                None => Error::internal(cause),
            })
        })
    }
}

/// What is in a folder; nothing for one that is gone.
fn listed(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = gone_is_none(folder, fs::read_dir(folder))?.into_iter().flatten();
    entries
        .map(|entry| {
            entry
                .map(|entry| entry.path())
                .map_err(|cause| unreadable(folder, cause))
        })
        .collect()
}

fn gone_is_none<T>(path: &Path, found: io::Result<T>) -> Result<Option<T>> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(unreadable(path, cause)),
    }
}

/// Half a backup is none: whoever can mend it is told what is in the way.
fn unreadable(path: &Path, cause: io::Error) -> Error {
    let message = format!(
        "{} can't be read: {cause}. Whatever lies in the data directory is part of a backup: give it to the user that the \
         server runs as, or move it elsewhere.",
        path.display()
    );
    Error::new(Reason::ConfigInvalid, message).caused_by(cause)
}

fn failed(cause: ZipError) -> Error {
    match cause {
        ZipError::Io(cause) => cause.into(),
        other => Error::internal(other),
    }
}

pub(super) fn unwritable(path: &Path, cause: io::Error) -> Error {
    let kind = cause.kind();
    match Error::from(cause) {
        full if full.reason() == Reason::DiskFull => full,
        other => {
            let message = format!("{} can't be written: {}.", path.display(), other.causes());
            let reason = match kind {
                io::ErrorKind::PermissionDenied => Reason::NotAllowed,
                _ => Reason::Conflict,
            };
            Error::new(reason, message).caused_by(other)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backup_that_may_not_fit_is_refused_with_both_numbers() {
        let check = |needed, left| check_room(needed, left, Path::new("/b")).map_err(|error| error.to_string());
        assert_eq!(check(1, RESERVE + 1), Ok(()));
        let refused = check(1 << 30, 5 << 20).unwrap_err();
        for part in ["/b", "1.0 GiB", "1090519040 bytes", "5.0 MiB", "5242880 bytes"] {
            assert!(refused.contains(part), "{refused}");
        }
        assert!(check(u64::MAX, u64::MAX - 1).is_err());
    }
}
