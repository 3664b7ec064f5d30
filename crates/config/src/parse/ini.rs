//! INI: sections in brackets, keys with values, comments; read as the program reads it that the file is for ([`Dialect`]).
//!
//! Its own reader, since `rust-ini` knows one dialect, takes a line without `=` for the beginning of the next line's key, and cannot
//! say where a key stands.

use std::collections::HashMap;
use std::iter::{Enumerate, Peekable};
use std::str::Lines;

use serde_json::Value;

use super::dialect::{Bare, Dialect, GoesOn, Inline, Quotes, Repeated, Shape};
use super::{note_repeated, unquoted};
use crate::flatten::Flattener;
use crate::lines::Place;
use crate::notes::Taken;
use crate::path::Segment;
use crate::shown::shown;
use crate::{Error, Format, Limits, Note, secrets};

/// Reads an INI document.
pub(super) fn read(
    text: &str,
    dialect: &'static Dialect,
    limits: &Limits,
    fields: &mut Flattener<'_>,
    notes: &mut Vec<Note>,
) -> Result<(), Error> {
    let mut reader = Reader {
        dialect,
        most: limits.fields,
        lines: text.lines().enumerate().peekable(),
        sections: vec![Section { steps: Vec::new(), at: Place { line: 1, column: 1 }, fields: 0 }],
        braces: Vec::new(),
        fields: Vec::new(),
    };
    while let Some((index, line)) = reader.lines.next() {
        let at = Place { line: index as u64 + 1, column: indent_of(line) as u64 + 1 };
        reader.line(line, at)?;
    }
    if let Some((_, at)) = reader.braces.last() {
        return Err(malformed(*at, "this `{` is not closed"));
    }
    reader.finish(fields, notes)
}

struct Reader<'a> {
    dialect: &'static Dialect,
    /// Maximum number of fields.
    most: usize,
    lines: Peekable<Enumerate<Lines<'a>>>,
    /// The sections as they stand; the first is what stands before any.
    sections: Vec<Section>,
    /// The keys whose `{` is open.
    braces: Vec<(String, Place)>,
    fields: Vec<Field>,
}

struct Section {
    steps: Vec<String>,
    at: Place,
    fields: usize,
}

struct Field {
    section: usize,
    steps: Vec<String>,
    value: Value,
    at: Place,
    /// True if it is an element of a list, also alone: `key[]`, or an instruction.
    is_listed: bool,
}

impl<'a> Reader<'a> {
    fn line(&mut self, line: &'a str, at: Place) -> Result<(), Error> {
        let content = line.trim();
        if self.is_comment(content) {
            return Ok(());
        }
        if let Some(rest) = content.strip_prefix('[').filter(|_| self.braces.is_empty()) {
            return self.section(rest, at);
        }
        let word = content.split(char::is_whitespace).next().unwrap_or_default();
        if self.dialect.instructions.contains(&word) && !content[word.len()..].trim_start().starts_with('=') {
            let value = Value::from(content[word.len()..].trim());
            return self.field(vec![word.to_owned()], value, at, true);
        }
        match self.dialect.shape {
            Shape::Hosts if !self.is_of_variables() => self.host(content, at),
            Shape::Braces if content.trim_end_matches('*').trim_end() == "}" => match self.braces.pop() {
                Some(_) => Ok(()),
                None => Err(malformed(at, "this `}` closes nothing")),
            },
            _ => self.entry(content, indent_of(line), at),
        }
    }

    fn section(&mut self, rest: &'a str, at: Place) -> Result<(), Error> {
        let missing = || malformed(at, "a section's `]` is missing");
        if self.dialect.shape == Shape::Git {
            let (steps, behind) = git_section(rest).ok_or_else(missing)?;
            self.open(steps, at)?;
            // A key may follow on the line.
            return match behind.trim() {
                behind if self.is_comment(behind) => Ok(()),
                behind => self.entry(behind, 0, at),
            };
        }
        let (name, behind) = rest.rsplit_once(']').ok_or_else(missing)?;
        // A bracket may also stand in a comment behind.
        let (name, behind) = match rest.split_once(']') {
            Some((name, behind)) if self.is_comment(behind.trim()) => (name, behind),
            _ => (name, behind),
        };
        if !self.is_comment(behind.trim()) {
            return Err(missing());
        }
        self.open(vec![name.trim().to_owned()], at)
    }

