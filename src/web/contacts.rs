//! The address book.

use std::collections::BTreeMap;

use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::contacts;
use crate::contacts::Change;
use crate::contacts::Contact;
use crate::contacts::Via;
use crate::contacts::card::Format;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::peers::trust::Decision;
use crate::peers::trust::Purpose;
use crate::shares::Parting;
use crate::shares::ReceivedShare;
use crate::shares::SentShare;
use crate::site::Site;
use crate::store::MAX_PAGE;
use crate::store::Page as Rows;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::ROWS;
use crate::web::page::escaped;
use crate::web::session::Form;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "contacts.html")]
struct List {
    page: Page,
    contacts: Vec<Contact>,
    /// How it stands with the server of each, by its name.
    servers: BTreeMap<Provider, Standing>,
    more: Option<String>,
    /// What is looked for; empty where all are shown.
    wanted: String,
}

impl List {
    fn standing(&self, contact: &Contact) -> Option<&Standing> {
        self.servers.get(&contact.address.provider)
    }
}

#[derive(Deserialize)]
pub struct Wanted {
    after: Option<String>,
    #[serde(default)]
    q: String,
}

pub async fn list(site: Data<Site>, session: Session, wanted: Query<Wanted>) -> Answer {
    let Wanted { after, q } = wanted.into_inner();
    let rows = after.map_or_else(|| Rows::first(ROWS), |after| Rows::after(after, ROWS));
    let listing = site
        .store
        .read(async |txn| contacts::list(txn, &session.user.name, &rows).await)
        .await?;
    let mut contacts = listing.items;
    contacts.retain(|contact| fits(contact, &q));
    contacts.sort_by_cached_key(|contact| contact.shown_name().to_lowercase());
    let mut servers = BTreeMap::new();
    for contact in &contacts {
        let host = &contact.address.provider;
        if !servers.contains_key(host) {
            servers.insert(host.clone(), Standing::of(&site, host).await?);
        }
    }
    page::show(&List {
        page: Page::of(&site, &session, "contacts", "Contacts"),
        contacts,
        servers,
        more: listing.next.map(|next| escaped(&next)),
        wanted: q,
    })
}

/// Whether a contact is one of those that are looked for: by any of their names, or by their address.
fn fits(contact: &Contact, wanted: &str) -> bool {
    let wanted = wanted.trim().to_lowercase();
    let own = [&contact.ours.name, &contact.name, &contact.address.to_string()];
    own.into_iter().any(|text| text.to_lowercase().contains(&wanted))
}

/// How it stands with a server, by what is known of it: it is not asked.
struct Standing {
    badge: Badge,
    /// Why, or since when.
    because: String,
    at: Option<Timestamp>,
}

impl Standing {
    async fn of(site: &Site, host: &Provider) -> Result<Self> {
        let (because, at) = (String::new(), None);
        if !site.peers.explain(host, Purpose::Federate).await?.allowed {
            let badge = Badge::bad("Not accepted");
            let because = "This server does not deal with that one.".to_owned();
            return Ok(Self { badge, because, at });
        }
        let account = site.peers.account(host).await?;
        Ok(match (account.failed, account.discovery) {
            (Some((error, at)), _) => Self {
                badge: Badge::warn("Not reached"),
                because: error.message().to_owned(),
                at: Some(at),
            },
            (None, Some((_, fetched))) => Self {
                badge: Badge::ok("Answers"),
                because,
                // What is to be asked anew was asked at no time that could be told.
                at: Some(fetched).filter(|at| at.0 > 0),
            },
            (None, None) => Self {
                badge: Badge::quiet("Not asked yet"),
                because,
                at,
            },
        })
    }
}

/// The page of a contact.
pub fn href(address: &OcmAddress) -> String {
    format!("/contacts/{}", escaped(&address.to_string()))
}

/// What they are called: their name, or their address where they have none.
pub fn name_of(contact: &Contact) -> String {
    contact.shown_name()
}

