//! Documents in strings: JSON or YAML inside a value is redacted by its own rules, and stays what it is but for the secrets.

use std::ops::Range;

use rig_event::FlatConfig;
use serde_json::Value;

use crate::secrets::{Found, NAMED};
use crate::{Format, Limits};

/// The depth to which documents are looked for in strings in documents.
pub(super) const DEPTH: usize = 4;

/// The longest string that is read as a document, in bytes.
const LONGEST: usize = 8 << 20;

/// Returns the fields of the document that a string holds. A word or a sentence is not one.
pub(super) fn document(text: &str, may_be_yaml: bool) -> Option<FlatConfig> {
    let trimmed = text.trim_start();
    if text.len() > LONGEST || trimmed.len() < 8 {
        return None;
    }
    let is_json = trimmed.starts_with(['{', '[']) && trimmed.trim_end().ends_with(['}', ']']);
    let looks_like_yaml = || {
        let lines = trimmed
            .lines()
            .take(64)
            .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with('#'));
        let (all, keyed) = lines.fold((0, 0), |(all, keyed), line| {
            let line = line.trim_start().trim_start_matches("- ");
            (all + 1, keyed + usize::from(line.contains(": ") || line.ends_with(':') || line == "---"))
        });
        trimmed.contains('\n') && keyed >= 2 && 2 * keyed >= all
    };
    let format = match is_json {
        true => Format::Json,
        false if may_be_yaml && looks_like_yaml() => Format::Yaml,
        false => return None,
    };
    let limits = Limits::default();
    crate::parse(text.as_bytes(), format, &limits).ok().map(|document| document.config)
}

/// Returns where the values of fields stand in the text of their document. A value that cannot be found is not in the answer, and
/// the caller hides the whole text.
pub(super) fn places(text: &str, secrets: &[&Value]) -> Option<Vec<Found>> {
    let mut found = Vec::new();
    for secret in secrets {
        let ranges = match secret {
            Value::String(secret) if secret.is_empty() => continue,
            Value::String(secret) => of_string(text, secret),
            other => of_word(text, &other.to_string()),
        };
        if ranges.is_empty() {
            return None;
        }
        found.extend(ranges.into_iter().map(|range| Found { range, kind: NAMED }));
    }
    Some(found)
}

/// Returns where a string stands: as JSON spells it, as it is, or line by line.
fn of_string(text: &str, secret: &str) -> Vec<Range<usize>> {
    let quoted = Value::from(secret).to_string();
    let spelled = &quoted[1..quoted.len() - 1];
    let mut ranges = of_word(text, spelled);
    if spelled != secret {
        ranges.extend(of_word(text, secret));
    }
    if ranges.is_empty() && secret.contains('\n') {
        // A block scalar has its own indentation.
        for line in secret.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let lines = of_word(text, line);
            if lines.is_empty() {
                return Vec::new();
            }
            ranges.extend(lines);
        }
    }
    ranges
}

/// Returns where a text stands as a whole: no letter or digit is next to it.
fn of_word(text: &str, word: &str) -> Vec<Range<usize>> {
    let is_next = |c: Option<char>, own: Option<char>| {
        c.is_some_and(char::is_alphanumeric) && own.is_some_and(char::is_alphanumeric)
    };
    let places = text.match_indices(word).filter(|(at, _)| {
        let before = text[..*at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        // `\n` before it, in a string in a string, is not a letter.
        let escaped = text[..*at].chars().nth_back(1) == Some('\\');
        (escaped || !is_next(before, word.chars().next())) && !is_next(after, word.chars().next_back())
    });
    places.map(|(at, _)| at..at + word.len()).collect()
}

/// Finds the data of a Kubernetes Secret in a text that is a manifest, or the template of one.
pub(super) fn manifests(text: &str, found: &mut Vec<Found>) {
    if !text.contains("kind: Secret") && !text.contains("kind: \"Secret\"") {
        return;
    }
    let start_of = |line: &str| line.as_ptr() as usize - text.as_ptr() as usize;
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '-']).len();
    let mut lines: Vec<&str> = Vec::new();
    for line in text.split('\n').chain(["---"]) {
        if line.trim_end() != "---" {
            lines.push(line);
            continue;
        }
        let kinds: Vec<usize> = lines
            .iter()
            .filter(|line| {
                matches!(line.trim_start_matches([' ', '-']).trim_end(), "kind: Secret" | "kind: \"Secret\"")
            })
            .map(|line| indent(line))
            .collect();
        let mut below: Option<usize> = None;
        for line in &lines {
            let content = line.trim_start_matches([' ', '-']).trim_end();
            let depth = indent(line);
            if content.is_empty() {
                continue;
            }
            if below.is_some_and(|above| depth <= above) {
                below = None;
            }
            if matches!(content, "data:" | "stringData:") && kinds.contains(&depth) {
                below = Some(depth);
                continue;
            }
            if below.is_none() || content.starts_with('#') {
                continue;
            }
            let value = match content.split_once(": ") {
                Some((name, value)) if !name.contains(' ') => value.trim(),
                _ if content.ends_with(':') => continue,
                _ => content,
            };
            let value = value.trim_matches(['"', '\'']);
            let is_template = value.starts_with("{{") && value.ends_with("}}");
            let is_block = matches!(value, "|" | ">" | "|-" | ">-" | "|+" | ">+");
            if !(value.is_empty() || is_template || is_block || value.contains("<redacted:")) {
                let start = start_of(value);
                found.push(Found { range: start..start + value.len(), kind: NAMED });
            }
        }
        lines.clear();
    }
}
