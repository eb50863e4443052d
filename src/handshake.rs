//! Becoming a trusted server of those that know such a thing: a token each way, and a secret in the end
//! ([`trusted`]). Their admins see a green light for this server then; shares from here can be accepted there
//! without asking their recipients, which is their admin's to set; and signed ones are not limited in number (Nextcloud 35
//! takes 5 in 20 minutes of others).
//!
//! An admin begins, here or there; a server that merely traded an invite is never asked, and never answered. What is won
//! with the secret here is an address book, and that is empty. So what these messages may bring about is little: they are
//! not signed, and anyone may send them in anyone's name. What a stranger names is never called: it only picks one of the
//! servers that an admin has named (T-01), and is refused alike whether we know it or not. Whoever claims to be a server
//! that an admin has named can have us ask that server, four times a minute at most, whether it was.

mod kept;

use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use url::Url;

use crate::client::Answer;
use crate::client::Client;
use crate::client::MAX_ANSWER;
use crate::client::Outbound;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::PublicUrl;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;
use crate::error::Result;
use crate::handshake::kept::Verdict;
use crate::handshake::kept::Work;
use crate::ocm::address::Provider;
use crate::ocm::dialect;
use crate::ocm::dialect::trusted;
use crate::ocm::dialect::trusted::Places;
use crate::peers;
use crate::peers::Peers;
use crate::peers::trust::Purpose;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict as Rule;
use crate::random;
use crate::secret::Secret;
use crate::secret::hash_of;
use crate::store::Key;
use crate::store::Store;
use crate::store::Txn;

pub use self::kept::Handshake;
pub use self::kept::State;

/// How many servers are tried in one step, and how many of them at once.
const STEP: usize = 100;
const AT_ONCE: usize = 4;
/// How many refusals are answered in [`WINDOW`], of all askers together. Who has the right token or secret is never in
/// the way of others, or they in theirs.
const MOST_REFUSALS: u32 = 120;
const WINDOW: Duration = Duration::from_secs(60);
/// A reading is noted no more often than this.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// The handshakes of this server.
#[derive(Clone)]
pub struct Handshakes {
    store: Store,
    client: Client,
    peers: Peers,
    own: PublicUrl,
    /// Since when, and how many were refused since.
    refusals: Arc<Mutex<(Timestamp, u32)>>,
}

impl Handshakes {
    pub fn new(config: &Config, store: Store, client: Client, peers: Peers) -> Self {
        Self {
            store,
            client,
            peers,
            own: config.server.public_url.clone(),
            refusals: Arc::default(),
        }
    }

    pub async fn of(&self, host: &Provider) -> Result<Option<Handshake>> {
        self.store
            .read(async |txn| txn.get::<Handshake>([host.to_string()]).await)
            .await
    }

    /// Begins with a server that a rule allows, or tries again at once; [`Self::advance`] does the rest.
    ///
    /// # Errors
    ///
    /// [`Reason::WeRefuseThem`] where no rule allows it; [`Reason::OwnServer`].
    pub async fn start(&self, host: &Provider, now: Timestamp) -> Result<Handshake> {
        self.by_rule(host).await?;
        self.store
            .run(async |txn| {
                let mut handshake = get_or_new(txn, host).await?;
                handshake.start(random::token(trusted::TOKEN_LENGTH), now);
                txn.put(&handshake).await?;
                Ok(handshake)
            })
            .await
    }

    /// Somebody leaves a token in the name of the server at `url`, which is asked later whether it was.
    ///
    /// # Errors
    ///
    /// [`Reason::NotAllowed`] for a server that no admin has named, and where our own token wins; [`Reason::Busy`].
    pub async fn is_asked(&self, url: &str, token: &str, now: Timestamp) -> Result<()> {
        let Some(token) = trusted::token(token) else {
            return Err(self.refuse(now));
        };
        let host = self.claimed(url, now).await?;
        let verdict = self
            .store
            .run(async |txn| {
                let mut handshake = get_or_new(txn, &host).await?;
                let verdict = handshake.is_asked(&token, now);
                txn.put(&handshake).await?;
                Ok(verdict)
            })
            .await?;
        match verdict {
            Verdict::Taken => Ok(()),
            Verdict::Refused => Err(self.refuse(now)),
            Verdict::TooMany => Err(too_many(WINDOW)),
        }
    }

