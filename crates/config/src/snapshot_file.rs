//! Snapshot files: a configuration at a moment, in the format 1.0 of the Go library Rigging, read and written.
//!
//! `version`, `timestamp`, `config` (flat paths to values) and `provenance` are Rigging's. rig adds `audit`: who wrote the file,
//! about which service. The same format carries a merged configuration to the hub, as [`MEDIA_TYPE`].

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use rig_event::{FlatConfig, Timestamp, spelled};
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::lines::Place;
use crate::path::Segment;
use crate::path::lenient;
use crate::provenance::{Origin, Provenance, Source};
use crate::redact::{Counts, is_redacted, marker_key};
use crate::shown::shown;
use crate::{Document, Error, Format, Layers, Limits, Path, Pattern, Redactor};

/// The media type under which a hub takes a snapshot file.
pub const MEDIA_TYPE: &str = "application/vnd.rig.snapshot+json";

/// The version that is read and written.
const VERSION: &str = "1.0";

/// The marker of a secret if there is no key to make a fingerprint with.
pub use crate::redact::RIGGING as REDACTED;

/// A configuration at a moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SnapshotFile {
    /// When it was taken.
    pub timestamp: Timestamp,
    /// Its fields.
    pub config: FlatConfig,
    /// Where they came from, as far as that is known.
    pub provenance: Provenance,
    /// Origin of the snapshot: `service`, `tool`, `hostname`, `git_sha` and so on. Files of other programs
    /// have none.
    pub audit: BTreeMap<String, String>,
}

/// The file as it is read.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    version: Option<String>,
    timestamp: String,
    config: Pairs,
    #[serde(default)]
    provenance: Option<Vec<Entry>>,
    #[serde(default)]
    audit: BTreeMap<String, String>,
}

/// Where one field came from, in Rigging's spelling.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Entry {
    #[serde(default)]
    field_path: String,
    key_path: String,
    source_name: String,
    /// rig's own: Rigging knows no lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(default)]
    secret: bool,
}

/// A map that keeps what is there twice, so that it can be refused.
struct Pairs(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Pairs {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        struct Visit;
        impl<'de> Visitor<'de> for Visit {
            type Value = Pairs;
            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of flat paths to values")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Pairs, A::Error> {
                let mut pairs = Vec::new();
                while let Some((path, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    // As it is spelled: what is read here is captured and compared.
                    pairs.push((path, spelled::from_str(value.get()).map_err(de::Error::custom)?));
                }
                Ok(Pairs(pairs))
            }
        }
        d.deserialize_map(Visit)
    }
}

impl SnapshotFile {
    /// Reads a snapshot file; `None` for JSON that is something else.
    ///
    /// A value that is a list or a map is made flat, and what is below it has its origin. Origins of fields that are not
    /// there are dropped.
    ///
    /// # Errors
    /// [`Error::BadSnapshotFile`] for another version or a time that is none; else what is wrong with any document.
    pub fn read(bytes: &[u8], limits: &Limits) -> Result<Option<SnapshotFile>, Error> {
        let size = bytes.len() as u64;
        if size > limits.bytes {
            return Err(Error::TooLarge { bytes: size, limit: limits.bytes });
        }
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let Ok(form) = serde_json::from_slice::<Form>(bytes) else { return Ok(None) };
        let bad = |why: String| Error::BadSnapshotFile { why };
        match form.version.as_deref() {
            Some(VERSION) => {}
            None => {
                let why = format!(
                    "it names no `version`; this rig reads {VERSION} (any JSON is read with the format json)"
                );
                return Err(bad(why));
            }
            Some(other) => {
                let plain = other.len() <= 16 && other.bytes().all(|b| b.is_ascii_digit() || b == b'.');
                let found = if plain { format!("version {other}") } else { "another version".to_owned() };
                return Err(bad(format!("it is of {found}; this rig reads {VERSION}")));
            }
        }
        let timestamp =
            form.timestamp.parse().map_err(|_| bad("its `timestamp` is no RFC 3339 time".to_owned()))?;
        let said: BTreeMap<String, Origin> = form
            .provenance
            .into_iter()
            .flatten()
            .map(|entry| {
                let source = match (entry.source_name.parse::<Source>(), entry.line) {
                    (Ok(Source::File { name, .. }), Some(line)) => Source::File { name, line: Some(line) },
                    (Ok(source), _) => source,
                    (Err(never), _) => match never {},
                };
                (entry.key_path, Origin { source, secret: entry.secret })
            })
            .collect();
        let mut seen = BTreeSet::new();
        if let Some((twice, _)) = form.config.0.iter().find(|(path, _)| !seen.insert(path.as_str())) {
            return Err(Error::DuplicateKey { key: shown(twice), at: Place { line: 1, column: 1 } });
        }
        let mut layers = Layers::new(limits);
        layers.fields(form.config.0.into_iter().map(|(path, value)| {
            let origin = origin_of(&said, &path);
            (path, value, origin)
        }))?;
        let merged = layers.finish()?;
        let mut provenance = merged.provenance;
        provenance.retain(|_, origin| origin.source != Source::Unknown || origin.secret);
        Ok(Some(SnapshotFile { timestamp, config: merged.config, provenance, audit: form.audit }))
    }

