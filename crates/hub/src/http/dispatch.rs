//! The path of a request: admitted, sent to its route, recorded.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use tower::ServiceExt as _;
use tracing::Instrument as _;

use super::connection::Connection;
use super::leash::{is_long, leashed};
use super::pack::packed;
use super::request::Query;
use super::routes::append_to;
use super::trace;
use crate::access::{Admitted, REQUEST_ID, Trace};
use crate::core::Core;
use crate::permit::Permit;
use crate::problem::Problem;
use crate::shares::Share;

/// Answers a request. What applies to all requests is done here and not in a layer of the router, since appends bypass the
/// router.
pub(crate) async fn answer_to(
    core: Core,
    router: Router,
    connection: Arc<Connection>,
    request: hyper::Request<Incoming>,
) -> Response {
    connection.begins();
    let id = core.access().request_id(request.headers());
    let origin = request.headers().get(header::ORIGIN).cloned();
    let codings = request.headers().get(header::ACCEPT_ENCODING).cloned();
    let (span, stopping) = (trace::span(&core, &request, &id), core.is_stopping());
    let mut response = trace::told(span, admitted(&core, router, &connection, &id, request)).await;
    if stopping {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response.headers_mut().insert(REQUEST_ID.clone(), id);
    core.access().share(origin, &mut response);
    with_headers(packed(codings, response))
}

/// Answers a request that is admitted, and records one that is denied.
async fn admitted(
    core: &Core,
    router: Router,
    connection: &Connection,
    id: &HeaderValue,
    mut request: hyper::Request<Incoming>,
) -> Response {
    if let Some(response) = core.access().preflight(&request) {
        return response;
    }
    let admitted = match core.access().admit(connection.peer(), id, &mut request) {
        Ok(admitted) => admitted,
        Err(denied) => {
            core.access().denied(&denied, connection.peer(), id.to_str().unwrap_or_default());
            return denied.problem.into_response();
        }
    };
    // A route that answers everybody answers whoever is let in no more, too.
    let caller = admitted.permit.as_ref().map(|permit| {
        connection.is_of(permit.party());
        admitted.caller.clone()
    });
    let response = match admitted.is_told_for_sure() {
        true => {
            let answer = go_on(core.clone(), router, admitted, request).in_current_span();
            let answer = tokio::spawn(answer).await;
            answer.unwrap_or_else(|e| Problem::internal("defect", e.to_string()).into_response())
        }
        false => go_on(core.clone(), router, admitted, request).await,
    };
    let Some(caller) = caller.filter(|_| is_long(&response)) else { return response };
    let ended = core.access().until(&caller);
    connection.until(ended.clone());
    leashed(response, ended)
}

/// Sends a request to its route and records it. Appends to a bare address, which outnumber all other requests, bypass the router.
async fn go_on(
    core: Core,
    router: Router,
    admitted: Admitted,
    mut request: hyper::Request<Incoming>,
) -> Response {
    let permit = admitted.permit.clone();
    let answer = async {
        let turn = turn(&core, request.uri().path()).await;
        match (turn.and_then(|turn| Permit::check_current().map(|()| turn)), admitted.appends_to()) {
            (Err(problem), _) => problem.into_response(),
            (Ok(_turn), Some(stream)) => {
                let (query, by) = (Query::default(), admitted.caller.name());
                append_to(&core, stream.as_str(), query, by, request).await.into_response()
            }
            (Ok(_turn), None) => {
                request.extensions_mut().insert(admitted.caller.clone());
                match router.oneshot(request.map(Body::new)).await {
                    Ok(response) => response,
                    Err(never) => match never {},
                }
            }
        }
    };
    let mut response = Permit::cover(permit.clone(), answer).await;
    // What was written stays written, and its answer stands. What was only read is not shown any more.
    if admitted.rule.trace == Trace::Not
        && let Some(Err(problem)) = permit.map(|permit| permit.check())
    {
        response = problem.into_response();
    }
    core.access().answered(&admitted, response.status(), response.extensions()).await;
    response
}

/// Waits for a turn. Requests outside `/v1/` need none, so that monitoring works when the hub is busy. While the hub stops,
/// requests get 503.
async fn turn(core: &Core, path: &str) -> Result<Option<Share>, Problem> {
    if !path.starts_with("/v1/") {
        return Ok(None);
    }
    if core.is_stopping() {
        return Err(Problem::unavailable("closed", "the hub is stopping"));
    }
    core.access().admission.enter().await.map(Some)
}

/// Adds the headers of all responses: they hold configuration, so no cache stores them, and no browser guesses their type or
/// renders them as a page.
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
