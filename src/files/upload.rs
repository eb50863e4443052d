//! A file on its way in: written beside its place, and put there whole or not at all.

use std::io::Write;
use std::os::fd::OwnedFd;

use bytes::Bytes;
use futures_util::StreamExt;

use crate::client::ByteStream;
use crate::clock::Timestamp;
use crate::config::Size;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

use super::Entry;
use super::Replace;
use super::Tree;
use super::TreePath;
use super::blocking;
use super::disk;

/// How many bytes are collected before a thread is asked to write them.
const BATCH: usize = 256 * 1024;
/// How many bytes of a disk uploads leave free.
pub(super) const RESERVE: u64 = 64 << 20;

/// New content for a file, begun by [`Tree::write`](super::Tree::write). Dropped unfinished, it leaves nothing behind and
/// the old file as it was (T-67).
#[derive(Debug)]
pub struct Upload {
    /// None after an error: what is half written must not be finished.
    open: Option<Open>,
    name: String,
    tree: Tree,
    batch: Vec<u8>,
    size: u64,
    modified: Option<Timestamp>,
}

#[derive(Debug)]
struct Open {
    file: std::fs::File,
    hidden: disk::Hidden,
}

impl Upload {
    pub(super) fn begin(folder: OwnedFd, name: &str, tree: Tree) -> Result<Self> {
        let hidden = disk::Hidden::new(folder)?;
        let file = disk::create_file(hidden.folder(), hidden.name())?;
        Ok(Self {
            open: Some(Open { file, hidden }),
            name: name.to_owned(),
            tree,
            batch: Vec::new(),
            size: 0,
            modified: None,
        })
    }

    /// Adds to the end.
    ///
    /// # Errors
    ///
    /// [`Reason::DiskFull`]. After any error the upload is over.
    pub async fn write(&mut self, bytes: Bytes) -> Result<()> {
        self.size += bytes.len() as u64;
        self.batch.extend_from_slice(&bytes);
        if self.batch.len() >= BATCH {
            self.pass_on().await
        } else {
            Ok(())
        }
    }

    /// Sets when the file is to have been modified last, in place of now.
    pub fn date(&mut self, modified: Timestamp) {
        self.modified = Some(modified);
    }

    /// How many bytes there are so far.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Brings everything to disk and puts the file in its place. When this returns, it outlives a power cut.
    ///
    /// # Errors
    ///
    /// As [`Replace`] says, or [`Reason::AlreadyExists`] if there is a folder of that name; the old content then stays.
    pub async fn finish(mut self, replace: Replace) -> Result<Entry> {
        self.pass_on().await?;
        let open = self.open.take().ok_or_else(over)?;
        blocking(move || {
            match self.modified {
                Some(modified) => disk::touch(&open.file, modified)?,
                None => open.file.sync_all()?,
            }
            let entry = disk::entry_of_file(&open.file, &self.name)?;
            open.hidden.settle(&self.tree, &self.name, |there| match there {
                Some(there) if there.is_folder() => Err(disk::already_exists()),
                _ => replace.admit(there),
            })?;
            Ok(entry)
        })
        .await
    }

    async fn pass_on(&mut self) -> Result<()> {
        let mut open = self.open.take().ok_or_else(over)?;
        let batch = std::mem::take(&mut self.batch);
        // The file goes along and comes back: if this future is dropped, it is cleaned up where it is.
        self.open = Some(
            blocking(move || {
                // What is left is for the store: people's files must not stop the server (T-66).
                if disk::free(open.hidden.folder())? < RESERVE + batch.len() as u64 {
                    return Err(Error::new(Reason::DiskFull, "This server has no room for this."));
                }
                open.file.write_all(&batch)?;
                Ok(open)
            })
            .await?,
        );
        Ok(())
    }
}

impl Tree {
    /// Writes all of a stream to a file, or nothing: at most `most` bytes, in place of what `replace` says.
    ///
    /// # Errors
    ///
    /// [`Reason::TooLarge`]; as the stream has it; as [`Upload::finish`].
    pub async fn store(&self, path: &TreePath, mut content: ByteStream, most: u64, replace: Replace) -> Result<Entry> {
        let mut upload = self.write(path).await?;
        while let Some(chunk) = content.next().await {
            let chunk = chunk?;
            if upload.size() + chunk.len() as u64 > most {
                return Err(Error::new(
                    Reason::TooLarge,
                    format!("A file has at most {} here.", Size(most)),
                ));
            }
            upload.write(chunk).await?;
        }
        upload.finish(replace).await
    }
}

fn over() -> Error {
    Error::new(Reason::Internal, "This upload has failed before.")
}
