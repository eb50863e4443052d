//! Lists of servers as others write them, and as this server does: read with the number of each line that is wrong, and
//! written so that a table program takes nothing for a formula.

use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;
use serde_json::json;

use crate::clock::Timestamp;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::peers::trust::Pattern;
use crate::peers::trust::TrustRule;
use crate::peers::trust::Verdict;

/// The longest list that is read, in bytes.
pub const MAX_INPUT: usize = 2 << 20;
/// The most servers in one list.
pub const MAX_RULES: usize = 10_000;
/// The longest reason or note, in characters.
pub const MAX_TEXT: usize = 255;

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    MastodonCsv,
    GotosocialCsv,
    GotosocialJson,
    OcmeshJson,
    Text,
}

impl Format {
    pub const ALL: [Self; 5] = [
        Self::MastodonCsv,
        Self::GotosocialCsv,
        Self::GotosocialJson,
        Self::OcmeshJson,
        Self::Text,
    ];

    /// The word for it, as forms and commands write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::MastodonCsv => "mastodon-csv",
            Self::GotosocialCsv => "gotosocial-csv",
            Self::GotosocialJson => "gotosocial-json",
            Self::OcmeshJson => "ocmesh-json",
            Self::Text => "text",
        }
    }

    /// What people call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MastodonCsv => "Mastodon CSV",
            Self::GotosocialCsv => "GoToSocial CSV",
            Self::GotosocialJson => "GoToSocial JSON",
            Self::OcmeshJson => "ocmesh JSON",
            Self::Text => "Plain text, one server a line",
        }
    }

    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.as_str() == word)
    }

    /// What a text looks like. Anything can be read as plain text.
    pub fn recognise(text: &str) -> Self {
        let text = text.trim_start_matches('\u{feff}').trim_start();
        if text.starts_with(['[', '{']) {
            let head: String = text.chars().take(2000).collect();
            return match (head.find("\"domain\""), head.find("\"host\"")) {
                (None, Some(_)) => Self::OcmeshJson,
                (Some(domain), Some(host)) if host < domain => Self::OcmeshJson,
                _ => Self::GotosocialJson,
            };
        }
        let header = columns(text.lines().next().unwrap_or_default().split(','));
        match header.iter().any(|name| name == "domain") {
            true if header.iter().any(|name| name == "severity") => Self::MastodonCsv,
            true if header.len() > 1 => Self::GotosocialCsv,
            _ => Self::Text,
        }
    }
}

/// One line of a list, or one entry where entries have no lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// From one.
    pub number: usize,
    /// The server as it is written there.
    pub host: String,
    /// What the line asks for, or why it asks for nothing.
    pub asks: Result<Asked, String>,
}

/// The rule that a line asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    pub pattern: Pattern,
    /// None where the list does not say.
    pub verdict: Option<Verdict>,
    pub reason: String,
    pub note: String,
    pub expires: Option<Timestamp>,
}

/// The cells of a line, whatever they were written in.
#[derive(Default)]
struct Cells {
    host: String,
    /// `allow` or `deny`, or a severity.
    verdict: String,
    reason: String,
    note: String,
    expires: String,
}

/// Reads a list in the format that is given.
///
/// # Errors
///
/// [`Reason::TooLarge`] beyond [`MAX_INPUT`] or [`MAX_RULES`]; [`Reason::Invalid`] for what is not of this format at all,
/// or has nothing in it. A line that is wrong is no error, but says so.
pub fn read(text: &str, format: Format) -> Result<Vec<Line>> {
    if text.len() > MAX_INPUT {
        return Err(too_long());
    }
    let text = text.trim_start_matches('\u{feff}');
    let cells = match format {
        Format::MastodonCsv | Format::GotosocialCsv => read_csv(text)?,
        Format::GotosocialJson => read_json(text, ["domain", "severity"])?,
        Format::OcmeshJson => read_json(text, ["host", "verdict"])?,
        Format::Text => read_text(text),
    };
    if cells.is_empty() {
        return Err(Error::invalid("text", "There is no server in this list."));
    }
    if cells.len() > MAX_RULES {
        return Err(Error::new(
            Reason::TooLarge,
            format!("This list has more than {MAX_RULES} servers. Import it in parts."),
        )
        .in_field("text"));
    }
    let mut seen = std::collections::HashMap::new();
    let lines = cells.into_iter().map(|(number, cells)| {
        let mut line = cells.line(number);
        if let Ok(asked) = &line.asks {
            match seen.entry(asked.pattern.as_str().to_owned()) {
                std::collections::hash_map::Entry::Vacant(free) => {
                    free.insert(number);
                }
                std::collections::hash_map::Entry::Occupied(first) => {
                    line.asks = Err(format!("The same server as in line {}.", first.get()));
                }
            }
        }
        line
    });
    Ok(lines.collect())
}

