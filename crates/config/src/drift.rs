//! Drift: compares a configuration with its approved baseline, or with a declaration of some of its fields.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use rig_event::{Change, DriftField, FlatConfig, Op, Severity, Timestamp, Verdict};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::diff::rekeyed;
use crate::digest::sha256_hex;
use crate::normalise::renewed;
use crate::redact::{Comparison, compare_texts};
use crate::sections::Syntax;
use crate::{Diff, Format, Policy, diff};

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

/// The difference between a configuration and its baseline, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    /// The decision.
    pub verdict: Verdict,
    /// The highest severity among the fields that nobody accepted.
    pub severity: Option<Severity>,
    /// The fields that differ, sorted by path, without the ignored ones.
    pub fields: Vec<DriftField>,
    /// The reasons: ignore rules and acceptances that applied, and fields that could not be compared.
    pub rules: Vec<String>,
    /// The fields that cannot be compared: hidden under another key, or by a foreign marker. Without a difference elsewhere the
    /// verdict is in-sync, which says nothing of these.
    pub not_compared: Vec<String>,
}

/// The fields that differ, and those of which nobody can know.
type Differing = (Vec<DriftField>, Vec<String>);

/// Judges a configuration against its baseline.
///
/// Ignore rules that hold drop fields; acceptances that hold mark them. What is hidden under another redaction key than
/// the baseline's, or by a foreign marker, cannot be compared: it is no drift, and `not_compared` and `rules` name it.
pub fn drift(
    baseline: &FlatConfig,
    current: &FlatConfig,
    policy: &Policy,
    accepted: &[Accepted<'_>],
    now: Timestamp,
) -> Drift {
    let sections =
        texts(baseline, current, policy).map(|(old, new)| differing_sections(&old, &new, policy, |_| true));
    let differing = sections.unwrap_or_else(|| drifting(diff::diff(baseline, current, policy)));
    decide(differing, policy, accepted, now)
}

/// Judges a configuration against a declaration, which names some fields and says nothing of the others.
///
/// The comparison is that of [`drift`], with the policy's `[[list]]` and `[[compare]]` rules, but only what is declared is
/// compared: a field or an element that it omits is neither removed nor added, and the order of the elements that a key
/// names does not count. Numbers are compared by value
/// (`8080`, `8080.0` and `8.08e3` are one), strings and types as they are. A declared null, or the value that a
/// `[[default]]` rule gives the field, is met by a field that is absent; a declared `{}` is met by any map, and a declared
/// `[]` by an empty list only. Of a text with sections, those are compared that the declaration has.
pub fn declared_drift(declared: &FlatConfig, current: &FlatConfig, policy: &Policy, now: Timestamp) -> Drift {
    let sections = texts(declared, current, policy)
        .map(|(old, new)| differing_sections(&old, &new, policy, |(declared, _)| declared.is_some()));
    let differing = sections.unwrap_or_else(|| drifting(diff::unmet(declared, current, policy)));
    decide(differing, policy, &[], now)
}

/// Applies ignore rules and acceptances to the fields that differ, and decides.
fn decide(
    (differing, not_compared): Differing,
    policy: &Policy,
    accepted: &[Accepted<'_>],
    now: Timestamp,
) -> Drift {
    let mut rules = BTreeSet::new();
    let mut fields = Vec::new();
    for mut field in differing {
        if rekeyed(field.before.as_ref(), field.after.as_ref()) {
            continue;
        }
        let ignored = match is_section(&field) {
            true => policy.ignores_section(&field.path, now),
            false => policy.ignores(&field.path, now),
        };
        if let Some(rule) = ignored {
            rules.insert(format!("[[ignore]] {}", rule.path));
            continue;
        }
        rules.extend(
            policy
                .expired_ignores(&field.path, now)
                .map(|rule| format!("[[ignore]] {} has expired", rule.path)),
        );
        if let Some(acceptance) = accepted.iter().find(|acceptance| acceptance.covers(&field, now)) {
            let until = acceptance.until.map(|until| format!(" until {until}")).unwrap_or_default();
            rules.insert(format!("accepted {}{until}", field.path));
            field.accepted = true;
        }
        fields.push(field);
    }
    rules.extend(uncompared_rule(&not_compared));
    let open = || fields.iter().filter(|field| !field.accepted);
    let severity = open().map(|field| field.severity).max();
    for field in open().filter(|field| Some(field.severity) == severity) {
        let rule = match is_section(field) {
            true => policy.section_rule(&field.path),
            false => policy.severity_rule(field.op, &field.path, field.before.as_ref(), field.after.as_ref()),
        };
        rules.extend(rule.map(ToString::to_string));
    }
    let verdict = match (fields.is_empty(), severity) {
        (true, _) => Verdict::InSync,
        (false, None) => Verdict::Accepted,
        (false, Some(_)) => Verdict::Drifted,
    };
    Drift { verdict, severity, fields, rules: rules.into_iter().collect(), not_compared }
}

/// Says how many fields were not compared, and which are the first of them; nothing where there are none.
pub fn uncompared_rule(paths: &[String]) -> Option<String> {
    const MOST: usize = 5;
    let named: Vec<String> = paths.iter().take(MOST).map(|path| path.chars().take(80).collect()).collect();
    let more = if paths.len() > MOST { format!(" and {} more", paths.len() - MOST) } else { String::new() };
    let count = paths.len();
    (count > 0).then(|| {
        format!(
            "not compared: {count} hidden under another key or by a foreign marker: {}{more}",
            named.join(", ")
        )
    })
}

fn drifting(diff: Diff) -> Differing {
    let field = |Change { op, path, before, after, severity }| DriftField {
        op,
        path,
        before,
        after,
        severity,
        accepted: false,
    };
    let changes = diff.changes.into_iter().filter(|change| change.op.is_difference());
    (changes.map(field).collect(), diff.not_compared)
}

/// Returns true for a section of a text: its `before` is not known, and its `after` is a digest.
fn is_section(field: &DriftField) -> bool {
    field.before.is_none() && field.op == Op::Changed
}

/// Both configurations as texts, where both are, as they would be captured now: the older may come from under other rules.
fn texts<'a>(
    old: &'a FlatConfig,
    new: &'a FlatConfig,
    policy: &Policy,
) -> Option<(Cow<'a, str>, Cow<'a, str>)> {
    let text = |config: &'a FlatConfig| {
        let known = text_of(config)?;
        let renewed = renewed(config, Format::Text, &policy.volatile);
        Some(renewed.map_or(Cow::Borrowed(known), Cow::Owned))
    };
    text_of(old).and(text(new)).and_then(|new| Some((text(old)?, new)))
}

