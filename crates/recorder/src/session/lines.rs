//! Lines of a file that may be compressed, may be cut, and may hold anything: never more than a limit in memory.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use rig_event::session::BYTE_ORDER_MARK;

/// The number of bytes tell that a compressed file.
pub const ZSTD_START: usize = 4;

/// Returns true if a file that begins so is compressed; `start` are its first [`ZSTD_START`] bytes, or all it has.
pub fn is_zstd(start: &[u8]) -> bool {
    let magic: [u8; ZSTD_START] = [0x28, 0xb5, 0x2f, 0xfd];
    // Frames to be skipped, with which pzstd begins.
    let is_skippable = match start {
        [0x50..=0x5f, rest @ ..] => [0x2a, 0x4d, 0x18].starts_with(rest),
        _ => false,
    };
    !start.is_empty() && (magic.starts_with(start) || is_skippable && start.len() > 1)
}

/// Returns by what a file is packed that begins so and cannot be read.
fn packed_by(start: &[u8]) -> Option<&'static str> {
    match start {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [b'P', b'K', 3, 4] | [b'P', b'K', 5, 6] => Some("zip"),
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        [0xfd, b'7', b'z', b'X'] => Some("xz"),
        [0x04, 0x22, 0x4d, 0x18] => Some("lz4"),
        _ => None,
    }
}

/// The bytes looked at to tell a compressed file, and then the rest.
type Whole<R> = Chain<Cursor<Vec<u8>>, R>;

enum Input<R: BufRead> {
    Plain(Whole<R>),
    Zstd(BufReader<zstd::stream::read::Decoder<'static, Whole<R>>>),
}

/// A line as it was found.
pub enum Found {
    /// A line without its line end.
    Line {
        /// Its bytes.
        text: Vec<u8>,
        /// True if it has its line end; the file ends in it otherwise.
        whole: bool,
    },
    /// A line that is longer than the limit.
    TooLong {
        /// As on a line.
        whole: bool,
    },
    /// Nothing more.
    End,
}

/// Splits a file into lines.
pub struct LineReader<R: BufRead> {
    input: Input<R>,
    /// Where the next line begins.
    pub offset: u64,
    /// The number of the line read last.
    pub line_no: u64,
    /// True if a compressed file ended within its frame.
    pub cut: bool,
}

impl<R: BufRead> LineReader<R> {
    /// Starts at the beginning; a compressed file is known by its first bytes.
    ///
    /// # Errors
    /// When the first bytes cannot be read.
    pub fn new(mut input: R) -> io::Result<Self> {
        let mut start = Vec::new();
        input.by_ref().take(ZSTD_START as u64).read_to_end(&mut start)?;
        if let Some(packer) = packed_by(&start) {
            let why =
                format!("it is packed by {packer}: unpack it first; rig itself reads and writes zstd (.zst)");
            return Err(io::Error::other(why));
        }
        let compressed = is_zstd(&start);
        let whole = Cursor::new(start).chain(input);
        let input = if compressed {
            Input::Zstd(BufReader::new(zstd::stream::read::Decoder::with_buffer(whole)?))
        } else {
            Input::Plain(whole)
        };
        Ok(LineReader { input, offset: 0, line_no: 0, cut: false })
    }

    /// Returns true if the file is compressed.
    pub fn is_compressed(&self) -> bool {
        matches!(self.input, Input::Zstd(_))
    }

    /// Reads the next line, or passes over it when it has more than `limit` bytes.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn next(&mut self, limit: usize) -> io::Result<Found> {
        let mut text = Vec::new();
        self.read_until_line_end(limit as u64 + 1, &mut text)?;
        if text.is_empty() {
            return Ok(Found::End);
        }
        self.line_no += 1;
        if self.line_no == 1 && text.starts_with(BYTE_ORDER_MARK) {
            text.drain(..BYTE_ORDER_MARK.len());
        }
        if text.last() == Some(&b'\n') {
            text.pop();
            return Ok(Found::Line { text, whole: true });
        }
        if text.len() <= limit {
            return Ok(Found::Line { text, whole: false });
        }
        loop {
            text.clear();
            self.read_until_line_end(64 << 10, &mut text)?;
            match text.last() {
                Some(b'\n') => return Ok(Found::TooLong { whole: true }),
                Some(_) => {}
                None => return Ok(Found::TooLong { whole: false }),
            }
        }
    }

    fn read_until_line_end(&mut self, limit: u64, text: &mut Vec<u8>) -> io::Result<()> {
        if self.cut {
            return Ok(());
        }
        let read = match &mut self.input {
            Input::Plain(input) => input.take(limit).read_until(b'\n', text),
            Input::Zstd(input) => match input.take(limit).read_until(b'\n', text) {
                // What came before is good. `text` has it.
                Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                    self.cut = true;
                    Ok(0)
                }
                read => read,
            },
        };
        self.offset += text.len() as u64;
        read.map(drop)
    }
}
