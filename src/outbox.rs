//! What has still to reach other servers: kept in the same commit as its cause, due, tried again, given up.

use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;
use tokio::sync::Notify;

use crate::clock::Timestamp;
use crate::config::Span;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::random;
use crate::secret::Secret;
use crate::store::Index;
use crate::store::Key;
use crate::store::Listing;
use crate::store::Page;
use crate::store::Record;
use crate::store::Store;
use crate::store::Txn;

/// By how much a wait is stretched at most, so that what failed together is not retried together.
const JITTER: f64 = 0.2;

/// What a delivery carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cargo {
    /// A Share Creation Notification for a [`SentShare`](crate::shares::SentShare).
    Share,
    /// An OCM Notification about a share.
    Notification,
    /// A request for a share: a [`SentRequest`](crate::requests::SentRequest).
    Request,
}

/// Whether a delivery is still tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Progress {
    Waiting,
    /// Came back with a backup, and may have been delivered since that was made: not sent until an admin says so (T-86).
    Held,
    /// Out of tries, or refused for good; kept until someone retries or drops it.
    GivenUp,
}

/// One message on its way to another server. Each try says the same: a share keeps its providerId and secret (T-79).
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Delivery {
    pub id: String,
    pub to: Provider,
    pub cargo: Cargo,
    /// The share, or the request for one, that it is about, by its id here.
    pub share: String,
    pub user: String,
    /// The notification as JSON; none for a share or a request, whose message is made from what is kept of it.
    pub body: Option<Secret>,
    pub progress: Progress,
    pub created: Timestamp,
    pub due: Timestamp,
    pub tries: u32,
    pub last_error: Option<Failure>,
}

/// How a try failed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    pub code: String,
    pub message: String,
    pub at: Timestamp,
}

impl Failure {
    pub fn new(error: &Error, at: Timestamp) -> Self {
        Self {
            code: error.reason().code().to_owned(),
            message: error.to_string(),
            at,
        }
    }
}

impl Record for Delivery {
    const KIND: &'static str = "delivery";

    fn key(&self) -> Key {
        Key::of([&self.id])
    }

    fn index(&self) -> Vec<Index> {
        let mut index = vec![Index::new("share", [&self.share])];
        match self.progress {
            Progress::Waiting => index.push(Index::new("due", self.due)),
            Progress::Held => index.push(Index::new("held", ["yes"])),
            Progress::GivenUp => {}
        }
        index
    }
}

impl Delivery {
    pub fn new(to: Provider, cargo: Cargo, share: &str, user: &str, body: Option<Secret>, now: Timestamp) -> Self {
        Self {
            id: random::number(),
            to,
            cargo,
            share: share.to_owned(),
            user: user.to_owned(),
            body,
            progress: Progress::Waiting,
            created: now,
            due: now,
            tries: 0,
            last_error: None,
        }
    }

    /// Notes a failed try. It is due again after the next wait of the schedule, or when the peer asked for if that is
    /// later; once the schedule is used up, or if trying again can't help, it is given up.
    pub fn failed(&mut self, error: &Error, again: bool, schedule: &[Span], jitter: f64, now: Timestamp) {
        let wait = usize::try_from(self.tries).ok().and_then(|tries| schedule.get(tries));
        self.tries += 1;
        self.last_error = Some(Failure::new(error, now));
        match wait {
            Some(wait) if again => {
                let stretched = wait.0.mul_f64(1.0 + JITTER * jitter.clamp(0.0, 1.0));
                self.due = now.plus(stretched.max(error.wait().unwrap_or(Duration::ZERO)));
            }
            _ => self.progress = Progress::GivenUp,
        }
    }
}

/// The queue of deliveries.
#[derive(Clone)]
pub struct Outbox {
    store: Store,
    wake: Arc<Notify>,
}

impl Outbox {
    pub fn new(store: Store) -> Self {
        Self {
            store,
            wake: Arc::default(),
        }
    }

    /// Tells the worker that something may be due; call it after the commit.
    pub fn nudge(&self) {
        self.wake.notify_one();
    }

    /// Waits for a nudge.
    pub async fn nudged(&self) {
        self.wake.notified().await;
    }

    /// What is due now, oldest first.
    pub async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Delivery>> {
        self.store
            .read(async |txn| txn.find_until::<Delivery>("due", now, limit).await)
            .await
    }

    pub async fn list(&self, page: &Page) -> Result<Listing<Delivery>> {
        self.store
            .read(async |txn| txn.list::<Delivery>(Key::ALL, page).await)
            .await
    }

