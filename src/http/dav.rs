//! Shares as peers read and write them: credentials checked here, WebDAV itself in [`crate::dav`].

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Data;
use actix_web::web::Path;
use actix_web::web::Payload;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::dav;
use crate::dav::Mount;
use crate::dav::Rights;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::http::answer::Refusal;
use crate::secret::Secret;
use crate::shares::WEBDAV_PATH;
use crate::shares::access::Credential;
use crate::site::Site;

/// Anything below `/dav/ocm/{providerId}` (_Resource Access_).
pub async fn share(
    site: Data<Site>,
    request: HttpRequest,
    path: Path<(String, String)>,
    payload: Payload,
) -> HttpResponse {
    match mount(&site, &request, &path.0).await {
        Ok(mount) => dav::serve(&mount, &site.ledger, &request, payload, site.clock.now()).await,
        Err(error) => refuse(error),
    }
}

async fn mount(site: &Site, request: &HttpRequest, id: &str) -> Result<Mount> {
    let credential = credential(request)?;
    let share = site.shares.open(&credential, id, site.clock.now()).await?;
    let tree = site.homes.of(&share.user).await?;
    // A folder that came into the place of a shared file is not what was shared, nor the other way round.
    if tree.stat(&share.path).await?.is_folder() != share.folder {
        return Err(Error::not_found("There is no such file."));
    }
    Ok(Mount {
        tree,
        href: format!("{WEBDAV_PATH}{}", share.id),
        rights: Rights {
            read: share.permissions.read,
            write: share.permissions.write,
        },
        realm: share.user,
        holder: share.id,
        root: share.path,
        max_upload: Some(site.config.files.max_upload.0),
        origins: vec![site.config.server.public_url.origin().to_owned()],
    })
}

/// Reads `Authorization`, in any case and with nothing left empty (T-46, INC-13, INC-14). Cookies are never looked at
/// (T-45).
fn credential(request: &HttpRequest) -> Result<Credential> {
    let missing = || Error::new(Reason::SecretWrong, "This does not open the share.");
    let mut lines = request.headers().get_all(header::AUTHORIZATION);
    let (Some(line), None) = (lines.next(), lines.next()) else {
        return Err(missing());
    };
    let line = line.to_str().map_err(|_| missing())?;
    let (scheme, value) = line.trim().split_once(' ').ok_or_else(missing)?;
    let value = value.trim();
    if scheme.eq_ignore_ascii_case("bearer") && !value.is_empty() {
        return Ok(Credential::Bearer(Secret::new(value)));
    }
    if scheme.eq_ignore_ascii_case("basic") {
        let decoded = BASE64
            .decode(value)
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let user = decoded
            .as_deref()
            .and_then(|pair| pair.split(':').next())
            .unwrap_or_default();
        if !user.is_empty() {
            return Ok(Credential::Basic(Secret::new(user)));
        }
    }
    Err(missing())
}

fn refuse(error: Error) -> HttpResponse {
    let refusal = Refusal(error);
    if refusal.status_code() != StatusCode::UNAUTHORIZED {
        return refusal.error_response();
    }
    // Older clients wait for the challenge on every request.
    HttpResponse::Unauthorized()
        .append_header((header::WWW_AUTHENTICATE, "Bearer realm=\"ocm\""))
        .append_header((header::WWW_AUTHENTICATE, "Basic realm=\"ocm\", charset=\"UTF-8\""))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}
