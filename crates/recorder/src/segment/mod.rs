//! `SegmentLog`: the log of a stream as a folder of plain JSONL files.
//!
//! # On disk
//!
//! ```text
//! stream.json                   whose events these are; after a prune, where they begin; with a checksum
//! lock                          held while a process has the stream open
//! 00000000000000000001.jsonl    the lines of seq 1 and on, and nothing else
//! 00000000000000000001.idx      for each line 12 bytes: its end, its CRC-32C, a check over both and the seq
//! 00000000000000190652.jsonl    the next segment, begun when the one before had no room for a batch
//! ```
//!
//! A batch holds one append or several and is in one segment as a whole. Every event of an append but the last says
//! `"more":N`, so that the lines alone tell where it ends.
//!
//! # What is true after a crash
//!
//! A commit writes the lines, syncs them, writes their index records, moves the head, answers: in this order. The
//! index itself is not synced (only when its segment is full). So:
//!
//! - An intact index record means that its line was durable, and so were all before it: such a line that is gone,
//!   cut or changed is **damage**, wherever it stands, the very end included. It is an error and nothing is cut.
//! - Lines past the last record may have been acknowledged (the power failed, and the index's last pages with it) or
//!   not (the process died between the write and the answer). If they are whole they are kept: an append that was
//!   not answered may be there or not, but as a whole.
//! - Past the last record, a line without its line end, or with NULs in it (a page that never reached the disk reads
//!   as zeros, and JSON has none), is what an interrupted write leaves: a **torn tail**. It is cut there, back to the
//!   end of the last whole append, and that is said. Such a write was not yet synced, so what follows in the file was
//!   not either.
//! - Past the last record, a whole line without NULs that is not the event that belongs there (no JSON, a gap, a
//!   repeat, an append that breaks off) is no trace of an interrupted write, but damage.
//! - A damaged or missing record is not a damaged line: the check tells them apart. It is made new from its line,
//!   which must still be an event with the right seq between the right neighbours.
//!
//! With [`Durability::Interval`] lines are answered before they are synced. Their records are *provisional* until a
//! sync has passed: they serve readers, and claim nothing at the next opening. After each sync the last record is
//! made firm, which speaks for all before it.
//!
//! A full segment is trusted if its index has a record for every seq up to the next segment and ends where the file
//! ends: opening reads a few bytes of it. Its lines are checked against their CRC when they are read, and so is
//! every line ever read from a file. What can't be seen here is the loss of whole segments at the end; the seals in
//! the log are for that.

mod checksums;
mod commit;
mod durable;
mod files;
mod offsets;
mod queue;
mod read;
mod recover;
mod scan;
mod view;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fs, io};

use rig_event::{Epoch, Seq, StreamName, Timestamp};
use tokio::sync::watch;

pub use checksums::Checksums;
pub use durable::{Durable, DurableSegment};
pub use recover::Recovery;

use self::commit::Committer;
use self::files::{Description, SegmentFiles};
use self::queue::{Queue, Queued};
use self::recover::Recovered;
use self::view::{Segment, View};
use crate::disk::{Disk, RealDisk};
use crate::error::{AppendError, Error, ReadError, io_error};
use crate::lines::Lines;
use crate::log::{BoxFuture, EventLog, MAX_PRUNABLE, Pending, Prunable, Pruned};

/// Options of writing a segment log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// A segment that would grow beyond this is ended. At most 2 GiB.
    pub segment_bytes: u64,
    /// When an append is answered.
    pub durability: Durability,
}

impl Default for Options {
    fn default() -> Self {
        Options { segment_bytes: 64 << 20, durability: Durability::Always }
    }
}

/// When an append is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// After it was synced. Written `always`.
    Always,
    /// After it was written; what was written is synced at most this much later. Written `interval=50ms`.
    Interval(Duration),
}

impl FromStr for Durability {
    type Err = NotADurability;

    fn from_str(text: &str) -> Result<Self, NotADurability> {
        if text == "always" {
            return Ok(Durability::Always);
        }
        let interval = text.strip_prefix("interval=").ok_or(NotADurability)?;
        let (number, unit) = match interval.strip_suffix("ms") {
            Some(number) => (number, 1),
            None => (interval.strip_suffix('s').ok_or(NotADurability)?, 1000),
        };
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(unit));
        match millis {
            Some(millis @ 1..=3_600_000) => Ok(Durability::Interval(Duration::from_millis(millis))),
            _ => Err(NotADurability),
        }
    }
}

