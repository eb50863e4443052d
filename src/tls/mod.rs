//! Certificates: had, kept, renewed.
//!
//! One resolver answers all connections for as long as the server runs; what it shows changes below it. So nothing here
//! needs a restart, and a connection that is open never notices.

mod acme;
mod kept;
mod ordering;
mod orders;
mod pair;
mod preflight;
mod refusal;
mod resolver;
mod selfsigned;
mod status;
mod watch;

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::Notify;

use crate::client;
use crate::client::Lookup;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::AcmeDirectory;
use crate::config::Config;
use crate::config::TlsMode;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::notify::Notices;
use crate::tls::acme::Authority;
use crate::tls::kept::Folder;
use crate::tls::orders::Progress;
use crate::tls::pair::Files;
use crate::tls::pair::Pair;
use crate::tls::refusal::Failure;
use crate::tls::resolver::Resolver;

pub use crate::tls::acme::Way;
pub use crate::tls::orders::Step;
pub use crate::tls::pair::Certificate;
pub use crate::tls::preflight::Found;
pub use crate::tls::preflight::Look;
pub use crate::tls::preflight::Ports;
pub use crate::tls::preflight::clock as clock_look;
pub use crate::tls::status::Status;
pub use crate::tls::status::foreseen;

/// How often files are looked at, and clocks.
const LOOK_EVERY: Duration = Duration::from_secs(30);
const CERTIFICATE: &str = "certificate.pem";
const PROGRESS: &str = "progress.json";

/// The certificates of one server. Clones are the same.
#[derive(Clone)]
pub struct Certificates(Arc<Inner>);

struct Inner {
    config: Config,
    mode: TlsMode,
    /// What the certificate is to be for; the server’s own name is the first.
    names: Vec<String>,
    /// How names are shown to lead here, and how else where that comes to nothing.
    ways: (Way, Option<Way>),
    /// Nothing where somebody else encrypts, or nobody.
    resolver: Option<Arc<Resolver>>,
    authority: Option<Authority>,
    folder: Folder,
    state: Mutex<State>,
    /// Held by whoever writes down what is kept of the tries; who only looks waits for no disk.
    writing: Mutex<()>,
    /// Whoever changes certificates; looks that show something do not disturb it.
    turn: tokio::sync::Mutex<()>,
    under_way: AtomicBool,
    wake: Notify,
    clock: Clock,
    lookup: Lookup,
    notices: Mutex<Notices>,
    metrics: Metrics,
}

struct State {
    progress: Progress,
    /// Somebody wants it tried at once.
    wanted: bool,
    /// Of the files that were refused last, and of those that are in use.
    refused: Option<[u8; 32]>,
    in_use: Option<[u8; 32]>,
    files_trouble: Option<Error>,
    clock_wrong: bool,
    ports: Ports,
    /// Where an order is tried out first.
    rehearsal: Option<Authority>,
}

impl Inner {
    fn way_of(&self, progress: &Progress) -> Way {
        let (first, second) = self.ways;
        second.filter(|_| progress.by_other_way).unwrap_or(first)
    }
}

