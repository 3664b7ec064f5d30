//! Reading a whole segment against its index: what is sound, what is a torn tail, what is damage.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

use rig_event::{Head, MAX_LINE, Seq};

use super::files::SegmentFiles;
use super::offsets::{self, RECORD, Record, Records};
use crate::error::{Error, io_error};

/// The content of a segment.
#[derive(Debug, Default)]
pub struct Scan {
    /// Events up to the end of the last whole append.
    pub events: u64,
    /// Where that append ends.
    pub bytes: u64,
    /// The record of its last line.
    pub last: Option<Record>,
    /// Events of an append that is not whole, which come after.
    pub torn_events: u64,
    /// Bytes after the last whole append.
    pub torn_bytes: u64,
    /// Index records that were missing or damaged, made new.
    pub repairs: Repairs,
    /// True if the index knows all these events as synced.
    pub firm: bool,
}

/// Index records to be written, in runs that lie together.
#[derive(Debug, Default)]
pub struct Repairs {
    runs: Vec<(u64, Vec<u8>)>,
}

impl Repairs {
    fn push(&mut self, place: u64, record: [u8; RECORD]) {
        match self.runs.last_mut() {
            Some((start, run)) if *start + (run.len() / RECORD) as u64 == place => run.extend(record),
            _ => self.runs.push((place, record.to_vec())),
        }
    }

    fn truncate(&mut self, places: u64) {
        self.runs.retain(|(start, _)| *start < places);
        if let Some((start, run)) = self.runs.last_mut() {
            run.truncate((places - *start) as usize * RECORD);
        }
    }

    /// Each run with its offset in the index file.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.runs.iter().map(|(place, run)| (place * RECORD as u64, run.as_slice()))
    }

    /// The number of records that there are.
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|(_, run)| (run.len() / RECORD) as u64).sum()
    }
}

/// Why a place in a segment does not hold the line that it should.
struct Flaw {
    why: String,
    /// True if an interrupted write can have left it so.
    can_be_torn: bool,
}

/// Reads a segment from its beginning, at most `limit` events of it.
pub fn scan(files: &SegmentFiles, limit: Option<u64>) -> Result<Scan, Error> {
    let read_failed = |e| io_error("read", &files.data)(e);
    let index_failed = |e| io_error("read", &files.index)(e);
    let firm = offsets::firm_events(&files.index, files.first_seq).map_err(index_failed)?;
    let mut records = Records::open(&files.index, files.first_seq).map_err(index_failed)?;
    let file = File::open(&files.data).map_err(read_failed)?;
    let len = file.metadata().map_err(read_failed)?.len();
    let mut file = BufReader::with_capacity(256 << 10, file);

    let mut scan = Scan { firm: true, ..Scan::default() };
    let (mut events, mut offset, mut more) = (0, 0, 0);
    let mut line = Vec::new();
    while limit.is_none_or(|limit| events < limit) {
        let seq = files.first_seq + events;
        line.clear();
        file.by_ref().take(MAX_LINE as u64 + 1).read_until(b'\n', &mut line).map_err(read_failed)?;
        let synced = events < firm;
        if line.is_empty() {
            if synced {
                let lost = firm - events;
                let why = format!("the file ends here, but {lost} more events were synced to it");
                return Err(files.corrupt(seq, offset, why).into());
            }
            break;
        }
        let record = records.next().map_err(index_failed)?.flatten();
        let head_more = match judge(&line, seq, offset, more, record) {
            Ok(head_more) => head_more,
            Err(flaw) if flaw.can_be_torn && !synced => break,
            Err(flaw) => return Err(files.corrupt(seq, offset, flaw.why).into()),
        };
        more = head_more;
        let end = offset + line.len() as u64;
        let sound = Record {
            end: u32::try_from(end).map_err(|_| files.corrupt(seq, offset, "the segment is over 4 GiB"))?,
            crc: crc32c::crc32c(&line),
            firm: true,
        };
        if record.is_none() {
            scan.repairs.push(events, sound.encode(seq));
        }
        offset = end;
        events += 1;
        if more == 0 {
            (scan.events, scan.bytes, scan.last) = (events, offset, Some(sound));
        }
    }
    if limit.is_some() {
        return Ok(scan);
    }
    if scan.events < firm {
        let why = format!("the file ends here, but {more} more events of its append were synced");
        return Err(files.corrupt(files.first_seq + events, offset, why).into());
    }
    scan.repairs.truncate(scan.events);
    scan.firm = scan.events == firm;
    scan.torn_events = events - scan.events;
    scan.torn_bytes = len.saturating_sub(scan.bytes);
    Ok(scan)
}

/// Returns true if a line is the one that stands at this place; then how many of its append follow it.
fn judge(line: &[u8], seq: Seq, offset: u64, more: u32, record: Option<Record>) -> Result<u32, Flaw> {
    let torn = |why: &str| Flaw { why: why.to_owned(), can_be_torn: true };
    // A page that never reached the disk reads as NULs, which no event holds.
    let flawed = |why: String| Flaw { why, can_be_torn: memchr::memchr(0, line).is_some() };
    let Some((b'\n', text)) = line.split_last() else {
        return Err(if line.len() > MAX_LINE {
            flawed(format!("no line end within {MAX_LINE} bytes"))
        } else {
            torn("the line is cut")
        });
    };
    if let Some(record) = record {
        if u64::from(record.end) != offset + line.len() as u64 {
            return Err(flawed(format!("its line ends elsewhere than its index says ({})", record.end)));
        }
        if record.crc != crc32c::crc32c(line) {
            return Err(flawed("its checksum is wrong".to_owned()));
        }
    }
    let head = Head::parse(text).map_err(|e| flawed(e.to_string()))?;
    if head.seq != seq {
        return Err(flawed(format!("seq {} stands where {seq} should", head.seq)));
    }
    if more > 0 && head.more != more - 1 {
        let (expected, found) = (more - 1, head.more);
        return Err(flawed(format!("{expected} events of its append should follow it, but it says {found}")));
    }
    Ok(head.more)
}

/// Writes the repaired records of a segment that is only read, for the next reader.
pub fn mend_index(files: &SegmentFiles, repairs: &Repairs) -> io::Result<()> {
    use std::os::unix::fs::FileExt;
    let file = File::options().write(true).create(true).truncate(false).open(&files.index)?;
    repairs.iter().try_for_each(|(offset, run)| file.write_all_at(run, offset))
}
