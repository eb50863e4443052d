//! `ocmesh key`: the keys that this server signs with.

use clap::Subcommand;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::keys::Rotation;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the keys: the one that signs, the next one, and old ones that are still published
    List,
    /// Replace the key that signs: a new one is published now and signs after a day (keys.publish_before_use)
    Rotate {
        /// The new key signs at once
        #[arg(long, conflicts_with = "stolen")]
        now: bool,
        /// The new key signs at once, and all old ones are dropped at once
        #[arg(long)]
        stolen: bool,
    },
    /// Drop the new key that was to sign
    Cancel,
}

impl Verb {
    pub fn request(self) -> Request {
        match self {
            Self::List => Request::new(Call::KeyList, keys),
            Self::Rotate { now: true, .. } => rotate(Rotation::Now),
            Self::Rotate { stolen: true, .. } => rotate(Rotation::Stolen).danger(
                "All keys of this server are dropped. Peers refuse its requests until they have fetched the new one."
                    .to_owned(),
            ),
            Self::Rotate { .. } => rotate(Rotation::Planned),
            Self::Cancel => Request::new(Call::KeyCancel, keys),
        }
    }
}

fn rotate(how: Rotation) -> Request {
    Request::new(Call::KeyRotate { how }, |key| {
        let field = |name| table::field(key, name);
        let signs = match field("state").as_str() {
            "pending" => format!("signs from {}", field("until")),
            _ => "signs from now on".to_owned(),
        };
        format!("{} {signs}.\n{}", field("kid"), field("note"))
    })
}

fn keys(keys: &serde_json::Value) -> String {
    table::rows(keys, &["state", "since", "until", "kid", "fingerprint"], "No keys.")
}
