//! What there is at a seq: services with their config, drift and baseline, edges, environment; its JSON and its hash.
//!
//! The hash is defined so that it can be kept up as events come: one SHA-256 a service over its canonical form, computed anew
//! only for the service that changed, and one over those, the edges and the environment. The canonical form is the JSON
//! that is shown, with sorted keys and no white space, numbers as they were spelled; the fields of the structs below stand
//! in that order. Seq and time are not in it: an event that changes nothing leaves the hash as it was.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, OnceLock};

use rig_event::event::{Against, Part};
use rig_event::spelled::{self, to_value};
use rig_event::{Change, DriftField, FlatConfig, Hunk, Seq, ServiceName, Severity, Timestamp, Verdict};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{Error, Result};

/// The fold of a stream up to a seq.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub struct State {
    /// The last event folded; 0 before the first.
    pub seq: Seq,
    /// Its time.
    pub ts: Timestamp,
    /// Every service that was captured or took a step in its life.
    pub services: BTreeMap<ServiceName, Arc<Service>>,
    /// Traffic by source and target.
    pub edges: BTreeMap<String, BTreeMap<String, Edge>>,
    /// The test environment.
    pub environment: Environment,
}

/// One service.
#[derive(Clone, Debug, Default)]
pub struct Service {
    /// Differences from the baseline that somebody accepted, oldest first.
    pub acceptances: Vec<Acceptance>,
    /// What was approved.
    pub baseline: Option<Baseline>,
    /// Reference to the original of the document that was captured last, where it was kept.
    pub blob: Option<String>,
    /// The last `snapshot.captured`; 0 before the first.
    pub captured_seq: Seq,
    /// The config as it is known; for a text, the one field `text`.
    pub config: Arc<FlatConfig>,
    /// Digest of the config that was captured last.
    pub config_digest: String,
    /// The event since which `config` is as it is.
    pub config_seq: Seq,
    /// What was declared of it.
    pub declared: Option<Declared>,
    /// Diffs since the config was last carried whole.
    pub diffs: u64,
    /// Digest of the document that was captured last.
    pub digest: String,
    /// How the config stands against the baseline; absent without one.
    pub drift: Option<Drift>,
    /// Why it failed.
    pub error: Option<String>,
    /// Format of the document.
    pub format: String,
    /// A split payload whose last part is not there yet.
    pub pending: Option<Pending>,
    /// Which source each field came from, as far as whoever captured it said.
    pub provenance: Arc<BTreeMap<String, String>>,
    /// `starting`, `healthy`, `ready`, `failed`, `stopping` or `stopped`, once a lifecycle event came.
    pub status: Option<String>,
    hash: OnceLock<[u8; 32]>,
}

impl PartialEq for Service {
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

/// An approved config.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Baseline {
    /// Who approved it.
    pub actor: Option<String>,
    /// The `baseline.approved` event.
    pub approved_seq: Seq,
    /// The `snapshot.captured` that was approved.
    pub captured: Seq,
    /// The config that was approved.
    pub config: Arc<FlatConfig>,
    /// Its digest.
    pub config_digest: String,
    /// Digest of the document.
    pub digest: String,
    /// The key that signed it.
    pub key_id: Option<String>,
    /// Why.
    pub reason: Option<String>,
    /// The signature, in hexadecimal.
    pub signature: Option<String>,
    /// When it was signed.
    pub signed: Option<Timestamp>,
}

/// What somebody wants of a service: some of its fields, from outside (a repository).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Declared {
    /// Who declared it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The fields.
    #[serde(deserialize_with = "spelled::config")]
    pub config: Arc<FlatConfig>,
    /// Their digest.
    pub config_digest: String,
    /// The `baseline.declared` event.
    pub declared_seq: Seq,
    /// Digest of the document.
    pub digest: String,
    /// How the service's config stands against it; absent until one of them changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// A difference from the baseline that somebody accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Acceptance {
    /// The `drift.accepted` event.
    pub accepted_seq: Seq,
    /// Who accepted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The difference: exactly this field with exactly this value.
    pub change: Change,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it ends; absent: with the baseline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// How a config stands against its baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// What it was held against.
    pub against: Against,
    /// How many fields differ; `fields` may list fewer.
    pub differing: u64,
    /// The fields that differ.
    pub fields: Vec<DriftField>,
    /// The policy rules that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// The highest severity among the fields that nobody accepted.
    pub severity: Option<Severity>,
    /// The event that gave this verdict.
    pub since_seq: Seq,
    /// The verdict.
    pub verdict: Verdict,
}

