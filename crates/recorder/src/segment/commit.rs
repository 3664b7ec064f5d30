//! The committer: one thread that writes what is queued, syncs once for all of it, and answers.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rig_event::Seq;

use super::files::SegmentFiles;
use super::offsets::{RECORD, Record};
use super::queue::{Gather, Next, Queued};
use super::view::Segment;
use super::{Durability, Shared};
use crate::disk::DiskFile;
use crate::error::AppendError;

/// The segment that takes the next events.
pub struct Active {
    /// Where it lies.
    pub files: SegmentFiles,
    /// Its lines.
    pub data: Box<dyn DiskFile>,
    /// Their index.
    pub index: Box<dyn DiskFile>,
    /// The number of events that it has.
    pub events: u64,
    /// The bytes of their lines.
    pub bytes: u64,
    /// The index record of the last one.
    pub last: Option<Record>,
}

impl Active {
    /// As readers see it.
    pub fn segment(&self) -> Segment {
        Segment { first_seq: self.files.first_seq, events: self.events, bytes: self.bytes }
    }

    /// The seq that follows its last event.
    pub fn next_seq(&self) -> Seq {
        self.files.first_seq + self.events
    }

    fn sync(&self) -> Result<(), Failure> {
        self.data.sync_data().map_err(failure("sync", &self.files.data))
    }
}

/// The action that failed, the file and the error of the system: the reason of a poisoned log.
type Failure = String;

fn failure(what: &str, path: &Path) -> impl FnOnce(io::Error) -> Failure {
    move |e| format!("cannot {what} {}: {e}", path.display())
}

/// Owns the end of the log.
pub struct Committer {
    shared: Arc<Shared>,
    active: Option<Active>,
    /// Bytes of a group of several batches, gathered for one write.
    gathered: Vec<u8>,
    /// Index records of a group.
    records: Vec<u8>,
    /// Since when there is something written and not synced; with [`Durability::Interval`] only.
    unsynced_since: Option<Instant>,
    /// The numbers of events of the last two groups.
    events: [u64; 2],
    /// The time that the last sync took; zero without one.
    synced_in: Duration,
}

/// The longest wait for a group to gather.
const LONGEST_GATHERING: Duration = Duration::from_millis(1);

impl Committer {
    /// A committer that goes on after the events of `active`.
    pub fn new(shared: Arc<Shared>, active: Option<Active>) -> Self {
        Committer {
            shared,
            active,
            gathered: Vec::new(),
            records: Vec::new(),
            unsynced_since: None,
            events: [0; 2],
            synced_in: Duration::ZERO,
        }
    }

    /// Runs until the queue is closed or a write fails.
    pub fn run(mut self) {
        let shared = self.shared.clone();
        // Were it to panic, appends would otherwise wait for ever.
        let _guard = PoisonOnPanic(&shared);
        let mut group = Vec::new();
        loop {
            let done = match shared.queue.next(self.room(), self.sync_due(), &self.gather(), &mut group) {
                Next::Group => self.commit(&mut group),
                Next::SyncDue => self.sync_written(),
                Next::Closed => match self.sync_written() {
                    Ok(()) => return,
                    failed => failed,
                },
            };
            if let Err(why) = done {
                tracing::error!(stream = %shared.description.stream, %why, "the log takes no more events");
                shared.queue.poison(&why);
                shared.queue.answer(&mut group, &Err(AppendError::Poisoned { why: why.into() }));
                return;
            }
        }
    }

    /// Returns the bytes that fit the active segment.
    fn room(&self) -> u64 {
        let used = self.active.as_ref().map_or(0, |active| active.bytes);
        self.shared.options.segment_bytes.saturating_sub(used)
    }

    /// Half of those who append are awaited: while their group is synced the other half can be worked on.
    ///
    /// Those who append one event after another were in one of the last two groups. Without the wait, groups of one event,
    /// the first to come back, and of all the others take turns.
    fn gather(&self) -> Gather {
        let patience = (2 * self.synced_in).min(LONGEST_GATHERING);
        Gather { events: (self.events[0] + self.events[1]) / 2, patience }
    }

    fn sync_due(&self) -> Option<Instant> {
        match self.shared.options.durability {
            Durability::Always => None,
            Durability::Interval(interval) => Some(self.unsynced_since? + interval),
        }
    }