    fn open(&mut self, steps: Vec<String>, at: Place) -> Result<(), Error> {
        if self.sections.len() > self.most {
            return Err(Error::TooManyFields { limit: self.most, line: Some(at.line) });
        }
        self.sections.push(Section { steps, at, fields: 0 });
        Ok(())
    }

    fn entry(&mut self, content: &'a str, indent: usize, at: Place) -> Result<(), Error> {
        let dialect = self.dialect;
        let separator = content.find(dialect.separators);
        let Some(separator) = separator else {
            let (key, _) = self.without_comment(content);
            return self.bare(key, at);
        };
        let key = content[..separator].trim();
        // A comment may have the first separator of the line.
        if self.without_comment(content).0.len() < separator {
            return self.bare(self.without_comment(content).0, at);
        }
        if key.is_empty() {
            return Err(malformed(at, "a key is missing"));
        }
        let spelled = &content[separator + 1..];
        let value = match dialect.quotes {
            Quotes::Pieces => self.pieces(spelled),
            Quotes::Kept => self.whole(spelled, indent),
            Quotes::Around => match self.quoted_lines(spelled.trim()) {
                Some(value) => value,
                None => unquoted_around(&self.whole(spelled, indent)),
            },
        };
        if dialect.shape == Shape::Braces && value == "{" {
            self.braces.push((key.to_owned(), at));
            return match self.braces.len() {
                0..=32 => Ok(()),
                _ => Err(Error::TooDeep { limit: 32, at }),
            };
        }
        let (key, is_listed) = match key.strip_suffix("[]") {
            Some(key) if dialect.shape == Shape::Fields => (key.trim_end(), true),
            _ => (key, false),
        };
        let steps = self.braces.iter().map(|(key, _)| key.clone()).chain([self.spelled(key)]).collect();
        self.field(steps, Value::from(value), at, is_listed)
    }

    /// A key without a value.
    fn bare(&mut self, key: &str, at: Place) -> Result<(), Error> {
        let section = self.sections.last().map(|section| section.steps.join("."));
        let value = match self.dialect.bare {
            _ if key.split_whitespace().count() != 1 => None,
            Bare::Null => Some(Value::Null),
            Bare::True => Some(Value::from(true)),
        };
        let value = value.ok_or_else(|| malformed(at, "`key = value` or `[section]` is expected"))?;
        // A list of secrets one a line would be a list of keys.
        if section.is_some_and(|section| secrets::lists_secrets(&section)) {
            return Err(Error::SecretInKey { at });
        }
        let steps = self.braces.iter().map(|(key, _)| key.clone()).chain([self.spelled(key)]).collect();
        self.field(steps, value, at, false)
    }

    /// A line of an inventory: a host and its variables, or the name of a group.
    fn host(&mut self, content: &str, at: Place) -> Result<(), Error> {
        let words = words(content);
        let Some((host, variables)) = words.split_first() else { return Ok(()) };
        if let Some((_, _)) = host.split_once('=') {
            return Err(malformed(at, "a host is expected in front of its variables"));
        }
        let hosts = |reader: &mut Self, steps: Vec<String>, value| reader.field(steps, value, at, false);
        if variables.is_empty() {
            return hosts(self, vec![host.clone()], Value::Null);
        }
        for variable in variables {
            let (key, value) = variable
                .split_once('=')
                .ok_or_else(|| malformed(at, "`key=value` is expected behind a host"))?;
            hosts(self, vec![host.clone(), key.to_owned()], Value::from(value))?;
        }
        Ok(())
    }

    /// Returns true in a section that has variables of a group and no hosts.
    fn is_of_variables(&self) -> bool {
        let section = self.sections.last().and_then(|section| section.steps.last());
        section.is_some_and(|section| section.ends_with(":vars"))
    }

    fn field(&mut self, steps: Vec<String>, value: Value, at: Place, is_listed: bool) -> Result<(), Error> {
        if self.fields.len() >= self.most {
            return Err(Error::TooManyFields { limit: self.most, line: Some(at.line) });
        }
        let section = self.sections.len() - 1;
        self.sections[section].fields += 1;
        self.fields.push(Field { section, steps, value, at, is_listed });
        Ok(())
    }

