//! Captures a figment as a snapshot: the effective value of each field and the source it came from.

use std::collections::BTreeMap;
use std::path::Path as FilePath;

use figment::Figment;
use figment::value::{Tag, Value as Found};
use rig_config::path::Segment;
use rig_config::snapshot_file::REDACTED;
use rig_config::{Layers, Limits, Merged, Origin, Path, Reading, Source};
use serde_json::Value;

use crate::Error;

/// The fields of a typed configuration with their origins, secrets in plain text and marked.
///
/// `effective` is the configuration as the program sees it; where it shows a secret as such, the value comes from the figment.
pub(crate) fn capture(figment: &Figment, effective: &Value) -> Result<Merged, Error> {
    let failed = |why: String| Error::Config { why };
    let found = figment.find_value("").map_err(|e| failed(said(&e)))?;
    let mut walk = Walk { figment, lines: BTreeMap::new(), fields: Vec::new() };
    walk.visit(&mut Path::default(), effective, Some(&found));
    let limits = Limits::default();
    let mut layers = Layers::new(&limits);
    layers.fields(walk.fields).and_then(|()| layers.finish()).map_err(|e| failed(e.to_string()))
}

/// Formats figment's error without the value that it found.
pub(crate) fn said(error: &figment::Error) -> String {
    use figment::error::Kind;
    let path = error.path.join(".");
    let what = match &error.kind {
        Kind::MissingField(field) => format!("the field {field} is missing"),
        Kind::InvalidType(_, expected) => format!("another type was expected: {expected}"),
        Kind::InvalidValue(_, expected) => format!("another value was expected: {expected}"),
        Kind::UnknownField(field, _) => format!("there is no field {field}"),
        Kind::DuplicateField(field) => format!("the field {field} is there twice"),
        Kind::UnknownVariant(_, expected) => format!("one of {} was expected", expected.join(", ")),
        Kind::InvalidLength(length, expected) => format!("{length} elements where {expected} was expected"),
        _ => "it cannot be read".to_owned(),
    };
    let place = error.metadata.as_ref().map(|metadata| format!(" (from {})", metadata.name));
    let path = if path.is_empty() { String::new() } else { format!("{path}: ") };
    format!("{path}{what}{}", place.unwrap_or_default())
}

struct Walk<'a> {
    figment: &'a Figment,
    /// Line of each field, by file.
    lines: BTreeMap<String, BTreeMap<String, u32>>,
    fields: Vec<(String, Value, Origin)>,
}

impl Walk<'_> {
    fn visit(&mut self, path: &mut Path, effective: &Value, found: Option<&Found>) {
        match effective {
            Value::Object(entries) if !entries.is_empty() => {
                for (key, entry) in entries {
                    let below = found.and_then(Found::as_dict).and_then(|dict| dict.get(key));
                    path.0.push(Segment::Key(key.clone()));
                    self.visit(path, entry, below);
                    path.0.pop();
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    let below = found.and_then(Found::as_array).and_then(|items| items.get(index));
                    path.0.push(Segment::Index(index));
                    self.visit(path, item, below);
                    path.0.pop();
                }
            }
            Value::String(text) if text == REDACTED => self.secret(path, found),
            value => self.field(path, value.clone(), found, false),
        }
    }

    /// A secret: with all that is in it where it is a list or a map.
    fn secret(&mut self, path: &mut Path, found: Option<&Found>) {
        match found {
            Some(Found::Dict(_, entries)) if !entries.is_empty() => {
                for (key, entry) in entries {
                    path.0.push(Segment::Key(key.clone()));
                    self.secret(path, Some(entry));
                    path.0.pop();
                }
            }
            Some(Found::Array(_, items)) if !items.is_empty() => {
                for (index, item) in items.iter().enumerate() {
                    path.0.push(Segment::Index(index));
                    self.secret(path, Some(item));
                    path.0.pop();
                }
            }
            Some(value) => {
                // A default of the program is known to the program alone.
                let plain = serde_json::to_value(value).unwrap_or_else(|_| REDACTED.into());
                self.field(path, plain, found, true);
            }
            None => self.field(path, REDACTED.into(), None, true),
        }
    }

    fn field(&mut self, path: &Path, value: Value, found: Option<&Found>, secret: bool) {
        let path = path.to_string();
        let source = found.map_or(Source::Default, |found| self.source(&path, found.tag()));
        self.fields.push((path, value, Origin { source, secret }));
    }

    fn source(&mut self, path: &str, tag: Tag) -> Source {
        let Some(metadata) = self.figment.get_metadata(tag) else { return Source::Default };
        match &metadata.source {
            Some(figment::Source::File(file)) => {
                let name = file.to_string_lossy().into_owned();
                let lines = self.lines.entry(name.clone()).or_insert_with(|| lines(file));
                let line = lines.get(path).or_else(|| lines.get(&format!("default.{path}")));
                Source::file(&shown(file), line.copied())
            }
            Some(figment::Source::Code(_)) => Source::Default,
            Some(figment::Source::Custom(name)) => name.parse().unwrap_or(Source::Unknown),
            // figment's own provider of variables names no single one.
            _ => match metadata.name.split('`').nth(1) {
                Some(prefix) if metadata.name.contains("environment") => {
                    Source::variable(&format!("{prefix}*"))
                }
                _ => metadata.name.parse().unwrap_or(Source::Unknown),
            },
        }
    }
}

/// A file's name as it was given: figment makes it absolute where the file is found.
fn shown(file: &FilePath) -> String {
    let here = std::env::current_dir().ok();
    let short = here.as_deref().and_then(|here| file.strip_prefix(here).ok()).unwrap_or(file);
    short.to_string_lossy().into_owned()
}

/// The line of each field of a file, where rig can read it.
fn lines(file: &FilePath) -> BTreeMap<String, u32> {
    let limits = Limits::default();
    let read = || {
        let name = rig_config::name_of(file)?;
        let size = std::fs::metadata(file).ok()?.len();
        let bytes = (size <= limits.bytes).then(|| std::fs::read(file).ok()).flatten()?;
        let reading = Reading { name: Some(&name), ..Reading::default() };
        Some(reading.read(&bytes, &limits).ok()?.lines)
    };
    read().unwrap_or_default()
}
