//! The OCM API: what other servers post to `/ocm`. A handler takes a proven message, calls, and answers.

use actix_web::HttpRequest;
use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header;
use actix_web::web::Data;
use serde_json::json;

use crate::audit::Event;
use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;
use crate::http::answer;
use crate::http::answer::Refusal;
use crate::http::asker;
use crate::http::signed::Signed;
use crate::http::signed::Signer;
use crate::invites::Redeemed;
use crate::ocm::address::Provider;
use crate::ocm::code_flow::TokenRequest;
use crate::ocm::invite::InviteAcceptanceRequest;
use crate::ocm::notification::OcmNotification;
use crate::ocm::share::ShareCreationNotification;
use crate::ocm::share_request::ShareRequest;
use crate::site::Site;

type Answer = Result<HttpResponse, Refusal>;

/// `POST /ocm/shares` (_Share Creation Notification_). The display name in the answer is the id that was asked for: a
/// sender learns nothing of the person that it did not know (T-36).
pub async fn shares(site: Data<Site>, request: HttpRequest, message: Signed<ShareCreationNotification>) -> Answer {
    let share = site.shares.receive(&message, site.clock.now()).await?;
    note(
        &site,
        &request,
        &message.signer,
        Event::new("share.received").of(&share.id),
    )
    .await?;
    Ok(HttpResponse::Created().json(json!({ "recipientDisplayName": share.user })))
}

/// `POST /ocm/invite-accepted` (_Invite Flow_).
pub async fn invite_accepted(
    site: Data<Site>,
    request: HttpRequest,
    message: Signed<InviteAcceptanceRequest>,
) -> Answer {
    let now = site.clock.now();
    let redeemed = site.invites.redeem(&message.signer, &message, now).await;
    if let Err(why) = &redeemed {
        site.invites
            .note_refused(&message.token, &message.signer, why, now)
            .await;
    }
    let (status, ours) = match redeemed? {
        Redeemed::Now(ours) => (StatusCode::OK, ours),
        // It is noted again: a stop may have come between the acceptance and its note.
        Redeemed::Before(ours) => (StatusCode::CONFLICT, ours),
    };
    let event = Event::new("invite.accepted").of(format!("{}@{}", message.user_id, message.signer));
    note(&site, &request, &message.signer, event).await?;
    Ok(HttpResponse::build(status).json(ours.to_json()))
}

/// `POST /ocm/request-share` (_Request for a Share_). What is asked for is not looked at, so the answer tells nothing of it.
pub async fn request_share(site: Data<Site>, request: HttpRequest, message: Signed<ShareRequest>) -> Answer {
    let received = site
        .requests
        .receive(&message.signer, &message, site.clock.now())
        .await?;
    let event = Event::new("request.received").of(&received.id);
    note(&site, &request, &message.signer, event).await?;
    Ok(HttpResponse::Created().json(json!({})))
}

/// `POST /ocm/notifications` (_Share Acceptance Notification_ and its kin).
pub async fn notifications(site: Data<Site>, request: HttpRequest, message: Signed<OcmNotification>) -> Answer {
    site.shares.notified(&message.signer, &message).await?;
    let event = Event::new("share.told").of(&message.provider_id);
    note(&site, &request, &message.signer, event).await?;
    Ok(HttpResponse::Created().json(json!({})))
}

/// `POST /ocm/token` (_Code Flow_). Every refusal is status 400 with a word of RFC 6749 (TOK-3).
pub async fn token(site: Data<Site>, message: Result<Signed<TokenRequest>, Refusal>) -> HttpResponse {
    let outcome = match message {
        Ok(message) => site.shares.exchange(&message.signer, &message, site.clock.now()).await,
        Err(Refusal(error)) => Err(error),
    };
    site.metrics.token_exchange(&outcome);
    match outcome {
        Ok(token) => HttpResponse::Ok()
            .insert_header((header::CACHE_CONTROL, "no-store"))
            .insert_header((header::PRAGMA, "no-cache"))
            .json(token.to_json()),
        Err(error) => token_refused(&error),
    }
}

/// `GET /.well-known/ocm-httpsig-probe`: tells a server that its signature holds, and nothing else.
pub async fn probe(_: Signer) -> HttpResponse {
    HttpResponse::NoContent()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .finish()
}

/// Writes down what a server did, before it is told that it is done.
async fn note(site: &Site, request: &HttpRequest, signer: &Provider, event: Event) -> Result<(), Error> {
    let by = asker::stranger(request, site).peer(signer);
    site.audit.note(&by, event).await
}

fn token_refused(error: &Error) -> HttpResponse {
    if matches!(error.kind(), Kind::Busy | Kind::Internal | Kind::Operator) {
        return actix_web::ResponseError::error_response(&Refusal(error.clone()));
    }
    answer::log(error);
    let word = match error.reason() {
        Reason::InvalidGrant => "invalid_grant",
        Reason::UnsupportedGrantType => "unsupported_grant_type",
        Reason::InvalidClient => "invalid_client",
        Reason::WeRefuseThem => "unauthorized_client",
        _ if error.kind() == Kind::Unauthenticated => "invalid_client",
        _ => "invalid_request",
    };
    HttpResponse::BadRequest()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .json(json!({ "error": word }))
}
