//! Services: capturing documents, the config at any seq, the baseline, the declaration, accepting drift.

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use rig_event::event::BaselineRejected;
use rig_event::keyfile::unhex;
use rig_event::{Draft, Event, Seq, ServiceName};
use rig_replay::judge::{Approval, By, Signed};
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use super::{batch, blobs};
use crate::access::Caller;
use crate::capture::{Document, essence};
use crate::core::Core;
use crate::http::answer::{Answer, answer, appended};
use crate::http::request::{
    Path, Query, actor_name, by, check_document, idempotency_key, moment, no_snapshot, service_name,
};
use crate::http::shapes;
use crate::problem::Problem;
use crate::streams::{Command, Stream};

/// Capture a document
///
/// Answers with the events that it led to. What is refused leaves a `snapshot.rejected` without its content.
#[utoipa::path(post, path = "/v1/streams/{stream}/snapshots",
    params(
        shapes::OfStream,
        ("service" = Option<String>, Query, description = "Whose document it is; of an NDJSON body each line says it", min_length = 1, max_length = 128, example = "api"),
        shapes::OfDocument,
        ("actor" = Option<String>, Query, description = "Who captured it", min_length = 1, max_length = 256),
        ("id" = Option<String>, Query, description = "The idempotency key", min_length = 1, max_length = 256),
        shapes::Meta,
        shapes::Packed,
        shapes::IdempotencyKey,
    ),
    request_body(content((shapes::Bytes = "application/octet-stream"), (shapes::Document = "application/json"), (shapes::Bytes = "text/plain"), (String = "application/x-ndjson")), description = "The document; as NDJSON up to 1,000 of them, a line each: `{\"service\":…,\"format\":…,\"document\":…}`"),
    responses(
        (status = 200, description = "It was captured before; for NDJSON, what came of each line", body = shapes::Captured),
        (status = 201, description = "It is captured", body = shapes::Appended),
        (status = 400, description = "`bad-actor`, `bad-batch`, `bad-encoding`, `bad-idempotency-key`, `bad-service-name`, `incomplete-body`, `malformed-batch`, `secret-in-name`"),
        (status = 403, description = "`read-only`"),
        (status = 408, description = "`slow-body`"),
        (status = 409, description = "`id-reused`"),
        (status = 413, description = "`event-too-long`, `too-large`"),
        (status = 415, description = "`unknown-encoding`, `wrong-media-type`"),
        (status = 422, description = "`bad-layer`, `bad-path`, `bad-snapshot-file`, `duplicate-key`, `invalid-utf8`, `malformed-document`, `not-in-encoding`, `path-too-long`, `secret-in-key`, `too-deep`, `too-many-fields`, `unknown-format`, `unread-encoding`, `value-too-large`"),
        (status = 503, description = "`busy`, `log-failed`, `encryption-unavailable`, `storage`"),
    )
)]
pub(super) async fn capture(
    State(core): State<Core>,
    Path(stream): Path<String>,
    caller: Caller,
    mut query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let stream = core.stream(&stream)?;
    if essence(&headers).as_deref() == Some(batch::MEDIA_TYPE) {
        query.done()?;
        return batch::capture(&core, &caller, &stream, &headers, body).await;
    }
    let service = query
        .text("service")
        .ok_or_else(|| Problem::bad_request("bad-query", "say whose document it is: ?service=NAME"))?;
    let document = Document {
        format: query.text("format"),
        encoding: query.text("encoding"),
        name: query.text("name"),
        actor: actor_name(&core, &caller, query.text("actor"))?,
        id: idempotency_key(&core, &headers, query.text("id"))?,
        meta: query.prefixed("meta."),
        ..Document::new(service_name(&service)?, Vec::new())
    };
    query.done()?;
    check_document(&core, &document)?;
    let events = core.captures().receive_one(&stream, document, &headers, body).await?;
    appended(&stream, events, StatusCode::CREATED).await
}

