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
mod read;
mod scan;
mod skim;
mod source;

use std::sync::Arc;

use rig_event::session::{self, Checkpoint, Footer, Header};
use rig_event::{Envelope, Seq, Timestamp, rigd};

pub use cursor::Cursor;
pub use filter::{Filter, Matcher};
pub(crate) use json::Text;
pub use pace::Pace;
pub use scan::{Chunk, MAX_LONG_LINE};
pub(crate) use skim::Skim;
pub use source::{Bytes, STRETCH, Stretch, read_exact, stretch};

use crate::{Result, State};
use fold::{Flow, Op};
use names::{NONE, Names, Pairs};
use scan::{Effect, FOLDED, Odd, Row, Strange};

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
    /// Nothing but the beginning of its first line is there.
    cut_at_start: bool,
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
            cut_at_start: false,
            finished: false,
        }
    }

    /// Indexes the whole lines up to byte `to`, on this thread; with `last`, nothing will come after them.
    ///
    /// # Errors
    /// [`Error::Read`](crate::Error::Read).
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
        if self.footer.is_some() && !matches!(odd.what, Strange::Torn(..)) {
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
            Strange::Torn(bytes, begins) => {
                self.torn = Some(*bytes);
                self.cut_at_start = first && *begins;
            }
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
