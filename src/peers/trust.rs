//! Which servers may federate with this one: rules, the mode, and why.

use serde::Deserialize;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::config::Mode;
use crate::contacts;
use crate::directories::Directories;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::ocm::address::Provider;
use crate::store::Key;
use crate::store::Record;
use crate::store::Txn;

/// What a rule says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    Allow,
    Deny,
}

/// A server, or every name below a domain, allowed or denied by an admin.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TrustRule {
    pub pattern: Pattern,
    pub verdict: Verdict,
    /// May be shown to anyone.
    #[serde(default)]
    pub reason: String,
    /// For the admins of this server.
    #[serde(default)]
    pub note: String,
    #[serde(default)]
    pub expires: Option<Timestamp>,
    pub by: String,
    pub since: Timestamp,
}

impl Record for TrustRule {
    const KIND: &'static str = "trust-rule";

    fn key(&self) -> Key {
        self.pattern.key()
    }
}

impl TrustRule {
    pub fn in_force(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|end| now < end)
    }
}

/// `cloud.example.org`, `cloud.example.org:8443` or `*.example.org`, in its one canonical spelling (T-48).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pattern(String);

impl Pattern {
    /// # Errors
    ///
    /// [`Reason::Invalid`] for what is neither a host nor a wildcard below at least two labels.
    pub fn parse(text: &str) -> Result<Self> {
        let text = text.trim();
        let (wildcard, host) = match text.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        // People paste names with the root's dot; it is the same server, and a deny rule must not miss it.
        let host = host.strip_suffix('.').unwrap_or(host);
        let provider = Provider::parse_lenient(host).map_err(|invalid| Error::from(invalid).in_field("host"))?;
        if !wildcard {
            return Ok(Self(provider.to_string()));
        }
        if provider.port().is_some() || provider.ip().is_some() || !provider.host().contains('.') {
            return Err(Error::invalid(
                "host",
                "A wildcard stands for the names below a domain of its own, such as *.uni.example.",
            ));
        }
        Ok(Self(format!("*.{}", provider.host())))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub fn key(&self) -> Key {
        Key::of([&self.0])
    }
}

/// What a server wants of us, or we of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Trading an invite: how a server gets in under the mode `invite`.
    Invite,
    /// Everything else.
    Federate,
}

/// One question on the way to a decision.
#[derive(Clone, Debug, Serialize)]
pub struct Step {
    pub question: &'static str,
    pub answer: String,
    /// Whether the answer decided.
    pub decides: bool,
}

/// Whether a server may, and why.
#[derive(Clone, Debug, Serialize)]
pub struct Decision {
    #[serde(skip)]
    pub allowed: bool,
    pub host: Provider,
    /// `allowed` or `denied`.
    pub decision: &'static str,
    /// A sentence for an admin; a rule's public reason is in it.
    pub because: String,
    pub steps: Vec<Step>,
    /// Whether an admin's own rule decided, so that no invite is needed on top.
    #[serde(skip)]
    pub by_rule: bool,
}

/// Decides about a server, walking the rules in their order: deny, allow, directory, invite, mode.
pub async fn decide(
    txn: &mut Txn,
    mode: Mode,
    directories: &Directories,
    host: &Provider,
    purpose: Purpose,
    now: Timestamp,
) -> Result<Decision> {
    let mut walk = Walk::new(host);
    let denied = find_rule(txn, &deny_patterns(host), Verdict::Deny, now).await?;
    if let Some(rule) = denied {
        return Ok(walk.end("denied by an admin?", describe(&rule), false, true));
    }
    walk.pass("denied by an admin?");
    if let Some(rule) = find_rule(txn, &allow_patterns(host), Verdict::Allow, now).await? {
        return Ok(walk.end("allowed by an admin?", describe(&rule), true, true));
    }
    walk.pass("allowed by an admin?");
    if mode == Mode::Allowlist && directories.admit_any() {
        const QUESTION: &str = "in a directory that admits?";
        if let Some(federation) = directories.admitting(txn, host, now).await? {
            let why = format!("the directory of {federation} lists it, and an admin lets its servers in");
            return Ok(walk.end(QUESTION, why, true, false));
        }
        walk.pass(QUESTION);
    }
    if mode == Mode::Invite {
        if let Some(admission) = contacts::admission(txn, host).await? {
            let why = format!("{} traded an invite with somebody there", admission.user);
            return Ok(walk.end("an invite with a user?", why, true, false));
        }
        walk.pass("an invite with a user?");
    }
    let (allowed, why) = match (mode, purpose) {
        (Mode::Open, _) => (true, "the mode is \"open\": every server that is not denied"),
        (Mode::Allowlist, _) => (false, "the mode is \"allowlist\", and no rule allows it"),
        (Mode::Invite, Purpose::Invite) => (
            true,
            "the mode is \"invite\": any server that is not denied may trade one",
        ),
        (Mode::Invite, Purpose::Federate) => (false, "the mode is \"invite\", and no user has traded one with it"),
    };
    Ok(walk.end("the mode?", why.to_owned(), allowed, false))
}

