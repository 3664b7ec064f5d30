//! A deque of batches in memory: all of a `MemoryLog`, and the newest part of a `SegmentLog`.

use std::collections::VecDeque;

use bytes::BytesMut;
use rig_event::Seq;

use crate::lines::Lines;

/// Batches that follow one another without a gap.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    batches: VecDeque<Lines>,
    bytes: usize,
}

impl Batches {
    /// The seq of the first line held, if there is one.
    pub fn first_seq(&self) -> Option<Seq> {
        self.batches.front().map(|batch| batch.first_seq)
    }

    /// The number of batches that there are.
    pub fn len(&self) -> usize {
        self.batches.len()
    }

    /// The bytes of all lines held.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Adds the batch that follows the last one.
    pub fn push(&mut self, batch: Lines) {
        self.bytes += batch.bytes.len();
        self.batches.push_back(batch);
    }

    /// Takes the oldest batch out.
    pub fn pop(&mut self) -> Option<Lines> {
        let batch = self.batches.pop_front()?;
        self.bytes -= batch.bytes.len();
        Some(batch)
    }

    /// The batches, oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Lines> {
        self.batches.iter()
    }

    /// The oldest batch.
    pub fn front(&self) -> Option<&Lines> {
        self.batches.front()
    }

    /// The lines from `from` to `to` up to `max_bytes`, one at least; `None` when `from` is not held.
    ///
    /// Lines of one batch are shared; only those of several are copied together.
    pub fn read(&self, from: Seq, to: Seq, max_bytes: usize) -> Option<Lines> {
        let at = self.batches.partition_point(|batch| batch.last_seq() < from);
        let first = self.batches.get(at)?;
        if first.first_seq > from {
            return None;
        }
        let first = first.slice(from, to).limit(max_bytes);
        let mut run = vec![first];
        let mut bytes = run[0].bytes.len();
        for batch in self.batches.range(at + 1..) {
            let so_far = run[run.len() - 1].last_seq();
            if so_far + 1 != batch.first_seq || so_far >= to || bytes >= max_bytes {
                break;
            }
            let more = batch.slice(batch.first_seq, to).limit(max_bytes - bytes);
            if bytes + more.bytes.len() > max_bytes {
                break;
            }
            bytes += more.bytes.len();
            run.push(more);
        }
        Some(joined(run, bytes))
    }
}

/// Joins runs that follow one another without a gap, of which there is one at least.
pub(crate) fn joined(mut run: Vec<Lines>, bytes: usize) -> Lines {
    if run.len() == 1 {
        return run.swap_remove(0);
    }
    let mut all = BytesMut::with_capacity(bytes);
    let mut ends = Vec::with_capacity(run.iter().map(Lines::len).sum());
    for part in &run {
        let start = all.len() as u32;
        all.extend_from_slice(&part.bytes);
        ends.extend(part.ends.iter().map(|end| start + end));
    }
    Lines { first_seq: run[0].first_seq, bytes: all.freeze(), ends: ends.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_run_over_batches_and_stop_at_the_limit() {
        let mut batches = Batches::default();
        batches.push(Lines::split(3, "a\nb\n"));
        batches.push(Lines::split(5, "c\n"));
        batches.push(Lines::split(6, "d\ne\n"));
        let read = |from, to, max| batches.read(from, to, max).map(|lines| (lines.first_seq, lines.bytes));
        assert_eq!(read(2, 9, 99), None);
        assert_eq!(read(8, 9, 99), None);
        assert_eq!(read(3, 99, 99), Some((3, "a\nb\nc\nd\ne\n".into())));
        assert_eq!(read(4, 6, 99), Some((4, "b\nc\nd\n".into())));
        assert_eq!(read(4, 6, 5), Some((4, "b\nc\n".into())));
        assert_eq!(read(4, 6, 0), Some((4, "b\n".into())));
        let lines = batches.read(4, 7, 99).unwrap();
        assert!(lines.is_well_formed());
    }
}
