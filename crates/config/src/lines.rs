//! Lines and columns of a text, counted from 1 as people do.

use std::cell::Cell;
use std::fmt;

/// A place in a text, both counted from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// Finds the place of a byte in a text of any shape, a line for each byte or all in one line, without remembering more
/// than a few numbers for each block of bytes.
pub(crate) struct LineIndex<'a> {
    bytes: &'a [u8],
    blocks: Vec<Count>,
    /// The latest answer: parsers mostly ask for a byte a little further on.
    latest: Cell<(usize, Count)>,
}

/// The lines of a text, line ends included: `split_inclusive('\n')`, in a fraction of its time.
pub(crate) fn inclusive(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = memchr::memchr(b'\n', rest.as_bytes()).map_or(rest.len(), |feed| feed + 1);
        let line;
        (line, rest) = rest.split_at(end);
        (!line.is_empty()).then_some(line)
    })
}

/// The lines and characters before a byte.
#[derive(Clone, Copy, Default)]
struct Count {
    lines: u64,
    chars: u64,
    /// The characters before the byte's line.
    chars_before_line: u64,
}

const BLOCK: usize = 512;

impl<'a> LineIndex<'a> {
    pub fn new(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut blocks = vec![Count::default()];
        for block in bytes.chunks(BLOCK) {
            blocks.push(blocks[blocks.len() - 1].after(block));
        }
        LineIndex { bytes, blocks, latest: Cell::default() }
    }

    /// The line of the byte at an offset, and its column in characters.
    pub fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.bytes.len());
        let block = offset / BLOCK * BLOCK;
        let (from, count) = match self.latest.get() {
            latest if (block..=offset).contains(&latest.0) => latest,
            _ => (block, self.blocks[block / BLOCK]),
        };
        let count = count.after(&self.bytes[from..offset]);
        self.latest.set((offset, count));
        Place { line: count.lines + 1, column: count.chars - count.chars_before_line + 1 }
    }
}

impl Count {
    /// Counted in whole stretches, which compilers turn into a few instructions for many bytes.
    fn after(self, bytes: &[u8]) -> Count {
        let chars = self.chars + characters(bytes);
        match memchr::memrchr(b'\n', bytes) {
            None => Count { chars, ..self },
            Some(last) => Count {
                lines: self.lines + bytes[..=last].iter().filter(|b| **b == b'\n').count() as u64,
                chars,
                chars_before_line: self.chars + characters(&bytes[..=last]),
            },
        }
    }
}

/// Counts the characters in UTF-8: continuation bytes do not count.
fn characters(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|b| **b & 0xc0 != 0x80).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_standard_library() {
        for text in ["", "a", "a\n", "\n", "\n\na", "ä\nb\r\n\nc"] {
            assert!(inclusive(text).eq(text.split_inclusive('\n')), "{text:?}");
        }
    }

    #[test]
    fn a_place_is_found_in_lines_of_any_length() {
        let text = format!("{}\nb\n{}x", "ä".repeat(700), "y\n".repeat(600));
        let index = LineIndex::new(&text);
        for (offset, c) in text.char_indices() {
            let before = &text[..offset];
            let line = before.matches('\n').count() as u64 + 1;
            let column = before.chars().rev().take_while(|c| *c != '\n').count() as u64 + 1;
            assert_eq!(index.place(offset), Place { line, column }, "{c} at {offset}");
        }
        assert_eq!(index.place(usize::MAX), Place { line: 603, column: 2 });
    }
}
