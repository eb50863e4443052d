//! GET and HEAD: a file or one range of it, streamed.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::body::SizedStream;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Bytes;
use futures_util::Stream;
use futures_util::stream;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;

use crate::files::Entry;

use super::Call;
use super::conditions;
use super::live;
use super::refusal::Outcome;
use super::refusal::Refusal;

/// How many bytes are read at a time.
const CHUNK: u64 = 128 * 1024;

pub(super) async fn serve(call: &Call<'_>, head: bool) -> Outcome<HttpResponse> {
    if call.existing().await?.is_folder() {
        return Err(call.not_here());
    }
    let (entry, file) = call.mount.tree.read(&call.place.path).await?;
    let headers = call.request.headers();
    if let Err(refusal) = conditions::check(headers, Some(&entry), true) {
        return match refusal.status {
            StatusCode::NOT_MODIFIED => Ok(HttpResponse::NotModified()
                .insert_header((header::ETAG, entry.etag))
                .insert_header((header::LAST_MODIFIED, entry.modified.http_date()))
                .finish()),
            _ => Err(refusal),
        };
    }
    let asked = call
        .header("Range")
        .filter(|_| !head && conditions::range_holds(headers, &entry));
    let range = asked.map_or(Range::Whole, |range| Range::parse(range, entry.size));
    Ok(match range {
        Range::Whole if head => send(&entry, StatusCode::OK, entry.size, stream::empty()),
        Range::Whole => send(&entry, StatusCode::OK, entry.size, content(file, 0, entry.size)),
        Range::Part { first, last } => {
            let length = last - first + 1;
            let mut response = send(
                &entry,
                StatusCode::PARTIAL_CONTENT,
                length,
                content(file, first, length),
            );
            set(
                &mut response,
                header::CONTENT_RANGE,
                &format!("bytes {first}-{last}/{}", entry.size),
            );
            response
        }
        Range::Outside => {
            let mut response = Refusal::new(StatusCode::RANGE_NOT_SATISFIABLE, "The file is not that long.").respond();
            set(&mut response, header::CONTENT_RANGE, &format!("bytes */{}", entry.size));
            response
        }
    })
}

fn send(
    entry: &Entry,
    status: StatusCode,
    length: u64,
    body: impl Stream<Item = io::Result<Bytes>> + 'static,
) -> HttpResponse {
    let name = utf8_percent_encode(&entry.name, NON_ALPHANUMERIC);
    HttpResponse::build(status)
        .insert_header((header::ETAG, entry.etag.as_str()))
        .insert_header((header::LAST_MODIFIED, entry.modified.http_date()))
        .insert_header((header::ACCEPT_RANGES, "bytes"))
        .insert_header((header::CONTENT_TYPE, live::content_type(&entry.name)))
        .insert_header((
            header::CONTENT_DISPOSITION,
            format!("attachment; filename*=UTF-8''{name}"),
        ))
        .body(SizedStream::new(length, body))
}

fn set(response: &mut HttpResponse, name: header::HeaderName, value: &str) {
    // Digits and a few ASCII words: always a header value.
    if let Ok(value) = header::HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// `left` bytes from `offset` on, read as fast as they are taken.
fn content(file: File, offset: u64, left: u64) -> impl Stream<Item = io::Result<Bytes>> {
    let file = Arc::new(file);
    stream::try_unfold((file, offset, left), |(file, offset, left)| async move {
        if left == 0 {
            return Ok(None);
        }
        let reader = file.clone();
        let read = tokio::task::spawn_blocking(move || {
            let mut chunk = vec![0; usize::try_from(left.min(CHUNK)).map_err(io::Error::other)?];
            let read = reader.read_at(&mut chunk, offset)?;
            chunk.truncate(read);
            io::Result::Ok(chunk)
        });
        let chunk = read.await.map_err(io::Error::other)??;
        if chunk.is_empty() {
            // Promised and not there: breaking off is the only way left to say so.
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let length = chunk.len() as u64;
        Ok(Some((Bytes::from(chunk), (file, offset + length, left - length))))
    })
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Range {
    Whole,
    Part { first: u64, last: u64 },
    Outside,
}

impl Range {
    /// Reads a `Range` header (RFC 9110, section 14.1). Several ranges, other units and nonsense all mean the whole file,
    /// which the RFC permits for each, and which can't be made to cost more than the file (T-63).
    fn parse(header: &str, size: u64) -> Self {
        let Some((first, last)) = header
            .strip_prefix("bytes=")
            .and_then(|range| range.trim().split_once('-'))
        else {
            return Self::Whole;
        };
        let number = |digits: &str| match digits.bytes().all(|byte| byte.is_ascii_digit()) {
            // More digits than a number has are still a place past every end.
            true => Some(digits.parse::<u64>().unwrap_or(u64::MAX)),
            false => None,
        };
        match (first, last, number(first), number(last)) {
            ("", "", ..) | (_, _, None, _) | (_, _, _, None) => Self::Whole,
            ("", _, _, Some(0)) => Self::Outside,
            ("", _, _, Some(_)) | (_, "", Some(0), _) if size == 0 => Self::Outside,
            ("", _, _, Some(suffix)) => Self::Part {
                first: size.saturating_sub(suffix),
                last: size - 1,
            },
            (_, "", Some(first), _) if first < size => Self::Part { first, last: size - 1 },
            (_, "", Some(_), _) => Self::Outside,
            (_, _, Some(first), Some(last)) if first > last => Self::Whole,
            (_, _, Some(first), Some(last)) if first < size => Self::Part {
                first,
                last: last.min(size - 1),
            },
            _ => Self::Outside,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(header: &str, size: u64, expected: Range) {
        assert_eq!(Range::parse(header, size), expected, "{header} of {size}");
    }

    #[test]
    fn t63_a_range_is_one_part_of_the_file_or_the_whole_or_refused() {
        let part = |first, last| Range::Part { first, last };
        check("bytes=0-0", 10, part(0, 0));
        check("bytes=2-5", 10, part(2, 5));
        check("bytes=2-", 10, part(2, 9));
        check("bytes=-3", 10, part(7, 9));
        check("bytes=-99", 10, part(0, 9));
        check("bytes=5-99999999999999999999999999", 10, part(5, 9));
        for outside in [
            "bytes=10-",
            "bytes=10-12",
            "bytes=-0",
            "bytes=99999999999999999999999999-",
        ] {
            check(outside, 10, Range::Outside);
        }
        for empty in ["bytes=0-", "bytes=-1", "bytes=0-0"] {
            check(empty, 0, Range::Outside);
        }
        for whole in [
            "bytes=-",
            "bytes=5-2",
            "bytes=a-b",
            "bytes=--1",
            "bytes=+1-2",
            "lines=1-2",
            "bytes",
            "",
            "bytes=0-1,3-4",
        ] {
            check(whole, 10, Range::Whole);
        }
        check(&format!("bytes={}", "0-1,".repeat(1000)), 10, Range::Whole);
    }
}
