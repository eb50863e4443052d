//! The reverse proxy in front: whose word about who asks is believed, and whether it passes on what it should.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::MutexGuard;
use std::sync::PoisonError;

use ipnet::IpNet;

use crate::config::Config;
use crate::config::PublicUrl;
use crate::config::TlsMode;
use crate::ocm::address::Provider;

/// How many requests are looked back on. What most of them show is how the proxy is set up; a scanner that sends a
/// strange `Host` now and then, or an admin who asks past the proxy, is not.
const LATEST: usize = 64;
/// The longest name of a host that is kept to be shown.
const LONGEST_HOST: usize = 255;

/// What is believed of a proxy, and what was seen of it. Clones are the same.
#[derive(Clone)]
pub struct Proxy(Arc<Inner>);

struct Inner {
    /// Whether there is one at all: in every other mode whoever asks could have written these headers.
    expected: bool,
    trusted: Vec<IpNet>,
    public_url: PublicUrl,
    latest: Mutex<Latest>,
}

#[derive(Default)]
struct Latest {
    requests: u64,
    looks: VecDeque<Look>,
}

/// What one request said about the way it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Look {
    untrusted_from: Option<IpAddr>,
    wrong_host: Option<String>,
    missing_for: bool,
    wrong_proto: bool,
}

/// The parts of a request that tell which way it came, as they stand in it.
#[derive(Clone, Debug, Default)]
pub struct Head<'a> {
    /// Who holds the other end of the connection.
    pub peer: Option<IpAddr>,
    pub host: Option<&'a str>,
    /// `X-Forwarded-For`, each line of it.
    pub forwarded_for: Vec<&'a str>,
    /// `X-Forwarded-Proto`.
    pub proto: Option<&'a str>,
}

/// What most of the latest requests showed. All is well where only `requests` says something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Since the start.
    pub requests: u64,
    /// They come from here, which is not among `server.trusted_proxies`.
    pub untrusted_from: Option<IpAddr>,
    /// They come with this `Host`, which is not that of `server.public_url`.
    pub wrong_host: Option<String>,
    /// They come without `X-Forwarded-For`.
    pub missing_for: bool,
    /// They come with an `X-Forwarded-Proto` that is not that of `server.public_url`.
    pub wrong_proto: bool,
}

/// Something that the proxy should do otherwise: what was seen, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub sentence: String,
    pub remedy: &'static str,
}

impl Proxy {
    pub fn new(config: &Config) -> Self {
        Self(Arc::new(Inner {
            expected: config.tls_mode() == TlsMode::Proxy,
            trusted: config.server.trusted_proxies.clone(),
            public_url: config.server.public_url.clone(),
            latest: Mutex::default(),
        }))
    }

    /// Whether there is to be one, so that what was [`seen`](Self::seen) means anything.
    pub fn expected(&self) -> bool {
        self.0.expected
    }

    /// Whether what this one adds to a request is believed.
    pub fn believes(&self, peer: IpAddr) -> bool {
        let peer = peer.to_canonical();
        self.0.expected && self.0.trusted.iter().any(|network| network.contains(&peer))
    }

    /// The address that asks: the right-most of `forwarded_for` that is no proxy of ours. Each proxy appends whom it
    /// was asked by, so what stands left of that one, whoever asks has written; and where something stands that is no
    /// address, nobody can say what it means, so that nothing left of it counts either.
    pub fn asker(&self, peer: IpAddr, forwarded_for: &[&str]) -> IpAddr {
        let mut asker = peer.to_canonical();
        for entry in forwarded_for.iter().rev().flat_map(|line| line.rsplit(',')) {
            match address(entry.trim()) {
                Some(before) if self.believes(asker) => asker = before,
                _ => break,
            }
        }
        asker
    }

