//! Markers: the replacement of a secret, the key it is made with, and the tests that recognise it.

use std::borrow::Cow;
use std::fmt;

use hmac::{Hmac, KeyInit, Mac};
use rig_event::keyfile::hex;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::Error;

/// The marker that the configuration library Rigging writes in place of a secret.
pub const RIGGING: &str = "***redacted***";

/// The longest id of a key.
const LONGEST_ID: usize = 32;

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

    /// The key that a line spells, `ID:HEX` with 64 digits: the form of key files.
    pub fn parse(line: &str) -> Option<Self> {
        let (id, hex) = line.split_once(':')?;
        if hex.len() != 64 || !hex.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        let mut secret = [0; 32];
        for (i, byte) in secret.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).ok()?;
        }
        RedactionKey::new(id, secret).ok()
    }

    /// The id that stands in markers.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the key of a stream: HMAC-SHA256 of its name under this key. Its id says whose it is, so that fingerprints of different
    /// streams are not taken for comparable: the id, a dash, and eight digits.
    pub(super) fn derived(&self, stream: &str) -> RedactionKey {
        let secret = self.hmac_bytes(b"rig stream key", stream.as_bytes());
        let tag = hex(&Sha256::digest(stream.as_bytes())[..4]);
        let id = &self.id[..self.id.len().min(LONGEST_ID - 9)];
        RedactionKey { id: format!("{id}-{tag}"), secret }
    }

    /// The HMAC of bytes for one purpose; the purpose keeps a fingerprint from being a prefix of a digest.
    pub(super) fn hmac(&self, purpose: &[u8], bytes: &[u8]) -> String {
        hex(&self.hmac_bytes(purpose, bytes))
    }

    fn hmac_bytes(&self, purpose: &[u8], bytes: &[u8]) -> [u8; 32] {
        // HMAC takes a key of any length; were it ever refused, the fixed answer would still leak nothing.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.secret) else { return [0; 32] };
        mac.update(purpose);
        mac.update(&[0]);
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for RedactionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedactionKey").field("id", &self.id).finish_non_exhaustive()
    }
}

fn is_key_id(id: &str) -> bool {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'_');
    (1..=LONGEST_ID).contains(&id.len()) && id.bytes().all(fine)
}

/// The key id of a fingerprint, `hmac:k1:3f9a…` with 16 digits of hex.
pub(super) fn fingerprint_key(text: &str) -> Option<&str> {
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

/// Returns true if the value is a marker: rig's `{"redacted":"hmac:…"}` and, in a string,
/// `<redacted:hmac:…>`, or Rigging's `***redacted***`. Code that leaves out redacted fields must call this
/// and nothing else.
pub fn is_redacted(value: &Value) -> bool {
    match value {
        Value::String(text) => is_marker(text),
        other => marker_key(other).is_some(),
    }
}

/// Returns true if two values differ in nothing but the fingerprints of secrets in them.
pub fn differs_in_secrets_only(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::String(old), Value::String(new)) => {
            old != new && without_fingerprints(old) == without_fingerprints(new)
        }
        _ => old != new && is_redacted(old) && is_redacted(new),
    }
}

/// Returns a text with every marker in it as `<redacted>`, so that two secrets look the same.
pub fn without_fingerprints(text: &str) -> Cow<'_, str> {
    const BLANK: &str = "<redacted>";
    let mut out = String::new();
    let mut at = 0;
    for (start, _) in text.match_indices("<redacted:") {
        let end = text[start..].find('>').map_or(text.len(), |end| start + end + 1);
        if start >= at && is_marker(&text[start..end]) {
            out.push_str(&text[at..start]);
            out.push_str(BLANK);
            at = end;
        }
    }
    let blanked = if at == 0 { Cow::Borrowed(text) } else { Cow::Owned(out + &text[at..]) };
    if blanked.contains(RIGGING) { Cow::Owned(blanked.replace(RIGGING, BLANK)) } else { blanked }
}

/// Returns true if the text is a fingerprint as a marker holds it.
pub(super) fn is_fingerprint(text: &str) -> bool {
    fingerprint_key(text).is_some()
}

/// The marker that takes a whole value's place.
pub(super) fn marker(fingerprint: &str) -> Value {
    json!({ "redacted": fingerprint })
}

/// The marker that takes a secret's place inside a text.
pub(super) fn inline(fingerprint: &str) -> String {
    format!("<redacted:{fingerprint}>")
}

/// Returns true if the string is the marker of a secret that was replaced before.
pub(super) fn is_marker(text: &str) -> bool {
    let inner = text.strip_prefix("<redacted:").and_then(|rest| rest.strip_suffix('>'));
    text == RIGGING || inner.is_some_and(|inner| fingerprint_key(inner).is_some())
}

/// Returns true if the text begins with a marker that an earlier pass left, whatever follows it.
pub(super) fn begins_with_marker(text: &str) -> bool {
    let end = text.find('>').map_or(text.len(), |at| at + 1);
    is_marker(&text[..end]) || text == RIGGING
}
