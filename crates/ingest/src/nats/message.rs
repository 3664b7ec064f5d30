//! A message with a router's snapshot, parsed as untrusted input.

use std::borrow::Cow;
use std::collections::BTreeMap;

use rig_config::normalise::collector_v1;
use rig_event::Timestamp;
use rig_event::keyfile::unhex;
use serde::Deserialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

/// Maximum length of a system version that is kept, in bytes.
const MAX_VERSION: usize = 64;

/// The content of a message. It holds secrets, so it cannot be printed.
pub(super) struct Snapshot {
    /// UUIDs in lowercase.
    pub(super) tenant: String,
    pub(super) device: String,
    /// The whole export, with its secrets.
    pub(super) text: String,
    /// SHA-256 of the text as the collector normalised it.
    pub(super) hash: [u8; 32],
    /// Metadata that is kept beside the snapshot.
    pub(super) meta: BTreeMap<String, String>,
}

/// The reason why a message is refused. It quotes nothing of the message.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    pub(super) code: &'static str,
    pub(super) reason: String,
}

/// The message as it is written. Optional fields may also be malformed.
#[derive(Deserialize)]
struct Fields<'a> {
    #[serde(borrow)]
    tenant_id: Cow<'a, str>,
    #[serde(borrow)]
    device_id: Cow<'a, str>,
    #[serde(borrow)]
    sha256_hash: Cow<'a, str>,
    #[serde(borrow)]
    config_text: Cow<'a, str>,
    #[serde(borrow, default)]
    collected_at: Option<&'a RawValue>,
    #[serde(borrow, default)]
    routeros_version: Option<&'a RawValue>,
    #[serde(borrow, default)]
    normalization_version: Option<&'a RawValue>,
}

impl Snapshot {
    /// Parses a message that arrived at `received`. Does not check the hash: see [`Snapshot::is_whole`].
    pub(super) fn read(payload: &[u8], received: Timestamp) -> Result<Snapshot, Malformed> {
        let malformed = |reason: String| Malformed { code: "malformed-message", reason };
        // An array would be accepted as an object without names.
        if payload.trim_ascii_start().first() != Some(&b'{') {
            return Err(malformed("the message is no JSON object".to_owned()));
        }
        let fields: Fields<'_> = serde_json::from_slice(payload).map_err(|e| {
            // The parser's message may quote the content.
            let what = match e.classify() {
                serde_json::error::Category::Data => {
                    "the message lacks one of tenant_id, device_id, sha256_hash and config_text, has one twice or not as text; it was read to"
                }
                _ => "the message is no JSON object at",
            };
            malformed(format!("{what} line {} column {}", e.line(), e.column()))
        })?;
        let id = |name: &str, text: &str| uuid(text).ok_or_else(|| malformed(format!("{name} is no UUID")));
        let (tenant, device) = (id("tenant_id", &fields.tenant_id)?, id("device_id", &fields.device_id)?);
        let hash = unhex(&fields.sha256_hash).and_then(|hash| hash.try_into().ok()).ok_or_else(|| {
            malformed("sha256_hash is no SHA-256 in 64 lowercase hexadecimal digits".to_owned())
        })?;
        if fields.config_text.is_empty() {
            return Err(malformed("config_text is empty".to_owned()));
        }

        let text = |value: Option<&RawValue>| serde_json::from_str::<String>(value?.get()).ok();
        let collected = text(fields.collected_at).and_then(|text| text.parse::<Timestamp>().ok());
        let mut meta =
            BTreeMap::from([("collected_at".to_owned(), collected.unwrap_or(received).to_string())]);
        let version = text(fields.routeros_version)
            .filter(|v| (1..=MAX_VERSION).contains(&v.len()) && !v.chars().any(char::is_control));
        if let Some(version) = version {
            meta.insert("routeros_version".to_owned(), version);
        }
        let rules = fields.normalization_version.and_then(|v| v.get().parse::<u32>().ok());
        if let Some(rules) = rules {
            meta.insert("normalization_version".to_owned(), rules.to_string());
        }
        let text = fields.config_text.into_owned();
        Ok(Snapshot { tenant, device, text, hash, meta })
    }

    /// Returns true if the text is the one that was hashed.
    pub(super) fn is_whole(&self) -> bool {
        let found: [u8; 32] = Sha256::digest(collector_v1(&self.text)).into();
        found == self.hash
    }
}

