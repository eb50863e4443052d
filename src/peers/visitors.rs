//! People without an account here who name their server, so that we ask it: only so often (T-69, DIA-14).

use std::collections::HashMap;
use std::net::IpAddr;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::sync::PoisonError;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::metrics::Fill;
use crate::ocm::address::Provider;
use crate::ocm::discovery::Discovery;
use crate::peers::Peers;
use crate::peers::trust::Purpose;

const WINDOW: Duration = Duration::from_secs(60);
/// How many servers are looked up for one address in a minute, and for all together.
const FOR_ONE: u32 = 10;
const FOR_ALL: u32 = 60;

/// What was looked up in this minute. It never holds more addresses than look-ups are made.
#[derive(Debug, Default)]
pub(super) struct Lately {
    since: Timestamp,
    by: HashMap<String, u32>,
    all: u32,
}

impl Lately {
    pub(super) fn fill(&self) -> Fill {
        Fill::new("visitors", self.by.len(), FOR_ALL as usize)
    }

    /// Passes, and counts, while there is room for one more.
    fn admit(&mut self, from: &str, now: Timestamp) -> Result<()> {
        if now < self.since || now >= self.since.plus(WINDOW) {
            *self = Self {
                since: now,
                ..Self::default()
            };
        }
        let mine = self.by.get(from).copied().unwrap_or_default();
        let wait = now.until(self.since.plus(WINDOW));
        if mine >= FOR_ONE || self.all >= FOR_ALL {
            let message = if mine >= FOR_ONE {
                "You have looked up many servers just now. Try again in a minute."
            } else {
                "Many people look up servers just now. Try again in a minute."
            };
            return Err(Error::new(Reason::Busy, message).retry_after(Some(wait)));
        }
        self.by.insert(from.to_owned(), mine + 1);
        self.all += 1;
        Ok(())
    }
}

/// Whoever has an IPv6 address has a whole network of them.
fn network(from: &str) -> String {
    match from.parse() {
        Ok(IpAddr::V6(ip)) if ip.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = ip.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).to_string()
        }
        _ => from.to_owned(),
    }
}

impl Peers {
    /// What the server at `host` says of itself, for somebody without an account here, at the address `from`, who waits.
    ///
    /// # Errors
    ///
    /// As [`Self::discover_within`]; [`Reason::Busy`] where too much was looked up lately. What leads into a network that
    /// is not called, and what leads nowhere, are the same to them: who asks from outside must not learn the names inside.
    pub async fn discover_for_visitor(
        &self,
        host: &Provider,
        from: &str,
        patience: Duration,
    ) -> Result<Arc<Discovery>> {
        self.permit(host, Purpose::Invite).await?;
        let now = self.clock.now();
        self.visitors
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .admit(&network(from), now)?;
        self.discover_within(host, Purpose::Invite, patience)
            .await
            .map_err(|error| match error.reason() {
                Reason::PrivateAddress | Reason::NameNotFound => Error::new(
                    Reason::NameNotFound,
                    format!("There is no server named {host}. Check the spelling."),
                )
                .caused_by(error),
                _ => error,
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t69_look_ups_are_counted_by_address_and_in_all() {
        let mut lately = Lately::default();
        let now = Timestamp(1_790_000_000);
        for _ in 0..FOR_ONE {
            lately.admit("192.0.2.1", now).unwrap();
        }
        let refused = lately.admit("192.0.2.1", now).unwrap_err();
        assert_eq!(refused.reason(), Reason::Busy);
        assert_eq!(refused.wait(), Some(WINDOW));
        for other in 0..FOR_ALL - FOR_ONE {
            lately.admit(&other.to_string(), now).unwrap();
        }
        assert_eq!(lately.admit("somebody", now).unwrap_err().reason(), Reason::Busy);
        lately.admit("192.0.2.1", now.plus(WINDOW)).unwrap();
        // A clock that was set back must not lock anybody out.
        lately.admit("192.0.2.1", now.minus(WINDOW)).unwrap();
    }

    #[test]
    fn t69_a_network_of_ipv6_counts_as_one_address() {
        let check = |from: &str, expected: &str| assert_eq!(network(from), expected);
        check("2001:db8:1:2:3::4", "2001:db8:1:2::");
        check("::ffff:192.0.2.1", "::ffff:192.0.2.1");
        check("192.0.2.1", "192.0.2.1");
        check("", "");
    }
}
