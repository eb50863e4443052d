//! Plain http beside TLS: it answers authorities, and leads everybody else to the address that people see.

use std::net::TcpListener;

use actix_web::App;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::dev::Server;
use actix_web::http::header;
use actix_web::middleware;
use actix_web::web;
use actix_web::web::Data;
use actix_web::web::Path;

use crate::app::current;
use crate::app::current::Current;
use crate::app::fronts::LONGEST_VISIT;
use crate::app::fronts::Wanted;
use crate::error::Result;
use crate::http::health;
use crate::site::Site;

pub fn server(current: &Current, wanted: &Wanted, sockets: Vec<TcpListener>) -> Result<Server> {
    let current = current.clone();
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(current.clone())
            .wrap(middleware::from_fn(current::present))
            .route("/livez", web::get().to(health::alive))
            .route("/.well-known/acme-challenge/{token}", web::get().to(proof))
            .default_service(web::to(redirect))
    })
    .workers(1)
    .client_request_timeout(wanted.client_timeout)
    .shutdown_timeout(LONGEST_VISIT.as_secs())
    .disable_signals();
    for socket in sockets {
        server = server.listen(socket)?;
    }
    Ok(server.run())
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
