//! Takes the service away again; what people have there stays unless it is to go.

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
    let elsewhere = Config::load(Some(&system.at(SETTINGS)))
        .map(|config| config.server.data_dir)
        .ok()
        .filter(|data| !data.starts_with(DATA));

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
    if let Some(data) = elsewhere {
        say(&format!(
            "Data         {}, kept: remove it yourself if it shall go",
            data.display()
        ));
    }
    Ok(())
}
