//! The commands as a user runs them, beside jq and Python's json on the same file in the same run, in turns.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::Recording;
use crate::Setup;
use crate::machine::peak_kib;
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
    let mut jq_times = Vec::new();
    let mut python_times = Vec::new();
    let mut times = vec![Vec::new(); contests.len()];
    let mut peaks = vec![0_u64; contests.len()];
    for _ in 0..rounds {
        if jq {
            jq_times.push(timed(Command::new("jq").args(["-c", FILTER]).arg(&recording.path))?.0);
        }
        for (i, contest) in contests.iter().enumerate() {
            // Twice for each of jq's turns: it is over sooner, and what else the machine does weighs more.
            for _ in 0..2 {
                let (time, peak) = rig(&setup.rig, contest, &recording.path)?;
                times[i].push(time);
                peaks[i] = peaks[i].max(peak);
            }
        }
        if python {
            python_times.push(timed(Command::new("python3").args(["-c", SCRIPT]).arg(&recording.path))?.0);
        }
    }
    let seconds = |times: &[Duration]| median(times.iter().map(Duration::as_secs_f64));
    let peer = |times: &[Duration]| if times.is_empty() { Cell::None } else { seconds(times).into() };
    let mut rows = Vec::new();
    for (i, contest) in contests.iter().enumerate() {
        let took = seconds(&times[i]);
        let ratio =
            |times: &[Duration]| if times.is_empty() { Cell::None } else { (seconds(times) / took).into() };
        let mib = peaks[i] as f64 / 1024.0;
        rows.push(vec![
            contest.shown.into(),
            took.into(),
            mib.into(),
            ratio(&jq_times),
            ratio(&python_times),
        ]);
    }
    rows.push(vec!["jq -c 'select(…)|.seq'".into(), peer(&jq_times), Cell::None, Cell::None, Cell::None]);
    rows.push(vec![
        "python3, json.loads a line".into(),
        peer(&python_times),
        Cell::None,
        Cell::None,
        Cell::None,
    ]);
    report.table("commands", &["", "s", "MiB at most", "times jq", "times Python"], &rows);
    for (i, contest) in contests.iter().enumerate() {
        if jq {
            let what = format!("{}, times as fast as jq", contest.shown);
            report.bar(&what, Bar::AtLeast(contest.times), seconds(&jq_times) / seconds(&times[i]));
        }
        if contest.part == "traffic" {
            report.bar("rig traffic, MiB resident", Bar::AtMost(TRAFFIC_MIB), peaks[i] as f64 / 1024.0);
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

/// How long a command ran and how much memory it had at most, in KiB; what it prints is thrown away.
fn timed(command: &mut Command) -> Result<(Duration, u64)> {
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
        std::thread::sleep(Duration::from_millis(2));
    };
    let time = begun.elapsed();
    // 1: something was found.
    match status.code() {
        Some(0 | 1) => Ok((time, peak)),
        _ => bail!("{command:?} ended with {status}"),
    }
}

fn rig(rig: &Path, contest: &Contest, file: &Path) -> Result<(Duration, u64)> {
    let (name, options) = contest.args.split_first().context("a command has a name")?;
    timed(Command::new(rig).arg(name).arg(file).args(options))
}
