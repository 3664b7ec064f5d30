//! Where a session file is written to: as it is, or compressed.

use std::io::{self, Write};

/// Plain or zstd output over one writer.
pub enum Output<W: Write> {
    /// `.jsonl`
    Plain(W),
    /// `.jsonl.zst`
    Zstd(zstd::stream::write::Encoder<'static, W>),
}

impl<W: Write> Output<W> {
    /// Compresses, with a checksum over the whole.
    pub fn zstd(to: W) -> io::Result<Self> {
        let mut encoder = zstd::stream::write::Encoder::new(to, zstd::DEFAULT_COMPRESSION_LEVEL)?;
        encoder.include_checksum(true)?;
        Ok(Output::Zstd(encoder))
    }

    /// Ends the compressed frame. Without it the file is readable and unfinished.
    pub fn finish(self) -> io::Result<W> {
        match self {
            Output::Plain(to) => Ok(to),
            Output::Zstd(encoder) => encoder.finish(),
        }
    }

    /// The writer below, for example to take out what has gathered there.
    pub fn get_mut(&mut self) -> &mut W {
        match self {
            Output::Plain(to) => to,
            Output::Zstd(encoder) => encoder.get_mut(),
        }
    }
}

impl<W: Write> Write for Output<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Output::Plain(to) => to.write(bytes),
            Output::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Makes everything so far readable below, a compressed block included.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Output::Plain(to) => to.flush(),
            Output::Zstd(encoder) => encoder.flush(),
        }
    }
}