    fn commit(&mut self, group: &mut Vec<Queued>) -> Result<(), Failure> {
        let bytes: usize = group.iter().map(|queued| queued.lines.bytes.len()).sum();
        // A batch that is larger than a segment has one to itself.
        let fits = |active: &Active| active.events == 0 || bytes as u64 <= self.room();
        let fits = self.active.as_ref().is_some_and(fits);
        let active = match self.active.take() {
            Some(active) if fits => active,
            full => self.roll(full, group[0].lines.first_seq)?,
        };
        let active = self.active.insert(active);

        let gathered = match &group[..] {
            [one] => &one.lines.bytes[..],
            several => {
                self.gathered.clear();
                several.iter().for_each(|queued| self.gathered.extend_from_slice(&queued.lines.bytes));
                &self.gathered
            }
        };
        let always = self.shared.options.durability == Durability::Always;
        self.records.clear();
        let mut last = active.last;
        let (mut seq, mut start) = (active.next_seq(), active.bytes as u32);
        for queued in group.iter() {
            for (&end, &crc) in queued.lines.ends.iter().zip(&queued.crcs) {
                let record = Record { end: start + end, crc, firm: always };
                self.records.extend_from_slice(&record.encode(seq));
                last = Some(record);
                seq += 1;
            }
            start += queued.lines.bytes.len() as u32;
        }
        match write(active, gathered, &self.records, always) {
            Ok(synced_in) => self.synced_in = synced_in,
            Err(why) => {
                take_back(active);
                return Err(why);
            }
        }
        self.events = [self.events[1], seq - active.next_seq()];
        active.events = seq - active.files.first_seq;
        active.bytes += bytes as u64;
        active.last = last;
        let segment = active.segment();
        // One very large group does not keep its memory for good.
        self.gathered.shrink_to(1 << 20);
        if !always {
            self.unsynced_since.get_or_insert_with(Instant::now);
        }
        self.shared.publish(segment, group);
        self.shared.queue.answer(group, &Ok(()));
        if self.sync_due().is_some_and(|due| due <= Instant::now()) {
            self.sync_written()?;
        }
        Ok(())
    }

    /// Ends a segment, whose index will be trusted from now on, and begins the next.
    fn roll(&mut self, full: Option<Active>, first_seq: Seq) -> Result<Active, Failure> {
        if let Some(full) = full {
            if self.unsynced_since.take().is_some() {
                full.sync()?;
            }
            full.index.sync_data().map_err(failure("sync", &full.files.index))?;
        }
        let Shared { disk, dir, description, .. } = &*self.shared;
        let files = SegmentFiles::new(dir, &description.stream, first_seq);
        let data = disk.create(&files.data).map_err(failure("create", &files.data))?;
        let index = disk.open(&files.index).map_err(failure("create", &files.index))?;
        disk.sync_dir(dir).map_err(failure("sync", dir))?;
        Ok(Active { files, data, index, events: 0, bytes: 0, last: None })
    }

    /// With [`Durability::Interval`]: makes durable what was written, and notes it in the index.
    fn sync_written(&mut self) -> Result<(), Failure> {
        let (Some(_), Some(active)) = (self.unsynced_since, &mut self.active) else { return Ok(()) };
        active.sync()?;
        if let Some(last) = &mut active.last {
            last.firm = true;
            let place = active.events - 1;
            let record = last.encode(active.files.first_seq + place);
            let written = active.index.write_all_at(&record, place * RECORD as u64);
            written.map_err(failure("write", &active.files.index))?;
        }
        self.unsynced_since = None;
        Ok(())
    }
}

/// Lines, then the sync, then the index: a firm record says that its line is durable. Tells how long the sync took.
fn write(active: &Active, lines: &[u8], records: &[u8], sync: bool) -> Result<Duration, Failure> {
    active.data.write_all_at(lines, active.bytes).map_err(failure("write", &active.files.data))?;
    let mut synced_in = Duration::ZERO;
    if sync {
        let begun = Instant::now();
        active.sync()?;
        synced_in = begun.elapsed();
    }
    let offset = active.events * RECORD as u64;
    active.index.write_all_at(records, offset).map_err(failure("write", &active.files.index))?;
    Ok(synced_in)
}

/// Cuts off what a failed write may have left, if that is possible.
///
/// The index first: lines without records are a torn tail, records without lines would be damage. What stays is at
/// worst a group that was not acknowledged.
fn take_back(active: &Active) {
    let cut =
        active.index.set_len(active.events * RECORD as u64).and_then(|()| active.data.set_len(active.bytes));
    if let Err(e) = cut {
        tracing::warn!(segment = %active.files.data.display(), "the failed write could not be taken back: {e}");
    }
}

struct PoisonOnPanic<'a>(&'a Shared);

impl Drop for PoisonOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.queue.poison("the committer failed");
        }
    }
}
