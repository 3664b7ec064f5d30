//! `rig ci`: what a CI job says of its recordings: a summary, annotations, a JUnit report, and an exit code.

mod against;
mod annotations;
mod comment;
mod junit;
mod suite;
mod summary;
mod tests;

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rig_replay::explain::{Explanation, Limits};
use rig_replay::tests::{Tests, tests};
use serde_json::json;

use against::{Against, Earlier};

use super::explain::explained;
use crate::Answer;
use crate::output::{self, Out};
use crate::source::Source;
use crate::timeline;

/// Report recordings in a CI job
///
/// It explains each recording on the job's summary page (at most 1 MiB; GitHub takes no more), points at the failed assertions with at
/// most 10 annotations, and writes a JUnit report where one is wanted. On GitHub it finds by itself where to write; elsewhere the
/// summary goes to standard output. docs/ci.md has workflows to copy.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit codes: 0 nothing failed; 1 something failed; 2 a recording could not be read, or not to its
end and nothing failed before.

Examples:
  rig ci run.jsonl.zst
  rig ci runs/*.jsonl.zst --junit report.xml --summary summary.md
  rig ci run.jsonl.zst --against ../main-runs")]
pub struct Args {
    /// Session files, rigd logs, or hubs' streams
    #[arg(required = true, value_name = "SESSION")]
    sessions: Vec<Source>,
    /// Append the summary to this file; - prints it [default: what GITHUB_STEP_SUMMARY names, else -]
    #[arg(long, value_name = "FILE", env = "GITHUB_STEP_SUMMARY", hide_env = true)]
    summary: Option<PathBuf>,
    /// Compare tests with this recording, or with the last run of a folder in which none failed: which failures are new, which
    /// are fixed, and which come and go
    #[arg(long, value_name = "FILE|FOLDER")]
    against: Option<PathBuf>,
    /// Write a JUnit report, with a case for each test
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Print annotations as GitHub reads them, also where GITHUB_ACTIONS does not say that it is there
    #[arg(long)]
    annotations: bool,
    /// Write a comment on the pull request that the job belongs to, or bring it up to date: the first failure, and the change before
    /// it. Jobs that are to have comments of their own name a KEY [default: the workflow and the job]. On GitHub it takes the token in
    /// GITHUB_TOKEN, on GitLab that in RIG_GITLAB_TOKEN
    #[arg(long, value_name = "KEY", num_args = 0..=1, require_equals = true)]
    comment: Option<Option<String>>,
    /// Print it all as JSON, and neither summary nor annotations
    #[arg(long)]
    json: bool,
}

/// A recording, and what is known of it.
struct Report {
    /// What it is called.
    name: String,
    explained: Result<Explanation, String>,
    /// The same with less of everything, for a page that would be too long.
    brief: Option<Explanation>,
    /// Its tests.
    tests: Option<Tests>,
    /// Its tests against those of earlier recordings.
    against: Option<Against>,
    /// Why a failure may be missing, if the recording could not be read to its end.
    doubt: Option<String>,
}

impl Report {
    async fn of(source: &Source) -> Report {
        let name = source.to_string();
        match Report::read(source).await {
            Ok((explained, brief, tests, doubt)) => {
                Report { name, explained: Ok(explained), brief, tests: Some(tests), against: None, doubt }
            }
            Err(error) => Report {
                name,
                explained: Err(output::chain(&error)),
                brief: None,
                tests: None,
                against: None,
                doubt: None,
            },
        }
    }

    async fn read(source: &Source) -> Result<(Explanation, Option<Explanation>, Tests, Option<String>)> {
        let indexed = source.timeline(None).await?;
        match indexed.trouble() {
            // A run of which nothing is known did not go well.
            Some(trouble) if indexed.timeline.is_empty() => anyhow::bail!(trouble),
            _ => indexed.notes(false)?,
        }
        let whole = explained(&indexed, Limits::default())?;
        // Only of what failed there is more to say than a line.
        let brief = Limits { items: 3, lines: 5, bytes: 200 };
        let all = tests(&indexed.timeline)?;
        let brief = whole.is_failure().then(|| explained(&indexed, brief)).transpose()?;
        Ok((whole, brief, all, indexed.doubt()))
    }

    /// Returns true if nothing failed, and nothing can be missing.
    fn is_fine(&self) -> bool {
        self.explained.is_ok() && self.doubt.is_none() && !self.failed()
    }

    fn failed(&self) -> bool {
        self.explained.as_ref().is_ok_and(Explanation::is_failure)
    }
}

pub(super) async fn run(args: Args) -> Result<Answer> {
    let on_github = std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true");
    let mut reports = timeline::each(&args.sessions, Report::of);
    if let Some(path) = &args.against {
        let earlier = Earlier::read(path, &args.sessions).await?;
        for report in &mut reports {
            report.against = report.tests.as_ref().and_then(|tests| earlier.against(tests));
        }
    }
    // One output that cannot be written costs only itself.
    let mut unwritten = Vec::new();
    if let Some(path) = &args.junit {
        let write = || {
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder)?;
            }
            File::create(path)?.write_all(junit::report(&reports).as_bytes())
        };
        unwritten.extend(write().with_context(|| format!("cannot write {}", path.display())).err());
    }
    if args.json {
        let sessions: Vec<_> = reports
            .iter()
            .map(|report| match &report.explained {
                Ok(it) => {
                    let mut value =
                        json!({ "session": report.name, "failed": report.failed(), "explanation": it });
                    if let Some(against) = &report.against {
                        value["against"] = json!(against);
                    }
                    if let Some(doubt) = &report.doubt {
                        value["error"] = doubt.as_str().into();
                    }
                    value
                }
                Err(error) => json!({ "session": report.name, "error": error }),
            })
            .collect();
        Out::new().json(&json!({ "sessions": sessions }))?;
    } else {
        let file =
            args.summary.as_deref().filter(|path| *path != Path::new("-") && !path.as_os_str().is_empty());
        match file {
            Some(file) => unwritten.extend(append(file, &reports).err()),
            None => print(&summary::page(&reports, summary::MOST), on_github)?,
        }
        if args.annotations || on_github {
            let mut out = Out::new();
            for line in annotations::lines(&reports) {
                out.line(line)?;
            }
        }
    }
    if let Some(key) = &args.comment
        && let Err(error) = comment::post(&reports, key.as_deref()).await
    {
        // Whether somebody may comment says nothing about the tests.
        output::note(format!(
            "{} no comment is written: {}",
            output::styled(output::HEADING, "rig: warning:"),
            output::chain(&error)
        ));
    }
    for error in &unwritten {
        output::note(format!("{} {}", output::styled(output::HEADING, "error:"), output::chain(error)));
    }
    let mut answer = Answer::Fine;
    let (mut unread, mut in_doubt) = (0, 0);
    for report in &reports {
        match &report.explained {
            Err(error) => {
                unread += 1;
                output::note(format!("{}: {error}", output::plain(&report.name)));
            }
            Ok(_) if report.failed() => answer = Answer::Difference,
            Ok(_) => in_doubt += u64::from(report.doubt.is_some()),
        }
    }
    if unread > 0 {
        anyhow::bail!("{} could not be read", output::count(unread, "recording"));
    }
    if in_doubt > 0 && answer == Answer::Fine {
        anyhow::bail!(
            "{} could not be read to the end: what is missing may have failed",
            output::count(in_doubt, "recording")
        );
    }
    if answer == Answer::Fine && !unwritten.is_empty() {
        return Ok(Answer::Code(2));
    }
    Ok(answer)
}

/// Appends the page, as much of it as the file still takes.
fn append(file: &Path, reports: &[Report]) -> Result<()> {
    let there = fs::metadata(file).map_or(0, |meta| usize::try_from(meta.len()).unwrap_or(usize::MAX));
    let page = summary::page(reports, summary::MOST.saturating_sub(there));
    let cannot = || format!("cannot write the summary to {}", file.display());
    let mut file = File::options().create(true).append(true).open(file).with_context(cannot)?;
    file.write_all(page.as_bytes()).with_context(cannot)
}

/// Prints the page. What others wrote is on it, and GitHub takes a line that begins with `::` for a command: none is, until it is told a
/// word that nobody could know.
fn print(page: &str, on_github: bool) -> Result<()> {
    let mut out = Out::new();
    if !on_github {
        return Ok(out.line(page.trim_end())?);
    }
    let mut word = [0_u8; 16];
    getrandom::fill(&mut word)
        .map_err(|error| anyhow::anyhow!("the system gives no random numbers: {error}"))?;
    let word = rig_event::keyfile::hex(&word);
    out.line(format!("::stop-commands::{word}"))?;
    out.line(page.trim_end())?;
    Ok(out.line(format!("::{word}::"))?)
}
