//! `ocmesh share`: with, and from, people on other servers.

use std::path::PathBuf;

use clap::Subcommand;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Share a file or folder
    Create {
        /// What: a path in the user's files
        path: String,
        /// With whom: name@server
        #[arg(long, value_name = "ADDRESS")]
        to: String,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
        /// They may change it too
        #[arg(long)]
        write: bool,
        /// Until when: 2026-12-31, or a time such as 2026-12-31T18:00:00Z
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
    },
    /// Show shares
    List {
        /// What was shared with others
        #[arg(long, conflicts_with = "received")]
        sent: bool,
        /// What others have shared; also if nothing is said
        #[arg(long)]
        received: bool,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Accept a share of somebody else
    Accept {
        id: String,
        /// Whose it is; the id tells as well
        #[arg(long)]
        user: Option<String>,
    },
    /// Decline a share of somebody else
    Decline {
        id: String,
        /// Whose it is; the id tells as well
        #[arg(long)]
        user: Option<String>,
    },
    /// Stop sharing; access ends at once
    Stop {
        id: String,
        /// Whose it is; the id tells as well
        #[arg(long)]
        user: Option<String>,
    },
    /// Give an accepted share back
    Leave {
        id: String,
        /// Whose it is; the id tells as well
        #[arg(long)]
        user: Option<String>,
    },
    /// Try whether a share of somebody else can be opened
    Check {
        id: String,
        /// Whose it is; the id tells as well
        #[arg(long)]
        user: Option<String>,
    },
    /// Show what is in a share of somebody else
    Ls {
        /// The share, and behind it a path in it
        #[arg(value_name = "ID[/PATH]")]
        what: String,
    },
    /// Fetch a file from a share of somebody else
    Get {
        #[arg(value_name = "ID[/PATH]")]
        what: String,
        /// Where to put it; - is standard output
        dest: PathBuf,
    },
    /// Write a file into a share of somebody else
    Put {
        /// - is standard input
        file: PathBuf,
        #[arg(value_name = "ID[/PATH]")]
        what: String,
    },
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::Create {
                path,
                to,
                user,
                write,
                until,
            } => {
                let call = Call::ShareCreate {
                    user,
                    path,
                    to,
                    write,
                    until,
                };
                Request::new(call, |share| {
                    let field = |key| table::field(share, key);
                    format!(
                        "{} is shared with {} (share {}, {}).",
                        field("name"),
                        field("share_with"),
                        field("id"),
                        field("state")
                    )
                })
            }
            Self::List { sent: true, user, .. } => Request::new(Call::ShareList { user, received: false }, |shares| {
                table::rows(
                    shares,
                    &["id", "state", "share_with", "kind", "path", "expires"],
                    "You share nothing yet: ocmesh share create PATH --to ADDRESS",
                )
            }),
            Self::List { user, .. } => Request::new(Call::ShareList { user, received: true }, |shares| {
                table::rows(
                    shares,
                    &["id", "state", "sender", "kind", "name", "expires"],
                    "Nothing is shared with you.",
                )
            }),
            Self::Accept { id, user } => Request::new(Call::ShareAccept { user, id }, state),
            Self::Decline { id, user } => Request::new(Call::ShareDecline { user, id }, state),
            Self::Stop { id, user } => Request::new(Call::ShareStop { user, id }, state),
            Self::Leave { id, user } => Request::new(Call::ShareLeave { user, id }, state),
            Self::Check { id, user } => Request::new(Call::ShareCheck { user, id }, |share| {
                let name = table::clean(&table::field(share, "name"));
                match share["checked"]["failure"]["message"].as_str() {
                    None => format!("{name} can be opened."),
                    Some(why) => format!("{name} can't be opened: {}", table::clean(why)),
                }
            }),
            Self::Ls { what } => {
                let (id, path) = split(&what);
                Request::new(Call::ShareLs { id, path }, |entries| {
                    table::rows(entries, &["kind", "size", "name"], "This folder is empty.")
                })
            }
            Self::Get { what, dest } => {
                let (id, path) = split(&what);
                Request::new(Call::ShareGet { id, path }, |_| String::new()).download(dest)
            }
            Self::Put { file, what } => {
                let (id, mut path) = split(&what);
                // As `cp` does: into a folder, under the file's own name.
                if what.ends_with('/')
                    && let Some(name) = file.file_name()
                {
                    path = format!("{path}/{}", name.to_string_lossy());
                }
                Request::new(Call::SharePut { id, path }, |file| {
                    format!("{} is stored on their server.", table::field(file, "path"))
                })
                .upload(file)
            }
        })
    }
}

fn split(what: &str) -> (String, String) {
    let (id, path) = what.split_once('/').unwrap_or((what, ""));
    (id.to_owned(), path.trim_end_matches('/').to_owned())
}

fn state(share: &serde_json::Value) -> String {
    format!(
        "{}: {}",
        table::clean(&table::field(share, "name")),
        table::field(share, "state")
    )
}
