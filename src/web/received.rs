//! What others share with one: looked at, accepted, declined, given back.

use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::clock::Timestamp;
use crate::contacts;
use crate::contacts::Contact;
use crate::error::Error;
use crate::shares::ReceivedShare;
use crate::shares::received::ReceivedState;
use crate::site::Site;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::After;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "received.html")]
struct List {
    page: Page,
    tabs: Vec<Tab>,
    tab: &'static str,
    shares: Vec<ReceivedShare>,
    more: Option<String>,
}

struct Tab {
    name: &'static str,
    label: &'static str,
    count: usize,
}

/// The tabs: a name for the address, words for people. A share leaves the first only by a decision, or when it is gone.
const TABS: [(&str, &str); 4] = [
    ("to-decide", "To decide"),
    ("accepted", "Accepted"),
    ("declined", "Declined"),
    ("gone", "Gone"),
];

fn tab_of(share: &ReceivedShare, now: Timestamp) -> &'static str {
    match share.state {
        ReceivedState::Gone | ReceivedState::Left => "gone",
        _ if share.expired(now) => "gone",
        ReceivedState::Pending => "to-decide",
        ReceivedState::Accepted => "accepted",
        ReceivedState::Declined => "declined",
    }
}

impl List {
    fn badge(&self, share: &ReceivedShare) -> Badge {
        badge(share, self.page.now)
    }
}

fn badge(share: &ReceivedShare, now: Timestamp) -> Badge {
    match share.state {
        ReceivedState::Gone => Badge::quiet("Taken back"),
        ReceivedState::Left => Badge::quiet("Given back"),
        _ if share.expired(now) => Badge::quiet("Ended"),
        ReceivedState::Pending => Badge::warn("To decide"),
        ReceivedState::Accepted => Badge::ok("Accepted"),
        ReceivedState::Declined => Badge::quiet("Declined"),
    }
}

#[derive(Deserialize)]
pub struct Wanted {
    tab: Option<String>,
}

pub async fn list(site: Data<Site>, session: Session, wanted: Query<Wanted>, after: Query<After>) -> Answer {
    let (mut shares, more) = page::newest_first(site.shares.received(&session.user.name, &after.rows()).await?);
    let now = site.clock.now();
    let count = |name: &str| shares.iter().filter(|share| tab_of(share, now) == name).count();
    let tabs: Vec<_> = TABS
        .iter()
        .map(|(name, label)| Tab {
            name,
            label,
            count: count(name),
        })
        .collect();
    let asked = tabs.iter().find(|tab| Some(tab.name) == wanted.tab.as_deref());
    // Without a word, the first that has something in it.
    let tab = asked
        .or_else(|| tabs.iter().find(|tab| tab.count > 0))
        .map_or(TABS[0].0, |tab| tab.name);
    shares.retain(|share| tab_of(share, now) == tab);
    page::show(&List {
        page: Page::of(&site, &session, "received", "Shared with me"),
        tabs,
        tab,
        shares,
        more,
    })
}

#[derive(Template)]
#[template(path = "received_share.html")]
struct Show {
    page: Page,
    badge: Badge,
    tab: &'static str,
    contact: Option<Contact>,
    share: ReceivedShare,
}

impl Show {
    fn is(&self, tab: &str) -> bool {
        self.tab == tab
    }
}

pub async fn show(site: Data<Site>, session: Session, id: Path<String>) -> Answer {
    let now = site.clock.now();
    let share = site.shares.received_share(&session.user.name, &id).await?;
    let contact = site
        .store
        .read(async |txn| contacts::get(txn, &session.user.name, &share.sender).await)
        .await?;
    page::show(&Show {
        page: Page::of(&site, &session, "received", share.name.clone()),
        badge: badge(&share, now),
        tab: tab_of(&share, now),
        contact,
        share,
    })
}

pub async fn decide(site: Data<Site>, path: Path<(String, String)>, form: Form<NoFields>) -> Answer {
    let (id, verb) = path.into_inner();
    let (user, now) = (&form.session.user.name, site.clock.now());
    let (did, outcome) = match verb.as_str() {
        "accept" => ("share.accept", site.shares.accept(user, &id, now).await),
        "decline" => ("share.decline", site.shares.decline(user, &id, now).await),
        "leave" => ("share.leave", site.shares.leave(user, &id, now).await),
        _ => return Err(Error::not_found("There is no such page here.").into()),
    };
    let share = outcome?;
    let event = Event::new(did).of(&share.id).with(&share.sender.provider);
    site.audit.note(&form.by, event).await?;
    Ok(page::go(format!("/shares/received/{}", share.id)))
}