/// The error for what is longer than [`MAX_INPUT`].
pub fn too_long() -> Error {
    let mib = MAX_INPUT >> 20;
    Error::new(
        Reason::TooLarge,
        format!("This list is longer than {mib} MiB. Import it in parts."),
    )
    .in_field("text")
}

impl Cells {
    fn line(self, number: usize) -> Line {
        Line {
            number,
            asks: self.asks(),
            host: clip(&self.host),
        }
    }

    fn asks(&self) -> Result<Asked, String> {
        let verdict = match self.verdict.trim().to_ascii_lowercase().as_str() {
            "" => None,
            "allow" => Some(Verdict::Allow),
            "deny" | "suspend" => Some(Verdict::Deny),
            "silence" | "limit" | "noop" => {
                return Err("The list only limits this server. Here a server is denied or it is not.".to_owned());
            }
            _ => return Err("The list says something of this server that has no meaning here.".to_owned()),
        };
        let expires = match self.expires.trim() {
            "" => None,
            text => Some(Timestamp::parse(text).ok_or("Its end is no time such as 2026-12-31.")?),
        };
        Ok(Asked {
            pattern: Pattern::parse(&self.host).map_err(|error| error.message().to_owned())?,
            verdict,
            reason: clip(&self.reason),
            note: clip(&self.note),
            expires,
        })
    }
}

fn read_text(text: &str) -> Vec<(usize, Cells)> {
    let lines = text.lines().enumerate().filter_map(|(at, line)| {
        let host = line.split('#').next().unwrap_or_default().trim();
        let cells = Cells {
            host: host.to_owned(),
            ..Cells::default()
        };
        (!host.is_empty()).then_some((at + 1, cells))
    });
    lines.collect()
}

/// Counts the lines of a text from row to row.
struct Lines<'a> {
    text: &'a str,
    at: usize,
    number: usize,
}

impl Lines<'_> {
    /// The number of the line that the row after this byte begins in. The reader says where the row before ended, which
    /// may be within a line break or before empty lines.
    fn of_row_after(&mut self, byte: usize) -> usize {
        let rest = self.text.get(byte..).unwrap_or_default();
        let begin = self.text.len() - rest.trim_start_matches(['\r', '\n']).len();
        let passed = self.text.as_bytes().get(self.at..begin).unwrap_or_default();
        self.number += passed.iter().filter(|byte| **byte == b'\n').count();
        self.at = begin.max(self.at);
        self.number
    }
}

fn read_csv(text: &str) -> Result<Vec<(usize, Cells)>> {
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut header: Option<Vec<String>> = None;
    let mut lines = Lines { text, at: 0, number: 1 };
    let mut found = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|cause| {
            Error::invalid("text", "This is no table of cells with commas between.").caused_by(cause)
        })?;
        let number = lines.of_row_after(record.position().map_or(0, |at| at.byte() as usize));
        let Some(header) = &header else {
            let names = columns(record.iter());
            if !names.iter().any(|name| name == "domain") {
                let why = "The first line of a CSV list names its columns; there is no \"domain\" among them.";
                return Err(Error::invalid("text", why));
            }
            header = Some(names);
            continue;
        };
        let cell = |names: [&str; 2]| {
            let at = header.iter().position(|name| names.contains(&name.as_str()));
            fused(at.and_then(|at| record.get(at)).unwrap_or_default()).to_owned()
        };
        let cells = Cells {
            host: cell(["domain", "domain"]),
            verdict: cell(["severity", "severity"]),
            reason: cell(["public_comment", "comment"]),
            note: cell(["private_comment", "private_comment"]),
            expires: cell(["expires", "expires"]),
        };
        if !record.iter().all(str::is_empty) {
            found.push((number, cells));
        }
    }
    Ok(found)
}

/// The names of columns; Mastodon writes each with a `#` before it.
fn columns<'a>(cells: impl Iterator<Item = &'a str>) -> Vec<String> {
    cells
        .map(|name| {
            name.trim()
                .trim_matches('"')
                .trim_start_matches('#')
                .to_ascii_lowercase()
        })
        .collect()
}

