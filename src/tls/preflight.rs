//! A look at what an order needs, by means of our own: it costs no attempt at the authority.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::IpAddr;
use std::net::SocketAddr;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use rustls::ClientConfig;
use rustls::ClientConnection;
use rustls::DigitallySignedStruct;
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::client::danger::ServerCertVerified;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::ServerName;
use rustls::pki_types::UnixTime;
use serde::Serialize;

use crate::client::Lookup;
use crate::client::guard;
use crate::clock::Timestamp;
use crate::clock::WRITTEN;
use crate::config::TlsMode;
use crate::random;
use crate::tls::acme::Way;
use crate::tls::pair::Certificate;
use crate::tls::resolver::PROOF;
use crate::tls::resolver::Resolver;
use crate::tls::selfsigned;

/// How long each look may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// More addresses of one name are not tried.
const MAX_ADDRESSES: usize = 4;
const MAX_ANSWER: u64 = 4 << 10;

/// How far behind the authority’s clock ours may be.
const SLACK: Duration = Duration::from_secs(3_600);

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Look {
    /// One word, for programs.
    pub check: &'static str,
    pub found: Found,
    pub sentence: String,
    /// What to do about it, where something is to be done.
    pub remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Found {
    Ok,
    /// It may be well all the same, seen from elsewhere.
    Unsure,
    /// An order would fail.
    Bad,
}

impl Look {
    pub fn ok(check: &'static str, sentence: impl Into<String>) -> Self {
        Self {
            check,
            found: Found::Ok,
            sentence: sentence.into(),
            remedy: None,
        }
    }

    pub fn unsure(check: &'static str, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            found: Found::Unsure,
            remedy: Some(remedy.into()),
            ..Self::ok(check, sentence)
        }
    }

    pub fn bad(check: &'static str, sentence: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            found: Found::Bad,
            ..Self::unsure(check, sentence, remedy)
        }
    }
}

/// Where to knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    pub http: u16,
    pub https: u16,
}

/// Who is looked at.
pub struct Subject<'a> {
    pub mode: TlsMode,
    /// How the authority will look, where one does.
    pub way: Way,
    pub names: &'a [String],
    pub ports: Ports,
    /// Whether whoever looks for us does so from the Internet.
    pub public: bool,
}

/// Whether a clock can be right, as far as can be told from here.
pub fn clock(now: Timestamp, certificate: Option<&Certificate>) -> Look {
    let remedy = "Set the clock of this machine, and switch on a time service (NTP).";
    if now < WRITTEN {
        return Look::bad(
            "clock",
            format!("The clock of this machine says {now}, which is long past."),
            remedy,
        );
    }
    match certificate {
        Some(certificate) if now.plus(SLACK) < certificate.not_before => Look::bad(
            "clock",
            format!(
                "The clock of this machine says {now}, but its certificate is of {}.",
                certificate.not_before
            ),
            remedy,
        ),
        _ => Look::ok("clock", "The clock is plausible."),
    }
}

/// Looks whether each name leads to this server, all at once.
pub async fn names(subject: &Subject<'_>, lookup: &Lookup, resolver: Option<&Arc<Resolver>>) -> Vec<Look> {
    let each = subject
        .names
        .iter()
        // One with a star is that of many, and leads nowhere itself.
        .filter(|name| !name.contains('*'))
        .map(|name| one_name(subject, name, lookup, resolver));
    join_all(each).await.into_iter().flatten().collect()
}

