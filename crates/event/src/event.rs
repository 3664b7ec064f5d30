//! The kinds of event and what each carries.
//!
//! One table, `events!` below, ties a type's name to its variant and payload: adding an event is one row and one
//! struct. A type that is not in the table is [`Event::Other`] and is kept byte for byte by whoever holds the line.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Number, Value};

use crate::audit::{
    AuditAppended, AuditChanged, AuditDenied, AuditUnchanged, TokenExpired, TokenIssued, TokenRevoked,
};
use crate::test::TestEvent;
use crate::value::{Change, DriftField, FlatConfig, Hunk, SectionSummary, Severity, Verdict};
use crate::{Error, Result, Seq, StreamName, Timestamp};

macro_rules! events {
    ($($name:literal => $variant:ident($payload:ty)),* $(,)?) => {
        /// What happened.
        #[derive(Clone, Debug, PartialEq)]
        pub enum Event {
            $(#[doc = concat!("`", $name, "`")] $variant($payload),)*
            /// A type that this version does not know; it changes no state.
            Other(Box<str>),
        }

        impl Event {
            /// The names of all types known here.
            pub const TYPES: &[&str] = &[$($name),*];

            /// The type, `family.verb`.
            pub fn type_name(&self) -> &str {
                match self {
                    $(Event::$variant(_) => $name,)*
                    Event::Other(name) => name,
                }
            }

            /// Reads the fields of a `type_name` event out of its line; other keys on the line are passed over.
            ///
            /// # Errors
            /// [`Error::Malformed`] when a known type's fields are not what they should be.
            pub(crate) fn decode(type_name: &str, line: &[u8]) -> Result<Event> {
                match type_name {
                    $($name => serde_json::from_slice(line).map(Event::$variant).map_err(|e| Error::payload($name, &e)),)*
                    other => Ok(Event::Other(other.into())),
                }
            }

            /// Appends the payload as one JSON object.
            pub(crate) fn write_fields(&self, out: &mut Vec<u8>) -> serde_json::Result<()> {
                match self {
                    $(Event::$variant(payload) => serde_json::to_writer(out, payload),)*
                    Event::Other(_) => { out.extend_from_slice(b"{}"); Ok(()) }
                }
            }
        }
    };
}

events! {
    "snapshot.captured" => SnapshotCaptured(SnapshotCaptured),
    "snapshot.unchanged" => SnapshotUnchanged(SnapshotUnchanged),
    "snapshot.rejected" => SnapshotRejected(SnapshotRejected),
    "diff.computed" => DiffComputed(DiffComputed),
    "drift.detected" => DriftDetected(Drift),
    "drift.changed" => DriftChanged(Drift),
    "drift.resolved" => DriftResolved(Drift),
    "drift.accepted" => DriftAccepted(Drift),
    "drift.expired" => DriftExpired(Drift),
    "baseline.approved" => BaselineApproved(BaselineApproved),
    "baseline.rejected" => BaselineRejected(BaselineRejected),
    "baseline.revoked" => BaselineRevoked(BaselineRevoked),
    "baseline.declared" => BaselineDeclared(BaselineDeclared),
    "baseline.withdrawn" => BaselineWithdrawn(BaselineRevoked),
    "service.starting" => ServiceStarting(Lifecycle),
    "service.healthy" => ServiceHealthy(Lifecycle),
    "service.ready" => ServiceReady(Lifecycle),
    "service.failed" => ServiceFailed(Lifecycle),
    "service.stopping" => ServiceStopping(Lifecycle),
    "service.stopped" => ServiceStopped(Lifecycle),
    "service.log" => ServiceLog(ServiceLog),
    "progress.missing" => ProgressMissing(ProgressMissing),
    "request.completed" => RequestCompleted(Request),
    "request.failed" => RequestFailed(Request),
    "grpc.call.completed" => GrpcCallCompleted(GrpcCall),
    "kafka.request.completed" => KafkaRequestCompleted(Connection),
    "connection.opened" => ConnectionOpened(Connection),
    "connection.closed" => ConnectionClosed(Connection),
    "test.started" => TestStarted(TestEvent),
    "test.passed" => TestPassed(TestEvent),
    "test.failed" => TestFailed(TestEvent),
    "test.skipped" => TestSkipped(TestEvent),
    "environment.up" => EnvironmentUp(Environment),
    "environment.failing" => EnvironmentFailing(Environment),
    "environment.destroying" => EnvironmentDestroying(Environment),
    "environment.down" => EnvironmentDown(Environment),
    "collect.failed" => CollectFailed(CollectFailed),
    "collect.recovered" => CollectRecovered(CollectRecovered),
    "host-key.pinned" => HostKeyPinned(HostKey),
    "host-key.changed" => HostKeyChanged(HostKey),
    "host-key.forgotten" => HostKeyForgotten(HostKey),
    "notify.began" => NotifyBegan(Notify),
    "notify.ended" => NotifyEnded(Notify),
    "notify.delivered" => NotifyDelivered(Notify),
    "notify.dropped" => NotifyDropped(Notify),
    "notify.failing" => NotifyFailing(Notify),
    "notify.recovered" => NotifyRecovered(Notify),
    "log.sealed" => LogSealed(LogSealed),
    "log.pruned" => LogPruned(LogPruned),
    "blob.collected" => BlobCollected(BlobCollected),
    "audit.raw-read" => AuditRawRead(AuditRawRead),
    "audit.token.issued" => TokenIssued(TokenIssued),
    "audit.token.revoked" => TokenRevoked(TokenRevoked),
    "audit.token.expired" => TokenExpired(TokenExpired),
    "audit.changed" => AuditChanged(AuditChanged),
    "audit.appended" => AuditAppended(AuditAppended),
    "audit.denied" => AuditDenied(AuditDenied),
    "audit.unchanged" => AuditUnchanged(AuditUnchanged),
}

impl Event {
    /// The part before the first dot: `diff` of `diff.computed`.
    pub fn family(&self) -> &str {
        family(self.type_name())
    }
}

/// The part of a type's name before the first dot.
pub fn family(type_name: &str) -> &str {
    type_name.split('.').next().unwrap_or(type_name)
}

/// Whether `name` is written as a type must be: `family.verb`, 3 to 128 bytes, lowercase letters, digits, `_` and `-` between dots.
pub fn is_type_name(name: &str) -> bool {
    let word = |w: &str| {
        w.starts_with(|c: char| c.is_ascii_lowercase())
            && w.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-'))
    };
    name.len() <= 128 && name.contains('.') && name.split('.').all(word)
}

/// Families that only the hub writes, because the state is folded from them.
pub const RESERVED_FAMILIES: &[&str] = &[
    "snapshot", "diff", "drift", "baseline", "collect", "host-key", "notify", "log", "blob", "audit",
    "session",
];

/// Names that the hub and its components write events under. No token has one of them, mounted or not.
pub const RESERVED_ACTORS: &[&str] = &["hub", "nats", "notify", "query", "ssh", "watch", "web"];

/// Which part of a split payload an event is: the `i`-th of `n`, from 1. The payload takes effect with the last.
pub type Part = (u32, u32);

/// A document was captured whose digest is new.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SnapshotCaptured {
    /// Keyed HMAC-SHA256 of the normalised document, `hmac:KEY:HEX`.
    pub digest: String,
    /// SHA-256 of the redacted canonical config, `sha256:HEX`.
    pub config_digest: String,
    /// `json`, `yaml`, `toml`, `ini`, `env`, `properties` or `text`.
    pub format: String,
    /// Length of the document as it was received.
    pub bytes: u64,
    /// For text: by which version of the rules it was normalised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub normalisation: u64,
    /// How many fields its config has.
    pub fields: u64,
    /// How many of them (in a text: how many places) were redacted.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub redacted: u64,
    /// Their number by the rule that names them: the name of a grammar, `named-secret`, `github-token`, `policy`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub redacted_by: BTreeMap<String, u64>,
    /// Operator, deployment, git_sha, hostname and whatever else the client said.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
    /// Which source each field came from, where that is known and new since the service's last snapshot: path to
    /// `file:NAME:LINE`, `env:NAME`, `default`. An entry under the empty path replaces all that stood before.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub provenance: BTreeMap<String, String>,
    /// The whole config: on a service's first snapshot and on keyframes.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "crate::spelled::optional_config"
    )]
    pub config: Option<FlatConfig>,
    /// Reference to the stored original.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<String>,
    /// The encoding of the document, if it was not UTF-8: `utf-16le`, `iso-8859-1`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoding: Option<String>,
    /// Notes on how the document was read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Warning>,
    /// Set when the config is split over several events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// Something about a document that is no error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Warning {
    /// A stable name, such as `truncated`.
    pub code: String,
    /// The warning in words.
    pub text: String,
}

