//! The `.idx` file beside a segment: for every line where it ends and its checksum, in records of fixed size.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use rig_event::Seq;

/// Bytes of one record.
pub const RECORD: usize = 12;

/// The entry of the index for a line.
///
/// On disk: `end`, `crc` and a check over them and the seq, each 32 bits little-endian. The check tells a damaged record
/// from a damaged line; that of a provisional record has all bits inverted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where in the segment the line ends, its line end included.
    pub end: u32,
    /// CRC-32C of the line with its line end.
    pub crc: u32,
    /// Written after the line was synced, and so were all before it. A line that has no firm record, and
    /// none after it, may be gone after a crash; one that has may not.
    pub firm: bool,
}

impl Record {
    /// The record as it stands in the file, at the place of `seq`.
    pub fn encode(self, seq: Seq) -> [u8; RECORD] {
        let mut bytes = [0; RECORD];
        bytes[..4].copy_from_slice(&self.end.to_le_bytes());
        bytes[4..8].copy_from_slice(&self.crc.to_le_bytes());
        let check = check(&bytes, seq);
        bytes[8..].copy_from_slice(&if self.firm { check } else { !check }.to_le_bytes());
        bytes
    }

    /// Reads the record at the place of `seq`; `None` when it is damaged.
    pub fn decode(bytes: &[u8; RECORD], seq: Seq) -> Option<Record> {
        let [end, crc, stored] = [0, 4, 8].map(|at| {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[at..at + 4]);
            u32::from_le_bytes(word)
        });
        let check = check(bytes, seq);
        (stored == check || stored == !check).then_some(Record { end, crc, firm: stored == check })
    }
}

fn check(bytes: &[u8; RECORD], seq: Seq) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&bytes[..8]), &seq.to_le_bytes())
}

/// The records of `count` lines, the first of which is `seq`, in a segment that begins with `first_seq`.
///
/// Where the file ends early or a record is damaged there is `None`.
pub fn read_at(file: &File, first_seq: Seq, seq: Seq, count: usize) -> io::Result<Vec<Option<Record>>> {
    let mut bytes = vec![0; count * RECORD];
    let offset = (seq - first_seq) * RECORD as u64;
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], offset + filled as u64) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(filled);
    let (whole, _) = bytes.as_chunks::<RECORD>();
    let mut records: Vec<_> = (seq..).zip(whole).map(|(seq, bytes)| Record::decode(bytes, seq)).collect();
    records.resize(count, None);
    Ok(records)
}

/// Every record of an index file in turn.
pub struct Records {
    file: Option<io::BufReader<File>>,
    seq: Seq,
}

impl Records {
    /// Starts at the beginning; a file that is missing has no records.
    pub fn open(path: &Path, first_seq: Seq) -> io::Result<Self> {
        let file = match File::open(path) {
            Ok(file) => Some(io::BufReader::with_capacity(64 << 10, file)),
            Err(e) if e.kind() == io::ErrorKind::NotFound => None,
            Err(e) => return Err(e),
        };
        Ok(Records { file, seq: first_seq })
    }

    /// The next one: the outer `None` is the end of the file, the inner one a damaged record.
    pub fn next(&mut self) -> io::Result<Option<Option<Record>>> {
        let Some(file) = &mut self.file else { return Ok(None) };
        let mut bytes = [0; RECORD];
        match file.read_exact(&mut bytes) {
            Ok(()) => {
                self.seq += 1;
                Ok(Some(Record::decode(&bytes, self.seq - 1)))
            }
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(e) => Err(e),
        }
    }
}

/// Returns the number of lines that were synced according to the index: up to the last firm record.
pub fn firm_events(path: &Path, first_seq: Seq) -> io::Result<u64> {
    let mut records = Records::open(path, first_seq)?;
    let (mut count, mut firm) = (0, 0);
    while let Some(record) = records.next()? {
        count += 1;
        if record.is_some_and(|record| record.firm) {
            firm = count;
        }
    }
    Ok(firm)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_and_any_other_place_shows() {
        for firm in [true, false] {
            let record = Record { end: 350, crc: 0xdead_beef, firm };
            let bytes = record.encode(7);
            assert_eq!(Record::decode(&bytes, 7), Some(record));
            assert_eq!(Record::decode(&bytes, 8), None);
            for bit in 0..RECORD * 8 {
                let mut damaged = bytes;
                damaged[bit / 8] ^= 1 << (bit % 8);
                assert_eq!(Record::decode(&damaged, 7), None, "bit {bit}");
            }
        }
        assert_eq!(Record::decode(&[0; RECORD], 1), None, "a page that was never written");
    }
}
