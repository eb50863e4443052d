//! `ocmesh audit`: who did what on this server.

use std::path::PathBuf;

use clap::Args;
use clap::Subcommand;
use clap::ValueEnum;

use crate::api::Call;
use crate::api::records::Format;
use crate::audit::Filter;
use crate::cli::Request;
use crate::cli::table;
use crate::clock::Clock;
use crate::clock::Timestamp;
use crate::config::Span;
use crate::error::Error;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what was done, the newest first
    List {
        #[command(flatten)]
        wanted: Wanted,
        /// How many entries at most
        #[arg(long, default_value_t = 50)]
        limit: usize,
    },
    /// Write all of it to a file
    Export {
        #[command(flatten)]
        wanted: Wanted,
        #[arg(long, value_enum, default_value_t = As::Csv)]
        format: As,
        /// Where to; - is standard output
        #[arg(default_value = "-")]
        file: PathBuf,
    },
}

/// What an export is written as.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum As {
    Csv,
    Jsonl,
}

#[derive(Debug, Args)]
pub struct Wanted {
    /// Since this day or time, or for so long: 2026-06-01, 24h, 7d
    #[arg(long)]
    since: Option<String>,
    /// By this person, user of the machine, or server
    #[arg(long, default_value = "")]
    actor: String,
    /// About this server
    #[arg(long, default_value = "")]
    server: String,
    /// Of this kind: share, or share.create
    #[arg(long, default_value = "")]
    kind: String,
}

impl Wanted {
    fn filter(self) -> Result<Filter> {
        Ok(Filter {
            since: self.since.as_deref().map(since).transpose()?,
            until: None,
            who: self.actor,
            server: self.server,
            kind: self.kind,
        })
    }
}

fn since(text: &str) -> Result<Timestamp> {
    if let Some(moment) = Timestamp::parse(text) {
        return Ok(moment);
    }
    let span: Span = text.parse().map_err(|_| {
        Error::invalid(
            "--since",
            format!("\"{text}\" is neither a day such as 2026-06-01 nor a length of time such as 7d."),
        )
    })?;
    Ok(Clock::system().now().minus(span.0))
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::List { wanted, limit } => {
                let call = Call::AuditList {
                    filter: wanted.filter()?,
                    limit: Some(limit),
                };
                Request::new(call, |entries| {
                    table::rows(
                        entries,
                        &["at", "who", "did", "to", "server", "from"],
                        "Nothing of that kind was done.",
                    )
                })
            }
            Self::Export { wanted, format, file } => {
                let format = match format {
                    As::Csv => Format::Csv,
                    As::Jsonl => Format::Jsonl,
                };
                let call = Call::AuditExport {
                    filter: wanted.filter()?,
                    format,
                };
                Request::new(call, |_| String::new()).download(file)
            }
        })
    }
}
