//! The log of each request: a span with its id, which everything logged meanwhile stands in. No query, no body, no header:
//! tokens and documents are there.

use std::time::Instant;

use axum::http::HeaderValue;
use axum::response::Response;
use tracing::{Instrument as _, Span};

use crate::core::Core;

/// Maximum length of a logged address, in bytes.
const MAX_PATH: usize = 1024;

/// Returns the span of a request.
pub(crate) fn span<B>(core: &Core, request: &hyper::Request<B>, id: &HeaderValue) -> Span {
    let span = tracing::info_span!(
        target: "rig_hub::request",
        "request",
        id = id.to_str().unwrap_or_default(),
        method = %request.method(),
        path = tracing::field::Empty,
        status = tracing::field::Empty,
    );
    if !span.is_disabled() {
        let path = request.uri().path();
        let mut path = path.get(..MAX_PATH).unwrap_or(path).to_owned();
        core.redactor().redact_log(&mut path);
        span.record("path", path);
    }
    span
}

/// Answers a request within its span, and logs the status at level `debug`.
pub(crate) async fn told(span: Span, answer: impl Future<Output = Response>) -> Response {
    let begun = Instant::now();
    let answered = async {
        let response = answer.await;
        let status = response.status().as_u16();
        Span::current().record("status", status);
        tracing::debug!(target: "rig_hub::request", status, micros = begun.elapsed().as_micros() as u64, "answered");
        response
    };
    answered.instrument(span).await
}
