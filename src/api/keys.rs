//! The keys of this server, as programs see them: never more than their public halves.

use serde_json::Value;
use serde_json::json;

use crate::api::rows;
use crate::error::Result;
use crate::keys::PublishedKey;
use crate::keys::Rotation;
use crate::site::Site;

pub fn list(site: &Site) -> Value {
    rows(site.keys.list(), row)
}

pub async fn rotate(site: &Site, how: Rotation) -> Result<Value> {
    let replacing = site.keys.active();
    let newest = site.keys.rotate(how, replacing.kid(), site.clock.now()).await?;
    let mut answer = row(newest);
    answer["replaces"] = json!(replacing.kid());
    answer["note"] = json!(note(how));
    Ok(answer)
}

pub async fn cancel(site: &Site) -> Result<Value> {
    site.keys.cancel().await?;
    Ok(list(site))
}

/// What whoever rotates must know of what comes next.
fn note(how: Rotation) -> &'static str {
    match how {
        Rotation::Planned => "It is published now and signs by itself when its time has come.",
        Rotation::Now => {
            "The key before it stays published for what it has signed. Peers that do not know the new one yet ask for \
             our keys once more; most do so at once."
        }
        Rotation::Stolen => {
            "All other keys are dropped. Peers refuse our requests until they have fetched our keys again; most do so at \
             once when they meet a key they do not know. Those that keep what they fetched accept the stolen key until \
             then. Tokens for shares that were given out before are void; peers get new ones by themselves."
        }
    }
}

fn row(key: PublishedKey) -> Value {
    json!({
        "kid": key.jwk.kid(),
        "fingerprint": key.jwk.thumbprint(),
        "state": key.state,
        "since": key.since.to_string(),
        "until": key.until.map(|at| at.to_string()),
    })
}
