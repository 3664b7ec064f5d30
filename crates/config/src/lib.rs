//! Configuration documents: parse, flatten, redact, diff, and judge against a baseline.
//!
//! A document of any format becomes a [`FlatConfig`], flat paths to leaf values; everything after that (redaction,
//! diff, policy, drift) works on flat configurations and no longer knows what they were written in. Plain text is
//! the one exception: it is one field, compared line by line.
//!
//! The crate is pure: no clock, no files, no environment. It takes hostile input: whatever the bytes are, the answer
//! is a document or an [`Error`] that names the place, within the bounds of [`Limits`].
//!
//! In reading order: [`mod@format`] (what a document is written in), [`mod@parse`] (bytes to a [`Document`]), [`mod@normalise`] (what a text loses before), [`path`] (how a
//! field is named), [`pattern`] (how rules name fields), [`redact`] (secrets leave), [`digest`] (what identifies a
//! configuration), [`merge`] and [`provenance`] (layers, and where a field came from), [`snapshot_file`] (a configuration
//! in a file), [`mod@diff`] and [`text`] (what changed), [`policy`] (what matters), [`mod@drift`] (whether it is what was
//! approved), [`baseline`] (who approved it, signed).

pub mod baseline;
mod detect;
pub mod diff;
pub mod digest;
pub mod document;
pub mod drift;
pub mod error;
mod flatten;
pub mod format;
mod idle;
mod lines;
pub mod merge;
pub mod normalise;
mod number;
pub mod parse;
pub mod path;
pub mod pattern;
pub mod policy;
pub mod provenance;
mod random;
pub mod redact;
mod routeros;
pub mod sections;
mod shown;
pub mod snapshot_file;
pub mod text;
mod tree;

pub use baseline::{Baseline, BaselineKeys, Trust};
pub use diff::{Diff, apply, diff};
pub use digest::config_digest;
pub use document::{Document, Limits};
pub use drift::{Accepted, Drift, declared_drift, drift};
pub use error::Error;
pub use format::Format;
pub use lines::Place;
pub use merge::{Layers, Merged};
pub use parse::parse;
pub use path::{Path, Segment};
pub use pattern::{Pattern, ValuePattern};
pub use policy::{IgnoreRule, Onboarding, Policy, RuleNote};
pub use provenance::{Origin, Provenance, Source};
pub use redact::{RedactionKey, Redactor};
pub use rig_event::{Change, DriftField, FlatConfig, Hunk, Op, SectionSummary, Severity, Timestamp, Verdict};
pub use snapshot_file::SnapshotFile;
pub use text::{TextDiff, apply_hunks, text_diff, unified};
