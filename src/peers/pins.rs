//! The keys that a server has shown so far, so that another one is noticed (T-20): a change is normal after a move, and also
//! what somebody would do who has taken its name over.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::AdminTopic;
use crate::error::Error;
use crate::error::Result;
use crate::notify::Notice;
use crate::ocm::address::Provider;
use crate::peers::Peers;
use crate::store::Key;
use crate::store::Record;
use crate::store::Txn;

/// How many keys of one server are remembered: as many as a set may have. The oldest that are gone make room, never one that
/// is shown.
const REMEMBERED: usize = 32;
/// Characters of a key's id that are kept, so that a record of all of them stays small.
const LONGEST_KID: usize = 64;

/// A key that a server has shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenKey {
    pub kid: String,
    /// Its fingerprint (RFC 7638).
    pub thumbprint: String,
    pub first_seen: Timestamp,
    /// When it was there for the last time; none while it is.
    pub gone: Option<Timestamp>,
}

/// The keys of one server.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SeenKeys {
    pub provider: Provider,
    pub keys: Vec<SeenKey>,
    /// When it came with a key that it did not have before, until an admin has compared it.
    pub changed: Option<Timestamp>,
    /// Whether none of the keys from before was left then.
    #[serde(default)]
    pub replaced: bool,
}

impl Record for SeenKeys {
    const KIND: &'static str = "peer-keys";

    fn key(&self) -> Key {
        Key::of([self.provider.to_string()])
    }
}

impl SeenKeys {
    fn new(provider: &Provider) -> Self {
        Self {
            provider: provider.clone(),
            keys: Vec::new(),
            changed: None,
            replaced: false,
        }
    }

    /// Those that it shows now.
    pub fn current(&self) -> impl Iterator<Item = &SeenKey> {
        self.keys.iter().filter(|key| key.gone.is_none())
    }

    /// What admins hear of keys that were first seen at this moment, where that was a change.
    pub(super) fn notice(&self, seen: Timestamp) -> Option<Notice> {
        if self.changed != Some(seen) {
            return None;
        }
        let server = self.provider.to_string();
        let sentence = match self.replaced {
            true => {
                "{server} shows other keys than before, and none of the old ones. That is so after a move or a theft, and \
                 also where somebody else has taken over its name: compare the keys with its admin."
            }
            false => {
                "{server} has a new key besides those known so far. That is how a key is replaced; compare it with its admin."
            }
        };
        Some(Notice {
            topic: AdminTopic::PeerKeyChanged,
            about: server.clone(),
            sentence,
            values: vec![("server", server)],
        })
    }

    /// Takes over what the server shows now: id and fingerprint of each key.
    fn look(&mut self, shown: &[(String, String)], now: Timestamp) {
        let is_shown = |key: &SeenKey| shown.iter().any(|(_, thumbprint)| *thumbprint == key.thumbprint);
        let had_some = !self.keys.is_empty();
        let some_stay = self.current().any(is_shown);
        for key in &mut self.keys {
            match (is_shown(key), key.gone) {
                (true, _) => key.gone = None,
                (false, None) => key.gone = Some(now),
                (false, Some(_)) => {}
            }
        }
        for (kid, thumbprint) in shown {
            if self.keys.iter().any(|key| key.thumbprint == *thumbprint) {
                continue;
            }
            self.keys.push(SeenKey {
                kid: kid.chars().filter(char::is_ascii).take(LONGEST_KID).collect(),
                thumbprint: thumbprint.clone(),
                first_seen: now,
                gone: None,
            });
            if had_some {
                self.replaced = !some_stay || self.changed.is_some() && self.replaced;
                self.changed = Some(now);
            }
        }
        while self.keys.len() > REMEMBERED {
            let Some(oldest) = self.keys.iter().position(|key| key.gone.is_some()) else {
                break;
            };
            self.keys.remove(oldest);
        }
    }
}

impl Peers {
    /// The keys that a server has shown so far.
    pub async fn seen_keys(&self, host: &Provider) -> Result<Option<SeenKeys>> {
        self.store
            .read(async |txn| txn.get::<SeenKeys>([host.to_string()]).await)
            .await
    }

    /// Notes that an admin has compared the keys that a server has now.
    ///
    /// # Errors
    ///
    /// [`Reason::NotFound`](crate::error::Reason::NotFound) where none were seen.
    pub async fn trust_keys(&self, host: &Provider) -> Result<SeenKeys> {
        self.store
            .run(async |txn| {
                let seen = txn.get::<SeenKeys>([host.to_string()]).await?;
                let mut seen = seen.ok_or_else(|| Error::not_found("No keys of this server were seen yet."))?;
                seen.changed = None;
                seen.replaced = false;
                txn.put(&seen).await?;
                Ok(seen)
            })
            .await
    }
}

/// What is to be written where a server shows other keys than before; nothing where it does not.
pub(super) async fn looked(
    txn: &mut Txn,
    host: &Provider,
    shown: &[(String, String)],
    now: Timestamp,
) -> Result<Option<SeenKeys>> {
    let before = txn.get::<SeenKeys>([host.to_string()]).await?;
    let mut seen = before.clone().unwrap_or_else(|| SeenKeys::new(host));
    seen.look(shown, now);
    Ok(Some(seen).filter(|seen| before.as_ref() != Some(seen) && !seen.keys.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t20_a_key_that_was_not_there_before_is_noticed_and_more_so_where_none_stays() {
        let now = |at: i64| Timestamp(1_790_000_000 + at);
        let keys = |names: &[&str]| -> Vec<_> {
            names
                .iter()
                .map(|name| ((*name).to_owned(), format!("t-{name}")))
                .collect()
        };
        let mut seen = SeenKeys::new(&Provider::parse("b.example").unwrap());
        seen.look(&keys(&["a"]), now(0));
        assert_eq!(seen.changed, None, "the first is what it is compared with");
        seen.look(&keys(&["a"]), now(1));
        assert_eq!(seen.changed, None);
        seen.look(&keys(&["a", "b"]), now(2));
        assert_eq!(
            (seen.changed, seen.replaced),
            (Some(now(2)), false),
            "one of them stayed"
        );
        seen.changed = None;
        seen.look(&keys(&["b"]), now(3));
        assert_eq!(seen.changed, None, "that one goes is what was to come");
        assert_eq!(seen.keys[0].gone, Some(now(3)));
        seen.look(&keys(&["evil"]), now(4));
        assert_eq!((seen.changed, seen.replaced), (Some(now(4)), true));
        assert_eq!(seen.current().count(), 1);
        for at in 0..50 {
            seen.look(&keys(&[&format!("k{at}")]), now(5 + at));
        }
        assert!(seen.keys.len() <= REMEMBERED && seen.current().count() == 1);
        let many: Vec<_> = (0..REMEMBERED).map(|at| format!("m{at}")).collect();
        let many = keys(&many.iter().map(String::as_str).collect::<Vec<_>>());
        seen.look(&many, now(60));
        seen.changed = None;
        seen.look(&many, now(61));
        assert_eq!(seen.changed, None, "a large set that stays as it is has not changed");
        assert_eq!(seen.current().count(), REMEMBERED);
    }
}
