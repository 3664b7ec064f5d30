//! The comparison of values in which parts were hidden. Everything that compares asks here, so that a difference, a drift and a
//! baseline agree on what can be known.
//!
//! A hidden part is rig's fingerprint, `{"redacted":"hmac:k1:…"}` for a whole value and `<redacted:hmac:k1:…>` inside a text, or
//! the foreign marker `***redacted***`, which has none. Two fingerprints under one key are equal or different. Under different
//! keys nothing can be known of the secrets behind them, and of a foreign marker never: not even that it equals itself.

use std::collections::BTreeSet;

use rig_event::{Change, FlatConfig, Op};
use serde_json::Value;

use super::marker::{RIGGING, fingerprint_key, is_marker, marker_key};

/// The relation of two values.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Comparison {
    /// They are equal, in what is hidden too.
    Equal,
    /// The shown parts are equal, and the hidden ones cannot be compared.
    NotComparable,
    /// They differ.
    Different,
}

/// Compares two values, part by part where parts are hidden.
pub fn compare(before: &Value, after: &Value) -> Comparison {
    if let (Some(before), Some(after)) = (Parts::of(before), Parts::of(after)) {
        return before.compare(&after);
    }
    let is_foreign = |value: &Value| value.as_str() == Some(RIGGING);
    if is_foreign(before) || is_foreign(after) {
        return Comparison::NotComparable;
    }
    if before == after { Comparison::Equal } else { Comparison::Different }
}

/// Compares two texts, part by part where parts are hidden.
pub fn compare_texts(before: &str, after: &str) -> Comparison {
    Parts::split(before).compare(&Parts::split(after))
}

/// Returns true if two values can be compared. If what is hidden is all that may differ, and is a foreign marker or is under
/// different keys, rig cannot know that they are equal, nor that they differ.
pub fn are_comparable(before: &Value, after: &Value) -> bool {
    compare(before, after) != Comparison::NotComparable
}

/// Returns true if a part of the value is a foreign marker, which equals nothing.
pub fn holds_foreign(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains(RIGGING))
}

/// Returns how many parts of a value are hidden.
pub fn count(value: &Value) -> usize {
    Parts::of(value).map_or(0, |parts| parts.hidden.len())
}

/// Returns the paths of the fields that two configurations share and whose values cannot be compared. `changes` is the
/// difference of the two, and `named` gives the second with its fields named as there.
pub(crate) fn uncompared(
    new: &FlatConfig,
    changes: &[Change],
    named: impl FnOnce() -> FlatConfig,
) -> Vec<String> {
    let rekeyed = |change: &&Change| match (change.op, &change.before, &change.after) {
        (Op::Changed | Op::Equivalent, Some(before), Some(after)) => !are_comparable(before, after),
        _ => false,
    };
    let mut paths: BTreeSet<String> =
        changes.iter().filter(rekeyed).map(|change| change.path.clone()).collect();
    // A foreign marker that equals another is no change, and no word on the secrets either.
    if new.values().any(holds_foreign) {
        let told: BTreeSet<&str> = changes.iter().map(|change| change.path.as_str()).collect();
        let same =
            named().into_iter().filter(|(path, value)| holds_foreign(value) && !told.contains(path.as_str()));
        paths.extend(same.map(|(path, _)| path));
    }
    paths.into_iter().collect()
}

/// A text, split at what is hidden in it.
struct Parts<'a> {
    text: &'a str,
    /// The shown parts: before, between and behind the hidden ones.
    shown: Vec<&'a str>,
    hidden: Vec<Hidden<'a>>,
}

/// A stand-in for a secret.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hidden<'a> {
    /// A fingerprint, and the id of its key.
    Fingerprint(&'a str, &'a str),
    Foreign,
}

