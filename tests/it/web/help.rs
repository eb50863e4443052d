//! Help on errors: each code leads to what it means, and each is one that a test has seen.

use std::fs;
use std::path::Path;

use ocmesh::error::Reason;

use super::Browser;
use super::html;
use crate::harness::TestServer;

#[actix_web::test]
async fn every_code_on_a_page_leads_to_what_it_means() {
    let server = TestServer::start().await;
    server.user("ada").await;
    let mut nobody = Browser::new(&server);
    let help = nobody.get("/help/errors").await;
    help.expect_status(200);
    let page = html::check("/help/errors", &help.body);
    for reason in Reason::ALL {
        let found = page.elements.iter().find(|one| one.get("id") == Some(reason.code()));
        assert!(found.is_some_and(|one| one.text == reason.code()), "{}", reason.code());
    }
    nobody
        .get("/no/such/page")
        .await
        .expect("href=\"/help/errors#not-found\"");
    nobody
        .sign_in("ada", "wrong")
        .await
        .expect("href=\"/help/errors#wrong-password\"");
}

/// All tests there are, in one text.
fn tests_below(folder: &Path, all: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            tests_below(&path, all);
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            let text = fs::read_to_string(&path).unwrap();
            let inside = path.components().any(|part| part.as_os_str() == "tests") || path.ends_with("tests.rs");
            match text.split_once("#[cfg(test)]") {
                _ if inside => all.push_str(&text),
                Some((_, tests)) => all.push_str(tests),
                None => {}
            }
        }
    }
}

#[test]
fn every_reason_is_seen_by_some_test() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = String::new();
    for folder in ["src", "tests"] {
        tests_below(&top.join(folder), &mut tests);
    }
    let unseen: Vec<_> = Reason::ALL
        .iter()
        .filter(|reason| {
            let shown = [
                format!("{}\"", reason.code()),
                format!("\"{}", reason.code()),
                reason.wire(),
            ];
            // Another variant may begin alike.
            let named = tests
                .match_indices(&format!("Reason::{reason:?}"))
                .any(|(at, name)| !tests[at + name.len()..].starts_with(|next: char| next.is_alphanumeric()));
            !named && !shown.iter().any(|word| tests.contains(word))
        })
        .collect();
    assert!(unseen.is_empty(), "{unseen:?}");
}
