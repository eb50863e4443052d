//! What servers ask of each other that trust each other (see [`crate::handshake`]): the secret, and the address book of
//! all accounts, in which nobody is.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::web::Data;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::json;

use crate::audit::Event;
use crate::config::PublicUrl;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::http::answer;
use crate::http::asker;
use crate::http::legacy;
use crate::http::legacy::field;
use crate::ocm::dialect::trusted;
use crate::secret::Secret;
use crate::site::Site;

/// An address book in which there is nobody, and a mark of how old that is: nobody is ever added, so it never changes.
const NOBODY: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
    <d:multistatus xmlns:d=\"DAV:\"><d:sync-token>data:,0</d:sync-token></d:multistatus>\n";
/// What it is, for who looks before reading.
const ABOUT: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n\
    <d:multistatus xmlns:d=\"DAV:\" xmlns:card=\"urn:ietf:params:xml:ns:carddav\"><d:response>\
    <d:href>/remote.php/dav/addressbooks/system/system/system/</d:href><d:propstat><d:prop>\
    <d:resourcetype><d:collection/><card:addressbook/></d:resourcetype><d:sync-token>data:,0</d:sync-token>\
    </d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response></d:multistatus>\n";

/// `POST /ocs/v{1,2}.php/cloud/shared-secret`: a server leaves a token for which we may fetch its secret.
pub async fn is_asked(site: Data<Site>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let (url, token) = named(&body);
    let outcome = async {
        site.handshakes.is_asked(&url, &token, site.clock.now()).await?;
        note(&site, &request, "server.introduced", &url).await
    };
    answer(&request, &body, outcome.await.map(|()| json!([])))
}

/// `GET` of the same: a server brings a token of ours back.
pub async fn give(site: Data<Site>, request: HttpRequest) -> HttpResponse {
    let (url, token) = named(request.query_string().as_bytes());
    let given = async {
        let secret = site.handshakes.give(&url, &token, site.clock.now()).await?;
        note(&site, &request, "server.secret", &url).await?;
        Ok(secret)
    };
    answer(
        &request,
        b"",
        given.await.map(|secret| json!({ "sharedSecret": secret.expose() })),
    )
}

/// `REPORT /remote.php/dav/addressbooks/system/system/system`, which turns a light green elsewhere.
pub async fn address_book(site: Data<Site>, request: HttpRequest) -> HttpResponse {
    let opened = async {
        site.handshakes
            .open_book(&credential(&request)?, site.clock.now())
            .await
    };
    if let Err(error) = opened.await {
        answer::log(&error);
        return match error.reason() {
            Reason::SecretWrong => HttpResponse::Unauthorized()
                .insert_header((header::WWW_AUTHENTICATE, "Basic realm=\"ocm\", charset=\"UTF-8\""))
                .insert_header((header::CACHE_CONTROL, "no-store"))
                .finish(),
            _ => legacy::refusal(StatusCode::SERVICE_UNAVAILABLE).finish(),
        };
    }
    let content = match request.method().as_str() {
        "REPORT" => NOBODY,
        "PROPFIND" => ABOUT,
        _ => {
            return HttpResponse::MethodNotAllowed()
                .insert_header((header::ALLOW, "REPORT, PROPFIND"))
                .finish();
        }
    };
    HttpResponse::MultiStatus()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .content_type("application/xml; charset=utf-8")
        .body(content)
}

/// Only the token, which is not written down, shows that it was the server at `url`.
async fn note(site: &Site, request: &HttpRequest, verb: &'static str, url: &str) -> Result<()> {
    let host = PublicUrl::parse(url)
        .map(|url| url.provider().to_string())
        .unwrap_or_default();
    let event = Event::new(verb).of(&host).with(&host);
    site.audit.note(&asker::stranger(request, site), event).await
}

fn named(form: &[u8]) -> (String, String) {
    let text = |name: &str| field(form, name).unwrap_or_default();
    (text("url"), text("token"))
}

fn answer(request: &HttpRequest, body: &[u8], outcome: Result<serde_json::Value>) -> HttpResponse {
    match outcome {
        Ok(data) => legacy::envelope_of(request, body, StatusCode::OK, "OK", &data),
        Err(error) => {
            answer::log(&error);
            let (status, message) = match error.reason() {
                Reason::NotAllowed => (StatusCode::FORBIDDEN, "This server shares no secret with that one."),
                _ => (StatusCode::SERVICE_UNAVAILABLE, "Not now; try again later."),
            };
            legacy::envelope_of(request, body, status, message, &json!([]))
        }
    }
}

/// The secret in `Authorization: Basic`, under the one name there is.
fn credential(request: &HttpRequest) -> Result<Secret> {
    let mut lines = request.headers().get_all(header::AUTHORIZATION);
    let line = match (lines.next(), lines.next()) {
        (Some(line), None) => line.to_str().ok(),
        _ => None,
    };
    let secret = || {
        let (scheme, value) = line?.trim().split_once(' ')?;
        let pair = String::from_utf8(BASE64.decode(value.trim()).ok()?).ok()?;
        let (user, secret) = pair.split_once(':')?;
        (scheme.eq_ignore_ascii_case("basic") && user == trusted::READER).then(|| Secret::new(secret))
    };
    secret().ok_or_else(|| Error::new(Reason::SecretWrong, "This opens nothing here."))
}