/// A document was captured that is the service's current one.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SnapshotUnchanged {
    /// Digest of the document.
    pub digest: String,
    /// The `snapshot.captured` that it repeats.
    pub captured: Seq,
    /// As on `snapshot.captured`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub meta: BTreeMap<String, String>,
}

/// A document was refused. Nothing of its content is here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct SnapshotRejected {
    /// The stable code of the error, as in the answer to the client.
    pub code: String,
    /// The error in words.
    pub reason: String,
    /// The format that was asked for or found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// Bytes received before it was refused.
    pub bytes: u64,
    /// Line of the fault, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// Column of the fault, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u64>,
}

/// What changed in a service's config between two snapshots.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DiffComputed {
    /// The snapshot before.
    pub from: Seq,
    /// The snapshot after.
    pub to: Seq,
    /// Fields added.
    pub added: u64,
    /// Fields removed.
    pub removed: u64,
    /// Fields changed.
    pub changed: u64,
    /// Elements of lists with another place among the others.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub moved: u64,
    /// The highest severity among the changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The fields, by path.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<Change>,
    /// For text: the changed lines.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hunks: Vec<Hunk>,
    /// For text: how many lines were added.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lines_added: u64,
    /// For text: how many lines were removed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lines_removed: u64,
    /// For text: by which version of the rules it was normalised.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub normalisation: u64,
    /// For sectioned text: a sentence a section.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sections: Vec<SectionSummary>,
    /// Set when the changes are split over several events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// How a service's config stands against what it should be.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// What it was held against.
    pub against: Against,
    /// The baseline or the declaration that decided; absent in recordings of before it was told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub baseline: Option<BaselineRef>,
    /// The verdict from this event on.
    pub verdict: Verdict,
    /// The highest severity among the fields that nobody accepted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// How many fields differ; `fields` may list fewer.
    pub differing: u64,
    /// The fields that differ, by path, as many as fit in the event.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<DriftField>,
    /// The policy rules that decided.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
    /// On `drift.accepted` and `drift.expired`: the fields whose acceptance began or ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Change>,
    /// On `drift.accepted`: when the acceptance ends; absent: when it is revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// On `drift.accepted`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Names a baseline or a declaration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BaselineRef {
    /// The event that approved or declared it.
    pub seq: Seq,
    /// Digest of its config.
    pub config_digest: String,
}

