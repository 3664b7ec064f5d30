//! The shapes of the answers, for `/openapi.json`.

use std::collections::BTreeMap;

use rig_hub::http::shapes::{Event, Severity};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A page of a service's timeline.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct History {
    /// The stream.
    pub stream: String,
    /// The service.
    pub service: String,
    /// The stream's head.
    pub head: u64,
    /// Newest first; members of over 1 KiB are named in `left_out` and not shown.
    pub events: Vec<Event>,
    /// Where the next page begins, while there is more to look through.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next_before: Option<u64>,
}

/// The changes between two points, as a `diff.computed` has it.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Diff {
    /// The stream.
    pub stream: String,
    /// The service.
    pub service: String,
    /// The moment before.
    pub from: u64,
    /// The moment after.
    pub to: u64,
    /// Fields added.
    pub added: u64,
    /// Fields removed.
    pub removed: u64,
    /// Fields changed.
    pub changed: u64,
    /// The highest severity among the changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub severity: Option<Severity>,
    /// The changes by path.
    #[serde(default)]
    pub changes: Vec<Change>,
    /// Further members of a diff of text (docs/formats.md).
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// One field's change.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Change {
    /// `added`, `removed` or `changed`.
    pub op: String,
    /// The field.
    pub path: String,
    /// The value before.
    #[serde(default)]
    pub before: Value,
    /// The value after.
    #[serde(default)]
    pub after: Value,
    /// The severity.
    pub severity: Severity,
}

/// The origin of the fields that a pattern covers.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Blame {
    /// The stream.
    pub stream: String,
    /// The service.
    pub service: String,
    /// The moment that was asked for.
    pub seq: u64,
    /// The fields.
    pub fields: Vec<BlamedField>,
    /// The number of fields more that there are.
    pub left_out: u64,
}

/// A field and how it came to be what it is.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BlamedField {
    /// The field.
    pub path: String,
    /// Its value; absent when it is not there (any more).
    #[serde(default)]
    pub value: Value,
    /// True if it was there before the log begins.
    pub before_recording: bool,
    /// Its changes, newest first: `op`, `before`, `after`, `seq`, `ts`, `snapshot` and who it was.
    pub changes: Vec<BTreeMap<String, Value>>,
    /// The number of older changes that there are.
    pub older: u64,
}
