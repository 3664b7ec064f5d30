//! Elements of lists that came or went as a whole: one change each, where the log has one for every field.

use std::collections::BTreeSet;

use rig_event::{Change, FlatConfig, Op};
use serde_json::Value;

use crate::diff::nest::nested;
use crate::path::Segment;
use crate::redact::is_redacted;

/// The changes that are differences, with the fields of an element that came or went as one change, whose value is the
/// element. An element of a single field stays that field.
pub fn grouped(changes: &[Change]) -> Vec<Change> {
    let places = |is: &dyn Fn(&Change) -> bool| -> BTreeSet<&str> {
        let placed = changes.iter().filter(|change| change.op == Op::Placed && is(change));
        placed.map(|change| change.path.as_str()).collect()
    };
    let come = places(&|change| change.before.is_none());
    let gone = places(&|change| change.after.is_none());
    let element = |change: &Change| -> Option<usize> {
        let places = match change.op {
            Op::Added => &come,
            Op::Removed => &gone,
            _ => return None,
        };
        let ends = || change.path.match_indices(']').map(|(at, _)| at + 1);
        if places.is_empty() { None } else { ends().find(|end| places.contains(&change.path[..*end])) }
    };
    let mut told: Vec<Change> = Vec::new();
    let mut left = changes.iter().filter(|change| change.op.is_difference()).peekable();
    while let Some(first) = left.next() {
        let Some(end) = element(first) else {
            told.push(first.clone());
            continue;
        };
        let path = &first.path[..end];
        let same = |change: &&Change| {
            change.op == first.op && element(change) == Some(end) && change.path.starts_with(path)
        };
        let mut fields = vec![first];
        while let Some(next) = left.next_if(same) {
            fields.push(next);
        }
        if fields.len() == 1 {
            told.push(first.clone());
            continue;
        }
        let severity = fields.iter().map(|field| field.severity).max().unwrap_or_default();
        let field = |change: &Change| {
            let rest = &change.path[end..];
            let value = change.after.clone().or_else(|| change.before.clone()).unwrap_or_default();
            (rest.strip_prefix('.').unwrap_or(rest).to_owned(), value)
        };
        let value = nested(&fields.into_iter().map(field).collect());
        let (before, after) = if first.op == Op::Added { (None, Some(value)) } else { (Some(value), None) };
        told.push(Change { op: first.op, path: path.to_owned(), before, after, severity });
    }
    told
}

/// Returns true if a value is an element with fields, and no leaf of a configuration.
pub(super) fn is_element(value: &Value) -> bool {
    match value {
        Value::Object(map) => !map.is_empty() && !is_redacted(value),
        Value::Array(list) => !list.is_empty(),
        _ => false,
    }
}

/// The fields of an element, by their paths in it.
pub fn fields_of(element: &Value) -> FlatConfig {
    fn add(value: &Value, path: &mut String, fields: &mut FlatConfig) {
        let mut step = |segment: Segment, value: &Value| {
            let length = path.len();
            segment.print(path);
            add(value, path, fields);
            path.truncate(length);
        };
        match value {
            Value::Object(map) if is_element(value) => {
                map.iter().for_each(|(key, value)| step(Segment::Key(key.clone()), value));
            }
            Value::Array(list) if is_element(value) => {
                list.iter().enumerate().for_each(|(index, value)| step(Segment::Index(index), value));
            }
            leaf => drop(fields.insert(path.clone(), leaf.clone())),
        }
    }
    let mut fields = FlatConfig::new();
    add(element, &mut String::new(), &mut fields);
    fields
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Format, Limits, Policy, diff, parse};

    fn told(old: Value, new: Value) -> Vec<(&'static str, String, Option<Value>)> {
        let flat = |value: Value| {
            parse(value.to_string().into_bytes(), Format::Json, &Limits::default()).unwrap().config
        };
        let found = diff(&flat(old), &flat(new), &Policy::default());
        grouped(&found.changes).into_iter().map(|c| (c.op.as_str(), c.path, c.after.or(c.before))).collect()
    }

    #[test]
    fn an_element_that_comes_or_goes_is_one_change() {
        let peer = |host: u8| json!({"host": host, "mtu": [1, 2]});
        assert_eq!(
            told(json!({"p": [peer(1)]}), json!({"p": [peer(1), peer(2)]})),
            [("added", "p[1]".to_owned(), Some(peer(2)))]
        );
        assert_eq!(
            told(json!({"p": [peer(1), peer(2)]}), json!({"p": peer(2)})),
            [("removed", "p[0]".to_owned(), Some(peer(1)))]
        );
        assert_eq!(
            told(json!([{"name": "a", "x": 1}]), json!([{"name": "b", "x": 1}])),
            [
                ("removed", "[name=a]".to_owned(), Some(json!({"name": "a", "x": 1}))),
                ("added", "[name=b]".to_owned(), Some(json!({"name": "b", "x": 1}))),
            ]
        );
        assert_eq!(
            told(json!({"p": ["a"]}), json!({"p": ["a", "b"], "q": {"r": 1}})),
            [("added", "p[1]".to_owned(), Some(json!("b"))), ("added", "q.r".to_owned(), Some(json!(1)))]
        );
    }

    #[test]
    fn the_fields_of_an_element_are_those_of_a_document() {
        let element = json!({"a.b": [{"c": {}}, []], "p": {"redacted": "hmac:k1:0123456789abcdef"}});
        let paths: Vec<String> = fields_of(&element).into_keys().collect();
        assert_eq!(paths, ["\"a.b\"[0].c", "\"a.b\"[1]", "p"]);
        assert_eq!(nested(&fields_of(&element)), element);
    }
}