#[derive(Template)]
#[template(path = "contact.html")]
struct Show {
    page: Page,
    fault: Option<Fault>,
    contact: Contact,
    decision: Decision,
    standing: Standing,
    sent: Vec<SentShare>,
    received: Vec<ReceivedShare>,
    history: Vec<Event>,
    /// Whether this is the answer to an invitation that was just accepted.
    met: bool,
    name: String,
    note: String,
}

/// Something that happened between two people.
struct Event {
    at: Timestamp,
    what: What,
}

enum What {
    Met,
    Blocked,
    /// What our user shared: id and name.
    Sent(String, String),
    /// What they shared: id and name.
    Received(String, String),
}

/// How many events of a history are shown.
const EVENTS: usize = 20;

#[derive(Deserialize)]
pub struct Arrived {
    #[serde(default)]
    met: String,
}

pub async fn show(site: Data<Site>, session: Session, address: Path<String>, arrived: Query<Arrived>) -> Answer {
    let contact = find(&site, &session, &address).await?;
    let shown = Show {
        met: arrived.met == "now",
        ..gather(&site, &session, contact).await?
    };
    page::show(&shown)
}

async fn gather(site: &Site, session: &Session, contact: Contact) -> Result<Show> {
    let (user, now) = (&session.user.name, site.clock.now());
    let host = &contact.address.provider;
    let (mut sent, mut received) = site.shares.between(user, &contact.address).await?;
    let history = history(&contact, &sent, &received);
    sent.retain(|share| share.goes_on(now));
    received.retain(|share| share.goes_on(now));
    Ok(Show {
        page: Page::of(site, session, "contacts", contact.shown_name()).at(href(&contact.address)),
        fault: None,
        decision: site.peers.explain(host, Purpose::Federate).await?,
        standing: Standing::of(site, host).await?,
        sent,
        received,
        history,
        met: false,
        name: contact.ours.name.clone(),
        note: contact.ours.note.clone(),
        contact,
    })
}

/// What happened, the newest first.
fn history(contact: &Contact, sent: &[SentShare], received: &[ReceivedShare]) -> Vec<Event> {
    let met = Event {
        at: contact.since,
        what: What::Met,
    };
    let blocked = contact.ours.blocked.map(|at| Event {
        at,
        what: What::Blocked,
    });
    let sent = sent.iter().map(|share| Event {
        at: share.created,
        what: What::Sent(share.id.clone(), share.name.clone()),
    });
    let received = received.iter().map(|share| Event {
        at: share.created,
        what: What::Received(share.id.clone(), share.name.clone()),
    });
    let mut events: Vec<_> = sent.chain(received).chain(blocked).chain([met]).collect();
    events.sort_by_key(|event| std::cmp::Reverse(event.at));
    events.truncate(EVENTS);
    events
}

#[derive(Deserialize)]
pub struct Name {
    name: String,
}

pub async fn rename(site: Data<Site>, address: Path<String>, form: Form<Name>) -> Answer {
    let Form { session, fields } = form;
    let change = Change::Name {
        name: fields.name.clone(),
    };
    match apply(&site, &session, &address, change).await {
        Ok(contact) => Ok(page::go(href(&contact.address))),
        Err(error) => {
            let contact = find(&site, &session, &address).await?;
            let again = Show {
                fault: Some(Fault::of(error)?),
                name: fields.name,
                ..gather(&site, &session, contact).await?
            };
            page::show_again(&again.fault, &again)
        }
    }
}

#[derive(Deserialize)]
pub struct Note {
    note: String,
}

pub async fn note(site: Data<Site>, address: Path<String>, form: Form<Note>) -> Answer {
    let Form { session, fields } = form;
    let change = Change::Note {
        note: fields.note.clone(),
    };
    match apply(&site, &session, &address, change).await {
        Ok(contact) => Ok(page::go(href(&contact.address))),
        Err(error) => {
            let contact = find(&site, &session, &address).await?;
            let again = Show {
                fault: Some(Fault::of(error)?),
                note: fields.note,
                ..gather(&site, &session, contact).await?
            };
            page::show_again(&again.fault, &again)
        }
    }
}

