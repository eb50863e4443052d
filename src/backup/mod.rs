//! Copies of all that is kept: made while the server runs, read back at once, put in place again.
//!
//! A backup holds what opens things by necessity, signing keys and the secrets of shares: the file is for its owner alone
//! (mode 0600, in a folder of mode 0700). What is known of the backups stands in their names, their last bytes, and one
//! small file beside them, so that it outlasts a restore.

mod decided;
mod keep;
mod manifest;
mod read;
mod receive;
pub mod restore;
pub mod review;
mod seal;
mod shelf;
mod standing;
mod write;

use std::fs;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use tokio::sync::Mutex as Turn;
use tokio::sync::OwnedMutexGuard;

use self::shelf::HANDED_OVER;
use self::shelf::list;
use self::shelf::note_found;
use self::standing::is_past;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::AdminTopic;
use crate::config::Config;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::notify::Notice;
use crate::notify::Notices;
use crate::random;
use crate::store::SCHEMA;
use crate::store::Saver;
use crate::store::Store;

pub use self::manifest::Manifest;
pub use self::read::opened;
pub use self::read::verify;
pub use self::receive::receive;
pub use self::standing::Standing;
pub use self::write::RESTORING;
pub use self::write::judge_target;

/// After a failure, the schedule tries again no sooner.
const AGAIN: Duration = Duration::from_secs(3600);
/// How many are kept of those made before an update to one version changes the data.
const KEPT_BEFORE_UPDATE: usize = 3;

/// A backup that was made.
#[derive(Clone, Debug)]
pub struct Made {
    pub file: PathBuf,
    pub at: Timestamp,
    /// Bytes.
    pub size: u64,
    /// When it was read back and found whole, if it was.
    pub verified: Option<Timestamp>,
}

impl Made {
    /// The name of the file, by which commands and pages know it.
    pub fn name(&self) -> String {
        name_of(&self.file)
    }
}

