//! Configuration documents: parse, flatten, redact, diff, and judge against a baseline.
//!
//! A document of any format becomes a [`FlatConfig`], flat paths to leaf values; everything after that (redaction,
//! diff, policy, drift) works on flat configurations and no longer knows what they were written in. Plain text is
//! the one exception: it is one field, compared line by line.
//!
//! The crate is pure: no clock, no files, no environment. It takes hostile input: whatever the bytes are, the answer
//! is a document or an [`Error`] that names the place, within the bounds of [`Limits`].
//!
//! In reading order, each file importing only those before it: `lines`, [`mod@format`], [`error`], `random`,
//! [`encoding`], `shown`, [`notes`], `decode`, [`path`] (names of fields), `identity` (of list elements), `number`, `expressions` (of
//! HCL), `routeros`, [`pattern`] (rules over fields), [`sections`]
//! (of texts), `detect` (the format of a document), [`mod@normalise`] (texts before they are compared),
//! [`policy`] (secrets, severities, noise), [`document`], [`redact`] (secrets leave), `tree` and `flatten` (a
//! document to fields), [`mod@parse`] (bytes to a [`Document`]), [`digest`], [`provenance`] (sources of
//! fields), [`mod@diff`] and [`text`] (differences), `hidden_lines` (texts with secrets), [`told`] (differences for people),
//! [`mod@drift`] (from what was approved), `idle` (rules
//! that do nothing), [`baseline`] (signed approvals), [`snapshot_file`], [`merge`] (layers).

pub mod baseline;
mod decode;
mod detect;
pub mod diff;
pub mod digest;
pub mod document;
pub mod drift;
pub mod encoding;
pub mod error;
mod expressions;
mod flatten;
pub mod format;
mod grammar;
mod hidden_lines;
mod identity;
mod idle;
mod lines;
pub mod merge;
pub mod normalise;
pub mod notes;
mod number;
pub mod parse;
pub mod path;
pub mod pattern;
pub mod policy;
pub mod provenance;
mod random;
pub mod redact;
mod routeros;
mod secrets;
pub mod sections;
mod shown;
pub mod snapshot_file;
pub mod text;
pub mod told;
mod tree;

pub use baseline::{Baseline, BaselineKeys, Trust};
pub use detect::name_of;
pub use diff::{Diff, apply, diff};
pub use digest::config_digest;
pub use document::{Document, Limits};
pub use drift::{Accepted, Drift, declared_drift, drift};
pub use encoding::Encoding;
pub use error::Error;
pub use format::Format;
pub use hidden_lines::text_diff_of_hidden;
pub use lines::Place;
pub use merge::{Layers, Merged};
pub use notes::Note;
pub use parse::{Reading, parse};
pub use path::{Path, Segment};
pub use pattern::{Pattern, ValuePattern};
pub use policy::{IgnoreRule, Onboarding, Policy, RuleNote};
pub use provenance::{Origin, Provenance, Source};
pub use redact::{Explanation, KnownSecrets, RedactionKey, Redactor};
pub use rig_event::{Change, DriftField, FlatConfig, Hunk, Op, SectionSummary, Severity, Timestamp, Verdict};
pub use snapshot_file::SnapshotFile;
pub use text::{TextDiff, apply_hunks, text_diff, text_diff_but_for_secrets, unified};
