//! `bench config`: what it costs to capture a document, and to compare two.
//!
//! What is measured runs in a child process of its own, [`child`], so that its memory is its own: the most that was
//! resident (`VmHWM`) is what the system says of that child and not of what ran before it.

mod capture;
mod diff;
mod peers;
mod text;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};

use crate::Setup;
use crate::machine::{cpu_of_main_thread, peak_kib};
use crate::report::{Report, median};

/// What can be asked for alone.
pub const PARTS: &[&str] = &["capture", "diff", "text"];

/// Runs the bench.
pub fn run(setup: &Setup) -> Result<()> {
    let mut report = Report::new("config", setup.quick);
    if setup.wants("capture") {
        capture::run(setup, &mut report)?;
    }
    if setup.wants("diff") {
        diff::run(setup, &mut report)?;
    }
    if setup.wants("text") {
        text::run(setup, &mut report)?;
    }
    report.write(&setup.out)
}

/// A piece of work that a child does: it takes files and how often to do it, and answers with what each round took.
type Work = fn(&[PathBuf], usize) -> Result<Vec<Took>>;

/// What one round took.
struct Took {
    /// From start to end.
    time: Duration,
    /// Processor time: what does not depend on what else the machine does.
    cpu: Duration,
}

/// Does a piece of work, and says what it took beside what came of it.
fn timed<T>(work: impl FnOnce() -> T) -> (Took, T) {
    let busy = cpu_of_main_thread();
    let begun = Instant::now();
    let made = work();
    let time = begun.elapsed();
    (Took { time, cpu: cpu_of_main_thread().saturating_sub(busy) }, made)
}

const WORKS: &[(&str, Work)] = &[
    ("capture", capture::work),
    ("reading", capture::reading),
    ("serde_json", capture::serde_json),
    ("diff", diff::work),
    ("text", text::work),
];

/// `rig-bench child WORK ROUNDS FILE…`: does a piece of work and prints what it cost as one line of JSON.
pub fn child(args: &[String]) -> Result<()> {
    let [name, rounds, files @ ..] = args else { bail!("a child takes WORK ROUNDS FILE…") };
    let work = WORKS.iter().find(|(known, _)| known == name).map(|(_, work)| work);
    let work = work.with_context(|| format!("there is no work `{name}`"))?;
    let files: Vec<PathBuf> = files.iter().map(PathBuf::from).collect();
    let took = work(&files, rounds.parse().context("ROUNDS is no number")?)?;
    let ms: Vec<f64> = took.iter().map(|took| took.time.as_secs_f64() * 1e3).collect();
    let cpu_ms: f64 = took.iter().map(|took| took.cpu.as_secs_f64() * 1e3).sum();
    println!("{}", json!({"ms": ms, "cpu_ms": cpu_ms, "kib": peak_kib(std::process::id())}));
    Ok(())
}

/// What a piece of work cost in a child of its own.
#[derive(Clone, Copy, Debug)]
struct Cost {
    /// The median of its rounds, in milliseconds.
    ms: f64,
    /// The first of its rounds, in which everything is made that is made once.
    first_ms: f64,
    /// Processor time a round, in milliseconds, on average.
    cpu_ms: f64,
    /// The most that was resident, in MiB.
    mib: f64,
}

/// Does a piece of work in a child.
fn measure(work: &str, rounds: usize, files: &[&Path]) -> Result<Cost> {
    let me = std::env::current_exe().context("this program's own place is not known")?;
    let mut command = Command::new(me);
    command.args(["child", work, &rounds.to_string()]).args(files);
    cost(command)
}

/// Does a piece of work in Python: the script is given the rounds and the files, and prints what [`child`] prints. `None`
/// where there is no Python, or not the modules that the script needs.
fn measure_python(script: &str, rounds: usize, files: &[&Path]) -> Option<Cost> {
    let mut command = Command::new("python3");
    command.args(["-c", &[PYTHON, script].concat(), &rounds.to_string()]).args(files).stderr(Stdio::null());
    cost(command).ok()
}

/// Does a piece of work in a peer's program: the script is given the rounds and the files, and prints what [`child`] prints.
fn measure_with(peer: &peers::Program, script: &str, rounds: usize, files: &[&Path]) -> Option<Cost> {
    let is_python = peer.args.iter().any(|arg| arg == "-c");
    let script = if is_python { [PYTHON, script].concat() } else { script.to_owned() };
    let mut command = Command::new(&peer.program);
    command.args(&peer.args).arg(script).args(if is_python { None } else { Some("--") });
    command.arg(rounds.to_string()).args(files).stderr(Stdio::null());
    if let Some(folder) = &peer.folder {
        command.current_dir(folder);
    }
    cost(command).ok()
}

/// What every script in Python begins with.
const PYTHON: &str = "\
import json, sys, time
rounds, files = int(sys.argv[1]), sys.argv[2:]
times, cpu = [], []
def timed(work):
    begun, busy = time.perf_counter(), time.process_time()
    work()
    times.append(time.perf_counter() - begun)
    cpu.append(time.process_time() - busy)
def done():
    kib = next(l for l in open('/proc/self/status') if l.startswith('VmHWM')).split()[1]
    print(json.dumps({'ms': [t * 1e3 for t in times], 'cpu_ms': sum(cpu) * 1e3, 'kib': int(kib)}))
";

fn cost(mut command: Command) -> Result<Cost> {
    let out = command.stdin(Stdio::null()).output().context("a child could not be started")?;
    if !out.status.success() {
        bail!("a child ended with {}: {}", out.status, String::from_utf8_lossy(&out.stderr).trim());
    }
    let said: Value = serde_json::from_slice(&out.stdout).context("a child did not answer in JSON")?;
    let ms: Vec<f64> = said["ms"].as_array().into_iter().flatten().filter_map(Value::as_f64).collect();
    let cpu_ms = said["cpu_ms"].as_f64().unwrap_or(0.0) / ms.len().max(1) as f64;
    let first_ms = ms.first().copied().unwrap_or(0.0);
    Ok(Cost { ms: median(ms), first_ms, cpu_ms, mib: said["kib"].as_f64().unwrap_or(0.0) / 1024.0 })
}
