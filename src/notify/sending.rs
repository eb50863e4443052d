//! The worker that brings notices to their places, and the test that an admin can ask for.

use std::collections::BTreeMap;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::mail::Automatic;
use crate::mail::Letter;
use crate::mail::Recipient;
use crate::notify::Notices;
use crate::notify::host_of;
use crate::notify::kept;
use crate::notify::kept::Telling;
use crate::notify::kept::Way;
use crate::notify::webhook;
use crate::notify::webhook::Hook;
use crate::random;
use crate::users::User;

/// How many notices are looked at in one round, and how many places are told side by side.
const ROUND: usize = 200;
const PLACES_AT_ONCE: usize = 8;
/// After how many failures in a row a place is left alone for a while.
const PATIENCE: usize = 3;
const PAUSE: Duration = Duration::from_secs(60);
/// How often it is looked without being woken.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// What came of a test at one place.
#[derive(Clone, Debug)]
pub struct Tried {
    pub way: Way,
    /// What the place said, or why it has nothing.
    pub outcome: Result<String>,
}

/// What came of a test at all places.
#[derive(Clone, Debug)]
pub struct Tested {
    pub at: Timestamp,
    pub tried: Vec<Tried>,
}

impl Notices {
    /// Sends what is due, for ever.
    pub async fn work(&self) {
        loop {
            if let Err(error) = self.run_due().await {
                tracing::error!(
                    code = error.reason().code(),
                    causes = error.causes(),
                    "Notices stand still: {error}"
                );
            }
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Tries everything that is due now, each once; gives how many that were. Places are told side by side: one that does
    /// not answer holds up no other.
    pub async fn run_due(&self) -> Result<usize> {
        let now = self.clock.now();
        let due = self
            .store
            .read(async |txn| txn.find_until::<Telling>("due", now, ROUND).await)
            .await?;
        self.sweep(now).await?;
        let mut by_place: BTreeMap<String, Vec<Telling>> = BTreeMap::new();
        for telling in due {
            let place = match &telling.way {
                Way::Webhook(url) => url.clone(),
                Way::AdminMail(_) | Way::UserMail(_) => "mail".to_owned(),
            };
            by_place.entry(place).or_default().push(telling);
        }
        let tried: Vec<Result<usize>> = stream::iter(by_place.into_values())
            .map(|tellings| self.tell_all(tellings))
            .buffer_unordered(PLACES_AT_ONCE)
            .collect()
            .await;
        tried.into_iter().sum()
    }

    async fn sweep(&self, now: Timestamp) -> Result<()> {
        self.store.run_early(async |txn| kept::sweep(txn, now).await).await
    }

    async fn tell_all(&self, tellings: Vec<Telling>) -> Result<usize> {
        let (mut tried, mut failed_in_a_row) = (0, 0);
        for telling in tellings {
            if failed_in_a_row >= PATIENCE {
                // It is not well: what else is for it waits, too, without being counted as tried.
                self.postpone(&telling.id).await?;
                continue;
            }
            tried += 1;
            let outcome = self.tell(&telling).await;
            failed_in_a_row = if outcome.is_ok() { 0 } else { failed_in_a_row + 1 };
            self.settle(telling, outcome).await?;
        }
        Ok(tried)
    }

    async fn settle(&self, telling: Telling, outcome: Result<()>) -> Result<()> {
        let now = self.clock.now();
        if let Err(error) = &outcome {
            tracing::warn!(
                notice = telling.id,
                topic = telling.topic,
                tries = telling.tries + 1,
                code = error.reason().code(),
                causes = error.causes(),
                "A notice could not be sent: {error}"
            );
        }
        self.store
            .run(async |txn| {
                let Err(error) = &outcome else {
                    return kept::told(txn, &telling, now).await;
                };
                let Some(mut telling) = txn.get::<Telling>([&telling.id]).await? else {
                    return Ok(());
                };
                telling.failed(error, now);
                txn.put(&telling).await
            })
            .await
    }

    async fn postpone(&self, id: &str) -> Result<()> {
        let until = self.clock.now().plus(PAUSE);
        self.store
            .run(async |txn| {
                let Some(mut telling) = txn.get::<Telling>([id]).await? else {
                    return Ok(());
                };
                telling.due = telling.due.max(until);
                txn.put(&telling).await
            })
            .await
    }

    /// One try. What nobody is to hear any more counts as told.
    async fn tell(&self, telling: &Telling) -> Result<()> {
        match &telling.way {
            Way::AdminMail(to) => match self.admin_mail.iter().find(|known| known.as_str() == to) {
                Some(to) if self.mail.can_send() => self.write(telling, to, self.lang).await.map(drop),
                _ => Ok(()),
            },
            Way::UserMail(name) => {
                let user = self.store.read(async |txn| txn.get::<User>([name]).await).await?;
                let reached = user.and_then(|user| Some((self.address_of(&user, &telling.topic)?, user.language)));
                match reached {
                    Some((to, lang)) => self.write(telling, &to, lang.unwrap_or(self.lang)).await.map(drop),
                    None => Ok(()),
                }
            }
            Way::Webhook(url) => match self.hooks.iter().find(|hook| hook.name == *url) {
                Some(hook) => self.post(telling, hook).await.map(drop),
                None => Ok(()),
            },
        }
    }

    async fn write(&self, telling: &Telling, to: &Recipient, lang: crate::lang::Lang) -> Result<String> {
        let (subject, body) = telling.mail(&self.server, lang);
        let letter = Letter {
            to,
            reply_to: "",
            subject: &subject,
            body: &body,
            automatic: Some(Automatic {
                id: &telling.id,
                at: self.clock.now(),
            }),
        };
        self.mail.send(&letter).await
    }

    async fn post(&self, telling: &Telling, hook: &Hook) -> Result<u16> {
        let message = webhook::Message {
            id: &telling.event,
            at: telling.happened.to_string(),
            sent: self.clock.now().to_string(),
            topic: &telling.topic,
            about: &telling.about,
            text: telling.said(self.lang),
            url: self.server.at(&telling.page),
            server: self.server.provider().to_string(),
        };
        hook.send(&self.client, &message).await
    }

    /// Sends a test to every place that admins are told at, and keeps what each answered until the next one.
    pub async fn test(&self) -> Tested {
        let at = self.clock.now();
        let mails = self.admin_mail.iter().map(|to| Way::AdminMail(to.as_str().to_owned()));
        let hooks = self.hooks.iter().map(|hook| Way::Webhook(hook.name.clone()));
        let tried = join_all(mails.chain(hooks).map(|way| self.test_one(way, at))).await;
        let tested = Tested { at, tried };
        *self.tested.lock().unwrap_or_else(PoisonError::into_inner) = Some(tested.clone());
        tested
    }

    /// The last test since the start.
    pub fn tested(&self) -> Option<Tested> {
        self.tested.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn test_one(&self, way: Way, now: Timestamp) -> Tried {
        let telling = Telling {
            id: random::number(),
            event: random::number(),
            way: way.clone(),
            topic: "test".to_owned(),
            about: String::new(),
            page: "/admin/notices".to_owned(),
            sentence: "This is a test. An admin of {server} wants to know whether notices arrive.".to_owned(),
            values: vec![("server".to_owned(), self.server.provider().to_string())],
            more: 0,
            happened: now,
            given_up: false,
            due: now,
            tries: 0,
            last_error: None,
        };
        let outcome = match &way {
            Way::AdminMail(to) | Way::UserMail(to) => match Recipient::parse(to) {
                Ok(to) => self.write(&telling, &to, self.lang).await,
                Err(error) => Err(error),
            },
            Way::Webhook(url) => match self.hooks.iter().find(|hook| hook.name == *url) {
                Some(hook) => self.post(&telling, hook).await.map(|status| status.to_string()),
                None => Err(Error::not_found("There is no such webhook.")),
            },
        };
        if let Err(error) = &outcome {
            tracing::warn!(
                place = host_of_way(&way),
                code = error.reason().code(),
                causes = error.causes(),
                "A test could not be sent: {error}"
            );
        }
        Tried { way, outcome }
    }
}

/// What the log may name: never a mail address.
fn host_of_way(way: &Way) -> String {
    match way {
        Way::AdminMail(_) | Way::UserMail(_) => "mail".to_owned(),
        Way::Webhook(url) => host_of(url),
    }
}
