//! Built-in severities, for changes that no rule of the policy matches.

use std::sync::LazyLock;

use rig_event::{Op, Severity};

use serde_json::Value;

use super::SeverityRule;
use crate::ValuePattern;

const LEVEL_OF_A_LOG: &str = "(?i)^(trace|debug|verbose|info|notice|warn|warning|error|critical|fatal)$";
const ANY_ADDRESS: &str = r"^([a-z]+://)?(0\.0\.0\.0|::|\[::\])(:\d+|/0)?$";
const ON: &str = "(?i)^(true|on|yes|enabled?|1)$";
const OFF: &str = "(?i)^(false|off|no|none|disabled?|0)$";

/// Rules for what is added or changed: the paths, the value that is there now, how much that matters. Of several rules that
/// match, the last holds, so the two of no danger stand below those that they are exceptions to.
const RULES: &[(&[&str], &str, Severity)] = &[
    (&["**.*log*.**"], LEVEL_OF_A_LOG, Severity::Low),
    (&["**.*debug*"], ON, Severity::High),
    (&["**"], ANY_ADDRESS, Severity::High),
    (
        &[
            "**.*tls*",
            "**.*tls*.enabled",
            "**.*ssl*",
            "**.*ssl*.enabled",
            "**.*auth*",
            "**.*auth*.enabled",
            "**.*encrypt*",
            "**.*encrypt*.enabled",
            "**.*verify*",
        ],
        OFF,
        Severity::Critical,
    ),
    (&["**.*insecure*", "**.*skip*verify*"], ON, Severity::Critical),
    (&["**.*insecure*", "**.*skip*verify*"], OFF, Severity::Medium),
];

/// The built-in rules; case does not matter in their paths.
static BUILT_IN: LazyLock<Vec<SeverityRule>> = LazyLock::new(|| {
    let rule = |path: &&str, value: &str, level| {
        Some(SeverityRule {
            path: path.parse().ok()?,
            op: vec![Op::Added, Op::Changed],
            value_matches: Some(value.parse().ok()?),
            before_matches: None,
            level,
            built_in: true,
        })
    };
    let rules =
        RULES.iter().flat_map(|(paths, value, level)| paths.iter().map(move |p| rule(p, value, *level)));
    rules.flatten().collect()
});

/// Matches if at least one of them does. It matches almost no value, so almost every change needs only this
/// one test.
static ANY_VALUE: LazyLock<Option<ValuePattern>> = LazyLock::new(|| {
    let values: Vec<String> = RULES.iter().map(|(_, value, _)| format!("(?:{value})")).collect();
    values.join("|").parse().ok()
});

/// The built-in rules that may say something of a field with this value now.
pub(super) fn built_in(now: Option<&Value>) -> &'static [SeverityRule] {
    let may_match = |value| ANY_VALUE.as_ref().is_none_or(|any| any.matches(value));
    if now.is_some_and(may_match) { &BUILT_IN } else { &[] }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::Policy;

    fn rated(path: &str, now: Value) -> &'static str {
        let policy = Policy::default();
        let added = policy.severity_of_change(Op::Added, path, None, Some(&now));
        assert_eq!(policy.severity_of_change(Op::Changed, path, Some(&Value::Null), Some(&now)), added);
        assert_eq!(
            policy.severity_of_change(Op::Removed, path, Some(&now), None),
            Severity::Medium,
            "{path}"
        );
        added.as_str()
    }

    #[test]
    fn danger_is_told_from_noise_without_a_policy() {
        for (path, now, level) in [
            ("a", json!(1), "medium"),
            ("log.level", json!("debug"), "low"),
            ("app.rootLogLevel", json!("WARN"), "low"),
            ("logging.handlers[0].level", json!("info"), "low"),
            ("logging.path", json!("/var/log"), "medium"),
            ("DEBUG", json!(true), "high"),
            ("debug", json!(false), "medium"),
            ("debugPort", json!(9229), "medium"),
            ("server.listen", json!("0.0.0.0:8080"), "high"),
            ("firewall.rules[name=ssh].from", json!("0.0.0.0/0"), "high"),
            ("bind", json!("[::]:53"), "high"),
            ("bind", json!("10.0.0.0:53"), "medium"),
            ("server.TLS.Enabled", json!(false), "critical"),
            ("db.sslmode", json!("disable"), "critical"),
            ("db.sslmode", json!("require"), "medium"),
            ("requireAuth", json!("no"), "critical"),
            ("auth.cache.ttl", json!(0), "medium"),
            ("client.verify_ssl", json!(0), "critical"),
            ("client.insecure", json!(true), "critical"),
            ("tls.insecureSkipVerify", json!(true), "critical"),
            ("tls.insecureSkipVerify", json!(false), "medium"),
            ("tls.skip_verify", json!(false), "medium"),
        ] {
            assert_eq!(rated(path, now.clone()), level, "{path} {now}");
        }
        let all: usize = RULES.iter().map(|(paths, ..)| paths.len()).sum();
        assert_eq!(BUILT_IN.len(), all, "each rule reads");
        assert!(ANY_VALUE.is_some());
    }

    #[test]
    fn rules_of_the_policy_win_over_built_in_ones() {
        let policy = Policy::parse(
            "[[severity]]\npath = \"**\"\nlevel = \"medium\"\n[[severity]]\npath = \"log.**\"\nlevel = \"high\"",
        )
        .unwrap();
        let of = |path, now| policy.severity_of_change(Op::Changed, path, None, Some(&now)).as_str();
        assert_eq!(of("tls.enabled", json!(false)), "medium");
        assert_eq!(of("log.level", json!("debug")), "high");
        let built_in = Policy::default();
        let rule = built_in.severity_rule(Op::Added, "debug", None, Some(&json!(true))).unwrap().to_string();
        assert_eq!(
            rule,
            format!("built-in [[severity]] **.*debug* (added, changed) (value matches {ON}) high")
        );
    }

    #[test]
    fn the_policy_page_lists_the_built_in_rules() {
        let page = include_str!("../../../../docs/policy.md");
        for (paths, value, level) in RULES {
            let paths: Vec<String> = paths.iter().map(|path| format!("`{path}`")).collect();
            let row = format!("| {} | `{}` | `{level}` |", paths.join(", "), value.replace('|', "\\|"));
            assert!(page.contains(&row), "missing: {row}");
        }
    }
}
