//! Patterns of a policy: for fields, a path with `*` for one step, `**` for any number of steps, and `*`
//! inside a key for any characters; for values, a regular expression.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::str::FromStr;

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Deserializer};

use crate::identity::with_keys;
use crate::path::{Segment, Step, lenient, parse_index, steps};
use crate::{Error, FlatConfig, Path};
use serde_json::Value;

/// A pattern over paths. A quoted part is literal: `"*"` is the key `*`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    steps: Vec<Want>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Want {
    /// `**`
    AnyDepth,
    /// `*`
    Any,
    /// `[*]`
    AnyElement,
    Key(Glob),
    Index(usize),
    Keyed(Glob, Glob),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Glob {
    text: String,
    literal: bool,
}

impl Pattern {
    /// Returns true if the pattern covers exactly this path.
    pub fn matches(&self, path: &Path) -> bool {
        self.covers(&path.0, false)
    }

    /// Returns true if the pattern covers the path or something above it, ignoring case: for rules that must
    /// not miss.
    pub(crate) fn matches_at_or_above(&self, path: &Path) -> bool {
        (0..=path.0.len()).rev().any(|end| self.covers(&path.0[..end], true))
    }

    /// Returns true if the pattern covers a section of a text. In a section's name a dot divides nothing, so `*` stands for it too.
    pub(crate) fn covers_section(&self, name: &str, fold_case: bool) -> bool {
        let whole = || match fold_case {
            true => glob_takes(&self.text.to_lowercase(), &name.to_lowercase()),
            false => glob_takes(&self.text, name),
        };
        self.covers(&lenient(name).0, fold_case) || whole()
    }

    /// Returns true if the pattern covers a section of a text, or the whole text, whose path is `text`.
    pub(crate) fn covers_part_of_text(&self, section: &str) -> bool {
        self.covers(&[Segment::Key("text".to_owned())], false) || self.covers_section(section, false)
    }

    /// The keys by which the pattern names elements of lists: `name` in `env[name=TOKEN].value`.
    pub(crate) fn list_keys(&self) -> impl Iterator<Item = &str> {
        self.steps.iter().filter_map(|want| match want {
            Want::Keyed(key, _) => Some(key.text.as_str()),
            _ => None,
        })
    }

    /// The names that fields have where elements of lists are named by the keys that this pattern names them by, while
    /// configurations name them by index: `servers[name=api].port` to `servers[0].port`. None where it names no keys. A name
    /// that several fields would have stands for none of them.
    pub fn names(&self, config: &FlatConfig) -> Option<BTreeMap<String, String>> {
        let keys: Vec<&str> = self.list_keys().collect();
        if keys.is_empty() {
            return None;
        }
        let (mut names, mut shared) = (BTreeMap::new(), BTreeSet::new());
        for path in config.keys() {
            let name = with_keys(lenient(path), &keys, config).to_string();
            if names.insert(name.clone(), path.clone()).is_some() {
                shared.insert(name);
            }
        }
        names.retain(|name, _| !shared.contains(name));
        Some(names)
    }

    /// Returns true if the pattern covers exactly these steps.
    ///
    /// A mismatch goes back to the latest `**` only, which suffices since every other step takes one segment; so
    /// the work is bounded by the product of the two lengths.
    pub(crate) fn covers(&self, segments: &[Segment], fold_case: bool) -> bool {
        backtrack(
            &self.steps,
            segments,
            |want| *want == Want::AnyDepth,
            |want, segment| want.takes(segment, fold_case),
        )
    }
}

impl Want {
    fn takes(&self, segment: &Segment, fold: bool) -> bool {
        match (self, segment) {
            (Want::Any, _) => true,
            (Want::AnyElement, segment) => !matches!(segment, Segment::Key(_)),
            (Want::Key(want), Segment::Key(key)) => want.takes(key, fold),
            (Want::Index(want), Segment::Index(index)) => want == index,
            (Want::Keyed(k, v), Segment::Keyed { key, value }) => k.takes(key, fold) && v.takes(value, fold),
            _ => false,
        }
    }
}

