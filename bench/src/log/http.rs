//! Durable appends over HTTP, one event a request, beside a route of the same hub that does nothing.

use std::time::Duration;

use anyhow::Result;

use super::data;
use crate::Setup;
use crate::histogram::Histogram;
use crate::http::{Answers, Load, load, post};
use crate::machine;
use crate::report::{Bar, Report, median};
use crate::server::Server;

const CONNECTIONS: usize = 64;

/// What a line of 350 bytes is made of when the hub has put its part in front.
const EVENT: usize = 300;

pub fn run(setup: &Setup, report: &mut Report) -> Result<()> {
    let (rounds, secs) = if setup.quick { (2, 1) } else { (5, 4) };
    let load_of = Load { connections: CONNECTIONS, time: Duration::from_secs(secs), rate: None };
    let folder = super::folder(setup)?;
    let hub = Server::hub(&setup.rig, &data(&folder)?)?;
    let mut append = Vec::new();
    post(&mut append, "/v1/streams/main/events", "application/json", &event());
    let nothing = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";
    // Both ways are warm before anything counts.
    let warm = Load { time: Duration::from_millis(300), ..load_of };
    load(hub.address, warm, |out, _| out.extend_from_slice(nothing))?;
    load(hub.address, warm, |out, _| out.extend_from_slice(&append))?;
    let (mut idle, mut appends) = (Vec::new(), Vec::new());
    let mut cpu = [Duration::ZERO; 2];
    for _ in 0..rounds {
        let timed = |request: &[u8], cpu: &mut Duration| -> Result<Answers> {
            let before = machine::cpu(&hub.pids());
            let answers = load(hub.address, load_of, |out, _| out.extend_from_slice(request))?;
            *cpu += machine::cpu(&hub.pids()).saturating_sub(before);
            Ok(answers)
        };
        idle.push(timed(nothing, &mut cpu[0])?);
        appends.push(timed(&append, &mut cpu[1])?);
    }
    hub.stop()?;

    let row = |what: &str, rounds: &[Answers], cpu: Duration| {
        let count: u64 = rounds.iter().map(|r| r.count).sum();
        let latency = merged(rounds);
        let per_second = median(rounds.iter().map(Answers::per_second));
        let micros = cpu.as_secs_f64() * 1e6 / count.max(1) as f64;
        vec![what.into(), per_second.into(), latency.ms(0.5).into(), latency.ms(0.99).into(), micros.into()]
    };
    let rows = [row("GET /healthz", &idle, cpu[0]), row("POST one event, durable", &appends, cpu[1])];
    report.table(
        "over HTTP, 64 connections",
        &["what", "requests/s", "p50 ms", "p99 ms", "hub CPU µs/request"],
        &rows,
    );
    let ratio = median(appends.iter().zip(&idle).map(|(a, i)| a.per_second() / i.per_second()));
    report.bar("appends over HTTP beside a route that does nothing", Bar::AtLeast(0.5), ratio);
    report.bar("p99 of an append over HTTP, ms", Bar::AtMost(20.0), merged(&appends).ms(0.99));
    Ok(())
}

fn merged(rounds: &[Answers]) -> Histogram {
    let mut all = Histogram::default();
    rounds.iter().for_each(|round| all.merge(&round.latency));
    all
}

fn event() -> Vec<u8> {
    let mut event = br#"{"type":"bench.appended","p":""#.to_vec();
    event.resize(EVENT - 2, b'x');
    event.extend_from_slice(b"\"}");
    event
}
