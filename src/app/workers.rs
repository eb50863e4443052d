//! What a server does by itself, besides answering.

use std::time::Duration;

use actix_web::rt;
use tokio::task::JoinHandle;

use crate::site::Site;

const HOUSEKEEPING_EVERY: Duration = Duration::from_secs(60);

/// Starts them all; they go on until they are aborted.
pub fn start(site: &Site) -> Vec<JoinHandle<()>> {
    let courier = site.courier.clone();
    let certificates = site.certificates.clone();
    let notices = site.notices.clone();
    vec![
        rt::spawn(async move { courier.work().await }),
        rt::spawn(async move { certificates.work().await }),
        rt::spawn(async move { notices.work().await }),
        rt::spawn(make_backups(site.clone())),
        rt::spawn(keep_house(site.clone())),
        rt::spawn(follow_directories(site.clone())),
        rt::spawn(shake_hands(site.clone())),
        rt::spawn(ask_the_silent(site.clone())),
    ]
}

/// Apart from the housekeeping, for it reads and writes all there is.
async fn make_backups(site: Site) {
    loop {
        if let Err(error) = site.backups.run_due(site.clock.now()).await {
            tracing::error!(causes = error.causes(), "No backup could be made: {error}");
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
