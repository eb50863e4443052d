//! The HTTP servers of this process: which there are to be for some settings, and how one takes the place of another.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::App;
use actix_web::HttpServer;
use actix_web::dev::Server;
use actix_web::dev::ServerHandle;
use actix_web::middleware;
use actix_web::rt;
use futures_util::future::join;
use futures_util::future::join_all;
use tokio::task::JoinHandle;

use crate::app::current;
use crate::app::current::Current;
use crate::app::listen::Sockets;
use crate::app::numbers;
use crate::app::plain;
use crate::error::Error;
use crate::error::Result;
use crate::http;
use crate::site::Site;
use crate::web;

const KEEP_ALIVE: Duration = Duration::from_secs(60);
/// What has been accepted by a listener that is replaced is handed to its threads meanwhile.
const LAST_ARRIVALS: Duration = Duration::from_secs(1);
/// Whoever is with a listener that is replaced may take as long as the largest file takes; who stops the whole server
/// gives them less (see [`Fronts::finish`]).
pub const LONGEST_VISIT: Duration = Duration::from_secs(24 * 3_600);

/// All of them, and the sockets they listen on.
pub struct Fronts {
    threads: usize,
    sockets: Sockets,
    /// For the public one, in the place of `server.listen`.
    given: Option<Vec<SocketAddr>>,
    /// How often the certificates became others.
    certificates: u64,
    running: Vec<Front>,
    retiring: Vec<Retiring>,
}

/// One that is to be. Two that are equal need not be exchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    what: What,
    addresses: Vec<SocketAddr>,
    /// Which of its certificates it has.
    certificates: u64,
    pub client_timeout: Duration,
}

/// Further kinds of listeners get a word here, a line in [`Fronts::wanted`] and an arm in [`Fronts::build`]; all else is
/// done for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Pages and the protocol.
    Public,
    /// Plain http beside TLS.
    Plain,
    /// What Prometheus reads.
    Numbers,
}

impl What {
    /// The setting that names its addresses.
    fn setting(self) -> &'static str {
        match self {
            Self::Public => "server.listen",
            Self::Plain => "server.listen_http",
            Self::Numbers => "metrics.listen",
        }
    }
}

struct Front {
    wanted: Wanted,
    handle: ServerHandle,
    watch: JoinHandle<()>,
}

/// One that has been replaced, until all who were with it have gone.
struct Retiring {
    /// An address that is wanted again is not taken as long as one that retires listens there.
    addresses: Vec<SocketAddr>,
    is_deaf: Arc<AtomicBool>,
    ended: JoinHandle<()>,
}

/// Those that take the place of others, bound and not yet answering.
pub struct Change {
    certificates: u64,
    wanted: Vec<Wanted>,
    built: Vec<(Wanted, Server)>,
}

impl Fronts {
    pub fn new(threads: usize, given: Option<Vec<TcpListener>>) -> Result<Self> {
        let mut sockets = Sockets::default();
        let mut addresses = Vec::new();
        let is_given = given.is_some();
        for listener in given.into_iter().flatten() {
            let address = listener.local_addr()?;
            sockets.keep(address, listener);
            addresses.push(address);
        }
        Ok(Self {
            threads,
            sockets,
            given: is_given.then_some(addresses),
            certificates: 0,
            running: Vec::new(),
            retiring: Vec::new(),
        })
    }

    /// Where pages and the protocol are.
    pub fn addresses(&mut self) -> Vec<SocketAddr> {
        self.addresses_of(What::Public)
    }

    /// Where numbers are read, if anywhere.
    pub fn numbers(&mut self) -> Option<SocketAddr> {
        self.addresses_of(What::Numbers).first().copied()
    }

    fn addresses_of(&mut self, what: What) -> Vec<SocketAddr> {
        let there = self.running.iter().find(|front| front.wanted.what == what);
        let asked = there.map_or_else(Vec::new, |front| front.wanted.addresses.clone());
        let bound = |address| {
            let socket = self.sockets.of(what.setting(), address).ok()?;
            socket.local_addr().ok()
        };
        asked.into_iter().filter_map(bound).collect()
    }

    fn wanted(&self, site: &Site, certificates: u64) -> Vec<Wanted> {
        let server = &site.config.server;
        let public = Wanted {
            what: What::Public,
            addresses: self.given.clone().unwrap_or_else(|| server.listen.0.clone()),
            certificates,
            client_timeout: site.config.limits.client_timeout.0,
        };
        let mut wanted = vec![public.clone()];
        if !server.listen_http.0.is_empty() && site.config.tls_mode().is_here() {
            wanted.push(Wanted {
                what: What::Plain,
                addresses: server.listen_http.0.clone(),
                certificates: 0,
                ..public
            });
        }
        if let Some(address) = site.config.metrics.listen.0 {
            wanted.push(Wanted {
                what: What::Numbers,
                addresses: vec![address],
                certificates: 0,
                client_timeout: numbers::CLIENT_TIMEOUT,
            });
        }
        wanted
    }

    fn build(&self, site: &Site, current: &Current, wanted: &Wanted, sockets: Vec<TcpListener>) -> Result<Server> {
        match wanted.what {
            What::Public => public(site, current, wanted, sockets, self.threads),
            What::Plain => plain::server(current, wanted, sockets),
            What::Numbers => numbers::server(current, sockets),
        }
    }

