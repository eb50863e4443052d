//! The backups of this server, and what waits for an admin after one was put back.

use actix_web::web::Data;
use askama::Template;
use futures_util::StreamExt;
use serde::Deserialize;
use tokio_util::io::ReaderStream;

use crate::audit::Event;
use crate::backup::Made;
use crate::backup::Standing;
use crate::backup::State;
use crate::backup::review;
use crate::backup::review::Held;
use crate::error::Error;
use crate::outbox::Cargo;
use crate::site::Site;
use crate::web::files;
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

const HERE: &str = "/admin/backups";
/// How many of each kind are shown that wait.
const SHOWN: usize = 200;

#[derive(Template)]
#[template(path = "admin_backups.html")]
struct Backups {
    page: Page,
    backups: Vec<Made>,
    state: State,
    every: Option<String>,
    folder: String,
    overdue: bool,
    same_disk: bool,
    with_files: bool,
    held: Held,
    numbers: review::Numbers,
}

impl Backups {
    fn badge(&self, made: &Made) -> Badge {
        match made.verified {
            Some(_) => Badge::ok("Whole"),
            None => Badge::warn("Not checked"),
        }
    }

    /// What puts the newest in place.
    fn command(&self, option: &str) -> String {
        let newest = self.backups.first().map(|made| made.file.display().to_string());
        format!("ocmesh restore {}{option}", newest.as_deref().unwrap_or("FILE"))
    }
}

pub async fn list(site: Data<Site>, Admin(session): Admin) -> Answer {
    let mut held = review::held(&site.shares, &site.invites, &site.outbox).await?;
    let numbers = held.numbers();
    held.shares.truncate(SHOWN);
    held.invites.truncate(SHOWN);
    held.deliveries.truncate(SHOWN);
    let settings = &site.config.backup;
    let backups = site.backups.listed().await?;
    let standing = Standing::of(&backups, settings.every.0, site.clock.now());
    page::show(&Backups {
        page: Page::of(&site, &session, "backups", "Backups"),
        backups,
        state: site.backups.state(),
        every: settings.every.0.map(words::span),
        folder: settings.dir.display().to_string(),
        overdue: settings.every.0.is_some() && standing.is_overdue(),
        same_disk: site.backups.on_same_disk(),
        with_files: settings.include_files,
        held,
        numbers,
    })
}

/// Begins one; how it goes is on the page.
pub async fn make(site: Data<Site>, _: Admin, form: Form<NoFields>) -> Answer {
    site.backups.begin(site.clock.now()).map_err(Problem::back_to(HERE))?;
    site.audit.note(&form.by, Event::new("backup.create")).await?;
    Ok(page::go(HERE))
}

/// One of the backups, by the name of its file.
#[derive(Deserialize)]
pub struct Named {
    name: String,
}

pub async fn check(site: Data<Site>, _: Admin, form: Form<Named>) -> Answer {
    let outcome = site.backups.check(&form.fields.name, site.clock.now()).await;
    let event = Event::new("backup.check").of(&form.fields.name);
    site.audit.note(&form.by, event).await?;
    outcome.map_err(Problem::back_to(HERE))?;
    Ok(page::go(HERE))
}

/// Hands one out. It is a form and no link: whoever has it can act as this server, and that somebody took it is noted.
pub async fn download(site: Data<Site>, _: Admin, form: Form<Named>) -> Answer {
    let made = site
        .backups
        .find(&form.fields.name)
        .await
        .map_err(Problem::back_to(HERE))?;
    let file = tokio::fs::File::open(&made.file).await.map_err(Error::from)?;
    site.audit
        .note(&form.by, Event::new("backup.download").of(made.name()))
        .await?;
    let content = ReaderStream::new(file).map(|chunk| chunk.map_err(Error::from));
    Ok(files::attachment(&made.name(), Some(made.size), Box::pin(content)))
}

/// One thing that waits; nothing for all of them.
#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    id: String,
}

pub async fn confirm(site: Data<Site>, _: Admin, form: Form<Wanted>) -> Answer {
    let id = form.fields.id.as_str();
    let one = (!id.is_empty()).then_some(id);
    review::confirm(&site.shares, &site.invites, &site.outbox, one, site.clock.now())
        .await
        .map_err(Problem::back_to(HERE))?;
    let object = one.unwrap_or("all");
    site.audit
        .note(&form.by, Event::new("backup.confirm").of(object))
        .await?;
    Ok(page::go(HERE))
}

/// Ends one thing that waits, as its owner would.
pub async fn end(site: Data<Site>, _: Admin, form: Form<Wanted>) -> Answer {
    let id = form.fields.id.as_str();
    let held = review::held(&site.shares, &site.invites, &site.outbox).await?;
    let event = if let Some(share) = held.shares.iter().find(|share| share.id == id) {
        site.shares.stop(&share.user, id, site.clock.now()).await?;
        Event::new("share.stop").of(id).with(&share.share_with.provider)
    } else if let Some(invite) = held.invites.iter().find(|invite| invite.id == id) {
        site.invites.revoke(&invite.user, id).await?;
        Event::new("invite.revoke").of(id)
    } else {
        site.courier.drop(id).await.map_err(Problem::back_to(HERE))?;
        Event::new("delivery.drop").of(id)
    };
    site.audit.note(&form.by, event).await?;
    Ok(page::go(HERE))
}
