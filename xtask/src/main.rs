//! The project's own commands: `cargo xtask test` and, later, benches.

fn main() {}
