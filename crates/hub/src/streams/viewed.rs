//! The timeline of a stream that somebody looks at. It grows with the stream when it is asked, and is given back when nobody has
//! asked for a while.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use bytes::Bytes as Buffer;
use rig_event::session::{Checkpoint, Header, VERSION};
use rig_event::{Epoch, Seq, StreamName};
use rig_recorder::{EventLog, Lines};
use rig_replay::timeline::{Bytes, Chunk};
use rig_replay::traffic::Row;
use rig_replay::{State, Timeline};
use serde_json::value::to_raw_value;

use super::cut::Cut;
use super::playback::PlaybackLog;
use crate::options::READ_BYTES;
use crate::problem::Problem;

/// Most events of a stream that is viewed. With 40 bytes an event this bounds what a view takes.
const MAX_VIEWED: u64 = 20_000_000;

/// The number of lines between two whose offsets are kept.
const STEP: u64 = 64;

/// The number of bytes that are read at once where lines are looked up.
const AHEAD: usize = 128 << 10;

/// A stream as far as its view has come: its timeline, and the latency of every exchange.
#[derive(Debug)]
pub struct View {
    timeline: Arc<Timeline>,
    /// In microseconds; [`NO_LATENCY`] for what is no exchange.
    latencies: Vec<u32>,
    /// Where the lines of the log are; absent for a recording, which has a timeline of its own.
    lines: Option<Arc<LogBytes>>,
    /// The seq of the first event.
    first_seq: Seq,
    /// The seq that comes next.
    next: Seq,
    begun: Instant,
    /// When it was last used, in milliseconds after it was begun.
    used: AtomicU64,
}

/// The latency of an event that has none.
pub const NO_LATENCY: u32 = u32::MAX;

impl View {
    /// Returns the timeline. Of a recording that is being played it has events that have not happened yet.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Returns the latency of the event at a position in microseconds, or [`NO_LATENCY`].
    pub fn latency(&self, at: usize) -> u32 {
        self.latencies.get(at).copied().unwrap_or(NO_LATENCY)
    }

    /// Begins the view of a stream with the state before its first event.
    fn begin(stream: &Subject<'_>) -> Result<View, Problem> {
        let (base, first_seq) = (&stream.base, stream.first_seq());
        let header = Header {
            v: VERSION,
            session: stream.name.to_string(),
            stream: stream.name.clone(),
            epoch: stream.epoch.clone(),
            first_seq,
            chain: base.chain.to_string(),
            started: base.state.ts,
            rig: env!("CARGO_PKG_VERSION").to_owned(),
            scrubbed: None,
        };
        let defect = |e: serde_json::Error| Problem::internal("defect", e.to_string());
        let mut head = serde_json::to_vec(&header).map_err(defect)?;
        head.push(b'\n');
        if first_seq > 1 {
            let checkpoint = Checkpoint {
                seq: base.state.seq,
                hash: base.state.hash(),
                state: to_raw_value(&base.state.view(stream.name.as_str())).map_err(defect)?,
                signatures: Vec::new(),
            };
            head.extend(serde_json::to_vec(&checkpoint).map_err(defect)?);
            head.push(b'\n');
        }
        let chunk = Chunk::scan(&head, 0, false);
        let lines = Arc::new(LogBytes::new(stream.log.clone(), head, first_seq));
        let mut timeline = Timeline::new(lines.clone(), stream.name.as_str());
        timeline.extend(chunk);
        Ok(View::new(Arc::new(timeline), Some(lines), first_seq))
    }

    /// Returns the view of a recording.
    fn of_recording(log: &PlaybackLog) -> Result<View, rig_replay::Error> {
        let timeline = log.0.timeline.clone();
        let mut view = View::new(timeline.clone(), None, log.first_seq());
        view.latencies = vec![NO_LATENCY; timeline.len()];
        let traffic = (0..timeline.len()).filter(|at| timeline.entry(*at).edge.is_some());
        timeline.visit(traffic, |at, line| {
            view.latencies[at] = latency(line);
            Ok::<(), rig_replay::Error>(())
        })?;
        view.next = timeline.seq(timeline.len());
        Ok(view)
    }

    fn new(timeline: Arc<Timeline>, lines: Option<Arc<LogBytes>>, first_seq: Seq) -> View {
        let (begun, used) = (Instant::now(), AtomicU64::new(0));
        View { timeline, latencies: Vec::new(), lines, first_seq, next: first_seq, begun, used }
    }

