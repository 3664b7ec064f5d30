//! Capturing documents and events: the only way from a document to a writer, and that of events that others made.
//!
//! In reading order: `budget` (limits on documents in memory), `receive` (bodies as they come), `coding` (compressed bodies),
//! `captures` (the path of a document), `events` (the path of an event).

mod budget;
mod captures;
mod coding;
mod events;
mod receive;

pub(crate) use self::budget::Budget;
pub(crate) use self::captures::{Captures, MAX_META, essence, is_by};
pub use self::captures::{Document, SNAPSHOT, refusal_id};
pub(crate) use self::coding::Coding;
pub(crate) use self::events::{check, encode, no_secret, redact_field};
pub(crate) use self::receive::{Bounds, receive};
