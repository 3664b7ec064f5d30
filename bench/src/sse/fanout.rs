//! Fan-out of what is published to many subscribers: as much as goes, and at a steady pace.

use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use super::subscribers::{Subscribers, marker};
use crate::Setup;
use crate::histogram::Histogram;
use crate::http::{Load, load, post};
use crate::machine::{self, nanos};
use crate::report::{Bar, Cell, Report, median};
use crate::server::{Nginx, Server};

/// Bytes of a message as it is published.
const MESSAGE: usize = 300;

/// Connections that publish.
const PUBLISHERS: usize = 4;

/// After this what a server does for its new subscribers is done.
const SETTLE: Duration = Duration::from_secs(1);

/// Who is measured.
#[derive(Clone, Copy)]
enum Peer<'a> {
    Hub,
    Nchan(&'a Nginx),
}

impl Peer<'_> {
    fn name(self) -> &'static str {
        match self {
            Peer::Hub => "hub",
            Peer::Nchan(_) => "nchan",
        }
    }

    fn start(self, setup: &Setup, folder: &TempDir) -> Result<Server> {
        match self {
            Peer::Hub => Server::hub(&setup.rig, &folder.path().join("data")),
            // A subscriber that falls behind by more messages than are kept would lose some.
            Peer::Nchan(nginx) => Server::nginx(
                nginx,
                folder.path(),
                "location = /pub { nchan_publisher; nchan_channel_id bench; nchan_message_buffer_length 10000; nchan_message_timeout 5m; }
    location = /sub { nchan_subscriber eventsource; nchan_channel_id bench; nchan_subscriber_first_message newest; }",
            ),
        }
    }

    /// Where to subscribe and where to publish.
    fn paths(self) -> (&'static str, &'static str) {
        match self {
            Peer::Hub => ("/v1/streams/main/events", "/v1/streams/main/events"),
            Peer::Nchan(_) => ("/sub", "/pub"),
        }
    }

    fn message(self, since: u64, number: u64) -> Vec<u8> {
        let start = match self {
            Peer::Hub => r#"{"type":"bench.tick","m":""#,
            Peer::Nchan(_) => r#"{"m":""#,
        };
        let mut message = format!("{start}{}\",\"p\":\"", marker(since, number)).into_bytes();
        message.resize(MESSAGE - 2, b'x');
        message.extend_from_slice(b"\"}");
        message
    }
}

/// What a round came to.
struct Round {
    published: f64,
    delivered: f64,
    missing: u64,
    latency: Histogram,
    cpu_per_million: f64,
    kib_per_subscriber: f64,
    /// How busy all other processes were, in shares of one processor.
    others: f64,
}

/// One round against a server of its own.
fn round(setup: &Setup, peer: Peer, subscribers: usize, time: Duration, rate: Option<f64>) -> Result<Round> {
    let folder = crate::log::folder(setup)?;
    let server = peer.start(setup, &folder)?;
    let (sub, publish) = peer.paths();
    // The first request makes a server set up what all later ones share.
    Subscribers::open(server.address, sub, 1)?.close()?;
    std::thread::sleep(SETTLE / 2);
    let pids = server.pids();
    let empty = machine::resident_kib(&pids);
    let all = Subscribers::open(server.address, sub, subscribers)?;
    std::thread::sleep(SETTLE);
    let idle = machine::resident_kib(&pids);

    let (cpu, own, busy) = (machine::cpu(&pids), machine::cpu(&[std::process::id()]), machine::busy());
    let begun = nanos();
    let mut number = 0;
    let mut body = |out: &mut Vec<u8>, since: u64| {
        number += 1;
        post(out, publish, "application/json", &peer.message(since, number));
    };
    let answers = load(server.address, Load { connections: PUBLISHERS, time, rate }, &mut body)?;
    let expected = answers.count * subscribers as u64;
    all.drain(expected);
    let wall = Duration::from_nanos(nanos() - begun).as_secs_f64();
    let cpu = machine::cpu(&pids).saturating_sub(cpu);
    let own = machine::cpu(&[std::process::id()]).saturating_sub(own);
    let others = machine::busy().saturating_sub(busy).saturating_sub(cpu + own);
    let span = Duration::from_nanos(all.last().saturating_sub(begun)).as_secs_f64();
    let delivered = all.delivered();
    let seen = all.close()?;
    server.stop()?;
    let (missing, surplus) = seen.wrong(answers.count);
    ensure!(surplus == 0, "{} delivered {surplus} messages more than were published", peer.name());
    Ok(Round {
        published: answers.per_second(),
        delivered: delivered as f64 / span,
        missing,
        latency: seen.latency,
        cpu_per_million: cpu.as_secs_f64() * 1e6 / delivered.max(1) as f64,
        kib_per_subscriber: idle.saturating_sub(empty) as f64 / subscribers as f64,
        others: others.as_secs_f64() / wall,
    })
}

