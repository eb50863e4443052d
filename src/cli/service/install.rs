//! Makes a service of this server, step by step; a second time it is an upgrade.

use std::time::Duration;

use serde_json::Value;
use serde_json::json;

use super::UNIT_NAME;
use super::files;
use super::files::BINARY;
use super::files::DATA;
use super::files::PACKAGED_BINARY;
use super::files::PACKAGED_UNITS;
use super::files::SETTINGS;
use super::files::UNIT;
use super::files::USER;
use super::files::Wishes;
use super::system::System;
use crate::config::Config;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// How often it is asked whether it is ready, and how many times.
const ASK_EVERY: Duration = Duration::from_millis(500);
const ASK_TIMES: usize = 120;

const MAKE_USER: &str = "systemd-sysusers /etc/sysusers.d/ocmesh.conf";
const LOOK: &str =
    "Why: journalctl -u ocmesh -n 30. When it is mended, say the same again: what is done already is kept.";

/// Whether a package has brought the binary, the user and the unit: they are its own, and stay so.
pub fn is_packaged(system: &System) -> bool {
    PACKAGED_UNITS.iter().any(|unit| system.has(unit))
}

/// Whether there are no settings of the operator's own yet.
pub fn writes_settings(system: &System) -> Result<bool> {
    Ok(system.read(SETTINGS)?.is_none_or(|text| files::are_untouched(&text)))
}

/// Does every step, naming each as it is done; gives what is to be read at the end.
///
/// # Errors
///
/// The step that failed and what to do about it. Before anything is changed: a domain that is none, or that differs from
/// the one in the settings, and settings that are wrong.
pub fn install(system: &System, wishes: &Wishes, binary: &[u8], say: &mut dyn FnMut(&str)) -> Result<String> {
    let packaged = is_packaged(system);
    let settings = files::settings(wishes)?;
    let fresh = writes_settings(system)?;
    if !fresh {
        fits(system, wishes)?;
    }

    let mut changed = false;
    if packaged {
        say("Binary       of the package, stays");
        say("Unit         of the package, stays");
    } else {
        changed |= placed(system, "Binary", BINARY, binary, 0o755, say)?;
        placed(system, "User", USER, files::USER_TEXT.as_bytes(), 0o644, say)?;
        changed |= placed(system, "Unit", UNIT, files::unit().as_bytes(), 0o644, say)?;
        let remedy = "Make the user yourself: useradd --system --user-group --home-dir /var/lib/ocm --shell /usr/sbin/nologin \
                      ocm. Then say the same again.";
        if !system.ask("getent", &["passwd", "ocm"]).well {
            system.must("systemd-sysusers", &[USER], remedy)?;
        }
    }
    if fresh {
        changed |= placed(system, "Settings", SETTINGS, settings.as_bytes(), 0o644, say)?;
    } else {
        say(&format!("Settings     {SETTINGS}, yours, kept"));
    }
    if !system.is_live() {
        say("Prepared; \"systemctl enable --now ocmesh\" starts it there.");
        return Ok(String::new());
    }
    start(system, changed, say)?;
    greet(system)
}

/// Whether the settings that are there already say what is wished, and are right.
fn fits(system: &System, wishes: &Wishes) -> Result<()> {
    let config = Config::load(Some(&system.at(SETTINGS)))?;
    match wishes.unlike(&config)? {
        None => Ok(()),
        Some((setting, there, wished)) => Err(Error::new(
            Reason::Conflict,
            format!(
                "With the settings in {SETTINGS}, {setting} is \"{there}\", and not \"{wished}\". They are yours and never \
                 changed here: change them there, then: ocmesh config check {SETTINGS} && systemctl restart ocmesh"
            ),
        )),
    }
}

/// Puts a file in place and says whether that changed anything.
fn placed(
    system: &System,
    what: &str,
    path: &str,
    content: &[u8],
    mode: u32,
    say: &mut dyn FnMut(&str),
) -> Result<bool> {
    let was_there = system.has(path);
    let changed = system.put(path, content, mode)?;
    let how = match (was_there, changed) {
        (false, _) => "",
        (true, true) => ", replaced",
        (true, false) => ", unchanged",
    };
    say(&format!("{what:<12} {path}{how}"));
    Ok(changed)
}

