//! The policy file, `rig.toml`: what is secret, what matters, what is noise.

mod kinds;
mod onboard;
mod overrides;
mod profile;
mod rules;
mod severities;

use std::cell::LazyCell;
use std::fmt;
use std::time::Duration;

use rig_event::{Op, Severity, Timestamp};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

pub use self::kinds::ValueKind;
pub use self::onboard::Onboarding;
pub use self::profile::Profile;
pub use self::rules::{CompareRule, ListRule, Matching};
use crate::expressions::same_but_for_spacing;
use crate::lines::LineIndex;
use crate::normalise::VolatileRule;
use crate::path::{Segment, lenient};
use crate::pattern::glob_takes;
use crate::{Error, Path, Pattern, ValuePattern};

/// The rules of a policy file. The default has none, and leaves severities to the built-in rules (docs/policy.md).
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Fields that are secret, besides those rig knows by name or by value.
    pub secret: Vec<SecretRule>,
    /// Severities of changes. The built-in rules rate those that no rule here matches.
    pub severity: Vec<SeverityRule>,
    /// Ways to match the elements of lists.
    pub list: Vec<ListRule>,
    /// Values that are equal though they are spelled differently.
    pub compare: Vec<CompareRule>,
    /// Lines of texts that change by themselves.
    pub volatile: Vec<VolatileRule>,
    /// Fields whose drift is noise.
    pub ignore: Vec<IgnoreRule>,
    /// Values of fields that nobody sets.
    pub default: Vec<DefaultRule>,
    /// Sets of built-in rules for what kinds of documents hold.
    #[serde(deserialize_with = "profile::one_or_more")]
    pub profile: Vec<Profile>,
    /// When drift is a failure.
    pub drift: DriftPolicy,
    /// Limits on the history that is kept.
    pub retention: Retention,
}

/// `[[secret]]`: the field, and everything below it, is a secret. Case does not matter in paths.
///
/// A rule may say more than a path, and then holds where all it says is so. One of `source` and `value` may stand without
/// a path.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "SecretRuleForm")]
pub struct SecretRule {
    /// Which fields; `**` where the rule does not say.
    pub path: Pattern,
    /// Where they came from, as provenance names it, with `*` for any characters: `env:APP_*`, `file:private/*`.
    pub source: Option<String>,
    /// A glob over their text, with `*` for any characters: `acme_live_*`. In a text, over each of its words.
    pub value: Option<String>,
    /// A regular expression over each line of a text; its groups are the secrets, or all that it matches if it has none.
    pub line: Option<ValuePattern>,
    /// Only in texts of this family, as `rig snapshot --explain` names it: `cisco-ios`.
    pub kind: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SecretRuleForm {
    path: Option<Pattern>,
    source: Option<String>,
    value: Option<String>,
    line: Option<ValuePattern>,
    kind: Option<String>,
}

impl TryFrom<SecretRuleForm> for SecretRule {
    type Error = String;

    fn try_from(form: SecretRuleForm) -> Result<Self, String> {
        let SecretRuleForm { path, source, value, line, kind } = form;
        if path.is_none() && source.is_none() && value.is_none() && line.is_none() {
            return Err("a [[secret]] rule needs a `path`, a `source`, a `value` or a `line`".to_owned());
        }
        if line.is_some() && (path.is_some() || source.is_some() || value.is_some()) {
            return Err("`line` is for texts, which have no fields: it goes with `kind` alone".to_owned());
        }
        if kind.is_some() && line.is_none() {
            return Err("`kind` goes with `line`: it names a family of texts".to_owned());
        }
        if let Some(kind) =
            kind.as_deref().filter(|kind| !crate::grammar::families().any(|known| known == *kind))
        {
            let known: Vec<&str> = crate::grammar::families().collect();
            return Err(format!("no family of texts is named `{kind}`; there are {}", known.join(", ")));
        }
        let path = match path {
            Some(path) => path,
            None => "**".parse().map_err(|error: Error| error.to_string())?,
        };
        Ok(SecretRule { path, source, value, line, kind })
    }
}

impl SecretRule {
    /// Returns true if this rule makes the field a secret.
    pub(crate) fn covers(&self, path: &Path, value: &serde_json::Value, source: Option<&str>) -> bool {
        if self.line.is_some() {
            return false;
        }
        let by_value = self
            .value
            .as_deref()
            .is_none_or(|glob| value.as_str().is_some_and(|text| glob_takes(glob, text)));
        let by_source =
            self.source.as_deref().is_none_or(|glob| source.is_some_and(|source| glob_takes(glob, source)));
        by_value && by_source && self.path.matches_at_or_above(path)
    }
}

/// `[[severity]]`: how much a change of the field matters. All that the rule names must hold.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SeverityRule {
    /// Which fields.
    pub path: Pattern,
    /// Only this kind of change, or one of these; any where absent.
    #[serde(default, deserialize_with = "ops")]
    pub op: Vec<Op>,
    /// Only where the value that is there now matches; of a removed field, the value that was there.
    #[serde(default)]
    pub value_matches: Option<ValuePattern>,
    /// Only where there was a value before that matches.
    #[serde(default)]
    pub before_matches: Option<ValuePattern>,
    /// The severity.
    pub level: Severity,
    /// True for rig's own rules, in whose paths case does not matter.
    #[serde(skip)]
    pub(crate) built_in: bool,
}

