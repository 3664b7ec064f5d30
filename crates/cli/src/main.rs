//! The binary `rig`.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let rig = rig_cli::cmd::Rig::parse();
    rig_cli::exit(rig_cli::cmd::run(rig))
}