fn start(system: &System, changed: bool, say: &mut dyn FnMut(&str)) -> Result<()> {
    system.must("systemctl", &["daemon-reload"], LOOK)?;
    system.must("systemctl", &["enable", "--quiet", UNIT_NAME], LOOK)?;
    let runs = system.ask("systemctl", &["is-active", "--quiet", UNIT_NAME]).well;
    // After failures in a row systemd would not try again before its five minutes are over.
    system.ask("systemctl", &["reset-failed", UNIT_NAME]);
    if runs && changed {
        say("Start        again, with what is new");
        system.must("systemctl", &["restart", UNIT_NAME], LOOK)?;
    } else if runs {
        say("Running      already; settings changed since are put in force by: systemctl reload ocmesh");
    } else {
        say("Start        now and at boot");
        system.must("systemctl", &["start", UNIT_NAME], LOOK)?;
    }
    for asked in 0..ASK_TIMES {
        if system
            .ask(program(system), &["--config", SETTINGS, "status", "--ready"])
            .well
        {
            say("Ready");
            return Ok(());
        }
        if asked == 0 {
            say("Waiting until it answers (at most a minute)");
        }
        std::thread::sleep(ASK_EVERY);
    }
    Err(Error::new(
        Reason::ServerUnreachable,
        format!("The service was started, and does not answer. {LOOK}"),
    ))
}

/// The command, wherever it was put.
fn program(system: &System) -> &'static str {
    if is_packaged(system) { PACKAGED_BINARY } else { BINARY }
}

/// Where to go now.
fn greet(system: &System) -> Result<String> {
    let config = Config::load(Some(&system.at(SETTINGS)))?;
    let mut lines = vec![
        format!(
            "ocmesh {}  data in {DATA}  service: {UNIT_NAME}, starts at boot",
            env!("CARGO_PKG_VERSION")
        ),
        format!("Address      {}", config.server.public_url),
    ];
    let status = system.ask(program(system), &["--config", SETTINGS, "status", "--json"]);
    let status: Value = serde_json::from_str(&status.text).unwrap_or_default();
    if let Some(sentence) = status["certificate"]["sentence"].as_str() {
        lines.push(format!("Certificate  {sentence}"));
    }
    let link = system.ask(program(system), &["--config", SETTINGS, "setup-link"]);
    if link.well {
        let link = link.text.trim();
        lines.push(format!(
            "Set up       {link}  (valid 30 min; again with: ocmesh setup-link)"
        ));
    }
    lines.push("Look         ocmesh status, ocmesh doctor, journalctl -u ocmesh".to_owned());
    Ok(lines.join("\n"))
}

/// All steps and files in order, for who wants to read before, or does it by hand.
///
/// # Errors
///
/// As [`Wishes::public_url`].
pub fn shown(wishes: &Wishes) -> Result<String> {
    let mut text = String::from(
        "# What \"ocmesh service install\" does, as root. Where a package has brought binary, user and unit, they stay.\n\n",
    );
    text.push_str(&format!("# Binary: this one, copied to {BINARY} (mode 0755)\n\n"));
    for (what, path, content) in placed_files(wishes)? {
        text.push_str(&format!("# {what}: {path} (mode 0644)\n{}\n", indented(&content)));
        if path == USER {
            text.push_str(&format!("    {MAKE_USER}\n\n"));
        }
    }
    text.push_str("# Start; an older one that runs is restarted\n");
    text.push_str(&indented(&starting().join("\n")));
    Ok(text)
}

/// The same for programs.
///
/// # Errors
///
/// As [`shown`].
pub fn as_value(wishes: &Wishes) -> Result<Value> {
    let files = placed_files(wishes)?.into_iter();
    let files = files.map(|(_, path, content)| json!({ "path": path, "mode": "0644", "content": content }));
    let mut commands = vec![MAKE_USER.to_owned()];
    commands.extend(starting());
    Ok(json!({
        "binary": { "path": BINARY, "mode": "0755" },
        "files": files.collect::<Vec<_>>(),
        "commands": commands,
    }))
}

fn placed_files(wishes: &Wishes) -> Result<[(&'static str, &'static str, String); 3]> {
    Ok([
        ("User", USER, files::USER_TEXT.to_owned()),
        ("Settings, unless there are some", SETTINGS, files::settings(wishes)?),
        ("Unit", UNIT, files::unit()),
    ])
}

fn starting() -> [String; 5] {
    [
        "systemctl daemon-reload".to_owned(),
        format!("systemctl enable {UNIT_NAME}"),
        format!("systemctl start {UNIT_NAME}"),
        format!("{BINARY} --config {SETTINGS} status --ready"),
        format!("{BINARY} --config {SETTINGS} setup-link"),
    ]
}

/// Set apart from what is said about it, and to be copied from there.
fn indented(content: &str) -> String {
    let indent = |line: &str| match line {
        "" => "\n".to_owned(),
        line => format!("    {line}\n"),
    };
    content.lines().map(indent).collect()
}
