//! `ocmesh doctor` and `ocmesh support-bundle`: whether all is well, and what helpers need to know.

use std::path::PathBuf;
use std::process::ExitCode;

use serde_json::Value;

use crate::api;
use crate::api::Call;
use crate::cli::Global;
use crate::cli::Request;
use crate::cli::complain;
use crate::cli::connection;
use crate::cli::exit_code;
use crate::cli::log;
use crate::cli::print;
use crate::cli::table;
use crate::clock::Clock;
use crate::config::Config;
use crate::doctor;
use crate::doctor::Finding;
use crate::doctor::Report;
use crate::doctor::bundle;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// What a failed check ends in.
const FAILED: u8 = 1;
/// What a look without a server ends in: all that it could not see may be wrong.
const NOT_REACHED: u8 = 4;

#[derive(Debug, clap::Args)]
pub struct Doctor {
    /// Take a warning for a failure, too
    #[arg(long)]
    strict: bool,
}

impl Doctor {
    /// Asks the running server, or looks at what can be seen without one; also where the settings are wrong.
    pub fn run(&self, global: &Global) -> ExitCode {
        let config = match global.load_beside() {
            Ok(config) => config,
            Err(error) => {
                let said = show(&of_findings(vec![unreadable(&error)]), global.json);
                return match said.and_then(|said| print(&said)) {
                    Ok(()) => ExitCode::from(exit_code(&error)),
                    Err(error) => failed(&error, global.json),
                };
            }
        };
        log::start(&config, false);
        let outcome = actix_web::rt::System::new().block_on(look(&config)).and_then(|report| {
            print(&show(&report, global.json)?)?;
            Ok(report)
        });
        match outcome {
            Ok(report) => match (report["verdict"].as_str(), self.strict) {
                (Some("bad"), _) | (Some("warn"), true) => ExitCode::from(FAILED),
                _ if !runs(&report) => ExitCode::from(NOT_REACHED),
                _ => ExitCode::SUCCESS,
            },
            Err(error) => failed(&error, global.json),
        }
    }
}

async fn look(config: &Config) -> Result<Value> {
    let now = Clock::system().now();
    match connection::ask_server(config, Call::Doctor).await {
        Ok(Some(report)) => Ok(report),
        Ok(None) => Ok(of_findings(doctor::without_server(config, now))),
        Err(error) if error.reason() == Reason::NotAllowed => Ok(of_findings(doctor::from_aside(config, &error, now))),
        Err(error) => Err(error),
    }
}

fn unreadable(error: &Error) -> Finding {
    Finding::bad(
        "config",
        format!("No server can start with these settings: {error}"),
        "Mend that line and look again: ocmesh config check",
    )
}

fn of_findings(findings: Vec<Finding>) -> Value {
    api::doctor::report(&Report {
        at: Clock::system().now(),
        findings,
    })
}

fn failed(error: &Error, json: bool) -> ExitCode {
    complain(error, json);
    ExitCode::from(exit_code(error))
}

fn show(report: &Value, json: bool) -> Result<String> {
    if json {
        return serde_json::to_string_pretty(report).map_err(Error::internal);
    }
    let findings = report["findings"].as_array().map_or(&[] as &[Value], Vec::as_slice);
    let needing = findings
        .iter()
        .filter(|finding| finding["state"] == "warn" || finding["state"] == "bad");
    let mut lines = vec![match needing.count() {
        0 if !runs(report) => "The server does not run; what could be looked at is well.".to_owned(),
        0 => "All well".to_owned(),
        1 => "1 thing needs you".to_owned(),
        number => format!("{number} things need you"),
    }];
    lines.extend(findings.iter().map(|finding| {
        let cell = |name: &str| table::clean(&table::field(finding, name));
        let line = format!(
            "  {:<7} {:<14} {}   {}",
            cell("state"),
            cell("check"),
            cell("sentence"),
            cell("remedy")
        );
        line.trim_end().to_owned()
    }));
    Ok(lines.join("\n"))
}

/// Whether a server was asked, or none was to be.
fn runs(report: &Value) -> bool {
    let findings = report["findings"].as_array().into_iter().flatten();
    !findings
        .into_iter()
        .any(|finding| finding["check"] == "server" && finding["state"] == "unknown")
}

/// Says what is in the file once it is written.
///
/// # Errors
///
/// [`Reason::AlreadyExists`] for a file that is there: it is never replaced.
pub fn support_bundle(file: Option<PathBuf>) -> Result<Request> {
    let file = file.unwrap_or_else(|| PathBuf::from(bundle::file_name(Clock::system().now())));
    if std::fs::symlink_metadata(&file).is_ok_and(|there| !there.is_dir()) {
        let message = format!("{} is there already, and is left as it is.", file.display());
        return Err(Error::new(Reason::AlreadyExists, message));
    }
    let mut said = format!("Wrote {}. In it:\n", file.display());
    for (name, about) in bundle::CONTENTS {
        said.push_str(&format!("  {name:<14} {about}\n"));
    }
    said.push_str("Names of people and secrets are left out. Read it before you send it to anybody.");
    Ok(Request::new(Call::SupportBundle, |_| String::new())
        .download(file)
        .written(said))
}
