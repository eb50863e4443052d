//! The dashboard and the alerts that we ship speak of numbers that there are.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use ocmesh::api::Call;
use serde_json::Value;

use super::Numbers;
use super::pair;
use super::scrape;
use crate::harness::http;
use crate::harness::skipped;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(name)
}

fn read(name: &str) -> String {
    std::fs::read_to_string(shipped(name)).unwrap()
}

/// What stands behind `expr:`, on its line or indented below it.
fn alerts() -> Vec<(String, String)> {
    let text = read("prometheus/alerts.yml");
    let mut alerts: Vec<(String, String)> = Vec::new();
    let mut folded = false;
    for line in text.lines() {
        let trimmed = line.trim();
        if let Some(name) = trimmed.strip_prefix("- alert: ") {
            alerts.push((name.to_owned(), String::new()));
            folded = false;
        } else if let Some(expression) = trimmed.strip_prefix("expr: ") {
            folded = matches!(expression, "|" | ">-" | ">");
            if !folded {
                expression.clone_into(&mut alerts.last_mut().unwrap().1);
            }
        } else if folded && line.starts_with("          ") {
            let expression = &mut alerts.last_mut().unwrap().1;
            expression.push(' ');
            expression.push_str(trimmed);
        } else {
            folded = false;
        }
    }
    alerts
}

fn panels() -> Vec<(String, String)> {
    let dashboard: Value = serde_json::from_str(&read("grafana/ocmesh.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    let queries = panels.iter().flat_map(|panel| {
        let title = panel["title"].as_str().unwrap().to_owned();
        let targets = panel["targets"].as_array().cloned().unwrap_or_default();
        targets
            .into_iter()
            .map(move |target| (title.clone(), target["expr"].as_str().unwrap().to_owned()))
    });
    queries.collect()
}

/// Each metric in an expression, with the labels that stand in braces behind it, and all labels in `by (...)`.
fn named(expression: &str) -> (BTreeMap<String, BTreeSet<String>>, BTreeSet<String>) {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut metrics: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut rest = expression;
    while let Some(at) = rest.find("ocm_") {
        let name: String = rest[at..].chars().take_while(|c| is_word(*c)).collect();
        rest = &rest[at + name.len()..];
        let labels = metrics.entry(name).or_default();
        if let Some((inside, _)) = rest.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
            labels.extend(
                inside
                    .split(',')
                    .map(|matcher| matcher.trim().chars().take_while(|c| is_word(*c)).collect()),
            );
        }
    }
    let by = expression
        .split("by (")
        .skip(1)
        .flat_map(|rest| {
            rest.split(')')
                .next()
                .unwrap()
                .split(',')
                .map(|label| label.trim().to_owned())
        })
        .collect();
    (metrics, by)
}

/// Metrics and their labels, as a server that did a little of everything exports them.
fn exported(all: &[Numbers]) -> BTreeMap<String, BTreeSet<String>> {
    let mut exported: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for numbers in all {
        for sample in numbers.names() {
            let (name, labels) = sample.split_once('{').unwrap_or((sample, ""));
            let labels = labels.trim_end_matches('}').split("\",");
            let own = exported.entry(name.to_owned()).or_default();
            own.extend(labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned())));
        }
        // What has no value yet has a type.
        for line in numbers.text.lines() {
            if let Some(gauge) = line
                .strip_prefix("# TYPE ")
                .and_then(|line| line.strip_suffix(" gauge"))
            {
                exported.entry(gauge.to_owned()).or_default();
            }
        }
    }
    exported
}

#[actix_web::test]
async fn dashboard_and_alerts_name_numbers_and_labels_that_a_server_has() {
    let pair = pair().await;
    Box::pin(pair.introduce()).await;
    pair.a.put_file("ada", "f.txt", "x").await;
    let (_, id) = Box::pin(pair.shared("f.txt", false)).await;
    let get = Call::ShareGet {
        id,
        path: String::new(),
    };
    Box::pin(pair.b.call(get)).await.unwrap();
    http().get(pair.a.url("/login")).send().await.unwrap();
    let all = [scrape(&pair.a).await, scrape(&pair.b).await];
    let exported = exported(&all);
    let said: Vec<_> = alerts().into_iter().chain(panels()).collect();
    let (mut wrong, mut used) = (Vec::new(), BTreeSet::new());
    for (title, expression) in &said {
        let (metrics, by) = named(expression);
        let mut known: BTreeSet<String> = ["instance", "job"].map(str::to_owned).into();
        for (metric, labels) in &metrics {
            let Some(own) = exported.get(metric) else {
                wrong.push(format!("{title}: there is no {metric}"));
                continue;
            };
            for label in labels
                .iter()
                .filter(|label| !own.contains(*label) && *label != "instance")
            {
                wrong.push(format!("{title}: {metric} has no label {label}"));
            }
            known.extend(own.iter().cloned());
        }
        wrong.extend(
            by.difference(&known)
                .map(|label| format!("{title}: nothing has a label {label}")),
        );
        used.extend(metrics.into_keys());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(used.len() >= 15, "{used:?}");
}

#[test]
fn what_somebody_should_get_up_for_has_an_alert() {
    let alerts = alerts();
    for metric in [
        "ocm_tls_certificate_expiry_timestamp_seconds",
        "ocm_backup_last_success_timestamp_seconds",
        "ocm_delivery_oldest_seconds",
        "signature-rejected",
        "ocm_ready",
        "code=~\"5..\"",
        "ocm_disk_free_bytes",
        "ocm_panics_total",
    ] {
        assert!(
            alerts.iter().any(|(_, expression)| expression.contains(metric)),
            "no alert about {metric}"
        );
    }
    let text = read("prometheus/alerts.yml");
    let summaries = text.matches("summary:").count();
    let remedies = text.matches("description:").count();
    assert_eq!((summaries, remedies), (alerts.len(), alerts.len()));
}

#[test]
fn prometheus_itself_takes_the_alerts() {
    let checked = Command::new("promtool")
        .args(["check", "rules"])
        .arg(shipped("prometheus/alerts.yml"))
        .output();
    match checked {
        Err(_) => skipped("no promtool"),
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
    }
}

/// What `promtool` finds wrong with names is a matter of taste, and it reads an older format; what it can't read is not.
#[actix_web::test]
async fn prometheus_itself_reads_the_numbers() {
    let pair = pair().await;
    Box::pin(pair.introduce()).await;
    pair.step(Duration::from_secs(1));
    let numbers = scrape(&pair.a).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("numbers");
    // It keeps only what says when it was.
    let timed = numbers.text.lines().map(|line| match line.starts_with('#') {
        true => format!("{line}\n"),
        false => format!("{line} 1790000000\n"),
    });
    std::fs::write(&file, timed.collect::<String>()).unwrap();
    let into = dir.path().join("blocks");
    let made = Command::new("promtool")
        .args(["tsdb", "create-blocks-from", "openmetrics"])
        .args([&file, &into])
        .output();
    match made {
        Err(_) => skipped("no promtool"),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.success(), "{said}");
            assert!(into.read_dir().unwrap().count() > 0, "{said}");
        }
    }
}
