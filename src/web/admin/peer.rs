//! One server: whether we deal with it, what it says of itself, its keys, what went wrong last, and whether this server is
//! a trusted one there.

use actix_web::web::Data;
use actix_web::web::Path;
use askama::Template;
use serde::Deserialize;

use crate::api::dealings;
use crate::api::servers as api;
use crate::clock::Timestamp;
use crate::contacts::Contact;
use crate::error::Error;
use crate::error::Result;
use crate::handshake::Handshake;
use crate::handshake::State;
use crate::ocm::address::Provider;
use crate::ocm::dialect;
use crate::ocm::dialect::Dialect;
use crate::ocm::discovery::Capability;
use crate::ocm::discovery::Criterion;
use crate::ocm::discovery::Discovery;
use crate::outbox::Delivery;
use crate::outbox::Progress;
use crate::peers::Account;
use crate::peers::Met;
use crate::peers::Signing;
use crate::peers::pins::SeenKeys;
use crate::peers::settings::PeerSettings;
use crate::peers::settings::SignaturePolicy;
use crate::peers::together::Together;
use crate::peers::together::Works;
use crate::peers::traffic::Exchange;
use crate::peers::trust::Decision;
use crate::peers::trust::Pattern;
use crate::peers::trust::Purpose;
use crate::peers::trust::TrustRule;
use crate::shares::ReceivedShare;
use crate::shares::SentShare;
use crate::site::Site;
use crate::users::Session;
use crate::web::admin::policy;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "admin_peer.html")]
struct Show {
    page: Page,
    fault: Option<Fault>,
    host: Provider,
    decision: Decision,
    account: Account,
    signs_since: Option<Timestamp>,
    met: Option<Met>,
    settings: Option<PeerSettings>,
    handshake: Option<Handshake>,
    /// The rule for exactly this server.
    rule: Option<TrustRule>,
    seen_keys: Option<SeenKeys>,
    together: Vec<Together>,
    contacts: Vec<Contact>,
    sent: Vec<SentShare>,
    received: Vec<ReceivedShare>,
    queue: Vec<Delivery>,
    from_them: Vec<Exchange>,
    to_them: Vec<Exchange>,
    /// Since when requests are remembered.
    since: Timestamp,
    /// What it says of itself, as it is kept.
    raw: String,
    /// Ours, as it has to be on their list.
    origin: String,
}

impl Show {
    /// The policies there are, and whether each is the one that was set for this server.
    fn policies(&self) -> [(SignaturePolicy, bool); 3] {
        let set = self.settings.as_ref().and_then(|settings| settings.signatures);
        SignaturePolicy::ALL.map(|policy| (policy, set == Some(policy)))
    }

    /// The same for dialects.
    fn dialects(&self) -> Vec<(&'static Dialect, bool)> {
        let set = self.settings.as_ref().and_then(|settings| settings.dialect.as_deref());
        let chosen = |dialect: &'static Dialect| (dialect, set == Some(dialect.id));
        dialect::ALL.iter().map(chosen).collect()
    }

    /// What it says, and when it said so; none while that is to be asked for anew.
    fn said(&self) -> Option<(&Discovery, Option<Timestamp>)> {
        let (discovery, fetched) = self.account.discovery.as_ref()?;
        Some((discovery, Some(*fetched).filter(|at| *at > Timestamp(0))))
    }

    /// What it can do and demands, in words: those that mean something here.
    fn words(&self) -> Vec<(&str, &'static str)> {
        let Some((discovery, _)) = &self.account.discovery else {
            return Vec::new();
        };
        let can = discovery.capabilities().iter().map(|word| {
            let known = Capability::from_word(word).map(policy::capability);
            (word.as_str(), known.unwrap_or("It means nothing to this server."))
        });
        let demands = discovery.criteria().iter().map(|word| {
            let known = Criterion::from_word(word).map(policy::criterion);
            (word.as_str(), known.unwrap_or("It means nothing to this server."))
        });
        can.chain(demands).collect()
    }

    fn works(&self, row: &Together) -> Badge {
        match row.works {
            Works::Yes => Badge::ok("Yes"),
            Works::No => Badge::bad("No"),
            Works::Perhaps => Badge::warn("Perhaps"),
        }
    }

    fn outcome(&self, exchange: &Exchange) -> Badge {
        if exchange.good {
            Badge::ok("Went well")
        } else {
            Badge::bad("Went wrong")
        }
    }

    /// What is left of a list of which only the first are shown.
    fn more<T>(&self, list: &[T]) -> usize {
        list.len().saturating_sub(SHOWN)
    }

