//! The audit log and the settings, as programs see them.

use actix_web::rt;
use bytes::Bytes;
use futures_util::stream;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;
use tokio::sync::mpsc;

use crate::api::rows;
use crate::audit::Entry;
use crate::audit::Filter;
use crate::audit::meaning;
use crate::client::ByteStream;
use crate::config::Config;
use crate::config::settings;
use crate::error::Result;
use crate::site::Site;

const ROWS: usize = 1_000;

/// What an export is written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// For spreadsheets.
    Csv,
    /// One JSON object a line.
    Jsonl,
}

impl Format {
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "csv" => Some(Self::Csv),
            "jsonl" | "json" => Some(Self::Jsonl),
            _ => None,
        }
    }

    pub fn file_name(self) -> &'static str {
        match self {
            Self::Csv => "audit.csv",
            Self::Jsonl => "audit.jsonl",
        }
    }

    fn head(self) -> String {
        match self {
            Self::Csv => line(&COLUMNS.map(str::to_owned)),
            Self::Jsonl => String::new(),
        }
    }

    fn row(self, entry: &Entry) -> String {
        match self {
            Self::Csv => {
                let row = row(entry);
                let text = |column: &str| row[column].as_str().unwrap_or_default().to_owned();
                line(&COLUMNS.map(text))
            }
            Self::Jsonl => format!("{}\n", row(entry)),
        }
    }
}

const COLUMNS: [&str; 9] = ["at", "who", "actor", "did", "to", "file", "server", "from", "request"];

fn row(entry: &Entry) -> Value {
    let actor = serde_json::to_value(&entry.who).unwrap_or_default()["actor"].take();
    json!({
        "at": entry.at.to_string(),
        "who": entry.who.to_string(),
        "actor": actor,
        "did": entry.verb,
        "meaning": meaning(&entry.verb),
        "to": entry.object,
        "file": entry.file,
        "server": entry.server,
        "from": entry.from,
        "request": entry.request,
    })
}

/// A line of CSV. A cell that a spreadsheet would take for a formula begins with a quote mark instead (T-75).
fn line(cells: &[String]) -> String {
    let cells: Vec<_> = cells
        .iter()
        .map(|cell| {
            let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
            let defused = if formula { format!("'{cell}") } else { cell.clone() };
            format!("\"{}\"", defused.replace('"', "\"\""))
        })
        .collect();
    format!("{}\r\n", cells.join(","))
}

/// What the audit log holds, the newest first.
pub async fn list(site: &Site, filter: &Filter, limit: Option<usize>) -> Result<Value> {
    let most = limit.unwrap_or(usize::MAX);
    let mut entries = Vec::new();
    let mut place: Option<String> = None;
    while entries.len() < most {
        let some = site
            .audit
            .list(filter, place.as_deref(), ROWS.min(most - entries.len()))
            .await?;
        entries.extend(some.entries);
        place = some.next;
        if place.is_none() {
            break;
        }
    }
    Ok(rows(entries, |entry| row(&entry)))
}

/// The same as a file, read as it is sent.
pub fn export(site: &Site, filter: Filter, format: Format) -> ByteStream {
    let (sender, receiver) = mpsc::channel::<Result<Bytes>>(2);
    let site = site.clone();
    rt::spawn(async move {
        let mut text = format.head();
        let mut place: Option<String> = None;
        loop {
            match site.audit.list(&filter, place.as_deref(), ROWS).await {
                Ok(some) => {
                    text.extend(some.entries.iter().map(|entry| format.row(entry)));
                    place = some.next;
                }
                Err(error) => {
                    let _ = sender.send(Err(error)).await;
                    return;
                }
            }
            let gone = sender.send(Ok(Bytes::from(std::mem::take(&mut text)))).await.is_err();
            if gone || place.is_none() {
                return;
            }
        }
    });
    Box::pin(stream::unfold(receiver, |mut receiver| async move {
        receiver.recv().await.map(|chunk| (chunk, receiver))
    }))
}

/// Every setting: its value, its default, and who decides it.
pub fn settings(config: &Config) -> Value {
    rows(settings::in_force(config), |setting| {
        json!({
            "key": setting.key,
            "value": setting.value,
            "default": setting.default,
            "origin": setting.origin.to_string(),
            "about": setting.about,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn t75_no_cell_is_a_formula_and_none_ends_its_line() {
        let check = |cell: &str, expected: &str| assert_eq!(line(&[cell.to_owned()]), format!("{expected}\r\n"));
        check("ada", "\"ada\"");
        check("=HYPERLINK(\"x\")", "\"'=HYPERLINK(\"\"x\"\")\"");
        check("+1", "\"'+1\"");
        check("-1", "\"'-1\"");
        check("@SUM", "\"'@SUM\"");
        check("\tx", "\"'\tx\"");
        check("a,b;c", "\"a,b;c\"");
    }
}
