//! The edge for servers: every URL that other servers use, on one screen.

pub mod answer;
pub mod asker;
mod dav;
pub mod discovery;
mod handshake;
pub mod health;
mod legacy;
mod metered;
mod ocm;
mod pace;
mod share_info;
pub mod signed;
pub mod traced;

use actix_web::Error;
use actix_web::FromRequest;
use actix_web::Handler;
use actix_web::HttpMessage;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::Resource;
use actix_web::Responder;
use actix_web::body::BoxBody;
use actix_web::body::MessageBody;
use actix_web::dev::ServiceRequest;
use actix_web::dev::ServiceResponse;
use actix_web::http::Method;
use actix_web::http::header;
use actix_web::http::header::HeaderMap;
use actix_web::http::header::HeaderValue;
use actix_web::middleware::Next;
use actix_web::web;
use actix_web::web::Data;
use actix_web::web::ServiceConfig;
use serde_json::json;

use crate::peers::traffic::About;
use crate::peers::traffic::Way;
use crate::site::Site;

/// Where the OCM API is, without a slash at the end: deployed peers append one.
pub const END_POINT: &str = "/ocm";
pub const TOKEN_END_POINT: &str = "/ocm/token";
pub const JWKS: &str = "/.well-known/jwks.json";
/// Where a server finds out whether its signatures arrive here: asked for by the federation validator of opencloudmesh-go.
pub const SIGNATURE_PROBE: &str = "/.well-known/ocm-httpsig-probe";
/// The page of ours that takes `token` and `providerDomain` (DIS-10); it is served by [`crate::web`].
pub const INVITE_ACCEPT_DIALOG: &str = "/invites/accept";

/// What is served here is described in `openapi.json`, which a fuzzer of others holds us to.
pub fn configure(service: &mut ServiceConfig) {
    service
        .service(get("/.well-known/ocm", discovery::document))
        .service(get(JWKS, discovery::keys))
        .service(get(SIGNATURE_PROBE, ocm::probe))
        .service(get("/ocm/openapi.json", discovery::description))
        .service(post("/ocm/shares", ocm::shares))
        .service(post("/ocm/invite-accepted", ocm::invite_accepted))
        .service(post("/ocm/request-share", ocm::request_share))
        .service(post("/ocm/notifications", ocm::notifications))
        .service(post(TOKEN_END_POINT, ocm::token))
        .route("/dav/ocm{below:(/.*)?}", web::route().to(dav::share))
        .route("/public.php/webdav{below:(/.*)?}", web::route().to(dav::share))
        .service(get("/status.php", legacy::status))
        .service(post("/index.php/apps/files_sharing/shareinfo", legacy::share_info))
        .service(get("/ocm-provider{slash:/?}", discovery::legacy_document))
        .service(get("/ocs-provider{slash:/?}", legacy::ocs_provider))
        .route(
            "/ocs/v{version:[12]}.php/cloud/shares/{id}/{verb}",
            web::post().to(legacy::ocs_told),
        )
        .route(
            "/ocs/v{version:[12]}.php/cloud/shared-secret",
            web::post().to(handshake::is_asked),
        )
        .route(
            "/ocs/v{version:[12]}.php/cloud/shared-secret",
            web::get().to(handshake::give),
        )
        .route(
            "/remote.php/dav/addressbooks/system/system/system{slash:/?}",
            web::route().to(handshake::address_book),
        )
        .route("/ocs/v{version:[12]}.php{path:(/.*)?}", web::route().to(legacy::ocs))
        .route("/livez", web::get().to(health::alive))
        .route("/readyz", web::get().to(health::ready))
        .route("/healthz", web::get().to(health::summary));
}

fn get<H, Args>(path: &str, handler: H) -> Resource
where
    H: Handler<Args> + Clone,
    Args: FromRequest + 'static,
    H::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::get().to(handler.clone()))
        .route(web::head().to(handler))
        .default_service(web::to(|| async { refuse_method("GET, HEAD") }))
}

fn post<H, Args>(path: &str, handler: H) -> Resource
where
    H: Handler<Args>,
    Args: FromRequest + 'static,
    H::Output: Responder + 'static,
{
    web::resource(path)
        .route(web::post().to(handler))
        .default_service(web::to(|| async { refuse_method("POST") }))
}

fn refuse_method(allowed: &'static str) -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((header::ALLOW, allowed))
        .json(json!({ "message": "METHOD_NOT_ALLOWED" }))
}

/// What holds for every request to this server, whoever asks: it has a number, is counted, and stands in the log; it is
/// answered even where our own code fails (T-89). Its answer is never guessed to be of another type, and never put into a
/// frame. A request with both a length and chunks is two requests to some, and none to us (T-15); no body may take for
/// ever (T-29).
pub async fn guard(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    traced::follow(request, |request| serve(request, next)).await
}

async fn serve(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if is_ambiguous(request.request()) {
        let refused = HttpResponse::BadRequest().force_close().finish();
        return Ok(request.into_response(refused));
    }
    let mut request = request;
    if let Some(site) = request.app_data::<Data<Site>>() {
        asker::look(request.request(), site);
        let patience = site.config.limits.client_timeout.0;
        let payload = pace::paced(request.take_payload(), patience);
        request.set_payload(payload);
    }
    let mut response = next.call(request).await?.map_into_boxed_body();
    note_who_asked(&response);
    harden(response.headers_mut());
    Ok(response)
}

fn harden(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'",
        ),
    ] {
        if !headers.contains_key(&name) {
            headers.insert(name, HeaderValue::from_static(value));
        }
    }
}

/// Remembers a request whose sender is known beyond doubt, and how it was answered.
fn note_who_asked(response: &ServiceResponse<BoxBody>) {
    let request = response.request();
    let from = request.extensions().get::<signed::Sender>().cloned();
    let (Some(signed::Sender(host)), Some(site)) = (from, request.app_data::<Data<Site>>()) else {
        return;
    };
    let about = match (request.path(), request.method()) {
        ("/ocm/shares", _) => About::Share,
        ("/ocm/invite-accepted", _) => About::Acceptance,
        ("/ocm/request-share", _) => About::ShareRequest,
        ("/ocm/notifications", _) => About::Notification,
        (TOKEN_END_POINT, _) => About::Token,
        (SIGNATURE_PROBE, _) => About::Probe,
        (_, &Method::PUT) => About::Writing,
        _ => About::Reading,
    };
    let status = response.status().as_u16();
    site.peers.traffic().answered(&host, Way::FromThem, about, status);
}

fn is_ambiguous(request: &HttpRequest) -> bool {
    let headers = request.headers();
    let lengths = headers.get_all(header::CONTENT_LENGTH).count();
    lengths > 1 || (lengths == 1 && headers.contains_key(header::TRANSFER_ENCODING))
}
