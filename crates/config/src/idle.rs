//! Reports the rules of a policy that do nothing: a rule that is misspelt or has expired must not pass for
//! one that holds.

use std::collections::BTreeMap;

use rig_event::{FlatConfig, Timestamp};

use crate::diff::named;
use crate::drift::section_names;
use crate::policy::Idle;
use crate::{Policy, RuleNote};

impl Policy {
    /// The rules that match no field of these configurations, those that have expired, and those that name a key that does
    /// not tell the elements of a list apart. A field counts under its place
    /// in a list, `servers[0]`, and under its key, `servers[name=api]`; a text under its sections.
    pub fn idle<'a>(&self, configs: impl Iterator<Item = &'a FlatConfig>, now: Timestamp) -> Vec<RuleNote> {
        let mut paths = Vec::new();
        let mut unfit = BTreeMap::<String, (String, usize)>::new();
        for config in configs {
            paths.extend(config.keys().cloned());
            let (names, without_key) = named(config, self);
            for (list, key) in without_key {
                unfit.entry(key.to_owned()).or_insert((list, 0)).1 += 1;
            }
            for path in config.keys().chain(names.keys()) {
                // An element that moves is told under its own path.
                paths.extend(path.match_indices(']').map(|(at, _)| path[..=at].to_owned()));
            }
            paths.extend(names.into_keys());
            paths.extend(section_names(config));
        }
        let mut notes = self.report(paths.iter().map(String::as_str), now);
        notes.extend(unfit.into_iter().map(|(key, (list, lists))| RuleNote {
            rule: format!("[[list]] key = {key:?}"),
            why: Idle::NoKey { list, lists },
        }));
        notes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_rule_counts_under_any_name_of_its_field() {
        let now = "2026-11-20T00:00:00Z".parse().unwrap();
        let rules = [
            "servers[0].port",
            "servers[name=a*].port",
            "servers[name=a1]",
            "ip/dns",
            "gone",
            "servers[name=z].port",
        ];
        let text: String = rules.iter().map(|path| format!("[[ignore]]\npath = \"{path}\"\n")).collect();
        let policy = Policy::parse(&text).unwrap();
        let flat = |value: serde_json::Value| -> FlatConfig {
            value.as_object().unwrap().clone().into_iter().collect()
        };
        let fields = flat(json!({"servers[0].name": "a1", "servers[0].port": 1}));
        let router = flat(json!({"text": "/ip address\nadd address=1\n/ip dns\nset servers=1\n"}));
        let idle = policy.idle([&fields, &router].into_iter(), now);
        let idle: Vec<String> = idle.iter().map(RuleNote::to_string).collect();
        assert_eq!(idle, ["[[ignore]] gone never matched", "[[ignore]] servers[name=z].port never matched"]);
    }

    #[test]
    fn a_key_that_does_not_tell_elements_apart_is_reported() {
        let now = "2026-11-20T00:00:00Z".parse().unwrap();
        let policy = Policy::parse("[[list]]\npath = \"**\"\nkey = \"addr\"\n").unwrap();
        let flat = |value: serde_json::Value| -> FlatConfig {
            value.as_object().unwrap().clone().into_iter().collect()
        };
        let says = |config: &FlatConfig| -> Vec<String> {
            policy.idle([config].into_iter(), now).iter().map(RuleNote::to_string).collect()
        };
        assert_eq!(says(&flat(json!({"a[0].addr": 1, "a[1].addr": 2}))), [""; 0]);
        assert_eq!(
            says(&flat(json!({"a[0].addr": 1, "a[1].addr": 1, "b[0]": 1}))),
            [
                "[[list]] key = \"addr\" cannot apply to a and one more list: not every element has a value of its own; \
              they are matched by likeness"
            ]
        );
    }
}