fn read_json(text: &str, [host, verdict]: [&str; 2]) -> Result<Vec<(usize, Cells)>> {
    let wrong = |why: &'static str| Error::invalid("text", why);
    let list: Value = serde_json::from_str(text).map_err(|cause| {
        let why = format!("This is no JSON; it goes wrong in line {}.", cause.line());
        Error::invalid("text", why).caused_by(cause)
    })?;
    let list = list.as_array().ok_or_else(|| wrong("A list in JSON begins with [."))?;
    let entries = list.iter().enumerate().map(|(at, entry)| {
        let text = |key: &str| entry[key].as_str().unwrap_or_default().to_owned();
        let first = |keys: [&str; 2]| keys.into_iter().map(text).find(|text| !text.is_empty());
        let cells = Cells {
            host: text(host),
            verdict: text(verdict),
            reason: first(["public_comment", "comment"]).unwrap_or_else(|| text("reason")),
            note: first(["private_comment", "note"]).unwrap_or_default(),
            expires: text("expires"),
        };
        (at + 1, cells)
    });
    Ok(entries.collect())
}

/// Text for one line of a page: no control characters, and no longer than [`MAX_TEXT`].
pub fn clip(text: &str) -> String {
    let clean = text.trim().chars().map(|c| if c.is_control() { ' ' } else { c });
    clean.take(MAX_TEXT).collect()
}

/// A rule as our own format has it, and as programs see it.
pub fn row(rule: &TrustRule) -> Value {
    json!({
        "host": rule.pattern,
        "verdict": rule.verdict,
        "reason": rule.reason,
        "note": rule.note,
        "expires": rule.expires.map(|at| at.to_string()),
        "by": rule.by,
        "since": rule.since.to_string(),
    })
}

/// All rules with all that is known of them, private notes too: for another server of the same admins.
pub fn to_json(rules: &[TrustRule]) -> String {
    let rows: Vec<_> = rules.iter().map(row).collect();
    let mut text = serde_json::to_string_pretty(&rows).unwrap_or_default();
    text.push('\n');
    text
}

/// The hosts of the rules that say `verdict`, one a line.
pub fn to_text(rules: &[TrustRule], verdict: Verdict) -> String {
    let chosen = rules.iter().filter(|rule| rule.verdict == verdict);
    chosen.map(|rule| format!("{}\n", rule.pattern.as_str())).collect()
}

/// The rules that say `verdict`, for others to import: what Mastodon and its kin read, and no private note.
///
/// # Errors
///
/// Only our own fault.
pub fn to_csv(rules: &[TrustRule], verdict: Verdict) -> Result<String> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    // A list of servers to allow has no severities: read as a list to block, it must block nobody.
    let header: &[&str] = match verdict {
        Verdict::Deny => &[
            "#domain",
            "#severity",
            "#reject_media",
            "#reject_reports",
            "#public_comment",
            "#obfuscate",
        ],
        Verdict::Allow => &["#domain", "#public_comment"],
    };
    writer.write_record(header).map_err(Error::internal)?;
    for rule in rules.iter().filter(|rule| rule.verdict == verdict) {
        let (host, reason) = (defused(rule.pattern.as_str()), defused(&rule.reason));
        let cells: Vec<&str> = match verdict {
            Verdict::Deny => vec![&host, "suspend", "false", "false", &reason, "false"],
            Verdict::Allow => vec![&host, &reason],
        };
        writer.write_record(cells).map_err(Error::internal)?;
    }
    let bytes = writer
        .into_inner()
        .map_err(|cause| Error::internal(cause.to_string()))?;
    String::from_utf8(bytes).map_err(Error::internal)
}

/// What a table program would take for the beginning of a formula.
const FORMULA: [char; 6] = ['=', '+', '-', '@', '\t', '\r'];

/// A cell that no table program takes for a formula.
pub fn defused(cell: &str) -> String {
    if cell.starts_with(FORMULA) {
        format!("'{cell}")
    } else {
        cell.to_owned()
    }
}

/// A cell without what [`defused`] put before it.
fn fused(cell: &str) -> &str {
    match cell.strip_prefix('\'') {
        Some(rest) if rest.starts_with(FORMULA) => rest,
        _ => cell,
    }
}

#[cfg(test)]
mod tests;
