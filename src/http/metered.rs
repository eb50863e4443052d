//! Content of shares as it passes: how many bytes were really taken and given, also where a transfer broke off.

use std::pin::Pin;
use std::task::Context;
use std::task::Poll;

use actix_web::FromRequest;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::body::BodySize;
use actix_web::body::BoxBody;
use actix_web::body::MessageBody;
use actix_web::dev;
use actix_web::error::PayloadError;
use actix_web::http::Method;
use actix_web::web::Bytes;
use actix_web::web::Payload;
use futures_util::Stream;
use futures_util::TryStreamExt;

use crate::metrics::Flow;
use crate::metrics::Metrics;
use crate::metrics::Side;

/// The same payload, counted if it is a file's content.
pub(super) async fn taken(request: &HttpRequest, payload: Payload, metrics: &Metrics) -> Payload {
    if *request.method() != Method::PUT {
        return payload;
    }
    let metrics = metrics.clone();
    let counted: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> =
        Box::pin(payload.inspect_ok(move |chunk| metrics.webdav_bytes(Flow::In, Side::Sender, chunk.len())));
    Payload::from_request(request, &mut dev::Payload::from(counted))
        .await
        .expect("taking the payload of a request has no way to fail")
}

/// The same answer, whose body is counted if it is a file's content.
pub(super) fn given(request: &HttpRequest, answer: HttpResponse, metrics: &Metrics) -> HttpResponse {
    if *request.method() != Method::GET || !answer.status().is_success() {
        return answer;
    }
    let metrics = metrics.clone();
    answer.map_body(|_, body| BoxBody::new(Counted { body, metrics }))
}

struct Counted {
    body: BoxBody,
    metrics: Metrics,
}

impl MessageBody for Counted {
    type Error = <BoxBody as MessageBody>::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let next = Pin::new(&mut self.body).poll_next(context);
        if let Poll::Ready(Some(Ok(chunk))) = &next {
            self.metrics.webdav_bytes(Flow::Out, Side::Sender, chunk.len());
        }
        next
    }
}
