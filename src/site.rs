//! This OCM Server: its parts, put together once and handed to every edge.

mod leaving;
pub mod life;
pub mod moving;
pub mod rehearsal;
mod tidying;
mod vitals;

use std::sync::Arc;

use crate::audit::Audit;
use crate::backup;
use crate::backup::Backups;
use crate::client;
use crate::client::Client;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::secret_file;
use crate::courier::Courier;
use crate::dav::Ledger;
use crate::directories::Directories;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Homes;
use crate::findings;
use crate::handshake::Handshakes;
use crate::invites::Invites;
use crate::keys::Keys;
use crate::mail::Mail;
use crate::metrics::Metrics;
use crate::notify::Notices;
use crate::outbox::Outbox;
use crate::peers::Peers;
use crate::proxy::Proxy;
use crate::remote::Remote;
use crate::requests::Requests;
use crate::secret::Secret;
use crate::shares::Shares;
use crate::site::life::Life;
use crate::store::Options;
use crate::store::State;
use crate::store::Store;
use crate::timekeeper::Timekeeper;
use crate::tls::Certificates;
use crate::users::Users;

pub use self::vitals::Check;
pub use self::vitals::Health;

/// What stands outside the server and can be replaced: its clock and its way to find other servers by name.
#[derive(Clone)]
pub struct World {
    pub clock: Clock,
    pub lookup: client::Lookup,
}

impl Default for World {
    fn default() -> Self {
        Self {
            clock: Clock::system(),
            lookup: client::system_lookup(),
        }
    }
}

/// The parts of one server. Clones are the same server.
#[derive(Clone)]
pub struct Site {
    pub config: Arc<Config>,
    pub clock: Clock,
    pub timekeeper: Timekeeper,
    pub store: Store,
    pub audit: Audit,
    pub keys: Arc<Keys>,
    pub users: Users,
    pub homes: Homes,
    pub ledger: Ledger,
    pub directories: Directories,
    pub peers: Peers,
    pub outbox: Outbox,
    pub handshakes: Handshakes,
    pub invites: Invites,
    pub shares: Shares,
    pub requests: Requests,
    pub remote: Remote,
    pub courier: Courier,
    pub metrics: Metrics,
    /// What whoever reads numbers must show; nothing where nobody has to.
    pub numbers_token: Option<Secret>,
    pub notices: Notices,
    pub certificates: Certificates,
    pub backups: Backups,
    pub life: Life,
    pub client: Client,
    pub mail: Mail,
    /// What was found when it was looked at last.
    pub last_findings: findings::Last,
    pub proxy: Proxy,
}

impl Site {
    /// Opens the data directory and puts the parts together; nothing listens yet, nothing is sent.
    ///
    /// # Errors
    ///
    /// For the operator: as [`Store::open`]; [`Reason::ConfigInvalid`] for files that can't be read.
    pub async fn open(config: Config, world: World) -> Result<Self> {
        let config = Arc::new(config);
        let store = open_store(&config, &world.clock).await?;
        let site = Box::pin(Self::assemble(config, world, store, None)).await?;
        site.finish_moves().await?;
        Ok(site)
    }

    /// The same server with other settings, over the same data; those of [`Reread`](life::Reread) that are fixed are the
    /// same. Both may answer side by side until the last request to the old one has ended.
    ///
    /// # Errors
    ///
    /// As [`Site::open`]; the old one is as good as before.
    pub async fn with(&self, config: Config, world: World) -> Result<Self> {
        Self::assemble(Arc::new(config), world, self.store.clone(), Some(self)).await
    }

    /// The same server over its data as it is on disk, after the store stopped. From the beginning of this on, the old one
    /// answers nothing any more.
    ///
    /// # Errors
    ///
    /// As [`Site::open`]; then there is none that answers, and this may be tried again.
    pub async fn reopen(&self, world: World) -> Result<Self> {
        let store = self.store.clone();
        let closed = tokio::task::spawn_blocking(move || store.close());
        if let Err(error) = closed.await.map_err(Error::internal)? {
            tracing::debug!(causes = error.causes(), "The stopped store is closed: {error}");
        }
        let config = Arc::clone(&self.config);
        let store = open_store(&config, &world.clock).await?;
        let site = Box::pin(Self::assemble(config, world, store, Some(self))).await?;
        site.finish_moves().await?;
        Ok(site)
    }

    /// Whether the certificates in use are also those of these settings. Files may have changed in the meantime.
    pub fn keeps_certificates(&self, config: &Config) -> bool {
        let mode = config.tls_mode();
        let listening = |config: &Config| (config.server.listen.clone(), config.server.listen_http.clone());
        mode == self.config.tls_mode() && config.tls == self.config.tls && listening(config) == listening(&self.config)
    }

