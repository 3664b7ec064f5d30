//! Opening a stream's folder: which segments there are, and where the last one really ends.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use rig_event::Seq;

use super::commit::Active;
use super::files::{self, Description, SegmentFiles};
use super::offsets::{self, RECORD};
use super::scan::{self, Scan};
use super::view::Segment;
use crate::disk::Disk;
use crate::error::{Error, io_error};

/// The repairs that opening a log found necessary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Bytes of a torn tail that were cut off. None of it had been acknowledged as durable.
    pub cut_bytes: u64,
    /// The number of whole events among them, of an append that was not whole.
    pub cut_events: u64,
    /// The segment that was cut.
    pub cut_segment: Option<PathBuf>,
    /// Index records that were made new.
    pub index_records: u64,
    /// Segments that a prune left when it was cut short: deleted at the end of opening, once everything has been checked.
    pub pruned_segments: u64,
}

impl Recovery {
    /// Returns true if the log was as a clean end leaves it.
    pub fn is_clean(&self) -> bool {
        *self == Recovery::default()
    }
}

/// A stream's folder, read and set right.
pub struct Recovered {
    /// The segments with events.
    pub segments: Vec<Segment>,
    /// The one that takes the next events, if there is a segment at all.
    pub active: Option<Active>,
    /// Segments before the oldest event, which a prune did not come to delete.
    pub leftover: Vec<Seq>,
    /// The repairs.
    pub recovery: Recovery,
}

/// Reads a stream's folder; the lock is held. It deletes no segment: what says where the stream begins may be damaged, and
/// whoever opens the log can check more of that than is known here.
pub fn recover(disk: &dyn Disk, dir: &Path, description: &Description) -> Result<Recovered, Error> {
    let mut recovery = Recovery::default();
    let at = |first_seq| SegmentFiles::new(dir, &description.stream, first_seq);
    let mut found = files::list(dir)?;
    let pruned = found.partition_point(|&first_seq| first_seq < description.first_seq);
    let leftover: Vec<Seq> = found.drain(..pruned).collect();
    recovery.pruned_segments = leftover.len() as u64;
    for first_seq in files::indexed(dir)? {
        let files = at(first_seq);
        let records =
            fs::metadata(&files.index).map_err(io_error("read", &files.index))?.len() >= RECORD as u64;
        // An index is deleted before its lines, and has no record before there is a durable line.
        if first_seq >= description.first_seq && records && found.binary_search(&first_seq).is_err() {
            return Err(missing(&files));
        }
    }
    let Some((&last, sealed)) = found.split_last() else {
        if description.first_seq > 1 {
            return Err(misplaced(&at(description.first_seq), leftover.first().copied()));
        }
        return Ok(Recovered { segments: Vec::new(), active: None, leftover, recovery });
    };
    if found[0] != description.first_seq {
        return Err(misplaced(&at(description.first_seq), leftover.first().or(found.first()).copied()));
    }

    let mut segments = Vec::with_capacity(found.len());
    for (&first_seq, &next) in sealed.iter().zip(&found[1..]) {
        segments.push(open_sealed(&at(first_seq), next, &mut recovery)?);
    }
    let active = open_active(disk, at(last), &mut recovery)?;
    if active.events > 0 {
        segments.push(active.segment());
    }
    if recovery.cut_bytes > 0 {
        tracing::warn!(
            stream = %description.stream,
            bytes = recovery.cut_bytes,
            events = recovery.cut_events,
            "a torn tail was cut: it was never acknowledged"
        );
    }
    if recovery.index_records > 0 {
        let records = recovery.index_records;
        tracing::warn!(stream = %description.stream, records, "index records were made new from the segments");
    }
    Ok(Recovered { segments, active: Some(active), leftover, recovery })
}

fn missing(files: &SegmentFiles) -> Error {
    files.corrupt(files.first_seq, 0, "the segment that begins with it is missing").into()
}

/// No segment begins where `stream.json` says that the stream does; the oldest one there is begins with `oldest`.
fn misplaced(files: &SegmentFiles, oldest: Option<Seq>) -> Error {
    let Some(oldest) = oldest else { return missing(files) };
    let why = format!(
        "stream.json says that the stream begins with it, and no segment does: the oldest one begins with {oldest}; nothing was deleted"
    );
    files.corrupt(files.first_seq, 0, why).into()
}

/// A segment that was rolled: its index was synced, so it is trusted where it fits the file and what follows.
fn open_sealed(files: &SegmentFiles, next: Seq, recovery: &mut Recovery) -> Result<Segment, Error> {
    let events = next - files.first_seq;
    let bytes = fs::metadata(&files.data).map_err(io_error("read", &files.data))?.len();
    let fits = index_fits(files, events, bytes).map_err(io_error("read", &files.index))?;
    if !fits {
        let scan = scan::scan(files, None)?;
        if scan.events > events {
            return Err(files.corrupt(next, 0, "it stands in two segments").into());
        }
        if scan.events < events {
            let lost = files.first_seq + scan.events;
            let why = format!("the segment ends before it, and the next one begins with {next}");
            return Err(files.corrupt(lost, scan.bytes, why).into());
        }
        if scan.torn_bytes > 0 {
            return Err(files.corrupt(next, scan.bytes, "there are bytes after the segment's end").into());
        }
        let mend = || {
            scan::mend_index(files, &scan.repairs)?;
            File::options().write(true).open(&files.index)?.set_len(events * RECORD as u64)
        };
        mend().map_err(io_error("write", &files.index))?;
        recovery.index_records += scan.repairs.len();
    }
    Ok(Segment { first_seq: files.first_seq, events, bytes })
}

fn index_fits(files: &SegmentFiles, events: u64, bytes: u64) -> io::Result<bool> {
    let index = match File::open(&files.index) {
        Ok(index) => index,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(e) => return Err(e),
    };
    if index.metadata()?.len() != events * RECORD as u64 {
        return Ok(false);
    }
    let last = offsets::read_at(&index, files.first_seq, files.first_seq + events - 1, 1)?;
    Ok(matches!(last[..], [Some(record)] if u64::from(record.end) == bytes))
}

/// The last segment: read as a whole, cut back to its last whole append, and made durable up to there.
fn open_active(disk: &dyn Disk, files: SegmentFiles, recovery: &mut Recovery) -> Result<Active, Error> {
    let Scan { events, bytes, last, torn_events, torn_bytes, repairs, firm } = scan::scan(&files, None)?;
    let data = disk.open(&files.data).map_err(io_error("open", &files.data))?;
    let index = disk.open(&files.index).map_err(io_error("open", &files.index))?;
    if torn_bytes > 0 {
        recovery.cut_bytes = torn_bytes;
        recovery.cut_events = torn_events;
        recovery.cut_segment = Some(files.data.clone());
        data.set_len(bytes).map_err(io_error("cut", &files.data))?;
    }
    if torn_bytes > 0 || !firm {
        // Lines that no firm record covers may be in the page cache only.
        data.sync_data().map_err(io_error("sync", &files.data))?;
    }
    let mend = || {
        index.set_len(events * RECORD as u64)?;
        repairs.iter().try_for_each(|(offset, run)| index.write_all_at(run, offset))?;
        match last.filter(|_| !firm) {
            Some(last) => {
                let place = events - 1;
                index.write_all_at(&last.encode(files.first_seq + place), place * RECORD as u64)
            }
            None => Ok(()),
        }
    };
    mend().map_err(io_error("write", &files.index))?;
    recovery.index_records += repairs.len();
    Ok(Active { files, data, index, events, bytes, last })
}
