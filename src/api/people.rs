//! Users, as programs see them.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::api::contacts;
use crate::api::rows;
use crate::api::the_user;
use crate::config::UserTopic;
use crate::error::Error;
use crate::error::Result;
use crate::files::TreePath;
use crate::lang::Lang;
use crate::secret::Secret;
use crate::site::Site;
use crate::store::every;
use crate::users::NewUser;
use crate::users::Profile;
use crate::users::SIGN_IN_LINK_LASTS;
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
    // Where no password is given, its owner sets one.
    if new.password.is_empty() {
        let (user, code) = site.users.invite(&new, site.clock.now()).await?;
        return Ok(linked_row(site, user, &code));
    }
    let user = site.users.create(new, site.clock.now()).await?;
    Ok(user_row(site, user))
}

/// A new sign-in link; the one before it is void.
pub async fn link_user(site: &Site, name: &str) -> Result<Value> {
    let (user, code) = site.users.issue_link(name, site.clock.now()).await?;
    Ok(linked_row(site, user, &code))
}

fn linked_row(site: &Site, user: User, code: &Secret) -> Value {
    let mut row = user_row(site, user);
    row["link"] = json!(site.sign_in_link(code));
    row["link_until"] = json!(site.clock.now().plus(SIGN_IN_LINK_LASTS).to_string());
    row
}

pub async fn show_user(site: &Site, user: Option<String>) -> Result<Value> {
    let user = the_user(site, user).await?;
    let contacts = contacts::list(site, Some(user.name.clone())).await?;
    let sent = every(async |page| site.shares.sent(&user.name, &page).await).await?;
    let received = every(async |page| site.shares.received(&user.name, &page).await).await?;
    let link = site.users.link_until(&user.name, site.clock.now()).await?;
    let home = site.homes.of(&user.name).await?;
    let mut row = user_row(site, user);
    row["contacts"] = json!(contacts.as_array().map_or(0, Vec::len));
    row["sent"] = json!(sent.len());
    row["received"] = json!(received.len());
    row["storage"] = json!(home.usage(&TreePath::root()).await?);
    row["link_until"] = json!(link.map(|end| end.to_string()));
    Ok(row)
}

pub async fn disable_user(site: &Site, name: &str, disabled: bool) -> Result<Value> {
    let user = site.users.set_disabled(name, disabled, site.clock.now()).await?;
    Ok(user_row(site, user))
}

/// What a command changes of an account; what is none stays as it is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct UserChange {
    pub display_name: Option<String>,
    pub mail: Option<String>,
    /// A tag of ours, or `auto` for what the browser asks.
    pub language: Option<String>,
    pub accept_from_contacts: Option<bool>,
    pub admin: Option<bool>,
    /// What they hear about by mail.
    #[serde(default)]
    pub notify: Option<Vec<UserTopic>>,
}

pub async fn set_user(site: &Site, user: Option<String>, change: UserChange) -> Result<Value> {
    let mut user = the_user(site, user).await?;
    let language = match change.language.as_deref() {
        None => None,
        Some("auto") => Some(None),
        Some(code) => {
            let lang = Lang::ALL.into_iter().find(|lang| lang.code() == code);
            Some(Some(lang.ok_or_else(|| {
                Error::invalid("language", "A language is one of: auto, en, de, fr.")
            })?))
        }
    };
    if let Some(admin) = change.admin {
        user = site.users.set_admin(&user.name, admin).await?;
    }
    let profile = Profile {
        display_name: change.display_name,
        mail: change.mail,
        language,
        accept_from_contacts: change.accept_from_contacts,
        notify: change.notify,
    };
    user = site.users.change(&user.name, profile).await?;
    Ok(user_row(site, user))
}

pub async fn sign_out(site: &Site, user: Option<String>) -> Result<Value> {
    let user = the_user(site, user).await?;
    site.users.sign_out_everywhere(&user.name).await?;
    Ok(user_row(site, user))
}

pub async fn delete_user(site: &Site, name: &str) -> Result<Value> {
    let user = site.delete_person(name, site.clock.now()).await?;
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
        "state": if user.is_active() { "active" } else { "disabled" },
        "has_password": user.has_password(),
        "last_seen": user.seen.map(|at| at.to_string()),
        "language": user.language,
        "accept_from_contacts": user.accept_from_contacts,
        "notify": site.notices.wanted_by(&user),
        "created": user.created.to_string(),
    })
}
