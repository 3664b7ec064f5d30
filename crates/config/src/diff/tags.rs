//! Short and long forms of CloudFormation's functions: `!Ref X` is `Ref: X`, `!GetAtt A.B` is `Fn::GetAtt: [A, B]`.
//!
//! The forms lie under different keys, so that the comparison finds one removed and the other added. Where all that is gone
//! below a path is all that came, but for the form, it is no difference.

use std::collections::BTreeMap;

use rig_event::{Change, Op};
use serde_json::Value;

use crate::Severity;
use crate::path::{Segment, lenient};

type Fields = Vec<(String, String)>;

/// Marks changes of nothing but the form as equivalent.
pub(super) fn settle(changes: &mut [Change]) {
    let is_short = |change: &Change| change.path.contains('!');
    if !changes.iter().any(|change| matches!(change.op, Op::Added | Op::Removed) && is_short(change)) {
        return;
    }
    let mut groups = BTreeMap::<String, (Fields, Fields, Vec<usize>)>::new();
    for (index, change) in changes.iter().enumerate() {
        let (Op::Added | Op::Removed) = change.op else { continue };
        let Some(value) = change.before.as_ref().or(change.after.as_ref()) else { continue };
        let Some((above, fields)) = long(&lenient(&change.path).0, value) else { continue };
        let (gone, come, members) = groups.entry(above).or_default();
        if change.op == Op::Removed { gone } else { come }.extend(fields);
        members.push(index);
    }
    for (mut gone, mut come, members) in groups.into_values() {
        gone.sort();
        come.sort();
        if gone == come {
            for index in members {
                changes[index].op = Op::Equivalent;
                changes[index].severity = Severity::Low;
            }
        }
    }
}

/// A field below a function, in its long form: the path above the outermost function, and what stands there.
fn long(path: &[Segment], value: &Value) -> Option<(String, Fields)> {
    let first =
        path.iter().position(|segment| matches!(segment, Segment::Key(key) if function(key).is_some()))?;
    let print = |segments: &[Segment]| {
        let mut text = String::new();
        segments.iter().for_each(|segment| segment.print(&mut text));
        text
    };
    let named = |segment: &Segment| match segment {
        Segment::Key(key) => Segment::Key(function(key).unwrap_or_else(|| key.clone())),
        other => other.clone(),
    };
    let below: Vec<Segment> = path[first..].iter().map(named).collect();
    let is_get = matches!(below.last(), Some(Segment::Key(key)) if key == "Fn::GetAtt");
    let fields = match value.as_str().and_then(|text| text.split_once('.')).filter(|_| is_get) {
        Some((resource, attribute)) => [resource, attribute]
            .into_iter()
            .enumerate()
            .map(|(n, part)| (format!("{}[{n}]", print(&below)), Value::from(part).to_string()))
            .collect(),
        None => vec![(print(&below), value.to_string())],
    };
    Some((print(&path[..first]), fields))
}

/// The long name of a function.
fn function(key: &str) -> Option<String> {
    match key.strip_prefix('!') {
        Some(name @ ("Ref" | "Condition")) => Some(name.to_owned()),
        Some(name) => Some(format!("Fn::{name}")),
        None => (key == "Ref" || key == "Condition" || key.starts_with("Fn::")).then(|| key.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use crate::{Format, Limits, Policy, apply, diff, parse};

    fn differences(old: &str, new: &str) -> usize {
        let read = |text: &str| parse(text.as_bytes(), Format::Yaml, &Limits::default()).unwrap().config;
        let (old, new) = (read(old), read(new));
        let found = diff(&old, &new, &Policy::default());
        let mut applied = old;
        apply(&mut applied, &found.changes).unwrap();
        assert_eq!(applied, new);
        found.changes.iter().filter(|change| change.op.is_difference()).count()
    }

    #[test]
    fn a_function_in_its_long_form_is_no_difference() {
        assert_eq!(differences("a: !Ref X", "a: {Ref: X}"), 0);
        assert_eq!(differences("a: !Ref X", "a: {Ref: Y}"), 2);
        assert_eq!(differences("a: !GetAtt A.B.C", "a: {'Fn::GetAtt': [A, B.C]}"), 0);
        assert_eq!(differences("a: !Join [',', [!Ref X, b]]", "a: {'Fn::Join': [',', [{Ref: X}, b]]}"), 0);
        assert_eq!(differences("a: !Join [',', [!Ref X, b]]", "a: {'Fn::Join': [',', [{Ref: X}, c]]}"), 6);
        assert_eq!(differences("l: [!Sub a, x]", "l: [{'Fn::Sub': a}, x]"), 0);
    }
}
