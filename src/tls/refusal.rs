//! What an authority said, in words for an admin: what happened, why, and who does what next.

use std::fmt;

use rustls_acme::acme::AcmeError;
use rustls_acme::acme::Auth;
use rustls_acme::acme::Problem;
use serde::Deserialize;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::tls::acme::Way;

/// How much of an answer is kept for the page.
const LONGEST_RAW: usize = 2_000;

/// Why an order came to nothing.
#[derive(Debug)]
pub struct Failure {
    kind: Kind,
    /// Which name it is about, where that is known.
    name: Option<String>,
    raw: String,
}

#[derive(Debug)]
enum Kind {
    /// A problem document (RFC 8555, section 6.7): the last word of its type, and its sentence.
    Said {
        status: u16,
        problem: String,
        detail: String,
    },
    Unreachable,
    /// Its own certificate is from nobody we know.
    Untrusted,
    /// It offers no such way to show that a name leads here.
    WayUnknown,
    /// It answered with something that is no ACME.
    Odd,
    /// Our own disk or crypto.
    Ours,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    r#type: String,
    detail: String,
}

impl Failure {
    /// Whether the port is what was wrong, so that a proof on another one may work.
    pub fn blames_the_way(&self) -> bool {
        match &self.kind {
            Kind::WayUnknown => true,
            Kind::Said { problem, .. } => {
                ["connection", "unauthorized", "incorrectResponse", "tls"].contains(&problem.as_str())
            }
            _ => false,
        }
    }

    fn new(kind: Kind, raw: impl fmt::Display) -> Self {
        let raw: String = raw.to_string().chars().take(LONGEST_RAW).collect();
        Self { kind, name: None, raw }
    }

    pub fn silent(why: &str) -> Self {
        Self::new(Kind::Unreachable, why)
    }

    pub fn ours(cause: impl fmt::Display) -> Self {
        Self::new(Kind::Ours, cause)
    }

    /// Of a name that was not found to lead here.
    pub fn of_proof(asked: Auth, name: &str) -> Self {
        let problem = asked.challenges.into_iter().find_map(|challenge| challenge.error);
        Self::of_problem(problem, name)
    }

    pub fn of_problem(problem: Option<Problem>, name: &str) -> Self {
        let kind = problem
            .as_ref()
            .and_then(|problem| problem.typ.clone())
            .unwrap_or_default();
        let detail = problem.and_then(|problem| problem.detail).unwrap_or_default();
        let raw = format!("{kind}: {detail}");
        Self {
            name: Some(name.to_owned()),
            ..Self::new(said(0, &kind, detail), raw)
        }
    }

    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// Whether it is a problem of one of these types.
    pub fn is_of(&self, types: &[&str]) -> bool {
        matches!(&self.kind, Kind::Said { problem, .. } if types.contains(&problem.as_str()))
    }

    /// Whether the account is none any more: never known, or put an end to. A refusal that may pass is none of these.
    pub fn account_is_gone(&self) -> bool {
        let Kind::Said { problem, detail, .. } = &self.kind else {
            return false;
        };
        let detail = detail.to_ascii_lowercase();
        let ended = ["deactivated", "revoked"].iter().any(|word| detail.contains(word));
        problem == "accountDoesNotExist" || problem == "unauthorized" && detail.contains("account") && ended
    }

    /// Before when it makes no sense to try again, where the authority said so: `retry after 2026-11-22 04:12:00 UTC`.
    pub fn not_before(&self) -> Option<Timestamp> {
        let Kind::Said { detail, .. } = &self.kind else {
            return None;
        };
        let (_, rest) = detail.split_once("retry after ")?;
        let moment: String = rest.chars().take("2026-11-22 04:12:00".len()).collect();
        Timestamp::parse(&format!("{}Z", moment.trim_end_matches('Z').replacen(' ', "T", 1)))
    }

