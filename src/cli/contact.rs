//! `ocmesh contact`: people on other servers.

use clap::Subcommand;
use serde_json::Value;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::contacts::Change;
use crate::error::Result;
use crate::shares::Parting;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the address book
    List {
        #[command(flatten)]
        whose: Whose,
    },
    /// Show one contact, and what you two share
    Show {
        address: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Call somebody as you like; their server is not told. Without a name, they are called as they say
    Rename {
        address: String,
        #[arg(default_value = "")]
        name: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Note something about somebody that only you see; in place of the note that was there
    Note {
        address: String,
        #[arg(default_value = "")]
        note: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Take nothing more from somebody; they are not told. What is shared already stays
    Block {
        address: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Take shares and requests of somebody again
    Unblock {
        address: String,
        #[command(flatten)]
        whose: Whose,
    },
    /// Take somebody out of the address book; their server is not told
    Remove {
        address: String,
        /// Stop everything that you share with them
        #[arg(long)]
        stop: bool,
        /// Give back everything that they share with you
        #[arg(long)]
        give_back: bool,
        #[command(flatten)]
        whose: Whose,
    },
    /// Print one contact, or all, for another address book
    Export {
        address: Option<String>,
        /// vcard or jscontact
        #[arg(long = "as", value_name = "FORM", default_value = "vcard")]
        form: String,
        #[command(flatten)]
        whose: Whose,
    },
}

#[derive(Debug, clap::Args)]
pub struct Whose {
    /// Whose; may be left out where there is only one user
    #[arg(long)]
    user: Option<String>,
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::List { whose } => Request::new(Call::ContactList { user: whose.user }, |contacts| {
                table::rows(
                    contacts,
                    &["address", "shown_name", "email", "since", "blocked"],
                    "No contacts yet: ocmesh invite create, or ocmesh invite accept",
                )
            }),
            Self::Show { address, whose } => {
                let user = whose.user;
                Request::new(Call::ContactShow { user, address }, details)
            }
            Self::Rename { address, name, whose } => change(address, Change::Name { name }, whose),
            Self::Note { address, note, whose } => change(address, Change::Note { note }, whose),
            Self::Block { address, whose } => change(address, Change::Block, whose),
            Self::Unblock { address, whose } => change(address, Change::Unblock, whose),
            Self::Remove {
                address,
                stop,
                give_back,
                whose,
            } => {
                let danger = format!("{address} will no longer be able to send shares.");
                let call = Call::ContactRemove {
                    user: whose.user,
                    address,
                    parting: Parting { stop, give_back },
                };
                Request::new(call, |contact| {
                    format!("{} is removed.", table::field(contact, "address"))
                })
                .danger(danger)
            }
            Self::Export { address, form, whose } => {
                let call = Call::ContactExport {
                    user: whose.user,
                    address,
                    form,
                };
                Request::new(call, |cards| cards.as_str().unwrap_or_default().trim_end().to_owned())
            }
        })
    }
}

fn change(address: String, change: Change, whose: Whose) -> Request {
    let call = Call::ContactChange {
        user: whose.user,
        address,
        change,
    };
    Request::new(call, details)
}

fn details(contact: &Value) -> String {
    let known = [
        ("Name", "shown_name"),
        ("Address", "address"),
        ("Their name", "name"),
        ("Mail", "email"),
        ("Told mail", "told_email"),
        ("Since", "since"),
        ("Blocked", "blocked"),
        ("Note", "note"),
    ];
    let mut lines: Vec<_> = known
        .into_iter()
        .map(|(label, key)| (label, table::clean(&table::field(contact, key))))
        .filter(|(_, value)| !value.is_empty())
        .map(|(label, value)| format!("{label:12}{value}"))
        .collect();
    for (label, key) in [("You share", "shared_with_them"), ("They share", "shared_by_them")] {
        let shares = contact[key].as_array().into_iter().flatten();
        lines.extend(shares.map(|share| {
            let (id, name) = (table::field(share, "id"), table::clean(&table::field(share, "name")));
            format!("{label:12}{id}  {name}")
        }));
    }
    lines.join("\n")
}
