//! What a service manager is told (sd_notify), where there is one that wants to hear it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

use actix_web::rt;
use sd_notify::NotifyState;
use tokio::task::JoinHandle;

use crate::app::current::Current;
use crate::error::Reason;
use crate::ocm::address::Provider;
use crate::store::State;
use crate::store::Store;

pub fn ready(own: &Provider) {
    tell(&[NotifyState::Ready, NotifyState::Status(&format!("Serves {own}"))]);
}

pub fn reloading() {
    let mut told = vec![NotifyState::Reloading];
    told.extend(NotifyState::monotonic_usec_now());
    told.push(NotifyState::Status("Reads its settings again"));
    tell(&told);
}

pub fn stopping() {
    tell(&[
        NotifyState::Stopping,
        NotifyState::Status("Finishes the requests under way"),
    ]);
}

/// What is not as it should be, in one line.
pub fn trouble(what: &str) {
    tell(&[NotifyState::Status(what)]);
}

fn tell(what: &[NotifyState<'_>]) {
    if let Err(cause) = sd_notify::notify(false, what) {
        tracing::debug!(%cause, "The service manager can't be told");
    }
}

/// Tells it twice in each of its intervals that all is well; it ends whoever falls silent. Nothing where it has no interval.
pub fn keep_alive(current: &Current, recovering: &Arc<AtomicBool>) -> Option<JoinHandle<()>> {
    let mut interval = 0;
    if !sd_notify::watchdog_enabled(false, &mut interval) || interval == 0 {
        return None;
    }
    let half = Duration::from_micros(interval / 2);
    let (current, recovering) = (current.clone(), Arc::clone(recovering));
    Some(rt::spawn(async move {
        let mut due = tokio::time::interval(half);
        loop {
            due.tick().await;
            let site = current.site();
            if recovering.load(Ordering::SeqCst) || is_well(&site.store) {
                tell(&[NotifyState::Watchdog]);
            } else {
                tracing::error!("The store does not work; the service manager is left to end this process");
            }
        }
    }))
}

/// A restart makes no room on a full disk, and there is a way back from that; it may help against all else.
fn is_well(store: &Store) -> bool {
    match store.state() {
        State::Ready | State::Full => true,
        State::Slow => false,
        State::Stopped(cause) => cause.reason() == Reason::DiskFull,
    }
}
