//! One order at an authority, from whether it is time to what came of it.

use std::sync::PoisonError;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::tls::CERTIFICATE;
use crate::tls::Certificates;
use crate::tls::Found;
use crate::tls::PROGRESS;
use crate::tls::acme::Authority;
use crate::tls::acme::Way;
use crate::tls::orders::Progress;
use crate::tls::orders::Trouble;
use crate::tls::pair::Pair;
use crate::tls::refusal::Failure;

impl Certificates {
    pub(super) async fn order_if_due(&self, now: Timestamp) -> Result<()> {
        let Some(authority) = &self.0.authority else {
            return Ok(());
        };
        let current = self.current().map(|pair| pair.about);
        if self.clock_is_wrong(now, current.as_ref()) {
            return Ok(());
        }
        let due = {
            let mut state = self.state();
            let wanted = std::mem::take(&mut state.wanted);
            wanted || state.progress.is_due(current.as_ref(), &self.0.names, now)
        };
        if !due {
            return Ok(());
        }
        if self.0.config.tls.acme_preflight {
            let looks = self.look().await;
            if let Some(bad) = looks.iter().find(|look| look.found == Found::Bad) {
                let remedy = bad.remedy.as_deref().unwrap_or_default();
                let error = Error::new(Reason::TlsDns, bad.sentence.clone()).and(&remedy);
                tracing::warn!("No certificate is ordered yet: {error}");
                self.keep(|progress| progress.put_off(Trouble::new(&error, ""), now))?;
                return self.tell_of_failure(&error).await;
            }
        }
        let busy = Busy::begin(&self.0.under_way);
        // Somebody may have wished for a try in the meantime: this is that one.
        self.state().wanted = false;
        self.keep(|progress| progress.begin(now))?;
        let outcome = self.order(authority).await;
        drop(busy);
        self.settle(authority, outcome, now).await
    }

    /// The order itself, and before it one at the place to try things out, where there is one.
    async fn order(&self, authority: &Authority) -> Result<Pair, (Failure, Authority)> {
        let names = &self.0.names;
        if self.0.config.tls.acme_preflight {
            self.step("Names, ports and clock were looked at.", "");
        }
        if let Some(rehearsal) = self.rehearsal() {
            self.step("The order is tried out at {what} first.", &rehearsal.directory.title());
            self.order_at(&rehearsal)
                .await
                .map_err(|failure| (failure, rehearsal))?;
            self.keep(|progress| progress.rehearsed.clone_from(names))
                .map_err(|error| (Failure::ours(error.causes()), authority.clone()))?;
        }
        let pem = self
            .order_at(authority)
            .await
            .map_err(|failure| (failure, authority.clone()))?;
        let odd = |why: String| (Failure::ours(why), authority.clone());
        let pair = Pair::of_pem(pem.as_bytes(), pem.as_bytes()).map_err(|unfit| odd(unfit.to_string()))?;
        if let Some(name) = names.iter().find(|name| !pair.about.is_for(name)) {
            return Err(odd(format!("the certificate is not for {name}")));
        }
        // Kept first: one that is lost would be ordered again.
        authority
            .folder
            .write(CERTIFICATE, &pem)
            .map_err(|error| odd(error.causes()))?;
        Ok(pair)
    }

    /// Where the order is to be tried out, unless it was for these names.
    fn rehearsal(&self) -> Option<Authority> {
        let state = self.state();
        let known = state.progress.rehearsed == self.0.names;
        state.rehearsal.clone().filter(|_| !known)
    }

    async fn order_at(&self, authority: &Authority) -> Result<String, Failure> {
        let Some(resolver) = &self.0.resolver else {
            return Err(Failure::ours("nobody would be shown a proof"));
        };
        let tell = |sentence: &'static str, what: &str| self.step(sentence, what);
        Box::pin(authority.order(&self.0.names, self.way(), resolver.proofs(), tell)).await
    }

    async fn settle(
        &self,
        authority: &Authority,
        outcome: Result<Pair, (Failure, Authority)>,
        began: Timestamp,
    ) -> Result<()> {
        let now = self.0.clock.now().max(began);
        self.0.metrics.acme_order(outcome.is_ok());
        match outcome {
            Ok(pair) => {
                let about = pair.about.clone();
                tracing::info!(
                    authority = authority.directory.to_string(),
                    names = self.0.names.join(" "),
                    "A new certificate is in use until {}",
                    pair.about.not_after
                );
                self.install(pair);
                self.keep(|progress| {
                    progress.had(&about, now);
                    let until = about.not_after.to_string();
                    progress.step(now, "The certificate is in use, until {what}.", &until);
                })
            }
            Err((failure, at)) => {
                let mut error = self.explain(&failure, &at);
                let other = failure.blames_the_way() && self.0.ways.1.is_some();
                if other {
                    error = error.and(match self.way() {
                        Way::TlsAlpn01 => &"The next try goes by way of port 80.",
                        Way::Http01 => &"The next try goes by way of port 443.",
                    });
                }
                tracing::warn!(
                    authority = at.directory.to_string(),
                    answer = failure.raw(),
                    "No certificate: {error}"
                );
                let trouble = Trouble::new(&error, failure.raw());
                self.keep(|progress| {
                    progress.failed(trouble, failure.not_before(), now);
                    progress.by_other_way ^= other;
                })?;
                self.tell_of_failure(&error).await
            }
        }
    }

    pub(super) fn explain(&self, failure: &Failure, authority: &Authority) -> Error {
        failure.explain(&authority.directory.title(), &self.0.names, self.way())
    }

    fn step(&self, sentence: &str, what: &str) {
        tracing::info!("{}", sentence.replace("{what}", what));
        let now = self.0.clock.now();
        self.state().progress.step(now, sentence, what);
    }

    /// Changes what is kept of the tries. One at a time: what one has counted is in what the next one writes.
    pub(super) fn keep<T>(&self, change: impl FnOnce(&mut Progress) -> T) -> Result<T> {
        let _alone = self.0.writing.lock().unwrap_or_else(PoisonError::into_inner);
        let (changed, progress) = {
            let mut state = self.state();
            (change(&mut state.progress), state.progress.clone())
        };
        if let Some(authority) = &self.0.authority {
            authority.folder.write_json(PROGRESS, &progress)?;
        }
        Ok(changed)
    }
}

/// Says that an order is under way, as long as it is there.
struct Busy<'a>(&'a AtomicBool);

impl<'a> Busy<'a> {
    fn begin(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::SeqCst);
        Self(flag)
    }
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::SeqCst);
    }
}
