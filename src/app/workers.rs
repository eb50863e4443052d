//! What a server does by itself, besides answering.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use actix_web::rt;
use futures_util::FutureExt;
use tokio::task::JoinHandle;

use crate::site::Site;

const AFTER_A_FAULT: Duration = Duration::from_secs(10);
const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(60);

/// Starts them all; they go on until they are aborted.
pub fn start(site: &Site) -> Vec<JoinHandle<()>> {
    vec![
        unending(site, async |site| site.courier.work().await),
        unending(site, async |site| site.notices.work().await),
        unending(site, make_backups),
        unending(site, keep_house),
        unending(site, follow_directories),
        unending(site, shake_hands),
        unending(site, ask_the_silent),
    ]
}

/// Apart from the others, for an order that is under way goes on when settings are read again.
pub fn look_after_certificates(site: &Site) -> JoinHandle<()> {
    unending(site, async |site| site.certificates.work().await)
}

/// A fault of this program in one round must not end a work for good (T-89).
fn unending<W: AsyncFn(Site) + 'static>(site: &Site, work: W) -> JoinHandle<()> {
    let site = site.clone();
    rt::spawn(async move {
        while AssertUnwindSafe(work(site.clone())).catch_unwind().await.is_err() {
            site.metrics.panic();
            tokio::time::sleep(AFTER_A_FAULT).await;
        }
    })
}

/// Apart from the housekeeping, for it reads and writes all there is.
async fn make_backups(site: Site) {
    loop {
        // By a clock in doubt too many would be made, or kept ones removed.
        let believed = site.timekeeper.doubt().is_none();
        if believed {
            // How it went is told by whoever makes it.
            let _ = site.backups.run_due(site.clock.now()).await;
        }
        tokio::time::sleep(HOUSEKEEPING_EVERY).await;
    }
}

async fn keep_house(site: Site) {
    loop {
        // Before the first wait, too: keys whose time ended while no server ran are not to be published again.
        if let Err(error) = site.tidy().await {
            tracing::warn!(causes = error.causes(), "What is over could not be forgotten: {error}");
        }
        tokio::time::sleep(HOUSEKEEPING_EVERY).await;
    }
}

/// Apart from the housekeeping, for a directory may take its time.
async fn follow_directories(site: Site) {
    loop {
        if let Err(error) = site.directories.refresh_due(site.clock.now()).await {
            tracing::warn!(
                causes = error.causes(),
                "The directories could not be refreshed: {error}"
            );
        }
        tokio::time::sleep(HOUSEKEEPING_EVERY).await;
    }
}

/// Apart from the housekeeping, for it waits for those that do not answer.
async fn ask_the_silent(site: Site) {
    loop {
        if let Err(error) = site.peers.ask_the_silent(site.clock.now()).await {
            tracing::warn!(
                causes = error.causes(),
                "Servers that are silent could not be asked again: {error}"
            );
        }
        tokio::time::sleep(HOUSEKEEPING_EVERY).await;
    }
}

/// Apart from the housekeeping, for a peer may take its time, too.
async fn shake_hands(site: Site) {
    loop {
        if let Err(error) = site.handshakes.advance(site.clock.now()).await {
            tracing::warn!(causes = error.causes(), "The handshakes could not go on: {error}");
        }
        tokio::time::sleep(HOUSEKEEPING_EVERY).await;
    }
}