    fn badge(&self, handshake: &Handshake) -> Badge {
        match handshake.state() {
            State::Asking | State::Asked => Badge::info("Asked"),
            State::TheyAsk => Badge::info("They ask"),
            State::Done if handshake.read().is_some() => Badge::ok("Green there"),
            State::Done => Badge::ok("Done"),
            State::GaveUp => Badge::bad("Given up"),
        }
    }
}

/// How many contacts, shares and deliveries are shown.
const SHOWN: usize = 50;

pub async fn show(site: Data<Site>, Admin(session): Admin, host: Path<String>) -> Answer {
    let host = Provider::parse(&host).map_err(Error::from)?;
    page::show(&portrait(&site, &session, host, None).await?)
}

/// Asks the server now; this is the one page that waits for a peer, for that is what was asked for.
pub async fn refresh(site: Data<Site>, _: Admin, host: Path<String>, form: Form<NoFields>) -> Answer {
    let host = Provider::parse(&host).map_err(Error::from)?;
    match site.peers.refresh(&host).await {
        Ok(_) => Ok(page::go(format!("/admin/servers/{host}"))),
        Err(error) => {
            let again = portrait(&site, &form.session, host, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

#[derive(Deserialize)]
pub struct Chosen {
    #[serde(default)]
    signatures: String,
    #[serde(default)]
    dialect: String,
}

pub async fn set(site: Data<Site>, _: Admin, host: Path<String>, form: Form<Chosen>) -> Answer {
    let host = Provider::parse(&host).map_err(Error::from)?;
    let Chosen { signatures, dialect } = form.fields;
    let by = form.session.user.name.clone();
    let settings = PeerSettings::read(&host, Some(&signatures), Some(dialect), by, site.clock.now())?;
    site.peers.set_settings(&settings).await?;
    Ok(page::go(format!("/admin/servers/{host}")))
}

/// Begins, and waits for nobody: what comes of it is on the page later.
pub async fn handshake(site: Data<Site>, _: Admin, host: Path<String>, form: Form<NoFields>) -> Answer {
    let host = Provider::parse(&host).map_err(Error::from)?;
    match site.handshakes.start(&host, site.clock.now()).await {
        Ok(_) => Ok(page::go(format!("/admin/servers/{host}"))),
        Err(error) => {
            let again = portrait(&site, &form.session, host, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

/// Notes that an admin has compared the keys.
pub async fn trust_keys(site: Data<Site>, _: Admin, host: Path<String>, _: Form<NoFields>) -> Answer {
    let host = Provider::parse(&host).map_err(Error::from)?;
    site.peers.trust_keys(&host).await?;
    Ok(page::go(format!("/admin/servers/{host}")))
}

/// Makes everything due now that is on its way there.
pub async fn retry(site: Data<Site>, _: Admin, host: Path<String>, _: Form<NoFields>) -> Answer {
    let host = Provider::parse(&host).map_err(Error::from)?;
    api::retry_for(&site, &host.to_string()).await?;
    Ok(page::go(format!("/admin/servers/{host}")))
}

async fn portrait(site: &Site, session: &Session, host: Provider, fault: Option<Fault>) -> Result<Show> {
    let account = site.peers.account(&host).await?;
    let raw = match &account.discovery {
        Some((discovery, _)) => serde_json::to_string_pretty(&**discovery).map_err(Error::internal)?,
        None => String::new(),
    };
    let mut contacts = dealings::every_contact(site).await?;
    contacts.retain(|contact| contact.address.provider == host);
    let (mut sent, mut received) = dealings::open_shares(site).await?;
    sent.retain(|share| share.share_with.provider == host);
    received.retain(|share| share.sender.provider == host);
    let (from_them, to_them) = site.peers.traffic().of(&host);
    let pattern = Pattern::parse(&host.to_string())?;
    Ok(Show {
        page: Page::of(site, session, "servers", host.to_string()),
        fault,
        decision: site.peers.explain(&host, Purpose::Federate).await?,
        account,
        signs_since: site.peers.signs_since(&host).await?,
        met: site.peers.recall(&host).await?,
        settings: site.peers.settings_of(&host).await?,
        origin: site.config.server.public_url.origin().to_owned(),
        handshake: site.handshakes.of(&host).await?,
        rule: site.store.read(async |txn| txn.get(pattern.key()).await).await?,
        seen_keys: site.peers.seen_keys(&host).await?,
        together: api::together_with(site, &host).await?,
        queue: api::queue_for(site, &host).await?,
        since: site.peers.traffic().since(),
        contacts,
        sent,
        received,
        from_them,
        to_them,
        raw,
        host,
    })
}
