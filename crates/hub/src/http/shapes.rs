//! The shapes of what the hub is sent and what it answers, for `/openapi.json`.
//!
//! Most answers are the bytes of the log or of a state, which no type here writes; a test holds the shapes against real answers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

/// The stream in an address.
#[derive(Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfStream {
    /// Name of the stream.
    #[param(example = "main", pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
    pub stream: String,
}

/// The stream and the service in an address.
#[derive(Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct OfService {
    /// Name of the stream.
    #[param(example = "main", pattern = r"^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$")]
    pub stream: String,
    /// Name of the service: up to 128 bytes without control characters.
    #[param(example = "api", min_length = 1, max_length = 128)]
    pub service: String,
}

/// The moment that is asked for.
#[derive(Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct At {
    /// After this event; the head unless it is said.
    pub at: Option<u64>,
}

/// A stretch of the stream.
#[derive(Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Stretch {
    /// The first event; the oldest there is unless it is said.
    #[param(minimum = 1)]
    pub from: Option<u64>,
    /// The last event; the head unless it is said.
    pub to: Option<u64>,
}

/// The coding of a packed body.
#[derive(Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct Packed {
    /// `gzip` or `zstd`; the limits are those of what it becomes.
    #[serde(rename = "Content-Encoding")]
    pub content_encoding: Option<String>,
}

/// The key of a request that may be repeated.
#[derive(Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Header)]
pub struct IdempotencyKey {
    /// An `id` for the whole of it: up to 256 bytes of ASCII, with a quote on either side or without.
    #[serde(rename = "Idempotency-Key")]
    pub idempotency_key: Option<String>,
}

/// The decider and the reason.
#[derive(Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct By {
    /// The decider: 1 to 256 bytes without control characters.
    #[param(min_length = 1, max_length = 256)]
    pub actor: Option<String>,
    /// Why.
    pub reason: Option<String>,
}

/// The format of a document.
#[derive(Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct OfDocument {
    /// Its format; else the media type tells it, or what name and content look like.
    #[param(example = "json")]
    pub format: Option<String>,
    /// The name of its file, with folders above it where they are known.
    pub name: Option<String>,
    /// Its encoding: `utf-8`, `utf-16le`, `utf-16be`, `iso-8859-1` or `windows-1252`; else it is found.
    pub encoding: Option<String>,
}

/// Metadata of a document.
#[derive(Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Meta {
    /// `meta.KEY=VALUE`, as many as are wanted, 16 KiB in all.
    #[param(rename = "meta.operator")]
    pub operator: Option<String>,
}

/// Yes or no.
#[derive(Serialize, Deserialize, ToSchema)]
pub enum Flag {
    /// Yes.
    #[serde(rename = "1")]
    Yes,
    /// Yes too.
    #[serde(rename = "true")]
    True,
    /// No.
    #[serde(rename = "0")]
    No,
    /// No too.
    #[serde(rename = "false")]
    False,
}

/// The outcome of a session.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// As it should.
    Passed,
    /// Not as it should.
    Failed,
    /// By a crash.
    Crashed,
    /// It did not end.
    Interrupted,
}

/// Bytes that are no text.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(value_type = String, format = Binary)]
pub struct Bytes(Vec<u8>);

/// A document in JSON, whatever it is.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Document(Value);

