//! PROPPATCH: properties set and removed, all or none (RFC 4918, section 9.2).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::Payload;

use crate::clock::Timestamp;

use super::Call;
use super::ledger;
use super::ledger::DeadProperty;
use super::ledger::Patch;
use super::live;
use super::locks::Need;
use super::propfind::propstat;
use super::refusal::Outcome;
use super::refusal::Refusal;
use super::small_body;
use super::xml;
use super::xml::Element;
use super::xml::Name;

/// What a property's value may be, in bytes.
const LONGEST: usize = 5 * 1024;
/// How many properties are kept for one file or folder.
const MOST: usize = 64;

/// What is to be done about one property.
enum Step {
    Keep(Patch),
    /// Not a property of ours, but how Nextcloud and others set a file's time.
    Touch(Timestamp),
    /// Not done, and why, as a status line has it.
    Refuse(&'static str),
}

const PROTECTED: &str = "403 Forbidden";
const NO_SENSE: &str = "409 Conflict";
const NOT_TRIED: &str = "424 Failed Dependency";
const NO_ROOM: &str = "507 Insufficient Storage";

pub(super) async fn serve(call: &Call<'_>, payload: Payload) -> Outcome<HttpResponse> {
    let document = xml::read(&small_body(payload).await?)?;
    let mut steps = read(&document.ok_or_else(malformed)?)?;
    let entry = call.existing().await?;
    call.guard(&[Need::of(&call.place.path)]).await?;
    let kept = call.ledger.properties(&call.mount.realm, &call.place.path).await?;
    check_number(&mut steps, kept.len());
    let refused = steps.iter().any(|(_, step)| matches!(step, Step::Refuse(_)));
    let statuses: Vec<_> = steps
        .iter()
        .map(|(name, step)| match step {
            Step::Refuse(status) => (name.clone(), *status),
            _ if refused => (name.clone(), NOT_TRIED),
            _ => (name.clone(), "200 OK"),
        })
        .collect();
    if !refused {
        carry_out(call, steps).await?;
    }
    let href = call.place.href(call.mount, entry.is_folder());
    Ok(HttpResponse::build(StatusCode::MULTI_STATUS)
        .content_type(xml::CONTENT_TYPE)
        .body(report(&href, &statuses)))
}

async fn carry_out(call: &Call<'_>, steps: Vec<(Name, Step)>) -> Outcome<()> {
    let mut patches = Vec::new();
    let mut modified = None;
    for (_, step) in steps {
        match step {
            Step::Keep(patch) => patches.push(patch),
            Step::Touch(time) => modified = Some(time),
            Step::Refuse(_) => {}
        }
    }
    // What can fail more often first, so that less often half is done.
    if let Some(modified) = modified {
        call.mount.tree.touch(&call.place.path, modified).await?;
    }
    if !patches.is_empty() {
        let (realm, path) = (&call.mount.realm, &call.place.path);
        call.ledger.patch_properties(realm, path, patches).await?;
    }
    Ok(())
}

fn read(document: &Element) -> Outcome<Vec<(Name, Step)>> {
    if !document.name.is_dav("propertyupdate") {
        return Err(malformed());
    }
    let mut steps = Vec::new();
    for change in document.children() {
        let set = change.name.is_dav("set");
        if !set && !change.name.is_dav("remove") {
            continue;
        }
        for property in change.child("prop").ok_or_else(malformed)?.children() {
            let step = if set {
                set_step(property)
            } else {
                remove_step(&property.name)
            };
            steps.push((property.name.clone(), step));
        }
    }
    if steps.is_empty() { Err(malformed()) } else { Ok(steps) }
}

fn set_step(property: &Element) -> Step {
    let name = &property.name;
    if name.is_dav("getlastmodified") || name.is_dav("lastmodified") {
        return time_of(&property.text()).map_or(Step::Refuse(NO_SENSE), Step::Touch);
    }
    if live::is_live(name) {
        return Step::Refuse(PROTECTED);
    }
    // None if it is longer than it could be kept in any case, however it is written out.
    let kept = property.content(LONGEST).map(|value| DeadProperty {
        namespace: name.namespace.clone(),
        name: name.local.clone(),
        language: property.language.clone(),
        value,
    });
    match kept.filter(ledger::fits) {
        Some(property) => Step::Keep(Patch::Set(property)),
        None => Step::Refuse(NO_ROOM),
    }
}

fn remove_step(name: &Name) -> Step {
    if live::is_live(name) {
        return Step::Refuse(PROTECTED);
    }
    Step::Keep(Patch::Remove {
        namespace: name.namespace.clone(),
        name: name.local.clone(),
    })
}

/// Seconds since 1970, as Nextcloud sends them, or an HTTP date.
pub(super) fn time_of(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Timestamp(i64::from(seconds)));
    }
    let moment = httpdate::parse_http_date(text).ok()?;
    let since = moment.duration_since(std::time::UNIX_EPOCH).ok()?;
    i64::try_from(since.as_secs()).ok().map(Timestamp)
}

/// Refuses what would be too many, counted as if none were set twice.
fn check_number(steps: &mut [(Name, Step)], kept: usize) {
    let mut number = kept;
    for (_, step) in steps {
        if matches!(step, Step::Keep(Patch::Set(_))) {
            number += 1;
            if number > MOST {
                *step = Step::Refuse(NO_ROOM);
            }
        }
    }
}

fn report(href: &str, statuses: &[(Name, &'static str)]) -> String {
    let mut out = format!(
        "{}<d:multistatus xmlns:d=\"DAV:\"><d:response><d:href>",
        xml::DECLARATION
    );
    xml::escape(&mut out, href);
    out.push_str("</d:href>");
    for status in ["200 OK", PROTECTED, NO_SENSE, NOT_TRIED, NO_ROOM] {
        let mut properties = String::new();
        for (name, _) in statuses.iter().filter(|(_, theirs)| *theirs == status) {
            xml::element(&mut properties, &name.namespace, &name.local, None, "");
        }
        if !properties.is_empty() {
            propstat(&mut out, &properties, status);
        }
    }
    out.push_str("</d:response></d:multistatus>");
    out
}

fn malformed() -> Refusal {
    Refusal::bad_request("The body of this request doesn't say what to do with which property.")
}
