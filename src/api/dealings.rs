//! What people here have to do with each other server, and what a change of the rules would cut off.

use std::collections::BTreeMap;

use crate::config::Mode;
use crate::contacts::Contact;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::peers::trust::Pattern;
use crate::peers::trust::Purpose;
use crate::peers::trust::Verdict;
use crate::shares::ReceivedShare;
use crate::shares::SentShare;
use crate::shares::received::ReceivedState;
use crate::site::Site;
use crate::store::Key;
use crate::store::every;

/// What there is between this server and another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dealings {
    pub contacts: usize,
    pub shares: usize,
}

/// A server that would not be dealt with any more.
#[derive(Clone, Debug)]
pub struct CutOff {
    pub host: Provider,
    pub dealings: Dealings,
}

pub async fn every_contact(site: &Site) -> Result<Vec<Contact>> {
    every(async |page| {
        site.store
            .read(async |txn| txn.list::<Contact>(Key::ALL, &page).await)
            .await
    })
    .await
}

/// The shares that are open: ours for others, and those of others here.
pub async fn open_shares(site: &Site) -> Result<(Vec<SentShare>, Vec<ReceivedShare>)> {
    let now = site.clock.now();
    let mut sent = every(async |page| {
        site.store
            .read(async |txn| txn.list::<SentShare>(Key::ALL, &page).await)
            .await
    })
    .await?;
    sent.retain(|share| share.in_force(now));
    let mut received = every(async |page| {
        site.store
            .read(async |txn| txn.list::<ReceivedShare>(Key::ALL, &page).await)
            .await
    })
    .await?;
    received
        .retain(|share| matches!(share.state, ReceivedState::Pending | ReceivedState::Accepted) && !share.expired(now));
    Ok((sent, received))
}

/// With each server that there is something with.
pub async fn all(site: &Site) -> Result<BTreeMap<Provider, Dealings>> {
    let mut all: BTreeMap<Provider, Dealings> = BTreeMap::new();
    for contact in every_contact(site).await? {
        all.entry(contact.address.provider).or_default().contacts += 1;
    }
    let (sent, received) = open_shares(site).await?;
    let others = sent.into_iter().map(|share| share.share_with.provider);
    for host in others.chain(received.into_iter().map(|share| share.sender.provider)) {
        all.entry(host).or_default().shares += 1;
    }
    Ok(all)
}

/// Those of the servers dealt with now that would not be if these were denied.
pub async fn cut_off_by_denying(site: &Site, patterns: &[Pattern]) -> Result<Vec<CutOff>> {
    let denied = |host: &Provider| patterns.iter().any(|pattern| pattern.covers(Verdict::Deny, host));
    cut_off(site, async |host| Ok(denied(host))).await
}

/// The same if these rules were removed.
pub async fn cut_off_by_removing(site: &Site, patterns: &[Pattern]) -> Result<Vec<CutOff>> {
    let mode = site.peers.mode().await?;
    cut_off(site, async |host| {
        Ok(!site.peers.suppose(host, mode, patterns).await?.allowed)
    })
    .await
}

/// The same if this were the mode.
pub async fn cut_off_by_mode(site: &Site, mode: Mode) -> Result<Vec<CutOff>> {
    cut_off(site, async |host| {
        Ok(!site.peers.suppose(host, mode, &[]).await?.allowed)
    })
    .await
}

async fn cut_off(site: &Site, would: impl AsyncFn(&Provider) -> Result<bool>) -> Result<Vec<CutOff>> {
    let mut cut = Vec::new();
    for (host, dealings) in all(site).await? {
        if site.peers.explain(&host, Purpose::Federate).await?.allowed && would(&host).await? {
            cut.push(CutOff { host, dealings });
        }
    }
    Ok(cut)
}