    /// The sentence for an admin.
    pub fn explain(&self, authority: &str, names: &[String], way: Way) -> Error {
        let all = names.join(", ");
        let name = self.name.as_deref().unwrap_or(&all);
        let said = |reason, sentence: String| Error::new(reason, sentence);
        match &self.kind {
            Kind::Said { status, problem, .. } => problem_said(*status, problem, authority, name, way),
            Kind::Unreachable => said(
                Reason::TlsAuthority,
                format!(
                    "{authority} can’t be reached. It may be down, or this machine’s way to the network is. It is \
                     tried again by itself."
                ),
            ),
            Kind::Untrusted => said(
                Reason::TlsAuthority,
                format!(
                    "{authority} was not believed: its own certificate is from nobody known here. If it is an \
                     authority of your own, name its CA in tls.extra_ca_file."
                ),
            ),
            Kind::WayUnknown => said(
                Reason::TlsRefused,
                format!(
                    "{authority} does not look on port {} whether a name leads here. Another way may do: say \
                     server.listen_http for port 80, or listen on port 443.",
                    way.port()
                ),
            ),
            Kind::Odd => said(
                Reason::TlsAuthority,
                format!(
                    "{authority} answered with something that no ACME authority says. Its address may be wrong, or a \
                     proxy answers in its place. Check tls.acme_directory."
                ),
            ),
            Kind::Ours => said(
                Reason::Internal,
                "The order could not be made or kept here. The log says why; a full disk is the usual cause."
                    .to_owned(),
            ),
        }
    }
}

fn said(status: u16, kind: &str, detail: String) -> Kind {
    let problem = kind.rsplit(':').next().unwrap_or_default();
    // Some authorities call it unauthorized where nobody answered them at all.
    let problem = match detail.to_ascii_lowercase().contains("failed to connect") {
        true if problem == "unauthorized" => "connection",
        _ => problem,
    };
    Kind::Said {
        status,
        problem: problem.to_owned(),
        detail,
    }
}

fn problem_said(status: u16, problem: &str, authority: &str, name: &str, way: Way) -> Error {
    let port = way.port();
    let (reason, sentence) = match problem {
        "connection" => (
            match way {
                Way::Http01 => Reason::TlsPort80,
                Way::TlsAlpn01 => Reason::TlsPort443,
            },
            format!(
                "{authority} could not open port {port} of {name}. Usually a firewall is in between, a router does not \
                 forward the port, or an AAAA record leads elsewhere. Open port {port} to everybody; it is tried again \
                 by itself."
            ),
        ),
        "dns" => (
            Reason::TlsDns,
            format!(
                "{authority} found no address for {name}. The name is not in the DNS yet, or its DNS server does not \
                 answer. Add an A or AAAA record for it; it is tried again by itself."
            ),
        ),
        "caa" => (
            Reason::TlsCaa,
            format!(
                "{authority} may not certify {name}. A CAA record in the DNS names other authorities. Add this one to \
                 the record, or order from one that stands there (tls.acme_directory)."
            ),
        ),
        "rateLimited" => (
            Reason::TlsRateLimit,
            format!(
                "{authority} takes no more orders for {name} for a while. Too many were made lately. Nothing has to be \
                 done: it is tried again by itself."
            ),
        ),
        "unauthorized" | "incorrectResponse" | "tls" => (
            Reason::TlsOtherServer,
            format!(
                "{authority} did not find this server on port {port} of {name}. The address of the name leads to \
                 another machine, or a proxy answers first. Let the port lead here, or say tls.mode = \"proxy\" if the \
                 proxy is yours."
            ),
        ),
        "rejectedIdentifier" | "unsupportedIdentifier" => (
            Reason::TlsRefused,
            format!(
                "{authority} makes out no certificates for {name}. It may be a name inside a private network, or one \
                 that is not allowed. Use a public name, or tls.mode = \"self-signed\" in a lab."
            ),
        ),
        "externalAccountRequired" => (
            Reason::TlsRefused,
            format!(
                "{authority} wants an account that was agreed on beforehand, which this server can’t have. Order \
                 elsewhere (tls.acme_directory), or let another program fetch the files (tls.mode = \"files\")."
            ),
        ),
        "invalidContact" | "unsupportedContact" => (
            Reason::TlsRefused,
            format!("{authority} does not take the mail address in tls.acme_email. Correct it, or leave it out."),
        ),
        "userActionRequired" => (
            Reason::TlsRefused,
            format!(
                "{authority} has new terms of service. Somebody has to agree to them: its answer, on the page “Certificate” and by ocmesh tls status, says where."
            ),
        ),
        "serverInternal" => (
            Reason::TlsAuthority,
            format!("{authority} has trouble of its own. It is tried again by itself."),
        ),
        _ if status >= 500 => (
            Reason::TlsAuthority,
            format!("{authority} has trouble of its own. It is tried again by itself."),
        ),
        _ if status == 429 => (
            Reason::TlsRateLimit,
            format!(
                "{authority} takes no more orders for {name} for a while. Too many were made lately. Nothing has to be \
                 done: it is tried again by itself."
            ),
        ),
        _ => (
            Reason::TlsRefused,
            format!(
                "{authority} refused the order for {name}. Its answer, on the page “Certificate” and by ocmesh tls status, says why; it is tried again by itself."
            ),
        ),
    };
    Error::new(reason, sentence)
}

