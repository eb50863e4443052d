//! Reading and writing a received share at its Sending Server (_Resource Access_): code flow, then WebDAV.

mod multistatus;

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use futures_util::TryStreamExt;
use moka::sync::Cache;
use url::Url;

use crate::client::Body;
use crate::client::ByteStream;
use crate::client::Client;
use crate::client::MAX_ANSWER;
use crate::client::MAX_LISTING;
use crate::client::Outbound;
use crate::client::Streamed;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::TreePath;
use crate::metrics::Fill;
use crate::metrics::Flow;
use crate::metrics::Metrics;
use crate::metrics::Side;
use crate::ocm::address::Provider;
use crate::ocm::code_flow;
use crate::ocm::code_flow::Access;
use crate::ocm::code_flow::ExchangeFailure;
use crate::ocm::code_flow::TokenError;
use crate::ocm::code_flow::TokenRequest;
use crate::ocm::code_flow::TokenResponse;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Discovery;
use crate::peers;
use crate::peers::Peers;
use crate::peers::traffic::About;
use crate::peers::trust::Purpose;
use crate::secret::Secret;
use crate::shares::ReceivedShare;
use crate::shares::received;
use crate::shares::received::ReceivedState;
use crate::store::Store;

pub use self::multistatus::RemoteEntry;

/// A token is renewed this long before it ends, so that it does not end on its way.
const TOKEN_MARGIN: Duration = Duration::from_secs(15);
const TOKENS: u64 = 10_000;

const PROPFIND_BODY: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<d:propfind xmlns:d=\"DAV:\"><d:prop>\
<d:resourcetype/><d:getcontentlength/><d:getlastmodified/><d:getetag/></d:prop></d:propfind>";

/// The way to shares on other servers.
#[derive(Clone)]
pub struct Remote {
    store: Store,
    client: Client,
    peers: Peers,
    clock: Clock,
    own: Provider,
    /// Access tokens in use, by share; in memory only, and not past their lifetime (TOK-5).
    tokens: Cache<String, (Secret, Timestamp)>,
    metrics: Metrics,
}

/// Where a share is and what opens it.
struct Door {
    base: Url,
    access: Access,
    peer: Arc<Discovery>,
}

impl Remote {
    pub fn new(config: &Config, store: Store, client: Client, peers: Peers, clock: Clock, metrics: Metrics) -> Self {
        Self {
            store,
            client,
            peers,
            clock,
            own: config.server.public_url.provider().clone(),
            tokens: Cache::new(TOKENS),
            metrics,
        }
    }

    pub fn fill(&self) -> Fill {
        Fill::of_cache("tokens", self.tokens.entry_count(), TOKENS)
    }

    /// What is in a folder of the share, or the shared file itself.
    ///
    /// # Errors
    ///
    /// [`Reason::ShareGone`]; [`Reason::TheyRefuseUs`]; other reasons of [`Kind::Peer`](crate::error::Kind::Peer).
    pub async fn list(&self, share: &ReceivedShare, path: &TreePath) -> Result<Vec<RemoteEntry>> {
        let answer = self
            .ask(share, path, || {
                Outbound::new("PROPFIND", self.nowhere())
                    .header("depth", "1")
                    .header("content-type", "application/xml; charset=utf-8")
                    .with_body(PROPFIND_BODY)
            })
            .await?;
        let host = &share.sender.provider;
        match answer.answer.status {
            207 => {}
            // Deployed servers serve a shared file by GET alone; what it is called, the share says.
            405 | 501 if !share.is_folder() && path.is_root() => return Ok(vec![RemoteEntry::file(&share.name)]),
            status => return Err(self.refused(share, path, status, &answer)),
        }
        let url = self.address(&self.door(share).await?.base, path)?;
        let body = self.client.collect(answer.body, MAX_LISTING, &host.to_string()).await?;
        let mut entries = multistatus::read(&body, url.path()).map_err(|why| {
            Error::new(
                Reason::PeerBadAnswer,
                format!("{host} sent a listing that can't be read."),
            )
            .caused_by(why)
        })?;
        // Nextcloud calls whatever it shares a file; only this tells.
        let opened_folder = entries.iter().any(|entry| entry.is_itself && entry.folder);
        if path.is_root() && opened_folder && !share.is_folder() {
            received::found_folder(&self.store, &share.id).await?;
        }
        if path.is_root() && !opened_folder && !share.is_folder() {
            // A file lists itself, under whatever address; people know it by the name it was shared under.
            let itself = entries.into_iter().next().unwrap_or_default();
            entries = vec![RemoteEntry {
                size: itself.size,
                modified: itself.modified,
                ..RemoteEntry::file(&share.name)
            }];
        } else {
            entries.retain(|entry| !entry.is_itself);
        }
        entries.sort_by(|a, b| b.folder.cmp(&a.folder).then_with(|| a.name.cmp(&b.name)));
        Ok(entries)
    }

