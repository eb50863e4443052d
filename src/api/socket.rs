//! The admin socket: one path, `POST /v1/call`, whose body is a call in one line of JSON and, behind it, the content.

use std::any::Any;
use std::os::unix::fs::MetadataExt;

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::dev::Extensions;
use actix_web::rt::net::UnixStream;
use actix_web::web;
use actix_web::web::Data;
use actix_web::web::Payload;
use actix_web::web::ServiceConfig;
use bytes::Bytes;
use bytes::BytesMut;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::json;
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::api::Answer;
use crate::api::Call;
use crate::api::carry_out;
use crate::audit::By;
use crate::client::ByteStream;
use crate::doctor::user_name;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::http::answer;
use crate::http::traced;
use crate::site::Site;

/// Where the command line posts to.
pub const PATH: &str = "/v1/call";

/// The longest call; content may follow without limit.
const MAX_CALL: usize = 64 << 10;

pub fn configure(service: &mut ServiceConfig) {
    service.route(PATH, web::post().to(call));
}

/// The error of a call on its way to the command line, which prints it.
pub fn error_body(error: &Error) -> serde_json::Value {
    json!({
        "error": {
            "code": error.reason().code(),
            "message": error.message(),
            "field": error.field(),
        }
    })
}

/// The user of this machine at the other end of a connection, as the system says.
struct Caller(u32);

/// Asks the system, when a connection begins, who it is.
pub fn know_caller(connection: &dyn Any, about: &mut Extensions) {
    let stream = connection.downcast_ref::<UnixStream>();
    if let Some(credentials) = stream.and_then(|stream| stream.peer_cred().ok()) {
        about.insert(Caller(credentials.uid()));
    }
}

/// The user that this process runs as, for what is done without a server.
pub fn this_user() -> By {
    By::command_line(std::fs::metadata("/proc/self").map_or_else(|_| unknown_user(), |own| user_name(own.uid())))
}

fn caller(request: &HttpRequest) -> By {
    let caller = request.conn_data::<Caller>();
    By::command_line(caller.map_or_else(unknown_user, |Caller(id)| user_name(*id)))
}

fn unknown_user() -> String {
    "an unknown user".to_owned()
}

async fn call(site: Data<Site>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let id = traced::new_id();
    let span = tracing::info_span!("request", id);
    let work = async {
        let by = By {
            request: id.clone(),
            ..caller(&request)
        };
        let (call, content) = read_call(payload).await?;
        carry_out(&site, &by, call, content).await
    };
    let answer = async {
        let outcome = traced::unharmed(&site.metrics, work).await.unwrap_or_else(Err);
        match &outcome {
            Ok(_) => tracing::info!(person = caller(&request).who.to_string(), "Answered a command"),
            Err(error) => answer::log(error),
        }
        outcome
    };
    match answer.instrument(span).await {
        Ok(Answer::Json(value)) => HttpResponse::Ok().json(value),
        Ok(Answer::Content(stream)) => HttpResponse::Ok().content_type("application/octet-stream").streaming(
            stream.map(|chunk| chunk.map_err(|error| Box::<dyn std::error::Error>::from(error.to_string()))),
        ),
        Err(error) => {
            let mut body = error_body(&error);
            body["error"]["request"] = id.into();
            HttpResponse::build(answer::status(&error)).json(body)
        }
    }
}

async fn read_call(mut payload: Payload) -> Result<(Call, ByteStream)> {
    let mut head = BytesMut::new();
    let rest = loop {
        if let Some(end) = head.iter().position(|byte| *byte == b'\n') {
            let rest = head.split_off(end + 1);
            break rest.freeze();
        }
        if head.len() > MAX_CALL {
            return Err(Error::new(Reason::TooLarge, "This call is too long."));
        }
        match payload.next().await {
            Some(chunk) => head.extend_from_slice(&chunk.map_err(|cause| Error::internal(cause.to_string()))?),
            None => break Bytes::new(),
        }
    };
    let call =
        serde_json::from_slice(&head).map_err(|cause| Error::invalid("call", "This is no call.").caused_by(cause))?;
    Ok((call, content(rest, payload)))
}

/// What follows a call, as a stream that may be handed to other tasks: the payload itself stays on this thread.
fn content(first: Bytes, mut payload: Payload) -> ByteStream {
    let (sender, receiver) = mpsc::channel::<Result<Bytes>>(4);
    actix_web::rt::spawn(async move {
        if sender.send(Ok(first)).await.is_err() {
            return;
        }
        while let Some(chunk) = payload.next().await {
            let chunk = chunk.map_err(|cause| Error::internal(cause.to_string()));
            if sender.send(chunk).await.is_err() {
                return;
            }
        }
    });
    Box::pin(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    }))
}
