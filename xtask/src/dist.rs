//! `cargo xtask dist`: a release archive for one target.

mod pack;

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::fuzz;

/// Builds the program as it is shipped, or takes one that is built, and packs it.
pub fn run(root: &Path, options: &[&str]) -> Result<()> {
    let (mut target, mut out, mut program) = (None, root.join("target/archives"), None);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = options.next().with_context(|| format!("{option} needs a value"));
        match *option {
            "--target" => target = Some((*value?).to_owned()),
            "--out" => out = PathBuf::from(value?),
            "--program" => program = Some(PathBuf::from(value?)),
            other => bail!("`dist` does not know {other}"),
        }
    }
    let host = fuzz::host()?;
    let wanted = target.clone().unwrap_or_else(|| host.clone());
    let program = match program {
        Some(program) => program,
        None => build(root, target.as_deref())?,
    };
    // A program for another machine cannot be asked for its completions; they are the same on every target.
    let asked = if wanted == host { program.clone() } else { build(root, None)? };
    let archive =
        pack::pack(root, &pack::Parts { program: &program, asked: &asked, target: &wanted, out: &out })?;
    println!("{}", archive.display());
    Ok(())
}

/// Builds the program and returns where it is.
fn build(root: &Path, target: Option<&str>) -> Result<PathBuf> {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--locked", "--profile", "dist", "--package", "rig", "--bin", "rig"])
        .current_dir(root);
    let mut folder = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    if let Some(target) = target {
        command.args(["--target", target]);
        folder.push(target);
    }
    let status = command.status().context("cargo could not be started")?;
    if !status.success() {
        bail!(
            "the program could not be built ({status}); for a musl target its linker and C compiler must be installed"
        );
    }
    Ok(folder.join("dist/rig"))
}
