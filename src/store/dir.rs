//! The data directory around the engine: whose it is, and which installation's.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::fs::OpenOptions;
use std::fs::TryLockError;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::FileExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use super::exchange;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// How long a directory may seem taken before it is: a child between its beginning and its program holds what its parent
/// had, and a busy machine lets it wait.
const LOCK_PATIENCE: Duration = Duration::from_secs(5);
/// What the engine’s own file of settings begins with.
const ENGINE_SETTINGS: &[u8; 13] = b"segment_size:";

/// User and group of the server that has its data in this directory, or will; nothing where that can't be told.
pub fn owner(path: &Path) -> Option<(u32, u32)> {
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let folder = whole.ancestors().find_map(|path| fs::metadata(path).ok())?;
    // A volume may be root's and open to a group: then it is whose server wrote here.
    let marker = fs::symlink_metadata(whole.join("instance_id")).ok();
    let folder = marker.filter(|_| folder.uid() == 0).unwrap_or(folder);
    Some((folder.uid(), folder.gid()))
}

pub fn is_root() -> bool {
    // Where that can't be known, what is refused to root is not refused.
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// A data directory that this process alone may use, until dropped.
pub(super) struct DataDir {
    path: PathBuf,
    /// Locked; says which process did so. The engine has a lock of its own, but can't name the one who holds it.
    _lock: File,
}

/// A process that is just ending, or a child that was just forked from one, holds the lock a little longer than it
/// needs it.
fn try_for_a_moment(lock: &File) -> Result<(), TryLockError> {
    let began = Instant::now();
    loop {
        match lock.try_lock() {
            Err(TryLockError::WouldBlock) if began.elapsed() < LOCK_PATIENCE => {
                std::thread::sleep(Duration::from_millis(10));
            }
            outcome => return outcome,
        }
    }
}

impl DataDir {
    pub(super) fn take(path: &Path) -> Result<Self> {
        refuse_that_of_others(path)?;
        let unusable = |cause: io::Error| unusable(path, cause);
        if fs::metadata(path).is_ok_and(|there| !there.is_dir()) {
            return Err(no_folder(path));
        }
        // What is in it is for nobody else; the engine would leave that to the umask.
        let make = |folder: &Path| DirBuilder::new().recursive(true).mode(0o700).create(folder);
        make(path).map_err(unusable)?;
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(path.join("lock"))
            .map_err(unusable)?;
        match try_for_a_moment(&lock) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // Without the number the refusal is still right.
                let _ = lock.read_to_string(&mut holder);
                return Err(locked(path, holder.trim()));
            }
            Err(TryLockError::Error(cause)) => return Err(unusable(cause)),
        }
        lock.set_len(0)
            .and_then(|()| lock.write_all(std::process::id().to_string().as_bytes()))
            .map_err(unusable)?;
        // A stop may have come while one content took the place of another.
        exchange::finish(path)?;
        make(&path.join("db")).map_err(unusable)?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn db(&self) -> PathBuf {
        self.path.join("db")
    }

    /// The installation whose data should be here; nothing where there was none yet.
    pub(super) fn instance_id(&self) -> Result<Option<String>> {
        match fs::read_to_string(self.path.join("instance_id")) {
            Ok(id) => Ok(Some(id.trim().to_owned())),
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(cause) => Err(unusable(&self.path, cause)),
        }
    }

    pub(super) fn set_instance_id(&self, id: &str) -> Result<()> {
        let temporary = self.path.join("instance_id.new");
        let write = || {
            let mut file = File::create(&temporary)?;
            file.write_all(id.as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, self.path.join("instance_id"))?;
            self.sync()
        };
        write().map_err(|cause| unusable(&self.path, cause))
    }

    pub(super) fn ledger(&self) -> Result<Ledger> {
        OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(self.path.join("durable"))
            .map(Ledger)
            .map_err(|cause| unusable(&self.path, cause))
    }

    /// Makes the names of all files last, and what the engine writes without asking for it to be kept.
    pub(super) fn sync(&self) -> io::Result<()> {
        let db = self.db();
        for entry in fs::read_dir(&db)? {
            let entry = entry?;
            File::open(entry.path())?.sync_all()?;
        }
        File::open(db)?.sync_all()?;
        File::open(&self.path)?.sync_all()?;
        match File::open(self.path.join("..")) {
            // Where this user may not even look, somebody else made the directory, and long ago.
            Err(cause) if cause.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            parent => parent?.sync_all(),
        }
    }
}

/// Whether there is a database, as far as that can be told without opening it, which would change it.
///
/// # Errors
///
/// What a start would refuse: [`Reason::DataDamaged`] where some of it is gone or is something else;
/// [`Reason::ConfigInvalid`] where it can't be read.
pub(super) fn look(path: &Path) -> Result<bool> {
    let read = |name: &str| match fs::metadata(path.join(name)) {
        Ok(about) => File::open(path.join(name)).map(|file| Some((file, about.len()))),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(cause) => Err(cause),
    };
    let read = |name: &str| read(name).map_err(|cause| unusable(&path.join(name), cause));
    read("lock")?;
    let (marker, database) = (read("instance_id")?, read("db/db")?);
    let Some((_, length)) = database else {
        return match marker {
            Some(_) => Err(damaged(path, "its database is gone")),
            None => Ok(false),
        };
    };
    if marker.is_some() && length == 0 {
        return Err(damaged(path, "its database is empty, and was not"));
    }
    if let Some((file, _)) = read("db/conf")? {
        let mut begins = [0; ENGINE_SETTINGS.len()];
        if (&file).read_exact(&mut begins).is_err() || begins != *ENGINE_SETTINGS {
            return Err(damaged(path, "db/conf is not what the database wrote there"));
        }
    }
    Ok(true)
}

