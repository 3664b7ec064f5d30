//! The announcer of a stream: it follows the log, prepares frames of what is new, and wakes the subscribers.
//!
//! Waking a subscriber and writing to it costs the same for one event as for twenty. So it goes in rounds: what becomes
//! durable during a round and the pause after it goes out in the next one, in one piece to each. The pause grows with the
//! number of subscribers and with how much there is to tell, which leaves the processors time for those who append. Single
//! events at a steady pace are told at once.
//!
//! A subscriber waits for nothing but the announcer, which is what keeps it cheap: heartbeats and the end come this way too.

use std::sync::Arc;
use std::time::Duration;

use rig_event::Seq;
use rig_recorder::EventLog;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

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

/// What subscribers are told. Nothing more comes once the sender is gone: the stream was removed, or the hub stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The last event to send.
    pub(crate) seq: Seq,
    /// Heartbeats so far.
    pub(crate) beats: u64,
}

/// A stream's announcer.
pub(crate) struct Announcer {
    pub(crate) log: Arc<dyn EventLog>,
    /// The last durable event.
    pub(crate) head: watch::Receiver<Seq>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) news: watch::Sender<News>,
    /// How often a subscriber hears from the hub when there is nothing else to say.
    pub(crate) heartbeat: Duration,
    pub(crate) stopping: watch::Receiver<bool>,
}

impl Announcer {
    /// Runs until the writer ends, by when everything durable was told, or until the hub stops.
    pub(crate) async fn run(mut self) {
        let mut next = self.news.borrow().seq + 1;
        let mut beat = tokio::time::interval(self.heartbeat);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        beat.reset();
        loop {
            tokio::select! {
                changed = self.head.changed() => if changed.is_err() { return },
                _ = beat.tick() => {
                    self.news.send_modify(|news| news.beats += 1);
                    continue;
                }
                _ = self.stopping.wait_for(|stopping| *stopping) => return,
            }
            let last = *self.head.borrow_and_update();
            let events = (last + 1).saturating_sub(next).min(MOST_EVENTS) as u32;
            // The stream itself holds one receiver.
            let subscribers = self.news.receiver_count().saturating_sub(1) as u32;
            self.prepare(next, last, subscribers).await;
            next = last + 1;
            self.news.send_modify(|news| news.seq = last);
            let pause = (PAUSE * subscribers * events).min(LONGEST_PAUSE);
            if pause >= SHORTEST_PAUSE {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// Puts the frames of these events into the tail, if there is anybody to take them there.
    async fn prepare(&self, mut next: Seq, last: Seq, subscribers: u32) {
        if subscribers == 0 {
            return self.tail.clear();
        }
        while next <= last {
            match self.log.read(next, last, PIECE).await {
                Ok(lines) if !lines.is_empty() => {
                    next = lines.last_seq() + 1;
                    self.tail.push(Frames::of(self.log.epoch(), &lines));
                }
                // Who subscribes reads it from the log, and is told what is wrong.
                _ => return self.tail.clear(),
            }
        }
    }
}
