//! Session files: a copy of a stretch of the log that is read without the log it came from.
//!
//! A header, where the recording does not begin with event 1 the state before it, then the log's lines unchanged,
//! and a footer. The header has the hash chain before the first line and the footer the one after the last, so that a
//! line changed, left out or put in between shows without any key. What is cut is readable up to the last whole line.

mod lines;
mod output;
mod reader;
mod writer;

use std::io;

use rig_event::Seq;

pub use lines::{Found, LineReader, ZSTD_START, is_zstd};
pub use output::Output;
pub use reader::{Dialect, Ending, Record, SessionReader};
pub use writer::SessionWriter;

/// A place in a session file where something is wrong.
///
/// For a compressed file the offset is that in the text.
#[derive(Debug, thiserror::Error)]
#[error("line {line_no} (offset {offset}): {problem}")]
pub struct SessionError {
    /// Counted from 1.
    pub line_no: u64,
    /// Where the line begins.
    pub offset: u64,
    /// The fault there.
    pub problem: Problem,
}

/// A fault in a line of a session file.
#[derive(Debug, thiserror::Error)]
pub enum Problem {
    /// It is longer than any line may be; it was passed over.
    #[error("the line is longer than {limit} bytes")]
    TooLong {
        /// The longest line of this dialect.
        limit: usize,
    },
    /// It is not text.
    #[error("the line is not UTF-8")]
    NotUtf8,
    /// It is no event.
    #[error("{why}")]
    NotAnEvent {
        /// The error of the parser.
        why: String,
    },
    /// Events are missing before this one, which comes next.
    #[error("seq {found} follows {}: {} events are missing", expected - 1, found - expected)]
    Gap {
        /// The value that should stand here.
        expected: Seq,
        /// The value that does.
        found: Seq,
    },
    /// The event, or a later one, was there already; it was passed over.
    #[error("seq {found} stands where {expected} should")]
    Repeat {
        /// The value that should stand here.
        expected: Seq,
        /// The value that does.
        found: Seq,
    },
    /// A header, checkpoint or footer that does not belong here, or an event after the footer.
    #[error("{what} does not belong here")]
    Misplaced {
        /// The fault.
        what: &'static str,
    },
    /// The recording begins in the middle, and the state there is not in it.
    #[error("the recording begins with seq {first_seq}, but the state before that is missing")]
    NoCheckpoint {
        /// Its first event.
        first_seq: Seq,
    },
    /// It was written by a later version.
    #[error("the session format has version {v}, and this rig reads version {}", rig_event::session::VERSION)]
    Version {
        /// The file's version.
        v: u32,
    },
    /// The file can't be read on.
    #[error("cannot read on: {0}")]
    Read(io::Error),
}
