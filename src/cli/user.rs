//! `ocmesh user`: accounts on this server.

use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::error::Error;
use crate::error::Result;
use crate::secret::Secret;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an account
    Add {
        /// What stands before the @ of their address
        name: String,
        #[arg(long, default_value = "")]
        display_name: String,
        #[arg(long, default_value = "")]
        mail: String,
        /// Where the password is read from; - is standard input
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
        /// May manage this server
        #[arg(long)]
        admin: bool,
    },
    /// Show all accounts
    List,
    /// Show one account
    Show {
        /// May be left out where there is only one
        name: Option<String>,
    },
    /// Change what an account says of its owner
    Set {
        /// May be left out where there is only one
        name: Option<String>,
        /// As people on other servers see it
        #[arg(long)]
        display_name: Option<String>,
        #[arg(long)]
        mail: Option<String>,
        /// What pages are in: auto, en, de or fr
        #[arg(long)]
        language: Option<String>,
        /// Whether what contacts share is accepted at once
        #[arg(long, value_name = "true|false")]
        accept_from_contacts: Option<bool>,
    },
    /// End every session of an account
    SignOut {
        /// May be left out where there is only one
        name: Option<String>,
    },
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::Add {
                name,
                display_name,
                mail,
                password_file,
                admin,
            } => {
                let call = Call::UserAdd {
                    name,
                    display_name,
                    mail,
                    password: password(&password_file)?,
                    admin,
                };
                Request::new(call, |user| {
                    format!("{} can sign in now.", table::field(user, "address"))
                })
            }
            Self::Show { name } => Request::new(Call::UserShow { user: name }, about),
            Self::Set {
                name,
                display_name,
                mail,
                language,
                accept_from_contacts,
            } => {
                let call = Call::UserSet {
                    user: name,
                    display_name,
                    mail,
                    language,
                    accept_from_contacts,
                };
                Request::new(call, about)
            }
            Self::SignOut { name } => Request::new(Call::UserSignOut { user: name }, |user| {
                format!("{} is signed out everywhere.", table::field(user, "address"))
            }),
            Self::List => Request::new(Call::UserList, |users| {
                table::rows(
                    users,
                    &["name", "address", "display_name", "mail", "admin"],
                    "No users yet: ocmesh user add NAME --password-file FILE",
                )
            }),
        })
    }
}

fn about(user: &Value) -> String {
    let lines = [
        "address",
        "display_name",
        "mail",
        "admin",
        "language",
        "accept_from_contacts",
    ];
    let line = |key: &&str| format!("{key}: {}", table::clean(&table::field(user, key)));
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// The first line of a file; a password never stands on the command line, where others can read it.
fn password(file: &Path) -> Result<Secret> {
    let wrong = |cause: std::io::Error| Error::invalid("--password-file", format!("{}: {cause}", file.display()));
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(wrong)?;
    } else {
        text = std::fs::read_to_string(file).map_err(wrong)?;
    }
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}
