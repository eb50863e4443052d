//! Where Prometheus reads the numbers of this server: a listener of its own, so that they never stand on the public one.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::path::Path;
use std::time::Duration;

use actix_web::App;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::HttpServer;
use actix_web::dev::Server;
use actix_web::http::header;
use actix_web::web;
use actix_web::web::Data;

use crate::config::Config;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::metrics::CONTENT_TYPE;
use crate::secret::Secret;
use crate::site::Site;

const GRACE_SECONDS: u64 = 1;
const CLIENT_TIMEOUT: Duration = Duration::from_secs(5);
/// Whoever reads numbers needs one connection; nobody else should hold many.
const CONNECTIONS: usize = 64;

/// What whoever reads must show; nothing where nobody has to.
struct Token(Option<Secret>);

/// An address that was had, before anything else begins.
pub struct Bound {
    listener: TcpListener,
    token: Token,
}

/// Takes the address, where the operator wants one. Where nobody chose it and the usual one is taken, numbers are not
/// worth a server that does not start.
///
/// # Errors
///
/// [`Reason::ConfigInvalid`] naming `metrics.listen` or `metrics.token_file`.
pub fn bind(config: &Config) -> Result<Option<Bound>> {
    let Some(address) = config.metrics.listen.0 else {
        return Ok(None);
    };
    let token = config.metrics.token_file.as_deref().map(read_token).transpose()?;
    match listen(&address, config) {
        Ok(listener) => Ok(Some(Bound {
            listener,
            token: Token(token),
        })),
        Err(error) if config.origin("metrics.listen").is_set() => Err(error),
        Err(error) => {
            tracing::warn!(%address, "No numbers can be read on this server: {error}");
            Ok(None)
        }
    }
}

/// Answers there; gives the address, too.
///
/// # Errors
///
/// If the system does not let it listen.
pub fn serve(bound: Bound, site: &Site) -> Result<(Server, SocketAddr)> {
    let address = bound.listener.local_addr()?;
    let (site, token) = (Data::new(site.clone()), Data::new(bound.token));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(site.clone())
            .app_data(token.clone())
            .route("/metrics", web::get().to(show))
    })
    .workers(1)
    .max_connections(CONNECTIONS)
    .client_request_timeout(CLIENT_TIMEOUT)
    .shutdown_timeout(GRACE_SECONDS)
    .disable_signals()
    .listen(bound.listener)?
    .run();
    Ok((server, address))
}

fn listen(address: &SocketAddr, config: &Config) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|cause| {
        let hint = match cause.kind() {
            std::io::ErrorKind::AddrInUse => "; another program listens there: choose another port, or \"off\"",
            _ => "",
        };
        let from = config.origin("metrics.listen");
        let from = if from.is_set() {
            format!(" ({from})")
        } else {
            String::new()
        };
        Error::new(
            Reason::ConfigInvalid,
            format!("metrics.listen: {address}: {cause}{hint}{from}"),
        )
    })
}

fn read_token(file: &Path) -> Result<Secret> {
    let wrong = |why: String| {
        Error::new(
            Reason::ConfigInvalid,
            format!("metrics.token_file: {}: {why}", file.display()),
        )
    };
    let text = std::fs::read_to_string(file).map_err(|cause| wrong(cause.to_string()))?;
    let token = Secret::new(text.trim());
    if token.is_empty() {
        return Err(wrong("there is no token in it".to_owned()));
    }
    Ok(token)
}

/// `GET /metrics`.
async fn show(site: Data<Site>, token: Data<Token>, request: HttpRequest) -> HttpResponse {
    if !token.0.as_ref().is_none_or(|token| shows(&request, token)) {
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
