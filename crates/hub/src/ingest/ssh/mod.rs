//! Configuration that is collected from devices over SSH: on a schedule, and when somebody asks for it.
//!
//! A device is asked by one at a time, and so many devices at once as `[collect]` says. What it prints goes the way of every document;
//! where it fails it is asked less and less often, and its stream tells when that began and ended, once each.

pub(crate) mod host_keys;
mod leash;
mod output;
mod session;
pub mod settings;
mod target;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use axum::http::StatusCode;
use rig_event::event::{CollectFailed, CollectRecovered};
use rig_event::{Draft, Epoch, Event, Head, Seq};
use tokio::sync::{Mutex, Notify, Semaphore};
use tokio::task::JoinSet;

use self::host_keys::HostKeys;
use self::settings::Device;
use crate::capture::{self, Request};
use crate::data::below;
use crate::problem::Problem;
use crate::stream::Stream;
use crate::writer::{Appended, Refused};
use crate::{Settings, Shared};

/// Who collects, in events.
const ACTOR: &str = "ssh";

/// How many events of a service are looked through, from the newest back, for what became of it before a restart.
const LOOK_BACK: usize = 1_000;

/// All devices.
pub(crate) struct Devices {
    list: Vec<Arc<Watched>>,
    /// How many may be spoken to at the same time.
    slots: Semaphore,
    pub(crate) host_keys: HostKeys,
}

/// A device and what became of it.
struct Watched {
    device: Device,
    /// Held while it is spoken to, and only then: the `collect.failed` that is not over, if there is one, in this life of the stream.
    /// Read from the log before the first attempt.
    turn: Mutex<Option<(Epoch, Option<Seq>)>>,
    /// How many attempts failed since the last that did not.
    failures: AtomicU32,
    /// Tells the schedule that somebody else has collected.
    collected: Notify,
}

impl Devices {
    pub(crate) fn new(settings: &Settings) -> Devices {
        let watched = |device: &Device| {
            Arc::new(Watched {
                device: device.clone(),
                turn: Mutex::default(),
                failures: AtomicU32::new(0),
                collected: Notify::new(),
            })
        };
        Devices {
            list: settings.device.iter().map(watched).collect(),
            slots: Semaphore::new(settings.collect.concurrency),
            host_keys: HostKeys::default(),
        }
    }
}

/// Begins to collect from all devices.
pub(super) fn start(hub: &Shared, tasks: &mut JoinSet<()>) {
    for watched in &hub.devices.list {
        tasks.spawn(watch(hub.clone(), watched.clone()));
    }
}

/// Collects from a device on its schedule until the hub stops.
async fn watch(hub: Shared, watched: Arc<Watched>) {
    let device = &watched.device;
    // A hub that starts does not ask all devices at once.
    let mut pause = below(jitter(device));
    loop {
        let slot = async {
            tokio::time::sleep(pause).await;
            hub.devices.slots.acquire().await.ok()
        };
        let slot = tokio::select! {
            slot = slot => slot,
            () = watched.collected.notified() => None,
            () = hub.stopped() => return,
        };
        // Who asks by hand in this moment collects for the schedule too.
        if let (Some(_slot), Ok(mut failed)) = (slot, watched.turn.try_lock()) {
            // What went wrong has been told.
            let _ = collect(&hub, &watched, &mut failed).await;
        }
        pause = next_pause(device, watched.failures.load(Relaxed), below);
    }
}

/// Collects from the device of a service now.
pub(crate) async fn collect_now(
    hub: &Shared,
    stream: &str,
    service: &str,
) -> Result<(Arc<Stream>, Appended), Problem> {
    let is_asked = |watched: &&Arc<Watched>| {
        watched.device.stream.as_str() == stream && watched.device.service.as_str() == service
    };
    let watched = hub.devices.list.iter().find(is_asked).ok_or_else(|| {
        let detail = format!(
            "no device is service {service} of stream {stream}; hub.toml names them under [[device]]"
        );
        Problem::not_found("no-device", detail)
    })?;
    let mut failed = watched.turn.try_lock().map_err(|_| {
        Problem::conflict("collect-in-progress", "the device is being spoken to; its events come in a moment")
    })?;
    let _slot = hub.devices.slots.try_acquire().map_err(|_| {
        let detail = "as many devices as [collect] allows are being spoken to; ask again in a moment";
        Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-collects", detail)
    })?;
    let collected = collect(hub, watched, &mut failed).await;
    drop(failed);
    watched.collected.notify_one();
    collected
}