impl From<AcmeError> for Failure {
    fn from(error: AcmeError) -> Self {
        let text = error.to_string();
        let kind = match &error {
            AcmeError::HttpRequest(_) | AcmeError::Io(_) => match answered(&text) {
                Some((status, body)) => {
                    let document: Document = serde_json::from_str(&body).unwrap_or_default();
                    return Self::new(said(status, &document.r#type, document.detail), body);
                }
                None if ["certificate", "UnknownIssuer"].iter().any(|word| text.contains(word)) => Kind::Untrusted,
                None => Kind::Unreachable,
            },
            AcmeError::NoTlsAlpn01Challenge | AcmeError::NoHttp01Challenge => Kind::WayUnknown,
            AcmeError::Json(_) | AcmeError::MissingHeader(_) | AcmeError::HttpResponseNonStringHeader(_) => Kind::Odd,
            AcmeError::Rcgen(_) | AcmeError::Jose(_) | AcmeError::KeyRejected(_) | AcmeError::Crypto(_) => Kind::Ours,
        };
        Self::new(kind, text)
    }
}

/// Status and body of an answer that was none of success. The library hides its type; its text has both, the body as
/// Rust writes a text down.
fn answered(text: &str) -> Option<(u16, String)> {
    let (_, rest) = text.split_once("non 2xx http status: ")?;
    let (status, body) = rest.split_once(' ')?;
    let body = body.strip_prefix('"')?.strip_suffix('"')?;
    let mut plain = String::with_capacity(body.len());
    let mut letters = body.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            plain.push(letter);
            continue;
        }
        match letters.next()? {
            'n' => plain.push('\n'),
            'r' => plain.push('\r'),
            't' => plain.push('\t'),
            '0' => plain.push('\0'),
            'u' => {
                let code: String = letters.by_ref().skip(1).take_while(|c| *c != '}').collect();
                plain.push(char::from_u32(u32::from_str_radix(&code, 16).ok()?)?);
            }
            other => plain.push(other),
        }
    }
    Some((status.parse().ok()?, plain))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(kind: &str, detail: &str) -> Failure {
        let problem = Problem {
            typ: Some(format!("urn:ietf:params:acme:error:{kind}")),
            detail: Some(detail.to_owned()),
        };
        Failure::of_problem(Some(problem), "cloud.example.org")
    }

    #[test]
    fn t84_what_an_authority_says_becomes_a_sentence_with_cause_and_remedy() {
        let names = ["cloud.example.org".to_owned()];
        let check = |kind: &str, way: Way, code: &str, words: &[&str]| {
            let failure = problem(kind, "what it said");
            let error = failure.explain("Let’s Encrypt", &names, way);
            assert_eq!(error.reason().code(), code, "{kind}");
            for word in words {
                assert!(error.message().contains(word), "{error}");
            }
            assert!(failure.raw().contains("what it said"));
        };
        let (alpn, http) = (Way::TlsAlpn01, Way::Http01);
        check(
            "connection",
            http,
            "tls-port-80",
            &["port 80", "cloud.example.org", "firewall"],
        );
        check("connection", alpn, "tls-port-443", &["port 443", "router"]);
        check("dns", alpn, "tls-dns", &["A or AAAA"]);
        check("caa", alpn, "tls-caa", &["CAA record", "tls.acme_directory"]);
        check("rateLimited", alpn, "tls-rate-limit", &["Nothing has to be done"]);
        check("unauthorized", http, "tls-other-server", &["port 80", "proxy"]);
        check("tls", alpn, "tls-other-server", &["port 443"]);
        check("rejectedIdentifier", alpn, "tls-refused", &["self-signed"]);
        check(
            "externalAccountRequired",
            alpn,
            "tls-refused",
            &["tls.mode = \"files\""],
        );
        check("invalidContact", alpn, "tls-refused", &["tls.acme_email"]);
        check("userActionRequired", alpn, "tls-refused", &["terms"]);
        check("serverInternal", alpn, "tls-authority", &["of its own"]);
        check("neverHeardOf", alpn, "tls-refused", &["Its answer"]);
    }

