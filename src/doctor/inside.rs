//! What the server knows of itself: clock, store, keys, certificate, backups, and what is on its way to others.

use std::time::Duration;

use crate::backup::Standing;
use crate::backup::review;
use crate::clock::Timestamp;
use crate::config::Config;
use crate::config::Size;
use crate::config::TlsMode;
use crate::doctor::ground;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::findings::Finding;
use crate::keys::State as Stage;
use crate::outbox::Delivery;
use crate::outbox::Progress;
use crate::site::Site;
use crate::store;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::timekeeper::Doubt;
use crate::tls::Status;

/// How late something may be that a worker does every minute.
const LATE: Duration = Duration::from_secs(1_800);
/// How many of the last requests to a server must have failed before it counts as one that fails.
const FAILED: usize = 3;
/// How many names a sentence has room for.
const NAMED: usize = 3;

pub(super) async fn clock(site: &Site) -> Result<Vec<Finding>> {
    let mut found = Vec::from_iter(site.timekeeper.doubt().map(jumped));
    let now = ground::clock(site.clock.now());
    if found.is_empty() || now.needs_somebody() {
        found.insert(0, now);
    }
    Ok(found)
}

fn jumped(doubt: Doubt) -> Finding {
    let Doubt { before, since, .. } = doubt;
    let until = doubt.ends().map_or_else(
        || "Nothing that seems to be over is forgotten until then.".to_owned(),
        |end| format!("Nothing that seems to be over is forgotten until {end}, if it goes on evenly."),
    );
    Finding::warn(
        "clock",
        format!("The clock went from {before} to {since}: the server was off for a while, or the clock is wrong."),
        format!("Where the clock is wrong, set it: timedatectl set-ntp true. {until}"),
    )
}

pub(super) async fn store(site: &Site) -> Result<Vec<Finding>> {
    let finding = match site.store.state() {
        store::State::Ready => {
            let size = Size(site.store.size_on_disk()?);
            Finding::ok("store", format!("The database takes changes; it has {size} on disk."))
        }
        store::State::Slow => Finding::warn(
            "store",
            "A write to the disk has been under way for longer than any disk should take.",
            "Look whether the disk is failing or overloaded: dmesg, iostat.",
        ),
        store::State::Full => Finding::bad(
            "store",
            "The disk is nearly full: the database takes no changes until there is room again.",
            "Make room; it goes on by itself then.",
        ),
        // The server opens it anew by itself once there is room.
        store::State::Stopped(why) if why.reason() == Reason::DiskFull => Finding::bad(
            "store",
            format!("The database takes no changes: {why}"),
            "Make room; it goes on by itself then.",
        ),
        store::State::Stopped(why) => Finding::bad(
            "store",
            format!("The database takes no changes: {why}"),
            "Look into the log for the cause, mend it, and start the server again.",
        ),
    };
    Ok(vec![finding])
}

pub(super) async fn proxy(site: &Site) -> Result<Vec<Finding>> {
    let faults = site.proxy.faults().into_iter();
    let found: Vec<_> = faults
        .map(|fault| Finding::warn("proxy", fault.sentence, fault.remedy))
        .collect();
    if site.proxy.expected() && found.is_empty() {
        return Ok(vec![Finding::ok(
            "proxy",
            "Nothing is wrong with the way that requests come through the proxy.",
        )]);
    }
    Ok(found)
}

pub(super) async fn keys(site: &Site) -> Result<Vec<Finding>> {
    let now = site.clock.now();
    let late = |until: Option<Timestamp>| until.is_some_and(|until| now > until.plus(LATE));
    let keys = site.keys.list();
    if let Some(key) = keys.iter().find(|key| late(key.until)) {
        let kid = key.jwk.kid();
        return Ok(vec![Finding::warn(
            "keys",
            format!("The signing key {kid} should have taken its next step by now, and has not."),
            "Look into the log; the clock may be in doubt. The server does it by itself once it can.",
        )]);
    }
    let active = site.keys.active();
    let kid = active.kid();
    let sentence = match keys.iter().find(|key| key.state == Stage::Pending) {
        Some(next) => {
            let next = next.jwk.kid();
            format!("{kid} signs, and {next} will next.")
        }
        None => format!("{kid} signs."),
    };
    Ok(vec![Finding::ok("keys", sentence)])
}

