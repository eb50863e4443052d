//! What this server is, for anyone; and what waits for whoever is signed in.

use actix_web::web::Data;
use askama::Template;

use crate::contacts;
use crate::error::Result;
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
use crate::web::page::ROWS;

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
    invited: bool,
    connected: bool,
    shared: bool,
}

impl Home {
    fn nothing_waits(&self) -> bool {
        self.to_decide.is_empty() && self.asked == 0 && self.failed.is_empty()
    }

    fn all_done(&self) -> bool {
        self.invited && self.connected && self.shared
    }
}

pub async fn home(site: Data<Site>, session: Session) -> Answer {
    page::show(&gather(&site, &session).await?)
}

async fn gather(site: &Site, session: &Session) -> Result<Home> {
    let (user, now) = (&session.user.name, site.clock.now());
    let mut received = site.shares.received(user, &Rows::first(ROWS)).await?.items;
    let mut sent = site.shares.sent(user, &Rows::first(ROWS)).await?.items;
    let invites = site.invites.list(user, &Rows::first(1)).await?.items;
    let one = Rows::first(1);
    let known = site
        .store
        .read(async |txn| contacts::list(txn, user, &one).await)
        .await?
        .items;
    let shared = !sent.is_empty();
    received.retain(|share| share.state == ReceivedState::Pending && !share.expired(now));
    sent.retain(|share| matches!(share.state, SentState::Failed | SentState::Refused));
    Ok(Home {
        page: Page::of(site, session, "home", "Home"),
        name: session.user.display_name.clone(),
        to_decide: received,
        asked: site.requests.waiting(user).await?,
        failed: sent,
        invited: !invites.is_empty() || !known.is_empty(),
        connected: !known.is_empty(),
        shared,
    })
}
