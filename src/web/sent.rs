//! What one shares with others: made, followed, stopped.

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
use crate::error::Result;
use crate::files::TreePath;
use crate::ocm::address::OcmAddress;
use crate::outbox::Delivery;
use crate::outbox::Progress;
use crate::requests::ReceivedRequest;
use crate::shares::NewShare;
use crate::shares::SentShare;
use crate::shares::sent::SentState;
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
use crate::web::words;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "sent.html")]
struct List {
    page: Page,
    shares: Vec<SentShare>,
    more: Option<String>,
}

impl List {
    fn badge(&self, share: &SentShare) -> Badge {
        badge(share, self.page.now)
    }
}

/// Where a share stands, in a word.
fn badge(share: &SentShare, now: Timestamp) -> Badge {
    match share.state {
        SentState::Stopped => Badge::quiet("Stopped"),
        SentState::Left => Badge::quiet("Given back"),
        SentState::Declined => Badge::quiet("Declined"),
        SentState::Refused => Badge::bad("Refused"),
        SentState::Failed => Badge::bad("Not delivered"),
        SentState::Pending | SentState::Accepted if share.expired(now) => Badge::quiet("Ended"),
        SentState::Accepted => Badge::ok("Accepted"),
        SentState::Pending if share.announced.is_some() => Badge::info("Announced"),
        SentState::Pending if share.last_error.is_some() => Badge::warn("Waiting"),
        SentState::Pending => Badge::info("On its way"),
    }
}

pub async fn list(site: Data<Site>, session: Session, after: Query<After>) -> Answer {
    let listing = site.shares.sent(&session.user.name, &after.rows()).await?;
    let (shares, more) = page::newest_first(listing);
    page::show(&List {
        page: Page::of(&site, &session, "sent", "Shared by me"),
        shares,
        more,
    })
}

#[derive(Template)]
#[template(path = "share_new.html")]
struct New {
    page: Page,
    fault: Option<Fault>,
    /// What is to be shared; empty where it is still to be chosen from `entries`.
    path: String,
    entries: Vec<String>,
    contacts: Vec<Contact>,
    /// What the share is to answer, which says for whom it is.
    request: Option<ReceivedRequest>,
    filled: NewForm,
}

impl New {
    fn is_chosen(&self, contact: &Contact) -> bool {
        contact.address.to_string() == self.filled.contact
    }

    fn is_someone_else(&self) -> bool {
        self.contacts.is_empty() || !self.filled.to.is_empty()
    }
}

#[derive(Default, Deserialize)]
pub struct NewForm {
    #[serde(default)]
    path: String,
    #[serde(default)]
    contact: String,
    #[serde(default)]
    to: String,
    write: Option<String>,
    #[serde(default)]
    until: String,
    /// The request that is answered; empty for none.
    #[serde(default)]
    request: String,
}

impl NewForm {
    fn read(&self) -> Result<NewShare> {
        let to = if self.contact.is_empty() {
            &self.to
        } else {
            &self.contact
        };
        Ok(NewShare {
            path: TreePath::parse(&self.path)?,
            to: OcmAddress::parse_lenient(to).map_err(|invalid| Error::from(invalid).in_field("to"))?,
            write: self.write.is_some(),
            expires: words::end_of_day("until", &self.until)?,
        })
    }
}

/// The form, with what a link to it says already filled in: a path, a contact, or both; or a request, which tells them.
pub async fn new(site: Data<Site>, session: Session, filled: Query<NewForm>) -> Answer {
    page::show(&form(&site, &session, filled.into_inner(), None).await?)
}

async fn form(site: &Site, session: &Session, mut filled: NewForm, fault: Option<Fault>) -> Result<New> {
    let (user, rows) = (&session.user.name, Rows::first(ROWS));
    let request = asked(site, user, &filled.request).await?;
    if let Some(request) = request.as_ref().filter(|_| fault.is_none() && filled.path.is_empty()) {
        let meant = site.requests.meant(user, &request.what).await?;
        filled.path = meant.map_or_else(String::new, |path| path.to_string());
    }
    let known = site
        .store
        .read(async |txn| contacts::list(txn, user, &rows).await)
        .await?;
    // Where a request is answered the path is a field, so what is wrong with it is said there.
    let path = match &request {
        Some(_) => TreePath::root(),
        None => TreePath::parse(&filled.path)?,
    };
    let tree = site.homes.of(user).await?;
    let entries = if path.is_root() {
        tree.list(&path, ROWS).await?
    } else {
        Vec::new()
    };
    let title = match (path.name(), &request) {
        (Some(name), _) => format!("Share {name}"),
        (None, Some(_)) => "Answer a request".to_owned(),
        (None, None) => "Share something".to_owned(),
    };
    Ok(New {
        page: Page::of(site, session, "sent", title),
        fault,
        path: path.to_string(),
        entries: entries.into_iter().map(|entry| entry.name).collect(),
        contacts: known.items,
        request,
        filled,
    })
}

