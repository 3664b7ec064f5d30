//! How long a hub takes from its start to its first line, with a long stream.

use std::time::Duration;

use anyhow::Result;
use rig_event::Seq;
use rig_recorder::{Durability, EventLog as _};

use super::{data, lines, memory, new_log};
use crate::Setup;
use crate::report::{Bar, Report};
use crate::server::Server;

/// Events of one append while the stream is built.
const BATCH: usize = 10_000;

pub fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let (events, rounds) = if setup.quick { (200_000, 1) } else { (10_000_000, 3) };
    let folder = super::folder(setup)?;
    let data = data(&folder)?;
    build(&data.join("streams/main"), events)?;

    let mut rows = Vec::new();
    let mut row = |what: &str, ready: Duration| {
        rows.push(vec![what.into(), ready.as_secs_f64().into()]);
    };
    let hub = Server::hub(&setup.rig, &data)?;
    row("the first start, which builds the index", hub.ready_after);
    row("the stop after it", hub.stop()?);
    let mut slowest = Duration::ZERO;
    for _ in 0..rounds {
        let hub = Server::hub(&setup.rig, &data)?;
        row("a start after a clean stop", hub.ready_after);
        slowest = slowest.max(hub.ready_after);
        hub.stop()?;
    }
    for _ in 0..rounds {
        let hub = Server::hub(&setup.rig, &data)?;
        memory::fill(&hub, 20_000)?;
        hub.kill()?;
        let hub = Server::hub(&setup.rig, &data)?;
        row("a start after kill -9 amid appends", hub.ready_after);
        hub.stop()?;
    }
    report.table(&format!("start to ready with {events} events in a stream"), &["what", "seconds"], &rows);
    report.bar("slowest start after a clean stop, s", Bar::AtMost(2.0), slowest.as_secs_f64());
    Ok(())
}

/// Builds the stream below the hub: what it costs to append is not the question here.
fn build(folder: &std::path::Path, events: usize) -> Result<()> {
    let log = new_log(folder, Durability::Interval(Duration::from_secs(5)))?;
    let mut next: Seq = 1;
    while next <= events as Seq {
        log.append(lines(next, BATCH)).wait()?;
        next += BATCH as Seq;
    }
    log.close()?;
    Ok(())
}
