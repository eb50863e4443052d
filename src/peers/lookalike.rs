//! Names that are easily taken for another one that is known (T-77).

use crate::clock::Timestamp;
use crate::contacts;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::peers::Peers;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;
use crate::store::Key;
use crate::store::MAX_PAGE;
use crate::store::Page;
use crate::store::Txn;

/// Shorter names differ from each other in a letter or two all the time.
const SHORTEST: usize = 8;

impl Peers {
    /// A server that `host` might be taken for: this one, one of this user's contacts', or one that is listed here for
    /// all to see. Servers that only others here deal with are not told apart, since that would tell of them.
    pub async fn lookalike(&self, user: &str, host: &Provider) -> Result<Option<Provider>> {
        let now = self.clock.now();
        let mut known = vec![self.own.clone()];
        known.extend(self.store.read(async |txn| known_to(txn, user, now).await).await?);
        known.extend(
            self.directories
                .servers()
                .await?
                .into_iter()
                .map(|listed| listed.provider),
        );
        if known.contains(host) {
            return Ok(None);
        }
        Ok(known.into_iter().find(|known| resembles(host.host(), known.host())))
    }
}

async fn known_to(txn: &mut Txn, user: &str, now: Timestamp) -> Result<Vec<Provider>> {
    let page = Page::first(MAX_PAGE);
    let contacts = contacts::list(txn, user, &page).await?.items;
    let rules = txn.list::<TrustRule>(Key::ALL, &page).await?.items;
    let allowed = rules
        .iter()
        .filter(|rule| rule.verdict == Verdict::Allow && rule.in_force(now))
        .filter_map(|rule| Provider::parse(rule.pattern.as_str()).ok());
    let theirs = contacts.into_iter().map(|contact| contact.address.provider);
    Ok(theirs.chain(allowed).collect())
}

/// Whether one name differs from another in one or two letters. Neighbours below one domain are in the same hands and
/// often numbered; addresses are compared as numbers, not as names.
fn resembles(one: &str, other: &str) -> bool {
    let is_address = |host: &str| host.starts_with('[') || host.ends_with(|c: char| c.is_ascii_digit());
    if one == other || is_address(one) || is_address(other) || one.len().min(other.len()) < SHORTEST {
        return false;
    }
    let neighbours = match (one.split_once('.'), other.split_once('.')) {
        (Some((_, below)), Some((_, other))) => below == other && below.contains('.'),
        _ => false,
    };
    !neighbours && distance(one, other) <= 2
}

/// How many letters must be put in, taken out or replaced to make one of the other (Levenshtein).
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (i, a) in one.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in other.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t77_names_that_differ_in_a_letter_or_two_resemble_each_other() {
        let check = |one: &str, other: &str, expected: bool| {
            assert_eq!(resembles(one, other), expected, "{one} {other}");
            assert_eq!(resembles(other, one), expected, "{other} {one}");
        };
        check("nextc1oud.example", "nextcloud.example", true);
        check("cloud.exarnple.org", "cloud.example.org", true);
        check("cloud-example.org", "cloud.example.org", true);
        check("nextcloud.example", "nextcloud.example", false);
        check("nextcloud.example", "owncloud.example", false);
        // In the same hands, or too short to tell.
        check("cloud1.uni.example", "cloud2.uni.example", false);
        check("a.org", "b.org", false);
        check("127.0.0.1", "127.0.0.2", false);
        check("[2001:db8::1]", "[2001:db8::2]", false);
    }

    #[test]
    fn the_distance_counts_single_letters() {
        let check = |one: &str, other: &str, expected: usize| assert_eq!(distance(one, other), expected);
        check("", "abc", 3);
        check("abc", "abc", 0);
        check("kitten", "sitting", 3);
        check("ab", "ba", 2);
    }
}
