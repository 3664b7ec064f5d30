//! The vocabulary of rig: what an event is and how it stands in a line of JSON.
//!
//! An event is a fact in the past tense with a place in one ordered log. It is encoded once, when it is
//! appended; those bytes are the log, the stream's `data:` and the session file. This crate does no I/O and
//! knows no clock.
//!
//! In reading order: [`name`] and [`time`] (what an event is called and when it was), [`value`] (flat configuration and
//! changes), [`spelled`] (numbers that keep their spelling), [`event`] (the kinds of event and what each carries), [`audit`] (what the hub says of who did what), [`mod@test`] (the result of a test), [`draft`] (an event before it has a place),
//! [`envelope`] (a line read back), [`session`] (header, checkpoint and footer of a recording), [`rigd`] (the
//! dialect of the Go tool, read only). [`keyfile`] is how the keys of those who sign are written down.

pub mod audit;
pub mod draft;
pub mod envelope;
pub mod event;
pub mod keyfile;
pub mod name;
pub mod rigd;
pub mod session;
pub mod spelled;
pub mod test;
pub mod time;
pub mod value;

pub use draft::{Body, Draft, MAX_LINE, rewrite};
pub use envelope::{Envelope, Head, true_time, type_of};
pub use event::Event;
pub use name::{Epoch, Seq, ServiceName, StreamName};
pub use spelled::FlatConfig;
pub use time::Timestamp;
pub use value::{Change, DriftField, Hunk, Op, SectionSummary, Severity, Verdict};

/// Errors in a name or a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A stream, service or epoch name breaks the rules.
    #[error("{name:?} is not a {what} name: {why}")]
    Name {
        /// `stream`, `service` or `epoch`.
        what: &'static str,
        /// The name, escaped and cut.
        name: String,
        /// The rule it breaks.
        why: &'static str,
    },
    /// A line is not an event.
    #[error("not an event: {why}")]
    Malformed {
        /// The mistake, with the column where the JSON parser stopped.
        why: String,
    },
    /// An event would be longer than [`MAX_LINE`].
    #[error("an event of {bytes} bytes is over the limit of {MAX_LINE}")]
    TooLong {
        /// Its length without the line end.
        bytes: usize,
    },
}

/// The result of reading or writing events.
pub type Result<T, E = Error> = std::result::Result<T, E>;
