//! Puts the server together: listeners, workers, and an end without loss.

mod listen;
mod numbers;
mod workers;

use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
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
use crate::error::Result;
use crate::http;
use crate::site::Site;
use crate::site::World;
use crate::web;

const KEEP_ALIVE: Duration = Duration::from_secs(60);

/// A server that answers.
pub struct Running {
    pub site: Site,
    pub addresses: Vec<SocketAddr>,
    /// Where numbers are read, if anywhere.
    pub numbers: Option<SocketAddr>,
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
        None => config.server.listen.0.iter().map(listen::bind).collect::<Result<_>>()?,
    };
    let numbers = numbers::bind(&config)?;
    let grace = config.server.shutdown_grace.0.as_secs();
    let site = Box::pin(Site::open(config, options.world)).await?;
    let tls = site.certificates.server_config();
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
    .shutdown_timeout(grace)
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
    listen::make_room(&socket)?;
    let admin = HttpServer::new(move || App::new().app_data(data.clone()).configure(api::socket::configure))
        .on_connect(api::socket::know_caller)
        .workers(1)
        .shutdown_timeout(grace)
        .disable_signals()
        // Not `bind_uds`: that one never tells who connects.
        .listen_uds(UnixListener::bind(&socket).map_err(|cause| listen::wrong_socket(&socket, &cause.to_string()))?)?
        .run();
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o600))?;

    let mut servers = vec![edge.handle(), admin.handle()];
    let mut workers = vec![rt::spawn(watch(edge)), rt::spawn(watch(admin))];
    let numbers = match numbers {
        Some(bound) => {
            let (listener, address) = numbers::serve(bound, &site)?;
            servers.push(listener.handle());
            workers.push(rt::spawn(watch(listener)));
            Some(address)
        }
        None => None,
    };
    if options.workers {
        workers.extend(workers::start(&site));
    }
    Ok(Running {
        site,
        addresses,
        numbers,
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

async fn watch(server: actix_web::dev::Server) {
    if let Err(cause) = server.await {
        tracing::error!(%cause, "A listener stopped");
    }
}
