//! The system calls behind a tree: each takes an open folder and one name, and never follows a link.

use std::collections::BinaryHeap;
use std::ffi::CString;
use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use rustix::fs::AtFlags;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::RenameFlags;
use rustix::fs::Stat;
use rustix::io::Errno;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

use super::Entry;
use super::EntryKind;
use super::Tree;
use super::TreePath;
use super::path::DEEPEST;
use super::path::HIDDEN;

/// Without following a link, and without waiting for whoever else has a pipe open.
const OPEN: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);
const OPEN_FOLDER: OFlags = OPEN.union(OFlags::DIRECTORY);

/// How many bytes a copy holds at a time.
const COPY_BUFFER: usize = 256 * 1024;

pub(super) fn open_top(path: &Path) -> Result<OwnedFd> {
    Ok(File::open(path).and_then(|folder| match folder.metadata()?.is_dir() {
        true => Ok(folder.into()),
        false => Err(std::io::ErrorKind::NotADirectory.into()),
    })?)
}

/// The same folder by a handle of its own: a position in a listing is never shared.
pub(super) fn reopen(folder: &OwnedFd) -> Result<OwnedFd> {
    rustix::fs::openat(folder, ".", OPEN_FOLDER, Mode::empty()).map_err(failed)
}

pub(super) fn open_folder(at: &OwnedFd, name: &str) -> Result<OwnedFd> {
    rustix::fs::openat(at, name, OPEN_FOLDER, Mode::empty()).map_err(failed)
}

/// Opens a regular file. What it is, is looked at before: opening a device can already do something.
pub(super) fn open_file(at: &OwnedFd, name: &str) -> Result<(Entry, File)> {
    if entry(at, name)?.is_folder() {
        return Err(not_found());
    }
    let file = File::from(rustix::fs::openat(at, name, OPEN, Mode::empty()).map_err(failed)?);
    Ok((entry_of_file(&file, name)?, file))
}

pub(super) fn create_file(at: &OwnedFd, name: &str) -> Result<File> {
    let flags = OPEN | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
    Ok(File::from(
        rustix::fs::openat(at, name, flags, Mode::RUSR | Mode::WUSR).map_err(failed)?,
    ))
}

pub(super) fn make_folder(at: &OwnedFd, name: &str) -> Result<()> {
    rustix::fs::mkdirat(at, name, Mode::RWXU).map_err(failed)
}

/// Brings a folder's names to disk, by the very handle through which they were changed.
pub(super) fn sync(folder: &OwnedFd) -> Result<()> {
    rustix::fs::fsync(folder).map_err(failed)
}

pub(super) fn touch(file: &File, modified: Timestamp) -> Result<()> {
    let since = Duration::from_secs(u64::try_from(modified.0).unwrap_or(0));
    file.set_modified(UNIX_EPOCH + since)?;
    Ok(file.sync_all()?)
}

/// Tells `folder` and every folder above it, up to `top`, that something in it has changed: peers that keep what they
/// have listed look at the etag of the shared folder alone, however deep the change was (ownCloud 10, Nextcloud).
///
/// Called when the change is to be seen, and before it is synced: who reads a new etag must find the change, and file
/// systems with a journal write both with one sync. The change is done, so a failure here is not the caller's.
pub(super) fn ripple(top: &OwnedFd, folder: &OwnedFd) {
    let marked = way_up(top, folder).and_then(|way| {
        let now = unique_now();
        way.into_iter()
            .try_for_each(|folder| Ok(File::from(folder).set_modified(now)?))
    });
    if let Err(error) = marked {
        tracing::warn!(
            causes = error.causes(),
            "Folders could not be marked as changed: {error}"
        );
    }
}

/// A folder and those above it up to `top`; none if it is not within. By the handles and not by the path: it may have
/// been moved since it was opened.
fn way_up(top: &OwnedFd, folder: &OwnedFd) -> Result<Vec<OwnedFd>> {
    let id = |folder: &OwnedFd| rustix::fs::fstat(folder).map(|stat| (stat.st_dev, stat.st_ino));
    let end = id(top).map_err(failed)?;
    let mut way = Vec::new();
    let mut next = reopen(folder)?;
    while way.len() <= DEEPEST {
        let found = id(&next).map_err(failed)? == end;
        let above = rustix::fs::openat(&next, "..", OPEN_FOLDER, Mode::empty());
        way.push(next);
        if found {
            return Ok(way);
        }
        next = above.map_err(failed)?;
    }
    Ok(Vec::new())
}

