//! The federation mode: the operator's where one was set, else the one that an admin chose on a page or with a command.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::Mode;
use crate::config::Origin;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::peers::Peers;
use crate::peers::trust;
use crate::peers::trust::Decision;
use crate::peers::trust::Pattern;
use crate::peers::trust::Purpose;
use crate::store::Key;
use crate::store::Record;
use crate::store::Txn;

/// The mode as an admin chose it; it counts as long as nothing before the start of the server says another.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ChosenMode {
    pub mode: Mode,
    pub by: String,
    pub since: Timestamp,
}

impl Record for ChosenMode {
    const KIND: &'static str = "federation-mode";

    fn key(&self) -> Key {
        the_one()
    }
}

fn the_one() -> Key {
    Key::of(["chosen"])
}

impl Peers {
    /// The mode in force.
    pub async fn mode(&self) -> Result<Mode> {
        self.store.read(async |txn| self.mode_of(txn).await).await
    }

    pub(super) async fn mode_of(&self, txn: &mut Txn) -> Result<Mode> {
        if self.mode_from.is_set() {
            return Ok(self.settings.mode);
        }
        let chosen = txn.get::<ChosenMode>(the_one()).await?;
        Ok(chosen.map_or(self.settings.mode, |chosen| chosen.mode))
    }

    /// Who decides the mode: where this is set, it can't be chosen while the server runs.
    pub fn mode_from(&self) -> &Origin {
        &self.mode_from
    }

    /// What an admin chose, if one did and it counts.
    pub async fn chosen_mode(&self) -> Result<Option<ChosenMode>> {
        if self.mode_from.is_set() {
            return Ok(None);
        }
        self.store
            .read(async |txn| txn.get::<ChosenMode>(the_one()).await)
            .await
    }

    /// Has another mode count from now on.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`] naming who decides, where that is the configuration.
    pub async fn choose_mode(&self, mode: Mode, by: &str) -> Result<()> {
        if self.mode_from.is_set() {
            let why = format!("The mode is set by {}. It is changed there.", self.mode_from);
            return Err(Error::new(Reason::Conflict, why).in_field("mode"));
        }
        let chosen = ChosenMode {
            mode,
            by: by.to_owned(),
            since: self.clock.now(),
        };
        self.store.run(async |txn| txn.put(&chosen).await).await
    }

    /// What the decision would be under this mode, and without these rules.
    pub async fn suppose(&self, host: &Provider, mode: Mode, without: &[Pattern]) -> Result<Decision> {
        self.store
            .read(async |txn| trust::decide(txn, self.given(mode, without), host, Purpose::Federate).await)
            .await
    }
}
