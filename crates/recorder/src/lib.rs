//! The recorder: where the events of a stream are kept, in order and for good.
//!
//! In reading order: [`lines`] (a run of events as it stands in the log), [`log`] (what an engine must do),
//! [`segment`] (the engine of plain JSONL files, and what is true after a crash), [`memory`] (the engine that keeps
//! nothing), [`chain`] (the hash over all lines), [`error`].
//!
//! An engine stores lines and does not understand them. Seqs, time stamps, idempotency and the chain are the
//! business of the one writer above it.

mod batches;
pub mod chain;
pub mod disk;
pub mod error;
pub mod lines;
pub mod log;
pub mod memory;
pub mod segment;

pub use chain::Chain;
pub use error::{AppendError, Corrupt, Error, ReadError};
pub use lines::Lines;
pub use log::{EventLog, Pending, Pruned};
pub use memory::MemoryLog;
pub use segment::{Durability, Options, Recovery, SegmentLog};
