//! Whether this server is well, for programs that look after it.

use std::net::IpAddr;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::header;
use actix_web::web::Data;
use serde_json::json;

use crate::http::asker;
use crate::site::Health;
use crate::site::Site;

/// `GET /livez`: answers as long as there is a process.
pub async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

/// `GET /readyz`: 200 when requests can be served, 503 with a word why not otherwise. There is no answer at all before
/// the keys are loaded and while nothing listens.
pub async fn ready(site: Data<Site>) -> HttpResponse {
    match site.ready() {
        Ok(()) => HttpResponse::Ok().content_type("text/plain").body("ok\n"),
        Err(error) => HttpResponse::ServiceUnavailable()
            .content_type("text/plain")
            .body(format!("{}\n", error.reason().code())),
    }
}

/// `GET /healthz`: how it is in one word; which part of it is not well, and which version this is, for those near it.
/// The status is 200 also where something is wrong: `/readyz` says whether it serves.
pub async fn summary(site: Data<Site>, request: HttpRequest) -> HttpResponse {
    let checks = site.checks().await;
    let worst = checks.iter().map(|check| check.state).max().unwrap_or(Health::Ok);
    let mut body = json!({ "status": worst });
    if is_near(&asker::asker(&request, &site)) && !is_handed_on(&request, &site) {
        body["checks"] = json!(checks);
        body["version"] = json!(env!("CARGO_PKG_VERSION"));
    }
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(body)
}

/// Whether somebody who is not believed hands it on: whoever asks may be far behind.
fn is_handed_on(request: &HttpRequest, site: &Site) -> bool {
    let says_so = [header::X_FORWARDED_FOR, header::FORWARDED];
    let handed_on = says_so.iter().any(|name| request.headers().contains_key(name));
    let believed = request.peer_addr().is_some_and(|peer| site.proxy.believes(peer.ip()));
    handed_on && !believed
}

/// Whether an address is of this machine or of a private network, where those who run a server are.
fn is_near(address: &str) -> bool {
    match address.parse::<IpAddr>().map(|ip| ip.to_canonical()) {
        Ok(IpAddr::V4(ip)) => ip.is_loopback() || ip.is_private(),
        Ok(IpAddr::V6(ip)) => ip.is_loopback() || ip.is_unique_local(),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_those_near_a_server_hear_what_ails_it() {
        let check = |address: &str, near: bool| assert_eq!(is_near(address), near, "{address}");
        check("127.0.0.1", true);
        check("::1", true);
        check("::ffff:127.0.0.1", true);
        check("10.1.2.3", true);
        check("192.168.0.9", true);
        check("172.16.0.1", true);
        check("172.32.0.1", false);
        check("fd00::1", true);
        check("203.0.113.7", false);
        check("2001:db8::7", false);
        check("::ffff:203.0.113.7", false);
        check("somebody", false);
        check("", false);
    }
}