    /// A key as its reader spells it.
    fn spelled(&self, key: &str) -> String {
        if self.dialect.shape == Shape::Git { key.to_ascii_lowercase() } else { key.to_owned() }
    }

    /// A value in double quotes that end a few lines further on, as PHP has them.
    fn quoted_lines(&mut self, spelled: &str) -> Option<String> {
        const MOST: usize = 200;
        let mut value = spelled.strip_prefix('"').filter(|first| !first.contains('"'))?.to_owned();
        let mut ahead = self.lines.clone();
        for _ in 0..MOST {
            let (_, line) = ahead.next()?;
            if line.trim_start().starts_with('[') {
                return None;
            }
            value.push('\n');
            match line.find('"') {
                None => value.push_str(line),
                Some(end) if line[end + 1..].trim().is_empty() => {
                    value.push_str(&line[..end]);
                    self.lines = ahead;
                    return Some(value);
                }
                Some(_) => return None,
            }
        }
        None
    }

    /// The value behind a separator, with the lines in which it goes on.
    fn whole(&mut self, spelled: &str, indent: usize) -> String {
        let mut value = self.without_comment(spelled.trim()).0.to_owned();
        match self.dialect.goes_on {
            GoesOn::No => {}
            GoesOn::Deeper | GoesOn::DeeperThroughout => self.deeper(&mut value, indent),
            GoesOn::Backslash => {
                while value.ends_with('\\') {
                    let Some((_, next)) = self.lines.next() else { break };
                    value.pop();
                    value.push_str(next.trim());
                }
            }
            GoesOn::BackslashBlank => {
                while value.ends_with('\\') {
                    let Some((_, next)) = self.lines.next() else { break };
                    if !next.trim().is_empty() && self.is_comment(next.trim()) {
                        continue;
                    }
                    value.pop();
                    value.push(' ');
                    value.push_str(next.trim());
                }
            }
        }
        value
    }

    /// Appends the lines that are indented deeper. Comments between them are no part of the value.
    fn deeper(&mut self, value: &mut String, indent: usize) {
        let throughout = self.dialect.goes_on == GoesOn::DeeperThroughout;
        loop {
            let mut ahead = self.lines.clone();
            let (mut blank, mut passed) = (0, 0);
            let next = loop {
                let Some((_, line)) = ahead.next() else { return };
                let content = line.trim();
                if content.is_empty() {
                    blank += 1;
                } else if !self.is_comment(content) {
                    break line;
                }
                passed += 1;
            };
            let content = next.trim();
            let is_entry = content.starts_with('[') || content.contains(self.dialect.separators);
            if indent_of(next) <= indent || (blank > 0 && !throughout && is_entry) {
                return;
            }
            for _ in 0..=passed {
                self.lines.next();
            }
            value.extend(std::iter::repeat_n('\n', if throughout { blank + 1 } else { 1 }));
            value.push_str(self.without_comment(content).0);
        }
    }

    /// A value of git: bare and quoted pieces, with escapes, up to a comment.
    fn pieces(&mut self, spelled: &'a str) -> String {
        let (mut value, mut kept, mut is_quoted) = (String::new(), 0, false);
        let mut chars = spelled.trim_start().chars();
        loop {
            match chars.next() {
                None => break,
                Some('"') => {
                    is_quoted = !is_quoted;
                    kept = value.len();
                }
                Some('#' | ';') if !is_quoted => break,
                Some('\\') => {
                    match chars.next() {
                        None => match self.lines.next() {
                            Some((_, next)) => {
                                chars = next.chars();
                                continue;
                            }
                            None => break,
                        },
                        Some('n') => value.push('\n'),
                        Some('t') => value.push('\t'),
                        Some('b') => value.push('\u{8}'),
                        Some(c) => value.push(c),
                    }
                    kept = value.len();
                }
                Some(c) => {
                    value.push(c);
                    if is_quoted || !c.is_whitespace() {
                        kept = value.len();
                    }
                }
            }
        }
        value.truncate(kept);
        value
    }

