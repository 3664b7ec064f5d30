//! How quickly a recording is opened and indexed, and how much memory the index takes.

use std::time::Instant;

use anyhow::Result;

use super::{Recording, open};
use crate::Setup;
use crate::machine::{cpu_of_all, resident_kib};
use crate::report::{Bar, Report, median};

pub fn run(setup: &Setup, recording: &Recording, report: &mut Report) -> Result<()> {
    let rounds = if setup.quick { 1_u64 } else { 5 };
    let me = [std::process::id()];
    let before = resident_kib(&me);
    let mut speeds = Vec::new();
    let mut memory = 0;
    let busy = cpu_of_all();
    for round in 0..rounds {
        let begun = Instant::now();
        let timeline = open(&recording.path)?;
        speeds.push(recording.len as f64 / 1e6 / begun.elapsed().as_secs_f64());
        anyhow::ensure!(timeline.len() == recording.events, "{} events were indexed", timeline.len());
        if round == 0 {
            memory = resident_kib(&me).saturating_sub(before) << 10;
        }
    }
    // What a busy machine cannot falsify: MB for each second of processor time, over all threads.
    let cpu = (recording.len * rounds) as f64 / 1e6 / (cpu_of_all() - busy).as_secs_f64().max(0.01);
    let each = memory as f64 / recording.events as f64;
    let best = speeds.iter().copied().fold(0.0, f64::max);
    let speed = median(speeds);
    let rows = [vec!["open and index".into(), speed.into(), best.into(), cpu.into(), each.into()]];
    report.table("index", &["", "MB/s", "best", "MB a CPU second", "bytes an event"], &rows);
    report.bar("open and index, MB/s", Bar::AtLeast(800.0), speed);
    report.bar("resident bytes an event", Bar::AtMost(64.0), each);
    Ok(())
}