    /// Remembers which way a request came. Costs next to nothing where no proxy is expected.
    pub fn look(&self, head: &Head<'_>) {
        let Some(peer) = head.peer.filter(|_| self.0.expected) else {
            return;
        };
        let look = if self.believes(peer) {
            Look {
                untrusted_from: None,
                wrong_host: head.host.filter(|host| !self.is_ours(host)).map(shortened),
                missing_for: head.forwarded_for.is_empty(),
                wrong_proto: head.proto.is_some_and(|proto| !self.is_our_scheme(proto)),
            }
        } else {
            // Whatever it says else, it may have made up.
            Look {
                untrusted_from: Some(peer.to_canonical()),
                ..Look::default()
            }
        };
        let mut latest = self.latest();
        latest.requests += 1;
        latest.looks.push_back(look);
        if latest.looks.len() > LATEST {
            latest.looks.pop_front();
        }
    }

    pub fn seen(&self) -> Seen {
        let latest = self.latest();
        let looks = &latest.looks;
        let most = |shows: &dyn Fn(&Look) -> bool| looks.iter().filter(|look| shows(look)).count() * 2 > looks.len();
        // Of those that came as they should, for the others say nothing of it.
        let trusted = looks.iter().filter(|look| look.untrusted_from.is_none()).count();
        let most_trusted =
            |shows: &dyn Fn(&Look) -> bool| looks.iter().filter(|look| shows(look)).count() * 2 > trusted;
        let untrusted = most(&|look| look.untrusted_from.is_some());
        let wrong = most_trusted(&|look| look.wrong_host.is_some());
        Seen {
            requests: latest.requests,
            untrusted_from: last(looks, |look| look.untrusted_from).filter(|_| untrusted),
            wrong_host: last(looks, |look| look.wrong_host.clone()).filter(|_| wrong),
            missing_for: most_trusted(&|look| look.missing_for),
            wrong_proto: most_trusted(&|look| look.wrong_proto),
        }
    }

    /// What is wrong with the way requests come, in words.
    pub fn faults(&self) -> Vec<Fault> {
        let seen = self.seen();
        let mut faults = Vec::new();
        if let Some(from) = seen.untrusted_from {
            faults.push(Fault {
                sentence: format!(
                    "Requests come from {from}, which is not among server.trusted_proxies. Wrong passwords of everybody \
                     are counted for that one address."
                ),
                remedy: "If that is your proxy, add its address to server.trusted_proxies; if not, let nobody but the \
                         proxy reach the port of server.listen.",
            });
        }
        if let Some(host) = seen.wrong_host {
            faults.push(Fault {
                sentence: format!(
                    "The proxy asks for {host} where people ask for {}.",
                    self.0.public_url.provider()
                ),
                remedy: "Let the proxy pass on the Host header as it came (nginx: proxy_set_header Host $http_host), or \
                         correct server.public_url.",
            });
        }
        if seen.missing_for {
            faults.push(Fault {
                sentence: "The proxy does not say who asks: X-Forwarded-For is missing.".to_owned(),
                remedy: "Let the proxy append the address that asks (nginx: proxy_set_header X-Forwarded-For \
                         $proxy_add_x_forwarded_for).",
            });
        }
        if seen.wrong_proto {
            faults.push(Fault {
                sentence: format!(
                    "The proxy is asked in another way than server.public_url says ({}): X-Forwarded-Proto tells so.",
                    self.0.public_url
                ),
                remedy: "Let the proxy redirect plain http to https, and send X-Forwarded-Proto as it was asked.",
            });
        }
        faults
    }

    /// By its meaning: `Host` may name the port that everybody knows, or be written in capitals.
    fn is_ours(&self, host: &str) -> bool {
        let scheme = if self.0.public_url.is_https() { "https" } else { "http" };
        Provider::parse_lenient(&format!("{scheme}://{host}")).is_ok_and(|host| host == *self.0.public_url.provider())
    }

    fn is_our_scheme(&self, proto: &str) -> bool {
        // A chain of proxies may append; what the first was asked in is what people typed.
        let first = proto.split(',').next().unwrap_or_default().trim();
        first.eq_ignore_ascii_case("https") == self.0.public_url.is_https()
    }