    /// A file of the share, as it arrives. `range` is passed on as the `Range` header.
    ///
    /// # Errors
    ///
    /// As [`Remote::list`].
    pub async fn get(&self, share: &ReceivedShare, path: &TreePath, range: Option<&str>) -> Result<Streamed> {
        not_the_folder_itself(share, path)?;
        let answer = self
            .ask(share, path, || {
                let request = Outbound::get(self.nowhere());
                match range {
                    Some(range) => request.header("range", range),
                    None => request,
                }
            })
            .await?;
        match answer.answer.status {
            200 => Ok(answer),
            206 | 416 if range.is_some() => Ok(answer),
            206 | 416 => Err(Error::new(
                Reason::PeerBadAnswer,
                format!(
                    "{} sent a part of the file where all of it was asked for.",
                    share.sender.provider
                ),
            )),
            status => Err(self.refused(share, path, status, &answer)),
        }
    }

    /// Writes a file into a share that grants it; done when the other server says so.
    ///
    /// # Errors
    ///
    /// [`Reason::ReadOnly`] before anything is sent if the share does not grant writing; as [`Remote::list`].
    pub async fn put(
        &self,
        share: &ReceivedShare,
        path: &TreePath,
        content: ByteStream,
        length: Option<u64>,
    ) -> Result<()> {
        if !share.offer.permissions.write {
            return Err(Error::new(Reason::ReadOnly, "This was shared for reading only."));
        }
        not_the_folder_itself(share, path)?;
        let door = self.door(share).await?;
        let url = self.address(&door.base, path)?;
        // A stream can't be sent twice, so the credential is made sure of first.
        let credential = self.credential(share, &door).await?;
        let mut request = Outbound::new("PUT", url).header("authorization", credential);
        request.body = Body::Stream(self.counted(content, Flow::Out), length);
        let answer = self.client.open(request).await;
        self.note(share, About::Writing, &answer);
        let answer = answer?;
        match answer.answer.status {
            200 | 201 | 204 => Ok(()),
            status => {
                if status == 401 {
                    // The next try begins with a fresh token.
                    self.tokens.invalidate(&share.id);
                }
                Err(self.refused(share, path, status, &answer))
            }
        }
    }

    /// Sends a request with the share's credential; once more with a fresh token if the first was not taken.
    async fn ask(&self, share: &ReceivedShare, path: &TreePath, make: impl Fn() -> Outbound) -> Result<Streamed> {
        let door = self.door(share).await?;
        let url = self.address(&door.base, path)?;
        let attempt = async |credential: String| {
            let mut request = make();
            request.url = url.clone();
            let answer = self.client.open(request.header("authorization", credential)).await;
            self.note(share, About::Reading, &answer);
            answer
        };
        let had_token = self.tokens.contains_key(&share.id);
        let mut answer = attempt(self.credential(share, &door).await?).await?;
        if answer.answer.status == 401 && had_token {
            self.tokens.invalidate(&share.id);
            answer = attempt(self.credential(share, &door).await?).await?;
        }
        answer.body = self.counted(answer.body, Flow::In);
        Ok(answer)
    }