/// Returns a UUID in its form with hyphens, in lowercase.
pub(super) fn uuid(text: &str) -> Option<String> {
    let is_hyphen = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    let fits = |(at, b): (usize, u8)| if is_hyphen(at) { b == b'-' } else { b.is_ascii_hexdigit() };
    (text.len() == 36 && text.bytes().enumerate().all(fits)).then(|| text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TENANT: &str = "0b0e7a10-0000-4000-8000-00000000000a";
    const DEVICE: &str = "0B0E7A10-0000-4000-8000-00000000000B";

    fn read(json: &str) -> Result<Snapshot, Malformed> {
        Snapshot::read(json.as_bytes(), Timestamp::from_micros(0))
    }

    fn message(hash: &str, more: &str) -> String {
        format!(
            r#"{{"tenant_id":"{TENANT}","device_id":"{DEVICE}","sha256_hash":"{hash}","config_text":"/ip dns\r\nset a=1 \r\n"{more}}}"#
        )
    }

    /// Of `/ip dns\nset a=1\n`.
    fn right() -> String {
        rig_event::keyfile::hex(&Sha256::digest("/ip dns\nset a=1\n"))
    }

    #[test]
    fn a_message_is_read_and_its_hash_computed_again() {
        let more = r#","collected_at":"2026-11-20T10:00:00+01:00","routeros_version":"7.20","normalization_version":1,"new":[{}]"#;
        let snapshot = read(&message(&right(), more)).ok().unwrap();
        assert!(snapshot.is_whole());
        assert_eq!((snapshot.tenant.as_str(), snapshot.device), (TENANT, DEVICE.to_lowercase()));
        let meta: Vec<_> = snapshot.meta.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect();
        assert_eq!(
            meta,
            [
                ("collected_at", "2026-11-20T09:00:00.000000Z"),
                ("normalization_version", "1"),
                ("routeros_version", "7.20")
            ]
        );
        assert!(!read(&message(&"0".repeat(64), "")).ok().unwrap().is_whole());
    }

    #[test]
    fn what_may_be_missing_may_be_malformed() {
        let more = r#","collected_at":1e99,"routeros_version":"a\u0000b","normalization_version":"x""#;
        let snapshot = read(&message(&right(), more)).ok().unwrap();
        assert_eq!(snapshot.meta.len(), 1);
        assert_eq!(snapshot.meta["collected_at"], "1970-01-01T00:00:00.000000Z");
    }

    #[test]
    fn what_is_refused_says_nothing_of_what_stands_in_it() {
        let secret = "hunter2";
        let whole = message(&right(), "");
        for json in [
            secret.to_owned(),
            format!("\"{secret}\""),
            format!("[\"{secret}\"]"),
            format!("{{\"config_text\":{{\"{secret}\":1}}}}"),
            "[".repeat(100_000),
            whole.replace(TENANT, secret),
            whole.replace(DEVICE, &format!("../../{secret}")),
            message(secret, ""),
            message(&right().to_uppercase(), ""),
            message(&right(), ",\"config_text\":\"hunter2\""),
            whole.replace("/ip dns\\r\\nset a=1 \\r\\n", ""),
            whole[..whole.len() - 1].to_owned(),
            format!("{whole}{secret}"),
        ] {
            let malformed = read(&json).err().unwrap();
            assert_eq!(malformed.code, "malformed-message");
            assert!(!malformed.reason.contains(secret), "{malformed:?}");
        }
        assert!(Snapshot::read(b"\xff\xfe", Timestamp::from_micros(0)).is_err());
    }
}
