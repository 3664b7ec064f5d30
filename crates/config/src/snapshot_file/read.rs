//! A snapshot file read: found by what it has, its flat names taken as names.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::fmt;

use rig_event::{FlatConfig, Timestamp, spelled};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use super::names::{above, name_of, path_of};
use super::spelling::{Entry, Listed, Spelled, Spelling, is_by_go};
use super::write::entries;
use super::{SnapshotFile, VERSION, is_leaf};
use crate::flatten::json_length;
use crate::lines::Place;
use crate::path::{Segment, lenient};
use crate::provenance::{Origin, Provenance, Source};
use crate::random::is_random_key;
use crate::secrets::{self, is_secret_key};
use crate::shown::shown;
use crate::{Error, Limits, Path};

/// The longest path, as in documents.
const MAX_PATH: usize = 64 << 10;

/// The deepest nesting of a value.
const MAX_DEPTH: usize = 128;

/// Where there is no better place: the file itself.
const START: Place = Place { line: 1, column: 1 };

/// The members of a file, not looked into yet.
#[derive(Default)]
struct Members<'a> {
    version: Option<&'a RawValue>,
    timestamp: Option<&'a RawValue>,
    config: Option<&'a RawValue>,
    provenance: Option<&'a RawValue>,
    audit: Option<&'a RawValue>,
    unknown: Vec<(String, &'a RawValue)>,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Members<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Members::default();
                while let Some((name, value)) = map.next_entry::<String, &'de RawValue>()? {
                    let slot = match name.as_str() {
                        "version" => &mut members.version,
                        "timestamp" => &mut members.timestamp,
                        "config" => &mut members.config,
                        "provenance" => &mut members.provenance,
                        "audit" => &mut members.audit,
                        _ => {
                            if members.unknown.iter().any(|(known, _)| *known == name) {
                                return Err(de::Error::custom("a member stands here twice"));
                            }
                            members.unknown.push((name, value));
                            continue;
                        }
                    };
                    if slot.replace(value).is_some() {
                        return Err(de::Error::custom("a member stands here twice"));
                    }
                }
                Ok(members)
            }
        }
        d.deserialize_map(Visit)
    }
}

/// A map that keeps what is there twice, so that it can be refused.
struct Pairs<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Pairs<'de> {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        /// A key that is borrowed where it has no escapes.
        #[derive(Deserialize)]
        struct Key<'a>(#[serde(borrow)] Cow<'a, str>);
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of flat names to values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs<'de>, A::Error> {
                let mut pairs = Vec::new();
                while let Some((Key(name), value)) = map.next_entry()? {
                    pairs.push((name, value));
                }
                Ok(Pairs(pairs))
            }
        }
        d.deserialize_map(Visit)
    }
}

/// A file's members before its fields are read.
struct Found<'a> {
    pairs: Pairs<'a>,
    provenance: Option<Vec<Entry>>,
    audit: BTreeMap<String, String>,
    unknown: Vec<(String, &'a RawValue)>,
    time: Option<String>,
}

impl SnapshotFile {
    /// Reads a snapshot file; `None` for JSON that is something else.
    ///
    /// It is known by what it has: a `config` that is a map, and a `version`, `timestamp` or `provenance` as Rigging writes
    /// them. Members that it has beyond those are kept in [`SnapshotFile::spelling`]. A value that is a list or a map is made
    /// flat, and what is below it has its origin; its flat names stay names, so that `log` may stand beside `log.level`.
    /// Origins of fields that are not there are dropped.
    ///
    /// # Errors
    /// [`Error::BadSnapshotFile`] for another version or a time that is none; else what is wrong with any document.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Option<SnapshotFile>, Error> {
        read(bytes, limits, false)
    }

    /// Reads what is said to be a snapshot file.
    ///
    /// # Errors
    /// As [`SnapshotFile::read`], and [`Error::BadSnapshotFile`] for anything else.
    pub fn read_declared(bytes: &[u8], limits: &Limits) -> Result<SnapshotFile, Error> {
        let why = "it is no JSON object with a `version` and a `config` that is a map of flat names";
        read(bytes, limits, true)?.ok_or_else(|| Error::BadSnapshotFile { why: why.to_owned() })
    }
}