/// A payload that came in parts, as far as it is there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pending {
    /// Whether none of the parts carried a config.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub bare: bool,
    /// Changes of a `diff.computed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// Config of a `snapshot.captured`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "spelled::config")]
    pub config: FlatConfig,
    /// Hunks of a `diff.computed`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hunks: Vec<Hunk>,
    /// The last part that came, and of how many.
    pub part: Part,
    /// Provenance of a `snapshot.captured`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provenance: BTreeMap<String, String>,
    /// The type of the event that is split.
    pub r#type: String,
}

/// Traffic from one service to another.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Edge {
    /// Bytes from target to source, over connections.
    pub bytes_in: u64,
    /// Bytes from source to target, over connections.
    pub bytes_out: u64,
    /// Connections opened.
    pub connections: u64,
    /// Requests that got no answer, or one that says the target failed (status ≥ 500, gRPC not OK).
    pub failures: u64,
    /// Requests.
    pub requests: u64,
}

/// The test environment, where the stream is about one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Why it fails.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `up`, `failing`, `destroying` or `down`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
}

impl State {
    /// The state's hash, `sha256:` and 64 hexadecimal digits: equal wherever the same events were folded.
    pub fn hash(&self) -> String {
        #[derive(Serialize)]
        struct Canonical<'a> {
            edges: &'a BTreeMap<String, BTreeMap<String, Edge>>,
            environment: &'a Environment,
            services: BTreeMap<&'a str, String>,
        }
        let services = self.services.iter().map(|(name, s)| (name.as_str(), named(&s.hash()))).collect();
        named(&sha256(&Canonical { edges: &self.edges, environment: &self.environment, services }))
    }

    /// The state as JSON, as the contract has it (docs/formats.md).
    pub fn view<'a>(&'a self, stream: &'a str) -> impl Serialize + 'a {
        #[derive(Serialize)]
        struct View<'a> {
            stream: &'a str,
            seq: Seq,
            ts: Timestamp,
            hash: String,
            services: &'a BTreeMap<ServiceName, Arc<Service>>,
            edges: &'a BTreeMap<String, BTreeMap<String, Edge>>,
            environment: &'a Environment,
        }
        View {
            stream,
            seq: self.seq,
            ts: self.ts,
            hash: self.hash(),
            services: &self.services,
            edges: &self.edges,
            environment: &self.environment,
        }
    }

    /// Reads what [`State::view`] wrote.
    ///
    /// # Errors
    /// [`Error::Saved`] when it is no state, or its `hash` is not that of what it holds.
    pub fn from_json(json: &[u8]) -> Result<State> {
        #[derive(Deserialize)]
        struct Claim {
            hash: String,
        }
        let saved = |e: serde_json::Error| Error::Saved(format!("line {}, column {}", e.line(), e.column()));
        let state: State = serde_json::from_slice(json).map_err(saved)?;
        let claim: Claim = serde_json::from_slice(json).map_err(saved)?;
        if claim.hash != state.hash() {
            return Err(Error::Saved("its hash is not the hash of what it holds".to_owned()));
        }
        Ok(state)
    }

    /// The service of that name, if the state knows one.
    pub fn service(&self, name: &str) -> Option<&Service> {
        self.services.get(name).map(Arc::as_ref)
    }
}

impl Service {
    /// SHA-256 of its canonical form; computed once until it changes.
    fn hash(&self) -> [u8; 32] {
        *self.hash.get_or_init(|| sha256(self))
    }

    /// To be called by whoever changes a field: the hash belongs to what was there before.
    pub(crate) fn touch(&mut self) {
        self.hash = OnceLock::new();
    }

