//! Tokens and tickets.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde_json::json;

use crate::access::{Caller, NewToken};
use crate::core::Core;
use crate::http::answer::answer;
use crate::http::request::{Path, Query};
use crate::http::shapes;
use crate::problem::Problem;

/// Maximum size of a request for a token, in bytes.
const MAX_REQUEST: usize = 16 << 10;

/// List the tokens
#[utoipa::path(get, path = "/v1/tokens", operation_id = "tokens", responses((status = 200, description = "Without their texts", body = shapes::Tokens)))]
pub(super) async fn list(State(core): State<Core>, query: Query) -> Result<Response, Problem> {
    query.done()?;
    answer(&core.access().list_tokens()?)
}

/// Make a token
///
/// Its text is in the answer and nowhere else.
#[utoipa::path(post, path = "/v1/tokens", request_body = shapes::NewToken, responses(
    (status = 201, description = "It is made", body = shapes::MadeToken),
    (status = 400, description = "`bad-token-request`"),
    (status = 403, description = "`read-only`"),
    (status = 408, description = "`slow-body`"),
    (status = 409, description = "`first-token`, `too-many-tokens`"),
    (status = 503, description = "`log-failed`"),
))]
pub(super) async fn issue(
    State(core): State<Core>,
    caller: Caller,
    query: Query,
    body: Body,
) -> Result<Response, Problem> {
    query.done()?;
    let bad = |why: String| Problem::bad_request("bad-token-request", why);
    let body = axum::body::to_bytes(body, MAX_REQUEST);
    let body = tokio::time::timeout(core.options().read_timeout, body)
        .await
        .map_err(|_| {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "the body took too long to come")
        })?
        .map_err(|_| bad("the body broke off or has over 16 KiB".to_owned()))?;
    let new: NewToken = serde_json::from_slice(&body).map_err(|e| {
        let shape = r#"{"name":…,"scopes":["read"],"streams":["ci-*"],"expires":"2027-01-31T00:00:00Z"}"#;
        bad(format!("the body must be {shape} (line {}, column {})", e.line(), e.column()))
    })?;
    let made = core.access().issue(Some(&caller), &new).await?;
    Ok((StatusCode::CREATED, axum::Json(made)).into_response())
}

/// Revoke a token
#[utoipa::path(delete, path = "/v1/tokens/{id}", params(("id" = String, Path, description = "The token's id")), responses(
    (status = 204, description = "It opens nothing any more"),
    (status = 400, description = "`bad-address`"),
    (status = 403, description = "`read-only`"),
    (status = 404, description = "`unknown-token`"),
    (status = 503, description = "`log-failed`"),
))]
pub(super) async fn revoke(
    State(core): State<Core>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.done()?;
    core.access().revoke(Some(&caller), &id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Get a ticket for a browser's EventSource
///
/// It opens the live stream once, within 30 seconds.
#[utoipa::path(post, path = "/v1/streams/{stream}/tickets", params(shapes::OfStream), responses(
    (status = 201, description = "Put it into the address of the stream as `ticket`", body = shapes::Ticket),
    (status = 429, description = "`too-many-tickets`"),
))]
pub(super) async fn ticket(
    State(core): State<Core>,
    caller: Caller,
    Path(stream): Path<String>,
    query: Query,
) -> Result<Response, Problem> {
    query.done()?;
    let stream = core.stream(&stream)?;
    let (ticket, expires) = core.access().give_ticket(&stream.name, &caller)?;
    let ticket = json!({ "stream": stream.name, "ticket": ticket, "expires": expires });
    Ok((StatusCode::CREATED, axum::Json(ticket)).into_response())
}

/// The caller, as the hub knows it
#[utoipa::path(get, path = "/v1/whoami", operation_id = "whoami", responses((status = 200, description = "Its scopes and streams", body = shapes::Whoami)))]
pub(super) async fn whoami(
    State(core): State<Core>,
    caller: Caller,
    query: Query,
) -> Result<axum::Json<shapes::Whoami>, Problem> {
    query.done()?;
    Ok(axum::Json(shapes::Whoami {
        name: caller.name().map(str::to_owned),
        scopes: caller.scopes().iter().map(|scope| scope.as_str().to_owned()).collect(),
        tokens: core.access().demands_tokens(),
        rig: env!("CARGO_PKG_VERSION").to_owned(),
    }))
}
