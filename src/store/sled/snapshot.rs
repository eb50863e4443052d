//! All that is kept as it was at one moment, read piece by piece while work goes on.
//!
//! sled's own iteration sees what is written meanwhile. So whoever changes what was not read yet leaves behind how it
//! was: no commit is half in it, and nobody waits for longer than one piece takes. What is left behind is in memory, as
//! much as is changed while the snapshot is read.

use std::collections::BTreeMap;

use ::sled::Db;

use super::Engine;
use super::Shared;
use super::lock;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::store::txn::Entry;
use crate::store::txn::Writes;

/// How many entries are read at a time.
const PIECE: usize = 500;

/// How far a snapshot has come, and what was changed in front of it.
#[derive(Default)]
pub(super) struct Capture {
    /// All names before this one were read.
    next: String,
    ended: bool,
    /// How it was, by name; nothing where there was nothing.
    before: BTreeMap<String, Option<Vec<u8>>>,
}

impl Capture {
    /// Keeps how that is which is about to be changed.
    pub(super) fn spare(&mut self, db: &Db, writes: &Writes) -> ::sled::Result<()> {
        if self.ended {
            return Ok(());
        }
        for name in writes.range(self.next.clone()..).map(|(name, _)| name) {
            if !self.before.contains_key(name) {
                let was = db.get(name)?.map(|value| value.to_vec());
                self.before.insert(name.clone(), was);
            }
        }
        Ok(())
    }

    fn read_on(&mut self, db: &Db) -> ::sled::Result<Vec<Entry>> {
        let mut piece = BTreeMap::new();
        for entry in db.range(self.next.as_str()..).take(PIECE) {
            let (name, value) = entry?;
            let name = String::from_utf8(name.to_vec())
                .map_err(|_| ::sled::Error::ReportableBug("a key is not text".to_owned()))?;
            piece.insert(name, value.to_vec());
        }
        self.ended = piece.len() < PIECE;
        let next = match piece.keys().next_back() {
            Some(last) if !self.ended => format!("{last}\0"),
            _ => self.next.clone(),
        };
        let later = if self.ended {
            BTreeMap::new()
        } else {
            self.before.split_off(&next)
        };
        for (name, was) in std::mem::replace(&mut self.before, later) {
            match was {
                Some(value) => piece.insert(name, value),
                None => piece.remove(&name),
            };
        }
        self.next = next;
        Ok(piece.into_iter().collect())
    }
}

impl Engine {
    /// # Errors
    ///
    /// [`Reason::Busy`] while there is one: there is room for one only.
    pub(in crate::store) fn begin_snapshot(&self) -> Result<()> {
        let mut gate = lock(&self.shared.gate);
        if gate.is_some() {
            return Err(Error::new(
                Reason::Busy,
                "A backup is being made already; try again when that one is done.",
            ));
        }
        *gate = Some(Capture::default());
        Ok(())
    }

    /// The next entries in their order; none at the end.
    pub(in crate::store) fn read_snapshot(&self) -> Result<Option<Vec<Entry>>> {
        let shared: &Shared = &self.shared;
        let mut gate = lock(&shared.gate);
        let Some(capture) = gate.as_mut().filter(|capture| !capture.ended) else {
            return Ok(None);
        };
        shared.guarded(|db| capture.read_on(db)).map(Some)
    }

    pub(in crate::store) fn end_snapshot(&self) {
        *lock(&self.shared.gate) = None;
    }
}
