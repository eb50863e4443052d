//! What is kept of a Directory Service: the last good list, and how it went since.

use std::collections::HashMap;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::ocm::directory::Directory;
use crate::ocm::directory::Marks;
use crate::ocm::directory::Server;
use crate::store::Index;
use crate::store::Key;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::store::Record;
use crate::store::Txn;

/// How many lists are remembered that were replaced by another since.
const SUPERSEDED_MAX: usize = 32;

/// How it went with one directory. Its id stands for its address and its key together: what was kept under another key
/// has nothing to say.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Following {
    pub id: String,
    pub url: String,
    pub tried: Option<Timestamp>,
    pub failure: Option<Failure>,
    pub held: Option<Held>,
    pub good: Option<Good>,
}

impl Record for Following {
    const KIND: &'static str = "directory";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }
}

/// The last list that was taken.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Good {
    pub federation: String,
    /// How many servers it has.
    pub servers: usize,
    /// How many of its entries name no server.
    pub dropped: usize,
    pub marks: Marks,
    pub expires: Option<Timestamp>,
    /// When it was last seen to be what the directory says.
    pub fetched: Timestamp,
    digest: String,
    /// Those before it, the latest last.
    superseded: Vec<String>,
}

/// Why the list could not be fetched or verified when it was last tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    pub code: String,
    pub message: String,
    pub at: Timestamp,
}

impl Failure {
    pub(super) fn new(error: &Error, at: Timestamp) -> Self {
        Self {
            code: error.reason().code().to_owned(),
            message: error.message().to_owned(),
            at,
        }
    }

    /// The error again.
    pub fn error(&self) -> Error {
        let reason = Reason::from_code(&self.code).unwrap_or(Reason::Internal);
        Error::new(reason, self.message.clone())
    }
}

/// A list that is what the directory says, and that is not taken before an admin has said so (T-47).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Held {
    pub objection: Objection,
    pub servers: usize,
    pub since: Timestamp,
    /// Tells this list from another that comes later.
    pub digest: String,
}

/// What speaks against a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Objection {
    /// More than half of the servers would go, or all.
    Shrunk,
    /// It says itself that it is older than the one that is kept, or has stopped saying how old it is.
    Older,
    /// It was here before, and another one came after it.
    SeenBefore,
}

impl Good {
    /// What speaks against `new` in place of this one. Nothing can be said against an old copy that never was here and
    /// that says nothing of its age.
    pub(super) fn objection(&self, new: &Directory) -> Option<Objection> {
        let newer = self.marks.is_before(new.marks);
        if new.marks.is_before(self.marks) {
            Some(Objection::Older)
        } else if !newer && self.superseded.contains(&new.digest) {
            Some(Objection::SeenBefore)
        } else if self.servers > 0 && (new.servers.is_empty() || new.servers.len() * 2 < self.servers) {
            Some(Objection::Shrunk)
        } else {
            None
        }
    }

    pub(super) fn is_over(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|end| end <= now)
    }
}

impl Following {
    pub(super) fn new(id: &str, url: &str) -> Self {
        Self {
            id: id.to_owned(),
            url: url.to_owned(),
            tried: None,
            failure: None,
            held: None,
            good: None,
        }
    }

    /// Takes `new`, unless something speaks against it that no admin has accepted; `accepted` is the digest of the list
    /// that one has.
    pub(super) async fn receive(
        &mut self,
        txn: &mut Txn,
        new: &Directory,
        accepted: Option<&str>,
        now: Timestamp,
    ) -> Result<()> {
        self.failure = None;
        let objection = self.good.as_ref().and_then(|good| good.objection(new));
        if let Some(objection) = objection.filter(|_| accepted != Some(new.digest.as_str())) {
            let known = self.held.take().filter(|held| held.digest == new.digest);
            self.held = Some(Held {
                objection,
                servers: new.servers.len(),
                since: known.map_or(now, |held| held.since),
                digest: new.digest.clone(),
            });
            return Ok(());
        }
        let old = self.good.take();
        if old.as_ref().is_none_or(|good| good.digest != new.digest) {
            replace(txn, &self.id, &new.servers).await?;
        }
        self.held = None;
        self.good = Some(Good {
            federation: new.federation.clone(),
            servers: new.servers.len(),
            dropped: new.dropped,
            marks: new.marks,
            expires: new.expires,
            fetched: now,
            digest: new.digest.clone(),
            superseded: old.map_or_else(Vec::new, |good| superseded(good, &new.digest)),
        });
        Ok(())
    }
}

fn superseded(old: Good, by: &str) -> Vec<String> {
    let mut list = old.superseded;
    list.retain(|digest| digest != by);
    if old.digest != by {
        list.push(old.digest);
    }
    list.drain(..list.len().saturating_sub(SUPERSEDED_MAX));
    list
}

/// A server in the last good list of a directory.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct ListedServer {
    pub provider: Provider,
    pub directory: String,
    pub name: String,
}

impl Record for ListedServer {
    const KIND: &'static str = "listed-server";

    fn key(&self) -> Key {
        listed_key(&self.provider, &self.directory)
    }

