//! Who asks, as far as the connection tells: for counting wrong tries, and for the audit log.

use actix_web::HttpRequest;
use actix_web::http::header;

use crate::audit::By;
use crate::audit::Who;
use crate::proxy::Head;
use crate::site::Site;

/// The longest name of a request that is taken from a proxy.
const LONGEST_ID: usize = 64;

/// The address to count wrong passwords by; behind a proxy the one that the proxy was asked from (see
/// [`Proxy::asker`](crate::proxy::Proxy::asker)).
pub fn asker(request: &HttpRequest, site: &Site) -> String {
    request.peer_addr().map_or_else(String::new, |peer| {
        site.proxy.asker(peer.ip(), &forwarded_for(request)).to_string()
    })
}

/// Lets the server see which way a request came, so that it can say what is wrong with the proxy. Not those that look
/// whether it lives: they are made on this machine, past the proxy.
pub fn look(request: &HttpRequest, site: &Site) {
    if !site.proxy.expected() || matches!(request.path(), "/livez" | "/readyz" | "/healthz") {
        return;
    }
    site.proxy.look(&Head {
        peer: request.peer_addr().map(|peer| peer.ip()),
        host: text(request, header::HOST.as_str()),
        forwarded_for: forwarded_for(request),
        proto: text(request, "x-forwarded-proto"),
    });
}

/// Who asks before anything is proved: somebody, at an address.
pub fn stranger(request: &HttpRequest, site: &Site) -> By {
    By {
        who: Who::Stranger,
        from: asker(request, site),
        request: request_id(request, site).unwrap_or_default(),
    }
}

/// What the proxy in front calls this request; without one, whoever asks could have written it.
pub(super) fn request_id(request: &HttpRequest, site: &Site) -> Option<String> {
    if !site.proxy.believes(request.peer_addr()?.ip()) {
        return None;
    }
    let id = text(request, "x-request-id")?;
    let good =
        (1..=LONGEST_ID).contains(&id.len()) && id.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    good.then(|| id.to_owned())
}

/// A line that is no text stands for an entry that is no address.
fn forwarded_for(request: &HttpRequest) -> Vec<&str> {
    let lines = request.headers().get_all(header::X_FORWARDED_FOR);
    lines.map(|line| line.to_str().unwrap_or_default()).collect()
}

fn text<'a>(request: &'a HttpRequest, name: &str) -> Option<&'a str> {
    request.headers().get(name)?.to_str().ok()
}
