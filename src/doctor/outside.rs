//! How this server looks from outside, as far as that can be told from within: names, ports, its own documents fetched by
//! its public name, and the mail server.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;
use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use url::Url;

use crate::client::guard::is_special;
use crate::config::Mode;
use crate::config::TlsMode;
use crate::doctor::ground;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::findings::Finding;
use crate::ocm::discovery::Criterion;
use crate::ocm::discovery::Discovery;
use crate::site::Site;

/// How long a connection to this very machine may take.
const SHORTLY: Duration = Duration::from_secs(3);
const A_DAY: Duration = Duration::from_secs(86_400);
const WELL_KNOWN: &str = "/.well-known/ocm";
const JWKS: &str = "/.well-known/jwks.json";

/// Whether the clock fits those of the servers that were asked within a day. Only most of several can say that it does not.
pub(super) async fn clocks(site: &Site) -> Result<Vec<Finding>> {
    let allowed = site.config.federation.clock_skew.0;
    let said = site.peers.traffic().clocks(A_DAY);
    Ok(judge_clocks(said, i64::try_from(allowed.as_secs()).unwrap_or(i64::MAX)))
}

fn judge_clocks(mut ahead: Vec<i64>, allowed: i64) -> Vec<Finding> {
    const CHECK: &str = "clocks";
    ahead.sort_unstable();
    let number = ahead.len();
    let most = ahead.get(number / 2).copied().unwrap_or_default();
    let advice = "Have the clock of this machine kept right (NTP): timedatectl set-ntp true";
    vec![match most {
        _ if number < 2 => Finding::ok(CHECK, "Too few servers were asked lately to compare clocks with."),
        later if later > allowed => Finding::bad(
            CHECK,
            format!("The clock is {later} s behind those of most servers ({number} were asked): signatures fail."),
            advice,
        ),
        earlier if earlier < -allowed => {
            let earlier = -earlier;
            Finding::bad(
                CHECK,
                format!(
                    "The clock is {earlier} s ahead of those of most servers ({number} were asked): signatures fail."
                ),
                advice,
            )
        }
        _ => Finding::ok(
            CHECK,
            format!("The clock fits those of most servers ({number} were asked)."),
        ),
    }]
}

/// Whether somebody answers on each port that is listened on, and whether the public one is among them.
pub(super) async fn ports(site: &Site) -> Result<Vec<Finding>> {
    const CHECK: &str = "ports";
    let server = &site.config.server;
    let mut found = Vec::new();
    for (setting, address) in ground::addresses(&site.config) {
        let here = reached_at(address);
        if !is_answered(&here).await {
            let here = here[0];
            found.push(Finding::bad(
                CHECK,
                format!("Nobody answers at {here}, where this server is to listen ({setting})."),
                "Look into the log; a firewall of this machine may forbid even this. Start the server again.",
            ));
        }
    }
    let public = public_port(site);
    let listens = server.listen.0.iter().any(|address| address.port() == public);
    if !listens && site.config.tls_mode() != TlsMode::Proxy {
        let url = &server.public_url;
        found.push(Finding::warn(
            CHECK,
            format!("People and servers come to port {public}, as {url} says, and this server does not listen there."),
            "Add the port to server.listen, or say tls.mode = \"proxy\" where something in front hands requests on.",
        ));
    }
    if found.is_empty() {
        found.push(Finding::ok(
            CHECK,
            "Every port that this server listens on is answered.",
        ));
    }
    Ok(found)
}

async fn is_answered(addresses: &[SocketAddr]) -> bool {
    for address in addresses {
        let connected = tokio::time::timeout(SHORTLY, tokio::net::TcpStream::connect(address)).await;
        if matches!(connected, Ok(Ok(_))) {
            return true;
        }
    }
    false
}

/// An address for all interfaces is reached at the one of this machine alone; every address of IPv6 is also every one of
/// IPv4, and where there is no IPv6, nothing else.
fn reached_at(address: SocketAddr) -> Vec<SocketAddr> {
    let ips = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => vec![Ipv4Addr::LOCALHOST.into()],
        IpAddr::V6(ip) if ip.is_unspecified() => vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()],
        ip => vec![ip],
    };
    ips.into_iter().map(|ip| SocketAddr::new(ip, address.port())).collect()
}

fn public_port(site: &Site) -> u16 {
    let url = &site.config.server.public_url;
    let usual = if url.is_https() { 443 } else { 80 };
    url.provider().port().unwrap_or(usual)
}

