//! `ocmesh request`: asking people on other servers for a share, and answering who asks.

use clap::Subcommand;
use serde_json::Value;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Ask a contact to share something
    Send {
        /// Who has it: name@server
        #[arg(value_name = "OWNER_ADDRESS")]
        owner: String,
        /// What: a link, a path, or words that they will understand
        what: String,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Show requests
    List {
        /// What was asked of others, instead of what others ask for
        #[arg(long)]
        sent: bool,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Answer a request with a share
    Grant {
        id: String,
        /// What to share: a path in the user's files
        path: String,
        /// They may change it too
        #[arg(long)]
        write: bool,
        /// Until when: 2026-12-31, or a time such as 2026-12-31T18:00:00Z
        #[arg(long, value_name = "TIME")]
        until: Option<String>,
        /// Whose it is; the id tells as well
        #[arg(long)]
        user: Option<String>,
    },
    /// Put a request aside; the one who asked is not told
    Decline {
        id: String,
        /// Whose it is; the id tells as well
        #[arg(long)]
        user: Option<String>,
    },
    /// Close a request of one's own: answered, or no longer wanted
    Close {
        id: String,
        /// Whose it is; the id tells as well
        #[arg(long)]
        user: Option<String>,
    },
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::Send { owner, what, user } => Request::new(Call::RequestSend { user, owner, what }, |request| {
                let field = |key| table::field(request, key);
                format!(
                    "{} is asked (request {}, {}).",
                    field("owner"),
                    field("id"),
                    field("state")
                )
            }),
            Self::List { sent: true, user } => Request::new(Call::RequestList { user, sent: true }, |requests| {
                let mut rows = requests.clone();
                for row in rows.as_array_mut().into_iter().flatten() {
                    row["last_error"] = row["last_error"]["message"].take();
                    row["shares"] = words(&row["shares"]).into();
                }
                table::rows(
                    &rows,
                    &["id", "state", "owner", "what", "created", "shares", "last_error"],
                    "You have asked for nothing yet: ocmesh request send OWNER_ADDRESS WHAT",
                )
            }),
            Self::List { sent: false, user } => Request::new(Call::RequestList { user, sent: false }, |requests| {
                table::rows(
                    requests,
                    &["id", "state", "from", "what", "path", "created"],
                    "Nobody asks you for anything.",
                )
            }),
            Self::Grant {
                id,
                path,
                write,
                until,
                user,
            } => {
                let call = Call::RequestGrant {
                    user,
                    id,
                    path,
                    write,
                    until,
                };
                Request::new(call, |request| {
                    let field = |key| table::field(request, key);
                    format!(
                        "{} is shared with {} (share {}).",
                        field("name"),
                        field("from"),
                        field("share")
                    )
                })
            }
            Self::Decline { id, user } => Request::new(Call::RequestDecline { user, id }, |request| {
                let field = |key| table::field(request, key);
                format!("The request of {} is {}.", field("from"), field("state"))
            }),
            Self::Close { id, user } => Request::new(Call::RequestClose { user, id }, |request| {
                let field = |key| table::field(request, key);
                format!("The request to {} is {}.", field("owner"), field("state"))
            }),
        })
    }
}

/// A list of ids as one text.
fn words(list: &Value) -> String {
    let items = list.as_array().into_iter().flatten().filter_map(Value::as_str);
    items.collect::<Vec<_>>().join(" ")
}