    fn latest(&self) -> MutexGuard<'_, Latest> {
        self.0.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn last<T>(looks: &VecDeque<Look>, part: impl Fn(&Look) -> Option<T>) -> Option<T> {
    looks.iter().rev().find_map(part)
}

/// An entry of `X-Forwarded-For`: an address, which some proxies write with the port.
fn address(entry: &str) -> Option<IpAddr> {
    let with_port = || entry.parse::<std::net::SocketAddr>().ok().map(|address| address.ip());
    let in_brackets = || entry.strip_prefix('[')?.strip_suffix(']')?.parse().ok();
    let found: Option<IpAddr> = entry.parse().ok().or_else(with_port).or_else(in_brackets);
    found.map(|ip| ip.to_canonical())
}

fn shortened(host: &str) -> String {
    host.chars().take(LONGEST_HOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn behind(trusted: &[&str]) -> Proxy {
        let mut config = Config::default();
        config.server.public_url = PublicUrl::parse("https://cloud.a.example").unwrap();
        config.server.trusted_proxies = trusted.iter().map(|network| network.parse().unwrap()).collect();
        let proxy = Proxy::new(&config);
        assert!(proxy.expected());
        proxy
    }

    const LOCAL: &[&str] = &["127.0.0.1/32", "::1/128"];

    #[test]
    fn who_asks_is_the_last_address_that_is_no_proxy_of_ours() {
        let check = |trusted: &[&str], peer: &str, lines: &[&str], expected: &str| {
            let asker = behind(trusted).asker(peer.parse().unwrap(), lines);
            assert_eq!(asker.to_string(), expected, "{peer} {lines:?}");
        };
        check(LOCAL, "127.0.0.1", &["203.0.113.7"], "203.0.113.7");
        check(LOCAL, "::ffff:127.0.0.1", &["203.0.113.7"], "203.0.113.7");
        check(LOCAL, "127.0.0.1", &["::ffff:203.0.113.7"], "203.0.113.7");
        check(LOCAL, "::1", &["2001:db8::7"], "2001:db8::7");
        check(LOCAL, "127.0.0.1", &[], "127.0.0.1");
        // What whoever asks wrote stands on the left.
        check(LOCAL, "127.0.0.1", &["198.51.100.1, 203.0.113.7"], "203.0.113.7");
        check(LOCAL, "127.0.0.1", &["198.51.100.1", "203.0.113.7"], "203.0.113.7");
        check(LOCAL, "127.0.0.1", &["127.0.0.1,203.0.113.7"], "203.0.113.7");
        // Two proxies, one behind the other.
        let two = &["127.0.0.1/32", "10.0.0.0/8"];
        check(two, "127.0.0.1", &["203.0.113.7, 10.1.2.3"], "203.0.113.7");
        check(
            two,
            "127.0.0.1",
            &["198.51.100.1, 203.0.113.7, 10.1.2.3"],
            "203.0.113.7",
        );
        check(two, "127.0.0.1", &["10.1.2.3"], "10.1.2.3");
        // Nobody else is believed.
        check(LOCAL, "203.0.113.9", &["127.0.0.1"], "203.0.113.9");
        check(&[], "127.0.0.1", &["203.0.113.7"], "127.0.0.1");
        // What is no address says nothing, and what stands before it says nothing either.
        for garbage in [
            "",
            "unknown",
            "_hidden",
            "203.0.113",
            "<script>",
            "203.0.113.7 203.0.113.8",
            "\"::1\"",
        ] {
            check(LOCAL, "127.0.0.1", &[garbage], "127.0.0.1");
            check(LOCAL, "127.0.0.1", &["203.0.113.7", garbage], "127.0.0.1");
            check(
                two,
                "127.0.0.1",
                &[&format!("203.0.113.7,{garbage},10.0.0.1")],
                "10.0.0.1",
            );
            check(LOCAL, "127.0.0.1", &[&format!("{garbage}, 203.0.113.7")], "203.0.113.7");
        }
        // Some write the port.
        check(LOCAL, "127.0.0.1", &["203.0.113.7:51234"], "203.0.113.7");
        check(LOCAL, "127.0.0.1", &["[2001:db8::7]:51234"], "2001:db8::7");
        check(LOCAL, "127.0.0.1", &["[2001:db8::7]"], "2001:db8::7");
    }

    #[test]
    fn without_a_proxy_nobody_is_believed_and_nothing_is_remembered() {
        let mut config = Config::default();
        config.server.public_url = PublicUrl::parse("http://127.0.0.1:8080").unwrap();
        let none = Proxy::new(&config);
        let peer: IpAddr = "127.0.0.1".parse().unwrap();
        assert!(!none.expected() && !none.believes(peer));
        assert_eq!(none.asker(peer, &["203.0.113.7"]), peer);
        none.look(&Head {
            peer: Some(peer),
            host: Some("evil.example"),
            ..Head::default()
        });
        assert_eq!(none.seen(), Seen::default());
    }

    fn well() -> Head<'static> {
        Head {
            peer: Some("127.0.0.1".parse().unwrap()),
            host: Some("cloud.a.example"),
            forwarded_for: vec!["203.0.113.7"],
            proto: Some("https"),
        }
    }

    #[test]
    fn what_most_requests_show_is_a_fault_of_the_proxy_and_named_with_its_remedy() {
        let check = |head: Head<'static>, sentence: &str, remedy: &str| {
            let proxy = behind(LOCAL);
            proxy.look(&head);
            let faults = proxy.faults();
            assert_eq!(faults.len(), 1, "{head:?}: {faults:?}");
            assert!(faults[0].sentence.contains(sentence), "{faults:?}");
            assert!(faults[0].remedy.contains(remedy), "{faults:?}");
        };
        let other = Head {
            peer: Some("172.18.0.1".parse().unwrap()),
            ..well()
        };
        check(other, "172.18.0.1", "server.trusted_proxies");
        for host in ["127.0.0.1:8080", "cloud.b.example", "cloud.a.example:8443", "a b", ""] {
            let head = Head {
                host: Some(host),
                ..well()
            };
            check(head, &format!("asks for {host} where"), "Host");
        }
        let mute = Head {
            forwarded_for: Vec::new(),
            ..well()
        };
        check(mute, "X-Forwarded-For", "$proxy_add_x_forwarded_for");
        for proto in ["http", "http, https", "gopher"] {
            let head = Head {
                proto: Some(proto),
                ..well()
            };
            check(head, "https://cloud.a.example", "redirect");
        }
    }

