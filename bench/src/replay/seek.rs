//! How long it takes to get to any seq, and one further.

use std::time::{Duration, Instant};

use anyhow::Result;
use rig_replay::timeline::Cursor;

use super::{Recording, open};
use crate::Setup;
use crate::histogram::Histogram;
use crate::report::{Bar, Report};

pub fn run(_: &Setup, recording: &Recording, report: &mut Report) -> Result<()> {
    let timeline = open(&recording.path)?;
    let mut cursor = Cursor::new(&timeline)?;
    let (mut seeks, mut forward, mut back) =
        (Histogram::default(), Histogram::default(), Histogram::default());
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for _ in 0..1000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let n = ((random >> 20) % timeline.len() as u64) as usize;
        let timed = |histogram: &mut Histogram, begun: Instant| histogram.add_time(begun.elapsed());
        let begun = Instant::now();
        cursor.seek(&timeline, n)?;
        timed(&mut seeks, begun);
        for _ in 0..5 {
            let begun = Instant::now();
            cursor.back(&timeline)?;
            timed(&mut back, begun);
        }
        for _ in 0..5 {
            let begun = Instant::now();
            cursor.forward(&timeline)?;
            timed(&mut forward, begun);
        }
    }
    let row =
        |name: &str, h: &Histogram| vec![name.into(), h.ms(0.5).into(), h.ms(0.99).into(), h.ms(1.0).into()];
    let rows = [row("seek to a random seq", &seeks), row("step forward", &forward), row("step back", &back)];
    report.table("seek", &["", "p50 ms", "p99 ms", "max ms"], &rows);
    report.bar("seek p50, ms", Bar::AtMost(2.0), seeks.ms(0.5));
    report.bar("seek p99, ms", Bar::AtMost(10.0), seeks.ms(0.99));
    report.bar("step p99, ms", Bar::AtMost(1.0), forward.ms(0.99).max(back.ms(0.99)));
    // What was measured is also right: the fold from the beginning leads to the same.
    let n = timeline.len().min(20_000);
    let mut walked = Cursor::new(&timeline)?;
    let begun = Instant::now();
    while walked.at() < n && begun.elapsed() < Duration::from_secs(60) {
        walked.forward(&timeline)?;
    }
    cursor.seek(&timeline, walked.at())?;
    anyhow::ensure!(
        cursor.state().hash() == walked.state().hash(),
        "a seek led to another state than the steps"
    );
    Ok(())
}
