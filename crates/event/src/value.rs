//! The vocabulary of change: the terms in which a diff describes one field.
//!
//! `rig-config` computes these and events carry them, so they stand here once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spelled;

pub use crate::spelled::FlatConfig;

/// The importance of a change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth recording, no more.
    Low,
    /// The default.
    #[default]
    Medium,
    /// Somebody should look.
    High,
    /// Somebody must look now.
    Critical,
}

impl Severity {
    /// The word used in JSON, policies and options.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Low => "low",
            Severity::Medium => "medium",
            Severity::High => "high",
            Severity::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = String;

    fn from_str(s: &str) -> Result<Self, Self::Err> {
        match s {
            "low" => Ok(Severity::Low),
            "medium" => Ok(Severity::Medium),
            "high" => Ok(Severity::High),
            "critical" => Ok(Severity::Critical),
            other => Err(format!("{other:?} is not a severity; use low, medium, high or critical")),
        }
    }
}

/// The kind of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// The field is new.
    Added,
    /// The field is gone.
    Removed,
    /// The field has another value.
    Changed,
    /// The element of a list has another place among the others; `before` and `after` are its indexes.
    Moved,
    /// The field is spelled differently, and a `[[compare]]` rule says that it is the same. No difference, but what the
    /// fold needs to keep what was written.
    Equivalent,
    /// Where an element of a list stands, where that is no difference in itself: `after` alone is the index of a new
    /// element, `before` alone that of one that is gone, both together those of one in a list that has no order. What
    /// the fold needs to have every element in its place.
    Placed,
}

impl Op {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Added => "added",
            Op::Removed => "removed",
            Op::Changed => "changed",
            Op::Moved => "moved",
            Op::Equivalent => "equivalent",
            Op::Placed => "placed",
        }
    }

    /// Returns true if it is a difference. The other kinds only make the fold exact.
    pub fn is_difference(self) -> bool {
        !matches!(self, Op::Equivalent | Op::Placed)
    }
}

/// One field's change between two configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// The kind of the change.
    pub op: Op,
    /// The flat path of the field.
    pub path: String,
    /// The value before; absent for an added field.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::present")]
    pub before: Option<Value>,
    /// The value after; absent for a removed field.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::present")]
    pub after: Option<Value>,
    /// The severity by the policy.
    #[serde(default)]
    pub severity: Severity,
}

impl Change {
    /// The types before and after, where a field changed from one to another: `"8080"` to `8080`.
    pub fn retyped(&self) -> Option<(&'static str, &'static str)> {
        let (old, new) = (json_type(self.before.as_ref()?), json_type(self.after.as_ref()?));
        (self.op == Op::Changed && old != new).then_some((old, new))
    }
}

/// The type of a leaf in JSON's words; a secret's is not told.
fn json_type(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        // As another program marks one.
        Value::String(text) if text == "***redacted***" => "secret",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(map) if map.is_empty() => "object",
        Value::Object(_) => "secret",
    }
}

/// One field in which a service differs from what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftField {
    /// The kind of the difference.
    pub op: Op,
    /// Its flat path; for a text, the section.
    pub path: String,
    /// The value that was approved.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::present")]
    pub before: Option<Value>,
    /// The value that is there.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::present")]
    pub after: Option<Value>,
    /// The severity by the policy.
    #[serde(default)]
    pub severity: Severity,
    /// True if somebody accepted exactly this difference.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
}

/// A stretch of changed lines in a text document, as in a unified diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// First line of the hunk in the old text, counted from 1; for a hunk without old lines, the
    /// line it comes after.
    pub old_start: u64,
    /// Number of old lines in the hunk.
    pub old_lines: u64,
    /// First line of the hunk in the new text, counted like `old_start`.
    pub new_start: u64,
    /// Number of new lines in the hunk.
    pub new_lines: u64,
    /// The lines, each behind ` ` (context), `-` (removed) or `+` (added), without line ends.
    pub lines: Vec<String>,
}

/// The changes in one section of a sectioned text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionSummary {
    /// The section, for example `ip/firewall/filter`.
    pub section: String,
    /// One sentence, for example `Added 2 firewall filter rules`.
    pub summary: String,
}

/// The result of comparing a service's configuration with what was approved.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// No field differs, or only ignored ones do.
    InSync,
    /// Some field differs that nobody accepted.
    Drifted,
    /// Fields differ, and every one of them was accepted.
    Accepted,
}

impl Verdict {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::InSync => "in-sync",
            Verdict::Drifted => "drifted",
            Verdict::Accepted => "accepted",
        }
    }
}