/// An error (RFC 9457).
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"type": "urn:rig:problem:unknown-stream", "title": "Not Found", "status": 404, "code": "unknown-stream", "detail": "there is no stream ci"}))]
pub struct Problem {
    /// `urn:rig:problem:` and the code.
    pub r#type: String,
    /// The phrase of the status.
    pub title: String,
    /// The status.
    pub status: u16,
    /// The stable code, for programs; docs/http.md lists them all.
    pub code: String,
    /// A sentence for people: what happened, where, and what to do.
    pub detail: String,
    /// Where the fault is: `line`, `column`, `index`, `head` and the like.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// An event as it stands in the log; beside these it has the members of its type (docs/formats.md).
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Event {
    /// Its place in the stream.
    #[schema(minimum = 1)]
    pub seq: u64,
    /// Its time, in UTC with microseconds.
    #[schema(format = DateTime)]
    pub ts: String,
    /// The type, `family.verb`.
    pub r#type: String,
    /// The members of its type.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// An event to be appended; what else it has is the type's own.
#[derive(Serialize, Deserialize, ToSchema)]
#[schema(example = json!({"type": "service.ready", "service": "api"}))]
pub struct NewEvent {
    /// The type, `family.verb`, lowercase.
    #[schema(pattern = r"^[a-z][a-z0-9_-]*(\.[a-z][a-z0-9_-]*)+$")]
    pub r#type: String,
    /// The service it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 128)]
    pub service: Option<String>,
    /// The idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false, min_length = 1, max_length = 256)]
    pub id: Option<String>,
    /// The event that led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub cause: Option<u64>,
    /// The actor.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actor: Option<String>,
    /// The members of its type.
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// One event or many.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Batch {
    /// One.
    One(Box<NewEvent>),
    /// Up to 10,000: all of them are appended, or none.
    Many(Vec<NewEvent>),
}

/// The events that a request led to.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Appended {
    /// The stream.
    pub stream: String,
    /// Its epoch.
    pub epoch: String,
    /// The first of the events.
    pub first_seq: u64,
    /// The last of the events.
    pub last_seq: u64,
    /// The events.
    pub events: Vec<Event>,
}

/// The result of a document, or of each of a batch.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(untagged)]
pub enum Captured {
    /// The events that it led to.
    One(Appended),
    /// The result of each.
    Many(Captures),
}

/// The results of the documents of a batch.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Captures {
    /// The stream.
    pub stream: String,
    /// Its epoch.
    pub epoch: String,
    /// One for each line, in their order.
    pub captures: Vec<CaptureOutcome>,
}

/// The result of one document of a batch.
#[derive(Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CaptureOutcome {
    /// Whose document it was.
    pub service: String,
    /// The status that the document alone would have got.
    pub status: u16,
    /// The first of its events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_seq: Option<u64>,
    /// The last of its events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seq: Option<u64>,
    /// The code of what is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The same in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A service's document at some moment.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The stream.
    pub stream: String,
    /// The service.
    pub service: String,
    /// The moment.
    pub seq: u64,
    /// The snapshot that it comes from.
    pub captured_seq: u64,
    /// Format of the document.
    pub format: String,
    /// Keyed digest of the document.
    pub digest: String,
    /// SHA-256 of the config as it is shown.
    pub config_digest: String,
    /// The fields by their paths.
    pub config: BTreeMap<String, Value>,
    /// The sources of the fields, where they are known.
    #[serde(default)]
    pub provenance: BTreeMap<String, String>,
}

/// The whole state at some moment.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct State {
    /// The stream.
    pub stream: String,
    /// The last event that it holds.
    pub seq: u64,
    /// The time of that event.
    #[schema(format = DateTime)]
    pub ts: String,
    /// Equal wherever the same events were folded.
    pub hash: String,
    /// The services.
    pub services: BTreeMap<String, Service>,
    /// Traffic: by source, then by target.
    pub edges: BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>,
    /// The test environment: `name`, `status`, `error`.
    pub environment: BTreeMap<String, String>,
}

/// A service in a state.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Service {
    /// Its status, once it told one.
    #[schema(required = true)]
    pub status: Option<String>,
    /// The snapshot that its config comes from; 0 before the first.
    pub captured_seq: u64,
    /// Since which event its config is this one.
    pub config_seq: u64,
    /// Format of its document.
    pub format: String,
    /// Keyed digest of its document.
    pub digest: String,
    /// SHA-256 of its config.
    pub config_digest: String,
    /// The fields by their paths.
    pub config: BTreeMap<String, Value>,
    /// The number of diffs that there were.
    pub diffs: u64,
    /// The comparison with its baseline.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub drift: Option<Drift>,
    /// Baseline, declaration, acceptances and the rest (docs/formats.md).
    #[serde(flatten)]
    pub more: BTreeMap<String, Value>,
}

/// The comparison of a config with a baseline or a declaration.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// The side that it was compared with.
    pub against: String,
    /// The number of fields that differ; `fields` may list fewer.
    pub differing: u64,
    /// The fields that differ.
    pub fields: Vec<Value>,
    /// The policy rules that decided.
    #[serde(default)]
    pub rules: Vec<String>,
    /// The highest severity among the fields that nobody accepted.
    #[schema(required = true)]
    pub severity: Option<Severity>,
    /// The event that gave this verdict.
    pub since_seq: u64,
    /// The verdict.
    pub verdict: String,
}

/// The severity of a change.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth recording, no more.
    Low,
    /// The default.
    Medium,
    /// Somebody should look.
    High,
    /// Somebody must look now.
    Critical,
}

