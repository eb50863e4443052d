//! What is kept of notices: each until its place has it, and how many there were, so that nobody is flooded.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::random;
use crate::secret::hash_of;
use crate::store::Index;
use crate::store::Key;
use crate::store::Record;
use crate::store::Txn;

/// How many notices of one kind one place gets in a day one by one; those that come after are summed up.
pub const ONE_BY_ONE: u32 = 10;
/// How long notices are gathered before they are summed up in one.
pub const GATHERED_FOR: Duration = Duration::from_secs(3600);

const DAY: Duration = Duration::from_secs(86_400);
/// The waits between tries; after the last one a notice is given up. About three days, as mail servers do.
const WAITS: [u64; 8] = [60, 300, 1800, 7200, 21_600, 43_200, 86_400, 86_400];
/// How long one that was given up is shown.
const KEPT_GIVEN_UP: Duration = Duration::from_secs(30 * 86_400);
/// How many records that are over go in one round.
const SWEPT: usize = 200;

/// Where a notice goes, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "by", content = "to", rename_all = "kebab-case")]
pub enum Way {
    /// To an address in `notify.admin_mail`.
    AdminMail(String),
    /// To the address that somebody here has by then.
    UserMail(String),
    /// To an address in `notify.webhook`.
    Webhook(String),
}

/// One notice on its way to one place. What it says is kept in English, with what is filled in, and said in the language
/// of whoever reads when it is sent.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Telling {
    pub id: String,
    /// The same at every place that is told of one thing.
    pub event: String,
    pub way: Way,
    pub topic: String,
    pub about: String,
    /// The page of this server where more is known.
    pub page: String,
    pub sentence: String,
    pub values: Vec<(String, String)>,
    /// Not a notice itself, but how many came besides those that were told one by one; none for a notice.
    #[serde(default)]
    pub more: u32,
    pub happened: Timestamp,
    pub given_up: bool,
    pub due: Timestamp,
    pub tries: u32,
    pub last_error: Option<Trouble>,
}

/// Why a try failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Trouble {
    pub code: String,
    pub message: String,
}

impl Record for Telling {
    const KIND: &'static str = "notice";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }

    fn index(&self) -> Vec<Index> {
        match self.given_up {
            false => vec![Index::new("due", self.due)],
            true => vec![Index::new("over", self.happened)],
        }
    }
}

impl Telling {
    /// Notes a failed try.
    pub fn failed(&mut self, error: &Error, now: Timestamp) {
        let wait = usize::try_from(self.tries).ok().and_then(|tries| WAITS.get(tries));
        self.tries = self.tries.saturating_add(1);
        self.last_error = Some(Trouble {
            code: error.reason().code().to_owned(),
            message: error.to_string(),
        });
        match wait {
            Some(wait) => {
                let asked = error.wait().unwrap_or_default();
                self.due = now.plus(Duration::from_secs(*wait).max(asked));
            }
            None => self.given_up = true,
        }
    }

    /// Due now, with all its tries before it again.
    pub fn again(&mut self, now: Timestamp) {
        (self.given_up, self.tries, self.due) = (false, 0, now);
    }
}

/// How often something was told since a moment; over after a day.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Count {
    what: String,
    since: Timestamp,
    told: u32,
}

impl Record for Count {
    const KIND: &'static str = "notice-count";

    fn key(&self) -> Key {
        Key::of([&self.what])
    }

    fn index(&self) -> Vec<Index> {
        vec![Index::new("since", self.since)]
    }
}

/// Counts one more; gives how many there were before it within a day. Nothing is written beyond `most`.
async fn counted(txn: &mut Txn, what: &[&str], most: u32, now: Timestamp) -> Result<u32> {
    let what = hash_of(&what.join("\n"));
    let known = txn.get::<Count>([&what]).await?;
    // A clock that was set back must not silence anything for longer than a day.
    let young = |count: &Count| count.since <= now && now < count.since.plus(DAY);
    let count = known.filter(young).unwrap_or(Count {
        what,
        since: now,
        told: 0,
    });
    let before = count.told;
    if before < most {
        txn.put(&Count {
            told: before + 1,
            ..count
        })
        .await?;
    }
    Ok(before)
}

/// Whether the same was not told of the same thing within a day.
pub async fn is_news(txn: &mut Txn, what: &[&str], now: Timestamp) -> Result<bool> {
    Ok(counted(txn, what, 1, now).await? == 0)
}

/// Puts a notice on its way; one too many of its kind and day is only counted.
pub async fn put(txn: &mut Txn, telling: Telling, now: Timestamp) -> Result<()> {
    let place = serde_json::to_string(&telling.way).map_err(Error::internal)?;
    let kind = [place.as_str(), telling.topic.as_str()];
    if counted(txn, &kind, ONE_BY_ONE, now).await? < ONE_BY_ONE {
        return txn.put(&telling).await;
    }
    let id = hash_of(&kind.join("\n"));
    let gathered = txn.get::<Telling>([&id]).await?;
    let mut gathered = gathered.unwrap_or(Telling {
        id,
        about: String::new(),
        page: telling.page.rsplit_once('/').map_or("/", |(list, _)| list).to_owned(),
        sentence: String::new(),
        values: Vec::new(),
        due: now.plus(GATHERED_FOR),
        ..telling
    });
    if gathered.given_up {
        gathered.again(now.plus(GATHERED_FOR));
    }
    gathered.more = gathered.more.saturating_add(1);
    txn.put(&gathered).await
}

/// A place has it: it goes, but for what was gathered since.
pub async fn told(txn: &mut Txn, telling: &Telling, now: Timestamp) -> Result<()> {
    let Some(mut kept) = txn.get::<Telling>([&telling.id]).await? else {
        return Ok(());
    };
    if kept.more <= telling.more {
        txn.delete::<Telling>([&telling.id]).await?;
        return Ok(());
    }
    kept.more -= telling.more;
    kept.event = random::number();
    kept.happened = now;
    kept.again(now.plus(GATHERED_FOR));
    txn.put(&kept).await
}

/// Forgets counts that are over, and what was given up long ago.
pub async fn sweep(txn: &mut Txn, now: Timestamp) -> Result<()> {
    for count in txn.find_until::<Count>("since", now.minus(DAY), SWEPT).await? {
        txn.delete::<Count>(count.key()).await?;
    }
    let over = now.minus(KEPT_GIVEN_UP);
    for telling in txn.find_until::<Telling>("over", over, SWEPT).await? {
        txn.delete::<Telling>(telling.key()).await?;
    }
    Ok(())
}
