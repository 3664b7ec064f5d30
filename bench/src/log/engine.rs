//! Durable appends through the engine, beside a bare file with `fdatasync` of the same bytes.

use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use rig_event::Seq;
use rig_recorder::{Durability, EventLog, SegmentLog};
use tokio::sync::Mutex;

use super::{lines, new_log};
use crate::Setup;
use crate::histogram::Histogram;
use crate::report::{Bar, Report, median};

/// Events a sync: the size of a batch, and the number of appenders.
const SIZES: [usize; 3] = [1, 64, 1024];

/// Batches that are prepared at once; preparing them is not timed.
const PREPARED: usize = 32;

/// What a round came to.
#[derive(Default)]
struct Round {
    events: u64,
    took: Duration,
    latency: Histogram,
}

impl Round {
    fn per_second(&self) -> f64 {
        self.events as f64 / self.took.as_secs_f64()
    }
}

pub fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let (rounds, time) =
        if setup.quick { (2, Duration::from_millis(150)) } else { (9, Duration::from_millis(400)) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut rows = Vec::new();
    let mut ratios = Vec::new();
    for size in SIZES {
        let folder = super::folder(setup)?;
        let log = Arc::new(new_log(&folder.path().join("log"), Durability::Always)?);
        let mut file = File::create(folder.path().join("bare"))?;
        let (mut bare, mut batches, mut appenders) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..rounds {
            bare.push(bare_file(&mut file, size, time)?);
            batches.push(one_by_one(&log, size, time)?);
            appenders.push(runtime.block_on(side_by_side(&log, size, time))?);
        }
        let ratio = |rounds: &[Round]| {
            median(rounds.iter().zip(&bare).map(|(round, bare)| round.per_second() / bare.per_second()))
        };
        let mut row = |what: String, rounds: &[Round], ratio: f64| {
            let mut latency = Histogram::default();
            rounds.iter().for_each(|round| latency.merge(&round.latency));
            let per_second = median(rounds.iter().map(Round::per_second));
            rows.push(vec![
                what.into(),
                per_second.into(),
                latency.ms(0.5).into(),
                latency.ms(0.99).into(),
                ratio.into(),
            ]);
        };
        row(format!("bare file, {size} a sync"), &bare, 1.0);
        row(format!("EventLog, batches of {size}"), &batches, ratio(&batches));
        row(format!("EventLog, {size} appenders"), &appenders, ratio(&appenders));
        ratios.push((size, ratio(&batches)));
    }
    report.table(
        "durable appends of 350 bytes through the engine",
        &["what", "events/s", "p50 ms", "p99 ms", "ratio"],
        &rows,
    );
    for (size, ratio) in ratios {
        let bar = match size {
            64 => 0.8,
            1024 => 0.7,
            _ => continue,
        };
        report.bar(&format!("EventLog beside a bare file, {size} a sync"), Bar::AtLeast(bar), ratio);
    }
    Ok(())
}

/// Writes and syncs one batch after another.
fn bare_file(file: &mut File, size: usize, time: Duration) -> Result<Round> {
    let mut round = Round::default();
    while round.took < time {
        let prepared: Vec<_> = (0..PREPARED).map(|i| lines(1 + (i * size) as Seq, size)).collect();
        for batch in prepared {
            let begun = Instant::now();
            file.write_all(&batch.bytes)?;
            file.sync_data()?;
            round.took += begun.elapsed();
            round.latency.add_time(begun.elapsed());
            round.events += size as u64;
        }
    }
    Ok(round)
}

/// Appends one batch after another, each once the one before it is durable.
fn one_by_one(log: &SegmentLog, size: usize, time: Duration) -> Result<Round> {
    let mut round = Round::default();
    while round.took < time {
        let next = log.head() + 1;
        let prepared: Vec<_> = (0..PREPARED).map(|i| lines(next + (i * size) as Seq, size)).collect();
        for batch in prepared {
            let begun = Instant::now();
            log.append(batch).wait()?;
            round.took += begun.elapsed();
            round.latency.add_time(begun.elapsed());
            round.events += size as u64;
        }
    }
    Ok(round)
}

/// So many appenders at once, each with one event after another.
async fn side_by_side(log: &Arc<SegmentLog>, appenders: usize, time: Duration) -> Result<Round> {
    let next = Arc::new(Mutex::new(log.head() + 1));
    let begun = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..appenders {
        let (log, next) = (log.clone(), next.clone());
        tasks.spawn(async move {
            let (mut events, mut latency) = (0, Histogram::default());
            while begun.elapsed() < time {
                let mut seq = next.lock().await;
                let event = lines(*seq, 1);
                let since = Instant::now();
                let pending = log.append(event);
                *seq += 1;
                drop(seq);
                pending.await?;
                latency.add_time(since.elapsed());
                events += 1;
            }
            anyhow::Ok((events, latency))
        });
    }
    let mut round = Round::default();
    while let Some(done) = tasks.join_next().await {
        let (events, latency) = done??;
        round.events += events;
        round.latency.merge(&latency);
    }
    round.took = begun.elapsed();
    Ok(round)
}
