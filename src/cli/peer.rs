//! `ocmesh peer`: which servers may federate with this one.

use std::path::PathBuf;

use clap::Subcommand;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::error::Result;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Allow a server, or with *.domain all names below one
    Allow(Rule),
    /// Deny a server, or with *.domain all names below one; this always wins
    Deny(Rule),
    /// Take a rule away
    Remove { host: String },
    /// Show all rules
    List,
    /// Import a list of servers: Mastodon or GoToSocial CSV, GoToSocial JSON, what export writes, or one server a line
    Import {
        /// - is standard input
        file: PathBuf,
        /// What to do with its servers, in place of what the list says [default: deny where it says nothing]
        #[arg(long = "as", value_name = "VERDICT", value_parser = ["allow", "deny"])]
        verdict: Option<String>,
        /// How it is written, if that is not recognised
        #[arg(long, value_parser = ["mastodon-csv", "gotosocial-csv", "gotosocial-json", "ocmesh-json", "text"])]
        format: Option<String>,
        /// Also where there is a rule that says something else
        #[arg(long)]
        replace: bool,
        /// Say what would be done, and do nothing
        #[arg(short = 'n', long)]
        dry_run: bool,
    },
    /// Print the list: all of it as JSON, or the denied (or allowed) servers as CSV or text, without private notes
    Export {
        #[arg(long, default_value = "json", value_parser = ["csv", "json", "text"])]
        format: String,
        /// Print those that are allowed instead of those that are denied
        #[arg(long)]
        allowed: bool,
    },
    /// Show what was changed at once, and can be undone
    Batches,
    /// Put back what was there before a change
    Undo { batch: String },
    /// Show the federation mode, or have another count from now on
    Mode {
        #[arg(value_parser = ["invite", "allowlist", "open"])]
        mode: Option<String>,
    },
    /// Say that the keys a server has now are right, after comparing them
    TrustKey { host: String },
    /// Deliver now what is on its way to a server
    Retry { host: String },
    /// Show what is known of a server: what it says of itself, its keys, the last failure
    Show { host: String },
    /// Set what differs for one server; what is not given is as for all others
    Set {
        host: String,
        /// required, if-advertised, or off: whether its messages, and ours to it, must be signed
        #[arg(long, value_name = "POLICY")]
        signatures: Option<String>,
        /// The way to speak with it, in place of the one that its own document tells
        #[arg(long, value_name = "ID")]
        dialect: Option<String>,
    },
    /// Ask a server anew what it says of itself; keys that it has taken back count no longer
    Refresh { host: String },
    /// Say whether a server is allowed, and which rule decides
    Explain { host: String },
    /// Ask the admins, in the name of a user, to allow a server
    Ask {
        host: String,
        /// Whose wish; may be left out where there is only one user
        #[arg(long)]
        user: Option<String>,
    },
    /// Show which servers users ask for; "allow" is the yes to it
    Asked,
    /// Put aside what users ask for
    Dismiss { host: String },
    /// Ask a server whether it can verify what this one signs
    Probe { host: String },
    /// Print what the admin of another server has to enter to federate with this one; without a name, for which products
    Recipe {
        /// A product, or a server that is known
        #[arg(value_name = "PRODUCT|HOST")]
        name: Option<String>,
    },
    /// Become a trusted server there, where that exists: shares from here can then be taken there without asking
    Handshake { host: String },
}

#[derive(Debug, clap::Args)]
pub struct Rule {
    host: String,
    /// Why; anyone may see this
    #[arg(long, default_value = "")]
    reason: String,
    /// For the admins of this server
    #[arg(long, default_value = "")]
    note: String,
    /// When the rule ends: 2026-12-31
    #[arg(long, value_name = "DATE")]
    until: Option<String>,
}

