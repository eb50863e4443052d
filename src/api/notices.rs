//! Where notices go and what was not told yet, as programs see it.

use serde_json::Value;
use serde_json::json;

use crate::error::Result;
use crate::lang::Lang;
use crate::notify::Telling;
use crate::notify::Way;
use crate::site::Site;
use crate::store::every;

pub async fn list(site: &Site) -> Result<Value> {
    let standing = site.notices.standing().await?;
    let waiting = every(async |page| site.notices.list(&page).await).await?;
    Ok(json!({
        "can_mail": standing.can_mail,
        "admin_mail": standing.admin_mail,
        "webhooks": standing.webhooks,
        "waiting": waiting.into_iter().map(row).collect::<Vec<_>>(),
    }))
}

pub async fn test(site: &Site) -> Result<Value> {
    let tested = site.notices.test().await;
    let row = |tried: &crate::notify::Tried| {
        json!({
            "by": by(&tried.way),
            "to": tried.way.shown(),
            "arrived": tried.outcome.is_ok(),
            "answer": match &tried.outcome {
                Ok(said) => said.clone(),
                Err(error) => error.to_string(),
            },
        })
    };
    Ok(tested.tried.iter().map(row).collect())
}

pub async fn retry(site: &Site) -> Result<Value> {
    Ok(json!({ "due": site.notices.retry(site.clock.now()).await? }))
}

fn row(telling: Telling) -> Value {
    json!({
        "id": telling.id,
        "topic": telling.topic,
        "about": telling.about,
        "by": by(&telling.way),
        "to": telling.way.shown(),
        "text": match &telling.way {
            // What is told to people here is theirs.
            Way::UserMail(_) => None,
            _ => Some(telling.said(Lang::En)),
        },
        "happened": telling.happened.to_string(),
        "state": if telling.given_up { "given-up" } else { "waiting" },
        "tries": telling.tries,
        "next_try": (!telling.given_up).then(|| telling.due.to_string()),
        "last_error": telling.last_error,
    })
}

fn by(way: &Way) -> &'static str {
    match way {
        Way::AdminMail(_) | Way::UserMail(_) => "mail",
        Way::Webhook(_) => "webhook",
    }
}
