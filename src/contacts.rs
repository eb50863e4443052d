//! The address book: people on other servers that a user has traded an invite with.

pub mod card;

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

/// Longest name that a user gives a contact, in characters.
const MAX_NAME: usize = 255;
/// Longest note about a contact, in characters.
const MAX_NOTE: usize = 1000;

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
    #[serde(default)]
    pub ours: Ours,
}

/// What our user says of a contact. The other server never learns of it, and nothing that it sends changes it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ours {
    /// What our user calls them; empty for the name that they gave.
    pub name: String,
    pub note: String,
    /// Since when nothing of theirs is taken any more.
    pub blocked: Option<Timestamp>,
    /// The mail address of our user's that they were told; none where none was, or nobody wrote it down.
    pub told_mail: Option<String>,
}

/// A change to [`Ours`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "kebab-case")]
pub enum Change {
    Name { name: String },
    Note { note: String },
    Block,
    Unblock,
}

impl Contact {
    /// What they are called here: our user's name for them, else theirs, else their address.
    pub fn shown_name(&self) -> String {
        let given = [self.ours.name.trim(), self.name.trim()];
        match given.into_iter().find(|name| !name.is_empty()) {
            Some(name) => name.to_owned(),
            None => self.address.to_string(),
        }
    }

    pub fn is_blocked(&self) -> bool {
        self.ours.blocked.is_some()
    }
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

/// Adds a contact, or takes over a newer name and mail address of one that is there; a block stays. Gives whether that let
/// their server in, which nobody here had traded an invite with before.
pub async fn add(txn: &mut Txn, contact: &Contact) -> Result<bool> {
    let provider = &contact.address.provider;
    let first = admission(txn, provider).await?.is_none();
    if first {
        txn.put(&Admission {
            provider: provider.clone(),
            user: contact.user.clone(),
            since: contact.since,
        })
        .await?;
    }
    let known = txn.get::<Contact>(contact.key()).await?;
    txn.put(&match known {
        Some(known) => Contact {
            since: known.since,
            via: known.via,
            ours: Ours {
                told_mail: contact.ours.told_mail.clone().or(known.ours.told_mail),
                ..known.ours
            },
            ..contact.clone()
        },
        None => contact.clone(),
    })
    .await?;
    Ok(first)
}

/// Notes what our user says of a contact.
///
/// # Errors
///
/// [`Reason::NotFound`](crate::error::Reason::NotFound) if they are not in the address book;
/// [`Reason::Invalid`](crate::error::Reason::Invalid) naming `name` or `note`.
pub async fn change(
    txn: &mut Txn,
    user: &str,
    address: &OcmAddress,
    change: &Change,
    now: Timestamp,
) -> Result<Contact> {
    let mut contact = get(txn, user, address).await?.ok_or_else(no_such_contact)?;
    let ours = &mut contact.ours;
    match change {
        Change::Name { name } => ours.name = line("name", name)?,
        Change::Note { note } => ours.note = text("note", note)?,
        Change::Block => ours.blocked = ours.blocked.or(Some(now)),
        Change::Unblock => ours.blocked = None,
    }
    txn.put(&contact).await?;
    Ok(contact)
}

fn line(field: &'static str, given: &str) -> Result<String> {
    let given = given.trim();
    if given.chars().count() > MAX_NAME || given.chars().any(char::is_control) {
        return Err(Error::invalid(
            field,
            format!("At most {MAX_NAME} characters, and no control characters."),
        ));
    }
    Ok(given.to_owned())
}

fn text(field: &'static str, given: &str) -> Result<String> {
    let given = given.replace("\r\n", "\n");
    let given = given.trim();
    if given.chars().count() > MAX_NOTE || given.chars().any(|c| c.is_control() && c != '\n') {
        return Err(Error::invalid(
            field,
            format!("At most {MAX_NOTE} characters of plain text."),
        ));
    }
    Ok(given.to_owned())
}

pub fn no_such_contact() -> Error {
    Error::not_found("There is no such contact.").in_field("address")
}

/// Whether this user will have nothing of somebody.
pub async fn is_blocked(txn: &mut Txn, user: &str, address: &OcmAddress) -> Result<bool> {
    Ok(get(txn, user, address)
        .await?
        .is_some_and(|contact| contact.is_blocked()))
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
        .ok_or_else(no_such_contact)
}

/// Whether, and through whom, a server was let in by an invite.
pub async fn admission(txn: &mut Txn, provider: &Provider) -> Result<Option<Admission>> {
    txn.get::<Admission>([provider.to_string()]).await
}
