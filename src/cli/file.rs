//! `ocmesh file`: files of users on this server.

use std::path::PathBuf;

use clap::Subcommand;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Copy a file from this machine to a user's files
    Put {
        /// - is standard input
        local: PathBuf,
        /// Where to, in the user's files; missing folders are made
        path: String,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Show a folder
    List {
        #[arg(default_value = "")]
        path: String,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Copy a user's file to this machine
    Get {
        path: String,
        /// - is standard output
        local: PathBuf,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::Put { local, path, user } => Request::new(Call::FilePut { user, path }, |file| {
                format!(
                    "{} is stored, {} bytes.",
                    table::field(file, "path"),
                    table::field(file, "size")
                )
            })
            .upload(local),
            Self::List { path, user } => Request::new(Call::FileList { user, path }, |files| {
                table::rows(files, &["kind", "size", "modified", "name"], "This folder is empty.")
            }),
            Self::Get { path, local, user } => {
                Request::new(Call::FileGet { user, path }, |_| String::new()).download(local)
            }
        })
    }
}
