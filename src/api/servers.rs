//! Other servers and the queue of what is on its way to them, as programs see them.

use serde_json::Value;
use serde_json::json;

use crate::api::every;
use crate::api::moment;
use crate::api::rows;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::outbox::Delivery;
use crate::outbox::Failure;
use crate::peers::settings::PeerSettings;
use crate::peers::trust::Pattern;
use crate::peers::trust::Purpose;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;
use crate::site::Site;

pub async fn rule(
    site: &Site,
    host: &str,
    allow: bool,
    reason: String,
    note: String,
    until: Option<String>,
    by: String,
) -> Result<Value> {
    let rule = TrustRule {
        pattern: Pattern::parse(host)?,
        verdict: if allow { Verdict::Allow } else { Verdict::Deny },
        reason,
        note,
        expires: moment("until", until)?,
        by,
        since: site.clock.now(),
    };
    site.peers.set_rule(&rule).await?;
    Ok(rule_row(rule))
}

pub async fn remove(site: &Site, host: &str) -> Result<Value> {
    let rule = site.peers.remove_rule(&Pattern::parse(host)?).await?;
    Ok(rule_row(rule))
}

pub async fn list(site: &Site) -> Result<Value> {
    Ok(rows(every(async |page| site.peers.rules(&page).await).await?, rule_row))
}

fn rule_row(rule: TrustRule) -> Value {
    json!({
        "host": rule.pattern,
        "verdict": rule.verdict,
        "reason": rule.reason,
        "note": rule.note,
        "expires": rule.expires.map(|at| at.to_string()),
        "by": rule.by,
        "since": rule.since.to_string(),
    })
}

pub async fn explain(site: &Site, host: &str) -> Result<Value> {
    let host = read(host)?;
    Ok(json!(site.peers.explain(&host, Purpose::Federate).await?))
}

/// Asks the server whether it can verify our signatures.
pub async fn probe(site: &Site, host: &str) -> Result<Value> {
    Ok(json!(site.peers.probe(&read(host)?).await?))
}

/// What is known of a server, without asking it.
pub async fn show(site: &Site, host: &str) -> Result<Value> {
    portrait(site, &read(host)?).await
}

/// Sets how a server's signatures are dealt with, and how it is spoken to.
pub async fn set(
    site: &Site,
    host: &str,
    signatures: Option<&str>,
    dialect: Option<String>,
    by: String,
) -> Result<Value> {
    let provider = read(host)?;
    let settings = PeerSettings::read(&provider, signatures, dialect, by, site.clock.now())?;
    site.peers.set_settings(&settings).await?;
    portrait(site, &provider).await
}

/// Asks the server what it says of itself now.
pub async fn refresh(site: &Site, host: &str) -> Result<Value> {
    let host = read(host)?;
    site.peers.refresh(&host).await?;
    portrait(site, &host).await
}

async fn portrait(site: &Site, host: &Provider) -> Result<Value> {
    let decision = site.peers.explain(host, Purpose::Federate).await?;
    let account = site.peers.account(host).await?;
    let since = site.peers.signs_since(host).await?;
    let said = account.discovery.map(|(discovery, fetched)| {
        json!({
            "fetched": moment_or_never(fetched),
            "provider": discovery.name(),
            "version": format!("{}.{}", discovery.api_version().0, discovery.api_version().1),
            "end_point": discovery.end_point().as_str(),
            "capabilities": discovery.capabilities(),
            "criteria": discovery.criteria(),
            "resource_types": discovery.resource_types().collect::<Vec<_>>(),
        })
    });
    let settings = site.peers.settings_of(host).await?;
    let met = site.peers.recall(host).await?;
    let key = |(kid, thumbprint): (String, String)| json!({ "kid": kid, "thumbprint": thumbprint });
    Ok(json!({
        "host": host.to_string(),
        "decision": decision.decision,
        "because": decision.because,
        "signs_since": since.map(|at| at.to_string()),
        "speaks": met.as_ref().map(|met| json!({
            "dialect": met.dialect.id,
            "name": met.dialect.name,
            "limits": met.dialect.limits,
            "chosen_by_hand": settings.as_ref().is_some_and(|settings| settings.dialect.is_some()),
        })),
        "signatures": met.as_ref().map(|met| json!({
            "policy": met.policy,
            "ours": met.signing,
            "why_not": met.why_not,
        })),
        "discovery": said,
        "keys": account.keys.into_iter().map(key).collect::<Vec<_>>(),
        "last_error": account.failed.map(|(error, at)| json!(Failure::new(&error, at))),
    }))
}

/// What is to be asked for anew was never fetched, as far as its age counts.
fn moment_or_never(at: Timestamp) -> Option<String> {
    (at > Timestamp(0)).then(|| at.to_string())
}

pub(super) fn read(host: &str) -> Result<Provider> {
    let host = host.trim();
    Provider::parse_lenient(host.strip_suffix('.').unwrap_or(host))
        .map_err(|invalid| Error::from(invalid).in_field("host"))
}

pub async fn queue(site: &Site) -> Result<Value> {
    Ok(rows(
        every(async |page| site.outbox.list(&page).await).await?,
        delivery_row,
    ))
}

pub async fn retry(site: &Site, id: &str) -> Result<Value> {
    Ok(delivery_row(site.outbox.retry(id, site.clock.now()).await?))
}

pub async fn drop(site: &Site, id: &str) -> Result<Value> {
    site.courier.drop(id).await?;
    Ok(json!({ "id": id }))
}

fn delivery_row(delivery: Delivery) -> Value {
    json!({
        "id": delivery.id,
        "to": delivery.to.to_string(),
        "what": delivery.cargo,
        "share": delivery.share,
        "user": delivery.user,
        "state": delivery.progress,
        "tries": delivery.tries,
        "created": delivery.created.to_string(),
        "next_try": delivery.due.to_string(),
        "last_error": delivery.last_error,
    })
}