/// A text names no durability.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a durability is `always` or `interval=` with a time from 1ms to 3600s, such as `interval=50ms`")]
pub struct NotADurability;

/// The log of a stream in a folder, open for writing by this process alone.
///
/// Dropping it commits what is queued and blocks until that is done, which takes a sync.
pub struct SegmentLog {
    shared: Arc<Shared>,
    committer: Mutex<Option<JoinHandle<()>>>,
    /// Released with the log.
    _lock: File,
}

/// The parts that the log and its committer share.
struct Shared {
    dir: PathBuf,
    description: Description,
    options: Options,
    disk: Arc<dyn Disk>,
    queue: Queue,
    /// The durable lines, for readers. The head moves after it.
    view: RwLock<View>,
    head: watch::Sender<Seq>,
    /// Held by a prune, so that there is one at a time. Segments that an earlier one did not come to delete.
    pruning: Mutex<Vec<Seq>>,
}

impl SegmentLog {
    /// Makes a stream in `dir`, which is made too where it is missing.
    pub fn create(
        dir: &Path,
        stream: StreamName,
        epoch: Epoch,
        created: Timestamp,
        options: Options,
    ) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(io_error("create", dir))?;
        let lock = files::lock(dir)?;
        match Description::read(dir) {
            Err(Error::NoStream { .. }) => {}
            Err(other) => return Err(other),
            Ok(_) => return Err(Error::Exists { dir: dir.to_owned() }),
        }
        if !files::list(dir)?.is_empty() || !files::indexed(dir)?.is_empty() {
            return Err(Error::NoDescription { dir: dir.to_owned() });
        }
        Description::new(stream, epoch, created).write(dir)?;
        if let Some(parent) = dir.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            RealDisk.sync_dir(parent).map_err(io_error("sync", parent))?;
        }
        Self::open_locked(lock, dir, options, Arc::new(RealDisk)).map(|(log, _)| log)
    }

    /// Opens the stream in `dir`, and tells what had to be set right for that.
    pub fn open(dir: &Path, options: Options) -> Result<(Self, Recovery), Error> {
        Self::open_on(Arc::new(RealDisk), dir, options)
    }

    /// Opens the stream in `dir`, with appends going through `disk`.
    pub fn open_on(disk: Arc<dyn Disk>, dir: &Path, options: Options) -> Result<(Self, Recovery), Error> {
        let (log, recovery) = Self::open_keeping_on(disk, dir, options)?;
        log.settle()?;
        Ok((log, recovery))
    }

    /// Opens the stream in `dir` and deletes no segment: for whoever checks more than the log can before it calls
    /// [`SegmentLog::settle`].
    pub fn open_keeping(dir: &Path, options: Options) -> Result<(Self, Recovery), Error> {
        Self::open_keeping_on(Arc::new(RealDisk), dir, options)
    }

    fn open_keeping_on(disk: Arc<dyn Disk>, dir: &Path, options: Options) -> Result<(Self, Recovery), Error> {
        // Read first, so that a folder that is no stream gets no lock file.
        match Description::read(dir) {
            Err(Error::NoStream { dir }) if !files::list(&dir)?.is_empty() => {
                return Err(Error::NoDescription { dir });
            }
            read => read?,
        };
        Self::open_locked(files::lock(dir)?, dir, options, disk)
    }

    fn open_locked(
        lock: File,
        dir: &Path,
        options: Options,
        disk: Arc<dyn Disk>,
    ) -> Result<(Self, Recovery), Error> {
        let options = Options { segment_bytes: options.segment_bytes.min(2 << 30), ..options };
        let description = Description::read(dir)?;
        let Recovered { segments, active, leftover, recovery } = recover::recover(&*disk, dir, &description)?;
        let head = active.as_ref().map_or(0, |active| active.next_seq() - 1);
        let shared = Arc::new(Shared {
            dir: dir.to_owned(),
            description,
            options,
            disk,
            queue: Queue::new(head + 1),
            view: RwLock::new(View::new(segments)),
            head: watch::Sender::new(head),
            pruning: Mutex::new(leftover),
        });
        let committer = Committer::new(shared.clone(), active);
        let committer = std::thread::Builder::new()
            .name("rig-commit".to_owned())
            .spawn(|| committer.run())
            .map_err(io_error("start the committer of", dir))?;
        Ok((SegmentLog { shared, committer: Mutex::new(Some(committer)), _lock: lock }, recovery))
    }

    /// When the stream was made.
    pub fn created(&self) -> Timestamp {
        self.shared.description.created
    }

    /// The stream's folder.
    pub fn dir(&self) -> &Path {
        &self.shared.dir
    }

    /// [`EventLog::read`] for code that is not asynchronous.
    pub fn read_blocking(&self, from: Seq, to: Seq, max_bytes: usize) -> Result<Lines, ReadError> {
        match self.shared.read_memory(from, to, max_bytes) {
            Some(read) => read,
            None => self.shared.read_disk(from, to, max_bytes),
        }
    }

    /// [`EventLog::prune`] for code that is not asynchronous.
    pub fn prune_blocking(&self, keep_from: Seq) -> Result<Pruned, Error> {
        self.shared.prune(keep_from)
    }

    /// Deletes the segments that a prune left when it was cut short, which lie before the oldest event, where no read leads. A
    /// `stream.json` that an earlier version wrote gets its checksum.
    pub fn settle(&self) -> Result<(), Error> {
        let mut leftover = self.shared.pruning.lock().unwrap_or_else(PoisonError::into_inner);
        leftover.iter().try_for_each(|&first_seq| self.shared.files(first_seq).delete())?;
        leftover.clear();
        // A prune writes it too, and it is held off here.
        let current = Description::read(&self.shared.dir)?;
        if current.checked { Ok(()) } else { current.write(&self.shared.dir) }
    }

    /// Takes no more appends, commits and syncs what is queued, and tells whether all of it is durable.
    pub fn close(&self) -> Result<(), AppendError> {
        self.shared.queue.close();
        let committer = self.committer.lock().unwrap_or_else(PoisonError::into_inner).take();
        if committer.is_some_and(|committer| committer.join().is_err()) {
            self.shared.queue.poison("the committer failed");
        }
        match self.shared.queue.poisoned() {
            Some(why) => Err(AppendError::Poisoned { why }),
            None => Ok(()),
        }
    }
}