pub(super) async fn certificate(site: &Site) -> Result<Vec<Finding>> {
    let status = site.certificates.status();
    Ok(vec![judge_certificate(&site.config, &status, site.clock.now())])
}

pub(super) fn judge_certificate(config: &Config, status: &Status, now: Timestamp) -> Finding {
    const CHECK: &str = "certificate";
    let see = "Look at the page “Certificate”, or: ocmesh tls status";
    let url = &config.server.public_url;
    if !status.mode.is_here() {
        return match status.mode {
            TlsMode::Proxy => Finding::ok(CHECK, "A reverse proxy in front encrypts; the certificate is there."),
            _ if url.provider().is_loopback() => {
                Finding::ok(CHECK, "Nothing is encrypted, and nothing leaves this machine.")
            }
            _ => Finding::warn(
                CHECK,
                format!("Nothing is encrypted on the way to {url}: passwords can be read there."),
                "Give the server an address with https: server.public_url and tls.mode say it.",
            ),
        };
    }
    let trouble = status.trouble.as_ref();
    let Some(certificate) = &status.certificate else {
        return match trouble {
            Some(why) => Finding::bad(CHECK, format!("There is no certificate: {why}"), see),
            None => Finding::warn(CHECK, "There is no certificate yet.", see),
        };
    };
    let (ends, begins) = (certificate.not_after.day(), certificate.not_before);
    if certificate.not_after <= now {
        return Finding::bad(
            CHECK,
            format!("The certificate ended on {ends}: browsers and other servers refuse it."),
            trouble.map_or_else(|| see.to_owned(), ToString::to_string),
        );
    }
    if begins > now {
        return Finding::bad(
            CHECK,
            format!("The certificate is good from {begins} on, and the clock says {now}."),
            "Compare the clock with another one; set it where it is wrong: timedatectl set-ntp true",
        );
    }
    let host = url.provider().host();
    if !certificate.names.is_empty() && !certificate.is_for(host) {
        let names = certificate.names.join(", ");
        return Finding::bad(
            CHECK,
            format!("The certificate is for {names}, and not for {host}."),
            "Get one for this name, or mend server.public_url.",
        );
    }
    if let Some(why) = trouble {
        return Finding::warn(
            CHECK,
            format!("The certificate is good until {ends}, and could not be renewed: {why}"),
            see,
        );
    }
    if now >= certificate.not_after.minus(config.tls.warn_before.0) {
        let renewed = match status.mode {
            TlsMode::Files => "Put a new one in its place; it is read without a restart.",
            _ => see,
        };
        return Finding::warn(CHECK, format!("The certificate ends on {ends}."), renewed);
    }
    let renewal = status.renewal.map(Timestamp::day);
    Finding::ok(
        CHECK,
        match renewal {
            Some(renewal) => format!("The certificate is good until {ends}, and is renewed on {renewal}."),
            None => format!("The certificate is good until {ends}."),
        },
    )
}

pub(super) async fn backup(site: &Site) -> Result<Vec<Finding>> {
    let now = site.clock.now();
    let standing = site.backups.standing(now).await?;
    let config = site.config.clone();
    let looked = tokio::task::spawn_blocking(move || ground::same_disk(&config.server.data_dir, &config.backup.dir));
    let same = looked.await.map_err(Error::internal)?;
    Ok(judge_backup(&site.config, standing, same))
}

fn judge_backup(config: &Config, standing: Standing, same_disk: Option<bool>) -> Vec<Finding> {
    const CHECK: &str = "backup";
    let make = "Make one now, on the page “Backups” or with: ocmesh backup create";
    let state = match standing {
        Standing::Missing if config.backup.every.0.is_none() => {
            let off = "Backups are off (backup.every): something else must make them.";
            return vec![Finding::ok(CHECK, off)];
        }
        Standing::Missing => Finding::warn(CHECK, "No backup was made yet.", make),
        Standing::Old(at) => Finding::bad(
            CHECK,
            format!("The last backup is of {at}, which is more than two times backup.every ago."),
            format!("Look into the log why none was made since. {make}"),
        ),
        Standing::Unchecked(at) => Finding::warn(
            CHECK,
            format!("The last backup, of {at}, was not read back: nobody knows whether it is whole."),
            "Have it checked, on the page “Backups” or with: ocmesh backup verify FILE",
        ),
        Standing::Well(at) => Finding::ok(
            CHECK,
            format!("The last backup is of {at}; it was read back and is whole."),
        ),
    };
    let mut found = vec![state];
    if same_disk == Some(true) {
        let dir = config.backup.dir.display();
        found.push(Finding::warn(
            "backup-place",
            format!("Backups are kept in {dir}, on the disk that the data is on: both would be lost together."),
            "Name a folder on another disk in backup.dir, or have the backups copied elsewhere.",
        ));
    }
    found
}