fn read(bytes: &[u8], limits: &Limits, is_declared: bool) -> Result<Option<SnapshotFile>, Error> {
    let size = bytes.len() as u64;
    if size > limits.bytes {
        return Err(Error::TooLarge { bytes: size, limit: limits.bytes });
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let Ok(text) = std::str::from_utf8(bytes) else { return Ok(None) };
    // Nothing else is looked through.
    if !text.trim_start().starts_with('{') {
        return Ok(None);
    }
    let Ok(members) = serde_json::from_str::<Members<'_>>(text) else { return Ok(None) };
    let Some(found) = found(members, is_declared)? else { return Ok(None) };
    let mut spelling = Spelling {
        is_unended: !text.ends_with('\n'),
        is_by_go: is_by_go(text),
        is_read: true,
        ..Spelling::default()
    };
    let timestamp = match found.time {
        None => {
            spelling.time = Some((Timestamp::default(), String::new()));
            Timestamp::default()
        }
        Some(text) => {
            let bad = || Error::BadSnapshotFile { why: "its `timestamp` is no RFC 3339 time".to_owned() };
            let timestamp: Timestamp = text.parse().map_err(|_| bad())?;
            let is_plain = |b: u8| b.is_ascii_digit() || matches!(b, b'T' | b'Z' | b':' | b'.' | b'+' | b'-');
            if text != timestamp.to_string() && text.len() <= 64 && text.bytes().all(is_plain) {
                spelling.time = Some((timestamp, text));
            }
            timestamp
        }
    };
    spelling.unknown = found.unknown.iter().map(|(name, raw)| (name.clone(), raw.get().to_owned())).collect();
    let mut fields = Fields { limits, bytes_left: limits.bytes.saturating_mul(4), fields: Vec::new() };
    fields.fields.reserve(found.pairs.0.len());
    for (name, raw) in found.pairs.0 {
        fields.named(&name, raw, &mut spelling)?;
    }
    let config = fields.finish()?;
    let provenance = provenance(&config, found.provenance.unwrap_or_default(), &mut spelling);
    Ok(Some(SnapshotFile { timestamp, config, provenance, audit: found.audit, spelling }))
}

/// Tells whether the members are those of a snapshot file, and reads the small ones.
fn found(members: Members<'_>, is_declared: bool) -> Result<Option<Found<'_>>, Error> {
    fn said<'a, T: Deserialize<'a>>(raw: Option<&'a RawValue>) -> Result<Option<T>, ()> {
        raw.map(|raw| serde_json::from_str::<Option<T>>(raw.get()).map_err(|_| ()))
            .transpose()
            .map(Option::flatten)
    }
    let Members { version, timestamp, config, provenance, audit, mut unknown } = members;
    let has_sources = provenance.is_some();
    let is_bare = timestamp.is_none() && !has_sources;
    let (Ok(version), Ok(time), Ok(Some(pairs)), Ok(entries)) = (
        said::<String>(version),
        said::<String>(timestamp),
        said::<Pairs<'_>>(config),
        said::<Vec<Entry>>(provenance),
    ) else {
        return Ok(None);
    };
    let says = match said::<BTreeMap<String, String>>(audit) {
        Ok(says) => says.unwrap_or_default(),
        // Another program's, which means something else by it.
        Err(()) => {
            unknown.extend(audit.map(|raw| ("audit".to_owned(), raw)));
            BTreeMap::new()
        }
    };
    let is_known = version.as_deref() == Some(VERSION);
    if !is_declared {
        // Any JSON may have a version and a config; what it has beyond them must speak for it.
        let has_time = time.as_ref().is_some_and(|time| time.parse::<Timestamp>().is_ok());
        let is_one = match (unknown.is_empty(), is_bare) {
            (true, false) => true,
            (true, true) => is_known && audit.is_none(),
            (false, false) => version.is_some() && (has_time || has_sources),
            (false, true) => false,
        };
        if !is_one {
            return Ok(None);
        }
    }
    let bad = |why: String| Err(Error::BadSnapshotFile { why });
    match version {
        Some(version) if version == VERSION => {}
        None => {
            return bad(format!(
                "it names no `version`; this rig reads {VERSION} (any JSON is read with the format json)"
            ));
        }
        Some(other) => {
            let plain = other.len() <= 16 && other.bytes().all(|b| b.is_ascii_digit() || b == b'.');
            let found = if plain { format!("version {other}") } else { "another version".to_owned() };
            return bad(format!("it is of {found}; this rig reads {VERSION}"));
        }
    }
    Ok(Some(Found { pairs, provenance: entries, audit: says, unknown, time }))
}

/// The fields of a file, within the limits of documents.
struct Fields<'l> {
    limits: &'l Limits,
    bytes_left: u64,
    fields: Vec<(String, Value)>,
}

impl Fields<'_> {
    /// Adds the value of a name, made flat.
    fn named(&mut self, name: &str, raw: &RawValue, spelling: &mut Spelling) -> Result<(), Error> {
        let path = path_of(name);
        self.check_keys(&path)?;
        let raw = raw.get();
        let value = value_of(raw).map_err(|()| Error::TooDeep { limit: MAX_DEPTH, at: START })?;
        let is_text_with_escapes = || value.is_string() && raw.contains('\\') && !is_spelled(&value, raw);
        let is_nested = !is_leaf(&value);
        // Another spelling of the name than rig's.
        let is_odd = name_of(&path) != name;
        if is_nested
            || is_odd
            || is_text_with_escapes()
            || (value.is_object() || value.is_array()) && !is_spelled(&value, raw)
        {
            let spelled = Spelled { path: path.to_string(), value: value.clone(), raw: raw.to_owned() };
            spelling.values.insert(name.to_owned(), spelled);
        }
        if is_nested {
            self.below(&mut path.into_owned(), value, 1)
        } else {
            self.field(path.into_owned(), value)
        }
    }

    /// Adds what is in a list or a map.
    fn below(&mut self, path: &mut String, value: Value, depth: usize) -> Result<(), Error> {
        if is_leaf(&value) {
            return self.field(path.clone(), value);
        }
        let limit = self.limits.depth.min(MAX_DEPTH);
        if depth > limit {
            return Err(Error::TooDeep { limit, at: START });
        }
        let length = path.len();
        let mut step = |fields: &mut Self, segment: Segment, value| {
            segment.print(path);
            fields.below(path, value, depth + 1)?;
            path.truncate(length);
            Ok(())
        };
        match value {
            Value::Array(items) => items
                .into_iter()
                .enumerate()
                .try_for_each(|(index, item)| step(self, Segment::Index(index), item)),
            Value::Object(entries) => entries.into_iter().try_for_each(|(key, entry)| {
                if is_secret_key(&key) {
                    return Err(Error::SecretInKey { at: START });
                }
                step(self, Segment::Key(key), entry)
            }),
            _ => Ok(()),
        }
    }

    fn field(&mut self, path: String, value: Value) -> Result<(), Error> {
        if path.len() > MAX_PATH {
            return Err(Error::PathTooLong { path: shown(&path), limit: MAX_PATH });
        }
        if self.fields.len() >= self.limits.fields {
            return Err(Error::TooManyFields { limit: self.limits.fields, line: None });
        }
        let (bytes, limit) = (json_length(&value), self.limits.value_bytes);
        if bytes > limit {
            return Err(Error::ValueTooLarge { path: shown(&path), bytes, limit, line: None });
        }
        let too_far = Error::ExpandsTooFar { limit: self.limits.bytes.saturating_mul(4) };
        self.bytes_left = self.bytes_left.checked_sub((path.len() + bytes) as u64).ok_or(too_far)?;
        self.fields.push((path, value));
        Ok(())
    }

    /// Refuses a name in which a key is a secret.
    fn check_keys(&self, path: &str) -> Result<(), Error> {
        let refused = |key: &str| is_secret_key(key).then_some(Error::SecretInKey { at: START });
        let Path(steps) = if path.len() < 8 { return Ok(()) } else { steps(path, self.limits)? };
        let mut keys = steps.iter().filter_map(|step| match step {
            Segment::Key(key) => Some(key.as_str()),
            _ => None,
        });
        if let Some(error) = keys.find_map(refused) {
            return Err(error);
        }
        match (above(path), steps.last()) {
            (Some(above), Some(Segment::Key(key)))
                if is_random_key(key) && secrets::lists_secrets(&above) =>
            {
                Err(Error::SecretInKey { at: START })
            }
            _ => Ok(()),
        }
    }

    fn finish(mut self) -> Result<FlatConfig, Error> {
        if !self.fields.is_sorted_by(|(a, _), (b, _)| a <= b) {
            self.fields.sort_by(|(a, _), (b, _)| a.cmp(b));
        }
        if let Some(twice) = self.fields.windows(2).find(|pair| pair[0].0 == pair[1].0) {
            return Err(Error::DuplicateKey { key: shown(&twice[0].0), at: START });
        }
        Ok(self.fields.into_iter().collect())
    }
}

