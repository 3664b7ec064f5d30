//! `rig-bench soak`: a hub under a fleet's load for ten minutes: 500 services, 50 captures a second, 200 subscribers, pruning on.
//!
//! What must hold: every subscriber got every event in order, memory does not grow, nobody falls behind, and the state of the
//! hub is the state of the recording that was made beside it.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rig_cli::client::Client;
use rig_cli::follow::{Follow, News, Wanted};
use rig_event::{Head, Seq, ServiceName};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::task::JoinSet;

use crate::Setup;
use crate::machine;
use crate::report::{Bar, Cell, Report, median};
use crate::server::Server;

const SERVICES: u64 = 500;
const CAPTURES_A_SECOND: u64 = 50;
const SUBSCRIBERS: usize = 200;

/// How often the figures are read.
const SAMPLE: Duration = Duration::from_secs(1);

/// Small segments, so that there is something to prune many times in ten minutes.
const SETTINGS: &str = "segment_bytes = 1048576\n";

/// Longest wait for subscribers to have what was captured last.
const PATIENCE: Duration = Duration::from_secs(60);

/// The figures at one moment.
struct Sample {
    resident_kib: u64,
    /// Events that the subscriber furthest behind has not got yet.
    lag: u64,
}

/// Runs it: ten minutes, or 100 seconds with `--quick`.
pub fn run(setup: &Setup) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(soak(setup))
}

