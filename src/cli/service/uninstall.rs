//! Takes the service away again; what people have there stays unless it is to go.

use std::path::PathBuf;

use super::UNIT_NAME;
use super::files::BINARY;
use super::files::DATA;
use super::files::SETTINGS;
use super::files::UNIT;
use super::files::USER;
use super::install::is_packaged;
use super::system::System;
use crate::config::Config;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

const REMEDY: &str = "Mend that and say the same again: what is gone already does no harm.";
const FOLDER: &str = "/etc/ocm";

/// # Errors
///
/// [`Reason::Conflict`] for what a package has brought; [`Reason::NotFound`] where there is nothing.
pub fn uninstall(system: &System, purge: bool, say: &mut dyn FnMut(&str)) -> Result<()> {
    if is_packaged(system) {
        return Err(Error::new(
            Reason::Conflict,
            "A package has brought it, and takes it away: apt remove ocmesh. With settings and data: apt purge ocmesh",
        ));
    }
    let is_there = [UNIT, BINARY, USER].iter().any(|path| system.has(path));
    let is_left = purge && (system.has(FOLDER) || system.has(DATA));
    if !is_there && !is_left {
        return Err(Error::not_found(
            "ocmesh is no service of this system; nothing was done.",
        ));
    }
    // Read while it is there.
    let elsewhere = elsewhere(system);

    if system.has(UNIT) {
        say("Stop         now, and not at boot any more");
        system.must("systemctl", &["disable", "--now", "--quiet", UNIT_NAME], REMEDY)?;
    }
    for (what, path) in [("Unit", UNIT), ("User", USER), ("Binary", BINARY)] {
        if system.remove(path)? {
            say(&format!("{what:<12} {path}, removed"));
        }
    }
    system.must("systemctl", &["daemon-reload"], REMEDY)?;
    if purge {
        for (what, path) in [("Settings", FOLDER), ("Data", DATA)] {
            if system.remove(path)? {
                say(&format!("{what:<12} {path}, removed"));
            }
        }
        if system.ask("getent", &["passwd", "ocm"]).well {
            system.must("userdel", &["ocm"], REMEDY)?;
        }
    } else {
        say(&format!("Settings     {FOLDER}, kept"));
        say(&format!(
            "Data         {DATA}, kept; \"ocmesh service uninstall --purge\" removes both"
        ));
    }
    for (what, path) in elsewhere {
        say(&format!(
            "{what:<12} {}, kept: remove it yourself if it shall go",
            path.display()
        ));
    }
    Ok(())
}

/// What is gone for good once the data is, in sentences.
pub fn lost(system: &System) -> String {
    let mut said = String::from("Accounts, keys, shares and all files of people here will be gone for good");
    match elsewhere(system).iter().find(|(what, _)| *what == "Backups") {
        Some((_, folder)) => said.push_str(&format!(". The backups in {} stay.", folder.display())),
        None => said.push_str(&format!(
            ", and so will the backups in {DATA}: copy one elsewhere if you may want it."
        )),
    }
    said
}

/// Data and backups that the settings put where nothing is ever removed.
fn elsewhere(system: &System) -> Vec<(&'static str, PathBuf)> {
    let Ok(config) = Config::load(Some(&system.at(SETTINGS))) else {
        return Vec::new();
    };
    let (data, backups) = (config.server.data_dir, config.backup.dir);
    let mut all = Vec::new();
    if !backups.starts_with(DATA) && !backups.starts_with(&data) {
        all.push(("Backups", backups));
    }
    if !data.starts_with(DATA) {
        all.push(("Data", data));
    }
    all
}
