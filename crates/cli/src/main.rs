//! The binary `rig`.

use std::process::ExitCode;

use clap::Parser as _;

/// A hub takes documents in on one thread and keeps what becomes of them on others, for months: the system's allocator never gives back
/// most of what lies between, and grew without end (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let rig = rig_cli::cmd::Rig::parse();
    rig_cli::exit(rig_cli::cmd::run(rig))
}
