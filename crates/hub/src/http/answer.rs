//! Answers of routes: JSON, or the events that a request led to.

use axum::Json;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};

use crate::problem::{Led, Problem};
use crate::streams::{Appended, Stream};

/// A JSON response, or a problem.
pub type Answer = Result<Json<serde_json::Value>, Problem>;

/// Answers with the events that a request led to, as they are in the log. `new` is the status unless the append was a repeated
/// one.
///
/// # Errors
/// `damaged-log`.
pub async fn appended(stream: &Stream, appended: Appended, new: StatusCode) -> Result<Response, Problem> {
    let lines = stream.lines_of(&appended).await?;
    // A repeated append created nothing.
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

/// Answers with the JSON of a value.
///
/// # Errors
/// `defect`, if it cannot be serialized.
pub fn answer(body: &impl serde::Serialize) -> Result<Response, Problem> {
    let text = serde_json::to_string(body).map_err(|e| Problem::internal("defect", e.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}
