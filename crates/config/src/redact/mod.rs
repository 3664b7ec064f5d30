//! Secrets leave: values become keyed fingerprints, so that a rotated secret shows as changed and its value is nowhere.
//!
//! What a secret looks like is known by `secrets`, and by the grammars of `grammar`. Here it is found: by a field's path and its
//! neighbours (`fields`), by what the document says (`says`), by its source (`source`), in lines (`text`, with the general rules of
//! `general`, `markup` and `commands`), in documents in strings (`nested`), by its value (`known`), in events (`event`). `marker` is
//! what is written instead, and `hidden` compares it; `explain` says what is found, and by what. What is known and what is not: docs/redaction.md.

mod commands;
mod event;
pub mod explain;
mod fields;
mod general;
pub mod hidden;
mod kept;
mod known;
mod marker;
mod markup;
mod nested;
mod says;
mod scan;
mod source;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};

use rig_event::FlatConfig;
use serde_json::Value;

pub use self::event::is_mac;
pub use self::explain::Explanation;
use self::fields::{Told, is_random_under_hint, names_secret, told_by_others};
pub use self::hidden::{Comparison, are_comparable, compare, compare_texts};
pub use self::known::KnownSecrets;
pub(crate) use self::marker::marker_key;
pub use self::marker::{RIGGING, RedactionKey, differs_in_secrets_only, is_redacted, without_fingerprints};
use self::marker::{inline, is_fingerprint, is_marker, marker};
use self::scan::{Shapes, disjoint};
use self::source::is_secret_source;
use crate::grammar::is_by_position;
use crate::grammar::recognised;
use crate::identity::with_keys;
use crate::path::{Segment, lenient};
use crate::policy::SecretRule;
use crate::secrets::looks::is_reference;
use crate::secrets::{ARGUMENT, Found, NAMED, SALTED, names, triggers, values};
use crate::{Document, Path, Policy};

/// The kind of a secret that a rule of the policy names.
const POLICY: &str = "policy";

/// The most times that a text is looked through for secrets.
const PASSES: usize = 8;

/// Returns what fields say of one another, and the document of all.
fn told(config: &FlatConfig) -> BTreeMap<String, Told> {
    let mut told = told_by_others(config);
    told.extend(says::told(config).into_iter().map(|path| (path, Told::Whole)));
    told
}

impl Document {
    /// Digests the normalised text, drops it, and redacts the fields: what every capture does, in the order that
    /// keeps secrets in. Returns the digest, and the number of secrets by the rule that names them.
    pub fn digest_then_redact(&mut self, redactor: &Redactor) -> (String, Counts) {
        let digest = redactor.digest(&self.normalised);
        self.normalised = String::new();
        (digest, redactor.redact_counted(self))
    }
}

/// The number of secrets by the rule that names them, such as `github-token`.
pub type Counts = BTreeMap<&'static str, u64>;

/// Counts the secrets of each kind.
fn counted(kinds: impl IntoIterator<Item = &'static str>) -> Counts {
    let mut counts = Counts::new();
    for kind in kinds {
        *counts.entry(kind).or_default() += 1;
    }
    counts
}

/// Returns the sum of counts.
fn total(counts: &Counts) -> usize {
    usize::try_from(counts.values().sum::<u64>()).unwrap_or(usize::MAX)
}

/// A secret that was replaced: where it stood and what it was, and nothing of its value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Secret {
    /// The path of the field.
    pub path: String,
    /// A word for what it was found by, such as `github-token`, `private-key`, `named-secret`, `policy`.
    pub kind: &'static str,
}

/// Finds secrets and replaces them by fingerprints. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Redactor {
    key: RedactionKey,
    /// The key of the fingerprints.
    fingerprints: RedactionKey,
    rules: Arc<[SecretRule]>,
    /// Values that are secret wherever they come up.
    known: Option<Arc<RwLock<KnownSecrets>>>,
    /// True if the secrets that it finds become known.
    learns: bool,
}

impl Redactor {
    /// A redactor with the rules every redactor has and those of a policy.
    pub fn new(key: RedactionKey, policy: &Policy) -> Self {
        let rules = policy.secret.clone().into();
        Redactor { fingerprints: key.clone(), key, rules, known: None, learns: false }
    }

    /// Returns a redactor for one stream: with a key of its own for fingerprints, derived from this one's key and the name, so that
    /// a fingerprint of one stream says nothing in another; and with a set of known secrets of its own, of at most so many.
    pub fn for_stream(&self, stream: &str, most: usize) -> Redactor {
        Redactor { fingerprints: self.key.derived(stream), ..self.clone() }.with_known(most)
    }

