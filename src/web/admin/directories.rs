//! The Directory Services that are followed, and what waits for an admin's word.

use actix_web::web::Data;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::directories::Objection;
use crate::directories::Status;
use crate::error::Error;
use crate::error::Result;
use crate::site::Site;
use crate::users::Session;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "admin_directories.html")]
struct Directories {
    page: Page,
    fault: Option<Fault>,
    directories: Vec<Status>,
}

impl Directories {
    fn badge(&self, status: &Status) -> Badge {
        let over = |end| self.page.now >= end;
        match status {
            Status { held: Some(_), .. } => Badge::warn("To decide"),
            Status { failure: Some(_), .. } => Badge::bad("Failed"),
            Status { good: None, .. } => Badge::info("Not fetched yet"),
            Status { good: Some(good), .. } if good.expires.is_some_and(over) => Badge::bad("Over"),
            Status { fingerprint: None, .. } => Badge::quiet("Not verified"),
            _ => Badge::ok("Verified"),
        }
    }
}

pub async fn list(site: Data<Site>, Admin(session): Admin) -> Answer {
    page::show(&directories(&site, &session, None).await?)
}

async fn directories(site: &Site, session: &Session, fault: Option<Fault>) -> Result<Directories> {
    Ok(Directories {
        page: Page::of(site, session, "directories", "Directories"),
        fault,
        directories: site.directories.list().await?,
    })
}

#[derive(Deserialize)]
pub struct Named {
    url: String,
}

/// A failure is no answer of its own: the page shows it with the directory.
pub async fn refresh(site: Data<Site>, _: Admin, form: Form<Named>) -> Answer {
    site.directories.refresh(&form.fields.url, site.clock.now()).await?;
    let event = Event::new("directory.refresh").of(&form.fields.url);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/admin/directories"))
}

/// The list that the page has shown.
#[derive(Deserialize)]
pub struct Accepted {
    url: String,
    digest: String,
}

pub async fn accept(site: Data<Site>, _: Admin, form: Form<Accepted>) -> Answer {
    let Accepted { url, digest } = form.fields;
    let outcome = site.directories.accept(&url, Some(&digest), site.clock.now()).await;
    match outcome {
        Ok(_) => {
            site.audit
                .note(&form.by, Event::new("directory.accept").of(&url))
                .await?;
            Ok(page::go("/admin/directories"))
        }
        Err(error) => again(&site, &form.session, error).await,
    }
}

async fn again(site: &Site, session: &Session, error: Error) -> Answer {
    let again = directories(site, session, Some(Fault::of(error)?)).await?;
    page::show_again(&again.fault, &again)
}
