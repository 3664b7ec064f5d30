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

/// Maximum size of a body with a code, in bytes.
const MAX_LOGIN: usize = 1 << 10;

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

/// Get a code to sign in to the dashboard
///
/// For it a browser gets a token with the caller's rights, once, within 60 seconds. `rig dash` does so.
#[utoipa::path(post, path = "/v1/logins", operation_id = "login", responses(
    (status = 201, description = "Redeem it", body = shapes::Login),
    (status = 409, description = "`no-tokens`"),
    (status = 429, description = "`too-many-logins`"),
))]
pub(super) async fn login(
    State(core): State<Core>,
    caller: Caller,
    query: Query,
) -> Result<(StatusCode, axum::Json<shapes::Login>), Problem> {
    query.done()?;
    let (code, expires) = core.access().give_login(&caller)?;
    Ok((StatusCode::CREATED, axum::Json(shapes::Login { code, expires: expires.to_string() })))
}

/// Redeem a code
///
/// The code is the authorization: it stands in the body, so that no log has it.
#[utoipa::path(post, path = "/v1/logins/redeem", operation_id = "redeem", request_body = shapes::Redeemed, responses(
    (status = 201, description = "A token of its own, for twelve hours at most", body = shapes::PageToken),
    (status = 400, description = "`bad-token-request`"),
    (status = 401, description = "`bad-login`"),
    (status = 409, description = "`too-many-tokens`"),
    (status = 429, description = "`too-many-logins`"),
    (status = 503, description = "`log-failed`"),
))]
pub(super) async fn redeem(
    State(core): State<Core>,
    caller: Caller,
    query: Query,
    body: Body,
) -> Result<Response, Problem> {
    query.done()?;
    let bad = |_| Problem::bad_request("bad-token-request", r#"the body must be {"code":"…"}"#);
    let body = axum::body::to_bytes(body, MAX_LOGIN);
    let body = tokio::time::timeout(core.options().read_timeout, body).await;
    let body = body.map_err(|_| {
        Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "the body took too long to come")
    })?;
    let shapes::Redeemed { code } =
        serde_json::from_slice(&body.map_err(|_| bad(()))?).map_err(|_| bad(()))?;
    let made = core.access().log_in(&code, caller.request_id_text()).await?;
    Ok((StatusCode::CREATED, axum::Json(made)).into_response())
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
