//! The steps of `cargo xtask test`, in order; the first that fails ends the run.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::{fuzz, rules, services};

/// The result of a step that did not fail.
enum Done {
    Passed,
    LeftOut(String),
}

struct Run<'a> {
    root: &'a Path,
    services: bool,
}

type Step = (&'static str, fn(&Run) -> Result<Done>);

/// For how long every parser is fuzzed here; `cargo xtask fuzz` does it for longer.
const FUZZ_SECONDS: u64 = 20;

/// The cheap and most often broken comes first; clippy before the tests, because it reports all crates at once.
const STEPS: &[Step] = &[
    ("formatting", |run| {
        run.cargo(&["fmt", "--all", "--check"])?;
        run.cargo(&["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"])
    }),
    ("house rules", |run| rules::check(run.root).map(|()| Done::Passed)),
    ("clippy", |run| run.cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    ("clippy with traces", |run| {
        run.cargo(&["clippy", "-p", "rig", "--features", "otlp", "--all-targets", "--", "-D", "warnings"])
    }),
    ("services", |run| {
        if run.services {
            services::all(run.root).map(|()| Done::Passed)
        } else {
            Ok(Done::LeftOut("--no-services: tests that need outside servers do not run".to_owned()))
        }
    }),
    // Built once, with everything in it.
    ("tests", |run| run.cargo(&["test", "--workspace", "--features", "rig/otlp"])),
    ("fuzzing", |run| match fuzz::missing() {
        Some(missing) => Ok(Done::LeftOut(missing.to_owned())),
        None => fuzz::all(run.root, FUZZ_SECONDS).map(|()| Done::Passed),
    }),
    ("docs", |run| run.cargo(&["doc", "--workspace", "--no-deps"])),
    ("licences and sources", |run| {
        let installed = Command::new("cargo-deny")
            .arg("--version")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success());
        if installed {
            run.cargo(&["deny", "check", "bans", "licenses", "sources"])
        } else {
            Ok(Done::LeftOut(
                "cargo-deny is not installed; `cargo install --locked cargo-deny` gets it".to_owned(),
            ))
        }
    }),
];

/// Runs every step; returns true if all passed.
pub fn test(root: &Path, services: bool) -> bool {
    let run = Run { root, services };
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
            Ok(Done::LeftOut(why)) => {
                println!("== {name}: left out: {why}");
                summary.push(format!("left out           {name}: {why}"));
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
        println!("   cargo {}", args.join(" "));
        let mut command = Command::new(env!("CARGO"));
        command.args(args).current_dir(self.root).env("RUSTDOCFLAGS", "-D warnings");
        if !self.services {
            command.env("RIG_NO_SERVICES", "1");
        }
        let status = command.status().context("cargo could not be started")?;
        if !status.success() {
            bail!("`cargo {}` ended with {status}", args.join(" "));
        }
        Ok(Done::Passed)
    }
}
