//! The commands of `rig`, one file each, and the arguments that several of them take.

pub mod accept;
pub mod backup;
pub mod baseline;
pub mod bisect;
pub mod blame;
pub mod ci;
pub mod compare;
pub mod demo;
pub mod diff;
pub mod doctor;
pub mod drift;
pub mod explain;
pub mod fingerprint;
pub mod generate;
pub mod hub;
pub mod judge;
pub mod logs;
pub mod ls;
pub mod record;
pub mod replay;
pub mod report;
pub mod rerun;
pub mod scrub;
pub mod serve;
pub mod snapshot;
pub mod state;
pub mod tail;
pub mod token;
pub mod traffic;
pub mod verify;
pub mod watch;
pub mod why;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::{Parser, Subcommand};
use rig_event::StreamName;
use rig_replay::Timeline;

use crate::Answer;
use crate::client::Client;
use crate::source::Source;

/// A flight recorder for configuration and traffic
///
/// Everything that happens to a set of services becomes one event in one ordered log. The log can be followed live, recorded
/// to a file, and replayed to the state at any moment.
#[derive(Debug, Parser)]
#[command(
    name = "rig",
    version,
    max_term_width = 100,
    after_help = "\
SOURCE is a session file (plain or .zst), a rigd log, - for standard input, or a hub's stream
(http://127.0.0.1:7070/main).

Exit codes: 0 fine, no difference; 1 a difference, a drift, a failure found; 2 trouble.

Begin with:  rig demo"
)]
pub struct Rig {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Hub(hub::Args),
    Snapshot(snapshot::Args),
    Watch(watch::Args),
    Diff(diff::Args),
    Drift(drift::Args),
    Accept(accept::Args),
    Baseline(baseline::Args),
    Judge(judge::Args),
    Tail(tail::Args),
    Record(record::Args),
    Replay(replay::Args),
    State(state::Args),
    Explain(explain::Args),
    Report(report::Args),
    Traffic(traffic::Args),
    Logs(logs::Args),
    Blame(blame::Args),
    Why(why::Args),
    Compare(compare::Args),
    Bisect(bisect::Args),
    Serve(serve::Args),
    Token(token::Args),
    Ci(ci::Args),
    Rerun(rerun::Args),
    Ls(ls::Args),
    Verify(verify::Args),
    Scrub(scrub::Args),
    Fingerprint(fingerprint::Args),
    Backup(backup::Args),
    Restore(backup::RestoreArgs),
    Doctor(doctor::Args),
    #[command(hide = true)]
    Generate(generate::Args),
}

/// Runs a command to its end.
///
/// # Errors
/// Whatever kept it from doing its work.
pub fn run(rig: Rig) -> Result<Answer> {
    block_on(async {
        match rig.command {
            Command::Demo(args) => demo::run(args).await,
            Command::Hub(args) => hub::run(args).await,
            Command::Snapshot(args) => snapshot::run(args).await,
            Command::Watch(args) => watch::run(args).await,
            Command::Diff(args) => diff::run(args).await,
            Command::Drift(args) => drift::run(args).await,
            Command::Accept(args) => accept::run(args).await,
            Command::Baseline(args) => baseline::run(args).await,
            Command::Judge(args) => judge::run(args).await,
            Command::Tail(args) => tail::run(args).await,
            Command::Record(args) => record::run(args).await,
            Command::Replay(args) => replay::run(args).await,
            Command::State(args) => state::run(args).await,
            Command::Explain(args) => explain::run(args).await,
            Command::Report(args) => report::run(args).await,
            Command::Traffic(args) => traffic::run(args).await,
            Command::Logs(args) => logs::run(args).await,
            Command::Blame(args) => blame::run(args).await,
            Command::Why(args) => why::run(args).await,
            Command::Compare(args) => compare::run(args).await,
            Command::Bisect(args) => bisect::run(args).await,
            Command::Serve(args) => serve::run(args).await,
            Command::Token(args) => token::run(args).await,
            Command::Ci(args) => ci::run(args).await,
            Command::Rerun(args) => rerun::run(args).await,
            Command::Ls(args) => ls::run(args).await,
            Command::Verify(args) => verify::run(args).await,
            Command::Scrub(args) => scrub::run(args).await,
            Command::Fingerprint(args) => fingerprint::run(args).await,
            Command::Backup(args) => backup::run(args),
            Command::Restore(args) => backup::restore(args),
            Command::Doctor(args) => doctor::run(args),
            Command::Generate(args) => generate::run(&args),
        }
    })
}

/// Runs `rig diff` alone, as `rig-diff` does.
///
/// # Errors
/// Whatever kept it from doing its work.
pub fn run_diff(alone: diff::Alone) -> Result<Answer> {
    block_on(diff::run(alone.args))
}

/// Runs a command's future.
///
/// # Errors
/// The error of the command, or an error if threads cannot be started.
pub fn block_on(command: impl Future<Output = Result<Answer>>) -> Result<Answer> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("the threads of the program could not be started")?;
    runtime.block_on(command)
}

