//! Configuration collected from devices over SSH: on a schedule, and on request.
//!
//! A device has one connection at a time, and `[collect]` limits how many devices have one. The output is captured like every
//! document. If a device fails, the pauses between attempts grow, and its stream records the beginning and the end of the
//! failure, once each.

mod host_keys;
mod leash;
mod output;
mod routes;
mod session;
mod settings;
mod shapes;
mod target;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use rig_event::event::{CollectFailed, CollectRecovered};
use rig_event::{Draft, Envelope, Epoch, Event, Head, Seq, StreamName};
use rig_hub::{Appended, Component, Core, Document, Exposition, Problem, Stream, below};
use rig_outbound::Allowed;
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::task::JoinSet;

use self::host_keys::HostKeys;
pub use self::routes::RULES;
pub use self::settings::{Address, Collect, Device, Kind, check};

/// The actor of events.
const ACTOR: &str = "ssh";

/// The number of events of a service that are looked through, from the newest back, for what became of it before a restart.
const LOOK_BACK: usize = 1_000;

/// All devices.
struct Devices {
    list: Vec<Arc<Watched>>,
    /// Limits the devices that are connected at the same time.
    slots: Semaphore,
    host_keys: HostKeys,
    /// Addresses that devices may have, beside the networks that are always allowed.
    allowed: Allowed,
    collected: Counters,
}

/// The number of attempts and of failed attempts, by stream.
#[derive(Default)]
struct Counters(std::sync::Mutex<BTreeMap<StreamName, (u64, u64)>>);

impl Counters {
    fn count(&self, stream: &StreamName, done: bool) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (collected, failed) = counted.entry(stream.clone()).or_default();
        *(if done { collected } else { failed }) += 1;
    }

    /// Adds them to the metrics, for all existing streams.
    fn metrics(&self, core: &Core, text: &mut Exposition) {
        let counted = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let streams = core.streams().list();
        let sample = |read: fn((u64, u64)) -> u64| -> Vec<(String, u64)> {
            let value = |stream: &Stream| read(counted.get(&stream.name).copied().unwrap_or_default());
            streams.iter().map(|stream| (format!("{{stream=\"{}\"}}", stream.name), value(stream))).collect()
        };
        let help = "Configurations collected from devices.";
        text.family("rig_collects_total", "counter", help, &sample(|counted| counted.0));
        let help = "Attempts to collect from a device that failed.";
        text.family("rig_collects_failed_total", "counter", help, &sample(|counted| counted.1));
    }
}

/// The devices, and the hub that captures their configuration.
#[derive(Clone)]
struct Collector {
    core: Core,
    devices: Arc<Devices>,
}

/// Returns the component that collects from these devices. They may have the addresses in `allowed`, beside the networks that are
/// always allowed.
pub fn component(devices: Vec<Device>, collect: &Collect, allowed: Allowed) -> Component {
    let devices = Arc::new(Devices::new(devices, collect, allowed));
    let (routed, recalled, counted) = (devices.clone(), devices.clone(), devices.clone());
    Component::new(ACTOR)
        .routes(RULES, |core| routes::router(Collector { core: core.clone(), devices: routed }))
        .recall(&["host-key"], move |event: &Envelope| recalled.host_keys.apply(&event.event))
        .task(|core| run(Collector { core, devices }))
        .metrics(move |core, text| counted.collected.metrics(core, text))
}

/// A device and the state of its collection.
struct Watched {
    device: Device,
    /// Locked during an attempt. Holds the `collect.failed` that is not over, if there is one, in this epoch of the stream. Read
    /// from the log before the first attempt.
    turn: Mutex<Option<(Epoch, Option<Seq>)>>,
    /// The number of attempts that failed since the last that did not.
    failures: AtomicU32,
    /// Notifies the schedule of a collection on request.
    collected: Notify,
}

impl Devices {
    fn new(devices: Vec<Device>, collect: &Collect, allowed: Allowed) -> Devices {
        let watched = |device: Device| {
            Arc::new(Watched {
                device,
                turn: Mutex::default(),
                failures: AtomicU32::new(0),
                collected: Notify::new(),
            })
        };
        Devices {
            list: devices.into_iter().map(watched).collect(),
            slots: Semaphore::new(collect.concurrency),
            host_keys: HostKeys::default(),
            allowed,
            collected: Counters::default(),
        }
    }
}

