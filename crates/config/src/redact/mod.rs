//! Secrets leave: values become keyed fingerprints, so that a rotated secret shows as changed and its value is nowhere.

mod names;
mod text;
mod values;

use std::collections::BTreeSet;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use rig_event::FlatConfig;
use serde_json::{Value, json};
use sha2::Sha256;

use self::names::{Sense, covers_below, ends_in_key, is_harmless, is_plural, sense};
use self::text::Shapes;
use crate::digest::hex;
use crate::path::Segment;
use crate::policy::lenient;
use crate::{Document, Error, Path, Pattern, Policy};

/// What the configuration library Rigging writes in place of a secret.
const RIGGING: &str = "***redacted***";

/// The key that fingerprints are made with. Its id stands in every marker.
#[derive(Clone)]
pub struct RedactionKey {
    id: String,
    secret: [u8; 32],
}

impl RedactionKey {
    /// A key under an id of 1 to 32 characters of `a-z`, `0-9`, `-` and `_`.
    pub fn new(id: &str, secret: [u8; 32]) -> Result<Self, Error> {
        is_key_id(id).then(|| RedactionKey { id: id.to_owned(), secret }).ok_or(Error::BadKeyId)
    }

    /// The id that stands in markers.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The HMAC of bytes for one purpose; the purpose keeps a fingerprint from being a prefix of a digest.
    fn hmac(&self, purpose: &[u8], bytes: &[u8]) -> String {
        // HMAC takes a key of any length; were it ever refused, the fixed answer would still leak nothing.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else { return "0".repeat(64) };
        mac.update(purpose);
        mac.update(&[0]);
        mac.update(bytes);
        hex(&mac.finalize().into_bytes())
    }
}

impl fmt::Debug for RedactionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedactionKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn is_key_id(id: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (1..=32).contains(&id.len()) && id.bytes().all(fine)
}

/// The key id of a fingerprint, `hmac:k1:3f9a…` with 16 digits of hex.
fn fingerprint_key(text: &str) -> Option<&str> {
    let (id, digits) = text.strip_prefix("hmac:")?.split_once(':')?;
    let fine =
        is_key_id(id) && digits.len() == 16 && digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    fine.then_some(id)
}

/// The key id of a redacted value's marker, `{"redacted":"hmac:k1:3f9a…"}`.
pub(crate) fn marker_key(value: &Value) -> Option<&str> {
    let map = value.as_object().filter(|map| map.len() == 1)?;
    fingerprint_key(map.get("redacted")?.as_str()?)
}

/// Whether a string is the marker of a secret that was replaced before.
fn is_marker(text: &str) -> bool {
    let inner = text.strip_prefix("<redacted:").and_then(|rest| rest.strip_suffix('>'));
    text == RIGGING || inner.is_some_and(|inner| fingerprint_key(inner).is_some())
}

/// Whether a key, which would be kept, is a secret by its looks.
pub(crate) fn is_secret_key(key: &str) -> bool {
    values::is_secret_key(key)
}

/// Whether a text begins a private key that it does not end.
pub(crate) fn opens_private_key(text: &str) -> bool {
    values::opens_private_key(text)
}

/// Whether what stands under this key is a secret, so that it must not stand in a path.
pub(crate) fn names_secret_key(key: &str) -> bool {
    sense(key) == Sense::Secret
}

/// Whether a text's first piece is the marker of a secret: what an earlier pass left, whatever it left behind it.
fn begins_with_marker(text: &str) -> bool {
    let end = text.find('>').map_or(text.len(), |at| at + 1);
    is_marker(&text[..end]) || text == RIGGING
}

