//! Properties that the server itself knows the value of.

use crate::clock::Timestamp;
use crate::error::Result;
use crate::files::Entry;
use crate::files::TreePath;

use super::Mount;
use super::Rights;
use super::ledger::Lock;
use super::locks;
use super::rights::Spot;
use super::xml;
use super::xml::Name;

/// ownCloud's namespace, in which Nextcloud too asks what it may do.
const OC: &str = "http://owncloud.org/ns";

/// The two in which Nextcloud and ownCloud ask what may be passed on: the first decides whether they try to write.
const COLLABORATION: &str = "http://open-collaboration-services.org/ns";
const CLOUD_MESH: &str = "http://open-cloud-mesh.org/ns";

/// Those of `DAV:` that are told when a client asks for all.
pub(super) const ALL: [&str; 9] = [
    "resourcetype",
    "displayname",
    "getcontentlength",
    "getcontenttype",
    "getetag",
    "getlastmodified",
    "creationdate",
    "supportedlock",
    "lockdiscovery",
];

/// A file or folder whose properties are asked for.
pub(super) struct Resource<'a> {
    pub(super) path: &'a TreePath,
    pub(super) entry: &'a Entry,
    pub(super) spot: Spot,
}

/// From whose side it is looked at.
pub(super) struct View<'a> {
    pub(super) mount: &'a Mount,
    pub(super) locks: &'a [Lock],
    pub(super) now: Timestamp,
    pub(super) room: Room,
}

/// How much room there is, as far as it was asked for.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Room {
    /// Bytes.
    pub(super) available: Option<u64>,
    /// Bytes of all that is shared.
    pub(super) used: Option<u64>,
}

const AVAILABLE: &str = "quota-available-bytes";
const USED: &str = "quota-used-bytes";

impl Room {
    /// Finds out what these names ask for and nothing else, since counting takes a while (RFC 4331).
    pub(super) async fn look(mount: &Mount, names: &[Name]) -> Result<Self> {
        let wanted = |local| names.iter().any(|name| name.is_dav(local));
        let mut room = Self::default();
        if wanted(AVAILABLE) {
            room.available = Some(mount.tree.room().await?);
        }
        if wanted(USED) {
            room.used = Some(mount.tree.usage(&mount.root).await?);
        }
        Ok(room)
    }
}

/// Whether a client may not set this, because it is the server's to say.
pub(super) fn is_live(name: &Name) -> bool {
    let extended = ["permissions", "size", "id", "fileid", "checksums"];
    match name.namespace.as_str() {
        xml::DAV => {
            let local = name.local.as_str();
            ALL.contains(&local) || local.starts_with("quota-")
        }
        OC => extended.contains(&name.local.as_str()),
        COLLABORATION | CLOUD_MESH => name.local == "share-permissions",
        _ => false,
    }
}

impl View<'_> {
    /// A live property's value as XML; none if the resource doesn't have it.
    pub(super) fn value(&self, resource: &Resource<'_>, name: &Name) -> Option<String> {
        let entry = resource.entry;
        let text = |text: &str| {
            let mut escaped = String::new();
            xml::escape(&mut escaped, text);
            escaped
        };
        let of_file = |value: String| (!entry.is_folder()).then_some(value);
        match (name.namespace.as_str(), name.local.as_str()) {
            (xml::DAV, "resourcetype") => Some(if entry.is_folder() { "<d:collection/>" } else { "" }.to_owned()),
            (xml::DAV, "displayname") => (!entry.name.is_empty()).then(|| text(&entry.name)),
            (xml::DAV, "getcontentlength") => of_file(entry.size.to_string()),
            (xml::DAV, "getcontenttype") => of_file(media_type(&entry.name).to_owned()),
            (xml::DAV, "getetag") => Some(text(&entry.etag)),
            (xml::DAV, "getlastmodified") => Some(entry.modified.http_date()),
            // The disk doesn't keep it for us through copies and restores; no file is younger than its content.
            (xml::DAV, "creationdate") => Some(entry.modified.to_string()),
            (xml::DAV, "supportedlock") => Some(self.supported_lock()),
            (xml::DAV, "lockdiscovery") => Some(self.lock_discovery(resource.path)),
            (xml::DAV, AVAILABLE) => self
                .room
                .available
                .filter(|_| entry.is_folder())
                .map(|bytes| bytes.to_string()),
            (xml::DAV, USED) => self
                .room
                .used
                .filter(|_| entry.is_folder())
                .map(|bytes| bytes.to_string()),
            (OC, "permissions") => Some(self.permissions(resource)),
            (OC, "size") => of_file(entry.size.to_string()),
            (COLLABORATION, "share-permissions") => {
                Some(permission_bits(self.mount.rights, entry.is_folder(), resource.spot == Spot::Root).to_string())
            }
            (CLOUD_MESH, "share-permissions") => Some(text(&self.permission_words())),
            _ => None,
        }
    }

    fn supported_lock(&self) -> String {
        let entry = |scope| {
            format!(
                "<d:lockentry><d:lockscope><d:{scope}/></d:lockscope><d:locktype><d:write/></d:locktype></d:lockentry>"
            )
        };
        match self.mount.rights.write {
            true => entry("exclusive") + &entry("shared"),
            false => String::new(),
        }
    }

    fn lock_discovery(&self, path: &TreePath) -> String {
        let mut out = String::new();
        for lock in self.locks.iter().filter(|lock| lock.covers(path)) {
            locks::describe(&mut out, self.mount, lock, self.now.until(lock.expires));
        }
        out
    }

    /// As a share's `permissions` are written in the protocol itself.
    fn permission_words(&self) -> String {
        let rights = self.mount.rights;
        let words = [(rights.read, "\"read\""), (rights.write, "\"write\"")];
        let words: Vec<_> = words.iter().filter(|(may, _)| *may).map(|(_, word)| *word).collect();
        format!("[{}]", words.join(","))
    }

    /// What may be done, in ownCloud's letters: G read, D delete, N rename, V move, W write, C and K create. Without this
    /// property Nextcloud takes every share for writable. R, sharing on, is never said: a share is its owner's to give.
    fn permissions(&self, resource: &Resource<'_>) -> String {
        let rights = self.mount.rights;
        let letters = [
            (rights.read, "G"),
            (rights.write && resource.spot == Spot::Inside, "DNV"),
            (rights.write && resource.entry.is_folder(), "CK"),
            (rights.write && !resource.entry.is_folder(), "W"),
        ];
        letters
            .iter()
            .filter(|(may, _)| *may)
            .map(|(_, letters)| *letters)
            .collect()
    }
}

