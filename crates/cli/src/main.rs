//! The binary `rig`.
fn main() {}
