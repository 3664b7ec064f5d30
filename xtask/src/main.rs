//! The project's own commands: `cargo xtask test` runs everything that a change must pass.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "a developer reads what this program prints")]

mod bench;
mod circles;
mod cold;
mod crash;
mod dist;
mod edges;
mod english;
mod fuzz;
mod licences;
mod rules;
mod services;
mod steps;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask COMMAND

  test                 everything a change must pass: formatting, house rules, licences, clippy, docs, tests, fuzzing for a moment;
                       what this machine cannot run is SKIPPED, which in CI (with CI set) is a failure
  test --no-services   the same without the tests that need servers from outside (sets RIG_NO_SERVICES=1)
  bench log [--quick]  durable appends, memory, start; prints tables and writes target/bench/log.json
  bench sse [--quick]  subscribers beside nginx with nchan; target/bench/sse.json
  bench config [--quick]  documents captured and compared, with their peers; target/bench/config.json
  bench replay [--quick]  a recording of a million events beside jq and Python; target/bench/replay.json
                       (`bench NAME PART…` runs only parts of it; an unknown one is answered with their names)
  rules                only the house rules, in a second
  circles [FOLDER]     every loop of files, and the shortest way around it with the names that tie it; of a FOLDER such
                       as crates/hub/src, all names that tie its loops
  english              lowers the numbers in xtask/english.toml: doc lines that begin with Whether, What, Who or How
  bench build [--base REV]
                       the first command of the README built from nothing, beside an earlier revision: processor time, time,
                       size; target/bench/build.json
  fuzz [--seconds N] [--seed S] [TARGET…]
                       every parser against hostile input, 10 minutes each without --seconds; needs a C++ compiler
  dist [--target T] [--out DIR] [--program FILE]
                       a release archive with its SHA-256 sum in DIR (target/archives): the stripped program, completions, man
                       pages, the licences and a CycloneDX list of what it is made of; of a FILE that is built already, if named
  services             installs what tests need besides Rust (as root on Debian; elsewhere it says what is missing)
  crash [--rounds N] [--seed S]
                       kills a hub under load N times (10,000 without --rounds) and checks that nothing acknowledged is lost
  soak [--quick]       a hub under a fleet's load for 10 minutes (100 s with --quick); target/bench/soak.json
  help                 this page
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let services = match words.as_slice() {
        ["test"] => true,
        ["test", "--no-services"] => false,
        ["rules"] => return ended("rules", rules::check(&root())),
        ["circles"] => return ended("circles", rules::print_circles(&root(), None)),
        ["circles", folder] => return ended("circles", rules::print_circles(&root(), Some(folder))),
        ["english"] => return ended("english", rules::lower_english(&root())),
        ["bench", bench @ ("log" | "sse" | "config" | "replay"), more @ ..] => {
            return ended("bench", bench::run(&root(), &[&[*bench], more].concat()));
        }
        ["bench", "build", options @ ..] => return ended("bench", cold::run(&root(), options)),
        ["soak", more @ ..] => return ended("soak", bench::run(&root(), &[&["soak"], more].concat())),
        ["dist", options @ ..] => return ended("dist", dist::run(&root(), options)),
        ["services"] => return ended("services", services::all(&root())),
        ["fuzz", options @ ..] => return ended("fuzz", fuzz::run(&root(), options)),
        ["crash", options @ ..] => return ended("crash", crash::run(&root(), options)),
        [] | ["help" | "--help" | "-h"] => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        other => {
            eprint!("xtask does not know `{}`\n\n{HELP}", other.join(" "));
            return ExitCode::from(2);
        }
    };
    if steps::test(&root(), services) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Reports how a command ended.
fn ended(command: &str, result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask {command}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The folder of the workspace: this package lies one below it.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}
