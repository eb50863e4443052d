//! Users, contacts and how they come about, as programs see them.

use serde_json::Value;
use serde_json::json;

use crate::api::every;
use crate::api::rows;
use crate::api::the_user;
use crate::contacts;
use crate::contacts::Contact;
use crate::error::Result;
use crate::ocm::address::OcmAddress;
use crate::secret::Secret;
use crate::site::Site;
use crate::store::Page;
use crate::users::NewUser;
use crate::users::User;

pub async fn add_user(
    site: &Site,
    name: String,
    display_name: String,
    mail: String,
    password: Secret,
    admin: bool,
) -> Result<Value> {
    let new = NewUser {
        name,
        display_name,
        mail,
        password,
        admin,
    };
    let user = site.users.create(new, site.clock.now()).await?;
    Ok(user_row(site, user))
}

pub async fn users(site: &Site) -> Result<Value> {
    let users = every(async |page| site.users.list(page).await).await?;
    Ok(rows(users, |user| user_row(site, user)))
}

fn user_row(site: &Site, user: User) -> Value {
    let provider = site.config.server.public_url.provider();
    json!({
        "name": user.name,
        "address": format!("{}@{provider}", user.name),
        "display_name": user.display_name,
        "mail": user.mail,
        "admin": user.admin,
        "created": user.created.to_string(),
    })
}

pub async fn accept_invite(site: &Site, user: Option<String>, text: &str) -> Result<Value> {
    let user = the_user(site, user).await?;
    let invite = site.invites.read(text)?;
    let contact = site.invites.accept(&user, &invite, site.clock.now()).await?;
    Ok(json!({ "contact": contact_row(contact) }))
}

pub async fn contacts(site: &Site, user: Option<String>) -> Result<Value> {
    let user = the_user(site, user).await?;
    let list = async |page: Page| {
        site.store
            .read(async |txn| contacts::list(txn, &user.name, &page).await)
            .await
    };
    Ok(rows(every(list).await?, contact_row))
}

pub async fn remove_contact(site: &Site, user: Option<String>, address: &str) -> Result<Value> {
    let user = the_user(site, user).await?;
    let address = OcmAddress::parse(address)?;
    let contact = site
        .store
        .run(async |txn| contacts::remove(txn, &user.name, &address).await)
        .await?;
    Ok(contact_row(contact))
}

fn contact_row(contact: Contact) -> Value {
    json!({
        "address": contact.address.to_string(),
        "name": contact.name,
        "email": contact.email,
        "provider": contact.address.provider.to_string(),
        "since": contact.since.to_string(),
        "via": contact.via,
    })
}
