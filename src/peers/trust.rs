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
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
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
    /// The [`Batch`](crate::peers::batch::Batch) that wrote it; a rule that was changed since has another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<String>,
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

    /// The one server it stands for; none for a wildcard.
    pub fn server(&self) -> Option<Provider> {
        Provider::parse(&self.0).ok()
    }

    /// All names below this one; none where there can't be any.
    pub fn below(&self) -> Option<Self> {
        Self::parse(&format!("*.{}", self.0)).ok()
    }

    /// Whether it is a wildcard for what looks like the names of unrelated people: `*.co.uk` as much as `*.org`, which
    /// is refused. Only the most common such domains are known here.
    pub fn is_wide(&self) -> bool {
        self.0
            .strip_prefix("*.")
            .is_some_and(|domain| PUBLIC_SUFFIXES.contains(&domain))
    }

    /// Whether a rule of this pattern is looked at for this server.
    pub fn covers(&self, verdict: Verdict, host: &Provider) -> bool {
        let patterns = match verdict {
            Verdict::Deny => deny_patterns(host),
            Verdict::Allow => allow_patterns(host),
        };
        patterns.contains(&self.0)
    }

    pub fn key(&self) -> Key {
        Key::of([&self.0])
    }
}

/// Domains below which anybody can have a name.
const PUBLIC_SUFFIXES: [&str; 44] = [
    "ac.at",
    "ac.in",
    "ac.jp",
    "ac.kr",
    "ac.nz",
    "ac.uk",
    "ac.za",
    "co.at",
    "co.il",
    "co.in",
    "co.jp",
    "co.kr",
    "co.nz",
    "co.uk",
    "co.za",
    "com.ar",
    "com.au",
    "com.br",
    "com.cn",
    "com.hk",
    "com.mx",
    "com.pl",
    "com.sg",
    "com.tr",
    "com.tw",
    "com.ua",
    "edu.au",
    "edu.br",
    "edu.cn",
    "edu.pl",
    "edu.tr",
    "edu.tw",
    "github.io",
    "gov.uk",
    "gv.at",
    "ne.jp",
    "net.au",
    "or.at",
    "or.jp",
    "org.au",
    "org.br",
    "org.nz",
    "org.uk",
    "org.za",
];

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
    /// The mode that was in force.
    #[serde(skip)]
    pub mode: Mode,
}

impl Decision {
    /// Whether a server that was decided upon like this deals with us only through people who have traded an invite.
    pub fn contacts_only(&self) -> bool {
        self.mode == Mode::Invite && !self.by_rule
    }
}

/// What a decision goes by besides what is kept.
#[derive(Clone, Copy)]
pub struct Given<'a> {
    pub mode: Mode,
    pub directories: &'a Directories,
    /// Rules to be left out of account, to see what would be without them.
    pub without: &'a [Pattern],
    pub now: Timestamp,
}

/// Decides about a server, walking the rules in their order: deny, allow, directory, invite, mode.
pub async fn decide(txn: &mut Txn, given: Given<'_>, host: &Provider, purpose: Purpose) -> Result<Decision> {
    let Given {
        mode, directories, now, ..
    } = given;
    let mut walk = Walk::new(host, mode);
    let denied = find_rule(txn, &deny_patterns(host), Verdict::Deny, given).await?;
    if let Some(rule) = denied {
        return Ok(walk.end("denied by an admin?", describe(&rule), false, true));
    }
    walk.pass("denied by an admin?");
    if let Some(rule) = find_rule(txn, &allow_patterns(host), Verdict::Allow, given).await? {
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
    mode: Mode,
    steps: Vec<Step>,
}

impl Walk {
    fn new(host: &Provider, mode: Mode) -> Self {
        Self {
            host: host.clone(),
            mode,
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
            mode: self.mode,
        }
    }
}

/// Why a rule decides, as a sentence for an admin.
pub fn describe(rule: &TrustRule) -> String {
    let (of, by, reason) = (rule.pattern.as_str(), &rule.by, &rule.reason);
    match (rule.verdict, reason.is_empty()) {
        (Verdict::Allow, true) => format!("the rule for {of}, made by {by}, allows it"),
        (Verdict::Allow, false) => format!("the rule for {of}, made by {by}, allows it: {reason}"),
        (Verdict::Deny, true) => format!("the rule for {of}, made by {by}, denies it"),
        (Verdict::Deny, false) => format!("the rule for {of}, made by {by}, denies it: {reason}"),
    }
}

async fn find_rule(
    txn: &mut Txn,
    patterns: &[String],
    verdict: Verdict,
    given: Given<'_>,
) -> Result<Option<TrustRule>> {
    let left_out = |rule: &TrustRule| given.without.contains(&rule.pattern);
    for pattern in patterns {
        let rule = txn.get::<TrustRule>(Key::of([pattern])).await?;
        let counts = |rule: &TrustRule| rule.verdict == verdict && rule.in_force(given.now) && !left_out(rule);
        if let Some(rule) = rule.filter(counts) {
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

    #[test]
    fn a_wildcard_for_the_names_of_unrelated_people_is_known_as_such() {
        let check = |text: &str, wide: bool| assert_eq!(Pattern::parse(text).unwrap().is_wide(), wide, "{text}");
        check("*.co.uk", true);
        check("*.GITHUB.io", true);
        check("co.uk", false);
        check("*.uni.example", false);
        check("*.a.co.uk", false);
        assert!(PUBLIC_SUFFIXES.is_sorted());
    }

    #[test]
    fn a_pattern_covers_what_the_decision_looks_for() {
        let covers = |pattern: &str, verdict, host: &str| {
            let (pattern, host) = (Pattern::parse(pattern).unwrap(), Provider::parse(host).unwrap());
            pattern.covers(verdict, &host)
        };
        assert!(covers("b.org", Verdict::Deny, "b.org:8443"));
        assert!(!covers("b.org", Verdict::Allow, "b.org:8443"));
        assert!(covers("*.b.org", Verdict::Allow, "x.y.b.org"));
        assert!(!covers("*.b.org", Verdict::Deny, "b.org"));
        assert_eq!(Pattern::parse("b.org").unwrap().below().unwrap().as_str(), "*.b.org");
        assert_eq!(Pattern::parse("10.0.0.1").unwrap().below(), None);
    }
}
