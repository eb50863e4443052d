//! `ocmesh tls`: the certificate of this server.

use clap::Subcommand;
use serde_json::Value;

use crate::api::Call;
use crate::cli::Request;
use crate::cli::table;
use crate::error::Error;
use crate::error::Reason;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Show the certificate, when it is renewed, and what is the matter
    Status,
    /// Look at names, ports and clock as an authority would; costs no attempt there
    Preflight,
    /// Renew the certificate now; a few times in an hour at most
    Renew,
    /// Print the certificate of the lab authority, for peers to trust (tls.mode "self-signed")
    Ca,
}

impl Verb {
    pub fn request(self) -> Request {
        match self {
            Self::Status => Request::new(Call::TlsStatus, status),
            Self::Preflight => {
                Request::new(Call::TlsPreflight, preflight).verdict(|answer| match answer["passed"] == true {
                    true => Ok(()),
                    false => Err(Error::new(Reason::Conflict, "Not all is well.")),
                })
            }
            Self::Renew => Request::new(Call::TlsRenew, renewed),
            Self::Ca => Request::new(Call::TlsCa, |answer| table::field(answer, "pem").trim_end().to_owned()),
        }
    }
}

/// An order takes its time: what was the matter until now says nothing of it.
fn renewed(answer: &Value) -> String {
    match table::field(answer, "mode").as_str() {
        "acme" => "A certificate is being ordered. See how it goes: ocmesh tls status".to_owned(),
        _ => status(answer),
    }
}

fn status(answer: &Value) -> String {
    let field = |name: &str| table::clean(&table::field(answer, name));
    let names = |key: &str| {
        let names = answer[key].as_array().into_iter().flatten();
        table::clean(&names.filter_map(Value::as_str).collect::<Vec<_>>().join(", "))
    };
    let mut lines = vec![
        format!("mode        {}", field("mode")),
        format!("names       {}", names("names")),
    ];
    let mut line = |label: &str, text: String| {
        if !text.is_empty() {
            lines.push(format!("{label:12}{text}"));
        }
    };
    if names("certificate_names") != names("names") {
        line("made for", names("certificate_names"));
    }
    line("issuer", field("issuer"));
    if !field("not_after").is_empty() {
        line(
            "valid until",
            format!("{}  ({} days)", field("not_after"), field("days_left")),
        );
    }
    line("renewal", field("renewal"));
    if !field("authority").is_empty() {
        line("authority", format!("{}, by {}", field("authority"), field("way")));
    }
    if answer["under_way"] == true {
        line("now", "an order is under way".to_owned());
    }
    for step in answer["steps"].as_array().into_iter().flatten() {
        let said = table::clean(&table::field(step, "done"));
        line("", format!("            {}  {said}", table::field(step, "at")));
    }
    line("trouble", field("trouble"));
    line("next try", field("next_try"));
    line("they said", field("answer"));
    lines.join("\n")
}

fn preflight(answer: &Value) -> String {
    let looks = answer["looks"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let mut lines = Vec::new();
    for look in looks {
        let field = |name: &str| table::clean(&table::field(look, name));
        lines.push(format!(
            "{:7} {:10} {}",
            field("found"),
            field("check"),
            field("sentence")
        ));
        if !field("remedy").is_empty() {
            lines.push(format!("{:18} {}", "", field("remedy")));
        }
    }
    if answer["passed"] == true {
        lines.push("Nothing is in the way.".to_owned());
    }
    lines.join("\n")
}
