//! A recording with an index: any event, and the state after any number of them, at once.
//!
//! One type for a session file (plain, or decompressed by whoever opens it), a bare log, a log of rigd, standard input and a
//! hub's stream, finished or still growing. The timeline does no I/O of its own and has no threads: bytes come through
//! [`Bytes`], and whoever has threads scans stretches at the same time and hands them in, in order.
//!
//! # How it is built
//!
//! ```
//! use std::sync::Arc;
//! use rig_replay::timeline::{Bytes, Filter, Timeline};
//!
//! let file: Arc<dyn Bytes> = Arc::new(concat!(
//!     r#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"service.ready","service":"a"}"#, "\n",
//!     r#"{"seq":2,"ts":"2026-11-20T10:30:06Z","type":"service.failed","service":"a","error":"port taken"}"#, "\n",
//! ).as_bytes().to_vec());
//! let mut timeline = Timeline::new(file.clone(), "demo");
//! timeline.index(file.len()?, true)?;             // all at once; or stretch by stretch, see below
//!
//! assert_eq!(timeline.len(), 2);
//! let at = timeline.next(0, &Filter::failures())?.unwrap();      // positions count from 0
//! let before = timeline.state(at)?;                                // after the first `at` events: before the failure
//! let after = timeline.state(at + 1)?;
//! assert_eq!(before.service("a").unwrap().status.as_deref(), Some("ready"));
//! assert_eq!(after.service("a").unwrap().error.as_deref(), Some("port taken"));
//! # Ok::<(), rig_replay::Error>(())
//! ```
//!
//! Piece by piece, for a large file or a live source: [`stretch`] says where the next stretch of whole lines ends,
//! [`Chunk::scan`] reads it (on any thread, in any order), [`Timeline::extend`] takes the chunks in their order. In between
//! everything that was taken can be used: a player shows the beginning while the rest is being indexed. When nothing more
//! will come, [`Timeline::finish`].
//!
//! # Positions, seqs, times
//!
//! A *position* counts events from 0: event `i` has a [seq](Timeline::seq) and an [`Entry`]. A *number of events* `n` (0 to
//! [`len`](Timeline::len)) names a state: [`Timeline::state`]`(n)` is the fold of the first `n`. [`Timeline::position`] finds
//! a seq, [`Timeline::at_time`] a moment. A player holds a [`Cursor`], which steps by one in either direction without
//! folding from far, and a [`Pace`], which says how long to wait between two events.
//!
//! # What it costs
//!
//! 32 bytes an event, names once, and a checkpoint of the state about every 4,096 events. Checkpoints share the services that
//! did not change in between. A seek folds from the nearest checkpoint and reads from the file only events that change
//! more than counters.
//!
//! # Damage
//!
//! A session file is readable up to its first damage (a line that is no event, a missing or repeated seq, an event that does
//! not fold, a seal that states another state): [`Timeline::damage`] names it and nothing after it is indexed. Logs without a
//! header and those of rigd promise less: what cannot be read or folded is [passed over](Timeline::passed_over) and counted.
//! The hash chain is not computed here; `rig verify` does that.

mod cursor;
mod filter;
mod fold;
mod json;
mod names;
mod pace;
mod scan;
mod skim;
mod source;

use std::sync::Arc;

use rig_event::event::family;
use rig_event::session::{self, Checkpoint, Footer, Header};
use rig_event::{Envelope, Seq, Timestamp, rigd};

pub use cursor::Cursor;
pub use filter::{Filter, Matcher};
pub(crate) use json::Text;
pub use pace::Pace;
pub use scan::{Chunk, MAX_LONG_LINE};
pub(crate) use skim::Skim;
pub use source::{Bytes, STRETCH, Stretch, stretch};

use crate::{Error, Result, State};
use fold::{Flow, Op};
use names::{NONE, Names, Pairs, TOO_LONG};
use scan::{Effect, FAILURE, FOLDED, Odd, Row, STATUS_CLASS, STDERR, Strange};

/// Whose lines they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// With a header of ours.
    Session,
    /// The plain lines of a log.
    Bare,
    /// Lines of the Go tool.
    Rigd,
}

/// A place in a recording where something is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The last event before it; 0 if there is none.
    pub after: Seq,
    /// The line, counted from 1.
    pub line: u64,
    /// Where it begins, in bytes of the decompressed text.
    pub offset: u64,
    /// What is wrong; nothing of the content is quoted.
    pub why: String,
}

impl std::fmt::Display for Damage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "line {} (offset {}, after seq {}): {}", self.line, self.offset, self.after, self.why)
    }
}

