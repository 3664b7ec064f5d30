//! An approved configuration and its signature: who approved what, when and why, so that nobody can change it unseen.
//!
//! # What is signed
//!
//! HMAC-SHA256 (RFC 2104) with a key of 32 bytes, over these bytes in this order:
//!
//! 1. the 16 bytes `rig baseline v1` and a line end (0x0A): nothing else that rig signs begins with them;
//! 2. ten fields: the key's id, `stream`, `service`, `digest`, `config_digest`, `approved`, `actor`, `reason`, `meta`
//!    and `config`. Each is its length in bytes as 8 bytes, the most significant first, and then that many bytes.
//!    A field that is absent has the length 2⁶⁴ − 1 and no bytes, so that absent and empty differ.
//!
//! Texts are UTF-8. `approved` is RFC 3339 in UTC with six digits of a second, `2026-11-20T10:30:05.412803Z`. `meta`
//! and `config` are canonical JSON: keys sorted by their bytes, no white space, numbers as they are spelled; an empty
//! `meta` is `{}`. The signature is written as 64 hexadecimal digits in small letters.
//!
//! # What a check answers
//!
//! [`Trust::Valid`] and nothing else means that a key of the ring signed exactly this. Every doubt is another answer:
//! what has no signature is unsigned, what is signed by a key that the ring lacks is of an unknown key, and everything
//! else (another byte, another algorithm, a digest that is not that of the configuration) is altered.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit as _, Mac as _};
use rig_event::event::Signature;
use rig_event::keyfile::{self, Algorithm, BadKey, hex, unhex};
use rig_event::{FlatConfig, Timestamp, spelled};
use serde::{Deserialize, Deserializer, Serialize, de};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::Sha256;

use crate::lines::Place;
use crate::shown::shown;
use crate::{Error, Limits, config_digest};

/// The first bytes of everything that is signed.
const DOMAIN: &[u8] = b"rig baseline v1\n";

/// The one algorithm, as signatures name it.
pub const ALGORITHM: &str = "hmac-sha256";

/// The length of a field that is absent.
const ABSENT: u64 = u64::MAX;

/// A configuration that somebody approved.
///
/// In a file it is this JSON with `"type":"rig.baseline","v":1` in front; unknown fields are refused, for no signature
/// would cover them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    /// The stream it was approved in; absent where there was none.
    pub stream: Option<String>,
    /// The service.
    pub service: Option<String>,
    /// Keyed digest of the document; absent where nobody kept it.
    pub digest: Option<String>,
    /// Digest of `config`, as [`config_digest`] has it.
    pub config_digest: String,
    /// When it was approved.
    pub approved: Timestamp,
    /// The person or program that approved it.
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// Whatever else was to be remembered: deployment, git commit.
    pub meta: BTreeMap<String, String>,
    /// The configuration, redacted.
    pub config: Arc<FlatConfig>,
    /// The signature over all of this.
    pub signature: Option<Signature>,
}

/// The result of checking a baseline's signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Trust {
    /// A key of the ring signed exactly this.
    Valid,
    /// Nobody signed it.
    Unsigned,
    /// It is not what was signed.
    Altered,
    /// It is signed by a key that the ring does not have: nobody can say more.
    UnknownKey,
}

impl Trust {
    /// The word used in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Trust::Valid => "valid",
            Trust::Unsigned => "unsigned",
            Trust::Altered => "altered",
            Trust::UnknownKey => "unknown-key",
        }
    }
}

impl fmt::Display for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Keys that baselines are signed and checked with: the last one signs, all of them check.
#[derive(Clone, Default)]
pub struct BaselineKeys(Vec<(String, [u8; 32])>);

impl BaselineKeys {
    /// Reads a key file: the lines `ID hmac-sha256 HEX` of the format of [`keyfile`]. To rotate, add a line: the last
    /// key signs, and the older ones go on checking. Keys of other algorithms are for other signatures and passed over.
    ///
    /// # Errors
    /// [`BadKey`] with the line.
    pub fn parse(text: &str) -> Result<BaselineKeys, BadKey> {
        let keys = keyfile::parse(text)?.into_iter();
        let keys = keys.filter(|key| key.algorithm == Algorithm::HmacSha256).map(|key| (key.id, key.bytes));
        Ok(BaselineKeys(keys.collect()))
    }