/// A service's config, or the document that it was captured from
#[utoipa::path(get, path = "/v1/streams/{stream}/services/{service}/config", params(
    shapes::OfService,
    shapes::At,
    ("raw" = inline(Option<shapes::Flag>), Query, description = "The document that was captured, to the byte"),
), responses(
    (status = 200, description = "The flat config, or with `raw=1` the document, to the byte", content(
        (shapes::Config = "application/json"),
        (shapes::Bytes = "application/yaml"),
        (shapes::Bytes = "application/toml"),
        (shapes::Bytes = "application/xml"),
        (shapes::Bytes = "application/vnd.rig.snapshot+json"),
        (shapes::Bytes = "text/plain"),
    )),
    (status = 400, description = "`bad-cursor`"),
    (status = 403, description = "`no-scope`"),
    (status = 404, description = "`no-snapshot`, `past-head`, `no-original`"),
    (status = 410, description = "`pruned`"),
    (status = 500, description = "`damaged-blob`"),
    (status = 503, description = "`encryption-unavailable`"),
))]
pub(super) async fn config(
    State(core): State<Core>,
    caller: Caller,
    Path((stream, service)): Path<(String, String)>,
    mut query: Query,
) -> Result<Response, Problem> {
    let (stream, name) = (core.stream(&stream)?, service_name(&service)?);
    let (at, raw) = (query.number("at")?, query.flag("raw")?);
    query.done()?;
    let state = stream.state_at(at.unwrap_or_else(|| stream.head())).await?;
    let service = state
        .service(name.as_str())
        .filter(|s| s.is_captured())
        .ok_or_else(|| no_snapshot(&name, state.seq))?;
    if raw {
        return blobs::original(&core, &caller, &stream, name, state.seq, service).await;
    }
    #[derive(serde::Serialize)]
    struct Config<'a> {
        stream: &'a str,
        service: &'a str,
        seq: Seq,
        captured_seq: Seq,
        format: &'a str,
        digest: &'a str,
        config_digest: &'a str,
        config: &'a rig_event::FlatConfig,
        #[serde(skip_serializing_if = "std::collections::BTreeMap::is_empty")]
        provenance: &'a std::collections::BTreeMap<String, String>,
    }
    answer(&Config {
        stream: stream.name.as_str(),
        service: name.as_str(),
        seq: state.seq,
        captured_seq: service.captured_seq,
        format: &service.format,
        digest: &service.digest,
        config_digest: &service.config_digest,
        config: &service.config,
        provenance: &service.provenance,
    })
}

/// A service's baseline
///
/// And how the config stands against it.
#[utoipa::path(get, path = "/v1/streams/{stream}/services/{service}/baseline", params(shapes::OfService), responses(
    (status = 200, description = "The baseline", body = shapes::BaselineOf),
    (status = 404, description = "`no-snapshot`, `no-baseline`"),
))]
pub(super) async fn baseline(
    State(core): State<Core>,
    Path((stream, service)): Path<(String, String)>,
    query: Query,
) -> Answer {
    query.done()?;
    let (stream, name) = (core.stream(&stream)?, service_name(&service)?);
    let state = stream.state_at(stream.head()).await?;
    let service = state.service(name.as_str()).ok_or_else(|| no_snapshot(&name, state.seq))?;
    let baseline = service.baseline.as_ref().ok_or_else(|| {
        Problem::not_found("no-baseline", format!("service {name} has no baseline; approve one with PUT"))
    })?;
    Ok(Json(json!({
        "stream": stream.name,
        "service": name,
        "baseline": {
            "digest": baseline.digest,
            "config_digest": baseline.config_digest,
            "captured": baseline.captured,
            "approved_seq": baseline.approved_seq,
            "actor": baseline.actor,
            "reason": baseline.reason,
            "key_id": baseline.key_id,
            "signed": baseline.signed,
            "signature": baseline.signature,
        },
        "drift": service.drift,
    })))
}

/// Approve the current config
#[utoipa::path(put, path = "/v1/streams/{stream}/services/{service}/baseline",
    params(
        shapes::OfService,
        shapes::By,
        ("digest" = Option<String>, Query, description = "Only if it is still this one"),
        ("key_id" = Option<String>, Query, description = "The key that signed the approval"),
        ("signed" = Option<String>, Query, description = "When it was signed (RFC 3339)"),
        ("signature" = Option<String>, Query, description = "The signature: 64 hexadecimal digits", pattern = "^[0-9a-fA-F]{64}$"),
    ),
    responses(
        (status = 200, description = "It is approved", body = shapes::Appended),
        (status = 400, description = "`bad-actor`, `bad-signature`, `bad-time`"),
        (status = 403, description = "`read-only`, `untrusted-approval`"),
        (status = 404, description = "`no-snapshot`"),
        (status = 409, description = "`digest-mismatch`"),
        (status = 413, description = "`event-too-long`"),
        (status = 503, description = "`log-failed`"),
    )
)]
pub(super) async fn approve(
    State(core): State<Core>,
    Path((stream, service)): Path<(String, String)>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let (reason, said) = (query.get("reason").map(str::to_owned), query.get("actor").map(str::to_owned));
    let (stream, service, by) = decider(&core, &caller, &stream, &service, &mut query)?;
    let seen = query.text("digest");
    let signed = signature(&mut query)?;
    query.done()?;
    let bad = |why| Err(Problem::bad_request("bad-signature", why));
    if signed.is_some() && seen.is_none() {
        return bad("a signed approval says which `digest` it signed");
    }
    if signed.is_some() && by.reason != reason {
        return bad(
            "the reason has a secret in it by its looks; it would be redacted and the signature void",
        );
    }
    if signed.is_some() && by.actor != said {
        return bad(
            "a signed approval names as `actor` the token that sends it, or TOKEN/WHO: that is what is recorded, and what is signed",
        );
    }
    let (digest, actor) = (seen.clone(), by.actor.clone());
    let approval = Approval { seen, signed };
    let refused =
        match stream.write(Command::Approve { service: service.clone(), approval, by }, None, None).await {
            Ok(events) => return appended(&stream, events, StatusCode::OK).await,
            Err(refused) => Problem::from(refused),
        };
    if refused.code() == "untrusted-approval" {
        // An attempt without permission is worth an event.
        let event = Event::BaselineRejected(BaselineRejected { digest, reason: refused.detail().to_owned() });
        let draft = Draft { actor, ..Draft::new(Some(service), event) };
        stream.tell(draft).await?;
    }
    Err(refused)
}

