//! How the running server is, on one screen.

use serde_json::Value;
use serde_json::json;

use crate::clock::Timestamp;
use crate::config::TlsMode;
use crate::contacts::Admission;
use crate::error::Result;
use crate::outbox::Progress;
use crate::site::Site;
use crate::store::Key;
use crate::store::every;
use crate::tls::Status;

/// All that an operator wants to know at a glance. It asks nobody, and changes nothing.
pub async fn status(site: &Site) -> Result<Value> {
    let now = site.clock.now();
    let ready = site.ready();
    let deliveries = every(async |page| site.outbox.list(&page).await).await?;
    let waiting = deliveries.iter().filter(|one| one.progress == Progress::Waiting);
    let count = |progress| deliveries.iter().filter(|one| one.progress == progress).count();
    let admitted = every(async |page| {
        site.store
            .read(async |txn| txn.list::<Admission>(Key::ALL, &page).await)
            .await
    });
    let rules = every(async |page| site.peers.rules(&page).await);
    let backup = site.backups.listed().await?.into_iter().next();
    Ok(json!({
        "ready": ready.is_ok(),
        "reason": ready.err().map(|error| error.reason().code()),
        "version": env!("CARGO_PKG_VERSION"),
        "started": site.life.started.to_string(),
        "uptime": site.life.started.until(now).as_secs(),
        "address": site.config.server.public_url.to_string(),
        "certificate": certificate(&site.certificates.status(), now),
        "mode": site.peers.mode().await?.as_str(),
        "servers": {
            "admitted": admitted.await?.len(),
            "rules": rules.await?.len(),
        },
        "queue": {
            "waiting": count(Progress::Waiting),
            "oldest": waiting.map(|one| one.created).min().map(|at| at.to_string()),
            "held": count(Progress::Held),
            "given_up": count(Progress::GivenUp),
        },
        "backup": backup.map(|made| json!({
            "at": made.at.to_string(),
            "file": made.file.display().to_string(),
            "size": made.size,
            "verified": made.verified.map(|at| at.to_string()),
        })),
        "storage": {
            "data_dir": site.config.server.data_dir.display().to_string(),
            "database": site.store.size_on_disk().ok(),
            "free": site.homes.room()?.bytes,
        },
    }))
}

/// What a certificate is for and until when, with a sentence of all that.
pub fn certificate(status: &Status, now: Timestamp) -> Value {
    let held = status.certificate.as_ref();
    json!({
        "sentence": sentence(status, now),
        "names": held.map(|held| &held.names),
        "issuer": held.map(|held| &held.issuer),
        "until": held.map(|held| held.not_after.to_string()),
        "renewal": status.renewal.map(|at| at.to_string()),
        "trouble": status.trouble.as_ref().map(ToString::to_string),
        "next_try": status.next_try.map(|at| at.to_string()),
    })
}

fn sentence(status: &Status, now: Timestamp) -> String {
    let mut said = match (&status.certificate, status.mode) {
        (_, TlsMode::Off) => "none: plain http, for a trial or a closed lab".to_owned(),
        (_, TlsMode::Proxy) => "the one of the proxy in front".to_owned(),
        (Some(held), _) if held.not_after <= now => {
            format!("of {}, ended {}", held.issuer, held.not_after.day())
        }
        (Some(held), _) => format!(
            "of {}, until {} ({} days)",
            held.issuer,
            held.not_after.day(),
            now.until(held.not_after).as_secs() / 86_400
        ),
        (None, TlsMode::Acme) if status.trouble.is_none() || status.under_way => {
            return "none yet, one is being ordered; until then one of our own".to_owned();
        }
        (None, TlsMode::Acme) => "none yet; until then one of our own".to_owned(),
        (None, TlsMode::SelfSigned) => "of an authority of our own".to_owned(),
        (None, _) => "from tls.cert_file".to_owned(),
    };
    if let Some(trouble) = &status.trouble {
        said.push_str(&format!(". {trouble}"));
    }
    if let Some(next) = status.next_try {
        said.push_str(&format!(" Next try: {next}"));
    }
    said
}

/// Has the settings read again.
///
/// # Errors
///
/// As [`Life::reread`](crate::site::life::Life::reread).
pub async fn reread(site: &Site) -> Result<Value> {
    let reread = site.life.reread().await?;
    Ok(json!({
        "changed": reread.changed,
        "after_restart": reread.after_restart,
        "certificate": reread.certificate,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;
    use crate::error::Reason;
    use crate::tls::Certificate;

    #[test]
    fn a_certificate_is_told_in_one_line() {
        let now = Timestamp::parse("2026-06-01").unwrap();
        let held = |until: &str| Certificate {
            names: vec!["cloud.example.org".to_owned()],
            issuer: "Let's Encrypt".to_owned(),
            not_before: now,
            not_after: Timestamp::parse(until).unwrap(),
        };
        let check = |mode: TlsMode, certificate: Option<Certificate>, trouble: Option<Error>, expected: &str| {
            let status = Status {
                mode,
                certificate,
                renewal: None,
                trouble,
                next_try: None,
                names: Vec::new(),
                authority: None,
                steps: Vec::new(),
                under_way: false,
                raw: None,
            };
            let said = sentence(&status, now);
            assert!(said.contains(expected), "{said}");
        };
        check(TlsMode::Off, None, None, "plain http");
        check(TlsMode::Proxy, None, None, "proxy");
        check(
            TlsMode::Acme,
            Some(held("2026-08-30")),
            None,
            "until 2026-08-30 (90 days)",
        );
        check(TlsMode::Files, Some(held("2026-05-30")), None, "ended 2026-05-30");
        let trouble = Error::new(Reason::NoAnswer, "The authority does not answer.");
        check(TlsMode::Acme, None, None, "none yet, one is being ordered");
        check(
            TlsMode::Acme,
            None,
            Some(trouble),
            "none yet; until then one of our own. The authority does not answer.",
        );
    }
}
