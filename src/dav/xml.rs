//! XML as WebDAV needs it: small documents from strangers, read without a DTD, and names and text written safely (T-61).

use std::fmt::Write;

use quick_xml::NsReader;
use quick_xml::XmlVersion;
use quick_xml::escape::unescape;
use quick_xml::events::BytesRef;
use quick_xml::events::BytesStart;
use quick_xml::events::Event;
use quick_xml::name::PrefixDeclaration;
use quick_xml::name::ResolveResult;

use super::refusal::Outcome;
use super::refusal::Refusal;

pub(super) const DAV: &str = "DAV:";
pub(super) const CONTENT_TYPE: &str = "application/xml; charset=utf-8";
pub(super) const DECLARATION: &str = "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n";

/// The namespace of the prefix `xml`, which is never declared.
const XML: &str = "http://www.w3.org/XML/1998/namespace";

/// What a body may be, in bytes.
pub(super) const LARGEST: usize = 64 * 1024;
const DEEPEST: usize = 32;
const MOST_ELEMENTS: usize = 4096;
const MOST_ATTRIBUTES: usize = 64;
/// In bytes. Each element holds its namespace, so that a long one must not be multiplied.
const LONGEST_NAME: usize = 512;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    /// Empty for none.
    pub(super) namespace: String,
    pub(super) local: String,
}

impl Name {
    pub(super) fn is_dav(&self, local: &str) -> bool {
        self.namespace == DAV && self.local == local
    }

    /// As [`is_dav`](Self::is_dav), but OpenCloud's client sends `<allprop/>` in no namespace.
    pub(super) fn is_dav_or_bare(&self, local: &str) -> bool {
        (self.namespace == DAV || self.namespace.is_empty()) && self.local == local
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: Name,
    /// `xml:lang` here or above.
    pub(super) language: Option<String>,
    attributes: Vec<(Name, String)>,
    nodes: Vec<Node>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Node {
    Element(Element),
    Text(String),
}

impl Element {
    pub(super) fn children(&self) -> impl Iterator<Item = &Element> {
        self.nodes.iter().filter_map(|node| match node {
            Node::Element(element) => Some(element),
            Node::Text(_) => None,
        })
    }

    /// The first child of this name in `DAV:`.
    pub(super) fn child(&self, local: &str) -> Option<&Element> {
        self.children().find(|child| child.name.is_dav(local))
    }

    /// The text right in this element.
    pub(super) fn text(&self) -> String {
        self.nodes
            .iter()
            .filter_map(|node| match node {
                Node::Text(text) => Some(text.as_str()),
                Node::Element(_) => None,
            })
            .collect()
    }

    /// What is in this element as XML that stands for itself wherever no default namespace is declared; none if it would
    /// be longer than `longest` bytes.
    pub(super) fn content(&self, longest: usize) -> Option<String> {
        let mut out = String::new();
        write_nodes(&mut out, &self.nodes, "", longest)?;
        Some(out)
    }
}

fn write_nodes(out: &mut String, nodes: &[Node], default: &str, longest: usize) -> Option<()> {
    for node in nodes {
        match node {
            Node::Text(text) => escape(out, text),
            Node::Element(element) => write_element(out, element, default, longest)?,
        }
        if out.len() > longest {
            return None;
        }
    }
    Some(())
}

fn write_element(out: &mut String, element: &Element, default: &str, longest: usize) -> Option<()> {
    let Name { namespace, local } = &element.name;
    out.push('<');
    out.push_str(local);
    if namespace != default {
        attribute(out, "xmlns", namespace);
    }
    for (number, (name, value)) in element.attributes.iter().enumerate() {
        match name.namespace.as_str() {
            "" => attribute(out, &name.local, value),
            XML => attribute(out, &format!("xml:{}", name.local), value),
            namespace => {
                attribute(out, &format!("xmlns:a{number}"), namespace);
                attribute(out, &format!("a{number}:{}", name.local), value);
            }
        }
    }
    if element.nodes.is_empty() {
        out.push_str("/>");
    } else {
        out.push('>');
        write_nodes(out, &element.nodes, namespace, longest)?;
        out.push_str("</");
        out.push_str(local);
        out.push('>');
    }
    Some(())
}

fn attribute(out: &mut String, name: &str, value: &str) {
    out.push(' ');
    out.push_str(name);
    out.push_str("=\"");
    escape(out, value);
    out.push('"');
}

/// Appends text so that it is text, in an element or a quoted attribute. What XML can't say is left out.
pub(super) fn escape(out: &mut String, text: &str) {
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\r' => out.push_str("&#13;"),
            other if is_xml(other) => out.push(other),
            _ => {}
        }
    }
}

