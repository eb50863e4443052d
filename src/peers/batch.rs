//! Changes of the trust list, each kept with what was there before, so that it can be undone: one rule or ten thousand in
//! one commit, and whole or not at all.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::peers::Peers;
use crate::peers::lists;
use crate::peers::trust::Pattern;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;
use crate::random;
use crate::store::Key;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::store::Record;
use crate::store::Txn;

/// How many batches can be undone; older ones are forgotten.
const KEPT: usize = 200;
/// How many bytes of changes are kept in one record, well below what a record may have.
const PART: usize = 3 * 1024;

/// How a change of the list came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// One server, by its form.
    ByHand,
    /// Several that were ticked.
    Ticked,
    Import,
}

/// What was changed at once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    pub id: String,
    pub occasion: Occasion,
    /// What people know it by: a server, or the file that was imported.
    pub name: String,
    pub by: String,
    pub created: Timestamp,
    pub allowed: usize,
    pub denied: usize,
    pub removed: usize,
    pub undone: Option<Timestamp>,
}

impl Record for Batch {
    const KIND: &'static str = "trust-batch";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }
}

impl Batch {
    pub fn changes(&self) -> usize {
        self.allowed + self.denied + self.removed
    }
}

/// One change to the list.
#[derive(Clone, Debug)]
pub enum Change {
    /// In place of an earlier rule for the same pattern.
    Put(TrustRule),
    Remove(Pattern),
}

/// One change that was made.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Changed {
    pub pattern: Pattern,
    /// None where the rule was removed.
    pub verdict: Option<Verdict>,
    pub before: Option<TrustRule>,
}

/// Some of what a batch changed.
#[derive(Serialize, Deserialize)]
struct Journal {
    batch: String,
    part: u64,
    changes: Vec<Changed>,
}

impl Record for Journal {
    const KIND: &'static str = "trust-journal";

    fn key(&self) -> Key {
        Key::of([&self.batch]).and(self.part)
    }
}

/// How undoing a batch ended.
#[derive(Clone, Debug)]
pub struct Undone {
    pub batch: Batch,
    /// How many rules are as they were before.
    pub restored: usize,
    /// Those that were changed since, and are left as they are.
    pub kept: Vec<Pattern>,
}

impl Peers {
    /// Writes a rule in place of an earlier one for the same pattern.
    ///
    /// # Errors
    ///
    /// As [`Self::change_rules`].
    pub async fn set_rule(&self, rule: TrustRule) -> Result<Batch> {
        let (name, by) = (rule.pattern.as_str().to_owned(), rule.by.clone());
        self.change_rules(Occasion::ByHand, &name, &by, vec![Change::Put(rule)])
            .await
    }

    /// # Errors
    ///
    /// [`Reason::NotFound`] if there is no rule of exactly this pattern.
    pub async fn remove_rule(&self, pattern: &Pattern, by: &str) -> Result<(TrustRule, Batch)> {
        let batch = self.new_batch(random::number(), Occasion::ByHand, pattern.as_str(), by);
        self.store
            .run(async |txn| {
                let rule = txn.get::<TrustRule>(pattern.key()).await?;
                let rule =
                    rule.ok_or_else(|| Error::not_found("There is no rule for this server.").in_field("host"))?;
                let batch = change(txn, batch.clone(), vec![Change::Remove(pattern.clone())]).await?;
                Ok((rule, batch))
            })
            .await
    }

    /// Makes all these changes, or none. What is to be removed and is not there is no change.
    ///
    /// # Errors
    ///
    /// [`Reason::Invalid`] for a rule about this very server, or a text that is too long.
    pub async fn change_rules(&self, occasion: Occasion, name: &str, by: &str, changes: Vec<Change>) -> Result<Batch> {
        for change in &changes {
            if let Change::Put(rule) = change {
                self.check(rule)?;
            }
        }
        let batch = self.new_batch(random::number(), occasion, name, by);
        self.store
            .run(async |txn| change(txn, batch.clone(), changes.clone()).await)
            .await
    }

    /// What no rule may be.
    pub(super) fn check(&self, rule: &TrustRule) -> Result<()> {
        for (field, text) in [("reason", &rule.reason), ("note", &rule.note)] {
            if text.chars().count() > lists::MAX_TEXT {
                let why = format!("At most {} characters are kept.", lists::MAX_TEXT);
                return Err(Error::invalid(field, why));
            }
        }
        if rule.pattern.server().as_ref() == Some(&self.own) {
            return Err(Error::new(Reason::OwnServer, "That is this server itself.").in_field("host"));
        }
        Ok(())
    }

    pub(super) fn new_batch(&self, id: String, occasion: Occasion, name: &str, by: &str) -> Batch {
        Batch {
            id,
            occasion,
            name: lists::clip(name),
            by: by.to_owned(),
            created: self.clock.now(),
            allowed: 0,
            denied: 0,
            removed: 0,
            undone: None,
        }
    }

    /// A batch and what it changed.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`].
    pub async fn batch(&self, id: &str) -> Result<(Batch, Vec<Changed>)> {
        self.store
            .read(async |txn| Ok((get(txn, id).await?, journal(txn, id).await?)))
            .await
    }