    /// Binds what these settings want beyond what is there. Those that are there go on as if nothing was.
    ///
    /// # Errors
    ///
    /// As [`Sockets::of`].
    pub fn prepare(&mut self, site: &Site, current: &Current, new_certificates: bool) -> Result<Change> {
        let certificates = self.certificates + u64::from(new_certificates);
        let wanted = self.wanted(site, certificates);
        let built = self.build_missing(site, current, &wanted);
        if built.is_err() {
            self.let_go();
        }
        Ok(Change {
            certificates,
            built: built?,
            wanted,
        })
    }

    fn build_missing(&mut self, site: &Site, current: &Current, wanted: &[Wanted]) -> Result<Vec<(Wanted, Server)>> {
        let mut built = Vec::new();
        for wanted in wanted {
            if self.running.iter().any(|front| front.wanted == *wanted) {
                continue;
            }
            let bind = |address: &SocketAddr| self.sockets.of(wanted.what.setting(), *address);
            let sockets = match wanted.addresses.iter().map(bind).collect::<Result<_>>() {
                // Nobody chose the address: numbers are not worth a server that does not start.
                Err(error) if wanted.what == What::Numbers && !site.config.origin("metrics.listen").is_set() => {
                    tracing::warn!("No numbers can be read on this server: {error}");
                    continue;
                }
                Err(error) => return Err(from_where(site, wanted.what.setting(), error)),
                Ok(sockets) => sockets,
            };
            built.push((wanted.clone(), self.build(site, current, wanted, sockets)?));
        }
        Ok(built)
    }

    /// Lets those answer, and those in whose place they are end when nobody is with them any more.
    pub fn begin(&mut self, change: Change) {
        self.certificates = change.certificates;
        let stays = |front: &Front| change.wanted.contains(&front.wanted);
        let (mut running, gone): (Vec<_>, Vec<_>) = self.running.drain(..).partition(stays);
        for (wanted, server) in change.built {
            running.push(Front {
                wanted,
                handle: server.handle(),
                watch: rt::spawn(watch(server)),
            });
        }
        self.running = running;
        self.retiring.extend(gone.into_iter().map(Front::retire));
        self.let_go();
    }

    /// Closes the sockets that nobody listens on any more; called now and then, for those that retire take their time.
    pub fn let_go(&mut self) {
        self.retiring.retain(|front| !front.ended.is_finished());
        let wanted = self.running.iter().flat_map(|front| &front.wanted.addresses);
        let listening = self
            .retiring
            .iter()
            .filter(|front| !front.is_deaf.load(Ordering::SeqCst));
        let retiring = listening.flat_map(|front| &front.addresses);
        let mut wanted: Vec<_> = wanted.chain(retiring).copied().collect();
        wanted.extend(self.given.iter().flatten());
        self.sockets.keep_only(&wanted);
    }

    /// No new requests; returns when those under way have ended, also with listeners that were replaced, or the grace has.
    pub async fn finish(&mut self, grace: Duration) {
        self.sockets.keep_only(&[]);
        let running = join_all(self.running.iter().map(|front| front.handle.stop(true)));
        let retiring = join_all(self.retiring.iter_mut().map(|front| &mut front.ended));
        // One that was replaced a moment ago is still about to end.
        let grace = grace.max(3 * LAST_ARRIVALS);
        if tokio::time::timeout(grace, join(running, retiring)).await.is_err() {
            tracing::warn!("Requests were cut off that took longer than server.shutdown_grace");
        }
    }
}

impl Front {
    /// Takes nobody new; who is with it is served to the end.
    fn retire(self) -> Retiring {
        let is_deaf = Arc::new(AtomicBool::new(false));
        let addresses = self.wanted.addresses.clone();
        let deaf = Arc::clone(&is_deaf);
        let ended = rt::spawn(async move {
            self.handle.pause().await;
            tokio::time::sleep(LAST_ARRIVALS).await;
            let ended = self.handle.stop(true);
            let closed = async {
                tokio::time::sleep(LAST_ARRIVALS).await;
                deaf.store(true, Ordering::SeqCst);
            };
            join(ended, closed).await;
            self.watch.abort();
        });
        Retiring {
            addresses,
            is_deaf,
            ended,
        }
    }
}

fn public(
    site: &Site,
    current: &Current,
    wanted: &Wanted,
    sockets: Vec<TcpListener>,
    threads: usize,
) -> Result<Server> {
    let tls = site.certificates.server_config();
    let current = current.clone();
    let mut edge = HttpServer::new(move || {
        App::new()
            .app_data(current.clone())
            .wrap(middleware::from_fn(http::guard))
            .wrap(middleware::from_fn(current::present))
            .configure(http::configure)
            .configure(web::configure)
            .default_service(actix_web::web::to(web::not_found))
    })
    .workers(threads)
    .client_request_timeout(wanted.client_timeout)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(LONGEST_VISIT.as_secs())
    .disable_signals();
    for listener in sockets {
        edge = match &tls {
            Some(tls) => edge.listen_rustls_0_23(listener, tls.clone())?,
            None => edge.listen(listener)?,
        };
    }
    Ok(edge.run())
}

/// With the line or option that named the address.
fn from_where(site: &Site, setting: &str, error: Error) -> Error {
    match site.config.origin(setting) {
        origin if origin.is_set() => error.and(&format!("({origin})")),
        _ => error,
    }
}

/// Says so where a server ends that should not.
pub async fn watch(server: Server) {
    if let Err(cause) = server.await {
        tracing::error!(%cause, "A listener stopped");
    }
}
