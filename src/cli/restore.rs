//! `ocmesh restore`: a backup in the place of what is there, while no server runs.

use std::fmt::Write;
use std::path::PathBuf;

use clap::Args;
use serde_json::Value;
use serde_json::json;

use crate::api::socket::this_user;
use crate::backup::restore;
use crate::backup::restore::Preview;
use crate::cli::confirm;
use crate::cli::misused;
use crate::cli::table;
use crate::clock::Clock;
use crate::config::Config;
use crate::config::PublicUrl;
use crate::error::Result;

#[derive(Debug, Args)]
pub struct Restore {
    /// The backup: a .zip that ocmesh backup made
    file: PathBuf,
    /// Show what is in it and what would change, and change nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Take a backup of another address: every contact and share with other servers breaks
    #[arg(long, value_name = "URL")]
    rename: Option<String>,
}

impl Restore {
    /// Does it; gives what to say, for people and for programs.
    ///
    /// # Errors
    ///
    /// As [`restore::restore`].
    pub async fn run(&self, config: &Config, yes: bool) -> Result<(String, Value)> {
        let rename = self.rename.as_deref().map(PublicUrl::parse).transpose();
        let rename = rename.map_err(|why| misused(format!("--rename: {why}")))?;
        if self.dry_run {
            let preview = restore::preview(config, &self.file, rename.as_ref())?;
            return Ok((shown(&preview, config), value(&preview)));
        }
        let danger = format!(
            "What is in {} is put aside, and {} takes its place: what came since it was made is not in it.",
            config.server.data_dir.display(),
            self.file.display()
        );
        confirm(Some(&danger), yes)?;
        let now = Clock::system().now();
        let done = restore::restore(config, &self.file, rename.as_ref(), &this_user(), now).await?;
        let mut said = format!(
            "Restored the backup of {}.\nWhat was there is in {}; remove it once all is well.\nThe signing keys are new, and \
             everybody is signed out.",
            done.manifest.made,
            done.aside.display()
        );
        if !done.held.is_empty() {
            let held = done.held;
            // Writing into a String can't fail.
            let _ = write!(
                said,
                "\n{} shares, {} invitations and {} messages wait until they are confirmed, for they may have been ended \
                 since. Start the server, then: ocmesh backup review",
                held.shares, held.invites, held.deliveries
            );
        }
        Ok((
            said,
            json!({ "aside": done.aside, "held": done.held, "manifest": done.manifest }),
        ))
    }
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
    match &preview.refused {
        Some(refused) => said += &format!("\n\nIt would be refused. {refused}"),
        None if preview.now.is_none() => said += "\n\nThe data is in use: stop the server before you restore.",
        None => said += "\n\nNothing was changed.",
    }
    said
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
        "in_use": preview.now.is_none(),
        "refused": preview.refused.as_ref().map(ToString::to_string),
    })
}
