//! `ocmesh user`: accounts on this server.

use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;

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
        /// Where the password is read from; - is standard input. Left out: a one-time link to set one
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// May manage this server
        #[arg(long)]
        admin: bool,
    },
    /// Show all accounts
    List,
    /// Show one, with what it has
    Show { name: String },
    /// End all sessions of an account and let nobody sign in to it; what it shares goes on
    Disable { name: String },
    /// Let somebody sign in again
    Enable { name: String },
    /// Make a one-time link with which somebody sets a new password
    Link { name: String },
    /// Delete an account; its shares end, and its name is never given out again
    Delete { name: String },
    /// Change what somebody may do here
    Set {
        name: String,
        /// Whether they may manage this server
        #[arg(long, action = clap::ArgAction::Set)]
        admin: bool,
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
                    password: match password_file {
                        Some(file) => password(&file)?,
                        None => Secret::new(""),
                    },
                    admin,
                };
                Request::new(call, |user| match table::field(user, "link").as_str() {
                    "" => format!("{} can sign in now.", table::field(user, "address")),
                    _ => linked(user),
                })
            }
            Self::List => Request::new(Call::UserList, |users| {
                table::rows(
                    users,
                    &["name", "address", "display_name", "mail", "admin", "state", "last_seen"],
                    "No users yet: ocmesh user add NAME",
                )
            }),
            Self::Show { name } => Request::new(Call::UserShow { name }, |user| {
                let columns = [
                    "address",
                    "display_name",
                    "mail",
                    "admin",
                    "state",
                    "last_seen",
                    "link_until",
                    "contacts",
                    "sent",
                    "received",
                    "storage",
                ];
                let line = |column: &&str| {
                    format!(
                        "{}: {}",
                        column.replace('_', " "),
                        table::clean(&table::field(user, column))
                    )
                };
                columns.iter().map(line).collect::<Vec<_>>().join("\n")
            }),
            Self::Disable { name } => Request::new(Call::UserDisable { name }, |user| {
                format!(
                    "{} can't sign in any more. What they share goes on.",
                    table::field(user, "address")
                )
            }),
            Self::Enable { name } => Request::new(Call::UserEnable { name }, |user| {
                format!("{} can sign in again.", table::field(user, "address"))
            }),
            Self::Link { name } => Request::new(Call::UserLink { name }, linked),
            Self::Delete { name } => {
                let danger = format!(
                    "{name} is deleted: what they share ends, and nobody will ever have that name again. Their files stay \
                     on the disk."
                );
                Request::new(Call::UserDelete { name }, |user| {
                    format!("{} is deleted.", table::field(user, "address"))
                })
                .danger(danger)
            }
            Self::Set { name, admin } => Request::new(Call::UserSet { name, admin }, |user| {
                let role = if user["admin"] == true { "an admin" } else { "no admin" };
                format!("{} is {role} now.", table::field(user, "address"))
            }),
        })
    }
}

/// What to hand to somebody who is to set a password.
fn linked(user: &serde_json::Value) -> String {
    format!(
        "Give this link to {}; it works once, until {}:\n{}",
        table::field(user, "address"),
        table::field(user, "link_until"),
        table::field(user, "link")
    )
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