/// Collects from all devices until the hub stops.
async fn run(collector: Collector) {
    let mut running = JoinSet::new();
    for watched in &collector.devices.list {
        running.spawn(watch(collector.clone(), watched.clone()));
    }
    while running.join_next().await.is_some() {}
}

/// Collects from a device on its schedule until the hub stops.
async fn watch(collector: Collector, watched: Arc<Watched>) {
    let device = &watched.device;
    // After a start, not all devices are connected at once.
    let mut pause = below(jitter(device));
    loop {
        let slot = async {
            tokio::time::sleep(pause).await;
            collector.devices.slots.acquire().await.ok()
        };
        let slot = tokio::select! {
            slot = slot => slot,
            () = watched.collected.notified() => None,
            () = collector.core.stopping() => return,
        };
        // A collection on request at this moment counts for the schedule too.
        if let (Some(_slot), Ok(mut failed)) = (slot, watched.turn.try_lock()) {
            // The failure has been recorded.
            let _ = collect(&collector, &watched, &mut failed).await;
        }
        pause = next_pause(device, watched.failures.load(Relaxed), below);
    }
}

/// Collects from the device of a service now.
async fn collect_now(
    collector: &Collector,
    stream: &str,
    service: &str,
) -> Result<(Arc<Stream>, Appended), Problem> {
    let is_asked = |watched: &&Arc<Watched>| {
        watched.device.stream.as_str() == stream && watched.device.service.as_str() == service
    };
    let watched = collector.devices.list.iter().find(is_asked).ok_or_else(|| {
        let detail = format!(
            "no device is service {service} of stream {stream}; hub.toml names them under [[device]]"
        );
        Problem::not_found("no-device", detail)
    })?;
    let mut failed = watched.turn.try_lock().map_err(|_| {
        Problem::conflict("collect-in-progress", "the device is being spoken to; its events come in a moment")
    })?;
    let _slot = collector.devices.slots.try_acquire().map_err(|_| {
        let detail = "as many devices as [collect] allows are being spoken to; ask again in a moment";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-collects", detail)
    })?;
    let collected = collect(collector, watched, &mut failed).await;
    drop(failed);
    watched.collected.notify_one();
    collected
}

/// Makes one attempt, and records the result.
async fn collect(
    collector: &Collector,
    watched: &Watched,
    told: &mut Option<(Epoch, Option<Seq>)>,
) -> Result<(Arc<Stream>, Appended), Problem> {
    let device = &watched.device;
    let stream = collector.core.streams().get_or_make(&device.stream).await?;
    let failed = match told {
        Some((epoch, failed)) if *epoch == stream.epoch => *failed,
        _ => last_failure(&stream, device).await?,
    };
    *told = Some((stream.epoch.clone(), failed));
    // Only this may be interrupted: once there is output, it is captured and recorded.
    let fetched = tokio::select! {
        fetched = session::fetch(collector, device) => fetched,
        () = collector.core.stopping() => return Err(Problem::unavailable("closed", "the hub is stopping")),
    };
    let capture = async {
        let document = Document {
            format: Some(device.format().to_string()),
            actor: Some(ACTOR.to_owned()),
            meta: BTreeMap::from([("host".to_owned(), device.address.to_string())]),
            ..Document::new(device.service.clone(), fetched?)
        };
        collector.core.capture(&stream, document).await
    };
    let collected = capture.await;
    collector.devices.collected.count(&stream.name, collected.is_ok());
    let now_failed = match (&collected, failed) {
        (Ok(_), None) => Ok(None),
        (Ok(_), Some(cause)) => {
            let failures = u64::from(watched.failures.load(Relaxed).max(1));
            tracing::info!(device = %device.address, failures, "a device can be collected from again");
            let event = CollectRecovered { address: device.address.to_string(), failures };
            tell(collector, &stream, device, Some(cause), Event::CollectRecovered(event)).await.map(|_| None)
        }
        (Err(problem), failed) => {
            tracing::warn!(device = %device.address, code = problem.code(), why = problem.detail(), "a device could not be collected from");
            match failed {
                Some(seq) => Ok(Some(seq)),
                None => {
                    let event = CollectFailed {
                        address: device.address.to_string(),
                        code: problem.code().to_owned(),
                        reason: collector.core.redactor().redact_text(problem.detail()).0,
                    };
                    tell(collector, &stream, device, None, Event::CollectFailed(event)).await.map(Some)
                }
            }
        }
    };
    let failures = if collected.is_ok() { 0 } else { watched.failures.load(Relaxed).saturating_add(1) };
    watched.failures.store(failures, Relaxed);
    match now_failed {
        Ok(failed) => *told = Some((stream.epoch.clone(), failed)),
        Err(problem) => {
            tracing::error!(stream = %stream.name, code = problem.code(), "what became of a device could not be told")
        }
    }
    collected.map(|appended| (stream, appended))
}