impl Certificates {
    /// # Errors
    ///
    /// [`Reason::ConfigInvalid`] naming the setting, the file, and what is wrong with it.
    pub fn open(config: &Config, (clock, lookup): (Clock, Lookup), notices: Notices, metrics: Metrics) -> Result<Self> {
        let mode = config.tls_mode();
        let names = names(config);
        let folder = Folder::of(config.server.data_dir.join("tls"));
        let (authority, rehearsal) = match mode {
            TlsMode::Acme => authorities(config, &names, &folder)?,
            _ => (None, None),
        };
        let mut state = State {
            progress: authority
                .as_ref()
                .map_or_else(Progress::default, |it| it.folder.json(PROGRESS)),
            wanted: false,
            refused: None,
            in_use: None,
            files_trouble: None,
            clock_wrong: false,
            ports: ports(config, mode),
            rehearsal,
        };
        if let Some(why) = authority
            .as_ref()
            .and_then(|_| status::no_door(config, ways(config).0, state.ports))
        {
            tracing::warn!("{why}");
        }
        let resolver = match mode {
            TlsMode::Files => {
                let files = Files::read(config)?;
                state.in_use = Some(files.fingerprint());
                Some(Resolver::new(Some(files.pair(config)?), None))
            }
            TlsMode::SelfSigned => Some(Resolver::new(Some(own(&folder, &names, clock.now())?), None)),
            TlsMode::Acme => {
                let kept = authority
                    .as_ref()
                    .map(|it| kept_certificate(&it.folder, &names))
                    .transpose()?;
                Some(Resolver::new(kept.flatten(), Some(selfsigned::stand_in(&names)?)))
            }
            _ => None,
        };
        Ok(Self(Arc::new(Inner {
            config: config.clone(),
            mode,
            ways: ways(config),
            names,
            resolver: resolver.map(Arc::new),
            authority,
            folder,
            state: Mutex::new(state),
            writing: Mutex::new(()),
            turn: tokio::sync::Mutex::new(()),
            under_way: AtomicBool::new(false),
            wake: Notify::new(),
            clock,
            lookup,
            notices: Mutex::new(notices),
            metrics,
        })))
    }

    /// Whether the other is the same, and not only alike.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// From now on, what there is to tell is told by these: other settings may name other places.
    pub fn tell_by(&self, notices: Notices) {
        *self.0.notices.lock().unwrap_or_else(PoisonError::into_inner) = notices;
    }

    /// What listeners take; nothing where somebody else encrypts, or nobody.
    pub fn server_config(&self) -> Option<ServerConfig> {
        let resolver = Arc::clone(self.0.resolver.as_ref()?);
        let mut server = builder().ok()?.with_cert_resolver(resolver);
        if self.0.mode == TlsMode::Acme {
            server.alpn_protocols = vec![resolver::PROOF.to_vec()];
        }
        Some(server)
    }

    /// What is answered on port 80 to an authority that asks for this token.
    pub fn http_answer(&self, token: &str) -> Option<String> {
        self.0.resolver.as_ref()?.proofs().answer(token)
    }

