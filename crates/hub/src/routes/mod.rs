//! The addresses of the hub (design: README and docs/http.md), one file a group.

mod batch;
mod blobs;
mod devices;
pub(crate) mod events;
mod history;
mod openapi;
mod services;
mod shapes;
mod streams;
pub(crate) mod tokens;

use std::collections::BTreeMap;
use std::net::IpAddr;

use axum::body::Body;
use axum::extract::{DefaultBodyLimit, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use hyper::body::Incoming;
use rig_event::{Seq, Timestamp};
use tokio::sync::SemaphorePermit;
use tower::ServiceExt as _;
use tracing::Instrument as _;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;
use crate::access::audit::{self, Led};
use crate::access::{Admitted, Caller, REQUEST_ID};
use crate::problem::Problem;
use crate::stream::Stream;
use crate::trace;
use crate::writer::{Appended, Refused};

/// All routes.
pub(crate) fn router(hub: Shared) -> Router {
    let (described, _) = described().split_for_parts();
    described
        .fallback(async || no_such_address())
        .method_not_allowed_fallback(async || no_such_method())
        // Bodies are read piece by piece against limits of their own.
        .layer(DefaultBodyLimit::disable())
        .with_state(hub)
}

/// The routes with their descriptions: `/openapi.json` lists what stands here.
pub(crate) fn described() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(openapi::base())
        .routes(routes!(streams::healthz))
        .routes(routes!(streams::readyz))
        .routes(routes!(streams::counters))
        .routes(routes!(openapi::openapi))
        .routes(routes!(streams::list))
        .routes(routes!(streams::show, streams::make, streams::remove))
        .routes(routes!(events::read, events::append))
        .routes(routes!(streams::session))
        .routes(routes!(services::capture))
        .routes(routes!(streams::state))
        .routes(routes!(services::config))
        .routes(routes!(blobs::rewrap))
        .routes(routes!(services::baseline, services::approve, services::revoke))
        .routes(routes!(services::declared, services::declare, services::withdraw))
        .routes(routes!(history::history))
        .routes(routes!(history::diff))
        .routes(routes!(history::blame))
        .routes(routes!(services::accept))
        .routes(routes!(tokens::list, tokens::issue))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::ticket))
        .routes(routes!(devices::collect))
        .routes(routes!(devices::host_keys))
        .routes(routes!(devices::forget_host_key))
}

pub(crate) fn no_such_address() -> Problem {
    Problem::not_found(
        "no-such-address",
        "there is nothing at this address; docs/http.md lists what there is",
    )
}

pub(crate) fn no_such_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "this address does not take that method",
    )
}

/// Answers a request: what concerns every one of them is done here, and in no layer of the router, for appends do not pass it.
pub(crate) async fn answer_to(
    hub: Shared,
    router: Router,
    peer: IpAddr,
    request: hyper::Request<Incoming>,
) -> Response {
    let id = hub.access.request_id(request.headers());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let (span, stopping) = (trace::span(&hub, &request, &id), hub.is_stopping());
    let mut response = trace::told(span, admitted(&hub, router, peer, &id, request)).await;
    if stopping {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.headers_mut().insert(REQUEST_ID.clone(), id);
    hub.access.share(origin, &mut response);
    with_headers(response)
}

/// Answers a request whose sender may send it, and tells of the others.
async fn admitted(
    hub: &Shared,
    router: Router,
    peer: IpAddr,
    id: &HeaderValue,
    mut request: hyper::Request<Incoming>,
) -> Response {
    if let Some(response) = hub.access.preflight(&request) {
        return response;
    }
    match hub.access.admit(peer, id, &mut request) {
        Ok(admitted) if admitted.is_told_for_sure() => {
            let answer = go_on(hub.clone(), router, admitted, request).in_current_span();
            let answer = tokio::spawn(answer).await;
            answer.unwrap_or_else(|e| Problem::internal("defect", e.to_string()).into_response())
        }
        Ok(admitted) => go_on(hub.clone(), router, admitted, request).await,
        Err(denied) => {
            audit::denied(hub, &denied, peer, id.to_str().unwrap_or_default());
            denied.problem.into_response()
        }
    }
}

/// Sends a request to its route and accounts for it. Appends to a bare address, of which there are more than of all else, are not
/// sent round by the router.
async fn go_on(
    hub: Shared,
    router: Router,
    admitted: Admitted,
    mut request: hyper::Request<Incoming>,
) -> Response {
    let turn = turn(&hub, request.uri().path()).await;
    let response = match (&turn, admitted.appends_to()) {
        (Err(problem), _) => problem.clone().into_response(),
        (Ok(_), Some(stream)) => {
            let (query, by) = (Query(BTreeMap::new()), admitted.caller.name());
            events::append_to(&hub, stream.as_str(), query, by, request).await.into_response()
        }
        (Ok(_), None) => {
            request.extensions_mut().insert(admitted.caller.clone());
            match router.oneshot(request.map(Body::new)).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
    };
    audit::answered(&hub, &admitted, response.status(), response.extensions()).await;
    response
}

/// A place among the requests in work. Who watches the hub gets an answer also when it has too much to do; who comes while the last
/// requests end is sent elsewhere.
async fn turn<'a>(hub: &'a Shared, path: &str) -> Result<Option<SemaphorePermit<'a>>, Problem> {
    if !path.starts_with("/v1/") {
        return Ok(None);
    }
    if hub.is_stopping() {
        return Err(Problem::unavailable("closed", "the hub is stopping"));
    }
    hub.admission.enter().await.map(Some)
}

