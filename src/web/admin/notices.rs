//! Who is told what happens on this server, what has not been told yet, and a test.

use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::audit::Event;
use crate::config::AdminTopic;
use crate::notify;
use crate::notify::Standing;
use crate::notify::Telling;
use crate::notify::Tested;
use crate::notify::Tried;
use crate::notify::Way;
use crate::site::Site;
use crate::store::Page as Rows;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::page::ROWS;
use crate::web::page::escaped;
use crate::web::reader::reader;
use crate::web::reader::said;
use crate::web::session::Admin;
use crate::web::session::Form;
use crate::web::session::NoFields;
use crate::web::words::Badge;

#[derive(Template)]
#[template(path = "admin_notices.html")]
struct Notices {
    page: Page,
    standing: Standing,
    topics: Vec<&'static str>,
    waiting: Vec<Telling>,
    more: Option<String>,
    tested: Option<Tested>,
}

impl Notices {
    fn is_told_anywhere(&self) -> bool {
        !self.standing.webhooks.is_empty() || (self.standing.can_mail && !self.standing.admin_mail.is_empty())
    }

    fn badge(&self, telling: &Telling) -> Badge {
        match (telling.given_up, telling.tries) {
            (true, _) => Badge::bad("Given up"),
            (false, 0) => Badge::info("Waiting"),
            (false, _) => Badge::warn("Waiting"),
        }
    }

    /// What is told to somebody here is theirs: an admin sees that there is something.
    fn what(&self, telling: &Telling) -> String {
        match telling.way {
            Way::UserMail(_) => said("A notice about what is theirs", &[]),
            _ => telling.said(reader().lang),
        }
    }

    fn outcome(&self, tried: &Tried) -> Badge {
        match tried.outcome {
            Ok(_) => Badge::ok("Arrived"),
            Err(_) => Badge::bad("Did not arrive"),
        }
    }

    fn answer(&self, tried: &Tried) -> String {
        match &tried.outcome {
            Ok(said) => said.clone(),
            Err(error) => reader().lang.say(&error.to_string()).into_owned(),
        }
    }
}

#[derive(Deserialize)]
pub struct Wanted {
    after: Option<String>,
}

pub async fn show(site: Data<Site>, Admin(session): Admin, wanted: Query<Wanted>) -> Answer {
    let rows = match &wanted.after {
        Some(after) => Rows::after(after, ROWS),
        None => Rows::first(ROWS),
    };
    let listing = site.notices.list(&rows).await?;
    let on = &site.config.notify.admin_on;
    page::show(&Notices {
        page: Page::of(&site, &session, "notices", "Notices"),
        standing: site.notices.standing().await?,
        topics: AdminTopic::ALL
            .into_iter()
            .filter(|topic| on.contains(topic))
            .map(notify::admin_topic)
            .collect(),
        waiting: listing.items,
        more: listing.next.map(|next| escaped(&next)),
        tested: site.notices.tested(),
    })
}

/// Sends a test everywhere; its outcome is on the page.
pub async fn test(site: Data<Site>, _: Admin, form: Form<NoFields>) -> Answer {
    site.notices.test().await;
    site.audit.note(&form.by, Event::new("notice.test")).await?;
    Ok(page::go("/admin/notices#test"))
}

pub async fn retry(site: Data<Site>, _: Admin, form: Form<NoFields>) -> Answer {
    site.notices.retry(site.clock.now()).await?;
    site.audit.note(&form.by, Event::new("notice.retry")).await?;
    Ok(page::go("/admin/notices"))
}