/// One attempt, and what follows from it.
async fn collect(
    hub: &Shared,
    watched: &Watched,
    told: &mut Option<(Epoch, Option<Seq>)>,
) -> Result<(Arc<Stream>, Appended), Problem> {
    let device = &watched.device;
    let (stream, _) = match hub.get(&device.stream) {
        Some(stream) => (stream, false),
        None => hub.make(device.stream.as_str()).await?,
    };
    let failed = match told {
        Some((epoch, failed)) if *epoch == stream.epoch => *failed,
        _ => last_failure(&stream, device).await?,
    };
    *told = Some((stream.epoch.clone(), failed));
    // Only this is broken off: what is about to be written is written, and told of.
    let fetched = tokio::select! {
        fetched = session::fetch(hub, device) => fetched,
        () = hub.stopped() => return Err(Problem::unavailable("closed", "the hub is stopping")),
    };
    let capture = async {
        let document = fetched?;
        let request = Request {
            service: device.service.clone(),
            format: Some(device.format().to_string()),
            name: None,
            actor: Some(ACTOR.to_owned()),
            id: None,
            meta: BTreeMap::from([("host".to_owned(), device.address.to_string())]),
            quiet: false,
        };
        capture::ingest(hub, &stream, request, None, document).await
    };
    let collected = capture.await;
    stream.meters.collected(collected.is_ok());
    let now_failed = match (&collected, failed) {
        (Ok(_), None) => Ok(None),
        (Ok(_), Some(cause)) => {
            let failures = u64::from(watched.failures.load(Relaxed).max(1));
            tracing::info!(device = %device.address, failures, "a device can be collected from again");
            let event = CollectRecovered { address: device.address.to_string(), failures };
            tell(&stream, device, Some(cause), Event::CollectRecovered(event)).await.map(|_| None)
        }
        (Err(problem), failed) => {
            tracing::warn!(device = %device.address, code = problem.code(), why = problem.detail(), "a device could not be collected from");
            match failed {
                Some(seq) => Ok(Some(seq)),
                None => {
                    let event = CollectFailed {
                        address: device.address.to_string(),
                        code: problem.code().to_owned(),
                        reason: hub.redactor.redact_text(problem.detail()).0,
                    };
                    tell(&stream, device, None, Event::CollectFailed(event)).await.map(Some)
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

async fn tell(stream: &Stream, device: &Device, cause: Option<Seq>, event: Event) -> Result<Seq, Problem> {
    let draft =
        Draft { cause, actor: Some(ACTOR.to_owned()), ..Draft::new(Some(device.service.clone()), event) };
    Ok(stream.tell(draft).await?.first_seq)
}

/// The `collect.failed` of a device that was not over when the hub stopped.
async fn last_failure(stream: &Stream, device: &Device) -> Result<Option<Seq>, Problem> {
    // A stream without an index began with this hub.
    let Some(index) = &stream.index else { return Ok(None) };
    if !stream.indexed.caught_up().await {
        return Err(Refused::Behind(stream.indexed.lag(stream.head())).into());
    }
    let range = stream.first_seq()..=stream.head();
    let seqs = index.seqs_of(device.service.as_str(), range, LOOK_BACK, true);
    let mut captured = 0;
    for seq in seqs.map_err(|e| Problem::internal("storage", e.to_string()))? {
        let lines = stream.read(seq, seq, 0).await?;
        let head = lines.get(seq).and_then(|line| Head::parse(line).ok());
        let Some(head) = head.filter(|head| head.actor.as_deref() == Some(ACTOR)) else { continue };
        match &*head.type_name {
            "collect.failed" => return Ok(Some(seq)),
            "collect.recovered" => return Ok(None),
            // After the first the hub may have ended before it told of it.
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

/// How long a device is left alone: its interval, doubled with every failure after the first up to `max_backoff`, and something by
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
        let text = "[[device]]\nservice = \"r\"\naddress = \"r\"\nuser = \"u\"\npassword_env = \"P\"\ncommand = \"c\"\ninterval = \"10m\"\nmax_backoff = \"1h\"";
        let device = Settings::parse(text).unwrap().device.remove(0);
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