pub(super) async fn queue(site: &Site) -> Result<Vec<Finding>> {
    let some = site.outbox.list(&Page::first(MAX_PAGE)).await?;
    let waits = &site.config.shares.delivery_retry;
    let longest = waits.iter().map(|wait| wait.0).max().unwrap_or_default();
    Ok(judge_queue(&some.items, longest, site.clock.now()))
}

fn judge_queue(deliveries: &[Delivery], longest_wait: Duration, now: Timestamp) -> Vec<Finding> {
    const CHECK: &str = "queue";
    let (mut waiting, mut given_up, mut held) = (Vec::new(), Vec::new(), 0);
    for delivery in deliveries {
        match delivery.progress {
            Progress::Waiting => waiting.push(delivery),
            Progress::GivenUp => given_up.push(delivery),
            Progress::Held => held += 1,
        }
    }
    let mut found = Vec::new();
    if !given_up.is_empty() {
        let number = given_up.len();
        let hosts = names(given_up.iter().map(|delivery| delivery.to.to_string()));
        found.push(Finding::warn(
            CHECK,
            format!("Messages that could not be delivered and are not tried again: {number}, to {hosts}."),
            "Look at the page “Deliveries” why, and try again or drop them; or: ocmesh queue list",
        ));
    }
    let stuck = waiting.iter().filter(|delivery| now > delivery.due.plus(LATE)).count();
    if stuck > 0 {
        found.push(Finding::bad(
            CHECK,
            format!("Messages that should have been sent long ago: {stuck}. What sends them does not run."),
            "Look into the log, and start the server again.",
        ));
    }
    // Twice, for waits are stretched, and peers may ask for longer ones.
    let horizon = now.plus(longest_wait.saturating_mul(2)).plus(LATE);
    let far = waiting.iter().filter(|delivery| delivery.due > horizon).count();
    if far > 0 {
        found.push(Finding::warn(
            CHECK,
            format!("Messages that wait for longer than any should: {far}. The clock was wrong when they were tried."),
            "Have them tried now, on the page “Deliveries” or with: ocmesh queue retry ID",
        ));
    }
    if found.is_empty() {
        found.push(match waiting.len() {
            0 if held > 0 => Finding::ok(CHECK, "Nothing is on its way but what waits since the restore."),
            0 => Finding::ok(CHECK, "Nothing is waiting."),
            number => Finding::ok(CHECK, format!("Messages on their way: {number}.")),
        });
    }
    found
}

/// What came back with a backup and does nothing until somebody has looked at it (T-86); nothing where there is none.
pub(super) async fn restored(site: &Site) -> Result<Vec<Finding>> {
    let held = review::held(&site.shares, &site.invites, &site.outbox).await?;
    Ok(Vec::from_iter(judge_restored(held.numbers())))
}

fn judge_restored(held: review::Numbers) -> Option<Finding> {
    let number = held.shares + held.invites + held.deliveries;
    (number > 0).then(|| {
        Finding::warn(
            "backup-review",
            format!(
                "Shares, invitations and messages that wait since the restore: {number}. None is used or sent before \
                 somebody has looked at it."
            ),
            "Look at them on the page “Backups” and confirm those that are still right; or: ocmesh backup review",
        )
    })
}

