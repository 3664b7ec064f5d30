//! Streams as a whole: listing, creating and removing them, their state at any seq, and their session file.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use http_body::Body as _;
use http_body_util::BodyExt as _;
use rig_event::session::Outcome;
use serde::Serialize;
use utoipa::ToSchema;

use crate::access::Caller;
use crate::component::Metrics;
use crate::core::Core;
use crate::http::answer::answer;
use crate::http::request::{Path, Query, range};
use crate::http::session::{self, Stretch};
use crate::http::shapes;
use crate::metrics::Exposition;
use crate::problem::{Problem, Unchanged};
use crate::streams::{Row, Stream, write_meters};

/// Check that the process runs
#[utoipa::path(get, path = "/healthz", responses((status = 200, description = "It does", body = String)))]
pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

/// Check that requests are answered
///
/// They are as soon as the hub listens. The index catches up after that: until `index_lag_events` is 0, what carries an
/// idempotency key may wait, or be answered 503 `busy`.
#[utoipa::path(get, path = "/readyz", responses(
    (status = 200, description = "They are: `ready`, and on the next line `index_lag_events` and how many events of all streams the \
        index does not know yet; with `clock_behind_seconds`, if the clock is behind the last event of a stream", body = String),
    (status = 503, description = "`closed`, `disk-full`, `log-failed`"),
))]
pub(super) async fn readyz(State(core): State<Core>) -> Result<String, Problem> {
    if core.is_stopping() {
        return Err(Problem::unavailable("closed", "the hub is stopping"));
    }
    if core.streams().room().is_full() {
        let detail = "the disk is full: everything can be read, and no events are taken; make room";
        return Err(Problem::unavailable("disk-full", detail));
    }
    let streams = core.streams().list();
    let failed = streams.iter().filter(|stream| stream.meters.failure().is_some()).count();
    if failed > 0 {
        let detail = format!("{failed} streams take no more events: a write failed; the hub's log says why");
        return Err(Problem::unavailable("log-failed", detail));
    }
    let lag: u64 = streams.iter().map(|stream| stream.indexed.lag(stream.head())).sum();
    let behind = streams.iter().map(|stream| stream.meters.clock_behind()).max().filter(|behind| *behind > 0);
    let behind = behind.map(|behind| format!("clock_behind_seconds {behind}\n")).unwrap_or_default();
    Ok(format!("ready\nindex_lag_events {lag}\n{behind}"))
}

/// A stream, from outside.
#[derive(Serialize, ToSchema)]
#[schema(as = Stream)]
pub(super) struct About {
    /// Its name.
    stream: String,
    /// Tells it from others that had the name before.
    epoch: String,
    /// The oldest event that is kept.
    first_seq: u64,
    /// The last event; 0 before the first.
    head: u64,
    /// Bytes that its log takes.
    bytes: u64,
    /// True for a recording, which takes nothing.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    recording: bool,
}

/// The streams of a hub.
#[derive(Serialize, ToSchema)]
pub(super) struct Streams {
    /// Those that the caller may see, without the hub's own, by name.
    streams: Vec<About>,
}

/// List the streams
#[utoipa::path(get, path = "/v1/streams", responses((status = 200, description = "Those that the caller may see, without the hub's own", body = Streams)))]
pub(super) async fn list(
    State(core): State<Core>,
    caller: Caller,
    query: Query,
) -> Result<Json<Streams>, Problem> {
    query.done()?;
    let streams = core.streams().list();
    let listed = streams.iter().filter(|stream| !stream.name.is_internal() && caller.sees(&stream.name));
    Ok(Json(Streams { streams: listed.map(|stream| about(stream)).collect() }))
}

/// Counters for Prometheus
#[utoipa::path(get, path = "/metrics", operation_id = "metrics", responses(
    (status = 200, description = "Text exposition format 0.0.4", body = String)
))]
pub(super) async fn counters(
    State(core): State<Core>,
    Extension(components): Extension<Arc<[Metrics]>>,
) -> Response {
    let text = exposition(&core, &components).finish();
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// Returns the metrics of a hub and of its components.
pub(crate) fn exposition(core: &Core, components: &[Metrics]) -> Exposition {
    let mut text = Exposition::default();
    let streams = core.streams().list();
    let rows: Vec<Row<'_>> = streams.iter().map(|stream| row(stream)).collect();
    write_meters(&mut text, &rows);
    core.access().admission.metrics(&mut text);
    components.iter().for_each(|write| write(core, &mut text));
    text
}

/// Show a stream
#[utoipa::path(get, path = "/v1/streams/{stream}", params(shapes::OfStream), responses(
    (status = 200, description = "The stream", body = About)
))]
pub(super) async fn show(
    State(core): State<Core>,
    Path(stream): Path<String>,
    query: Query,
) -> Result<Json<About>, Problem> {
    query.done()?;
    Ok(Json(about(core.stream(&stream)?.as_ref())))
}

/// Make a stream
#[utoipa::path(put, path = "/v1/streams/{stream}", params(shapes::OfStream), responses(
    (status = 200, description = "It was there", body = About),
    (status = 201, description = "It is made", body = About),
    (status = 400, description = "`reserved-name`"),
    (status = 403, description = "`read-only`"),
    (status = 409, description = "`too-many-streams`"),
    (status = 500, description = "`storage`"),
))]
pub(super) async fn make(
    State(core): State<Core>,
    Path(stream): Path<String>,
    query: Query,
) -> Result<Response, Problem> {
    query.done()?;
    let (stream, new) = core.streams().make(&stream).await?;
    let about = Json(about(&stream));
    Ok(match new {
        true => (StatusCode::CREATED, about).into_response(),
        false => (StatusCode::OK, Extension(Unchanged), about).into_response(),
    })
}

