//! A backup that a running server hands over, as it is written where whoever asked for it wants it.

use std::fs;
use std::fs::File;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::path::PathBuf;

use futures_util::StreamExt;
use tokio::io::AsyncWriteExt;

use super::Made;
use super::read;
use super::write;
use crate::client::ByteStream;
use crate::clock::Clock;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::random;

/// Passes while there is nothing of that name.
///
/// # Errors
///
/// [`Reason::AlreadyExists`].
fn refuse_existing(file: &Path) -> Result<()> {
    if fs::symlink_metadata(file).is_err() {
        return Ok(());
    }
    let message = format!("{} is there already.", file.display());
    Err(Error::new(Reason::AlreadyExists, message))
}

/// Writes what arrives beside its place, for nobody else, reads it back from the disk, and only then gives it its name.
///
/// # Errors
///
/// [`Reason::AlreadyExists`]; as [`verify`](super::verify); [`Reason::NotAllowed`], [`Reason::Conflict`] or [`Reason::DiskFull`] naming what
/// can't be written. Then
/// nothing is left of it.
pub async fn receive(content: ByteStream, file: PathBuf) -> Result<Made> {
    // Somebody may be writing one of the same name.
    let mut part = file.clone().into_os_string();
    part.push(format!(".{}.part", random::number()));
    let part = PathBuf::from(part);
    let outcome = async {
        write_to(&part, content).await?;
        let (part, file) = (part.clone(), file.clone());
        let finished = tokio::task::spawn_blocking(move || finish(&part, file));
        finished.await.map_err(Error::internal)?
    }
    .await;
    if outcome.is_err() {
        let _ = fs::remove_file(&part);
    }
    outcome
}

async fn write_to(part: &Path, mut content: ByteStream) -> Result<()> {
    let wrong = |cause: io::Error| write::unwritable(part, cause);
    let opened = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(part);
    let mut out = tokio::fs::File::from_std(opened.map_err(wrong)?);
    while let Some(chunk) = content.next().await {
        out.write_all(&chunk?).await.map_err(wrong)?;
    }
    out.flush().await.map_err(wrong)?;
    out.sync_all().await.map_err(wrong)
}

fn finish(part: &Path, file: PathBuf) -> Result<Made> {
    let manifest = read::verify(part)?;
    refuse_existing(&file)?;
    let folder = file.parent().unwrap_or(Path::new("."));
    let named = || {
        fs::rename(part, &file)?;
        File::open(folder)?.sync_all()?;
        Ok(fs::metadata(&file)?.len())
    };
    let size = named().map_err(|cause| write::unwritable(&file, cause))?;
    Ok(Made {
        at: manifest.made_at(),
        verified: Some(Clock::system().now()),
        size,
        file,
    })
}
