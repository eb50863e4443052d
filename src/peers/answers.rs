//! What the answers of peers, and their silence, mean to us.

use std::time::Duration;

use crate::error::Error;
use crate::error::Kind;
use crate::error::Reason;
use crate::ocm::address::Provider;
use crate::peers::settings::SignaturePolicy;

pub(super) fn busy(host: &Provider, retry_after: Option<Duration>) -> Error {
    Error::new(Reason::PeerBusy, format!("{host} is busy; it will be asked again.")).retry_after(retry_after)
}

pub(super) fn slow(host: &Provider) -> Error {
    Error::new(
        Reason::NoAnswer,
        format!("{host} takes its time. It is being asked; try again in a moment."),
    )
}

pub(super) fn too_old(host: &Provider, policy: SignaturePolicy) -> Error {
    let what = match policy {
        SignaturePolicy::Required => {
            "this server insists on that (federation.require_signatures, or what is set for it)"
        }
        _ => "nobody here knows it: trade an invite with somebody there, or have an admin allow it",
    };
    Error::new(
        Reason::TooOld,
        format!("{host} does not sign what it sends, and {what}."),
    )
}

/// What a peer's status and complaint mean to us, for an answer that is not a success.
pub fn refused_by(host: &Provider, status: u16, complaint: Option<String>, retry_after: Option<Duration>) -> Error {
    let said = complaint.map_or_else(|| format!("{status}"), |complaint| format!("{status} {complaint}"));
    match status {
        // Often for now only: they could not get our keys, or a clock was off. Nextcloud says 400 to a signature.
        400 | 401 if status == 401 || said.to_ascii_lowercase().contains("sign") => Error::new(
            Reason::SignatureRejected,
            format!(
                "{host} could not verify our signature ({said}): a clock, an old copy of our key, or a proxy between."
            ),
        ),
        403 => Error::new(
            Reason::TheyRefuseUs,
            format!("{host} refuses this server ({said}). Its admin can change that."),
        ),
        404 | 410 => Error::new(Reason::ShareGone, format!("{host} does not know this ({said}).")),
        400 | 405..=407 | 409..=424 | 426..=428 => {
            Error::new(Reason::PeerBadAnswer, format!("{host} refused the request ({said})."))
        }
        501 => Error::new(
            Reason::TheyCannotTakeThis,
            format!("{host} does not take this kind of share ({said})."),
        ),
        408 | 425 | 429 | 500..=599 => {
            Error::new(Reason::PeerBusy, format!("{host} could not take it just now ({said})."))
                .retry_after(retry_after)
        }
        _ => Error::new(
            Reason::PeerBadAnswer,
            format!("{host} gave an answer that has no meaning here ({said})."),
        ),
    }
}

/// Whether trying again later may help.
pub fn worth_retrying(error: &Error) -> bool {
    match error.reason() {
        Reason::NameNotFound
        | Reason::NoAnswer
        | Reason::TlsFailed
        | Reason::SignatureRejected
        | Reason::PeerBusy
        | Reason::NotOcm
        | Reason::OcmDisabled => true,
        _ => error.kind() == Kind::Busy || error.kind() == Kind::Internal,
    }
}