    /// Returns true if there is no key to sign or check with.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for BaselineKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(id, _)| id)).finish()
    }
}

impl Baseline {
    /// A configuration approved at that moment, with its digest and nothing else yet.
    pub fn new(config: Arc<FlatConfig>, approved: Timestamp) -> Baseline {
        Baseline { config_digest: config_digest(&config), approved, config, ..Baseline::default() }
    }

    /// Signs it with the last key of the ring, in place of any signature it has.
    ///
    /// # Errors
    /// [`Error::NoSigningKey`] when the ring is empty; the baseline is then as it was.
    pub fn sign(&mut self, keys: &BaselineKeys) -> Result<(), Error> {
        let (id, secret) = keys.0.last().ok_or(Error::NoSigningKey)?;
        let mac = self.mac(id, secret).ok_or(Error::NoSigningKey)?;
        let value = hex(&mac.finalize().into_bytes());
        self.signature = Some(Signature { key_id: id.clone(), alg: ALGORITHM.to_owned(), value });
        Ok(())
    }

    /// Checks the signature against these keys; the comparison takes constant time.
    pub fn verify(&self, keys: &BaselineKeys) -> Trust {
        if self.config_digest != config_digest(&self.config) {
            return Trust::Altered;
        }
        let Some(signature) = &self.signature else { return Trust::Unsigned };
        let Some((id, secret)) = keys.0.iter().find(|(id, _)| *id == signature.key_id) else {
            return Trust::UnknownKey;
        };
        let value = if signature.alg == ALGORITHM { unhex(&signature.value) } else { None };
        let signed = self.mac(id, secret).zip(value).is_some_and(|(mac, v)| mac.verify_slice(&v).is_ok());
        if signed { Trust::Valid } else { Trust::Altered }
    }

    /// Reads a baseline file.
    ///
    /// # Errors
    /// [`Error::TooLarge`] over `limits.bytes`; [`Error::BadBaseline`] when it is none, has a field that no signature
    /// covers or a key twice.
    pub fn parse(bytes: &[u8], limits: &Limits) -> Result<Baseline, Error> {
        if bytes.len() as u64 > limits.bytes {
            return Err(Error::TooLarge { bytes: bytes.len() as u64, limit: limits.bytes });
        }
        let file: File = serde_json::from_slice(bytes).map_err(|error| Error::BadBaseline {
            at: (error.line() > 0)
                .then(|| Place { line: error.line() as u64, column: error.column() as u64 }),
            why: why(&error),
        })?;
        let bad = |why: String| Error::BadBaseline { at: None, why };
        if file.r#type != TYPE || file.v != VERSION {
            return Err(bad(format!(
                "it must say \"type\":{TYPE:?},\"v\":{VERSION}; a newer rig may read it"
            )));
        }
        if let Some((path, _)) = file.config.iter().find(|(_, value)| !is_leaf(value)) {
            return Err(bad(format!("the value of {} is no leaf", shown(path))));
        }
        Ok(Baseline {
            stream: file.stream,
            service: file.service,
            digest: file.digest,
            config_digest: file.config_digest,
            approved: file.approved,
            actor: file.actor,
            reason: file.reason,
            meta: file.meta,
            config: Arc::new(file.config),
            signature: file.signature,
        })
    }

    /// The baseline file: indented JSON with a line end, which [`Baseline::parse`] reads back.
    pub fn to_json(&self) -> String {
        let Baseline { stream, service, digest, config_digest, approved, actor, reason, .. } = self.clone();
        let file = File {
            r#type: TYPE.to_owned(),
            v: VERSION,
            stream,
            service,
            digest,
            config_digest,
            approved,
            actor,
            reason,
            meta: self.meta.clone(),
            config: FlatConfig::clone(&self.config),
            signature: self.signature.clone(),
        };
        // Maps with keys of text do not fail to be written.
        serde_json::to_string_pretty(&file).map_or_else(|_| String::new(), |text| text + "\n")
    }

    /// Returns true if the document claims to be a baseline file.
    pub fn looks_like(bytes: &[u8]) -> bool {
        #[derive(Deserialize)]
        struct Looks {
            r#type: String,
        }
        serde_json::from_slice::<Looks>(bytes).is_ok_and(|looks| looks.r#type == TYPE)
    }

    /// The bytes that a key signs, as the page above defines them.
    pub fn message(&self, key_id: &str) -> Vec<u8> {
        let approved = self.approved.to_string();
        // Plain maps do not fail to be written; if one ever did, the signature would not match.
        let (meta, config) = (json(&self.meta), json(self.config.as_ref()));
        let fields: [Option<&[u8]>; 10] = [
            Some(key_id.as_bytes()),
            self.stream.as_deref().map(str::as_bytes),
            self.service.as_deref().map(str::as_bytes),
            self.digest.as_deref().map(str::as_bytes),
            Some(self.config_digest.as_bytes()),
            Some(approved.as_bytes()),
            self.actor.as_deref().map(str::as_bytes),
            self.reason.as_deref().map(str::as_bytes),
            meta.as_deref(),
            config.as_deref(),
        ];
        let mut message = DOMAIN.to_vec();
        for field in fields {
            message.extend(field.map_or(ABSENT, |field| field.len() as u64).to_be_bytes());
            message.extend(field.unwrap_or_default());
        }
        message
    }

    fn mac(&self, id: &str, secret: &[u8; 32]) -> Option<Hmac<Sha256>> {
        // HMAC takes a key of any length; the answer is optional only in the trait.
        let mut mac = Hmac::<Sha256>::new_from_slice(secret).ok()?;
        mac.update(&self.message(id));
        Some(mac)
    }
}

