//! Resources here: a tree of files and folders on this machine's disk, which no path leads out of and no crash halves.
//!
//! A [`Tree`] is an open directory handle. Every step beneath it is taken from the handle before, and none follows a
//! symbolic link, so that nothing can be swapped between a check and its use (T-58). What is neither file nor folder is
//! not there. New content is written beside its place under a hidden name, brought to disk, and then put in its place by
//! one rename (T-67): who reads sees the old or the new, never a mixture.

mod archive;
mod arrivals;
mod disk;
mod homes;
mod path;
mod room;
#[cfg(test)]
mod tests;
mod upload;

use std::fs::DirBuilder;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

pub use arrivals::Announced;
pub use arrivals::Arrivals;
pub use arrivals::Arrived;
pub use homes::Homes;
pub use path::TreePath;
pub use path::is_hidden;
pub use room::Left;
pub use room::Room;
pub use upload::Upload;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    File,
    Folder,
}

/// A file or folder, as it was a moment ago.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The last segment of its path; empty for the top of the tree.
    pub name: String,
    pub kind: EntryKind,
    /// In bytes; 0 for a folder.
    pub size: u64,
    pub modified: Timestamp,
    /// A strong entity tag, quotes included. That of a folder changes with everything beneath it, however deep, that is
    /// changed through a [`Tree`]; and so does `modified`.
    pub etag: String,
}

impl Entry {
    pub fn is_folder(&self) -> bool {
        self.kind == EntryKind::Folder
    }
}

/// What may stand in the place where something new is put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replace {
    /// Nothing: else [`Reason::AlreadyExists`].
    Never,
    /// Nothing, or anything.
    Always,
    /// What has this etag: else [`Reason::Conflict`].
    Only(String),
}

impl Replace {
    fn admit(&self, there: Option<&Entry>) -> Result<()> {
        match (self, there) {
            (Self::Always, _) | (Self::Never, None) => Ok(()),
            (Self::Never, Some(_)) => Err(disk::already_exists()),
            (Self::Only(etag), Some(there)) if there.etag == *etag => Ok(()),
            (Self::Only(_), _) => Err(Error::new(
                Reason::Conflict,
                "This has been changed by someone else in the meantime.",
            )),
        }
    }
}

/// A folder of this machine and all beneath it. Clones are the same tree.
///
/// All its work is done on threads that may block. A call whose future is dropped may still be carried out.
///
/// # Errors
///
/// All methods: [`Reason::NotFound`] where the path names nothing, or something that is neither file nor folder;
/// [`Reason::Conflict`] where something is put into a folder that is not there; [`Reason::UnsafePath`] where it would be
/// put in the place of a link, pipe or device; [`Reason::NotAllowed`] where the top itself would be put, moved or removed;
/// [`Reason::DiskFull`].
#[derive(Clone, Debug)]
pub struct Tree {
    top: Arc<OwnedFd>,
    /// Held from the look at a name until it stands for something else, so that conditions hold at the moment of change.
    order: Arc<Mutex<()>>,
}

impl Tree {
    /// The existing folder at `path`. The operator names it, so here, and only here, links are followed.
    pub async fn open(path: &Path) -> Result<Self> {
        let path = path.to_owned();
        blocking(move || {
            Ok(Self {
                top: Arc::new(disk::open_top(&path)?),
                order: Arc::default(),
            })
        })
        .await
    }

