//! `ocmesh completions` and `ocmesh man`: what shells and `man` want to know, made from the command line itself.

use std::fs;
use std::path::Path;

use clap::Command;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::Roff;
use clap_mangen::roff::roman;

use crate::cli::Arguments;
use crate::cli::unwritable;
use crate::error::Error;
use crate::error::Result;

/// What the exit codes mean (see `exit_code`), and where things are; in the manual of the command itself.
const EXIT_CODES: [(&str, &str); 10] = [
    ("0", "done, or all checks passed"),
    ("1", "it failed, or a check failed"),
    ("2", "wrong usage"),
    ("3", "the named thing does not exist"),
    ("4", "the server or its data cannot be reached"),
    ("5", "not allowed"),
    ("6", "refused by the policy of this server"),
    ("7", "the other server refused or failed"),
    ("75", "not now; later makes sense"),
    ("78", "the settings or the format of the data are wrong"),
];
const FILES: [(&str, &str); 4] = [
    (
        "/etc/ocm/ocm.toml",
        "the settings; \"ocmesh config default\" explains them all",
    ),
    ("/var/lib/ocm", "database, keys and people's files"),
    ("/run/ocm/admin.sock", "what commands talk to the server through"),
    ("./ocm.toml", "settings that come before those in /etc"),
];

/// The completions for a shell.
pub fn completions(shell: Shell) -> Result<String> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "ocmesh", &mut text);
    String::from_utf8(text).map_err(Error::internal)
}

/// The manual of the command; with a folder, that and one page for each command below it, written there.
///
/// # Errors
///
/// If the folder cannot be written.
pub fn manual(folder: Option<&Path>) -> Result<Option<String>> {
    let main = String::from_utf8(main_page().map_err(Error::internal)?).map_err(Error::internal)?;
    let Some(folder) = folder else {
        return Ok(Some(main));
    };
    let wrong = |cause: std::io::Error| unwritable(folder, cause);
    fs::create_dir_all(folder).map_err(wrong)?;
    clap_mangen::generate_to(without_help(Arguments::command()), folder).map_err(wrong)?;
    fs::write(folder.join("ocmesh.1"), main).map_err(wrong)?;
    Ok(None)
}

/// `help` mirrors every command, and would have as many pages again.
fn without_help(command: Command) -> Command {
    command.disable_help_subcommand(true).mut_subcommands(without_help)
}

fn main_page() -> std::io::Result<Vec<u8>> {
    let mut command = without_help(Arguments::command());
    command.build();
    let mut page = Vec::new();
    Man::new(command).render(&mut page)?;
    for (heading, rows) in [("EXIT STATUS", &EXIT_CODES[..]), ("FILES", &FILES[..])] {
        let mut section = Roff::new();
        section.control("SH", [heading]);
        for (term, meaning) in rows {
            section.control("TP", []);
            section.text([clap_mangen::roff::bold(*term)]);
            section.text([roman(*meaning)]);
        }
        section.to_writer(&mut page)?;
    }
    Ok(page)
}
