//! The streams of a hub: a registry that opens, makes and removes them, and everything that runs for one stream.
//!
//! In reading order: `cut` (state and chain at a seq), `held` (what is opened, held against the seals), `ids` (idempotency keys), `meters` (counters), `tail` (prepared frames),
//! `indexed` (how far the index has come), `writer` (the one task that gives events their place), `announcer` (wakes subscribers), `playback` (a recording as a log), `viewed` (the timeline of a stream that somebody looks at),
//! `stream` (one stream as the rest of the hub sees it), `indexer` (keeps the derived index true), `registry` (all of them).

mod announcer;
mod cut;
mod held;
mod ids;
mod indexed;
mod indexer;
mod meters;
mod playback;
mod registry;
mod stream;
mod tail;
mod viewed;
mod writer;

pub(crate) use self::announcer::News;
pub(crate) use self::cut::Cut;
pub(crate) use self::indexed::catch_up;
pub(crate) use self::meters::{Row, write as write_meters};
pub use self::playback::Playback;
pub(crate) use self::playback::PlaybackLog;
pub use self::registry::Streams;
pub(crate) use self::registry::{Keeper, Parts};
pub use self::stream::Stream;
pub(crate) use self::tail::Frames;
pub use self::viewed::{NO_LATENCY, View};
pub use self::writer::Appended;
pub(crate) use self::writer::{Command, Refused, event_problem};
