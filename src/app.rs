//! Puts the server together: listeners, workers, and an end without loss.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use actix_web::App;
use actix_web::HttpServer;
use actix_web::dev::ServerHandle;
use actix_web::middleware;
use actix_web::rt;
use actix_web::web::Data;
use tokio::task::JoinHandle;

use crate::api;
use crate::client;
use crate::config::Config;
use crate::config::TlsMode;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::http;
use crate::site::Site;
use crate::site::World;
use crate::tls;
use crate::web;

/// How long requests under way may take when the server stops.
const GRACE_SECONDS: u64 = 20;
const KEEP_ALIVE: Duration = Duration::from_secs(60);
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(60);

/// A server that answers.
pub struct Running {
    pub site: Site,
    pub addresses: Vec<SocketAddr>,
    servers: Vec<ServerHandle>,
    workers: Vec<JoinHandle<()>>,
    socket: PathBuf,
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
/// For the operator: as [`Site::open`]; [`Reason::ConfigInvalid`] naming the address, socket or certificate that is wrong.
pub async fn start(config: Config, options: Options) -> Result<Running> {
    client::install_crypto();
    let listeners = match options.listeners {
        Some(listeners) => listeners,
        None => config.server.listen.0.iter().map(bind).collect::<Result<_>>()?,
    };
    let tls = match config.tls_mode() {
        TlsMode::Files => Some(tls::from_files(&config)?),
        TlsMode::Auto | TlsMode::Off | TlsMode::Proxy => None,
    };
    let site = Box::pin(Site::open(config, options.world)).await?;
    site.homes.sweep().await?;
    let addresses = listeners
        .iter()
        .filter_map(|listener| listener.local_addr().ok())
        .collect();

    let client_timeout = site.config.limits.client_timeout.0;
    let published = Data::new(http::discovery::Published::of(&site)?);
    let data = Data::new(site.clone());
    let mut edge = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(published.clone())
            .wrap(middleware::from_fn(http::guard))
            .configure(http::configure)
            .configure(web::configure)
            .default_service(actix_web::web::to(web::not_found))
    })
    .workers(options.threads)
    .client_request_timeout(client_timeout)
    .keep_alive(KEEP_ALIVE)
    .shutdown_timeout(GRACE_SECONDS)
    .disable_signals();
    for listener in listeners {
        edge = match &tls {
            Some(tls) => edge.listen_rustls_0_23(listener, tls.clone())?,
            None => edge.listen(listener)?,
        };
    }
    let edge = edge.run();

    let socket = site.config.server.admin_socket.clone();
    let data = Data::new(site.clone());
    make_room(&socket)?;
    let admin = HttpServer::new(move || App::new().app_data(data.clone()).configure(api::socket::configure))
        .workers(1)
        .shutdown_timeout(GRACE_SECONDS)
        .disable_signals()
        .bind_uds(&socket)
        .map_err(|cause| wrong_socket(&socket, &cause.to_string()))?
        .run();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;

    let servers = vec![edge.handle(), admin.handle()];
    let mut workers = vec![rt::spawn(watch(edge)), rt::spawn(watch(admin))];
    if options.workers {
        let courier = site.courier.clone();
        workers.push(rt::spawn(async move { courier.work().await }));
        workers.push(rt::spawn(keep_house(site.clone())));
        workers.push(rt::spawn(follow_directories(site.clone())));
        workers.push(rt::spawn(shake_hands(site.clone())));
    }
    Ok(Running {
        site,
        addresses,
        servers,
        workers,
        socket,
    })
}

impl Running {
    /// Stops: no new requests, those under way are finished, everything is on disk.
    pub async fn stop(self) {
        for server in &self.servers {
            server.stop(true).await;
        }
        for worker in self.workers {
            worker.abort();
        }
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
        use tokio::signal::unix::SignalKind;
        use tokio::signal::unix::signal;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        Ok(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        })
    }
}

fn bind(address: &SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|cause| {
        let hint = match cause.kind() {
            std::io::ErrorKind::AddrInUse => "; another program listens there",
            std::io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
            _ => "",
        };
        Error::new(
            Reason::ConfigInvalid,
            format!("server.listen: {address}: {cause}{hint}"),
        )
    })
}

/// A socket left by a server that was killed is in the way of the next one; a socket somebody answers on is not ours.
fn make_room(socket: &Path) -> Result<()> {
    if UnixStream::connect(socket).is_ok() {
        return Err(wrong_socket(socket, "another server answers there"));
    }
    // Whatever else may stand there is somebody's, and this was a slip of the pen.
    let is_other = std::fs::symlink_metadata(socket).is_ok_and(|there| !there.file_type().is_socket());
    if is_other {
        return Err(wrong_socket(
            socket,
            "there is a file that is no socket; it is left alone",
        ));
    }
    match std::fs::remove_file(socket) {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(wrong_socket(socket, &cause.to_string())),
    }
}

fn wrong_socket(socket: &Path, why: &str) -> Error {
    Error::new(
        Reason::ConfigInvalid,
        format!("server.admin_socket: {}: {why}", socket.display()),
    )
}

async fn watch(server: actix_web::dev::Server) {
    if let Err(cause) = server.await {
        tracing::error!(%cause, "A listener stopped");
    }
}

async fn keep_house(site: Site) {
    loop {
        // Before the first wait, too: keys whose time ended while no server ran are not to be published again.
        if let Err(error) = site.keys.advance(site.clock.now()).await {
            tracing::warn!(
                causes = error.causes(),
                "The signing keys are not what they should be by now: {error}"
            );
        }
        tokio::time::sleep(HOUSEKEEPING_EVERY).await;
        site.homes.arrivals().forget_abandoned(site.clock.now());
        let done = async {
            site.peers.forget_old_signatures().await?;
            site.peers.forget_old_imports().await?;
            site.users.forget_old_sessions(site.clock.now()).await
        };
        if let Err(error) = done.await {
            tracing::warn!(causes = error.causes(), "What is over could not be forgotten: {error}");
        }
    }
}

/// Apart from the housekeeping, for a directory may take its time.
async fn follow_directories(site: Site) {
    loop {
        if let Err(error) = site.directories.refresh_due(site.clock.now()).await {
            tracing::warn!(
                causes = error.causes(),
                "The directories could not be refreshed: {error}"
            );
        }
        tokio::time::sleep(HOUSEKEEPING_EVERY).await;
    }
}

/// Apart from the housekeeping, for a peer may take its time, too.
async fn shake_hands(site: Site) {
    loop {
        if let Err(error) = site.handshakes.advance(site.clock.now()).await {
            tracing::warn!(causes = error.causes(), "The handshakes could not go on: {error}");
        }
        tokio::time::sleep(HOUSEKEEPING_EVERY).await;
    }
}
