//! The same program as `rig`, for `cargo install`; its name alone makes it `rig diff` (see `rig_cli::main`).

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    rig_cli::main()
}
