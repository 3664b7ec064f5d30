//! YAML 1.2, core schema, with the merge keys of 1.1.
//!
//! Built on the events of `saphyr-parser`, which keep the spelling of scalars and know their places. Lists and maps
//! that an alias names again are shared and not copied, so a billion laughs stay small until they are made flat,
//! where they are counted.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Tag};
use serde_json::Value;

use super::number::lenient_number;
use crate::lines::Place;
use crate::tree::{Builder, Entries, Kind, Node, insert};
use crate::{Error, Format, Limits, Note};

/// Reads a stream of YAML documents. More than one become a list; documents without content do not count.
pub(super) fn read<'a>(
    text: &'a str,
    limits: &Limits,
    notes: &mut Vec<Note>,
) -> Result<Option<Node<'a>>, Error> {
    let mut reader = Reader {
        builder: Builder::new(limits),
        merged_twice: None,
        anchors: HashMap::new(),
        open: Vec::new(),
        documents: Vec::new(),
    };
    for event in Parser::new_from_str(text) {
        // The parser's messages are fixed sentences and quote nothing but a reserved indicator.
        let (event, span) = event.map_err(|error| match error.info() {
            "recursion limit exceeded" => Error::TooDeep { limit: limits.depth, at: place(error.marker()) },
            why => malformed(place(error.marker()), why),
        })?;
        reader.take(event, place(&span.start))?;
    }
    let Reader { mut builder, mut documents, merged_twice, .. } = reader;
    notes.extend(merged_twice.map(|line| Note::MergedTwice { line }));
    match documents.len() {
        0 | 1 => Ok(documents.pop()),
        _ => builder.list(Place { line: 1, column: 1 }, documents).map(Some),
    }
}

/// The text with blanks for the tabs between a key's colon and its value, which YAML allows and the parser does not.
///
/// The parser says where it misses a blank, so that no tab of a text block is touched. It starts anew each time, so that the
/// work is bounded.
pub(super) fn with_blanks(text: &str) -> Cow<'_, str> {
    const MOST: usize = 32 << 20;
    if memchr::memmem::find(text.as_bytes(), b":\t").is_none() {
        return Cow::Borrowed(text);
    }
    let mut text = Cow::Borrowed(text);
    let mut left = MOST;
    while let Some(rest) = left.checked_sub(text.len()) {
        left = rest;
        let error = Parser::new_from_str(&text).find_map(|event| event.err());
        let Some(error) = error.filter(|error| error.info().starts_with("':' must be followed by")) else {
            break;
        };
        let line =
            text.split_inclusive('\n').take(error.marker().line().saturating_sub(1)).map(str::len).sum();
        let column: usize = text[line..].chars().take(error.marker().col()).map(char::len_utf8).sum();
        let before = text[..line + column].trim_end_matches(['\t', ' ']);
        let blanks = before.len()..line + column;
        if !before.ends_with(':') || blanks.is_empty() || !text[blanks.clone()].contains('\t') {
            break;
        }
        let spaces = " ".repeat(blanks.len());
        text.to_mut().replace_range(blanks, &spaces);
    }
    text
}

struct Reader<'a> {
    builder: Builder,
    anchors: HashMap<usize, Node<'a>>,
    open: Vec<Open<'a>>,
    documents: Vec<Node<'a>>,
    /// The line of the first `<<` that is not the first of its map.
    merged_twice: Option<u64>,
}

/// A list or map whose end has not come yet.
struct Open<'a> {
    at: Place,
    label: Label<'a>,
    kind: OpenKind<'a>,
}

enum OpenKind<'a> {
    List(Vec<Node<'a>>),
    Map { entries: Entries<'a>, key: Option<Key<'a>>, merges: Vec<Node<'a>> },
}

/// A key that waits for its value.
enum Key<'a> {
    Plain(Cow<'a, str>, Place),
    Merge,
}

/// The anchor and the tag of a node. Anchor 0 means that it has none.
#[derive(Default)]
struct Label<'a> {
    anchor: usize,
    tag: Option<Cow<'a, Tag>>,
}

