//! Redacts events as clients post them and recordings hold them: nested values, keys, logs, bodies in base
//! 64.
//!
//! An event's strings stay strings where they are known by their looks, so that its fields keep their types; a value under
//! a secret's name becomes the marker. Keys that are secrets are written as `<redacted:…>` too.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use rig_event::FlatConfig;
use serde_json::{Map, Value};

use super::fields::Told;
use super::marker::{inline, is_marker, marker_key};
use super::scan::Shapes;
use super::{Redactor, Secret, told};
use crate::Path;
use crate::path::Segment;
use crate::path::lenient;
use crate::random::is_random_key;
use crate::secrets::names::{key_of, lists_secrets};
use crate::secrets::{NAMED, names, triggers, values};

/// Fields that hold what programs print.
const PRINTED: &str = "data message error msg text line output stdout stderr log reason detail description summary \
    stack trace path url uri query target_url command cmd statement sql title body";

/// Lists whose strings are the lines of one text.
const LINES: &str = "lines log logs output stdout stderr";

fn is_in(list: &str, word: &str) -> bool {
    list.split_ascii_whitespace().any(|listed| listed == word)
}

/// One pass over an event, with the secrets found so far.
struct Walk<'a> {
    redactor: &'a Redactor,
    told: std::collections::BTreeMap<String, Told>,
    found: Vec<Secret>,
}

impl Redactor {
    /// Replaces the secrets in one field of an event, its name and the keys in it included; says what there was.
    pub fn redact_event(&self, name: &mut String, value: &mut Value) -> Vec<Secret> {
        if self.known_secrets() == 0 && !is_suspicious(name, value) {
            return Vec::new();
        }
        let mut found = Vec::new();
        if let Some(safe) = self.safe_key(name, ["", ""]) {
            *name = safe;
            found.push(Secret { path: name.clone(), kind: "key" });
        }
        self.keys(["", name], value, &mut found);
        let mut path = String::new();
        Segment::Key(name.clone()).print(&mut path);
        let mut flat = FlatConfig::new();
        flatten(&mut path.clone(), value, &mut flat);
        let mut walk = Walk { redactor: self, told: told(&flat), found };
        walk.value(&mut path, name, value);
        walk.found
    }

    /// Replaces the secrets in what a program printed; says what kinds there were.
    pub fn redact_log(&self, text: &mut String) -> Vec<&'static str> {
        self.string(text, Shapes::Log)
    }

    /// Returns true if the name is a secret. It has to be kept as it is, so the caller must refuse it.
    pub fn is_secret_name(&self, name: &str) -> bool {
        values::is_secret_key(name)
    }

    /// Returns the replacement for a key that is a secret, by its looks or by a plural name above it. A path
    /// contains both.
    fn safe_key(&self, key: &str, above: [&str; 2]) -> Option<String> {
        let listed = is_random_key(key) && lists_secrets(&above);
        let secret = (listed || values::is_secret_key(key)) && !key.contains("<redacted:");
        if secret {
            return Some(inline(&self.fingerprint(key.as_bytes())));
        }
        self.safe_path(key)
    }

    /// A path without the steps that are secrets, where it has some.
    fn safe_path(&self, path: &str) -> Option<String> {
        if !path.contains(['.', '[']) || !names::may_say_something(path) {
            return None;
        }
        let Path(mut steps) = lenient(path);
        let mut above: Vec<&str> = Vec::new();
        let mut secret = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let Some(key) = key_of(step) else { continue };
            if is_random_key(key) && lists_secrets(&above) {
                secret.push((at, inline(&self.fingerprint(key.as_bytes()))));
            }
            above.push(key);
        }
        if secret.is_empty() {
            return None;
        }
        secret.into_iter().for_each(|(at, safe)| steps[at] = Segment::Key(safe));
        Some(Path(steps).to_string())
    }

    /// Replaces keys that are secrets, at any depth.
    fn keys(&self, above: [&str; 2], value: &mut Value, found: &mut Vec<Secret>) {
        match value {
            Value::Array(items) => items.iter_mut().for_each(|item| self.keys(above, item, found)),
            Value::Object(entries) => {
                let secret: Vec<(String, String)> = entries
                    .keys()
                    .filter_map(|key| Some((key.clone(), self.safe_key(key, above)?)))
                    .collect();
                for (key, safe) in secret {
                    if let Some(entry) = entries.remove(&key) {
                        let mut path = above[1].to_owned();
                        Segment::Key(safe.clone()).print(&mut path);
                        found.push(Secret { path, kind: "key" });
                        entries.insert(safe, entry);
                    }
                }
                entries.iter_mut().for_each(|(key, entry)| self.keys([above[1], key], entry, found));
            }
            _ => {}
        }
    }
}