/// Reads a time with its unit, such as `500ms`.
fn time(text: &str) -> Result<Duration, String> {
    let units = [("ms", 1), ("s", 1_000), ("m", 60_000)];
    let found = units.iter().find_map(|(unit, factor)| {
        let count = text.strip_suffix(unit)?.parse::<u64>().ok()?;
        count.checked_mul(*factor).filter(|ms| *ms > 0)
    });
    found.map(Duration::from_millis).ok_or_else(|| "write a time such as 500ms, 2s or 1m".to_owned())
}

/// The event at a position of a recording, on one line.
fn event_line(timeline: &Timeline, at: usize) -> Result<String> {
    Ok(crate::output::event_of(&timeline.line(at)?, Some(timeline.envelope(at)?)))
}

/// A source that is read from one end to the other.
#[derive(Debug, clap::Args)]
pub struct ReadArgs {
    /// A session file, -, a rigd log, or a hub's stream
    source: Source,
    /// Take a recording that cannot be read to its end for an error
    #[arg(long)]
    strict: bool,
}

impl ReadArgs {
    /// Gives the recording to `show`, and then says what could not be read of it.
    async fn read<T>(&self, show: impl FnOnce(&Timeline) -> Result<T>) -> Result<T> {
        let indexed = self.source.timeline(None).await?;
        let shown = show(&indexed.timeline)?;
        indexed.notes(self.strict)?;
        Ok(shown)
    }
}

/// Which hub, and which of its streams.
#[derive(Debug, clap::Args)]
pub struct HubArgs {
    /// The hub's address; a stream may follow: http://127.0.0.1:7070/staging
    #[arg(long, value_name = "URL", env = "RIG_HUB", default_value = "http://127.0.0.1:7070")]
    hub: String,
    /// The stream, where the address names none [default: main]
    #[arg(long, value_name = "NAME", env = "RIG_STREAM")]
    stream: Option<StreamName>,
    /// The certificates to trust where the address is https://, PEM
    #[arg(long, value_name = "FILE", env = "RIG_CA")]
    ca: Option<PathBuf>,
}

impl HubArgs {
    fn client(&self) -> Result<Client> {
        Client::trusting(&self.hub, self.stream.clone(), self.ca.as_deref())
    }
}

/// Facts that go with a captured document.
#[derive(Debug, clap::Args)]
pub struct CaptureArgs {
    /// Read it as json, jsonc, yaml, toml, ini, env, properties, hcl, xml, routeros, nginx, text or snapshot, whatever its
    /// name says
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Something to remember with it, such as git_sha=4f2c9e1 or operator=ana; may be given more than once
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    meta: Vec<(String, String)>,
    /// The actor that events name
    #[arg(long, value_name = "NAME", env = "RIG_ACTOR")]
    actor: Option<String>,
}

impl CaptureArgs {
    /// The query of a capture of a file at `path`, if it is one.
    fn query(&self, path: Option<&Path>) -> Vec<(String, String)> {
        let name = path.and_then(Path::file_name).map(|name| name.to_string_lossy());
        let given =
            [("format", self.format.as_deref()), ("name", name.as_deref()), ("actor", self.actor.as_deref())];
        let given = given.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned())));
        given.chain(self.audit(path).into_iter().map(|(key, value)| (format!("meta.{key}"), value))).collect()
    }

    /// Collects the user, host and version for a document at `path`. Values given with --meta override those
    /// found.
    fn audit(&self, path: Option<&Path>) -> BTreeMap<String, String> {
        let mut audit = rig_client::audit::collect(path.unwrap_or(Path::new(".")));
        audit.extend(self.actor.clone().map(|actor| ("operator".to_owned(), actor)));
        audit.extend(self.meta.iter().cloned());
        audit
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("write KEY=VALUE".to_owned()),
    }
}

/// The user or the system asking the program to end: Ctrl-C, or SIGTERM.
///
/// It listens from the moment it is made. What comes while nobody waits is kept, so that no request is lost in between.
pub(crate) struct Interrupts {
    #[cfg(unix)]
    asked: [tokio::signal::unix::Signal; 2],
    #[cfg(windows)]
    asked: tokio::signal::windows::CtrlC,
}

impl Interrupts {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Interrupts> {
        let cannot = "the program cannot listen for signals";
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let asked = [
                signal(SignalKind::interrupt()).context(cannot)?,
                signal(SignalKind::terminate()).context(cannot)?,
            ];
            Ok(Interrupts { asked })
        }
        #[cfg(windows)]
        Ok(Interrupts { asked: tokio::signal::windows::ctrl_c().context(cannot)? })
    }

    /// Waits until the program is to end.
    pub(crate) async fn wait(&mut self) {
        #[cfg(unix)]
        {
            let [interrupt, terminate] = &mut self.asked;
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        }
        #[cfg(windows)]
        {
            self.asked.recv().await;
        }
    }
}
