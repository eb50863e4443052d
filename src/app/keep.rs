//! What a running server hears from outside: signals, wishes for other settings, and a disk that has room again.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::signal::unix::SignalKind;
use tokio::signal::unix::signal;

use crate::app::Running;
use crate::app::manager;
use crate::config::Config;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Room;
use crate::site::life::Reread;
use crate::site::life::Wish;
use crate::store::State;

/// How often a store that stopped is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// The room that is there again, in bytes: what the engine writes when it is opened, several times over.
const ROOM: u64 = 8 << 20;
const FULL: &str = "The disk is full: nothing can be changed until there is room";

/// What comes from whoever started this process. From [`Signals::listen`] on, they no longer end it by themselves: call it
/// before the start.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    /// # Errors
    ///
    /// If the system gives no signals to wait for.
    pub fn listen() -> Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    pub async fn to_stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

/// How a server ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    Well,
    /// Somebody could not wait for the requests under way.
    AtOnce,
}

enum Heard {
    Stop,
    Reread(Option<Wish>),
    Look,
}

impl Running {
    /// Goes on until a signal says stop. `read` gives the settings as they are written now; they are read again on the
    /// signal to hang up, and for whoever wishes it through the admin socket.
    pub async fn keep(mut self, read: impl Fn() -> Result<Config>, mut signals: Signals) -> Ended {
        let watchdog = manager::keep_alive(&self.current, &self.recovering);
        manager::ready(self.site.config.server.public_url.provider());
        let mut look = tokio::time::interval(LOOK_EVERY);
        loop {
            let heard = tokio::select! {
                _ = signals.terminate.recv() => Heard::Stop,
                _ = signals.interrupt.recv() => Heard::Stop,
                _ = signals.hang_up.recv() => Heard::Reread(None),
                Some(wish) = self.wishes.recv() => Heard::Reread(Some(wish)),
                _ = look.tick() => Heard::Look,
            };
            match heard {
                Heard::Stop => break,
                Heard::Reread(wish) => {
                    let outcome = tokio::select! {
                        outcome = self.reread(&read) => outcome,
                        // Whoever wants it stopped does not wait for other settings.
                        () = signals.to_stop() => break,
                    };
                    if let Some(wish) = wish {
                        // Whoever has gone away in the meantime finds it in the log.
                        let _ = wish.send(outcome);
                    }
                }
                Heard::Look => {
                    self.fronts.let_go();
                    self.recover_if_there_is_room().await;
                }
            }
        }
        manager::stopping();
        tracing::info!("Stopping; requests under way are finished first");
        let ended = tokio::select! {
            () = self.finish() => Ended::Well,
            () = signals.to_stop() => Ended::AtOnce,
        };
        self.close();
        if let Some(watchdog) = watchdog {
            watchdog.abort();
        }
        ended
    }

    async fn reread(&mut self, read: &impl Fn() -> Result<Config>) -> Result<Reread> {
        manager::reloading();
        let outcome = match read() {
            Ok(config) => Box::pin(self.reload(config)).await,
            Err(error) => Err(error),
        };
        match &outcome {
            Ok(reread) => {
                let changed = reread.changed.join(", ");
                tracing::info!(changed, "The settings were read again and are in force");
                if !reread.after_restart.is_empty() {
                    let waiting = reread.after_restart.join(", ");
                    tracing::warn!("These stay as they were until a restart: {waiting}");
                }
            }
            Err(error) => tracing::error!(
                causes = error.causes(),
                "The settings were read again and are refused; the old ones stay in force: {error}"
            ),
        }
        manager::ready(self.site.config.server.public_url.provider());
        outcome
    }

    /// After a full disk what the store has in memory may differ from what is on disk. With room again, it goes on from the
    /// disk (T-82).
    async fn recover_if_there_is_room(&mut self) {
        let cause = match self.site.store.state() {
            State::Stopped(cause) => cause,
            State::Full => {
                if !self.was_full {
                    tracing::error!("The disk is full: no changes are taken until there is room again");
                    manager::trouble(FULL);
                }
                self.was_full = true;
                return;
            }
            // Whether it goes well again is not known yet.
            State::Slow => return,
            State::Ready => {
                if self.was_full {
                    tracing::warn!("There is room on the disk again, and changes are taken again");
                    manager::ready(self.site.config.server.public_url.provider());
                }
                self.was_full = false;
                return;
            }
        };
        if cause.reason() != Reason::DiskFull && !self.recovering.load(Ordering::SeqCst) {
            return;
        }
        let room = Room::at(&self.site.config.server.data_dir);
        if room.map_or(0, |room| room.bytes) < ROOM {
            manager::trouble(FULL);
            return;
        }
        match Box::pin(self.recover()).await {
            Ok(()) => {
                tracing::warn!("There is room on the disk again, and changes are taken again");
                manager::ready(self.site.config.server.public_url.provider());
            }
            Err(error) => tracing::error!(
                causes = error.causes(),
                "There is room on the disk, but the data can't be opened yet: {error}"
            ),
        }
    }
}
