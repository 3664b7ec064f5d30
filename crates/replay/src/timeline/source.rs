//! Where a timeline's bytes come from, and how they are cut into stretches of whole lines.

use std::io;

use super::scan::{Chunk, MAX_LONG_LINE, Odd, Strange};
use crate::{Error, Result};

/// Bytes that can be read anywhere: a file, a piece of memory. They may grow at the end, and never change otherwise.
pub trait Bytes: Send + Sync + std::fmt::Debug {
    /// Reads from `offset` on into `buf` and gives how many bytes came; 0 at the end.
    ///
    /// # Errors
    /// What the system says.
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize>;

    /// How many there are now.
    ///
    /// # Errors
    /// What the system says.
    fn size(&self) -> io::Result<u64>;

    /// [`Bytes::size`], with the place in the error.
    ///
    /// # Errors
    /// [`Error::Read`].
    fn len(&self) -> Result<u64> {
        self.size().map_err(|why| Error::Read { offset: 0, why })
    }

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        matches!(self.size(), Ok(0))
    }
}

impl Bytes for Vec<u8> {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = usize::try_from(offset).ok().and_then(|offset| self.get(offset..)).unwrap_or_default();
        let len = rest.len().min(buf.len());
        buf[..len].copy_from_slice(&rest[..len]);
        Ok(len)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(Vec::len(self) as u64)
    }
}

/// About how long a stretch is: short enough that it is still in the processor's cache when it is scanned.
pub const STRETCH: u64 = 1 << 20;

/// What is read at once when looking for a line end.
const WINDOW: usize = 8 << 10;

/// Whole lines of a recording, to be scanned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins.
    pub start: u64,
    /// Where it ends.
    pub end: u64,
    /// Whether nothing comes after it.
    pub last: bool,
    /// It is one line that is longer than any may be.
    pub too_long: bool,
}

impl Stretch {
    /// Reads and scans it; `buffer` is only there to be used again.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn scan(&self, bytes: &dyn Bytes, buffer: &mut Vec<u8>) -> Result<Chunk> {
        if self.too_long {
            let why = format!("the line is longer than {MAX_LONG_LINE} bytes");
            let odd = Odd { before: 0, offset: self.start, lines: 0, what: Strange::Bad(why) };
            return Ok(Chunk {
                start: self.start,
                end: self.end,
                lines: 1,
                odd: vec![odd],
                ..Chunk::default()
            });
        }
        buffer.resize((self.end - self.start) as usize, 0);
        read_exact(bytes, buffer, self.start)?;
        Ok(Chunk::scan(buffer, self.start, self.last))
    }
}

/// The next stretch of whole lines from `from`, where a line begins, before `to`. `None`: there is none yet, or, when the bytes
/// up to `to` are the `last`, none any more.
///
/// # Errors
/// [`Error::Read`].
pub fn stretch(bytes: &dyn Bytes, from: u64, to: u64, last: bool) -> Result<Option<Stretch>> {
    if from >= to {
        return Ok(None);
    }
    let whole = |end: u64| Some(Stretch { start: from, end, last: last && end == to, too_long: false });
    let aim = from.saturating_add(STRETCH).min(to);
    // The line end at or after the aim, unless that is too far.
    let far = aim.saturating_add(MAX_LONG_LINE as u64).min(to);
    if let Some(end) = line_end(bytes, aim - 1, far)? {
        return Ok(whole(end));
    }
    if far == to && last {
        return Ok(whole(to));
    }
    // The line end before it.
    let mut end = aim;
    let mut window = vec![0; WINDOW];
    while end > from {
        let start = end.saturating_sub(WINDOW as u64).max(from);
        let piece = &mut window[..(end - start) as usize];
        read_exact(bytes, piece, start)?;
        if let Some(at) = memchr::memrchr(b'\n', piece) {
            return Ok(whole(start + at as u64 + 1));
        }
        end = start;
    }
    if far == to {
        return Ok(None);
    }
    // Nothing but the beginning of one endless line.
    match line_end(bytes, far, to)? {
        Some(end) => Ok(Some(Stretch { start: from, end, last: last && end == to, too_long: true })),
        None if last => Ok(Some(Stretch { start: from, end: to, last: true, too_long: true })),
        None => Ok(None),
    }
}

/// Where the first line that ends at or after `from` ends, before `to`.
fn line_end(bytes: &dyn Bytes, mut from: u64, to: u64) -> Result<Option<u64>> {
    let mut window = vec![0; WINDOW];
    while from < to {
        let len = (to - from).min(WINDOW as u64) as usize;
        let piece = &mut window[..len];
        read_exact(bytes, piece, from)?;
        if let Some(at) = memchr::memchr(b'\n', piece) {
            return Ok(Some(from + at as u64 + 1));
        }
        from += len as u64;
    }
    Ok(None)
}

/// The number of the line that begins at `offset`, from 1. Where bytes cannot be read, as far as they could.
pub(super) fn line_of(bytes: &dyn Bytes, offset: u64) -> u64 {
    let mut window = vec![0; WINDOW];
    let (mut at, mut lines) = (0, 1);
    while at < offset {
        let len = (offset - at).min(WINDOW as u64) as usize;
        if read_exact(bytes, &mut window[..len], at).is_err() {
            break;
        }
        lines += memchr::memchr_iter(b'\n', &window[..len]).count() as u64;
        at += len as u64;
    }
    lines
}

/// Fills `buf` with what stands at `offset`.
///
/// # Errors
/// [`Error::Read`], also where there is less.
pub fn read_exact(bytes: &dyn Bytes, buf: &mut [u8], offset: u64) -> Result<()> {
    let mut done = 0;
    while done < buf.len() {
        let at = offset + done as u64;
        match bytes.read_at(&mut buf[done..], at) {
            Ok(0) => {
                let why = io::Error::new(io::ErrorKind::UnexpectedEof, "the recording became shorter");
                return Err(Error::Read { offset: at, why });
            }
            Ok(len) => done += len,
            Err(why) if why.kind() == io::ErrorKind::Interrupted => {}
            Err(why) => return Err(Error::Read { offset: at, why }),
        }
    }
    Ok(())
}
