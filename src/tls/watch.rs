//! Files that are replaced by others, and certificates that come to their end: noticed, and told.

use std::sync::PoisonError;
use std::time::Duration;

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::AdminTopic;
use crate::error::Error;
use crate::error::Result;
use crate::notify::Notice;
use crate::tls::Certificate;
use crate::tls::Certificates;
use crate::tls::pair::Files;

const DAY: Duration = Duration::from_secs(86_400);
/// Days before the end at which it is told once more (T-84).
const DAYS: [u32; 4] = [14, 7, 1, 0];
const WARNED: &str = "warned.json";

/// Of which certificate it was told last, and how long before its end.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Warned {
    not_after: Timestamp,
    before: u64,
}

/// The last moment to tell that has come, as seconds before the end; none where all is well.
fn moment(certificate: &Certificate, warn_before: Duration, now: Timestamp) -> Option<u64> {
    // What lasts only days is not warned about from its first one on.
    if now < certificate.renewal() {
        return None;
    }
    let left = now.until(certificate.not_after);
    let moments = DAYS.iter().map(|days| DAY * *days).chain([warn_before]);
    moments
        .filter(|moment| left <= *moment)
        .min()
        .map(|moment| moment.as_secs())
}

impl Certificates {
    /// Takes what stands in the files now, if it is another pair and fits; else keeps the one that is there.
    pub(super) async fn look_at_files(&self) -> Result<()> {
        let config = &self.0.config;
        let read = Files::read(config);
        let fingerprint = read.as_ref().map_or([0; 32], Files::fingerprint);
        if Some(fingerprint) == self.state().in_use {
            let mut state = self.state();
            (state.files_trouble, state.refused) = (None, None);
            return Ok(());
        }
        match read.and_then(|files| files.pair(config)) {
            Ok(pair) => {
                tracing::info!(
                    "The certificate files have changed; in use until {}",
                    pair.about.not_after
                );
                self.install(pair);
                let mut state = self.state();
                (state.files_trouble, state.refused) = (None, None);
                state.in_use = Some(fingerprint);
                Ok(())
            }
            Err(error) => self.refuse_files(fingerprint, error).await,
        }
    }

    /// Whoever replaces two files has replaced one of them first, so only what stays wrong until the next look is told.
    async fn refuse_files(&self, fingerprint: [u8; 32], error: Error) -> Result<()> {
        let first = {
            let mut state = self.state();
            let error = error.clone().and(&"The certificate from before stays in use.");
            state.files_trouble = Some(error);
            state.refused.replace(fingerprint) != Some(fingerprint)
        };
        if first {
            tracing::warn!("The certificate from before stays in use: {error}");
            return Ok(());
        }
        self.tell(
            "files",
            "The new certificate files of {host} can’t be used, so the certificate from before stays in use. {why}",
            vec![("why", error.message().to_owned())],
        )
        .await
    }

    pub(super) async fn tell_of_failure(&self, error: &Error) -> Result<()> {
        self.tell(
            "order",
            "No certificate could be had for {host}. {why}",
            vec![("why", error.message().to_owned())],
        )
        .await
    }

    /// Tells that the end comes near: once for each moment that is worth it.
    pub(super) async fn warn(&self, now: Timestamp) -> Result<()> {
        let Some(certificate) = self.current().map(|pair| pair.about) else {
            return Ok(());
        };
        let Some(before) = moment(&certificate, self.0.config.tls.warn_before.0, now) else {
            return Ok(());
        };
        let warned = Warned {
            not_after: certificate.not_after,
            before,
        };
        if self.0.folder.json::<Warned>(WARNED) == warned {
            return Ok(());
        }
        let days = now.until(certificate.not_after).as_secs() / DAY.as_secs();
        let end = certificate.not_after.to_string();
        let about = format!("end {before}");
        if certificate.not_after <= now {
            let sentence = "The certificate of {host} ended at {end}. Browsers and other servers refuse this server.";
            self.tell(&about, sentence, vec![("end", end)]).await?;
        } else {
            let sentence = "The certificate of {host} ends at {end} and was not renewed. Full days left: {days}.";
            self.tell(&about, sentence, vec![("end", end), ("days", days.to_string())])
                .await?;
        }
        self.0.folder.write_json(WARNED, &warned)
    }

    async fn tell(&self, about: &str, sentence: &'static str, mut values: Vec<(&'static str, String)>) -> Result<()> {
        let host = self.0.config.server.public_url.provider().to_string();
        let about = format!("{host}: {about}");
        values.insert(0, ("host", host));
        let notice = Notice {
            topic: AdminTopic::Tls,
            about,
            sentence,
            values,
        };
        let notices = self.0.notices.lock().unwrap_or_else(PoisonError::into_inner).clone();
        notices.admins(notice).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t84_the_end_is_told_at_fourteen_seven_and_one_days_and_when_it_has_come() {
        let certificate = Certificate {
            names: Vec::new(),
            issuer: String::new(),
            not_before: Timestamp(1_790_000_000),
            not_after: Timestamp(1_790_000_000).plus(DAY * 90),
        };
        let check = |left: Duration, expected: Option<u32>| {
            let now = certificate.not_after.minus(left);
            let expected = expected.map(|days| (DAY * days).as_secs());
            assert_eq!(moment(&certificate, DAY * 10, now), expected, "{left:?}");
        };
        check(DAY * 60, None);
        check(DAY * 20, None);
        check(DAY * 14, Some(14));
        check(DAY * 10, Some(10));
        check(DAY * 8, Some(10));
        check(DAY * 7, Some(7));
        check(DAY * 2, Some(7));
        check(DAY, Some(1));
        check(Duration::from_secs(1), Some(1));
        check(Duration::ZERO, Some(0));
        let after = certificate.not_after.plus(DAY * 3);
        assert_eq!(moment(&certificate, DAY * 10, after), Some(0));
    }

    #[test]
    fn what_lasts_six_days_is_not_warned_about_while_it_is_young() {
        let certificate = Certificate {
            names: Vec::new(),
            issuer: String::new(),
            not_before: Timestamp(1_790_000_000),
            not_after: Timestamp(1_790_000_000).plus(DAY * 6),
        };
        assert_eq!(moment(&certificate, DAY * 10, certificate.not_before), None);
        let late = certificate.not_after.minus(DAY * 2);
        assert_eq!(moment(&certificate, DAY * 10, late), Some((DAY * 7).as_secs()));
    }
}
