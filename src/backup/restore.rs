//! A backup in the place of what is there: made ready beside it, changed so that nothing old comes to life by itself, and
//! exchanged for it at once.
//!
//! What was stopped, cancelled or used since the backup was made is in it as it was then (T-86). So all keys are made
//! anew, everybody is signed out, what was signed before counts for nothing, and what people elsewhere could use or would
//! get waits until an admin has looked through it: see [`review`].

use std::collections::BTreeMap;
use std::fs;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Component;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::SystemTime;

use super::decided;
use super::decided::Decided;
use super::keep;
use super::manifest::MANIFEST;
use super::manifest::Manifest;
use super::manifest::RECORDS;
use super::manifest::SETTINGS;
use super::manifest::kinds;
use super::read;
use super::read::Archive;
use super::review;
use super::write;
use crate::audit::Audit;
use crate::audit::By;
use crate::audit::Event;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::PublicUrl;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Room;
use crate::keys::Keys;
use crate::metrics::Metrics;
use crate::store;
use crate::store::Epoch;
use crate::store::Present;
use crate::store::Renewal;
use crate::store::SCHEMA;
use crate::store::Store;
use crate::timekeeper;
use crate::users::User;
use crate::users::Users;

/// Beyond it there is no number that a store reads again.
const LAST_EPOCH: u64 = i64::MAX as u64 - 1;

/// What a restore would do.
#[derive(Clone, Debug)]
pub struct Preview {
    pub manifest: Manifest,
    /// How many records there are now, by kind; or why that can't be known.
    pub now: Result<BTreeMap<String, u64>>,
    /// Of this installation, where there is one.
    pub instance: Option<String>,
    /// Why it would be refused, if it would.
    pub refused: Option<Error>,
    /// Whether the configuration in the backup is another than the one in force.
    pub other_settings: bool,
}

/// What came of a restore.
#[derive(Clone, Debug)]
pub struct Restored {
    pub manifest: Manifest,
    /// Where what was there is now.
    pub aside: PathBuf,
    pub held: review::Numbers,
    /// Whether there is an admin who can sign in.
    pub has_admin: bool,
    /// Why not all that was decided since may be known, though it could be asked.
    pub doubt: Option<Error>,
    /// What was decided since and counts on; or why what was there could not be asked for it.
    pub decided: Result<Decided>,
}

impl Preview {
    /// Each kind of record with its number then and now.
    pub fn kinds(&self) -> Vec<(String, u64, Option<u64>)> {
        let now: Option<BTreeMap<&str, u64>> = self.now.as_ref().ok().map(|now| kinds(now).collect());
        let mut all: BTreeMap<&str, u64> = self.manifest.kinds().collect();
        for kind in now.iter().flat_map(BTreeMap::keys) {
            all.entry(kind).or_default();
        }
        all.into_iter()
            .map(|(kind, then)| {
                let now = now.as_ref().map(|now| now.get(kind).copied().unwrap_or_default());
                (kind.to_owned(), then, now)
            })
            .collect()
    }
}

/// Looks at a backup as [`restore`] would, and changes nothing.
///
/// # Errors
///
/// As [`verify`](super::verify).
pub fn preview(config: &Config, file: &Path, rename: Option<&PublicUrl>, clock: Timestamp) -> Result<Preview> {
    let manifest = read::verify(file)?;
    let data = &config.server.data_dir;
    let instance = fs::read_to_string(data.join("instance_id")).ok();
    // To take a directory is to leave a lock there: an empty one may be a disk that is not mounted.
    let (now, in_the_way) = match store::has_data(data).then(|| Renewal::begin(data)) {
        None => (Ok(Present::default()), None),
        Some(Err(error)) => (Err(error.clone()), Some(error)),
        Some(Ok(renewal)) => match renewal.now(&[]) {
            // That is what backups are for.
            Err(damaged) if damaged.reason() == Reason::DataDamaged => (Err(damaged), None),
            Err(error) => (Err(error.clone()), Some(error)),
            Ok(now) => (Ok(now), None),
        },
    };
    let settings = settings_in(file)?;
    let in_force = config.file().and_then(|file| fs::read(file).ok());
    Ok(Preview {
        refused: check(config, &manifest, rename, clock).err().or(in_the_way),
        other_settings: settings != in_force,
        instance: instance.map(|id| id.trim().to_owned()),
        manifest,
        now: now.map(|now| now.records),
    })
}

