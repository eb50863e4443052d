//! `ocmesh queue`: what is on its way to other servers.

use clap::Subcommand;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show what waits, with its last error and next try
    List,
    /// Try now, and begin the schedule anew
    Retry { id: String },
    /// Take something out for good
    Drop { id: String },
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::List => Request::new(Call::QueueList, |deliveries| {
                let mut rows = deliveries.clone();
                for row in rows.as_array_mut().into_iter().flatten() {
                    row["last_error"] = row["last_error"]["message"].take();
                }
                table::rows(
                    &rows,
                    &["id", "what", "to", "share", "state", "tries", "next_try", "last_error"],
                    "Nothing is waiting.",
                )
            }),
            Self::Retry { id } => Request::new(Call::QueueRetry { id }, |delivery| {
                format!("{} is tried now.", table::field(delivery, "id"))
            }),
            Self::Drop { id } => {
                let danger = format!("Delivery {id} will never arrive.");
                Request::new(Call::QueueDrop { id }, |delivery| {
                    format!("{} is dropped.", table::field(delivery, "id"))
                })
                .danger(danger)
            }
        })
    }
}
