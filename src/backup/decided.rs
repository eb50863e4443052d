//! What was decided in the data that a restore puts aside and counts on in what takes its place: nobody is let in again by
//! a backup from before they were put out (T-86).

use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::Mode;
use crate::error::Result;
use crate::peers::policy::ChosenMode;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;
use crate::store::Present;
use crate::store::Record;
use crate::store::Store;
use crate::users::PutOut;
use crate::users::Standing;
use crate::users::Users;

/// What is to be read of the data that was there.
pub(super) const KINDS: [&str; 4] = [
    Standing::KINDS[0],
    Standing::KINDS[1],
    TrustRule::KIND,
    ChosenMode::KIND,
];

/// What counts on that the backup has otherwise.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Decided {
    #[serde(flatten)]
    pub people: PutOut,
    /// The servers and domains that stay denied.
    pub denied: Vec<String>,
    /// The mode, where it was made stricter.
    pub mode: Option<&'static str>,
}

impl Decided {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What was decided in the data that was there.
pub(super) struct Before {
    instance_id: String,
    people: Standing,
    denied: Vec<TrustRule>,
    mode: Option<ChosenMode>,
}

pub(super) fn read(there: &Present) -> Result<Before> {
    let mut denied = there.all::<TrustRule>()?;
    denied.retain(|rule| rule.verdict == Verdict::Deny);
    Ok(Before {
        instance_id: there.instance_id.clone(),
        people: Standing::of(there)?,
        denied,
        mode: there.all::<ChosenMode>()?.pop(),
    })
}

/// Has what was decided count in the data of the backup, if both are of one installation.
pub(super) async fn keep(
    config: &Config,
    store: &Store,
    users: &Users,
    before: &Before,
    now: Timestamp,
) -> Result<Decided> {
    if before.instance_id != store.instance_id() {
        return Ok(Decided::default());
    }
    let mut denied = Vec::new();
    for rule in before.denied.iter().filter(|rule| rule.in_force(now)) {
        if deny(store, rule).await? {
            denied.push(rule.pattern.as_str().to_owned());
        }
    }
    Ok(Decided {
        people: users.keep_out(&before.people, now).await?,
        denied,
        mode: stricter(config, store, before.mode.as_ref()).await?,
    })
}

/// Whether that was necessary.
async fn deny(store: &Store, rule: &TrustRule) -> Result<bool> {
    // The import that it came with may not be known any more.
    let rule = TrustRule {
        batch: None,
        ..rule.clone()
    };
    store
        .run(async |txn| {
            let there = txn.get::<TrustRule>(rule.key()).await?;
            let denied = there.is_some_and(|there| covers(&there, &rule));
            if !denied {
                txn.put(&rule).await?;
            }
            Ok(!denied)
        })
        .await
}

/// Whether the first denies for as long as the second.
fn covers(there: &TrustRule, rule: &TrustRule) -> bool {
    let longer = match (there.expires, rule.expires) {
        (Some(there), Some(rule)) => there >= rule,
        (there, _) => there.is_none(),
    };
    there.verdict == Verdict::Deny && longer
}

async fn stricter(config: &Config, store: &Store, before: Option<&ChosenMode>) -> Result<Option<&'static str>> {
    let Some(before) = before else { return Ok(None) };
    // What the settings say is in force whatever was chosen.
    let counts = !config.origin("federation.mode").is_set();
    let default = config.federation.mode;
    store
        .run(async |txn| {
            let there = txn.get::<ChosenMode>(before.key()).await?;
            let there = there.map_or(default, |there| there.mode);
            if openness(before.mode) >= openness(there) {
                return Ok(None);
            }
            txn.put(before).await?;
            Ok(counts.then_some(before.mode.as_str()))
        })
        .await
}

fn openness(mode: Mode) -> u8 {
    match mode {
        Mode::Allowlist => 0,
        Mode::Invite => 1,
        Mode::Open => 2,
    }
}
