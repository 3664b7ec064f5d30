//! Devices: collecting from one now, and the host keys that are pinned.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::{Answer, Path, Query, actor_name, appended, shapes};
use crate::Shared;
use crate::access::Caller;
use crate::ingest::ssh;
use crate::problem::Problem;

/// Collect a service's configuration from its device now
#[utoipa::path(post, path = "/v1/streams/{stream}/services/{service}/collect", params(shapes::OfService), responses(
    (status = 201, description = "It is captured", body = shapes::Appended),
    (status = 403, description = "`read-only`, `address-refused`"),
    (status = 404, description = "`no-device`"),
    (status = 409, description = "`collect-in-progress`"),
    (status = 413, description = "`too-large`, `event-too-long`"),
    (status = 422, description = "What a document is refused for"),
    (status = 429, description = "`too-many-collects`"),
    (status = 500, description = "`credentials-unreadable`"),
    (status = 502, description = "`device-unreachable`, `authentication-failed`, `host-key-changed`, `ssh-failed`, `command-failed`, `empty-output`, \
        `output-incomplete`, `output-not-utf8`, `output-too-large`, `pager-prompt`"),
    (status = 503, description = "`busy`, `closed`, `log-failed`"),
    (status = 504, description = "`device-timeout`"),
))]
pub(super) async fn collect(
    State(hub): State<Shared>,
    Path((stream, service)): Path<(String, String)>,
    query: Query,
) -> Result<Response, Problem> {
    query.done()?;
    let (stream, events) = ssh::collect_now(&hub, &stream, &service).await?;
    appended(&stream, events, StatusCode::CREATED).await
}

/// The host keys that are pinned
#[utoipa::path(get, path = "/v1/host-keys", responses((status = 200, description = "By address", body = shapes::HostKeys)))]
pub(super) async fn host_keys(State(hub): State<Shared>, query: Query) -> Answer {
    query.done()?;
    Ok(Json(json!({ "host_keys": hub.devices.host_keys.list().await })))
}

/// Forget a host key: the next one that the device shows is pinned
#[utoipa::path(delete, path = "/v1/host-keys/{address}",
    params(("address" = String, Path, description = "HOST:PORT"), shapes::Actor),
    responses(
        (status = 200, description = "It is forgotten", body = shapes::Forgotten),
        (status = 400, description = "`bad-actor`"),
        (status = 404, description = "`no-host-key`"),
    )
)]
pub(super) async fn forget_host_key(
    State(hub): State<Shared>,
    caller: Caller,
    Path(address): Path<String>,
    mut query: Query,
) -> Answer {
    let actor = actor_name(&hub, &caller, query.text("actor"))?;
    query.done()?;
    let forgotten = hub.devices.host_keys.forget(&hub, &address, actor).await?;
    Ok(Json(json!({ "forgotten": forgotten })))
}
