//! Reading and printing are each other's opposite, and what was recorded is what was captured.

use proptest::prelude::*;
use rig_config::{Format, Limits, Path, Policy, RedactionKey, Redactor, Segment, config_digest, parse};
use rig_event::spelled;
use serde_json::Value;

use crate::nested;

fn number() -> impl Strategy<Value = Value> {
    "-?(0|[1-9][0-9]{0,24})(\\.[0-9]{1,4})?([eE][+-]?[0-9]{1,3})?"
        .prop_map(|text| spelled::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}")))
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        number(),
        any::<String>().prop_map(Value::from),
        "[\\.\"\\[\\]\\\\\n=ä]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 48, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            prop::collection::btree_map("[a-c.\\[\\]\"'= *\\\\\n\r\u{0}äß😀]{0,4}", inner, 0..5)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_is_printed_from_the_fields_is_the_document(value in value()) {
        let text = value.to_string();
        let doc = parse(text.as_bytes(), Format::Json, &Limits::default()).unwrap();
        prop_assert_eq!(nested::print(&doc.config), text);
    }

    #[test]
    fn layout_and_the_order_of_keys_never_count(value in value()) {
        let fields = |text: String, format| {
            parse(text.into_bytes(), format, &Limits::default()).unwrap().config
        };
        let plain = fields(value.to_string(), Format::Json);
        let pretty = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(&fields(pretty.replace('\n', "\r\n"), Format::Json), &plain);
        prop_assert_eq!(&fields(format!("\u{feff}/* c */{pretty}// c"), Format::Jsonc), &plain);
        prop_assert_eq!(&fields(reversed(&value), Format::Json), &plain);
    }

    #[test]
    fn a_captured_configuration_equals_its_own_recording(value in value()) {
        let redactor = Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::default());
        let mut doc =
            parse(value.to_string().into_bytes(), Format::Json, &Limits::default()).unwrap();
        doc.digest_then_redact(&redactor);
        let line = serde_json::to_string(&doc.config).unwrap();
        let again: rig_config::FlatConfig = spelled::config(&mut serde_json::Deserializer::from_str(&line)).unwrap();
        prop_assert_eq!(config_digest(&again), config_digest(&doc.config));
        prop_assert_eq!(again, doc.config);
    }

    #[test]
    fn any_key_survives_the_syntax_of_paths(keys in prop::collection::vec(any::<String>(), 1..5), index in any::<usize>()) {
        let mut segments: Vec<Segment> = keys.into_iter().map(Segment::Key).collect();
        segments.push(Segment::Index(index));
        let path = Path(segments);
        prop_assert_eq!(path.to_string().parse::<Path>().unwrap(), path);
    }
}

/// JSON with the keys of every map in the opposite order.
fn reversed(value: &Value) -> String {
    match value {
        Value::Array(items) => {
            format!("[{}]", items.iter().map(reversed).collect::<Vec<_>>().join(","))
        }
        Value::Object(entries) => {
            let entries = entries
                .iter()
                .rev()
                .map(|(key, entry)| format!("{}:{}", Value::from(key.as_str()), reversed(entry)));
            format!("{{{}}}", entries.collect::<Vec<_>>().join(","))
        }
        leaf => leaf.to_string(),
    }
}
