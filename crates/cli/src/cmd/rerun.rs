//! `rig rerun`: the commands that run just the tests that failed.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use rig_event::Event;
use rig_event::test::Test;
use rig_replay::Timeline;
use rig_replay::tests::{Standing, tests};
use rig_results::rerun::commands;
use serde_json::json;

use crate::Answer;
use crate::output::{self, Out};
use crate::source::Source;

/// Print the commands that run just the failed tests of a recording again
///
/// With --run it runs them, one after the other, here. A runner that cannot run single tests has no such command: those tests are
/// named on standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 the commands were printed, or no test failed; with --run, that of the first command that failed;
2 a recording could not be read, or no failed test can be run by itself.

Examples:
  rig rerun run.jsonl.zst
  rig rerun run.jsonl.zst --run")]
pub struct Args {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// Run the commands
    #[arg(long, conflicts_with = "json")]
    run: bool,
    /// Print them as JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let indexed = args.source.timeline(None).await?;
    indexed.notes(false)?;
    let all = tests(&indexed.timeline)?;
    let failed: Vec<&Test> = all
        .that(Standing::Failed)
        .map(|tested| &tested.test)
        .filter(|test| test.runner != "command" && !test.name.is_empty())
        .collect();
    let rerun = commands(&failed, &program(&indexed.timeline)?);
    if args.json {
        Out::new().json(&json!({ "commands": rerun.commands, "left": rerun.left }))?;
        return Ok(Answer::Fine);
    }
    for name in &rerun.left {
        output::note(format!("cannot be run by itself: {}", output::plain(name)));
    }
    if failed.is_empty() {
        output::note("no test failed");
        return Ok(Answer::Fine);
    }
    if rerun.commands.is_empty() {
        bail!("no failed test of {} can be run by itself", indexed.what);
    }
    let mut out = Out::new();
    for command in &rerun.commands {
        let line: Vec<String> = command.iter().map(|word| word_of_shell(word)).collect();
        let line = output::plain(&line.join(" "));
        if args.run {
            output::note(format!("rig: {line}"));
        } else {
            out.line(line)?;
        }
        if args.run
            && let code @ 1.. = run_one(command)?
        {
            return Ok(Answer::Code(code));
        }
    }
    Ok(Answer::Fine)
}

/// Returns a word as a shell takes it.
fn word_of_shell(word: &str) -> String {
    let is_safe = |c: char| c.is_alphanumeric() || "/._-+,:@%=".contains(c);
    if !word.is_empty() && word.chars().all(is_safe) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

/// Runs a command here, and returns its exit code.
fn run_one(command: &[String]) -> Result<u8> {
    let (program, args) = command.split_first().context("a command has no program")?;
    let status = Command::new(program).args(args).stdin(Stdio::inherit()).status();
    let status = status.with_context(|| format!("cannot run {}", output::plain(program)))?;
    Ok(rig_process::exit_code(status))
}

/// The program of the first command that was recorded.
fn program(timeline: &Timeline) -> Result<String> {
    let Some(at) = (0..timeline.len()).find(|at| timeline.entry(*at).type_name == "service.starting") else {
        return Ok(String::new());
    };
    let command = match timeline.envelope(at)?.event {
        Event::ServiceStarting(life) => life.command.unwrap_or_default(),
        _ => String::new(),
    };
    Ok(command.split(' ').next().unwrap_or_default().to_owned())
}
