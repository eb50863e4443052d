//! What a WebDAV server answers to PROPFIND, read tolerantly: any prefix, any order, missing properties.

use std::time::SystemTime;
use std::time::UNIX_EPOCH;

use percent_encoding::percent_decode_str;
use quick_xml::NsReader;
use quick_xml::escape::resolve_predefined_entity;
use quick_xml::events::Event;
use quick_xml::name::ResolveResult;

use crate::clock::Timestamp;

const MAX_ENTRIES: usize = 10_000;
const MAX_DEPTH: usize = 32;

/// Something in a folder on another server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RemoteEntry {
    pub name: String,
    pub folder: bool,
    /// `file` or `folder`.
    pub kind: &'static str,
    /// Bytes; none where the other server does not say.
    pub size: Option<u64>,
    pub modified: Option<Timestamp>,
    /// Whether it is the folder that was asked about.
    pub is_itself: bool,
}

impl RemoteEntry {
    pub fn file(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            kind: "file",
            ..Self::default()
        }
    }
}

/// Reads a multi-status answer about `path`: the thing itself and what is directly in it; anything else is left out.
pub fn read(body: &[u8], path: &str) -> Result<Vec<RemoteEntry>, String> {
    let asked = plain(path);
    let mut reader = NsReader::from_str(std::str::from_utf8(body).map_err(|error| error.to_string())?);
    let mut entries = Vec::new();
    let mut stack: Vec<String> = Vec::new();
    let mut href = String::new();
    let mut entry = RemoteEntry::default();
    // What a server lists as missing comes under a status of its own, and is not so.
    let mut found = RemoteEntry::default();
    let mut there = true;
    let mut text = String::new();
    loop {
        let (namespace, event) = reader.read_resolved_event().map_err(|error| error.to_string())?;
        match event {
            Event::DocType(_) => return Err("a document type definition".to_owned()),
            Event::Start(tag) | Event::Empty(tag) if stack.len() >= MAX_DEPTH => {
                return Err(format!("too deep at {:?}", tag.name()));
            }
            Event::Start(tag) => {
                let name = element(&namespace, tag.local_name().as_ref());
                if name == "D:response" {
                    href.clear();
                    entry = RemoteEntry::default();
                }
                if name == "D:propstat" {
                    found = RemoteEntry::default();
                    there = true;
                }
                found.folder |= name == "D:collection";
                text.clear();
                stack.push(name);
            }
            Event::Empty(tag) => found.folder |= element(&namespace, tag.local_name().as_ref()) == "D:collection",
            Event::Text(part) => text.push_str(&part),
            Event::CData(part) => text.push_str(&part),
            Event::GeneralRef(reference) => {
                match (reference.resolve_char_ref(), resolve_predefined_entity(&reference)) {
                    (Ok(Some(character)), _) => text.push(character),
                    (_, Some(known)) => text.push_str(known),
                    _ => return Err(format!("an unknown entity {}", &*reference)),
                }
            }
            Event::End(_) => {
                let name = stack.pop().unwrap_or_default();
                match (&*name, stack.last().map(String::as_str)) {
                    ("D:href", Some("D:response")) => text.trim().clone_into(&mut href),
                    ("D:getcontentlength", _) => found.size = text.trim().parse().ok(),
                    ("D:getlastmodified", _) => found.modified = moment(text.trim()),
                    ("D:status", Some("D:propstat")) => there = is_success(text.trim()),
                    ("D:propstat", _) if there => {
                        entry.folder |= found.folder;
                        entry.size = found.size.or(entry.size);
                        entry.modified = found.modified.or(entry.modified);
                    }
                    ("D:response", _) => entries.extend(place(std::mem::take(&mut entry), &href, &asked)),
                    _ => {}
                }
                if entries.len() > MAX_ENTRIES {
                    return Err("too many entries".to_owned());
                }
                text.clear();
            }
            Event::Eof => return Ok(entries),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// The entry with its name, if it is what was asked about or lies directly in it.
fn place(entry: RemoteEntry, href: &str, asked: &str) -> Option<RemoteEntry> {
    // Some servers give whole addresses, others paths.
    let path = match href.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => href,
    };
    let path = plain(path);
    let is_itself = path == asked;
    let below = path.strip_prefix(asked).and_then(|rest| rest.strip_prefix('/'));
    let name = match below {
        _ if is_itself => asked.rsplit('/').next().unwrap_or_default(),
        Some(name) if !name.is_empty() && !name.contains('/') => name,
        _ => return None,
    };
    let odd = |name: &str| name.chars().any(char::is_control) || matches!(name, "." | "..");
    (!odd(name)).then(|| RemoteEntry {
        name: name.to_owned(),
        kind: if entry.folder { "folder" } else { "file" },
        is_itself,
        ..entry
    })
}

/// A path without its percent-encoding and without a slash at its end, so that spellings compare.
fn plain(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    decoded.trim_end_matches('/').to_owned()
}

fn element(namespace: &ResolveResult<'_>, local: &str) -> String {
    match namespace {
        ResolveResult::Bound(bound) if bound.as_ref() == "DAV:" => format!("D:{local}"),
        _ => local.to_owned(),
    }
}

/// Of a status line such as `HTTP/1.1 200 OK`; a line that can't be read is no reason to hide what is there.
fn is_success(line: &str) -> bool {
    let status = line.split_ascii_whitespace().nth(1);
    status.is_none_or(|status| status.starts_with('2'))
}

fn moment(text: &str) -> Option<Timestamp> {
    let date: SystemTime = (text.len() < 64).then(|| httpdate::parse_http_date(text).ok())??;
    let seconds = date.duration_since(UNIX_EPOCH).ok()?.as_secs();
    i64::try_from(seconds).ok().map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SABRE: &str = r#"<?xml version="1.0"?>
<d:multistatus xmlns:d="DAV:" xmlns:oc="http://owncloud.org/ns">
 <d:response><d:href>/dav/7/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype>
  <d:getlastmodified>Sun, 26 Jul 2026 10:08:20 GMT</d:getlastmodified></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>
 <d:response><d:href>/dav/7/a%20b%26c.txt</d:href><d:propstat><d:prop><d:resourcetype/>
  <d:getcontentlength>12</d:getcontentlength></d:prop><d:status>HTTP/1.1 200 OK</d:status></d:propstat></d:response>
 <d:response><d:href>/dav/7/sub/</d:href><d:propstat><d:prop><d:resourcetype><d:collection/></d:resourcetype></d:prop></d:propstat></d:response>
 <d:response><d:href>/dav/7/sub/deeper.txt</d:href></d:response>
 <d:response><d:href>/etc/passwd</d:href></d:response>
</d:multistatus>"#;

    #[test]
    fn a_listing_is_what_lies_directly_in_the_folder() {
        let entries = read(SABRE.as_bytes(), "/dav/7").unwrap();
        let names: Vec<_> = entries
            .iter()
            .map(|entry| (&*entry.name, entry.kind, entry.size))
            .collect();
        assert_eq!(
            names,
            [
                ("7", "folder", None),
                ("a b&c.txt", "file", Some(12)),
                ("sub", "folder", None)
            ]
        );
        assert!(entries[0].is_itself);
        assert_eq!(entries[0].modified, Some(Timestamp(1_785_060_500)));
    }

    #[test]
    fn prefixes_whole_addresses_and_character_references_are_understood() {
        let body = r#"<multistatus xmlns="DAV:"><response><href>https://b.example/dav/7/x&amp;y&#46;txt</href></response></multistatus>"#;
        let entries = read(body.as_bytes(), "/dav/7/").unwrap();
        assert_eq!(entries[0].name, "x&y.txt");
    }

    #[test]
    fn what_is_listed_as_missing_is_not_there() {
        let prop = |status: &str, inside: &str| {
            format!("<d:propstat><d:prop>{inside}</d:prop><d:status>HTTP/1.1 {status}</d:status></d:propstat>")
        };
        let good = prop("200 OK", "<d:resourcetype/><d:getcontentlength>12</d:getcontentlength>");
        let missing = prop(
            "404 Not Found",
            "<d:getcontentlength></d:getcontentlength><d:resourcetype><d:collection/></d:resourcetype>",
        );
        for order in [format!("{good}{missing}"), format!("{missing}{good}")] {
            let body = format!(
                r#"<d:multistatus xmlns:d="DAV:"><d:response><d:href>/dav/7</d:href>{order}</d:response></d:multistatus>"#
            );
            let entries = read(body.as_bytes(), "/dav/7").unwrap();
            assert_eq!((entries[0].kind, entries[0].size), ("file", Some(12)));
        }
    }

    #[test]
    fn t61_hostile_listings_are_refused() {
        let deep = "<a>".repeat(100);
        for body in [
            "<!DOCTYPE x [<!ENTITY e \"x\">]><x>&e;</x>",
            "<x>&e;</x>",
            &deep,
            "<a></b>",
        ] {
            assert!(read(body.as_bytes(), "/").is_err(), "{body:.40}");
        }
    }
}