/// Returns true if the text is an HMAC-SHA256 as rig writes it.
pub fn is_mac(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Returns true if the field needs a closer look: a key, a string or a name in it may announce a secret, or
/// it is a body.
fn is_suspicious(name: &str, value: &Value) -> bool {
    let named = triggers::any(name) || !name.is_ascii();
    match value {
        Value::String(text) => named || is_body(name) || triggers::any(text),
        // An option makes a list one of arguments.
        Value::Array(items) => {
            let is_option = |item: &Value| item.as_str().is_some_and(|text| text.starts_with(['-', '/']));
            named || items.iter().any(|item| is_option(item) || is_suspicious(name, item))
        }
        Value::Object(entries) => named || entries.iter().any(|(key, entry)| is_suspicious(key, entry)),
        Value::Number(_) => named,
        Value::Null | Value::Bool(_) => named && values::is_secret_key(name),
    }
}

/// Returns true if the field holds a body, which recordings have in base 64.
fn is_body(name: &str) -> bool {
    name.ends_with("body") || name.ends_with("payload") || name == "data"
}

/// Returns true if the entry is a rule and the number of secrets that it named in a document.
fn is_count((rule, count): (&String, &Value)) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    rule.bytes().all(fine) && count.as_u64().is_some_and(|count| count <= 1_000_000)
}

fn flatten(path: &mut String, value: &Value, flat: &mut FlatConfig) {
    let length = path.len();
    let mut step = |segment: Segment, value: &Value| {
        segment.print(path);
        flatten(path, value, flat);
        path.truncate(length);
    };
    match value {
        Value::Array(items) => items.iter().enumerate().for_each(|(i, item)| step(Segment::Index(i), item)),
        Value::Object(entries) => {
            entries.iter().for_each(|(key, entry)| step(Segment::Key(key.clone()), entry))
        }
        leaf => drop(flat.insert(path.clone(), leaf.clone())),
    }
}