impl Verb {
    pub fn request(self) -> Result<Request> {
        Ok(match self {
            Self::Allow(rule) => rule.request(true),
            Self::Deny(rule) => rule.request(false),
            Self::Remove { host } => Request::new(Call::PeerRemove { host }, |rule| {
                format!("There is no rule for {} any more.", table::field(rule, "host"))
            }),
            Self::List => Request::new(Call::PeerList, |rules| {
                table::rows(
                    rules,
                    &["host", "verdict", "reason", "by", "since", "expires"],
                    "No rules: the mode decides (federation.mode).",
                )
            }),
            Self::Import {
                file,
                verdict,
                format,
                replace,
                dry_run,
            } => {
                let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
                let call = Call::PeerImport {
                    name: if name == "-" { String::new() } else { name },
                    format,
                    verdict,
                    replace,
                    dry_run,
                    by: whoever(),
                };
                Request::new(call, imported).upload(file)
            }
            Self::Export { format, allowed } => {
                let which = if allowed { "allow" } else { "deny" }.to_owned();
                Request::new(Call::PeerExport { format, which }, |_| String::new()).download("-".into())
            }
            Self::Batches => Request::new(Call::PeerBatches, |batches| {
                table::rows(
                    batches,
                    &["id", "created", "by", "name", "allowed", "denied", "removed", "undone"],
                    "Nothing was changed that could be undone.",
                )
            }),
            Self::Undo { batch } => Request::new(Call::PeerUndo { batch }, undone),
            Self::Mode { mode } => {
                let call = Call::PeerMode { mode, by: whoever() };
                Request::new(call, |mode| {
                    format!(
                        "The mode is {} (set by {}).",
                        table::field(mode, "mode"),
                        table::clean(&table::field(mode, "set_by"))
                    )
                })
            }
            Self::TrustKey { host } => Request::new(Call::PeerTrustKey { host }, portrait),
            Self::Retry { host } => Request::new(Call::PeerRetry { host }, |retried| {
                table::rows(
                    retried,
                    &["id", "what", "user", "next_try"],
                    "Nothing is on its way there.",
                )
            }),
            Self::Show { host } => Request::new(Call::PeerShow { host }, portrait),
            Self::Set {
                host,
                signatures,
                dialect,
            } => {
                let call = Call::PeerSet {
                    host,
                    signatures,
                    dialect,
                    by: whoever(),
                };
                Request::new(call, portrait)
            }
            Self::Refresh { host } => Request::new(Call::PeerRefresh { host }, portrait),
            Self::Explain { host } => Request::new(Call::PeerExplain { host }, explanation),
            Self::Ask { host, user } => Request::new(Call::PeerAsk { user, host }, |wish| {
                format!("The admins see that {} is asked for.", table::field(wish, "host"))
            }),
            Self::Asked => Request::new(Call::PeerAsked, |wishes| {
                table::rows(wishes, &["host", "user", "since"], "Nobody asks for a server.")
            }),
            Self::Dismiss { host } => Request::new(Call::PeerDismiss { host }, |dismissed| {
                format!("Nobody asks for {} any more.", table::field(dismissed, "host"))
            }),
            Self::Probe { host } => Request::new(Call::PeerProbe { host }, |probed| {
                table::clean(&table::field(probed, "because"))
            }),
            Self::Recipe { name: None } => Request::new(Call::PeerRecipe { name: None }, |recipes| {
                table::rows(recipes, &["id", "product"], "No recipes.")
            }),
            Self::Recipe { name } => Request::new(Call::PeerRecipe { name }, recipe),
            Self::Handshake { host } => Request::new(Call::PeerHandshake { host }, |begun| {
                let host = table::field(begun, "host");
                format!("{host}: {}", handshake(begun))
            }),
        })
    }
}

impl Rule {
    fn request(self, allow: bool) -> Request {
        let call = Call::PeerRule {
            host: self.host,
            allow,
            reason: self.reason,
            note: self.note,
            until: self.until,
            by: whoever(),
        };
        Request::new(call, |rule| {
            let verdict = if rule["verdict"] == "allow" {
                "allowed"
            } else {
                "denied"
            };
            format!(
                "{} is {verdict}. Undo it with: ocmesh peer undo {}",
                table::field(rule, "host"),
                table::field(rule, "batch")
            )
        })
    }
}

fn imported(answer: &serde_json::Value) -> String {
    let number = |name: &str| table::field(answer, name);
    let mut text = format!(
        "{} ({}): {} new, {} the same, {} that say something else, {} that can't be imported.",
        table::clean(&number("name")),
        number("format"),
        number("new"),
        number("same"),
        number("conflicts"),
        number("invalid"),
    );
    let left = table::rows(&answer["left"], &["line", "host", "why"], "");
    if !left.is_empty() {
        text.push_str(&format!("\n\nNot imported:\n{left}"));
    }
    let end = match (answer["dry_run"] == true, answer["batch"].as_str()) {
        (true, _) => format!("Nothing was done; {} would be imported.", number("would_import")),
        (false, None) => "Nothing was imported.".to_owned(),
        (false, Some(batch)) => format!(
            "{} imported. Undo it with: ocmesh peer undo {batch}",
            number("imported")
        ),
    };
    format!("{text}\n\n{end}")
}

fn undone(answer: &serde_json::Value) -> String {
    let mut text = format!("{} as before.", table::field(answer, "restored"));
    let kept = answer["kept"].as_array().into_iter().flatten();
    let kept: Vec<_> = kept.filter_map(serde_json::Value::as_str).collect();
    if !kept.is_empty() {
        text.push_str(&format!(" Changed since, and left as they are: {}.", kept.join(", ")));
    }
    text
}

/// Who gives the command, as far as that can be known.
fn whoever() -> String {
    std::env::var("SUDO_USER")
        .or_else(|_| std::env::var("USER"))
        .map_or_else(
            |_| "the command line".to_owned(),
            |user| format!("{user} on the command line"),
        )
}

