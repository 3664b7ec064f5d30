//! Values that stand where a secret could and are none: found for explanations alone, after redaction decided.

use std::ops::Range;

use serde_json::Value;

use crate::grammar::{Word, is_placeholder, words};
use crate::path::lenient;
use crate::secrets::Found;
use crate::secrets::looks::{
    is_code, is_digest, is_file, is_in, is_in_store, is_label, is_masked, is_mode, is_odd, is_prose,
    is_public,
};
use crate::secrets::names::{Sense, is_own_name, is_version, joined, key_of, may_say_something, sense};

/// The reason for a value that its source masked.
pub(super) const MASKED: &str = "masked";

/// The reason for a value that no rule took, and of which no rule says that it is none.
const UNRECOGNISED: &str = "unrecognised";

/// The longest line of a text that is looked through, in bytes.
const LONGEST: usize = 16 << 10;

/// A value that is shown.
pub(super) struct Kept<'a> {
    /// Where it begins in its text.
    pub(super) at: usize,
    /// The name before it.
    pub(super) name: Option<&'a str>,
    /// The reason.
    pub(super) why: &'static str,
}

/// Returns the reason that the value of a field is shown, if its name says that it is a secret.
pub(super) fn field(path: &str, value: &Value) -> Option<&'static str> {
    if !may_say_something(path) {
        return None;
    }
    let steps = lenient(path);
    let keys: Vec<&str> = steps.0.iter().filter_map(key_of).collect();
    let name = keys.last()?;
    let is_secret =
        sense(name) == Sense::Secret || joined(&keys).is_some_and(|name| sense(&name) == Sense::Secret);
    match value {
        Value::String(text) if is_secret => reason(name, text),
        Value::String(text) => refers(name, text).then_some("name"),
        Value::Number(_) if is_secret => Some("number"),
        Value::Bool(_) if is_secret => Some("mode"),
        _ => None,
    }
}

/// Gives each value in a text that stands where a secret could, and that was not found to be one.
pub(super) fn in_text<'a>(text: &'a str, found: &[Found], mut give: impl FnMut(Kept<'a>)) {
    let mut start = 0;
    let mut next = 0;
    for line in text.split_inclusive('\n') {
        let range = start..start + line.trim_end().len();
        start += line.len();
        while found.get(next).is_some_and(|one| one.range.end <= range.start) {
            next += 1;
        }
        let is_framed = line.contains('<') && !line.trim_start().starts_with('<');
        if range.len() > LONGEST || !(is_framed || may_say_something(line)) {
            continue;
        }
        let own: Vec<&Found> = found[next..].iter().take_while(|one| one.range.start < range.end).collect();
        in_line(text, range, is_framed, &own, &mut give);
    }
}

fn in_line<'a>(
    text: &'a str,
    range: Range<usize>,
    is_framed: bool,
    found: &[&Found],
    give: &mut impl FnMut(Kept<'a>),
) {
    let line = Line { text, words: words(text, range.clone()), end: range.end };
    let is_found = |range: &Range<usize>| {
        found.iter().any(|one| one.range.start < range.end && range.start < one.range.end)
    };
    let is_talk = is_prose(&text[range.clone()]);
    // Up to where the line is explained.
    let mut covered = range.start;
    for at in 0..line.words.len() {
        let outer = line.words[at].outer.clone();
        if outer.start < covered {
            continue;
        }
        if let Some((name, value, is_assigned)) = line.pair(at)
            && !is_found(&name)
            && !is_found(&value)
        {
            let said = &text[name.clone()];
            let word = &text[value.clone()];
            // A sentence, or what a source wrote in several words instead of a secret.
            let rest = text[value.start..range.end].trim_matches(['"', '\'', ',', ';', ' ']);
            let why = match sense(said) {
                Sense::Secret if is_masked(rest) => Some(MASKED),
                Sense::Secret => reason(said, word)
                    .map(|why| if why == UNRECOGNISED && is_prose(rest) { "sentence" } else { why }),
                _ => (is_assigned && refers(said, word)).then_some("name"),
            };
            // Behind a name without a sign, ordinary words are ordinary.
            let why = why.filter(|why| {
                is_assigned || (!is_talk && !matches!(*why, UNRECOGNISED | "sentence" | "label" | "code"))
            });
            if let Some(why) = why {
                covered = value.end;
                give(Kept { at: value.start, name: Some(said), why });
                continue;
            }
        }
        let word = &text[outer.clone()];
        if is_framed && word.starts_with('<') {
            let masked = text[outer.start..range.end].find('>').map(|end| {
                let end = outer.start + end + 1;
                end + text[end..range.end].bytes().take_while(|byte| *byte == b'>').count()
            });
            if let Some(end) = masked.filter(|end| is_masked(&text[outer.start..*end])) {
                covered = end;
                let name = at.checked_sub(1).map(|before| &text[line.words[before].inner.clone()]);
                give(Kept { at: outer.start, name, why: MASKED });
            }
        }
    }
}