impl Drop for SegmentLog {
    fn drop(&mut self) {
        if let Err(e) = self.close() {
            tracing::warn!(stream = %self.shared.description.stream, "closing the log: {e}");
        }
    }
}

impl Shared {
    /// Moves the head: after this readers see the group.
    fn publish(&self, active: Segment, group: &[Queued]) {
        let batches = group.iter().map(|queued| queued.lines.clone());
        self.view.write().unwrap_or_else(PoisonError::into_inner).publish(active, batches);
        self.head.send_replace(active.last_seq());
    }

    fn view(&self) -> RwLockReadGuard<'_, View> {
        self.view.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn head(&self) -> Seq {
        *self.head.borrow()
    }

    fn first_seq(&self) -> Seq {
        self.view().first_seq().unwrap_or_else(|| self.head() + 1)
    }

    /// A read that needs no file, because of where it begins; `None` when it needs one.
    fn read_memory(&self, from: Seq, to: Seq, max_bytes: usize) -> Option<Result<Lines, ReadError>> {
        let from = from.max(1);
        let view = self.view();
        match view.first_seq() {
            Some(first_seq) if from < first_seq => Some(Err(ReadError::Pruned { from, first_seq })),
            _ if from > to.min(self.head()) => Some(Ok(Lines::empty(from))),
            _ => view.recent(from, to, max_bytes).map(Ok),
        }
    }

