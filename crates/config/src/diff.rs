//! What changed between two flat configurations.

use std::cmp::Ordering;

use rig_event::{Change, FlatConfig, Op, Severity};
use serde_json::Value;

use crate::error::shown;
use crate::redact::marker_key;
use crate::{Error, Policy};

/// The difference between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diff {
    /// How many fields are new.
    pub added: u64,
    /// How many fields are gone.
    pub removed: u64,
    /// How many fields have another value.
    pub changed: u64,
    /// The highest severity of a change; `None` where nothing changed.
    pub severity: Option<Severity>,
    /// The changes, sorted by path.
    pub changes: Vec<Change>,
}

/// Compares two configurations in one walk over both.
///
/// Two fingerprints under different redaction keys say nothing of the secrets behind them. Such a field is a change
/// all the same, of severity low: were it left out, applying the diff would keep the fingerprint under the old key,
/// and no later change of that secret could ever be seen.
pub fn diff(old: &FlatConfig, new: &FlatConfig, policy: &Policy) -> Diff {
    let mut diff = Diff::default();
    let (mut olds, mut news) = (old.iter().peekable(), new.iter().peekable());
    loop {
        let order = match (olds.peek(), news.peek()) {
            (None, None) => return diff,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some((old_path, _)), Some((new_path, _))) => old_path.cmp(new_path),
        };
        let before = if order.is_le() { olds.next() } else { None };
        let after = if order.is_ge() { news.next() } else { None };
        diff.add(before, after, policy);
    }
}

impl Diff {
    fn add(&mut self, before: Option<(&String, &Value)>, after: Option<(&String, &Value)>, policy: &Policy) {
        let (op, count) = match (before, after) {
            (Some((_, old)), Some((_, new))) if old == new => return,
            (Some(_), Some(_)) => (Op::Changed, &mut self.changed),
            (Some(_), None) => (Op::Removed, &mut self.removed),
            _ => (Op::Added, &mut self.added),
        };
        let Some((path, _)) = before.or(after) else { return };
        *count += 1;
        let (before, after) = (before.map(|(_, value)| value), after.map(|(_, value)| value));
        let severity = match rekeyed(before, after) {
            true => Severity::Low,
            false => policy.severity_of_change(op, path, before, after),
        };
        self.severity = self.severity.max(Some(severity));
        self.changes.push(Change {
            op,
            path: path.clone(),
            before: before.cloned(),
            after: after.cloned(),
            severity,
        });
    }
}

/// Whether both values are fingerprints of secrets, under different keys.
pub(crate) fn rekeyed(before: Option<&Value>, after: Option<&Value>) -> bool {
    match (before.and_then(marker_key), after.and_then(marker_key)) {
        (Some(old), Some(new)) => old != new,
        _ => false,
    }
}

/// Makes the changes to a configuration. A change whose `before` is not there is refused, and then the configuration
/// is as it was.
pub fn apply(config: &mut FlatConfig, changes: &[Change]) -> Result<(), Error> {
    let conflict = |change: &Change, why| Err(Error::Conflict { what: shown(&change.path), why });
    for change in changes {
        let shape = (change.op, change.before.is_some(), change.after.is_some());
        if !matches!(shape, (Op::Added, false, true) | (Op::Removed, true, false) | (Op::Changed, true, true))
        {
            return conflict(change, "its values do not go with its operation");
        }
        if config.get(&change.path) != change.before.as_ref() {
            return conflict(change, "the field does not have the value it had before");
        }
    }
    for change in changes {
        match &change.after {
            Some(after) => drop(config.insert(change.path.clone(), after.clone())),
            None => drop(config.remove(&change.path)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn flat(value: Value) -> FlatConfig {
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

    #[test]
    fn a_change_that_does_not_fit_changes_nothing() {
        let mut config = flat(json!({"a": 1, "b": 2}));
        let changes = diff(&flat(json!({"a": 1, "b": 3})), &FlatConfig::new(), &Policy::default()).changes;
        assert_eq!(apply(&mut config, &changes).unwrap_err().code(), "conflict");
        assert_eq!(config, flat(json!({"a": 1, "b": 2})));
    }

    fn config() -> impl Strategy<Value = FlatConfig> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            (0..3i64).prop_map(Value::from),
            "[a-c]{0,2}".prop_map(Value::from),
            Just(json!([])),
            Just(json!({})),
            "[01]{16}".prop_map(|hex| json!({"redacted": format!("hmac:k1:{hex}")})),
        ];
        prop::collection::btree_map("[a-d]{1,2}", leaf, 0..8)
    }

    proptest! {
        #[test]
        fn applying_a_diff_gives_the_new_configuration(old in config(), new in config()) {
            let diff = diff(&old, &new, &Policy::default());
            let mut applied = old.clone();
            apply(&mut applied, &diff.changes).unwrap();
            prop_assert_eq!(&applied, &new);
            prop_assert!(super::diff(&new, &applied, &Policy::default()).changes.is_empty());
        }
    }
}