/// What may be done, as ownCloud counts it: 1 read, 2 change, 4 create, 8 delete. 16, pass on, is never said. These are
/// the letters of `oc:permissions` in numbers: Nextcloud lists a folder again and again whose two don't agree.
pub fn permission_bits(rights: Rights, folder: bool, shared_itself: bool) -> u8 {
    [
        (rights.read, 1),
        (rights.write, 2),
        (rights.write && folder, 4),
        (rights.write && !shared_itself, 8),
    ]
    .into_iter()
    .filter(|(may, _)| *may)
    .map(|(_, bit)| bit)
    .sum()
}

/// As the `content-type` of the file itself, without a parameter: Nextcloud keeps what a listing says, to the letter, and knows no
/// `text/plain; charset=utf-8`.
pub fn media_type(name: &str) -> &'static str {
    let whole = content_type(name);
    whole.split_once(';').map_or(whole, |(essence, _)| essence)
}

/// The media type that goes with a file's name. The few that matter to a client that previews; nothing runs as any of
/// them here, because every answer is an attachment in a sandbox (T-64).
pub(super) fn content_type(name: &str) -> &'static str {
    let extension = name.rsplit_once('.').map_or("", |(_, extension)| extension);
    match extension.to_ascii_lowercase().as_str() {
        "txt" | "log" => "text/plain; charset=utf-8",
        "md" => "text/markdown; charset=utf-8",
        "csv" => "text/csv; charset=utf-8",
        "html" | "htm" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "ics" => "text/calendar; charset=utf-8",
        "vcf" => "text/vcard; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "json" => "application/json",
        "xml" => "application/xml",
        "pdf" => "application/pdf",
        "epub" => "application/epub+zip",
        "zip" => "application/zip",
        "gz" | "tgz" => "application/gzip",
        "tar" => "application/x-tar",
        "7z" => "application/x-7z-compressed",
        "doc" => "application/msword",
        "xls" => "application/vnd.ms-excel",
        "ppt" => "application/vnd.ms-powerpoint",
        "docx" => "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "xlsx" => "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
        "pptx" => "application/vnd.openxmlformats-officedocument.presentationml.presentation",
        "odt" => "application/vnd.oasis.opendocument.text",
        "ods" => "application/vnd.oasis.opendocument.spreadsheet",
        "odp" => "application/vnd.oasis.opendocument.presentation",
        "png" => "image/png",
        "jpg" | "jpeg" => "image/jpeg",
        "gif" => "image/gif",
        "webp" => "image/webp",
        "avif" => "image/avif",
        "heic" => "image/heic",
        "tif" | "tiff" => "image/tiff",
        "svg" => "image/svg+xml",
        "mp3" => "audio/mpeg",
        "m4a" => "audio/mp4",
        "ogg" | "oga" => "audio/ogg",
        "opus" => "audio/opus",
        "flac" => "audio/flac",
        "wav" => "audio/wav",
        "mp4" | "m4v" => "video/mp4",
        "mov" => "video/quicktime",
        "webm" => "video/webm",
        "mkv" => "video/x-matroska",
        _ => "application/octet-stream",
    }
}
