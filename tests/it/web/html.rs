//! The source of a page as a reader's program takes it: tags that match, words for everything, nothing that runs (WCAG
//! 2.2, T-68).

use std::collections::BTreeSet;

/// An element: where it hangs, what it says of itself, and the text in it and in all that is in it.
pub struct Element {
    pub name: String,
    attributes: Vec<(String, String)>,
    parent: Option<usize>,
    pub text: String,
}

impl Element {
    pub fn get(&self, name: &str) -> Option<&str> {
        let found = self.attributes.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| value.as_str())
    }

    fn is(&self, names: &[&str]) -> bool {
        names.contains(&self.name.as_str())
    }

    fn describe(&self) -> String {
        let attributes = self.attributes.iter().map(|(name, value)| format!(" {name}={value:?}"));
        format!("<{}{}>{}", self.name, attributes.collect::<String>(), self.text.trim())
    }
}

pub struct Document {
    pub elements: Vec<Element>,
}

const EMPTY: [&str; 6] = ["meta", "link", "input", "br", "hr", "img"];
/// What a paragraph can't hold: a browser ends it before them, and the rest stands outside.
const NOT_IN_A_PARAGRAPH: [&str; 12] = [
    "p", "div", "ul", "ol", "dl", "form", "table", "section", "h1", "h2", "h3", "fieldset",
];

impl Document {
    /// # Panics
    ///
    /// Where a tag is not closed, or closed in another's place: a browser would guess, each its own way.
    pub fn read(html: &str) -> Self {
        let mut elements: Vec<Element> = Vec::new();
        let mut open: Vec<usize> = Vec::new();
        let mut rest = html;
        while let Some(at) = rest.find('<') {
            let text = unescape(&rest[..at]);
            for inside in &open {
                elements[*inside].text.push_str(&text);
            }
            rest = &rest[at + 1..];
            if rest.starts_with('!') {
                rest = rest.split_once('>').expect("an end of it").1;
                continue;
            }
            let (tag, after) = tag(rest);
            rest = after;
            if let Some(name) = tag.name.strip_prefix('/') {
                let last = open.pop().map(|last| elements[last].name.clone());
                assert_eq!(last.as_deref(), Some(name), "closed before {:.80}", rest);
                continue;
            }
            let parent = open.last().copied();
            if tag.is(&NOT_IN_A_PARAGRAPH) {
                let inside = open.iter().find(|at| elements[**at].name == "p");
                assert!(inside.is_none(), "{} in a paragraph", tag.describe());
            }
            let closed = tag.get("/").is_some() || tag.is(&EMPTY);
            elements.push(Element { parent, ..tag });
            if !closed {
                open.push(elements.len() - 1);
            }
        }
        assert!(open.is_empty(), "not closed: {}", elements[open[0]].name);
        Self { elements }
    }

    pub fn all<'a>(&'a self, names: &'a [&str]) -> impl Iterator<Item = &'a Element> {
        self.elements.iter().filter(|element| element.is(names))
    }

    /// What an element is inside of, from the nearest on.
    fn around<'a>(&'a self, element: &'a Element) -> impl Iterator<Item = &'a Element> {
        std::iter::successors(element.parent.map(|at| &self.elements[at]), |inner| {
            inner.parent.map(|at| &self.elements[at])
        })
    }

    fn inside<'a>(&'a self, outer: &'a Element, names: &'a [&str]) -> impl Iterator<Item = &'a Element> {
        let within = move |element: &&Element| self.around(element).any(|one| std::ptr::eq(one, outer));
        self.all(names).filter(within)
    }

    pub fn title(&self) -> &str {
        self.all(&["title"]).next().map_or("", |title| title.text.trim())
    }
}

fn tag(text: &str) -> (Element, &str) {
    let end = text
        .find(|c: char| c.is_whitespace() || c == '>')
        .expect("an end of the tag");
    let (name, mut rest) = text.split_at(end);
    let mut attributes: Vec<(String, String)> = Vec::new();
    let mut name = name.to_owned();
    if name.len() > 1 && name.ends_with('/') {
        name.pop();
        attributes.push(("/".to_owned(), String::new()));
    }
    loop {
        rest = rest.trim_start();
        if let Some(after) = rest.strip_prefix('>') {
            let element = Element {
                name: name.to_ascii_lowercase(),
                attributes,
                parent: None,
                text: String::new(),
            };
            return (element, after);
        }
        let stop = rest
            .find(|c: char| c.is_whitespace() || c == '>' || c == '=')
            .expect("an end of the attribute");
        // The slash of a tag that closes itself may stand right behind the last value.
        let stop = if rest.starts_with('/') { 1 } else { stop };
        let key = rest[..stop].to_owned();
        rest = &rest[stop..];
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.strip_prefix('"').expect("each value stands in quotes");
            let (inner, beyond) = after.split_once('"').expect("an end of the value");
            value = unescape(inner);
            rest = beyond;
        }
        assert!(
            attributes.iter().all(|(other, _)| *other != key),
            "{key} twice in a <{name}>"
        );
        attributes.push((key, value));
    }
}

