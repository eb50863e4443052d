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
use crate::ocm::address::Provider;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Criterion;
use crate::outbox::Delivery;
use crate::outbox::Failure;
use crate::outbox::Progress;
use crate::peers::trust::Purpose;
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
use crate::web::reader::reader;
use crate::web::reader::said;
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
    /// Why a share is not where it should be.
    fn trouble<'a>(&self, share: &'a SentShare) -> Option<&'a Failure> {
        let failed = matches!(share.state, SentState::Refused | SentState::Failed | SentState::Pending);
        share
            .last_error
            .as_ref()
            .filter(|_| failed && share.announced.is_none())
    }

    fn badge(&self, share: &SentShare) -> Badge {
        badge(share, self.page.now)
    }
}

/// Where a share stands, in a word.
fn badge(share: &SentShare, now: Timestamp) -> Badge {
    match share.state {
        _ if share.held => Badge::warn("Held"),
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
    /// Whether there are contacts that `filled.find` leaves out.
    filtered: bool,
    /// What the share is to answer, which says for whom it is.
    request: Option<ReceivedRequest>,
    /// What is known of the server of whoever is chosen.
    abilities: Option<Abilities>,
    filled: NewForm,
}

/// What another server can do with a share, as far as is known without asking it.
struct Abilities {
    host: Provider,
    /// What it said of itself last; none if it was never asked.
    says: Option<Says>,
    /// Why it would not take this share.
    obstacle: Option<String>,
}

struct Says {
    takes_files: bool,
    takes_folders: bool,
    signs: bool,
    exchanges: bool,
    wants_invite: bool,
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
    /// Words that the contacts to choose from have in their name or address.
    #[serde(default)]
    find: String,
}

impl NewForm {
    /// The address that was chosen or typed.
    fn address(&self) -> &str {
        if self.contact.is_empty() {
            &self.to
        } else {
            &self.contact
        }
    }

    /// Whether a contact is among those that are looked for; the chosen one always is.
    fn finds(&self, contact: &Contact) -> bool {
        let address = contact.address.to_string();
        let text = format!("{} {address}", contact.name).to_lowercase();
        address == self.contact
            || self
                .find
                .to_lowercase()
                .split_whitespace()
                .all(|word| text.contains(word))
    }

    fn read(&self) -> Result<NewShare> {
        let to = self.address();
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
        (Some(name), _) => said("Share {name}", &[("name", name)]),
        (None, Some(_)) => "Answer a request".to_owned(),
        (None, None) => "Share something".to_owned(),
    };
    let all = known.items.len();
    let mut contacts = known.items;
    contacts.retain(|contact| filled.finds(contact));
    Ok(New {
        page: Page::of(site, session, "sent", title),
        fault,
        path: path.to_string(),
        entries: entries.into_iter().map(|entry| entry.name).collect(),
        filtered: contacts.len() < all || all > FEW_CONTACTS,
        contacts,
        request,
        abilities: abilities(site, user, &filled).await?,
        filled,
    })
}

/// As many contacts are looked through at a glance.
const FEW_CONTACTS: usize = 8;

/// What is known of the server of whoever was chosen. It is not asked: nobody waits for it here.
async fn abilities(site: &Site, user: &str, filled: &NewForm) -> Result<Option<Abilities>> {
    let Ok(address) = OcmAddress::parse_lenient(filled.address()) else {
        return Ok(None);
    };
    let host = address.provider;
    let peer = match site.peers.last_met(&host, Purpose::Federate).await {
        Ok(peer) => peer,
        Err(error) => {
            let obstacle = Some(error.message().to_owned());
            return Ok(Some(Abilities {
                host,
                says: None,
                obstacle,
            }));
        }
    };
    let Some(peer) = peer else {
        let obstacle = None;
        return Ok(Some(Abilities {
            host,
            says: None,
            obstacle,
        }));
    };
    let folder = match TreePath::parse(&filled.path) {
        Ok(path) if !path.is_root() => site
            .homes
            .of(user)
            .await?
            .stat(&path)
            .await
            .is_ok_and(|it| it.is_folder()),
        _ => false,
    };
    let terms = site.shares.terms(&peer, folder, filled.write.is_some());
    let says = &peer.discovery;
    let takes = |what: &str| says.supports(what, "user", "webdav");
    Ok(Some(Abilities {
        host,
        says: Some(Says {
            takes_files: takes("file"),
            takes_folders: takes("folder"),
            signs: says.has(Capability::HttpSig),
            exchanges: says.has(Capability::ExchangeToken),
            wants_invite: says.requires(Criterion::MustInvite),
        }),
        obstacle: terms.err().map(|error| error.message().to_owned()),
    }))
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
    /// What their admin has to know to help; none where nothing failed.
    complaint: Option<String>,
    /// Whether an invitation may be what is missing.
    invite: bool,
}

impl Show {
    fn path(&self) -> String {
        page::escaped(self.share.path.as_str())
    }
}

pub async fn show(site: Data<Site>, session: Session, id: Path<String>) -> Answer {
    let now = site.clock.now();
    let user = &session.user.name;
    let (share, deliveries) = site.shares.sent_share(user, &id).await?;
    let contact = site
        .store
        .read(async |txn| contacts::get(txn, user, &share.share_with).await)
        .await?;
    page::show(&Show {
        complaint: complaint(&site, &share),
        invite: contact.is_none() && matches!(share.state, SentState::Refused | SentState::Failed),
        page: Page::of(&site, &session, "sent", share.name.clone()),
        badge: badge(&share, now),
        sentence: sentence(&share, &deliveries, now),
        open: share.in_force(now),
        share,
        deliveries,
    })
}

/// A text for the admin of the other server: what they have to know, and nothing that opens anything.
fn complaint(site: &Site, share: &SentShare) -> Option<String> {
    let failure = share.last_error.as_ref()?;
    let own = &site.config.server.public_url;
    let key = site.keys.active();
    Some(said(
        "{ours} could not deliver a share to {theirs}.\nWhen: {time}\nWhat happened: {what} ({code})\nOur requests are \
         signed with the key {key}, published at {place}.\nPlease see whether your server trusts {ours}, whether it can \
         fetch that key, and whether its clock is right.",
        &[
            ("ours", &own.provider().to_string()),
            ("theirs", &share.share_with.provider.to_string()),
            ("time", &failure.at.to_string()),
            ("what", &failure.message),
            ("code", &failure.code),
            ("key", key.kid()),
            ("place", &own.at("/.well-known/jwks.json")),
        ],
    ))
}

/// Where a share stands, in a sentence that says what happens next.
fn sentence(share: &SentShare, deliveries: &[Delivery], now: Timestamp) -> String {
    let host = share.share_with.provider.to_string();
    let error = share.last_error.as_ref().map_or("", |failure| failure.message.as_str());
    let error = said(error, &[]);
    let after = |sentence: &str| {
        format!("{} {error}", said(sentence, &[("host", &host)]))
            .trim_end()
            .to_owned()
    };
    let waiting = deliveries
        .iter()
        .find(|delivery| delivery.progress == Progress::Waiting);
    match share.state {
        _ if share.held => said(
            "This server was put back from a backup. Nobody gets at it until an admin has confirmed it.",
            &[],
        ),
        SentState::Stopped => said("You stopped it. Nobody gets at it through this share any more.", &[]),
        SentState::Left => said("They had accepted it and gave it back.", &[]),
        SentState::Declined => said("They declined it.", &[]),
        SentState::Refused => after("Their server will not have it."),
        SentState::Failed => after("It could not be delivered, and is no longer tried."),
        SentState::Pending | SentState::Accepted if share.expired(now) => said("Its time is over.", &[]),
        SentState::Accepted => said("They accepted it and can open it.", &[]),
        SentState::Pending if share.announced.is_some() => {
            said("{host} has it. Waiting for them to accept.", &[("host", &host)])
        }
        SentState::Pending => match waiting {
            Some(delivery) if delivery.tries > 0 => {
                let next = words::due(&delivery.due, &now);
                let times = reader()
                    .lang
                    .count("Tried once.|Tried {n} times.", delivery.tries.into());
                format!(
                    "{error} {times} {}",
                    said("The next try is {when}.", &[("when", &next)])
                )
            }
            _ => after("On its way to {host}."),
        },
    }
}

#[derive(Template)]
#[template(path = "share_stop.html")]
struct Stop {
    page: Page,
    share: SentShare,
}

pub async fn ask_stop(site: Data<Site>, session: Session, id: Path<String>) -> Answer {
    let (share, _) = site.shares.sent_share(&session.user.name, &id).await?;
    page::show(&Stop {
        page: Page::of(
            &site,
            &session,
            "sent",
            said("Stop sharing {name}?", &[("name", &share.name)]),
        ),
        share,
    })
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
