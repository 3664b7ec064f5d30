//! Paths, the names of fields: `servers[name=api].ports[0]`, with `"a.b"` for a key that would not read back
//! bare.
//!
//! ```text
//! path    = "" | first step*
//! first   = key | bracket
//! step    = "." key | bracket
//! bracket = "[" index "]" | "[" key "=" value "]"
//! ```
//!
//! A key or value is bare, or a JSON string. The empty path is the document itself.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use crate::Error;

/// A path as the steps it takes from the document's root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Path(pub Vec<Segment>);

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Segment {
    /// Into a map.
    Key(String),
    /// Into a list, by position.
    Index(usize),
    /// Into a list, to the map whose `key` is `value`.
    Keyed {
        /// The key that tells the elements apart: `name`, `metadata.name`, `kind,metadata.name`.
        key: String,
        /// The text of its value.
        value: String,
    },
}

impl Segment {
    /// Appends the step to a printed path.
    pub(crate) fn print(&self, path: &mut String) {
        match self {
            Segment::Key(key) => {
                if !path.is_empty() {
                    path.push('.');
                }
                print_part(path, key, &['.', '[', ']', '"', '*']);
            }
            // Writing to a string cannot fail.
            Segment::Index(index) => drop(write!(path, "[{index}]")),
            Segment::Keyed { key, value } => print_keyed(path, key, value),
        }
    }
}

/// Appends the step to the element whose `key` is `value`.
pub(crate) fn print_keyed(path: &mut String, key: &str, value: &str) {
    path.push('[');
    print_part(path, key, &['[', ']', '"', '*', '=']);
    path.push('=');
    print_part(path, value, &['[', ']', '"', '*']);
    path.push(']');
}

fn print_part(path: &mut String, text: &str, special: &[char]) {
    let bare = |c: char| !special.contains(&c) && !c.is_whitespace() && !c.is_control();
    // Most keys are such words, and every key of every document is asked for.
    let is_word = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if !text.is_empty() && (is_word || text.chars().all(bare)) {
        path.push_str(text);
    } else {
        path.push_str(&serde_json::Value::from(text).to_string());
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        for segment in &self.0 {
            segment.print(&mut text);
        }
        f.pad(&text)
    }
}

impl FromStr for Path {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let steps = steps(text)?.into_iter().map(|(column, step)| match step {
            Step::Key(key) => Ok(Segment::Key(key.text)),
            Step::Keyed(key, value) => Ok(Segment::Keyed { key: key.text, value: value.text }),
            Step::Bracket(index) => parse_index(&index)
                .map(Segment::Index)
                .ok_or(Error::BadPath { column, why: "a number or `key=value` belongs between brackets" }),
        });
        steps.collect::<Result<_, _>>().map(Path)
    }
}

impl Path {
    /// Reads a path back from its text.
    pub fn parse(text: &str) -> Result<Path, Error> {
        text.parse()
    }
}

/// Reads a path. If it does not parse (a section of a text, a key of a foreign snapshot), it becomes a single
/// key.
pub(crate) fn lenient(path: &str) -> Path {
    path.parse().unwrap_or_else(|_| Path(vec![Segment::Key(path.to_owned())]))
}

/// A key, value or index as it was written; quotes make it literal in a pattern.
pub(crate) struct Part {
    pub text: String,
    pub quoted: bool,
}

/// A step as it was written, before a path or a pattern gives it its meaning.
pub(crate) enum Step {
    Key(Part),
    Bracket(Part),
    Keyed(Part, Part),
}

/// The index between brackets, spelled as rig spells it.
pub(crate) fn parse_index(part: &Part) -> Option<usize> {
    let canonical = !part.quoted && part.text.bytes().all(|b| b.is_ascii_digit());
    let leading_zero = part.text.len() > 1 && part.text.starts_with('0');
    (canonical && !leading_zero).then(|| part.text.parse().ok()).flatten()
}

