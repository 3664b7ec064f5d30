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

/// The likely reasons of an event.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Why {
    /// The event.
    pub seq: u64,
    /// The services that it is about.
    pub about: Vec<String>,
    /// The last time that the same thing worked.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub worked: Option<u64>,
    /// The first time after that it failed as it does here.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub failed_since: Option<u64>,
    /// The likeliest first: `seq`, `ts`, `type`, `service`, `actor`, `score`, `because`, `changes` and more.
    pub reasons: Vec<BTreeMap<String, Value>>,
    /// The number of further reasons.
    pub more: u64,
    /// True if the past is longer than what was looked at.
    pub cut: bool,
}

/// An explanation: what broke, and what was changed before it.
#[derive(Serialize, Deserialize, ToSchema)]
pub(crate) struct Explanation {
    /// Name of the stream or environment.
    pub stream: String,
    /// `passed`, `failed`, `crashed`, `interrupted` or `unknown`.
    pub outcome: String,
    /// True if the recording says so itself.
    pub outcome_recorded: bool,
    /// From the first event to the last, or as it was recorded.
    pub duration_ms: u64,
    /// The number of events.
    pub events: u64,
    /// The lists, each with `items` and how many `more` there are.
    #[serde(flatten)]
    pub lists: BTreeMap<String, Value>,
}

/// The traffic of a stretch.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Traffic {
    /// The stream.
    pub stream: String,
    /// The first event.
    pub from: u64,
    /// The last event.
    pub to: u64,
    /// Upper bounds of the classes of latency, in microseconds; there is one more class than bounds.
    pub bounds_us: Vec<u64>,
    /// The edge with the most requests first.
    pub edges: Vec<EdgeTraffic>,
    /// The number of further edges.
    pub more: u64,
}

/// The traffic from one service to another.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EdgeTraffic {
    /// The caller.
    pub source: String,
    /// The called.
    pub target: String,
    /// The number of requests.
    pub requests: u64,
    /// The number of those that failed.
    pub failed: u64,
    /// The number of connections opened.
    pub connections: u64,
    /// `p50_us`, `p95_us`, `p99_us` and `max_us`, where a latency is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub latency: Option<BTreeMap<String, u64>>,
    /// The number of requests of each class.
    pub counts: Vec<u64>,
    /// The number of failed ones of each class.
    pub failed_counts: Vec<u64>,
}

/// The result of a search.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Found {
    /// The stream.
    pub stream: String,
    /// The events, in order.
    pub seqs: Vec<u64>,
    /// Where the next page begins, while there is more to look through.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next: Option<u64>,
}
