//! Explains what redaction does with a document: each secret with the rule that names it, and what was left alone, with the reason.
//!
//! An explanation has places, lengths in classes and the names of rules. It never has a value.

use std::collections::BTreeMap;

use rig_event::FlatConfig;
use serde::Serialize;
use serde_json::Value;

use super::kept::{self, Kept};
use super::marker::{is_marker, marker_key};
use super::scan::Shapes;
use super::{Redactor, Secret, text};
use crate::grammar::{families, recognised};
use crate::lines::{LineIndex, inclusive};
use crate::secrets::Found;
use crate::{Document, Format};

/// Grammars of what stands in texts of every family.
const GENERAL: [&str; 3] = ["assignments", "command-lines", "environment"];

/// The number of lines that a normalised text may have lost at one place, and its lines are still found in the source.
const DROPPED: usize = 64;

/// The explanation of a document's redaction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// The format that it was read in.
    pub format: Format,
    /// The families of texts that it was recognised as. A text of no family has the general rules alone, as documents with fields
    /// have the rules for names and values.
    pub families: Vec<&'static str>,
    /// The number of secrets by the rule that names them.
    pub rules: BTreeMap<&'static str, u64>,
    /// The secrets that are replaced, from top to bottom.
    pub redacted: Vec<Replaced>,
    /// Values that were masked before they came here: a change of the secret cannot be seen in them.
    pub masked: Vec<Left>,
    /// Values that stand where a secret could, and are shown.
    pub left: Vec<Left>,
}

/// A place in a document.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Spot {
    /// The line, from 1, where it is known: for a field the one on which its value begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// The path of the field; none in a text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The line in the value of the field, from 1, where it has several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line_of_value: Option<u32>,
}

/// A secret that is replaced.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Replaced {
    /// Its place.
    #[serde(flatten)]
    pub spot: Spot,
    /// The rule that names it: a grammar, `named-secret`, `github-token`, `policy`, …
    pub rule: &'static str,
    /// The class of its length in characters: `1-7`, `8-15`, `16-31`, `32-63`, `64+`.
    pub length: &'static str,
}

/// A value that is shown although it stands where a secret could.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Left {
    /// Its place.
    #[serde(flatten)]
    pub spot: Spot,
    /// The name before it, where it is not the last step of the path.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The reason: `masked`, `reference`, `file`, `mode`, `version`, `label`, `sentence`, `number`, `public-key`, `digest`, `code`,
    /// `name`, `unrecognised`.
    pub why: &'static str,
}

impl Redactor {
    /// Explains what redaction does with a document, which is as it was parsed from this source. Nothing is learned from it.
    pub fn explain(&self, document: &Document, source: &str) -> Explanation {
        let redactor = Redactor { learns: false, ..self.clone() };
        let mut explanation = Explanation {
            format: document.format,
            families: Vec::new(),
            rules: BTreeMap::new(),
            redacted: Vec::new(),
            masked: Vec::new(),
            left: Vec::new(),
        };
        match document.config.get("text") {
            Some(Value::String(text)) if document.format.is_text() => {
                let file = document.file.as_deref();
                // As when it is redacted: a file without a name may be known by its content.
                explanation.families = recognised(text, Some(file.unwrap_or_default()));
                let found = redactor.find_in_lines(text, file);
                // A row that names a secret knows its line, if nothing else is known of the text.
                for family in families().filter(|family| !GENERAL.contains(family)) {
                    if found.iter().any(|one| one.kind == family) && !explanation.families.contains(&family) {
                        explanation.families.push(family);
                    }
                }
                let lines = Lines { index: LineIndex::new(text), of_source: of_source(text, source) };
                explanation.of_text(text, &found, |at| Spot { line: lines.at(at), ..Spot::default() });
            }
            _ => {
                let mut after = document.config.clone();
                let mut secrets = Vec::new();
                redactor.config(&mut after, |_| None, 0, &mut secrets);
                explanation.of_fields(document, &after, secrets);
            }
        }
        explanation.redacted.sort();
        explanation.left.sort();
        explanation.masked.sort();
        for one in &explanation.redacted {
            *explanation.rules.entry(one.rule).or_default() += 1;
        }
        explanation
    }
}

impl Explanation {
    /// Returns true if the document has fields, or is a text of a family that is known.
    pub fn is_known(&self) -> bool {
        self.format != Format::Text || !self.families.is_empty()
    }

    /// Adds the secrets of a text, and what is left alone in it.
    fn of_text(&mut self, text: &str, found: &[Found], spot: impl Fn(usize) -> Spot) {
        for one in found {
            let length = length(&text[one.range.clone()]);
            self.redacted.push(Replaced { spot: spot(one.range.start), rule: one.kind, length });
        }
        kept::in_text(text, found, |kept| self.keep(kept, &spot));
    }