    /// The secret for a token of ours that is brought back.
    ///
    /// # Errors
    ///
    /// As [`Self::is_asked`]; the same for a wrong token.
    pub async fn give(&self, url: &str, token: &str, now: Timestamp) -> Result<Secret> {
        let host = self.claimed(url, now).await?;
        let (token, secret) = (Secret::new(token), random::token(trusted::SECRET_LENGTH));
        let given = self
            .store
            .run(async |txn| {
                let Some(mut handshake) = txn.get::<Handshake>([host.to_string()]).await? else {
                    return Ok(false);
                };
                let given = handshake.gives(&token, &secret, now);
                if given {
                    txn.put(&handshake).await?;
                }
                Ok(given)
            })
            .await?;
        if !given {
            return Err(self.refuse(now));
        }
        tracing::info!(peer = %host, "{host} has fetched the secret: this server is a trusted one there");
        Ok(secret)
    }

    /// Opens our address book to a server that has the secret, and notes that it was there.
    ///
    /// # Errors
    ///
    /// [`Reason::SecretWrong`], also where no rule allows that server any more; [`Reason::Busy`].
    pub async fn open_book(&self, secret: &Secret, now: Timestamp) -> Result<()> {
        let hash = hash_of(secret.expose());
        let found = self
            .store
            .read(async |txn| txn.find_one::<Handshake>("secret", [&hash]).await)
            .await?;
        let wrong = || self.count_refusal(now, Error::new(Reason::SecretWrong, "This opens nothing here."));
        let Some(found) = found.filter(|_| !secret.is_empty()) else {
            self.sure_of_nothing()?;
            return Err(wrong());
        };
        let host = found.provider.clone();
        self.by_rule(&host).await.map_err(|error| match is_refusal(&error) {
            true => wrong(),
            false => error,
        })?;
        if found.read().is_some_and(|read| now < read.plus(NOTED_EVERY)) {
            return Ok(());
        }
        self.change(&host, |handshake| handshake.was_read(now)).await
    }

    /// Does what is due with all servers, and gives how many that were. A step of the housekeeping.
    pub async fn advance(&self, now: Timestamp) -> Result<usize> {
        let due = self
            .store
            .read(async |txn| txn.find_until::<Handshake>("due", now, STEP).await)
            .await?;
        let number = due.len();
        stream::iter(due)
            .for_each_concurrent(AT_ONCE, async |handshake| {
                let host = &handshake.provider;
                if let Err(error) = self.advance_with(host, now).await {
                    tracing::warn!(peer = %host, causes = error.causes(), "The handshake with {host} failed: {error}");
                }
            })
            .await;
        Ok(number)
    }

    async fn advance_with(&self, host: &Provider, now: Timestamp) -> Result<()> {
        if let Err(error) = self.by_rule(host).await {
            if is_refusal(&error) {
                self.change(host, |handshake| handshake.abandon(&error, now)).await?;
            }
            return Err(error);
        }
        let fresh = random::token(trusted::TOKEN_LENGTH);
        let work = self
            .store
            .run(async |txn| {
                let mut handshake = get_or_new(txn, host).await?;
                let work = handshake.take_due(fresh.clone(), now);
                txn.put(&handshake).await?;
                Ok(work)
            })
            .await?;
        if work.ask.is_none() && work.fetch.is_empty() {
            return Ok(());
        }
        let outcome = self.carry_out(host, work, now).await;
        if let Err(error) = &outcome {
            self.change(host, |handshake| handshake.failed(error, now)).await?;
        }
        outcome
    }

