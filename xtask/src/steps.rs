//! The steps of `cargo xtask test`, in order; the first that fails ends the run.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{fuzz, licences, rules, services, wrapper};

/// The result of a step that did not fail.
enum Done {
    Passed,
    Skipped(String),
}

struct Run<'a> {
    root: &'a Path,
    services: bool,
    in_ci: bool,
}

type Step = (&'static str, fn(&Run) -> Result<Done>);

/// The step that `--no-services` skips.
const SERVICES: &str = "services";

/// The steps that CI may skip too, where it is told to; any other that is skipped there fails.
const MAY_BE_SKIPPED: &[&str] = &[SERVICES];

/// For how long every parser is fuzzed here; `cargo xtask fuzz` does it for longer.
const FUZZ_SECONDS: u32 = 2;

/// The cheap and most often broken comes first.
const STEPS: &[Step] = &[
    ("formatting", |run| {
        run.cargo(&["fmt", "--all", "--check"])?;
        run.cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])
    }),
    ("house rules", |run| rules::check(run.root).map(|()| Done::Passed)),
    ("licences", |run| licences::check(run.root).map(|()| Done::Passed)),
    // Compiles, lints and documents everything in one go, for the tests.
    ("build, clippy, docs", |run| run.built(&["test", "--workspace", "--features", OTLP, "--no-run"])),
    (SERVICES, |run| {
        if run.services {
            services::all(run.root).map(|()| Done::Passed)
        } else {
            Ok(Done::Skipped("--no-services: tests that need outside servers do not run".to_owned()))
        }
    }),
    ("tests", |run| run.built(&["test", "--workspace", "--features", OTLP])),
    ("fuzzing", |run| match fuzz::missing() {
        Some(missing) => Ok(Done::Skipped(missing.to_owned())),
        None => fuzz::all(run.root, FUZZ_SECONDS).map(|()| Done::Passed),
    }),
];

/// The only feature that is not on by itself.
const OTLP: &str = "rig/otlp";

/// Runs every step; returns true if all passed.
pub fn test(root: &Path, services: bool) -> bool {
    let in_ci = std::env::var_os("CI").is_some();
    let run = Run { root, services, in_ci };
    let begun = Instant::now();
    let mut summary = Vec::new();
    for (number, (name, step)) in STEPS.iter().enumerate() {
        println!("\n== {}/{} {name}", number + 1, STEPS.len());
        let started = Instant::now();
        let result = step(&run);
        let took = shown(started.elapsed());
        match result {
            Ok(Done::Passed) => {
                println!("== {name}: passed in {took}");
                summary.push(format!("passed    {took:>7}  {name}"));
            }
            Ok(Done::Skipped(why)) if in_ci && !MAY_BE_SKIPPED.contains(name) => {
                eprintln!("\n== {name}: FAILED: CI may not skip it: {why}");
                return false;
            }
            Ok(Done::Skipped(why)) => {
                println!("== {name}: SKIPPED: {why}");
                summary.push(format!("SKIPPED            {name}: {why}"));
            }
            Err(error) => {
                eprintln!("\n== {name}: FAILED after {took}: {error:#}");
                return false;
            }
        }
    }
    println!("\n== all steps in {}", shown(begun.elapsed()));
    for line in summary {
        println!("   {line}");
    }
    true
}

fn shown(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

impl Run<'_> {
    fn cargo(&self, args: &[&str]) -> Result<Done> {
        self.run(self.command(args), args)
    }

    /// Runs cargo with the wrapper around the compiler.
    fn built(&self, args: &[&str]) -> Result<Done> {
        let mut command = self.command(args);
        wrapper::wrap(&mut command, self.root)?;
        self.run(command, args)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO"));
        command.args(args).current_dir(self.root);
        if !self.services {
            command.env("RIG_NO_SERVICES", "1");
        }
        if self.in_ci {
            // Nobody builds a second time there, or opens a debugger.
            command.env("CARGO_INCREMENTAL", "0").env("CARGO_PROFILE_DEV_DEBUG", "0");
        }
        command
    }

    fn run(&self, mut command: Command, args: &[&str]) -> Result<Done> {
        println!("   cargo {}", args.join(" "));
        let status = command.status().context("cargo could not be started")?;
        if !status.success() {
            bail!("`cargo {}` ended with {status}", args.join(" "));
        }
        Ok(Done::Passed)
    }
}
