//! `ocmesh restore`: a backup in the place of what is there, while no server runs.

use std::fs;
use std::fs::DirBuilder;
use std::fs::File;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::api::socket::this_user;
use crate::backup::Manifest;
use crate::backup::RESTORING;
use crate::backup::opened;
use crate::backup::restore;
use crate::backup::restore::Preview;
use crate::backup::restore::Restored;
use crate::cli::confirm;
use crate::cli::misused;
use crate::cli::table;
use crate::cli::unwritable;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::PublicUrl;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;
use crate::store;

#[derive(Debug, Args)]
pub struct Restore {
    /// The backup: a .zip that ocmesh backup made; - is standard input
    file: PathBuf,
    /// What standard input is called
    #[arg(long, hide = true, value_name = "NAME", default_value = "standard-input.zip")]
    named: String,
    /// Show what is in it and what would change, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Take a backup of another address. URL is the one of this server, as server.public_url says: set that first. Every
    /// contact and share with other servers breaks
    #[arg(long, value_name = "URL")]
    rename: Option<String>,
}

impl Restore {
    /// Has it done by the user whose data it is, where root says it: nothing that root writes there, or follows there, may
    /// be led elsewhere by them. The backup is opened by root, who alone may be able to. Gives the exit code; nothing
    /// where it is for this process to do.
    ///
    /// # Errors
    ///
    /// If the backup can't be opened, or it was not meant.
    pub fn by_owner(&self, config: &Config, yes: bool, json: bool) -> Result<Option<i32>> {
        let data = &config.server.data_dir;
        let owner = store::owner(data).filter(|(user, _)| *user != 0 && store::is_root());
        let Some((user, group)) = owner else {
            return Ok(None);
        };
        let as_owner = |options: &[&str], input: Stdio, output: Stdio| {
            let mut command = Command::new("/proc/self/exe");
            let name = self.file.file_name().filter(|_| !self.is_input());
            command.args(["restore", "-", "--named"]);
            command.arg(name.unwrap_or(self.named.as_ref()));
            command.arg("--data-dir").arg(std::path::absolute(data)?);
            command
                .arg("--socket")
                .arg(std::path::absolute(&config.server.admin_socket)?);
            command.args(self.rename.iter().flat_map(|url| ["--rename", url]));
            command.args(json.then_some("--json")).args(options);
            if let Some(file) = config.file() {
                command.env("OCM_CONFIG", std::path::absolute(file)?);
            }
            let status = command
                .current_dir("/")
                .uid(user)
                .gid(group)
                .stdin(input)
                .stdout(output)
                .status()?;
            Ok::<_, Error>(status.code().unwrap_or(1))
        };
        let (try_it, do_it) = (["--dry-run"], ["--yes"]);
        if self.is_input() {
            let options: &[&str] = match (self.dry_run, yes) {
                (true, _) => &try_it,
                (_, true) => &do_it,
                _ => &[],
            };
            return as_owner(options, Stdio::inherit(), Stdio::inherit()).map(Some);
        }
        let file = || opened(&self.file).map(Stdio::from);
        if self.dry_run {
            return as_owner(&try_it, file()?, Stdio::inherit()).map(Some);
        }
        let refused = as_owner(&try_it, file()?, Stdio::null())?;
        if refused != 0 {
            return Ok(Some(refused));
        }
        confirm(Some(&self.danger(config)), yes)?;
        as_owner(&do_it, file()?, Stdio::inherit()).map(Some)
    }

    fn is_input(&self) -> bool {
        self.file.as_os_str() == "-"
    }

    fn danger(&self, config: &Config) -> String {
        format!(
            "What is in {} is put aside, and {} takes its place: what came since it was made is not in it.",
            config.server.data_dir.display(),
            self.file.display()
        )
    }

    /// Does it; gives what to say, for people and for programs, and how it went after that was said.
    ///
    /// # Errors
    ///
    /// As [`restore::restore`].
    pub async fn run(&self, config: &Config, yes: bool) -> Result<(String, Value, Result<()>)> {
        let rename = self.rename.as_deref().map(PublicUrl::parse).transpose();
        let rename = rename.map_err(|why| misused(format!("--rename: {why}")))?;
        let spooled = self
            .is_input()
            .then(|| Spooled::read(config, &self.named))
            .transpose()?;
        let file = spooled.as_ref().map_or(self.file.as_path(), |spooled| &spooled.file);
        // Looked at before it is asked about: nobody is to say yes to what can't be.
        let preview = restore::preview(config, file, rename.as_ref(), Clock::system().now())?;
        if self.dry_run {
            let outcome = match &preview.refused {
                Some(refused) => Err(Error::new(Reason::Conflict, format!("It would be refused. {refused}"))),
                None => Ok(()),
            };
            return Ok((shown(&preview, config), value(&preview), outcome));
        }
        if let Some(refused) = preview.refused {
            return Err(refused);
        }
        confirm(Some(&self.danger(config)), yes)?;
        let now = Clock::system().now();
        let done = restore::restore(config, file, rename.as_ref(), &this_user(), now).await?;
        let mut said = format!(
            "Restored the backup of {}.\nWhat was there is in {}; remove it once all is well.\nThe signing keys are new, and \
             everybody is signed out.",
            done.manifest.made,
            done.aside.display()
        );
        said += &format!("\n{}", decided(&done));
        said += match done.held.is_empty() {
            false => "\nStart the server, then confirm what waits: ocmesh backup review",
            true => "\nStart the server, then look whether all is well: ocmesh doctor",
        };
        let value = json!({
            "aside": done.aside,
            "held": done.held,
            "manifest": done.manifest,
            "decided": done.decided.as_ref().ok(),
        });
        Ok((said, value, Ok(())))
    }
}