    fn counted(&self, body: ByteStream, flow: Flow) -> ByteStream {
        let metrics = self.metrics.clone();
        Box::pin(body.inspect_ok(move |chunk| metrics.webdav_bytes(flow, Side::Receiver, chunk.len())))
    }

    fn note(&self, share: &ReceivedShare, about: About, answer: &Result<Streamed>) {
        let status = answer.as_ref().map_or(0, |answer| answer.answer.status);
        let host = &share.sender.provider;
        self.peers.traffic().ended(host, about, answer, status);
    }

    /// Finds the share's address at its sender (ACC-1, ACC-4) and how it is to be opened (ACC-2).
    async fn door(&self, share: &ReceivedShare) -> Result<Door> {
        usable(share, self.clock.now())?;
        let host = &share.sender.provider;
        let peer = self.peers.discover(host, Purpose::Federate).await?;
        let root = peer.webdav_root(share.resource_type()).ok_or_else(|| {
            Error::new(
                Reason::PeerBadAnswer,
                format!("{host} does not say where its files are."),
            )
        })?;
        let base = share
            .offer
            .locate(peer.end_point(), &root, &self.own)
            .map_err(|invalid| {
                Error::new(
                    Reason::PeerBadAnswer,
                    "The share's address is on another server than its sender.",
                )
                .caused_by(invalid)
            })?;
        let access = code_flow::how_to_read(
            share.offer.requirements.must_exchange_token,
            peer.has(Capability::ExchangeToken) && peer.token_end_point().is_some(),
            peer.has(Capability::HttpSig),
        );
        Ok(Door { base, access, peer })
    }

    fn address(&self, base: &Url, path: &TreePath) -> Result<Url> {
        if path.is_root() {
            return Ok(base.clone());
        }
        let mut url = base.clone();
        url.path_segments_mut()
            .map_err(|()| Error::internal("a base address without a path"))?
            .pop_if_empty()
            .extend(path.segments());
        Ok(url)
    }

    /// The `Authorization` header that opens the share.
    async fn credential(&self, share: &ReceivedShare, door: &Door) -> Result<String> {
        let bearer = |secret: &Secret| format!("Bearer {}", secret.expose());
        if share.offer.uri.is_none() && door.access != Access::ExchangeOnly {
            // The deprecated spelling: the secret is the user name, and the password is empty (ACC-5).
            let pair = format!("{}:", share.offer.shared_secret.expose());
            return Ok(format!("Basic {}", BASE64.encode(pair)));
        }
        if door.access == Access::SecretOnly {
            return Ok(bearer(&share.offer.shared_secret));
        }
        let now = self.clock.now();
        if let Some((token, end)) = self.tokens.get(&share.id)
            && now < end
        {
            return Ok(bearer(&token));
        }
        match self.exchange(share, door, now).await {
            Ok(token) => Ok(bearer(&token)),
            Err(failure) if code_flow::may_fall_back(door.access, failure.kind) => {
                Ok(bearer(&share.offer.shared_secret))
            }
            Err(failure) => Err(failure.error),
        }
    }