async fn one_name(subject: &Subject<'_>, name: &str, lookup: &Lookup, resolver: Option<&Arc<Resolver>>) -> Vec<Look> {
    let found = match name.parse::<IpAddr>() {
        Ok(ip) => Ok(Ok(vec![ip])),
        Err(_) => tokio::time::timeout(PATIENCE, lookup(name.to_owned())).await,
    };
    let addresses = match found {
        Ok(Ok(addresses)) if !addresses.is_empty() => addresses,
        Ok(_) => {
            return vec![Look::bad(
                "dns",
                format!("There is no address for {name}."),
                format!(
                    "Add an A or AAAA record for {name} with whoever keeps your DNS. A new record may take an hour."
                ),
            )];
        }
        Err(_) => {
            return vec![Look::bad(
                "dns",
                format!("The DNS did not say within 5 s what address {name} has."),
                "Check the name servers of this machine (/etc/resolv.conf).",
            )];
        }
    };
    let listed = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let mut looks = Vec::new();
    let hidden = addresses.iter().find(|ip| subject.public && guard::is_special(**ip));
    looks.push(match hidden {
        Some(ip) => Look::unsure(
            "dns",
            format!("{name} leads to {ip}, which is not reached from the Internet."),
            "Give the name the public address of this server, or say tls.mode = \"self-signed\" in a lab.",
        ),
        None => Look::ok("dns", format!("{name} leads to {listed}.")),
    });
    let doors = addresses
        .into_iter()
        .take(MAX_ADDRESSES)
        .map(|ip| one_door(subject, name, ip, resolver));
    looks.extend(join_all(doors).await);
    looks
}

/// Knocks at one address as the authority will, or as a browser would.
async fn one_door(subject: &Subject<'_>, name: &str, ip: IpAddr, resolver: Option<&Arc<Resolver>>) -> Look {
    let knock = match (subject.mode, resolver) {
        (TlsMode::Acme, Some(resolver)) => proof(subject, name, ip, resolver).await,
        (_, Some(resolver)) => {
            let own = resolver.current().map(|pair| pair.shown.cert[0].to_vec());
            let shown = certificate_at(SocketAddr::new(ip, subject.ports.https), name, false).await;
            (subject.ports.https, shown.map(|shown| Some(shown) == own))
        }
        (TlsMode::Off, None) => {
            let door = SocketAddr::new(ip, subject.ports.http);
            (subject.ports.http, plain(move || reach(door)).await.map(|()| true))
        }
        (_, None) => return proxy_at(name, SocketAddr::new(ip, subject.ports.https)).await,
    };
    match knock {
        (port, Ok(true)) => Look::ok("port", format!("{name} is this server, by {ip} on port {port}.")),
        (port, Ok(false)) => Look::unsure(
            "port",
            format!("Somebody else answers for {name} at {ip} on port {port}."),
            format!(
                "Let port {port} of {ip} lead to this server, or say tls.mode = \"proxy\" if a proxy of yours answers \
                 there. From inside a network, the router itself may answer (no NAT loopback): then this says nothing."
            ),
        ),
        (port, Err(cause)) => Look::unsure(
            "port",
            format!("Port {port} of {ip} could not be opened from here ({}).", said(&cause)),
            format!(
                "Open port {port} in the firewall, and forward it in the router. Routers without NAT loopback refuse \
                 this from inside although it works from outside: try it from a phone without Wi-Fi."
            ),
        ),
    }
}

/// Shows what an authority would ask for, and asks for it.
async fn proof(subject: &Subject<'_>, name: &str, ip: IpAddr, resolver: &Resolver) -> (u16, io::Result<bool>) {
    match subject.way {
        Way::TlsAlpn01 => {
            let door = SocketAddr::new(ip, subject.ports.https);
            let Ok(mark) = selfsigned::stand_in(&[name.to_owned()]) else {
                return (door.port(), Err(io::Error::other("no certificate can be made")));
            };
            let expected = mark.cert[0].to_vec();
            let Some(_showing) = resolver.proofs().show_if_free(name, (*mark).clone()) else {
                return (door.port(), Err(io::ErrorKind::ResourceBusy.into()));
            };
            let shown = certificate_at(door, name, true).await;
            (door.port(), shown.map(|shown| shown == expected))
        }
        Way::Http01 => {
            let door = SocketAddr::new(ip, subject.ports.http);
            let (token, answer) = (random::token(32), random::token(32));
            let expected = answer.expose().to_owned();
            let _showing = resolver.proofs().show_answer(token.expose(), expected.clone());
            let (name, token) = (name.to_owned(), token.expose().to_owned());
            let got = plain(move || answer_at(door, &name, &token)).await;
            (door.port(), got.map(|text| text.ends_with(&expected)))
        }
    }
}

