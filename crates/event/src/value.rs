//! Flat configuration and the vocabulary of change: what a diff says about one field.
//!
//! `rig-config` computes these and events carry them, so they stand here once.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::spelled;

/// A configuration as flat paths (`database.host`, `servers[0].port`) to leaf values.
///
/// A leaf is null, a boolean, a number as it was spelled, a string, an empty list, an empty map,
/// or the marker of a redacted secret, `{"redacted":"…"}`. The map is sorted, so writing it without
/// white space gives its canonical form.
pub type FlatConfig = BTreeMap<String, Value>;

/// How much a change matters.
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

/// What happened to a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Op {
    /// The field is new.
    Added,
    /// The field is gone.
    Removed,
    /// The field has another value.
    Changed,
}

impl Op {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Op::Added => "added",
            Op::Removed => "removed",
            Op::Changed => "changed",
        }
    }
}

/// One field's change between two configurations.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What happened.
    pub op: Op,
    /// The flat path of the field.
    pub path: String,
    /// The value before; absent for an added field.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::present")]
    pub before: Option<Value>,
    /// The value after; absent for a removed field.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::present")]
    pub after: Option<Value>,
    /// What policy says of it.
    #[serde(default)]
    pub severity: Severity,
}

/// One field in which a service differs from what it should be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftField {
    /// How it differs.
    pub op: Op,
    /// Its flat path; for a text, the section.
    pub path: String,
    /// The value that was approved.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::present")]
    pub before: Option<Value>,
    /// The value that is there.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::present")]
    pub after: Option<Value>,
    /// What policy says of it.
    #[serde(default)]
    pub severity: Severity,
    /// Whether somebody accepted exactly this difference.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub accepted: bool,
}

/// A stretch of changed lines in a text document, as in a unified diff.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hunk {
    /// First line of the hunk in the old text, counted from 1; for a hunk without old lines, the
    /// line it comes after.
    pub old_start: u64,
    /// How many old lines the hunk covers.
    pub old_lines: u64,
    /// First line of the hunk in the new text, counted like `old_start`.
    pub new_start: u64,
    /// How many new lines the hunk covers.
    pub new_lines: u64,
    /// The lines, each behind ` ` (context), `-` (removed) or `+` (added), without line ends.
    pub lines: Vec<String>,
}

/// What changed in one section of a sectioned text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionSummary {
    /// The section, for example `ip/firewall/filter`.
    pub section: String,
    /// One sentence, for example `Added 2 firewall filter rules`.
    pub summary: String,
}

/// Whether a service's configuration is what was approved.
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
