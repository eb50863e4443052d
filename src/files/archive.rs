//! A folder as one download: packed while it is sent, so that it takes no room of its own.

use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::time::Duration;

use ::zip::CompressionMethod;
use ::zip::DateTime;
use ::zip::ZipWriter;
use ::zip::write::SimpleFileOptions;
use ::zip::write::StreamWriter;
use bytes::Bytes;
use futures_util::stream;
use time::OffsetDateTime;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::sync::mpsc;

use crate::client::ByteStream;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

use super::Entry;
use super::Tree;
use super::TreePath;
use super::disk;

/// How many folders are packed at once: each holds a thread for as long as its reader takes.
const PACKERS: usize = 8;
/// How many bytes are handed on at a time, and how many such pieces wait for a slow reader.
const PIECE: usize = 64 * 1024;
const PIECES: usize = 4;
/// The most things in one folder.
const MOST: usize = 100_000;

/// How long a reader may take to want the next piece: whoever stops reading must not keep a packer from others.
const PATIENCE: Duration = Duration::from_secs(60);

static PACKING: Semaphore = Semaphore::const_new(PACKERS);

impl Tree {
    /// A folder and all that is in it as a zip file, without compression. The names in it are paths below that folder, and
    /// no link is followed (T-57, T-58). What can't be read on the way ends the stream with an error, so that nobody takes
    /// a part for the whole.
    ///
    /// # Errors
    ///
    /// [`Reason::Busy`] while too many others are packed.
    pub async fn zip(&self, path: &TreePath) -> Result<ByteStream> {
        let permit = PACKING.try_acquire().map_err(|_| {
            Error::new(
                Reason::Busy,
                "Too many folders are packed just now. Try again in a minute.",
            )
        })?;
        let path = path.clone();
        let folder = self.work(move |tree| tree.folder(&path)).await?;
        let (sender, receiver) = mpsc::channel(PIECES);
        let runtime = Handle::current();
        tokio::task::spawn_blocking(move || {
            let _permit = permit;
            let pipe = Pipe {
                piece: Vec::with_capacity(PIECE),
                sender: sender.clone(),
                runtime,
            };
            if let Err(error) = pack(&folder, pipe) {
                // Nobody listens any more, or not in time: then there is nobody to tell.
                let _ = sender.try_send(Err(error));
            }
        });
        Ok(Box::pin(stream::unfold(receiver, |mut receiver| async move {
            receiver.recv().await.map(|piece| (piece, receiver))
        })))
    }
}

fn pack(folder: &OwnedFd, pipe: Pipe) -> Result<()> {
    let mut zip = ZipWriter::new_stream(pipe);
    add(&mut zip, folder, "")?;
    let mut pipe = zip.finish().map_err(failed)?.into_inner();
    Ok(pipe.flush()?)
}

fn add(zip: &mut ZipWriter<StreamWriter<Pipe>>, folder: &OwnedFd, prefix: &str) -> Result<()> {
    let entries = disk::list(folder, MOST)?;
    if entries.len() == MOST {
        return Err(Error::new(Reason::TooLarge, "There is too much in this folder."));
    }
    for entry in entries {
        let name = format!("{prefix}{}", entry.name);
        if entry.is_folder() {
            zip.add_directory(name.as_str(), options(&entry)).map_err(failed)?;
            add(zip, &disk::open_folder(folder, &entry.name)?, &format!("{name}/"))?;
        } else {
            let (entry, file) = disk::open_file(folder, &entry.name)?;
            zip.start_file(name.as_str(), options(&entry)).map_err(failed)?;
            copy(file, entry.size, zip)?;
        }
    }
    Ok(())
}

/// As much of a file as was announced, however it grows meanwhile.
fn copy(file: File, size: u64, zip: &mut ZipWriter<StreamWriter<Pipe>>) -> Result<()> {
    let mut rest = file.take(size);
    let mut buffer = vec![0; PIECE];
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(()),
            read => zip.write_all(&buffer[..read])?,
        }
    }
}

fn options(entry: &Entry) -> SimpleFileOptions {
    SimpleFileOptions::default()
        .compression_method(CompressionMethod::Stored)
        .large_file(entry.size >= u64::from(u32::MAX))
        .last_modified_time(dos_time(entry.modified))
}

/// The format knows the years 1980 to 2107.
fn dos_time(moment: Timestamp) -> DateTime {
    let Ok(at) = OffsetDateTime::from_unix_timestamp(moment.0) else {
        return DateTime::default();
    };
    u16::try_from(at.year())
        .ok()
        .and_then(|year| {
            let (month, day) = (u8::from(at.month()), at.day());
            DateTime::from_date_and_time(year, month, day, at.hour(), at.minute(), at.second()).ok()
        })
        .unwrap_or_default()
}

fn failed(cause: ::zip::result::ZipError) -> Error {
    match cause {
        ::zip::result::ZipError::Io(cause) => cause.into(),
        other => Error::internal(other),
    }
}

/// The end of a pipe that a thread writes to; it waits while the other end is slow, and fails once that is gone.
struct Pipe {
    piece: Vec<u8>,
    sender: mpsc::Sender<Result<Bytes>>,
    runtime: Handle,
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.piece.extend_from_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.piece.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        let sent = async { tokio::time::timeout(PATIENCE, self.sender.send(Ok(piece.into()))).await };
        match self.runtime.block_on(sent) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}
