//! What the admin of another server has to enter so that it federates with this one.

use actix_web::web::Data;
use actix_web::web::Query;
use askama::Template;
use serde::Deserialize;

use crate::api::recipes;
use crate::api::recipes::Found;
use crate::error::Result;
use crate::ocm::dialect::recipe::Recipe;
use crate::site::Site;
use crate::web::filters;
use crate::web::page;
use crate::web::page::Answer;
use crate::web::page::Fault;
use crate::web::page::Page;
use crate::web::session::Admin;

#[derive(Template)]
#[template(path = "admin_connect.html")]
struct Connect {
    page: Page,
    fault: Option<Fault>,
    products: Vec<Recipe>,
    asked: String,
    found: Option<Found>,
}

impl Connect {
    fn is_chosen(&self, product: &Recipe) -> bool {
        self.found.as_ref().is_some_and(|found| found.recipe.id == product.id)
    }

    /// What stands in the field for a server: not the product that was chosen by its link.
    fn typed(&self) -> &str {
        match &self.found {
            Some(Found { host: None, .. }) => "",
            _ => &self.asked,
        }
    }
}

/// A product, or a server that is known.
#[derive(Deserialize)]
pub struct Asked {
    #[serde(default)]
    to: String,
}

pub async fn show(site: Data<Site>, Admin(session): Admin, asked: Query<Asked>) -> Answer {
    let asked = asked.into_inner().to;
    let (found, fault) = match find(&site, &asked).await {
        Ok(found) => (found, None),
        Err(error) => (None, Some(Fault::of(error.in_field("to"))?)),
    };
    let shown = Connect {
        page: Page::of(&site, &session, "connect", "Connect a server"),
        fault,
        products: recipes::all(&site)?,
        asked,
        found,
    };
    page::show_again(&shown.fault, &shown)
}

async fn find(site: &Site, asked: &str) -> Result<Option<Found>> {
    if asked.trim().is_empty() {
        return Ok(None);
    }
    recipes::find(site, asked).await.map(Some)
}