fn name_of(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// What is under way, and how the last one failed that did.
#[derive(Clone, Debug, Default)]
pub struct State {
    pub since: Option<Timestamp>,
    pub failure: Option<(Timestamp, Error)>,
}

/// The backups of one server. Clones are the same.
#[derive(Clone)]
pub struct Backups {
    config: Arc<Config>,
    store: Store,
    notices: Notices,
    state: Arc<Mutex<State>>,
    /// Held while one is made, or some are removed.
    turn: Arc<Turn<()>>,
}

impl Backups {
    pub fn new(config: Arc<Config>, store: Store, notices: Notices) -> Self {
        Self {
            config,
            store,
            notices,
            state: Arc::default(),
            turn: Arc::default(),
        }
    }

    /// With what another of the same server has begun: what is under way there is not begun here.
    pub fn remembering(mut self, before: &Self) -> Self {
        self.state = Arc::clone(&before.state);
        self.turn = Arc::clone(&before.turn);
        self
    }

    /// All that are there, the newest first.
    ///
    /// # Errors
    ///
    /// As the file system has it.
    pub fn list(&self) -> Result<Vec<Made>> {
        list(&self.config.backup.dir, self.store.instance_id())
    }

    /// As [`Self::list`], for whoever must not wait for a disk.
    ///
    /// # Errors
    ///
    /// As [`Self::list`].
    pub async fn listed(&self) -> Result<Vec<Made>> {
        let backups = self.clone();
        let listed = tokio::task::spawn_blocking(move || backups.list());
        listed.await.map_err(Error::internal)?
    }

    /// How it stands with them.
    ///
    /// # Errors
    ///
    /// As [`Self::list`].
    pub async fn standing(&self, now: Timestamp) -> Result<Standing> {
        Ok(Standing::of(&self.listed().await?, self.config.backup.every.0, now))
    }

    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the backups are on the disk of the data: what takes one may take both.
    pub fn on_same_disk(&self) -> bool {
        let disk = |path: &Path| fs::metadata(path).map(|metadata| metadata.dev()).ok();
        let backups = &self.config.backup.dir;
        // A folder that is still to be made will be where its parent is.
        let there = backups.ancestors().find_map(disk);
        there.is_some() && there == disk(&self.config.server.data_dir)
    }

    /// Makes a backup in the folder for them, or under the name that is given, and reads it back.
    ///
    /// # Errors
    ///
    /// [`Reason::Busy`] while another is made; [`Reason::AlreadyExists`]; [`Reason::DiskFull`] with the numbers;
    /// [`Reason::NotAllowed`] or [`Reason::Conflict`] naming what can't be written.
    pub async fn make(&self, file: Option<PathBuf>, include_files: bool, now: Timestamp) -> Result<Made> {
        let turn = Arc::clone(&self.turn).try_lock_owned().map_err(|_| busy())?;
        let file = file.unwrap_or_else(|| self.by_hand(now));
        self.make_in_turn(turn, file, include_files, now).await.0
    }

    /// Makes one that is not kept here: it has no name any more when this returns, and is gone when it is closed.
    ///
    /// # Errors
    ///
    /// As [`Self::make`].
    pub async fn hand_over(&self, include_files: bool, now: Timestamp) -> Result<File> {
        let turn = Arc::clone(&self.turn).try_lock_owned().map_err(|_| busy())?;
        let made = self.in_turn(turn, now, move |config, store| {
            let name = format!("{HANDED_OVER}{}.zip", random::number());
            let file = config.backup.dir.join(name);
            let opened =
                make(config, store, &file, include_files, now).and_then(|_| File::open(&file).map_err(Error::from));
            match fs::remove_file(&file) {
                Err(cause) if cause.kind() != ErrorKind::NotFound => Err(write::unwritable(&file, cause)),
                _ => opened,
            }
        });
        made.await.0
    }

    /// The same for whoever does not wait for it: [`Self::state`] says how it goes.
    ///
    /// # Errors
    ///
    /// [`Reason::Busy`] while another is made.
    pub fn begin(&self, now: Timestamp) -> Result<()> {
        let turn = Arc::clone(&self.turn).try_lock_owned().map_err(|_| busy())?;
        self.lock().since = Some(now);
        let backups = self.clone();
        tokio::spawn(async move {
            let include_files = backups.config.backup.include_files;
            let file = backups.by_hand(now);
            if let Err(error) = backups.make_in_turn(turn, file, include_files, now).await.0 {
                tracing::error!(causes = error.causes(), "No backup could be made: {error}");
            }
        });
        Ok(())
    }

    /// Makes one if it is time, and removes those that are not kept any longer.
    ///
    /// # Errors
    ///
    /// As [`Self::make`]; admins are told.
    pub async fn run_due(&self, now: Timestamp) -> Result<()> {
        let Some(every) = self.config.backup.every.0 else {
            return Ok(());
        };
        let tried = self.state().failure.map(|(at, _)| at);
        if tried.is_some_and(|at| at <= now && now < at.plus(AGAIN.min(every))) {
            return Ok(());
        }
        let listed = self.listed().await;
        // One that was made under a clock that ran ahead says nothing of when the next is due.
        let newest = listed.as_ref().ok().and_then(|listed| {
            let scheduled = |made: &&Made| keep::is_scheduled(&made.name()) && is_past(made.at, now);
            listed.iter().find(scheduled)
        });
        if newest.is_some_and(|made| now < made.at.plus(every)) {
            return Ok(());
        }
        let Ok(turn) = Arc::clone(&self.turn).try_lock_owned() else {
            return Ok(());
        };
        let backups = self.clone();
        // Its own task: where settings are read again meanwhile, nobody waits for it any more.
        let made = tokio::task::spawn_local(async move {
            let outcome = match listed {
                Ok(_) => backups.make_scheduled(turn, now).await,
                Err(error) => {
                    backups.lock().failure = Some((now, error.clone()));
                    Err(error)
                }
            };
            if let Err(error) = &outcome {
                tracing::error!(causes = error.causes(), "No backup could be made: {error}");
                backups.tell_of(error).await?;
            }
            outcome
        });
        made.await.map_err(Error::internal)?
    }

    async fn make_scheduled(&self, turn: OwnedMutexGuard<()>, now: Timestamp) -> Result<()> {
        let file = self.config.backup.dir.join(keep::name(now));
        let (outcome, _turn) = self
            .make_in_turn(turn, file, self.config.backup.include_files, now)
            .await;
        outcome?;
        if let Err(error) = self.prune_in_turn(now).await {
            tracing::error!(causes = error.causes(), "Old backups could not be removed: {error}");
        }
        Ok(())
    }

    async fn tell_of(&self, error: &Error) -> Result<()> {
        let notice = Notice {
            topic: AdminTopic::Backup,
            about: "backup".to_owned(),
            sentence: "No backup could be made: {why}",
            values: vec![("why", error.message().to_owned())],
        };
        self.notices.admins(notice).await
    }

    /// Removes those that are not kept any longer; gives their names.
    ///
    /// # Errors
    ///
    /// [`Reason::Busy`] while one is made.
    pub async fn prune(&self, now: Timestamp) -> Result<Vec<String>> {
        let _turn = self.turn.try_lock().map_err(|_| busy())?;
        self.prune_in_turn(now).await
    }

    /// Reads one of the backups once more.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`]; as [`verify`], and then it counts as not found whole.
    pub async fn check(&self, name: &str, now: Timestamp) -> Result<Made> {
        let made = self.find(name).await?;
        let folder = self.config.backup.dir.clone();
        let file = made.file.clone();
        let checked = tokio::task::spawn_blocking(move || {
            let outcome = verify(&file);
            note_found(&folder, &file, outcome.is_ok().then_some(now));
            outcome
        });
        checked.await.map_err(Error::internal)??;
        self.find(name).await
    }

    /// One of the backups, by the name of its file.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`].
    pub async fn find(&self, name: &str) -> Result<Made> {
        let found = self.listed().await?.into_iter().find(|made| made.name() == name);
        found.ok_or_else(|| Error::not_found("There is no such backup.").in_field("name"))
    }

    fn by_hand(&self, now: Timestamp) -> PathBuf {
        self.config.backup.dir.join(keep::name_by_hand(now))
    }

    /// Goes on to its end, and keeps the turn until then, also where nobody waits for it any more.
    async fn make_in_turn(
        &self,
        turn: OwnedMutexGuard<()>,
        file: PathBuf,
        include_files: bool,
        now: Timestamp,
    ) -> (Result<Made>, Option<OwnedMutexGuard<()>>) {
        self.in_turn(turn, now, move |config, store| {
            make(config, store, &file, include_files, now)
        })
        .await
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        turn: OwnedMutexGuard<()>,
        now: Timestamp,
        work: impl FnOnce(&Config, &Store) -> Result<T> + Send + 'static,
    ) -> (Result<T>, Option<OwnedMutexGuard<()>>) {
        self.lock().since = Some(now);
        let backups = self.clone();
        let made = tokio::task::spawn_blocking(move || {
            let outcome = work(&backups.config, &backups.store);
            let mut state = backups.lock();
            state.since = None;
            state.failure = outcome.as_ref().err().map(|error| (now, error.clone()));
            drop(state);
            (outcome, turn)
        });
        match made.await {
            Ok((outcome, turn)) => (outcome, Some(turn)),
            Err(fault) => {
                self.lock().since = None;
                (Err(Error::internal(fault)), None)
            }
        }
    }

    async fn prune_in_turn(&self, now: Timestamp) -> Result<Vec<String>> {
        let backups = self.clone();
        let pruned = tokio::task::spawn_blocking(move || {
            let mut made = backups.list()?;
            // What does not show that it is ours is left alone, whatever it is called.
            made.retain(|made| keep::is_scheduled(&made.name()) && matches!(seal::read(&made.file), Ok(Some(_))));
            let times: Vec<_> = made.iter().map(|made| (made.at, made.verified.is_some())).collect();
            let kept = keep::kept(&times, backups.config.backup.keep, now);
            let mut gone = Vec::new();
            for made in made.iter().zip(kept).filter(|(_, kept)| !kept).map(|(made, _)| made) {
                fs::remove_file(&made.file).map_err(|cause| write::unwritable(&made.file, cause))?;
                note_found(&backups.config.backup.dir, &made.file, None);
                gone.push(made.name());
            }
            Ok(gone)
        });
        pruned.await.map_err(Error::internal)?
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn busy() -> Error {
    Error::new(
        Reason::Busy,
        "A backup is being made already; try again when that one is done.",
    )
}

fn make(config: &Config, store: &Store, file: &Path, include_files: bool, now: Timestamp) -> Result<Made> {
    let folder = &config.backup.dir;
    let ours = file.parent() == Some(folder);
    if ours {
        write::make_folder(folder)?;
        shelf::sweep(folder)?;
    }
    let contents = write::Contents {
        config,
        instance: store.instance_id().to_owned(),
        include_files,
        now,
    };
    write::write(file, &contents, &mut store.snapshot()?)?;
    let size = fs::metadata(file)?.len();
    if ours && keep::made_at(&name_of(file)).is_some() {
        note_found(folder, file, Some(now));
    }
    tracing::info!(size, "A backup was made and found whole: {}", file.display());
    Ok(Made {
        file: file.to_owned(),
        at: now,
        size,
        verified: Some(now),
    })
}

/// One that was killed in this very second may have left its backup.
fn free_name(folder: &Path, now: Timestamp) -> PathBuf {
    let names = (0..).map(|later| folder.join(keep::name_before_update(now.plus(Duration::from_secs(later)))));
    let mut free = names.skip_while(|name| name.exists());
    free.next().expect("there are more seconds than backups")
}

/// What is done before the records of an earlier format are changed: they are saved, in the same folder.
pub fn saver(config: &Config, clock: &Clock) -> Saver {
    let (config, clock) = (config.clone(), clock.clone());
    Saver::new(move |schema, lines| {
        let now = clock.now();
        let file = free_name(&config.backup.dir, now);
        let instance = fs::read_to_string(config.server.data_dir.join("instance_id"))?;
        let contents = write::Contents {
            config: &config,
            instance: instance.trim().to_owned(),
            include_files: false,
            now,
        };
        write::make_folder(&config.backup.dir)?;
        // An update that fails is tried again at each start, and must not fill the disk with its backups.
        for old in keep::before_this_update(&config.backup.dir, instance.trim())?
            .into_iter()
            .skip(KEPT_BEFORE_UPDATE - 1)
        {
            fs::remove_file(&old).map_err(|cause| write::unwritable(&old, cause))?;
        }
        write::write(&file, &contents, lines)?;
        note_found(&config.backup.dir, &file, Some(now));
        tracing::info!(
            schema,
            "Before the data is brought from format {schema} to format {SCHEMA}, it is saved in {}",
            file.display()
        );
        Ok(())
    })
}

/// What an operator can do whose data is of a later format, or damaged, if a backup that helps is there.
pub fn advise(config: &Config, refused: Error) -> Error {
    let instance = fs::read_to_string(config.server.data_dir.join("instance_id")).unwrap_or_default();
    let newest = |helps: &dyn Fn(&Made) -> bool| {
        let found = list(&config.backup.dir, instance.trim()).ok()?;
        found.into_iter().find(|made| helps(made))
    };
    let fits = |made: &Made| {
        let manifest = read::open(&made.file).and_then(|mut archive| read::manifest(&made.file, &mut archive));
        manifest.is_ok_and(|manifest| manifest.schema <= SCHEMA)
    };
    let advice = match refused.reason() {
        Reason::DataNewer => {
            newest(&fits).map(|made| format!("The newest that fits: ocmesh restore {}", made.file.display()))
        }
        Reason::DataDamaged => newest(&|made| made.verified.is_some()).map(|made| {
            let file = made.file.display();
            format!("The newest that was found whole: ocmesh restore {file}")
        }),
        _ => None,
    };
    match advice {
        Some(advice) => refused.and(&advice),
        None => refused,
    }
}

/// Reads a backup wherever it lies; one in the folder of the backups counts as found whole from now on, or as not.
///
/// # Errors
///
/// As [`verify`].
pub fn check_file(config: &Config, file: &Path, now: Timestamp) -> Result<Manifest> {
    let outcome = verify(file);
    let folder = &config.backup.dir;
    let ours = file.parent().and_then(|parent| parent.canonicalize().ok()) == folder.canonicalize().ok();
    if ours && file.exists() {
        // Whoever may only read them still learns how it is.
        note_found(folder, file, outcome.is_ok().then_some(now));
    }
    outcome
}
