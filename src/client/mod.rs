//! Everything asked of other servers: one client with limits in time and size, an address guard and signing.
//!
//! Its duties, for every call: the name is resolved here and each address is checked before it is connected to, so that
//! no later lookup can bring another one (T-01, T-04); a literal address passes only inside a network the operator
//! listed (T-06); nothing is redirected except a public document within its own authority (T-03); connecting, waiting
//! and the size of the answer are bounded (T-08); certificates are always verified (T-09). It is the only place that
//! names reqwest.

pub mod admin;
pub mod guard;

use std::error::Error as StdError;
use std::fmt;
use std::io;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use std::time::SystemTime;

use aws_lc_rs::digest;
use bytes::Bytes;
use futures_util::Stream;
use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use moka::sync::Cache;
use reqwest::Method;
use reqwest::dns::Addrs;
use reqwest::dns::Name;
use reqwest::dns::Resolve;
use reqwest::dns::Resolving;
use reqwest::redirect::Policy;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use url::Host;
use url::Url;

use crate::client::guard::Guard;
use crate::client::guard::Scheme;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::metrics::Fill;
use crate::ocm::address::Provider;
use crate::ocm::dialect::cavage;
use crate::ocm::dialect::cavage::RsaSigningKey;
use crate::ocm::signature;
use crate::ocm::signature::SigningKey;

/// The largest JSON answer that is read.
pub const MAX_ANSWER: usize = 64 << 10;
/// The largest WebDAV listing that is read.
pub const MAX_LISTING: usize = 8 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const MAX_RETRY_AFTER: Duration = Duration::from_secs(3600);
const MAX_REDIRECTS: usize = 2;
/// How many peers keep a connection pool of their own; the least used one makes room for a new one.
const POOLS: u64 = 256;

/// How a name becomes addresses. Tests put their own in.
pub type Lookup = Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> + Send + Sync>;

/// The machine's own resolver.
pub fn system_lookup() -> Lookup {
    Arc::new(|name| {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(found.map(|address| address.ip()).collect())
        })
    })
}

/// Names the one crypto library to rustls, for whoever makes a connection without saying which.
pub fn install_crypto() {
    // Fails only where it was done before.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// A body on its way.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes>> + Send>>;

/// A request to another server. It carries exactly the headers it is given, plus `User-Agent`.
#[derive(Debug)]
pub struct Outbound {
    pub method: &'static str,
    pub url: Url,
    pub headers: Vec<(&'static str, String)>,
    pub body: Body,
    /// How long an answer may take, where that is longer than usual.
    pub patience: Option<Duration>,
}

/// What a request carries.
pub enum Body {
    Empty,
    Bytes(Vec<u8>),
    /// A stream, with its length where it is known.
    Stream(ByteStream, Option<u64>),
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("Empty"),
            Self::Bytes(bytes) => write!(f, "Bytes({})", bytes.len()),
            Self::Stream(_, length) => write!(f, "Stream({length:?})"),
        }
    }
}

impl Outbound {
    pub fn get(url: Url) -> Self {
        Self::new("GET", url)
    }

    pub fn new(method: &'static str, url: Url) -> Self {
        Self {
            method,
            url,
            headers: Vec::new(),
            body: Body::Empty,
            patience: None,
        }
    }

    /// A POST of `body`, as the draft's endpoints take it.
    pub fn post(url: Url, content_type: &'static str, body: Vec<u8>) -> Self {
        Self {
            method: "POST",
            url,
            headers: vec![("content-type", content_type.to_owned())],
            body: Body::Bytes(body),
            patience: None,
        }
    }

