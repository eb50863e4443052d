//! `ocmesh invite`: how people on other servers become contacts.

use clap::Subcommand;
use serde_json::Value;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::clock::Timestamp;
use crate::config::Span;
use crate::error::Error;
use crate::error::Result;
use crate::files::TreePath;
use crate::invites::Attachment;
use crate::invites::NewInvite;
use crate::invites::Standing;
use crate::invites::qr;
use crate::lang::Lang;
use crate::ocm::address::Provider;
use crate::ocm::invite::InviteString;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make an invitation to hand to somebody
    Create(Box<New>),
    /// Show invitations
    List {
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
        /// Those that can still be accepted
        #[arg(long, group = "standing")]
        open: bool,
        /// Those that are over, and that somebody accepted
        #[arg(long, group = "standing")]
        accepted: bool,
        /// Those that are over, and that nobody accepted
        #[arg(long, group = "standing")]
        ended: bool,
    },
    /// Show an invitation: link, code, message, and what happened to it
    Show {
        id: String,
        /// Draw the link as a QR code
        #[arg(long)]
        qr: bool,
        /// The language of the message: en, de, fr
        #[arg(long, value_parser = language)]
        lang: Option<Lang>,
    },
    /// Let this server mail an invitation to somebody
    Mail {
        id: String,
        /// A mail address
        to: String,
        /// The language of the message: en, de, fr
        #[arg(long, value_parser = language)]
        lang: Option<Lang>,
    },
    /// Let an invitation last longer
    Extend {
        id: String,
        /// By how much: 1h, 7d
        #[arg(value_name = "TIME", default_value = "7d")]
        by: Span,
    },
    /// End an invitation at once
    Revoke { id: String },
    /// Show where an invitation is from, without sending anything: a code, a link, or the whole message it came in
    Read {
        text: String,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Accept an invitation: a code, a link, or the whole message it came in
    Accept {
        text: String,
        /// Keep your mail address from the other server; a few servers refuse an invitation without one
        #[arg(long)]
        no_mail: bool,
        /// Whose; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
}

#[derive(Debug, clap::Args)]
pub struct New {
    /// Whose; may be left out where there is only one user
    #[arg(long)]
    user: Option<String>,
    /// How long it lasts: 1h, 7d
    #[arg(long, value_name = "TIME")]
    expires: Option<Span>,
    /// How many people may accept it
    #[arg(long)]
    uses: Option<u32>,
    /// For whom it is; only you see this
    #[arg(long = "for", value_name = "NOTE", default_value = "")]
    note: String,
    /// Only people at this server may accept it
    #[arg(long, value_name = "HOST")]
    for_server: Option<String>,
    /// Share this with whoever accepts: a path in the user's files; may be repeated
    #[arg(long, value_name = "PATH")]
    share: Vec<String>,
    /// They may change what is shared
    #[arg(long, requires = "share")]
    write: bool,
    /// The language of the message: en, de, fr
    #[arg(long, value_parser = language, default_value = "en")]
    lang: Lang,
    /// Let this server mail it there
    #[arg(long, value_name = "ADDRESS")]
    mail: Option<String>,
    /// Draw the link as a QR code
    #[arg(long)]
    qr: bool,
}

impl New {
    fn request(self) -> Result<Request> {
        let attached = self.share.iter().map(|path| {
            Ok(Attachment {
                path: TreePath::parse(path).map_err(|error| error.in_field("share"))?,
                write: self.write,
            })
        });
        let server = self.for_server.as_deref().map(Provider::parse_lenient).transpose();
        let new = NewInvite {
            expires: self.expires.map(|span| span.0),
            uses: self.uses,
            attached: attached.collect::<Result<_>>()?,
            note: self.note,
            only_for: server.map_err(|invalid| Error::from(invalid).in_field("server"))?,
            lang: self.lang,
        };
        let call = Call::InviteCreate {
            user: self.user,
            new,
            mail: self.mail,
        };
        Ok(Request::new(call, if self.qr { made_with_qr } else { made }))
    }
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::Create(new) => return new.request(),
            Self::List {
                user,
                open,
                accepted,
                ended,
            } => {
                let wanted = [
                    (open, Standing::Open),
                    (accepted, Standing::Accepted),
                    (ended, Standing::Ended),
                ];
                let standing = wanted.into_iter().find_map(|(said, standing)| said.then_some(standing));
                Request::new(Call::InviteList { user, standing }, |invites| {
                    table::rows(
                        invites,
                        &["id", "user", "for", "state", "used", "uses", "expires"],
                        "No invitations: ocmesh invite create",
                    )
                })
            }
            Self::Show { id, qr, lang } => {
                Request::new(Call::InviteShow { id, lang }, if qr { shown_with_qr } else { shown })
            }
            Self::Mail { id, to, lang } => Request::new(Call::InviteMail { id, to, lang }, |mailed| {
                format!(
                    "Mailed to {}. The mail server said: {}",
                    table::field(mailed, "to"),
                    table::clean(&table::field(mailed, "said"))
                )
            }),
            Self::Extend { id, by } => Request::new(Call::InviteExtend { id, by: by.0 }, |invite| {
                format!(
                    "Invitation {} is open until {}.",
                    table::field(invite, "id"),
                    until(invite)
                )
            }),
            Self::Revoke { id } => Request::new(Call::InviteRevoke { id }, |invite| {
                format!("Invitation {} is cancelled.", table::field(invite, "id"))
            }),
            Self::Read { text, user } => Request::new(Call::InviteRead { user, text }, |invite| {
                let field = |value: &serde_json::Value, key| table::clean(&table::field(value, key));
                let told = &invite["told"];
                format!(
                    "From      {} {}\nDecision  {}: {}\nIt is told, if you accept\n  name    {}\n  address {}\n  mail    {}",
                    field(invite, "provider"),
                    field(invite, "name"),
                    field(invite, "decision"),
                    field(invite, "because"),
                    field(told, "name"),
                    field(told, "address"),
                    field(told, "email"),
                )
            }),
            Self::Accept { text, no_mail, user } => {
                let question = InviteString::read_anything(&text).ok().map(|invite| {
                    let mail = if no_mail { "" } else { " and mail address" };
                    format!("{} will be told your name, address{mail}.", invite.provider)
                });
                let call = Call::InviteAccept { user, text, no_mail };
                let request = Request::new(call, |answer| {
                    let contact = &answer["contact"];
                    let (name, address) = (table::field(contact, "name"), table::field(contact, "address"));
                    format!("{} ({address}) is your contact now.", table::clean(&name))
                });
                match question {
                    Some(question) => request.question(question),
                    None => request,
                }
            }
        })
    }
}

