//! The queue between those who append and the committer.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rig_event::Seq;
use tokio::sync::oneshot;

use crate::error::AppendError;
use crate::lines::Lines;
use crate::log::Pending;

/// The most bytes committed at once, unless one batch alone has more. It bounds the wait of the first in a group.
const GROUP_BYTES: u64 = 16 << 20;

/// A batch that waits, and who waits for it.
pub struct Queued {
    /// The batch.
    pub lines: Lines,
    /// CRC-32C of every line with its line end. Computed by whoever appends, while the committer waits for the disk.
    pub crcs: Vec<u32>,
    answer: oneshot::Sender<Result<(), AppendError>>,
}

/// The next action of the committer.
pub enum Next {
    /// Commit the group that was handed over.
    Group,
    /// Sync what was written.
    SyncDue,
    /// Sync and end: nothing waits and nothing more will come.
    Closed,
}

/// The events that a group waits for before it is committed: a sync costs the same for one event as for fifty.
#[derive(Clone, Copy, Debug, Default)]
pub struct Gather {
    /// So many events wait for no more.
    pub events: u64,
    /// The longest wait for them.
    pub patience: Duration,
}

/// Batches in the order of their seqs.
pub struct Queue {
    inner: Mutex<Inner>,
    changed: Condvar,
    bytes: AtomicU64,
}

struct Inner {
    batches: VecDeque<Queued>,
    /// The number of events that wait.
    events: u64,
    /// The number of have to that wait before the committer is woken.
    wanted: u64,
    next_seq: Seq,
    closed: bool,
    poisoned: Option<Arc<str>>,
}

impl Queue {
    /// An empty queue whose first batch begins with `next_seq`.
    pub fn new(next_seq: Seq) -> Self {
        let inner =
            Inner { batches: VecDeque::new(), events: 0, wanted: 0, next_seq, closed: false, poisoned: None };
        Queue { inner: Mutex::new(inner), changed: Condvar::new(), bytes: AtomicU64::new(0) }
    }

    /// Adds a batch.
    pub fn push(&self, lines: Lines) -> Pending {
        let first_seq = lines.first_seq;
        if lines.is_empty() || !lines.is_well_formed() {
            return Pending::answered(Err(AppendError::Malformed { first_seq }));
        }
        debug_assert!(
            lines.is_whole_appends(),
            "seq or `more` do not say that these are whole appends: {lines:?}"
        );
        let crcs = checksums(&lines);
        let mut inner = self.lock();
        let refusal = if let Some(why) = &inner.poisoned {
            AppendError::Poisoned { why: why.clone() }
        } else if inner.closed {
            AppendError::Closed
        } else if first_seq != inner.next_seq {
            AppendError::OutOfOrder { first_seq, expected: inner.next_seq }
        } else {
            let (answer, pending) = Pending::channel();
            self.bytes.fetch_add(lines.bytes.len() as u64, Ordering::Relaxed);
            inner.next_seq = lines.last_seq() + 1;
            inner.events += lines.len() as u64;
            inner.batches.push_back(Queued { lines, crcs, answer });
            let enough = inner.events >= inner.wanted;
            drop(inner);
            if enough {
                self.changed.notify_one();
            }
            return pending;
        };
        Pending::answered(Err(refusal))
    }

