//! `ocmesh service`: the server as a service of the system, installed, looked at and taken away again.

mod files;
mod install;
mod system;
#[cfg(test)]
mod tests;
mod uninstall;

use std::io::IsTerminal;
use std::path::PathBuf;

use clap::Subcommand;
use serde_json::Value;
use serde_json::json;

use self::files::Wishes;
use self::system::System;
use crate::cli::confirm;
use crate::cli::misused;
use crate::cli::print;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

const UNIT_NAME: &str = "ocmesh.service";

#[derive(Clone, Debug, Subcommand)]
pub enum Verb {
    /// Make it a service: binary, user, settings and unit; start it and wait until it answers. Also upgrades one
    Install {
        #[command(flatten)]
        wishes: Wishes,
        /// Show what would be done, and do nothing
        #[arg(long)]
        print: bool,
        /// Prepare a tree that a machine will be made of; nothing is started, and no user made
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
    },
    /// Stop it and take it away; settings and data stay
    Uninstall {
        /// Also remove /etc/ocm and /var/lib/ocm: accounts, keys, people's files and the backups there, for good
        #[arg(long)]
        purge: bool,
        /// Do that in a tree that a machine will be made of
        #[arg(long, value_name = "DIR")]
        root: Option<PathBuf>,
    },
    /// Whether it is installed, starts at boot, and runs; exit 3 if it is not installed, 4 if it does not run
    Status,
    /// Show every file and step of an installation, and do nothing
    Print {
        #[command(flatten)]
        wishes: Wishes,
    },
}

/// # Errors
///
/// [`Reason::NotAllowed`] for whoever is not root; else the step that failed and what to do about it.
pub fn run(verb: Verb, yes: bool, as_json: bool) -> Result<()> {
    match verb {
        Verb::Print { wishes }
        | Verb::Install {
            wishes, print: true, ..
        } => match as_json {
            true => print(&serde_json::to_string_pretty(&install::as_value(&wishes)?).map_err(Error::internal)?),
            false => print(install::shown(&wishes)?.trim_end()),
        },
        Verb::Install { mut wishes, root, .. } => {
            let system = System::of(root).map_err(|error| match error.reason() {
                Reason::Unsupported => error.and(
                    &"In a container let it start \"ocmesh serve\" itself; for an image of a machine say --root DIR.",
                ),
                _ => error,
            })?;
            agree(&system, &mut wishes, yes)?;
            let binary = std::fs::read(std::env::current_exe()?)?;
            let done = install::install(&system, &wishes, &binary, &mut |step| eprintln!("{step}"))?;
            if done.is_empty() { Ok(()) } else { print(&done) }
        }
        Verb::Uninstall { purge, root } => {
            let system = System::of(root)?;
            if purge {
                confirm(Some(&uninstall::lost(&system)), yes)?;
            }
            uninstall::uninstall(&system, purge, &mut |step| eprintln!("{step}"))
        }
        Verb::Status => status(as_json),
    }
}

/// Nobody agrees to terms by having overlooked them: asked once on a terminal, and elsewhere wanted as an option.
fn agree(system: &System, wishes: &mut Wishes, yes: bool) -> Result<()> {
    if !wishes.needs_agreement() || !install::writes_settings(system)? {
        return Ok(());
    }
    if yes || !std::io::stdin().is_terminal() {
        return Err(misused(
            "The certificate is ordered from Let's Encrypt (terms: https://letsencrypt.org/repository/). Say --agree-tos if \
             you agree to them, or choose another way: --tls proxy, --tls self-signed.",
        ));
    }
    let terms = "The certificate comes from Let's Encrypt. Its terms of service: https://letsencrypt.org/repository/";
    confirm(Some(&format!("{terms}\nTo go on is to agree to them.")), false)?;
    wishes.agree_tos = true;
    Ok(())
}

fn status(as_json: bool) -> Result<()> {
    let wanted =
        "--property=LoadState,UnitFileState,ActiveState,SubState,MainPID,NRestarts,ActiveEnterTimestamp,Result";
    let shown = std::process::Command::new("systemctl")
        .args(["show", UNIT_NAME, wanted])
        .env("LC_ALL", "C")
        .output();
    let shown = shown.ok().filter(|output| output.status.success()).ok_or_else(|| {
        Error::new(
            Reason::ServerUnreachable,
            "systemd does not run here, so there are no services.",
        )
    })?;
    let (sentence, value) = told(&String::from_utf8_lossy(&shown.stdout))?;
    let text = if as_json {
        serde_json::to_string_pretty(&value).map_err(Error::internal)?
    } else {
        sentence
    };
    print(&text)?;
    if value["running"] == true {
        return Ok(());
    }
    Err(Error::new(
        Reason::ServerUnreachable,
        "It does not run. Why: journalctl -u ocmesh -n 30. Start it with: systemctl start ocmesh",
    ))
}

/// What systemd says of the service, as a sentence and as a value.
///
/// # Errors
///
/// [`Reason::NotFound`] if it knows of no such service.
fn told(shown: &str) -> Result<(String, Value)> {
    let property = |key: &str| {
        let mut lines = shown.lines().filter_map(|line| line.split_once('='));
        lines.find(|(name, _)| *name == key).map_or("", |(_, value)| value)
    };
    if property("LoadState") != "loaded" {
        return Err(Error::not_found(
            "ocmesh is no service of this system. Make it one with: ocmesh service install DOMAIN",
        ));
    }
    let state = property("ActiveState");
    let running = matches!(state, "active" | "reloading");
    let at_boot = property("UnitFileState") == "enabled";
    let restarts: u64 = property("NRestarts").parse().unwrap_or(0);
    let value = json!({
        "service": UNIT_NAME,
        "running": running,
        "state": format!("{state} ({})", property("SubState")),
        "since": property("ActiveEnterTimestamp"),
        "process": property("MainPID").parse::<u64>().unwrap_or(0),
        "starts_at_boot": at_boot,
        "restarts": restarts,
        "result": property("Result"),
    });
    let mut sentence = match running {
        true => format!(
            "ocmesh.service runs (process {}) since {}",
            property("MainPID"),
            property("ActiveEnterTimestamp")
        ),
        false => format!(
            "ocmesh.service is {state} ({}, {})",
            property("SubState"),
            property("Result")
        ),
    };
    let boot = if at_boot {
        "; starts at boot"
    } else {
        "; does not start at boot"
    };
    sentence.push_str(boot);
    if restarts > 0 {
        sentence.push_str(&format!("; restarted {restarts} times after failures"));
    }
    Ok((sentence, value))
}