/// `[[ignore]]`: a drift of the field is none.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IgnoreRule {
    /// Which fields.
    pub path: Pattern,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
    /// The person or team responsible for the rule.
    #[serde(default)]
    pub owner: Option<String>,
    /// The first moment at which the rule no longer holds. In the file it is a time, or a day through whose end
    /// (in UTC) the rule holds.
    #[serde(default, deserialize_with = "expiry")]
    pub expires: Option<Timestamp>,
}

/// `[[default]]`: what the field is where nobody sets it. Held against a declared value, an absent field has this one.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DefaultRule {
    /// Which fields.
    pub path: Pattern,
    /// The value.
    pub value: Value,
}

/// `[drift]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DriftPolicy {
    /// The lowest severity of drift that is a failure; any drift where it is not set.
    pub fail_on: Option<Severity>,
}

/// `[retention]`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Retention {
    /// Number of snapshots of a service that keep their originals.
    pub keep: Option<u64>,
    /// Maximum age of an event, and of an original that is not current; written `90d`, with `s`, `m`, `h`,
    /// `d` or `w`.
    #[serde(deserialize_with = "span_of_time")]
    pub max_age: Option<Duration>,
    /// Minimum number of events that a stream keeps; older ones are removed by whole segments.
    pub max_events: Option<u64>,
    /// Maximum total size of a stream's segments; written `10GiB`, with `KiB`, `MiB` or `GiB`.
    #[serde(deserialize_with = "bytes")]
    pub max_bytes: Option<u64>,
}

/// Something to tell the owner of a policy: a rule that does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleNote {
    /// The rule, for example `[[ignore]] **.last_seen`.
    pub rule: String,
    /// Why it does nothing.
    pub why: Idle,
}

/// Why a rule does nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idle {
    /// No field matched it.
    NeverMatched,
    /// Its date has passed.
    Expired,
    /// In a list that it covers some elements have no value of its key, or not one of their own.
    NoKey {
        /// The first such list.
        list: String,
        /// Number of such lists.
        lists: usize,
    },
}

impl fmt::Display for RuleNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rule = &self.rule;
        match &self.why {
            Idle::NeverMatched => write!(f, "{rule} never matched"),
            Idle::Expired => write!(f, "{rule} has expired"),
            Idle::NoKey { list, lists } => {
                let list = if list.is_empty() { "the documents" } else { list };
                let more = match lists - 1 {
                    0 => String::new(),
                    1 => " and one more list".to_owned(),
                    more => format!(" and {more} more lists"),
                };
                write!(
                    f,
                    "{rule} cannot apply to {list}{more}: not every element has a value of its own; they are matched \
                     by likeness"
                )
            }
        }
    }
}

impl SeverityRule {
    fn takes(&self, op: Op, before: Option<&Value>, after: Option<&Value>) -> bool {
        let matches = |pattern: &Option<ValuePattern>, value: Option<&Value>| {
            pattern.as_ref().is_none_or(|pattern| value.is_some_and(|value| pattern.matches(value)))
        };
        (self.op.is_empty() || self.op.contains(&op))
            && matches(&self.value_matches, after.or(before))
            && matches(&self.before_matches, before)
    }
}

