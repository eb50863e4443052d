//! Servers that do not answer any more: noticed where something is for them, told to admins, and looked after until they
//! are back.

use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::AdminTopic;
use crate::contacts;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::notify::Notice;
use crate::ocm::address::Provider;
use crate::peers::Peers;
use crate::peers::trust::Purpose;
use crate::store::Index;
use crate::store::Key;
use crate::store::Record;
use crate::store::Txn;

/// Admins hear of a server that has been silent for so long, and at least so often.
const LONG: Duration = Duration::from_secs(3600);
const OFTEN: u32 = 3;
/// How often one that they heard of is asked again, and how many of those in one round.
const ASK_EVERY: Duration = Duration::from_secs(6 * 3600);
const AT_ONCE: usize = 20;

/// That a server did not answer the last time, nor the times before.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Silence {
    provider: Provider,
    since: Timestamp,
    tries: u32,
    /// When it is asked again, once admins have heard of it.
    next: Option<Timestamp>,
}

impl Record for Silence {
    const KIND: &'static str = "peer-silence";

    fn key(&self) -> Key {
        Key::of([self.provider.to_string()])
    }

    fn index(&self) -> Vec<Index> {
        self.next.map(|next| Index::new("next", next)).into_iter().collect()
    }
}

/// Whether nobody answered, or nobody who could.
fn is_silence(error: &Error) -> bool {
    matches!(
        error.reason(),
        Reason::NameNotFound
            | Reason::NoAnswer
            | Reason::TlsFailed
            | Reason::NotOcm
            | Reason::OcmDisabled
            | Reason::PeerBusy
    )
}

impl Peers {
    /// Notes that a server did not take something, in the commit that says so. Only servers where somebody here has a
    /// contact are looked after: a name that is only misspelt never answers.
    pub async fn heard_nothing_in(&self, txn: &mut Txn, host: &Provider, error: &Error, now: Timestamp) -> Result<()> {
        if !is_silence(error) || contacts::admission(txn, host).await?.is_none() {
            return Ok(());
        }
        let known = txn.get::<Silence>([host.to_string()]).await?;
        let mut silence = known.unwrap_or_else(|| Silence {
            provider: host.clone(),
            since: now,
            tries: 0,
            next: None,
        });
        silence.tries = silence.tries.saturating_add(1);
        if silence.next.is_none() && silence.tries >= OFTEN && now >= silence.since.plus(LONG) {
            silence.next = Some(now.plus(ASK_EVERY));
            let notice = Notice {
                topic: AdminTopic::PeerDown,
                about: host.to_string(),
                sentence: "{server} does not answer any more, since {since}. What is for it waits, and is tried again. The \
                           last try said: {why}",
                values: vec![
                    ("server", host.to_string()),
                    ("since", silence.since.to_string()),
                    ("why", error.to_string()),
                ],
            };
            self.notices.admins_in(txn, &notice, now).await?;
        }
        txn.put(&silence).await
    }

    /// Notes that a server answers; admins hear of it where they had heard that it does not.
    pub async fn heard_from_in(&self, txn: &mut Txn, host: &Provider, now: Timestamp) -> Result<()> {
        let Some(silence) = txn.get::<Silence>([host.to_string()]).await? else {
            return Ok(());
        };
        txn.delete::<Silence>(silence.key()).await?;
        if silence.next.is_none() {
            return Ok(());
        }
        let notice = Notice {
            topic: AdminTopic::PeerDown,
            about: host.to_string(),
            sentence: "{server} answers again. It had not since {since}.",
            values: vec![("server", host.to_string()), ("since", silence.since.to_string())],
        };
        self.notices.admins_in(txn, &notice, now).await
    }

    /// Asks those that admins have heard of whether they are back, each now and then.
    pub async fn ask_the_silent(&self, now: Timestamp) -> Result<()> {
        let due = self
            .store
            .read(async |txn| txn.find_until::<Silence>("next", now, AT_ONCE).await)
            .await?;
        for silence in due {
            let host = &silence.provider;
            self.forget(host);
            let asked = self.discover(host, Purpose::Federate).await;
            self.store
                .run(async |txn| match &asked {
                    Ok(_) => self.heard_from_in(txn, host, now).await,
                    // Nothing goes there any more, so it is nobody's concern.
                    Err(error) if error.reason() == Reason::WeRefuseThem => {
                        txn.delete::<Silence>(silence.key()).await?;
                        Ok(())
                    }
                    Err(_) => {
                        let Some(mut silence) = txn.get::<Silence>(silence.key()).await? else {
                            return Ok(());
                        };
                        silence.next = Some(now.plus(ASK_EVERY));
                        txn.put(&silence).await
                    }
                })
                .await?;
        }
        Ok(())
    }
}
