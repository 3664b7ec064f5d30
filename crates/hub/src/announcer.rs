//! The announcer of a stream: it follows the log, prepares frames of what is new, and wakes the subscribers.
//!
//! Waking a subscriber and writing to it costs the same for one event as for twenty. So it goes in rounds: what becomes
//! durable during a round and the pause after it goes out in the next one, in one piece to each. The pause grows with the
//! number of subscribers and with how much there is to tell, which leaves the processors time for those who append. Single
//! events at a steady pace are told at once.

use std::sync::Arc;
use std::time::Duration;

use rig_event::Seq;
use rig_recorder::EventLog;
use tokio::sync::watch;

use crate::tail::{Frames, Tail};

/// The pause after a round, for each subscriber and each event that it was woken for.
const PAUSE: Duration = Duration::from_nanos(2_500);

/// More events than this make no longer pause: it is then about as long as it takes to write to each once.
const MOST_EVENTS: Seq = 4;

/// The longest pause, whatever the number of subscribers.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A shorter pause than the clock can measure is none.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// How many bytes of lines are prepared in one piece. A subscriber that stalls holds no more than that.
const PIECE: usize = 128 << 10;

/// Runs until the writer ends; by then everything durable was shown.
pub(crate) async fn run(
    log: Arc<dyn EventLog>,
    mut head: watch::Receiver<Seq>,
    tail: Arc<Tail>,
    shown: watch::Sender<Seq>,
) {
    let mut next = log.head() + 1;
    while head.changed().await.is_ok() {
        let last = *head.borrow_and_update();
        let events = (last + 1).saturating_sub(next).min(MOST_EVENTS) as u32;
        // The stream itself holds one receiver.
        let subscribers = shown.receiver_count().saturating_sub(1) as u32;
        if subscribers == 0 {
            tail.clear();
            next = last + 1;
        }
        while next <= last {
            match log.read(next, last, PIECE).await {
                Ok(lines) if !lines.is_empty() => {
                    next = lines.last_seq() + 1;
                    tail.push(Frames::of(log.epoch(), &lines));
                }
                // Who subscribes reads it from the log, and is told what is wrong.
                _ => {
                    tail.clear();
                    next = last + 1;
                }
            }
        }
        shown.send_replace(last);
        let pause = (PAUSE * subscribers * events).min(LONGEST_PAUSE);
        if pause >= SHORTEST_PAUSE {
            tokio::time::sleep(pause).await;
        }
    }
}