pub fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        plain.push_str(before);
        let (name, beyond) = after.split_once(';').expect("each & is escaped");
        let code = name.strip_prefix('#').and_then(|number| number.parse().ok());
        match (name, code.and_then(char::from_u32)) {
            (_, Some(c)) => plain.push(c),
            ("amp", _) => plain.push('&'),
            ("lt", _) => plain.push('<'),
            ("gt", _) => plain.push('>'),
            ("quot", _) => plain.push('"'),
            _ => panic!("&{name};"),
        }
        rest = beyond;
    }
    plain + rest
}

/// What is asked of the source of every page, whatever it is about.
pub fn check(path: &str, html: &str) -> Document {
    assert!(html.starts_with("<!doctype html>\n<html lang=\""), "{path}");
    assert!(html.len() <= 60 << 10, "{path}: {} bytes", html.len());
    for left in ["{{", "{%", "{#"] {
        assert!(!html.contains(left), "{path} has {left}");
    }
    let page = Document::read(html);
    let mut faults = Vec::new();
    check_frame(&page, &mut faults);
    check_names(&page, &mut faults);
    check_tables(&page, &mut faults);
    check_nothing_runs(&page, &mut faults);
    check_links(&page, &mut faults);
    assert!(faults.is_empty(), "{path}:\n{}", faults.join("\n"));
    page
}

fn check_frame(page: &Document, faults: &mut Vec<String>) {
    for (name, there) in [("h1", 1), ("main", 1), ("title", 1)] {
        if page.all(&[name]).count() != there {
            faults.push(format!("not {there} <{name}>"));
        }
    }
    let mut before = 0;
    for heading in page.all(&["h1", "h2", "h3", "h4", "h5", "h6"]) {
        let level = heading.name[1..].parse::<u8>().expect("a digit");
        if level > before + 1 || heading.text.trim().is_empty() {
            faults.push(format!("after a heading of level {before}: {}", heading.describe()));
        }
        before = level;
    }
    let mut named = BTreeSet::new();
    for part in page.all(&["nav"]) {
        if !part
            .get("aria-label")
            .is_some_and(|label| named.insert(label.to_owned()))
        {
            faults.push(format!("no name of its own: {}", part.describe()));
        }
    }
    for element in &page.elements {
        if element
            .get("tabindex")
            .is_some_and(|order| order.parse().is_ok_and(|order: i32| order > 0))
        {
            faults.push(format!("out of order: {}", element.describe()));
        }
    }
}

/// Everything that is used has words that say what it is.
fn check_names(page: &Document, faults: &mut Vec<String>) {
    let labelled = |element: &Element| {
        let label = page.all(&["label"]).any(|label| {
            label.get("for").is_some() && label.get("for") == element.get("id") && !label.text.trim().is_empty()
        });
        let worded = |name: &str| element.get(name).is_some_and(|words| !words.trim().is_empty());
        label || worded("aria-label") || worded("aria-labelledby") || page.around(element).any(|one| one.is(&["label"]))
    };
    for control in page.all(&["input", "select", "textarea", "progress", "meter"]) {
        if control.get("type") != Some("hidden") && control.get("hidden").is_none() && !labelled(control) {
            faults.push(format!("nothing says what it is: {}", control.describe()));
        }
    }
    for used in page.all(&["button", "a", "summary", "legend", "caption", "th", "label", "option"]) {
        let pictured = page
            .inside(used, &["img", "svg"])
            .any(|one| one.get("aria-label").is_some());
        let empty = used.text.trim().is_empty() && !labelled(used) && !pictured;
        // An entry of a list to choose from may be no choice at all, or say it in its value.
        if empty && !(used.is(&["option"]) && used.get("value").is_some()) {
            faults.push(format!("without words: {}", used.describe()));
        }
    }
    for group in page.all(&["fieldset"]) {
        if page.inside(group, &["legend"]).next().is_none() {
            faults.push(format!("without a legend: {}", group.describe()));
        }
    }
    for picture in page.all(&["svg", "img"]) {
        let said = picture.get("alt").is_some()
            || picture.get("aria-hidden") == Some("true")
            || picture.get("role") == Some("img") && picture.get("aria-label").is_some();
        let inside = page.around(picture).any(|one| one.get("aria-hidden") == Some("true"));
        if !said && !inside {
            faults.push(format!("a picture without words: {}", picture.describe()));
        }
    }
}

fn check_tables(page: &Document, faults: &mut Vec<String>) {
    for table in page.all(&["table"]) {
        if page.inside(table, &["caption"]).count() != 1 {
            faults.push(format!("no caption: {}", table.describe()));
        }
    }
    for heading in page.all(&["th"]) {
        if !matches!(heading.get("scope"), Some("row" | "col" | "rowgroup" | "colgroup")) {
            faults.push(format!("heads nothing: {}", heading.describe()));
        }
    }
}