/// How a recording ended, as far as its lines say.
#[derive(Clone, Debug, PartialEq)]
pub enum Ending {
    /// More may come.
    Open,
    /// With its footer.
    Finished(Box<Footer>),
    /// A session without a footer.
    Unfinished,
    /// In the middle of a line, of which there are so many bytes.
    Torn(u64),
    /// A log, which has no footer.
    Bare,
    /// Readable only to [`Timeline::damage`].
    Damaged,
}

/// An event of the index: 32 bytes.
#[derive(Clone, Copy, Debug)]
struct Slot {
    offset: u64,
    ts: i64,
    len: u32,
    service: u32,
    edge: u32,
    type_id: u16,
    flags: u16,
}

/// What the index knows of an event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Entry<'a> {
    /// Its position, from 0.
    pub at: usize,
    /// Its seq.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// Its type; `…` for one beyond all bounds.
    pub type_name: &'a str,
    /// The service it is about.
    pub service: Option<&'a str>,
    /// Source and target, on traffic.
    pub edge: Option<(&'a str, &'a str)>,
    /// Whether something failed: `*.failed`, a status ≥ 500 or none, gRPC not OK, a failed assertion.
    pub failure: bool,
    /// The first digit of the HTTP status.
    pub status_class: Option<u8>,
    /// Whether it is output on stderr.
    pub stderr: bool,
    /// Where its line begins.
    pub offset: u64,
    /// How long its line is, without the line end.
    pub len: usize,
}

/// A recording with its index. See the [module](self) for how to use it.
#[derive(Clone, Debug)]
pub struct Timeline {
    bytes: Arc<dyn Bytes>,
    name: String,
    dialect: Option<Dialect>,
    header: Option<Box<Header>>,
    rigd_header: Option<Box<rigd::Header>>,
    /// The state before the first event; there is none yet where a checkpoint line has to give it.
    base: Option<State>,
    slots: Vec<Slot>,
    /// The seq of the first event, and of every one that does not follow the one before it: (position, seq).
    runs: Vec<(usize, Seq)>,
    types: Names,
    ops: Vec<Op>,
    names: Names,
    edges: Pairs,
    checkpoints: Vec<(usize, State)>,
    tip: State,
    flow: Flow,
    /// Work of folding since the last checkpoint.
    work: usize,
    indexed: u64,
    lines: u64,
    damage: Option<Damage>,
    passed_over: u64,
    first_passed: Option<Damage>,
    footer: Option<Box<Footer>>,
    torn: Option<u64>,
    finished: bool,
}

/// Reads an event of either dialect in full, and says whether it is rigd's.
pub(crate) fn parse_any(line: &[u8]) -> Option<(Envelope, bool)> {
    scan::parse(line).ok()
}

/// What a fold costs that is worth a checkpoint.
const WORK: usize = 4096;

impl Timeline {
    /// An empty timeline over `bytes`; `name` stands for the stream where the recording names none.
    pub fn new(bytes: Arc<dyn Bytes>, name: &str) -> Timeline {
        Timeline {
            bytes,
            name: name.to_owned(),
            dialect: None,
            header: None,
            rigd_header: None,
            base: Some(State::default()),
            slots: Vec::new(),
            runs: Vec::new(),
            types: Names::default(),
            ops: Vec::new(),
            names: Names::default(),
            edges: Pairs::default(),
            checkpoints: Vec::new(),
            tip: State::default(),
            flow: Flow::default(),
            work: 0,
            indexed: 0,
            lines: 0,
            damage: None,
            passed_over: 0,
            first_passed: None,
            footer: None,
            torn: None,
            finished: false,
        }
    }

