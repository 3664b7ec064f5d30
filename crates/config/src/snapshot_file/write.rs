//! A snapshot file written: indented JSON, each value as it was spelled where it is as it was.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use super::is_leaf;
use super::names::{above, name_of};
use super::spelling::{Entry, Listed, Spelled, by_go};
use super::{SnapshotFile, VERSION};
use crate::FlatConfig;
use crate::diff::nest::nested;
use crate::path::Segment;
use crate::provenance::{Origin, Provenance, Source};

impl SnapshotFile {
    /// Writes the file as indented JSON. What was read from a file and did not change is written as it was, to the byte.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn write(&self, mut out: impl Write) -> io::Result<()> {
        let spelling = &self.spelling;
        write!(out, "{{\n  \"version\": \"{VERSION}\"")?;
        match spelling.time.as_ref().filter(|(time, _)| *time == self.timestamp) {
            Some((_, text)) if text.is_empty() => {}
            Some((_, text)) => write!(out, ",\n  \"timestamp\": \"{text}\"")?,
            None => write!(out, ",\n  \"timestamp\": \"{}\"", self.timestamp)?,
        }
        if !self.audit.is_empty() {
            out.write_all(b",\n  \"audit\": ")?;
            self.pretty(&mut out, &self.audit, "  ")?;
        }
        out.write_all(b",\n  \"config\": ")?;
        self.write_config(&mut out)?;
        out.write_all(b",\n  \"provenance\": ")?;
        let sources: Vec<Entry> = if spelling.sources.is_empty() {
            entries(&self.provenance).collect()
        } else {
            listed(&self.provenance, &spelling.sources)
        };
        if sources.is_empty() {
            out.write_all(b"null")?
        } else {
            self.pretty(&mut out, &sources, "  ")?
        }
        for (name, raw) in &spelling.unknown {
            out.write_all(b",\n  ")?;
            serde_json::to_writer(&mut out, name)?;
            write!(out, ": {raw}")?;
        }
        out.write_all(if spelling.is_unended { b"\n}" } else { b"\n}\n" })
    }

    fn write_config(&self, out: &mut impl Write) -> io::Result<()> {
        let mut separator = "{\n    ";
        let mut field = |out: &mut dyn Write, name: &str, value: &Written<'_>| -> io::Result<()> {
            out.write_all(separator.as_bytes())?;
            separator = ",\n    ";
            self.leaf(&mut *out, name)?;
            out.write_all(b": ")?;
            match value {
                Written::Raw(raw) => out.write_all(raw.as_bytes()),
                Written::Value(value) => match value.as_ref() {
                    Value::Array(_) | Value::Object(_) => self.pretty(out, value.as_ref(), "    "),
                    leaf => self.leaf(out, leaf),
                },
            }
        };
        if self.spelling.values.is_empty() && !self.config.keys().any(|path| path.contains('"')) {
            for (path, value) in &self.config {
                field(out, path, &Written::Value(Cow::Borrowed(value)))?;
            }
        } else {
            for (name, value) in self.named() {
                field(out, &name, &value)?;
            }
        }
        out.write_all(if self.config.is_empty() { b"{}" } else { b"\n  }" })
    }

    /// Writes a name, or a value that is neither a list nor a map.
    fn leaf(&self, out: &mut dyn Write, value: &(impl Serialize + ?Sized)) -> io::Result<()> {
        if self.spelling.is_by_go {
            return out.write_all(by_go(&serde_json::to_string(value)?).as_bytes());
        }
        Ok(serde_json::to_writer(out, value)?)
    }

    /// Writes a value indented, below so much.
    fn pretty(&self, out: &mut dyn Write, value: &(impl Serialize + ?Sized), indent: &str) -> io::Result<()> {
        let mut text = serde_json::to_string_pretty(value)?;
        if self.spelling.is_by_go {
            text = by_go(&text).into_owned();
        }
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                out.write_all(b"\n")?;
                out.write_all(indent.as_bytes())?;
            }
            out.write_all(line.as_bytes())?;
        }
        Ok(())
    }

    /// The fields under the names of the file, lists and maps whole where the file has them so.
    fn named(&self) -> BTreeMap<Cow<'_, str>, Written<'_>> {
        let mut named = BTreeMap::new();
        let mut left: BTreeMap<&str, &Value> = BTreeMap::new();
        left.extend(self.config.iter().map(|(path, value)| (path.as_str(), value)));
        for (name, spelled) in &self.spelling.values {
            let Some((value, paths)) = current(spelled, &self.config) else { continue };
            if !paths.iter().all(|path| left.contains_key(path)) {
                continue;
            }
            let written = if value == spelled.value {
                Written::Raw(&spelled.raw)
            } else {
                Written::Value(Cow::Owned(value))
            };
            for path in paths {
                left.remove(path);
            }
            named.insert(Cow::Borrowed(name.as_str()), written);
        }
        for (path, value) in left {
            named.insert(name_of(path), Written::Value(Cow::Borrowed(value)));
        }
        named
    }
}

