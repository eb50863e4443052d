//! Users and the invites they send, as programs see them.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::api::every;
use crate::api::rows;
use crate::api::the_user;
use crate::error::Error;
use crate::error::Result;
use crate::invites::NewInvite;
use crate::invites::SentInvite;
use crate::lang::Lang;
use crate::secret::Secret;
use crate::site::Site;
use crate::store::Key;
use crate::users::NewUser;
use crate::users::Profile;
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

pub async fn user(site: &Site, user: Option<String>) -> Result<Value> {
    Ok(user_row(site, the_user(site, user).await?))
}

pub async fn set_user(
    site: &Site,
    user: Option<String>,
    display_name: Option<String>,
    mail: Option<String>,
    language: Option<String>,
    accept_from_contacts: Option<bool>,
) -> Result<Value> {
    let user = the_user(site, user).await?;
    let language = match language.as_deref() {
        None => None,
        Some("auto") => Some(None),
        Some(code) => {
            let lang = Lang::ALL.into_iter().find(|lang| lang.code() == code);
            Some(Some(lang.ok_or_else(|| {
                Error::invalid("language", "A language is one of: auto, en, de, fr.")
            })?))
        }
    };
    let profile = Profile {
        display_name,
        mail,
        language,
        accept_from_contacts,
    };
    Ok(user_row(site, site.users.change(&user.name, profile).await?))
}

pub async fn sign_out(site: &Site, user: Option<String>) -> Result<Value> {
    let user = the_user(site, user).await?;
    site.users.sign_out_everywhere(&user.name).await?;
    Ok(user_row(site, user))
}

fn user_row(site: &Site, user: User) -> Value {
    let provider = site.config.server.public_url.provider();
    json!({
        "name": user.name,
        "address": format!("{}@{provider}", user.name),
        "display_name": user.display_name,
        "mail": user.mail,
        "admin": user.admin,
        "language": user.language,
        "accept_from_contacts": user.accept_from_contacts,
        "created": user.created.to_string(),
    })
}

pub async fn create_invite(
    site: &Site,
    user: Option<String>,
    expires: Option<Duration>,
    uses: Option<u32>,
    note: String,
) -> Result<Value> {
    let user = the_user(site, user).await?;
    let new = NewInvite { expires, uses, note };
    let invite = site.invites.create(&user, new, site.clock.now()).await?;
    invite_row(site, invite)
}

pub async fn invites(site: &Site, user: Option<String>) -> Result<Value> {
    let invites = match user {
        Some(name) => {
            let user = site.users.get(&name).await?;
            every(async |page| site.invites.list(&user.name, &page).await).await?
        }
        None => {
            every(async |page| {
                site.store
                    .read(async |txn| txn.list::<SentInvite>(Key::ALL, &page).await)
                    .await
            })
            .await?
        }
    };
    let rows: Result<Vec<_>> = invites.into_iter().map(|invite| invite_row(site, invite)).collect();
    Ok(Value::Array(rows?))
}

fn invite_row(site: &Site, invite: SentInvite) -> Result<Value> {
    Ok(json!({
        "id": invite.id,
        "user": invite.user,
        "for": invite.note,
        "state": invite.state(site.clock.now()),
        "token": invite.token.expose(),
        "string": site.invites.string(&invite)?,
        "link": site.invites.link(&invite),
        "created": invite.created.to_string(),
        "expires": invite.expires.to_string(),
        "uses": invite.uses,
        "used": invite.used,
    }))
}

pub async fn revoke_invite(site: &Site, id: &str) -> Result<Value> {
    let invite = site
        .store
        .read(async |txn| txn.get::<SentInvite>([id]).await)
        .await?
        .ok_or_else(|| Error::not_found("There is no such invite.").in_field("id"))?;
    let invite = site.invites.revoke(&invite.user, id).await?;
    invite_row(site, invite)
}
