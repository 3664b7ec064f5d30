//! `cargo xtask crash`: the crash test of CI with as many rounds as are wanted, on the hub as it is shipped.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

/// Runs it; the options are `--rounds N` and `--seed S`.
pub fn run(root: &Path, options: &[&str]) -> Result<()> {
    let (mut rounds, mut seed) = (10_000, None);
    let mut options = options.iter();
    while let Some(option) = options.next() {
        let value = options.next().with_context(|| format!("{option} needs a value"))?;
        let number =
            value.parse::<u64>().with_context(|| format!("{option} takes a whole number, not {value}"))?;
        match *option {
            "--rounds" => rounds = number,
            "--seed" => seed = Some(number),
            other => bail!("there is no option {other}; there are --rounds N and --seed S"),
        }
    }
    let mut command = Command::new(env!("CARGO"));
    command.args(["test", "--profile", "dist", "-p", "rig", "--test", "proof", "crash", "--", "--nocapture"]);
    command.current_dir(root);
    command.env("RIG_CRASH_ROUNDS", rounds.to_string());
    if let Some(seed) = seed {
        command.env("RIG_CRASH_SEED", seed.to_string());
    }
    let status = command.status().context("cargo could not be started")?;
    if !status.success() {
        bail!("the test ended with {status}");
    }
    Ok(())
}
