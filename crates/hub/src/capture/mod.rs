//! Capturing documents: the only way from a document to a writer.
//!
//! In reading order: `budget` (limits on documents in memory), `coding` (compressed bodies), `captures` (the path of a document).

mod budget;
mod captures;
mod coding;

pub(crate) use self::budget::Budget;
pub(crate) use self::captures::{Captures, MAX_META, essence, is_by, redact_field};
pub use self::captures::{Document, SNAPSHOT, refusal_id};
pub(crate) use self::coding::Coding;