impl Glob {
    fn takes(&self, text: &str, fold: bool) -> bool {
        if fold && !(self.text.is_ascii() && text.is_ascii()) {
            return Glob { text: self.text.to_lowercase(), literal: self.literal }
                .takes(&text.to_lowercase(), false);
        }
        let same = |want: &u8, byte: &u8| want == byte || fold && want.eq_ignore_ascii_case(byte);
        let star = |want: &u8| *want == b'*' && !self.literal;
        backtrack(self.text.as_bytes(), text.as_bytes(), star, same)
    }
}

/// Returns true if the text matches the glob, in which `*` stands for any characters.
pub(crate) fn glob_takes(glob: &str, text: &str) -> bool {
    backtrack(glob.as_bytes(), text.as_bytes(), |want| *want == b'*', |want, byte| want == byte)
}

/// Matches `items` against `wants`, where a star takes any number of items and anything else exactly one.
fn backtrack<W, T>(
    wants: &[W],
    items: &[T],
    star: impl Fn(&W) -> bool,
    takes: impl Fn(&W, &T) -> bool,
) -> bool {
    let (mut want, mut item) = (0, 0);
    let mut latest_star: Option<(usize, usize)> = None;
    while item < items.len() {
        match wants.get(want) {
            Some(w) if star(w) => {
                latest_star = Some((want, item));
                want += 1;
            }
            Some(w) if takes(w, &items[item]) => {
                want += 1;
                item += 1;
            }
            _ => match &mut latest_star {
                Some((star_at, taken)) => {
                    *taken += 1;
                    (want, item) = (*star_at + 1, *taken);
                }
                None => return false,
            },
        }
    }
    wants[want..].iter().all(star)
}

impl FromStr for Pattern {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let glob = |part: crate::path::Part| Glob { text: part.text, literal: part.quoted };
        let mut wants = Vec::new();
        for (column, step) in steps(text)? {
            wants.push(match step {
                Step::Key(part) if !part.quoted && part.text == "**" => Want::AnyDepth,
                Step::Key(part) if !part.quoted && part.text == "*" => Want::Any,
                Step::Key(part) => Want::Key(glob(part)),
                Step::Bracket(part) if !part.quoted && part.text == "*" => Want::AnyElement,
                Step::Bracket(part) => Want::Index(parse_index(&part).ok_or(Error::BadPath {
                    column,
                    why: "a number, `*` or `key=value` belongs between brackets",
                })?),
                Step::Keyed(key, value) => Want::Keyed(glob(key), glob(value)),
            });
        }
        Ok(Pattern { text: text.to_owned(), steps: wants })
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

/// The longest regular expression, in bytes, and the memory that its program may take.
const MAX_REGEX: usize = 1_000;
const MAX_PROGRAM: usize = 1 << 20;

/// A regular expression over values, in the syntax of the crate `regex`: it matches anywhere unless `^` and `$` tie it
/// down, and takes time linear in the value's length, whatever it says.
///
/// A string is matched as it is, and any other leaf as its JSON: `8080`, `true`, `null`, `[]`, `{}`. A secret is not there
/// any more, so no expression matches it.
#[derive(Clone, Debug)]
pub struct ValuePattern(Regex);

impl ValuePattern {
    /// Returns true if it matches the value.
    pub fn matches(&self, value: &Value) -> bool {
        let text = match value {
            Value::String(text) => Cow::Borrowed(text.as_str()),
            Value::Object(map) if !map.is_empty() => return false,
            other => Cow::Owned(other.to_string()),
        };
        self.0.is_match(&text)
    }

    /// Returns true if it has groups.
    pub(crate) fn has_groups(&self) -> bool {
        self.0.captures_len() > 1
    }

    /// Returns where its groups match in a text; where it has no group, where it matches.
    pub(crate) fn groups(&self, text: &str) -> Vec<Range<usize>> {
        let has_groups = self.0.captures_len() > 1;
        let groups = self.0.captures_iter(text).flat_map(|captures| {
            let wanted = if has_groups { 1..captures.len() } else { 0..1 };
            wanted.filter_map(|at| captures.get(at).map(|group| group.range())).collect::<Vec<_>>()
        });
        groups.filter(|range| !range.is_empty()).collect()
    }
}

impl FromStr for ValuePattern {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > MAX_REGEX {
            return Err(format!("a regular expression has at most {MAX_REGEX} bytes"));
        }
        let built = RegexBuilder::new(text).size_limit(MAX_PROGRAM).nest_limit(50).build();
        built.map(ValuePattern).map_err(|error| {
            // The crate draws where it is; one line says what.
            let what = error.to_string();
            let what = what.lines().rev().find_map(|line| line.strip_prefix("error: ").map(str::to_owned));
            format!("it is no regular expression: {}", what.unwrap_or_else(|| "it is too large".to_owned()))
        })
    }
}