fn settings_in(file: &Path) -> Result<Option<Vec<u8>>> {
    let mut archive = read::open(file)?;
    if archive.index_for_name(SETTINGS).is_none() {
        return Ok(None);
    }
    let mut text = Vec::new();
    read::copy(file, &mut archive, SETTINGS, &mut text)?;
    Ok(Some(text))
}

/// Passes if this backup may be put in the place of what is there.
fn check(config: &Config, manifest: &Manifest, rename: Option<&PublicUrl>, now: Timestamp) -> Result<()> {
    // What was signed before the restore counts for nothing: by a clock of long ago that would be nothing at all.
    timekeeper::refuse_impossible(now)?;
    if manifest.schema > SCHEMA {
        let message = format!(
            "This backup holds data of format {}, made by ocmesh {}. This is ocmesh {} (format {SCHEMA}). Use that one or \
             a later one.",
            manifest.schema,
            manifest.ocmesh,
            env!("CARGO_PKG_VERSION")
        );
        return Err(Error::new(Reason::DataNewer, message));
    }
    let ours = &config.server.public_url;
    let is_chosen = config.origin("server.public_url").is_set() || *ours != Config::default().server.public_url;
    if manifest.public_url != ours.origin() && !is_chosen {
        let why = format!(
            "This backup is of {}, and server.public_url is not set here. Set it to that, as it was; or to a new address, and \
             say --rename with it.",
            manifest.public_url
        );
        return Err(Error::new(Reason::Conflict, why));
    }
    if let Some(rename) = rename.filter(|rename| *rename != ours) {
        let why = format!("This server is {ours} and not {rename}: set server.public_url to {rename} first.");
        return Err(Error::invalid("--rename", why));
    }
    if manifest.public_url != ours.origin() && rename.is_none() {
        let why = format!(
            "This backup is of {}, and this server is {ours}. People are known elsewhere by their server: every contact \
             and every share with them breaks for good. If that is meant, say --rename {ours}; if not, set \
             server.public_url to what it was",
            manifest.public_url
        );
        return Err(Error::new(Reason::Conflict, why));
    }
    Ok(())
}

/// Puts a backup in the place of what is there. What was there goes into a folder inside the data directory.
///
/// Until everything is ready nothing is changed; from the moment at which it takes its place, a stop changes nothing about
/// the outcome: the next start finishes it.
///
/// # Errors
///
/// As [`verify`](super::verify); [`Reason::DataLocked`] while a server runs; [`Reason::Conflict`] for a backup of another
/// address; [`Reason::DiskFull`].
pub async fn restore(
    config: &Config,
    file: &Path,
    rename: Option<&PublicUrl>,
    by: &By,
    now: Timestamp,
) -> Result<Restored> {
    let manifest = read::verify(file)?;
    check(config, &manifest, rename, now)?;
    let data = &config.server.data_dir;
    let renewal = Renewal::begin(data)?;
    let size = manifest.entries.iter().map(|entry| entry.size);
    let size = size.fold(0, u64::saturating_add);
    // Records take more room in a database than in a file.
    write::check_room(size.saturating_mul(2), Room::at(data)?.bytes, data)?;
    let there = match renewal.now(&decided::KINDS) {
        // What is there can't be read: that is what backups are for.
        Err(damaged) if damaged.reason() == Reason::DataDamaged => {
            tracing::warn!("{damaged} It is put aside as it is.");
            Err(damaged)
        }
        there => Ok(there?),
    };
    let before = there.as_ref().map_or(0, |there| there.epoch.number);
    let epoch = Epoch {
        number: manifest.epoch.max(before).min(LAST_EPOCH) + 1,
        since: now,
    };
    load(&renewal, file, &manifest, epoch)?;
    let store = renewal.open()?;
    let settled = settle(config, &store, there.as_ref(), file, by, now).await;
    // Closed before anything else may fail, for it is exchanged or thrown away next.
    store.close()?;
    let (held, decided, has_admin) = settled?;
    let doubt = match &there {
        Ok(there) if there.is_of_another(&manifest.instance_id) => Some(Error::new(
            Reason::Conflict,
            "What was there is another installation's, so nothing that was decided there counts here.",
        )),
        Ok(there) => there.doubt.clone(),
        Err(_) => None,
    };
    let aside = unused(data, format!("before-restore-{}", keep::stamp(now)));
    renewal.put_in_place(&aside)?;
    Ok(Restored {
        manifest,
        aside: data.join(aside),
        held,
        has_admin,
        doubt,
        decided,
    })
}