    /// Writes the file as indented JSON.
    ///
    /// # Errors
    /// If `out` fails.
    pub fn write(&self, mut out: impl io::Write) -> io::Result<()> {
        #[derive(Serialize)]
        struct Whole<'a> {
            version: &'a str,
            timestamp: Timestamp,
            #[serde(skip_serializing_if = "BTreeMap::is_empty")]
            audit: &'a BTreeMap<String, String>,
            config: &'a FlatConfig,
            provenance: Option<Vec<Entry>>,
        }
        let entries = self.provenance.iter().map(|(path, origin)| Entry {
            field_path: path.clone(),
            key_path: path.clone(),
            source_name: origin.source.name(),
            line: origin.source.line(),
            secret: origin.secret,
        });
        let whole = Whole {
            version: VERSION,
            timestamp: self.timestamp,
            config: &self.config,
            provenance: (!self.provenance.is_empty()).then(|| entries.collect()),
            audit: &self.audit,
        };
        serde_json::to_writer_pretty(&mut out, &whole)?;
        out.write_all(b"\n")
    }

    /// Leaves out the fields that a pattern covers, ignoring case: the whole path, or that of a list for all that is in it.
    /// Returns how many there were.
    pub fn exclude(&mut self, patterns: &[Pattern]) -> usize {
        if patterns.is_empty() {
            return 0;
        }
        let before = self.config.len();
        let covered = |path: &str| {
            let Path(steps) = lenient(path);
            let ends = (0..=steps.len())
                .filter(|end| steps.get(*end).is_none_or(|next| !matches!(next, Segment::Key(_))));
            ends.into_iter().any(|end| patterns.iter().any(|pattern| pattern.covers(&steps[..end], true)))
        };
        self.config.retain(|path, _| !covered(path));
        self.provenance.retain(|path, _| self.config.contains_key(path));
        before - self.config.len()
    }

    /// Replaces the secrets by fingerprints: what is marked as one, and what the redactor finds. Returns how many there were.
    ///
    /// A field that became one whole is marked as a secret from then on.
    pub fn redact(&mut self, redactor: &Redactor, format: Format) -> usize {
        let counts = self.redact_counted(redactor, format);
        usize::try_from(counts.values().sum::<u64>()).unwrap_or(usize::MAX)
    }

    /// The same; returns how many there were by each rule. What the file marks counts as `marked`.
    pub fn redact_counted(&mut self, redactor: &Redactor, format: Format) -> Counts {
        let mut marked = 0;
        for (path, _) in self.provenance.iter().filter(|(_, origin)| origin.secret) {
            marked += u64::from(self.config.get_mut(path).is_some_and(|value| redactor.redact_marked(value)));
        }
        let mut counts = if format.is_text() {
            let config = std::mem::take(&mut self.config);
            let mut doc = Document::of_fields(format, config);
            let counts = redactor.redact_counted(&mut doc);
            self.config = doc.config;
            counts
        } else {
            let names =
                self.provenance.iter().map(|(path, origin)| (path.as_str(), origin.source.to_string()));
            let sources: BTreeMap<&str, String> = names.collect();
            redactor.redact_config_counted(&mut self.config, |path| sources.get(path).map(String::as_str))
        };
        if marked > 0 {
            counts.insert("marked", marked);
        }
        for (path, origin) in &mut self.provenance {
            origin.secret |= self.config.get(path).is_some_and(is_redacted);
        }
        counts
    }

    /// Puts [`REDACTED`] in the place of every fingerprint, whole values and inside texts.
    pub fn forget_fingerprints(&mut self) {
        for value in self.config.values_mut() {
            if marker_key(value).is_some() {
                *value = REDACTED.into();
            } else if let Value::String(text) = value
                && let Some(blank) = without_fingerprints(text)
            {
                *text = blank;
            }
        }
    }
}

