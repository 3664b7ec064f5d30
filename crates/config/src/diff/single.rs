//! Lists that a format spells as a single element while there is but one: HCL blocks, XML elements, YAML documents.
//!
//! `peer.host` becomes `peer[0].host` when a second peer comes. Nobody renamed the first, so both sides are compared as
//! lists where one side has a single value or map and the other at least two elements. A list of one element is none of
//! these: only a document that has lists of its own can spell it, and there it is another thing than its element.

use std::collections::BTreeSet;

use rig_event::FlatConfig;
use serde_json::Value;

use super::fields::{Entry, Fields, bracket};

/// Returns true if the fields have a single value or map under this rest of a path, and no list.
pub(super) fn has(fields: &Fields<'_>, list: &str) -> bool {
    if list.is_empty() {
        // The fields are themselves the map, or the value.
        return fields.get(0).is_some_and(|(rest, value)| !rest.starts_with('[') && is_one(rest, value));
    }
    fields.value(list).is_some_and(|value| is_one("", value)) || has_below(fields, list, '.')
}

/// Returns true if something stands below this rest of a path, in a map (`.`) or a list (`[`).
pub(super) fn has_below(fields: &Fields<'_>, rest: &str, step: char) -> bool {
    if rest.is_empty() && step == '.' {
        // Below the document itself stands everything, and keys have no step before them.
        return fields.get(0).is_some_and(|(first, _)| !first.is_empty() && !first.starts_with('['));
    }
    !fields.below(&format!("{rest}{step}")).is_empty()
}

fn is_one(rest: &str, value: &Value) -> bool {
    !(rest.is_empty() && (value.is_null() || value.is_array()))
}

/// The same of a whole configuration.
pub(super) fn is_in(config: &FlatConfig, list: &str) -> bool {
    if list.is_empty() {
        let first = config.iter().next();
        return first.is_some_and(|(path, value)| !path.starts_with('[') && is_one(path, value));
    }
    let below = format!("{list}.");
    config.get(list).is_some_and(|value| is_one("", value))
        || config.range(below.clone()..).next().is_some_and(|(path, _)| path.starts_with(&below))
}

/// Returns true if the fields of a list, which all begin with `open`, are those of more than one element.
pub(super) fn several(fields: &Fields<'_>, open: &str) -> bool {
    !fields.below(&format!("{open}0]")).is_empty() && !fields.below(&format!("{open}1]")).is_empty()
}

/// The same of the entries of a configuration.
pub(super) fn are_several(entries: &[Entry<'_>], open: &str) -> bool {
    several(&Fields { entries, skip: 0 }, open)
}

/// The lists of at least two elements on one side that are single on the other, `one`.
pub(super) fn lists(one: Fields<'_>, many: Fields<'_>) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut at = 0;
    while let Some((rest, _)) = many.get(at) {
        let Some(open) = bracket(rest) else {
            at += 1;
            continue;
        };
        let run = many.run(at, &rest[..=open]);
        if has(&one, &rest[..open]) && several(&many.slice(at..at + run, 0), &rest[..=open]) {
            found.insert(rest[..open].to_owned());
        }
        at += run;
    }
    found
}

/// The fields with what is single in these lists as their first element.
pub(super) fn as_lists<'a>(fields: Fields<'a>, lists: &BTreeSet<String>) -> Vec<(String, &'a Value)> {
    let listed = |rest: &str| -> Option<usize> {
        let ends = rest.match_indices('.').map(|(at, _)| at).chain([rest.len()]);
        std::iter::once(0).chain(ends).find(|end| lists.contains(&rest[..*end]))
    };
    let renamed = |(path, value): &Entry<'a>| {
        let (base, rest) = path.split_at(fields.skip);
        let path = match listed(rest) {
            None => (*path).to_owned(),
            Some(end) => {
                let below = &rest[end..];
                let dot = if below.is_empty() || below.starts_with(['.', '[']) { "" } else { "." };
                format!("{base}{}[0]{dot}{below}", &rest[..end])
            }
        };
        (path, *value)
    };
    let mut renamed: Vec<(String, &Value)> = fields.entries.iter().map(renamed).collect();
    renamed.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    renamed
}
