//! Puts the server together: listeners, workers, other settings while it runs, and an end without loss.

mod current;
mod fronts;
mod keep;
mod listen;
mod manager;
mod numbers;
mod plain;
mod reload;
mod workers;

use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use actix_web::App;
use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use actix_web::middleware;
use actix_web::rt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use self::current::Candidate;
use self::current::Current;
use self::fronts::Fronts;
use crate::api;
use crate::client;
use crate::config::Config;
use crate::error::Result;
use crate::site::Site;
use crate::site::World;
use crate::site::life::Life;
use crate::site::life::Wish;
use crate::timekeeper;
use crate::tls::Certificates;

pub use self::keep::Ended;
pub use self::keep::Signals;

/// A server that answers.
pub struct Running {
    /// As it is now; other settings make it another.
    pub site: Site,
    pub addresses: Vec<SocketAddr>,
    /// Where numbers are read, if anywhere.
    pub numbers: Option<SocketAddr>,
    world: World,
    current: Current,
    fronts: Fronts,
    /// For commands; it never changes.
    admin: ServerHandle,
    socket: PathBuf,
    own_work: bool,
    workers: Vec<JoinHandle<()>>,
    /// Who looks after the certificates, and after which.
    certificates: Option<(Certificates, JoinHandle<()>)>,
    /// Whether the store was closed and is still to be opened again.
    recovering: Arc<AtomicBool>,
    /// Whether the disk was full when it was last looked at.
    was_full: bool,
    wishes: mpsc::Receiver<Wish>,
}

/// What a start needs besides the configuration.
pub struct Options {
    pub world: World,
    /// Already bound; else `server.listen` is.
    pub listeners: Option<Vec<TcpListener>>,
    /// Threads that answer requests.
    pub threads: usize,
    /// Whether the outbox and the housekeeping run by themselves; tests drive them instead.
    pub workers: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            world: World::default(),
            listeners: None,
            threads: std::thread::available_parallelism().map_or(2, |threads| threads.get().clamp(2, 8)),
            workers: true,
        }
    }
}

/// Starts a server. When this returns, it answers.
///
/// # Errors
///
/// For the operator: as [`Site::open`]; the address, socket or certificate that is wrong, or an address that is taken;
/// [`ClockWrong`](crate::error::Reason::ClockWrong).
pub async fn start(config: Config, options: Options) -> Result<Running> {
    client::install_crypto();
    // Signatures, tokens and certificates hang on the time: with a wrong one, each would fail in a way of its own (T-83).
    timekeeper::refuse_impossible(options.world.clock.now())?;
    let mut fronts = Fronts::new(options.threads, options.listeners)?;
    let mut site = Box::pin(Site::open(config, options.world.clone())).await?;
    let (life, wishes) = Life::begin(site.clock.now());
    site.life = life;
    site.homes.sweep().await?;
    let current = Current::new(Candidate::new(&site)?);
    let change = fronts.prepare(&site, &current, true)?;
    let socket = site.config.server.admin_socket.clone();
    let admin = admin(&site, &current, &socket)?;
    fronts.begin(change);
    let mut running = Running {
        addresses: fronts.addresses(),
        numbers: fronts.numbers(),
        site,
        world: options.world,
        current,
        fronts,
        admin,
        socket,
        own_work: options.workers,
        workers: Vec::new(),
        certificates: None,
        recovering: Arc::default(),
        was_full: false,
        wishes,
    };
    running.work();
    Ok(running)
}

/// The way for commands: the user that runs the server, and root, may open its socket.
fn admin(site: &Site, current: &Current, socket: &PathBuf) -> Result<ServerHandle> {
    listen::make_room(socket)?;
    let current = current.clone();
    let listener = UnixListener::bind(socket).map_err(|cause| listen::wrong_socket(socket, &cause.to_string()))?;
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o600))?;
    let server = HttpServer::new(move || {
        App::new()
            .app_data(current.clone())
            .wrap(middleware::from_fn(current::present))
            .configure(api::socket::configure)
    })
    .on_connect(api::socket::know_caller)
    .workers(1)
    .shutdown_timeout(site.config.server.shutdown_grace.0.as_secs())
    .disable_signals()
    // Not `bind_uds`: that one never tells who connects.
    .listen_uds(listener)?
    .run();
    let handle = server.handle();
    rt::spawn(fronts::watch(server));
    Ok(handle)
}

impl Running {
    /// Begins what the server does by itself, in the place of what it did until now.
    fn work(&mut self) {
        self.rest();
        if self.own_work {
            self.workers = workers::start(&self.site);
            let certificates = self.site.certificates.clone();
            if self.certificates.as_ref().is_none_or(|(of, _)| !of.is(&certificates)) {
                self.rest_certificates();
                self.certificates = Some((certificates, workers::look_after_certificates(&self.site)));
            }
        }
    }

    fn rest_certificates(&mut self) {
        if let Some((_, worker)) = self.certificates.take() {
            worker.abort();
        }
    }

    fn rest(&mut self) {
        for worker in self.workers.drain(..) {
            worker.abort();
        }
    }

    /// Stops: no new requests, those under way are finished, everything is on disk.
    pub async fn stop(mut self) {
        self.finish().await;
        self.close();
    }

    /// No new requests; returns when those under way have ended, or `server.shutdown_grace` is over.
    async fn finish(&mut self) {
        tokio::join!(
            self.fronts.finish(self.site.config.server.shutdown_grace.0),
            self.admin.stop(true)
        );
    }

    /// Brings everything to disk. Whoever still asks for something is told that the server stops.
    fn close(&mut self) {
        self.rest();
        self.rest_certificates();
        let _ = std::fs::remove_file(&self.socket);
        if let Err(error) = self.site.store.close() {
            tracing::error!(causes = error.causes(), "The store could not be closed well: {error}");
        }
    }

    /// From this call on, a signal to stop (interrupt or terminate) ends what is given here, and no longer the process.
    /// So it is called before the start: a server that is stopped while it starts stops well, too.
    ///
    /// # Errors
    ///
    /// If the system gives no signals to wait for.
    pub fn until_signal() -> Result<impl Future<Output = ()>> {
        let mut signals = Signals::listen()?;
        Ok(async move { signals.to_stop().await })
    }
}
