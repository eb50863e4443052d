//! Importing a list of servers: read, looked through against the rules there are, and taken over as one batch. What is
//! being looked through is kept on the server until it is imported, thrown away, or a day old.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::peers::Peers;
use crate::peers::batch;
use crate::peers::batch::Batch;
use crate::peers::batch::Change;
use crate::peers::batch::Occasion;
use crate::peers::lists;
use crate::peers::lists::Asked;
use crate::peers::lists::Format;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;
use crate::random;
use crate::store::Key;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::store::Record;
use crate::store::Txn;

/// How long a list waits for whoever looks through it.
pub const REVIEW_LASTS: Duration = Duration::from_secs(24 * 3600);
/// How many lists may wait at once; the oldest makes room.
const MAX_REVIEWS: usize = 5;

/// A list that somebody looks through before it is imported.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Review {
    /// That of the batch which it becomes.
    pub id: String,
    /// What it was called, such as its file.
    pub name: String,
    pub format: Format,
    pub by: String,
    pub created: Timestamp,
    pub lines: usize,
}

impl Record for Review {
    const KIND: &'static str = "trust-review";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }
}

impl Review {
    pub fn ends(&self) -> Timestamp {
        self.created.plus(REVIEW_LASTS)
    }
}

/// One line of a list that is looked through.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Row {
    pub line: usize,
    /// As it is written in the list.
    pub host: String,
    pub asks: Result<Asked, String>,
    /// What this line was ticked as, if somebody did.
    tick: Option<bool>,
}

#[derive(Serialize, Deserialize)]
struct Part {
    review: String,
    part: u64,
    rows: Vec<Row>,
}

impl Record for Part {
    const KIND: &'static str = "trust-review-part";

    fn key(&self) -> Key {
        Key::of([&self.review]).and(self.part)
    }
}

/// How a line stands to the rules there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    New,
    /// There is a rule that says the same.
    Same,
    /// There is a rule that says something else.
    Conflict,
    Invalid,
}

impl Standing {
    pub const ALL: [Self; 4] = [Self::New, Self::Conflict, Self::Same, Self::Invalid];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Conflict => "conflict",
            Self::Same => "same",
            Self::Invalid => "invalid",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == word)
    }
}

/// A line beside what is there.
#[derive(Clone, Debug)]
pub struct Judged {
    /// Its place in the list, from zero.
    pub at: usize,
    pub row: Row,
    pub standing: Standing,
    /// The rule for the same servers.
    pub ours: Option<TrustRule>,
}

impl Judged {
    /// Whether it is imported: what is new, unless it is for the names of unrelated people, and what somebody ticked.
    pub fn is_ticked(&self) -> bool {
        match (self.standing, &self.row.asks) {
            (Standing::New, Ok(asked)) => self.row.tick.unwrap_or(!asked.pattern.is_wide()),
            (Standing::Conflict, _) => self.row.tick.unwrap_or(false),
            _ => false,
        }
    }

    /// The rule it becomes. What an admin noted of the server stays, and so does a reason where the list has none.
    fn rule(&self, by: &str, now: Timestamp) -> Option<TrustRule> {
        let asked = self.row.asks.as_ref().ok()?;
        let kept = |ours: fn(&TrustRule) -> &String| self.ours.as_ref().map(ours).filter(|text| !text.is_empty());
        let reason = match asked.reason.as_str() {
            "" => kept(|rule| &rule.reason).cloned().unwrap_or_default(),
            reason => reason.to_owned(),
        };
        Some(TrustRule {
            pattern: asked.pattern.clone(),
            verdict: asked.verdict?,
            reason,
            note: kept(|rule| &rule.note).cloned().unwrap_or_else(|| asked.note.clone()),
            expires: asked.expires,
            by: by.to_owned(),
            since: now,
            batch: None,
        })
    }
}

/// What somebody chose for a line.
#[derive(Clone, Debug)]
pub struct Pick {
    pub at: usize,
    pub tick: bool,
    pub reason: Option<String>,
}

/// A list as it comes in.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub text: String,
    pub name: String,
    /// As it was recognised, if none is given.
    pub format: Option<Format>,
    /// For all of its servers; what the list says, and where it says nothing a denial, if none is given.
    pub verdict: Option<Verdict>,
}

