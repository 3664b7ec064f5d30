//! The policy's values out of the environment: `RIG_DRIFT_FAIL_ON=high` is `fail_on = "high"` below `[drift]`.

use toml::{Table, Value};

use super::Policy;
use crate::Error;

/// The tables of single values: `RIG_TABLE_KEY` sets one.
const TABLES: &[&str] = &["drift", "retention"];

/// The lists of rules: `RIG_TABLE` holds more of them, `[{ path = "**.x" }]`, which stand after those of the file.
const RULES: &[&str] = &["secret", "severity", "list", "volatile", "ignore", "default"];

impl Policy {
    /// Reads a policy file and then what the environment says: a single value replaces that of the file, rules are added
    /// after its own. Variables that are about something else are passed over.
    ///
    /// # Errors
    /// [`Error::BadPolicy`] with the place in the file or the name of the variable. A misspelt key of a table of the policy
    /// is an error here as in the file.
    pub fn parse_with<'a>(
        text: &str,
        variables: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Policy, Error> {
        let mut policy = Policy::parse(text)?;
        let mut variables: Vec<(&str, &str)> = variables.filter(|(name, _)| target(name).is_some()).collect();
        if variables.is_empty() {
            return Ok(policy);
        }
        // So that the answer does not hang on the order of the environment.
        variables.sort_unstable();
        let bad = |name: &str, why: String| Error::BadPolicy { at: None, why: format!("{name} {why}") };
        let mut table: Table = toml::from_str(text).map_err(|e| bad("the file", e.message().to_owned()))?;
        for (name, value) in variables {
            match target(name) {
                Some((rules, None)) => {
                    let more: Table = toml::from_str(&format!("rules = {value}"))
                        .map_err(|_| bad(name, "must be a list of rules: [{ path = \"a.b\" }]".to_owned()))?;
                    let (Some(Value::Array(more)), 1) = (more.get("rules").cloned(), more.len()) else {
                        return Err(bad(name, "must be a list of rules: [{ path = \"a.b\" }]".to_owned()));
                    };
                    if let Value::Array(known) = table.entry(rules).or_insert(Value::Array(Vec::new())) {
                        known.extend(more);
                    }
                }
                Some((section, Some(key))) => {
                    // What has digits only is a number, and everything else a text.
                    let value = value.parse().map_or_else(|_| Value::from(value), Value::Integer);
                    if let Value::Table(known) = table.entry(section).or_insert(Value::Table(Table::new())) {
                        known.insert(key, value);
                    }
                }
                None => {}
            }
            policy = table
                .clone()
                .try_into()
                .map_err(|e: toml::de::Error| bad(name, format!("is wrong: {}", e.message())))?;
        }
        Ok(policy)
    }
}

/// Returns the setting that a variable overrides: a list of rules, or a key of a table.
fn target(name: &str) -> Option<(&'static str, Option<String>)> {
    let rest = name.strip_prefix("RIG_")?.to_ascii_lowercase();
    let rules = RULES.iter().find(|rules| **rules == rest).map(|rules| (*rules, None));
    rules.or_else(|| {
        TABLES.iter().find_map(|table| {
            let key = rest.strip_prefix(table)?.strip_prefix('_')?;
            Some((*table, Some(key.to_owned())))
        })
    })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::Severity;

    const FILE: &str =
        "[drift]\nfail_on = \"high\"\n[retention]\nmax_age = \"90d\"\n[[ignore]]\npath = \"a\"\n";

    fn with(variables: &[(&str, &str)]) -> Result<Policy, Error> {
        Policy::parse_with(FILE, variables.iter().copied())
    }

    #[test]
    fn a_variable_sets_what_the_file_could() {
        let policy = with(&[
            ("RIG_DRIFT_FAIL_ON", "low"),
            ("RIG_RETENTION_KEEP", "7"),
            ("RIG_RETENTION_MAX_AGE", "2w"),
            ("RIG_RETENTION_MAX_EVENTS", "1000"),
            ("RIG_RETENTION_MAX_BYTES", "1GiB"),
            ("RIG_IGNORE", "[{ path = \"b\", expires = 2027-01-31 }]"),
            ("RIG_SEVERITY", "[{ path = \"**\", level = \"low\" }]"),
        ])
        .unwrap();
        assert_eq!(policy.drift.fail_on, Some(Severity::Low));
        assert_eq!(policy.retention.keep, Some(7));
        assert_eq!(policy.retention.max_age, Some(Duration::from_secs(14 * 86_400)));
        assert_eq!((policy.retention.max_events, policy.retention.max_bytes), (Some(1_000), Some(1 << 30)));
        let ignored: Vec<String> = policy.ignore.iter().map(|rule| rule.path.to_string()).collect();
        assert_eq!((ignored, policy.severity_of_section("x")), (vec!["a".into(), "b".into()], Severity::Low));
        assert_eq!(with(&[]).unwrap(), Policy::parse(FILE).unwrap());
        let alone = Policy::parse_with("", [("RIG_DRIFT_FAIL_ON", "critical")].into_iter()).unwrap();
        assert_eq!(alone.drift.fail_on, Some(Severity::Critical));
    }

    #[test]
    fn other_variables_are_passed_over_and_wrong_ones_are_named() {
        assert!(with(&[("RIG_HUB", "x"), ("RIG_LISTEN", "y"), ("PATH", "z"), ("RIG_DRIFTING", "1")]).is_ok());
        for (name, value) in [
            ("RIG_DRIFT_FAIL", "high"),
            ("RIG_DRIFT_FAIL_ON", "urgent"),
            ("RIG_RETENTION_KEEP", "many"),
            ("RIG_RETENTION_MAX_AGE", "90"),
            ("RIG_IGNORE", "b"),
            ("RIG_IGNORE", "[{ path = \"b\", expires = \"soon\" }]"),
            ("RIG_IGNORE", "[]\n[drift]\nfail_on = \"low\""),
        ] {
            let error = with(&[(name, value)]).unwrap_err();
            assert!(error.to_string().contains(name), "{name}={value}: {error}");
        }
    }
}