    async fn carry_out(&self, host: &Provider, work: Work, now: Timestamp) -> Result<()> {
        let discovery = self.peers.discover(host, Purpose::Federate).await?;
        let scheme = discovery.end_point().scheme();
        let origin = Url::parse(&format!("{scheme}://{host}")).map_err(Error::internal)?;
        let document = origin.join(trusted::PROVIDER_DOCUMENT).map_err(Error::internal)?;
        let said = match self.client.document(&document).await {
            Ok(answer) => answer.is_success().then_some(answer.body),
            // It may send whoever asks there to a page of its own; that it is no server of this kind, the next answer tells.
            Err(error) if error.reason() == Reason::PeerBadAnswer => None,
            Err(error) => return Err(error),
        };
        let places =
            Places::of(&origin, said.as_deref()).ok_or_else(|| Error::internal("a path that is no address"))?;
        let patience = dialect::of(&discovery).patience;
        for token in work.fetch {
            match self.fetch(host, &places, &token, patience).await {
                Ok(secret) => {
                    self.change(host, |handshake| handshake.fetched(&secret, now)).await?;
                    tracing::info!(peer = %host, "{host} gave its secret: this server is a trusted one there");
                    return Ok(());
                }
                Err((error, refused)) => {
                    tracing::info!(peer = %host, code = error.reason().code(), "{host} gave no secret: {error}");
                    self.change(host, |handshake| handshake.not_fetched(&token, &error, refused, now))
                        .await?;
                }
            }
        }
        let Some(token) = work.ask else { return Ok(()) };
        match self.ask(host, &places, &token, patience).await {
            Ok(()) => self.change(host, |handshake| handshake.told(&token, now)).await,
            Err((error, refused)) => {
                tracing::info!(peer = %host, code = error.reason().code(), "{host} took no token: {error}");
                self.change(host, |handshake| handshake.not_told(&token, &error, refused, now))
                    .await
            }
        }
    }

    /// Leaves our token there. An error comes with whether they refused it.
    async fn ask(
        &self,
        host: &Provider,
        places: &Places,
        token: &Secret,
        patience: Duration,
    ) -> Result<(), (Error, bool)> {
        let body = trusted::fields(self.own.origin(), token).into_bytes();
        let request = Outbound::post(places.ask.clone(), "application/x-www-form-urlencoded", body);
        let answer = self.client.send(request.patient(patience), MAX_ANSWER).await;
        let refusal = || {
            format!(
                "{host} does not trust this server yet: its admin has to add {} there.",
                self.own
            )
        };
        read(host, answer.map_err(|error| (error, false))?, refusal).map(|_| ())
    }

    /// Brings their token back, for the secret. An error comes with whether they refused it.
    async fn fetch(
        &self,
        host: &Provider,
        places: &Places,
        token: &Secret,
        patience: Duration,
    ) -> Result<Secret, (Error, bool)> {
        let mut url = places.fetch.clone();
        url.set_query(Some(&trusted::fields(self.own.origin(), token)));
        let request = Outbound::get(url).header("accept", "application/json");
        let answer = self.client.send(request.patient(patience), MAX_ANSWER).await;
        let refusal = || format!("Somebody asked in the name of {host}, which knows nothing of it.");
        let answer = read(host, answer.map_err(|error| (error, false))?, refusal)?;
        let nothing = || Error::new(Reason::PeerBadAnswer, format!("{host} answered with no secret."));
        trusted::secret(&answer.body).ok_or_else(|| (nothing(), false))
    }

