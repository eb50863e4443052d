//! `ocmesh status`: how the running server is, on one screen.

use serde_json::Value;

use crate::cli::table;
use crate::config::Size;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// # Errors
///
/// [`Reason::StoreStopped`] with the word that `/readyz` gives.
pub fn must_be_ready(answer: &Value) -> Result<()> {
    if answer["ready"] == true {
        return Ok(());
    }
    let code = table::field(answer, "reason");
    // One exit code for all of them: containers know only 0 and 1.
    Err(Error::new(
        Reason::StoreStopped,
        format!("The server runs and is not ready: {code}"),
    ))
}

pub fn ready(answer: &Value) -> String {
    match answer["ready"] == true {
        true => "ready".to_owned(),
        false => format!("not ready: {}", table::field(answer, "reason")),
    }
}

pub fn screen(answer: &Value) -> String {
    let field = |key: &str| table::clean(&table::field(answer, key));
    let number = |of: &str, key: &str| answer[of][key].as_u64().unwrap_or(0);
    let state = match answer["ready"] == true {
        true => "ready".to_owned(),
        false => format!("NOT READY: {}", field("reason")),
    };
    let rows = [
        (
            "ocmesh",
            format!("{}  {state}, for {}", field("version"), span(answer["uptime"].as_u64())),
        ),
        ("Address", field("address")),
        (
            "Certificate",
            table::clean(&table::field(&answer["certificate"], "sentence")),
        ),
        ("Federation", federation(&field("mode")).to_owned()),
        (
            "Servers",
            format!(
                "{} let in by invitation, {}",
                number("servers", "admitted"),
                count(number("servers", "rules"), "rule")
            ),
        ),
        ("Queue", queue(answer)),
        ("Backup", backup(&answer["backup"])),
        (
            "Storage",
            format!(
                "database {}, {} free in {}",
                Size(number("storage", "database")),
                Size(number("storage", "free")),
                table::clean(&table::field(&answer["storage"], "data_dir"))
            ),
        ),
    ];
    let lines = rows.map(|(name, text)| format!("{name:<13}{text}"));
    lines.join("\n")
}

/// What a federation mode means to an operator.
pub fn federation(mode: &str) -> &'static str {
    match mode {
        "allowlist" => "only servers on the trust list",
        "open" => "every server that is not denied",
        _ => "by invitation only",
    }
}

fn queue(answer: &Value) -> String {
    let queue = &answer["queue"];
    let waiting = queue["waiting"].as_u64().unwrap_or(0);
    let given_up = queue["given_up"].as_u64().unwrap_or(0);
    let mut said = match waiting {
        0 => "empty".to_owned(),
        some => format!("{some} waiting since {}", table::field(queue, "oldest")),
    };
    let held = queue["held"].as_u64().unwrap_or(0);
    if held > 0 {
        said.push_str(&format!(", {held} held since the restore: ocmesh backup review"));
    }
    if given_up > 0 {
        said.push_str(&format!(", {given_up} given up: ocmesh queue list"));
    }
    said
}

fn backup(made: &Value) -> String {
    if made.is_null() {
        return "none yet".to_owned();
    }
    let checked = match made["verified"].is_null() {
        true => "not read back yet",
        false => "read back whole",
    };
    let size = Size(made["size"].as_u64().unwrap_or(0));
    format!("{}, {size}, {checked}", table::field(made, "at"))
}

fn count(number: u64, one: &str) -> String {
    format!("{number} {one}{}", if number == 1 { "" } else { "s" })
}

fn span(seconds: Option<u64>) -> String {
    let seconds = seconds.unwrap_or(0);
    match seconds {
        0..120 => count(seconds, "second"),
        120..7200 => count(seconds / 60, "minute"),
        7200..172_800 => count(seconds / 3600, "hour"),
        _ => count(seconds / 86_400, "day"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn all_is_on_one_screen_and_nothing_remote_breaks_its_lines() {
        let answer = json!({
            "ready": true, "version": "1.0.0", "uptime": 200_000, "address": "https://cloud.example.org",
            "certificate": { "sentence": "of A\n\u{1b}[31m, until 2026-08-30" }, "mode": "invite",
            "servers": { "admitted": 3, "rules": 1 },
            "queue": { "waiting": 2, "oldest": "2026-06-01T00:00:00Z", "held": 4, "given_up": 1 },
            "backup": null, "storage": { "database": 4096, "free": 1 << 30, "data_dir": "/var/lib/ocm" },
        });
        let said = screen(&answer);
        assert_eq!(said.lines().count(), 8, "{said}");
        for part in [
            "1.0.0  ready, for 2 days",
            "by invitation only",
            "3 let in",
            "1 rule",
            "2 waiting",
            "4 held since the restore: ocmesh backup review",
            "1 given up: ocmesh queue list",
            "4.0 KiB",
        ] {
            assert!(said.contains(part), "{part}: {said}");
        }
        assert!(!said.contains('\u{1b}'));
        assert!(must_be_ready(&answer).is_ok());
        let error = must_be_ready(&json!({ "ready": false, "reason": "disk-full" })).unwrap_err();
        assert!(error.reason() == Reason::StoreStopped && error.to_string().contains("disk-full"));
    }
}