    fn read_disk(&self, from: Seq, to: Seq, max_bytes: usize) -> Result<Lines, ReadError> {
        let from = from.max(1);
        let segment = self.view().segment_of(from);
        let read = segment
            .map(|segment| read::read(&self.files(segment.first_seq), segment.events, from, to, max_bytes));
        match read {
            Some(Ok(lines)) => Ok(lines),
            // A prune came in between.
            _ if from < self.first_seq() => Err(ReadError::Pruned { from, first_seq: self.first_seq() }),
            Some(failed) => failed,
            None => Ok(Lines::empty(from)),
        }
    }

    fn prune(&self, keep_from: Seq) -> Result<Pruned, Error> {
        let _alone = self.pruning.lock().unwrap_or_else(PoisonError::into_inner);
        let gone = self.view().prunable(keep_from).to_vec();
        let Some(last) = gone.last() else {
            return Ok(Pruned { first_seq: self.first_seq(), events: 0, bytes: 0 });
        };
        let first_seq = last.last_seq() + 1;
        let mut description = self.description.clone();
        description.first_seq = first_seq;
        description.write(&self.dir)?;
        self.view.write().unwrap_or_else(PoisonError::into_inner).forget(gone.len());
        for segment in &gone {
            self.files(segment.first_seq).delete()?;
        }
        Ok(Pruned {
            first_seq,
            events: gone.iter().map(|segment| segment.events).sum(),
            bytes: gone.iter().map(Segment::bytes_on_disk).sum(),
        })
    }

    fn files(&self, first_seq: Seq) -> SegmentFiles {
        SegmentFiles::new(&self.dir, &self.description.stream, first_seq)
    }
}

impl EventLog for SegmentLog {
    fn stream(&self) -> &StreamName {
        &self.shared.description.stream
    }

    fn epoch(&self) -> &Epoch {
        &self.shared.description.epoch
    }

    fn first_seq(&self) -> Seq {
        self.shared.first_seq()
    }

    fn head(&self) -> Seq {
        self.shared.head()
    }

    fn watch(&self) -> watch::Receiver<Seq> {
        self.shared.head.subscribe()
    }

    fn append(&self, batch: Lines) -> Pending {
        self.shared.queue.push(batch)
    }

    fn read(&self, from: Seq, to: Seq, max_bytes: usize) -> BoxFuture<'_, Result<Lines, ReadError>> {
        if let Some(read) = self.shared.read_memory(from, to, max_bytes) {
            return Box::pin(std::future::ready(read));
        }
        let shared = self.shared.clone();
        Box::pin(async move {
            let dir = shared.dir.clone();
            let reading = tokio::task::spawn_blocking(move || shared.read_disk(from, to, max_bytes));
            reading.await.unwrap_or_else(|e| Err(ReadError::Io { path: dir, source: io::Error::other(e) }))
        })
    }

    fn prunable(&self) -> Vec<Prunable> {
        let view = self.shared.view();
        let older = view.prunable(Seq::MAX).iter().take(MAX_PRUNABLE);
        older
            .map(|segment| Prunable { last_seq: segment.last_seq(), bytes: segment.bytes_on_disk() })
            .collect()
    }

    fn prune(&self, keep_from: Seq) -> BoxFuture<'_, Result<Pruned, Error>> {
        let shared = self.shared.clone();
        Box::pin(async move {
            let dir = shared.dir.clone();
            let pruning = tokio::task::spawn_blocking(move || shared.prune(keep_from));
            pruning.await.unwrap_or_else(|e| Err(io_error("prune", &dir)(io::Error::other(e))))
        })
    }

    fn settle(&self) -> Result<(), Error> {
        SegmentLog::settle(self)
    }

    fn bytes(&self) -> u64 {
        self.shared.view().bytes_on_disk()
    }

    fn queued_bytes(&self) -> u64 {
        self.shared.queue.bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durabilities_are_named() {
        assert_eq!("always".parse(), Ok(Durability::Always));
        assert_eq!("interval=50ms".parse(), Ok(Durability::Interval(Duration::from_millis(50))));
        assert_eq!("interval=2s".parse(), Ok(Durability::Interval(Duration::from_secs(2))));
        for bad in [
            "",
            "never",
            "interval",
            "interval=",
            "interval=5",
            "interval=0ms",
            "interval=-1s",
            "interval=9999s",
        ] {
            assert_eq!(bad.parse::<Durability>(), Err(NotADurability), "{bad}");
        }
    }
}
