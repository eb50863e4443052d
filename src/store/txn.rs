//! One attempt at a piece of work: what it has read, and what it would write.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Index;
use super::Key;
use super::Listing;
use super::MAX_KEY;
use super::Page;
use super::Record;
use super::record;
use super::sled::Engine;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// Values to be written; nothing where a key is to go.
pub(super) type Writes = BTreeMap<String, Option<Vec<u8>>>;

/// A key and its value.
pub(super) type Entry = (String, Vec<u8>);

/// What an attempt has been told, and what must still be so when it ends.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) values: BTreeMap<String, Option<Vec<u8>>>,
    pub(super) ranges: Vec<SeenRange>,
}

/// The first `limit` entries of `start..end`, as they were.
pub(super) struct SeenRange {
    pub(super) start: String,
    pub(super) end: String,
    pub(super) limit: usize,
    pub(super) entries: Vec<Entry>,
}

/// The store as one piece of work sees it: its own writes included, nobody's half-done ones believed.
///
/// Two reads of one record give the same. Reads of several records may see a change between them; then the work is done
/// again from the start, and what it found is never answered.
pub struct Txn {
    engine: Arc<Engine>,
    writable: bool,
    pub(super) seen: Seen,
    pub(super) writes: Writes,
    pub(super) afterwards: Vec<Afterwards>,
}

/// What is done once, when what it is about is kept.
pub(super) type Afterwards = Box<dyn FnOnce() + Send + Sync>;

impl Txn {
    pub(super) fn new(engine: Arc<Engine>, writable: bool) -> Self {
        Self {
            engine,
            writable,
            seen: Seen::default(),
            writes: Writes::new(),
            afterwards: Vec::new(),
        }
    }

    /// Has something done once all this is committed, and not at all if it never is: a line in the log, for one. Work may
    /// be tried several times, and this belongs only to the last.
    pub fn afterwards(&mut self, done: impl FnOnce() + Send + Sync + 'static) {
        self.afterwards.push(Box::new(done));
    }

    /// # Errors
    ///
    /// [`Reason::DataDamaged`] or [`Reason::DataNewer`] if there is one that can't be read. So for all that read.
    pub async fn get<R: Record>(&mut self, key: impl Into<Key>) -> Result<Option<R>> {
        let key = key.into();
        self.value(record::address::<R>(&key))?
            .map(|bytes| record::decode(&bytes))
            .transpose()
    }

    /// Writes a record and its entries in indexes, in place of an earlier one with its key.
    ///
    /// # Errors
    ///
    /// [`Reason::TooLarge`] over [`super::MAX_VALUE`] or [`MAX_KEY`]; [`Reason::AlreadyExists`] if another record has
    /// the same value in a unique index; [`Reason::Internal`] inside [`super::Store::read`].
    pub async fn put<R: Record>(&mut self, record: &R) -> Result<()> {
        let key = record.key();
        let bytes = record::encode(record)?;
        self.unindex::<R>(&key)?;
        for index in record.index() {
            if index.unique {
                self.claim::<R>(&index)?;
            }
            self.write(
                record::index_address::<R>(&index, &key),
                Some(key.as_str().as_bytes().to_vec()),
            )?;
        }
        self.write(record::address::<R>(&key), Some(bytes))
    }

    /// Removes a record and its entries in indexes; gives what was there.
    ///
    /// # Errors
    ///
    /// As [`Txn::get`]; [`Reason::Internal`] inside [`super::Store::read`].
    pub async fn delete<R: Record>(&mut self, key: impl Into<Key>) -> Result<Option<R>> {
        let key = key.into();
        let old = self.unindex::<R>(&key)?;
        if old.is_some() {
            self.write(record::address::<R>(&key), None)?;
        }
        Ok(old)
    }

    /// The records whose keys begin with these components and have more, in the order of their keys;
    /// [`Key::ALL`] for all of the kind.
    ///
    /// # Errors
    ///
    /// As [`Txn::get`].
    pub async fn list<R: Record>(&mut self, prefix: impl Into<Key>, page: &Page) -> Result<Listing<R>> {
        let mut prefix = record::address::<R>(&prefix.into());
        if !prefix.ends_with('/') {
            prefix.push('/');
        }
        let (entries, next) = self.page(&prefix, page)?;
        let items = entries
            .iter()
            .map(|(_, bytes)| record::decode(bytes))
            .collect::<Result<_>>()?;
        Ok(Listing { items, next })
    }

    /// The records that an index has under a value, or under values beginning with these components, in the order of
    /// the values, then of the records' keys.
    ///
    /// # Errors
    ///
    /// As [`Txn::get`].
    pub async fn find<R: Record>(
        &mut self,
        index: &'static str,
        value: impl Into<Key>,
        page: &Page,
    ) -> Result<Listing<R>> {
        let value = value.into();
        let prefix = record::index_values::<R>(index, &value, if value.is_empty() { "" } else { "/" });
        let (entries, next) = self.page(&prefix, page)?;
        let items = self.indexed(entries)?;
        Ok(Listing { items, next })
    }

