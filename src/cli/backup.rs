//! `ocmesh backup`: copies of all that this server keeps, and what waits after one was put back.

use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;
use serde_json::json;

use crate::api::Call;
use crate::backup;
use crate::cli::Request;
use crate::cli::connection;
use crate::cli::table;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::Size;
use crate::error::Error;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a backup now, also while the server runs, and read it back
    Create {
        /// Where to, in place of the folder in backup.dir
        file: Option<PathBuf>,
        /// With people's files
        #[arg(long)]
        include_files: bool,
    },
    /// Show the backups, the newest first
    List,
    /// Read a backup and compare every byte with what it says of itself
    Verify {
        /// The backup: a .zip that this program made
        file: PathBuf,
    },
    /// Remove those of the schedule that backup.keep does not keep
    Prune,
    /// Show what waits to be confirmed since a restore
    Review,
    /// Let go on what waits since a restore: shares open, invitations can be accepted, messages are sent
    Confirm {
        /// What backup review calls it
        #[arg(required_unless_present = "all")]
        id: Option<String>,
        /// Everything that waits
        #[arg(long, conflicts_with = "id")]
        all: bool,
    },
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::Create { file, include_files } => Request::new(Call::BackupCreate { file, include_files }, created),
            Self::List => Request::new(Call::BackupList, |backups| {
                table::rows(
                    backups,
                    &["made", "size", "verified", "file"],
                    "There are no backups yet.",
                )
            }),
            Self::Verify { .. } => return Err(Error::internal("a backup is read without a server")),
            Self::Prune => Request::new(Call::BackupPrune, pruned).danger(
                "Backups that the schedule made and that backup.keep does not keep are removed for good; those made by hand \
                 and before updates stay."
                    .to_owned(),
            ),
            Self::Review => Request::new(Call::BackupReview, |held| {
                let columns = ["kind", "id", "user", "what", "with", "since"];
                table::rows(held, &columns, "Nothing waits to be confirmed.")
            }),
            Self::Confirm { id, all } => {
                let request = Request::new(Call::BackupConfirm { id }, |done| {
                    let number = |name| table::field(done, name);
                    format!(
                        "Confirmed: {} shares, {} invitations, {} messages.",
                        number("shares"),
                        number("invites"),
                        number("deliveries")
                    )
                });
                match all {
                    true => request.danger(
                        "Every share and invitation that came back with the backup can be used again, also those that were \
                         ended since it was made."
                            .to_owned(),
                    ),
                    false => request,
                }
            }
        })
    }
}

/// Makes a backup under the name that is given. A running server may see other files than whoever asks it: so it hands the
/// backup over, and it is written and read back here.
///
/// # Errors
///
/// [`Reason::AlreadyExists`](crate::error::Reason::AlreadyExists); as [`backup::receive`]; as the server has it.
pub async fn create_at(config: Config, file: &Path, include_files: bool) -> Result<(String, Value)> {
    let file = std::path::absolute(file)?;
    backup::judge_target(&config, &file)?;
    let made = match connection::fetch(&config, Call::BackupHandOver { include_files }).await? {
        Some(content) => {
            let made = backup::receive(content, file).await?;
            json!({
                "name": made.name(),
                "file": made.file,
                "made": made.at.to_string(),
                "size": made.size,
                "verified": made.verified.map(|at| at.to_string()),
            })
        }
        None => {
            let file = Some(file);
            let request = Request::new(Call::BackupCreate { file, include_files }, created);
            connection::send(config, request).await?.unwrap_or_default()
        }
    };
    Ok((created(&made), made))
}

fn pruned(gone: &Value) -> String {
    let gone = gone.as_array().map_or(&[] as &[Value], Vec::as_slice);
    if gone.is_empty() {
        return "All of them are kept.".to_owned();
    }
    let lines = gone.iter().map(|one| format!("Removed: {}", table::field(one, "name")));
    lines.collect::<Vec<_>>().join("\n")
}

fn created(made: &Value) -> String {
    let size = made["size"].as_u64().unwrap_or_default();
    let mut said = format!("{}  {}  read back and whole", table::field(made, "file"), Size(size));
    if made["same_disk"] == true {
        said.push_str("\nThe backups are on the disk of the data: copy them elsewhere.");
    }
    said
}

/// Reads a backup where it lies: no server and no data are needed.
///
/// # Errors
///
/// As [`backup::verify`].
pub fn verify(config: &Config, file: &Path) -> Result<(String, Value)> {
    let manifest = backup::check_file(config, file, Clock::system().now())?;
    let said = format!(
        "{} is whole: made {} by ocmesh {} of {}, {} records.",
        file.display(),
        manifest.made,
        manifest.ocmesh,
        manifest.public_url,
        manifest.kinds().map(|(_, number)| number).sum::<u64>()
    );
    Ok((said, json!(manifest)))
}
