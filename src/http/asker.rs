//! Who asks, as far as the connection tells: for counting wrong tries, and for the audit log.

use actix_web::HttpRequest;
use actix_web::http::header;

use crate::audit::By;
use crate::audit::Who;
use crate::config::TlsMode;
use crate::http::traced;
use crate::site::Site;

/// The longest name of a request that is taken from a proxy.
const LONGEST_ID: usize = 64;

/// The address to count wrong passwords by. Behind a proxy it is the last one that the proxy added: what stands before
/// it, whoever asks has written.
pub fn asker(request: &HttpRequest, site: &Site) -> String {
    let direct = || {
        request
            .peer_addr()
            .map_or_else(String::new, |address| address.ip().to_string())
    };
    if site.config.tls_mode() != TlsMode::Proxy {
        return direct();
    }
    let forwarded = request.headers().get_all(header::X_FORWARDED_FOR).last();
    forwarded
        .and_then(|value| value.to_str().ok()?.rsplit(',').next())
        .map_or_else(direct, |last| last.trim().to_owned())
}

/// Who asks before anything is proved: somebody, at an address.
pub fn stranger(request: &HttpRequest, site: &Site) -> By {
    By {
        who: Who::Stranger,
        from: asker(request, site),
        request: traced::id_of(request),
    }
}

/// What the proxy in front calls this request; without one, whoever asks could have written it.
pub(super) fn request_id(request: &HttpRequest, site: &Site) -> Option<String> {
    if site.config.tls_mode() != TlsMode::Proxy {
        return None;
    }
    let id = request.headers().get("x-request-id")?.to_str().ok()?;
    let good = id.len() <= LONGEST_ID && id.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    let good = good && !id.is_empty();
    good.then(|| id.to_owned())
}
