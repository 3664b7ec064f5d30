//! The task that keeps a stream's derived index up to date: a subscriber like any other, at its own pace.

use std::borrow::Cow;
use std::sync::Weak;
use std::time::Duration;

use rig_event::event::Part;
use rig_event::{Head, Seq};
use rig_recorder::index::Entry;
use rig_recorder::{EventLog, StreamIndex};

use super::cut::put_checkpoint;
use super::stream::Stream;
use crate::options::READ_BYTES;

/// The time that news may gather before they are indexed.
const PAUSE: Duration = Duration::from_millis(250);

/// Wait after a failure (a full disk, say) before the next attempt.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Events from one checkpoint of the state to the next.
const CHECKPOINT_EVENTS: Seq = 5_000;

/// Indexes what the log has and the index does not know yet.
pub(crate) async fn catch_up(log: &dyn EventLog, index: &StreamIndex) -> Result<(), String> {
    // After the last event of an append comes the first of another.
    let mut append_from = (index.upto().map_err(|e| e.to_string())? + 1).max(log.first_seq());
    let mut read_bytes = READ_BYTES;
    loop {
        let lines = log.read(append_from, log.head(), read_bytes).await.map_err(|e| e.to_string())?;
        if lines.is_empty() {
            return Ok(());
        }
        let mut heads = Vec::with_capacity(lines.len());
        for (seq, line) in lines.iter() {
            heads.push(Head::parse(line).map_err(|e| format!("stream {}, seq {seq}: {e}", log.stream()))?);
        }
        let names = heads.iter().zip(lines.iter()).map(|(head, (_, line))| named_blob(head, line));
        let blobs: Vec<Option<Cow<'_, str>>> = names.collect();
        let mut entries = Vec::new();
        for (head, blob) in heads.iter().zip(&blobs) {
            let last = head.seq + Seq::from(head.more);
            entries.push(Entry {
                seq: head.seq,
                service: head.service.as_deref(),
                id: head.id.as_ref().map(|id: &Cow<'_, str>| (id.as_ref(), append_from, last)),
                blob: blob.as_deref().map(|blob| (blob, head.ts)),
            });
            if head.more == 0 {
                append_from = head.seq + 1;
            }
        }
        // An append must not be cut in two: an index that was closed in between would not know where it begins.
        let whole = (append_from - lines.first_seq) as usize;
        if whole == 0 {
            read_bytes *= 2;
            continue;
        }
        read_bytes = READ_BYTES;
        index.add(&entries[..whole], append_from - 1).map_err(|e| e.to_string())?;
    }
}

/// The original that a snapshot names; one in parts names it with the last.
fn named_blob<'a>(head: &Head<'_>, line: &'a [u8]) -> Option<Cow<'a, str>> {
    #[derive(serde::Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        blob: Option<Cow<'a, str>>,
        part: Option<Part>,
    }
    if head.type_name != "snapshot.captured" {
        return None;
    }
    let Named { blob, part } = serde_json::from_slice(line).ok()?;
    blob.filter(|_| part.is_none_or(|(i, of)| i == of))
}

/// Follows a stream until it is aborted.
///
/// It holds the stream weakly, since the stream holds this task.
pub(crate) async fn run(stream: Weak<Stream>, index: StreamIndex) {
    let Some(mut head) = stream.upgrade().map(|s| s.head.clone()) else { return };
    let mut checkpoint = *head.borrow();
    loop {
        if head.changed().await.is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
        let Some(stream) = stream.upgrade() else { return };
        if let Err(why) = catch_up(stream.log.as_ref(), &index).await {
            tracing::error!(stream = %stream.name, why, "the index does not follow; look-ups by key are behind");
            drop(stream);
            tokio::time::sleep(AFTER_FAILURE).await;
            continue;
        }
        if *head.borrow_and_update() >= checkpoint + CHECKPOINT_EVENTS
            && let Ok(cut) = stream.inspect().await
        {
            checkpoint = cut.state.seq;
            if let Err(why) = put_checkpoint(&index, &stream.name, &cut) {
                tracing::warn!(stream = %stream.name, why, "a checkpoint could not be kept");
            }
        }
    }
}
