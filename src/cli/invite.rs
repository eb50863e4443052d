//! `ocmesh invite`: how people on other servers become contacts.

use clap::Subcommand;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::config::Span;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an invite to hand to somebody
    Create {
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
        /// How long it lasts: 1h, 7d
        #[arg(long, value_name = "TIME")]
        expires: Option<Span>,
        /// How many people may accept it
        #[arg(long)]
        uses: Option<u32>,
        /// For whom it is; only you see this
        #[arg(long = "for", value_name = "NOTE", default_value = "")]
        note: String,
    },
    /// Show invites
    List {
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// End an invite at once
    Revoke { id: String },
    /// Accept an invite: a code, a link, or the whole message it came in
    Accept {
        text: String,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::Create {
                user,
                expires,
                uses,
                note,
            } => {
                let call = Call::InviteCreate {
                    user,
                    expires: expires.map(|span| span.0),
                    uses,
                    note,
                };
                Request::new(call, |invite| {
                    let field = |key| table::field(invite, key);
                    format!(
                        "Invite {} - open until {}\n  link   {}\n  code   {}\nAnyone who has it can use it. \
                         End it with: ocmesh invite revoke {}",
                        field("id"),
                        field("expires"),
                        field("link"),
                        field("string"),
                        field("id")
                    )
                })
            }
            Self::List { user } => Request::new(Call::InviteList { user }, |invites| {
                table::rows(
                    invites,
                    &["id", "user", "for", "state", "used", "uses", "expires"],
                    "No invites yet: ocmesh invite create",
                )
            }),
            Self::Revoke { id } => Request::new(Call::InviteRevoke { id }, |invite| {
                format!("Invite {} is revoked.", table::field(invite, "id"))
            }),
            Self::Accept { text, user } => Request::new(Call::InviteAccept { user, text }, |answer| {
                let contact = &answer["contact"];
                let (name, address) = (table::field(contact, "name"), table::field(contact, "address"));
                format!("{} ({address}) is your contact now.", table::clean(&name))
            }),
        })
    }
}
