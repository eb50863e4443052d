//! Where something is inside a tree: a relative path that has been read once and can only lead downwards.

use std::fmt;

use percent_encoding::AsciiSet;
use percent_encoding::NON_ALPHANUMERIC;
use percent_encoding::utf8_percent_encode;
use serde::Deserialize;
use serde::Serialize;

use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// What a file name begins with while it is not yet, or no longer, part of the tree. No [`TreePath`] can name one.
pub(super) const HIDDEN: &str = ".ocmesh-upload-";

/// What file systems take as one name, in bytes.
const LONGEST_NAME: usize = 255;
/// What Linux takes as one path, in bytes.
const LONGEST_PATH: usize = 4096;
/// Each step is an open of its own, so the number of steps is bounded too.
pub(super) const DEEPEST: usize = 64;

/// Everything but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A relative path beneath the top of a [`Tree`](super::Tree); the empty one is the top itself.
///
/// Whoever holds one can rely on this (T-57): no segment is empty, `.` or `..`, has a slash, a backslash or a control
/// character, or is one of our own temporary names; and the path is neither longer nor deeper than the system takes.
/// Compare places by [`is_within`](Self::is_within), which goes by segments: `ab` is not within `a` (T-65).
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TreePath(String);

impl TreePath {
    /// The top of the tree.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads decoded text such as `Photos/2026/a.jpg`. Empty segments collapse, so a leading or trailing slash is nothing.
    ///
    /// # Errors
    ///
    /// [`Reason::UnsafePath`] for anything that this type promises not to hold.
    pub fn parse(text: &str) -> Result<Self> {
        Self::of_segments(text.split('/').filter(|segment| !segment.is_empty()))
    }

    /// Reads the path of a URL: each segment is percent-decoded exactly once, after the split.
    ///
    /// A literal `.` segment is dropped, because OpenCloud's client sends `/folder/./a.txt`. Everything else that could
    /// mean another place than it says is refused: `..`, `%2e`, `%2f`, `%5c`, `%00`, overlong or broken UTF-8, and a `%`
    /// that begins no escape.
    ///
    /// # Errors
    ///
    /// [`Reason::UnsafePath`], as [`parse`](Self::parse).
    pub fn from_url(path: &str) -> Result<Self> {
        let decoded = path
            .split('/')
            .filter(|segment| !segment.is_empty() && *segment != ".")
            .map(decode_once)
            .collect::<Result<Vec<_>>>()?;
        Self::of_segments(decoded.iter().map(String::as_str))
    }

    /// The path percent-encoded for a URL, without a leading or trailing slash.
    pub fn to_url(&self) -> String {
        self.segments()
            .map(|segment| utf8_percent_encode(segment, ENCODED).to_string())
            .collect::<Vec<_>>()
            .join("/")
    }

    /// The thing called `name` in this folder.
    ///
    /// # Errors
    ///
    /// [`Reason::UnsafePath`] if `name` is not exactly one good segment.
    pub fn join(&self, name: &str) -> Result<Self> {
        Self::of_segments(self.segments().chain([name]))
    }

    /// The place that `below` names when it is read from here.
    ///
    /// # Errors
    ///
    /// [`Reason::UnsafePath`] if the two together are too long or too deep.
    pub fn descend(&self, below: &Self) -> Result<Self> {
        Self::of_segments(self.segments().chain(below.segments()))
    }

    /// The folder this is in; none for the top.
    pub fn parent(&self) -> Option<Self> {
        match self.0.rsplit_once('/') {
            Some((parent, _)) => Some(Self(parent.to_owned())),
            None if self.is_root() => None,
            None => Some(Self::root()),
        }
    }

    /// The last segment; none for the top.
    pub fn name(&self) -> Option<&str> {
        self.segments().next_back()
    }

    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this is `folder` itself or something beneath it.
    pub fn is_within(&self, folder: &Self) -> bool {
        self.below(folder).is_some()
    }

    /// This path as read from `folder`; none where it is not within.
    pub fn below(&self, folder: &Self) -> Option<Self> {
        if folder.is_root() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(&folder.0)?;
        match rest.strip_prefix('/') {
            Some(rest) => Some(Self(rest.to_owned())),
            None if rest.is_empty() => Some(Self::root()),
            None => None,
        }
    }

    /// The path as text, `/` between the segments; empty for the top.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn of_segments<'a>(segments: impl Iterator<Item = &'a str>) -> Result<Self> {
        let mut path = String::new();
        for (depth, segment) in segments.enumerate() {
            check_segment(segment)?;
            if depth >= DEEPEST {
                return Err(unsafe_path("This path has too many folders."));
            }
            if depth > 0 {
                path.push('/');
            }
            path.push_str(segment);
        }
        if path.len() > LONGEST_PATH {
            return Err(unsafe_path("This path is too long."));
        }
        Ok(Self(path))
    }
}

/// Whether a name is of something that is only on its way to its place.
pub fn is_hidden(name: &str) -> bool {
    name.starts_with(HIDDEN)
}

fn check_segment(segment: &str) -> Result<()> {
    if segment.is_empty() || segment.contains('/') {
        return Err(unsafe_path("A name is one segment of a path."));
    }
    if segment == "." || segment == ".." {
        return Err(unsafe_path("A path may not have `.` or `..` in it."));
    }
    if segment.contains('\\') || segment.chars().any(char::is_control) {
        return Err(unsafe_path(
            "A name may not have a backslash or control character in it.",
        ));
    }
    if segment.len() > LONGEST_NAME {
        return Err(unsafe_path("This name is too long."));
    }
    if segment.starts_with(HIDDEN) {
        return Err(unsafe_path("This name is used by the server itself."));
    }
    Ok(())
}