impl<'a> Reader<'a> {
    fn take(&mut self, event: Event<'a>, at: Place) -> Result<(), Error> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                if let Some(key) = self.awaited_key() {
                    let merges = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                    *key = Some(if merges { Key::Merge } else { Key::Plain(text.clone(), at) });
                    if anchor > 0 {
                        let leaf = self.builder.leaf(at, Value::from(text))?.shared();
                        self.anchors.insert(anchor, leaf);
                    }
                    return Ok(());
                }
                let absent = text.is_empty() && style == ScalarStyle::Plain && tag.is_none() && anchor == 0;
                if absent && self.open.is_empty() {
                    return Ok(());
                }
                let leaf = self.builder.leaf(at, resolve(&text, style, tag.as_deref()))?;
                self.finish(leaf, at, Label { anchor, tag })
            }
            Event::Alias(anchor) => {
                let inside = || malformed(at, "an alias stands inside the list or map it refers to");
                let tree = self.anchors.get(&anchor).cloned().ok_or_else(inside)?;
                self.builder.pay(1, at)?;
                if let Some(key) = self.awaited_key() {
                    *key = Some(Key::Plain(scalar_text(&tree).ok_or_else(|| bad_key(at))?.into(), at));
                    return Ok(());
                }
                self.finish(tree, at, Label::default())
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(at, Label { anchor, tag }, OpenKind::List(Vec::new()))
            }
            Event::MappingStart(anchor, tag) => {
                let kind = OpenKind::Map { entries: Entries::new(), key: None, merges: Vec::new() };
                self.open(at, Label { anchor, tag }, kind)
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(Open { at, label, kind }) = self.open.pop() else { return Ok(()) };
                let tree = match kind {
                    OpenKind::List(items) => self.builder.list(at, items)?,
                    OpenKind::Map { entries, merges, .. } => {
                        let entries = self.merged(entries, merges, at)?;
                        self.builder.map(at, entries)?
                    }
                };
                self.finish(tree, at, label)
            }
            Event::DocumentEnd => {
                self.anchors.clear();
                Ok(())
            }
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => Ok(()),
        }
    }

    /// The place of the next key, if the innermost open thing is a map that waits for one.
    fn awaited_key(&mut self) -> Option<&mut Option<Key<'a>>> {
        match &mut self.open.last_mut()?.kind {
            OpenKind::Map { key: key @ None, .. } => Some(key),
            _ => None,
        }
    }

    fn open(&mut self, at: Place, label: Label<'a>, kind: OpenKind<'a>) -> Result<(), Error> {
        if self.awaited_key().is_some() {
            return Err(bad_key(at));
        }
        self.builder.check_depth(self.open.len() + 1, at)?;
        self.open.push(Open { at, label, kind });
        Ok(())
    }

    /// Puts a node where it belongs.
    fn finish(&mut self, tree: Node<'a>, at: Place, label: Label<'a>) -> Result<(), Error> {
        let tree = match label.tag.filter(|tag| !tag.is_yaml_core_schema() && !is_non_specific(tag)) {
            // A tag of one's own means something, as in `!Ref name`: it stands as a map of one key.
            Some(tag) => self.builder.map(at, Entries::from([(tag.to_string().into(), tree)]))?,
            None => tree,
        };
        // Not only what has an anchor: a merge key takes over what stands below one.
        let tree = tree.shared();
        if label.anchor > 0 {
            self.anchors.insert(label.anchor, tree.clone());
        }
        match self.open.last_mut().map(|open| &mut open.kind) {
            None => self.documents.push(tree),
            Some(OpenKind::List(items)) => items.push(tree),
            Some(OpenKind::Map { entries, key, merges }) => match key.take() {
                Some(Key::Plain(key, key_at)) => insert(entries, key, key_at, tree)?,
                Some(Key::Merge) => {
                    let is_second = merges.len() == 1;
                    merges.push(tree);
                    if is_second && self.merged_twice.is_none() {
                        self.merged_twice = Some(at.line);
                    }
                }
                None => {}
            },
        }
        Ok(())
    }

    /// A map with what its merge keys bring in; its own entries win, then those of a later key, and of one key those of the earlier
    /// map.
    fn merged(
        &mut self,
        mut entries: Entries<'a>,
        merges: Vec<Node<'a>>,
        at: Place,
    ) -> Result<Entries<'a>, Error> {
        for merge in merges.into_iter().rev() {
            let maps = match merge.kind() {
                Kind::List(maps) => maps.as_slice(),
                _ => std::slice::from_ref(&merge),
            };
            for map in maps {
                let Kind::Map(merged) = map.kind() else {
                    return Err(malformed(at, "`<<` takes a map or a list of maps"));
                };
                self.builder.pay(merged.len() + 1, at)?;
                for (key, value) in merged {
                    entries.entry(key.clone()).or_insert_with(|| value.clone());
                }
            }
        }
        Ok(entries)
    }
}

