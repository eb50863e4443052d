//! How a request ends that is not done: a status, and a body that repeats nothing of what was sent.

use std::borrow::Cow;

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;

/// Seconds.
const RETRY_AFTER: u64 = 30;

/// The outcome of a part of a request.
pub(super) type Outcome<T> = std::result::Result<T, Refusal>;

#[derive(Clone, Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    body: Body,
    allow: Option<String>,
}

#[derive(Clone, Debug)]
enum Body {
    Sentence(Cow<'static, str>),
    /// A precondition as RFC 4918, section 16 has it: what stands in `DAV:error`.
    Condition(String),
}

impl Refusal {
    pub(super) fn new(status: StatusCode, sentence: &'static str) -> Self {
        Self {
            status,
            body: Body::Sentence(sentence.into()),
            allow: None,
        }
    }

    pub(super) fn bad_request(sentence: &'static str) -> Self {
        Self::new(StatusCode::BAD_REQUEST, sentence)
    }

    pub(super) fn precondition_failed() -> Self {
        Self::new(
            StatusCode::PRECONDITION_FAILED,
            "A condition of this request does not hold.",
        )
    }

    pub(super) fn no_room() -> Self {
        Self::new(StatusCode::INSUFFICIENT_STORAGE, "There is no room for this.")
    }

    /// `xml` is what stands in `DAV:error`, the prefix `d` bound to `DAV:`.
    pub(super) fn condition(status: StatusCode, xml: impl Into<String>) -> Self {
        Self {
            status,
            body: Body::Condition(xml.into()),
            allow: None,
        }
    }

    pub(super) fn not_here(allow: String) -> Self {
        Self {
            allow: Some(allow),
            ..Self::new(StatusCode::METHOD_NOT_ALLOWED, "This method is not for what is here.")
        }
    }

    pub(super) fn respond(self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header((header::RETRY_AFTER, RETRY_AFTER));
        }
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, allow));
        }
        match self.body {
            Body::Sentence(sentence) => response
                .content_type("text/plain; charset=utf-8")
                .body(format!("{sentence}\n")),
            Body::Condition(xml) => response.content_type(super::xml::CONTENT_TYPE).body(format!(
                "{}<d:error xmlns:d=\"DAV:\">{xml}</d:error>",
                super::xml::DECLARATION
            )),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match (error.reason(), error.kind()) {
            (Reason::DiskFull, _) => StatusCode::INSUFFICIENT_STORAGE,
            // A link or a device: what stands there can't be had (T-58). What was wrong with a URL was said before.
            (Reason::UnsafePath, _) => StatusCode::FORBIDDEN,
            (_, Kind::Invalid) => StatusCode::BAD_REQUEST,
            (_, Kind::Unauthenticated) => StatusCode::UNAUTHORIZED,
            (_, Kind::Forbidden) => StatusCode::FORBIDDEN,
            (_, Kind::NotFound) => StatusCode::NOT_FOUND,
            (_, Kind::Conflict) => StatusCode::CONFLICT,
            (_, Kind::TooLarge) => StatusCode::PAYLOAD_TOO_LARGE,
            (_, Kind::Unsupported) => StatusCode::NOT_IMPLEMENTED,
            // Whatever is wrong with this server may be right again later, and says nothing about the share: peers keep it
            // on 503 and on nothing else for certain.
            (_, Kind::Busy | Kind::Peer | Kind::Operator | Kind::Internal) => StatusCode::SERVICE_UNAVAILABLE,
        };
        if status.is_server_error() {
            tracing::warn!(reason = error.reason().code(), cause = %error.causes(), "A WebDAV request failed: {error}");
        }
        Self {
            status,
            body: Body::Sentence(error.message().to_owned().into()),
            allow: None,
        }
    }
}