/// What stands in front of this server shows a certificate of its own.
async fn proxy_at(name: &str, door: SocketAddr) -> Look {
    let shown = certificate_at(door, name, false).await;
    match shown.map(|der| Certificate::read(&der)) {
        Ok(Ok(certificate)) if certificate.is_for(name) => Look::ok(
            "port",
            format!(
                "At {door} a certificate for {name} is shown; it ends on {}.",
                certificate.not_after
            ),
        ),
        Ok(_) => Look::bad(
            "port",
            format!("At {door} no certificate for {name} is shown."),
            "Have the proxy get one for this name.",
        ),
        Err(cause) => Look::unsure(
            "port",
            format!("Nothing speaks TLS at {door}, seen from here ({}).", said(&cause)),
            "Start the proxy, and open its port. Routers without NAT loopback refuse this from inside.",
        ),
    }
}

fn said(cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => "no answer within 5 s",
        io::ErrorKind::ConnectionRefused => "refused",
        io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof => "broken off",
        io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable => "no way there",
        io::ErrorKind::ResourceBusy => "an order is under way, whose proof is shown there",
        _ => "it speaks no TLS, or another one",
    }
}

/// Does something that waits, apart from all else, and not for long.
async fn plain<T: Send + 'static>(wait: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::time::timeout(PATIENCE + Duration::from_secs(1), tokio::task::spawn_blocking(wait))
        .await
        .map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        .map_err(io::Error::other)?
}

fn reach(door: SocketAddr) -> io::Result<()> {
    open(door).map(drop)
}

fn open(door: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&door, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// The answer to a plain request for a token, as text.
fn answer_at(door: SocketAddr, name: &str, token: &str) -> io::Result<String> {
    let mut stream = open(door)?;
    write!(
        stream,
        "GET /.well-known/acme-challenge/{token} HTTP/1.1\r\nHost: {name}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).trim_end().to_owned())
}

/// The certificate that is shown for a name at an address.
async fn certificate_at(door: SocketAddr, name: &str, proof: bool) -> io::Result<Vec<u8>> {
    let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
    plain(move || {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(io::Error::other)?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(LookOnly(provider)))
            .with_no_client_auth();
        if proof {
            config.alpn_protocols = vec![PROOF.to_vec()];
        }
        let mut talk = ClientConnection::new(Arc::new(config), name).map_err(io::Error::other)?;
        let mut stream = open(door)?;
        while talk.is_handshaking() {
            talk.complete_io(&mut stream)?;
        }
        talk.peer_certificates()
            .and_then(|chain| chain.first())
            .map(|first| first.to_vec())
            .ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    })
    .await
}

/// Takes any certificate: it is only looked at, and nothing is ever sent over such a connection.
#[derive(Debug)]
struct LookOnly(Arc<CryptoProvider>);

impl ServerCertVerifier for LookOnly {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t83_a_clock_that_can_not_be_right_is_told_apart() {
        let certificate = Certificate {
            names: Vec::new(),
            issuer: String::new(),
            not_before: WRITTEN.plus(Duration::from_secs(86_400)),
            not_after: WRITTEN.plus(Duration::from_secs(90 * 86_400)),
        };
        let check = |now: Timestamp, certificate: Option<&Certificate>, expected: Found| {
            assert_eq!(clock(now, certificate).found, expected, "{now}");
        };
        check(Timestamp(0), None, Found::Bad);
        check(WRITTEN, None, Found::Ok);
        check(WRITTEN, Some(&certificate), Found::Bad);
        check(certificate.not_before, Some(&certificate), Found::Ok);
        // Clocks differ a little.
        check(certificate.not_before.minus(SLACK), Some(&certificate), Found::Ok);
        // Past its end, a certificate says nothing about the clock.
        check(Timestamp(4_000_000_000), Some(&certificate), Found::Ok);
    }
}
