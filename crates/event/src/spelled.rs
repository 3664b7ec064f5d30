//! JSON values and flat configurations, whose numbers stay as they are spelled.
//!
//! `serde_json` keeps a number's text but writes a sign into an exponent that has none when it *reads*: `1e3` becomes
//! `1e+3`. A configuration would then not equal its own recording. What is read here keeps every character; fields
//! that hold a configuration's values name these functions in `deserialize_with`.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::value::RawValue;
use serde_json::{Number, Value};

/// A configuration as flat paths (`database.host`, `servers[0].port`) to leaf values.
///
/// A leaf is null, a boolean, a number as it was spelled, a string, an empty list, an empty map,
/// or the marker of a redacted secret, `{"redacted":"…"}`. The map is sorted, so writing it without
/// white space gives its canonical form.
pub type FlatConfig = BTreeMap<String, Value>;

/// Maximum nesting of a value, as in `serde_json`. A leaf of a configuration is hardly nested at all.
const MAX_DEPTH: usize = 128;

/// The number that a text spells in JSON's grammar (RFC 8259, section 6), if it spells one.
pub fn number(text: &str) -> Option<Number> {
    let digits = |text: &mut &str| {
        let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
        let found = rest.len() < text.len();
        *text = rest;
        found
    };
    let whole = text.strip_prefix('-').unwrap_or(text);
    let mut rest = whole;
    let fine = digits(&mut rest) && (!whole.starts_with('0') || rest.len() + 1 == whole.len());
    let fraction = rest.strip_prefix('.').is_none_or(|after| {
        rest = after;
        digits(&mut rest)
    });
    let exponent = rest.strip_prefix(['e', 'E']).is_none_or(|after| {
        rest = after.strip_prefix(['+', '-']).unwrap_or(after);
        digits(&mut rest)
    });
    // The one way to a number that is not spelled anew; hidden in the documentation, so a test below holds on to it.
    (fine && fraction && exponent && rest.is_empty()).then(|| Number::from_string_unchecked(text.to_owned()))
}

/// Reads JSON. Of equal keys the last wins.
///
/// # Errors
/// If the text is not JSON, or is nested deeper than 128 levels.
pub fn from_str(text: &str) -> serde_json::Result<Value> {
    read(serde_json::from_str(text)?, MAX_DEPTH)
}

/// Converts a value to JSON with sorted maps.
///
/// # Errors
/// Where the value has no form in JSON.
pub fn to_value(value: &impl Serialize) -> serde_json::Result<Value> {
    from_str(&serde_json::to_string(value)?)
}

fn read(raw: &RawValue, depth: usize) -> serde_json::Result<Value> {
    let text = raw.get();
    let deeper = || depth.checked_sub(1).ok_or_else(|| de::Error::custom("nested too deep"));
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map(Value::String),
        // Raw JSON was read as JSON before: what begins like a number is one.
        Some(b'-' | b'0'..=b'9') => Ok(Value::Number(Number::from_string_unchecked(text.to_owned()))),
        Some(b'[') => {
            let depth = deeper()?;
            let items: Vec<&RawValue> = serde_json::from_str(text)?;
            items.into_iter().map(|item| read(item, depth)).collect::<Result<_, _>>().map(Value::Array)
        }
        Some(b'{') => {
            let depth = deeper()?;
            let entries: BTreeMap<String, &RawValue> = serde_json::from_str(text)?;
            let entries = entries.into_iter().map(|(key, entry)| Ok((key, read(entry, depth)?)));
            entries.collect::<Result<_, _>>().map(Value::Object)
        }
        _ => serde_json::from_str(text),
    }
}

/// A value as it is spelled, for use inside what is deserialised here.
struct Spelled(Value);

impl<'de> Deserialize<'de> for Spelled {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(d)?;
        read(&raw, MAX_DEPTH).map(Spelled).map_err(de::Error::custom)
    }
}

/// Reads a value; to be named in `deserialize_with`.
///
/// # Errors
/// If the value is nested deeper than 128 levels.
pub fn value<'de, D: Deserializer<'de>>(d: D) -> Result<Value, D::Error> {
    Spelled::deserialize(d).map(|Spelled(value)| value)
}

/// Reads a value that is there: an explicit `null` is `Some(Value::Null)`. To be named in `deserialize_with` beside
/// `default`.
///
/// # Errors
/// As [`value`].
pub fn present<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    value(d).map(Some)
}

/// Reads a value where `null` is none; to be named in `deserialize_with` beside `default`.
///
/// # Errors
/// As [`value`].
pub fn optional<'de, D: Deserializer<'de>>(d: D) -> Result<Option<Value>, D::Error> {
    value(d).map(|value| Some(value).filter(|value| !value.is_null()))
}

