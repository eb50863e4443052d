//! Requests for a share, in both roles: what people elsewhere want of our users, and what our users want of them.

mod meant;
pub mod received;
pub mod sent;

use std::sync::Arc;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Config;
use crate::files::Homes;
use crate::ocm::address::OcmAddress;
use crate::ocm::address::Provider;
use crate::outbox::Outbox;
use crate::peers::Peers;
use crate::secret::hash_of;
use crate::shares::Shares;
use crate::store::Key;
use crate::store::Store;

pub use self::received::ReceivedRequest;
pub use self::sent::SentRequest;

/// How many undecided requests of one person wait for another at most, in either direction (T-37).
const MAX_OPEN: usize = 20;
/// When the same request is a new wish rather than the old one once more. A message is not retried for as long, so that
/// a late copy never undoes what was decided meanwhile.
const ASK_AGAIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// The requests for shares of this server.
#[derive(Clone)]
pub struct Requests {
    config: Arc<Config>,
    store: Store,
    peers: Peers,
    outbox: Outbox,
    shares: Shares,
    homes: Homes,
}

impl Requests {
    pub fn new(config: Arc<Config>, store: Store, peers: Peers, outbox: Outbox, shares: Shares, homes: Homes) -> Self {
        Self {
            config,
            store,
            peers,
            outbox,
            shares,
            homes,
        }
    }

    fn own(&self) -> &Provider {
        self.config.server.public_url.provider()
    }
}

/// What makes two requests the same: our user, the person elsewhere, and what is wanted. None of them holds a line break.
fn same(user: &str, other: &OcmAddress, what: &str) -> Key {
    Key::of([hash_of(&format!("{user}\n{other}\n{what}"))])
}

fn is_long_ago(moment: Timestamp, now: Timestamp) -> bool {
    now >= moment.plus(ASK_AGAIN)
}