/// The text of a configuration that came from a text document.
fn text_of(config: &FlatConfig) -> Option<&str> {
    match (config.len(), config.get("text")) {
        (1, Some(Value::String(text))) => Some(text),
        _ => None,
    }
}

fn differing_sections(
    old: &str,
    new: &str,
    policy: &Policy,
    counts: impl Fn(&(Option<&String>, Option<&String>)) -> bool,
) -> Differing {
    let syntax = Syntax::of(new).or_else(|| Syntax::of(old));
    let old = section_texts(old, syntax);
    let new = section_texts(new, syntax);
    let names: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    let (mut fields, mut not_compared) = (Vec::new(), Vec::new());
    for name in names {
        let sides = (old.get(name), new.get(name));
        let text = |side: Option<&String>| side.cloned().unwrap_or_default();
        let (before, after) = (text(sides.0), text(sides.1));
        match compare_texts(&before, &after) {
            _ if !counts(&sides) => {}
            Comparison::Equal => {}
            Comparison::NotComparable => not_compared.push(name.clone()),
            Comparison::Different => fields.push(DriftField {
                op: Op::Changed,
                path: name.clone(),
                before: None,
                after: Some(Value::from(format!("sha256:{}", &sha256_hex(&after)[..16]))),
                severity: policy.severity_of_section(name),
                accepted: false,
            }),
        }
    }
    (fields, not_compared)
}