impl Peers {
    /// Reads a list, and keeps it to be looked through.
    ///
    /// # Errors
    ///
    /// As [`lists::read`].
    pub async fn begin_import(&self, incoming: Incoming, by: &str) -> Result<Review> {
        let format = incoming.format.unwrap_or_else(|| Format::recognise(&incoming.text));
        let rows: Vec<Row> = lists::read(&incoming.text, format)?
            .into_iter()
            .map(|line| Row {
                line: line.number,
                host: line.host,
                asks: line.asks.and_then(|asked| self.settled(asked, incoming.verdict)),
                tick: None,
            })
            .collect();
        let review = Review {
            id: random::number(),
            name: match lists::clip(&incoming.name) {
                name if name.is_empty() => format.name().to_owned(),
                name => name,
            },
            format,
            by: by.to_owned(),
            created: self.clock.now(),
            lines: rows.len(),
        };
        let parts = batch::in_parts(rows)?;
        self.store
            .run(async |txn| {
                make_room(txn, review.created).await?;
                write_parts(txn, &review.id, &parts).await?;
                txn.put(&review).await
            })
            .await?;
        Ok(review)
    }

    /// What a line asks for, with the verdict in it.
    fn settled(&self, asked: Asked, verdict: Option<Verdict>) -> Result<Asked, String> {
        if asked.pattern.server().as_ref() == Some(&self.own) {
            return Err("That is this server itself.".to_owned());
        }
        let said = verdict.or(asked.verdict).unwrap_or(Verdict::Deny);
        Ok(Asked {
            verdict: Some(said),
            ..asked
        })
    }

    /// A list and how each of its lines stands to the rules there are now.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`] once it was imported or thrown away, or its day is over.
    pub async fn review(&self, id: &str) -> Result<(Review, Vec<Judged>)> {
        let now = self.clock.now();
        self.store
            .read(async |txn| {
                let review = get(txn, id, now).await?;
                let judged = judge(txn, id, now).await?;
                Ok((review, judged))
            })
            .await
    }

    /// The lists that wait for somebody to look through them.
    pub async fn reviews(&self) -> Result<Vec<Review>> {
        let now = self.clock.now();
        let mut reviews = self.store.read(async |txn| all(txn).await).await?;
        reviews.retain(|review| now < review.ends());
        reviews.reverse();
        Ok(reviews)
    }

    /// Notes what somebody chose for some of the lines.
    ///
    /// # Errors
    ///
    /// As [`Self::review`].
    pub async fn pick(&self, id: &str, picks: &[Pick]) -> Result<()> {
        let picks: HashMap<usize, &Pick> = picks.iter().map(|pick| (pick.at, pick)).collect();
        self.rewrite(id, |at, row, _| {
            if let Some(pick) = picks.get(&at) {
                row.tick = Some(pick.tick);
                if let (Ok(asked), Some(reason)) = (&mut row.asks, &pick.reason) {
                    asked.reason = lists::clip(reason);
                }
            }
        })
        .await
    }

    /// Ticks all lines that stand like this, or none of them.
    ///
    /// # Errors
    ///
    /// As [`Self::review`].
    pub async fn pick_all(&self, id: &str, standing: Standing, tick: bool) -> Result<()> {
        self.rewrite(id, |_, row, is| {
            if is == standing {
                row.tick = Some(tick);
            }
        })
        .await
    }

    async fn rewrite(&self, id: &str, change: impl Fn(usize, &mut Row, Standing)) -> Result<()> {
        let now = self.clock.now();
        self.store
            .run(async |txn| {
                get(txn, id, now).await?;
                let judged = judge(txn, id, now).await?;
                let rows: Vec<Row> = judged
                    .into_iter()
                    .map(|mut line| {
                        change(line.at, &mut line.row, line.standing);
                        line.row
                    })
                    .collect();
                forget_parts(txn, id).await?;
                write_parts(txn, id, &batch::in_parts(rows)?).await
            })
            .await
    }

    /// Makes rules of all lines that are ticked, in one commit; the list is gone then, and its batch has its id.
    ///
    /// # Errors
    ///
    /// As [`Self::review`]; [`Reason::Invalid`] where nothing is ticked.
    pub async fn import(&self, id: &str, by: &str) -> Result<Batch> {
        let now = self.clock.now();
        self.store
            .run(async |txn| {
                let review = get(txn, id, now).await?;
                let judged = judge(txn, id, now).await?;
                let ticked = judged.iter().filter(|line| line.is_ticked());
                let changes: Vec<Change> = ticked.filter_map(|line| line.rule(by, now)).map(Change::Put).collect();
                if changes.is_empty() {
                    return Err(Error::invalid("lines", "Nothing is ticked."));
                }
                let batch = self.new_batch(review.id.clone(), Occasion::Import, &review.name, by);
                forget(txn, &review).await?;
                batch::change(txn, batch, changes).await
            })
            .await
    }