    fn keep(&mut self, kept: Kept<'_>, spot: impl Fn(usize) -> Spot) {
        let name = kept.name.map(str::to_owned);
        let list = if kept.why == kept::MASKED { &mut self.masked } else { &mut self.left };
        list.push(Left { spot: spot(kept.at), name, why: kept.why });
    }

    /// Adds the secrets of fields, which are known by what became of them.
    fn of_fields(&mut self, document: &Document, after: &FlatConfig, secrets: Vec<Secret>) {
        let rules: BTreeMap<String, &'static str> =
            secrets.into_iter().map(|one| (one.path, one.kind)).collect();
        for (path, before) in &document.config {
            let line = document.lines.get(path).copied();
            let spot = |line_of_value| Spot { line, path: Some(path.clone()), line_of_value };
            let rule = rules.get(path).copied().unwrap_or(super::NAMED);
            match (before, after.get(path)) {
                (_, Some(whole)) if marker_key(before).is_none() && marker_key(whole).is_some() => {
                    let length = match before {
                        Value::String(text) => length(text),
                        other => length(&other.to_string()),
                    };
                    self.redacted.push(Replaced { spot: spot(None), rule, length });
                }
                (Value::String(text), Some(Value::String(redacted))) => {
                    let found = replaced(text, redacted, rule);
                    let at = |at: usize| {
                        let lines = text[..at].matches('\n').count();
                        spot(text.contains('\n').then_some(number(lines + 1)))
                    };
                    self.of_value(path, text, &found, at);
                }
                _ => {
                    if let Some(why) = kept::field(path, before) {
                        self.keep(Kept { at: 0, name: None, why }, |_| spot(None));
                    }
                }
            }
        }
    }

    /// Adds the secrets in a string that is kept but for them, and what is left alone in it.
    fn of_value(&mut self, path: &str, text: &str, found: &[Found], spot: impl Fn(usize) -> Spot) {
        if text.contains('\n') {
            return self.of_text(text, found, spot);
        }
        for one in found {
            let length = length(&text[one.range.clone()]);
            self.redacted.push(Replaced { spot: spot(one.range.start), rule: one.kind, length });
        }
        if found.is_empty()
            && let Some(why) = kept::field(path, &Value::from(text))
        {
            self.keep(Kept { at: 0, name: None, why }, spot);
        }
    }
}

/// Returns the class of a secret's length.
fn length(secret: &str) -> &'static str {
    match secret.chars().count() {
        0..=7 => "1-7",
        8..=15 => "8-15",
        16..=31 => "16-31",
        32..=63 => "32-63",
        _ => "64+",
    }
}

fn number(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Returns the spans of a text that became markers, each with the rule that names it as far as the text alone tells.
fn replaced(before: &str, after: &str, rule: &'static str) -> Vec<Found> {
    if before == after {
        return Vec::new();
    }
    let known = text::find(before, Shapes::All, None);
    let mut found = Vec::new();
    let (mut at, mut rest) = (0, after);
    while let Some((literal, behind)) = next_marker(rest) {
        at += literal;
        let marker = &rest[literal..behind];
        rest = &rest[behind..];
        // A marker of an earlier redaction.
        if before[at.min(before.len())..].starts_with(marker) {
            at += marker.len();
            continue;
        }
        let next = next_marker(rest).map_or(rest, |(literal, _)| &rest[..literal]);
        let is_last = next.len() == rest.len();
        let tail = before.get(at..).unwrap_or_default();
        let length = if is_last { tail.len().checked_sub(next.len()) } else { tail.find(next) };
        let Some(length) = length.filter(|length| tail.is_char_boundary(*length)) else { break };
        let range = at..at + length;
        let own = known.iter().find(|one| one.range.start < range.end && range.start < one.range.end);
        found.push(Found { kind: own.map_or(rule, |own| own.kind), range });
        at += length;
    }
    found
}

/// Returns where the first marker in a text begins and ends.
fn next_marker(text: &str) -> Option<(usize, usize)> {
    let ends = |start: usize| text[start..].find('>').map(|end| (start, start + end + 1));
    let mut markers = text.match_indices("<redacted:").filter_map(|(start, _)| ends(start));
    markers.find(|(start, end)| is_marker(&text[*start..*end]))
}

/// The lines of a text that was normalised, by their number in its source.
struct Lines<'a> {
    index: LineIndex<'a>,
    of_source: Vec<u32>,
}

impl Lines<'_> {
    fn at(&self, offset: usize) -> Option<u32> {
        let line = usize::try_from(self.index.place(offset).line).ok()?;
        self.of_source.get(line.checked_sub(1)?).copied()
    }
}