fn decode_once(segment: &str) -> Result<String> {
    let broken = || unsafe_path("This URL has a `%` in its path that stands for nothing.");
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let mut digit = || rest.next().and_then(|digit| char::from(digit).to_digit(16));
        let (high, low) = (digit().ok_or_else(broken)?, digit().ok_or_else(broken)?);
        bytes.push(u8::try_from(high * 16 + low).map_err(|_| broken())?);
    }
    String::from_utf8(bytes).map_err(|_| unsafe_path("This URL has a path that is not UTF-8."))
}

fn unsafe_path(message: &'static str) -> Error {
    Error::new(Reason::UnsafePath, message)
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for TreePath {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        Self::parse(&text)
    }
}

impl From<TreePath> for String {
    fn from(path: TreePath) -> Self {
        path.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(url: &str, expected: Option<&str>) {
        let read = TreePath::from_url(url).ok();
        assert_eq!(read.as_ref().map(TreePath::as_str), expected, "{url:?}");
    }

    #[test]
    fn t57_a_url_is_decoded_once_and_leads_only_downwards() {
        check("", Some(""));
        check("/", Some(""));
        check("a//b/", Some("a/b"));
        check("/folder1/./a.txt", Some("folder1/a.txt"));
        check("/folder1/.", Some("folder1"));
        check("/a%20b/%C3%A9", Some("a b/é"));
        check("/...", Some("..."));
        check("/C:", Some("C:"));
        // Decoded twice this would be `..`; decoded once it is a strange but harmless name.
        check("/%252e%252e", Some("%2e%2e"));
        for refused in [
            "..",
            "a/../b",
            "%2e%2e",
            "%2E.",
            ".%2e",
            "%2e",
            "a%2fb",
            "%2f",
            "a%5cb",
            "..%5c",
            "a\\b",
            "%00",
            "a%0ab",
            "%7f",
            "%c0%ae%c0%ae",
            "%c0%af",
            "%e0%80%af",
            "%ff",
            "%u002e",
            "%",
            "%2",
            "%zz",
            "%c2%85",
            ".ocmesh-upload-1",
            "x/.ocmesh-upload-",
        ] {
            check(refused, None);
        }
    }

    #[test]
    fn a_path_is_no_longer_and_no_deeper_than_the_system_takes() {
        check(&"n".repeat(255), Some(&"n".repeat(255)));
        check(&"n".repeat(256), None);
        check(&"d/".repeat(64), Some("d/".repeat(64).trim_end_matches('/')));
        check(&"d/".repeat(65), None);
        check(&format!("{}/", "n".repeat(200)).repeat(21), None);
    }

    #[test]
    fn a_path_survives_the_way_through_a_url() {
        for text in ["", "a", "a b/ü/%41", "100%/#?&=+;:@'\"<>", "日本/🦀.txt"] {
            let path = TreePath::parse(text).expect("good paths");
            assert_eq!(
                TreePath::from_url(&path.to_url()).expect("what we encode ourselves"),
                path
            );
        }
    }

    #[test]
    fn t65_a_neighbour_with_a_longer_name_is_not_within() {
        let path = |text| TreePath::parse(text).expect("good paths");
        assert!(path("a/b").is_within(&path("a")));
        assert!(path("a").is_within(&path("a")));
        assert!(path("a").is_within(&TreePath::root()));
        assert!(!path("ab").is_within(&path("a")));
        assert!(!path("a").is_within(&path("a/b")));
        assert_eq!(path("a/b/c").below(&path("a")), Some(path("b/c")));
        assert_eq!(path("a/b").parent(), Some(path("a")));
        assert_eq!(path("a").parent(), Some(TreePath::root()));
        assert_eq!(TreePath::root().parent(), None);
        assert_eq!(path("a/b").name(), Some("b"));
        assert!(path("a").join("b/c").is_err() && path("a").join("..").is_err() && path("a").join("").is_err());
    }

    #[test]
    fn a_path_that_was_kept_is_read_as_strictly_as_one_that_was_sent() {
        assert!(serde_json::from_str::<TreePath>("\"a/../b\"").is_err());
        assert_eq!(
            serde_json::to_string(&TreePath::parse("a/b").expect("a good path")).expect("text"),
            "\"a/b\""
        );
    }

    proptest! {
        #[test]
        fn t57_whatever_is_sent_as_a_path_keeps_what_the_type_promises(
            url in proptest::collection::vec("(%[0-9a-fA-F]{0,2}|\\.|/|\\\\|.|%2[ef]|%5c|%00){0,6}", 0..6).prop_map(|parts| parts.join("/")),
        ) {
            if let Ok(path) = TreePath::from_url(&url) {
                for segment in path.segments() {
                    prop_assert!(segment != "." && segment != "..");
                    prop_assert!(!segment.contains(['/', '\\', '\0']) && segment.len() <= 255);
                }
                prop_assert_eq!(TreePath::from_url(&path.to_url()).ok(), Some(path.clone()));
                prop_assert_eq!(TreePath::parse(path.as_str()).ok(), Some(path));
            }
        }
    }
}
