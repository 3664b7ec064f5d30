//! Words for what redaction does with a document: `rig snapshot --explain`, `rig diff --explain-redaction`.

use std::fmt::Write as _;

use rig_config::Explanation;
use rig_config::redact::explain::{Left, Spot};

use super::{count, plain};

/// The most entries of a list that are shown; JSON has all.
const MOST: usize = 500;

/// Returns the lines that explain what is redacted in a document, and what is not.
pub fn explained(name: &str, explanation: &Explanation) -> String {
    let mut out = String::new();
    let format = explanation.format;
    // Writing to a string cannot fail.
    let _ = match (explanation.is_known(), explanation.families.is_empty()) {
        (false, _) => {
            writeln!(out, "{}: {format} of no known family: the general rules apply", plain(name))
        }
        (true, true) => writeln!(out, "{}: {format}", plain(name)),
        (true, false) => {
            writeln!(out, "{}: {format}, recognised as {}", plain(name), explanation.families.join(", "))
        }
    };
    let rules: Vec<String> =
        explanation.rules.iter().map(|(rule, number)| format!("{number} {rule}")).collect();
    let rules = if rules.is_empty() { String::new() } else { format!(": {}", rules.join(", ")) };
    let _ = writeln!(out, "  {}{rules}", redacted(explanation.redacted.len()));
    list(&mut out, &explanation.redacted, |one| {
        format!("{}{:<18} {} characters", place(&one.spot), one.rule, one.length)
    });
    if !explanation.masked.is_empty() {
        let masked = count(explanation.masked.len() as u64, "value");
        let _ = writeln!(out, "  {masked} masked at the source: a change of the secret cannot be seen");
        list(&mut out, &explanation.masked, |one| name_of(one).trim_end().to_owned());
    }
    if !explanation.left.is_empty() {
        let _ = writeln!(out, "  {} left alone", count(explanation.left.len() as u64, "value"));
        list(&mut out, &explanation.left, |one| format!("{} {}", name_of(one), reason(one.why)));
    }
    out
}

fn redacted(number: usize) -> String {
    match number {
        0 => "nothing redacted".to_owned(),
        _ => format!("{} redacted", count(number as u64, "value")),
    }
}

fn list<T>(out: &mut String, entries: &[T], words: impl Fn(&T) -> String) {
    for one in entries.iter().take(MOST) {
        let _ = writeln!(out, "    {}", words(one));
    }
    if entries.len() > MOST {
        let _ = writeln!(out, "    … and {} more; --json lists all", entries.len() - MOST);
    }
}

/// Returns the words for a place, and a blank behind them.
fn place(spot: &Spot) -> String {
    let mut place = spot.line.map_or_else(String::new, |line| format!("line {line:<6} "));
    if let Some(path) = &spot.path {
        let _ = write!(place, "{}", plain(path));
        if let Some(line) = spot.line_of_value {
            let _ = write!(place, " (its line {line})");
        }
        place.push_str("  ");
    }
    place
}

fn name_of(one: &Left) -> String {
    match &one.name {
        Some(name) => format!("{}{:<18}", place(&one.spot), plain(name)),
        None => place(&one.spot).trim_end().to_owned(),
    }
}

/// Returns the words for the reason that a value is shown.
fn reason(why: &str) -> &str {
    match why {
        "reference" => "a reference to a secret, not a secret",
        "file" => "the path of a file",
        "mode" => "a switch or a mode",
        "version" => "a version",
        "label" => "a label",
        "sentence" => "a sentence",
        "number" => "a number",
        "public-key" => "a public key",
        "digest" => "the digest of something public",
        "code" => "an expression of a program",
        "name" => "its name only speaks of a secret",
        _ => "no rule took it: look at it",
    }
}

#[cfg(test)]
mod tests {
    use rig_config::{Format, Limits, Policy, RedactionKey, Redactor, parse};

    use super::*;

    fn explain(source: &str, format: Format) -> String {
        let redactor = Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::default());
        let document = parse(source.as_bytes(), format, &Limits::default()).unwrap();
        explained("x", &redactor.explain(&document, source))
    }

    #[test]
    fn an_explanation_reads_from_top_to_bottom() {
        assert_eq!(
            explain(
                "hostname r1\nenable secret 5 hunter2hunter2\nusername a secret <removed>\npassword = ${X}\n",
                Format::Text
            ),
            "x: text, recognised as cisco-ios\n  1 value redacted: 1 cisco-ios\n    line 2      cisco-ios          8-15 characters\n\
             \x20 1 value masked at the source: a change of the secret cannot be seen\n    line 3      secret\n\
             \x20 1 value left alone\n    line 4      password           a reference to a secret, not a secret\n"
        );
        assert_eq!(
            explain("frob\n", Format::Text),
            "x: text of no known family: the general rules apply\n  nothing redacted\n"
        );
        assert_eq!(
            explain("db:\n  password: hunter2\n", Format::Yaml),
            "x: yaml\n  1 value redacted: 1 named-secret\n    line 2      db.password  named-secret       1-7 characters\n"
        );
    }
}
