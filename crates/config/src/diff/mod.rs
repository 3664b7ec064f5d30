//! The difference between two flat configurations: found, applied, exported as a patch.
//!
//! In reading order: `fields` (stretches of a sorted configuration), `walk` (two configurations side by
//! side), `tags` (two forms of one function), `single` (lists of one), `likeness` and `lists` (pairs of elements), `apply` (from the old to the new), [`nest`] (fields back to a tree),
//! [`patch`] (JSON Patch and JSON Merge Patch).
//!
//! A configuration names the elements of a list by index, as they stand in the document. A diff names those that it
//! matched by a key, `servers[name=api].port`: so a change is the same wherever the element stands. Elsewhere what is
//! removed has the index it had, and all else the index it has.

mod apply;
mod fields;
mod likeness;
mod lists;
mod names;
pub mod nest;
pub mod patch;
mod single;
mod tags;
mod walk;

use std::collections::HashMap;

use rig_event::{Change, FlatConfig, Op, Severity};
use serde_json::Value;

use self::fields::Entry;
use self::walk::Walk;
use crate::Policy;
use crate::redact::{are_comparable, hidden};

pub use self::apply::{apply, apply_some};
pub use self::names::named;

/// The difference between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// Number of new fields.
    pub added: u64,
    /// Number of removed fields.
    pub removed: u64,
    /// Number of fields with another value.
    pub changed: u64,
    /// Number of list elements with another place.
    pub moved: u64,
    /// Number of fields that are spelled differently and equal by a rule. They are not a difference.
    pub equivalent: u64,
    /// Number of places that the changes note for the fold. They are not a difference.
    pub placed: u64,
    /// The highest severity of a change; `None` where nothing changed.
    pub severity: Option<Severity>,
    /// The paths of the fields whose values cannot be compared, in order: hidden under another key, or by a foreign marker. Those
    /// whose markers differ are among `changes` too, for the fold.
    pub not_compared: Vec<String>,
    /// The changes in the order of their paths; in a list, first the elements that are gone, then those there are.
    pub changes: Vec<Change>,
}

impl Diff {
    /// A difference of these changes, counted anew.
    pub fn of(changes: Vec<Change>) -> Diff {
        let mut diff = Diff::default();
        for change in &changes {
            diff.count(change);
        }
        Diff { changes, ..diff }
    }

    fn count(&mut self, change: &Change) {
        *match change.op {
            Op::Added => &mut self.added,
            Op::Removed => &mut self.removed,
            Op::Changed => &mut self.changed,
            Op::Moved => &mut self.moved,
            Op::Equivalent => &mut self.equivalent,
            Op::Placed => &mut self.placed,
        } += 1;
        if change.op.is_difference() {
            self.severity = self.severity.max(Some(change.severity));
        }
    }

    /// Returns true if there is no difference.
    pub fn is_empty(&self) -> bool {
        self.added + self.removed + self.changed + self.moved == 0
    }
}

/// Compares two configurations in one walk over both.
///
/// Applying all of `changes` leads from the old configuration to the new one exactly, also from one spelling of a
/// value to another that a rule holds equal.
///
/// Two fingerprints under different redaction keys say nothing of the secrets behind them, and `not_compared` names their
/// field. It is a change all the same, of severity low: were it left out, applying the diff would keep the fingerprint under
/// the old key, and no later change of that secret could ever be seen.
pub fn diff(old: &FlatConfig, new: &FlatConfig, policy: &Policy) -> Diff {
    let mut walk = Walk::new(policy);
    walk.run(old, new);
    tags::settle(&mut walk.changes);
    let mut diff = Diff::of(walk.changes);
    diff.not_compared = hidden::uncompared(new, &diff.changes, || named(new, policy).0);
    diff
}

/// Compares a declaration, which names some fields and says nothing of the others, with what is there: the same comparison,
/// in which what the declaration leaves out is neither removed nor added, and whatever it holds equal is.
pub(crate) fn unmet(declared: &FlatConfig, current: &FlatConfig, policy: &Policy) -> Diff {
    let mut walk = Walk { declared: true, ..Walk::new(policy) };
    walk.run(declared, current);
    let not_compared = hidden::uncompared(current, &walk.changes, || {
        let (declared, mut current) = (named(declared, policy).0, named(current, policy).0);
        current.retain(|path, _| declared.contains_key(path));
        current
    });
    walk.changes.retain(|change| change.op.is_difference());
    Diff { not_compared, ..Diff::of(walk.changes) }
}

/// Which old element each new element of a list was, by the list's path in the new configuration.
type Pairs = HashMap<String, Vec<Option<usize>>>;

/// The same, with what was matched in lists whose elements are not where they were.
fn diff_with_pairs(old: &FlatConfig, new: &FlatConfig, policy: &Policy) -> (Diff, Pairs) {
    let mut walk = Walk { pairs: Some(Pairs::new()), ..Walk::new(policy) };
    walk.run(old, new);
    (Diff::of(walk.changes), walk.pairs.unwrap_or_default())
}

fn entries(config: &FlatConfig) -> Vec<Entry<'_>> {
    config.iter().map(fields::entry).collect()
}

/// Returns true if nothing can be known of two values because of what is hidden in them.
pub(crate) fn rekeyed(before: Option<&Value>, after: Option<&Value>) -> bool {
    before.zip(after).is_some_and(|(before, after)| !are_comparable(before, after))
}

#[cfg(test)]
mod tests {
    use rig_event::Op;
    use serde_json::json;

    use super::*;

    pub(super) fn flat(value: Value) -> FlatConfig {
        value.as_object().unwrap().clone().into_iter().collect()
    }

    #[test]
    fn each_kind_of_change_is_counted_and_rated() {
        let policy = Policy::parse("[[severity]]\npath = \"db.**\"\nlevel = \"critical\"\n").unwrap();
        let old = flat(json!({"a": 1, "db.host": "x", "gone": null, "same": []}));
        let new = flat(json!({"a": 2, "db.host": "y", "same": [], "z": {}}));
        let diff = diff(&old, &new, &policy);
        assert_eq!((diff.added, diff.removed, diff.changed), (1, 1, 2));
        assert_eq!(diff.severity, Some(Severity::Critical));
        let paths: Vec<_> = diff.changes.iter().map(|c| (c.path.as_str(), c.op, c.severity)).collect();
        assert_eq!(
            paths,
            [
                ("a", Op::Changed, Severity::Medium),
                ("db.host", Op::Changed, Severity::Critical),
                ("gone", Op::Removed, Severity::Medium),
                ("z", Op::Added, Severity::Medium),
            ]
        );
        assert_eq!(diff.changes[2].before, Some(Value::Null));
    }

    #[test]
    fn a_secret_under_a_new_key_is_a_low_change() {
        let policy = Policy::parse("[[severity]]\npath = \"**\"\nlevel = \"critical\"\n").unwrap();
        let secret = |marker: &str| flat(json!({"password": {"redacted": marker}}));
        let under = |old, new| diff(&secret(old), &secret(new), &policy).severity;
        assert_eq!(under("hmac:k1:0123456789abcdef", "hmac:k1:0123456789abcdef"), None);
        assert_eq!(under("hmac:k1:0123456789abcdef", "hmac:k1:0000000000000000"), Some(Severity::Critical));
        assert_eq!(under("hmac:k1:0123456789abcdef", "hmac:k2:0000000000000000"), Some(Severity::Low));
    }
}