    /// The first of what [`Txn::find`] finds; the only one, of a unique index.
    ///
    /// # Errors
    ///
    /// As [`Txn::get`].
    pub async fn find_one<R: Record>(&mut self, index: &'static str, value: impl Into<Key>) -> Result<Option<R>> {
        let found = self.find(index, value, &Page::first(1)).await?;
        Ok(found.items.into_iter().next())
    }

    /// At most `limit` records whose value in the index is `last` (or begins with it) or sorts before it: what is due.
    ///
    /// # Errors
    ///
    /// As [`Txn::get`].
    pub async fn find_until<R: Record>(
        &mut self,
        index: &'static str,
        last: impl Into<Key>,
        limit: usize,
    ) -> Result<Vec<R>> {
        let start = record::index_values::<R>(index, &Key::ALL, "");
        let end = after_all(&record::index_values::<R>(index, &last.into(), "/"));
        let entries = self.range(start, end, Page::first(limit).limit())?;
        self.indexed(entries)
    }

    /// Fails if a record other than those this work removed or replaced has the value.
    fn claim<R: Record>(&mut self, index: &Index) -> Result<()> {
        let start = record::index_values::<R>(index.name, &index.value, "//");
        let end = after_all(&start);
        if self.range(start, end, 1)?.is_empty() {
            return Ok(());
        }
        let message = format!("There is already a {} with the same {}.", R::KIND, index.name);
        Err(Error::new(Reason::AlreadyExists, message))
    }

    /// Takes a record out of its indexes; it stays where it is.
    fn unindex<R: Record>(&mut self, key: &Key) -> Result<Option<R>> {
        let Some(bytes) = self.value(record::address::<R>(key))? else {
            return Ok(None);
        };
        let old: R = record::decode(&bytes)?;
        for index in old.index() {
            self.write(record::index_address::<R>(&index, key), None)?;
        }
        Ok(Some(old))
    }

    /// The records that entries of an index name. One that is gone since the entry was read is left out: the work will
    /// be done again.
    fn indexed<R: Record>(&mut self, entries: Vec<Entry>) -> Result<Vec<R>> {
        let mut records = Vec::with_capacity(entries.len());
        for (_, key) in entries {
            let key = String::from_utf8(key)
                .map_err(|_| Error::new(Reason::DataDamaged, "An index of this server can't be read."))?;
            if let Some(bytes) = self.value(format!("{}/{key}", R::KIND))? {
                records.push(record::decode(&bytes)?);
            }
        }
        Ok(records)
    }

    /// A page of what begins with `prefix`. The cursor is the rest of a key, so it can't point outside.
    fn page(&mut self, prefix: &str, page: &Page) -> Result<(Vec<Entry>, Option<String>)> {
        let start = match &page.after {
            Some(after) => format!("{prefix}{after}\0"),
            None => prefix.to_owned(),
        };
        let limit = page.limit();
        let mut entries = self.range(start, after_all(prefix), limit + 1)?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries
            .last()
            .filter(|_| more)
            .map(|(key, _)| key[prefix.len()..].to_owned());
        Ok((entries, next))
    }

    fn value(&mut self, key: String) -> Result<Option<Vec<u8>>> {
        if let Some(value) = self.writes.get(&key).or_else(|| self.seen.values.get(&key)) {
            return Ok(value.clone());
        }
        let value = self.engine.get(&key)?;
        self.seen.values.insert(key, value.clone());
        Ok(value)
    }

    fn range(&mut self, start: String, end: String, limit: usize) -> Result<Vec<Entry>> {
        let own = || self.writes.range(start.clone()..end.clone());
        // What this work removed may stand first in the range, and must not use up its limit: enough is left without it, so
        // nothing that this work adds further behind comes in too early.
        let limit_seen = limit + own().filter(|(_, value)| value.is_none()).count();
        let entries = self.engine.scan(&start, &end, limit_seen)?;
        let mut merged: BTreeMap<_, _> = entries.iter().cloned().collect();
        for (key, value) in own() {
            match value {
                Some(value) => merged.insert(key.clone(), value.clone()),
                None => merged.remove(key),
            };
        }
        let merged = merged.into_iter().take(limit).collect();
        self.seen.ranges.push(SeenRange {
            start,
            end,
            limit: limit_seen,
            entries,
        });
        Ok(merged)
    }

    fn write(&mut self, key: String, value: Option<Vec<u8>>) -> Result<()> {
        if !self.writable {
            return Err(Error::internal("a write inside Store::read"));
        }
        if key.len() > MAX_KEY {
            let message = format!(
                "A name is too long to be kept: {} bytes, and {MAX_KEY} are possible.",
                key.len()
            );
            return Err(Error::new(Reason::TooLarge, message));
        }
        self.writes.insert(key, value);
        Ok(())
    }
}

/// The first key behind all that begin with `prefix`, which ends with a slash.
fn after_all(prefix: &str) -> String {
    let mut end = prefix.to_owned();
    // '0' follows '/'.
    if end.pop().is_some() {
        end.push('0');
    }
    end
}
