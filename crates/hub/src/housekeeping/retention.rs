//! The oldest events go: by number, size and age, by whole segments, after the state at the cut is kept beside the log.

use std::sync::{Arc, Weak};

use rig_config::policy::Retention;
use rig_event::event::LogPruned;
use rig_event::{Head, Seq, Timestamp};
use rig_recorder::Pruned;

use crate::options::Options;
use crate::streams::{Command, Stream};

/// Prunes a stream now and then until it is aborted.
pub(crate) async fn run(stream: Weak<Stream>, options: Arc<Options>) {
    // What the hub's own stream says of tokens and keys holds for ever.
    if stream.upgrade().is_none_or(|stream| stream.name.is_internal()) {
        return;
    }
    let retention = &options.policy.retention;
    if (retention.max_age, retention.max_events, retention.max_bytes) == (None, None, None) {
        return;
    }
    let mut tick = tokio::time::interval(options.retention_interval);
    loop {
        tick.tick().await;
        let Some(stream) = stream.upgrade() else { return };
        match prune(&stream, retention, (options.clock)()).await {
            Ok(Some(pruned)) => {
                tracing::info!(stream = %stream.name, events = pruned.events, bytes = pruned.bytes, first_seq = pruned.first_seq, "pruned");
            }
            Ok(None) => {}
            Err(why) => {
                stream.meters.prune_failed();
                tracing::error!(stream = %stream.name, why, "the log could not be pruned");
            }
        }
    }
}

/// Prunes what the rules do not keep. In this order, so that a crash in between loses nothing: the state at the cut is made
/// durable, the log says what goes, and then it goes.
async fn prune(stream: &Stream, retention: &Retention, now: Timestamp) -> Result<Option<Pruned>, String> {
    let Some((first_seq, bytes)) = due(stream, retention, now).await? else { return Ok(None) };
    let events = first_seq - stream.log.first_seq();
    let cut = stream.cut_at(first_seq - 1).await.map_err(|e| e.detail().to_owned())?;
    let pruned =
        LogPruned { first_seq, events, bytes, state: cut.state.hash(), chain: cut.chain.to_string() };
    stream.keep_cut(cut)?;
    stream.write(Command::Pruned(pruned), None, None).await.map_err(|e| e.to_string())?;
    let pruned = stream.log.prune(first_seq).await.map_err(|e| e.to_string())?;
    if let Some(index) = &stream.index {
        index.forget_before(first_seq).map_err(|e| e.to_string())?;
    }
    stream.meters.pruned(pruned.events, pruned.bytes);
    Ok(Some(pruned))
}

/// The first event to keep and the bytes that come back, if anything is to go.
async fn due(stream: &Stream, retention: &Retention, now: Timestamp) -> Result<Option<(Seq, u64)>, String> {
    let (head, mut size) = (stream.head(), stream.log.bytes());
    let mut found = None;
    let mut freed = 0;
    for unit in stream.log.prunable() {
        let by_number = retention.max_events.is_some_and(|keep| head - unit.last_seq >= keep);
        let by_size = retention.max_bytes.is_some_and(|most| size > most);
        let by_age = match retention.max_age {
            Some(age) => {
                time_of(stream, unit.last_seq).await?.as_micros() < now.as_micros() - age.as_micros() as i64
            }
            None => false,
        };
        if !(by_number || by_size || by_age) {
            break;
        }
        size -= unit.bytes;
        freed += unit.bytes;
        found = Some((unit.last_seq + 1, freed));
    }
    Ok(found)
}

async fn time_of(stream: &Stream, seq: Seq) -> Result<Timestamp, String> {
    let lines = stream.log.read(seq, seq, 0).await.map_err(|e| e.to_string())?;
    let line = lines.get(seq).ok_or_else(|| format!("event {seq} is missing"))?;
    Head::parse(line).map(|head| head.ts).map_err(|e| e.to_string())
}