    /// Gives the peer this long to answer, if that is longer than usual.
    pub fn patient(mut self, patience: Duration) -> Self {
        self.patience = Some(patience);
        self
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn with_body(mut self, body: &str) -> Self {
        self.body = Body::Bytes(body.as_bytes().to_vec());
        self
    }

    /// Tells this request from any other: the same for what would be signed alike.
    pub fn fingerprint(&self) -> [u8; 32] {
        let mut hash = digest::Context::new(&digest::SHA256);
        for part in [
            self.method.as_bytes(),
            b" ",
            self.url.as_str().as_bytes(),
            b"\n",
            self.bytes(),
        ] {
            hash.update(part);
        }
        hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    fn bytes(&self) -> &[u8] {
        match &self.body {
            Body::Bytes(bytes) => bytes,
            Body::Empty | Body::Stream(..) => &[],
        }
    }

    /// Adds the one OCM signature that both profiles take (SIG-1).
    pub fn signed(mut self, key: &SigningKey, now: Timestamp) -> Self {
        let headers = signature::sign(key, self.method, self.url.as_str(), self.bytes(), now, true);
        self.headers.extend(headers);
        self
    }

    /// Adds a signature of the form that servers read before.
    pub fn signed_as_before(mut self, key: &RsaSigningKey, now: Timestamp) -> Self {
        let headers = cavage::sign(key, self.method, self.url.as_str(), self.bytes(), now);
        self.headers.extend(headers);
        self
    }
}

/// A whole answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub body: Vec<u8>,
    /// When the peer wants to be asked again; at most an hour.
    pub retry_after: Option<Duration>,
    headers: reqwest::header::HeaderMap,
}

impl Answer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What the peer's error body says of itself, cut and free of control characters.
    pub fn complaint(&self) -> Option<String> {
        let body: serde_json::Value = serde_json::from_slice(&self.body).ok()?;
        let text = ["message", "error"].iter().find_map(|key| body.get(key)?.as_str())?;
        Some(text.chars().filter(|c| !c.is_control()).take(120).collect())
    }
}

/// An answer whose body is still arriving.
pub struct Streamed {
    pub answer: Answer,
    pub body: ByteStream,
}

/// The one way out.
#[derive(Clone)]
pub struct Client {
    guard: Arc<Guard>,
    lookup: Lookup,
    tls: Arc<rustls::ClientConfig>,
    timeout: Duration,
    /// One reqwest client for each place called: its resolver knows scheme and port, and a slow peer holds up no other.
    pools: Cache<(Scheme, String, u16, Duration), reqwest::Client>,
}

impl Client {
    /// # Errors
    ///
    /// [`Reason::ConfigInvalid`] if `tls.extra_ca_file` can't be read.
    pub fn new(config: &Config, lookup: Lookup) -> Result<Self> {
        Ok(Self {
            guard: Arc::new(Guard::new(&config.federation.private_network)),
            lookup,
            tls: Arc::new(tls_config(config)?),
            timeout: config.limits.peer_timeout.0,
            pools: Cache::new(POOLS),
        })
    }

    /// How many places have a connection pool.
    pub fn fill(&self) -> Fill {
        Fill::of_cache("connections", self.pools.entry_count(), POOLS)
    }

