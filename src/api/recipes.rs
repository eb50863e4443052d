//! What the admins of other servers have to enter to federate with this one, as programs and pages see it.

use serde_json::Value;
use serde_json::json;
use url::Url;

use crate::api::servers;
use crate::error::Error;
use crate::error::Result;
use crate::http;
use crate::ocm::address::Provider;
use crate::ocm::dialect;
use crate::ocm::dialect::Dialect;
use crate::ocm::dialect::recipe;
use crate::ocm::dialect::recipe::Own;
use crate::ocm::dialect::recipe::Recipe;
use crate::ocm::discovery::Discovery;
use crate::shares::WEBDAV_PATH;
use crate::site::Site;

/// The recipe that was asked for, and the server that was named in place of a product.
#[derive(Debug)]
pub struct Found {
    pub recipe: Recipe,
    pub host: Option<Provider>,
}

pub fn all(site: &Site) -> Result<Vec<Recipe>> {
    let server = &site.config.server;
    let end_point = Url::parse(&server.public_url.at(http::END_POINT)).map_err(Error::internal)?;
    Ok(recipe::recipes(&Own {
        origin: server.public_url.origin(),
        provider: server.public_url.provider(),
        name: &server.name,
        end_point: &end_point,
        webdav_path: WEBDAV_PATH,
    }))
}

/// The recipe for a product, or for a server by what it said of itself; nobody is asked.
///
/// # Errors
///
/// [`Reason::NotFound`](crate::error::Reason::NotFound) for a server that nothing is known of;
/// [`Reason::Invalid`](crate::error::Reason::Invalid) for what is neither a product nor a server.
pub async fn find(site: &Site, name: &str) -> Result<Found> {
    let name = name.trim();
    let (id, host) = match recipe::named(name) {
        Some(id) => (id, None),
        None => {
            let host = servers::read(name).map_err(|error| error.in_field("name"))?;
            let Some((discovery, _)) = site.peers.account(&host).await?.discovery else {
                return Err(unknown(&host));
            };
            (
                recipe::for_dialect(the_dialect(site, &host, &discovery).await?.id),
                Some(host),
            )
        }
    };
    let mut recipes = all(site)?.into_iter();
    let recipe = recipes
        .find(|recipe| recipe.id == id)
        .expect("every dialect has a recipe");
    Ok(Found { recipe, host })
}

/// How it is spoken to: as an admin said, else as it says itself.
async fn the_dialect(site: &Site, host: &Provider, discovery: &Discovery) -> Result<&'static Dialect> {
    let settings = site.peers.settings_of(host).await?;
    let named = settings.and_then(|settings| settings.dialect);
    Ok(named
        .and_then(|id| dialect::named(&id))
        .unwrap_or_else(|| dialect::of(discovery)))
}

fn unknown(host: &Provider) -> Error {
    Error::not_found(format!(
        "{host} is no product that there is a recipe for, and nothing is known of a server of this name: ocmesh peer \
         recipe lists the products, ocmesh peer refresh HOST asks a server."
    ))
    .in_field("name")
}

pub(super) fn list(site: &Site) -> Result<Value> {
    let row = |recipe: Recipe| json!({ "id": recipe.id, "product": recipe.product });
    Ok(super::rows(all(site)?, row))
}

pub(super) async fn show(site: &Site, name: &str) -> Result<Value> {
    let Found { recipe, host } = find(site, name).await?;
    let mut shown = json!(recipe);
    shown["host"] = json!(host);
    Ok(shown)
}