    /// The batches that are known, the newest first.
    pub async fn batches(&self) -> Result<Vec<Batch>> {
        let mut batches = self.store.read(async |txn| all(txn).await).await?;
        batches.reverse();
        Ok(batches)
    }

    /// Puts back what was there before, except for rules that were changed since: these are kept, and named.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`]; [`Reason::Conflict`] for one that was undone before.
    pub async fn undo(&self, id: &str) -> Result<Undone> {
        let now = self.clock.now();
        self.store
            .run(async |txn| {
                let mut batch = get(txn, id).await?;
                if batch.undone.is_some() {
                    return Err(Error::new(Reason::Conflict, "This was undone before."));
                }
                batch.undone = Some(now);
                txn.put(&batch).await?;
                let (mut restored, mut kept) = (0, Vec::new());
                for Changed {
                    pattern,
                    verdict,
                    before,
                } in journal(txn, id).await?
                {
                    let is = txn.get::<TrustRule>(pattern.key()).await?;
                    let untouched = match (&is, verdict) {
                        (Some(rule), Some(_)) => rule.batch.as_deref() == Some(id),
                        (None, None) => true,
                        _ => false,
                    };
                    if !untouched {
                        kept.push(pattern);
                        continue;
                    }
                    restored += 1;
                    match before {
                        Some(before) => txn.put(&before).await?,
                        None => txn.delete::<TrustRule>(pattern.key()).await.map(drop)?,
                    }
                }
                Ok(Undone { batch, restored, kept })
            })
            .await
    }
}

/// Makes changes under a batch, and notes what was there before in the same commit.
pub(super) async fn change(txn: &mut Txn, mut batch: Batch, changes: Vec<Change>) -> Result<Batch> {
    let mut done = Vec::with_capacity(changes.len());
    for change in changes {
        let (pattern, verdict, before) = match change {
            Change::Put(mut rule) => {
                let before = txn.get::<TrustRule>(rule.pattern.key()).await?;
                rule.batch = Some(batch.id.clone());
                txn.put(&rule).await?;
                (rule.pattern, Some(rule.verdict), before)
            }
            Change::Remove(pattern) => match txn.delete::<TrustRule>(pattern.key()).await? {
                Some(before) => (pattern, None, Some(before)),
                None => continue,
            },
        };
        match verdict {
            Some(Verdict::Allow) => batch.allowed += 1,
            Some(Verdict::Deny) => batch.denied += 1,
            None => batch.removed += 1,
        }
        done.push(Changed {
            pattern,
            verdict,
            before,
        });
    }
    for (part, changes) in (0..).zip(in_parts(done)?) {
        txn.put(&Journal {
            batch: batch.id.clone(),
            part,
            changes,
        })
        .await?;
    }
    txn.put(&batch).await?;
    forget_oldest(txn).await?;
    Ok(batch)
}

/// Things in parts that each fit into one record, in their order.
pub(super) fn in_parts<T: Serialize>(all: Vec<T>) -> Result<Vec<Vec<T>>> {
    let mut parts: Vec<Vec<T>> = Vec::new();
    let mut room = 0;
    for one in all {
        let size = serde_json::to_vec(&one).map_err(Error::internal)?.len();
        match parts.last_mut() {
            Some(part) if size <= room => part.push(one),
            _ => {
                parts.push(vec![one]);
                room = PART;
            }
        }
        room = room.saturating_sub(size);
    }
    Ok(parts)
}

async fn get(txn: &mut Txn, id: &str) -> Result<Batch> {
    txn.get::<Batch>([id])
        .await?
        .ok_or_else(|| Error::not_found("There is no such change of the trust list, or it is too long ago."))
}

/// The oldest first.
async fn all(txn: &mut Txn) -> Result<Vec<Batch>> {
    let mut batches = txn.list::<Batch>(Key::ALL, &Page::first(MAX_PAGE)).await?.items;
    batches.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.id.cmp(&b.id)));
    Ok(batches)
}

async fn journal(txn: &mut Txn, id: &str) -> Result<Vec<Changed>> {
    let mut changes = Vec::new();
    let mut page = Page::first(MAX_PAGE);
    loop {
        let some = txn.list::<Journal>([id], &page).await?;
        changes.extend(some.items.into_iter().flat_map(|part| part.changes));
        match some.next {
            Some(next) => page = Page::after(next, MAX_PAGE),
            None => return Ok(changes),
        }
    }
}

async fn forget_oldest(txn: &mut Txn) -> Result<()> {
    let batches = all(txn).await?;
    let over = batches.len().saturating_sub(KEPT);
    for batch in batches.into_iter().take(over) {
        while let parts = txn.list::<Journal>([&batch.id], &Page::first(MAX_PAGE)).await?.items
            && !parts.is_empty()
        {
            for part in parts {
                txn.delete::<Journal>(part.key()).await?;
            }
        }
        txn.delete::<Batch>(batch.key()).await?;
    }
    Ok(())
}