    /// Takes the lines that come next.
    fn take(&mut self, lines: &Lines) {
        let (Some(bytes), Some(timeline)) = (&self.lines, Arc::get_mut(&mut self.timeline)) else { return };
        let chunk = Chunk::scan(&lines.bytes, bytes.size_now(), false);
        bytes.grow(lines);
        timeline.extend(chunk);
        for ((_, line), at) in lines.iter().zip(self.latencies.len()..timeline.len()) {
            let is_traffic = timeline.entry(at).edge.is_some();
            self.latencies.push(if is_traffic { latency(line) } else { NO_LATENCY });
        }
        self.next = lines.last_seq() + 1;
    }

    fn touch(&self) {
        self.used.store(self.begun.elapsed().as_millis() as u64, Relaxed);
    }

    /// Returns for how long nobody has used it.
    fn idle(&self) -> Duration {
        self.begun.elapsed().saturating_sub(Duration::from_millis(self.used.load(Relaxed)))
    }
}

fn latency(line: &[u8]) -> u32 {
    let us = Row::read(line).and_then(|row| row.latency_us);
    us.map_or(NO_LATENCY, |us| us.min(u64::from(NO_LATENCY - 1)) as u32)
}

/// The view of a stream, while there is one.
#[derive(Debug, Default)]
pub(crate) struct Viewed(tokio::sync::RwLock<Option<View>>);

/// A stream that is to be viewed, as it is now.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'a StreamName,
    pub(crate) epoch: &'a Epoch,
    pub(crate) log: &'a Arc<dyn EventLog>,
    pub(crate) base: Arc<Cut>,
    pub(crate) head: Seq,
    pub(crate) recording: Option<&'a PlaybackLog>,
}

impl Subject<'_> {
    fn first_seq(&self) -> Seq {
        self.base.state.seq + 1
    }

    fn is_covered(&self, view: &View) -> bool {
        self.recording.is_some() || view.first_seq == self.first_seq() && view.next > self.head
    }
}

impl Viewed {
    /// Lets `see` look at the view, which is begun if there is none and brought up to the subject's head.
    ///
    /// # Errors
    /// `too-large`, `damaged-log`, `busy`, and what `see` returns.
    pub(crate) async fn look<T>(
        &self,
        subject: Subject<'_>,
        see: impl FnOnce(&View) -> Result<T, Problem>,
    ) -> Result<T, Problem> {
        if !self.0.read().await.as_ref().is_some_and(|view| subject.is_covered(view)) {
            grow(&mut *self.0.write().await, &subject).await?;
        }
        let view = self.0.read().await;
        let view = view.as_ref().ok_or_else(|| Problem::unavailable("busy", "the view was given back"))?;
        view.touch();
        tokio::task::block_in_place(|| see(view))
    }

    /// Returns the state at `seq` of a stream that begins with `first_seq`, if there is a view that has it.
    pub(crate) fn state(&self, first_seq: Seq, seq: Seq) -> Option<State> {
        let view = self.0.try_read().ok()?;
        let view = view.as_ref().filter(|view| view.first_seq == first_seq)?;
        let n = view.timeline.position(seq)? + 1;
        view.touch();
        tokio::task::block_in_place(|| view.timeline.state(n)).ok()
    }

    /// Returns for how long nobody has looked; `None` if there is no view, or somebody looks at it now.
    pub(crate) fn idle(&self) -> Option<Duration> {
        self.0.try_write().ok()?.as_ref().map(View::idle)
    }

    /// Gives the view back, unless somebody looks at it now.
    pub(crate) fn close(&self) {
        if let Ok(mut view) = self.0.try_write() {
            *view = None;
        }
    }
}

