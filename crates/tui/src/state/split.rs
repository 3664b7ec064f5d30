//! The changes between two moments.

use std::sync::Arc;

use rig_config::told::{Told, tell};
use rig_event::{Change, FlatConfig, Op, Severity};
use rig_replay::State;
use serde_json::Value;

use crate::text;

/// Most fields that are listed of one service.
pub const MAX_FIELDS: usize = 2_000;

/// A service that is not what it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its name.
    pub service: String,
    /// The differences besides the config, in words.
    pub words: Vec<String>,
    /// Number of fields of its config that differ.
    pub differing: usize,
    /// The fields: path, there, here.
    pub fields: Vec<(String, Option<String>, Option<String>)>,
}

/// The services that differ between `there` and `here`, by name.
pub fn differences(there: &State, here: &State) -> Vec<Difference> {
    let mut names: Vec<_> = there.services.keys().chain(here.services.keys()).collect();
    names.sort();
    names.dedup();
    let mut found = Vec::new();
    for name in names {
        let (old, new) = (there.services.get(name), here.services.get(name));
        if old.zip(new).is_some_and(|(old, new)| Arc::ptr_eq(old, new)) {
            continue;
        }
        let mut words = Vec::new();
        match (old, new) {
            (None, Some(_)) => words.push("is new".to_owned()),
            (Some(_), None) => words.push("is gone".to_owned()),
            _ => {}
        }
        let status = |s: Option<&Arc<rig_replay::Service>>| s.and_then(|s| s.status.clone());
        if status(old) != status(new) {
            let word = |status: Option<String>| text::plain(&status.unwrap_or_else(|| "–".to_owned()));
            words.push(format!("{} → {}", word(status(old)), word(status(new))));
        }
        let verdict = |s: Option<&Arc<rig_replay::Service>>| {
            s.and_then(|s| s.drift.as_ref()).map(|drift| drift.verdict)
        };
        if verdict(old) != verdict(new) {
            let word =
                |verdict: Option<rig_event::Verdict>| verdict.map_or("none", |verdict| verdict.as_str());
            words.push(format!("drift {} → {}", word(verdict(old)), word(verdict(new))));
        }
        let empty = Arc::default();
        let config = |s: Option<&'_ Arc<rig_replay::Service>>| s.map_or(&empty, |s| &s.config).clone();
        let (differing, fields) = fields(&config(old), &config(new));
        if !words.is_empty() || differing > 0 {
            found.push(Difference { service: text::plain(name.as_str()), words, differing, fields });
        }
    }
    found
}

type Fields = Vec<(String, Option<String>, Option<String>)>;

fn fields(old: &Arc<FlatConfig>, new: &Arc<FlatConfig>) -> (usize, Fields) {
    if Arc::ptr_eq(old, new) {
        return (0, Vec::new());
    }
    let mut paths: Vec<&String> = old.keys().chain(new.keys()).collect();
    paths.sort();
    paths.dedup();
    let (mut count, mut fields) = (0, Vec::new());
    for path in paths {
        let (before, after) = (old.get(path), new.get(path));
        if before == after {
            continue;
        }
        let found = match (before, after) {
            (Some(before), Some(after)) => differing(path, before, after),
            _ => vec![(text::plain(path), before.map(text::value), after.map(text::value))],
        };
        count += found.len();
        fields.extend(found);
    }
    fields.truncate(MAX_FIELDS);
    (count, fields)
}

/// Two values: on one line, by the lines of a text, or by the fields of a document inside them.
fn differing(path: &str, before: &Value, after: &Value) -> Fields {
    let change = Change {
        op: Op::Changed,
        path: path.to_owned(),
        before: Some(before.clone()),
        after: Some(after.clone()),
        severity: Severity::default(),
    };
    told(path, &change, &tell(&change))
}

fn told(path: &str, change: &Change, shown: &Told) -> Fields {
    let sides = |change: &Change| match (&change.before, &change.after) {
        (Some(before), Some(after)) => {
            let (before, after) = text::both(before, after);
            (Some(before), Some(after))
        }
        (before, after) => (before.as_ref().map(text::value), after.as_ref().map(text::value)),
    };
    match shown {
        Told::Lines(_) => {
            let text =
                |value: &Option<Value>| value.as_ref().and_then(Value::as_str).unwrap_or_default().to_owned();
            line_changes(path, &text(&change.before), &text(&change.after))
        }
        Told::Fields(_, fields) => fields
            .iter()
            .flat_map(|(inner, shown)| told(&format!("{path} › {}", inner.path), inner, shown))
            .collect(),
        _ => {
            let (before, after) = sides(change);
            vec![(text::plain(path), before, after)]
        }
    }
}

/// Lines that only one of two texts has, each with the section it stands in.
fn line_changes(path: &str, before: &str, after: &str) -> Fields {
    let there: std::collections::BTreeSet<&str> = before.lines().collect();
    let here: std::collections::BTreeSet<&str> = after.lines().collect();
    let name = |at: usize, sections: &[String]| {
        let section = sections.get(at).map(|section| format!(" {}", text::plain(section)));
        format!("{}:{}{}", text::plain(path), at + 1, section.unwrap_or_default())
    };
    let (old, new) = (rig_replay::sections(before), rig_replay::sections(after));
    let gone = before.lines().enumerate().filter(|(_, line)| !here.contains(line));
    let come = after.lines().enumerate().filter(|(_, line)| !there.contains(line));
    let gone = gone.map(|(at, line)| (name(at, &old), Some(text::plain(line)), None));
    gone.chain(come.map(|(at, line)| (name(at, &new), None, Some(text::plain(line))))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_a_text_is_named_with_its_section() {
        let text = |mtu: u32| format!("interface Gi0/1\n mtu 9000\ninterface Gi0/2\n mtu {mtu}\n");
        let names: Vec<String> =
            line_changes("text", &text(1500), &text(9216)).into_iter().map(|(name, ..)| name).collect();
        assert_eq!(names, ["text:4 interface Gi0/2", "text:4 interface Gi0/2"]);
        assert_eq!(line_changes("text", "a\n", "b\n")[0].0, "text:1");
    }
}
