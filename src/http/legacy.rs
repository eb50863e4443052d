//! What deployed servers ask for besides the protocol: whether this is a server at all, whether a share is still there,
//! and the interface (OCS) that they fall back to. Answered so that none of them takes a share for lost that is not.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::HttpResponseBuilder;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Bytes;
use actix_web::web::Data;
use actix_web::web::Path;
use serde_json::Value;
use serde_json::json;
use url::form_urlencoded;

use crate::audit::Event;
use crate::error::Error;
use crate::error::Reason;
use crate::http::answer;
use crate::http::asker;
use crate::http::share_info;
use crate::ocm::notification::NotificationType;
use crate::secret::Secret;
use crate::shares::LEGACY_WEBDAV_PATH;
use crate::site::Site;

/// Not ours, but what the interface below is of: Nextcloud takes nothing below 9 for a server to federate with.
const VERSION: &str = "10.0.0";

/// `GET /status.php`. Peers ask for it before they believe a bad answer about a share, so it says nothing of troubles.
pub async fn status() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "installed": true,
        "maintenance": false,
        "needsDbUpgrade": false,
        "version": format!("{VERSION}.0"),
        "versionstring": VERSION,
        "edition": "",
        "productname": "ocmesh",
    }))
}

/// `GET /ocs-provider/`: where Nextcloud up to 27 looks for WebDAV, and all of them for what they fall back to. There is
/// no `version` in it: ownCloud 10 takes a document with one for a reason to delete a share.
pub async fn ocs_provider() -> HttpResponse {
    HttpResponse::Ok().json(json!({
        "services": {
            "FEDERATED_SHARING": {
                "version": 1,
                "endpoints": {
                    "share": "/ocs/v2.php/cloud/shares",
                    "webdav": LEGACY_WEBDAV_PATH,
                    "shared-secret": "/ocs/v2.php/cloud/shared-secret",
                },
            },
        },
    }))
}

/// `POST /index.php/apps/files_sharing/shareinfo?t={secret}`: what is in a share, and that it is there at all. Nextcloud
/// deletes a share for good on 403 and 404; ownCloud 10 and old Nextclouds list by it alone.
pub async fn share_info(site: Data<Site>, request: HttpRequest, body: Bytes) -> HttpResponse {
    let secret = Secret::new(field(request.query_string().as_bytes(), "t").unwrap_or_default());
    // -1 and nothing mean everything.
    let depth = field(&body, "depth").and_then(|depth| depth.parse().ok());
    let found = match site.shares.probe(&secret, site.clock.now()).await {
        Ok(Some(share)) => share_info::of(&site, &share, depth.unwrap_or(usize::MAX)).await,
        Ok(None) => Ok(json!({})),
        Err(error) => Err(error),
    };
    match found {
        Ok(data) => HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .json(json!({ "status": "success", "data": data })),
        Err(error) => {
            answer::log(&error);
            refusal(status_for(&error, Reason::SecretWrong)).json(json!({ "status": "error", "data": [] }))
        }
    }
}

/// `POST /ocs/v{1,2}.php/cloud/shares/{id}/{verb}`: what is a notification in the protocol, with the share's secret in
/// place of a signature. Nextcloud up to 27 sends it even after the notification was taken.
pub async fn ocs_told(
    site: Data<Site>,
    request: HttpRequest,
    path: Path<(String, String, String)>,
    body: Bytes,
) -> HttpResponse {
    let (_, id, verb) = path.into_inner();
    let kind = match verb.as_str() {
        "accept" => NotificationType::ShareAccepted,
        "decline" => NotificationType::ShareDeclined,
        "unshare" => NotificationType::ShareUnshared,
        // Resharing is not done here, and permissions are found out by PROPFIND.
        _ => return envelope(&request, StatusCode::NOT_FOUND, "There is no such share."),
    };
    let secret = Secret::new(field(&body, "token").unwrap_or_default());
    let outcome = async {
        site.shares.told(kind, &id, &secret).await?;
        let event = Event::new("share.told").of(&id);
        site.audit.note(&asker::stranger(&request, &site), event).await
    };
    match outcome.await {
        Ok(()) => envelope(&request, StatusCode::OK, "OK"),
        Err(error) => {
            answer::log(&error);
            let status = status_for(&error, Reason::NotFound);
            let message = match status {
                StatusCode::NOT_FOUND => "There is no such share.",
                _ => "Not now; try again later.",
            };
            envelope(&request, status, message)
        }
    }
}

/// Everything else below `/ocs`.
pub async fn ocs(request: HttpRequest) -> HttpResponse {
    let (status, message) = match request.match_info().query("path") {
        "/cloud/shares" => (
            StatusCode::NOT_IMPLEMENTED,
            "This server takes shares by Open Cloud Mesh only: /.well-known/ocm says where.",
        ),
        _ => (StatusCode::NOT_FOUND, "There is nothing here."),
    };
    envelope(&request, status, message)
}

/// 404 is for the one reason that says that there is no share; whatever else went wrong, a missing file included, may be
/// right again later (never 401, never 403).
fn status_for(error: &Error, no_share: Reason) -> StatusCode {
    if error.reason() == no_share {
        StatusCode::NOT_FOUND
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    }
}

pub(super) fn refusal(status: StatusCode) -> HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CACHE_CONTROL, "no-store"));
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((header::RETRY_AFTER, answer::RETRY_AFTER.as_secs().to_string()));
    }
    response
}

fn envelope(request: &HttpRequest, status: StatusCode, message: &'static str) -> HttpResponse {
    envelope_of(request, b"", status, message, &json!([]))
}

/// An answer as the interface has it: XML unless JSON is asked for. In its first version 100 is what 200 is in the second.
/// `data` is an object of texts that need no escaping, or an empty list.
pub(super) fn envelope_of(
    request: &HttpRequest,
    body: &[u8],
    status: StatusCode,
    message: &'static str,
    data: &Value,
) -> HttpResponse {
    let code = match status {
        StatusCode::OK if request.match_info().query("version") == "1" => 100,
        status => status.as_u16(),
    };
    let word = if status == StatusCode::OK { "ok" } else { "failure" };
    let mut response = refusal(status);
    let format = field(request.query_string().as_bytes(), "format").or_else(|| field(body, "format"));
    if format.as_deref() == Some("json") {
        let meta = json!({ "status": word, "statuscode": code, "message": message });
        return response.json(json!({ "ocs": { "meta": meta, "data": data } }));
    }
    let texts = data.as_object().into_iter().flatten();
    let data: String = texts
        .map(|(name, text)| format!("<{name}>{}</{name}>", text.as_str().unwrap_or_default()))
        .collect();
    response.content_type("application/xml; charset=utf-8").body(format!(
        "<?xml version=\"1.0\"?>\n<ocs><meta><status>{word}</status><statuscode>{code}</statuscode>\
         <message>{message}</message></meta><data>{data}</data></ocs>\n"
    ))
}

/// The first field of this name in a form, or in a query, which is never logged: secrets stand in it (T-44).
pub(super) fn field(form: &[u8], name: &str) -> Option<String> {
    form_urlencoded::parse(form)
        .find(|(key, _)| key == name)
        .map(|(_, value)| value.into_owned())
}