/// Whether the names of this server lead somewhere.
pub(super) async fn dns(site: &Site) -> Result<Vec<Finding>> {
    const CHECK: &str = "dns";
    let provider = site.config.server.public_url.provider();
    if let Some(ip) = provider.ip() {
        return Ok(vec![Finding::ok(
            CHECK,
            format!("The public address is {ip} itself; no name is looked up."),
        )]);
    }
    let mut found = Vec::new();
    // A name with a star is that of many, and leads nowhere itself.
    let more = site.config.tls.names.iter().map(String::as_str);
    let more = more.filter(|name| !name.contains('*'));
    for name in std::iter::once(provider.host()).chain(more) {
        found.push(match site.client.addresses(name).await {
            Ok(ips) if !ips.is_empty() => judge_addresses(name, &ips),
            Ok(_) => no_address(name),
            Err(cause) if cause.kind() == std::io::ErrorKind::TimedOut => {
                Finding::unknown(CHECK, format!("The address of {name} could not be looked up: {cause}."))
            }
            Err(_) => no_address(name),
        });
    }
    Ok(found)
}

fn no_address(name: &str) -> Finding {
    Finding::bad(
        "dns",
        format!("The name {name} has no address, so nobody finds this server."),
        "Make an A or AAAA record for it where the domain is kept, or mend server.public_url.",
    )
}

fn judge_addresses(name: &str, ips: &[IpAddr]) -> Finding {
    let shown: Vec<_> = ips.iter().map(ToString::to_string).collect();
    let shown = shown.join(", ");
    if ips.iter().all(|ip| is_special(*ip)) {
        return Finding::warn(
            "dns",
            format!("{name} leads to {shown}, which only this network can reach."),
            "Where others are to reach it, make an A or AAAA record with its public address. In a closed network, or \
             where names are different inside, this is as it should be.",
        );
    }
    if let Some(wrong) = ips.iter().find(|ip| is_special(**ip)) {
        return Finding::warn(
            "dns",
            format!("{name} leads to {shown}, and {wrong} of these can be reached in this network only."),
            "Take that record away: some of those who come will find nobody.",
        );
    }
    Finding::ok("dns", format!("{name} leads to {shown}."))
}

/// Fetches what this server says of itself as another server would, and compares it with what it should be.
pub(super) async fn discovery(site: &Site) -> Result<Vec<Finding>> {
    const CHECK: &str = "discovery";
    let body = match fetch(site, CHECK, WELL_KNOWN).await? {
        Ok(body) => body,
        Err(finding) => return Ok(vec![finding]),
    };
    let public = &site.config.server.public_url;
    let url = public.at(WELL_KNOWN);
    let parsed = serde_json::from_slice::<Value>(&body).map(|_| Discovery::parse(&body, public.provider(), true));
    let discovery = match parsed {
        Ok(Ok(discovery)) => discovery,
        Ok(Err(_)) | Err(_) => return Ok(vec![somebody_else(CHECK, &url)]),
    };
    let (own, theirs) = (public.at("/ocm"), discovery.end_point().as_str().trim_end_matches('/'));
    if theirs != own {
        return Ok(vec![Finding::bad(
            CHECK,
            format!("At {url} the endpoint is {theirs}, and it should be {own}."),
            "Another server answers there, or an old copy is kept on the way. Let the proxy in front hand this name on to \
             this server, with its Host header, and empty its cache.",
        )]);
    }
    let invite_only = site.peers.mode().await? == Mode::Invite;
    if discovery.requires(Criterion::MustInvite) != invite_only || discovery.name() != Some(&site.config.server.name) {
        return Ok(vec![Finding::warn(
            CHECK,
            format!("{url} is an old copy: it does not say what this server says of itself now."),
            "Something on the way keeps it for longer than the five minutes it asks for. Empty the cache of the proxy.",
        )]);
    }
    Ok(vec![Finding::ok(
        CHECK,
        format!("{url} is answered by this server, and as it should be."),
    )])
}

/// The same for the keys that others check our signatures with.
pub(super) async fn published_keys(site: &Site) -> Result<Vec<Finding>> {
    const CHECK: &str = "published-keys";
    let body = match fetch(site, CHECK, JWKS).await? {
        Ok(body) => body,
        Err(finding) => return Ok(vec![finding]),
    };
    let url = site.config.server.public_url.at(JWKS);
    let (Ok(theirs), Ok(own)) = (
        serde_json::from_slice::<Value>(&body),
        serde_json::from_slice::<Value>(&site.keys.jwk_set()),
    ) else {
        return Ok(vec![somebody_else(CHECK, &url)]);
    };
    if theirs == own {
        return Ok(vec![Finding::ok(
            CHECK,
            format!("{url} has the keys that this server signs with."),
        )]);
    }
    let active = site.keys.active();
    let signs = theirs["keys"]
        .as_array()
        .is_some_and(|keys| keys.iter().any(|key| key["kid"] == active.kid()));
    Ok(vec![if signs {
        Finding::warn(
            CHECK,
            format!("{url} is an old copy: some keys of this server are missing or too many."),
            "Something on the way keeps it for longer than the five minutes it asks for. Empty the cache of the proxy.",
        )
    } else {
        Finding::bad(
            CHECK,
            format!("{url} does not have the key that this server signs with: no other server believes it."),
            "Another server answers there, or an old copy is kept on the way. Let the proxy in front hand this name on to \
             this server, and empty its cache.",
        )
    }])
}

