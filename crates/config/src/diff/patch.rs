//! A difference for other programs: JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7386).

use std::collections::HashMap;

use rig_event::FlatConfig;
use serde_json::{Map, Value, json};

use super::nest::nested;
use crate::Policy;
use crate::path::{Path, Segment};
use crate::redact::marker_key;

/// Most steps that are taken to put the elements of one list in their places one by one; where more were needed, the
/// list is replaced as a whole.
const MOST_WORK: usize = 50_000_000;

/// The operations of RFC 6902 that lead from the document of `old` to that of `new`.
///
/// Elements of lists are matched as the policy has it, so that the patch says what a person would: remove this one, move
/// that one. Secrets are markers on both sides, here as everywhere.
pub fn json_patch(old: &FlatConfig, new: &FlatConfig, policy: &Policy) -> Vec<Value> {
    let (_, pairs) = super::diff_with_pairs(old, new, policy);
    let mut patch = Patch { pairs, operations: Vec::new() };
    patch.value(&nested(old), &nested(new), "", "");
    patch.operations
}

/// The document of RFC 7386 that leads from the document of `old` to that of `new`, and the fields it cannot set,
/// since it takes `null` for an absence: those that are null in `new` and were not in `old`.
pub fn merge_patch(old: &FlatConfig, new: &FlatConfig) -> (Value, Vec<String>) {
    let (old, new) = (nested(old), nested(new));
    let mut nulls = Vec::new();
    let patch = merge(Some(&old), &new, &mut Path::default(), &mut nulls);
    // A patch that is no map replaces the document; one that is, and says nothing, is empty.
    (patch.unwrap_or_else(|| if new.is_object() { json!({}) } else { new }), nulls)
}

fn merge(old: Option<&Value>, new: &Value, path: &mut Path, nulls: &mut Vec<String>) -> Option<Value> {
    if old == Some(new) {
        return None;
    }
    let Value::Object(entries) = new else {
        if new.is_null() && !path.0.is_empty() {
            nulls.push(path.to_string());
        }
        return Some(new.clone());
    };
    let none = Map::new();
    let before = old.and_then(Value::as_object).unwrap_or(&none);
    let mut patch: Map<String, Value> = before
        .keys()
        .filter(|key| !entries.contains_key(*key))
        .map(|key| (key.clone(), Value::Null))
        .collect();
    for (key, value) in entries {
        path.0.push(Segment::Key(key.clone()));
        if let Some(change) = merge(before.get(key), value, path, nulls) {
            patch.insert(key.clone(), change);
        }
        path.0.pop();
    }
    Some(Value::Object(patch))
}

struct Patch {
    /// For each list whose elements are not matched by position, by its path in the new document: which old element each
    /// new one was.
    pairs: HashMap<String, Vec<Option<usize>>>,
    operations: Vec<Value>,
}

impl Patch {
    fn value(&mut self, old: &Value, new: &Value, pointer: &str, path: &str) {
        match (old, new) {
            (old, new) if old == new => {}
            // A secret's marker is one value, though it is written as a map.
            (old, new) if marker_key(old).or(marker_key(new)).is_some() => {
                self.operations.push(setting("replace", pointer, new));
            }
            (Value::Object(old), Value::Object(new)) => {
                for key in old.keys().filter(|key| !new.contains_key(*key)) {
                    self.operations.push(json!({"op": "remove", "path": below(pointer, key)}));
                }
                for (key, value) in new {
                    let pointer = below(pointer, key);
                    let mut path = path.to_owned();
                    Segment::Key(key.clone()).print(&mut path);
                    match old.get(key) {
                        Some(before) => self.value(before, value, &pointer, &path),
                        None => self.operations.push(setting("add", &pointer, value)),
                    }
                }
            }
            (Value::Array(old), Value::Array(new)) => self.list(old, new, pointer, path),
            _ => self.operations.push(setting("replace", pointer, new)),
        }
    }

    fn list(&mut self, old: &[Value], new: &[Value], pointer: &str, path: &str) {
        let by_index = || (0..new.len()).map(|n| (n < old.len()).then_some(n)).collect();
        let pairs = self.pairs.remove(path).filter(|pairs| pairs.len() == new.len()).unwrap_or_else(by_index);
        let Some(operations) = rearranged(old.len(), &pairs, new, pointer) else {
            self.operations.push(setting("replace", pointer, &new.to_vec().into()));
            return;
        };
        self.operations.extend(operations);
        for (index, (value, pair)) in new.iter().zip(&pairs).enumerate() {
            if let Some(before) = pair.and_then(|before| old.get(before)) {
                self.value(before, value, &format!("{pointer}/{index}"), &format!("{path}[{index}]"));
            }
        }
    }
}

