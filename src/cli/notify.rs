//! `ocmesh notify`: who is told what happens on this server, and whether that works.

use clap::Subcommand;
use serde_json::Value;
use serde_json::json;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show where notices go, and those that have not been sent yet
    List,
    /// Send a test to each mail address of admins and each webhook, and say what came of it
    Test,
    /// Try all that has not been sent now, also what was given up
    Retry,
}

impl Verb {
    pub fn request(self) -> Request {
        match self {
            Self::List => Request::new(Call::NoticeList, listed),
            Self::Test => Request::new(Call::NoticeTest, |tried| {
                table::rows(tried, &["by", "to", "arrived", "answer"], "")
            })
            .verdict(all_told),
            Self::Retry => Request::new(Call::NoticeRetry, |answer| {
                format!("Notices that are tried now: {}", table::field(answer, "due"))
            }),
        }
    }
}

/// A test that reached nobody, or not everybody, has failed.
fn all_told(tried: &Value) -> Result<()> {
    let tried = tried.as_array().map_or(&[] as &[_], Vec::as_slice);
    let why = match tried.iter().filter(|one| one["arrived"] != true).count() {
        _ if tried.is_empty() => "There is nobody to tell: set notify.admin_mail or [[notify.webhook]].".to_owned(),
        0 => return Ok(()),
        missed => format!("{missed} of {} did not get it.", tried.len()),
    };
    Err(Error::new(Reason::Conflict, why))
}

fn listed(answer: &Value) -> String {
    let names = |key: &str| {
        let names = answer[key].as_array().into_iter().flatten();
        let names: Vec<_> = names.filter_map(Value::as_str).map(table::clean).collect();
        match names.is_empty() {
            true => "none".to_owned(),
            false => names.join(", "),
        }
    };
    let mut rows = answer["waiting"].clone();
    for row in rows.as_array_mut().into_iter().flatten() {
        row["last_error"] = row["last_error"]["message"].take();
    }
    let mail = match answer["can_mail"] == json!(true) {
        true => "",
        false => " (there is no mail server, so no mail is sent: set mail.smtp_url)",
    };
    let rows = table::rows(
        &rows,
        &["topic", "about", "by", "to", "state", "tries", "next_try", "last_error"],
        "Nothing is waiting.",
    );
    format!(
        "Mail to admins: {}{mail}\nWebhooks: {}\n\n{rows}",
        names("admin_mail"),
        names("webhooks")
    )
}