fn load(renewal: &Renewal, file: &Path, manifest: &Manifest, epoch: Epoch) -> Result<()> {
    let incoming = renewal.incoming();
    renewal.make_folder(&incoming)?;
    let mut archive = read::open(file)?;
    renewal.load(epoch, &mut |take| read::each_line(file, &mut archive, take))?;
    let folders: Vec<String> = archive
        .file_names()
        .filter(|name| name.ends_with('/'))
        .map(str::to_owned)
        .collect();
    for name in folders {
        renewal.make_folder(&place(file, &incoming, &name)?)?;
    }
    for entry in &manifest.entries {
        if !matches!(entry.name.as_str(), MANIFEST | RECORDS | SETTINGS) {
            let place = place(file, &incoming, &entry.name)?;
            if let Some(folder) = place.parent() {
                renewal.make_folder(folder)?;
            }
            unpack(file, &mut archive, &entry.name, &place, entry.modified)?;
        }
    }
    Ok(())
}

/// Where something goes that a backup has under this name: below the folder, whatever the name says (T-57).
fn place(file: &Path, folder: &Path, name: &str) -> Result<PathBuf> {
    let relative = Path::new(name);
    let mut parts = relative.components();
    let first = relative
        .iter()
        .next()
        .and_then(|first| first.to_str())
        .unwrap_or_default();
    if parts.any(|part| !matches!(part, Component::Normal(_)))
        || write::OF_THE_STORE.contains(&first)
        || first.is_empty()
    {
        return Err(read::damaged(file, "a name in it leads elsewhere"));
    }
    Ok(folder.join(relative))
}

fn unpack(file: &Path, archive: &mut Archive, name: &str, place: &Path, modified: Option<i64>) -> Result<()> {
    let mut out = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(place)?;
    read::copy(file, archive, name, &mut out)?;
    let modified = modified.and_then(|seconds| u64::try_from(seconds).ok());
    if let Some(moment) = modified.and_then(|seconds| SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds)))
    {
        out.set_modified(moment)?;
    }
    Ok(out.sync_all()?)
}

/// Two restores in one second put aside what was there into two folders.
fn unused(data: &Path, name: String) -> String {
    let mut free = name.clone();
    for number in 2.. {
        if !data.join(&free).exists() {
            break;
        }
        free = format!("{name}-{number}");
    }
    free
}

/// Sees to it that nothing of what comes back does anything by itself.
async fn settle(
    config: &Config,
    store: &Store,
    there: Result<&Present, &Error>,
    file: &Path,
    by: &By,
    now: Timestamp,
) -> Result<(review::Numbers, Result<Decided>, bool)> {
    Keys::renew(store, now).await?;
    let users = Users::new(store.clone(), config.accounts.clone());
    users.forget_all_sessions().await?;
    let decided = match there {
        Ok(there) => match decided::read(there) {
            Ok(before) => Ok(decided::keep(config, store, &users, &before, now).await?),
            // As one of a later format.
            Err(unreadable) => Err(unreadable),
        },
        Err(damaged) => Err(damaged.clone()),
    };
    let held = review::hold(store, now).await?;
    let audit = Audit::open(config, store.clone(), Clock::stopped_at(now), Metrics::new()).await?;
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    audit.note(by, Event::new("backup.restore").of(&name)).await?;
    let people = store::every(async |page| users.list(page).await).await?;
    let is_admin = |user: &User| user.admin && user.is_active() && user.has_password();
    Ok((held, decided, people.is_empty() || people.iter().any(is_admin)))
}