/// Returns the number that each line of a text has in its source, from which normalising dropped some.
fn of_source(text: &str, source: &str) -> Vec<u32> {
    let source: Vec<&str> = inclusive(source).map(str::trim_end).collect();
    let mut next = 0;
    let place = |line: &str| {
        let line = line.trim_end();
        let ahead = source.iter().skip(next).take(DROPPED).position(|known| *known == line);
        let at = next + ahead.unwrap_or(0);
        next = at + 1;
        number(next)
    };
    inclusive(text).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Limits, Policy, RedactionKey, parse};

    fn explain(source: &str, format: Format) -> Explanation {
        let redactor = Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::default());
        let mut document = parse(source.as_bytes(), format, &Limits::default()).unwrap();
        let explanation = redactor.explain(&document, source);
        // It counts what redaction replaces, and it has no value.
        let found = redactor.redact(&mut document);
        assert!(explanation.redacted.len() >= found, "{explanation:?}");
        assert!(!serde_json::to_string(&explanation).unwrap().contains("hunter2"), "{explanation:?}");
        explanation
    }

    fn redacted(explanation: &Explanation) -> Vec<(u32, &str, &'static str)> {
        let of = |one: &Replaced| (one.spot.line.unwrap(), one.rule, one.length);
        explanation.redacted.iter().map(of).collect()
    }

    fn why(list: &[Left]) -> Vec<(u32, &str, &'static str)> {
        list.iter()
            .map(|one| {
                let name = one.name.as_deref().or(one.spot.path.as_deref()).unwrap_or_default();
                (one.spot.line.unwrap(), name, one.why)
            })
            .collect()
    }

    #[test]
    fn a_text_is_explained_line_by_line_of_its_source() {
        let source = "Building configuration...\n\n! Last configuration change at 10:00\nversion 15.2\nhostname r1\n\
            enable secret 5 hunter2hunter2\nsnmp-server community <removed> RO\nservice password-encryption\n\
            interface Vlan1\n ip address 10.0.0.1 255.0.0.0\ntoken = ghp_hunter2hunter2hunter2A1b2C3d4e5F6\n\
            password=${DB_PASSWORD}\napi_token: disabled\n";
        let explanation = explain(source, Format::Text);
        assert!(explanation.families.contains(&"cisco-ios"), "{explanation:?}");
        assert_eq!(redacted(&explanation), [(6, "cisco-ios", "8-15"), (11, "github-token", "32-63")]);
        assert_eq!(explanation.rules, BTreeMap::from([("cisco-ios", 1), ("github-token", 1)]));
        assert_eq!(why(&explanation.masked), [(7, "community", "masked")]);
        assert_eq!(why(&explanation.left), [(12, "password", "reference"), (13, "api_token", "mode")]);
    }

    #[test]
    fn a_text_of_no_family_says_so() {
        let explanation = explain("frob widget\npassword hunter2hunter2\n", Format::Text);
        assert!(!explanation.is_known() && explanation.families.is_empty());
        assert_eq!(redacted(&explanation), [(2, "named-secret", "8-15")]);
    }

    #[test]
    fn fields_are_explained_with_path_and_line() {
        let source = "db:\n  password: hunter2\n  url: postgres://app:hunter2hunter2@db/app\n  token: ${TOKEN}\n\
            secret: '********'\napp.conf: |\n  # settings\n  password = hunter2hunter2\n  auth_token = false\n\
            cookie: ^1.2.3\npin: 12\nport: 80\n";
        let explanation = explain(source, Format::Yaml);
        let spans: Vec<_> = explanation
            .redacted
            .iter()
            .map(|one| (one.spot.path.as_deref().unwrap(), one.spot.line, one.spot.line_of_value, one.rule))
            .collect();
        assert_eq!(spans[0], ("db.password", Some(2), None, "named-secret"));
        assert_eq!(spans[1], ("db.url", Some(3), None, "url-credentials"));
        assert!(spans[2].0.contains("app.conf") && spans[2].2 == Some(2), "{spans:?}");
        assert_eq!(why(&explanation.masked), [(5, "secret", "masked")]);
        let left: Vec<_> = explanation.left.iter().map(|one| one.why).collect();
        assert!(left.contains(&"reference") && left.contains(&"mode"), "{explanation:?}");
        assert!(left.contains(&"version"), "{explanation:?}");
    }

    #[test]
    fn explaining_learns_nothing() {
        let redactor = Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::default());
        let redactor = redactor.with_known(10).learning();
        let source = "password: hunter2hunter2\n";
        let document = parse(source.as_bytes(), Format::Yaml, &Limits::default()).unwrap();
        assert_eq!(redactor.explain(&document, source).redacted.len(), 1);
        assert_eq!(redactor.known_secrets(), 0);
    }
}
