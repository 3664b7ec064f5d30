//! The program `rig`; under the name `rig-diff` it is `rig diff` alone.

use std::process::ExitCode;

/// A hub takes documents in on one thread and keeps what becomes of them on others, for months: the system's allocator never gives back
/// most of what lies between, and grew without end (docs/performance.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rig_cli::main()
}
