//! One content of a data directory in place of another: all of it or nothing, whenever the machine stops.
//!
//! The new content is made ready in a folder inside the directory, so that the directory itself is never renamed: it may
//! be a mounted volume. Then a journal says what is to change places. From that moment the new one is what is there: the
//! next to open the directory does what is left to do. Before it, the old one is, and what was made ready is thrown away.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::io;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Component;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use super::dir;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// Where the new content is made ready.
pub(super) const INCOMING: &str = "incoming";
pub(super) const JOURNAL: &str = "exchange";

/// What changes places.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Plan {
    /// The folder that takes what was there.
    pub(super) aside: String,
    /// What comes out of [`INCOMING`], and into the place of what has its name.
    pub(super) take_in: Vec<String>,
    /// What only goes.
    pub(super) put_aside: Vec<String>,
    /// Whether what was there stays there, put aside.
    pub(super) keep: bool,
}

impl Plan {
    /// Whether it names nothing but entries of the directory itself: whatever a journal says, no other place is touched.
    fn stays_within(&self) -> bool {
        let is_entry = |name: &str| {
            let mut parts = Path::new(name).components();
            matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name)
        };
        self.aside.starts_with("before-")
            && is_entry(&self.aside)
            && self.take_in.iter().chain(&self.put_aside).all(|name| is_entry(name))
    }
}

/// Exchanges, from where nothing is changed yet to the end.
///
/// # Errors
///
/// [`Reason::Conflict`] where something can't change places, before anything is changed; and as the disk has it.
pub(super) fn begin(path: &Path, plan: &Plan) -> Result<()> {
    refuse_mounts(path, plan)?;
    let write = || {
        // An empty one is what a stop just here left. What has something in it is somebody's.
        let aside = path.join(&plan.aside);
        let _ = fs::remove_dir(&aside);
        DirBuilder::new().mode(0o700).create(&aside)?;
        let new = path.join("exchange.new");
        let _ = fs::remove_file(&new);
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&new)?;
        file.write_all(&serde_json::to_vec(plan)?)?;
        file.sync_all()?;
        sync(path)?;
        fs::rename(&new, path.join(JOURNAL))?;
        sync(path)
    };
    write().map_err(|cause| dir::unusable(path, cause))?;
    finish(path)
}

/// Does what is left to do, or throws away what never came to be.
pub(super) fn finish(path: &Path) -> Result<()> {
    finish_with(path, &mut |_| Ok(()))
}

/// `step` is told after each step that a stop may follow.
fn finish_with(path: &Path, step: &mut dyn FnMut(&str) -> io::Result<()>) -> Result<()> {
    let unusable = |cause: io::Error| dir::unusable(path, cause);
    let text = match fs::read(path.join(JOURNAL)) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            return remove(&path.join(INCOMING)).map_err(unusable);
        }
        Err(cause) => return Err(unusable(cause)),
    };
    let plan: Option<Plan> = serde_json::from_slice(&text).ok();
    let plan = plan
        .filter(Plan::stays_within)
        .ok_or_else(|| unreadable_journal(path))?;
    carry_out(path, &plan, step).map_err(unusable)
}

/// A backup can't be put in place before it is settled what is there.
fn unreadable_journal(path: &Path) -> Error {
    let message = format!(
        "{journal} says what was being put in the place of what, and can't be read. Copy {path} to another place, remove \
         {journal}, then restore a backup.",
        journal = path.join(JOURNAL).display(),
        path = path.display(),
    );
    Error::new(Reason::DataDamaged, message)
}

fn carry_out(path: &Path, plan: &Plan, step: &mut dyn FnMut(&str) -> io::Result<()>) -> io::Result<()> {
    let (incoming, aside) = (path.join(INCOMING), path.join(&plan.aside));
    for name in &plan.put_aside {
        if there(&path.join(name)) && !there(&aside.join(name)) {
            fs::rename(path.join(name), aside.join(name))?;
            step(name)?;
        }
    }
    for name in &plan.take_in {
        // While the new one waits, what has its name is the old one.
        if !there(&incoming.join(name)) {
            continue;
        }
        if there(&path.join(name)) {
            fs::rename(path.join(name), aside.join(name))?;
            step(name)?;
        }
        fs::rename(incoming.join(name), path.join(name))?;
        step(name)?;
    }
    // Gone already where a stop came between here and the end.
    for folder in [&incoming, &aside] {
        if there(folder) {
            sync(folder)?;
        }
    }
    sync(path)?;
    step("in place")?;
    if !plan.keep {
        remove(&aside)?;
        step("old gone")?;
    }
    remove(&incoming)?;
    step("incoming gone")?;
    fs::remove_file(path.join(JOURNAL))?;
    sync(path)
}