/// Returns true if two values can be compared. If one is a secret without a fingerprint, or both have
/// fingerprints under different keys, rig cannot know that they differ.
pub fn are_comparable(before: &Value, after: &Value) -> bool {
    match (marker_key(before), marker_key(after)) {
        (Some(before), Some(after)) => before == after,
        (before_key, after_key) => {
            let blank = |value: &Value| value.as_str() == Some(REDACTED);
            let (before, after) = (blank(before), blank(after));
            // One of them was replaced, the other is a secret as well.
            !((before || before_key.is_some()) && (after || after_key.is_some()))
        }
    }
}

/// The origin that was said of a path or, where none was, of the nearest above it.
fn origin_of(said: &BTreeMap<String, Origin>, path: &str) -> Origin {
    if let Some(origin) = said.get(path) {
        return origin.clone();
    }
    let mut above = lenient(path);
    while !said.is_empty() && above.0.pop().is_some() {
        if let Some(origin) = said.get(&above.to_string()) {
            return origin.clone();
        }
    }
    Source::Unknown.into()
}

fn without_fingerprints(text: &str) -> Option<String> {
    const OPEN: &str = "<redacted:hmac:";
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(OPEN) {
        let end = rest[at..].find('>').map(|end| at + end)?;
        out.push_str(&rest[..at]);
        out.push_str(REDACTED);
        rest = &rest[end + 1..];
    }
    (rest.len() < text.len()).then(|| out + rest)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Policy, RedactionKey, Redactor};

    const RIGGING: &str = r#"{
  "version": "1.0",
  "timestamp": "2026-01-15T10:30:00.123456789Z",
  "config": {
    "database.host": "a\u003cb\u0026c",
    "database.password": "***redacted***",
    "servers": [{"port": 1}, {"port": 2}],
    "timeout": "1m30s"
  },
  "provenance": [
    {"FieldPath": "Database.Host", "KeyPath": "database.host", "SourceName": "env:APP_DATABASE__HOST", "Secret": false},
    {"FieldPath": "Database.Password", "KeyPath": "database.password", "SourceName": "file:config.yaml", "Secret": true},
    {"FieldPath": "Servers", "KeyPath": "servers", "SourceName": "default", "Secret": false},
    {"FieldPath": "Gone", "KeyPath": "gone", "SourceName": "default", "Secret": false}
  ]
}"#;

    fn read(text: &str) -> Result<Option<SnapshotFile>, Error> {
        SnapshotFile::read(text.as_bytes(), &Limits::default())
    }

    #[test]
    fn a_snapshot_of_rigging_is_read_with_its_provenance() {
        let snapshot = read(RIGGING).unwrap().unwrap();
        assert_eq!(snapshot.timestamp.to_string(), "2026-01-15T10:30:00.123456Z");
        let fields: Vec<String> =
            snapshot.config.iter().map(|(path, value)| format!("{path}={value}")).collect();
        assert_eq!(
            fields,
            [
                "database.host=\"a<b&c\"",
                "database.password=\"***redacted***\"",
                "servers[0].port=1",
                "servers[1].port=2",
                "timeout=\"1m30s\""
            ]
        );
        let origins: Vec<String> = snapshot
            .provenance
            .iter()
            .map(|(path, origin)| format!("{path} {} {}", origin.source, origin.secret))
            .collect();
        assert_eq!(
            origins,
            [
                "database.host env:APP_DATABASE__HOST false",
                "database.password file:config.yaml true",
                "servers[0].port default false",
                "servers[1].port default false"
            ]
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut snapshot = read(RIGGING).unwrap().unwrap();
        let number = serde_json::from_str("18446744073709551616").unwrap();
        snapshot.config.insert("big".into(), number);
        snapshot.config.insert("\"a.b\"[0]".into(), json!([]));
        snapshot.config.insert("token".into(), json!({"redacted": "hmac:k1:0123456789abcdef"}));
        let line = Origin { source: Source::file("a.yaml", Some(7)), secret: false };
        snapshot.provenance.insert("big".into(), line);
        snapshot.audit.insert("service".into(), "api".into());
        let mut text = Vec::new();
        snapshot.write(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        assert!(text.starts_with("{\n  \"version\": \"1.0\",\n  \"timestamp\""), "{text}");
        assert!(text.contains("\"SourceName\": \"file:a.yaml\",\n      \"Line\": 7"), "{text}");
        assert_eq!(read(&text).unwrap().unwrap(), snapshot);
    }

    #[test]
    fn other_json_is_no_snapshot_and_other_versions_are_refused() {
        for text in [
            r#"{"timestamp": "x", "config": {}, "mine": 1}"#,
            r#"{"config": {}}"#,
            "[1]",
            "not json",
            r#"{"version":"1.0","timestamp":"2026-01-01T00:00:00Z","config":[]}"#,
        ] {
            assert_eq!(read(text), Ok(None), "{text}");
        }
        for (text, word) in [
            (r#"{"timestamp": "2026-01-01T00:00:00Z", "config": {}}"#, "names no `version`"),
            (r#"{"version": "2.0", "timestamp": "2026-01-01T00:00:00Z", "config": {}}"#, "version 2.0"),
            (
                r#"{"version": "hunter2", "timestamp": "2026-01-01T00:00:00Z", "config": {}}"#,
                "another version",
            ),
            (r#"{"version": "1.0", "timestamp": "yesterday", "config": {}}"#, "RFC 3339"),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.code(), "bad-snapshot-file");
            assert!(error.to_string().contains(word) && !error.to_string().contains("hunter2"), "{error}");
        }
        let twice = r#"{"version":"1.0","timestamp":"2026-01-01T00:00:00Z","config":{"a":1,"a":2}}"#;
        assert_eq!(read(twice).unwrap_err().code(), "duplicate-key");
    }

    #[test]
    fn numbers_are_read_as_they_are_spelled() {
        let text = r#"{"version":"1.0","timestamp":"2026-01-01T00:00:00Z","config":{"a":1e3,"b":[1E400,{"c":1.50}]}}"#;
        let config = read(text).unwrap().unwrap().config;
        let values: Vec<String> = config.values().map(Value::to_string).collect();
        assert_eq!(values, ["1e3", "1E400", "1.50"]);
    }

    #[test]
    fn a_source_that_a_rule_names_makes_a_secret() {
        let policy = Policy::parse("[[secret]]\nsource = \"env:APP_D*\"\n").unwrap();
        let redactor = Redactor::new(crate::RedactionKey::new("k1", [7; 32]).unwrap(), &policy);
        let mut snapshot = read(RIGGING).unwrap().unwrap();
        snapshot.redact(&redactor, Format::Json);
        assert!(is_redacted(&snapshot.config["database.host"]), "{:?}", snapshot.config);
        assert!(!is_redacted(&snapshot.config["timeout"]));
    }

    #[test]
    fn exclusion_ignores_case_covers_whole_paths_and_lists_and_takes_globs() {
        let paths = |pattern: &str| {
            let mut snapshot = read(RIGGING).unwrap().unwrap();
            snapshot.exclude(&[pattern.parse().unwrap()]);
            assert!(snapshot.provenance.keys().all(|path| snapshot.config.contains_key(path)));
            snapshot.config.into_keys().collect::<Vec<_>>().join(" ")
        };
        assert_eq!(paths("DATABASE.Host"), "database.password servers[0].port servers[1].port timeout");
        assert_eq!(
            paths("database"),
            "database.host database.password servers[0].port servers[1].port timeout"
        );
        assert_eq!(paths("database.**"), "servers[0].port servers[1].port timeout");
        assert_eq!(paths("Servers"), "database.host database.password timeout");
        assert_eq!(paths("**.p*"), "database.host timeout");
    }

    #[test]
    fn only_what_can_be_compared_is() {
        let print = |id: &str, digit: &str| json!({"redacted": format!("hmac:{id}:{}", digit.repeat(16))});
        for (before, after, comparable) in [
            (json!(1), json!(2), true),
            (json!(REDACTED), json!(REDACTED), false),
            (json!(REDACTED), print("k", "a"), false),
            (print("k", "a"), print("k", "b"), true),
            (print("k", "a"), print("j", "a"), false),
            (print("k", "a"), json!("plain"), true),
            (json!(REDACTED), json!("plain"), true),
        ] {
            assert_eq!(are_comparable(&before, &after), comparable, "{before} {after}");
        }
    }

    #[test]
    fn a_field_that_is_marked_is_redacted_whatever_its_name() {
        let redactor = Redactor::new(RedactionKey::new("run", [7; 32]).unwrap(), &Policy::default());
        let mut snapshot = SnapshotFile::default();
        for (path, secret) in [("pin", true), ("port", false), ("password", false)] {
            snapshot.config.insert(path.into(), "123456".into());
            snapshot.provenance.insert(path.into(), Origin { source: Source::Default, secret });
        }
        assert_eq!(snapshot.redact(&redactor, Format::Json), 2);
        let secrets: Vec<bool> = snapshot.provenance.values().map(|origin| origin.secret).collect();
        assert_eq!(secrets, [true, true, false]);
        assert_eq!(snapshot.config["port"], "123456");
        assert_eq!(snapshot.redact(&redactor, Format::Json), 0);
    }

    #[test]
    fn without_a_key_secrets_are_written_as_rigging_writes_them() {
        let redactor = Redactor::new(RedactionKey::new("run", [7; 32]).unwrap(), &Policy::default());
        let mut snapshot = SnapshotFile::default();
        for (path, value) in [("password", "hunter2"), ("url", "postgres://app:hunter2@db/x"), ("host", "a")]
        {
            let mut value = Value::from(value);
            redactor.redact_value(path, &mut value);
            snapshot.config.insert(path.into(), value);
        }
        snapshot.forget_fingerprints();
        let text = serde_json::to_string(&snapshot.config).unwrap();
        assert!(!text.contains("hmac") && !text.contains("hunter2"), "{text}");
        assert_eq!(snapshot.config["password"], REDACTED);
        assert_eq!(snapshot.config["host"], "a");
    }

    use proptest::prelude::*;

    /// Values of every kind under keys that a path has to quote.
    fn fields() -> impl Strategy<Value = BTreeMap<String, Value>> {
        let key =
            prop::sample::select(vec!["a", "b", "a.b", "c d", "x[0]", "\"", "*", "ü", "", "=", "redacted"]);
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            prop::sample::select(vec!["1", "-0.0", "1e400", "18446744073709551616", "7.50"])
                .prop_map(|number| serde_json::from_str(number).unwrap()),
            "[a-z<>&\\n\u{2028}]{0,6}".prop_map(Value::from),
            Just(json!([])),
            Just(json!({})),
        ];
        let value = leaf.prop_recursive(3, 16, 3, move |inner| {
            let map = prop::collection::btree_map("[a-c.]{1,2}", inner.clone(), 1..3);
            prop_oneof![
                prop::collection::vec(inner, 1..3).prop_map(Value::Array),
                map.prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        let name = |key: &str| Path(vec![Segment::Key(key.to_owned())]).to_string();
        prop::collection::btree_map(key.prop_map(name), value, 0..5)
    }

    proptest! {
        #[test]
        fn print_then_read_is_identity(fields in fields()) {
            let limits = Limits::default();
            let mut layers = Layers::new(&limits);
            let origin = |path: &str| Origin { source: Source::file(path, Some(3)), secret: path.len() > 3 };
            layers.fields(fields.into_iter().map(|(path, value)| (path.clone(), value, origin(&path)))).unwrap();
            let crate::Merged { config, mut provenance } = layers.finish().unwrap();
            provenance.retain(|_, origin| origin.source != Source::Unknown || origin.secret);
            let snapshot = SnapshotFile { config, provenance, ..SnapshotFile::default() };
            let mut text = Vec::new();
            snapshot.write(&mut text).unwrap();
            prop_assert_eq!(SnapshotFile::read(&text, &limits).unwrap().unwrap(), snapshot);
        }

        #[test]
        fn any_config_of_a_snapshot_is_read_or_refused(keys in prop::collection::vec("[ab.\\[\\]0-9=\"*]{0,8}", 0..6)) {
            let config: serde_json::Map<String, Value> = keys.into_iter().map(|key| (key, json!([1, {"k": 2}]))).collect();
            let text = json!({"version": "1.0", "timestamp": "2026-01-01T00:00:00Z", "config": config}).to_string();
            if let Ok(Some(snapshot)) = SnapshotFile::read(text.as_bytes(), &Limits::default()) {
                prop_assert!(snapshot.config.keys().all(|path| path.parse::<Path>().is_ok()), "{:?}", snapshot.config);
            }
        }
    }
}
