//! Bytes to a document: one module a format, each from text to a tree.

mod number;

use std::collections::BTreeMap;

use rig_event::FlatConfig;
use serde_json::Value;

use crate::error::Place;
use crate::flatten::{flatten, json_length};
use crate::tree::Tree;
use crate::{Document, Error, Format, Limits, Policy, sections};

/// Reads a document. The policy's `[[list]]` rules say which lists are matched by key.
///
/// A document without content (an empty file, a YAML stream of comments) has no fields.
pub fn parse(bytes: &[u8], format: Format, policy: &Policy, limits: &Limits) -> Result<Document, Error> {
    let size = bytes.len() as u64;
    if size > limits.bytes {
        return Err(Error::TooLarge { bytes: size, limit: limits.bytes });
    }
    let text = decode(bytes)?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut normalised = text.replace("\r\n", "\n");
    if format == Format::Text {
        if sections::is_routeros(&normalised) {
            normalised = sections::normalise(&normalised);
        }
        return text_document(normalised, limits);
    }
    let (config, lines) = match tree(&normalised, format, limits)? {
        Some(root) => flatten(&root, policy, limits)?,
        None => Default::default(),
    };
    Ok(Document { format, config, normalised, lines })
}

/// The tree of a document; `None` where it has no content.
fn tree(text: &str, format: Format, _limits: &Limits) -> Result<Option<Tree>, Error> {
    if text.trim().is_empty() {
        return Ok(None);
    }
    Err(Error::Malformed { format, at: Place { line: 1, column: 1 }, why: "not yet read".into() })
}

fn text_document(normalised: String, limits: &Limits) -> Result<Document, Error> {
    let limit = limits.value_bytes;
    for (index, line) in normalised.lines().enumerate() {
        // Escaping makes a line longer, never shorter, and at most sixfold.
        let bytes = if line.len() * 6 > limit { json_length(&Value::from(line)) } else { 0 };
        if bytes > limit {
            let line = Some(index as u64 + 1);
            return Err(Error::ValueTooLarge { path: "\"text\"".into(), bytes, limit, line });
        }
    }
    let config = FlatConfig::from([("text".to_owned(), Value::from(normalised.as_str()))]);
    Ok(Document { format: Format::Text, config, normalised, lines: BTreeMap::new() })
}

fn decode(bytes: &[u8]) -> Result<&str, Error> {
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        Error::InvalidUtf8 { at: LineIndex::new(&valid).place(valid.len()) }
    })
}

/// Finds the line of a byte without remembering every line: one count for each block of bytes.
pub(crate) struct LineIndex<'a> {
    text: &'a str,
    /// How many line feeds stand before each block.
    before: Vec<u64>,
}

const BLOCK: usize = 4096;

impl<'a> LineIndex<'a> {
    pub fn new(text: &'a str) -> Self {
        let counts = text.as_bytes().chunks(BLOCK).map(line_feeds);
        let before = std::iter::once(0)
            .chain(counts.scan(0, |sum, count| {
                *sum += count;
                Some(*sum)
            }))
            .collect();
        LineIndex { text, before }
    }

    /// The line of the byte at an offset, and the column in characters.
    pub fn place(&self, offset: usize) -> Place {
        let bytes = self.text.as_bytes();
        let offset = offset.min(bytes.len());
        let block = offset / BLOCK;
        let line = self.before[block] + line_feeds(&bytes[block * BLOCK..offset]) + 1;
        let start = bytes[..offset].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        // Continuation bytes are no characters of their own.
        let column = bytes[start..offset].iter().filter(|b| **b & 0xc0 != 0x80).count() as u64 + 1;
        Place { line, column }
    }
}

fn line_feeds(bytes: &[u8]) -> u64 {
    bytes.iter().filter(|b| **b == b'\n').count() as u64
}
