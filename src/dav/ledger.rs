//! What WebDAV must remember besides the files: who has locked what, and the properties that clients made up.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::files::TreePath;
use crate::store::Key;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::store::Record;
use crate::store::Store;
use crate::store::Txn;

/// What a record may be as JSON, in bytes. The store takes no value over 6 KiB, and keeps some things beside it.
const LONGEST_RECORD: usize = 5 * 1024;

/// Whether a record can be kept. Measured as it is written out: a line break counts twice.
pub(super) fn fits(record: &impl Serialize) -> bool {
    serde_json::to_vec(record).is_ok_and(|json| json.len() <= LONGEST_RECORD)
}

/// A write lock (RFC 4918, section 6). At most 5 KiB as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lock {
    /// A URI that is never used again. Shown to nobody but its holder (T-60).
    pub token: String,
    /// Where the lock is rooted, from the top of the tree.
    pub path: TreePath,
    /// Whether all beneath `path` is locked too.
    pub deep: bool,
    pub exclusive: bool,
    /// Who may use the token, as [`Mount::holder`](super::Mount::holder) says.
    pub holder: String,
    /// Who the client says it is: an XML fragment, at most 2 KiB.
    pub owner: String,
    pub expires: Timestamp,
}

impl Lock {
    /// Whether `path` may be written only by who holds this.
    pub fn covers(&self, path: &TreePath) -> bool {
        self.path == *path || (self.deep && path.is_within(&self.path))
    }
}

/// A property that this server keeps without understanding it. At most 5 KiB as JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadProperty {
    /// Empty for a name in no namespace.
    pub namespace: String,
    pub name: String,
    /// `xml:lang`, where the client gave one.
    pub language: Option<String>,
    /// What is in the element, as XML that declares every namespace it uses.
    pub value: String,
}

/// One step of a PROPPATCH; the later wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Patch {
    Set(DeadProperty),
    Remove { namespace: String, name: String },
}

/// A lock as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct KeptLock {
    realm: String,
    lock: Lock,
}

impl Record for KeptLock {
    const KIND: &'static str = "dav-lock";

    fn key(&self) -> Key {
        Key::of([&self.realm, &self.lock.token])
    }
}

/// A dead property as it is kept.
#[derive(Clone, Serialize, Deserialize)]
struct KeptProperty {
    realm: String,
    path: TreePath,
    property: DeadProperty,
}

impl Record for KeptProperty {
    const KIND: &'static str = "dav-property";

    fn key(&self) -> Key {
        properties_of(&self.realm, &self.path).and([&self.property.namespace, &self.property.name])
    }
}

/// Everything at and beneath a path begins with this.
fn beneath(realm: &str, path: &TreePath) -> Key {
    Key::of([realm]).and(Key::of(path.segments()))
}

/// The properties of exactly this path: an empty component, which no name in a folder is, parts them from those beneath.
fn properties_of(realm: &str, path: &TreePath) -> Key {
    beneath(realm, path).and("")
}

/// Locks and dead properties. A `realm` names a tree of files; paths are from the top of that tree, so that two shares of
/// one folder see the same locks.
#[derive(Clone)]
pub struct Ledger {
    store: Store,
}

impl Ledger {
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// All locks of a realm that have not expired.
    pub async fn locks(&self, realm: &str, now: Timestamp) -> Result<Vec<Lock>> {
        let kept = self.store.read(async |txn| all_locks(txn, realm).await).await?;
        let locks = kept.into_iter().map(|kept| kept.lock);
        Ok(locks.filter(|lock| lock.expires > now).collect())
    }

    /// Keeps a lock, in place of one with the same token, if `admit` agrees given all others that have not expired.
    /// Looking and keeping are one step: of two clients that lock at the same moment, one gets it.
    pub async fn put_lock(
        &self,
        realm: &str,
        lock: Lock,
        now: Timestamp,
        admit: impl Fn(&[Lock]) -> Result<()>,
    ) -> Result<()> {
        self.store
            .run(async |txn| {
                let mut others = Vec::new();
                for kept in all_locks(txn, realm).await? {
                    if kept.lock.expires <= now {
                        txn.delete::<KeptLock>(kept.key()).await?;
                    } else if kept.lock.token != lock.token {
                        others.push(kept.lock);
                    }
                }
                admit(&others)?;
                txn.put(&KeptLock {
                    realm: realm.to_owned(),
                    lock: lock.clone(),
                })
                .await
            })
            .await
    }

    pub async fn remove_lock(&self, realm: &str, token: &str) -> Result<()> {
        self.store
            .run(async |txn| txn.delete::<KeptLock>([realm, token]).await)
            .await
            .map(drop)
    }

    /// What is kept for exactly this path.
    pub async fn properties(&self, realm: &str, path: &TreePath) -> Result<Vec<DeadProperty>> {
        let kept = self
            .store
            .read(async |txn| all_properties(txn, properties_of(realm, path)).await)
            .await?;
        Ok(kept.into_iter().map(|kept| kept.property).collect())
    }

