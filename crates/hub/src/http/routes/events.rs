//! Appending events, and reading them as a stream or as a range.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rig_config::Redactor;
use rig_event::{Head, ServiceName};
use serde_json::value::RawValue;

use crate::access::Caller;
use crate::capture::{Bounds, Coding, check, is_by, receive, redact_field};
use crate::core::Core;
use crate::http::answer::appended;
use crate::http::request::{Path, Query, beginning, idempotency_key, range};
use crate::http::shapes;
use crate::http::sse::{self, Cursor, Filter, Subscription};
use crate::problem::Problem;
use crate::streams::{Command, Stream, event_problem};

/// Maximum number of bytes and of events of an append.
const MAX_BATCH_BYTES: usize = 16 << 20;
const MAX_BATCH: usize = 10_000;

/// Maximum size of a body that needs no share of the budget for large ones.
const SMALL: u64 = 64 << 10;

/// Append events
///
/// An object, an array or NDJSON: all of it is appended, or nothing. An append that repeats the `id` of another with the same
/// events is answered as that one was.
#[utoipa::path(post, path = "/v1/streams/{stream}/events",
    params(
        shapes::OfStream,
        ("expected_seq" = Option<u64>, Query, description = "Only if this is the head"),
        shapes::Packed,
        shapes::IdempotencyKey,
    ),
    request_body(content((shapes::Batch = "application/json"), (String = "application/x-ndjson"))),
    responses(
        (status = 200, description = "They were there", body = shapes::Appended),
        (status = 201, description = "They are durable", body = shapes::Appended),
        (status = 400, description = "`bad-batch`, `bad-encoding`, `bad-idempotency-key`, `bad-name`, `incomplete-body`, `malformed-event`, `secret-in-name`"),
        (status = 403, description = "`read-only`, `reserved-name`"),
        (status = 408, description = "`slow-body`"),
        (status = 409, description = "`expected-seq`, `id-reused`"),
        (status = 413, description = "`batch-too-large`, `event-too-long`"),
        (status = 415, description = "`unknown-encoding`, `wrong-media-type`"),
        (status = 503, description = "`busy`, `log-failed`"),
    )
)]
pub(super) async fn append(
    State(core): State<Core>,
    Path(stream): Path<String>,
    caller: Caller,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    append_to(&core, &stream, query, caller.name(), request).await
}

/// Appends the events in the body of a request to a stream. `by` is the name of the caller's token.
pub(crate) async fn append_to<B>(
    core: &Core,
    stream: &str,
    mut query: Query,
    by: Option<&str>,
    request: hyper::Request<B>,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = bytes::Bytes, Error: Into<axum::BoxError>>,
{
    let stream = core.stream(stream)?;
    let expected = query.number("expected_seq")?;
    query.done()?;
    if stream.name.is_internal() {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "reserved-name",
            "only the hub appends to its own stream",
        ));
    }
    let (parts, body) = request.into_parts();
    let key = idempotency_key(core, &parts.headers, None)?;
    let coding = Coding::of(&parts.headers)?;
    let announced = parts.headers.get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()?.parse().ok());
    let budget = &core.captures().budget;
    let bounds = Bounds { bytes: MAX_BATCH_BYTES as u64, announced, patience: core.options().read_timeout };
    // Small bodies, the most frequent, cost nothing.
    let mut charge = budget.charge(SMALL);
    let mut body = receive(body, bounds, &mut charge, &mut 0, too_large).await?;
    let mut _unpacked_budget = None;
    if let Some(coding) = coding {
        charge.is_here();
        let (unpacked, budget) =
            coding.unpack(budget, body.into(), MAX_BATCH_BYTES as u64, too_large).await?;
        (body, _unpacked_budget) = (unpacked, Some(budget));
    }
    let mut bodies = bodies(stream.redactor(), by, &parts.headers, &body)?;
    if let Some(key) = key {
        give_key(&mut bodies, key)?;
    }
    let shapes: Vec<Shape> = match bodies.iter().any(|body| body.draft.id.is_some()) {
        true => bodies.iter().map(Shape::of).collect(),
        false => Vec::new(),
    };
    let events = stream.write(Command::Append(bodies), expected, None).await?;
    if events.lines.is_none() {
        // A key that was used before must have been used with the same events.
        let lines = stream.lines_of(&events).await?;
        if !lines.iter().zip(&shapes).all(|((_, line), shape)| shape.is_of(line)) {
            let detail = "this idempotency key was used with other events before";
            return Err(Problem::conflict("id-reused", detail).with("first_seq", events.first_seq));
        }
    }
    appended(&stream, events, StatusCode::CREATED).await
}

