//! Documents inside strings: a policy as JSON, Helm values as YAML.

use rig_event::Change;
use serde_json::Value;

use super::group::grouped;
use crate::{Document, Format, Limits, Policy, diff, parse};

/// Longest string that is taken apart.
const MAX_BYTES: usize = 1 << 20;

/// The differences of two documents in strings, with the name of their format; `None` where they are no documents, or differ
/// in nothing but their spelling.
pub(super) fn changes(old: &str, new: &str) -> Option<(&'static str, Vec<Change>)> {
    if old.len().max(new.len()) > MAX_BYTES {
        return None;
    }
    let json = |text: &str| text.trim_start().starts_with(['{', '[']);
    let (name, format) = match (json(old), json(new)) {
        (true, true) => ("JSON", Format::Json),
        // In one line nearly everything is YAML.
        (false, false) if old.contains('\n') && new.contains('\n') => ("YAML", Format::Yaml),
        _ => return None,
    };
    let limits = Limits { bytes: MAX_BYTES as u64, fields: 10_000, ..Limits::default() };
    let read = |text: &str| parse(text.as_bytes(), format, &limits).ok().filter(is_document);
    let found = diff(&read(old)?.config, &read(new)?.config, &Policy::default());
    if found.is_empty() || (format == Format::Yaml && comments(old) != comments(new)) {
        return None;
    }
    Some((name, grouped(&found.changes)))
}

/// Returns true if it has fields of its own, with names that people give: of a prose text, YAML makes one value or a name of
/// many words.
fn is_document(document: &Document) -> bool {
    let is_value = |(path, value): (&String, &Value)| path.is_empty() && !value.is_object();
    let is_prose = |path: &String| path.contains(' ') && path.len() > 60;
    !document.config.iter().any(is_value) && !document.config.keys().any(is_prose)
}

/// The comments of a text, which a diff of its fields does not show.
fn comments(text: &str) -> Vec<&str> {
    text.lines().map(str::trim_start).filter(|line| line.starts_with('#')).collect()
}
