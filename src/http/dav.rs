//! Shares as peers read and write them: credentials checked here, WebDAV itself in [`crate::dav`].

use actix_web::HttpMessage;
use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::ResponseError;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::http::header::HeaderValue;
use actix_web::web::Data;
use actix_web::web::Payload;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::dav;
use crate::dav::Mount;
use crate::dav::Rights;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::files::Tree;
use crate::http::answer::Refusal;
use crate::http::metered;
use crate::http::signed::Sender;
use crate::http::traced;
use crate::metrics::Metrics;
use crate::secret::Secret;
use crate::shares::LEGACY_WEBDAV_PATH;
use crate::shares::SentShare;
use crate::shares::WEBDAV_PATH;
use crate::shares::access::Credential;
use crate::site::Site;

/// Anything at and below one of the two roots (_Resource Access_).
pub async fn share(site: Data<Site>, request: HttpRequest, payload: Payload) -> HttpResponse {
    let answer = async {
        match mount(&site, &request).await {
            Ok(mount) => {
                let payload = metered::taken(&request, payload, &site.metrics).await;
                let answer = dav::serve(&mount, &site.ledger, &request, payload, site.clock.now()).await;
                metered::given(&request, answer, &site.metrics)
            }
            Err(error) => refuse(error),
        }
    };
    in_any_case(&site.metrics, answer).await
}

/// An answer even to what panics: a connection that breaks off may mean anything to a peer.
async fn in_any_case(metrics: &Metrics, answer: impl Future<Output = HttpResponse>) -> HttpResponse {
    traced::unharmed(metrics, answer).await.unwrap_or_else(refuse)
}

async fn mount(site: &Site, request: &HttpRequest) -> Result<Mount> {
    // Old Nextclouds send every request without a credential first: what would not be looked up is not asked for either.
    let credential = credential(request).or_else(|missing| site.ready().and(Err(missing)))?;
    let share = site.shares.open(&credential, site.clock.now()).await?;
    request
        .extensions_mut()
        .insert(Sender(share.share_with.provider.clone()));
    let tree = shared_tree(site, &share).await?;
    let roots = [WEBDAV_PATH, LEGACY_WEBDAV_PATH];
    Ok(Mount {
        tree,
        href: format!("{WEBDAV_PATH}{}", share.id),
        // A peer that appends paths to the root, which is all that old ones do, finds the share there.
        also: roots
            .iter()
            .flat_map(|root| [root.trim_end_matches('/').to_owned(), format!("{root}{}", share.id)])
            .collect(),
        rights: rights(&share),
        realm: share.user,
        holder: share.id,
        root: share.path,
        max_upload: Some(site.config.files.max_upload.0),
        origins: vec![site.config.server.public_url.origin().to_owned()],
    })
}

/// The files of who shares this, in which it is.
///
/// # Errors
///
/// [`Reason::Busy`] where it is not there. Our user has not ended the share, so it may come back; and ownCloud 10 deletes
/// on 404 what it would have kept on 503. It is the same if a folder came into the place of a shared file, or the other
/// way round: that is not what was shared.
pub(super) async fn shared_tree(site: &Site, share: &SentShare) -> Result<Tree> {
    let tree = site.homes.of(&share.user).await?;
    match tree.stat(&share.path).await {
        Ok(entry) if entry.is_folder() == share.folder => Ok(tree),
        Err(error) if error.reason() != Reason::NotFound => Err(error),
        _ => Err(Error::new(Reason::Busy, "What is shared here is not there just now.")),
    }
}

pub(super) fn rights(share: &SentShare) -> Rights {
    Rights {
        read: share.permissions.read,
        write: share.permissions.write,
    }
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

/// 401 for a credential that opens nothing, 503 for everything else: that says nothing about the share, and peers delete
/// shares for less.
fn refuse(error: Error) -> HttpResponse {
    let refusal = Refusal(error);
    if refusal.status_code() != StatusCode::UNAUTHORIZED {
        let mut response = refusal.error_response();
        *response.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        let again = response.headers().contains_key(header::RETRY_AFTER);
        if !again {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
        }
        return response;
    }
    // Older clients wait for the challenge on every request.
    HttpResponse::Unauthorized()
        .append_header((header::WWW_AUTHENTICATE, "Basic realm=\"ocm\", charset=\"UTF-8\""))
        .append_header((header::WWW_AUTHENTICATE, "Bearer realm=\"ocm\""))
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    #[actix_web::test]
    async fn trouble_of_our_own_is_never_told_as_the_end_of_a_share() {
        let panicked = in_any_case(&Metrics::new(), async { panic!("a bug") }).await;
        let mut answers = vec![panicked];
        let troubles = Reason::ALL
            .iter()
            .filter(|reason| reason.kind() != Kind::Unauthenticated);
        answers.extend(troubles.map(|reason| refuse(Error::new(*reason, "A trouble."))));
        for answer in answers {
            assert_eq!(answer.status(), 503);
            assert!(answer.headers().contains_key(header::RETRY_AFTER));
        }
        let refused = refuse(Error::new(Reason::SecretWrong, "This does not open the share."));
        assert_eq!(
            (
                refused.status(),
                refused.headers().get_all(header::WWW_AUTHENTICATE).count()
            ),
            (StatusCode::UNAUTHORIZED, 2)
        );
    }
}
