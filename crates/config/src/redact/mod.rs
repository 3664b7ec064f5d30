//! Secrets leave: values become keyed fingerprints, so that a rotated secret shows as changed and its value is nowhere.
//!
//! In reading order: `names` (what a name says of its value), `tokens` and `values` (what a value says of itself),
//! `commands` (arguments), `fields` (a document's fields by path and by neighbours), `source` (by where they came
//! from), `text` (lines), `event` (what clients post and recordings hold), `marker` (what is written instead).
//! `triggers` is the one pass that all else waits for. What is known and what is not: docs/redaction.md.

mod commands;
mod event;
mod fields;
mod marker;
mod names;
mod source;
mod text;
mod tokens;
mod triggers;
mod values;

use std::collections::BTreeSet;

use rig_event::FlatConfig;
use serde_json::Value;

pub use self::event::is_mac;
use self::fields::{Told, is_random_under_hint, is_reference, key_of, names_secret, told_by_others};
pub(crate) use self::marker::marker_key;
pub use self::marker::{RIGGING, RedactionKey, is_redacted};
use self::marker::{inline, is_fingerprint, is_marker, marker};
use self::source::is_secret_source;
use self::text::{NAMED, Shapes};
use self::values::Found;
use crate::path::{Segment, lenient, with_keys};
use crate::policy::SecretRule;
use crate::{Document, Policy};

/// The most times that a text is looked through for secrets.
const PASSES: usize = 8;

/// Returns true if a key looks like a secret. Keys are kept, so the caller must refuse it.
pub(crate) fn is_secret_key(key: &str) -> bool {
    values::is_secret_key(key)
}

/// Returns true if the keys of the map at this path may be secrets, as those of `api_keys` are.
pub(crate) fn lists_secrets(path: &str) -> bool {
    let end = path.trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '[' | ']' | '"'));
    end.ends_with(['s', 'S'])
        && names::may_say_something(end)
        && fields::lists_secrets(&lenient(path).0.iter().filter_map(key_of).collect::<Vec<_>>())
}

/// Returns true if the text begins a private key and does not end it.
pub(crate) fn opens_private_key(text: &str) -> bool {
    text.contains(" BEGIN ") | text.contains("-BEGIN ") && values::opens_private_key(text)
}

impl Document {
    /// Digests the normalised text, drops it, and redacts the fields: what every capture does, in the order that
    /// keeps secrets in. Returns the digest and how many values were secrets.
    pub fn digest_then_redact(&mut self, redactor: &Redactor) -> (String, usize) {
        let digest = redactor.digest(&self.normalised);
        self.normalised = String::new();
        (digest, redactor.redact(self))
    }
}

/// A secret that was replaced: where it stood and what it was, and nothing of its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret {
    /// The path of the field.
    pub path: String,
    /// A word for what it was found by, such as `github-token`, `private-key`, `named-secret`, `policy`.
    pub kind: &'static str,
}

/// Finds secrets and replaces them by fingerprints.
#[derive(Clone, Debug)]
pub struct Redactor {
    key: RedactionKey,
    rules: Vec<SecretRule>,
}

impl Redactor {
    /// A redactor with the rules every redactor has and those of a policy.
    pub fn new(key: RedactionKey, policy: &Policy) -> Self {
        Redactor { key, rules: policy.secret.clone() }
    }

    /// Replaces the secrets of a document; returns how many there were. A second time there are none.
    pub fn redact(&self, doc: &mut Document) -> usize {
        if doc.format.is_text() {
            return doc.config.values_mut().map(|value| self.redact_string(value, Shapes::All).len()).sum();
        }
        self.redact_config(&mut doc.config, |_| None)
    }

