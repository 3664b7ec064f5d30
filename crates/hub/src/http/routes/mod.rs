//! The hub's own addresses (docs/http.md), one file a group, and the access that each needs.

mod batch;
mod blobs;
mod events;
mod openapi;
mod services;
mod streams;
mod tokens;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::{Extension, Router};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

pub(crate) use self::events::append_to;
pub(crate) use self::streams::exposition;
use crate::access::Scope::{Admin, Read, Write};
use crate::access::{CONFIG, EVENTS, METRICS, Need, Rule, Trace};
use crate::component::Metrics;
use crate::core::Core;
use crate::problem::{no_such_address, no_such_method};

/// The rules of the hub's own addresses. An address without a rule does not exist, even if the router has it.
pub(crate) const RULES: &[Rule] = &[
    Rule::new(Method::GET, "/healthz", Need::Nothing, Trace::Not),
    Rule::new(Method::GET, "/readyz", Need::Nothing, Trace::Not),
    Rule::new(Method::GET, "/openapi.json", Need::Nothing, Trace::Not),
    Rule::new(Method::GET, METRICS, Need::Hub(Read), Trace::Not),
    Rule::new(Method::POST, "/v1/blobs/rewrap", Need::Hub(Admin), Trace::Each),
    Rule::new(Method::GET, "/v1/tokens", Need::Hub(Admin), Trace::Not),
    Rule::new(Method::POST, "/v1/tokens", Need::Hub(Admin), Trace::Own),
    Rule::new(Method::DELETE, "/v1/tokens/{id}", Need::Hub(Admin), Trace::Own),
    Rule::new(Method::POST, "/v1/logins", Need::Scope(Read), Trace::Not),
    // The code in its body is good once, and is what lets it in.
    Rule::new(Method::POST, "/v1/logins/redeem", Need::Nothing, Trace::Own),
    Rule::new(Method::GET, "/v1/whoami", Need::Scope(Read), Trace::Not),
    Rule::new(Method::GET, "/v1/streams", Need::Scope(Read), Trace::Not),
    Rule::new(Method::GET, "/v1/streams/{stream}", Need::Scope(Read), Trace::Not),
    Rule::new(Method::PUT, "/v1/streams/{stream}", Need::Scope(Write), Trace::Each),
    Rule::new(Method::DELETE, "/v1/streams/{stream}", Need::Scope(Admin), Trace::Each),
    Rule::new(Method::GET, EVENTS, Need::Scope(Read), Trace::Not),
    Rule::new(Method::POST, EVENTS, Need::Scope(Write), Trace::Summed),
    Rule::new(Method::POST, "/v1/streams/{stream}/tickets", Need::Scope(Read), Trace::Not),
    Rule::new(Method::GET, "/v1/streams/{stream}/session", Need::Scope(Read), Trace::Not),
    Rule::new(Method::POST, "/v1/streams/{stream}/snapshots", Need::Scope(Write), Trace::Summed),
    Rule::new(Method::GET, "/v1/streams/{stream}/state", Need::Scope(Read), Trace::Not),
    Rule::new(Method::GET, CONFIG, Need::Scope(Read), Trace::Not),
    Rule::new(Method::GET, "/v1/streams/{stream}/services/{service}/baseline", Need::Scope(Read), Trace::Not),
    Rule::new(
        Method::PUT,
        "/v1/streams/{stream}/services/{service}/baseline",
        Need::Scope(Admin),
        Trace::Each,
    ),
    Rule::new(
        Method::DELETE,
        "/v1/streams/{stream}/services/{service}/baseline",
        Need::Scope(Admin),
        Trace::Each,
    ),
    Rule::new(Method::GET, "/v1/streams/{stream}/services/{service}/declared", Need::Scope(Read), Trace::Not),
    Rule::new(
        Method::PUT,
        "/v1/streams/{stream}/services/{service}/declared",
        Need::Scope(Admin),
        Trace::Each,
    ),
    Rule::new(
        Method::DELETE,
        "/v1/streams/{stream}/services/{service}/declared",
        Need::Scope(Admin),
        Trace::Each,
    ),
    Rule::new(
        Method::POST,
        "/v1/streams/{stream}/services/{service}/drift/accept",
        Need::Scope(Admin),
        Trace::Each,
    ),
];

/// Returns the hub's own routes with their descriptions, of which `/openapi.json` is made.
pub(crate) fn own() -> OpenApiRouter<Core> {
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
        .routes(routes!(services::accept))
        .routes(routes!(tokens::list, tokens::issue))
        .routes(routes!(tokens::revoke))
        .routes(routes!(tokens::ticket))
        .routes(routes!(tokens::whoami))
        .routes(routes!(tokens::login))
        .routes(routes!(tokens::redeem))
}

/// Returns all routes of a hub, with those of its components.
pub(crate) fn router(core: Core, components: Vec<OpenApiRouter>, metrics: Vec<Metrics>) -> Router {
    let own = own().with_state(core);
    let (router, described) = components.into_iter().fold(own, OpenApiRouter::merge).split_for_parts();
    router
        .fallback(async || no_such_address())
        .method_not_allowed_fallback(async || no_such_method())
        .layer(Extension(openapi::Document::new(&described)))
        .layer(Extension::<Arc<[Metrics]>>(metrics.into()))
        // Bodies are read piece by piece against limits of their own.
        .layer(DefaultBodyLimit::disable())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_changes_something_leaves_a_trace() {
        for rule in RULES {
            let reads =
                rule.method == Method::GET || rule.path.ends_with("/tickets") || rule.path == "/v1/logins";
            assert_eq!(reads, rule.trace == Trace::Not, "{} {}", rule.method, rule.path);
            assert!(
                rule.need != Need::Nothing
                    || ["/healthz", "/readyz", "/openapi.json", "/v1/logins/redeem"].contains(&rule.path),
                "{}",
                rule.path
            );
            assert!(reads || rule.need != Need::Scope(Read), "{} {}", rule.method, rule.path);
        }
    }
}