    /// The server that a stranger claims to be, if an admin here has named it: a rule for all names below a domain is not
    /// enough, or a stranger could have us call as many names as there are.
    async fn claimed(&self, url: &str, now: Timestamp) -> Result<Provider> {
        let Ok(claimed) = PublicUrl::parse(url) else {
            return Err(self.refuse(now));
        };
        let host = claimed.provider();
        self.by_rule(host).await.map_err(|error| match is_refusal(&error) {
            true => self.refuse(now),
            false => error,
        })?;
        let named = self
            .store
            .read(async |txn| {
                let rule = txn.get::<TrustRule>(Key::of([host.to_string()])).await?;
                let ruled = rule.is_some_and(|rule| rule.verdict == Rule::Allow && rule.in_force(now));
                Ok(ruled || txn.get::<Handshake>([host.to_string()]).await?.is_some())
            })
            .await?;
        if !named {
            self.sure_of_nothing()?;
            return Err(self.refuse(now));
        }
        Ok(host.clone())
    }

    /// Passes for a server that a rule of ours allows: not for one that is let in by an invite, a directory or the mode.
    async fn by_rule(&self, host: &Provider) -> Result<()> {
        match self.peers.permit(host, Purpose::Federate).await {
            Ok(decision) if decision.by_rule => Ok(()),
            Err(error) if error.reason() != Reason::WeRefuseThem => Err(error),
            _ => Err(Error::new(
                Reason::WeRefuseThem,
                format!("No rule of this server allows {host}. Allow it first: ocmesh peer allow {host}"),
            )),
        }
    }

    async fn change(&self, host: &Provider, change: impl Fn(&mut Handshake)) -> Result<()> {
        self.store
            .run(async |txn| {
                if let Some(mut handshake) = txn.get::<Handshake>([host.to_string()]).await? {
                    change(&mut handshake);
                    txn.put(&handshake).await?;
                }
                Ok(())
            })
            .await
    }

    /// Passes if what was not found is not there.
    fn sure_of_nothing(&self) -> Result<()> {
        if self.store.healthy() {
            return Ok(());
        }
        Err(Error::new(
            Reason::StoreStopped,
            "This server can't look that up just now.",
        ))
    }

    /// The one refusal there is: what was wrong, nobody learns (T-36).
    fn refuse(&self, now: Timestamp) -> Error {
        let refusal = Error::new(Reason::NotAllowed, "This server shares no secret with that one.");
        self.count_refusal(now, refusal)
    }

    fn count_refusal(&self, now: Timestamp, refusal: Error) -> Error {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        let (since, number) = &mut *refusals;
        if now < *since || now >= since.plus(WINDOW) {
            (*since, *number) = (now, 0);
        }
        *number = number.saturating_add(1);
        if *number <= MOST_REFUSALS {
            return refusal;
        }
        too_many(now.until(since.plus(WINDOW)))
    }
}

async fn get_or_new(txn: &mut Txn, host: &Provider) -> Result<Handshake> {
    let known = txn.get::<Handshake>([host.to_string()]).await?;
    Ok(known.unwrap_or_else(|| Handshake::new(host)))
}

/// Whether an error is our decision about a server, and not trouble of our own.
fn is_refusal(error: &Error) -> bool {
    error.kind() == Kind::Forbidden || error.reason() == Reason::OwnServer
}

fn too_many(wait: Duration) -> Error {
    Error::new(Reason::Busy, "Too many ask for this; try again later.").retry_after(Some(wait))
}

/// The answer, if it is a good one; else why not, and whether that was a refusal.
fn read(host: &Provider, answer: Answer, refusal: impl Fn() -> String) -> Result<Answer, (Error, bool)> {
    match trusted::status(answer.status, &answer.body) {
        200..=299 => Ok(answer),
        403 => Err((Error::new(Reason::TheyRefuseUs, refusal()), true)),
        404 | 405 | 410 | 501 => Err((
            Error::new(
                Reason::TheyCannotTakeThis,
                format!("{host} has no list of trusted servers that this one could be on."),
            ),
            false,
        )),
        status => Err((peers::refused_by(host, status, None, answer.retry_after), false)),
    }
}
