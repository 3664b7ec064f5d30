//! A flat configuration as the rows of a tree.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use rig_event::FlatConfig;
use serde_json::Value;

use crate::text;

/// A row of the tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// Its depth.
    pub depth: usize,
    /// Its last step.
    pub label: String,
    /// Its whole path; of a group, without what comes after it.
    pub path: String,
    /// The kind of the row.
    pub kind: Kind,
}

/// The kind of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Has others below it.
    Group {
        /// True if its fields are shown.
        open: bool,
        /// Number of fields.
        fields: usize,
    },
    /// A field, with its value as it is shown.
    Field(String),
    /// A field that the last change removed, with what it was.
    Removed(String),
    /// A line of a text.
    Line {
        /// The line.
        text: String,
        /// True if the line is new in the text.
        fresh: bool,
    },
}

/// The rows of a config and of what was removed from it; groups in `closed` are not unfolded.
pub fn rows<'a>(
    config: &'a FlatConfig,
    removed: impl Iterator<Item = (&'a String, &'a Value)>,
    old_text: Option<&Value>,
    closed: &BTreeSet<String>,
) -> Vec<Row> {
    let mut fields: Vec<(Vec<&str>, &str, &Value, bool)> =
        config.iter().map(|(path, value)| (steps(path), path.as_str(), value, false)).collect();
    fields.extend(removed.map(|(path, value)| (steps(path), path.as_str(), value, true)));
    fields.sort_by(|a, b| compare(&a.0, &b.0));
    let mut rows = Vec::with_capacity(fields.len() * 2);
    let mut open: Vec<&str> = Vec::new();
    let mut at = 0;
    'fields: while let Some((steps, path, value, gone)) = fields.get(at) {
        let common = steps.iter().zip(&open).take_while(|(a, b)| a == b).count();
        open.truncate(common.min(steps.len().saturating_sub(1)));
        while open.len() + 1 < steps.len() {
            let depth = open.len();
            let prefix = steps[..=depth].concat();
            let rest = fields.get(at..).unwrap_or_default();
            let below =
                rest.iter().take_while(|(other, ..)| other.get(..=depth) == steps.get(..=depth)).count();
            let is_open = !closed.contains(&prefix);
            rows.push(Row {
                depth,
                label: label(steps[depth]),
                path: prefix,
                kind: Kind::Group { open: is_open, fields: below },
            });
            if !is_open {
                at += below;
                continue 'fields;
            }
            open.push(steps[depth]);
        }
        leaf(&mut rows, steps, path, value, *gone, old_text);
        at += 1;
    }
    rows
}

fn leaf(rows: &mut Vec<Row>, steps: &[&str], path: &str, value: &Value, gone: bool, old: Option<&Value>) {
    let depth = steps.len().saturating_sub(1);
    let name = label(steps.last().copied().unwrap_or(path));
    let row = |depth, label, kind| Row { depth, label, path: path.to_owned(), kind };
    let long = value.as_str().filter(|text| !gone && text.contains('\n'));
    let Some(long) = long else {
        let shown = text::value(value);
        rows.push(row(depth, name, if gone { Kind::Removed(shown) } else { Kind::Field(shown) }));
        return;
    };
    rows.push(row(depth, name, Kind::Field(format!("{} lines", long.lines().count()))));
    let before: Option<BTreeSet<&str>> = old.and_then(Value::as_str).map(|old| old.lines().collect());
    for line in long.lines() {
        let fresh = before.as_ref().is_some_and(|before| !before.contains(line));
        rows.push(row(depth + 1, String::new(), Kind::Line { text: text::plain(line), fresh }));
    }
}

fn label(step: &str) -> String {
    text::plain(step.strip_prefix('.').unwrap_or(step))
}

/// `servers[0].port` as `servers`, `[0]`, `.port`; keys in quotes stay whole.
fn steps(path: &str) -> Vec<&str> {
    let mut steps = Vec::new();
    let (mut start, mut quoted, mut escaped, mut bracket) = (0, false, false, false);
    for (at, c) in path.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ if quoted => {}
            '.' | '[' if at > start && !bracket => {
                steps.push(&path[start..at]);
                start = at;
                bracket = c == '[';
            }
            '[' => bracket = true,
            ']' => bracket = false,
            _ => {}
        }
    }
    steps.push(&path[start..]);
    steps
}

fn compare(a: &[&str], b: &[&str]) -> Ordering {
    let number = |step: &str| -> Option<u64> { step.strip_prefix('[')?.strip_suffix(']')?.parse().ok() };
    for (a, b) in a.iter().zip(b) {
        let order = match (number(a), number(b)) {
            (Some(a), Some(b)) => a.cmp(&b),
            _ => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
    }
    a.len().cmp(&b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_stand_in_their_order_and_keys_with_dots_stay_whole() {
        let config: FlatConfig =
            [("list[10].a", 1), ("list[2].a", 2), ("list[2].b", 3), ("\"a.b\".c", 4), ("plain", 5)]
                .into_iter()
                .map(|(path, value)| (path.to_owned(), value.into()))
                .collect();
        let shown = |closed: &[&str]| {
            let closed = closed.iter().map(|path| (*path).to_owned()).collect();
            rows(&config, std::iter::empty(), None, &closed)
                .iter()
                .map(|row| format!("{}{}", " ".repeat(row.depth), row.label))
                .collect::<Vec<_>>()
        };
        assert_eq!(shown(&[]), ["\"a.b\"", " c", "list", " [2]", "  a", "  b", " [10]", "  a", "plain"]);
        assert_eq!(shown(&["list[2]"]), ["\"a.b\"", " c", "list", " [2]", " [10]", "  a", "plain"]);
        assert_eq!(shown(&["list"]), ["\"a.b\"", " c", "list", "plain"]);
    }

    #[test]
    fn odd_paths_are_rows_too() {
        for path in ["", ".", "[", "]", "a..b", "\"", "a[", "[[0]]", "ä.ö", "\"\\\""] {
            let config = FlatConfig::from([(path.to_owned(), Value::Null)]);
            assert!(!rows(&config, std::iter::empty(), None, &BTreeSet::new()).is_empty(), "{path}");
            assert_eq!(steps(path).concat(), path);
        }
    }
}
