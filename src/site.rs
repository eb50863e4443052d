//! This OCM Server: its parts, put together once and handed to every edge.

mod leaving;
pub mod moving;

use std::sync::Arc;

use crate::audit::Audit;
use crate::backup;
use crate::backup::Backups;
use crate::client;
use crate::client::Client;
use crate::clock::Clock;
use crate::config::Config;
use crate::courier::Courier;
use crate::dav::Ledger;
use crate::directories::Directories;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Homes;
use crate::handshake::Handshakes;
use crate::invites::Invites;
use crate::keys::Keys;
use crate::mail::Mail;
use crate::metrics::Metrics;
use crate::notify::Notices;
use crate::outbox::Outbox;
use crate::peers::Peers;
use crate::remote::Remote;
use crate::requests::Requests;
use crate::secret::Secret;
use crate::shares::Shares;
use crate::store::Options;
use crate::store::Store;
use crate::tls::Certificates;
use crate::users::Users;

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
    pub notices: Notices,
    pub certificates: Certificates,
    pub backups: Backups,
}

impl Site {
    /// Opens the data directory and puts the parts together; nothing listens yet, nothing is sent.
    ///
    /// # Errors
    ///
    /// For the operator: as [`Store::open`]; [`Reason::ConfigInvalid`] for files that can't be read.
    pub async fn open(config: Config, world: World) -> Result<Self> {
        let config = Arc::new(config);
        let data = config.server.data_dir.clone();
        let clock = world.clock;
        let options = Options {
            before_migration: backup::saver(&config, &clock),
            ..Options::default()
        };
        let store = tokio::task::spawn_blocking(move || Store::open(&data, options))
            .await
            .map_err(Error::internal)?
            .map_err(|refused| backup::advise(&config, refused))?;
        let keys = Arc::new(Keys::load(&config, store.clone(), clock.now()).await?);
        let audit = Audit::open(&config, store.clone(), clock.clone()).await?;
        let client = Client::new(&config, world.lookup)?;
        let metrics = Metrics::new();
        let mail = Mail::new(&config)?;
        let notices = Notices::new(&config, store.clone(), mail.clone(), clock.clone(), metrics.clone())?;
        let homes = Homes::open(&config.server.data_dir.join("files")).await?;
        let directories = Directories::new(&config, store.clone(), client.clone())?;
        let peers = Peers::new(
            &config,
            store.clone(),
            client.clone(),
            clock.clone(),
            Arc::clone(&keys),
            directories.clone(),
        );
        let outbox = Outbox::new(store.clone());
        let shares = Shares::new(
            Arc::clone(&config),
            store.clone(),
            peers.clone(),
            outbox.clone(),
            homes.clone(),
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
        let site = Self {
            certificates: Certificates::open(&config, clock.clone(), notices.clone(), metrics.clone())?,
            backups: Backups::new(Arc::clone(&config), store.clone(), notices.clone()),
            metrics,
            notices,
            users: Users::new(store.clone(), config.accounts.clone()),
            ledger: Ledger::new(store.clone()),
            handshakes: Handshakes::new(&config, store.clone(), client.clone(), peers.clone()),
            invites: Invites::new(
                &config,
                (store.clone(), client.clone(), peers.clone()),
                (shares.clone(), outbox.clone(), homes.clone()),
                mail,
            ),
            remote: Remote::new(&config, store.clone(), client.clone(), peers.clone(), clock.clone()),
            courier: Courier::new(
                Arc::clone(&config),
                store.clone(),
                client,
                peers.clone(),
                (shares.clone(), requests.clone()),
                outbox.clone(),
                clock.clone(),
            ),
            config,
            clock,
            store,
            audit,
            keys,
            homes,
            directories,
            peers,
            outbox,
            shares,
            requests,
        };
        site.finish_moves().await?;
        Ok(site)
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
    /// [`Reason::StoreStopped`].
    pub fn ready(&self) -> Result<()> {
        if self.store.healthy() {
            return Ok(());
        }
        Err(Error::new(
            Reason::StoreStopped,
            "The store takes no changes; the log says why.",
        ))
    }
}
