//! The rules of a policy that say how things are compared: `[[list]]` and `[[compare]]`.

use serde::{Deserialize, Deserializer, de};
use serde_json::{Number, Value};

use super::kinds::ValueKind;
use crate::Pattern;
use crate::identity::BETWEEN;
use crate::number::same_number;

/// `[[list]]`: how the elements of a list are matched with those of another version of it.
#[derive(Clone, Debug, PartialEq)]
pub struct ListRule {
    /// Which lists.
    pub path: Pattern,
    /// How.
    pub matching: Matching,
}

/// A way to match the elements of two lists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Matching {
    /// `key = "name"`: by the value of a key that each element must have, with a value of its own. A list where that
    /// is not so is matched as if there were no rule.
    Key {
        /// The key, `name`; a way further down, `metadata.name`; or several, `kind,metadata.name`.
        key: String,
        /// True if another order of the elements is a difference; false with `ordered = false`.
        ordered: bool,
    },
    /// `mode = "sequence"`: by their longest common subsequence. What stands in the place of another is a change of it.
    Sequence,
    /// `mode = "set"`: by their whole value; the order is no difference.
    Set,
    /// `mode = "index"`: by position.
    Index,
}

impl<'de> Deserialize<'de> for ListRule {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "lowercase")]
        enum Mode {
            Sequence,
            Set,
            Index,
        }
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Keys {
            One(String),
            Several(Vec<String>),
        }
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Written {
            path: Pattern,
            key: Option<Keys>,
            mode: Option<Mode>,
            ordered: Option<bool>,
        }
        let Written { path, key, mode, ordered } = Written::deserialize(d)?;
        if ordered.is_some() && key.is_none() {
            return Err(de::Error::custom("`ordered` goes with `key`; a list without an order is a \"set\""));
        }
        let key = match key {
            Some(Keys::Several(keys)) if keys.iter().any(|key| key.contains(BETWEEN)) => {
                return Err(de::Error::custom("a key in a list of keys cannot contain a comma"));
            }
            Some(Keys::Several(keys)) => Some(keys.join(",")),
            Some(Keys::One(key)) => Some(key),
            None => None,
        };
        if key.as_deref().is_some_and(str::is_empty) {
            return Err(de::Error::custom("`key` names no key"));
        }
        let matching = match (key, mode) {
            (Some(key), None) => Matching::Key { key, ordered: ordered.unwrap_or(true) },
            (None, Some(Mode::Sequence)) => Matching::Sequence,
            (None, Some(Mode::Set)) => Matching::Set,
            (None, Some(Mode::Index)) => Matching::Index,
            _ => {
                let why = "a list needs either `key` or `mode` (\"sequence\", \"set\" or \"index\")";
                return Err(de::Error::custom(why));
            }
        };
        Ok(ListRule { path, matching })
    }
}

/// `[[compare]]`: values that are equal though they are spelled differently. It holds for the comparison only; the log
/// keeps what was written.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompareRule {
    /// Which fields.
    pub path: Pattern,
    /// Numbers that are at most this far apart are equal; 0 compares by value, so that `1.0` is `1`.
    #[serde(default, deserialize_with = "tolerance")]
    pub tolerance: Option<f64>,
    /// `A` is `a`.
    #[serde(default)]
    pub ignore_case: bool,
    /// White space at both ends does not count.
    #[serde(default)]
    pub trim: bool,
    /// A run of white space is one blank.
    #[serde(default)]
    pub collapse_whitespace: bool,
    /// `"8080"` is `8080`, and `"true"` is `true`.
    #[serde(default)]
    pub ignore_type: bool,
    /// Values of this kind are compared by what they mean: `1000m` is `1`.
    #[serde(default, rename = "as")]
    pub kind: Option<ValueKind>,
}

// A tolerance is never NaN.
impl Eq for CompareRule {}

fn tolerance<'de, D: Deserializer<'de>>(d: D) -> Result<Option<f64>, D::Error> {
    let tolerance = f64::deserialize(d)?;
    let fine = tolerance.is_finite() && tolerance >= 0.0;
    fine.then_some(Some(tolerance)).ok_or_else(|| de::Error::custom("`tolerance` must be a number from 0 up"))
}

impl CompareRule {
    /// Returns true if two values are equal by this rule.
    pub fn equal(&self, old: &Value, new: &Value) -> bool {
        self.normalised(old) == self.normalised(new) || self.is_near(old, new)
    }