/// Remove a stream and all its events
#[utoipa::path(delete, path = "/v1/streams/{stream}", params(shapes::OfStream), responses(
    (status = 204, description = "It is gone"),
    (status = 400, description = "`reserved-name`"),
    (status = 403, description = "`read-only`"),
    (status = 500, description = "`storage`"),
))]
pub(super) async fn remove(
    State(core): State<Core>,
    Path(stream): Path<String>,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.done()?;
    core.streams().remove(&stream).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The state after an event
#[utoipa::path(get, path = "/v1/streams/{stream}/state", params(shapes::OfStream, shapes::At), responses(
    (status = 200, description = "The state", body = shapes::State),
    (status = 400, description = "`bad-cursor`"),
    (status = 404, description = "`past-head`"),
    (status = 410, description = "`pruned`"),
    (status = 503, description = "`busy`"),
))]
pub(super) async fn state(
    State(core): State<Core>,
    Path(stream): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let stream = core.stream(&stream)?;
    let at = query.number("at")?;
    query.done()?;
    // Folded and written by two at a time, and held in memory within the budget until its client has read it.
    let turn = core.turn().await?;
    let state = stream.state_at(at.unwrap_or_else(|| stream.head())).await?;
    let text = tokio::task::block_in_place(|| answer(&state.view(stream.name.as_str())));
    drop((state, turn));
    held(&core, text?).await
}

/// Charges the budget for a large answer until it is sent.
async fn held(core: &Core, response: Response) -> Result<Response, Problem> {
    let bytes = response.body().size_hint().exact().unwrap_or(0);
    if bytes < 1 << 20 {
        return Ok(response);
    }
    let share = core.reserve(bytes).await?;
    Ok(response.map(|body| {
        axum::body::Body::new(body.map_frame(move |frame| {
            let _share = &share;
            frame
        }))
    }))
}

fn row(stream: &Stream) -> Row<'_> {
    Row {
        stream: stream.name.as_str(),
        head: stream.head(),
        first_seq: stream.log.first_seq(),
        bytes: stream.log.bytes(),
        index_lag: stream.indexed.lag(stream.head()),
        known_secrets: stream.redactor.known_secrets() as u64,
        meters: &stream.meters,
    }
}

fn about(stream: &Stream) -> About {
    About {
        stream: stream.name.to_string(),
        epoch: stream.epoch.to_string(),
        first_seq: stream.log.first_seq(),
        head: stream.head(),
        bytes: stream.log.bytes(),
        recording: stream.is_recording(),
    }
}

/// Download a stretch as a session file
#[utoipa::path(get, path = "/v1/streams/{stream}/session",
    params(
        shapes::OfStream,
        shapes::Stretch,
        ("since" = Option<String>, Query, description = "Begin with the first event that is not older than this time"),
        ("tail" = Option<u64>, Query, description = "Begin so many events before the end"),
        ("zstd" = inline(Option<shapes::Flag>), Query, description = "Compressed"),
        ("outcome" = inline(Option<shapes::Outcome>), Query, description = "What the file's footer says; interrupted unless it is said"),
    ),
    responses(
        (status = 200, description = "A session file (docs/formats.md)", content(
            (String = "application/jsonl"),
            (shapes::Bytes = "application/zstd"),
        )),
        (status = 400, description = "`bad-cursor`, `bad-time`, `past-head`"),
        (status = 410, description = "`pruned`"),
    )
)]
pub(super) async fn session(
    State(core): State<Core>,
    Path(stream): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let stream = core.stream(&stream)?;
    let (from_is_named, to_is_named) = (query.names("from"), query.names("to"));
    let (mut from, mut to) = range(&mut query, &stream).await?;
    let zstd = query.flag("zstd")?;
    let outcome = query.text("outcome").unwrap_or_else(|| "interrupted".to_owned());
    query.done()?;
    let outcome = serde_json::from_value::<Outcome>(outcome.into()).map_err(|_| {
        Problem::bad_request("bad-query", "`outcome` is passed, failed, crashed or interrupted")
    })?;
    let now = (core.options().clock)();
    let body = loop {
        let stretch = Stretch { from, to, zstd, outcome, now };
        match session::body(stream.clone(), core.keys().clone(), stretch).await {
            // Pruned in between. If the client asked for everything, it gets all that is there now.
            Err(e) if e.code() == "pruned" && !from_is_named => {
                from = stream.first_seq().max(from + 1);
                to = if to_is_named { to } else { stream.head() };
                if from > to {
                    return Err(e);
                }
            }
            body => break body?,
        }
    };
    let name = format!("{}-{from}-{to}.jsonl{}", stream.name, if zstd { ".zst" } else { "" });
    let media_type = if zstd { "application/zstd" } else { "application/jsonl" };
    let disposition = format!("attachment; filename=\"{name}\"");
    Ok(([(header::CONTENT_TYPE, media_type), (header::CONTENT_DISPOSITION, disposition.as_str())], body)
        .into_response())
}
