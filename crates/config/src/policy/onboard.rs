//! Ignore rules for what drifts now, so that a new baseline can begin in sync and its noise be worked off rule by rule.

use std::fmt::Write as _;

use rig_event::Timestamp;

use super::Policy;
use crate::Error;
use crate::path::lenient;

/// The reason, the owner and the expiry of the new rules.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Onboarding {
    /// Why the fields are ignored.
    pub reason: String,
    /// The person or team responsible for the rules.
    pub owner: Option<String>,
    /// Until when they hold: a day, through its end, or an RFC 3339 time.
    pub expires: Option<String>,
}

impl Onboarding {
    /// Adds an `[[ignore]]` rule for each path to the text of a policy file, behind what stands there, which keeps every
    /// byte. A path that a rule of the file ignores already gets none, so doing it again changes nothing. Tells the new
    /// text and how many rules are new.
    ///
    /// # Errors
    /// [`Error::BadPolicy`] when the text is no policy, or `expires` is no date or has passed.
    pub fn add<'a>(
        &self,
        text: &str,
        paths: impl Iterator<Item = &'a str>,
        now: Timestamp,
    ) -> Result<(String, usize), Error> {
        let mut policy = Policy::parse(text)?;
        let (mut whole, mut added) = (text.to_owned(), 0);
        for path in paths {
            if policy.ignores(path, now).is_some() {
                continue;
            }
            let rule = self.rule(path);
            let parsed = Policy::parse(&rule)?.ignore;
            if parsed.iter().any(|rule| rule.expired(now)) {
                return Err(Error::BadPolicy {
                    at: None,
                    why: "`expires` lies in the past: the rules would do nothing".to_owned(),
                });
            }
            policy.ignore.extend(parsed);
            if !whole.is_empty() {
                whole.push_str(if whole.ends_with('\n') { "\n" } else { "\n\n" });
            }
            whole.push_str(&rule);
            added += 1;
        }
        Policy::parse(&whole).map_err(|_| Error::BadPolicy {
            at: None,
            why: "no rule can be added behind `ignore = […]`; write its rules as [[ignore]]".to_owned(),
        })?;
        Ok((whole, added))
    }

    fn rule(&self, path: &str) -> String {
        let mut rule = "[[ignore]]\n".to_owned();
        // Printed, every key that a pattern could read otherwise stands in quotes.
        let path = lenient(path).to_string();
        let said = [
            ("path", Some(&path)),
            ("reason", Some(&self.reason)),
            ("owner", self.owner.as_ref()),
            ("expires", self.expires.as_ref()),
        ];
        for (key, value) in said {
            if let Some(value) = value {
                // Writing to a string cannot fail.
                let _ = writeln!(rule, "{key} = {}", toml::Value::from(value.as_str()));
            }
        }
        rule
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::path::Segment;
    use crate::{FlatConfig, Path, Verdict, drift};

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    const NOW: &str = "2026-11-20T00:00:00Z";

    fn onboarding() -> Onboarding {
        let (reason, owner) = ("began \"so\"\n".to_owned(), Some("ops".to_owned()));
        Onboarding { reason, owner, expires: Some("2027-01-31".to_owned()) }
    }

    #[test]
    fn rules_are_added_behind_what_stands_there_and_once() {
        let text = "# mine\n[[ignore]] # old\npath = 'b.**'\n\n[drift]\nfail_on = \"high\" # keep";
        let paths = ["a", "b.c", "\"x.y\".z", "ip/dns"];
        let (whole, added) = onboarding().add(text, paths.into_iter(), time(NOW)).unwrap();
        assert_eq!(added, 3);
        assert!(whole.starts_with(text));
        let policy = Policy::parse(&whole).unwrap();
        assert!(paths.iter().all(|path| policy.ignores(path, time(NOW)).is_some()));
        assert!(policy.ignores("a.b", time(NOW)).is_none());
        assert_eq!(policy.ignore[1].reason.as_deref(), Some("began \"so\"\n"));
        assert_eq!(policy.ignore[1].expires, Some(time("2027-02-01T00:00:00Z")));
        assert_eq!(onboarding().add(&whole, paths.into_iter(), time(NOW)).unwrap(), (whole, 0));
    }

    #[test]
    fn what_would_do_nothing_or_break_the_file_is_refused() {
        let expires = |date: &str| Onboarding { expires: Some(date.to_owned()), ..onboarding() };
        for (onboarding, text) in [
            (expires("2026-11-19"), ""),
            (expires("soon"), ""),
            (onboarding(), "ignore = [{ path = 'x' }]"),
            (onboarding(), "nonsense = 1"),
        ] {
            let error = onboarding.add(text, ["a"].into_iter(), time(NOW)).unwrap_err();
            assert_eq!(error.code(), "bad-policy", "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_rules_make_any_drift_none(
            keys in prop::collection::vec(prop::collection::vec("[a.*\\[\\]\"= \\\\\n]{0,4}", 1..4), 1..6),
        ) {
            let path = |keys: &Vec<String>| Path(keys.iter().cloned().map(Segment::Key).collect()).to_string();
            let config: FlatConfig = keys.iter().map(|keys| (path(keys), 1.into())).collect();
            let other: FlatConfig = config.keys().map(|path| (path.clone(), 2.into())).collect();
            let paths = config.keys().map(String::as_str);
            let (text, _) = onboarding().add("", paths, time(NOW)).unwrap();
            let drift = drift(&config, &other, &Policy::parse(&text).unwrap(), &[], time(NOW));
            prop_assert_eq!(drift.verdict, Verdict::InSync);
        }
    }
}