fn check_nothing_runs(page: &Document, faults: &mut Vec<String>) {
    let foreign = ["style", "iframe", "object", "embed", "base", "frame", "applet"];
    for element in &page.elements {
        let runs = element
            .attributes
            .iter()
            .any(|(name, _)| name.starts_with("on") || name == "style" || name == "srcdoc");
        let ours = element.get("src").is_some_and(|from| from.starts_with("/static/"));
        let script = element.is(&["script"]) && !(ours && element.text.is_empty());
        let refresh = element
            .get("http-equiv")
            .is_some_and(|what| what.eq_ignore_ascii_case("refresh"));
        if runs || script || refresh || element.is(&foreign) {
            faults.push(format!("this runs: {}", element.describe()));
        }
    }
}

/// Links stay here, but for those that say that they leave; what points at another part of the page finds it.
fn check_links(page: &Document, faults: &mut Vec<String>) {
    let mut ids = BTreeSet::new();
    for id in page.elements.iter().filter_map(|element| element.get("id")) {
        if !ids.insert(id) {
            faults.push(format!("the id {id} twice"));
        }
        if id.is_empty() || id.contains(char::is_whitespace) {
            faults.push(format!("an id {id:?}"));
        }
    }
    for element in &page.elements {
        for pointer in [
            "for",
            "list",
            "form",
            "aria-labelledby",
            "aria-describedby",
            "aria-controls",
        ] {
            let lost = element.get(pointer).into_iter().flat_map(str::split_whitespace);
            for id in lost.filter(|id| !ids.contains(id)) {
                faults.push(format!("{pointer} points at no {id}: {}", element.describe()));
            }
        }
        for place in ["href", "src", "action", "formaction", "poster"] {
            let Some(to) = element.get(place) else { continue };
            let here = to.starts_with('/') && !to.starts_with("//") || to.starts_with('?');
            let picture = place == "src" && to.starts_with("data:image/");
            let leaves = element.is(&["a"]) && (to.starts_with("mailto:") || element.get("rel") == Some("noreferrer"));
            match to.strip_prefix('#') {
                Some(id) if ids.contains(id) => {}
                Some(id) => faults.push(format!("there is no #{id} here: {}", element.describe())),
                None if here || picture || leaves => {}
                None => faults.push(format!("leads elsewhere: {}", element.describe())),
            }
        }
    }
    for form in page.all(&["form"]) {
        let action = form.get("action").unwrap_or_default();
        let open = ["/login", "/setup", "/welcome", "/wayf", "/language"].contains(&action);
        let token = page
            .inside(form, &["input"])
            .any(|field| field.get("name") == Some("form_token"));
        let posts = form.get("method") == Some("post");
        if posts && !open && !token || !posts && token {
            faults.push(format!("no token, or one in an address: {}", form.describe()));
        }
    }
}

#[test]
fn what_is_wrong_with_a_page_is_found() {
    let around = |inner: &str| {
        format!(
            "<!doctype html>\n<html lang=\"en\"><head><title>T</title></head><body><main><h1>T</h1>{inner}</main></body></html>"
        )
    };
    let check = |inner: &str, fault: &str| {
        let html = around(inner);
        let found = std::panic::catch_unwind(|| {
            check("a page", &html);
        });
        let said = match found {
            Ok(()) => String::new(),
            Err(cause) => cause.downcast::<String>().map_or_else(|_| "?".to_owned(), |text| *text),
        };
        assert!(
            said.contains(fault) && said.is_empty() == fault.is_empty(),
            "{inner}: {said}"
        );
    };
    check("<p>Fine.</p>", "");
    check("<h3>Deep</h3>", "after a heading of level 1");
    check("<p><ul></ul></p>", "in a paragraph");
    check("<p>", "closed before");
    check("<input name=\"a\">", "nothing says what it is");
    check("<label for=\"a\">A</label><input id=\"a\">", "");
    check("<label for=\"b\">A</label>", "points at no b");
    check("<a href=\"#b\">B</a>", "there is no #b");
    check("<a href=\"//evil.example\">B</a>", "leads elsewhere");
    check("<a href=\"javascript:alert(1)\">B</a>", "leads elsewhere");
    check("<a href=\"https://b.example\" rel=\"noreferrer\">B</a>", "");
    check("<img src=\"/a\">", "a picture without words");
    check("<b onclick=\"a\">B</b>", "this runs");
    check("<b style=\"a\">B</b>", "this runs");
    check("<script>a</script>", "this runs");
    check("<b id=\"a\">B</b><b id=\"a\">B</b>", "twice");
    check("<table><tr><th>A</th></tr></table>", "no caption");
    check("<a href=\"/\"></a>", "without words");
    check("<form method=\"post\" action=\"/home\"></form>", "no token");
    check("<nav></nav>", "no name of its own");
    check("<b tabindex=\"3\">B</b>", "out of order");
}
