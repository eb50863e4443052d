//! Which addresses this server may call: decided on the address itself, after the name was resolved.

use std::net::IpAddr;
use std::net::Ipv4Addr;
use std::net::Ipv6Addr;

use crate::config::PrivateNetwork;

/// Whether a call goes out encrypted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scheme {
    Https,
    Http,
}

/// The rule for outbound connections (T-01 to T-07): public addresses over https, and whatever the operator listed.
#[derive(Clone, Debug, Default)]
pub struct Guard {
    private: Vec<PrivateNetwork>,
}

impl Guard {
    pub fn new(private: &[PrivateNetwork]) -> Self {
        Self {
            private: private.to_vec(),
        }
    }

    /// Whether a connection to this address may be opened.
    pub fn permits(&self, scheme: Scheme, ip: IpAddr, port: u16) -> bool {
        let ip = embedded(ip);
        let listed =
            |network: &PrivateNetwork| network.covers(ip, port) && (scheme == Scheme::Https || network.plain_http);
        // The well-known ports below 1024 belong to services that are not OCM: calling them could only do harm.
        let public = scheme == Scheme::Https && !is_special(ip) && (port == 443 || port >= 1024);
        public || self.private.iter().any(listed)
    }

    /// Whether a literal address may stand where a name should: only inside a listed network.
    pub fn permits_literal(&self, scheme: Scheme, ip: IpAddr, port: u16) -> bool {
        is_special(embedded(ip)) && self.permits(scheme, ip, port)
    }

    /// Whether any listed network speaks plain http at all, so that trying it makes sense.
    pub fn speaks_plain_http(&self) -> bool {
        self.private.iter().any(|network| network.plain_http)
    }
}

/// The IPv4 address inside an IPv6 one that only wraps it: mapped, NAT64 and 6to4 would reach it.
fn embedded(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let s = v6.segments();
    let v4 = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        IpAddr::V4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0xffff, high, low] => v4(high, low),
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => v4(high, low),
        [0x2002, high, low, ..] => v4(high, low),
        _ => ip,
    }
}

/// Whether the address is not one of the public Internet (IANA special-purpose registries, multicast and reserved).
pub fn is_special(ip: IpAddr) -> bool {
    match embedded(ip) {
        IpAddr::V4(v4) => is_special_v4(v4),
        IpAddr::V6(v6) => is_special_v6(v6),
    }
}

fn is_special_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    matches!(
        (a, b, c),
        (0 | 10 | 127, _, _)
            | (100, 64..=127, _)
            | (169, 254, _)
            | (172, 16..=31, _)
            | (192, 0, 0 | 2)
            | (192, 31, 196)
            | (192, 52, 193)
            | (192, 88, 99)
            | (192, 168, _)
            | (192, 175, 48)
            | (198, 18 | 19, _)
            | (198, 51, 100)
            | (203, 0, 113)
            | (224..=255, _, _)
    )
}

fn is_special_v6(ip: Ipv6Addr) -> bool {
    let s = ip.segments();
    // Only 2000::/3 is given out for the public Internet; inside it, the special blocks.
    let outside = s[0] & 0xe000 != 0x2000;
    outside
        || (s[0] == 0x2001 && s[1] < 0x0200)
        || (s[0] == 0x2001 && s[1] == 0x0db8)
        || (s[0] == 0x3fff && s[1] < 0x1000)
        || (s[0] == 0x2620 && s[1] == 0x004f && s[2] == 0x8000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lab(cidr: &str, ports: &[u16], plain_http: bool) -> Guard {
        Guard::new(&[PrivateNetwork {
            cidr: cidr.parse().unwrap(),
            ports: ports.to_vec(),
            plain_http,
        }])
    }

    #[test]
    fn t01_t06_no_special_address_is_called_however_it_is_wrapped() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "10.0.0.5",
            "100.64.0.1",
            "100.127.255.255",
            "127.0.0.1",
            "127.255.0.9",
            "169.254.169.254",
            "172.16.0.1",
            "172.31.255.255",
            "192.0.0.8",
            "192.0.2.1",
            "192.88.99.1",
            "192.168.1.1",
            "198.18.0.1",
            "198.19.255.255",
            "198.51.100.7",
            "203.0.113.7",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b::a00:1",
            "64:ff9b:1::1",
            "100::1",
            "2001::1",
            "2001:0:53aa:64c::1",
            "2001:10::1",
            "2001:20::1",
            "2001:db8::1",
            "2002:7f00:1::1",
            "2002:a00:1::",
            "2002:c0a8:101::1",
            "3fff::1",
            "5f00::1",
            "fc00::1",
            "fd12:3456::1",
            "fe80::1",
            "fec0::1",
            "ff02::1",
            "::127.0.0.1",
            "4000::1",
        ] {
            let ip: IpAddr = text.parse().unwrap();
            assert!(is_special(ip), "{text}");
            assert!(!Guard::default().permits(Scheme::Https, ip, 443), "{text}");
        }
        for text in [
            "1.1.1.1",
            "100.128.0.1",
            "172.32.0.1",
            "192.0.1.1",
            "2606:4700::1111",
            "2a00::1",
            "::ffff:8.8.8.8",
        ] {
            assert!(!is_special(text.parse().unwrap()), "{text}");
        }
    }

    #[test]
    fn a_listed_network_is_called_on_its_ports_and_over_http_only_where_that_is_said() {
        let ip: IpAddr = "10.20.1.1".parse().unwrap();
        assert!(lab("10.20.0.0/16", &[], false).permits(Scheme::Https, ip, 8443));
        assert!(!lab("10.20.0.0/16", &[443], false).permits(Scheme::Https, ip, 8443));
        assert!(!lab("10.20.0.0/16", &[], false).permits(Scheme::Http, ip, 80));
        assert!(lab("10.20.0.0/16", &[], true).permits(Scheme::Http, ip, 80));
        assert!(!lab("10.21.0.0/16", &[], true).permits(Scheme::Https, ip, 443));
        assert!(lab("10.20.0.0/16", &[], true).permits(Scheme::Https, "::ffff:10.20.1.1".parse().unwrap(), 443));
        // Listing a lab opens nothing else, and public addresses stay https only.
        assert!(!lab("10.20.0.0/16", &[], true).permits(Scheme::Http, "1.1.1.1".parse().unwrap(), 80));
    }

    #[test]
    fn t07_public_addresses_are_called_on_443_and_high_ports_only() {
        let ip: IpAddr = "1.1.1.1".parse().unwrap();
        for (port, permitted) in [
            (443, true),
            (8443, true),
            (22, false),
            (25, false),
            (80, false),
            (1023, false),
        ] {
            assert_eq!(Guard::default().permits(Scheme::Https, ip, port), permitted, "{port}");
        }
    }

    #[test]
    fn t06_a_literal_address_is_taken_only_inside_a_listed_network() {
        assert!(!Guard::default().permits_literal(Scheme::Https, "1.1.1.1".parse().unwrap(), 443));
        assert!(lab("127.0.0.0/8", &[], true).permits_literal(Scheme::Http, "127.0.0.1".parse().unwrap(), 8080));
        assert!(!lab("127.0.0.0/8", &[], true).permits_literal(Scheme::Https, "1.1.1.1".parse().unwrap(), 443));
    }
}
