//! `ocmesh user`: accounts on this server.

use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;

use crate::api::Call;
use crate::api::people::UserChange;
use crate::cli::Request;
use crate::cli::misused;
use crate::cli::table;
use crate::config::UserTopic;
use crate::error::Error;
use crate::error::Reason;
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
    Show {
        /// May be left out where there is only one
        name: Option<String>,
    },
    /// End all sessions of an account and let nobody sign in to it; what it shares goes on
    Disable { name: String },
    /// Let somebody sign in again
    Enable { name: String },
    /// Make a one-time link with which somebody sets a new password
    Link { name: String },
    /// Delete an account; its shares end, and its name is never given out again
    Delete { name: String },
    /// Change what an account says of its owner, and what they may do here
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
        /// What they hear about by mail, with commas between: share-received, share-failed, invite-accepted; none for nothing
        #[arg(long, value_name = "TOPICS")]
        notify: Option<String>,
        /// Whether they may manage this server
        #[arg(long, value_name = "true|false")]
        admin: Option<bool>,
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
            Self::Set {
                name,
                display_name,
                mail,
                language,
                accept_from_contacts,
                notify,
                admin,
            } => {
                let change = UserChange {
                    display_name,
                    mail,
                    language,
                    accept_from_contacts,
                    admin,
                    notify: notify.as_deref().map(topics).transpose()?,
                };
                Request::new(Call::UserSet { user: name, change }, about)
            }
            Self::SignOut { name } => Request::new(Call::UserSignOut { user: name }, |user| {
                format!("{} is signed out everywhere.", table::field(user, "address"))
            }),
            Self::List => Request::new(Call::UserList, |users| {
                table::rows(
                    users,
                    &["name", "address", "display_name", "mail", "admin", "state", "last_seen"],
                    "No users yet: ocmesh user add NAME",
                )
            }),
            Self::Show { name } => Request::new(Call::UserShow { user: name }, about),
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
        })
    }
}

/// What to hand to somebody who is to set a password.
fn linked(user: &Value) -> String {
    format!(
        "Give this link to {}; it works once, until {}:\n{}",
        table::field(user, "address"),
        table::field(user, "link_until"),
        table::field(user, "link")
    )
}

fn about(user: &Value) -> String {
    let columns = [
        "address",
        "display_name",
        "mail",
        "admin",
        "language",
        "accept_from_contacts",
        "notify",
        "state",
        "last_seen",
        "link_until",
        "contacts",
        "sent",
        "received",
        "storage",
    ];
    let line = |column: &&str| {
        let value = table::field(user, column);
        (!value.is_empty()).then(|| format!("{}: {}", column.replace('_', " "), table::clean(&value)))
    };
    columns.iter().filter_map(line).collect::<Vec<_>>().join("\n")
}

/// What somebody wants to hear about.
fn topics(text: &str) -> Result<Vec<UserTopic>> {
    let words = text.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty() && *word != "none")
        .map(|word| {
            let known = UserTopic::ALL.into_iter().find(|topic| topic.as_str() == word);
            known.ok_or_else(|| {
                let why = format!("{word:?} is none of share-received, invite-accepted, share-failed and none.");
                misused(format!("--notify: {why}"))
            })
        })
        .collect()
}

/// The first line of a file; a password never stands on the command line, where others can read it.
fn password(file: &Path) -> Result<Secret> {
    let wrong = |cause: std::io::Error| {
        let why = format!("--password-file {}: {cause}", file.display());
        Error::new(Reason::Invalid, why)
    };
    let mut text = String::new();
    if file == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).map_err(wrong)?;
    } else {
        text = std::fs::read_to_string(file).map_err(wrong)?;
    }
    Ok(Secret::new(text.lines().next().unwrap_or_default()))
}