    /// Exchanges the shared secret for an access token (TOK-1).
    async fn exchange(&self, share: &ReceivedShare, door: &Door, now: Timestamp) -> Result<Secret, FailedExchange> {
        let host = &share.sender.provider;
        let failed = |kind, error| FailedExchange { kind, error };
        let Some(end_point) = door.peer.token_end_point() else {
            let why = format!("{host} asks for a token, but says not where to get one.");
            return Err(failed(
                ExchangeFailure::Status(404),
                Error::new(Reason::NeedsTokenExchange, why),
            ));
        };
        let request = TokenRequest {
            client_id: self.own.clone(),
            code: share.offer.shared_secret.clone(),
        };
        let form = request.encode().into_bytes();
        let outbound = Outbound::post(end_point.clone(), "application/x-www-form-urlencoded", form);
        let asked = async {
            let peer = self.peers.meet(host, Purpose::Federate).await?;
            let signed = self.peers.sign_for(&peer, outbound).await?;
            self.client.send(signed, MAX_ANSWER).await
        };
        let asked = asked.await;
        let status = asked.as_ref().map_or(0, |answer| answer.status);
        self.peers.traffic().ended(host, About::Token, &asked, status);
        let answer = asked.map_err(|error| failed(ExchangeFailure::Network, error))?;
        if answer.status != 200 {
            return Err(match TokenError::parse(&answer.body) {
                Some(TokenError::InvalidGrant) => {
                    let why = format!("{host} says that this share has ended.");
                    failed(
                        ExchangeFailure::Refused(TokenError::InvalidGrant),
                        Error::new(Reason::ShareGone, why),
                    )
                }
                Some(refused) => {
                    let why = format!("{host} gives this server no token ({}).", refused.as_str());
                    failed(ExchangeFailure::Refused(refused), Error::new(Reason::TheyRefuseUs, why))
                }
                None => failed(
                    ExchangeFailure::Status(answer.status),
                    peers::refused_by(host, answer.status, answer.complaint(), answer.retry_after),
                ),
            });
        }
        let response = TokenResponse::parse(&answer.body).map_err(|invalid| {
            let why = format!("{host} gave a token that can't be read.");
            failed(
                ExchangeFailure::Unreadable,
                Error::new(Reason::PeerBadAnswer, why).caused_by(invalid),
            )
        })?;
        let lifetime = Duration::from_secs(response.expires_in).saturating_sub(TOKEN_MARGIN);
        self.tokens
            .insert(share.id.clone(), (response.access_token.clone(), now.plus(lifetime)));
        Ok(response.access_token)
    }

    fn refused(&self, share: &ReceivedShare, path: &TreePath, status: u16, answer: &Streamed) -> Error {
        let host = &share.sender.provider;
        match status {
            // OpenCloud has no other answer to a share that was taken back, and tells nobody; nor does reva.
            500 => Error::new(
                Reason::PeerBusy,
                format!(
                    "{host} fails to open this share (500): it has ended there, or that server is broken. Ask {}.",
                    share.sender
                ),
            ),
            404 | 410 if path.is_root() => Error::new(
                Reason::ShareGone,
                format!("{host} does not know this share any more. Ask {}.", share.sender),
            ),
            401 => Error::new(Reason::ShareGone, format!("{host} does not open this share any more.")),
            403 => Error::new(Reason::ReadOnly, format!("{host} does not allow this.")),
            507 | 413 => Error::new(Reason::TooLarge, format!("{host} has no room for this.")),
            _ => peers::refused_by(host, status, None, answer.answer.retry_after),
        }
    }

    /// Stands in until the share's own address is known.
    fn nowhere(&self) -> Url {
        Url::parse("http://nowhere.invalid").expect("a constant address")
    }
}

/// Why no token was had, as the _Decision Table_ counts it and as people read it.
struct FailedExchange {
    kind: ExchangeFailure,
    error: Error,
}

fn not_the_folder_itself(share: &ReceivedShare, path: &TreePath) -> Result<()> {
    if share.is_folder() && path.is_root() {
        return Err(Error::invalid(
            "path",
            "That is the shared folder itself; name a file in it.",
        ));
    }
    Ok(())
}

/// Nothing is asked for in the name of a share that our user has not accepted, or that has ended.
fn usable(share: &ReceivedShare, now: Timestamp) -> Result<()> {
    let gone = |why: &'static str| Err(Error::new(Reason::ShareGone, why));
    match share.state {
        ReceivedState::Accepted if share.expired(now) => gone("This share has reached its end."),
        ReceivedState::Accepted => Ok(()),
        ReceivedState::Pending => Err(Error::new(Reason::NotAllowed, "Accept this share first.")),
        ReceivedState::Declined => gone("You have declined this share."),
        ReceivedState::Left => gone("You have given this share back."),
        ReceivedState::Gone => gone("The other side has stopped sharing this."),
    }
}