enum Written<'a> {
    Raw(&'a str),
    Value(Cow<'a, Value>),
}

/// Returns what a value of the file is now, and the paths of its fields; nothing if it is gone, or is no list or map any more.
fn current<'a>(spelled: &Spelled, config: &'a FlatConfig) -> Option<(Value, Vec<&'a str>)> {
    let root = &spelled.path;
    let mut known = Vec::new();
    leaves(&mut root.clone(), &spelled.value, &mut known);
    let there = known.iter().filter_map(|(path, _)| config.get_key_value(path));
    let (paths, fields): (Vec<&'a str>, Vec<(&'a String, &'a Value)>) =
        there.map(|(path, value)| (path.as_str(), (path, value))).unzip();
    let same = |((path, before), (there, now)): (&(String, &Value), &(&String, &Value))| {
        path == *there && *before == *now
    };
    if fields.len() == known.len() && known.iter().zip(&fields).all(same) {
        return Some((spelled.value.clone(), paths));
    }
    if let [(path, value)] = fields.as_slice()
        && *path == root
    {
        return Some(((*value).clone(), paths));
    }
    let below = fields.into_iter().map(|(path, value)| {
        let rest = &path[root.len()..];
        (rest.strip_prefix('.').unwrap_or(rest).to_owned(), value.clone())
    });
    let fields: FlatConfig = below.collect();
    let value = nested(&fields);
    let is_same_kind =
        value.is_array() == spelled.value.is_array() && value.is_object() == spelled.value.is_object();
    (!paths.is_empty() && is_same_kind && reads_back(&value, &fields)).then_some((value, paths))
}

/// The paths of what is in a value.
fn leaves<'a>(path: &mut String, value: &'a Value, out: &mut Vec<(String, &'a Value)>) {
    let length = path.len();
    let mut step = |segment: Segment, value: &'a Value| {
        segment.print(path);
        leaves(path, value, out);
        path.truncate(length);
    };
    match value {
        Value::Array(items) if !items.is_empty() => {
            items.iter().enumerate().for_each(|(index, item)| step(Segment::Index(index), item));
        }
        Value::Object(entries) if !is_leaf(value) => {
            entries.iter().for_each(|(key, entry)| step(Segment::Key(key.clone()), entry));
        }
        leaf => out.push((path.clone(), leaf)),
    }
}

/// Returns true if a value made flat is these fields again; not so for a list with gaps.
fn reads_back(value: &Value, fields: &FlatConfig) -> bool {
    match value {
        Value::Object(entries) => {
            !entries.keys().any(|key| key.contains(['.', '[', ']']) && fields.contains_key(key))
        }
        _ => true,
    }
}

/// The sources as rig lists them: one a field, in their order.
pub(super) fn entries(provenance: &Provenance) -> impl Iterator<Item = Entry> {
    provenance.iter().map(|(path, origin)| entry(path, origin))
}

fn entry(path: &str, origin: &Origin) -> Entry {
    let name = name_of(path);
    Entry {
        field_path: name.clone().into_owned(),
        key_path: name.into_owned(),
        source_name: origin.source.name(),
        line: origin.source.line(),
        secret: origin.secret,
    }
}

/// The sources as the file lists them, as far as they still hold; what is new follows.
fn listed(provenance: &Provenance, sources: &[Listed]) -> Vec<Entry> {
    let places: BTreeMap<&str, usize> =
        sources.iter().enumerate().map(|(at, source)| (source.path.as_str(), at)).collect();
    let mut fields: Vec<Vec<(&String, &Origin)>> = vec![Vec::new(); sources.len()];
    let mut new = Vec::new();
    for (path, origin) in provenance {
        let mut at = Some(Cow::Borrowed(path.as_str()));
        let mut place = None;
        while let Some(here) = at {
            place = places.get(here.as_ref()).copied();
            if place.is_some() {
                break;
            }
            at = above(&here).map(|above| above.into_owned().into());
        }
        match place {
            Some(place) => fields[place].push((path, origin)),
            None => new.push((path, origin)),
        }
    }
    let mut out = Vec::new();
    for (source, fields) in sources.iter().zip(fields) {
        match fields.first() {
            None if source.had_fields => {}
            // Of a field that is not set.
            None => out.push(checked(source.entry.clone())),
            Some((_, origin)) if fields.iter().all(|(_, other)| other == origin) => {
                let mut entry = source.entry.clone();
                let said = entry.source_name.parse::<Source>();
                if !matches!(said, Ok(said) if said.name() == origin.source.name()) {
                    entry.source_name = origin.source.name();
                }
                // A line in the name itself, as other programs write it, is one already.
                let in_name = entry.source_name.parse::<Source>().ok().and_then(|source| source.line());
                entry.line = origin.source.line().filter(|line| in_name != Some(*line));
                entry.secret = origin.secret;
                out.push(checked(entry));
            }
            Some(_) => out.extend(fields.into_iter().map(|(path, origin)| entry(path, origin))),
        }
    }
    out.extend(new.into_iter().map(|(path, origin)| entry(path, origin)));
    out
}

/// An entry whose source is fit to be repeated.
fn checked(entry: Entry) -> Entry {
    match entry.source_name.parse::<Source>() {
        Ok(Source::Unknown) => Entry { source_name: Source::Unknown.to_string(), ..entry },
        _ => entry,
    }
}