/// Appends an element of any namespace. `content` is XML already.
pub(super) fn element(out: &mut String, namespace: &str, local: &str, language: Option<&str>, content: &str) {
    let prefix = match namespace {
        "" => "",
        DAV => "d:",
        _ => "x:",
    };
    out.push('<');
    out.push_str(prefix);
    out.push_str(local);
    if prefix == "x:" {
        attribute(out, "xmlns:x", namespace);
    }
    if let Some(language) = language {
        attribute(out, "xml:lang", language);
    }
    if content.is_empty() {
        out.push_str("/>");
    } else {
        // A String takes all that is written to it.
        let _ = write!(out, ">{content}</{prefix}{local}>");
    }
}

/// Reads a document; none if there is nothing.
///
/// # Errors
///
/// 400 for a DTD, an entity that XML itself doesn't have, and whatever else is not well-formed or is more than WebDAV
/// could want.
pub(super) fn read(body: &[u8]) -> Outcome<Option<Element>> {
    let text = std::str::from_utf8(body).map_err(|_| malformed())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim().is_empty() {
        return Ok(None);
    }
    let mut reader = NsReader::from_str(text);
    reader.resolver_mut().set_max_namespace_bindings(MOST_ATTRIBUTES);
    let mut document = Document::default();
    loop {
        let event = reader.read_event().map_err(|_| malformed())?;
        match event {
            Event::Start(start) => document.open(element_of(&reader, &start)?)?,
            Event::Empty(start) => {
                document.open(element_of(&reader, &start)?)?;
                document.close()?;
            }
            Event::End(_) => document.close()?,
            Event::Text(text) => document.text(&text.xml10_content())?,
            Event::CData(text) => document.text(&text.xml10_content())?,
            Event::GeneralRef(reference) => document.text(&resolve(&reference)?)?,
            Event::DocType(_) => return Err(malformed()),
            Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
            Event::Eof => return document.finish().map(Some),
        }
    }
}

#[derive(Default)]
struct Document {
    open: Vec<Element>,
    root: Option<Element>,
    elements: usize,
}

impl Document {
    fn open(&mut self, mut element: Element) -> Outcome<()> {
        self.elements += 1;
        if self.open.len() >= DEEPEST || self.elements > MOST_ELEMENTS || self.root.is_some() {
            return Err(malformed());
        }
        if element.language.is_none() {
            element.language = self.open.last().and_then(|parent| parent.language.clone());
        }
        self.open.push(element);
        Ok(())
    }

    fn close(&mut self) -> Outcome<()> {
        let closed = self.open.pop().ok_or_else(malformed)?;
        match self.open.last_mut() {
            Some(parent) => parent.nodes.push(Node::Element(closed)),
            None => self.root = Some(closed),
        }
        Ok(())
    }

    fn text(&mut self, text: &str) -> Outcome<()> {
        if !text.chars().all(is_xml) {
            return Err(malformed());
        }
        match self.open.last_mut() {
            Some(parent) => match parent.nodes.last_mut() {
                Some(Node::Text(before)) => before.push_str(text),
                _ => parent.nodes.push(Node::Text(text.to_owned())),
            },
            None if text.trim().is_empty() => {}
            None => return Err(malformed()),
        }
        Ok(())
    }

    fn finish(self) -> Outcome<Element> {
        if !self.open.is_empty() {
            return Err(malformed());
        }
        self.root.ok_or_else(malformed)
    }
}

fn element_of(reader: &NsReader<&[u8]>, start: &BytesStart<'_>) -> Outcome<Element> {
    let (namespace, local) = reader.resolver().resolve_element(start.name());
    let mut element = Element {
        name: name_of(&namespace, local.as_ref())?,
        language: None,
        attributes: Vec::new(),
        nodes: Vec::new(),
    };
    for (number, attribute) in start.attributes().enumerate() {
        let attribute = attribute.map_err(|_| malformed())?;
        let value = attribute
            .normalized_value(XmlVersion::Implicit1_0)
            .map_err(|_| malformed())?;
        if number >= MOST_ATTRIBUTES || !value.chars().all(is_xml) {
            return Err(malformed());
        }
        match attribute.key.as_namespace_binding() {
            // Only the default namespace can be taken back (Namespaces in XML 1.0, section 2.2).
            Some(PrefixDeclaration::Named(_)) if value.is_empty() => return Err(malformed()),
            Some(_) => continue,
            None => {}
        }
        let (namespace, local) = reader.resolver().resolve_attribute(attribute.key);
        let name = name_of(&namespace, local.as_ref())?;
        if name.namespace == XML && name.local == "lang" {
            element.language = Some(value.to_string());
        }
        element.attributes.push((name, value.into_owned()));
    }
    Ok(element)
}

