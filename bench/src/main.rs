//! `rig-bench log|sse|config|replay|soak`: the log, the stream, the configuration core and the reading of recordings measured
//! beside their peers in the same run. `cargo xtask bench` builds and starts it.
//!
//! In reading order: `machine` (what `/proc` tells), `histogram`, `report` (the table and the JSON), `server` (the hub and
//! nginx as children), `http` (requests over raw sockets), `log`, `sse`, `config`, `replay`, `soak`.
//!
//! Nothing here is a test: figures depend on the machine and on what else it does. What counts are ratios inside one run,
//! so both sides of a ratio are measured in turns. Everything is on loopback, and bounded in time and in count.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "it is there to print figures")]

mod config;
mod histogram;
mod http;
mod log;
mod machine;
mod replay;
mod report;
mod server;
mod soak;
mod sse;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};

const HELP: &str = "\
rig-bench COMMAND [--quick] [PART…]

  log   appends through the engine and over HTTP, memory, start
        parts: engine http memory start
  sse   subscribers: fan-out, latency, memory, catch-up
        parts: fanout latency catch-up
  config  a document captured: time and memory
        parts: capture
  replay
        a recording of a million events: open and index, seek, explain, traffic, logs, player
        parts: index seek explain traffic logs player

  soak  a hub under a fleet's load for ten minutes (100 s with --quick); exits 1 where a bar is missed

  --quick   fewer rounds and smaller sizes: to see that it works, not for figures
";

/// How a bench is to run.
pub struct Setup {
    /// The program `rig`, which lies beside this one.
    pub rig: PathBuf,
    /// Where the JSON goes.
    pub out: PathBuf,
    /// Fewer rounds, smaller sizes.
    pub quick: bool,
    /// What to run of the bench; empty: all.
    pub parts: Vec<String>,
}

impl Setup {
    /// Whether a part was asked for.
    pub fn wants(&self, part: &str) -> bool {
        self.parts.is_empty() || self.parts.iter().any(|p| p == part)
    }
}

type Run = fn(&Setup) -> Result<()>;

fn main() -> ExitCode {
    let mut args: Vec<String> = std::env::args().skip(1).collect();
    if args.first().is_some_and(|arg| arg == "child") {
        return ended(config::child(&args[1..]));
    }
    let quick = args.iter().any(|arg| arg == "--quick");
    args.retain(|arg| arg != "--quick");
    let (known, run): (&[&str], Run) = match args.first().map(String::as_str) {
        Some("log") => (log::PARTS, log::run),
        Some("sse") => (sse::PARTS, sse::run),
        Some("config") => (config::PARTS, config::run),
        Some("replay") => (replay::PARTS, replay::run),
        Some("soak") => (&[], soak::run),
        _ => {
            eprint!("{HELP}");
            return ExitCode::from(2);
        }
    };
    let parts = args.split_off(1);
    if let Some(unknown) = parts.iter().find(|part| !known.contains(&part.as_str())) {
        eprint!("there is no part `{unknown}`\n\n{HELP}");
        return ExitCode::from(2);
    }
    ended(setup(quick, parts).and_then(|setup| run(&setup)))
}

fn ended(result: Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("rig-bench: {e:#}");
            ExitCode::FAILURE
        }
    }
}

fn setup(quick: bool, parts: Vec<String>) -> Result<Setup> {
    let me = std::env::current_exe().context("this program's own place is not known")?;
    let folder = me.parent().context("this program lies in no folder")?;
    let out = folder.parent().unwrap_or(folder).join("bench");
    std::fs::create_dir_all(&out).with_context(|| format!("cannot make {}", out.display()))?;
    machine::raise_open_files()?;
    Ok(Setup { rig: folder.join("rig"), out, quick, parts })
}
