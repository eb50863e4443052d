//! Other servers and the queue of what is on its way to them, as programs see them.

use serde_json::Value;
use serde_json::json;

use crate::api::moment;
use crate::api::rows;
use crate::clock::Timestamp;
use crate::config::Mode;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Result;
use crate::handshake::Handshake;
use crate::ocm::address::Provider;
use crate::ocm::preflight::Abilities;
use crate::outbox::Delivery;
use crate::outbox::Failure;
use crate::peers::batch::Batch;
use crate::peers::lists;
use crate::peers::settings::PeerSettings;
use crate::peers::together::Together;
use crate::peers::together::together;
use crate::peers::trust::Pattern;
use crate::peers::trust::Purpose;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;
use crate::site::Site;
use crate::store::every;

/// Who did what came without a name.
const COMMAND: &str = "the command line";

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
        batch: None,
    };
    let batch = site.peers.set_rule(rule.clone()).await?;
    Ok(with_batch(lists::row(&rule), &batch))
}

pub async fn remove(site: &Site, host: &str) -> Result<Value> {
    let (rule, batch) = site.peers.remove_rule(&Pattern::parse(host)?, COMMAND).await?;
    Ok(with_batch(lists::row(&rule), &batch))
}

/// What undoes it, beside what was done.
fn with_batch(mut row: Value, batch: &Batch) -> Value {
    row["batch"] = json!(batch.id);
    row
}

/// All rules, in the order of their patterns.
pub async fn every_rule(site: &Site) -> Result<Vec<TrustRule>> {
    every(async |page| site.peers.rules(&page).await).await
}

pub async fn list(site: &Site) -> Result<Value> {
    Ok(rows(every_rule(site).await?, |rule| lists::row(&rule)))
}

/// The mode in force; another one from now on, where one is given.
pub async fn mode(site: &Site, mode: Option<&str>, by: &str) -> Result<Value> {
    if let Some(word) = mode {
        let wanted = Mode::from_word(word)
            .ok_or_else(|| Error::invalid("mode", "This is none of invite, allowlist and open."))?;
        site.peers.choose_mode(wanted, by).await?;
    }
    let from = site.peers.mode_from();
    Ok(json!({
        "mode": site.peers.mode().await?,
        "set_by": match (from.is_set(), site.peers.chosen_mode().await?) {
            (true, _) => from.to_string(),
            (false, Some(chosen)) => chosen.by,
            (false, None) => "nobody: the default".to_owned(),
        },
    }))
}

pub async fn explain(site: &Site, host: &str) -> Result<Value> {
    let host = read(host)?;
    Ok(json!(site.peers.explain(&host, Purpose::Federate).await?))
}

/// Asks the server whether it can verify our signatures.
pub async fn probe(site: &Site, host: &str) -> Result<Value> {
    Ok(json!(site.peers.probe(&read(host)?).await?))
}

/// Begins to become a trusted server there; what comes of it is in [`show`].
pub async fn handshake(site: &Site, host: &str) -> Result<Value> {
    let started = site.handshakes.start(&read(host)?, site.clock.now()).await?;
    Ok(handshake_row(&started))
}

fn handshake_row(handshake: &Handshake) -> Value {
    json!({
        "host": handshake.provider.to_string(),
        "state": handshake.state(),
        "done": handshake.done().map(|at| at.to_string()),
        "read": handshake.read().map(|at| at.to_string()),
        "next_try": handshake.next_try().map(|at| at.to_string()),
        "last_error": handshake.failure,
    })
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

/// What works between this server and that one, as far as is known.
pub async fn together_with(site: &Site, host: &Provider) -> Result<Vec<Together>> {
    let federate = site.peers.explain(host, Purpose::Federate).await?;
    let invite = site.peers.explain(host, Purpose::Invite).await?;
    let discovery = site.peers.account(host).await?.discovery;
    let met = site.peers.recall(host).await?;
    let known = discovery.as_ref().map(|(discovery, _)| &**discovery).zip(met.as_ref());
    let ours = Abilities {
        exchange_token: true,
        insists_on_exchange: site.config.federation.require_token_exchange,
    };
    Ok(together(ours, &invite, &federate, known))
}

/// Notes that somebody has compared the keys that a server has now.
pub async fn trust_keys(site: &Site, host: &str) -> Result<Value> {
    let host = read(host)?;
    site.peers.trust_keys(&host).await?;
    portrait(site, &host).await
}

/// What is on its way to one server; the most that are looked at is what a page shows.
pub async fn queue_for(site: &Site, host: &Provider) -> Result<Vec<Delivery>> {
    let all = every(async |page| site.outbox.list(&page).await).await?;
    Ok(all.into_iter().filter(|delivery| delivery.to == *host).collect())
}

/// Makes everything due now that is on its way to a server.
pub async fn retry_for(site: &Site, host: &str) -> Result<Value> {
    let host = read(host)?;
    let mut retried = Vec::new();
    for delivery in queue_for(site, &host).await? {
        match site.outbox.retry(&delivery.id, site.clock.now()).await {
            Ok(delivery) => retried.push(delivery),
            // It was delivered meanwhile, or waits for an admin since a restore.
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Conflict) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(rows(retried, delivery_row))
}

async fn portrait(site: &Site, host: &Provider) -> Result<Value> {
    let decision = site.peers.explain(host, Purpose::Federate).await?;
    let account = site.peers.account(host).await?;
    let since = site.peers.signs_since(host).await?;
    let handshake = site.handshakes.of(host).await?;
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
    let together = together_with(site, host).await?;
    let seen = site.peers.seen_keys(host).await?;
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
        "keys_changed": seen.and_then(|seen| seen.changed).map(|at| at.to_string()),
        "together": together,
        "handshake": handshake.as_ref().map(handshake_row),
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
