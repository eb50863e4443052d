//! `ocmesh directory`: the signed lists of servers that are followed.

use clap::Subcommand;
use serde_json::Value;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the directories of the configuration, and how their last refresh went
    List,
    /// Fetch a directory now, or all of them
    Refresh { url: Option<String> },
    /// Take the new list of a directory, although it is much shorter or older than the one in force
    Accept { url: String },
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::List => Request::new(Call::DirectoryList, directories),
            Self::Refresh { url } => Request::new(Call::DirectoryRefresh { url }, directories),
            Self::Accept { url } => {
                let danger = format!("The servers that {url} does not list any more are gone from the list here.");
                Request::new(Call::DirectoryAccept { url }, |directory| {
                    let count = table::field(directory, "servers");
                    format!("{} has {count} servers.", table::field(directory, "url"))
                })
                .danger(danger)
            }
        })
    }
}

fn directories(answer: &Value) -> String {
    let mut rows = answer.clone();
    for row in rows.as_array_mut().into_iter().flatten() {
        row["state"] = state(row).into();
    }
    table::rows(
        &rows,
        &["url", "federation", "servers", "fetched", "key", "state"],
        "No directory is followed; see [[federation.directory]] in the configuration.",
    )
}

/// What an operator should know of it, in one sentence.
fn state(row: &Value) -> String {
    if let Some(why) = row["held"]["objection"].as_str() {
        let (why, count) = (why.replace('-', " "), table::field(&row["held"], "servers"));
        return format!("a list of {count} waits for \"directory accept\": {why}");
    }
    match row["last_error"]["message"].as_str() {
        Some(message) => message.to_owned(),
        None if row["fetched"].is_null() => "not fetched yet".to_owned(),
        None if row["key"].is_null() => "not verified".to_owned(),
        None => "verified".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_waits_for_an_admin_is_said_before_what_failed() {
        let check = |row: Value, expected: &str| assert_eq!(state(&row), expected);
        let failed = json!({"message": "There was no list.", "code": "x"});
        check(
            json!({"held": {"objection": "seen-before", "servers": 3}, "last_error": failed}),
            "a list of 3 waits for \"directory accept\": seen before",
        );
        check(
            json!({"last_error": failed, "fetched": "then", "key": "k"}),
            "There was no list.",
        );
        check(
            json!({"last_error": null, "fetched": null, "key": "k"}),
            "not fetched yet",
        );
        check(json!({"fetched": "then", "key": null}), "not verified");
        check(json!({"fetched": "then", "key": "k"}), "verified");
        assert!(directories(&json!([])).contains("[[federation.directory]]"));
    }
}
