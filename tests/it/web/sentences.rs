//! What people read goes through the catalogue: no template has words of its own, and every sentence in use is in every
//! language (`src/lang`).
//!
//! A sentence of code is written with the names of its places, `{host}`; places without a name, `{}`, are called by their
//! number in the catalogue, `{0}`, and how a place is printed, `{name:?}`, is left out.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

use ocmesh::lang::Lang;

/// Where what is said is read by operators at a terminal and by other servers, or is no sentence.
const NOT_ON_PAGES: [&str; 14] = [
    "app/",
    "cli/",
    "clock.rs",
    "config.rs",
    "config/",
    "dav/",
    "http/",
    "lang/",
    "lib.rs",
    "main.rs",
    "metrics.rs",
    "metrics/",
    "site/vitals.rs",
    "store/",
];

fn below(folder: &str, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|own| own == ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn own_name(path: &Path, folder: &str) -> String {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    path.strip_prefix(top).unwrap().to_str().unwrap().to_owned()
}

/// A template without its expressions, and the expressions.
fn parted(template: &str) -> (String, Vec<String>) {
    let (mut html, mut code, mut rest) = (String::new(), Vec::new(), template);
    while let Some(at) = rest.find('{') {
        let ending = match rest[at..].get(..2) {
            Some("{{") => "}}",
            Some("{%") => "%}",
            Some("{#") => "#}",
            _ => {
                html.push_str(&rest[..=at]);
                rest = &rest[at + 1..];
                continue;
            }
        };
        html.push_str(&rest[..at]);
        let inner = &rest[at + 2..];
        let end = end_of(inner, ending);
        if ending != "#}" {
            code.push(inner[..end].to_owned());
        }
        rest = &inner[end + 2..];
    }
    (html + rest, code)
}

/// Where an expression ends; what stands in quotes does not end it.
fn end_of(text: &str, ending: &str) -> usize {
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in text.char_indices() {
        if !quoted && text[at..].starts_with(ending) {
            return at;
        }
        quoted ^= c == '"' && !escaped && ending != "#}";
        escaped = c == '\\' && !escaped;
    }
    panic!("no {ending} in {text:.80}");
}

/// Words in a template that no catalogue is asked for.
fn own_words(template: &str) -> Vec<String> {
    let (html, _) = parted(template);
    let mut words = Vec::new();
    let mut rest = html.as_str();
    let mut technical = 0;
    while !rest.is_empty() {
        let at = rest.find('<').unwrap_or(rest.len());
        let (text, after) = rest.split_at(at);
        if technical == 0 && text.chars().any(char::is_alphabetic) {
            words.push(text.trim().to_owned());
        }
        let Some(after) = after.strip_prefix('<') else { break };
        let (tag, beyond) = after.split_once('>').unwrap_or((after, ""));
        let name: String = tag.chars().take_while(|c| !c.is_whitespace()).collect();
        match name.as_str() {
            "code" | "pre" => technical += 1,
            "/code" | "/pre" => technical -= 1,
            _ => {}
        }
        words.extend(spoken_attributes(&name, tag));
        rest = beyond;
    }
    // An example of an address is no word, and neither are attributes that a macro puts into a tag.
    words.retain(|word| (!word.contains(['@', '.']) || word.contains(' ')) && !word.contains("=\""));
    words
}

fn spoken_attributes(name: &str, tag: &str) -> Vec<String> {
    let mut spoken = vec!["title", "alt", "placeholder", "aria-label", "aria-description", "label"];
    if name == "input" && (tag.contains("type=\"submit\"") || tag.contains("type=\"button\"")) {
        spoken.push("value");
    }
    spoken
        .iter()
        .filter_map(|attribute| {
            let (_, value) = tag.split_once(&format!(" {attribute}=\""))?;
            let (value, _) = value.split_once('"')?;
            value.chars().any(char::is_alphabetic).then(|| value.to_owned())
        })
        .collect()
}

#[test]
fn no_template_has_words_of_its_own() {
    let mut faults = Vec::new();
    for path in below("templates", "html") {
        let name = own_name(&path, "templates");
        let words = own_words(&fs::read_to_string(&path).unwrap());
        if !words.is_empty() {
            faults.push(format!("{name}: {words:?}"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn words_of_a_template_are_found() {
    let check = |template: &str, expected: &[&str]| assert_eq!(own_words(template), expected, "{template}");
    check("<p>{{ \"Hello, {name}\"|t|name(\"name\", name) }} · 3</p>", &[]);
    check("<p>Hello</p>", &["Hello"]);
    check("{% if a %}<b title=\"Hello\">{{ b }}</b>{% endif %}", &["Hello"]);
    check("<code>ocmesh</code> {# not said #}", &[]);
    check("<input placeholder=\"cloud.example.org\">", &[]);
    check("<a href=\"/home\">{{ \"}} Home\"|t }}</a>", &[]);
}

/// A text in code: what it is an argument of, from the outside to the inside, and how it reads.
struct Literal {
    inside: Vec<String>,
    text: String,
}

/// The texts of a source file, without those of its comments and tests.
fn literals(source: &str) -> Vec<Literal> {
    let source = source.split("#[cfg(test)]\nmod tests").next().unwrap();
    let (mut found, mut inside) = (Vec::new(), Vec::new());
    let mut rest = source;
    let mut word = String::new();
    while let Some(c) = rest.chars().next() {
        if rest.starts_with("//") {
            rest = rest.split_once('\n').map_or("", |(_, after)| after);
        } else if let Some((text, after)) = text_at(rest) {
            found.push(Literal {
                inside: inside.clone(),
                text,
            });
            rest = after;
            word.clear();
        } else if let Some(after) = after_letter(rest) {
            rest = after;
        } else {
            match c {
                '(' | '[' | '{' => inside.push(std::mem::take(&mut word)),
                ')' | ']' | '}' => {
                    inside.pop();
                    word.clear();
                }
                _ if c.is_alphanumeric() || matches!(c, '_' | ':' | '!') => word.push(c),
                _ => word.clear(),
            }
            rest = &rest[c.len_utf8()..];
        }
    }
    found
}

/// What follows a single letter in quotes, which may itself be a quote or a bracket; none for a lifetime.
fn after_letter(source: &str) -> Option<&str> {
    let mut letters = source.strip_prefix('\'')?.chars();
    if letters.next()? == '\\' {
        letters.next()?;
        return letters.as_str().split_once('\'').map(|(_, after)| after);
    }
    letters.as_str().strip_prefix('\'')
}

/// A text that begins here, and what follows it.
fn text_at(source: &str) -> Option<(String, &str)> {
    if let Some(raw) = source.strip_prefix("r#\"") {
        let (text, after) = raw.split_once("\"#")?;
        return Some((text.to_owned(), after));
    }
    let mut text = String::new();
    let mut letters = source.strip_prefix('"')?.chars();
    loop {
        match letters.next()? {
            '"' => return Some((text, letters.as_str())),
            '\\' => match letters.next()? {
                'n' => text.push('\n'),
                'u' => {
                    let (code, after) = letters.as_str().strip_prefix('{')?.split_once('}')?;
                    text.extend(u32::from_str_radix(code, 16).ok().and_then(char::from_u32));
                    letters = after.chars();
                }
                // A line that goes on in the next.
                '\n' => letters = letters.as_str().trim_start().chars(),
                other => text.push(other),
            },
            other => text.push(other),
        }
    }
}

/// Whether people read a text of this file.
fn is_said(file: &str, literal: &Literal) -> bool {
    const UNREAD: [&str; 18] = [
        "trace!",
        "debug!",
        "info!",
        "warn!",
        "error!",
        "expect",
        "panic!",
        "unreachable!",
        "assert!",
        "assert_eq!",
        "println!",
        "eprintln!",
        "field",
        "caused_by",
        "internal",
        "Error::internal",
        "doc",
        "write!",
    ];
    const ASKED: [&str; 14] = [
        "said",
        "say",
        "fill",
        "count",
        "counted",
        "Page::of",
        "Page::public",
        "Badge::ok",
        "Badge::info",
        "Badge::warn",
        "Badge::bad",
        "Badge::quiet",
        "Step::new",
        "Self::public",
    ];
    let is = |names: &[&str], one: &String| {
        let short = one.rsplit("::").next().unwrap_or_default();
        names.contains(&one.as_str()) || names.contains(&short) && !short.is_empty() && one.contains("::")
    };
    let text = literal.text.as_str();
    let first = text.chars().next().unwrap_or(' ');
    if literal.inside.iter().any(|one| is(&UNREAD, one)) || !text.chars().any(char::is_alphabetic) {
        return false;
    }
    let asked = literal
        .inside
        .last()
        .is_some_and(|one| ASKED.contains(&one.trim_start_matches("self::")));
    if asked && (first.is_uppercase() || text.contains([' ', '{'])) {
        return true;
    }
    let sentence = text.contains(' ') && (first.is_uppercase() || first == '{' && text.contains("} "));
    let label =
        file.starts_with("web/") && first.is_uppercase() && text.chars().all(char::is_alphabetic) && text.len() > 1;
    sentence && !text.starts_with("Bearer ") && !text.starts_with("HTTP/") || label
}

/// A sentence of code as the catalogue has it.
fn as_kept(sentence: &str) -> String {
    let mut kept = String::new();
    let (mut rest, mut nameless) = (sentence, 0);
    while let Some(at) = rest.find(['{', '}']) {
        kept.push_str(&rest[..at]);
        let (brace, after) = rest[at..].split_at(1);
        if let Some(beyond) = after.strip_prefix(brace) {
            kept.push_str(brace);
            rest = beyond;
            continue;
        }
        match after.split_once('}') {
            Some((place, beyond)) if brace == "{" => {
                let name = place.split(':').next().unwrap_or_default().to_lowercase();
                if name.is_empty() {
                    kept.push_str(&format!("{{{nameless}}}"));
                    nameless += 1;
                } else {
                    kept.push_str(&format!("{{{name}}}"));
                }
                rest = beyond;
            }
            _ => {
                kept.push_str(brace);
                rest = after;
            }
        }
    }
    kept + rest
}

/// Every sentence that people may read, and where it is said.
fn in_use() -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for path in below("templates", "html") {
        let (_, code) = parted(&fs::read_to_string(&path).unwrap());
        for expression in code {
            let mut rest = expression.as_str();
            while let Some(at) = rest.find('"') {
                let (text, after) = text_at(&rest[at..]).expect("an end of the text");
                let asked = after.trim_start();
                if asked.starts_with("|t") || asked.starts_with("|n(") {
                    found.insert(text, own_name(&path, ""));
                }
                rest = after;
            }
        }
    }
    for path in below("src", "rs") {
        let file = own_name(&path, "src");
        if file.contains("tests") || NOT_ON_PAGES.iter().any(|other| file.starts_with(other)) {
            continue;
        }
        for literal in literals(&fs::read_to_string(&path).unwrap()) {
            if is_said(&file, &literal) {
                found.insert(as_kept(&literal.text), own_name(&path, ""));
            }
        }
    }
    for (place, text) in said_elsewhere() {
        found.insert(text, place.to_owned());
    }
    found
}

/// What no call gives away: the words of dates, what settings are about, and the questions and answers of a decision.
fn said_elsewhere() -> Vec<(&'static str, String)> {
    let of = |source: &'static str, place: &'static str, is: fn(&str) -> bool| {
        let texts = literals(source).into_iter().map(|literal| as_kept(&literal.text));
        texts.filter(move |text| is(text)).map(move |text| (place, text))
    };
    let date = |text: &str| {
        text.contains("{day}")
            || text.chars().all(|c| c.is_ascii_alphabetic()) && text.starts_with(|c: char| c.is_ascii_uppercase())
    };
    let about = |text: &str| text.ends_with('.') && text.contains(' ');
    let decides = |text: &str| {
        let begins = ["the mode is", "the rule for", "the directory of"];
        text.ends_with('?') || text.contains("traded an invite") || begins.iter().any(|begin| text.starts_with(begin))
    };
    let dialect = |text: &str| text == "the draft";
    of(include_str!("../../../src/lang/moment.rs"), "lang/moment.rs", date)
        .chain(of(
            include_str!("../../../src/config/settings.rs"),
            "config/settings.rs",
            about,
        ))
        .chain(of(
            include_str!("../../../src/peers/trust.rs"),
            "peers/trust.rs",
            decides,
        ))
        .chain(of(
            include_str!("../../../src/ocm/dialect/mod.rs"),
            "ocm/dialect/mod.rs",
            dialect,
        ))
        .chain([("peers/trust.rs", "no".to_owned())])
        .collect()
}

#[test]
fn sentences_of_code_are_found_as_the_catalogue_has_them() {
    let check = |source: &str, expected: &[&str]| {
        let said: Vec<_> = literals(source)
            .iter()
            .filter(|literal| is_said("web/a.rs", literal))
            .map(|literal| as_kept(&literal.text))
            .collect();
        assert_eq!(said, expected, "{source}");
    };
    check("Error::not_found(\"There is none.\")", &["There is none."]);
    check(
        "Error::new(Reason::A, format!(\"{host} says {what:?} {}.\", 1))",
        &["{host} says {what} {0}."],
    );
    check("said(\"in a moment\", &[(\"a\", b)])", &["in a moment"]);
    check("Badge::ok(\"Open\")", &["Open"]);
    check("info!(peer = 1, \"Delivery to {peer} failed\")", &[]);
    check(
        "// \"Not said.\"\nlet a = '\"'; let c = ['“', '\\\'']; let b: &'static str = \"\";",
        &[],
    );
    check("Error::internal(\"Some cause of ours\")", &[]);
    check("\"One that \\\n    goes on.\"", &["One that goes on."]);
}

fn lacking(lang: Lang) -> (BTreeSet<String>, BTreeSet<String>) {
    let used: BTreeSet<String> = in_use().into_keys().collect();
    let there: BTreeSet<String> = lang.sentences().map(|(sentence, _)| sentence.to_owned()).collect();
    (
        used.difference(&there).cloned().collect(),
        there.difference(&used).cloned().collect(),
    )
}

#[test]
fn every_catalogue_has_every_sentence_and_no_other() {
    for lang in [Lang::De, Lang::Fr] {
        let (missing, unused) = lacking(lang);
        let lines = |sentences: BTreeSet<String>| -> String {
            let line = |sentence: String| format!("{} = \"\"\n", toml::Value::from(sentence));
            sentences.into_iter().map(line).collect()
        };
        let complete = missing.is_empty() && unused.is_empty();
        let (missing, unused) = (lines(missing), lines(unused));
        let code = lang.code();
        assert!(
            complete,
            "to be said in src/lang/{code}.toml:\n{missing}\nsaid nowhere any more:\n{unused}"
        );
    }
}