    /// Indexes the whole lines up to byte `to`, on this thread; with `last`, nothing will come after them.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn index(&mut self, to: u64, last: bool) -> Result<()> {
        while let Some(next) = stretch(self.bytes.as_ref(), self.indexed, to, last)? {
            let chunk = next.scan(self.bytes.as_ref(), &mut Vec::new())?;
            self.extend(chunk);
        }
        if last {
            self.finish();
        }
        Ok(())
    }

    /// Takes the next chunk; one that does not begin where the last ended is not taken.
    pub fn extend(&mut self, chunk: Chunk) {
        if chunk.start != self.indexed || self.finished {
            return;
        }
        let ids: Vec<u32> = chunk.names.all().iter().map(|name| self.names.intern(name.as_bytes())).collect();
        let id = |local: u32| ids.get(local as usize).copied().unwrap_or(NONE);
        let edges: Vec<u32> =
            chunk.edges.all().iter().map(|(a, b)| self.edges.intern((id(*a), id(*b)))).collect();
        let mut types: Vec<Option<u16>> = vec![None; ids.len()];
        let mut odd = chunk.odd.iter().peekable();
        for (i, row) in chunk.rows.iter().enumerate() {
            while let Some(strange) = odd.next_if(|strange| strange.before <= i) {
                self.strange(strange);
            }
            if self.damage.is_some() {
                break;
            }
            let known = types.get_mut(row.type_id as usize);
            let type_id = match known {
                Some(Some(known)) => *known,
                known => {
                    let new = self.type_id(chunk.names.get(row.type_id));
                    if let Some(known) = known {
                        *known = Some(new);
                    }
                    new
                }
            };
            let slot = Slot {
                offset: row.offset,
                ts: row.ts,
                len: row.len,
                service: id(row.service),
                edge: edges.get(row.edge as usize).copied().unwrap_or(NONE),
                type_id,
                flags: row.flags,
            };
            self.event(row, slot, &chunk.envelopes);
        }
        if self.damage.is_none() {
            odd.for_each(|strange| self.strange(strange));
        }
        self.flow.flush(&mut self.tip, &self.names, &self.edges);
        self.indexed = chunk.end;
        self.lines += chunk.lines;
    }

    /// Nothing more will come.
    pub fn finish(&mut self) {
        self.finished = true;
        self.slots.shrink_to_fit();
    }

    fn type_id(&mut self, name: &str) -> u16 {
        let id = self.types.intern(name.as_bytes());
        while self.ops.len() < self.types.all().len() {
            self.ops.push(Op::of(self.types.get(self.ops.len() as u32)));
        }
        u16::try_from(id).unwrap_or(u16::MAX)
    }

    fn event(&mut self, row: &Row, slot: Slot, envelopes: &[Envelope]) {
        let wrong = |why: String| (row.offset, why);
        if let Err((offset, why)) = self.admit(row).map_err(wrong) {
            // The number of a line among events is not kept; it is counted again for the one that is told.
            return self.wrong(None, offset, why);
        }
        if self.damage.is_some() {
            return;
        }
        self.tip.seq = row.seq - 1;
        match row.effect {
            Effect::Apply(at) => {
                let Some(envelope) = envelopes.get(at as usize) else { return };
                if matches!(envelope.event, rig_event::Event::LogSealed(_)) {
                    self.flow.flush(&mut self.tip, &self.names, &self.edges);
                }
                if let Err(error) = self.tip.apply(envelope) {
                    if self.is_session() {
                        return self.wrong(None, row.offset, error.to_string());
                    }
                    self.pass(None, row.offset, error.to_string());
                }
            }
            effect => self.flow.add(slot.edge, effect),
        }
        self.tip.seq = row.seq;
        self.tip.ts = Timestamp::from_micros(row.ts);
        let follows =
            self.runs.last().is_some_and(|(at, seq)| seq + (self.slots.len() - at) as u64 == row.seq);
        if !follows {
            self.runs.push((self.slots.len(), row.seq));
        }
        self.slots.push(slot);
        self.work += 1 + if row.flags & FOLDED == 0 { 0 } else { 3 + row.len as usize / 512 };
        if self.work >= WORK && self.work >= self.weight() / 16 {
            self.work = 0;
            self.flow.flush(&mut self.tip, &self.names, &self.edges);
            self.checkpoints.push((self.slots.len(), self.tip.clone()));
        }
    }

    /// About how many bytes a checkpoint takes.
    fn weight(&self) -> usize {
        let before = self.checkpoints.last().map(|(_, state)| state).or(self.base.as_ref());
        let services = self.tip.services.iter().map(|(name, service)| {
            let same = before.and_then(|b| b.services.get(name)).is_some_and(|old| Arc::ptr_eq(old, service));
            48 + if same { 0 } else { 300 + service.config.len() * 100 }
        });
        services.sum::<usize>()
            + self.tip.edges.values().map(|targets| 80 + targets.len() * 100).sum::<usize>()
    }

    /// Whether an event has its place here, or what is wrong with it.
    fn admit(&mut self, row: &Row) -> Result<(), String> {
        if self.footer.is_some() {
            return Err("a line after the footer".to_owned());
        }
        let dialect = if row.rigd { Dialect::Rigd } else { Dialect::Bare };
        match self.dialect {
            None => self.dialect = Some(dialect),
            Some(Dialect::Session) if !row.rigd => {}
            Some(known) if known == dialect => {}
            Some(_) => return Err("not an event of this recording: a line of another dialect".to_owned()),
        }
        if self.base.is_none() {
            let first_seq = self.header.as_ref().map_or(1, |header| header.first_seq);
            return Err(format!(
                "the recording begins with seq {first_seq}, but the state before that is missing"
            ));
        }
        let expected = match (&self.header, self.slots.is_empty()) {
            (Some(header), true) => header.first_seq,
            (None, true) => row.seq,
            _ => self.tip.seq.saturating_add(1),
        };
        if row.seq < expected {
            return Err(format!("seq {} stands where {expected} should", row.seq));
        }
        if row.seq > expected {
            let missing = row.seq - expected;
            let why = format!("seq {} follows {}: {missing} events are missing", row.seq, expected - 1);
            if self.is_session() {
                return Err(why);
            }
            self.pass(None, row.offset, why);
        }
        Ok(())
    }

    fn strange(&mut self, odd: &Odd) {
        let line = Some(self.lines + odd.lines + 1);
        let first = self.lines + odd.lines == 0;
        let misplaced = |what: &str| format!("{what} does not belong here");
        if self.damage.is_some() {
            return;
        }
        if self.footer.is_some() && !matches!(odd.what, Strange::Torn(_)) {
            return self.wrong(line, odd.offset, "a line after the footer".to_owned());
        }
        match &odd.what {
            Strange::Header(header) if first => {
                self.dialect = Some(Dialect::Session);
                if header.first_seq > 1 {
                    self.base = None;
                }
                self.tip.seq = header.first_seq.saturating_sub(1);
                self.header = Some(header.clone());
                if header.v != session::VERSION {
                    let why = format!(
                        "the session format has version {}, and this rig reads version {}",
                        header.v,
                        session::VERSION
                    );
                    self.wrong(line, odd.offset, why);
                }
            }
            Strange::RigdHeader(header) if first => {
                self.dialect = Some(Dialect::Rigd);
                self.rigd_header = Some(header.clone());
            }
            Strange::Checkpoint(checkpoint) if self.slots.is_empty() && self.is_due(checkpoint) => {
                match State::from_json(checkpoint.state.get().as_bytes()) {
                    Ok(state) => {
                        self.tip = state.clone();
                        self.base = Some(state);
                    }
                    Err(error) => self.wrong(line, odd.offset, error.to_string()),
                }
            }
            Strange::Footer(footer) if self.is_session() => {
                let last = self.tip.seq;
                if footer.events != self.slots.len() as u64 || footer.last_seq != last {
                    let why = format!(
                        "the footer counts {} events to seq {}, the file has {} to seq {last}",
                        footer.events,
                        footer.last_seq,
                        self.slots.len()
                    );
                    return self.wrong(line, odd.offset, why);
                }
                self.footer = Some(footer.clone());
            }
            Strange::Header(_) | Strange::RigdHeader(_) => {
                self.wrong(line, odd.offset, misplaced("a second header"));
            }
            Strange::Checkpoint(_) => self.wrong(line, odd.offset, misplaced("a checkpoint")),
            Strange::Footer(_) => self.wrong(line, odd.offset, misplaced("a footer without a header")),
            Strange::Bad(why) => self.wrong(line, odd.offset, why.clone()),
            Strange::Torn(bytes) => self.torn = Some(*bytes),
        }
    }

    /// Whether this is the checkpoint that the header asks for.
    fn is_due(&self, checkpoint: &Checkpoint) -> bool {
        let first_seq = self.header.as_ref().map_or(0, |header| header.first_seq);
        first_seq > 1 && self.base.is_none() && checkpoint.seq == first_seq - 1
    }

    /// Something is wrong: a session ends here, other recordings go on.
    fn wrong(&mut self, line: Option<u64>, offset: u64, why: String) {
        if self.is_session() {
            let damage = self.place(line, offset, why);
            self.damage.get_or_insert(damage);
        } else {
            self.pass(line, offset, why);
        }
    }

    fn pass(&mut self, line: Option<u64>, offset: u64, why: String) {
        self.passed_over += 1;
        if self.first_passed.is_none() {
            self.first_passed = Some(self.place(line, offset, why));
        }
    }

    fn place(&self, line: Option<u64>, offset: u64, why: String) -> Damage {
        let after = if self.slots.is_empty() { 0 } else { self.seq(self.slots.len() - 1) };
        // Only the first of its kind is told, so that counting lines again costs one reading.
        let line = line.unwrap_or_else(|| source::line_of(self.bytes.as_ref(), offset));
        Damage { after, line, offset, why }
    }

    fn is_session(&self) -> bool {
        self.dialect == Some(Dialect::Session)
    }
}

/// What a timeline tells.
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

    /// Whether anything so far says that it is a recording: a header, or an event.
    pub fn is_recording(&self) -> bool {
        !self.is_empty() || self.header.is_some() || self.rigd_header.is_some()
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