/// The operations that put a list's elements in their new places; `None` where that would be too much work.
fn rearranged(old: usize, pairs: &[Option<usize>], new: &[Value], pointer: &str) -> Option<Vec<Value>> {
    let mut stays = vec![false; old];
    for before in pairs.iter().flatten() {
        *stays.get_mut(*before)? = true;
    }
    let mut operations = Vec::new();
    for index in (0..old).rev().filter(|index| !stays[*index]) {
        operations.push(json!({"op": "remove", "path": format!("{pointer}/{index}")}));
    }
    let moved = super::lists::moved(pairs);
    // The elements as they stand by now, each as the index it will have.
    let mut standing: Vec<usize> = vec![0; old];
    pairs.iter().enumerate().for_each(|(index, before)| {
        if let Some(before) = before {
            standing[*before] = index;
        }
    });
    let mut standing: Vec<usize> = (0..old).filter(|n| stays[*n]).map(|n| standing[n]).collect();
    let mut work = MOST_WORK;
    for (index, before) in pairs.iter().enumerate() {
        if before.is_some() && !moved[index] {
            continue;
        }
        // Right after the one that comes before it in the end, which has its place among those that stay.
        let after = |standing: &[usize]| match index.checked_sub(1) {
            None => Some(0),
            Some(previous) if standing.last() == Some(&previous) => Some(standing.len()),
            Some(previous) => standing.iter().position(|n| *n == previous).map(|at| at + 1),
        };
        if before.is_none() {
            let to = after(&standing)?;
            work = work.checked_sub(standing.len() - to + if to == standing.len() { 0 } else { to })?;
            operations.push(setting("add", &format!("{pointer}/{to}"), &new[index]));
            standing.insert(to, index);
        } else {
            work = work.checked_sub(2 * standing.len())?;
            let from = standing.iter().position(|n| *n == index)?;
            standing.remove(from);
            let to = after(&standing)?;
            standing.insert(to, index);
            if from != to {
                operations.push(
                    json!({"op": "move", "from": format!("{pointer}/{from}"), "path": format!("{pointer}/{to}")}),
                );
            }
        }
    }
    Some(operations)
}

/// An operation with a value, which is put in as it is: `json!` spells numbers anew.
fn setting(op: &str, pointer: &str, value: &Value) -> Value {
    let mut operation = json!({"op": op, "path": pointer});
    operation["value"] = value.clone();
    operation
}

/// A pointer one key further down (RFC 6901).
fn below(pointer: &str, key: &str) -> String {
    format!("{pointer}/{}", key.replace('~', "~0").replace('/', "~1"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Format, Limits, parse};

    fn flat(document: &Value) -> FlatConfig {
        let text = document.to_string();
        parse(text.as_bytes(), Format::Json, &Limits::default()).unwrap().config
    }

    fn check(old: Value, new: Value, rules: &str, patch: Value, merge: Value) {
        let (old, new) = (flat(&old), flat(&new));
        let policy = Policy::parse(rules).unwrap();
        assert_eq!(Value::from(json_patch(&old, &new, &policy)), patch);
        assert_eq!(merge_patch(&old, &new).0, merge);
    }

    #[test]
    fn patches_say_what_a_person_would() {
        check(
            json!({"a": 1, "b/~": {"c": 2}, "gone": []}),
            json!({"a": "1", "b/~": {"c": 3, "d": {"e": []}}}),
            "",
            json!([
                {"op": "remove", "path": "/gone"},
                {"op": "replace", "path": "/a", "value": "1"},
                {"op": "replace", "path": "/b~1~0/c", "value": 3},
                {"op": "add", "path": "/b~1~0/d", "value": {"e": []}},
            ]),
            json!({"a": "1", "b/~": {"c": 3, "d": {"e": []}}, "gone": null}),
        );
        check(
            json!([{"name": "a", "v": 1}, {"name": "b"}, {"name": "c"}]),
            json!([{"name": "c"}, {"name": "new"}, {"name": "a", "v": 2}]),
            "",
            json!([
                {"op": "remove", "path": "/1"},
                {"op": "move", "from": "/1", "path": "/0"},
                {"op": "add", "path": "/1", "value": {"name": "new"}},
                {"op": "replace", "path": "/2/v", "value": 2},
            ]),
            json!([{"name": "c"}, {"name": "new"}, {"name": "a", "v": 2}]),
        );
        check(json!({"a": 1}), json!({"a": 1}), "", json!([]), json!({}));
        check(
            json!({"a": 1}),
            json!([1]),
            "",
            json!([{"op": "replace", "path": "", "value": [1]}]),
            json!([1]),
        );
    }

    #[test]
    fn what_a_merge_patch_cannot_say_is_told() {
        let (old, new) =
            (flat(&json!({"a": 1, "n": null})), flat(&json!({"a": null, "b": {"c": null}, "n": null})));
        let (patch, nulls) = merge_patch(&old, &new);
        assert_eq!(
            (patch, nulls),
            (json!({"a": null, "b": {"c": null}}), vec!["a".to_owned(), "b.c".to_owned()])
        );
    }

    #[test]
    fn patches_spell_numbers_as_the_document_does() {
        let document = |text: &str| parse(text.as_bytes(), Format::Json, &Limits::default()).unwrap().config;
        let old = document(r#"{"a": 1, "list": [{"name": "a", "n": 1}]}"#);
        let new =
            document(r#"{"a": 1e3, "b": 1E400, "list": [{"name": "a", "n": 1e5}, {"name": "b", "n": 2e7}]}"#);
        let printed = Value::from(json_patch(&old, &new, &Policy::default())).to_string();
        for spelling in ["1e3", "1E400", "1e5", "2e7"] {
            assert!(printed.contains(spelling), "{spelling}: {printed}");
        }
        assert!(!printed.contains('+'), "{printed}");
    }
}
