//! Errors of a log, in words for the person who has to do something about it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rig_event::{Seq, StreamName};

/// A log can't be made, opened or pruned, or the index can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system refused something.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The action that failed, as a verb: `open`, `sync` …
        what: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
    /// Another process has the stream open, or this one has it open already.
    #[error("{} is open in another process: only one can write a stream", dir.display())]
    Locked {
        /// The stream's folder.
        dir: PathBuf,
    },
    /// A stream was to be made where there is one.
    #[error("there is a stream in {} already", dir.display())]
    Exists {
        /// The stream's folder.
        dir: PathBuf,
    },
    /// The folder holds no stream.
    #[error("there is no stream in {}", dir.display())]
    NoStream {
        /// The folder.
        dir: PathBuf,
    },
    /// There are events, and nothing says whose they are.
    #[error("{} holds segments, and its stream.json is gone: restore it from a backup", dir.display())]
    NoDescription {
        /// The stream's folder.
        dir: PathBuf,
    },
    /// `stream.json` can't be understood.
    #[error("{} does not describe a stream: {why}", path.display())]
    Description {
        /// The file.
        path: PathBuf,
        /// The fault.
        why: String,
    },
    /// Events that were there are damaged or gone.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// The derived index failed. It can be deleted: it is rebuilt from the log.
    #[error("the index {} failed: {why}", path.display())]
    Index {
        /// The index's folder.
        path: PathBuf,
        /// The error of sled.
        why: String,
    },
}

/// Damage to what was durable, found where a line should be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stream {stream} is damaged at seq {seq} ({}, offset {offset}): {why}", segment.display())]
pub struct Corrupt {
    /// The stream.
    pub stream: StreamName,
    /// The event that should stand there.
    pub seq: Seq,
    /// The segment file.
    pub segment: PathBuf,
    /// Where in that file its line begins.
    pub offset: u64,
    /// The fault.
    pub why: String,
}

/// An append was not made durable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The batch does not follow the one enqueued before it.
    #[error("the batch begins at seq {first_seq}, but the next one is {expected}")]
    OutOfOrder {
        /// Where the batch begins.
        first_seq: Seq,
        /// Where it must begin.
        expected: Seq,
    },
    /// The batch has no lines, or its offsets do not fit its bytes.
    #[error("the batch at seq {first_seq} is empty or its offsets do not fit its bytes")]
    Malformed {
        /// Where the batch begins.
        first_seq: Seq,
    },
    /// An earlier write failed: nothing more is taken until the log is opened again.
    #[error("the log takes no more events until it is reopened, since a write failed: {why}")]
    Poisoned {
        /// The first failure.
        why: Arc<str>,
    },
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// Events could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The events asked for were deleted.
    #[error("seq {from} was pruned: the oldest event is {first_seq}")]
    Pruned {
        /// The range that was asked for.
        from: Seq,
        /// The oldest event there is.
        first_seq: Seq,
    },
    /// An event is damaged.
    #[error(transparent)]
    Corrupt(#[from] Corrupt),
    /// An event does not say of which append it is, or the log ends within its append.
    #[error("stream {stream}, seq {seq}: {why}")]
    BrokenAppend {
        /// The stream.
        stream: StreamName,
        /// The event.
        seq: Seq,
        /// The fault.
        why: String,
    },
    /// The operating system refused something.
    #[error("cannot read {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// The error of the operating system.
        source: io::Error,
    },
}

/// Names what was tried and where, for an error of the operating system.
pub(crate) fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { what, path, source }
}
