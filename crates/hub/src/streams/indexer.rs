//! The task that keeps a stream's derived index true: a subscriber like any other, at its own pace.

use std::sync::Weak;
use std::time::Duration;

use rig_event::Seq;
use rig_recorder::StreamIndex;

use super::cut::put_checkpoint;
use super::indexed::catch_up;
use super::stream::Stream;

/// The time that news may gather before they are indexed.
const PAUSE: Duration = Duration::from_millis(250);

/// Wait after a failure (a full disk, say) before the next attempt.
const AFTER_FAILURE: Duration = Duration::from_secs(30);

/// Events from one checkpoint of the state to the next.
const CHECKPOINT_EVENTS: Seq = 5_000;

/// Follows a stream until it is aborted, first from where the index ends to what there was when the stream was opened.
///
/// It holds the stream weakly, since the stream holds this task.
pub(crate) async fn run(stream: Weak<Stream>, index: StreamIndex) {
    let Some(mut head) = stream.upgrade().map(|s| s.head.clone()) else { return };
    // A start that had to fold much is not to be followed by another.
    let kept = index.checkpoint(*head.borrow()).ok().flatten();
    let mut checkpoint = kept.map_or(0, |(seq, _)| seq);
    loop {
        let Some(stream) = stream.upgrade() else { return };
        let last = *head.borrow_and_update();
        if let Err(why) = catch_up(stream.log.as_ref(), &index, &stream.indexed).await {
            let behind = stream.indexed.lag(last);
            tracing::error!(stream = %stream.name, why, behind, "the index does not follow; look-ups by key are behind");
            drop(stream);
            tokio::time::sleep(AFTER_FAILURE).await;
            continue;
        }
        if last >= checkpoint + CHECKPOINT_EVENTS
            && let Ok(cut) = stream.inspect().await
        {
            checkpoint = cut.state.seq;
            if let Err(why) = put_checkpoint(&index, &stream.name, &cut) {
                tracing::warn!(stream = %stream.name, why, "a checkpoint could not be kept");
            }
        }
        drop(stream);
        if head.changed().await.is_err() {
            return;
        }
        tokio::time::sleep(PAUSE).await;
    }
}