    #[test]
    fn a_proxy_that_does_its_part_is_without_fault_however_it_writes_it() {
        let proxy = behind(LOCAL);
        for host in ["cloud.a.example", "Cloud.A.example", "cloud.a.example:443"] {
            proxy.look(&Head {
                host: Some(host),
                ..well()
            });
        }
        proxy.look(&Head {
            proto: Some("HTTPS, http"),
            ..well()
        });
        proxy.look(&Head { proto: None, ..well() });
        assert_eq!(proxy.faults(), []);
        assert_eq!(proxy.seen().requests, 5);
    }

    #[test]
    fn a_few_strange_requests_are_no_fault_and_a_mended_proxy_is_believed_soon() {
        let proxy = behind(LOCAL);
        let strange = Head {
            host: Some("192.0.2.1"),
            forwarded_for: Vec::new(),
            ..well()
        };
        let past = Head {
            peer: Some("203.0.113.9".parse().unwrap()),
            ..strange.clone()
        };
        for _ in 0..20 {
            for head in [&well(), &strange, &past, &well(), &well()] {
                proxy.look(head);
            }
        }
        assert_eq!(proxy.faults(), []);
        for _ in 0..LATEST {
            proxy.look(&strange);
        }
        assert_eq!(proxy.seen().wrong_host.as_deref(), Some("192.0.2.1"));
        for _ in 0..LATEST / 2 + 1 {
            proxy.look(&well());
        }
        assert_eq!(proxy.faults(), []);
        let long = "h".repeat(9_000);
        for _ in 0..LATEST {
            proxy.look(&Head {
                host: Some(&long),
                ..well()
            });
        }
        assert_eq!(proxy.seen().wrong_host.unwrap().len(), LONGEST_HOST);
        assert_eq!(proxy.latest().looks.len(), LATEST);
    }
}
