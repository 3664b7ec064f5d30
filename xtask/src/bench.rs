//! `cargo xtask bench`: builds the hub and the benches as they are shipped, and runs one.
//!
//! The benches are a crate of their own (`bench/`), so that xtask itself builds in a moment.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Passes everything on to `rig-bench`, which finds `rig` beside itself.
pub fn run(root: &Path, args: &[&str]) -> Result<()> {
    cargo(root, &["build", "--profile", "dist", "--package", "rig", "--package", "rig-bench", "--bins"])?;
    cargo(root, &[&["run", "--profile", "dist", "--quiet", "--package", "rig-bench", "--"], args].concat())
}

fn cargo(root: &Path, args: &[&str]) -> Result<()> {
    let status = Command::new(env!("CARGO")).args(args).current_dir(root).status();
    let status = status.context("cargo could not be started")?;
    if !status.success() {
        bail!("`cargo {}` ended with {status}", args.join(" "));
    }
    Ok(())
}
