//! What waits for an admin after a restore: shares and invitations that people elsewhere could use, and messages that may
//! have been delivered since the backup was made (T-86).

use serde::Serialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::invites::InviteState;
use crate::invites::Invites;
use crate::invites::SentInvite;
use crate::outbox::Delivery;
use crate::outbox::Outbox;
use crate::outbox::Progress;
use crate::shares::SentShare;
use crate::shares::Shares;
use crate::store::Key;
use crate::store::Page;
use crate::store::Record;
use crate::store::Store;
use crate::store::every;

/// How many records are held in one commit.
const ROWS: usize = 200;

/// How much waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Numbers {
    pub shares: usize,
    pub invites: usize,
    pub deliveries: usize,
}

impl Numbers {
    pub fn is_empty(self) -> bool {
        self == Self::default()
    }
}

/// All that waits.
#[derive(Clone, Debug, Default)]
pub struct Held {
    pub shares: Vec<SentShare>,
    pub invites: Vec<SentInvite>,
    pub deliveries: Vec<Delivery>,
}

impl Held {
    pub fn numbers(&self) -> Numbers {
        Numbers {
            shares: self.shares.len(),
            invites: self.invites.len(),
            deliveries: self.deliveries.len(),
        }
    }
}

/// Holds everything that could be used, or would be sent.
pub(super) async fn hold(store: &Store, now: Timestamp) -> Result<Numbers> {
    Ok(Numbers {
        shares: hold_some::<SentShare>(store, |share| share.hold()).await?,
        invites: hold_some::<SentInvite>(store, |invite| {
            invite.held = matches!(invite.state(now), InviteState::Open | InviteState::Expired);
            invite.held
        })
        .await?,
        deliveries: hold_some::<Delivery>(store, |delivery| {
            let waits = delivery.progress == Progress::Waiting;
            if waits {
                delivery.progress = Progress::Held;
            }
            waits
        })
        .await?,
    })
}

async fn hold_some<R: Record>(store: &Store, hold: impl Fn(&mut R) -> bool) -> Result<usize> {
    let mut held = 0;
    let mut page = Page::first(ROWS);
    loop {
        let (some, next) = store
            .run(async |txn| {
                let listing = txn.list::<R>(Key::ALL, &page).await?;
                let mut held = 0;
                for mut record in listing.items {
                    if hold(&mut record) {
                        txn.put(&record).await?;
                        held += 1;
                    }
                }
                Ok((held, listing.next))
            })
            .await?;
        held += some;
        match next {
            Some(next) => page = Page::after(next, ROWS),
            None => return Ok(held),
        }
    }
}

/// What waits, the shares of each person together.
pub async fn held(shares: &Shares, invites: &Invites, outbox: &Outbox) -> Result<Held> {
    let mut held = Held {
        shares: every(async |page| shares.held(&page).await).await?,
        invites: every(async |page| invites.held(&page).await).await?,
        deliveries: every(async |page| outbox.held(&page).await).await?,
    };
    held.shares.sort_by(|a, b| (&a.user, &a.path).cmp(&(&b.user, &b.path)));
    held.invites
        .sort_by(|a, b| (&a.user, a.created).cmp(&(&b.user, b.created)));
    // What is about a share that waits goes on, or goes, with that.
    let waiting: Vec<&str> = held.shares.iter().map(|share| share.id.as_str()).collect();
    held.deliveries
        .retain(|delivery| !waiting.contains(&delivery.share.as_str()));
    Ok(held)
}

/// Lets one thing go on, or all that wait; gives how many those were.
///
/// # Errors
///
/// [`Reason::NotFound`](crate::error::Reason::NotFound) for one that does not wait.
pub async fn confirm(
    shares: &Shares,
    invites: &Invites,
    outbox: &Outbox,
    one: Option<&str>,
    now: Timestamp,
) -> Result<Numbers> {
    let mut held = held(shares, invites, outbox).await?;
    if let Some(id) = one {
        held.shares.retain(|share| share.id == id);
        held.invites.retain(|invite| invite.id == id);
        held.deliveries.retain(|delivery| delivery.id == id);
        if held.numbers().is_empty() {
            return Err(Error::not_found("Nothing of that number waits to be confirmed.").in_field("id"));
        }
    }
    for share in &held.shares {
        shares.release(&share.id, now).await?;
    }
    for invite in &held.invites {
        invites.release(&invite.id).await?;
    }
    for delivery in &held.deliveries {
        outbox.release(&delivery.id, now).await?;
    }
    Ok(held.numbers())
}