fn somebody_else(check: &'static str, url: &str) -> Finding {
    Finding::bad(
        check,
        format!("{url} is answered with something else than what this server says."),
        "Another program answers at this name, or the proxy in front does. Let it hand all paths on to this server.",
    )
}

/// What is answered at a path of ours by our public name, through the same guard as for other servers.
async fn fetch(site: &Site, check: &'static str, path: &str) -> Result<Result<Vec<u8>, Finding>> {
    let url = site.config.server.public_url.at(path);
    let answer = match site.client.document(&Url::parse(&url).map_err(Error::internal)?).await {
        Ok(answer) => answer,
        Err(error) => return Ok(Err(not_fetched(check, &url, &error))),
    };
    if answer.is_success() {
        return Ok(Ok(answer.body));
    }
    let status = answer.status;
    let because = match status {
        421 => "The proxy in front changes the Host header. Have it hand it on as it is: proxy_set_header Host $host",
        502..=504 => "The proxy in front does not reach this server. Compare its target with server.listen.",
        _ => {
            "Another program answers at this name, or the proxy in front does. Let it hand all paths on to this server."
        }
    };
    Ok(Err(Finding::bad(
        check,
        format!("{url} is answered with status {status}."),
        because,
    )))
}

fn not_fetched(check: &'static str, url: &str, error: &Error) -> Finding {
    match error.reason() {
        Reason::PrivateAddress => Finding::unknown(
            check,
            format!(
                "{url} is in a private network, which this server does not call: it can’t see itself from outside."
            ),
        ),
        Reason::NameNotFound => Finding::bad(
            check,
            format!("{url} can’t be fetched, for its name has no address."),
            "Make an A or AAAA record for it where the domain is kept.",
        ),
        Reason::TlsFailed => Finding::bad(
            check,
            format!("{url} can’t be fetched safely: {error}"),
            "Other servers refuse it, too. Mend the certificate: ocmesh tls status, or look at the proxy in front.",
        ),
        _ => Finding::warn(
            check,
            format!("{url} can’t be reached from here: {error}"),
            "Ask somebody outside to open it. Where that works, only the way back in is missing (NAT loopback), and nothing \
             need be done; where it does not, look at the firewall and at what the router hands on.",
        ),
    }
}

/// Whether the mail server would take a mail.
pub(super) async fn mail(site: &Site) -> Result<Vec<Finding>> {
    const CHECK: &str = "mail";
    if !site.mail.can_send() {
        return Ok(vec![Finding::ok(
            CHECK,
            "No mail server is set; people send invitations themselves.",
        )]);
    }
    Ok(vec![match site.mail.greet().await {
        Ok(()) => Finding::ok(CHECK, "The mail server lets this server in."),
        Err(why) => Finding::bad(
            CHECK,
            format!("No mail can be sent: {why}"),
            "Compare mail.smtp_url and mail.password_file with what the mail server wants. Invitations can be handed over by \
             hand until then.",
        ),
    }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::findings::State;

    #[test]
    fn a_clock_is_wrong_where_most_of_several_servers_say_so() {
        let check = |ahead: &[i64], state: State, said: &str| {
            let found = judge_clocks(ahead.to_vec(), 60).remove(0);
            assert!(
                found.state == state && found.sentence.contains(said),
                "{ahead:?}: {found:?}"
            );
        };
        check(&[], State::Ok, "Too few");
        check(&[9_000], State::Ok, "Too few");
        check(&[-3, 2, 9_000], State::Ok, "fits those of most servers (3");
        check(&[300, 301, 0], State::Bad, "300 s behind");
        check(&[-86_400, -86_401, -86_399], State::Bad, "86400 s ahead");
    }

    #[test]
    fn all_addresses_are_reached_at_this_machine_with_ipv6_or_without() {
        let check = |address: &str, expected: &[&str]| {
            let reached = reached_at(address.parse().unwrap());
            let reached: Vec<_> = reached.iter().map(ToString::to_string).collect();
            assert_eq!(reached, expected, "{address}");
        };
        check("[::]:443", &["[::1]:443", "127.0.0.1:443"]);
        check("0.0.0.0:80", &["127.0.0.1:80"]);
        check("192.0.2.7:80", &["192.0.2.7:80"]);
    }

    #[test]
    fn addresses_are_judged_by_who_can_reach_them() {
        let check = |ips: &[&str], state: State, said: &str| {
            let ips: Vec<_> = ips.iter().map(|ip| ip.parse().unwrap()).collect();
            let found = judge_addresses("a.example", &ips);
            assert!(
                found.state == state && found.sentence.contains(said),
                "{ips:?}: {found:?}"
            );
        };
        check(
            &["93.184.216.34", "2606:2800::1"],
            State::Ok,
            "leads to 93.184.216.34, 2606:2800::1.",
        );
        check(&["10.0.0.5"], State::Warn, "only this network");
        check(&["93.184.216.34", "fd00::1"], State::Warn, "fd00::1 of these");
    }
}
