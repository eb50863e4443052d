//! The certificate of this server, as programs see it: never its key.

use serde_json::Value;
use serde_json::json;

use crate::api::rows;
use crate::config::TlsMode;
use crate::error::Result;
use crate::site::Site;
use crate::tls::Found;

/// What to paste into a proxy that stands in front of this server: `HOST` is our name, `INSIDE` where we listen.
pub const PROXIES: [(&str, &str); 3] = [
    ("Caddy", include_str!("proxy/Caddyfile")),
    ("nginx", include_str!("proxy/nginx.conf")),
    ("Traefik", include_str!("proxy/traefik.yml")),
];

pub fn status(site: &Site) -> Value {
    let status = site.certificates.status();
    let now = site.clock.now();
    let certificate = status.certificate.as_ref();
    json!({
        "mode": mode(status.mode),
        "names": status.names,
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

/// The word for it, as the configuration has it.
pub fn mode(mode: TlsMode) -> &'static str {
    match mode {
        TlsMode::Auto => "auto",
        TlsMode::Off => "off",
        TlsMode::Proxy => "proxy",
        TlsMode::Files => "files",
        TlsMode::Acme => "acme",
        TlsMode::SelfSigned => "self-signed",
    }
}
