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
        /// Where the password is read from; - is standard input
        #[arg(long, value_name = "FILE")]
        password_file: PathBuf,
        /// May manage this server
        #[arg(long)]
        admin: bool,
    },
    /// Show all accounts
    List,
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
