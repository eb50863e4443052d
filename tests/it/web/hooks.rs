//! What drives these pages from outside finds what `docs/hooks.md` says, and nothing that it does not say.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

const DOCUMENT: &str = include_str!("../../../docs/hooks.md");
const ADAPTER: &str = include_str!("../../../contrib/interop/adapter.js");

const SCRIPT: &str = include_str!("../../../static/app.js");

/// What stands in the attribute `name` of the templates: the value, and in which of them.
fn in_templates(name: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        for rest in text.split(&format!(" {name}=\"")).skip(1) {
            for value in values(rest.split('"').next().unwrap()) {
                found.entry(value).or_default().insert(file.clone());
            }
        }
    }
    found
}

/// The values that an attribute may have: `{% if a %}open{% else %}download{% endif %}` has two, one with a place in it is
/// known by what stands before that.
fn values(attribute: &str) -> Vec<String> {
    if !attribute.contains("{%") {
        let (before, _) = attribute.split_once("{{").unwrap_or((attribute, ""));
        return vec![before.to_owned()]
            .into_iter()
            .filter(|value| !value.is_empty())
            .collect();
    }
    let parts = attribute
        .split("{%")
        .flat_map(|part| part.split("%}").nth(1).or((!part.contains("%}")).then_some(part)));
    parts
        .filter(|part| !part.trim().is_empty())
        .map(|part| part.trim().to_owned())
        .collect()
}

/// What the tables of a chapter of the document have in their first column.
fn documented(chapter: &str) -> BTreeSet<String> {
    let (_, rest) = DOCUMENT
        .split_once(&format!("## {chapter}\n"))
        .expect("a chapter of this name");
    let text = rest.split("\n## ").next().unwrap();
    let rows = text
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    rows.map(|(name, _)| name.to_owned()).collect()
}

#[test]
fn the_values_of_an_attribute_are_found() {
    let check = |attribute: &str, expected: &[&str]| assert_eq!(values(attribute), expected, "{attribute}");
    check("accept-share", &["accept-share"]);
    check("{% if a %}open{% else %}download{% endif %}", &["open", "download"]);
    check("contact-{{ loop.index }}", &["contact-"]);
    check("{{ code }}", &[]);
}

/// All that the code of the pages says, in one text.
fn code() -> String {
    let mut all = String::new();
    let mut folders = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src/web")];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all += &fs::read_to_string(&path).unwrap();
            }
        }
    }
    all
}

/// Those that a template is told by the code that fills it.
fn in_code() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for rest in code().split("hook: ").skip(1) {
        let line = rest.split(['\n', ';']).next().unwrap();
        found.extend(line.split('"').skip(1).step_by(2).map(str::to_owned));
    }
    found
}

fn on_pages() -> BTreeMap<String, BTreeSet<String>> {
    let mut there = in_templates("data-ocm-action");
    let made = SCRIPT
        .split("ocmAction = \"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    for name in in_code().into_iter().chain(made.map(str::to_owned)) {
        there.entry(name).or_default().insert("src/web".to_owned());
    }
    there
}

#[test]
fn every_hook_is_documented() {
    let there = on_pages();
    let said = documented("Actions");
    let unsaid: Vec<_> = there.iter().filter(|(name, _)| !said.contains(*name)).collect();
    assert!(unsaid.is_empty(), "not in docs/hooks.md: {unsaid:#?}");
    for name in there.keys() {
        let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        assert!(plain, "{name}");
    }
}

// Until all pages are here.
#[test]
fn every_documented_hook_is_on_a_page() {
    let (there, code) = (on_pages(), code());
    let gone: Vec<_> = documented("Actions")
        .into_iter()
        .filter(|name| !there.contains_key(name) && !code.contains(&format!("\"{name}\"")))
        .collect();
    assert!(gone.is_empty(), "not on a page: {gone:#?}");
}

#[test]
fn every_documented_value_is_on_a_page() {
    let there = in_templates("id");
    let gone: Vec<_> = documented("Values")
        .into_iter()
        .filter(|id| !there.contains_key(id))
        .collect();
    assert!(gone.is_empty(), "not on a page: {gone:?}");
}

#[test]
fn every_button_has_a_hook() {
    let mut without = Vec::new();
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("templates")).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        for button in text.split("<button").skip(1) {
            let tag = button.split("</button>").next().unwrap();
            if !tag.contains("data-ocm-action=\"") {
                without.push(format!("{}: {tag}", path.display()));
            }
        }
    }
    assert!(without.is_empty(), "{}", without.join("\n"));
}

/// The sample adapter was never run against the suite by us; at least it presses what is there.
#[test]
fn the_sample_adapter_uses_documented_hooks_only() {
    let actions = documented("Actions");
    let pressed: BTreeSet<_> = ADAPTER
        .split("act('")
        .skip(1)
        .filter_map(|rest| rest.split('\'').next())
        .collect();
    assert!(pressed.len() >= 8, "{pressed:?}");
    for name in pressed {
        assert!(actions.contains(name), "{name}");
    }
    let values = documented("Values");
    for id in ADAPTER.split("'#").skip(1).filter_map(|rest| rest.split('\'').next()) {
        assert!(values.contains(id), "{id}");
    }
}
