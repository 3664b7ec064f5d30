//! What a timeline tells: its events, where they are, and which is the next of a kind.

use std::sync::Arc;

use rig_event::event::family;
use rig_event::session::Header;
use rig_event::{Envelope, Seq, Timestamp, rigd};

use super::names::{NONE, TOO_LONG};
use super::scan::{FAILURE, STATUS_CLASS, STDERR};
use super::{Bytes, Damage, Dialect, Ending, Entry, Filter, Slot, Timeline, source};
use crate::{Error, Result, State};

impl Timeline {
    /// How many events are indexed.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Up to which byte it is indexed: where the next chunk has to begin.
    pub fn indexed(&self) -> u64 {
        self.indexed
    }

    /// The bytes below.
    pub fn bytes(&self) -> &Arc<dyn Bytes> {
        &self.bytes
    }

    /// Whether anything so far says that it is a recording: a header, an event, or the cut beginning of one.
    pub fn is_recording(&self) -> bool {
        !self.is_empty() || self.header.is_some() || self.rigd_header.is_some() || self.cut_at_start
    }

    /// Whose lines they are, once a line told.
    pub fn dialect(&self) -> Option<Dialect> {
        self.dialect
    }

    /// The session's header.
    pub fn header(&self) -> Option<&Header> {
        self.header.as_deref()
    }

    /// The header of a rigd log.
    pub fn rigd_header(&self) -> Option<&rigd::Header> {
        self.rigd_header.as_deref()
    }

    /// Name of the stream: what the header says, or the environment of rigd's, or the name that was given.
    pub fn stream(&self) -> &str {
        let environment = self.rigd_header.as_ref().map(|header| header.environment.as_str());
        match (&self.header, environment.filter(|name| !name.is_empty())) {
            (Some(header), _) => header.stream.as_str(),
            (None, Some(environment)) => environment,
            (None, None) => &self.name,
        }
    }

    /// How it ended.
    pub fn ending(&self) -> Ending {
        if self.damage.is_some() {
            Ending::Damaged
        } else if let Some(footer) = &self.footer {
            Ending::Finished(footer.clone())
        } else if !self.finished {
            Ending::Open
        } else if let Some(bytes) = self.torn {
            Ending::Torn(bytes)
        } else if self.is_session() {
            Ending::Unfinished
        } else {
            Ending::Bare
        }
    }

    /// The damage that a session is readable up to.
    pub fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// How many places of a log could not be read or folded, and the first of them.
    pub fn passed_over(&self) -> (u64, Option<&Damage>) {
        (self.passed_over, self.first_passed.as_ref())
    }

    /// The seq of an event; of a position past the end, the seq it would have.
    pub fn seq(&self, at: usize) -> Seq {
        let run = self.runs.partition_point(|(first, _)| *first <= at);
        match run.checked_sub(1).and_then(|run| self.runs.get(run)) {
            Some((first, seq)) => seq + (at - first) as u64,
            None => self.base.as_ref().map_or(0, |state| state.seq) + 1 + at as u64,
        }
    }

    /// The position of a seq.
    pub fn position(&self, seq: Seq) -> Option<usize> {
        let run = self.runs.partition_point(|(_, first)| *first <= seq).checked_sub(1)?;
        let (first, first_seq) = self.runs[run];
        let end = self.runs.get(run + 1).map_or(self.slots.len(), |(at, _)| *at);
        let at = first.checked_add(usize::try_from(seq - first_seq).ok()?)?;
        (at < end).then_some(at)
    }

    /// How many events lie before `ts`: the position of the first that does not.
    pub fn at_time(&self, ts: Timestamp) -> usize {
        self.slots.partition_point(|slot| slot.ts < ts.as_micros())
    }

