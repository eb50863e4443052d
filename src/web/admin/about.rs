//! What runs here: its version, its licence, where its source is.

use actix_web::web::Data;
use askama::Template;

use crate::site::Site;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Page;
use crate::web::session::Admin;

/// The revisions of the draft that this server follows, at once.
const DRAFTS: [&str; 2] = ["-05", "-07"];

#[derive(Template)]
#[template(path = "admin_about.html")]
struct About {
    page: Page,
    instance: String,
}

impl About {
    fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    fn licence(&self) -> &'static str {
        env!("CARGO_PKG_LICENSE")
    }
}

pub async fn show(site: Data<Site>, Admin(session): Admin) -> Answer {
    page::show(&About {
        page: Page::of(&site, &session, "about", "About"),
        instance: site.store.instance_id().to_owned(),
    })
}