    /// Returns the redactor with an empty set of known secrets, of at most so many.
    pub fn with_known(self, most: usize) -> Redactor {
        Redactor { known: Some(Arc::new(RwLock::new(KnownSecrets::new(most)))), ..self }
    }

    /// Returns a redactor that shares the set of known secrets, and adds to it each secret that it finds.
    pub fn learning(&self) -> Redactor {
        Redactor { learns: true, ..self.clone() }
    }

    /// Adds a value to the known secrets. Returns false if it is known, too short, an ordinary word, or one too many.
    pub fn learn(&self, value: &str) -> bool {
        let mut known =
            self.known.as_ref().map(|known| known.write().unwrap_or_else(PoisonError::into_inner));
        known.as_mut().is_some_and(|known| known.learn(value))
    }

    /// Returns the number of known secrets.
    pub fn known_secrets(&self) -> usize {
        self.known.as_ref().map_or(0, |known| known.read().unwrap_or_else(PoisonError::into_inner).len())
    }

    /// Adds where known secrets stand in a text.
    fn find_known(&self, text: &str, found: &mut Vec<Found>) {
        if let Some(known) = &self.known {
            known.read().unwrap_or_else(PoisonError::into_inner).find(text, found);
        }
    }

    /// Returns where secrets stand in what is not a configuration.
    fn find_in(&self, text: &str, shapes: Shapes) -> Vec<Found> {
        let mut found = if triggers::any(text) { text::find(text, shapes, None) } else { Vec::new() };
        let earlier = found.len();
        self.find_known(text, &mut found);
        if found.len() > earlier { disjoint(text, found) } else { found }
    }

    /// Replaces the secrets of a document; returns how many there were. A second time there are none.
    pub fn redact(&self, doc: &mut Document) -> usize {
        total(&self.redact_counted(doc))
    }

    /// Replaces the secrets of a document; returns how many there were by each rule.
    pub fn redact_counted(&self, doc: &mut Document) -> Counts {
        if doc.format.is_text() {
            let file = doc.file.as_deref();
            let found = doc.config.values_mut().flat_map(|value| self.redact_lines(value, file));
            return counted(found.map(|one| one.kind));
        }
        self.redact_config_counted(&mut doc.config, |_| None)
    }

