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
    /// Make a folder
    Mkdir {
        path: String,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Give a file or folder another name or place; what is shared stays shared
    Move {
        from: String,
        /// A folder, or the new name
        to: String,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Remove a file, or a folder with all that is in it; its shares end
    Remove {
        path: String,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Copy a folder to this machine as one zip file
    Zip {
        path: String,
        /// - is standard output
        local: PathBuf,
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
            Self::Mkdir { path, user } => Request::new(Call::FileMkdir { user, path }, |folder| {
                format!("{} is there now.", table::clean(&table::field(folder, "path")))
            }),
            Self::Move { from, to, user } => Request::new(Call::FileMove { user, from, to }, |moved| {
                format!("It is {} now.", table::clean(&table::field(moved, "path")))
            }),
            Self::Remove { path, user } => Request::new(Call::FileRemove { user, path }, |removed| {
                format!("{} is removed.", table::clean(&table::field(removed, "path")))
            }),
            Self::Zip { path, local, user } => {
                Request::new(Call::FileZip { user, path }, |_| String::new()).download(local)
            }
            Self::Get { path, local, user } => {
                Request::new(Call::FileGet { user, path }, |_| String::new()).download(local)
            }
        })
    }
}