fn language(text: &str) -> Result<Lang, String> {
    Lang::from_code(text).ok_or_else(|| "a language is one of: en, de, fr".to_owned())
}

fn made(invite: &Value) -> String {
    hand_over(invite, "")
}

fn made_with_qr(invite: &Value) -> String {
    hand_over(invite, &drawn(invite))
}

fn hand_over(invite: &Value, drawing: &str) -> String {
    let mut text = format!(
        "{}\n{drawing}Anyone who has it can use it. Cancel with: ocmesh invite revoke {}",
        head(invite),
        table::field(invite, "id")
    );
    let mail = &invite["mail"];
    if mail["sent"] == true {
        text += &format!("\nMailed to {}. ", table::field(mail, "to"));
    } else if mail["sent"] == false {
        text += &format!("\nNot mailed to {}. ", table::field(mail, "to"));
    }
    text + &table::clean(&table::field(mail, "said"))
}

fn shown(invite: &Value) -> String {
    told(invite, "")
}

fn shown_with_qr(invite: &Value) -> String {
    told(invite, &drawn(invite))
}

fn told(invite: &Value, drawing: &str) -> String {
    let mut lines = vec![format!("{}\n{drawing}", head(invite))];
    lines.push(table::field(invite, "message"));
    let rows = |key: &str| invite["history"][key].as_array().cloned().unwrap_or_default();
    let mut past = Vec::new();
    for row in rows("accepted") {
        let field = |key| table::clean(&table::field(&row, key));
        past.push(format!(
            "  accepted  {}  {} ({})",
            field("at"),
            field("name"),
            field("address")
        ));
        for shared in row["shared"].as_array().into_iter().flatten() {
            let field = |key| table::clean(&table::field(shared, key));
            past.push(match shared["share"].as_str() {
                Some(id) => format!("            {} is share {id}", field("path")),
                None => format!(
                    "            {} could not be shared: {}",
                    field("path"),
                    table::clean(&table::field(&shared["failure"], "message"))
                ),
            });
        }
    }
    for row in rows("refused") {
        let field = |key| table::clean(&table::field(&row, key));
        past.push(format!(
            "  refused   {}  {}: {}",
            field("last"),
            field("server"),
            field("why")
        ));
    }
    for row in rows("mailed") {
        let field = |key| table::clean(&table::field(&row, key));
        past.push(format!(
            "  mailed    {}  {}: {}",
            field("at"),
            field("to"),
            field("said")
        ));
    }
    if past.is_empty() {
        past.push("  Nobody accepted it yet.".to_owned());
    }
    lines.push(past.join("\n"));
    lines.join("\n\n")
}

/// What it is, where it stands, link and code.
fn head(invite: &Value) -> String {
    let field = |key| table::clean(&table::field(invite, key));
    let whom = match field("for") {
        note if note.is_empty() => String::new(),
        note => format!(" for {note}"),
    };
    let uses = match invite["uses"].as_u64() {
        Some(1) => "1 use".to_owned(),
        uses => format!("{} uses", uses.unwrap_or_default()),
    };
    let state = match invite["state"].as_str() {
        Some("open") => format!("open until {}", until(invite)),
        _ => field("state"),
    };
    format!(
        "Invitation {}{whom} - {state}, {uses}\n  link   {}\n  code   {}",
        field("id"),
        field("link"),
        field("string")
    )
}

fn until(invite: &Value) -> String {
    let text = table::field(invite, "expires");
    Timestamp::parse(&text).map_or(text, |moment| Lang::En.when(moment))
}

fn drawn(invite: &Value) -> String {
    let drawing = qr::in_half_blocks(&table::field(invite, "link"));
    drawing.map_or_else(|_| String::new(), |drawing| format!("\n{drawing}\n\n"))
}