/// As drift events name it: `[[severity]] database.** (removed) critical`.
impl fmt::Display for SeverityRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whose = if self.built_in { "built-in " } else { "" };
        write!(f, "{whose}[[severity]] {}", self.path)?;
        if !self.op.is_empty() {
            let ops: Vec<&str> = self.op.iter().map(|op| op.as_str()).collect();
            write!(f, " ({})", ops.join(", "))?;
        }
        for (name, pattern) in [("value", &self.value_matches), ("before", &self.before_matches)] {
            if let Some(pattern) = pattern {
                write!(f, " ({name} matches {pattern})")?;
            }
        }
        write!(f, " {}", self.level)
    }
}

impl IgnoreRule {
    /// Returns true if the rule's date has passed.
    pub fn expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

impl Policy {
    /// Reads a policy file. Unknown keys are errors, so that a misspelled rule is not a rule that silently does nothing.
    pub fn parse(text: &str) -> Result<Policy, Error> {
        toml::from_str(text).map_err(|error| Error::BadPolicy {
            at: error.span().map(|span| LineIndex::new(text).place(span.start)),
            why: error.message().to_owned(),
        })
    }

    /// Returns the severity of a change in a section of a text. Rules for the whole text, `text`, hold for each of its sections.
    pub fn severity_of_section(&self, section: &str) -> Severity {
        self.section_rule(section).map(|rule| rule.level).unwrap_or_default()
    }

    /// The rule that says how much a change in a section of a text matters, if one does.
    pub(crate) fn section_rule(&self, section: &str) -> Option<&SeverityRule> {
        let mut latest_first = self.severity.iter().rev();
        latest_first
            .find(|rule| rule.takes(Op::Changed, None, None) && rule.path.covers_part_of_text(section))
    }

    /// The rule by which drift in a section of a text is noise at this moment, if there is one.
    pub(crate) fn ignores_section(&self, section: &str, now: Timestamp) -> Option<&IgnoreRule> {
        self.ignore.iter().find(|rule| !rule.expired(now) && rule.path.covers_part_of_text(section))
    }