/// The time, and never the same twice: the kernel's own stamps are some milliseconds apart, and two changes in between
/// would be one to whoever compares etags.
fn unique_now() -> SystemTime {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(since.as_nanos()).unwrap_or(u64::MAX);
    let next = |last: u64| now.max(last.saturating_add(1));
    let last = LAST
        .try_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)))
        .unwrap_or_default();
    UNIX_EPOCH + Duration::from_nanos(next(last))
}

pub(super) fn free(folder: &OwnedFd) -> Result<u64> {
    let disk = rustix::fs::fstatvfs(folder).map_err(failed)?;
    Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
}

/// What has this name; nothing for none, and [`Reason::UnsafePath`] for what is neither file nor folder.
pub(super) fn found(at: &OwnedFd, name: &str) -> Result<Option<Entry>> {
    match rustix::fs::statat(at, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => Ok(None),
        Err(other) => Err(failed(other)),
        Ok(stat) => match entry_of(name, &stat) {
            None => Err(Error::new(
                Reason::UnsafePath,
                "There is something that is neither file nor folder.",
            )),
            entry => Ok(entry),
        },
    }
}

pub(super) fn entry(at: &OwnedFd, name: &str) -> Result<Entry> {
    match found(at, name) {
        Ok(entry) => entry.ok_or_else(not_found),
        Err(error) if error.reason() == Reason::UnsafePath => Err(not_found()),
        Err(error) => Err(error),
    }
}

pub(super) fn top_entry(top: &OwnedFd) -> Result<Entry> {
    entry_of("", &rustix::fs::fstat(top).map_err(failed)?).ok_or_else(not_found)
}

pub(super) fn entry_of_file(file: &File, name: &str) -> Result<Entry> {
    match entry_of(name, &rustix::fs::fstat(file).map_err(failed)?) {
        Some(entry) if !entry.is_folder() => Ok(entry),
        _ => Err(not_found()),
    }
}

fn entry_of(name: &str, stat: &Stat) -> Option<Entry> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => EntryKind::File,
        FileType::Directory => EntryKind::Folder,
        _ => return None,
    };
    let bytes = u64::try_from(stat.st_size).unwrap_or(0);
    let nanoseconds = i128::from(stat.st_mtime) * 1_000_000_000 + i128::from(stat.st_mtime_nsec);
    Some(Entry {
        name: name.to_owned(),
        kind,
        size: if kind == EntryKind::File { bytes } else { 0 },
        modified: Timestamp(stat.st_mtime),
        // At most 33 characters: Nextcloud takes one of more than 40 for another each time it looks.
        etag: format!("\"{:x}-{nanoseconds:x}\"", stat.st_ino ^ bytes.rotate_left(32)),
    })
}

/// The first `max` entries by name. Only as many names are held, however many there are (T-62).
pub(super) fn list(folder: &OwnedFd, max: usize) -> Result<Vec<Entry>> {
    let mut first = BinaryHeap::new();
    for_each_name(folder, |name, kind| {
        if let Some(name) = visible(&name).filter(|_| kind != Some(false)) {
            first.push(name.to_owned());
            if first.len() > max {
                first.pop();
            }
        }
        Ok(())
    })?;
    let entries = first
        .into_sorted_vec()
        .into_iter()
        .map(|name| match found(folder, &name) {
            Err(error) if error.reason() != Reason::UnsafePath => Err(error),
            gone_or_there => Ok(gone_or_there.ok().flatten()),
        });
    entries.filter_map(Result::transpose).collect()
}

