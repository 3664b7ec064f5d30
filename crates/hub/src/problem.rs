//! Error responses: `application/problem+json` (RFC 9457) with a stable `code`.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rig_event::Seq;
use serde_json::{Map, Value, json};

/// The code of a problem, in the extensions of its response. The audit counts by it.
#[derive(Clone)]
pub(crate) struct Code(pub(crate) &'static str);

/// The events that a request led to. A route puts it into the extensions of its response for the audit.
#[derive(Clone)]
pub(crate) struct Led {
    pub(crate) first_seq: Seq,
    pub(crate) last_seq: Seq,
    /// The number of events. Those of a batch need not be consecutive.
    pub(crate) events: u64,
}

/// Marks the response of a request that changed nothing, for the audit.
#[derive(Clone)]
pub(crate) struct Unchanged;

/// The code for a body with an unknown compression, and the codings that are known.
pub(crate) const UNKNOWN_CODING: &str = "unknown-encoding";
pub(crate) const CODINGS: &str = "gzip, zstd";

/// An error response.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    more: Map<String, Value>,
}

impl Problem {
    /// Creates a problem with a status, a stable code and a sentence that says what happened, where, and what to do.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Problem { status, code, detail: detail.into(), more: Map::new() }
    }

    /// Creates a problem for a request that is wrong: 400.
    pub fn bad_request(code: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::BAD_REQUEST, code, detail)
    }

    /// Creates a problem for something that does not exist: 404.
    pub fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// Creates a problem for a request that conflicts with the present state: 409.
    pub fn conflict(code: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::CONFLICT, code, detail)
    }

    /// Creates a problem for a valid request that the hub cannot serve now: 503.
    pub fn unavailable(code: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail)
    }

    /// Creates a problem for a request over a limit: 429.
    pub fn too_many(code: &'static str, detail: impl Into<String>) -> Self {
        Problem::new(StatusCode::TOO_MANY_REQUESTS, code, detail)
    }

    /// Creates and logs a problem with the hub's own data or code: 500.
    pub fn internal(code: &'static str, detail: impl Into<String>) -> Self {
        let problem = Problem::new(StatusCode::INTERNAL_SERVER_ERROR, code, detail);
        tracing::error!(code, detail = problem.detail, "a request failed");
        problem
    }

    /// Adds a member to the response.
    pub fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.more.insert(key.to_owned(), value.into());
        self
    }

    /// Returns the status of the response.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns true if it says that somebody may not, rather than that something is wrong with what was asked for.
    pub(crate) fn is_denial(&self) -> bool {
        is_denial(self.status)
    }

    /// Returns the stable code.
    pub fn code(&self) -> &'static str {
        self.code
    }

    /// Returns the sentence for a human reader.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// Returns a member that [`Problem::with`] added.
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.more.get(key)
    }
}

/// Returns the response to a request for an address that does not exist.
pub(crate) fn no_such_address() -> Problem {
    Problem::not_found(
        "no-such-address",
        "there is nothing at this address; docs/http.md lists what there is",
    )
}

/// Returns the response to a request with a method that its address does not accept.
pub(crate) fn no_such_method() -> Problem {
    Problem::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "method-not-allowed",
        "this address does not take that method",
    )
}

/// Returns true if an answer with that status says that somebody may not.
pub(crate) fn is_denial(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED
            | StatusCode::FORBIDDEN
            | StatusCode::MISDIRECTED_REQUEST
            | StatusCode::TOO_MANY_REQUESTS
    )
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let wait = self.get("retry_after").and_then(Value::as_u64).unwrap_or(1);
        let allow = self.get("allow").and_then(|methods| HeaderValue::from_str(methods.as_str()?).ok());
        let challenge = match (self.status, self.code) {
            (StatusCode::UNAUTHORIZED, "no-token") => Some("Bearer realm=\"rig\""),
            (StatusCode::UNAUTHORIZED, _) => Some("Bearer realm=\"rig\", error=\"invalid_token\""),
            (StatusCode::FORBIDDEN, "no-scope") => Some("Bearer realm=\"rig\", error=\"insufficient_scope\""),
            _ => None,
        };
        let mut body = json!({
            "type": format!("urn:rig:problem:{}", self.code),
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        if let Value::Object(members) = &mut body {
            members.extend(self.more);
        }
        let mut response = (self.status, Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(wait));
        }
        if self.code == UNKNOWN_CODING {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static(CODINGS));
        }
        if let Some(methods) = allow {
            headers.insert(header::ALLOW, methods);
        }
        if let Some(challenge) = challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        response.extensions_mut().insert(Code(self.code));
        response
    }
}
