//! What this server is, for anyone; and what waits for whoever is signed in.

use std::time::Duration;

use actix_web::web::Data;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::clock::Timestamp;
use crate::contacts;
use crate::contacts::Contact;
use crate::contacts::Via;
use crate::error::Error;
use crate::error::Result;
use crate::invites::Acceptance;
use crate::ocm::address::Provider;
use crate::peers::wishes::Wish;
use crate::shares::ReceivedShare;
use crate::shares::SentShare;
use crate::shares::received::ReceivedState;
use crate::shares::sent::SentState;
use crate::site::Site;
use crate::store::Page as Rows;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::page::ROWS;
use crate::web::session::Admin;
use crate::web::session::Form;

#[derive(Template)]
#[template(path = "index.html")]
struct Index {
    page: Page,
    host: String,
    needs_setup: bool,
}

pub async fn index(site: Data<Site>, session: Option<Session>) -> Answer {
    let title = "Welcome";
    let frame = match &session {
        Some(session) => Page::of(&site, session, "", title),
        None => Page::public(&site, title),
    };
    page::show(&Index {
        page: frame,
        host: site.config.server.public_url.provider().to_string(),
        needs_setup: site.users.needs_setup().await?,
    })
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home {
    page: Page,
    name: String,
    to_decide: Vec<ReceivedShare>,
    /// How many requests wait for an answer.
    asked: usize,
    failed: Vec<SentShare>,
    /// Acceptances with something attached that could not be shared.
    unshared: Vec<Acceptance>,
    /// Who accepted an invitation lately, and has nothing shared with them yet.
    new_contacts: Vec<Contact>,
    /// Servers that users ask for, for admins.
    wishes: Vec<Wish>,
    /// Servers that this user asked for, and that are allowed by now.
    granted: Vec<Wish>,
    events: Vec<Happening>,
    invited: bool,
    connected: bool,
    shared: bool,
}

impl Home {
    fn nothing_waits(&self) -> bool {
        self.to_decide.is_empty()
            && self.asked == 0
            && self.failed.is_empty()
            && self.unshared.is_empty()
            && self.new_contacts.is_empty()
            && self.wishes.is_empty()
            && self.granted.is_empty()
    }

    fn all_done(&self) -> bool {
        self.invited && self.connected && self.shared
    }
}

/// Something that happened.
struct Happening {
    at: Timestamp,
    what: What,
}

enum What {
    Met(Contact),
    Sent(SentShare),
    Received(ReceivedShare),
}

/// How many events are shown.
const EVENTS: usize = 10;
/// For how long a new contact is worth a word.
const NEW: Duration = Duration::from_secs(14 * 86_400);

pub async fn home(site: Data<Site>, session: Session) -> Answer {
    page::show(&gather(&site, &session).await?)
}

async fn gather(site: &Site, session: &Session) -> Result<Home> {
    let (user, now) = (&session.user.name, site.clock.now());
    let rows = Rows::first(ROWS);
    let mut received = site.shares.received(user, &rows).await?.items;
    let mut sent = site.shares.sent(user, &rows).await?.items;
    let invites = site.invites.list(user, &Rows::first(1)).await?.items;
    let known = site
        .store
        .read(async |txn| contacts::list(txn, user, &rows).await)
        .await?
        .items;
    let wishes = match session.user.admin {
        true => site.peers.wishes().await?,
        false => Vec::new(),
    };
    let own = site.peers.wishes_of(user).await?;
    let mut unshared = site.invites.lately_accepted(user, now.minus(NEW)).await?;
    unshared.retain(|acceptance| acceptance.not_shared().next().is_some());
    let events = latest(&known, &sent, &received);
    let (shared, connected) = (!sent.is_empty(), !known.is_empty());
    let is_new = |contact: &Contact| {
        let untouched = !sent.iter().any(|share| share.share_with == contact.address);
        contact.via == Via::SentInvite && now < contact.since.plus(NEW) && untouched && !contact.is_blocked()
    };
    let new_contacts = known.into_iter().filter(is_new).collect();
    received.retain(|share| share.state == ReceivedState::Pending && !share.expired(now));
    sent.retain(|share| matches!(share.state, SentState::Failed | SentState::Refused));
    Ok(Home {
        page: Page::of(site, session, "home", "Home"),
        name: session.user.display_name.clone(),
        to_decide: received,
        asked: site.requests.waiting(user).await?,
        failed: sent,
        unshared,
        new_contacts,
        wishes,
        granted: own
            .into_iter()
            .filter(|(_, allowed)| *allowed)
            .map(|(wish, _)| wish)
            .collect(),
        events,
        invited: !invites.is_empty() || connected,
        connected,
        shared,
    })
}

/// What happened lately, the newest first.
fn latest(known: &[Contact], sent: &[SentShare], received: &[ReceivedShare]) -> Vec<Happening> {
    let met = known.iter().map(|contact| Happening {
        at: contact.since,
        what: What::Met(contact.clone()),
    });
    let sent = sent.iter().map(|share| Happening {
        at: share.created,
        what: What::Sent(share.clone()),
    });
    let received = received.iter().map(|share| Happening {
        at: share.created,
        what: What::Received(share.clone()),
    });
    let mut events: Vec<_> = met.chain(sent).chain(received).collect();
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    events.truncate(EVENTS);
    events
}

/// A server that somebody asks for.
#[derive(Deserialize)]
pub struct Wished {
    #[serde(default)]
    host: String,
}

impl Wished {
    fn read(&self) -> Result<Provider> {
        Provider::parse(&self.host).map_err(|invalid| Error::from(invalid).in_field("host"))
    }
}

pub async fn allow_wish(site: Data<Site>, _: Admin, form: Form<Wished>) -> Answer {
    let (by, now, host) = (&form.session.user.name, site.clock.now(), form.fields.read()?);
    site.peers
        .allow(&host, by, now)
        .await
        .map_err(Problem::back_to("/home"))?;
    let event = Event::new("server.allow").of(&form.fields.host).with(&form.fields.host);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/home"))
}

/// An admin's no.
pub async fn dismiss_wish(site: Data<Site>, _: Admin, form: Form<Wished>) -> Answer {
    site.peers.dismiss(&form.fields.read()?).await?;
    let event = Event::new("server.dismiss").of(&form.fields.host);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/home"))
}

/// Takes back what one asked for oneself.
pub async fn drop_wish(site: Data<Site>, form: Form<Wished>) -> Answer {
    site.peers.unwish(&form.session.user.name, &form.fields.read()?).await?;
    let event = Event::new("server.unask").of(&form.fields.host);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/home"))
}
