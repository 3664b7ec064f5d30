//! A recording as a stream: the lines, seqs, times and epoch that were recorded, read where they lie, up to a head that
//! somebody else moves. Nothing can be added to it.

use std::sync::Arc;

use rig_event::{Epoch, Seq, StreamName};
use rig_recorder::{AppendError, BoxFuture, Chain, EventLog, Lines, Pending, Prunable, Pruned, ReadError};
use rig_replay::timeline::{Dialect, read_exact};
use rig_replay::{State, Timeline};
use tokio::sync::watch;

/// A recording to be served.
#[derive(Clone, Debug)]
pub struct Playback {
    /// The stream's name.
    pub stream: StreamName,
    /// The stream's epoch.
    pub epoch: Epoch,
    /// The events. Of a log of rigd some may be missing: few, for each is told to each subscriber.
    pub timeline: Arc<Timeline>,
    /// The hash chain before the first of them.
    pub chain: Chain,
    /// The last seq that has happened so far: whoever plays the recording moves it. While nothing has happened it is the seq
    /// before the first.
    pub head: watch::Receiver<Seq>,
}

/// The log of a recording that is played.
#[derive(Debug)]
pub(crate) struct PlaybackLog(pub(crate) Playback);

impl PlaybackLog {
    /// The state before the first event.
    pub(crate) fn base(&self) -> Result<State, rig_replay::Error> {
        let Playback { timeline, .. } = &self.0;
        let mut state = timeline.state(0)?;
        state.seq = self.first_seq() - 1;
        Ok(state)
    }

    /// The state at `seq`, which has happened.
    pub(crate) fn state(&self, seq: Seq) -> Result<State, rig_replay::Error> {
        let timeline = &self.0.timeline;
        match (self.first_seq()..=seq).rev().find_map(|seq| timeline.position(seq)) {
            Some(at) => timeline.state(at + 1),
            None => self.base(),
        }
    }

    /// Returns true if its lines are those of the Go tool, of which no session file can be made.
    pub(crate) fn is_rigd(&self) -> bool {
        self.0.timeline.dialect() == Some(Dialect::Rigd)
    }

    /// The header of a log of rigd, with its line end. It says how all ended, and so is nothing before all has happened.
    pub(crate) fn rigd_header(&self) -> Option<Vec<u8>> {
        let timeline = &self.0.timeline;
        let has_ended = self.head() + 1 == timeline.seq(timeline.len());
        if timeline.rigd_header().is_none() || timeline.is_empty() || !has_ended {
            return None;
        }
        let mut line = vec![0; usize::try_from(timeline.entry(0).offset).ok()?];
        read_exact(timeline.bytes().as_ref(), &mut line, 0).ok()?;
        line.truncate(memchr::memchr(b'\n', &line)? + 1);
        Some(line)
    }

    fn read_now(&self, from: Seq, to: Seq, max_bytes: usize) -> Result<Lines, ReadError> {
        let timeline = &self.0.timeline;
        let first = self.first_seq();
        if from < first && from > 0 && first > 1 {
            return Err(ReadError::Pruned { from, first_seq: first });
        }
        let from = from.max(first);
        let to = to.min(self.head());
        let (mut bytes, mut ends, mut line) = (Vec::new(), Vec::new(), Vec::new());
        for seq in from..=to {
            match timeline.position(seq) {
                Some(at) => timeline.read_line(at, &mut line).map_err(|error| ReadError::Io {
                    path: Default::default(),
                    source: std::io::Error::other(error.to_string()),
                })?,
                None => line.clear(),
            }
            if !ends.is_empty() && bytes.len() + line.len() + 1 > max_bytes {
                break;
            }
            // Between tokens, the only place for it in JSON, it is white space; in a frame of SSE it would end the line.
            line.iter_mut().filter(|byte| **byte == b'\r').for_each(|byte| *byte = b' ');
            bytes.extend_from_slice(&line);
            bytes.push(b'\n');
            let Ok(end) = u32::try_from(bytes.len()) else { break };
            ends.push(end);
        }
        Ok(Lines { first_seq: from, bytes: bytes.into(), ends: ends.into() })
    }
}

impl EventLog for PlaybackLog {
    fn stream(&self) -> &StreamName {
        &self.0.stream
    }

    fn epoch(&self) -> &Epoch {
        &self.0.epoch
    }

    fn first_seq(&self) -> Seq {
        // Of an empty recording the seq that the first event would have.
        self.0.timeline.seq(0).max(1)
    }

    fn head(&self) -> Seq {
        *self.0.head.borrow()
    }

    fn watch(&self) -> watch::Receiver<Seq> {
        self.0.head.clone()
    }

    fn append(&self, _: Lines) -> Pending {
        Pending::answered(Err(AppendError::Poisoned { why: "a recording takes no events".into() }))
    }

    fn read(&self, from: Seq, to: Seq, max_bytes: usize) -> BoxFuture<'_, Result<Lines, ReadError>> {
        Box::pin(std::future::ready(self.read_now(from, to, max_bytes)))
    }

    fn prunable(&self) -> Vec<Prunable> {
        Vec::new()
    }

    fn prune(&self, _: Seq) -> BoxFuture<'_, Result<Pruned, rig_recorder::Error>> {
        Box::pin(std::future::ready(Ok(Pruned { first_seq: self.first_seq(), events: 0, bytes: 0 })))
    }

    fn bytes(&self) -> u64 {
        self.0.timeline.bytes().size().unwrap_or(0)
    }

    fn queued_bytes(&self) -> u64 {
        0
    }
}