/// The value of a scalar by the core schema.
fn resolve(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    let plain = match tag {
        None => style == ScalarStyle::Plain,
        Some(tag) if tag.is_yaml_core_schema() => {
            matches!(tag.suffix.as_str(), "int" | "float" | "bool" | "null")
        }
        Some(tag) => !is_non_specific(tag) && style == ScalarStyle::Plain,
    };
    match text {
        _ if !plain => Value::from(text),
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::from(true),
        "false" | "False" | "FALSE" => Value::from(false),
        _ if text.starts_with("0b") => Value::from(text),
        _ => lenient_number(text).unwrap_or_else(|| Value::from(text)),
    }
}

/// Returns true for the lone tag `!`, which makes a scalar a string.
fn is_non_specific(tag: &Tag) -> bool {
    tag.handle.is_empty() && tag.suffix == "!"
}

/// The text of a scalar that an alias puts in the place of a key.
fn scalar_text(tree: &Node<'_>) -> Option<String> {
    match tree.kind() {
        Kind::Leaf(Value::String(text)) => Some(text.clone()),
        Kind::Leaf(value) => Some(value.to_string()),
        _ => None,
    }
}

fn place(marker: &Marker) -> Place {
    Place { line: marker.line().max(1) as u64, column: marker.col() as u64 + 1 }
}

fn bad_key(at: Place) -> Error {
    malformed(at, "a key must be a scalar")
}

