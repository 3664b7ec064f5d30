//! Snapshot files, by the rules of the format: whatever is written is read, and written again to the byte.

use std::collections::BTreeMap;

use proptest::prelude::*;
use rig_config::{Format, Limits, Origin, SnapshotFile, Source, parse};
use serde_json::{Value, json};

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "[<>&\u{2028}\"\\\\\n a-c]{0,6}".prop_map(Value::from),
        Just(json!([])),
        Just(json!({})),
        Just(json!("***redacted***")),
        Just(json!("redis://u:<redacted:hmac:k1:0123456789abcdef>@h/0")),
    ]
}

fn value() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-c.\\[\\]\"= *\\\\\nß]{0,4}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

fn document() -> impl Strategy<Value = BTreeMap<String, Value>> {
    prop::collection::btree_map("[a-d0-9.\\[\\]\"=* _<-]{1,6}", value(), 0..8)
}

fn source() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "default",
        "env:APP_A",
        "file:a.yaml",
        "file:a:7",
        "override (cli)",
        "a@b",
        "unknown",
    ])
    .prop_map(str::to_owned)
}

fn written(snapshot: &SnapshotFile) -> String {
    let mut text = Vec::new();
    snapshot.write(&mut text).unwrap();
    String::from_utf8(text).unwrap()
}

fn read(text: &str) -> SnapshotFile {
    SnapshotFile::read(text.as_bytes(), &Limits::default()).unwrap().unwrap_or_else(|| panic!("{text}"))
}

/// Holds a file against what shared readers of the format expect.
fn check_rules(text: &str) {
    let file: Value = serde_json::from_str(text).unwrap();
    assert_eq!(file["version"], "1.0");
    let time: rig_config::Timestamp = file["timestamp"].as_str().unwrap().parse().unwrap();
    assert!(file["timestamp"].as_str().unwrap().ends_with('Z'), "{time}");
    let names: Vec<&String> = file["config"].as_object().unwrap().keys().collect();
    let places: Vec<usize> = names
        .iter()
        .filter_map(|name| text.find(&format!("\n    {}: ", Value::from(name.as_str()))))
        .collect();
    assert_eq!(places.len(), names.len(), "each name stands at the margin of the map: {text}");
    assert!(places.is_sorted(), "names are sorted: {text}");
    match &file["provenance"] {
        Value::Null => {}
        Value::Array(entries) => {
            for entry in entries {
                let is_text = |key: &str| entry[key].is_string();
                assert!(
                    is_text("FieldPath")
                        && is_text("KeyPath")
                        && is_text("SourceName")
                        && entry["Secret"].is_boolean()
                );
            }
        }
        other => panic!("{other}"),
    }
}

/// As Go's encoder does.
fn escaped(json: String) -> String {
    let escapes = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    escapes.iter().fold(json, |json, (sign, escape)| json.replace(*sign, escape))
}

proptest! {
    // PROPTEST_CASES=10000 tries that many.
    #[test]
    fn what_is_written_of_any_document_is_read_and_written_again_to_the_byte(
        document in document(), sources in prop::collection::vec((source(), any::<bool>()), 1..4), extra in value(),
    ) {
        let text = serde_json::to_string(&document).unwrap();
        let config = parse(text.into_bytes(), Format::Json, &Limits::default()).unwrap().config;
        let origins = config.keys().zip(sources.iter().cycle()).filter(|(_, (source, _))| source != "unknown");
        let provenance = origins
            .map(|(path, (source, secret))| {
                let source = source.parse::<Source>().unwrap_or(Source::Unknown);
                (path.clone(), Origin { source, secret: *secret })
            })
            .collect();
        let mut snapshot = SnapshotFile { config, provenance, ..SnapshotFile::default() };
        snapshot.audit.insert("tool".into(), extra.to_string());
        let text = written(&snapshot);
        check_rules(&text);
        let again = read(&text);
        prop_assert_eq!(&again, &snapshot);
        prop_assert_eq!(written(&again), text);
    }

    #[test]
    fn a_file_that_another_program_wrote_is_written_again_to_the_byte(
        config in document(), sources in prop::collection::vec((source(), any::<bool>()), 0..4), extra in value(),
    ) {
        let entries: Vec<Value> = config
            .keys()
            .zip(&sources)
            .map(|(name, (source, secret))| {
                // A source that is not fit to be repeated is not.
                let source = if source == "a@b" { "default" } else { source };
                json!({"FieldPath": name.to_uppercase(), "KeyPath": name, "SourceName": source, "Secret": secret})
            })
            .collect();
        #[derive(serde::Serialize)]
        struct Go {
            version: &'static str,
            timestamp: &'static str,
            config: BTreeMap<String, Value>,
            provenance: Option<Vec<BTreeMap<String, Value>>>,
            unknown: Value,
        }
        let entries = entries.into_iter().map(|entry| entry.as_object().unwrap().clone().into_iter().collect()).collect();
        let go = Go {
            version: "1.0",
            timestamp: "2026-01-15T10:30:00.123456789Z",
            provenance: Some(entries).filter(|entries: &Vec<_>| !entries.is_empty()),
            config,
            unknown: extra,
        };
        let text = escaped(serde_json::to_string_pretty(&go).unwrap());
        // Two names may be one path, which is refused.
        let read = SnapshotFile::read(text.as_bytes(), &Limits::default());
        prop_assume!(!matches!(&read, Err(error) if error.code() == "duplicate-key"));
        let again = written(&read.unwrap().unwrap());
        let said = |text: &str| serde_json::from_str::<Value>(text).unwrap();
        prop_assert_eq!(said(&again), said(&text));
        let fields = |text: &str| text.split_once("\n  \"provenance\"").unwrap().0.to_owned();
        prop_assert_eq!(fields(&again), fields(&text));
    }
}