#[derive(Deserialize)]
pub struct Blocked {
    /// `yes` or `no`.
    blocked: String,
}

pub async fn block(site: Data<Site>, address: Path<String>, form: Form<Blocked>) -> Answer {
    let change = match form.fields.blocked.as_str() {
        "yes" => Change::Block,
        "no" => Change::Unblock,
        _ => return Err(Error::invalid("blocked", "This is neither yes nor no.").into()),
    };
    let contact = apply(&site, &form.session, &address, change).await?;
    Ok(page::go(href(&contact.address)))
}

async fn apply(site: &Site, session: &Session, address: &str, change: Change) -> Result<Contact> {
    let (address, now) = (read(address)?, site.clock.now());
    site.store
        .run(async |txn| contacts::change(txn, &session.user.name, &address, &change, now).await)
        .await
}

#[derive(Template)]
#[template(path = "contact_remove.html")]
struct Remove {
    page: Page,
    contact: Contact,
    sent: Vec<SentShare>,
    received: Vec<ReceivedShare>,
}

pub async fn ask_remove(site: Data<Site>, session: Session, address: Path<String>) -> Answer {
    let contact = find(&site, &session, &address).await?;
    let now = site.clock.now();
    let (mut sent, mut received) = site.shares.between(&session.user.name, &contact.address).await?;
    sent.retain(|share| share.goes_on(now));
    received.retain(|share| share.goes_on(now));
    page::show(&Remove {
        page: Page::of(&site, &session, "contacts", contact.shown_name()),
        contact,
        sent,
        received,
    })
}

#[derive(Deserialize)]
pub struct Ending {
    /// `stop` or `keep`.
    #[serde(default)]
    sent: String,
    /// `give-back` or `keep`.
    #[serde(default)]
    received: String,
}

pub async fn remove(site: Data<Site>, address: Path<String>, form: Form<Ending>) -> Answer {
    let address = read(&address)?;
    let parting = Parting {
        stop: form.fields.sent == "stop",
        give_back: form.fields.received == "give-back",
    };
    let (user, now) = (&form.session.user.name, site.clock.now());
    site.shares.part(user, &address, parting, now).await?;
    Ok(page::go("/contacts"))
}

#[derive(Deserialize)]
pub struct Exported {
    #[serde(rename = "as", default)]
    form: String,
}

/// One contact for another address book.
pub async fn export(site: Data<Site>, session: Session, address: Path<String>, wanted: Query<Exported>) -> Answer {
    let form = Format::parse(&wanted.form)?;
    let contact = find(&site, &session, &address).await?;
    Ok(file("contact", form, &[contact]))
}

/// The whole address book for another one.
pub async fn export_all(site: Data<Site>, session: Session, wanted: Query<Exported>) -> Answer {
    let form = Format::parse(&wanted.form)?;
    let mut all = Vec::new();
    let mut rows = Rows::first(MAX_PAGE);
    loop {
        let some = site
            .store
            .read(async |txn| contacts::list(txn, &session.user.name, &rows).await)
            .await?;
        all.extend(some.items);
        match some.next {
            Some(next) => rows = Rows::after(next, MAX_PAGE),
            None => return Ok(file("contacts", form, &all)),
        }
    }
}

/// Something to keep: what others wrote into it never runs as a page of ours (T-64).
fn file(name: &str, form: Format, contacts: &[Contact]) -> HttpResponse {
    HttpResponse::Ok()
        .content_type(form.media_type())
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename=\"{name}.{}\"", form.extension()),
        ))
        .insert_header((header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'"))
        .body(form.write(contacts))
}

async fn find(site: &Site, session: &Session, address: &str) -> Result<Contact> {
    let address = read(address)?;
    site.store
        .read(async |txn| contacts::get(txn, &session.user.name, &address).await)
        .await?
        .ok_or_else(no_such_contact)
}

fn read(address: &str) -> Result<OcmAddress> {
    OcmAddress::parse(address).map_err(|invalid| no_such_contact().caused_by(invalid))
}

fn no_such_contact() -> Error {
    Error::not_found("This is not one of your contacts.")
}
