//! What others share with one: looked at, accepted, declined, given back.

use std::time::Duration;

use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;
use serde_json::json;

use crate::clock::Timestamp;
use crate::contacts;
use crate::contacts::Contact;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;
use crate::files::TreePath;
use crate::outbox::Failure;
use crate::shares::ReceivedShare;
use crate::shares::received::Checked;
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
    /// Whether what is shown is to be decided upon.
    fn deciding(&self) -> bool {
        self.tab == TABS[0].0
    }

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
    /// What their server announced, its secrets left out.
    protocol: String,
    share: ReceivedShare,
}

/// How long somebody waits to learn whether a share can be opened.
const LONGEST_CHECK: Duration = Duration::from_secs(10);

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
        protocol: protocol(&share),
        share,
    })
}

/// The share as it was announced, for those who look for what is wrong. What opens it is never shown (T-28).
fn protocol(share: &ReceivedShare) -> String {
    let offer = &share.offer;
    let shown = json!({
        "providerId": share.provider_id,
        "sender": share.sender.to_string(),
        "owner": share.owner.to_string(),
        "name": share.name,
        "resourceType": share.resource_type(),
        "expiration": share.expires.map(|end| end.0),
        "protocol": { "webdav": {
            "uri": offer.uri,
            "sharedSecret": "•••",
            "permissions": offer.permissions,
            "requirements": offer.requirements,
            "size": offer.size,
        } },
    });
    format!("{shown:#}")
}

/// Tries at once whether an accepted share can be opened; the page of the share says what came of it.
pub async fn check(site: Data<Site>, id: Path<String>, form: Form<NoFields>) -> Answer {
    let user = &form.session.user.name;
    let share = site.shares.received_share(user, &id).await?;
    let top = TreePath::root();
    let tried = tokio::time::timeout(LONGEST_CHECK, site.remote.list(&share, &top));
    let outcome = tried.await.unwrap_or_else(|_| {
        let host = &share.sender.provider;
        Err(Error::new(Reason::NoAnswer, format!("{host} does not answer.")))
    });
    let at = site.clock.now();
    let checked = Checked {
        at,
        failure: outcome.err().map(|error| Failure::new(&error, at)),
    };
    site.shares.note_check(user, &id, checked).await?;
    Ok(page::go(format!("/shares/received/{}", share.id)))
}

/// Accepts or declines all that was ticked. What somebody else decided or took back meanwhile stays as it is.
pub async fn decide_all(site: Data<Site>, form: Form<Vec<(String, String)>>) -> Answer {
    let (user, now) = (&form.session.user.name, site.clock.now());
    let accept = form
        .fields
        .iter()
        .any(|(name, value)| name == "verb" && value == "accept");
    for (_, id) in form.fields.iter().filter(|(name, _)| name == "share") {
        let decided = match accept {
            true => site.shares.accept(user, id, now).await,
            false => site.shares.decline(user, id, now).await,
        };
        match decided {
            Err(error) if !matches!(error.kind(), Kind::Conflict | Kind::NotFound) => return Err(error.into()),
            _ => {}
        }
    }
    let tab = if accept { "accepted" } else { "declined" };
    Ok(page::go(format!("/shares/received?tab={tab}")))
}

pub async fn decide(site: Data<Site>, path: Path<(String, String)>, form: Form<NoFields>) -> Answer {
    let (id, verb) = path.into_inner();
    let (user, now) = (&form.session.user.name, site.clock.now());
    let share = match verb.as_str() {
        "accept" => site.shares.accept(user, &id, now).await,
        "decline" => site.shares.decline(user, &id, now).await,
        "leave" => site.shares.leave(user, &id, now).await,
        _ => Err(Error::not_found("There is no such page here.")),
    }?;
    Ok(page::go(format!("/shares/received/{}", share.id)))
}
