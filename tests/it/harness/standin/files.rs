//! The files that the stand-ins have shared, served over WebDAV in the way of each.

use std::sync::atomic::Ordering;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use url::form_urlencoded;

use super::Given;
use super::Kind;
use super::State;
use crate::harness::Recorded;
use crate::harness::Reply;

const FILE: &str = "what is in their file";
const INSIDE: &str = "what is in their folder";

/// Gives a short-lived token, or a shared file; none where the path is another one.
pub fn serve(state: &State, request: &Recorded) -> Option<Reply> {
    let kind = state.kind;
    let token_end_point = match kind {
        Kind::Nextcloud35 => "/apps/cloud_federation_api/api/v1/access-token",
        _ => "/ocm/token",
    };
    if request.method == "POST" && request.path == token_end_point {
        return Some(token(state, request));
    }
    let below = request.path.strip_prefix(kind.root())?.trim_matches('/');
    let authorization = request.headers.get("authorization").map_or("", String::as_str);
    let revoked = state.revoked.load(Ordering::SeqCst);
    let Some(given) = opened(state, authorization).filter(|_| !revoked) else {
        // OpenCloud has but one answer to all of this.
        let status = match kind {
            Kind::Opencloud2025 | Kind::Opencloud2026 | Kind::Ocis => 500,
            _ => 401,
        };
        return Some(Reply::json(status, json!({})));
    };
    // Shares of the newer form have a path of their own below the root.
    let rest = if kind.is_php() {
        below
    } else {
        match below.strip_prefix(&given.provider_id) {
            Some(rest) => rest.trim_start_matches('/'),
            None => return Some(Reply::json(404, json!({}))),
        }
    };
    let here = format!("{}/{}", request.path.trim_end_matches('/'), "");
    Some(match (request.method.as_str(), given.folder, rest) {
        ("PROPFIND", ..) if kind == Kind::OpencloudmeshGo => Reply::json(405, json!({})),
        ("PROPFIND", true, "") => {
            let mut entries = vec![entry(kind, &here, None)];
            if request.headers.get("depth").map(String::as_str) == Some("1") {
                entries.push(entry(kind, &format!("{here}a.txt"), Some(INSIDE)));
                entries.push(entry(kind, &format!("{here}sub/"), None));
            }
            listing(&entries)
        }
        ("PROPFIND", true, "sub") => listing(&[entry(kind, &here, None)]),
        ("PROPFIND", true, "a.txt") => listing(&[entry(kind, &request.path, Some(INSIDE))]),
        // The file has its own name below the address that was asked for.
        ("PROPFIND", false, _) if kind == Kind::Ocis => {
            listing(&[entry(kind, &format!("{here}hello.txt"), Some(FILE))])
        }
        ("PROPFIND", false, _) => listing(&[entry(kind, &request.path, Some(FILE))]),
        ("GET", true, "a.txt") => content(INSIDE),
        ("GET", false, _) => content(FILE),
        ("GET", true, "") => Reply::json(405, json!({})),
        _ => Reply::json(404, json!({})),
    })
}

/// The share that these words open there.
fn opened(state: &State, authorization: &str) -> Option<Given> {
    let given = state.given.lock().unwrap();
    let with = |secret: &str| given.iter().find(|given| given.secret == secret).cloned();
    match state.kind {
        // With tokens only.
        Kind::Nextcloud35 | Kind::OpencloudmeshGo => with(authorization.strip_prefix("Bearer token-for-")?),
        kind if kind.is_php() => {
            let pair = STANDARD.decode(authorization.strip_prefix("Basic ")?).ok()?;
            with(String::from_utf8(pair).ok()?.strip_suffix(':')?)
        }
        _ => with(authorization.strip_prefix("Bearer ")?),
    }
}

fn token(state: &State, request: &Recorded) -> Reply {
    let form: Vec<(String, String)> = form_urlencoded::parse(&request.body).into_owned().collect();
    let value = |name: &str| form.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value);
    let signed = request.headers.contains_key("signature-input") && !request.headers.contains_key("digest");
    let given = state.given.lock().unwrap();
    let revoked = state.revoked.load(Ordering::SeqCst);
    let known = !revoked && given.iter().any(|given| given.secret == value("code"));
    if !signed || value("grant_type") != "authorization_code" {
        return Reply::json(400, json!({ "error": "invalid_client" }));
    }
    if !known {
        return Reply::json(400, json!({ "error": "invalid_grant" }));
    }
    let token = format!("token-for-{}", value("code"));
    Reply::json(
        200,
        json!({ "access_token": token, "token_type": "Bearer", "expires_in": 3600 }),
    )
}

fn content(text: &str) -> Reply {
    Reply {
        status: 200,
        headers: vec![("content-type".to_owned(), "text/plain".to_owned())],
        body: text.as_bytes().to_vec(),
    }
}

fn entry(kind: Kind, href: &str, file: Option<&str>) -> String {
    let size = file.map_or(String::new(), |text| {
        format!("<d:getcontentlength>{}</d:getcontentlength>", text.len())
    });
    let resource = if file.is_some() { "" } else { "<d:collection/>" };
    // What a thing does not have is listed as well, empty.
    let missing = match (kind.is_php(), file.is_some()) {
        (false, true) => {
            "<d:quota-available-bytes></d:quota-available-bytes><d:getlastmodified></d:getlastmodified>\
            <d:getcontentlength></d:getcontentlength><d:resourcetype><d:collection/></d:resourcetype>"
        }
        (false, false) => "<d:getcontentlength></d:getcontentlength>",
        (true, _) => "<d:quota-used-bytes/>",
    };
    format!(
        "<d:response><d:href>{href}</d:href><d:propstat><d:prop><d:resourcetype>{resource}</d:resourcetype>{size}\
         <d:getlastmodified>Sat, 21 Nov 2026 16:06:38 GMT</d:getlastmodified><d:getetag>&quot;1&quot;</d:getetag>\
         </d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat><d:propstat><d:prop>{missing}</d:prop>\
         <d:status>HTTP/1.1 404 Not Found</d:status></d:propstat></d:response>"
    )
}

fn listing(entries: &[String]) -> Reply {
    Reply {
        status: 207,
        headers: vec![("content-type".to_owned(), "application/xml; charset=utf-8".to_owned())],
        body: format!(
            "<?xml version=\"1.0\"?><d:multistatus xmlns:d=\"DAV:\" xmlns:oc=\"http://owncloud.org/ns\">{}</d:multistatus>",
            entries.concat()
        )
        .into_bytes(),
    }
}