    /// What the index knows of an event.
    ///
    /// # Panics
    /// When there is no event at that position.
    pub fn entry(&self, at: usize) -> Entry<'_> {
        let slot = &self.slots[at];
        let class = (slot.flags >> STATUS_CLASS) as u8;
        Entry {
            at,
            seq: self.seq(at),
            ts: Timestamp::from_micros(slot.ts),
            type_name: self.type_name(slot.type_id),
            service: (slot.service != NONE).then(|| self.names.get(slot.service)),
            edge: self.edges.get(slot.edge).map(|(a, b)| (self.names.get(a), self.names.get(b))),
            failure: slot.flags & FAILURE != 0,
            status_class: (class > 0).then_some(class),
            stderr: slot.flags & STDERR != 0,
            offset: slot.offset,
            len: slot.len as usize,
        }
    }

    /// The line of an event as it stands there.
    ///
    /// # Errors
    /// [`Error::Beyond`], [`Error::Read`].
    pub fn line(&self, at: usize) -> Result<Vec<u8>> {
        let mut line = Vec::new();
        self.read_line(at, &mut line)?;
        Ok(line)
    }

    /// Reads the line of an event into `line`, which is emptied first.
    ///
    /// # Errors
    /// As [`Timeline::line`].
    pub fn read_line(&self, at: usize, line: &mut Vec<u8>) -> Result<()> {
        let Some(slot) = self.slots.get(at) else {
            return Err(Error::Beyond { wanted: at, len: self.slots.len() });
        };
        line.clear();
        line.resize(slot.len as usize, 0);
        source::read_exact(self.bytes.as_ref(), line, slot.offset)
    }

    /// Calls `see` with the lines of the events at `positions`, which go up. Lines that lie close together are read together.
    ///
    /// # Errors
    /// As [`Timeline::line`], and what `see` says.
    pub fn visit<E: From<Error>>(
        &self,
        positions: impl IntoIterator<Item = usize>,
        mut see: impl FnMut(usize, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        const WINDOW: u64 = 1 << 20;
        const HOLE: u64 = 8 << 10;
        let mut buffer = Vec::new();
        let mut batch: Vec<(usize, Slot)> = Vec::new();
        let mut positions = positions.into_iter();
        loop {
            let next = positions.next();
            let slot = match next {
                Some(at) => Some((
                    at,
                    *self.slots.get(at).ok_or(Error::Beyond { wanted: at, len: self.slots.len() })?,
                )),
                None => None,
            };
            let joins = match (batch.first(), batch.last(), slot) {
                (Some((_, first)), Some((_, last)), Some((_, slot))) => {
                    let end = slot.offset + u64::from(slot.len);
                    slot.offset >= last.offset
                        && end - first.offset <= WINDOW
                        && slot.offset - (last.offset + u64::from(last.len)).min(slot.offset) <= HOLE
                }
                (None, ..) => true,
                _ => false,
            };
            if !joins && let (Some((_, first)), Some((_, last))) = (batch.first(), batch.last()) {
                let start = first.offset;
                buffer.resize((last.offset + u64::from(last.len) - start) as usize, 0);
                source::read_exact(self.bytes.as_ref(), &mut buffer, start)?;
                for (at, slot) in batch.drain(..) {
                    let from = (slot.offset - start) as usize;
                    see(at, buffer.get(from..from + slot.len as usize).unwrap_or_default())?;
                }
            }
            match slot {
                Some(slot) => batch.push(slot),
                None => return Ok(()),
            }
        }
    }

    /// An event, read in full.
    ///
    /// # Errors
    /// As [`Timeline::line`], and [`Error::Saved`] when the bytes are not those that were indexed.
    pub fn envelope(&self, at: usize) -> Result<Envelope> {
        self.parse(&self.line(at)?)
    }

    /// Reads a line of this recording in full.
    ///
    /// # Errors
    /// [`Error::Saved`] when it is no event.
    pub fn parse(&self, line: &[u8]) -> Result<Envelope> {
        let parsed =
            if self.dialect == Some(Dialect::Rigd) { rigd::parse(line) } else { Envelope::parse(line) };
        parsed.map_err(|error| Error::Saved(error.to_string()))
    }

    /// The types that came up.
    pub fn types(&self) -> impl Iterator<Item = &str> {
        self.types.all().iter().map(AsRef::as_ref)
    }

    /// The services that events are about.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        let mut named = vec![false; self.names.all().len()];
        for slot in &self.slots {
            if let Some(named) = named.get_mut(slot.service as usize) {
                *named = true;
            }
        }
        self.names.all().iter().zip(named).filter(|(_, named)| *named).map(|(name, _)| name.as_ref())
    }

    /// The pairs of services between which there was traffic.
    pub fn edges(&self) -> impl Iterator<Item = (&str, &str)> {
        self.edges.all().iter().map(|(a, b)| (self.names.get(*a), self.names.get(*b)))
    }

    /// The state after all that is indexed.
    pub fn tip(&self) -> &State {
        &self.tip
    }

    /// The next event at or after position `from` that the filter takes.
    ///
    /// # Errors
    /// [`Error::Read`], where the filter looks for a text.
    pub fn next(&self, from: usize, filter: &Filter) -> Result<Option<usize>> {
        let mut matcher = filter.matcher(self);
        for at in from..self.slots.len() {
            if matcher.takes(at)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// The last event before position `from` that the filter takes.
    ///
    /// # Errors
    /// As [`Timeline::next`].
    pub fn previous(&self, from: usize, filter: &Filter) -> Result<Option<usize>> {
        let mut matcher = filter.matcher(self);
        for at in (0..from.min(self.slots.len())).rev() {
            if matcher.takes(at)? {
                return Ok(Some(at));
            }
        }
        Ok(None)
    }

    /// The first failure.
    pub fn first_failure(&self) -> Option<usize> {
        self.slots.iter().position(|slot| slot.flags & FAILURE != 0)
    }

    /// The first drift event at or after position `from`.
    pub fn next_drift(&self, from: usize) -> Option<usize> {
        let drifts: Vec<bool> = self.types.all().iter().map(|name| family(name) == "drift").collect();
        let is_drift = |slot: &Slot| drifts.get(usize::from(slot.type_id)).copied().unwrap_or(false);
        self.slots.get(from..)?.iter().position(is_drift).map(|at| at + from)
    }

    fn type_name(&self, id: u16) -> &str {
        if id == u16::MAX { TOO_LONG } else { self.types.get(u32::from(id)) }
    }
}
