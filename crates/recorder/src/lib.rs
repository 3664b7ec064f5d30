//! The recorder: where the events of a stream are kept, in order and for good.
//!
//! In reading order: [`lines`] (a run of events as it stands in the log), [`log`] (what an engine must do),
//! [`segment`] (the engine of plain JSONL files, and what is true after a crash), [`memory`] (the engine that keeps
//! nothing), [`store`] (where all streams of a hub are kept), [`feed`] (the queue from threads that must not wait to an append), [`disk`] (the file operations below), [`chain`] (the hash over all lines), [`seal`] (signatures over it),
//! [`session`] (recordings as files), [`blob`] (the originals of documents, encrypted), [`index`] (what can be derived and is asked
//! for by key), [`checked`] (the checksum of a JSON file), [`error`].
//!
//! An engine stores lines and does not understand them. Seqs, time stamps, idempotency and the chain are the
//! business of the one writer above it.

mod batches;
pub mod blob;
pub mod chain;
pub mod checked;
pub mod disk;
pub mod error;
pub mod feed;
pub mod index;
pub mod lines;
pub mod log;
pub mod memory;
pub mod seal;
pub mod segment;
pub mod session;
pub mod store;

pub use chain::Chain;
pub use error::{AppendError, Corrupt, Error, ReadError};
pub use feed::{Feed, Intake, Lost};
pub use index::{Entry, Index, StreamIndex};
pub use lines::Lines;
pub use log::{BoxFuture, EventLog, Pending, Prunable, Pruned, read_appends};
pub use memory::MemoryLog;
pub use seal::{Claim, Keyring, Point};
pub use segment::{Checksums, Durability, Durable, DurableSegment, Options, Recovery, SegmentLog};
pub use session::{Dialect, Ending, Output, Problem, Record, SessionError, SessionReader, SessionWriter};
pub use store::{Folders, Memory, Store};