fn json(value: &impl Serialize) -> Option<Vec<u8>> {
    serde_json::to_vec(value).ok()
}

const TYPE: &str = "rig.baseline";
const VERSION: u64 = 1;

/// The file, with its fields in the order in which they are written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    r#type: String,
    v: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
    config_digest: String,
    approved: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "unique")]
    meta: BTreeMap<String, String>,
    #[serde(deserialize_with = "spelled_once")]
    config: FlatConfig,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<Signature>,
}

/// As [`unique`], with the numbers as they are spelled: that is how they are signed.
fn spelled_once<'de, D: Deserializer<'de>>(d: D) -> Result<FlatConfig, D::Error> {
    let fields = unique::<D, Box<RawValue>>(d)?.into_iter();
    let fields =
        fields.map(|(path, raw)| Ok((path, spelled::from_str(raw.get()).map_err(de::Error::custom)?)));
    fields.collect()
}

/// A map in which no key stands twice: a reader that takes the other of two values would not see what was signed.
fn unique<'de, D: Deserializer<'de>, T: Deserialize<'de>>(d: D) -> Result<BTreeMap<String, T>, D::Error> {
    struct Unique<T>(std::marker::PhantomData<T>);
    impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Unique<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map")
        }

        fn visit_map<A: de::MapAccess<'de>>(self, mut access: A) -> Result<Self::Value, A::Error> {
            let mut map = BTreeMap::new();
            while let Some((key, value)) = access.next_entry()? {
                if map.insert(key, value).is_some() {
                    return Err(de::Error::custom("a key stands here twice"));
                }
            }
            Ok(map)
        }
    }
    d.deserialize_map(Unique(std::marker::PhantomData))
}

/// A leaf of a flat configuration: a scalar, an empty list or map, or the marker of a secret.
fn is_leaf(value: &Value) -> bool {
    match value {
        Value::Array(list) => list.is_empty(),
        Value::Object(map) => {
            map.is_empty() || (map.len() == 1 && map.get("redacted").is_some_and(Value::is_string))
        }
        _ => true,
    }
}

