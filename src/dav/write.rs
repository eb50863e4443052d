//! PUT, MKCOL and DELETE.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Payload;
use futures_util::StreamExt;

use crate::error::Reason;
use crate::files::Replace;

use super::Call;
use super::Depth;
use super::conditions;
use super::cut_short;
use super::locks::Need;
use super::proppatch;
use super::refusal::Outcome;
use super::refusal::Refusal;

/// Stores a file whole or not at all (T-67).
pub(super) async fn put(call: &Call<'_>, mut payload: Payload) -> Outcome<HttpResponse> {
    if call.request.headers().contains_key(header::CONTENT_RANGE) {
        // A server that takes a part for the whole destroys the rest (RFC 9110, section 14.5; T-63).
        return Err(Refusal::bad_request("A part of a file can't be stored."));
    }
    let there = call.entry().await?;
    if there.as_ref().is_some_and(|there| there.is_folder()) {
        return Err(call.not_here());
    }
    conditions::check(call.request.headers(), there.as_ref(), false)?;
    let conditional = conditions::any(call.request.headers());
    let replace = match &there {
        Some(there) if conditional => Replace::Only(there.etag.clone()),
        None if conditional => Replace::Never,
        _ => Replace::Always,
    };
    let path = &call.place.path;
    match there {
        Some(_) => call.guard(&[Need::of(path)]).await?,
        None => call.guard(&[Need::of(path), Need::of_parent(path)]).await?,
    }
    let fits = |size: u64| call.mount.max_upload.is_none_or(|most| size <= most);
    let promised = call.header("Content-Length").and_then(|length| length.parse().ok());
    if !fits(promised.unwrap_or(0)) {
        return Err(Refusal::no_room());
    }
    let dated = call.header("X-OC-MTIME").and_then(proppatch::time_of);
    let mut upload = call.mount.tree.write(path).await?;
    if let Some(modified) = dated {
        upload.date(modified);
    }
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|_| cut_short())?;
        if !fits(upload.size() + chunk.len() as u64) {
            return Err(Refusal::no_room());
        }
        upload.write(chunk).await?;
    }
    let entry = upload.finish(replace).await.map_err(|error| match error.reason() {
        Reason::Conflict | Reason::AlreadyExists if conditional => Refusal::precondition_failed(),
        Reason::AlreadyExists => call.not_here(),
        _ => error.into(),
    })?;
    let status = if there.is_some() {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::CREATED
    };
    let mut response = HttpResponse::build(status);
    if dated.is_some() {
        response.insert_header(("X-OC-MTime", "accepted"));
    }
    Ok(response.insert_header((header::ETAG, entry.etag)).finish())
}

pub(super) async fn make_folder(call: &Call<'_>, mut payload: Payload) -> Outcome<HttpResponse> {
    while let Some(chunk) = payload.next().await {
        if !chunk.map_err(|_| cut_short())?.is_empty() {
            return Err(Refusal::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "A folder is made without a body.",
            ));
        }
    }
    let path = &call.place.path;
    let there = call.entry().await?;
    conditions::check(call.request.headers(), there.as_ref(), false)?;
    if there.is_some() {
        return Err(call.not_here());
    }
    call.guard(&[Need::of(path), Need::of_parent(path)]).await?;
    call.mount
        .tree
        .make_folder(path)
        .await
        .map_err(|error| match error.reason() {
            Reason::AlreadyExists => call.not_here(),
            _ => error.into(),
        })?;
    Ok(HttpResponse::Created().finish())
}

pub(super) async fn remove(call: &Call<'_>) -> Outcome<HttpResponse> {
    let path = &call.place.path;
    let there = call.existing().await?;
    if there.is_folder() && call.depth()?.is_some_and(|depth| depth != Depth::Infinity) {
        return Err(Refusal::bad_request("A folder is removed with all that is in it."));
    }
    conditions::check(call.request.headers(), Some(&there), false)?;
    call.guard(&[Need::of_all(path), Need::of_parent(path)]).await?;
    call.mount.tree.remove(path).await?;
    call.ledger.forget(&call.mount.realm, path).await?;
    Ok(HttpResponse::NoContent().finish())
}
