//! `ocmesh serve`: the server in the foreground.

use crate::app;
use crate::app::Options;
use crate::app::Running;
use crate::config::Config;
use crate::error::Result;

pub async fn run(config: Config) -> Result<()> {
    let stopped = Running::until_signal()?;
    let running = app::start(config, Options::default()).await?;
    let site = &running.site;
    let server = &site.config.server;
    let listening: Vec<_> = running.addresses.iter().map(ToString::to_string).collect();
    eprintln!(
        "ocmesh {}  data in {}",
        env!("CARGO_PKG_VERSION"),
        server.data_dir.display()
    );
    eprintln!(
        "Address      {}  (listening on {})",
        server.public_url,
        listening.join(", ")
    );
    if site.users.needs_setup().await? {
        let link = site.setup_link().await?;
        eprintln!("Set up       {link}  (valid 30 min; again with: ocmesh setup-link)");
    }
    stopped.await;
    eprintln!("Stopping; requests under way are finished first.");
    running.stop().await;
    Ok(())
}
