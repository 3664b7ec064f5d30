//! Streams as a whole: list, make, remove, their state at any seq, and their session file.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use rig_event::session::Outcome;
use serde_json::{Value, json};

use super::{Answer, Path, Query, answer, range};
use crate::Shared;
use crate::access::Caller;
use crate::metrics::{self, Row};
use crate::problem::Problem;
use crate::session::{self, Stretch};
use crate::stream::Stream;

/// `GET /v1/streams`
pub(super) async fn list(State(hub): State<Shared>, caller: Caller, query: Query) -> Answer {
    query.done()?;
    let streams = hub.list();
    let listed = streams.iter().filter(|stream| !stream.name.is_internal() && caller.sees(&stream.name));
    let streams: Vec<Value> = listed.map(|stream| about(stream)).collect();
    Ok(Json(json!({ "streams": streams })))
}

/// `GET /metrics`, for Prometheus.
pub(super) async fn counters(State(hub): State<Shared>) -> Response {
    let streams = hub.list();
    let rows: Vec<Row<'_>> = streams.iter().map(|stream| row(stream)).collect();
    let text = metrics::text(&rows);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
}

/// `GET /v1/streams/{stream}`
pub(super) async fn show(State(hub): State<Shared>, Path(stream): Path<String>, query: Query) -> Answer {
    query.done()?;
    Ok(Json(about(hub.stream(&stream)?.as_ref())))
}

/// `PUT /v1/streams/{stream}`
pub(super) async fn make(
    State(hub): State<Shared>,
    Path(stream): Path<String>,
    query: Query,
) -> Result<(StatusCode, Json<Value>), Problem> {
    query.done()?;
    let (stream, new) = hub.make(&stream).await?;
    Ok((if new { StatusCode::CREATED } else { StatusCode::OK }, Json(about(&stream))))
}

/// `DELETE /v1/streams/{stream}`
pub(super) async fn remove(
    State(hub): State<Shared>,
    Path(stream): Path<String>,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.done()?;
    hub.remove(&stream).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /v1/streams/{stream}/state?at=SEQ`
pub(super) async fn state(
    State(hub): State<Shared>,
    Path(stream): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let stream = hub.stream(&stream)?;
    let at = query.number("at")?;
    query.done()?;
    let state = stream.state_at(at.unwrap_or_else(|| stream.head())).await?;
    answer(&state.view(stream.name.as_str()))
}

fn row(stream: &Stream) -> Row<'_> {
    Row {
        stream: stream.name.as_str(),
        head: stream.head(),
        first_seq: stream.log.first_seq(),
        bytes: stream.log.bytes(),
        meters: &stream.meters,
    }
}

fn about(stream: &Stream) -> Value {
    json!({
        "stream": stream.name,
        "epoch": stream.epoch,
        "first_seq": stream.log.first_seq(),
        "head": stream.head(),
        "bytes": stream.log.bytes(),
    })
}

/// `GET /v1/streams/{stream}/session?from=&to=&zstd=1`
pub(super) async fn session(
    State(hub): State<Shared>,
    Path(stream): Path<String>,
    mut query: Query,
) -> Result<Response, Problem> {
    let stream = hub.stream(&stream)?;
    let from_is_named = query.names("from");
    let (mut from, to) = range(&mut query, &stream)?;
    let zstd = query.flag("zstd")?;
    let outcome = query.text("outcome").unwrap_or_else(|| "interrupted".to_owned());
    query.done()?;
    let outcome = serde_json::from_value::<Outcome>(outcome.into()).map_err(|_| {
        Problem::bad_request("bad-query", "`outcome` is passed, failed, crashed or interrupted")
    })?;
    let now = (hub.options.clock)();
    let body = loop {
        let stretch = Stretch { from, to, zstd, outcome, now };
        match session::body(stream.clone(), hub.keys.clone(), stretch).await {
            // Pruned in between. Who asked for all there is gets what there is now.
            Err(e) if e.code() == "pruned" && !from_is_named && (from..=to).contains(&stream.first_seq()) => {
                from = stream.first_seq().max(from + 1);
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