    #[test]
    fn t84_an_account_is_given_up_only_where_it_is_gone() {
        let check = |kind: &str, detail: &str, expected: bool| {
            assert_eq!(problem(kind, detail).account_is_gone(), expected, "{kind} {detail}");
        };
        check("accountDoesNotExist", "no such account", true);
        check("unauthorized", "Account has been deactivated", true);
        check("unauthorized", "An account must be agreed on", false);
        check("rateLimited", "account revoked", false);
    }

    #[test]
    fn t84_a_port_that_nobody_opens_is_no_other_server() {
        let check = |detail: &str, expected: &str| {
            let error = problem("unauthorized", detail).explain("acme.example", &[], Way::TlsAlpn01);
            assert_eq!(error.reason().code(), expected, "{detail}");
        };
        check(
            "Failed to connect to 127.0.0.99:443 for the tls-alpn-01 challenge",
            "tls-port-443",
        );
        check(
            "The key authorization file from the server did not match",
            "tls-other-server",
        );
    }

    #[test]
    fn t84_an_authority_that_is_down_or_not_believed_or_none_is_told_from_one_that_refuses() {
        let names = ["a.example".to_owned()];
        let check = |failure: Failure, code: &str, word: &str| {
            let error = failure.explain("acme.example", &names, Way::TlsAlpn01);
            assert_eq!(error.reason().code(), code, "{error}");
            assert!(error.message().contains(word), "{error}");
        };
        let io = |text: &str| Failure::from(AcmeError::Io(std::io::Error::other(text.to_owned())));
        check(io("connection refused"), "tls-authority", "can’t be reached");
        check(
            io("invalid peer certificate: UnknownIssuer"),
            "tls-authority",
            "tls.extra_ca_file",
        );
        check(
            Failure::from(AcmeError::MissingHeader("replay-nonce")),
            "tls-authority",
            "tls.acme_directory",
        );
        check(
            Failure::from(AcmeError::NoTlsAlpn01Challenge),
            "tls-refused",
            "server.listen_http",
        );
        check(Failure::ours("no space left"), "internal", "full disk");
        check(io("non 2xx http status: 503 \"<html>\""), "tls-authority", "of its own");
        check(io("non 2xx http status: 429 \"\""), "tls-rate-limit", "for a while");
    }

    #[test]
    fn an_answer_is_read_out_of_the_text_that_hides_it() {
        let body = "{\n  \"type\": \"urn:ietf:params:acme:error:rateLimited\",\n\t\"detail\": \"it’s \\\"too\\\" many: retry \
                    after 2026-11-22 04:12:00 UTC\u{7}\"}";
        let text = format!("http request error: non 2xx http status: 429 {body:?}");
        assert_eq!(answered(&text), Some((429, body.to_owned())));
        assert_eq!(answered("http request error: io error"), None);
        assert_eq!(answered("non 2xx http status: 400 \"\\"), None);
        let failure = problem(
            "rateLimited",
            "too many: retry after 2026-11-22 04:12:00 UTC: see https://x",
        );
        assert_eq!(failure.not_before(), Timestamp::parse("2026-11-22T04:12:00Z"));
        let failure = problem("rateLimited", "retry after 2026-11-22T04:12:00Z: see");
        assert_eq!(failure.not_before(), Timestamp::parse("2026-11-22T04:12:00Z"));
        assert_eq!(problem("rateLimited", "retry after lunch").not_before(), None);
    }
}
