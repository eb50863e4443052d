//! The worker that takes what is due out of the outbox, sends it, and notes on its share or request how that went.

use std::collections::BTreeMap;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use futures_util::stream::FuturesUnordered;

use crate::client::Client;
use crate::client::MAX_ANSWER;
use crate::client::Outbound;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::UserTopic;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::notify::News;
use crate::notify::Notices;
use crate::ocm::address::Provider;
use crate::outbox;
use crate::outbox::Cargo;
use crate::outbox::Delivery;
use crate::outbox::Outbox;
use crate::peers;
use crate::peers::Peers;
use crate::peers::traffic::About;
use crate::peers::trust::Purpose;
use crate::random;
use crate::requests;
use crate::requests::Requests;
use crate::shares::SentShare;
use crate::shares::Shares;
use crate::shares::sent;
use crate::store::Store;
use crate::store::Txn;

/// How many deliveries are looked at in one round, and how many peers are written to at once.
const ROUND: usize = 200;
const PEERS_AT_ONCE: usize = 32;
/// How many deliveries one peer gets before the queue is looked at again.
const IN_ONE_TURN: usize = 10;
/// How often the queue is looked at without a nudge.
const LOOK_EVERY: Duration = Duration::from_secs(2);

fn stands_still(error: &Error) {
    tracing::error!(
        code = error.reason().code(),
        causes = error.causes(),
        "The outbox stands still: {error}"
    );
}

/// Brings deliveries to their peers.
#[derive(Clone)]
pub struct Courier {
    config: Arc<Config>,
    store: Store,
    client: Client,
    peers: Peers,
    shares: Shares,
    requests: Requests,
    outbox: Outbox,
    notices: Notices,
    clock: Clock,
}

impl Courier {
    pub fn new(
        config: Arc<Config>,
        store: Store,
        client: Client,
        peers: Peers,
        (shares, requests): (Shares, Requests),
        (outbox, notices): (Outbox, Notices),
        clock: Clock,
    ) -> Self {
        Self {
            config,
            store,
            client,
            peers,
            shares,
            requests,
            outbox,
            notices,
            clock,
        }
    }

