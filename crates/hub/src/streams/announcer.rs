//! The announcer of a stream: it follows the log, prepares frames of what is new, and wakes the subscribers.
//!
//! Waking a subscriber and writing to it costs the same for one event as for twenty. So it goes in rounds: what becomes
//! durable during a round and the pause after it goes out in the next one, in one piece to each. The pause grows with how
//! long the last round took until everybody who had kept up was served, and with how much there is to tell, which leaves the
//! processors time for those who append. Single events at a steady pace are told at once.
//!
//! A subscriber waits for nothing but the announcer, which is what keeps it cheap: heartbeats and the end come this way too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use rig_event::Seq;
use rig_recorder::EventLog;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::tail::{Frames, Tail};

/// More events in a round than this make no longer pause: it is then twice as long as the last round took.
const MOST_EVENTS: Seq = 4;

/// The longest pause, whatever the last round took.
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// A shorter pause than the clock can measure is none.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// The number of bytes of lines that are prepared in one piece. A subscriber that stalls holds no more than that.
const PIECE: usize = 128 << 10;

/// News for subscribers. Nothing more comes once the sender is gone: the stream was removed, or the hub stops.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct News {
    /// The last event to send.
    pub(crate) seq: Seq,
    /// Heartbeats so far.
    pub(crate) beats: u64,
    /// Rounds so far.
    pub(crate) round: u64,
}

/// Measures how long rounds take: subscribers report, the announcer reads.
pub(crate) struct Rounds {
    start: Instant,
    /// When a subscriber that had kept up was last served, in microseconds after the start.
    served: AtomicU64,
}

impl Default for Rounds {
    fn default() -> Self {
        Rounds { start: Instant::now(), served: AtomicU64::new(0) }
    }
}

impl Rounds {
    fn now(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// A subscriber that had been served in the round before is served now.
    pub(crate) fn served(&self) {
        self.served.store(self.now(), Relaxed);
    }

    /// Returns how long the round that began at `begun` took up to the last subscriber that was served in it; where nobody was
    /// served yet, it goes on still.
    fn took(&self, begun: u64) -> Duration {
        let served = self.served.load(Relaxed);
        let end = if served < begun { self.now() } else { served };
        Duration::from_micros(end.saturating_sub(begun))
    }
}

/// A stream's announcer.
pub(crate) struct Announcer {
    pub(crate) log: Arc<dyn EventLog>,
    /// The last durable event.
    pub(crate) head: watch::Receiver<Seq>,
    pub(crate) tail: Arc<Tail>,
    pub(crate) news: watch::Sender<News>,
    pub(crate) rounds: Arc<Rounds>,
    /// The interval of heartbeats to a subscriber when there is nothing else to send.
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
        let mut begun = 0;
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
            let took = if subscribers == 0 { Duration::ZERO } else { self.rounds.took(begun) };
            begun = self.rounds.now();
            self.news.send_modify(|news| {
                news.seq = last;
                news.round += 1;
            });
            let pause = (took * events / 2).min(LONGEST_PAUSE);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_ends_with_the_last_who_was_served_in_it() {
        let rounds = Rounds { start: Instant::now(), served: AtomicU64::new(900) };
        assert_eq!(rounds.took(400), Duration::from_micros(500));
    }

    #[test]
    fn a_round_in_which_nobody_was_served_yet_goes_on() {
        let start = Instant::now() - Duration::from_secs(5);
        let rounds = Rounds { start, served: AtomicU64::new(900) };
        assert!(rounds.took(1_000_000) >= Duration::from_secs(4));
        rounds.served();
        assert!(rounds.took(1_000_000) >= Duration::from_secs(4));
    }
}
