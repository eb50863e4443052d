//! The `ocmesh` command.

use std::process::ExitCode;

use clap::Parser;
use ocmesh::cli;

fn main() -> ExitCode {
    cli::run(cli::Arguments::parse())
}
