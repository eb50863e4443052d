//! Invites, as programs see them.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use crate::api::the_user;
use crate::error::Result;
use crate::invites::Acceptance;
use crate::invites::History;
use crate::invites::NewInvite;
use crate::invites::SentInvite;
use crate::invites::Standing;
use crate::lang::Lang;
use crate::site::Site;
use crate::store::every;

/// Makes an invite, and mails it where an address is given. A mail that fails leaves the invite as it is; the answer
/// says so.
pub async fn create(site: &Site, user: Option<String>, new: NewInvite, mail: Option<String>) -> Result<Value> {
    let (user, now) = (the_user(site, user).await?, site.clock.now());
    let invite = site.invites.create(&user, new, now).await?;
    let mailed = match &mail {
        Some(to) => Some(site.invites.mail(&user, &invite.id, to, None, now).await),
        None => None,
    };
    let mut row = invite_row(site, invite)?;
    row["mail"] = match mailed {
        None => Value::Null,
        Some(Ok(mailed)) => json!({ "to": mailed.to, "sent": true, "said": mailed.said }),
        Some(Err(error)) => json!({ "to": mail, "sent": false, "said": error.message() }),
    };
    Ok(row)
}

pub async fn list(site: &Site, user: Option<String>, standing: Option<Standing>) -> Result<Value> {
    let mut invites = match user {
        Some(name) => {
            let user = site.users.get(&name).await?;
            every(async |page| site.invites.list(&user.name, &page).await).await?
        }
        None => every(async |page| site.invites.all(&page).await).await?,
    };
    let now = site.clock.now();
    invites.retain(|invite| standing.is_none_or(|standing| invite.standing(now) == standing));
    let rows: Result<Vec<_>> = invites.into_iter().map(|invite| invite_row(site, invite)).collect();
    Ok(Value::Array(rows?))
}

/// An invite with what happened to it, and the message to hand it over with.
pub async fn show(site: &Site, id: &str, lang: Option<Lang>) -> Result<Value> {
    let user = site.users.get(&site.invites.any(id).await?.user).await?;
    let (invite, history) = site.invites.get(&user.name, id).await?;
    let message = site.invites.message(&user, &invite, lang.unwrap_or(invite.lang))?;
    let mut row = invite_row(site, invite)?;
    row["subject"] = message.subject.into();
    row["message"] = message.body.into();
    row["history"] = history_row(history);
    Ok(row)
}

pub async fn revoke(site: &Site, id: &str) -> Result<Value> {
    let user = site.invites.any(id).await?.user;
    let invite = site.invites.revoke(&user, id).await?;
    invite_row(site, invite)
}

pub async fn extend(site: &Site, id: &str, by: Duration) -> Result<Value> {
    let user = site.users.get(&site.invites.any(id).await?.user).await?;
    let invite = site.invites.extend(&user, id, by, site.clock.now()).await?;
    invite_row(site, invite)
}

pub async fn mail(site: &Site, id: &str, to: &str, lang: Option<Lang>) -> Result<Value> {
    let user = site.users.get(&site.invites.any(id).await?.user).await?;
    let mailed = site.invites.mail(&user, id, to, lang, site.clock.now()).await?;
    Ok(json!({ "to": mailed.to, "sent": true, "said": mailed.said }))
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
        "for_server": invite.only_for,
        "lang": invite.lang,
        "share": invite.attached,
    }))
}

fn history_row(history: History) -> Value {
    let accepted = |acceptance: Acceptance| {
        let enclosed: Vec<_> = acceptance
            .enclosed
            .iter()
            .map(|one| json!({ "path": one.path, "share": one.share, "failure": one.failure }))
            .collect();
        json!({
            "address": acceptance.address,
            "name": acceptance.name,
            "at": acceptance.at.to_string(),
            "shared": enclosed,
        })
    };
    json!({
        "accepted": history.accepted.into_iter().map(accepted).collect::<Vec<_>>(),
        "refused": history.refused.into_iter().map(|refused| json!({
            "server": refused.host,
            "times": refused.times,
            "last": refused.last.at.to_string(),
            "code": refused.last.code,
            "why": refused.last.message,
        })).collect::<Vec<_>>(),
        "mailed": history.mailed.into_iter().map(|mailed| json!({
            "to": mailed.to,
            "at": mailed.at.to_string(),
            "said": mailed.said,
        })).collect::<Vec<_>>(),
    })
}
