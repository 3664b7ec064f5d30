//! Capturing documents: the only way from a document to a writer.
//!
//! In reading order: `budget` (how much may be in work at once), `coding` (packed bodies), `captures` (a document's way).

mod budget;
mod captures;
mod coding;

pub(crate) use self::budget::Budget;
pub(crate) use self::captures::{Captures, MAX_META, essence, is_by, redact_field};
pub use self::captures::{Document, SNAPSHOT, refusal_id};
pub(crate) use self::coding::Coding;
