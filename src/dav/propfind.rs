//! PROPFIND: what is there, and what is known about it (RFC 4918, section 9.1).

use std::vec::IntoIter;

use actix_web::HttpResponse;
use actix_web::HttpResponseBuilder;
use actix_web::http::StatusCode;
use actix_web::web::Bytes;
use actix_web::web::Payload;
use futures_util::StreamExt;
use futures_util::stream;

use crate::clock::Timestamp;
use crate::error::Result;
use crate::files::Entry;
use crate::files::TreePath;

use super::Call;
use super::Depth;
use super::Ledger;
use super::Mount;
use super::ledger::DeadProperty;
use super::ledger::Lock;
use super::live;
use super::live::Resource;
use super::live::Room;
use super::live::View;
use super::place;
use super::refusal::Outcome;
use super::refusal::Refusal;
use super::rights::Spot;
use super::small_body;
use super::xml;
use super::xml::Element;
use super::xml::Name;

/// How many entries of a folder one answer has. A client is told if there are more (T-62).
const MOST_ENTRIES: usize = 10_000;
/// How many properties one request may name: each is repeated for each entry.
const MOST_NAMES: usize = 128;
/// Roughly how many bytes of an answer are held at a time.
const BATCH: usize = 64 * 1024;

pub(super) async fn serve(call: &Call<'_>, payload: Payload) -> Outcome<HttpResponse> {
    // Deployed clients leave the header out and mean a listing; the RFC would have them mean everything.
    let depth = call.depth()?.unwrap_or(Depth::One);
    if depth == Depth::Infinity {
        return Err(Refusal::condition(StatusCode::FORBIDDEN, "<d:propfind-finite-depth/>"));
    }
    let body = small_body(payload).await?;
    let asked = match xml::read(&body)? {
        None => Asked::All { also: Vec::new() },
        Some(document) => Asked::read(&document)?,
    };
    let entry = call.existing().await?;
    let mut children = Vec::new();
    if depth == Depth::One && entry.is_folder() {
        children = call.mount.tree.list(&call.place.path, MOST_ENTRIES + 1).await?;
    }
    let complete = children.len() <= MOST_ENTRIES;
    children.truncate(MOST_ENTRIES);
    let listing = Listing {
        mount: call.mount.clone(),
        ledger: call.ledger.clone(),
        now: call.now,
        locks: call.ledger.locks(&call.mount.realm, call.now).await?,
        room: Room::look(call.mount, asked.by_name()).await?,
        asked,
        href: call.place.href(call.mount, entry.is_folder()),
        folder: call.place.path.clone(),
        spot: call.place.spot,
        top: Some(entry),
        children: children.into_iter(),
        complete,
    };
    listing.respond().await
}

enum Asked {
    All { also: Vec<Name> },
    Names,
    These(Vec<Name>),
}

impl Asked {
    fn read(document: &Element) -> Outcome<Self> {
        let malformed = || Refusal::bad_request("The body of this request doesn't say which properties it wants.");
        if !document.name.is_dav_or_bare("propfind") {
            return Err(malformed());
        }
        let child = |local| document.children().find(|child| child.name.is_dav_or_bare(local));
        let names = |of: &Element| match of.children().count() {
            0..=MOST_NAMES => Ok(of.children().map(|child| child.name.clone()).collect()),
            _ => Err(Refusal::bad_request("This request names too many properties.")),
        };
        match (child("prop"), child("allprop"), child("propname")) {
            (Some(these), None, None) => Ok(Self::These(names(these)?)),
            (None, Some(_), None) => Ok(Self::All {
                also: child("include").map(names).transpose()?.unwrap_or_default(),
            }),
            (None, None, Some(_)) => Ok(Self::Names),
            _ => Err(malformed()),
        }
    }

    fn by_name(&self) -> &[Name] {
        match self {
            Self::These(names) | Self::All { also: names } => names,
            Self::Names => &[],
        }
    }

    /// Whether what clients made up is needed for the answer.
    fn wants_dead(&self) -> bool {
        match self {
            Self::All { .. } | Self::Names => true,
            Self::These(names) => !names.iter().all(live::is_live),
        }
    }
}

/// An answer on its way out: held as a list of entries, and as XML only in parts.
struct Listing {
    mount: Mount,
    ledger: Ledger,
    now: Timestamp,
    locks: Vec<Lock>,
    room: Room,
    asked: Asked,
    /// That of what was asked for, which comes first.
    href: String,
    folder: TreePath,
    spot: Spot,
    /// None as soon as it is written.
    top: Option<Entry>,
    children: IntoIter<Entry>,
    complete: bool,
}

impl Listing {
    async fn respond(mut self) -> Outcome<HttpResponse> {
        let mut response = HttpResponse::build(StatusCode::MULTI_STATUS);
        response.content_type(xml::CONTENT_TYPE);
        let (first, done) = self.batch().await?;
        if done {
            return Ok(response.body(first));
        }
        Ok(self.stream(response, first))
    }