/// Answers hold configuration: no cache keeps them, no browser guesses at them or shows them in a page.
fn with_headers(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers
        .entry(header::CONTENT_SECURITY_POLICY)
        .or_insert(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"));
    headers.entry("cross-origin-resource-policy").or_insert(HeaderValue::from_static("same-origin"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// The names in an address.
pub(crate) struct Path<T>(pub(crate) T);

impl<S: Send + Sync, T: serde::de::DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let names = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        let unreadable =
            |_| Problem::bad_request("bad-address", "a name in the address is not UTF-8 once it is decoded");
        names.map(|axum::extract::Path(names)| Path(names)).map_err(unreadable)
    }
}

/// The query of an address, each key once. Keys that a route does not know are refused: a misspelt one must not pass unseen.
pub(crate) struct Query(BTreeMap<String, String>);

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        // Most appends have none.
        if parts.uri.query().is_none_or(str::is_empty) {
            return Ok(Query(BTreeMap::new()));
        }
        let pairs = axum::extract::Query::<Vec<(String, String)>>::from_request_parts(parts, state).await;
        let axum::extract::Query(pairs) = pairs
            .map_err(|_| Problem::bad_request("bad-query", "the query of the address cannot be read"))?;
        let mut query = BTreeMap::new();
        for (key, value) in pairs {
            let shown = key.escape_debug().take(64).collect::<String>();
            if query.insert(key, value).is_some() {
                return Err(Problem::bad_request(
                    "bad-query",
                    format!("`{shown}` stands in the query twice"),
                ));
            }
        }
        Ok(Query(query))
    }
}

impl Query {
    fn names(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.0.remove(key)
    }

    fn number(&mut self, key: &str) -> Result<Option<u64>, Problem> {
        let bad = || {
            let code =
                if matches!(key, "from" | "to" | "at" | "before") { "bad-cursor" } else { "bad-query" };
            Problem::bad_request(code, format!("`{key}` must be a whole number, 0 or more"))
        };
        let digits = |v: &String| !v.is_empty() && v.bytes().all(|b| b.is_ascii_digit());
        self.0.remove(key).map(|v| v.parse().ok().filter(|_| digits(&v)).ok_or_else(bad)).transpose()
    }

    fn flag(&mut self, key: &str) -> Result<bool, Problem> {
        match self.0.remove(key).as_deref() {
            None | Some("0" | "false") => Ok(false),
            Some("1" | "true") => Ok(true),
            Some(_) => Err(Problem::bad_request("bad-query", format!("`{key}` must be 0 or 1"))),
        }
    }

