//! Routes: collecting from a device now, and the pinned host keys.

use axum::Json;
use axum::extract::State;
use axum::http::{Method, StatusCode};
use axum::response::Response;
use rig_hub::Problem;
use rig_hub::access::{Caller, Need, Rule, Scope, Trace};
use rig_hub::http::shapes::{Actor, Appended, OfService};
use rig_hub::http::{Answer, Path, Query, actor_name, appended};
use serde_json::json;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::{Collector, collect_now, shapes};

/// The rules of these routes.
pub const RULES: &[Rule] = &[
    Rule::new(
        Method::POST,
        "/v1/streams/{stream}/services/{service}/collect",
        Need::Scope(Scope::Write),
        Trace::Each,
    ),
    Rule::new(Method::GET, "/v1/host-keys", Need::Hub(Scope::Admin), Trace::Not),
    Rule::new(Method::DELETE, "/v1/host-keys/{address}", Need::Hub(Scope::Admin), Trace::Own),
];

pub(super) fn router(collector: Collector) -> OpenApiRouter {
    OpenApiRouter::new()
        .routes(routes!(collect))
        .routes(routes!(host_keys))
        .routes(routes!(forget_host_key))
        .with_state(collector)
}

/// Collect a service's configuration from its device now
#[utoipa::path(post, path = "/v1/streams/{stream}/services/{service}/collect", params(OfService), responses(
    (status = 201, description = "It is captured", body = Appended),
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
async fn collect(
    State(collector): State<Collector>,
    Path((stream, service)): Path<(String, String)>,
    query: Query,
) -> Result<Response, Problem> {
    query.done()?;
    let (stream, events) = collect_now(&collector, &stream, &service).await?;
    appended(&stream, events, StatusCode::CREATED).await
}

/// The host keys that are pinned
#[utoipa::path(get, path = "/v1/host-keys", responses((status = 200, description = "By address", body = shapes::HostKeys)))]
async fn host_keys(State(collector): State<Collector>, query: Query) -> Answer {
    query.done()?;
    Ok(Json(json!({ "host_keys": collector.devices.host_keys.list().await })))
}

/// Forget a host key: the next one that the device shows is pinned
#[utoipa::path(delete, path = "/v1/host-keys/{address}",
    params(("address" = String, Path, description = "HOST:PORT"), Actor),
    responses(
        (status = 200, description = "It is forgotten", body = shapes::Forgotten),
        (status = 400, description = "`bad-actor`"),
        (status = 404, description = "`no-host-key`"),
    )
)]
async fn forget_host_key(
    State(collector): State<Collector>,
    caller: Caller,
    Path(address): Path<String>,
    mut query: Query,
) -> Answer {
    let actor = actor_name(&collector.core, &caller, query.text("actor"))?;
    query.done()?;
    let forgotten = collector.devices.host_keys.forget(&collector.core, &address, actor).await?;
    Ok(Json(json!({ "forgotten": forgotten })))
}
