//! Capturing several documents with one request: a line of JSON for each.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::access::Caller;
use crate::capture::Document;
use crate::core::Core;
use crate::http::answer::answer;
use crate::http::request::{actor_name, check_document, idempotency_key, service_name};
use crate::http::shapes::{CaptureOutcome as Outcome, Captures};
use crate::problem::{Led, Problem};
use crate::streams::Stream;

/// The media type of a batch.
pub(super) const MEDIA_TYPE: &str = "application/x-ndjson";

/// Maximum number of documents of one request.
const MAX_BATCH: usize = 1_000;

/// A line of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line<'a> {
    service: String,
    format: Option<String>,
    name: Option<String>,
    actor: Option<String>,
    id: Option<String>,
    #[serde(default)]
    meta: BTreeMap<String, String>,
    /// A string is the text of the document. Any other value is itself the document, as JSON.
    #[serde(borrow)]
    document: &'a RawValue,
}

/// Captures the documents one after the other. Each is captured or refused independently of the others, but if any line of the
/// body cannot be parsed, nothing is captured.
pub(super) async fn capture(
    core: &Core,
    caller: &Caller,
    stream: &Arc<Stream>,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let key = idempotency_key(core, headers, None)?;
    let (body, _budget) = core.captures().receive(headers, body, &mut 0).await?;
    let lines: Vec<&[u8]> =
        body.split(|&b| b == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty()).collect();
    if lines.is_empty() || lines.len() > MAX_BATCH {
        let detail = format!("one request takes 1 to {MAX_BATCH} documents");
        return Err(Problem::bad_request("bad-batch", detail));
    }
    let requests = lines.into_iter().enumerate().map(|(i, line)| {
        let key = key.as_ref().map(|key| format!("{key}/{i}"));
        understand(core, caller, line, key).map_err(|problem| problem.with("index", i))
    });
    let requests = requests.collect::<Result<Vec<_>, _>>()?;
    let mut captures = Vec::with_capacity(requests.len());
    for document in requests {
        let none = Outcome { service: document.service.to_string(), ..Outcome::default() };
        captures.push(match core.capture(stream, document).await {
            Ok(events) => Outcome {
                status: if events.lines.is_some() { StatusCode::CREATED } else { StatusCode::OK }.as_u16(),
                first_seq: Some(events.first_seq),
                last_seq: Some(events.last_seq),
                ..none
            },
            Err(problem) => Outcome {
                status: problem.status().as_u16(),
                code: Some(problem.code().to_owned()),
                detail: Some(problem.detail().to_owned()),
                ..none
            },
        });
    }
    let led = led(&captures);
    let (stream, epoch) = (stream.name.to_string(), stream.epoch.to_string());
    let mut response = answer(&Captures { stream, epoch, captures })?;
    if let Some(led) = led {
        response.extensions_mut().insert(led);
    }
    Ok(response)
}

/// Returns the events that all captures together led to, if there are any.
fn led(captures: &[Outcome]) -> Option<Led> {
    let ranges = captures.iter().filter_map(|capture| capture.first_seq.zip(capture.last_seq));
    ranges.map(|(first_seq, last_seq)| Led { first_seq, last_seq, events: last_seq + 1 - first_seq }).reduce(
        |all, led| Led {
            first_seq: all.first_seq.min(led.first_seq),
            last_seq: all.last_seq.max(led.last_seq),
            events: all.events + led.events,
        },
    )
}

/// Parses a line.
fn understand(core: &Core, caller: &Caller, line: &[u8], key: Option<String>) -> Result<Document, Problem> {
    let line: Line<'_> = serde_json::from_slice(line).map_err(|e| {
        // The parser's message may quote keys, and values of a wrong type.
        let detail =
            format!("a line must be {{\"service\":…,\"format\":…,\"document\":…}} (column {})", e.column());
        Problem::bad_request("malformed-batch", detail)
    })?;
    let text = line.document.get();
    let (media_type, document) = match text.starts_with('"') {
        true => (
            None,
            serde_json::from_str(text)
                .map_err(|_| Problem::bad_request("malformed-batch", "`document` is no text"))?,
        ),
        false => (Some("application/json".to_owned()), text.to_owned()),
    };
    if key.is_some() && line.id.is_some() {
        let detail = "a line has an `id` beside the Idempotency-Key; send one of them";
        return Err(Problem::bad_request("bad-idempotency-key", detail));
    }
    let document = Document {
        service: service_name(&line.service)?,
        format: line.format,
        name: line.name,
        encoding: None,
        media_type,
        actor: actor_name(core, caller, line.actor)?,
        id: idempotency_key(core, &HeaderMap::new(), key.or(line.id))?,
        meta: line.meta,
        quiet: false,
        content: document.into_bytes(),
    };
    check_document(core, &document)?;
    Ok(document)
}