    /// Whether a document was captured.
    pub fn is_captured(&self) -> bool {
        self.captured_seq > 0
    }
}

/// The form in which a service is shown, saved and hashed. Fields in alphabetical order; what has maps of its own inside is
/// held as a [`Value`], whose maps are sorted.
#[derive(Serialize, Deserialize)]
struct Form {
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::optional")]
    acceptances: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    baseline: Option<BaselineForm>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blob: Option<String>,
    captured_seq: Seq,
    #[serde(deserialize_with = "spelled::config")]
    config: Arc<FlatConfig>,
    config_digest: String,
    config_seq: Seq,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::optional")]
    declared: Option<Value>,
    diffs: u64,
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::optional")]
    drift: Option<Value>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    format: String,
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::optional")]
    pending: Option<Value>,
    // Left out where there is none, so that the hash of a state without provenance is what it always was.
    #[serde(default, skip_serializing_if = "no_provenance")]
    provenance: Arc<BTreeMap<String, String>>,
    #[serde(default)]
    status: Option<String>,
}

fn no_provenance(provenance: &Arc<BTreeMap<String, String>>) -> bool {
    provenance.is_empty()
}

#[derive(Serialize, Deserialize)]
struct BaselineForm {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    actor: Option<String>,
    approved_seq: Seq,
    captured: Seq,
    /// Left out where it is the service's current config.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "spelled::optional_config")]
    config: Option<Arc<FlatConfig>>,
    config_digest: String,
    digest: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signature: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    signed: Option<Timestamp>,
}

impl Serialize for Service {
    fn serialize<S: serde::Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        let baseline = self.baseline.clone().map(|b| BaselineForm {
            actor: b.actor,
            approved_seq: b.approved_seq,
            captured: b.captured,
            config: (b.config != self.config).then_some(b.config),
            config_digest: b.config_digest,
            digest: b.digest,
            key_id: b.key_id,
            reason: b.reason,
            signature: b.signature,
            signed: b.signed,
        });
        let value = |v: serde_json::Result<Value>| v.map_err(serde::ser::Error::custom);
        Form {
            acceptances: (!self.acceptances.is_empty())
                .then(|| value(to_value(&self.acceptances)))
                .transpose()?,
            baseline,
            blob: self.blob.clone(),
            captured_seq: self.captured_seq,
            config: self.config.clone(),
            config_digest: self.config_digest.clone(),
            config_seq: self.config_seq,
            declared: self.declared.as_ref().map(|d| value(to_value(d))).transpose()?,
            diffs: self.diffs,
            digest: self.digest.clone(),
            drift: self.drift.as_ref().map(|d| value(to_value(d))).transpose()?,
            error: self.error.clone(),
            format: self.format.clone(),
            pending: self.pending.as_ref().map(|p| value(to_value(p))).transpose()?,
            provenance: self.provenance.clone(),
            status: self.status.clone(),
        }
        .serialize(s)
    }
}

impl<'de> Deserialize<'de> for Service {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        let form = Form::deserialize(d)?;
        let baseline = form.baseline.map(|b| Baseline {
            actor: b.actor,
            approved_seq: b.approved_seq,
            captured: b.captured,
            config: b.config.unwrap_or_else(|| form.config.clone()),
            config_digest: b.config_digest,
            digest: b.digest,
            key_id: b.key_id,
            reason: b.reason,
            signature: b.signature,
            signed: b.signed,
        });
        fn read<T: DeserializeOwned, E: serde::de::Error>(value: Option<Value>) -> Result<Option<T>, E> {
            value.map(serde_json::from_value).transpose().map_err(E::custom)
        }
        Ok(Service {
            acceptances: read(form.acceptances)?.unwrap_or_default(),
            baseline,
            blob: form.blob,
            captured_seq: form.captured_seq,
            config: form.config,
            config_digest: form.config_digest,
            config_seq: form.config_seq,
            declared: read(form.declared)?,
            diffs: form.diffs,
            digest: form.digest,
            drift: read(form.drift)?,
            error: form.error,
            format: form.format,
            pending: read(form.pending)?,
            provenance: form.provenance,
            status: form.status,
            hash: OnceLock::new(),
        })
    }
}

