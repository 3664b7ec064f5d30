//! The view of readers of a segment log: the segments with durable events, and the newest batches in memory.

use rig_event::Seq;

use super::offsets::RECORD;
use crate::batches::Batches;
use crate::lines::Lines;

/// Bytes of the log's end that stay in memory. Followers read there, without touching a file.
const RECENT_BYTES: usize = 2 << 20;

/// The most batches that stay in memory, for those of one short event.
const RECENT_BATCHES: usize = 4096;

/// A segment with events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// The seq of its first event.
    pub first_seq: Seq,
    /// The number of durable events that it has; at least one.
    pub events: u64,
    /// The bytes of its lines.
    pub bytes: u64,
}

impl Segment {
    /// The seq of its last event.
    pub fn last_seq(&self) -> Seq {
        self.first_seq + self.events - 1
    }

    /// The bytes of its two files.
    pub fn bytes_on_disk(&self) -> u64 {
        self.bytes + self.events * RECORD as u64
    }
}

/// Everything durable: some tens of bytes a segment, and a bounded piece of the end.
#[derive(Debug, Default)]
pub struct View {
    segments: Vec<Segment>,
    recent: Batches,
}

impl View {
    /// The log as it was opened.
    pub fn new(segments: Vec<Segment>) -> Self {
        View { segments, recent: Batches::default() }
    }

    /// The seq of the oldest event, if there is one.
    pub fn first_seq(&self) -> Option<Seq> {
        self.segments.first().map(|segment| segment.first_seq)
    }

    /// The segment with this event.
    pub fn segment_of(&self, seq: Seq) -> Option<Segment> {
        let at = self.segments.partition_point(|segment| segment.last_seq() < seq);
        self.segments.get(at).copied().filter(|segment| segment.first_seq <= seq)
    }

    /// The lines that are in memory still.
    pub fn recent(&self, from: Seq, to: Seq, max_bytes: usize) -> Option<Lines> {
        self.recent.read(from, to, max_bytes)
    }

    /// The segments that hold nothing from `keep_from` on. The last one is never among them.
    pub fn prunable(&self, keep_from: Seq) -> &[Segment] {
        let Some((_, older)) = self.segments.split_last() else { return &[] };
        &older[..older.partition_point(|segment| segment.last_seq() < keep_from)]
    }

    /// Forgets the first `count` segments.
    pub fn forget(&mut self, count: usize) {
        self.segments.drain(..count);
    }

    /// The bytes of all files.
    pub fn bytes_on_disk(&self) -> u64 {
        self.segments.iter().map(Segment::bytes_on_disk).sum()
    }

    /// Shows what was made durable: the active segment as it is now, and the batches that made it so.
    pub fn publish(&mut self, active: Segment, batches: impl Iterator<Item = Lines>) {
        match self.segments.last_mut() {
            Some(last) if last.first_seq == active.first_seq => *last = active,
            _ => self.segments.push(active),
        }
        batches.for_each(|batch| self.recent.push(batch));
        while self.recent.bytes() > RECENT_BYTES || self.recent.len() > RECENT_BATCHES {
            self.recent.pop();
        }
    }
}