    /// Returns the severity of a change. The last matching rule decides, so exceptions stand below the rules
    /// they are exceptions to. If no rule matches, the last matching built-in rule decides; if none does, it
    /// is medium.
    pub fn severity_of_change(
        &self,
        op: Op,
        path: &str,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Severity {
        self.severity_rule(op, path, before, after).map(|rule| rule.level).unwrap_or_default()
    }

    /// The rule that says how much a change matters, if one does.
    pub fn severity_rule(
        &self,
        op: Op,
        path: &str,
        before: Option<&Value>,
        after: Option<&Value>,
    ) -> Option<&SeverityRule> {
        let path = LazyCell::new(|| lenient(path));
        let mut latest_first = severities::built_in(after).iter().chain(&self.severity).rev();
        latest_first.find(|rule| rule.takes(op, before, after) && rule.path.covers(&path.0, rule.built_in))
    }

    /// The rule by which drift of the field is noise at this moment, if there is one.
    pub fn ignores(&self, path: &str, now: Timestamp) -> Option<&IgnoreRule> {
        if self.ignore.is_empty() {
            return None;
        }
        let path = lenient(path);
        self.ignore.iter().find(|rule| !rule.expired(now) && rule.path.matches(&path))
    }

    /// Returns how to match the elements of a list, if a rule covers the list. The last such rule decides.
    pub(crate) fn matching(&self, list: &[Segment]) -> Option<&Matching> {
        self.list.iter().rev().find(|rule| rule.path.covers(list, false)).map(|rule| &rule.matching)
    }

    /// The rule by which two values may be equal though they are spelled differently: the last that covers the field.
    pub(crate) fn comparison(&self, field: &[Segment]) -> Option<&CompareRule> {
        let profiles = self.profile.iter().flat_map(|profile| profile.compare());
        profiles.chain(&self.compare).rev().find(|rule| rule.path.covers(field, false))
    }

    /// Returns true if there are rules by which values may be equal though they are spelled differently.
    pub(crate) fn compares(&self) -> bool {
        !(self.compare.is_empty() && self.profile.is_empty())
    }

    /// Returns true if a field that has another value, or that one side alone has, is no difference: by a `[[compare]]` rule,
    /// by a profile, or since nothing but the spacing in an HCL expression is another.
    pub(crate) fn holds_equal(&self, path: &str, before: Option<&Value>, after: Option<&Value>) -> bool {
        if let (Some(Value::String(before)), Some(Value::String(after))) = (before, after)
            && same_but_for_spacing(before, after)
        {
            return true;
        }
        if !self.compares() {
            return false;
        }
        let path = lenient(path);
        if self.profile.iter().any(|profile| profile.leaves_out(&path.0, before, after)) {
            return true;
        }
        let (Some(before), Some(after)) = (before, after) else { return false };
        self.comparison(&path.0).is_some_and(|rule| rule.equal(before, after))
    }

    /// The rules by which drift of the field was noise until they expired.
    pub(crate) fn expired_ignores(&self, path: &str, now: Timestamp) -> impl Iterator<Item = &IgnoreRule> {
        let path = if self.ignore.is_empty() { Path::default() } else { lenient(path) };
        self.ignore.iter().filter(move |rule| rule.expired(now) && rule.path.matches(&path))
    }

    /// Returns the value of the field if nobody sets it. The last matching rule decides.
    pub(crate) fn default_of(&self, path: &str) -> Option<&Value> {
        if self.default.is_empty() {
            return None;
        }
        let path = lenient(path);
        self.default.iter().rev().find(|rule| rule.path.matches(&path)).map(|rule| &rule.value)
    }

    /// The next moment after `since` at which an ignore rule expires.
    pub fn expires_after(&self, since: Timestamp) -> Option<Timestamp> {
        self.ignore.iter().filter_map(|rule| rule.expires).filter(|expires| *expires > since).min()
    }

    /// Which rules do nothing: those that match none of the paths, and those that have expired.
    pub fn report<'a>(&self, paths: impl Iterator<Item = &'a str>, now: Timestamp) -> Vec<RuleNote> {
        let mut rules = self.rules(now);
        for path in paths {
            let path = lenient(path);
            for rule in rules.iter_mut().filter(|rule| !rule.matched) {
                rule.matched = match rule.table {
                    "secret" => rule.path.matches_at_or_above(&path),
                    "list" => (0..path.0.len()).any(|end| rule.path.covers(&path.0[..end], false)),
                    _ => rule.path.matches(&path),
                };
            }
        }
        let note = |rule: Rule<'_>| {
            let why = match (rule.expired, rule.matched) {
                (true, _) => Idle::Expired,
                (false, false) => Idle::NeverMatched,
                (false, true) => return None,
            };
            Some(RuleNote { rule: format!("[[{}]] {}", rule.table, rule.path), why })
        };
        rules.into_iter().filter_map(note).collect()
    }

    fn rules(&self, now: Timestamp) -> Vec<Rule<'_>> {
        let rule = |table, path, expired| Rule { table, path, expired, matched: false };
        let secrets = self.secret.iter().map(|r| rule("secret", &r.path, false));
        let severities = self.severity.iter().map(|r| rule("severity", &r.path, false));
        let lists = self.list.iter().map(|r| rule("list", &r.path, false));
        let compares = self.compare.iter().map(|r| rule("compare", &r.path, false));
        let ignores = self.ignore.iter().map(|r| rule("ignore", &r.path, r.expired(now)));
        let defaults = self.default.iter().map(|r| rule("default", &r.path, false));
        let known = secrets.chain(severities).chain(lists).chain(compares);
        known.chain(ignores).chain(defaults).collect()
    }
}

struct Rule<'a> {
    table: &'static str,
    path: &'a Pattern,
    expired: bool,
    matched: bool,
}

/// One kind of change, or a list of some.
fn ops<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<Op>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Ops {
        One(String),
        Some(Vec<String>),
    }
    let words = match Ops::deserialize(d)? {
        Ops::One(word) => vec![word],
        Ops::Some(words) if words.is_empty() => {
            return Err(de::Error::custom("`op` names no kind of change"));
        }
        Ops::Some(words) => words,
    };
    let op = |word: String| Op::deserialize(de::value::StringDeserializer::<D::Error>::new(word));
    words.into_iter().map(op).collect()
}