/// Formats serde's error without the values that it quotes.
fn why(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let known = ["missing field", "unknown field", "duplicate field", "a key stands here twice"];
    match known.iter().any(|known| text.starts_with(known)) {
        true => text.split(" at line ").next().unwrap_or_default().to_owned(),
        false if error.is_syntax() || error.is_eof() => "it is no JSON".to_owned(),
        false => "a field does not have the kind of value it should".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn keys(lines: &[(&str, u8)]) -> BaselineKeys {
        let line = |(id, byte): &(&str, u8)| format!("{id} hmac-sha256 {}\n", hex(&[*byte; 32]));
        BaselineKeys::parse(&lines.iter().map(line).collect::<String>()).unwrap()
    }

    fn baseline() -> Baseline {
        let config = r#"{"db.host":"x","empty":{},"password":{"redacted":"hmac:k1:0123456789abcdef"},"port":8080,"rate":1.50,"size":1e3}"#;
        let config = spelled::from_str(config).unwrap().as_object().unwrap().clone().into_iter().collect();
        Baseline {
            stream: Some("main".into()),
            service: Some("api".into()),
            digest: Some("hmac:k1:aa".into()),
            actor: Some("ana".into()),
            reason: Some("release 4.2".into()),
            meta: BTreeMap::from([("git_sha".into(), "4f2c9e1".into())]),
            ..Baseline::new(Arc::new(config), "2026-11-20T10:30:05Z".parse().unwrap())
        }
    }

    fn signed(by: &BaselineKeys) -> Baseline {
        let mut baseline = baseline();
        baseline.sign(by).unwrap();
        baseline
    }

    #[test]
    fn the_signed_bytes_are_what_the_page_says() {
        let baseline = Baseline {
            reason: Some(String::new()),
            ..Baseline::new(
                Arc::new(FlatConfig::from([("a".into(), json!(1))])),
                "2026-11-20T10:30:05Z".parse().unwrap(),
            )
        };
        let mut expected = b"rig baseline v1\n".to_vec();
        let digest = config_digest(&baseline.config);
        for field in [
            Some("k1"),
            None,
            None,
            None,
            Some(digest.as_str()),
            Some("2026-11-20T10:30:05.000000Z"),
            None,
            Some(""),
            Some("{}"),
            Some("{\"a\":1}"),
        ] {
            match field {
                Some(field) => {
                    expected.extend((field.len() as u64).to_be_bytes());
                    expected.extend(field.as_bytes());
                }
                None => expected.extend([0xff; 8]),
            }
        }
        assert_eq!(baseline.message("k1"), expected);
    }

    /// Made with `hmac.new(bytes([7]) * 32, message, "sha256")` of Python.
    #[test]
    fn the_signature_is_what_another_implementation_computes() {
        let mut baseline = Baseline::new(
            Arc::new(FlatConfig::from([("a".into(), json!(1))])),
            "2026-11-20T10:30:05Z".parse().unwrap(),
        );
        baseline.sign(&keys(&[("k1", 7)])).unwrap();
        let value = "2a01760f2b36a0f2422d69ddae35b0a50d5abb03c13cd094a4b5d8838e18b183";
        assert_eq!(baseline.signature.unwrap().value, value);
    }

    #[test]
    fn every_field_is_covered() {
        let ring = keys(&[("k1", 7)]);
        let good = signed(&ring);
        assert_eq!(good.verify(&ring), Trust::Valid);
        let config = |path: &str, value: Value| {
            let mut config = FlatConfig::clone(&good.config);
            config.insert(path.into(), value);
            Baseline { config_digest: config_digest(&config), config: Arc::new(config), ..good.clone() }
        };
        let none = || None;
        let altered = [
            Baseline { stream: Some("prod".into()), ..good.clone() },
            Baseline { stream: none(), ..good.clone() },
            Baseline { service: Some("web".into()), ..good.clone() },
            Baseline { digest: Some("hmac:k1:ab".into()), ..good.clone() },
            Baseline { config_digest: "sha256:00".into(), ..good.clone() },
            Baseline { approved: "2026-11-20T10:30:06Z".parse().unwrap(), ..good.clone() },
            Baseline { actor: Some("bob".into()), ..good.clone() },
            Baseline { reason: Some(String::new()), ..good.clone() },
            Baseline { meta: BTreeMap::new(), ..good.clone() },
            // What moves from one field to the next.
            Baseline { actor: Some("anar".into()), reason: Some("elease 4.2".into()), ..good.clone() },
            Baseline { config: Arc::new(FlatConfig::new()), ..good.clone() },
            config("port", json!(8081)),
            config("port", json!("8080")),
            config("rate", serde_json::from_str("1.5").unwrap()),
            config("new", Value::Null),
        ];
        for (i, baseline) in altered.iter().enumerate() {
            assert_eq!(baseline.verify(&ring), Trust::Altered, "{i}");
        }
    }

    #[test]
    fn what_is_not_valid_says_how() {
        let ring = keys(&[("k1", 7)]);
        assert_eq!(baseline().verify(&ring), Trust::Unsigned);
        assert_eq!(signed(&ring).verify(&BaselineKeys::default()), Trust::UnknownKey);
        assert_eq!(signed(&ring).verify(&keys(&[("k2", 7)])), Trust::UnknownKey);
        assert_eq!(signed(&ring).verify(&keys(&[("k1", 8)])), Trust::Altered);
        // The same key under another id signs something else.
        let mut renamed = signed(&ring);
        renamed.signature.as_mut().unwrap().key_id = "k2".into();
        assert_eq!(renamed.verify(&keys(&[("k1", 7), ("k2", 7)])), Trust::Altered);
        for (alg, value) in
            [("none", None), ("ed25519", None), ("hmac-sha256", Some("")), ("hmac-sha256", Some("zz"))]
        {
            let mut forged = signed(&ring);
            let signature = forged.signature.as_mut().unwrap();
            signature.alg = alg.into();
            if let Some(value) = value {
                signature.value = value.into();
            }
            assert_eq!(forged.verify(&ring), Trust::Altered, "{alg} {value:?}");
        }
        let mut cut = signed(&ring);
        cut.signature.as_mut().unwrap().value.truncate(32);
        assert_eq!(cut.verify(&ring), Trust::Altered, "half a signature");
    }

    #[test]
    fn during_a_rotation_both_keys_check_and_the_last_signs() {
        let (old, both, new) = (keys(&[("k1", 1)]), keys(&[("k1", 1), ("k2", 2)]), keys(&[("k2", 2)]));
        assert_eq!(signed(&old).verify(&both), Trust::Valid);
        assert_eq!(signed(&both).signature.unwrap().key_id, "k2");
        assert_eq!(signed(&both).verify(&new), Trust::Valid);
        assert_eq!(signed(&old).verify(&new), Trust::UnknownKey);
        assert_eq!(baseline().sign(&BaselineKeys::default()).unwrap_err().code(), "no-signing-key");
        let other = BaselineKeys::parse(&format!("e ed25519 {}", "01".repeat(32))).unwrap();
        assert!(other.is_empty());
    }

    #[test]
    fn a_file_reads_back_as_it_was_signed() {
        let ring = keys(&[("k1", 7)]);
        let text = signed(&ring).to_json();
        let read = Baseline::parse(text.as_bytes(), &Limits::default()).unwrap();
        assert_eq!((read.verify(&ring), &read), (Trust::Valid, &signed(&ring)));
        assert!(Baseline::looks_like(text.as_bytes()) && !Baseline::looks_like(b"{\"a\":1}"));
        // White space is nobody's: what counts is what is said.
        let compact = spelled::from_str(&text).unwrap();
        assert!(text.contains("\"size\": 1e3"), "{text}");
        let read = Baseline::parse(compact.to_string().as_bytes(), &Limits::default()).unwrap();
        assert_eq!(read.verify(&ring), Trust::Valid);
    }

    #[test]
    fn a_file_with_more_than_is_signed_is_refused() {
        let text = signed(&keys(&[("k1", 7)])).to_json();
        for (from, to, says) in [
            ("\"v\": 1,", "\"v\": 1, \"extra\": 1,", "extra"),
            ("\"port\": 8080", "\"port\": 8081, \"port\": 8080", "twice"),
            ("\"service\": \"api\"", "\"service\": \"web\", \"service\": \"api\"", "service"),
            ("\"port\": 8080", "\"port\": [1]", "port"),
            ("\"v\": 1,", "\"v\": 2,", "newer"),
            ("\"approved\": \"2026", "\"approved\": \"hunter2", "kind of value"),
            ("\"v\"", "v", "no JSON"),
        ] {
            let bad = text.replacen(from, to, 1);
            assert_ne!(bad, text, "{from}");
            let error = Baseline::parse(bad.as_bytes(), &Limits::default()).unwrap_err();
            assert_eq!(error.code(), "bad-baseline");
            assert!(
                error.to_string().contains(says) && !error.to_string().contains("hunter2"),
                "{from}: {error}"
            );
        }
        let small = Limits { bytes: 10, ..Limits::default() };
        assert_eq!(Baseline::parse(text.as_bytes(), &small).unwrap_err().code(), "too-large");
    }
}