    /// The addresses of a name, as they are found for a call; whether they may be called is not asked.
    ///
    /// # Errors
    ///
    /// As the resolver has it.
    pub async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        (self.lookup)(name.to_owned()).await
    }

    pub fn guard(&self) -> &Guard {
        &self.guard
    }

    /// Sends a request and reads the whole answer, at most `limit` bytes. Redirects are answers like any other.
    ///
    /// # Errors
    ///
    /// A reason of [`Kind::Peer`](crate::error::Kind::Peer) that says why no answer could be had.
    pub async fn send(&self, request: Outbound, limit: usize) -> Result<Answer> {
        let host = host_of(&request.url);
        let patience = self.patience(&request);
        let whole = async {
            let Streamed { mut answer, body } = self.open(request).await?;
            answer.body = self.collect(body, limit, &host).await?;
            Ok(answer)
        };
        tokio::time::timeout(patience, whole)
            .await
            .map_err(|_| too_late(&host, patience))?
    }

    fn patience(&self, request: &Outbound) -> Duration {
        request
            .patience
            .map_or(self.timeout, |patience| patience.max(self.timeout))
    }

    /// Reads what is left of an answer, at most `limit` bytes, in no more time than a whole answer may take (T-08).
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub async fn collect(&self, mut body: ByteStream, limit: usize, host: &str) -> Result<Vec<u8>> {
        let rest = async {
            let mut whole = Vec::new();
            while let Some(chunk) = body.next().await {
                let chunk = chunk?;
                if whole.len() + chunk.len() > limit {
                    return Err(Error::new(
                        Reason::PeerBadAnswer,
                        format!("{host} sent an answer of more than {limit} bytes."),
                    ));
                }
                whole.extend_from_slice(&chunk);
            }
            Ok(whole)
        };
        tokio::time::timeout(self.timeout, rest)
            .await
            .map_err(|_| too_late(host, self.timeout))?
    }

    /// Sends a request and hands over the body as it arrives; each part of it may take as long as a whole answer.
    ///
    /// # Errors
    ///
    /// As [`Client::send`].
    pub async fn open(&self, request: Outbound) -> Result<Streamed> {
        let host = host_of(&request.url);
        let method = Method::from_bytes(request.method.as_bytes()).map_err(Error::internal)?;
        let pool = self.pool(&request.url, self.patience(&request))?;
        let mut outgoing = pool.request(method, request.url);
        for (name, value) in &request.headers {
            outgoing = outgoing.header(*name, value);
        }
        outgoing = match request.body {
            Body::Empty => outgoing,
            Body::Bytes(bytes) => outgoing.body(bytes),
            Body::Stream(stream, length) => {
                let outgoing = outgoing.body(reqwest::Body::wrap_stream(stream));
                match length {
                    Some(length) => outgoing.header("content-length", length.to_string()),
                    None => outgoing,
                }
            }
        };
        let response = outgoing.send().await.map_err(|cause| explain(cause, &host))?;
        let answer = Answer {
            status: response.status().as_u16(),
            body: Vec::new(),
            retry_after: retry_after(response.headers()),
            headers: response.headers().clone(),
        };
        let body = response
            .bytes_stream()
            .map(move |chunk| chunk.map_err(|cause| explain(cause, &host)));
        Ok(Streamed {
            answer,
            body: Box::pin(body),
        })
    }

    /// GETs a public document, following at most two redirects that keep scheme and authority (standards, RFC 8615:
    /// deployed servers answer `/.well-known/` with one).
    ///
    /// # Errors
    ///
    /// As [`Client::send`]; [`Reason::PeerBadAnswer`] for a redirect that leaves the authority (T-03).
    pub async fn document(&self, url: &Url) -> Result<Answer> {
        self.document_of(url, "application/json", MAX_ANSWER).await
    }

    /// As [`Client::document`], for other types of document, of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// As [`Client::document`].
    pub async fn document_of(&self, url: &Url, accept: &str, limit: usize) -> Result<Answer> {
        let mut url = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let request = Outbound::get(url.clone()).header("accept", accept);
            let answer = self.send(request, limit).await?;
            if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
                return Ok(answer);
            }
            let next = answer.header("location").and_then(|target| url.join(target).ok());
            url = match next {
                Some(next) if next.origin() == url.origin() && next.username().is_empty() => next,
                _ => {
                    return Err(Error::new(
                        Reason::PeerBadAnswer,
                        format!("{} redirects to another server; that is not followed.", host_of(&url)),
                    ));
                }
            };
        }
        Err(Error::new(
            Reason::PeerBadAnswer,
            format!("{} redirects in circles.", host_of(&url)),
        ))
    }

    fn pool(&self, url: &Url, patience: Duration) -> Result<reqwest::Client> {
        let scheme = match url.scheme() {
            "https" => Scheme::Https,
            "http" => Scheme::Http,
            other => {
                return Err(Error::invalid(
                    "url",
                    format!("{other} is not a scheme that is called."),
                ));
            }
        };
        let (Some(host), Some(port)) = (url.host(), url.port_or_known_default()) else {
            return Err(Error::invalid("url", "There is no host in this address."));
        };
        let literal = match host {
            Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
            Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
            Host::Domain(_) => None,
        };
        // reqwest asks no resolver for a literal, so it is checked here.
        if literal.is_some_and(|ip| !self.guard.permits_literal(scheme, ip, port)) {
            return Err(private(&host_of(url)));
        }
        let key = (scheme, host.to_string(), port, patience);
        if let Some(known) = self.pools.get(&key) {
            return Ok(known);
        }
        let resolver = GuardedResolver {
            guard: Arc::clone(&self.guard),
            lookup: Arc::clone(&self.lookup),
            scheme,
            port,
        };
        let fresh = reqwest::Client::builder()
            .tls_backend_preconfigured((*self.tls).clone())
            .dns_resolver(Arc::new(resolver))
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(patience)
            .pool_idle_timeout(Duration::from_secs(30))
            .user_agent(concat!("ocmesh/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(Error::internal)?;
        self.pools.insert(key, fresh.clone());
        Ok(fresh)
    }
}

fn too_late(host: &str, patience: Duration) -> Error {
    let seconds = patience.as_secs();
    Error::new(Reason::NoAnswer, format!("{host} did not answer within {seconds} s."))
}

/// Resolves a name and lets only permitted addresses through; the connection is made to one of them and no other.
struct GuardedResolver {
    guard: Arc<Guard>,
    lookup: Lookup,
    scheme: Scheme,
    port: u16,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (guard, scheme, port) = (Arc::clone(&self.guard), self.scheme, self.port);
        let found = (self.lookup)(name.as_str().to_owned());
        Box::pin(async move {
            let found = found.await.map_err(|cause| Box::new(Unresolved(Some(cause))))?;
            if found.is_empty() {
                return Err(Box::new(Unresolved(None)) as Box<dyn StdError + Send + Sync>);
            }
            let permitted: Vec<_> = found
                .into_iter()
                .filter(|ip| guard.permits(scheme, *ip, port))
                .map(|ip| SocketAddr::new(ip, port))
                .collect();
            if permitted.is_empty() {
                return Err(Box::new(Forbidden) as Box<dyn StdError + Send + Sync>);
            }
            Ok(Box::new(permitted.into_iter()) as Addrs)
        })
    }
}

