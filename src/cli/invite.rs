//! `ocmesh invite`: how people on other servers become contacts.

use clap::Subcommand;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::config::Span;
use crate::error::Result;
use crate::ocm::invite::InviteString;

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
    /// Show where an invite is from, without sending anything: a code, a link, or the whole message it came in
    Read {
        text: String,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Accept an invite: a code, a link, or the whole message it came in
    Accept {
        text: String,
        /// Keep your mail address from the other server; a few servers refuse an invite without one
        #[arg(long)]
        no_mail: bool,
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
            Self::Read { text, user } => Request::new(Call::InviteRead { user, text }, |invite| {
                let field = |value: &serde_json::Value, key| table::clean(&table::field(value, key));
                let told = &invite["told"];
                format!(
                    "From      {} {}\nDecision  {}: {}\nIt is told, if you accept\n  name    {}\n  address {}\n  mail    {}",
                    field(invite, "provider"),
                    field(invite, "name"),
                    field(invite, "decision"),
                    field(invite, "because"),
                    field(told, "name"),
                    field(told, "address"),
                    field(told, "email"),
                )
            }),
            Self::Accept { text, no_mail, user } => {
                let question = InviteString::read_anything(&text).ok().map(|invite| {
                    let mail = if no_mail { "" } else { " and mail address" };
                    format!("{} will be told your name, address{mail}.", invite.provider)
                });
                let call = Call::InviteAccept { user, text, no_mail };
                let request = Request::new(call, |answer| {
                    let contact = &answer["contact"];
                    let (name, address) = (table::field(contact, "name"), table::field(contact, "address"));
                    format!("{} ({address}) is your contact now.", table::clean(&name))
                });
                match question {
                    Some(question) => request.question(question),
                    None => request,
                }
            }
        })
    }
}
