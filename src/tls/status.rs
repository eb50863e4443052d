//! How this server encrypts, until when, and what is the matter: for pages, commands, numbers and the doctor.

use std::sync::atomic::Ordering;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::TlsMode;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::tls::Certificate;
use crate::tls::Certificates;
use crate::tls::Found;
use crate::tls::Ports;
use crate::tls::Step;
use crate::tls::Way;
use crate::tls::kept::Folder;
use crate::tls::pair::Files;
use crate::tls::preflight;

/// How this server encrypts, and until when.
#[derive(Clone, Debug)]
pub struct Status {
    pub mode: TlsMode,
    /// What the certificate in use is for; nothing where there is none.
    pub certificate: Option<Certificate>,
    /// When it will be renewed.
    pub renewal: Option<Timestamp>,
    /// Why there is none, or why the last try to renew it failed: a sentence for an admin.
    pub trouble: Option<Error>,
    pub next_try: Option<Timestamp>,
    /// What the certificate is to be for.
    pub names: Vec<String>,
    /// Whom certificates are ordered from, and how it is shown that the names lead here.
    pub authority: Option<(String, Way)>,
    /// What was done last, in order; of an order that is under way, so far.
    pub steps: Vec<Step>,
    pub under_way: bool,
    /// What the authority itself said of the trouble.
    pub raw: Option<String>,
}

impl Certificates {
    /// From memory: asks nobody.
    pub fn status(&self) -> Status {
        let now = self.0.clock.now();
        let certificate = self.current().map(|pair| pair.about);
        let state = self.state();
        let progress = &state.progress;
        let clock = self.clock_trouble(now, certificate.as_ref());
        let trouble = clock
            .or_else(|| state.files_trouble.clone())
            .or_else(|| progress.trouble.as_ref().map(|trouble| trouble.error()))
            .or_else(|| certificate.as_ref().and_then(|one| ended(one, now)))
            .or_else(|| certificate.as_ref().and_then(|one| misfit(one, &self.0.names[0])))
            .or_else(|| match certificate {
                None if self.0.authority.is_some() => no_door(&self.0.config, self.0.way_of(progress), state.ports),
                _ => None,
            });
        let renews = matches!(self.0.mode, TlsMode::Acme | TlsMode::SelfSigned);
        let authority = self.0.authority.as_ref();
        Status {
            mode: self.0.mode,
            renewal: certificate.as_ref().filter(|_| renews).map(Certificate::renewal),
            certificate,
            trouble,
            next_try: progress.next_try.filter(|_| progress.is_in_trouble()),
            names: self.0.names.clone(),
            authority: authority.map(|authority| (authority.directory.title(), self.0.way_of(progress))),
            steps: progress.steps.clone(),
            under_way: self.0.under_way.load(Ordering::SeqCst),
            raw: progress
                .trouble
                .as_ref()
                .map(|trouble| trouble.raw.clone())
                .filter(|raw| !raw.is_empty()),
        }
    }

    fn clock_trouble(&self, now: Timestamp, certificate: Option<&Certificate>) -> Option<Error> {
        self.0.resolver.as_ref()?;
        let look = preflight::clock(now, certificate);
        let remedy = look.remedy.filter(|_| look.found == Found::Bad)?;
        let error = Error::new(Reason::ClockWrong, look.sentence);
        Some(error.and(&"Nothing is renewed until it is right.").and(&remedy))
    }
}

/// What a start with these settings would show, as far as that stands in files; nothing is changed, and nobody asked.
///
/// # Errors
///
/// [`Reason::ConfigInvalid`] for what keeps a server from starting.
pub fn foreseen(config: &Config) -> Result<Status> {
    let mode = config.tls_mode();
    let names = super::names(config);
    let (mut certificate, mut trouble) = (None, None);
    match mode {
        TlsMode::Files => certificate = Some(Files::read(config)?.pair(config)?.about),
        TlsMode::Acme => {
            super::authorities(config, &names, &Folder::of(config.server.data_dir.join("tls")))?;
            trouble = no_door(config, super::ways(config).0, super::ports(config, mode));
        }
        _ => {}
    }
    Ok(Status {
        mode,
        certificate,
        renewal: None,
        trouble,
        next_try: None,
        names,
        authority: None,
        steps: Vec::new(),
        under_way: false,
        raw: None,
    })
}

/// An authority knocks at port 80 or 443, and can't be told to knock elsewhere.
pub(super) fn no_door(config: &Config, way: Way, ports: Ports) -> Option<Error> {
    let (listened, port, setting) = match way {
        Way::TlsAlpn01 => (&config.server.listen, ports.https, "server.listen"),
        Way::Http01 => (&config.server.listen_http, ports.http, "server.listen_http"),
    };
    let is_open = listened.0.iter().any(|address| address.port() == port);
    (!is_open).then(|| {
        Error::new(
            Reason::TlsPort443,
            format!(
                "This server listens neither on port 443 nor, for an authority, on port 80, and an authority looks nowhere \
                 else. Unless something in front hands port {port} on to this server, no certificate can be had: add it to \
                 {setting}."
            ),
        )
    })
}

/// One for another name is shown, and nobody believes it.
pub(super) fn misfit(certificate: &Certificate, host: &str) -> Option<Error> {
    let names = &certificate.names;
    (!names.is_empty() && !certificate.is_for(host)).then(|| {
        let names = names.join(", ");
        Error::new(
            Reason::ConfigInvalid,
            format!("The certificate is for {names}, and not for {host}: browsers and other servers refuse it."),
        )
    })
}

fn ended(certificate: &Certificate, now: Timestamp) -> Option<Error> {
    (certificate.not_after <= now).then(|| {
        Error::new(
            Reason::TlsExpired,
            format!(
                "The certificate of this server ended on {}. Browsers and other servers refuse it. Put a new one in its \
                 place.",
                certificate.not_after
            ),
        )
    })
}
