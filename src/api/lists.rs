//! The trust list as a file: imported, undone and exported, as programs see it.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream;
use serde_json::Value;
use serde_json::json;

use crate::api::servers::every_rule;
use crate::client::ByteStream;
use crate::error::Error;
use crate::error::Result;
use crate::peers::batch::Batch;
use crate::peers::import::Incoming;
use crate::peers::import::Judged;
use crate::peers::import::Standing;
use crate::peers::lists;
use crate::peers::lists::Format;
use crate::peers::trust::Verdict;
use crate::site::Site;

/// What is imported, and how.
pub struct Wanted {
    pub name: String,
    pub format: Option<String>,
    pub verdict: Option<String>,
    /// Whether rules that say something else are replaced.
    pub replace: bool,
    /// Whether it is only said what would be done.
    pub dry_run: bool,
    pub by: String,
}

/// Imports a list: what is new, and with `replace` also what says something else than the rules there are.
pub async fn import(site: &Site, wanted: Wanted, content: ByteStream) -> Result<Value> {
    let incoming = Incoming {
        text: text(content).await?,
        name: wanted.name,
        format: wanted.format.as_deref().map(format).transpose()?,
        verdict: wanted.verdict.as_deref().map(verdict).transpose()?,
    };
    let review = site.peers.begin_import(incoming, &wanted.by).await?;
    if wanted.replace {
        site.peers.pick_all(&review.id, Standing::Conflict, true).await?;
    }
    let (_, lines) = site.peers.review(&review.id).await?;
    let ticked = lines.iter().filter(|line| line.is_ticked()).count();
    let batch = if wanted.dry_run || ticked == 0 {
        site.peers.discard_import(&review.id).await?;
        None
    } else {
        Some(site.peers.import(&review.id, &wanted.by).await?)
    };
    let count = |standing| lines.iter().filter(|line| line.standing == standing).count();
    Ok(json!({
        "name": review.name,
        "format": review.format,
        "dry_run": wanted.dry_run,
        "lines": review.lines,
        "new": count(Standing::New),
        "same": count(Standing::Same),
        "conflicts": count(Standing::Conflict),
        "invalid": count(Standing::Invalid),
        "imported": batch.as_ref().map_or(0, Batch::changes),
        "would_import": ticked,
        "batch": batch.map(|batch| batch.id),
        "left": lines.iter().filter(|line| !line.is_ticked()).filter_map(left).collect::<Vec<_>>(),
    }))
}

/// A line that was not taken, and why.
fn left(line: &Judged) -> Option<Value> {
    let why = match (&line.row.asks, line.standing) {
        (Err(why), _) => why.as_str(),
        (_, Standing::Conflict) => "There is a rule that says something else.",
        (_, Standing::New) => "This is for the names of unrelated people.",
        _ => return None,
    };
    Some(json!({ "line": line.row.line, "host": line.row.host, "why": why }))
}

/// Reads a list to its end, and stops where it is too long.
async fn text(mut content: ByteStream) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = content.next().await {
        bytes.extend_from_slice(&chunk?);
        if bytes.len() > lists::MAX_INPUT {
            return Err(lists::too_long());
        }
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn format(word: &str) -> Result<Format> {
    Format::from_word(word).ok_or_else(|| {
        let known = Format::ALL.map(Format::as_str).join(", ");
        Error::invalid("format", format!("This is none of {known}."))
    })
}

fn verdict(word: &str) -> Result<Verdict> {
    match word {
        "allow" => Ok(Verdict::Allow),
        "deny" => Ok(Verdict::Deny),
        _ => Err(Error::invalid("as", "Say allow or deny.")),
    }
}

/// The list as a file: its media type, its ending, and what is in it. CSV and text have the servers that `which` says,
/// the denied ones where nothing is said; JSON has all.
pub async fn exported(site: &Site, format: &str, which: &str) -> Result<(&'static str, &'static str, String)> {
    let rules = every_rule(site).await?;
    let which = match which {
        "" => Verdict::Deny,
        word => verdict(word)?,
    };
    Ok(match format {
        "json" => ("application/json", "json", lists::to_json(&rules)),
        "csv" => ("text/csv; charset=utf-8", "csv", lists::to_csv(&rules, which)?),
        "text" => ("text/plain; charset=utf-8", "txt", lists::to_text(&rules, which)),
        _ => return Err(Error::invalid("format", "Say csv, json or text.")),
    })
}

pub async fn export(site: &Site, format: &str, which: &str) -> Result<ByteStream> {
    let (.., text) = exported(site, format, which).await?;
    Ok(Box::pin(stream::iter([Ok(Bytes::from(text))])))
}

pub async fn batches(site: &Site) -> Result<Value> {
    Ok(site.peers.batches().await?.iter().map(row).collect())
}

pub async fn undo(site: &Site, id: &str) -> Result<Value> {
    let undone = site.peers.undo(id).await?;
    let mut row = row(&undone.batch);
    row["restored"] = json!(undone.restored);
    row["kept"] = json!(undone.kept);
    Ok(row)
}

fn row(batch: &Batch) -> Value {
    json!({
        "id": batch.id,
        "occasion": batch.occasion,
        "name": batch.name,
        "by": batch.by,
        "created": batch.created.to_string(),
        "allowed": batch.allowed,
        "denied": batch.denied,
        "removed": batch.removed,
        "undone": batch.undone.map(|at| at.to_string()),
    })
}
