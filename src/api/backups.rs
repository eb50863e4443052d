//! Backups, as programs see them.

use std::path::PathBuf;

use futures_util::StreamExt;
use serde_json::Value;
use serde_json::json;
use tokio_util::io::ReaderStream;

use crate::api::rows;
use crate::backup::Made;
use crate::backup::review;
use crate::client::ByteStream;
use crate::error::Error;
use crate::error::Result;
use crate::site::Site;

pub async fn create(site: &Site, file: Option<PathBuf>, include_files: bool) -> Result<Value> {
    let include_files = include_files || site.config.backup.include_files;
    // Where somebody else puts one is theirs to judge.
    let in_its_place = file.is_none();
    let made = site.backups.make(file, include_files, site.clock.now()).await?;
    let mut answer = row(made);
    if in_its_place {
        answer["same_disk"] = json!(site.backups.on_same_disk());
    }
    Ok(answer)
}

/// One for whoever asks to keep it where they like.
pub async fn hand_over(site: &Site, include_files: bool) -> Result<ByteStream> {
    let include_files = include_files || site.config.backup.include_files;
    let file = site.backups.hand_over(include_files, site.clock.now()).await?;
    let content = ReaderStream::with_capacity(tokio::fs::File::from_std(file), 1 << 16);
    Ok(Box::pin(content.map(|chunk| chunk.map_err(Error::from))))
}

pub async fn list(site: &Site) -> Result<Value> {
    Ok(rows(site.backups.listed().await?, row))
}

pub async fn prune(site: &Site) -> Result<Value> {
    Ok(rows(
        site.backups.prune(site.clock.now()).await?,
        |name| json!({ "name": name }),
    ))
}

/// What waits for an admin since a restore.
pub async fn review(site: &Site) -> Result<Value> {
    let held = review::held(&site.shares, &site.invites, &site.outbox).await?;
    let shares = held.shares.iter().map(|share| {
        json!({
            "kind": "share",
            "id": share.id,
            "user": share.user,
            "what": share.path,
            "with": share.share_with.to_string(),
            "since": share.created.to_string(),
        })
    });
    let invites = held.invites.iter().map(|invite| {
        json!({
            "kind": "invitation",
            "id": invite.id,
            "user": invite.user,
            "what": invite.note,
            "with": invite.only_for.as_ref().map(ToString::to_string),
            "since": invite.created.to_string(),
        })
    });
    let deliveries = held.deliveries.iter().map(|delivery| {
        json!({
            "kind": "delivery",
            "id": delivery.id,
            "user": delivery.user,
            "what": delivery.cargo,
            "with": delivery.to.to_string(),
            "since": delivery.created.to_string(),
        })
    });
    Ok(shares.chain(invites).chain(deliveries).collect())
}

/// Lets one thing that waits go on, or all of them.
pub async fn confirm(site: &Site, id: Option<&str>) -> Result<Value> {
    let now = site.clock.now();
    let done = review::confirm(&site.shares, &site.invites, &site.outbox, id, now).await?;
    Ok(json!(done))
}

fn row(made: Made) -> Value {
    json!({
        "name": made.name(),
        "file": made.file,
        "made": made.at.to_string(),
        "size": made.size,
        "verified": made.verified.map(|at| at.to_string()),
    })
}
