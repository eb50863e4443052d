//! How much room is left on a disk.

use std::io;
use std::path::Path;

/// What is left where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub bytes: u64,
    /// How many more files and folders; nothing where the file system has no such limit.
    pub files: Option<u64>,
}

impl Room {
    /// # Errors
    ///
    /// As the file system has it.
    pub fn at(path: &Path) -> io::Result<Self> {
        let disk = rustix::fs::statvfs(path)?;
        Ok(Self {
            bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            files: (disk.f_files > 0).then_some(disk.f_favail),
        })
    }
}
