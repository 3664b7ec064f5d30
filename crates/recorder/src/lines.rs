//! `Lines`: a run of consecutive events as they stand in the log, which is what is appended and what is read.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use rig_event::{Head, MAX_LINE, Seq};

/// Consecutive lines of one stream, in one buffer.
///
/// Cloning shares the bytes. [`Lines::is_well_formed`] says what must hold between the fields; every engine
/// refuses a batch for which it does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Lines {
    /// The seq of the first line; where there is none, the seq that it would have.
    pub first_seq: Seq,
    /// Every line with its line end.
    pub bytes: Bytes,
    /// For each line the offset in `bytes` just past its line end.
    pub ends: Arc<[u32]>,
}

impl Lines {
    /// No lines, standing before `first_seq`.
    pub fn empty(first_seq: Seq) -> Self {
        Lines { first_seq, bytes: Bytes::new(), ends: Arc::from([]) }
    }

    /// The whole lines in `bytes`; what follows the last line end is left out.
    pub fn split(first_seq: Seq, bytes: impl Into<Bytes>) -> Self {
        let mut bytes = bytes.into();
        let ends: Arc<[u32]> = memchr::memchr_iter(b'\n', &bytes)
            .map_while(|at| u32::try_from(at + 1).ok())
            .collect::<Vec<_>>()
            .into();
        bytes.truncate(ends.last().map_or(0, |&end| end as usize));
        Lines { first_seq, bytes, ends }
    }

    /// The number of lines that there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Returns true if there is no line.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The seq of the last line; `first_seq - 1` where there is none.
    pub fn last_seq(&self) -> Seq {
        (self.first_seq + self.len() as Seq).saturating_sub(1)
    }

    /// The `i`-th line, counted from 0, without its line end.
    ///
    /// # Panics
    ///
    /// If there is no such line, as indexing does.
    pub fn line(&self, i: usize) -> &[u8] {
        &self.bytes[self.start(i)..self.ends[i] as usize - 1]
    }

    /// The line with this seq, without its line end.
    pub fn get(&self, seq: Seq) -> Option<&[u8]> {
        let i = usize::try_from(seq.checked_sub(self.first_seq)?).ok()?;
        (i < self.len()).then(|| self.line(i))
    }

    /// Every line with its seq, without its line end.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (Seq, &[u8])> + '_ {
        (0..self.len()).map(|i| (self.first_seq + i as Seq, self.line(i)))
    }

    /// The lines from `from` to `to`, both included, as far as they are here. The bytes are shared.
    pub fn slice(&self, from: Seq, to: Seq) -> Lines {
        let from = from.max(self.first_seq);
        let to = to.min(self.last_seq());
        if self.is_empty() || from > to {
            return Lines::empty(from);
        }
        if (from, to) == (self.first_seq, self.last_seq()) {
            return self.clone();
        }
        let (i, j) = ((from - self.first_seq) as usize, (to - self.first_seq) as usize);
        let start = self.start(i);
        Lines {
            first_seq: from,
            bytes: self.bytes.slice(start..self.ends[j] as usize),
            ends: self.ends[i..=j].iter().map(|end| end - start as u32).collect(),
        }
    }

    /// The first lines that fit `max_bytes`, but one at least.
    pub fn limit(&self, max_bytes: usize) -> Lines {
        if self.bytes.len() <= max_bytes {
            return self.clone();
        }
        let fitting = self.ends.partition_point(|&end| end as usize <= max_bytes).max(1);
        self.slice(self.first_seq, self.first_seq + fitting as Seq - 1)
    }

    /// Returns true if `ends` rises, each end stands just past a line end, the last one is the end of `bytes`, and no line
    /// is longer than [`MAX_LINE`].
    ///
    /// That no line holds another line end is not looked at: it would cost a pass over the bytes.
    pub fn is_well_formed(&self) -> bool {
        let mut start = 0;
        self.ends.iter().all(|&end| {
            let end = end as usize;
            let fits = end > start && end <= self.bytes.len() && end - start <= MAX_LINE + 1;
            let fine = fits && self.bytes[end - 1] == b'\n';
            start = end;
            fine
        }) && start == self.bytes.len()
    }

    /// Returns true if these are the events of whole appends, one or several, as `seq` and `more` tell it. It reads every line.
    pub fn is_whole_appends(&self) -> bool {
        let mut due = None;
        let fits = self.iter().all(|(seq, line)| {
            Head::parse(line).is_ok_and(|head| {
                let fits = head.seq == seq && due.is_none_or(|due| head.more == due);
                due = head.more.checked_sub(1);
                fits
            })
        });
        fits && due.is_none()
    }

    fn start(&self, i: usize) -> usize {
        if i == 0 { 0 } else { self.ends[i - 1] as usize }
    }
}

impl fmt::Debug for Lines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter().map(|(seq, line)| (seq, String::from_utf8_lossy(line)))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_keep_their_seqs() {
        let lines = Lines::split(5, "a\nbb\nccc\ncut");
        assert_eq!((lines.len(), lines.last_seq()), (3, 7));
        assert!(lines.is_well_formed());
        let tail = lines.slice(6, 99);
        assert!(tail.is_well_formed());
        assert_eq!(tail.iter().collect::<Vec<_>>(), [(6, &b"bb"[..]), (7, b"ccc")]);
        assert_eq!(lines.slice(6, 6).get(6), Some(&b"bb"[..]));
        assert_eq!(lines.get(8), None);
        assert!(lines.slice(8, 9).is_empty());
        assert!(lines.slice(7, 6).is_empty());
    }

    #[test]
    fn a_limit_leaves_one_line_at_least() {
        let lines = Lines::split(1, "aaaa\nbb\ncc\n");
        assert_eq!(lines.limit(0).last_seq(), 1);
        assert_eq!(lines.limit(8).last_seq(), 2);
        assert_eq!(lines.limit(10).last_seq(), 2);
        assert_eq!(lines.limit(11).last_seq(), 3);
    }

    #[test]
    fn ends_that_do_not_fit_the_bytes_are_seen() {
        let with = |ends: &[u32]| Lines { ends: ends.into(), ..Lines::split(1, "a\nb\n") };
        assert!(with(&[2, 4]).is_well_formed());
        for bad in [&[2][..], &[], &[2, 2, 4], &[4, 2], &[1, 4], &[2, 9]] {
            assert!(!with(bad).is_well_formed(), "{bad:?}");
        }
    }
}
