//! One server: whether we deal with it, what it says of itself, its keys, what went wrong last, and whether this server is
//! a trusted one there.

use actix_web::web::Data;
use actix_web::web::Path;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Result;
use crate::handshake::Handshake;
use crate::handshake::State;
use crate::ocm::address::Provider;
use crate::ocm::dialect;
use crate::ocm::dialect::Dialect;
use crate::ocm::discovery::Discovery;
use crate::peers::Account;
use crate::peers::Met;
use crate::peers::Signing;
use crate::peers::settings::PeerSettings;
use crate::peers::settings::SignaturePolicy;
use crate::peers::trust::Decision;
use crate::peers::trust::Purpose;
use crate::site::Site;
use crate::users::Session;
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

pub async fn show(site: Data<Site>, Admin(session): Admin, host: Path<String>) -> Answer {
    let host = Provider::parse(&host).map_err(Error::from)?;
    page::show(&portrait(&site, &session, host, None).await?)
}

/// Asks the server now; this is the one page that waits for a peer, for that is what was asked for.
pub async fn refresh(site: Data<Site>, _: Admin, host: Path<String>, form: Form<NoFields>) -> Answer {
    let host = Provider::parse(&host).map_err(Error::from)?;
    match site.peers.refresh(&host).await {
        Ok(_) => {
            let event = Event::new("server.refresh").of(&host).with(&host);
            site.audit.note(&form.by, event).await?;
            Ok(page::go(format!("/admin/servers/{host}")))
        }
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
    let event = Event::new("server.set").of(&host).with(&host);
    site.audit.note(&form.by, event).await?;
    Ok(page::go(format!("/admin/servers/{host}")))
}

/// Begins, and waits for nobody: what comes of it is on the page later.
pub async fn handshake(site: Data<Site>, _: Admin, host: Path<String>, form: Form<NoFields>) -> Answer {
    let host = Provider::parse(&host).map_err(Error::from)?;
    match site.handshakes.start(&host, site.clock.now()).await {
        Ok(_) => {
            let event = Event::new("server.introduce").of(&host).with(&host);
            site.audit.note(&form.by, event).await?;
            Ok(page::go(format!("/admin/servers/{host}")))
        }
        Err(error) => {
            let again = portrait(&site, &form.session, host, Some(Fault::of(error)?)).await?;
            page::show_again(&again.fault, &again)
        }
    }
}

async fn portrait(site: &Site, session: &Session, host: Provider, fault: Option<Fault>) -> Result<Show> {
    Ok(Show {
        page: Page::of(site, session, "servers", host.to_string()),
        fault,
        decision: site.peers.explain(&host, Purpose::Federate).await?,
        account: site.peers.account(&host).await?,
        signs_since: site.peers.signs_since(&host).await?,
        met: site.peers.recall(&host).await?,
        settings: site.peers.settings_of(&host).await?,
        origin: site.config.server.public_url.origin().to_owned(),
        handshake: site.handshakes.of(&host).await?,
        host,
    })
}
