//! What is still on its way to other servers.

use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Query;
use askama::Template;

use crate::audit::Event;
use crate::outbox::Cargo;
use crate::outbox::Delivery;
use crate::outbox::Progress;
use crate::site::Site;
use crate::web::filters;
use crate::web::page;
use crate::web::page::After;
use crate::web::page::Answer;
use crate::web::page::Page;
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
    more: Option<String>,
}

impl Queue {
    fn badge(&self, delivery: &Delivery) -> Badge {
        match delivery.progress {
            Progress::GivenUp => Badge::bad("Given up"),
            Progress::Waiting if delivery.tries > 0 => Badge::warn("Waiting"),
            Progress::Waiting => Badge::info("Waiting"),
        }
    }
}

pub async fn list(site: Data<Site>, Admin(session): Admin, after: Query<After>) -> Answer {
    let listing = site.outbox.list(&after.rows()).await?;
    page::show(&Queue {
        page: Page::of(&site, &session, "queue", "Deliveries"),
        deliveries: listing.items,
        more: listing.next.map(|next| escaped(&next)),
    })
}

pub async fn retry(site: Data<Site>, _: Admin, id: Path<String>, form: Form<NoFields>) -> Answer {
    let delivery = site.outbox.retry(&id, site.clock.now()).await?;
    let event = Event::new("delivery.retry").of(&delivery.id).with(&delivery.to);
    site.audit.note(&form.by, event).await?;
    Ok(page::go("/admin/queue"))
}

pub async fn drop(site: Data<Site>, _: Admin, id: Path<String>, form: Form<NoFields>) -> Answer {
    site.courier.drop(&id).await?;
    site.audit.note(&form.by, Event::new("delivery.drop").of(&id)).await?;
    Ok(page::go("/admin/queue"))
}