/// Whether a field's name says that this value is a secret.
fn names_secret(path: &Path, value: &Value) -> bool {
    let keys: Vec<&str> = path.0.iter().filter_map(key_of).collect();
    let Some((last, above)) = keys.split_last() else { return false };
    // A list of variables matched by name: `env[name=DB_PASSWORD].value`.
    let variable = path.0.iter().rev().nth(1).is_some_and(|segment| {
        let is_value = matches!(last.to_ascii_lowercase().as_str(), "value" | "val");
        matches!(segment, Segment::Keyed { value, .. } if is_value && sense(value) == Sense::Secret)
    });
    let whole = matches!(*last, "value" | "data" | "plain" | "plaintext" | "text" | "current" | "previous");
    let below = above.last().is_some_and(|above| {
        (whole && sense(above) == Sense::Secret) || (is_plural(above) && !is_harmless(last))
    }) || is_below_secret(&keys);
    // `auths."index.docker.io".auth`, where Docker keeps what it logs in with.
    let docker = *last == "auth" && above.contains(&"auths");
    let own = match sense(last) {
        Sense::Innocent if docker || is_split_key(&keys, value) => Sense::Secret,
        own => own,
    };
    match (value, own) {
        (Value::String(text), _) if ["true", "false"].iter().any(|word| text.eq_ignore_ascii_case(word)) => {
            false
        }
        (Value::String(_), own) => own != Sense::Innocent || variable || below,
        (Value::Number(_), own) => (own == Sense::Secret && !is_plural(last)) || variable,
        _ => false,
    }
}

fn key_of(segment: &Segment) -> Option<&str> {
    match segment {
        Segment::Key(key) => Some(key.as_str()),
        Segment::Index(_) | Segment::Keyed { .. } => None,
    }
}

/// What the last of some names says together with the one above it: `key` below `api` is `api_key`.
fn joined(keys: &[&str]) -> Option<String> {
    match keys {
        [.., above, last] if ends_in_key(last) => Some(format!("{above}_{last}")),
        _ => None,
    }
}

/// Whether a secret's name was split into steps: `api.key`, `aws.secret.key`. The path of a file is no key.
fn is_split_key(keys: &[&str], value: &Value) -> bool {
    let is_file = value.as_str().is_some_and(|text| {
        text.starts_with(['/', '.']) && [".pem", ".key", ".crt"].iter().any(|end| text.ends_with(end))
    });
    !is_file && joined(keys).is_some_and(|name| sense(&name) == Sense::Secret)
}

/// Whether a step above the last is a secret's name and no step below it is known to be harmless, as it is in
/// `secret.name` and `token.labels.app`.
fn is_below_secret(keys: &[&str]) -> bool {
    for end in (1..=keys.len()).rev() {
        let here = &keys[..end];
        let name = joined(here).filter(|name| sense(name) == Sense::Secret);
        let name = name.as_deref().unwrap_or(here[end - 1]);
        if end < keys.len() && covers_below(name) {
            return true;
        }
        if is_harmless(here[end - 1]) && !covers_below(name) {
            return false;
        }
    }
    false
}

/// The fields that are secret by what other fields say: `value` beside a `name` that announces a secret, the argument
/// after `--password`, and the data of a Kubernetes Secret.
fn told_by_others(config: &FlatConfig) -> BTreeSet<String> {
    let mut told = BTreeSet::new();
    let text = |path: &str| config.get(path).and_then(Value::as_str);
    for (path, value) in config {
        let Some(said) = value.as_str() else { continue };
        let names = [".name", ".key", ".variable", ".Name", ".Key"];
        if let Some(parent) = names.iter().find_map(|name| path.strip_suffix(name)) {
            if sense(said) == Sense::Secret {
                told.extend(["value", "val", "Value", "Val"].map(|value| format!("{parent}.{value}")));
            }
        } else if said.starts_with('-') && !said.contains(['=', ' ']) && sense(said) == Sense::Secret {
            let mut next = lenient(path);
            if let Some(Segment::Index(index)) = next.0.last_mut() {
                *index += 1;
                let next = next.to_string();
                told.extend(text(&next).is_some_and(|value| !value.starts_with('-')).then_some(next));
            }
        } else if said == "Secret" && (path == "kind" || path.ends_with(".kind")) {
            let root = path.strip_suffix("kind").unwrap_or_default();
            for part in ["data.", "stringData."].map(|part| format!("{root}{part}")) {
                let below = config.range(part.clone()..).take_while(|(path, _)| path.starts_with(&part));
                told.extend(below.map(|(path, _)| path.clone()));
            }
        }
    }
    told
}

/// Finds secrets and replaces them by fingerprints.
#[derive(Clone, Debug)]
pub struct Redactor {
    key: RedactionKey,
    rules: Vec<Pattern>,
}

