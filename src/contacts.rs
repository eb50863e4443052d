//! The address book: people on other servers that a user has traded an invite with.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::store::Index;
use crate::store::Key;
use crate::store::Listing;
use crate::store::Page;
use crate::store::Record;
use crate::store::Txn;

/// How a contact came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Via {
    SentInvite,
    ReceivedInvite,
}

/// A person on another server, as one of our users knows them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Contact {
    pub user: String,
    pub address: OcmAddress,
    /// As the other server gave it: shown, never trusted.
    pub name: String,
    pub email: String,
    pub since: Timestamp,
    pub via: Via,
}

impl Record for Contact {
    const KIND: &'static str = "contact";

    fn key(&self) -> Key {
        key(&self.user, &self.address)
    }

    fn index(&self) -> Vec<Index> {
        vec![Index::new("provider", [self.address.provider.to_string()])]
    }
}

fn key(user: &str, address: &OcmAddress) -> Key {
    Key::of([user, &address.to_string()])
}

/// Adds a contact, or takes over a newer name and mail address of one that is there.
pub async fn add(txn: &mut Txn, contact: &Contact) -> Result<()> {
    let known = txn.get::<Contact>(contact.key()).await?;
    txn.put(&Contact {
        since: known.map_or(contact.since, |known| known.since),
        ..contact.clone()
    })
    .await
}

pub async fn get(txn: &mut Txn, user: &str, address: &OcmAddress) -> Result<Option<Contact>> {
    txn.get::<Contact>(key(user, address)).await
}

pub async fn list(txn: &mut Txn, user: &str, page: &Page) -> Result<Listing<Contact>> {
    txn.list::<Contact>([user], page).await
}

/// Takes someone out of the address book. The other side is not told: the draft has no message for it (INV-7).
///
/// # Errors
///
/// [`Reason::NotFound`](crate::error::Reason::NotFound) if they are not in it.
pub async fn remove(txn: &mut Txn, user: &str, address: &OcmAddress) -> Result<Contact> {
    txn.delete::<Contact>(key(user, address))
        .await?
        .ok_or_else(|| Error::not_found("There is no such contact.").in_field("address"))
}

/// Any contact that a user of ours has at this server: what admits it in the mode `invite`.
pub async fn any_at(txn: &mut Txn, provider: &Provider) -> Result<Option<Contact>> {
    txn.find_one::<Contact>("provider", [provider.to_string()]).await
}