/// What a config is held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Against {
    /// The approved baseline.
    Baseline,
    /// A declaration outside (a repository).
    Declared,
}

/// The service's current config was approved as its baseline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BaselineApproved {
    /// Digest of the approved document.
    pub digest: String,
    /// Digest of the approved config.
    pub config_digest: String,
    /// The `snapshot.captured` that was approved.
    pub captured: Seq,
    /// The key that signed the approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_id: Option<String>,
    /// When it was signed, by the clock of who signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Timestamp>,
    /// HMAC-SHA256 over the approval, in hexadecimal; docs/policy.md says over which bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signature: Option<String>,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// An approval was refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BaselineRejected {
    /// The digest that was to be approved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Why it was refused.
    pub reason: String,
}

/// The baseline, or the declaration, was taken back: the service has none.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BaselineRevoked {
    /// Digest of what was taken back.
    pub digest: String,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What somebody wants of the service was declared: from here on its config is held against these fields too. It replaces
/// what was declared before.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BaselineDeclared {
    /// Keyed digest of the declaring document.
    pub digest: String,
    /// Digest of `config`.
    pub config_digest: String,
    /// Format of the document.
    pub format: String,
    /// The declared fields, redacted.
    #[serde(deserialize_with = "crate::spelled::config")]
    pub config: FlatConfig,
    /// Why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Set when the fields are split over several events.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
}

/// A step in a service's life.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Lifecycle {
    /// On `service.starting`: the command line. Clients may send anything under this name; only a text is read.
    #[serde(default, skip_serializing_if = "Option::is_none", deserialize_with = "text_only")]
    pub command: Option<String>,
    /// What went wrong, on `service.failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// More about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A piece of a service's output.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceLog {
    /// `stdout` or `stderr`.
    #[serde(default)]
    pub stream: String,
    /// The text.
    #[serde(default)]
    pub data: String,
}

/// Output of a service that was not recorded; this event is where it is missing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ProgressMissing {
    /// `stdout` or `stderr`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stream: String,
    /// The number of line ends in it.
    #[serde(default)]
    pub lines: u64,
    /// Its length.
    #[serde(default)]
    pub bytes: u64,
    /// The reason, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An HTTP request between two services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Who asked.
    #[serde(default)]
    pub source: String,
    /// Who was asked.
    #[serde(default)]
    pub target: String,
    /// Method, as it was sent.
    #[serde(default)]
    pub method: String,
    /// Path with query.
    #[serde(default)]
    pub path: String,
    /// Status; absent where no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Milliseconds from request to answer, as they were spelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Number>,
    /// What went wrong, on `request.failed`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A gRPC call between two services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GrpcCall {
    /// Who called.
    #[serde(default)]
    pub source: String,
    /// Who was called.
    #[serde(default)]
    pub target: String,
    /// The gRPC service (`service` on the line is rig's own).
    #[serde(default)]
    pub grpc_service: String,
    /// The method.
    #[serde(default)]
    pub method: String,
    /// Name of the status, `OK` for success.
    #[serde(default)]
    pub grpc_status: String,
    /// Milliseconds, as they were spelled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency_ms: Option<Number>,
}