    /// Replaces the secrets of a configuration whose fields' sources are known; returns how many there were.
    pub fn redact_config<'a>(
        &self,
        config: &mut FlatConfig,
        source_of: impl Fn(&str) -> Option<&'a str>,
    ) -> usize {
        let mut found = Vec::new();
        self.config(config, source_of, &mut found);
        found.len()
    }

    fn config<'a>(
        &self,
        config: &mut FlatConfig,
        source_of: impl Fn(&str) -> Option<&'a str>,
        found: &mut Vec<Secret>,
    ) {
        let told = told_by_others(config);
        let keyed = self.told_by_keys(config, &source_of);
        for (path, value) in config {
            let kind = match (told.get(path), &mut *value) {
                (_, value) if keyed.contains(path) => self.hide(value).then_some("policy"),
                (Some(Told::Part(range)), Value::String(text)) => {
                    let fingerprint = self.fingerprint(&text.as_bytes()[range.clone()]);
                    text.replace_range(range.clone(), &inline(&fingerprint));
                    Some("command-line")
                }
                (Some(_), value) => self.hide(value).then_some(NAMED),
                (None, value) => self.field(path, value, source_of(path)),
            };
            found.extend(kind.map(|kind| Secret { path: path.clone(), kind }));
        }
    }

    /// The fields that a rule names by the key of an element, `env[name=LICENCE].value`, while configurations name elements
    /// by index.
    fn told_by_keys<'a>(
        &self,
        config: &FlatConfig,
        source_of: impl Fn(&str) -> Option<&'a str>,
    ) -> BTreeSet<String> {
        let mut told = BTreeSet::new();
        for rule in &self.rules {
            let keys: Vec<&str> = rule.path.list_keys().collect();
            if keys.is_empty() {
                continue;
            }
            let is_told = |(path, value): &(&String, &Value)| {
                rule.covers(&with_keys(lenient(path), &keys, config), value, source_of(path))
            };
            told.extend(config.iter().filter(is_told).map(|(path, _)| path.clone()));
        }
        told
    }

    /// Replaces one field's value if it is a secret by its path, its name or its looks. A string with secrets in it is
    /// kept but for them.
    pub fn redact_value(&self, path: &str, value: &mut Value) -> bool {
        self.redact_field(path, value, None)
    }

    /// Replaces one field's value if it is a secret by its path, its name, its looks, or by where it came from:
    /// `env:DB_PASSWORD`, `file:secrets/db.yaml`, `vault:…`.
    pub fn redact_field(&self, path: &str, value: &mut Value, source: Option<&str>) -> bool {
        self.field(path, value, source).is_some()
    }

    fn field(&self, path: &str, value: &mut Value, source: Option<&str>) -> Option<&'static str> {
        match value {
            Value::Null => return None,
            // A leaf is never nested, but a configuration from elsewhere may not be flat.
            Value::Array(items) => {
                let hidden = items
                    .iter_mut()
                    .enumerate()
                    .map(|(i, item)| self.field(&format!("{path}[{i}]"), item, source));
                return hidden.fold(None, |first, one| first.or(one));
            }
            Value::Object(_) if marker_key(value).is_some() => return None,
            Value::Object(entries) => {
                let below = |key: &str| {
                    let mut below = path.to_owned();
                    Segment::Key(key.to_owned()).print(&mut below);
                    below
                };
                let hidden = entries.iter_mut().map(|(key, entry)| self.field(&below(key), entry, source));
                return hidden.fold(None, |first, one| first.or(one));
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        if let Some(kind) = self.hides_whole(path, value, source) {
            return self.hide(value).then_some(kind);
        }
        let Value::String(text) = &*value else { return None };
        if is_marker(text) || !triggers::any(text) {
            return None;
        }
        let is_one_line = !text.trim_end().contains('\n');
        let shapes = if is_one_line { Shapes::Assignments } else { Shapes::All };
        let found = text::find(text, shapes);
        let first = found.first()?.kind;
        // Beside a token there may be another half of it that looks like nothing; beside a password in a URL there is not.
        let stays =
            |one: &Found| values::IN_PLACE.contains(&one.kind) || matches!(one.kind, NAMED | "command-line");
        let is_private_key = text.starts_with("-----BEGIN ");
        if (is_one_line || is_private_key) && !found.iter().all(stays) {
            return self.hide(value).then_some(first);
        }
        self.replace(value, &found);
        Some(first)
    }

    /// Why the whole value is a secret, if it is.
    fn hides_whole(&self, path: &str, value: &Value, source: Option<&str>) -> Option<&'static str> {
        if !self.rules.is_empty() {
            let path = lenient(path);
            if self.rules.iter().any(|rule| rule.covers(&path, value, source)) {
                return Some("policy");
            }
        }
        // A marker that was made flat, as a document holds it that was written by rig.
        let flat = path.ends_with(".redacted") && value.as_str().is_some_and(is_fingerprint);
        let empty = flat || value.as_str().is_some_and(|text| text.is_empty() || is_marker(text));
        if empty {
            return None;
        }
        if source.is_some_and(is_secret_source)
            && !value.is_boolean()
            && !value.as_str().is_some_and(is_reference)
        {
            return Some("source");
        }
        if names::may_say_something(path) && names_secret(&lenient(path), value) {
            return Some(NAMED);
        }
        is_random_under_hint(path, value).then_some("high-entropy")
    }

    /// Replaces the secrets in a text by `<redacted:hmac:k1:…>`; returns the text and how many there were. Redacting the result again
    /// changes nothing.
    pub fn redact_text(&self, text: &str) -> (String, usize) {
        let found = text::find(text, Shapes::All);
        let (mut redacted, mut count) = (self.replaced(text, &found), found.len());
        // Where two secrets overlap, the marker of one can show what is left of the other.
        for _ in 1..PASSES {
            let found = if count == 0 { Vec::new() } else { text::find(&redacted, Shapes::All) };
            if found.is_empty() {
                break;
            }
            redacted = self.replaced(&redacted, &found);
            count += found.len();
        }
        (redacted, count)
    }

    fn replaced(&self, text: &str, found: &[Found]) -> String {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        for secret in found {
            out.push_str(&text[at..secret.range.start]);
            out.push_str(&inline(&self.fingerprint(&text.as_bytes()[secret.range.clone()])));
            at = secret.range.end;
        }
        out.push_str(&text[at..]);
        out
    }

    fn replace(&self, value: &mut Value, found: &[Found]) {
        if let Value::String(text) = value {
            *text = self.replaced(text, found);
        }
    }

    fn redact_string(&self, value: &mut Value, shapes: Shapes) -> Vec<Found> {
        let Value::String(text) = &*value else { return Vec::new() };
        let found = text::find(text, shapes);
        if !found.is_empty() {
            self.replace(value, &found);
        }
        found
    }

    /// Replaces a value because whoever wrote it down said that it is a secret; a list or a map is none.
    pub fn redact_marked(&self, value: &mut Value) -> bool {
        marker_key(value).is_none() && self.hide(value)
    }

    /// Puts the marker in the place of a value that holds something.
    fn hide(&self, value: &mut Value) -> bool {
        let fingerprint = match &*value {
            Value::String(text) if text.is_empty() || is_marker(text) => return false,
            Value::String(text) => self.fingerprint(text.as_bytes()),
            Value::Number(_) | Value::Bool(_) => self.fingerprint(value.to_string().as_bytes()),
            Value::Null | Value::Array(_) | Value::Object(_) => return false,
        };
        *value = marker(&fingerprint);
        true
    }

    /// Returns a keyed digest, which identifies the document and does not reveal its content: `hmac:k1:` and
    /// 64 digits of hex.
    pub fn digest(&self, normalised: &str) -> String {
        format!("hmac:{}:{}", self.key.id(), self.key.hmac(b"rig digest", normalised.as_bytes()))
    }

    /// Returns the address of an original, which does not reveal its content: `hmac:k1:` and 64 digits of
    /// hex.
    pub fn address(&self, original: &[u8]) -> String {
        format!("hmac:{}:{}", self.key.id(), self.key.hmac(b"rig blob", original))
    }

    /// Returns a fingerprint, which identifies a secret and does not reveal it: `hmac:k1:` and 16 digits of
    /// hex.
    pub fn fingerprint(&self, plaintext: &[u8]) -> String {
        format!("hmac:{}:{}", self.key.id(), &self.key.hmac(b"rig fingerprint", plaintext)[..16])
    }
}

#[cfg(test)]
mod tests;
