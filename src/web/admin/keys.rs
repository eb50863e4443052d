//! The keys that this server signs with, and what an admin can do about them.

use actix_web::web::Data;
use askama::Template;
use serde::Deserialize;

use crate::api;
use crate::audit::Event;
use crate::http::JWKS;
use crate::keys::PublishedKey;
use crate::keys::Rotation;
use crate::keys::State;
use crate::site::Site;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::Problem;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words;
use crate::web::words::Badge;

const HERE: &str = "/admin/keys";

#[derive(Template)]
#[template(path = "admin_keys.html")]
struct Keys {
    page: Page,
    keys: Vec<PublishedKey>,
    /// What forms say they saw sign.
    active: String,
    pending: bool,
    before: String,
    after: String,
    every: Option<String>,
}

impl Keys {
    fn badge(&self, key: &PublishedKey) -> Badge {
        match key.state {
            State::Active => Badge::ok("Signs"),
            State::Pending => Badge::info("Next"),
            State::Retiring => Badge::quiet("Retiring"),
        }
    }
}

pub async fn list(site: Data<Site>, Admin(session): Admin) -> Answer {
    let keys = site.keys.list();
    let settings = &site.config.keys;
    page::show(&Keys {
        page: Page::of(&site, &session, "keys", "Signing keys"),
        active: site.keys.active().kid().to_owned(),
        pending: keys.iter().any(|key| key.state == State::Pending),
        keys,
        before: words::span(settings.publish_before_use.0),
        after: words::span(settings.publish_after_use.0),
        every: settings.rotate_every.0.map(words::span),
    })
}

/// `replacing` is the key that signed when the page was shown: a form that is sent twice rotates once.
#[derive(Deserialize)]
pub struct Wanted {
    how: Rotation,
    replacing: String,
}

pub async fn rotate(site: Data<Site>, _: Admin, form: Form<Wanted>) -> Answer {
    let wanted = &form.fields;
    let key = site
        .keys
        .rotate(wanted.how, &wanted.replacing, site.clock.now())
        .await
        .map_err(Problem::back_to(HERE))?;
    let event = Event::new(api::rotation(wanted.how)).of(key.jwk.kid());
    site.audit.note(&form.by, event).await?;
    Ok(page::go(HERE))
}

#[derive(Template)]
#[template(path = "admin_keys_stolen.html")]
struct Stolen {
    page: Page,
    active: String,
}

pub async fn ask_stolen(site: Data<Site>, Admin(session): Admin) -> Answer {
    page::show(&Stolen {
        page: Page::of(&site, &session, "keys", "Was a key stolen?"),
        active: site.keys.active().kid().to_owned(),
    })
}

pub async fn cancel(site: Data<Site>, _: Admin, form: Form<NoFields>) -> Answer {
    site.keys.cancel().await.map_err(Problem::back_to(HERE))?;
    site.audit.note(&form.by, Event::new("key.cancel")).await?;
    Ok(page::go(HERE))
}