/// The names under which the sections of a text drift; none of what is no text.
pub(crate) fn section_names(config: &FlatConfig) -> impl Iterator<Item = String> {
    let texts = text_of(config).map(|text| section_texts(text, Syntax::of(text)));
    texts.unwrap_or_default().into_keys()
}

/// The text of each section; a text without sections is one, called `text`.
fn section_texts(text: &str, syntax: Option<Syntax>) -> BTreeMap<String, String> {
    let mut texts = BTreeMap::<String, String>::new();
    let Some(syntax) = syntax else {
        return BTreeMap::from([("text".to_owned(), text.to_owned())]);
    };
    for (section, line) in syntax.sections(text) {
        texts.entry(section.into_owned()).or_default().push_str(line);
    }
    texts
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
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
        assert_eq!(drift.not_compared, ["password"]);
        assert_eq!(
            drift.rules,
            ["not compared: 1 hidden under another key or by a foreign marker: password"]
        );
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

    #[test]
    fn sections_of_any_family_have_rules() {
        let text = |mtu: u32, ntp: &str, stamp: &str| {
            json!({"text": format!(
                "! Last configuration change at {stamp}\nhostname a\n!\ninterface Gi0/1.100\n mtu {mtu}\n!\nntp server {ntp}\n\n"
            )})
        };
        let (old, new) =
            (text(1500, "a", "10:00:00 UTC Mon Jan 5 2026"), text(9000, "b", "11:00:00 UTC Mon Jan 5 2026"));
        let paths = |policy: &str| -> Vec<(String, Severity)> {
            let drift = judge(old.clone(), new.clone(), policy, &[]);
            drift.fields.into_iter().map(|field| (field.path, field.severity)).collect()
        };
        let (interface, ntp) = ("interface Gi0/1.100".to_owned(), "ntp".to_owned());
        let medium = Severity::Medium;
        assert_eq!(paths(""), [(interface.clone(), medium), (ntp.clone(), medium)]);
        assert_eq!(paths("[[ignore]]\npath = \"ntp\""), [(interface.clone(), medium)]);
        assert_eq!(paths("[[ignore]]\npath = \"interface *\""), [(ntp.clone(), medium)]);
        assert_eq!(paths("[[ignore]]\npath = \"text\""), []);
        let severities =
            "[[severity]]\npath = \"text\"\nlevel = \"high\"\n[[severity]]\npath = \"ntp\"\nlevel = \"low\"";
        assert_eq!(paths(severities), [(interface, Severity::High), (ntp, Severity::Low)]);
        // A line that a rule leaves out is none, though the baseline has it.
        let rules = "[[volatile]]\nline = \"^ mtu\"\n[[volatile]]\nline = \"^ntp server\"";
        let drift = judge(old, new, rules, &[]);
        assert_eq!(drift.verdict, Verdict::InSync);
    }

    #[test]
    fn the_rule_that_gave_the_severity_is_named() {
        let policy =
            "[[severity]]\npath = \"a\"\nlevel = \"high\"\n[[severity]]\npath = \"b\"\nlevel = \"low\"";
        let drift = judge(json!({"a": 1, "b": 1}), json!({"a": 2, "b": 2}), policy, &[]);
        assert_eq!(
            (drift.severity, drift.rules),
            (Some(Severity::High), vec!["[[severity]] a high".to_owned()])
        );
    }

    #[test]
    fn a_rule_that_ignored_the_field_until_it_expired_is_named() {
        let policy = "[[ignore]]\npath = \"a\"\nexpires = \"2026-11-19\"\n[[ignore]]\npath = \"b\"\nexpires = \"2026-11-19\"";
        let drift = judge(json!({"a": 1, "b": 1}), json!({"a": 2, "b": 1}), policy, &[]);
        assert_eq!(drift.rules, ["[[ignore]] a has expired"]);
    }

    /// Returns the fields that do not meet the declaration.
    fn unmet(declared: &str, current: &str, policy: &str) -> Vec<(String, Op)> {
        let flat = |text: &str| serde_json::from_str::<FlatConfig>(text).unwrap();
        let policy = Policy::parse(policy).unwrap();
        let drift = declared_drift(&flat(declared), &flat(current), &policy, time(NOW));
        assert_eq!(drift.verdict == Verdict::InSync, drift.fields.is_empty());
        drift.fields.into_iter().map(|field| (field.path, field.op)).collect()
    }

    fn field(path: &str, op: Op) -> Vec<(String, Op)> {
        vec![(path.to_owned(), op)]
    }

    #[test]
    fn only_what_is_declared_is_compared() {
        assert_eq!(unmet(r#"{"a": 1}"#, r#"{"a": 1, "b": 2}"#, ""), []);
        assert_eq!(unmet(r#"{"a": 1}"#, r#"{"a": 2, "b": 2}"#, ""), field("a", Op::Changed));
        assert_eq!(unmet(r#"{"a": 1}"#, r#"{"b": 2}"#, ""), field("a", Op::Removed));
        assert_eq!(unmet(r#"{"a": 1}"#, r#"{"a.b": 2}"#, ""), field("a", Op::Removed));
        assert_eq!(unmet(r#"{"l[0]": 1}"#, r#"{"l[0]": 1, "l[1]": 2}"#, ""), []);
        assert_eq!(unmet("{}", r#"{"b": 2}"#, ""), []);
        assert_eq!(unmet(r#"{"a": 1}"#, r#"{"a": 2}"#, "[[ignore]]\npath = \"a\""), []);
    }

    #[test]
    fn declared_numbers_are_compared_by_value_and_types_are_not() {
        for (a, b) in [
            ("8080", "8080.0"),
            ("1e3", "1000"),
            ("0.10", "1E-1"),
            ("-0", "0.000"),
            ("0e99", "0"),
            ("18446744073709551616", "1.8446744073709551616e19"),
            ("12.50e+2", "1250"),
            ("1e99999999999999999999", "1e99999999999999999999"),
        ] {
            for (a, b) in [(a, b), (b, a)] {
                assert_eq!(unmet(&format!("{{\"a\": {a}}}"), &format!("{{\"a\": {b}}}"), ""), [], "{a} {b}");
            }
        }
        for (a, b) in [
            ("8080", "\"8080\""),
            ("1", "true"),
            ("1", "-1"),
            ("1e3", "1e4"),
            ("10", "1"),
            ("0.1", "0.01"),
            ("18446744073709551616", "18446744073709551617"),
        ] {
            let unmet = unmet(&format!("{{\"a\": {a}}}"), &format!("{{\"a\": {b}}}"), "");
            assert_eq!(unmet, field("a", Op::Changed), "{a} {b}");
        }
    }

    #[test]
    fn what_an_absent_field_is_by_default_meets_the_declaration() {
        assert_eq!(unmet(r#"{"a": null}"#, "{}", ""), []);
        assert_eq!(unmet(r#"{"a": null}"#, r#"{"a": 1}"#, ""), field("a", Op::Changed));
        let policy = "[[default]]\npath = \"**.port\"\nvalue = 8080";
        assert_eq!(unmet(r#"{"http.port": 8080.0}"#, "{}", policy), []);
        assert_eq!(unmet(r#"{"http.port": 8081}"#, "{}", policy), field("http.port", Op::Removed));
        assert_eq!(
            unmet(r#"{"http.port": 8080}"#, r#"{"http.port": 8081}"#, policy),
            field("http.port", Op::Changed)
        );
    }

    #[test]
    fn an_empty_map_is_met_by_any_map_and_an_empty_list_by_none() {
        assert_eq!(unmet(r#"{"a": {}}"#, r#"{"a.b": 1}"#, ""), []);
        assert_eq!(unmet(r#"{"": {}}"#, r#"{"a.b": 1}"#, ""), []);
        assert_eq!(unmet(r#"{"a": {}}"#, r#"{"ab": 1}"#, ""), field("a", Op::Removed));
        assert_eq!(unmet(r#"{"a": []}"#, r#"{"a[0]": 1, "a[1].b": 1}"#, "").len(), 2);
        assert_eq!(unmet(r#"{"a": []}"#, r#"{"a[0]": 1}"#, ""), field("a[0]", Op::Added));
        assert_eq!(unmet(r#"{"a": []}"#, "{}", ""), field("a", Op::Removed));
    }

    #[test]
    fn of_a_text_the_declared_sections_are_compared() {
        let text = |dns: &str, ip: &str| format!("{{\"text\": \"/ip dns\\nset servers={dns}\\n{ip}\"}}");
        let address = "/ip address\\nadd address=1\\n";
        assert_eq!(unmet(&text("1.1.1.1", ""), &text("1.1.1.1", address), ""), []);
        assert_eq!(unmet(&text("1.1.1.1", ""), &text("9.9.9.9", address), ""), field("ip/dns", Op::Changed));
        assert_eq!(
            unmet(&text("1.1.1.1", address), &text("1.1.1.1", ""), ""),
            field("ip/address", Op::Changed)
        );
    }

    fn leaf() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            "-?(0|[1-9][0-9]{0,3})(\\.[0-9]{1,3})?([eE][+-]?[0-9]{1,2})?"
                .prop_map(|number| serde_json::from_str(&number).unwrap()),
            "[a-c]{0,2}".prop_map(Value::from),
            Just(json!([])),
            Just(json!({})),
            "[01]{16}".prop_map(|hex| json!({"redacted": format!("hmac:k1:{hex}")})),
        ]
    }

    fn config() -> impl Strategy<Value = FlatConfig> {
        prop::collection::btree_map("[a-d]{1,2}(\\.[a-d]|\\[[0-2]\\])?", leaf(), 0..8)
    }

    proptest! {
        #[test]
        fn a_configuration_has_not_drifted_from_itself(config in config()) {
            let drift = super::drift(&config, &config, &Policy::default(), &[], time(NOW));
            prop_assert_eq!((drift.verdict, drift.fields.len(), drift.rules.len()), (Verdict::InSync, 0, 0));
        }

        #[test]
        fn a_configuration_meets_the_declaration_of_any_of_its_fields(
            config in config(), picks in prop::collection::vec(any::<bool>(), 8),
        ) {
            let declared: FlatConfig =
                config.clone().into_iter().zip(picks).filter(|(_, pick)| *pick).map(|(field, _)| field).collect();
            let drift = declared_drift(&declared, &config, &Policy::default(), time(NOW));
            prop_assert_eq!((drift.verdict, drift.fields.len()), (Verdict::InSync, 0));
        }

        #[test]
        fn an_ignored_field_of_a_list_matched_by_key_never_drifts(
            mut items in prop::collection::btree_map("[a-f]", (0..9u8, 0..9u8), 0..6), turn in 0..6usize,
        ) {
            let policy = Policy::parse(
                "[[list]]\npath = \"items\"\nkey = \"name\"\nordered = false\n[[ignore]]\npath = \"items[name=*].load\"",
            ).unwrap();
            let parse = |items: &[(&String, &(u8, u8))]| {
                let items: Vec<Value> =
                    items.iter().map(|(name, (port, load))| json!({"name": name, "port": port, "load": load})).collect();
                let text = json!({ "items": items }).to_string();
                crate::parse(text.as_bytes(), crate::Format::Json, &crate::Limits::default()).unwrap().config
            };
            let before = parse(&items.iter().collect::<Vec<_>>());
            for (_, load) in items.values_mut() {
                *load += 1;
            }
            let mut shuffled: Vec<_> = items.iter().collect();
            shuffled.rotate_left(turn % items.len().max(1));
            let drift = super::drift(&before, &parse(&shuffled), &policy, &[], time(NOW));
            prop_assert_eq!(drift.verdict, Verdict::InSync);
            prop_assert_eq!(drift.rules.len(), usize::from(!items.is_empty()));
        }
    }
}