    /// Bytes that wait or are being committed.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    /// Waits for work. A group goes into `group`: the batches that fit `room` together, but one at least.
    pub fn next(
        &self,
        room: u64,
        sync_due: Option<Instant>,
        gather: &Gather,
        group: &mut Vec<Queued>,
    ) -> Next {
        let mut inner = self.lock();
        loop {
            if !inner.batches.is_empty() {
                inner = self.gathered(gather, inner);
                let mut bytes = 0;
                let fitting = inner.batches.iter().take_while(|queued| {
                    let first = bytes == 0;
                    bytes += queued.lines.bytes.len() as u64;
                    first || bytes <= room.min(GROUP_BYTES)
                });
                let count = fitting.count();
                group.extend(inner.batches.drain(..count));
                inner.events -= group.iter().map(|queued| queued.lines.len() as u64).sum::<u64>();
                return Next::Group;
            }
            if inner.closed {
                return Next::Closed;
            }
            inner = match sync_due.map(|due| due.saturating_duration_since(Instant::now())) {
                None => self.changed.wait(inner).unwrap_or_else(PoisonError::into_inner),
                Some(left) if left.is_zero() => return Next::SyncDue,
                Some(left) => {
                    self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    /// Gives those who were just answered, and append again one after another, time to get into the same group.
    fn gathered<'a>(&'a self, gather: &Gather, mut inner: MutexGuard<'a, Inner>) -> MutexGuard<'a, Inner> {
        let until = Instant::now() + gather.patience;
        inner.wanted = gather.events;
        while inner.events < inner.wanted && !inner.closed {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            inner = self.changed.wait_timeout(inner, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        inner.wanted = 0;
        inner
    }

    /// Answers a group that was handed over.
    pub fn answer(&self, group: &mut Vec<Queued>, answer: &Result<(), AppendError>) {
        for Queued { lines, answer: waiting, .. } in group.drain(..) {
            self.bytes.fetch_sub(lines.bytes.len() as u64, Ordering::Relaxed);
            // Whoever does not wait any more has not asked for the answer.
            let _ = waiting.send(answer.clone());
        }
    }

    /// Refuses everything that waits and everything to come. The first reason stays.
    pub fn poison(&self, why: &str) {
        let (mut waiting, why) = {
            let mut inner = self.lock();
            let why = inner.poisoned.get_or_insert_with(|| why.into()).clone();
            (inner.batches.drain(..).collect(), why)
        };
        self.answer(&mut waiting, &Err(AppendError::Poisoned { why }));
    }

    /// Takes nothing more; what waits is still committed.
    pub fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// The first failure, if there was one.
    pub fn poisoned(&self) -> Option<Arc<str>> {
        self.lock().poisoned.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn checksums(lines: &Lines) -> Vec<u32> {
    let mut start = 0;
    let line = |&end: &u32| {
        let line = &lines.bytes[start..end as usize];
        start = end as usize;
        crc32c::crc32c(line)
    };
    lines.ends.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(seq: Seq) -> Lines {
        Lines::split(seq, format!("{{\"seq\":{seq},\"ts\":\"2026-11-20T10:30:05Z\",\"type\":\"a.b\"}}\n"))
    }

    #[test]
    fn a_group_waits_for_as_many_events_as_it_is_told() {
        let queue = Queue::new(1);
        let _first = queue.push(line(1));
        let mut group = Vec::new();
        let gather = Gather { events: 3, patience: Duration::from_secs(3600) };
        std::thread::scope(|scope| {
            scope.spawn(|| [queue.push(line(2)), queue.push(line(3))]);
            assert!(matches!(queue.next(1 << 20, None, &gather, &mut group), Next::Group));
        });
        assert_eq!(group.len(), 3);
    }

    #[test]
    fn a_group_waits_no_longer_than_it_may_nor_for_a_queue_that_is_closed() {
        let queue = Queue::new(1);
        let _first = queue.push(line(1));
        let mut group = Vec::new();
        let gather = Gather { events: 3, patience: Duration::from_millis(1) };
        assert!(matches!(queue.next(1 << 20, None, &gather, &mut group), Next::Group));
        assert_eq!(group.len(), 1);
        group.clear();
        let _second = queue.push(line(2));
        queue.close();
        let gather = Gather { events: 3, patience: Duration::from_secs(3600) };
        assert!(matches!(queue.next(1 << 20, None, &gather, &mut group), Next::Group));
        assert!(matches!(queue.next(1 << 20, None, &gather, &mut group), Next::Closed));
    }
}