pub(super) async fn directories(site: &Site) -> Result<Vec<Finding>> {
    const CHECK: &str = "directories";
    let all = site.directories.list().await?;
    let mut found = Vec::new();
    for directory in &all {
        let host = directory.url.host_str().unwrap_or_default();
        match (&directory.held, &directory.failure) {
            (Some(_), _) => found.push(Finding::warn(
                CHECK,
                format!("The directory at {host} has changed so much that somebody has to look at it."),
                "Look at it on the page “Directories”, and take it over if it is right; or: ocmesh directory list",
            )),
            (None, Some(_)) => found.push(Finding::warn(
                CHECK,
                format!("The directory at {host} could not be fetched or verified; the last good list stays."),
                "Look at the page “Directories” why; ask whoever runs it.",
            )),
            (None, None) => {}
        }
    }
    if found.is_empty() {
        found.push(match all.len() {
            0 => Finding::ok(CHECK, "No directory is followed."),
            _ => Finding::ok(CHECK, "All directories are up to date."),
        });
    }
    Ok(found)
}

pub(super) async fn peers(site: &Site) -> Result<Vec<Finding>> {
    const CHECK: &str = "peers";
    let traffic = site.peers.traffic();
    let hosts = traffic.hosts();
    let fails = |host: &&_| {
        let (_, to_them) = traffic.of(host);
        to_them.len() >= FAILED && to_them.iter().take(FAILED).all(|exchange| !exchange.good)
    };
    let failing: Vec<_> = hosts.iter().filter(fails).map(ToString::to_string).collect();
    if failing.is_empty() {
        return Ok(vec![Finding::ok(
            CHECK,
            "No server that was asked lately keeps failing.",
        )]);
    }
    let number = failing.len();
    let hosts = names(failing.into_iter());
    Ok(vec![Finding::warn(
        CHECK,
        format!("Servers that failed each time they were asked lately: {number}: {hosts}."),
        "Their admins must act, mostly. What they said is on their pages below “Trust list”; or: ocmesh peer probe HOST",
    )])
}

