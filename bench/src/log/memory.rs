//! How much memory a hub has in use for a stream that nobody reads.

use std::time::Duration;

use anyhow::Result;

use super::data;
use crate::Setup;
use crate::http::{Client, post};
use crate::machine::resident_kib;
use crate::report::{Bar, Report};
use crate::server::Server;

/// Events of one append.
const BATCH: usize = 1000;

/// For how long a hub may put its memory in order before it is looked at.
const SETTLE: Duration = Duration::from_secs(3);

pub fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let events = if setup.quick { 100_000 } else { 1_000_000 };
    let folder = super::folder(setup)?;
    let data = data(&folder)?;
    let hub = Server::hub(&setup.rig, &data)?;
    std::thread::sleep(SETTLE);
    let empty = resident_kib(&hub.pids());
    fill(&hub, events)?;
    std::thread::sleep(SETTLE);
    let filled = resident_kib(&hub.pids());
    hub.stop()?;
    let hub = Server::hub(&setup.rig, &data)?;
    std::thread::sleep(SETTLE);
    let restarted = resident_kib(&hub.pids());
    hub.stop()?;

    let mib = |kib: u64| kib as f64 / 1024.0;
    let above = |kib: u64| mib(kib.saturating_sub(empty));
    let rows = [
        vec!["empty".into(), mib(empty).into(), 0u64.into()],
        vec![format!("after {events} events were appended").into(), mib(filled).into(), above(filled).into()],
        vec!["the same after a restart".into(), mib(restarted).into(), above(restarted).into()],
    ];
    report.table("resident memory of a hub", &["hub", "MiB", "above empty"], &rows);
    report.bar("MiB above an empty hub", Bar::AtMost(64.0), above(filled));
    Ok(())
}

/// Appends so many events in batches.
pub fn fill(hub: &Server, events: usize) -> Result<()> {
    let mut client = Client::connect(hub.address)?;
    let mut body = Vec::new();
    for _ in 0..BATCH {
        let start = body.len();
        body.extend_from_slice(br#"{"type":"bench.appended","p":""#);
        body.resize(start + 298, b'x');
        body.extend_from_slice(b"\"}\n");
    }
    let mut request = Vec::new();
    post(&mut request, "/v1/streams/main/events", "application/x-ndjson", &body);
    for _ in 0..events.div_ceil(BATCH) {
        client.send(&request)?;
    }
    Ok(())
}