    /// The folder at `path`, made if it is not there yet, for this account only.
    pub async fn create(path: &Path) -> Result<Self> {
        let wanted = path.to_owned();
        blocking(move || {
            DirBuilder::new().recursive(true).mode(0o700).create(&wanted)?;
            match wanted.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(parent) => disk::sync(&disk::open_top(parent)?),
                None => Ok(()),
            }
        })
        .await?;
        Self::open(path).await
    }

    /// Whether anybody else holds this tree, or one within it.
    fn is_in_use(&self) -> bool {
        Arc::strong_count(&self.order) > 1
    }

    /// A folder of this tree as a tree of its own.
    pub async fn subtree(&self, path: &TreePath) -> Result<Self> {
        let path = path.clone();
        self.work(move |tree| {
            Ok(Self {
                top: Arc::new(tree.folder(&path)?),
                order: tree.order.clone(),
            })
        })
        .await
    }

    pub async fn stat(&self, path: &TreePath) -> Result<Entry> {
        let path = path.clone();
        self.work(move |tree| tree.entry(&path)).await
    }

    /// The first `max` things in a folder, by name. Names that no [`TreePath`] can hold are left out.
    pub async fn list(&self, path: &TreePath, max: usize) -> Result<Vec<Entry>> {
        let path = path.clone();
        self.work(move |tree| disk::list(&tree.folder(&path)?, max)).await
    }

    /// A file, open for reading, and what it was like when it was opened; [`Reason::NotFound`] for a folder.
    pub async fn read(&self, path: &TreePath) -> Result<(Entry, File)> {
        let path = path.clone();
        self.work(move |tree| {
            let (folder, name) = tree.place(&path)?;
            disk::open_file(&folder, name)
        })
        .await
    }

    /// Begins to write a file. Nothing is to be seen of it until [`Upload::finish`].
    pub async fn write(&self, path: &TreePath) -> Result<Upload> {
        let path = path.clone();
        self.work(move |tree| {
            let (folder, name) = tree.new_place(&path)?;
            Upload::begin(folder, name, tree.clone())
        })
        .await
    }

    /// Makes a folder; [`Reason::AlreadyExists`] where there is anything of that name.
    pub async fn make_folder(&self, path: &TreePath) -> Result<()> {
        let path = path.clone();
        self.work(move |tree| {
            let (folder, name) = tree.new_place(&path)?;
            disk::make_folder(&folder, name)?;
            disk::ripple(&tree.top, &folder);
            disk::sync(&folder)
        })
        .await
    }

    /// Removes a file, or a folder with all that is in it: a folder is gone at once, even if emptying it takes a while.
    pub async fn remove(&self, path: &TreePath) -> Result<()> {
        let path = path.clone();
        self.work(move |tree| {
            let (folder, name) = tree.place(&path)?;
            disk::remove(tree, &folder, name)
        })
        .await
    }

    /// Moves a file or folder and says whether something was replaced. [`Reason::AlreadyExists`] where something would be
    /// but may not; [`Reason::NotAllowed`] into itself.
    pub async fn rename(&self, from: &TreePath, to: &TreePath, replace: bool) -> Result<bool> {
        apart(from, to)?;
        let (from, to) = (from.clone(), to.clone());
        self.work(move |tree| {
            let (from_folder, from_name) = tree.place(&from)?;
            disk::entry(&from_folder, from_name)?;
            let (to_folder, to_name) = tree.new_place(&to)?;
            disk::settle(tree, (&from_folder, from_name), (&to_folder, to_name), |there| {
                Replace::of(replace).admit(there)
            })
        })
        .await
    }

    /// Copies a file, or a folder with (`deep`) or without what is in it, and says whether something was replaced. Refused
    /// as [`rename`](Self::rename) is. The copy appears as a whole.
    pub async fn copy(&self, from: &TreePath, to: &TreePath, replace: bool, deep: bool) -> Result<bool> {
        apart(from, to)?;
        let (from, to) = (from.clone(), to.clone());
        self.work(move |tree| {
            let (from_folder, from_name) = tree.place(&from)?;
            disk::entry(&from_folder, from_name)?;
            let (to_folder, to_name) = tree.new_place(&to)?;
            let copied = disk::Hidden::new(to_folder)?;
            disk::copy((&from_folder, from_name), (copied.folder(), copied.name()), deep)?;
            copied.settle(tree, to_name, |there| Replace::of(replace).admit(there))
        })
        .await
    }

    /// `path` itself where nothing is there, else the first of `a (2).txt`, `a (3).txt` and so on that is free.
    pub async fn free_name(&self, path: &TreePath) -> Result<TreePath> {
        let taken = async |path: &TreePath| match self.stat(path).await {
            Ok(_) => Ok(true),
            Err(error) if error.reason() == Reason::NotFound => Ok(false),
            Err(error) => Err(error),
        };
        if !taken(path).await? {
            return Ok(path.clone());
        }
        let (folder, name) = (path.parent().unwrap_or_default(), path.name().unwrap_or_default());
        let (stem, ending) = match name.rfind('.') {
            Some(at) if at > 0 => name.split_at(at),
            _ => (name, ""),
        };
        for number in 2..1000 {
            let other = folder.join(&format!("{stem} ({number}){ending}"))?;
            if !taken(&other).await? {
                return Ok(other);
            }
        }
        Err(disk::already_exists())
    }

    /// Sets when a file or folder was last modified, as a client that keeps files in step asks for.
    pub async fn touch(&self, path: &TreePath, modified: Timestamp) -> Result<()> {
        let path = path.clone();
        self.work(move |tree| {
            match tree.entry(&path)?.kind {
                EntryKind::Folder => disk::touch(&File::from(tree.folder(&path)?), modified)?,
                EntryKind::File => {
                    let (folder, name) = tree.place(&path)?;
                    disk::touch(&disk::open_file(&folder, name)?.1, modified)?;
                }
            }
            if let Some(parent) = path.parent() {
                disk::ripple(&tree.top, &tree.folder(&parent)?);
            }
            Ok(())
        })
        .await
    }

    /// How many bytes the files at and beneath `path` hold.
    pub async fn usage(&self, path: &TreePath) -> Result<u64> {
        let path = path.clone();
        self.work(move |tree| match tree.entry(&path)? {
            entry if entry.is_folder() => disk::usage(&tree.folder(&path)?),
            entry => Ok(entry.size),
        })
        .await
    }

    /// The folder at `path`, with all folders on the way to it, made where they are not there yet.
    pub async fn make_folders(&self, path: &TreePath) -> Result<()> {
        let mut way = TreePath::root();
        for name in path.segments() {
            way = way.join(name)?;
            match self.make_folder(&way).await {
                Err(error) if error.reason() == Reason::AlreadyExists => {}
                made => made?,
            }
        }
        Ok(())
    }

    /// How many bytes the disk has left for this account (T-66).
    pub async fn free(&self) -> Result<u64> {
        self.work(|tree| disk::free(&tree.top)).await
    }

    /// How many bytes uploads may still bring: some of the disk is left free for the store (T-66).
    pub async fn room(&self) -> Result<u64> {
        Ok(self.free().await?.saturating_sub(upload::RESERVE))
    }

    /// Removes what uploads, copies and removals left behind when the server was stopped in the middle of them, and says
    /// how many there were. Only to be called at start: it would take running ones for dead (T-67).
    pub async fn sweep(&self) -> Result<usize> {
        self.work(|tree| disk::sweep(&tree.folder(&TreePath::root())?)).await
    }

    async fn work<T: Send + 'static>(&self, work: impl FnOnce(&Self) -> Result<T> + Send + 'static) -> Result<T> {
        let tree = self.clone();
        blocking(move || work(&tree)).await
    }

    fn folder(&self, path: &TreePath) -> Result<OwnedFd> {
        path.segments().try_fold(disk::reopen(&self.top)?, |folder, name| {
            disk::open_folder(&folder, name)
        })
    }

    fn entry(&self, path: &TreePath) -> Result<Entry> {
        if path.is_root() {
            return disk::top_entry(&self.top);
        }
        let (folder, name) = self.place(path)?;
        disk::entry(&folder, name)
    }

    /// The folder that `path` is in, and its name there.
    fn place<'a>(&self, path: &'a TreePath) -> Result<(OwnedFd, &'a str)> {
        match (path.parent(), path.name()) {
            (Some(parent), Some(name)) => Ok((self.folder(&parent)?, name)),
            _ => Err(Error::new(
                Reason::NotAllowed,
                "This can't be done to the top folder itself.",
            )),
        }
    }

    /// As [`place`](Self::place), for something that is to be put there.
    fn new_place<'a>(&self, path: &'a TreePath) -> Result<(OwnedFd, &'a str)> {
        self.place(path).map_err(|error| match error.reason() {
            Reason::NotFound => {
                Error::new(Reason::Conflict, "The folder that this would be in is not there.").caused_by(error)
            }
            _ => error,
        })
    }
}

impl Replace {
    fn of(replace: bool) -> Self {
        if replace { Self::Always } else { Self::Never }
    }
}

fn apart(from: &TreePath, to: &TreePath) -> Result<()> {
    if to.is_within(from) || from.is_within(to) {
        return Err(Error::new(
            Reason::NotAllowed,
            "This would put something into or over itself.",
        ));
    }
    Ok(())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}