    /// Does all of `patches`, in their order, or on an error none.
    pub async fn patch_properties(&self, realm: &str, path: &TreePath, patches: Vec<Patch>) -> Result<()> {
        self.store
            .run(async |txn| {
                for patch in &patches {
                    match patch {
                        Patch::Set(property) => {
                            let kept = KeptProperty {
                                realm: realm.to_owned(),
                                path: path.clone(),
                                property: property.clone(),
                            };
                            txn.put(&kept).await?;
                        }
                        Patch::Remove { namespace, name } => {
                            let key = properties_of(realm, path).and([namespace, name]);
                            txn.delete::<KeptProperty>(key).await?;
                        }
                    }
                }
                Ok(())
            })
            .await
    }

    /// Something has moved: its properties, and those of all beneath, go along. What was kept for `to` is forgotten, and
    /// so are the locks at and beneath both: a lock is on a place and doesn't move (RFC 4918, section 7.6).
    pub async fn move_properties(&self, realm: &str, from: &TreePath, to: &TreePath) -> Result<()> {
        self.store
            .run(async |txn| {
                let moved = all_properties(txn, beneath(realm, from)).await?;
                forget_properties(txn, realm, to).await?;
                forget_locks(txn, realm, |lock| lock.path.is_within(from) || lock.path.is_within(to)).await?;
                for kept in moved {
                    txn.delete::<KeptProperty>(kept.key()).await?;
                    put_at(txn, kept, from, to).await?;
                }
                Ok(())
            })
            .await
    }

    /// As [`Ledger::move_properties`], for a move that may have been followed before: what is at `to` by now stays.
    pub async fn follow(&self, realm: &str, from: &TreePath, to: &TreePath) -> Result<()> {
        let page = Page::first(1);
        let left = self
            .store
            .read(async |txn| txn.list::<KeptProperty>(&beneath(realm, from), &page).await)
            .await?;
        match left.items.is_empty() {
            true => Ok(()),
            false => self.move_properties(realm, from, to).await,
        }
    }

    /// Something was copied, with (`deep`) or without what is beneath. What was kept for `to` is forgotten, and so are the
    /// locks beneath it; a lock on `to` itself stays with the place.
    pub async fn copy_properties(&self, realm: &str, from: &TreePath, to: &TreePath, deep: bool) -> Result<()> {
        self.store
            .run(async |txn| {
                let source = if deep {
                    beneath(realm, from)
                } else {
                    properties_of(realm, from)
                };
                let copied = all_properties(txn, source).await?;
                forget_properties(txn, realm, to).await?;
                forget_locks(txn, realm, |lock| lock.path.is_within(to) && lock.path != *to).await?;
                for kept in copied {
                    put_at(txn, kept, from, to).await?;
                }
                Ok(())
            })
            .await
    }

    /// Something was removed: what was kept for it and all beneath, locks included, goes.
    pub async fn forget(&self, realm: &str, path: &TreePath) -> Result<()> {
        self.store
            .run(async |txn| {
                forget_properties(txn, realm, path).await?;
                forget_locks(txn, realm, |lock| lock.path.is_within(path)).await
            })
            .await
    }
}

async fn all_locks(txn: &mut Txn, realm: &str) -> Result<Vec<KeptLock>> {
    // Holders may have ten each (T-60), so that one page is all there is in any tree that is in use.
    Ok(txn.list::<KeptLock>([realm], &Page::first(MAX_PAGE)).await?.items)
}

async fn all_properties(txn: &mut Txn, prefix: Key) -> Result<Vec<KeptProperty>> {
    let mut all = Vec::new();
    let mut page = Page::first(MAX_PAGE);
    loop {
        let some = txn.list::<KeptProperty>(&prefix, &page).await?;
        all.extend(some.items);
        match some.next {
            Some(next) => page = Page::after(next, MAX_PAGE),
            None => return Ok(all),
        }
    }
}

async fn put_at(txn: &mut Txn, kept: KeptProperty, from: &TreePath, to: &TreePath) -> Result<()> {
    let Some(below) = kept.path.below(from) else {
        return Ok(());
    };
    txn.put(&KeptProperty {
        path: to.descend(&below)?,
        ..kept
    })
    .await
}

async fn forget_properties(txn: &mut Txn, realm: &str, path: &TreePath) -> Result<()> {
    for kept in all_properties(txn, beneath(realm, path)).await? {
        txn.delete::<KeptProperty>(kept.key()).await?;
    }
    Ok(())
}

async fn forget_locks(txn: &mut Txn, realm: &str, gone: impl Fn(&Lock) -> bool) -> Result<()> {
    for kept in all_locks(txn, realm).await? {
        if gone(&kept.lock) {
            txn.delete::<KeptLock>(kept.key()).await?;
        }
    }
    Ok(())
}