impl PartialEq for ValuePattern {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl fmt::Display for ValuePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0.as_str())
    }
}

impl<'de> Deserialize<'de> for ValuePattern {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, matching: &[&str], other: &[&str]) {
        let parsed: Pattern = pattern.parse().unwrap();
        for (paths, expected) in [(matching, true), (other, false)] {
            for path in paths {
                assert_eq!(parsed.matches(&path.parse().unwrap()), expected, "{pattern} on {path}");
            }
        }
    }

    #[test]
    fn stars_take_what_they_say() {
        check(
            "database.**",
            &["database", "database.host", "database.pool.max"],
            &["databases.host", "a.database"],
        );
        check(
            "**.*password*",
            &["password", "a.db_password_1", "l[0].password"],
            &["password.hint", "a.Password"],
        );
        check("*.port", &["http.port", "[0].port"], &["port", "a.b.port"]);
        check("servers[*].port", &["servers[3].port", "servers[name=a].port"], &["servers.a.port"]);
        check(
            "servers[name=a*].port",
            &["servers[name=api].port"],
            &["servers[name=b].port", "servers[0].port"],
        );
        check("servers[0]", &["servers[0]"], &["servers[1]", "servers.0"]);
        check("**.a.**.b.**", &["a.b", "x.a.y.b.z", "a.a.b"], &["b.a", "a"]);
        check("\"*\".x", &["\"*\".x"], &["a.x"]);
        check("**", &["", "a", "a[0].b"], &[]);
        check("a*c*e", &["ace", "abcde", "acce"], &["ac", "aced"]);
    }

    #[test]
    fn values_match_as_their_text_and_secrets_never() {
        let check = |pattern: &str, value: Value| pattern.parse::<ValuePattern>().unwrap().matches(&value);
        assert!(check("^true$", Value::Bool(true)) && check("^true$", "true".into()));
        assert!(check("^0\\.0\\.0\\.0", "0.0.0.0:80".into()) && !check("^0\\.0\\.0\\.0", "10.0.0.0".into()));
        assert!(check("^[0-9]{1,3}$", 80.into()) && check("^\\[\\]$", serde_json::json!([])));
        assert!(!check(".*", serde_json::json!({"redacted": "hmac:k1:0123456789abcdef"})));
        assert!(check("(?i)PROD", "my-prod-db".into()));
        // Would take for ever where matching goes back.
        assert!(!check("^(a+)+$", format!("{}b", "a".repeat(100_000)).into()));
        for bad in ["*", "(", "(a{1000}){1000}", &"a".repeat(2_000)] {
            assert!(bad.parse::<ValuePattern>().unwrap_err().contains("regular expression"), "{bad}");
        }
    }

    #[test]
    fn secret_rules_cover_what_lies_below_in_any_case() {
        let pattern: Pattern = "**.TLS".parse().unwrap();
        for path in ["tls", "web.tls.key", "web.Tls[0]"] {
            assert!(pattern.matches_at_or_above(&path.parse().unwrap()), "{path}");
        }
        assert!(!pattern.matches_at_or_above(&"web.tlsx.key".parse().unwrap()));
    }

    #[test]
    fn many_stars_cost_no_more_than_the_product_of_the_lengths() {
        let pattern: Pattern = format!("{}.x", vec!["**.a"; 200].join(".")).parse().unwrap();
        let path: Path = vec!["a"; 2_000].join(".").parse().unwrap();
        assert!(!pattern.matches(&path));
        let glob: Pattern = format!("{}x", "*a".repeat(200)).parse().unwrap();
        assert!(!glob.matches(&"a".repeat(100_000).parse().unwrap()));
    }
}