    /// Throws a list away; the rules stay as they are.
    ///
    /// # Errors
    ///
    /// As [`Self::review`].
    pub async fn discard_import(&self, id: &str) -> Result<()> {
        let now = self.clock.now();
        self.store
            .run(async |txn| {
                let review = get(txn, id, now).await?;
                forget(txn, &review).await
            })
            .await
    }

    /// Throws away the lists that nobody has imported within a day.
    pub async fn forget_old_imports(&self) -> Result<()> {
        let now = self.clock.now();
        if self.store.read(async |txn| all(txn).await).await?.is_empty() {
            return Ok(());
        }
        self.store
            .run(async |txn| {
                for review in all(txn).await?.iter().filter(|review| now >= review.ends()) {
                    forget(txn, review).await?;
                }
                Ok(())
            })
            .await
    }
}

async fn get(txn: &mut Txn, id: &str, now: Timestamp) -> Result<Review> {
    let review = txn.get::<Review>([id]).await?;
    review.filter(|review| now < review.ends()).ok_or_else(|| {
        Error::new(
            Reason::NotFound,
            "There is no such list to look through. It was imported or thrown away, or is more than a day old.",
        )
    })
}

/// The oldest first.
async fn all(txn: &mut Txn) -> Result<Vec<Review>> {
    let mut reviews = txn.list::<Review>(Key::ALL, &Page::first(MAX_PAGE)).await?.items;
    reviews.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.id.cmp(&b.id)));
    Ok(reviews)
}

async fn parts(txn: &mut Txn, id: &str) -> Result<Vec<Part>> {
    let mut parts = Vec::new();
    let mut page = Page::first(MAX_PAGE);
    loop {
        let some = txn.list::<Part>([id], &page).await?;
        parts.extend(some.items);
        match some.next {
            Some(next) => page = Page::after(next, MAX_PAGE),
            None => return Ok(parts),
        }
    }
}

async fn write_parts(txn: &mut Txn, id: &str, parts: &[Vec<Row>]) -> Result<()> {
    for (part, rows) in (0..).zip(parts) {
        txn.put(&Part {
            review: id.to_owned(),
            part,
            rows: rows.clone(),
        })
        .await?;
    }
    Ok(())
}

async fn forget_parts(txn: &mut Txn, id: &str) -> Result<()> {
    for part in parts(txn, id).await? {
        txn.delete::<Part>(part.key()).await?;
    }
    Ok(())
}

async fn forget(txn: &mut Txn, review: &Review) -> Result<()> {
    forget_parts(txn, &review.id).await?;
    txn.delete::<Review>(review.key()).await.map(drop)
}

/// Throws away what is over, and the oldest where too many wait.
async fn make_room(txn: &mut Txn, now: Timestamp) -> Result<()> {
    let reviews = all(txn).await?;
    let (over, waiting): (Vec<_>, Vec<_>) = reviews.into_iter().partition(|review| now >= review.ends());
    let too_many = (waiting.len() + 1).saturating_sub(MAX_REVIEWS);
    for review in over.iter().chain(waiting.iter().take(too_many)) {
        forget(txn, review).await?;
    }
    Ok(())
}

async fn judge(txn: &mut Txn, id: &str, now: Timestamp) -> Result<Vec<Judged>> {
    let rows = parts(txn, id).await?.into_iter().flat_map(|part| part.rows);
    let mut judged = Vec::new();
    for (at, row) in rows.enumerate() {
        let ours = match &row.asks {
            Ok(asked) => txn.get::<TrustRule>(asked.pattern.key()).await?,
            Err(_) => None,
        };
        judged.push(Judged {
            standing: standing(&row, ours.as_ref(), now),
            at,
            row,
            ours,
        });
    }
    Ok(judged)
}

fn standing(row: &Row, ours: Option<&TrustRule>, now: Timestamp) -> Standing {
    match (&row.asks, ours) {
        (Err(_), _) => Standing::Invalid,
        (Ok(_), None) => Standing::New,
        (Ok(asked), Some(ours)) => {
            let same_reason = asked.reason.is_empty() || asked.reason == ours.reason;
            let same_end = asked.expires == ours.expires || asked.expires.is_none() && ours.in_force(now);
            if asked.verdict == Some(ours.verdict) && same_reason && same_end {
                Standing::Same
            } else {
                Standing::Conflict
            }
        }
    }
}
