//! The address book.

use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;

use crate::audit::Event;
use crate::contacts;
use crate::contacts::Contact;
use crate::contacts::Via;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::peers::trust::Decision;
use crate::peers::trust::Purpose;
use crate::shares::ReceivedShare;
use crate::shares::SentShare;
use crate::site::Site;
use crate::store::Page as Rows;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::After;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::ROWS;
use crate::web::page::escaped;
use crate::web::session::Form;
use crate::web::session::NoFields;

#[derive(Template)]
#[template(path = "contacts.html")]
struct List {
    page: Page,
    contacts: Vec<Contact>,
    more: Option<String>,
}

pub async fn list(site: Data<Site>, session: Session, after: Query<After>) -> Answer {
    let rows = after.rows();
    let listing = site
        .store
        .read(async |txn| contacts::list(txn, &session.user.name, &rows).await)
        .await?;
    page::show(&List {
        page: Page::of(&site, &session, "contacts", "Contacts"),
        contacts: listing.items,
        more: listing.next.map(|next| escaped(&next)),
    })
}

/// The page of a contact.
pub fn href(address: &OcmAddress) -> String {
    format!("/contacts/{}", escaped(&address.to_string()))
}

/// What they are called: their name, or their address where they have none.
pub fn name_of(contact: &Contact) -> String {
    match contact.name.trim() {
        "" => contact.address.to_string(),
        name => name.to_owned(),
    }
}

#[derive(Template)]
#[template(path = "contact.html")]
struct Show {
    page: Page,
    contact: Contact,
    decision: Decision,
    sent: Vec<SentShare>,
    received: Vec<ReceivedShare>,
}

pub async fn show(site: Data<Site>, session: Session, address: Path<String>) -> Answer {
    let contact = find(&site, &session, &address).await?;
    let user = &session.user.name;
    let mut sent = site.shares.sent(user, &Rows::first(ROWS)).await?.items;
    let mut received = site.shares.received(user, &Rows::first(ROWS)).await?.items;
    sent.retain(|share| share.share_with == contact.address);
    received.retain(|share| share.sender == contact.address);
    page::show(&Show {
        page: Page::of(&site, &session, "contacts", name_of(&contact)),
        decision: site.peers.explain(&contact.address.provider, Purpose::Federate).await?,
        contact,
        sent,
        received,
    })
}

#[derive(Template)]
#[template(path = "contact_remove.html")]
struct Remove {
    page: Page,
    contact: Contact,
}

pub async fn ask_remove(site: Data<Site>, session: Session, address: Path<String>) -> Answer {
    let contact = find(&site, &session, &address).await?;
    page::show(&Remove {
        page: Page::of(&site, &session, "contacts", format!("Remove {}?", name_of(&contact))),
        contact,
    })
}

pub async fn remove(site: Data<Site>, address: Path<String>, form: Form<NoFields>) -> Answer {
    let address = read(&address)?;
    site.store
        .run(async |txn| contacts::remove(txn, &form.session.user.name, &address).await)
        .await?;
    let event = Event::new("contact.remove").of(&address).with(&address.provider);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/contacts"))
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