fn expiry<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Timestamp>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Moment {
        Toml(toml::value::Datetime),
        Text(String),
    }
    let text = match Moment::deserialize(d)? {
        Moment::Toml(moment) => moment.to_string(),
        Moment::Text(text) => text,
    };
    let day = format!("{text}T00:00:00Z").parse::<Timestamp>();
    let after_day = day.map(|start| Timestamp::from_micros(start.as_micros().saturating_add(86_400_000_000)));
    after_day
        .or_else(|_| text.parse())
        .map(Some)
        .map_err(|_| de::Error::custom("`expires` must be a day like 2027-01-31 or an RFC 3339 time"))
}

/// Reads a span of time, written `90d`, with `s`, `m`, `h`, `d` or `w`; for `#[serde(deserialize_with)]`. It is never `None`.
///
/// # Errors
/// When the text is none.
pub fn span_of_time<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(d)?;
    let unit = match text.chars().last() {
        Some('s') => Some(1),
        Some('m') => Some(60),
        Some('h') => Some(3_600),
        Some('d') => Some(86_400),
        Some('w') => Some(7 * 86_400),
        _ => None,
    };
    let count = text.get(..text.len().saturating_sub(1)).and_then(|count| count.parse::<u64>().ok());
    let seconds = unit.zip(count).and_then(|(unit, count)| count.checked_mul(unit));
    seconds
        .map(|seconds| Some(Duration::from_secs(seconds)))
        .ok_or_else(|| de::Error::custom("a span of time must be a number and s, m, h, d or w, like \"90d\""))
}

