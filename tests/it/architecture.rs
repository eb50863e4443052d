//! The map in `src/lib.rs` is true: a module uses only those above it, and each foreign library stays where it belongs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::path::PathBuf;

/// A source file: its path below `src`, the module it belongs to, and its lines of code with their numbers.
struct Source {
    path: String,
    module: String,
    lines: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    found.sort();
    found
        .into_iter()
        .map(|file| {
            let path = file.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
            let module = path.split('/').next().unwrap().trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&file).unwrap();
            let code = |(_, line): &(usize, &str)| !line.trim_start().starts_with("//");
            let lines = text
                .lines()
                .enumerate()
                .filter(code)
                .map(|(at, line)| (at + 1, line.to_owned()));
            Source {
                lines: lines.collect(),
                path,
                module,
            }
        })
        .collect()
}

fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The modules in the order of the map, from ``//! 7. [`store`] — ...``.
fn map() -> Vec<String> {
    let lib = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    lib.lines()
        .filter_map(|line| {
            let (number, rest) = line.strip_prefix("//! ")?.split_once(". [`")?;
            Some((number.parse::<usize>().ok()?, rest.split('`').next()?.to_owned()))
        })
        .zip(1..)
        .map(|((number, module), place)| {
            assert_eq!(number, place, "{module} has another number than its place on the map");
            module
        })
        .collect()
}

/// What stands behind each `crate::` in a line.
fn uses(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("crate::").map(|(at, word)| {
        let rest = &line[at + word.len()..];
        rest.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
            .unwrap_or_default()
    })
}

#[test]
fn the_map_names_every_module_once() {
    let mut listed = map();
    let mut there: Vec<_> = sources().into_iter().map(|source| source.module).collect();
    there.retain(|module| module != "lib" && module != "main");
    there.dedup();
    listed.sort();
    there.sort();
    assert_eq!(listed, there);
}

#[test]
fn a_module_uses_only_those_above_it() {
    let order: BTreeMap<_, _> = map().into_iter().enumerate().map(|(at, name)| (name, at)).collect();
    let mut wrong = Vec::new();
    for source in sources()
        .iter()
        .filter(|source| source.module != "lib" && source.module != "main")
    {
        let own = order[&source.module];
        for (number, line) in &source.lines {
            for used in uses(line) {
                if order.get(used).is_some_and(|at| *at > own) {
                    wrong.push(format!(
                        "src/{}:{number}: {} uses {used}, which is below it",
                        source.path, source.module
                    ));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn each_use_stands_on_a_line_of_its_own() {
    for source in sources() {
        for (number, line) in &source.lines {
            let grouped = line.trim_start().starts_with("use ") && line.contains('{');
            assert!(!grouped, "src/{}:{number}: {line}", source.path);
        }
    }
}

#[test]
fn each_library_stays_where_it_belongs() {
    let rules: [(&str, &[&str]); 13] = [
        ("sled::", &["store/sled"]),
        ("reqwest::", &["client/"]),
        ("actix_web::", &["dav/", "http/", "api/", "web/", "app/", "cli/"]),
        ("askama::", &["web/"]),
        ("rustls::", &["client/", "tls/"]),
        ("rustix::", &["files", "store/dir.rs"]),
        ("lettre::", &["mail.rs", "config/mail.rs"]),
        ("rustls_acme::", &["tls/"]),
        ("rcgen::", &["tls/"]),
        ("x509_parser::", &["tls/"]),
        ("prometheus_client::", &["metrics"]),
        ("sd_notify::", &["app/"]),
        ("qrcode::", &["invites/qr.rs"]),
    ];
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.path.contains("/tests")) {
        for (number, line) in &source.lines {
            for (library, homes) in &rules {
                // Not the end of a longer name, and not inside a text.
                let named = line.find(library).map(|at| &line[..at]).is_some_and(|before| {
                    let longer = before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
                    !longer && before.matches('"').count() % 2 == 0
                });
                if named && !homes.iter().any(|home| source.path.starts_with(home)) {
                    wrong.push(format!("src/{}:{number}: {library} belongs to {homes:?}", source.path));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_protocol_needs_no_world() {
    let forbidden = [
        "std::fs",
        "TcpStream",
        "ToSocketAddrs",
        "tokio",
        "SystemTime::now",
        "Instant",
        "rand::",
        "Clock",
        "std::env",
    ];
    for source in sources().iter().filter(|source| source.module == "ocm") {
        let tests = source.path.contains("tests");
        let mut code = source
            .lines
            .iter()
            .take_while(|(_, line)| line.trim() != "#[cfg(test)]");
        let named = code.find(|(_, line)| forbidden.iter().any(|word| line.contains(word)));
        assert!(tests || named.is_none(), "src/{}: {named:?}", source.path);
    }
}

#[test]
fn t68_no_template_writes_text_that_is_not_escaped() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("templates");
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        // The one script there is: a file of ours.
        let text = text.replace("<script type=\"module\" src=\"{{ page.script() }}\"", "");
        for word in [
            "|safe",
            "| safe",
            "autoescape",
            "escape(\"none\")",
            "style=",
            "<script",
            "onclick",
        ] {
            assert!(!text.contains(word), "{}: {word}", path.display());
        }
    }
}

/// What is done for one product stands in `ocm/dialect`, where it can be found; a comment elsewhere may say which product
/// forced something that is done for all. Only the name of a namespace is part of the wire.
#[test]
fn no_product_is_dealt_with_outside_the_dialects() {
    let products = [
        "nextcloud",
        "owncloud",
        "opencloud",
        "ocis",
        "cernbox",
        "seafile",
        "reva",
    ];
    let mut wrong = Vec::new();
    for source in sources() {
        if source.path.starts_with("ocm/dialect") || source.path.contains("tests") {
            continue;
        }
        let code = source
            .lines
            .iter()
            .take_while(|(_, line)| line.trim() != "#[cfg(test)]");
        for (number, line) in code {
            let said = line.split("//").next().unwrap_or_default().to_lowercase();
            let words = said.split(|c: char| !c.is_ascii_alphanumeric());
            let named = words.into_iter().any(|word| products.contains(&word));
            let on_the_wire = line.contains("http://owncloud.org/ns");
            if named && !on_the_wire {
                wrong.push(format!("src/{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}