/// The parts of an event that a repeat must have in common with the first: type, service, key and who sent it.
struct Shape {
    type_name: String,
    service: Option<ServiceName>,
    id: Option<String>,
    actor: Option<String>,
}

impl Shape {
    fn of(body: &rig_event::Body) -> Shape {
        let rig_event::Draft { service, id, event, actor, .. } = &body.draft;
        Shape {
            type_name: event.type_name().to_owned(),
            service: service.clone(),
            id: id.clone(),
            actor: actor.clone(),
        }
    }

    fn is_of(&self, line: &[u8]) -> bool {
        Head::parse(line).is_ok_and(|head| {
            head.type_name == self.type_name
                && head.service.as_deref() == self.service.as_ref().map(ServiceName::as_str)
                && head.id.as_deref() == self.id.as_deref()
                && is_by(head.actor.as_deref(), self.actor.as_deref())
        })
    }
}

fn too_large() -> Problem {
    let detail = format!("one append takes at most {MAX_BATCH_BYTES} bytes; send several");
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "batch-too-large", detail)
}

/// Puts the key of an append on its last event: the events of an append are repeated together or not at all.
fn give_key(bodies: &mut Vec<rig_event::Body>, key: String) -> Result<(), Problem> {
    if bodies.iter().any(|body| body.draft.id.as_ref().is_some_and(|id| *id != key)) {
        let detail = "an event has an `id` that is not the Idempotency-Key; send one of them";
        return Err(Problem::bad_request("bad-idempotency-key", detail));
    }
    match bodies.pop() {
        Some(last) if last.draft.id.is_none() => {
            bodies.push(last.with_id(key).map_err(|e| event_problem(&e))?)
        }
        last => bodies.extend(last),
    }
    Ok(())
}

fn bodies(
    redactor: &Redactor,
    by: Option<&str>,
    headers: &HeaderMap,
    body: &[u8],
) -> Result<Vec<rig_event::Body>, Problem> {
    let media_type =
        headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("application/json");
    let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let events: Vec<&[u8]> = match essence.as_str() {
        "application/x-ndjson" | "application/jsonl" | "application/x-jsonlines" => {
            body.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect()
        }
        "application/json" | "application/x-www-form-urlencoded" => match body.trim_ascii_start().first() {
            Some(b'[') => {
                let array: Vec<&RawValue> = serde_json::from_slice(body).map_err(|e| {
                    let detail = format!(
                        "the body is no JSON array of events (line {}, column {})",
                        e.line(),
                        e.column()
                    );
                    Problem::bad_request("malformed-event", detail)
                        .with("line", e.line())
                        .with("column", e.column())
                })?;
                array.into_iter().map(|event| event.get().as_bytes()).collect()
            }
            _ => vec![body],
        },
        _ => {
            let detail = "events are sent as application/json or application/x-ndjson";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "wrong-media-type", detail));
        }
    };
    if events.is_empty() || events.len() > MAX_BATCH {
        let detail = format!("one append takes 1 to {MAX_BATCH} events");
        return Err(Problem::bad_request("bad-batch", detail));
    }
    let parsed = events.into_iter().enumerate().map(|(i, json)| {
        let body = rig_event::Body::from_client(json, by, |name, value| redact_field(redactor, name, value))
            .map_err(|e| event_problem(&e).with("index", i))?;
        check(redactor, &body.draft).map_err(|problem| problem.with("index", i))?;
        Ok(body)
    });
    parsed.collect()
}