    /// Keys that begin with `prefix`, without it.
    fn prefixed(&mut self, prefix: &str) -> BTreeMap<String, String> {
        let (with, without) =
            std::mem::take(&mut self.0).into_iter().partition(|(key, _)| key.starts_with(prefix));
        self.0 = without;
        BTreeMap::into_iter(with).map(|(key, value)| (key[prefix.len()..].to_owned(), value)).collect()
    }

    /// Everything that was asked for has been understood.
    fn done(self) -> Result<(), Problem> {
        match self.0.into_keys().next() {
            None => Ok(()),
            Some(key) => {
                let shown = key.escape_debug().take(64).collect::<String>();
                Err(Problem::bad_request("bad-query", format!("this address knows no parameter `{shown}`")))
            }
        }
    }
}

/// The events that a request led to, as they stand in the log.
async fn appended(stream: &Stream, appended: Appended, new: StatusCode) -> Result<Response, Problem> {
    let lines = stream.lines_of(&appended).await?;
    // An append that was repeated made nothing.
    let status = if appended.lines.is_some() { new } else { StatusCode::OK };
    // Names and epochs need no escapes, and lines are JSON: there is nothing to encode.
    let Appended { first_seq, last_seq, .. } = appended;
    let (name, epoch) = (&stream.name, &stream.epoch);
    let mut body = Vec::with_capacity(128 + lines.bytes.len());
    body.extend_from_slice(
        format!("{{\"stream\":\"{name}\",\"epoch\":\"{epoch}\",\"first_seq\":{first_seq},\"last_seq\":{last_seq},\"events\":[")
            .as_bytes(),
    );
    for (seq, line) in lines.iter() {
        if seq > lines.first_seq {
            body.push(b',');
        }
        body.extend_from_slice(line);
    }
    body.extend_from_slice(b"]}");
    let mut response = (status, [(header::CONTENT_TYPE, "application/json")], body).into_response();
    response.extensions_mut().insert(Led { first_seq, last_seq, events: last_seq + 1 - first_seq });
    Ok(response)
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Problem {
        let detail = refused.to_string();
        match refused {
            Refused::Expected { head, .. } => Problem::conflict("expected-seq", detail).with("head", head),
            Refused::Id { .. } => Problem::conflict("id-reused", detail),
            Refused::NoOriginal(_) => Problem::internal("defect", detail),
            Refused::Decision(refusal) => {
                use rig_replay::Refusal;
                let status = match refusal {
                    Refusal::NoSnapshot(_) | Refusal::NoBaseline(_) | Refusal::NoDeclaration(_) => {
                        StatusCode::NOT_FOUND
                    }
                    Refusal::Untrusted(_) => StatusCode::FORBIDDEN,
                    Refusal::OtherDigest { .. } | Refusal::NothingToAccept(_) => StatusCode::CONFLICT,
                    Refusal::Past | Refusal::TooMany(_) | Refusal::Pattern(_) => {
                        StatusCode::UNPROCESSABLE_ENTITY
                    }
                };
                Problem::new(status, refusal.code(), detail)
            }
            Refused::Event(e) => event_problem(&e),
            Refused::Log(_) => Problem::unavailable("log-failed", detail),
            Refused::Behind(_) => Problem::unavailable("busy", detail),
            Refused::ReadOnly => Problem::new(StatusCode::FORBIDDEN, "read-only", detail),
            Refused::Closed => Problem::unavailable("closed", detail),
        }
    }
}

/// What is wrong with an event that a client sent, or that a decision led to.
fn event_problem(e: &rig_event::Error) -> Problem {
    let (status, code) = match e {
        rig_event::Error::Name { .. } => (StatusCode::BAD_REQUEST, "bad-name"),
        rig_event::Error::Malformed { .. } => (StatusCode::BAD_REQUEST, "malformed-event"),
        rig_event::Error::TooLong { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "event-too-long"),
    };
    Problem::new(status, code, e.to_string())
}

