//! Devices: collecting from one now, and the host keys that are pinned.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::{Answer, Path, Query, actor_name, appended};
use crate::Shared;
use crate::ingest::ssh;
use crate::problem::Problem;

/// `POST …/services/{service}/collect`: collects the service's configuration from its device now.
pub(super) async fn collect(
    State(hub): State<Shared>,
    Path((stream, service)): Path<(String, String)>,
    query: Query,
) -> Result<Response, Problem> {
    query.done()?;
    let (stream, events) = ssh::collect_now(&hub, &stream, &service).await?;
    appended(&stream, events, StatusCode::CREATED).await
}

/// `GET /v1/host-keys`
pub(super) async fn host_keys(State(hub): State<Shared>, query: Query) -> Answer {
    query.done()?;
    Ok(Json(json!({ "host_keys": hub.devices.host_keys.list().await })))
}

/// `DELETE /v1/host-keys/{address}`: the next key that the device shows is pinned.
pub(super) async fn forget_host_key(
    State(hub): State<Shared>,
    Path(address): Path<String>,
    mut query: Query,
) -> Answer {
    let actor = actor_name(&hub, query.text("actor"))?;
    query.done()?;
    let forgotten = hub.devices.host_keys.forget(&hub, &address, actor).await?;
    Ok(Json(json!({ "forgotten": forgotten })))
}
