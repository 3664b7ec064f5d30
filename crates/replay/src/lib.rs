//! Folds the log into states, and decides from them. Pure: no clock, no files, no tasks.
//!
//! The hub's current state is a replay that never stops; `rig replay` is the same code over a file. In reading order:
//! [`state`] (what there is at a seq, its JSON and its hash), [`apply`] (one event onto a state), [`mod@judge`] (the events
//! that a capture, an approval or a passing date leads to), [`provenance`]
//! (the sources of fields, of which events carry what is new), [`split`] (payloads too large for one event), [`timeline`] (a
//! recording with an index: any event, and the state at any of them, at once), and what is read out of one: [`explain`] (what
//! broke, and what was changed before), [`traffic`], [`logs`], [`mod@tests`], [`blame`], [`why`], [`compare`] (by what events are: [`identity`]),
//! [`bisect`], and [`mod@summary`] (an event in words).

pub mod apply;
pub mod bisect;
pub mod blame;
pub mod compare;
pub mod explain;
pub mod identity;
pub mod judge;
pub mod logs;
pub mod provenance;
pub mod split;
pub mod state;
pub mod summary;
pub mod tests;
pub mod timeline;
pub mod traffic;
pub mod why;

pub use judge::{Capture, Refusal, judge};
pub use state::{Acceptance, Baseline, Declared, Drift, Edge, Environment, Service, State};
pub use summary::summary;
pub use timeline::Timeline;

use rig_event::{Envelope, Seq};

/// Why an event could not be folded. The state is as it was before the event.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The event is not the next one.
    #[error("event {got} follows event {after}: {} missing", if *got > *after { "events are" } else { "the order is lost, or events are" })]
    Gap {
        /// The last seq folded.
        after: Seq,
        /// The seq that came.
        got: Seq,
    },
    /// A type that is about a service names none.
    #[error("event {seq} ({type_name}) names no service")]
    NoService {
        /// Where.
        seq: Seq,
        /// The type.
        type_name: String,
    },
    /// A diff does not fit the config it is to change.
    #[error("event {seq}: the diff of service {service:?} does not fit its config: {why}")]
    Diff {
        /// Where.
        seq: Seq,
        /// Whose.
        service: String,
        /// The mismatch.
        why: String,
    },
    /// Parts of a split payload are missing or out of order.
    #[error("event {seq}: part {got} of {of} of service {service:?} came where part {expected} was due")]
    Part {
        /// Where.
        seq: Seq,
        /// Whose.
        service: String,
        /// The part that came.
        got: u32,
        /// Of how many.
        of: u32,
        /// The part that was due.
        expected: u32,
    },
    /// An event refers to a snapshot or baseline that the state does not have.
    #[error("event {seq} ({type_name}) of service {service:?}: {why}")]
    Unfounded {
        /// Where.
        seq: Seq,
        /// The type.
        type_name: String,
        /// Whose.
        service: String,
        /// The thing that is missing.
        why: &'static str,
    },
    /// A seal states another state than the events before it lead to.
    #[error(
        "event {seq} seals another state at seq {upto} than the events lead to: events were changed, or were folded by other rules"
    )]
    Seal {
        /// The seal.
        seq: Seq,
        /// The last event that it covers.
        upto: Seq,
    },
    /// The events do not lead to the seq that was asked for.
    #[error("there is no state at seq {wanted}: the events end with {last}")]
    Missing {
        /// The seq that was asked for.
        wanted: Seq,
        /// The seq that the fold came to.
        last: Seq,
    },
    /// The bytes of a recording cannot be read.
    #[error("cannot read at offset {offset}: {why}")]
    Read {
        /// Where.
        offset: u64,
        /// The system's error.
        why: std::io::Error,
    },
    /// A recording does not have so many events.
    #[error("there is no event {wanted} of {len}")]
    Beyond {
        /// The position that was asked for.
        wanted: usize,
        /// The number of events.
        len: usize,
    },
    /// A saved state cannot be read.
    #[error("not a state: {0}")]
    Saved(String),
}

/// The result of folding.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The state at `seq`: `events` folded onto `state` up to that one. More of them are not looked at.
///
/// # Errors
/// As [`fold`]; [`Error::Missing`] when the events end before `seq`, or the state is past it.
pub fn state_at<E: From<Error>>(
    mut state: State,
    events: impl IntoIterator<Item = Result<Envelope, E>>,
    seq: Seq,
) -> Result<State, E> {
    let wanted = seq.saturating_sub(state.seq);
    fold(&mut state, events.into_iter().take(usize::try_from(wanted).unwrap_or(usize::MAX)))?;
    if state.seq == seq { Ok(state) } else { Err(Error::Missing { wanted: seq, last: state.seq }.into()) }
}

/// Folds `events` onto `state`.
///
/// # Errors
/// The first event that does not fold, or the first error that `events` yields; what came before it has been folded.
pub fn fold<E: From<Error>>(
    state: &mut State,
    events: impl IntoIterator<Item = Result<Envelope, E>>,
) -> Result<(), E> {
    for event in events {
        state.apply(&event?)?;
    }
    Ok(())
}

/// Returns the section that each line of a text stands in; nothing if the text has no sections.
pub fn sections(text: &str) -> Vec<String> {
    let named = |syntax: rig_config::sections::Syntax| {
        syntax.sections(text).into_iter().map(|(section, _)| section.into_owned()).collect()
    };
    rig_config::sections::Syntax::of(text).map(named).unwrap_or_default()
}
