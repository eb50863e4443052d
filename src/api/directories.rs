//! The Directory Services that are followed, as programs see them.

use serde_json::Value;
use serde_json::json;

use crate::api::rows;
use crate::directories::Status;
use crate::error::Result;
use crate::site::Site;

pub async fn list(site: &Site) -> Result<Value> {
    Ok(rows(site.directories.list().await?, row))
}

/// Whether one could be had stands in its row.
pub async fn refresh_all(site: &Site) -> Result<Value> {
    for directory in site.directories.list().await? {
        site.directories
            .refresh(directory.url.as_str(), site.clock.now())
            .await?;
    }
    list(site).await
}

pub async fn refresh(site: &Site, url: &str) -> Result<Value> {
    let status = site.directories.refresh(url, site.clock.now()).await?;
    status.outcome()?;
    Ok(rows(vec![status], row))
}

pub async fn accept(site: &Site, url: &str) -> Result<Value> {
    let status = site.directories.accept(url, None, site.clock.now()).await?;
    Ok(row(status))
}

fn row(status: Status) -> Value {
    let good = status.good.as_ref();
    json!({
        "url": status.url.as_str(),
        "federation": good.map(|good| &good.federation),
        "servers": good.map(|good| good.servers),
        "dropped": good.map(|good| good.dropped),
        "key": status.fingerprint,
        "admits": status.admits,
        "fetched": good.map(|good| good.fetched.to_string()),
        "expires": good.and_then(|good| good.expires).map(|end| end.to_string()),
        "tried": status.tried.map(|at| at.to_string()),
        "last_error": status.failure,
        "held": status.held,
    })
}
