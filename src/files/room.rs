//! How much room is left on a disk, and when that is too little.

use std::io;
use std::path::Path;

/// With fewer bytes free, the next large upload or backup fails.
const LITTLE: u64 = 1 << 30;
/// So is a twentieth of the whole; no disk that has as much as this is nearly full, however large it is.
const PLENTY: u64 = 10 << 30;
const LITTLE_PART: u64 = 20;
/// With fewer than this, the database will be the next that fails.
const NOTHING: u64 = 64 << 20;
/// The same for the number of files.
const FEW_FILES: u64 = 10_000;

/// What is left where a path leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Room {
    pub bytes: u64,
    /// How many bytes there are, free or not; 0 where the file system does not know.
    pub whole: u64,
    /// How many more files and folders; nothing where the file system has no such limit.
    pub files: Option<u64>,
}

/// Whether that will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Left {
    Enough,
    Little,
    /// Too few files, however small, where there are bytes enough.
    FewFiles(u64),
    Nothing,
}

impl Room {
    /// # Errors
    ///
    /// As the file system has it.
    pub fn at(path: &Path) -> io::Result<Self> {
        let disk = rustix::fs::statvfs(path)?;
        Ok(Self {
            bytes: disk.f_bavail.saturating_mul(disk.f_frsize),
            whole: disk.f_blocks.saturating_mul(disk.f_frsize),
            files: (disk.f_files > 0).then_some(disk.f_favail),
        })
    }

    pub fn left(self) -> Left {
        match self {
            Self { bytes, .. } if bytes < NOTHING => Left::Nothing,
            Self { bytes, whole, .. } if bytes < LITTLE.max(PLENTY.min(whole / LITTLE_PART)) => Left::Little,
            Self { files: Some(files), .. } if files < FEW_FILES => Left::FewFiles(files),
            _ => Left::Enough,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_judged_by_its_bytes_its_size_and_its_inodes() {
        let check = |bytes: u64, whole: u64, files: Option<u64>, expected: Left| {
            let room = Room { bytes, whole, files };
            assert_eq!(room.left(), expected, "{room:?}");
        };
        check(2 << 30, 20 << 30, None, Left::Enough);
        check((1 << 30) - 1, 2 << 30, None, Left::Little);
        check(2 << 30, 100 << 30, None, Left::Little);
        check(6 << 30, 100 << 30, None, Left::Enough);
        check(11 << 30, 10 << 40, None, Left::Enough);
        check(9 << 30, 10 << 40, None, Left::Little);
        check((64 << 20) - 1, 100 << 30, None, Left::Nothing);
        // Some file systems don't know how large they are.
        check(2 << 30, 0, None, Left::Enough);
        check(6 << 30, 20 << 30, Some(12), Left::FewFiles(12));
        check(6 << 30, 20 << 30, Some(1_000_000), Left::Enough);
    }
}