impl Redactor {
    /// A redactor with the rules every redactor has and those of a policy.
    pub fn new(key: RedactionKey, policy: &Policy) -> Self {
        Redactor { key, rules: policy.secret.iter().map(|rule| rule.path.clone()).collect() }
    }

    /// Replaces the secrets of a document; returns how many there were. A second time there are none.
    pub fn redact(&self, doc: &mut Document) -> usize {
        if doc.format.is_text() {
            return doc.config.values_mut().map(|value| self.redact_string(value, Shapes::All)).sum();
        }
        let told = told_by_others(&doc.config);
        let redact = |(path, value): (&String, &mut Value)| {
            let done = if told.contains(path) { self.hide(value) } else { self.redact_value(path, value) };
            usize::from(done)
        };
        doc.config.iter_mut().map(redact).sum()
    }

    /// Replaces one field's value if it is a secret by its path, its name or its looks. A string with secrets in it is
    /// kept but for them.
    pub fn redact_value(&self, path: &str, value: &mut Value) -> bool {
        match value {
            Value::Null => return false,
            _ if marker_key(value).is_some() => return false,
            // A leaf is never nested, but a configuration from elsewhere may not be flat.
            Value::Array(items) => {
                let hidden = items
                    .iter_mut()
                    .enumerate()
                    .map(|(i, item)| self.redact_value(&format!("{path}[{i}]"), item));
                return hidden.fold(false, |any, one| any | one);
            }
            Value::Object(entries) => {
                let below = |key: &str| {
                    let mut below = path.to_owned();
                    Segment::Key(key.to_owned()).print(&mut below);
                    below
                };
                let hidden = entries.iter_mut().map(|(key, entry)| self.redact_value(&below(key), entry));
                return hidden.fold(false, |any, one| any | one);
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        let path = lenient(path);
        if self.rules.iter().any(|rule| rule.matches_at_or_above(&path)) || names_secret(&path, value) {
            return self.hide(value);
        }
        let Value::String(text) = &*value else { return false };
        let is_one_line = !text.trim_end().contains('\n');
        let is_private_key = text.starts_with("-----BEGIN ");
        if (is_one_line || is_private_key) && !is_marker(text) && !values::find(text).is_empty() {
            // Inside a marker nothing is found, so this is not redacted twice.
            let all_done = text::find(text, Shapes::Assignments).is_empty();
            return !all_done && self.hide(value);
        }
        let shapes = if is_one_line { Shapes::Assignments } else { Shapes::All };
        self.redact_string(value, shapes) > 0
    }

    /// Replaces the secrets in a text by `<redacted:hmac:k1:…>`; returns the text and how many there were.
    pub fn redact_text(&self, text: &str) -> (String, usize) {
        self.redact_shapes(text, Shapes::All)
    }

    fn redact_shapes(&self, text: &str, shapes: Shapes) -> (String, usize) {
        let mut out = String::with_capacity(text.len());
        let mut at = 0;
        let found = text::find(text, shapes);
        for secret in &found {
            out.push_str(&text[at..secret.start]);
            let fingerprint = self.fingerprint(&text.as_bytes()[secret.clone()]);
            out.extend(["<redacted:", &fingerprint, ">"]);
            at = secret.end;
        }
        out.push_str(&text[at..]);
        (out, found.len())
    }

    fn redact_string(&self, value: &mut Value, shapes: Shapes) -> usize {
        let Value::String(text) = value else { return 0 };
        let (redacted, count) = self.redact_shapes(text, shapes);
        *text = redacted;
        count
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
        *value = json!({ "redacted": fingerprint });
        true
    }

    /// What tells one document from another without telling what is in it: `hmac:k1:` and 64 digits of hex.
    pub fn digest(&self, normalised: &str) -> String {
        format!("hmac:{}:{}", self.key.id, self.key.hmac(b"rig digest", normalised.as_bytes()))
    }

    /// What tells one secret from another without telling the secret: `hmac:k1:` and 16 digits of hex.
    pub fn fingerprint(&self, plaintext: &[u8]) -> String {
        format!("hmac:{}:{}", self.key.id, &self.key.hmac(b"rig fingerprint", plaintext)[..16])
    }
}

#[cfg(test)]
mod tests;