/// A mount point can't be renamed: better to say so before the first thing is.
fn refuse_mounts(path: &Path, plan: &Plan) -> Result<()> {
    // Where the system does not tell, renaming will.
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let Ok(path) = path.canonicalize() else {
        return Ok(());
    };
    for name in plan.take_in.iter().chain(&plan.put_aside) {
        let place = path.join(name);
        let escaped = place.to_string_lossy().replace(' ', "\\040");
        if mounts.lines().any(|line| line.split(' ').nth(4) == Some(&escaped)) {
            let message = format!(
                "{} is a mounted disk of its own, and can't be put aside. Unmount it, and have its files in the directory \
                 itself as long as this takes.",
                place.display()
            );
            return Err(Error::new(Reason::Conflict, message));
        }
    }
    Ok(())
}

fn there(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok()
}

fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => Err(cause),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    fn read(path: &Path) -> String {
        fs::read_to_string(path).unwrap_or_default()
    }

    /// A directory with an old content, and a new one ready to take its place.
    fn ready(keep: bool) -> (tempfile::TempDir, Plan) {
        let dir = tempfile::tempdir().unwrap();
        for name in ["db/db", "instance_id", "tls/cert", "durable"] {
            write(&dir.path().join(name), "old");
        }
        for name in ["db/db", "instance_id", "files/ada"] {
            write(&dir.path().join(INCOMING).join(name), "new");
        }
        let plan = Plan {
            aside: "before-this".to_owned(),
            take_in: ["db", "instance_id", "files"].map(str::to_owned).to_vec(),
            put_aside: ["durable", "tls"].map(str::to_owned).to_vec(),
            keep,
        };
        (dir, plan)
    }

    fn contents(dir: &Path) -> Vec<String> {
        ["db/db", "instance_id", "tls/cert", "durable", "files/ada"]
            .map(|name| read(&dir.join(name)))
            .to_vec()
    }

    const NEW: [&str; 5] = ["new", "new", "", "", "new"];

    #[test]
    fn t87_a_stop_after_any_step_leaves_the_new_whole_once_it_was_said() {
        let mut stops = 0;
        for keep in [true, false] {
            for stop_after in 0.. {
                let (dir, plan) = ready(keep);
                let path = dir.path();
                fs::create_dir(path.join("before-this")).unwrap();
                fs::write(path.join(JOURNAL), serde_json::to_vec(&plan).unwrap()).unwrap();
                let mut steps = 0;
                let stopped = finish_with(path, &mut |_| {
                    steps += 1;
                    if steps > stop_after {
                        Err(io::Error::other("stop"))
                    } else {
                        Ok(())
                    }
                })
                .is_err();
                finish(path).unwrap();
                assert_eq!(contents(path), NEW, "after {stop_after} steps");
                assert!(!path.join(INCOMING).exists() && !path.join(JOURNAL).exists());
                let kept = ["old", "old", "old", "old", ""].map(|text| if keep { text } else { "" });
                assert_eq!(contents(&path.join("before-this")), kept);
                // Once more changes nothing.
                finish(path).unwrap();
                assert_eq!(contents(path), NEW);
                if !stopped {
                    break;
                }
                stops += 1;
            }
        }
        assert!(stops > 12, "{stops}");
    }

    #[test]
    fn t87_what_was_made_ready_and_never_said_is_thrown_away() {
        let (dir, _) = ready(true);
        fs::write(dir.path().join("exchange.new"), "{\"aside\":").unwrap();
        finish(dir.path()).unwrap();
        assert_eq!(contents(dir.path()), ["old", "old", "old", "old", ""]);
        assert!(!dir.path().join(INCOMING).exists());
    }

    #[test]
    fn a_journal_that_cannot_be_read_is_no_reason_to_throw_anything_away() {
        let (dir, _) = ready(true);
        fs::write(dir.path().join(JOURNAL), "?").unwrap();
        assert_eq!(finish(dir.path()).unwrap_err().reason(), Reason::DataDamaged);
        assert_eq!(contents(dir.path()), ["old", "old", "old", "old", ""]);
        assert!(dir.path().join(INCOMING).exists());
    }
}