/// SHA-256 of a value's JSON, without holding the JSON.
fn sha256(value: &impl Serialize) -> [u8; 32] {
    struct Sink(Sha256);
    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut sink = io::BufWriter::new(Sink(Sha256::new()));
    // Neither the sink nor these types can fail to be written.
    let _ = serde_json::to_writer(&mut sink, value);
    match sink.into_inner() {
        Ok(Sink(hasher)) => hasher.finalize().into(),
        Err(_) => [0; 32],
    }
}

fn named(hash: &[u8; 32]) -> String {
    format!("sha256:{}", rig_event::keyfile::hex(hash))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full() -> State {
        let change = Change {
            op: rig_event::Op::Changed,
            path: "a".into(),
            before: Some(serde_json::Value::Null),
            after: Some(1.into()),
            severity: Severity::High,
        };
        let field = DriftField {
            op: change.op,
            path: "a".into(),
            before: change.before.clone(),
            after: change.after.clone(),
            severity: Severity::High,
            accepted: true,
        };
        let drift = Drift {
            against: Against::Baseline,
            differing: 1,
            fields: vec![field],
            rules: vec!["x".into()],
            severity: Some(Severity::High),
            since_seq: 3,
            verdict: Verdict::Accepted,
        };
        let config = Arc::new(FlatConfig::from([("a".to_owned(), 1.into()), ("b.c".to_owned(), "x".into())]));
        let service = Service {
            acceptances: vec![Acceptance {
                accepted_seq: 4,
                actor: Some("ana".into()),
                change,
                reason: Some("r".into()),
                until: Some(Timestamp::from_micros(9)),
            }],
            baseline: Some(Baseline {
                config: Arc::new(FlatConfig::from([("a".to_owned(), serde_json::Value::Null)])),
                actor: Some("ana".into()),
                key_id: Some("k".into()),
                reason: Some("r".into()),
                signature: Some("00".into()),
                signed: Some(Timestamp::from_micros(8)),
                ..Default::default()
            }),
            captured_seq: 1,
            config: config.clone(),
            declared: Some(Declared {
                actor: Some("ana".into()),
                config,
                config_digest: "sha256:0".into(),
                declared_seq: 2,
                digest: "hmac:k1:0".into(),
                drift: Some(drift.clone()),
                reason: Some("r".into()),
            }),
            drift: Some(drift),
            error: Some("e".into()),
            pending: Some(Pending {
                part: (1, 2),
                r#type: "diff.computed".into(),
                config: FlatConfig::from([("z".to_owned(), 1.into())]),
                ..Default::default()
            }),
            status: Some("ready".into()),
            ..Default::default()
        };
        let mut state = State { seq: 9, ..Default::default() };
        state.services.insert("api".parse().unwrap(), Arc::new(service));
        state
            .edges
            .entry("a".into())
            .or_default()
            .insert("b".into(), Edge { requests: 2, ..Default::default() });
        state.environment =
            Environment { error: Some("e".into()), name: Some("n".into()), status: Some("up".into()) };
        state
    }

    #[test]
    fn a_saved_state_reads_back_with_its_hash() {
        let state = full();
        let json = serde_json::to_vec(&state.view("main")).unwrap();
        let back = State::from_json(&json).unwrap();
        assert_eq!(back, state);
        assert_eq!(back.hash(), state.hash());
        let altered = String::from_utf8(json).unwrap().replace("\"requests\":2", "\"requests\":3");
        assert!(State::from_json(altered.as_bytes()).is_err());
    }

    #[test]
    fn the_hashed_form_has_sorted_keys() {
        let state = full();
        let service = state.service("api").unwrap();
        let shown = serde_json::to_string(service).unwrap();
        // A `Value`'s maps are sorted, so writing it again gives the canonical form.
        assert_eq!(sha256(&serde_json::from_str::<serde_json::Value>(&shown).unwrap()), service.hash());
    }

    #[test]
    fn seq_and_time_are_not_in_the_hash() {
        let mut later = full();
        later.seq += 1;
        later.ts = Timestamp::from_micros(1);
        assert_eq!(later.hash(), full().hash());
    }
}