    /// `before` is the same server until now: what it counts, and what is on its way into people's files, goes on; and what
    /// it has in mind of its data, where that is the same.
    async fn assemble(config: Arc<Config>, world: World, store: Store, before: Option<&Self>) -> Result<Self> {
        let same = before.filter(|before| before.store.is(&store));
        let clock = world.clock;
        let metrics = before.map_or_else(Metrics::new, |before| before.metrics.clone());
        let timekeeper = match same {
            Some(same) => same.timekeeper.clone(),
            None => Timekeeper::open(store.clone(), clock.clone()).await?,
        };
        let keys = match same.filter(|same| same.config.keys == config.keys) {
            Some(same) => Arc::clone(&same.keys),
            None => Arc::new(Keys::load(&config, store.clone(), clock.now()).await?),
        };
        let audit = match same {
            Some(same) => same.audit.with(&config),
            None => Audit::open(&config, store.clone(), clock.clone(), metrics.clone()).await?,
        };
        let client = Client::new(&config, Arc::clone(&world.lookup))?;
        let mail = Mail::new(&config)?;
        let notices = Notices::new(&config, store.clone(), mail.clone(), client.clone(), clock.clone())?;
        let notices = match before {
            Some(before) => notices.remembering(&before.notices),
            None => notices,
        };
        let homes = match before {
            Some(before) => before.homes.clone(),
            None => Homes::open(&config.server.data_dir.join("files")).await?,
        };
        let directories = Directories::new(&config, store.clone(), client.clone())?;
        let peers = Peers::new(
            &config,
            store.clone(),
            client.clone(),
            clock.clone(),
            Arc::clone(&keys),
            directories.clone(),
            (metrics.clone(), notices.clone()),
        );
        let peers = match same {
            Some(same) => peers.remembering(&same.peers),
            None => peers,
        };
        let outbox = Outbox::new(store.clone());
        let shares = Shares::new(
            Arc::clone(&config),
            store.clone(),
            peers.clone(),
            outbox.clone(),
            (homes.clone(), notices.clone()),
            Arc::clone(&keys),
        );
        let requests = Requests::new(
            Arc::clone(&config),
            store.clone(),
            peers.clone(),
            outbox.clone(),
            shares.clone(),
            homes.clone(),
        );
        let numbers_token = numbers_token(&config)?;
        // Last of what may fail: from here on, certificates that stay are told about by the new settings.
        let certificates = match same.filter(|same| same.keeps_certificates(&config)) {
            Some(same) => {
                same.certificates.tell_by(notices.clone());
                same.certificates.clone()
            }
            None => Certificates::open(&config, (clock.clone(), world.lookup), notices.clone(), metrics.clone())?,
        };
        let users = Users::new(store.clone(), config.accounts.clone());
        let backups = Backups::new(Arc::clone(&config), store.clone(), notices.clone());
        Ok(Self {
            certificates,
            numbers_token,
            backups: match before {
                Some(before) => backups.remembering(&before.backups),
                None => backups,
            },
            proxy: match same.filter(|same| same.config.server == config.server && same.config.tls == config.tls) {
                Some(same) => same.proxy.clone(),
                None => Proxy::new(&config),
            },
            notices: notices.clone(),
            users: match same {
                Some(same) => users.remembering(&same.users),
                None => users,
            },
            life: before.map_or_else(|| Life::none(clock.now()), |before| before.life.clone()),
            ledger: Ledger::new(store.clone()),
            handshakes: Handshakes::new(&config, store.clone(), client.clone(), peers.clone()),
            invites: Invites::new(
                &config,
                (store.clone(), client.clone(), peers.clone()),
                (shares.clone(), outbox.clone(), homes.clone()),
                (mail.clone(), notices.clone()),
            ),
            remote: Remote::new(
                &config,
                store.clone(),
                client.clone(),
                peers.clone(),
                clock.clone(),
                metrics.clone(),
            ),
            courier: Courier::new(
                Arc::clone(&config),
                store.clone(),
                client.clone(),
                peers.clone(),
                (shares.clone(), requests.clone()),
                (outbox.clone(), notices.clone()),
                clock.clone(),
            ),
            client,
            mail,
            last_findings: before.map_or_else(findings::Last::default, |before| before.last_findings.clone()),
            config,
            clock,
            timekeeper,
            store,
            audit,
            keys,
            metrics,
            homes,
            directories,
            peers,
            outbox,
            shares,
            requests,
        })
    }

    /// A fresh one-time link to the page that makes the first admin, from the address that people see.
    ///
    /// # Errors
    ///
    /// [`Reason::Conflict`] once there is an admin.
    pub async fn setup_link(&self) -> Result<String> {
        let code: Secret = self.users.issue_setup_code(self.clock.now()).await?;
        Ok(self
            .config
            .server
            .public_url
            .at(&format!("/setup?code={}", code.expose())))
    }

    /// The page on which somebody sets their password with this code.
    pub fn sign_in_link(&self, code: &Secret) -> String {
        self.config
            .server
            .public_url
            .at(&format!("/welcome?code={}", code.expose()))
    }

    /// Whether everything needed to answer is there.
    ///
    /// # Errors
    ///
    /// [`Reason::DiskFull`]; [`Reason::StoreStopped`].
    pub fn ready(&self) -> Result<()> {
        match self.store.state() {
            State::Ready => return Ok(()),
            State::Full => {
                let message = "The disk is full: no changes are taken until there is room again.";
                return Err(Error::new(Reason::DiskFull, message));
            }
            State::Slow | State::Stopped(_) => {}
        }
        Err(Error::new(
            Reason::StoreStopped,
            "The store takes no changes; the log says why.",
        ))
    }
}

/// What whoever reads numbers must show.
fn numbers_token(config: &Config) -> Result<Option<Secret>> {
    let token_file = config.metrics.token_file.as_deref();
    token_file
        .map(|file| secret_file("metrics.token_file", file))
        .transpose()
}

async fn open_store(config: &Config, clock: &Clock) -> Result<Store> {
    let data = config.server.data_dir.clone();
    let options = Options {
        before_migration: backup::saver(config, clock),
        ..Options::default()
    };
    tokio::task::spawn_blocking(move || Store::open(&data, options))
        .await
        .map_err(Error::internal)?
        .map_err(|refused| backup::advise(config, refused))
}