    /// Works until the task is dropped. Each peer is written to by itself: one that does not answer holds up no other.
    pub async fn work(&self) {
        let mut busy = HashSet::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            match self.due_by_peer().await {
                Ok(due) => {
                    for (peer, mut deliveries) in due {
                        if under_way.len() < PEERS_AT_ONCE && busy.insert(peer.clone()) {
                            deliveries.truncate(IN_ONE_TURN);
                            under_way.push(async { (peer, self.deliver_to_one_peer(deliveries).await) });
                        }
                    }
                }
                Err(error) => stands_still(&error),
            }
            tokio::select! {
                Some((peer, outcome)) = under_way.next(), if !under_way.is_empty() => {
                    busy.remove(&peer);
                    if let Err(error) = outcome {
                        stands_still(&error);
                        tokio::time::sleep(LOOK_EVERY).await;
                    }
                }
                () = self.outbox.nudged() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Tries everything that is due now, each once; gives how many that were. Peers are written to side by side, one
    /// peer's deliveries in their order.
    pub async fn run_due(&self) -> Result<usize> {
        let tries: Vec<Result<usize>> = stream::iter(self.due_by_peer().await?.into_values())
            .map(|deliveries| self.deliver_to_one_peer(deliveries))
            .buffer_unordered(PEERS_AT_ONCE)
            .collect()
            .await;
        tries.into_iter().sum()
    }

    /// Takes a delivery out of the queue for good; a share that was never announced has failed then.
    pub async fn drop(&self, id: &str) -> Result<()> {
        let now = self.clock.now();
        self.store
            .run(async |txn| {
                let mut delivery = outbox::get(txn, id).await?;
                let dropped = Error::new(Reason::GaveUp, "Taken out of the queue by hand.");
                delivery.failed(&dropped, false, &[], 0.0, now);
                let failed = sent::failed(txn, &delivery, false).await?;
                self.tell_owner(txn, failed, now).await?;
                requests::sent::failed(txn, &delivery, false).await?;
                outbox::drop(txn, id).await
            })
            .await
    }

    async fn due_by_peer(&self) -> Result<BTreeMap<Provider, Vec<Delivery>>> {
        let mut by_peer: BTreeMap<Provider, Vec<Delivery>> = BTreeMap::new();
        for delivery in self.outbox.due(self.clock.now(), ROUND).await? {
            by_peer.entry(delivery.to.clone()).or_default().push(delivery);
        }
        Ok(by_peer)
    }

    async fn deliver_to_one_peer(&self, deliveries: Vec<Delivery>) -> Result<usize> {
        let mut tried = 0;
        let mut rest = deliveries.into_iter();
        for delivery in rest.by_ref() {
            tried += 1;
            let outcome = self.send(&delivery).await;
            if let Some(next) = self.settle(delivery, outcome).await? {
                // The peer is not well: what else is for it waits too, without being counted as tried.
                self.postpone(rest, next).await?;
                break;
            }
        }
        Ok(tried)
    }

    /// Notes how a try ended; gives when the peer may be written to again, if this is to be tried again.
    async fn settle(&self, mut delivery: Delivery, outcome: Result<()>) -> Result<Option<Timestamp>> {
        let now = self.clock.now();
        let about = match delivery.cargo {
            Cargo::Share => About::Share,
            Cargo::Notification => About::Notification,
            Cargo::Request => About::ShareRequest,
        };
        self.peers.traffic().sent(&delivery.to, about, &outcome);
        match outcome {
            Ok(()) => {
                tracing::info!(peer = %delivery.to, delivery.id, "Delivered to {}", delivery.to);
                self.store
                    .run(async |txn| {
                        sent::delivered(txn, &delivery, now).await?;
                        self.peers.heard_from_in(txn, &delivery.to, now).await?;
                        requests::sent::delivered(txn, &delivery, now).await
                    })
                    .await?;
                Ok(None)
            }
            Err(error) => {
                let again = peers::worth_retrying(&error);
                let schedule = &self.config.shares.delivery_retry;
                delivery.failed(&error, again, schedule, random::fraction(), now);
                // Not when this one is due again: a message that a peer chokes on must not hold up all others for a day.
                let pause = schedule.first().map_or(LOOK_EVERY, |wait| wait.0);
                let pause = pause.max(error.wait().unwrap_or_default());
                let next = (delivery.progress == outbox::Progress::Waiting).then(|| now.plus(pause));
                tracing::warn!(
                    peer = %delivery.to,
                    delivery.id,
                    delivery.tries,
                    code = error.reason().code(),
                    causes = error.causes(),
                    "Delivery to {} failed: {error}",
                    delivery.to
                );
                if again {
                    // What we remembered of the peer may be what is wrong.
                    self.peers.forget(&delivery.to);
                }
                self.store
                    .run(async |txn| {
                        let failed = sent::failed(txn, &delivery, !again).await?;
                        self.tell_owner(txn, failed, now).await?;
                        self.peers.heard_nothing_in(txn, &delivery.to, &error, now).await?;
                        requests::sent::failed(txn, &delivery, !again).await
                    })
                    .await?;
                Ok(next)
            }
        }
    }

    /// Tells whoever shares something that it will not arrive. Their mail does not name it: the page does.
    async fn tell_owner(&self, txn: &mut Txn, failed: Option<SentShare>, now: Timestamp) -> Result<()> {
        let Some(share) = failed else { return Ok(()) };
        let why = share.last_error.as_ref().map(|failure| failure.message.clone());
        let news = News {
            topic: UserTopic::ShareFailed,
            about: share.id.clone(),
            page: format!("/shares/sent/{}", share.id),
            sentence: "Something that you share with {address} did not reach them, and is tried no longer. {why}",
            values: vec![
                ("address", share.share_with.to_string()),
                ("why", why.unwrap_or_default()),
            ],
        };
        self.notices.user_named_in(txn, &share.user, &news, now).await
    }

    async fn postpone(&self, deliveries: impl Iterator<Item = Delivery>, until: Timestamp) -> Result<()> {
        for delivery in deliveries {
            self.store
                .run(async |txn| {
                    let Some(mut delivery) = txn.get::<Delivery>([&delivery.id]).await? else {
                        return Ok(());
                    };
                    delivery.due = delivery.due.max(until);
                    txn.put(&delivery).await
                })
                .await?;
        }
        Ok(())
    }

    /// One try: policy, discovery, the form that the peer reads (SHR-5), signature, POST.
    async fn send(&self, delivery: &Delivery) -> Result<()> {
        let peer = self.peers.meet(&delivery.to, Purpose::Federate).await?;
        let mut doubts = Vec::new();
        let (url, body) = match delivery.cargo {
            Cargo::Share => {
                let now = self.clock.now();
                let Some((share, sharer)) = self.shares.to_announce(delivery, now).await? else {
                    return Ok(());
                };
                let terms = self.shares.terms(&peer, share.folder, share.permissions.write)?;
                let strict = terms.requirements.must_exchange_token;
                if !self.shares.announcing(&share.id, strict, now).await? {
                    return Ok(());
                }
                let share = sent::SentShare { strict, ..share };
                let message = terms.payload(&self.shares.announcement(&share, &sharer, &terms)?);
                doubts = terms.doubts;
                (peer.discovery.shares_url(), message.to_string().into_bytes())
            }
            Cargo::Notification => {
                let body = self.shares.notification(delivery, &peer).await?;
                (peer.discovery.notifications_url(), body.expose().as_bytes().to_vec())
            }
            Cargo::Request => {
                let Some(message) = self.requests.to_send(delivery, &peer.discovery).await? else {
                    return Ok(());
                };
                (
                    peer.discovery.request_share_url(),
                    message.to_json().to_string().into_bytes(),
                )
            }
        };
        let outbound = Outbound::post(url, "application/json", body);
        let signed = self.peers.sign_for(&peer, outbound).await?;
        let answer = self.client.send(signed, MAX_ANSWER).await?;
        if answer.is_success() {
            return Ok(());
        }
        let refused_by = match delivery.cargo {
            Cargo::Request => requests::sent::refused_by,
            Cargo::Share | Cargo::Notification => peers::refused_by,
        };
        let refused = refused_by(&delivery.to, answer.status, answer.complaint(), answer.retry_after);
        if refused.reason() != Reason::TheyRefuseUs {
            return Err(refused);
        }
        Err(doubts.iter().fold(refused, |refused, doubt| refused.and(doubt)))
    }
}