/// Rounds of the hub and of its peer in turns.
fn rounds(
    setup: &Setup,
    nginx: Option<&Nginx>,
    count: usize,
    subscribers: usize,
    time: Duration,
    rate: Option<f64>,
) -> Result<(Vec<Round>, Vec<Round>)> {
    let (mut hub, mut nchan) = (Vec::new(), Vec::new());
    for _ in 0..count {
        if let Some(nginx) = nginx {
            nchan.push(round(setup, Peer::Nchan(nginx), subscribers, time, rate)?);
        }
        hub.push(round(setup, Peer::Hub, subscribers, time, rate)?);
    }
    Ok((hub, nchan))
}

const TITLES: &[&str] = &[
    "who",
    "subscribers",
    "published/s",
    "deliveries/s",
    "missing",
    "p50 ms",
    "p99 ms",
    "CPU s/million",
    "KiB/idle subscriber",
    "others busy",
];

fn row(name: &str, subscribers: usize, rounds: &[Round]) -> Vec<Cell> {
    let middle = |of: fn(&Round) -> f64| Cell::from(median(rounds.iter().map(of)));
    vec![
        name.into(),
        subscribers.into(),
        middle(|r| r.published),
        middle(|r| r.delivered),
        rounds.iter().map(|r| r.missing).sum::<u64>().into(),
        middle(|r| r.latency.ms(0.5)),
        middle(|r| r.latency.ms(0.99)),
        middle(|r| r.cpu_per_million),
        middle(|r| r.kib_per_subscriber),
        middle(|r| r.others),
    ]
}

/// As much as goes: who publishes sends the next message when the last one is acknowledged.
pub fn saturated(setup: &Setup, nginx: Option<&Nginx>, report: &mut Report) -> Result<()> {
    let (count, time) = if setup.quick { (1, Duration::from_secs(2)) } else { (3, Duration::from_secs(6)) };
    let sizes: &[(usize, f64)] =
        if setup.quick { &[(100, 3.0), (1000, 5.0)] } else { &[(100, 3.0), (1000, 5.0), (5000, 5.0)] };
    let (mut rows, mut bars) = (Vec::new(), Vec::new());
    for &(subscribers, bar) in sizes {
        let (hub, nchan) = rounds(setup, nginx, count, subscribers, time, None)?;
        rows.push(row("hub", subscribers, &hub));
        let missing: u64 = hub.iter().map(|r| r.missing).sum();
        bars.push((
            format!("events that did not reach one of {subscribers} subscribers"),
            Bar::AtMost(0.0),
            missing as f64,
        ));
        let memory = median(hub.iter().map(|r| r.kib_per_subscriber));
        if subscribers >= 1000 {
            bars.push((format!("KiB per idle subscriber, of {subscribers}"), Bar::AtMost(16.0), memory));
        }
        if !nchan.is_empty() {
            rows.push(row("nchan", subscribers, &nchan));
            let ratio = median(hub.iter().zip(&nchan).map(|(h, n)| h.delivered / n.delivered));
            bars.push((
                format!("deliveries/s to {subscribers} subscribers beside nchan"),
                Bar::AtLeast(bar),
                ratio,
            ));
        }
    }
    report.table("fan-out, saturated: 300-byte messages, 4 publishing connections", TITLES, &rows);
    bars.iter().for_each(|(what, bar, found)| report.bar(what, *bar, *found));
    Ok(())
}

/// A steady pace: how long a message takes from when it was due to be published until a subscriber has read it.
pub fn paced(setup: &Setup, nginx: Option<&Nginx>, report: &mut Report) -> Result<()> {
    let (count, time) = if setup.quick { (1, Duration::from_secs(3)) } else { (5, Duration::from_secs(6)) };
    let subscribers = 1000;
    let (hub, nchan) = rounds(setup, nginx, count, subscribers, time, Some(100.0))?;
    let mut rows = vec![row("hub", subscribers, &hub)];
    if !nchan.is_empty() {
        rows.push(row("nchan", subscribers, &nchan));
    }
    report.table("latency at 100 messages/s", TITLES, &rows);
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        if !nchan.is_empty() {
            let ratio =
                median(hub.iter().zip(&nchan).map(|(h, n)| h.latency.ms(share) / n.latency.ms(share)));
            report.bar(&format!("{name} from append to receipt beside nchan's"), Bar::AtMost(1.0), ratio);
        }
    }
    Ok(())
}
