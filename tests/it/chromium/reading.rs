//! Pages for those who read them with an aid, or in the dark, or on a telephone: axe-core finds nothing wrong with any of
//! them (WCAG 2.2, A and AA). It is not ours; `tests/run` installs it.

use std::path::Path;
use std::path::PathBuf;

use serde_json::Value;
use serde_json::json;

use super::Look;
use super::Tab;
use crate::harness::Pair;
use crate::harness::skipped;

/// Where axe is; none where `tests/run` could not install it.
fn axe() -> Option<String> {
    let lib = Path::new(env!("CARGO_TARGET_TMPDIR"))
        .parent()?
        .join("outside-venv/lib");
    let inside = |python: PathBuf| python.join("site-packages/axe_playwright_python/axe.min.js");
    let found = std::fs::read_dir(lib)
        .ok()?
        .find_map(|python| std::fs::read_to_string(inside(python.ok()?.path())).ok());
    if found.is_none() {
        skipped("axe-core is not installed (tests/run does that).");
    }
    found
}

/// What axe finds wrong with the page that is shown, by the rules of these tags or names.
async fn wrong(tab: &mut Tab, kind: &str, rules: &Value) -> Vec<String> {
    let options = json!({ "runOnly": { "type": kind, "values": rules }, "resultTypes": ["violations"] });
    let found = tab
        .eval(&format!(
            "axe.run(document, {options}).then(all => all.violations.flatMap(one =>
                one.nodes.map(node => one.id + ': ' + node.html.slice(0, 160) + ' ' + node.failureSummary)))"
        ))
        .await;
    found.as_array().unwrap().iter().map(Value::to_string).collect()
}

async fn check(of: &str, widths: [Look; 2]) {
    let Some(axe) = axe() else {
        return;
    };
    let pair = Pair::strangers().await;
    let pages = crate::web::furnished(&pair).await;
    let Some(mut nobody) = Tab::open(Look::WIDE).await else {
        return;
    };
    let mut ada = Tab::signed_in(Look::WIDE, &pair.a, "ada").await.unwrap();
    let mut root = Tab::signed_in(Look::WIDE, &pair.a, "root").await.unwrap();
    let all = json!([
        "wcag2a",
        "wcag2aa",
        "wcag21a",
        "wcag21aa",
        "wcag22a",
        "wcag22aa",
        "best-practice"
    ]);
    let mut faults = Vec::new();
    for (_, path) in &pages {
        let admins = path.starts_with("/admin");
        if admins != (of == "admins") {
            continue;
        }
        let tab = match path.as_str() {
            "/login" => &mut nobody,
            _ if admins => &mut root,
            _ => &mut ada,
        };
        tab.goto(&pair.a.url(path)).await;
        tab.eval(&format!("{axe};0")).await;
        for look in widths {
            tab.look(look).await;
            let mut here = wrong(tab, "tag", &all).await;
            tab.look(look.dark()).await;
            // The dark differs in nothing but colour.
            here.extend(wrong(tab, "rule", &json!(["color-contrast"])).await);
            faults.extend(
                here.into_iter()
                    .map(|fault| format!("{path} at {}: {fault}", look.width)),
            );
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

#[actix_web::test]
async fn axe_finds_nothing_wrong_with_the_pages_for_people() {
    check("people", [Look::WIDE, Look::NARROW]).await;
}

#[actix_web::test]
async fn axe_finds_nothing_wrong_with_the_pages_for_admins() {
    check("admins", [Look::WIDE, Look::NARROW]).await;
}
