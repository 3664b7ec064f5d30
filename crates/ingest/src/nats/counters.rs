//! Counters of messages, by their outcome.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use rig_hub::Exposition;

/// The outcome of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It led to a `snapshot.captured`.
    Captured,
    /// It repeats the device's latest snapshot.
    Duplicate,
    /// It was delivered again after it was done.
    Repeated,
    /// It is not a snapshot, or its document was refused.
    Malformed,
    /// Snapshots of its device are not accepted.
    UnknownDevice,
    /// It was negatively acknowledged, to be delivered again later.
    Nak,
    /// It was given up, and published to the dead letters.
    DeadLetter,
}

impl Outcome {
    const ALL: [Outcome; 7] = [
        Outcome::Captured,
        Outcome::Duplicate,
        Outcome::Repeated,
        Outcome::Malformed,
        Outcome::UnknownDevice,
        Outcome::Nak,
        Outcome::DeadLetter,
    ];

    fn as_str(self) -> &'static str {
        match self {
            Outcome::Captured => "captured",
            Outcome::Duplicate => "duplicate",
            Outcome::Repeated => "repeated",
            Outcome::Malformed => "malformed",
            Outcome::UnknownDevice => "unknown_device",
            Outcome::Nak => "nak",
            Outcome::DeadLetter => "dead_letter",
        }
    }
}

/// Counts messages by outcome. One that was given back counts each time.
#[derive(Default)]
pub(super) struct Counters([AtomicU64; Outcome::ALL.len()]);

impl Counters {
    pub(super) fn count(&self, outcome: Outcome) {
        self.0[outcome as usize].fetch_add(1, Relaxed);
    }

    /// Adds them to the metrics.
    pub(super) fn metrics(&self, text: &mut Exposition) {
        let sample = |outcome: Outcome| {
            (format!("{{outcome=\"{}\"}}", outcome.as_str()), self.0[outcome as usize].load(Relaxed))
        };
        let help = "Messages of NATS, by what became of them.";
        text.family("rig_nats_messages_total", "counter", help, &Outcome::ALL.map(sample));
    }
}
