//! What becomes of the shares between two people when one takes the other out of the address book.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::contacts;
use crate::contacts::Contact;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::ocm::dialect::user_id::unwrapped;
use crate::shares::ReceivedShare;
use crate::shares::SentShare;
use crate::shares::Shares;
use crate::shares::received::ReceivedState;
use crate::shares::sent::SentState;
use crate::store::Page;

/// How many shares are read at once.
const ROWS: usize = 500;

/// What is to end together with a contact. What is not named stays as it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parting {
    /// Stop what is shared with them.
    pub stop: bool,
    /// Give back what they share: what was accepted is left, what waits is declined.
    pub give_back: bool,
}

impl SentShare {
    /// Whether it has not ended, be it waiting for somebody or something.
    pub fn goes_on(&self, now: Timestamp) -> bool {
        let over = matches!(self.state, SentState::Stopped | SentState::Left | SentState::Declined);
        !over && !self.expired(now)
    }
}

impl ReceivedShare {
    /// Whether it has not ended, be it still to be decided upon.
    pub fn goes_on(&self, now: Timestamp) -> bool {
        matches!(self.state, ReceivedState::Pending | ReceivedState::Accepted) && !self.expired(now)
    }
}

impl Shares {
    /// The shares between a user and somebody elsewhere, in both directions, those that are over included.
    pub async fn between(&self, user: &str, other: &OcmAddress) -> Result<(Vec<SentShare>, Vec<ReceivedShare>)> {
        let (mut sent, mut received) = (Vec::new(), Vec::new());
        let mut page = Page::first(ROWS);
        loop {
            let some = self.sent(user, &page).await?;
            let theirs = |share: &SentShare| same_person(&share.share_with, other);
            sent.extend(some.items.into_iter().filter(theirs));
            match some.next {
                Some(next) => page = Page::after(next, ROWS),
                None => break,
            }
        }
        let mut page = Page::first(ROWS);
        loop {
            let some = self.received(user, &page).await?;
            let theirs = |share: &ReceivedShare| same_person(&share.sender, other);
            received.extend(some.items.into_iter().filter(theirs));
            match some.next {
                Some(next) => page = Page::after(next, ROWS),
                None => return Ok((sent, received)),
            }
        }
    }

    /// Takes somebody out of the address book, after what is to end with that has ended. Done again, it ends what a first
    /// try left.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`](crate::error::Reason::NotFound) if they are not in it: then nothing ends either.
    pub async fn part(&self, user: &str, other: &OcmAddress, parting: Parting, now: Timestamp) -> Result<Contact> {
        let found = self.store.read(async |txn| contacts::get(txn, user, other).await);
        let contact = found.await?.ok_or_else(contacts::no_such_contact)?;
        let (sent, received) = self.between(user, &contact.address).await?;
        for share in sent.iter().filter(|share| parting.stop && share.goes_on(now)) {
            self.stop(user, &share.id, now).await?;
        }
        for share in received.iter().filter(|share| parting.give_back && share.goes_on(now)) {
            match share.state {
                ReceivedState::Accepted => self.leave(user, &share.id, now).await?,
                _ => self.decline(user, &share.id, now).await?,
            };
        }
        self.store
            .run(async |txn| contacts::remove(txn, user, &contact.address).await)
            .await
    }
}

/// One person may be written in two ways (INC-16).
fn same_person(one: &OcmAddress, other: &OcmAddress) -> bool {
    let plain = |address: &OcmAddress| unwrapped(address).unwrap_or_else(|| address.clone());
    one == other || plain(one) == plain(other)
}