pub(super) fn usage(folder: &OwnedFd) -> Result<u64> {
    let mut bytes = 0_u64;
    for_each_name(folder, |name, _| {
        let Some(name) = visible(&name) else { return Ok(()) };
        match entry(folder, name) {
            Ok(entry) if entry.is_folder() => bytes = bytes.saturating_add(usage(&open_folder(folder, name)?)?),
            Ok(entry) => bytes = bytes.saturating_add(entry.size),
            Err(error) if error.reason() == Reason::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(())
    })?;
    Ok(bytes)
}

/// Makes `to` stand for what `from` stands for, in one step, if `admit` agrees to what is there. Says whether something
/// was replaced. Both folders are on disk when it returns.
pub(super) fn settle(
    tree: &Tree,
    from: (&OwnedFd, &str),
    to: (&OwnedFd, &str),
    admit: impl Fn(Option<&Entry>) -> Result<()>,
) -> Result<bool> {
    let (replaced, aside) = {
        let _order = tree.order.lock().unwrap_or_else(PoisonError::into_inner);
        let coming = entry(from.0, from.1)?;
        let there = found(to.0, to.1)?;
        admit(there.as_ref())?;
        match &there {
            Some(there) if there.is_folder() || coming.is_folder() => (true, Some(swap(from, to)?)),
            _ => {
                rename(from, to)?;
                (there.is_some(), None)
            }
        }
    };
    ripple(&tree.top, to.0);
    let apart = !std::ptr::eq(from.0, to.0);
    if apart {
        ripple(&tree.top, from.0);
    }
    sync(to.0)?;
    if apart {
        sync(from.0)?;
    }
    drop(aside);
    Ok(replaced)
}

/// Replaces where a folder is involved, which can't be renamed over: the two change places, and what was there is hidden
/// and left to be removed.
fn swap(from: (&OwnedFd, &str), to: (&OwnedFd, &str)) -> Result<Hidden> {
    let aside = Hidden::new(from.0.try_clone()?)?;
    match rustix::fs::renameat_with(from.0, from.1, to.0, to.1, RenameFlags::EXCHANGE) {
        Ok(()) => {}
        // Network file systems know no exchange.
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP) => return step_aside(from, to),
        Err(other) => return Err(failed(other)),
    }
    rename(from, (aside.folder(), aside.name())).inspect_err(|_| {
        // No room for one more name: as it was before. If even that fails, both still exist.
        let _ = rustix::fs::renameat_with(from.0, from.1, to.0, to.1, RenameFlags::EXCHANGE);
    })?;
    Ok(aside)
}

/// As [`swap`], with a moment in between in which nothing is there.
fn step_aside(from: (&OwnedFd, &str), to: (&OwnedFd, &str)) -> Result<Hidden> {
    let aside = Hidden::new(to.0.try_clone()?)?;
    let hidden = (&aside.folder, aside.name());
    rename(to, hidden)?;
    match rename(from, to) {
        Ok(()) => Ok(aside),
        Err(error) => rename(hidden, to).and(Err(error)),
    }
}

fn rename(from: (&OwnedFd, &str), to: (&OwnedFd, &str)) -> Result<()> {
    rustix::fs::renameat(from.0, from.1, to.0, to.1).map_err(failed)
}

pub(super) fn remove(tree: &Tree, folder: &OwnedFd, name: &str) -> Result<()> {
    let aside = Hidden::new(folder.try_clone()?)?;
    {
        let _order = tree.order.lock().unwrap_or_else(PoisonError::into_inner);
        entry(folder, name)?;
        rename((folder, name), (folder, aside.name()))?;
    }
    ripple(&tree.top, folder);
    sync(folder)
}

/// Copies under a name that is still free. Links and the like are not copied.
pub(super) fn copy(from: (&OwnedFd, &str), to: (&OwnedFd, &str), deep: bool) -> Result<()> {
    if !entry(from.0, from.1)?.is_folder() {
        let (_, mut source) = open_file(from.0, from.1)?;
        let mut copied = create_file(to.0, to.1)?;
        let mut buffer = vec![0; COPY_BUFFER];
        loop {
            match source.read(&mut buffer)? {
                0 => return Ok(copied.sync_all()?),
                read => copied.write_all(&buffer[..read])?,
            }
        }
    }
    make_folder(to.0, to.1)?;
    let copied = open_folder(to.0, to.1)?;
    if deep {
        let source = open_folder(from.0, from.1)?;
        for_each_name(&source, |name, _| match visible(&name) {
            Some(name) => match copy((&source, name), (&copied, name), deep) {
                Err(error) if error.reason() == Reason::NotFound => Ok(()),
                done => done,
            },
            None => Ok(()),
        })?;
    }
    sync(&copied)
}

pub(super) fn sweep(folder: &OwnedFd) -> Result<usize> {
    let mut swept = 0;
    for name in names(folder)? {
        if name.to_bytes().starts_with(HIDDEN.as_bytes()) {
            remove_all(folder, &name)?;
            swept += 1;
        } else if let Ok(below) = rustix::fs::openat(folder, &name, OPEN_FOLDER, Mode::empty()) {
            swept += sweep(&below)?;
        }
    }
    Ok(swept)
}

