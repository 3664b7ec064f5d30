//! The commands as a user runs them, beside jq and Python's json on the same file in the same run, in turns.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Recording;
use crate::Setup;
use crate::machine::{cpu_of_all, peak_kib};
use crate::report::{Bar, Cell, Report, median};

const FILTER: &str = r#"select(.type=="request.completed")|.seq"#;
const SCRIPT: &str = "\
import json, sys
for line in open(sys.argv[1]):
    event = json.loads(line)
    if event['type'] == 'request.completed':
        print(event['seq'])
";

/// A command, what it is called, and the bar: how many times as fast as jq.
struct Contest {
    part: &'static str,
    shown: &'static str,
    args: &'static [&'static str],
    times: f64,
}

const CONTESTS: [Contest; 3] = [
    Contest { part: "explain", shown: "rig explain", args: &["explain"], times: 12.0 },
    Contest { part: "traffic", shown: "rig traffic, every row", args: &["traffic"], times: 5.0 },
    Contest {
        part: "logs",
        shown: "rig logs, filtered",
        args: &["logs", "--service", "orders", "--text", "code 7"],
        times: 15.0,
    },
];

/// The bar of `rig traffic`'s memory, in MiB.
const TRAFFIC_MIB: f64 = 200.0;

pub fn run(setup: &Setup, recording: &Recording, report: &mut Report) -> Result<()> {
    let contests: Vec<&Contest> = CONTESTS.iter().filter(|contest| setup.wants(contest.part)).collect();
    if contests.is_empty() {
        return Ok(());
    }
    let (jq, python) = (is_there("jq"), is_there("python3"));
    let rounds = if setup.quick { 1 } else { 3 };
    let (mut by_jq, mut by_python) = (Vec::new(), Vec::new());
    let mut by_rig: Vec<Vec<Took>> = contests.iter().map(|_| Vec::new()).collect();
    for _ in 0..rounds {
        if jq {
            by_jq.push(timed(Command::new("jq").args(["-c", FILTER]).arg(&recording.path))?);
        }
        for (contest, took) in contests.iter().zip(&mut by_rig) {
            // Twice for each of jq's turns: it is over sooner, and what else the machine does weighs more.
            for _ in 0..2 {
                took.push(rig(&setup.rig, contest, &recording.path)?);
            }
        }
        if python {
            by_python.push(timed(Command::new("python3").args(["-c", SCRIPT]).arg(&recording.path))?);
        }
    }
    let seconds = |took: &[Took]| median(took.iter().map(|took| took.time.as_secs_f64()));
    let cpu = |took: &[Took]| median(took.iter().map(|took| took.cpu.as_secs_f64()));
    let mib = |took: &[Took]| took.iter().map(|took| took.peak).max().unwrap_or(0) as f64 / 1024.0;
    let mut rows = Vec::new();
    for (contest, took) in contests.iter().zip(&by_rig) {
        let beside = |peer: &[Took]| -> Cell {
            if peer.is_empty() { Cell::None } else { (seconds(peer) / seconds(took)).into() }
        };
        let head = [contest.shown.into(), seconds(took).into(), cpu(took).into(), mib(took).into()];
        rows.push(head.into_iter().chain([beside(&by_jq), beside(&by_python)]).collect());
    }
    for (shown, took) in [("jq -c 'select(…)|.seq'", &by_jq), ("python3, json.loads a line", &by_python)] {
        let figures = [seconds(took), cpu(took), mib(took)];
        let figures = figures.map(|figure| if took.is_empty() { Cell::None } else { figure.into() });
        rows.push([shown.into()].into_iter().chain(figures).chain([Cell::None, Cell::None]).collect());
    }
    report.table("commands", &["", "s", "CPU s", "MiB at most", "times jq", "times Python"], &rows);
    for (contest, took) in contests.iter().zip(&by_rig) {
        if jq {
            let what = format!("{}, times as fast as jq", contest.shown);
            report.bar(&what, Bar::AtLeast(contest.times), seconds(&by_jq) / seconds(took));
        }
        if contest.part == "traffic" {
            report.bar("rig traffic, MiB resident", Bar::AtMost(TRAFFIC_MIB), mib(took));
        }
    }
    if !jq {
        report.note("jq", "is not there; apt-get install jq");
    }
    if !python {
        report.note("python3", "is not there; apt-get install python3");
    }
    Ok(())
}

fn is_there(program: &str) -> bool {
    let asked = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    asked.is_ok_and(|status| status.success())
}

/// What a command took.
#[derive(Default)]
struct Took {
    /// From start to end.
    time: Duration,
    /// Processor time: what does not depend on what else the machine does.
    cpu: Duration,
    /// The most memory that it had resident, in KiB.
    peak: u64,
}

/// Runs a command; what it prints is thrown away.
fn timed(command: &mut Command) -> Result<Took> {
    let busy = cpu_of_all();
    let begun = Instant::now();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("{command:?} could not be started"))?;
    let (pid, mut peak) = (child.id(), 0);
    let status = loop {
        peak = peak.max(peak_kib(pid));
        if let Some(status) = child.try_wait()? {
            break status;
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let time = begun.elapsed();
    // This program itself used next to none in the meantime.
    let cpu = cpu_of_all() - busy;
    // 1: something was found.
    match status.code() {
        Some(0 | 1) => Ok(Took { time, cpu, peak }),
        _ => bail!("{command:?} ended with {status}"),
    }
}

fn rig(rig: &Path, contest: &Contest, file: &Path) -> Result<Took> {
    let (name, options) = contest.args.split_first().context("a command has a name")?;
    timed(Command::new(rig).arg(name).arg(file).args(options))
}
