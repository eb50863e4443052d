//! Whether all is well, and what to do where it is not: for `ocmesh doctor`, the page of diagnostics, and the overview.
//!
//! Each check is bounded in time, and all are made at once. What is found says what is so, why, and who does what next.

pub mod bundle;
mod ground;
mod inside;
mod outside;

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use futures_util::future::join_all;

use crate::config::Config;
use crate::error::Error;
use crate::error::Result;
use crate::site::Site;

pub use crate::findings::Finding;
pub use crate::findings::Report;
pub use crate::findings::State;
pub use ground::doubts;
pub use ground::from_aside;
pub use ground::user_name;
pub use ground::without_server;

/// How long a check may take. Some ask two things of a network, one after the other.
const PATIENCE: Duration = Duration::from_secs(8);

type Check<'a> = LocalBoxFuture<'a, Vec<Finding>>;

/// Looks at everything. Asks no other server unless `outside`.
pub async fn examine(site: &Site, outside: bool) -> Result<Vec<Finding>> {
    let mut checks: Vec<Check<'_>> = vec![
        bounded("config", on_disk(site, ground::settings)),
        bounded("permissions", on_disk(site, ground::permissions)),
        bounded("secrets", on_disk(site, ground::secrets)),
        bounded("disk", on_disk(site, ground::disk)),
        bounded("clock", Box::pin(inside::clock(site))),
        bounded("store", Box::pin(inside::store(site))),
        bounded("keys", Box::pin(inside::keys(site))),
        bounded("certificate", Box::pin(inside::certificate(site))),
        bounded("proxy", Box::pin(inside::proxy(site))),
        bounded("backup", Box::pin(inside::backup(site))),
        bounded("backup-review", Box::pin(inside::restored(site))),
        bounded("queue", Box::pin(inside::queue(site))),
        bounded("directories", Box::pin(inside::directories(site))),
        bounded("peers", Box::pin(inside::peers(site))),
    ];
    if outside {
        checks.extend([
            bounded("clocks", Box::pin(outside::clocks(site))),
            bounded("ports", Box::pin(outside::ports(site))),
            bounded("dns", Box::pin(outside::dns(site))),
            bounded("discovery", Box::pin(outside::discovery(site))),
            bounded("published-keys", Box::pin(outside::published_keys(site))),
            bounded("mail", Box::pin(outside::mail(site))),
        ]);
    }
    Ok(join_all(checks).await.into_iter().flatten().collect())
}

/// Looks at everything there is to be looked at, and keeps what was found for those who ask later.
pub async fn check_up(site: &Site) -> Result<std::sync::Arc<Report>> {
    let findings = examine(site, true).await?;
    Ok(site.last_findings.keep(Report {
        at: site.clock.now(),
        findings,
    }))
}

/// A check that takes too long says so itself; the others don't wait for it.
fn bounded<'a>(check: &'static str, looking: LocalBoxFuture<'a, Result<Vec<Finding>>>) -> Check<'a> {
    Box::pin(async move {
        match tokio::time::timeout(PATIENCE, looking).await {
            Ok(Ok(findings)) => findings,
            Ok(Err(error)) => vec![untold(check, &error)],
            Err(_) => {
                let seconds = PATIENCE.as_secs();
                let why = format!("This could not be looked at within {seconds} s.");
                vec![Finding::unknown(check, why)]
            }
        }
    })
}

fn untold(check: &'static str, error: &Error) -> Finding {
    Finding::unknown(check, format!("This could not be looked at: {error}"))
}

/// A look at files, on a thread of its own: a disk that hangs must not hang more than this.
fn on_disk(site: &Site, look: fn(&Config) -> Vec<Finding>) -> LocalBoxFuture<'_, Result<Vec<Finding>>> {
    Box::pin(async move {
        let config = site.config.clone();
        tokio::task::spawn_blocking(move || look(&config))
            .await
            .map_err(Error::internal)
    })
}