/// Splits a path or pattern into steps, each with its column.
pub(crate) fn steps(text: &str) -> Result<Vec<(u64, Step)>, Error> {
    let mut reader = Reader { text, at: 0 };
    let mut steps = Vec::new();
    while reader.at < text.len() {
        let column = reader.column();
        if reader.eat('[') {
            let part = reader.part(&['[', ']', '='])?;
            let step = if reader.eat('=') {
                Step::Keyed(part, reader.part(&['[', ']'])?)
            } else {
                Step::Bracket(part)
            };
            if !reader.eat(']') {
                return Err(reader.error("a `]` is missing"));
            }
            steps.push((column, step));
        } else {
            if !steps.is_empty() && !reader.eat('.') {
                return Err(reader.error("a `.` or `[` belongs between two steps"));
            }
            steps.push((column, Step::Key(reader.part(&['.', '[', ']'])?)));
        }
    }
    Ok(steps)
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.rest().starts_with(c);
        if found {
            self.at += c.len_utf8();
        }
        found
    }

    fn part(&mut self, ends: &[char]) -> Result<Part, Error> {
        if self.rest().starts_with('"') {
            return self.quoted();
        }
        let end = self.rest().find(|c: char| ends.contains(&c) || c == '"').unwrap_or(self.rest().len());
        let text = self.rest()[..end].to_owned();
        if text.is_empty() {
            return Err(self.error("a key is missing; an empty one is written \"\""));
        }
        self.at += end;
        Ok(Part { text, quoted: false })
    }

    fn quoted(&mut self) -> Result<Part, Error> {
        let mut strings = serde_json::Deserializer::from_str(self.rest()).into_iter::<String>();
        match strings.next() {
            Some(Ok(text)) => {
                self.at += strings.byte_offset();
                Ok(Part { text, quoted: true })
            }
            _ => Err(self.error("the quoted key is not a JSON string")),
        }
    }

    fn column(&self) -> u64 {
        self.text[..self.at].chars().count() as u64 + 1
    }

    fn error(&self, why: &'static str) -> Error {
        Error::BadPath { column: self.column(), why }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(text: &str, segments: &[Segment]) {
        let path = Path(segments.to_vec());
        assert_eq!(path.to_string(), text);
        assert_eq!(text.parse::<Path>().unwrap(), path);
    }

    fn key(text: &str) -> Segment {
        Segment::Key(text.into())
    }

    #[test]
    fn paths_read_as_they_print() {
        check("", &[]);
        check("\"\"", &[key("")]);
        check("database.host", &[key("database"), key("host")]);
        check("servers[0].port", &[key("servers"), Segment::Index(0), key("port")]);
        check("[3][1]", &[Segment::Index(3), Segment::Index(1)]);
        check("\"a.b\".c", &[key("a.b"), key("c")]);
        check(r#""say \"hi\"""#, &[key("say \"hi\"")]);
        check("\"*\"", &[key("*")]);
        check("ünï", &[key("ünï")]);
        let keyed = |k: &str, v: &str| Segment::Keyed { key: k.into(), value: v.into() };
        check("servers[name=api].port", &[key("servers"), keyed("name", "api"), key("port")]);
        check("s[name=v1.2=3]", &[key("s"), keyed("name", "v1.2=3")]);
        check(
            "s[kind,metadata.name=Pod,web].x",
            &[key("s"), keyed("kind,metadata.name", "Pod,web"), key("x")],
        );
        check(r#"s["a=b"="x]y"]"#, &[key("s"), keyed("a=b", "x]y")]);
    }

    #[test]
    fn what_is_no_path_is_refused_with_its_column() {
        for (text, column) in [
            (".", 1),
            ("a.", 3),
            ("a..b", 3),
            ("a[", 3),
            ("a[x]", 2),
            ("a[007]", 2),
            ("a[0]b", 5),
            ("ä\"b", 2),
        ] {
            let error = text.parse::<Path>().unwrap_err();
            assert_eq!((error.code(), error.column()), ("bad-path", Some(column)), "{text}: {error}");
        }
    }

    fn segment() -> impl Strategy<Value = Segment> {
        let text = || prop_oneof![any::<String>(), "[a-c.\\[\\]\"= *\\\\\n]{0,4}"];
        prop_oneof![
            text().prop_map(Segment::Key),
            any::<usize>().prop_map(Segment::Index),
            (text(), text()).prop_map(|(key, value)| Segment::Keyed { key, value }),
        ]
    }

    proptest! {
        #[test]
        fn any_path_survives_printing(segments in prop::collection::vec(segment(), 0..6)) {
            let path = Path(segments);
            prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
        }

        #[test]
        fn any_text_is_a_path_or_an_error(text in any::<String>()) {
            let _ = text.parse::<Path>();
        }
    }
}