/// Take the baseline back
#[utoipa::path(delete, path = "/v1/streams/{stream}/services/{service}/baseline", params(shapes::OfService, shapes::By), responses(
    (status = 200, description = "It is revoked", body = shapes::Appended),
    (status = 400, description = "`bad-actor`"),
    (status = 403, description = "`read-only`"),
    (status = 404, description = "`no-snapshot`, `no-baseline`"),
    (status = 413, description = "`event-too-long`"),
    (status = 503, description = "`log-failed`"),
))]
pub(super) async fn revoke(
    State(core): State<Core>,
    Path((stream, service)): Path<(String, String)>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let (stream, service, by) = decider(&core, &caller, &stream, &service, &mut query)?;
    query.done()?;
    decide(&stream, Command::Revoke { service, by }).await
}

/// The declaration of a service
///
/// And how the config stands against it.
#[utoipa::path(get, path = "/v1/streams/{stream}/services/{service}/declared", params(shapes::OfService), responses(
    (status = 200, description = "The declaration", body = shapes::DeclaredOf),
    (status = 404, description = "`no-declaration`"),
))]
pub(super) async fn declared(
    State(core): State<Core>,
    Path((stream, service)): Path<(String, String)>,
    query: Query,
) -> Answer {
    query.done()?;
    let (stream, name) = (core.stream(&stream)?, service_name(&service)?);
    let state = stream.state_at(stream.head()).await?;
    let declared = state.service(name.as_str()).and_then(|service| service.declared.as_ref());
    let declared = declared.ok_or_else(|| {
        Problem::not_found(
            "no-declaration",
            format!("nothing is declared of service {name}; PUT a document here"),
        )
    })?;
    Ok(Json(json!({ "stream": stream.name, "service": name, "declared": declared })))
}

/// Declare some of a service's fields with a document
#[utoipa::path(put, path = "/v1/streams/{stream}/services/{service}/declared",
    params(shapes::OfService, shapes::By, shapes::OfDocument, shapes::Packed),
    request_body(content((shapes::Bytes = "application/octet-stream"), (shapes::Document = "application/json"), (shapes::Bytes = "text/plain")), description = "The document"),
    responses(
        (status = 200, description = "They are declared", body = shapes::Appended),
        (status = 400, description = "`bad-actor`, `bad-encoding`, `incomplete-body`"),
        (status = 403, description = "`read-only`"),
        (status = 404, description = "`no-snapshot`"),
        (status = 408, description = "`slow-body`"),
        (status = 413, description = "`event-too-long`, `too-large`"),
        (status = 415, description = "`unknown-encoding`, `wrong-media-type`"),
        (status = 422, description = "`bad-layer`, `bad-path`, `bad-snapshot-file`, `duplicate-key`, `invalid-utf8`, `malformed-document`, `not-a-map`, `not-in-encoding`, `nothing-declared`, `path-too-long`, `secret-in-key`, `too-deep`, `too-many-fields`, `unknown-format`, `unread-encoding`, `value-too-large`"),
        (status = 503, description = "`busy`, `log-failed`"),
    )
)]
pub(super) async fn declare(
    State(core): State<Core>,
    Path((stream, service)): Path<(String, String)>,
    caller: Caller,
    mut query: Query,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let (stream, service, by) = decider(&core, &caller, &stream, &service, &mut query)?;
    let document = Document {
        format: query.text("format"),
        encoding: query.text("encoding"),
        name: query.text("name"),
        actor: by.actor.clone(),
        ..Document::new(service.clone(), Vec::new())
    };
    query.done()?;
    let declaration = Box::new(core.captures().declaration(&stream, document, &headers, body).await?);
    decide(&stream, Command::Declare { service, declaration, by }).await
}

