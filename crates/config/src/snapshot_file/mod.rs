//! Snapshot files: a configuration at a moment, in the format 1.0 of the Go library Rigging, read and written.
//!
//! `version`, `timestamp`, `config` (flat paths to values) and `provenance` are Rigging's. rig adds `audit`: who wrote the file,
//! about which service. The same format carries a merged configuration to the hub, as [`MEDIA_TYPE`].

use std::collections::BTreeMap;

use rig_event::{FlatConfig, Timestamp};
use serde_json::Value;

pub use self::head::Head;
pub use self::spelling::Spelling;
use crate::diff::nest::nested;
use crate::path::{Segment, lenient};
use crate::provenance::Provenance;
use crate::redact::{Counts, hidden, is_redacted, marker_key};
use crate::{Document, Format, Limits, Path, Pattern, Redactor};

mod head;
mod names;
mod read;
mod spelling;
#[cfg(test)]
mod tests;
mod write;

/// The media type under which a hub takes a snapshot file.
pub const MEDIA_TYPE: &str = "application/vnd.rig.snapshot+json";

/// The version that is read and written.
const VERSION: &str = "1.0";

/// The marker of a secret if there is no key to make a fingerprint with.
pub use crate::redact::RIGGING as REDACTED;

/// A configuration at a moment.
#[derive(Clone, Debug, Default)]
pub struct SnapshotFile {
    /// When it was taken.
    pub timestamp: Timestamp,
    /// Its fields.
    pub config: FlatConfig,
    /// Where they came from, as far as that is known.
    pub provenance: Provenance,
    /// Origin of the snapshot: `service`, `tool`, `hostname`, `git_sha` and so on. Files of other programs
    /// have none.
    pub audit: BTreeMap<String, String>,
    /// The spelling of the file that it was read from.
    pub spelling: Spelling,
}

/// Equal in what they say, however files spell it.
impl PartialEq for SnapshotFile {
    fn eq(&self, other: &Self) -> bool {
        (self.timestamp, &self.config, &self.provenance, &self.audit)
            == (other.timestamp, &other.config, &other.provenance, &other.audit)
    }
}

impl SnapshotFile {
    /// Returns what the snapshot says of itself: its own time, host and operator, by the names that files give them. A copy of it
    /// that another sends has those of the sender beside them.
    pub fn about(&self) -> BTreeMap<String, String> {
        let said = ["hostname", "operator"].map(|key| (key, self.audit.get(key).cloned()));
        let time = (!self.spelling.is_timeless()).then(|| self.timestamp.to_string());
        let known = said.into_iter().chain([("timestamp", time)]);
        known.filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    /// Leaves out the fields that a pattern covers, as [`excludes`] has it. Returns how many there were.
    pub fn exclude(&mut self, patterns: &[Pattern]) -> usize {
        if patterns.is_empty() {
            return 0;
        }
        let before = self.config.len();
        self.config.retain(|path, _| !excludes(patterns, path));
        self.provenance.retain(|path, _| self.config.contains_key(path));
        self.spelling.sources.retain(|source| !excludes(patterns, &source.path));
        before - self.config.len()
    }

    /// Replaces the secrets by fingerprints: what is marked as one, and what the redactor finds. Returns how many values and
    /// parts of values were replaced.
    ///
    /// A field that became one whole is marked as a secret from then on.
    pub fn redact(&mut self, redactor: &Redactor, format: Format) -> usize {
        let parts = |file: &Self| file.config.values().map(hidden::count).sum::<usize>();
        let before = parts(self);
        self.redact_counted(redactor, format);
        parts(self).saturating_sub(before)
    }

    /// The same; returns how many there were by each rule. What the file marks counts as `marked`.
    pub fn redact_counted(&mut self, redactor: &Redactor, format: Format) -> Counts {
        let mut marked = 0;
        for (path, _) in self.provenance.iter().filter(|(_, origin)| origin.secret) {
            marked += u64::from(self.config.get_mut(path).is_some_and(|value| redactor.redact_marked(value)));
        }
        let mut counts = if format.is_text() {
            let config = std::mem::take(&mut self.config);
            let mut doc =
                Document { format, config, normalised: String::new(), lines: BTreeMap::new(), file: None };
            let counts = redactor.redact_counted(&mut doc);
            self.config = doc.config;
            counts
        } else {
            let names =
                self.provenance.iter().map(|(path, origin)| (path.as_str(), origin.source.to_string()));
            let sources: BTreeMap<&str, String> = names.collect();
            redactor.redact_config_counted(&mut self.config, |path| sources.get(path).map(String::as_str))
        };
        if marked > 0 {
            counts.insert("marked", marked);
        }
        for (path, origin) in &mut self.provenance {
            origin.secret |= self.config.get(path).is_some_and(is_redacted);
        }
        self.redact_unknown(redactor);
        counts
    }

    /// Replaces the secrets in the members that rig does not know; one that cannot be looked through goes.
    fn redact_unknown(&mut self, redactor: &Redactor) {
        self.spelling.unknown.retain_mut(|(name, raw)| {
            let document = format!("{{{}: {raw}}}", Value::from(name.as_str()));
            let Ok(mut doc) = crate::parse(document.as_bytes(), Format::Json, &Limits::default()) else {
                return false;
            };
            if redactor.redact(&mut doc) > 0 {
                let value = nested(&doc.config);
                let Some(value) = value.get(name.as_str()) else { return false };
                *raw = value.to_string();
            }
            true
        });
    }

    /// Puts [`REDACTED`] in the place of every fingerprint, whole values and inside texts.
    pub fn forget_fingerprints(&mut self) {
        for value in self.config.values_mut() {
            if marker_key(value).is_some() {
                *value = REDACTED.into();
            } else if let Value::String(text) = value
                && let Some(blank) = without_fingerprints(text)
            {
                *text = blank;
            }
        }
        for (_, raw) in &mut self.spelling.unknown {
            if let Some(blank) = without_markers(raw) {
                *raw = blank;
            }
        }
    }
}

/// Returns true if a pattern covers a field, ignoring case: the whole path, or that of a list for all that is in it.
pub fn excludes(patterns: &[Pattern], path: &str) -> bool {
    if patterns.is_empty() {
        return false;
    }
    let Path(steps) = lenient(path);
    let mut ends =
        (0..=steps.len()).filter(|end| steps.get(*end).is_none_or(|next| !matches!(next, Segment::Key(_))));
    ends.any(|end| patterns.iter().any(|pattern| pattern.covers(&steps[..end], true)))
}

/// Returns true if the value is a leaf of a configuration.
fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.is_empty(),
        Value::Object(entries) => entries.is_empty() || marker_key(value).is_some(),
        _ => true,
    }
}

fn without_fingerprints(text: &str) -> Option<String> {
    const OPEN: &str = "<redacted:hmac:";
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        let end = rest[at..].find('>').map(|end| at + end)?;
        out.push_str(&rest[..at]);
        out.push_str(REDACTED);
        rest = &rest[end + 1..];
    }
    (rest.len() < text.len()).then(|| out + rest)
}

/// JSON without the fingerprints in it, those that are values of their own and those inside texts.
fn without_markers(json: &str) -> Option<String> {
    const OPEN: &str = "{\"redacted\":\"hmac:";
    let mut out = String::new();
    let mut rest = json;
    while let Some(at) = rest.find(OPEN) {
        let end = rest[at..].find('}').map(|end| at + end)?;
        out.push_str(&rest[..at]);
        out.push_str(&Value::from(REDACTED).to_string());
        rest = &rest[end + 1..];
    }
    let out = out + rest;
    without_fingerprints(&out).or((out != json).then_some(out))
}
