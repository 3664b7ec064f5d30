//! Whether a configuration is what was approved.

use std::collections::{BTreeMap, BTreeSet};

use rig_event::{Change, DriftField, FlatConfig, Op, Severity, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diff::rekeyed;
use crate::digest::sha256_hex;
use crate::{Policy, diff, sections};

/// A drift that somebody accepted: this field with exactly this `after`. Another value is drift again.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// The drift as it was when it was accepted.
    pub change: &'a Change,
    /// The first moment at which it is no longer accepted; for good where absent.
    pub until: Option<Timestamp>,
}

impl Accepted<'_> {
    fn covers(&self, field: &DriftField, now: Timestamp) -> bool {
        let holds = self.until.is_none_or(|until| now < until);
        holds && self.change.path == field.path && self.change.after == field.after
    }
}

/// How a configuration differs from its baseline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The decision.
    pub verdict: Verdict,
    /// The highest severity among the fields that nobody accepted.
    pub severity: Option<Severity>,
    /// The fields that differ, sorted by path, without the ignored ones.
    pub fields: Vec<DriftField>,
    /// What decided: ignore rules and acceptances that applied, and what could not be compared.
    pub rules: Vec<String>,
}

/// Judges a configuration against its baseline.
///
/// Ignore rules that hold drop fields; acceptances that hold mark them. A secret under another redaction key than
/// the baseline's cannot be compared: it is no drift, and `rules` says how many there are.
pub fn drift(
    baseline: &FlatConfig,
    current: &FlatConfig,
    policy: &Policy,
    accepted: &[Accepted<'_>],
    now: Timestamp,
) -> Drift {
    let mut rules = BTreeSet::new();
    let mut not_compared = 0u64;
    let mut fields = Vec::new();
    for mut field in differing(baseline, current, policy) {
        if rekeyed(field.before.as_ref(), field.after.as_ref()) {
            not_compared += 1;
            continue;
        }
        if let Some(rule) = policy.ignores(&field.path, now) {
            rules.insert(format!("[[ignore]] {}", rule.path));
            continue;
        }
        if let Some(acceptance) = accepted.iter().find(|acceptance| acceptance.covers(&field, now)) {
            let until = acceptance.until.map(|until| format!(" until {until}")).unwrap_or_default();
            rules.insert(format!("accepted {}{until}", field.path));
            field.accepted = true;
        }
        fields.push(field);
    }
    if not_compared > 0 {
        rules.insert(format!("not compared: secrets under another redaction key: {not_compared}"));
    }
    let severity = fields.iter().filter(|field| !field.accepted).map(|field| field.severity).max();
    let verdict = match (fields.is_empty(), severity) {
        (true, _) => Verdict::InSync,
        (false, None) => Verdict::Accepted,
        (false, Some(_)) => Verdict::Drifted,
    };
    Drift { verdict, severity, fields, rules: rules.into_iter().collect() }
}

fn differing(baseline: &FlatConfig, current: &FlatConfig, policy: &Policy) -> Vec<DriftField> {
    if let (Some(old), Some(new)) = (text_of(baseline), text_of(current)) {
        return differing_sections(old, new, policy);
    }
    let field = |change: Change| DriftField {
        op: change.op,
        path: change.path,
        before: change.before,
        after: change.after,
        severity: change.severity,
        accepted: false,
    };
    let changes = diff(baseline, current, policy).changes;
    changes.into_iter().filter(|change| change.op.is_difference()).map(field).collect()
}

/// The text of a configuration that came from a text document.
fn text_of(config: &FlatConfig) -> Option<&str> {
    match (config.len(), config.get("text")) {
        (1, Some(Value::String(text))) => Some(text),
        _ => None,
    }
}

fn differing_sections(old: &str, new: &str, policy: &Policy) -> Vec<DriftField> {
    let old = section_texts(old);
    let new = section_texts(new);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let text = |texts: &BTreeMap<String, String>, name: &String| texts.get(name).cloned().unwrap_or_default();
    let field = |name: &String| {
        let after = text(&new, name);
        (text(&old, name) != after).then(|| DriftField {
            op: Op::Changed,
            path: name.clone(),
            before: None,
            after: Some(Value::from(format!("sha256:{}", &sha256_hex(&after)[..16]))),
            severity: policy.severity_of(name),
            accepted: false,
        })
    };
    names.into_iter().filter_map(field).collect()
}

/// The text of each section; a text without sections is one, called `text`.
fn section_texts(text: &str) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::<String, String>::new();
    if !sections::is_routeros(text) {
        return BTreeMap::from([("text".to_owned(), text.to_owned())]);
    }
    for (section, line) in sections::sectioned(text) {
        texts.entry(section.into_owned()).or_default().push_str(line);
    }
    texts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn flat(value: Value) -> FlatConfig {
        value.as_object().unwrap().clone().into_iter().collect()
    }

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-11-20T00:00:00Z";

    fn judge(old: Value, new: Value, policy: &str, accepted: &[Accepted<'_>]) -> Drift {
        drift(&flat(old), &flat(new), &Policy::parse(policy).unwrap(), accepted, time(NOW))
    }

    #[test]
    fn no_difference_is_in_sync() {
        let drift = judge(json!({"a": 1}), json!({"a": 1}), "", &[]);
        assert_eq!((drift.verdict, drift.severity), (Verdict::InSync, None));
    }

    #[test]
    fn ignored_fields_drop_out_until_their_rule_expires() {
        let policy = |date| format!("[[ignore]]\npath = \"a\"\nexpires = \"{date}\"");
        let ignored = judge(json!({"a": 1}), json!({"a": 2}), &policy("2026-11-20"), &[]);
        assert_eq!((ignored.verdict, ignored.rules), (Verdict::InSync, vec!["[[ignore]] a".to_owned()]));
        assert_eq!(
            judge(json!({"a": 1}), json!({"a": 2}), &policy("2026-11-19"), &[]).verdict,
            Verdict::Drifted
        );
    }

    #[test]
    fn an_acceptance_covers_one_value_until_its_date() {
        let change = &Change {
            op: Op::Changed,
            path: "a".into(),
            before: Some(json!(1)),
            after: Some(json!(2)),
            severity: Severity::Medium,
        };
        let accepted = |until: &str| [Accepted { change, until: Some(time(until)) }];
        let day_after = accepted("2026-11-21T00:00:00Z");
        let drift = judge(json!({"a": 1}), json!({"a": 2}), "", &day_after);
        assert_eq!((drift.verdict, drift.severity), (Verdict::Accepted, None));
        assert!(drift.fields[0].accepted);
        assert_eq!(judge(json!({"a": 1}), json!({"a": 3}), "", &day_after).verdict, Verdict::Drifted);
        assert_eq!(judge(json!({"a": 1}), json!({}), "", &day_after).verdict, Verdict::Drifted);
        assert_eq!(judge(json!({"a": 1}), json!({"a": 2}), "", &accepted(NOW)).verdict, Verdict::Drifted);
    }

    #[test]
    fn secrets_under_another_key_are_not_compared_and_counted() {
        let secret = |marker: &str| json!({"password": {"redacted": marker}});
        let drift = judge(secret("hmac:k1:0123456789abcdef"), secret("hmac:k2:0000000000000000"), "", &[]);
        assert_eq!(drift.verdict, Verdict::InSync);
        assert_eq!(drift.rules, ["not compared: secrets under another redaction key: 1"]);
    }

    #[test]
    fn a_text_drifts_by_section() {
        let text = |rule: &str| json!({"text": format!("/ip address\nadd address=1\n/ip dns\nset servers={rule}\n")});
        let policy = "[[severity]]\npath = \"ip/dns\"\nlevel = \"high\"";
        let drift = judge(text("1.1.1.1"), text("9.9.9.9"), policy, &[]);
        assert_eq!(drift.fields.len(), 1);
        assert_eq!((drift.fields[0].path.as_str(), drift.severity), ("ip/dns", Some(Severity::High)));
        let after = drift.fields[0].after.clone();
        assert!(after.as_ref().unwrap().as_str().unwrap().starts_with("sha256:"));
        let change =
            Change { op: Op::Changed, path: "ip/dns".into(), before: None, after, severity: Severity::High };
        let accepted = [Accepted { change: &change, until: None }];
        assert_eq!(judge(text("1.1.1.1"), text("9.9.9.9"), policy, &accepted).verdict, Verdict::Accepted);
        assert_eq!(judge(text("1.1.1.1"), text("8.8.8.8"), policy, &accepted).verdict, Verdict::Drifted);
        let plain = judge(json!({"text": "a\n"}), json!({"text": "b\n"}), "", &[]);
        assert_eq!(plain.fields[0].path, "text");
    }
}