/// A line whose names and values are looked for.
struct Line<'a> {
    text: &'a str,
    words: Vec<Word>,
    end: usize,
}

impl Line<'_> {
    /// Returns the name that a word is or begins with, its value, and true if a sign stands between them.
    fn pair(&self, at: usize) -> Option<(Range<usize>, Range<usize>, bool)> {
        const SIGNS: [&str; 4] = ["=", ":", "=>", ":="];
        let word = &self.words[at];
        let outer = &self.text[word.outer.clone()];
        let next = |skip: usize| self.words.get(at + skip);
        if let Some(sign) = outer.find(['=', ':']).filter(|sign| *sign > 0) {
            let name = self.name(word.outer.start..word.outer.start + sign)?;
            let behind = outer[sign..].trim_start_matches(['=', ':', '>', '"', '\'']);
            let start = word.outer.end - behind.len();
            let value = if behind.trim_matches(['"', '\'', ',', ';']).is_empty() {
                next(1)?.inner.clone()
            } else {
                start..start + bare(behind).len()
            };
            return Some((name, value, true));
        }
        let name = self.name(word.inner.clone())?;
        let is_sign = |word: &Word| SIGNS.contains(&&self.text[word.outer.clone()]);
        if next(1).is_some_and(is_sign) {
            return Some((name, next(2)?.inner.clone(), true));
        }
        // `password 7 …`, `secret encrypted …`
        let is_type = |word: &Word| {
            let text = &self.text[word.inner.clone()];
            text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit())
                || is_in("encrypted cipher simple plain plaintext hash md5 sha", text)
        };
        let skip = 1 + usize::from(next(1).is_some_and(is_type) && next(2).is_some());
        let value = next(skip)?.inner.clone();
        (value.end <= self.end).then_some((name, value, false))
    }

    /// Returns the range of the name that stands at the end of a range; nothing if it says nothing of secrets.
    fn name(&self, range: Range<usize>) -> Option<Range<usize>> {
        let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.');
        let before = self.text[range.clone()].trim_end_matches(['"', '\'', ']', ' ']);
        let name = &before[before.trim_end_matches(is_part).len()..];
        let end = range.start + before.len();
        (!name.is_empty() && name.len() <= 100 && may_say_something(name)).then(|| end - name.len()..end)
    }
}

/// Returns a value without the punctuation behind it; what closes in it and opened in it belongs to it.
fn bare(value: &str) -> &str {
    let mut value = value.trim_end_matches(['"', '\'', ',', ';']);
    for (open, close) in [('{', '}'), ('(', ')'), ('[', ']')] {
        while value.ends_with(close) && value.matches(close).count() > value.matches(open).count() {
            value = value[..value.len() - 1].trim_end_matches(['"', '\'', ',', ';']);
        }
    }
    value
}

/// Returns the reason that the value of a secret's name is none; nothing if it is empty, or was replaced before.
fn reason(name: &str, text: &str) -> Option<&'static str> {
    let text = text.trim();
    let is_all = |signs: &str| text.len() >= 3 && text.chars().all(|c| signs.contains(c));
    if text.is_empty() || text.contains("<redacted:") || text.contains(super::RIGGING) || is_all("=-{}[]()") {
        return None;
    }
    let is_digits = text.bytes().all(|b| b.is_ascii_digit());
    Some(if is_masked(text) || is_all("*xX.?•●+#_") {
        MASKED
    } else if is_in_store(text) || is_placeholder(text) {
        "reference"
    } else if is_file(text) {
        "file"
    } else if is_digits && text.len() < 4 {
        "number"
    } else if is_version(text) {
        "version"
    } else if is_mode(text) || is_in("bearer basic digest token negotiate apikey hawk", text) {
        "mode"
    } else if is_public(text) {
        "public-key"
    } else if is_digest(name, text) {
        "digest"
    } else if is_own_name(text) || is_label(text) {
        "label"
    } else if is_prose(text) {
        "sentence"
    } else if is_code(text) {
        "code"
    } else {
        UNRECOGNISED
    })
}

/// Returns true if a name speaks of secrets and names none, while its value could be one.
fn refers(name: &str, text: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let speaks =
        ["secret", "password", "passwd", "token", "credential"].iter().any(|noun| name.contains(noun));
    // `test_token.py:42` is a place in a program.
    speaks && !is_file(&name) && text.len() >= 8 && is_odd(text) && reason(&name, text) == Some(UNRECOGNISED)
}
