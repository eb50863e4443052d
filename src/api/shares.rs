//! Shares, as programs see them.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::api::moment;
use crate::api::rows;
use crate::api::the_user;
use crate::client::ByteStream;
use crate::error::Error;
use crate::error::Result;
use crate::files::TreePath;
use crate::ocm::address::OcmAddress;
use crate::outbox::Failure;
use crate::peers::trust::Purpose;
use crate::remote::RemoteEntry;
use crate::shares::NewShare;
use crate::shares::ReceivedShare;
use crate::shares::SentShare;
use crate::shares::received::Checked;
use crate::shares::received::ReceivedState;
use crate::shares::sent::SentState;
use crate::site::Site;
use crate::store::every;

/// How long someone who shares by command waits for the other server to be looked up.
const LOOK_UP: Duration = Duration::from_secs(5);

pub async fn create(
    site: &Site,
    user: Option<String>,
    path: &str,
    to: &str,
    write: bool,
    until: Option<String>,
) -> Result<Value> {
    let user = the_user(site, user).await?;
    let new = NewShare {
        path: TreePath::parse(path)?,
        to: OcmAddress::parse(to).map_err(|invalid| Error::from(invalid).in_field("to"))?,
        write,
        expires: moment("until", until)?,
    };
    // A command can wait a little, which a page can't: what speaks against the share is then told at once.
    let _ = site
        .peers
        .discover_within(&new.to.provider, Purpose::Federate, LOOK_UP)
        .await;
    let share = site.shares.create(&user, new, site.clock.now()).await?;
    Ok(sent_row(site, share))
}

pub async fn sent(site: &Site, user: Option<String>) -> Result<Value> {
    let user = the_user(site, user).await?;
    let all = every(async |page| site.shares.sent(&user.name, &page).await).await?;
    Ok(rows(all, |share| sent_row(site, share)))
}

fn sent_row(site: &Site, share: SentShare) -> Value {
    let expired = share.expired(site.clock.now());
    let in_force = matches!(share.state, SentState::Pending | SentState::Accepted);
    json!({
        "id": share.id,
        "provider_id": share.id,
        "user": share.user,
        "path": share.path.to_string(),
        "name": share.name,
        "kind": share.resource_type(),
        "share_with": share.share_with.to_string(),
        "permissions": share.permissions,
        "state": standing(share.state, in_force && expired),
        "expired": expired,
        "created": share.created.to_string(),
        "announced": share.announced.map(|at| at.to_string()),
        "expires": share.expires.map(|at| at.to_string()),
        "last_error": share.last_error,
    })
}

/// The state in a word; `expired` where nothing but the time has ended a share.
fn standing(state: impl Serialize, expired: bool) -> Value {
    if expired { json!("expired") } else { json!(state) }
}

pub async fn received(site: &Site, user: Option<String>) -> Result<Value> {
    let user = the_user(site, user).await?;
    let all = every(async |page| site.shares.received(&user.name, &page).await).await?;
    Ok(rows(all, |share| received_row(site, share)))
}

fn received_row(site: &Site, share: ReceivedShare) -> Value {
    let expired = share.expired(site.clock.now());
    let in_force = matches!(share.state, ReceivedState::Pending | ReceivedState::Accepted);
    json!({
        "id": share.id,
        "provider_id": share.provider_id,
        "user": share.user,
        "name": share.name,
        "kind": if share.is_folder() { "folder" } else { "file" },
        "sender": share.sender.to_string(),
        "owner": share.owner.to_string(),
        "permissions": share.offer.permissions,
        "state": standing(share.state, in_force && expired),
        "expired": expired,
        "created": share.created.to_string(),
        "expires": share.expires.map(|at| at.to_string()),
    })
}

pub async fn accept(site: &Site, user: Option<String>, id: &str) -> Result<Value> {
    let user = whose(user, receiver(site, id).await?.user)?;
    let share = site.shares.accept(&user, id, site.clock.now()).await?;
    Ok(received_row(site, share))
}

pub async fn decline(site: &Site, user: Option<String>, id: &str) -> Result<Value> {
    let user = whose(user, receiver(site, id).await?.user)?;
    let share = site.shares.decline(&user, id, site.clock.now()).await?;
    Ok(received_row(site, share))
}

pub async fn leave(site: &Site, user: Option<String>, id: &str) -> Result<Value> {
    let user = whose(user, receiver(site, id).await?.user)?;
    let share = site.shares.leave(&user, id, site.clock.now()).await?;
    Ok(received_row(site, share))
}

/// Tries whether a share can be opened, and keeps what came of it.
pub async fn check(site: &Site, user: Option<String>, id: &str) -> Result<Value> {
    let share = receiver(site, id).await?;
    let user = whose(user, share.user.clone())?;
    let outcome = site.remote.list(&share, &TreePath::root()).await;
    let at = site.clock.now();
    let checked = Checked {
        at,
        failure: outcome.err().map(|error| Failure::new(&error, at)),
    };
    let share = site.shares.note_check(&user, id, checked.clone()).await?;
    let mut row = received_row(site, share);
    row["checked"] = json!(checked);
    Ok(row)
}

pub async fn stop(site: &Site, user: Option<String>, id: &str) -> Result<Value> {
    let share = site
        .store
        .read(async |txn| txn.get::<SentShare>([id]).await)
        .await?
        .ok_or_else(unknown)?;
    let user = whose(user, share.user)?;
    let share = site.shares.stop(&user, id, site.clock.now()).await?;
    Ok(sent_row(site, share))
}

pub async fn ls(site: &Site, id: &str, path: &str) -> Result<Value> {
    let share = receiver(site, id).await?;
    let entries = site.remote.list(&share, &TreePath::parse(path)?).await?;
    let row = |entry: RemoteEntry| {
        json!({
            "name": entry.name,
            "kind": entry.kind,
            "size": entry.size,
            "modified": entry.modified.map(|at| at.to_string()),
        })
    };
    Ok(entries.into_iter().map(row).collect())
}

pub async fn get(site: &Site, id: &str, path: &str) -> Result<ByteStream> {
    let share = receiver(site, id).await?;
    Ok(site.remote.get(&share, &TreePath::parse(path)?, None).await?.body)
}

pub async fn put(site: &Site, id: &str, path: &str, content: ByteStream) -> Result<Value> {
    let share = receiver(site, id).await?;
    let path = TreePath::parse(path)?;
    site.remote.put(&share, &path, content, None).await?;
    Ok(json!({ "id": id, "path": path.to_string() }))
}

async fn receiver(site: &Site, id: &str) -> Result<ReceivedShare> {
    site.store
        .read(async |txn| txn.get::<ReceivedShare>([id]).await)
        .await?
        .ok_or_else(unknown)
}

/// Whose share it is; somebody else's is as good as none to the user who was named.
fn whose(named: Option<String>, owner: String) -> Result<String> {
    match named {
        Some(name) if name.to_lowercase() != owner => Err(unknown()),
        _ => Ok(owner),
    }
}

fn unknown() -> Error {
    Error::not_found("There is no such share.").in_field("id")
}
