//! Plain http beside TLS: it answers authorities, and leads everybody else to the address that people see.

use std::net::SocketAddr;
use std::net::TcpListener;

use actix_web::App;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::dev::Server;
use actix_web::http::header;
use actix_web::web;
use actix_web::web::Data;
use actix_web::web::Path;

use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::site::Site;

/// Listens on `server.listen_http`, where this server itself speaks TLS and that is said.
///
/// # Errors
///
/// [`Reason::ConfigInvalid`] naming the address that can't be listened on.
pub fn listen(site: &Site) -> Result<Option<Server>> {
    let addresses = &site.config.server.listen_http.0;
    if addresses.is_empty() || !site.config.tls_mode().is_here() {
        return Ok(None);
    }
    let data = Data::new(site.clone());
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .route("/livez", web::get().to(alive))
            .route("/.well-known/acme-challenge/{token}", web::get().to(proof))
            .default_service(web::to(redirect))
    })
    .workers(1)
    .client_request_timeout(site.config.limits.client_timeout.0)
    .shutdown_timeout(site.config.server.shutdown_grace.0.as_secs())
    .disable_signals();
    for address in addresses {
        server = server.listen(bind(address)?)?;
    }
    Ok(Some(server.run()))
}

fn bind(address: &SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|cause| {
        let hint = match cause.kind() {
            std::io::ErrorKind::AddrInUse => "; another program listens there",
            std::io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
            _ => "",
        };
        Error::new(
            Reason::ConfigInvalid,
            format!("server.listen_http: {address}: {cause}{hint}"),
        )
    })
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain").body("ok\n")
}

async fn proof(site: Data<Site>, token: Path<String>) -> HttpResponse {
    match site.certificates.http_answer(&token) {
        Some(answer) => HttpResponse::Ok()
            .content_type("application/octet-stream")
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .body(answer),
        None => HttpResponse::NotFound()
            .content_type("text/plain")
            .body("Nothing is shown here.\n"),
    }
}

/// Whatever host was asked for, the answer leads to ours: this must be no way to send people elsewhere.
async fn redirect(site: Data<Site>, request: HttpRequest) -> HttpResponse {
    let asked = request.uri().path_and_query().map_or("/", |asked| asked.as_str());
    let asked = if asked.starts_with('/') { asked } else { "/" };
    HttpResponse::PermanentRedirect()
        .insert_header((header::LOCATION, site.config.server.public_url.at(asked)))
        .finish()
}
