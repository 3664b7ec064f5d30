//! A parsed document, and the limits it was parsed under.

use std::collections::BTreeMap;

use rig_event::FlatConfig;

use crate::Format;

/// Limits on the size of a document. The defaults suit a hub that takes documents from any client it lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The size of the document in bytes: 100 MiB.
    pub bytes: u64,
    /// Maximum nesting of lists and maps: 128. More than 512 counts as 512, so that no stack overflows.
    pub depth: usize,
    /// Maximum number of fields: a million.
    pub fields: usize,
    /// The length of one value as JSON, or of one line of a text: 400,000 bytes, so that an event of 1 MiB holds
    /// a value before and after.
    pub value_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes: 100 << 20, depth: 128, fields: 1_000_000, value_bytes: 400_000 }
    }
}

impl Limits {
    /// Returns the limits of a file of at most so many bytes whose values no event has to carry: each may be as long as the file.
    pub fn of_file(bytes: u64) -> Limits {
        let value_bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
        Limits { bytes, value_bytes, ..Limits::default() }
    }
}

/// A document as fields.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The format it was written in.
    pub format: Format,
    /// Its fields; for text the one field `text` with the whole normalised text.
    pub config: FlatConfig,
    /// The text without byte order mark and carriage returns before line feeds; for RouterOS exports also without
    /// what differs from export to export. It still holds every secret and is there to be digested and dropped.
    pub normalised: String,
    /// The line on which each field's value begins.
    pub lines: BTreeMap<String, u32>,
    /// The name of its file, or of the family of texts it belongs to, if it is known. A few names say what the words of a line
    /// are: `chap-secrets`, `.pgpass`.
    pub file: Option<String>,
}