/// A copy of what came in on standard input, as long as it is there: a backup is read from its end.
struct Spooled {
    folder: PathBuf,
    file: PathBuf,
}

impl Spooled {
    fn read(config: &Config, name: &str) -> Result<Self> {
        let name = Path::new(name).file_name().unwrap_or("standard-input.zip".as_ref());
        let folder = config.server.data_dir.join(RESTORING);
        let _ = fs::remove_dir_all(&folder);
        let make = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
            let spooled = Self {
                file: folder.join(name),
                folder: folder.clone(),
            };
            std::io::copy(&mut std::io::stdin().lock(), &mut File::create_new(&spooled.file)?)?;
            Ok(spooled)
        };
        make().map_err(|cause| unwritable(&folder, cause))
    }
}

impl Drop for Spooled {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What of the decisions since the backup counts on, and what has to be looked at.
fn decided(done: &Restored) -> String {
    let mut said = as_of(&done.manifest);
    match &done.decided {
        Ok(decided) => {
            let lists = [
                ("Still disabled, as they were or were deleted", &decided.people.disabled),
                ("Still no admins", &decided.people.demoted),
                ("Still denied", &decided.denied),
            ];
            for (what, names) in lists.into_iter().filter(|(_, names)| !names.is_empty()) {
                said += &format!("\n{what}: {}", names.join(", "));
            }
            if let Some(mode) = decided.mode {
                said += &format!("\nStill in force: mode {mode}");
            }
        }
        Err(unreadable) => {
            said += &format!(
                "\nWhat was there could not be asked who was put out since: whoever was is let in again. {unreadable}"
            );
        }
    }
    if !done.has_admin {
        said += "\nNobody who can sign in is an admin: ocmesh user enable NAME, or ocmesh user set NAME --admin true";
    }
    if let Some(doubt) = &done.doubt {
        said += &format!("\nWhoever was put out since may be let in again, for what was there may not be all. {doubt}");
    }
    let held = done.held;
    if !held.is_empty() {
        said += &format!(
            "\n{} shares, {} invitations and {} messages wait until they are confirmed, for they may have been ended since.",
            held.shares, held.invites, held.deliveries
        );
    }
    said
}

fn as_of(manifest: &Manifest) -> String {
    format!(
        "Accounts, passwords, rules and mode are those of {}: look at them with ocmesh user list, \
         ocmesh peer list and ocmesh peer mode.",
        manifest.made
    )
}

fn shown(preview: &Preview, config: &Config) -> String {
    let manifest = &preview.manifest;
    let here = match &preview.instance {
        None => "nothing is here yet",
        Some(id) if *id == manifest.instance_id => "the same as here",
        Some(_) => "another one than here",
    };
    let settings = match preview.other_settings {
        false => "as now",
        true => "other than now, and left alone; in the backup they are settings.toml",
    };
    let files = manifest
        .entries
        .iter()
        .filter(|entry| entry.name.starts_with("files/"))
        .count();
    let mut said = format!(
        "made          {} by ocmesh {} (format {})\naddress       {} (here: {})\ninstallation  {} ({here})\nsettings      \
         {settings}\nfiles         {files}\n\n",
        manifest.made,
        manifest.ocmesh,
        manifest.schema,
        manifest.public_url,
        config.server.public_url,
        manifest.instance_id
    );
    said += &table::rows(
        &kinds(preview),
        &["kind", "in_it", "now"],
        "There are no records in it.",
    );
    said += &format!(
        "\n\n{} Who was disabled, deleted or denied since stays so",
        as_of(manifest)
    );
    said += match &preview.now {
        Err(unread) if unread.reason() == Reason::DataDamaged => {
            ", as far as the data of now can be read: it is damaged."
        }
        _ => ".",
    };
    said + "\nNothing was changed."
}

fn kinds(preview: &Preview) -> Value {
    let row = |(kind, then, now)| json!({ "kind": kind, "in_it": then, "now": now });
    preview.kinds().into_iter().map(row).collect()
}

fn value(preview: &Preview) -> Value {
    json!({
        "manifest": preview.manifest,
        "instance_id": preview.instance,
        "kinds": kinds(preview),
        "other_settings": preview.other_settings,
        "in_use": matches!(&preview.now, Err(error) if error.reason() == Reason::DataLocked),
        "unreadable": preview.now.as_ref().err().map(ToString::to_string),
        "refused": preview.refused.as_ref().map(ToString::to_string),
    })
}
