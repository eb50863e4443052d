//! How an outcome becomes an answer to another server: the status for its kind, and a body that tells no more than it may.

use std::time::Duration;

use actix_web::HttpResponse;
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::http::header;
use serde_json::json;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;

/// When to try again where nobody knows better.
pub const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The status for a kind of refusal.
pub fn status(error: &Error) -> StatusCode {
    match error.kind() {
        Kind::Invalid => StatusCode::BAD_REQUEST,
        Kind::Unauthenticated => StatusCode::UNAUTHORIZED,
        Kind::Forbidden => StatusCode::FORBIDDEN,
        Kind::NotFound => StatusCode::NOT_FOUND,
        Kind::Conflict => StatusCode::CONFLICT,
        Kind::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
        Kind::Unsupported => StatusCode::NOT_IMPLEMENTED,
        // Transient trouble is 503 and never 401: peers delete shares on 401.
        Kind::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Kind::Peer => StatusCode::BAD_GATEWAY,
        Kind::Operator | Kind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Every signature failure is one answer: which check it was, is for our log alone (standards, section 1.5).
fn wire_message(error: &Error) -> String {
    match error.reason() {
        Reason::SignatureMissing | Reason::SignatureInvalid | Reason::SignatureReplayed | Reason::SignerMismatch => {
            Reason::SignatureInvalid.wire()
        }
        reason => reason.wire(),
    }
}

/// Writes a refusal to the log, once, at the edge.
pub fn log(error: &Error) {
    let (code, causes) = (error.reason().code(), error.causes());
    match error.kind() {
        Kind::Internal | Kind::Operator => tracing::error!(code, causes, "A request failed: {error}"),
        Kind::Busy | Kind::Peer => tracing::warn!(code, causes, "A request failed: {error}"),
        _ => tracing::info!(code, causes, "A request was refused: {error}"),
    }
}

/// An [`Error`] as actix sees it; only the edges have this.
#[derive(Debug)]
pub struct Refusal(pub Error);

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        status(&self.0)
    }

    fn error_response(&self) -> HttpResponse {
        let error = &self.0;
        log(error);
        let mut body = json!({ "message": wire_message(error) });
        if let Some(field) = error.field()
            && error.kind() == Kind::Invalid
        {
            body["validationErrors"] = json!([{ "name": field, "message": error.message() }]);
        }
        let mut response = HttpResponse::build(self.status_code());
        response.insert_header((header::CACHE_CONTROL, "no-store"));
        if error.kind() == Kind::Busy {
            let wait = error.wait().unwrap_or(RETRY_AFTER);
            response.insert_header((header::RETRY_AFTER, wait.as_secs().to_string()));
        }
        response.json(body)
    }
}
