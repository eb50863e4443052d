//! The address book: people on other servers that a user has traded an invite with.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::ocm::dialect::user_id::unwrapped;
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
}

fn key(user: &str, address: &OcmAddress) -> Key {
    Key::of([user, &address.to_string()])
}

/// That a user of ours has traded an invite with somebody at a server: what lets it in under the mode `invite`. It stays
/// when the contact is removed, so that what is shared already goes on until someone ends it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Admission {
    pub provider: Provider,
    /// The first of our users who did.
    pub user: String,
    pub since: Timestamp,
}

impl Record for Admission {
    const KIND: &'static str = "admission";

    fn key(&self) -> Key {
        Key::of([self.provider.to_string()])
    }
}

/// Adds a contact, or takes over a newer name and mail address of one that is there.
pub async fn add(txn: &mut Txn, contact: &Contact) -> Result<()> {
    let provider = &contact.address.provider;
    if admission(txn, provider).await?.is_none() {
        txn.put(&Admission {
            provider: provider.clone(),
            user: contact.user.clone(),
            since: contact.since,
        })
        .await?;
    }
    let known = txn.get::<Contact>(contact.key()).await?;
    txn.put(&Contact {
        since: known.map_or(contact.since, |known| known.since),
        ..contact.clone()
    })
    .await
}

/// The contact at this address. A server may have wrapped an id when the invite was traded and write it plainly since its
/// update, or the other way round: both name one person (INC-16).
pub async fn get(txn: &mut Txn, user: &str, address: &OcmAddress) -> Result<Option<Contact>> {
    if let Some(contact) = txn.get::<Contact>(key(user, address)).await? {
        return Ok(Some(contact));
    }
    let plain = |address: &OcmAddress| unwrapped(address).unwrap_or_else(|| address.clone());
    let wanted = plain(address);
    let mut page = Page::first(500);
    loop {
        let some = list(txn, user, &page).await?;
        let same = |contact: &Contact| contact.address.provider == wanted.provider && plain(&contact.address) == wanted;
        if let Some(contact) = some.items.into_iter().find(same) {
            return Ok(Some(contact));
        }
        match some.next {
            Some(next) => page = Page::after(next, 500),
            None => return Ok(None),
        }
    }
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

/// Whether, and through whom, a server was let in by an invite.
pub async fn admission(txn: &mut Txn, provider: &Provider) -> Result<Option<Admission>> {
    txn.get::<Admission>([provider.to_string()]).await
}
