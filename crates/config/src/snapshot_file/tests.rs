//! Tests of snapshot files.

use serde_json::json;

use super::*;
use crate::provenance::{Origin, Source};
use crate::{Error, Layers, Policy, RedactionKey};

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
    let fields: Vec<String> = snapshot.config.iter().map(|(path, value)| format!("{path}={value}")).collect();
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
        r#"{"version": "1.0", "config": {"a": 1}, "mine": 1}"#,
        r#"{"version": "2.0", "config": {"a": 1}}"#,
        r#"{"version": "1.0", "config": {"a": 1}, "provenance": {}}"#,
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
        (r#"{"version": "hunter2", "timestamp": "2026-01-01T00:00:00Z", "config": {}}"#, "another version"),
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
    let text =
        r#"{"version":"1.0","timestamp":"2026-01-01T00:00:00Z","config":{"a":1e3,"b":[1E400,{"c":1.50}]}}"#;
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
    assert_eq!(paths("database"), "database.host database.password servers[0].port servers[1].port timeout");
    assert_eq!(paths("database.**"), "servers[0].port servers[1].port timeout");
    assert_eq!(paths("Servers"), "database.host database.password timeout");
    assert_eq!(paths("**.p*"), "database.host timeout");
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
    for (path, value) in [("password", "hunter2"), ("url", "postgres://app:hunter2@db/x"), ("host", "a")] {
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
    let key = prop::sample::select(vec!["a", "b", "a.b", "c d", "x[0]", "\"", "*", "ü", "", "=", "redacted"]);
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
        let again = SnapshotFile::read(&text, &limits).unwrap().unwrap();
        prop_assert_eq!(&again, &snapshot);
        let mut twice = Vec::new();
        again.write(&mut twice).unwrap();
        prop_assert_eq!(String::from_utf8(twice).unwrap(), String::from_utf8(text).unwrap());
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

fn written(snapshot: &SnapshotFile) -> String {
    let mut text = Vec::new();
    snapshot.write(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

/// As Rigging writes it: nanoseconds, lists, escapes, names with spaces, words for sources, and no line end.
const GO: &str = r#"{
  "version": "1.0",
  "timestamp": "2026-01-15T10:30:00.123456789Z",
  "config": {
    "database.host": "a\u003cb\u0026c",
    "database.password": "***redacted***",
    "empty": [],
    "labels.with space": "x",
    "log": "info",
    "log.level": "debug",
    "servers": [
      {
        "name": "a",
        "port": 1
      },
      {
        "name": "b",
        "port": 2
      }
    ],
    "servers-x": 1e3,
    "timeout": "1m30s"
  },
  "provenance": [
    {
      "FieldPath": "Database.Host",
      "KeyPath": "database.host",
      "SourceName": "override (cli)",
      "Secret": false
    },
    {
      "FieldPath": "Gone",
      "KeyPath": "gone",
      "SourceName": "default",
      "Secret": false
    },
    {
      "FieldPath": "Database.Password",
      "KeyPath": "database.password",
      "SourceName": "file:config.yaml:7",
      "Secret": true
    },
    {
      "FieldPath": "Servers",
      "KeyPath": "servers",
      "SourceName": "env:APP_SERVERS",
      "Secret": false
    }
  ],
  "extra": {
    "a": 1
  }
}"#;

#[test]
fn a_file_of_rigging_survives_reading_and_writing_to_the_byte() {
    let snapshot = read(GO).unwrap().unwrap();
    assert_eq!(written(&snapshot), GO);
    assert_eq!(snapshot.spelling.unknown().collect::<Vec<_>>(), ["extra"]);
    assert_eq!(snapshot.config["labels.\"with space\""], "x");
    assert_eq!((&snapshot.config["log"], &snapshot.config["log.level"]), (&json!("info"), &json!("debug")));
    assert_eq!(snapshot.config["servers[1].port"], 2);
    assert_eq!(snapshot.provenance["database.host"].source.to_string(), "override (cli)");
    assert_eq!(snapshot.provenance["servers[1].name"].source.to_string(), "env:APP_SERVERS");
}

#[test]
fn what_changed_is_written_anew_and_the_rest_as_it_was() {
    let mut snapshot = read(GO).unwrap().unwrap();
    snapshot.config.insert("servers[1].port".into(), json!(3));
    assert_eq!(written(&snapshot), GO.replace("\"port\": 2", "\"port\": 3"));
    snapshot.exclude(&["servers[0].*".parse().unwrap(), "gone".parse().unwrap()]);
    let text = written(&snapshot);
    assert!(text.contains("\"servers[1].port\": 3") && !text.contains("\"servers\": ["), "{text}");
    assert!(text.contains("\"FieldPath\": \"Database.Host\"") && !text.contains("Gone"), "{text}");
    assert_eq!(read(&text).unwrap().unwrap(), snapshot);
    snapshot.timestamp = "2026-02-01T00:00:00Z".parse().unwrap();
    assert!(written(&snapshot).contains("\"timestamp\": \"2026-02-01T00:00:00.000000Z\""));
}

#[test]
fn a_secret_in_a_list_or_in_an_unknown_member_is_redacted_in_what_is_written() {
    let redactor = Redactor::new(RedactionKey::new("run", [7; 32]).unwrap(), &Policy::default());
    let text = r#"{"version":"1.0","timestamp":"2026-01-01T00:00:00Z",
            "config":{"users":[{"name":"a","password":"hunter2-hunter2"}],"urls":["redis://u:hunter2@h/0?token=hunter2"]},
            "extra":{"password":"hunter2-hunter2","url":"redis://u:hunter2@h/0"}}"#;
    let mut snapshot = read(text).unwrap().unwrap();
    assert!(snapshot.redact(&redactor, Format::Json) >= 2);
    let text = written(&snapshot);
    assert!(!text.contains("hunter2") && text.contains("\"name\": \"a\""), "{text}");
    snapshot.forget_fingerprints();
    let text = written(&snapshot);
    assert!(!text.contains("hmac") && text.matches("***redacted***").count() >= 4, "{text}");
    assert!(read(&text).unwrap().is_some());
}

#[test]
fn a_file_is_known_by_what_it_has() {
    for text in [
        r#"{"version":"1.0","timestamp":"2026-01-01T00:00:00Z","config":{"a":1},"more":1}"#,
        r#"{"version":"1.0","config":{"a":1},"provenance":null,"more":1}"#,
        r#"{"version":"1.0","config":{"a":1}}"#,
        r#"{"version":"1.0","config":{"a":1},"provenance":[]}"#,
        r#"{"version":"1.0","timestamp":"2026-01-01T00:00:00Z","config":{"a":1},"audit":{"who":1}}"#,
    ] {
        let snapshot = read(text).unwrap();
        let snapshot = snapshot.unwrap_or_else(|| panic!("{text}"));
        assert_eq!(snapshot.config["a"], 1);
        assert_eq!(snapshot.spelling.is_timeless(), !text.contains("timestamp"), "{text}");
        let again = written(&snapshot);
        assert_eq!(written(&read(&again).unwrap().unwrap()), again);
        assert_eq!(again.contains("timestamp"), text.contains("timestamp"));
    }
    let plain = r#"{"version":"1.0","config":{"a":1},"name":"x"}"#;
    assert_eq!(read(plain), Ok(None));
    let declared = SnapshotFile::read_declared(plain.as_bytes(), &Limits::default()).unwrap();
    assert_eq!(declared.spelling.unknown().collect::<Vec<_>>(), ["name"]);
    for other in ["[1]", "{}", "not json"] {
        let error = SnapshotFile::read_declared(other.as_bytes(), &Limits::default()).unwrap_err();
        assert_eq!(error.code(), "bad-snapshot-file", "{other}");
    }
}

#[test]
fn a_source_that_is_not_fit_to_be_repeated_is_unknown() {
    let text = r#"{"version":"1.0","timestamp":"2026-01-01T00:00:00Z","config":{"a":1},
            "provenance":[{"KeyPath":"a","SourceName":"postgres://app:hunter2@db/x"}]}"#;
    let snapshot = read(text).unwrap().unwrap();
    assert_eq!(snapshot.provenance["a"].source, Source::Unknown);
    assert!(!written(&snapshot).contains("hunter2"));
}

#[test]
fn secrets_are_not_kept_in_names() {
    let token = "ghp_16C7e42F292c6912E7710c838347Ae178B4a";
    for config in
        [format!(r#""a.{token}":1"#), format!(r#""a":[{{"{token}":1}}]"#), format!(r#""{token}":1"#)]
    {
        let text = format!(r#"{{"version":"1.0","timestamp":"2026-01-01T00:00:00Z","config":{{{config}}}}}"#);
        let error = read(&text).unwrap_err();
        assert_eq!(error.code(), "secret-in-key");
        assert!(!error.to_string().contains(token));
    }
}
