//! Where Prometheus reads the numbers of this server: a listener of its own, so that they never stand on the public one.

use std::net::TcpListener;
use std::time::Duration;

use actix_web::App;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::dev::Server;
use actix_web::http::header;
use actix_web::middleware;
use actix_web::web;
use actix_web::web::Data;

use crate::app::current;
use crate::app::current::Current;
use crate::error::Result;
use crate::metrics::CONTENT_TYPE;
use crate::secret::Secret;
use crate::site::Site;

const GRACE: Duration = Duration::from_secs(1);
pub const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Whoever reads numbers needs one connection; nobody else should hold many.
const CONNECTIONS: usize = 64;

pub fn server(current: &Current, sockets: Vec<TcpListener>) -> Result<Server> {
    let current = current.clone();
    let mut server = HttpServer::new(move || {
        App::new()
            .app_data(current.clone())
            .wrap(middleware::from_fn(current::present))
            .route("/metrics", web::get().to(show))
    })
    .workers(1)
    .max_connections(CONNECTIONS)
    .client_request_timeout(CLIENT_TIMEOUT)
    .shutdown_timeout(GRACE.as_secs())
    .disable_signals();
    for socket in sockets {
        server = server.listen(socket)?;
    }
    Ok(server.run())
}

/// `GET /metrics`.
async fn show(site: Data<Site>, request: HttpRequest) -> HttpResponse {
    if !site.numbers_token.as_ref().is_none_or(|token| shows(&request, token)) {
        return HttpResponse::Unauthorized()
            .insert_header((header::WWW_AUTHENTICATE, "Bearer realm=\"metrics\""))
            .finish();
    }
    match site.numbers().await {
        Ok(text) => HttpResponse::Ok().content_type(CONTENT_TYPE).body(text),
        Err(error) => {
            tracing::warn!(causes = error.causes(), "The numbers could not be read: {error}");
            HttpResponse::ServiceUnavailable()
                .content_type("text/plain")
                .body(format!("{}\n", error.reason().code()))
        }
    }
}

fn shows(request: &HttpRequest, token: &Secret) -> bool {
    let line = request.headers().get(header::AUTHORIZATION);
    let given = line.and_then(|line| line.to_str().ok()?.split_once(' '));
    given.is_some_and(|(scheme, given)| scheme.eq_ignore_ascii_case("bearer") && Secret::new(given.trim()) == *token)
}
