//! JSON, and JSON with comments and trailing commas.
//!
//! Its own reader, since `serde_json` lets the last of two equal keys win, says no position of a value, and under
//! `arbitrary_precision` takes a map with a certain private key for a number. Strings with escapes are still read by it.

use std::borrow::Cow;

use serde_json::Value;

use super::number::json_number;
use crate::lines::LineIndex;
use crate::lines::Place;
use crate::tree::{Builder, Entries, Node, insert};
use crate::{Error, Format, Limits};

/// Reads one document of JSON or, as `format` says, of JSONC. Comments alone are no document.
pub(super) fn read<'a>(text: &'a str, format: Format, limits: &Limits) -> Result<Option<Node<'a>>, Error> {
    let lines = LineIndex::new(text);
    let mut reader = Reader { text, at: 0, lines, builder: Builder::new(limits), format };
    reader.skip_blanks()?;
    if reader.peek().is_none() && format == Format::Jsonc {
        return Ok(None);
    }
    let node = reader.value(0)?;
    reader.skip_blanks()?;
    match reader.peek() {
        None => Ok(Some(node)),
        Some(_) => Err(reader.error("nothing may follow the document")),
    }
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    lines: LineIndex<'a>,
    builder: Builder,
    format: Format,
}

impl<'a> Reader<'a> {
    fn value(&mut self, depth: usize) -> Result<Node<'a>, Error> {
        self.skip_blanks()?;
        let start = self.at;
        let at = self.lines.place(start);
        match self.peek() {
            Some(b'{') => self.map(depth + 1, at),
            Some(b'[') => self.list(depth + 1, at),
            Some(b'"') => {
                let text = self.string()?;
                self.builder.leaf(at, text.into())
            }
            Some(b'-' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' | b'.' | b'+') => {
                let rest = &self.text[start..];
                let word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.' | b'_');
                let end = rest.bytes().position(|b| !word(b)).unwrap_or(rest.len());
                self.at += end;
                let value = match &rest[..end] {
                    "null" => Value::Null,
                    "true" => true.into(),
                    "false" => false.into(),
                    number => json_number(number)
                        .ok_or_else(|| malformed(self.format, at, "this is no JSON value"))?,
                };
                self.builder.leaf(at, value)
            }
            Some(_) => Err(self.error("a value is expected")),
            None => Err(self.error("the document ends where a value is expected")),
        }
    }

    fn map(&mut self, depth: usize, at: Place) -> Result<Node<'a>, Error> {
        self.builder.check_depth(depth, at)?;
        self.at += 1;
        let mut entries = Entries::new();
        self.skip_blanks()?;
        if self.eat(b'}') {
            return self.builder.map(at, entries);
        }
        loop {
            let key_at = self.lines.place(self.at);
            if self.peek() != Some(b'"') {
                return Err(self.error("a key in double quotes is expected"));
            }
            let key = self.string()?;
            self.skip_blanks()?;
            if !self.eat(b':') {
                return Err(self.error("a `:` is expected after a key"));
            }
            let value = self.value(depth)?;
            insert(&mut entries, key, key_at, value)?;
            if self.ends(b'}', "a `,` or `}` is expected")? {
                return self.builder.map(at, entries);
            }
        }
    }

    fn list(&mut self, depth: usize, at: Place) -> Result<Node<'a>, Error> {
        self.builder.check_depth(depth, at)?;
        self.at += 1;
        let mut items = Vec::new();
        self.skip_blanks()?;
        if self.eat(b']') {
            return self.builder.list(at, items);
        }
        loop {
            items.push(self.value(depth)?);
            if self.ends(b']', "a `,` or `]` is expected")? {
                return self.builder.list(at, items);
            }
        }
    }

    /// Returns true if the list or map ends after this element; otherwise the next element begins here.
    fn ends(&mut self, bracket: u8, expected: &str) -> Result<bool, Error> {
        self.skip_blanks()?;
        if self.eat(bracket) {
            return Ok(true);
        }
        if !self.eat(b',') {
            return Err(self.error(expected));
        }
        self.skip_blanks()?;
        Ok(self.format == Format::Jsonc && self.eat(bracket))
    }

    fn string(&mut self) -> Result<Cow<'a, str>, Error> {
        let text = self.text;
        let inside = &text.as_bytes()[self.at + 1..];
        let mut end = 0;
        let mut escapes = false;
        loop {
            let Some(found) = inside.get(end..).and_then(|rest| memchr::memchr2(b'"', b'\\', rest)) else {
                return Err(match first_control(inside) {
                    Some(control) => self.control(control),
                    None => self.error("this string does not end"),
                });
            };
            end += found;
            if inside[end] == b'"' {
                break;
            }
            escapes = true;
            end += 2;
        }
        if let Some(control) = first_control(&inside[..end]) {
            return Err(self.control(control));
        }
        let start = self.at + 1;
        let string = if escapes {
            let quoted = &text[self.at..=start + end];
            let read =
                serde_json::from_str(quoted).map_err(|_| self.error("this string has an invalid escape"));
            Cow::Owned(read?)
        } else {
            Cow::Borrowed(&text[start..start + end])
        };
        self.at = start + end + 1;
        Ok(string)
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    /// Past white space and, in JSONC, comments.
    fn skip_blanks(&mut self) -> Result<(), Error> {
        loop {
            while let Some(b' ' | b'\t' | b'\n' | b'\r') = self.peek() {
                self.at += 1;
            }
            if self.format != Format::Jsonc || self.peek() != Some(b'/') {
                return Ok(());
            }
            let rest = &self.text[self.at..];
            let length = if rest.starts_with("//") {
                rest.find('\n').unwrap_or(rest.len())
            } else if let Some(comment) = rest.strip_prefix("/*") {
                comment.find("*/").ok_or_else(|| self.error("this comment does not end"))? + 4
            } else {
                return Ok(());
            };
            self.at += length;
        }
    }

    fn control(&mut self, offset: usize) -> Error {
        self.at += 1 + offset;
        self.error("a control character in a string must be escaped")
    }

    fn error(&self, why: &str) -> Error {
        let comment = self.format == Format::Json && self.peek() == Some(b'/');
        let why = if comment {
            "JSON has no comments; if this is meant to be JSONC, say so as the format"
        } else {
            why
        };
        malformed(self.format, self.lines.place(self.at), why)
    }
}