/// Take the declaration back
#[utoipa::path(delete, path = "/v1/streams/{stream}/services/{service}/declared", params(shapes::OfService, shapes::By), responses(
    (status = 200, description = "It is withdrawn", body = shapes::Appended),
    (status = 400, description = "`bad-actor`"),
    (status = 403, description = "`read-only`"),
    (status = 404, description = "`no-snapshot`, `no-declaration`"),
    (status = 413, description = "`event-too-long`"),
    (status = 503, description = "`log-failed`"),
))]
pub(super) async fn withdraw(
    State(core): State<Core>,
    Path((stream, service)): Path<(String, String)>,
    caller: Caller,
    mut query: Query,
) -> Result<Response, Problem> {
    let (stream, service, by) = decider(&core, &caller, &stream, &service, &mut query)?;
    query.done()?;
    decide(&stream, Command::Withdraw { service, by }).await
}

/// The body of `POST …/drift/accept`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"paths": ["a.b", "c.**"], "until": "2027-01-31T00:00:00Z", "reason": "until the release"}))]
pub(super) struct Acceptance {
    /// Patterns; none: all that differs.
    #[serde(default)]
    paths: Vec<String>,
    /// When it ends; absent: with the baseline.
    #[serde(default)]
    #[schema(format = DateTime)]
    until: Option<String>,
    /// Why.
    #[schema(required = true, nullable = false, min_length = 1)]
    reason: Option<String>,
    /// The actor that accepts it.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 256)]
    actor: Option<String>,
}

/// Accept differences from the baseline as they are now
#[utoipa::path(post, path = "/v1/streams/{stream}/services/{service}/drift/accept",
    params(shapes::OfService),
    request_body = Acceptance,
    responses(
        (status = 200, description = "They are accepted", body = shapes::Appended),
        (status = 400, description = "`bad-acceptance`, `bad-actor`, `bad-time`"),
        (status = 403, description = "`read-only`"),
        (status = 404, description = "`no-snapshot`, `no-baseline`"),
        (status = 409, description = "`nothing-to-accept`"),
        (status = 413, description = "`event-too-long`"),
        (status = 422, description = "`bad-path`, `until-in-the-past`"),
        (status = 503, description = "`log-failed`"),
    )
)]
pub(super) async fn accept(
    State(core): State<Core>,
    Path((stream, service)): Path<(String, String)>,
    caller: Caller,
    query: Query,
    body: Body,
) -> Result<Response, Problem> {
    query.done()?;
    let (stream, service) = (core.stream(&stream)?, service_name(&service)?);
    let bad = |why: String| Problem::bad_request("bad-acceptance", why);
    let body = axum::body::to_bytes(body, 1 << 20)
        .await
        .map_err(|_| bad("the body broke off or has over 1 MiB".into()))?;
    let acceptance: Acceptance = serde_json::from_slice(&body).map_err(|e| {
        bad(format!("the body must be {{\"paths\":[…],\"until\":…,\"reason\":…,\"actor\":…}}: {e}"))
    })?;
    if acceptance.reason.as_ref().is_none_or(|r| r.trim().is_empty()) {
        return Err(bad("say why: an acceptance needs a `reason`".to_owned()));
    }
    let until = acceptance.until.as_deref().map(moment).transpose()?;
    let by = by(&core, &caller, acceptance.actor, acceptance.reason)?;
    decide(&stream, Command::Accept { service, paths: acceptance.paths, until, by }).await
}

/// Reads the parts of every decision: the stream and the service it is about, who decides and why.
fn decider(
    core: &Core,
    caller: &Caller,
    stream: &str,
    service: &str,
    query: &mut Query,
) -> Result<(Arc<Stream>, ServiceName, By), Problem> {
    let (stream, service) = (core.stream(stream)?, service_name(service)?);
    Ok((stream, service, by(core, caller, query.text("actor"), query.text("reason"))?))
}

/// Takes the signature of an approval: `key_id`, `signed` and `signature`, or none of them.
fn signature(query: &mut Query) -> Result<Option<Signed>, Problem> {
    let bad = |why| Problem::bad_request("bad-signature", why);
    match (query.text("key_id"), query.text("signed"), query.text("signature")) {
        (None, None, None) => Ok(None),
        (Some(key_id), Some(at), Some(value)) => {
            let is_id = rig_event::keyfile::is_id(&key_id);
            if !is_id || unhex(&value).is_none_or(|bytes| bytes.len() != 32) {
                return Err(bad("`key_id` is the id of a key and `signature` 64 hexadecimal digits"));
            }
            Ok(Some(Signed { key_id, at: moment(&at)?, value }))
        }
        _ => Err(bad("a signature has three parts: `key_id`, `signed` and `signature`")),
    }
}

async fn decide(stream: &Stream, command: Command) -> Result<Response, Problem> {
    let events = stream.write(command, None, None).await?;
    appended(stream, events, StatusCode::OK).await
}
