//! Reading lines of a segment through its index, checking each against its checksum.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use rig_event::Seq;

use super::files::SegmentFiles;
use super::offsets::{self, Record};
use super::scan;
use crate::error::{Error, ReadError};
use crate::lines::Lines;

/// The most lines that one read gives, which bounds what it takes of the index. An append may have more of them.
const MAX_LINES: u64 = 4096;

/// The lines from `from` to `to` of one segment, which holds at least these `events`; one line at least.
pub fn read(
    files: &SegmentFiles,
    events: u64,
    from: Seq,
    to: Seq,
    max_bytes: usize,
) -> Result<Lines, ReadError> {
    let to = to.min(files.first_seq + events - 1).min(from + MAX_LINES - 1);
    let (start, records) = match records(files, from, to)? {
        Some(found) => found,
        None => {
            mend(files, events)?;
            records(files, from, to)?.ok_or_else(|| files.corrupt(from, 0, "its index cannot be mended"))?
        }
    };
    let fitting = records.partition_point(|record| (record.end - start) as usize <= max_bytes).max(1);
    let records = &records[..fitting];
    let mut bytes = vec![0; (records[fitting - 1].end - start) as usize];
    let data = File::open(&files.data).map_err(io_failed(&files.data))?;
    if let Err(e) = data.read_exact_at(&mut bytes, u64::from(start)) {
        if e.kind() != io::ErrorKind::UnexpectedEof {
            return Err(io_failed(&files.data)(e));
        }
        let len = data.metadata().map_err(io_failed(&files.data))?.len();
        let lost = records.iter().filter(|record| u64::from(record.end) <= len).count();
        return Err(files.corrupt(from + lost as Seq, len, "the file ends before this event").into());
    }
    let mut ends = Vec::with_capacity(fitting);
    let mut line_start = 0;
    for (seq, record) in (from..).zip(records) {
        let end = record.end - start;
        let line = &bytes[line_start as usize..end as usize];
        if crc32c::crc32c(line) != record.crc {
            let offset = u64::from(start + line_start);
            return Err(files.corrupt(seq, offset, "its checksum is wrong").into());
        }
        ends.push(end);
        line_start = end;
    }
    Ok(Lines { first_seq: from, bytes: bytes.into(), ends: ends.into() })
}

/// Where the first line starts, and the record of each; `None` when a record is damaged.
fn records(files: &SegmentFiles, from: Seq, to: Seq) -> Result<Option<(u32, Vec<Record>)>, ReadError> {
    let index = match File::open(&files.index) {
        Ok(index) => index,
        Err(e) if e.kind() == io::ErrorKind::NotFound && files.data.exists() => return Ok(None),
        Err(e) => return Err(io_failed(&files.index)(e)),
    };
    // The line begins where the one before it ends.
    let before = u64::from(from > files.first_seq);
    let count = (to - from + 1 + before) as usize;
    let read = offsets::read_at(&index, files.first_seq, from - before, count);
    let read: Option<Vec<Record>> = read.map_err(io_failed(&files.index))?.into_iter().collect();
    let Some(mut records) = read else { return Ok(None) };
    let start = if before == 1 { records.remove(0).end } else { 0 };
    let rising = records.iter().try_fold(start, |end, record| (record.end > end).then_some(record.end));
    Ok(rising.map(|_| (start, records)))
}

/// Makes the damaged records of the index new from the lines.
fn mend(files: &SegmentFiles, events: u64) -> Result<(), ReadError> {
    tracing::warn!(segment = %files.data.display(), "the segment's index is damaged and is rebuilt");
    let found = scan::scan(files, Some(events)).map_err(|e| match e {
        Error::Corrupt(corrupt) => ReadError::Corrupt(corrupt),
        Error::Io { path, source, .. } => ReadError::Io { path, source },
        other => ReadError::Io { path: files.data.clone(), source: io::Error::other(other) },
    })?;
    scan::mend_index(files, &found.repairs).map_err(io_failed(&files.index))
}

fn io_failed(path: &Path) -> impl Fn(io::Error) -> ReadError + '_ {
    |source| ReadError::Io { path: path.to_owned(), source }
}
