//! Deletes originals that the policy does not keep any longer, and those that no event names.
//!
//! Which are named is derived from the log: by its index, and by the states at its two ends, which know the current original of
//! every service though its event may be pruned. An original that a capture is about to name is never deleted.

use std::collections::HashMap;
use std::sync::{Arc, Weak};
use std::time::{Duration, SystemTime};

use rig_config::policy::Retention;
use rig_event::event::BlobCollected;
use rig_event::{Draft, Event, Timestamp};
use rig_recorder::StreamIndex;
use rig_recorder::blob::BlobId;
use tokio::sync::Mutex;

use crate::data::below;
use crate::options::Options;
use crate::originals::Blobs;
use crate::streams::{Stream, catch_up};

/// The first sweep comes within this time: whoever has many streams does not look through all at once.
const FIRST: Duration = Duration::from_secs(10);

/// Looks through a stream's originals now and then until it is aborted. `turn` is held meanwhile: the streams of a hub take turns.
pub(crate) async fn run(stream: Weak<Stream>, options: Arc<Options>, turn: Arc<Mutex<()>>) {
    let interval = options.sweep_interval;
    let mut pause = below(interval.min(FIRST));
    loop {
        tokio::time::sleep(pause).await;
        pause = interval.mul_f64(0.75) + below(interval / 2);
        let Some(stream) = stream.upgrade() else { return };
        let (Some(blobs), Some(index)) = (&stream.blobs, &stream.index) else { return };
        let _turn = turn.lock().await;
        match sweep(&options, &stream, blobs, index).await {
            Ok(going) if going == BlobCollected::default() => {}
            Ok(BlobCollected { expired, unnamed, bytes }) => {
                tracing::info!(stream = %stream.name, expired, unnamed, bytes, "originals deleted");
            }
            Err(why) => tracing::error!(stream = %stream.name, why, "originals could not be looked through"),
        }
    }
}

/// In this order, so that a crash in between loses nothing: the log says what goes, and then it goes.
async fn sweep(
    options: &Options,
    stream: &Stream,
    blobs: &Blobs,
    index: &StreamIndex,
) -> Result<BlobCollected, String> {
    blobs.begin_sweep();
    // Whatever was named before the sweep began is in the log by now, and in the index after this.
    catch_up(stream.log.as_ref(), index, &stream.indexed).await?;
    let named = named(options, stream, index).await?;
    let now = SystemTime::now();
    let mut going = Vec::new();
    let (mut collected, mut stay) = (BlobCollected::default(), (0, 0));
    let listed = tokio::task::block_in_place(|| {
        blobs.store.each(|stored| {
            let age = now.duration_since(stored.written).unwrap_or_default();
            match named.get(&stored.id) {
                Some(false) => collected.expired += 1,
                None if age >= options.unnamed_grace => collected.unnamed += 1,
                _ => {
                    stay = (stay.0 + 1, stay.1 + stored.bytes);
                    return;
                }
            }
            collected.bytes += stored.bytes;
            going.push((stored.id, stored.bytes));
        })
    });
    listed.map_err(|e| e.to_string())?;
    let mut gone = (0, 0);
    if !going.is_empty() {
        let draft = Draft::new(None, Event::BlobCollected(collected.clone()));
        stream.tell(draft).await.map_err(|problem| problem.detail().to_owned())?;
        (options.step)("sweep.told");
        tokio::task::block_in_place(|| {
            going.iter().try_for_each(|(id, bytes)| {
                let count = if blobs.remove_unnamed(id)? { &mut gone } else { &mut stay };
                *count = (count.0 + 1, count.1 + bytes);
                (options.step)("sweep.removed");
                Ok::<_, rig_recorder::Error>(())
            })
        })
        .map_err(|e| e.to_string())?;
    }
    stream.meters.blobs_swept(stay, gone);
    Ok(collected)
}

/// Every original that the log names, and whether it is to be kept.
async fn named(
    options: &Options,
    stream: &Stream,
    index: &StreamIndex,
) -> Result<HashMap<BlobId, bool>, String> {
    let retention = &options.policy.retention;
    let now = (options.clock)();
    let (base, head) = (stream.base(), stream.inspect().await.map_err(|e| e.to_string())?);
    let mut named = HashMap::new();
    let mut name = |id: &str, keep: bool| {
        if let Ok(id) = id.parse::<BlobId>() {
            *named.entry(id).or_default() |= keep;
        }
    };
    let mut seen: (String, u64) = Default::default();
    // How many snapshots of a service are in the log, for what stands before it.
    let mut counted: HashMap<String, u64> = HashMap::new();
    tokio::task::block_in_place(|| {
        index.each_blob(|service, _, ts, id| {
            if seen.0 != service {
                counted.insert(std::mem::take(&mut seen.0), seen.1);
                seen = (service.to_owned(), 0);
            }
            name(id, keeps(retention, seen.1, ts, now));
            seen.1 += 1;
        })
    })
    .map_err(|e| e.to_string())?;
    counted.insert(seen.0, seen.1);
    for (service, known) in &base.state.services {
        if let Some(id) = &known.blob {
            let newer = counted.get(service.as_str()).copied().unwrap_or(0);
            name(id, keeps(retention, newer, base.state.ts, now));
        }
    }
    // What is current is kept, however old it is.
    head.state.services.values().filter_map(|known| known.blob.as_deref()).for_each(|id| name(id, true));
    Ok(named)
}

/// Returns true if the policy keeps the original of a snapshot than which so many of the service are newer.
fn keeps(retention: &Retention, newer: u64, captured: Timestamp, now: Timestamp) -> bool {
    let by_number = retention.keep.is_none_or(|keep| newer < keep);
    let by_age =
        retention.max_age.is_none_or(|age| captured.as_micros() >= now.as_micros() - age.as_micros() as i64);
    by_number && by_age
}