/// The name has no address.
#[derive(Debug)]
struct Unresolved(Option<io::Error>);

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name has no address")
    }
}

impl StdError for Unresolved {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.as_ref().map(|cause| cause as &(dyn StdError + 'static))
    }
}

/// Every address of the name is one that is not called.
#[derive(Debug)]
struct Forbidden;

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no address of it may be called")
    }
}

impl StdError for Forbidden {}

/// Whom this server believes, when peers and authorities are called.
///
/// # Errors
///
/// [`Reason::ConfigInvalid`] if `tls.extra_ca_file` can't be read.
pub fn tls_config(config: &Config) -> Result<rustls::ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
    if let Some(file) = &config.tls.extra_ca_file {
        let wrong = |why: String| {
            Error::new(
                Reason::ConfigInvalid,
                format!("tls.extra_ca_file: {}: {why}", file.display()),
            )
        };
        let certificates = CertificateDer::pem_file_iter(file).map_err(|cause| wrong(cause.to_string()))?;
        let mut any = false;
        for certificate in certificates {
            let certificate = certificate.map_err(|cause| wrong(cause.to_string()))?;
            roots.add(certificate).map_err(|cause| wrong(cause.to_string()))?;
            any = true;
        }
        if !any {
            return Err(wrong("there is no certificate in it".to_owned()));
        }
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn host_of(url: &Url) -> String {
    Provider::from_url(url).map_or_else(|_| "the other server".to_owned(), |provider| provider.to_string())
}

fn private(host: &str) -> Error {
    Error::new(
        Reason::PrivateAddress,
        format!("{host} points into a private network, which this server does not call."),
    )
}

/// Says in one reason and one sentence why a call failed; the details stay in the log.
fn explain(cause: reqwest::Error, host: &str) -> Error {
    let mut next: Option<&(dyn StdError + 'static)> = Some(&cause);
    let mut tls = None;
    while let Some(this) = next {
        if this.is::<Forbidden>() {
            return private(host);
        }
        if this.is::<Unresolved>() {
            return Error::new(
                Reason::NameNotFound,
                format!("There is no server named {host}. Check the spelling."),
            )
            // A query may hold a secret (T-44).
            .caused_by(cause.without_url());
        }
        tls = tls.or_else(|| tls_error(this).map(ToString::to_string));
        next = this.source();
    }
    if let Some(why) = tls {
        return Error::new(
            Reason::TlsFailed,
            format!("The certificate or encryption of {host} was not accepted ({why}). Nothing was sent."),
        );
    }
    // Without its URL, which may say more than a stranger should read.
    let cause = cause.without_url();
    let text = if cause.is_connect() {
        format!("{host} cannot be reached. It may be down, or a firewall is in between.")
    } else if cause.is_timeout() {
        format!("{host} does not answer.")
    } else {
        format!("{host} broke off the connection.")
    };
    Error::new(Reason::NoAnswer, text).caused_by(cause)
}

/// The TLS error in a cause. It comes wrapped in `std::io` errors, one in the other, whose `source` leaves them out.
fn tls_error<'a>(mut cause: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    loop {
        if let Some(found) = cause.downcast_ref::<rustls::Error>() {
            return Some(found);
        }
        cause = cause.downcast_ref::<io::Error>()?.get_ref()?;
    }
}

/// `Retry-After` as seconds or as a date, at most an hour (standards, D21).
fn retry_after(headers: &reqwest::header::HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    let wait = match text.parse() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) if text.len() < 64 => httpdate::parse_http_date(text)
            .ok()?
            .duration_since(SystemTime::now())
            .unwrap_or_default(),
        Err(_) => return None,
    };
    Some(wait.min(MAX_RETRY_AFTER))
}