    /// Splits off a comment behind a value.
    fn without_comment<'t>(&self, text: &'t str) -> (&'t str, bool) {
        let (marks, blank) = match self.dialect.inline {
            Inline::None => return (text, false),
            Inline::Anywhere(marks) => (marks, false),
            Inline::AfterBlank(marks) => (marks, true),
        };
        let (mut quote, mut before) = (None, ' ');
        for (at, c) in text.char_indices() {
            match quote {
                Some(open) if c == open && before != '\\' => quote = None,
                None if matches!(c, '"' | '\'') && self.dialect.quotes != Quotes::Kept => quote = Some(c),
                None if marks.contains(&c) && (!blank || before.is_whitespace()) => {
                    return (text[..at].trim_end(), true);
                }
                _ => {}
            }
            before = c;
        }
        (text, false)
    }

    fn is_comment(&self, content: &str) -> bool {
        content.is_empty() || content.starts_with(self.dialect.comments)
    }

    /// Adds the fields in the order of the document: what follows the first line of a private key is found by that.
    fn finish(self, fields: &mut Flattener<'_>, notes: &mut Vec<Note>) -> Result<(), Error> {
        let Reader { dialect, sections, fields: read, .. } = self;
        let places = places(&sections, dialect)?;
        let printed = |steps: &[Segment]| {
            let mut path = String::new();
            steps.iter().for_each(|step| step.print(&mut path));
            path
        };
        let path = |field: &Field| {
            let mut steps = places[field.section].clone();
            steps.extend(field.steps.iter().cloned().map(Segment::Key));
            let path = printed(&steps);
            (steps, path)
        };
        // The number of times that a path comes up, and the first of these that counts.
        let mut times = HashMap::<String, (usize, usize)>::new();
        for field in &read {
            let (count, first) = times.entry(path(field).1).or_default();
            if dialect.repeated == Repeated::ListFromEmpty && field.value == "" && *count > 0 {
                *first = *count;
            }
            *count += 1;
        }
        let mut seen = HashMap::<String, usize>::new();
        for field in read {
            let (mut steps, path) = path(&field);
            let (count, first) = times.get(&path).copied().unwrap_or_default();
            let index = seen.entry(path.clone()).or_default();
            let mine = *index;
            *index += 1;
            let is_accumulated = field.is_listed || {
                let key = field.steps.last().map(String::as_str).unwrap_or_default();
                dialect.accumulated.iter().any(|begins| key.starts_with(begins))
            };
            let is_list =
                matches!(dialect.repeated, Repeated::List | Repeated::ListFromEmpty) || is_accumulated;
            if count > 1 && mine == 1 && !field.is_listed {
                if dialect.repeated == Repeated::Refused {
                    return Err(Error::DuplicateKey { key: shown(&path), at: field.at });
                }
                let taken = if is_list { Taken::List } else { Taken::Last };
                note_repeated(notes, dialect.reader, taken, field.at);
            }
            if mine < first {
                continue;
            }
            if is_list && (count > 1 || field.is_listed) {
                steps.push(Segment::Index(mine - first));
            }
            fields.put(&steps, field.value, field.at)?;
        }
        let mut filled = HashMap::<String, bool>::new();
        for (section, steps) in sections.iter().zip(&places) {
            *filled.entry(printed(steps)).or_default() |= section.fields > 0;
        }
        for (section, steps) in sections.iter().zip(&places) {
            if !steps.is_empty() && filled.insert(printed(steps), true) == Some(false) {
                fields.put(steps, Value::Object(serde_json::Map::new()), section.at)?;
            }
        }
        Ok(())
    }
}

/// The path of each section: those that are lists get an index where they stand several times.
fn places(sections: &[Section], dialect: &Dialect) -> Result<Vec<Vec<Segment>>, Error> {
    let mut times = HashMap::<&[String], (usize, usize)>::new();
    for section in sections {
        let (count, _) = times.entry(&section.steps).or_default();
        *count += 1;
        if *count > 1 && dialect.repeated == Repeated::Refused {
            let name = section.steps.join(".");
            return Err(if secrets::is_secret_key(&name) {
                Error::SecretInKey { at: section.at }
            } else {
                Error::DuplicateKey { key: shown(&name), at: section.at }
            });
        }
    }
    let mut places = Vec::with_capacity(sections.len());
    for section in sections {
        let mut steps: Vec<Segment> = section.steps.iter().cloned().map(Segment::Key).collect();
        let (count, index) = times.entry(&section.steps).or_default();
        let is_object = section.steps.first().is_some_and(|name| dialect.lists.contains(&name.as_str()));
        if is_object && *count > 1 {
            steps.push(Segment::Index(*index));
            *index += 1;
        }
        places.push(steps);
    }
    Ok(places)
}