/// How many changes the disk has for certain, written where the engine can't lose it.
///
/// One flipped bit, and the engine takes the rest of its log for never written: it opens without an error, as it was
/// last week. This is what notices. It is written after the engine's file was synced and never synced itself: after a
/// power cut it may be behind, which is harmless, but not ahead.
pub(super) struct Ledger(File);

impl Ledger {
    /// Nothing is known if it is not there, as after a restore, or was not written to its end.
    pub(super) fn read(&self) -> u64 {
        let mut digits = [0; 20];
        match self.0.read_exact_at(&mut digits, 0) {
            Ok(()) => str::from_utf8(&digits).ok().and_then(|digits| digits.parse().ok()),
            Err(_) => None,
        }
        .unwrap_or(0)
    }

    pub(super) fn write(&self, durable: u64) -> io::Result<()> {
        self.0.write_all_at(format!("{durable:020}").as_bytes(), 0)
    }
}

/// What is left free for the engine's own needs, in bytes and in files: it never gets over a write that did not fit.
const ROOM: u64 = 4 << 20;
const ROOM_FOR_FILES: u64 = 4;

/// Whether changes can be taken without filling the disk to its last byte (T-82).
pub(super) fn has_room(path: &Path) -> bool {
    // What can't be known is found out by the write.
    let Ok(disk) = rustix::fs::statvfs(path) else {
        return true;
    };
    // Some file systems have no fixed number of files, and say zero.
    let files = disk.f_files == 0 || disk.f_favail >= ROOM_FOR_FILES;
    files && disk.f_bavail.saturating_mul(disk.f_frsize) >= ROOM
}

pub(super) fn full() -> Error {
    Error::new(
        Reason::DiskFull,
        "This server's disk is full: it takes no changes until there is room again.",
    )
}

/// Root may write into anybody's directory, and would leave files there that its owner can't open any more.
fn refuse_that_of_others(path: &Path) -> Result<()> {
    let Ok(data) = fs::metadata(path) else {
        // There is no directory yet.
        return Ok(());
    };
    if !is_root() || data.uid() == 0 {
        return Ok(());
    }
    let message = format!(
        "The data in {path} belongs to the user with the number {owner}, and this is root, who would leave files there \
         that the other can't open any more. Run this as that user: sudo -u '#{owner}' ocmesh ...",
        path = path.display(),
        owner = data.uid(),
    );
    Err(Error::new(Reason::NotAllowed, message))
}

/// Whether a server has kept anything in this directory yet. What can't be looked at may be there.
pub fn has_data(path: &Path) -> bool {
    ["db", "instance_id", exchange::JOURNAL]
        .iter()
        .any(|name| path.join(name).try_exists().unwrap_or(true))
}

pub(super) fn locked(path: &Path, holder: &str) -> Error {
    let who = match holder {
        "" => "another process".to_owned(),
        pid => format!("process {pid}"),
    };
    let message = format!(
        "The data in {} is in use by {who}. Only one server can have it: stop that one, or choose another directory.",
        path.display()
    );
    Error::new(Reason::DataLocked, message)
}

fn no_folder(path: &Path) -> Error {
    let message = format!(
        "The data directory {} is a file and no folder. Name a folder in server.data_dir, or move that file away.",
        path.display()
    );
    Error::new(Reason::ConfigInvalid, message)
}

pub(super) fn unusable(path: &Path, cause: io::Error) -> Error {
    let kind = cause.kind();
    match Error::from(cause) {
        full if full.reason() == Reason::DiskFull => {
            let message = format!(
                "The disk of {} is full: no room, or no room for one more file. Make some, then start again.",
                path.display()
            );
            Error::new(Reason::DiskFull, message).caused_by(full)
        }
        other => {
            let message = format!(
                "The data directory {} can't be used: {}.",
                path.display(),
                other.causes()
            );
            let reason = match kind {
                io::ErrorKind::PermissionDenied => Reason::NotAllowed,
                _ => Reason::ConfigInvalid,
            };
            Error::new(reason, message).caused_by(other)
        }
    }
}

pub(super) fn damaged(path: &Path, what: &str) -> Error {
    let message = format!(
        "The data in {} is damaged: {what}. Restore a backup of it; until then nothing is served from it.",
        path.display()
    );
    Error::new(Reason::DataDamaged, message)
}

pub(super) fn newer(path: &Path, format: u32, writer: Option<&str>) -> Error {
    let message = format!(
        "The data in {} was written by {} (format {format}). This is ocmesh {} (format {}). Start that one or a later \
         one, or restore a backup from before the update.",
        path.display(),
        writer.map_or_else(|| "a later ocmesh".to_owned(), |version| format!("ocmesh {version}")),
        env!("CARGO_PKG_VERSION"),
        super::SCHEMA
    );
    Error::new(Reason::DataNewer, message)
}
