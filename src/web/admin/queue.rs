//! What is still on its way to other servers.

use std::collections::BTreeSet;

use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::outbox::Cargo;
use crate::outbox::Delivery;
use crate::outbox::Progress;
use crate::site::Site;
use crate::store::Page as Rows;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::ROWS;
use crate::web::page::escaped;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "admin_queue.html")]
struct Queue {
    page: Page,
    deliveries: Vec<Delivery>,
    /// The servers that something waits for.
    servers: BTreeSet<String>,
    server: String,
    more: Option<String>,
}

impl Queue {
    fn badge(&self, delivery: &Delivery) -> Badge {
        match delivery.progress {
            Progress::GivenUp => Badge::bad("Given up"),
            Progress::Held => Badge::warn("Held"),
            Progress::Waiting if delivery.tries > 0 => Badge::warn("Waiting"),
            Progress::Waiting => Badge::info("Waiting"),
        }
    }

    /// The address of a form, which leads back to the same list.
    fn form(&self, delivery: &Delivery, verb: &str) -> String {
        format!("/admin/queue/{}/{verb}?server={}", delivery.id, escaped(&self.server))
    }
}

/// Which part of the queue somebody looks at.
#[derive(Deserialize)]
pub struct Wanted {
    #[serde(default)]
    server: String,
    after: Option<String>,
}

impl Wanted {
    /// The list that a button stood in.
    fn here(&self) -> String {
        match self.server.as_str() {
            "" => "/admin/queue".to_owned(),
            server => format!("/admin/queue?server={}", escaped(server)),
        }
    }
}

pub async fn list(site: Data<Site>, Admin(session): Admin, wanted: Query<Wanted>) -> Answer {
    let rows = match &wanted.after {
        Some(after) => Rows::after(after, ROWS),
        None => Rows::first(ROWS),
    };
    let listing = site.outbox.list(&rows).await?;
    let mut deliveries = listing.items;
    let servers = deliveries.iter().map(|delivery| delivery.to.to_string()).collect();
    let server = wanted.server.trim().to_lowercase();
    deliveries.retain(|delivery| server.is_empty() || delivery.to.to_string() == server);
    deliveries.sort_by_key(|delivery| (delivery.progress == Progress::Waiting, delivery.due));
    page::show(&Queue {
        page: Page::of(&site, &session, "queue", "Deliveries"),
        deliveries,
        servers,
        server,
        more: listing.next.map(|next| escaped(&next)),
    })
}

pub async fn retry(
    site: Data<Site>,
    _: Admin,
    id: Path<String>,
    wanted: Query<Wanted>,
    form: Form<NoFields>,
) -> Answer {
    let delivery = site.outbox.retry(&id, site.clock.now()).await?;
    let event = Event::new("delivery.retry").of(&delivery.id).with(&delivery.to);
    site.audit.note(&form.by, event).await?;
    Ok(page::go(wanted.here()))
}

pub async fn drop(site: Data<Site>, _: Admin, id: Path<String>, wanted: Query<Wanted>, form: Form<NoFields>) -> Answer {
    site.courier.drop(&id).await?;
    site.audit.note(&form.by, Event::new("delivery.drop").of(&id)).await?;
    Ok(page::go(wanted.here()))
}