    /// A value less what the rule says does not count; a tolerance is not in it, since it makes no classes.
    pub(crate) fn normalised(&self, value: &Value) -> Value {
        if let Some(meaning) = self.kind.and_then(|kind| kind.meaning(value)) {
            return meaning;
        }
        let text = match value {
            Value::String(text) => text.clone(),
            Value::Number(_) | Value::Bool(_) if self.ignore_type => value.to_string(),
            _ => return value.clone(),
        };
        let mut text = if self.trim { text.trim().to_owned() } else { text };
        if self.collapse_whitespace {
            let mut previous = false;
            let blank = |c: char| if c.is_whitespace() { ' ' } else { c };
            text = text
                .chars()
                .map(blank)
                .filter(|c| !(std::mem::replace(&mut previous, *c == ' ') && *c == ' '))
                .collect();
        }
        Value::String(if self.ignore_case { text.to_lowercase() } else { text })
    }

    fn is_near(&self, old: &Value, new: &Value) -> bool {
        let Some(tolerance) = self.tolerance else { return false };
        let number = |value: &Value| match value {
            Value::Number(number) => Some(number.clone()),
            Value::String(text) if self.ignore_type => text.trim().parse().ok(),
            _ => None,
        };
        match (number(old), number(new)) {
            (Some(old), Some(new)) => are_near(&old, &new, tolerance),
            _ => false,
        }
    }
}

/// Integers are compared as such, so that large ones do not melt into one; all else as doubles.
fn are_near(old: &Number, new: &Number, tolerance: f64) -> bool {
    if same_number(old, new) {
        return true;
    }
    if let (Ok(old), Ok(new)) = (old.to_string().parse::<i128>(), new.to_string().parse::<i128>()) {
        // A difference that does not fit is larger than any tolerance that means something.
        return old.checked_sub(new).is_some_and(|apart| apart.unsigned_abs() as f64 <= tolerance);
    }
    let (Some(old), Some(new)) = (old.as_f64(), new.as_f64()) else { return false };
    // A hair more, since in doubles 0.3 - 0.2 is more than 0.1.
    let hair = f64::EPSILON * old.abs().max(new.abs());
    tolerance > 0.0 && (old - new).abs() <= tolerance + hair
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(rule: &str, equal: &[(Value, Value)], other: &[(Value, Value)]) {
        let rule: CompareRule = toml::from_str(&format!("path = \"**\"\n{rule}")).unwrap();
        for (pairs, expected) in [(equal, true), (other, false)] {
            for (a, b) in pairs {
                assert_eq!(rule.equal(a, b), expected, "{a} and {b}");
                assert_eq!(rule.equal(b, a), expected, "{b} and {a}");
            }
        }
    }

    #[test]
    fn a_rule_holds_equal_what_it_says_and_no_more() {
        let number = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        check(
            "tolerance = 0.1",
            &[(json!(0.3), json!(0.2)), (number("1e2"), json!(100))],
            &[(json!(0.3), json!(0.15)), (json!("0.3"), json!(0.3))],
        );
        check(
            "tolerance = 0",
            &[(json!(1.0), json!(1))],
            &[(number("18446744073709551616"), number("18446744073709551617"))],
        );
        check("ignore_case = true", &[(json!("Ä"), json!("ä"))], &[(json!("a "), json!("a"))]);
        check("trim = true", &[(json!(" a\n"), json!("a"))], &[(json!("a b"), json!("a  b"))]);
        check(
            "collapse_whitespace = true",
            &[(json!("a \t b"), json!("a b"))],
            &[(json!("ab"), json!("a b"))],
        );
        check(
            "ignore_type = true",
            &[(json!("8080"), json!(8080)), (json!("true"), json!(true))],
            &[(json!("null"), json!(null)), (json!("8080.0"), json!(8080))],
        );
        check(
            "ignore_type = true\ntolerance = 0",
            &[(json!("8080.0"), json!(8080))],
            &[(json!({"redacted": "x"}), json!("x"))],
        );
    }

    #[test]
    fn a_rule_that_says_too_little_or_too_much_is_refused() {
        for text in [
            "path = \"a\"",
            "path = \"a\"\nkey = \"b\"\nmode = \"set\"",
            "path = \"a\"\nmode = \"bag\"",
            "path = \"a\"\nmode = \"set\"\nordered = false",
        ] {
            assert!(toml::from_str::<ListRule>(text).is_err(), "{text}");
        }
        for text in
            ["path = \"a\"\ntolerance = -1", "path = \"a\"\ntolerance = nan", "path = \"a\"\ncase = true"]
        {
            assert!(toml::from_str::<CompareRule>(text).is_err(), "{text}");
        }
    }
}