/// Brings a view up to the subject's head.
async fn grow(slot: &mut Option<View>, subject: &Subject<'_>) -> Result<(), Problem> {
    let damaged = |why: String| Problem::internal("damaged-log", why);
    if let Some(log) = subject.recording {
        if slot.is_none() {
            let view = tokio::task::block_in_place(|| View::of_recording(log));
            *slot = Some(view.map_err(|e| damaged(e.to_string()))?);
        }
        return Ok(());
    }
    let (first_seq, head) = (subject.first_seq(), subject.head);
    if head.saturating_sub(first_seq) >= MAX_VIEWED {
        let detail = format!(
            "stream {} has more than {MAX_VIEWED} events, which is too many to look at as a whole; \
             `rig record --from` takes a stretch of them",
            subject.name
        );
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail));
    }
    // After a prune it begins elsewhere.
    if slot.as_ref().is_some_and(|view| view.first_seq != first_seq) {
        *slot = None;
    }
    let view = match slot {
        Some(view) => view,
        None => slot.insert(View::begin(subject)?),
    };
    while view.next <= head {
        let lines = subject.log.read(view.next, head, READ_BYTES).await;
        let lines = lines.map_err(|e| damaged(e.to_string()))?;
        if lines.is_empty() {
            return Err(damaged(format!("event {} is missing", view.next)));
        }
        tokio::task::block_in_place(|| view.take(&lines));
        if let Some(damage) = view.timeline.damage() {
            return Err(damaged(damage.to_string()));
        }
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// The lines of a log as one stretch of bytes, behind a head.
struct LogBytes {
    log: Arc<dyn EventLog>,
    head: Vec<u8>,
    first_seq: Seq,
    marks: RwLock<Marks>,
    /// The piece that was read last, and where it begins.
    near: Mutex<(u64, Buffer)>,
}

/// Where lines are.
struct Marks {
    /// Where every [`STEP`]th line begins.
    offsets: Vec<u64>,
    lines: u64,
    size: u64,
}

impl std::fmt::Debug for LogBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogBytes").field("stream", self.log.stream()).finish_non_exhaustive()
    }
}

impl LogBytes {
    fn new(log: Arc<dyn EventLog>, head: Vec<u8>, first_seq: Seq) -> LogBytes {
        let marks = RwLock::new(Marks { offsets: Vec::new(), lines: 0, size: head.len() as u64 });
        LogBytes { log, head, first_seq, marks, near: Mutex::default() }
    }

    fn size_now(&self) -> u64 {
        self.marks.read().unwrap_or_else(PoisonError::into_inner).size
    }

    fn grow(&self, lines: &Lines) {
        let mut marks = self.marks.write().unwrap_or_else(PoisonError::into_inner);
        for (_, line) in lines.iter() {
            if marks.lines.is_multiple_of(STEP) {
                let begin = marks.size;
                marks.offsets.push(begin);
            }
            marks.lines += 1;
            marks.size += line.len() as u64 + 1;
        }
    }

    /// Reads a piece that has what stands at `offset`, which lies behind the head; `None` at the end.
    fn piece(&self, offset: u64) -> io::Result<Option<(u64, Buffer)>> {
        let (mut begin, mut seq, last) = {
            let marks = self.marks.read().unwrap_or_else(PoisonError::into_inner);
            if offset >= marks.size {
                return Ok(None);
            }
            let block = marks.offsets.partition_point(|begin| *begin <= offset) - 1;
            let seq = self.first_seq + block as u64 * STEP;
            (marks.offsets[block], seq, self.first_seq + marks.lines - 1)
        };
        let runtime = tokio::runtime::Handle::try_current().map_err(io::Error::other)?;
        loop {
            let lines = tokio::task::block_in_place(|| runtime.block_on(self.log.read(seq, last, AHEAD)));
            let lines = lines.map_err(io::Error::other)?;
            if lines.is_empty() {
                return Err(io::Error::other(format!("event {seq} is missing")));
            }
            let end = begin + lines.bytes.len() as u64;
            if offset < end {
                return Ok(Some((begin, lines.bytes)));
            }
            (begin, seq) = (end, lines.last_seq() + 1);
        }
    }
}

impl Bytes for LogBytes {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let copy = |buf: &mut [u8], begin: u64, piece: &[u8]| {
            let rest = piece.get((offset - begin) as usize..).unwrap_or_default();
            let len = rest.len().min(buf.len());
            buf[..len].copy_from_slice(&rest[..len]);
            len
        };
        if offset < self.head.len() as u64 {
            return Ok(copy(buf, 0, &self.head));
        }
        let (begin, piece) = self.near.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if (begin..begin + piece.len() as u64).contains(&offset) {
            return Ok(copy(buf, begin, &piece));
        }
        let Some((begin, piece)) = self.piece(offset)? else { return Ok(0) };
        let len = copy(buf, begin, &piece);
        *self.near.lock().unwrap_or_else(PoisonError::into_inner) = (begin, piece);
        Ok(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.size_now())
    }
}
