//! The durable part of a stream's folder, held open to be copied while its hub appends to it and prunes it.

use std::fs::{File, TryLockError};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rig_event::{Epoch, Head, Seq, StreamName};

use super::checksums::Checksums;
use super::files::{self, Description, SegmentFiles};
use super::offsets;
use super::scan;
use crate::error::{Error, io_error};

/// The interval at which a prune may come in between before that is an error.
const TRIES: usize = 100;

/// The durable part of a stream's log. Its files are open: a prune does not take them away.
pub struct Durable {
    /// The stream.
    pub stream: StreamName,
    /// Its life.
    pub epoch: Epoch,
    /// The oldest event.
    pub first_seq: Seq,
    /// `stream.json`, as it was when the segments were opened.
    pub description: Vec<u8>,
    /// The segments with events, ascending.
    pub segments: Vec<DurableSegment>,
    dir: PathBuf,
    /// Where no hub has the stream open: held, so that none opens it meanwhile.
    stopped: Option<File>,
}

/// A segment's lines.
pub struct DurableSegment {
    /// The seq that it begins with.
    pub first_seq: Seq,
    /// The name of its file.
    pub name: String,
    /// The file.
    pub file: File,
    /// The number of bytes of that it are durable: whole appends. 0 until [`Durable::measure`].
    pub bytes: u64,
}

impl Durable {
    /// Opens every segment there is. What is durable of the last one is told by [`Durable::measure`], later: what is read in between
    /// (the state at the cut, say) is not newer than the log.
    ///
    /// # Errors
    /// When the folder holds no stream, a segment is missing, or a file cannot be read.
    pub fn open(dir: &Path) -> Result<Durable, Error> {
        for _ in 0..TRIES {
            let stopped = idle(dir)?;
            let description = Description::read(dir)?;
            let mut segments = Vec::new();
            for first_seq in files::list(dir)?.into_iter().filter(|seq| *seq >= description.first_seq) {
                let files = SegmentFiles::new(dir, &description.stream, first_seq);
                let name = format!("{first_seq:020}.jsonl");
                match File::open(&files.data) {
                    Ok(file) => segments.push(DurableSegment { first_seq, name, file, bytes: 0 }),
                    // Pruned just now.
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                    Err(e) => return Err(io_error("open", &files.data)(e)),
                }
            }
            let begins = segments.first().map_or(1, |segment| segment.first_seq);
            if begins == description.first_seq {
                let text = description.to_bytes().map_err(io_error("read", &Description::path(dir)))?;
                let Description { stream, epoch, first_seq, .. } = description;
                let dir = dir.to_owned();
                return Ok(Durable { stream, epoch, first_seq, description: text, segments, dir, stopped });
            }
            if Description::read(dir)?.first_seq == description.first_seq {
                let files = SegmentFiles::new(dir, &description.stream, description.first_seq);
                let why = "the segment that begins with it is missing";
                return Err(files.corrupt(files.first_seq, 0, why).into());
            }
        }
        Err(io_error("read", dir)(io::Error::other("it was pruned again and again meanwhile")))
    }

    /// Takes the length of each segment, up to the end of the last append that is durable, and gives the head there. Segments
    /// without an event are left out.
    ///
    /// # Errors
    /// When a file cannot be read or is damaged.
    pub fn measure(&mut self) -> Result<Seq, Error> {
        let mut head = self.first_seq - 1;
        let last = self.segments.len().saturating_sub(1);
        for at in 0..self.segments.len() {
            let next = self.segments.get(at + 1).map(|segment| segment.first_seq);
            let DurableSegment { first_seq, file, .. } = &self.segments[at];
            let files = SegmentFiles::new(&self.dir, &self.stream, *first_seq);
            let (bytes, end) = match next {
                // Ended, and so synced before the next was begun.
                Some(next) => (file.metadata().map_err(io_error("read", &files.data))?.len(), next - 1),
                None if self.stopped.is_some() => {
                    let scan = scan::scan(&files, None)?;
                    (scan.bytes, first_seq + scan.events - 1)
                }
                None => match self.ended_since(*first_seq)? {
                    Some(next) => (file.metadata().map_err(io_error("read", &files.data))?.len(), next - 1),
                    None => synced(&files, file)?,
                },
            };
            self.segments[at].bytes = bytes;
            head = end;
        }
        if self.segments.get(last).is_some_and(|segment| segment.bytes == 0) {
            self.segments.pop();
        }
        Ok(head)
    }

    /// Returns the checksums of a segment's lines, to read them by.
    ///
    /// # Errors
    /// When there is an index and it cannot be read.
    pub fn checksums(&self, segment: &DurableSegment) -> Result<Checksums, Error> {
        let files = SegmentFiles::new(&self.dir, &self.stream, segment.first_seq);
        let index = files.index.clone();
        Checksums::open(files).map_err(io_error("read", &index))
    }

    /// Where the next segment begins, if one was begun since.
    fn ended_since(&self, last: Seq) -> Result<Option<Seq>, Error> {
        Ok(files::list(&self.dir)?.into_iter().find(|first_seq| *first_seq > last))
    }

    /// Returns true if no hub has the stream open.
    pub fn is_stopped(&self) -> bool {
        self.stopped.is_some()
    }
}

/// The lock of a stream that nobody has open.
fn idle(dir: &Path) -> Result<Option<File>, Error> {
    let path = dir.join("lock");
    let lock = match File::options().append(true).open(&path) {
        Ok(lock) => lock,
        // It is only read: nobody writes there.
        Err(e) if matches!(e.kind(), io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied) => {
            File::open(&path).map_err(io_error("open", &path))?
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io_error("open", &path)(e)),
    };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(e)) => Err(io_error("lock", &path)(e)),
    }
}

/// Returns what the index says was synced of the segment that is being written: bytes and last seq.
fn synced(files: &SegmentFiles, file: &File) -> Result<(u64, Seq), Error> {
    let unread = |e| io_error("read", &files.index)(e);
    let mut events = offsets::firm_events(&files.index, files.first_seq).map_err(unread)?;
    let index = match File::open(&files.index) {
        Ok(index) => index,
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok((0, files.first_seq - 1)),
        Err(e) => return Err(unread(e)),
    };
    let end_of = |events: u64| -> Result<u64, Error> {
        let Some(before) = events.checked_sub(1) else { return Ok(0) };
        let seq = files.first_seq + before;
        let record = offsets::read_at(&index, files.first_seq, seq, 1).map_err(unread)?;
        match record[..] {
            [Some(record)] => Ok(u64::from(record.end)),
            _ => Err(files.corrupt(seq, 0, "its index record is damaged").into()),
        }
    };
    // The records of an append may be there in part.
    while events > 0 {
        let (start, end) = (end_of(events - 1)?, end_of(events)?);
        let mut line = vec![0; end.saturating_sub(start) as usize];
        file.read_exact_at(&mut line, start).map_err(io_error("read", &files.data))?;
        let seq = files.first_seq + events - 1;
        let head =
            Head::parse(line.trim_ascii_end()).map_err(|e| files.corrupt(seq, start, e.to_string()))?;
        if head.more == 0 {
            return Ok((end, seq));
        }
        events -= 1;
    }
    Ok((0, files.first_seq - 1))
}