impl Walk<'_> {
    fn found(&mut self, path: &str, kind: &'static str) {
        self.found.push(Secret { path: path.to_owned(), kind });
    }

    fn value(&mut self, path: &mut String, name: &str, value: &mut Value) {
        match value {
            Value::Null | Value::Bool(_) => {}
            _ if marker_key(value).is_some() => {}
            Value::Array(items) => {
                if items.len() > 1 && is_in(LINES, name) && items.iter().all(Value::is_string) {
                    self.lines(path, items);
                }
                let length = path.len();
                for (i, item) in items.iter_mut().enumerate() {
                    Segment::Index(i).print(path);
                    self.value(path, name, item);
                    path.truncate(length);
                }
            }
            Value::Object(entries) => self.object(path, name, entries),
            Value::Number(_) | Value::String(_) => self.leaf(path, name, value),
        }
    }

    fn object(&mut self, path: &mut String, name: &str, entries: &mut Map<String, Value>) {
        if name == "config" {
            return self.config(path, entries);
        }
        if name == "provenance" {
            // It says where a secret came from, and nothing of the secret.
            for text in entries.values_mut() {
                let Value::String(text) = text else { continue };
                let kinds = self.redactor.string(text, Shapes::Assignments);
                kinds.into_iter().for_each(|kind| self.found(path, kind));
            }
            return;
        }
        // The names of rules say secret and token, and these are how many secrets each named.
        if name == "redacted_by" && entries.iter().all(is_count) {
            return;
        }
        // A change of a field: its values are the field's.
        let field = match entries.get("path") {
            Some(Value::String(field)) if entries.contains_key("before") || entries.contains_key("after") => {
                Some(field.clone())
            }
            _ => None,
        };
        // What signed a baseline looks random, and is no secret.
        let is_signed = entries.contains_key("key_id");
        let length = path.len();
        for (key, entry) in entries.iter_mut() {
            if is_signed && key == "signature" && entry.as_str().is_some_and(is_mac) {
                continue;
            }
            Segment::Key(key.clone()).print(path);
            match &field {
                Some(field) if matches!(key.as_str(), "before" | "after") => {
                    if let Some(kind) = self.redactor.field(field, entry, None, 0) {
                        self.found(path, kind);
                    }
                }
                _ => self.value(path, key, entry),
            }
            path.truncate(length);
            // What is said with a capture is text, also where it was a secret as a whole.
            if name == "meta"
                && marker_key(entry).is_some()
                && let Some(fingerprint) = entry["redacted"].as_str()
            {
                *entry = inline(fingerprint).into();
            }
        }
    }

    /// A flat configuration: its keys are paths.
    fn config(&mut self, path: &str, entries: &mut Map<String, Value>) {
        let mut flat: FlatConfig = std::mem::take(entries).into_iter().collect();
        let only_text = flat.len() == 1;
        let mut found = Vec::new();
        match flat.get_mut("text") {
            Some(text) if only_text => {
                let kinds = self.redactor.redact_lines(text, None);
                found.extend(kinds.into_iter().map(|one| Secret { path: "text".to_owned(), kind: one.kind }));
            }
            _ => self.redactor.config(&mut flat, |_| None, 0, &mut found),
        }
        entries.extend(flat);
        self.found
            .extend(found.into_iter().map(|one| Secret { path: format!("{path}: {}", one.path), ..one }));
    }

    /// The strings of a list as the lines of one text, so that what goes over several is found; each line stays one.
    fn lines(&mut self, path: &str, items: &mut [Value]) {
        let text = items.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
        let found = super::text::find(&text, Shapes::All, None);
        if found.is_empty() {
            return;
        }
        let mut start = 0;
        for (number, item) in items.iter_mut().enumerate() {
            let Value::String(line) = item else { continue };
            let end = start + line.len();
            let own = found.iter().filter(|one| one.range.start < end && one.range.end > start);
            let mut pieces: Vec<_> = own
                .map(|one| (one.range.start.max(start) - start..one.range.end.min(end) - start, one.kind))
                .collect();
            // What a diff puts before its lines is no part of a key.
            let sign = line.starts_with([' ', '+', '-']);
            for (range, kind) in pieces.iter_mut().rev() {
                if sign && range.start == 0 && range.end > 1 {
                    range.start = 1;
                }
                let fingerprint = self.redactor.fingerprint(&line.as_bytes()[range.clone()]);
                line.replace_range(range.clone(), &inline(&fingerprint));
                self.found.push(Secret { path: format!("{path}[{number}]"), kind });
            }
            start = end + 1;
        }
    }

    fn leaf(&mut self, path: &str, name: &str, value: &mut Value) {
        match (self.told.get(path), &mut *value) {
            (Some(Told::Part(range)), Value::String(text)) => {
                let fingerprint = self.redactor.fingerprint(&text.as_bytes()[range.clone()]);
                text.replace_range(range.clone(), &inline(&fingerprint));
                return self.found(path, "command-line");
            }
            (Some(Told::Nothing), _) => return,
            (Some(_), value) => {
                if self.redactor.hide(value) {
                    self.found(path, NAMED);
                }
                return;
            }
            _ => {}
        }
        if let Some(kind) = self.redactor.hides_whole(path, value, None) {
            if self.redactor.hide(value) {
                self.found(path, kind);
            }
            return;
        }
        let Value::String(text) = value else { return };
        if is_marker(text) {
            return;
        }
        // What names fields has their keys in it: a change, a field that drifts, the rules that decided.
        if matches!(name, "path" | "rules") {
            let safe: Vec<Cow<'_, str>> = text
                .split(' ')
                .map(|word| self.redactor.safe_path(word).map_or(Cow::Borrowed(word), Cow::Owned))
                .collect();
            if safe.iter().any(|word| matches!(word, Cow::Owned(_))) {
                *text = safe.join(" ");
                self.found(path, "key");
            }
        }
        if is_body(name)
            && let Some(kinds) = self.redactor.body(text)
        {
            kinds.into_iter().for_each(|kind| self.found(path, kind));
            return;
        }
        let is_text = is_in(PRINTED, name) || text.contains('\n');
        let kinds = self.redactor.string(text, if is_text { Shapes::Log } else { Shapes::Assignments });
        kinds.into_iter().for_each(|kind| self.found(path, kind));
    }
}