/// Some names, each once, and that there are more.
fn names(all: impl Iterator<Item = String>) -> String {
    let mut all: Vec<_> = all.collect();
    all.sort();
    all.dedup();
    let more = all.len() > NAMED;
    all.truncate(NAMED);
    format!("{}{}", all.join(", "), if more { ", …" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Span;
    use crate::config::TlsMode;
    use crate::findings::State;
    use crate::ocm::address::Provider;
    use crate::outbox::Cargo;
    use crate::tls::Certificate;

    const NOW: Timestamp = Timestamp(1_790_000_000);
    const DAY: Duration = Duration::from_secs(86_400);

    fn expect(finding: &Finding, state: State, said: &str, advised: &str) {
        let remedy = finding.remedy.as_deref().unwrap_or_default();
        let fits = finding.state == state && finding.sentence.contains(said) && remedy.contains(advised);
        assert!(fits, "{state:?} {said:?} {advised:?} is not in {finding:?}");
    }

    #[test]
    fn t84_a_certificate_is_judged_by_when_it_ends_for_whom_it_is_and_whether_it_is_renewed() {
        let text = "[server]\npublic_url = \"https://a.example\"\nlisten = \"[::]:443\"\n";
        let config = Config::parse(text, "x").unwrap();
        let status = |names: &[&str], from: Timestamp, to: Timestamp| Status {
            mode: TlsMode::Acme,
            certificate: Some(Certificate {
                names: names.iter().map(|name| (*name).to_owned()).collect(),
                issuer: "An authority".to_owned(),
                not_before: from,
                not_after: to,
            }),
            renewal: Some(to.minus(30 * DAY)),
            trouble: None,
            next_try: None,
            names: Vec::new(),
            authority: None,
            steps: Vec::new(),
            under_way: false,
            raw: None,
        };
        let none = || Status {
            certificate: None,
            ..status(&[], NOW, NOW)
        };
        let why = || Some(Error::new(Reason::TlsFailed, "Nobody could open port 80."));
        let judge = |status: Status| judge_certificate(&config, &status, NOW);
        let good = |to: Timestamp| status(&["a.example"], NOW.minus(DAY), to);
        expect(
            &judge(good(NOW.plus(60 * DAY))),
            State::Ok,
            "is renewed on 2026-10-21",
            "",
        );
        expect(
            &judge(good(NOW.plus(9 * DAY))),
            State::Warn,
            "ends on 2026-09-30",
            "ocmesh tls status",
        );
        expect(&judge(good(NOW)), State::Bad, "ended on", "ocmesh tls status");
        let failing = Status {
            trouble: why(),
            ..good(NOW.plus(60 * DAY))
        };
        expect(
            &judge(failing),
            State::Warn,
            "could not be renewed: Nobody",
            "ocmesh tls status",
        );
        let ended = Status {
            trouble: why(),
            ..good(NOW)
        };
        expect(&judge(ended), State::Bad, "ended on", "port 80");
        let early = status(&["a.example"], NOW.plus(DAY), NOW.plus(60 * DAY));
        expect(&judge(early), State::Bad, "the clock says", "timedatectl");
        let other = status(&["b.example", "*.a.example"], NOW, NOW.plus(60 * DAY));
        expect(&judge(other), State::Bad, "and not for a.example", "server.public_url");
        let star = status(&["*.example"], NOW, NOW.plus(60 * DAY));
        expect(&judge(star), State::Ok, "good until", "");
        expect(&judge(none()), State::Warn, "no certificate yet", "ocmesh tls status");
        let failed = Status {
            trouble: why(),
            ..none()
        };
        expect(
            &judge(failed),
            State::Bad,
            "no certificate: Nobody",
            "ocmesh tls status",
        );
        let of = |mode| judge(Status { mode, ..none() });
        expect(&of(TlsMode::Proxy), State::Ok, "proxy in front", "");
        expect(&of(TlsMode::Off), State::Warn, "passwords can be read", "tls.mode");
        let mine = judge_certificate(
            &Config::default(),
            &Status {
                mode: TlsMode::Off,
                ..none()
            },
            NOW,
        );
        expect(&mine, State::Ok, "nothing leaves this machine", "");
    }

    #[test]
    fn a_backup_is_judged_by_its_age_whether_it_was_read_back_and_where_it_is() {
        let config = Config::default();
        let mut off = Config::default();
        off.backup.every.0 = None;
        let at = NOW.minus(DAY);
        let judge = |standing| judge_backup(&config, standing, Some(false)).remove(0);
        expect(&judge(Standing::Well(at)), State::Ok, "is whole", "");
        expect(
            &judge(Standing::Unchecked(at)),
            State::Warn,
            "was not read back",
            "ocmesh backup verify",
        );
        expect(
            &judge(Standing::Old(at)),
            State::Bad,
            "more than two times",
            "ocmesh backup create",
        );
        expect(
            &judge(Standing::Missing),
            State::Warn,
            "No backup was made yet",
            "ocmesh backup create",
        );
        expect(
            &judge_backup(&off, Standing::Missing, Some(true))[0],
            State::Ok,
            "Backups are off",
            "",
        );
        let same = judge_backup(&config, Standing::Well(at), Some(true));
        expect(&same[1], State::Warn, "lost together", "backup.dir");
        assert_eq!(judge_backup(&config, Standing::Well(at), None).len(), 1);
    }

    #[test]
    fn deliveries_are_judged_by_how_long_they_wait_and_whether_they_still_do() {
        let delivery = |due: Timestamp| {
            let to = Provider::parse("b.example").unwrap();
            let mut made = Delivery::new(to, Cargo::Share, "1", "ada", None, NOW);
            made.due = due;
            made
        };
        let longest = Span::seconds(86_400).0;
        let judge = |one: Delivery| judge_queue(&[one], longest, NOW).remove(0);
        expect(&judge_queue(&[], longest, NOW)[0], State::Ok, "Nothing is waiting", "");
        expect(&judge(delivery(NOW.plus(DAY))), State::Ok, "on their way: 1", "");
        expect(
            &judge(delivery(NOW.minus(DAY))),
            State::Bad,
            "sent long ago: 1",
            "start the server",
        );
        expect(
            &judge(delivery(NOW.plus(400 * DAY))),
            State::Warn,
            "The clock was wrong",
            "ocmesh queue retry",
        );
        let mut over = delivery(NOW);
        over.progress = Progress::GivenUp;
        expect(&judge(over), State::Warn, "1, to b.example", "ocmesh queue list");
        let mut held = delivery(NOW.minus(DAY));
        held.progress = Progress::Held;
        expect(&judge(held), State::Ok, "since the restore", "");
        let many = ["e", "d", "c", "b", "a", "a"].into_iter().map(str::to_owned);
        assert_eq!(names(many), "a, b, c, …");
    }
}
