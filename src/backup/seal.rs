//! The end of a backup: whose it is, and a hash of everything before it, so that no byte of it can change unnoticed.
//!
//! A zip file guards the content of what is in it, and nothing else: not its names, times and directory. So the comment
//! at its end, its last bytes, is a sentence of one length.

use std::fs::File;
use std::io;
use std::io::BufReader;
use std::io::Read;
use std::io::Seek;
use std::io::SeekFrom;
use std::os::unix::fs::FileExt;
use std::path::Path;

use aws_lc_rs::digest;

const BEFORE_ID: &str = "ocmesh backup 1 of ";
const ID_LENGTH: usize = 32;
const BEFORE_HASH: &str = " sha256 ";
const HASH_LENGTH: usize = 64;
const LENGTH: usize = BEFORE_ID.len() + ID_LENGTH + BEFORE_HASH.len() + HASH_LENGTH;

/// What stands at the end of a file of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seal {
    pub(super) instance: String,
    pub(super) hash: String,
}

/// The comment of a file that has still to be sealed.
pub(super) fn unsealed(instance: &str) -> String {
    format!(
        "{BEFORE_ID}{instance:0>ID_LENGTH$.ID_LENGTH$}{BEFORE_HASH}{:0<HASH_LENGTH$}",
        ""
    )
}

/// Writes the hash of all before it at the end of a file with the comment [`unsealed`].
pub(super) fn put(file: &mut File) -> io::Result<()> {
    let length = file.metadata()?.len();
    let at = length.saturating_sub(HASH_LENGTH as u64);
    let hash = hash_before(file, at)?;
    file.write_all_at(hash.as_bytes(), at)
}

/// The seal of a file, where there is one; it was not compared.
pub(super) fn read(path: &Path) -> io::Result<Option<Seal>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    if length < LENGTH as u64 {
        return Ok(None);
    }
    file.seek(SeekFrom::End(-(LENGTH as i64)))?;
    let mut end = vec![0; LENGTH];
    file.read_exact(&mut end)?;
    Ok(parse(&end))
}

fn parse(end: &[u8]) -> Option<Seal> {
    let rest = str::from_utf8(end).ok()?.strip_prefix(BEFORE_ID)?;
    let (instance, hash) = rest.split_once(BEFORE_HASH)?;
    (instance.len() == ID_LENGTH && hash.len() == HASH_LENGTH).then(|| Seal {
        instance: instance.to_owned(),
        hash: hash.to_owned(),
    })
}

/// Whether everything before the hash is what it was.
pub(super) fn holds(path: &Path, seal: &Seal) -> io::Result<bool> {
    let mut file = File::open(path)?;
    let at = file.metadata()?.len().saturating_sub(HASH_LENGTH as u64);
    Ok(hash_before(&mut file, at)? == seal.hash)
}

fn hash_before(file: &mut File, end: u64) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut hashed = Hashing::new(io::sink());
    io::copy(&mut BufReader::with_capacity(1 << 16, file).take(end), &mut hashed)?;
    Ok(hashed.finish().1)
}

/// Passes on what is written to it, and counts and hashes it.
pub(super) struct Hashing<W> {
    inner: W,
    context: digest::Context,
    size: u64,
}

impl<W> Hashing<W> {
    pub(super) fn new(inner: W) -> Self {
        Self {
            inner,
            context: digest::Context::new(&digest::SHA256),
            size: 0,
        }
    }

    /// The bytes, and their SHA-256 in hexadecimal.
    pub(super) fn finish(self) -> (u64, String) {
        let hash = self.context.finish();
        (
            self.size,
            hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect(),
        )
    }
}

impl<W: io::Write> io::Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.context.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