    /// Renews, watches files, warns; for ever. Where it is dropped in the middle of an order, the next one waits its time.
    pub async fn work(&self) {
        loop {
            if let Err(error) = Box::pin(self.advance()).await {
                tracing::error!(
                    causes = error.causes(),
                    "The certificate could not be looked after: {error}"
                );
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK_EVERY) => {}
                () = self.0.wake.notified() => {}
            }
        }
    }

    /// Does what is to be done now, and returns when that is done. An order that fails is no error: [`Self::status`] has it.
    ///
    /// # Errors
    ///
    /// If something can't be kept.
    pub async fn advance(&self) -> Result<()> {
        let _turn = self.0.turn.lock().await;
        let now = self.0.clock.now();
        match self.0.mode {
            TlsMode::Files => self.look_at_files().await?,
            TlsMode::SelfSigned => self.renew_own(now)?,
            TlsMode::Acme => self.order_if_due(now).await?,
            _ => {}
        }
        self.warn(now).await
    }

    /// Reads the files again, where the certificate is in files; gives why those that are there now are not used.
    ///
    /// # Errors
    ///
    /// If it can't be told that they are refused.
    pub async fn reread(&self) -> Result<Option<Error>> {
        // An order takes minutes, and whoever reads settings again waits for none.
        if self.0.mode != TlsMode::Files {
            return Ok(None);
        }
        let _turn = self.0.turn.lock().await;
        self.look_at_files().await?;
        Ok(self.state().files_trouble.clone())
    }

    /// Has it tried now, as far as that is wise. Says nothing of how it goes: [`Self::status`] does.
    ///
    /// # Errors
    ///
    /// [`Reason::Busy`] where it was wanted too often; [`Reason::Conflict`] while an order is under way;
    /// [`Reason::Unsupported`] where this server has no certificate to renew; [`Reason::ConfigInvalid`] for files that
    /// can't be used.
    pub async fn renew(&self) -> Result<()> {
        let now = self.0.clock.now();
        match self.0.mode {
            TlsMode::Acme if self.0.under_way.load(Ordering::SeqCst) => Err(Error::new(
                Reason::Conflict,
                "A certificate is being ordered at this moment. Look again in a minute.",
            )),
            TlsMode::Acme => {
                self.keep(|progress| progress.wish(now))??;
                let mut state = self.state();
                // One that began just now will do.
                state.wanted = !self.0.under_way.load(Ordering::SeqCst);
                drop(state);
                self.0.wake.notify_one();
                Ok(())
            }
            TlsMode::Files => {
                self.advance().await?;
                self.state().files_trouble.clone().map_or(Ok(()), Err)
            }
            TlsMode::SelfSigned => {
                let _turn = self.0.turn.lock().await;
                self.install(selfsigned::sign(&self.0.folder, &self.0.names, now)?);
                Ok(())
            }
            TlsMode::Off => Err(Error::new(
                Reason::Unsupported,
                "This server speaks plain http (tls.mode = \"off\"), so there is no certificate to renew.",
            )),
            _ => Err(Error::new(
                Reason::Unsupported,
                "This server has no certificate of its own: whatever stands in front of it renews the one that people \
                 see.",
            )),
        }
    }

    /// The certificate of the authority of one’s own, as PEM.
    ///
    /// # Errors
    ///
    /// [`Reason::Unsupported`] in any other mode.
    pub fn authority(&self) -> Result<String> {
        match self.0.mode {
            TlsMode::SelfSigned => selfsigned::authority(&self.0.folder),
            _ => Err(Error::new(
                Reason::Unsupported,
                "This server has no authority of its own; that is what tls.mode = \"self-signed\" is for.",
            )),
        }
    }

    /// Looks at what an order needs; costs no attempt. Takes as long as the slowest look, about 12 s at most.
    pub async fn preflight(&self) -> Vec<Look> {
        let mut looks = self.look().await;
        if let Some(about) = self
            .current()
            .map(|pair| pair.about)
            .filter(|_| self.0.authority.is_none())
            && let Some(why) = status::misfit(&about, &self.0.names[0])
        {
            let remedy = "Get one for this name, or mend server.public_url.";
            looks.push(Look::bad("certificate", why.message().to_owned(), remedy));
        }
        if let Some(authority) = &self.0.authority {
            let answered = authority.answers();
            looks.push(
                match tokio::time::timeout(Duration::from_secs(5), answered)
                    .await
                    .unwrap_or_else(|_| Err(Failure::silent("there was no answer within 5 s")))
                {
                    Ok(()) => Look::ok("authority", format!("{} answers.", authority.directory.title())),
                    Err(failure) => Look::bad(
                        "authority",
                        self.explain(&failure, authority).message().to_owned(),
                        "Check the network of this machine, and tls.acme_directory.",
                    ),
                },
            );
        }
        looks
    }

    /// Where authorities and browsers knock, if not at 80 and 443: for tests, whose server has other ports.
    pub fn knock_at(&self, ports: Ports) {
        self.state().ports = ports;
    }

    /// Where orders are tried out first: for tests, whose authority is none of those that have such a place.
    pub fn rehearse_at(&self, directory: AcmeDirectory) {
        let rehearsal = self.0.authority.as_ref().map(|authority| Authority {
            folder: self.0.folder.within(&folder_name(&directory)),
            directory,
            ..authority.clone()
        });
        self.state().rehearsal = rehearsal;
    }

    /// How an authority is shown that the names lead here, by the next try.
    fn way(&self) -> Way {
        self.0.way_of(&self.state().progress)
    }

    /// Clock, names and ports.
    async fn look(&self) -> Vec<Look> {
        let current = self.current();
        let mut looks = vec![preflight::clock(
            self.0.clock.now(),
            current.as_ref().map(|pair| &pair.about),
        )];
        let directory = self.0.authority.as_ref().map(|authority| &authority.directory);
        let subject = preflight::Subject {
            mode: self.0.mode,
            way: self.way(),
            names: &self.0.names,
            ports: self.state().ports,
            public: matches!(
                directory,
                Some(AcmeDirectory::LetsEncrypt | AcmeDirectory::LetsEncryptStaging)
            ),
        };
        // While an order is under way, its proofs are shown, and not ours.
        if self.0.under_way.load(Ordering::SeqCst) {
            looks.push(Look::ok(
                "port",
                "An order is under way; ports are looked at when it is done.",
            ));
        } else {
            looks.extend(preflight::names(&subject, &self.0.lookup, self.0.resolver.as_ref()).await);
        }
        looks
    }

    fn renew_own(&self, now: Timestamp) -> Result<()> {
        let current = self.current().map(|pair| pair.about);
        if !self.clock_is_wrong(now, current.as_ref()) && current.is_none_or(|one| now >= one.renewal()) {
            self.install(selfsigned::sign(&self.0.folder, &self.0.names, now)?);
            tracing::info!("The lab authority has made out a new certificate");
        }
        Ok(())
    }

    /// Nothing is ordered by a clock that can't be right (T-83). Said once.
    fn clock_is_wrong(&self, now: Timestamp, current: Option<&Certificate>) -> bool {
        let look = preflight::clock(now, current);
        let wrong = look.found == Found::Bad;
        let was = std::mem::replace(&mut self.state().clock_wrong, wrong);
        if wrong && !was {
            tracing::error!("{} Nothing is renewed until it is right.", look.sentence);
        }
        wrong
    }

    fn current(&self) -> Option<Pair> {
        self.0.resolver.as_ref()?.current()
    }

    fn install(&self, pair: Pair) {
        if let Some(resolver) = &self.0.resolver {
            resolver.install(pair);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a server could have its certificate with these settings; nothing is ordered or kept.
///
/// # Errors
///
/// [`Reason::ConfigInvalid`] naming the setting, the file, and what is wrong with it.
pub fn check(config: &Config) -> Result<()> {
    match config.tls_mode() {
        TlsMode::Files => Files::read(config)?.pair(config).map(drop),
        TlsMode::Acme => may_order(config, &names(config)),
        _ => Ok(()),
    }
}

/// Reads `tls.cert_file` and `tls.key_file`.
///
/// # Errors
///
/// [`Reason::ConfigInvalid`] naming the setting, the file, and what is wrong with it.
pub fn from_files(config: &Config) -> Result<ServerConfig> {
    let pair = Files::read(config)?.pair(config)?;
    Ok(builder()?.with_cert_resolver(Arc::new(Resolver::new(Some(pair), None))))
}

fn builder() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::server::WantsServerCert>> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::internal)?
        .with_no_client_auth())
}