fn malformed(at: Place, why: &str) -> Error {
    Error::Malformed { format: Format::Yaml, at, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::Format::Yaml;
    use crate::parse::tests::{check, check_error};
    use crate::{Limits, parse};

    #[test]
    fn the_core_schema_and_nothing_more() {
        check(
            Yaml,
            "no: no\nyes: Yes\nt: True\nn: ~\nempty:\nday: 2026-11-20\noctal: 0o17\nold: 0755\nhex: 0x1F\n\
             plus: +1\npoint: .5\nbig: 18446744073709551616\nprice: 1.50\nsep: 1_000\ninf: .inf\nquoted: \"5\"\n\
             version: 1.2.3\nstr: !!str 5\nint: !!int \"5\"\nbin: 0b1\n",
            &[
                ("big", "18446744073709551616"),
                ("bin", "\"0b1\""),
                ("day", "\"2026-11-20\""),
                ("empty", "null"),
                ("hex", "31"),
                ("inf", "\".inf\""),
                ("int", "5"),
                ("n", "null"),
                ("no", "\"no\""),
                ("octal", "15"),
                ("old", "\"0755\""),
                ("plus", "1"),
                ("point", "0.5"),
                ("price", "1.50"),
                ("quoted", "\"5\""),
                ("sep", "\"1_000\""),
                ("str", "\"5\""),
                ("t", "true"),
                ("version", "\"1.2.3\""),
                ("yes", "\"Yes\""),
            ],
        );
    }

    #[test]
    fn aliases_and_merge_keys_are_expanded() {
        check(
            Yaml,
            "base: &b {x: 1, y: [1]}\nmore: &m {x: 9, z: 3}\nown: {<<: [*b, *m], y: 2}\nagain: *b\n&k key: *k\n",
            &[
                ("again.x", "1"),
                ("again.y[0]", "1"),
                ("base.x", "1"),
                ("base.y[0]", "1"),
                ("key", "\"key\""),
                ("more.x", "9"),
                ("more.z", "3"),
                ("own.x", "1"),
                ("own.y", "2"),
                ("own.z", "3"),
            ],
        );
        check(Yaml, "\"<<\": {a: 1}", &[("<<.a", "1")]);
        // Of several keys the later wins, as in PyYAML and Ruby; of one key's list the earlier.
        check(
            Yaml,
            "a: &a {x: 1, y: 1}\nb: &b {x: 2, z: 2}\nm: {<<: *a, <<: *b, z: 0}\n",
            &[
                ("a.x", "1"),
                ("a.y", "1"),
                ("b.x", "2"),
                ("b.z", "2"),
                ("m.x", "2"),
                ("m.y", "1"),
                ("m.z", "0"),
            ],
        );
    }

    #[test]
    fn streams_tags_and_nothing() {
        check(Yaml, "a: 1\n---\n# nothing\n---\nb: 2\n", &[("[0].a", "1"), ("[1].b", "2")]);
        check(Yaml, "---\na: 1\n---\n", &[("a", "1")]);
        check(Yaml, "# only a comment\n", &[]);
        check(Yaml, "---\n", &[]);
        check(Yaml, "~", &[("", "null")]);
        check(
            Yaml,
            "v: !Ref name\nl: !Join [a]\nx: ! 5\n",
            &[("l.!Join[0]", "\"a\""), ("v.!Ref", "\"name\""), ("x", "\"5\"")],
        );
        check(
            Yaml,
            "text: |\n  a\n   b\n1: x\na.b: {}\n",
            &[("\"a.b\"", "{}"), ("1", "\"x\""), ("text", "\"a\\n b\\n\"")],
        );
    }

    #[test]
    fn lines_are_those_of_the_values() {
        let doc = parse(b"a:\n  - 1\n  - b: 2\n", Yaml, &Limits::default()).unwrap();
        assert_eq!(doc.lines.into_values().collect::<Vec<_>>(), [2, 3]);
    }

    #[test]
    fn errors_name_the_place() {
        for (text, code, line, column) in [
            ("a: 1\nb: 2\na: 3", "duplicate-key", 3, 1),
            ("a:\n  ghp_hunter2hunter2hunter2: b", "secret-in-key", 2, 3),
            ("1: a\n\"1\": b", "duplicate-key", 2, 1),
            ("a: &a [*a]", "malformed-document", 1, 8),
            ("a: &a\n  <<: *a\n", "malformed-document", 2, 7),
            ("a: *nowhere", "malformed-document", 1, 4),
            ("[a]: 1", "malformed-document", 1, 1),
            ("a: {<<: 5}", "malformed-document", 1, 4),
            ("a: b: hunter2", "malformed-document", 1, 5),
            ("a: 'hunter2", "malformed-document", 1, 4),
            ("a:\n\t- hunter2", "malformed-document", 2, 2),
        ] {
            check_error(Yaml, text, code, line, column);
        }
    }

    fn code(text: &str) -> &'static str {
        let limits = Limits { bytes: 8 << 20, fields: 100_000, ..Limits::default() };
        parse(text.as_bytes(), Yaml, &limits).map(|_| "fine").unwrap_or_else(|e| e.code())
    }

    #[test]
    fn bombs_do_not_go_off() {
        let levels = |leaf: &str, item: fn(usize) -> String| {
            let level = |n: usize| format!("l{n}: &l{n} {}\n", item(n - 1));
            format!("l0: &l0 {leaf}\n{}", (1..40).map(level).collect::<String>())
        };
        let ten = |n: usize| format!("[{}]", vec![format!("*l{n}"); 10].join(","));
        assert_eq!(code(&levels("lol", ten)), "too-many-fields");
        assert_eq!(code(&levels(&"x".repeat(100_000), ten)), "too-large");
        let merges = |n: usize| format!("{{k{n}: 1, <<: [{}]}}", vec![format!("*l{n}"); 100].join(","));
        assert_eq!(code(&levels("{a: 1}", merges)), "fine");
        let wide = (0..1_000).map(|n| format!("k{n}: 1\n")).collect::<String>();
        let many =
            format!("a: &a\n  {}b: {{<<: [{}]}}", wide.replace('\n', "\n  "), vec!["*a"; 1_000].join(","));
        assert_eq!(code(&many.replace("  b:", "b:")), "too-many-fields");
        let chain = (1..10_000).map(|n| format!("- &l{n} [*l{}]\n", n - 1)).collect::<String>();
        assert_eq!(code(&format!("- &l0 x\n{chain}")), "too-deep");
    }

    #[test]
    fn deep_nesting_is_refused() {
        for text in [
            "[".repeat(100_000),
            "{a: ".repeat(100_000),
            "- ".repeat(100_000),
            "? ".repeat(100_000),
            (0..2_000).map(|n| format!("{}a:\n", " ".repeat(n))).collect(),
        ] {
            let code = code(&text);
            assert!(code == "too-deep" || code == "malformed-document", "{code}");
        }
    }
}
