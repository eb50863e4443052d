//! How this server encrypts, until when, and what is the matter: for pages, commands, numbers and the doctor.

use std::sync::atomic::Ordering;

use crate::clock::Timestamp;
use crate::config::TlsMode;
use crate::error::Error;
use crate::error::Reason;
use crate::tls::Certificate;
use crate::tls::Certificates;
use crate::tls::Found;
use crate::tls::Step;
use crate::tls::Way;
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
            .or_else(|| certificate.as_ref().and_then(|one| ended(one, now)));
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
