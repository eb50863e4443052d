//! The conditions of HTTP (RFC 9110, section 13): do this only if what is there is what I think it is.

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderMap;

use crate::clock::Timestamp;
use crate::files::Entry;

use super::refusal::Outcome;
use super::refusal::Refusal;

/// Checks the conditions in their prescribed order against what is there.
///
/// # Errors
///
/// 412 if one doesn't hold, or 304 if for `reading` that means that the client has it already.
pub(super) fn check(headers: &HeaderMap, there: Option<&Entry>, reading: bool) -> Outcome<()> {
    if let Some(wanted) = joined(headers, "If-Match") {
        if !there.is_some_and(|there| matches(&wanted, there, false)) {
            return Err(Refusal::precondition_failed());
        }
    } else if let (Some(date), Some(there)) = (date(headers, "If-Unmodified-Since"), there)
        && there.modified > date
    {
        return Err(Refusal::precondition_failed());
    }
    if let Some(unwanted) = joined(headers, "If-None-Match") {
        if there.is_some_and(|there| matches(&unwanted, there, true)) {
            return Err(if reading {
                not_modified()
            } else {
                Refusal::precondition_failed()
            });
        }
    } else if let (Some(date), Some(there), true) = (date(headers, "If-Modified-Since"), there, reading)
        && there.modified <= date
    {
        return Err(not_modified());
    }
    Ok(())
}

/// Whether the request asks for anything of what it replaces.
pub(super) fn any(headers: &HeaderMap) -> bool {
    ["If-Match", "If-None-Match", "If-Unmodified-Since"]
        .iter()
        .any(|name| headers.contains_key(*name))
}

/// Whether a range is of what the client has already a part of (RFC 9110, section 13.1.5).
pub(super) fn range_holds(headers: &HeaderMap, there: &Entry) -> bool {
    match joined(headers, "If-Range") {
        None => true,
        Some(etag) if etag.starts_with('"') => etag == there.etag,
        // A weak etag or a date in another form is no strong validator, and the whole file is never wrong.
        Some(date) => date == there.modified.http_date(),
    }
}

fn matches(list: &str, there: &Entry, weakly: bool) -> bool {
    list.trim() == "*"
        || list.split(',').map(str::trim).any(|etag| {
            let etag = if weakly {
                etag.strip_prefix("W/").unwrap_or(etag)
            } else {
                etag
            };
            etag == there.etag
        })
}

fn joined(headers: &HeaderMap, name: &str) -> Option<String> {
    let values: Vec<_> = headers.get_all(name).filter_map(|value| value.to_str().ok()).collect();
    (!values.is_empty()).then(|| values.join(","))
}

fn date(headers: &HeaderMap, name: &str) -> Option<Timestamp> {
    let moment = httpdate::parse_http_date(headers.get(name)?.to_str().ok()?).ok()?;
    let since = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok().map(Timestamp)
}

fn not_modified() -> Refusal {
    Refusal::new(StatusCode::NOT_MODIFIED, "")
}
