//! Tokens and tickets.

use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use rig_event::{Draft, Event};
use serde_json::{Value, json};

use super::{Path, Query, answer, shapes};
use crate::Shared;
use crate::access::{Caller, NewToken, may_give};
use crate::problem::Problem;

/// Most bytes of a request for a token.
const MAX_REQUEST: usize = 16 << 10;

/// List the tokens
#[utoipa::path(get, path = "/v1/tokens", operation_id = "tokens", responses((status = 200, description = "Without their texts", body = shapes::Tokens)))]
pub(super) async fn list(State(hub): State<Shared>, query: Query) -> Result<Response, Problem> {
    query.done()?;
    answer(&listed(&hub)?)
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
    State(hub): State<Shared>,
    caller: Caller,
    query: Query,
    body: Body,
) -> Result<Response, Problem> {
    query.done()?;
    let bad = |why: String| Problem::bad_request("bad-token-request", why);
    let body = axum::body::to_bytes(body, MAX_REQUEST);
    let body = tokio::time::timeout(hub.options.read_timeout, body)
        .await
        .map_err(|_| {
            Problem::new(StatusCode::REQUEST_TIMEOUT, "slow-body", "the body took too long to come")
        })?
        .map_err(|_| bad("the body broke off or has over 16 KiB".to_owned()))?;
    let new: NewToken = serde_json::from_slice(&body).map_err(|e| {
        let shape = r#"{"name":…,"scopes":["read"],"streams":["ci-*"],"expires":"2027-01-31T00:00:00Z"}"#;
        bad(format!("the body must be {shape} (line {}, column {})", e.line(), e.column()))
    })?;
    let made = make(&hub, Some(&caller), &new).await?;
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
    State(hub): State<Shared>,
    caller: Caller,
    Path(id): Path<String>,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.done()?;
    end(&hub, Some(&caller), &id).await?;
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
    State(hub): State<Shared>,
    caller: Caller,
    Path(stream): Path<String>,
    query: Query,
) -> Result<Response, Problem> {
    query.done()?;
    let stream = hub.stream(&stream)?;
    let now = (hub.options.clock)();
    let (ticket, expires) = hub.access.tickets.give(&stream.name, caller.token().cloned(), now)?;
    let ticket = json!({ "stream": stream.name, "ticket": ticket, "expires": expires });
    Ok((StatusCode::CREATED, axum::Json(ticket)).into_response())
}

/// All tokens, as they are told.
pub(crate) fn listed(hub: &Shared) -> Result<Value, Problem> {
    let tokens = serde_json::to_value(hub.access.tokens.list());
    Ok(json!({ "tokens": tokens.map_err(|e| Problem::internal("defect", e.to_string()))? }))
}

/// Makes a token, for a caller or for who owns the data directory.
pub(crate) async fn make(hub: &Shared, by: Option<&Caller>, new: &NewToken) -> Result<Value, Problem> {
    if let Some(caller) = by {
        may_give(caller.token().map(|token| token.as_ref()), new)?;
    }
    let name = new.name.as_deref().unwrap_or_default();
    if hub.redactor.is_secret_name(name) {
        return Err(Problem::bad_request(
            "bad-token-request",
            "the name looks like a secret; it would be shown",
        ));
    }
    let now = (hub.options.clock)();
    let (text, issued) = hub.access.tokens.make(new, now, by.map(Caller::request_id_text))?;
    let made = json!({
        "token": text,
        "id": issued.id,
        "name": issued.name,
        "scopes": issued.scopes,
        "streams": issued.streams,
        "expires": issued.expires,
    });
    tell(hub, by, Event::TokenIssued(issued)).await?;
    Ok(made)
}

/// Revokes a token, for a caller or for who owns the data directory.
pub(crate) async fn end(hub: &Shared, by: Option<&Caller>, id: &str) -> Result<(), Problem> {
    match hub.access.tokens.revoke(id, by.map(Caller::request_id_text))? {
        Some(revoked) => tell(hub, by, Event::TokenRevoked(revoked)).await,
        None => Ok(()),
    }
}

/// First it is durable, then it holds.
async fn tell(hub: &Shared, by: Option<&Caller>, event: Event) -> Result<(), Problem> {
    let actor = by.and_then(Caller::name).map(str::to_owned);
    hub.tell(Draft { actor, ..Draft::new(None, event.clone()) }).await?;
    let held = hub.access.tokens.apply(&event, (hub.options.clock)());
    held.map_err(|e| Problem::internal("defect", e.to_string()))
}