/// A connection, or a Kafka request, between two services.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Who connected.
    #[serde(default)]
    pub source: String,
    /// To whom.
    #[serde(default)]
    pub target: String,
    /// Bytes from target to source.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_in: u64,
    /// Bytes from source to target.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub bytes_out: u64,
}

/// A step in the life of a test environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Environment {
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<String>,
    /// What went wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// A device's configuration could not be collected, and could the time before. Nothing of what the device said is here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CollectFailed {
    /// `HOST:PORT` of the device.
    pub address: String,
    /// The stable code of the failure, as in the answer to `POST …/collect`.
    pub code: String,
    /// The failure in words.
    pub reason: String,
}

/// A device's configuration was collected again; `cause` names the `collect.failed` that is over.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CollectRecovered {
    /// `HOST:PORT` of the device.
    pub address: String,
    /// How many attempts failed in a row; those before a restart of the hub count as one.
    pub failures: u64,
}

/// A device's host key: from `host-key.pinned` on it is the only one taken from that address, until `host-key.forgotten`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostKey {
    /// `HOST:PORT` of the device.
    pub address: String,
    /// Name of the key's algorithm, such as `ssh-ed25519`.
    pub algorithm: String,
    /// SHA-256 of the public key as OpenSSH writes it: `SHA256:` and base 64.
    pub fingerprint: String,
    /// On `host-key.changed`: the fingerprint that was expected. This key came instead, and the device was not spoken to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
}

/// What became of the notifications to an endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// The `name` of the `[[notify]]`.
    pub endpoint: String,
    /// On `notify.delivered` and `notify.dropped`: the stream whose events it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream: Option<String>,
    /// The stream's epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// On `notify.dropped`: the first event that was not told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Seq>,
    /// The last event that need not be looked at again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upto: Option<Seq>,
    /// On `notify.failing` and `notify.dropped`: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// The log up to a seq was sealed: whoever changes it now changes the chain.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogSealed {
    /// The last seq that the seal covers.
    pub upto: Seq,
    /// The hash chain at `upto`.
    pub chain: String,
    /// The state hash at `upto`.
    pub state: String,
    /// Signatures over stream, epoch, upto, chain and state.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signatures: Vec<Signature>,
}

/// A signature and the key that made it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Signature {
    /// Which key.
    pub key_id: String,
    /// `hmac-sha256` or `ed25519`.
    pub alg: String,
    /// The signature in hexadecimal.
    pub value: String,
}

/// A prefix of the log was deleted.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LogPruned {
    /// The oldest seq that is left.
    pub first_seq: Seq,
    /// How many events went.
    pub events: u64,
    /// How many bytes came back.
    pub bytes: u64,
    /// The state hash just before `first_seq`.
    pub state: String,
    /// The hash chain just before `first_seq`.
    #[serde(default)]
    pub chain: String,
}

/// Originals of documents were deleted. The snapshots that name them stay.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct BlobCollected {
    /// How many went because the policy does not keep them any longer.
    pub expired: u64,
    /// How many went because no event names them.
    pub unnamed: u64,
    /// How many bytes came back.
    pub bytes: u64,
}

/// Somebody was given the original of a document.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AuditRawRead {
    /// The stream of the service.
    pub stream: StreamName,
    /// The seq in that stream whose state was asked for.
    pub at: Seq,
    /// The `snapshot.captured` whose original it is.
    pub captured: Seq,
    /// The original.
    pub blob: String,
    /// The request's id, as its answer has it.
    pub request_id: String,
    /// The token that it was read with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
    /// The address that the request came from.
    pub peer: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

/// Reads a text; any other value is `None`.
fn text_only<'de, D: Deserializer<'de>>(value: D) -> Result<Option<String>, D::Error> {
    match Value::deserialize(value)? {
        Value::String(text) => Ok(Some(text)),
        _ => Ok(None),
    }
}

impl Error {
    fn payload(type_name: &str, e: &serde_json::Error) -> Error {
        Error::Malformed { why: format!("the fields of {type_name} are wrong: {}", describe(e)) }
    }
}

/// A serde_json error without what it quotes of the document, which could be a secret.
pub(crate) fn describe(e: &serde_json::Error) -> String {
    use serde_json::error::Category;
    let kind = match e.classify() {
        Category::Io => "it could not be read",
        Category::Syntax => "it is not valid JSON",
        Category::Data => "a field is missing, doubled or of another type",
        Category::Eof => "it ends in the middle",
    };
    if e.line() == 0 { kind.to_owned() } else { format!("{kind} (line {}, column {})", e.line(), e.column()) }
}