/// Reads a number of bytes, written `10GiB`, with `KiB`, `MiB` or `GiB`; for `#[serde(deserialize_with)]`. It is never `None`.
///
/// # Errors
/// When the text is none.
pub fn bytes<'de, D: Deserializer<'de>>(d: D) -> Result<Option<u64>, D::Error> {
    let text = String::deserialize(d)?;
    let units = [("KiB", 1u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    let found = units.iter().find_map(|(unit, factor)| Some((text.strip_suffix(unit)?, factor)));
    found
        .and_then(|(count, factor)| count.trim().parse::<u64>().ok()?.checked_mul(*factor))
        .map(Some)
        .ok_or_else(|| de::Error::custom("a size must be a number and KiB, MiB or GiB, like \"10GiB\""))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const EXAMPLE: &str = r#"
        [[secret]]
        path = "**.*password*"
        [[severity]]
        path = "**"
        level = "high"
        [[severity]]
        path = "log.**"
        level = "low"
        [[list]]
        path = "**.containers"
        key = "name"
        [[ignore]]
        path = "**.last_seen"
        reason = "noise"
        owner = "ops"
        expires = "2027-01-31"
        [drift]
        fail_on = "high"
        [retention]
        keep = 1000
        max_age = "90d"
    "#;

    fn time(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_example_of_the_design_reads() {
        let policy = Policy::parse(EXAMPLE).unwrap();
        assert_eq!(policy.drift.fail_on, Some(Severity::High));
        assert_eq!(policy.retention.max_age, Some(Duration::from_secs(90 * 86_400)));
        assert_eq!(policy.severity_of_section("db.host"), Severity::High);
        assert_eq!(policy.severity_of_section("log.level"), Severity::Low);
        assert_eq!(Policy::default().severity_of_section("db.host"), Severity::Medium);
    }

    #[test]
    fn severities_go_by_path_kind_of_change_and_value_and_the_last_match_wins() {
        let policy = Policy::parse(
            r#"
            [[severity]]
            path = "**"
            op = "removed"
            level = "high"
            [[severity]]
            path = "**.debug"
            value_matches = "^true$"
            level = "critical"
            [[severity]]
            path = "**.host"
            op = ["added", "changed"]
            before_matches = "prod"
            level = "critical"
            [[severity]]
            path = "log.**"
            level = "low"
            "#,
        )
        .unwrap();
        let (on, off, prod, test) = (json!(true), json!(false), json!("prod-1"), json!("test-1"));
        let of = |op, path, before, after| policy.severity_of_change(op, path, before, after).as_str();
        assert_eq!(of(Op::Removed, "a", Some(&on), None), "high");
        assert_eq!(of(Op::Changed, "a", Some(&on), Some(&off)), "medium");
        assert_eq!(of(Op::Changed, "a.debug", Some(&off), Some(&on)), "critical");
        assert_eq!(of(Op::Changed, "a.debug", Some(&on), Some(&off)), "medium");
        // Of a removed field, the value that was there; the later rule wins over the one for removals.
        assert_eq!(of(Op::Removed, "a.debug", Some(&on), None), "critical");
        assert_eq!(of(Op::Removed, "a.debug", Some(&off), None), "high");
        assert_eq!(of(Op::Changed, "db.host", Some(&prod), Some(&test)), "critical");
        assert_eq!(of(Op::Changed, "db.host", Some(&test), Some(&prod)), "medium");
        assert_eq!(of(Op::Added, "db.host", None, Some(&prod)), "medium");
        // Not the highest: what stands last is the exception to what stands above.
        assert_eq!(of(Op::Removed, "log.debug", Some(&on), None), "low");
        assert_eq!(policy.severity_of_section("section"), Severity::Medium);
        let rule = policy.severity_rule(Op::Removed, "a.debug", Some(&on), None).unwrap();
        assert_eq!(rule.to_string(), "[[severity]] **.debug (value matches ^true$) critical");
    }

    #[test]
    fn an_ignore_rule_holds_through_its_last_day() {
        let policy = Policy::parse(EXAMPLE).unwrap();
        assert!(policy.ignores("a.last_seen", time("2027-01-31T23:59:59Z")).is_some());
        assert!(policy.ignores("a.last_seen", time("2027-02-01T00:00:00Z")).is_none());
        for spelling in ["2027-01-31", "2027-02-01T00:00:00Z", "\"2027-02-01T01:00:00+01:00\""] {
            let policy = Policy::parse(&format!("[[ignore]]\npath = \"a\"\nexpires = {spelling}")).unwrap();
            assert_eq!(policy.ignore[0].expires, Some(time("2027-02-01T00:00:00Z")), "{spelling}");
        }
    }

    #[test]
    fn rules_that_do_nothing_are_told() {
        let policy = Policy::parse(EXAMPLE).unwrap();
        let paths = ["pod.containers[name=web].image", "db.password"];
        let notes = policy.report(paths.into_iter(), time("2028-01-01T00:00:00Z"));
        let notes: Vec<_> = notes.iter().map(RuleNote::to_string).collect();
        assert_eq!(notes, ["[[severity]] log.** never matched", "[[ignore]] **.last_seen has expired"]);
    }

    #[test]
    fn mistakes_are_named_with_their_place() {
        for (text, line, word) in [
            ("[[secret]]\npaths = \"a\"", 2, "paths"),
            ("[[severity]]\npath = \"a\"\nlevel = \"urgent\"", 3, "urgent"),
            ("\n[[ignore]]\npath = \"a..b\"", 3, "column 3"),
            ("[[ignore]]\npath = \"a\"\nexpires = \"soon\"", 3, "expires"),
            ("[[ignore]]\npath = \"a\"\nexpires = 2027-02-30", 3, "day"),
            ("[[ignore]]\npath = \"a\"\nexpires = \"2027-1-31\"", 3, "expires"),
            ("[[ignore]]\npath = \"a\"\nexpires = \"2027-02-30\"", 3, "expires"),
            ("[[severity]]\npath = \"a\"\nlevel = \"low\"\nop = \"gone\"", 4, "gone"),
            ("[[severity]]\npath = \"a\"\nlevel = \"low\"\nop = []", 4, "kind of change"),
            ("[[severity]]\npath = \"a\"\nlevel = \"low\"\nvalue_matches = \"(\"", 4, "regular expression"),
            ("[retention]\nmax_age = \"90\"", 2, "90d"),
            ("[drift\n", 1, "table"),
        ] {
            let error = Policy::parse(text).unwrap_err();
            assert_eq!((error.code(), error.line()), ("bad-policy", Some(line)), "{text}: {error}");
            assert!(error.to_string().contains(word), "{text}: {error}");
        }
    }
}