async fn soak(setup: &Setup) -> Result<()> {
    let mut report = Report::new("soak", setup.quick);
    let time = Duration::from_secs(if setup.quick { 100 } else { 600 });
    let folder = tempfile::tempdir().context("cannot make a folder for the data")?;
    let (settings, policy) = (folder.path().join("hub.toml"), folder.path().join("rig.toml"));
    std::fs::write(&settings, SETTINGS)?;
    let kept = if setup.quick { 2_000 } else { 20_000 };
    std::fs::write(&policy, format!("[retention]\nmax_events = {kept}\n"))?;
    let more = [("--config", settings.as_path()), ("--policy", policy.as_path())];
    let hub = Server::hub_with(&setup.rig, &folder.path().join("data"), &more)?;
    let url = format!("http://{}/main", hub.address);
    let client = Client::new(&url, None)?;

    let recording = folder.path().join("soak.jsonl.zst");
    let mut recorder = Command::new(&setup.rig)
        .args(["record", &url, "--from", "1", "-o"])
        .arg(&recording)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("the recording did not begin")?;

    let cursors: Vec<Arc<AtomicU64>> = (0..SUBSCRIBERS).map(|_| Arc::default()).collect();
    let mut subscribers = JoinSet::new();
    for cursor in &cursors {
        let wanted = Wanted { from: Some(1), ..Wanted::default() };
        let follow = Follow::connect(client.clone(), wanted).await?;
        subscribers.spawn(subscribe(follow, cursor.clone()));
    }

    let ended = Arc::new(AtomicBool::new(false));
    let (captures, head) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let load = tokio::spawn(capture(client.clone(), captures.clone(), head.clone(), ended.clone()));
    let begun = Instant::now();
    let pids = hub.pids();
    let mut samples = Vec::new();
    let mut tick = tokio::time::interval(SAMPLE);
    while begun.elapsed() < time {
        tick.tick().await;
        ensure!(!load.is_finished(), "the captures ended early: {:?}", load.await);
        if let Some(subscriber) = subscribers.try_join_next() {
            bail!("a subscriber ended early: {:?}", subscriber);
        }
        let behind = cursors.iter().map(|cursor| cursor.load(Relaxed)).min().unwrap_or(0);
        let lag = head.load(Relaxed).saturating_sub(behind);
        samples.push(Sample { resident_kib: machine::resident_kib(&pids), lag });
    }
    ended.store(true, Relaxed);
    load.await.context("the captures")??;

    let head = client.head().await?;
    let waited = Instant::now();
    while cursors.iter().any(|cursor| cursor.load(Relaxed) < head) {
        ensure!(waited.elapsed() < PATIENCE, "a subscriber never got the last event");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    subscribers.shutdown().await;
    let first_seq = client.first_seq().await?;
    stop(&recorder)?;
    let recorded = recorder.wait().context("the recording")?;
    // A seal may have come after what was captured last: both are looked at where the recording ends.
    let of_file = state(&setup.rig, &[path(&recording)?])?;
    let seq = of_file["seq"].as_u64().context("a state has a seq")?;
    let of_hub = state(&setup.rig, &[&url, "--at", &seq.to_string()])?;
    let verified =
        Command::new(&setup.rig).args(["verify", path(&recording)?]).stdout(Stdio::null()).status()?;

    let stretch = samples.len() / if setup.quick { 4 } else { 10 };
    let middle = |part: &[Sample], what: fn(&Sample) -> u64| median(part.iter().map(|s| what(s) as f64));
    let rows: Vec<Vec<Cell>> = samples
        .chunks_exact(stretch.max(1))
        .enumerate()
        .map(|(i, part)| {
            let most = part.iter().map(|sample| sample.lag).max().unwrap_or(0);
            vec![
                (i + 1).into(),
                (middle(part, |s| s.resident_kib) / 1024.0).into(),
                middle(part, |s| s.lag).into(),
                most.into(),
            ]
        })
        .collect();
    report.table("by stretch of time", &["stretch", "resident, MiB", "lag p50", "lag max"], &rows);
    let captured = captures.load(Relaxed);
    let figures = [
        ("captures", captured),
        ("events", head),
        ("pruned events", first_seq - 1),
        ("deliveries", head * SUBSCRIBERS as u64),
    ];
    let rows: Vec<Vec<Cell>> = figures.iter().map(|(what, n)| vec![(*what).into(), (*n).into()]).collect();
    report.table("in all", &["what", "count"], &rows);

    // The first half warms up: caches fill, and the first prunes fold the state.
    let parts: Vec<&[Sample]> = samples.chunks_exact(stretch.max(1)).collect();
    let (early, late) = (parts.get(parts.len() / 2).context("too few samples")?, parts[parts.len() - 1]);
    let memory = middle(late, |s| s.resident_kib) / middle(early, |s| s.resident_kib).max(1.0);
    let lag = middle(late, |s| s.lag) - middle(early, |s| s.lag);
    let wanted = (time.as_secs() * CAPTURES_A_SECOND) as f64;
    report.bar("captures made, of those wanted", Bar::AtLeast(0.98), captured as f64 / wanted);
    report.bar("memory at the end beside that in the middle", Bar::AtMost(1.15), memory);
    report.bar("growth of the lag, events", Bar::AtMost(CAPTURES_A_SECOND as f64), lag);
    let hashes = of_hub["hash"] == of_file["hash"] && of_hub["hash"].is_string();
    let ok = |holds: bool| if holds { 1.0 } else { 0.0 };
    report.bar("the state of the hub is that of the recording", Bar::AtLeast(1.0), ok(hashes));
    report.bar(
        "the recording ended well and verifies",
        Bar::AtLeast(1.0),
        ok(recorded.success() && verified.code() != Some(2)),
    );
    report.bar("events pruned meanwhile", Bar::AtLeast(1.0), (first_seq - 1) as f64);
    let missed = report.missed();
    report.write(&setup.out)?;
    hub.stop()?;
    ensure!(missed == 0, "{missed} of the bars were missed");
    Ok(())
}

/// Follows until it is aborted. Whatever is not the next event is an error.
async fn subscribe(mut follow: Follow, cursor: Arc<AtomicU64>) -> Result<()> {
    while let Some(news) = follow.next().await? {
        match news {
            News::Event(line) => {
                let seq = Head::parse(line.as_bytes())?.seq;
                let expected = cursor.load(Relaxed) + 1;
                ensure!(seq == expected, "event {seq} came where {expected} was due");
                cursor.store(seq, Relaxed);
            }
            News::CaughtUp { .. } | News::Heartbeat { .. } => {}
            other => bail!("{other}"),
        }
    }
    bail!("the hub ended the stream")
}

/// Captures at a steady pace: each time one field of one service has another value.
async fn capture(
    client: Client,
    captures: Arc<AtomicU64>,
    head: Arc<AtomicU64>,
    ended: Arc<AtomicBool>,
) -> Result<()> {
    let mut pace = tokio::time::interval(Duration::from_micros(1_000_000 / CAPTURES_A_SECOND));
    let mut running: JoinSet<Result<Seq>> = JoinSet::new();
    for number in 0.. {
        if ended.load(Relaxed) {
            break;
        }
        pace.tick().await;
        // Two that are under way for one service could overtake each other; that many are never under way.
        while running.len() >= 64 {
            let last = running.join_next().await.context("a capture")???;
            head.fetch_max(last, Relaxed);
        }
        while let Some(done) = running.try_join_next() {
            head.fetch_max(done??, Relaxed);
        }
        let client = client.clone();
        running.spawn(async move {
            let service: ServiceName = format!("svc-{:03}", number % SERVICES).parse()?;
            let query = [("format".to_owned(), "json".to_owned())];
            let appended = client.capture(&service, &query, document(number)).await?;
            Ok(appended.last_seq)
        });
        captures.fetch_add(1, Relaxed);
    }
    while let Some(done) = running.join_next().await {
        head.fetch_max(done??, Relaxed);
    }
    Ok(())
}

/// A service's document: some forty fields, one of which is another one each time, and a secret.
fn document(number: u64) -> Vec<u8> {
    let mut text = format!(
        "{{\"revision\":{number},\"database\":{{\"host\":\"db\",\"password\":\"hunter2-{}\"}}",
        number % 7
    );
    for field in 0..36 {
        text.push_str(&format!(",\"setting_{field}\":{{\"enabled\":true,\"limit\":{}}}", field * 10));
    }
    text.push('}');
    text.into_bytes()
}

fn state(rig: &Path, args: &[&str]) -> Result<Value> {
    let out = Command::new(rig).arg("state").args(args).arg("--json").output().context("rig state")?;
    ensure!(out.status.success(), "rig state: {}", String::from_utf8_lossy(&out.stderr));
    Ok(serde_json::from_slice(&out.stdout)?)
}

fn stop(child: &std::process::Child) -> Result<()> {
    let pid = Pid::from_raw(child.id() as i32).context("the recording has no process")?;
    kill_process(pid, Signal::INT).context("cannot stop the recording")
}

fn path(path: &Path) -> Result<&str> {
    path.to_str().context("the folder for temporary files has a name that is not UTF-8")
}
