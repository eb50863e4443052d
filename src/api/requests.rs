//! Requests for shares, as programs see them.

use serde_json::Value;
use serde_json::json;

use crate::api::moment;
use crate::api::rows;
use crate::api::the_user;
use crate::error::Error;
use crate::error::Result;
use crate::files::TreePath;
use crate::ocm::address::OcmAddress;
use crate::requests::ReceivedRequest;
use crate::requests::SentRequest;
use crate::shares::NewShare;
use crate::site::Site;
use crate::store::every;

pub async fn send(site: &Site, user: Option<String>, owner: &str, what: &str) -> Result<Value> {
    let user = the_user(site, user).await?;
    let owner = OcmAddress::parse(owner).map_err(|invalid| Error::from(invalid).in_field("owner"))?;
    let request = site.requests.send(&user, owner, what, site.clock.now()).await?;
    Ok(sent_row(request))
}

pub async fn sent(site: &Site, user: Option<String>) -> Result<Value> {
    let user = the_user(site, user).await?;
    let all = every(async |page| site.requests.sent(&user.name, &page).await).await?;
    let shares = every(async |page| site.shares.received(&user.name, &page).await).await?;
    Ok(rows(all, |request| {
        let may_answer = shares.iter().filter(|share| request.may_be_answered_by(share));
        let ids: Vec<_> = may_answer.map(|share| share.id.clone()).collect();
        let mut row = sent_row(request);
        row["shares"] = json!(ids);
        row
    }))
}

fn sent_row(request: SentRequest) -> Value {
    json!({
        "id": request.id,
        "user": request.user,
        "owner": request.owner.to_string(),
        "what": request.what,
        "state": request.state,
        "created": request.created.to_string(),
        "delivered": request.delivered.map(|at| at.to_string()),
        "last_error": request.last_error,
    })
}

pub async fn received(site: &Site, user: Option<String>) -> Result<Value> {
    let user = the_user(site, user).await?;
    let all = every(async |page| site.requests.received(&user.name, &page).await).await?;
    let mut rows = Vec::new();
    for request in all {
        let meant = match request.is_open() {
            true => site.requests.meant(&user.name, &request.what).await?,
            false => None,
        };
        let mut row = received_row(request);
        row["path"] = json!(meant.map(|path| path.to_string()));
        rows.push(row);
    }
    Ok(Value::Array(rows))
}

fn received_row(request: ReceivedRequest) -> Value {
    json!({
        "id": request.id,
        "user": request.user,
        "from": request.from.to_string(),
        "what": request.what,
        "state": request.state.word(),
        "share": request.state.share(),
        "created": request.created.to_string(),
        "decided": request.state.decided().map(|at| at.to_string()),
    })
}

pub async fn grant(
    site: &Site,
    user: Option<String>,
    id: &str,
    path: &str,
    write: bool,
    until: Option<String>,
) -> Result<Value> {
    let request = find(site, user, id).await?;
    let owner = site.users.get(&request.user).await?;
    let new = NewShare {
        path: TreePath::parse(path)?,
        to: request.from,
        write,
        expires: moment("until", until)?,
    };
    let share = site.requests.grant(&owner, id, new, site.clock.now()).await?;
    let request = site.requests.received_request(&owner.name, id).await?;
    let mut row = received_row(request);
    row["name"] = json!(share.name);
    Ok(row)
}

pub async fn decline(site: &Site, user: Option<String>, id: &str) -> Result<Value> {
    let request = find(site, user, id).await?;
    let request = site.requests.decline(&request.user, id, site.clock.now()).await?;
    Ok(received_row(request))
}

pub async fn close(site: &Site, user: Option<String>, id: &str) -> Result<Value> {
    let request = site
        .store
        .read(async |txn| txn.get::<SentRequest>([id]).await)
        .await?
        .ok_or_else(unknown)?;
    check_whose(user, &request.user)?;
    let request = site.requests.close(&request.user, id).await?;
    Ok(sent_row(request))
}

async fn find(site: &Site, user: Option<String>, id: &str) -> Result<ReceivedRequest> {
    let request = site
        .store
        .read(async |txn| txn.get::<ReceivedRequest>([id]).await)
        .await?
        .ok_or_else(unknown)?;
    check_whose(user, &request.user)?;
    Ok(request)
}

/// Somebody else's request is as good as none to the user who was named.
fn check_whose(named: Option<String>, whose: &str) -> Result<()> {
    match named {
        Some(name) if name.to_lowercase() != whose => Err(unknown()),
        _ => Ok(()),
    }
}

fn unknown() -> Error {
    Error::not_found("There is no such request.").in_field("id")
}
