//! What it costs to compare two texts, beside `git diff --no-index` and Python's difflib.
//!
//! Against git, whole processes are compared, `rig diff` with its reading, redacting and printing; the child's figure is the
//! comparison alone.

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result};
use rig_config::{apply_hunks, text_diff};

use super::{Cost, Took, measure, measure_with, peers, timed};
use crate::Setup;
use crate::machine::cpu_of_all;
use crate::report::{Bar, Cell, Report, median};

pub fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let folder = tempfile::tempdir_in(&setup.out)?;
    let rounds = if setup.quick { 3 } else { 11 };
    let peers = peers::find(setup);
    type NewLine = fn(usize, usize) -> String;
    let shapes: [(&str, usize, NewLine); 3] = [
        ("20,000 lines, 1 % changed", 20_000, |n, _| {
            if n.is_multiple_of(100) { format!("now {n}") } else { line(n) }
        }),
        ("200,000 lines, all differ", 200_000, |n, _| format!("now {n}")),
        ("200,000 lines in another order", 200_000, |n, count| line(n.wrapping_mul(7_919) % count)),
    ];
    let mut rows = Vec::new();
    let mut first = None;
    for (name, count, new_line) in shapes {
        let (old, new) = (folder.path().join("old.txt"), folder.path().join("new.txt"));
        let text = |line: &dyn Fn(usize) -> String| (0..count).map(|n| line(n) + "\n").collect::<String>();
        fs::write(&old, text(&line))?;
        fs::write(&new, text(&|n| new_line(n, count)))?;
        let files: [&Path; 2] = [&old, &new];
        let few = if count > 20_000 { 1 } else { rounds };
        let ours = measure("text", few, &files)?;
        // In turns, so that a busy moment of the machine meets both.
        let (mut rig, mut git) = (Vec::new(), Vec::new());
        for _ in 0..few {
            rig.push(process(Command::new(&setup.rig).args(["diff", "--format", "unified"]).args(files))?);
            let args = ["diff", "--no-index", "--no-color", "--no-ext-diff"];
            git.extend(process(Command::new("git").args(args).args(files)).ok());
        }
        let of = |runs: &[Run], figure: fn(&Run) -> f64| {
            (!runs.is_empty()).then(|| median(runs.iter().map(figure)))
        };
        let ms = |runs: &[Run]| of(runs, |run| run.ms);
        let cpu = |runs: &[Run]| of(runs, |run| run.cpu_ms);
        let (rig_ms, git_ms) = (ms(&rig), ms(&git));
        let difflib = (count <= 20_000)
            .then(peers::Program::python)
            .and_then(|python| measure_with(&python, peers::DIFFLIB, few.min(3), &files));
        first = first.or(rig_ms.zip(git_ms).map(|(rig, git)| rig / git));
        let cell = |figure: Option<f64>| figure.map_or(Cell::None, Cell::from);
        rows.push(vec![
            name.into(),
            ours.ms.into(),
            cell(rig_ms),
            cell(cpu(&rig)),
            cell(git_ms),
            cell(cpu(&git)),
            cell(difflib.map(|cost: Cost| cost.ms)),
            ours.mib.into(),
        ]);
    }
    peers.note_git(report);
    let titles = [
        "two texts",
        "rig ms",
        "rig diff ms",
        "rig diff CPU",
        "git diff ms",
        "git diff CPU",
        "difflib ms",
        "rig MiB",
    ];
    report.table("text", &titles, &rows);
    if let Some(ratio) = first {
        report.bar("times as long as git diff, processes, 20,000 lines", Bar::AtMost(1.0), ratio);
    }
    Ok(())
}

fn line(n: usize) -> String {
    format!("set interface ge-0/0/{n} description \"port {n}\"")
}

/// What a program took from start to end.
struct Run {
    ms: f64,
    /// Processor time, exact to 10 ms.
    cpu_ms: f64,
}

fn process(command: &mut Command) -> Result<Run> {
    let busy = cpu_of_all();
    let begin = Instant::now();
    let status =
        command.stdin(Stdio::null()).stdout(Stdio::null()).status().context("it could not be started")?;
    anyhow::ensure!(status.code().is_some_and(|code| code < 2), "it ended with {status}");
    let ms = begin.elapsed().as_secs_f64() * 1e3;
    Ok(Run { ms, cpu_ms: cpu_of_all().saturating_sub(busy).as_secs_f64() * 1e3 })
}

/// What a child does: compares two texts, and sees to it once that the hunks lead from one to the other.
pub fn work(files: &[PathBuf], rounds: usize) -> Result<Vec<Took>> {
    let texts = files.iter().map(fs::read_to_string).collect::<std::io::Result<Vec<_>>>()?;
    let [old, new] = texts.as_slice() else { anyhow::bail!("two texts are compared") };
    anyhow::ensure!(apply_hunks(old, &text_diff(old, new).hunks)? == *new, "the hunks give another text");
    let round = || timed(|| _ = black_box(text_diff(black_box(old), black_box(new)))).0;
    Ok((0..rounds).map(|_| round()).collect())
}