/// The request that a share is to answer.
async fn asked(site: &Site, user: &str, id: &str) -> Result<Option<ReceivedRequest>> {
    match id {
        "" => Ok(None),
        id => site.requests.received_request(user, id).await.map(Some),
    }
}

pub async fn create(site: Data<Site>, form: Form<NewForm>) -> Answer {
    let (user, now) = (&form.session.user, site.clock.now());
    let outcome = match (form.fields.read(), form.fields.request.as_str()) {
        (Ok(new), "") => site.shares.create(user, new, now).await,
        (Ok(new), request) => site.requests.grant(user, request, new, now).await,
        (Err(error), _) => Err(error),
    };
    match outcome {
        Ok(share) => {
            let verb = match form.fields.request.as_str() {
                "" => "share.create",
                _ => "request.grant",
            };
            let event = Event::new(verb).of(&share.id).with(&share.share_with.provider);
            site.audit.note(&form.by, event.file(&share.path)).await?;
            Ok(page::go(format!("/shares/sent/{}", share.id)))
        }
        Err(error) => {
            let again = self::form(&site, &form.session, form.fields, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

#[derive(Template)]
#[template(path = "sent_share.html")]
struct Show {
    page: Page,
    badge: Badge,
    sentence: String,
    share: SentShare,
    open: bool,
    deliveries: Vec<Delivery>,
}

pub async fn show(site: Data<Site>, session: Session, id: Path<String>) -> Answer {
    let now = site.clock.now();
    let (share, deliveries) = site.shares.sent_share(&session.user.name, &id).await?;
    page::show(&Show {
        page: Page::of(&site, &session, "sent", share.name.clone()),
        badge: badge(&share, now),
        sentence: sentence(&share, &deliveries, now),
        open: share.open(now),
        share,
        deliveries,
    })
}

/// Where a share stands, in a sentence that says what happens next.
fn sentence(share: &SentShare, deliveries: &[Delivery], now: Timestamp) -> String {
    let host = &share.share_with.provider;
    let error = share.last_error.as_ref().map_or("", |failure| failure.message.as_str());
    let waiting = deliveries
        .iter()
        .find(|delivery| delivery.progress == Progress::Waiting);
    match share.state {
        SentState::Stopped => "You stopped it. Nobody gets at it through this share any more.".to_owned(),
        SentState::Left => "They had accepted it and gave it back.".to_owned(),
        SentState::Declined => "They declined it.".to_owned(),
        SentState::Refused => format!("Their server will not have it. {error}"),
        SentState::Failed => format!("It could not be delivered, and is no longer tried. {error}"),
        SentState::Pending | SentState::Accepted if share.expired(now) => "Its time is over.".to_owned(),
        SentState::Accepted => "They accepted it and can open it.".to_owned(),
        SentState::Pending if share.announced.is_some() => format!("{host} has it. Waiting for them to accept."),
        SentState::Pending => match waiting {
            Some(delivery) if delivery.tries > 0 => {
                let next = words::due(&delivery.due, &now);
                let times = match delivery.tries {
                    1 => "once".to_owned(),
                    more => format!("{more} times"),
                };
                format!("{error} Tried {times}; the next try is {next}.")
            }
            _ => format!("On its way to {host}. {error}"),
        },
    }
}

pub async fn stop(site: Data<Site>, id: Path<String>, form: Form<NoFields>) -> Answer {
    let share = site.shares.stop(&form.session.user.name, &id, site.clock.now()).await?;
    let event = Event::new("share.stop").of(&share.id).with(&share.share_with.provider);
    site.audit.note(&form.by, event).await?;
    Ok(page::go(format!("/shares/sent/{}", share.id)))
}

/// Tries at once to deliver what of this share is still to be delivered.
pub async fn retry(site: Data<Site>, id: Path<String>, form: Form<NoFields>) -> Answer {
    let (share, deliveries) = site.shares.sent_share(&form.session.user.name, &id).await?;
    for delivery in deliveries {
        site.outbox.retry(&delivery.id, site.clock.now()).await?;
    }
    let event = Event::new("share.retry").of(&share.id).with(&share.share_with.provider);
    site.audit.note(&form.by, event).await?;
    Ok(page::go(format!("/shares/sent/{}", share.id)))
}