    /// Makes a delivery due now, with its whole schedule before it again.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`];
    /// [`Reason::Conflict`] for one that is held: that is for an admin to decide.
    pub async fn retry(&self, id: &str, now: Timestamp) -> Result<Delivery> {
        let delivery = self
            .store
            .run(async |txn| {
                let mut delivery = get(txn, id).await?;
                if delivery.progress == Progress::Held {
                    return Err(Error::new(
                        Reason::Conflict,
                        "This came back with a backup. It is sent once an admin has confirmed it.",
                    ));
                }
                delivery.progress = Progress::Waiting;
                delivery.due = now;
                delivery.tries = 0;
                txn.put(&delivery).await?;
                Ok(delivery)
            })
            .await?;
        self.nudge();
        Ok(delivery)
    }

    /// What is held since a restore.
    pub async fn held(&self, page: &Page) -> Result<Listing<Delivery>> {
        self.store
            .read(async |txn| txn.find::<Delivery>("held", ["yes"], page).await)
            .await
    }

    /// Lets a delivery that is held go on its way.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`].
    pub async fn release(&self, id: &str, now: Timestamp) -> Result<()> {
        self.store
            .run(async |txn| {
                let delivery = get(txn, id).await?;
                release(txn, delivery, now).await
            })
            .await?;
        self.nudge();
        Ok(())
    }
}

/// Puts a delivery that is held in line again; any other stays as it is.
pub async fn release(txn: &mut Txn, mut delivery: Delivery, now: Timestamp) -> Result<()> {
    if delivery.progress != Progress::Held {
        return Ok(());
    }
    delivery.progress = Progress::Waiting;
    delivery.due = now;
    txn.put(&delivery).await
}

/// # Errors
///
/// [`Reason::NotFound`] for one that was delivered, dropped or never there.
pub async fn get(txn: &mut Txn, id: &str) -> Result<Delivery> {
    txn.get::<Delivery>([id])
        .await?
        .ok_or_else(|| Error::not_found("There is no such delivery.").in_field("id"))
}

/// The deliveries that are about this share or request.
pub async fn about(txn: &mut Txn, share: &str) -> Result<Vec<Delivery>> {
    Ok(txn.find::<Delivery>("share", [share], &Page::first(50)).await?.items)
}

/// Takes a delivery out of the queue, delivered or not.
pub async fn drop(txn: &mut Txn, id: &str) -> Result<()> {
    txn.delete::<Delivery>([id]).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn delivery() -> Delivery {
        let to = Provider::parse("b.example").unwrap();
        Delivery::new(to, Cargo::Share, "1", "ada", None, Timestamp(1000))
    }

    fn schedule() -> Vec<Span> {
        vec![Span::seconds(10), Span::seconds(60)]
    }

    #[test]
    fn t49_a_delivery_backs_off_along_its_schedule_and_is_given_up_at_its_end() {
        let busy = Error::new(Reason::PeerBusy, "busy");
        let mut delivery = delivery();
        delivery.failed(&busy, true, &schedule(), 0.0, Timestamp(1000));
        assert_eq!((delivery.progress, delivery.due), (Progress::Waiting, Timestamp(1010)));
        delivery.failed(&busy, true, &schedule(), 1.0, Timestamp(2000));
        assert_eq!((delivery.progress, delivery.due), (Progress::Waiting, Timestamp(2072)));
        delivery.failed(&busy, true, &schedule(), 0.0, Timestamp(3000));
        assert_eq!(delivery.progress, Progress::GivenUp);
        assert_eq!(delivery.tries, 3);
        assert_eq!(delivery.last_error.unwrap().code, "busy");
    }

    #[test]
    fn t49_what_the_peer_asked_for_is_honoured_where_it_is_later_than_the_schedule() {
        let wait = |seconds| Error::new(Reason::PeerBusy, "busy").retry_after(Some(Duration::from_secs(seconds)));
        let mut delivery = delivery();
        delivery.failed(&wait(600), true, &schedule(), 0.0, Timestamp(1000));
        assert_eq!(delivery.due, Timestamp(1600));
        delivery.failed(&wait(1), true, &schedule(), 0.0, Timestamp(2000));
        assert_eq!(delivery.due, Timestamp(2060));
    }

    #[test]
    fn a_refusal_for_good_is_not_tried_again() {
        let mut delivery = delivery();
        delivery.failed(
            &Error::new(Reason::TheyRefuseUs, "no"),
            false,
            &schedule(),
            0.0,
            Timestamp(1000),
        );
        assert_eq!(delivery.progress, Progress::GivenUp);
        assert!(
            delivery
                .index()
                .iter()
                .all(|index| *index != Index::new("due", delivery.due))
        );
    }
}