/// The first control character of a string; most have none, which is soon seen.
fn first_control(bytes: &[u8]) -> Option<usize> {
    let least = bytes.iter().fold(0xff, |least, byte| least.min(*byte));
    if least < 0x20 { bytes.iter().position(|b| *b < 0x20) } else { None }
}

fn malformed(format: Format, at: Place, why: &str) -> Error {
    Error::Malformed { format, at, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use crate::Format::{Json, Jsonc};
    use crate::parse::tests::{check, check_error};

    #[test]
    fn every_leaf_gets_a_path() {
        check(
            Json,
            r#"{"a":{"b":[1,{"c":null}]},"d.e":true,"":[],"f":{}}"#,
            &[(r#""""#, "[]"), (r#""d.e""#, "true"), ("a.b[0]", "1"), ("a.b[1].c", "null"), ("f", "{}")],
        );
        check(Json, "\u{feff} 5 ", &[("", "5")]);
        check(Json, "[[\"\\ud83d\\ude00\"]]", &[("[0][0]", "\"😀\"")]);
        check(Json, " \n", &[]);
    }

    #[test]
    fn numbers_keep_their_spelling() {
        check(
            Json,
            "[18446744073709551616, 1.50, -0, 1E3, 1e-07]",
            &[
                ("[0]", "18446744073709551616"),
                ("[1]", "1.50"),
                ("[2]", "-0"),
                ("[3]", "1E3"),
                ("[4]", "1e-07"),
            ],
        );
    }

    #[test]
    fn a_private_key_of_serde_json_is_a_key_like_any_other() {
        check(Json, r#"{"$serde_json::private::Number":"x"}"#, &[("$serde_json::private::Number", "\"x\"")]);
    }

    #[test]
    fn errors_name_the_place() {
        for (text, code, line, column) in [
            ("{\"a\": 1,\n \"a\": 2}", "duplicate-key", 2, 2),
            ("{\"a\": 1, \"\\u0061\": 2}", "duplicate-key", 1, 10),
            ("{\"b\": {\n\"ghp_hunter2hunter2hunter2\": 1}}", "secret-in-key", 2, 1),
            ("{\"ä\": hunter2}", "malformed-document", 1, 7),
            ("{\"a\" 1}", "malformed-document", 1, 6),
            ("[1,]", "malformed-document", 1, 4),
            ("[1,//\n2]", "malformed-document", 1, 4),
            ("/* x */ 1", "malformed-document", 1, 1),
            ("[1 2]", "malformed-document", 1, 4),
            ("[007]", "malformed-document", 1, 2),
            ("{} x", "malformed-document", 1, 4),
            ("[\"hunter2", "malformed-document", 1, 2),
            ("[\"\\x\"]", "malformed-document", 1, 2),
            ("[\"\\ud800\"]", "malformed-document", 1, 2),
            ("[\"a\nb\"]", "malformed-document", 1, 4),
            ("{", "malformed-document", 1, 2),
            ("\"\\", "malformed-document", 1, 1),
        ] {
            check_error(Json, text, code, line, column);
        }
    }

    #[test]
    fn comments_and_trailing_commas_are_jsonc() {
        check(
            Jsonc,
            "// a\n{ /* b, \" */ \"a\" // c\n : /**/ [1, 2e3, // d\n ], \"u\": \"http://x/*y*/\",\n}// e",
            &[("a[0]", "1"), ("a[1]", "2e3"), ("u", "\"http://x/*y*/\"")],
        );
        check(Jsonc, "// nothing\n/* at all */", &[]);
        for (text, line, column) in [
            ("{,}", 1, 2),
            ("[1,,]", 1, 4),
            ("[1 /]", 1, 4),
            ("[1, /* hunter2", 1, 5),
            ("[/*/ 1]", 1, 2),
            ("{\"a\": 1 // }", 1, 13),
        ] {
            check_error(Jsonc, text, "malformed-document", line, column);
        }
    }

    #[test]
    fn deep_nesting_is_refused() {
        check_error(Json, &"[".repeat(100_000), "too-deep", 1, 129);
        check_error(Json, &"{\"a\":".repeat(100_000), "too-deep", 1, 641);
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[a.\\[\\]\"= *]{0,2}|.", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    fn leaves(value: &Value) -> usize {
        match value {
            Value::Array(items) if !items.is_empty() => items.iter().map(leaves).sum(),
            Value::Object(map) if !map.is_empty() => map.values().map(leaves).sum(),
            _ => 1,
        }
    }

    proptest! {
        #[test]
        fn no_two_leaves_share_a_path(value in value()) {
            let limits = crate::Limits::default();
            let text = value.to_string();
            let doc = crate::parse(text.as_bytes(), Json, &limits).unwrap();
            prop_assert_eq!(doc.config.len(), leaves(&value));
            prop_assert!(doc.config.keys().all(|path| path.parse::<crate::Path>().is_ok()));
        }

        #[test]
        fn what_serde_json_refuses_is_refused(text in "[\\[\\]{}:,\" \\\\0-9a-fnrtu.eE+-]{0,12}") {
            let ours = crate::parse(text.as_bytes(), Json, &crate::Limits::default());
            let theirs = serde_json::from_str::<Value>(&text);
            let duplicate = matches!(&ours, Err(error) if error.code() == "duplicate-key");
            prop_assert!(text.trim().is_empty() || duplicate || ours.is_ok() == theirs.is_ok(), "{text}");
        }
    }
}