    /// Replaces the secrets of a configuration whose fields' sources are known; returns how many there were.
    pub fn redact_config<'a>(
        &self,
        config: &mut FlatConfig,
        source_of: impl Fn(&str) -> Option<&'a str>,
    ) -> usize {
        total(&self.redact_config_counted(config, source_of))
    }

    /// Replaces the secrets of a configuration whose fields' sources are known; returns how many there were by each rule.
    pub fn redact_config_counted<'a>(
        &self,
        config: &mut FlatConfig,
        source_of: impl Fn(&str) -> Option<&'a str>,
    ) -> Counts {
        let mut found = Vec::new();
        self.config(config, source_of, 0, &mut found);
        counted(found.into_iter().map(|one| one.kind))
    }

    /// Replaces the secrets of a configuration that stands in so many strings of others.
    fn config<'a>(
        &self,
        config: &mut FlatConfig,
        source_of: impl Fn(&str) -> Option<&'a str>,
        depth: usize,
        found: &mut Vec<Secret>,
    ) {
        let told = told(config);
        let keyed = self.told_by_keys(config, &source_of);
        for (path, value) in config {
            let kind = match (told.get(path), &mut *value) {
                (_, value) if keyed.contains(path) => self.hide(value).then_some(POLICY),
                (Some(Told::Part(range)), Value::String(text)) => {
                    let fingerprint = self.replaced_by(&text.as_bytes()[range.clone()]);
                    text.replace_range(range.clone(), &inline(&fingerprint));
                    Some(ARGUMENT)
                }
                (Some(Told::Nothing), _) => None,
                (Some(_), value) => self.hide(value).then_some(NAMED),
                (None, value) => self.field(path, value, source_of(path), depth),
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
        for rule in self.rules.iter() {
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
        self.field(path, value, source, 0).is_some()
    }

    /// Replaces one field's value, or the secrets in it until there are none.
    fn field(
        &self,
        path: &str,
        value: &mut Value,
        source: Option<&str>,
        depth: usize,
    ) -> Option<&'static str> {
        let first = self.field_once(path, value, source, depth)?;
        for _ in 1..PASSES {
            let is_left = matches!(&*value, Value::String(text) if !is_marker(text));
            if !is_left || self.field_once(path, value, source, depth).is_none() {
                break;
            }
        }
        Some(first)
    }

    fn field_once(
        &self,
        path: &str,
        value: &mut Value,
        source: Option<&str>,
        depth: usize,
    ) -> Option<&'static str> {
        match value {
            Value::Null => return None,
            // A leaf is never nested, but a configuration from elsewhere may not be flat.
            Value::Array(items) => {
                let hidden = items
                    .iter_mut()
                    .enumerate()
                    .map(|(i, item)| self.field(&format!("{path}[{i}]"), item, source, depth));
                return hidden.fold(None, |first, one| first.or(one));
            }
            Value::Object(_) if marker_key(value).is_some() => return None,
            Value::Object(entries) => {
                let below = |key: &str| {
                    let mut below = path.to_owned();
                    Segment::Key(key.to_owned()).print(&mut below);
                    below
                };
                let hidden =
                    entries.iter_mut().map(|(key, entry)| self.field(&below(key), entry, source, depth));
                return hidden.fold(None, |first, one| first.or(one));
            }
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
        if let Some(kind) = self.hides_whole(path, value, source) {
            return self.hide(value).then_some(kind);
        }
        let Value::String(text) = &*value else { return None };
        if is_marker(text)
            || text.starts_with("arn:")
            || (text.len() <= 512 && !text.contains("://") && is_reference(text))
        {
            return None;
        }
        // Each line of some files is a credential, whatever is in it.
        let is_file = || {
            path.ends_with('"') && text.contains('\n') && path.rsplit('"').nth(1).is_some_and(is_by_position)
        };
        if !triggers::any(text) && !is_file() {
            let login = general::login(path, text)?;
            let kind = login.kind;
            self.replace(value, &[login]);
            return Some(kind);
        }
        // A block scalar is a text, also one of a single line.
        let is_one_line = !text.contains('\n');
        let shapes = if is_one_line { Shapes::Assignments } else { Shapes::All };
        // The key of a file in a ConfigMap is its name.
        let quoted =
            path.strip_suffix('"').and_then(|path| path.rsplit('"').next()).filter(|name| name.contains('.'));
        let shapes = if quoted.is_some() { Shapes::All } else { shapes };
        let name = quoted.or_else(|| path.rsplit('.').next());
        let mut found = text::find(text, shapes, name.filter(|_| shapes == Shapes::All));
        if !is_one_line {
            nested::manifests(text, &mut found);
        }
        match self.secrets_of_document(text, depth, true) {
            Some(secrets) => match nested::places(text, &secrets.iter().collect::<Vec<_>>()) {
                Some(places) => found.extend(places),
                None => return self.hide(value).then_some(NAMED),
            },
            None if is_one_line => found.extend(general::login(path, text)),
            None => {}
        }
        let found = disjoint(text, found);
        let first = found.first()?.kind;
        // Beside a token there may be another half of it that looks like nothing; beside a password in a URL there is not.
        let stays =
            |one: &Found| values::IN_PLACE.contains(&one.kind) || matches!(one.kind, NAMED | ARGUMENT);
        let is_one_word = !text.trim().contains(|c: char| c.is_whitespace() || matches!(c, '{' | '[' | '"'));
        let is_private_key = text.starts_with("-----BEGIN ");
        if (is_one_word || is_private_key) && !found.iter().all(stays) {
            return self.hide(value).then_some(first);
        }
        self.replace(value, &found);
        Some(first)
    }

    /// Returns the secrets of the document that a string holds; nothing if it holds none.
    fn secrets_of_document(&self, text: &str, depth: usize, may_be_yaml: bool) -> Option<Vec<Value>> {
        let before = (depth < nested::DEPTH).then(|| nested::document(text, depth > 0 || may_be_yaml))??;
        let mut after = before.clone();
        self.config(&mut after, |_| None, depth + 1, &mut Vec::new());
        let mut secrets = Vec::new();
        for (path, value) in before {
            match (after.get(&path), &value) {
                (Some(same), _) if *same == value => {}
                // A part of it is: a document deeper down, a password in a URL.
                (Some(Value::String(_)), Value::String(text)) => {
                    secrets.extend(self.secrets_of_document(text, depth + 1, true).unwrap_or_default());
                }
                _ => secrets.push(value),
            }
        }
        Some(secrets)
    }

    /// Replaces the secrets of a text, those of its own rules among them.
    fn redact_lines(&self, value: &mut Value, file: Option<&str>) -> Vec<Found> {
        let mut all = Vec::new();
        // Where two secrets overlap, the marker of one can show what is left of the other.
        for _ in 0..PASSES {
            let Value::String(text) = &*value else { break };
            let found = self.find_in_lines(text, file);
            if found.is_empty() {
                break;
            }
            self.replace(value, &found);
            all.extend(found);
        }
        all
    }

    /// Returns where secrets stand in a text, those that its own rules name among them.
    fn find_in_lines(&self, text: &str, file: Option<&str>) -> Vec<Found> {
        // Known by its content, if not by its name.
        let mut found = text::find(text, Shapes::All, Some(file.unwrap_or_default()));
        nested::manifests(text, &mut found);
        self.ruled(text, file, &mut found);
        if let Some(secrets) = self.secrets_of_document(text, 0, false) {
            match nested::places(text, &secrets.iter().collect::<Vec<_>>()) {
                Some(places) => found.extend(places),
                // What cannot be found in its spelling takes all with it.
                None => found.push(Found { range: 0..text.len(), kind: NAMED }),
            }
        }
        disjoint(text, found)
    }

    /// Finds what the rules of the policy name in a text.
    fn ruled(&self, text: &str, file: Option<&str>, found: &mut Vec<Found>) {
        let whole = Path(vec![Segment::Key("text".to_owned())]);
        let mut families = None;
        for rule in self.rules.iter() {
            if let Some(line) = &rule.line {
                let families = families.get_or_insert_with(|| recognised(text, file));
                if rule.kind.as_deref().is_some_and(|kind| !families.contains(&kind)) {
                    continue;
                }
                let mut start = 0;
                for content in text.split_inclusive('\n') {
                    let ranges = line.groups(content.trim_end_matches(['\n', '\r']));
                    found.extend(
                        ranges.into_iter().map(|range| Found {
                            range: start + range.start..start + range.end,
                            kind: POLICY,
                        }),
                    );
                    start += content.len();
                }
            } else if let Some(glob) = rule.value.as_deref().filter(|_| rule.path.matches_at_or_above(&whole))
            {
                for word in crate::grammar::words(text, 0..text.len()) {
                    if crate::pattern::glob_takes(glob, &text[word.inner.clone()]) {
                        found.push(Found { range: word.inner, kind: POLICY });
                    }
                }
            } else if rule.source.is_none() && rule.path.matches_at_or_above(&whole) {
                found.push(Found { range: 0..text.len(), kind: POLICY });
            }
        }
    }

    /// Why the whole value is a secret, if it is.
    fn hides_whole(&self, path: &str, value: &Value, source: Option<&str>) -> Option<&'static str> {
        if !self.rules.is_empty() {
            let path = lenient(path);
            if self.rules.iter().any(|rule| rule.covers(&path, value, source)) {
                return Some(POLICY);
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
        let found = text::find(text, Shapes::All, None);
        let (mut redacted, mut count) = (self.replaced(text, &found), found.len());
        // Where two secrets overlap, the marker of one can show what is left of the other.
        for _ in 1..PASSES {
            let found = if count == 0 { Vec::new() } else { text::find(&redacted, Shapes::All, None) };
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
            out.push_str(&inline(&self.fingerprint_of(secret, text)));
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

    /// Returns the fingerprint of a secret in a text. What is encrypted anew at each export is there or not: its value says nothing.
    fn fingerprint_of(&self, secret: &Found, text: &str) -> String {
        match secret.kind {
            SALTED => self.fingerprint(b"salted"),
            _ => self.replaced_by(&text.as_bytes()[secret.range.clone()]),
        }
    }

    /// Replaces a value because whoever wrote it down said that it is a secret; a list or a map is none.
    pub fn redact_marked(&self, value: &mut Value) -> bool {
        marker_key(value).is_none() && self.hide(value)
    }

    /// Puts the marker in the place of a value that holds something.
    fn hide(&self, value: &mut Value) -> bool {
        let fingerprint = match &*value {
            Value::String(text) if text.is_empty() || is_marker(text) => return false,
            Value::String(text) => self.replaced_by(text.as_bytes()),
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

    /// Returns the fingerprint of a secret that is being replaced, and learns it if this redactor does.
    fn replaced_by(&self, plaintext: &[u8]) -> String {
        if self.learns
            && let Ok(text) = std::str::from_utf8(plaintext)
        {
            self.learn(text);
        }
        self.fingerprint(plaintext)
    }

    /// Returns a fingerprint, which identifies a secret and does not reveal it: `hmac:k1:` and 16 digits of
    /// hex.
    pub fn fingerprint(&self, plaintext: &[u8]) -> String {
        format!(
            "hmac:{}:{}",
            self.fingerprints.id(),
            &self.fingerprints.hmac(b"rig fingerprint", plaintext)[..16]
        )
    }
}

#[cfg(test)]
mod tests;