fn names(config: &Config) -> Vec<String> {
    let mut names = vec![
        config
            .server
            .public_url
            .provider()
            .host()
            .trim_matches(['[', ']'])
            .to_owned(),
    ];
    for name in config.tls.names.iter().map(|name| name.trim().to_ascii_lowercase()) {
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Port 443 is asked where it is listened on, for it needs no second listener; else port 80, where there is one for it.
/// How an authority is shown that the names lead here, and how else where that came to nothing.
fn ways(config: &Config) -> (Way, Option<Way>) {
    let listen = &config.server.listen.0;
    let on_443 = listen.iter().any(|address| address.port() == Way::TlsAlpn01.port());
    match (on_443, !config.server.listen_http.0.is_empty()) {
        (true, true) => (Way::TlsAlpn01, Some(Way::Http01)),
        (false, true) => (Way::Http01, None),
        (_, false) => (Way::TlsAlpn01, None),
    }
}

fn ports(config: &Config, mode: TlsMode) -> Ports {
    let said = config.server.public_url.provider().port();
    match mode {
        // The authority knows no other ports.
        TlsMode::Acme => Ports { http: 80, https: 443 },
        _ => Ports {
            http: said.unwrap_or(80),
            https: said.unwrap_or(443),
        },
    }
}

fn may_order(config: &Config, names: &[String]) -> Result<()> {
    let wrong = |what: String| Error::new(Reason::ConfigInvalid, what);
    let directory = &config.tls.acme_directory;
    if !config.tls.acme_agree_tos {
        return Err(wrong(format!(
            "tls.acme_agree_tos: nothing is ordered from {} before you agree to its terms of service. Read them, then say \
             acme_agree_tos = true or --agree-tos; or choose another tls.mode.",
            directory.title()
        )));
    }
    let at = |name: &String| match config.tls.names.contains(name) {
        true => "tls.names",
        false => "server.public_url",
    };
    if let Some(name) = names.iter().find(|name| name.parse::<IpAddr>().is_ok()) {
        return Err(wrong(format!(
            "{}: certificates are ordered for names, and {name} is an address; tls.mode \"self-signed\" or \"files\" \
             takes it",
            at(name)
        )));
    }
    if let Some(name) = names.iter().find(|name| name.contains('*')) {
        return Err(wrong(format!(
            "tls.names: {name}: an authority certifies * only by a change in the DNS, which this server can’t make; name \
             each name, or fetch the files with another program (tls.mode \"files\")"
        )));
    }
    Ok(())
}

fn authorities(config: &Config, names: &[String], folder: &Folder) -> Result<(Option<Authority>, Option<Authority>)> {
    may_order(config, names)?;
    let directory = &config.tls.acme_directory;
    let trust = Arc::new(client::tls_config(config)?);
    let contact = config
        .tls
        .acme_email
        .iter()
        .map(|mail| format!("mailto:{mail}"))
        .collect::<Vec<_>>();
    let authority = |directory: AcmeDirectory| Authority {
        folder: folder.within(&folder_name(&directory)),
        directory,
        contact: contact.clone(),
        trust: Arc::clone(&trust),
    };
    let rehearsal = directory.staging().filter(|_| config.tls.acme_preflight);
    Ok((Some(authority(directory.clone())), rehearsal.map(authority)))
}

/// One folder for each directory: its host, for people, and what tells it from others of that host.
fn folder_name(directory: &AcmeDirectory) -> String {
    let url = directory.url();
    let host: String = url
        .trim_start_matches("https://")
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || ".-".contains(*c))
        .collect();
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, url.as_bytes());
    let mark: String = hash.as_ref()[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{host}-{mark}")
}

/// The certificate that was ordered before, if it is for this server at all.
fn kept_certificate(folder: &Folder, names: &[String]) -> Result<Option<Pair>> {
    let Some(pem) = folder.read(CERTIFICATE)? else {
        return Ok(None);
    };
    match Pair::of_pem(pem.as_bytes(), pem.as_bytes()) {
        Ok(pair) => Ok(Some(pair).filter(|pair| pair.about.is_for(&names[0]))),
        Err(unfit) => {
            tracing::warn!(
                "{} can't be used: {unfit}",
                folder.path().join(Path::new(CERTIFICATE)).display()
            );
            folder.set_aside(CERTIFICATE);
            Ok(None)
        }
    }
}

/// The self-signed certificate that is kept, or a new one where it is none for these names, or due.
fn own(folder: &Folder, names: &[String], now: Timestamp) -> Result<Pair> {
    let kept = selfsigned::kept(folder)?;
    let fits = |pair: &Pair| {
        names.iter().all(|name| pair.about.is_for(name)) && pair.about.not_before <= now && now < pair.about.renewal()
    };
    match kept.filter(fits) {
        Some(pair) => Ok(pair),
        None => selfsigned::sign(folder, names, now),
    }
}
