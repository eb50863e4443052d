//! What lives in memory is bounded: each collection that outlives a request says how (T-85).

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use super::counted;
use super::scrape;
use crate::harness::TestServer;
use crate::harness::http;

const FORM: &str = "application/x-www-form-urlencoded";

/// Each collection behind a lock, or in a cache, by its file and field, and what bounds it.
const BOUNDED: &[(&str, &str, &str)] = &[
    ("audit.rs", "budget", "cache: audit"),
    ("client/mod.rs", "pools", "cache: connections"),
    ("files/arrivals.rs", "kept", "cache: uploads"),
    ("files/homes.rs", "open", "cache: homes"),
    ("proxy.rs", "looks", "the latest 64"),
    ("peers/known.rs", "slots", "cache: peers"),
    ("peers/mod.rs", "signed", "cache: signed"),
    ("peers/mod.rs", "visitors", "cache: visitors"),
    ("peers/traffic.rs", "from_them", "each of traffic has fifty at most"),
    ("peers/traffic.rs", "to_them", "each of traffic has fifty at most"),
    ("peers/traffic.rs", "servers", "cache: traffic"),
    ("peers/visitors.rs", "by", "cache: visitors"),
    ("remote/mod.rs", "tokens", "cache: tokens"),
    ("users.rs", "failures", "cache: sign-ins"),
    (
        "metrics.rs",
        "requests",
        "routes are patterns of ours, methods and codes are few",
    ),
    (
        "metrics/reading.rs",
        "Readings",
        "names and labels of ours, and the directories of the operator",
    ),
    ("store/sled.rs", "waiting", "one for each request under way"),
    ("config/origin.rs", "Origins", "settings of the operator"),
    ("http/discovery.rs", "Published", "one for each mode"),
    ("lang/mod.rs", "exact", "the catalogue"),
];

fn below(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            below(&path, found);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            found.push(path);
        }
    }
}

/// The field of a struct, or the struct with one, whose type can grow as long as the server runs.
fn grows(line: &str) -> Option<&str> {
    let line = line.trim().trim_start_matches("pub(super) ").trim_start_matches("pub ");
    let (name, kind) = match line.strip_suffix(',') {
        Some(field) => field.split_once(": ")?,
        None => line.strip_suffix(");")?.split_once('(')?,
    };
    let name = name.rsplit(' ').next()?;
    let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    let shared = ["Cache<", "VecDeque<", "HashMap<String, u32>"]
        .iter()
        .any(|kept| kind.starts_with(kept));
    let locked = ["Mutex<", "Lock<", "RwLock<"].iter().any(|lock| kind.contains(lock))
        && ["HashMap", "HashSet", "BTree", "Vec<", "VecDeque", "Lately"]
            .iter()
            .any(|many| kind.contains(many));
    let channel = kind.contains("Sender<") && kind.contains("Unbounded");
    (is_name && (shared || locked || channel)).then_some(name)
}

#[test]
fn t85_each_collection_that_outlives_a_request_is_known_to_be_bounded() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    below(&top, &mut files);
    let (mut seen, mut unknown) = (Vec::new(), Vec::new());
    for file in files {
        let name = file.strip_prefix(&top).unwrap().to_str().unwrap().to_owned();
        if name.contains("tests") {
            continue;
        }
        let text = fs::read_to_string(&file).unwrap();
        let code = text.lines().take_while(|line| line.trim() != "#[cfg(test)]");
        for field in code.filter_map(grows) {
            match BOUNDED
                .iter()
                .find(|(file, known, _)| (*file, *known) == (&name, field))
            {
                Some(known) => seen.push(known.2),
                None => unknown.push(format!("src/{name}: {field}")),
            }
        }
        assert!(
            !text.contains("unbounded_channel()"),
            "src/{name}: a channel without an end"
        );
    }
    assert!(unknown.is_empty(), "what bounds these? {unknown:#?}");
    for cache in [
        "audit",
        "connections",
        "uploads",
        "homes",
        "peers",
        "signed",
        "visitors",
        "tokens",
        "sign-ins",
    ] {
        let cache = format!("cache: {cache}");
        assert!(seen.contains(&cache.as_str()), "{cache} is looked for in vain");
    }
}

#[actix_web::test]
async fn t85_each_of_them_says_how_full_it_is_and_may_be() {
    let server = TestServer::start_with(counted).await;
    for name in ["nobody", "somebody", "anybody"] {
        let form = format!("name={name}&password=wrong&next=");
        let request = http().post(server.url("/login")).header("content-type", FORM);
        request.body(form).send().await.unwrap();
    }
    server.user("ada").await;
    server.put_file("ada", "f.txt", "x").await;
    let numbers = scrape(&server).await;
    let caches: Vec<_> = BOUNDED
        .iter()
        .filter_map(|(_, _, how)| how.strip_prefix("cache: "))
        .collect();
    for cache in caches {
        let entries = numbers.of(&format!("ocm_cache_entries{{cache=\"{cache}\"}}"));
        let limit = numbers.of(&format!("ocm_cache_limit{{cache=\"{cache}\"}}"));
        assert!(limit > 0.0 && entries <= limit, "{cache}: {entries} of {limit}");
    }
    assert_eq!(
        numbers.of("ocm_cache_entries{cache=\"homes\"}"),
        1.0,
        "{}",
        numbers.text
    );
}

/// Takes minutes: `cargo test --test it numbers::memory -- --ignored`.
#[actix_web::test]
#[ignore = "a soak: it takes minutes"]
async fn t85_memory_is_flat_under_many_requests_of_strangers() {
    let server = TestServer::start_with(counted).await;
    let mut after_the_first = 0.0;
    for round in 0..10 {
        for at in 0..2_000 {
            let host = format!("s{round}-{at}.example");
            let body = format!("{{\"sender\": \"eve@{host}\", \"token\": \"t{at}\"}}");
            let path = match at % 4 {
                0 => "/ocm/shares".to_owned(),
                1 => "/ocm/invite-accepted".to_owned(),
                2 => format!("/contacts/eve%40{host}"),
                _ => format!("/dav/ocm/{at}"),
            };
            let request = http()
                .post(server.url(&path))
                .header("content-type", "application/json");
            request.body(body).send().await.unwrap();
        }
        let memory = scrape(&server).await.of("ocm_memory_bytes");
        println!("{round}: {} MiB", memory / 1048576.0);
        if round == 1 {
            after_the_first = memory;
        }
    }
    let memory = scrape(&server).await.of("ocm_memory_bytes");
    assert!(memory < after_the_first * 1.2, "{after_the_first} and then {memory}");
}
