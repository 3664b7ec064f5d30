//! What is told of each request: a span with its id, which everything logged meanwhile stands in. No query, no body, no header:
//! tokens and documents are there.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use tracing::{Instrument as _, Span};

use crate::hub::Hub;

/// The header of a request's id.
pub(crate) static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Most bytes of an id that a client gives, and of an address that is told.
const MAX_ID: usize = 64;
const MAX_PATH: usize = 1024;

/// The id of a request: the client's own where it is sane, else a new one.
pub(crate) fn request_id(headers: &HeaderMap) -> HeaderValue {
    static PROCESS: LazyLock<u64> =
        LazyLock::new(|| crate::data::random().map_or(0, u64::from_ne_bytes) & 0xffff_ffff);
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let sane = |id: &&HeaderValue| {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
        (1..=MAX_ID).contains(&id.len()) && id.as_bytes().iter().all(plain)
    };
    headers.get(&REQUEST_ID).filter(sane).cloned().unwrap_or_else(|| {
        let id = format!("{:08x}-{}", *PROCESS, COUNT.fetch_add(1, Relaxed));
        HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("none"))
    })
}

/// The span of a request.
pub(crate) fn span<B>(hub: &Hub, request: &hyper::Request<B>, id: &HeaderValue) -> Span {
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
        hub.redactor.redact_log(&mut path);
        span.record("path", path);
    }
    span
}

/// Answers a request within its span, and tells at the level `debug` how it was answered.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clients_id_is_kept_if_it_is_sane() {
        let of = |id: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(&REQUEST_ID, HeaderValue::from_bytes(id.as_bytes()).unwrap());
            request_id(&headers)
        };
        assert_eq!(of("run-7.a_B"), "run-7.a_B");
        for bad in ["", "a b", "a\"b", &"a".repeat(65), "grün"] {
            assert_ne!(of(bad), bad);
        }
        assert_ne!(request_id(&HeaderMap::new()), request_id(&HeaderMap::new()));
    }
}