async fn tell(
    collector: &Collector,
    stream: &Stream,
    device: &Device,
    cause: Option<Seq>,
    event: Event,
) -> Result<Seq, Problem> {
    let draft =
        Draft { cause, actor: Some(ACTOR.to_owned()), ..Draft::new(Some(device.service.clone()), event) };
    Ok(collector.core.append_own(stream, draft).await?.first_seq)
}

/// Returns the `collect.failed` of a device that was not over when the hub stopped.
async fn last_failure(stream: &Stream, device: &Device) -> Result<Option<Seq>, Problem> {
    // A stream without an index was created by this process.
    let range = stream.first_seq()..=stream.head();
    let Some(seqs) = stream.seqs_of(device.service.as_str(), range, LOOK_BACK, true).await? else {
        return Ok(None);
    };
    let mut captured = 0;
    for seq in seqs {
        let lines = stream.read(seq, seq, 0).await?;
        let head = lines.get(seq).and_then(|line| Head::parse(line).ok());
        let Some(head) = head.filter(|head| head.actor.as_deref() == Some(ACTOR)) else { continue };
        match &*head.type_name {
            "collect.failed" => return Ok(Some(seq)),
            "collect.recovered" => return Ok(None),
            // If there is only one since the failure, the hub may have ended before it recorded the recovery.
            "snapshot.captured" | "snapshot.unchanged" if captured > 0 => return Ok(None),
            "snapshot.captured" | "snapshot.unchanged" => captured += 1,
            _ => {}
        }
    }
    Ok(None)
}

fn jitter(device: &Device) -> Duration {
    device.jitter.unwrap_or(device.interval / 10)
}

/// Returns how long a device is left alone: its interval, doubled with every failure after the first up to `max_backoff`, and something by
/// chance, which `below` picks below a bound.
fn next_pause(device: &Device, failures: u32, below: impl Fn(Duration) -> Duration) -> Duration {
    let most = device.max_backoff.max(device.interval);
    let doubled = 2u32.saturating_pow(failures.saturating_sub(1));
    let pause = device.interval.saturating_mul(doubled).min(most);
    let spread = if failures == 0 { jitter(device) } else { jitter(device).max(pause / 10) };
    pause + below(spread)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_fails_is_asked_less_and_less_often() {
        let text = "service = \"r\"\naddress = \"r\"\nuser = \"u\"\npassword_env = \"P\"\ncommand = \"c\"\ninterval = \"10m\"\nmax_backoff = \"1h\"";
        let device = toml::from_str::<Device>(text).unwrap();
        let minutes =
            |failures, spread: fn(Duration) -> Duration| next_pause(&device, failures, spread).as_secs() / 60;
        let least = |_| Duration::ZERO;
        assert_eq!(
            [0, 1, 2, 3, 4, 5, 99, u32::MAX].map(|n| minutes(n, least)),
            [10, 10, 20, 40, 60, 60, 60, 60]
        );
        assert_eq!([0, 2, 99].map(|n| minutes(n, |most| most)), [11, 22, 66]);
        assert!((0..1000).all(|_| below(Duration::from_secs(60)) < Duration::from_secs(60)));
    }
}