impl Redactor {
    /// Replaces the secrets in a string, in place.
    fn string(&self, text: &mut String, shapes: Shapes) -> Vec<&'static str> {
        let found = self.find_in(text, shapes);
        if !found.is_empty() {
            *text = self.replaced(text, &found);
        }
        found.into_iter().map(|one| one.kind).collect()
    }

    /// Replaces the secrets in a body in base 64; `None` when it is no base 64.
    fn body(&self, text: &mut String) -> Option<Vec<&'static str>> {
        let trimmed = text.trim();
        if trimmed.len() < 8 {
            return None;
        }
        let engines = [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD];
        let (engine, bytes) =
            engines.into_iter().find_map(|engine| Some((engine, engine.decode(trimmed).ok()?)))?;
        let whole = String::from_utf8(bytes);
        let mut plain = whole.unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        let kinds: Vec<_> = match serde_json::from_str::<Value>(&plain) {
            Ok(mut json @ (Value::Object(_) | Value::Array(_))) => {
                let found = self.redact_event(&mut "content".to_owned(), &mut json);
                if !found.is_empty() {
                    plain = json.to_string();
                }
                found.into_iter().map(|secret| secret.kind).collect()
            }
            _ => {
                let shapes = if plain.contains('\n') { Shapes::All } else { Shapes::Log };
                self.string(&mut plain, shapes)
            }
        };
        // Words are base 64 too: what has nothing in it is looked at as it stands as well.
        if kinds.is_empty() {
            return None;
        }
        *text = engine.encode(&plain);
        Some(kinds)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Policy, RedactionKey};

    fn check(name: &str, mut value: Value, kinds: &[&str]) -> (String, Value) {
        let redactor = Redactor::new(RedactionKey::new("k1", [7; 32]).unwrap(), &Policy::default());
        let mut name = name.to_owned();
        let found = redactor.redact_event(&mut name, &mut value);
        let mut found: Vec<_> = found.iter().map(|one| one.kind).collect();
        found.sort_unstable();
        assert_eq!(found, kinds, "{name}: {value}");
        let text = format!("{name} {value}");
        assert!(!text.contains("hunter2"), "{text}");
        let again = redactor.redact_event(&mut name, &mut value);
        assert_eq!((again, format!("{name} {value}")), (vec![], text));
        (name, value)
    }

    const TOKEN: &str = "ghp_hunter2hunter2A1b2C3d4";

    #[test]
    fn keys_names_and_numbers_are_no_hiding_place() {
        let (name, _) = check(TOKEN, json!(1), &["key"]);
        assert!(name.starts_with("<redacted:hmac:k1:"), "{name}");
        check("map", json!({TOKEN: {"x": [{TOKEN: null}]}}), &["key", "key"]);
        check("api_keys", json!({"9fK2mQ7xhunter2Rt5Lp8Zc": {"user": "ana"}}), &["key"]);
        let (_, value) = check("meta", json!({"token": "hunter2hunter2", "k": "v"}), &["named-secret"]);
        assert!(value["token"].as_str().is_some_and(is_marker), "{value}");
        let mac = "0123456789abcdef".repeat(4);
        check("baseline", json!({"key_id": "k1", "signature": mac}), &[]);
        let (_, value) = check("password", json!(5551234), &["named-secret"]);
        assert!(marker_key(&value).is_some());
        check("login", json!({"pin_token": 5551234, "port": 80}), &["named-secret"]);
    }

    #[test]
    fn lists_of_arguments_variables_and_headers_are_understood() {
        let (_, value) = check("argv", json!(["mysql", "-u", "root", "-phunter2"]), &["command-line"]);
        assert!(value[3].as_str().unwrap().starts_with("-p<redacted:"));
        check("argv", json!(["serve", "--password", "hunter2"]), &["named-secret"]);
        check("env", json!([{"name": "DB_PASSWORD", "value": "hunter2"}]), &["named-secret"]);
        check(
            "request_headers",
            json!({"X-Api-Key": ["hunter2"], "Cookie": ["sid=hunter2"]}),
            &["named-secret"; 2],
        );
    }

    #[test]
    fn strings_stay_strings_and_lines_stay_lines() {
        let (_, value) =
            check("error", json!(format!("cannot push with {TOKEN}: denied")), &["github-token"]);
        assert!(value.as_str().unwrap().ends_with(": denied"));
        check("message", json!("login as ana with password=hunter2x"), &["named-secret"]);
        assert_eq!(
            check("message", json!("the password for ana is reset"), &[]).1,
            "the password for ana is reset"
        );
        let lines = json!([
            "+-----BEGIN RSA PRIVATE KEY-----",
            "+hunter2",
            "+-----END RSA PRIVATE KEY-----",
            " KEEP"
        ]);
        let (_, value) = check("hunks", json!([{"lines": lines}]), &["private-key"; 3]);
        assert_eq!(value[0]["lines"][3], " KEEP");
        assert!(value[0]["lines"][1].as_str().unwrap().starts_with("+<redacted:"));
    }

    #[test]
    fn bodies_are_decoded() {
        let body = STANDARD.encode(r#"{"user":"ana","password":"hunter2"}"#);
        let (_, value) = check("request", json!({"request_body": body}), &["named-secret"]);
        let plain = STANDARD.decode(value["request_body"].as_str().unwrap()).unwrap();
        assert!(String::from_utf8(plain).unwrap().contains("\"user\":\"ana\""));
        check("request_body", json!(STANDARD.encode("user=ana&password=hunter2")), &["named-secret"]);
        check("captured", json!({"redacted_by": {"github-token": 1234, "named-secret": 5}}), &[]);
        check("captured", json!({"redacted_by": {"github-token": "hunter2"}}), &["named-secret"]);
        check("request_body", json!(STANDARD.encode("hello world, how are you")), &[]);
    }

    #[test]
    fn a_configs_paths_and_a_changes_path_count() {
        check("config", json!({"db.password": "hunter2", "db.host": "KEEP"}), &["named-secret"]);
        check(
            "changes",
            json!([{"op": "changed", "path": "db.password", "before": "hunter2", "after": "hunter2b"}]),
            &["named-secret"; 2],
        );
        check(
            "state",
            json!({"services": {"r": {"config": {"text": "enable secret 5 hunter2\nhostname KEEP"}}}}),
            &["cisco-ios"],
        );
    }
}