/// Read events
///
/// As a stream that goes on (server-sent events) for who accepts `text/event-stream`, which knows no `to` and no `limit`; else the
/// lines of a stretch.
#[utoipa::path(get, path = "/v1/streams/{stream}/events",
    params(
        shapes::OfStream,
        shapes::Stretch,
        ("limit" = Option<u64>, Query, description = "Most events"),
        ("types" = Option<String>, Query, description = "Names such as `diff.*`, with commas", pattern = r"^[A-Za-z0-9._-]*\*?(,[A-Za-z0-9._-]*\*?)*$"),
        ("service" = Option<String>, Query, description = "Only events of this service"),
        ("since" = Option<String>, Query, description = "Begin with the first event that is not older than this time"),
        ("tail" = Option<u64>, Query, description = "Begin so many events before the end"),
        ("Last-Event-ID" = Option<String>, Header, description = "`epoch:seq` or `seq`: a stream goes on after it"),
        ("lastEventId" = Option<String>, Query, description = "The same, for clients that cannot set a header; also `lastEventID`, and `from` with an epoch"),
        ("ticket" = Option<String>, Query, description = "Opens the stream once, in the place of a token"),
    ),
    responses(
        (status = 200, description = "The events as they stand in the log", content(
            (String = "text/event-stream"),
            (String = "application/x-ndjson"),
        ), headers(
            ("Rig-Epoch" = String, description = "The stream's epoch"),
            ("Rig-Head" = u64, description = "Its head when the answer began"),
        )),
        (status = 400, description = "`bad-cursor`, `bad-filter`, `bad-time`, `past-head`"),
        (status = 401, description = "`bad-ticket`"),
        (status = 410, description = "`pruned`"),
        (status = 429, description = "`too-many-subscribers`"),
    )
)]
pub(super) async fn read(
    State(core): State<Core>,
    Path(stream): Path<String>,
    caller: Caller,
    mut query: Query,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let stream = core.stream(&stream)?;
    let filter = Filter::new(query.text("types").as_deref(), query.text("service"))?;
    let accept = headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let (epoch, head) = (stream.epoch.to_string(), stream.head());
    let (media_type, body) = if accept.contains("text/event-stream") {
        let cursor = cursor(&stream, &mut query, &headers).await?;
        query.done()?;
        let (stopping, place) = (core.access().until(&caller), core.access().admission.subscribe()?);
        ("text/event-stream", sse::body(stream, Subscription { cursor, filter, stopping, place }))
    } else {
        let (from, to) = range(&mut query, &stream).await?;
        let limit = query.number("limit")?.unwrap_or(u64::MAX);
        query.done()?;
        let first = stream.log.first_seq();
        if from < first {
            let detail = format!("events before {first} are pruned");
            return Err(Problem::new(StatusCode::GONE, "pruned", detail).with("first_seq", first));
        }
        ("application/x-ndjson", sse::ndjson(stream, from, to, limit, filter))
    };
    let mut response = body.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    headers.insert("rig-head", HeaderValue::from(head));
    if let Ok(epoch) = HeaderValue::from_str(&epoch) {
        headers.insert("rig-epoch", epoch);
    }
    Ok(response)
}

/// Reads the place where a subscriber begins. The header wins, since a reconnecting browser repeats the address that it began with;
/// pages that cannot set it repeat the cursor in the address.
async fn cursor(stream: &Stream, query: &mut Query, headers: &HeaderMap) -> Result<Cursor, Problem> {
    let header = headers.get("last-event-id").map(|v| v.to_str().unwrap_or("?").to_owned());
    let named = [query.text("lastEventId"), query.text("lastEventID")];
    let mut ids = [header].into_iter().chain(named).flatten();
    let id = ids.find(|id| !id.is_empty());
    let from = match query.get("from").is_some_and(|from| from.contains(':')) {
        true => None,
        false => query.number("from")?,
    };
    let from_id = if from.is_none() { query.text("from") } else { None };
    let begins = beginning(query, stream).await?;
    Cursor::new(id.or(from_id).as_deref(), from.or(begins))
}
