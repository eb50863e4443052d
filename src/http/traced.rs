//! One request from its first byte to its answer: its number, its line in the log, its count, and its end if our own code
//! fails under it.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use actix_web::HttpMessage;
use actix_web::HttpRequest;
use actix_web::body::BoxBody;
use actix_web::dev::ServiceRequest;
use actix_web::dev::ServiceResponse;
use actix_web::error::InternalError;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;
use actix_web::http::header::HeaderName;
use actix_web::http::header::HeaderValue;
use actix_web::web::Data;
use futures_util::FutureExt;
use tracing::Instrument;

use crate::error::Error;
use crate::error::Result;
use crate::http::answer;
use crate::http::asker;
use crate::http::signed::Sender;
use crate::metrics::Metrics;
use crate::metrics::OTHER;
use crate::metrics::known_method;
use crate::random;
use crate::site::Site;

/// The header that says which request an answer belongs to.
const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// What programs ask for every few seconds, and what belongs to a page that was asked for.
const NOT_WORTH_A_LINE: [&str; 4] = ["/livez", "/readyz", "/healthz", "/static/{file}"];

/// What a request is called: in the log, in the audit log, in the answer, and on a page that says why something failed.
#[derive(Clone, Debug)]
pub struct RequestId(pub String);

/// The person who asks, once that is known: for the line in the log.
#[derive(Clone, Debug)]
pub struct Asked(pub String);

/// A name for a request that has none yet: digits, for people say it to each other.
pub fn new_id() -> String {
    random::number()
}

/// What this request is called; nothing where [`crate::http::guard`] does not stand before it.
pub fn id_of(request: &HttpRequest) -> String {
    request
        .extensions()
        .get::<RequestId>()
        .map_or_else(String::new, |id| id.0.clone())
}

/// Does the work, also if it panics: then that is counted, and an error like any other (T-89). What the panic says stays
/// unsaid, for it may hold anything (T-44); where it was is in the log.
///
/// # Errors
///
/// [`Reason::Internal`](crate::error::Reason::Internal).
pub async fn unharmed<F: Future>(metrics: &Metrics, work: F) -> Result<F::Output> {
    AssertUnwindSafe(work).catch_unwind().await.map_err(|_| {
        metrics.panic();
        Error::internal("a request panicked")
    })
}

/// Follows a request through `serve`. Its path is never written down, for it may hold a code: the pattern is.
pub async fn follow<F>(
    request: ServiceRequest,
    serve: impl FnOnce(ServiceRequest) -> F,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error>
where
    F: Future<Output = Result<ServiceResponse<BoxBody>, actix_web::Error>>,
{
    let Some(site) = request.app_data::<Data<Site>>().cloned() else {
        return serve(request).await;
    };
    let begun = Instant::now();
    let method = known_method(request.method().as_str());
    let id = asker::request_id(request.request(), &site).unwrap_or_else(new_id);
    request.extensions_mut().insert(RequestId(id.clone()));
    let span = tracing::info_span!("request", id);
    let told = async {
        let mut answer = match unharmed(&site.metrics, serve(request)).await {
            Ok(answer) => answer,
            Err(panicked) => {
                answer::log(&panicked);
                Err(answer::Refusal(panicked).into())
            }
        };
        let (route, peer, person) = match &answer {
            Ok(response) => {
                let (peer, person) = asked_by(response.request());
                (route(response.request()), peer, person)
            }
            Err(_) => (OTHER.to_owned(), None, None),
        };
        let (peer, person) = (peer.as_deref(), person.as_deref());
        answer = match answer {
            Ok(mut response) => {
                mark(response.headers_mut(), &id);
                Ok(response)
            }
            // There is no request left that an answer could belong to, so it travels as an error.
            Err(error) => {
                let mut response = error.error_response();
                mark(response.headers_mut(), &id);
                super::harden(response.headers_mut());
                Err(InternalError::from_response(error, response).into())
            }
        };
        let status = status(&answer).as_u16();
        let took = begun.elapsed();
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if NOT_WORTH_A_LINE.contains(&route.as_str()) {
            tracing::debug!(
                method,
                route,
                status,
                ms,
                peer,
                person,
                "Answered {method} {route}: {status}"
            );
        } else {
            tracing::info!(
                method,
                route,
                status,
                ms,
                peer,
                person,
                "Answered {method} {route}: {status}"
            );
        }
        site.metrics.request(route, method, status, took);
        answer
    };
    told.instrument(span).await
}

fn status(answer: &Result<ServiceResponse<BoxBody>, actix_web::Error>) -> StatusCode {
    match answer {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    }
}

fn route(request: &HttpRequest) -> String {
    request.match_pattern().unwrap_or_else(|| OTHER.to_owned())
}

/// A server that has proved who it is, or a person who has. They stand in fields of their own: a name here may look like
/// that of a server, and what is handed to helpers names no person (T-44).
fn asked_by(request: &HttpRequest) -> (Option<String>, Option<String>) {
    let known = request.extensions();
    match known.get::<Sender>() {
        Some(Sender(peer)) => (Some(peer.to_string()), None),
        None => (None, known.get::<Asked>().map(|asked| asked.0.clone())),
    }
}

fn mark(headers: &mut HeaderMap, id: &str) {
    // Letters, digits and a few signs: always a header value.
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert(HEADER, id);
    }
}
