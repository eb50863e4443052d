//! COPY and MOVE.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;

use crate::error::Reason;

use super::Call;
use super::Depth;
use super::conditions;
use super::locks::Need;
use super::place;
use super::place::Place;
use super::refusal::Outcome;
use super::refusal::Refusal;

/// Where the request wants something to be.
///
/// # Errors
///
/// 400 without a `Destination` or with one that is not safe; 502 for one that leads out of the mount (T-59).
pub(super) fn destination(call: &Call<'_>) -> Outcome<Place> {
    let uri = call
        .header("Destination")
        .ok_or_else(|| Refusal::bad_request("This request has no destination."))?;
    place::of_uri(call.mount, &call.root, call.request, uri)
}

pub(super) async fn serve(call: &Call<'_>, moving: bool, to: &Place) -> Outcome<HttpResponse> {
    let from = &call.place.path;
    let source = call.existing().await?;
    let deep = match (call.depth()?, moving || !source.is_folder()) {
        (None | Some(Depth::Infinity), _) => true,
        (Some(Depth::Zero), false) => false,
        (Some(_), _) if !source.is_folder() => true,
        _ => return Err(Refusal::bad_request("This can't be done to that depth.")),
    };
    let replace = match call.header("Overwrite") {
        None | Some("T" | "t") => true,
        Some("F" | "f") => false,
        Some(_) => return Err(Refusal::bad_request("Overwrite must be T or F.")),
    };
    conditions::check(call.request.headers(), Some(&source), false)?;
    let there = call.entry_at(&to.path).await?;
    if there.is_some() && !replace {
        return Err(Refusal::precondition_failed());
    }
    let mut needs = match there {
        Some(_) => vec![Need::of_all(&to.path)],
        None => vec![Need::of(&to.path), Need::of_parent(&to.path)],
    };
    if moving {
        needs.extend([Need::of_all(from), Need::of_parent(from)]);
    }
    call.guard(&needs).await?;
    let (tree, ledger, realm) = (&call.mount.tree, call.ledger, &call.mount.realm);
    let replaced = if moving {
        tree.rename(from, &to.path, replace).await
    } else {
        call.check_room(deep).await?;
        tree.copy(from, &to.path, replace, deep).await
    };
    let replaced = replaced.map_err(|error| match error.reason() {
        Reason::AlreadyExists => Refusal::precondition_failed(),
        _ => error.into(),
    })?;
    if moving {
        ledger.move_properties(realm, from, &to.path).await?;
    } else {
        ledger.copy_properties(realm, from, &to.path, deep).await?;
    }
    let status = if replaced {
        StatusCode::NO_CONTENT
    } else {
        StatusCode::CREATED
    };
    Ok(HttpResponse::build(status).finish())
}

impl Call<'_> {
    /// A copy takes as much room as an upload of the same (T-66).
    async fn check_room(&self, deep: bool) -> Outcome<()> {
        match self.mount.max_upload {
            Some(most) if deep && self.mount.tree.usage(&self.place.path).await? > most => Err(Refusal::no_room()),
            _ => Ok(()),
        }
    }
}
