//! The binary `rig-diff`: `rig diff` standing alone.

use std::process::ExitCode;

use clap::Parser;

/// Compare two configurations: documents, snapshots, or moments of a recording
#[derive(Parser)]
#[command(name = "rig-diff", version, max_term_width = 100, after_help = rig_cli::cmd::diff::EXAMPLES_ALONE)]
struct RigDiff {
    #[command(flatten)]
    args: rig_cli::cmd::diff::Args,
}

fn main() -> ExitCode {
    let RigDiff { args } = RigDiff::parse();
    rig_cli::exit(rig_cli::cmd::block_on(rig_cli::cmd::diff::run(args)))
}