    fn stream(self, mut response: HttpResponseBuilder, first: String) -> HttpResponse {
        let first = stream::once(async { Ok(Bytes::from(first)) });
        response.streaming(first.chain(stream::try_unfold(Some(self), Self::next)))
    }

    async fn next(listing: Option<Self>) -> Result<Option<(Bytes, Option<Self>)>> {
        let Some(mut listing) = listing else {
            return Ok(None);
        };
        let (batch, done) = listing.batch().await?;
        Ok(Some((Bytes::from(batch), (!done).then_some(listing))))
    }

    /// The next part of the document, and whether it is the last.
    async fn batch(&mut self) -> Result<(String, bool)> {
        let mut out = String::new();
        if let Some(top) = self.top.take() {
            out.push_str(xml::DECLARATION);
            out.push_str("<d:multistatus xmlns:d=\"DAV:\">");
            let (path, href) = (self.folder.clone(), self.href.clone());
            self.write(&mut out, &href, &path, &top, self.spot).await?;
        }
        while out.len() < BATCH {
            let Some(entry) = self.children.next() else {
                self.end(&mut out);
                return Ok((out, true));
            };
            // Something too deep to be reached by a URL; it was put there past this server.
            let Ok(path) = self.folder.join(&entry.name) else {
                continue;
            };
            let href = place::href_of(&self.mount, &path, entry.is_folder());
            self.write(&mut out, &href, &path, &entry, Spot::Inside).await?;
        }
        Ok((out, false))
    }

    fn end(&self, out: &mut String) {
        if !self.complete {
            // As RFC 6578, section 3.6 says that there is more than was answered.
            out.push_str("<d:response><d:href>");
            xml::escape(out, &self.href);
            out.push_str("</d:href><d:status>HTTP/1.1 507 Insufficient Storage</d:status>");
            out.push_str("<d:error><d:number-of-matches-within-limits/></d:error></d:response>");
        }
        out.push_str("</d:multistatus>");
    }

    async fn write(&self, out: &mut String, href: &str, path: &TreePath, entry: &Entry, spot: Spot) -> Result<()> {
        let dead = match self.asked.wants_dead() {
            true => self.ledger.properties(&self.mount.realm, path).await?,
            false => Vec::new(),
        };
        let view = View {
            mount: &self.mount,
            locks: &self.locks,
            now: self.now,
            room: self.room,
        };
        let (found, missing) = properties(&view, &Resource { path, entry, spot }, &self.asked, &dead);
        out.push_str("<d:response><d:href>");
        xml::escape(out, href);
        out.push_str("</d:href>");
        if !found.is_empty() || missing.is_empty() {
            propstat(out, &found, "200 OK");
        }
        if !missing.is_empty() {
            propstat(out, &missing, "404 Not Found");
        }
        out.push_str("</d:response>");
        Ok(())
    }
}

/// Those that are there, and those that were asked for and aren't.
fn properties(view: &View<'_>, resource: &Resource<'_>, asked: &Asked, dead: &[DeadProperty]) -> (String, String) {
    let (mut found, mut missing) = (String::new(), String::new());
    let only_names = matches!(asked, Asked::Names);
    if !matches!(asked, Asked::These(_)) {
        for local in live::ALL {
            let name = Name {
                namespace: xml::DAV.to_owned(),
                local: local.to_owned(),
            };
            if let Some(value) = view.value(resource, &name) {
                xml::element(&mut found, xml::DAV, local, None, if only_names { "" } else { &value });
            }
        }
        for property in dead {
            write_dead(&mut found, property, only_names);
        }
    }
    for name in asked.by_name() {
        let kept = dead
            .iter()
            .find(|dead| dead.namespace == name.namespace && dead.name == name.local);
        match (view.value(resource, name), kept) {
            (Some(value), _) => xml::element(&mut found, &name.namespace, &name.local, None, &value),
            (None, Some(property)) => write_dead(&mut found, property, false),
            (None, None) => xml::element(&mut missing, &name.namespace, &name.local, None, ""),
        }
    }
    (found, missing)
}

fn write_dead(out: &mut String, property: &DeadProperty, only_name: bool) {
    let DeadProperty {
        namespace,
        name,
        language,
        value,
    } = property;
    match only_name {
        true => xml::element(out, namespace, name, None, ""),
        false => xml::element(out, namespace, name, language.as_deref(), value),
    }
}

/// Appends properties that share a status, such as `200 OK`.
pub(super) fn propstat(out: &mut String, properties: &str, status: &str) {
    out.push_str("<d:propstat><d:prop>");
    out.push_str(properties);
    out.push_str("</d:prop><d:status>HTTP/1.1 ");
    out.push_str(status);
    out.push_str("</d:status></d:propstat>");
}
