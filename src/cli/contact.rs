//! `ocmesh contact`: people on other servers.

use clap::Subcommand;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the address book
    List {
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Take somebody out of it; their server is not told
    Remove {
        address: String,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::List { user } => Request::new(Call::ContactList { user }, |contacts| {
                table::rows(
                    contacts,
                    &["address", "name", "email", "since"],
                    "No contacts yet: ocmesh invite create, or ocmesh invite accept",
                )
            }),
            Self::Remove { address, user } => {
                let danger = format!("{address} will no longer be able to send shares.");
                Request::new(Call::ContactRemove { user, address }, |contact| {
                    format!("{} is removed.", table::field(contact, "address"))
                })
                .danger(danger)
            }
        })
    }
}