fn name_of(namespace: &ResolveResult<'_>, local: &str) -> Outcome<Name> {
    let namespace = match namespace {
        ResolveResult::Bound(namespace) => unescape(namespace.into_inner()).map_err(|_| malformed())?,
        ResolveResult::Unbound => "".into(),
        ResolveResult::Unknown(_) => return Err(malformed()),
    };
    let begins = |first: char| first.is_alphabetic() || first == '_';
    let goes_on = |next: char| next.is_alphanumeric() || matches!(next, '_' | '-' | '.' | '\u{b7}');
    let good = local.starts_with(begins) && local.chars().all(goes_on);
    if !good || local.len() > LONGEST_NAME || namespace.len() > LONGEST_NAME || !namespace.chars().all(is_xml) {
        return Err(malformed());
    }
    Ok(Name {
        namespace: namespace.into_owned(),
        local: local.to_owned(),
    })
}

/// A character reference or one of the five entities that need no declaration.
fn resolve(reference: &BytesRef<'_>) -> Outcome<String> {
    let character = match reference.resolve_char_ref().map_err(|_| malformed())? {
        Some(character) => character,
        None => match reference.as_ref() {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "apos" => '\'',
            "quot" => '"',
            _ => return Err(malformed()),
        },
    };
    Ok(character.to_string())
}

fn is_xml(character: char) -> bool {
    match character {
        '\t' | '\n' | '\r' => true,
        '\u{fffe}' | '\u{ffff}' => false,
        other => other >= ' ',
    }
}

fn malformed() -> Refusal {
    Refusal::bad_request("The body of this request is not XML that WebDAV has a use for.")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_read_is_written_so_that_it_reads_the_same(
            body in "(<a>|</a>|<b xmlns='u:1'>|</b>|<p:c xmlns:p='u:2' p:d='&lt;'/>|<e xmlns=''/>|&amp;|&#x1F980;|t'\"|<!--c-->|<!\\[CDATA\\[<\\]\\]>|\r\n| ){0,12}",
        ) {
            if let Ok(Some(document)) = read(format!("<r>{body}</r>").as_bytes()) {
                let content = document.content(usize::MAX).expect("no limit");
                let again = read(format!("<r>{content}</r>").as_bytes()).expect("what we write is XML").expect("an element");
                prop_assert_eq!(again.nodes, document.nodes);
            }
        }

        #[test]
        fn t61_whatever_is_sent_as_xml_is_read_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = read(&body);
        }
    }

    #[test]
    fn t61_a_document_has_its_limits() {
        let nested = |depth: usize| format!("{}{}", "<a>".repeat(depth), "</a>".repeat(depth));
        let attributes = |number: usize| {
            let all: String = (0..number).map(|number| format!(" a{number}=''")).collect();
            format!("<r{all}/>")
        };
        let children = |number: usize| format!("<r>{}</r>", "<a/>".repeat(number - 1));
        for (fits, too_much) in [
            (nested(DEEPEST), nested(DEEPEST + 1)),
            (attributes(MOST_ATTRIBUTES), attributes(MOST_ATTRIBUTES + 1)),
            (children(MOST_ELEMENTS), children(MOST_ELEMENTS + 1)),
        ] {
            assert!(read(fits.as_bytes()).is_ok(), "{} bytes", fits.len());
            assert!(read(too_much.as_bytes()).is_err(), "{} bytes", too_much.len());
        }
    }

    #[test]
    fn content_that_would_be_too_long_is_not_written() {
        let document = read(b"<r><a xmlns='urn:x'>12345</a></r>")
            .expect("XML")
            .expect("an element");
        let whole = document.content(usize::MAX).expect("no limit");
        assert_eq!(whole, "<a xmlns=\"urn:x\">12345</a>");
        assert_eq!(document.content(whole.len()).as_deref(), Some(whole.as_str()));
        assert_eq!(document.content(whole.len() - 1), None);
    }
}