/// The steps of a path, within the depth of documents.
fn steps(path: &str, limits: &Limits) -> Result<Path, Error> {
    let steps = lenient(path);
    let limit = limits.depth.min(crate::tree::MAX_DEPTH);
    if steps.0.len() > limit { Err(Error::TooDeep { limit, at: START }) } else { Ok(steps) }
}

/// Returns true if this is how rig would write the value.
fn is_spelled(value: &Value, raw: &str) -> bool {
    serde_json::to_string(value).is_ok_and(|json| json == raw)
}

/// A value as it is spelled: what is read here is captured and compared.
fn value_of(raw: &str) -> Result<Value, ()> {
    match raw.as_bytes() {
        [b'"', inner @ .., b'"'] if memchr::memchr(b'\\', inner).is_none() => {
            Ok(Value::String(raw[1..raw.len() - 1].to_owned()))
        }
        b"true" => Ok(Value::Bool(true)),
        b"false" => Ok(Value::Bool(false)),
        b"null" => Ok(Value::Null),
        _ => match spelled::number(raw) {
            Some(number) => Ok(Value::Number(number)),
            None => spelled::from_str(raw).map_err(|_| ()),
        },
    }
}

/// The origin of each field, by the sources that a file lists; how it lists them is kept where rig would do otherwise.
fn provenance(config: &FlatConfig, listed: Vec<Entry>, spelling: &mut Spelling) -> Provenance {
    if listed.is_empty() {
        return Provenance::new();
    }
    let mut said: HashMap<String, (usize, Origin)> = HashMap::with_capacity(listed.len());
    for (at, entry) in listed.iter().enumerate() {
        let source = match (entry.source_name.parse::<Source>(), entry.line) {
            (Ok(Source::File { name, .. }), Some(line)) => Source::File { name, line: Some(line) },
            (Ok(source), _) => source,
            (Err(never), _) => match never {},
        };
        said.insert(path_of(&entry.key_path).into_owned(), (at, Origin { source, secret: entry.secret }));
    }
    let mut had_fields = vec![false; listed.len()];
    let mut provenance = Vec::with_capacity(config.len());
    for path in config.keys() {
        let mut at = Some(Cow::Borrowed(path.as_str()));
        while let Some(here) = at {
            if let Some((entry, origin)) = said.get(here.as_ref()) {
                had_fields[*entry] = true;
                provenance.push((path.clone(), origin.clone()));
                break;
            }
            at = above(&here).map(|above| above.into_owned().into());
        }
    }
    let provenance: Provenance = provenance.into_iter().collect();
    if !entries(&provenance).eq(listed.iter().cloned()) {
        let listed = listed.into_iter().zip(had_fields).map(|(mut entry, had_fields)| {
            if is_secret_key(&entry.field_path) || entry.field_path.contains(char::is_control) {
                entry.field_path = entry.key_path.clone();
            }
            Listed { path: path_of(&entry.key_path).into_owned(), entry, had_fields }
        });
        spelling.sources = listed.filter(|listed| !is_secret_key(&listed.path)).collect();
    }
    provenance
}