    fn index(&self) -> Vec<Index> {
        vec![Index::new("directory", [&self.directory])]
    }
}

fn listed_key(provider: &Provider, directory: &str) -> Key {
    Key::of([&provider.to_string(), directory])
}

pub(super) async fn is_listed(txn: &mut Txn, provider: &Provider, directory: &str) -> Result<bool> {
    let found = txn.get::<ListedServer>(listed_key(provider, directory)).await?;
    Ok(found.is_some())
}

/// All servers of a directory, in no order that means anything.
pub(super) async fn listed(txn: &mut Txn, directory: &str) -> Result<Vec<ListedServer>> {
    let mut all = Vec::new();
    let mut page = Page::first(MAX_PAGE);
    loop {
        let some = txn.find::<ListedServer>("directory", [directory], &page).await?;
        all.extend(some.items);
        match some.next {
            Some(next) => page = Page::after(next, MAX_PAGE),
            None => return Ok(all),
        }
    }
}

/// Puts these servers in the place of those that are there, leaving alone what stays as it is.
pub(super) async fn replace(txn: &mut Txn, directory: &str, servers: &[Server]) -> Result<()> {
    let there = listed(txn, directory).await?.into_iter();
    let mut gone: HashMap<_, _> = there.map(|old| (old.provider, old.name)).collect();
    for server in servers {
        if gone.remove(&server.provider).as_ref() != Some(&server.name) {
            let listed = ListedServer {
                provider: server.provider.clone(),
                directory: directory.to_owned(),
                name: server.name.clone(),
            };
            txn.put(&listed).await?;
        }
    }
    for provider in gone.keys() {
        txn.delete::<ListedServer>(listed_key(provider, directory)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A list of so many servers that says this of its age; the number tells lists of one length apart.
    fn list(servers: usize, number: u32, marks: Marks) -> Directory {
        let servers: Vec<_> = (0..servers)
            .map(|at| json!({"url": format!("https://s{at}.example")}))
            .collect();
        let document = json!({"federation": "F", "servers": servers, "number": number}).to_string();
        let mut read = Directory::danger_unverified(document.as_bytes()).unwrap();
        read.marks = marks;
        read
    }

    fn good(of: &Directory, superseded: &[&Directory]) -> Good {
        Good {
            federation: of.federation.clone(),
            servers: of.servers.len(),
            dropped: 0,
            marks: of.marks,
            expires: None,
            fetched: Timestamp(0),
            digest: of.digest.clone(),
            superseded: superseded.iter().map(|list| list.digest.clone()).collect(),
        }
    }

    #[test]
    fn t47_a_list_that_lost_more_than_half_is_held() {
        let check = |kept: usize, new: usize, expected: Option<Objection>| {
            let (kept, new) = (list(kept, 1, Marks::default()), list(new, 2, Marks::default()));
            assert_eq!(good(&kept, &[]).objection(&new), expected);
        };
        check(0, 0, None);
        check(0, 9, None);
        check(1, 0, Some(Objection::Shrunk));
        check(2, 1, None);
        check(3, 1, Some(Objection::Shrunk));
        check(10, 5, None);
        check(10, 4, Some(Objection::Shrunk));
        check(10, 0, Some(Objection::Shrunk));
    }

    #[test]
    fn t47_an_older_list_is_held_as_far_as_it_can_be_told() {
        let at = |issued: i64| Marks {
            version: None,
            issued: Some(Timestamp(issued)),
        };
        let (first, second) = (list(2, 1, Marks::default()), list(3, 2, Marks::default()));
        let kept = good(&second, &[&first]);
        assert_eq!(kept.objection(&first), Some(Objection::SeenBefore));
        assert_eq!(kept.objection(&second), None);
        // What it cannot tell: an old copy that was never here.
        assert_eq!(kept.objection(&list(2, 3, Marks::default())), None);

        let kept = good(&list(2, 2, at(100)), &[&list(2, 1, at(50))]);
        assert_eq!(kept.objection(&list(2, 3, at(99))), Some(Objection::Older));
        assert_eq!(kept.objection(&list(2, 3, Marks::default())), Some(Objection::Older));
        assert_eq!(kept.objection(&list(2, 3, at(100))), None);
        // The same servers as before, and newly signed.
        assert_eq!(kept.objection(&list(2, 1, at(101))), None);
        assert_eq!(kept.objection(&list(2, 1, at(100))), Some(Objection::SeenBefore));
    }

    #[test]
    fn only_so_many_lists_are_remembered() {
        let mut kept = good(&list(1, 0, Marks::default()), &[]);
        for number in 1..100 {
            let new = list(1, number, Marks::default());
            kept = Good {
                digest: new.digest.clone(),
                superseded: superseded(kept, &new.digest),
                ..good(&new, &[])
            };
        }
        assert_eq!(kept.superseded.len(), SUPERSEDED_MAX);
        assert_eq!(kept.superseded.last(), Some(&list(1, 98, Marks::default()).digest));
        assert_eq!(superseded(kept.clone(), &kept.digest), kept.superseded);
    }
}