fn portrait(answer: &serde_json::Value) -> String {
    // What there is nothing to say of is left out.
    let line = |label: &str, value: String| match value.as_str() {
        "" => String::new(),
        value => format!("\n  {label:14} {}", table::clean(value)),
    };
    let words = |list: &serde_json::Value| {
        let words = list
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_str);
        words.collect::<Vec<_>>().join(", ")
    };
    let mut text = format!("{}: {}", table::field(answer, "host"), table::field(answer, "decision"));
    text.push_str(&line("because", table::field(answer, "because")));
    let said = &answer["discovery"];
    if said.is_null() {
        text.push_str(&line(
            "says",
            "nothing known yet; ocmesh peer refresh asks it".to_owned(),
        ));
    } else {
        text.push_str(&line("name", table::field(said, "provider")));
        text.push_str(&line("version", table::field(said, "version")));
        text.push_str(&line("can", words(&said["capabilities"])));
        text.push_str(&line("demands", words(&said["criteria"])));
        text.push_str(&line("takes", words(&said["resource_types"])));
        text.push_str(&line("asked", table::field(said, "fetched")));
    }
    let speaks = &answer["speaks"];
    if !speaks.is_null() {
        let by_hand = if speaks["chosen_by_hand"] == true {
            ", set by an admin"
        } else {
            ""
        };
        let (name, id) = (table::field(speaks, "name"), table::field(speaks, "dialect"));
        text.push_str(&line("speaks", format!("{name} ({id}{by_hand})")));
        text.push_str(&line("limits", table::field(speaks, "limits")));
        let signatures = &answer["signatures"];
        text.push_str(&line("signatures", table::field(signatures, "policy")));
        let ours = match signatures["ours"].as_str() {
            Some(ours) => ours.to_owned(),
            None => table::field(signatures, "why_not"),
        };
        text.push_str(&line("ours", ours));
    }
    text.push_str(&line("signs since", table::field(answer, "signs_since")));
    for key in answer["keys"].as_array().into_iter().flatten() {
        let key = format!("{} {}", table::field(key, "kid"), table::field(key, "thumbprint"));
        text.push_str(&line("key", key));
    }
    text.push_str(&line("keys changed", table::field(answer, "keys_changed")));
    for row in answer["together"].as_array().into_iter().flatten() {
        let said = format!("{}: {}", table::field(row, "works"), table::field(row, "because"));
        text.push_str(&line(&table::field(row, "what"), said));
    }
    if !answer["handshake"].is_null() {
        text.push_str(&line("handshake", handshake(&answer["handshake"])));
    }
    if !answer["last_error"].is_null() {
        text.push_str(&line("last failure", failure(&answer["last_error"])));
    }
    text
}

fn failure(error: &serde_json::Value) -> String {
    format!("{} ({})", table::field(error, "message"), table::field(error, "at"))
}

/// How far the handshake is, and what comes next.
fn handshake(answer: &serde_json::Value) -> String {
    let at = |name: &str| table::field(answer, name);
    let mut text = match answer["state"].as_str() {
        Some("asking") => format!("asking them; next try {}", at("next_try")),
        Some("asked") => "they took it, and come for the secret when they get to it".to_owned(),
        Some("they-ask") => format!("they asked; next try {}", at("next_try")),
        Some("done") if answer["read"].is_null() => {
            format!("done {}; they have not read the address book yet", at("done"))
        }
        Some("done") => format!("done {}; green there since they read last, {}", at("done"), at("read")),
        _ => "given up".to_owned(),
    };
    if !answer["last_error"].is_null() {
        text.push_str(&format!("; the last time: {}", failure(&answer["last_error"])));
    }
    table::clean(&text)
}

fn explanation(answer: &serde_json::Value) -> String {
    let mut text = format!("{}: {}", table::field(answer, "host"), table::field(answer, "decision"));
    for (at, step) in answer["steps"].as_array().into_iter().flatten().enumerate() {
        let mark = if step["decides"] == true { "   <- decides" } else { "" };
        let (question, answer) = (table::field(step, "question"), table::field(step, "answer"));
        text.push_str(&format!("\n  {} {question:24} {}{mark}", at + 1, table::clean(&answer)));
    }
    text
}

/// What is to be pasted stands on lines of its own, and as it is.
fn recipe(answer: &serde_json::Value) -> String {
    let mut text = match answer["host"].as_str() {
        Some(host) => format!("{host}: {}\n", table::field(answer, "product")),
        None => format!("{}\n", table::field(answer, "product")),
    };
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let warning = warning.as_str().unwrap_or_default();
        text.push_str(&format!("\nMind: {}\n", table::clean(warning)));
    }
    for (at, step) in answer["steps"].as_array().into_iter().flatten().enumerate() {
        text.push_str(&format!("\n{}. {}", at + 1, table::clean(&table::field(step, "text"))));
        text.push('\n');
        if let Some(file) = step["file"].as_str() {
            text.push_str(&format!("   In {file}:\n"));
        }
        if let Some(paste) = step["paste"].as_str() {
            text.push_str(&format!("\n{paste}\n"));
        }
    }
    text.trim_end().to_owned()
}