/// An approved baseline, and how the config stands against it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct BaselineOf {
    /// The stream.
    pub stream: String,
    /// The service.
    pub service: String,
    /// The baseline.
    pub baseline: Baseline,
    /// The comparison of the config with it.
    #[schema(required = true)]
    pub drift: Option<Drift>,
}

/// An approved config.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Baseline {
    /// Keyed digest of the document.
    pub digest: String,
    /// SHA-256 of the config.
    pub config_digest: String,
    /// The snapshot that was approved.
    pub captured: u64,
    /// The event that approved it.
    pub approved_seq: u64,
    /// The actor that approved it.
    #[schema(required = true)]
    pub actor: Option<String>,
    /// Why.
    #[schema(required = true)]
    pub reason: Option<String>,
    /// The key that signed it.
    #[schema(required = true)]
    pub key_id: Option<String>,
    /// When it was signed.
    #[schema(required = true, format = DateTime)]
    pub signed: Option<String>,
    /// The signature, in hexadecimal digits.
    #[schema(required = true)]
    pub signature: Option<String>,
}

/// The declaration of a service, and the comparison of its config with it.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeclaredOf {
    /// The stream.
    pub stream: String,
    /// The service.
    pub service: String,
    /// The declaration.
    pub declared: Declared,
}

/// Some fields of a service, as somebody wants them.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Declared {
    /// The actor that declared it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub actor: Option<String>,
    /// Why.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub reason: Option<String>,
    /// The fields by their paths.
    pub config: BTreeMap<String, Value>,
    /// SHA-256 of the fields.
    pub config_digest: String,
    /// The event that declared it.
    pub declared_seq: u64,
    /// Keyed digest of the document.
    pub digest: String,
    /// The comparison of the config with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub drift: Option<Drift>,
}

/// The actor.
#[derive(Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Actor {
    /// The actor: 1 to 256 bytes without control characters.
    #[param(min_length = 1, max_length = 256)]
    pub actor: Option<String>,
}

/// A token that is asked for.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// Its name, the actor of what is done with it; unless it is said, its id.
    #[schema(min_length = 1, max_length = 64, pattern = r"^[A-Za-z0-9._@-]+$")]
    pub name: Option<String>,
    /// Its scopes.
    #[schema(min_items = 1)]
    pub scopes: Vec<Scope>,
    /// Patterns of the streams it is for: `ci-*`, `{a,b}`, `*`.
    #[schema(min_items = 1)]
    pub streams: Vec<String>,
    /// When it ends; absent: never.
    #[schema(format = DateTime)]
    pub expires: Option<String>,
}

/// A scope of a token.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scope {
    /// See events, states and configs.
    Read,
    /// Append and capture.
    Write,
    /// Decide, and look after streams and tokens.
    Admin,
    /// See original documents.
    Secrets,
}

/// A token that was made.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MadeToken {
    /// Its text, shown once.
    pub token: String,
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// Patterns of the streams it is for.
    pub streams: Vec<String>,
    /// When it ends.
    pub expires: Option<String>,
}

/// A token.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Token {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its scopes.
    pub scopes: Vec<Scope>,
    /// Patterns of the streams it is for.
    pub streams: Vec<String>,
    /// When it was made.
    pub issued: String,
    /// When it ends.
    pub expires: Option<String>,
    /// When it was revoked.
    pub revoked: Option<String>,
}

/// The tokens of a hub.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// Oldest first.
    pub tokens: Vec<Token>,
}

/// A ticket.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Ticket {
    /// The stream that it opens.
    pub stream: String,
    /// Its text.
    pub ticket: String,
    /// When it ends.
    pub expires: String,
}

/// A caller, as the hub knows it.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Whoami {
    /// Name of its token.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub name: Option<String>,
    /// Its scopes; where the hub needs no token, all but `secrets`.
    pub scopes: Vec<String>,
    /// True if the hub needs tokens.
    pub tokens: bool,
    /// Version of the hub.
    pub rig: String,
}

/// A code to sign in to the dashboard.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct Login {
    /// The code: the page gets it as `#login=` of its address.
    pub code: String,
    /// Its end.
    #[schema(format = DateTime)]
    pub expires: String,
}

/// A code that is redeemed.
#[derive(Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Redeemed {
    /// The code.
    pub code: String,
}

/// A token for a page.
#[derive(Serialize, Deserialize, ToSchema)]
pub struct PageToken {
    /// Its text.
    pub token: String,
    /// Its id, to revoke it.
    pub id: String,
    /// Its end.
    #[schema(format = DateTime)]
    pub expires: String,
}
