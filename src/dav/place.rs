//! From a URL to a place in the tree, and back.

use actix_web::HttpRequest;
use actix_web::http::StatusCode;
use actix_web::http::header;

use crate::error::Error;
use crate::files::Entry;
use crate::files::TreePath;

use super::Mount;
use super::refusal::Outcome;
use super::refusal::Refusal;
use super::rights::Spot;

/// Where a URL leads, within a mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// From the top of the tree.
    pub(super) path: TreePath,
    pub(super) spot: Spot,
    /// As the URL has it below the mount: for a single file, empty or its name.
    below: TreePath,
}

impl Place {
    /// The place's own URL path, a slash at the end for a folder.
    pub(super) fn href(&self, mount: &Mount, folder: bool) -> String {
        href(mount, &self.below, folder)
    }
}

fn href(mount: &Mount, below: &TreePath, folder: bool) -> String {
    let end = if folder && !below.is_root() { "/" } else { "" };
    match below.is_root() && !folder {
        true if !mount.href.is_empty() => mount.href.clone(),
        _ => format!("{}/{}{end}", mount.href, below.to_url()),
    }
}

/// The URL path of something in the tree. What is outside the mount is not named: its URL is the mount's own.
pub(super) fn href_of(mount: &Mount, path: &TreePath, folder: bool) -> String {
    href(mount, &path.below(&mount.root).unwrap_or_default(), folder)
}

/// The mount with the `href` that a URL's path begins with; none if it begins with none of them.
///
/// # Errors
///
/// As [`of_path`].
pub(super) fn as_asked(mount: &Mount, path: &str) -> Outcome<Option<Mount>> {
    Ok(nearest(mount, path)?.map(|(href, _)| Mount {
        href: href.to_owned(),
        also: mount.also.iter().chain([&mount.href]).cloned().collect(),
        ..mount.clone()
    }))
}

/// The longest of the mount's paths that a URL's path begins with, and the rest of that.
fn nearest<'a>(mount: &'a Mount, path: &str) -> Outcome<Option<(&'a str, TreePath)>> {
    let asked = TreePath::from_url(path).map_err(unsafe_url)?;
    let mut nearest: Option<(&str, TreePath)> = None;
    for href in mount.also.iter().chain([&mount.href]) {
        let Some(below) = asked.below(&TreePath::from_url(href).map_err(unsafe_url)?) else {
            continue;
        };
        if nearest
            .as_ref()
            .is_none_or(|(_, rest)| below.as_str().len() < rest.as_str().len())
        {
            nearest = Some((href, below));
        }
    }
    Ok(nearest)
}

fn unsafe_url(_: Error) -> Refusal {
    Refusal::bad_request("This URL has a path that is not safe.")
}

/// Where a URL's path leads; none if not into this mount.
///
/// A mount of a single file (`root` is one) has two places, which are the same: its own URL, with or without a slash at
/// the end, and the file's name below it. Deployed clients use either (INC-15).
///
/// # Errors
///
/// 400 for a path that could mean something else to someone else (T-57).
pub(super) fn of_path(mount: &Mount, root: &Entry, path: &str) -> Outcome<Option<Place>> {
    let Some((_, below)) = nearest(mount, path)? else {
        return Ok(None);
    };
    let spot = match root.is_folder() {
        true if !below.is_root() => Spot::Inside,
        false if !below.is_root() && below.as_str() != root.name => return Ok(None),
        _ => Spot::Root,
    };
    let path = match spot {
        Spot::Root => mount.root.clone(),
        Spot::Inside => mount.root.descend(&below).map_err(unsafe_url)?,
    };
    Ok(Some(Place { path, spot, below }))
}

/// Where a URI leads that stands in a header: an absolute path, or an absolute URI of this server.
///
/// It is taken apart by hand, because a URL library would resolve `%2e%2e` before it can be refused (T-59).
///
/// # Errors
///
/// 400 for what is no such URI, or has a user, a query or a fragment; 502 if it leads anywhere but into this mount.
pub(super) fn of_uri(mount: &Mount, root: &Entry, request: &HttpRequest, uri: &str) -> Outcome<Place> {
    let elsewhere = || Refusal::new(StatusCode::BAD_GATEWAY, "This leads out of the share.");
    let path = match uri.split_once("://") {
        _ if uri.starts_with('/') && !uri.starts_with("//") => uri,
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if authority.is_empty() || authority.contains(['@', '?', '#', '\\', '%']) {
                return Err(no_uri());
            }
            let asked = origin(scheme, authority);
            let ours = mount.origins.iter().filter_map(|origin_url| {
                let (scheme, authority) = origin_url.split_once("://")?;
                Some(origin(scheme, authority.trim_end_matches('/')))
            });
            if !ours.chain(own_origin(request)).any(|ours| ours == asked) {
                return Err(elsewhere());
            }
            path
        }
        None => return Err(no_uri()),
    };
    if path.contains(['?', '#']) {
        return Err(no_uri());
    }
    of_path(mount, root, path)?.ok_or_else(elsewhere)
}

/// The origin this request was sent to, by its own word; forwarded headers are anyone's word.
fn own_origin(request: &HttpRequest) -> Option<String> {
    let scheme = if request.app_config().secure() { "https" } else { "http" };
    let host = request.headers().get(header::HOST)?.to_str().ok()?;
    Some(origin(scheme, host))
}

fn origin(scheme: &str, authority: &str) -> String {
    let scheme = scheme.to_ascii_lowercase();
    let usual = if scheme == "https" { ":443" } else { ":80" };
    let authority = authority.to_ascii_lowercase();
    format!("{scheme}://{}", authority.strip_suffix(usual).unwrap_or(&authority))
}

fn no_uri() -> Refusal {
    Refusal::bad_request("This request names another place by something that is not a URI of this server.")
}