/// The steps of a git section, and what follows it: `core]`, `remote "origin"]`, `branch.main]`.
fn git_section(rest: &str) -> Option<(Vec<String>, &str)> {
    let end = rest.find([']', '"'])?;
    let name = rest[..end].trim().to_ascii_lowercase();
    if rest[end..].starts_with(']') {
        let steps = name.split('.').map(str::to_owned).collect();
        return Some((steps, &rest[end + 1..]));
    }
    let mut subsection = String::new();
    let mut chars = rest[end + 1..].char_indices();
    loop {
        match chars.next()? {
            (_, '\\') => subsection.push(chars.next()?.1),
            (at, '"') => {
                let behind = rest[end + 1 + at + 1..].trim_start().strip_prefix(']')?;
                return Some((vec![name, subsection], behind));
            }
            (_, c) => subsection.push(c),
        }
    }
}

/// Splits a line as a shell does, up to a comment.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote, mut is_open) = (Vec::new(), String::new(), None, false);
    let mut chars = line.chars();
    while let Some(c) = chars.next() {
        match quote {
            Some(open) if c == open => quote = None,
            Some('"') if c == '\\' => word.extend(chars.next()),
            Some(_) => word.push(c),
            None if matches!(c, '"' | '\'') => {
                quote = Some(c);
                is_open = true;
            }
            None if c.is_whitespace() => {
                if std::mem::take(&mut is_open) {
                    words.push(std::mem::take(&mut word));
                }
            }
            None if c == '#' && !is_open => return words,
            None => {
                word.push(c);
                is_open = true;
            }
        }
    }
    if is_open {
        words.push(word);
    }
    words
}

/// A value without the pair of quotes around it, where that is one pair.
fn unquoted_around(value: &str) -> String {
    let inner = unquoted(value);
    let is_pair = inner.len() == value.len() || !inner.contains(&value[..1]);
    if is_pair { inner } else { value }.to_owned()
}

fn indent_of(line: &str) -> usize {
    line.chars().take_while(|c| c.is_whitespace()).count()
}

fn malformed(at: Place, why: &str) -> Error {
    Error::Malformed { format: Format::Ini, at, why: why.to_owned() }
}

#[cfg(test)]
mod tests {
    use crate::Format::Ini;
    use crate::parse::tests::{check, check_error};

    #[test]
    fn sections_and_keys() {
        check(
            Ini,
            "top = 1\n; comment\n[a]\nb = \"two words\"\nc: C:\\dir\\\n[x.y]\n  k = 1 ; kept\n[a]\nd =\n[empty]\n",
            &[
                ("\"x.y\".k", "\"1 ; kept\""),
                ("a.b", "\"two words\""),
                ("a.c", "\"C:\\\\dir\\\\\""),
                ("a.d", "\"\""),
                ("empty", "{}"),
                ("top", "\"1\""),
            ],
        );
        check(
            Ini,
            "[tox]\ndeps =\n    pytest\n    foo==1\nnext = 1\n",
            &[("tox.deps", "\"\\npytest\\nfoo==1\""), ("tox.next", "\"1\"")],
        );
    }

    #[test]
    fn errors_name_the_place() {
        check(
            Ini,
            "a = \"one\n  two = 2\n\"\nb = \"x\nc = \"y\"\n",
            &[("a", "\"one\\n  two = 2\\n\""), ("b", "\"\\\"x\""), ("c", "\"y\"")],
        );
        check_error(Ini, "[a]\nhunter2 hunter2", "malformed-document", 2, 1);
        check_error(Ini, "[passwords]\nhunter2", "secret-in-key", 2, 1);
        check_error(Ini, "[hunter2", "malformed-document", 1, 1);
        check_error(Ini, "  = hunter2", "malformed-document", 1, 3);
    }
}
