//! The certificate of this server, as programs see it: never its key.

use serde_json::Value;
use serde_json::json;

use crate::api::rows;
use crate::error::Result;
use crate::site::Site;
use crate::tls::Found;

pub fn status(site: &Site) -> Value {
    let status = site.certificates.status();
    let now = site.clock.now();
    let certificate = status.certificate.as_ref();
    json!({
        "mode": status.mode.as_str(),
        "names": status.names,
        "certificate_names": certificate.map(|one| &one.names),
        "issuer": certificate.map(|one| one.issuer.as_str()),
        "not_before": certificate.map(|one| one.not_before.to_string()),
        "not_after": certificate.map(|one| one.not_after.to_string()),
        "days_left": certificate.map(|one| now.until(one.not_after).as_secs() / 86_400),
        "renewal": status.renewal.map(|at| at.to_string()),
        "authority": status.authority.as_ref().map(|(name, _)| name.as_str()),
        "way": status.authority.as_ref().map(|(_, way)| way),
        "under_way": status.under_way,
        "next_try": status.next_try.map(|at| at.to_string()),
        "code": status.trouble.as_ref().map(|trouble| trouble.reason().code()),
        "trouble": status.trouble.as_ref().map(|trouble| trouble.message().to_owned()),
        "answer": status.raw,
        "steps": rows(status.steps, |step| json!({
            "at": step.at.to_string(),
            "done": step.sentence.replace("{what}", &step.what),
        })),
    })
}

/// What was looked at, and whether an order would have a chance.
pub async fn preflight(site: &Site) -> Result<Value> {
    let looks = site.certificates.preflight().await;
    Ok(json!({
        "passed": looks.iter().all(|look| look.found != Found::Bad),
        "looks": looks,
    }))
}

pub async fn renew(site: &Site) -> Result<Value> {
    site.certificates.renew().await?;
    Ok(status(site))
}

pub fn authority(site: &Site) -> Result<Value> {
    Ok(json!({ "pem": site.certificates.authority()? }))
}