/// Reads a flat configuration, also behind an `Arc`; to be named in `deserialize_with`.
///
/// # Errors
/// If it is not a map, and as [`value`].
pub fn config<'de, D: Deserializer<'de>, C: From<FlatConfig>>(d: D) -> Result<C, D::Error> {
    let fields = BTreeMap::<String, Spelled>::deserialize(d)?;
    let fields: FlatConfig = fields.into_iter().map(|(path, Spelled(value))| (path, value)).collect();
    Ok(fields.into())
}

/// Reads a flat configuration that may be absent or `null`; to be named in `deserialize_with` beside `default`.
///
/// # Errors
/// As [`config`].
pub fn optional_config<'de, D: Deserializer<'de>, C: From<FlatConfig>>(d: D) -> Result<Option<C>, D::Error> {
    struct Config(FlatConfig);
    impl<'de> Deserialize<'de> for Config {
        fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
            config(d).map(Config)
        }
    }
    Ok(Option::<Config>::deserialize(d)?.map(|Config(config)| config.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Change, Envelope, Event};

    const NUMBERS: [&str; 12] = [
        "0",
        "-0",
        "1e3",
        "1E3",
        "1e+3",
        "1.0e-7",
        "1.50",
        "-0.0E-0",
        "18446744073709551616",
        "1e99999",
        "10",
        "-12.5e05",
    ];

    #[test]
    fn numbers_keep_every_character() {
        for text in NUMBERS {
            assert_eq!(number(text).unwrap().to_string(), text);
            assert_eq!(from_str(text).unwrap().to_string(), text);
            let nested = format!(r#"{{"a":[{text},{{"b":{text}}}]}}"#);
            assert_eq!(from_str(&nested).unwrap().to_string(), nested);
            assert_eq!(to_value(&from_str(&nested).unwrap()).unwrap().to_string(), nested);
        }
        for text in
            ["", "-", "+1", "01", "-01", "1.", ".5", "1e", "1e+", "1x", "0x1", " 1", "1 ", "e3", "--1", "٣"]
        {
            assert_eq!(number(text), None, "{text}");
        }
    }

    #[test]
    fn json_is_read_as_serde_json_reads_it() {
        for text in [r#" {"b" : [ null, true , "ü\n"], "a":{}, "b":2} "#, "[]", "\"\"", "null"] {
            assert_eq!(from_str(text).unwrap(), serde_json::from_str::<Value>(text).unwrap());
        }
        for text in ["", "[1,]", "{\"a\"}", "1 2", "nul", "[01]"] {
            assert!(from_str(text).is_err(), "{text}");
        }
        // A key that serde_json uses for itself is a key like any other.
        let private = r#"{"$serde_json::private::Number":"1"}"#;
        assert_eq!(from_str(private).unwrap().to_string(), private);
        let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(from_str(&deep(MAX_DEPTH)).is_ok());
        assert!(from_str(&deep(MAX_DEPTH + 1)).is_err());
    }

    #[test]
    fn an_event_read_back_has_the_numbers_it_was_written_with() {
        for number in NUMBERS {
            let fields = [
                format!(
                    r#""type":"snapshot.captured","digest":"","config_digest":"","format":"json","bytes":1,"fields":1,"config":{{"a":{number}}}"#
                ),
                format!(
                    r#""type":"diff.computed","from":1,"to":2,"added":0,"removed":0,"changed":1,"changes":[{{"op":"changed","path":"a","before":{number},"after":null,"severity":"low"}}]"#
                ),
                format!(
                    r#""type":"drift.detected","against":"baseline","verdict":"drifted","differing":1,"fields":[{{"op":"added","path":"a","after":{number},"severity":"low"}}]"#
                ),
            ];
            for fields in fields {
                let line = format!(r#"{{"seq":1,"ts":"2026-11-20T10:30:05.000000Z",{fields}}}"#);
                let envelope = Envelope::parse(line.as_bytes()).unwrap();
                let body = crate::Draft::new(None, envelope.event).encode().unwrap();
                let mut again = Vec::new();
                body.write_line(1, "2026-11-20T10:30:05.000000Z", 0, &mut again);
                assert_eq!(String::from_utf8(again).unwrap().trim_end(), line);
            }
        }
    }

    #[test]
    fn a_null_that_is_there_is_not_absent() {
        let change: Change = serde_json::from_str(r#"{"op":"added","path":"a","after":null}"#).unwrap();
        assert_eq!((change.before, change.after), (None, Some(Value::Null)));
        let through = serde_json::from_value::<Change>(
            to_value(&serde_json::json!({"op":"added","path":"a","after":1})).unwrap(),
        );
        assert_eq!(through.unwrap().after, Some(1.into()));
        let line = br#"{"seq":1,"ts":"2026-11-20T10:30:05Z","type":"snapshot.captured","digest":"","config_digest":"","format":"json","bytes":1,"fields":1,"config":null}"#;
        let Event::SnapshotCaptured(captured) = Envelope::parse(line).unwrap().event else { panic!() };
        assert_eq!(captured.config, None);
    }
}