/// The error that a refused server, or the user who wanted to reach it, gets: it never tells which rule.
pub fn refusal(host: &Provider) -> Error {
    Error::new(Reason::WeRefuseThem, format!("This server does not accept {host}."))
}

struct Walk {
    host: Provider,
    steps: Vec<Step>,
}

impl Walk {
    fn new(host: &Provider) -> Self {
        Self {
            host: host.clone(),
            steps: Vec::new(),
        }
    }

    fn pass(&mut self, question: &'static str) {
        self.steps.push(Step {
            question,
            answer: "no".to_owned(),
            decides: false,
        });
    }

    fn end(mut self, question: &'static str, why: String, allowed: bool, by_rule: bool) -> Decision {
        self.steps.push(Step {
            question,
            answer: why.clone(),
            decides: true,
        });
        Decision {
            allowed,
            host: self.host,
            decision: if allowed { "allowed" } else { "denied" },
            because: why,
            steps: self.steps,
            by_rule,
        }
    }
}

fn describe(rule: &TrustRule) -> String {
    let verb = match rule.verdict {
        Verdict::Allow => "allows",
        Verdict::Deny => "denies",
    };
    let mut text = format!("the rule for {}, made by {}, {verb} it", rule.pattern.as_str(), rule.by);
    if !rule.reason.is_empty() {
        text.push_str(": ");
        text.push_str(&rule.reason);
    }
    text
}

async fn find_rule(txn: &mut Txn, patterns: &[String], verdict: Verdict, now: Timestamp) -> Result<Option<TrustRule>> {
    for pattern in patterns {
        let rule = txn.get::<TrustRule>(Key::of([pattern])).await?;
        if let Some(rule) = rule.filter(|rule| rule.verdict == verdict && rule.in_force(now)) {
            return Ok(Some(rule));
        }
    }
    Ok(None)
}

/// A denied host is denied on every port: another port of it is in the same hands.
fn deny_patterns(host: &Provider) -> Vec<String> {
    let mut patterns = allow_patterns(host);
    if host.port().is_some() {
        patterns.insert(1, host.host().to_owned());
    }
    patterns
}

/// An allowed host is allowed as it is written: another port may be another server (RFC 8615 is per origin).
fn allow_patterns(host: &Provider) -> Vec<String> {
    let mut patterns = vec![host.to_string()];
    if host.ip().is_none() {
        let mut rest = host.host();
        while let Some((_, parent)) = rest.split_once('.') {
            patterns.push(format!("*.{parent}"));
            rest = parent;
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t48_a_rule_has_one_spelling() {
        let check = |text: &str, expected: &str| assert_eq!(Pattern::parse(text).unwrap().as_str(), expected);
        check("B.ORG.", "b.org");
        check("b.org:443", "b.org");
        check("https://b.org/", "b.org");
        check("*.Uni.Example", "*.uni.example");
        check("127.0.0.1:9000", "127.0.0.1:9000");
        check("bücher.example", "xn--bcher-kva.example");
        for bad in [
            "",
            "*",
            "*.",
            "*.org",
            "*.127.0.0.1",
            "*.a.b:8443",
            "a b",
            "a/b",
            "x@b.org",
        ] {
            assert!(Pattern::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn t48_denying_a_host_denies_its_ports_and_allowing_it_does_not_allow_them() {
        let host = Provider::parse("x.b.org:8443").unwrap();
        assert_eq!(deny_patterns(&host), ["x.b.org:8443", "x.b.org", "*.b.org", "*.org"]);
        assert_eq!(allow_patterns(&host), ["x.b.org:8443", "*.b.org", "*.org"]);
    }
}