/// A range of seqs that a query names: `from` (default 1, or the oldest there is) to `to` (default: the head).
fn range(query: &mut Query, stream: &Stream) -> Result<(Seq, Seq), Problem> {
    let head = stream.head();
    let from = query.number("from")?;
    let to = query.number("to")?.unwrap_or(head);
    if from == Some(0) {
        return Err(Problem::bad_request("bad-cursor", "`from` counts from 1"));
    }
    let from = from.unwrap_or_else(|| stream.first_seq().min(head + 1));
    if to > head || from > head + 1 {
        let detail = format!("the stream's head is {head}, and the range {from} to {to} goes past it");
        return Err(Problem::bad_request("past-head", detail).with("head", head));
    }
    if from > to + 1 {
        return Err(Problem::bad_request("bad-cursor", format!("`from` ({from}) lies after `to` ({to})")));
    }
    Ok((from, to))
}

/// A value's JSON, as an answer.
fn answer(body: &impl serde::Serialize) -> Result<Response, Problem> {
    let text = serde_json::to_string(body).map_err(|e| Problem::internal("defect", e.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// `actor` and `reason` of a decision. A reason is free text: what looks like a secret in it does not reach the log.
fn by(
    hub: &Shared,
    caller: &Caller,
    said: Option<String>,
    reason: Option<String>,
) -> Result<rig_replay::judge::By, Problem> {
    Ok(rig_replay::judge::By {
        actor: actor_name(hub, caller, said)?,
        reason: reason.map(|r| hub.redactor.redact_text(&r).0),
    })
}

/// Refuses a service that is named by a secret: its name would stand in every event.
fn no_secret(redactor: &rig_config::Redactor, service: &rig_event::ServiceName) -> Result<(), Problem> {
    match redactor.is_secret_name(service.as_str()) {
        true => Err(Problem::bad_request(
            "secret-in-name",
            "the name of the service looks like a secret; it is not kept",
        )),
        false => Ok(()),
    }
}

/// Who does it: whom the hub knows the caller to be, and whom it says it is, without what looks like a secret in it.
fn actor_name(hub: &Shared, caller: &Caller, said: Option<String>) -> Result<Option<String>, Problem> {
    let said = said.map(|mut name| {
        hub.redactor.redact_log(&mut name);
        name
    });
    let is_bad = |name: &String| name.is_empty() || name.chars().any(char::is_control);
    let said_badly = said.as_ref().is_some_and(is_bad);
    let actor = rig_event::draft::actor(caller.name(), said);
    if said_badly || actor.as_ref().is_some_and(|actor| actor.len() > rig_event::draft::MAX_ID) {
        let detail =
            "`actor` must have 1 to 256 bytes, the name of the token included, and no control characters";
        return Err(Problem::bad_request("bad-actor", detail));
    }
    Ok(actor)
}

/// The idempotency key of a request, from its `Idempotency-Key` header or, where it may stand there, from its query.
fn idempotency_key(
    hub: &Shared,
    headers: &HeaderMap,
    query: Option<String>,
) -> Result<Option<String>, Problem> {
    let bad = |why: &str| Err(Problem::bad_request("bad-idempotency-key", why));
    let mut given = headers.get_all("idempotency-key").iter();
    let mut key = match (given.next(), given.next()) {
        (None, _) => query,
        (Some(_), Some(_)) => return bad("there are two Idempotency-Key headers; send one"),
        (Some(value), None) => {
            let text = value.to_str().unwrap_or_default().trim();
            // A structured field writes it in quotes, and many clients do not.
            let text = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).unwrap_or(text);
            if text.contains(['"', '\\']) {
                return bad("the Idempotency-Key header must have no quotes and backslashes in it");
            }
            if query.is_some_and(|query| query != text) {
                return bad("the Idempotency-Key header and `id` differ; send one of them");
            }
            Some(text.to_owned())
        }
    };
    if let Some(key) = &mut key {
        if key.is_empty() || key.len() > rig_event::draft::MAX_ID {
            return bad("an idempotency key has 1 to 256 bytes of printable ASCII");
        }
        hub.redactor.redact_log(key);
    }
    Ok(key)
}

fn moment(text: &str) -> Result<Timestamp, Problem> {
    text.parse().map_err(|_| {
        Problem::bad_request("bad-time", "the time must be written as RFC 3339 has it: 2027-01-31T00:00:00Z")
    })
}

/// JSON that a handler has put together.
type Answer = Result<Json<serde_json::Value>, Problem>;
