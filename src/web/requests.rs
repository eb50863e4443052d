//! Asking for a share, and the inbox of those who ask.

use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::contacts;
use crate::contacts::Contact;
use crate::error::Error;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::ocm::share_request::ShareRequest;
use crate::requests::ReceivedRequest;
use crate::requests::SentRequest;
use crate::requests::received::ReceivedState;
use crate::requests::sent::SentState;
use crate::shares::ReceivedShare;
use crate::site::Site;
use crate::store::Page as Rows;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::After;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::page::ROWS;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "requests.html")]
struct Inbox {
    page: Page,
    requests: Vec<Asked>,
    more: Option<String>,
}

/// A request with the one who asks, if the owner knows them.
struct Asked {
    request: ReceivedRequest,
    contact: Option<Contact>,
}

impl Asked {
    fn badge(&self) -> Badge {
        match self.request.state {
            ReceivedState::Open => Badge::warn("To decide"),
            ReceivedState::Granted { .. } => Badge::ok("Shared"),
            ReceivedState::Declined { .. } => Badge::quiet("Declined"),
        }
    }

    /// One that was put aside may still be granted: nobody was told.
    fn may_be_granted(&self) -> bool {
        self.request.state.share().is_none()
    }
}

/// What others ask for; what is to be decided comes first.
pub async fn inbox(site: Data<Site>, session: Session, after: Query<After>) -> Answer {
    let user = &session.user.name;
    let (mut requests, more) = page::newest_first(site.requests.received(user, &after.rows()).await?);
    requests.sort_by_key(|request| !request.is_open());
    let asked = site
        .store
        .read(async |txn| {
            let mut asked = Vec::new();
            for request in &requests {
                asked.push(Asked {
                    contact: contacts::get(txn, user, &request.from).await?,
                    request: request.clone(),
                });
            }
            Ok(asked)
        })
        .await?;
    page::show(&Inbox {
        page: Page::of(&site, &session, "requests", "Requests"),
        requests: asked,
        more,
    })
}

#[derive(Template)]
#[template(path = "requests_sent.html")]
struct Sent {
    page: Page,
    requests: Vec<Wish>,
    more: Option<String>,
}

/// A request with the shares that came from the one who was asked, since then.
struct Wish {
    request: SentRequest,
    shares: Vec<ReceivedShare>,
}

impl Wish {
    fn badge(&self) -> Badge {
        match self.request.state {
            SentState::Waiting if self.request.last_error.is_some() => Badge::warn("Waiting"),
            SentState::Waiting => Badge::info("On its way"),
            SentState::Delivered => Badge::ok("Delivered"),
            SentState::Refused => Badge::bad("Refused"),
            SentState::Failed => Badge::bad("Not delivered"),
            SentState::Closed => Badge::quiet("Closed"),
        }
    }

    fn may_be_tried(&self) -> bool {
        matches!(self.request.state, SentState::Refused | SentState::Failed)
            || (self.request.state == SentState::Waiting && self.request.last_error.is_some())
    }

    fn is_closed(&self) -> bool {
        self.request.state == SentState::Closed
    }
}

/// What one has asked others for.
pub async fn sent(site: Data<Site>, session: Session, after: Query<After>) -> Answer {
    let user = &session.user.name;
    let (requests, more) = page::newest_first(site.requests.sent(user, &after.rows()).await?);
    let shares = site.shares.received(user, &Rows::first(ROWS)).await?.items;
    let wish = |request: SentRequest| Wish {
        shares: shares
            .iter()
            .filter(|share| request.may_be_answered_by(share))
            .cloned()
            .collect(),
        request,
    };
    page::show(&Sent {
        page: Page::of(&site, &session, "requests", "What you asked for"),
        requests: requests.into_iter().map(wish).collect(),
        more,
    })
}

#[derive(Template)]
#[template(path = "request_new.html")]
struct New {
    page: Page,
    fault: Option<Fault>,
    contacts: Vec<Contact>,
    longest: usize,
    filled: NewForm,
}

impl New {
    fn is_chosen(&self, contact: &Contact) -> bool {
        contact.address.to_string() == self.filled.contact
    }

    fn is_someone_else(&self) -> bool {
        self.contacts.is_empty() || !self.filled.owner.is_empty()
    }
}

#[derive(Default, Deserialize)]
pub struct NewForm {
    #[serde(default)]
    contact: String,
    #[serde(default)]
    owner: String,
    #[serde(default)]
    what: String,
}

impl NewForm {
    fn owner(&self) -> Result<OcmAddress> {
        let owner = if self.contact.is_empty() {
            &self.owner
        } else {
            &self.contact
        };
        OcmAddress::parse_lenient(owner).map_err(|invalid| Error::from(invalid).in_field("owner"))
    }
}

/// The form, with the contact already chosen whose page led to it.
pub async fn new(site: Data<Site>, session: Session, filled: Query<NewForm>) -> Answer {
    page::show(&form(&site, &session, filled.into_inner(), None).await?)
}

async fn form(site: &Site, session: &Session, filled: NewForm, fault: Option<Fault>) -> Result<New> {
    let rows = Rows::first(ROWS);
    let known = site
        .store
        .read(async |txn| contacts::list(txn, &session.user.name, &rows).await)
        .await?;
    Ok(New {
        page: Page::of(site, session, "requests", "Ask for a file"),
        fault,
        contacts: known.items,
        longest: ShareRequest::SHARE_MAX,
        filled,
    })
}

pub async fn create(site: Data<Site>, form: Form<NewForm>) -> Answer {
    let (user, fields) = (&form.session.user, &form.fields);
    let outcome = match fields.owner() {
        Ok(owner) => site.requests.send(user, owner, &fields.what, site.clock.now()).await,
        Err(error) => Err(error),
    };
    match outcome {
        Ok(request) => {
            let event = Event::new("request.send").of(&request.id).with(&request.owner.provider);
            site.audit.note(&form.by, event).await?;
            Ok(page::go("/requests/sent"))
        }
        Err(error) => {
            let again = self::form(&site, &form.session, form.fields, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

pub async fn decline(site: Data<Site>, id: Path<String>, form: Form<NoFields>) -> Answer {
    let user = &form.session.user.name;
    let request = site.requests.decline(user, &id, site.clock.now()).await?;
    let event = Event::new("request.decline")
        .of(&request.id)
        .with(&request.from.provider);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/requests"))
}

pub async fn close(site: Data<Site>, id: Path<String>, form: Form<NoFields>) -> Answer {
    let request = site.requests.close(&form.session.user.name, &id).await?;
    let event = Event::new("request.close")
        .of(&request.id)
        .with(&request.owner.provider);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/requests/sent"))
}

/// Tries at once to deliver a request that is still to be delivered.
pub async fn retry(site: Data<Site>, id: Path<String>, form: Form<NoFields>) -> Answer {
    let (request, deliveries) = site.requests.sent_request(&form.session.user.name, &id).await?;
    for delivery in deliveries {
        site.outbox.retry(&delivery.id, site.clock.now()).await?;
    }
    let event = Event::new("request.retry")
        .of(&request.id)
        .with(&request.owner.provider);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/requests/sent"))
}
