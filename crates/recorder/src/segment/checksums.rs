//! Holding the lines of a segment that is read from outside against the checksums in its index.

use std::io;

use rig_event::Seq;

use super::files::SegmentFiles;
use super::offsets::Records;
use crate::error::{Error, io_error};

/// The checksums of a segment's lines, from the first on.
pub struct Checksums {
    files: SegmentFiles,
    records: Records,
    seq: Seq,
    offset: u64,
    unknown: u64,
}

impl Checksums {
    pub(super) fn open(files: SegmentFiles) -> io::Result<Checksums> {
        let records = Records::open(&files.index, files.first_seq)?;
        Ok(Checksums { seq: files.first_seq, files, records, offset: 0, unknown: 0 })
    }

    /// Checks the next line, which has its line end.
    ///
    /// # Errors
    /// When it is not the line that was written there, or the index cannot be read.
    pub fn check(&mut self, line: &[u8]) -> Result<(), Error> {
        let end = self.offset + line.len() as u64;
        match self.records.next().map_err(io_error("read", &self.files.index))?.flatten() {
            // Damaged or missing: the hub makes it new from the line.
            None => self.unknown += 1,
            Some(record) if u64::from(record.end) != end => {
                let why = format!("its line ends elsewhere than its index says ({})", record.end);
                return Err(self.files.corrupt(self.seq, self.offset, why).into());
            }
            Some(record) if record.crc != crc32c::crc32c(line) => {
                return Err(self.files.corrupt(self.seq, self.offset, "its checksum is wrong").into());
            }
            Some(_) => {}
        }
        (self.seq, self.offset) = (self.seq + 1, end);
        Ok(())
    }

    /// Returns how many of the lines so far have no sound checksum.
    pub fn unknown(&self) -> u64 {
        self.unknown
    }
}
