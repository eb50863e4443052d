//! The life of a running server: since when it runs, and the way to have it read its settings again.

use tokio::sync::mpsc;
use tokio::sync::oneshot;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::settings;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// What can only be had by a start: what is on disk, or known to others, by these names.
const FIXED: [&str; 5] = [
    "server.public_url",
    "server.data_dir",
    "server.admin_socket",
    "log.level",
    "log.format",
];

/// What came of reading the settings again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reread {
    /// The settings that are in force with another value now, as `section.key`.
    pub changed: Vec<String>,
    /// Those that have another value where it was read, and stay as they are until a restart.
    pub after_restart: Vec<String>,
    /// Why the certificate files that are there now are not in use, in place of those from before.
    pub certificate: Option<String>,
}

impl Reread {
    /// What differs between the settings in force and others that were read; what is fixed is put back in those.
    pub fn compare(old: &Config, new: &mut Config) -> Self {
        let differing = |new: &Config| -> Vec<String> {
            let rows = settings::in_force(old).into_iter().zip(settings::in_force(new));
            rows.filter(|(before, now)| before.value != now.value)
                .map(|(before, _)| before.key.to_owned())
                .collect()
        };
        let (after_restart, mut changed): (Vec<_>, Vec<_>) = differing(new)
            .into_iter()
            .partition(|key| FIXED.contains(&key.as_str()));
        new.server.public_url = old.server.public_url.clone();
        new.server.data_dir.clone_from(&old.server.data_dir);
        new.server.admin_socket.clone_from(&old.server.admin_socket);
        new.log.level.clone_from(&old.log.level);
        new.log.format = old.log.format;
        // Tables that come more than once are no settings of one value.
        for (key, differs) in [
            (
                "federation.private_network",
                old.federation.private_network != new.federation.private_network,
            ),
            (
                "federation.directory",
                old.federation.directory != new.federation.directory,
            ),
            ("notify.webhook", old.notify.webhook != new.notify.webhook),
            ("ui.link", old.ui != new.ui),
        ] {
            if differs && !changed.iter().any(|known| known.starts_with(key)) {
                changed.push(key.to_owned());
            }
        }
        Self {
            changed,
            after_restart,
            certificate: None,
        }
    }
}

/// Somebody wants the settings read again, and waits to hear how that went.
pub type Wish = oneshot::Sender<Result<Reread>>;

/// Clones are of the same server, whatever its settings become.
#[derive(Clone)]
pub struct Life {
    pub started: Timestamp,
    wishes: Option<mpsc::Sender<Wish>>,
}

impl Life {
    /// Nothing runs: the data is only looked at.
    pub fn none(now: Timestamp) -> Self {
        Self {
            started: now,
            wishes: None,
        }
    }

    /// Of a server that hears of wishes on the other end.
    pub fn begin(now: Timestamp) -> (Self, mpsc::Receiver<Wish>) {
        let (wishes, heard) = mpsc::channel(4);
        let life = Self {
            started: now,
            wishes: Some(wishes),
        };
        (life, heard)
    }

    /// Has the settings read again, and waits until the good ones are in force.
    ///
    /// # Errors
    ///
    /// What is wrong with them; then the old ones stay. [`Reason::ServerUnreachable`] where no server runs.
    pub async fn reread(&self) -> Result<Reread> {
        let nobody = || {
            Error::new(
                Reason::ServerUnreachable,
                "No server runs that could read its settings again; the next one that is started reads them.",
            )
        };
        let wishes = self.wishes.as_ref().ok_or_else(nobody)?;
        let (answer, answered) = oneshot::channel();
        wishes.send(answer).await.map_err(|_| nobody())?;
        answered.await.map_err(|_| nobody())?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_not_change_while_a_server_runs_is_named_and_put_back() {
        let old = Config::default();
        let read = |text: &str| Config::parse(text, "x").unwrap();
        let mut new = read("[server]\nname = \"new\"\ndata_dir = \"elsewhere\"\n[limits]\npeer_timeout = \"3s\"\n");
        let reread = Reread::compare(&old, &mut new);
        assert_eq!(reread.changed, ["server.name", "limits.peer_timeout"]);
        assert_eq!(reread.after_restart, ["server.data_dir"]);
        assert_eq!(new.server.data_dir, old.server.data_dir);
        assert_eq!(new.server.name, "new");
        let mut new = read("[server]\npublic_url = \"http://127.0.0.1:8080\"\n");
        assert_eq!(Reread::compare(&old, &mut new), Reread::default());
        let mut new = read("[[federation.private_network]]\ncidr = \"10.0.0.0/8\"\n");
        assert_eq!(Reread::compare(&old, &mut new).changed, ["federation.private_network"]);
    }
}