/// Removes whatever has this name and all beneath it, links and the like included.
fn remove_all(at: &OwnedFd, name: &CString) -> Result<()> {
    match rustix::fs::unlinkat(at, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(other) => return Err(failed(other)),
    }
    let folder = rustix::fs::openat(at, name, OPEN_FOLDER, Mode::empty()).map_err(failed)?;
    names(&folder)?.iter().try_for_each(|name| remove_all(&folder, name))?;
    rustix::fs::unlinkat(at, name, AtFlags::REMOVEDIR).map_err(failed)
}

/// A hidden name in a folder, free when it is made. Whatever is under it when this is dropped is removed.
#[derive(Debug)]
pub(super) struct Hidden {
    folder: OwnedFd,
    name: String,
}

impl Hidden {
    pub(super) fn new(folder: OwnedFd) -> Result<Self> {
        let mut random = [0; 16];
        aws_lc_rs::rand::fill(&mut random).map_err(Error::internal)?;
        let name = format!("{HIDDEN}{:032x}", u128::from_be_bytes(random));
        Ok(Self { folder, name })
    }

    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Gives what is hidden here its name, as [`settle`].
    pub(super) fn settle(self, tree: &Tree, name: &str, admit: impl Fn(Option<&Entry>) -> Result<()>) -> Result<bool> {
        settle(tree, (&self.folder, &self.name), (&self.folder, name), admit)
    }
}

impl Drop for Hidden {
    fn drop(&mut self) {
        let removed = CString::new(self.name.as_str()).map(|name| remove_all(&self.folder, &name));
        if let Ok(Err(error)) = removed {
            tracing::warn!(cause = %error.causes(), "A temporary file could not be removed; the next start will");
        }
    }
}

/// Calls `each` with every name but `.` and `..`, and whether it is a file or folder where the folder itself tells.
fn for_each_name(folder: &OwnedFd, mut each: impl FnMut(CString, Option<bool>) -> Result<()>) -> Result<()> {
    for found in Dir::read_from(folder).map_err(failed)? {
        let found = found.map_err(failed)?;
        let name = found.file_name();
        if name.to_bytes() != b"." && name.to_bytes() != b".." {
            let kind = match found.file_type() {
                FileType::Unknown => None,
                kind => Some(matches!(kind, FileType::RegularFile | FileType::Directory)),
            };
            each(name.to_owned(), kind)?;
        }
    }
    Ok(())
}

/// All names at once, for when they are removed: a listing that is changed while it is read may leave some out.
fn names(folder: &OwnedFd) -> Result<Vec<CString>> {
    let mut names = Vec::new();
    for_each_name(folder, |name, _| {
        names.push(name);
        Ok(())
    })?;
    Ok(names)
}

fn visible(name: &CString) -> Option<&str> {
    name.to_str().ok().filter(|name| TreePath::root().join(name).is_ok())
}

pub(super) fn already_exists() -> Error {
    Error::new(Reason::AlreadyExists, "There is already something of that name.")
}

fn not_found() -> Error {
    Error::not_found("There is no such file.")
}

fn failed(errno: Errno) -> Error {
    match errno {
        // A link, or a file where a folder is needed: nothing that leads on.
        Errno::LOOP | Errno::NOTDIR => not_found().caused_by(errno),
        Errno::NAMETOOLONG => Error::new(Reason::UnsafePath, "This name is too long.").caused_by(errno),
        Errno::FBIG => Error::new(Reason::TooLarge, "This file is too large for this server's disk.").caused_by(errno),
        other => std::io::Error::from(other).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_two_folders_cannot_change_places_the_old_one_steps_aside() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let at = open_top(folder.path()).expect("a folder");
        for name in ["old", "new"] {
            make_folder(&at, name).expect("a folder");
            make_folder(&open_folder(&at, name).expect("a folder"), &format!("in-{name}")).expect("a folder");
        }
        let aside = step_aside((&at, "new"), (&at, "old")).expect("room");
        assert!(folder.path().join("old/in-new").exists() && !folder.path().join("new").exists());
        assert!(folder.path().join(aside.name()).join("in-old").exists());
        drop(aside);
        assert_eq!(names(&at).expect("names").len(), 1);

        assert!(step_aside((&at, "gone"), (&at, "old")).is_err());
        assert!(
            folder.path().join("old/in-new").exists(),
            "what could not be replaced is still there"
        );
    }
}
