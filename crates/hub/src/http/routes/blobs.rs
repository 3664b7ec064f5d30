//! The originals of documents: reading them, and wrapping their keys anew.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use rig_config::snapshot_file;
use rig_event::event::AuditRawRead;
use rig_event::{Draft, Event, Seq, ServiceName};
use rig_replay::state::Service;

use crate::access::Caller;
use crate::core::Core;
use crate::http::request::Query;
use crate::originals::Rewrapped;
use crate::problem::{Problem, Unchanged};
use crate::streams::Stream;

/// Returns the exact document that a service's config at `at` was captured from. The table of routes requires `secrets` for
/// `raw`. That it was read is durable before it is sent.
pub(super) async fn original(
    core: &Core,
    caller: &Caller,
    stream: &Stream,
    name: ServiceName,
    at: Seq,
    service: &Service,
) -> Result<Response, Problem> {
    let blob = service.blob.clone().ok_or_else(|| {
        let captured = service.captured_seq;
        let detail = format!(
            "the original of snapshot {captured} of service {name} was not kept when it was captured"
        );
        Problem::not_found("no-original", detail)
    })?;
    let kept = stream
        .blobs
        .as_ref()
        .ok_or_else(|| Problem::not_found("no-original", "this hub keeps no originals of documents"))?;
    let mut document = kept.read(&blob).await?;
    let read = AuditRawRead {
        stream: stream.name.clone(),
        at,
        captured: service.captured_seq,
        blob,
        request_id: caller.request_id_text(),
        token: caller.token().map(|token| token.id.to_string()),
        peer: caller.peer().to_string(),
    };
    let told = Draft::new(Some(name), Event::AuditRawRead(read));
    core.tell(Draft { actor: caller.name().map(str::to_owned), ..told }).await?;
    let headers = [
        (header::CONTENT_TYPE, media_type(&service.format)),
        // Never displayed inline: it may be anything, and would run under the hub's origin.
        (header::CONTENT_DISPOSITION, "attachment"),
    ];
    Ok((headers, std::mem::take(&mut *document)).into_response())
}

fn media_type(format: &str) -> &'static str {
    match format {
        "json" => "application/json",
        "yaml" => "application/yaml",
        "toml" => "application/toml",
        "xml" => "application/xml",
        "snapshot" => snapshot_file::MEDIA_TYPE,
        _ => "text/plain; charset=utf-8",
    }
}

/// Wrap the data key of every original with the newest key
#[utoipa::path(post, path = "/v1/blobs/rewrap", responses(
    (status = 200, description = "It is done", body = Rewrapped),
    (status = 500, description = "`storage`"),
    (status = 503, description = "`encryption-unavailable`"),
))]
pub(super) async fn rewrap(State(core): State<Core>, query: Query) -> Result<Response, Problem> {
    query.done()?;
    let mut sum = Rewrapped::default();
    core.streams().reload_keys()?;
    for stream in core.streams().list() {
        if let Some(blobs) = &stream.blobs {
            blobs.rewrap(&mut sum).await?;
        }
    }
    let is_unchanged = sum.rewrapped == 0;
    let mut response = Json(sum).into_response();
    if is_unchanged {
        response.extensions_mut().insert(Unchanged);
    }
    Ok(response)
}