impl<'a> Parts<'a> {
    /// The parts of a text, or of a secret that was hidden whole; nothing of other values.
    fn of(value: &'a Value) -> Option<Parts<'a>> {
        if let Value::String(text) = value {
            return Some(Parts::split(text));
        }
        let key = marker_key(value)?;
        let fingerprint = value.get("redacted")?.as_str()?;
        Some(Parts { text: "", shown: vec!["", ""], hidden: vec![Hidden::Fingerprint(fingerprint, key)] })
    }

    fn split(text: &'a str) -> Parts<'a> {
        let mut parts = Parts { text, shown: Vec::new(), hidden: Vec::new() };
        let (mut start, mut from) = (0, 0);
        while let Some(at) = next_marker(text, from) {
            let rest = &text[at..];
            let (length, hidden) = if rest.starts_with(RIGGING) {
                (RIGGING.len(), Some(Hidden::Foreign))
            } else {
                let end = rest.find('>').map_or(rest.len(), |end| end + 1);
                let whole = &rest[..end];
                let fingerprint = whole.strip_prefix(OPEN).and_then(|rest| rest.strip_suffix('>'));
                let key = fingerprint.filter(|_| is_marker(whole)).and_then(fingerprint_key);
                (end, fingerprint.zip(key).map(|(print, key)| Hidden::Fingerprint(print, key)))
            };
            match hidden {
                Some(hidden) => {
                    parts.shown.push(&text[start..at]);
                    parts.hidden.push(hidden);
                    (start, from) = (at + length, at + length);
                }
                None => from = at + 1,
            }
        }
        parts.shown.push(&text[start..]);
        parts
    }

    fn is_whole(&self) -> bool {
        self.hidden.len() == 1 && self.shown.iter().all(|shown| shown.is_empty())
    }

    fn compare(&self, other: &Parts<'_>) -> Comparison {
        if self.shown == other.shown {
            let pairs = self.hidden.iter().zip(&other.hidden).map(|(a, b)| a.compare(b));
            return pairs.max().unwrap_or(Comparison::Equal);
        }
        if self.may_stand_for(other) || other.may_stand_for(self) {
            Comparison::NotComparable
        } else {
            Comparison::Different
        }
    }

    /// Returns true if this may be the other value with more of it hidden, and nobody can tell.
    fn may_stand_for(&self, other: &Parts<'_>) -> bool {
        match self.hidden.first() {
            None => false,
            Some(Hidden::Fingerprint(_, key)) if self.is_whole() => {
                other.hidden.iter().any(|part| !matches!(part, Hidden::Fingerprint(_, other) if other == key))
            }
            _ => self.hidden.contains(&Hidden::Foreign) && fits(self.text, other.text),
        }
    }
}

impl Hidden<'_> {
    fn compare(&self, other: &Hidden<'_>) -> Comparison {
        match (self, other) {
            (Hidden::Fingerprint(before, old), Hidden::Fingerprint(after, new)) if old == new => {
                if before == after { Comparison::Equal } else { Comparison::Different }
            }
            _ => Comparison::NotComparable,
        }
    }
}

const OPEN: &str = "<redacted:";

/// Where the next marker may begin.
fn next_marker(text: &str, from: usize) -> Option<usize> {
    let mut at = from;
    loop {
        at += memchr::memchr2(b'<', b'*', &text.as_bytes()[at..])?;
        // Both signs are ASCII, so a character begins here.
        if text[at..].starts_with(OPEN) || text[at..].starts_with(RIGGING) {
            return Some(at);
        }
        at += 1;
    }
}

/// Returns true if a text is what another shows around its foreign markers.
fn fits(foreign: &str, text: &str) -> bool {
    let shown: Vec<&str> = foreign.split(RIGGING).collect();
    let [first, between @ .., last] = shown.as_slice() else { return false };
    let Some(mut rest) = text.strip_prefix(first).and_then(|rest| rest.strip_suffix(last)) else {
        return false;
    };
    between.iter().all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Policy, diff};

    /// A fingerprint of one of two secrets under one of two keys, as a whole value and inside a text.
    fn print(key: &str, digit: &str) -> (Value, String) {
        let print = format!("hmac:{key}:{}", digit.repeat(16));
        (json!({ "redacted": print }), format!("<redacted:{print}>"))
    }

    #[test]
    fn hidden_parts_are_equal_different_or_not_comparable() {
        use Comparison::{Different, Equal, NotComparable};
        let ((ka, in_ka), (kb, in_kb), (ja, in_ja)) = (print("k", "a"), print("k", "b"), print("j", "a"));
        let url = |secret: &str| json!(format!("redis://u:{secret}@h/0"));
        let foreign = json!(RIGGING);
        for (before, after, expected) in [
            (json!(1), json!(1), Equal),
            (json!(1), json!(2), Different),
            (json!("a"), json!("a"), Equal),
            (json!("a"), json!("b"), Different),
            (ka.clone(), ka.clone(), Equal),
            (ka.clone(), kb.clone(), Different),
            (ka.clone(), ja.clone(), NotComparable),
            (ka.clone(), json!("plain"), Different),
            (ka.clone(), json!(7), Different),
            (foreign.clone(), foreign.clone(), NotComparable),
            (foreign.clone(), ka.clone(), NotComparable),
            (foreign.clone(), json!("plain"), NotComparable),
            (foreign.clone(), json!(7), NotComparable),
            (foreign.clone(), json!(null), NotComparable),
            (foreign.clone(), url(&in_ka), NotComparable),
            (url(&in_ka), url(&in_ka), Equal),
            (url(&in_ka), url(&in_kb), Different),
            (url(&in_ka), url(&in_ja), NotComparable),
            (url(RIGGING), url(RIGGING), NotComparable),
            (url(RIGGING), url(&in_ka), NotComparable),
            (url(RIGGING), url("p"), NotComparable),
            (url(RIGGING), json!("redis://u:p@h/1"), Different),
            (url(&in_ka), json!(format!("redis://u:{in_ja}@h/1")), Different),
            (url(&in_ka), url("p"), Different),
            (json!(format!("{in_ka} {in_ja}")), json!(format!("{in_kb} {in_ka}")), Different),
            (json!(format!("{in_ka} {in_ja}")), json!(format!("{in_ka} {in_ka}")), NotComparable),
            (ka.clone(), url(&in_ka), Different),
            (ka.clone(), url(&in_ja), NotComparable),
            (json!("<redacted:mine>"), json!("<redacted:yours>"), Different),
            (json!("**bold**"), json!("**bolder**"), Different),
        ] {
            assert_eq!(compare(&before, &after), expected, "{before} {after}");
            assert_eq!(compare(&after, &before), expected, "{after} {before}");
            assert_eq!(are_comparable(&before, &after), expected != NotComparable);
        }
    }

    #[test]
    fn what_was_not_compared_is_named_also_where_it_looks_equal() {
        let flat = |value: Value| -> FlatConfig { value.as_object().unwrap().clone().into_iter().collect() };
        let old = flat(json!({
            "a": RIGGING, "b": print("k", "a").0, "c": RIGGING, "s[0].name": "x", "s[0].p": RIGGING, "same": print("k", "a").0,
        }));
        let new = flat(json!({
            "a": RIGGING, "b": print("j", "a").0, "new": RIGGING, "s[0].name": "w", "s[0].p": RIGGING, "s[1].name": "x",
            "s[1].p": RIGGING, "same": print("k", "a").0,
        }));
        let diff = diff(&old, &new, &Policy::default());
        assert_eq!(diff.not_compared, ["a", "b", "s[name=x].p"], "{:?}", diff.changes);
    }
}
